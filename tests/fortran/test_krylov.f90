! Solvers against the known solution of the 1-D Poisson problem; illegal input first.
module krylov_callbacks
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use reknit
  implicit none

  type, extends(rkn_monitor) :: watcher
    integer :: calls = 0, stop_at = 0
    logical :: sane = .true., falling = .true.
    real(real64) :: last = huge(1.0_real64)
  contains
    procedure :: observe => watch
  end type watcher

  type, extends(rkn_events) :: stopwatch
    integer :: depth = 0, products = 0, wrong = 0
    real(real64) :: flops = 0
  contains
    procedure :: event => take
  end type stopwatch

  ! Calls the solver that is running.
  type, extends(rkn_monitor) :: intruder
    type(rkn_krylov_t) :: solver
    type(rkn_operator_t) :: A
    integer :: solve_status = 0, get_status = -1
  contains
    procedure :: observe => intrude
  end type intruder

  type, extends(rkn_convergence_test) :: judge
    real(real64) :: accept_below = 0
    integer :: calls = 0
    logical :: broken = .false.
  contains
    procedure :: test => accept
  end type judge

  ! sum of w conj(x) y
  type, extends(rkn_inner_f64) :: weighted_f64
    real(real64), allocatable :: w(:)
    integer :: calls = 0
    logical :: broken = .false.
  contains
    procedure :: inner => inner_f64
  end type weighted_f64

  type, extends(rkn_inner_c64) :: plain_c64
    integer :: calls = 0
  contains
    procedure :: inner => inner_c64
  end type plain_c64

  integer :: raw_calls = 0, released = 0

contains

  subroutine take(self, event, begins, flops, bytes)
    class(stopwatch), intent(inout) :: self
    integer, intent(in) :: event
    logical, intent(in) :: begins
    real(real64), intent(in) :: flops, bytes
    if (begins) then
      if ((self%depth == 0) .neqv. (event == RKN_EVENT_SOLVE)) self%wrong = self%wrong + 1
      if (flops > 0 .or. bytes > 0) self%wrong = self%wrong + 1
      if (event == RKN_EVENT_APPLY) self%products = self%products + 1
      self%depth = self%depth + 1
    else
      self%depth = self%depth - 1
      if (event == RKN_EVENT_SOLVE) self%flops = flops
    end if
  end subroutine take

  subroutine watch(self, progress, stop)
    class(watcher), intent(inout) :: self
    type(rkn_progress), intent(in) :: progress
    logical, intent(inout) :: stop
    self%calls = self%calls + 1
    self%sane = self%sane .and. progress%size >= storage_size(progress)/8 .and. progress%measure >= 0 &
        .and. progress%target >= 0 .and. progress%applies >= 0
    self%falling = self%falling .and. progress%measure <= self%last*(1 + 1e-6_real64)
    self%last = progress%measure
    stop = self%calls == self%stop_at
  end subroutine watch

  subroutine intrude(self, progress, stop)
    class(intruder), intent(inout) :: self
    type(rkn_progress), intent(in) :: progress
    logical, intent(inout) :: stop
    real(real64), target :: b(4), x(4)
    integer(int64) :: restart
    integer :: nrows, ncols
    call self%A%shape(nrows, ncols)
    b = progress%measure
    if (nrows == 4) call self%solver%solve(self%A, b, x, stat=self%solve_status)
    call self%solver%get("restart", restart, stat=self%get_status)
    stop = .false.
  end subroutine intrude

  subroutine accept(self, iteration, residual_norm, target, converged, stat)
    class(judge), intent(inout) :: self
    integer(int64), intent(in) :: iteration
    real(real64), intent(in) :: residual_norm, target
    logical, intent(inout) :: converged
    integer, intent(inout) :: stat
    self%calls = self%calls + 1
    converged = residual_norm < self%accept_below
    if (self%broken) stat = 5
    if (iteration < 0 .or. target < 0) stat = 6
  end subroutine accept

  subroutine inner_f64(self, x, y, product, stat)
    class(weighted_f64), intent(inout) :: self
    real(real64), intent(in) :: x(:, :), y(:, :)
    real(real64), intent(out) :: product(:, :)
    integer, intent(inout) :: stat
    self%calls = self%calls + 1
    product = matmul(transpose(x), spread(self%w, 2, size(y, 2))*y)
    if (self%broken) stat = 9
  end subroutine inner_f64

  subroutine inner_c64(self, x, y, product, stat)
    class(plain_c64), intent(inout) :: self
    complex(real64), intent(in) :: x(:, :), y(:, :)
    complex(real64), intent(out) :: product(:, :)
    integer, intent(inout) :: stat
    self%calls = self%calls + 1
    product = matmul(conjg(transpose(x)), y)
    if (size(x, 1) /= size(y, 1)) stat = 1
  end subroutine inner_c64

  function raw_monitor(user, progress) bind(c) result(stop)
    type(c_ptr), value :: user
    type(rkn_progress), intent(in) :: progress
    integer(c_int32_t) :: stop
    raw_calls = raw_calls + 1
    stop = 0
    if (.not. c_associated(user) .or. progress%iteration < 0) stop = 1
  end function raw_monitor

  subroutine raw_release(user) bind(c)
    type(c_ptr), value :: user
    if (c_associated(user)) released = released + 1
  end subroutine raw_release

