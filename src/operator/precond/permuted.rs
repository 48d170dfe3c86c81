//! Solves with a complete factor, which has an order of its own: columns enter it one by one or a group of them side
//! by side, so that the factor is read once for a group.

use super::fronts::Fronts;
use super::scratch::Vectors;
use crate::linalg::lanes::Row;
use crate::linalg::simd::columns::SLACK;
use crate::linalg::{Panel, PanelMut};
use crate::operator::columns::{by_group, interleave, room, separate, side_by_side};
use crate::operator::workspace::Workspace;
use crate::operator::Trans;
use crate::runtime::{Result, Scalar};

/// Substitution with the factors of A.
pub trait Substitution<T: Scalar> {
    /// x <- op(A)^-1 x in the factor's order.
    fn substitute<Y: Row<T>>(&self, trans: Trans, x: &mut [Y], scratch: &mut [Y]);
}

/// Room for solves. That for groups is made when there is one.
pub struct Permuted<T> {
    tallest: usize,
    single: Vectors<T>,
    groups: Workspace<T>,
}

impl<T: Scalar> Permuted<T> {
    pub fn new(fronts: &Fronts) -> Result<Self> {
        let tallest = fronts.tallest();
        let single = Vectors::new(fronts.structure.order.len() + tallest + SLACK, T::ZERO)?;
        Ok(Permuted { tallest, single, groups: Workspace::new() })
    }

    /// x <- op(A)^-1 b for all columns, or its conjugate for conj(b). Position k of the factor holds row `order[k]`.
    pub fn solve(&self, factor: &impl Substitution<T>, order: &[u32], trans: Trans, conj: bool, b: Panel<T>, x: PanelMut<T>) -> Result<()> {
        let conj = conj && T::IS_COMPLEX;
        let pick = |v: T| if conj { v.conj() } else { v };
        by_group(b, x, |b, mut x| {
            if b.ncols == 1 {
                return self.single.with(|work| {
                    let (z, scratch) = work.split_at_mut(b.nrows);
                    let (b, x) = (b.col(0), x.col(0));
                    z.iter_mut().zip(order).for_each(|(z, i)| *z = pick(b[*i as usize]));
                    factor.substitute(trans, z, scratch);
                    z.iter().zip(order).for_each(|(z, i)| x[*i as usize] = pick(*z));
                    Ok(())
                });
            }
            let at = |k: usize| order[k] as usize;
            let rows = b.nrows + self.tallest;
            self.groups.with(room(rows), |work| {
                let (z, scratch) = side_by_side(work, rows).split_at_mut(b.nrows);
                interleave(b, z, at, pick);
                factor.substitute(trans, z, scratch);
                separate(z, x, at, pick);
                Ok(())
            })
        })
    }
}
