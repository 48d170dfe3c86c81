//! Panels: a few columns of equal length in one array, column-major with a leading dimension.

use std::ops::Range;

/// `ncols` columns of `nrows` entries; column j starts at `j * ld`.
#[derive(Clone, Copy)]
pub struct Panel<'a, T> {
    pub data: &'a [T],
    pub nrows: usize,
    pub ncols: usize,
    pub ld: usize,
}

impl<'a, T> Panel<'a, T> {
    /// Columns side by side without gaps.
    pub fn packed(data: &'a [T], nrows: usize, ncols: usize) -> Self {
        Panel { data: &data[..nrows * ncols], nrows, ncols, ld: nrows }
    }

    pub fn column(x: &'a [T]) -> Self {
        Panel { data: x, nrows: x.len(), ncols: 1, ld: x.len() }
    }

    pub fn col(&self, j: usize) -> &'a [T] {
        &self.data[j * self.ld..][..self.nrows]
    }

    /// Some rows of all columns.
    pub fn rows(&self, rows: Range<usize>) -> Panel<'a, T> {
        Panel { data: &self.data[rows.start..], nrows: rows.len(), ..*self }
    }

    /// Columns `from..to`.
    pub fn cols(&self, from: usize, to: usize) -> Panel<'a, T> {
        let data = if from == to { &self.data[..0] } else { &self.data[from * self.ld..(to - 1) * self.ld + self.nrows] };
        Panel { data, nrows: self.nrows, ncols: to - from, ld: self.ld }
    }
}

/// The mutable twin of [`Panel`].
pub struct PanelMut<'a, T> {
    pub data: &'a mut [T],
    pub nrows: usize,
    pub ncols: usize,
    pub ld: usize,
}

impl<'a, T> PanelMut<'a, T> {
    pub fn packed(data: &'a mut [T], nrows: usize, ncols: usize) -> Self {
        PanelMut { data: &mut data[..nrows * ncols], nrows, ncols, ld: nrows }
    }

    pub fn column(x: &'a mut [T]) -> Self {
        let nrows = x.len();
        PanelMut { data: x, nrows, ncols: 1, ld: nrows }
    }

    pub fn col(&mut self, j: usize) -> &mut [T] {
        &mut self.data[j * self.ld..][..self.nrows]
    }

    /// Some rows of all columns.
    pub fn rows(&mut self, rows: Range<usize>) -> PanelMut<'_, T> {
        PanelMut { data: &mut self.data[rows.start..], nrows: rows.len(), ncols: self.ncols, ld: self.ld }
    }

    /// All columns, apart.
    pub fn split(self) -> impl Iterator<Item = &'a mut [T]> {
        let (nrows, gap, mut rest) = (self.nrows, self.ld.saturating_sub(self.nrows), self.data);
        (0..self.ncols).map(move |_| {
            let (column, behind) = std::mem::take(&mut rest).split_at_mut(nrows);
            let gap = gap.min(behind.len());
            rest = &mut behind[gap..];
            column
        })
    }

    pub fn reborrow(&mut self) -> PanelMut<'_, T> {
        PanelMut { data: self.data, nrows: self.nrows, ncols: self.ncols, ld: self.ld }
    }

    pub fn as_panel(&self) -> Panel<'_, T> {
        Panel { data: self.data, nrows: self.nrows, ncols: self.ncols, ld: self.ld }
    }
}
