! What a solver has learned, as a thing of its own; illegal input first. Eigenvectors of the second difference
! are sines.
module learned_callbacks
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: real32, real64
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan
  use reknit
  implicit none
  integer :: calls = 0

  ! Linear interpolation from n to 2 n + 1 points.
  type, extends(rkn_prolongation_f64) :: interpolation
    integer :: calls = 0
    logical :: broken = .false., poisoned = .false.
  contains
    procedure :: prolongate => interpolate_f64
  end type interpolation

  ! Repeats each entry.
  type, extends(rkn_prolongation_f32) :: repetition_f32
    integer :: calls = 0
  contains
    procedure :: prolongate => repeat_f32
  end type repetition_f32

  type, extends(rkn_prolongation_c32) :: repetition_c32
    integer :: calls = 0
  contains
    procedure :: prolongate => repeat_c32
  end type repetition_c32

  type, extends(rkn_prolongation_c64) :: repetition_c64
    integer :: calls = 0
  contains
    procedure :: prolongate => repeat_c64
  end type repetition_c64

  ! The inverse of a diagonal matrix, as it was at the last refresh.
  type, extends(rkn_linear_map_f64) :: factors
    real(real64) :: inverse(50)
  contains
    procedure :: apply => apply_factors
  end type factors

  type, extends(rkn_refresh) :: renewal
    real(real64), pointer :: diagonal(:) => null()
    type(factors), pointer :: factors => null()
    integer :: calls = 0, answer = 0
  contains
    procedure :: refresh => renew
  end type renewal

contains
  subroutine interpolate_f64(self, x, y, stat)
    class(interpolation), intent(inout) :: self
    real(real64), intent(in) :: x(:)
    real(real64), intent(out) :: y(:)
    integer, intent(inout) :: stat
    integer :: n
    self%calls = self%calls + 1
    n = size(x)
    y(2::2) = x
    y(1) = x(1)/2
    y(2*n + 1) = x(n)/2
    y(3:2*n - 1:2) = (x(:n - 1) + x(2:))/2
    if (self%poisoned) y(1) = ieee_value(y(1), ieee_quiet_nan)
    if (self%broken) stat = 12
  end subroutine interpolate_f64

  subroutine repeat_f32(self, x, y, stat)
    class(repetition_f32), intent(inout) :: self
    real(real32), intent(in) :: x(:)
    real(real32), intent(out) :: y(:)
    integer, intent(inout) :: stat
    integer :: i
    self%calls = self%calls + 1
    y = [(x((i + 1)/2), i=1, size(y))]
    if (size(y) /= 2*size(x)) stat = 1
  end subroutine repeat_f32

  subroutine repeat_c32(self, x, y, stat)
    class(repetition_c32), intent(inout) :: self
    complex(real32), intent(in) :: x(:)
    complex(real32), intent(out) :: y(:)
    integer, intent(inout) :: stat
    integer :: i
    self%calls = self%calls + 1
    y = [(x((i + 1)/2), i=1, size(y))]
    if (size(y) /= 2*size(x)) stat = 1
  end subroutine repeat_c32

  subroutine repeat_c64(self, x, y, stat)
    class(repetition_c64), intent(inout) :: self
    complex(real64), intent(in) :: x(:)
    complex(real64), intent(out) :: y(:)
    integer, intent(inout) :: stat
    integer :: i
    self%calls = self%calls + 1
    y = [(x((i + 1)/2), i=1, size(y))]
    if (size(y) /= 2*size(x)) stat = 1
  end subroutine repeat_c64

  subroutine apply_factors(self, trans, x, y, stat)
    class(factors), intent(inout) :: self
    integer, intent(in) :: trans
    real(real64), intent(in) :: x(:, :)
    real(real64), intent(out) :: y(:, :)
    integer, intent(inout) :: stat
    y = spread(self%inverse, 2, size(x, 2))*x
    if (trans < 0) stat = 1
  end subroutine apply_factors

  subroutine renew(self, stat)
    class(renewal), intent(inout) :: self
    integer, intent(inout) :: stat
    self%calls = self%calls + 1
    self%factors%inverse = 1/self%diagonal
    stat = self%answer
  end subroutine renew

  ! Linear interpolation from n to 2 n + 1 points.
  integer(c_int32_t) function interpolate(user, n, x, n_new, y) bind(c)
    type(c_ptr), value :: user, x, y
    integer(c_int64_t), value :: n, n_new
    real(c_double), pointer :: from(:), to(:)
    integer(c_int64_t) :: i
    calls = calls + 1
    interpolate = merge(0, 3, n_new == 2*n + 1 .and. .not. c_associated(user))
    if (interpolate /= 0) return
    call c_f_pointer(x, from, [n])
    call c_f_pointer(y, to, [n_new])
    to(2:n_new:2) = from
    to(1) = from(1)/2
    to(n_new) = from(n)/2
    do i = 2, n
      to(2*i - 1) = (from(i - 1) + from(i))/2
    end do
  end function interpolate

  integer(c_int32_t) function refresh(user) bind(c)
    type(c_ptr), value :: user
    calls = calls + 1
    refresh = merge(0, 9, .not. c_associated(user))
  end function refresh
