//! Dense matrices, row- or column-major with a leading dimension.
//!
//! Both orders are one thing seen twice: `lines` (rows or columns) of `across` contiguous
//! entries, `ld` apart. Along the lines a product is an inner product for each line; across
//! them it is a sum of lines. Either way the matrix streams through the cache once for up to
//! four columns, in tiles that keep the vectors in the first-level cache.

use super::check;
use super::columns::{fold, grouped, Group};
use super::numbers::Numbers;
use super::{Array, Body, Trans};
use crate::linalg::kernels::first_nonfinite;
use crate::linalg::{Panel, PanelMut};
use crate::runtime::{Error, Pool, Result, Scalar};
use pulp::{Simd, WithSimd};

/// How a matrix or the blocks of one are stored; the numbers are those of the C header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    ColumnMajor = 0,
    RowMajor = 1,
}

/// Entries of a line that are worked on together.
const TILE: usize = 1024;

pub struct Dense<T: Scalar> {
    order: Order,
    lines: usize,
    across: usize,
    ld: usize,
    span: usize,
    values: Numbers<T>,
}

/// Entries from the first to the last of a matrix, gaps between its lines included. Checks `ld`.
pub fn span(nrows: usize, ncols: usize, order: Order, ld: usize) -> Result<usize> {
    let (lines, across) = if order == Order::RowMajor { (nrows, ncols) } else { (ncols, nrows) };
    if ld < across {
        return Err(Error::size("ld", ld, format!("be at least {across}")));
    }
    if lines == 0 || across == 0 {
        return Ok(0);
    }
    let span = (lines - 1).checked_mul(ld).and_then(|s| s.checked_add(across));
    span.ok_or_else(|| Error::size("ld", ld, format!("let {lines} lines fit the address space")))
}

impl<T: Scalar> Dense<T> {
    /// `values` holds [`span`] entries; `copied`: it is the library's own copy.
    pub fn new(nrows: usize, ncols: usize, order: Order, values: Array<T>, ld: usize, copied: bool) -> Result<Self> {
        let span = span(nrows, ncols, order, ld)?;
        let (lines, across) = if order == Order::RowMajor { (nrows, ncols) } else { (ncols, nrows) };
        check_finite(&values[..span], across, ld)?;
        // Lines without entries need no storage to be apart in.
        let ld = if span == 0 { 0 } else { ld };
        Ok(Dense { order, lines, across, ld, span, values: Numbers::new(values, copied) })
    }

    fn matrix(&self, trans: Trans) -> Lines<'_, T> {
        Lines { trans, values: &self.values, lines: self.lines, across: self.across, ld: self.ld }
    }
}

/// The gaps between lines are the caller's and may hold anything.
fn check_finite<T: Scalar>(values: &[T], across: usize, ld: usize) -> Result<()> {
    if ld == across || values.is_empty() {
        return check::finite("values", values);
    }
    for (l, line) in values.chunks(ld).enumerate() {
        if let Some(p) = first_nonfinite(&line[..across]) {
            let position = l * ld + p;
            return Err(Error::NonFinite(format!("argument 'values' has {} at position {position}, must be finite", line[p])));
        }
    }
    Ok(())
}

/// The matrix without its owner, so that it can be shared by the threads of a pool.
#[derive(Clone, Copy)]
struct Lines<'a, T> {
    /// What is asked for: of H the conjugates are meant.
    trans: Trans,
    values: &'a [T],
    lines: usize,
    across: usize,
    ld: usize,
}

