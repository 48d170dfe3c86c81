! Crank-Nicolson steps. The solver is a component: what it learned in one step serves the next.
module plate_stepper
  use, intrinsic :: iso_fortran_env, only: dp => real64
  use reknit, only: rkn_krylov_t, rkn_operator_t, RKN_OK
  use plate_diffusion, only: diffusion_t, conductivity
  use plate_mesh, only: mesh_t
  use plate_state, only: state_t
  implicit none
  private
  public :: stepper_t

  ! A variable of this type has the target attribute: reknit keeps the address of its diffusion.
  type :: stepper_t
    real(dp) :: dt = 0
    integer :: iterations = 0                   ! of the last step
    type(diffusion_t) :: diffusion
    type(rkn_operator_t), private :: A
    type(rkn_krylov_t), private :: solver
    real(dp), allocatable, private :: b(:)
  contains
    procedure :: create
    procedure :: advance
    procedure :: destroy
  end type stepper_t

contains

  subroutine create(self, mesh, dt, method, options)
    class(stepper_t), target, intent(inout) :: self
    type(mesh_t), intent(in) :: mesh
    real(dp), intent(in) :: dt
    character(*), intent(in) :: method, options
    self%dt = dt
    self%diffusion%mesh = mesh
    allocate (self%b(mesh%unknowns()))
    call self%A%create_callback(self%diffusion, mesh%unknowns(), mesh%unknowns())
    call self%A%set("hermitian", 1)
    call self%solver%create(method)
    call self%solver%set_options(options)
  end subroutine create

  ! (I + k dt/2 L) u_new = (I - k dt/2 L) u_old with k in the middle of the step. stat is RKN_OK, or says why the step
  ! was not taken; state is then as it was.
  subroutine advance(self, state, stat, message)
    class(stepper_t), intent(inout) :: self
    type(state_t), intent(inout) :: state
    integer, intent(out) :: stat
    character(*), intent(out) :: message
    real(dp) :: half
    real(dp), allocatable :: u(:)
    half = 0.5_dp*self%dt*conductivity(state%time + 0.5_dp*self%dt)
    call self%diffusion%multiply(state%u, self%b, -half)
    self%diffusion%strength = half
    call self%A%changed()
    u = state%u
    call self%solver%solve(self%A, self%b, u, stat=stat, errmsg=message)
    if (stat /= RKN_OK) return
    call self%solver%get("iterations", self%iterations)
    call move_alloc(u, state%u)
    state%step = state%step + 1
    state%time = state%step*self%dt
  end subroutine advance

  subroutine destroy(self)
    class(stepper_t), intent(inout) :: self
    call self%solver%destroy()
    call self%A%destroy()
  end subroutine destroy

end module plate_stepper
