use super::args;
use super::callback::{rkn_monitor_fn, rkn_release_fn, HostMonitor, User};
use super::context::{context_or_default, rkn_context};
use super::geometry::rkn_geometry;
use super::guard::{guard, guard_void};
use super::handle::{self, Busy, Handle};
use super::krylov::{counted, status_of};
use super::status::*;
use crate::runtime::options::Value;
use crate::runtime::{memory, Context, Error, Outcome, Result};
use crate::transport::{Setup, Sinkhorn};
use std::cell::{Cell, Ref, RefCell};
use std::ffi::{c_char, c_void};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

const WHAT: &str = "the entries of a plan";

/// A transport solver that remembers: the potentials of one problem are where the next begins.
pub struct rkn_sinkhorn {
    busy: Busy,
    pub(super) setup: RefCell<Setup>,
    pub(super) solver: RefCell<Sinkhorn>,
    status: Cell<i32>,
    reason: RefCell<String>,
    /// Readers of several threads take turns where they count their borrows.
    reading: Mutex<()>,
}

impl rkn_sinkhorn {
    /// What "status" and "reason" will say.
    pub(super) fn ended(&self, outcome: &Result<Outcome>) {
        self.reason.replace(match outcome {
            Ok(Outcome::Converged) => "converged".to_string(),
            Ok(Outcome::Stopped(stop)) => stop.sentence().to_string(),
            Err(e) => e.to_string(),
        });
        self.status.set(status_of(outcome));
    }

    /// What was learned, for reading by several threads at once.
    pub(super) fn read(&self) -> Reader<'_> {
        let _turn = self.reading.lock().unwrap_or_else(|e| e.into_inner());
        // Not in the last expression: what that borrows is given back after the turn.
        let context = self.setup.borrow().context.clone();
        Reader { owner: self, solver: ManuallyDrop::new(self.solver.borrow()), context }
    }
}

/// One of several readers. Only the begin and the end of its borrow are a turn: in between the host's rows may be asked for,
/// and those may call getters.
pub(super) struct Reader<'a> {
    owner: &'a rkn_sinkhorn,
    solver: ManuallyDrop<Ref<'a, Sinkhorn>>,
    pub context: Arc<Context>,
}

impl Deref for Reader<'_> {
    type Target = Sinkhorn;
    fn deref(&self) -> &Sinkhorn {
        &self.solver
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let _turn = self.owner.reading.lock().unwrap_or_else(|e| e.into_inner());
        // SAFETY: not used any more, and dropped here alone.
        unsafe { ManuallyDrop::drop(&mut self.solver) };
    }
}

impl Handle for rkn_sinkhorn {
    const KIND: handle::Kind = handle::Kind::Sinkhorn;
    fn busy(&self) -> &Busy {
        &self.busy
    }
}

/// Makes a solver of min <C, P> + epsilon sum P (log P - 1) with P 1 = a, P^T 1 = b, P >= 0.
///
/// ctx: rules the solves: threads, log, interrupt.
/// method: "auto", a path of epsilon with Newton's steps; "sinkhorn", plain iterations; "sns", Sinkhorn-Newton-Sparse as
/// published. Fixed for the handle's life.
/// out: gets the handle, to be freed by rkn_sinkhorn_destroy.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_KEY (unknown method).
/// Sources: Cuturi 2013 (arXiv 1306.0895); sns, Tang et al. 2024 (arXiv 2401.12253); auto, Schmitzer 2019 (arXiv 1610.06519) and
/// the semi-dual Newton steps of Brauer et al. 2017 (arXiv 1710.06635), sparsified as in Tang et al.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_create(ctx: *const rkn_context, method: *const c_char, out: *mut *mut rkn_sinkhorn) -> rkn_status {
    guard("rkn_sinkhorn_create", || {
        let out = args::out_handle(out)?;
        let setup = Setup::new(context_or_default(ctx)?, args::text(method, "method")?)?;
        *out = handle::publish(rkn_sinkhorn {
            busy: Busy::default(),
            setup: RefCell::new(setup),
            solver: RefCell::new(Sinkhorn::default()),
            status: Cell::new(0),
            reason: RefCell::new("not solved yet".to_string()),
            reading: Mutex::new(()),
        });
        Ok(())
    })
}

/// Frees a solver. NULL and dead handles are ignored.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_destroy(s: *mut rkn_sinkhorn) {
    guard_void(|| handle::destroy(s));
}

