! Diffusion as a walk downhill, in Fortran: the steps, the two solvers and the table of diffusion.c, which explains them.
! Coordinates are x and y as there; arrays are r(y, x), since their first index runs fastest.
!
! Usage: diffusion [cells a side, 48] [steps, 20]
module bells
  use, intrinsic :: iso_fortran_env, only: real64
  implicit none
  private
  public :: bell, moments, energy, step_of_bell

  real(real64), parameter, public :: half_side = 5, tau = 0.05_real64
  real(real64), parameter, public :: stiffness(2) = [1, 2]        ! V = sum of stiffness x**2/2

contains

  ! The middle of cell i along an axis.
  pure real(real64) function centre(i, n)
    integer, intent(in) :: i, n
    centre = half_side*((2.0_real64*i - 1.0_real64)/n - 1.0_real64)
  end function centre

  ! A bell; the masses' sum is 1, formed one after the other, so that all languages round alike.
  function bell(n, mean, variance) result(r)
    integer, intent(in) :: n
    real(real64), intent(in) :: mean(2), variance(2)
    real(real64) :: r(n, n), x, y, total
    integer :: i, j
    total = 0
    do i = 1, n
      do j = 1, n
        x = centre(i, n) - mean(1)
        y = centre(j, n) - mean(2)
        r(j, i) = exp(-0.5_real64*(x*x/variance(1) + y*y/variance(2)))
        total = total + r(j, i)
      end do
    end do
    r = r/total
  end function bell

  ! Means and variances along both axes.
  subroutine moments(r, mean, variance)
    real(real64), intent(in) :: r(:, :)
    real(real64), intent(out) :: mean(2), variance(2)
    real(real64) :: total, at(2)
    integer :: i, j, n
    n = size(r, 1)
    total = 0
    mean = 0
    variance = 0
    do i = 1, n
      do j = 1, n
        at = [centre(i, n), centre(j, n)]
        total = total + r(j, i)
        mean = mean + r(j, i)*at
        variance = variance + r(j, i)*at*at
      end do
    end do
    mean = mean/total
    variance = variance/total - mean*mean
  end subroutine moments

  ! F less its least value, which is that of the density at rest.
  real(real64) function energy(r, rest)
    real(real64), intent(in) :: r(:, :), rest(:, :)
    integer :: i, j
    energy = 0
    do i = 1, size(r, 2)
      do j = 1, size(r, 1)
        if (r(j, i) > 0) energy = energy + r(j, i)*log(r(j, i)/rest(j, i))
      end do
    end do
  end function energy

  ! An unblurred step of a bell, along one axis: (next - width)/tau + k next - 1/next = 0.
  elemental subroutine step_of_bell(k, mean, variance)
    real(real64), intent(in) :: k
    real(real64), intent(inout) :: mean, variance
    real(real64) :: shrink
    shrink = 1 + k*tau
    mean = mean/shrink
    variance = ((sqrt(variance) + sqrt(variance + 4*tau*shrink))/(2*shrink))**2
  end subroutine step_of_bell

end module bells

program diffusion
  use, intrinsic :: iso_fortran_env, only: error_unit, output_unit, real64
  use reknit
  use bells
  implicit none

  real(real64), parameter :: mean_before(2) = [2, -1], variance_before(2) = [0.25_real64, 0.36_real64]
  real(real64), parameter :: origin(2) = 0, at_rest(2) = 1/stiffness
  type(rkn_geometry_t) :: G
  type(rkn_sinkhorn_t) :: cold, warm
  real(real64), allocatable :: r(:, :), b(:, :), rest(:, :), ones(:), next(:)
  real(real64) :: side, epsilon, price, passes(2), total(2)
  real(real64), dimension(2) :: mean, variance, decay, exact_mean, exact_variance, expected, spread
  integer :: n, steps, step, k

  n = argument(1, 48)
  steps = argument(2, 20)
  if (n < 32 .or. n > 200 .or. steps < 1) then
    write (error_unit, "(a)") "usage: diffusion [cells a side, 32 to 200] [steps]"
    stop 2, quiet=.true.
  end if
  side = 2*half_side/n
  epsilon = side*side
  price = 2*tau - 0.5_real64*epsilon
  rest = bell(n, origin, at_rest)
  b = bell(n, origin, at_rest*price/(2*tau))
  r = bell(n, mean_before, variance_before)
  allocate (ones(n*n), next(n*n))
  ones = 1
  expected = mean_before
  spread = variance_before

  call G%create_grid(shape(r), h=[side, side])
  call create(cold, "zero")
  call create(warm, "extrapolated")

  print "('a bell diffuses, ', i0, ' x ', i0, ' cells, ', i0, ' steps of ', f4.2, ', epsilon ', f6.4)", n, n, steps, tau, epsilon
  print "(a)", "     |     passes    |         mean of x          |       variance of x        |       variance of y        |"
  print "(3a)", "step |   cold   warm |", repeat("             exact    steps |", 3), "   energy"
  total = 0
  do step = 1, steps
    call cold%solve(G, r, b)
    call warm%solve(G, r, b)
    call cold%get("passes", passes(1))
    call warm%get("passes", passes(2))
    call warm%plan_apply(ones, next, trans=RKN_T)
    r = reshape(next, shape(r))
    call moments(r, mean, variance)
    decay = exp(-stiffness*tau*step)
    exact_mean = mean_before*decay
    exact_variance = at_rest + (variance_before - at_rest)*decay*decay
    call step_of_bell(stiffness, expected, spread)
    print "(i4, ' |', 2f7.1, 3(' |', 3f9.6), ' |', f9.6)", step, passes, mean(1), exact_mean(1), expected(1), &
      (variance(k), exact_variance(k), spread(k), k = 1, 2), energy(r, rest)
    flush (output_unit)
    total = total + passes
  end do
  print "(' all |', 2f7.1, ' |')", total

  call warm%destroy()
  call cold%destroy()
  call G%destroy()

contains

  subroutine create(s, start)
    type(rkn_sinkhorn_t), intent(inout) :: s
    character(*), intent(in) :: start
    call s%create("auto")
    call s%set_options("tolerance=1e-9")
    call s%set("start", start)
    call s%set("epsilon", epsilon)
    call s%set("penalty_b", price)
  end subroutine create

  integer function argument(i, default)
    integer, intent(in) :: i, default
    character(20) :: text
    integer :: status
    argument = default
    if (command_argument_count() < i) return
    call get_command_argument(i, text)
    read (text, *, iostat=status) argument
    if (status /= 0) argument = -1
  end function argument

end program diffusion
