! Optimal transport; illegal input first. Closed forms, sorted points, one cost in all geometries, plans, callbacks.
module sinkhorn_callbacks
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use reknit
  implicit none
  integer :: released = 0

  ! Rows of a matrix that the program has.
  type, extends(rkn_cost_rows) :: matrix_rows
    real(real64), pointer :: C(:, :) => null()
    integer :: calls = 0
    integer(int64) :: broken_at = 0
  contains
    procedure :: row => matrix_row
  end type matrix_rows

  type, extends(rkn_monitor) :: watch
    integer :: calls = 0, stop_at = 0
    real(real64) :: last = -1
    logical :: sane = .true.
  contains
    procedure :: observe
  end type watch

contains

  subroutine matrix_row(self, i, costs, stat)
    class(matrix_rows), intent(inout) :: self
    integer(int64), intent(in) :: i
    real(real64), intent(out) :: costs(:)
    integer, intent(inout) :: stat
    self%calls = self%calls + 1
    costs = self%C(i, :)
    if (i == self%broken_at) stat = 17
  end subroutine matrix_row

  subroutine observe(self, progress, stop)
    class(watch), intent(inout) :: self
    type(rkn_progress), intent(in) :: progress
    logical, intent(inout) :: stop
    self%calls = self%calls + 1
    self%last = progress%measure
    self%sane = self%sane .and. progress%solver == 2 .and. progress%iteration == self%calls
    stop = self%calls == self%stop_at
  end subroutine observe

  ! |i - j| without an object.
  function raw_row(user, i, m, row) bind(c) result(stat)
    type(c_ptr), value :: user, row
    integer(c_int64_t), value :: i, m
    integer(c_int32_t) :: stat
    real(c_double), pointer :: costs(:)
    integer(int64) :: j
    call c_f_pointer(row, costs, [m])
    costs = [(real(abs(i + 1 - j), c_double), j=1, m)]
    stat = 0
    if (.not. c_associated(user)) stat = 3
  end function raw_row

  subroutine raw_release(user) bind(c)
    type(c_ptr), value :: user
    if (c_associated(user)) released = released + 1
  end subroutine raw_release

end module sinkhorn_callbacks

program test_sinkhorn
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
  use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_quiet_nan, ieee_is_finite
  use reknit
  use check
  use sinkhorn_callbacks
  implicit none
  integer :: drawn = 0

  call illegal()
  call two_points()
  call line()
  call geometries()
  call plans()
  call copies()
  call memory()
  call callbacks()
  call infeasible()
  call bounds()
  call divergences()
  call saved()
  call report()

