! Exact transport on a line, on a circle and sliced; illegal input first.
program test_line
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan
  use reknit
  use check
  implicit none

  real(real64), parameter :: powers(4) = [1.0_real64, 1.5_real64, 2.0_real64, 3.0_real64]
  integer :: seed = 1, i

  call illegal()
  call permutations()
  call certificates(0.0_real64)
  call certificates(0.7_real64)
  call kinds()
  call sliced()
  call report()

contains

  ! Numbers without pattern between 0 and 1.
  function some(n) result(v)
    integer, intent(in) :: n
    real(real64) :: v(n)
    integer :: i
    do i = 1, n
      v(i) = modulo(sin(12.9898_real64*i + 78.233_real64*seed)*43758.5453_real64, 1.0_real64)
    end do
    seed = seed + 1
  end function some

  elemental real(real64) function way(period, x, y)
    real(real64), intent(in) :: period, x, y
    way = abs(x - y)
    if (period > 0) way = min(modulo(way, period), period - modulo(way, period))
  end function way

  ! The least over all permutations of the points left.
  recursive real(real64) function least(C, row, left) result(best)
    real(real64), intent(in) :: C(:, :)
    integer, intent(in) :: row
    logical, intent(in) :: left(:)
    logical :: rest(size(left))
    integer :: j
    best = 0
    if (row > size(C, 1)) return
    best = huge(best)
    do j = 1, size(left)
      if (.not. left(j)) cycle
      rest = left
      rest(j) = .false.
      best = min(best, C(row, j) + least(C, row + 1, rest))
    end do
  end function least

  subroutine illegal()
    real(real64), target :: x(4), y(3), a(4), minus(3), bad(4), gaps(8), cloud(2, 4), other(3, 3)
    real(real64) :: cost, gradient(3, 4)
    real(real64), allocatable :: masses(:)
    integer, allocatable :: rows(:), columns(:)
    integer :: rc
    character(400) :: message
    x = some(4)
    y = some(3)
    a = 1
    minus = [3, 2, -1]
    gaps = some(8)
    cloud = 1
    other = 1
    cost = -7
    bad = x
    bad(3) = ieee_value(1.0_real64, ieee_quiet_nan)
    call rkn_wasserstein_line(bad, y, cost, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NONFINITE, message, "rkn_wasserstein_line 'x' NaN", "NaN")
    call rkn_wasserstein_line(gaps(::2), y, cost, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_wasserstein_line 'x' contiguous", "gaps")
    call rkn_wasserstein_line(x, y(:0), cost, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_wasserstein_line 'm'", "no points")
    call rkn_wasserstein_line(x, y, cost, a=a(:3), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_wasserstein_line 'a' 3 4", "too few masses")
    call rkn_wasserstein_line(x, y, cost, a=a, b=minus, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_wasserstein_line 'b' negative", "a negative mass")
    call rkn_wasserstein_line(x, y, cost, a=a, b=a(:3), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_wasserstein_line 'b' mass", "unequal masses")
    call rkn_wasserstein_line(x, y, cost, p=0.5_real64, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_wasserstein_line 'p'", "p below 1")
    call rkn_wasserstein_line_plan(bad, y, rows, columns, masses, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NONFINITE, message, "rkn_wasserstein_line_plan 'x'", "plan with NaN")
    call expect(.not. (allocated(rows) .or. allocated(columns) .or. allocated(masses)), "a refused plan is not there")
    call rkn_wasserstein_line_gradient(x, y, cost=cost, gradient_x=bad(:3), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_wasserstein_line_gradient 'gradient_x' 3 4", "short gradient")
    call rkn_wasserstein_circle(0.0_real64, x, y, cost, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_wasserstein_circle 'period'", "no period")
    call rkn_wasserstein_circle_plan(-1.0_real64, x, y, rows, columns, masses, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_wasserstein_circle_plan 'period'", "negative period")
    call rkn_wasserstein_circle_gradient(0.0_real64, x, y, cost=cost, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_wasserstein_circle_gradient 'period'", "no period")
    call rkn_wasserstein_sliced(cloud, other, 5, cost, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_wasserstein_sliced 'y' 3 2", "coordinates")
    call rkn_wasserstein_sliced(cloud, cloud, 5, cost, gradient, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_wasserstein_sliced 'gradient' 3 2", "shape of the gradient")
    call rkn_wasserstein_sliced(cloud, cloud, 0, cost, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_wasserstein_sliced 'projections'", "no directions")
    call rkn_wasserstein_sliced(cloud, cloud, 5, cost, b=a(:2), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_wasserstein_sliced 'b' 2 4", "masses of a cloud")
    call expect(abs(cost + 7) < 0.5_real64, "a refused cost is left alone")
  end subroutine illegal

  subroutine permutations()
    real(real64), target :: x(6), y(6)
    real(real64) :: cost, truth
    integer :: n, k
    do n = 1, 6
      x = some(6)
      y = some(6)
      do k = 1, 4
        call rkn_wasserstein_line(x(:n), y(:n), cost, powers(k))
        truth = least(costs(0.0_real64, x(:n), y(:n), powers(k)), 1, [(.true., i=1, n)])/n
        call expect(abs(cost - truth) < 1e-14_real64, "the best permutation on a line")
        call rkn_wasserstein_circle(0.9_real64, x(:n), y(:n), cost, powers(k))
        truth = least(costs(0.9_real64, x(:n), y(:n), powers(k)), 1, [(.true., i=1, n)])/n
        call expect(abs(cost - truth) < 1e-14_real64, "the best permutation on a circle")
      end do
    end do
    call rkn_wasserstein_line([0.0_real64, 1.0_real64], [4.0_real64, 2.0_real64], cost)
    call expect(abs(cost - 6.5_real64) < 1e-14_real64, "squares by default")
  end subroutine permutations

  pure function costs(period, x, y, p) result(C)
    real(real64), intent(in) :: period, x(:), y(:), p
    real(real64) :: C(size(x), size(y))
    integer :: j
    do j = 1, size(y)
      C(:, j) = way(period, x, y(j))**p
    end do
  end function costs

  ! The plan's marginals and cost; potentials below the cost, equal on the plan.
  subroutine certificates(period)
    real(real64), intent(in) :: period
    integer, parameter :: n = 50, m = 73
    real(real64), target :: x(n), y(m), a(n), b(m)
    real(real64) :: gx(2*n), gy(m), f(n), g(m), cost, again, C(n, m), P(n, m)
    real(real64), allocatable :: masses(:)
    integer, allocatable :: rows(:), columns(:)
    logical :: tight
    integer :: k, l
    x = some(n)
    y = some(m)
    a = some(n)
    b = some(m)
    b = b*(sum(a)/sum(b))
    do k = 1, 4
      C = costs(period, x, y, powers(k))
      gx = -7
      if (period > 0) then
        call rkn_wasserstein_circle(period, x, y, cost, powers(k), a, b)
        call rkn_wasserstein_circle_plan(period, x, y, rows, columns, masses, powers(k), a, b)
        call rkn_wasserstein_circle_gradient(period, x, y, powers(k), again, gx(::2), gy, f, g, a, b)
      else
        call rkn_wasserstein_line(x, y, cost, powers(k), a, b)
        call rkn_wasserstein_line_plan(x, y, rows, columns, masses, a, b)
        call rkn_wasserstein_line_gradient(x, y, powers(k), again, gx(::2), gy, f, g, a, b)
      end if
      call expect(abs(cost - again) < tiny(cost), "one cost")
      call expect(size(rows) <= n + m - 1 .and. size(rows) == size(columns) .and. size(rows) == size(masses), "entries")
      P = 0
      tight = .true.
      do l = 1, size(rows)
        P(rows(l), columns(l)) = P(rows(l), columns(l)) + masses(l)
        tight = tight .and. abs(f(rows(l)) + g(columns(l)) - C(rows(l), columns(l))) < 1e-12_real64
      end do
      call expect(tight, "potentials are exact on the plan")
      call expect(all(spread(f, 2, m) + spread(g, 1, n) <= C + 1e-13_real64), "potentials lie below the cost")
      call expect(maxval(abs(sum(P, 2) - a)) < 1e-13_real64 .and. maxval(abs(sum(P, 1) - b)) < 1e-13_real64, "marginals")
      call expect(abs(sum(C*P) - cost) < 1e-12_real64, "the cost of the plan")
      call expect(abs(dot_product(a, f) + dot_product(b, g) - cost) < 1e-11_real64, "the dual value")
      call expect(abs(sum(gx(::2)) + sum(gy)) < 1e-11_real64, "moving both sides costs nothing")
      call expect(all(abs(gx(2::2) + 7) < 0.5_real64), "gaps stay")
    end do
  end subroutine certificates

  subroutine kinds()
    integer(int64), allocatable :: rows(:), columns(:)
    real(real64), allocatable :: masses(:)
    real(real64) :: f(3)
    call rkn_wasserstein_line_plan([3.0_real64, 1.0_real64, 2.0_real64], [10.0_real64], rows, columns, masses)
    call expect(all(rows == [2, 3, 1]) .and. all(columns == 1), "indices count from 1")
    call expect(all(abs(masses - 1/3.0_real64) < 1e-16_real64), "equal masses")
    call rkn_wasserstein_circle_plan(4.0_real64, [0.0_real64, 2.0_real64], [3.9_real64], rows, columns, masses)
    call expect(size(rows) == 2 .and. sum(rows) == 3, "wide indices on a circle")
    call rkn_wasserstein_line_gradient([3.0_real64, 1.0_real64, 2.0_real64], [10.0_real64], f=f)
    call expect(all(abs(f - f(1) - [0, 32, 15]) < 1e-12_real64), "potentials alone")
  end subroutine kinds

  subroutine sliced()
    real(real64), target :: x(3, 50), y(2, 40), z(2, 50)
    real(real64) :: cost, again, gradient(2, 50)
    type(rkn_context_t) :: ctx
    x = reshape(some(150), [3, 50])
    y = reshape(some(80), [2, 40])
    call ctx%create()
    call ctx%set("threads", 2)
    call rkn_wasserstein_sliced(x(:2, :), y, 30, cost, seed=9)
    call rkn_wasserstein_sliced(x(:2, :), y, 30, again, gradient, seed=9, ctx=ctx)
    call expect(abs(cost - again) < tiny(cost), "the same with a gradient and threads")
    z = x(:2, :) - 1e-6_real64*gradient
    call rkn_wasserstein_sliced(z, y, 30, again, seed=9)
    call expect(abs((cost - again)/(1e-6_real64*sum(gradient**2)) - 1) < 1e-4_real64, "a step against the gradient")
    call rkn_wasserstein_sliced(x(:2, :), y, 30, again, seed=10)
    call expect(abs(cost - again) > 1e-9_real64, "another seed")
    call rkn_wasserstein_sliced(x(2:2, :), y(1:1, :), 3, cost, p=1.5_real64)
    call rkn_wasserstein_line([x(2, :)], [y(1, :)], again, 1.5_real64)
    call expect(abs(cost - again) < 1e-14_real64, "along one axis")
    call ctx%destroy()
  end subroutine sliced

end program test_line
