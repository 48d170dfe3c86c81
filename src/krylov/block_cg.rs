//! Block conjugate gradients for Hermitian positive definite A and M: one Krylov space for all right-hand sides.
//!
//! O'Leary, "The block conjugate gradient algorithm and related methods", Linear Algebra Appl. 29 (1980); without
//! breakdowns after Ji, Li, "A breakdown-free block conjugate gradient method", BIT 57 (2017), algorithm 2:
//!
//!   alpha = (P^H A P)^-1 P^H R,  X += P alpha,  R -= A P alpha,  Z = M R,
//!   beta = -(P^H A P)^-1 (A P)^H Z,  P = orth(Z + P beta).
//!
//! The last step drops directions that depend on others, so P may become narrower; a column that is there leaves
//! R, and its directions leave P a step later. Three reductions a step.
//!
//! Differs from the paper: P is made well conditioned by one pivoted Cholesky-QR rather than orthonormal. Apparent
//! convergence is verified by b - A x; if that does not hold for a column, the true residual replaces the
//! recurrence's and the directions start afresh.

use super::cg::{not_definite, Cg};
use super::options::Norm;
use super::problem::{Problem, Verdict};
use super::stagnation::Stagnation;
use super::team::Team;
use super::{Method, Outcome};
use crate::linalg::{kernels, small, Panel, PanelMut};
use crate::runtime::{memory, Error, Result, Scalar, Stop};

/// A direction that keeps less than this share of its squared length beside the others is dropped.
const DEPENDENT: f64 = 1e-12;

pub struct BlockCg<T: Scalar> {
    one: Cg<T>,
    n: usize,
    /// Columns that are still here, in the order of those of R and Z.
    here: Vec<usize>,
    /// Tested norm over that of the recurrence; no number where a true residual was just formed.
    scale: Vec<f64>,
    r: Vec<T>,
    z: Vec<T>,
    p: Vec<T>,
    q: Vec<T>,
    spare: Vec<T>,
    /// Directions.
    width: usize,
    /// The factor of P^H A P.
    factor: Vec<T::Wide>,
    /// What a reduction sums; (A P)^H Z in front after a step.
    products: Vec<T::Wide>,
    coefficients: Vec<T::Wide>,
    triangle: Vec<T::Wide>,
    pivots: Vec<usize>,
    left: Vec<f64>,
    lengths: Vec<f64>,
    room: Vec<T>,
    narrow: Vec<T>,
    tile: Vec<T>,
}

impl<T: Scalar> BlockCg<T> {
    /// For `width` right-hand sides.
    pub fn new(n: usize, width: usize) -> Result<Self> {
        const WHAT: &str = "block CG vectors";
        let panel = || memory::filled(memory::product(n, width, WHAT)?, T::ZERO, WHAT);
        let square = memory::product(width, width, WHAT)?;
        let small = |len: usize| memory::filled(len, <T::Wide as Scalar>::ZERO, WHAT);
        Ok(BlockCg {
            one: Cg::new(n)?,
            n,
            here: memory::with_capacity(width, WHAT)?,
            scale: memory::filled(width, 1.0, WHAT)?,
            r: panel()?,
            z: panel()?,
            p: panel()?,
            q: panel()?,
            spare: panel()?,
            width: 0,
            factor: small(square)?,
            products: small(Self::values(width))?,
            coefficients: small(square)?,
            triangle: small(square)?,
            pivots: memory::with_capacity(width, WHAT)?,
            left: memory::with_capacity(width, WHAT)?,
            lengths: memory::filled(width, 0.0, WHAT)?,
            room: memory::filled(square, T::ZERO, WHAT)?,
            narrow: memory::filled(square, T::ZERO, WHAT)?,
            tile: memory::filled(kernels::rotate_len(width), T::ZERO, WHAT)?,
        })
    }

    /// Numbers of one reduction at most.
    pub fn values(width: usize) -> usize {
        2 * width * width + 3 * width
    }

    /// Improves the columns of the team until each has its outcome.
    pub fn solve_block(&mut self, team: &mut Team<'_, T>) -> Result<()> {
        let (n, most) = (self.n, team.mates.len());
        let starts: Vec<_> = PanelMut::packed(&mut self.r, n, most).split().zip(team.zeros()).collect();
        let verdicts = team.each(starts, |p, x, (r, zero)| Box::pin(p.start(x, zero, r)))?;
        team.take(verdicts);
        let mut stagnation: Vec<Stagnation> = team.mates.iter().map(|mate| Stagnation::new(mate.problem.tested_norm)).collect();
        self.here.clear();
        self.here.extend(0..most);
        self.scale.fill(f64::NAN);
        self.width = 0;
        self.gather(team);
        let mut afresh = true;
        while !team.is_empty() {
            let step = self.step(team, afresh);
            if let Err(e) = step {
                team.fail(&e);
                break;
            }
            afresh = self.test(team, &mut stagnation)?;
            self.gather(team);
        }
        Ok(())
    }

