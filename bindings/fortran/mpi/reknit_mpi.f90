! reknit over MPI: call rkn_mpi_attach(ctx, MPI_COMM_WORLD), and the solves of that context run over all ranks,
! each with its own part of the vectors. Needs mpi_f08; compile it only where there is MPI.
!
! Only sums cross ranks in the library; halo exchange is the business of the callbacks. All ranks make the same
! calls in the same order, destroying included. A callback that talks to other ranks finishes its exchange before
! it sets stat; else the others wait for it, and no library can end that. The reduction runs on the thread that
! called the library: MPI_THREAD_FUNNELED is enough.
module reknit_mpi
  use, intrinsic :: iso_c_binding
  use mpi_f08
  use reknit_constants
  use reknit_context, only: rkn_context_t
  use reknit_support, only: outcome_t, settle
  implicit none
  private
  public :: rkn_mpi_attach

  ! The `user` of the reduction hook.
  type :: ranks_t
    type(MPI_Comm) :: comm
    integer :: rank = 0
  end type ranks_t

contains

  ! Makes the solves of a context run over all ranks of a communicator. Collective.
  !
  ! comm is an intracommunicator; it is duplicated, so that the library's messages never meet the program's, and
  ! not kept. The duplicate is freed when the hook is let go: by ctx%set_reduce, by another attach, or with the
  ! last object made with ctx; nothing is freed after MPI_Finalize. An earlier hook of ctx is let go. An MPI error
  ! in a reduction ends the solve with RKN_ERR_CALLBACK, whatever error handler comm has.
  !
  ! stat is the same on all ranks, the lowest of theirs; after a failure no context has the hook. The exceptions
  ! are RKN_ERR_STATE (MPI is not running) and RKN_ERR_ARGUMENT (comm is none, or an intercommunicator): they are
  ! of this rank alone.
  recursive subroutine rkn_mpi_attach(ctx, comm, stat, errmsg)
    class(rkn_context_t), intent(in) :: ctx
    type(MPI_Comm), intent(in) :: comm
    integer, optional, intent(out) :: stat
    character(*), optional, intent(out) :: errmsg
    type(outcome_t) :: outcome
    call check(comm, outcome)
    if (outcome%good()) call attach(ctx, comm, outcome)
    call settle(outcome, stat, errmsg)
  end subroutine rkn_mpi_attach

  recursive subroutine check(comm, outcome)
    type(MPI_Comm), intent(in) :: comm
    type(outcome_t), intent(inout) :: outcome
    logical :: initialized, finalized, inter
    call MPI_Initialized(initialized)
    call MPI_Finalized(finalized)
    if (finalized .or. .not. initialized) then
      call outcome%refuse(RKN_ERR_STATE, "rkn_mpi_attach: MPI is not running")
    else if (comm == MPI_COMM_NULL) then
      call outcome%refuse(RKN_ERR_ARGUMENT, "rkn_mpi_attach: argument 'comm' is MPI_COMM_NULL, must be a communicator")
    else
      call MPI_Comm_test_inter(comm, inter)
      if (inter) call outcome%refuse(RKN_ERR_ARGUMENT, &
          "rkn_mpi_attach: argument 'comm' is an intercommunicator, must be an intracommunicator")
    end if
  end subroutine check

  recursive subroutine attach(ctx, comm, outcome)
    class(rkn_context_t), intent(in) :: ctx
    type(MPI_Comm), intent(in) :: comm
    type(outcome_t), intent(inout) :: outcome
    type(ranks_t), pointer :: ranks
    character(500) :: message
    integer :: code, lowest, error
    allocate (ranks)
    call MPI_Comm_dup(comm, ranks%comm, error)
    if (error /= MPI_SUCCESS) then
      deallocate (ranks)
      call outcome%refuse(RKN_ERR_CALLBACK, "rkn_mpi_attach: MPI cannot duplicate argument 'comm'")
      return
    end if
    call MPI_Comm_set_errhandler(ranks%comm, MPI_ERRORS_RETURN)
    call MPI_Comm_rank(ranks%comm, ranks%rank)
    call ctx%set_reduce(c_funloc(reduce), c_loc(ranks), c_funloc(release), code, message)
    call MPI_Allreduce(code, lowest, 1, MPI_INTEGER, MPI_MIN, ranks%comm, error)
    if (error /= MPI_SUCCESS) lowest = RKN_ERR_CALLBACK
    if (lowest == RKN_OK) return
    if (code == RKN_OK) then
      call outcome%refuse(int(lowest, c_int32_t), "rkn_mpi_attach: failed on another rank")
      call ctx%set_reduce()
    else
      call outcome%refuse(int(lowest, c_int32_t), trim(message))
      call MPI_Comm_free(ranks%comm)
      deallocate (ranks)
    end if
  end subroutine attach

  ! All ranks must get identical bits, or they would take different branches and wait for each other.
  ! MPI_Allreduce does not promise that: each rank may add in an order of its own. So rank 0 gets the result and
  ! hands it to the others. Returns the MPI error code.
  recursive function reduce(user, op, n, inout) bind(c, name="") result(stat)
    type(c_ptr), value :: user, inout
    integer(c_int32_t), value :: op
    integer(c_int64_t), value :: n
    integer(c_int32_t) :: stat
    type(ranks_t), pointer :: ranks
    real(c_double), pointer, contiguous :: values(:), part(:)
    integer(c_int64_t) :: first, last
    integer :: error
    logical :: finalized
    call MPI_Finalized(finalized)
    error = merge(MPI_ERR_OTHER, MPI_SUCCESS, finalized)
    call c_f_pointer(user, ranks)
    call c_f_pointer(inout, values, [n])
    last = 0
    do while (last < n .and. error == MPI_SUCCESS)
      first = last + 1
      last = min(n, last + huge(error))
      part => values(first:last)
      call combine(ranks, merge(MPI_MAX, MPI_SUM, op == RKN_MAX), part, error)
    end do
    stat = int(error, c_int32_t)
  end function reduce

  recursive subroutine combine(ranks, op, values, error)
    type(ranks_t), intent(in) :: ranks
    type(MPI_Op), intent(in) :: op
    real(c_double), contiguous, intent(inout) :: values(:)
    integer, intent(out) :: error
    real(c_double) :: unused(1)
    if (ranks%rank == 0) then
      call MPI_Reduce(MPI_IN_PLACE, values, size(values), MPI_DOUBLE_PRECISION, op, 0, ranks%comm, error)
    else
      call MPI_Reduce(values, unused, size(values), MPI_DOUBLE_PRECISION, op, 0, ranks%comm, error)
    end if
    if (error == MPI_SUCCESS) call MPI_Bcast(values, size(values), MPI_DOUBLE_PRECISION, 0, ranks%comm, error)
  end subroutine combine

  recursive subroutine release(user) bind(c, name="")
    type(c_ptr), value :: user
    type(ranks_t), pointer :: ranks
    logical :: finalized
    call c_f_pointer(user, ranks)
    call MPI_Finalized(finalized)
    if (.not. finalized) call MPI_Comm_free(ranks%comm)
    deallocate (ranks)
  end subroutine release

end module reknit_mpi
