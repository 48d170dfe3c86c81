//! Compressed sparse rows (and, by transposition, columns), with 32- or 64-bit indices and base
//! 0 or 1 as they come from the user.
//!
//! The product reads 12 bytes an entry (f64, 32-bit indices) and 20 a row; that is its limit.
//! Indices are compared with the length at each use: a borrowed array may have been overwritten
//! since it was checked, and must not be able to reach outside `x`.

use super::check::{self, Index};
use super::columns::{fold, grouped, Group};
use super::numbers::Numbers;
use super::{Array, Body, Trans};
use crate::linalg::simd::prefetch;
use crate::linalg::{Panel, PanelMut};
use crate::runtime::{Pool, Result, Scalar};
use std::ops::Range;
use std::sync::OnceLock;

/// A matrix whose lines are compressed: rows (CSR) or columns (CSC).
pub struct Compressed<T: Scalar, I: Index> {
    /// Lines are rows; otherwise columns.
    by_row: bool,
    lines: usize,
    across: usize,
    base: usize,
    ptr: Array<I>,
    ind: Array<I>,
    values: Numbers<T>,
    entries: usize,
    segments: OnceLock<Segments>,
}

/// What a compressed matrix is made of, in the user's words.
pub struct Parts<T, I> {
    pub nrows: usize,
    pub ncols: usize,
    pub base: usize,
    pub ptr: Array<I>,
    pub ind: Array<I>,
    pub values: Array<T>,
    /// `values` is the library's own copy.
    pub copied: bool,
}

impl<T: Scalar, I: Index> Compressed<T, I> {
    /// Rows from `rowptr`, `colind`, `values`. Columns within a row may come in any order;
    /// repeated ones add up.
    pub fn csr(parts: Parts<T, I>) -> Result<Self> {
        Self::new(true, parts, ["rowptr", "colind"])
    }

    /// Columns from `colptr`, `rowind`, `values`.
    pub fn csc(parts: Parts<T, I>) -> Result<Self> {
        Self::new(false, parts, ["colptr", "rowind"])
    }

    fn new(by_row: bool, p: Parts<T, I>, [ptr_name, ind_name]: [&'static str; 2]) -> Result<Self> {
        let (lines, across) = if by_row { (p.nrows, p.ncols) } else { (p.ncols, p.nrows) };
        let entries = check::pointers(ptr_name, &p.ptr, p.base)?;
        check::indices(ind_name, &p.ind[..entries], across, p.base)?;
        check::finite("values", &p.values[..entries])?;
        Ok(Compressed {
            by_row,
            lines,
            across,
            base: p.base,
            ptr: p.ptr,
            ind: p.ind,
            values: Numbers::new(p.values, p.copied),
            entries,
            segments: OnceLock::new(),
        })
    }

    fn matrix(&self, trans: Trans) -> Lines<'_, T, I> {
        Lines {
            trans,
            base: self.base,
            ptr: &self.ptr[..self.lines + 1],
            ind: &self.ind[..self.entries],
            values: &self.values[..self.entries],
        }
    }
}

/// The matrix without its owner, so that it can be shared by the threads of a pool.
#[derive(Clone, Copy)]
struct Lines<'a, T, I> {
    /// What is asked for: of H the conjugates are meant.
    trans: Trans,
    base: usize,
    /// One more than there are lines.
    ptr: &'a [I],
    ind: &'a [I],
    values: &'a [T],
}

/// How many entries ahead of their use memory is asked for. The machine foresees streams on its
/// own, but not past the end of a page: without asking, a product takes 1.5 times as long. The
/// second-level cache is asked, since requests of the first are few at a time and make the reads
/// of `x` wait for a place: 1.2 times as long.
const DISTANCE: usize = 1024;

/// Lines with fewer entries than this, on average, are summed one entry after the other; longer
/// ones in several partial sums that do not wait for each other.
const SHORT: usize = 12;

/// Short lines that are taken together if they are of one length, and lines after which such a
/// group is looked for again where there are none: each attempt costs a mispredicted branch.
const GROUP: usize = 4;
const SELDOM: usize = 64;

