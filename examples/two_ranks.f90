! Two ranks in one thread: solving by requests (reverse communication). See two_ranks.c; the table is the same.
program two_ranks
  use, intrinsic :: iso_fortran_env, only: dp => real64
  use reknit
  implicit none
  integer, parameter :: ranks = 2, cells = 100, steps = 6

  ! The vectors that a half of the rod wants multiplied, one a column.
  type :: half
    type(rkn_context_t) :: ctx
    type(rkn_operator_t) :: A
    type(rkn_krylov_t) :: s
    type(rkn_request_t) :: wanted
    real(dp), pointer :: x(:, :), y(:, :)
  end type half

  type(half) :: rod(ranks)
  real(dp), target :: b(cells, ranks), t(cells, ranks)
  real(dp) :: loss
  integer :: rank, step, products, sums, iterations

  do rank = 1, ranks
    call rod(rank)%ctx%create()
    call rod(rank)%ctx%set_reduce_request()
    call rod(rank)%A%create_request(cells, cells, RKN_REQUEST_APPLY, ctx=rod(rank)%ctx)
    call rod(rank)%s%create("gcrodr", rod(rank)%ctx)
    call rod(rank)%s%set_options("rtol=1e-10 restart=40 recycle=10")
  end do
  b = 1
  print "(a)", "step  iterations  products  sums     middle"
  do step = 1, steps
    loss = 0.001_dp*step
    products = 0
    sums = 0
    do rank = 1, ranks
      call rod(rank)%A%changed()                 ! another loss: what is known of A is old
      call rod(rank)%s%start(rod(rank)%A, b(:, rank), t(:, rank))
    end do
    do
      do rank = 1, ranks
        call rod(rank)%s%next(rod(rank)%wanted)
      end do
      select case (rod(1)%wanted%kind)
      case (RKN_REQUEST_APPLY)
        call multiply()
        products = products + 1
      case (RKN_REQUEST_REDUCE)
        call reduce(rod(1)%wanted%inout, rod(2)%wanted%inout, rod(1)%wanted%op)
        sums = sums + 1
      case (RKN_REQUEST_DONE)
        exit
      end select
    end do
    call rod(1)%s%get("iterations", iterations)
    print "(i4, i12, i10, i6, f11.4)", step, iterations, products, sums, t(cells, 1)
  end do
  do rank = 1, ranks
    call rod(rank)%s%destroy()
    call rod(rank)%A%destroy()
    call rod(rank)%ctx%destroy()
  end do

contains

  subroutine multiply()
    real(dp) :: left, right
    integer :: i, j
    do rank = 1, ranks
      call rod(rank)%wanted%columns(rod(rank)%x, rod(rank)%y)
    end do
    do rank = 1, ranks
      associate (x => rod(rank)%x, y => rod(rank)%y)
        do j = 1, size(x, 2)
          do i = 1, cells
            left = 0
            right = 0
            if (i > 1) left = x(i - 1, j)
            if (i < cells) right = x(i + 1, j)
            if (i == 1 .and. rank > 1) left = rod(rank - 1)%x(cells, j)
            if (i == cells .and. rank < ranks) right = rod(rank + 1)%x(1, j)
            y(i, j) = (2 + loss)*x(i, j) - left - right
          end do
        end do
      end associate
    end do
  end subroutine multiply

  subroutine reduce(p, q, op)
    real(dp), intent(inout) :: p(:), q(:)
    integer, intent(in) :: op
    if (op == RKN_SUM) then
      p = p + q
    else
      p = max(p, q)
    end if
    q = p
  end subroutine reduce

end program two_ranks
