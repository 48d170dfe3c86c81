//! The last level, factored. A matrix that is singular to working precision is shifted a little;
//! a Krylov method keeps what that leaves in the nullspace out of its solution.

use super::rows::Rows;
use crate::linalg::{Panel, PanelMut};
use crate::operator::precond::cholesky::Cholesky;
use crate::operator::precond::lagged::Part;
use crate::operator::precond::lu::Lu;
use crate::operator::precond::PRECONDITIONER;
use crate::operator::sparse::{Compressed, Parts};
use crate::operator::{Operator, Trans};
use crate::runtime::options::Options;
use crate::runtime::{memory, Context, Error, Pool, Result, Scalar};
use std::sync::Arc;

const WHAT: &str = "a coarse matrix";

pub struct Coarse<S: Scalar> {
    hermitian: bool,
    /// The matrix as the factorisation reads it.
    matrix: Operator<S>,
    values: Vec<S>,
    /// Where the diagonal entries are.
    diagonal: Vec<usize>,
    factor: Option<Box<dyn Part<S>>>,
}

impl<S: Scalar> Coarse<S> {
    /// `a` has a place for each diagonal entry.
    pub fn new(context: &Arc<Context>, a: Rows<S>) -> Result<Self> {
        let n = a.len();
        let mut ptr: Vec<i64> = memory::with_capacity(n + 1, WHAT)?;
        ptr.extend(a.ptr.iter().map(|p| *p as i64));
        let mut ind: Vec<i64> = memory::with_capacity(a.col.len(), WHAT)?;
        ind.extend(a.col.iter().map(|j| *j as i64));
        let zeros = memory::filled(a.col.len(), S::ZERO, WHAT)?;
        let parts = Parts { nrows: n, ncols: n, base: 0, ptr: Box::new(ptr), ind: Box::new(ind), values: Box::new(zeros), copied: true };
        let mut diagonal = memory::with_capacity(n, WHAT)?;
        for i in 0..n {
            let span = a.span(i);
            let place = a.col[span.clone()].iter().position(|j| *j as usize == i);
            diagonal.push(span.start + place.ok_or_else(|| Error::Internal(format!("coarse row {i} has no diagonal entry")))?);
        }
        let matrix = Operator::new(context.clone(), Box::new(Compressed::csr(parts)?));
        Ok(Coarse { hermitian: true, matrix, values: memory::filled(a.col.len(), S::ZERO, WHAT)?, diagonal, factor: None })
    }

    /// Factors `a`. `size(i)` is that of the terms which the diagonal entry of row i is the sum of:
    /// next to it, entries of the order of roundoff count for nothing.
    pub fn refresh(&mut self, pool: &Pool, a: Rows<S>, hermitian: bool, inverse: &[S], size: impl Fn(usize) -> f64) -> Result<()> {
        if self.hermitian != hermitian {
            self.factor = None;
            self.hermitian = hermitian;
        }
        let mut result = Ok(());
        // Without a shift, or with one that is small but above all roundoff.
        for shift in [0.0, S::EPSILON.powf(2.0 / 3.0)] {
            self.values.copy_from_slice(a.values);
            for (i, at) in self.diagonal.iter().enumerate() {
                let by = if inverse[i] == S::ZERO { 1.0 } else { shift };
                if by > 0.0 {
                    self.values[*at] += S::from_f64(by * size(i));
                }
            }
            result = self.factor(pool);
            match result {
                Err(Error::Singular(_) | Error::Indefinite(_)) => continue,
                _ => break,
            }
        }
        result
    }

    fn factor(&mut self, pool: &Pool) -> Result<()> {
        self.matrix.set_values(&self.values)?;
        if let Some(factor) = &mut self.factor {
            return factor.refresh(pool, &self.matrix);
        }
        let mut options = Options::new(PRECONDITIONER, if self.hermitian { "llt" } else { "lu" });
        options.set_real("pivot_tolerance", S::EPSILON.powf(0.75))?;
        self.factor = Some(if self.hermitian {
            Box::new(Cholesky::new(&self.matrix, &options, true)?)
        } else {
            Box::new(Lu::new(&self.matrix, &options)?)
        });
        Ok(())
    }

    /// x <- A^-1 b.
    pub fn solve(&self, pool: &Pool, b: &[S], x: &mut [S]) -> Result<()> {
        match &self.factor {
            Some(factor) => factor.apply(pool, Trans::N, Panel::column(b), PanelMut::column(x)),
            None => Err(Error::Internal("a coarse matrix is not factored".to_string())),
        }
    }

    pub fn entries(&self) -> usize {
        self.factor.as_ref().map_or(0, |factor| factor.entries())
    }
}
