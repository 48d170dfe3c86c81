! Operators, all but what takes arrays: operator_arrays_t adds those, with kinds known only at run time, and
! rkn_operator_t extends that by the procedures that programs call, one for each kind.
module reknit_operator_base
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int32, int64
  use reknit_constants
  use reknit_c
  use reknit_support
  use reknit_callbacks
  use reknit_context
  use reknit_scalar
  implicit none
  private
  public :: operator_base_t

  ! Assignment copies the reference, not the operator: destroy one of the two.
  type :: operator_base_t
    type(c_ptr) :: handle = c_null_ptr
    integer(int64) :: nvalues = absent   ! numbers that set_values reads, where that is known
    integer(int64) :: ld = absent        ! of a dense matrix
  contains
    procedure :: destroy
    procedure :: changed
    procedure, private :: set_refresh_object, set_refresh_raw
    generic :: set_refresh => set_refresh_object, set_refresh_raw
    procedure :: create_matrix_market, create_preconditioner
    procedure :: create_sum, create_product, create_scaled, create_shifted, create_adjoint, create_block
    procedure, private :: create_identity_i32, create_identity_i64
    generic :: create_identity => create_identity_i32, create_identity_i64
    procedure, private :: create_callback_i32, create_callback_i64, create_callback_raw
    generic :: create_callback => create_callback_i32, create_callback_i64, create_callback_raw
    procedure, private :: create_request_i32, create_request_i64
    generic :: create_request => create_request_i32, create_request_i64
    procedure, private :: shape_i32, shape_i64
    generic :: shape => shape_i32, shape_i64
    procedure :: scalar
    procedure, private :: set_i32, set_i64, get_i32, get_i64
    generic :: set => set_i32, set_i64
    generic :: get => get_i32, get_i64
    procedure :: view
    procedure :: remove_nullspace
    procedure :: scalar_or_default
    procedure :: adopt
  end type operator_base_t