    /// What belongs to columns that have left leaves R, Z and (A P)^H Z.
    fn gather(&mut self, team: &Team<'_, T>) {
        let (n, w) = (self.n, self.width);
        let mut kept = 0;
        for side in 0..self.here.len() {
            if team.mates[self.here[side]].outcome.is_some() {
                continue;
            }
            if kept < side {
                self.r.copy_within(side * n..(side + 1) * n, kept * n);
                self.z.copy_within(side * n..(side + 1) * n, kept * n);
                self.products.copy_within(side * w..(side + 1) * w, kept * w);
                self.here[kept] = self.here[side];
                self.scale[kept] = self.scale[side];
            }
            kept += 1;
        }
        self.here.truncate(kept);
    }

    fn step(&mut self, team: &mut Team<'_, T>, afresh: bool) -> Result<()> {
        let n = self.n;
        team.lead(async |p| self.directions(p, afresh).await)?;
        for (side, j) in self.here.iter().enumerate() {
            if self.scale[side].is_nan() {
                let length = self.products[side].real_part().sqrt();
                self.scale[side] = if length > 0.0 { team.mates[*j].problem.tested_norm / length } else { 0.0 };
            }
        }
        team.lead(async |p| self.curvature(p).await)?;
        let (q, w) = (self.here.len(), self.width);
        let alpha = &mut self.products[w * w..][..w * q];
        for column in alpha.chunks_exact_mut(w) {
            small::solve_cholesky(&self.factor, w, column);
        }
        self.narrow.iter_mut().zip(&*alpha).for_each(|(v, u)| *v = T::narrow(*u));
        let mut spare = PanelMut::packed(&mut self.spare, n, q);
        spare.data.fill(T::ZERO);
        kernels::add_panel(Panel::packed(&self.p, n, w), &self.narrow, spare.reborrow());
        for (side, j) in self.here.iter().enumerate() {
            let mate = &mut team.mates[*j];
            kernels::axpy(mate.problem.space.pool(), T::ONE, spare.col(side), mate.x);
        }
        self.narrow.iter_mut().for_each(|v| *v = -*v);
        kernels::add_panel(Panel::packed(&self.q, n, w), &self.narrow, PanelMut::packed(&mut self.r, n, q));
        team.lead(async |p| self.precondition(p).await)
    }

    /// P <- orth(Z + P beta), or orth(M R); `products` begins with the squared norms of R.
    async fn directions(&mut self, p: &mut Problem<'_, T>, afresh: bool) -> Result<()> {
        let (n, q, w) = (self.n, self.here.len(), self.width);
        if afresh {
            p.precondition_panel(Panel::packed(&self.r, n, q), PanelMut::packed(&mut self.z, n, q)).await?;
        } else {
            let beta = &mut self.products[..w * q];
            for column in beta.chunks_exact_mut(w) {
                small::solve_cholesky(&self.factor, w, column);
            }
            self.narrow.iter_mut().zip(&*beta).for_each(|(v, u)| *v = T::narrow(-*u));
            kernels::add_panel(Panel::packed(&self.p, n, w), &self.narrow, PanelMut::packed(&mut self.z, n, q));
        }
        let (r, z) = (Panel::packed(&self.r, n, q), Panel::packed(&self.z, n, q));
        let (squares, gram) = self.products.split_at_mut(q);
        for (side, square) in squares.iter_mut().enumerate() {
            p.space.local(r.cols(side, side + 1), r.col(side), std::slice::from_mut(square));
        }
        p.space.local_panel(z, z, &mut self.room, gram);
        p.space.sum(&mut self.products[..q + q * q]).await?;
        let gram = &mut self.products[q..q + q * q];
        for side in 0..q {
            let square = gram[side * q + side].real_part();
            p.finite(square, "M r", z.col(side))?;
            self.lengths[side] = square.max(0.0).sqrt();
        }
        small::scale_gram(gram, &self.lengths[..q]);
        small::pivoted_cholesky(gram, q, DEPENDENT, &mut self.pivots, &mut self.left, &mut self.triangle);
        let w = self.pivots.len();
        if w == 0 {
            return Err(Error::Indefinite(format!("the preconditioner is not positive definite: M r is 0 at iteration {}", p.counts.iterations)));
        }
        self.width = w;
        for (to, side) in self.pivots.iter().enumerate() {
            kernels::scaled_copy(p.space.pool(), 1.0 / self.lengths[*side], z.col(*side), &mut self.p[to * n..][..n]);
        }
        small::inverse_upper(&self.triangle, q, w, &mut self.coefficients);
        self.narrow.iter_mut().zip(&self.coefficients).for_each(|(v, u)| *v = T::narrow(*u));
        kernels::rotate(&mut self.p, n, w, &self.narrow, w, &mut self.tile);
        Ok(())
    }

