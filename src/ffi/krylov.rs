use super::any::{by_scalar, AnyOperator, Erase};
use super::args;
use super::callback::{
    rkn_converged_fn, rkn_event_fn, rkn_inner_fn, rkn_monitor_fn, rkn_release_fn, HostConverged, HostEvents, HostInner, HostMonitor, User,
};
use super::context::{context_or_default, rkn_context};
use super::guard::{guard, guard_void};
use super::handle::{self, Busy, Entered, Handle};
use super::operator::rkn_operator;
use super::reverse::{self, rkn_request, Session};
use super::status::*;
use crate::krylov::options::KRYLOV;
use crate::krylov::{Krylov, Outcome, Setup};
use crate::linalg::{space, Panel, PanelMut};
use crate::operator::Operator;
use crate::runtime::options::{Default as Start, Value};
use crate::runtime::profile::Phase;
use crate::runtime::{Error, Kind, Result, Scalar};
use once_cell::sync::Lazy;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_void, CString};
use std::sync::{Arc, Mutex};

/// A linear solver that remembers: what one solve taught serves the next. One handle is one
/// sequence of related systems.
pub struct rkn_krylov {
    busy: Busy,
    pub(super) setup: RefCell<Setup>,
    /// A `Krylov<T>` once the scalar is known.
    pub(super) solver: RefCell<Option<(Kind, Box<dyn Any>)>>,
    pub(super) inner: RefCell<Option<Arc<HostInner>>>,
    /// The marked state is that of a solver that has solved nothing.
    pub(super) is_marked_blank: Cell<bool>,
    status: Cell<i32>,
    callback_status: Cell<i32>,
    reason: RefCell<String>,
    /// A solve by requests that is under way, and what it asks for.
    pub(super) session: RefCell<Option<Session>>,
    pub(super) request: Cell<rkn_request>,
    /// Getters of several threads take turns: a `RefCell` counts its borrows without atomics.
    reading: Mutex<()>,
}

impl rkn_krylov {
    pub(super) fn new(setup: Setup, solver: Option<(Kind, Box<dyn Any>)>, inner: Option<Arc<HostInner>>) -> Self {
        rkn_krylov {
            busy: Busy::default(),
            setup: RefCell::new(setup),
            solver: RefCell::new(solver),
            inner: RefCell::new(inner),
            is_marked_blank: Cell::new(false),
            status: Cell::new(0),
            callback_status: Cell::new(0),
            reason: RefCell::new("not solved yet".to_string()),
            session: RefCell::new(None),
            request: Cell::new(rkn_request::DONE),
            reading: Mutex::new(()),
        }
    }

    fn between_solves(&self) -> Result<()> {
        if self.session.borrow().is_none() {
            return Ok(());
        }
        Err(Error::Busy("argument 's' is in the middle of a solve by requests: end it by rkn_krylov_next or rkn_krylov_cancel".to_string()))
    }

    /// Runs `f` on the solver of a scalar, made now if need be; with a new scalar the memory starts afresh.
    pub(super) fn with_solver<T: Erase, R>(&self, f: impl FnOnce(&mut Krylov<T>, &Setup) -> Result<R>) -> Result<R> {
        let mut slot = self.solver.borrow_mut();
        if slot.as_ref().is_none_or(|(kind, _)| *kind != T::KIND) {
            *slot = Some((T::KIND, Box::new(Krylov::<T>::default())));
        }
        let (_, any) = slot.as_mut().expect("just made");
        let solver = any.downcast_mut::<Krylov<T>>().ok_or_else(|| Error::Internal("a solver of another scalar".to_string()))?;
        solver.inner = self.inner.borrow().clone().map(|inner| inner as Arc<_>);
        f(solver, &self.setup.borrow())
    }
}

impl Handle for rkn_krylov {
    const KIND: handle::Kind = handle::Kind::Krylov;
    fn busy(&self) -> &Busy {
        &self.busy
    }
    fn close(&self) -> bool {
        reverse::close(self)
    }
}

/// Enters a solver for a call that may not come in the middle of a solve by requests.
pub(super) fn alone(s: *mut rkn_krylov) -> Result<Entered<rkn_krylov>> {
    let s = handle::exclusive(s, "s")?;
    s.between_solves()?;
    Ok(s)
}

/// Reads what a solve writes: not from within one.
pub(super) fn read_at_rest<R>(s: *const rkn_krylov, f: impl FnOnce(&rkn_krylov) -> Result<R>) -> Result<R> {
    let s = handle::shared(s, "s")?;
    let _turn = s.reading.lock().unwrap_or_else(|e| e.into_inner());
    s.between_solves()?;
    f(&s)
}

