! 4 x = 2 on as many ranks as there are, through reknit_mpi.
program ranks
  use mpi_f08
  use reknit
  use reknit_mpi
  implicit none
  type(rkn_context_t) :: ctx
  type(rkn_operator_t) :: A
  type(rkn_krylov_t) :: s
  double precision, target :: four(1) = 4
  double precision :: b(1) = 2, x(1)
  integer :: reductions
  call MPI_Init()
  call ctx%create()
  call rkn_mpi_attach(ctx, MPI_COMM_WORLD)
  call A%create_diagonal(four, ctx=ctx)
  call s%create("cg", ctx)
  call s%solve(A, b, x)
  call s%get("reductions", reductions)
  print "(f0.3, l2)", x, reductions > 0
  call s%destroy()
  call A%destroy()
  call ctx%destroy()
  call MPI_Finalize()
end program ranks
