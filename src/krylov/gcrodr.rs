//! GCRO-DR(m, k): GMRES with deflated restarting that keeps its space from system to system.
//!
//! Parks, de Sturler, Mackey, Johnson, Maiti, "Recycling Krylov subspaces for sequences of linear
//! systems", SIAM J. Sci. Comput. 28 (2006), algorithm in the appendix; flexible form after
//! Carvalho, Gratton, Lago, Vasseur, "A flexible generalized conjugate residual method with inner
//! orthogonalization and deflated restarting", SIAM J. Matrix Anal. Appl. 32 (2011).
//!
//! | paper        | here                                       |
//! |--------------|--------------------------------------------|
//! | U_k          | `arnoldi.z`, first k columns                |
//! | C_k          | `arnoldi.w`, first k columns: A U = C D     |
//! | D_k          | `scales`; ones but where U would leave the range of its precision |
//! | V, Z         | the columns behind them                    |
//! | M^-1 U       | `krylov_u`, up to rounding and the age of M |
//! | B_k, Hbar    | `arnoldi.b`, `arnoldi.hessenberg`          |
//! | Gbar         | `g` = [D B; 0 Hbar]                        |
//!
//! Differs from the paper: the harmonic Ritz problem is solved from a QR factorisation of Gbar
//! (`linalg::small::Ritz`), which does not depend on the lengths of U's columns; U is kept in solution coordinates, so it survives a change of the
//! preconditioner; A U is not renewed when the operator has not changed; every cycle starts from
//! a residual formed as b - A x.

use super::arnoldi::Arnoldi;
use super::gmres::recurrence_start;
use super::options::Place;
use super::problem::{Identity, Problem, Verdict};
use super::stagnation::Stagnation;
use super::{Method, Outcome};
use crate::linalg::small::{self, Ritz};
use crate::linalg::{kernels, Panel, PanelMut};
use crate::runtime::options::Options;
use crate::runtime::{memory, Archive, Error, Result, Scalar, Wide};

/// Columns of U that the operator is applied to at once.
const BATCH: usize = 4;

/// The next recycled vectors are scaled where they are longer than this or shorter than its inverse.
const LONG: f64 = (1u64 << 40) as f64;

/// The ratio of pivots up to which one pass of Cholesky-QR is as good as two.
const WELL_CONDITIONED: f64 = 3.0;

/// A column of A U that keeps less than this share of its length beside the others (squared) is
/// dropped: Cholesky-QR cannot tell it from them.
const DEPENDENT: f64 = 1e-13;

/// Where M U_v is farther from U than this share of it, U_v is too old to test against. Slowly changing sequences stay
/// below 0.3 for twenty systems, independent ones pass 1 with the second.
const OLD: f64 = 0.5;

pub struct Gcrodr<T: Scalar, S: Scalar<Wide = T::Wide>> {
    pub(super) arnoldi: Arnoldi<T, S>,
    pub(super) r: Vec<T>,
    mr: Vec<T>,
    /// Vectors to keep; one more where a conjugate pair asks for it.
    pub(super) recycle: usize,
    /// Test against the search space [U Z]; otherwise against the Krylov space [U_v V].
    tests_search: bool,
    /// U_v: what U is in the coordinates of the Krylov space, where A M U_v was C D when M was what it then was:
    /// directions to test against. What stays in U for many systems grows old there, while M changes.
    krylov_u: Vec<S>,
    /// U_v is too old: the search space is tested against.
    is_old: bool,
    pub(super) scales: Vec<f64>,
    /// Names the operator that C = A U D^-1 belongs to; `None` when C must be renewed.
    image_of: Option<Identity>,
    ritz: Ritz<T::Wide>,
    pub(super) g: Vec<T::Wide>,
    yt: Vec<T::Wide>,
    new_c: Vec<T::Wide>,
    new_u: Vec<T::Wide>,
    coefficients: Vec<S>,
    tile: Vec<S>,
    /// The same for search vectors.
    search_coefficients: Vec<T>,
    search_tile: Vec<T>,
    gram: Vec<S>,
    /// A batch of columns of A U in working precision.
    columns: Vec<T>,
    pivots: Vec<usize>,
    left: Vec<f64>,
    unit: Vec<T::Wide>,
    probe: Probe,
}

