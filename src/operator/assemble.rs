//! Rows in canonical form, from any operator that has entries, and matrices from triplets.

use super::check::{self, Index};
use super::sparse::{Compressed, Parts};
use super::{Body, Operator, Trans};
use crate::linalg::{kernels, Panel, PanelMut};
use crate::runtime::{memory, Error, Pool, Result, Scalar};

/// Rows with ascending columns and summed duplicates: row i has the columns
/// `col[ptr[i]..ptr[i + 1]]`, counted from 0. New numbers are filled in without allocating.
#[derive(Debug)]
pub struct Assembled<T> {
    pub nrows: usize,
    pub ncols: usize,
    pub ptr: Vec<usize>,
    pub col: Vec<u32>,
    pub values: Vec<T>,
    /// From the operator's entries, in their order, to `values`; absent when that is the identity.
    slots: Option<Vec<usize>>,
}

impl<T: Scalar> Assembled<T> {
    /// Errors: `Unsupported` for an operator without entries, `NonFinite` for a sum that is NaN
    /// or infinite.
    pub fn new(a: &Operator<T>) -> Result<Self> {
        Self::build(a, false)
    }

    /// As `new`, for a square operator, with a place (zero, if nothing is stored there) for each
    /// diagonal entry.
    pub fn with_diagonal(a: &Operator<T>) -> Result<Self> {
        Self::build(a, true)
    }

    fn build(a: &Operator<T>, diagonal: bool) -> Result<Self> {
        let (nrows, ncols) = (a.nrows(), a.ncols());
        if ncols > u32::MAX as usize {
            return Err(Error::Unsupported(format!("a matrix of {ncols} columns cannot be assembled; the limit is {}", u32::MAX)));
        }
        let mut survey = survey(a, nrows, ncols, diagonal)?;
        let missing = survey.missing_diagonal(nrows.min(ncols));
        let mut rows = Assembled { nrows, ncols, ptr: survey.ptr, col: Vec::new(), values: Vec::new(), slots: None };
        if survey.canonical && missing == 0 {
            rows.take_columns(a)?;
        } else {
            rows.sort_columns(a, &survey.has_diagonal, missing)?;
        }
        rows.values = memory::filled(rows.col.len(), T::ZERO, "rows of a matrix")?;
        rows.refresh(a)?;
        Ok(rows)
    }

    /// Reads the numbers anew. A pattern that is not the one seen by `new` is a `State` error and
    /// leaves values that mean nothing.
    pub fn refresh(&mut self, a: &Operator<T>) -> Result<()> {
        let (ptr, col, values, slots) = (&self.ptr, &self.col, &mut self.values, self.slots.as_deref());
        let entries = slots.map_or(col.len(), |s| s.len());
        values.fill(T::ZERO);
        let (mut seen, mut same) = (0, true);
        a.with_body(|body| {
            body.entries(&mut |i, j, v| {
                let slot = match slots {
                    Some(slots) => slots.get(seen).copied().unwrap_or(usize::MAX),
                    None => seen,
                };
                seen += 1;
                if i < ptr.len() - 1 && slot >= ptr[i] && slot < ptr[i + 1] && col[slot] as usize == j {
                    values[slot] += v;
                } else {
                    same = false;
                }
            })
        })?;
        if !same || seen != entries {
            return Err(Error::State("the pattern of the operator is not the one seen at creation".to_string()));
        }
        match kernels::first_nonfinite(values) {
            None => Ok(()),
            Some(slot) => {
                let row = ptr.partition_point(|&p| p <= slot) - 1;
                Err(Error::NonFinite(format!("the entry in row {row}, column {} is {}, must be finite", col[slot], values[slot])))
            }
        }
    }

    /// Columns and values of row i.
    #[inline]
    pub fn row(&self, i: usize) -> (&[u32], &[T]) {
        let span = self.ptr[i]..self.ptr[i + 1];
        (&self.col[span.clone()], &self.values[span])
    }

