//! One linear system as a method sees it: scaled, projected off nullspaces, counted, voted on.

use super::options::{Norm, Place, Reference, Settings, Verify};
use crate::linalg::lockstep::Wanted;
use crate::linalg::{kernels, Panel, PanelMut, Space};
use crate::operator::{Columns, Operator, Trans};
use crate::runtime::context::LOG_CYCLE;
use crate::runtime::monitor::{Monitor, Progress, Wish};
use crate::runtime::profile::{within, Phase};
use crate::runtime::{Error, Result, Scalar, Stop};
use super::Report;
use std::cell::RefCell;
use std::time::Instant;

/// The user's own convergence test.
pub trait Converged {
    /// Whether `norm` at this iteration is good enough.
    fn converged(&mut self, iteration: usize, norm: f64, target: f64) -> Result<bool>;
}

/// Row and column scaling: the solver works on (S1 A S2^-1)(S2 x) = S1 b.
#[derive(Default, Clone)]
pub struct Scaling {
    pub left: Option<Vec<f64>>,
    pub right: Option<Vec<f64>>,
    /// Rises with each change.
    pub version: u64,
}

/// (A, its version, left M, its version, scaling's version).
pub type Identity = [u64; 5];

impl Scaling {
    pub fn is_identity(&self) -> bool {
        self.left.is_none() && self.right.is_none()
    }
}

/// Nullspace vectors, orthonormal in the solver's space. Emptiness is a matter of their count: a
/// rank may have no rows.
#[derive(Default)]
pub struct Nullspaces<T> {
    pub right: Columns<T>,
    pub left: Columns<T>,
}

#[derive(Default, Clone, Copy, Debug)]
pub struct Counts {
    pub iterations: usize,
    pub applies: usize,
    pub recycle_applies: usize,
    pub verify_applies: usize,
    pub preconditioner_applies: usize,
    pub restarts: usize,
    pub reorthogonalizations: usize,
}

/// What the stopping test says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Continue,
    /// The norm at hand meets the target; it may still have to be verified.
    Converged,
    Stop(Stop),
}

/// A residual this many times the best one will not come back.
const DIVERGED: f64 = 1e8;

/// Phases a monitor is told of.
pub const PHASE_ITERATE: i32 = 1;

pub struct Problem<'a, T: Scalar> {
    pub a: &'a Operator<T>,
    pub m: Option<&'a Operator<T>>,
    pub space: Space<'a, T>,
    pub b: &'a [T],
    pub settings: Settings,
    pub scaling: &'a Scaling,
    pub nullspaces: &'a Nullspaces<T>,
    /// For scaled applies, for tested norms, and the best point so far.
    pub work: [&'a mut [T]; 3],
    pub monitor: Option<&'a mut (dyn Monitor + 'static)>,
    pub converged: &'a RefCell<Option<Box<dyn Converged>>>,
    pub history: &'a RefCell<Vec<f64>>,
    /// Kept up to date for callbacks that ask.
    pub report: &'a RefCell<Report>,
    pub counts: Counts,
    pub started: Instant,
    /// ||b|| in the tested norm, and plain.
    pub rhs_norm: f64,
    pub rhs_true_norm: f64,
    /// Where this attempt began, and how many iterations it is worth.
    pub begun: usize,
    pub worth: usize,
    pub first_norm: f64,
    /// 0 until it is known; a second attempt keeps that of the first.
    pub target: f64,
    /// Norms at the last true residual: plain, and as tested.
    pub true_norm: f64,
    pub tested_norm: f64,
    /// Whether those two belong to the present x.
    pub is_verified: bool,
    pub recurrence_norm: f64,
    /// Tested norm, by the recurrence, of the point in `work[2]`.
    pub best_norm: f64,
}

