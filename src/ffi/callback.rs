//! Callbacks of the host: function types, and what wraps them. A kept callback belongs to the
//! thread that uses it while it runs; it is let go by its `release`, once.

use super::handle::this_thread;
use super::status::{rkn_event, rkn_reduction, rkn_trans};
use super::{environment, helper};
use crate::krylov::problem::Converged;
use crate::linalg::space::Inner;
use crate::linalg::{Panel, PanelMut};
use crate::operator::callback::{Apply, Refresh};
use crate::operator::Trans;
use crate::runtime::context::{Log, Reduce, Reduction};
use crate::runtime::monitor::{Monitor, Progress, Wish};
use crate::runtime::profile::{Events, Phase, Work};
use crate::runtime::{panics, Error, Result, Scalar};
use std::cell::Cell;
use std::ffi::{c_char, c_void, CString};
use std::sync::atomic::{AtomicU64, Ordering};

/// Called once with `user` when the library lets a kept callback go. NULL where nothing is to do.
pub type rkn_release_fn = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// Combines `n` doubles of all ranks in place, by RKN_SUM or RKN_MAX; a complex number counts as
/// two. Must give identical bits on all ranks. 0: done; other values end the call with
/// RKN_ERR_CALLBACK.
pub type rkn_reduce_fn = Option<unsafe extern "C" fn(user: *mut c_void, op: rkn_reduction, n: i64, inout: *mut f64) -> i32>;

/// Receives a log line on the thread that called the library. Levels: 1 warning, 2 a solve,
/// 3 a cycle. `line` is valid during the call.
pub type rkn_log_fn = Option<unsafe extern "C" fn(user: *mut c_void, level: i32, line: *const c_char)>;

/// y <- op(A) x for `ncols` columns, column-major with leading dimensions `ldx` and `ldy`; x and y
/// are of the operator's scalar. 0: done; other values end the call with RKN_ERR_CALLBACK. An
/// operator without an adjoint returns nonzero for RKN_T and RKN_H. Must return normally: no
/// exception and no longjmp may pass through it.
pub type rkn_apply_fn = Option<
    unsafe extern "C" fn(user: *mut c_void, trans: rkn_trans, ncols: i64, x: *const c_void, ldx: i64, y: *mut c_void, ldy: i64) -> i32,
>;

/// Brings a preconditioner of the caller's up to date with the matrix as it is now. 0: done; other values end
/// the call with RKN_ERR_CALLBACK.
pub type rkn_refresh_fn = Option<unsafe extern "C" fn(user: *mut c_void) -> i32>;

/// out <- X^H Y over this rank's `n` rows: `k` columns of x (the first is conjugated) with `l` of
/// y, both of the operator's scalar; `out` is k x l, column-major, always double (complex: two
/// doubles a number). The library sums over ranks. 0: done.
pub type rkn_inner_fn = Option<
    unsafe extern "C" fn(
        user: *mut c_void,
        n: i64,
        k: i64,
        x: *const c_void,
        ldx: i64,
        l: i64,
        y: *const c_void,
        ldy: i64,
        out: *mut f64,
    ) -> i32,
>;

/// Progress of a solve. The library owns it; it is valid during the call. New fields are appended,
/// and `size` tells how long this library's struct is.
#[repr(C)]
pub struct rkn_progress {
    /// Bytes of this struct.
    pub size: i64,
    /// 1: a Krylov solver; 2: a transport solver.
    pub solver: i32,
    /// 1: iterating.
    pub phase: i32,
    pub iteration: i64,
    /// Right-hand side, from 0.
    pub column: i64,
    /// Columns that the operator was applied to so far.
    pub applies: i64,
    /// The tested residual norm.
    pub measure: f64,
    /// What `measure` must fall to.
    pub target: f64,
    /// Since the call began.
    pub seconds: f64,
}

/// Called after each iteration, and once before the first. Nonzero: stop here
/// (RKN_STOP_MONITOR, on all ranks).
pub type rkn_monitor_fn = Option<unsafe extern "C" fn(user: *mut c_void, progress: *const rkn_progress) -> i32>;

/// Told of the begin (`begins` is 1) and the end (0) of each phase of a solve, on its thread; phases nest. `flops` and
/// `bytes` are those of the library since the begin, 0 at the begin itself: what the caller's callbacks do is not known.
pub type rkn_event_fn = Option<unsafe extern "C" fn(user: *mut c_void, event: rkn_event, begins: i32, flops: f64, bytes: f64)>;

/// The caller's own convergence test: sets `*converged` to 1 to accept, 0 to go on. Over several
/// ranks it holds when it holds on all, at the price of a reduction a test. It replaces
/// residual_norm <= target. Return 0; other values end the solve
/// with RKN_ERR_CALLBACK.
pub type rkn_converged_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, iteration: i64, residual_norm: f64, target: f64, converged: *mut i32) -> i32>;