/// Makes a solver.
///
/// ctx: rules the solves: threads, reduction, log, interrupt, seed of its own preconditioners.
/// method: "auto", "cg", "minres", "gmres", "bicgstab", "gcrodr", "rbicgstab", "rcg", "eigcg", "rminres", "idr", "cocg"
/// or "cocr"; fixed for the handle's life. "auto" chooses a method and a preconditioner by their predicted and observed costs,
/// keeps a factorisation as long as that pays, and starts from earlier solutions.
/// out: gets the handle, to be freed by rkn_krylov_destroy.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_KEY (unknown method).
/// Sources: cg, Hestenes and Stiefel 1952; minres, Paige and Saunders 1975; gmres, Saad and Schultz
/// 1986, flexible Saad 1993; bicgstab, van der Vorst 1992; gcrodr, Parks et al. 2006, flexible
/// Carvalho et al. 2011; rbicgstab, Amritkar et al. 2015; rcg, Saad et al. 2000, Stathopoulos and Orginos 2010;
/// eigcg, Stathopoulos and Orginos 2010; rminres, Wang, de Sturler and Paulino 2007; idr, van Gijzen and
/// Sonneveld 2011; cocg, van der Vorst and Melissen 1990; cocr, Sogabe and Zhang 2007.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_create(ctx: *const rkn_context, method: *const c_char, out: *mut *mut rkn_krylov) -> rkn_status {
    guard("rkn_krylov_create", || {
        let out = args::out_handle(out)?;
        let setup = Setup::new(context_or_default(ctx)?, args::text(method, "method")?)?;
        *out = handle::publish(rkn_krylov::new(setup, None, None));
        Ok(())
    })
}

/// Frees a solver. NULL and dead handles are ignored.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_destroy(s: *mut rkn_krylov) {
    guard_void(|| handle::destroy(s));
}

/// Sets an integer option, such as "restart", "recycle" or "max_iterations"; the keys are in
/// rkn_option_reference("krylov", ...). "restart", "recycle", "shadow", "side", "basis", "test_basis" and
/// "orthogonalization" make new arrays at the next solve; the recycled space is carried over, its image made anew.
///
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_KEY (unknown, wrong type, or not used by the
/// method), RKN_ERR_ARGUMENT (out of range).
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_set_int(s: *mut rkn_krylov, key: *const c_char, value: i64) -> rkn_status {
    guard("rkn_krylov_set_int", || {
        let s = alone(s)?;
        let done = s.setup.borrow_mut().options.set_int(args::text(key, "key")?, value);
        done
    })
}

/// Sets a real option, such as "rtol"; otherwise as rkn_krylov_set_int. NaN and infinity are
/// RKN_ERR_NONFINITE.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_set_real(s: *mut rkn_krylov, key: *const c_char, value: f64) -> rkn_status {
    guard("rkn_krylov_set_real", || {
        let s = alone(s)?;
        let done = s.setup.borrow_mut().options.set_real(args::text(key, "key")?, value);
        done
    })
}

/// Sets an option from text: a word such as "left", or the text of a number; otherwise as
/// rkn_krylov_set_real. The value of "preconditioner" is looked at by the next solve.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_set_string(s: *mut rkn_krylov, key: *const c_char, value: *const c_char) -> rkn_status {
    guard("rkn_krylov_set_string", || {
        let s = alone(s)?;
        let done = s.setup.borrow_mut().options.set_string(args::text(key, "key")?, args::text(value, "value")?);
        done
    })
}

/// Sets several options from one text, "restart=40 recycle=20 preconditioner='ilu levels=1'": pairs between
/// blanks or commas, a value with blanks in single quotes. All are taken, or none.
///
/// Errors: as rkn_krylov_set_string.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_set_options(s: *mut rkn_krylov, options: *const c_char) -> rkn_status {
    guard("rkn_krylov_set_options", || {
        let s = alone(s)?;
        let done = s.setup.borrow_mut().options.set_all(args::text(options, "options")?);
        done
    })
}

/// Runs a getter; from the solver's own callbacks too.
fn look<R>(s: *const rkn_krylov, f: impl FnOnce(&rkn_krylov) -> Result<R>) -> Result<R> {
    let s = handle::inspect(s, "s")?;
    let _turn = s.reading.lock().unwrap_or_else(|e| e.into_inner());
    f(&s)
}

