! Operators against the intrinsic matmul; illegal input first.
module operator_callbacks
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: real64
  use reknit
  implicit none

  ! y = A (A x) by applying the operator given to it: a callback that comes back to the library.
  type, extends(rkn_linear_map_f64) :: square
    type(rkn_operator_t) :: inner
    integer :: depth = 0
  contains
    procedure :: apply => apply_square
  end type square

  ! A rectangular map: sums of neighbours, n + 1 numbers to n.
  type, extends(rkn_linear_map_f64) :: neighbours
    integer :: calls = 0
  contains
    procedure :: apply => apply_neighbours
  end type neighbours

  integer :: released = 0

contains

  subroutine apply_square(self, trans, x, y, stat)
    class(square), intent(inout) :: self
    integer, intent(in) :: trans
    real(real64), intent(in) :: x(:, :)
    real(real64), intent(out) :: y(:, :)
    integer, intent(inout) :: stat
    real(real64), target :: z(size(x, 1), size(x, 2)), w(size(x, 1), size(x, 2))
    self%depth = self%depth + 1
    call self%inner%apply(x, z, trans, stat)
    if (stat == RKN_OK) call self%inner%apply(z, w, trans, stat)
    y = w
  end subroutine apply_square

  subroutine apply_neighbours(self, trans, x, y, stat)
    class(neighbours), intent(inout) :: self
    integer, intent(in) :: trans
    real(real64), intent(in) :: x(:, :)
    real(real64), intent(out) :: y(:, :)
    integer, intent(inout) :: stat
    integer :: n
    n = size(x, 1)
    if (trans == RKN_N .and. size(y, 1) == n - 1) then
      y = x(:n - 1, :) + x(2:, :)
    else if (trans /= RKN_N .and. size(y, 1) == n + 1) then
      y = 0
      y(:n, :) = x
      y(2:, :) = y(2:, :) + x
    else
      y = 0
      stat = 1
    end if
    self%calls = self%calls + 1
  end subroutine apply_neighbours

  ! The C way: user is the address of a factor.
  function raw_apply(user, trans, ncols, x, ldx, y, ldy) bind(c) result(stat)
    type(c_ptr), value :: user, x, y
    integer(c_int32_t), value :: trans
    integer(c_int64_t), value :: ncols, ldx, ldy
    integer(c_int32_t) :: stat
    real(c_double), pointer :: factor, from(:, :), to(:, :)
    call c_f_pointer(user, factor)
    call c_f_pointer(x, from, [ldx, ncols])
    call c_f_pointer(y, to, [ldy, ncols])
    to(:3, :) = factor*from(:3, :)
    stat = merge(0_c_int32_t, 1_c_int32_t, trans == RKN_N)
  end function raw_apply

  subroutine raw_release(user) bind(c)
    type(c_ptr), value :: user
    if (c_associated(user)) released = released + 1
  end subroutine raw_release

end module operator_callbacks

program test_operator
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
  use reknit
  use check
  use poisson
  use operator_callbacks
  implicit none

  integer, parameter :: n = 6
  integer(int32), allocatable, target :: ptr(:), ind(:)
  integer(int64), allocatable, target :: ptr64(:), ind64(:)
  real(real32), allocatable, target :: val_f32(:)
  real(real64), allocatable, target :: val_f64(:)
  complex(real32), allocatable, target :: val_c32(:)
  complex(real64), allocatable, target :: val_c64(:)
  complex(real64), allocatable :: val(:)

  call csr(n, 0.0_real64, ptr64, ind64, val)
  ptr = int(ptr64, int32)
  ind = int(ind64, int32)
  val_f32 = real(val, real32)
  val_f64 = real(val, real64)
  call csr(n, theta, ptr64, ind64, val_c64)
  val_c32 = cmplx(val_c64, kind=real32)

  call illegal_matrices()
  call illegal_use()
  call not_contiguous()
  call csr_all_kinds()
  call other_formats()
  call matrix_market()
  call callbacks_all_kinds()
  call callback_rectangular()
  call callback_raw()
  call callback_failing()
  call callback_reentry()
  call compositions()
  call new_numbers()
  call preconditioners()
  call nullspaces()
  call keys()
  call report()

