//! eigCG and init-CG: conjugate gradients that find the lowest eigenvectors on the way, and take them off the
//! first residual of later systems, for one Hermitian positive definite A with many right-hand sides and a
//! Hermitian positive definite M.
//!
//! Stathopoulos, Orginos, "Computing and deflating eigenvalues while solving multiple right-hand side linear
//! systems with an application to quantum chromodynamics", SIAM J. Sci. Comput. 32 (2010): eigCG, its
//! incremental form, and init-CG with restarts. Two reductions an iteration.
//!
//! | paper            | here                                                            |
//! |------------------|-----------------------------------------------------------------|
//! | V, m             | `v`, `length`: the window of Lanczos vectors, V^H M^-1 V = I     |
//! | T = V^H A V      | `t`                                                              |
//! | nev              | `wanted`, half of `keep`                                         |
//! | Y, Ybar, Q       | `y`: eigenvectors of T and of T without its last row and column  |
//! | U, H = U^H A U   | `u` with `au = A U`; H = I                                       |
//!
//! The Lanczos vectors are z / sqrt(r^H z), and T follows from alpha and beta: nothing is added to an iteration
//! but the copy of z. When the window is full it is restarted with the Ritz vectors of T and those of one step
//! earlier, which keeps the convergence of an unrestarted Lanczos method. At the end of a solve of at least `keep`
//! iterations the `wanted` lowest vectors join U, until `keep` are held. From then on nothing is collected, and U
//! is taken off the residual again each time it has fallen by `FALL`: CG restarts there.
//!
//! Differs from the paper: the coupling of the next vector with a restarted window comes from the
//! coefficients, without a product; T is not made diagonal; images of new vectors are formed when the next
//! system wants them, and kept, so that r is projected without an apply; then one Rayleigh-Ritz step for
//! M A in the product of A orders all of U, less what is dependent. Solves that collect are not restarted: a
//! restart would spoil the Lanczos vectors. Where A has changed, A U is renewed, and U stays as it is.

use super::cg::{not_definite, products};
use super::gcrodr::Probe;
use super::options::Norm;
use super::problem::{Identity, Problem, Verdict};
use super::rcg::{finite_images, refused};
use super::stagnation::Stagnation;
use super::window::{congruence, narrow};
use super::{Method, Outcome};
use crate::linalg::small::{self, Pencil};
use crate::linalg::{kernels, Panel, PanelMut};
use crate::runtime::options::Options;
use crate::runtime::{memory, Archive, Error, Result, Scalar, Stop};

/// A column of U that keeps less than this share of its squared length in the product of A beside the others
/// is dropped.
const DEPENDENT: f64 = 1e-10;

/// The same for the two sets of Ritz vectors that a window is restarted with, not squared.
const NEGLIGIBLE: f64 = 1e-8;

/// Where the residual has fallen to this share since U was last taken off it, what rounding and the errors of
/// U have left along U may hold the rest up.
const FALL: f64 = 1e-3;

pub struct EigCg<T: Scalar> {
    keep: usize,
    wanted: usize,
    r: Vec<T>,
    z: Vec<T>,
    p: Vec<T>,
    q: Vec<T>,
    u: Vec<T>,
    au: Vec<T>,
    /// Columns of U, and how many of them in front have images; with images, U^H A U = I.
    k: usize,
    imaged: usize,
    /// Whether a Rayleigh-Ritz step has seen all of U.
    is_sorted: bool,
    /// Names the operator that the images belong to.
    image_of: Option<Identity>,
    probe: Probe,
    /// Between solves its arrays serve U.
    window: Lanczos<T>,
    /// U^H r or a Gram matrix, and what a reduction sums beside it.
    products: Vec<T::Wide>,
    left: Vec<f64>,
}

/// The window of Lanczos vectors of the running solve.
struct Lanczos<T: Scalar> {
    n: usize,
    length: usize,
    keep: usize,
    wanted: usize,
    len: usize,
    /// Lanczos vectors of this run, those that restarts have merged included.
    seen: usize,
    v: Vec<T>,
    t: Vec<T::Wide>,
    /// The newest Lanczos vector in terms of V, and what couples the next one to it.
    last: Vec<T::Wide>,
    off: f64,
    /// The identity.
    unit: Vec<T::Wide>,
    pencil: Pencil<T::Wide>,
    y: Vec<T::Wide>,
    work: Vec<T::Wide>,
    triangle: Vec<T::Wide>,
    kept: Vec<usize>,
    coefficients: Vec<T>,
    tile: Vec<T>,
}

