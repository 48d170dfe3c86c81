//! A + sigma I.

use super::{add, entries_of, finite, is_real, shape};
use crate::linalg::{Panel, PanelMut};
use crate::operator::{Body, Operator, Trans};
use crate::runtime::{Error, Pool, Result, Scalar};
use std::slice;

pub struct Shifted<T: Scalar> {
    sigma: T,
    part: Operator<T>,
}

impl<T: Scalar> Shifted<T> {
    /// Errors: `Size` unless A is square.
    pub fn new(a: Operator<T>, sigma: T) -> Result<Self> {
        finite("sigma", sigma)?;
        if a.nrows() != a.ncols() {
            return Err(Error::size("A", shape(&a), "be square"));
        }
        Ok(Shifted { sigma, part: a })
    }
}

impl<T: Scalar> Body<T> for Shifted<T> {
    fn nrows(&self) -> usize {
        self.part.nrows()
    }

    fn ncols(&self) -> usize {
        self.part.ncols()
    }

    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, mut y: PanelMut<T>) -> Result<()> {
        self.part.apply(pool, trans, x, y.reborrow())?;
        add(pool, trans.of(self.sigma), x, y);
        Ok(())
    }

    fn entries(&self, entry: &mut dyn FnMut(usize, usize, T)) -> Result<()> {
        self.part.with_body(|body| body.entries(entry))?;
        (0..self.nrows()).for_each(|i| entry(i, i, self.sigma));
        Ok(())
    }

    fn parts(&self) -> &[Operator<T>] {
        slice::from_ref(&self.part)
    }

    fn has_adjoint(&self) -> bool {
        self.part.has_adjoint()
    }

    fn is_hermitian(&self) -> bool {
        self.part.is_hermitian() && is_real(self.sigma)
    }

    fn describe(&self) -> String {
        format!("shifted({})", self.part.describe())
    }

    fn count(&self, key: &str) -> Option<i64> {
        (key == "entries").then(|| entries_of(self.parts())).flatten()
    }

    fn is_composed(&self) -> bool {
        true
    }
}
