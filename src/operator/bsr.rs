//! Block compressed sparse rows: square dense blocks at the places of a CSR pattern.

use super::check::{self, Index};
use super::columns::{grouped, Group};
use super::dense::Order;
use super::numbers::Numbers;
use super::sparse::Parts;
use super::{Array, Body, Trans};
use crate::linalg::{Panel, PanelMut};
use crate::runtime::{memory, Error, Pool, Result, Scalar};

pub struct Bsr<T: Scalar, I: Index> {
    /// In blocks.
    rows: usize,
    cols: usize,
    block: usize,
    order: Order,
    base: usize,
    ptr: Array<I>,
    ind: Array<I>,
    values: Numbers<T>,
    entries: usize,
}

impl<T: Scalar, I: Index> Bsr<T, I> {
    /// `parts` counts rows, columns and positions in blocks of `block` x `block` numbers, each
    /// block contiguous in `order`. Blocks of a row may come in any order; repeated ones add up.
    pub fn new(parts: Parts<T, I>, block: usize, order: Order) -> Result<Self> {
        if block == 0 {
            return Err(Error::size("block", block, "be at least 1"));
        }
        if block.checked_mul(block).is_none() || block.checked_mul(parts.nrows.max(parts.ncols)).is_none() {
            return Err(Error::size("block", block, "let the matrix fit the address space"));
        }
        let blocks = check::pointers("rowptr", &parts.ptr, parts.base)?;
        check::indices("colind", &parts.ind[..blocks], parts.ncols, parts.base)?;
        let entries = memory::product(blocks, block * block, "values")?;
        check::finite("values", &parts.values[..entries])?;
        Ok(Bsr {
            rows: parts.nrows,
            cols: parts.ncols,
            block,
            order,
            base: parts.base,
            ptr: parts.ptr,
            ind: parts.ind,
            values: Numbers::new(parts.values, parts.copied),
            entries,
        })
    }

    fn matrix(&self, trans: Trans) -> Blocks<'_, T, I> {
        Blocks {
            trans,
            rows: self.rows,
            block: self.block,
            row_major: self.order == Order::RowMajor,
            base: self.base,
            ptr: &self.ptr,
            ind: &self.ind,
            values: &self.values,
        }
    }
}

/// The matrix without its owner, so that it can be shared by the threads of a pool.
struct Blocks<'a, T, I> {
    trans: Trans,
    rows: usize,
    block: usize,
    row_major: bool,
    base: usize,
    ptr: &'a [I],
    ind: &'a [I],
    values: &'a [T],
}

impl<T: Scalar, I: Index> Blocks<'_, T, I> {
    /// The block columns of a block row, each with the numbers of its block.
    #[inline(always)]
    fn row(&self, i: usize) -> impl Iterator<Item = (usize, &[T])> {
        let (from, to, size) = (self.ptr[i].at(self.base), self.ptr[i + 1].at(self.base), self.block * self.block);
        let columns = self.ind[from..to].iter().map(|k| k.at(self.base));
        columns.zip(self.values[from * size..to * size].chunks_exact(size))
    }

    /// y <- A x for the block rows from `first`, with blocks of `B`.
    #[inline(always)]
    fn gather<const B: usize, const K: usize>(&self, first: usize, x: [&[T]; K], mut y: [&mut [T]; K]) {
        for i in 0..y[0].len() / B {
            let mut sum = [[T::ZERO; B]; K];
            for (k, block) in self.row(first + i) {
                let a = load::<T, B>(block, self.row_major);
                for (x, sum) in x.iter().zip(&mut sum) {
                    let x = &x[k * B..][..B];
                    (0..B).for_each(|r| (0..B).for_each(|c| sum[r] += a[r][c] * x[c]));
                }
            }
            y.iter_mut().zip(&sum).for_each(|(y, sum)| y[i * B..][..B].copy_from_slice(sum));
        }
    }

    /// y <- y + A^T x or A^H x, with blocks of `B`.
    #[inline(always)]
    fn scatter<const B: usize, const K: usize>(&self, x: [&[T]; K], y: &mut [&mut [T]; K]) {
        for i in 0..self.rows {
            for (k, block) in self.row(i) {
                let a = load::<T, B>(block, !self.row_major);
                for (x, y) in x.iter().zip(y.iter_mut()) {
                    let (x, y) = (&x[i * B..][..B], &mut y[k * B..][..B]);
                    (0..B).for_each(|r| (0..B).for_each(|c| y[r] += self.trans.of(a[r][c]) * x[c]));
                }
            }
        }
    }

    /// y <- A x for the block rows from `first`, for any size of blocks.
    fn gather_any<const K: usize>(&self, first: usize, x: [&[T]; K], mut y: [&mut [T]; K]) {
        let b = self.block;
        y.iter_mut().for_each(|y| y.fill(T::ZERO));
        for i in 0..y[0].len() / b {
            for (k, block) in self.row(first + i) {
                for (x, y) in x.iter().zip(&mut y) {
                    multiply_add(b, block, Trans::N, self.row_major, &x[k * b..][..b], &mut y[i * b..][..b]);
                }
            }
        }
    }

    /// y <- y + A^T x or A^H x for any size of blocks.
    fn scatter_any<const K: usize>(&self, x: [&[T]; K], y: &mut [&mut [T]; K]) {
        let b = self.block;
        for i in 0..self.rows {
            for (k, block) in self.row(i) {
                for (x, y) in x.iter().zip(y.iter_mut()) {
                    multiply_add(b, block, self.trans, !self.row_major, &x[i * b..][..b], &mut y[k * b..][..b]);
                }
            }
        }
    }
}

