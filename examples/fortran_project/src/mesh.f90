! The unit square with n x n interior points, a distance h apart; the rim is not stored.
module plate_mesh
  use, intrinsic :: iso_fortran_env, only: dp => real64
  implicit none
  private
  public :: mesh_t

  type :: mesh_t
    integer :: n = 0
    real(dp) :: h = 0
  contains
    procedure :: create
    procedure :: unknowns
    procedure :: x
  end type mesh_t

contains

  subroutine create(self, n)
    class(mesh_t), intent(out) :: self
    integer, intent(in) :: n
    self%n = n
    self%h = 1/real(n + 1, dp)
  end subroutine create

  pure integer function unknowns(self)
    class(mesh_t), intent(in) :: self
    unknowns = self%n*self%n
  end function unknowns

  ! The coordinate of point i of a line.
  pure real(dp) function x(self, i)
    class(mesh_t), intent(in) :: self
    integer, intent(in) :: i
    x = i*self%h
  end function x

end module plate_mesh
