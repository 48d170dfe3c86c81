//! Substitution with a sparse unit triangular matrix, at the speed of a matrix product.
//!
//! Row by row, each unknown waits for the one before it and the machine idles. Unknowns that do
//! not depend on each other can be taken together: within a block of rows that fits the
//! second-level cache, rows are sorted by level (the length of the longest chain of dependences
//! that ends there; Saad, Iterative Methods for Sparse Linear Systems, 2nd ed., sec. 11.6.3) and,
//! in a level, by their number of entries. Entries are stored in the order in which they are
//! used. Rows of equal length form runs whose inner loop has no exit to predict. Each row is
//! still summed in its own order, so the result does not depend on the schedule.

use crate::linalg::lanes::Row;
use crate::runtime::{memory, Result, Scalar};
use std::ops::Range;

/// Rows a block: 64 KiB of f64.
const BLOCK: usize = 8192;

/// Consecutive rows of the schedule with the same number of entries.
#[derive(Clone, Copy)]
struct Run {
    entries: u32,
    rows: u32,
}

/// A triangular matrix with ones on its diagonal, which are not stored.
pub struct Sweep<T> {
    /// Lower triangular: row 0 comes first. Otherwise the last row does.
    lower: bool,
    n: usize,
    /// Rows as they are visited.
    order: Vec<u32>,
    runs: Vec<Run>,
    /// For each block, the number of runs up to its end.
    blocks: Vec<usize>,
    /// Where the entries of row i begin, and how many there are.
    start: Vec<usize>,
    len: Vec<u32>,
    pub col: Vec<u32>,
    pub value: Vec<T>,
    /// Room to sort a block: (level, entries, row).
    keys: Vec<(u32, u32, u32)>,
}

