//! alpha A.

use super::{entries_of, finite, is_real, scale};
use crate::linalg::{Panel, PanelMut};
use crate::operator::{Body, Operator, Trans};
use crate::runtime::{Pool, Result, Scalar};
use std::slice;

pub struct Scaled<T: Scalar> {
    alpha: T,
    part: Operator<T>,
}

impl<T: Scalar> Scaled<T> {
    pub fn new(alpha: T, a: Operator<T>) -> Result<Self> {
        finite("alpha", alpha)?;
        Ok(Scaled { alpha, part: a })
    }
}

impl<T: Scalar> Body<T> for Scaled<T> {
    fn nrows(&self) -> usize {
        self.part.nrows()
    }

    fn ncols(&self) -> usize {
        self.part.ncols()
    }

    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, mut y: PanelMut<T>) -> Result<()> {
        self.part.apply(pool, trans, x, y.reborrow())?;
        scale(pool, trans.of(self.alpha), y);
        Ok(())
    }

    fn entries(&self, entry: &mut dyn FnMut(usize, usize, T)) -> Result<()> {
        self.part.with_body(|body| body.entries(&mut |i, j, v| entry(i, j, self.alpha * v)))
    }

    fn parts(&self) -> &[Operator<T>] {
        slice::from_ref(&self.part)
    }

    fn has_adjoint(&self) -> bool {
        self.part.has_adjoint()
    }

    fn is_hermitian(&self) -> bool {
        self.part.is_hermitian() && is_real(self.alpha)
    }

    fn describe(&self) -> String {
        format!("scaled({})", self.part.describe())
    }

    fn count(&self, key: &str) -> Option<i64> {
        (key == "entries").then(|| entries_of(self.parts())).flatten()
    }

    fn is_composed(&self) -> bool {
        true
    }
}