/// Whether looking for an operator that is announced as changed but is not has paid.
#[derive(Default)]
pub(super) struct Probe {
    misses: u32,
    /// Renewals left without a look.
    wait: u32,
}

impl Probe {
    /// Whether an operator may be another one in name only.
    pub fn may_be(old: Identity, new: Identity) -> bool {
        old[0] == new[0] && old[2..] == new[2..]
    }

    /// Whether this renewal is to go without a look.
    pub fn rests(&mut self) -> bool {
        let rests = self.wait > 0;
        self.wait -= rests as u32;
        rests
    }

    /// Coefficients without zeros.
    pub fn sum<T: Scalar>(y: &mut [T]) {
        y.iter_mut().enumerate().for_each(|(j, y)| *y = T::from_f64(if j % 3 == 1 { -1.0 } else { 1.0 } / (1.0 + 0.1 * j as f64)));
    }

    /// What the look showed.
    pub fn learn(&mut self, unchanged: bool) -> bool {
        self.misses = if unchanged { 0 } else { self.misses + 1 };
        self.wait = if self.misses >= 2 { 1 << self.misses.min(6) } else { 0 };
        unchanged
    }

    pub fn archive(&mut self, archive: &mut Archive) -> Result<()> {
        let (mut misses, mut wait) = (self.misses as u64, self.wait as u64);
        archive.word(&mut misses)?;
        archive.word(&mut wait)?;
        *self = Probe { misses: misses.min(64) as u32, wait: wait.min(64) as u32 };
        Ok(())
    }
}

impl<T: Scalar, S: Scalar<Wide = T::Wide>> Gcrodr<T, S> {
    pub fn new(n: usize, options: &Options) -> Result<Self> {
        let (m, recycle) = (options.count("restart"), options.count("recycle"));
        if 2 * recycle > m {
            return Err(Error::argument("recycle", recycle, format!("be at most half of restart, {}", m / 2)));
        }
        Self::sized(n, m, 1, recycle, options)
    }

    /// For cycles of at most `m` search vectors in blocks of at most `width`.
    pub(super) fn sized(n: usize, m: usize, width: usize, recycle: usize, options: &Options) -> Result<Self> {
        let zero = <T::Wide as Scalar>::ZERO;
        let square = memory::product(m + width, m + width, "projected problem")?;
        let small = || memory::filled(square, zero, "projected problem");
        let left = options.text("side") == "left";
        let tests_search = options.text("test_basis") == "search";
        Ok(Gcrodr {
            arnoldi: Arnoldi::new(n, m, width, true, options)?,
            r: memory::filled(n, T::ZERO, "residual")?,
            mr: memory::filled(if left { n } else { 0 }, T::ZERO, "residual")?,
            recycle,
            tests_search,
            krylov_u: memory::filled(if tests_search { 0 } else { memory::product(n, recycle + 1, "recycle space")? }, S::ZERO, "recycle space")?,
            is_old: false,
            scales: memory::with_capacity(recycle + 1, "recycle space")?,
            image_of: None,
            ritz: Ritz::new(m + width - 1)?,
            g: small()?,
            yt: small()?,
            new_c: small()?,
            new_u: small()?,
            coefficients: memory::filled(square, S::ZERO, "projected problem")?,
            tile: memory::filled(kernels::rotate_len(recycle + 1), S::ZERO, "projected problem")?,
            search_coefficients: memory::filled(square, T::ZERO, "projected problem")?,
            search_tile: memory::filled(kernels::rotate_len(recycle + 1), T::ZERO, "projected problem")?,
            gram: memory::filled(square, S::ZERO, "projected problem")?,
            columns: memory::filled(memory::product(n, BATCH.min(recycle + 1).max(2), "recycled image")?, T::ZERO, "recycled image")?,
            pivots: memory::with_capacity(recycle + 1, "recycle space")?,
            left: memory::with_capacity(recycle + 1, "recycle space")?,
            unit: memory::filled(recycle + 1, zero, "recycle space")?,
            probe: Probe::default(),
        })
    }

