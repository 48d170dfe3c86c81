//! Several columns of one solve: how many go in step, their futures or their team, and who looks on.

use super::column::{Attempt, Column, Track};
use super::method::AnyMethod;
use super::problem::{Counts, Verdict, PHASE_ITERATE};
use super::team::{Mate, Team};
use super::{Outcome, Report, Setup};
use crate::linalg::lockstep::{Column as Running, Lockstep, Service};
use crate::linalg::Panel;
use crate::operator::columns::AT_ONCE;
use crate::operator::Operator;
use crate::runtime::monitor::{Monitor, Progress, Wish};
use crate::runtime::{memory, Result, Scalar, Stop};
use std::cell::{Cell, RefCell};
use std::time::Instant;

/// A column's number, memory, track and solution.
type Place<'a, T> = (usize, ((&'a mut Column<T>, &'a Track), &'a mut [T]));

/// How many columns go in step where they share no space and nobody listens. With operators and sums of the library's
/// own it is as many as its kernels take at once, if reading the entries once for all of them is worth more than
/// carrying columns together and apart and keeping fewer of them in the caches; else one.
pub(super) fn in_step<T: Scalar>(setup: &Setup, a: &Operator<T>, m: Option<&Operator<T>>, count: usize) -> usize {
    /// Entries of A and M in a row from where it was measured to be.
    const WORTH: i64 = 24;
    let waits = setup.monitor.borrow().is_some() || setup.converged.borrow().is_some() || setup.context.reduce_hook().is_some();
    let entries = a.count("entries").and_then(|of_a| m.map_or(Some(0), |m| m.count("entries")).map(|of_m| of_a.saturating_add(of_m)));
    match entries {
        Some(entries) if !waits => if entries < WORTH.saturating_mul(a.nrows() as i64) { 1 } else { count.min(AT_ONCE) },
        _ => count,
    }
}

/// Runs a method for each column, all in lockstep.
pub(super) fn lockstep_outcomes<'a, T: Scalar>(
    all: Attempt<'a, T>,
    lockstep: &'a Lockstep<T>,
    service: &Service<T>,
    columns: impl Iterator<Item = Place<'a, T>>,
    b: Panel<'a, T>,
) -> Result<Vec<Result<Outcome>>> {
    let mut running: Vec<Running<Result<Outcome>>> = memory::with_capacity(b.ncols, "columns")?;
    for (j, ((column, track), x)) in columns {
        let member = lockstep.member(running.len());
        running.push(Box::pin(column.attempt(all, track.told(), Some(member), b.col(j), x, track.x_is_zero)));
    }
    Ok(lockstep.run(running, service))
}

/// Runs the block method of the first column on all of them.
pub(super) fn team_outcomes<'a, T: Scalar>(
    all: Attempt<'a, T>,
    lockstep: &'a Lockstep<T>,
    service: &'a Service<'a, T>,
    columns: impl Iterator<Item = Place<'a, T>>,
    b: Panel<'a, T>,
) -> Result<Vec<Result<Outcome>>> {
    let (mut block, mut guesses) = (None, memory::with_capacity(b.ncols, "columns")?);
    let mut team = Team { mates: memory::with_capacity(b.ncols, "columns")?, lockstep, service };
    for (j, ((column, track), x)) in columns {
        let (mut problem, method, solutions) = column.enter(all, track.told(), b.col(j));
        problem.space.member = Some(lockstep.member(j));
        block = block.or(method);
        guesses.push((solutions, track.x_is_zero));
        team.mates.push(Mate { problem, x, x_is_zero: track.x_is_zero, verdict: Verdict::Continue, outcome: None });
    }
    let zeros = team.each(guesses, |p, x, (solutions, is_zero)| {
        Box::pin(async move {
            match solutions.filter(|_| is_zero) {
                Some(solutions) => solutions.guess(p, x).await,
                None => Ok(is_zero),
            }
        })
    })?;
    for (mate, is_zero) in team.mates.iter_mut().zip(zeros) {
        mate.x_is_zero = is_zero.unwrap_or(false);
    }
    match block {
        Some(AnyMethod::BlockCg(block)) => block.solve_block(&mut team)?,
        Some(AnyMethod::BlockGcrodr(block)) => block.solve_block(&mut team)?,
        _ => {}
    }
    let outcome = |mate: Mate<T>| {
        let Mate { mut problem, x, outcome, .. } = mate;
        let outcome = outcome.unwrap_or(Ok(Outcome::Stopped(Stop::Breakdown)));
        problem.leave(&outcome, x);
        outcome
    };
    Ok(team.mates.into_iter().map(outcome).collect())
}

