//! MINRES for Hermitian A, definite or not, with a Hermitian positive definite preconditioner.
//!
//! Paige, Saunders, "Solution of sparse indefinite systems of linear equations", SIAM J. Numer.
//! Anal. 12 (1975); preconditioned form after Elman, Silvester, Wathen, "Finite Elements and Fast
//! Iterative Solvers", 2nd ed. (2014), algorithm 4.1. Two reductions an iteration.
//!
//! | book        | here                          |
//! |-------------|-------------------------------|
//! | v, z        | `v`, `z = M v`                |
//! | gamma_j     | `gamma`, sqrt(z^H v)          |
//! | delta_j     | `delta`                       |
//! | c, s        | `c`, `s`                      |
//! | eta         | `eta`, the residual's M-norm  |
//!
//! Differs from the book: the recurrence gives the residual in the norm of M; the tested norm is
//! taken proportional to it and verified by b - A x, which also renews the factor of proportion.

use super::problem::{Problem, Verdict};
use super::stagnation::Stagnation;
use super::{Method, Outcome};
use crate::linalg::kernels;
use crate::runtime::{memory, Error, Result, Scalar, Stop};

/// The share of ||A|| ||r|| below which A r counts as zero.
pub(super) fn vanishing<T: Scalar>() -> f64 {
    (1e4 * T::EPSILON).min(1e-5)
}

pub struct Minres<T: Scalar> {
    r: Vec<T>,
    v_old: Vec<T>,
    v: Vec<T>,
    v_new: Vec<T>,
    z: Vec<T>,
    z_new: Vec<T>,
    w_old: Vec<T>,
    w: Vec<T>,
}

impl<T: Scalar> Minres<T> {
    pub fn new(n: usize) -> Result<Self> {
        let vector = || memory::filled(n, T::ZERO, "MINRES vectors");
        Ok(Minres {
            r: vector()?,
            v_old: vector()?,
            v: vector()?,
            v_new: vector()?,
            z: vector()?,
            z_new: vector()?,
            w_old: vector()?,
            w: vector()?,
        })
    }