    /// Whether A is what C belongs to although it was announced as changed: A U y = C D y for a y without zeros.
    /// One apply, one reduction; seldom tried where it was in vain. Vectors of U are long where A is small, so
    /// rounding leaves half of the digits to compare; every cycle starts from a true residual.
    async fn is_unchanged(&mut self, p: &mut Problem<'_, T>, identity: Identity) -> Result<bool> {
        if !p.settings.probe || !self.image_of.is_some_and(|old| Probe::may_be(old, identity)) || self.probe.rests() {
            return Ok(false);
        }
        let (n, k) = (self.r.len(), self.arnoldi.k);
        let y = &mut self.search_coefficients[..k];
        Probe::sum(y);
        let (u, rest) = self.columns.split_at_mut(n);
        let image = &mut rest[..n];
        u.fill(T::ZERO);
        kernels::add(p.space.pool(), Panel::packed(&self.arnoldi.z, n, k), y, u);
        let before = p.counts.applies;
        if p.settings.place == Place::Left && p.m.is_some() {
            p.image(u, image).await?;
        } else {
            p.apply(u, image).await;
        }
        p.counts.recycle_applies += p.counts.applies - before;
        u.copy_from_slice(image);
        y.iter_mut().zip(&self.scales).for_each(|(y, d)| *y = -y.scale(*d));
        kernels::add(p.space.pool(), Panel::packed(&self.arnoldi.w, n, k), y, image);
        let mut out = [<T::Wide as Scalar>::ZERO; 2];
        p.space.local(Panel::column(u), u, &mut out[..1]);
        p.space.local(Panel::column(image), image, &mut out[1..]);
        p.space.sum(&mut out).await?;
        let unchanged = out[1].real_part().sqrt() <= f64::max(0.1 * T::EPSILON.sqrt(), 10.0 * S::EPSILON) * out[0].real_part().sqrt();
        Ok(self.probe.learn(unchanged))
    }

    /// C <- A U, orthonormal again; U follows. One block apply of k columns.
    async fn renew_images(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        let (k, n) = (self.arnoldi.k, self.r.len());
        let left = p.settings.place == Place::Left && p.m.is_some();
        let before = p.counts.applies;
        let c = &mut self.columns;
        for first in (0..k).step_by(BATCH) {
            let count = BATCH.min(k - first);
            let u = &self.arnoldi.z[first * n..][..count * n];
            if left {
                for j in 0..count {
                    p.image(&u[j * n..][..n], &mut c[j * n..][..n]).await?;
                }
            } else {
                p.apply_panel(Panel::packed(u, n, count), PanelMut::packed(c, n, count)).await;
            }
            kernels::convert(&c[..count * n], &mut self.arnoldi.w[first * n..(first + count) * n]);
        }
        p.counts.recycle_applies += p.counts.applies - before;
        self.orthonormalise_images(p).await?;
        self.keep_in_range(p).await
    }

    /// Cholesky-QR of C = A U with pivoting, twice unless once is enough: C <- C P R^-1, U <- U P R^-1.
    /// Dependent columns are dropped from both.
    async fn orthonormalise_images(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        let (n, k) = (self.r.len(), self.arnoldi.k);
        for pass in 0..2 {
            let height = self.arnoldi.k;
            self.gram_of_images(p, height).await?;
            small::pivoted_cholesky(&mut self.g, height, DEPENDENT, &mut self.pivots, &mut self.left, &mut self.new_u);
            let rank = self.pivots.len();
            self.arnoldi.k = rank;
            if rank == 0 {
                return Ok(());
            }
            self.columns_of_inverse(height, rank);
            kernels::rotate(&mut self.arnoldi.w, n, height, &self.coefficients, rank, &mut self.tile);
            if pass == 0 {
                std::mem::swap(&mut self.yt, &mut self.new_c);
                let pivot = |j: usize| self.new_u[j * height + j].real_part();
                if pivot(0) <= WELL_CONDITIONED * pivot(rank - 1) {
                    break;
                }
            } else {
                small::multiply(&self.yt, k, height, &self.new_c, rank, &mut self.g);
                std::mem::swap(&mut self.yt, &mut self.g);
            }
        }
        let rank = self.arnoldi.k;
        narrow(&self.yt[..k * rank], &mut self.search_coefficients);
        kernels::rotate(&mut self.arnoldi.z, n, k, &self.search_coefficients, rank, &mut self.search_tile);
        if !self.tests_search {
            narrow(&self.yt[..k * rank], &mut self.coefficients);
            kernels::rotate(&mut self.krylov_u, n, k, &self.coefficients, rank, &mut self.tile);
        }
        Ok(())
    }

