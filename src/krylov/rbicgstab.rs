//! RBiCGStab: BiCGStab on the part of the system that a recycled space leaves, for sequences with any
//! nonsingular A. The space is made by GCRO-DR.
//!
//! Amritkar, de Sturler, Swirydowicz, Tafti, Ahuja, "Recycling Krylov subspaces for CFD applications and a new
//! hybrid recycling solver", J. Comput. Phys. 303 (2015), the hybrid solver; projected BiCGStab as in Ahuja,
//! Benner, de Sturler, Feng, "Recycling BiCGSTAB with an application to parametric model order reduction", SIAM
//! J. Sci. Comput. 37 (2015), with C in the place of their left space. Two applies and three reductions an
//! iteration.
//!
//! | paper                | here                                                    |
//! |----------------------|---------------------------------------------------------|
//! | U, C, D              | `maker`: A U = C D, C^H C = I                           |
//! | (I - C C^H) A M p, s | `v`, `t`, from `p_hat = M p`, `s_hat = M s`             |
//! | C^H A M p, s         | `products`                                              |
//! | zeta, xi             | `xi`, what the update has along U: x <- x - U D^-1 xi   |
//!
//! GCRO-DR solves the systems for which there is no space, and BiCGStab the others, for the space they find:
//! they renew its image, not the space. It has stopped to pay when the iterations for a digit have risen by
//! more than `STALE` above the least since it was made, or when BiCGStab stagnates or breaks down: the next
//! system is then GCRO-DR's again, which starts with the old space. What it costs after that is the new
//! measure, so a system that has become harder for both calls for one new space, not for one a solve.
//!
//! Differs from the papers: right preconditioned; C^H r = 0 lets sigma, omega and the lengths of v and t follow from
//! products with A M p and A M s before they are projected, in the reduction that projects them; the part
//! along U is added to x when the residual has halved, for the best point; where GCRO-DR stagnates BiCGStab
//! goes on with what was found; breakdowns and verification as in `bicgstab`. The residual is replaced by
//! b - A x, and projected again, where it has fallen by the square root of the rounding unit since that was
//! last done: van der Vorst, Ye, "Residual replacement strategies for Krylov subspace iterative methods for the
//! convergence of true residuals", SIAM J. Sci. Comput. 22 (2000).

use super::bicgstab::VANISHES;
use super::gcrodr::Gcrodr;
use super::problem::{Problem, Verdict};
use super::stagnation::Stagnation;
use super::{Method, Outcome};
use crate::linalg::{kernels, Panel};
use crate::runtime::options::Options;
use crate::runtime::{memory, Archive, Result, Scalar, Stop, Wide};

/// More iterations a digit than this times the least, and the space is made anew.
const STALE: f64 = 1.3;

/// Where the residual fell by less than this, iterations a digit say little.
const TELLING: f64 = 100.0;

/// A squared length below this share of what it is the difference of has lost too many digits.
const CANCELLED: f64 = 1e-4;

pub struct Rbicgstab<T: Scalar> {
    /// Makes U and C and keeps them; its residual vector serves both.
    maker: Gcrodr<T, T>,
    shadow: Vec<T>,
    p: Vec<T>,
    v: Vec<T>,
    t: Vec<T>,
    p_hat: Vec<T>,
    s_hat: Vec<T>,
    /// C^H of a vector, and behind it what the same reduction sums.
    products: Vec<T::Wide>,
    xi: Vec<T::Wide>,
    coefficients: Vec<T>,
    /// The least iterations for a factor e since the space was made.
    least_cost: f64,
    is_stale: bool,
}