    /// The place of the entry in row i and column j.
    pub fn slot(&self, i: usize, j: usize) -> Option<usize> {
        self.row(i).0.binary_search(&(j as u32)).ok().map(|k| self.ptr[i] + k)
    }

    /// r <- b - op(A) x.
    pub fn residual(&self, trans: Trans, b: &[T], x: &[T], r: &mut [T]) {
        r.copy_from_slice(b);
        for i in 0..self.nrows {
            let (col, values) = self.row(i);
            if trans == Trans::N {
                r[i] -= col.iter().zip(values).fold(T::ZERO, |sum, (j, v)| sum + *v * x[*j as usize]);
            } else {
                for (j, v) in col.iter().zip(values) {
                    let v = if trans == Trans::H { v.conj() } else { *v };
                    r[*j as usize] -= v * x[i];
                }
            }
        }
    }

    /// The columns of entries that arrive in canonical order.
    fn take_columns(&mut self, a: &Operator<T>) -> Result<()> {
        let entries = self.ptr[self.nrows];
        let mut col = memory::with_capacity(entries, "rows of a matrix")?;
        a.with_body(|body| {
            body.entries(&mut |_, j, _| {
                if col.len() < entries {
                    col.push(j as u32);
                }
            })
        })?;
        if col.len() != entries {
            return Err(unsteady());
        }
        self.col = col;
        Ok(())
    }

    /// The columns of entries in any order and of `missing` diagonal places, and the map from
    /// entries to slots.
    fn sort_columns(&mut self, a: &Operator<T>, has_diagonal: &[bool], missing: usize) -> Result<()> {
        const ADDED: usize = usize::MAX;
        let entries = self.ptr[self.nrows] - missing;
        let mut next = memory::copied(&self.ptr, "rows of a matrix")?;
        let mut items = memory::filled(entries + missing, (0u32, ADDED), "rows of a matrix")?;
        for i in has_diagonal.iter().enumerate().filter(|(_, has)| !**has).map(|(i, _)| i) {
            items[next[i]] = (i as u32, ADDED);
            next[i] += 1;
        }
        let mut seen = 0;
        let (ptr, nrows) = (&self.ptr, self.nrows);
        a.with_body(|body| {
            body.entries(&mut |i, j, _| {
                if i < nrows && next[i] < ptr[i + 1] {
                    items[next[i]] = (j as u32, seen);
                    next[i] += 1;
                }
                seen += 1;
            })
        })?;
        if seen != entries || (0..nrows).any(|i| next[i] != ptr[i + 1]) {
            return Err(unsteady());
        }
        let mut slots = memory::filled(entries, 0usize, "rows of a matrix")?;
        let mut col = memory::with_capacity(entries + missing, "rows of a matrix")?;
        compress(&mut self.ptr, &mut items, |j, (_, entry), first| {
            if first {
                col.push(j);
            }
            if entry != ADDED {
                slots[entry] = col.len() - 1;
            }
        });
        self.col = col;
        self.slots = Some(slots);
        Ok(())
    }
}

/// Sorts the items of each row by column and order of arrival, calls `take` with the column, the
/// item and whether it is the first of its column, and makes `ptr` that of the distinct columns.
fn compress<V: Copy + Ord>(ptr: &mut [usize], items: &mut [(u32, V)], mut take: impl FnMut(u32, (u32, V), bool)) {
    let (mut from, mut distinct) = (0, 0);
    for p in ptr[1..].iter_mut() {
        let row = &mut items[from..*p];
        from = *p;
        row.sort_unstable();
        let mut last = None;
        for item in row.iter() {
            let first = last != Some(item.0);
            last = Some(item.0);
            distinct += first as usize;
            take(item.0, *item, first);
        }
        *p = distinct;
    }
}

/// What one pass over the entries tells.
struct Survey {
    /// Row pointers of the entries as they are.
    ptr: Vec<usize>,
    /// They arrive row by row with ascending columns.
    canonical: bool,
    /// Rows that hold a diagonal entry; empty when nobody asked.
    has_diagonal: Vec<bool>,
}