/// A result or option by key.
fn value_of(s: &rkn_krylov, key: &str) -> Result<Value> {
    let setup = s.setup.borrow();
    let option = setup.options.get(key)?;
    let report = setup.report.borrow();
    let counts = &report.counts;
    let profile = report.profile.unwrap_or_default();
    let seconds = |phase| profile.of(phase).seconds;
    Ok(match key {
        "method" => Value::Text(setup.method.to_string()),
        "chosen_method" => Value::Text(report.method.to_string()),
        "chosen_preconditioner" => Value::Text(report.preconditioner.to_string()),
        "iterations" => Value::Int(counts.iterations as i64),
        "applies" => Value::Int(counts.applies as i64),
        "recycle_applies" => Value::Int(counts.recycle_applies as i64),
        "verify_applies" => Value::Int(counts.verify_applies as i64),
        "preconditioner_applies" => Value::Int(counts.preconditioner_applies as i64),
        "reductions" => Value::Int(report.reductions as i64),
        "restarts" => Value::Int(counts.restarts as i64),
        "recycled" => Value::Int(report.recycled as i64),
        "reorthogonalizations" => Value::Int(counts.reorthogonalizations as i64),
        "solves" => Value::Int(report.solves as i64),
        "rebuilds" => Value::Int(report.rebuilds as i64),
        "status" => Value::Int(s.status.get() as i64),
        "callback_status" => Value::Int(s.callback_status.get() as i64),
        "residual_norm" => Value::Real(report.residual_norm),
        "relative_residual" => Value::Real(report.relative_residual),
        "tested_norm" => Value::Real(report.tested_norm),
        "recurrence_norm" => Value::Real(report.recurrence_norm),
        "target" => Value::Real(report.target),
        "orthogonality_loss" => Value::Real(report.diagnostics.orthogonality_loss),
        "setup_seconds" => Value::Real(report.setup_seconds),
        "solve_seconds" => Value::Real(report.solve_seconds),
        "apply_seconds" => Value::Real(seconds(Phase::Apply)),
        "precondition_seconds" => Value::Real(seconds(Phase::Precondition)),
        "inner_seconds" => Value::Real(seconds(Phase::Inner)),
        "reduce_seconds" => Value::Real(seconds(Phase::Reduce)),
        "flops" => Value::Int(profile.of(Phase::Solve).work.flops as i64),
        "bytes" => Value::Int(profile.of(Phase::Solve).work.bytes as i64),
        "reason" => Value::Text(s.reason.borrow().clone()),
        _ => option.clone(),
    })
}

/// Reads an integer result or option: "iterations", "applies", "reductions", ...
///
/// value: written on success only. May be called from the solver's own callbacks.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_KEY.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_get_int(s: *const rkn_krylov, key: *const c_char, value: *mut i64) -> rkn_status {
    guard("rkn_krylov_get_int", || {
        let key = args::text(key, "key")?;
        let value = args::out(value, "value")?;
        *value = look(s, |s| args::as_int(key, &value_of(s, key)?))?;
        Ok(())
    })
}

/// Reads a real result or option: "residual_norm", "relative_residual", "solve_seconds", "rtol",
/// ...; integers are converted. Otherwise as rkn_krylov_get_int.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_get_real(s: *const rkn_krylov, key: *const c_char, value: *mut f64) -> rkn_status {
    guard("rkn_krylov_get_real", || {
        let key = args::text(key, "key")?;
        let value = args::out(value, "value")?;
        *value = look(s, |s| args::as_real(key, &value_of(s, key)?))?;
        Ok(())
    })
}

/// Reads any result or option as text: "reason", "method", "side", ...
///
/// buf, cap, need: as in rkn_option_reference. Otherwise as rkn_krylov_get_int.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_get_string(
    s: *const rkn_krylov,
    key: *const c_char,
    buf: *mut c_char,
    cap: i64,
    need: *mut i64,
) -> rkn_status {
    guard("rkn_krylov_get_string", || {
        let key = args::text(key, "key")?;
        let text = look(s, |s| Ok(args::as_text(&value_of(s, key)?)))?;
        args::write_text(&text, buf, cap, need)
    })
}