impl<T: Scalar> Lanczos<T> {
    fn new(n: usize, length: usize, keep: usize, wanted: usize) -> Result<Self> {
        let square = memory::product(length, length, "projected problem")?;
        let small = |len| memory::filled(len, <T::Wide as Scalar>::ZERO, "projected problem");
        let mut unit = small(square)?;
        unit.iter_mut().step_by(length + 1).for_each(|v| *v = <T::Wide as Scalar>::ONE);
        Ok(Lanczos {
            n,
            length,
            keep,
            wanted,
            len: 0,
            seen: 0,
            v: memory::filled(memory::product(n, length, "Lanczos vectors")?, T::ZERO, "Lanczos vectors")?,
            t: small(square)?,
            last: small(length)?,
            off: 0.0,
            unit,
            pencil: Pencil::new(length)?,
            y: small(length * keep)?,
            work: small(length * keep)?,
            triangle: small(keep * keep)?,
            kept: memory::with_capacity(keep, "projected problem")?,
            coefficients: memory::filled(length * keep, T::ZERO, "projected problem")?,
            tile: memory::filled(kernels::rotate_len(keep), T::ZERO, "projected problem")?,
        })
    }

    /// z / sqrt(rho) joins.
    fn push(&mut self, p: &Problem<T>, z: &[T], rho: f64, diagonal: f64) {
        if self.len == self.length {
            self.restart();
        }
        let (ld, j) = (self.length, self.len);
        kernels::scaled_copy(p.space.pool(), 1.0 / rho.sqrt(), z, &mut self.v[j * self.n..][..self.n]);
        for (i, last) in self.last[..j].iter_mut().enumerate() {
            self.t[j * ld + i] = last.scale(self.off);
            self.t[i * ld + j] = last.conj().scale(self.off);
            *last = <T::Wide as Scalar>::ZERO;
        }
        self.t[j * ld + j] = <T::Wide as Scalar>::from_f64(diagonal);
        self.last[j] = <T::Wide as Scalar>::ONE;
        self.len += 1;
        self.seen += 1;
    }

    /// V <- V [Y Ybar], orthonormal.
    fn restart(&mut self) {
        let (m, ld) = (self.len, self.length);
        let mut found = self.pencil.largest(&self.t, &self.unit, ld, m, self.wanted, &mut self.y);
        let more = self.pencil.largest(&self.t, &self.unit, ld, m - 1, self.keep - found, &mut self.work);
        for column in self.work[..more * (m - 1)].chunks_exact(m - 1) {
            let y = &mut self.y[found * m..][..m];
            y[..m - 1].copy_from_slice(column);
            y[m - 1] = <T::Wide as Scalar>::ZERO;
            found += 1;
        }
        small::orthonormalise(&mut self.y, m, found, NEGLIGIBLE, &mut self.triangle, &mut self.kept);
        let found = self.kept.len();
        self.len = found;
        if found == 0 {
            return;
        }
        narrow(&self.y[..m * found], &mut self.coefficients);
        kernels::rotate(&mut self.v, self.n, m, &self.coefficients, found, &mut self.tile);
        congruence(&mut self.t, ld, 0, m, &self.y, found, &mut self.work);
        for (to, y) in self.work.iter_mut().zip(self.y[..m * found].chunks_exact(m)) {
            *to = y.iter().zip(&self.last).fold(<T::Wide as Scalar>::ZERO, |sum, (y, last)| sum + y.conj() * *last);
        }
        self.last[..found].copy_from_slice(&self.work[..found]);
    }

