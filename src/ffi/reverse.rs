use super::any::by_scalar;
use super::args;
use super::guard::guard;
use super::handle;
use super::helper::{self, Answer, Body, Event, Helper};
use super::krylov::{alone, operators, panels, record, rkn_krylov, taken, typed, vectors, Pair};
use super::operator::rkn_operator;
use super::status::*;
use crate::krylov::Outcome;
use crate::linalg::{Panel, PanelMut};
use crate::operator::callback::Apply;
use crate::operator::Trans;
use crate::runtime::context::{Reduce, Reduction};
use crate::runtime::{Error, Result, Scalar};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::{null, null_mut};

/// What a solve wants of the host. The library owns it and the arrays it points to; they are valid until
/// the next call of rkn_krylov_next, rkn_krylov_cancel or rkn_krylov_destroy. New fields are appended, and
/// `size` tells how long this library's struct is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rkn_request {
    /// Bytes of this struct.
    pub size: i64,
    /// RKN_REQUEST_DONE: there is nothing more to do. RKN_REQUEST_APPLY, RKN_REQUEST_PRECONDITION, or a
    /// number from RKN_REQUEST_USER on: y <- op(A) x with the operator of that kind. RKN_REQUEST_REDUCE:
    /// combine `inout` over all ranks.
    pub kind: rkn_request_kind,
    /// Of a product: RKN_N, RKN_T or RKN_H.
    pub trans: rkn_trans,
    /// Of a product: the scalar of x and y.
    pub scalar: rkn_scalar,
    /// Of a reduction: RKN_SUM or RKN_MAX.
    pub op: rkn_reduction,
    /// Columns of x and y.
    pub ncols: i64,
    /// Entries of a column of x, and from one column to the next.
    pub nx: i64,
    pub ldx: i64,
    /// Entries of a column of y, and from one column to the next.
    pub ny: i64,
    pub ldy: i64,
    /// To be multiplied.
    pub x: *const c_void,
    /// To be written whole; holds anything.
    pub y: *mut c_void,
    /// Doubles of `inout`.
    pub n: i64,
    /// To be replaced by the sum or maximum over all ranks, the same bits on each.
    pub inout: *mut f64,
}

impl rkn_request {
    pub(super) const DONE: Self = rkn_request {
        size: size_of::<rkn_request>() as i64,
        kind: RKN_REQUEST_DONE,
        trans: RKN_N,
        scalar: RKN_F64,
        op: RKN_SUM,
        ncols: 0,
        nx: 0,
        ldx: 0,
        ny: 0,
        ldy: 0,
        x: null(),
        y: null_mut(),
        n: 0,
        inout: null_mut(),
    };
}

/// What is handed out where no solver can hold the request.
struct Done(rkn_request);

// SAFETY: never written, and its pointers are NULL.
unsafe impl Sync for Done {}

static DONE: Done = Done(rkn_request::DONE);

/// The products of an operator by request.
pub(super) struct RequestApply {
    kind: rkn_request_kind,
    status: Cell<i32>,
}

impl RequestApply {
    pub fn new(kind: rkn_request_kind) -> Self {
        RequestApply { kind, status: Cell::new(0) }
    }
}

impl<T: Scalar> Apply<T> for RequestApply {
    fn apply(&self, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        let done = helper::ask(rkn_request {
            kind: self.kind,
            trans: trans as i32,
            scalar: T::KIND as i32,
            ncols: x.ncols as i64,
            nx: x.nrows as i64,
            ldx: x.ld as i64,
            ny: y.nrows as i64,
            ldy: y.ld as i64,
            x: x.data.as_ptr().cast(),
            y: y.data.as_mut_ptr().cast(),
            ..rkn_request::DONE
        });
        self.status.set(if let Err(Error::Callback { value, .. }) = done { value } else { 0 });
        done
    }

    fn status(&self) -> i32 {
        self.status.get()
    }

    fn describe(&self) -> &'static str {
        "request"
    }
}

/// The sum over ranks by request.
pub(super) struct RequestReduce;

impl Reduce for RequestReduce {
    fn reduce(&self, op: Reduction, inout: &mut [f64]) -> Result<()> {
        let (n, inout) = (inout.len() as i64, inout.as_mut_ptr());
        helper::ask(rkn_request { kind: RKN_REQUEST_REDUCE, op: op as i32, n, inout, ..rkn_request::DONE })
    }

    fn is_request(&self) -> bool {
        true
    }
}

/// A solve by requests.
pub(super) struct Session {
    helper: Helper,
    /// In use until the end, as in any solve.
    _operators: Option<Pair>,
    is_solve: bool,
    has_asked: bool,
}

