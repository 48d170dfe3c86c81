//! M = L D U with unit triangular L and U: the form of all factors here that are kept row by row.

use super::sweep::{resize, Sweep};
use crate::operator::Trans;
use crate::runtime::{Result, Scalar};

pub struct Triangular<T> {
    pub lower: Sweep<T>,
    pub upper: Sweep<T>,
    /// D^-1.
    pub inverse: Vec<T>,
}

/// Columns of rows: `col[ptr[i]..ptr[i + 1]]`, ascending.
pub struct Pattern {
    pub ptr: Vec<usize>,
    pub col: Vec<u32>,
}

impl<T: Scalar> Triangular<T> {
    pub fn new() -> Self {
        Triangular { lower: Sweep::new(true), upper: Sweep::new(false), inverse: Vec::new() }
    }

    /// Takes on the patterns of the strict triangles; storage is reused.
    pub fn shape(&mut self, lower: (&[usize], &[u32]), upper: (&[usize], &[u32])) -> Result<()> {
        self.lower.shape(lower.0, lower.1)?;
        self.upper.shape(upper.0, upper.1)?;
        resize(&mut self.inverse, lower.0.len() - 1, T::ZERO, "a triangular factor")
    }

    pub fn entries(&self) -> usize {
        self.lower.col.len() + self.upper.col.len() + self.inverse.len()
    }

    /// y <- op(M)^-1 x.
    pub fn solve(&self, trans: Trans, x: &[T], y: &mut [T]) {
        if trans == Trans::N {
            self.lower.solve(y, |rows, y| y[rows.clone()].copy_from_slice(&x[rows]));
            self.upper.solve(y, |rows, y| {
                for (v, d) in y[rows.clone()].iter_mut().zip(&self.inverse[rows]) {
                    *v *= *d;
                }
            });
            return;
        }
        let conj = trans == Trans::H;
        y.copy_from_slice(x);
        self.upper.solve_transposed(conj, y);
        for (v, d) in y.iter_mut().zip(&self.inverse) {
            *v *= if conj { d.conj() } else { *d };
        }
        self.lower.solve_transposed(conj, y);
    }
}
