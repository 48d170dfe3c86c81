//! The one guard around every function: panics, floating-point environment, last error.

use super::environment::Inside;
use super::status::rkn_status;
use crate::runtime::{panics, Error, Outcome, Result, Stop};
use std::cell::RefCell;
use std::ffi::{c_char, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::new(CString::default());
}

/// What a function's body hands back on success.
pub trait Success {
    fn stop(&self) -> Option<Stop>;
}

impl Success for () {
    fn stop(&self) -> Option<Stop> {
        None
    }
}

impl Success for Outcome {
    fn stop(&self) -> Option<Stop> {
        match self {
            Outcome::Converged => None,
            Outcome::Stopped(stop) => Some(*stop),
        }
    }
}

/// Runs a function's body; every way out of it is a status.
pub fn guard<S: Success>(function: &str, body: impl FnOnce() -> Result<S>) -> rkn_status {
    let was_quiet = panics::set_quiet(true);
    let inside = Inside::enter();
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| Err(Error::Internal(panics::take_text())));
    drop(inside);
    panics::set_quiet(was_quiet);
    match result {
        Ok(success) => match success.stop() {
            None => 0,
            Some(stop) => {
                set_last_error(function, stop.sentence());
                stop as i32
            }
        },
        Err(error) => {
            set_last_error(function, &error.to_string());
            error.status()
        }
    }
}

/// As [`guard`] for functions that return nothing.
pub fn guard_void(body: impl FnOnce()) {
    let was_quiet = panics::set_quiet(true);
    let inside = Inside::enter();
    let _ = catch_unwind(AssertUnwindSafe(body));
    drop(inside);
    panics::set_quiet(was_quiet);
}

fn set_last_error(function: &str, text: &str) {
    let text = format!("{function}: {text}").replace('\0', "?");
    // The message of a callback's own nested call must not vanish under a borrow, so no `with`
    // body ever calls out.
    LAST_ERROR.with(|last| *last.borrow_mut() = CString::new(text).unwrap_or_default());
}

/// Valid until this thread's next failing call.
pub fn last_error() -> *const c_char {
    LAST_ERROR.with(|last| last.borrow().as_ptr())
}
