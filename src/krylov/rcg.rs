//! RCG: conjugate gradients that deflate approximate eigenvectors kept from system to system, for Hermitian
//! positive definite A and M.
//!
//! Saad, Yeung, Erhel, Guyomarc'h, "A deflated version of the conjugate gradient algorithm", SIAM J. Sci.
//! Comput. 21 (2000), algorithm 3.4; kept from system to system as in Wang, de Sturler, Paulino, "Large-scale
//! topology optimization using preconditioned Krylov subspace methods with recycling", Int. J. Numer. Meth.
//! Eng. 69 (2007). Two reductions an iteration.
//!
//! | paper              | here                                     |
//! |--------------------|------------------------------------------|
//! | W, A W             | `window.u()`, `window.au()`: U^H A U = I |
//! | r, z, p            | `r`, `z = M r`, `p`                      |
//! | mu                 | `mu`, (A U)^H z                          |
//!
//! Eigenvectors of M A: with Q = W^H A W and F = W^H M^-1 W on W = [U P], P the directions p,
//! F y = (1/theta) Q y; those of smallest theta are kept. All of it follows from the coefficients:
//! directions are A-orthogonal to each other and to U; r is orthogonal to both; and from
//! p_j = z_j + beta p_{j-1} - U mu, M^-1 z_j = r_j,
//!
//!   w^H M^-1 p_j = beta w^H M^-1 p_{j-1} - (w^H M^-1 U) mu   for w = u and w = p_i, i < j.
//!
//! Differs from the papers: the window of directions is restarted thickly (`window`). On U, F belongs to
//! the M under which U was found: where M drifts, that weighs old vectors against new ones a little wrongly,
//! and costs nothing.

use super::cg::not_definite;
use super::options::Norm;
use super::problem::{Problem, Verdict};
use super::stagnation::Stagnation;
use super::window::Window;
use super::{Method, Outcome};
use crate::linalg::{kernels, Panel};
use crate::runtime::options::Options;
use crate::runtime::{memory, Archive, Error, Result, Scalar, Stop};

pub struct Rcg<T: Scalar> {
    window: Window<T>,
    r: Vec<T>,
    z: Vec<T>,
    p: Vec<T>,
    q: Vec<T>,
    /// mu, and behind it what the same reduction sums.
    mu: Vec<T::Wide>,
    coefficients: Vec<T>,
    /// p_{j-1}^H M^-1 p_{j-1}; `window.rows[0]` has its products with [U P].
    square: f64,
    /// The newest columns of Q and F.
    q_column: Vec<T::Wide>,
    f_column: Vec<T::Wide>,
    gram: Vec<T::Wide>,
    collects: bool,
}

impl<T: Scalar> Rcg<T> {
    pub fn new(n: usize, options: &Options) -> Result<Self> {
        let (window, keep) = (Window::new(n, options)?, options.count("recycle"));
        let order = keep + options.count("restart");
        let vector = || memory::filled(n, T::ZERO, "RCG vectors");
        let small = |len| memory::filled(len, <T::Wide as Scalar>::ZERO, "coefficients");
        Ok(Rcg {
            window,
            r: vector()?,
            z: vector()?,
            p: vector()?,
            q: vector()?,
            mu: small(keep + 3)?,
            coefficients: memory::filled(keep, T::ZERO, "coefficients")?,
            square: 0.0,
            q_column: small(order)?,
            f_column: small(order)?,
            gram: small(keep * keep)?,
            collects: false,
        })
    }

    /// A U for the present A, and U^H A U = I.
    async fn prepare(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        let window = &mut self.window;
        window.renew(p).await;
        if window.k == 0 || window.is_orthonormal {
            return Ok(());
        }
        let k = window.k;
        let gram = &mut self.gram[..k * k];
        window.local_gram(p, window.u(), window.au(), gram);
        p.space.sum(gram).await?;
        finite_images(p, window.au(), gram)?;
        if let Some(bad) = (0..k).map(|j| gram[j * k + j].real_part()).find(|square| *square <= 0.0) {
            return Err(Error::Indefinite(format!("the operator is not positive definite: u^H A u is {bad:e} for a recycled vector")));
        }
        window.orthonormalise(gram, None);
        if window.is_taught { self.estimate_f(p).await } else { Ok(()) }
    }

