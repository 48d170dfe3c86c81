! The order of a sequence; illegal input first.
program test_sequence
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan
  use reknit
  use check
  implicit none

  integer, parameter :: dim = 3, count = 200
  real(real64), target :: parameters(dim + 2, count)
  integer :: i, j

  ! Numbers without pattern between 0 and 1.
  do j = 1, count
    do i = 1, dim + 2
      parameters(i, j) = modulo(sin(12.9898_real64*i + 78.233_real64*j)*43758.5453_real64, 1.0_real64)
    end do
  end do

  call illegal()
  call chain()
  call line()
  call curve()
  call report()

contains

  subroutine illegal()
    integer :: order(count), rc
    real(real64) :: length
    real(real64), target :: bad(2, 4)
    character(400) :: message
    character(*), parameter :: routine = "rkn_sequence_order"
    order = -7
    length = -7
    call rkn_sequence_order(parameters, order, "methd=chain", stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_KEY, message, routine//" 'method'?", "misspelt key")
    call rkn_sequence_order(parameters, order, start=count + 1, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, routine//" 'start'", "start past the end")
    call rkn_sequence_order(parameters, order(2:), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, routine//" 'order' 199 200", "order too short")
    call rkn_sequence_order(parameters(::2, :), order, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, routine//" 'parameters' contiguous", "rows with gaps")
    call rkn_sequence_length(parameters, length, order(:3), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sequence_length 'order' 3 200", "length of a short order")
    call expect(all(order == -7), "a refused order is left alone")
    order = [(i, i=1, count)]
    order(3) = 0
    call rkn_sequence_length(parameters, length, order, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_INDEX, message, "rkn_sequence_length 'order' position 3 1..200", "index 0")
    bad = 1
    bad(2, 3) = ieee_value(1.0_real64, ieee_quiet_nan)
    call rkn_sequence_order(bad, order(:4), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NONFINITE, message, routine//" 'parameters' NaN", "NaN")
    call rkn_sequence_length(bad, length, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NONFINITE, message, "rkn_sequence_length 'parameters' NaN", "length with NaN")
    call expect(abs(length + 7) < 0.5_real64, "a refused length is left alone")
  end subroutine illegal

  ! Always to the nearest that is left, by minloc; part of a larger array, from several beginnings.
  subroutine chain()
    integer :: order(count), start
    integer(int64) :: wide(count), expected(count)
    logical :: left(count)
    real(real64) :: d(count), sum, length
    type(rkn_context_t) :: ctx
    call ctx%create()
    call ctx%set("threads", 2)
    do start = 1, count, 66
      left = .true.
      expected(1) = start
      left(start) = .false.
      sum = 0
      do i = 2, count
        d = [(norm2(parameters(2:dim + 1, j) - parameters(2:dim + 1, expected(i - 1))), j=1, count)]
        expected(i) = minloc(d, dim=1, mask=left)
        left(expected(i)) = .false.
        sum = sum + d(expected(i))
      end do
      call rkn_sequence_order(parameters(2:dim + 1, :), order, "method=chain", start=start, ctx=ctx)
      call expect(all(order == expected), "chain")
      call rkn_sequence_order(parameters(2:dim + 1, :), wide, start=start)
      call expect(all(wide == expected), "chain by auto")
      call rkn_sequence_length(parameters(2:dim + 1, :), length, order)
      call expect(abs(length - sum) < 1e-12_real64*sum, "length of the chain")
      call rkn_sequence_length(parameters(2:dim + 1, :), length, wide, ctx)
      call expect(abs(length - sum) < 1e-12_real64*sum, "length of the chain, wide")
    end do
    call rkn_sequence_length(parameters(2:dim + 1, :), length)
    call expect(length > 2*sum, "sorting makes it shorter")
    call ctx%destroy()
  end subroutine chain

  subroutine line()
    real(real64), target :: places(1, 100), none(4, 0)
    integer :: order(100), empty(0)
    real(real64) :: length
    places(1, :) = [(real(modulo(37*i, 101), real64), i=1, 100)]
    call rkn_sequence_order(places, order, start=findloc(nint(places(1, :)), 1, dim=1))
    call expect(all(nint(places(1, order)) == [(i, i=1, 100)]), "a shuffled line")
    call rkn_sequence_length(places, length, order)
    call expect(abs(length - 99) < 1e-12_real64, "its length")
    call rkn_sequence_order(none, empty)
    call rkn_sequence_length(none, length, empty)
    call expect(abs(length) < 1e-300_real64, "nothing at all")
  end subroutine line

  subroutine curve()
    real(real64), target :: grid(2, 256)
    integer :: order(256)
    real(real64) :: length
    do i = 1, 256
      j = modulo(77*i, 256)
      grid(:, i) = [modulo(j, 16), j/16]
    end do
    call rkn_sequence_order(grid, order, "method=curve")
    call expect(all([(any(order == i), i=1, 256)]), "a permutation")
    call rkn_sequence_length(grid, length, order)
    call expect(abs(length - 255) < 1e-12_real64, "from neighbour to neighbour")
  end subroutine curve

end program test_sequence