end module learned_callbacks

program test_learned
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use reknit
  use check, only: expect, expect_status, expect_words, closing => report
  use learned_callbacks
  implicit none

  integer, parameter :: n = 300, k = 8
  real(real64), parameter :: pi = acos(-1.0_real64)
  type(rkn_operator_t) :: A, fine
  type(rkn_krylov_t) :: s, t, u
  real(real64) :: b(n), x(n), y(n)
  real(real64), allocatable :: space(:, :), radians(:)
  complex(real64), allocatable :: ritz(:)
  integer(c_int8_t), allocatable :: bytes(:)
  character(:), allocatable :: text
  character(400) :: message
  integer :: i, j, with, without, rc

  A = second_difference(n)
  do i = 1, n
    b(i) = sin(real(i*i, real64)) + 0.2_real64
  end do

  call s%create("gcrodr")
  call s%set_options("restart=60 recycle=8 diagnostics=on")
  call s%save(bytes, stat=rc, errmsg=message)
  call expect_words(rc, RKN_ERR_STATE, message, "rkn_krylov_save 's'", "nothing to save")
  call s%rollback(stat=rc)
  call expect_status(rc, RKN_ERR_STATE, "nothing marked")
  call s%truncate(-1, stat=rc)
  call expect_status(rc, RKN_ERR_SIZE, "truncate to a negative number")
  call s%solve(A, b, x)
  call s%get("iterations", without)

  ! Eigenvectors given beforehand.
  allocate (space(n, k))
  do j = 1, k
    do i = 1, n
      space(i, j) = sin(pi*i*j/(n + 1))
    end do
  end do
  call t%create("gcrodr")
  call t%set_options("restart=60 recycle=8 diagnostics=on")
  call t%set_space(space)
  call t%solve(A, b, y)
  call t%get("iterations", with)
  call expect(3*with < 2*without, "eigenvectors help")
  call expect(maxval(abs(x - y)) < 1e-5*maxval(abs(x)), "the same solution")
  call t%ritz_values(ritz)
  call expect(size(ritz) == k, "as many Ritz values as vectors")
  call expect(abs(real(ritz(1)) - (2 - 2*cos(pi/(n + 1)))) < 1e-6, "the smallest is the smallest eigenvalue")
  call t%angles(radians)
  call expect(size(radians) == k .and. all(radians >= 0), "angles")
  call t%report(text)
  call expect(index(text, "converged") > 0 .and. index(text, "Ritz values") > 0, "a report in words")

  ! Saved, loaded, cloned, rolled back: the next solve is the same to the last bit.
  call t%save(bytes)
  call u%create("gcrodr")
  call u%set_options("restart=60 recycle=8 diagnostics=on")
  bytes(30) = bytes(30) + 1_c_int8_t
  call u%load(A, bytes, stat=rc)
  call expect(rc /= RKN_OK, "damaged bytes are refused")
  bytes(30) = bytes(30) - 1_c_int8_t
  call u%load(A, bytes)
  call u%get_space(n, space)
  call expect(size(space, 2) >= k - 1, "the space is loaded")
  b = b(n:1:-1)
  call t%clone(s)
  call t%mark()
  call t%solve(A, b, x)
  call u%solve(A, b, y)
  call expect(maxval(abs(x - y)) <= 0, "a loaded solver goes on bit for bit")
  call s%solve(A, b, y)
  call expect(maxval(abs(x - y)) <= 0, "so does a clone")
  call t%rollback()
  call t%solve(A, b, y)
  call expect(maxval(abs(x - y)) <= 0, "and one that was rolled back")
  call t%truncate(2)
  call t%get_space(n, space)
  call expect(size(space, 2) == 2, "truncated")

  ! Onto a mesh of twice as many cells.
  calls = 0
  call u%get_space(n, space)
  call u%prolongate(int(2*n + 1, int64), c_funloc(interpolate), c_null_ptr)
  call expect(calls == size(space, 2), "a call for each vector")
  fine = second_difference(2*n + 1)
  block
    real(real64) :: c(2*n + 1), z(2*n + 1)
    c = 1
    call u%solve(fine, c, z)
    call expect(abs(z(n + 1) - real(n + 1, real64)**2/2) < 1e-4*real(n, real64)**2, "the solution is a parabola")
  end block

  call carried_by_objects()
  call refreshed_by_objects()

  ! A refresh that only an operator of the caller's may have.
  call A%set_refresh(c_funloc(refresh), c_null_ptr, stat=rc)
  call expect_status(rc, RKN_ERR_STATE, "a matrix takes no refresh")

  call s%destroy()
  call t%destroy()
  call u%destroy()
  call A%destroy()
  call fine%destroy()
  call closing()