/// Begins a solve of A x = b in which the host is asked, not called back: rkn_krylov_next hands out one
/// request after the other, for products with operators of rkn_operator_create_request and for the sum over
/// ranks after rkn_context_set_reduce_request. (Reverse communication, for programs whose loop must stay
/// theirs.) The solver, its options and its memory are those of rkn_krylov_solve, and so is the result, bit
/// for bit.
///
/// A, M, b, x: as in rkn_krylov_solve. Operators of other kinds, matrices and callbacks, may stand beside those by
/// request. Until the solve has ended A and M are in use, b must not be written, and x neither written nor read.
/// Nothing is computed yet. The loop runs on a thread of the library's own, which sleeps while the host has the word
/// and is gone when the solve has ended. Callbacks, if there are any, are called in rkn_krylov_next, on the thread
/// that called it. In between, s may be read (getters, view, history); rkn_krylov_next, rkn_krylov_cancel and
/// rkn_krylov_destroy are allowed, all else is RKN_ERR_BUSY.
/// Errors: as rkn_krylov_solve for wrong arguments; RKN_ERR_THREADS (the thread cannot be had). Where the sum over ranks
/// is a request, wrong operators and vectors are told by rkn_krylov_next, on all ranks alike.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_start(
    s: *mut rkn_krylov,
    A: *const rkn_operator,
    M: *const rkn_operator,
    b: *const c_void,
    x: *mut c_void,
) -> rkn_status {
    guard("rkn_krylov_start", || {
        let s = alone(s)?;
        let me = until_the_end(&s);
        begin(&s, operators(A, M), true, |(a, m)| {
            by_scalar!(a.any().kind(), T => {
                let (a, m) = typed::<T>(a.any(), m.as_ref().map(|m| m.any()))?;
                let (a, m) = (a.clone(), m.cloned());
                let (b, x) = vectors::<T>(a.nrows(), b, x)?;
                Ok(Box::new(move || me.with_solver(|solver, setup| solver.solve(setup, &a, m.as_ref(), b, x))))
            })
        })
    })
}

/// Begins a block solve A X = B by requests: rkn_krylov_start for several right-hand sides. A request for a product
/// has as many columns as wait for one.
///
/// A, M, ncols, B, ldb, X, ldx: as in rkn_krylov_solve_block. Errors: as rkn_krylov_start.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_start_block(
    s: *mut rkn_krylov,
    A: *const rkn_operator,
    M: *const rkn_operator,
    ncols: i64,
    B: *const c_void,
    ldb: i64,
    X: *mut c_void,
    ldx: i64,
) -> rkn_status {
    guard("rkn_krylov_start_block", || {
        let s = alone(s)?;
        let me = until_the_end(&s);
        begin(&s, operators(A, M), true, |(a, m)| {
            by_scalar!(a.any().kind(), T => {
                let (a, m) = typed::<T>(a.any(), m.as_ref().map(|m| m.any()))?;
                let (a, m) = (a.clone(), m.cloned());
                let (b, x) = panels::<T>(a.nrows(), ncols, [ldb, ldx], B, X)?;
                Ok(Box::new(move || me.with_solver(|solver, setup| solver.solve_block(setup, &a, m.as_ref(), b, x))))
            })
        })
    })
}

/// Begins what rkn_krylov_prepare does where that takes requests: a preconditioner of the solver's own that needs
/// products ("chebyshev"), nullspaces, or ranks. rkn_krylov_next goes on with it.
///
/// A, M: as in rkn_krylov_prepare. Errors: as rkn_krylov_start.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_start_prepare(s: *mut rkn_krylov, A: *const rkn_operator, M: *const rkn_operator) -> rkn_status {
    guard("rkn_krylov_start_prepare", || {
        let s = alone(s)?;
        let me = until_the_end(&s);
        begin(&s, operators(A, M), false, |(a, m)| {
            by_scalar!(a.any().kind(), T => {
                let (a, m) = typed::<T>(a.any(), m.as_ref().map(|m| m.any()))?;
                let (a, m) = (a.clone(), m.cloned());
                Ok(Box::new(move || me.with_solver(|solver, setup| solver.prepare(setup, &a, m.as_ref())).map(|()| Outcome::Converged)))
            })
        })
    })
}

/// The solver as its own helper sees it.
fn until_the_end(s: &rkn_krylov) -> &'static rkn_krylov {
    // SAFETY: the helper ends before the solver is freed: `close` sees to that.
    unsafe { &*std::ptr::from_ref(s) }
}

