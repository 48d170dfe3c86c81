//! IDR(s) with biorthogonal vectors, right preconditioned, for any nonsingular A.
//!
//! van Gijzen, Sonneveld, "Algorithm 913: An elegant IDR(s) variant that efficiently exploits biorthogonality
//! properties", ACM Trans. Math. Softw. 38 (2011), figure 2; the coefficients of a step from one reduction
//! after Collignon, van Gijzen, "Minimizing synchronization in IDR(s)", Numer. Linear Algebra Appl. 18 (2011).
//! One apply and two reductions an iteration; a cycle has s + 1 of them.
//!
//! | paper         | here                                                  |
//! |---------------|-------------------------------------------------------|
//! | P, s          | `shadow`, `s`                                         |
//! | G, U          | `g = A u`, `u`                                        |
//! | M = P^H G     | `m`, lower triangular                                 |
//! | f, c          | `f` = P^H r, `c`                                      |
//! | omega, kappa  | `omega` maintains convergence: kappa is 0.7            |
//!
//! Differs from the paper: P is random but not orthonormal, drawn from the context's seed by position. Over
//! several ranks, which cannot know where their rows stand, the residual's bits on a rank go into the seed
//! of its rows: with equal numbers on two ranks P would be blind to what differs in sign between them.
//! After a breakdown the method starts again from the true residual.

use super::bicgstab::VANISHES;
use super::problem::{Problem, Verdict};
use super::stagnation::Stagnation;
use super::{Method, Outcome};
use crate::linalg::{kernels, Panel};
use crate::runtime::random::{streams, Stream};
use crate::runtime::{memory, Result, Scalar, Stop};

/// The smallest cosine between r and A M r for which omega is left to minimise the residual.
const KAPPA: f64 = 0.7;

pub struct Idr<T: Scalar> {
    s: usize,
    r: Vec<T>,
    v: Vec<T>,
    z: Vec<T>,
    shadow: Vec<T>,
    g: Vec<T>,
    u: Vec<T>,
    /// `s x s`, by columns.
    m: Vec<T::Wide>,
    f: Vec<T::Wide>,
    c: Vec<T::Wide>,
    products: Vec<T::Wide>,
    coefficients: Vec<T>,
    /// ||p_k||
    lengths: Vec<f64>,
    /// The seed that `shadow` was drawn from.
    drawn: Option<u64>,
}

impl<T: Scalar> Idr<T> {
    pub fn new(n: usize, s: usize) -> Result<Self> {
        let vector = || memory::filled(n, T::ZERO, "IDR vectors");
        let panel = || memory::filled(memory::product(n, s, "IDR vectors")?, T::ZERO, "IDR vectors");
        let small = |len| memory::filled(len, <T::Wide as Scalar>::ZERO, "coefficients");
        Ok(Idr {
            s,
            r: vector()?,
            v: vector()?,
            z: vector()?,
            shadow: panel()?,
            g: panel()?,
            u: panel()?,
            m: small(s * s)?,
            f: small(s)?,
            c: small(s)?,
            products: small(2 * s + 1)?,
            coefficients: memory::filled(s, T::ZERO, "coefficients")?,
            lengths: memory::filled(s, 0.0, "coefficients")?,
            drawn: None,
        })
    }

    /// The shadow vectors for this seed (and, over ranks, this residual).
    fn draw(&mut self, p: &Problem<T>) {
        let seed = p.space.context.seed() ^ if p.space.is_distributed() { fingerprint(&self.r) } else { 0 };
        if self.drawn == Some(seed) {
            return;
        }
        let n = self.r.len();
        let mut stream = Stream::new(seed, streams::SHADOW);
        let mut numbers = [0.0; 256];
        for j in 0..self.s {
            for (c, part) in self.shadow[j * n..][..n].chunks_mut(numbers.len() / 2).enumerate() {
                let numbers = &mut numbers[..2 * part.len()];
                stream.symmetric(((j as u64) << 40) + 256 * c as u64, numbers);
                part.iter_mut().zip(numbers.chunks_exact(2)).for_each(|(v, x)| *v = T::from_parts(x[0], x[1]));
            }
        }
        self.drawn = Some(seed);
    }