/// A block by rows.
#[inline(always)]
fn load<T: Scalar, const B: usize>(block: &[T], row_major: bool) -> [[T; B]; B] {
    let block = &block[..B * B];
    if row_major {
        std::array::from_fn(|r| std::array::from_fn(|c| block[r * B + c]))
    } else {
        std::array::from_fn(|r| std::array::from_fn(|c| block[c * B + r]))
    }
}

/// y <- y + block x with a block of `b` x `b`, conjugated for `Trans::H`.
fn multiply_add<T: Scalar>(b: usize, block: &[T], trans: Trans, row_major: bool, x: &[T], y: &mut [T]) {
    if row_major {
        for (y, row) in y.iter_mut().zip(block.chunks_exact(b)) {
            *y += row.iter().zip(x).fold(T::ZERO, |sum, (a, x)| sum + trans.of(*a) * *x);
        }
    } else {
        for (x, column) in x.iter().zip(block.chunks_exact(b)) {
            y.iter_mut().zip(column).for_each(|(y, a)| *y += trans.of(*a) * *x);
        }
    }
}

struct Gather<'a, T, I>(Blocks<'a, T, I>, &'a Pool);

impl<T: Scalar, I: Index> Group<T> for Gather<'_, T, I> {
    fn run<const K: usize>(&self, x: [&[T]; K], y: [&mut [T]; K]) {
        let Gather(matrix, pool) = self;
        let rows = matrix.rows.div_ceil(64).max(64);
        pool.columns(matrix.values.len() + y[0].len(), y, rows * matrix.block, |t, y| match matrix.block {
            2 => matrix.gather::<2, K>(t * rows, x, y),
            3 => matrix.gather::<3, K>(t * rows, x, y),
            4 => matrix.gather::<4, K>(t * rows, x, y),
            _ => matrix.gather_any(t * rows, x, y),
        });
    }
}

/// Serial, so that sums are taken in one order.
struct Scatter<'a, T, I>(Blocks<'a, T, I>);

impl<T: Scalar, I: Index> Group<T> for Scatter<'_, T, I> {
    fn run<const K: usize>(&self, x: [&[T]; K], mut y: [&mut [T]; K]) {
        y.iter_mut().for_each(|y| y.fill(T::ZERO));
        match self.0.block {
            2 => self.0.scatter::<2, K>(x, &mut y),
            3 => self.0.scatter::<3, K>(x, &mut y),
            4 => self.0.scatter::<4, K>(x, &mut y),
            _ => self.0.scatter_any(x, &mut y),
        }
    }
}

impl<T: Scalar, I: Index> Body<T> for Bsr<T, I> {
    fn nrows(&self) -> usize {
        self.rows * self.block
    }

    fn ncols(&self) -> usize {
        self.cols * self.block
    }

    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        match trans {
            Trans::N => grouped(x, y, &Gather(self.matrix(trans), pool)),
            _ => grouped(x, y, &Scatter(self.matrix(trans))),
        }
        Ok(())
    }

    fn entries(&self, entry: &mut dyn FnMut(usize, usize, T)) -> Result<()> {
        let (b, matrix) = (self.block, self.matrix(Trans::N));
        for i in 0..self.rows {
            for (k, block) in matrix.row(i) {
                for (p, v) in block.iter().enumerate() {
                    let (r, c) = if matrix.row_major { (p / b, p % b) } else { (p % b, p / b) };
                    entry(i * b + r, k * b + c, *v);
                }
            }
        }
        Ok(())
    }

    fn changed(&mut self, _pool: &Pool) -> Result<()> {
        self.values.may_change()?;
        check::finite("values", &self.values[..self.entries])
    }

    fn set_values(&mut self, values: &[T]) -> Result<()> {
        self.values.set(values, self.entries, |v| check::finite("values", v))
    }

    fn values_len(&self) -> Option<usize> {
        Some(self.entries)
    }

    fn describe(&self) -> String {
        format!("bsr {0} x {0}", self.block)
    }

    fn count(&self, key: &str) -> Option<i64> {
        (key == "entries").then_some(self.entries as i64)
    }
}
