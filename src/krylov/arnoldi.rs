//! The cycle that GMRES and GCRO-DR share: an orthonormal basis [C V], the search vectors
//! [U Z], and the relations of flexible GCRO (Carvalho, Gratton, Lago, Vasseur 2011, sec. 2.2)
//!
//!   A Z = C B + V_{s+1} Hbar,   A U = C D,   C^H C = I,  V^H V = I,  C^H V = 0.
//!
//! The basis may be stored in a lower precision `S` than the vectors `T`: then the relations hold
//! to that precision, and every cycle starts again from a true residual. Search vectors are kept as
//! they are: rounded, those of U, which are long where A is small, would no longer have the images C.
//!
//! Orthogonalisation is classical Gram-Schmidt, twice, in one sweep and one reduction a step: the
//! second pass over a basis vector takes its products in the same sweep as the first pass over the
//! image of that vector, one step later (delayed reorthogonalisation: Bielich, Langou, Thomas,
//! Swirydowicz, Yamazaki, Boman, "Low-synch Gram-Schmidt with delayed reorthogonalization for Krylov
//! solvers", Parallel Computing 112 (2022)). With v~ the vector before its second pass, p = W^H v~ and
//! nu = ||v~ - W p||,
//!
//!   v = (v~ - W p) / nu,   alpha v~ = W (alpha p) + (alpha nu) v,   v^H w = (v~^H w - p^H W^H w) / nu:
//!
//! what the last step called its coefficients is amended, and the search vector stays the one that
//! belongs to v~, because A z~ = w is decomposed as it is. The length of a remainder follows from
//! Pythagoras; where that cancels, a pass is made at once.

use super::problem::{Problem, Verdict};
use crate::linalg::small::Hessenberg;
use crate::linalg::{kernels, Panel};
use crate::runtime::options::Options;
use crate::runtime::{memory, Result, Scalar, Wide};

/// A remainder shorter than this share of the vector is orthogonalised again at once: it has lost so
/// many digits that the delayed pass would come too late for its own image.
const CANCELLED: f64 = 0.05;

pub struct Arnoldi<T: Scalar, S: Scalar<Wide = T::Wide>> {
    pub(super) n: usize,
    /// Basis and search vectors at most: columns of C plus Krylov steps.
    pub capacity: usize,
    /// Recycled columns in front: of C in `w`, of U in `z`.
    pub k: usize,
    /// [C V].
    pub w: Vec<S>,
    /// [U Z], if search vectors are kept.
    pub z: Vec<T>,
    keeps_search: bool,
    pub hessenberg: Hessenberg<T::Wide>,
    /// C^H A Z, `capacity` rows a column.
    pub b: Vec<T::Wide>,
    /// C^H r at the start of the cycle.
    c0: Vec<T::Wide>,
    /// The vectors v~ in terms of V, `capacity` rows a column: what is needed to go from one to the
    /// other where search vectors are not kept.
    raw: Vec<T::Wide>,
    /// The current unit vector v~, its preconditioned twin (where that is not kept in `z`) and its image.
    v: Vec<T>,
    zv: Vec<T>,
    pub(super) image: Vec<T>,
    pub(super) coefficients: Vec<T::Wide>,
    narrow: Vec<T>,
    /// The length that v~ had before it was scaled.
    alpha: f64,
    delayed: bool,
}

/// How a cycle ended.
pub enum CycleEnd {
    /// The cycle is full, or the test said something.
    Verdict(Verdict),
    /// The Krylov space is exhausted: the image lies in the basis.
    Exhausted,
}

