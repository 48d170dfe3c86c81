//! LU factors of a matrix with nearly symmetric pattern, in an order fixed beforehand: the
//! multifrontal method on the supernodes of A + A^T, rows interchanged only within a supernode.
//! Whether so little pivoting was enough is for the caller to find out (Li, Demmel, ACM Trans. Math.
//! Softw. 29, 2003).
//!
//! Of supernode s are kept: its own rows and the rows below in its columns (P_s L_ss U_ss, then
//! L), and the transpose of its own rows in the columns to the right (U). Triangles on the diagonal are
//! inverted block by block.

use super::blocks::{collect, gather, invert_lower, invert_upper, lower, lower_transposed, scatter, spread, upper, upper_transposed};
use super::dense_lu::{self, interchange, interchange_back};
use super::fronts::{Entries, Fronts, Shape, Work};
use super::ordering::{Graph, Ordering};
use super::faer_support::buffer;
use super::permuted::{Permuted, Substitution};
use super::symbolic::Structure;
use crate::linalg::lanes::Row;
use crate::linalg::simd::columns::SLACK;
use crate::linalg::{Panel, PanelMut};
use crate::operator::Trans;
use crate::runtime::{memory, Result, Scalar};
use faer::dyn_stack::MemBuffer;

const WHAT: &str = "a factorisation";

pub struct StaticLu<T> {
    fronts: Fronts,
    entries: Entries,
    values: Vec<T>,
    /// Step k interchanged rows k and k + swap[k].
    swap: Vec<u32>,
    work: Work<T>,
    permutation: Vec<usize>,
    memory: MemBuffer,
    permuted: Permuted<T>,
}

impl<T: Scalar> StaticLu<T> {
    /// Rows with ascending columns, diagonal included.
    pub fn new(ptr: &[usize], col: &[u32], ordering: Ordering) -> Result<Self> {
        let n = ptr.len() - 1;
        let (lower_ptr, lower_col) = lower_of_sum(ptr, col)?;
        let structure = Structure::of(&Graph::of_lower(&lower_ptr, &lower_col)?, ordering)?;
        let fronts = Fronts::new(structure, 2)?;
        let widest = fronts.widest();
        Ok(StaticLu {
            entries: Entries::new(&fronts, false, ptr, col)?,
            values: memory::filled(fronts.entries() + SLACK, T::ZERO, WHAT)?,
            swap: memory::filled(n, 0, WHAT)?,
            work: fronts.work(0)?,
            permutation: memory::filled(2 * widest, 0, WHAT)?,
            memory: buffer(dense_lu::scratch::<T>(widest))?,
            permuted: Permuted::new(&fronts)?,
            fronts,
        })
    }

    /// Multiplications and additions of one triangular factor.
    pub fn flops(&self) -> i64 {
        self.fronts.flops()
    }

    pub fn entries(&self) -> usize {
        self.fronts.entries()
    }

    /// Factors the matrix whose entries, in the order of `new`, are `numbers`. False: there was
    /// no pivot within some supernode.
    pub fn factor(&mut self, numbers: &[T]) -> bool {
        let StaticLu { fronts, entries, values, swap, work, permutation, memory, .. } = self;
        for s in 0..fronts.count() {
            let shape = fronts.shape(s);
            let (begin, end) = (fronts.offset[s], fronts.offset[s + 1]);
            entries.enter(s, numbers, &mut values[begin..end]);
            fronts.gather::<T, true>(s, &mut values[begin..end], work);
            let panel = &mut values[begin..end + SLACK];
            if !dense_lu::factor(panel, shape, &mut swap[fronts.structure.own(s)], permutation, memory) {
                return false;
            }
            dense_lu::update(panel, shape, fronts.update(s, work).0);
            invert_lower(panel, shape.tall(), shape.width);
            invert_upper(panel, shape.tall(), shape.width);
        }
        true
    }

    /// x <- op(A)^-1 b for all columns.
    pub fn solve(&self, trans: Trans, b: Panel<T>, x: PanelMut<T>) -> Result<()> {
        // A^H x = b is A^T conj(x) = conj(b).
        self.permuted.solve(self, &self.fronts.structure.order, trans, trans == Trans::H, b, x)
    }

