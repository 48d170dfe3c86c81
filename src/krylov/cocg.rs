//! COCG: conjugate gradients in the product x^T y, for complex symmetric A and M (A = A^T, not A = A^H).
//! For real numbers it is CG, without CG's refusal of indefinite operators.
//!
//! van der Vorst, Melissen, "A Petrov-Galerkin type method for solving Ax = b, where A is symmetric
//! complex", IEEE Trans. Magnetics 26 (1990). Two reductions an iteration.
//!
//! | paper           | here                     |
//! |-----------------|--------------------------|
//! | r, K^-1 r, p, v | `r`, `z = M r`, `p`, `q = A p` |
//! | rho             | `rho`, r^T z             |
//! | mu              | `mu`, p^T q              |
//!
//! Differs from the paper: where rho or mu vanishes, which x^T y allows for x and y that do not, or
//! where a step would be so long that rounding drowns the residual, the method starts again from the
//! true residual.

use super::bicgstab::VANISHES;
use super::options::Norm;
use super::problem::{Problem, Verdict};
use super::stagnation::Stagnation;
use super::{Method, Outcome};
use crate::linalg::{kernels, Panel};
use crate::runtime::{memory, Result, Scalar, Stop};

/// A step that adds this many times the residual to it is a breakdown.
pub(super) const LONG: f64 = 1e8;

pub struct Cocg<T: Scalar> {
    r: Vec<T>,
    z: Vec<T>,
    p: Vec<T>,
    q: Vec<T>,
}

impl<T: Scalar> Cocg<T> {
    pub fn new(n: usize) -> Result<Self> {
        let vector = || memory::filled(n, T::ZERO, "COCG vectors");
        Ok(Cocg { r: vector()?, z: vector()?, p: vector()?, q: vector()? })
    }

    /// (r^T z, ||r||, ||z||) in one reduction.
    async fn products(&self, p: &Problem<'_, T>) -> Result<(T::Wide, f64, f64)> {
        let mut out = [<T::Wide as Scalar>::ZERO; 3];
        out[0] = p.space.local_unconjugated(&self.r, &self.z);
        p.space.local(Panel::column(&self.r), &self.r, &mut out[1..2]);
        p.space.local(Panel::column(&self.z), &self.z, &mut out[2..]);
        p.space.sum(&mut out).await?;
        p.finite(out[2].real_part(), "M r", &self.z)?;
        Ok((out[0], out[1].real_part().sqrt(), out[2].real_part().sqrt()))
    }

    /// Iterates from the residual in `r` until a verdict; `None` after a breakdown.
    async fn run(&mut self, p: &mut Problem<'_, T>, x: &mut [T], scale: f64) -> Result<Option<Verdict>> {
        let pool = p.space.pool();
        p.precondition(&self.r, &mut self.z).await?;
        let (mut rho, mut r_norm, mut z_norm) = self.products(p).await?;
        self.p.copy_from_slice(&self.z);
        loop {
            if rho.modulus() <= VANISHES * r_norm * z_norm {
                return Ok(None);
            }
            p.apply(&self.p, &mut self.q).await;
            let mut out = [<T::Wide as Scalar>::ZERO; 2];
            out[0] = p.space.local_unconjugated(&self.p, &self.q);
            p.space.local(Panel::column(&self.q), &self.q, &mut out[1..]);
            p.space.sum(&mut out).await?;
            let (mu, qq) = (out[0], out[1].real_part());
            p.finite(qq, "A p", &self.q)?;
            let alpha = rho / mu;
            if !(alpha.modulus() * qq.sqrt() <= LONG * r_norm) {
                return Ok(None);
            }
            kernels::axpy(pool, T::narrow(alpha), &self.p, x);
            kernels::axpy(pool, T::narrow(-alpha), &self.q, &mut self.r);
            p.precondition(&self.r, &mut self.z).await?;
            let next;
            (next, r_norm, z_norm) = self.products(p).await?;
            let norm = if p.settings.norm == Norm::Preconditioned { z_norm } else { r_norm * scale };
            let verdict = p.check(norm).await?;
            p.keep_best(x, norm);
            if p.diverged(norm) {
                return Ok(Some(Verdict::Stop(Stop::Breakdown)));
            }
            if verdict != Verdict::Continue {
                return Ok(Some(verdict));
            }
            kernels::xpby(pool, &self.z, T::narrow(next / rho), &mut self.p);
            rho = next;
        }
    }
}

impl<T: Scalar> Method<T> for Cocg<T> {
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
            verdict = match self.run(p, x, p.tested_norm / norm).await? {
                Some(claim) => p.settle(claim, x, &mut self.r, &mut stagnation).await?,
                None => p.start_afresh(x, &mut self.r, before, &mut fresh_starts).await?,
            };
        }
    }
}