    /// F on vectors from outside. Of an eigenvector, M A u = theta u and u^H A u = 1, it is u^H M^-1 u =
    /// 1 / theta = 1 / (A u)^H M A u: one use of M a vector.
    async fn estimate_f(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        let (k, one) = (self.window.k, <T::Wide as Scalar>::ONE);
        for j in 0..k {
            let au = self.window.au().col(j);
            p.precondition(au, &mut self.z).await?;
            p.space.local(Panel::column(au), &self.z, &mut self.mu[j..j + 1]);
        }
        p.space.sum(&mut self.mu[..k]).await?;
        let f = &mut self.gram[..k * k];
        f.fill(<T::Wide as Scalar>::ZERO);
        for (j, theta) in self.mu[..k].iter().enumerate() {
            f[j * k + j] = one / *theta;
        }
        self.window.set_f(f);
        self.window.is_taught = false;
        Ok(())
    }

    /// (rho, ||r||^2, ||z||^2) in one reduction, with mu.
    async fn products(&mut self, p: &Problem<'_, T>) -> Result<(f64, f64, f64)> {
        let k = self.window.k;
        let (mu, out) = self.mu[..k + 3].split_at_mut(k);
        if k > 0 {
            p.space.local(self.window.au(), &self.z, mu);
        }
        p.space.local(Panel::column(&self.z), &self.r, &mut out[..1]);
        p.space.local(Panel::column(&self.r), &self.r, &mut out[1..2]);
        out[2] = <T::Wide as Scalar>::ZERO;
        if p.settings.norm == Norm::Preconditioned {
            p.space.local(Panel::column(&self.z), &self.z, &mut out[2..]);
        }
        p.space.sum(&mut self.mu[..k + 3]).await?;
        let at = |i: usize| self.mu[k + i].real_part();
        Ok((at(0), at(1), at(2)))
    }

    /// x <- x + U U^H r, r <- r - A U U^H r. Returns ||r||^2 before.
    async fn deflate_residual(&mut self, p: &mut Problem<'_, T>, x: &mut [T]) -> Result<f64> {
        let k = self.window.k;
        let out = &mut self.mu[..k + 1];
        if k > 0 {
            p.space.local(self.window.u(), &self.r, out);
        }
        p.space.local(Panel::column(&self.r), &self.r, &mut out[k..]);
        p.space.sum(out).await?;
        self.scaled_mu(1.0);
        kernels::add(p.space.pool(), self.window.u(), &self.coefficients[..k], x);
        self.scaled_mu(-1.0);
        kernels::add(p.space.pool(), self.window.au(), &self.coefficients[..k], &mut self.r);
        p.is_verified &= k == 0;
        Ok(self.mu[k].real_part())
    }

    fn scaled_mu(&mut self, by: f64) {
        let mu = &self.mu[..self.window.k];
        self.coefficients.iter_mut().zip(mu).for_each(|(c, mu)| *c = T::narrow(mu.scale(by)));
    }

    /// p <- z + beta p - U mu.
    fn turn(&mut self, p: &Problem<'_, T>, beta: f64) {
        kernels::xpby(p.space.pool(), &self.z, T::from_f64(beta), &mut self.p);
        self.scaled_mu(-1.0);
        kernels::add(p.space.pool(), self.window.u(), &self.coefficients[..self.window.k], &mut self.p);
    }

    /// p and A p join the window; `beta` is the one that led to p, `rho` the product r^H z then.
    fn collect(&mut self, beta: f64, rho: f64, pq: f64) {
        let (window, zero) = (&mut self.window, <T::Wide as Scalar>::ZERO);
        window.stage(&self.p, &self.q);
        let (k, j) = (window.k, window.order());
        let mu = &self.mu[..k];
        self.q_column[..j].fill(zero);
        self.q_column[j] = <T::Wide as Scalar>::from_f64(pq);
        for i in 0..j {
            let along_u = (0..k).fold(zero, |sum, l| sum + window.f(i, l) * mu[l]);
            self.f_column[i] = window.rows[0][i].scale(beta) - along_u;
        }
        // p_{j-1}^H M^-1 p_j, and p_j^H M^-1 p_j.
        let product = |row: &[T::Wide]| row.iter().zip(mu).fold(0.0, |sum, (f, mu)| sum + (f.conj() * *mu).real_part());
        let last = beta * self.square - product(&window.rows[0]);
        self.square = rho + beta * last - product(&self.f_column);
        self.f_column[j] = <T::Wide as Scalar>::from_f64(self.square);
        window.push(&self.q_column, &self.f_column);
        window.rows[0][..=j].copy_from_slice(&self.f_column[..=j]);
    }