/// Sets the monitor, called after each iteration; see rkn_monitor_fn.
///
/// monitor: NULL takes it away. user: passed back to it. release: called once with `user` when the
/// monitor is let go; may be NULL.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_set_monitor(
    s: *mut rkn_krylov,
    monitor: rkn_monitor_fn,
    user: *mut c_void,
    release: rkn_release_fn,
) -> rkn_status {
    guard("rkn_krylov_set_monitor", || {
        let s = alone(s)?;
        let new = monitor.map(|function| Box::new(HostMonitor { function, user: User::new(user, release), solver: 1 }) as Box<_>);
        let old = s.setup.borrow().monitor.replace(new);
        drop(old);
        Ok(())
    })
}

/// Replaces the test residual_norm <= target by the caller's own; see rkn_converged_fn.
///
/// converged: NULL brings the library's test back. user, release: as in rkn_krylov_set_monitor.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_set_converged(
    s: *mut rkn_krylov,
    converged: rkn_converged_fn,
    user: *mut c_void,
    release: rkn_release_fn,
) -> rkn_status {
    guard("rkn_krylov_set_converged", || {
        let s = alone(s)?;
        let new = converged.map(|function| Box::new(HostConverged { function, user: User::new(user, release) }) as Box<_>);
        let old = s.setup.borrow().converged.replace(new);
        drop(old);
        Ok(())
    })
}

/// Tells the host's own profiler when phases of a solve begin and end; see rkn_event_fn.
///
/// events: NULL turns them off. user, release: as in rkn_krylov_set_monitor.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_set_events(
    s: *mut rkn_krylov,
    events: rkn_event_fn,
    user: *mut c_void,
    release: rkn_release_fn,
) -> rkn_status {
    guard("rkn_krylov_set_events", || {
        let s = alone(s)?;
        let new = events.map(|function| Arc::new(HostEvents { function, user: User::new(user, release) }) as Arc<_>);
        let old = s.setup.borrow().events.replace(new);
        drop(old);
        Ok(())
    })
}

/// Sets the local inner products; see rkn_inner_fn. For shared degrees of freedom, mass matrices
/// and vectors with ghost entries. Throws the memory away; excludes weights. The methods cocg and cocr, which
/// need x^T y, cannot take it from a product x^H y of complex numbers, and their solves refuse it.
///
/// inner: NULL brings the library's own back. user, release: as in rkn_krylov_set_monitor.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_STATE (weights are set).
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_set_inner(
    s: *mut rkn_krylov,
    inner: rkn_inner_fn,
    user: *mut c_void,
    release: rkn_release_fn,
) -> rkn_status {
    guard("rkn_krylov_set_inner", || {
        let s = alone(s)?;
        if inner.is_some() && s.setup.borrow().weights.is_some() {
            return Err(Error::State("weights are set; remove them before setting an inner product".to_string()));
        }
        let new = inner.map(|function| Arc::new(HostInner { function, user: User::new(user, release) }));
        let old = s.inner.replace(new);
        *s.solver.borrow_mut() = None;
        drop(old);
        Ok(())
    })
}

/// Sets a weighted inner product, <x, y> = sum of w_i conj(x_i) y_i over this rank's entries.
/// Norms and tolerances are then in that inner product.
///
/// n: the order of the systems to come. weights: n positive numbers, copied; NULL removes them.
/// Throws the memory away.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_ARGUMENT (not positive),
/// RKN_ERR_NONFINITE, RKN_ERR_STATE (an inner product is set).
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_set_weights(s: *mut rkn_krylov, n: i64, weights: *const f64) -> rkn_status {
    guard("rkn_krylov_set_weights", || {
        let s = alone(s)?;
        let n = args::length(n, "n")?;
        if !weights.is_null() && s.inner.borrow().is_some() {
            return Err(Error::State("an inner product is set; remove it before setting weights".to_string()));
        }
        let weights = if weights.is_null() { None } else { Some(args::slice::<f64>(weights.cast(), n, "weights")?) };
        s.setup.borrow_mut().set_weights(weights)?;
        *s.solver.borrow_mut() = None;
        Ok(())
    })
}

/// Sets row and column scaling: the solver then works on (S1 A S2^-1)(S2 x) = S1 b, with M scaled
/// alike; b, x and the reported residual norm stay unscaled. With norm = weighted the tested norm is
/// ||S1 (b - A x)||.
///
/// n: the order of the systems to come. left, right: n positive numbers each, the diagonals of S1
/// and S2, copied; NULL stands for ones.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_ARGUMENT (not positive),
/// RKN_ERR_NONFINITE.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_set_scaling(s: *mut rkn_krylov, n: i64, left: *const f64, right: *const f64) -> rkn_status {
    guard("rkn_krylov_set_scaling", || {
        let s = alone(s)?;
        let n = args::length(n, "n")?;
        let vector = |p: *const f64, name| -> Result<Option<&[f64]>> {
            if p.is_null() { Ok(None) } else { args::slice::<f64>(p.cast(), n, name).map(Some) }
        };
        let done = s.setup.borrow_mut().set_scaling(vector(left, "left")?, vector(right, "right")?);
        done
    })
}