contains

  ! Numbers without pattern between 0 and 1.
  real(real64) function unit()
    drawn = drawn + 1
    unit = modulo(sin(12.9898_real64*drawn)*43758.5453_real64, 1.0_real64)
  end function unit

  subroutine fill(x)
    real(real64), intent(out) :: x(:)
    integer :: i
    do i = 1, size(x)
      x(i) = unit()
    end do
  end subroutine fill

  subroutine masses(a)
    real(real64), intent(out) :: a(:)
    call fill(a)
    a = (0.2_real64 + a)/sum(0.2_real64 + a)
  end subroutine masses

  subroutine solver(s, method, epsilon, tolerance)
    type(rkn_sinkhorn_t), intent(inout) :: s
    character(*), intent(in) :: method
    real(real64), intent(in) :: epsilon, tolerance
    call s%create(method)
    call s%set("epsilon", epsilon)
    call s%set("tolerance", tolerance)
  end subroutine solver

  ! The plan from the potentials and the cost.
  function plan(s, C) result(P)
    type(rkn_sinkhorn_t), intent(in) :: s
    real(real64), intent(in) :: C(:, :)
    real(real64) :: P(size(C, 1), size(C, 2)), epsilon
    real(real64), allocatable :: f(:), g(:)
    call s%potentials(f, g)
    call s%get("epsilon_used", epsilon)
    P = exp((spread(f, 2, size(g)) + spread(g, 1, size(f)) - C)/epsilon)
  end function plan

  real(real64) function marginal_error(P, a, b)
    real(real64), intent(in) :: P(:, :), a(:), b(:)
    marginal_error = sum(abs(sum(P, 2) - a)) + sum(abs(sum(P, 1) - b))
  end function marginal_error

  subroutine illegal()
    type(rkn_geometry_t) :: G
    type(rkn_sinkhorn_t) :: s
    real(real64), target :: C(2, 3), x(2, 4), a(2), b(3), y(2)
    real(real64), allocatable :: f(:), values(:)
    integer, allocatable :: rowptr(:), colind(:)
    character(400) :: message
    character(:), allocatable :: word
    integer :: rc, n
    C = reshape([real(real64) :: 1, 2, 3, 4, 5, 6], [2, 3])
    a = 1
    b = 2/3.0_real64
    call fill(x(1, :))
    call fill(x(2, :))
    call G%create_matrix(C(:0, :), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_geometry_create_matrix 'n'", "no rows")
    call G%create_matrix(C(::2, :), stat=rc, errmsg=message)
    call expect_status(rc, RKN_OK, "a row of a matrix has its leading dimension")
    call G%create_matrix(x(:, ::2), memory=7, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_geometry_create_matrix 'memory'", "memory")
    C(2, 1) = ieee_value(1.0_real64, ieee_quiet_nan)
    call G%create_matrix(C, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NONFINITE, message, "rkn_geometry_create_matrix NaN", "NaN")
    C(2, 1) = 2
    call G%create_points(x, C(:1, :), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_geometry_create_points 'y' 1 2", "points of other spaces")
    call G%create_points(x, x, weights=b, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_geometry_create_points 'weights' 3 2", "weights")
    call G%create_points(x, x, periods=b, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_geometry_create_points 'periods' 3 2", "periods")
    call G%create_points(x, x, p=-1.0_real64, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_geometry_create_points 'p'", "p")
    call G%create_grid([2, 2], h=b, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_geometry_create_grid 'h' 3 2", "lengths of cells")
    call G%create_grid([2, 2], periodic=[.true.], stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_geometry_create_grid 'periodic' 1 2", "closed axes")
    call G%create_grid([2, 0], stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_geometry_create_grid 'size'", "no cells")
    call G%create_sparse([1, 2, 4], [1, 2, 2], b, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_INDEX, message, "rkn_geometry_create_sparse 'colind'", "an entry twice")
    call G%create_sparse([1, 2, 5], [1, 2, 1], b, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_geometry_create_sparse 'rowptr' 4 3", "too few entries")
    call G%create_sparse([integer ::], [1, 2, 1], b, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_geometry_create_sparse 'rowptr' no", "no pointers")

    call s%create("emd", stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_KEY, message, "rkn_sinkhorn_create emd", "unknown method")
    call s%solve(G, a(:1), b, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NULL, message, "rkn_sinkhorn_solve 's'", "no solver")
    call s%create("auto")
    call s%set("epsilom", 1.0_real32, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_KEY, message, "rkn_sinkhorn_set_real 'epsilon'?", "misspelt key")
    call s%set("max_passes", -1, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_sinkhorn_set_int 'max_passes'", "limit")
    call s%potentials(f, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_STATE, message, "rkn_sinkhorn_potentials", "nothing solved")
    call s%plan_sparse(0.1_real64, rowptr, colind, values, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_STATE, message, "rkn_sinkhorn_plan_sparse", "no plan")
    call s%plan_apply(b, y, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_STATE, message, "rkn_sinkhorn_plan_apply", "no plan to apply")
    call G%destroy()
    call s%solve(G, a, b, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_NULL, message, "rkn_sinkhorn_solve 'G'", "no geometry")
    call G%create_matrix(C)
    call s%solve(G, b, b, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_solve 'a' 3 2", "too many masses")
    call s%solve(G, a, x(1, :3), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_sinkhorn_solve 'b' contiguous", "masses with gaps")
    call s%solve(G, x(:, :1), x(:1, :3), stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_sinkhorn_solve 'b' contiguous", "columns with gaps")
    call s%solve(G, a, 2*b, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_sinkhorn_solve mass", "unequal masses")
    call expect(.not. allocated(f) .and. .not. allocated(values), "refused results are left alone")
    call s%solve(G, a, b)
    call s%plan_apply(a, y, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_plan_apply 'x' 2 3", "x for P^T")
    call s%plan_apply(a, y, trans=RKN_T, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_plan_apply 'y' 2 3", "y for P")
    call s%plan_apply(reshape(b, [3, 1]), x, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_plan_apply 'y' 4 1", "columns")
    call s%plan_apply(b, y, trans=9, stat=rc, errmsg=message)
    call expect_status(rc, RKN_ERR_SIZE, "trans")
    call s%plan_sparse(-1.0_real64, rowptr, colind, values, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_ARGUMENT, message, "rkn_sinkhorn_plan_sparse 'threshold'", "threshold")
    call s%get("solves", n)
    call expect(n == 2, "solves, the refused one included")
    call s%get("method", word)
    call expect(word == "auto", "method")
    call s%forget()
    call s%potentials(f, stat=rc)
    call expect_status(rc, RKN_ERR_STATE, "forgotten")
    call s%destroy()
    call G%destroy()
  end subroutine illegal

  ! P(1, 1)/P(1, 2) = exp(1/epsilon).
  subroutine two_points()
    type(rkn_geometry_t) :: G
    type(rkn_sinkhorn_t) :: s
    real(real64), target :: C(2, 2), a(2)
    character(8), parameter :: methods(3) = [character(8) :: "auto", "sinkhorn", "sns"]
    real(real64) :: epsilon, apart, together, value
    real(real64), allocatable :: f(:), g_(:)
    integer(int64) :: n, m
    integer :: k, e
    C = reshape([real(real64) :: 0, 1, 1, 0], [2, 2])
    a = 0.5_real64
    call G%create_matrix(C)
    call G%shape(n, m)
    call expect(n == 2 .and. m == 2, "shape")
    do k = 1, 3
      do e = 0, 2
        epsilon = 3.0_real64**(-e)
        call solver(s, methods(k), epsilon, 1e-13_real64)
        call s%solve(G, a, a)
        call s%potentials(f, g_)
        apart = 0.5_real64/(1 + exp(1/epsilon))
        together = 0.5_real64 - apart
        call expect(abs(exp((f(1) + g_(1))/epsilon) - together) < 1e-12_real64, "mass that stays")
        call expect(abs(exp((f(1) + g_(2) - 1)/epsilon) - apart) < 1e-12_real64, "mass that goes")
        call s%get("cost", value)
        call expect(abs(value - 2*apart) < 1e-12_real64, "cost")
        call s%get("primal", value)
        call expect(abs(value - (2*apart + epsilon*(2*together*log(together) + 2*apart*log(apart) - 1))) < 1e-12_real64, &
            "primal value")
        call s%destroy()
      end do
    end do
    call G%destroy()
  end subroutine two_points

  ! Sorted points are matched in order; <C, P> exceeds that by epsilon log n at most.
  subroutine line()
    integer, parameter :: n = 80
    type(rkn_geometry_t) :: G
    type(rkn_sinkhorn_t) :: s
    real(real64), target :: x(1, n), y(1, n), a(n)
    real(real64) :: exact, cost, more, before, epsilon
    integer :: e
    call fill(x(1, :))
    call fill(y(1, :))
    y = y**2
    a = 1.0_real64/n
    call G%create_points(x, y)
    call sort(x(1, :))
    call sort(y(1, :))
    exact = sum((x - y)**2)/n
    before = 1
    call solver(s, "auto", 1e-2_real64, 1e-9_real64)
    do e = 2, 5
      epsilon = 10.0_real64**(-e)
      call s%set_options("epsilon_relative=no")
      call s%set("epsilon", epsilon)
      call s%solve(G, a, a)
      call s%get("cost", cost)
      more = cost - exact
      call expect(more > -1e-9_real64 .and. more < epsilon*log(real(n, real64)) .and. more < before, "cost on a line")
      before = more
    end do
    call s%destroy()
    call G%destroy()
  end subroutine line

  subroutine sort(x)
    real(real64), intent(inout) :: x(:)
    real(real64) :: v
    integer :: i, j
    do i = 2, size(x)
      v = x(i)
      do j = i - 1, 1, -1
        if (x(j) <= v) exit
        x(j + 1) = x(j)
      end do
      x(j + 1) = v
    end do
  end subroutine sort

  ! A grid of 6 x 5 cells, the second axis closed, as every geometry; the first axis runs fastest.
  subroutine geometries()
    integer, parameter :: nx = 6, ny = 5, n = nx*ny
    type(rkn_geometry_t) :: G(8)
    type(rkn_sinkhorn_t) :: s
    type(matrix_rows), target :: rows
    real(real64), target :: C(n, n), big(n + 3, n), points(2, n), costs(n*n), a(nx, ny), b(nx, ny)
    real(real32), target :: single(n, n)
    integer(int32) :: rowptr(n + 1), colind(n*n)
    real(real64) :: far
    integer(int32) :: rows_, columns_
    integer :: i, j, k, e
    do i = 1, n
      points(:, i) = [0.1_real64*modulo(i - 1, nx), 0.15_real64*((i - 1)/nx)]
    end do
    do j = 1, n
      do i = 1, n
        far = abs(points(2, i) - points(2, j))
        C(i, j) = (points(1, i) - points(1, j))**2 + min(far, 0.15_real64*ny - far)**2
      end do
    end do
    big = -1
    big(3:n + 2, :) = C
    single = real(C, real32)
    rowptr = [(n*i + 1, i=0, n)]
    do i = 1, n
      do e = 1, n
        j = modulo(7*e + i, n) + 1
        colind(n*(i - 1) + e) = j
        costs(n*(i - 1) + e) = C(i, j)
      end do
    end do
    a = reshape(two_masses(n), [nx, ny])
    b = reshape(two_masses(n), [nx, ny])
    rows%C => C
    call G(1)%create_matrix(C)
    call G(2)%create_matrix(big(3:n + 2, :))
    call G(3)%create_points(points, points, periods=[0.0_real64, 0.15_real64*ny])
    call G(4)%create_grid(shape(a), h=[0.1_real64, 0.15_real64], periodic=[.false., .true.])
    call G(5)%create_sparse(rowptr, colind, costs)
    call G(6)%create_sparse(int(rowptr - 1, int64), int(colind - 1, int64), costs, ncols=int(n, int64), base=0)
    call G(7)%create_callback(rows, n, n)
    call G(8)%create_matrix(single, memory=RKN_COPY)
    single = 0
    do k = 1, 8
      call G(k)%shape(rows_, columns_)
      call expect(rows_ == n .and. columns_ == n, "shape of a geometry")
      call solver(s, "auto", 5e-3_real64, 1e-11_real64)
      call s%solve(G(k), a, b)
      call expect(marginal_error(plan(s, C), reshape(a, [n]), reshape(b, [n])) < merge(1e-4_real64, 3e-11_real64, k == 8), &
          "marginals of a geometry")
      call s%destroy()
    end do
    call expect(rows%calls > n, "rows were asked for")
    ! three axes, p = 1, by the cost of the same as a matrix
    call G(1)%create_grid([5_int64, 3_int64, 2_int64], h=[0.1_real64, 0.2_real64, 0.3_real64], p=1.0_real64)
    do j = 0, n - 1
      do i = 0, n - 1
        C(i + 1, j + 1) = 0.1_real64*abs(modulo(i, 5) - modulo(j, 5)) + 0.2_real64*abs(modulo(i/5, 3) - modulo(j/5, 3)) &
            + 0.3_real64*abs(i/15 - j/15)
      end do
    end do
    call solver(s, "sinkhorn", 0.1_real64, 1e-11_real64)
    call s%solve(G(1), reshape(a, [5, 3, 2]), reshape(b, [5, 3, 2]))
    call expect(marginal_error(plan(s, C), reshape(a, [n]), reshape(b, [n])) < 3e-11_real64, "three axes")
    ! weights, p and q
    call G(2)%create_points(points, points, p=2.0_real64, q=1.0_real64, weights=[2.0_real64, 3.0_real64])
    do j = 1, n
      C(:, j) = sqrt(2*(points(1, :) - points(1, j))**2 + 3*(points(2, :) - points(2, j))**2)
    end do
    call s%forget()
    call s%solve(G(2), a, b)
    call expect(marginal_error(plan(s, C), reshape(a, [n]), reshape(b, [n])) < 3e-11_real64, "weights, p and q")
    call s%destroy()
    do k = 1, 8
      call G(k)%destroy()
    end do
  end subroutine geometries

  function two_masses(n) result(a)
    integer, intent(in) :: n
    real(real64) :: a(n)
    call masses(a)
  end function two_masses

  function same(n, value) result(a)
    integer, intent(in) :: n
    real(real64), intent(in) :: value
    real(real64) :: a(n)
    a = value
  end function same

  ! More columns than rows, a point without mass: the plan applied, and written out.
  subroutine plans()
    integer, parameter :: n = 15, m = 24
    type(rkn_geometry_t) :: G
    type(rkn_sinkhorn_t) :: s
    type(rkn_context_t) :: ctx
    real(real64), target :: C(n, m), a(n), b(m), X(m + 2, 2), Y(n, 2), z(m), w(n)
    real(real64) :: P(n, m), cost
    real(real64), allocatable :: f(:), values(:)
    integer(int64), allocatable :: wide_ptr(:), wide_ind(:)
    integer, allocatable :: rowptr(:), colind(:)
    integer :: i, j
    do j = 1, m
      call fill(C(:, j))
    end do
    call masses(a)
    call masses(b)
    a(1) = a(1) + a(4)
    a(4) = 0
    call ctx%create()
    call ctx%set("threads", 2)
    call s%create("auto", ctx)
    call s%set_options("epsilon=0.05 tolerance=1e-11")
    call G%create_matrix(C, ctx=ctx)
    call s%solve(G, a, b)
    call G%destroy()
    P = plan(s, C)
    call s%potentials(f)
    call expect(marginal_error(P, a, b) < 3e-11_real64 .and. .not. ieee_is_finite(f(4)), "marginals")
    call s%get("cost", cost)
    call expect(abs(cost - sum(P*C)) < 1e-12_real64, "cost of the plan")
    do j = 1, 2
      call fill(X(:, j))
    end do
    call s%plan_apply(X(2:m + 1, :), Y)
    call expect(maxval(abs(Y - matmul(P, X(2:m + 1, :)))) < 1e-12_real64, "P applied to two columns")
    call fill(w)
    call s%plan_apply(w, z, trans=RKN_T)
    call expect(maxval(abs(z - matmul(w, P))) < 1e-12_real64, "P^T applied")
    call s%plan_sparse(3e-3_real64, rowptr, colind, values)
    call expect(size(rowptr) == n + 1 .and. rowptr(1) == 1 .and. rowptr(n + 1) == size(values) + 1, "pointers")
    call expect(size(values) == count(P > 3e-3_real64) .and. size(colind) == size(values), "entries above the threshold")
    do i = 1, n
      call expect(all(colind(rowptr(i):rowptr(i + 1) - 1) == pack([(j, j=1, m)], P(i, :) > 3e-3_real64)), "columns of a row")
      call expect(all(abs(values(rowptr(i):rowptr(i + 1) - 1) - pack(P(i, :), P(i, :) > 3e-3_real64)) < 1e-12_real64), &
          "entries of a row")
    end do
    call s%plan_sparse(3e-3_real64, wide_ptr, wide_ind, values)
    call expect(all(wide_ptr == rowptr) .and. all(wide_ind == colind), "wide indices")
    call s%plan_sparse(2.0_real64, rowptr, colind, values)
    call expect(size(values) == 0 .and. all(rowptr == 1) .and. size(rowptr) == n + 1, "nothing above 2")
    call s%destroy()
    call ctx%destroy()
  end subroutine plans

  ! A copy of the reference solves: the other variable does not guess the size of the plan.
  subroutine copies()
    type(rkn_geometry_t) :: small, large
    type(rkn_sinkhorn_t) :: s, other
    real(real64) :: y(1)
    real(real64), allocatable :: f(:)
    character(400) :: message
    integer :: rc
    call small%create_matrix(reshape([0.0_real64], [1, 1]), memory=RKN_COPY)
    call large%create_grid([5])
    call s%create("auto")
    call s%solve(small, [2.0_real64], [2.0_real64])
    other = s
    call other%solve(large, same(5, 1.0_real64), same(5, 1.0_real64))
    call s%potentials(f, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_STATE, message, "rkn_sinkhorn_potentials variable", "solved by a copy")
    call s%plan_apply([1.0_real64], y, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_STATE, message, "rkn_sinkhorn_plan_apply variable", "solved by a copy")
    call other%potentials(f)
    call expect(size(f) == 5, "the copy knows")
    call s%solve(small, [2.0_real64], [2.0_real64])
    call s%plan_apply([1.0_real64], y)
    call expect(abs(y(1) - 2) < 1e-9_real64, "solved again")
    call s%destroy()
    call small%destroy()
    call large%destroy()
  end subroutine copies

  ! A warm start takes fewer passes; forgetting takes it back.
  subroutine memory()
    integer, parameter :: K = 10
    type(rkn_geometry_t) :: G
    type(rkn_sinkhorn_t) :: s
    real(real64) :: passes(3), cost(3)
    integer :: i
    real(real64), parameter :: at(3) = [0.3_real64, 0.301_real64, 0.3_real64]
    call G%create_grid([K, K], h=[0.1_real64, 0.1_real64])
    call solver(s, "auto", 4e-3_real64, 1e-9_real64)
    do i = 1, 3
      if (i == 3) call s%forget()
      call s%solve(G, blob(K, at(i)), blob(K, 0.7_real64))
      call s%get("passes", passes(i))
      call s%get("cost", cost(i))
    end do
    call expect(passes(2) < passes(1), "warm")
    call expect(abs(passes(3) - passes(1)) < 1e-9_real64 .and. abs(cost(3) - cost(1)) < 1e-15_real64, "forgotten")
    call s%destroy()
    call G%destroy()
  end subroutine memory

  function blob(K, u) result(a)
    integer, intent(in) :: K
    real(real64), intent(in) :: u
    real(real64) :: a(K, K)
    integer :: i, j
    do j = 1, K
      do i = 1, K
        a(i, j) = 1e-2_real64 + 1/(1 + 20*((0.1_real64*i - u)**2 + (0.1_real64*j - 0.5_real64)**2))**2
      end do
    end do
    a = a/sum(a)
  end function blob

  subroutine callbacks()
    type(rkn_geometry_t) :: G, R, raw
    type(rkn_sinkhorn_t) :: s
    type(matrix_rows), target :: rows
    type(watch), target :: monitor
    real(real64), target :: C(2, 2), a(2), y(2)
    real(real64), allocatable :: f(:), g_(:), from_rows(:)
    integer, target :: user
    character(400) :: message
    integer :: rc
    C = reshape([0.0_real64, 0.4_real64, 1.0_real64, 0.0_real64], [2, 2])
    a = 0.5_real64
    call G%create_matrix(C)
    call solver(s, "sinkhorn", 0.2_real64, 1e-13_real64)
    monitor%stop_at = 2
    call s%set_monitor(monitor)
    call s%solve(G, a, a, stat=rc, errmsg=message)
    call expect_status(rc, RKN_STOP_MONITOR, "stopped by the monitor")
    call expect(len_trim(message) > 0 .and. monitor%calls == 2 .and. monitor%sane .and. monitor%last > 0, "monitor")
    call s%potentials(f, g_)
    call expect(size(f) == 2 .and. size(g_) == 2, "the best potentials are delivered")
    call s%set_monitor()
    call s%forget()
    call s%solve(G, a, a)
    call expect(monitor%calls == 2, "without a monitor")
    call s%potentials(f, g_)

    rows%C => C
    call R%create_callback(rows, 2, 2)
    call s%solve(R, a, a)
    call R%destroy()
    call s%potentials(from_rows)
    call expect(maxval(abs((from_rows - from_rows(1)) - (f - f(1)))) < 1e-10_real64, "rows cost what the matrix does")
    call s%plan_apply([1.0_real64, 1.0_real64], y)
    call expect(maxval(abs(y - a)) < 1e-12_real64, "the solver keeps the rows")
    rows%broken_at = 2
    call s%plan_apply([1.0_real64, 1.0_real64], y, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_CALLBACK, message, "rkn_sinkhorn_plan_apply 17", "a row fails")
    call R%create_callback(rows, 2_int64, 0_int64, stat=rc)
    call expect_status(rc, RKN_ERR_SIZE, "rows of nothing")

    call raw%create_callback(c_funloc(raw_row), c_loc(user), c_funloc(raw_release), 4_int64, 3_int64)
    call s%set("epsilon", 1.0_real64)
    call s%set_monitor(c_null_funptr, c_null_ptr, c_null_funptr)
    call s%solve(raw, same(4, 0.75_real64), same(3, 1.0_real64))
    call expect(marginal_error(plan(s, distances(4, 3)), same(4, 0.75_real64), same(3, 1.0_real64)) < 1e-11_real64, &
        "rows by an address")
    call raw%destroy()
    call expect(released == 0, "kept by the solver")
    call s%destroy()
    call expect(released == 1, "released once")
    call G%destroy()
  end subroutine callbacks

  function distances(n, m) result(C)
    integer, intent(in) :: n, m
    real(real64) :: C(n, m)
    integer :: i, j
    do j = 1, m
      do i = 1, n
        C(i, j) = abs(i - j)
      end do
    end do
  end function distances

  ! A point that may go nowhere: no plan is delivered, and the one before stays.
  subroutine infeasible()
    type(rkn_geometry_t) :: G, small
    type(rkn_sinkhorn_t) :: s
    real(real64), allocatable :: f(:)
    integer :: rc
    call small%create_grid([1])
    call G%create_sparse([1, 2, 2, 4], [1, 2, 3], [1.0_real64, 1.0_real64, 1.0_real64])
    call s%create("auto")
    call s%solve(small, [3.0_real64], [3.0_real64])
    call s%solve(G, same(3, 1.0_real64), same(3, 1.0_real64), stat=rc)
    call expect_status(rc, RKN_STOP_INFEASIBLE, "infeasible")
    call s%potentials(f)
    call expect(size(f) == 1, "the plan before stays")
    call s%destroy()
    call small%destroy()
    call G%destroy()
  end subroutine infeasible

  ! Sorted points on a line are matched in order: the bounds contain that cost, the rounded plan has the marginals.
  subroutine bounds()
    integer, parameter :: n = 25
    type(rkn_geometry_t) :: G, Gt
    type(rkn_sinkhorn_t) :: s
    real(real64), target :: x(n), y(n), a(n), C(n, n), Ct(n, n), from(2)
    real(real64), allocatable :: P(:, :), part(:, :), sx(:), sy(:), u(:), v(:)
    real(real64) :: lower, upper, exact, R(n, n), cost, moved
    character(400) :: message
    integer :: j, rc
    call fill(x)
    call fill(y)
    y = y**2
    a = 1/real(n, real64)
    do j = 1, n
      C(:, j) = (x - y(j))**2
    end do
    Ct = transpose(C)
    call sort(x)
    call sort(y)
    exact = sum((x - y)**2)/n
    call s%create("auto")
    call s%set_options("epsilon=0.02 tolerance=1e-5")
    call s%bracket(lower, upper, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_STATE, message, "rkn_sinkhorn_bracket solved", "bounds of nothing")
    call s%round(sx, sy, u, v, stat=rc)
    call expect_status(rc, RKN_ERR_STATE, "nothing to round")
    call s%plan_rows(1, 1, P, stat=rc)
    call expect_status(rc, RKN_ERR_STATE, "rows of nothing")
    call G%create_matrix(C)
    call s%solve(G, a, a)
    call s%bracket(lower, upper)
    call expect(lower <= exact .and. exact <= upper .and. upper - lower < 0.05_real64, "bounds")
    call s%get("lower_bound", cost)
    call expect(abs(cost - lower) <= 0, "bounds are kept as results")
    call s%bracket(upper=upper)
    call s%plan_rows(1, n, P)
    call expect(all(shape(P) == [n, n]) .and. maxval(abs(P - plan(s, C))) < 1e-13_real64, "rows of the plan")
    call s%plan_rows(4_int64, 6_int64, part)
    call expect(all(shape(part) == [3, n]) .and. maxval(abs(part - P(4:6, :))) <= 0, "some rows of the plan")
    call s%plan_rows(n + 1, n, part)
    call expect(all(shape(part) == [0, n]), "no row of the plan")
    call s%plan_rows(0, 2, part, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_INDEX, message, "rkn_sinkhorn_plan_rows 'first' 1..25", "row 0")
    call s%plan_rows(24, 26, part, stat=rc)
    call expect_status(rc, RKN_ERR_INDEX, "row 26")
    call s%round(sx, sy, u, v)
    do j = 1, n
      R(:, j) = sx*P(:, j)*sy(j) + u*v(j)
    end do
    call expect(marginal_error(R, a, a) < 1e-13_real64 .and. minval(R) >= 0, "the rounded plan")
    call expect(abs(sum(R*C) - upper) < 1e-14_real64, "cost of the rounded plan")
    call s%set("target_gap", 1e-5_real64)
    call s%solve(G, a, a)
    call s%get("lower_bound", lower)
    call s%get("upper_bound", upper)
    call expect(lower <= exact + 1e-13_real64 .and. exact <= upper + 1e-13_real64, "closed bounds")
    call expect(upper - lower <= 1e-5_real64*upper, "closed as far as asked")
    ! rows of unequal lengths: two points send 1.5 of their 2 units to the cheapest of n
    call s%set_options("target_gap=0 epsilon=1e-3 tolerance=1e-9 transported_mass=1.5")
    from = 1
    call Gt%create_matrix(Ct(:2, :))
    call s%solve(Gt, from, a*2*n)
    call s%plan_rows(1, 2, P)
    moved = sum(P)
    call expect(abs(moved - 1.5_real64) < 1e-7_real64 .and. all(sum(P, 2) <= 1 + 1e-7_real64), "partial transport")
    call s%get("cost", cost)
    exact = minval(Ct(1, :)) + minval(Ct(2, :)) - 0.5_real64*max(minval(Ct(1, :)), minval(Ct(2, :)))
    if (minloc(Ct(1, :), 1) /= minloc(Ct(2, :), 1)) call expect(abs(cost - exact) < 1e-2_real64, "cost of partial transport")
    call s%bracket(stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_STATE, message, "rkn_sinkhorn_bracket partial", "bounds of a partial plan")
    call s%destroy()
    call G%destroy()
    call Gt%destroy()
  end subroutine bounds

  ! Masses that are the same are not apart; two Diracs are as far as transport costs.
  subroutine divergences()
    integer, parameter :: n = 20
    type(rkn_geometry_t) :: G, one, here
    type(rkn_sinkhorn_t) :: s
    real(real64) :: a(n), b(n), value, back, passes(2)
    character(400) :: message
    integer :: rc
    call masses(a)
    call masses(b)
    call G%create_grid([n], h=[0.05_real64])
    call solver(s, "auto", 0.05_real64, 1e-13_real64)
    call s%divergence(G, G, G, a, a, value)
    call expect(abs(value) < 1e-12_real64, "a and a")
    call s%divergence(G, G, G, a, b, value)
    call s%get("passes", passes(1))
    call s%divergence(G, G, G, a, b, back)
    call s%get("passes", passes(2))
    call expect(value > 1e-7_real64 .and. abs(value - back) < 1e-12_real64 .and. passes(2) < passes(1), "remembered self terms")
    call s%divergence(G, G, G, b, a, back)
    call expect(abs(value - back) < 1e-12_real64, "symmetric")
    call s%divergence(G, G, G, reshape(b, [4, 5]), reshape(a, [4, 5]), back)
    call expect(abs(value - back) < 1e-12_real64, "masses of two axes")
    call s%divergence(G, G, G, reshape(b, [2, 2, 5]), reshape(a, [2, 2, 5]), back)
    call expect(abs(value - back) < 1e-12_real64, "masses of three axes")
    call one%create_matrix(reshape([0.25_real64], [1, 1]), memory=RKN_COPY)
    call here%create_matrix(reshape([0.0_real64], [1, 1]), memory=RKN_COPY)
    call s%divergence(one, here, here, [2.0_real64], [2.0_real64], value)
    call expect(abs(value - 0.5_real64) < 1e-14_real64, "two Diracs")
    value = -7
    call s%divergence(G, G, here, a, b, value, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_divergence 'Gb'", "Gb of another size")
    call s%divergence(G, G, G, a, [1.0_real64], value, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_SIZE, message, "rkn_sinkhorn_divergence 'b'", "b of another size")
    call s%set("max_passes", 1)
    call s%forget()
    call s%divergence(G, G, G, a, b, value, stat=rc)
    call expect_status(rc, RKN_STOP_ITERATIONS, "cut short")
    call expect(abs(value + 7) <= 0, "value stays as it was")
    call s%destroy()
    call G%destroy()
    call one%destroy()
    call here%destroy()
  end subroutine divergences

  ! A sequence saved and gone on with by another solver ends with the same bits.
  subroutine saved()
    integer, parameter :: n = 30
    type(rkn_geometry_t) :: G
    type(rkn_sinkhorn_t) :: s, t
    integer(c_int8_t), allocatable :: bytes(:), again(:)
    real(real64), allocatable :: f(:), other(:)
    real(real64) :: a(n), b(n)
    character(400) :: message
    integer :: rc
    call G%create_grid([n], h=[1/real(n, real64)])
    call solver(s, "auto", 1e-3_real64, 1e-9_real64)
    call solver(t, "auto", 1e-3_real64, 1e-9_real64)
    call masses(b)
    call masses(a)
    call s%solve(G, a, b)
    call s%save(bytes)
    call t%load(bytes)
    call t%potentials(f, stat=rc)
    call expect_status(rc, RKN_ERR_STATE, "no plan in a saved state")
    call t%save(again)
    call expect(size(bytes) == size(again) .and. all(bytes == again), "saved again")
    call masses(a)
    call s%solve(G, a, b)
    call t%solve(G, a, b)
    call s%potentials(f)
    call t%potentials(other)
    call expect(all(abs(f - other) <= 0), "gone on with")
    again(size(again)/2) = not(again(size(again)/2))
    call t%load(again, stat=rc, errmsg=message)
    call expect_words(rc, RKN_ERR_FORMAT, message, "rkn_sinkhorn_load 'buf'", "damaged")
    call t%load(bytes(:size(bytes) - 1), stat=rc)
    call expect_status(rc, RKN_ERR_FORMAT, "cut")
    call t%potentials(other)
    call expect(all(abs(f - other) <= 0), "nothing has changed")
    call s%destroy()
    call t%destroy()
    call G%destroy()
  end subroutine saved

end program test_sinkhorn
