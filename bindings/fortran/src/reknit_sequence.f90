! The order in which to solve a sequence of systems so that neighbours in it are similar. It needs no solver and
! serves any. A column of parameters is one system; orders count from 1.
!
! The names are short here for the reason given in reknit_library.
module reknit_sequence
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int32, int64, real64
  use reknit_constants
  use reknit_c
  use reknit_support
  use reknit_context
  use reknit_arrays, only: array
  implicit none
  private
  public :: sequence_order, sequence_length

  interface sequence_order
    module procedure order_i32, order_i64
  end interface sequence_order

  interface sequence_length
    module procedure length_plain, length_i32, length_i64
  end interface sequence_length

contains

  ! options: "method=chain two_opt=5"; a start in there counts from 0, the argument start from 1.
  recursive subroutine order_i64(parameters, order, options, start, ctx, stat, errmsg)
    real(real64), target, intent(in) :: parameters(:, :)
    integer(int64), intent(inout) :: order(:)
    character(*), optional, intent(in) :: options
    integer, optional, intent(in) :: start
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64), allocatable :: found(:)
    call find_order(array("parameters", parameters), size(order, kind=int64), options, start, ctx, found, outcome)
    if (outcome%good()) order = found
    call settle(outcome, stat, errmsg)
  end subroutine order_i64

  recursive subroutine order_i32(parameters, order, options, start, ctx, stat, errmsg)
    real(real64), target, intent(in) :: parameters(:, :)
    integer(int32), intent(inout) :: order(:)
    character(*), optional, intent(in) :: options
    integer, optional, intent(in) :: start
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    integer(int64), allocatable :: found(:)
    call find_order(array("parameters", parameters), size(order, kind=int64), options, start, ctx, found, outcome)
    if (outcome%good()) order = int(found, int32)
    call settle(outcome, stat, errmsg)
  end subroutine order_i32

  recursive subroutine find_order(parameters, count, options, start, ctx, found, outcome)
    type(array_t), intent(in) :: parameters
    integer(int64), intent(in) :: count
    character(*), optional, intent(in) :: options
    integer, optional, intent(in) :: start
    type(rkn_context_t), optional, intent(in) :: ctx
    integer(int64), allocatable, intent(out) :: found(:)
    type(outcome_t), intent(inout) :: outcome
    character(:), allocatable :: text
    call check_systems("rkn_sequence_order", parameters, count, outcome)
    if (.not. outcome%good()) return
    text = ""
    if (present(options)) text = trim(options)
    if (present(start)) text = text//" start="//decimal(start - 1_int64)
    allocate (found(count))
    call outcome%take(rkn_sequence_order(handle_of(ctx), count, parameters%rows, parameters%address, parameters%ld, &
        c_text(text), found))
    if (outcome%good()) found = found + 1
  end subroutine find_order

  ! The sum of the distances from each system to the next, as they stand or in an order.
  recursive subroutine length_plain(parameters, length, ctx, stat, errmsg)
    real(real64), target, intent(in) :: parameters(:, :)
    real(real64), intent(inout) :: length
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call find_length(array("parameters", parameters), length, ctx=ctx, outcome=outcome)
    call settle(outcome, stat, errmsg)
  end subroutine length_plain

  recursive subroutine length_i64(parameters, length, order, ctx, stat, errmsg)
    real(real64), target, intent(in) :: parameters(:, :)
    real(real64), intent(inout) :: length
    integer(int64), intent(in) :: order(:)
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call find_length(array("parameters", parameters), length, order, ctx, outcome)
    call settle(outcome, stat, errmsg)
  end subroutine length_i64

  recursive subroutine length_i32(parameters, length, order, ctx, stat, errmsg)
    real(real64), target, intent(in) :: parameters(:, :)
    real(real64), intent(inout) :: length
    integer(int32), intent(in) :: order(:)
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call find_length(array("parameters", parameters), length, int(order, int64), ctx, outcome)
    call settle(outcome, stat, errmsg)
  end subroutine length_i32

  recursive subroutine find_length(parameters, length, order, ctx, outcome)
    type(array_t), intent(in) :: parameters
    real(real64), intent(inout) :: length
    integer(int64), optional, intent(in) :: order(:)
    type(rkn_context_t), optional, intent(in) :: ctx
    type(outcome_t), intent(inout) :: outcome
    character(*), parameter :: routine = "rkn_sequence_length"
    integer(int64), allocatable, target :: from_zero(:)
    real(real64), target :: sum
    type(c_ptr) :: indices
    integer :: wrong
    indices = c_null_ptr
    if (present(order)) then
      call check_systems(routine, parameters, size(order, kind=int64), outcome)
      ! The library would name positions and values from 0.
      wrong = findloc(order >= 1 .and. order <= size(order), .false., dim=1)
      if (wrong > 0) call outcome%refuse(RKN_ERR_INDEX, routine//": argument 'order' has "//decimal(order(wrong))// &
          " at position "//decimal(int(wrong, int64))//", must lie in 1.."//decimal(size(order, kind=int64)))
      from_zero = order - 1
      if (size(order) > 0) indices = c_loc(from_zero)
    else
      call check_systems(routine, parameters, parameters%columns, outcome)
    end if
    if (.not. outcome%good()) return
    call outcome%take(rkn_sequence_length(handle_of(ctx), parameters%columns, parameters%rows, parameters%address, &
        parameters%ld, indices, c_loc(sum)))
    if (outcome%good()) length = sum
  end subroutine find_length

  recursive subroutine check_systems(routine, parameters, count, outcome)
    character(*), intent(in) :: routine
    type(array_t), intent(in) :: parameters
    integer(int64), intent(in) :: count
    type(outcome_t), intent(inout) :: outcome
    call parameters%check(routine, outcome)
    if (count /= parameters%columns) call outcome%refuse(RKN_ERR_SIZE, routine//": argument 'order' has size "// &
        decimal(count)//", must be "//decimal(parameters%columns)//", the columns of parameters")
  end subroutine check_systems

end module reknit_sequence
