! Several right-hand sides against chosen solutions of the 1-D Poisson problem; illegal input first.
module block_callbacks
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use reknit
  use poisson, only: second_difference
  implicit none

  type, extends(rkn_linear_map_f64) :: counting_map
    integer :: calls = 0, columns = 0, widest = 0, fail_at = 0
  contains
    procedure :: apply => count_and_apply
  end type counting_map

contains

  subroutine count_and_apply(self, trans, x, y, stat)
    class(counting_map), intent(inout) :: self
    integer, intent(in) :: trans
    real(real64), intent(in) :: x(:, :)
    real(real64), intent(out) :: y(:, :)
    integer, intent(inout) :: stat
    complex(real64) :: z(size(x, 1), size(x, 2))
    self%calls = self%calls + 1
    self%columns = self%columns + size(x, 2)
    self%widest = max(self%widest, size(x, 2))
    call second_difference(0.0_real64, cmplx(x, 0, real64), z)
    y = real(z, real64)
    if (self%calls == self%fail_at .or. trans /= RKN_N) stat = 33
  end subroutine count_and_apply

end module block_callbacks

program test_block
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use reknit
  use check
  use poisson
  use block_callbacks
  implicit none

  integer, parameter :: n = 30, k = 3
  integer(int64), allocatable, target :: ptr(:), ind(:), ptr_z(:), ind_z(:)
  real(real64), allocatable, target :: val_f64(:)
  complex(real64), allocatable, target :: val(:)
  complex(real64) :: wanted(n, k), images(n, k)
  type(rkn_operator_t) :: A
  integer :: i, j

  do j = 1, k
    do i = 1, n
      wanted(i, j) = cmplx(sin(12.9898_real64*i + i*i + j), cos(7.233_real64*i + i*i + j), real64)
    end do
  end do
  images = matmul(full(n, theta), wanted)
  call csr(n, 0.0_real64, ptr, ind, val)
  val_f64 = real(val, real64)
  call A%create_csr(ptr, ind, val_f64)
  call csr(n, theta, ptr_z, ind_z, val)

  call illegal()
  call sections()
  call kinds()
  call ends()
  call map()
  call by_requests()
  call A%destroy()
  call report()