    /// `new_c` and `coefficients` <- P R^-1, `height x rank`, from the factor in `new_u`.
    fn columns_of_inverse(&mut self, height: usize, rank: usize) {
        small::pivoted_inverse(&self.new_u, height, &self.pivots, &mut self.unit, &mut self.new_c);
        narrow(&self.new_c[..height * rank], &mut self.coefficients);
    }

    /// g <- C^H C over all ranks.
    async fn gram_of_images(&mut self, p: &mut Problem<'_, T>, k: usize) -> Result<()> {
        let n = self.r.len();
        self.local_products(p, Columns::C, k, k, Target::G);
        let g = &mut self.g[..k * k];
        p.space.sum(g).await?;
        if g.iter().any(|v| !v.finite()) {
            let c = Panel::packed(&self.arnoldi.w, n, k);
            let bad = (0..k).find_map(|j| kernels::first_nonfinite(c.col(j)).map(|i| (j, i)));
            return Err(Error::NonFinite(match bad {
                Some((j, i)) => format!("A u has {} at position {i}, must be finite", c.col(j)[i]),
                None => "A u is not finite on another rank, or its norm overflows".to_string(),
            }));
        }
        Ok(())
    }

    /// Local inner products of columns of [C V] with columns of the same, of U_v or of [U Z], column by
    /// column into `g` or `yt`.
    fn local_products(&mut self, p: &Problem<T>, of: Columns, rows: usize, columns: usize, target: Target) {
        let n = self.r.len();
        let x = Panel::packed(&self.arnoldi.w, n, rows);
        let out = match target {
            Target::G => &mut self.g,
            Target::Yt => &mut self.yt,
        };
        let stored = match of {
            Columns::C => &self.arnoldi.w,
            Columns::KrylovU => &self.krylov_u,
            Columns::Search => {
                for j in 0..columns {
                    p.space.local(x, &self.arnoldi.z[j * n..][..n], &mut out[j * rows..][..rows]);
                }
                return;
            }
        };
        let y = Panel::packed(stored, n, columns);
        if p.space.is_euclidean() {
            let gram = &mut self.gram[..rows * columns];
            kernels::gram(x, y, gram);
            out.iter_mut().zip(&*gram).for_each(|(v, u)| *v = u.wide());
        } else {
            let column = &mut self.columns[..n];
            for j in 0..columns {
                kernels::convert(y.col(j), column);
                p.space.local(x, column, &mut out[j * rows..][..rows]);
            }
        }
    }

    /// Scales columns of U that are very long or short, so that they fit into any precision; D
    /// follows.
    async fn keep_in_range(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        let (k, n) = (self.arnoldi.k, self.r.len());
        let squares = &mut self.new_c[..k];
        kernels::squares(Panel::packed(&self.arnoldi.z, n, k), squares);
        p.space.sum(squares).await?;
        self.scales.clear();
        for (j, square) in squares.iter().enumerate() {
            let length = square.real_part().sqrt();
            let is_fit = (1.0 / LONG..LONG).contains(&length) || length == 0.0 || !length.is_finite();
            let scale = if is_fit { 1.0 } else { 1.0 / length };
            if !is_fit {
                kernels::scale(p.space.pool(), scale, &mut self.arnoldi.z[j * n..][..n]);
                if !self.tests_search {
                    kernels::scale(p.space.pool(), scale, &mut self.krylov_u[j * n..][..n]);
                }
            }
            self.scales.push(scale);
        }
        Ok(())
    }

    /// Replaces the recycled space by the harmonic Ritz vectors of smallest modulus of the cycle
    /// that just ended.
    async fn recycle(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        let columns = self.arnoldi.k + self.arnoldi.steps();
        self.assemble_g(columns + 1, columns);
        self.keep(p, columns + 1, columns).await
    }

