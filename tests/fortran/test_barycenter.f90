! Barycentres and several problems at once; illegal input first. Closed forms, single solves, a bad pair among others.
program test_barycenter
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan
  use reknit
  use check
  implicit none

  call illegal()
  call given_points()
  call moving_points()
  call several()
  call report()

contains

  subroutine illegal()
    type(rkn_geometry_t) :: G
    type(rkn_sinkhorn_t) :: s
    type(rkn_transport_problem) :: problems(2)
    real(real64), target :: C(2, 3), B(3, 2), p(2), X(2, 2), w(2)
    real(real64), allocatable :: costs(:)
    character(400) :: message
    integer :: rc
    C = reshape([real(real64) :: 1, 2, 3, 4, 5, 6], [2, 3])
    B = 1
    p = 7
    w = 1
    call s%barycenter(G, B, p, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NULL, message, "rkn_sinkhorn_barycenter 's'", "no solver")
    call s%create("auto")
    call G%create_matrix(C)
    call s%barycenter(G, B(:2, :), p, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_barycenter 'B' 2 3", "rows of B")
    call s%barycenter(G, B, p(:1), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_barycenter 'p' 1 2", "room for p")
    call s%barycenter(G, B, p, w(:1), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_barycenter 'weights' 1 2", "weights")
    call s%barycenter(G, B, p, -w, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_sinkhorn_barycenter 'weights'", "negative weights")
    call s%barycenter(G, B(:, :0), p, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_barycenter 'k'", "no inputs")
    B(2, 2) = 9
    call s%barycenter(G, B, p, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_sinkhorn_barycenter 'B' mass", "unequal masses")
    call expect(all(abs(p - 7) <= 0), "p is left alone")

    X = 1
    call s%barycenter_points(X, B(:2, :), [1], stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_barycenter_points 'Y' 2 1", "counts")
    call s%barycenter_points(X, B, [2], stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_barycenter_points 'Y' 3 2", "another space")
    call s%barycenter_points(X, B(:2, :), [2, 0], stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_INDEX, message, "rkn_sinkhorn_barycenter_points 'cloudptr'", "an empty cloud")
    call s%barycenter_points(X, B(:2, :), [2], a=w(:1), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_barycenter_points 'a' 1 2", "masses of X")
    call s%barycenter_points(X, B(:2, :), [2], b=w(:1), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_barycenter_points 'b' 1 2", "masses of the cloud")

    call s%solve_batch(G, X, B(:2, :), costs=costs, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_solve_batch 'B' 2 3", "rows of B")
    call s%solve_batch(G, X, B(:, :1), costs=costs, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_solve_batch 'B' 1 2", "columns of B")
    call expect(.not. allocated(costs), "what is refused as a whole leaves results alone")
    problems%geometry = G
    problems(1)%a = [1d0, 2d0]
    problems(1)%b = [1d0, 1d0, 1d0]
    call s%solve_many(problems, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NULL, message, "rkn_sinkhorn_solve_many 2 'a'", "no masses")
    problems(2)%a = [1d0, 2d0]
    problems(2)%b = [3d0]
    call s%solve_many(problems, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_solve_many 'b' 1 3", "too few masses")
    call s%solve_many(problems(:0), stat=rc)
    call expect_status(rc, RKN_OK, "no problems")
    call s%destroy()
    call G%destroy()
  end subroutine illegal

  ! Two Diracs: exp(-sum over l of w(l) C(i, l)/epsilon), scaled. Debiased, one input is its own barycentre.
  subroutine given_points()
    integer, parameter :: n = 20
    type(rkn_geometry_t) :: G
    type(rkn_sinkhorn_t) :: s
    real(real64), target :: B(n, 2), big(n + 3, 2), p(n), want(n)
    integer :: i, rc
    real(real64) :: passes
    call G%create_grid([n], h=[0.05_real64])
    call s%create("auto")
    call s%set_options("epsilon=0.01 tolerance=1e-13")
    B = 0
    B(6, 1) = 2
    B(16, 2) = 2
    want = [(exp(-(0.3_real64*(i - 6)**2 + 0.7_real64*(i - 16)**2)*0.0025_real64/0.01_real64), i=1, n)]
    want = 2*want/sum(want)
    call s%barycenter(G, B, p, weights=[3d0, 7d0])
    call expect(maxval(abs(p - want)) < 1e-12_real64, "two Diracs")
    big = -1
    big(3:n + 2, :) = B
    call s%forget()
    call s%barycenter(G, big(3:n + 2, :), p, weights=[0.3d0, 0.7d0])
    call expect(maxval(abs(p - want)) < 1e-12_real64, "a section")
    call s%get("passes", passes)
    call expect(passes > 0, "passes")
    call s%barycenter(G, B, p)
    call expect(abs(sum(p*[(i, i=1, n)])/2 - 11) < 1e-9_real64, "equal weights")
    call s%set_options("barycenter=debiased epsilon=0.003 tolerance=1e-11")
    B(:, 1) = [(1 + modulo(7*i, 5), i=1, n)]
    call s%barycenter(G, B(:, :1), p)
    call expect(maxval(abs(p - B(:, 1))) < 1e-6_real64, "debiased")
    call s%set("max_passes", 3)
    call s%barycenter(G, B(:, :1), p, stat=rc)
    call expect(rc == RKN_OK, "a warm start is there already")
    call s%forget()
    call s%barycenter(G, B(:, :1), p, stat=rc)
    call expect_status(rc, RKN_STOP_ITERATIONS, "limit of passes")
    call s%destroy()
    call G%destroy()
  end subroutine given_points

  ! One point goes to the weighted mean of the means; a cloud's own points stay, nearly, if epsilon is small.
  subroutine moving_points()
    type(rkn_sinkhorn_t) :: s
    real(real64), target :: Y(2, 5), x(2, 1), cloud(2, 3), big(3, 3)
    integer :: steps
    Y = reshape([real(real64) :: 0, 0, 1, 0, 0, 2, 4, 4, 6, 8], [2, 5])
    call s%create("auto")
    call s%set_options("epsilon=0.01 tolerance=1e-10")
    x(:, 1) = [100, -3]
    call s%barycenter_points(x, Y, [3, 2], b=[0.5d0, 0.25d0, 0.25d0, 0.5d0, 0.5d0], weights=[1d0, 3d0])
    call expect(maxval(abs(x(:, 1) - [3.8125d0, 4.625d0])) < 1e-12_real64, "one point")
    call s%get("iterations", steps)
    call expect(steps == 2, "two steps")
    cloud = Y(:, :3) + reshape([real(real64) :: 0.1, 0.1, 0.2, 0.1, -0.1, -0.2], [2, 3])
    big = 9
    big(2:, :) = cloud
    call s%barycenter_points(cloud, Y(:, :3), [3], a=[1d0, 1d0, 1d0])
    call expect(maxval(abs(cloud - Y(:, :3))) < 1e-8_real64, "a cloud stays")
    call s%barycenter_points(big(2:, :), Y(:, :3), [3])
    call expect(maxval(abs(big(2:, :) - Y(:, :3))) < 1e-8_real64 .and. all(abs(big(1, :) - 9) <= 0), "a section of points")
    call s%destroy()
  end subroutine moving_points

  subroutine several()
    integer, parameter :: n = 6, m = 4, k = 5
    type(rkn_context_t) :: ctx
    type(rkn_geometry_t) :: G
    type(rkn_sinkhorn_t) :: s, t
    type(rkn_transport_problem) :: problems(k)
    real(real64), target :: C(n, m), A(n, k), B(m, k)
    real(real64), allocatable :: fs(:, :), gs(:, :), costs(:), f(:), first(:)
    real(real64) :: cost
    integer, allocatable :: statuses(:)
    character(8), parameter :: methods(2) = [character(8) :: "auto", "sinkhorn"]
    character(400) :: message
    integer :: i, l, method, rc
    C = reshape([(modulo(7*i*i, 13)/13.0_real64, i=1, n*m)], [n, m])
    A = reshape([(1 + modulo(5*i, 7), i=1, n*k)], [n, k])
    B = spread(sum(A, 1)/m, 1, m)
    call ctx%create()
    call ctx%set("threads", 2)
    call G%create_matrix(C)
    do method = 1, 2
      call s%create(methods(method), ctx)
      call s%set_options("epsilon=0.1 tolerance=1e-11")
      call s%solve_batch(G, A, B, fs, gs, costs, statuses)
      call expect(all(statuses == RKN_OK) .and. size(statuses) == k .and. all(shape(gs) == [m, k]), "statuses")
      call t%create(methods(method))
      call t%set_options("epsilon=0.1 tolerance=1e-11 start=zero")
      do l = 1, k
        call t%solve(G, A(:, l), B(:, l))
        call t%get("cost", cost)
        call t%potentials(f)
        call expect(abs(cost - costs(l)) < 1e-9_real64, "cost of a single solve")
        call expect(maxval(abs((f - f(1)) - (fs(:, l) - fs(1, l)))) < 1e-9_real64, "potentials of a single solve")
        problems(l)%geometry = G
        problems(l)%a = A(:, l)
        problems(l)%b = B(:, l)
      end do
      call s%solve_many(problems)
      call expect(all(problems%status == RKN_OK) .and. maxval(abs(problems%cost - costs)) < 1e-9_real64, "problems of their own")
      call expect(maxval(abs(problems(3)%f - problems(3)%f(1) - (fs(:, 3) - fs(1, 3)))) < 1e-9_real64, "their potentials")
      first = costs
      A(1, 2) = ieee_value(1.0_real64, ieee_quiet_nan)
      call s%solve_batch(G, A, B, costs=costs, statuses=statuses, stat=rc, errmsg=message)
      call expect_words(rc, RKN_ERR_NONFINITE, message, "rkn_sinkhorn_solve_batch 'A' column 1", "a bad pair")
      call expect(statuses(2) == RKN_ERR_NONFINITE .and. count(statuses == RKN_OK) == k - 1, "the others are solved")
      call expect(maxval(abs(costs - [first(1), 0d0, first(3:)])) <= 0, "their costs")
      problems(2)%a(1) = -1
      call s%solve_many(problems, stat=rc, errmsg=message)
      call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_sinkhorn_solve_many 'a' problem 1", "a bad problem")
      call expect(problems(2)%status == RKN_ERR_ARGUMENT .and. .not. allocated(problems(2)%f), "it has no potentials")
      call expect(problems(1)%status == RKN_OK .and. allocated(problems(1)%f), "the others have")
      A(1, 2) = 1 + modulo(5*(n + 1), 7)
      call s%solve_batch(G, A(:, :0), B(:, :0), costs=costs, stat=rc)
      call expect(rc == RKN_OK .and. size(costs) == 0, "no pairs")
      call s%destroy()
      call t%destroy()
    end do
    call G%destroy()
    call ctx%destroy()
  end subroutine several

end program test_barycenter
