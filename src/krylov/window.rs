//! What RCG and RMINRES remember: k approximate eigenvectors U with their images A U, and a window Y of
//! directions of the running solve, with A Y, from which better ones are extracted.
//!
//! The extraction is a Hermitian pencil F y = mu Q y on span[U Y], whose eigenvectors of largest |mu| are
//! kept; the methods know Q and F from the coefficients of their recurrences, without an inner product.
//! When the window is full it shrinks to what the wanted eigenvectors need of it and fills again, so the
//! whole solve is seen with a bounded number of vectors: thick restarting, after Wu, Simon, "Thick-restart
//! Lanczos method for large symmetric eigenvalue problems", SIAM J. Matrix Anal. Appl. 22 (2000), and, inside
//! of CG, Stathopoulos, Orginos, "Computing and deflating eigenvalues while solving multiple right-hand side
//! linear systems with an application to quantum chromodynamics", SIAM J. Sci. Comput. 32 (2010).
//!
//! Differs from the latter: images are kept beside the vectors, so that they are known at the end without
//! products, and the pencil holds the old U, which the iteration does not see.

use super::problem::{Identity, Problem};
use crate::linalg::small::{self, Pencil};
use crate::linalg::{kernels, Panel, PanelMut};
use crate::runtime::options::Options;
use crate::runtime::{memory, Archive, Error, Result, Scalar, Wide};

/// A column of U that keeps less than this share of its length beside the others (squared) is dropped.
const DEPENDENT: f64 = 1e-12;

/// The same for what eigenvectors need of the window.
const NEGLIGIBLE: f64 = 1e-8;

pub struct Window<T: Scalar> {
    n: usize,
    keep: usize,
    length: usize,
    /// Columns of U.
    pub k: usize,
    /// Columns of Y.
    pub len: usize,
    /// [U Y] and A [U Y].
    w: Vec<T>,
    aw: Vec<T>,
    /// The pencil on [U Y], with leading dimension keep + length; Q is the identity on U.
    q: Vec<T::Wide>,
    f: Vec<T::Wide>,
    /// Products of [U Y] (on the left) with up to two vectors that the recurrence goes on from; they follow
    /// the window when it shrinks.
    pub rows: [Vec<T::Wide>; 2],
    /// Names the operator that A U belongs to; `None` when it must be renewed.
    image_of: Option<Identity>,
    /// Whether Q really is the identity on U.
    pub is_orthonormal: bool,
    /// Whether U came from outside, and F on it is still to be found.
    pub is_taught: bool,
    pencil: Pencil<T::Wide>,
    y: Vec<T::Wide>,
    product: Vec<T::Wide>,
    triangle: Vec<T::Wide>,
    kept: Vec<usize>,
    left: Vec<f64>,
    coefficients: Vec<T>,
    tile: Vec<T>,
}

impl<T: Scalar> Window<T> {
    pub fn new(n: usize, options: &Options) -> Result<Self> {
        let (length, keep) = (options.count("restart"), options.count("recycle"));
        if 2 * keep > length {
            return Err(Error::argument("recycle", keep, format!("be at most half of restart, {}", length / 2)));
        }
        let order = keep + length;
        let columns = memory::product(n, order, "recycle space")?;
        let zero = <T::Wide as Scalar>::ZERO;
        let small = |columns| memory::filled(order * columns, zero, "projected problem");
        Ok(Window {
            n,
            keep,
            length,
            k: 0,
            len: 0,
            w: memory::filled(columns, T::ZERO, "recycle space")?,
            aw: memory::filled(columns, T::ZERO, "recycle space")?,
            q: small(order)?,
            f: small(order)?,
            rows: [small(1)?, small(1)?],
            image_of: None,
            is_orthonormal: false,
            is_taught: false,
            pencil: Pencil::new(order)?,
            y: small(keep)?,
            product: small(order)?,
            triangle: small(order)?,
            kept: memory::with_capacity(order, "projected problem")?,
            left: memory::with_capacity(order, "projected problem")?,
            coefficients: memory::filled(order * keep, T::ZERO, "projected problem")?,
            tile: memory::filled(kernels::rotate_len(keep), T::ZERO, "projected problem")?,
        })
    }

    pub fn forget(&mut self) {
        (self.k, self.len, self.image_of) = (0, 0, None);
    }

    fn ld(&self) -> usize {
        self.keep + self.length
    }

    /// Columns of [U Y].
    pub fn order(&self) -> usize {
        self.k + self.len
    }

