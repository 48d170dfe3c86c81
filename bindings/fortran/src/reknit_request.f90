! What a solve wants of the program that began it: rkn_krylov_t%start and %next.
module reknit_request
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use reknit_constants
  use reknit_support
  implicit none
  private
  public :: rkn_request_t

  ! The arrays are the library's, and valid until the next call of next, cancel or destroy.
  type :: rkn_request_t
    integer :: kind = RKN_REQUEST_DONE
    integer :: trans = RKN_N                                     ! of a product: RKN_N, RKN_T or RKN_H
    integer :: op = RKN_SUM                                      ! of a reduction: RKN_SUM or RKN_MAX
    real(real64), pointer, contiguous :: inout(:) => null()      ! to be combined over all ranks
    type(rkn_request), private :: raw = rkn_request(0, RKN_REQUEST_DONE, RKN_N, RKN_F64, RKN_SUM, 0, 0, 0, 0, 0, &
        c_null_ptr, c_null_ptr, 0, c_null_ptr)
  contains
    procedure :: receive
    procedure, private :: columns_f32, columns_f64, columns_c32, columns_c64
    generic :: columns => columns_f32, columns_f64, columns_c32, columns_c64
  end type rkn_request_t

contains

  ! Take what the library handed out.
  recursive subroutine receive(self, address)
    class(rkn_request_t), intent(inout) :: self
    type(c_ptr), intent(in) :: address
    type(rkn_request), pointer :: raw
    call c_f_pointer(address, raw)
    self%raw = raw
    self%kind = raw%kind
    self%trans = raw%trans
    self%op = raw%op
    self%inout => null()
    if (raw%kind == RKN_REQUEST_REDUCE) call c_f_pointer(raw%inout, self%inout, [raw%n])
  end subroutine receive

  ! columns(x, y): the vectors of a product, one a column. y is to be written, x only read.
  recursive subroutine columns_f32(self, x, y, stat, errmsg)
    class(rkn_request_t), intent(in) :: self
    real(real32), pointer, intent(inout) :: x(:, :), y(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call check_kind(self%raw, RKN_F32, outcome)
    if (outcome%good()) then
      call c_f_pointer(self%raw%x, x, [self%raw%ldx, self%raw%ncols])
      call c_f_pointer(self%raw%y, y, [self%raw%ldy, self%raw%ncols])
      x => x(:self%raw%nx, :)
      y => y(:self%raw%ny, :)
    end if
    call settle(outcome, stat, errmsg)
  end subroutine columns_f32

  recursive subroutine columns_f64(self, x, y, stat, errmsg)
    class(rkn_request_t), intent(in) :: self
    real(real64), pointer, intent(inout) :: x(:, :), y(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call check_kind(self%raw, RKN_F64, outcome)
    if (outcome%good()) then
      call c_f_pointer(self%raw%x, x, [self%raw%ldx, self%raw%ncols])
      call c_f_pointer(self%raw%y, y, [self%raw%ldy, self%raw%ncols])
      x => x(:self%raw%nx, :)
      y => y(:self%raw%ny, :)
    end if
    call settle(outcome, stat, errmsg)
  end subroutine columns_f64

  recursive subroutine columns_c32(self, x, y, stat, errmsg)
    class(rkn_request_t), intent(in) :: self
    complex(real32), pointer, intent(inout) :: x(:, :), y(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call check_kind(self%raw, RKN_C32, outcome)
    if (outcome%good()) then
      call c_f_pointer(self%raw%x, x, [self%raw%ldx, self%raw%ncols])
      call c_f_pointer(self%raw%y, y, [self%raw%ldy, self%raw%ncols])
      x => x(:self%raw%nx, :)
      y => y(:self%raw%ny, :)
    end if
    call settle(outcome, stat, errmsg)
  end subroutine columns_c32

  recursive subroutine columns_c64(self, x, y, stat, errmsg)
    class(rkn_request_t), intent(in) :: self
    complex(real64), pointer, intent(inout) :: x(:, :), y(:, :)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call check_kind(self%raw, RKN_C64, outcome)
    if (outcome%good()) then
      call c_f_pointer(self%raw%x, x, [self%raw%ldx, self%raw%ncols])
      call c_f_pointer(self%raw%y, y, [self%raw%ldy, self%raw%ncols])
      x => x(:self%raw%nx, :)
      y => y(:self%raw%ny, :)
    end if
    call settle(outcome, stat, errmsg)
  end subroutine columns_c64

  ! Whether the request is a product with numbers of this kind.
  recursive subroutine check_kind(raw, tag, outcome)
    type(rkn_request), intent(in) :: raw
    integer(c_int32_t), intent(in) :: tag
    type(outcome_t), intent(inout) :: outcome
    character(*), parameter :: routine = "rkn_request_t%columns"
    if (raw%kind == RKN_REQUEST_DONE .or. raw%kind == RKN_REQUEST_REDUCE) then
      call outcome%refuse(RKN_ERR_STATE, routine//": the request is no product and has no columns")
    else if (raw%scalar /= tag) then
      call outcome%refuse(RKN_ERR_SCALAR, routine//": argument 'x' has another kind than the operator, must have the same")
    end if
  end subroutine check_kind

end module reknit_request
