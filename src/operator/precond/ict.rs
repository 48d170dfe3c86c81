//! Incomplete Cholesky factors with the entries that are large, in the form L D L^H, column by
//! column (Saad, sec. 10.4; the columns that reach row j are kept in linked lists, as in Lin,
//! More, SIAM J. Sci. Comput. 21, 1999). The lower triangle of A is read.

use super::fill::transpose_into;
use super::ic::hermitian;
use super::ilut::{Dropping, Rows};
use super::lagged::Part;
use super::pivot::{check_hermitian, largest, Pivoting};
use super::sweep::resize;
use super::triangular::Triangular;
use crate::linalg::{Panel, PanelMut};
use crate::operator::assemble::Assembled;
use crate::operator::{Operator, Trans};
use crate::runtime::options::Options;
use crate::runtime::{memory, Pool, Result, Scalar};

const WHAT: &str = "a factorisation";
const NONE: u32 = u32::MAX;

pub struct Ict<T: Scalar> {
    pivoting: Pivoting,
    dropping: Dropping,
    rows: Assembled<T>,
    /// The lower triangle of A by columns, diagonal included: rows, and places in `rows`.
    a_ptr: Vec<usize>,
    a_row: Vec<u32>,
    a_slot: Vec<usize>,
    /// L by columns and by rows.
    columns: Rows<T>,
    transposed: Rows<T>,
    inverse: Vec<T>,
    factor: Triangular<T>,
    column: Column<T>,
}

/// The column at work.
struct Column<T> {
    work: Vec<T>,
    /// `j + 1` where column j has an entry.
    mark: Vec<u32>,
    found: Vec<u32>,
    kept: Vec<(u32, T)>,
    /// Column k stands in the list of the row that its next entry has: `head` by row, `link` by
    /// column; `reached` is where that entry stands.
    head: Vec<u32>,
    link: Vec<u32>,
    reached: Vec<usize>,
}

impl<T: Scalar> Ict<T> {
    pub fn new(a: &Operator<T>, options: &Options) -> Result<Self> {
        let rows = Assembled::with_diagonal(a)?;
        let n = rows.nrows;
        let mut a_ptr = memory::filled(n + 1, 0usize, WHAT)?;
        let mut by_column = memory::filled(rows.col.len(), (0u32, 0usize), WHAT)?;
        transpose_into(&rows.ptr, &rows.col, &mut a_ptr, |slot, at, i| by_column[at] = (i, slot));
        let (mut a_row, mut a_slot) = (memory::with_capacity(by_column.len(), WHAT)?, memory::with_capacity(by_column.len(), WHAT)?);
        let mut from = 0;
        for j in 0..n {
            for (i, slot) in by_column[from..a_ptr[j + 1]].iter().filter(|(i, _)| *i as usize >= j) {
                a_row.push(*i);
                a_slot.push(*slot);
            }
            from = a_ptr[j + 1];
            a_ptr[j + 1] = a_row.len();
        }
        let column = Column {
            work: memory::filled(n, T::ZERO, WHAT)?,
            mark: memory::filled(n, 0, WHAT)?,
            found: memory::with_capacity(n, WHAT)?,
            kept: memory::with_capacity(n, WHAT)?,
            head: memory::filled(n, NONE, WHAT)?,
            link: memory::filled(n, NONE, WHAT)?,
            reached: memory::filled(n, 0, WHAT)?,
        };
        let mut part = Ict {
            pivoting: Pivoting::new(options),
            dropping: Dropping::new(options),
            rows,
            a_ptr,
            a_row,
            a_slot,
            columns: Rows::default(),
            transposed: Rows::default(),
            inverse: memory::filled(n, T::ZERO, WHAT)?,
            factor: Triangular::new(),
            column,
        };
        part.factor()?;
        Ok(part)
    }

