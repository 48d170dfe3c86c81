//! The columns of a block method: their problems, which go in lockstep where each is on its own (residuals, tests,
//! monitors), and the one of them that acts for all where the block is one thing.

use super::problem::{Problem, Verdict};
use super::Outcome;
use crate::linalg::lockstep::{alone, Column as Running, Lockstep, Service};
use crate::runtime::{memory, Error, Result, Scalar};

/// One column of a block method.
pub(super) struct Mate<'a, T: Scalar> {
    pub problem: Problem<'a, T>,
    pub x: &'a mut [T],
    pub x_is_zero: bool,
    pub verdict: Verdict,
    /// Set when it leaves the others.
    pub outcome: Option<Result<Outcome>>,
}

pub(super) struct Team<'a, T: Scalar> {
    pub mates: Vec<Mate<'a, T>>,
    pub lockstep: &'a Lockstep<T>,
    pub service: &'a Service<'a, T>,
}

impl<'a, T: Scalar> Team<'a, T> {
    /// Runs a step of each column that is still here, with its share of `shares`, in lockstep. Who fails leaves.
    /// The others' results are in their places.
    pub fn each<'m, S: 'm, R: 'm>(
        &'m mut self,
        shares: impl IntoIterator<Item = S>,
        mut step: impl FnMut(&'m mut Problem<'a, T>, &'m mut [T], S) -> Running<'m, Result<R>>,
    ) -> Result<Vec<Option<R>>> {
        let mut running: Vec<Running<Option<R>>> = memory::with_capacity(self.mates.len(), "columns")?;
        for (Mate { problem, x, outcome, .. }, share) in self.mates.iter_mut().zip(shares) {
            if outcome.is_some() {
                running.push(Box::pin(async { None }));
                continue;
            }
            let step = step(problem, x, share);
            running.push(Box::pin(async {
                match step.await {
                    Ok(result) => Some(result),
                    Err(e) => {
                        *outcome = Some(Err(e));
                        None
                    }
                }
            }));
        }
        Ok(self.lockstep.run(running, self.service))
    }

    /// Whether each column starts from zero.
    pub fn zeros(&self) -> Vec<bool> {
        self.mates.iter().map(|mate| mate.x_is_zero).collect()
    }

    /// Takes verdicts, which are outcomes where they are final.
    pub fn take(&mut self, verdicts: Vec<Option<Verdict>>) {
        for (mate, verdict) in self.mates.iter_mut().zip(verdicts) {
            let Some(verdict) = verdict else { continue };
            mate.verdict = verdict;
            mate.outcome = match verdict {
                Verdict::Converged => Some(Ok(Outcome::Converged)),
                Verdict::Stop(stop) => Some(Ok(Outcome::Stopped(stop))),
                Verdict::Continue => None,
            };
        }
    }

    /// Whether no column is left.
    pub fn is_empty(&self) -> bool {
        self.here().next().is_none()
    }

    /// Columns that are still here.
    pub fn here(&self) -> impl Iterator<Item = usize> + use<'_, 'a, T> {
        self.mates.iter().enumerate().filter(|(_, mate)| mate.outcome.is_none()).map(|(j, _)| j)
    }

    /// What one does for all of them: its sums are those of the block, and wait for nobody.
    pub fn lead<R>(&mut self, work: impl AsyncFnOnce(&mut Problem<'a, T>) -> R) -> R {
        let problem = &mut self.mates[0].problem;
        problem.space.member = Some(self.lockstep.lead());
        let result = alone(work(problem));
        problem.space.member = Some(self.lockstep.member(0));
        result
    }

    /// All that are still here end with this error.
    pub fn fail(&mut self, error: &Error) {
        self.mates.iter_mut().filter(|mate| mate.outcome.is_none()).for_each(|mate| mate.outcome = Some(Err(error.clone())));
    }
}