    /// The same for `A [U Z] = [C V] G` with G in `g`, `rows x columns`.
    pub(super) async fn keep(&mut self, p: &mut Problem<'_, T>, rows: usize, columns: usize) -> Result<()> {
        let (k, n) = (self.arnoldi.k, self.r.len());
        let s = columns - k;
        self.assemble_yt(p, rows, columns).await?;
        let found = self.ritz.keep(&self.g, &self.yt, rows, columns, self.recycle, self.recycle + 1, &mut self.new_c, &mut self.new_u);
        if found == 0 {
            return Ok(());
        }
        if p.settings.diagnostics {
            let diagnostics = &mut p.report.borrow_mut().diagnostics;
            // C of before stands in front of the basis.
            diagnostics.angles_from(k, found, |i, j| self.new_c[j * rows + i])?;
            diagnostics.ritz.clear();
            diagnostics.ritz.extend(self.ritz.values().take(found));
        }
        if !self.tests_search {
            narrow(&self.new_u[..columns * found], &mut self.coefficients);
            // [U_v V]: V stands behind C until C is replaced.
            let v = Panel::packed(&self.arnoldi.w[k * n..], n, s);
            kernels::rotate_with(&mut self.krylov_u, n, k, v, &self.coefficients, found, &mut self.tile);
        }
        narrow(&self.new_u[..columns * found], &mut self.search_coefficients);
        kernels::rotate(&mut self.arnoldi.z, n, columns, &self.search_coefficients, found, &mut self.search_tile);
        narrow(&self.new_c[..rows * found], &mut self.coefficients);
        kernels::rotate(&mut self.arnoldi.w, n, rows, &self.coefficients, found, &mut self.tile);
        self.arnoldi.k = found;
        if !self.tests_search && !has_own_coordinates(p) {
            kernels::convert(&self.arnoldi.z[..found * n], &mut self.krylov_u[..found * n]);
        }
        self.image_of = Some(p.identity());
        self.keep_in_range(p).await
    }

    /// Makes C what A U is now.
    pub(super) async fn renew(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        if self.arnoldi.k == 0 {
            return Ok(());
        }
        let identity = p.identity();
        if self.image_of != Some(identity) && !self.is_unchanged(p, identity).await? {
            self.image_of = None;
            self.renew_images(p).await?;
            self.judge_age(p).await?;
        }
        self.image_of = Some(identity);
        Ok(())
    }

    /// Whether U_v still is what U is under M: M U_v y = U y for a y without zeros. A use of M, one reduction.
    async fn judge_age(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        if self.tests_search || !has_own_coordinates(p) || self.arnoldi.k == 0 {
            return Ok(());
        }
        let (n, k) = (self.r.len(), self.arnoldi.k);
        let y = &mut self.search_coefficients[..k];
        Probe::sum(y);
        let (v, rest) = self.columns.split_at_mut(n);
        let difference = &mut rest[..n];
        v.fill(T::ZERO);
        kernels::add(p.space.pool(), Panel::packed(&self.krylov_u, n, k), y, v);
        p.precondition(v, difference).await?;
        let u = v;
        u.fill(T::ZERO);
        kernels::add(p.space.pool(), Panel::packed(&self.arnoldi.z, n, k), y, u);
        kernels::axpy(p.space.pool(), -T::ONE, u, difference);
        let mut out = [<T::Wide as Scalar>::ZERO; 2];
        p.space.local(Panel::column(u), u, &mut out[..1]);
        p.space.local(Panel::column(difference), difference, &mut out[1..]);
        p.space.sum(&mut out).await?;
        // Also where it is no number any more.
        self.is_old = !(out[1].real_part().sqrt() <= OLD * out[0].real_part().sqrt());
        Ok(())
    }

    /// Gbar = [D B; 0 Hbar].
    fn assemble_g(&mut self, rows: usize, columns: usize) {
        let (k, h) = (self.arnoldi.k, &self.arnoldi.hessenberg);
        let g = &mut self.g[..rows * columns];
        g.fill(<T::Wide as Scalar>::ZERO);
        for j in 0..k {
            g[j * rows + j] = <T::Wide as Scalar>::from_f64(self.scales[j]);
        }
        for j in 0..columns - k {
            let column = &mut g[(k + j) * rows..(k + j + 1) * rows];
            column[..k].copy_from_slice(&self.arnoldi.b[j * self.arnoldi.capacity..][..k]);
            column[k..k + j + 2].copy_from_slice(&h.h[j * h.rows()..][..j + 2]);
        }
    }