/// Sets an integer option; the keys are in rkn_option_reference("sinkhorn", ...).
///
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_KEY (unknown, wrong type, or not used by the
/// method), RKN_ERR_ARGUMENT (out of range).
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_set_int(s: *mut rkn_sinkhorn, key: *const c_char, value: i64) -> rkn_status {
    guard("rkn_sinkhorn_set_int", || {
        let s = handle::exclusive(s, "s")?;
        let done = s.setup.borrow_mut().options.set_int(args::text(key, "key")?, value);
        done
    })
}

/// Sets a real option, such as "epsilon" or "tolerance"; otherwise as rkn_sinkhorn_set_int. NaN and infinity are
/// RKN_ERR_NONFINITE.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_set_real(s: *mut rkn_sinkhorn, key: *const c_char, value: f64) -> rkn_status {
    guard("rkn_sinkhorn_set_real", || {
        let s = handle::exclusive(s, "s")?;
        let done = s.setup.borrow_mut().options.set_real(args::text(key, "key")?, value);
        done
    })
}

/// Sets an option from text: a word such as "max", or the text of a number; otherwise as rkn_sinkhorn_set_real.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_set_string(s: *mut rkn_sinkhorn, key: *const c_char, value: *const c_char) -> rkn_status {
    guard("rkn_sinkhorn_set_string", || {
        let s = handle::exclusive(s, "s")?;
        let done = s.setup.borrow_mut().options.set_string(args::text(key, "key")?, args::text(value, "value")?);
        done
    })
}

/// Sets several options from one text, "epsilon=1e-3 epsilon_relative=max". All are taken, or none.
///
/// Errors: as rkn_sinkhorn_set_string.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_set_options(s: *mut rkn_sinkhorn, options: *const c_char) -> rkn_status {
    guard("rkn_sinkhorn_set_options", || {
        let s = handle::exclusive(s, "s")?;
        let done = s.setup.borrow_mut().options.set_all(args::text(options, "options")?);
        done
    })
}

fn look<R>(s: *const rkn_sinkhorn, f: impl FnOnce(&rkn_sinkhorn) -> Result<R>) -> Result<R> {
    let s = handle::inspect(s, "s")?;
    let _turn = s.reading.lock().unwrap_or_else(|e| e.into_inner());
    f(&s)
}

/// A result or option by key.
fn value_of(s: &rkn_sinkhorn, key: &str) -> Result<Value> {
    let setup = s.setup.borrow();
    let option = setup.options.get(key)?;
    let report = setup.report.borrow();
    Ok(match key {
        "method" => Value::Text(setup.method.to_string()),
        "iterations" => Value::Int(report.iterations as i64),
        "newton_steps" => Value::Int(report.newton_steps as i64),
        "cg_steps" => Value::Int(report.cg_steps as i64),
        "levels" => Value::Int(report.levels as i64),
        "passes" => Value::Real(report.passes),
        "marginal_error" => Value::Real(report.marginal_error),
        "epsilon_used" => Value::Real(report.epsilon),
        "cost" => Value::Real(report.cost),
        "plan_mass" => Value::Real(report.plan_mass),
        "primal" => Value::Real(report.primal),
        "dual" => Value::Real(report.dual),
        "lower_bound" => Value::Real(report.bounds.map_or(f64::NAN, |(lower, _)| lower)),
        "upper_bound" => Value::Real(report.bounds.map_or(f64::NAN, |(_, upper)| upper)),
        "derivative_products" => Value::Int(report.derivative_products as i64),
        "derivative_residual" => Value::Real(report.derivative_residual),
        "solves" => Value::Int(report.solves as i64),
        "status" => Value::Int(s.status.get() as i64),
        "solve_seconds" => Value::Real(report.seconds),
        "reason" => Value::Text(s.reason.borrow().clone()),
        _ => option.clone(),
    })
}

/// Reads an integer result or option: "iterations", "newton_steps", "levels", ...
///
/// value: written on success only. May be called from the solver's own callbacks.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_KEY.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_get_int(s: *const rkn_sinkhorn, key: *const c_char, value: *mut i64) -> rkn_status {
    guard("rkn_sinkhorn_get_int", || {
        let key = args::text(key, "key")?;
        let value = args::out(value, "value")?;
        *value = look(s, |s| args::as_int(key, &value_of(s, key)?))?;
        Ok(())
    })
}

