//! BiCGStab, right preconditioned, for any nonsingular A.
//!
//! van der Vorst, "Bi-CGSTAB: a fast and smoothly converging variant of Bi-CG for the solution of
//! nonsymmetric linear systems", SIAM J. Sci. Stat. Comput. 13 (1992). Two applies and three
//! reductions an iteration.
//!
//! Differs from the paper: after a breakdown (rho or omega vanishes) the method starts again from
//! the true residual with a new shadow vector; apparent convergence is verified by b - A x.

use super::problem::{Problem, Verdict};
use super::stagnation::Stagnation;
use super::{Method, Outcome};
use crate::linalg::{kernels, Panel};
use crate::runtime::{memory, Result, Scalar, Stop, Wide};

/// A product smaller than this share of its Cauchy-Schwarz bound is a breakdown.
pub(super) const VANISHES: f64 = 1e-14;

/// Fresh starts in a row without a step before giving up.
const FRESH_STARTS: usize = 3;

pub struct BiCgStab<T: Scalar> {
    r: Vec<T>,
    shadow: Vec<T>,
    p: Vec<T>,
    v: Vec<T>,
    t: Vec<T>,
    p_hat: Vec<T>,
    s_hat: Vec<T>,
}

impl<T: Scalar> BiCgStab<T> {
    pub fn new(n: usize) -> Result<Self> {
        let vector = || memory::filled(n, T::ZERO, "BiCGStab vectors");
        Ok(BiCgStab {
            r: vector()?,
            shadow: vector()?,
            p: vector()?,
            v: vector()?,
            t: vector()?,
            p_hat: vector()?,
            s_hat: vector()?,
        })
    }

    /// Iterates from the residual in `r` until a verdict; `None` after a breakdown.
    async fn run(&mut self, p: &mut Problem<'_, T>, x: &mut [T], scale: f64) -> Result<Option<Verdict>> {
        let pool = p.space.pool();
        let zero = <T::Wide as Scalar>::ZERO;
        self.shadow.copy_from_slice(&self.r);
        self.p.copy_from_slice(&self.r);
        let mut rho = p.space.dot(&self.shadow, &self.r).await?;
        let shadow_norm = rho.real_part().sqrt();
        loop {
            p.precondition(&self.p, &mut self.p_hat).await?;
            p.apply(&self.p_hat, &mut self.v).await;
            // sigma = shadow^H v, and ||v||.
            let mut out = [zero; 2];
            p.space.local(Panel::column(&self.shadow), &self.v, &mut out[..1]);
            p.space.local(Panel::column(&self.v), &self.v, &mut out[1..]);
            p.space.sum(&mut out).await?;
            let sigma = out[0];
            p.finite(out[1].real_part(), "A p", &self.v)?;
            if sigma.modulus() <= VANISHES * shadow_norm * out[1].real_part().sqrt() {
                return Ok(None);
            }
            let alpha = rho / sigma;
            // s = r - alpha v, in r.
            kernels::axpy(pool, T::narrow(-alpha), &self.v, &mut self.r);
            p.precondition(&self.r, &mut self.s_hat).await?;
            p.apply(&self.s_hat, &mut self.t).await;
            let mut out = [zero; 3];
            p.space.local(Panel::column(&self.t), &self.r, &mut out[..1]);
            p.space.local(Panel::column(&self.t), &self.t, &mut out[1..2]);
            p.space.local(Panel::column(&self.r), &self.r, &mut out[2..]);
            p.space.sum(&mut out).await?;
            let (ts, tt, ss) = (out[0], out[1].real_part(), out[2].real_part());
            p.finite(tt, "A s", &self.t)?;
            kernels::axpy(pool, T::narrow(alpha), &self.p_hat, x);
            if ss == 0.0 {
                return Ok(Some(p.check(0.0).await?));
            }
            let omega = if tt > 0.0 { ts.scale(1.0 / tt) } else { zero };
            kernels::axpy(pool, T::narrow(omega), &self.s_hat, x);
            kernels::axpy(pool, T::narrow(-omega), &self.t, &mut self.r);
            let mut out = [zero; 2];
            p.space.local(Panel::column(&self.shadow), &self.r, &mut out[..1]);
            p.space.local(Panel::column(&self.r), &self.r, &mut out[1..]);
            p.space.sum(&mut out).await?;
            let (next, rr) = (out[0], out[1].real_part());
            p.finite(rr, "A s", &self.r)?;
            let norm = rr.sqrt();
            let verdict = p.check(norm * scale).await?;
            p.keep_best(x, norm * scale);
            if p.diverged(norm * scale) {
                return Ok(Some(Verdict::Stop(Stop::Breakdown)));
            }
            match verdict {
                Verdict::Continue => {}
                verdict => return Ok(Some(verdict)),
            }
            let stalls = omega.norm_sqr() * tt <= VANISHES * VANISHES * ss;
            if stalls || next.modulus() <= VANISHES * shadow_norm * norm {
                return Ok(None);
            }
            // p = r + beta (p - omega v)
            let beta = (next / rho) * (alpha / omega);
            kernels::axpy(pool, T::narrow(-omega), &self.v, &mut self.p);
            kernels::xpby(pool, &self.r, T::narrow(beta), &mut self.p);
            rho = next;
        }
    }
}

impl<T: Scalar> Method<T> for BiCgStab<T> {
    async fn solve(&mut self, p: &mut Problem<'_, T>, x: &mut [T], x_is_zero: bool) -> Result<Outcome> {
        let mut verdict = p.start(x, x_is_zero, &mut self.r).await?;
        let mut stagnation = Stagnation::new(p.tested_norm);
        let mut fresh_starts = 0;
        loop {
            match verdict {
                Verdict::Converged => return Ok(Outcome::Converged),
                Verdict::Stop(stop) => return Ok(Outcome::Stopped(stop)),
                Verdict::Continue => {}
            }
            let (before, norm) = (p.counts.iterations, p.space.norm(&self.r).await?);
            let scale = p.tested_norm / norm;
            verdict = match self.run(p, x, scale).await? {
                Some(claim) => p.settle(claim, x, &mut self.r, &mut stagnation).await?,
                None => p.start_afresh(x, &mut self.r, before, &mut fresh_starts).await?,
            };
        }
    }
}

impl<T: Scalar> Problem<'_, T> {
    /// After a breakdown: the true residual into `r`, to start again from. `before`: iterations at the last
    /// start.
    pub(super) async fn start_afresh(&mut self, x: &mut [T], r: &mut [T], before: usize, fresh_starts: &mut usize) -> Result<Verdict> {
        self.residual(x, false, r).await?;
        *fresh_starts = if self.counts.iterations > before + 1 { 0 } else { *fresh_starts + 1 };
        self.counts.restarts += 1;
        match self.verdict_of_residual().await? {
            Verdict::Continue if *fresh_starts >= FRESH_STARTS => {
                self.residual_or_best(x, r, 1.0).await?;
                Ok(Verdict::Stop(Stop::Breakdown))
            }
            other => Ok(other),
        }
    }
}
