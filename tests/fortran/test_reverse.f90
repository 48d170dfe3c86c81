! Solving by requests: illegal input first, then the same bits as by callbacks, in all four kinds.
program test_reverse
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use reknit
  use poisson, only: solution, map_f64
  use check
  implicit none
  integer, parameter :: n = 40

  call illegal()
  call same_bits()
  call kinds()
  call preconditioned()
  call one_rank()
  call endings()
  call report()

contains

  subroutine illegal()
    type(rkn_operator_t) :: A, C
    type(rkn_krylov_t) :: s
    type(rkn_context_t) :: ctx
    type(rkn_request_t) :: r
    real(real64), target :: b(n), x(n), short(n - 1)
    real(real32), target :: single(n)
    real(real64), pointer :: p(:, :), q(:, :)
    real(real32), pointer :: p4(:, :), q4(:, :)
    integer :: stat
    character(200) :: message
    b = 1
    x = 0
    single = 1
    call A%create_request(-1, n, RKN_REQUEST_APPLY, stat=stat, errmsg=message)
    call expect_words(stat, RKN_ERR_SIZE, message, "nrows", "a negative size")
    call A%create_request(n, n, RKN_REQUEST_REDUCE, stat=stat, errmsg=message)
    call expect_words(stat, RKN_ERR_ARGUMENT, message, "kind", "a reduction as operator")
    call A%create_request(n, n, RKN_REQUEST_APPLY, scalar=9, stat=stat, errmsg=message)
    call expect_words(stat, RKN_ERR_ARGUMENT, message, "scalar", "no scalar")
    call ctx%set_reduce_request(stat=stat, errmsg=message)
    call expect_words(stat, RKN_ERR_NULL, message, "ctx", "no context")
    call s%create("cg")
    call s%next(r, stat=stat, errmsg=message)
    call expect_words(stat, RKN_ERR_STATE, message, "rkn_krylov_next start", "nothing was begun")
    call expect(r%kind == RKN_REQUEST_DONE, "nothing is asked")
    call s%cancel(stat)
    call expect_status(stat, RKN_OK, "cancelling nothing")
    call s%start(A, b, x, stat=stat, errmsg=message)
    call expect_words(stat, RKN_ERR_NULL, message, "A", "no operator")
    call A%create_request(int(n, int64), int(n, int64), RKN_REQUEST_APPLY)
    call s%start(A, short, x, stat=stat, errmsg=message)
    call expect_words(stat, RKN_ERR_SIZE, message, "rkn_krylov_start b 39 40", "a short right-hand side")
    call s%start(A, single, single, stat=stat, errmsg=message)
    call expect_words(stat, RKN_ERR_SCALAR, message, "b real(real32)", "another kind")
    call s%start(A, b, b, stat=stat, errmsg=message)
    call expect_words(stat, RKN_ERR_ARGUMENT, message, "x overlapping", "b is x")
    call s%start_prepare(C, stat=stat, errmsg=message)
    call expect_words(stat, RKN_ERR_NULL, message, "A", "nothing to prepare")
    call s%solve(A, b, x, stat=stat, errmsg=message)
    call expect_words(stat, RKN_ERR_STATE, message, "rkn_krylov_start", "nobody to ask")
    call s%start(A, b, x)
    call s%next(r, failed=3, stat=stat, errmsg=message)
    call expect_words(stat, RKN_ERR_ARGUMENT, message, "failed", "a failure before any request")
    call s%next(r)
    call expect(r%kind == RKN_REQUEST_APPLY .and. r%trans == RKN_N, "a product is asked for")
    call expect(.not. associated(r%inout), "nothing to sum")
    call r%columns(p4, q4, stat=stat, errmsg=message)
    call expect_words(stat, RKN_ERR_SCALAR, message, "kind", "columns of another kind")
    call r%columns(p, q)
    call expect(all(shape(p) == [n, 1]) .and. all(shape(q) == [n, 1]), "the shape of the columns")
    call s%set("rtol", 1d-4, stat=stat, errmsg=message)
    call expect_words(stat, RKN_ERR_BUSY, message, "s", "options in the middle")
    call s%cancel()
    call s%next(r, stat=stat)
    call expect_status(stat, RKN_ERR_STATE, "after the end")
    call r%columns(p, q, stat=stat, errmsg=message)
    call expect_words(stat, RKN_ERR_STATE, message, "product", "columns of no request")
    call s%destroy()
    call A%destroy()
  end subroutine illegal

  ! y = tridiag(-1, 2, -1) x
  subroutine serve(r)
    type(rkn_request_t), intent(in) :: r
    real(real64), pointer :: x(:, :), y(:, :)
    integer :: i, j
    call r%columns(x, y)
    do j = 1, size(x, 2)
      do i = 1, size(x, 1)
        y(i, j) = 2*x(i, j)
        if (i > 1) y(i, j) = y(i, j) - x(i - 1, j)
        if (i < size(x, 1)) y(i, j) = y(i, j) - x(i + 1, j)
      end do
    end do
  end subroutine serve

  subroutine same_bits()
    character(8), parameter :: methods(6) = [character(8) :: "auto", "cg", "minres", "gmres", "bicgstab", "gcrodr"]
    type(map_f64), target :: map
    type(rkn_operator_t) :: F, A
    type(rkn_krylov_t) :: s, t
    type(rkn_request_t) :: r
    real(real64), target :: b(n), x(n), y(n)
    integer :: k, step, first, second
    call F%create_callback(map, n, n)
    call A%create_request(n, n, RKN_REQUEST_APPLY)
    do k = 1, size(methods)
      call s%create(methods(k))
      call t%create(methods(k))
      call s%set("rtol", 1d-10)
      call t%set("rtol", 1d-10)
      do step = 1, 3
        b = 1
        call F%changed()
        call A%changed()
        call s%solve(F, b, x)
        call t%start(A, b, y)
        do
          call t%next(r)
          if (r%kind == RKN_REQUEST_DONE) exit
          call serve(r)
        end do
        call s%get("iterations", first)
        call t%get("iterations", second)
        call expect(all(transfer(x, [0_int64]) == transfer(y, [0_int64])), trim(methods(k))//": the same bits")
        call expect(first == second, trim(methods(k))//": the same iterations")
        call expect(maxval(abs(y - solution(n))) < 1e-6_real64, trim(methods(k))//": the solution")
      end do
      call s%destroy()
      call t%destroy()
    end do
    call F%destroy()
    call A%destroy()
  end subroutine same_bits

  ! The other kinds: A = diag(1, ..., 5)
  subroutine kinds()
    type(rkn_operator_t) :: A
    type(rkn_krylov_t) :: s
    type(rkn_request_t) :: r
    real(real32), target :: b4(5), x4(5)
    complex(real32), target :: bc(5), xc(5)
    complex(real64), target :: bz(5), xz(5)
    real(real32), pointer :: u4(:, :), v4(:, :)
    complex(real32), pointer :: uc(:, :), vc(:, :)
    complex(real64), pointer :: uz(:, :), vz(:, :)
    integer :: i
    call s%create("gmres")
    call A%create_request(5, 5, RKN_REQUEST_USER + 1, scalar=RKN_F32)
    b4 = 1
    call s%start(A, b4, x4)
    do
      call s%next(r)
      if (r%kind == RKN_REQUEST_DONE) exit
      call expect(r%kind == RKN_REQUEST_USER + 1, "a kind of the program's own")
      call r%columns(u4, v4)
      v4 = spread([(i, i=1, 5)], 2, size(u4, 2))*u4
    end do
    call expect(all(abs([(i*x4(i), i=1, 5)] - b4) < 1e-4), "real(real32)")
    call A%create_request(5, 5, RKN_REQUEST_APPLY, scalar=RKN_C32)
    bc = (0, 1)
    call s%start(A, bc, xc)
    do
      call s%next(r)
      if (r%kind == RKN_REQUEST_DONE) exit
      call r%columns(uc, vc)
      vc = spread([(i, i=1, 5)], 2, size(uc, 2))*uc
    end do
    call expect(all(abs([(i*xc(i), i=1, 5)] - bc) < 1e-4), "complex(real32)")
    call A%create_request(5, 5, RKN_REQUEST_APPLY, scalar=RKN_C64)
    bz = (1, 1)
    call s%start(A, bz, xz)
    do
      call s%next(r)
      if (r%kind == RKN_REQUEST_DONE) exit
      call r%columns(uz, vz)
      vz = spread([(i, i=1, 5)], 2, size(uz, 2))*uz
    end do
    call expect(all(abs([(i*xz(i), i=1, 5)] - bz) < 1e-7_real64), "complex(real64)")
    call s%destroy()
    call A%destroy()
  end subroutine kinds

  subroutine preconditioned()
    type(rkn_operator_t) :: A, M
    type(rkn_krylov_t) :: s
    type(rkn_request_t) :: r
    real(real64), target :: b(n), x(n)
    real(real64), pointer :: u(:, :), v(:, :)
    integer :: uses
    b = 1
    uses = 0
    call A%create_request(n, n, RKN_REQUEST_APPLY)
    call M%create_request(n, n, RKN_REQUEST_PRECONDITION)
    call s%create("gcrodr")
    call s%set("rtol", 1d-10)
    call s%start(A, b, x, M)
    do
      call s%next(r)
      select case (r%kind)
      case (RKN_REQUEST_APPLY)
        call serve(r)
      case (RKN_REQUEST_PRECONDITION)
        call r%columns(u, v)
        v = u/2
        uses = uses + 1
      case (RKN_REQUEST_DONE)
        exit
      end select
    end do
    call expect(uses > 3 .and. maxval(abs(x - solution(n))) < 1e-5_real64, "a preconditioner by request")
    call s%destroy()
    call A%destroy()
    call M%destroy()
  end subroutine preconditioned

  ! The sum over one rank is no work, but asked for.
  subroutine one_rank()
    type(rkn_context_t) :: ctx
    type(rkn_operator_t) :: A
    type(rkn_krylov_t) :: s
    type(rkn_request_t) :: r
    real(real64), target :: b(n), x(n)
    integer :: sums, call_number
    b = 1
    call ctx%create()
    call ctx%set_reduce_request()
    call A%create_request(n, n, RKN_REQUEST_APPLY, ctx=ctx)
    call s%create("gmres", ctx)
    do call_number = 1, 2
      sums = 0
      if (call_number == 1) call s%start_prepare(A)
      if (call_number == 2) call s%start(A, b, x)
      do
        call s%next(r)
        if (r%kind == RKN_REQUEST_DONE) exit
        if (r%kind == RKN_REQUEST_APPLY) call serve(r)
        if (r%kind == RKN_REQUEST_REDUCE) then
          call expect(r%op == RKN_SUM .and. size(r%inout) > 0, "a sum")
          sums = sums + 1
        end if
      end do
      call expect(sums > 0, "sums are asked for")
    end do
    call expect(maxval(abs(x - solution(n))) < 1e-4_real64, "the solution with sums")
    call s%destroy()
    call A%destroy()
    call ctx%destroy()
  end subroutine one_rank

  subroutine endings()
    type(rkn_operator_t) :: A
    type(rkn_krylov_t) :: s
    type(rkn_request_t) :: r
    real(real64), target :: b(n), x(n)
    integer :: stat, k, value
    character(200) :: message
    b = 1
    call A%create_request(n, n, RKN_REQUEST_APPLY)
    call s%create("cg")
    call s%start(A, b, x)
    do k = 1, 100
      call s%next(r, failed=merge(7, 0, k == 4), stat=stat, errmsg=message)
      if (r%kind == RKN_REQUEST_DONE) exit
      call serve(r)
    end do
    call expect_words(stat, RKN_ERR_CALLBACK, message, "7", "a request that fails")
    call s%get("callback_status", value)
    call expect(value == 7, "the value of the failure")
    call s%set("max_iterations", 3)
    call s%start(A, b, x)
    do
      call s%next(r, stat=stat)
      if (r%kind == RKN_REQUEST_DONE) exit
      call serve(r)
    end do
    call expect_status(stat, RKN_STOP_ITERATIONS, "a limit")
    call s%start(A, b, x)
    call s%next(r)
    call s%destroy()                             ! in the middle
    call A%destroy()
  end subroutine endings

end program test_reverse