    /// The lowest Ritz vectors, `want` at most, of length one in the product of A, to the front of V; their
    /// number.
    fn harvest(&mut self, want: usize) -> usize {
        let (m, seen) = (std::mem::take(&mut self.len), std::mem::take(&mut self.seen));
        if seen < self.keep {
            return 0;
        }
        let found = self.pencil.largest(&self.t, &self.unit, self.length, m, want.min(m), &mut self.y);
        if found > 0 {
            narrow(&self.y[..m * found], &mut self.coefficients);
            kernels::rotate(&mut self.v, self.n, m, &self.coefficients, found, &mut self.tile);
        }
        found
    }
}

impl<T: Scalar> EigCg<T> {
    pub fn new(n: usize, options: &Options) -> Result<Self> {
        let (length, keep) = (options.count("restart"), options.count("recycle"));
        if 2 * keep > length {
            return Err(Error::argument("recycle", keep, format!("be at most half of restart, {}", length / 2)));
        }
        let wanted = keep.div_ceil(2);
        let vector = || memory::filled(n, T::ZERO, "CG vectors");
        let panel = || memory::filled(memory::product(n, keep, "recycle space")?, T::ZERO, "recycle space");
        Ok(EigCg {
            keep,
            wanted,
            r: vector()?,
            z: vector()?,
            p: vector()?,
            q: vector()?,
            u: panel()?,
            au: panel()?,
            k: 0,
            imaged: 0,
            is_sorted: true,
            image_of: None,
            probe: Probe::default(),
            window: Lanczos::new(n, length, keep, wanted)?,
            products: memory::filled(keep * keep + 1, <T::Wide as Scalar>::ZERO, "recycle space")?,
            left: memory::with_capacity(keep, "recycle space")?,
        })
    }

    /// A U for the operator at hand, and U^H A U = I.
    async fn prepare(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        let identity = p.identity();
        let is_old = self.image_of != Some(identity);
        if self.imaged > 0 && is_old && !self.is_unchanged(p, identity).await? {
            self.imaged = 0;
        }
        self.image_of = Some(identity);
        let (n, from, k) = (self.r.len(), self.imaged, self.k);
        if from == k {
            return Ok(());
        }
        self.imaged = 0;
        let (span, before) = (from * n..k * n, p.counts.applies);
        p.apply_panel(Panel::packed(&self.u[span.clone()], n, k - from), PanelMut::packed(&mut self.au[span], n, k - from)).await;
        p.counts.recycle_applies += p.counts.applies - before;
        self.orthonormalise(p).await?;
        if !self.is_sorted && self.k > 0 {
            self.sort(p).await?;
        }
        self.imaged = self.k;
        Ok(())
    }

    /// U <- U P R^-1, so that U^H A U = I; dependent columns are dropped.
    async fn orthonormalise(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        let (n, k) = (self.r.len(), self.k);
        for j in 0..k {
            p.space.local(Panel::packed(&self.u, n, k), &self.au[j * n..][..n], &mut self.products[j * k..][..k]);
        }
        p.space.sum(&mut self.products[..k * k]).await?;
        finite_images(p, Panel::packed(&self.au, n, k), &self.products[..k * k])?;
        if let Some(bad) = (0..k).map(|j| self.products[j * k + j].real_part()).find(|square| *square <= 0.0) {
            return Err(Error::Indefinite(format!("the operator is not positive definite: u^H A u is {bad:e} for a recycled vector")));
        }
        let Lanczos { y, triangle, kept, work, .. } = &mut self.window;
        small::pivoted_cholesky(&mut self.products[..k * k], k, DEPENDENT, kept, &mut self.left, triangle);
        let rank = kept.len();
        small::pivoted_inverse(triangle, k, kept, work, y);
        self.rotate(rank);
        Ok(())
    }