/// Begins what `call` makes of the operators. They are in use from here to its end, the vote on wrong
/// arguments included.
fn begin(s: &rkn_krylov, operators: Result<Pair>, is_solve: bool, call: impl FnOnce(&Pair) -> Result<Body>) -> Result<()> {
    let by_request = s.setup.borrow().context.reduce_hook().is_some_and(|hook| hook.is_request());
    let (operators, body) = match operators {
        Ok(operators) => {
            let body = call(&operators);
            (Some(operators), body)
        }
        Err(e) => (None, Err(e)),
    };
    let helper = match body {
        // The vote on the arguments takes a request.
        Err(e) if by_request => {
            let me = until_the_end(s);
            Helper::new(Box::new(move || taken(me, Err(e))))
        }
        body => body.and_then(Helper::new),
    };
    match helper {
        Ok(helper) => {
            s.session.replace(Some(Session { helper, _operators: operators, is_solve, has_asked: false }));
            Ok(())
        }
        Err(e) => {
            // Without its thread this rank has no way to vote by requests.
            let outcome = if by_request { Err(e) } else { taken(s, Err(e)) };
            if is_solve {
                record(s, &outcome);
            }
            outcome.map(|_| ())
        }
    }
}

/// Goes on with the solve that was begun by rkn_krylov_start, until it wants something of the host or has ended.
///
/// failed: 0 if the last request was served. Other values end the solve with RKN_ERR_CALLBACK, on all ranks;
/// the value is then in "callback_status". More requests may come before the end, because other ranks may wait
/// for them. 0 in the first call, when nothing was asked yet.
/// request: gets the next request, never NULL. It is of kind RKN_REQUEST_DONE when the solve has ended, and
/// whenever the status is not RKN_OK.
/// Returns RKN_OK with each request, and at the end what rkn_krylov_solve would have returned.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY; RKN_ERR_STATE (no solve is under way, or it was begun before a
/// fork and belongs to the parent); RKN_ERR_ARGUMENT (failed is not 0 in the first call; the solve is as before); as
/// rkn_krylov_solve.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_next(s: *mut rkn_krylov, failed: i32, request: *mut *const rkn_request) -> rkn_status {
    guard("rkn_krylov_next", || {
        let out = args::out(request, "request")?;
        *out = &DONE.0;
        let s = handle::exclusive(s, "s")?;
        let mut session = running(&s)?.ok_or_else(|| Error::State("no solve is under way: begin one by rkn_krylov_start".to_string()))?;
        if failed != 0 && !session.has_asked {
            s.session.replace(Some(session));
            return Err(Error::argument("failed", failed, "be 0 before the first request"));
        }
        session.has_asked = true;
        match session.helper.resume(if failed == 0 { Answer::Served } else { Answer::Failed(failed) }) {
            Event::Request(_) if s.is_doomed() => Err(Error::Handle("argument 's' was destroyed by a callback of this solve".to_string())),
            Event::Request(asked) => {
                s.request.set(asked);
                *out = s.request.as_ptr();
                s.session.replace(Some(session));
                Ok(Outcome::Converged)
            }
            Event::Done(outcome) => {
                if session.is_solve {
                    record(&s, &outcome);
                }
                outcome
            }
        }
    })
}

/// Ends the solve that is under way, if there is one: x gets the last sound iterate, and what the solver knew stays.
/// Calls no callbacks and hands out no requests; so other ranks are not told, and must cancel as well. (To end
/// the solve on all of them pass a nonzero `failed` to rkn_krylov_next.) Destroying the solver cancels, too.
///
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_STATE (the solve was begun before a fork and belongs to
/// the parent).
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_cancel(s: *mut rkn_krylov) -> rkn_status {
    guard("rkn_krylov_cancel", || {
        let s = handle::exclusive(s, "s")?;
        if let Some(mut session) = running(&s)? {
            let outcome = session.helper.cancel();
            if session.is_solve {
                record(&s, &outcome);
            }
        }
        Ok(())
    })
}

/// Takes the session out, if there is one that lives.
fn running(s: &rkn_krylov) -> Result<Option<Session>> {
    if s.session.borrow().as_ref().is_some_and(|session| session.helper.is_orphan()) {
        return Err(Error::State("the solve was begun before a fork and belongs to the parent; destroy 's' here".to_string()));
    }
    Ok(s.session.take())
}

/// Cancels before a solver is freed. The memory of a solve that stayed behind in the parent of a fork is in a
/// state that nobody knows: it is never freed.
pub(super) fn close(s: &rkn_krylov) -> bool {
    let session = s.session.take();
    let is_whole = session.as_ref().is_none_or(|session| !session.helper.is_orphan());
    drop(session);
    is_whole
}
