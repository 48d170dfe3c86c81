//! What the random calls once found in transport, in few lines.

use super::transport_solving::{marked, untouched};
use reknit::ffi::barycenter::*;
use reknit::ffi::batch::*;
use reknit::ffi::bracket::*;
use reknit::ffi::callback::rkn_progress;
use reknit::ffi::derivative::*;
use reknit::ffi::geometry::*;
use reknit::ffi::line::*;
use reknit::ffi::membership::*;
use reknit::ffi::sinkhorn::*;
use reknit::ffi::status::*;
use std::cell::Cell;
use std::ffi::{c_void, CStr};
use std::ptr::{null, null_mut};

fn matrix(n: usize, c: &[f64]) -> *mut rkn_geometry {
    let (mut out, m) = (null_mut(), c.len() / n);
    // SAFETY: arrays as documented, here and below.
    let status = unsafe { rkn_geometry_create_matrix(null(), RKN_F64, n as i64, m as i64, RKN_ROW_MAJOR, c.as_ptr().cast(), m as i64, RKN_COPY, &mut out) };
    assert_eq!(status, 0);
    out
}

fn solver(method: &CStr, options: &CStr) -> *mut rkn_sinkhorn {
    let mut out = null_mut();
    unsafe {
        assert_eq!(rkn_sinkhorn_create(null(), method.as_ptr(), &mut out), 0);
        assert_eq!(rkn_sinkhorn_set_options(out, options.as_ptr()), 0);
    }
    out
}

fn real(s: *const rkn_sinkhorn, key: &CStr) -> f64 {
    let mut value = f64::NAN;
    assert_eq!(unsafe { rkn_sinkhorn_get_real(s, key.as_ptr(), &mut value) }, 0);
    value
}

fn free(s: *mut rkn_sinkhorn, geometry: *mut rkn_geometry) {
    unsafe {
        rkn_sinkhorn_destroy(s);
        rkn_geometry_destroy(geometry);
    }
}

/// |i - j| on n points.
fn ways(n: usize) -> Vec<f64> {
    (0..n * n).map(|at| (at / n).abs_diff(at % n) as f64).collect()
}

unsafe extern "C" fn stop(_: *mut c_void, _: *const rkn_progress) -> i32 {
    1
}

/// "auto" stopped on its way down to epsilon: potentials and results were of two epsilons.
#[test]
fn potentials_of_a_stop_on_the_way_belong_to_epsilon() {
    let n = 8;
    let (c, a) = (ways(n), vec![1.0 / n as f64; n]);
    let b: Vec<f64> = (0..n).map(|j| 2.0 * (j + 1) as f64 / (n * (n + 1)) as f64).collect();
    let (geometry, s) = (matrix(n, &c), solver(c"auto", c"epsilon=1e-3"));
    let (mut f, mut g) = (marked(n), marked(n));
    unsafe {
        rkn_sinkhorn_set_monitor(s, Some(stop), null_mut(), None);
        assert_eq!(rkn_sinkhorn_solve(s, geometry, a.as_ptr(), b.as_ptr()), RKN_STOP_MONITOR);
        assert_eq!(rkn_sinkhorn_potentials(s, f.as_mut_ptr(), g.as_mut_ptr()), 0);
    }
    assert_eq!(real(s, c"epsilon_used"), 1e-3);
    let entry = |i: usize, j: usize| ((f[i] + g[j] - c[i * n + j]) / 1e-3).exp();
    for i in 0..n {
        let row: f64 = (0..n).map(|j| entry(i, j)).sum();
        assert!((row - a[i]).abs() < 1e-9, "row {i} has {row}");
    }
    let cost: f64 = (0..n * n).map(|at| c[at] * entry(at / n, at % n)).sum();
    assert!((cost - real(s, c"cost")).abs() < 1e-9, "{cost} {}", real(s, c"cost"));
    free(s, geometry);
}

/// A pointer to one number was written to whatever its address.
#[test]
fn one_number_wants_its_alignment_too() {
    let (x, mut room) = ([0.0, 1.0], [0.0f64; 2]);
    let odd = room.as_mut_ptr().wrapping_byte_add(1);
    unsafe {
        assert_eq!(rkn_wasserstein_line(2, x.as_ptr(), null(), 2, x.as_ptr(), null(), 1.0, odd), RKN_ERR_ARGUMENT);
        let mut gradient = marked(2);
        let status = rkn_wasserstein_line_gradient(2, x.as_ptr(), null(), 2, x.as_ptr(), null(), 1.0, odd, gradient.as_mut_ptr(), null_mut(), null_mut(), null_mut());
        assert_eq!((status, untouched(&gradient)), (RKN_ERR_ARGUMENT, true));
        let status = rkn_coding_rate(null(), 1, 2, x.as_ptr(), 1, 1.0, odd, gradient.as_mut_ptr(), 1);
        assert_eq!((status, untouched(&gradient)), (RKN_ERR_ARGUMENT, true));
    }
    let (geometry, s) = (matrix(2, &ways(2)), solver(c"auto", c"epsilon=1"));
    let (half, mut f, mut lower) = ([0.5, 0.5], marked(2), marked(1));
    unsafe {
        assert_eq!(rkn_sinkhorn_solve(s, geometry, half.as_ptr(), half.as_ptr()), 0);
        assert_eq!((rkn_sinkhorn_potentials(s, f.as_mut_ptr(), odd), untouched(&f)), (RKN_ERR_ARGUMENT, true));
        assert_eq!((rkn_sinkhorn_bracket(s, lower.as_mut_ptr(), odd), untouched(&lower)), (RKN_ERR_ARGUMENT, true));
    }
    free(s, geometry);
}