    fn panel<'a>(&self, x: &'a [T], from: usize, to: usize) -> Panel<'a, T> {
        Panel::packed(x, self.r.len(), self.s).cols(from, to)
    }

    /// f <- P^H r and ||r||^2 in one reduction; at the start the lengths of P as well.
    async fn shadow_products(&mut self, p: &Problem<'_, T>, first: bool) -> Result<f64> {
        let s = self.s;
        let mut out = std::mem::take(&mut self.products);
        let shadow = self.panel(&self.shadow, 0, s);
        p.space.local(shadow, &self.r, &mut out);
        p.space.local(Panel::column(&self.r), &self.r, &mut out[s..]);
        if first {
            for j in 0..s {
                p.space.local(shadow.cols(j, j + 1), shadow.col(j), &mut out[s + 1 + j..]);
            }
        }
        let done = p.space.sum(&mut out[..if first { 2 * s + 1 } else { s + 1 }]).await;
        self.f.copy_from_slice(&out[..s]);
        if first {
            self.lengths.iter_mut().zip(&out[s + 1..]).for_each(|(l, square)| *l = square.real_part().sqrt());
        }
        self.products = out;
        done?;
        Ok(self.products[s].real_part())
    }

    /// u_k and g_k = A u_k, biorthogonal to the first k shadow vectors; false after a breakdown.
    async fn expand(&mut self, p: &mut Problem<'_, T>, k: usize, omega: T::Wide) -> Result<bool> {
        let (n, s, pool) = (self.r.len(), self.s, p.space.pool());
        // M c = f
        for i in k..s {
            let known = (k..i).fold(self.f[i], |sum, j| sum - self.m[j * s + i] * self.c[j]);
            self.c[i] = known / self.m[i * s + i];
        }
        // v = r - G c, u_k = U c + omega M v
        self.v.copy_from_slice(&self.r);
        self.coefficients.iter_mut().zip(&self.c).for_each(|(to, c)| *to = T::narrow(-*c));
        kernels::add(pool, self.panel(&self.g, k, s), &self.coefficients[k..], &mut self.v);
        p.precondition(&self.v, &mut self.z).await?;
        self.v.fill(T::ZERO);
        kernels::axpy(pool, T::narrow(omega), &self.z, &mut self.v);
        self.coefficients.iter_mut().for_each(|c| *c = -*c);
        kernels::add(pool, self.panel(&self.u, k, s), &self.coefficients[k..], &mut self.v);
        p.apply(&self.v, &mut self.z).await;
        // phi = P^H g
        let mut phi = std::mem::take(&mut self.products);
        p.space.local(self.panel(&self.shadow, 0, s), &self.z, &mut phi);
        p.space.local(Panel::column(&self.z), &self.z, &mut phi[s..]);
        let done = p.space.sum(&mut phi[..s + 1]).await;
        self.products = phi;
        done?;
        let (phi, square) = self.products[..s + 1].split_at_mut(s);
        p.finite(square[0].real_part(), "A u", &self.z)?;
        for i in 0..k {
            let alpha = phi[i] / self.m[i * s + i];
            for j in i..s {
                phi[j] -= self.m[i * s + j] * alpha;
            }
            self.coefficients[i] = T::narrow(-alpha);
        }
        kernels::add(pool, self.panel(&self.g, 0, k), &self.coefficients[..k], &mut self.z);
        kernels::add(pool, self.panel(&self.u, 0, k), &self.coefficients[..k], &mut self.v);
        self.g[k * n..][..n].copy_from_slice(&self.z);
        self.u[k * n..][..n].copy_from_slice(&self.v);
        self.m[k * s + k..(k + 1) * s].copy_from_slice(&self.products[k..s]);
        let pivot = self.m[k * s + k].modulus();
        Ok(pivot > VANISHES * self.lengths[k] * self.products[s].real_part().sqrt())
    }

    /// z = M r, v = A z and the omega that goes with them.
    async fn next_omega(&mut self, p: &mut Problem<'_, T>, rr: f64) -> Result<T::Wide> {
        p.precondition(&self.r, &mut self.z).await?;
        p.apply(&self.z, &mut self.v).await;
        let mut out = [<T::Wide as Scalar>::ZERO; 2];
        p.space.local(Panel::column(&self.v), &self.r, &mut out[..1]);
        p.space.local(Panel::column(&self.v), &self.v, &mut out[1..]);
        p.space.sum(&mut out).await?;
        let (tr, tt) = (out[0], p.finite(out[1].real_part(), "A M r", &self.v)?);
        let omega = tr.scale(1.0 / tt);
        let cosine = tr.modulus() / (tt * rr).sqrt();
        Ok(match cosine {
            0.0 => <T::Wide as Scalar>::from_f64(KAPPA * (rr / tt).sqrt()),
            cosine if cosine < KAPPA => omega.scale(KAPPA / cosine),
            _ => omega,
        })
    }

    /// Iterates from the residual in `r` until a verdict; `None` after a breakdown.
    async fn run(&mut self, p: &mut Problem<'_, T>, x: &mut [T], scale: f64) -> Result<Option<Verdict>> {
        let (n, s, pool) = (self.r.len(), self.s, p.space.pool());
        let one = <T::Wide as Scalar>::ONE;
        self.g.fill(T::ZERO);
        self.u.fill(T::ZERO);
        self.m.fill(<T::Wide as Scalar>::ZERO);
        (0..s).for_each(|i| self.m[i * s + i] = one);
        let mut omega = one;
        let mut rr = self.shadow_products(p, true).await?;
        loop {
            for k in 0..s {
                if !self.expand(p, k, omega).await? {
                    return Ok(None);
                }
                let beta = self.f[k] / self.m[k * s + k];
                kernels::axpy(pool, T::narrow(-beta), &self.g[k * n..][..n], &mut self.r);
                kernels::axpy(pool, T::narrow(beta), &self.u[k * n..][..n], x);
                rr = p.space.dot(&self.r, &self.r).await?.real_part();
                if let Some(verdict) = judge(p, x, rr.sqrt() * scale).await? {
                    return Ok(Some(verdict));
                }
                for i in k + 1..s {
                    self.f[i] -= self.m[k * s + i] * beta;
                }
            }
            omega = self.next_omega(p, rr).await?;
            if !omega.finite() {
                return Ok(None);
            }
            kernels::axpy(pool, T::narrow(-omega), &self.v, &mut self.r);
            kernels::axpy(pool, T::narrow(omega), &self.z, x);
            rr = self.shadow_products(p, false).await?;
            if let Some(verdict) = judge(p, x, rr.sqrt() * scale).await? {
                return Ok(Some(verdict));
            }
        }
    }
}

/// An iteration is over: what ends the recurrence, if anything.
async fn judge<T: Scalar>(p: &mut Problem<'_, T>, x: &[T], norm: f64) -> Result<Option<Verdict>> {
    let verdict = p.check(norm).await?;
    p.keep_best(x, norm);
    if p.diverged(norm) {
        return Ok(Some(Verdict::Stop(Stop::Breakdown)));
    }
    Ok((verdict != Verdict::Continue).then_some(verdict))
}

/// A hash of a vector's bits.
fn fingerprint<T: Scalar>(x: &[T]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    x.iter().flat_map(|v| [v.real_part(), v.imag_part()]).fold(x.len() as u64, |hash, v| (hash ^ v.to_bits()).wrapping_mul(PRIME).rotate_left(29))
}

impl<T: Scalar> Method<T> for Idr<T> {
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
            self.draw(p);
            let (before, norm) = (p.counts.iterations, p.space.norm(&self.r).await?);
            verdict = match self.run(p, x, p.tested_norm / norm).await? {
                Some(claim) => p.settle(claim, x, &mut self.r, &mut stagnation).await?,
                None => p.start_afresh(x, &mut self.r, before, &mut fresh_starts).await?,
            };
        }
    }
}
