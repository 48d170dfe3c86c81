//! Block GCRO-DR and block GMRES: one Krylov space for all right-hand sides, and one recycled space.
//!
//! Parks, Soodhalter, Szyld, "A block recycled GMRES method with investigations into aspects of solver
//! performance", arXiv:1604.01713 (2016); Jolivet, Tournier, "Block iterative methods and recycling for
//! improved scalability of linear solvers", SC16. Dependent directions: Robbe, Sadkane, "Exact and
//! inexact breakdowns in the block GMRES method", Linear Algebra Appl. 419 (2006).
//!
//! With R the residuals of the columns that are still here,
//!
//!   R = C D0 + V_1 S,   A Z_j = C B_j + [V_1 .. V_j+1] H_j,   min || S - H Y ||, column by column.
//!
//! A column leaves when its true residual meets its target; a cycle ends early when half of the columns
//! are there. Directions that depend on others are dropped from R and from A Z: blocks become narrower,
//! and H stays what it is.
//!
//! Differs from the papers: a block is orthogonalised against the basis and within itself by products in
//! one reduction, twice (Cholesky-QR with pivoting); what the first pass cannot tell from rounding errors
//! is looked at again, and only what is then nothing is dropped, so the relation holds to rounding. The
//! recycled space is that of `gcrodr`, which a single right-hand side goes on with.

use super::arnoldi::CycleEnd;
use super::gcrodr::Gcrodr;
use super::options::Place;
use super::problem::{Problem, Verdict};
use super::stagnation::Stagnation;
use super::team::Team;
use super::{Method, Outcome};
use crate::linalg::block_hessenberg::BlockHessenberg;
use crate::linalg::{kernels, small, Panel, PanelMut};
use crate::runtime::options::Options;
use crate::runtime::{memory, Archive, Error, Result, Scalar, Wide};

/// A vector that keeps less than this share of its squared length beside the basis is projected again before it is
/// divided by its length.
const CANCELLED: f64 = 1e-8;

/// Columns of a Gram matrix that keep less than this share of their squared length beside the others wait for
/// the next pass.
const DEPENDENT: f64 = 1e-8;

/// A vector shorter than this many roundings of what it was is nothing.
const NOTHING: f64 = 16.0;

/// Rounds for vectors that cancel: noise does so each time.
const ROUNDS: usize = 4;

/// A Gram matrix this near to the identity needs no further pass after its own.
const NEAR: f64 = 0.1;

pub struct BlockGcrodr<T: Scalar> {
    one: Gcrodr<T, T>,
    n: usize,
    width: usize,
    /// Whether a space is kept; block GMRES keeps none.
    recycles: bool,
    hessenberg: BlockHessenberg<T::Wide>,
    /// Columns of the cycle, and the norms that their recurrences began with: tested over own.
    here: Vec<usize>,
    scale: Vec<f64>,
    r: Vec<T>,
    /// A block on its way into the basis, how long its columns were, and what they are in the basis, `ld` a column.
    block: Vec<T>,
    before: Vec<f64>,
    coefficients: Vec<T::Wide>,
    ld: usize,
    /// Columns of it that are not in the basis yet: the first ones of `block`.
    pending: Vec<usize>,
    spare: Vec<T>,
    /// C^H R, `recycle + 1` numbers a column.
    c0: Vec<T::Wide>,
    products: Vec<T::Wide>,
    factor: Vec<T::Wide>,
    pivots: Vec<usize>,
    left: Vec<f64>,
    lengths: Vec<f64>,
    room: Vec<T>,
    narrow: Vec<T>,
    tile: Vec<T>,
    /// Vectors of V, and how many of them are the last block.
    vectors: usize,
    last: usize,
}

