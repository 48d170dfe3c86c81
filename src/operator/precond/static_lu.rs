//! LU factors of a matrix with nearly symmetric pattern, in an order fixed beforehand: supernodes
//! of A + A^T (Li, Demmel, ACM Trans. Math. Softw. 29, 2003), rows interchanged only within a
//! supernode. Left-looking: a supernode gathers what the earlier ones that reach it contribute,
//! then is factored. Whether so little pivoting was enough is for the caller to find out.
//!
//! Of supernode s are kept: its own rows and the rows below in its columns (P_s L_ss U_ss with
//! inverted diagonal, then L), and the transpose of its own rows in the columns to the right (U).

use super::dense_lu::{self, Top};
use super::supernodes::{analyse, buffer, Supernodes, Tall};
use crate::operator::Trans;
use crate::runtime::{memory, Error, Result, Scalar};
use faer::dyn_stack::MemBuffer;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::{Simd, WithSimd};

const WHAT: &str = "a factorisation";
const NONE: u32 = u32::MAX;

/// Entries of the product of two blocks that is formed at once.
const TILE: usize = 1 << 14;

pub struct StaticLu<T> {
    nodes: Supernodes,
    /// Where the numbers of each supernode begin in `values`.
    offset: Vec<usize>,
    /// Position k holds row and column `order[k]` of the matrix.
    order: Vec<u32>,
    /// Where each entry of the matrix goes in `values`.
    slot: Vec<usize>,
    values: Vec<T>,
    /// Step k interchanged rows k and k + swap[k].
    swap: Vec<u32>,
    work: Work<T>,
}

struct Work<T> {
    /// Supernode d stands in the list of the supernode that owns the next row of its pattern.
    head: Vec<u32>,
    link: Vec<u32>,
    reached: Vec<u32>,
    /// The supernode of each column.
    owner: Vec<u32>,
    /// Where a row stands in the pattern of the supernode at work.
    local: Vec<u32>,
    place: Vec<u32>,
    product: Vec<T>,
    permutation: Vec<usize>,
    memory: MemBuffer,
}

// Structs, because closures would not be compiled for the instructions that are chosen at run time.

/// What supernode s gathers.
struct Gathering<'a, T>(&'a mut StaticLu<T>, usize);

impl<T: Scalar> WithSimd for Gathering<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<I: Simd>(self, _: I) {
        self.0.gather(self.1)
    }
}

/// x <- A^-1 x, or A^-T x, in the factor's order.
struct Substitution<'a, T> {
    lu: &'a StaticLu<T>,
    trans: Trans,
    x: &'a mut [T],
    scratch: &'a mut [T],
}

impl<T: Scalar> WithSimd for Substitution<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<I: Simd>(self, _: I) {
        if self.trans == Trans::N {
            self.lu.plain(self.x, self.scratch)
        } else {
            self.lu.transposed(self.x, self.scratch)
        }
    }
}