    pub fn u(&self) -> Panel<'_, T> {
        Panel::packed(&self.w, self.n, self.k)
    }

    pub fn au(&self) -> Panel<'_, T> {
        Panel::packed(&self.aw, self.n, self.k)
    }

    pub fn q(&self, i: usize, j: usize) -> T::Wide {
        self.q[j * self.ld() + i]
    }

    pub fn f(&self, i: usize, j: usize) -> T::Wide {
        self.f[j * self.ld() + i]
    }

    /// A U for the present operator: one block apply of k columns if it is not the last one.
    pub async fn renew(&mut self, p: &mut Problem<'_, T>) {
        let identity = p.identity();
        if self.k > 0 && self.image_of != Some(identity) {
            let (before, n, k) = (p.counts.applies, self.n, self.k);
            p.apply_panel(Panel::packed(&self.w, n, k), PanelMut::packed(&mut self.aw, n, k)).await;
            p.counts.recycle_applies += p.counts.applies - before;
            self.image_of = Some(identity);
            self.is_orthonormal = false;
        }
    }

    /// Vectors in the place of U; what F is on them is not known yet.
    pub fn teach(&mut self, vectors: Panel<T>) {
        self.k = vectors.ncols.min(self.keep);
        for j in 0..self.k {
            self.w[j * self.n..][..self.n].copy_from_slice(vectors.col(j));
        }
        self.len = 0;
        self.image_of = None;
        self.is_orthonormal = false;
        self.is_taught = true;
    }

    pub fn truncate(&mut self, count: usize) {
        self.k = self.k.min(count);
    }

    pub fn archive(&mut self, archive: &mut Archive) -> Result<()> {
        archive.count_up_to(&mut self.k, self.keep)?;
        archive.identity(&mut self.image_of)?;
        archive.flag(&mut self.is_orthonormal)?;
        archive.flag(&mut self.is_taught)?;
        let (n, k, ld) = (self.n, self.k, self.ld());
        archive.scalars(&mut self.w[..k * n])?;
        archive.scalars(&mut self.aw[..k * n])?;
        for j in 0..k {
            archive.scalars(&mut self.q[j * ld..][..k])?;
            archive.scalars(&mut self.f[j * ld..][..k])?;
        }
        Ok(())
    }

    /// After a failure A U is not to be trusted.
    pub fn distrust(&mut self) {
        self.image_of = None;
    }

    /// Local products of the columns of `x` with those of `y`, k by k, into `out`.
    pub fn local_gram(&self, p: &Problem<T>, x: Panel<T>, y: Panel<T>, out: &mut [T::Wide]) {
        for j in 0..self.k {
            p.space.local(x, y.col(j), &mut out[j * self.k..][..self.k]);
        }
    }

    /// U <- U P R^-1 with A U and `also`, where `gram`, k by k, has the Cholesky factorisation
    /// P^T G P = R^H R; F follows. Dependent columns are dropped.
    pub fn orthonormalise(&mut self, gram: &mut [T::Wide], also: Option<&mut [T]>) {
        let (n, k, ld) = (self.n, self.k, self.ld());
        small::pivoted_cholesky(gram, k, DEPENDENT, &mut self.kept, &mut self.left, &mut self.triangle);
        let rank = self.kept.len();
        // y <- P R^-1
        small::pivoted_inverse(&self.triangle, k, &self.kept, &mut self.product, &mut self.y);
        self.is_orthonormal = true;
        self.k = rank;
        if rank == 0 {
            return;
        }
        narrow(&self.y[..k * rank], &mut self.coefficients);
        for x in [Some(&mut self.w[..]), Some(&mut self.aw[..]), also].into_iter().flatten() {
            kernels::rotate(x, n, k, &self.coefficients, rank, &mut self.tile);
        }
        congruence(&mut self.f, ld, 0, k, &self.y, rank, &mut self.product);
        self.identity();
    }

    /// Q is the identity on U.
    fn identity(&mut self) {
        let ld = self.ld();
        for j in 0..self.k {
            self.q[j * ld..][..self.k].fill(<T::Wide as Scalar>::ZERO);
            self.q[j * ld + j] = <T::Wide as Scalar>::ONE;
        }
    }

    /// F on U, k by k.
    pub fn set_f(&mut self, f: &[T::Wide]) {
        let ld = self.ld();
        for (j, column) in f.chunks_exact(self.k).enumerate() {
            self.f[j * ld..][..self.k].copy_from_slice(column);
        }
    }

    /// A direction and its image move in, into the place that `push` then takes. A full window shrinks first.
    pub fn stage(&mut self, y: &[T], ay: &[T]) {
        if self.len == self.length {
            self.shrink();
        }
        let at = self.order() * self.n..(self.order() + 1) * self.n;
        self.w[at.clone()].copy_from_slice(y);
        self.aw[at].copy_from_slice(ay);
    }

    /// The staged direction joins the pencil: its products with [U Y], itself last.
    pub fn push(&mut self, q: &[T::Wide], f: &[T::Wide]) {
        let (ld, j) = (self.ld(), self.order());
        for (to, from) in [(&mut self.q, q), (&mut self.f, f)] {
            for (i, v) in from[..j].iter().enumerate() {
                to[j * ld + i] = *v;
                to[i * ld + j] = v.conj();
            }
            to[j * ld + j] = <T::Wide as Scalar>::from_f64(from[j].real_part());
        }
        self.len += 1;
    }

    /// Thick restart: Y <- Y C, where [U Y C] holds the wanted eigenvectors of [U Y].
    fn shrink(&mut self) {
        let (n, k, len, order, ld) = (self.n, self.k, self.len, self.order(), self.ld());
        let found = self.pencil.largest(&self.q, &self.f, ld, order, self.keep, &mut self.y);
        // Columns are made independent in coordinates of unit length.
        let length = |q: &[T::Wide], i: usize| q[(k + i) * (ld + 1)].real_part().sqrt();
        for j in 0..found {
            for i in 0..len {
                self.y[j * len + i] = self.y[j * order + k + i].scale(length(&self.q, i));
            }
        }
        small::orthonormalise(&mut self.y, len, found, NEGLIGIBLE, &mut self.triangle, &mut self.kept);
        let found = self.kept.len();
        for column in self.y[..found * len].chunks_exact_mut(len) {
            column.iter_mut().enumerate().for_each(|(i, v)| *v = v.scale(1.0 / length(&self.q, i)));
        }
        self.len = found;
        if found == 0 {
            return;
        }
        narrow(&self.y[..found * len], &mut self.coefficients);
        for x in [&mut self.w, &mut self.aw] {
            kernels::rotate(&mut x[k * n..], n, len, &self.coefficients, found, &mut self.tile);
        }
        for m in [&mut self.q, &mut self.f] {
            congruence(m, ld, k, len, &self.y, found, &mut self.product);
        }
        for row in &mut self.rows {
            self.product[..len].copy_from_slice(&row[k..order]);
            for (v, c) in row[k..].iter_mut().zip(self.y[..found * len].chunks_exact(len)) {
                *v = c.iter().zip(&self.product).fold(<T::Wide as Scalar>::ZERO, |sum, (c, v)| sum + c.conj() * *v);
            }
        }
    }

    /// U <- the wanted eigenvectors of [U Y], A U with them; the window is empty then. The images are
    /// those of the problem's operator. False: U is what it was.
    pub async fn harvest(&mut self, p: &mut Problem<'_, T>) -> Result<bool> {
        let (n, k, order, ld) = (self.n, self.k, self.order(), self.ld());
        if std::mem::take(&mut self.len) == 0 {
            return Ok(false);
        }
        let found = self.pencil.largest(&self.q, &self.f, ld, order, self.keep, &mut self.y);
        if found == 0 {
            return Ok(false);
        }
        if p.settings.diagnostics {
            let diagnostics = &mut p.report.borrow_mut().diagnostics;
            let q_row = |i: usize, j: usize| (0..order).fold(<T::Wide as Scalar>::ZERO, |sum, l| sum + self.q[l * ld + i] * self.y[j * order + l]);
            diagnostics.angles_from(k, found, q_row)?;
            diagnostics.ritz.clear();
            diagnostics.ritz.extend(self.pencil.mu.iter().map(|mu| [1.0 / mu, 0.0]));
        }
        narrow(&self.y[..order * found], &mut self.coefficients);
        for x in [&mut self.w, &mut self.aw] {
            kernels::rotate(x, n, order, &self.coefficients, found, &mut self.tile);
        }
        self.k = found;
        self.identity();
        for (j, mu) in self.pencil.mu.iter().enumerate() {
            self.f[j * ld..][..found].fill(<T::Wide as Scalar>::ZERO);
            self.f[j * ld + j] = <T::Wide as Scalar>::from_f64(*mu);
        }
        self.is_orthonormal = false;
        self.image_of = Some(p.identity());
        Ok(true)
    }
}