impl<T: Scalar> BlockGcrodr<T> {
    /// For `width` right-hand sides. `restart` counts the vectors of one of them; without `recycle` it is block GMRES.
    pub fn new(n: usize, width: usize, recycle: Option<usize>, options: &Options) -> Result<Self> {
        const WHAT: &str = "block Krylov basis";
        let (restart, k) = (options.count("restart"), recycle.unwrap_or(0));
        if 2 * k > restart {
            return Err(Error::argument("recycle", k, format!("be at most half of restart, {}", restart / 2)));
        }
        let capacity = k + memory::product(restart - k, width, WHAT)?;
        let ld = capacity + width;
        let panel = |ncols: usize| memory::filled(memory::product(n, ncols, WHAT)?, T::ZERO, WHAT);
        let small = |len: usize| memory::filled(len, <T::Wide as Scalar>::ZERO, WHAT);
        let reals = || memory::filled(width, 0.0, WHAT);
        Ok(BlockGcrodr {
            one: Gcrodr::sized(n, capacity, width, k, options)?,
            n,
            width,
            recycles: recycle.is_some(),
            hessenberg: BlockHessenberg::new(capacity, width)?,
            here: memory::with_capacity(width, WHAT)?,
            scale: reals()?,
            r: panel(width)?,
            block: panel(width)?,
            before: reals()?,
            coefficients: small(ld * width)?,
            ld,
            pending: memory::with_capacity(width, WHAT)?,
            spare: panel(width)?,
            c0: small((k + 1) * width)?,
            products: small((ld + width) * width)?,
            factor: small(width * width)?,
            pivots: memory::with_capacity(width, WHAT)?,
            left: memory::with_capacity(width, WHAT)?,
            lengths: reals()?,
            room: memory::filled((ld + width) * width, T::ZERO, WHAT)?,
            narrow: memory::filled(ld * width, T::ZERO, WHAT)?,
            tile: memory::filled(kernels::rotate_len(width), T::ZERO, WHAT)?,
            vectors: 0,
            last: 0,
        })
    }

    /// Columns whose inner products are taken at once, and numbers of one reduction, at most.
    pub fn sizes(restart: usize, recycle: usize, width: usize) -> (usize, usize) {
        let ld = recycle + restart.saturating_sub(recycle).saturating_mul(width).saturating_add(width);
        (ld, ld.saturating_mul(ld).max(ld.saturating_add(width).saturating_mul(width)))
    }

    /// Improves the columns of the team until each has its outcome.
    pub fn solve_block(&mut self, team: &mut Team<'_, T>) -> Result<()> {
        let starts: Vec<_> = PanelMut::packed(&mut self.r, self.n, self.width).split().zip(team.zeros()).collect();
        let verdicts = team.each(starts, |p, x, (r, zero)| Box::pin(p.start(x, zero, r)))?;
        team.take(verdicts);
        let mut stagnation: Vec<Stagnation> = team.mates.iter().map(|mate| Stagnation::new(mate.problem.tested_norm)).collect();
        if self.one.arnoldi.k > 0 && !team.is_empty() {
            let one = &mut self.one;
            let renewed = team.lead(async |p| one.renew(p).await);
            renewed.unwrap_or_else(|e| team.fail(&e));
        }
        while !team.is_empty() {
            let end = self.cycle(team);
            // Also after an error: the steps before it are sound, and X is delivered.
            self.update(team);
            let exhausted = match end {
                Ok(exhausted) => exhausted,
                Err(e) => {
                    team.fail(&e);
                    break;
                }
            };
            let verdicts: Vec<Verdict> = team.mates.iter().map(|mate| mate.verdict).collect();
            let residuals = PanelMut::packed(&mut self.r, self.n, self.width).split();
            let shares: Vec<_> = verdicts.into_iter().zip(residuals).zip(&mut stagnation).collect();
            let verdicts = team.each(shares, |p, x, ((verdict, r), stagnation)| {
                let end = if exhausted && verdict == Verdict::Continue { CycleEnd::Exhausted } else { CycleEnd::Verdict(verdict) };
                Box::pin(p.close_cycle(Ok(end), Ok(()), x, r, stagnation))
            })?;
            team.take(verdicts);
            self.learn(team);
        }
        Ok(())
    }

    /// Measures and recycles the cycle that just ended.
    fn learn(&mut self, team: &mut Team<'_, T>) {
        let (k, steps, rows) = (self.one.arnoldi.k, self.hessenberg.len, self.hessenberg.rows);
        let keeps = self.recycles && steps >= self.one.recycle;
        if keeps {
            self.assemble_g();
        }
        let one = &mut self.one;
        let done = team.lead(async |p| {
            one.arnoldi.diagnose(p, k + steps).await?;
            if keeps { one.keep(p, k + rows, k + steps).await } else { Ok(()) }
        });
        done.unwrap_or_else(|e| team.fail(&e));
    }

    /// A cycle for the columns that are still here; true if the space holds nothing more.
    fn cycle(&mut self, team: &mut Team<'_, T>) -> Result<bool> {
        self.begin(team)?;
        if self.one.arnoldi.k > 0 {
            self.test(team, false)?;
        }
        while self.goes_on(team) {
            let (k, start, width) = (self.one.arnoldi.k, self.hessenberg.len, self.last);
            if width == 0 {
                return Ok(true);
            }
            if k + start + width > self.one.arnoldi.capacity {
                break;
            }
            team.lead(async |p| self.step(p).await)?;
            self.test(team, true)?;
        }
        Ok(false)
    }

