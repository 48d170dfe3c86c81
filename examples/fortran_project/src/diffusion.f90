! The operator of a step, without a matrix: I + strength*L with the five-point L = -Laplace, and how strong diffusion
! is at which time.
module plate_diffusion
  use, intrinsic :: iso_fortran_env, only: dp => real64
  use reknit, only: rkn_linear_map_f64
  use plate_mesh, only: mesh_t
  implicit none
  private
  public :: diffusion_t, conductivity, conducted

  type, extends(rkn_linear_map_f64) :: diffusion_t
    type(mesh_t) :: mesh
    real(dp) :: strength = 0
    integer :: products = 0
  contains
    procedure :: apply                          ! what reknit calls
    procedure :: multiply
  end type diffusion_t

contains

  ! u_t = conductivity(t) Laplace(u)
  pure real(dp) function conductivity(time)
    real(dp), intent(in) :: time
    conductivity = 1 + 0.5_dp*sin(40*time)
  end function conductivity

  ! Its integral from 0.
  pure real(dp) function conducted(time)
    real(dp), intent(in) :: time
    conducted = time + (1 - cos(40*time))/80
  end function conducted

  ! The operator is symmetric: trans makes no difference.
  subroutine apply(self, trans, x, y, stat)
    class(diffusion_t), intent(inout) :: self
    integer, intent(in) :: trans
    real(dp), intent(in) :: x(:, :)
    real(dp), intent(out) :: y(:, :)
    integer, intent(inout) :: stat
    integer :: column
    if (trans < 0 .or. size(x, 1) /= self%mesh%unknowns()) then
      stat = 1
      return
    end if
    do column = 1, size(x, 2)
      call self%multiply(x(:, column), y(:, column), self%strength)
    end do
    self%products = self%products + size(x, 2)
  end subroutine apply

  ! y = (I + strength*L) x
  pure subroutine multiply(self, x, y, strength)
    class(diffusion_t), intent(in) :: self
    real(dp), intent(in) :: x(self%mesh%n, self%mesh%n), strength
    real(dp), intent(out) :: y(self%mesh%n, self%mesh%n)
    real(dp) :: weight
    integer :: n
    n = self%mesh%n
    weight = strength/self%mesh%h**2
    y = (1 + 4*weight)*x
    y(2:, :) = y(2:, :) - weight*x(:n - 1, :)
    y(:n - 1, :) = y(:n - 1, :) - weight*x(2:, :)
    y(:, 2:) = y(:, 2:) - weight*x(:, :n - 1)
    y(:, :n - 1) = y(:, :n - 1) - weight*x(:, 2:)
  end subroutine multiply

end module plate_diffusion