    fn factor(&mut self) -> Result<()> {
        check_hermitian(&self.rows)?;
        let n = self.rows.nrows;
        self.columns.clear(n)?;
        self.column.mark.fill(0);
        self.column.head.fill(NONE);
        for j in 0..n {
            self.column(j)?;
        }
        let Ict { columns, transposed, inverse, factor, .. } = self;
        resize(&mut transposed.ptr, n + 1, 0, WHAT)?;
        resize(&mut transposed.col, columns.col.len(), 0, WHAT)?;
        resize(&mut transposed.value, columns.col.len(), T::ZERO, WHAT)?;
        transpose_into(&columns.ptr, &columns.col, &mut transposed.ptr, |e, at, j| {
            transposed.col[at] = j;
            transposed.value[at] = columns.value[e];
        });
        for v in &mut columns.value {
            *v = v.conj();
        }
        factor.shape((&transposed.ptr, &transposed.col), (&columns.ptr, &columns.col))?;
        factor.lower.fill(&transposed.ptr, &transposed.value);
        factor.upper.fill(&columns.ptr, &columns.value);
        factor.inverse.copy_from_slice(inverse);
        Ok(())
    }

    /// Column j of L and of D.
    fn column(&mut self, j: usize) -> Result<()> {
        let Ict { pivoting, dropping, rows, a_ptr, a_row, a_slot, columns, inverse, column: c, .. } = self;
        let stamp = j as u32 + 1;
        let span = a_ptr[j]..a_ptr[j + 1];
        let (mut norm, mut d) = (0.0, 0.0);
        c.found.clear();
        for (i, slot) in a_row[span.clone()].iter().zip(&a_slot[span.clone()]) {
            let v = rows.values[*slot];
            norm += v.modulus().powi(2);
            if *i as usize == j {
                d = pivoting.upward(v.real_part());
            } else {
                c.mark[*i as usize] = stamp;
                c.work[*i as usize] = v;
                c.found.push(*i);
            }
        }
        // a_ij - sum over k of l_ik d_k conj(l_jk), for the columns k that have an entry in row j.
        let mut k = std::mem::replace(&mut c.head[j], NONE);
        while k != NONE {
            let following = c.link[k as usize];
            let at = c.reached[k as usize];
            let end = columns.ptr[k as usize + 1];
            let l = columns.value[at];
            let w = l.conj() / inverse[k as usize];
            d -= (w * l).real_part();
            for e in at + 1..end {
                let i = columns.col[e] as usize;
                let v = columns.value[e] * w;
                if c.mark[i] == stamp {
                    c.work[i] -= v;
                } else {
                    c.mark[i] = stamp;
                    c.work[i] = -v;
                    c.found.push(i as u32);
                }
            }
            c.enlist(k, at + 1, end, &columns.col);
            k = following;
        }
        inverse[j] = pivoting.invert_positive(j, d, largest(rows.row(j).1))?;
        let small = dropping.tolerance * norm.sqrt();
        c.kept.clear();
        for i in &c.found {
            let v = c.work[*i as usize];
            if v.modulus() >= small {
                c.kept.push((*i, v));
            }
        }
        dropping.keep(&mut c.kept, span.len() - 1);
        columns.append(c.kept.iter().map(|(i, v)| (*i, *v * inverse[j])))?;
        c.enlist(j as u32, columns.ptr[j], columns.ptr[j + 1], &columns.col);
        Ok(())
    }
}

impl<T> Column<T> {
    /// Puts column k, whose next entry stands at `at`, in the list of that entry's row.
    fn enlist(&mut self, k: u32, at: usize, end: usize, row: &[u32]) {
        if at < end {
            self.reached[k as usize] = at;
            self.link[k as usize] = std::mem::replace(&mut self.head[row[at] as usize], k);
        }
    }
}

impl<T: Scalar> Part<T> for Ict<T> {
    fn refresh(&mut self, _pool: &Pool, a: &Operator<T>) -> Result<()> {
        self.rows.refresh(a)?;
        self.factor()
    }

    fn apply(&self, _pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        self.factor.apply(hermitian::<T>(trans), x, y)
    }

    fn entries(&self) -> usize {
        self.factor.entries()
    }

    fn count(&self, key: &str) -> Option<i64> {
        (key == "passes").then_some(2)
    }
}