pub(super) fn typed<'a, T: Erase>(a: &'a AnyOperator, m: Option<&'a AnyOperator>) -> Result<(&'a Operator<T>, Option<&'a Operator<T>>)> {
    Ok((a.of::<T>("A")?, m.map(|m| m.of::<T>("M")).transpose()?))
}

/// Checks operators against options and makes all arrays ahead of the first solve, the solver's own
/// preconditioner included. The next solve of this shape then allocates nothing.
///
/// A: square. M: a preconditioner, or NULL.
/// Errors: as rkn_krylov_solve.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_prepare(s: *mut rkn_krylov, A: *const rkn_operator, M: *const rkn_operator) -> rkn_status {
    guard("rkn_krylov_prepare", || {
        let s = alone(s)?;
        let (a, m) = taken(&s, operators(A, M))?;
        by_scalar!(a.any().kind(), T => {
            let (a, m) = taken(&s, typed::<T>(a.any(), m.as_ref().map(|m| m.any())))?;
            s.with_solver(|solver, setup| solver.prepare(setup, a, m))
        })
    })
}

/// Solves A x = b.
///
/// A: square, n x n (this rank's rows of it). M: an operator that approximates the inverse of A, or
/// NULL; must be NULL if the option "preconditioner" is set. Neither is kept.
/// b: n scalars of A's kind. x: n scalars, must not overlap b; read only if initial_guess is x.
/// Returns RKN_OK if the tolerance is met; RKN_STOP_ITERATIONS, _TIME, _STAGNATION, _MONITOR, _INTERRUPT,
/// _BREAKDOWN or _PRECISION with the best point in x; after an error during the iterations x holds the
/// last sound iterate.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SCALAR, RKN_ERR_SIZE, RKN_ERR_ARGUMENT,
/// RKN_ERR_STATE, RKN_ERR_NONFINITE (in b, x or what an operator delivers), RKN_ERR_INDEFINITE (cg, minres, rcg,
/// eigcg, rminres), RKN_ERR_SINGULAR, RKN_ERR_UNSUPPORTED (cocg, cocr: complex numbers and an inner product of the caller),
/// RKN_ERR_CALLBACK (the value is in "callback_status"), RKN_ERR_MEMORY; those of
/// rkn_operator_create_preconditioner if the option "preconditioner" is set: RKN_ERR_KEY, RKN_ERR_UNSUPPORTED.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_solve(
    s: *mut rkn_krylov,
    A: *const rkn_operator,
    M: *const rkn_operator,
    b: *const c_void,
    x: *mut c_void,
) -> rkn_status {
    guard("rkn_krylov_solve", || {
        let s = alone(s)?;
        let outcome = taken(&s, operators(A, M)).and_then(|(a, m)| {
            by_scalar!(a.any().kind(), T => {
                let (a, m) = taken(&s, typed::<T>(a.any(), m.as_ref().map(|m| m.any())))?;
                let (b, x) = taken(&s, vectors::<T>(a.nrows(), b, x))?;
                s.with_solver(|solver, setup| solver.solve(setup, a, m, b, x))
            })
        });
        record(&s, &outcome);
        outcome
    })
}

/// Solves A X = B for several right-hand sides, in lockstep: A and M are applied to all columns at once, and
/// all columns of a step share one sum over ranks. Each column goes on until its own test is met and then
/// leaves the others. Each has its own memory, which the column of the same number goes on with in the next
/// solve; a new one begins with the space of the first.
///
/// A, M: as in rkn_krylov_solve. ncols: right-hand sides; 0 is allowed. B: n x ncols scalars of A's kind,
/// column-major, ldb entries from one column to the next, at least n. X: the same with ldx; must not overlap B.
/// "iterations" is then the number of steps of the longest column, "residual_norm" and the history are those of
/// that column, and the other counts are sums over columns; rkn_krylov_columns has the columns one by one. A
/// monitor is told of each step, with the norm that is farthest from its target; the solve it stops ends one step later.
/// Returns RKN_OK if all columns meet their tolerances, or how the first that does not has ended; the others
/// go on to their ends.
/// Errors: as rkn_krylov_solve.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_solve_block(
    s: *mut rkn_krylov,
    A: *const rkn_operator,
    M: *const rkn_operator,
    ncols: i64,
    B: *const c_void,
    ldb: i64,
    X: *mut c_void,
    ldx: i64,
) -> rkn_status {
    guard("rkn_krylov_solve_block", || {
        let s = alone(s)?;
        let outcome = taken(&s, operators(A, M)).and_then(|(a, m)| {
            by_scalar!(a.any().kind(), T => {
                let (a, m) = taken(&s, typed::<T>(a.any(), m.as_ref().map(|m| m.any())))?;
                let (b, x) = taken(&s, panels::<T>(a.nrows(), ncols, [ldb, ldx], B, X))?;
                s.with_solver(|solver, setup| solver.solve_block(setup, a, m, b, x))
            })
        });
        record(&s, &outcome);
        outcome
    })
}

