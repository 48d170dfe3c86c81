! The library itself. The names are short here because gfortran takes a module procedure with the name of a
! C function for that function; module reknit gives them back their rkn_.
module reknit_library
  use, intrinsic :: iso_c_binding, only: c_int32_t
  use, intrinsic :: iso_fortran_env, only: int64
  use reknit_c
  use reknit_support
  implicit none
  private
  public :: version, build_info, status_name, last_error, option_reference

contains

  recursive function version() result(text)
    character(:), allocatable :: text
    text = fortran_text(rkn_version())
  end function version

  recursive function build_info() result(text)
    character(:), allocatable :: text
    text = fortran_text(rkn_build_info())
  end function build_info

  recursive function status_name(status) result(text)
    integer, intent(in) :: status
    character(:), allocatable :: text
    text = fortran_text(rkn_status_name(int(status, c_int32_t)))
  end function status_name

  ! The library's last message on this thread. What this module refuses itself comes by errmsg only.
  recursive function last_error() result(text)
    character(:), allocatable :: text
    text = fortran_text(rkn_last_error())
  end function last_error

  ! The options of "context", "operator", "preconditioner", "krylov" or "sequence", one per line.
  recursive subroutine option_reference(noun, text, stat, errmsg)
    character(*), intent(in) :: noun
    character(:), allocatable, intent(inout) :: text
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    character(:), allocatable :: buffer
    integer(int64) :: need
    need = 0
    call buffer_for(rkn_option_reference(c_text(noun), cap=0_int64, need=need), need, buffer, outcome)
    if (outcome%good()) call outcome%take(rkn_option_reference(c_text(noun), buffer, need))
    if (outcome%good()) text = buffer(:need - 1)
    call settle(outcome, stat, errmsg)
  end subroutine option_reference

end module reknit_library