    /// Whether the block is worth another step: at most half of the columns are there, and none was stopped.
    fn goes_on(&self, team: &Team<'_, T>) -> bool {
        let verdicts = || self.here.iter().map(|j| if team.mates[*j].outcome.is_some() { Verdict::Converged } else { team.mates[*j].verdict });
        let going = verdicts().filter(|verdict| *verdict == Verdict::Continue).count();
        2 * going > self.here.len() && !verdicts().any(|verdict| matches!(verdict, Verdict::Stop(_)))
    }

    /// R = C D0 + V S.
    fn begin(&mut self, team: &mut Team<'_, T>) -> Result<()> {
        let n = self.n;
        self.here.clear();
        self.here.extend(team.here());
        let q = self.here.len();
        for (side, j) in self.here.iter().enumerate() {
            self.block[side * n..][..n].copy_from_slice(&self.r[j * n..][..n]);
        }
        self.vectors = 0;
        team.lead(async |p| {
            if p.settings.place == Place::Left && p.m.is_some() {
                p.precondition_panel(Panel::packed(&self.block, n, q), PanelMut::packed(&mut self.spare, n, q)).await?;
                std::mem::swap(&mut self.block, &mut self.spare);
            }
            self.last = self.orthonormalise(p, q, "M r").await?;
            Ok(())
        })?;
        let k = self.one.arnoldi.k;
        for (side, j) in self.here.iter().enumerate() {
            let column = &self.coefficients[side * self.ld..][..self.ld];
            self.c0[side * k..][..k].copy_from_slice(&column[..k]);
            self.products[side * self.vectors..][..self.vectors].copy_from_slice(&column[k..k + self.vectors]);
            self.scale[side] = if self.before[side] > 0.0 { team.mates[*j].problem.tested_norm / self.before[side] } else { 0.0 };
        }
        self.hessenberg.start(&self.products, self.vectors, q);
        Ok(())
    }

    /// A Z = C B + V H for one more block.
    async fn step(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        let (n, k, start, width) = (self.n, self.one.arnoldi.k, self.hessenberg.len, self.last);
        let (from, len) = ((k + start) * n, width * n);
        let z = PanelMut::packed(&mut self.one.arnoldi.z[from..from + len], n, width);
        let image = PanelMut::packed(&mut self.block, n, width);
        let room = PanelMut::packed(&mut self.spare, n, width);
        p.forward_panel(Panel::packed(&self.one.arnoldi.w[from..from + len], n, width), z, image, room).await?;
        self.last = self.orthonormalise(p, width, "A x").await?;
        let arnoldi = &mut self.one.arnoldi;
        for c in 0..width {
            let column = &self.coefficients[c * self.ld..][..k + self.vectors];
            arnoldi.b[(start + c) * arnoldi.capacity..][..k].copy_from_slice(&column[..k]);
            self.hessenberg.push(&column[k..]);
        }
        Ok(())
    }

    /// The verdicts on the norms of the recurrence; of an iteration if it was one.
    fn test(&self, team: &mut Team<'_, T>, is_step: bool) -> Result<()> {
        let mut norms: Vec<Option<f64>> = memory::filled(team.mates.len(), None, "columns")?;
        for (side, j) in self.here.iter().enumerate() {
            if team.mates[*j].verdict == Verdict::Continue {
                norms[*j] = Some(self.hessenberg.residual_norm(side) * self.scale[side]);
            }
        }
        let verdicts = team.each(norms, |p, _, norm| {
            Box::pin(async move {
                Ok(match norm {
                    None => None,
                    Some(norm) if is_step => Some(p.check(norm).await?),
                    Some(norm) => {
                        p.recurrence_norm = norm;
                        Some(p.verdict(norm).await?)
                    }
                })
            })
        })?;
        for (mate, verdict) in team.mates.iter_mut().zip(verdicts) {
            mate.verdict = verdict.flatten().unwrap_or(mate.verdict);
        }
        Ok(())
    }