impl<T: Scalar> Rbicgstab<T> {
    pub fn new(n: usize, options: &Options) -> Result<Self> {
        let keep = options.count("recycle") + 1;
        let vector = || memory::filled(n, T::ZERO, "BiCGStab vectors");
        let small = |len| memory::filled(len, <T::Wide as Scalar>::ZERO, "coefficients");
        Ok(Rbicgstab {
            maker: Gcrodr::new(n, options)?,
            shadow: vector()?,
            p: vector()?,
            v: vector()?,
            t: vector()?,
            p_hat: vector()?,
            s_hat: vector()?,
            products: small(keep + 3)?,
            xi: small(keep)?,
            coefficients: memory::filled(keep, T::ZERO, "coefficients")?,
            least_cost: f64::INFINITY,
            is_stale: false,
        })
    }

    fn k(&self) -> usize {
        self.maker.arnoldi.k
    }

    /// x <- x + U D^-1 C^H r, r <- r - C C^H r. Returns ||r|| before.
    async fn project_residual(&mut self, p: &mut Problem<'_, T>, x: &mut [T]) -> Result<f64> {
        let (k, r) = (self.k(), &mut self.maker.r);
        let c = Panel::packed(&self.maker.arnoldi.w, r.len(), k);
        let products = &mut self.products[..k + 1];
        if k > 0 {
            p.space.local(c, r, products);
        }
        p.space.local(Panel::column(r), r, &mut products[k..]);
        p.space.sum(products).await?;
        take_off(p, c, products, &mut self.coefficients, r);
        for (xi, product) in self.xi.iter_mut().zip(&products[..k]) {
            *xi -= *product;
        }
        let before = products[k].real_part().sqrt();
        self.update_along_u(p, x);
        p.is_verified &= k == 0;
        Ok(before)
    }

    /// x <- x - U D^-1 xi.
    fn update_along_u(&mut self, p: &Problem<T>, x: &mut [T]) {
        let (k, n) = (self.k(), x.len());
        for ((c, xi), scale) in self.coefficients.iter_mut().zip(&mut self.xi[..k]).zip(&self.maker.scales) {
            *c = T::narrow(xi.scale(-1.0 / scale));
            *xi = <T::Wide as Scalar>::ZERO;
        }
        kernels::add(p.space.pool(), Panel::packed(&self.maker.arnoldi.z, n, k), &self.coefficients[..k], x);
    }

    /// (shadow^H r, ||r||).
    async fn shadow_product(&self, p: &Problem<'_, T>) -> Result<(T::Wide, f64)> {
        let r = &self.maker.r;
        let mut out = [<T::Wide as Scalar>::ZERO; 2];
        p.space.local(Panel::column(&self.shadow), r, &mut out[..1]);
        p.space.local(Panel::column(r), r, &mut out[1..]);
        p.space.sum(&mut out).await?;
        let rr = out[1].real_part();
        p.finite(rr, "A s", r)?;
        Ok((out[0], rr.sqrt()))
    }

    /// Iterates from the true residual until a verdict; `None` after a breakdown.
    async fn run(&mut self, p: &mut Problem<'_, T>, x: &mut [T]) -> Result<Option<Verdict>> {
        self.xi.fill(<T::Wide as Scalar>::ZERO);
        let ended = self.recur(p, x).await;
        self.update_along_u(p, x);
        ended
    }

