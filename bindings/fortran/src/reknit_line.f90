! Exact optimal transport in one dimension: on a line, on a circle, and sliced. Costs are sums of mass |x - y|**p, without a
! root; p is 2 if absent. a and b are masses of one sum, equal ones if absent.
!
! The names are short here for the reason given in reknit_library.
module reknit_line
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int32, int64, real64
  use reknit_constants
  use reknit_c
  use reknit_support
  use reknit_context
  use reknit_arrays, only: array
  implicit none
  private
  public :: wasserstein_line, wasserstein_line_plan, wasserstein_line_gradient
  public :: wasserstein_circle, wasserstein_circle_plan, wasserstein_circle_gradient, wasserstein_sliced

  interface wasserstein_line_plan
    module procedure line_plan_i32, line_plan_i64
  end interface wasserstein_line_plan

  interface wasserstein_circle_plan
    module procedure circle_plan_i32, circle_plan_i64
  end interface wasserstein_circle_plan

  ! Points of both sides, with their masses or null.
  type :: sides_t
    type(array_t) :: x, y
    type(c_ptr) :: a = c_null_ptr, b = c_null_ptr
    real(real64) :: p = 2
  end type sides_t

contains

  ! ---- on a line ----

  ! The least cost between points in any order.
  recursive subroutine wasserstein_line(x, y, cost, p, a, b, stat, errmsg)
    real(real64), target, intent(in) :: x(:), y(:)
    real(real64), intent(inout) :: cost
    real(real64), optional, intent(in) :: p
    real(real64), optional, target, intent(in) :: a(:), b(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(sides_t) :: s
    real(real64), target :: least
    s = sides("rkn_wasserstein_line", array("x", x), array("y", y), p, a, b, outcome)
    if (outcome%good()) call outcome%take(rkn_wasserstein_line(s%x%rows, s%x%address, s%a, s%y%rows, s%y%address, s%b, s%p, &
        c_loc(least)))
    if (outcome%good()) cost = least
    call settle(outcome, stat, errmsg)
  end subroutine wasserstein_line

  ! Its plan, the same for all p: masses(k) goes from point rows(k) of x to point columns(k) of y.
  recursive subroutine line_plan_i64(x, y, rows, columns, masses, a, b, stat, errmsg)
    real(real64), target, intent(in) :: x(:), y(:)
    integer(int64), allocatable, intent(inout) :: rows(:), columns(:)
    real(real64), allocatable, intent(inout) :: masses(:)
    real(real64), optional, target, intent(in) :: a(:), b(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(sides_t) :: s
    s = sides("rkn_wasserstein_line_plan", array("x", x), array("y", y), a=a, b=b, outcome=outcome)
    call find_plan(s, rows, columns, masses, outcome=outcome)
    call settle(outcome, stat, errmsg)
  end subroutine line_plan_i64

  recursive subroutine line_plan_i32(x, y, rows, columns, masses, a, b, stat, errmsg)
    real(real64), target, intent(in) :: x(:), y(:)
    integer(int32), allocatable, intent(inout) :: rows(:), columns(:)
    real(real64), allocatable, intent(inout) :: masses(:)
    real(real64), optional, target, intent(in) :: a(:), b(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(sides_t) :: s
    integer(int64), allocatable :: from(:), to(:)
    s = sides("rkn_wasserstein_line_plan", array("x", x), array("y", y), a=a, b=b, outcome=outcome)
    call find_plan(s, from, to, masses, outcome=outcome)
    call narrowed("rkn_wasserstein_line_plan", s, from, to, rows, columns, outcome)
    call settle(outcome, stat, errmsg)
  end subroutine line_plan_i32

  ! Its derivatives, those that are present: with respect to the points, and to the masses (f and g, potentials with
  ! f(i) + g(j) <= |x(i) - y(j)|**p, equal where the plan has mass).
  recursive subroutine wasserstein_line_gradient(x, y, p, cost, gradient_x, gradient_y, f, g, a, b, stat, errmsg)
    real(real64), target, intent(in) :: x(:), y(:)
    real(real64), optional, intent(in) :: p
    real(real64), optional, intent(inout) :: cost, gradient_x(:), gradient_y(:), f(:), g(:)
    real(real64), optional, target, intent(in) :: a(:), b(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_wasserstein_line_gradient"
    type(outcome_t) :: outcome
    type(sides_t) :: s
    s = sides(routine, array("x", x), array("y", y), p, a, b, outcome)
    call find_gradient(routine, s, cost, gradient_x, gradient_y, f, g, outcome=outcome)
    call settle(outcome, stat, errmsg)
  end subroutine wasserstein_line_gradient

  ! ---- on a circle of length period, where the shorter way round counts ----

  recursive subroutine wasserstein_circle(period, x, y, cost, p, a, b, stat, errmsg)
    real(real64), intent(in) :: period
    real(real64), target, intent(in) :: x(:), y(:)
    real(real64), intent(inout) :: cost
    real(real64), optional, intent(in) :: p
    real(real64), optional, target, intent(in) :: a(:), b(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(sides_t) :: s
    real(real64), target :: least
    s = sides("rkn_wasserstein_circle", array("x", x), array("y", y), p, a, b, outcome)
    if (outcome%good()) call outcome%take(rkn_wasserstein_circle(period, s%x%rows, s%x%address, s%a, s%y%rows, s%y%address, &
        s%b, s%p, c_loc(least)))
    if (outcome%good()) cost = least
    call settle(outcome, stat, errmsg)
  end subroutine wasserstein_circle

  ! This one depends on p.
  recursive subroutine circle_plan_i64(period, x, y, rows, columns, masses, p, a, b, stat, errmsg)
    real(real64), intent(in) :: period
    real(real64), target, intent(in) :: x(:), y(:)
    integer(int64), allocatable, intent(inout) :: rows(:), columns(:)
    real(real64), allocatable, intent(inout) :: masses(:)
    real(real64), optional, intent(in) :: p
    real(real64), optional, target, intent(in) :: a(:), b(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(sides_t) :: s
    s = sides("rkn_wasserstein_circle_plan", array("x", x), array("y", y), p, a, b, outcome)
    call find_plan(s, rows, columns, masses, period, outcome)
    call settle(outcome, stat, errmsg)
  end subroutine circle_plan_i64

  recursive subroutine circle_plan_i32(period, x, y, rows, columns, masses, p, a, b, stat, errmsg)
    real(real64), intent(in) :: period
    real(real64), target, intent(in) :: x(:), y(:)
    integer(int32), allocatable, intent(inout) :: rows(:), columns(:)
    real(real64), allocatable, intent(inout) :: masses(:)
    real(real64), optional, intent(in) :: p
    real(real64), optional, target, intent(in) :: a(:), b(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(sides_t) :: s
    integer(int64), allocatable :: from(:), to(:)
    s = sides("rkn_wasserstein_circle_plan", array("x", x), array("y", y), p, a, b, outcome)
    call find_plan(s, from, to, masses, period, outcome)
    call narrowed("rkn_wasserstein_circle_plan", s, from, to, rows, columns, outcome)
    call settle(outcome, stat, errmsg)
  end subroutine circle_plan_i32

  recursive subroutine wasserstein_circle_gradient(period, x, y, p, cost, gradient_x, gradient_y, f, g, a, b, stat, errmsg)
    real(real64), intent(in) :: period
    real(real64), target, intent(in) :: x(:), y(:)
    real(real64), optional, intent(in) :: p
    real(real64), optional, intent(inout) :: cost, gradient_x(:), gradient_y(:), f(:), g(:)
    real(real64), optional, target, intent(in) :: a(:), b(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_wasserstein_circle_gradient"
    type(outcome_t) :: outcome
    type(sides_t) :: s
    s = sides(routine, array("x", x), array("y", y), p, a, b, outcome)
    call find_gradient(routine, s, cost, gradient_x, gradient_y, f, g, period, outcome)
    call settle(outcome, stat, errmsg)
  end subroutine wasserstein_circle_gradient

  ! ---- sliced ----

  ! The mean over random directions of the cost on a line of the projections of x and y, a column a point; gradient: with respect
  ! to x. The same seed gives the same directions, whatever the threads of ctx.
  recursive subroutine wasserstein_sliced(x, y, projections, cost, gradient, p, seed, a, b, ctx, stat, errmsg)
    real(real64), target, intent(in) :: x(:, :), y(:, :)
    integer, intent(in) :: projections
    real(real64), intent(inout) :: cost
    real(real64), optional, intent(inout) :: gradient(:, :)
    real(real64), optional, intent(in) :: p
    integer, optional, intent(in) :: seed
    real(real64), optional, target, intent(in) :: a(:), b(:)
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_wasserstein_sliced"
    type(outcome_t) :: outcome
    type(sides_t) :: s
    real(real64), target :: mean
    real(real64), allocatable, target :: slopes(:, :)
    type(c_ptr) :: room
    integer(int64) :: number
    number = 0
    if (present(seed)) number = seed
    room = c_null_ptr
    s = sides(routine, array("x", x), array("y", y), p, outcome=outcome)
    call check_rows(routine, s%y, s%x%rows, outcome)
    if (present(a)) s%a = masses_of(routine, array("a", a), s%x%columns, outcome)
    if (present(b)) s%b = masses_of(routine, array("b", b), s%y%columns, outcome)
    allocate (slopes(size(x, 1), merge(size(x, 2), 0, present(gradient))))
    if (present(gradient)) then
      call check_count(routine, "gradient", size(gradient, 1, int64), s%x%rows, outcome)
      call check_count(routine, "gradient", size(gradient, 2, int64), s%x%columns, outcome)
      room = c_loc(slopes)
    end if
    if (outcome%good()) call outcome%take(rkn_wasserstein_sliced(handle_of(ctx), s%x%rows, s%x%columns, s%x%address, s%x%ld, &
        s%a, s%y%columns, s%y%address, s%y%ld, s%b, s%p, int(projections, int64), number, c_loc(mean), room, s%x%rows))
    if (outcome%good()) then
      cost = mean
      if (present(gradient)) gradient = slopes
    end if
    call settle(outcome, stat, errmsg)
  end subroutine wasserstein_sliced

  ! ---- what they share ----

  recursive function sides(routine, x, y, p, a, b, outcome) result(s)
    character(*), intent(in) :: routine
    type(array_t), intent(in) :: x, y
    real(real64), optional, intent(in) :: p
    real(real64), optional, target, intent(in) :: a(:), b(:)
    type(outcome_t), intent(inout) :: outcome
    type(sides_t) :: s
    s%x = x
    s%y = y
    call x%check(routine, outcome)
    call y%check(routine, outcome)
    if (present(p)) s%p = p
    if (present(a)) s%a = masses_of(routine, array("a", a), x%rows, outcome)
    if (present(b)) s%b = masses_of(routine, array("b", b), y%rows, outcome)
  end function sides

  recursive type(c_ptr) function masses_of(routine, masses, points, outcome)
    character(*), intent(in) :: routine
    type(array_t), intent(in) :: masses
    integer(int64), intent(in) :: points
    type(outcome_t), intent(inout) :: outcome
    call masses%check(routine, outcome)
    call check_count(routine, trim(masses%name), masses%rows, points, outcome)
    masses_of = masses%address
  end function masses_of

  recursive subroutine check_count(routine, name, count, wanted, outcome)
    character(*), intent(in) :: routine, name
    integer(int64), intent(in) :: count, wanted
    type(outcome_t), intent(inout) :: outcome
    if (count /= wanted) call outcome%refuse(RKN_ERR_SIZE, routine//": argument '"//name//"' has size "//decimal(count)// &
        ", must be "//decimal(wanted))
  end subroutine check_count

  recursive subroutine find_plan(s, rows, columns, masses, period, outcome)
    type(sides_t), intent(in) :: s
    integer(int64), allocatable, intent(inout) :: rows(:), columns(:)
    real(real64), allocatable, intent(inout) :: masses(:)
    real(real64), optional, intent(in) :: period
    type(outcome_t), intent(inout) :: outcome
    integer(int64), allocatable :: from(:), to(:)
    real(real64), allocatable, target :: moved(:)
    integer(int64) :: most, need
    if (.not. outcome%good()) return
    most = s%x%rows + s%y%rows
    allocate (from(most), to(most), moved(most))
    need = 0
    if (present(period)) then
      call outcome%take(rkn_wasserstein_circle_plan(period, s%x%rows, s%x%address, s%a, s%y%rows, s%y%address, s%b, s%p, from, &
          to, c_loc(moved), most, need))
    else
      call outcome%take(rkn_wasserstein_line_plan(s%x%rows, s%x%address, s%a, s%y%rows, s%y%address, s%b, from, to, &
          c_loc(moved), most, need))
    end if
    if (.not. outcome%good()) return
    rows = from(:need) + 1
    columns = to(:need) + 1
    masses = moved(:need)
  end subroutine find_plan

  recursive subroutine narrowed(routine, s, from, to, rows, columns, outcome)
    character(*), intent(in) :: routine
    type(sides_t), intent(in) :: s
    integer(int64), allocatable, intent(in) :: from(:), to(:)
    integer(int32), allocatable, intent(inout) :: rows(:), columns(:)
    type(outcome_t), intent(inout) :: outcome
    if (max(s%x%rows, s%y%rows) > huge(1_int32)) call outcome%refuse(RKN_ERR_SIZE, routine// &
        ": argument 'rows' cannot count the points, must be an integer(int64)")
    if (.not. outcome%good()) return
    rows = int(from, int32)
    columns = int(to, int32)
  end subroutine narrowed

  recursive subroutine find_gradient(routine, s, cost, gradient_x, gradient_y, f, g, period, outcome)
    character(*), intent(in) :: routine
    type(sides_t), intent(in) :: s
    real(real64), optional, intent(inout) :: cost, gradient_x(:), gradient_y(:), f(:), g(:)
    real(real64), optional, intent(in) :: period
    type(outcome_t), intent(inout) :: outcome
    real(real64), allocatable, target :: of_x(:), of_y(:), of_a(:), of_b(:)
    real(real64), target :: least
    type(c_ptr) :: potentials(2)
    if (present(gradient_x)) call check_count(routine, "gradient_x", size(gradient_x, kind=int64), s%x%rows, outcome)
    if (present(gradient_y)) call check_count(routine, "gradient_y", size(gradient_y, kind=int64), s%y%rows, outcome)
    if (present(f)) call check_count(routine, "f", size(f, kind=int64), s%x%rows, outcome)
    if (present(g)) call check_count(routine, "g", size(g, kind=int64), s%y%rows, outcome)
    if (.not. outcome%good()) return
    allocate (of_x(s%x%rows), of_y(s%y%rows), of_a(s%x%rows), of_b(s%y%rows))
    ! Potentials are worked out only if wanted.
    potentials = c_null_ptr
    if (present(f) .or. present(g)) potentials = [c_loc(of_a), c_loc(of_b)]
    if (present(period)) then
      call outcome%take(rkn_wasserstein_circle_gradient(period, s%x%rows, s%x%address, s%a, s%y%rows, s%y%address, s%b, s%p, &
          c_loc(least), c_loc(of_x), c_loc(of_y), potentials(1), potentials(2)))
    else
      call outcome%take(rkn_wasserstein_line_gradient(s%x%rows, s%x%address, s%a, s%y%rows, s%y%address, s%b, s%p, &
          c_loc(least), c_loc(of_x), c_loc(of_y), potentials(1), potentials(2)))
    end if
    if (.not. outcome%good()) return
    if (present(cost)) cost = least
    if (present(gradient_x)) gradient_x = of_x
    if (present(gradient_y)) gradient_y = of_y
    if (present(f)) f = of_a
    if (present(g)) g = of_b
  end subroutine find_gradient

end module reknit_line