    /// What is kept of supernode s, all that follows behind it, and the part to the right of the diagonal.
    #[inline(always)]
    fn panel(&self, s: usize) -> (Shape, &[T], &[T]) {
        let shape = self.fronts.shape(s);
        let panel = &self.values[self.fronts.offset[s]..];
        (shape, panel, &panel[shape.tall() * shape.width..])
    }

    fn plain<Y: Row<T>>(&self, x: &mut [Y], scratch: &mut [Y]) {
        let structure = &self.fronts.structure;
        for s in 0..self.fronts.count() {
            let (shape, panel, _) = self.panel(s);
            let own = structure.own(s);
            let (head, tail) = scratch[..shape.tall() + Y::SLACK].split_at_mut(shape.width);
            interchange(&mut x[own.clone()], &self.swap[own.clone()]);
            head.copy_from_slice(&x[own.clone()]);
            tail.fill(Y::ZERO);
            lower(panel, shape.tall(), shape.width, scratch);
            x[own].copy_from_slice(&scratch[..shape.width]);
            scatter::<T, Y>(structure.rows(s), &scratch[shape.width..], x);
        }
        for s in (0..self.fronts.count()).rev() {
            let (shape, panel, right) = self.panel(s);
            let own = structure.own(s);
            gather::<T, Y>(structure.rows(s), x, scratch);
            collect(right, shape.below, scratch, &mut x[own.clone()]);
            scratch[..shape.width].copy_from_slice(&x[own.clone()]);
            upper(panel, shape.tall(), shape.width, scratch);
            x[own].copy_from_slice(&scratch[..shape.width]);
        }
    }

    fn transposed<Y: Row<T>>(&self, x: &mut [Y], scratch: &mut [Y]) {
        let structure = &self.fronts.structure;
        for s in 0..self.fronts.count() {
            let (shape, panel, right) = self.panel(s);
            let own = structure.own(s);
            scratch[..shape.width].copy_from_slice(&x[own.clone()]);
            upper_transposed(panel, shape.tall(), shape.width, scratch);
            x[own.clone()].copy_from_slice(&scratch[..shape.width]);
            scratch[..shape.below + Y::SLACK].fill(Y::ZERO);
            spread(right, shape.below, &x[own], scratch);
            scatter::<T, Y>(structure.rows(s), scratch, x);
        }
        for s in (0..self.fronts.count()).rev() {
            let (shape, panel, _) = self.panel(s);
            let own = structure.own(s);
            gather::<T, Y>(structure.rows(s), x, &mut scratch[shape.width..]);
            scratch[..shape.width].copy_from_slice(&x[own.clone()]);
            lower_transposed::<T, false, Y>(panel, shape.tall(), shape.width, scratch);
            x[own.clone()].copy_from_slice(&scratch[..shape.width]);
            interchange_back(&mut x[own.clone()], &self.swap[own]);
        }
    }
}

impl<T: Scalar> Substitution<T> for StaticLu<T> {
    fn substitute<Y: Row<T>>(&self, trans: Trans, x: &mut [Y], scratch: &mut [Y]) {
        if trans == Trans::N { self.plain(x, scratch) } else { self.transposed(x, scratch) }
    }
}

/// The lower triangle of the pattern of A + A^T, by rows.
fn lower_of_sum(ptr: &[usize], col: &[u32]) -> Result<(Vec<usize>, Vec<u32>)> {
    let n = ptr.len() - 1;
    let mut to = memory::filled(n + 1, 0usize, WHAT)?;
    let mut turned = memory::filled(col.len(), 0u32, WHAT)?;
    super::fill::transpose_into(ptr, col, &mut to, |_, at, i| turned[at] = i);
    let mut sum_ptr = memory::with_capacity(n + 1, WHAT)?;
    let mut sum = memory::with_capacity(col.len() + n, WHAT)?;
    sum_ptr.push(0);
    for i in 0..n {
        let below = |row: &'_ [u32]| row.partition_point(|j| *j as usize <= i);
        let (a, b) = (&col[ptr[i]..ptr[i + 1]], &turned[to[i]..to[i + 1]]);
        let (mut a, mut b) = (&a[..below(a)], &b[..below(b)]);
        while let Some(j) = a.first().into_iter().chain(b.first()).min().copied() {
            sum.push(j);
            a = &a[(a.first() == Some(&j)) as usize..];
            b = &b[(b.first() == Some(&j)) as usize..];
        }
        sum_ptr.push(sum.len());
    }
    Ok((sum_ptr, sum))
}