    /// X <- X + U D^-1 (D0 - B Y) + Z Y.
    fn update(&mut self, team: &mut Team<'_, T>) {
        let (n, k, steps, q) = (self.n, self.one.arnoldi.k, self.hessenberg.len, self.here.len());
        let arnoldi = &self.one.arnoldi;
        for side in 0..q {
            let (u, y) = self.coefficients[..k + steps].split_at_mut(k);
            self.hessenberg.solution(side, y);
            u.copy_from_slice(&self.c0[side * k..][..k]);
            for (j, c) in y.iter().enumerate() {
                u.iter_mut().zip(&arnoldi.b[j * arnoldi.capacity..]).for_each(|(u, b)| *u -= *b * *c);
            }
            u.iter_mut().zip(&self.one.scales).for_each(|(u, d)| *u = u.scale(1.0 / d));
            let narrow = &mut self.narrow[side * (k + steps)..][..k + steps];
            narrow.iter_mut().zip(&self.coefficients).for_each(|(v, u)| *v = T::narrow(*u));
        }
        self.spare.fill(T::ZERO);
        kernels::add_panel(Panel::packed(&arnoldi.z, n, k + steps), &self.narrow, PanelMut::packed(&mut self.spare, n, q));
        for (side, j) in self.here.iter().enumerate() {
            let mate = &mut team.mates[*j];
            kernels::axpy(mate.problem.space.pool(), T::ONE, &self.spare[side * n..][..n], mate.x);
        }
    }

    /// Gbar = [D B; 0 Hbar].
    fn assemble_g(&mut self) {
        let (k, steps, rows) = (self.one.arnoldi.k, self.hessenberg.len, self.one.arnoldi.k + self.hessenberg.rows);
        let g = &mut self.one.g[..rows * (k + steps)];
        g.fill(<T::Wide as Scalar>::ZERO);
        for (j, d) in self.one.scales[..k].iter().enumerate() {
            g[j * rows + j] = <T::Wide as Scalar>::from_f64(*d);
        }
        let arnoldi = &self.one.arnoldi;
        for j in 0..steps {
            let column = &mut g[(k + j) * rows..][..rows];
            column[..k].copy_from_slice(&arnoldi.b[j * arnoldi.capacity..][..k]);
            column[k..].copy_from_slice(&self.hessenberg.column(j)[..rows - k]);
        }
    }

    /// Takes the first `q` columns of the block into the basis: `coefficients` say what they are there. Returns how
    /// many vectors were added. Two reductions as a rule.
    async fn orthonormalise(&mut self, p: &mut Problem<'_, T>, q: usize, whose: &str) -> Result<usize> {
        let old = self.vectors;
        self.coefficients.fill(<T::Wide as Scalar>::ZERO);
        self.pending.clear();
        self.pending.extend(0..q);
        for round in 0..ROUNDS {
            if self.pending.is_empty() {
                break;
            }
            let m = self.pending.len();
            self.project(p, m, false).await?;
            let basis = self.one.arnoldi.k + self.vectors;
            let (products, gram) = self.products.split_at_mut(basis * m);
            for (i, j) in self.pending.iter().enumerate() {
                let whole = gram[i * m + i].real_part();
                let length = p.finite(if whole.is_nan() { whole } else { whole.max(0.0).sqrt() }, whose, &self.block[i * self.n..][..self.n])?;
                if round == 0 {
                    self.before[*j] = length;
                }
                let part = &products[i * basis..][..basis];
                self.coefficients[j * self.ld..][..basis].iter_mut().zip(part).for_each(|(c, v)| *c += *v);
                let rest = whole - part.iter().map(|v| v.norm_sqr()).sum::<f64>();
                let is_nothing = length <= NOTHING * T::EPSILON * self.before[*j];
                // 0 keeps it out of the factor; below 0 it is given up.
                self.lengths[i] = if is_nothing { -1.0 } else if rest > CANCELLED * whole { rest.sqrt() } else { 0.0 };
            }
            downdate(gram, products, basis, m);
            small::scale_gram(gram, &self.lengths[..m]);
            small::pivoted_cholesky(gram, m, DEPENDENT, &mut self.pivots, &mut self.left, &mut self.factor);
            self.append(p, m).await?;
            self.compact(m);
        }
        Ok(self.vectors - old)
    }

    /// Products of [C V] with the first `m` columns of the block (or of `spare`), and of these with each other, into
    /// `products`: one reduction. The columns lose their part along [C V].
    async fn project(&mut self, p: &mut Problem<'_, T>, m: usize, of_spare: bool) -> Result<()> {
        let (n, basis) = (self.n, self.one.arnoldi.k + self.vectors);
        let x = Panel::packed(&self.one.arnoldi.w, n, basis);
        let block = if of_spare { &mut self.spare } else { &mut self.block };
        let columns = Panel::packed(&block[..], n, m);
        let (products, gram) = self.products.split_at_mut(basis * m);
        p.space.local_panel(x, columns, &mut self.room, products);
        p.space.local_panel(columns, columns, &mut self.room, gram);
        p.space.sum(&mut self.products[..(basis + m) * m]).await?;
        self.narrow.iter_mut().zip(&self.products[..basis * m]).for_each(|(c, v)| *c = T::narrow(-*v));
        kernels::add_panel(x, &self.narrow, PanelMut::packed(block, n, m));
        Ok(())
    }