impl<T: Scalar> StaticLu<T> {
    /// Rows with ascending columns, diagonal included.
    pub fn new(ptr: &[usize], col: &[u32]) -> Result<Self> {
        let n = ptr.len() - 1;
        let (lower_ptr, lower_col) = lower_of_sum(ptr, col)?;
        let symbolic = analyse(&lower_ptr, &lower_col)?;
        let nodes = Supernodes::new(&symbolic)?;
        let mut order = memory::with_capacity(n, WHAT)?;
        let mut position = memory::filled(n, 0usize, WHAT)?;
        for k in 0..n {
            let i = symbolic.perm().map_or(k, |p| p.arrays().0[k]);
            order.push(i as u32);
            position[i] = k;
        }
        let count = nodes.count();
        let mut offset = memory::with_capacity(count + 1, WHAT)?;
        offset.push(0usize);
        let mut owner = memory::filled(n, 0u32, WHAT)?;
        for s in 0..count {
            let (own, below) = (nodes.own(s).len(), nodes.pattern(s).len());
            let entries = own.checked_add(2 * below).and_then(|rows| rows.checked_mul(own));
            let next = entries.and_then(|e| e.checked_add(offset[s])).ok_or(Error::Memory { what: WHAT, bytes: usize::MAX })?;
            offset.push(next);
            owner[nodes.own(s)].fill(s as u32);
        }
        let slot = slots(&nodes, &offset, &owner, &position, ptr, col)?;
        let (longest, widest) = (nodes.longest(), nodes.widest());
        let work = Work {
            head: memory::filled(count, NONE, WHAT)?,
            link: memory::filled(count, NONE, WHAT)?,
            reached: memory::filled(count, 0, WHAT)?,
            owner,
            local: memory::filled(n, 0, WHAT)?,
            place: memory::filled(longest, 0, WHAT)?,
            product: memory::filled(longest.max(TILE), T::ZERO, WHAT)?,
            permutation: memory::filled(2 * widest, 0, WHAT)?,
            memory: buffer(dense_lu::scratch::<T>(widest))?,
        };
        Ok(StaticLu {
            values: memory::filled(offset[count], T::ZERO, WHAT)?,
            swap: memory::filled(n, 0, WHAT)?,
            nodes,
            offset,
            order,
            slot,
            work,
        })
    }

    /// Multiplications and additions of one triangular factor.
    pub fn flops(&self) -> i64 {
        self.nodes.flops()
    }

    pub fn entries(&self) -> usize {
        self.values.len()
    }

    /// Length of the scratch that `solve` needs.
    pub fn scratch(&self) -> usize {
        self.order.len() + self.nodes.longest()
    }

    /// Factors the matrix whose entries, in the order of `new`, are `numbers`. False: there was
    /// no pivot within some supernode.
    pub fn factor(&mut self, numbers: &[T]) -> bool {
        self.values.fill(T::ZERO);
        for (slot, v) in self.slot.iter().zip(numbers) {
            self.values[*slot] += *v;
        }
        self.work.head.fill(NONE);
        let arch = pulp::Arch::new();
        (0..self.nodes.count()).all(|s| {
            arch.dispatch(Gathering(self, s));
            self.eliminate(s)
        })
    }

    /// Subtracts from supernode s what earlier supernodes contribute.
    #[inline(always)]
    fn gather(&mut self, s: usize) {
        let StaticLu { nodes, offset, values, work, .. } = self;
        let own = nodes.own(s);
        for (i, row) in nodes.pattern(s).iter().enumerate() {
            work.local[*row as usize] = i as u32;
        }
        let (done, rest) = values.split_at_mut(offset[s]);
        let below = nodes.pattern(s).len();
        let (left, right) = rest[..offset[s + 1] - offset[s]].split_at_mut((own.len() + below) * own.len());
        let mut d = std::mem::replace(&mut work.head[s], NONE);
        while d != NONE {
            let node = d as usize;
            let following = work.link[node];
            let pattern = nodes.pattern(node);
            let from = work.reached[node] as usize;
            let mine = pattern[from..].partition_point(|row| (*row as usize) < own.end);
            let rows = &pattern[from..];
            let place = &mut work.place[..rows.len()];
            for (k, (place, row)) in place.iter_mut().zip(rows).enumerate() {
                *place = if k < mine { row - own.start as u32 } else { own.len() as u32 + work.local[*row as usize] };
            }
            let width = nodes.own(node).len();
            let tall = pattern.len();
            let block = &done[offset[node]..offset[node + 1]];
            let (l, u) = block.split_at((width + tall) * width);
            // L of the rows from here on, and U^T of the columns from here on.
            let l = Part { values: l, ld: width + tall, skip: width + from, rows: rows.len(), width };
            let u = Part { values: u, ld: tall, skip: from, rows: rows.len(), width };
            subtract(l, u.first(mine), place, &place[..mine], left, own.len() + below, 0, &mut work.product);
            subtract(u.after(mine), l.first(mine), &place[mine..], &place[..mine], right, below, own.len() as u32, &mut work.product);
            work.reached[node] += mine as u32;
            enlist(work, pattern, d);
            d = following;
        }
    }