/// How the columns of the last solve ended: iterations, true residual norms and statuses (RKN_OK, a stop or an
/// error), one of each a column.
///
/// Each array has room for cap entries, or is NULL if it is not wanted. need: gets the number of columns, also if
/// cap is too small; may be NULL. With cap 0 and need given the call only counts.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (cap is too small).
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_columns(
    s: *const rkn_krylov,
    iterations: *mut i64,
    residual_norms: *mut f64,
    statuses: *mut rkn_status,
    cap: i64,
    need: *mut i64,
) -> rkn_status {
    guard("rkn_krylov_columns", || {
        look(s, |s| {
            let setup = s.setup.borrow();
            let ends = setup.ends.borrow();
            let cap = args::length(cap, "cap")?;
            if !need.is_null() {
                *args::out(need, "need")? = ends.len() as i64;
            }
            if cap == 0 && !need.is_null() {
                return Ok(());
            }
            if cap < ends.len() {
                return Err(Error::size("cap", cap, format!("be at least {}", ends.len())));
            }
            copy_wanted(iterations, "iterations", ends.iter().map(|end| end.iterations as i64))?;
            copy_wanted(residual_norms, "residual_norms", ends.iter().map(|end| end.residual_norm))?;
            copy_wanted(statuses, "statuses", ends.iter().map(|end| status_of(&end.outcome)))
        })
    })
}

/// Fills an array of the caller's that may be NULL.
fn copy_wanted<T: Copy + 'static>(to: *mut T, name: &'static str, values: impl ExactSizeIterator<Item = T>) -> Result<()> {
    if !to.is_null() {
        let to = args::slice_mut::<T>(to.cast(), values.len(), name)?;
        to.iter_mut().zip(values).for_each(|(to, value)| *to = value);
    }
    Ok(())
}

pub(super) fn status_of(outcome: &Result<Outcome>) -> rkn_status {
    match outcome {
        Ok(Outcome::Converged) => RKN_OK,
        Ok(Outcome::Stopped(stop)) => *stop as i32,
        Err(e) => e.status(),
    }
}

/// The operators of a solve, A and M.
pub(super) type Pair = (Entered<rkn_operator>, Option<Entered<rkn_operator>>);

pub(super) fn operators(A: *const rkn_operator, M: *const rkn_operator) -> Result<Pair> {
    Ok((handle::shared(A, "A")?, handle::shared_or_null(M, "M")?))
}

/// The vectors of a solve.
pub(super) fn vectors<'a, T: Erase>(n: usize, b: *const c_void, x: *mut c_void) -> Result<(&'a [T], &'a mut [T])> {
    let b = args::slice::<T>(b, n, "b")?;
    let x = args::slice_mut::<T>(x, n, "x")?;
    if args::overlap(b, x) {
        return Err(Error::argument("x", "overlapping b", "be memory of its own"));
    }
    Ok((b, x))
}

/// The columns of a block solve; `ld` are those of B and X.
pub(super) fn panels<'a, T: Erase>(
    n: usize,
    ncols: i64,
    ld: [i64; 2],
    b: *const c_void,
    x: *mut c_void,
) -> Result<(Panel<'a, T>, PanelMut<'a, T>)> {
    let ncols = args::length(ncols, "ncols")?;
    let (ldb, ldx) = (args::length(ld[0], "ldb")?, args::length(ld[1], "ldx")?);
    let b = args::slice::<T>(b, args::panel_len(n, ncols, ldb, "ldb")?, "B")?;
    let x = args::slice_mut::<T>(x, args::panel_len(n, ncols, ldx, "ldx")?, "X")?;
    if args::overlap(b, x) {
        return Err(Error::argument("X", "overlapping B", "be memory of its own"));
    }
    let panel = |ld: usize| args::stride(n, ld.max(n));
    Ok((Panel { data: b, nrows: n, ncols, ld: panel(ldb) }, PanelMut { data: x, nrows: n, ncols, ld: panel(ldx) }))
}

