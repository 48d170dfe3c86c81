! The solution of the differential equation in the middle of the plate, by its sine series.
module plate_analytic
  use, intrinsic :: iso_fortran_env, only: dp => real64
  use plate_diffusion, only: conducted
  implicit none
  private
  public :: analytic_centre

contains

  ! x (1 - x) is the sum of 8/(k pi)^3 sin(k pi x) over odd k, and a mode (k, l) decays as exp(-(k^2 + l^2) pi^2 s) with
  ! s the integral of the conductivity: the double series is the square of a single one.
  pure real(dp) function analytic_centre(time)
    real(dp), intent(in) :: time
    real(dp), parameter :: pi = acos(-1.0_dp)
    real(dp) :: series, s
    integer :: k, sign
    s = conducted(time)
    series = 0
    sign = 1
    do k = 1, 399, 2
      series = series + sign*8/(k*pi)**3*exp(-(k*pi)**2*s)
      sign = -sign
    end do
    analytic_centre = 16*series**2
  end function analytic_centre

end module plate_analytic
