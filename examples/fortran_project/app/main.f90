! A plate cools. Steps it to time 0.1 and compares its middle with the sine series.
!
! Usage: cooling_plate [points a side, odd, 63] [steps, 40] [method] [options]
!
! The method recycles directions from step to step and begins with the best combination of the last solutions; without
! memory: cooling_plate 63 40 cg "initial_guess=zero".
program cooling_plate
  use, intrinsic :: iso_fortran_env, only: dp => real64, error_unit
  use plate_analytic, only: analytic_centre
  use plate_mesh, only: mesh_t
  use plate_state, only: state_t
  use plate_stepper, only: stepper_t
  implicit none

  real(dp), parameter :: final_time = 0.1_dp
  type(mesh_t) :: mesh
  type(state_t) :: state
  type(stepper_t), target :: stepper
  character(200) :: message
  character(20) :: method
  character(200) :: options
  real(dp) :: worst, off
  integer :: n, steps, step, total, stat

  n = argument(1, 63)
  steps = argument(2, 40)
  method = "rcg"
  options = "recycle=5 initial_guess=project"
  if (command_argument_count() >= 3) call get_command_argument(3, method)
  if (command_argument_count() >= 4) call get_command_argument(4, options)
  if (n < 3 .or. mod(n, 2) == 0 .or. steps < 1) then
    write (error_unit, "(a)") "usage: cooling_plate [points a side, odd, at least 3] [steps] [method] [options]"
    stop 2, quiet=.true.
  end if

  call mesh%create(n)
  call state%create(mesh)
  call stepper%create(mesh, final_time/steps, trim(method), "rtol=1e-10 "//trim(options))
  worst = 0
  total = 0
  print "(a)", "step   time   middle   series  iterations"
  do step = 1, steps
    call stepper%advance(state, stat, message)
    if (stat /= 0) then
      write (error_unit, "(a, i0, 2a)") "step ", step, ": ", trim(message)
      stop 1, quiet=.true.
    end if
    off = abs(state%centre(mesh) - analytic_centre(state%time))
    worst = max(worst, off)
    total = total + stepper%iterations
    print "(i4, f7.4, 2f9.5, i12)", step, state%time, state%centre(mesh), analytic_centre(state%time), &
        stepper%iterations
  end do
  print "(a, es9.2, a, i0, a, i0, a)", "off by ", worst, " at most, ", total, " iterations, ", &
      stepper%diffusion%products, " products"
  call stepper%destroy()

contains

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

end program cooling_plate
