use super::args;
use super::guard::guard;
use super::handle;
use super::sinkhorn::rkn_sinkhorn;
use super::status::*;
use crate::runtime::{memory, Error, Result};
use crate::transport::Sinkhorn;
use std::ffi::c_void;

const WHAT: &str = "rows of a plan";

/// Bounds of the exact cost of transport, without the blur, from the last plan: lower <= min <C, P> <= upper up to rounding.
/// Two visits of the cost.
///
/// lower: gets the value of the potentials made feasible by two c-transforms. upper: gets the cost of the plan of
/// rkn_sinkhorn_round; infinity where that needs a forbidden entry. Either may be NULL; the results "lower_bound" and
/// "upper_bound" keep them. The bounds close as epsilon falls: see "target_gap".
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_STATE (nothing has been solved yet, or the plan is
/// partial), RKN_ERR_CALLBACK, RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_bracket(s: *mut rkn_sinkhorn, lower: *mut f64, upper: *mut f64) -> rkn_status {
    guard("rkn_sinkhorn_bracket", || {
        let s = handle::exclusive(s, "s")?;
        let (lower, upper) = (args::optional_out(lower, "lower")?, args::optional_out(upper, "upper")?);
        let rounded = s.solver.borrow().round(&s.setup.borrow())?;
        for (to, value) in [(lower, rounded.lower), (upper, rounded.upper)] {
            to.into_iter().for_each(|to| *to = value);
        }
        Ok(())
    })
}

/// The last plan rounded to its marginals: diag(x) P diag(y) + u v^T has the sums a and b exactly (up to rounding), and
/// no negative entry.
///
/// x, u: room for n numbers. y, v: for m. Scales x and y lie in [0, 1]; u v^T makes up for what scaling takes, sum v is 1 or, where
/// nothing is missing, 0. P is as rkn_sinkhorn_plan_rows gives it; other ways to take the exponentials round otherwise.
/// Errors: as rkn_sinkhorn_bracket.
/// Source: Altschuler, Weed and Rigollet 2017 (arXiv 1705.09634), algorithm 2.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_round(s: *mut rkn_sinkhorn, x: *mut f64, y: *mut f64, u: *mut f64, v: *mut f64) -> rkn_status {
    guard("rkn_sinkhorn_round", || {
        let s = handle::exclusive(s, "s")?;
        let solver = s.solver.borrow();
        let (is_transposed, n, m) = solver.plan_shape()?;
        let room = |to: *mut f64, len, name| -> Result<&mut [f64]> { args::slice_mut::<f64>(to.cast(), len, name) };
        let [x, y, u, v] = [room(x, n, "x")?, room(y, m, "y")?, room(u, n, "u")?, room(v, m, "v")?];
        let mut rounded = solver.round(&s.setup.borrow())?;
        if is_transposed {
            std::mem::swap(&mut rounded.x, &mut rounded.y);
            std::mem::swap(&mut rounded.u, &mut rounded.v);
            let sum: f64 = rounded.v.iter().sum();
            rounded.u.iter_mut().for_each(|u| *u *= sum);
            rounded.v.iter_mut().filter(|v| **v > 0.0).for_each(|v| *v /= sum);
        }
        x.copy_from_slice(&rounded.x);
        y.copy_from_slice(&rounded.y);
        u.copy_from_slice(&rounded.u);
        v.copy_from_slice(&rounded.v);
        Ok(())
    })
}

/// Rows of the last plan.
///
/// first, count: which rows, from 0. P: count x m numbers in row-major order with leading dimension ldp.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_INDEX (there are no such rows), RKN_ERR_SIZE (ldp),
/// RKN_ERR_STATE (nothing has been solved yet), RKN_ERR_CALLBACK, RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_plan_rows(s: *const rkn_sinkhorn, first: i64, count: i64, P: *mut f64, ldp: i64) -> rkn_status {
    guard("rkn_sinkhorn_plan_rows", || {
        let s = handle::shared(s, "s")?;
        let solver = s.read();
        let (is_transposed, n, m) = solver.plan_shape()?;
        let (first, count, ldp) = (args::length(first, "first")?, args::length(count, "count")?, args::length(ldp, "ldp")?);
        if first > n || count > n - first {
            return Err(Error::Index(format!("argument 'first' is {first} with {count} rows, the plan has {n}")));
        }
        let p = args::slice_mut::<f64>(P.cast(), args::panel_len(m, count, ldp, "ldp")?, "P")?;
        let rows = first..first + count;
        if is_transposed {
            return solver.for_plan(|j, column| {
                rows.clone().for_each(|i| p[(i - first) * ldp + j] = column[i]);
                Ok(())
            });
        }
        if solver.asks_host()? {
            // Rows of the host may fail: P is then left alone.
            let mut own = memory::with_capacity(memory::product(count, m, WHAT)?, WHAT)?;
            solver.for_plan_rows(rows, |_, row| {
                own.extend_from_slice(row);
                Ok(())
            })?;
            own.chunks(m).enumerate().for_each(|(i, row)| p[i * ldp..][..m].copy_from_slice(row));
            return Ok(());
        }
        solver.for_plan_rows(rows, |i, row| {
            p[(i - first) * ldp..][..m].copy_from_slice(row);
            Ok(())
        })
    })
}

/// Saves what the solver has learned, the potentials that the next solve starts from: versioned, checksummed, the same
/// bytes on every machine. Options are not saved.
///
/// buf: room for cap bytes. need: gets the bytes that it takes; may be NULL. With cap 0 and need given the call only counts.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (cap is too small).
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_save(s: *mut rkn_sinkhorn, buf: *mut c_void, cap: i64, need: *mut i64) -> rkn_status {
    guard("rkn_sinkhorn_save", || {
        let s = handle::exclusive(s, "s")?;
        let cap = args::length(cap, "cap")?;
        let mut solver = s.solver.borrow_mut();
        let len = solver.saved_len()?;
        if !need.is_null() {
            *args::out(need, "need")? = len as i64;
        }
        if cap == 0 && !need.is_null() {
            return Ok(());
        }
        if cap < len {
            return Err(Error::size("cap", cap, format!("be at least {len}")));
        }
        solver.save(args::slice_mut::<u8>(buf, len, "buf")?)
    })
}

/// Puts a solver into a state that rkn_sinkhorn_save saved, in this process or another: the next solve goes on as that of
/// the saved solver would have, bit for bit. There is no plan before it. After an error nothing has changed.
///
/// buf: len bytes.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_FORMAT (no saved state, of another solver or version,
/// damaged), RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_load(s: *mut rkn_sinkhorn, buf: *const c_void, len: i64) -> rkn_status {
    guard("rkn_sinkhorn_load", || {
        let s = handle::exclusive(s, "s")?;
        let new = Sinkhorn::loaded(args::slice::<u8>(buf, args::length(len, "len")?, "buf")?)?;
        s.solver.replace(new);
        Ok(())
    })
}
