//! alpha A + beta B.

use super::{add, entries_of, finite, is_real, scale, shape};
use crate::linalg::{Panel, PanelMut};
use crate::operator::workspace::Workspace;
use crate::operator::{Body, Operator, Trans};
use crate::runtime::{memory, Error, Pool, Result, Scalar};

pub struct Sum<T: Scalar> {
    factors: [T; 2],
    parts: [Operator<T>; 2],
    work: Workspace<T>,
}

impl<T: Scalar> Sum<T> {
    /// Errors: `Size` unless A and B have the same shape.
    pub fn new(alpha: T, a: Operator<T>, beta: T, b: Operator<T>) -> Result<Self> {
        finite("alpha", alpha)?;
        finite("beta", beta)?;
        if (b.nrows(), b.ncols()) != (a.nrows(), a.ncols()) {
            return Err(Error::size("B", shape(&b), format!("be {} as A is", shape(&a))));
        }
        Ok(Sum { factors: [alpha, beta], parts: [a, b], work: Workspace::new() })
    }
}

impl<T: Scalar> Body<T> for Sum<T> {
    fn nrows(&self) -> usize {
        self.parts[0].nrows()
    }

    fn ncols(&self) -> usize {
        self.parts[0].ncols()
    }

    /// The second term is applied even if the first fails, as in a product.
    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, mut y: PanelMut<T>) -> Result<()> {
        let ([a, b], [alpha, beta]) = (&self.parts, self.factors.map(|f| trans.of(f)));
        let first = a.apply(pool, trans, x, y.reborrow());
        if alpha != T::ONE {
            scale(pool, alpha, y.reborrow());
        }
        self.work.with(memory::product(y.nrows, x.ncols, "work panel")?, |work| {
            first.and(b.apply(pool, trans, x, PanelMut::packed(work, y.nrows, y.ncols)))?;
            add(pool, beta, Panel::packed(work, y.nrows, y.ncols), y);
            Ok(())
        })
    }

    fn entries(&self, entry: &mut dyn FnMut(usize, usize, T)) -> Result<()> {
        for (part, alpha) in self.parts.iter().zip(self.factors) {
            part.with_body(|body| body.entries(&mut |i, j, v| entry(i, j, alpha * v)))?;
        }
        Ok(())
    }

    fn parts(&self) -> &[Operator<T>] {
        &self.parts
    }

    fn has_adjoint(&self) -> bool {
        self.parts.iter().all(|p| p.has_adjoint())
    }

    fn is_hermitian(&self) -> bool {
        self.parts.iter().all(|p| p.is_hermitian()) && self.factors.iter().all(|f| is_real(*f))
    }

    fn describe(&self) -> String {
        format!("sum({}, {})", self.parts[0].describe(), self.parts[1].describe())
    }

    fn count(&self, key: &str) -> Option<i64> {
        (key == "entries").then(|| entries_of(&self.parts)).flatten()
    }

    fn is_composed(&self) -> bool {
        true
    }
}
