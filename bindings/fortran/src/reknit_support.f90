! What the nouns share: outcomes of calls, text between Fortran and C, and how an array lies in memory.
!
! All procedures of the binding are recursive: a callback may come back to the one that called it, and threads
! may meet in one. Fortran 2018 takes that for granted, gfortran 12 does not.
module reknit_support
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int32, int64
  use reknit_constants
  use reknit_c, only: rkn_last_error, rkn_operator_scalar
  implicit none
  private
  public :: outcome_t, settle
  public :: c_text, fortran_text, buffer_for, decimal
  public :: array_t, described, check_scalar, check_rows
  public :: absent, wide_i32, wide_i64, narrow, given, given_count

  ! What a missing optional count becomes: no count that a user would give by mistake.
  integer(int64), parameter :: absent = -huge(1_int64) - 1

  ! Result of one call. The first failure counts; what comes later does not hide it.
  type :: outcome_t
    integer(c_int32_t) :: code = RKN_OK
    character(:), allocatable :: message
  contains
    procedure :: good
    procedure :: refuse
    procedure :: take
  end type outcome_t

  ! An array argument without its type: rows x columns elements, columns ld elements apart.
  type :: array_t
    character(16) :: name = ""                ! of the argument, for messages
    integer(c_int32_t) :: tag = -1            ! RKN_F64 ... for scalars, RKN_I32 or RKN_I64 for indices
    type(c_ptr) :: address = c_null_ptr       ! of the first element
    integer(int64) :: count = 0, rows = 0, columns = 0, ld = 0
    integer(int64) :: last = 0                ! value of the last index
    logical :: regular = .false.              ! elements of a column follow each other
  contains
    procedure :: spread_columns
    procedure :: span
    procedure :: check => check_array
  end type array_t

  ! Stands for the elements of an empty array, which has no address.
  integer(int64), target, save :: nothing = 0

  interface
    pure function strlen(text) bind(c, name="strlen")
      import :: c_ptr, c_size_t
      type(c_ptr), value :: text
      integer(c_size_t) :: strlen
    end function strlen
  end interface