impl<'a, T: Scalar> Lines<'a, T> {
    fn tile(&self, line: usize, from: usize, to: usize) -> &'a [T] {
        &self.values[line * self.ld + from..line * self.ld + to]
    }

    /// y_l <- line_l . x for the lines from `first`, as many as `y` is long.
    #[inline(always)]
    fn dots<const K: usize, const L: usize, const W: usize>(&self, first: usize, x: [&[T]; K], mut y: [&mut [T]; K]) {
        let count = y[0].len();
        y.iter_mut().for_each(|y| y.fill(T::ZERO));
        for from in (0..self.across).step_by(TILE) {
            let to = (from + TILE).min(self.across);
            let x = x.map(|x| &x[from..to]);
            let whole = count - count % L;
            for l in (0..whole).step_by(L) {
                let lines: [&[T]; L] = std::array::from_fn(|k| self.tile(first + l + k, from, to));
                let sums = dots::<T, K, L, W>(self.trans, lines, x);
                (0..K).for_each(|c| (0..L).for_each(|k| y[c][l + k] += sums[k][c]));
            }
            for l in whole..count {
                let sums = dots::<T, K, 1, W>(self.trans, [self.tile(first + l, from, to)], x);
                (0..K).for_each(|c| y[c][l] += sums[0][c]);
            }
        }
    }

    /// y <- sum of lines times their entries of x, for the entries from `first`, as many as `y`
    /// is long.
    #[inline(always)]
    fn combine<const K: usize>(&self, first: usize, x: [&[T]; K], mut y: [&mut [T]; K]) {
        let n = y[0].len();
        let at = |v: T| self.trans.of(v);
        y.iter_mut().for_each(|y| y.fill(T::ZERO));
        let whole = self.lines - self.lines % 4;
        for l in (0..whole).step_by(4) {
            let [a, b, c, d] = std::array::from_fn(|k| self.tile(l + k, first, first + n));
            for (x, y) in x.iter().zip(&mut y) {
                let (xa, xb, xc, xd) = (x[l], x[l + 1], x[l + 2], x[l + 3]);
                for ((((y, a), b), c), d) in y.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                    *y += (at(*a) * xa + at(*b) * xb) + (at(*c) * xc + at(*d) * xd);
                }
            }
        }
        for l in whole..self.lines {
            let a = self.tile(l, first, first + n);
            for (x, y) in x.iter().zip(&mut y) {
                y.iter_mut().zip(a).for_each(|(y, a)| *y += at(*a) * x[l]);
            }
        }
    }
}

/// Inner products of `L` lines with `K` vectors, each in `W` partial sums.
#[inline(always)]
fn dots<T: Scalar, const K: usize, const L: usize, const W: usize>(trans: Trans, lines: [&[T]; L], x: [&[T]; K]) -> [[T; K]; L] {
    let n = lines[0].len();
    let (lines, x) = (lines.map(|l| &l[..n]), x.map(|x| &x[..n]));
    let at = |v: T| trans.of(v);
    let mut sums = [[[T::ZERO; W]; K]; L];
    let whole = n - n % W;
    for i in (0..whole).step_by(W) {
        for (line, sums) in lines.iter().zip(&mut sums) {
            let a = &line[i..i + W];
            for (x, sums) in x.iter().zip(sums) {
                let x = &x[i..i + W];
                (0..W).for_each(|w| sums[w] += at(a[w]) * x[w]);
            }
        }
    }
    let mut sums = sums.map(|line| line.map(fold));
    for i in whole..n {
        (0..L).for_each(|k| (0..K).for_each(|c| sums[k][c] += at(lines[k][i]) * x[c][i]));
    }
    sums
}

// Structs, because closures would not be compiled for the instructions that are chosen at run time.

