use super::any::{by_scalar, Erase};
use super::args;
use super::callback::{rkn_prolongate_fn, User};
use super::guard::guard;
use super::handle;
use super::krylov::{alone, counted, operators, read_at_rest, rkn_krylov, typed};
use super::operator::rkn_operator;
use super::status::*;
use crate::krylov::{Krylov, Setup};
use crate::linalg::Panel;
use crate::runtime::{Error, Kind, Result, Scalar};
use std::any::Any;
use std::ffi::c_void;

/// Runs `$body` on the solver behind a handle, of whatever scalar; `None` where it has solved nothing yet.
macro_rules! with_learned {
    ($s:expr, |$solver:ident, $setup:ident| $body:expr) => {{
        let mut slot = $s.solver.borrow_mut();
        let $setup = &*$s.setup.borrow();
        match slot.as_mut() {
            None => Ok(None),
            Some((kind, any)) => by_scalar!(*kind, T => match any.downcast_mut::<Krylov<T>>() {
                Some($solver) => $body.map(Some),
                None => Ok(None),
            }),
        }
    }};
}

fn nothing() -> Error {
    Error::State("argument 's' has solved nothing yet: there is no state to save".to_string())
}

/// Copies the learned space U out: vectors in the coordinates of the solution, neither orthogonal nor of unit
/// length, the most wanted first.
///
/// scalar: that of the systems solved. n: their order (this rank's rows). cap: columns that U has room for.
/// U: n x cap, column-major, leading dimension ldu; may be NULL if cap is 0. need: gets how many columns there
/// are, also if cap is too small; may be NULL. With cap 0 and need given the call only counts.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY (in the solver's own callbacks too), RKN_ERR_ARGUMENT,
/// RKN_ERR_SCALAR, RKN_ERR_SIZE (cap is too small, n is another).
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_get_space(
    s: *const rkn_krylov,
    scalar: rkn_scalar,
    n: i64,
    cap: i64,
    U: *mut c_void,
    ldu: i64,
    need: *mut i64,
) -> rkn_status {
    guard("rkn_krylov_get_space", || {
        let (kind, n) = (args::kind(scalar)?, args::length(n, "n")?);
        let ldu = args::stride(n, args::length(ldu, "ldu")?);
        read_at_rest(s, |s| {
            let solver = s.solver.borrow();
            if let Some((held, _)) = solver.as_ref().filter(|(held, _)| *held != kind) {
                return Err(Error::Scalar(format!("argument 'scalar' is that of {}, the space is of {}", kind.name(), held.name())));
            }
            by_scalar!(kind, T => {
                let space = solver.as_ref().and_then(|(_, any)| any.downcast_ref::<Krylov<T>>()).map(|solver| solver.space());
                let Some(count) = counted(space.map_or(0, |space| space.ncols), cap, need)? else { return Ok(()) };
                let Some(space) = space.filter(|_| count > 0) else { return Ok(()) };
                if n != space.nrows {
                    return Err(Error::size("n", n, format!("be {}", space.nrows)));
                }
                let to = args::slice_mut::<T>(U, args::panel_len(n, count, ldu, "ldu")?, "U")?;
                (0..count).for_each(|j| to[j * ldu..][..n].copy_from_slice(space.col(j)));
                Ok(())
            })
        })
    })
}

