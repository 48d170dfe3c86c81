//! RMINRES: MINRES that deflates approximate eigenvectors kept from system to system, for Hermitian A,
//! definite or not, with a Hermitian positive definite preconditioner.
//!
//! Wang, de Sturler, Paulino, "Large-scale topology optimization using preconditioned Krylov subspace methods
//! with recycling", Int. J. Numer. Meth. Eng. 69 (2007), section 3; the Lanczos part as in `minres`. Two
//! reductions an iteration.
//!
//! | paper                     | here                                              |
//! |---------------------------|---------------------------------------------------|
//! | U, C = A U                | `window.u()`, `window.au()`, and `d = M C`: C^H M C = I |
//! | B = C^H M A Z             | `b`, a column                                     |
//! | T                         | `gamma`, `delta`, `gamma_new`                     |
//! | v, z = M v                | `v` (not scaled), `z`                             |
//! | U-part of the update      | `xi`, taken off x at the end                      |
//!
//! Lanczos runs with (I - C C^H M) A M in the product x^H M y, A Z = C B + V T, and the update is
//! Z y - U B y. With Q = (A W)^H M A W and F = W^H A W on W = [U Z], the harmonic Ritz values theta of M A
//! satisfy F y = (1/theta) Q y; those of smallest modulus are kept. From the coefficients,
//!
//!   (A w)^H M A z_j = (C^H M A w)^H b + gamma_j (A w)^H M v_{j-1} + delta_j (A w)^H M v_j,
//!   w^H A z_j = (A w)^H M v_j.
//!
//! Differs from the paper: the window of directions is restarted thickly (`window`), the preconditioner
//! stands in the inner product instead of on both sides, and the tested norm is made from the recurrence's as in
//! `minres`.

use super::minres::vanishing;
use super::problem::{Problem, Verdict};
use super::rcg::finite_images;
use super::stagnation::Stagnation;
use super::window::Window;
use super::{Method, Outcome};
use crate::linalg::{kernels, Panel};
use crate::runtime::options::Options;
use crate::runtime::{memory, Archive, Error, Result, Scalar, Stop, Wide};

pub struct Rminres<T: Scalar> {
    window: Window<T>,
    /// M C, and the M (identity, version, scaling) that it belongs to.
    d: Vec<T>,
    d_of: Option<[u64; 3]>,
    r: Vec<T>,
    v_old: Vec<T>,
    v: Vec<T>,
    v_new: Vec<T>,
    z: Vec<T>,
    z_new: Vec<T>,
    w_old: Vec<T>,
    w: Vec<T>,
    /// The newest column of B, what the last two directions w and x have along U.
    b: Vec<T::Wide>,
    along_old: Vec<T::Wide>,
    along: Vec<T::Wide>,
    xi: Vec<T::Wide>,
    coefficients: Vec<T>,
    q_column: Vec<T::Wide>,
    f_column: Vec<T::Wide>,
    gram: Vec<T::Wide>,
    collects: bool,
}

impl<T: Scalar> Rminres<T> {
    pub fn new(n: usize, options: &Options) -> Result<Self> {
        let (window, keep) = (Window::new(n, options)?, options.count("recycle"));
        let order = keep + options.count("restart");
        let vector = || memory::filled(n, T::ZERO, "RMINRES vectors");
        let small = |len| memory::filled(len, <T::Wide as Scalar>::ZERO, "coefficients");
        Ok(Rminres {
            window,
            d: memory::filled(memory::product(n, keep, "recycle space")?, T::ZERO, "recycle space")?,
            d_of: None,
            r: vector()?,
            v_old: vector()?,
            v: vector()?,
            v_new: vector()?,
            z: vector()?,
            z_new: vector()?,
            w_old: vector()?,
            w: vector()?,
            b: small(keep + 2)?,
            along_old: small(keep)?,
            along: small(keep)?,
            xi: small(keep)?,
            coefficients: memory::filled(keep, T::ZERO, "coefficients")?,
            q_column: small(order)?,
            f_column: small(order)?,
            gram: small(2 * keep * keep)?,
            collects: false,
        })
    }

