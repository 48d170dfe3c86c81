! reknit for Fortran: everything a program uses. reknit_c has the C interface as it is.
!
! Procedures report by `stat` (RKN_OK, positive: stopped short, negative: failed) and `errmsg`; without `stat`
! anything but RKN_OK stops the program with the message. A refused call leaves its arguments as they were.
!
! Matrices borrow the arrays they are made from unless memory=RKN_COPY. A borrowed array is a variable with the
! target attribute that outlives the operator; no expression, and no component of an array of derived type,
! because for those a compiler passes a temporary that is gone when the call returns.
module reknit
  use reknit_constants
  use reknit_c, only: rkn_version_number, rkn_abi
  use reknit_library, only: rkn_version => version, rkn_build_info => build_info, rkn_status_name => status_name, &
      rkn_last_error => last_error, rkn_option_reference => option_reference
  use reknit_callbacks, only: rkn_linear_map, rkn_linear_map_f32, rkn_linear_map_f64, rkn_linear_map_c32, &
      rkn_linear_map_c64, rkn_inner_product, rkn_inner_f32, rkn_inner_f64, rkn_inner_c32, rkn_inner_c64, &
      rkn_prolongation, rkn_prolongation_f32, rkn_prolongation_f64, rkn_prolongation_c32, rkn_prolongation_c64, &
      rkn_monitor, rkn_events, rkn_convergence_test, rkn_reduction, rkn_log, rkn_refresh, rkn_cost_rows
  use reknit_context, only: rkn_context_t
  use reknit_operator, only: rkn_operator_t
  use reknit_request, only: rkn_request_t
  use reknit_krylov, only: rkn_krylov_t
  use reknit_sequence, only: rkn_sequence_order => sequence_order, rkn_sequence_length => sequence_length
  use reknit_sinkhorn, only: rkn_geometry_t, rkn_sinkhorn_t
  use reknit_line, only: rkn_wasserstein_line => wasserstein_line, rkn_wasserstein_line_plan => wasserstein_line_plan, &
      rkn_wasserstein_line_gradient => wasserstein_line_gradient, rkn_wasserstein_circle => wasserstein_circle, &
      rkn_wasserstein_circle_plan => wasserstein_circle_plan, rkn_wasserstein_sliced => wasserstein_sliced, &
      rkn_wasserstein_circle_gradient => wasserstein_circle_gradient
  use reknit_membership, only: rkn_ds_project => ds_project, rkn_ds_project_vjp => ds_project_vjp, rkn_coding_rate => coding_rate
  use reknit_sinkhorn, only: rkn_geometry_t, rkn_sinkhorn_t, rkn_transport_problem
  implicit none
end module reknit
