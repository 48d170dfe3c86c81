//! The tentative prolongator: on each aggregate an orthonormal basis of the candidates there, so
//! that B = T B_c with the candidates B and those of the next level, B_c (sec. 3 of the paper).

use super::aggregate::{Nodes, NONE};
use crate::runtime::{memory, Result, Scalar};

const WHAT: &str = "a prolongator";

/// Modes that relaxation leaves.
pub struct Candidates<S> {
    /// Columns of one length, one after the other.
    pub values: Vec<S>,
    /// The first of them go before the others, which are used only where they are needed to
    /// make up `enough`.
    pub first: usize,
    pub enough: usize,
}

/// T: unknown i has its coefficients in the columns of its aggregate.
pub struct Tentative<S> {
    /// The first column of each unknown, and how many.
    column: Vec<u32>,
    rank: Vec<u16>,
    /// The columns of aggregate I are `first[I]..first[I + 1]`.
    first: Vec<u32>,
    /// Candidates: the stride of `values`.
    width: usize,
    values: Vec<S>,
}

impl<S: Scalar> Tentative<S> {
    /// From the candidates, and those of the next level. `of` are the aggregates of nodes, `n` is the
    /// number of unknowns.
    pub fn new(nodes: &Nodes, of: &[u32], count: usize, near: &Candidates<S>, n: usize) -> Result<(Self, Candidates<S>)> {
        let width = near.values.len() / n;
        let mut values = memory::filled(memory::product(n, width, WHAT)?, S::ZERO, WHAT)?;
        let (ptr, members) = members(of, count)?;
        let (mut column, mut ranks) = (memory::filled(n, 0u32, WHAT)?, memory::filled(n, 0u16, WHAT)?);
        let mut first = memory::with_capacity(count + 1, WHAT)?;
        first.push(0);
        // Row-major: the columns' number becomes known at the end.
        let mut coarse: Vec<S> = memory::with_capacity(memory::product(count, width * width, WHAT)?, WHAT)?;
        let (mut local, mut dofs): (Vec<S>, Vec<usize>) = (Vec::new(), Vec::new());
        for aggregate in 0..count {
            dofs.clear();
            for node in &members[ptr[aggregate]..ptr[aggregate + 1]] {
                memory::reserve(&mut dofs, nodes.span(*node as usize).len(), WHAT)?;
                dofs.extend(nodes.span(*node as usize));
            }
            let m = dofs.len();
            local.clear();
            memory::reserve(&mut local, m * width, WHAT)?;
            for c in 0..width {
                local.extend(dofs.iter().map(|i| near.values[c * n + i]));
            }
            let before = coarse.len();
            coarse.resize(before + width * width, S::ZERO);
            let rank = orthonormalise(&mut local, m, &mut coarse[before..], width, |c, rank| c < near.first || rank < near.enough);
            coarse.truncate(before + rank * width);
            for (k, i) in dofs.iter().enumerate() {
                (column[*i], ranks[*i]) = (first[aggregate], rank as u16);
                (0..rank).for_each(|c| values[i * width + c] = local[c * m + k]);
            }
            first.push(first[aggregate] + rank as u32);
        }
        let columns = first[count] as usize;
        let mut next = memory::filled(columns * width, S::ZERO, WHAT)?;
        for i in 0..columns {
            (0..width).for_each(|c| next[c * columns + i] = coarse[i * width + c]);
        }
        Ok((Tentative { column, rank: ranks, first, width, values }, Candidates { values: next, ..*near }))
    }

    pub fn columns(&self) -> usize {
        self.first[self.first.len() - 1] as usize
    }

    /// The largest number of columns of an aggregate.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Where the columns of each aggregate begin: the nodes of the next level.
    pub fn starts(&self) -> &[u32] {
        &self.first
    }

    /// The first column and the coefficients of unknown i.
    #[inline(always)]
    pub fn row(&self, i: usize) -> (u32, &[S]) {
        (self.column[i], &self.values[i * self.width..][..self.rank[i] as usize])
    }
}

/// The nodes of each aggregate: `members[ptr[I]..ptr[I + 1]]`.
fn members(of: &[u32], count: usize) -> Result<(Vec<usize>, Vec<u32>)> {
    let mut ptr = memory::filled(count + 2, 0usize, WHAT)?;
    for aggregate in of.iter().filter(|a| **a != NONE) {
        ptr[*aggregate as usize + 2] += 1;
    }
    for i in 0..count {
        ptr[i + 2] += ptr[i + 1];
    }
    let mut members = memory::filled(ptr[count + 1], 0u32, WHAT)?;
    for (node, aggregate) in of.iter().enumerate().filter(|(_, a)| **a != NONE) {
        let at = &mut ptr[*aggregate as usize + 1];
        members[*at] = node as u32;
        *at += 1;
    }
    Ok((ptr, members))
}

/// V = Q R by Gram-Schmidt, twice, without columns that depend on those before them or that are
/// not `wanted` (column, rank so far). Q replaces the first columns of V (`m` rows); R is stored by
/// rows of length `width`. Returns the rank.
fn orthonormalise<S: Scalar>(v: &mut [S], m: usize, r: &mut [S], width: usize, wanted: impl Fn(usize, usize) -> bool) -> usize {
    let dependent = 16.0 * S::EPSILON.sqrt();
    let norm = |x: &[S]| x.iter().map(|v| v.modulus().powi(2)).sum::<f64>().sqrt();
    let mut rank = 0;
    for c in 0..width {
        let (q, rest) = v.split_at_mut(c * m);
        let column = &mut rest[..m];
        let size = norm(column);
        for _ in 0..2 {
            for k in 0..rank {
                let q = &q[k * m..(k + 1) * m];
                let dot = q.iter().zip(&*column).fold(S::ZERO, |sum, (q, v)| sum + q.conj() * *v);
                r[k * width + c] += dot;
                column.iter_mut().zip(q).for_each(|(v, q)| *v -= *q * dot);
            }
        }
        let left = norm(column);
        if rank < m && left > dependent * size && wanted(c, rank) {
            r[rank * width + c] = S::from_f64(left);
            column.iter_mut().for_each(|v| *v = v.scale(1.0 / left));
            v.copy_within(c * m..(c + 1) * m, rank * m);
            rank += 1;
        }
    }
    rank
}