contains

  ! Onto the finer mesh by an object.
  subroutine carried_by_objects()
    type(rkn_operator_t) :: fine
    type(rkn_krylov_t) :: s, t
    type(interpolation) :: map
    type(repetition_f32) :: other
    real(real64), allocatable :: before(:, :), after(:, :)
    real(real64) :: b(2*n + 1), x(2*n + 1)
    integer :: learned_from, fresh
    A = second_difference(n)
    call s%create("gcrodr")
    call t%create("gcrodr")
    call s%set_options("restart=40 recycle=8")
    call t%set_options("restart=40 recycle=8")
    call s%solve(A, b_of(n), x(:n))
    call s%get_space(n, before)
    call s%prolongate(-5, map, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_krylov_prolongate 'n'", "a negative size")
    call s%prolongate(2*n + 1, other, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SCALAR, message, "'scalar' f64", "a prolongation of another kind")
    map%broken = .true.
    call s%prolongate(2*n + 1, map, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_CALLBACK, message, "12", "a prolongation that fails")
    map%broken = .false.
    map%poisoned = .true.
    call s%prolongate(2*n + 1, map, stat=rc)
    call expect_status(rc, RKN_ERR_NONFINITE, "one that delivers NaN")
    map%poisoned = .false.
    call s%get_space(n, after)
    call expect(all(abs(before - after) <= 0), "nothing has changed")
    map%calls = 0
    call s%prolongate(int(2*n + 1, int64), map)
    call expect(map%calls >= size(before, 2), "a call for each vector")
    call s%get_space(2*n + 1, after)
    call expect(all(shape(after) == [2*n + 1, size(before, 2)]), "as many vectors on the finer mesh")
    fine = second_difference(2*n + 1)
    b = b_of(2*n + 1)
    call s%solve(fine, b, x)
    call s%get("iterations", learned_from)
    call t%solve(fine, b, x)
    call t%get("iterations", fresh)
    call expect(learned_from < fresh, "what was learned helps")
    call fine%destroy()
    call s%destroy()
    call t%destroy()
    call carried_in_other_kinds()
  end subroutine carried_by_objects

  function b_of(m) result(b)
    integer, intent(in) :: m
    real(real64) :: b(m)
    b = [(sin(real(i*i, real64)), i=1, m)]
  end function b_of

  ! Diagonal matrices; the kept solution of 1, ..., 6 becomes the first guess on the finer mesh.
  subroutine carried_in_other_kinds()
    type(rkn_operator_t) :: D
    type(rkn_krylov_t) :: s
    type(repetition_f32) :: map4
    type(repetition_c32) :: mapc
    type(repetition_c64) :: mapz
    real(real32) :: coarse4(6), fine4(12), x4(12)
    complex(real32) :: coarsec(6), finec(12), xc(12)
    complex(real64) :: coarsez(6), finez(12), xz(12)
    integer :: iterations(3)
    coarse4 = [(real(i), i=1, 6)]
    fine4(1::2) = coarse4
    fine4(2::2) = coarse4
    coarsec = cmplx(coarse4, kind=real32)
    finec = cmplx(fine4, kind=real32)
    coarsez = cmplx(coarse4, kind=real64)
    finez = cmplx(fine4, kind=real64)
    call s%create("gmres")
    call s%set_options("initial_guess=previous rtol=1e-5")
    call D%create_diagonal(coarse4, memory=RKN_COPY)
    call s%solve(D, spread(1.0_real32, 1, 6), x4(:6))
    call s%prolongate(12, map4)
    call D%create_diagonal(fine4, memory=RKN_COPY)
    call s%solve(D, spread(1.0_real32, 1, 12), x4)
    call s%get("iterations", iterations(1))
    call D%create_diagonal(coarsec, memory=RKN_COPY)
    call s%solve(D, spread((1.0_real32, 0.0_real32), 1, 6), xc(:6))
    call s%prolongate(12, mapc)
    call D%create_diagonal(finec, memory=RKN_COPY)
    call s%solve(D, spread((1.0_real32, 0.0_real32), 1, 12), xc)
    call s%get("iterations", iterations(2))
    call D%create_diagonal(coarsez, memory=RKN_COPY)
    call s%solve(D, spread((1.0_real64, 0.0_real64), 1, 6), xz(:6))
    call s%prolongate(12, mapz)
    call D%create_diagonal(finez, memory=RKN_COPY)
    call s%solve(D, spread((1.0_real64, 0.0_real64), 1, 12), xz)
    call s%get("iterations", iterations(3))
    call expect(all(iterations == 0), "the solutions are carried over in the other kinds")
    call expect(all([map4%calls, mapc%calls, mapz%calls] > 0), "by their objects")
    call s%destroy()
    call D%destroy()
  end subroutine carried_in_other_kinds

  subroutine refreshed_by_objects()
    integer, parameter :: m = 50
    type(rkn_operator_t) :: D, P
    type(rkn_krylov_t) :: s
    type(factors), target :: own
    type(renewal), target :: update, broken
    real(real64), target :: diagonal(m)
    real(real64) :: x(m), ones(m)
    integer :: steps
    ones = 1
    diagonal = 2
    own%inverse = 1/diagonal
    update%diagonal => diagonal
    update%factors => own
    broken = update
    broken%answer = 9
    call D%create_diagonal(diagonal)
    call D%set_refresh(update, stat=rc)
    call expect_status(rc, RKN_ERR_STATE, "a matrix takes no object either")
    call P%create_callback(own, m, m)
    call P%set_refresh(update)
    call s%create("cg")
    diagonal = [(real(i*i, real64), i=1, m)]
    call D%changed()
    call s%solve(D, ones, x, P)
    call s%get("iterations", steps)
    call expect(steps > 5 .and. update%calls == 0, "an old preconditioner")
    call P%changed()
    call s%solve(D, ones, x, P)
    call s%get("iterations", steps)
    call expect(steps == 1 .and. update%calls == 1, "brought up to date")
    call expect(maxval(abs(x*diagonal - 1)) < 1e-8_real64, "the solution")
    call P%set_refresh(broken)
    call P%changed(stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_CALLBACK, message, "9", "a refresh that fails")
    call expect(update%calls == 1 .and. broken%calls == 1, "the new one is called")
    call P%set_refresh()
    call P%changed()
    call s%solve(D, ones, x, P)
    call s%get("iterations", steps)
    call expect(steps == 1 .and. broken%calls == 1, "none")
    call s%destroy()
    call P%destroy()
    call D%destroy()
  end subroutine refreshed_by_objects

  function second_difference(m) result(matrix)
    integer, intent(in) :: m
    type(rkn_operator_t) :: matrix
    integer, allocatable, target, save :: ptr(:), ind(:)
    real(real64), allocatable, target, save :: val(:)
    integer :: row, column, at
    if (allocated(ptr)) deallocate (ptr, ind, val)
    allocate (ptr(m + 1), ind(3*m), val(3*m))
    at = 0
    do row = 1, m
      ptr(row) = at + 1
      do column = max(1, row - 1), min(m, row + 1)
        at = at + 1
        ind(at) = column
        val(at) = merge(2, -1, column == row)
      end do
    end do
    ptr(m + 1) = at + 1
    call matrix%create_csr(ptr, ind(:at), val(:at), memory=RKN_COPY)
  end function second_difference
end program test_learned