    /// Y^H T for the chosen test basis T and Y = [C V]: one reduction.
    async fn assemble_yt(&mut self, p: &mut Problem<'_, T>, rows: usize, columns: usize) -> Result<()> {
        let k = self.arnoldi.k;
        self.yt[..rows * columns].fill(<T::Wide as Scalar>::ZERO);
        // Without a right preconditioner Z is V, and the products of V with [C V] are known.
        let separate = has_own_coordinates(p);
        let search = self.tests_search || self.is_old;
        let tested = if search && separate { columns } else { k };
        if tested > 0 {
            let of = if search { Columns::Search } else { Columns::KrylovU };
            self.local_products(p, of, rows, tested, Target::Yt);
            p.space.sum(&mut self.yt[..rows * tested]).await?;
        }
        for j in tested..columns {
            self.yt[j * rows + j] = <T::Wide as Scalar>::ONE;
        }
        Ok(())
    }
}

/// Whether search vectors differ from Krylov vectors: z = M v.
fn has_own_coordinates<T: Scalar>(p: &Problem<T>) -> bool {
    p.m.is_some() && p.settings.place != Place::Left
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Columns {
    C,
    KrylovU,
    Search,
}

/// Where products go.
enum Target {
    G,
    Yt,
}

fn narrow<W: Wide, S: Scalar<Wide = W>>(from: &[W], to: &mut [S]) {
    to.iter_mut().zip(from).for_each(|(v, u)| *v = S::narrow(*u));
}

impl<T: Scalar, S: Scalar<Wide = T::Wide>> Method<T> for Gcrodr<T, S> {
    async fn solve(&mut self, p: &mut Problem<'_, T>, x: &mut [T], x_is_zero: bool) -> Result<Outcome> {
        let mut verdict = p.start(x, x_is_zero, &mut self.r).await?;
        let mut stagnation = Stagnation::new(p.tested_norm);
        if verdict == Verdict::Continue {
            self.renew(p).await?;
        }
        loop {
            match verdict {
                Verdict::Converged => return Ok(Outcome::Converged),
                Verdict::Stop(stop) => return Ok(Outcome::Stopped(stop)),
                Verdict::Continue => {}
            }
            let (start, beta) = recurrence_start(p, &self.r, &mut self.mr).await?;
            let end = self.arnoldi.cycle(p, start, beta).await;
            let updated = self.arnoldi.update(p, &self.scales, x).await;
            let failed = end.is_err() || updated.is_err();
            let closed = p.close_cycle(end, updated, x, &mut self.r, &mut stagnation).await;
            if !failed {
                self.arnoldi.diagnose(p, self.arnoldi.k + self.arnoldi.steps()).await?;
            }
            // A cycle that failed teaches nothing: the old space stays.
            let steps = self.arnoldi.steps();
            if !failed && steps >= self.recycle.min(self.arnoldi.capacity - self.arnoldi.k) {
                self.recycle(p).await?;
            }
            verdict = closed?;
            p.log_cycle("gcrodr");
        }
    }

    fn forget(&mut self) {
        self.arnoldi.k = 0;
        self.is_old = false;
        self.image_of = None;
    }

    fn recycled(&self) -> usize {
        self.arnoldi.k
    }

    fn space(&self) -> Option<Panel<'_, T>> {
        Some(Panel::packed(&self.arnoldi.z, self.r.len(), self.arnoldi.k))
    }

    fn teach(&mut self, vectors: Panel<T>) {
        let (n, k) = (self.r.len(), vectors.ncols.min(self.recycle));
        for j in 0..k {
            self.arnoldi.z[j * n..][..n].copy_from_slice(vectors.col(j));
        }
        if !self.tests_search {
            kernels::convert(&self.arnoldi.z[..k * n], &mut self.krylov_u[..k * n]);
        }
        self.arnoldi.k = k;
        self.image_of = None;
    }

    fn truncate(&mut self, count: usize) {
        let k = self.arnoldi.k.min(count);
        self.arnoldi.k = k;
        self.scales.truncate(k);
    }

    fn archive(&mut self, archive: &mut Archive) -> Result<()> {
        let n = self.r.len();
        archive.count_up_to(&mut self.arnoldi.k, self.recycle + 1)?;
        archive.identity(&mut self.image_of)?;
        let k = self.arnoldi.k;
        archive.scalars(&mut self.arnoldi.z[..k * n])?;
        archive.scalars(&mut self.arnoldi.w[..k * n])?;
        archive.scalars(&mut self.krylov_u[..if self.tests_search { 0 } else { k * n }])?;
        self.scales.resize(k, 1.0);
        archive.scalars(&mut self.scales)?;
        archive.flag(&mut self.is_old)?;
        self.probe.archive(archive)
    }
}
