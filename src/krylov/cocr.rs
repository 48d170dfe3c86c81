//! COCR: conjugate residuals in the product x^T y, for complex symmetric A and M (A = A^T, not A = A^H).
//! Its residuals are smoother than those of COCG. For real numbers it is CR.
//!
//! Sogabe, Zhang, "A COCR method for solving complex symmetric linear systems", J. Comput. Appl. Math.
//! 199 (2007), algorithm with preconditioner. Two reductions an iteration.
//!
//! | paper                  | here                            |
//! |------------------------|---------------------------------|
//! | r, M^-1 r, A M^-1 r    | `r`, `z`, `w = A z`             |
//! | p, A p, M^-1 A p       | `p`, `q`, `u = M q`             |
//! | (M^-1 r)^T A (M^-1 r)  | `rho`, z^T w                    |
//!
//! Differs from the paper: the norm of the new residual follows from the products of the last one with
//! A p, so that it is known before the next product with A; it is measured where that cancels. Breakdowns
//! are treated as in `cocg`.

use super::bicgstab::VANISHES;
use super::cocg::LONG;
use super::problem::{Problem, Verdict};
use super::stagnation::Stagnation;
use super::{Method, Outcome};
use crate::linalg::{kernels, Panel};
use crate::runtime::{memory, Result, Scalar, Stop};

/// A square that has lost this share of what it is the difference of is measured instead.
const CANCELLED: f64 = 1e-6;

pub struct Cocr<T: Scalar> {
    r: Vec<T>,
    z: Vec<T>,
    w: Vec<T>,
    p: Vec<T>,
    q: Vec<T>,
    u: Vec<T>,
}

impl<T: Scalar> Cocr<T> {
    pub fn new(n: usize) -> Result<Self> {
        let vector = || memory::filled(n, T::ZERO, "COCR vectors");
        Ok(Cocr { r: vector()?, z: vector()?, w: vector()?, p: vector()?, q: vector()?, u: vector()? })
    }

    /// w <- A z; (rho, ||r||^2) in one reduction, `None` where rho vanishes.
    async fn image(&mut self, p: &mut Problem<'_, T>) -> Result<Option<(T::Wide, f64)>> {
        p.apply(&self.z, &mut self.w).await;
        let mut out = [<T::Wide as Scalar>::ZERO; 4];
        out[0] = p.space.local_unconjugated(&self.z, &self.w);
        for (out, v) in out[1..].iter_mut().zip([&self.r, &self.z, &self.w]) {
            p.space.local(Panel::column(v), v, std::slice::from_mut(out));
        }
        p.space.sum(&mut out).await?;
        p.finite(out[2].real_part(), "M r", &self.z)?;
        p.finite(out[3].real_part(), "A M r", &self.w)?;
        let bound = (out[2].real_part() * out[3].real_part()).sqrt();
        Ok((out[0].modulus() > VANISHES * bound).then_some((out[0], out[1].real_part())))
    }

    /// Iterates from the residual in `r` until a verdict; `None` after a breakdown.
    async fn run(&mut self, p: &mut Problem<'_, T>, x: &mut [T], scale: f64) -> Result<Option<Verdict>> {
        let pool = p.space.pool();
        p.precondition(&self.r, &mut self.z).await?;
        let Some((mut rho, mut rr)) = self.image(p).await? else { return Ok(None) };
        self.p.copy_from_slice(&self.z);
        self.q.copy_from_slice(&self.w);
        loop {
            p.precondition(&self.q, &mut self.u).await?;
            let mut out = [<T::Wide as Scalar>::ZERO; 4];
            out[0] = p.space.local_unconjugated(&self.q, &self.u);
            for (out, v) in out[1..].iter_mut().zip([&self.r, &self.q]) {
                p.space.local(Panel::column(&self.q), v, std::slice::from_mut(out));
            }
            p.space.local(Panel::column(&self.u), &self.u, &mut out[3..]);
            p.space.sum(&mut out).await?;
            p.finite(out[3].real_part(), "M A p", &self.u)?;
            let (mu, qr, qq) = (out[0], out[1], out[2].real_part());
            let alpha = rho / mu;
            let long = alpha.modulus().powi(2) * qq;
            if !(long <= LONG * LONG * rr) {
                return Ok(None);
            }
            kernels::axpy(pool, T::narrow(alpha), &self.p, x);
            kernels::axpy(pool, T::narrow(-alpha), &self.q, &mut self.r);
            kernels::axpy(pool, T::narrow(-alpha), &self.u, &mut self.z);
            // ||r - alpha q||^2
            let square = rr - 2.0 * (alpha.conj() * qr).real_part() + long;
            let norm = scale * if square > CANCELLED * (rr + long) { square.sqrt() } else { p.space.norm(&self.r).await? };
            let verdict = p.check(norm).await?;
            p.keep_best(x, norm);
            if p.diverged(norm) {
                return Ok(Some(Verdict::Stop(Stop::Breakdown)));
            }
            if verdict != Verdict::Continue {
                return Ok(Some(verdict));
            }
            let Some((next, square)) = self.image(p).await? else { return Ok(None) };
            let beta = T::narrow(next / rho);
            kernels::xpby(pool, &self.z, beta, &mut self.p);
            kernels::xpby(pool, &self.w, beta, &mut self.q);
            (rho, rr) = (next, square);
        }
    }
}

impl<T: Scalar> Method<T> for Cocr<T> {
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