/// Reads a real result or option: "cost", "dual", "marginal_error", "passes", ...; integers are converted. Otherwise as
/// rkn_sinkhorn_get_int.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_get_real(s: *const rkn_sinkhorn, key: *const c_char, value: *mut f64) -> rkn_status {
    guard("rkn_sinkhorn_get_real", || {
        let key = args::text(key, "key")?;
        let value = args::out(value, "value")?;
        *value = look(s, |s| args::as_real(key, &value_of(s, key)?))?;
        Ok(())
    })
}

/// Reads any result or option as text.
///
/// buf, cap, need: as in rkn_option_reference. Otherwise as rkn_sinkhorn_get_int.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_get_string(
    s: *const rkn_sinkhorn,
    key: *const c_char,
    buf: *mut c_char,
    cap: i64,
    need: *mut i64,
) -> rkn_status {
    guard("rkn_sinkhorn_get_string", || {
        let key = args::text(key, "key")?;
        let text = look(s, |s| Ok(args::as_text(&value_of(s, key)?)))?;
        args::write_text(&text, buf, cap, need)
    })
}

/// Sets a monitor, called after each iteration and each Newton step with the L1 error of the columns; see
/// rkn_monitor_fn. `applies` counts passes.
///
/// monitor: NULL takes it away. user: passed back to it. release: called once with `user` when the monitor is let go;
/// may be NULL.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_set_monitor(
    s: *mut rkn_sinkhorn,
    monitor: rkn_monitor_fn,
    user: *mut c_void,
    release: rkn_release_fn,
) -> rkn_status {
    guard("rkn_sinkhorn_set_monitor", || {
        let s = handle::exclusive(s, "s")?;
        let new = monitor.map(|function| Box::new(HostMonitor { function, user: User::new(user, release), solver: 2 }) as Box<_>);
        let old = s.setup.borrow().monitor.replace(new);
        drop(old);
        Ok(())
    })
}

/// Finds the plan between a and b.
///
/// G: the cost, n x m; kept until the next solve. a, b: n and m masses, not negative, of one sum to 1e-8 of it (of any sums
/// with "transported_mass"); points without mass get none. Not kept.
/// Returns RKN_OK if the errors of both marginals, recomputed from the potentials, meet the tolerance;
/// RKN_STOP_ITERATIONS (max_passes), _TIME, _MONITOR, _INTERRUPT, _STAGNATION with the best potentials;
/// RKN_STOP_INFEASIBLE where a point with mass has no allowed way; the last solution then stays.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_ARGUMENT (a negative mass, unequal masses, an epsilon
/// below 1e-100 of the largest cost), RKN_ERR_NONFINITE, RKN_ERR_STATE (options that do not go together), RKN_ERR_UNSUPPORTED
/// ("target_gap" where entries are forbidden), RKN_ERR_CALLBACK, RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_solve(s: *mut rkn_sinkhorn, G: *const rkn_geometry, a: *const f64, b: *const f64) -> rkn_status {
    guard("rkn_sinkhorn_solve", || {
        let s = handle::exclusive(s, "s")?;
        let geometry = handle::shared(G, "G")?.geometry.clone();
        let (n, m) = geometry.shape();
        let (a, b) = (args::slice::<f64>(a.cast(), n, "a")?, args::slice::<f64>(b.cast(), m, "b")?);
        let outcome = s.solver.borrow_mut().solve(&s.setup.borrow(), &geometry, a, b);
        s.ended(&outcome);
        outcome
    })
}

