! A density that wanders, in Fortran: the problem, the two solvers and the table of transport.c, which explains them.
! Coordinates are x and y as there; arrays are a(y, x), since their first index runs fastest.
!
! Usage: transport [cells a side, 24] [steps, 16]
module densities
  use, intrinsic :: iso_fortran_env, only: real64
  implicit none
  private
  public :: blob, lumps, centre

contains

  pure real(real64) function centre(i, n)
    integer, intent(in) :: i, n
    centre = (i - 0.5_real64)/n
  end function centre

  ! Adds mass around (x, y); all lengths relative to the side.
  subroutine add_lump(x, y, radius, height, a)
    real(real64), intent(in) :: x, y, radius, height
    real(real64), intent(inout) :: a(:, :)
    real(real64) :: dx, dy, decay
    integer :: i, j, n
    n = size(a, 1)
    do i = 1, n
      do j = 1, n
        dx = (centre(i, n) - x)/radius
        dy = (centre(j, n) - y)/radius
        decay = 1 + dx*dx + dy*dy
        a(j, i) = a(j, i) + height/(decay*decay)
      end do
    end do
  end subroutine add_lump

  ! One after the other, so that all languages round alike.
  subroutine scale_to_one(a)
    real(real64), intent(inout) :: a(:, :)
    real(real64) :: sum
    integer :: i, j
    sum = 0
    do i = 1, size(a, 2)
      do j = 1, size(a, 1)
        sum = sum + a(j, i)
      end do
    end do
    a = a/sum
  end subroutine scale_to_one

  ! The blob at time t, 0 to 1.
  subroutine blob(t, a)
    real(real64), intent(in) :: t
    real(real64), intent(out) :: a(:, :)
    a = 0.01_real64
    call add_lump(0.2_real64 + 0.25_real64*t, 0.3_real64 + 0.6_real64*t*(1 - t), 0.12_real64, 1.0_real64, a)
    call scale_to_one(a)
  end subroutine blob

  ! The target.
  subroutine lumps(b)
    real(real64), intent(out) :: b(:, :)
    b = 0.01_real64
    call add_lump(0.75_real64, 0.3_real64, 0.1_real64, 1.0_real64, b)
    call add_lump(0.7_real64, 0.75_real64, 0.15_real64, 0.5_real64, b)
    call scale_to_one(b)
  end subroutine lumps

end module densities

program transport
  use, intrinsic :: iso_fortran_env, only: error_unit, output_unit, real64
  use reknit
  use densities
  implicit none

  type(rkn_geometry_t) :: G
  type(rkn_sinkhorn_t) :: cold, warm
  real(real64), allocatable :: a(:, :), b(:, :), centres(:, :), goes(:, :)
  real(real64) :: passes(2), total(2), cost, error, mean(2), furthest
  character(8) :: short
  integer :: n, steps, step, i, j, c

  n = argument(1, 24)
  steps = argument(2, 16)
  if (n < 4 .or. n > 200 .or. steps < 1) then
    write (error_unit, "(a)") "usage: transport [cells a side, 4 to 200] [steps]"
    stop 2, quiet=.true.
  end if
  allocate (a(n, n), b(n, n), centres(n*n, 2), goes(n*n, 2))
  call lumps(b)

  call G%create_grid(shape(a), h=[1.0_real64/n, 1.0_real64/n])
  call create(cold, "zero")
  call create(warm, "extrapolated")

  print "('a density that wanders, ', i0, ' x ', i0, ' cells, ', i0, ' steps, epsilon 2e-3, marginal error 1e-9')", n, n, steps
  print "(a)", "step | passes cold   warm |        cost   error"
  total = 0
  do step = 0, steps - 1
    call blob(real(step, real64)/steps, a)
    call cold%solve(G, a, b)
    call warm%solve(G, a, b)
    call cold%get("passes", passes(1))
    call warm%get("passes", passes(2))
    call warm%get("cost", cost)
    call warm%get("marginal_error", error)
    write (short, "(es8.1)") error
    short(5:5) = "e"                          ! a small one, as in the other languages
    print "(i4, ' |', f12.1, f7.1, ' |', f12.8, a)", step, passes, cost, short
    flush (output_unit)
    total = total + passes
  end do
  print "(' all |', f12.1, f7.1, ' |')", total

  ! Two columns for the plan: the coordinates of the cells.
  do i = 1, n
    do j = 1, n
      centres((i - 1)*n + j, :) = [centre(i, n), centre(j, n)]
    end do
  end do
  call warm%plan_apply(centres, goes)
  mean = 0
  furthest = 0
  do i = 1, n
    do j = 1, n
      c = (i - 1)*n + j
      furthest = max(furthest, sqrt(sum((goes(c, :)/a(j, i) - centres(c, :))**2)))
      mean = mean + goes(c, :)
    end do
  end do
  print "('mass arrives around (', f8.6, ', ', f8.6, '), the longest way is ', f8.6)", mean, furthest

  call warm%destroy()
  call cold%destroy()
  call G%destroy()

contains

  subroutine create(s, start)
    type(rkn_sinkhorn_t), intent(inout) :: s
    character(*), intent(in) :: start
    call s%create("auto")
    call s%set_options("epsilon=2e-3 tolerance=1e-9")
    call s%set("start", start)
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

end program transport