    /// C = A U and D = M C for the present A and M, and C^H M C = I.
    async fn prepare(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        let window = &mut self.window;
        window.renew(p).await;
        let (m, m_version) = p.m.map_or((0, 0), |m| (m.id(), m.version()));
        let d_of = Some([m, m_version, p.scaling.version]);
        let (k, n) = (window.k, self.r.len());
        if k == 0 || (window.is_orthonormal && self.d_of == d_of) {
            return Ok(());
        }
        self.d_of = None;
        for j in 0..k {
            p.precondition(window.au().col(j), &mut self.d[j * n..][..n]).await?;
        }
        let (gram, uc) = self.gram[..2 * k * k].split_at_mut(k * k);
        window.local_gram(p, window.au(), Panel::packed(&self.d, n, k), gram);
        window.local_gram(p, window.u(), window.au(), uc);
        p.space.sum(&mut self.gram[..2 * k * k]).await?;
        let (gram, uc) = self.gram[..2 * k * k].split_at_mut(k * k);
        finite_images(p, window.au(), gram)?;
        if let Some(bad) = (0..k).map(|j| gram[j * k + j].real_part()).find(|square| *square < 0.0) {
            return Err(Error::Indefinite(format!("the preconditioner is not positive definite: c^H M c is {bad:e} for a recycled image")));
        }
        window.set_f(uc);
        window.is_taught = false;
        window.orthonormalise(gram, Some(&mut self.d));
        self.d_of = d_of;
        Ok(())
    }