struct DotsOfLines<'a, 'b, T, const K: usize> {
    matrix: Lines<'a, T>,
    first: usize,
    x: [&'b [T]; K],
    y: [&'b mut [T]; K],
}

impl<T: Scalar, const K: usize> WithSimd for DotsOfLines<'_, '_, T, K> {
    type Output = ();
    #[inline(always)]
    fn with_simd<I: Simd>(self, _: I) {
        let DotsOfLines { matrix, first, x, y } = self;
        // Lines times columns times partial sums are to fit the vector registers.
        match (K <= 2, T::IS_COMPLEX) {
            (true, false) => matrix.dots::<K, 2, 8>(first, x, y),
            (false, false) => matrix.dots::<K, 1, 8>(first, x, y),
            (true, true) => matrix.dots::<K, 2, 4>(first, x, y),
            (false, true) => matrix.dots::<K, 1, 4>(first, x, y),
        }
    }
}

struct CombineTile<'a, 'b, T, const K: usize> {
    matrix: Lines<'a, T>,
    from: usize,
    x: [&'b [T]; K],
    y: [&'b mut [T]; K],
}

impl<T: Scalar, const K: usize> WithSimd for CombineTile<'_, '_, T, K> {
    type Output = ();
    #[inline(always)]
    fn with_simd<I: Simd>(self, _: I) {
        self.matrix.combine(self.from, self.x, self.y)
    }
}

struct Dots<'a, T>(Lines<'a, T>, &'a Pool);

impl<T: Scalar> Group<T> for Dots<'_, T> {
    fn run<const K: usize>(&self, x: [&[T]; K], y: [&mut [T]; K]) {
        let Dots(matrix, pool) = *self;
        let work = matrix.lines * matrix.across;
        // Some 64 tasks, each of whole pairs of lines.
        let chunk = matrix.lines.div_ceil(64).next_multiple_of(2).max(2);
        let arch = pulp::Arch::new();
        pool.columns(work, y, chunk, |t, y| {
            let first = t * chunk;
            arch.dispatch(DotsOfLines { matrix, first, x, y });
        });
    }
}

struct Combine<'a, T>(Lines<'a, T>, &'a Pool);

impl<T: Scalar> Group<T> for Combine<'_, T> {
    fn run<const K: usize>(&self, x: [&[T]; K], y: [&mut [T]; K]) {
        let Combine(matrix, pool) = *self;
        // Some 64 tasks, each of whole tiles.
        let chunk = matrix.across.div_ceil(64).next_multiple_of(TILE).max(TILE);
        let arch = pulp::Arch::new();
        pool.columns(matrix.lines * matrix.across, y, chunk, |t, mut y| {
            let rows = y[0].len();
            for from in (0..rows).step_by(TILE) {
                let y = y.each_mut().map(|y| &mut y[from..(from + TILE).min(rows)]);
                arch.dispatch(CombineTile { matrix, from: t * chunk + from, x, y });
            }
        });
    }
}

impl<T: Scalar> Body<T> for Dense<T> {
    fn nrows(&self) -> usize {
        if self.order == Order::RowMajor { self.lines } else { self.across }
    }

    fn ncols(&self) -> usize {
        if self.order == Order::RowMajor { self.across } else { self.lines }
    }

    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        let along = (self.order == Order::RowMajor) == (trans == Trans::N);
        let matrix = self.matrix(trans);
        if along {
            grouped(x, y, &Dots(matrix, pool));
        } else {
            grouped(x, y, &Combine(matrix, pool));
        }
        Ok(())
    }

    fn entries(&self, entry: &mut dyn FnMut(usize, usize, T)) -> Result<()> {
        let matrix = self.matrix(Trans::N);
        for l in 0..self.lines {
            for (k, v) in matrix.tile(l, 0, self.across).iter().enumerate() {
                if self.order == Order::RowMajor { entry(l, k, *v) } else { entry(k, l, *v) }
            }
        }
        Ok(())
    }

    fn changed(&mut self, _pool: &Pool) -> Result<()> {
        self.values.may_change()?;
        check_finite(&self.values[..self.span], self.across, self.ld)
    }

    fn set_values(&mut self, values: &[T]) -> Result<()> {
        let (across, ld) = (self.across, self.ld);
        self.values.set(values, self.span, |v| check_finite(v, across, ld))
    }

    fn values_len(&self) -> Option<usize> {
        Some(self.span)
    }

    fn describe(&self) -> String {
        "dense".to_string()
    }

    fn count(&self, key: &str) -> Option<i64> {
        (key == "entries").then_some((self.lines * self.across) as i64)
    }
}