end module krylov_callbacks

program test_krylov
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
  use reknit
  use check
  use poisson
  use krylov_callbacks
  implicit none

  integer, parameter :: n = 50
  integer(int32), allocatable, target :: ptr(:), ind(:)
  integer(int64), allocatable :: ptr64(:), ind64(:)
  real(real64), allocatable, target :: val_f64(:)
  complex(real64), allocatable, target :: val(:)
  real(real64), target :: b(n), x(n)
  real(real64) :: x0(n)
  type(rkn_operator_t) :: K

  call csr(n, 0.0_real64, ptr64, ind64, val)
  ptr = int(ptr64, int32)
  ind = int(ind64, int32)
  val_f64 = real(val, real64)
  call K%create_csr(ptr, ind, val_f64)
  b = 1
  x0 = solution(n)

  call illegal()
  call not_contiguous()
  call real_single()
  call real_double()
  call complex_kinds()
  call methods()
  call matrix_free()
  call with_preconditioner()
  call sequence()
  call stopped_short()
  call monitors()
  call events()
  call monitor_reentry()
  call convergence_tests()
  call inner_products()
  call weights_and_scaling()
  call failing_operator()
  call options()
  call K%destroy()
  call report()

contains

  subroutine illegal()
    type(rkn_krylov_t) :: s, never, dead
    type(rkn_operator_t) :: none
    real(real64), target :: long(n + 1)
    real(real32), target :: single(n), single_x(n)
    integer :: rc, number
    real(real64) :: value
    character(400) :: message
    call s%create("gmress", stat=rc, errmsg=message)
    call expect(rc < 0 .and. index(message, "gmress") > 0, "unknown method: "//trim(message))
    call expect(.not. c_associated(s%handle), "no handle")
    call never%solve(K, b, x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NULL, message, "rkn_krylov_solve 's'", "a solver that was never created")
    call never%set("rtol", 1d-3, stat=rc)
    call expect_status(rc, RKN_ERR_NULL, "set on none")
    call s%create("gmres")
    call s%set("restrt", 40, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_KEY, message, "restrt restart", "misspelt option")
    call s%set("restart", "many", stat=rc, errmsg=message)
    call expect(rc < 0 .and. index(message, "restart") > 0, "option of another type: "//trim(message))
    call s%set("restart", -5, stat=rc, errmsg=message)
    call expect(rc < 0 .and. index(message, "-5") > 0, "option out of range: "//trim(message))
    call s%set("rtol", ieee_value(1.0_real64, ieee_quiet_nan), stat=rc, errmsg=message)
    call expect(rc < 0 .and. index(message, "rtol") > 0, "NaN as tolerance: "//trim(message))
    call s%set_options("restart=40 nonsense", stat=rc, errmsg=message)
    call expect(rc < 0 .and. index(message, "nonsense") > 0, "options that do not parse: "//trim(message))
    call s%get("no_such_result", value, stat=rc)
    call expect_status(rc, RKN_ERR_KEY, "unknown result")
    call s%get("iteration", number, stat=rc)
    call expect_status(rc, RKN_ERR_KEY, "unknown count")
    call s%solve(none, b, x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NULL, message, "rkn_krylov_solve 'A'", "no operator")
    long = 1
    call s%solve(K, long, x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "'b' 51 50", "b too long")
    call s%solve(K, b, long, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "'x' 51 50", "x too long")
    single = 1
    call s%solve(K, single, single_x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SCALAR, message, "'b' real(real32) real(real64)", "b of another kind")
    long = ieee_value(1.0_real64, ieee_quiet_nan)
    x = -7
    call s%solve(K, long(:n), x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NONFINITE, message, "'b'", "NaN in b")
    call expect(all(abs(x + 7) <= 0), "x is left alone")
    call s%set_scaling(long(:3), long(:4), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "'left' 3 4", "scalings of unequal length")
    dead = s
    call s%solve(K, b, x)
    call expect(maxval(abs(x - x0)) < 1e-4_real64, "the next correct solve works")
    call s%destroy()
    call dead%solve(K, b, x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_HANDLE, message, "rkn_krylov_solve 's'", "a dead solver")
    call s%destroy()
  end subroutine illegal

  subroutine not_contiguous()
    type(rkn_krylov_t) :: s
    real(real64), target :: rows(2, n)
    integer :: rc
    character(400) :: message
    rows = 1
    call s%create("cg")
    call s%solve(K, rows(1, :), x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_krylov_solve 'b' contiguous", "b with gaps")
    call s%solve(K, b, rows(2, :), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_krylov_solve 'x' contiguous", "x with gaps")
    call expect(all(abs(rows - 1) <= 0), "untouched")
    call s%destroy()
  end subroutine not_contiguous

  subroutine real_single()
    type(rkn_krylov_t) :: s
    type(rkn_operator_t) :: A
    real(real32), target :: values(3*n - 2), rhs(n), u(n)
    integer :: rc
    character(400) :: message
    values = real(val_f64, real32)
    rhs = 1
    call A%create_csr(ptr, ind, values)
    call s%create("cg")
    call s%set("rtol", 1e-4)
    call s%solve(A, rhs, u, stat=rc, errmsg=message)
    call expect_status(rc, RKN_OK, "f32: "//trim(message))
    call expect(maxval(abs(u - x0)) < 1e-3_real64*maxval(x0), "f32 solution")
    call s%destroy()
    call A%destroy()
  end subroutine real_single

  subroutine real_double()
    type(rkn_krylov_t) :: s
    real(real64) :: norm, relative, seconds, residual(n)
    real(real64), allocatable :: norms(:)
    integer(int64) :: iterations, applies, reductions
    integer :: rc
    character(400) :: message
    call s%create("gcrodr")
    call s%set("rtol", 1d-10)
    call s%set("restart", 60)
    call s%solve(K, b, x, stat=rc, errmsg=message)
    call expect_status(rc, RKN_OK, "f64: "//trim(message))
    call expect(maxval(abs(x - x0)) < 1e-7_real64*maxval(x0), "f64 solution")
    residual = b - real(matmul(full(n, 0.0_real64), x), real64)
    call s%get("residual_norm", norm)
    call expect(abs(norm - norm2(residual)) < 1e-11_real64, "the residual norm is the true one")
    call s%get("relative_residual", relative)
    call expect(abs(relative - norm/norm2(b)) < 1e-15_real64, "relative residual")
    call s%get("iterations", iterations)
    call expect(iterations >= n/2 - 1 .and. iterations <= n + 5, "a symmetric right-hand side takes n/2 steps")
    call s%get("applies", applies)
    call expect(applies >= iterations, "applies")
    call s%get("reductions", reductions)
    call expect(reductions > 0, "reductions")
    call s%get("solve_seconds", seconds)
    call expect(seconds >= 0 .and. seconds < 60, "seconds")
    call s%history(norms)
    call expect(size(norms) == iterations + 1, "history has one norm for each iterate")
    call expect(abs(norms(1) - sqrt(1.0_real64*n)) < 1e-12_real64, "history starts with the norm of b")
    call s%destroy()
  end subroutine real_double

  ! The Hermitian matrix tells conjg(A) from A, and its solution is known as well.
  subroutine complex_kinds()
    type(rkn_krylov_t) :: s
    type(rkn_operator_t) :: A
    integer(int64), allocatable, target :: p(:), i(:)
    complex(real64), allocatable, target :: v(:)
    complex(real64), target :: rhs(n), u(n)
    complex(real32), target :: v32(3*n - 2), rhs32(n), u32(n)
    complex(real64) :: wanted(n)
    integer :: rc
    character(400) :: message
    call csr(n, theta, p, i, v)
    rhs = phases(n)
    wanted = phases(n)*x0
    call A%create_csr(p, i, v)
    call s%create("minres")
    call s%set("rtol", 1d-11)
    call s%solve(A, rhs, u, stat=rc, errmsg=message)
    call expect_status(rc, RKN_OK, "c64: "//trim(message))
    call expect(maxval(abs(u - wanted)) < 1e-7_real64*maxval(x0), "c64 solution")
    call s%create("cg")
    v32 = cmplx(v, kind=real32)
    rhs32 = cmplx(rhs, kind=real32)
    call A%create_csr(p, i, v32)
    call s%set("rtol", 1d-4)
    call s%solve(A, rhs32, u32, stat=rc, errmsg=message)
    call expect_status(rc, RKN_OK, "c32: "//trim(message))
    call expect(maxval(abs(cmplx(u32, kind=real64) - wanted)) < 1e-3_real64*maxval(x0), "c32 solution")
    call s%destroy()
    call A%destroy()
  end subroutine complex_kinds

  subroutine methods()
    type(rkn_krylov_t) :: s
    character(9), parameter :: names(12) = [character(9) :: "cg", "minres", "gmres", "bicgstab", "gcrodr", &
      "rbicgstab", "rcg", "eigcg", "rminres", "idr", "cocg", "cocr"]
    integer :: i, rc
    character(400) :: message
    do i = 1, size(names)
      call s%create(names(i))
      call s%set("rtol", 1d-10)
      call s%solve(K, b, x, stat=rc, errmsg=message)
      call expect_status(rc, RKN_OK, trim(names(i))//": "//trim(message))
      call expect(maxval(abs(x - x0)) < 1e-6_real64*maxval(x0), trim(names(i))//" solution")
    end do
    call s%destroy()
  end subroutine methods

  subroutine matrix_free()
    type(rkn_krylov_t) :: s
    type(rkn_operator_t) :: A
    type(map_f64), target :: map
    integer(int64) :: applies
    call A%create_callback(map, n, n)
    call s%create("cg")
    call s%set("rtol", 1d-10)
    call s%solve(A, b, x)
    call expect(maxval(abs(x - x0)) < 1e-7_real64*maxval(x0), "matrix-free solution")
    call s%get("applies", applies)
    call expect(applies == map%calls, "every call of the map is counted")
    call s%destroy()
    call A%destroy()
  end subroutine matrix_free

  ! An incomplete factorisation without fill is the factorisation of a tridiagonal matrix.
  subroutine with_preconditioner()
    type(rkn_krylov_t) :: s
    type(rkn_operator_t) :: M
    integer :: iterations, applied
    call M%create_preconditioner(K, "ilu0")
    call s%create("gmres")
    call s%set("rtol", 1d-10)
    call s%set("side", "right")
    call s%prepare(K, M)
    call s%solve(K, b, x, M)
    call s%get("iterations", iterations)
    call s%get("preconditioner_applies", applied)
    call expect(iterations <= 2 .and. applied >= 1, "an exact preconditioner")
    call expect(maxval(abs(x - x0)) < 1e-8_real64*maxval(x0), "preconditioned solution")
    call s%destroy()
    call M%destroy()
    call s%create("cg")
    call s%set("preconditioner", "ic0")
    call s%solve(K, b, x)
    call s%get("iterations", iterations)
    call expect(iterations <= 2, "a preconditioner by key")
    call s%destroy()
  end subroutine with_preconditioner

  ! The same matrix scaled by new factors: the recycled space stays good.
  subroutine sequence()
    type(rkn_krylov_t) :: s
    type(rkn_operator_t) :: A
    real(real64), target :: values(3*n - 2)
    integer :: first, last, step
    call s%create("gcrodr")
    call s%set_options("restart=12 recycle=6 rtol=1e-9")
    values = val_f64
    call A%create_csr(ptr, ind, values)
    do step = 1, 4
      values = val_f64*(1 + 0.01_real64*step)
      call A%changed()
      call s%solve(A, b, x)
      call expect(maxval(abs(x - x0/(1 + 0.01_real64*step))) < 1e-5_real64*maxval(x0), "solution in a sequence")
      call s%get("iterations", last)
      if (step == 1) first = last
    end do
    call expect(last < first, "the last solve is cheaper than the first")
    call s%forget()
    call s%solve(A, b, x)
    call s%get("iterations", last)
    call expect(last == first, "after forget it costs as at first")
    call s%destroy()
    call A%destroy()
  end subroutine sequence

  subroutine stopped_short()
    type(rkn_krylov_t) :: s
    integer :: rc, iterations
    real(real64) :: norm, residual(n)
    character(400) :: message
    call s%create("gmres")
    call s%set("max_iterations", 5)
    call s%solve(K, b, x, stat=rc, errmsg=message)
    call expect_status(rc, RKN_STOP_ITERATIONS, "out of iterations")
    call expect(len_trim(message) > 0, "with a message")
    call s%get("iterations", iterations)
    call expect(iterations == 5, "five of them")
    residual = b - real(matmul(full(n, 0.0_real64), x), real64)
    call s%get("residual_norm", norm)
    call expect(abs(norm - norm2(residual)) < 1e-12_real64 .and. norm < norm2(b), "the best x is delivered")
    call s%destroy()
  end subroutine stopped_short

  subroutine monitors()
    type(rkn_krylov_t) :: s
    type(watcher), target :: w
    type(c_ptr) :: anything
    integer, target :: something
    integer :: rc, seen
    call s%create("gmres")
    call s%set("restart", 60)
    call s%set_monitor(w)
    call s%solve(K, b, x)
    call expect(w%calls > 0 .and. w%sane .and. w%falling, "the monitor sees a falling residual")
    seen = w%calls
    w%stop_at = seen + 3
    call s%solve(K, b, x, stat=rc)
    call expect_status(rc, RKN_STOP_MONITOR, "the monitor stops the solve")
    call expect(w%calls == seen + 3, "at once")
    call s%set_monitor()
    call s%solve(K, b, x, stat=rc)
    call expect(rc == RKN_OK .and. w%calls == seen + 3, "without a monitor again")
    anything = c_loc(something)
    call s%set_monitor(c_funloc(raw_monitor), anything, c_funloc(raw_release))
    call s%solve(K, b, x)
    call expect(raw_calls > 0 .and. released == 0, "raw monitor")
    call s%destroy()
    call expect(released == 1, "let go with the solver")
  end subroutine monitors

  subroutine events()
    type(rkn_krylov_t) :: s
    type(stopwatch), target :: e
    integer :: seen
    integer(int64) :: applies, flops
    call s%create("cg")
    call s%set_events(e)
    call s%solve(K, b, x)
    call s%get("applies", applies)
    call s%get("flops", flops)
    call expect(e%depth == 0 .and. e%wrong == 0, "phases nest")
    call expect(e%products == applies .and. applies > 0, "one event a product")
    call expect(abs(e%flops - real(flops, real64)) < 0.5_real64 .and. flops > 0, "the flops of the whole solve")
    seen = e%products
    call s%set_events()
    call s%solve(K, b, x)
    call expect(e%products == seen, "without events again")
    call s%destroy()
  end subroutine events

  subroutine monitor_reentry()
    type(rkn_krylov_t) :: s
    type(intruder), target :: m
    type(rkn_operator_t) :: small
    integer :: rc
    call small%create_identity(4)
    call s%create("gmres")
    m%solver = s
    m%A = small
    call s%set_monitor(m)
    call s%solve(K, b, x, stat=rc)
    call expect_status(rc, RKN_OK, "a solve whose monitor called the solver")
    call expect_status(m%solve_status, RKN_ERR_BUSY, "solve inside solve")
    call expect_status(m%get_status, RKN_OK, "get inside solve")
    call expect(maxval(abs(x - x0)) < 1e-4_real64*maxval(x0), "undisturbed")
    call s%destroy()
    call small%destroy()
  end subroutine monitor_reentry

  subroutine convergence_tests()
    type(rkn_krylov_t) :: s
    type(judge), target :: j
    integer :: rc
    integer(int64) :: code
    real(real64) :: norm
    call s%create("gmres")
    j%accept_below = 2
    call s%set_converged(j)
    call s%solve(K, b, x, stat=rc)
    call s%get("residual_norm", norm)
    call expect(rc == RKN_OK .and. j%calls > 0 .and. norm < 2, "accepted by the program's own test")
    call expect(norm > 1e-7_real64*norm2(b), "long before the tolerance")
    j%broken = .true.
    call s%solve(K, b, x, stat=rc)
    call expect_status(rc, RKN_ERR_CALLBACK, "a test that fails")
    call s%get("callback_status", code)
    call expect(code == 5, "its status")
    call s%set_converged()
    call s%solve(K, b, x, stat=rc)
    call expect_status(rc, RKN_OK, "back to none")
    call s%destroy()
  end subroutine convergence_tests

  subroutine inner_products()
    type(rkn_krylov_t) :: s
    type(rkn_operator_t) :: A
    type(weighted_f64), target :: form
    type(plain_c64), target :: plain
    integer(int64), allocatable, target :: p(:), i(:)
    complex(real64), allocatable, target :: v(:)
    complex(real64), target :: rhs(n), u(n)
    real(real64), allocatable :: norms(:)
    integer :: rc
    integer(int64) :: code
    character(400) :: message
    call s%create("gmres")
    call s%set("rtol", 1d-10)
    form%w = spread(4.0_real64, 1, n)
    call s%set_inner(form)
    call s%solve(K, b, x, stat=rc, errmsg=message)
    call expect_status(rc, RKN_OK, "own inner product: "//trim(message))
    call expect(form%calls > 0, "was used")
    call expect(maxval(abs(x - x0)) < 1e-7_real64*maxval(x0), "solution with it")
    call s%history(norms)
    call expect(abs(norms(1) - 2*norm2(b)) < 1e-12_real64, "norms are its norms")
    form%broken = .true.
    call s%solve(K, b, x, stat=rc)
    call expect_status(rc, RKN_ERR_CALLBACK, "an inner product that fails")
    call s%get("callback_status", code)
    call expect(code == 9, "its status")

    call csr(n, theta, p, i, v)
    rhs = phases(n)
    call A%create_csr(p, i, v)
    call s%create("gmres")
    call s%set_inner(form)
    call s%solve(A, rhs, u, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SCALAR, message, "rkn_krylov_solve inner", "an inner product of another kind")
    call s%prepare(A, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SCALAR, message, "rkn_krylov_prepare inner", "also ahead of the solve")
    call s%set_inner(plain)
    call s%set("rtol", 1d-10)
    call s%solve(A, rhs, u, stat=rc, errmsg=message)
    call expect_status(rc, RKN_OK, "complex inner product: "//trim(message))
    call expect(maxval(abs(u - phases(n)*x0)) < 1e-6_real64*maxval(x0) .and. plain%calls > 0, "solution with it")
    call s%set_inner()
    call s%destroy()
    call A%destroy()
  end subroutine inner_products

  ! Weights of 9 triple every norm; scaling changes the iteration, not the solution.
  subroutine weights_and_scaling()
    type(rkn_krylov_t) :: s
    real(real64) :: w(n), left(n), gap
    real(real64), allocatable :: norms(:)
    integer :: i, rc
    character(400) :: message
    w = 9
    call s%create("gmres")
    call s%set("rtol", 1d-10)
    call s%set_weights(w)
    call s%solve(K, b, x)
    call s%history(norms)
    call expect(abs(norms(1) - 3*norm2(b)) < 1e-11_real64, "weighted norms")
    call s%set_weights()
    call s%solve(K, b, x)
    call s%history(norms)
    call expect(abs(norms(1) - norm2(b)) < 1e-12_real64, "plain norms again")
    w(2) = -1
    call s%set_weights(w, stat=rc, errmsg=message)
    call expect(rc < 0 .and. index(message, "'weights'") > 0, "a negative weight: "//trim(message))
    left = [(1 + modulo(i, 3)*0.5_real64, i=1, n)]
    call s%set_scaling(left, left)
    call s%solve(K, b, x, stat=rc, errmsg=message)
    call expect_status(rc, RKN_OK, "scaled: "//trim(message))
    gap = maxval(abs(x - x0))
    call expect(gap < 1e-6_real64*maxval(x0), "scaled solution")
    call s%set_scaling(right=left)
    call s%solve(K, b, x, stat=rc, errmsg=message)
    call expect(rc == RKN_OK .and. maxval(abs(x - x0)) < 1e-6_real64*maxval(x0), "scaled on the right: "//trim(message))
    call s%set_scaling()
    call s%destroy()
  end subroutine weights_and_scaling

  subroutine failing_operator()
    type(rkn_krylov_t) :: s
    type(rkn_operator_t) :: A
    type(map_f64), target :: map
    integer :: rc
    integer(int64) :: code
    character(400) :: message
    call A%create_callback(map, n, n)
    call s%create("gcrodr")
    call s%set("rtol", 1d-9)
    map%fail_at = 4
    call s%solve(A, b, x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_CALLBACK, message, "rkn_krylov_solve 77", "an operator that fails in the solve")
    call s%get("callback_status", code)
    call expect(code == 77, "its status")
    map%fail_at = 0
    map%poisoned = .true.
    call s%solve(A, b, x, stat=rc, errmsg=message)
    call expect(rc /= RKN_OK .and. len_trim(message) > 0, "an operator that returns NaN: "//trim(message))
    map%poisoned = .false.
    call s%solve(A, b, x, stat=rc)
    call expect(rc == RKN_OK .and. maxval(abs(x - x0)) < 1e-5_real64*maxval(x0), "the next solve works")
    call s%destroy()
    call A%destroy()
  end subroutine failing_operator

  subroutine options()
    type(rkn_krylov_t) :: s
    character(:), allocatable :: text, key, kind, doc
    real(real64) :: rtol
    integer :: restart, rc, i
    logical :: seen
    call s%create("gcrodr")
    call s%set_options("restart=41 recycle=20 rtol=1e-7")
    call s%get("restart", restart)
    call s%get("rtol", rtol)
    call expect(restart == 41 .and. abs(rtol - 1e-7_real64) < 1e-20_real64, "options from one string")
    call s%set("initial_guess", "previous")
    call s%get("initial_guess", text)
    call expect(text == "previous" .and. len(text) == 8, "an option that is a word")
    call s%view(text)
    call expect(index(text, "41") > 0 .and. index(text, "gcrodr") > 0, "view shows what is in force")
    seen = .false.
    i = 0
    do
      i = i + 1
      call s%option(i, key, kind, doc, stat=rc)
      if (rc /= RKN_OK) exit
      seen = seen .or. (key == "rtol" .and. len(kind) > 0 .and. len(doc) > 0)
    end do
    call expect_status(rc, RKN_ERR_INDEX, "the table of options ends")
    call expect(seen .and. i > 8, "and has rtol in it")
    call s%destroy()
  end subroutine options

end program test_krylov