    /// A Rayleigh-Ritz step for M A in the product of A: (A U)^H M A U y = theta y, the smallest theta first. A use
    /// of M a vector.
    async fn sort(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        let (n, k, ld) = (self.r.len(), self.k, self.window.length);
        for j in 0..k {
            p.precondition(&self.au[j * n..][..n], &mut self.z).await?;
            p.space.local(Panel::packed(&self.au, n, k), &self.z, &mut self.products[j * k..][..k]);
        }
        p.space.sum(&mut self.products[..k * k]).await?;
        if let Some(bad) = (0..k).map(|j| self.products[j * k + j].real_part()).find(|square| *square <= 0.0) {
            return Err(Error::Indefinite(format!("the preconditioner is not positive definite: c^H M c is {bad:e} for a recycled image")));
        }
        let Lanczos { t, unit, pencil, y, .. } = &mut self.window;
        for (j, column) in self.products[..k * k].chunks_exact(k).enumerate() {
            t[j * ld..][..k].copy_from_slice(column);
        }
        let found = pencil.largest(t, unit, ld, k, k, y);
        // y^H y = mu; U^H A U shall stay the identity.
        for (y, mu) in y.chunks_exact_mut(k).zip(&pencil.mu) {
            y.iter_mut().for_each(|v| *v = v.scale(1.0 / mu.sqrt()));
        }
        if found > 0 {
            self.rotate(found);
        }
        self.is_sorted = true;
        Ok(())
    }

    /// U <- U Y, A U with it, for the `found` columns in the window's `y`.
    fn rotate(&mut self, found: usize) {
        let (n, k) = (self.r.len(), self.k);
        let Lanczos { y, coefficients, tile, .. } = &mut self.window;
        self.k = found;
        if found == 0 {
            return;
        }
        narrow(&y[..k * found], coefficients);
        for panel in [&mut self.u, &mut self.au] {
            kernels::rotate(panel, n, k, coefficients, found, tile);
        }
    }

    /// Whether A is what the images belong to although it was announced as changed, to half of the digits: one
    /// apply to a sum of columns of U, one reduction.
    async fn is_unchanged(&mut self, p: &mut Problem<'_, T>, identity: Identity) -> Result<bool> {
        if !p.settings.probe || !self.image_of.is_some_and(|old| Probe::may_be(old, identity)) || self.probe.rests() {
            return Ok(false);
        }
        let (n, k) = (self.r.len(), self.imaged);
        let y = &mut self.window.coefficients[..k];
        Probe::sum(y);
        self.p.fill(T::ZERO);
        kernels::add(p.space.pool(), Panel::packed(&self.u, n, k), y, &mut self.p);
        p.apply(&self.p, &mut self.q).await;
        p.counts.recycle_applies += 1;
        let out = &mut self.products[..2];
        p.space.local(Panel::column(&self.q), &self.q, &mut out[..1]);
        y.iter_mut().for_each(|y| *y = -*y);
        kernels::add(p.space.pool(), Panel::packed(&self.au, n, k), y, &mut self.q);
        p.space.local(Panel::column(&self.q), &self.q, &mut out[1..]);
        p.space.sum(out).await?;
        Ok(self.probe.learn(out[1].real_part().sqrt() <= 0.1 * T::EPSILON.sqrt() * out[0].real_part().sqrt()))
    }

    /// x <- x + U U^H r, r <- r - A U U^H r. Returns ||r|| before.
    async fn deflate_residual(&mut self, p: &mut Problem<'_, T>, x: &mut [T]) -> Result<f64> {
        let (n, k) = (self.r.len(), self.k);
        let out = &mut self.products[..k + 1];
        if k > 0 {
            p.space.local(Panel::packed(&self.u, n, k), &self.r, out);
        }
        p.space.local(Panel::column(&self.r), &self.r, &mut out[k..]);
        p.space.sum(out).await?;
        let c = &mut self.window.coefficients[..k];
        narrow(&out[..k], c);
        kernels::add(p.space.pool(), Panel::packed(&self.u, n, k), c, x);
        c.iter_mut().for_each(|c| *c = -*c);
        kernels::add(p.space.pool(), Panel::packed(&self.au, n, k), c, &mut self.r);
        p.is_verified &= k == 0;
        Ok(self.products[k].real_part().sqrt())
    }