    async fn recur(&mut self, p: &mut Problem<'_, T>, x: &mut [T]) -> Result<Option<Verdict>> {
        let (pool, zero) = (p.space.pool(), <T::Wide as Scalar>::ZERO);
        let (k, n) = (self.k(), x.len());
        let mut scale = p.tested_norm / self.project_residual(p, x).await?;
        self.shadow.copy_from_slice(&self.maker.r);
        self.p.copy_from_slice(&self.maker.r);
        let (mut rho, shadow_norm) = self.shadow_product(p).await?;
        if k > 0 {
            p.recurrence_norm = shadow_norm * scale;
            let verdict = p.verdict(p.recurrence_norm).await?;
            if verdict != Verdict::Continue {
                return Ok(Some(verdict));
            }
            p.keep_best(x, p.recurrence_norm);
        }
        let mut largest = shadow_norm;
        loop {
            p.precondition(&self.p, &mut self.p_hat).await?;
            p.apply(&self.p_hat, &mut self.v).await;
            // C^H v, sigma = shadow^H v and ||v||.
            let c = Panel::packed(&self.maker.arnoldi.w, n, k);
            let out = &mut self.products[..k + 2];
            if k > 0 {
                p.space.local(c, &self.v, out);
            }
            p.space.local(Panel::column(&self.shadow), &self.v, &mut out[k..k + 1]);
            p.space.local(Panel::column(&self.v), &self.v, &mut out[k + 1..]);
            p.space.sum(out).await?;
            let (sigma, vv) = (out[k], out[k + 1].real_part());
            p.finite(vv, "A p", &self.v)?;
            let vv = vv - square(&out[..k]);
            if sigma.modulus() <= VANISHES * shadow_norm * vv.max(0.0).sqrt() {
                return Ok(None);
            }
            let alpha = rho / sigma;
            take_off(p, c, out, &mut self.coefficients, &mut self.v);
            // s = r - alpha v, in r.
            let r = &mut self.maker.r;
            kernels::axpy(pool, T::narrow(-alpha), &self.v, r);
            p.precondition(r, &mut self.s_hat).await?;
            p.apply(&self.s_hat, &mut self.t).await;
            kernels::axpy(pool, T::narrow(alpha), &self.p_hat, x);
            add_to(&mut self.xi, alpha, &out[..k]);
            // C^H t, s^H t, ||t|| and ||s||.
            let out = &mut self.products[..k + 3];
            if k > 0 {
                p.space.local(c, &self.t, out);
            }
            p.space.local(Panel::column(r), &self.t, &mut out[k..k + 1]);
            p.space.local(Panel::column(&self.t), &self.t, &mut out[k + 1..k + 2]);
            p.space.local(Panel::column(r), r, &mut out[k + 2..]);
            p.space.sum(out).await?;
            let (ts, whole, ss) = (out[k].conj(), out[k + 1].real_part(), out[k + 2].real_part());
            p.finite(whole, "A s", &self.t)?;
            if ss == 0.0 {
                return Ok(Some(p.check(0.0).await?));
            }
            take_off(p, c, out, &mut self.coefficients, &mut self.t);
            let mut tt = whole - square(&out[..k]);
            if tt < CANCELLED * whole {
                tt = p.space.dot(&self.t, &self.t).await?.real_part();
            }
            let omega = if tt > 0.0 { ts.scale(1.0 / tt) } else { zero };
            kernels::axpy(pool, T::narrow(omega), &self.s_hat, x);
            kernels::axpy(pool, T::narrow(-omega), &self.t, r);
            add_to(&mut self.xi, omega, &out[..k]);
            let (mut next, mut norm) = self.shadow_product(p).await?;
            let verdict = p.check(norm * scale).await?;
            if norm * scale <= 0.5 * p.best_norm {
                self.update_along_u(p, x);
                p.keep_best(x, norm * scale);
            }
            if p.diverged(norm * scale) {
                return Ok(Some(Verdict::Stop(Stop::Breakdown)));
            }
            if verdict != Verdict::Continue {
                return Ok(Some(verdict));
            }
            largest = largest.max(norm);
            if norm < T::EPSILON.sqrt() * largest {
                self.update_along_u(p, x);
                p.residual(x, false, &mut self.maker.r).await?;
                p.counts.restarts += 1;
                scale = p.tested_norm / self.project_residual(p, x).await?;
                (next, norm) = self.shadow_product(p).await?;
                largest = norm;
            }
            let stalls = omega.norm_sqr() * tt <= VANISHES * VANISHES * ss;
            if stalls || next.modulus() <= VANISHES * shadow_norm * norm {
                return Ok(None);
            }
            // p = r + beta (p - omega v)
            let beta = (next / rho) * (alpha / omega);
            kernels::axpy(pool, T::narrow(-omega), &self.v, &mut self.p);
            kernels::xpby(pool, &self.maker.r, T::narrow(beta), &mut self.p);
            rho = next;
        }
    }

