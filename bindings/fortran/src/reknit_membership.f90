! Doubly stochastic membership and coding rates. They need no solver.
!
! The names are short here for the reason given in reknit_library.
module reknit_membership
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use reknit_constants
  use reknit_c
  use reknit_support
  use reknit_context
  use reknit_arrays, only: array
  implicit none
  private
  public :: ds_project, ds_project_vjp, coding_rate

  interface coding_rate
    module procedure coding_rate_of_all, coding_rate_clustered
  end interface coding_rate

contains

  ! The doubly stochastic G that maximises sum(K*G) - eta*sum(G*log(G)): G(i, j) = exp((u(i) + v(j) + K(i, j))/eta), symmetric bit for
  ! bit where K is. tolerance: of the L1 errors of rows and columns over n, 1e-9 if absent. start: .true. to start from what
  ! u and v hold.
  recursive subroutine ds_project(K, eta, G, tolerance, u, v, start, ctx, stat, errmsg)
    real(real64), target, intent(in) :: K(:, :)
    real(real64), intent(in) :: eta
    real(real64), target, intent(inout) :: G(:, :)
    real(real64), optional, intent(in) :: tolerance
    real(real64), optional, intent(inout) :: u(:), v(:)
    logical, optional, intent(in) :: start
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_ds_project"
    type(outcome_t) :: outcome
    type(array_t) :: from, to
    real(real64), allocatable, target :: of_rows(:), of_columns(:)
    real(real64) :: goal
    integer(c_int32_t) :: is_warm
    goal = 1e-9_real64
    if (present(tolerance)) goal = tolerance
    is_warm = 0
    if (present(start)) is_warm = merge(1_c_int32_t, 0_c_int32_t, start)
    from = array("K", K)
    to = array("G", G)
    call check_square(routine, from, from%rows, outcome)
    call check_square(routine, to, from%rows, outcome)
    if (present(u)) call check_count(routine, "u", size(u, kind=int64), from%rows, outcome)
    if (present(v)) call check_count(routine, "v", size(v, kind=int64), from%rows, outcome)
    if (is_warm == 1 .and. .not. (present(u) .and. present(v))) call outcome%refuse(RKN_ERR_ARGUMENT, routine// &
        ": argument 'start' is true, must come with 'u' and 'v'")
    allocate (of_rows(max(from%rows, 1_int64)), of_columns(max(from%rows, 1_int64)))
    of_rows = 0
    of_columns = 0
    if (outcome%good() .and. is_warm == 1) then
      of_rows(:size(u)) = u
      of_columns(:size(v)) = v
    end if
    ! By columns it is the transposed problem, in which rows and columns change places.
    if (outcome%good()) call outcome%take(rkn_ds_project(handle_of(ctx), from%rows, from%address, from%ld, eta, goal, to%address, &
        to%ld, c_loc(of_columns), c_loc(of_rows), is_warm))
    if (outcome%code >= RKN_OK) then
      if (present(u)) u = of_rows
      if (present(v)) v = of_columns
    end if
    call settle(outcome, stat, errmsg)
  end subroutine ds_project

  ! The derivative dK of a function of G = ds_project(K, eta), from its derivatives W with respect to the entries of G.
  recursive subroutine ds_project_vjp(G, W, eta, dK, ctx, stat, errmsg)
    real(real64), target, intent(in) :: G(:, :), W(:, :)
    real(real64), intent(in) :: eta
    real(real64), target, intent(inout) :: dK(:, :)
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_ds_project_vjp"
    type(outcome_t) :: outcome
    type(array_t) :: at, cotangent, to
    at = array("G", G)
    cotangent = array("W", W)
    to = array("dK", dK)
    call check_square(routine, at, at%rows, outcome)
    call check_square(routine, cotangent, at%rows, outcome)
    call check_square(routine, to, at%rows, outcome)
    if (outcome%good()) call outcome%take(rkn_ds_project_vjp(handle_of(ctx), at%rows, eta, at%address, at%ld, cotangent%address, &
        cotangent%ld, to%address, to%ld))
    call settle(outcome, stat, errmsg)
  end subroutine ds_project_vjp

  ! logdet(I + alpha Z Z^T), without a factor 1/2, and its gradient; Z(d, n) has a column for each sample.
  recursive subroutine coding_rate_of_all(Z, alpha, rate, dZ, ctx, stat, errmsg)
    real(real64), target, intent(in) :: Z(:, :)
    real(real64), intent(in) :: alpha
    real(real64), intent(inout) :: rate
    real(real64), optional, target, intent(inout) :: dZ(:, :)
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_coding_rate"
    type(outcome_t) :: outcome
    type(array_t) :: features, to
    real(real64), target :: value
    features = array("Z", Z)
    call features%check(routine, outcome)
    call describe(routine, "dZ", features, to, outcome, dZ)
    if (outcome%good()) call outcome%take(rkn_coding_rate(handle_of(ctx), features%rows, features%columns, features%address, &
        features%ld, alpha, c_loc(value), to%address, to%ld))
    if (outcome%good()) rate = value
    call settle(outcome, stat, errmsg)
  end subroutine coding_rate_of_all

  ! sum over j of N(j)/n logdet(I + d/(N(j) eps2) Z diag(Pi(:, j)) Z^T) with N = sum(Pi, 1), and its gradients; Pi(n, k) has a column
  ! for each cluster.
  recursive subroutine coding_rate_clustered(Z, Pi, eps2, rate, dZ, dPi, ctx, stat, errmsg)
    real(real64), target, intent(in) :: Z(:, :), Pi(:, :)
    real(real64), intent(in) :: eps2
    real(real64), intent(inout) :: rate
    real(real64), optional, target, intent(inout) :: dZ(:, :), dPi(:, :)
    type(rkn_context_t), optional, intent(in) :: ctx
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    character(*), parameter :: routine = "rkn_coding_rate_clustered"
    type(outcome_t) :: outcome
    type(array_t) :: features, members, of_features, of_members
    real(real64), target :: value
    features = array("Z", Z)
    members = array("Pi", Pi)
    call features%check(routine, outcome)
    call members%check(routine, outcome)
    call check_rows(routine, members, features%columns, outcome)
    call describe(routine, "dZ", features, of_features, outcome, dZ)
    call describe(routine, "dPi", members, of_members, outcome, dPi)
    if (outcome%good()) call outcome%take(rkn_coding_rate_clustered(handle_of(ctx), features%rows, features%columns, &
        members%columns, features%address, features%ld, members%address, members%ld, eps2, c_loc(value), of_features%address, &
        of_features%ld, of_members%address, of_members%ld))
    if (outcome%good()) rate = value
    call settle(outcome, stat, errmsg)
  end subroutine coding_rate_clustered

  ! Where a gradient goes, of the shape of what it belongs to; NULL where it is not wanted.
  recursive subroutine describe(routine, name, like, to, outcome, gradient)
    character(*), intent(in) :: routine, name
    type(array_t), intent(in) :: like
    type(array_t), intent(inout) :: to
    type(outcome_t), intent(inout) :: outcome
    real(real64), optional, target, intent(inout) :: gradient(:, :)
    to%address = c_null_ptr
    to%ld = 0
    if (.not. present(gradient)) return
    to = array(name, gradient)
    call to%check(routine, outcome)
    call check_rows(routine, to, like%rows, outcome)
    call check_columns(routine, to, like%columns, outcome)
  end subroutine describe

  recursive subroutine check_square(routine, matrix, n, outcome)
    character(*), intent(in) :: routine
    type(array_t), intent(in) :: matrix
    integer(int64), intent(in) :: n
    type(outcome_t), intent(inout) :: outcome
    call matrix%check(routine, outcome)
    call check_rows(routine, matrix, n, outcome)
    call check_columns(routine, matrix, n, outcome)
  end subroutine check_square

  recursive subroutine check_columns(routine, matrix, wanted, outcome)
    character(*), intent(in) :: routine
    type(array_t), intent(in) :: matrix
    integer(int64), intent(in) :: wanted
    type(outcome_t), intent(inout) :: outcome
    if (matrix%columns /= wanted) call outcome%refuse(RKN_ERR_SIZE, routine//": argument '"//trim(matrix%name)//"' has "// &
        decimal(matrix%columns)//" columns, must have "//decimal(wanted))
  end subroutine check_columns

  recursive subroutine check_count(routine, name, count, wanted, outcome)
    character(*), intent(in) :: routine, name
    integer(int64), intent(in) :: count, wanted
    type(outcome_t), intent(inout) :: outcome
    if (count /= wanted) call outcome%refuse(RKN_ERR_SIZE, routine//": argument '"//name//"' has "//decimal(count)// &
        " elements, must have "//decimal(wanted))
  end subroutine check_count

end module reknit_membership
