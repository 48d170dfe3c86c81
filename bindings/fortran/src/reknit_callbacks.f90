! Callbacks as objects. A program extends one of the abstract types, gives it the data that it needs, and
! hands a variable of it to the operator, solver or context. The library keeps a pointer to that variable:
! declare it with the target attribute and keep it alive until the last handle that uses it is destroyed.
!
! `stat` is 0 on entry; a callback that sets it to anything else ends the call with RKN_ERR_CALLBACK.
! All callbacks run on the thread that called the library. They must return.
module reknit_callbacks
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use reknit_constants
  use reknit_support, only: fortran_text
  implicit none
  private
  public :: rkn_callback, rkn_linear_map
  public :: rkn_linear_map_f32, rkn_linear_map_f64, rkn_linear_map_c32, rkn_linear_map_c64
  public :: rkn_inner_product, rkn_inner_f32, rkn_inner_f64, rkn_inner_c32, rkn_inner_c64
  public :: rkn_prolongation, rkn_prolongation_f32, rkn_prolongation_f64, rkn_prolongation_c32, rkn_prolongation_c64
  public :: rkn_monitor, rkn_events, rkn_convergence_test, rkn_reduction, rkn_log, rkn_refresh, rkn_cost_rows
  public :: scalar_of, keep, handed_over
  public :: call_apply, call_inner, call_prolongate, call_monitor, call_converged, call_reduce, call_log, call_refresh
  public :: call_release, call_events, call_cost_row

  type, abstract :: rkn_callback
  end type rkn_callback

  ! y = op(A) x for all columns at once: trans is RKN_N (A), RKN_T (A^T) or RKN_H (A^H). A map that has no
  ! transpose sets stat when asked for one.
  type, abstract, extends(rkn_callback) :: rkn_linear_map
  end type rkn_linear_map

  type, abstract, extends(rkn_linear_map) :: rkn_linear_map_f32
  contains
    procedure(apply_f32), deferred :: apply
  end type rkn_linear_map_f32

  type, abstract, extends(rkn_linear_map) :: rkn_linear_map_f64
  contains
    procedure(apply_f64), deferred :: apply
  end type rkn_linear_map_f64

  type, abstract, extends(rkn_linear_map) :: rkn_linear_map_c32
  contains
    procedure(apply_c32), deferred :: apply
  end type rkn_linear_map_c32

  type, abstract, extends(rkn_linear_map) :: rkn_linear_map_c64
  contains
    procedure(apply_c64), deferred :: apply
  end type rkn_linear_map_c64

  ! The local part of X^H Y, always accumulated in double precision. The type must fit the vectors.
  type, abstract, extends(rkn_callback) :: rkn_inner_product
  end type rkn_inner_product

  type, abstract, extends(rkn_inner_product) :: rkn_inner_f32
  contains
    procedure(inner_f32), deferred :: inner
  end type rkn_inner_f32

  type, abstract, extends(rkn_inner_product) :: rkn_inner_f64
  contains
    procedure(inner_f64), deferred :: inner
  end type rkn_inner_f64

  type, abstract, extends(rkn_inner_product) :: rkn_inner_c32
  contains
    procedure(inner_c32), deferred :: inner
  end type rkn_inner_c32

  type, abstract, extends(rkn_inner_product) :: rkn_inner_c64
  contains
    procedure(inner_c64), deferred :: inner
  end type rkn_inner_c64

  ! y is the vector x on another mesh. The type must fit the vectors.
  type, abstract, extends(rkn_callback) :: rkn_prolongation
  end type rkn_prolongation

  type, abstract, extends(rkn_prolongation) :: rkn_prolongation_f32
  contains
    procedure(prolongate_f32), deferred :: prolongate
  end type rkn_prolongation_f32

  type, abstract, extends(rkn_prolongation) :: rkn_prolongation_f64
  contains
    procedure(prolongate_f64), deferred :: prolongate
  end type rkn_prolongation_f64

  type, abstract, extends(rkn_prolongation) :: rkn_prolongation_c32
  contains
    procedure(prolongate_c32), deferred :: prolongate
  end type rkn_prolongation_c32

  type, abstract, extends(rkn_prolongation) :: rkn_prolongation_c64
  contains
    procedure(prolongate_c64), deferred :: prolongate
  end type rkn_prolongation_c64

  ! Looks at the progress of a solve; stop is .false. on entry.
  type, abstract, extends(rkn_callback) :: rkn_monitor
  contains
    procedure(observe), deferred :: observe
  end type rkn_monitor

  ! Is told when the phases of a solve (RKN_EVENT_...) begin and end; flops and bytes are those in between.
  type, abstract, extends(rkn_callback) :: rkn_events
  contains
    procedure(take_event), deferred :: event
  end type rkn_events

  ! The program's own convergence test; converged is .false. on entry.
  type, abstract, extends(rkn_callback) :: rkn_convergence_test
  contains
    procedure(test), deferred :: test
  end type rkn_convergence_test

  ! In place over all ranks: op is RKN_SUM or RKN_MAX. Every rank must get the same bits.
  type, abstract, extends(rkn_callback) :: rkn_reduction
  contains
    procedure(reduce), deferred :: reduce
  end type rkn_reduction

  ! Brings a preconditioner of the program's own up to date with the matrix as it is now.
  type, abstract, extends(rkn_callback) :: rkn_refresh
  contains
    procedure(bring_up_to_date), deferred :: refresh
  end type rkn_refresh

  ! Writes row i, counted from 1, of what transport costs.
  type, abstract, extends(rkn_callback) :: rkn_cost_rows
  contains
    procedure(write_row), deferred :: row
  end type rkn_cost_rows

  ! Takes the library's log, line by line; the library itself never prints.
  type, abstract, extends(rkn_callback) :: rkn_log
  contains
    procedure(write_line), deferred :: write_line
  end type rkn_log

  abstract interface
    subroutine apply_f32(self, trans, x, y, stat)
      import :: rkn_linear_map_f32, real32
      class(rkn_linear_map_f32), intent(inout) :: self
      integer, intent(in) :: trans
      real(real32), intent(in) :: x(:, :)
      real(real32), intent(out) :: y(:, :)
      integer, intent(inout) :: stat
    end subroutine apply_f32

    subroutine apply_f64(self, trans, x, y, stat)
      import :: rkn_linear_map_f64, real64
      class(rkn_linear_map_f64), intent(inout) :: self
      integer, intent(in) :: trans
      real(real64), intent(in) :: x(:, :)
      real(real64), intent(out) :: y(:, :)
      integer, intent(inout) :: stat
    end subroutine apply_f64

    subroutine apply_c32(self, trans, x, y, stat)
      import :: rkn_linear_map_c32, real32
      class(rkn_linear_map_c32), intent(inout) :: self
      integer, intent(in) :: trans
      complex(real32), intent(in) :: x(:, :)
      complex(real32), intent(out) :: y(:, :)
      integer, intent(inout) :: stat
    end subroutine apply_c32

    subroutine apply_c64(self, trans, x, y, stat)
      import :: rkn_linear_map_c64, real64
      class(rkn_linear_map_c64), intent(inout) :: self
      integer, intent(in) :: trans
      complex(real64), intent(in) :: x(:, :)
      complex(real64), intent(out) :: y(:, :)
      integer, intent(inout) :: stat
    end subroutine apply_c64

    subroutine inner_f32(self, x, y, product, stat)
      import :: rkn_inner_f32, real32, real64
      class(rkn_inner_f32), intent(inout) :: self
      real(real32), intent(in) :: x(:, :), y(:, :)
      real(real64), intent(out) :: product(:, :)
      integer, intent(inout) :: stat
    end subroutine inner_f32

    subroutine inner_f64(self, x, y, product, stat)
      import :: rkn_inner_f64, real64
      class(rkn_inner_f64), intent(inout) :: self
      real(real64), intent(in) :: x(:, :), y(:, :)
      real(real64), intent(out) :: product(:, :)
      integer, intent(inout) :: stat
    end subroutine inner_f64

    subroutine inner_c32(self, x, y, product, stat)
      import :: rkn_inner_c32, real32, real64
      class(rkn_inner_c32), intent(inout) :: self
      complex(real32), intent(in) :: x(:, :), y(:, :)
      complex(real64), intent(out) :: product(:, :)
      integer, intent(inout) :: stat
    end subroutine inner_c32

    subroutine inner_c64(self, x, y, product, stat)
      import :: rkn_inner_c64, real64
      class(rkn_inner_c64), intent(inout) :: self
      complex(real64), intent(in) :: x(:, :), y(:, :)
      complex(real64), intent(out) :: product(:, :)
      integer, intent(inout) :: stat
    end subroutine inner_c64

    subroutine prolongate_f32(self, x, y, stat)
      import :: rkn_prolongation_f32, real32
      class(rkn_prolongation_f32), intent(inout) :: self
      real(real32), intent(in) :: x(:)
      real(real32), intent(out) :: y(:)
      integer, intent(inout) :: stat
    end subroutine prolongate_f32

    subroutine prolongate_f64(self, x, y, stat)
      import :: rkn_prolongation_f64, real64
      class(rkn_prolongation_f64), intent(inout) :: self
      real(real64), intent(in) :: x(:)
      real(real64), intent(out) :: y(:)
      integer, intent(inout) :: stat
    end subroutine prolongate_f64

    subroutine prolongate_c32(self, x, y, stat)
      import :: rkn_prolongation_c32, real32
      class(rkn_prolongation_c32), intent(inout) :: self
      complex(real32), intent(in) :: x(:)
      complex(real32), intent(out) :: y(:)
      integer, intent(inout) :: stat
    end subroutine prolongate_c32

    subroutine prolongate_c64(self, x, y, stat)
      import :: rkn_prolongation_c64, real64
      class(rkn_prolongation_c64), intent(inout) :: self
      complex(real64), intent(in) :: x(:)
      complex(real64), intent(out) :: y(:)
      integer, intent(inout) :: stat
    end subroutine prolongate_c64

    subroutine observe(self, progress, stop)
      import :: rkn_monitor, rkn_progress
      class(rkn_monitor), intent(inout) :: self
      type(rkn_progress), intent(in) :: progress
      logical, intent(inout) :: stop
    end subroutine observe

    subroutine take_event(self, event, begins, flops, bytes)
      import :: rkn_events, real64
      class(rkn_events), intent(inout) :: self
      integer, intent(in) :: event
      logical, intent(in) :: begins
      real(real64), intent(in) :: flops, bytes
    end subroutine take_event

    subroutine test(self, iteration, residual_norm, target, converged, stat)
      import :: rkn_convergence_test, int64, real64
      class(rkn_convergence_test), intent(inout) :: self
      integer(int64), intent(in) :: iteration
      real(real64), intent(in) :: residual_norm, target
      logical, intent(inout) :: converged
      integer, intent(inout) :: stat
    end subroutine test

    subroutine reduce(self, op, values, stat)
      import :: rkn_reduction, real64
      class(rkn_reduction), intent(inout) :: self
      integer, intent(in) :: op
      real(real64), intent(inout) :: values(:)
      integer, intent(inout) :: stat
    end subroutine reduce

    subroutine bring_up_to_date(self, stat)
      import :: rkn_refresh
      class(rkn_refresh), intent(inout) :: self
      integer, intent(inout) :: stat
    end subroutine bring_up_to_date

    subroutine write_row(self, i, costs, stat)
      import :: rkn_cost_rows, int64, real64
      class(rkn_cost_rows), intent(inout) :: self
      integer(int64), intent(in) :: i
      real(real64), intent(out) :: costs(:)
      integer, intent(inout) :: stat
    end subroutine write_row

    subroutine write_line(self, level, line)
      import :: rkn_log
      class(rkn_log), intent(inout) :: self
      integer, intent(in) :: level
      character(*), intent(in) :: line
    end subroutine write_line
  end interface

  ! What stands behind `user`: a polymorphic variable has no C address of its own.
  type :: box_t
    class(rkn_callback), pointer :: object => null()
    integer(int64) :: nrows = 0, ncols = 0
    logical :: offered = .true.   ! the call that hands it over has not returned yet
  end type box_t