/// Arguments that were checked. Where they are wrong, this rank votes before it leaves: the others
/// wait for it in the solver's first vote.
pub(super) fn taken<R>(s: &rkn_krylov, arguments: Result<R>) -> Result<R> {
    match arguments {
        Ok(arguments) => Ok(arguments),
        Err(e) => Err(space::vote(&s.setup.borrow().context, Some(e.clone())).err().unwrap_or(e)),
    }
}

/// Keeps how a solve ended for the getters.
pub(super) fn record(s: &rkn_krylov, outcome: &Result<Outcome>) {
    let (reason, callback) = match outcome {
        Ok(Outcome::Converged) => ("converged".to_string(), 0),
        Ok(Outcome::Stopped(stop)) => (stop.sentence().to_string(), 0),
        Err(e) => (e.to_string(), if let Error::Callback { value, .. } = e { *value } else { 0 }),
    };
    s.status.set(status_of(outcome));
    s.callback_status.set(callback);
    s.reason.replace(reason);
}

/// The tested residual norms of the last solve (or of the running one, from its callbacks): one at
/// the start and one an iteration, at most 100 000.
///
/// norms: room for cap numbers; may be NULL if cap is 0. need: gets how many there are, also if cap is
/// too small; may be NULL. With cap 0 and need given the call only counts.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (cap is too small).
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_history(s: *const rkn_krylov, norms: *mut f64, cap: i64, need: *mut i64) -> rkn_status {
    guard("rkn_krylov_history", || {
        look(s, |s| {
            let setup = s.setup.borrow();
            let history = setup.history.borrow();
            copy_out(&history, norms, "norms", cap, need)
        })
    })
}

/// Throws away what earlier solves taught (recycled space, own preconditioner, previous solution);
/// options and arrays stay.
///
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_forget(s: *mut rkn_krylov) -> rkn_status {
    guard("rkn_krylov_forget", || {
        let s = alone(s)?;
        if let Some((kind, any)) = s.solver.borrow_mut().as_mut() {
            by_scalar!(*kind, T => forget::<T>(any.as_mut()));
        }
        s.is_marked_blank.set(false);
        s.setup.borrow().report.borrow_mut().recycled = 0;
        Ok(())
    })
}

fn forget<T: Scalar>(any: &mut dyn Any) {
    if let Some(solver) = any.downcast_mut::<Krylov<T>>() {
        solver.forget();
    }
}

/// What is really in force: the method, each option with its value (a star marks those that were
/// set), and how the last solve ended.
///
/// buf, cap, need: as in rkn_option_reference.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_view(s: *const rkn_krylov, buf: *mut c_char, cap: i64, need: *mut i64) -> rkn_status {
    guard("rkn_krylov_view", || {
        let text = look(s, |s| {
            let setup = s.setup.borrow();
            let report = setup.report.borrow();
            let mut text = format!("krylov: {}\n", setup.method);
            setup.options.describe(&mut text);
            text.push_str(&format!("last solve: {}\n", s.reason.borrow()));
            report.describe(&mut text);
            Ok(text)
        })?;
        args::write_text(&text, buf, cap, need)
    })
}

/// How the last solve went and why: what was counted, for which purposes; with diagnostics=on what the memory looks
/// like; under "auto" what is known of the matrix, what each class of preconditioners cost or is thought to
/// cost, and each attempt with its reason.
///
/// buf, cap, need: as in rkn_option_reference.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY (in the solver's own callbacks too), RKN_ERR_SIZE.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_report(s: *const rkn_krylov, buf: *mut c_char, cap: i64, need: *mut i64) -> rkn_status {
    guard("rkn_krylov_report", || {
        let text = read_at_rest(s, |s| {
            let setup = s.setup.borrow();
            let mut text = format!("{}: {}\n", setup.method, s.reason.borrow());
            setup.report.borrow().describe(&mut text);
            if let Some((kind, any)) = s.solver.borrow().as_ref() {
                by_scalar!(*kind, T => text.push_str(&any.downcast_ref::<Krylov<T>>().map_or(String::new(), |solver| solver.explain(&setup))));
            }
            Ok(text)
        })?;
        args::write_text(&text, buf, cap, need)
    })
}

