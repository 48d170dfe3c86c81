//! Incomplete LU factors with the entries that are large (Saad, sec. 10.4.1, ILUT): row by row,
//! entries below a multiple of the row's 2-norm are dropped, and of the others the largest stay.

use super::lagged::Part;
use super::pivot::{largest, Pivoting};
use super::sweep::{push, resize};
use super::triangular::Triangular;
use crate::linalg::{Panel, PanelMut};
use crate::operator::assemble::Assembled;
use crate::operator::{Operator, Trans};
use crate::runtime::options::Options;
use crate::runtime::{memory, Pool, Result, Scalar};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const WHAT: &str = "a factorisation";

/// The keys `drop_tolerance` and `fill`.
#[derive(Clone, Copy)]
pub struct Dropping {
    pub tolerance: f64,
    fill: usize,
}

impl Dropping {
    pub fn new(options: &Options) -> Self {
        Dropping { tolerance: options.real("drop_tolerance"), fill: options.count("fill") }
    }

    /// Keeps the largest of `entries`, `fill` more than `given`, in ascending order.
    pub fn keep<T: Scalar>(self, entries: &mut Vec<(u32, T)>, given: usize) {
        let most = given.saturating_add(self.fill);
        if entries.len() > most {
            // Equal moduli: the lower number stays, so that the choice is the same every time.
            entries.select_nth_unstable_by(most, |a, b| b.1.modulus().total_cmp(&a.1.modulus()).then(a.0.cmp(&b.0)));
            entries.truncate(most);
        }
        entries.sort_unstable_by_key(|e| e.0);
    }
}

/// Rows in natural order, appended one by one; storage is reused.
#[derive(Default)]
pub struct Rows<T> {
    pub ptr: Vec<usize>,
    pub col: Vec<u32>,
    pub value: Vec<T>,
}

impl<T: Scalar> Rows<T> {
    pub fn clear(&mut self, n: usize) -> Result<()> {
        self.ptr.clear();
        memory::reserve(&mut self.ptr, n + 1, WHAT)?;
        self.ptr.push(0);
        self.col.clear();
        self.value.clear();
        Ok(())
    }

    pub fn append(&mut self, entries: impl Iterator<Item = (u32, T)>) -> Result<()> {
        for (j, v) in entries {
            push(&mut self.col, j, WHAT)?;
            push(&mut self.value, v, WHAT)?;
        }
        self.ptr.push(self.col.len());
        Ok(())
    }

    pub fn span(&self, i: usize) -> std::ops::Range<usize> {
        self.ptr[i]..self.ptr[i + 1]
    }
}

pub struct Ilut<T: Scalar> {
    pivoting: Pivoting,
    dropping: Dropping,
    rows: Assembled<T>,
    lower: Rows<T>,
    upper: Rows<T>,
    inverse: Vec<T>,
    factor: Triangular<T>,
    row: Row<T>,
}

/// The row at work.
struct Row<T> {
    work: Vec<T>,
    /// `i + 1` where row i has an entry.
    mark: Vec<u32>,
    /// Columns below i that wait for elimination.
    waiting: BinaryHeap<Reverse<u32>>,
    /// Columns above i.
    above: Vec<u32>,
    left: Vec<(u32, T)>,
    right: Vec<(u32, T)>,
}

impl<T: Scalar> Row<T> {
    fn add(&mut self, i: usize, j: u32, v: T) -> Result<()> {
        let at = j as usize;
        if self.mark[at] == i as u32 + 1 {
            self.work[at] += v;
            return Ok(());
        }
        self.mark[at] = i as u32 + 1;
        self.work[at] = v;
        if at < i {
            // No more than n columns wait, for which there is room.
            self.waiting.push(Reverse(j));
        } else if at > i {
            push(&mut self.above, j, WHAT)?;
        }
        Ok(())
    }
}

impl<T: Scalar> Ilut<T> {
    pub fn new(a: &Operator<T>, options: &Options) -> Result<Self> {
        let rows = Assembled::with_diagonal(a)?;
        let n = rows.nrows;
        let mut waiting = Vec::new();
        memory::reserve(&mut waiting, n, WHAT)?;
        let row = Row {
            work: memory::filled(n, T::ZERO, WHAT)?,
            mark: memory::filled(n, 0, WHAT)?,
            waiting: BinaryHeap::from(waiting),
            above: memory::with_capacity(n, WHAT)?,
            left: memory::with_capacity(n, WHAT)?,
            right: memory::with_capacity(n, WHAT)?,
        };
        let mut part = Ilut {
            pivoting: Pivoting::new(options),
            dropping: Dropping::new(options),
            rows,
            lower: Rows::default(),
            upper: Rows::default(),
            inverse: Vec::new(),
            factor: Triangular::new(),
            row,
        };
        part.factor()?;
        Ok(part)
    }

    fn factor(&mut self) -> Result<()> {
        let Ilut { pivoting, dropping, rows, lower, upper, inverse, row, factor } = self;
        let n = rows.nrows;
        lower.clear(n)?;
        upper.clear(n)?;
        resize(inverse, n, T::ZERO, WHAT)?;
        row.mark.fill(0);
        for i in 0..n {
            let (col, values) = rows.row(i);
            let norm = values.iter().map(|v| v.modulus().powi(2)).sum::<f64>().sqrt();
            let small = dropping.tolerance * norm;
            row.waiting.clear();
            row.above.clear();
            row.left.clear();
            row.right.clear();
            for (j, v) in col.iter().zip(values) {
                row.add(i, *j, *v)?;
            }
            row.work[i] = pivoting.outward(row.work[i]);
            while let Some(Reverse(k)) = row.waiting.pop() {
                let w = row.work[k as usize];
                let l = w * inverse[k as usize];
                if l.modulus() < small {
                    continue;
                }
                row.left.push((k, l));
                for e in upper.span(k as usize) {
                    row.add(i, upper.col[e], -(w * upper.value[e]))?;
                }
            }
            let below = col.partition_point(|j| (*j as usize) < i);
            dropping.keep(&mut row.left, below);
            let d = pivoting.invert(i, row.work[i], largest(values))?;
            inverse[i] = d;
            for j in &row.above {
                let v = row.work[*j as usize];
                if v.modulus() >= small {
                    row.right.push((*j, v));
                }
            }
            dropping.keep(&mut row.right, col.len() - below - 1);
            lower.append(row.left.iter().copied())?;
            upper.append(row.right.iter().map(|(j, v)| (*j, *v * d)))?;
        }
        factor.shape((&lower.ptr, &lower.col), (&upper.ptr, &upper.col))?;
        factor.lower.fill(&lower.ptr, &lower.value);
        factor.upper.fill(&upper.ptr, &upper.value);
        factor.inverse.copy_from_slice(inverse);
        Ok(())
    }
}

impl<T: Scalar> Part<T> for Ilut<T> {
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