    /// Factors supernode s once it has gathered.
    fn eliminate(&mut self, s: usize) -> bool {
        let StaticLu { nodes, offset, values, work, swap, .. } = self;
        let own = nodes.own(s);
        let block = &mut values[offset[s]..offset[s + 1]];
        let (left, right) = block.split_at_mut((own.len() + nodes.pattern(s).len()) * own.len());
        let swap = &mut swap[own.clone()];
        let done = dense_lu::factor(left, right, swap, &mut work.permutation, &mut work.memory);
        work.reached[s] = 0;
        enlist(work, nodes.pattern(s), s as u32);
        done
    }

    /// x <- op(A)^-1 b.
    pub fn solve(&self, trans: Trans, b: &[T], x: &mut [T], scratch: &mut [T]) {
        let (z, scratch) = scratch.split_at_mut(x.len());
        // A^H x = b is A^T conj(x) = conj(b).
        let conj = trans == Trans::H && T::IS_COMPLEX;
        let pick = |v: T| if conj { v.conj() } else { v };
        for (z, i) in z.iter_mut().zip(&self.order) {
            *z = pick(b[*i as usize]);
        }
        pulp::Arch::new().dispatch(Substitution { lu: self, trans, x: z, scratch });
        for (z, i) in z.iter().zip(&self.order) {
            x[*i as usize] = pick(*z);
        }
    }

    /// L and U of supernode s.
    #[inline(always)]
    fn parts(&self, s: usize) -> (Top<'_, T>, Tall<'_, T>, Tall<'_, T>) {
        let (own, pattern) = (self.nodes.own(s), self.nodes.pattern(s));
        let (n, below) = (own.len(), pattern.len());
        let (left, right) = self.values[self.offset[s]..self.offset[s + 1]].split_at((n + below) * n);
        (
            Top { values: left, ld: n + below, swap: &self.swap[own.clone()] },
            Tall { own: own.clone(), pattern, values: left, ld: n + below, skip: n },
            Tall { own, pattern, values: right, ld: below, skip: 0 },
        )
    }

    #[inline(always)]
    fn plain(&self, x: &mut [T], scratch: &mut [T]) {
        for s in 0..self.nodes.count() {
            let (top, l, _) = self.parts(s);
            top.solve_lower(&mut x[l.own.clone()]);
            l.spread(x, scratch);
        }
        for s in (0..self.nodes.count()).rev() {
            let (top, _, u) = self.parts(s);
            u.collect::<false>(x, scratch);
            top.solve_upper(&mut x[u.own.clone()]);
        }
    }

    #[inline(always)]
    fn transposed(&self, x: &mut [T], scratch: &mut [T]) {
        for s in 0..self.nodes.count() {
            let (top, _, u) = self.parts(s);
            top.solve_upper_transposed(&mut x[u.own.clone()]);
            u.spread(x, scratch);
        }
        for s in (0..self.nodes.count()).rev() {
            let (top, l, _) = self.parts(s);
            l.collect::<false>(x, scratch);
            top.solve_lower_transposed(&mut x[l.own.clone()]);
        }
    }
}

/// Puts supernode d in the list of the owner of the row that it reaches next.
#[inline(always)]
fn enlist<T>(work: &mut Work<T>, pattern: &[u32], d: u32) {
    if let Some(row) = pattern.get(work.reached[d as usize] as usize) {
        let owner = work.owner[*row as usize] as usize;
        work.link[d as usize] = std::mem::replace(&mut work.head[owner], d);
    }
}

/// Rows of a column-major block: column k holds `values[k * ld + skip..]`.
#[derive(Clone, Copy)]
struct Part<'a, T> {
    values: &'a [T],
    ld: usize,
    skip: usize,
    rows: usize,
    width: usize,
}

impl<'a, T: Scalar> Part<'a, T> {
    #[inline(always)]
    fn first(self, rows: usize) -> Self {
        Part { rows, ..self }
    }