    /// BiCGStab from a true residual to the end.
    async fn iterate(&mut self, p: &mut Problem<'_, T>, x: &mut [T], mut verdict: Verdict) -> Result<Outcome> {
        let mut stagnation = Stagnation::new(p.tested_norm);
        let mut fresh_starts = 0;
        loop {
            match verdict {
                Verdict::Converged => return Ok(Outcome::Converged),
                Verdict::Stop(stop) => return Ok(Outcome::Stopped(stop)),
                Verdict::Continue => {}
            }
            let before = p.counts.iterations;
            verdict = match self.run(p, x).await? {
                Some(claim) => p.settle(claim, x, &mut self.maker.r, &mut stagnation).await?,
                None => p.start_afresh(x, &mut self.maker.r, before, &mut fresh_starts).await?,
            };
        }
    }

    /// Whether the space still pays, after `iterations` that brought the residual down by a factor `gain`.
    fn judge(&mut self, outcome: Outcome, iterations: usize, gain: f64) {
        if gain >= TELLING {
            let cost = iterations as f64 / gain.ln();
            self.least_cost = self.least_cost.min(cost);
            self.is_stale = cost > STALE * self.least_cost;
        }
        self.is_stale |= matches!(outcome, Outcome::Stopped(Stop::Stagnation | Stop::Breakdown));
    }
}

/// y <- y - C C^H y, C^H y at hand.
fn take_off<T: Scalar>(p: &Problem<T>, c: Panel<T>, products: &[T::Wide], coefficients: &mut [T], y: &mut [T]) {
    coefficients.iter_mut().zip(products).for_each(|(c, product)| *c = T::narrow(-*product));
    kernels::add(p.space.pool(), c, &coefficients[..c.ncols], y);
}

fn add_to<W: Wide>(sum: &mut [W], by: W, products: &[W]) {
    sum.iter_mut().zip(products).for_each(|(sum, product)| *sum += by * *product);
}

fn square<W: Wide>(x: &[W]) -> f64 {
    x.iter().map(|v| v.norm_sqr()).sum()
}

impl<T: Scalar> Method<T> for Rbicgstab<T> {
    async fn solve(&mut self, p: &mut Problem<'_, T>, x: &mut [T], x_is_zero: bool) -> Result<Outcome> {
        if self.k() == 0 || self.is_stale {
            let outcome = self.maker.solve(p, x, x_is_zero).await?;
            (self.is_stale, self.least_cost) = (false, f64::INFINITY);
            if outcome != Outcome::Stopped(Stop::Stagnation) {
                return Ok(outcome);
            }
            return self.iterate(p, x, Verdict::Continue).await;
        }
        let verdict = p.start(x, x_is_zero, &mut self.maker.r).await?;
        if verdict == Verdict::Continue {
            self.maker.renew(p).await?;
        }
        let (begun, first) = (p.counts.iterations, p.tested_norm);
        let outcome = self.iterate(p, x, verdict).await?;
        let last = if p.is_verified { p.tested_norm } else { p.recurrence_norm };
        self.judge(outcome, p.counts.iterations - begun, first / last);
        Ok(outcome)
    }

    fn forget(&mut self) {
        Method::<T>::forget(&mut self.maker);
        self.is_stale = false;
    }

    fn recycled(&self) -> usize {
        self.k()
    }

    fn space(&self) -> Option<Panel<'_, T>> {
        self.maker.space()
    }

    fn teach(&mut self, vectors: Panel<T>) {
        self.maker.teach(vectors);
        (self.is_stale, self.least_cost) = (false, f64::INFINITY);
    }

    fn truncate(&mut self, count: usize) {
        Method::<T>::truncate(&mut self.maker, count);
        self.least_cost = f64::INFINITY;
    }

    fn archive(&mut self, archive: &mut Archive) -> Result<()> {
        Method::<T>::archive(&mut self.maker, archive)?;
        archive.number(&mut self.least_cost)?;
        archive.flag(&mut self.is_stale)
    }
}
