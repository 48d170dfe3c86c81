//! Iterative refinement of a solve with a factor: x <- x + M^-1 (b - A x).

use super::scratch::Vectors;
use crate::operator::assemble::Assembled;
use crate::operator::Trans;
use crate::runtime::{Result, Scalar};

pub struct Refine<T> {
    steps: usize,
    scratch: Vectors<T>,
}

impl<T: Scalar> Refine<T> {
    pub fn new(steps: usize, n: usize) -> Result<Self> {
        Ok(Refine { steps, scratch: Vectors::new(if steps > 0 { 2 * n } else { 0 }, T::ZERO)? })
    }

    /// x <- op(A)^-1 b by `solve(b, x)` and the steps asked for.
    pub fn apply(&self, rows: &Assembled<T>, trans: Trans, b: &[T], x: &mut [T], mut solve: impl FnMut(&[T], &mut [T]) -> Result<()>) -> Result<()> {
        solve(b, x)?;
        if self.steps == 0 {
            return Ok(());
        }
        self.scratch.with(|work| {
            let (r, z) = work.split_at_mut(x.len());
            for _ in 0..self.steps {
                rows.residual(trans, b, x, r);
                solve(r, z)?;
                x.iter_mut().zip(&*z).for_each(|(x, z)| *x += *z);
            }
            Ok(())
        })
    }
}