    fn d(&self) -> Panel<'_, T> {
        Panel::packed(&self.d, self.r.len(), self.window.k)
    }

    /// x <- x + U D^H r, r <- r - C D^H r. Returns ||r|| before.
    async fn deflate_residual(&mut self, p: &mut Problem<'_, T>, x: &mut [T]) -> Result<f64> {
        let k = self.window.k;
        let mut b = std::mem::take(&mut self.b);
        if k > 0 {
            p.space.local(self.d(), &self.r, &mut b);
        }
        p.space.local(Panel::column(&self.r), &self.r, &mut b[k..]);
        let done = p.space.sum(&mut b[..k + 1]).await;
        self.b = b;
        done?;
        for (by, panel, to) in [(1.0, self.window.u(), x), (-1.0, self.window.au(), &mut self.r[..])] {
            scaled(&self.b[..k], by, &mut self.coefficients);
            kernels::add(p.space.pool(), panel, &self.coefficients[..k], to);
        }
        p.is_verified &= k == 0;
        Ok(self.b[k].real_part().sqrt())
    }

    /// What the update has along U, taken off x.
    fn update_along_u(&mut self, p: &Problem<T>, x: &mut [T]) {
        let k = self.window.k;
        scaled(&self.xi[..k], -1.0, &mut self.coefficients);
        kernels::add(p.space.pool(), self.window.u(), &self.coefficients[..k], x);
        self.xi.fill(<T::Wide as Scalar>::ZERO);
    }

    /// The staged direction z joins the window; `gamma` couples it to the last one.
    fn collect(&mut self, gamma: f64, delta: f64, gamma_new: f64) {
        let (window, zero, real) = (&mut self.window, <T::Wide as Scalar>::ZERO, <T::Wide as Scalar>::from_f64);
        let (k, j) = (window.k, window.order());
        for i in 0..j {
            let along_c = (0..k).fold(zero, |sum, l| sum + window.q(l, i).conj() * self.b[l]);
            self.q_column[i] = along_c + window.rows[0][i].scale(gamma) + window.rows[1][i].scale(delta);
        }
        let b_square: f64 = self.b[..k].iter().map(|b| b.norm_sqr()).sum();
        self.q_column[j] = real(b_square + gamma * gamma + delta * delta + gamma_new * gamma_new);
        self.f_column[..j].copy_from_slice(&window.rows[1][..j]);
        self.f_column[j] = real(delta);
        window.push(&self.q_column, &self.f_column);
        window.rows.swap(0, 1);
        window.rows[0][j] = real(delta);
        window.rows[1][..j].fill(zero);
        window.rows[1][j] = real(gamma_new);
    }

    /// Iterates from the true residual in `r`; returns the verdict that ended the recurrence.
    async fn run(&mut self, p: &mut Problem<'_, T>, x: &mut [T], stagnation: &mut Stagnation) -> Result<Verdict> {
        self.xi.fill(<T::Wide as Scalar>::ZERO);
        let claim = self.recur(p, x, stagnation).await;
        self.update_along_u(p, x);
        claim
    }

    async fn recur(&mut self, p: &mut Problem<'_, T>, x: &mut [T], stagnation: &mut Stagnation) -> Result<Verdict> {
        let (pool, zero) = (p.space.pool(), <T::Wide as Scalar>::ZERO);
        let before = self.deflate_residual(p, x).await?;
        let k = self.window.k;
        for v in [&mut self.v_old, &mut self.w_old, &mut self.w] {
            v.fill(T::ZERO);
        }
        self.along_old.fill(zero);
        self.along.fill(zero);
        self.v.copy_from_slice(&self.r);
        p.precondition(&self.v, &mut self.z).await?;
        let (mut gamma, after) = self.m_norm(p, true).await?;
        let tested = p.tested_norm * after / before;
        if k > 0 {
            p.recurrence_norm = tested;
            let verdict = p.verdict(tested).await?;
            if verdict != Verdict::Continue {
                return Ok(verdict);
            }
        }
        if gamma == 0.0 {
            return Ok(Verdict::Stop(Stop::Breakdown));
        }
        self.start_window();
        let (mut gamma_old, mut coupling) = (1.0, 0.0);
        let (mut eta, mut scale) = (gamma, tested / gamma);
        let mut size = 0.0;
        let (mut c_old, mut c, mut s_old, mut s) = (1.0, 1.0, 0.0, 0.0);
        loop {
            kernels::scale(pool, 1.0 / gamma, &mut self.z);
            p.apply(&self.z, &mut self.v_new).await;
            let delta = self.project(p).await?;
            if self.collects {
                self.window.stage(&self.z, &self.v_new);
            }
            // v_new = A z - (delta / gamma) v - (gamma / gamma_old) v_old - C b
            kernels::axpy(pool, T::from_f64(-delta / gamma), &self.v, &mut self.v_new);
            kernels::axpy(pool, T::from_f64(-gamma / gamma_old), &self.v_old, &mut self.v_new);
            scaled(&self.b[..k], -1.0, &mut self.coefficients);
            kernels::add(pool, self.window.au(), &self.coefficients[..k], &mut self.v_new);
            p.precondition(&self.v_new, &mut self.z_new).await?;
            let (gamma_new, _) = self.m_norm(p, false).await?;
            if self.collects {
                self.collect(coupling, delta, gamma_new);
            }
            let alpha_0 = c * delta - c_old * s * gamma;
            let alpha_1 = alpha_0.hypot(gamma_new);
            let alpha_2 = s * delta + c_old * c * gamma;
            let alpha_3 = s_old * gamma;
            // As in MINRES: at a least-squares solution the image of the residual vanishes.
            size += delta * delta + 2.0 * gamma_new * gamma_new;
            if alpha_1 == 0.0 || alpha_0.hypot(c * gamma_new) <= vanishing::<T>() * size.sqrt() {
                return Ok(Verdict::Stop(Stop::Breakdown));
            }
            let (c_new, s_new) = (alpha_0 / alpha_1, gamma_new / alpha_1);
            // w_new = (z - alpha_3 w_old - alpha_2 w) / alpha_1, in w_old, and the same along U.
            kernels::scale(pool, -alpha_3 / alpha_1, &mut self.w_old);
            kernels::axpy(pool, T::from_f64(-alpha_2 / alpha_1), &self.w, &mut self.w_old);
            kernels::axpy(pool, T::from_f64(1.0 / alpha_1), &self.z, &mut self.w_old);
            std::mem::swap(&mut self.w_old, &mut self.w);
            for (old, (now, b)) in self.along_old.iter_mut().zip(self.along.iter().zip(&self.b[..k])) {
                *old = (*b - old.scale(alpha_3) - now.scale(alpha_2)).scale(1.0 / alpha_1);
            }
            std::mem::swap(&mut self.along_old, &mut self.along);
            kernels::axpy(pool, T::from_f64(c_new * eta), &self.w, x);
            for (xi, along) in self.xi.iter_mut().zip(&self.along[..k]) {
                *xi += along.scale(c_new * eta);
            }
            eta *= -s_new;
            match p.check(eta.abs() * scale).await? {
                Verdict::Continue => {}
                Verdict::Converged if p.wants_verification(p.recurrence_norm) => {
                    self.update_along_u(p, x);
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
            (gamma_old, gamma, coupling) = (gamma, gamma_new, gamma_new);
            (c_old, c, s_old, s) = (c, c_new, s, s_new);
        }
    }

    /// b <- D^H A z; returns delta = z^H A z, from the same reduction.
    async fn project(&mut self, p: &Problem<'_, T>) -> Result<f64> {
        let k = self.window.k;
        let mut b = std::mem::take(&mut self.b);
        if k > 0 {
            p.space.local(self.d(), &self.v_new, &mut b);
        }
        p.space.local(Panel::column(&self.z), &self.v_new, &mut b[k..]);
        let done = p.space.sum(&mut b[..k + 1]).await;
        self.b = b;
        done?;
        p.finite(self.b[k].real_part(), "A z", &self.v_new)
    }

    /// sqrt(z^H v) and ||v|| of the first pair, or sqrt(z^H v) of the new one.
    async fn m_norm(&self, p: &Problem<'_, T>, first: bool) -> Result<(f64, f64)> {
        let (z, v) = if first { (&self.z, &self.v) } else { (&self.z_new, &self.v_new) };
        let mut out = [<T::Wide as Scalar>::ZERO; 2];
        p.space.local(Panel::column(z), v, &mut out[..1]);
        if first {
            p.space.local(Panel::column(v), v, &mut out[1..]);
        }
        p.space.sum(&mut out).await?;
        let square = out[0].real_part();
        p.finite(square, "M v", z)?;
        if square < 0.0 {
            let what = format!("the preconditioner is not positive definite: v^H M v is {square:e} at iteration {}", p.counts.iterations);
            return Err(Error::Indefinite(what));
        }
        Ok((square.sqrt(), out[1].real_part().sqrt()))
    }

    /// Directions of one run belong together: the first one's, unless it was too short to teach anything.
    fn start_window(&mut self) {
        self.collects = self.window.len < self.window.k.max(1);
        if self.collects {
            self.window.len = 0;
            self.window.rows.iter_mut().for_each(|row| row.fill(<T::Wide as Scalar>::ZERO));
        }
    }
}

fn scaled<T: Scalar>(values: &[T::Wide], by: f64, out: &mut [T]) {
    out.iter_mut().zip(values).for_each(|(c, v)| *c = T::narrow(v.scale(by)));
}

impl<T: Scalar> Method<T> for Rminres<T> {
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
            let claim = self.run(p, x, &mut stagnation).await?;
            if p.is_verified && claim == Verdict::Converged {
                break Outcome::Converged;
            }
            verdict = p.settle(claim, x, &mut self.r, &mut stagnation).await?;
            if verdict == Verdict::Continue {
                p.counts.restarts += 1;
            }
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
        self.window.archive(archive)?;
        let n = self.r.len();
        archive.optional(&mut self.d_of, || Ok([0; 3]), |archive, [id, version, scaling]| {
            let mut operator = [*id, *version];
            archive.operator(&mut operator)?;
            [*id, *version] = operator;
            archive.scaling(scaling)
        })?;
        archive.scalars(&mut self.d[..self.window.k * n])?;
        Ok(())
    }
}