/// y <- the vector x of `n` entries on another mesh, `n_new` entries; both of the solver's scalar. 0: done;
/// other values end the call with RKN_ERR_CALLBACK.
pub type rkn_prolongate_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, n: i64, x: *const c_void, n_new: i64, y: *mut c_void) -> i32>;

/// Writes row i of a cost: `row` has room for `m` doubles, all to be finite. 0: done; other values end the call with
/// RKN_ERR_CALLBACK.
pub type rkn_cost_row_fn = Option<unsafe extern "C" fn(user: *mut c_void, i: i64, m: i64, row: *mut f64) -> i32>;

/// What a `rkn_prolongate_fn` that is not NULL holds.
pub(super) type ProlongateFn = unsafe extern "C" fn(user: *mut c_void, n: i64, x: *const c_void, n_new: i64, y: *mut c_void) -> i32;

/// A callback's `user` with its release and its thread.
pub(super) struct User {
    pointer: *mut c_void,
    release: Cell<rkn_release_fn>,
    /// Thread inside the callback, and how deep.
    owner: AtomicU64,
    depth: Cell<u32>,
}

impl User {
    pub fn new(pointer: *mut c_void, release: rkn_release_fn) -> Self {
        User { pointer, release: Cell::new(release), owner: AtomicU64::new(0), depth: Cell::new(0) }
    }

    /// Sets the release once the callback is really kept.
    pub fn release_with(&self, release: rkn_release_fn) {
        self.release.set(release);
    }

    /// Calls out, on the host's thread.
    fn call<R>(&self, name: &'static str, f: impl FnOnce(*mut c_void) -> R) -> Result<R> {
        helper::by_host(false, || self.call_here(name, f))?
    }

    /// Calls out: the host's floating-point environment, and its own panic reporting.
    fn call_here<R>(&self, name: &'static str, f: impl FnOnce(*mut c_void) -> R) -> Result<R> {
        let me = this_thread();
        if self.owner.load(Ordering::Acquire) != me
            && self.owner.compare_exchange(0, me, Ordering::AcqRel, Ordering::Acquire).is_err()
        {
            return Err(Error::Busy(format!("callback '{name}' is running on another thread")));
        }
        self.depth.set(self.depth.get() + 1);
        let quiet = panics::set_quiet(false);
        let result = environment::outside(|| f(self.pointer));
        panics::set_quiet(quiet);
        self.depth.set(self.depth.get() - 1);
        if self.depth.get() == 0 {
            self.owner.store(0, Ordering::Release);
        }
        Ok(result)
    }

    fn status(&self, name: &'static str, f: impl FnOnce(*mut c_void) -> i32) -> Result<()> {
        match self.call(name, f)? {
            0 => Ok(()),
            value => Err(Error::Callback { name, value }),
        }
    }

    /// Calls a `rkn_prolongate_fn`.
    pub fn prolongate<T: Scalar>(&self, function: ProlongateFn, from: &[T], to: &mut [T]) -> Result<()> {
        let (n, n_new) = (from.len() as i64, to.len() as i64);
        // SAFETY: the host's own function, with arrays of the lengths that it is told.
        self.status("prolongate", |user| unsafe { function(user, n, from.as_ptr().cast(), n_new, to.as_mut_ptr().cast()) })
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let (release, pointer) = (self.release.get(), self.pointer);
        if let Some(release) = release {
            let _ = helper::by_host(true, || {
                let quiet = panics::set_quiet(false);
                // SAFETY: the host's own function with its own pointer, called once.
                environment::outside(|| unsafe { release(pointer) });
                panics::set_quiet(quiet);
            });
        }
    }
}

/// Takes a callback over: a NULL function is an error, and then `release` is not called.
pub(super) fn required<F>(function: Option<F>, name: &'static str) -> Result<F> {
    function.ok_or(Error::Null(name))
}

type ReduceFn = unsafe extern "C" fn(*mut c_void, rkn_reduction, i64, *mut f64) -> i32;
type LogFn = unsafe extern "C" fn(*mut c_void, i32, *const c_char);
type ApplyFn = unsafe extern "C" fn(*mut c_void, rkn_trans, i64, *const c_void, i64, *mut c_void, i64) -> i32;
type InnerFn = unsafe extern "C" fn(*mut c_void, i64, i64, *const c_void, i64, i64, *const c_void, i64, *mut f64) -> i32;
type EventFn = unsafe extern "C" fn(*mut c_void, rkn_event, i32, f64, f64);
type CostRowFn = unsafe extern "C" fn(*mut c_void, i64, i64, *mut f64) -> i32;
type MonitorFn = unsafe extern "C" fn(*mut c_void, *const rkn_progress) -> i32;
type ConvergedFn = unsafe extern "C" fn(*mut c_void, i64, f64, f64, *mut i32) -> i32;