    /// Iterates from the true residual in `r` until a verdict.
    async fn run(&mut self, p: &mut Problem<'_, T>, x: &mut [T]) -> Result<Verdict> {
        let pool = p.space.pool();
        let before = self.deflate_residual(p, x).await?;
        let scale = p.tested_norm / before.sqrt();
        p.precondition(&self.r, &mut self.z).await?;
        let (mut rho, mut rr, zz) = self.products(p).await?;
        p.finite(rho, "M r", &self.z)?;
        let tested = |rr: f64, zz: f64, p: &Problem<T>| if p.settings.norm == Norm::Preconditioned { zz.sqrt() } else { rr.sqrt() * scale };
        if self.window.k > 0 {
            p.recurrence_norm = tested(rr, zz, p);
            let verdict = p.verdict(p.recurrence_norm).await?;
            if verdict != Verdict::Continue {
                return Ok(verdict);
            }
            p.keep_best(x, p.recurrence_norm);
        }
        if rho <= 0.0 {
            return refused(not_definite("the preconditioner is", "r^H M r", rho, rr, p.counts.iterations));
        }
        self.start_window();
        self.p.fill(T::ZERO);
        let mut beta = 0.0;
        loop {
            self.turn(p, beta);
            p.apply(&self.p, &mut self.q).await;
            let pq = p.space.dot(&self.p, &self.q).await?.real_part();
            p.finite(pq, "A p", &self.q)?;
            if pq <= 0.0 {
                return refused(not_definite("the operator is", "p^H A p", pq, rr, p.counts.iterations));
            }
            let alpha = rho / pq;
            if !alpha.is_finite() {
                return Ok(Verdict::Stop(Stop::Breakdown));
            }
            if self.collects {
                self.collect(beta, rho, pq);
            }
            kernels::axpy(pool, T::from_f64(alpha), &self.p, x);
            kernels::axpy(pool, T::from_f64(-alpha), &self.q, &mut self.r);
            p.precondition(&self.r, &mut self.z).await?;
            let (next, square, zz) = self.products(p).await?;
            p.finite(next, "M r", &self.z)?;
            rr = square;
            let norm = tested(rr, zz, p);
            let claim = p.check(norm).await?;
            p.keep_best(x, norm);
            if p.diverged(norm) {
                return Ok(Verdict::Stop(Stop::Breakdown));
            }
            if claim != Verdict::Continue {
                return Ok(claim);
            }
            if rr == 0.0 {
                return Ok(Verdict::Converged);
            }
            if next <= 0.0 {
                return refused(not_definite("the preconditioner is", "r^H M r", next, rr, p.counts.iterations));
            }
            (beta, rho) = (next / rho, next);
        }
    }

    /// Directions of one run belong together: the first one's, unless it was too short to teach anything.
    fn start_window(&mut self) {
        self.collects = self.window.len < self.window.k.max(1);
        if self.collects {
            self.window.len = 0;
            self.window.rows[0].fill(<T::Wide as Scalar>::ZERO);
            self.square = 0.0;
        }
    }
}

pub(super) fn refused(outcome: Result<Outcome>) -> Result<Verdict> {
    outcome.map(|_| Verdict::Stop(Stop::Breakdown))
}

/// An error that says where A U is not finite, if a Gram matrix of it is not.
pub(super) fn finite_images<T: Scalar>(p: &Problem<T>, images: Panel<T>, gram: &[T::Wide]) -> Result<()> {
    if gram.iter().all(|v| v.finite()) {
        return Ok(());
    }
    let bad = (0..images.ncols).map(|j| images.col(j)).find(|u| kernels::first_nonfinite(u).is_some());
    p.finite(f64::NAN, "A u", bad.unwrap_or(&[])).map(|_| ())
}

impl<T: Scalar> Method<T> for Rcg<T> {
    async fn solve(&mut self, p: &mut Problem<'_, T>, x: &mut [T], x_is_zero: bool) -> Result<Outcome> {
        let mut verdict = p.start(x, x_is_zero, &mut self.r).await?;
        let mut stagnation = Stagnation::new(p.tested_norm);
        self.window.len = 0;
        if verdict == Verdict::Continue {
            self.prepare(p).await.inspect_err(|_| self.window.distrust())?;
        }
        let outcome = loop {
            match verdict {
                Verdict::Converged => break Outcome::Converged,
                Verdict::Stop(stop) => break Outcome::Stopped(stop),
                Verdict::Continue => {}
            }
            let claim = self.run(p, x).await?;
            verdict = p.settle(claim, x, &mut self.r, &mut stagnation).await?;
        };
        self.window.harvest(p).await?;
        Ok(outcome)
    }

    fn forget(&mut self) {
        self.window.forget();
    }

    fn recycled(&self) -> usize {
        self.window.k
    }

    fn space(&self) -> Option<Panel<'_, T>> {
        Some(self.window.u())
    }

    fn teach(&mut self, vectors: Panel<T>) {
        self.window.teach(vectors);
    }

    fn truncate(&mut self, count: usize) {
        self.window.truncate(count);
    }

    fn archive(&mut self, archive: &mut Archive) -> Result<()> {
        self.window.archive(archive)
    }
}