/// The (harmonic) Ritz values of the vectors kept, the smallest in modulus first: what the slow modes of the
/// (preconditioned) operator are taken to be. Of the last solve with diagnostics=on that renewed its space.
///
/// re, im: room for cap numbers each; may be NULL if cap is 0. need: gets how many there are, also if cap is too
/// small; may be NULL. With cap 0 and need given the call only counts.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (cap is too small).
/// Source: Parks et al. 2006, sec. 2.3; Morgan, SIAM J. Sci. Comput. 24 (2002).
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_ritz_values(s: *const rkn_krylov, re: *mut f64, im: *mut f64, cap: i64, need: *mut i64) -> rkn_status {
    guard("rkn_krylov_ritz_values", || {
        look(s, |s| {
            let setup = s.setup.borrow();
            let report = setup.report.borrow();
            let values = &report.diagnostics.ritz;
            let Some(count) = counted(values.len(), cap, need)? else { return Ok(()) };
            for (to, part, name) in [(re, 0, "re"), (im, 1, "im")] {
                let to = args::slice_mut::<f64>(to.cast(), count, name)?;
                to.iter_mut().zip(values).for_each(|(to, v)| *to = v[part]);
            }
            Ok(())
        })
    })
}

/// The principal angles, in radians and ascending, between A U as the last update of the space found it and as
/// it left it (rcg: between U and U in the product of A; rminres: of A U in that of M). With diagnostics=on.
///
/// angles, cap, need: as norms in rkn_krylov_history.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (cap is too small).
/// Source: Bjorck and Golub, Math. Comp. 27 (1973).
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_angles(s: *const rkn_krylov, angles: *mut f64, cap: i64, need: *mut i64) -> rkn_status {
    guard("rkn_krylov_angles", || {
        look(s, |s| {
            let setup = s.setup.borrow();
            let report = setup.report.borrow();
            copy_out(&report.diagnostics.angles, angles, "angles", cap, need)
        })
    })
}

/// Tells how many numbers there are; `None` if the call only counts.
pub(super) fn counted(count: usize, cap: i64, need: *mut i64) -> Result<Option<usize>> {
    let cap = args::length(cap, "cap")?;
    if !need.is_null() {
        *args::out(need, "need")? = count as i64;
    }
    if cap == 0 && !need.is_null() {
        return Ok(None);
    }
    if cap < count {
        return Err(Error::size("cap", cap, format!("be at least {count}")));
    }
    Ok(Some(count))
}

/// Numbers into a caller's array.
fn copy_out(from: &[f64], to: *mut f64, name: &'static str, cap: i64, need: *mut i64) -> Result<()> {
    if let Some(count) = counted(from.len(), cap, need)? {
        args::slice_mut::<f64>(to.cast(), count, name)?.copy_from_slice(from);
    }
    Ok(())
}

/// The texts of the option table, made once, for rkn_krylov_option.
static OPTION_TEXTS: Lazy<Vec<[CString; 3]>> = Lazy::new(|| {
    let c = |text: &str| CString::new(text).unwrap_or_default();
    KRYLOV
        .iter()
        .map(|row| {
            let used = if row.methods.is_empty() { "all".to_string() } else { row.methods.join(", ") };
            let kind = if matches!(row.default, Start::Result) { "result" } else { "option" };
            [c(row.key), c(row.of.name()), c(&format!("{} ({kind}; {used})", row.sentence))]
        })
        .collect()
});

/// The i-th key of the Krylov solvers, options first, then results; for tools that list or forward
/// them.
///
/// i: from 0. key, type, doc: get static texts: the key, "int", "real" or "string", and a sentence;
/// each may be NULL.
/// Errors: RKN_ERR_INDEX (i is past the end).
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_option(i: i64, key: *mut *const c_char, r#type: *mut *const c_char, doc: *mut *const c_char) -> rkn_status {
    guard("rkn_krylov_option", || {
        let texts = usize::try_from(i).ok().and_then(|i| OPTION_TEXTS.get(i));
        let texts = texts.ok_or_else(|| Error::Index(format!("argument 'i' is {i}, must lie in 0..{}", OPTION_TEXTS.len() - 1)))?;
        for (to, text) in [key, r#type, doc].into_iter().zip(texts) {
            if !to.is_null() {
                *args::out(to, "key")? = text.as_ptr();
            }
        }
        Ok(())
    })
}
