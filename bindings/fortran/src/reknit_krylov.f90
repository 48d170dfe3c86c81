! A Krylov solver with memory. The operator and the preconditioner are arguments of each solve; what the
! solver learned stays in it until forget or destroy.
module reknit_krylov
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
  use reknit_constants
  use reknit_c
  use reknit_support
  use reknit_callbacks
  use reknit_context
  use reknit_arrays, only: array
  use reknit_operator, only: rkn_operator_t
  use reknit_request, only: rkn_request_t
  implicit none
  private
  public :: rkn_krylov_t

  ! Assignment copies the reference, not the solver: destroy one of the two.
  type :: rkn_krylov_t
    type(c_ptr) :: handle = c_null_ptr
    integer(c_int32_t), private :: inner_tag = -1   ! scalars of the inner product object, -1 for none
  contains
    procedure :: create
    procedure :: destroy
    procedure, private :: set_i32, set_i64, set_r32, set_r64, set_text
    generic :: set => set_i32, set_i64, set_r32, set_r64, set_text
    procedure :: set_options
    procedure, private :: get_i32, get_i64, get_r64, get_text
    generic :: get => get_i32, get_i64, get_r64, get_text
    procedure, nopass :: option
    procedure, private :: set_monitor_object, set_monitor_raw
    generic :: set_monitor => set_monitor_object, set_monitor_raw
    procedure, private :: set_events_object, set_events_raw
    generic :: set_events => set_events_object, set_events_raw
    procedure, private :: set_converged_object, set_converged_raw
    generic :: set_converged => set_converged_object, set_converged_raw
    procedure, private :: set_inner_object, set_inner_raw
    generic :: set_inner => set_inner_object, set_inner_raw
    procedure :: set_weights
    procedure :: set_scaling
    procedure :: prepare
    procedure, private :: solve_f32, solve_f64, solve_c32, solve_c64
    procedure, private :: solve_block_f32, solve_block_f64, solve_block_c32, solve_block_c64
    generic :: solve => solve_f32, solve_f64, solve_c32, solve_c64, solve_block_f32, solve_block_f64, &
        solve_block_c32, solve_block_c64
    procedure :: column_results
    procedure, private :: start_f32, start_f64, start_c32, start_c64
    procedure, private :: start_block_f32, start_block_f64, start_block_c32, start_block_c64
    generic :: start => start_f32, start_f64, start_c32, start_c64, start_block_f32, start_block_f64, &
        start_block_c32, start_block_c64
    procedure :: start_prepare
    procedure :: next
    procedure :: cancel
    procedure :: history
    procedure :: forget
    procedure :: view
    procedure :: report
    procedure :: ritz_values
    procedure :: angles
    procedure, private :: get_space_f32, get_space_f64, get_space_c32, get_space_c64
    generic :: get_space => get_space_f32, get_space_f64, get_space_c32, get_space_c64
    procedure, private :: set_space_f32, set_space_f64, set_space_c32, set_space_c64
    generic :: set_space => set_space_f32, set_space_f64, set_space_c32, set_space_c64
    procedure :: truncate
    procedure, private :: prolongate_i32, prolongate_i64, prolongate_raw
    generic :: prolongate => prolongate_i32, prolongate_i64, prolongate_raw
    procedure :: save => save_bytes
    procedure :: load => load_bytes
    procedure :: clone
    procedure :: mark
    procedure :: rollback
  end type rkn_krylov_t

