//! Preconditioned conjugate gradients for Hermitian positive definite A and M.
//!
//! Hestenes, Stiefel, "Methods of conjugate gradients for solving linear systems", J. Res. NBS 49
//! (1952). Two reductions an iteration.
//!
//! Differs from the paper: apparent convergence is verified by b - A x; if that does not hold, the
//! true residual replaces the recurrence's and the directions start afresh.

use super::options::Norm;
use super::problem::{Problem, Verdict};
use super::stagnation::Stagnation;
use super::{Method, Outcome};
use crate::linalg::{kernels, Panel};
use crate::runtime::{memory, Error, Result, Scalar, Stop};

pub struct Cg<T: Scalar> {
    r: Vec<T>,
    z: Vec<T>,
    p: Vec<T>,
    q: Vec<T>,
}

impl<T: Scalar> Cg<T> {
    pub fn new(n: usize) -> Result<Self> {
        let vector = || memory::filled(n, T::ZERO, "CG vectors");
        Ok(Cg { r: vector()?, z: vector()?, p: vector()?, q: vector()? })
    }
}

impl<T: Scalar> Method<T> for Cg<T> {
    async fn solve(&mut self, p: &mut Problem<'_, T>, x: &mut [T], x_is_zero: bool) -> Result<Outcome> {
        let pool = p.space.pool();
        let mut verdict = p.start(x, x_is_zero, &mut self.r).await?;
        let mut stagnation = Stagnation::new(p.tested_norm);
        loop {
            match verdict {
                Verdict::Converged => return Ok(Outcome::Converged),
                Verdict::Stop(stop) => return Ok(Outcome::Stopped(stop)),
                Verdict::Continue => {}
            }
            // From a true residual: p = z = M r.
            p.precondition(&self.r, &mut self.z).await?;
            let (mut rho, rr, _) = products(p, &self.r, &self.z).await?;
            p.finite(rho, "M r", &self.z)?;
            if rho <= 0.0 {
                return not_definite("the preconditioner is", "r^H M r", rho, rr, p.counts.iterations);
            }
            self.p.copy_from_slice(&self.z);
            let scale = p.tested_norm / rr.sqrt();
            let claim = loop {
                p.apply(&self.p, &mut self.q).await;
                let pq = p.space.dot(&self.p, &self.q).await?.real_part();
                p.finite(pq, "A p", &self.q)?;
                if pq <= 0.0 {
                    return not_definite("the operator is", "p^H A p", pq, rr, p.counts.iterations);
                }
                let alpha = rho / pq;
                if !alpha.is_finite() {
                    break Verdict::Stop(Stop::Breakdown);
                }
                kernels::axpy(pool, T::from_f64(alpha), &self.p, x);
                kernels::axpy(pool, T::from_f64(-alpha), &self.q, &mut self.r);
                p.precondition(&self.r, &mut self.z).await?;
                let (next, rr, zz) = products(p, &self.r, &self.z).await?;
                p.finite(next, "M r", &self.z)?;
                let norm = if p.settings.norm == Norm::Preconditioned { zz.sqrt() } else { rr.sqrt() * scale };
                let claim = p.check(norm).await?;
                p.keep_best(x, norm);
                if p.diverged(norm) {
                    break Verdict::Stop(Stop::Breakdown);
                }
                if claim != Verdict::Continue {
                    break claim;
                }
                if next <= 0.0 && rr > 0.0 {
                    return not_definite("the preconditioner is", "r^H M r", next, rr, p.counts.iterations);
                }
                if rr == 0.0 {
                    break Verdict::Converged;
                }
                kernels::xpby(pool, &self.z, T::from_f64(next / rho), &mut self.p);
                rho = next;
            };
            verdict = p.settle(claim, x, &mut self.r, &mut stagnation).await?;
        }
    }
}

/// (r^H z, ||r||^2, ||z||^2) in one reduction; the last where it is tested.
pub(super) async fn products<T: Scalar>(p: &Problem<'_, T>, r: &[T], z: &[T]) -> Result<(f64, f64, f64)> {
    let mut out = [<T::Wide as Scalar>::ZERO; 3];
    p.space.local(Panel::column(z), r, &mut out[..1]);
    p.space.local(Panel::column(r), r, &mut out[1..2]);
    if p.settings.norm == Norm::Preconditioned {
        p.space.local(Panel::column(z), z, &mut out[2..]);
    }
    p.space.sum(&mut out).await?;
    Ok((out[0].real_part(), out[1].real_part(), out[2].real_part()))
}

pub(super) fn not_definite(whose: &str, what: &str, value: f64, rr: f64, iteration: usize) -> Result<Outcome> {
    if rr == 0.0 {
        return Ok(Outcome::Stopped(Stop::Breakdown));
    }
    Err(Error::Indefinite(format!("{whose} not positive definite: {what} is {value:e} at iteration {iteration}")))
}

impl<T: Scalar> Problem<'_, T> {
    /// What follows when a short recurrence claims convergence or is told to stop: the claim is
    /// verified, and refuted claims put the true residual into `r`.
    pub(super) async fn settle(&mut self, claim: Verdict, x: &mut [T], r: &mut [T], stagnation: &mut Stagnation) -> Result<Verdict> {
        if claim == Verdict::Converged && !self.wants_verification(self.recurrence_norm) {
            return Ok(claim);
        }
        self.residual_or_best(x, r, if claim == Verdict::Converged { 2.0 } else { 1.0 }).await?;
        if self.is_met().await? {
            return Ok(Verdict::Converged);
        }
        if claim != Verdict::Converged {
            return Ok(claim);
        }
        self.counts.restarts += 1;
        Ok(stagnation.observe(self.tested_norm, true, false).map_or(Verdict::Continue, Verdict::Stop))
    }
}
