! Counts what held and what did not.
module check
  use, intrinsic :: iso_fortran_env, only: error_unit
  implicit none
  private
  public :: expect, expect_status, expect_words, report

  integer :: passed = 0, failed = 0

contains

  subroutine expect(condition, what)
    logical, intent(in) :: condition
    character(*), intent(in) :: what
    if (condition) then
      passed = passed + 1
    else
      failed = failed + 1
      write (error_unit, "(2a)") "FAILED: ", what
    end if
  end subroutine expect

  subroutine expect_status(found, wanted, what)
    integer, intent(in) :: found, wanted
    character(*), intent(in) :: what
    call expect(found == wanted, what)
    if (found /= wanted) write (error_unit, "(a, i0, a, i0)") "  status ", found, ", expected ", wanted
  end subroutine expect_status

  ! A refusal has its status, and its message has the words given, separated by blanks.
  subroutine expect_words(found, wanted, message, words, what)
    integer, intent(in) :: found, wanted
    character(*), intent(in) :: message, words, what
    integer :: first, last
    call expect_status(found, wanted, what)
    first = 1
    do while (first <= len(words))
      last = index(words(first:)//" ", " ") + first - 2
      call expect(index(message, words(first:last)) > 0, what//": message names "//words(first:last))
      if (index(message, words(first:last)) == 0) write (error_unit, "(3a)") "  message '", message, "'"
      first = last + 2
    end do
  end subroutine expect_words

  subroutine report()
    print "(i0, a, i0, a)", passed, " passed, ", failed, " failed"
    if (failed > 0) error stop 1
  end subroutine report

end module check
