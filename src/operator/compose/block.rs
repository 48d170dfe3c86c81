//! A grid of operators, some of them zero.

use super::{add, entries_of};
use crate::linalg::{Panel, PanelMut};
use crate::operator::workspace::Workspace;
use crate::operator::{Body, Operator, Trans};
use crate::runtime::{memory, Error, Pool, Result, Scalar};

pub struct Block<T: Scalar> {
    /// Where each block row starts, and the end.
    row_starts: Vec<usize>,
    col_starts: Vec<usize>,
    /// Row by row, the place of each block in `parts`.
    grid: Vec<Option<usize>>,
    parts: Vec<Operator<T>>,
    work: Workspace<T>,
}

impl<T: Scalar> Block<T> {
    /// `blocks` row by row, `nblockrows * nblockcols` of them, `None` for zero. The shape of a
    /// zero block follows from its row and column, so each of them needs an operator.
    pub fn new(nblockrows: usize, nblockcols: usize, blocks: Vec<Option<Operator<T>>>) -> Result<Self> {
        let count = memory::product(nblockrows, nblockcols, "blocks")?;
        if count == 0 || blocks.len() != count {
            return Err(Error::size("blocks", blocks.len(), format!("be {nblockrows} x {nblockcols} and not empty")));
        }
        let at = |r: usize, c: usize| blocks[r * nblockcols + c].as_ref();
        let row_starts = starts(nblockrows, "row", |r| (0..nblockcols).find_map(|c| at(r, c)).map(|a| a.nrows()))?;
        let col_starts = starts(nblockcols, "column", |c| (0..nblockrows).find_map(|r| at(r, c)).map(|a| a.ncols()))?;
        check_shapes(&blocks, &row_starts, &col_starts)?;
        let mut parts = memory::with_capacity(count, "blocks")?;
        let mut grid = memory::with_capacity(count, "blocks")?;
        for block in blocks {
            grid.push(block.as_ref().map(|_| parts.len()));
            parts.extend(block);
        }
        Ok(Block { row_starts, col_starts, grid, parts, work: Workspace::new() })
    }

    fn at(&self, r: usize, c: usize) -> Option<&Operator<T>> {
        self.grid[r * (self.col_starts.len() - 1) + c].map(|p| &self.parts[p])
    }

    /// The blocks that are not zero, row by row, with their places.
    fn each(&self) -> impl Iterator<Item = (usize, usize, &Operator<T>)> {
        let cols = self.col_starts.len() - 1;
        self.grid.iter().enumerate().filter_map(move |(p, part)| Some((p / cols, p % cols, &self.parts[(*part)?])))
    }
}

/// Partial sums of the sizes of block rows or columns.
fn starts(count: usize, name: &str, size: impl Fn(usize) -> Option<usize>) -> Result<Vec<usize>> {
    let mut starts = memory::with_capacity(count + 1, "blocks")?;
    let mut end = 0usize;
    starts.push(end);
    for i in 0..count {
        let Some(size) = size(i) else {
            let got = format!("unknown in {name} {i}, where all blocks are NULL");
            return Err(Error::size("blocks", got, format!("have an operator in each {name}")));
        };
        end = end.checked_add(size).ok_or_else(|| Error::size("blocks", "beyond the address space", "be less"))?;
        starts.push(end);
    }
    Ok(starts)
}

fn check_shapes<T: Scalar>(blocks: &[Option<Operator<T>>], row_starts: &[usize], col_starts: &[usize]) -> Result<()> {
    let nblockcols = col_starts.len() - 1;
    for (p, block) in blocks.iter().enumerate() {
        let Some(a) = block else { continue };
        let (r, c) = (p / nblockcols, p % nblockcols);
        let want = (row_starts[r + 1] - row_starts[r], col_starts[c + 1] - col_starts[c]);
        if (a.nrows(), a.ncols()) != want {
            let got = format!("{} x {} at blocks[{p}] (row {r}, column {c})", a.nrows(), a.ncols());
            return Err(Error::size("blocks", got, format!("be {} x {}", want.0, want.1)));
        }
    }
    Ok(())
}

/// Rows `from..to` of a panel.
fn rows<'a, T>(x: &Panel<'a, T>, from: usize, to: usize) -> Panel<'a, T> {
    Panel { data: &x.data[from..], nrows: to - from, ncols: x.ncols, ld: x.ld }
}

impl<T: Scalar> Body<T> for Block<T> {
    fn nrows(&self) -> usize {
        *self.row_starts.last().expect("the end is present")
    }

    fn ncols(&self) -> usize {
        *self.col_starts.last().expect("the end is present")
    }

    /// All blocks are applied even if one fails, as in a product.
    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        let mut done = Ok(());
        let by_row = trans == Trans::N;
        let (outs, ins) = if by_row { (&self.row_starts, &self.col_starts) } else { (&self.col_starts, &self.row_starts) };
        for (o, out) in outs.windows(2).enumerate() {
            let nrows = out[1] - out[0];
            let mut target = PanelMut { data: &mut y.data[out[0]..], nrows, ncols: y.ncols, ld: y.ld };
            let mut written = false;
            for (i, source) in ins.windows(2).enumerate() {
                let Some(part) = (if by_row { self.at(o, i) } else { self.at(i, o) }) else { continue };
                let source = rows(&x, source[0], source[1]);
                if !written {
                    done = done.and(part.apply(pool, trans, source, target.reborrow()));
                    written = true;
                    continue;
                }
                done = done.and(self.work.with(memory::product(nrows, x.ncols, "work panel")?, |work| {
                    part.apply(pool, trans, source, PanelMut::packed(work, nrows, x.ncols))?;
                    add(pool, T::ONE, Panel::packed(work, nrows, x.ncols), target.reborrow());
                    Ok(())
                }));
            }
        }
        done
    }

    fn entries(&self, entry: &mut dyn FnMut(usize, usize, T)) -> Result<()> {
        for (r, c, part) in self.each() {
            let (row, col) = (self.row_starts[r], self.col_starts[c]);
            part.with_body(|body| body.entries(&mut |i, j, v| entry(row + i, col + j, v)))?;
        }
        Ok(())
    }

    fn parts(&self) -> &[Operator<T>] {
        &self.parts
    }

    fn has_adjoint(&self) -> bool {
        self.parts.iter().all(|p| p.has_adjoint())
    }

    /// Known where nothing stands off the diagonal.
    fn is_hermitian(&self) -> bool {
        self.row_starts == self.col_starts && self.each().all(|(r, c, part)| r == c && part.is_hermitian())
    }

    fn describe(&self) -> String {
        let name = |r, c| self.at(r, c).map_or("zero".to_string(), |p| p.describe());
        let row = |r| (0..self.col_starts.len() - 1).map(|c| name(r, c)).collect::<Vec<_>>().join(", ");
        format!("block({})", (0..self.row_starts.len() - 1).map(row).collect::<Vec<_>>().join("; "))
    }

    fn count(&self, key: &str) -> Option<i64> {
        (key == "entries").then(|| entries_of(&self.parts)).flatten()
    }

    fn is_composed(&self) -> bool {
        true
    }
}