impl Survey {
    /// Makes room in `ptr` for the diagonal entries that are not there; returns their number.
    fn missing_diagonal(&mut self, square: usize) -> usize {
        let mut missing = 0;
        for i in 0..self.ptr.len() - 1 {
            missing += (i < square && self.has_diagonal.get(i) == Some(&false)) as usize;
            self.ptr[i + 1] += missing;
        }
        missing
    }
}

fn survey<T: Scalar>(a: &Operator<T>, nrows: usize, ncols: usize, diagonal: bool) -> Result<Survey> {
    let mut ptr = memory::filled(nrows + 1, 0usize, "rows of a matrix")?;
    let mut has_diagonal = memory::filled(if diagonal { nrows.min(ncols) } else { 0 }, false, "rows of a matrix")?;
    let (mut canonical, mut outside) = (true, None);
    let mut last = None;
    a.with_body(|body| {
        body.entries(&mut |i, j, _| {
            if i >= nrows || j >= ncols {
                outside.get_or_insert((i, j));
                return;
            }
            ptr[i + 1] += 1;
            canonical &= last < Some((i, j));
            last = Some((i, j));
            if i == j && diagonal {
                has_diagonal[i] = true;
            }
        })
    })?;
    if let Some((i, j)) = outside {
        return Err(Error::Index(format!("an entry in row {i}, column {j} lies outside the {nrows} x {ncols} operator")));
    }
    for i in 0..nrows {
        ptr[i + 1] += ptr[i];
    }
    Ok(Survey { ptr, canonical, has_diagonal })
}

fn unsteady() -> Error {
    Error::State("the pattern of the operator changed while it was read".to_string())
}

/// A matrix from triplets: repeated positions are summed in the order given, columns ascend.
///
/// Errors name `rowind`, `colind` or `values`; sums must be finite too.
pub fn coo<T: Scalar, I: Index>(nrows: usize, ncols: usize, base: usize, rows: &[I], cols: &[I], values: &[T]) -> Result<Compressed<T, i64>> {
    let (ptr, col, slots) = pattern(nrows, ncols, base, rows, cols)?;
    let sums = summed(&slots, col.len(), values)?;
    compressed(nrows, ncols, &ptr, &col, sums)
}

/// A matrix from triplets that takes new numbers in the order of its triplets.
pub struct Triplets<T: Scalar> {
    matrix: Box<dyn Body<T>>,
    entries: usize,
    slots: Vec<usize>,
}

impl<T: Scalar> Triplets<T> {
    /// As [`coo`]; indices are kept in 32 bits where they fit.
    pub fn new<I: Index>(nrows: usize, ncols: usize, base: usize, rows: &[I], cols: &[I], values: &[T]) -> Result<Self> {
        let (ptr, col, slots) = pattern(nrows, ncols, base, rows, cols)?;
        let entries = col.len();
        let sums = summed(&slots, entries, values)?;
        let narrow = ncols <= i32::MAX as usize && entries <= i32::MAX as usize;
        let matrix: Box<dyn Body<T>> = if narrow {
            Box::new(compressed::<T, i32>(nrows, ncols, &ptr, &col, sums)?)
        } else {
            Box::new(compressed::<T, i64>(nrows, ncols, &ptr, &col, sums)?)
        };
        Ok(Triplets { matrix, entries, slots })
    }
}

impl<T: Scalar> Body<T> for Triplets<T> {
    fn nrows(&self) -> usize {
        self.matrix.nrows()
    }

