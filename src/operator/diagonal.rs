//! Diagonal matrices and the identity.

use super::check;
use super::numbers::Numbers;
use super::{Array, Body, Trans};
use crate::linalg::kernels::BLOCK;
use crate::linalg::{Panel, PanelMut};
use crate::runtime::{Pool, Result, Scalar};

/// diag(values), n x n.
pub struct Diagonal<T: Scalar> {
    n: usize,
    values: Numbers<T>,
}

impl<T: Scalar> Diagonal<T> {
    /// n is the length of `values`; `copied`: it is the library's own copy.
    pub fn new(values: Array<T>, copied: bool) -> Result<Self> {
        check::finite("values", &values)?;
        Ok(Diagonal { n: values.len(), values: Numbers::new(values, copied) })
    }
}

impl<T: Scalar> Body<T> for Diagonal<T> {
    fn nrows(&self) -> usize {
        self.n
    }

    fn ncols(&self) -> usize {
        self.n
    }

    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, mut y: PanelMut<T>) -> Result<()> {
        let d = &self.values[..self.n];
        for j in 0..x.ncols {
            let x = x.col(j);
            pool.chunks(2 * self.n, y.col(j), BLOCK, |b, y| {
                let rows = b * BLOCK..b * BLOCK + y.len();
                for ((y, d), x) in y.iter_mut().zip(&d[rows.clone()]).zip(&x[rows]) {
                    *y = trans.of(*d) * *x;
                }
            });
        }
        Ok(())
    }

    fn entries(&self, entry: &mut dyn FnMut(usize, usize, T)) -> Result<()> {
        self.values[..self.n].iter().enumerate().for_each(|(i, v)| entry(i, i, *v));
        Ok(())
    }

    fn changed(&mut self, _pool: &Pool) -> Result<()> {
        self.values.may_change()?;
        check::finite("values", &self.values[..self.n])
    }

    fn set_values(&mut self, values: &[T]) -> Result<()> {
        self.values.set(values, self.n, |v| check::finite("values", v))
    }

    fn values_len(&self) -> Option<usize> {
        Some(self.n)
    }

    fn is_hermitian(&self) -> bool {
        !T::IS_COMPLEX
    }

    fn describe(&self) -> String {
        "diagonal".to_string()
    }

    fn count(&self, key: &str) -> Option<i64> {
        (key == "entries").then_some(self.n as i64)
    }
}

/// The n x n identity.
pub struct Identity {
    n: usize,
}

impl Identity {
    pub fn new(n: usize) -> Self {
        Identity { n }
    }
}

impl<T: Scalar> Body<T> for Identity {
    fn nrows(&self) -> usize {
        self.n
    }

    fn ncols(&self) -> usize {
        self.n
    }

    fn apply(&self, _pool: &Pool, _trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        super::by_column(x, y, |x, y| {
            y.copy_from_slice(x);
            Ok(())
        })
    }

    fn entries(&self, entry: &mut dyn FnMut(usize, usize, T)) -> Result<()> {
        (0..self.n).for_each(|i| entry(i, i, T::ONE));
        Ok(())
    }

    fn is_hermitian(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        "identity".to_string()
    }

    fn count(&self, key: &str) -> Option<i64> {
        (key == "entries").then_some(self.n as i64)
    }
}