    /// The chosen columns of the block, orthonormal by the factor of their Gram matrix and by one more pass, become the
    /// last of the basis.
    async fn append(&mut self, p: &mut Problem<'_, T>, m: usize) -> Result<()> {
        let (n, chosen, basis) = (self.n, self.pivots.len(), self.one.arnoldi.k + self.vectors);
        if chosen == 0 {
            return Ok(());
        }
        for (to, i) in self.pivots.iter().enumerate() {
            let length = self.lengths[*i];
            kernels::scaled_copy(p.space.pool(), 1.0 / length, &self.block[i * n..][..n], &mut self.spare[to * n..][..n]);
            let column = &mut self.coefficients[self.pending[*i] * self.ld..][basis..basis + chosen];
            column.iter_mut().zip(&self.factor[to * m..]).for_each(|(c, r)| *c = r.scale(length));
        }
        self.divide(m, chosen);
        loop {
            self.project(p, chosen, true).await?;
            let (products, gram) = self.products.split_at_mut(basis * chosen);
            downdate(gram, products, basis, chosen);
            let gram = &mut gram[..chosen * chosen];
            let distance = (0..chosen * chosen).map(|i| (gram[i].modulus() - if i % (chosen + 1) == 0 { 1.0 } else { 0.0 }).abs()).fold(0.0, f64::max);
            if !small::cholesky(gram, chosen, &mut self.factor) {
                // Where the first factor had nothing but noise.
                self.pivots.clear();
                return Ok(());
            }
            // V_old = [C V] P + V_new R.
            for i in &self.pivots {
                let (above, own) = self.coefficients[self.pending[*i] * self.ld..][..basis + chosen].split_at_mut(basis);
                for (l, c) in own.iter().enumerate() {
                    above.iter_mut().zip(&products[l * basis..]).for_each(|(a, v)| *a += *v * *c);
                }
                small::times_upper(&self.factor, chosen, own);
            }
            self.divide(chosen, chosen);
            if distance < NEAR {
                break;
            }
        }
        self.one.arnoldi.w[basis * n..][..chosen * n].copy_from_slice(&self.spare[..chosen * n]);
        self.vectors += chosen;
        Ok(())
    }

    /// The first `count` columns of `spare` times the inverse of the factor.
    fn divide(&mut self, ld: usize, count: usize) {
        small::inverse_upper(&self.factor, ld, count, &mut self.products);
        self.narrow.iter_mut().zip(&self.products[..count * count]).for_each(|(v, u)| *v = T::narrow(*u));
        kernels::rotate(&mut self.spare, self.n, count, &self.narrow, count, &mut self.tile);
    }

    /// What is neither in the basis nor nothing moves to the front of the block.
    fn compact(&mut self, m: usize) {
        let n = self.n;
        let mut kept = 0;
        for i in 0..m {
            if self.lengths[i] >= 0.0 && !self.pivots.contains(&i) {
                self.block.copy_within(i * n..(i + 1) * n, kept * n);
                self.pending[kept] = self.pending[i];
                kept += 1;
            }
        }
        self.pending.truncate(kept);
    }
}

/// G <- G - P^H P: the Gram matrix of what projection left.
fn downdate<W: Wide>(gram: &mut [W], products: &[W], rows: usize, m: usize) {
    for j in 0..m {
        for i in 0..m {
            let (p, q) = (&products[i * rows..][..rows], &products[j * rows..][..rows]);
            gram[j * m + i] -= p.iter().zip(q).fold(W::ZERO, |sum, (p, q)| sum + p.conj() * *q);
        }
    }
}

impl<T: Scalar> Method<T> for BlockGcrodr<T> {
    /// One right-hand side has a method of its own.
    async fn solve(&mut self, p: &mut Problem<'_, T>, x: &mut [T], x_is_zero: bool) -> Result<Outcome> {
        self.one.solve(p, x, x_is_zero).await
    }

    fn forget(&mut self) {
        self.one.forget()
    }

    fn recycled(&self) -> usize {
        self.one.recycled()
    }

    fn space(&self) -> Option<Panel<'_, T>> {
        self.one.space()
    }

    fn teach(&mut self, vectors: Panel<T>) {
        self.one.teach(vectors)
    }

    fn truncate(&mut self, count: usize) {
        self.one.truncate(count)
    }

    fn archive(&mut self, archive: &mut Archive) -> Result<()> {
        self.one.archive(archive)
    }
}