/// Sinkhorn's divergence OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2, OT being the value "primal" at the solver's epsilon: not
/// negative where exp(-C / epsilon) is positive definite, zero for a = b.
///
/// G: the cost between the points of a and those of b, n x m. Ga, Gb: the costs among those of a, n x n, and of b, m x m;
/// symmetric. One handle may stand for all three. a, b: as in rkn_sinkhorn_solve, which this contains: the plan between a
/// and b can be asked for afterwards. The last two self terms are remembered for the same geometry handle, masses and epsilon,
/// so that a fixed target is solved once. "passes" and "iterations" count all three problems, "max_passes" is the limit of each.
/// value: gets the divergence, on RKN_OK only.
/// Returns and errors: as rkn_sinkhorn_solve; RKN_ERR_SIZE (Ga or Gb), RKN_ERR_STATE (with "transported_mass" or
/// "target_gap", which have no divergence).
/// Sources: Genevay, Peyre and Cuturi 2018 (arXiv 1706.00292); Feydy et al. 2019 (arXiv 1810.08278).
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_divergence(
    s: *mut rkn_sinkhorn,
    G: *const rkn_geometry,
    Ga: *const rkn_geometry,
    Gb: *const rkn_geometry,
    a: *const f64,
    b: *const f64,
    value: *mut f64,
) -> rkn_status {
    guard("rkn_sinkhorn_divergence", || {
        let s = handle::exclusive(s, "s")?;
        let value = args::out(value, "value")?;
        let geometry = |G, name| Ok(handle::shared::<rkn_geometry>(G, name)?.geometry.clone());
        let (between, of_a, of_b) = (geometry(G, "G")?, geometry(Ga, "Ga")?, geometry(Gb, "Gb")?);
        let (n, m) = between.shape();
        for (own, len, name) in [(&of_a, n, "Ga"), (&of_b, m, "Gb")] {
            if own.shape() != (len, len) {
                return Err(Error::size(name, format!("{} x {}", own.n, own.m), format!("be {len} x {len}")));
            }
        }
        let (a, b) = (args::slice::<f64>(a.cast(), n, "a")?, args::slice::<f64>(b.cast(), m, "b")?);
        let found = s.solver.borrow_mut().divergence(&s.setup.borrow(), &between, [&of_a, &of_b], a, b);
        if let Ok((Outcome::Converged, divergence)) = found {
            *value = divergence;
        }
        let outcome = found.map(|(outcome, _)| outcome);
        s.ended(&outcome);
        outcome
    })
}

/// Throws away what earlier solves taught; options stay.
///
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_forget(s: *mut rkn_sinkhorn) -> rkn_status {
    guard("rkn_sinkhorn_forget", || {
        handle::exclusive(s, "s")?.solver.borrow_mut().forget();
        Ok(())
    })
}

/// The potentials of the last solve: P_ij = exp((f_i + g_j - C_ij) / epsilon). -infinity where a point has no mass.
///
/// f, g: room for n and m numbers; either may be NULL.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_STATE (nothing has been solved yet).
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_potentials(s: *const rkn_sinkhorn, f: *mut f64, g: *mut f64) -> rkn_status {
    guard("rkn_sinkhorn_potentials", || {
        let s = handle::shared(s, "s")?;
        let solver = s.read();
        let (of_rows, of_columns) = solver.potentials()?;
        let room = |to: *mut f64, len: usize, name: &'static str| args::slice_mut::<f64>(to.cast(), if to.is_null() { 0 } else { len }, name);
        for (to, from) in [(room(f, of_rows.len(), "f")?, of_rows), (room(g, of_columns.len(), "g")?, of_columns)] {
            to.iter_mut().zip(from).for_each(|(to, v)| *to = *v);
        }
        Ok(())
    })
}

/// Y <- P X or P^T X with the plan of the last solve, which is not formed: a pass for all columns together.
///
/// trans: RKN_N for P, RKN_T or RKN_H for P^T. ncols: columns. X: m x ncols (n for P^T), Y: n x ncols (m), both
/// column-major with leading dimensions ldx and ldy; must not overlap.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_ARGUMENT, RKN_ERR_STATE, RKN_ERR_CALLBACK,
/// RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_plan_apply(
    s: *const rkn_sinkhorn,
    trans: rkn_trans,
    ncols: i64,
    X: *const f64,
    ldx: i64,
    Y: *mut f64,
    ldy: i64,
) -> rkn_status {
    guard("rkn_sinkhorn_plan_apply", || {
        let s = handle::shared(s, "s")?;
        let solver = s.read();
        let is_adjoint = args::choice(trans, "trans", "RKN_N, RKN_T, RKN_H", &[false, true, true])?;
        let (is_transposed, n, m) = solver.plan_shape()?;
        let (ncols, ldx, ldy) = (args::length(ncols, "ncols")?, args::length(ldx, "ldx")?, args::length(ldy, "ldy")?);
        let (from, to) = if is_adjoint { (n, m) } else { (m, n) };
        let x = args::slice::<f64>(X.cast(), args::panel_len(from, ncols, ldx, "ldx")?, "X")?;
        let y = args::slice_mut::<f64>(Y.cast(), args::panel_len(to, ncols, ldy, "ldy")?, "Y")?;
        if args::overlap(x, y) {
            return Err(Error::argument("Y", "overlapping X", "be memory of its own"));
        }
        let pool = &solver.context.pool;
        if let Some(mut plan) = solver.plan_by_axes(pool, is_adjoint)? {
            return (0..ncols).try_for_each(|j| plan.apply(pool, &x[j * ldx..][..from], &mut y[j * ldy..][..to]));
        }
        // Rows of the host may fail: Y is then left alone.
        let mut own = Vec::new();
        let (target, ld) = match solver.asks_host()? {
            true => {
                own = memory::filled(memory::product(to, ncols, "a product")?, 0.0, "a product")?;
                (&mut own[..], to)
            }
            false => (&mut *y, ldy),
        };
        for j in 0..ncols {
            target[j * ld..][..to].fill(0.0);
        }
        solver.for_plan(|i, row| {
            for j in 0..ncols {
                if is_adjoint != is_transposed {
                    let weight = x[j * ldx + i];
                    target[j * ld..][..to].iter_mut().zip(row).for_each(|(y, p)| *y += weight * p);
                } else {
                    target[j * ld + i] = row.iter().zip(&x[j * ldx..][..from]).map(|(p, x)| p * x).sum();
                }
            }
            Ok(())
        })?;
        own.chunks(to).enumerate().for_each(|(j, column)| y[j * ldy..][..to].copy_from_slice(column));
        Ok(())
    })
}