impl<T: Scalar, S: Scalar<Wide = T::Wide>> Arnoldi<T, S> {
    /// For bases that grow by at most `width` vectors beyond `capacity`.
    pub fn new(n: usize, capacity: usize, width: usize, keeps_search: bool, options: &Options) -> Result<Self> {
        let columns = memory::product(n, capacity + width, "Krylov basis")?;
        let zero = <T::Wide as Scalar>::ZERO;
        Ok(Arnoldi {
            n,
            capacity,
            k: 0,
            w: memory::filled(columns, S::ZERO, "Krylov basis")?,
            z: memory::filled(if keeps_search { columns } else { 0 }, T::ZERO, "search vectors")?,
            keeps_search,
            hessenberg: Hessenberg::new(capacity)?,
            b: memory::filled(capacity * capacity, zero, "projections")?,
            c0: memory::filled(capacity, zero, "projections")?,
            v: memory::filled(n, T::ZERO, "Krylov vector")?,
            zv: memory::filled(if keeps_search { 0 } else { n }, T::ZERO, "Krylov vector")?,
            image: memory::filled(n, T::ZERO, "Krylov vector")?,
            raw: memory::filled(if keeps_search { 0 } else { capacity * capacity }, zero, "projections")?,
            coefficients: memory::filled(2 * capacity + 4, zero, "coefficients")?,
            narrow: memory::filled(2 * capacity + 4, T::ZERO, "coefficients")?,
            alpha: 0.0,
            delayed: options.text("orthogonalization") == "delayed",
        })
    }

    /// Krylov steps of the present cycle.
    pub fn steps(&self) -> usize {
        self.hessenberg.len
    }

    /// Runs a cycle of at most `capacity - k` steps from the residual `r`. The recycled space first
    /// takes its part of r; then come Krylov steps. `beta` is the norm of r as the recurrence sees
    /// it, and `p.tested_norm` the same residual's tested norm.
    pub async fn cycle(&mut self, p: &mut Problem<'_, T>, r: &[T], beta: f64) -> Result<CycleEnd> {
        let scale = p.tested_norm / beta;
        // What the stored precision can follow.
        let floor = beta * f64::max(T::EPSILON, 8.0 * S::EPSILON);
        let mut norm = self.project(p, r, beta).await?;
        self.hessenberg.start(norm);
        if self.k > 0 {
            let verdict = p.verdict(norm * scale).await?;
            if verdict != Verdict::Continue || norm <= floor {
                p.recurrence_norm = norm * scale;
                return Ok(CycleEnd::Verdict(verdict));
            }
        }
        kernels::scale(p.space.pool(), 1.0 / norm, &mut self.v);
        self.alpha = norm;
        self.store_basis(self.k);
        while self.k + self.steps() < self.capacity && norm > floor {
            let exhausted = self.step(p).await?;
            norm = self.hessenberg.residual_norm();
            match p.check(norm * scale).await? {
                Verdict::Continue => {}
                verdict => return Ok(CycleEnd::Verdict(verdict)),
            }
            if exhausted {
                return Ok(CycleEnd::Exhausted);
            }
        }
        Ok(CycleEnd::Verdict(Verdict::Continue))
    }

    /// v <- (I - C C^H) r; returns its norm. Repeated at each cycle, so that rounding errors along C
    /// do not stay.
    async fn project(&mut self, p: &mut Problem<'_, T>, r: &[T], beta: f64) -> Result<f64> {
        self.v.copy_from_slice(r);
        let k = self.k;
        if k == 0 {
            return Ok(beta);
        }
        let c = Panel::packed(&self.w, self.n, k);
        let c0 = &mut self.c0[..k];
        p.space.local(c, &self.v, c0);
        p.space.sum(c0).await?;
        for (coefficient, h) in self.narrow.iter_mut().zip(c0) {
            *coefficient = T::narrow(-*h);
        }
        kernels::add(p.space.pool(), c, &self.narrow[..k], &mut self.v);
        p.space.norm(&self.v).await
    }

    /// Column `j` of [C V] <- v, rounded to the stored precision; v follows the rounding.
    fn store_basis(&mut self, j: usize) {
        let column = &mut self.w[j * self.n..][..self.n];
        kernels::convert(&self.v, column);
        if S::KIND != T::KIND {
            kernels::convert(column, &mut self.v);
        }
    }

