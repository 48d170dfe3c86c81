! Derivatives of transport, doubly stochastic membership, coding rates; illegal input first.
program test_derivative
  use, intrinsic :: iso_fortran_env, only: real64
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan
  use reknit
  use check
  implicit none

  integer, parameter :: d = 2, n = 6, m = 5
  real(real64), parameter :: h = 1e-5_real64
  real(real64) :: x(d, n), y(d, m), ux(d, n), uy(d, m), a(n), b(m), wf(n), wg(m), W(n, m)
  integer :: draws = 0

  call draw(x)
  call draw(y)
  call draw(ux)
  call draw(uy)
  call draw(W)
  call draw_1(wf)
  call draw_1(wg)
  wg = wg + (sum(wf) - sum(wg))/m
  call draw_1(a)
  call draw_1(b)
  a = (1.5_real64 + a)/sum(1.5_real64 + a)
  b = (1.5_real64 + b)/sum(1.5_real64 + b)

  call illegal()
  call points()
  call costs()
  call membership()
  call rates()
  call report()

contains

  ! Numbers without pattern between -1 and 1.
  subroutine draw_1(v)
    real(real64), intent(out) :: v(:)
    integer :: i
    do i = 1, size(v)
      draws = draws + 1
      v(i) = 2*modulo(sin(12.9898_real64*draws)*43758.5453_real64, 1.0_real64) - 1
    end do
  end subroutine draw_1

  subroutine draw(v)
    real(real64), intent(out) :: v(:, :)
    integer :: j
    do j = 1, size(v, 2)
      call draw_1(v(:, j))
    end do
  end subroutine draw

  logical function near(got, wanted, tolerance)
    real(real64), intent(in) :: got, wanted, tolerance
    near = abs(got - wanted) <= tolerance*(1 + abs(wanted))
  end function near

  subroutine solve(s, px, py)
    type(rkn_sinkhorn_t), intent(inout) :: s
    real(real64), intent(in) :: px(:, :), py(:, :)
    type(rkn_geometry_t) :: G
    call s%create("auto")
    call s%set_options("epsilon=0.3 tolerance=1e-12 derivative_tolerance=1e-13")
    call G%create_points(px, py)
    call s%solve(G, a, b)
    call G%destroy()
  end subroutine solve

  ! The value, <(wf, wg), (f, g)> and <W, P>.
  function values(px, py) result(found)
    real(real64), intent(in) :: px(:, :), py(:, :)
    real(real64) :: found(3), one(m, m), P(n, m)
    real(real64), allocatable :: f(:), g(:)
    type(rkn_sinkhorn_t) :: s
    integer :: j
    call solve(s, px, py)
    call s%get("dual", found(1))
    call s%potentials(f, g)
    found(2) = dot_product(wf, f) + dot_product(wg, g)
    one = 0
    do j = 1, m
      one(j, j) = 1
    end do
    call s%plan_apply(one, P)
    found(3) = sum(W*P)
    call s%destroy()
  end function values

  subroutine illegal()
    type(rkn_sinkhorn_t) :: s
    real(real64) :: da(n), short(n - 1), dC(n, m), dX(d, n), narrow(1, n), G(3, 3), dK(3, 3), rate, wrong(n)
    integer :: rc
    character(400) :: message
    character(*), parameter :: vp = "rkn_sinkhorn_vjp_potentials", vw = "rkn_sinkhorn_vjp_plan"
    call s%create("auto")
    call s%vjp_potentials(wf, wg, stat=rc, errmsg=message)
    call expect_status(rc, RKN_ERR_SIZE, "sizes before a solve")
    call s%vjp_plan(W, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_STATE, message, vw//" nothing solved", "nothing solved")
    call s%destroy()
    call solve(s, x, y)
    da = -7
    call s%vjp_potentials(wf(2:), wg, da, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, vp//" 'wf'", "wf too short")
    call s%vjp_potentials(wf, wg, short, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, vp//" 'da'", "da too short")
    call s%vjp_potentials(wf, wg, dC=dC(2:, :), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, vp//" 'dC' rows", "dC too short")
    call s%vjp_potentials(wf, wg, dX=dX(:, 2:), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, vp//" 'dX' columns", "dX too narrow")
    call s%vjp_potentials(wf, wg, dX=narrow, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, vp//" 'lddx'", "dX with too few coordinates")
    call s%vjp_potentials(wf + 1, wg, da, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, vp//" 'wg'", "unequal sums")
    wrong = wf
    wrong(2) = ieee_value(1.0_real64, ieee_quiet_nan)
    call s%vjp_potentials(wrong, wg, da, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NONFINITE, message, vp//" 'wf'", "NaN")
    call s%vjp_plan(W(:, 2:), da, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, vw//" 'W' columns", "W too narrow")
    call s%gradient_points(dY=dX, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_gradient_points 'dY'", "dY too wide")
    call expect(all(abs(da + 7) <= 0), "a refused call leaves da")
    call s%destroy()

    G = 1.0_real64/3
    dK = -7
    call rkn_ds_project(W, 1.0_real64, dK, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_ds_project 'K'", "K not square")
    call rkn_ds_project(G, 0.0_real64, dK, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_ds_project 'eta'", "eta of zero")
    call rkn_ds_project(G, 1.0_real64, dK, start=.true., stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_ds_project 'start'", "start from nothing")
    call rkn_ds_project_vjp(G, G(:, 2:), 1.0_real64, dK, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_ds_project_vjp 'W'", "W not square")
    call rkn_ds_project_vjp(-G, G, 1.0_real64, dK, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_ds_project_vjp 'G'", "negative G")
    rate = -7
    call rkn_coding_rate(x, -1.0_real64, rate, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_coding_rate 'alpha'", "negative alpha")
    call rkn_coding_rate(x, 1.0_real64, rate, narrow, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_coding_rate 'dZ'", "dZ of another shape")
    call rkn_coding_rate(x, abs(W(2:, :)), 1.0_real64, rate, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_coding_rate_clustered 'Pi'", "Pi of other samples")
    call expect(abs(rate + 7) <= 0 .and. all(abs(dK + 7) <= 0), "refused calls leave their results")
  end subroutine illegal

  ! Central differences in a direction of both clouds.
  subroutine points()
    type(rkn_sinkhorn_t) :: s
    real(real64) :: dX(d, n, 3), dY(d, m, 3), da(n), db(m), up(3), down(3), slope
    integer :: what
    dX = 0
    dY = 0
    call solve(s, x, y)
    call s%gradient_points(dX(:, :, 1), dY(:, :, 1))
    call s%vjp_potentials(wf, wg, da, db, dX=dX(:, :, 2), dY=dY(:, :, 2))
    call expect(near(dot_product(a, da), dot_product(b, db), 1e-10_real64), "the gauge of da and db")
    call s%vjp_plan(W, dX=dX(:, :, 3), dY=dY(:, :, 3))
    call s%destroy()
    up = values(x + h*ux, y + h*uy)
    down = values(x - h*ux, y - h*uy)
    do what = 1, 3
      slope = sum(dX(:, :, what)*ux) + sum(dY(:, :, what)*uy)
      call expect(near(slope, (up(what) - down(what))/(2*h), 1e-6_real64), "points")
    end do
  end subroutine points

  ! Derivatives with respect to C, into a section: those with respect to points are sum_j dC(i, j) 2 (x_i - y_j).
  subroutine costs()
    type(rkn_sinkhorn_t) :: s
    real(real64) :: big(n + 2, m + 1), dX(d, n), wanted(d)
    integer :: i, j
    dX = 0
    big = -7
    call solve(s, x, y)
    call s%vjp_plan(W, dC=big(2:n + 1, :m), dX=dX)
    call expect(all(abs(big(1, :) + 7) <= 0) .and. all(abs(big(n + 2, :) + 7) <= 0) .and. &
        all(abs(big(:, m + 1) + 7) <= 0), "a section of dC")
    do i = 1, n
      wanted = 0
      do j = 1, m
        wanted = wanted + big(i + 1, j)*2*(x(:, i) - y(:, j))
      end do
      call expect(all(abs(dX(:, i) - wanted) < 1e-11_real64), "dC and dX")
    end do
    call s%destroy()
  end subroutine costs

  subroutine membership()
    real(real64), parameter :: eta = 0.2_real64
    real(real64) :: K(n, n), V(n, n), D2(n, n), G(n, n), dK(n, n), up(n, n), down(n, n), p(n), q(n)
    integer :: i, j, kind
    do kind = 1, 2
      call draw(K)
      call draw(V)
      call draw(D2)
      if (kind == 2) K = (K + transpose(K))/2
      G = 0
      dK = 0
      call rkn_ds_project(K, eta, G, 1e-13_real64, p, q)
      call expect(all(abs(sum(G, 1) - 1) < 1e-12_real64) .and. all(abs(sum(G, 2) - 1) < 1e-12_real64), "doubly stochastic")
      do j = 1, n
        do i = 1, n
          call expect(near(G(i, j), exp((p(i) + q(j) + K(i, j))/eta), 1e-12_real64), "potentials of G")
        end do
      end do
      if (kind == 2) call expect(all(abs(G - transpose(G)) <= 0) .and. all(abs(p - q) <= 0), "symmetric")
      call rkn_ds_project_vjp(G, V, eta, dK)
      call rkn_ds_project(K + h*D2, eta, up, 1e-13_real64, p, q, start=.true.)
      call rkn_ds_project(K - h*D2, eta, down, 1e-13_real64)
      call expect(near(sum(dK*D2), sum(V*(up - down))/(2*h), 1e-6_real64), "derivative with respect to K")
    end do
  end subroutine membership

  ! One feature: the logarithm of 1 + alpha |z|^2.
  subroutine rates()
    real(real64) :: z(1, 3), pi(3, 2), dZ(1, 3), dPi(3, 2), rate, one, two
    z = reshape([1, -2, 3], [1, 3])
    pi = reshape([0.5_real64, 0.0_real64, 0.5_real64, 0.5_real64, 1.0_real64, 0.5_real64], [3, 2])
    rate = 0
    dZ = 0
    dPi = 0
    call rkn_coding_rate(z, 0.5_real64, rate, dZ)
    call expect(near(rate, log(8.0_real64), 1e-15_real64) .and. all(abs(dZ - z/8) < 1e-15_real64), "coding rate")
    call rkn_coding_rate(z, pi, 0.25_real64, rate, dZ, dPi)
    one = 1 + 4*5
    two = 1 + 2*9
    call expect(near(rate, (log(one) + 2*log(two))/3, 1e-14_real64), "clustered")
    call expect(all(abs(dZ(1, :) - 8/3.0_real64*z(1, :)*(pi(:, 1)/one + pi(:, 2)/two)) < 1e-14_real64), "clustered, dZ")
    call expect(all(abs(dPi(:, 1) - (log(one) + 4*z(1, :)**2/one - (1 - 1/one))/3) < 1e-14_real64), "clustered, dPi")
    call rkn_coding_rate(z, pi, 0.25_real64, rate)
    call expect(near(rate, (log(one) + 2*log(two))/3, 1e-14_real64), "clustered without gradients")
  end subroutine rates

end program test_derivative