/// Gives the solver a space to start the next solve with, in the place of the learned one: vectors that a
/// model, a coarse grid or another run takes for slow directions of the systems to come.
///
/// The vectors are copied; they need be neither orthogonal nor independent. The next solve must be of order n,
/// and takes as many as "recycle" says. It spends an apply a vector (rcg, eigcg, rminres: a use of M too).
/// scalar: that of the systems to come. n: their order (this rank's rows). ncols: columns of U; 0 takes the
/// space away. U: n x ncols, column-major, leading dimension ldu.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_ARGUMENT, RKN_ERR_SIZE, RKN_ERR_NONFINITE,
/// RKN_ERR_MEMORY, RKN_ERR_UNSUPPORTED (the method keeps none).
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_set_space(
    s: *mut rkn_krylov,
    scalar: rkn_scalar,
    n: i64,
    ncols: i64,
    U: *const c_void,
    ldu: i64,
) -> rkn_status {
    guard("rkn_krylov_set_space", || {
        let s = alone(s)?;
        let (kind, n, ncols) = (args::kind(scalar)?, args::length(n, "n")?, args::length(ncols, "ncols")?);
        let ldu = args::stride(n, args::length(ldu, "ldu")?);
        by_scalar!(kind, T => {
            let data = args::slice::<T>(U, args::panel_len(n, ncols, ldu, "ldu")?, "U")?;
            let vectors = Panel { data, nrows: n, ncols, ld: ldu };
            s.with_solver::<T, _>(|solver, setup| solver.set_space(setup, vectors))
        })
    })
}

/// Keeps the first ncols vectors of the learned space at most.
///
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (ncols is negative).
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_truncate(s: *mut rkn_krylov, ncols: i64) -> rkn_status {
    guard("rkn_krylov_truncate", || {
        let s = alone(s)?;
        let ncols = args::length(ncols, "ncols")?;
        with_learned!(s, |solver, setup| {
            solver.truncate(setup, ncols);
            Ok(())
        })
        .map(|_: Option<()>| ())
    })
}

/// Carries what was learned over to another mesh: the space and earlier solutions, vector by vector through a
/// callback. Preconditioners and the experience of "auto" stay behind. After an error nothing has changed.
///
/// n: the order of the systems to come (this rank's rows). prolongate, user: see rkn_prolongate_fn; called
/// before the call returns, not kept.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_NONFINITE (the callback delivers
/// it), RKN_ERR_CALLBACK, RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_prolongate(s: *mut rkn_krylov, n: i64, prolongate: rkn_prolongate_fn, user: *mut c_void) -> rkn_status {
    guard("rkn_krylov_prolongate", || {
        let s = alone(s)?;
        let n = args::length(n, "n")?;
        let function = prolongate.ok_or(Error::Null("prolongate"))?;
        let user = User::new(user, None);
        with_learned!(s, |solver, setup| solver.prolongate(setup, n, |from, to| user.prolongate(function, from, to))).map(|_: Option<()>| ())
    })
}

/// Saves what was learned as bytes: the space with its image, earlier solutions, the experience of "auto", and
/// the numbers that the solver's own preconditioner was made from. A solver that loads them goes on bit for
/// bit. Options, callbacks, scalings and a preconditioner of the caller's are not in it.
///
/// The bytes bear a version and a checksum and are the same on every machine.
/// buf: room for cap bytes; may be NULL if cap is 0. need: gets how many bytes there are, also if cap is too
/// small; may be NULL. With cap 0 and need given the call only counts.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE (cap is too small), RKN_ERR_STATE (nothing has
/// been solved yet).
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_save(s: *mut rkn_krylov, buf: *mut c_void, cap: i64, need: *mut i64) -> rkn_status {
    guard("rkn_krylov_save", || {
        let s = alone(s)?;
        let cap = args::length(cap, "cap")?;
        let len = with_learned!(s, |solver, setup| solver.saved_len(setup))?.ok_or_else(nothing)?;
        if !need.is_null() {
            *args::out(need, "need")? = len as i64;
        }
        if cap == 0 && !need.is_null() {
            return Ok(());
        }
        if cap < len {
            return Err(Error::size("cap", cap, format!("be at least {len}")));
        }
        let buf = args::slice_mut::<u8>(buf, len, "buf")?;
        with_learned!(s, |solver, setup| solver.save(setup, buf)).map(|_: Option<()>| ())
    })
}

