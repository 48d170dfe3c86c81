! Heat conduction in a plate, in Fortran: the problem, the five ways and the table of heat_sequence.c, which
! explains them.
!
! Usage: heat_sequence [cells a side, 208] [steps, 64]

! The plate, in SI units.
module plate
  use, intrinsic :: iso_fortran_env, only: int32, real64
  implicit none
  private
  public :: plate_t

  real(real64), parameter :: side = 0.06_real64, time_step = 20.0_real64                ! m, s
  real(real64), parameter :: capacity = 3.8e6_real64                                    ! J/(m^3 K)
  real(real64), parameter :: copper = 390.0_real64, steel = 15.0_real64                 ! W/(m K)
  real(real64), parameter :: steel_gain = 0.001_real64                                  ! relative, 1/K
  real(real64), parameter :: crack = 0.01_real64          ! what it leaves of the conductivity
  real(real64), parameter :: peak = 3e8_real64, heater = 0.05_real64                    ! W/m^3, radius over side

  type :: plate_t
    integer :: n = 0, steps = 0                           ! cells a side, time steps
    integer(int32), allocatable :: ptr(:), col(:)         ! five-point pattern, columns ascending
    real(real64), allocatable :: val(:)                   ! matrix of the present step, in place
    real(real64), allocatable :: k(:, :), b(:)            ! conductivity of the cells, right-hand side
  contains
    procedure :: create
    procedure :: assemble
  end type plate_t

contains

  subroutine create(self, n, steps)
    class(plate_t), intent(inout) :: self
    integer, intent(in) :: n, steps
    integer :: i, j, cell, entries
    self%n = n
    self%steps = steps
    allocate (self%ptr(n*n + 1), self%col(5*n*n - 4*n), self%val(5*n*n - 4*n), self%k(n, n), self%b(n*n))
    entries = 0
    self%ptr(1) = 1
    do j = 1, n
      do i = 1, n
        cell = i + (j - 1)*n
        if (j > 1) call add(cell - n)
        if (i > 1) call add(cell - 1)
        call add(cell)
        if (i < n) call add(cell + 1)
        if (j < n) call add(cell + n)
        self%ptr(cell + 1) = entries + 1
      end do
    end do
  contains
    subroutine add(column)
      integer, intent(in) :: column
      entries = entries + 1
      self%col(entries) = column
    end subroutine add
  end subroutine create

  ! Matrix and right-hand side of the step that starts from the temperatures t.
  subroutine assemble(self, step, t)
    class(plate_t), intent(inout) :: self
    integer, intent(in) :: step
    real(real64), intent(in) :: t(self%n, self%n)
    real(real64) :: area, mass, south, west, east, north, at(2), dx, dy, decay
    integer :: i, j, n, entries
    n = self%n
    area = side/n*(side/n)
    mass = capacity*area/time_step
    at = heater_at(real(step, real64)/self%steps)
    do j = 1, n
      do i = 1, n
        self%k(i, j) = conductivity(self, step, i, j, t(i, j))
      end do
    end do
    entries = 0
    do j = 1, n
      do i = 1, n
        associate (k => self%k)
          south = 2*k(i, j)
          west = 0
          east = 0
          north = 0
          if (j > 1) south = harmonic(k(i, j), k(i, j - 1))
          if (i > 1) west = harmonic(k(i, j), k(i - 1, j))
          if (i < n) east = harmonic(k(i, j), k(i + 1, j))
          if (j < n) north = harmonic(k(i, j), k(i, j + 1))
        end associate
        if (j > 1) call add(-south)
        if (i > 1) call add(-west)
        call add(mass + south + west + east + north)
        if (i < n) call add(-east)
        if (j < n) call add(-north)
        dx = ((i - 0.5_real64)/n - at(1))/heater
        dy = ((j - 0.5_real64)/n - at(2))/heater
        decay = 1 + dx*dx + dy*dy
        self%b(i + (j - 1)*n) = mass*t(i, j) + area*peak/(decay*decay)
      end do
    end do
  contains
    subroutine add(value)
      real(real64), intent(in) :: value
      entries = entries + 1
      self%val(entries) = value
    end subroutine add
  end subroutine assemble

  pure real(real64) function conductivity(self, step, i, j, temperature)
    class(plate_t), intent(in) :: self
    integer, intent(in) :: step, i, j
    real(real64), intent(in) :: temperature
    logical :: cracked
    if (in_inlay(self%n, i) .and. in_inlay(self%n, j)) then
      conductivity = copper
    else
      conductivity = steel*(1 + steel_gain*temperature)
      cracked = step >= self%steps/2 .and. j - 1 == self%n/2 .and. 4*(i - 1) < 3*self%n
      if (cracked) conductivity = crack*conductivity
    end if
  end function conductivity

  ! The middle three fifths of each quarter.
  pure logical function in_inlay(n, i)
    integer, intent(in) :: n, i
    integer :: u
    u = mod(4*(i - 1), n)
    in_inlay = 5*u >= n .and. 5*u < 4*n
  end function in_inlay

  ! Once around a square of half the side; lengths relative to the side.
  pure function heater_at(turn) result(at)
    real(real64), intent(in) :: turn
    real(real64) :: at(2), f
    integer :: edge
    edge = int(4*turn)
    f = 0.5_real64*(4*turn - edge)
    select case (edge)
    case (0); at = [0.25_real64 + f, 0.25_real64]
    case (1); at = [0.75_real64, 0.25_real64 + f]
    case (2); at = [0.75_real64 - f, 0.75_real64]
    case default; at = [0.25_real64, 0.75_real64 - f]
    end select
  end function heater_at

  pure real(real64) function harmonic(a, b)
    real(real64), intent(in) :: a, b
    harmonic = 2*a*b/(a + b)
  end function harmonic

