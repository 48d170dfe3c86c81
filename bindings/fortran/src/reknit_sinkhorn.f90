! Entropic optimal transport: what it costs, and a solver with memory. The geometry is an argument of each solve; the
! potentials stay in the solver until forget or destroy.
module reknit_sinkhorn
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
  use reknit_constants
  use reknit_c
  use reknit_support
  use reknit_callbacks
  use reknit_context
  use reknit_arrays, only: array
  implicit none
  private
  public :: rkn_geometry_t, rkn_sinkhorn_t, rkn_transport_problem
  public :: check_count   ! gfortran hides what is private from submodules too

  integer(c_int32_t), parameter :: from_one = 1   ! the base of indices unless told otherwise

  ! Assignment copies the reference, not the geometry: destroy one of the two.
  type :: rkn_geometry_t
    type(c_ptr) :: handle = c_null_ptr
  contains
    procedure, private :: create_matrix_f32, create_matrix_f64
    generic :: create_matrix => create_matrix_f32, create_matrix_f64
    procedure :: create_points
    procedure, private :: create_grid_i32, create_grid_i64
    generic :: create_grid => create_grid_i32, create_grid_i64
    procedure, private :: create_sparse_i32, create_sparse_i64
    generic :: create_sparse => create_sparse_i32, create_sparse_i64
    procedure, private :: create_callback_i32, create_callback_i64, create_callback_raw
    generic :: create_callback => create_callback_i32, create_callback_i64, create_callback_raw
    procedure :: destroy => destroy_geometry
    procedure, private :: shape_i32, shape_i64
    generic :: shape => shape_i32, shape_i64
    procedure, private :: adopt
  end type rkn_geometry_t

  ! Assignment copies the reference, not the solver: destroy one of the two.
  type :: rkn_sinkhorn_t
    type(c_ptr) :: handle = c_null_ptr
    integer(int64), private :: n = 0, m = 0     ! shape of the last plan, 0 for none
    integer(int64), private :: solves = 0       ! that this variable has seen
  contains
    procedure :: create
    procedure :: destroy
    procedure, private :: set_i32, set_i64, set_r32, set_r64, set_text
    generic :: set => set_i32, set_i64, set_r32, set_r64, set_text
    procedure :: set_options
    procedure, private :: get_i32, get_i64, get_r64, get_text
    generic :: get => get_i32, get_i64, get_r64, get_text
    procedure, private :: set_monitor_object, set_monitor_raw
    generic :: set_monitor => set_monitor_object, set_monitor_raw
    procedure, private :: solve_1, solve_2, solve_3
    generic :: solve => solve_1, solve_2, solve_3
    procedure, private :: divergence_1, divergence_2, divergence_3
    generic :: divergence => divergence_1, divergence_2, divergence_3
    procedure :: potentials
    procedure, private :: plan_apply_1, plan_apply_2
    generic :: plan_apply => plan_apply_1, plan_apply_2
    procedure, private :: plan_sparse_i32, plan_sparse_i64
    generic :: plan_sparse => plan_sparse_i32, plan_sparse_i64
    procedure, private :: plan_rows_i32, plan_rows_i64
    generic :: plan_rows => plan_rows_i32, plan_rows_i64
    procedure :: bracket
    procedure :: round => round_plan
    procedure :: save => save_bytes
    procedure :: load => load_bytes
    procedure :: gradient_points
    procedure :: vjp_potentials
    procedure :: vjp_plan
    procedure :: forget
    procedure :: barycenter
    procedure :: barycenter_points
    procedure :: solve_batch
    procedure :: solve_many
  end type rkn_sinkhorn_t

  ! One of several problems, and what comes of it: status as of a solve, the potentials and <C, P> if there is a plan.
  type :: rkn_transport_problem
    type(rkn_geometry_t) :: geometry
    real(real64), allocatable :: a(:), b(:)
    integer :: status = 0
    real(real64), allocatable :: f(:), g(:)
    real(real64) :: cost = 0
  end type rkn_transport_problem

  ! Barycentres and several problems at once: reknit_batch.f90.
  interface
    recursive module subroutine barycenter(self, G, B, p, weights, stat, errmsg)
      class(rkn_sinkhorn_t), intent(in) :: self
      type(rkn_geometry_t), intent(in) :: G
      real(real64), target, intent(in) :: B(:, :)
      real(real64), contiguous, target, intent(inout) :: p(:)
      real(real64), optional, contiguous, target, intent(in) :: weights(:)
      integer, optional, intent(out) :: stat
      character(*), optional, intent(out) :: errmsg
    end subroutine barycenter

    recursive module subroutine barycenter_points(self, X, Y, counts, a, b, weights, stat, errmsg)
      class(rkn_sinkhorn_t), intent(in) :: self
      real(real64), target, intent(inout) :: X(:, :)
      real(real64), target, intent(in) :: Y(:, :)
      integer, intent(in) :: counts(:)
      real(real64), optional, contiguous, target, intent(in) :: a(:), b(:), weights(:)
      integer, optional, intent(out) :: stat
      character(*), optional, intent(out) :: errmsg
    end subroutine barycenter_points

    recursive module subroutine solve_batch(self, G, A, B, fs, gs, costs, statuses, stat, errmsg)
      class(rkn_sinkhorn_t), intent(in) :: self
      type(rkn_geometry_t), intent(in) :: G
      real(real64), target, intent(in) :: A(:, :), B(:, :)
      real(real64), optional, allocatable, intent(inout) :: fs(:, :), gs(:, :), costs(:)
      integer, optional, allocatable, intent(inout) :: statuses(:)
      integer, optional, intent(out) :: stat
      character(*), optional, intent(out) :: errmsg
    end subroutine solve_batch

    recursive module subroutine solve_many(self, problems, stat, errmsg)
      class(rkn_sinkhorn_t), intent(in) :: self
      type(rkn_transport_problem), target, intent(inout) :: problems(:)
      integer, optional, intent(out) :: stat
      character(*), optional, intent(out) :: errmsg
    end subroutine solve_many
  end interface

  ! Derivatives on their way to the caller; not allocated where they are not wanted.
  type :: gradients_t
    real(real64), allocatable :: a(:), b(:), X(:, :), Y(:, :)
  end type gradients_t

