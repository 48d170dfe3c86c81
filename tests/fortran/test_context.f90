! Contexts and the library as a whole; illegal input first.
module context_callbacks
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: real64
  use reknit
  implicit none

  ! Stands for as many ranks as `ranks` says, all with the same numbers.
  type, extends(rkn_reduction) :: same_on_all
    integer :: ranks = 1, calls = 0, fail_at = 0
  contains
    procedure :: reduce => reduce_same
  end type same_on_all

  type, extends(rkn_log) :: notebook
    integer :: lines = 0, longest = 0
    logical :: clean = .true.
  contains
    procedure :: write_line => note
  end type notebook

  type, extends(rkn_monitor) :: interrupter
    type(rkn_context_t) :: ctx
    integer :: calls = 0
  contains
    procedure :: observe => interrupt_now
  end type interrupter

  integer :: raw_sums = 0, raw_lines = 0, released = 0

contains

  subroutine reduce_same(self, op, values, stat)
    class(same_on_all), intent(inout) :: self
    integer, intent(in) :: op
    real(real64), intent(inout) :: values(:)
    integer, intent(inout) :: stat
    self%calls = self%calls + 1
    if (op == RKN_SUM) values = values*self%ranks
    if (self%calls == self%fail_at) stat = 13
  end subroutine reduce_same

  subroutine note(self, level, line)
    class(notebook), intent(inout) :: self
    integer, intent(in) :: level
    character(*), intent(in) :: line
    self%lines = self%lines + 1
    self%longest = max(self%longest, len(line))
    self%clean = self%clean .and. level >= 0 .and. index(line, c_null_char) == 0
  end subroutine note

  subroutine interrupt_now(self, progress, stop)
    class(interrupter), intent(inout) :: self
    type(rkn_progress), intent(in) :: progress
    logical, intent(inout) :: stop
    self%calls = self%calls + 1
    if (progress%iteration >= 2) call self%ctx%interrupt()
    stop = .false.
  end subroutine interrupt_now

  function raw_reduce(user, op, n, inout) bind(c) result(stat)
    type(c_ptr), value :: user, inout
    integer(c_int32_t), value :: op
    integer(c_int64_t), value :: n
    integer(c_int32_t) :: stat
    raw_sums = raw_sums + 1
    stat = 0
    if (n < 1 .or. .not. c_associated(inout) .or. .not. c_associated(user) .or. op < RKN_SUM) stat = 1
  end function raw_reduce

  subroutine raw_log(user, level, line) bind(c)
    type(c_ptr), value :: user, line
    integer(c_int32_t), value :: level
    if (c_associated(user) .and. c_associated(line) .and. level >= 0) raw_lines = raw_lines + 1
  end subroutine raw_log

  subroutine raw_release(user) bind(c)
    type(c_ptr), value :: user
    if (c_associated(user)) released = released + 1
  end subroutine raw_release

end module context_callbacks

program test_context
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use reknit
  use check
  use poisson
  use context_callbacks
  implicit none

  integer, parameter :: n = 40
  integer(int64), allocatable, target :: ptr(:), ind(:)
  complex(real64), allocatable :: val(:)
  real(real64), target :: values(3*n - 2), b(n), x(n)
  real(real64) :: x0(n)

  call csr(n, 0.0_real64, ptr, ind, val)
  values = real(val, real64)
  b = 1
  x0 = solution(n)

  call illegal()
  call library()
  call keys()
  call reductions()
  call logs()
  call interrupts()
  call report()