/// The block of columns `from..from + m` of a Hermitian matrix <- C^H B C, and what stands beside it in rows
/// `..from` <- its product with C, for C `m x k`.
pub(super) fn congruence<W: Wide>(b: &mut [W], ld: usize, from: usize, m: usize, c: &[W], k: usize, work: &mut [W]) {
    let rows = from + m;
    for j in 0..k {
        let to = &mut work[j * rows..(j + 1) * rows];
        to.fill(W::ZERO);
        for (l, v) in c[j * m..(j + 1) * m].iter().enumerate() {
            to.iter_mut().zip(&b[(from + l) * ld..]).for_each(|(t, u)| *t += *u * *v);
        }
    }
    for j in 0..k {
        let bc = &work[j * rows..(j + 1) * rows];
        for i in 0..from {
            b[(from + j) * ld + i] = bc[i];
            b[i * ld + from + j] = bc[i].conj();
        }
        for (i, ci) in c[..k * m].chunks_exact(m).enumerate() {
            b[(from + j) * ld + from + i] = ci.iter().zip(&bc[from..]).fold(W::ZERO, |sum, (c, v)| sum + c.conj() * *v);
        }
    }
}

pub(super) fn narrow<W: Wide, S: Scalar<Wide = W>>(from: &[W], to: &mut [S]) {
    to.iter_mut().zip(from).for_each(|(v, u)| *v = S::narrow(*u));
}
