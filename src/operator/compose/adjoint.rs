//! A^T or A^H as an operator of its own.

use super::entries_of;
use crate::linalg::{Panel, PanelMut};
use crate::operator::workspace::Workspace;
use crate::operator::{Body, Operator, Trans};
use crate::runtime::{memory, Error, Pool, Result, Scalar};
use std::slice;

pub struct Adjoint<T: Scalar> {
    trans: Trans,
    part: Operator<T>,
    work: Workspace<T>,
}

impl<T: Scalar> Adjoint<T> {
    /// Errors: `Unsupported` where A has no adjoint, `Argument` for `Trans::N`.
    pub fn new(a: Operator<T>, trans: Trans) -> Result<Self> {
        if trans == Trans::N {
            return Err(Error::argument("trans", trans as i32, "be 1 (transpose) or 2 (adjoint)"));
        }
        if !a.has_adjoint() {
            return Err(Error::Unsupported(format!("argument 'A' is a {} operator without adjoint", a.describe())));
        }
        Ok(Adjoint { trans, part: a, work: Workspace::new() })
    }

    /// y <- conj(A) x = conj(A conj(x)).
    fn apply_conjugate(&self, pool: &Pool, x: Panel<T>, mut y: PanelMut<T>) -> Result<()> {
        self.work.with(memory::product(x.nrows, x.ncols, "work panel")?, |work| {
            let mut copy = PanelMut::packed(work, x.nrows, x.ncols);
            for j in 0..x.ncols {
                copy.col(j).iter_mut().zip(x.col(j)).for_each(|(w, x)| *w = x.conj());
            }
            self.part.apply(pool, Trans::N, copy.as_panel(), y.reborrow())?;
            for j in 0..y.ncols {
                y.col(j).iter_mut().for_each(|y| *y = y.conj());
            }
            Ok(())
        })
    }
}

impl<T: Scalar> Body<T> for Adjoint<T> {
    fn nrows(&self) -> usize {
        self.part.ncols()
    }

    fn ncols(&self) -> usize {
        self.part.nrows()
    }

    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        match (self.trans, trans) {
            (own, Trans::N) => self.part.apply(pool, own, x, y),
            // (A^T)^H = (A^H)^T = conj(A).
            (own, asked) if own != asked && T::IS_COMPLEX => self.apply_conjugate(pool, x, y),
            _ => self.part.apply(pool, Trans::N, x, y),
        }
    }

    fn entries(&self, entry: &mut dyn FnMut(usize, usize, T)) -> Result<()> {
        self.part.with_body(|body| {
            body.entries(&mut |i, j, v| entry(j, i, self.trans.of(v)))
        })
    }

    fn parts(&self) -> &[Operator<T>] {
        slice::from_ref(&self.part)
    }

    fn is_hermitian(&self) -> bool {
        self.part.is_hermitian()
    }

    fn describe(&self) -> String {
        let name = if self.trans == Trans::T { "transpose" } else { "adjoint" };
        format!("{name}({})", self.part.describe())
    }

    fn count(&self, key: &str) -> Option<i64> {
        (key == "entries").then(|| entries_of(self.parts())).flatten()
    }

    fn is_composed(&self) -> bool {
        true
    }
}
