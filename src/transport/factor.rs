//! Complete factors of Newton's matrix, a preconditioner for CG where the plan is sparse and CG alone would go on for long: at
//! small eps groups of points hang together by couplings of 1e-10 of their masses, and the plan's graph is that of a
//! mesh, whose factors are cheap.
//!
//! What is factored is [R / tau, -P; -P^T, C], R and C the sums of the kept rows and columns: it has the entries of P alone, and
//! eliminating its rows leaves Newton's matrix.

use super::dual::Dual;
use crate::operator::symmetric::{Symmetric, Triangle};
use crate::operator::sparse::Parts;
use crate::operator::{precond, Operator};
use crate::runtime::{memory, Context, Error, Pool, Result};
use std::sync::Arc;

const WHAT: &str = "factors of Newton's matrix";

pub struct Factor {
    operator: Operator<f64>,
    rows: usize,
    right: Vec<f64>,
    solution: Vec<f64>,
}

impl Factor {
    /// From the kept entries, `columns` their sums plus what else stands on the diagonal; none where that would take more
    /// than `most` flops.
    pub fn new(context: &Arc<Context>, dual: &Dual, columns: &[f64], most: f64) -> Result<Option<Self>> {
        let (n, m, tau) = (dual.geometry.n, dual.geometry.m, dual.rows_at.tau());
        let len = n + m + dual.kept();
        let (mut ptr, mut ind) = (memory::filled(n + m + 1, 0i64, WHAT)?, memory::filled(len, 0i64, WHAT)?);
        let mut values = memory::filled(len, 0.0, WHAT)?;
        let mut at = 0;
        let mut put = |j: usize, v: f64| {
            (ind[at], values[at]) = (j as i64, v);
            at += 1;
            at as i64
        };
        // What has no mass stands for itself.
        let own = |v: f64| if v > 0.0 { v } else { 1.0 };
        for (first, kept) in dual.kept_parts() {
            for (r, (sum, weight)) in kept.rows.iter().zip(&kept.weights).enumerate() {
                let (idx, p) = kept.row(r);
                let mut end = put(first + r, own(sum * weight / tau));
                for (j, v) in idx.iter().zip(p) {
                    end = put(n + *j as usize, -weight * *v as f64 * dual.tilt[*j as usize]);
                }
                ptr[first + r + 1] = end;
            }
        }
        for (j, v) in columns.iter().enumerate() {
            ptr[n + j + 1] = put(n + j, own(*v));
        }
        let parts = Parts {
            nrows: n + m,
            ncols: n + m,
            base: 0,
            ptr: Box::new(ptr),
            ind: Box::new(ind),
            values: Box::new(values),
            copied: true,
        };
        let matrix = Operator::new(context.clone(), Box::new(Symmetric::new(parts, Triangle::Upper, false)?));
        let operator = match precond::complete_within(context, &matrix, most) {
            Ok(Some(operator)) => operator,
            // Groups of points may be cut off from one another to the last digit.
            Ok(None) | Err(Error::Indefinite(_) | Error::Singular(_)) => return Ok(None),
            Err(e) => return Err(e),
        };
        let room = || memory::filled(n + m, 0.0, WHAT);
        Ok(Some(Factor { operator, rows: n, right: room()?, solution: room()? }))
    }

    /// z, about Newton's matrix' inverse times r.
    pub fn apply(&mut self, pool: &Pool, r: &[f64], z: &mut [f64]) -> Result<()> {
        self.right[self.rows..].copy_from_slice(r);
        self.operator.apply_vector(pool, &self.right, &mut self.solution)?;
        z.copy_from_slice(&self.solution[self.rows..]);
        Ok(())
    }
}
