! The colours of one picture for another, in Fortran: the palettes, the solve and the table of colours.c, which explains them.
!
! Usage: colours SOURCE.ppm TARGET.ppm RESULT.ppm [cells along each axis of the cube, 24]     binary PPM (P6), 8 bits
module pictures
  use, intrinsic :: iso_fortran_env, only: error_unit, real64
  implicit none
  private
  public :: picture_t, palette_t, read_picture, write_picture, mean_of, palette_of, recolour

  type :: picture_t
    integer :: width, height
    integer, allocatable :: pixels(:, :)        ! red, green, blue of each
  end type picture_t

  type :: palette_t
    integer, allocatable :: entry_at(:)         ! of each cell of the cube, from 0 on; 0 for none
    real(real64), allocatable :: colours(:, :), masses(:)
  end type palette_t

contains

  subroutine fail(what, name)
    character(*), intent(in) :: what, name
    write (error_unit, "(a, ': ', a)") name, what
    stop 1, quiet=.true.
  end subroutine fail

  subroutine read_picture(name, p)
    character(*), intent(in) :: name
    type(picture_t), intent(out) :: p
    character(:), allocatable :: bytes
    integer :: unit, status, length, largest, at, k
    open (newunit=unit, file=name, access="stream", form="unformatted", status="old", action="read", iostat=status)
    if (status /= 0) call fail("cannot be opened", name)
    inquire (unit, size=length)
    allocate (character(length) :: bytes)
    read (unit, iostat=status) bytes
    if (status /= 0) call fail("cannot be opened", name)
    close (unit)
    if (index(bytes, "P6") /= 1) call fail("is not a binary PPM picture (P6)", name)
    at = 3
    p%width = number()
    p%height = number()
    largest = number()
    if (min(p%width, p%height) < 1 .or. max(p%width, p%height) > 10000) &
      call fail("has no size from 1 x 1 to 10000 x 10000", name)
    if (largest /= 255) call fail("does not have 8 bits", name)
    if (length - at + 1 < 3*p%width*p%height) call fail("ends early", name)
    p%pixels = reshape([(ichar(bytes(at + k:at + k)), k = 0, 3*p%width*p%height - 1)], [3, p%width*p%height])

  contains

    ! The next number of a header, in which comments run from # to the end of the line, and the one byte after it.
    integer function number()
      character(*), parameter :: white = " "//achar(9)//achar(10)//achar(11)//achar(12)//achar(13)
      integer :: digit
      number = 0
      do while (at <= length)
        if (bytes(at:at) == "#") then
          do while (at < length .and. bytes(at:at) /= achar(10))
            at = at + 1
          end do
        else if (scan(bytes(at:at), white) == 0) then
          exit
        end if
        at = at + 1
      end do
      if (at > length) call fail("is not a binary PPM picture (P6)", name)
      if (scan(bytes(at:at), "0123456789") == 0) call fail("is not a binary PPM picture (P6)", name)
      do while (at <= length .and. number < 100000)
        digit = index("0123456789", bytes(at:at)) - 1
        at = at + 1
        if (digit < 0) exit
        number = 10*number + digit
      end do
    end function number

  end subroutine read_picture

  subroutine write_picture(name, p)
    character(*), intent(in) :: name
    type(picture_t), intent(in) :: p
    character(40) :: header
    integer :: unit, status, k, axis
    write (header, "('P6', a, i0, ' ', i0, a, '255', a)") achar(10), p%width, p%height, achar(10), achar(10)
    open (newunit=unit, file=name, access="stream", form="unformatted", status="replace", action="write", iostat=status)
    if (status /= 0) call fail("cannot be written", name)
    write (unit, iostat=status) trim(header), ((achar(p%pixels(axis, k)), axis = 1, 3), k = 1, size(p%pixels, 2))
    if (status /= 0) call fail("cannot be written", name)
    close (unit)
  end subroutine write_picture

  pure function mean_of(p) result(mean)
    type(picture_t), intent(in) :: p
    real(real64) :: mean(3)
    mean = sum(real(p%pixels, real64), dim=2)/(255.0_real64*size(p%pixels, 2))
  end function mean_of

  ! The cell of a colour in the cube; blue runs fastest.
  pure integer function cell_of(pixel, side)
    integer, intent(in) :: pixel(3), side
    cell_of = (pixel(1)*side/256*side + pixel(2)*side/256)*side + pixel(3)*side/256
  end function cell_of

  function palette_of(p, side) result(q)
    type(picture_t), intent(in) :: p
    integer, intent(in) :: side
    type(palette_t) :: q
    integer, allocatable :: counts(:)
    integer :: k, c, e, entries
    allocate (counts(0:side**3 - 1), q%entry_at(0:side**3 - 1))
    counts = 0
    do k = 1, size(p%pixels, 2)
      c = cell_of(p%pixels(:, k), side)
      counts(c) = counts(c) + 1
    end do
    entries = 0
    q%entry_at = 0
    do c = 0, side**3 - 1
      if (counts(c) == 0) cycle
      entries = entries + 1
      q%entry_at(c) = entries
    end do
    allocate (q%colours(3, entries), q%masses(entries))
    q%colours = 0
    do k = 1, size(p%pixels, 2)
      e = q%entry_at(cell_of(p%pixels(:, k), side))
      q%colours(:, e) = q%colours(:, e) + p%pixels(:, k)
    end do
    do c = 0, side**3 - 1
      e = q%entry_at(c)
      if (e == 0) cycle
      q%colours(:, e) = q%colours(:, e)/(255.0_real64*counts(c))
      q%masses(e) = real(counts(c), real64)/size(p%pixels, 2)
    end do
  end function palette_of

  ! Moves each pixel by the mean of the shifts of the entries in the eight cells around it, weighted trilinearly.
  subroutine recolour(p, q, goes, side)
    type(picture_t), intent(inout) :: p
    type(palette_t), intent(in) :: q
    real(real64), intent(in) :: goes(:, :)
    integer, intent(in) :: side
    real(real64) :: place(3), part(3), shift(3), weight, weights
    integer :: k, corner, axis, lower(3), up(3), at(3), e
    do k = 1, size(p%pixels, 2)
      place = (p%pixels(:, k) + 0.5_real64)*side/256.0_real64 + 0.5_real64
      lower = int(place) - 1
      part = place - int(place)
      weights = 0
      shift = 0
      do corner = 0, 7
        up = [(ibits(corner, axis, 1), axis = 0, 2)]
        at = lower + up
        if (any(at < 0) .or. any(at >= side)) cycle
        e = q%entry_at((at(1)*side + at(2))*side + at(3))
        if (e == 0) cycle
        weight = product(merge(part, 1 - part, up == 1))
        weights = weights + weight
        shift = shift + weight*(goes(e, :) - q%colours(:, e))
      end do
      p%pixels(:, k) = int(min(max(p%pixels(:, k) + 255.0_real64*(shift/weights), 0.0_real64), 255.0_real64) + 0.5_real64)
    end do
  end subroutine recolour

