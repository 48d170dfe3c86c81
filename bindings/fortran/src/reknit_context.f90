! A context holds the number of threads, the seed, the log and the reduction over ranks. Calls without one
! run with one thread, silent, seed 0, on one rank.
module reknit_context
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int32, int64
  use reknit_constants
  use reknit_c
  use reknit_support
  use reknit_callbacks
  implicit none
  private
  public :: rkn_context_t, handle_of

  ! Assignment copies the reference, not the context: destroy one of the two.
  type :: rkn_context_t
    type(c_ptr) :: handle = c_null_ptr
  contains
    procedure :: create
    procedure :: destroy
    procedure, private :: set_i32, set_i64, get_i32, get_i64
    generic :: set => set_i32, set_i64
    generic :: get => get_i32, get_i64
    procedure, private :: set_reduce_object, set_reduce_raw, set_log_object, set_log_raw
    generic :: set_reduce => set_reduce_object, set_reduce_raw
    generic :: set_log => set_log_object, set_log_raw
    procedure :: set_reduce_request
    procedure :: interrupt
  end type rkn_context_t

contains

  recursive type(c_ptr) function handle_of(ctx)
    type(rkn_context_t), optional, intent(in) :: ctx
    handle_of = c_null_ptr
    if (present(ctx)) handle_of = ctx%handle
  end function handle_of

  recursive subroutine create(self, stat, errmsg)
    class(rkn_context_t), intent(inout) :: self
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    call outcome%take(rkn_context_create(handle))
    if (outcome%good()) then
      call self%destroy()
      self%handle = handle
    end if
    call settle(outcome, stat, errmsg)
  end subroutine create

  recursive subroutine destroy(self)
    class(rkn_context_t), intent(inout) :: self
    call rkn_context_destroy(self%handle)
    self%handle = c_null_ptr
  end subroutine destroy

  recursive subroutine set_i64(self, key, value, stat, errmsg)
    class(rkn_context_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int64), intent(in) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_context_set_int(self%handle, c_text(key), value))
    call settle(outcome, stat, errmsg)
  end subroutine set_i64

  recursive subroutine set_i32(self, key, value, stat, errmsg)
    class(rkn_context_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int32), intent(in) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call self%set_i64(key, int(value, int64), stat, errmsg)
  end subroutine set_i32

  recursive subroutine get_i64(self, key, value, stat, errmsg)
    class(rkn_context_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int64), intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_context_get_int(self%handle, c_text(key), value))
    call settle(outcome, stat, errmsg)
  end subroutine get_i64

  recursive subroutine get_i32(self, key, value, stat, errmsg)
    class(rkn_context_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int32), intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64) :: found
    found = value
    call outcome%take(rkn_context_get_int(self%handle, c_text(key), found))
    call narrow("rkn_context_get_int", found, value, outcome)
    call settle(outcome, stat, errmsg)
  end subroutine get_i32

  ! Without a reduction: back to one rank.
  recursive subroutine set_reduce_object(self, reduction, stat, errmsg)
    class(rkn_context_t), intent(in) :: self
    class(rkn_reduction), optional, target, intent(inout) :: reduction
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: user
    if (present(reduction)) then
      user = keep(reduction)
      call outcome%take(rkn_context_set_reduce(self%handle, c_funloc(call_reduce), user, c_funloc(call_release)))
      call handed_over(user, outcome%good())
    else
      call outcome%take(rkn_context_set_reduce(self%handle, c_null_funptr, c_null_ptr, c_null_funptr))
    end if
    call settle(outcome, stat, errmsg)
  end subroutine set_reduce_object

  recursive subroutine set_reduce_raw(self, reduce, user, release, stat, errmsg)
    class(rkn_context_t), intent(in) :: self
    type(c_funptr), value :: reduce, release
    type(c_ptr), value :: user
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_context_set_reduce(self%handle, reduce, user, release))
    call settle(outcome, stat, errmsg)
  end subroutine set_reduce_raw

  ! Reductions are requests of the solve.
  recursive subroutine set_reduce_request(self, stat, errmsg)
    class(rkn_context_t), intent(in) :: self
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_context_set_reduce_request(self%handle))
    call settle(outcome, stat, errmsg)
  end subroutine set_reduce_request

  ! Without a log: silent again.
  recursive subroutine set_log_object(self, log, stat, errmsg)
    class(rkn_context_t), intent(in) :: self
    class(rkn_log), optional, target, intent(inout) :: log
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: user
    if (present(log)) then
      user = keep(log)
      call outcome%take(rkn_context_set_log(self%handle, c_funloc(call_log), user, c_funloc(call_release)))
      call handed_over(user, outcome%good())
    else
      call outcome%take(rkn_context_set_log(self%handle, c_null_funptr, c_null_ptr, c_null_funptr))
    end if
    call settle(outcome, stat, errmsg)
  end subroutine set_log_object

  recursive subroutine set_log_raw(self, log, user, release, stat, errmsg)
    class(rkn_context_t), intent(in) :: self
    type(c_funptr), value :: log, release
    type(c_ptr), value :: user
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_context_set_log(self%handle, log, user, release))
    call settle(outcome, stat, errmsg)
  end subroutine set_log_raw

  ! Ask every solve that runs with this context to stop. May be called from any thread.
  recursive subroutine interrupt(self, stat, errmsg)
    class(rkn_context_t), intent(in) :: self
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(c_int32_t) :: code
    ! The one function that leaves no message.
    code = rkn_context_interrupt(self%handle)
    if (code /= RKN_OK) call outcome%refuse(code, "rkn_context_interrupt: argument 'ctx' is no live context")
    call settle(outcome, stat, errmsg)
  end subroutine interrupt

end module reknit_context
