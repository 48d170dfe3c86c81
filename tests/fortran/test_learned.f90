! What a solver has learned, as a thing of its own; illegal input first. Eigenvectors of the second difference
! are sines.
module learned_callbacks
  use, intrinsic :: iso_c_binding
  implicit none
  integer :: calls = 0
contains
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
  use, intrinsic :: iso_fortran_env, only: int64, real64
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
