//! Complete LU factors, for any square matrix. The order is fixed by the pattern of A + A^T and
//! rows are interchanged within supernodes only, which is all that most matrices from
//! discretised equations need; where the error of a solve shows that it was not enough, the
//! matrix is factored again with partial pivoting (count `partial_pivoting` is 1 then). Symbolic
//! parts and storage stay while the pattern stays.

use super::lagged::Part;
use super::ordering::Ordering;
use super::pivot::{largest, Pivoting};
use super::pivoted::Pivoted;
use super::refine::Refine;
use super::scratch::Vectors;
use super::static_lu::StaticLu;
use super::faer_support::wide;
use crate::linalg::{Panel, PanelMut};
use crate::operator::assemble::Assembled;
use crate::operator::{by_column, Operator, Trans};
use crate::runtime::options::Options;
use crate::runtime::{memory, Error, Pool, Result, Scalar};
use faer::sparse::{SparseColMatRef, SymbolicSparseColMatRef};

const WHAT: &str = "a factorisation";

/// A backward error up to this many roundoffs is accepted of the static factor.
const ACCURATE: f64 = 1e3;

pub struct Lu<T: Scalar> {
    pivoting: Pivoting,
    refine: Refine<T>,
    rows: Assembled<T>,
    /// The values of `rows`, shifted.
    numbers: Vec<T>,
    factor: StaticLu<T>,
    /// Made when first needed.
    pivoted: Option<Pivoted<T>>,
    use_pivoted: bool,
    probe: Vectors<T>,
}

impl<T: Scalar> Lu<T> {
    pub fn new(a: &Operator<T>, options: &Options) -> Result<Self> {
        let rows = Assembled::with_diagonal(a)?;
        let n = rows.nrows;
        let factor = StaticLu::new(&rows.ptr, &rows.col, Ordering::new(options))?;
        let mut part = Lu {
            pivoting: Pivoting::new(options),
            refine: Refine::new(options.count("refinements"), n)?,
            numbers: memory::filled(rows.values.len(), T::ZERO, WHAT)?,
            probe: Vectors::new(2 * n, T::ZERO)?,
            rows,
            factor,
            pivoted: None,
            use_pivoted: false,
        };
        part.factor()?;
        Ok(part)
    }

    fn factor(&mut self) -> Result<()> {
        self.numbers.copy_from_slice(&self.rows.values);
        for i in 0..self.rows.nrows {
            if let Some(at) = self.rows.slot(i, i) {
                self.numbers[at] = self.pivoting.outward(self.numbers[at]);
            }
        }
        self.use_pivoted = false;
        if self.factor.factor(&self.numbers) {
            let (condition, error) = self.try_out()?;
            if error <= ACCURATE * T::EPSILON {
                return self.judge(condition);
            }
        }
        self.use_pivoted = true;
        let n = self.rows.nrows;
        let col = wide(&self.rows.col)?;
        let pattern = SymbolicSparseColMatRef::new_checked(n, n, &self.rows.ptr, None, &col);
        if self.pivoted.is_none() {
            self.pivoted = Some(Pivoted::new(pattern)?);
        }
        if let Some(pivoted) = &mut self.pivoted {
            pivoted.factor(SparseColMatRef::new(pattern, &self.numbers))?;
        }
        let (condition, _) = self.try_out()?;
        self.judge(condition)
    }

    /// Solves for one right-hand side: a lower bound of the condition number, and the backward
    /// error. Both are infinite when the solution is.
    fn try_out(&self) -> Result<(f64, f64)> {
        let n = self.rows.nrows;
        let rows = |i: usize| self.rows.ptr[i]..self.rows.ptr[i + 1];
        self.probe.with(|work| {
            let (b, x) = work.split_at_mut(n);
            // Entries 1 and 2 in no regular order: hardly orthogonal to any null vector.
            for (i, v) in b.iter_mut().enumerate() {
                *v = T::from_f64(1.0 + ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63) as f64);
            }
            self.solve(Trans::N, Panel::column(b), PanelMut::column(x))?;
            let size = largest(x);
            let (mut norm, mut residual): (f64, f64) = (0.0, 0.0);
            for (i, b) in b.iter().enumerate() {
                let (mut sum, mut r) = (0.0, *b);
                for (j, v) in self.rows.col[rows(i)].iter().zip(&self.numbers[rows(i)]) {
                    sum += v.modulus();
                    r -= *v * x[*j as usize];
                }
                norm = norm.max(sum);
                residual = if r.finite() { residual.max(r.modulus()) } else { f64::INFINITY };
            }
            let error = residual / (norm * size + 2.0);
            Ok(if residual.is_finite() && error.is_finite() { (norm * size, error) } else { (f64::INFINITY, f64::INFINITY) })
        })
    }

    fn judge(&self, condition: f64) -> Result<()> {
        let roundoff = T::EPSILON * (self.rows.nrows as f64).sqrt();
        if condition * self.pivoting.tolerance.max(roundoff) < 1.0 {
            return Ok(());
        }
        Err(Error::Singular(format!("the matrix is singular to working precision: its condition number is at least {condition:.1e}")))
    }

    fn solve(&self, trans: Trans, b: Panel<T>, x: PanelMut<T>) -> Result<()> {
        match &self.pivoted {
            Some(pivoted) if self.use_pivoted => by_column(b, x, |b, x| {
                x.copy_from_slice(b);
                pivoted.solve(trans, x)
            }),
            _ => self.factor.solve(trans, b, x),
        }
    }
}

impl<T: Scalar> Part<T> for Lu<T> {
    fn refresh(&mut self, _pool: &Pool, a: &Operator<T>) -> Result<()> {
        self.rows.refresh(a)?;
        self.factor()
    }

    fn apply(&self, _pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        self.refine.apply(&self.rows, trans, x, y, |b, x| self.solve(trans, b, x))
    }

    fn entries(&self) -> usize {
        self.factor.entries()
    }

    fn count(&self, key: &str) -> Option<i64> {
        match key {
            "flops" => Some(2 * self.factor.flops()),
            "partial_pivoting" => Some(self.use_pivoted as i64),
            _ => None,
        }
    }
}
