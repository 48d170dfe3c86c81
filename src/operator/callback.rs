//! Operators that the caller applies himself. The callback runs on the thread that called the
//! library, never in the pool.

use super::{Body, Trans};
use crate::linalg::{Panel, PanelMut};
use crate::runtime::{Error, Pool, Result, Scalar};

/// y <- op(A) x for all columns at once. `x` and `y` do not overlap; `y` may hold anything and
/// is overwritten whole.
pub trait Apply<T: Scalar> {
    fn apply(&self, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()>;

    /// Whether A^T and A^H can be applied.
    fn has_adjoint(&self) -> bool {
        true
    }

    /// What the last call returned, 0 if it went well.
    fn status(&self) -> i32 {
        0
    }

    fn describe(&self) -> &'static str {
        "callback"
    }
}

/// Brings what the caller applies up to date with the numbers that it depends on.
pub trait Refresh {
    fn refresh(&self) -> Result<()>;
}

pub struct Callback<T: Scalar> {
    nrows: usize,
    ncols: usize,
    apply: Box<dyn Apply<T>>,
    refresh: Option<Box<dyn Refresh>>,
}

impl<T: Scalar> Callback<T> {
    pub fn new(nrows: usize, ncols: usize, apply: Box<dyn Apply<T>>) -> Self {
        Callback { nrows, ncols, apply, refresh: None }
    }
}

impl<T: Scalar> Body<T> for Callback<T> {
    fn nrows(&self) -> usize {
        self.nrows
    }

    fn ncols(&self) -> usize {
        self.ncols
    }

    fn apply(&self, _pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        if trans != Trans::N && !self.apply.has_adjoint() {
            return Err(Error::Unsupported("the callback operator has no adjoint".to_string()));
        }
        self.apply.apply(trans, x, y)
    }

    fn changed(&mut self, _pool: &Pool) -> Result<()> {
        self.refresh.as_ref().map_or(Ok(()), |refresh| refresh.refresh())
    }

    fn set_refresh(&mut self, refresh: Option<Box<dyn Refresh>>) -> Result<()> {
        self.refresh = refresh;
        Ok(())
    }

    fn refreshes(&self) -> bool {
        self.refresh.is_some()
    }

    fn has_adjoint(&self) -> bool {
        self.apply.has_adjoint()
    }

    fn describe(&self) -> String {
        self.apply.describe().to_string()
    }

    fn count(&self, key: &str) -> Option<i64> {
        (key == "callback_status").then(|| self.apply.status() as i64)
    }
}
