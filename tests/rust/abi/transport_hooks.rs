//! The callback that writes rows of a cost, and what callbacks call while a transport solver runs.

use super::hooks::{self, Mood, Running};
use reknit::ffi::barycenter::*;
use reknit::ffi::batch::*;
use reknit::ffi::bracket::*;
use reknit::ffi::derivative::*;
use reknit::ffi::geometry::*;
use reknit::ffi::sinkhorn::*;
use reknit::ffi::status::*;
use std::ffi::c_void;
use std::ptr::{null, null_mut};

pub unsafe extern "C" fn row(user: *mut c_void, i: i64, m: i64, row: *mut f64) -> i32 {
    let hook = hooks::hook(user);
    let (code, nan) = hook.behave();
    let rows = hook.rows.borrow().clone().expect("a row hook has costs");
    if m != rows.m as i64 || !(0..rows.n as i64).contains(&i) {
        hook.running.complaints.borrow_mut().push(format!("row {i} of {m} numbers is asked for, of {} x {}", rows.n, rows.m));
        return 1;
    }
    for j in 0..rows.m {
        *row.add(j) = rows.at(i as usize, j);
    }
    if nan {
        *row.add(rows.m - 1) = if hook.calls.get() % 2 == 0 { f64::NAN } else { f64::INFINITY };
    }
    if hook.mood == Mood::Fickle && hook.calls.get() % 3 == 0 {
        (0..rows.m).for_each(|j| *row.add(j) += (hook.calls.get() % 64) as f64 * [1.0, -1.0][j % 2]);
    }
    code
}

impl Running {
    /// Calls on the running transport solver and geometry: what changes it, or needs it still, is busy; results are at hand.
    ///
    /// SAFETY: the handles are in use, so alive.
    pub unsafe fn reenter_transport(&self) {
        let (s, geometry) = (self.sinkhorn.get(), self.geometry.get());
        let (mut k, mut r, one) = (0i64, 0f64, 1f64);
        if !geometry.is_null() {
            let (mut n, mut m) = (0, 0);
            self.expect("geometry_shape", rkn_geometry_shape(geometry, &mut n, &mut m), 0);
        }
        if !s.is_null() {
            let (out, none) = (&raw mut r, null_mut::<f64>());
            let marked = &raw const one;
            // A whole solve of arrays that are never read: busy comes first.
            self.expect("solve", rkn_sinkhorn_solve(s, geometry, marked, marked), RKN_ERR_BUSY);
            self.expect("divergence", rkn_sinkhorn_divergence(s, geometry, geometry, geometry, marked, marked, out), RKN_ERR_BUSY);
            self.expect("solve_batch", rkn_sinkhorn_solve_batch(s, geometry, 0, marked, 9, marked, 9, none, 0, none, 0, none, null_mut()), RKN_ERR_BUSY);
            self.expect("solve_many", rkn_sinkhorn_solve_many(s, 0, null(), null(), null(), null(), null(), none, null_mut()), RKN_ERR_BUSY);
            self.expect("barycenter", rkn_sinkhorn_barycenter(s, geometry, 1, marked, 9, null(), out), RKN_ERR_BUSY);
            let points = rkn_sinkhorn_barycenter_points(s, 1, 1, out, 1, null(), 1, &k, marked, 1, null(), null());
            self.expect("barycenter_points", points, RKN_ERR_BUSY);
            self.expect("forget", rkn_sinkhorn_forget(s), RKN_ERR_BUSY);
            self.expect("bracket", rkn_sinkhorn_bracket(s, out, none), RKN_ERR_BUSY);
            self.expect("round", rkn_sinkhorn_round(s, out, out, out, out), RKN_ERR_BUSY);
            self.expect("save", rkn_sinkhorn_save(s, null_mut(), 0, &mut k), RKN_ERR_BUSY);
            self.expect("load", rkn_sinkhorn_load(s, null(), 0), RKN_ERR_BUSY);
            self.expect("set_int", rkn_sinkhorn_set_int(s, c"max_passes".as_ptr(), 1), RKN_ERR_BUSY);
            self.expect("set_real", rkn_sinkhorn_set_real(s, c"epsilon".as_ptr(), 1.0), RKN_ERR_BUSY);
            self.expect("set_string", rkn_sinkhorn_set_string(s, c"start".as_ptr(), c"zero".as_ptr()), RKN_ERR_BUSY);
            self.expect("set_options", rkn_sinkhorn_set_options(s, c"epsilon=1".as_ptr()), RKN_ERR_BUSY);
            self.expect("set_monitor", rkn_sinkhorn_set_monitor(s, None, null_mut(), None), RKN_ERR_BUSY);
            let vjp = rkn_sinkhorn_vjp_potentials(s, marked, marked, out, none, RKN_ROW_MAJOR, none, 0, none, 0, none, 0);
            self.expect("vjp_potentials", vjp, RKN_ERR_BUSY);
            let vjp = rkn_sinkhorn_vjp_plan(s, RKN_ROW_MAJOR, marked, 1, out, none, none, 0, none, 0, none, 0);
            self.expect("vjp_plan", vjp, RKN_ERR_BUSY);
            self.expect("get_int", rkn_sinkhorn_get_int(s, c"iterations".as_ptr(), &mut k), 0);
            self.expect("get_real", rkn_sinkhorn_get_real(s, c"cost".as_ptr(), &mut r), 0);
            self.expect("get_string", rkn_sinkhorn_get_string(s, c"reason".as_ptr(), null_mut(), 0, &mut k), 0);
            // What only reads the plan may go on beside other readers, but not while the plan is made.
            let wanted = if self.reading.get() { 0 } else { RKN_ERR_BUSY };
            self.expect("potentials", rkn_sinkhorn_potentials(s, none, none), wanted);
            self.expect("plan_rows", rkn_sinkhorn_plan_rows(s, 0, 0, out, 12), wanted);
            self.expect("plan_apply", rkn_sinkhorn_plan_apply(s, RKN_N, 0, marked, 12, out, 12), wanted);
        }
        small(|what| self.complaints.borrow_mut().push(format!("{what} from a callback")));
    }
}

/// Two points to two points by a solver of its own; what is wrong goes to `complain`.
fn small(complain: impl Fn(&str)) {
    let (cost, half) = ([0.0, 1.0, 1.0, 0.0], [0.5, 0.5]);
    let (mut geometry, mut s, mut value) = (null_mut(), null_mut(), f64::NAN);
    // SAFETY: arrays as documented.
    unsafe {
        if rkn_geometry_create_matrix(null(), RKN_F64, 2, 2, RKN_ROW_MAJOR, cost.as_ptr().cast(), 2, RKN_COPY, &mut geometry) != 0
            || rkn_sinkhorn_create(null(), c"auto".as_ptr(), &mut s) != 0
            || rkn_sinkhorn_set_real(s, c"epsilon".as_ptr(), 1.0) != 0
            || rkn_sinkhorn_solve(s, geometry, half.as_ptr(), half.as_ptr()) != 0
            || rkn_sinkhorn_get_real(s, c"cost".as_ptr(), &mut value) != 0
        {
            complain("a transport solve fails");
        }
        rkn_sinkhorn_destroy(s);
        rkn_geometry_destroy(geometry);
    }
    // P is 1 / 2 (1, t; t, 1) / (1 + t) with t = exp(-1 / epsilon).
    let t = (-1.0f64).exp();
    if (value - t / (1.0 + t)).abs() > 1e-6 {
        complain("a transport cost is wrong");
    }
}