impl<T: Scalar, I: Index> Lines<'_, T, I> {
    fn count(&self) -> usize {
        self.ptr.len() - 1
    }

    fn range(&self, line: usize) -> Range<usize> {
        self.ptr[line].at(self.base)..self.ptr[line + 1].at(self.base)
    }

    /// y_l <- line_l . x for the lines from `first`, as many as `y` is long, in `A` partial sums.
    #[inline(always)]
    fn gather<const K: usize, const A: usize>(self, first: usize, x: [&[T]; K], y: [&mut [T]; K]) {
        // Of one length, so that one comparison serves both.
        let matrix = Lines { values: &self.values[..self.ind.len()], ..self };
        match matrix.base {
            // Known to the compiler, the base costs nothing; otherwise an eighth of the time in cache.
            0 => Lines { base: 0, ..matrix }.gather_based::<K, A>(first, x, y),
            _ => matrix.gather_based::<K, A>(first, x, y),
        }
    }

    #[inline(always)]
    fn gather_based<const K: usize, const A: usize>(self, first: usize, x: [&[T]; K], y: [&mut [T]; K]) {
        let (n, count) = (x[0].len(), y[0].len());
        let (x, y) = (x.map(|x| &x[..n]), y.map(|y| &mut y[..count]));
        let ends = &self.ptr[first + 1..first + count + 1];
        let mut from = self.ptr[first].at(self.base);
        // Groups are looked for at line `next`; in vain again and again, ever more seldom.
        let (mut i, mut next, mut pause) = (0, 0, GROUP);
        while i < count {
            if K == 1 && A == 1 && i == next {
                if let Some(to) = self.alike(from, &ends[i..], x[0], &mut y[0][i..]) {
                    from = to;
                    i += GROUP;
                    (next, pause) = (i, GROUP);
                    continue;
                }
                next += pause;
                pause = (2 * pause).min(SELDOM);
            }
            let to = ends[i].at(self.base);
            let sum = self.dot::<K, A>(from..to, x);
            (0..K).for_each(|c| y[c][i] = sum[c]);
            from = to;
            i += 1;
        }
    }

    /// A group of lines from entry `from`, if they are of one small length, as on grids, and its end.
    /// Unrolled, the sums take 0.6 of the time, in cache, of loops that end with each line.
    #[inline(always)]
    fn alike(self, from: usize, ends: &[I], x: &[T], y: &mut [T]) -> Option<usize> {
        let ends = ends.first_chunk::<GROUP>()?.map(|end| end.at(self.base));
        let length = ends[0].wrapping_sub(from);
        // All differences are taken, so that lines of random lengths meet one branch, not three.
        if !(1..GROUP).fold(true, |alike, i| alike & (ends[i].wrapping_sub(ends[i - 1]) == length)) {
            return None;
        }
        match length {
            3 => self.group::<3>(from, x, y),
            4 => self.group::<4>(from, x, y),
            5 => self.group::<5>(from, x, y),
            6 => self.group::<6>(from, x, y),
            7 => self.group::<7>(from, x, y),
            8 => self.group::<8>(from, x, y),
            9 => self.group::<9>(from, x, y),
            _ => return None,
        }
        Some(ends[GROUP - 1])
    }

    /// Lines of `L` entries each, summed as by [`Lines::dot`] in one sum.
    #[inline(always)]
    fn group<const L: usize>(self, from: usize, x: &[T], y: &mut [T]) {
        let range = from..from + GROUP * L;
        let (ind, values) = (&self.ind[range.clone()], &self.values[range]);
        for i in 0..GROUP {
            self.request::<L>(from + i * L);
            let mut sum = T::ZERO;
            for a in i * L..(i + 1) * L {
                sum += self.trans.of(values[a]) * x[ind[a].at(self.base)];
            }
            y[i] = sum;
        }
    }

    #[inline(always)]
    fn dot<const K: usize, const A: usize>(self, range: Range<usize>, x: [&[T]; K]) -> [T; K] {
        let mut next = range.start;
        let mut partial = [[T::ZERO; A]; K];
        let (ind, values) = (self.ind[range.clone()].chunks_exact(A), self.values[range].chunks_exact(A));
        let (ind_rest, values_rest) = (ind.remainder(), values.remainder());
        if A == 1 {
            self.request::<SHORT>(next);
        }
        for (k, v) in ind.zip(values) {
            if A > 1 {
                self.request::<A>(next);
                next += A;
            }
            for a in 0..A {
                let (k, v) = (k[a].at(self.base), self.trans.of(v[a]));
                (0..K).for_each(|c| partial[c][a] += v * x[c][k]);
            }
        }
        let mut sum = partial.map(fold);
        for (k, v) in ind_rest.iter().zip(values_rest) {
            let (k, v) = (k.at(self.base), self.trans.of(*v));
            (0..K).for_each(|c| sum[c] += v * x[c][k]);
        }
        sum
    }

    /// Asks for the `N` entries that come [`DISTANCE`] after entry `at`: at each line, or part of a
    /// line, without a branch, for requests that come in bursts wait for each other.
    #[inline(always)]
    fn request<const N: usize>(self, at: usize) {
        const LINE: usize = 64;
        (0..N).step_by(LINE / size_of::<I>()).for_each(|k| prefetch(self.ind, at + DISTANCE + k));
        (0..N).step_by(LINE / size_of::<T>()).for_each(|k| prefetch(self.values, at + DISTANCE + k));
    }

    /// y <- sum of lines times their entries of x.
    fn scatter<const K: usize>(&self, x: [&[T]; K], mut y: [&mut [T]; K]) {
        y.iter_mut().for_each(|y| y.fill(T::ZERO));
        for i in 0..self.count() {
            let range = self.range(i);
            for (k, v) in self.ind[range.clone()].iter().zip(&self.values[range]) {
                let (k, v) = (k.at(self.base), self.trans.of(*v));
                (0..K).for_each(|c| y[c][k] += v * x[c][i]);
            }
        }
    }

    /// The part of [`Lines::scatter`] that falls on the outputs from `first`, from these lines.
    fn scatter_part<const K: usize>(&self, lines: Range<usize>, first: usize, x: [&[T]; K], mut y: [&mut [T]; K]) {
        let count = y[0].len();
        y.iter_mut().for_each(|y| y.fill(T::ZERO));
        for i in lines {
            let range = self.range(i);
            for (k, v) in self.ind[range.clone()].iter().zip(&self.values[range]) {
                let k = k.at(self.base).wrapping_sub(first);
                if k < count {
                    let v = self.trans.of(*v);
                    (0..K).for_each(|c| y[c][k] += v * x[c][i]);
                }
            }
        }
    }
}

