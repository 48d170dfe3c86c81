! What the code steps through time: temperatures, and when they are those of the plate.
module plate_state
  use, intrinsic :: iso_fortran_env, only: dp => real64
  use plate_mesh, only: mesh_t
  implicit none
  private
  public :: state_t

  type :: state_t
    real(dp) :: time = 0
    integer :: step = 0
    real(dp), allocatable :: u(:)             ! point (i, j) is u(i + (j - 1)*n)
  contains
    procedure :: create
    procedure :: centre
  end type state_t

contains

  ! Warm in the middle and 0 at the rim: u = 16 x (1 - x) y (1 - y).
  subroutine create(self, mesh)
    class(state_t), intent(out) :: self
    type(mesh_t), intent(in) :: mesh
    integer :: i, j
    allocate (self%u(mesh%unknowns()))
    do j = 1, mesh%n
      do i = 1, mesh%n
        self%u(i + (j - 1)*mesh%n) = 16*bump(mesh%x(i))*bump(mesh%x(j))
      end do
    end do
  end subroutine create

  pure real(dp) function bump(x)
    real(dp), intent(in) :: x
    bump = x*(1 - x)
  end function bump

  ! The temperature in the middle of a mesh with a point there.
  pure real(dp) function centre(self, mesh)
    class(state_t), intent(in) :: self
    type(mesh_t), intent(in) :: mesh
    integer :: middle
    middle = (mesh%n + 1)/2
    centre = self%u(middle + (middle - 1)*mesh%n)
  end function centre

end module plate_state