    fn ncols(&self) -> usize {
        self.matrix.ncols()
    }

    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        self.matrix.apply(pool, trans, x, y)
    }

    fn entries(&self, entry: &mut dyn FnMut(usize, usize, T)) -> Result<()> {
        self.matrix.entries(entry)
    }

    fn changed(&mut self, pool: &Pool) -> Result<()> {
        self.matrix.changed(pool)
    }

    fn set_values(&mut self, values: &[T]) -> Result<()> {
        self.matrix.set_values(&summed(&self.slots, self.entries, values)?)
    }

    fn values_len(&self) -> Option<usize> {
        Some(self.slots.len())
    }

    fn describe(&self) -> String {
        "coo".to_string()
    }

    fn count(&self, key: &str) -> Option<i64> {
        self.matrix.count(key)
    }
}

/// Row pointers and columns of the distinct positions, and the position of each triplet.
#[allow(clippy::type_complexity)]
fn pattern<I: Index>(nrows: usize, ncols: usize, base: usize, rows: &[I], cols: &[I]) -> Result<(Vec<usize>, Vec<u32>, Vec<usize>)> {
    const WHAT: &str = "a matrix of triplets";
    if rows.len() != cols.len() {
        return Err(Error::size("colind", cols.len(), format!("be that of 'rowind', {}", rows.len())));
    }
    if ncols > u32::MAX as usize {
        return Err(Error::size("ncols", ncols, format!("be at most {} for triplets", u32::MAX)));
    }
    check::indices("rowind", rows, nrows, base)?;
    check::indices("colind", cols, ncols, base)?;
    let mut ptr = memory::filled(nrows.saturating_add(1), 0usize, WHAT)?;
    for i in rows {
        ptr[i.at(base) + 1] += 1;
    }
    for i in 0..nrows {
        ptr[i + 1] += ptr[i];
    }
    let mut next = memory::copied(&ptr, WHAT)?;
    let mut items = memory::filled(rows.len(), (0u32, 0usize), WHAT)?;
    for (k, (i, j)) in rows.iter().zip(cols).enumerate() {
        let at = &mut next[i.at(base)];
        items[*at] = (j.at(base) as u32, k);
        *at += 1;
    }
    let mut slots = memory::filled(rows.len(), 0usize, WHAT)?;
    let mut col = memory::with_capacity(rows.len(), WHAT)?;
    compress(&mut ptr, &mut items, |j, (_, k), first| {
        if first {
            col.push(j);
        }
        slots[k] = col.len() - 1;
    });
    Ok((ptr, col, slots))
}

fn summed<T: Scalar>(slots: &[usize], entries: usize, values: &[T]) -> Result<Vec<T>> {
    if values.len() != slots.len() {
        return Err(Error::size("values", values.len(), format!("be the number of triplets, {}", slots.len())));
    }
    check::finite("values", values)?;
    let mut sums = memory::filled(entries, T::ZERO, "a matrix of triplets")?;
    for (slot, v) in slots.iter().zip(values) {
        sums[*slot] += *v;
    }
    match kernels::first_nonfinite(&sums) {
        None => Ok(sums),
        Some(bad) => {
            let k = slots.iter().position(|s| *s == bad).unwrap_or(0);
            Err(Error::NonFinite(format!("argument 'values' adds up to {} at the place of position {k}, must be finite", sums[bad])))
        }
    }
}

fn compressed<T: Scalar, J: Index + TryFrom<usize> + TryFrom<u32>>(nrows: usize, ncols: usize, ptr: &[usize], col: &[u32], values: Vec<T>) -> Result<Compressed<T, J>> {
    let narrow = || Error::Internal("an index does not fit the type chosen for it".to_string());
    let mut p: Vec<J> = memory::with_capacity(ptr.len(), "a matrix of triplets")?;
    for v in ptr {
        p.push(J::try_from(*v).map_err(|_| narrow())?);
    }
    let mut c: Vec<J> = memory::with_capacity(col.len(), "a matrix of triplets")?;
    for v in col {
        c.push(J::try_from(*v).map_err(|_| narrow())?);
    }
    Compressed::csr(Parts { nrows, ncols, base: 0, ptr: Box::new(p), ind: Box::new(c), values: Box::new(values), copied: true })
}