/// Along the lines: each output entry is an inner product.
struct Gather<'a, T, I>(Lines<'a, T, I>, &'a Pool);

impl<T: Scalar, I: Index> Group<T> for Gather<'_, T, I> {
    fn run<const K: usize>(&self, x: [&[T]; K], y: [&mut [T]; K]) {
        let Gather(matrix, pool) = *self;
        let (lines, entries) = (matrix.count(), matrix.values.len());
        let chunk = lines.div_ceil(64).max(256);
        pool.columns(entries + lines, y, chunk, |t, y| match entries < SHORT * lines {
            true => matrix.gather::<K, 1>(t * chunk, x, y),
            false => matrix.gather::<K, 4>(t * chunk, x, y),
        });
    }
}

/// Outputs of a segment, at least: enough work for a task.
const SEGMENT: usize = 4096;

/// For the product across the lines on several threads: segments of the output, each with the
/// range of lines that reach it. Within a segment sums are taken in the order of the lines, as
/// on one thread.
struct Segments {
    /// Outputs a segment, a power of two.
    size: usize,
    lines: Vec<Range<usize>>,
    /// Few lines are visited by more than one task.
    worthwhile: bool,
}

impl Segments {
    fn new<T: Scalar, I: Index>(matrix: Lines<T, I>, across: usize) -> Self {
        let size = across.div_ceil(64).max(SEGMENT).next_power_of_two();
        let mut lines = vec![usize::MAX..0; across.div_ceil(size)];
        for i in 0..matrix.count() {
            for k in &matrix.ind[matrix.range(i)] {
                let lines = &mut lines[k.at(matrix.base) / size];
                *lines = lines.start.min(i)..i + 1;
            }
        }
        let visits: usize = lines.iter().map(|l| l.len()).sum();
        Segments { size, lines, worthwhile: visits <= matrix.count() + matrix.count() / 2 }
    }
}

/// Across the lines: each input entry is spread over the output.
struct Scatter<'a, T, I> {
    matrix: Lines<'a, T, I>,
    /// Present where several threads may work.
    split: Option<(&'a Segments, &'a Pool)>,
}

impl<T: Scalar, I: Index> Group<T> for Scatter<'_, T, I> {
    fn run<const K: usize>(&self, x: [&[T]; K], y: [&mut [T]; K]) {
        let Scatter { matrix, split } = *self;
        match split {
            Some((segments, pool)) => pool.columns(matrix.values.len(), y, segments.size, |t, y| {
                matrix.scatter_part(segments.lines[t].clone(), t * segments.size, x, y)
            }),
            None => matrix.scatter(x, y),
        }
    }
}

impl<T: Scalar, I: Index> Body<T> for Compressed<T, I> {
    fn nrows(&self) -> usize {
        if self.by_row { self.lines } else { self.across }
    }

    fn ncols(&self) -> usize {
        if self.by_row { self.across } else { self.lines }
    }

    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        let matrix = self.matrix(trans);
        if self.by_row == (trans == Trans::N) {
            grouped(x, y, &Gather(matrix, pool));
            return Ok(());
        }
        let several = pool.threads() > 1 && self.across > SEGMENT;
        let segments = several.then(|| self.segments.get_or_init(|| Segments::new(matrix, self.across)));
        let split = segments.filter(|s| s.worthwhile).map(|s| (s, pool));
        grouped(x, y, &Scatter { matrix, split });
        Ok(())
    }

    fn entries(&self, entry: &mut dyn FnMut(usize, usize, T)) -> Result<()> {
        let matrix = self.matrix(Trans::N);
        for i in 0..self.lines {
            let range = matrix.range(i);
            for (k, v) in matrix.ind[range.clone()].iter().zip(&matrix.values[range]) {
                let k = k.at(self.base);
                if self.by_row { entry(i, k, *v) } else { entry(k, i, *v) }
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
        (if self.by_row { "csr" } else { "csc" }).to_string()
    }

    fn count(&self, key: &str) -> Option<i64> {
        (key == "entries").then_some(self.entries as i64)
    }
}
