//! Incomplete LU factors with the entries up to a level of fill (Saad, sec. 10.3), by rows
//! (the IKJ variant): where the pattern has an entry, L D U agrees with A.

use super::fill;
use super::lagged::Part;
use super::pivot::{largest, Pivoting};
use super::triangular::Triangular;
use crate::linalg::{Panel, PanelMut};
use crate::operator::assemble::Assembled;
use crate::operator::{Operator, Trans};
use crate::runtime::options::Options;
use crate::runtime::{memory, Pool, Result, Scalar};

pub struct Ilu<T: Scalar> {
    pivoting: Pivoting,
    rows: Assembled<T>,
    factor: Triangular<T>,
    work: Vec<T>,
    /// `i + 1` where row i has an entry.
    mark: Vec<u32>,
}

/// The key `levels`, as far as it matters.
pub fn limit(options: &Options) -> u32 {
    options.int("levels").min(1 << 30) as u32
}

impl<T: Scalar> Ilu<T> {
    pub fn new(a: &Operator<T>, options: &Options) -> Result<Self> {
        let rows = Assembled::with_diagonal(a)?;
        let mut factor = Triangular::new();
        let (lower, upper) = fill::levels(&rows.ptr, &rows.col, limit(options))?;
        factor.shape((&lower.ptr, &lower.col), (&upper.ptr, &upper.col))?;
        let n = rows.nrows;
        let mut part = Ilu {
            pivoting: Pivoting::new(options),
            rows,
            factor,
            work: memory::filled(n, T::ZERO, "a factorisation")?,
            mark: memory::filled(n, 0, "a factorisation")?,
        };
        part.factor()?;
        Ok(part)
    }

    fn factor(&mut self) -> Result<()> {
        let Ilu { pivoting, rows, factor: Triangular { lower, upper, inverse, .. }, work, mark } = self;
        let n = rows.nrows;
        let (work, mark, inverse) = (&mut work[..n], &mut mark[..n], &mut inverse[..n]);
        mark.fill(0);
        for i in 0..n {
            let stamp = i as u32 + 1;
            let (left, right) = (lower.row(i), upper.row(i));
            for j in lower.col[left.clone()].iter().chain(&upper.col[right.clone()]).map(|j| *j as usize) {
                work[j] = T::ZERO;
                mark[j] = stamp;
            }
            mark[i] = stamp;
            work[i] = T::ZERO;
            let (col, values) = rows.row(i);
            for (j, v) in col.iter().zip(values) {
                work[*j as usize] = *v;
            }
            work[i] = pivoting.outward(work[i]);
            for e in left {
                let k = lower.col[e] as usize;
                let w = work[k];
                let span = upper.row(k);
                for (j, u) in upper.col[span.clone()].iter().zip(&upper.value[span]) {
                    let j = *j as usize;
                    if mark[j] == stamp {
                        work[j] -= w * *u;
                    }
                }
                lower.value[e] = w * inverse[k];
            }
            let d = pivoting.invert(i, work[i], largest(values))?;
            inverse[i] = d;
            for e in right {
                upper.value[e] = work[upper.col[e] as usize] * d;
            }
        }
        Ok(())
    }
}

impl<T: Scalar> Part<T> for Ilu<T> {
    fn refresh(&mut self, _pool: &Pool, a: &Operator<T>) -> Result<()> {
        self.rows.refresh(a)?;
        self.factor()
    }

    fn apply(&self, _pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        self.factor.apply(trans, x, y)
    }

    fn entries(&self) -> usize {
        self.factor.entries()
    }
}