impl<T: Scalar> Sweep<T> {
    pub fn new(lower: bool) -> Self {
        Sweep {
            lower,
            n: 0,
            order: Vec::new(),
            runs: Vec::new(),
            blocks: Vec::new(),
            start: Vec::new(),
            len: Vec::new(),
            col: Vec::new(),
            value: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Takes on the pattern with the columns `col[ptr[i]..ptr[i + 1]]`, ascending, in row i; they
    /// lie below (lower) or above row i. Values become zero; storage is reused.
    pub fn shape(&mut self, ptr: &[usize], col: &[u32]) -> Result<()> {
        const WHAT: &str = "a triangular factor";
        self.n = ptr.len() - 1;
        let n = self.n;
        self.order.clear();
        self.runs.clear();
        self.blocks.clear();
        self.col.clear();
        self.value.clear();
        memory::reserve(&mut self.order, n, WHAT)?;
        memory::reserve(&mut self.blocks, n.div_ceil(BLOCK), WHAT)?;
        memory::reserve(&mut self.col, col.len(), WHAT)?;
        memory::reserve(&mut self.value, col.len(), WHAT)?;
        resize(&mut self.start, n, 0, WHAT)?;
        resize(&mut self.len, n, 0, WHAT)?;
        resize(&mut self.keys, n.min(BLOCK), (0, 0, 0), WHAT)?;
        self.value.resize(col.len(), T::ZERO);
        for b in 0..n.div_ceil(BLOCK) {
            let rows = self.block(b);
            self.sort_block(rows.clone(), ptr, col);
            for k in 0..rows.len() {
                let (_, entries, row) = self.keys[k];
                let joins = k > 0 && self.keys[k - 1].1 == entries;
                self.visit(row as usize, entries, ptr, col, joins)?;
            }
            self.blocks.push(self.runs.len());
        }
        Ok(())
    }

    /// The rows of block b, counted in the direction of the sweep.
    fn block(&self, b: usize) -> Range<usize> {
        let (from, to) = (b * BLOCK, ((b + 1) * BLOCK).min(self.n));
        if self.lower { from..to } else { self.n - to..self.n - from }
    }

    fn sort_block(&mut self, rows: Range<usize>, ptr: &[usize], col: &[u32]) {
        let keys = &mut self.keys[..rows.len()];
        for k in 0..rows.len() {
            let i = if self.lower { rows.start + k } else { rows.end - 1 - k };
            let columns = &col[ptr[i]..ptr[i + 1]];
            let inside = columns.iter().map(|c| *c as usize).filter(|c| rows.contains(c));
            let level = inside.map(|c| keys[c - rows.start].0 + 1).max().unwrap_or(0);
            keys[i - rows.start] = (level, columns.len() as u32, i as u32);
        }
        keys.sort_unstable();
    }

    /// Appends row i to the schedule, to the last run if it `joins` that.
    fn visit(&mut self, i: usize, entries: u32, ptr: &[usize], col: &[u32], joins: bool) -> Result<()> {
        self.order.push(i as u32);
        self.start[i] = self.col.len();
        self.len[i] = entries;
        let columns = &col[ptr[i]..ptr[i + 1]];
        // The nearest neighbour, computed last, is used last.
        if self.lower {
            self.col.extend_from_slice(columns);
        } else {
            self.col.extend(columns.iter().rev());
        }
        match self.runs.last_mut() {
            Some(run) if joins => run.rows += 1,
            _ => push(&mut self.runs, Run { entries, rows: 1 }, "a triangular factor")?,
        }
        Ok(())
    }

    /// Where row i stands in `col` and `value`: columns ascending (lower) or descending.
    #[inline(always)]
    pub fn row(&self, i: usize) -> Range<usize> {
        self.start[i]..self.start[i] + self.len[i] as usize
    }

    /// Fills in the values of a matrix given as to `shape`.
    pub fn fill(&mut self, ptr: &[usize], values: &[T]) {
        for i in 0..self.n {
            let span = self.row(i);
            let (to, from) = (&mut self.value[span], &values[ptr[i]..ptr[i + 1]]);
            to.copy_from_slice(from);
            if !self.lower {
                to.reverse();
            }
        }
    }

    /// y <- T^-1 y. `enter` is called with the rows of each block just before they are used, `leave` when
    /// they are done.
    #[inline(always)]
    pub fn solve<Y: Row<T>>(&self, y: &mut [Y], mut enter: impl FnMut(Range<usize>, &mut [Y]), mut leave: impl FnMut(Range<usize>, &[Y])) {
        let y = &mut y[..self.n];
        let (mut run, mut row, mut entry) = (0, 0, 0);
        for (b, end) in self.blocks.iter().enumerate() {
            enter(self.block(b), y);
            for Run { entries, rows } in &self.runs[run..*end] {
                let (entries, rows) = (*entries as usize, *rows as usize);
                let order = &self.order[row..row + rows];
                let span = entry..entry + rows * entries;
                let (col, value) = (&self.col[span.clone()], &self.value[span]);
                match entries {
                    0 => (),
                    1 => gather::<T, 1, Y>(order, col, value, y),
                    2 => gather::<T, 2, Y>(order, col, value, y),
                    3 => gather::<T, 3, Y>(order, col, value, y),
                    4 => gather::<T, 4, Y>(order, col, value, y),
                    5 => gather::<T, 5, Y>(order, col, value, y),
                    6 => gather::<T, 6, Y>(order, col, value, y),
                    7 => gather::<T, 7, Y>(order, col, value, y),
                    8 => gather::<T, 8, Y>(order, col, value, y),
                    _ => gather_long(entries, order, col, value, y),
                }
                row += rows;
                entry += rows * entries;
            }
            run = *end;
            leave(self.block(b), y);
        }
    }

    /// y <- T^-T y, or T^-H y.
    #[inline(always)]
    pub fn solve_transposed<Y: Row<T>>(&self, conj: bool, y: &mut [Y]) {
        if conj && T::IS_COMPLEX {
            self.scatter::<true, Y>(y)
        } else {
            self.scatter::<false, Y>(y)
        }
    }

    #[inline(always)]
    fn scatter<const CONJ: bool, Y: Row<T>>(&self, y: &mut [Y]) {
        let y = &mut y[..self.n];
        for i in self.order.iter().rev() {
            let span = self.row(*i as usize);
            let t = y[*i as usize];
            for (c, v) in self.col[span.clone()].iter().zip(&self.value[span]) {
                let v = if CONJ { v.conj() } else { *v };
                y[*c as usize] = y[*c as usize].minus(t.times(v));
            }
        }
    }
}

#[inline(always)]
fn gather<T: Scalar, const L: usize, Y: Row<T>>(order: &[u32], col: &[u32], value: &[T], y: &mut [Y]) {
    for ((i, c), v) in order.iter().zip(col.chunks_exact(L)).zip(value.chunks_exact(L)) {
        let mut sum = y[*i as usize];
        for l in 0..L {
            sum = sum.minus(y[c[l] as usize].times(v[l]));
        }
        y[*i as usize] = sum;
    }
}

/// Long rows are summed in four parts, which do not wait for each other.
#[inline(always)]
fn gather_long<T: Scalar, Y: Row<T>>(entries: usize, order: &[u32], col: &[u32], value: &[T], y: &mut [Y]) {
    for ((i, c), v) in order.iter().zip(col.chunks_exact(entries)).zip(value.chunks_exact(entries)) {
        let mut parts = [Y::ZERO; 4];
        let (c4, v4) = (c.chunks_exact(4), v.chunks_exact(4));
        for (c, v) in c4.remainder().iter().zip(v4.remainder()) {
            parts[0] = parts[0].plus(y[*c as usize].times(*v));
        }
        for (c, v) in c4.zip(v4) {
            for l in 0..4 {
                parts[l] = parts[l].plus(y[c[l] as usize].times(v[l]));
            }
        }
        let sum = parts[0].plus(parts[1]).plus(parts[2].plus(parts[3]));
        y[*i as usize] = y[*i as usize].minus(sum);
    }
}

/// `v` becomes `n` items, its storage reused.
pub fn resize<V: Copy>(v: &mut Vec<V>, n: usize, value: V, what: &'static str) -> Result<()> {
    v.clear();
    memory::reserve(v, n, what)?;
    v.resize(n, value);
    Ok(())
}

/// A push that may fail and grows by doubling.
#[inline]
pub fn push<V>(v: &mut Vec<V>, item: V, what: &'static str) -> Result<()> {
    if v.len() == v.capacity() {
        memory::reserve(v, v.len().max(64), what)?;
    }
    v.push(item);
    Ok(())
}
