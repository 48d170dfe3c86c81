//! Compressed rows with 32-bit columns, and the one kernel of an apply: products of rows with a
//! vector, each finished by the caller while it is at hand.

use crate::linalg::simd::prefetch;
use crate::operator::precond::sweep::resize;
use crate::runtime::{Pool, Result, Scalar};
use std::ops::Range;

/// Rows that own their arrays; these may be longer than the entries need.
pub struct Csr<S> {
    pub ptr: Vec<usize>,
    pub col: Vec<u32>,
    pub values: Vec<S>,
}

impl<S: Scalar> Csr<S> {
    pub fn new() -> Self {
        Csr { ptr: Vec::new(), col: Vec::new(), values: Vec::new() }
    }

    pub fn view(&self) -> Rows<'_, S> {
        let entries = self.entries();
        Rows { ptr: &self.ptr, col: &self.col[..entries], values: &self.values[..entries] }
    }

    pub fn entries(&self) -> usize {
        self.ptr.last().copied().unwrap_or(0)
    }

    /// Becomes the conjugate transpose of `a`, which has `ncols` columns; storage is reused.
    pub fn transpose(&mut self, a: Rows<S>, ncols: usize) -> Result<()> {
        const WHAT: &str = "a prolongator";
        resize(&mut self.ptr, ncols + 2, 0, WHAT)?;
        resize(&mut self.col, a.col.len(), 0, WHAT)?;
        resize(&mut self.values, a.col.len(), S::ZERO, WHAT)?;
        // Row j begins, until it is filled, at ptr[j + 1].
        for j in a.col {
            self.ptr[*j as usize + 2] += 1;
        }
        for j in 0..ncols {
            self.ptr[j + 2] += self.ptr[j + 1];
        }
        for i in 0..a.len() {
            let (col, values) = a.row(i);
            for (j, v) in col.iter().zip(values) {
                let at = &mut self.ptr[*j as usize + 1];
                self.col[*at] = i as u32;
                self.values[*at] = v.conj();
                *at += 1;
            }
        }
        self.ptr.truncate(ncols + 1);
        Ok(())
    }
}

/// Rows with the columns `col[ptr[i]..ptr[i + 1]]`.
#[derive(Clone, Copy)]
pub struct Rows<'a, S> {
    pub ptr: &'a [usize],
    pub col: &'a [u32],
    pub values: &'a [S],
}

/// Rows with fewer entries than this, on average, are summed one entry after the other; longer
/// ones in several partial sums that do not wait for each other.
const SHORT: usize = 12;

/// As in the library's own products: entries that are asked for at once, and how far ahead.
const AHEAD: usize = 16;
const DISTANCE: usize = 512;

impl<'a, S: Scalar> Rows<'a, S> {
    pub fn len(self) -> usize {
        self.ptr.len() - 1
    }

    #[inline(always)]
    pub fn span(self, i: usize) -> Range<usize> {
        self.ptr[i]..self.ptr[i + 1]
    }

    #[inline(always)]
    pub fn row(self, i: usize) -> (&'a [u32], &'a [S]) {
        (&self.col[self.span(i)], &self.values[self.span(i)])
    }

    /// Calls `put((A x)_i, w_i, y_i)` for each row, where w_i are the entries there of the vectors
    /// `with`.
    pub fn products<const N: usize>(self, pool: &Pool, x: &[S], with: [&[S]; N], y: &mut [S], put: impl Fn(S, [S; N], &mut S) + Sync) {
        let n = y.len();
        let chunk = n.div_ceil(64).max(256);
        let entries = self.col.len();
        pool.chunks(entries + n, y, chunk, |c, y| match entries < SHORT * n {
            true => self.gather::<1, N>(c * chunk, x, with, y, &put),
            false => self.gather::<4, N>(c * chunk, x, with, y, &put),
        });
    }

    #[inline(always)]
    fn gather<const A: usize, const N: usize>(self, first: usize, x: &[S], with: [&[S]; N], y: &mut [S], put: &impl Fn(S, [S; N], &mut S)) {
        let n = y.len();
        let ptr = &self.ptr[first..first + n + 1];
        let with = with.map(|w| &w[first..first + n]);
        let (mut from, mut asked) = (ptr[0], ptr[0]);
        for i in 0..n {
            let to = ptr[i + 1];
            while asked < to {
                self.ask(asked + DISTANCE);
                asked += AHEAD;
            }
            let sum = dot::<S, A>(&self.col[from..to], &self.values[from..to], x);
            put(sum, with.map(|w| w[i]), &mut y[i]);
            from = to;
        }
    }

    #[inline(always)]
    fn ask(self, at: usize) {
        const LINE: usize = 64;
        (0..AHEAD).step_by(LINE / size_of::<u32>()).for_each(|k| prefetch(self.col, at + k));
        (0..AHEAD).step_by(LINE / size_of::<S>()).for_each(|k| prefetch(self.values, at + k));
    }
}

/// The inner product of a row with x, without conjugation, in `A` partial sums.
#[inline(always)]
fn dot<S: Scalar, const A: usize>(col: &[u32], values: &[S], x: &[S]) -> S {
    let mut partial = [S::ZERO; A];
    let (cols, vals) = (col.chunks_exact(A), values.chunks_exact(A));
    let rest = cols.remainder().iter().zip(vals.remainder());
    for (j, v) in cols.zip(vals) {
        for a in 0..A {
            partial[a] += v[a] * x[j[a] as usize];
        }
    }
    let sum = partial.iter().fold(S::ZERO, |sum, p| sum + *p);
    rest.fold(sum, |sum, (j, v)| sum + *v * x[*j as usize])
}