    /// Iterates from the true residual in `r` until a verdict.
    async fn run(&mut self, p: &mut Problem<'_, T>, x: &mut [T]) -> Result<Verdict> {
        let pool = p.space.pool();
        let scale = p.tested_norm / self.deflate_residual(p, x).await?;
        p.precondition(&self.r, &mut self.z).await?;
        let (mut rho, mut rr, zz) = products(p, &self.r, &self.z).await?;
        p.finite(rho, "M r", &self.z)?;
        let tested = |rr: f64, zz: f64, p: &Problem<T>| if p.settings.norm == Norm::Preconditioned { zz.sqrt() } else { rr.sqrt() * scale };
        if self.k > 0 {
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
        let collects = self.begins_window();
        self.p.copy_from_slice(&self.z);
        let (mut carried, mut since) = (0.0, tested(rr, zz, p));
        loop {
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
            if collects {
                self.window.push(p, &self.z, rho, 1.0 / alpha + carried);
            }
            kernels::axpy(pool, T::from_f64(alpha), &self.p, x);
            kernels::axpy(pool, T::from_f64(-alpha), &self.q, &mut self.r);
            p.precondition(&self.r, &mut self.z).await?;
            let (next, square, zz) = products(p, &self.r, &self.z).await?;
            p.finite(next, "M r", &self.z)?;
            rr = square;
            let norm = tested(rr, zz, p);
            let claim = p.check(norm).await?;
            p.keep_best(x, norm);
            let beta = next / rho;
            if collects {
                // What couples z / sqrt(next) to the vector before, and what A p_{j-1} adds to the diagonal.
                self.window.off = -beta.max(0.0).sqrt() / alpha;
                carried = beta / alpha;
            }
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
            rho = next;
            if self.k > 0 && !collects && norm < FALL * since {
                // init-CG starts again.
                self.deflate_residual(p, x).await?;
                p.precondition(&self.r, &mut self.z).await?;
                (rho, rr, _) = products(p, &self.r, &self.z).await?;
                p.counts.restarts += 1;
                if rho <= 0.0 {
                    return refused(not_definite("the preconditioner is", "r^H M r", rho, rr, p.counts.iterations));
                }
                self.p.copy_from_slice(&self.z);
                since = norm;
            } else {
                kernels::xpby(pool, &self.z, T::from_f64(beta), &mut self.p);
            }
        }
    }

    /// Lanczos vectors of one run belong together: the first one's, unless it was too short to teach anything.
    fn begins_window(&mut self) -> bool {
        let begins = self.k < self.keep && self.window.seen < self.keep;
        if begins {
            (self.window.len, self.window.seen) = (0, 0);
        }
        begins
    }
}

impl<T: Scalar> Method<T> for EigCg<T> {
    async fn solve(&mut self, p: &mut Problem<'_, T>, x: &mut [T], x_is_zero: bool) -> Result<Outcome> {
        let mut verdict = p.start(x, x_is_zero, &mut self.r).await?;
        let mut stagnation = Stagnation::new(p.tested_norm);
        (self.window.len, self.window.seen) = (0, 0);
        if verdict == Verdict::Continue {
            self.prepare(p).await?;
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
        let (n, k) = (self.r.len(), self.k);
        let found = self.window.harvest(self.wanted.min(self.keep - k));
        self.u[k * n..(k + found) * n].copy_from_slice(&self.window.v[..found * n]);
        self.k += found;
        self.is_sorted &= found == 0;
        Ok(outcome)
    }

    fn forget(&mut self) {
        (self.k, self.imaged, self.is_sorted) = (0, 0, true);
    }

    fn recycled(&self) -> usize {
        self.k
    }

    fn space(&self) -> Option<Panel<'_, T>> {
        Some(Panel::packed(&self.u, self.r.len(), self.k))
    }

    fn teach(&mut self, vectors: Panel<T>) {
        let n = self.r.len();
        self.k = vectors.ncols.min(self.keep);
        for j in 0..self.k {
            self.u[j * n..][..n].copy_from_slice(vectors.col(j));
        }
        (self.imaged, self.is_sorted) = (0, false);
    }

    fn truncate(&mut self, count: usize) {
        self.k = self.k.min(count);
        self.imaged = self.imaged.min(count);
    }

    fn archive(&mut self, archive: &mut Archive) -> Result<()> {
        let n = self.r.len();
        archive.count_up_to(&mut self.k, self.keep)?;
        archive.count_up_to(&mut self.imaged, self.k)?;
        archive.flag(&mut self.is_sorted)?;
        archive.identity(&mut self.image_of)?;
        archive.scalars(&mut self.u[..self.k * n])?;
        archive.scalars(&mut self.au[..self.imaged * n])?;
        self.probe.archive(archive)
    }
}