end module plate

! One way to solve each system, and how it fares.
module ways
  use, intrinsic :: iso_fortran_env, only: error_unit, int64, real64
  use reknit
  implicit none
  private
  public :: way_t, score_t

  type :: score_t
    integer :: iterations = 0, applies = 0
    real(real64) :: seconds = 0, residual = 0
  contains
    procedure :: add
    procedure :: text
  end type score_t

  type :: way_t
    character(6) :: name = ""
    type(rkn_krylov_t) :: solver
    type(rkn_operator_t) :: M
    logical :: forgets = .false.
    integer :: renew_every = 1
    real(real64), allocatable :: x(:)
    type(score_t) :: total
  contains
    procedure :: create
    procedure :: solve
    procedure :: destroy
  end type way_t

contains

  subroutine create(self, name, A, method, options, kind, forgets, renew_every)
    class(way_t), intent(inout) :: self
    character(*), intent(in) :: name, method, options, kind
    type(rkn_operator_t), intent(in) :: A
    logical, optional, intent(in) :: forgets
    integer, optional, intent(in) :: renew_every
    self%name = name
    call self%solver%create(method)
    call self%solver%set("rtol", 1e-8_real64)
    call self%solver%set("initial_guess", "x")
    call self%solver%set_options(options)
    call self%M%create_preconditioner(A, kind)
    if (present(forgets)) self%forgets = forgets
    if (present(renew_every)) self%renew_every = renew_every
  end subroutine create

  ! A renewed preconditioner counts. x starts from the last step.
  subroutine solve(self, A, step, b, t, score)
    class(way_t), intent(inout) :: self
    type(rkn_operator_t), intent(in) :: A
    integer, intent(in) :: step
    real(real64), intent(in) :: b(:), t(:)
    type(score_t), intent(out) :: score
    character(:), allocatable :: message
    integer :: status
    real(real64) :: start
    self%x = t
    if (self%forgets) call self%solver%forget()
    start = now()
    if (mod(step, self%renew_every) == 0) call self%M%changed()
    call self%solver%solve(A, b, self%x, self%M, stat=status, errmsg=message)
    score%seconds = now() - start
    if (status < RKN_OK) error stop message
    if (status > RKN_OK) write (error_unit, "(a)") message
    call self%solver%get("iterations", score%iterations)
    call self%solver%get("applies", score%applies)
    call self%solver%get("relative_residual", score%residual)
    call self%total%add(score)
  end subroutine solve

  subroutine destroy(self)
    class(way_t), intent(inout) :: self
    call self%solver%destroy()
    call self%M%destroy()
  end subroutine destroy

  subroutine add(self, other)
    class(score_t), intent(inout) :: self
    type(score_t), intent(in) :: other
    self%iterations = self%iterations + other%iterations
    self%applies = self%applies + other%applies
    self%seconds = self%seconds + other%seconds
    self%residual = max(self%residual, other%residual)
  end subroutine add

  ! Four columns of the table; the exponent has a small e, as in the other languages.
  function text(self)
    class(score_t), intent(in) :: self
    character(30) :: text
    write (text, "(' |', i5, i7, f8.1, es8.1)") self%iterations, self%applies, 1000*self%seconds, self%residual
    text(27:27) = "e"
  end function text

  real(real64) function now()
    integer(int64) :: ticks, rate
    call system_clock(ticks, rate)
    now = real(ticks, real64)/real(rate, real64)
  end function now

end module ways

program heat_sequence
  use, intrinsic :: iso_fortran_env, only: error_unit, output_unit, real64
  use reknit
  use plate
  use ways
  implicit none

  type(plate_t), target :: p
  type(rkn_operator_t) :: A
  type(way_t) :: way(5)
  type(score_t) :: score
  real(real64), allocatable :: t(:)
  integer :: n, steps, step, w

  n = argument(1, 208)
  steps = argument(2, 64)
  if (n < 8 .or. n > 20000 .or. steps < 1) then
    write (error_unit, "(a)") "usage: heat_sequence [cells a side, at least 8] [steps]"
    stop 2, quiet=.true.
  end if
  call p%create(n, steps)
  allocate (t(n*n), source=0.0_real64)
  call p%assemble(0, t)

  ! The matrix is borrowed: each step writes new numbers into p%val.
  call A%create_csr(p%ptr, p%col, p%val)
  call way(1)%create("memory", A, "gcrodr", "restart=40 recycle=20", "ilu0")
  call way(2)%create("forget", A, "gcrodr", "restart=40 recycle=20", "ilu0", forgets=.true.)
  call way(3)%create("cg+ic0", A, "cg", "", "ic0")
  call way(4)%create("direct", A, "cg", "", "llt")
  call way(5)%create("lagged", A, "cg", "", "llt", renew_every=8)

  print "('heat conduction, ', i0, ' x ', i0, ' cells, ', i0, ' steps, relative residual 1e-8')", n, n, steps
  print "(4x, *(:, ' | ', a26))", (adjustl(way(w)%name//repeat(" ", 20)), w=1, size(way))
  print "('step', 5a)", (" | iter applies     ms    resid", w=1, size(way))
  do step = 0, steps - 1
    call p%assemble(step, t)
    call A%changed()
    write (*, "(i4)", advance="no") step
    do w = 1, size(way)
      call way(w)%solve(A, step, p%b, t, score)
      write (*, "(a)", advance="no") score%text()
    end do
    write (*, "()")
    flush (output_unit)
    t = way(4)%x
  end do
  print "(' all', *(a))", (way(w)%total%text(), w=1, size(way))
  print "('hottest cell at the end: ', f0.6, ' K')", maxval(t)

  do w = 1, size(way)
    call way(w)%destroy()
  end do
  call A%destroy()

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

end program heat_sequence