contains

  ! The real systems: chosen solutions, and their right-hand sides.
  function chosen() result(x)
    real(real64) :: x(n, k)
    x = real(wanted, real64)
  end function chosen

  function sides() result(b)
    real(real64) :: b(n, k)
    b = matmul(real(full(n, 0.0_real64), real64), chosen())
  end function sides

  subroutine illegal()
    type(rkn_krylov_t) :: s, never
    type(rkn_operator_t) :: none
    real(real64), target :: b(n, k), x(n, k), long(n + 1, k), wide(n, k + 1), skipped(2*n, k)
    real(real32), target :: single(n, k), single_x(n, k)
    integer(int64), allocatable :: iterations(:)
    integer :: rc
    character(400) :: message
    b = sides()
    x = -7
    long = 1
    wide = 1
    single = 1
    skipped = 1
    call never%solve(A, b, x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NULL, message, "rkn_krylov_solve_block 's'", "a solver that was never created")
    call never%column_results(iterations, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NULL, message, "rkn_krylov_columns 's'", "its columns")
    call expect(.not. allocated(iterations), "left alone")
    call s%create("cg")
    call s%column_results(iterations)
    call expect(size(iterations) == 0, "no columns yet")
    call s%solve(none, b, x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NULL, message, "rkn_krylov_solve_block 'A'", "no operator")
    call s%solve(A, long, x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_krylov_solve_block 'b' 31 30", "b too long")
    call s%solve(A, b, long, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_krylov_solve_block 'x' 31 30", "x too long")
    call s%solve(A, b, wide, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_krylov_solve_block 'x' 4 3 'b'", "x too wide")
    call s%solve(A, single, single_x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SCALAR, message, "'b' real(real32) real(real64)", "another kind")
    call s%solve(A, skipped(::2, :), x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_krylov_solve_block 'b' contiguous", "b with gaps in columns")
    call s%solve(A, b, skipped(::2, :), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_krylov_solve_block 'x' contiguous", "x with gaps in columns")
    call s%solve(A, b, b, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "'X' overlapping", "b is x")
    call s%start(A, b, wide, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_krylov_start_block 'x' 4 3", "start: x too wide")
    call s%start(A, long, x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_krylov_start_block 'b' 31 30", "start: b too long")
    b(4, 2) = ieee_value(1.0_real64, ieee_quiet_nan)
    call s%solve(A, b, x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NONFINITE, message, "'B' row 3 column 1", "NaN in b")
    call expect(all(abs(x + 7) <= 0), "x is left alone")
    b = sides()
    call s%solve(A, b, x)
    call expect(maxval(abs(x - chosen())) < 1e-5_real64, "the next correct solve works")
    call s%solve(A, b(:, 1:0), x(:, 1:0))
    call s%column_results(iterations)
    call expect(size(iterations) == 0, "no columns")
    call s%destroy()
  end subroutine illegal

  ! Parts of larger arrays; more columns and fewer; with a preconditioner, and vectors in between.
  subroutine sections()
    type(rkn_krylov_t) :: s
    type(rkn_operator_t) :: M
    real(real64), target :: big(n + 4, 2*k)
    integer(int64), allocatable :: iterations(:)
    real(real64), allocatable :: norms(:)
    integer, allocatable :: statuses(:)
    integer(int64) :: longest
    integer :: count
    call M%create_preconditioner(A, "jacobi")
    call s%create("gcrodr")
    call s%set_options("rtol=1e-11 restart=20 recycle=6")
    do count = 1, k
      big = -77
      big(2:n + 1, :count) = reshape(sides(), [n, count])
      call s%solve(A, big(2:n + 1, :count), big(3:n + 2, k + 1:k + count), M)
      call expect(maxval(abs(big(3:n + 2, k + 1:k + count) - reshape(chosen(), [n, count]))) < 1e-8_real64, "a section")
      call expect(all(abs(big(n + 3:, :) + 77) <= 0) .and. all(abs(big(1, :) + 77) <= 0) &
          .and. all(abs(big(:, k + count + 1:) + 77) <= 0), "the rest is not touched")
      call s%column_results(iterations, norms, statuses)
      call expect(size(iterations) == count .and. size(norms) == count .and. size(statuses) == count, "as many columns")
      call expect(all(statuses == RKN_OK) .and. all(norms < 1e-8_real64), "all converged")
      call s%get("iterations", longest)
      call expect(maxval(iterations) == longest, "the longest column counts")
    end do
    call s%solve(A, big(2:n + 1, 1), big(3:n + 2, k + 1), M)
    call s%column_results(residual_norms=norms)
    call expect(size(norms) == 1, "a vector is one column")
    call s%destroy()
    call M%destroy()
  end subroutine sections

  subroutine kinds()
    type(rkn_krylov_t) :: s
    type(rkn_operator_t) :: H
    real(real32), target :: val_f32(3*n - 2), b4(n, k), x4(n, k)
    complex(real32), target :: val_c32(3*n - 2), bc(n, k), xc(n, k)
    complex(real64), target :: bz(n, k), xz(n, k)
    call s%create("minres")
    call s%set("rtol", 3d-6)
    val_f32 = real(val_f64, real32)
    call H%create_csr(ptr, ind, val_f32)
    b4 = real(sides(), real32)
    call s%solve(H, b4, x4)
    call expect(maxval(abs(x4 - chosen())) < 1e-2_real64, "real(real32)")
    val_c32 = cmplx(val, kind=real32)
    call H%create_csr(ptr_z, ind_z, val_c32)
    bc = cmplx(images, kind=real32)
    call s%solve(H, bc, xc)
    call expect(maxval(abs(cmplx(xc, kind=real64) - wanted)) < 1e-2_real64, "complex(real32)")
    call s%set("rtol", 1d-11)
    call H%create_csr(ptr_z, ind_z, val)
    bz = images
    call s%solve(H, bz, xz)
    call expect(maxval(abs(xz - wanted)) < 1e-8_real64, "complex(real64)")
    call s%destroy()
    call H%destroy()
  end subroutine kinds

  ! CG takes as many steps as a right-hand side has different entries of a diagonal matrix.
  subroutine ends()
    type(rkn_krylov_t) :: s
    type(rkn_operator_t) :: D
    real(real64), target :: entries(n), b(n, k), x(n, k)
    integer(int64), allocatable :: iterations(:)
    real(real64), allocatable :: norms(:)
    integer, allocatable :: statuses(:)
    integer :: rc
    real(real64) :: norm
    entries = [(real(i, real64), i=1, n)]
    call D%create_diagonal(entries)
    b(:, 1) = 0
    b(:, 2) = merge(1, 0, entries < 4.5_real64)
    b(:, 3) = 1
    call s%create("cg")
    call s%set("max_iterations", 7)
    call s%solve(D, b, x, stat=rc)
    call expect_status(rc, RKN_STOP_ITERATIONS, "the last column stops short")
    call s%column_results(iterations, norms, statuses)
    call expect(all(iterations == [0, 4, 7]), "each column has its own end")
    call expect(all(statuses == [RKN_OK, RKN_OK, RKN_STOP_ITERATIONS]), "and status")
    call s%get("residual_norm", norm)
    call expect(abs(norms(3) - norm) <= 0 .and. norms(1) <= 0, "the residual norm is that of the longest")
    call expect(maxval(abs(x(:, 2) - b(:, 2)/entries)) < 1e-8_real64 .and. all(abs(x(:, 1)) <= 0), "the others are solved")
    entries(20) = -1
    call D%changed()
    call s%solve(D, b, x, stat=rc)
    call expect_status(rc, RKN_ERR_INDEFINITE, "an indefinite direction")
    call s%column_results(statuses=statuses)
    call expect(all(statuses == [RKN_OK, RKN_OK, RKN_ERR_INDEFINITE]), "is the error of its column")
    call s%destroy()
    call D%destroy()
  end subroutine ends

  subroutine map()
    type(rkn_krylov_t) :: s
    type(rkn_operator_t) :: F
    type(counting_map), target :: product
    real(real64), target :: b(n, k), x(n, k)
    integer, allocatable :: statuses(:)
    integer :: applies, iterations, rc
    call F%create_callback(product, n, n)
    call s%create("cg")
    b = sides()
    call s%solve(F, b, x)
    call expect(maxval(abs(x - chosen())) < 1e-5_real64, "a map")
    call s%get("applies", applies)
    call s%get("iterations", iterations)
    call expect(product%widest == k .and. product%columns == applies, "columns are multiplied together")
    call expect(product%calls <= iterations + 2*k, "one call a step")
    product%fail_at = product%calls + 5
    call s%solve(F, b, x, stat=rc)
    call expect_status(rc, RKN_ERR_CALLBACK, "a map that fails")
    call s%column_results(statuses=statuses)
    call expect(all(statuses == RKN_ERR_CALLBACK), "ends all columns")
    call s%solve(F, b, x)
    call s%destroy()
    call F%destroy()
  end subroutine map

  subroutine by_requests()
    type(rkn_krylov_t) :: s, t
    type(rkn_operator_t) :: F, R
    type(rkn_request_t) :: request
    type(counting_map), target :: product
    real(real64), target :: b(n, k), x(n, k), big(n + 2, k)
    real(real64), pointer :: u(:, :), v(:, :)
    complex(real32), target :: bc(n, k), xc(n, k)
    real(real32), target :: b4(n, k), x4(n, k)
    complex(real64), target :: bz(n, k), xz(n, k)
    character(8), parameter :: names(3) = [character(8) :: "cg", "gmres", "gcrodr"]
    integer :: m, stat
    b = sides()
    call F%create_callback(product, n, n)
    call R%create_request(n, n, RKN_REQUEST_APPLY)
    do m = 1, size(names)
      call s%create(names(m))
      call t%create(names(m))
      call s%solve(F, b, x)
      big = -77
      call t%start(R, b, big(2:n + 1, :))
      do
        call t%next(request)
        if (request%kind == RKN_REQUEST_DONE) exit
        call request%columns(u, v)
        stat = 0
        call product%apply(request%trans, u, v, stat)
      end do
      call expect(all(transfer(x, [0_int64]) == transfer(big(2:n + 1, :), [0_int64])), trim(names(m))//": the same bits")
      call expect(all(abs(big([1, n + 2], :) + 77) <= 0), trim(names(m))//": the rest is not touched")
    end do
    call expect(product%widest == k, "requests of several columns")
    call F%destroy()

    ! The other kinds: the identity needs no arithmetic.
    call s%create("gmres")
    call R%create_request(n, n, RKN_REQUEST_APPLY, scalar=RKN_F32)
    b4 = real(b, real32)
    call s%start(R, b4, x4)
    call copy_through(s, RKN_F32)
    call expect(maxval(abs(x4 - b4)) < 1e-4, "real(real32)")
    call R%create_request(n, n, RKN_REQUEST_APPLY, scalar=RKN_C32)
    bc = cmplx(images, kind=real32)
    call s%start(R, bc, xc)
    call copy_through(s, RKN_C32)
    call expect(maxval(abs(xc - bc)) < 1e-4, "complex(real32)")
    call R%create_request(n, n, RKN_REQUEST_APPLY, scalar=RKN_C64)
    bz = images
    call s%start(R, bz, xz)
    call copy_through(s, RKN_C64)
    call expect(maxval(abs(xz - bz)) < 1e-8_real64, "complex(real64)")
    call s%destroy()
    call t%destroy()
    call R%destroy()
  end subroutine by_requests

  subroutine copy_through(s, scalar)
    type(rkn_krylov_t), intent(in) :: s
    integer, intent(in) :: scalar
    type(rkn_request_t) :: request
    real(real32), pointer :: u4(:, :), v4(:, :)
    complex(real32), pointer :: uc(:, :), vc(:, :)
    complex(real64), pointer :: uz(:, :), vz(:, :)
    do
      call s%next(request)
      if (request%kind == RKN_REQUEST_DONE) exit
      select case (scalar)
      case (RKN_F32)
        call request%columns(u4, v4)
        v4 = u4
      case (RKN_C32)
        call request%columns(uc, vc)
        vc = uc
      case (RKN_C64)
        call request%columns(uz, vz)
        vz = uz
      end select
    end do
  end subroutine copy_through

end program test_block
