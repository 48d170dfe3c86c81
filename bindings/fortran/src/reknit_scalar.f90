! A number of any kind, converted to the kind of an operator.
module reknit_scalar
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
  use reknit_constants
  use reknit_support
  implicit none
  private
  public :: scalar_t

  type :: scalar_t
    integer(c_int32_t) :: tag = RKN_F64
    real(real32) :: f32 = 0
    real(real64) :: f64 = 0
    complex(real32) :: c32 = 0
    complex(real64) :: c64 = 0
  contains
    procedure :: assign
    procedure :: address
  end type scalar_t

contains

  recursive subroutine assign(self, routine, name, number, tag, outcome)
    class(scalar_t), intent(inout) :: self
    character(*), intent(in) :: routine, name
    class(*), intent(in) :: number
    integer(c_int32_t), intent(in) :: tag
    type(outcome_t), intent(inout) :: outcome
    complex(real64) :: z
    select type (number)
    type is (real(real64)); z = number
    type is (real(real32)); z = number
    type is (complex(real64)); z = number
    type is (complex(real32)); z = number
    type is (integer(int32)); z = number
    type is (integer(int64)); z = real(number, real64)
    class default
      call outcome%refuse(RKN_ERR_ARGUMENT, routine//": argument '"//name//"' is no number, must be real, complex "// &
          "or integer")
      return
    end select
    if (abs(z%im) > 0 .and. (tag == RKN_F32 .or. tag == RKN_F64)) call outcome%refuse(RKN_ERR_SCALAR, routine// &
        ": argument '"//name//"' has an imaginary part, must be real as the operator is")
    self%tag = tag
    self%c64 = z
    self%c32 = cmplx(z%re, z%im, real32)
    self%f64 = z%re
    self%f32 = real(z%re, real32)
  end subroutine assign

  ! Holds as long as self.
  recursive type(c_ptr) function address(self)
    class(scalar_t), target, intent(in) :: self
    select case (self%tag)
    case (RKN_F32); address = c_loc(self%f32)
    case (RKN_C32); address = c_loc(self%c32)
    case (RKN_C64); address = c_loc(self%c64)
    case default; address = c_loc(self%f64)
    end select
  end function address

end module reknit_scalar
