//! M = D, the diagonal.

use super::lagged::Part;
use crate::linalg::kernels::BLOCK;
use crate::linalg::{Panel, PanelMut};
use crate::operator::{Operator, Trans};
use crate::runtime::{memory, Error, Pool, Result, Scalar};

pub struct Jacobi<T> {
    inverse: Vec<T>,
}

impl<T: Scalar> Jacobi<T> {
    pub fn new(a: &Operator<T>) -> Result<Self> {
        let mut inverse = memory::filled(a.nrows(), T::ZERO, "a diagonal")?;
        invert_diagonal(a, &mut inverse)?;
        Ok(Jacobi { inverse })
    }
}

/// inverse <- D^-1. A zero in D is a `Singular` error that names the row.
pub fn invert_diagonal<T: Scalar>(a: &Operator<T>, inverse: &mut [T]) -> Result<()> {
    inverse.fill(T::ZERO);
    a.with_body(|body| {
        body.entries(&mut |i, j, v| {
            if i == j && i < inverse.len() {
                inverse[i] += v;
            }
        })
    })?;
    for (i, d) in inverse.iter_mut().enumerate() {
        let entry = *d;
        *d = T::ONE / entry;
        if !entry.finite() {
            return Err(Error::NonFinite(format!("the diagonal entry of row {i} (base 0) is {entry}, must be finite")));
        }
        if !d.finite() {
            return Err(Error::Singular(format!("the diagonal entry of row {i} (base 0) is {entry}")));
        }
    }
    Ok(())
}

/// y <- D^-1 x or its conjugate.
pub fn scale<T: Scalar>(pool: &Pool, inverse: &[T], conj: bool, x: &[T], y: &mut [T]) {
    pool.chunks(3 * y.len(), y, BLOCK, |b, y| {
        let span = b * BLOCK..b * BLOCK + y.len();
        let pairs = y.iter_mut().zip(x[span.clone()].iter().zip(&inverse[span]));
        if conj && T::IS_COMPLEX {
            pairs.for_each(|(y, (x, d))| *y = *x * d.conj())
        } else {
            pairs.for_each(|(y, (x, d))| *y = *x * *d)
        }
    })
}

impl<T: Scalar> Part<T> for Jacobi<T> {
    fn refresh(&mut self, _pool: &Pool, a: &Operator<T>) -> Result<()> {
        invert_diagonal(a, &mut self.inverse)
    }

    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        crate::operator::by_column(x, y, |x, y| {
            scale(pool, &self.inverse, trans == Trans::H, x, y);
            Ok(())
        })
    }

    fn entries(&self) -> usize {
        self.inverse.len()
    }
}