/// Rows of |i - j| on three points, until the countdown in `user` is over: then code 7, or from 100 on other numbers each time.
unsafe extern "C" fn row(user: *mut c_void, i: i64, m: i64, row: *mut f64) -> i32 {
    let left = &*user.cast::<Cell<i32>>();
    left.set(left.get() - 1);
    for j in 0..m {
        *row.add(j as usize) = (i - j).abs() as f64 + if left.get() == 100 { 50.0 } else { 0.0 };
    }
    if left.get() == 0 { 7 } else { 0 }
}

/// Products, rows and lists were half written when a row of the host's failed, and a list whose rows were others at the second
/// visit was an internal error.
#[test]
fn rows_that_fail_leave_what_reads_the_plan_alone() {
    let left = Cell::new(i32::MAX);
    let (mut geometry, s) = (null_mut(), solver(c"auto", c"epsilon=1"));
    let (a, x, mut y) = ([0.25; 3], [1.0; 3], marked(9));
    unsafe {
        assert_eq!(rkn_geometry_create_callback(null(), 3, 3, Some(row), (&raw const left).cast_mut().cast(), None, &mut geometry), 0);
        assert_eq!(rkn_sinkhorn_solve(s, geometry, a.as_ptr(), a.as_ptr()), 0);
        for trans in [RKN_N, RKN_T] {
            left.set(2);
            let status = rkn_sinkhorn_plan_apply(s, trans, 1, x.as_ptr(), 3, y.as_mut_ptr(), 3);
            assert_eq!((status, untouched(&y)), (RKN_ERR_CALLBACK, true));
        }
        left.set(2);
        assert_eq!((rkn_sinkhorn_plan_rows(s, 0, 3, y.as_mut_ptr(), 3), untouched(&y)), (RKN_ERR_CALLBACK, true));
        let (mut ptr, mut ind) = ([-7i64; 4], [-7i64; 9]);
        for (fails, status) in [(5, RKN_ERR_CALLBACK), (102, RKN_ERR_STATE), (105, RKN_ERR_STATE)] {
            left.set(fails);
            let cap = if fails == 102 { 6 } else { 9 };
            let got = rkn_sinkhorn_plan_sparse(s, 1e-9, ptr.as_mut_ptr(), ind.as_mut_ptr(), y.as_mut_ptr(), cap, null_mut());
            assert_eq!((got, untouched(&y), ptr, ind), (status, true, [-7; 4], [-7; 9]), "{fails}");
        }
    }
    free(s, geometry);
}

/// Statuses said 0 for problems that were never begun.
#[test]
fn a_sweep_that_fails_is_the_failure_of_its_problems() {
    let (x, a) = ([0.0, 1e200], [0.5; 4]);
    let (mut geometry, s) = (null_mut(), solver(c"sinkhorn", c"epsilon=1"));
    let (mut costs, mut statuses) = (marked(2), [-77; 2]);
    unsafe {
        assert_eq!(rkn_geometry_create_points(null(), 1, 2, x.as_ptr(), 1, 2, x.as_ptr(), 1, 2.0, 2.0, null(), null(), &mut geometry), 0);
        let (none, out) = (null_mut::<f64>(), (costs.as_mut_ptr(), statuses.as_mut_ptr()));
        let status = rkn_sinkhorn_solve_batch(s, geometry, 2, a.as_ptr(), 2, a.as_ptr(), 2, none, 2, none, 2, out.0, out.1);
        assert_eq!((status, statuses, untouched(&costs)), (RKN_ERR_NONFINITE, [RKN_ERR_NONFINITE; 2], true));
    }
    free(s, geometry);
}