impl<T: Scalar> Problem<'_, T> {
    pub fn n(&self) -> usize {
        self.b.len()
    }

    /// y <- A x (scaled). A failure is kept for the vote of the next reduction; `y` is then zero.
    /// Until that vote a rank that failed goes on multiplying: the others may wait for its part.
    pub async fn apply(&mut self, x: &[T], y: &mut [T]) {
        self.counts.applies += 1;
        if self.space.ended() {
            return y.fill(T::ZERO);
        }
        if self.scaling.is_identity() {
            multiply(&self.space, self.a, Wanted::Operator, x, y).await;
        } else {
            let t = &mut *self.work[0];
            unscale(x, &self.scaling.right, t);
            multiply(&self.space, self.a, Wanted::Operator, t, y).await;
            rescale(&self.scaling.left, y);
        }
    }

    /// Y <- A X for several columns at once.
    pub async fn apply_panel(&mut self, x: Panel<'_, T>, mut y: PanelMut<'_, T>) {
        if !self.takes_panels() {
            for j in 0..x.ncols {
                self.apply(x.col(j), y.col(j)).await;
            }
            return;
        }
        self.counts.applies += x.ncols;
        if !self.space.ended() {
            match within(Phase::Apply, || self.a.apply(self.space.pool(), Trans::N, x, y.reborrow())) {
                Ok(()) => return,
                Err(e) => self.space.fail(e),
            }
        }
        (0..y.ncols).for_each(|j| y.col(j).fill(T::ZERO));
    }

    /// z <- M r, or r where there is no preconditioner; projected off the right nullspace.
    pub async fn precondition(&mut self, r: &[T], z: &mut [T]) -> Result<()> {
        let Some(m) = self.m else {
            z.copy_from_slice(r);
            return self.project_right(z).await;
        };
        self.counts.preconditioner_applies += 1;
        if self.space.ended() {
            z.fill(T::ZERO);
            return Ok(());
        }
        if self.scaling.is_identity() {
            multiply(&self.space, m, Wanted::Preconditioner, r, z).await;
        } else {
            let t = &mut *self.work[0];
            unscale(r, &self.scaling.left, t);
            multiply(&self.space, m, Wanted::Preconditioner, t, z).await;
            rescale(&self.scaling.right, z);
        }
        self.project_right(z).await
    }

    /// Z <- M R for several columns at once.
    pub async fn precondition_panel(&mut self, r: Panel<'_, T>, mut z: PanelMut<'_, T>) -> Result<()> {
        let Some(m) = self.m.filter(|_| self.takes_panels() && !self.space.ended()) else {
            for j in 0..r.ncols {
                self.precondition(r.col(j), z.col(j)).await?;
            }
            return Ok(());
        };
        self.counts.preconditioner_applies += r.ncols;
        let done = within(Phase::Precondition, || m.apply(self.space.pool(), Trans::N, r, z.reborrow()));
        for j in 0..r.ncols {
            if done.is_err() {
                z.col(j).fill(T::ZERO);
            }
            self.project_right(z.col(j)).await?;
        }
        done.unwrap_or_else(|e| self.space.fail(e));
        Ok(())
    }

    /// Whether columns can be multiplied together here.
    fn takes_panels(&self) -> bool {
        self.scaling.is_identity() && self.space.member.is_none_or(|member| member.is_lead())
    }

    /// As `forward`, for several columns at once. `t` holds as many.
    pub async fn forward_panel(&mut self, v: Panel<'_, T>, mut z: PanelMut<'_, T>, mut w: PanelMut<'_, T>, mut t: PanelMut<'_, T>) -> Result<()> {
        if self.settings.place != Place::Left {
            self.precondition_panel(v, z.reborrow()).await?;
            self.apply_panel(z.as_panel(), w).await;
            return Ok(());
        }
        (0..v.ncols).for_each(|j| z.col(j).copy_from_slice(v.col(j)));
        self.apply_panel(v, t.reborrow()).await;
        self.precondition_panel(t.as_panel(), w.reborrow()).await
    }

    /// One application of the preconditioned operator: right `z = M v, w = A z`; left
    /// `z = v, w = M A v`.
    pub async fn forward(&mut self, v: &[T], z: &mut [T], w: &mut [T]) -> Result<()> {
        self.search_direction(v, z).await?;
        self.image(z, w).await
    }

    /// w <- the image of a vector of the solution space: A z, or M A z on the left.
    pub async fn image(&mut self, z: &[T], w: &mut [T]) -> Result<()> {
        if self.settings.place != Place::Left {
            self.apply(z, w).await;
            return Ok(());
        }
        let mut t = std::mem::take(&mut self.work[1]);
        self.apply(z, t).await;
        let done = self.precondition(t, w).await;
        self.work[1] = std::mem::take(&mut t);
        done
    }

    async fn project_right(&self, z: &mut [T]) -> Result<()> {
        project(&self.space, &self.nullspaces.right, z).await
    }

    /// r <- b - A x, its norm and its tested norm. `x` all zeros costs no apply. An x that is not finite
    /// is an error on all ranks, also where A has zeros for the entry.
    pub async fn residual(&mut self, x: &[T], x_is_zero: bool, r: &mut [T]) -> Result<()> {
        if x_is_zero {
            r.copy_from_slice(self.b);
        } else {
            self.apply(x, r).await;
            self.counts.verify_applies += 1;
            kernels::residual(self.space.pool(), self.b, r);
        }
        project(&self.space, &self.nullspaces.left, r).await?;
        if let Some(p) = kernels::first_nonfinite(x).filter(|_| !x_is_zero) {
            r[p] = T::from_f64(f64::NAN);
        }
        self.measure(r).await
    }

    /// Norms of a residual vector that was just formed from its definition.
    async fn measure(&mut self, r: &[T]) -> Result<()> {
        let scaled = self.finite(self.space.norm(r).await?, "A x", r)?;
        self.true_norm = if self.scaling.left.is_none() {
            scaled
        } else {
            let mut t = std::mem::take(&mut self.work[0]);
            unscale(r, &self.scaling.left, t);
            let norm = self.space.norm(t).await;
            self.work[0] = std::mem::take(&mut t);
            norm?
        };
        self.tested_norm = match self.settings.norm {
            Norm::True => self.true_norm,
            Norm::Weighted => scaled,
            Norm::Preconditioned if self.m.is_none() => scaled,
            Norm::Preconditioned => self.preconditioned_norm(r).await?,
        };
        self.is_verified = true;
        Ok(())
    }

    async fn preconditioned_norm(&mut self, r: &[T]) -> Result<f64> {
        let mut t = std::mem::take(&mut self.work[1]);
        let mut done = self.precondition(r, t).await.map(|()| 0.0);
        if done.is_ok() {
            done = self.space.norm(t).await;
        }
        let finite = done.and_then(|norm| self.finite(norm, "M r", t));
        self.work[1] = std::mem::take(&mut t);
        finite
    }

    /// Passes a norm on if it is finite; otherwise says whose output was not.
    pub fn finite(&self, norm: f64, whose: &str, vector: &[T]) -> Result<f64> {
        if norm.is_finite() {
            return Ok(norm);
        }
        Err(Error::NonFinite(match kernels::first_nonfinite(vector) {
            Some(p) => format!("{whose} has {} at position {p}, must be finite", vector[p]),
            None => format!("{whose} is not finite on another rank, or its norm overflows"),
        }))
    }

    /// The first residual, the reference and the target; a zero right-hand side has the zero
    /// solution. Tells whether there is nothing to do.
    pub async fn start(&mut self, x: &mut [T], x_is_zero: bool, r: &mut [T]) -> Result<Verdict> {
        self.residual(x, true, r).await?;
        (self.rhs_norm, self.rhs_true_norm) = (self.tested_norm, self.true_norm);
        if self.rhs_true_norm == 0.0 {
            x.fill(T::ZERO);
        } else if !x_is_zero {
            self.residual(x, false, r).await?;
        }
        self.keep_best(x, self.tested_norm);
        let reference = match self.settings.reference {
            Reference::Rhs => self.rhs_norm,
            Reference::Initial => self.tested_norm,
            Reference::None => 0.0,
        };
        if self.target == 0.0 {
            self.target = self.settings.atol.max(self.settings.rtol * reference);
        }
        self.recurrence_norm = self.tested_norm;
        self.first_norm = self.tested_norm;
        self.remember(self.tested_norm);
        self.verdict(self.tested_norm).await
    }

    /// After an iteration whose recurrence gives this tested norm: counts, tells the monitor,
    /// tests. Wishes to stop are granted by the next reduction, on all ranks alike.
    pub async fn check(&mut self, norm: f64) -> Result<Verdict> {
        self.counts.iterations += 1;
        self.is_verified = false;
        self.recurrence_norm = norm;
        self.remember(norm);
        self.verdict(norm).await
    }

    /// The history keeps as much as was reserved for it.
    fn remember(&self, norm: f64) {
        let mut history = self.history.borrow_mut();
        if history.len() < history.capacity() {
            history.push(norm);
        }
    }

    /// After the last step: tells how it ended. After an error x may have overflowed where nobody looked: the best
    /// point, if there is one, is sound.
    pub fn leave<R>(&mut self, outcome: &Result<R>, x: &mut [T]) {
        self.publish();
        if outcome.is_err() && self.best_norm < f64::INFINITY && kernels::first_nonfinite(x).is_some() {
            x.copy_from_slice(self.work[2]);
        }
    }

    /// The report as of now.
    pub fn publish(&self) {
        let mut report = self.report.borrow_mut();
        report.counts = self.counts;
        report.reductions = self.space.reductions();
        report.residual_norm = if self.is_verified { self.true_norm } else { self.recurrence_norm };
        report.relative_residual = report.residual_norm / if self.rhs_true_norm > 0.0 { self.rhs_true_norm } else { 1.0 };
        report.tested_norm = if self.is_verified { self.tested_norm } else { self.recurrence_norm };
        report.recurrence_norm = self.recurrence_norm;
        report.target = self.target;
        report.solve_seconds = self.started.elapsed().as_secs_f64() - report.setup_seconds;
    }

    /// What a norm means, without counting an iteration.
    pub async fn verdict(&mut self, norm: f64) -> Result<Verdict> {
        let seconds = self.started.elapsed().as_secs_f64();
        self.publish();
        if let Some(monitor) = &mut self.monitor {
            let progress = Progress {
                phase: PHASE_ITERATE,
                iteration: self.counts.iterations,
                applies: self.counts.applies,
                measure: norm,
                target: self.target,
                seconds,
            };
            if monitor.observe(&progress) == Wish::Stop {
                self.space.wish(Stop::Monitor);
            }
        }
        if seconds > self.settings.time_limit {
            self.space.wish(Stop::Time);
        }
        if self.space.context.interrupted() {
            self.space.wish(Stop::Interrupt);
        }
        let good = match self.user_test(norm).await? {
            Some(good) => good,
            // Far below rounding there is nothing left to gain: let the true residual decide.
            None => norm <= self.target || (self.settings.verify != Verify::Never && norm <= 0.01 * T::EPSILON * self.rhs_norm),
        };
        if good {
            return Ok(Verdict::Converged);
        }
        if let Some(stop) = self.space.granted() {
            return Ok(Verdict::Stop(stop));
        }
        if self.counts.iterations >= self.settings.max_iterations || self.is_hopeless(norm) {
            return Ok(Verdict::Stop(Stop::Iterations));
        }
        Ok(Verdict::Continue)
    }

    /// Whether the attempt, going on at its average rate, would need twice the iterations that it is
    /// worth.
    fn is_hopeless(&self, norm: f64) -> bool {
        let done = self.counts.iterations - self.begun;
        // The residual of a short recurrence may rise at first.
        if self.worth == usize::MAX || done < 5.max(self.worth / 4) {
            return false;
        }
        let (gained, wanted) = ((self.first_norm / norm).ln(), (self.first_norm / self.target).ln());
        !(done as f64 * wanted <= 2.0 * self.worth as f64 * gained)
    }

    /// Remembers x if its residual is half that of the last point kept.
    pub fn keep_best(&mut self, x: &[T], norm: f64) {
        if norm <= 0.5 * self.best_norm {
            self.best_norm = norm;
            // The recurrence may not see what overflows in a column of zeros.
            if kernels::first_nonfinite(x).is_none() {
                self.work[2].copy_from_slice(x);
            }
        }
    }

    /// Whether a recurrence has gone astray for good.
    pub fn diverged(&self, norm: f64) -> bool {
        !(norm <= DIVERGED * self.best_norm)
    }

    /// r <- b - A x, at the best point kept if x is more than `slack` times worse, or not even finite.
    /// A best point known from a true residual needs no slack.
    pub async fn residual_or_best(&mut self, x: &mut [T], r: &mut [T], slack: f64) -> Result<()> {
        match self.residual(x, false, r).await {
            Ok(()) if self.tested_norm <= self.target.max(slack * self.best_norm) => return Ok(()),
            Ok(()) => {}
            Err(Error::NonFinite(_)) if !self.space.ended() => {}
            failed => return failed,
        }
        x.copy_from_slice(self.work[2]);
        self.residual(x, false, r).await?;
        // A recurrence that went astray may have called a point its best that is not even as good as zero.
        if self.tested_norm <= self.rhs_norm {
            return Ok(());
        }
        x.fill(T::ZERO);
        self.residual(x, true, r).await
    }

    /// Whether a converged recurrence must be verified by the true residual.
    pub fn wants_verification(&self, recurrence: f64) -> bool {
        match self.settings.verify {
            Verify::Always => true,
            Verify::Near => recurrence > 0.1 * self.target,
            Verify::Never => false,
        }
    }

    /// Names everything that the image of a vector depends on.
    pub fn identity(&self) -> Identity {
        let left = self.m.filter(|_| self.settings.place == Place::Left);
        let (m, m_version) = left.map_or((0, 0), |m| (m.id(), m.version()));
        [self.a.id(), self.a.version(), m, m_version, self.scaling.version]
    }

    /// What to do with the residual just formed, outside of any iteration.
    pub async fn verdict_of_residual(&mut self) -> Result<Verdict> {
        self.recurrence_norm = self.tested_norm;
        Ok(match (self.is_met().await?, self.space.granted()) {
            (true, _) => Verdict::Converged,
            (false, Some(stop)) => Verdict::Stop(stop),
            (false, None) => Verdict::Continue,
        })
    }

    /// z <- what a basis vector v stands for in the solution space.
    pub async fn search_direction(&mut self, v: &[T], z: &mut [T]) -> Result<()> {
        if self.settings.place == Place::Left {
            z.copy_from_slice(v);
            return Ok(());
        }
        self.precondition(v, z).await
    }

    /// Whether the residual just formed meets the target.
    pub async fn is_met(&mut self) -> Result<bool> {
        Ok(self.user_test(self.tested_norm).await?.unwrap_or(self.tested_norm <= self.target))
    }

    /// The answer of the user's own test, if there is one: yes if all ranks say yes.
    async fn user_test(&mut self, norm: f64) -> Result<Option<bool>> {
        let answer = self.converged.borrow_mut().as_mut().map(|test| test.converged(self.counts.iterations, norm, self.target));
        let Some(answer) = answer else { return Ok(None) };
        let good = answer.unwrap_or_else(|e| {
            self.space.fail(e);
            false
        });
        let mut against = [<T::Wide as Scalar>::from_f64(!good as u8 as f64)];
        self.space.sum(&mut against).await?;
        Ok(Some(against[0].real_part() == 0.0))
    }

    pub fn log_cycle(&self, method: &str) {
        self.space.context.log(LOG_CYCLE, || {
            format!(
                "{method}: iteration {} residual {:.3e} target {:.3e}",
                self.counts.iterations, self.tested_norm, self.target
            )
        });
    }
}

