! The 1-D Poisson problem tridiag(-1, 2, -1) x = 1 with its solution x(k) = k (n + 1 - k) / 2, and the Hermitian
! D A D^H x = D 1 with D = diag(exp(i k theta)), whose solution is that one times exp(i k theta).
! Arrays in CSR with base 1, and the same matrices as maps.
module poisson
  use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan
  use reknit
  implicit none

  real(real64), parameter :: theta = 0.7_real64

  type, extends(rkn_linear_map_f32) :: map_f32
    integer :: transposed = 0         ! calls with A^T or A^H
  contains
    procedure :: apply => apply_f32
  end type map_f32

  type, extends(rkn_linear_map_f64) :: map_f64
    integer :: calls = 0
    integer :: transposed = 0         ! calls with A^T or A^H
    integer :: fail_at = 0            ! number of the call that fails, 0: none does
    logical :: poisoned = .false.     ! put a NaN in
  contains
    procedure :: apply => apply_f64
  end type map_f64

  type, extends(rkn_linear_map_c32) :: map_c32
    integer :: transposed = 0         ! calls with A^T or A^H
  contains
    procedure :: apply => apply_c32
  end type map_c32

  type, extends(rkn_linear_map_c64) :: map_c64
    integer :: transposed = 0         ! calls with A^T or A^H
  contains
    procedure :: apply => apply_c64
  end type map_c64

contains

  pure function solution(n) result(x)
    integer, intent(in) :: n
    real(real64) :: x(n)
    integer :: k
    x = [(0.5_real64*k*(n + 1 - k), k=1, n)]
  end function solution

  pure function phases(n) result(d)
    integer, intent(in) :: n
    complex(real64) :: d(n)
    integer :: k
    d = [(exp(cmplx(0, k*theta, real64)), k=1, n)]
  end function phases

  ! The three arrays of the Hermitian matrix; theta = 0 gives the real one.
  subroutine csr(n, angle, ptr, ind, val)
    integer, intent(in) :: n
    real(real64), intent(in) :: angle
    integer(int64), allocatable, intent(out) :: ptr(:), ind(:)
    complex(real64), allocatable, intent(out) :: val(:)
    integer :: i, j, k
    allocate (ptr(n + 1), ind(3*n - 2), val(3*n - 2))
    k = 0
    ptr(1) = 1
    do i = 1, n
      do j = max(1, i - 1), min(n, i + 1)
        k = k + 1
        ind(k) = j
        val(k) = merge((2.0_real64, 0.0_real64), -exp(cmplx(0, (i - j)*angle, real64)), i == j)
      end do
      ptr(i + 1) = k + 1
    end do
  end subroutine csr

  ! The same as a full array, for comparison by matmul.
  pure function full(n, angle) result(a)
    integer, intent(in) :: n
    real(real64), intent(in) :: angle
    complex(real64) :: a(n, n)
    integer :: i
    a = 0
    do i = 1, n
      a(i, i) = 2
    end do
    do i = 1, n - 1
      a(i + 1, i) = -exp(cmplx(0, angle, real64))
      a(i, i + 1) = conjg(a(i + 1, i))
    end do
  end function full

  pure subroutine second_difference(angle, x, y)
    real(real64), intent(in) :: angle
    complex(real64), intent(in) :: x(:, :)
    complex(real64), intent(out) :: y(:, :)
    complex(real64) :: phase
    integer :: n
    n = size(x, 1)
    phase = exp(cmplx(0, angle, real64))
    y = 2*x
    y(2:, :) = y(2:, :) - phase*x(:n - 1, :)
    y(:n - 1, :) = y(:n - 1, :) - conjg(phase)*x(2:, :)
  end subroutine second_difference

  subroutine apply_f32(self, trans, x, y, stat)
    class(map_f32), intent(inout) :: self
    integer, intent(in) :: trans
    real(real32), intent(in) :: x(:, :)
    real(real32), intent(out) :: y(:, :)
    integer, intent(inout) :: stat
    complex(real64) :: z(size(x, 1), size(x, 2))
    call second_difference(0.0_real64, cmplx(x, 0, real64), z)
    y = real(z, real32)
    if (trans /= RKN_N) self%transposed = self%transposed + 1
    if (size(x, 1) /= size(y, 1)) stat = 1
  end subroutine apply_f32

  subroutine apply_f64(self, trans, x, y, stat)
    class(map_f64), intent(inout) :: self
    integer, intent(in) :: trans
    real(real64), intent(in) :: x(:, :)
    real(real64), intent(out) :: y(:, :)
    integer, intent(inout) :: stat
    complex(real64) :: z(size(x, 1), size(x, 2))
    self%calls = self%calls + 1
    call second_difference(0.0_real64, cmplx(x, 0, real64), z)
    y = real(z, real64)
    if (trans /= RKN_N) self%transposed = self%transposed + 1
    if (self%poisoned) y(1, 1) = ieee_value(y(1, 1), ieee_quiet_nan)
    if (self%calls == self%fail_at) stat = 77
  end subroutine apply_f64

  subroutine apply_c32(self, trans, x, y, stat)
    class(map_c32), intent(inout) :: self
    integer, intent(in) :: trans
    complex(real32), intent(in) :: x(:, :)
    complex(real32), intent(out) :: y(:, :)
    integer, intent(inout) :: stat
    complex(real64) :: z(size(x, 1), size(x, 2))
    call second_difference(merge(-theta, theta, trans == RKN_T), cmplx(x, kind=real64), z)
    y = cmplx(z, kind=real32)
    if (trans /= RKN_N) self%transposed = self%transposed + 1
    if (size(x, 1) /= size(y, 1)) stat = 1
  end subroutine apply_c32

  subroutine apply_c64(self, trans, x, y, stat)
    class(map_c64), intent(inout) :: self
    integer, intent(in) :: trans
    complex(real64), intent(in) :: x(:, :)
    complex(real64), intent(out) :: y(:, :)
    integer, intent(inout) :: stat
    call second_difference(merge(-theta, theta, trans == RKN_T), x, y)
    if (trans /= RKN_N) self%transposed = self%transposed + 1
    if (size(x, 1) /= size(y, 1)) stat = 1
  end subroutine apply_c64

end module poisson
