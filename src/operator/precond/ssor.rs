//! Symmetric successive over-relaxation (Saad, sec. 10.2): with A = L + D + U,
//!
//! M^-1 = omega (2 - omega) (D + omega U)^-1 D (D + omega L)^-1
//!      = (I + omega D^-1 U)^-1 [omega (2 - omega) D^-1] (I + omega L D^-1)^-1.
//!
//! M is Hermitian with A and, for a positive definite A, positive definite for every omega in
//! (0, 2), after any number of sweeps.

use super::fill;
use super::lagged::Part;
use super::triangular::Triangular;
use crate::linalg::{Panel, PanelMut};
use crate::operator::assemble::Assembled;
use crate::operator::columns::by_group;
use crate::operator::workspace::Workspace;
use crate::operator::{Operator, Trans};
use crate::runtime::options::Options;
use crate::runtime::{Error, Pool, Result, Scalar};

pub struct Ssor<T: Scalar> {
    omega: f64,
    sweeps: usize,
    rows: Assembled<T>,
    factor: Triangular<T>,
    work: Workspace<T>,
}

impl<T: Scalar> Ssor<T> {
    pub fn new(a: &Operator<T>, options: &Options) -> Result<Self> {
        let rows = Assembled::with_diagonal(a)?;
        let mut factor = Triangular::new();
        let (lower, upper) = fill::levels(&rows.ptr, &rows.col, 0)?;
        factor.shape((&lower.ptr, &lower.col), (&upper.ptr, &upper.col))?;
        let sweeps = options.count("sweeps");
        let work = Workspace::new();
        // One column never waits for room.
        work.with(if sweeps > 1 { 2 * a.nrows() } else { 0 }, |_| Ok(()))?;
        let mut part = Ssor { omega: options.real("omega"), sweeps, rows, factor, work };
        part.factor()?;
        Ok(part)
    }

    fn factor(&mut self) -> Result<()> {
        let Ssor { omega, rows, factor, .. } = self;
        for i in 0..rows.nrows {
            let d = rows.slot(i, i).map_or(T::ZERO, |at| rows.values[at]);
            factor.inverse[i] = T::ONE / d;
            if !factor.inverse[i].finite() {
                return Err(Error::Singular(format!("the diagonal entry of row {i} (base 0) is {d}")));
            }
        }
        for i in 0..rows.nrows {
            let (lower, upper) = (factor.lower.row(i), factor.upper.row(i));
            let (_, values) = rows.row(i);
            let (below, above) = (&values[..lower.len()], &values[lower.len() + 1..]);
            for (k, v) in lower.zip(below) {
                factor.lower.value[k] = v.scale(*omega) * factor.inverse[factor.lower.col[k] as usize];
            }
            for (k, v) in upper.zip(above.iter().rev()) {
                factor.upper.value[k] = v.scale(*omega) * factor.inverse[i];
            }
        }
        for d in &mut factor.inverse {
            *d = d.scale(*omega * (2.0 - *omega));
        }
        Ok(())
    }
}


impl<T: Scalar> Part<T> for Ssor<T> {
    fn refresh(&mut self, _pool: &Pool, a: &Operator<T>) -> Result<()> {
        self.rows.refresh(a)?;
        self.factor()
    }

    fn apply(&self, _pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        if self.sweeps == 1 {
            return self.factor.apply(trans, x, y);
        }
        by_group(x, y, |x, mut y| {
            self.factor.apply(trans, x, y.reborrow())?;
            self.work.with(2 * x.nrows * x.ncols, |work| {
                let (r, z) = work.split_at_mut(x.nrows * x.ncols);
                let (mut r, mut z) = (PanelMut::packed(r, x.nrows, x.ncols), PanelMut::packed(z, x.nrows, x.ncols));
                for _ in 1..self.sweeps {
                    (0..x.ncols).for_each(|j| self.rows.residual(trans, x.col(j), y.col(j), r.col(j)));
                    self.factor.apply(trans, r.as_panel(), z.reborrow())?;
                    (0..x.ncols).for_each(|j| y.col(j).iter_mut().zip(&*z.col(j)).for_each(|(y, z)| *y += *z));
                }
                Ok(())
            })
        })
    }

    fn entries(&self) -> usize {
        self.factor.entries()
    }
}
