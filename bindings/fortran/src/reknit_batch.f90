! Barycentres, and several transport problems at once.
submodule(reknit_sinkhorn) reknit_batch
  implicit none

  ! What no status is: a problem that the library has not looked at.
  integer(c_int32_t), parameter :: unset = huge(1_c_int32_t)

contains

  ! p: the masses on the rows of G between those in the columns of B, by weights (equal ones if absent). The option "barycenter"
  ! is "entropic" or "debiased". A positive stat: stopped short of the tolerance with its best p delivered
  ! (RKN_STOP_INFEASIBLE: p is left alone).
  recursive module subroutine barycenter(self, G, B, p, weights, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    type(rkn_geometry_t), intent(in) :: G
    real(real64), target, intent(in) :: B(:, :)
    real(real64), contiguous, target, intent(inout) :: p(:)
    real(real64), optional, contiguous, target, intent(in) :: weights(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_sinkhorn_barycenter"
    type(outcome_t) :: outcome
    type(array_t) :: inputs, masses
    integer(int64) :: n, m
    type(c_ptr) :: shares
    inputs = array("B", B)
    masses = array("p", p)
    call inputs%check(routine, outcome)
    ! A handle that is none the library reports itself, in the call that follows.
    if (rkn_geometry_shape(G%handle, n, m) == RKN_OK) then
      call check_rows(routine, inputs, m, outcome)
      call check_count(routine, "p", masses%count, n, outcome)
    end if
    call share(routine, inputs%columns, weights, shares, outcome)
    if (outcome%good()) call outcome%take(rkn_sinkhorn_barycenter(self%handle, G%handle, inputs%columns, inputs%address, &
        inputs%ld, shares, masses%address))
    call settle(outcome, stat, errmsg)
  end subroutine barycenter

  recursive subroutine share(routine, k, weights, shares, outcome)
    character(*), intent(in) :: routine
    integer(int64), intent(in) :: k
    real(real64), optional, contiguous, target, intent(in) :: weights(:)
    type(c_ptr), intent(out) :: shares
    type(outcome_t), intent(inout) :: outcome
    shares = c_null_ptr
    if (.not. present(weights)) return
    call check_count(routine, "weights", size(weights, kind=int64), k, outcome)
    if (size(weights) > 0) shares = c_loc(weights)
  end subroutine share

  ! Moves the points in the columns of X, of masses a, to between clouds: counts(l) columns of Y are those of cloud l, b their
  ! masses. Masses and weights are equal ones if absent.
  recursive module subroutine barycenter_points(self, X, Y, counts, a, b, weights, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    real(real64), target, intent(inout) :: X(:, :)
    real(real64), target, intent(in) :: Y(:, :)
    integer, intent(in) :: counts(:)
    real(real64), optional, contiguous, target, intent(in) :: a(:), b(:), weights(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_sinkhorn_barycenter_points"
    type(outcome_t) :: outcome
    type(array_t) :: moving, clouds
    type(c_ptr) :: of_moving, of_clouds, shares
    integer(int64), target :: cloudptr(size(counts) + 1)
    integer :: l
    moving = array("X", X)
    clouds = array("Y", Y)
    of_moving = c_null_ptr
    of_clouds = c_null_ptr
    call moving%check(routine, outcome)
    call clouds%check(routine, outcome)
    call check_rows(routine, clouds, moving%rows, outcome)
    call check_count(routine, "Y", clouds%columns, sum(int(counts, int64)), outcome)
    if (present(a)) then
      call check_count(routine, "a", size(a, kind=int64), moving%columns, outcome)
      if (size(a) > 0) of_moving = c_loc(a)
    end if
    if (present(b)) then
      call check_count(routine, "b", size(b, kind=int64), clouds%columns, outcome)
      if (size(b) > 0) of_clouds = c_loc(b)
    end if
    call share(routine, size(counts, kind=int64), weights, shares, outcome)
    cloudptr(1) = 0
    do l = 1, size(counts)
      cloudptr(l + 1) = cloudptr(l) + counts(l)
    end do
    if (outcome%good()) call outcome%take(rkn_sinkhorn_barycenter_points(self%handle, moving%rows, moving%columns, &
        moving%address, moving%ld, of_moving, size(counts, kind=int64), c_loc(cloudptr), clouds%address, clouds%ld, &
        of_clouds, shares))
    call settle(outcome, stat, errmsg)
  end subroutine barycenter_points

  ! The plans of pairs of masses, the columns of A and of B, at one cost. stat is that of the first pair that did not converge;
  ! the others do not suffer from it: statuses tells of each. Potentials and costs of a pair without a plan are 0.
  recursive module subroutine solve_batch(self, G, A, B, fs, gs, costs, statuses, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    type(rkn_geometry_t), intent(in) :: G
    real(real64), target, intent(in) :: A(:, :), B(:, :)
    real(real64), optional, allocatable, intent(inout) :: fs(:, :), gs(:, :), costs(:)
    integer, optional, allocatable, intent(inout) :: statuses(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_sinkhorn_solve_batch"
    type(outcome_t) :: outcome
    type(array_t) :: from, to
    integer(int64) :: n, m, k
    integer(c_int32_t), allocatable :: codes(:)
    real(real64), allocatable, target :: of_rows(:, :), of_columns(:, :), values(:)
    from = array("A", A)
    to = array("B", B)
    n = 1
    m = 1
    k = from%columns
    call from%check(routine, outcome)
    call to%check(routine, outcome)
    if (rkn_geometry_shape(G%handle, n, m) == RKN_OK) then
      call check_rows(routine, from, n, outcome)
      call check_rows(routine, to, m, outcome)
    end if
    if (to%columns /= k) call outcome%refuse(RKN_ERR_SIZE, routine//": argument 'B' has "//decimal(to%columns)// &
        " columns, must have the "//decimal(k)//" of 'A'")
    ! Not empty, so that they have addresses.
    allocate (of_rows(n, max(k, 1_int64)), of_columns(m, max(k, 1_int64)), values(max(k, 1_int64)), codes(max(k, 1_int64)))
    of_rows = 0
    of_columns = 0
    values = 0
    codes = unset
    if (outcome%good()) call outcome%take(rkn_sinkhorn_solve_batch(self%handle, G%handle, k, from%address, from%ld, &
        to%address, to%ld, c_loc(of_rows), n, c_loc(of_columns), m, c_loc(values), codes))
    if (outcome%good() .or. codes(1) /= unset) then
      if (present(fs)) fs = of_rows(:, :k)
      if (present(gs)) gs = of_columns(:, :k)
      if (present(costs)) costs = values(:k)
      if (present(statuses)) statuses = int(codes(:k))
    end if
    call settle(outcome, stat, errmsg)
  end subroutine solve_batch

  ! The plans of problems that have each their own cost. stat is the first status that is not RKN_OK; the others do not
  ! suffer from it.
  recursive module subroutine solve_many(self, problems, stat, errmsg)
    class(rkn_sinkhorn_t), intent(in) :: self
    type(rkn_transport_problem), target, intent(inout) :: problems(:)
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_sinkhorn_solve_many"
    type(outcome_t) :: outcome
    type(c_ptr), target :: geometries(size(problems) + 1), a(size(problems) + 1), b(size(problems) + 1)
    type(c_ptr), target :: fs(size(problems) + 1), gs(size(problems) + 1)
    real(real64), target :: values(size(problems) + 1)
    integer(c_int32_t) :: codes(size(problems) + 1)
    integer(int64) :: n, m
    integer :: l
    codes = unset
    do l = 1, size(problems)
      associate (one => problems(l))
        geometries(l) = one%geometry%handle
        call outcome%take(rkn_geometry_shape(one%geometry%handle, n, m))
        if (.not. outcome%good()) exit
        if (.not. (allocated(one%a) .and. allocated(one%b))) call outcome%refuse(RKN_ERR_NULL, routine// &
            ": problem "//decimal(int(l, int64))//" has no masses 'a' and 'b'")
        if (.not. outcome%good()) exit
        call check_count(routine, "a", size(one%a, kind=int64), n, outcome)
        call check_count(routine, "b", size(one%b, kind=int64), m, outcome)
        if (.not. outcome%good()) exit
        if (allocated(one%f)) deallocate (one%f)
        if (allocated(one%g)) deallocate (one%g)
        allocate (one%f(n), one%g(m))
        a(l) = c_loc(one%a)
        b(l) = c_loc(one%b)
        fs(l) = c_loc(one%f)
        gs(l) = c_loc(one%g)
      end associate
    end do
    if (outcome%good()) call outcome%take(rkn_sinkhorn_solve_many(self%handle, size(problems, kind=int64), c_loc(geometries), &
        c_loc(a), c_loc(b), c_loc(fs), c_loc(gs), c_loc(values), codes))
    do l = 1, size(problems)
      problems(l)%status = int(codes(l))
      if (codes(l) == unset) problems(l)%status = int(outcome%code)
      if (codes(l) < RKN_OK .or. codes(l) == RKN_STOP_INFEASIBLE .or. codes(l) == unset) then
        if (allocated(problems(l)%f)) deallocate (problems(l)%f)
        if (allocated(problems(l)%g)) deallocate (problems(l)%g)
      else
        problems(l)%cost = values(l)
      end if
    end do
    call settle(outcome, stat, errmsg)
  end subroutine solve_many

end submodule reknit_batch