/// Masses far below the smallest number were divided by their sum, 0.
#[test]
fn a_barycentre_that_stops_at_once_has_its_mass() {
    let (b, mut p) = ([0.5, 0.5], marked(2));
    let (geometry, s) = (matrix(2, &[1000.0, 1001.0, 1001.0, 1000.0]), solver(c"sinkhorn", c"epsilon=1"));
    unsafe {
        rkn_sinkhorn_set_monitor(s, Some(stop), null_mut(), None);
        assert_eq!(rkn_sinkhorn_barycenter(s, geometry, 1, b.as_ptr(), 2, null(), p.as_mut_ptr()), RKN_STOP_MONITOR);
    }
    assert!((p[0] - 0.5).abs() < 1e-12 && (p[1] - 0.5).abs() < 1e-12, "{p:?}");
    free(s, geometry);
}

/// Costs in units of epsilon overflowed, and a side without a price had no potentials: both gave NaN.
#[test]
fn an_epsilon_or_a_price_next_to_nothing_is_refused() {
    let (a, geometry) = ([0.5; 2], matrix(2, &ways(2)));
    for options in [c"epsilon=1e-300", c"epsilon=1 penalty_a=0", c"epsilon=1 penalty_b=1e-300"] {
        for method in [c"auto", c"sinkhorn", c"sns"] {
            let s = solver(method, options);
            assert_eq!(unsafe { rkn_sinkhorn_solve(s, geometry, a.as_ptr(), a.as_ptr()) }, RKN_ERR_ARGUMENT, "{method:?} {options:?}");
            unsafe { rkn_sinkhorn_destroy(s) };
        }
    }
    let (mut g, k) = (marked(4), [1.0, 0.0, 0.0, 1.0]);
    let status = unsafe { rkn_ds_project(null(), 2, k.as_ptr(), 2, 1e-300, 1e-9, g.as_mut_ptr(), 2, null_mut(), null_mut(), 0) };
    assert_eq!((status, untouched(&g)), (RKN_ERR_ARGUMENT, true));
    unsafe { rkn_geometry_destroy(geometry) };
}

/// A self term that failed left the potentials of the plan before it as those to begin with.
#[test]
fn a_divergence_that_fails_teaches_nothing() {
    let left = Cell::new(1);
    let (between, mut own, s) = (matrix(3, &ways(3)), null_mut(), solver(c"auto", c"epsilon=1"));
    let (a, b, mut value, mut need) = ([0.25, 0.5, 0.25], [0.5, 0.25, 0.25], marked(1), [0i64; 2]);
    unsafe {
        assert_eq!(rkn_geometry_create_callback(null(), 3, 3, Some(row), (&raw const left).cast_mut().cast(), None, &mut own), 0);
        rkn_sinkhorn_save(s, null_mut(), 0, &mut need[0]);
        let status = rkn_sinkhorn_divergence(s, between, own, own, a.as_ptr(), b.as_ptr(), value.as_mut_ptr());
        assert_eq!((status, untouched(&value)), (RKN_ERR_CALLBACK, true));
        rkn_sinkhorn_save(s, null_mut(), 0, &mut need[1]);
        assert_eq!(rkn_sinkhorn_gradient_points(s, null_mut(), 0, null_mut(), 0), RKN_ERR_STATE);
        rkn_geometry_destroy(own);
    }
    assert_eq!(need[0], need[1]);
    free(s, between);
}

/// Potentials of costs of 1e30 were where a problem of costs of 1 began, and ended without a digit.
#[test]
fn a_start_from_another_world_is_none() {
    let (half, s, mut value) = ([0.5; 2], solver(c"auto", c"epsilon=1"), f64::NAN);
    let (large, small) = (matrix(2, &[1e30, 2e30, 3e30, 5e30]), matrix(2, &ways(2)));
    unsafe {
        assert!(rkn_sinkhorn_solve(s, large, half.as_ptr(), half.as_ptr()) >= 0);
        assert_eq!(rkn_sinkhorn_divergence(s, small, small, small, half.as_ptr(), half.as_ptr(), &mut value), 0);
        rkn_geometry_destroy(large);
    }
    assert!(value.abs() < 1e-6, "{value}");
    free(s, small);
}

/// Without a row that all inputs can reach p was 0 / 0, at a tolerance that let that pass.
#[test]
fn a_barycentre_without_a_common_row_is_infeasible() {
    let (ptr, ind, cost, b, mut p) = ([0i32, 1, 2], [0i32, 1], [1.0, 1.0], [1.0, 0.0, 0.0, 1.0], marked(2));
    let (mut geometry, s) = (null_mut(), solver(c"auto", c"epsilon=1 tolerance=2"));
    unsafe {
        let status = rkn_geometry_create_sparse(null(), 2, 2, RKN_I32, 0, ptr.as_ptr().cast(), ind.as_ptr().cast(), cost.as_ptr(), &mut geometry);
        assert_eq!(status, 0);
        assert_eq!(rkn_sinkhorn_barycenter(s, geometry, 2, b.as_ptr(), 2, null(), p.as_mut_ptr()), RKN_STOP_INFEASIBLE);
    }
    assert!(untouched(&p));
    free(s, geometry);
}