    /// One Arnoldi step. True: the image lies in the span of the basis.
    async fn step(&mut self, p: &mut Problem<'_, T>) -> Result<bool> {
        let (n, j) = (self.n, self.steps());
        let columns = self.k + j + 1;
        let zv = if self.keeps_search { &mut self.z[(self.k + j) * n..][..n] } else { &mut self.zv[..] };
        p.forward(&self.v, zv, &mut self.image).await?;
        let before = if self.delayed { self.project_pair(p, columns).await? } else { self.project_image(p, columns).await? };
        let after = self.remainder(p, columns, before).await?;
        let b = &mut self.b[j * self.capacity..][..self.k];
        b.copy_from_slice(&self.coefficients[..self.k]);
        let exhausted = after <= before * T::EPSILON.max(S::EPSILON) * 4.0;
        self.hessenberg.push(&self.coefficients[self.k..columns], if exhausted { 0.0 } else { after });
        if !exhausted {
            kernels::scaled_copy(p.space.pool(), 1.0 / after, &self.image, &mut self.v);
            self.alpha = after;
            self.store_basis(self.k + j + 1);
        }
        Ok(exhausted)
    }

    /// image <- (I - W W^H) image, `coefficients` <- W^H image. Returns the norm before.
    async fn project_image(&mut self, p: &mut Problem<'_, T>, columns: usize) -> Result<f64> {
        let basis = Panel::packed(&self.w, self.n, columns);
        let products = &mut self.coefficients[..columns + 1];
        p.space.local(basis, &self.image, products);
        p.space.local(Panel::column(&self.image), &self.image, &mut products[columns..]);
        p.space.sum(products).await?;
        let before = length(products[columns]);
        p.finite(before, "A x", &self.image)?;
        negated(&products[..columns], &mut self.narrow);
        kernels::add(p.space.pool(), basis, &self.narrow[..columns], &mut self.image);
        Ok(before)
    }

    /// As `project_image`, and the second pass over the last basis vector, in one sweep for the products
    /// and one for the differences.
    async fn project_pair(&mut self, p: &mut Problem<'_, T>, columns: usize) -> Result<f64> {
        let (n, last) = (self.n, columns - 1);
        let basis = Panel::packed(&self.w, n, columns);
        let products = &mut self.coefficients[..2 * columns + 1];
        p.space.local_pair(basis, [&self.v, &self.image], products);
        p.space.sum(products).await?;
        let before = length(products[2 * columns]);
        p.finite(before, "A x", &self.image)?;
        let (of_v, of_image) = products.split_at_mut(columns);
        let taken: f64 = of_v[..last].iter().map(|c| c.norm_sqr()).sum();
        let nu = (of_v[last].real_part() - taken).max(0.0).sqrt();
        let crossed = of_v[..last].iter().zip(&*of_image).fold(of_image[last], |sum, (p, w)| sum - p.conj() * *w);
        of_image[last] = crossed.scale(1.0 / nu);
        // v <- v~ - W p; image <- image - W (q - p h / nu) - v~ h / nu, where h = v^H image.
        let h = of_image[last].scale(1.0 / nu);
        let (first, second) = self.narrow.split_at_mut(columns);
        negated(&of_v[..last], first);
        first[last] = T::ZERO;
        for ((c, p), q) in second.iter_mut().zip(&of_v[..last]).zip(&*of_image) {
            *c = T::narrow(*p * h - *q);
        }
        second[last] = T::narrow(-h);
        kernels::add_pair(p.space.pool(), basis, [first, &second[..columns]], [&mut self.v, &mut self.image]);
        kernels::scaled_copy(p.space.pool(), 1.0 / nu, &self.v, &mut self.w[last * n..][..n]);
        self.amend(last, nu);
        self.coefficients.copy_within(columns..2 * columns, 0);
        Ok(before)
    }

    /// Takes the second pass over column `last`, whose products stand in `coefficients`, into the
    /// relations of the step that made it.
    fn amend(&mut self, last: usize, nu: f64) {
        let (k, j) = (self.k, self.steps());
        if !self.keeps_search {
            let raw = &mut self.raw[j * self.capacity..][..j + 1];
            raw[..j].copy_from_slice(&self.coefficients[k..last]);
            raw[j] = <T::Wide as Scalar>::from_f64(nu);
        }
        let alpha = self.alpha;
        self.coefficients[..last].iter_mut().for_each(|c| *c = c.scale(alpha));
        let (of_c, of_v) = self.coefficients[..last].split_at(k);
        if j == 0 {
            self.c0[..k].iter_mut().zip(of_c).for_each(|(c, more)| *c += *more);
            self.hessenberg.start(alpha * nu);
        } else {
            self.b[(j - 1) * self.capacity..][..k].iter_mut().zip(of_c).for_each(|(b, more)| *b += *more);
            self.hessenberg.amend(of_v, alpha * nu);
        }
    }

