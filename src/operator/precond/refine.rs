//! Iterative refinement of a solve with a factor: x <- x + M^-1 (b - A x).

use crate::linalg::{Panel, PanelMut};
use crate::operator::assemble::Assembled;
use crate::operator::columns::by_group;
use crate::operator::workspace::Workspace;
use crate::operator::Trans;
use crate::runtime::{Result, Scalar};

pub struct Refine<T> {
    steps: usize,
    work: Workspace<T>,
}

impl<T: Scalar> Refine<T> {
    pub fn new(steps: usize, n: usize) -> Result<Self> {
        let work = Workspace::new();
        // One column never waits for room.
        work.with(if steps > 0 { 2 * n } else { 0 }, |_| Ok(()))?;
        Ok(Refine { steps, work })
    }

    /// x <- op(A)^-1 b by `solve(b, x)` and the steps asked for.
    pub fn apply(
        &self,
        rows: &Assembled<T>,
        trans: Trans,
        b: Panel<T>,
        x: PanelMut<T>,
        mut solve: impl FnMut(Panel<T>, PanelMut<T>) -> Result<()>,
    ) -> Result<()> {
        if self.steps == 0 {
            return solve(b, x);
        }
        by_group(b, x, |b, mut x| {
            solve(b, x.reborrow())?;
            self.work.with(2 * b.nrows * b.ncols, |work| {
                let (r, z) = work.split_at_mut(b.nrows * b.ncols);
                let (mut r, mut z) = (PanelMut::packed(r, b.nrows, b.ncols), PanelMut::packed(z, b.nrows, b.ncols));
                for _ in 0..self.steps {
                    (0..b.ncols).for_each(|j| rows.residual(trans, b.col(j), x.col(j), r.col(j)));
                    solve(r.as_panel(), z.reborrow())?;
                    (0..b.ncols).for_each(|j| x.col(j).iter_mut().zip(&*z.col(j)).for_each(|(x, z)| *x += *z));
                }
                Ok(())
            })
        })
    }
}