/// y <- the operator times x, alone or with other columns. After a failure, which is kept for the vote, y is
/// zero.
async fn multiply<T: Scalar>(space: &Space<'_, T>, operator: &Operator<T>, kind: Wanted, x: &[T], y: &mut [T]) {
    if let Some(member) = space.member.as_ref().filter(|member| !member.is_lead()) {
        return member.multiply(kind, x, y).await;
    }
    if let Err(e) = within(kind.phase(), || operator.apply_vector(space.pool(), x, y)) {
        space.fail(e);
        y.fill(T::ZERO);
    }
}

/// y <- y - N N^H y for orthonormal columns N.
async fn project<T: Scalar>(space: &Space<'_, T>, columns: &Columns<T>, y: &mut [T]) -> Result<()> {
    for j in 0..columns.count {
        let column = &columns.data[j * y.len()..][..y.len()];
        let c = T::narrow(space.dot(column, y).await?);
        kernels::axpy(space.pool(), -c, column, y);
    }
    Ok(())
}

/// y <- S^-1 x; no scaling is the identity.
fn unscale<T: Scalar>(x: &[T], s: &Option<Vec<f64>>, y: &mut [T]) {
    match s {
        None => y.copy_from_slice(x),
        Some(s) => y.iter_mut().zip(x).zip(s).for_each(|((v, u), s)| *v = u.scale(1.0 / s)),
    }
}

/// y <- S y.
fn rescale<T: Scalar>(s: &Option<Vec<f64>>, y: &mut [T]) {
    y.iter_mut().zip(s.iter().flatten()).for_each(|(v, s)| *v = v.scale(*s));
}