contains

  pure recursive logical function good(self)
    class(outcome_t), intent(in) :: self
    good = self%code == RKN_OK
  end function good

  ! Failure found by this module, before the library was asked.
  recursive subroutine refuse(self, code, message)
    class(outcome_t), intent(inout) :: self
    integer(c_int32_t), intent(in) :: code
    character(*), intent(in) :: message
    if (.not. self%good()) return
    self%code = code
    self%message = message
  end subroutine refuse

  ! Status of a call into the library, with the library's message.
  recursive subroutine take(self, code)
    class(outcome_t), intent(inout) :: self
    integer(c_int32_t), intent(in) :: code
    if (code == RKN_OK) return
    call self%refuse(code, fortran_text(rkn_last_error()))
  end subroutine take

  ! Hand the outcome to the caller. Who does not ask for it does not go on without knowing: the program stops.
  ! errmsg has a fixed length, as in allocate: gfortran 12 loses the length of an allocatable one on the way.
  recursive subroutine settle(outcome, stat, errmsg)
    type(outcome_t), intent(in) :: outcome
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    if (present(errmsg)) then
      errmsg = ""
      if (.not. outcome%good()) errmsg = outcome%message
    end if
    if (present(stat)) then
      stat = int(outcome%code)
    else if (.not. outcome%good()) then
      error stop outcome%message
    end if
  end subroutine settle

  ! Trailing blanks are padding in Fortran, so they do not cross.
  pure recursive function c_text(text)
    character(*), intent(in) :: text
    character(:), allocatable :: c_text
    c_text = trim(text)//c_null_char
  end function c_text

  recursive function fortran_text(text)
    type(c_ptr), intent(in) :: text
    character(:), allocatable :: fortran_text
    character(kind=c_char), pointer :: letters(:)
    integer :: i
    if (.not. c_associated(text)) then
      fortran_text = ""
      return
    end if
    call c_f_pointer(text, letters, [strlen(text)])
    allocate (character(size(letters)) :: fortran_text)
    do i = 1, size(letters)
      fortran_text(i:i) = letters(i)
    end do
  end function fortran_text

  ! After the question how long a text is: room for it, or why there is none.
  recursive subroutine buffer_for(code, need, buffer, outcome)
    integer(c_int32_t), intent(in) :: code
    integer(int64), intent(in) :: need
    character(:), allocatable, intent(out) :: buffer
    type(outcome_t), intent(inout) :: outcome
    call outcome%take(code)
    if (outcome%good()) allocate (character(need) :: buffer)
  end subroutine buffer_for

  pure recursive function decimal(number)
    integer(int64), intent(in) :: number
    character(:), allocatable :: decimal
    character(20) :: buffer
    write (buffer, "(i0)") number
    decimal = trim(buffer)
  end function decimal

  recursive function described(name, tag, extents, contiguous) result(array)
    character(*), intent(in) :: name
    integer(c_int32_t), intent(in) :: tag
    integer(int64), intent(in) :: extents(:)
    logical, intent(in) :: contiguous
    type(array_t) :: array
    array%name = name
    array%tag = tag
    array%address = c_loc(nothing)
    array%count = product(extents)
    array%rows = extents(1)
    array%columns = 1
    if (size(extents) > 1) array%columns = extents(2)
    array%ld = max(array%rows, 1_int64)
    array%regular = contiguous .or. array%count == 0
  end function described

  ! A matrix that is part of a larger one: below and right are the addresses of the second element of the
  ! first column and of the second column (of the first where there is no second).
  recursive subroutine spread_columns(self, bytes, below, right)
    class(array_t), intent(inout) :: self
    integer, intent(in) :: bytes
    type(c_ptr), intent(in) :: below, right
    integer(int64) :: origin, down, across
    origin = transfer(self%address, origin)
    down = transfer(below, down) - origin
    across = transfer(right, across) - origin
    if (self%rows > 1 .and. down /= bytes) return
    if (self%columns > 1) then
      if (across < self%rows*bytes .or. modulo(across, int(bytes, int64)) /= 0) return
      self%ld = across/bytes
    end if
    self%regular = .true.
  end subroutine spread_columns

  ! Elements from the first to the last, gaps between columns included.
  pure recursive integer(int64) function span(self)
    class(array_t), intent(in) :: self
    span = self%count
    if (self%columns > 1 .and. self%ld > self%rows) span = (self%columns - 1)*self%ld + self%rows
  end function span

  recursive subroutine check_array(self, routine, outcome)
    class(array_t), intent(in) :: self
    character(*), intent(in) :: routine
    type(outcome_t), intent(inout) :: outcome
    if (.not. self%regular) call outcome%refuse(RKN_ERR_ARGUMENT, routine//": argument '"//trim(self%name)// &
        "' is not contiguous, must be an array whose elements follow each other in memory")
  end subroutine check_array

  ! A handle that is none the library reports itself, in the call that follows.
  recursive subroutine check_scalar(routine, array, operator, outcome)
    character(*), intent(in) :: routine
    type(array_t), intent(in) :: array
    type(c_ptr), intent(in) :: operator
    type(outcome_t), intent(inout) :: outcome
    character(15), parameter :: names(0:3) = [character(15) :: "real(real32)", "real(real64)", "complex(real32)", &
        "complex(real64)"]
    integer(c_int32_t) :: wanted
    if (rkn_operator_scalar(operator, wanted) /= RKN_OK) return
    if (array%tag == wanted) return
    call outcome%refuse(RKN_ERR_SCALAR, routine//": argument '"//trim(array%name)//"' is "//trim(names(array%tag))// &
        ", must be "//trim(names(wanted))//" as the operator is")
  end subroutine check_scalar

  recursive subroutine check_rows(routine, array, rows, outcome)
    character(*), intent(in) :: routine
    type(array_t), intent(in) :: array
    integer(int64), intent(in) :: rows
    type(outcome_t), intent(inout) :: outcome
    if (array%rows /= rows) call outcome%refuse(RKN_ERR_SIZE, routine//": argument '"//trim(array%name)//"' has "// &
        decimal(array%rows)//" rows, must have "//decimal(rows))
  end subroutine check_rows

  pure recursive integer(int64) function wide_i32(number)
    integer(int32), optional, intent(in) :: number
    wide_i32 = absent
    if (present(number)) wide_i32 = number
  end function wide_i32

  pure recursive integer(int64) function wide_i64(number)
    integer(int64), optional, intent(in) :: number
    wide_i64 = absent
    if (present(number)) wide_i64 = number
  end function wide_i64

  ! A result for a default integer; value stays as it was when the number does not fit.
  recursive subroutine narrow(routine, number, value, outcome)
    character(*), intent(in) :: routine
    integer(int64), intent(in) :: number
    integer(int32), intent(inout) :: value
    type(outcome_t), intent(inout) :: outcome
    if (abs(number) > huge(value)) call outcome%refuse(RKN_ERR_SIZE, routine//": argument 'value' cannot hold "// &
        decimal(number)//", must be an integer(int64)")
    if (outcome%good()) value = int(number, int32)
  end subroutine narrow

  pure recursive integer(c_int32_t) function given(tag, default)
    integer(c_int32_t), optional, intent(in) :: tag
    integer(c_int32_t), intent(in) :: default
    given = default
    if (present(tag)) given = tag
  end function given

  pure recursive integer(int64) function given_count(count, default)
    integer(int64), intent(in) :: count, default
    given_count = merge(default, count, count == absent)
  end function given_count

end module reknit_support
