! Operators from and on arrays whose kinds are known only at run time (array_t). Lengths are checked here,
! since the library sees only addresses.
module reknit_operator_arrays
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int64
  use reknit_constants
  use reknit_c
  use reknit_support
  use reknit_context
  use reknit_operator_base
  implicit none
  private
  public :: operator_arrays_t

  integer(c_int32_t), parameter :: from_one = 1   ! the base of indices unless told otherwise

  type, extends(operator_base_t) :: operator_arrays_t
  contains
    procedure :: create_csr_array, create_csc_array, create_bsr_array, create_csr_symmetric_array
    procedure :: create_coo_array, create_dense_array, create_diagonal_array
    procedure :: set_values_array, set_nullspace_array, apply_array
  end type operator_arrays_t

contains

  ! What every compressed format needs, in the words of the message.
  recursive subroutine check_compressed(routine, pointers, indices, values, nvalues, outcome)
    character(*), intent(in) :: routine
    type(array_t), intent(in) :: pointers, indices, values
    integer(int64), intent(in) :: nvalues   ! entries, or blocks, that values has room for
    type(outcome_t), intent(inout) :: outcome
    call pointers%check(routine, outcome)
    call indices%check(routine, outcome)
    call values%check(routine, outcome)
    if (pointers%count == 0) call outcome%refuse(RKN_ERR_SIZE, routine//": argument '"//trim(pointers%name)// &
        "' has no element, must have one more than the matrix has rows (columns for csc)")
    if (nvalues < indices%count) call outcome%refuse(RKN_ERR_SIZE, routine//": argument '"//trim(values%name)// &
        "' has "//decimal(nvalues)//" entries, must have at least the "//decimal(indices%count)//" of '"// &
        trim(indices%name)//"'")
  end subroutine check_compressed

  ! The library reads as many entries as the last pointer says.
  recursive subroutine check_last(routine, pointers, indices, base, outcome)
    character(*), intent(in) :: routine
    type(array_t), intent(in) :: pointers, indices
    integer(c_int32_t), intent(in) :: base
    type(outcome_t), intent(inout) :: outcome
    if (pointers%last - base <= indices%count) return
    call outcome%refuse(RKN_ERR_SIZE, routine//": argument '"//trim(pointers%name)//"' ends with "// &
        decimal(pointers%last)//", must end with at most "//decimal(indices%count + base)//" for the size of '"// &
        trim(indices%name)//"' (base "//decimal(int(base, int64))//")")
  end subroutine check_last

  recursive subroutine create_csr_array(self, rowptr, colind, values, ncols, base, memory, ctx, stat, errmsg)
    class(operator_arrays_t), intent(inout) :: self
    type(array_t), intent(in) :: rowptr, colind, values
    integer(int64), intent(in) :: ncols
    integer(c_int32_t), optional, intent(in) :: base, memory
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_operator_create_csr"
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    integer(int64) :: nrows
    nrows = rowptr%count - 1
    call check_compressed(routine, rowptr, colind, values, values%count, outcome)
    call check_last(routine, rowptr, colind, given(base, from_one), outcome)
    if (outcome%good()) call outcome%take(rkn_operator_create_csr(handle_of(ctx), values%tag, nrows, &
        given_count(ncols, nrows), rowptr%tag, given(base, from_one), rowptr%address, colind%address, values%address, &
        given(memory, RKN_BORROW), handle))
    call self%adopt(handle, rowptr%last - given(base, from_one), outcome, stat, errmsg)
  end subroutine create_csr_array

  recursive subroutine create_csc_array(self, colptr, rowind, values, nrows, base, memory, ctx, stat, errmsg)
    class(operator_arrays_t), intent(inout) :: self
    type(array_t), intent(in) :: colptr, rowind, values
    integer(int64), intent(in) :: nrows
    integer(c_int32_t), optional, intent(in) :: base, memory
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_operator_create_csc"
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    integer(int64) :: ncols
    ncols = colptr%count - 1
    call check_compressed(routine, colptr, rowind, values, values%count, outcome)
    call check_last(routine, colptr, rowind, given(base, from_one), outcome)
    if (outcome%good()) call outcome%take(rkn_operator_create_csc(handle_of(ctx), values%tag, &
        given_count(nrows, ncols), ncols, colptr%tag, given(base, from_one), colptr%address, rowind%address, &
        values%address, given(memory, RKN_BORROW), handle))
    call self%adopt(handle, colptr%last - given(base, from_one), outcome, stat, errmsg)
  end subroutine create_csc_array

  ! values: block x block x nblocks, so values%rows is the size of a block.
  recursive subroutine create_bsr_array(self, rowptr, colind, values, nblockcols, order, base, memory, ctx, stat, errmsg)
    class(operator_arrays_t), intent(inout) :: self
    type(array_t), intent(in) :: rowptr, colind, values
    integer(int64), intent(in) :: nblockcols
    integer(c_int32_t), optional, intent(in) :: order, base, memory
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_operator_create_bsr"
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    integer(int64) :: nblockrows, in_block
    nblockrows = rowptr%count - 1
    in_block = values%rows*values%columns
    if (values%rows /= values%columns) call outcome%refuse(RKN_ERR_SIZE, routine//": argument 'values' has blocks of "// &
        decimal(values%rows)//" x "//decimal(values%columns)//", must be square")
    call check_compressed(routine, rowptr, colind, values, values%count/max(in_block, 1_int64), outcome)
    call check_last(routine, rowptr, colind, given(base, from_one), outcome)
    if (outcome%good()) call outcome%take(rkn_operator_create_bsr(handle_of(ctx), values%tag, nblockrows, &
        given_count(nblockcols, nblockrows), values%rows, given(order, RKN_COLUMN_MAJOR), rowptr%tag, given(base, from_one), &
        rowptr%address, colind%address, values%address, given(memory, RKN_BORROW), handle))
    call self%adopt(handle, in_block*(rowptr%last - given(base, from_one)), outcome, stat, errmsg)
  end subroutine create_bsr_array

  recursive subroutine create_csr_symmetric_array(self, rowptr, colind, values, triangle, hermitian, base, memory, ctx, stat, &
      errmsg)
    class(operator_arrays_t), intent(inout) :: self
    type(array_t), intent(in) :: rowptr, colind, values
    integer(c_int32_t), intent(in) :: triangle
    logical, optional, intent(in) :: hermitian
    integer(c_int32_t), optional, intent(in) :: base, memory
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_operator_create_csr_symmetric"
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    integer(c_int32_t) :: conjugate
    conjugate = 0
    if (present(hermitian)) conjugate = merge(1_c_int32_t, 0_c_int32_t, hermitian)
    call check_compressed(routine, rowptr, colind, values, values%count, outcome)
    call check_last(routine, rowptr, colind, given(base, from_one), outcome)
    if (outcome%good()) call outcome%take(rkn_operator_create_csr_symmetric(handle_of(ctx), values%tag, &
        rowptr%count - 1, triangle, conjugate, rowptr%tag, given(base, from_one), rowptr%address, colind%address, &
        values%address, given(memory, RKN_BORROW), handle))
    call self%adopt(handle, rowptr%last - given(base, from_one), outcome, stat, errmsg)
  end subroutine create_csr_symmetric_array

  recursive subroutine create_coo_array(self, rowind, colind, values, nrows, ncols, base, ctx, stat, errmsg)
    class(operator_arrays_t), intent(inout) :: self
    type(array_t), intent(in) :: rowind, colind, values
    integer(int64), intent(in) :: nrows, ncols
    integer(c_int32_t), optional, intent(in) :: base
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_operator_create_coo"
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    integer(int64) :: entries
    call rowind%check(routine, outcome)
    call colind%check(routine, outcome)
    call values%check(routine, outcome)
    if (rowind%count /= colind%count .or. rowind%count /= values%count) call outcome%refuse(RKN_ERR_SIZE, routine// &
        ": arguments 'rowind', 'colind' and 'values' have "//decimal(rowind%count)//", "//decimal(colind%count)// &
        " and "//decimal(values%count)//" elements, must have the same number")
    if (outcome%good()) call outcome%take(rkn_operator_create_coo(handle_of(ctx), values%tag, nrows, &
        given_count(ncols, nrows), rowind%tag, given(base, from_one), values%count, rowind%address, colind%address, &
        values%address, handle))
    entries = absent   ! fewer than triplets where some were added up
    if (outcome%good()) call outcome%take(rkn_operator_get_int(handle, c_text("entries"), entries))
    call self%adopt(handle, entries, outcome, stat, errmsg)
  end subroutine create_coo_array

  ! Stored by rows, the Fortran array is the transpose of the matrix.
  recursive subroutine create_dense_array(self, values, order, memory, ctx, stat, errmsg)
    class(operator_arrays_t), intent(inout) :: self
    type(array_t), intent(in) :: values
    integer(c_int32_t), optional, intent(in) :: order, memory
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    integer(int64) :: nrows, ncols
    nrows = merge(values%columns, values%rows, given(order, RKN_COLUMN_MAJOR) == RKN_ROW_MAJOR)
    ncols = merge(values%rows, values%columns, given(order, RKN_COLUMN_MAJOR) == RKN_ROW_MAJOR)
    call values%check("rkn_operator_create_dense", outcome)
    if (outcome%good()) call outcome%take(rkn_operator_create_dense(handle_of(ctx), values%tag, nrows, ncols, &
        given(order, RKN_COLUMN_MAJOR), values%address, values%ld, given(memory, RKN_BORROW), handle))
    call self%adopt(handle, values%span(), outcome, stat, errmsg)
    if (outcome%good()) self%ld = values%ld
  end subroutine create_dense_array

  recursive subroutine create_diagonal_array(self, values, memory, ctx, stat, errmsg)
    class(operator_arrays_t), intent(inout) :: self
    type(array_t), intent(in) :: values
    integer(c_int32_t), optional, intent(in) :: memory
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    type(c_ptr) :: handle
    call values%check("rkn_operator_create_diagonal", outcome)
    if (outcome%good()) call outcome%take(rkn_operator_create_diagonal(handle_of(ctx), values%tag, values%count, &
        values%address, given(memory, RKN_BORROW), handle))
    call self%adopt(handle, values%count, outcome, stat, errmsg)
  end subroutine create_diagonal_array

  recursive subroutine set_values_array(self, values, stat, errmsg)
    class(operator_arrays_t), intent(in) :: self
    type(array_t), intent(in) :: values
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_operator_set_values"
    type(outcome_t) :: outcome
    call values%check(routine, outcome)
    call check_scalar(routine, values, self%handle, outcome)
    if (values%span() < self%nvalues) call outcome%refuse(RKN_ERR_SIZE, routine//": argument 'values' has "// &
        decimal(values%span())//" elements, must have at least "//decimal(self%nvalues))
    if (values%columns > 1 .and. self%ld /= absent .and. self%ld /= values%ld) call outcome%refuse(RKN_ERR_SIZE, &
        routine//": argument 'values' has columns "//decimal(values%ld)//" elements apart, must have them "// &
        decimal(self%ld)//" apart as at creation")
    if (outcome%good()) call outcome%take(rkn_operator_set_values(self%handle, values%address))
    call settle(outcome, stat, errmsg)
  end subroutine set_values_array

  recursive subroutine set_nullspace_array(self, side, vectors, stat, errmsg)
    class(operator_arrays_t), intent(in) :: self
    integer(c_int32_t), intent(in) :: side
    type(array_t), intent(in) :: vectors
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_operator_set_nullspace"
    type(outcome_t) :: outcome
    integer(int64) :: nrows, ncols
    call vectors%check(routine, outcome)
    call check_scalar(routine, vectors, self%handle, outcome)
    if (rkn_operator_shape(self%handle, nrows, ncols) == RKN_OK) &
        call check_rows(routine, vectors, merge(nrows, ncols, side == RKN_LEFT), outcome)
    if (outcome%good()) call outcome%take(rkn_operator_set_nullspace(self%handle, side, vectors%columns, &
        vectors%address, vectors%ld))
    call settle(outcome, stat, errmsg)
  end subroutine set_nullspace_array

  ! y = op(A) x
  recursive subroutine apply_array(self, x, y, trans, stat, errmsg)
    class(operator_arrays_t), intent(in) :: self
    type(array_t), intent(in) :: x, y
    integer(c_int32_t), optional, intent(in) :: trans
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_operator_apply"
    type(outcome_t) :: outcome
    integer(int64) :: nrows, ncols
    logical :: plain
    plain = given(trans, RKN_N) == RKN_N
    call x%check(routine, outcome)
    call y%check(routine, outcome)
    call check_scalar(routine, x, self%handle, outcome)
    if (rkn_operator_shape(self%handle, nrows, ncols) == RKN_OK) then
      call check_rows(routine, x, merge(ncols, nrows, plain), outcome)
      call check_rows(routine, y, merge(nrows, ncols, plain), outcome)
    end if
    if (x%columns /= y%columns) call outcome%refuse(RKN_ERR_SIZE, routine//": argument 'y' has "// &
        decimal(y%columns)//" columns, must have the "//decimal(x%columns)//" of 'x'")
    if (outcome%good()) call outcome%take(rkn_operator_apply(self%handle, given(trans, RKN_N), x%columns, x%address, &
        x%ld, y%address, y%ld))
    call settle(outcome, stat, errmsg)
  end subroutine apply_array

end module reknit_operator_arrays