/// The entries of the plan of the last solve above a threshold, in compressed rows with indices from 0.
///
/// threshold: not negative. rowptr: room for n + 1 offsets. colind, values: room for cap entries; may be NULL if cap is 0.
/// need: gets how many entries there are, also if cap is too small; may be NULL. With cap 0 and need given the call
/// only counts, and rowptr may be NULL.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (cap is too small), RKN_ERR_ARGUMENT, RKN_ERR_STATE,
/// RKN_ERR_CALLBACK, RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_plan_sparse(
    s: *const rkn_sinkhorn,
    threshold: f64,
    rowptr: *mut i64,
    colind: *mut i64,
    values: *mut f64,
    cap: i64,
    need: *mut i64,
) -> rkn_status {
    guard("rkn_sinkhorn_plan_sparse", || {
        let s = handle::shared(s, "s")?;
        let solver = s.read();
        if threshold.is_nan() || threshold < 0.0 {
            return Err(Error::argument("threshold", threshold, "not be negative"));
        }
        let (is_transposed, n, _) = solver.plan_shape()?;
        let mut counts = memory::filled(n, 0usize, WHAT)?;
        solver.for_plan(|i, row| {
            for (j, _) in row.iter().enumerate().filter(|(_, p)| **p > threshold) {
                counts[if is_transposed { j } else { i }] += 1;
            }
            Ok(())
        })?;
        let Some(count) = counted(counts.iter().sum(), cap, need)? else { return Ok(()) };
        let ptr = args::slice_mut::<i64>(rowptr.cast(), n + 1, "rowptr")?;
        let ind = args::slice_mut::<i64>(colind.cast(), count, "colind")?;
        let val = args::slice_mut::<f64>(values.cast(), count, "values")?;
        let mut starts = memory::filled(n + 1, 0usize, WHAT)?;
        for (i, count) in counts.iter().enumerate() {
            starts[i + 1] = starts[i] + count;
        }
        let mut at = memory::copied(&starts[..n], WHAT)?;
        // Rows of the host may fail, or be others than those that were counted: the arrays are then left alone.
        let (mut own_ind, mut own_val) = (Vec::new(), Vec::new());
        let is_hosted = solver.asks_host()?;
        if is_hosted {
            (own_ind, own_val) = (memory::filled(count, 0, WHAT)?, memory::filled(count, 0.0, WHAT)?);
        }
        let (to_ind, to_val) = if is_hosted { (&mut own_ind[..], &mut own_val[..]) } else { (&mut *ind, &mut *val) };
        let differs = || Error::State("callback 'row' wrote other numbers than a moment ago".to_string());
        solver.for_plan(|i, row| {
            for (j, p) in row.iter().enumerate().filter(|(_, p)| **p > threshold) {
                let (r, c) = if is_transposed { (j, i) } else { (i, j) };
                if at[r] == starts[r + 1] {
                    return Err(differs());
                }
                (to_ind[at[r]], to_val[at[r]]) = (c as i64, *p);
                at[r] += 1;
            }
            Ok(())
        })?;
        if at[..] != starts[1..] {
            return Err(differs());
        }
        if is_hosted {
            ind.copy_from_slice(&own_ind);
            val.copy_from_slice(&own_val);
        }
        ptr.iter_mut().zip(starts).for_each(|(to, start)| *to = start as i64);
        Ok(())
    })
}