pub(super) struct HostReduce {
    pub function: ReduceFn,
    pub user: User,
}

impl Reduce for HostReduce {
    fn reduce(&self, op: Reduction, inout: &mut [f64]) -> Result<()> {
        // SAFETY: `inout` is ours and has the stated length.
        self.user.status("reduce", |user| unsafe { (self.function)(user, op as i32, inout.len() as i64, inout.as_mut_ptr()) })
    }
}

pub(super) struct HostLog {
    pub function: LogFn,
    pub user: User,
}

impl Log for HostLog {
    fn line(&self, level: i32, text: &str) {
        let line = CString::new(text).unwrap_or_default();
        // SAFETY: the line ends with NUL and lives through the call.
        let _ = self.user.call("log", |user| unsafe { (self.function)(user, level, line.as_ptr()) });
    }
}

pub(super) struct HostApply {
    pub function: ApplyFn,
    pub user: User,
    /// What the last call returned.
    pub status: Cell<i32>,
}

impl<T: Scalar> Apply<T> for HostApply {
    fn apply(&self, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        self.user.status("apply", |user| {
            let (x_data, y_data) = (x.data.as_ptr().cast(), y.data.as_mut_ptr().cast());
            // SAFETY: panels of the stated columns and leading dimensions.
            let status = unsafe { (self.function)(user, trans as i32, x.ncols as i64, x_data, x.ld as i64, y_data, y.ld as i64) };
            self.status.set(status);
            status
        })
    }

    fn status(&self) -> i32 {
        self.status.get()
    }
}

pub(super) struct HostRefresh {
    pub function: unsafe extern "C" fn(user: *mut c_void) -> i32,
    pub user: User,
}

impl Refresh for HostRefresh {
    fn refresh(&self) -> Result<()> {
        // SAFETY: the host's own function with its own pointer.
        self.user.status("refresh", |user| unsafe { (self.function)(user) })
    }
}

pub(super) struct HostInner {
    pub function: InnerFn,
    pub user: User,
}

impl<T: Scalar> Inner<T> for HostInner {
    fn inner(&self, x: Panel<T>, y: Panel<T>, out: &mut [T::Wide]) -> Result<()> {
        let (n, k, l) = (x.nrows as i64, x.ncols as i64, y.ncols as i64);
        let (xp, yp) = (x.data.as_ptr().cast(), y.data.as_ptr().cast());
        let out = out.as_mut_ptr().cast::<f64>();
        // SAFETY: a wide scalar is one or two doubles; `out` holds k x l of them.
        self.user.status("inner", |user| unsafe { (self.function)(user, n, k, xp, x.ld as i64, l, yp, y.ld as i64, out) })
    }
}

pub(super) struct HostMonitor {
    pub function: MonitorFn,
    pub user: User,
    /// What `rkn_progress` calls the solver.
    pub solver: i32,
}

impl Monitor for HostMonitor {
    fn observe(&mut self, progress: &Progress) -> Wish {
        let c = rkn_progress {
            size: std::mem::size_of::<rkn_progress>() as i64,
            solver: self.solver,
            phase: progress.phase,
            iteration: progress.iteration as i64,
            column: 0,
            applies: progress.applies as i64,
            measure: progress.measure,
            target: progress.target,
            seconds: progress.seconds,
        };
        // SAFETY: the struct lives through the call.
        match self.user.call("monitor", |user| unsafe { (self.function)(user, &c) }) {
            Ok(0) => Wish::Continue,
            _ => Wish::Stop,
        }
    }
}

pub(super) struct HostEvents {
    pub function: EventFn,
    pub user: User,
}

impl Events for HostEvents {
    fn event(&self, phase: Phase, begins: bool, work: Work) {
        let (event, flops, bytes) = (phase as rkn_event, work.flops as f64, work.bytes as f64);
        // SAFETY: plain numbers. A profiler that cannot be told must not end a solve.
        let _ = self.user.call("events", |user| unsafe { (self.function)(user, event, begins as i32, flops, bytes) });
    }
}

pub(super) struct HostCost {
    pub function: CostRowFn,
    pub user: User,
}

impl HostCost {
    pub fn row(&self, i: usize, row: &mut [f64]) -> Result<()> {
        // SAFETY: room for as many numbers as is said.
        self.user.status("row", |user| unsafe { (self.function)(user, i as i64, row.len() as i64, row.as_mut_ptr()) })
    }
}

pub(super) struct HostConverged {
    pub function: ConvergedFn,
    pub user: User,
}

impl Converged for HostConverged {
    fn converged(&mut self, iteration: usize, norm: f64, target: f64) -> Result<bool> {
        let mut answer = 0i32;
        // SAFETY: `answer` lives through the call.
        self.user.status("converged", |user| unsafe { (self.function)(user, iteration as i64, norm, target, &mut answer) })?;
        Ok(answer != 0)
    }
}