end module pictures

program colours
  use, intrinsic :: iso_fortran_env, only: error_unit, real64
  use reknit
  use pictures
  implicit none

  type(rkn_geometry_t) :: G
  type(rkn_sinkhorn_t) :: s
  type(picture_t) :: source, target
  type(palette_t) :: from, to
  real(real64), allocatable :: columns(:, :), goes(:, :)
  real(real64) :: passes, cost, lower, upper, mean(3)
  integer :: side, status, e
  character(20) :: text

  side = 24
  if (command_argument_count() > 3) then
    call get_command_argument(4, text)
    read (text, *, iostat=status) side
    if (status /= 0) side = 0
  end if
  if (command_argument_count() < 3 .or. side < 2 .or. side > 64) then
    write (error_unit, "(a)") "usage: colours SOURCE.ppm TARGET.ppm RESULT.ppm [cells along each axis of the colour cube, 2 to 64]"
    stop 2, quiet=.true.
  end if
  call read_picture(argument(1), source)
  call read_picture(argument(2), target)
  from = palette_of(source, side)
  to = palette_of(target, side)

  call G%create_points(from%colours, to%colours)
  call s%create("auto")
  call s%set_options("epsilon=2e-3 epsilon_relative=max tolerance=1e-8")
  call s%solve(G, from%masses, to%masses)
  call s%bracket(lower, upper)
  call s%get("passes", passes)
  call s%get("cost", cost)

  print "('palettes of ', i0, ' and ', i0, ' colours, for ', i0, ' and ', i0, ' pixels')", size(from%masses), size(to%masses), &
    size(source%pixels, 2), size(target%pixels, 2)
  print "(f0.1, ' passes, cost ', f8.6, '; without blur between ', f8.6, ' and ', f8.6)", passes, cost, lower, upper
  print "(a)", "mean of               red     green      blue"
  call print_mean("source", mean_of(source))
  call print_mean("target", mean_of(target))
  ! Where the entries go: the target's colours as three columns through the plan.
  columns = transpose(to%colours)
  allocate (goes(size(from%masses), 3))
  call s%plan_apply(columns, goes)
  mean = 0
  do e = 1, size(from%masses)
    goes(e, :) = goes(e, :)/from%masses(e)
    mean = mean + from%masses(e)*goes(e, :)
  end do
  call print_mean("moved palette", mean)
  call recolour(source, from, goes, side)
  call print_mean("result", mean_of(source))
  call write_picture(argument(3), source)

  call s%destroy()
  call G%destroy()

contains

  subroutine print_mean(name, mean)
    character(*), intent(in) :: name
    real(real64), intent(in) :: mean(3)
    character(16) :: first
    first = name
    print "(a, 3f10.6)", first, mean
  end subroutine print_mean

  function argument(i) result(text)
    integer, intent(in) :: i
    character(:), allocatable :: text
    integer :: length
    call get_command_argument(i, length=length)
    allocate (character(length) :: text)
    call get_command_argument(i, text)
  end function argument

end program colours