contains

  ! The address to hand over as `user`; nrows and ncols are needed by a linear map.
  recursive function keep(object, nrows, ncols) result(user)
    class(rkn_callback), target, intent(inout) :: object
    integer(int64), optional, intent(in) :: nrows, ncols
    type(c_ptr) :: user
    type(box_t), pointer :: box
    allocate (box)
    box%object => object
    if (present(nrows)) box%nrows = nrows
    if (present(ncols)) box%ncols = ncols
    user = c_loc(box)
  end function keep

  ! After the call that handed it over. A failed call may have let it go or not: so the release function
  ! leaves the box to us until here.
  recursive subroutine handed_over(user, accepted)
    type(c_ptr), intent(in) :: user
    logical, intent(in) :: accepted
    type(box_t), pointer :: box
    call c_f_pointer(user, box)
    if (accepted) then
      box%offered = .false.
    else
      deallocate (box)
    end if
  end subroutine handed_over

  ! Tag of the scalars that a map, an inner product or a prolongation works on, -1 for an object that has none.
  pure recursive integer(c_int32_t) function scalar_of(object)
    class(rkn_callback), intent(in) :: object
    select type (object)
    class is (rkn_linear_map_f32); scalar_of = RKN_F32
    class is (rkn_linear_map_f64); scalar_of = RKN_F64
    class is (rkn_linear_map_c32); scalar_of = RKN_C32
    class is (rkn_linear_map_c64); scalar_of = RKN_C64
    class is (rkn_inner_f32); scalar_of = RKN_F32
    class is (rkn_inner_f64); scalar_of = RKN_F64
    class is (rkn_inner_c32); scalar_of = RKN_C32
    class is (rkn_inner_c64); scalar_of = RKN_C64
    class is (rkn_prolongation_f32); scalar_of = RKN_F32
    class is (rkn_prolongation_f64); scalar_of = RKN_F64
    class is (rkn_prolongation_c32); scalar_of = RKN_C32
    class is (rkn_prolongation_c64); scalar_of = RKN_C64
    class default; scalar_of = -1
    end select
  end function scalar_of

  recursive subroutine call_release(user) bind(c, name="")
    type(c_ptr), value :: user
    type(box_t), pointer :: box
    call c_f_pointer(user, box)
    if (.not. box%offered) deallocate (box)
  end subroutine call_release

  recursive function call_apply(user, trans, ncols, x, ldx, y, ldy) bind(c, name="") result(stat)
    type(c_ptr), value :: user, x, y
    integer(c_int32_t), value :: trans
    integer(c_int64_t), value :: ncols, ldx, ldy
    integer(c_int32_t) :: stat
    type(box_t), pointer :: box
    real(real32), pointer :: x_f32(:, :), y_f32(:, :)
    real(real64), pointer :: x_f64(:, :), y_f64(:, :)
    complex(real32), pointer :: x_c32(:, :), y_c32(:, :)
    complex(real64), pointer :: x_c64(:, :), y_c64(:, :)
    integer(int64) :: nx, ny
    integer :: code
    call c_f_pointer(user, box)
    nx = merge(box%ncols, box%nrows, trans == RKN_N)
    ny = merge(box%nrows, box%ncols, trans == RKN_N)
    code = 0
    select type (map => box%object)
    class is (rkn_linear_map_f32)
      call c_f_pointer(x, x_f32, [ldx, ncols])
      call c_f_pointer(y, y_f32, [ldy, ncols])
      call map%apply(int(trans), x_f32(:nx, :), y_f32(:ny, :), code)
    class is (rkn_linear_map_f64)
      call c_f_pointer(x, x_f64, [ldx, ncols])
      call c_f_pointer(y, y_f64, [ldy, ncols])
      call map%apply(int(trans), x_f64(:nx, :), y_f64(:ny, :), code)
    class is (rkn_linear_map_c32)
      call c_f_pointer(x, x_c32, [ldx, ncols])
      call c_f_pointer(y, y_c32, [ldy, ncols])
      call map%apply(int(trans), x_c32(:nx, :), y_c32(:ny, :), code)
    class is (rkn_linear_map_c64)
      call c_f_pointer(x, x_c64, [ldx, ncols])
      call c_f_pointer(y, y_c64, [ldy, ncols])
      call map%apply(int(trans), x_c64(:nx, :), y_c64(:ny, :), code)
    end select
    stat = int(code, c_int32_t)
  end function call_apply

  recursive function call_inner(user, n, k, x, ldx, l, y, ldy, out) bind(c, name="") result(stat)
    type(c_ptr), value :: user, x, y, out
    integer(c_int64_t), value :: n, k, ldx, l, ldy
    integer(c_int32_t) :: stat
    type(box_t), pointer :: box
    real(real32), pointer :: x_f32(:, :), y_f32(:, :)
    real(real64), pointer :: x_f64(:, :), y_f64(:, :), real_product(:, :)
    complex(real32), pointer :: x_c32(:, :), y_c32(:, :)
    complex(real64), pointer :: x_c64(:, :), y_c64(:, :), complex_product(:, :)
    integer :: code
    call c_f_pointer(user, box)
    call c_f_pointer(out, real_product, [k, l])
    call c_f_pointer(out, complex_product, [k, l])
    code = 0
    select type (form => box%object)
    class is (rkn_inner_f32)
      call c_f_pointer(x, x_f32, [ldx, k])
      call c_f_pointer(y, y_f32, [ldy, l])
      call form%inner(x_f32(:n, :), y_f32(:n, :), real_product, code)
    class is (rkn_inner_f64)
      call c_f_pointer(x, x_f64, [ldx, k])
      call c_f_pointer(y, y_f64, [ldy, l])
      call form%inner(x_f64(:n, :), y_f64(:n, :), real_product, code)
    class is (rkn_inner_c32)
      call c_f_pointer(x, x_c32, [ldx, k])
      call c_f_pointer(y, y_c32, [ldy, l])
      call form%inner(x_c32(:n, :), y_c32(:n, :), complex_product, code)
    class is (rkn_inner_c64)
      call c_f_pointer(x, x_c64, [ldx, k])
      call c_f_pointer(y, y_c64, [ldy, l])
      call form%inner(x_c64(:n, :), y_c64(:n, :), complex_product, code)
    end select
    stat = int(code, c_int32_t)
  end function call_inner

  recursive function call_prolongate(user, n, x, n_new, y) bind(c, name="") result(stat)
    type(c_ptr), value :: user, x, y
    integer(c_int64_t), value :: n, n_new
    integer(c_int32_t) :: stat
    type(box_t), pointer :: box
    real(real32), pointer :: x_f32(:), y_f32(:)
    real(real64), pointer :: x_f64(:), y_f64(:)
    complex(real32), pointer :: x_c32(:), y_c32(:)
    complex(real64), pointer :: x_c64(:), y_c64(:)
    integer :: code
    call c_f_pointer(user, box)
    code = 0
    select type (map => box%object)
    class is (rkn_prolongation_f32)
      call c_f_pointer(x, x_f32, [n])
      call c_f_pointer(y, y_f32, [n_new])
      call map%prolongate(x_f32, y_f32, code)
    class is (rkn_prolongation_f64)
      call c_f_pointer(x, x_f64, [n])
      call c_f_pointer(y, y_f64, [n_new])
      call map%prolongate(x_f64, y_f64, code)
    class is (rkn_prolongation_c32)
      call c_f_pointer(x, x_c32, [n])
      call c_f_pointer(y, y_c32, [n_new])
      call map%prolongate(x_c32, y_c32, code)
    class is (rkn_prolongation_c64)
      call c_f_pointer(x, x_c64, [n])
      call c_f_pointer(y, y_c64, [n_new])
      call map%prolongate(x_c64, y_c64, code)
    end select
    stat = int(code, c_int32_t)
  end function call_prolongate

  recursive function call_refresh(user) bind(c, name="") result(stat)
    type(c_ptr), value :: user
    integer(c_int32_t) :: stat
    type(box_t), pointer :: box
    integer :: code
    call c_f_pointer(user, box)
    code = 0
    select type (renewal => box%object)
    class is (rkn_refresh)
      call renewal%refresh(code)
    end select
    stat = int(code, c_int32_t)
  end function call_refresh

  recursive function call_monitor(user, progress) bind(c, name="") result(stat)
    type(c_ptr), value :: user
    type(rkn_progress), intent(in) :: progress
    integer(c_int32_t) :: stat
    type(box_t), pointer :: box
    logical :: stop
    call c_f_pointer(user, box)
    stop = .false.
    select type (monitor => box%object)
    class is (rkn_monitor)
      call monitor%observe(progress, stop)
    end select
    stat = merge(1_c_int32_t, 0_c_int32_t, stop)
  end function call_monitor

  recursive subroutine call_events(user, event, begins, flops, bytes) bind(c, name="")
    type(c_ptr), value :: user
    integer(c_int32_t), value :: event, begins
    real(c_double), value :: flops, bytes
    type(box_t), pointer :: box
    call c_f_pointer(user, box)
    select type (events => box%object)
    class is (rkn_events)
      call events%event(int(event), begins /= 0, flops, bytes)
    end select
  end subroutine call_events

  recursive function call_converged(user, iteration, residual_norm, target, converged) bind(c, name="") result(stat)
    type(c_ptr), value :: user
    integer(c_int64_t), value :: iteration
    real(c_double), value :: residual_norm, target
    integer(c_int32_t), intent(inout) :: converged
    integer(c_int32_t) :: stat
    type(box_t), pointer :: box
    logical :: accept
    integer :: code
    call c_f_pointer(user, box)
    accept = .false.
    code = 0
    select type (judge => box%object)
    class is (rkn_convergence_test)
      call judge%test(iteration, residual_norm, target, accept, code)
    end select
    converged = merge(1_c_int32_t, 0_c_int32_t, accept)
    stat = int(code, c_int32_t)
  end function call_converged

  recursive function call_reduce(user, op, n, inout) bind(c, name="") result(stat)
    type(c_ptr), value :: user, inout
    integer(c_int32_t), value :: op
    integer(c_int64_t), value :: n
    integer(c_int32_t) :: stat
    type(box_t), pointer :: box
    real(c_double), pointer :: values(:)
    integer :: code
    call c_f_pointer(user, box)
    call c_f_pointer(inout, values, [n])
    code = 0
    select type (reduction => box%object)
    class is (rkn_reduction)
      call reduction%reduce(int(op), values, code)
    end select
    stat = int(code, c_int32_t)
  end function call_reduce

  recursive function call_cost_row(user, i, m, row) bind(c, name="") result(stat)
    type(c_ptr), value :: user, row
    integer(c_int64_t), value :: i, m
    integer(c_int32_t) :: stat
    type(box_t), pointer :: box
    real(c_double), pointer :: costs(:)
    integer :: code
    call c_f_pointer(user, box)
    call c_f_pointer(row, costs, [m])
    code = 0
    select type (rows => box%object)
    class is (rkn_cost_rows)
      call rows%row(i + 1, costs, code)
    end select
    stat = int(code, c_int32_t)
  end function call_cost_row

  recursive subroutine call_log(user, level, line) bind(c, name="")
    type(c_ptr), value :: user, line
    integer(c_int32_t), value :: level
    type(box_t), pointer :: box
    call c_f_pointer(user, box)
    select type (log => box%object)
    class is (rkn_log)
      call log%write_line(int(level), fortran_text(line))
    end select
  end subroutine call_log

end module reknit_callbacks