contains

  ! Take a new handle after a good outcome; what the variable held before is destroyed only then.
  recursive subroutine adopt(self, handle, outcome, stat, errmsg)
    class(rkn_geometry_t), intent(inout) :: self
    type(c_ptr), intent(in) :: handle
    type(outcome_t), intent(in) :: outcome
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    if (outcome%good()) then
      call self%destroy()
      self%handle = handle
    end if
    call settle(outcome, stat, errmsg)
  end subroutine adopt

  recursive subroutine destroy_geometry(self)
    class(rkn_geometry_t), intent(inout) :: self
    call rkn_geometry_destroy(self%handle)
    self%handle = c_null_ptr
  end subroutine destroy_geometry

  ! ---- what transport costs ----

  ! C(i, j) from row i to column j. A borrowed C (the default) is a target that outlives the geometry and every solver that last
  ! solved with it, and does not change. It may be a section such as big(2:n + 1, :).
  recursive subroutine create_matrix_f64(self, C, memory, ctx, stat, errmsg)
    class(rkn_geometry_t), intent(inout) :: self
    real(real64), target, intent(in) :: C(:, :)
    integer(c_int32_t), optional, intent(in) :: memory
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call create_matrix_array(self, array("C", C), memory, ctx, stat, errmsg)
  end subroutine create_matrix_f64

  recursive subroutine create_matrix_f32(self, C, memory, ctx, stat, errmsg)
    class(rkn_geometry_t), intent(inout) :: self
    real(real32), target, intent(in) :: C(:, :)
    integer(c_int32_t), optional, intent(in) :: memory
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call create_matrix_array(self, array("C", C), memory, ctx, stat, errmsg)
  end subroutine create_matrix_f32

  recursive subroutine create_matrix_array(self, C, memory, ctx, stat, errmsg)
    class(rkn_geometry_t), intent(inout) :: self
    type(array_t), intent(in) :: C
    integer(c_int32_t), optional, intent(in) :: memory
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    call C%check("rkn_geometry_create_matrix", outcome)
    if (outcome%good()) call outcome%take(rkn_geometry_create_matrix(handle_of(ctx), C%tag, C%rows, C%columns, &
        RKN_COLUMN_MAJOR, C%address, C%ld, given(memory, RKN_BORROW), handle))
    call self%adopt(handle, outcome, stat, errmsg)
  end subroutine create_matrix_array

  ! (sum over k of weights(k) |x(k, i) - y(k, j)|**p)**(q/p): a column a point. p and q are 2 if absent, the squared Euclidean
  ! distance. periods: lengths of the box, 0 where an axis does not close. All copied.
  recursive subroutine create_points(self, x, y, p, q, weights, periods, ctx, stat, errmsg)
    class(rkn_geometry_t), intent(inout) :: self
    real(real64), target, intent(in) :: x(:, :), y(:, :)
    real(real64), optional, intent(in) :: p, q
    real(real64), optional, contiguous, target, intent(in) :: weights(:), periods(:)
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_geometry_create_points"
    type(outcome_t) :: outcome
    type(array_t) :: from, to
    type(c_ptr) :: handle, w, box
    real(real64) :: norm, power
    norm = 2
    power = 2
    w = c_null_ptr
    box = c_null_ptr
    if (present(p)) norm = p
    if (present(q)) power = q
    from = array("x", x)
    to = array("y", y)
    call from%check(routine, outcome)
    call to%check(routine, outcome)
    call check_rows(routine, to, from%rows, outcome)
    if (present(weights)) then
      call check_count(routine, "weights", size(weights, kind=int64), from%rows, outcome)
      w = c_loc(weights)
    end if
    if (present(periods)) then
      call check_count(routine, "periods", size(periods, kind=int64), from%rows, outcome)
      box = c_loc(periods)
    end if
    if (outcome%good()) call outcome%take(rkn_geometry_create_points(handle_of(ctx), from%rows, from%columns, from%address, &
        from%ld, to%columns, to%address, to%ld, norm, power, w, box, handle))
    call self%adopt(handle, outcome, stat, errmsg)
  end subroutine create_points

  ! sum over k of (h(k) |i(k) - j(k)|)**p between the cells of a grid of one to three axes. cells: how many there are along each, as
  ! in the shape of an array of masses: the first axis runs fastest. h: lengths of a cell, 1 if absent; periodic: where
  ! an axis closes; p: 2 if absent.
  recursive subroutine create_grid_i64(self, cells, h, periodic, p, ctx, stat, errmsg)
    class(rkn_geometry_t), intent(inout) :: self
    integer(int64), intent(in) :: cells(:)
    real(real64), optional, intent(in) :: h(:)
    logical, optional, intent(in) :: periodic(:)
    real(real64), optional, intent(in) :: p
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_geometry_create_grid"
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    integer(int64), allocatable, target :: counts(:)
    real(real64), allocatable, target :: lengths(:)
    integer(c_int32_t), allocatable, target :: closes(:)
    real(real64) :: power
    integer(int64) :: d
    d = size(cells, kind=int64)
    power = 2
    if (present(p)) power = p
    if (present(h)) call check_count(routine, "h", size(h, kind=int64), d, outcome)
    if (present(periodic)) call check_count(routine, "periodic", size(periodic, kind=int64), d, outcome)
    if (outcome%good()) then
      ! The library's last axis runs fastest.
      counts = cells(d:1:-1)
      allocate (lengths(d), closes(d))
      lengths = 1
      closes = 0
      if (present(h)) lengths = h(d:1:-1)
      if (present(periodic)) closes = merge(1_c_int32_t, 0_c_int32_t, periodic(d:1:-1))
      call outcome%take(rkn_geometry_create_grid(handle_of(ctx), d, c_loc(counts), c_loc(lengths), c_loc(closes), power, handle))
    end if
    call self%adopt(handle, outcome, stat, errmsg)
  end subroutine create_grid_i64

  recursive subroutine create_grid_i32(self, cells, h, periodic, p, ctx, stat, errmsg)
    class(rkn_geometry_t), intent(inout) :: self
    integer(int32), intent(in) :: cells(:)
    real(real64), optional, intent(in) :: h(:)
    logical, optional, intent(in) :: periodic(:)
    real(real64), optional, intent(in) :: p
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call self%create_grid_i64(int(cells, int64), h, periodic, p, ctx, stat, errmsg)
  end subroutine create_grid_i32

  ! Only the entries in compressed rows are allowed. costs(k) is that of column colind(k); ncols: as many as rows if absent;
  ! base: of the indices, 1 if absent. Copied.
  recursive subroutine create_sparse_i64(self, rowptr, colind, costs, ncols, base, ctx, stat, errmsg)
    class(rkn_geometry_t), intent(inout) :: self
    integer(int64), target, intent(in) :: rowptr(:), colind(:)
    real(real64), target, intent(in) :: costs(:)
    integer(int64), optional, intent(in) :: ncols
    integer(c_int32_t), optional, intent(in) :: base
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call create_sparse_array(self, array("rowptr", rowptr), array("colind", colind), array("costs", costs), wide_i64(ncols), &
        base, ctx, stat, errmsg)
  end subroutine create_sparse_i64

  recursive subroutine create_sparse_i32(self, rowptr, colind, costs, ncols, base, ctx, stat, errmsg)
    class(rkn_geometry_t), intent(inout) :: self
    integer(int32), target, intent(in) :: rowptr(:), colind(:)
    real(real64), target, intent(in) :: costs(:)
    integer(int32), optional, intent(in) :: ncols
    integer(c_int32_t), optional, intent(in) :: base
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call create_sparse_array(self, array("rowptr", rowptr), array("colind", colind), array("costs", costs), wide_i32(ncols), &
        base, ctx, stat, errmsg)
  end subroutine create_sparse_i32

  recursive subroutine create_sparse_array(self, rowptr, colind, costs, ncols, base, ctx, stat, errmsg)
    class(rkn_geometry_t), intent(inout) :: self
    type(array_t), intent(in) :: rowptr, colind, costs
    integer(int64), intent(in) :: ncols
    integer(c_int32_t), optional, intent(in) :: base
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_geometry_create_sparse"
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    integer(int64) :: n, entries
    n = rowptr%count - 1
    entries = rowptr%last - given(base, from_one)
    call rowptr%check(routine, outcome)
    call colind%check(routine, outcome)
    call costs%check(routine, outcome)
    if (n < 0) call outcome%refuse(RKN_ERR_SIZE, routine//": argument 'rowptr' has no element, must have one more than the "// &
        "cost has rows")
    ! The library reads as many entries as the last pointer says.
    if (entries > min(colind%count, costs%count)) call outcome%refuse(RKN_ERR_SIZE, routine//": argument 'rowptr' speaks of "// &
        decimal(entries)//" entries, must of at most "//decimal(min(colind%count, costs%count))//", for the sizes of 'colind' "// &
        "and 'costs'")
    if (outcome%good()) call outcome%take(rkn_geometry_create_sparse(handle_of(ctx), n, given_count(ncols, n), rowptr%tag, &
        given(base, from_one), rowptr%address, colind%address, costs%address, handle))
    call self%adopt(handle, outcome, stat, errmsg)
  end subroutine create_sparse_array

  ! n x m costs whose rows the object writes. It is kept by reference: a target that lives until the geometry and every solver
  ! that last solved with it are destroyed.
  recursive subroutine create_callback_i64(self, rows, n, m, ctx, stat, errmsg)
    class(rkn_geometry_t), intent(inout) :: self
    class(rkn_cost_rows), target, intent(inout) :: rows
    integer(int64), intent(in) :: n, m
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle, user
    user = keep(rows)
    call outcome%take(rkn_geometry_create_callback(handle_of(ctx), n, m, c_funloc(call_cost_row), user, c_funloc(call_release), &
        handle))
    call handed_over(user, outcome%good())
    call self%adopt(handle, outcome, stat, errmsg)
  end subroutine create_callback_i64

  recursive subroutine create_callback_i32(self, rows, n, m, ctx, stat, errmsg)
    class(rkn_geometry_t), intent(inout) :: self
    class(rkn_cost_rows), target, intent(inout) :: rows
    integer(int32), intent(in) :: n, m
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call self%create_callback_i64(rows, int(n, int64), int(m, int64), ctx, stat, errmsg)
  end subroutine create_callback_i32

  recursive subroutine create_callback_raw(self, row, user, release, n, m, ctx, stat, errmsg)
    class(rkn_geometry_t), intent(inout) :: self
    type(c_funptr), value :: row, release
    type(c_ptr), value :: user
    integer(int64), intent(in) :: n, m
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    call outcome%take(rkn_geometry_create_callback(handle_of(ctx), n, m, row, user, release, handle))
    call self%adopt(handle, outcome, stat, errmsg)
  end subroutine create_callback_raw

  recursive subroutine shape_i64(self, n, m, stat, errmsg)
    class(rkn_geometry_t), intent(in) :: self
    integer(int64), intent(inout) :: n, m
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_geometry_shape(self%handle, n, m))
    call settle(outcome, stat, errmsg)
  end subroutine shape_i64

  recursive subroutine shape_i32(self, n, m, stat, errmsg)
    class(rkn_geometry_t), intent(in) :: self
    integer(int32), intent(inout) :: n, m
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64) :: rows, columns
    call outcome%take(rkn_geometry_shape(self%handle, rows, columns))
    if (outcome%good()) call narrow("rkn_geometry_shape", max(rows, columns), n, outcome)
    if (outcome%good()) then
      n = int(rows, int32)
      m = int(columns, int32)
    end if
    call settle(outcome, stat, errmsg)
  end subroutine shape_i32

  recursive subroutine check_count(routine, name, count, wanted, outcome)
    character(*), intent(in) :: routine, name
    integer(int64), intent(in) :: count, wanted
    type(outcome_t), intent(inout) :: outcome
    if (count /= wanted) call outcome%refuse(RKN_ERR_SIZE, routine//": argument '"//name//"' has "//decimal(count)// &
        " elements, must have "//decimal(wanted))
  end subroutine check_count

  ! ---- the solver ----

  ! method: auto, sinkhorn, sns
  recursive subroutine create(self, method, ctx, stat, errmsg)
    class(rkn_sinkhorn_t), intent(inout) :: self
    character(*), intent(in) :: method
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    call outcome%take(rkn_sinkhorn_create(handle_of(ctx), c_text(method), handle))
    if (outcome%good()) then
      call self%destroy()
      self%handle = handle
    end if
    call settle(outcome, stat, errmsg)
  end subroutine create

  recursive subroutine destroy(self)
    class(rkn_sinkhorn_t), intent(inout) :: self
    call rkn_sinkhorn_destroy(self%handle)
    self%handle = c_null_ptr
    self%n = 0
    self%m = 0
    self%solves = 0
  end subroutine destroy

  ! ---- options and results ----

  recursive subroutine set_i64(self, key, value, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int64), intent(in) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_sinkhorn_set_int(self%handle, c_text(key), value))
    call settle(outcome, stat, errmsg)
  end subroutine set_i64

  recursive subroutine set_i32(self, key, value, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int32), intent(in) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call self%set_i64(key, int(value, int64), stat, errmsg)
  end subroutine set_i32

  recursive subroutine set_r64(self, key, value, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    character(*), intent(in) :: key
    real(real64), intent(in) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_sinkhorn_set_real(self%handle, c_text(key), value))
    call settle(outcome, stat, errmsg)
  end subroutine set_r64

  recursive subroutine set_r32(self, key, value, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    character(*), intent(in) :: key
    real(real32), intent(in) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call self%set_r64(key, real(value, real64), stat, errmsg)
  end subroutine set_r32

  recursive subroutine set_text(self, key, value, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    character(*), intent(in) :: key
    character(*), intent(in) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_sinkhorn_set_string(self%handle, c_text(key), c_text(value)))
    call settle(outcome, stat, errmsg)
  end subroutine set_text

  ! Several at once: "epsilon=1e-3 epsilon_relative=max"
  recursive subroutine set_options(self, options, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    character(*), intent(in) :: options
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_sinkhorn_set_options(self%handle, c_text(options)))
    call settle(outcome, stat, errmsg)
  end subroutine set_options

  recursive subroutine get_i64(self, key, value, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int64), intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_sinkhorn_get_int(self%handle, c_text(key), value))
    call settle(outcome, stat, errmsg)
  end subroutine get_i64

  recursive subroutine get_i32(self, key, value, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int32), intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64) :: found
    call outcome%take(rkn_sinkhorn_get_int(self%handle, c_text(key), found))
    if (outcome%good()) call narrow("rkn_sinkhorn_get_int", found, value, outcome)
    call settle(outcome, stat, errmsg)
  end subroutine get_i32

  recursive subroutine get_r64(self, key, value, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    character(*), intent(in) :: key
    real(real64), target, intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_sinkhorn_get_real(self%handle, c_text(key), c_loc(value)))
    call settle(outcome, stat, errmsg)
  end subroutine get_r64

  recursive subroutine get_text(self, key, value, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    character(*), intent(in) :: key
    character(:), allocatable, intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    character(:), allocatable :: buffer
    integer(int64) :: need
    need = 0
    call buffer_for(rkn_sinkhorn_get_string(self%handle, c_text(key), cap=0_int64, need=need), need, buffer, outcome)
    if (outcome%good()) call outcome%take(rkn_sinkhorn_get_string(self%handle, c_text(key), buffer, need))
    if (outcome%good()) value = buffer(:need - 1)
    call settle(outcome, stat, errmsg)
  end subroutine get_text

  ! Without a monitor: back to none.
  recursive subroutine set_monitor_object(self, monitor, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    class(rkn_monitor), optional, target, intent(inout) :: monitor
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: user
    if (present(monitor)) then
      user = keep(monitor)
      call outcome%take(rkn_sinkhorn_set_monitor(self%handle, c_funloc(call_monitor), user, c_funloc(call_release)))
      call handed_over(user, outcome%good())
    else
      call outcome%take(rkn_sinkhorn_set_monitor(self%handle, c_null_funptr, c_null_ptr, c_null_funptr))
    end if
    call settle(outcome, stat, errmsg)
  end subroutine set_monitor_object

  recursive subroutine set_monitor_raw(self, monitor, user, release, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    type(c_funptr), value :: monitor, release
    type(c_ptr), value :: user
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_sinkhorn_set_monitor(self%handle, monitor, user, release))
    call settle(outcome, stat, errmsg)
  end subroutine set_monitor_raw

  ! ---- solving ----

  ! The plan between the masses a and b, one for each row and column of G: not negative, of one sum. Those on a grid may be
  ! arrays of two or three axes. A positive stat: stopped short of the tolerance with its best potentials delivered
  ! (RKN_STOP_INFEASIBLE: with none, those of the solve before stay).
  recursive subroutine solve_1(self, G, a, b, stat, errmsg)
    class(rkn_sinkhorn_t), intent(inout) :: self
    type(rkn_geometry_t), intent(in) :: G
    real(real64), target, intent(in) :: a(:), b(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call solve_array(self, G, array("a", a), array("b", b), stat, errmsg)
  end subroutine solve_1

  recursive subroutine solve_2(self, G, a, b, stat, errmsg)
    class(rkn_sinkhorn_t), intent(inout) :: self
    type(rkn_geometry_t), intent(in) :: G
    real(real64), target, intent(in) :: a(:, :), b(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call solve_array(self, G, array("a", a), array("b", b), stat, errmsg)
  end subroutine solve_2

  recursive subroutine solve_3(self, G, a, b, stat, errmsg)
    class(rkn_sinkhorn_t), intent(inout) :: self
    type(rkn_geometry_t), intent(in) :: G
    real(real64), target, intent(in) :: a(:, :, :), b(:, :, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call solve_array(self, G, array("a", a), array("b", b), stat, errmsg)
  end subroutine solve_3

  recursive subroutine solve_array(self, G, a, b, stat, errmsg)
    class(rkn_sinkhorn_t), intent(inout) :: self
    type(rkn_geometry_t), intent(in) :: G
    type(array_t), intent(in) :: a, b
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64) :: n, m
    call check_masses("rkn_sinkhorn_solve", G, a, b, n, m, outcome)
    if (outcome%good()) call take_plan(self, rkn_sinkhorn_solve(self%handle, G%handle, a%address, b%address), n, m, outcome)
    call settle(outcome, stat, errmsg)
  end subroutine solve_array

  ! Sinkhorn's divergence between the masses a and b, which solves for the plan between them too. Ga, Gb: the costs among the
  ! points of a, and among those of b; G itself where the points are the same. value is written if stat is 0.
  recursive subroutine divergence_1(self, G, Ga, Gb, a, b, value, stat, errmsg)
    class(rkn_sinkhorn_t), intent(inout) :: self
    type(rkn_geometry_t), intent(in) :: G, Ga, Gb
    real(real64), target, intent(in) :: a(:), b(:)
    real(real64), intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call divergence_array(self, G, Ga, Gb, array("a", a), array("b", b), value, stat, errmsg)
  end subroutine divergence_1

  recursive subroutine divergence_2(self, G, Ga, Gb, a, b, value, stat, errmsg)
    class(rkn_sinkhorn_t), intent(inout) :: self
    type(rkn_geometry_t), intent(in) :: G, Ga, Gb
    real(real64), target, intent(in) :: a(:, :), b(:, :)
    real(real64), intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call divergence_array(self, G, Ga, Gb, array("a", a), array("b", b), value, stat, errmsg)
  end subroutine divergence_2

  recursive subroutine divergence_3(self, G, Ga, Gb, a, b, value, stat, errmsg)
    class(rkn_sinkhorn_t), intent(inout) :: self
    type(rkn_geometry_t), intent(in) :: G, Ga, Gb
    real(real64), target, intent(in) :: a(:, :, :), b(:, :, :)
    real(real64), intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call divergence_array(self, G, Ga, Gb, array("a", a), array("b", b), value, stat, errmsg)
  end subroutine divergence_3

  recursive subroutine divergence_array(self, G, Ga, Gb, a, b, value, stat, errmsg)
    class(rkn_sinkhorn_t), intent(inout) :: self
    type(rkn_geometry_t), intent(in) :: G, Ga, Gb
    type(array_t), intent(in) :: a, b
    real(real64), intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64) :: n, m
    real(real64), target :: found
    found = value
    call check_masses("rkn_sinkhorn_divergence", G, a, b, n, m, outcome)
    if (outcome%good()) call take_plan(self, rkn_sinkhorn_divergence(self%handle, G%handle, Ga%handle, Gb%handle, a%address, &
        b%address, c_loc(found)), n, m, outcome)
    value = found
    call settle(outcome, stat, errmsg)
  end subroutine divergence_array

  recursive subroutine check_masses(routine, G, a, b, n, m, outcome)
    character(*), intent(in) :: routine
    type(rkn_geometry_t), intent(in) :: G
    type(array_t), intent(in) :: a, b
    integer(int64), intent(out) :: n, m
    type(outcome_t), intent(inout) :: outcome
    n = 0
    m = 0
    call check_dense(routine, a, outcome)
    call check_dense(routine, b, outcome)
    ! A handle that is none the library reports itself, in the call that follows.
    if (rkn_geometry_shape(G%handle, n, m) == RKN_OK) then
      call check_count(routine, "a", a%count, n, outcome)
      call check_count(routine, "b", b%count, m, outcome)
    end if
  end subroutine check_masses

  ! After a solve that returned code: the plan is n x m now, or the one before.
  recursive subroutine take_plan(self, code, n, m, outcome)
    class(rkn_sinkhorn_t), intent(inout) :: self
    integer(c_int32_t), intent(in) :: code
    integer(int64), intent(in) :: n, m
    type(outcome_t), intent(inout) :: outcome
    integer(int64) :: solves
    call outcome%take(code)
    if (code >= RKN_OK .and. code /= RKN_STOP_INFEASIBLE) then
      self%n = n
      self%m = m
    end if
    if (rkn_sinkhorn_get_int(self%handle, c_text("solves"), solves) == RKN_OK) self%solves = solves
  end subroutine take_plan

  ! Columns of a larger array have gaps that masses must not have.
  recursive subroutine check_dense(routine, masses, outcome)
    character(*), intent(in) :: routine
    type(array_t), intent(in) :: masses
    type(outcome_t), intent(inout) :: outcome
    type(array_t) :: dense
    dense = masses
    dense%regular = masses%regular .and. masses%span() == masses%count
    call dense%check(routine, outcome)
  end subroutine check_dense

  ! P(i, j) = exp((f(i) + g(j) - C(i, j))/epsilon) of the last solve; -infinity where a point has no mass.
  recursive subroutine potentials(self, f, g, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    real(real64), allocatable, optional, intent(inout) :: f(:), g(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    real(real64), allocatable, target :: of_rows(:), of_columns(:)
    ! Not empty, so that they have addresses.
    allocate (of_rows(max(self%n, 1_int64)), of_columns(max(self%m, 1_int64)))
    call check_own("rkn_sinkhorn_potentials", self, outcome)
    if (outcome%good()) call outcome%take(rkn_sinkhorn_potentials(self%handle, c_loc(of_rows), c_loc(of_columns)))
    if (outcome%good()) then
      if (present(f)) f = of_rows
      if (present(g)) g = of_columns
    end if
    call settle(outcome, stat, errmsg)
  end subroutine potentials

  ! y = P x, or P^T x with trans=RKN_T, by the plan of the last solve, which is not formed. A column of rank 2 each.
  recursive subroutine plan_apply_1(self, x, y, trans, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    real(real64), target, intent(in) :: x(:)
    real(real64), target, intent(inout) :: y(:)
    integer(c_int32_t), optional, intent(in) :: trans
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call plan_apply_array(self, array("x", x), array("y", y), trans, stat, errmsg)
  end subroutine plan_apply_1

  recursive subroutine plan_apply_2(self, x, y, trans, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    real(real64), target, intent(in) :: x(:, :)
    real(real64), target, intent(inout) :: y(:, :)
    integer(c_int32_t), optional, intent(in) :: trans
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call plan_apply_array(self, array("x", x), array("y", y), trans, stat, errmsg)
  end subroutine plan_apply_2

  recursive subroutine plan_apply_array(self, x, y, trans, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    type(array_t), intent(in) :: x, y
    integer(c_int32_t), optional, intent(in) :: trans
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_sinkhorn_plan_apply"
    type(outcome_t) :: outcome
    integer(c_int32_t) :: op
    op = given(trans, RKN_N)
    call check_own(routine, self, outcome)
    call x%check(routine, outcome)
    call y%check(routine, outcome)
    if (self%n > 0) then
      call check_rows(routine, x, merge(self%m, self%n, op == RKN_N), outcome)
      call check_rows(routine, y, merge(self%n, self%m, op == RKN_N), outcome)
    end if
    if (x%columns /= y%columns) call outcome%refuse(RKN_ERR_SIZE, routine//": argument 'y' has "// &
        decimal(y%columns)//" columns, must have the "//decimal(x%columns)//" of 'x'")
    if (outcome%good()) call outcome%take(rkn_sinkhorn_plan_apply(self%handle, op, x%columns, x%address, x%ld, y%address, y%ld))
    call settle(outcome, stat, errmsg)
  end subroutine plan_apply_array

  ! The entries of the plan of the last solve above a threshold, in compressed rows, counted from 1.
  recursive subroutine plan_sparse_i64(self, threshold, rowptr, colind, values, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    real(real64), intent(in) :: threshold
    integer(int64), allocatable, intent(inout) :: rowptr(:), colind(:)
    real(real64), allocatable, intent(inout) :: values(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64), allocatable :: pointers(:), columns(:)
    real(real64), allocatable, target :: masses(:)
    call find_entries(self, threshold, pointers, columns, masses, outcome)
    if (outcome%good()) then
      rowptr = pointers
      colind = columns
      values = masses
    end if
    call settle(outcome, stat, errmsg)
  end subroutine plan_sparse_i64

  recursive subroutine plan_sparse_i32(self, threshold, rowptr, colind, values, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    real(real64), intent(in) :: threshold
    integer(int32), allocatable, intent(inout) :: rowptr(:), colind(:)
    real(real64), allocatable, intent(inout) :: values(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64), allocatable :: pointers(:), columns(:)
    real(real64), allocatable, target :: masses(:)
    call find_entries(self, threshold, pointers, columns, masses, outcome)
    if (outcome%good() .and. size(masses, kind=int64) >= huge(1_int32)) call outcome%refuse(RKN_ERR_SIZE, &
        "rkn_sinkhorn_plan_sparse: argument 'rowptr' cannot count "//decimal(size(masses, kind=int64))// &
        " entries, must be an integer(int64)")
    if (outcome%good()) then
      rowptr = int(pointers, int32)
      colind = int(columns, int32)
      values = masses
    end if
    call settle(outcome, stat, errmsg)
  end subroutine plan_sparse_i32

  recursive subroutine find_entries(self, threshold, pointers, columns, masses, outcome)
    class(rkn_sinkhorn_t), intent(in) :: self
    real(real64), intent(in) :: threshold
    integer(int64), allocatable, intent(out) :: pointers(:), columns(:)
    real(real64), allocatable, target, intent(out) :: masses(:)
    type(outcome_t), intent(inout) :: outcome
    integer(int64) :: need
    need = 0
    call check_own("rkn_sinkhorn_plan_sparse", self, outcome)
    if (outcome%good()) call outcome%take(rkn_sinkhorn_plan_sparse(self%handle, threshold, values=c_null_ptr, cap=0_int64, &
        need=need))
    allocate (pointers(self%n + 1), columns(need), masses(need))
    pointers = 0
    if (outcome%good() .and. need > 0) call outcome%take(rkn_sinkhorn_plan_sparse(self%handle, threshold, pointers, columns, &
        c_loc(masses), need, need))
    pointers = pointers + 1
    columns = columns + 1
  end subroutine find_entries

  ! Rows first to last of the plan of the last solve, counted from 1: P(1, :) is row first.
  recursive subroutine plan_rows_i64(self, first, last, P, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    integer(int64), intent(in) :: first, last
    real(real64), allocatable, intent(inout) :: P(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_sinkhorn_plan_rows"
    type(outcome_t) :: outcome
    real(real64), allocatable, target :: rows(:, :)
    integer(int64) :: count
    count = 0
    if (last >= first) count = last - first + 1
    call check_own(routine, self, outcome)
    if (self%n > 0 .and. (first < 1 .or. first - 1 + count > self%n)) call outcome%refuse(RKN_ERR_INDEX, routine// &
        ": argument 'first' is "//decimal(first)//" and 'last' "//decimal(last)//", must lie in 1.."//decimal(self%n))
    if (outcome%good()) then
      ! Not empty, so that it has an address.
      allocate (rows(max(self%m, 1_int64), max(count, 1_int64)))
      call outcome%take(rkn_sinkhorn_plan_rows(self%handle, first - 1, count, c_loc(rows), size(rows, 1, kind=int64)))
      if (outcome%good()) P = transpose(rows(:, :count))
    end if
    call settle(outcome, stat, errmsg)
  end subroutine plan_rows_i64

  recursive subroutine plan_rows_i32(self, first, last, P, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    integer(int32), intent(in) :: first, last
    real(real64), allocatable, intent(inout) :: P(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call self%plan_rows_i64(int(first, int64), int(last, int64), P, stat, errmsg)
  end subroutine plan_rows_i32

  ! Bounds of the exact cost of transport, from the plan of the last solve.
  recursive subroutine bracket(self, lower, upper, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    real(real64), optional, intent(inout) :: lower, upper
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    real(real64), target :: below, above
    call outcome%take(rkn_sinkhorn_bracket(self%handle, c_loc(below), c_loc(above)))
    if (outcome%good()) then
      if (present(lower)) lower = below
      if (present(upper)) upper = above
    end if
    call settle(outcome, stat, errmsg)
  end subroutine bracket

  ! The plan rounded to its marginals: x(i) P(i, j) y(j) + u(i) v(j).
  recursive subroutine round_plan(self, x, y, u, v, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    real(real64), allocatable, intent(inout) :: x(:), y(:), u(:), v(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    real(real64), allocatable, target :: rows(:, :), columns(:, :)
    ! Not empty, so that they have addresses.
    allocate (rows(max(self%n, 1_int64), 2), columns(max(self%m, 1_int64), 2))
    call check_own("rkn_sinkhorn_round", self, outcome)
    if (outcome%good()) call outcome%take(rkn_sinkhorn_round(self%handle, c_loc(rows(1, 1)), c_loc(columns(1, 1)), &
        c_loc(rows(1, 2)), c_loc(columns(1, 2))))
    if (outcome%good()) then
      x = rows(:, 1)
      u = rows(:, 2)
      y = columns(:, 1)
      v = columns(:, 2)
    end if
    call settle(outcome, stat, errmsg)
  end subroutine round_plan

  ! What was learned, as bytes that are the same on every machine.
  recursive subroutine save_bytes(self, bytes, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    integer(c_int8_t), allocatable, target, intent(inout) :: bytes(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(c_int8_t), allocatable, target :: buffer(:)
    integer(int64) :: need
    need = 0
    call outcome%take(rkn_sinkhorn_save(self%handle, c_null_ptr, 0_int64, need))
    allocate (buffer(need))
    if (outcome%good() .and. need > 0) call outcome%take(rkn_sinkhorn_save(self%handle, c_loc(buffer), need, need))
    if (outcome%good()) bytes = buffer
    call settle(outcome, stat, errmsg)
  end subroutine save_bytes

  ! The state that save saved: the next solve goes on bit for bit, with this solver's options. There is no plan before it.
  recursive subroutine load_bytes(self, bytes, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    integer(c_int8_t), contiguous, target, intent(in) :: bytes(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_sinkhorn_load(self%handle, c_loc(bytes), size(bytes, kind=int64)))
    call settle(outcome, stat, errmsg)
  end subroutine load_bytes

  ! Who solved knows the size of the plan: after a solve by way of a copy of the reference, this variable does not.
  recursive subroutine check_own(routine, self, outcome)
    character(*), intent(in) :: routine
    class(rkn_sinkhorn_t), intent(in) :: self
    type(outcome_t), intent(inout) :: outcome
    integer(int64) :: solves
    if (rkn_sinkhorn_get_int(self%handle, c_text("solves"), solves) /= RKN_OK) return
    if (solves /= self%solves) call outcome%refuse(RKN_ERR_STATE, routine//": the last solve was not by way of this "// &
        "variable, so the size of the plan is not known")
  end subroutine check_own

  ! ---- derivatives; see the C header for what they mean ----

  ! Of the value of the last solve with respect to the points: dX(d, n) and dY(d, m) as x and y of create_points.
  recursive subroutine gradient_points(self, dX, dY, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    real(real64), optional, intent(inout) :: dX(:, :), dY(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_sinkhorn_gradient_points"
    type(outcome_t) :: outcome
    type(gradients_t), target :: d
    call check_own(routine, self, outcome)
    call gather(routine, self, d, outcome, dX=dX, dY=dY)
    if (outcome%good()) call outcome%take(rkn_sinkhorn_gradient_points(self%handle, address(d%X), rows(d%X), address(d%Y), &
        rows(d%Y)))
    if (outcome%good()) call scatter(d, dX=dX, dY=dY)
    call settle(outcome, stat, errmsg)
  end subroutine gradient_points

  ! Of a function of the potentials, from its derivatives wf(n) and wg(m) with respect to them, of one sum: with respect to masses,
  ! da(n) and db(m); costs, dC(n, m); points, dX(d, n) and dY(d, m).
  recursive subroutine vjp_potentials(self, wf, wg, da, db, dC, dX, dY, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    real(real64), intent(in) :: wf(:), wg(:)
    real(real64), optional, intent(inout) :: da(:), db(:), dX(:, :), dY(:, :)
    real(real64), optional, target, intent(inout) :: dC(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_sinkhorn_vjp_potentials"
    type(outcome_t) :: outcome
    type(gradients_t), target :: d
    type(array_t) :: costs
    real(real64), allocatable, target :: of_f(:), of_g(:)
    call check_own(routine, self, outcome)
    call check_count(routine, "wf", size(wf, kind=int64), self%n, outcome)
    call check_count(routine, "wg", size(wg, kind=int64), self%m, outcome)
    call gather(routine, self, d, outcome, da, db, dX, dY)
    call describe_costs(routine, self, costs, outcome, dC)
    ! Not empty, so that they have addresses.
    allocate (of_f(max(size(wf), 1)), of_g(max(size(wg), 1)))
    of_f(:size(wf)) = wf
    of_g(:size(wg)) = wg
    if (outcome%good()) call outcome%take(rkn_sinkhorn_vjp_potentials(self%handle, c_loc(of_f), c_loc(of_g), first(d%a), &
        first(d%b), RKN_COLUMN_MAJOR, costs%address, costs%ld, address(d%X), rows(d%X), address(d%Y), rows(d%Y)))
    if (outcome%code >= RKN_OK) call scatter(d, da, db, dX, dY)
    call settle(outcome, stat, errmsg)
  end subroutine vjp_potentials

  ! The same of a function of the plan, from its derivatives W(n, m) with respect to the entries.
  recursive subroutine vjp_plan(self, W, da, db, dC, dX, dY, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    real(real64), target, intent(in) :: W(:, :)
    real(real64), optional, intent(inout) :: da(:), db(:), dX(:, :), dY(:, :)
    real(real64), optional, target, intent(inout) :: dC(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_sinkhorn_vjp_plan"
    type(outcome_t) :: outcome
    type(gradients_t), target :: d
    type(array_t) :: costs, cotangent
    call check_own(routine, self, outcome)
    cotangent = array("W", W)
    call check_shape(routine, self, cotangent, outcome)
    call gather(routine, self, d, outcome, da, db, dX, dY)
    call describe_costs(routine, self, costs, outcome, dC)
    if (outcome%good()) call outcome%take(rkn_sinkhorn_vjp_plan(self%handle, RKN_COLUMN_MAJOR, cotangent%address, cotangent%ld, &
        first(d%a), first(d%b), costs%address, costs%ld, address(d%X), rows(d%X), address(d%Y), rows(d%Y)))
    if (outcome%code >= RKN_OK) call scatter(d, da, db, dX, dY)
    call settle(outcome, stat, errmsg)
  end subroutine vjp_plan

  ! Copies of what is to be written, of the sizes that the library takes for granted.
  recursive subroutine gather(routine, self, d, outcome, da, db, dX, dY)
    character(*), intent(in) :: routine
    class(rkn_sinkhorn_t), intent(in) :: self
    type(gradients_t), intent(inout) :: d
    type(outcome_t), intent(inout) :: outcome
    real(real64), optional, intent(in) :: da(:), db(:), dX(:, :), dY(:, :)
    if (present(da)) then
      call check_count(routine, "da", size(da, kind=int64), self%n, outcome)
      d%a = da
    end if
    if (present(db)) then
      call check_count(routine, "db", size(db, kind=int64), self%m, outcome)
      d%b = db
    end if
    if (present(dX)) then
      call check_columns(routine, "dX", size(dX, 2, int64), self%n, outcome)
      d%X = dX
    end if
    if (present(dY)) then
      call check_columns(routine, "dY", size(dY, 2, int64), self%m, outcome)
      d%Y = dY
    end if
  end subroutine gather

  recursive subroutine scatter(d, da, db, dX, dY)
    type(gradients_t), intent(in) :: d
    real(real64), optional, intent(inout) :: da(:), db(:), dX(:, :), dY(:, :)
    if (present(da)) da = d%a
    if (present(db)) db = d%b
    if (present(dX)) dX = d%X
    if (present(dY)) dY = d%Y
  end subroutine scatter

  recursive subroutine check_columns(routine, name, columns, wanted, outcome)
    character(*), intent(in) :: routine, name
    integer(int64), intent(in) :: columns, wanted
    type(outcome_t), intent(inout) :: outcome
    if (wanted > 0 .and. columns /= wanted) call outcome%refuse(RKN_ERR_SIZE, routine//": argument '"//name//"' has "// &
        decimal(columns)//" columns, must have "//decimal(wanted))
  end subroutine check_columns

  recursive subroutine check_shape(routine, self, matrix, outcome)
    character(*), intent(in) :: routine
    class(rkn_sinkhorn_t), intent(in) :: self
    type(array_t), intent(in) :: matrix
    type(outcome_t), intent(inout) :: outcome
    call matrix%check(routine, outcome)
    if (self%n == 0) return
    call check_rows(routine, matrix, self%n, outcome)
    call check_columns(routine, trim(matrix%name), matrix%columns, self%m, outcome)
  end subroutine check_shape

  ! Where derivatives with respect to costs go, straight to where the caller has them.
  recursive subroutine describe_costs(routine, self, costs, outcome, dC)
    character(*), intent(in) :: routine
    class(rkn_sinkhorn_t), intent(in) :: self
    type(array_t), intent(inout) :: costs
    type(outcome_t), intent(inout) :: outcome
    real(real64), optional, target, intent(inout) :: dC(:, :)
    costs%address = c_null_ptr
    costs%ld = 0
    if (.not. present(dC)) return
    costs = array("dC", dC)
    call check_shape(routine, self, costs, outcome)
  end subroutine describe_costs

  ! Addresses and leading dimensions of what is there, else NULL and 0.
  recursive function first(v) result(at)
    real(real64), allocatable, target, intent(in) :: v(:)
    type(c_ptr) :: at
    at = c_null_ptr
    if (allocated(v)) then
      if (size(v) > 0) at = c_loc(v)
    end if
  end function first

  recursive function address(v) result(at)
    real(real64), allocatable, target, intent(in) :: v(:, :)
    type(c_ptr) :: at
    at = c_null_ptr
    if (allocated(v)) then
      if (size(v) > 0) at = c_loc(v)
    end if
  end function address

  recursive function rows(v) result(count)
    real(real64), allocatable, intent(in) :: v(:, :)
    integer(int64) :: count
    count = 0
    if (allocated(v)) count = size(v, 1, int64)
  end function rows

  ! Throw the memory away, keep the options.
  recursive subroutine forget(self, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_sinkhorn_forget(self%handle))
    call settle(outcome, stat, errmsg)
  end subroutine forget

end module reknit_sinkhorn
