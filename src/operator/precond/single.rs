//! A preconditioner made and applied in single precision for a matrix in double: half the memory and
//! about twice the speed, for a few iterations more. Numbers are scaled by powers of two on the way
//! in, so that the range of single precision is no limit.

use super::lagged::Part;
use crate::linalg::lanes::LANES;
use crate::linalg::{kernels, Panel, PanelMut};
use crate::operator::columns::by_group;
use crate::operator::workspace::Workspace;
use crate::operator::{Body, Operator, Side, Trans};
use crate::runtime::{memory, Context, Pool, Result, Scalar};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

pub struct InSingle<S: Scalar> {
    part: Box<dyn Part<S>>,
    /// The matrix as the part reads it.
    rounded: Operator<S>,
    /// What its entries are multiplied by.
    factor: Rc<Cell<f64>>,
    work: Workspace<S>,
}

impl<S: Scalar> InSingle<S> {
    pub fn new<T: Scalar<Wide = S::Wide>>(
        context: Arc<Context>,
        a: &Operator<T>,
        make: impl FnOnce(&Operator<S>) -> Result<Box<dyn Part<S>>>,
    ) -> Result<Self> {
        let factor = Rc::new(Cell::new(scale_of(a)?));
        let rounded = Operator::new(context, Box::new(Rounded { a: a.clone(), factor: factor.clone() }));
        let near = a.nullspace(Side::Right)?;
        let mut columns = memory::filled(near.data.len(), S::ZERO, "nullspace")?;
        kernels::convert(&near.data, &mut columns);
        rounded.set_nullspace(Side::Right, Panel::packed(&columns, a.nrows(), near.count))?;
        let part = make(&rounded)?;
        let n = memory::product(2, a.nrows(), "work vectors")?;
        let work = Workspace::new();
        // One column never waits for room.
        work.with(n, |_| Ok(()))?;
        Ok(InSingle { part, rounded, factor, work })
    }

    /// For up to `LANES` columns.
    fn solve<T: Scalar<Wide = S::Wide>>(&self, pool: &Pool, trans: Trans, b: Panel<T>, mut x: PanelMut<T>) -> Result<()> {
        let mut scale = [1.0; LANES];
        self.work.with(2 * b.nrows * b.ncols, |work| {
            let (r, z) = work.split_at_mut(b.nrows * b.ncols);
            let (mut r, mut z) = (PanelMut::packed(r, b.nrows, b.ncols), PanelMut::packed(z, b.nrows, b.ncols));
            for j in 0..b.ncols {
                scale[j] = power_below_inverse(b.col(j).iter().fold(0.0, |m: f64, v| m.max(v.modulus())));
                r.col(j).iter_mut().zip(b.col(j)).for_each(|(r, b)| *r = S::narrow(b.scale(scale[j]).wide()));
            }
            self.part.apply(pool, trans, r.as_panel(), z.reborrow())?;
            for j in 0..b.ncols {
                let back = self.factor.get() / scale[j];
                x.col(j).iter_mut().zip(&*z.col(j)).for_each(|(x, z)| *x = T::narrow(z.wide()).scale(back));
            }
            Ok(())
        })
    }
}

impl<T: Scalar, S: Scalar<Wide = T::Wide>> Part<T> for InSingle<S> {
    fn refresh(&mut self, pool: &Pool, a: &Operator<T>) -> Result<()> {
        self.factor.set(scale_of(a)?);
        self.part.refresh(pool, &self.rounded)
    }

    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        by_group(x, y, |x, y| self.solve(pool, trans, x, y))
    }

    fn entries(&self) -> usize {
        self.part.entries()
    }

    fn has_adjoint(&self) -> bool {
        self.part.has_adjoint()
    }

    fn count(&self, key: &str) -> Option<i64> {
        if key == "entry_bytes" { Some(size_of::<S>() as i64) } else { self.part.count(key) }
    }
}

/// A matrix whose entries are scaled and rounded as they are read.
struct Rounded<T: Scalar> {
    a: Operator<T>,
    factor: Rc<Cell<f64>>,
}

impl<T: Scalar, S: Scalar<Wide = T::Wide>> Body<S> for Rounded<T> {
    fn nrows(&self) -> usize {
        self.a.nrows()
    }

    fn ncols(&self) -> usize {
        self.a.ncols()
    }

    fn apply(&self, _pool: &Pool, _trans: Trans, _x: Panel<S>, _y: PanelMut<S>) -> Result<()> {
        Err(crate::runtime::Error::Unsupported("a rounded matrix gives its entries only".to_string()))
    }

    fn entries(&self, entry: &mut dyn FnMut(usize, usize, S)) -> Result<()> {
        let factor = self.factor.get();
        self.a.with_body(|body| body.entries(&mut |i, j, v| entry(i, j, S::narrow(v.scale(factor).wide()))))
    }

    fn is_hermitian(&self) -> bool {
        self.a.is_hermitian()
    }

    fn describe(&self) -> String {
        format!("single({})", self.a.describe())
    }
}

/// A power of two that brings the largest entry near 1.
fn scale_of<T: Scalar>(a: &Operator<T>) -> Result<f64> {
    let mut largest = 0.0f64;
    a.with_body(|body| body.entries(&mut |_, _, v| largest = largest.max(v.modulus())))?;
    Ok(power_below_inverse(largest))
}

/// The power of two nearest to 1 / v from below; 1 where there is none.
fn power_below_inverse(v: f64) -> f64 {
    if v > 0.0 && v.is_finite() { (-v.log2().ceil().clamp(-1000.0, 1000.0)).exp2() } else { 1.0 }
}