    /// The norm of the image less its projection: by Pythagoras, or after one more pass, whose
    /// coefficients are added.
    async fn remainder(&mut self, p: &mut Problem<'_, T>, columns: usize, before: f64) -> Result<f64> {
        let taken: f64 = self.coefficients[..columns].iter().map(|c| c.norm_sqr()).sum();
        let square = before * before - taken;
        if square >= CANCELLED * CANCELLED * before * before {
            return Ok(square.sqrt());
        }
        p.counts.reorthogonalizations += 1;
        let basis = Panel::packed(&self.w, self.n, columns);
        let (first, second) = self.coefficients.split_at_mut(columns);
        let second = &mut second[..columns + 1];
        p.space.local(basis, &self.image, second);
        p.space.local(Panel::column(&self.image), &self.image, &mut second[columns..]);
        p.space.sum(second).await?;
        negated(&second[..columns], &mut self.narrow);
        kernels::add(p.space.pool(), basis, &self.narrow[..columns], &mut self.image);
        first.iter_mut().zip(&*second).for_each(|(h, c)| *h += *c);
        let (remaining, taken) = (length(second[columns]).powi(2), second[..columns].iter().map(|c| c.norm_sqr()).sum::<f64>());
        if remaining - taken < 0.5 * remaining {
            // Rounding noise, or nearly: measure it.
            return p.space.norm(&self.image).await;
        }
        Ok((remaining - taken).sqrt())
    }

    /// The coefficients of the present cycle: first those of U, `D^-1 (C^H r - B y)` with D from
    /// `scales`, then y.
    pub fn solution(&mut self, scales: &[f64]) -> &[T] {
        let (k, s) = (self.k, self.steps());
        let (y, rest) = self.coefficients.split_at_mut(s);
        self.hessenberg.solution(y);
        let u = &mut rest[..k];
        u.copy_from_slice(&self.c0[..k]);
        for (j, c) in y.iter().enumerate() {
            for (i, v) in u.iter_mut().enumerate() {
                *v -= self.b[j * self.capacity + i] * *c;
            }
        }
        for (i, v) in u.iter().enumerate() {
            self.narrow[i] = T::narrow(v.scale(1.0 / scales[i]));
        }
        for (j, v) in y.iter().enumerate() {
            self.narrow[k + j] = T::narrow(*v);
        }
        &self.narrow[..k + s]
    }

    /// x <- x + [U Z] y for the coefficients of [`Arnoldi::solution`], or x + M (V y) where search
    /// vectors are not kept.
    pub async fn update(&mut self, p: &mut Problem<'_, T>, scales: &[f64], x: &mut [T]) -> Result<()> {
        let count = self.solution(scales).len();
        if count == 0 {
            return Ok(());
        }
        if self.keeps_search {
            let search = Panel::packed(&self.z, self.n, count);
            kernels::add(p.space.pool(), search, &self.narrow[..count], x);
            return Ok(());
        }
        // V~ y = V (R y), R the columns of `raw`.
        let y = &mut self.coefficients[..count];
        if self.delayed {
            for i in 0..count {
                y[i] = (i..count).fold(<T::Wide as Scalar>::ZERO, |sum, j| sum + self.raw[j * self.capacity + i] * y[j]);
            }
        }
        y.iter().zip(&mut self.narrow).for_each(|(y, narrow)| *narrow = T::narrow(*y));
        let basis = Panel::packed(&self.w, self.n, count);
        self.v.fill(T::ZERO);
        kernels::add(p.space.pool(), basis, &self.narrow[..count], &mut self.v);
        p.search_direction(&self.v, &mut self.zv).await?;
        kernels::axpy(p.space.pool(), T::ONE, &self.zv, x);
        Ok(())
    }
}

/// The square root of a product x^H x.
fn length<W: Wide>(square: W) -> f64 {
    if square.finite() { square.real_part().max(0.0).sqrt() } else { f64::NAN }
}

fn negated<T: Scalar>(coefficients: &[T::Wide], out: &mut [T]) {
    out.iter_mut().zip(coefficients).for_each(|(c, h)| *c = T::narrow(-*h));
}