/// Puts a solver into a state that rkn_krylov_save saved, in this process or another. Set its options first: those
/// that rule what is kept must be those of the solver that was saved. After an error nothing has changed.
///
/// A, M: stand for the operators of the last solve before the state was saved, M NULL if the caller gave none
/// then. Give them in the condition they had in that solve, or call rkn_operator_changed before the next one.
/// Neither is kept.
/// buf: len bytes.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SCALAR, RKN_ERR_SIZE (A is of another order),
/// RKN_ERR_FORMAT (no saved state, another version, damaged), RKN_ERR_STATE (another method, other options, another
/// pattern), RKN_ERR_MEMORY, and those of making the preconditioner anew.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_load(
    s: *mut rkn_krylov,
    A: *const rkn_operator,
    M: *const rkn_operator,
    buf: *const c_void,
    len: i64,
) -> rkn_status {
    guard("rkn_krylov_load", || {
        let s = alone(s)?;
        let (a, m) = operators(A, M)?;
        let bytes = args::slice::<u8>(buf, args::length(len, "len")?, "buf")?;
        by_scalar!(a.any().kind(), T => {
            let (a, m) = typed::<T>(a.any(), m.as_ref().map(|m| m.any()))?;
            let new = Krylov::<T>::loaded(&s.setup.borrow(), a, m, bytes)?;
            *s.solver.borrow_mut() = Some((T::KIND, Box::new(new)));
            s.is_marked_blank.set(false);
            Ok(())
        })
    })
}

/// Makes a solver with the same options and in the same state. Inner products, weights and scalings are shared or
/// copied; a monitor and a convergence test are not.
///
/// out: gets the handle, to be freed by rkn_krylov_destroy.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_clone(s: *mut rkn_krylov, out: *mut *mut rkn_krylov) -> rkn_status {
    guard("rkn_krylov_clone", || {
        let out = args::out_handle(out)?;
        let s = alone(s)?;
        let setup = s.setup.borrow().duplicate()?;
        let solver = match s.solver.borrow_mut().as_mut() {
            None => None,
            Some((kind, any)) => by_scalar!(*kind, T => copy_of::<T>(any.as_mut(), &setup)?),
        };
        *out = handle::publish(rkn_krylov::new(setup, solver, s.inner.borrow().clone()));
        Ok(())
    })
}

fn copy_of<T: Erase>(any: &mut dyn Any, setup: &Setup) -> Result<Option<(Kind, Box<dyn Any>)>> {
    let Some(solver) = any.downcast_mut::<Krylov<T>>() else { return Ok(None) };
    let copy = solver.duplicate(setup)?;
    setup.report.borrow_mut().recycled = copy.recycled();
    Ok(Some((T::KIND, Box::new(copy))))
}

/// Marks the present state, to be rolled back to when a time step is rejected. One mark is kept; it lasts until
/// the next one, rkn_krylov_forget or rkn_krylov_load.
///
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_mark(s: *mut rkn_krylov) -> rkn_status {
    guard("rkn_krylov_mark", || {
        let s = alone(s)?;
        let marked: Option<()> = with_learned!(s, |solver, setup| solver.mark(setup))?;
        s.is_marked_blank.set(marked.is_none());
        Ok(())
    })
}

/// Goes back to the marked state, as if the solves since then had not been; the mark stays, counts of solves and
/// the results of the last solve too.
///
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_STATE (nothing is marked, or options that rule what
/// is kept have changed since), RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_krylov_rollback(s: *mut rkn_krylov) -> rkn_status {
    guard("rkn_krylov_rollback", || {
        let s = alone(s)?;
        if s.is_marked_blank.get() {
            *s.solver.borrow_mut() = None;
            s.setup.borrow().report.borrow_mut().recycled = 0;
            return Ok(());
        }
        with_learned!(s, |solver, setup| solver.rollback(setup))?
            .ok_or_else(|| Error::State("argument 's' has no marked state".to_string()))
    })
}