    #[inline(always)]
    fn after(self, rows: usize) -> Self {
        Part { skip: self.skip + rows, rows: self.rows - rows, ..self }
    }

    #[inline(always)]
    fn column(self, k: usize) -> &'a [T] {
        &self.values[k * self.ld + self.skip..][..self.rows]
    }

    fn matrix(self) -> MatRef<'a, T> {
        let end = (self.width - 1) * self.ld + self.skip + self.rows;
        MatRef::from_column_major_slice_with_stride(&self.values[self.skip..end], self.rows, self.width, self.ld)
    }
}

/// to[rows - base, columns] -= a b^T.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn subtract<T: Scalar>(a: Part<T>, b: Part<T>, rows: &[u32], columns: &[u32], to: &mut [T], ld: usize, base: u32, product: &mut [T]) {
    if a.rows == 0 {
        return;
    }
    let tile = (product.len() / a.rows).min(b.rows).max(1);
    let mut first = 0;
    while first < b.rows {
        let count = tile.min(b.rows - first);
        let product = &mut product[..a.rows * count];
        multiply(a, b.after(first).first(count), product);
        for (column, product) in columns[first..first + count].iter().zip(product.chunks_exact(a.rows)) {
            let to = &mut to[*column as usize * ld..][..ld];
            for (row, v) in rows.iter().zip(product) {
                to[(row - base) as usize] -= *v;
            }
        }
        first += count;
    }
}

/// product <- a b^T, by faer where that is worth a call.
#[inline(always)]
fn multiply<T: Scalar>(a: Part<T>, b: Part<T>, product: &mut [T]) {
    if a.width > 4 && a.rows * b.rows * a.width > 2000 {
        let to = MatMut::from_column_major_slice_mut(product, a.rows, b.rows);
        matmul(to, Accum::Replace, a.matrix(), b.matrix().transpose(), T::ONE, Par::Seq);
        return;
    }
    for (j, to) in product.chunks_exact_mut(a.rows).enumerate() {
        let (l, v) = (a.column(0), b.column(0)[j]);
        to.iter_mut().zip(l).for_each(|(to, l)| *to = *l * v);
        for k in 1..a.width {
            let (l, v) = (a.column(k), b.column(k)[j]);
            to.iter_mut().zip(l).for_each(|(to, l)| *to += *l * v);
        }
    }
}

/// The place of each entry of the matrix in the supernodes.
fn slots(nodes: &Supernodes, offset: &[usize], owner: &[u32], position: &[usize], ptr: &[usize], col: &[u32]) -> Result<Vec<usize>> {
    let mut slot = memory::with_capacity(col.len(), WHAT)?;
    let lost = || Error::Internal("an entry lies outside the pattern of the factor".to_string());
    for i in 0..ptr.len() - 1 {
        for j in &col[ptr[i]..ptr[i + 1]] {
            let (r, c) = (position[i], position[*j as usize]);
            let s = owner[r.min(c)] as usize;
            let (own, pattern) = (nodes.own(s), nodes.pattern(s));
            let find = |k: usize| pattern.binary_search(&(k as u32)).map_err(|_| lost());
            let (n, ld) = (own.len(), own.len() + pattern.len());
            slot.push(
                offset[s]
                    + if c < own.end {
                        (c - own.start) * ld + if r < own.end { r - own.start } else { n + find(r)? }
                    } else {
                        n * ld + (r - own.start) * pattern.len() + find(c)?
                    },
            );
        }
    }
    Ok(slot)
}

/// The lower triangle of the pattern of A + A^T, by rows.
fn lower_of_sum(ptr: &[usize], col: &[u32]) -> Result<(Vec<usize>, Vec<usize>)> {
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
            sum.push(j as usize);
            a = &a[(a.first() == Some(&j)) as usize..];
            b = &b[(b.first() == Some(&j)) as usize..];
        }
        sum_ptr.push(sum.len());
    }
    Ok((sum_ptr, sum))
}