/// Columns in lockstep as those see them who look on: getters of callbacks, and the monitor.
pub(super) struct Watch<'a> {
    setup: &'a Setup,
    tracks: &'a [Track],
    monitor: RefCell<Option<&'a mut (dyn Monitor + 'static)>>,
    started: Instant,
    /// Steps that the monitor was told of, and whether it goes on listening.
    told: Cell<Option<usize>>,
    listens: Cell<bool>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(setup: &'a Setup, tracks: &'a [Track], monitor: Option<&'a mut (dyn Monitor + 'static)>, started: Instant) -> Self {
        let listens = Cell::new(monitor.is_some());
        Watch { setup, tracks, monitor: RefCell::new(monitor), started, told: Cell::new(None), listens }
    }

    /// Brings the report up to date; tells the monitor of a new step, and of the start once all have begun.
    pub(super) fn tell<T: Scalar>(&self, lockstep: &Lockstep<T>, sums: usize) {
        let longest = self.join();
        self.setup.report.borrow_mut().reductions = sums + lockstep.reductions();
        if !self.listens.get() || self.tracks.iter().any(|track| track.history.borrow().is_empty()) {
            return;
        }
        let steps = self.setup.report.borrow().counts.iterations;
        if self.told.get().is_none_or(|told| told < steps) {
            self.told.set(Some(steps));
            let (mut history, now) = (self.setup.history.borrow_mut(), self.tracks[longest].history.borrow());
            let known = history.len().min(now.len());
            history.extend_from_slice(&now[known..]);
            drop((history, now));
            let progress = progress(&self.setup.report.borrow(), self.tracks, self.started);
            let wish = self.monitor.borrow_mut().as_mut().map(|monitor| monitor.observe(&progress));
            if wish == Some(Wish::Stop) {
                self.listens.set(false);
                lockstep.wish(Stop::Monitor, self.setup.context.reduce_hook().is_some());
            }
        }
    }

    /// Joins the reports of all columns; returns the one that took the most iterations, whose residual is reported.
    fn join(&self) -> usize {
        let report = &mut *self.setup.report.borrow_mut();
        let mut longest = 0;
        report.counts = Counts::default();
        for (j, track) in self.tracks.iter().enumerate() {
            let column = track.report.borrow();
            if column.counts.iterations > report.counts.iterations {
                longest = j;
            }
            report.counts.join(&column.counts);
        }
        let column = self.tracks[longest].report.borrow();
        report.residual_norm = column.residual_norm;
        report.tested_norm = column.tested_norm;
        report.relative_residual = column.relative_residual;
        report.recurrence_norm = column.recurrence_norm;
        report.target = column.target;
        report.solve_seconds = self.started.elapsed().as_secs_f64() - report.setup_seconds;
        longest
    }

    /// The report when all have ended; returns the column that took the most iterations.
    pub(super) fn end(&self) -> usize {
        let longest = self.join();
        self.setup.report.borrow_mut().diagnostics.clone_from(&self.tracks[longest].report.borrow().diagnostics);
        longest
    }
}

/// What a monitor is told of columns in lockstep: the norm that is farthest from its target.
fn progress(report: &Report, tracks: &[Track], started: Instant) -> Progress {
    let (mut measure, mut target) = (0.0, 0.0);
    for track in tracks {
        let column = track.report.borrow();
        // By products: a target may be zero, and a norm that is no number is the farthest of all.
        if !(column.recurrence_norm * target <= measure * column.target) || target == 0.0 {
            (measure, target) = (column.recurrence_norm, column.target);
        }
    }
    let Counts { iterations, applies, .. } = report.counts;
    Progress { phase: PHASE_ITERATE, iteration: iterations, applies, measure, target, seconds: started.elapsed().as_secs_f64() }
}