    /// Iterates from the residual in `r`; returns the verdict that ended the recurrence.
    async fn run(&mut self, p: &mut Problem<'_, T>, x: &mut [T], stagnation: &mut Stagnation) -> Result<Verdict> {
        let pool = p.space.pool();
        self.v_old.fill(T::ZERO);
        self.w_old.fill(T::ZERO);
        self.w.fill(T::ZERO);
        self.v.copy_from_slice(&self.r);
        p.precondition(&self.v, &mut self.z).await?;
        let mut gamma = self.m_norm(p, true).await?;
        if gamma == 0.0 {
            return Ok(Verdict::Stop(Stop::Breakdown));
        }
        let mut gamma_old = 1.0;
        let mut eta = gamma;
        let mut size = 0.0;
        let mut scale = p.tested_norm / gamma;
        let (mut c_old, mut c, mut s_old, mut s) = (1.0, 1.0, 0.0, 0.0);
        loop {
            kernels::scale(pool, 1.0 / gamma, &mut self.z);
            p.apply(&self.z, &mut self.v_new).await;
            let delta = p.space.dot(&self.z, &self.v_new).await?.real_part();
            p.finite(delta, "A z", &self.v_new)?;
            // v_new = A z - (delta / gamma) v - (gamma / gamma_old) v_old
            kernels::axpy(pool, T::from_f64(-delta / gamma), &self.v, &mut self.v_new);
            kernels::axpy(pool, T::from_f64(-gamma / gamma_old), &self.v_old, &mut self.v_new);
            p.precondition(&self.v_new, &mut self.z_new).await?;
            let gamma_new = self.m_norm(p, false).await?;
            let alpha_0 = c * delta - c_old * s * gamma;
            let alpha_1 = alpha_0.hypot(gamma_new);
            let alpha_2 = s * delta + c_old * c * gamma;
            let alpha_3 = s_old * gamma;
            // |eta| hypot(alpha_0, c gamma_new) is the norm of A r: where it vanishes beside A and r, A
            // is singular, b lies outside its range, and x is a least-squares solution (Choi, Paige,
            // Saunders 2011, sec. 2.2).
            size += delta * delta + 2.0 * gamma_new * gamma_new;
            if alpha_1 == 0.0 || alpha_0.hypot(c * gamma_new) <= vanishing::<T>() * size.sqrt() {
                return Ok(Verdict::Stop(Stop::Breakdown));
            }
            let (c_new, s_new) = (alpha_0 / alpha_1, gamma_new / alpha_1);
            // w_new = (z - alpha_3 w_old - alpha_2 w) / alpha_1, in w_old.
            kernels::scale(pool, -alpha_3 / alpha_1, &mut self.w_old);
            kernels::axpy(pool, T::from_f64(-alpha_2 / alpha_1), &self.w, &mut self.w_old);
            kernels::axpy(pool, T::from_f64(1.0 / alpha_1), &self.z, &mut self.w_old);
            std::mem::swap(&mut self.w_old, &mut self.w);
            kernels::axpy(pool, T::from_f64(c_new * eta), &self.w, x);
            eta *= -s_new;
            match p.check(eta.abs() * scale).await? {
                Verdict::Continue => {}
                Verdict::Converged if p.wants_verification(p.recurrence_norm) => {
                    p.residual(x, false, &mut self.r).await?;
                    if p.is_met().await? {
                        return Ok(Verdict::Converged);
                    }
                    if let Some(stop) = stagnation.observe(p.tested_norm, true, false) {
                        return Ok(Verdict::Stop(stop));
                    }
                    if gamma_new <= T::EPSILON * gamma || eta == 0.0 {
                        return Ok(Verdict::Continue);
                    }
                    scale = p.tested_norm / eta.abs();
                }
                verdict => return Ok(verdict),
            }
            if gamma_new == 0.0 {
                return Ok(Verdict::Converged);
            }
            std::mem::swap(&mut self.v_old, &mut self.v);
            std::mem::swap(&mut self.v, &mut self.v_new);
            std::mem::swap(&mut self.z, &mut self.z_new);
            (gamma_old, gamma) = (gamma, gamma_new);
            (c_old, c, s_old, s) = (c, c_new, s, s_new);
        }
    }

    /// sqrt(z^H v) of the first or the new pair.
    async fn m_norm(&self, p: &Problem<'_, T>, first: bool) -> Result<f64> {
        let (z, v) = if first { (&self.z, &self.v) } else { (&self.z_new, &self.v_new) };
        let square = p.space.dot(z, v).await?.real_part();
        p.finite(square, "M v", z)?;
        if square < 0.0 {
            let what = format!("the preconditioner is not positive definite: v^H M v is {square:e} at iteration {}", p.counts.iterations);
            return Err(Error::Indefinite(what));
        }
        Ok(square.sqrt())
    }
}

impl<T: Scalar> Method<T> for Minres<T> {
    async fn solve(&mut self, p: &mut Problem<'_, T>, x: &mut [T], x_is_zero: bool) -> Result<Outcome> {
        let mut verdict = p.start(x, x_is_zero, &mut self.r).await?;
        let mut stagnation = Stagnation::new(p.tested_norm);
        loop {
            match verdict {
                Verdict::Converged => return Ok(Outcome::Converged),
                Verdict::Stop(stop) => return Ok(Outcome::Stopped(stop)),
                Verdict::Continue => {}
            }
            let claim = self.run(p, x, &mut stagnation).await?;
            if p.is_verified && claim == Verdict::Converged {
                return Ok(Outcome::Converged);
            }
            verdict = p.settle(claim, x, &mut self.r, &mut stagnation).await?;
            if verdict == Verdict::Continue {
                p.counts.restarts += 1;
            }
        }
    }
}
