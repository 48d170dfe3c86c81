! Solves over ranks from Fortran. The truth is a cubic: its second differences are exact.
module line
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use mpi_f08
  use reknit
  implicit none

  integer, parameter :: points = 60
  real(real64), parameter :: shift = 0.05_real64

  integer :: passed = 0, failed = 0, my_rank, all_ranks

  ! tridiag(-1, 2 + shift, -1), its rows dealt out to the ranks of a communicator.
  type, extends(rkn_linear_map_f64) :: chain
    type(MPI_Comm) :: comm
    integer :: first = 0, rows = 0                 ! this rank's rows are first + 1 .. first + rows
    integer :: left = MPI_PROC_NULL, right = MPI_PROC_NULL
    integer :: calls = 0, fail_at = 0              ! the call that fails, 0: none does
  contains
    procedure :: apply => apply_chain
    procedure :: multiply
  end type chain

  ! p(A) with 1 - t p(t) = (1 - t / 4)^2: it talks to the neighbours as A does.
  type, extends(chain) :: smoother
  contains
    procedure :: apply => apply_smoother
  end type smoother

contains

  subroutine deal(self, comm)
    class(chain), intent(inout) :: self
    type(MPI_Comm), intent(in) :: comm
    integer :: rank, ranks
    call MPI_Comm_rank(comm, rank)
    call MPI_Comm_size(comm, ranks)
    self%comm = comm
    self%first = points*rank/ranks
    self%rows = points*(rank + 1)/ranks - self%first
    if (rank > 0) self%left = rank - 1
    if (rank < ranks - 1) self%right = rank + 1
  end subroutine deal

  subroutine multiply(self, x, y)
    class(chain), intent(in) :: self
    real(real64), intent(in) :: x(:)
    real(real64), intent(out) :: y(:)
    real(real64) :: padded(0:self%rows + 1)
    associate (n => self%rows)
      padded = 0
      padded(1:n) = x
      call MPI_Sendrecv(padded(1), 1, MPI_DOUBLE_PRECISION, self%left, 1, padded(n + 1), 1, MPI_DOUBLE_PRECISION, &
          self%right, 1, self%comm, MPI_STATUS_IGNORE)
      call MPI_Sendrecv(padded(n), 1, MPI_DOUBLE_PRECISION, self%right, 2, padded(0), 1, MPI_DOUBLE_PRECISION, &
          self%left, 2, self%comm, MPI_STATUS_IGNORE)
      y = (2 + shift)*padded(1:n) - padded(:n - 1) - padded(2:)
    end associate
  end subroutine multiply

  subroutine apply_chain(self, trans, x, y, stat)
    class(chain), intent(inout) :: self
    integer, intent(in) :: trans
    real(real64), intent(in) :: x(:, :)
    real(real64), intent(out) :: y(:, :)
    integer, intent(inout) :: stat
    integer :: j
    do j = 1, size(x, 2)
      call self%multiply(x(:, j), y(:, j))
    end do
    self%calls = self%calls + 1
    if (self%calls == self%fail_at .and. trans == RKN_N) stat = 17
  end subroutine apply_chain

  subroutine apply_smoother(self, trans, x, y, stat)
    class(smoother), intent(inout) :: self
    integer, intent(in) :: trans
    real(real64), intent(in) :: x(:, :)
    real(real64), intent(out) :: y(:, :)
    integer, intent(inout) :: stat
    real(real64) :: image(self%rows)
    integer :: j
    do j = 1, size(x, 2)
      call self%multiply(x(:, j)/4, image)
      y(:, j) = x(:, j)/2 - image/4
    end do
    self%calls = self%calls + 1
    if (self%calls == self%fail_at .and. trans == RKN_N) stat = 17
  end subroutine apply_smoother

  ! u(i) = i (points + 1 - i) (i + root) and A u.
  subroutine exact(self, root, u, b)
    class(chain), intent(in) :: self
    real(real64), intent(in) :: root
    real(real64), allocatable, intent(out) :: u(:), b(:)
    integer :: i
    u = [(real(i, real64)*(points + 1 - i)*(i + root), i=self%first + 1, self%first + self%rows)]
    b = shift*u + [(6.0_real64*i - 2*(points + 1 - root), i=self%first + 1, self%first + self%rows)]
  end subroutine exact

  ! The largest relative error of all ranks.
  real(real64) function error_of(x, u)
    real(real64), intent(in) :: x(:), u(:)
    real(real64) :: most(2)
    most = [maxval(abs(x - u)), maxval(abs(u))]
    if (.not. all(abs(x - u) < huge(most))) most(1) = huge(most)   ! a NaN is no maximum
    call MPI_Allreduce(MPI_IN_PLACE, most, 2, MPI_DOUBLE_PRECISION, MPI_MAX, MPI_COMM_WORLD)
    error_of = most(1)/most(2)
  end function error_of

  ! Holds if it holds on all ranks.
  subroutine expect(condition, what)
    logical, intent(in) :: condition
    character(*), intent(in) :: what
    logical :: all_agree
    if (.not. condition) print "(a, i0, a, i0, 2a)", "rank ", my_rank, " of ", all_ranks, ": failed: ", what
    call MPI_Allreduce(condition, all_agree, 1, MPI_LOGICAL, MPI_LAND, MPI_COMM_WORLD)
    if (all_agree) then
      passed = passed + 1
    else
      failed = failed + 1
    end if
  end subroutine expect

  subroutine expect_status(found, wanted, what)
    integer, intent(in) :: found, wanted
    character(*), intent(in) :: what
    character(20) :: number
    write (number, "(i0)") found
    call expect(found == wanted, what//" gives status "//trim(number))
  end subroutine expect_status

end module line

program test_mpi
  use line
  use reknit_mpi
  implicit none
  character(8), parameter :: methods(3) = [character(8) :: "cg", "gmres", "gcrodr"]
  integer :: i

  call MPI_Init()
  call MPI_Comm_rank(MPI_COMM_WORLD, my_rank)
  call MPI_Comm_size(MPI_COMM_WORLD, all_ranks)
  call attachments_are_refused()
  do i = 1, size(methods)
    call solves(trim(methods(i)))
    call a_callback_fails_on_one_rank(trim(methods(i)))
  end do
  call back_to_one_rank()
  call MPI_Finalize()
  if (my_rank == 0) print "(i0, a, i0, a)", passed, " passed, ", failed, " failed"
  if (failed > 0) error stop 1

contains

  subroutine attachments_are_refused()
    type(rkn_context_t) :: ctx, none
    integer :: stat
    character(200) :: message
    call rkn_mpi_attach(none, MPI_COMM_WORLD, stat=stat, errmsg=message)
    call expect_status(stat, int(RKN_ERR_NULL), "a context that was not created")
    call expect(index(message, "'ctx'") > 0, "the message names 'ctx': "//message)
    call ctx%create()
    call rkn_mpi_attach(ctx, MPI_COMM_NULL, stat=stat, errmsg=message)
    call expect_status(stat, int(RKN_ERR_ARGUMENT), "no communicator")
    call expect(index(message, "'comm'") > 0, "the message names 'comm': "//message)
    ! A mistake of one rank is everybody's status.
    if (my_rank == all_ranks - 1) then
      call rkn_mpi_attach(none, MPI_COMM_WORLD, stat=stat, errmsg=message)
    else
      call rkn_mpi_attach(ctx, MPI_COMM_WORLD, stat=stat, errmsg=message)
    end if
    call expect_status(stat, int(RKN_ERR_NULL), "no context on one rank")
    call expect(len_trim(message) > 0, "there is a message on all ranks")
    call ctx%destroy()
  end subroutine attachments_are_refused

  subroutine solves(method)
    character(*), intent(in) :: method
    type(rkn_context_t) :: ctx
    type(chain), target :: part, whole
    type(smoother), target :: part_m, whole_m
    integer :: together(2), alone(2), common(2)
    call deal(part, MPI_COMM_WORLD)
    call deal(part_m, MPI_COMM_WORLD)
    call deal(whole, MPI_COMM_SELF)
    call deal(whole_m, MPI_COMM_SELF)
    call ctx%create()
    call rkn_mpi_attach(ctx, MPI_COMM_WORLD)
    call sequence(method, part, part_m, together, ctx)
    call sequence(method, whole, whole_m, alone)
    call expect(all(together == alone), method//" takes as many iterations as on one rank")
    common = together
    call MPI_Bcast(common, 2, MPI_INTEGER, 0, MPI_COMM_WORLD)
    call expect(all(together == common), method//" takes as many iterations on all ranks")
    call ctx%destroy()
  end subroutine solves

  subroutine sequence(method, a, m, iterations, ctx)
    character(*), intent(in) :: method
    class(chain), target, intent(inout) :: a, m
    integer, intent(out) :: iterations(2)
    type(rkn_context_t), optional, intent(in) :: ctx
    type(rkn_operator_t) :: op_a, op_m
    type(rkn_krylov_t) :: s
    real(real64), allocatable :: u(:), b(:), x(:)
    real(real64) :: norm, first
    integer :: i, stat
    call op_a%create_callback(a, a%rows, a%rows, ctx=ctx)
    call op_m%create_callback(m, m%rows, m%rows, ctx=ctx)
    call s%create(method, ctx=ctx)
    call s%set("rtol", 1e-10_real64)
    if (method /= "cg") call s%set("restart", 20)
    do i = 1, 2
      call exact(a, 7.0_real64*i, u, b)
      allocate (x(a%rows))
      call s%solve(op_a, b, x, m=op_m, stat=stat)
      call expect_status(stat, int(RKN_OK), method)
      call expect(error_of(x, u) < 1e-8_real64, method//" finds the solution")
      call s%get("iterations", iterations(i))
      call s%get("residual_norm", norm)
      if (present(ctx)) then
        first = norm
        call MPI_Bcast(first, 1, MPI_DOUBLE_PRECISION, 0, MPI_COMM_WORLD)
        call expect(transfer(norm, 1_int64) == transfer(first, 1_int64), method//" has the same residual norm on all ranks")
      end if
      deallocate (x)
    end do
    call s%destroy()
    call op_m%destroy()
    call op_a%destroy()
  end subroutine sequence

  subroutine a_callback_fails_on_one_rank(method)
    character(*), intent(in) :: method
    type(rkn_context_t) :: ctx
    type(chain), target :: a
    type(rkn_operator_t) :: op
    type(rkn_krylov_t) :: s
    real(real64), allocatable :: u(:), b(:), x(:)
    integer :: stat
    call deal(a, MPI_COMM_WORLD)
    call ctx%create()
    call rkn_mpi_attach(ctx, MPI_COMM_WORLD)
    call op%create_callback(a, a%rows, a%rows, ctx=ctx)
    call s%create(method, ctx=ctx)
    call exact(a, 2.0_real64, u, b)
    allocate (x(a%rows))
    if (my_rank == all_ranks - 1) a%fail_at = 4
    call s%solve(op, b, x, stat=stat)
    call expect_status(stat, int(RKN_ERR_CALLBACK), method//" whose operator fails on one rank")
    call s%solve(op, b, x, stat=stat)
    call expect_status(stat, int(RKN_OK), method//" after a failure")
    call expect(error_of(x, u) < 1e-6_real64, method//" finds the solution after a failure")
    call s%destroy()
    call op%destroy()
    call ctx%destroy()
  end subroutine a_callback_fails_on_one_rank

  subroutine back_to_one_rank()
    type(rkn_context_t) :: ctx
    type(chain), target :: a
    type(rkn_operator_t) :: op
    type(rkn_krylov_t) :: s
    real(real64), allocatable :: u(:), b(:), x(:)
    integer :: i, stat, worst
    call deal(a, MPI_COMM_SELF)
    call ctx%create()
    call rkn_mpi_attach(ctx, MPI_COMM_WORLD)
    call ctx%set_reduce()
    call op%create_callback(a, a%rows, a%rows, ctx=ctx)
    call s%create("cg", ctx=ctx)
    allocate (x(a%rows))
    worst = RKN_OK
    ! Each rank solves another number of systems.
    do i = 0, my_rank
      call exact(a, real(i, real64), u, b)
      call s%solve(op, b, x, stat=stat)
      if (stat /= RKN_OK) worst = stat
    end do
    call expect_status(worst, int(RKN_OK), "each rank for itself")
    call expect(error_of(x, u) < 1e-6_real64, "each rank finds its own solution")
    call s%destroy()
    call op%destroy()
    call ctx%destroy()
  end subroutine back_to_one_rank

end program test_mpi