contains

  subroutine illegal()
    type(rkn_context_t) :: ctx, never, dead
    type(rkn_krylov_t) :: s
    integer :: rc
    integer(int64) :: value
    character(400) :: message
    character(:), allocatable :: text
    call never%set("threads", 2, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NULL, message, "rkn_context_set_int 'ctx'", "set without a context")
    call ctx%create()
    call ctx%set("thraeds", 2, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_KEY, message, "thraeds threads", "misspelt key")
    call ctx%set("threads", 0, stat=rc, errmsg=message)
    call expect(rc < 0 .and. index(message, "threads") > 0, "no threads: "//trim(message))
    call ctx%get("nothing", value, stat=rc)
    call expect_status(rc, RKN_ERR_KEY, "unknown key")
    call rkn_option_reference("verb", text, stat=rc, errmsg=message)
    call expect(rc < 0 .and. index(message, "verb") > 0, "unknown noun: "//trim(message))
    dead = ctx
    call ctx%destroy()
    call dead%set("threads", 1, stat=rc)
    call expect_status(rc, RKN_ERR_HANDLE, "a dead context")
    call s%create("cg", ctx=dead, stat=rc)
    call expect_status(rc, RKN_ERR_HANDLE, "a solver on a dead context")
    call ctx%destroy()
    call dead%destroy()
  end subroutine illegal

  subroutine library()
    character(:), allocatable :: text
    character(400) :: message
    type(rkn_context_t) :: never
    integer :: rc, seed
    call expect(rkn_version() == "0.1.0", "version "//rkn_version())
    call expect(rkn_version_number() == RKN_VERSION_NUMBER_HEADER, "version number")
    call expect(rkn_abi() == RKN_ABI_HEADER, "abi")
    call expect(len(rkn_build_info()) > 0, "build info")
    call expect(rkn_status_name(int(RKN_ERR_SIZE)) == "RKN_ERR_SIZE", "status name")
    call expect(rkn_status_name(12345) == "RKN_UNKNOWN", "name of no status")
    call never%get("seed", seed, stat=rc, errmsg=message)
    call expect(rc < 0 .and. rkn_last_error() == message .and. message /= "", "last error: "//rkn_last_error())
    call never%interrupt(stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NULL, message, "rkn_context_interrupt 'ctx'", "interrupt without a context")
    call rkn_option_reference("krylov", text)
    call expect(index(text, "max_iterations") > 0, "option reference")
  end subroutine library

  subroutine keys()
    type(rkn_context_t) :: ctx
    integer :: threads
    integer(int64) :: seed
    call ctx%create()
    call ctx%set("threads", 2)
    call ctx%get("threads", threads)
    call expect(threads == 2, "threads")
    call ctx%set("seed", 123456789012_int64)
    call ctx%get("seed", seed)
    call expect(seed == 123456789012_int64, "seed")
    call small_integer(ctx)
    call ctx%destroy()
  end subroutine keys

  subroutine small_integer(ctx)
    type(rkn_context_t), intent(in) :: ctx
    integer :: seed, rc
    character(400) :: message
    seed = -1
    call ctx%get("seed", seed, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "'value' 123456789012", "a number that does not fit")
    call expect(seed == -1, "left alone")
  end subroutine small_integer

  ! Four ranks with the same numbers: every norm doubles, the solution stays.
  subroutine reductions()
    type(rkn_context_t) :: ctx
    type(rkn_krylov_t) :: s
    type(rkn_operator_t) :: A
    type(map_f64), target :: map
    type(same_on_all), target :: four
    integer, target :: anything
    real(real64), allocatable :: norms(:)
    integer :: rc, seen
    integer(int64) :: code
    four%ranks = 4
    call ctx%create()
    call ctx%set_reduce(four)
    call A%create_callback(map, n, n, ctx=ctx)
    call s%create("cg", ctx=ctx)
    call s%set("rtol", 1d-10)
    call s%solve(A, b, x)
    call expect(four%calls > 0, "sums cross the ranks")
    call expect(maxval(abs(x - x0)) < 1e-7_real64*maxval(x0), "solution on four ranks")
    call s%history(norms)
    call expect(abs(norms(1) - 2*norm2(b)) < 1e-12_real64, "a norm over four ranks")
    four%fail_at = four%calls + 3
    call s%solve(A, b, x, stat=rc)
    call expect_status(rc, RKN_ERR_CALLBACK, "a reduction that fails")
    call s%get("callback_status", code)
    call expect(code == 13, "its status")
    seen = four%calls
    call ctx%set_reduce()
    call s%solve(A, b, x)
    call expect(four%calls == seen, "one rank again")
    call ctx%set_reduce(c_funloc(raw_reduce), c_loc(anything), c_funloc(raw_release))
    call s%solve(A, b, x)
    call expect(raw_sums > 0, "raw reduction")
    call s%destroy()
    call A%destroy()
    call ctx%destroy()
    call expect(released == 1, "let go with the context")
  end subroutine reductions

  subroutine logs()
    type(rkn_context_t) :: ctx
    type(rkn_krylov_t) :: s
    type(rkn_operator_t) :: A
    type(notebook), target :: book
    integer, target :: anything
    integer :: seen
    call ctx%create()
    call ctx%set("log_level", 3)
    call ctx%set_log(book)
    call A%create_csr(ptr, ind, values, ctx=ctx)
    call s%create("gcrodr", ctx=ctx)
    call s%solve(A, b, x)
    call expect(book%lines > 0 .and. book%clean .and. book%longest > 0, "the log comes line by line")
    seen = book%lines
    call ctx%set_log(c_funloc(raw_log), c_loc(anything), c_funloc(raw_release))
    call s%solve(A, b, x)
    call expect(raw_lines > 0 .and. book%lines == seen, "raw log")
    seen = raw_lines
    call ctx%set_log()
    call s%solve(A, b, x)
    call expect(raw_lines == seen, "silent again")
    call s%destroy()
    call A%destroy()
    call ctx%destroy()
  end subroutine logs

  subroutine interrupts()
    type(rkn_context_t) :: ctx
    type(rkn_krylov_t) :: s
    type(rkn_operator_t) :: A
    type(interrupter), target :: m
    integer :: rc, iterations
    call ctx%create()
    call A%create_csr(ptr, ind, values, ctx=ctx)
    call s%create("gmres", ctx=ctx)
    m%ctx = ctx
    call s%set_monitor(m)
    call s%solve(A, b, x, stat=rc)
    call expect_status(rc, RKN_STOP_INTERRUPT, "interrupted")
    call s%get("iterations", iterations)
    call expect(iterations >= 2 .and. iterations < n/2, "soon")
    call s%set_monitor()
    call s%solve(A, b, x, stat=rc)
    call expect_status(rc, RKN_OK, "the next solve is not")
    call s%destroy()
    call A%destroy()
    call ctx%destroy()
  end subroutine interrupts

end program test_context
