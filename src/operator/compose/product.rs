//! A B.

use super::shape;
use crate::linalg::{Panel, PanelMut};
use crate::operator::workspace::Workspace;
use crate::operator::{Body, Operator, Trans};
use crate::runtime::{memory, Error, Pool, Result, Scalar};

pub struct Product<T: Scalar> {
    parts: [Operator<T>; 2],
    work: Workspace<T>,
}

impl<T: Scalar> Product<T> {
    /// Errors: `Size` unless B has as many rows as A has columns.
    pub fn new(a: Operator<T>, b: Operator<T>) -> Result<Self> {
        if b.nrows() != a.ncols() {
            return Err(Error::size("B", shape(&b), format!("have {} rows", a.ncols())));
        }
        Ok(Product { parts: [a, b], work: Workspace::new() })
    }
}

impl<T: Scalar> Body<T> for Product<T> {
    fn nrows(&self) -> usize {
        self.parts[0].nrows()
    }

    fn ncols(&self) -> usize {
        self.parts[1].ncols()
    }

    /// (A B) x = A (B x); (A B)^T x = B^T (A^T x), and so with H. The second factor is applied even if
    /// the first fails, because other ranks may wait for this one's part in it.
    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        let [a, b] = &self.parts;
        let (first, second) = if trans == Trans::N { (b, a) } else { (a, b) };
        let inner = a.ncols();
        self.work.with(memory::product(inner, x.ncols, "work panel")?, |work| {
            let done = first.apply(pool, trans, x, PanelMut::packed(work, inner, x.ncols));
            if done.is_err() {
                work.fill(T::ZERO);
            }
            done.and(second.apply(pool, trans, Panel::packed(work, inner, x.ncols), y))
        })
    }

    fn parts(&self) -> &[Operator<T>] {
        &self.parts
    }

    fn has_adjoint(&self) -> bool {
        self.parts.iter().all(|p| p.has_adjoint())
    }

    /// The square of a Hermitian operator is Hermitian; of other products nothing is known.
    fn is_hermitian(&self) -> bool {
        self.parts[0].id() == self.parts[1].id() && self.parts[0].is_hermitian()
    }

    fn describe(&self) -> String {
        format!("product({}, {})", self.parts[0].describe(), self.parts[1].describe())
    }

    fn is_composed(&self) -> bool {
        true
    }
}