contains

  ! A fixed, irregular n x k block to multiply with.
  pure function sample(rows, columns) result(x)
    integer, intent(in) :: rows, columns
    complex(real64) :: x(rows, columns)
    integer :: i, j
    do j = 1, columns
      do i = 1, rows
        x(i, j) = cmplx(sin(1.0_real64*i + 3*j), cos(2.0_real64*i*j), real64)
      end do
    end do
  end function sample

  pure function dagger(a) result(b)
    complex(real64), intent(in) :: a(:, :)
    complex(real64) :: b(size(a, 2), size(a, 1))
    b = conjg(transpose(a))
  end function dagger

  ! A x for the three forms of A, compared with matmul; for real operators the real part of the sample.
  subroutine compare(A, matrix, what)
    type(rkn_operator_t), intent(in) :: A
    complex(real64), intent(in) :: matrix(:, :)
    character(*), intent(in) :: what
    integer(c_int32_t) :: trans, tag
    complex(real64), allocatable :: op(:, :), x(:, :), wanted(:, :)
    complex(real64), allocatable, target :: x_c64(:, :), y_c64(:, :)
    complex(real32), allocatable, target :: x_c32(:, :), y_c32(:, :)
    real(real64), allocatable, target :: x_f64(:, :), y_f64(:, :)
    real(real32), allocatable, target :: x_f32(:, :), y_f32(:, :)
    real(real64) :: gap
    integer :: rc
    character(400) :: message
    call A%scalar(tag)
    do trans = RKN_N, RKN_H
      op = matrix
      if (trans == RKN_T) op = transpose(matrix)
      if (trans == RKN_H) op = dagger(matrix)
      x = sample(size(op, 2), 2)
      if (tag == RKN_F32 .or. tag == RKN_F64) x%im = 0
      wanted = matmul(op, x)
      select case (tag)
      case (RKN_F32)
        x_f32 = real(x, real32)
        y_f32 = real(0*wanted, real32)
        call A%apply(x_f32, y_f32, trans, rc, message)
        gap = maxval(abs(wanted - y_f32))/1e7_real64
      case (RKN_F64)
        x_f64 = real(x, real64)
        y_f64 = real(0*wanted, real64)
        call A%apply(x_f64, y_f64, trans, rc, message)
        gap = maxval(abs(wanted - y_f64))
      case (RKN_C32)
        x_c32 = cmplx(x, kind=real32)
        y_c32 = cmplx(0*wanted, kind=real32)
        call A%apply(x_c32, y_c32, trans, rc, message)
        gap = maxval(abs(wanted - cmplx(y_c32, kind=real64)))/1e7_real64
      case default
        x_c64 = x
        y_c64 = 0*wanted
        call A%apply(x_c64, y_c64, trans, rc, message)
        gap = maxval(abs(wanted - y_c64))
      end select
      call expect_status(rc, RKN_OK, what//" applies: "//trim(message))
      call expect(gap < 1e-12_real64, what//" agrees with matmul")
    end do
  end subroutine compare

  subroutine illegal_matrices()
    type(rkn_operator_t) :: A
    integer(int32), target :: bad_ptr(n + 1), bad_ind(3*n - 2), empty(0)
    real(real64), target :: short(5), poisoned(3*n - 2)
    real(real64), target :: blocks(2, 3, 4)
    integer :: rc
    character(400) :: message

    bad_ptr = ptr
    bad_ptr(3) = bad_ptr(4) + 1
    call A%create_csr(bad_ptr, ind, val_f64, stat=rc, errmsg=message)
    call expect(rc < 0, "row pointers that do not ascend are refused")
    call expect(index(message, "rkn_operator_create_csr: argument 'rowptr'") == 1, "and named: "//trim(message))

    bad_ind = ind
    bad_ind(5) = n + 1
    call A%create_csr(ptr, bad_ind, val_f64, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_INDEX, message, "'colind' 7 1..6", "column out of range")
    bad_ind(5) = 0
    call A%create_csr(ptr, bad_ind, val_f64, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_INDEX, message, "'colind' 0", "column below the base")

    poisoned = val_f64
    poisoned(3) = ieee_value(1.0_real64, ieee_quiet_nan)
    call A%create_csr(ptr, ind, poisoned, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NONFINITE, message, "'values'", "NaN in the values")

    short = val_f64(:5)
    call A%create_csr(ptr, ind, short, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "'values' 5 16", "too few values")
    bad_ptr = ptr
    bad_ptr(n + 1) = 100
    call A%create_csr(bad_ptr, ind, val_f64, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "'rowptr' 100 17", "row pointers past the arrays")
    call A%create_csr(empty, ind, val_f64, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "'rowptr'", "no row pointers")
    call A%create_csr(ptr, ind, val_f64, ncols=-1, stat=rc, errmsg=message)
    call expect(rc < 0 .and. index(message, "'ncols'") > 0, "negative ncols: "//trim(message))
    call A%create_csr(ptr, ind, val_f64, base=2, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "'base' 2", "base 2")
    call A%create_csr(ptr, ind, val_f64, memory=9, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "'memory' 9", "memory 9")
    blocks = 1
    call A%create_bsr(ptr, ind, blocks, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "'values' square", "oblong blocks")
    call A%create_coo(ind, ind, short, n, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "'rowind' 16 5", "triplets of unequal length")
    call A%create_matrix_market("no/such/file.mtx", stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_FILE, message, "no/such/file.mtx", "a file that is not there")
    call A%create_identity(-3, stat=rc, errmsg=message)
    call expect(rc < 0 .and. index(message, "'n'") > 0, "negative size: "//trim(message))
    call expect(.not. c_associated(A%handle), "nothing was created")

    call A%create_csr(ptr, ind, val_f64, stat=rc)
    call A%create_csr(ptr, bad_ind, val_f64, base=7, stat=rc)
    call expect(rc < 0, "a second creation is refused")
    call compare(A, full(n, 0.0_real64), "the first after a refused second")
    call A%destroy()
  end subroutine illegal_matrices

  subroutine illegal_use()
    type(rkn_operator_t) :: A, never, M, dead
    real(real64), target :: x(n), y(n), long(n + 1)
    real(real32), target :: single(n), single_y(n)
    integer :: rc
    integer(int64) :: number
    character(400) :: message
    x = 1
    long = 1
    single = 1
    call never%apply(x, y, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NULL, message, "rkn_operator_apply 'A'", "an operator that was never created")
    call never%changed(stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NULL, message, "rkn_operator_changed 'A'", "changed on none")
    call A%create_csr(ptr, ind, val_f64)
    call A%apply(long, y, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "'x' 7 6", "x too long")
    call A%apply(x, long, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "'y' 7 6", "y too long")
    call A%apply(single, single_y, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SCALAR, message, "'x' real(real32) real(real64)", "wrong kind")
    call A%apply(x, y, trans=5, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "'trans' 5", "no such transpose")
    call A%get("entires", number, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_KEY, message, "entires", "unknown key")
    call M%create_preconditioner(A, "no_such_kind", stat=rc, errmsg=message)
    call expect(rc < 0 .and. index(message, "no_such_kind") > 0, "unknown preconditioner: "//trim(message))
    call M%create_sum(1, A, (0.0, 1.0), A, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SCALAR, message, "'beta' imaginary", "complex factor of a real operator")
    call M%create_scaled("two", A, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "'alpha'", "a factor that is no number")
    call A%set_nullspace(RKN_RIGHT, long, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "'vectors' 7 6", "nullspace of another size")
    dead = A
    call A%destroy()
    call dead%apply(x, y, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_HANDLE, message, "rkn_operator_apply 'A'", "a dead handle")
    call dead%destroy()
    call A%destroy()
  end subroutine illegal_use

  subroutine not_contiguous()
    type(rkn_operator_t) :: A
    real(real64), target :: wide(2, 16), square(6, 6), x(n), y(n), matrix(12, 6)
    integer(int32), target :: wide_ind(2, 16), wide_ptr(2, 7)
    integer :: rc
    character(400) :: message
    wide(1, :) = val_f64
    wide_ind(1, :) = ind
    wide_ptr(1, :) = ptr
    call A%create_csr(ptr, ind, wide(1, :), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "'values' contiguous", "values with gaps")
    call A%create_csr(ptr, wide_ind(1, :), val_f64, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "'colind' contiguous", "indices with gaps")
    call A%create_csr(wide_ptr(1, :), ind, val_f64, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "'rowptr' contiguous", "pointers with gaps")
    call A%create_diagonal(val_f64(16:1:-1), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "'values' contiguous", "values backwards")
    call A%create_dense(matrix(1:12:2, :), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "'values' contiguous", "every second row")
    call A%create_csr(ptr, ind, val_f64)
    x = 1
    call A%apply(square(1, :), y, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "'x' contiguous", "x with gaps")
    call A%apply(x, square(1, :), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "'y' contiguous", "y with gaps")
    call A%destroy()
  end subroutine not_contiguous

  subroutine csr_all_kinds()
    type(rkn_operator_t) :: A
    complex(real64) :: real_matrix(n, n), complex_matrix(n, n)
    real_matrix = full(n, 0.0_real64)
    complex_matrix = full(n, theta)
    call A%create_csr(ptr, ind, val_f32)
    call compare(A, real_matrix, "csr i32 f32")
    call A%create_csr(ptr, ind, val_f64)
    call compare(A, real_matrix, "csr i32 f64")
    call A%create_csr(ptr, ind, val_c32)
    call compare(A, complex_matrix, "csr i32 c32")
    call A%create_csr(ptr, ind, val_c64)
    call compare(A, complex_matrix, "csr i32 c64")
    call A%create_csr(ptr64, ind64, val_f32)
    call compare(A, real_matrix, "csr i64 f32")
    call A%create_csr(ptr64, ind64, val_f64)
    call compare(A, real_matrix, "csr i64 f64")
    call A%create_csr(ptr64, ind64, val_c32)
    call compare(A, complex_matrix, "csr i64 c32")
    call A%create_csr(ptr64, ind64, val_c64)
    call compare(A, complex_matrix, "csr i64 c64")
    ptr = ptr - 1
    ind = ind - 1
    call A%create_csr(ptr, ind, val_f64, base=0)
    call compare(A, real_matrix, "csr base 0")
    call A%destroy()
    ptr = ptr + 1
    ind = ind + 1
    call A%create_csr(ptr(:n), ind, val_f64, ncols=n)
    call compare(A, real_matrix(:n - 1, :), "csr oblong")
    call A%destroy()
  end subroutine csr_all_kinds

  subroutine other_formats()
    type(rkn_operator_t) :: A
    complex(real64) :: matrix(n, n)
    real(real64), target :: dense(8, 3), diagonal(3), blocks(2, 2, 3)
    integer(int32), target :: bptr(3), bind(3), rows(5), cols(5), lptr(n + 1), lind(2*n - 1)
    complex(real64), target :: lval(2*n - 1)
    real(real64), target :: triplets(5), assembled(4)
    integer :: i, k

    matrix = full(n, theta)
    call A%create_csc(ptr64, ind64, val_c64)
    call compare(A, transpose(matrix), "csc")

    ! Blocks (1,1), (1,2) and (2,2) of a 4 x 4 matrix.
    bptr = [1, 3, 4]
    bind = [1, 2, 2]
    blocks = reshape([(real(k, real64), k=1, 12)], [2, 2, 3])
    matrix(:4, :4) = 0
    matrix(1:2, 1:2) = blocks(:, :, 1)
    matrix(1:2, 3:4) = blocks(:, :, 2)
    matrix(3:4, 3:4) = blocks(:, :, 3)
    call A%create_bsr(bptr, bind, blocks)
    call compare(A, matrix(:4, :4), "bsr")
    matrix(1:2, 1:2) = transpose(blocks(:, :, 1))
    matrix(1:2, 3:4) = transpose(blocks(:, :, 2))
    matrix(3:4, 3:4) = transpose(blocks(:, :, 3))
    call A%create_bsr(bptr, bind, blocks, order=RKN_ROW_MAJOR, memory=RKN_COPY)
    call compare(A, matrix(:4, :4), "bsr by rows")

    ! The lower triangle of the Hermitian matrix.
    lptr(1) = 1
    k = 0
    do i = 1, n
      if (i > 1) then
        k = k + 1
        lind(k) = i - 1
        lval(k) = -exp(cmplx(0, theta, real64))
      end if
      k = k + 1
      lind(k) = i
      lval(k) = 2
      lptr(i + 1) = k + 1
    end do
    call A%create_csr_symmetric(lptr, lind, lval, RKN_LOWER, hermitian=.true.)
    call compare(A, full(n, theta), "hermitian triangle")
    matrix = full(n, theta)
    do i = 1, n - 1
      matrix(i, i + 1) = matrix(i + 1, i)
    end do
    call A%create_csr_symmetric(lptr, lind, lval, RKN_LOWER)
    call compare(A, matrix, "symmetric triangle")

    assembled = [-1.0_real64, -2.0_real64, -3.0_real64, -4.0_real64]
    rows = [1, 3, 2, 3, 1]
    cols = [2, 1, 4, 1, 1]
    triplets = [1.0_real64, 2.0_real64, 3.0_real64, 40.0_real64, 5.0_real64]
    matrix(:3, :4) = 0
    matrix(1, 2) = 1
    matrix(3, 1) = 42
    matrix(2, 4) = 3
    matrix(1, 1) = 5
    call A%create_coo(rows, cols, triplets, 3, ncols=4)
    call compare(A, matrix(:3, :4), "triplets, one twice")
    call A%set_values(assembled)   ! by rows, columns ascending
    matrix(1, 1) = -1
    matrix(1, 2) = -2
    matrix(2, 4) = -3
    matrix(3, 1) = -4
    call compare(A, matrix(:3, :4), "new values of assembled triplets")

    dense = real(sample(8, 3), real64)
    call A%create_dense(dense)
    call compare(A, cmplx(dense, 0, real64), "dense")
    call A%create_dense(dense(2:6, :))
    call compare(A, cmplx(dense(2:6, :), 0, real64), "dense part of a larger one")
    call A%create_dense(dense, order=RKN_ROW_MAJOR)
    call compare(A, cmplx(transpose(dense), 0, real64), "dense by rows")
    diagonal = [3.0_real64, -1.0_real64, 0.5_real64]
    matrix(:3, :3) = 0
    do i = 1, 3
      matrix(i, i) = diagonal(i)
    end do
    call A%create_diagonal(diagonal)
    call compare(A, matrix(:3, :3), "diagonal")
    do i = 1, 3
      matrix(i, i) = 1
    end do
    call A%create_identity(3, RKN_C32)
    call compare(A, matrix(:3, :3), "identity")
    call A%create_identity(3_int64)
    call compare(A, matrix(:3, :3), "identity, 64 bits")
    call A%destroy()
  end subroutine other_formats

  subroutine matrix_market()
    type(rkn_operator_t) :: A
    complex(real64) :: matrix(2, 3)
    integer :: unit
    open (newunit=unit, file="test_operator.mtx", status="replace", action="write")
    write (unit, "(a)") "%%MatrixMarket matrix coordinate real general", "2 3 3", "1 1 1.5", "2 3 -2", "1 2 4e0"
    close (unit)
    matrix = 0
    matrix(1, 1) = 1.5_real64
    matrix(2, 3) = -2
    matrix(1, 2) = 4
    call A%create_matrix_market("test_operator.mtx   ")
    call compare(A, matrix, "matrix market")
    call A%create_matrix_market("test_operator.mtx", RKN_C64)
    call compare(A, matrix, "matrix market into complex")
    call A%destroy()
    open (newunit=unit, file="test_operator.mtx", status="old")
    close (unit, status="delete")
  end subroutine matrix_market

  subroutine callbacks_all_kinds()
    type(rkn_operator_t) :: A
    type(map_f32), target :: f32
    type(map_f64), target :: f64
    type(map_c32), target :: c32
    type(map_c64), target :: c64
    call A%create_callback(f32, n, n)
    call compare(A, full(n, 0.0_real64), "callback f32")
    call A%create_callback(f64, n, n)
    call compare(A, full(n, 0.0_real64), "callback f64")
    call A%create_callback(c32, n, n)
    call compare(A, full(n, theta), "callback c32")
    call A%create_callback(c64, 1_int64*n, 1_int64*n)
    call compare(A, full(n, theta), "callback c64")
    call A%destroy()
    call expect(f32%transposed == 2 .and. c64%transposed == 2, "the object itself is called, not a copy")
    call expect(f64%calls == 3, "one call for the whole block")
  end subroutine callbacks_all_kinds

  subroutine callback_rectangular()
    type(rkn_operator_t) :: A
    type(neighbours), target :: map
    complex(real64) :: matrix(4, 5)
    integer :: i
    matrix = 0
    do i = 1, 4
      matrix(i, i:i + 1) = 1
    end do
    call A%create_callback(map, 4, 5)
    call compare(A, matrix, "rectangular callback")
    call expect(map%calls == 3, "called once for each form")
    call A%destroy()
  end subroutine callback_rectangular

  subroutine callback_raw()
    type(rkn_operator_t) :: A
    real(c_double), target :: factor
    real(real64), target :: x(3), y(3)
    factor = 4
    x = [1.0_real64, 2.0_real64, 3.0_real64]
    call A%create_callback(c_funloc(raw_apply), c_loc(factor), c_funloc(raw_release), RKN_F64, 3_int64, 3_int64)
    call A%apply(x, y)
    call expect(all(abs(y - 4*x) <= 0), "raw callback")
    call expect(released == 0, "kept as long as the operator")
    call A%destroy()
    call expect(released == 1, "let go with it")
  end subroutine callback_raw

  subroutine callback_failing()
    type(rkn_operator_t) :: A
    type(map_f64), target :: map
    real(real64), target :: x(n), y(n)
    integer :: rc
    integer(int64) :: code
    character(400) :: message
    x = 1
    call A%create_callback(map, n, n)
    map%fail_at = 1
    call A%apply(x, y, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_CALLBACK, message, "rkn_operator_apply 77", "a failing callback")
    call A%get("callback_status", code)
    call expect(code == 77, "its own status is handed back")
    call A%apply(x, y)
    call expect(all(abs(y(2:n - 1)) <= 0) .and. abs(y(1) - 1) <= 0, "the next call works")
    call A%destroy()
  end subroutine callback_failing

  subroutine callback_reentry()
    type(rkn_operator_t) :: A
    type(square), target :: twice
    complex(real64) :: matrix(n, n)
    real(real64), target :: x(n), y(n)
    integer :: rc
    matrix = full(n, 0.0_real64)
    call twice%inner%create_csr(ptr, ind, val_f64)
    call A%create_callback(twice, n, n)
    call compare(A, matmul(matrix, matrix), "a callback that applies another operator")
    call expect(twice%depth == 3, "called once for each apply")
    call twice%inner%destroy()
    x = 1
    call A%apply(x, y, stat=rc)
    call expect_status(rc, RKN_ERR_CALLBACK, "an error inside the callback comes out as its failure")
    call A%destroy()
  end subroutine callback_reentry

  subroutine compositions()
    type(rkn_operator_t) :: A, B, C, blocks(2, 2)
    complex(real64) :: ma(n, n), mb(n, n), mc(2*n, 2*n), one(n, n)
    complex(real64), target :: diagonal(n)
    integer :: i
    ma = full(n, theta)
    mb = 0
    one = 0
    diagonal = [(cmplx(i, -2*i, real64), i=1, n)]
    do i = 1, n
      mb(i, i) = diagonal(i)
      one(i, i) = 1
    end do
    call A%create_csr(ptr, ind, val_c64)
    call B%create_diagonal(diagonal)
    call C%create_sum(2, A, (0.0_real64, 1.0_real64), B)
    call compare(C, 2*ma + (0.0_real64, 1.0_real64)*mb, "sum")
    call C%create_product(A, B)
    call compare(C, matmul(ma, mb), "product")
    call C%create_scaled(-0.5, A)
    call compare(C, -0.5_real64*ma, "scaled")
    call C%create_shifted(A, (1.0, 3.0))
    call compare(C, ma + (1.0_real64, 3.0_real64)*one, "shifted")
    call C%create_adjoint(A, RKN_T)
    call compare(C, transpose(ma), "transpose")
    call C%create_adjoint(B)
    call compare(C, dagger(mb), "adjoint")
    blocks(1, 1) = A
    blocks(1, 2) = B
    blocks(2, 2) = A
    call C%create_block(blocks)
    mc = 0
    mc(:n, :n) = ma
    mc(:n, n + 1:) = mb
    mc(n + 1:, n + 1:) = ma
    call A%destroy()
    call B%destroy()
    call compare(C, mc, "blocks, the parts destroyed first")
    call C%destroy()
  end subroutine compositions

  subroutine new_numbers()
    type(rkn_operator_t) :: A
    real(real64), target :: values(3*n - 2)
    real(real64), target :: two(2, 2), wide(3, 2)
    integer :: rc
    character(400) :: message
    values = val_f64
    call A%create_csr(ptr, ind, values)
    values = 3*values
    call A%changed()
    call compare(A, 3*full(n, 0.0_real64), "borrowed values")
    call A%set_values(values, stat=rc, errmsg=message)
    call expect(rc < 0 .and. index(message, "rkn_operator_set_values") == 1, "not on borrowed values: "//trim(message))
    call A%create_csr(ptr, ind, values, memory=RKN_COPY)
    values = 0
    call compare(A, 3*full(n, 0.0_real64), "copied values")
    call A%changed(stat=rc)
    call expect_status(rc, RKN_ERR_STATE, "a copy does not change behind our back")
    values = 5*val_f64
    call A%set_values(values)
    call compare(A, 5*full(n, 0.0_real64), "new values")
    call A%set_values(values(:3), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "'values' 3 16", "too few new values")
    wide = 1
    two = reshape([1.0_real64, 2.0_real64, 3.0_real64, 4.0_real64], [2, 2])
    call A%create_dense(two, memory=RKN_COPY)
    two = -two
    call A%set_values(wide(:2, :), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "'values' 3 2", "new values with another leading dimension")
    call A%set_values(two)
    call compare(A, cmplx(two, 0, real64), "new values of a dense matrix")
    call A%destroy()
  end subroutine new_numbers

  subroutine preconditioners()
    type(rkn_operator_t) :: A, M
    real(real64), target :: values(3*n - 2)
    real(real64), target :: x(n), y(n), z(n)
    values = val_f64
    x = real(pack(sample(n, 1), .true.), real64)
    call A%create_csr(ptr, ind, values)
    call M%create_preconditioner(A, "jacobi")
    call M%apply(x, y)
    call expect(maxval(abs(y - x/2)) < 1e-15_real64, "jacobi divides by the diagonal")
    values = 2*values
    call A%changed()
    call M%changed()
    call M%apply(x, y)
    call expect(maxval(abs(y - x/4)) < 1e-15_real64, "and follows new values")
    call M%create_preconditioner(A, "ilu levels=0")
    call A%apply(x, z)
    call M%apply(z, y)
    call expect(maxval(abs(y - x)) < 1e-13_real64, "ilu of a tridiagonal matrix is exact")
    call A%destroy()
    call M%apply(z, y)
    call expect(maxval(abs(y - x)) < 1e-13_real64, "also without its operator")
    call M%destroy()
  end subroutine preconditioners

  subroutine nullspaces()
    type(rkn_operator_t) :: A
    real(real64), target :: basis(n), twice(n, 2)
    integer :: rc
    character(400) :: message
    basis = 1/sqrt(1.0_real64*n)
    twice = real(sample(n, 2), real64)
    call A%create_csr(ptr, ind, val_f64)
    call A%set_nullspace(RKN_RIGHT, basis, stat=rc, errmsg=message)
    call expect_status(rc, RKN_OK, "a vector: "//trim(message))
    call A%set_nullspace(RKN_LEFT, twice, stat=rc, errmsg=message)
    call expect_status(rc, RKN_OK, "two vectors: "//trim(message))
    call A%remove_nullspace(RKN_RIGHT, stat=rc, errmsg=message)
    call expect_status(rc, RKN_OK, "removed: "//trim(message))
    call A%set_nullspace(7, basis, stat=rc, errmsg=message)
    call expect(rc < 0, "no such side")
    call A%destroy()
  end subroutine nullspaces

  subroutine keys()
    type(rkn_operator_t) :: A
    integer(c_int32_t) :: tag
    integer(int64) :: nrows, ncols, entries, products
    integer :: m, k, flag
    real(real64), target :: x(n), y(n)
    character(:), allocatable :: text
    call A%create_csr(ptr, ind, val_f64)
    call A%shape(nrows, ncols)
    call A%shape(m, k)
    call expect(nrows == n .and. ncols == n .and. m == n .and. k == n, "shape")
    call A%scalar(tag)
    call expect(tag == RKN_F64, "scalar")
    call A%get("entries", entries)
    call expect(entries == 3*n - 2, "entries")
    x = 1
    call A%apply(x, y)
    call A%apply(x, y)
    call A%get("products", products)
    call expect(products == 2, "products")
    call A%set("hermitian", 1)
    call A%get("hermitian", flag)
    call expect(flag == 1, "hermitian")
    call A%view(text)
    call expect(len(text) > 0 .and. index(text, c_null_char) == 0, "view")
    call A%destroy()
  end subroutine keys

end program test_operator