contains

  ! method: auto, cg, minres, gmres, bicgstab, gcrodr, rbicgstab, rcg, eigcg, rminres, idr, cocg, cocr
  recursive subroutine create(self, method, ctx, stat, errmsg)
    class(rkn_krylov_t), intent(inout) :: self
    character(*), intent(in) :: method
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    call outcome%take(rkn_krylov_create(handle_of(ctx), c_text(method), handle))
    if (outcome%good()) then
      call self%destroy()
      self%handle = handle
    end if
    call settle(outcome, stat, errmsg)
  end subroutine create

  recursive subroutine destroy(self)
    class(rkn_krylov_t), intent(inout) :: self
    call rkn_krylov_destroy(self%handle)
    self%handle = c_null_ptr
    self%inner_tag = -1
  end subroutine destroy

  ! ---- options and results ----

  recursive subroutine set_i64(self, key, value, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int64), intent(in) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_set_int(self%handle, c_text(key), value))
    call settle(outcome, stat, errmsg)
  end subroutine set_i64

  recursive subroutine set_i32(self, key, value, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int32), intent(in) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call self%set_i64(key, int(value, int64), stat, errmsg)
  end subroutine set_i32

  recursive subroutine set_r64(self, key, value, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    character(*), intent(in) :: key
    real(real64), intent(in) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_set_real(self%handle, c_text(key), value))
    call settle(outcome, stat, errmsg)
  end subroutine set_r64

  recursive subroutine set_r32(self, key, value, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    character(*), intent(in) :: key
    real(real32), intent(in) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call self%set_r64(key, real(value, real64), stat, errmsg)
  end subroutine set_r32

  recursive subroutine set_text(self, key, value, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    character(*), intent(in) :: key
    character(*), intent(in) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_set_string(self%handle, c_text(key), c_text(value)))
    call settle(outcome, stat, errmsg)
  end subroutine set_text

  ! Several at once: "restart=40 recycle=20"
  recursive subroutine set_options(self, options, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    character(*), intent(in) :: options
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_set_options(self%handle, c_text(options)))
    call settle(outcome, stat, errmsg)
  end subroutine set_options

  recursive subroutine get_i64(self, key, value, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int64), intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_get_int(self%handle, c_text(key), value))
    call settle(outcome, stat, errmsg)
  end subroutine get_i64

  recursive subroutine get_i32(self, key, value, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int32), intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64) :: found
    call outcome%take(rkn_krylov_get_int(self%handle, c_text(key), found))
    if (outcome%good()) call narrow("rkn_krylov_get_int", found, value, outcome)
    call settle(outcome, stat, errmsg)
  end subroutine get_i32

  recursive subroutine get_r64(self, key, value, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    character(*), intent(in) :: key
    real(real64), target, intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_get_real(self%handle, c_text(key), c_loc(value)))
    call settle(outcome, stat, errmsg)
  end subroutine get_r64

  recursive subroutine get_text(self, key, value, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    character(*), intent(in) :: key
    character(:), allocatable, intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    character(:), allocatable :: buffer
    integer(int64) :: need
    need = 0
    call buffer_for(rkn_krylov_get_string(self%handle, c_text(key), cap=0_int64, need=need), need, buffer, outcome)
    if (outcome%good()) call outcome%take(rkn_krylov_get_string(self%handle, c_text(key), buffer, need))
    if (outcome%good()) value = buffer(:need - 1)
    call settle(outcome, stat, errmsg)
  end subroutine get_text

  ! The i-th entry of the table of options, counted from 1; RKN_ERR_INDEX past the end.
  recursive subroutine option(i, key, type, doc, stat, errmsg)
    integer, intent(in) :: i
    character(:), allocatable, intent(inout) :: key, type, doc
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: words(3)
    call outcome%take(rkn_krylov_option(int(i, int64) - 1, words(1), words(2), words(3)))
    if (outcome%good()) then
      key = fortran_text(words(1))
      type = fortran_text(words(2))
      doc = fortran_text(words(3))
    end if
    call settle(outcome, stat, errmsg)
  end subroutine option

  ! ---- what the solver calls or measures with; without the first argument: back to none ----

  recursive subroutine set_monitor_object(self, monitor, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    class(rkn_monitor), optional, target, intent(inout) :: monitor
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: user
    if (present(monitor)) then
      user = keep(monitor)
      call outcome%take(rkn_krylov_set_monitor(self%handle, c_funloc(call_monitor), user, c_funloc(call_release)))
      call handed_over(user, outcome%good())
    else
      call outcome%take(rkn_krylov_set_monitor(self%handle, c_null_funptr, c_null_ptr, c_null_funptr))
    end if
    call settle(outcome, stat, errmsg)
  end subroutine set_monitor_object

  recursive subroutine set_monitor_raw(self, monitor, user, release, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(c_funptr), value :: monitor, release
    type(c_ptr), value :: user
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_set_monitor(self%handle, monitor, user, release))
    call settle(outcome, stat, errmsg)
  end subroutine set_monitor_raw

  recursive subroutine set_events_object(self, events, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    class(rkn_events), optional, target, intent(inout) :: events
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: user
    if (present(events)) then
      user = keep(events)
      call outcome%take(rkn_krylov_set_events(self%handle, c_funloc(call_events), user, c_funloc(call_release)))
      call handed_over(user, outcome%good())
    else
      call outcome%take(rkn_krylov_set_events(self%handle, c_null_funptr, c_null_ptr, c_null_funptr))
    end if
    call settle(outcome, stat, errmsg)
  end subroutine set_events_object

  recursive subroutine set_events_raw(self, events, user, release, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(c_funptr), value :: events, release
    type(c_ptr), value :: user
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_set_events(self%handle, events, user, release))
    call settle(outcome, stat, errmsg)
  end subroutine set_events_raw

  recursive subroutine set_converged_object(self, test, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    class(rkn_convergence_test), optional, target, intent(inout) :: test
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: user
    if (present(test)) then
      user = keep(test)
      call outcome%take(rkn_krylov_set_converged(self%handle, c_funloc(call_converged), user, c_funloc(call_release)))
      call handed_over(user, outcome%good())
    else
      call outcome%take(rkn_krylov_set_converged(self%handle, c_null_funptr, c_null_ptr, c_null_funptr))
    end if
    call settle(outcome, stat, errmsg)
  end subroutine set_converged_object

  recursive subroutine set_converged_raw(self, converged, user, release, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(c_funptr), value :: converged, release
    type(c_ptr), value :: user
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_set_converged(self%handle, converged, user, release))
    call settle(outcome, stat, errmsg)
  end subroutine set_converged_raw

  recursive subroutine set_inner_object(self, form, stat, errmsg)
    class(rkn_krylov_t), intent(inout) :: self
    class(rkn_inner_product), optional, target, intent(inout) :: form
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: user
    if (present(form)) then
      user = keep(form)
      call outcome%take(rkn_krylov_set_inner(self%handle, c_funloc(call_inner), user, c_funloc(call_release)))
      call handed_over(user, outcome%good())
    else
      call outcome%take(rkn_krylov_set_inner(self%handle, c_null_funptr, c_null_ptr, c_null_funptr))
    end if
    if (outcome%good()) then
      self%inner_tag = -1
      if (present(form)) self%inner_tag = scalar_of(form)
    end if
    call settle(outcome, stat, errmsg)
  end subroutine set_inner_object

  recursive subroutine set_inner_raw(self, inner, user, release, stat, errmsg)
    class(rkn_krylov_t), intent(inout) :: self
    type(c_funptr), value :: inner, release
    type(c_ptr), value :: user
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_set_inner(self%handle, inner, user, release))
    if (outcome%good()) self%inner_tag = -1
    call settle(outcome, stat, errmsg)
  end subroutine set_inner_raw

  ! <x, y> = sum of weights(i) conjg(x(i)) y(i); the weights are copied.
  recursive subroutine set_weights(self, weights, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    real(real64), optional, contiguous, target, intent(in) :: weights(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    if (present(weights)) then
      call outcome%take(rkn_krylov_set_weights(self%handle, size(weights, kind=int64), c_loc(weights)))
    else
      call outcome%take(rkn_krylov_set_weights(self%handle, 0_int64, c_null_ptr))
    end if
    call settle(outcome, stat, errmsg)
  end subroutine set_weights

  ! Solve (S1 A S2^-1) (S2 x) = S1 b with S1 = diag(left), S2 = diag(right); both are copied.
  recursive subroutine set_scaling(self, left, right, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    real(real64), optional, contiguous, target, intent(in) :: left(:), right(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: s1, s2
    integer(int64) :: n
    n = 0
    s1 = c_null_ptr
    s2 = c_null_ptr
    if (present(right)) then
      n = size(right, kind=int64)
      s2 = c_loc(right)
    end if
    if (present(left)) then
      if (present(right) .and. n /= size(left)) call outcome%refuse(RKN_ERR_SIZE, "rkn_krylov_set_scaling: "// &
          "argument 'left' has "//decimal(size(left, kind=int64))//" elements, must have the "//decimal(n)// &
          " of 'right'")
      n = size(left, kind=int64)
      s1 = c_loc(left)
    end if
    if (outcome%good()) call outcome%take(rkn_krylov_set_scaling(self%handle, n, s1, s2))
    call settle(outcome, stat, errmsg)
  end subroutine set_scaling

  ! ---- solving ----

  ! Allocate and check ahead of the first solve.
  recursive subroutine prepare(self, A, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call check_inner("rkn_krylov_prepare", self, A, outcome)
    if (outcome%good()) call outcome%take(rkn_krylov_prepare(self%handle, A%handle, preconditioner(M)))
    call settle(outcome, stat, errmsg)
  end subroutine prepare

  recursive subroutine solve_f32(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    real(real32), target, intent(in) :: b(:)
    real(real32), target, intent(inout) :: x(:)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call solve_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine solve_f32

  recursive subroutine solve_f64(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    real(real64), target, intent(in) :: b(:)
    real(real64), target, intent(inout) :: x(:)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call solve_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine solve_f64

  recursive subroutine solve_c32(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    complex(real32), target, intent(in) :: b(:)
    complex(real32), target, intent(inout) :: x(:)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call solve_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine solve_c32

  recursive subroutine solve_c64(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    complex(real64), target, intent(in) :: b(:)
    complex(real64), target, intent(inout) :: x(:)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call solve_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine solve_c64

  ! A solve that stopped short of its tolerance has a positive stat, and its best x delivered.
  recursive subroutine solve_array(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    type(array_t), intent(in) :: b, x
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call check_system("rkn_krylov_solve", self, A, b, x, outcome)
    if (outcome%good()) call outcome%take(rkn_krylov_solve(self%handle, A%handle, preconditioner(M), b%address, &
        x%address))
    call settle(outcome, stat, errmsg)
  end subroutine solve_array

  ! Several right-hand sides in lockstep, one a column: b and x have the rows of A and one number of columns. They may
  ! be sections of larger arrays, big(2:n + 1, :), the rest of which is not touched. A step applies A and M to all
  ! columns at once. Each column goes on to its own end, and with its own memory in the next solve. The result
  ! "iterations" is that of the longest column; column_results has the columns one by one. stat is that of the first
  ! column that misses its tolerance or fails; the others go on to their ends.
  recursive subroutine solve_block_f32(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    real(real32), target, intent(in) :: b(:, :)
    real(real32), target, intent(inout) :: x(:, :)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call solve_block_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine solve_block_f32

  recursive subroutine solve_block_f64(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    real(real64), target, intent(in) :: b(:, :)
    real(real64), target, intent(inout) :: x(:, :)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call solve_block_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine solve_block_f64

  recursive subroutine solve_block_c32(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    complex(real32), target, intent(in) :: b(:, :)
    complex(real32), target, intent(inout) :: x(:, :)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call solve_block_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine solve_block_c32

  recursive subroutine solve_block_c64(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    complex(real64), target, intent(in) :: b(:, :)
    complex(real64), target, intent(inout) :: x(:, :)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call solve_block_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine solve_block_c64

  recursive subroutine solve_block_array(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    type(array_t), intent(in) :: b, x
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call check_system("rkn_krylov_solve_block", self, A, b, x, outcome)
    if (outcome%good()) call outcome%take(rkn_krylov_solve_block(self%handle, A%handle, preconditioner(M), b%columns, &
        b%address, b%ld, x%address, x%ld))
    call settle(outcome, stat, errmsg)
  end subroutine solve_block_array

  ! How the columns of the last solve ended: iterations, norms of the true residuals, and statuses as in stat.
  recursive subroutine column_results(self, iterations, residual_norms, statuses, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    integer(int64), optional, allocatable, intent(inout) :: iterations(:)
    real(real64), optional, allocatable, intent(inout) :: residual_norms(:)
    integer, optional, allocatable, intent(inout) :: statuses(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64), allocatable :: steps(:)
    real(real64), allocatable, target :: norms(:)
    integer(c_int32_t), allocatable :: codes(:)
    integer(int64) :: need
    need = 0
    call outcome%take(rkn_krylov_columns(self%handle, residual_norms=c_null_ptr, cap=0_int64, need=need))
    allocate (steps(need), norms(need), codes(need))
    if (outcome%good() .and. need > 0) &
      call outcome%take(rkn_krylov_columns(self%handle, steps, c_loc(norms), codes, need, need))
    if (outcome%good()) then
      if (present(iterations)) iterations = steps
      if (present(residual_norms)) residual_norms = norms
      if (present(statuses)) statuses = int(codes)
    end if
    call settle(outcome, stat, errmsg)
  end subroutine column_results

  recursive subroutine check_system(routine, self, A, b, x, outcome)
    character(*), intent(in) :: routine
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    type(array_t), intent(in) :: b, x
    type(outcome_t), intent(inout) :: outcome
    integer(int64) :: nrows, ncols
    call b%check(routine, outcome)
    call x%check(routine, outcome)
    call check_scalar(routine, b, A%handle, outcome)
    if (rkn_operator_shape(A%handle, nrows, ncols) == RKN_OK) then
      call check_rows(routine, b, nrows, outcome)
      call check_rows(routine, x, ncols, outcome)
    end if
    if (x%columns /= b%columns) call outcome%refuse(RKN_ERR_SIZE, routine//": argument 'x' has "// &
        decimal(x%columns)//" columns, must have the "//decimal(b%columns)//" of 'b'")
    call check_inner(routine, self, A, outcome)
  end subroutine check_system

  ! ---- solving by requests: start, then next until the request is RKN_REQUEST_DONE ----

  ! b and x are variables with the target attribute that outlive the solve; x is its own until then.
  recursive subroutine start_f32(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    real(real32), target, intent(in) :: b(:)
    real(real32), target, intent(inout) :: x(:)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call start_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine start_f32

  recursive subroutine start_f64(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    real(real64), target, intent(in) :: b(:)
    real(real64), target, intent(inout) :: x(:)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call start_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine start_f64

  recursive subroutine start_c32(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    complex(real32), target, intent(in) :: b(:)
    complex(real32), target, intent(inout) :: x(:)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call start_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine start_c32

  recursive subroutine start_c64(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    complex(real64), target, intent(in) :: b(:)
    complex(real64), target, intent(inout) :: x(:)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call start_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine start_c64

  recursive subroutine start_array(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    type(array_t), intent(in) :: b, x
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call check_system("rkn_krylov_start", self, A, b, x, outcome)
    if (outcome%good()) call outcome%take(rkn_krylov_start(self%handle, A%handle, preconditioner(M), b%address, &
        x%address))
    call settle(outcome, stat, errmsg)
  end subroutine start_array

  ! Several right-hand sides by requests: a request for a product has as many columns as wait for one.
  recursive subroutine start_block_f32(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    real(real32), target, intent(in) :: b(:, :)
    real(real32), target, intent(inout) :: x(:, :)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call start_block_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine start_block_f32

  recursive subroutine start_block_f64(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    real(real64), target, intent(in) :: b(:, :)
    real(real64), target, intent(inout) :: x(:, :)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call start_block_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine start_block_f64

  recursive subroutine start_block_c32(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    complex(real32), target, intent(in) :: b(:, :)
    complex(real32), target, intent(inout) :: x(:, :)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call start_block_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine start_block_c32

  recursive subroutine start_block_c64(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    complex(real64), target, intent(in) :: b(:, :)
    complex(real64), target, intent(inout) :: x(:, :)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call start_block_array(self, A, array("b", b), array("x", x), M, stat, errmsg)
  end subroutine start_block_c64

  recursive subroutine start_block_array(self, A, b, x, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    type(array_t), intent(in) :: b, x
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call check_system("rkn_krylov_start_block", self, A, b, x, outcome)
    if (outcome%good()) call outcome%take(rkn_krylov_start_block(self%handle, A%handle, preconditioner(M), b%columns, &
        b%address, b%ld, x%address, x%ld))
    call settle(outcome, stat, errmsg)
  end subroutine start_block_array

  ! prepare, where that takes requests.
  recursive subroutine start_prepare(self, A, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call check_inner("rkn_krylov_start_prepare", self, A, outcome)
    if (outcome%good()) call outcome%take(rkn_krylov_start_prepare(self%handle, A%handle, preconditioner(M)))
    call settle(outcome, stat, errmsg)
  end subroutine start_prepare

  ! What is wanted next. failed: why the last request was not served, 0 if it was.
  recursive subroutine next(self, request, failed, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_request_t), intent(inout) :: request
    integer, optional, intent(in) :: failed
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: address
    integer(c_int32_t) :: code
    code = 0
    if (present(failed)) code = failed
    call outcome%take(rkn_krylov_next(self%handle, code, address))
    call request%receive(address)
    call settle(outcome, stat, errmsg)
  end subroutine next

  recursive subroutine cancel(self, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_cancel(self%handle))
    call settle(outcome, stat, errmsg)
  end subroutine cancel

  recursive type(c_ptr) function preconditioner(M)
    type(rkn_operator_t), optional, intent(in) :: M
    preconditioner = c_null_ptr
    if (present(M)) preconditioner = M%handle
  end function preconditioner

  ! The library hands an inner product plain addresses, so only here a wrong kind can be noticed.
  recursive subroutine check_inner(routine, self, A, outcome)
    character(*), intent(in) :: routine
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    type(outcome_t), intent(inout) :: outcome
    integer(c_int32_t) :: tag
    if (self%inner_tag < 0) return
    if (rkn_operator_scalar(A%handle, tag) /= RKN_OK) return
    if (tag /= self%inner_tag) call outcome%refuse(RKN_ERR_SCALAR, routine//": argument 'A' has other scalars than "// &
        "the inner product set on the solver, must have the same")
  end subroutine check_inner

  ! Residual norms of the last solve; norms(1) is that of the start.
  recursive subroutine history(self, norms, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    real(real64), allocatable, target, intent(inout) :: norms(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    real(real64), allocatable, target :: buffer(:)
    integer(int64) :: need
    need = 0
    call outcome%take(rkn_krylov_history(self%handle, c_null_ptr, 0_int64, need))
    allocate (buffer(need))
    if (outcome%good() .and. need > 0) call outcome%take(rkn_krylov_history(self%handle, c_loc(buffer), need, need))
    if (outcome%good()) norms = buffer
    call settle(outcome, stat, errmsg)
  end subroutine history

  ! Throw away what was learned, keep the options.
  recursive subroutine forget(self, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_forget(self%handle))
    call settle(outcome, stat, errmsg)
  end subroutine forget

  ! How the last solve went and why, in words.
  recursive subroutine report(self, text, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    character(:), allocatable, intent(inout) :: text
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    character(:), allocatable :: buffer
    integer(int64) :: need
    need = 0
    call buffer_for(rkn_krylov_report(self%handle, cap=0_int64, need=need), need, buffer, outcome)
    if (outcome%good()) call outcome%take(rkn_krylov_report(self%handle, buffer, need))
    if (outcome%good()) text = buffer(:need - 1)
    call settle(outcome, stat, errmsg)
  end subroutine report

  ! Ritz values of the vectors kept, with diagnostics=on.
  recursive subroutine ritz_values(self, values, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    complex(real64), allocatable, intent(inout) :: values(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    real(real64), allocatable, target :: re(:), im(:)
    integer(int64) :: need
    need = 0
    call outcome%take(rkn_krylov_ritz_values(self%handle, c_null_ptr, c_null_ptr, 0_int64, need))
    allocate (re(need), im(need))
    if (outcome%good() .and. need > 0) &
      call outcome%take(rkn_krylov_ritz_values(self%handle, c_loc(re), c_loc(im), need, need))
    if (outcome%good()) values = cmplx(re, im, real64)
    call settle(outcome, stat, errmsg)
  end subroutine ritz_values

  ! Principal angles between the spaces before and after the last update, with diagnostics=on.
  recursive subroutine angles(self, radians, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    real(real64), allocatable, target, intent(inout) :: radians(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    real(real64), allocatable, target :: buffer(:)
    integer(int64) :: need
    need = 0
    call outcome%take(rkn_krylov_angles(self%handle, c_null_ptr, 0_int64, need))
    allocate (buffer(need))
    if (outcome%good() .and. need > 0) call outcome%take(rkn_krylov_angles(self%handle, c_loc(buffer), need, need))
    if (outcome%good()) radians = buffer
    call settle(outcome, stat, errmsg)
  end subroutine angles

  ! The first ncols vectors of the learned space at most.
  recursive subroutine truncate(self, ncols, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    integer, intent(in) :: ncols
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_truncate(self%handle, int(ncols, int64)))
    call settle(outcome, stat, errmsg)
  end subroutine truncate

  ! Carries what was learned over to n unknowns, vector by vector. The kind of map is that of the systems solved; it
  ! is not kept.
  recursive subroutine prolongate_i64(self, n, map, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    integer(int64), intent(in) :: n
    class(rkn_prolongation), target, intent(inout) :: map
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: user
    integer(int64) :: k
    ! The library hands out plain addresses: a wrong kind is found here or never.
    call outcome%take(rkn_krylov_get_space(self%handle, scalar_of(map), 0_int64, 0_int64, c_null_ptr, 0_int64, k))
    if (outcome%good()) then
      user = keep(map)
      call outcome%take(rkn_krylov_prolongate(self%handle, n, c_funloc(call_prolongate), user))
      call handed_over(user, .false.)
    end if
    call settle(outcome, stat, errmsg)
  end subroutine prolongate_i64

  recursive subroutine prolongate_i32(self, n, map, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    integer(int32), intent(in) :: n
    class(rkn_prolongation), target, intent(inout) :: map
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call self%prolongate_i64(int(n, int64), map, stat, errmsg)
  end subroutine prolongate_i32

  ! The same by c_funloc of a module procedure with bind(c),
  !   integer(c_int32_t) function f(user, n, x, n_new, y), x and y addresses of n and n_new numbers.
  recursive subroutine prolongate_raw(self, n, function_address, user, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    integer(int64), intent(in) :: n
    type(c_funptr), intent(in) :: function_address
    type(c_ptr), intent(in) :: user
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_prolongate(self%handle, n, function_address, user))
    call settle(outcome, stat, errmsg)
  end subroutine prolongate_raw

  ! What was learned, as bytes that are the same on every machine.
  recursive subroutine save_bytes(self, bytes, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    integer(c_int8_t), allocatable, target, intent(inout) :: bytes(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(c_int8_t), allocatable, target :: buffer(:)
    integer(int64) :: need
    need = 0
    call outcome%take(rkn_krylov_save(self%handle, c_null_ptr, 0_int64, need))
    allocate (buffer(need))
    if (outcome%good() .and. need > 0) call outcome%take(rkn_krylov_save(self%handle, c_loc(buffer), need, need))
    if (outcome%good()) bytes = buffer
    call settle(outcome, stat, errmsg)
  end subroutine save_bytes

  ! The state that save saved, into a solver with the same options. A and M stand for the operators of the last
  ! solve before it was saved.
  recursive subroutine load_bytes(self, A, bytes, M, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_operator_t), intent(in) :: A
    integer(c_int8_t), contiguous, target, intent(in) :: bytes(:)
    type(rkn_operator_t), optional, intent(in) :: M
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_load(self%handle, A%handle, preconditioner(M), c_loc(bytes), size(bytes, kind=int64)))
    call settle(outcome, stat, errmsg)
  end subroutine load_bytes

  ! other becomes a solver with the same options and in the same state.
  recursive subroutine clone(self, other, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    type(rkn_krylov_t), intent(inout) :: other
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    call outcome%take(rkn_krylov_clone(self%handle, handle))
    if (outcome%good()) then
      call other%destroy()
      other%handle = handle
      other%inner_tag = self%inner_tag
    end if
    call settle(outcome, stat, errmsg)
  end subroutine clone

  ! Marks the present state, to be rolled back to when a step is rejected.
  recursive subroutine mark(self, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_mark(self%handle))
    call settle(outcome, stat, errmsg)
  end subroutine mark

  recursive subroutine rollback(self, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_krylov_rollback(self%handle))
    call settle(outcome, stat, errmsg)
  end subroutine rollback

  ! The learned space, n x k, for systems of order n.
  recursive subroutine get_space_f32(self, n, U, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    integer, intent(in) :: n
    real(real32), allocatable, target, intent(inout) :: U(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    real(real32), allocatable, target :: buffer(:, :)
    integer(int64) :: k
    k = 0
    call outcome%take(rkn_krylov_get_space(self%handle, RKN_F32, int(n, int64), 0_int64, c_null_ptr, int(n, int64), k))
    allocate (buffer(n, k))
    if (outcome%good() .and. k > 0) call outcome%take(rkn_krylov_get_space(self%handle, RKN_F32, int(n, int64), k, &
        c_loc(buffer), int(n, int64), k))
    if (outcome%good()) U = buffer
    call settle(outcome, stat, errmsg)
  end subroutine get_space_f32

  ! A space for the next solve to start with: the columns of U, copied.
  recursive subroutine set_space_f32(self, U, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    real(real32), contiguous, target, intent(in) :: U(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64) :: n
    n = size(U, 1, int64)
    call outcome%take(rkn_krylov_set_space(self%handle, RKN_F32, n, size(U, 2, int64), c_loc(U), n))
    call settle(outcome, stat, errmsg)
  end subroutine set_space_f32

  ! The learned space, n x k, for systems of order n.
  recursive subroutine get_space_f64(self, n, U, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    integer, intent(in) :: n
    real(real64), allocatable, target, intent(inout) :: U(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    real(real64), allocatable, target :: buffer(:, :)
    integer(int64) :: k
    k = 0
    call outcome%take(rkn_krylov_get_space(self%handle, RKN_F64, int(n, int64), 0_int64, c_null_ptr, int(n, int64), k))
    allocate (buffer(n, k))
    if (outcome%good() .and. k > 0) call outcome%take(rkn_krylov_get_space(self%handle, RKN_F64, int(n, int64), k, &
        c_loc(buffer), int(n, int64), k))
    if (outcome%good()) U = buffer
    call settle(outcome, stat, errmsg)
  end subroutine get_space_f64

  ! A space for the next solve to start with: the columns of U, copied.
  recursive subroutine set_space_f64(self, U, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    real(real64), contiguous, target, intent(in) :: U(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64) :: n
    n = size(U, 1, int64)
    call outcome%take(rkn_krylov_set_space(self%handle, RKN_F64, n, size(U, 2, int64), c_loc(U), n))
    call settle(outcome, stat, errmsg)
  end subroutine set_space_f64

  ! The learned space, n x k, for systems of order n.
  recursive subroutine get_space_c32(self, n, U, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    integer, intent(in) :: n
    complex(real32), allocatable, target, intent(inout) :: U(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    complex(real32), allocatable, target :: buffer(:, :)
    integer(int64) :: k
    k = 0
    call outcome%take(rkn_krylov_get_space(self%handle, RKN_C32, int(n, int64), 0_int64, c_null_ptr, int(n, int64), k))
    allocate (buffer(n, k))
    if (outcome%good() .and. k > 0) call outcome%take(rkn_krylov_get_space(self%handle, RKN_C32, int(n, int64), k, &
        c_loc(buffer), int(n, int64), k))
    if (outcome%good()) U = buffer
    call settle(outcome, stat, errmsg)
  end subroutine get_space_c32

  ! A space for the next solve to start with: the columns of U, copied.
  recursive subroutine set_space_c32(self, U, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    complex(real32), contiguous, target, intent(in) :: U(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64) :: n
    n = size(U, 1, int64)
    call outcome%take(rkn_krylov_set_space(self%handle, RKN_C32, n, size(U, 2, int64), c_loc(U), n))
    call settle(outcome, stat, errmsg)
  end subroutine set_space_c32

  ! The learned space, n x k, for systems of order n.
  recursive subroutine get_space_c64(self, n, U, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    integer, intent(in) :: n
    complex(real64), allocatable, target, intent(inout) :: U(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    complex(real64), allocatable, target :: buffer(:, :)
    integer(int64) :: k
    k = 0
    call outcome%take(rkn_krylov_get_space(self%handle, RKN_C64, int(n, int64), 0_int64, c_null_ptr, int(n, int64), k))
    allocate (buffer(n, k))
    if (outcome%good() .and. k > 0) call outcome%take(rkn_krylov_get_space(self%handle, RKN_C64, int(n, int64), k, &
        c_loc(buffer), int(n, int64), k))
    if (outcome%good()) U = buffer
    call settle(outcome, stat, errmsg)
  end subroutine get_space_c64

  ! A space for the next solve to start with: the columns of U, copied.
  recursive subroutine set_space_c64(self, U, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    complex(real64), contiguous, target, intent(in) :: U(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64) :: n
    n = size(U, 1, int64)
    call outcome%take(rkn_krylov_set_space(self%handle, RKN_C64, n, size(U, 2, int64), c_loc(U), n))
    call settle(outcome, stat, errmsg)
  end subroutine set_space_c64

  ! What is in force, in words.
  recursive subroutine view(self, text, stat, errmsg)
    class(rkn_krylov_t), intent(in) :: self
    character(:), allocatable, intent(inout) :: text
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    character(:), allocatable :: buffer
    integer(int64) :: need
    need = 0
    call buffer_for(rkn_krylov_view(self%handle, cap=0_int64, need=need), need, buffer, outcome)
    if (outcome%good()) call outcome%take(rkn_krylov_view(self%handle, buffer, need))
    if (outcome%good()) text = buffer(:need - 1)
    call settle(outcome, stat, errmsg)
  end subroutine view

end module reknit_krylov