    /// Q <- A P; `factor` that of P^H Q, and P^H R behind it in `products`.
    async fn curvature(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        let (n, q, w) = (self.n, self.here.len(), self.width);
        p.apply_panel(Panel::packed(&self.p, n, w), PanelMut::packed(&mut self.q, n, w)).await;
        let (directions, images) = (Panel::packed(&self.p, n, w), Panel::packed(&self.q, n, w));
        let (gram, along) = self.products.split_at_mut(w * w);
        p.space.local_panel(directions, images, &mut self.room, gram);
        p.space.local_panel(directions, Panel::packed(&self.r, n, q), &mut self.room, along);
        p.space.sum(&mut self.products[..w * (w + q)]).await?;
        for j in 0..w {
            let curvature = self.products[j * w + j].real_part();
            p.finite(curvature, "A p", images.col(j))?;
        }
        if !small::cholesky(&self.products, w, &mut self.factor) {
            let least = (0..w).map(|j| self.products[j * w + j].real_part()).fold(f64::INFINITY, f64::min);
            let text = format!("the operator is not positive definite: P^H A P is not at iteration {} (least p^H A p {least:e})", p.counts.iterations);
            return Err(Error::Indefinite(text));
        }
        Ok(())
    }

    /// Z <- M R; `products` becomes (A P)^H Z, and behind it r^H z, ||r||^2 and ||z||^2 of each column.
    async fn precondition(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        let (n, q, w) = (self.n, self.here.len(), self.width);
        p.precondition_panel(Panel::packed(&self.r, n, q), PanelMut::packed(&mut self.z, n, q)).await?;
        let (r, z) = (Panel::packed(&self.r, n, q), Panel::packed(&self.z, n, q));
        let (along, own) = self.products.split_at_mut(w * q);
        p.space.local_panel(Panel::packed(&self.q, n, w), z, &mut self.room, along);
        for (side, own) in own.chunks_exact_mut(3).take(q).enumerate() {
            p.space.local(z.cols(side, side + 1), r.col(side), &mut own[..1]);
            p.space.local(r.cols(side, side + 1), r.col(side), &mut own[1..2]);
            p.space.local(z.cols(side, side + 1), z.col(side), &mut own[2..]);
        }
        p.space.sum(&mut self.products[..w * q + 3 * q]).await
    }

    /// Tests the columns that are still here, and verifies those that claim to be there; true if the directions must
    /// start afresh.
    fn test(&mut self, team: &mut Team<'_, T>, stagnation: &mut [Stagnation]) -> Result<bool> {
        let (n, q, w) = (self.n, self.here.len(), self.width);
        let mut shares: Vec<Option<Share<T>>> = Vec::new();
        memory::reserve(&mut shares, team.mates.len(), "columns")?;
        shares.resize_with(team.mates.len(), || None);
        let mut stagnation: Vec<Option<&mut Stagnation>> = stagnation.iter_mut().map(Some).collect();
        for (side, r) in PanelMut::packed(&mut self.r, n, q).split().enumerate() {
            let own = &self.products[w * q + 3 * side..][..3];
            let j = self.here[side];
            let is_preconditioned = team.mates[j].problem.settings.norm == Norm::Preconditioned;
            let norm = if is_preconditioned { own[2].real_part().sqrt() } else { own[1].real_part().sqrt() * self.scale[side] };
            shares[j] = stagnation[j].take().map(|stagnation| Share { norm, rz: own[0].real_part(), rr: own[1].real_part(), r, stagnation });
        }
        let ends = team.each(shares, |p, x, share| {
            Box::pin(async move {
                // All that are here have one.
                let Some(share) = share else { return Ok((Verdict::Continue, false)) };
                share.judge(p, x).await
            })
        })?;
        let mut afresh = false;
        for (side, j) in self.here.iter().enumerate() {
            let Some((verdict, is_replaced)) = ends[*j] else { continue };
            if is_replaced && verdict == Verdict::Continue {
                self.scale[side] = f64::NAN;
                afresh = true;
            }
        }
        team.take(ends.into_iter().map(|end| end.map(|(verdict, _)| verdict)).collect());
        Ok(afresh)
    }
}

/// What a column is judged by.
struct Share<'a, T> {
    norm: f64,
    rz: f64,
    rr: f64,
    r: &'a mut [T],
    stagnation: &'a mut Stagnation,
}

impl<T: Scalar> Share<'_, T> {
    /// The verdict after a step, and whether a true residual has replaced that of the recurrence.
    async fn judge(self, p: &mut Problem<'_, T>, x: &mut [T]) -> Result<(Verdict, bool)> {
        let Share { norm, rz, rr, r, stagnation } = self;
        p.finite(rz, "M r", r)?;
        let mut claim = p.check(norm).await?;
        p.keep_best(x, norm);
        if p.diverged(norm) {
            claim = Verdict::Stop(Stop::Breakdown);
        } else if claim == Verdict::Continue {
            if rz <= 0.0 && rr > 0.0 {
                not_definite("the preconditioner is", "r^H M r", rz, rr, p.counts.iterations)?;
            }
            if rr > 0.0 {
                return Ok((claim, false));
            }
            claim = Verdict::Converged;
        }
        Ok((p.settle(claim, x, r, stagnation).await?, true))
    }
}

impl<T: Scalar> Method<T> for BlockCg<T> {
    /// One right-hand side has a method of its own.
    async fn solve(&mut self, p: &mut Problem<'_, T>, x: &mut [T], x_is_zero: bool) -> Result<Outcome> {
        self.one.solve(p, x, x_is_zero).await
    }
}
