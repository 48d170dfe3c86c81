//! M = L D U with unit triangular L and U: the form of all factors here that are kept row by row.

use super::sweep::{resize, Sweep};
use crate::linalg::lanes::{Row, LANES};
use crate::linalg::{Panel, PanelMut};
use crate::operator::columns::{by_group, interleave, room, separate, side_by_side};
use crate::operator::workspace::Workspace;
use crate::operator::Trans;
use crate::runtime::{Result, Scalar};
use pulp::{Simd, WithSimd};
use std::ops::Range;

pub struct Triangular<T> {
    pub lower: Sweep<T>,
    pub upper: Sweep<T>,
    /// D^-1.
    pub inverse: Vec<T>,
    groups: Workspace<T>,
}

/// Columns of rows: `col[ptr[i]..ptr[i + 1]]`, ascending.
pub struct Pattern {
    pub ptr: Vec<usize>,
    pub col: Vec<u32>,
}

impl<T: Scalar> Triangular<T> {
    pub fn new() -> Self {
        Triangular { lower: Sweep::new(true), upper: Sweep::new(false), inverse: Vec::new(), groups: Workspace::new() }
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

    /// y <- op(M)^-1 x for all columns.
    pub fn apply(&self, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        by_group(x, y, |x, mut y| {
            if x.ncols == 1 {
                self.solve(trans, x.col(0), y.col(0));
                return Ok(());
            }
            self.groups.with(room(x.nrows), |work| {
                let rows = side_by_side(work, x.nrows);
                pulp::Arch::new().dispatch(Group { factor: self, trans, x, y, rows });
                Ok(())
            })
        })
    }

    fn solve(&self, trans: Trans, x: &[T], y: &mut [T]) {
        if trans == Trans::N {
            self.forward(x, y);
            self.backward(y);
        } else {
            y.copy_from_slice(x);
            self.transposed(trans, y);
        }
    }

    #[inline(never)]
    fn transposed(&self, trans: Trans, y: &mut [T]) {
        self.solve_transposed(trans, y);
    }

    // Out of line, each sweep keeps the registers that it has alone.
    #[inline(never)]
    fn forward(&self, x: &[T], y: &mut [T]) {
        self.lower.solve(y, |rows, y| y[rows.clone()].copy_from_slice(&x[rows]), |_, _| ());
    }

    #[inline(never)]
    fn backward(&self, y: &mut [T]) {
        self.upper.solve(y, |rows, y| self.scale(rows, y), |_, _| ());
    }

    /// y <- D^-1 y in some rows.
    #[inline(always)]
    fn scale<Y: Row<T>>(&self, rows: Range<usize>, y: &mut [Y]) {
        for (v, d) in y[rows.clone()].iter_mut().zip(&self.inverse[rows]) {
            *v = v.times(*d);
        }
    }

    #[inline(always)]
    fn solve_transposed<Y: Row<T>>(&self, trans: Trans, y: &mut [Y]) {
        let conj = trans == Trans::H;
        self.upper.solve_transposed(conj, y);
        for (v, d) in y.iter_mut().zip(&self.inverse) {
            *v = v.times(if conj { d.conj() } else { *d });
        }
        self.lower.solve_transposed(conj, y);
    }
}

/// `solve` for a group of columns, side by side in `rows`.
struct Group<'a, T: Scalar> {
    factor: &'a Triangular<T>,
    trans: Trans,
    x: Panel<'a, T>,
    y: PanelMut<'a, T>,
    rows: &'a mut [[T; LANES]],
}

impl<T: Scalar> WithSimd for Group<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Group { factor, trans, x, mut y, rows } = self;
        if trans == Trans::N {
            factor.lower.solve(rows, |span, rows| interleave(x.rows(span.clone()), &mut rows[span], |k| k, |v| v), |_, _| ());
            let leave = |span: Range<usize>, rows: &[[T; LANES]]| separate(&rows[span.clone()], y.rows(span), |k| k, |v| v);
            factor.upper.solve(rows, |span, rows| factor.scale(span, rows), leave);
        } else {
            interleave(x, rows, |k| k, |v| v);
            factor.solve_transposed(trans, rows);
            separate(rows, y, |k| k, |v| v);
        }
    }
}
