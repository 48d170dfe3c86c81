//! A Chebyshev polynomial in D^-1 A, for Hermitian positive definite A (Saad, sec. 12.3.2).
//!
//! With m the degree, theta and delta the centre and half-width of the interval
//! [lambda_max / ratio, lambda_max], 1 - lambda p(lambda) is
//! T_m((theta - lambda) / delta) / T_m(theta / delta), and M^-1 = p(D^-1 A) D^-1. M is positive
//! definite when no eigenvalue of D^-1 A exceeds lambda_max.

use super::jacobi::{invert_diagonal, scale};
use super::lagged::Part;
use super::scratch::Vectors;
use super::spectrum;
use crate::linalg::{space, Panel, PanelMut, Space};
use crate::operator::{by_column, Operator, Trans};
use crate::runtime::options::Options;
use crate::runtime::{memory, Context, Error, Pool, Result, Scalar};
use std::sync::Arc;

pub struct Chebyshev<T: Scalar> {
    context: Arc<Context>,
    a: Operator<T>,
    degree: usize,
    ratio: f64,
    /// The largest eigenvalue as given; 0: to be estimated.
    given: f64,
    lambda_max: f64,
    /// D^-1; ones where the operator has no entries.
    inverse: Vec<T>,
    scratch: Vectors<T>,
    inner: space::Scratch<T>,
}

impl<T: Scalar> Chebyshev<T> {
    pub fn new(context: Arc<Context>, a: &Operator<T>, options: &Options) -> Result<Self> {
        let n = a.nrows();
        let mut inner = space::Scratch::default();
        inner.reserve(n, 1, 1, false)?;
        let mut part = Chebyshev {
            context,
            a: a.clone(),
            degree: options.count("degree"),
            ratio: options.real("ratio"),
            given: options.real("lambda_max"),
            lambda_max: 0.0,
            inverse: memory::filled(n, T::ONE, "a diagonal")?,
            scratch: Vectors::new(memory::product(n, 4, "work vectors")?, T::ZERO)?,
            inner,
        };
        part.measure()?;
        Ok(part)
    }

    fn measure(&mut self) -> Result<()> {
        let ready = self.diagonal();
        if self.given > 0.0 {
            self.lambda_max = self.given;
            return ready;
        }
        let Chebyshev { context, a, inverse, scratch, inner, .. } = self;
        let space = Space::new(context, None, None, inner);
        if let Err(e) = ready {
            // The other ranks hear of it in the first reduction.
            space.fail(e);
        }
        self.lambda_max = scratch.with(|work| {
            let n = inverse.len();
            let (v, rest) = work.split_at_mut(n);
            let (w, rest) = rest.split_at_mut(n);
            let (old, x) = rest.split_at_mut(n);
            // D^-1/2 A D^-1/2 has the eigenvalues of D^-1 A.
            let root = |d: &T| d.real_part().abs().sqrt();
            spectrum::largest(&space, [v, w, old], |v, w| {
                x.iter_mut().zip(v).zip(&*inverse).for_each(|((x, v), d)| *x = v.scale(root(d)));
                a.apply_vector(&context.pool, x, w)?;
                w.iter_mut().zip(&*inverse).for_each(|(w, d)| *w = w.scale(root(d)));
                Ok(())
            })
        })?;
        if self.lambda_max > 0.0 {
            return Ok(());
        }
        Err(Error::Indefinite(format!("the largest eigenvalue is estimated as {:e}, must be positive", self.lambda_max)))
    }

    /// Reads D, which must be positive.
    fn diagonal(&mut self) -> Result<()> {
        match invert_diagonal(&self.a, &mut self.inverse) {
            Err(Error::Unsupported(_)) => {
                self.inverse.fill(T::ONE);
                Ok(())
            }
            Err(e) => Err(e),
            Ok(()) => match self.inverse.iter().position(|d| d.real_part() <= 0.0 || d.imag_part() != 0.0) {
                None => Ok(()),
                Some(i) => Err(Error::Indefinite(format!(
                    "the diagonal entry of row {i} (base 0) is {}, must be positive",
                    T::ONE / self.inverse[i]
                ))),
            },
        }
    }

    fn polynomial(&self, pool: &Pool, trans: Trans, b: &[T], x: &mut [T]) -> Result<()> {
        let lambda_min = self.lambda_max / self.ratio;
        let theta = 0.5 * (self.lambda_max + lambda_min);
        let delta = 0.5 * (self.lambda_max - lambda_min);
        let n = x.len();
        self.scratch.with(|work| {
            let (r, rest) = work.split_at_mut(n);
            let (d, rest) = rest.split_at_mut(n);
            let (w, z) = rest.split_at_mut(n);
            scale(pool, &self.inverse, false, b, r);
            d.iter_mut().zip(&*r).for_each(|(d, r)| *d = r.scale(1.0 / theta));
            x.copy_from_slice(d);
            let mut rho = delta / theta;
            let mut done = Ok(());
            for _ in 1..self.degree {
                // To the end even after a failure: other ranks may wait for this one's part.
                done = done.and(self.a.apply(pool, trans, Panel::column(d), PanelMut::column(w)));
                scale(pool, &self.inverse, false, w, z);
                let next = 1.0 / (2.0 * theta / delta - rho);
                let (keep, add) = (next * rho, 2.0 * next / delta);
                rho = next;
                for (((r, z), d), x) in r.iter_mut().zip(&*z).zip(d.iter_mut()).zip(x.iter_mut()) {
                    *r -= *z;
                    *d = d.scale(keep) + r.scale(add);
                    *x += *d;
                }
            }
            done
        })
    }
}

impl<T: Scalar> Part<T> for Chebyshev<T> {
    fn refresh(&mut self, _pool: &Pool, _a: &Operator<T>) -> Result<()> {
        self.measure()
    }

    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        by_column(x, y, |x, y| self.polynomial(pool, trans, x, y))
    }

    fn entries(&self) -> usize {
        self.inverse.len()
    }

    fn has_adjoint(&self) -> bool {
        self.a.has_adjoint()
    }
}