contains

  ! Take a new handle after a good outcome; what the variable held before is destroyed only then.
  recursive subroutine adopt(self, handle, nvalues, outcome, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    type(c_ptr), intent(in) :: handle
    integer(int64), intent(in) :: nvalues
    type(outcome_t), intent(in) :: outcome
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    if (outcome%good()) then
      call self%destroy()
      self%handle = handle
      self%nvalues = nvalues
    end if
    call settle(outcome, stat, errmsg)
  end subroutine adopt

  recursive subroutine destroy(self)
    class(operator_base_t), intent(inout) :: self
    call rkn_operator_destroy(self%handle)
    self%handle = c_null_ptr
    self%nvalues = absent
    self%ld = absent
  end subroutine destroy

  ! ---- creation ----

  recursive subroutine create_identity_i64(self, n, scalar, ctx, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    integer(int64), intent(in) :: n
    integer(c_int32_t), optional, intent(in) :: scalar
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    call outcome%take(rkn_operator_create_identity(handle_of(ctx), given(scalar, RKN_F64), n, handle))
    call self%adopt(handle, absent, outcome, stat, errmsg)
  end subroutine create_identity_i64

  recursive subroutine create_identity_i32(self, n, scalar, ctx, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    integer(int32), intent(in) :: n
    integer(c_int32_t), optional, intent(in) :: scalar
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call self%create_identity_i64(int(n, int64), scalar, ctx, stat, errmsg)
  end subroutine create_identity_i32

  recursive subroutine create_matrix_market(self, path, scalar, ctx, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    character(*), intent(in) :: path
    integer(c_int32_t), optional, intent(in) :: scalar
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    integer(int64) :: entries
    entries = absent
    call outcome%take(rkn_operator_create_matrix_market(handle_of(ctx), given(scalar, RKN_F64), c_text(path), handle))
    if (outcome%good()) call outcome%take(rkn_operator_get_int(handle, c_text("entries"), entries))
    call self%adopt(handle, entries, outcome, stat, errmsg)
  end subroutine create_matrix_market

  ! The map is kept by reference: a target that lives until the last operator that holds it is destroyed.
  recursive subroutine create_callback_i64(self, map, nrows, ncols, ctx, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    class(rkn_linear_map), target, intent(inout) :: map
    integer(int64), intent(in) :: nrows, ncols
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle, user
    user = keep(map, nrows, ncols)
    call outcome%take(rkn_operator_create_callback(handle_of(ctx), scalar_of(map), nrows, ncols, &
        c_funloc(call_apply), user, c_funloc(call_release), handle))
    call handed_over(user, outcome%good())
    call self%adopt(handle, absent, outcome, stat, errmsg)
  end subroutine create_callback_i64

  recursive subroutine create_callback_i32(self, map, nrows, ncols, ctx, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    class(rkn_linear_map), target, intent(inout) :: map
    integer(int32), intent(in) :: nrows, ncols
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call self%create_callback_i64(map, int(nrows, int64), int(ncols, int64), ctx, stat, errmsg)
  end subroutine create_callback_i32

  recursive subroutine create_callback_raw(self, apply, user, release, scalar, nrows, ncols, ctx, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    type(c_funptr), value :: apply, release
    type(c_ptr), value :: user
    integer(c_int32_t), intent(in) :: scalar
    integer(int64), intent(in) :: nrows, ncols
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    call outcome%take(rkn_operator_create_callback(handle_of(ctx), scalar, nrows, ncols, apply, user, release, handle))
    call self%adopt(handle, absent, outcome, stat, errmsg)
  end subroutine create_callback_raw

  ! Applied by the program when rkn_krylov_t%next asks for it. kind: RKN_REQUEST_APPLY, RKN_REQUEST_PRECONDITION, or
  ! a number from RKN_REQUEST_USER on; scalar: RKN_F64 if absent.
  recursive subroutine create_request_i64(self, nrows, ncols, kind, scalar, ctx, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    integer(int64), intent(in) :: nrows, ncols
    integer(c_int32_t), intent(in) :: kind
    integer(c_int32_t), optional, intent(in) :: scalar
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    call outcome%take(rkn_operator_create_request(handle_of(ctx), given(scalar, RKN_F64), nrows, ncols, kind, handle))
    call self%adopt(handle, absent, outcome, stat, errmsg)
  end subroutine create_request_i64

  recursive subroutine create_request_i32(self, nrows, ncols, kind, scalar, ctx, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    integer(int32), intent(in) :: nrows, ncols
    integer(c_int32_t), intent(in) :: kind
    integer(c_int32_t), optional, intent(in) :: scalar
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call self%create_request_i64(int(nrows, int64), int(ncols, int64), kind, scalar, ctx, stat, errmsg)
  end subroutine create_request_i32

  ! ---- compositions: the parts are kept by reference count and may be destroyed first ----

  ! alpha A + beta B
  recursive subroutine create_sum(self, alpha, A, beta, B, ctx, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    class(*), intent(in) :: alpha, beta
    class(operator_base_t), intent(in) :: A, B
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_operator_create_sum"
    type(outcome_t) :: outcome
    type(scalar_t), target :: first, second
    type(c_ptr) :: handle
    call first%assign(routine, "alpha", alpha, A%scalar_or_default(), outcome)
    call second%assign(routine, "beta", beta, A%scalar_or_default(), outcome)
    if (outcome%good()) call outcome%take(rkn_operator_create_sum(handle_of(ctx), first%address(), A%handle, &
        second%address(), B%handle, handle))
    call self%adopt(handle, absent, outcome, stat, errmsg)
  end subroutine create_sum

  ! A B
  recursive subroutine create_product(self, A, B, ctx, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    class(operator_base_t), intent(in) :: A, B
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    call outcome%take(rkn_operator_create_product(handle_of(ctx), A%handle, B%handle, handle))
    call self%adopt(handle, absent, outcome, stat, errmsg)
  end subroutine create_product

  ! alpha A
  recursive subroutine create_scaled(self, alpha, A, ctx, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    class(*), intent(in) :: alpha
    class(operator_base_t), intent(in) :: A
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(scalar_t), target :: factor
    type(c_ptr) :: handle
    call factor%assign("rkn_operator_create_scaled", "alpha", alpha, A%scalar_or_default(), outcome)
    if (outcome%good()) call outcome%take(rkn_operator_create_scaled(handle_of(ctx), factor%address(), A%handle, handle))
    call self%adopt(handle, absent, outcome, stat, errmsg)
  end subroutine create_scaled

  ! A + sigma I
  recursive subroutine create_shifted(self, A, sigma, ctx, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    class(operator_base_t), intent(in) :: A
    class(*), intent(in) :: sigma
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(scalar_t), target :: shift
    type(c_ptr) :: handle
    call shift%assign("rkn_operator_create_shifted", "sigma", sigma, A%scalar_or_default(), outcome)
    if (outcome%good()) call outcome%take(rkn_operator_create_shifted(handle_of(ctx), A%handle, shift%address(), handle))
    call self%adopt(handle, absent, outcome, stat, errmsg)
  end subroutine create_shifted

  ! A^T (trans = RKN_T) or A^H (RKN_H, the default)
  recursive subroutine create_adjoint(self, A, trans, ctx, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    class(operator_base_t), intent(in) :: A
    integer(c_int32_t), optional, intent(in) :: trans
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    call outcome%take(rkn_operator_create_adjoint(handle_of(ctx), given(trans, RKN_H), A%handle, handle))
    call self%adopt(handle, absent, outcome, stat, errmsg)
  end subroutine create_adjoint

  ! blocks(i, j) is the block in row i and column j; one that was never created is zero.
  recursive subroutine create_block(self, blocks, ctx, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    class(operator_base_t), intent(in) :: blocks(:, :)
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    type(c_ptr), target :: by_rows(max(size(blocks), 1))
    integer :: i, j
    do i = 1, size(blocks, 1)
      do j = 1, size(blocks, 2)
        by_rows((i - 1)*size(blocks, 2) + j) = blocks(i, j)%handle
      end do
    end do
    call outcome%take(rkn_operator_create_block(handle_of(ctx), size(blocks, 1, int64), size(blocks, 2, int64), &
        c_loc(by_rows), handle))
    call self%adopt(handle, absent, outcome, stat, errmsg)
  end subroutine create_block

  ! kind: name and options in one string, "ilu levels=2 shift=1e-3"
  recursive subroutine create_preconditioner(self, A, kind, ctx, stat, errmsg)
    class(operator_base_t), intent(inout) :: self
    class(operator_base_t), intent(in) :: A
    character(*), intent(in) :: kind
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    call outcome%take(rkn_operator_create_preconditioner(handle_of(ctx), A%handle, c_text(kind), handle))
    call self%adopt(handle, absent, outcome, stat, errmsg)
  end subroutine create_preconditioner

  ! ---- use ----

  ! The numbers in the borrowed arrays were rewritten, or the operator of this preconditioner changed.
  recursive subroutine changed(self, stat, errmsg)
    class(operator_base_t), intent(in) :: self
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_operator_changed(self%handle))
    call settle(outcome, stat, errmsg)
  end subroutine changed

  ! How an operator of the caller's that serves as preconditioner is brought up to date: what changed then calls, and a
  ! solver with the method auto by itself, when that pays. Without the first argument: back to none.
  recursive subroutine set_refresh_object(self, refresh, stat, errmsg)
    class(operator_base_t), intent(in) :: self
    class(rkn_refresh), optional, target, intent(inout) :: refresh
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: user
    if (present(refresh)) then
      user = keep(refresh)
      call outcome%take(rkn_operator_set_refresh(self%handle, c_funloc(call_refresh), user, c_funloc(call_release)))
      call handed_over(user, outcome%good())
    else
      call outcome%take(rkn_operator_set_refresh(self%handle, c_null_funptr, c_null_ptr, c_null_funptr))
    end if
    call settle(outcome, stat, errmsg)
  end subroutine set_refresh_object

  ! The same by c_funloc of a module procedure with bind(c), integer(c_int32_t) function f(user).
  recursive subroutine set_refresh_raw(self, refresh, user, release, stat, errmsg)
    class(operator_base_t), intent(in) :: self
    type(c_funptr), intent(in) :: refresh
    type(c_ptr), intent(in) :: user
    type(c_funptr), optional, intent(in) :: release
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_funptr) :: at_end
    at_end = c_null_funptr
    if (present(release)) at_end = release
    call outcome%take(rkn_operator_set_refresh(self%handle, refresh, user, at_end))
    call settle(outcome, stat, errmsg)
  end subroutine set_refresh_raw

  ! The library would report a bad handle under another function's name: leave that to the call that follows.
  recursive integer(c_int32_t) function scalar_or_default(self)
    class(operator_base_t), intent(in) :: self
    scalar_or_default = RKN_F64
    if (rkn_operator_scalar(self%handle, scalar_or_default) /= RKN_OK) scalar_or_default = RKN_F64
  end function scalar_or_default

  recursive subroutine remove_nullspace(self, side, stat, errmsg)
    class(operator_base_t), intent(in) :: self
    integer(c_int32_t), intent(in) :: side
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_operator_set_nullspace(self%handle, side, 0_int64, c_null_ptr, 0_int64))
    call settle(outcome, stat, errmsg)
  end subroutine remove_nullspace

  recursive subroutine shape_i64(self, nrows, ncols, stat, errmsg)
    class(operator_base_t), intent(in) :: self
    integer(int64), intent(inout) :: nrows, ncols
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_operator_shape(self%handle, nrows, ncols))
    call settle(outcome, stat, errmsg)
  end subroutine shape_i64

  recursive subroutine shape_i32(self, nrows, ncols, stat, errmsg)
    class(operator_base_t), intent(in) :: self
    integer(int32), intent(inout) :: nrows, ncols
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64) :: rows, columns
    call outcome%take(rkn_operator_shape(self%handle, rows, columns))
    if (outcome%good()) call narrow("rkn_operator_shape", rows, nrows, outcome)
    if (outcome%good()) call narrow("rkn_operator_shape", columns, ncols, outcome)
    call settle(outcome, stat, errmsg)
  end subroutine shape_i32

  ! RKN_F32, RKN_F64, RKN_C32 or RKN_C64
  recursive subroutine scalar(self, tag, stat, errmsg)
    class(operator_base_t), intent(in) :: self
    integer(c_int32_t), intent(inout) :: tag
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_operator_scalar(self%handle, tag))
    call settle(outcome, stat, errmsg)
  end subroutine scalar

  recursive subroutine set_i64(self, key, value, stat, errmsg)
    class(operator_base_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int64), intent(in) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_operator_set_int(self%handle, c_text(key), value))
    call settle(outcome, stat, errmsg)
  end subroutine set_i64

  recursive subroutine set_i32(self, key, value, stat, errmsg)
    class(operator_base_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int32), intent(in) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    call self%set_i64(key, int(value, int64), stat, errmsg)
  end subroutine set_i32

  recursive subroutine get_i64(self, key, value, stat, errmsg)
    class(operator_base_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int64), intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call outcome%take(rkn_operator_get_int(self%handle, c_text(key), value))
    call settle(outcome, stat, errmsg)
  end subroutine get_i64

  recursive subroutine get_i32(self, key, value, stat, errmsg)
    class(operator_base_t), intent(in) :: self
    character(*), intent(in) :: key
    integer(int32), intent(inout) :: value
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64) :: found
    call outcome%take(rkn_operator_get_int(self%handle, c_text(key), found))
    if (outcome%good()) call narrow("rkn_operator_get_int", found, value, outcome)
    call settle(outcome, stat, errmsg)
  end subroutine get_i32

  ! What the operator is, in words.
  recursive subroutine view(self, text, stat, errmsg)
    class(operator_base_t), intent(in) :: self
    character(:), allocatable, intent(inout) :: text
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    character(:), allocatable :: buffer
    integer(int64) :: need
    need = 0
    call buffer_for(rkn_operator_view(self%handle, cap=0_int64, need=need), need, buffer, outcome)
    if (outcome%good()) call outcome%take(rkn_operator_view(self%handle, buffer, need))
    if (outcome%good()) text = buffer(:need - 1)
    call settle(outcome, stat, errmsg)
  end subroutine view

end module reknit_operator_base
