//! Incomplete Cholesky factors with the entries up to a level of fill (Saad, sec. 10.3), in the
//! form L D L^H. The lower triangle of A is read; L^H is stored beside L, so that both halves of
//! an apply gather. A breakdown can be mended by a shift (Manteuffel, Math. Comp. 34, 1980).

use super::fill;
use super::ilu::limit;
use super::lagged::Part;
use super::pivot::{check_hermitian, largest, Pivoting};
use super::triangular::Triangular;
use crate::linalg::{Panel, PanelMut};
use crate::operator::assemble::Assembled;
use crate::operator::{Operator, Trans};
use crate::runtime::options::Options;
use crate::runtime::{memory, Pool, Result, Scalar};

pub struct Ic<T: Scalar> {
    pivoting: Pivoting,
    rows: Assembled<T>,
    factor: Triangular<T>,
    work: Vec<T>,
    /// `i + 1` where row i has an entry.
    mark: Vec<u32>,
    /// How many entries of each row of L^H are known so far.
    known: Vec<u32>,
}

impl<T: Scalar> Ic<T> {
    pub fn new(a: &Operator<T>, options: &Options) -> Result<Self> {
        let rows = Assembled::with_diagonal(a)?;
        let mut factor = Triangular::new();
        let (lower, upper) = fill::symmetric_levels(&rows.ptr, &rows.col, limit(options))?;
        factor.shape((&lower.ptr, &lower.col), (&upper.ptr, &upper.col))?;
        let n = rows.nrows;
        let mut part = Ic {
            pivoting: Pivoting::new(options),
            rows,
            factor,
            work: memory::filled(n, T::ZERO, "a factorisation")?,
            mark: memory::filled(n, 0, "a factorisation")?,
            known: memory::filled(n, 0, "a factorisation")?,
        };
        part.factor()?;
        Ok(part)
    }

    fn factor(&mut self) -> Result<()> {
        let Ic { pivoting, rows, factor: Triangular { lower, upper, inverse, .. }, work, mark, known } = self;
        check_hermitian(rows)?;
        let n = rows.nrows;
        let (work, mark, inverse) = (&mut work[..n], &mut mark[..n], &mut inverse[..n]);
        mark.fill(0);
        known.fill(0);
        for i in 0..n {
            let stamp = i as u32 + 1;
            let left = lower.row(i);
            for j in &lower.col[left.clone()] {
                work[*j as usize] = T::ZERO;
                mark[*j as usize] = stamp;
            }
            let (col, values) = rows.row(i);
            let mut d = 0.0;
            for (j, v) in col.iter().zip(values).take_while(|(j, _)| **j as usize <= i) {
                if *j as usize == i {
                    d = pivoting.upward(v.real_part());
                } else {
                    work[*j as usize] = *v;
                }
            }
            for e in left {
                let k = lower.col[e] as usize;
                let w = work[k];
                // Row k of L^H holds the columns below i, at the end of its place.
                let span = upper.row(k);
                let first = span.end - known[k] as usize;
                for (j, u) in upper.col[first..span.end].iter().zip(&upper.value[first..span.end]) {
                    let j = *j as usize;
                    if mark[j] == stamp {
                        work[j] -= w * *u;
                    }
                }
                let l = w * inverse[k];
                d -= (w * l.conj()).real_part();
                lower.value[e] = l;
                upper.value[first - 1] = l.conj();
                known[k] += 1;
            }
            inverse[i] = pivoting.invert_positive(i, d, largest(values))?;
        }
        Ok(())
    }
}

/// What `trans` amounts to when M = M^H.
pub fn hermitian<T: Scalar>(trans: Trans) -> Trans {
    if trans == Trans::T && T::IS_COMPLEX { Trans::T } else { Trans::N }
}

impl<T: Scalar> Part<T> for Ic<T> {
    fn refresh(&mut self, _pool: &Pool, a: &Operator<T>) -> Result<()> {
        self.rows.refresh(a)?;
        self.factor()
    }

    fn apply(&self, _pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        self.factor.apply(hermitian::<T>(trans), x, y)
    }

    fn entries(&self) -> usize {
        self.factor.entries()
    }

    fn count(&self, key: &str) -> Option<i64> {
        (key == "passes").then_some(2)
    }
}
