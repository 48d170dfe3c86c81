//! GMRES(m), right, left or flexibly preconditioned.
//!
//! Saad, Schultz, "GMRES: a generalized minimal residual algorithm", SIAM J. Sci. Stat. Comput. 7
//! (1986); Saad, "A flexible inner-outer preconditioned GMRES algorithm", SIAM J. Sci. Comput. 14
//! (1993). Solves A x = b for any nonsingular A.
//!
//! Differs from the paper: classical Gram-Schmidt with delayed second pass (`arnoldi`); every
//! cycle starts from a residual formed as b - A x.

use super::arnoldi::{Arnoldi, CycleEnd};
use super::options::Place;
use super::problem::{Problem, Verdict};
use super::stagnation::Stagnation;
use super::{Method, Outcome};
use crate::runtime::options::Options;
use crate::runtime::{memory, Result, Scalar};

pub struct Gmres<T: Scalar, S: Scalar<Wide = T::Wide>> {
    arnoldi: Arnoldi<T, S>,
    r: Vec<T>,
    mr: Vec<T>,
}

impl<T: Scalar, S: Scalar<Wide = T::Wide>> Gmres<T, S> {
    pub fn new(n: usize, options: &Options) -> Result<Self> {
        let left = options.text("side") == "left";
        Ok(Gmres {
            arnoldi: Arnoldi::new(n, options.count("restart"), 1, options.text("side") == "flexible", options)?,
            r: memory::filled(n, T::ZERO, "residual")?,
            mr: memory::filled(if left { n } else { 0 }, T::ZERO, "residual")?,
        })
    }
}

impl<T: Scalar, S: Scalar<Wide = T::Wide>> Method<T> for Gmres<T, S> {
    async fn solve(&mut self, p: &mut Problem<'_, T>, x: &mut [T], x_is_zero: bool) -> Result<Outcome> {
        let mut verdict = p.start(x, x_is_zero, &mut self.r).await?;
        let mut stagnation = Stagnation::new(p.tested_norm);
        loop {
            match verdict {
                Verdict::Converged => return Ok(Outcome::Converged),
                Verdict::Stop(stop) => return Ok(Outcome::Stopped(stop)),
                Verdict::Continue => {}
            }
            let (start, beta) = recurrence_start(p, &self.r, &mut self.mr).await?;
            let end = self.arnoldi.cycle(p, start, beta).await;
            // Also after an error: the steps before it are sound, and x is delivered.
            let updated = self.arnoldi.update(p, &[], x).await;
            let sound = end.is_ok() && updated.is_ok();
            verdict = p.close_cycle(end, updated, x, &mut self.r, &mut stagnation).await?;
            if sound {
                self.arnoldi.diagnose(p, self.arnoldi.k + self.arnoldi.steps()).await?;
            }
            p.log_cycle("gmres");
        }
    }
}

/// What the recurrence starts from: the residual, or the preconditioned residual on the left.
pub(super) async fn recurrence_start<'v, T: Scalar>(p: &mut Problem<'_, T>, r: &'v [T], mr: &'v mut [T]) -> Result<(&'v [T], f64)> {
    if p.settings.place != Place::Left || p.m.is_none() {
        let norm = p.space.norm(r).await?;
        return Ok((r, norm));
    }
    p.precondition(r, mr).await?;
    let norm = p.space.norm(mr).await?;
    p.finite(norm, "M r", mr)?;
    Ok((mr, norm))
}

impl<T: Scalar> Problem<'_, T> {
    /// Ends a cycle: x is at its minimiser; forms the true residual and says what comes next.
    pub(super) async fn close_cycle(
        &mut self,
        end: Result<CycleEnd>,
        updated: Result<()>,
        x: &mut [T],
        r: &mut [T],
        stagnation: &mut Stagnation,
    ) -> Result<Verdict> {
        let end = end?;
        updated?;
        if let CycleEnd::Verdict(Verdict::Converged) = end {
            if !self.wants_verification(self.recurrence_norm) {
                return Ok(Verdict::Converged);
            }
        }
        let found = self.residual_or_best(x, r, 1.0).await;
        if found.is_err() {
            // The last update may hold on some ranks only.
            x.copy_from_slice(self.work[2]);
        }
        found?;
        if self.is_met().await? {
            return Ok(Verdict::Converged);
        }
        self.keep_best(x, self.tested_norm);
        if let CycleEnd::Verdict(Verdict::Stop(stop)) = end {
            return Ok(Verdict::Stop(stop));
        }
        let claimed = matches!(end, CycleEnd::Verdict(Verdict::Converged));
        if let Some(stop) = stagnation.observe(self.tested_norm, claimed, matches!(end, CycleEnd::Exhausted)) {
            return Ok(Verdict::Stop(stop));
        }
        self.counts.restarts += 1;
        Ok(Verdict::Continue)
    }
}
