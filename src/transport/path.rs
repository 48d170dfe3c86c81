//! "auto": a path of eps down to the one asked for, a few Sinkhorn iterations and truncated Newton steps on each level.
//!
//! Levels fall by a factor of 4 from a twentieth of the largest cost, each solved to an L1 error of 3e-2, the last to the
//! tolerance. A level that does not get there is tried again from the one before it by way of their geometric mean.
//! Close to published: Schmitzer 2019 (arXiv 1610.06519) for the path, Tang et al. 2024 (arXiv 2401.12253) and Pan, Li and Yan
//! 2026 (arXiv 2603.07156) for sparsified Newton steps on the semi-dual.

use super::dual::{Dual, Take};
use super::newton::Newton;
use super::Watch;
use crate::runtime::{memory, Outcome, Result};

const FACTOR: f64 = 4.0;
/// L1 error that a level on the way must reach.
const ROUGH: f64 = 3e-2;
/// Steps of a level at most, and Sinkhorn iterations before them.
const STEPS: usize = 60;
const WARMUP: usize = 3;
/// Above this error exponentials in single precision will do.
const SINGLE: f64 = 1e-4;
/// Directions tried from one point, and failures of them all that a level may have.
const TRIALS: usize = 6;
const FAILURES: usize = 5;
/// Levels put in between when one fails.
const RESCUES: usize = 12;
/// Bytes a numbered entry takes: of a list of active ones with costs, of a kept one.
const MOST_ACTIVE: f64 = 0.2;
const MOST_KEPT: f64 = 0.4;
/// Entries that a geometry without a matrix may store all the same.
const ROOM: f64 = 2e6;

pub fn solve(dual: &mut Dual, epsilon: f64, start: Option<Vec<f64>>, target: f64, watch: &mut Watch) -> Result<Outcome> {
    let m = dual.geometry.m;
    let most = dual.geometry.scale()?.max;
    let room = || memory::filled(m, 0.0, "potentials");
    let mut path = Path { newton: Newton::new(m)?, old: room()?, columns: room()?, levels: 0, caution: 1.0, failures: 0 };
    let (mut g, mut before) = match start {
        Some(g) => {
            // Close to the solution there is nothing to walk down.
            match path.level(dual, epsilon, &g, target, watch)? {
                Some(outcome) => return Ok(outcome),
                None => (g, (FACTOR * FACTOR * epsilon).min(0.05 * most).max(epsilon)),
            }
        }
        None => (memory::filled(m, 0.0, "potentials")?, 0.05 * most),
    };
    let mut levels = vec![epsilon];
    while levels[levels.len() - 1] * FACTOR < before {
        levels.push(levels[levels.len() - 1] * FACTOR);
    }
    before = f64::INFINITY;
    let mut rescues = 0;
    while let Some(now) = levels.pop() {
        let goal = if levels.is_empty() { target } else { ROUGH.max(target) };
        match path.level(dual, now, &g, goal, watch)? {
            Some(Outcome::Converged) => {
                g.iter_mut().zip(&dual.gamma).for_each(|(g, gamma)| *g = if gamma.is_finite() { gamma * now } else { 0.0 });
                before = now;
            }
            Some(stopped) => return Ok(stopped),
            None if rescues < RESCUES && now < 0.9 * before => {
                rescues += 1;
                levels.push(now);
                levels.push(if before.is_finite() { (now * before).sqrt() } else { FACTOR * now });
            }
            None => return Ok(watch.stagnates()),
        }
    }
    Ok(Outcome::Converged)
}

struct Path {
    newton: Newton,
    /// Where a step begins.
    old: Vec<f64>,
    columns: Vec<f64>,
    levels: usize,
    /// What multiplies the shift of the diagonal, and steps of this level that failed all the same.
    caution: f64,
    failures: usize,
}

impl Path {
    /// Solves one level; `None` if it cannot get there.
    fn level(&mut self, dual: &mut Dual, epsilon: f64, g: &[f64], goal: f64, watch: &mut Watch) -> Result<Option<Outcome>> {
        self.levels += 1;
        self.failures = 0;
        watch.setup.report.borrow_mut().levels = self.levels;
        dual.set_epsilon(epsilon, g);
        dual.pass(Take::Roughly)?;
        let mut is_exact = false;
        for _ in 0..WARMUP {
            let error = dual.error();
            if watch.stops(dual, error) {
                return Ok(Some(watch.stagnates()));
            }
            if error <= goal && (is_exact || goal > SINGLE) {
                return Ok(Some(Outcome::Converged));
            }
            dual.update_columns(1.0)?;
            dual.pass(sums(error))?;
            is_exact = error <= SINGLE;
        }
        for _ in 0..STEPS {
            let mut error = dual.error();
            if error <= goal && !is_exact && goal <= SINGLE {
                dual.pass(Take::Sums)?;
                error = dual.error();
            }
            is_exact = error <= SINGLE;
            if watch.stops(dual, error) {
                return Ok(Some(watch.stagnates()));
            }
            if error <= goal {
                return Ok(Some(Outcome::Converged));
            }
            if !self.step(dual, error, goal, watch)? {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// A Newton step, or Sinkhorn iterations where there is none; ends with a pass. Whether anything was gained.
    fn step(&mut self, dual: &mut Dual, error: f64, goal: f64, watch: &mut Watch) -> Result<bool> {
        let (n, m) = (dual.geometry.n as f64, dual.geometry.m as f64);
        let stores = dual.geometry.rows().lends();
        let room = |share: f64| if stores { share } else { (ROOM.max(8.0 * (n + m)) / (n * m)).min(share) };
        if !dual.is_listed() {
            // Entries left out add up to a hundredth of the goal.
            let cut = (100.0 * m / goal).ln();
            dual.activate(cut + 30.0, 30.0, room(MOST_ACTIVE))?;
        }
        let above = (error / 100.0).clamp(1e-12, 1e-4);
        let density = if dual.is_listed() { 0.0 } else { dual.density(above)? };
        let is_kept = density <= room(MOST_KEPT) || stores || n * m <= 2.0 * ROOM;
        let take = if is_kept { Take::Entries { above, is_dense: density > MOST_KEPT, is_rough: error > SINGLE } } else { sums(error) };
        dual.pass(take)?;
        let (value, error) = (dual.value, dual.error());
        self.old.copy_from_slice(&dual.gamma);
        self.columns.copy_from_slice(&dual.columns);
        for _ in 0..TRIALS {
            let slope = self.newton.solve(dual, error, is_kept, self.caution)?;
            {
                let mut report = watch.setup.report.borrow_mut();
                report.newton_steps += 1;
                report.cg_steps = self.newton.products;
            }
            // A step that must be cut very short goes astray: a more cautious one turns towards the gradient.
            let mut alpha = 1.0;
            while alpha > 0.01 {
                let moved = self.old.iter().zip(&self.newton.direction);
                dual.gamma.iter_mut().zip(moved).for_each(|(gamma, (old, d))| *gamma = old + alpha * d);
                dual.pass(sums(error))?;
                let rounding = if error > SINGLE { 1e-7 } else { 1e-14 } * value.abs();
                if dual.value >= value + 1e-4 * alpha * slope - rounding || dual.error() < 0.5 * error {
                    if alpha == 1.0 {
                        self.caution = (self.caution / 8.0).max(1.0);
                    }
                    if dual.error() > goal {
                        // A half-step of Sinkhorn's brings columns back that the step left behind; the next pass is due anyway.
                        dual.update_columns(1.0)?;
                    }
                    return Ok(true);
                }
                // The top of the parabola through what is known.
                let bend = value + alpha * slope - dual.value;
                alpha = if bend > 0.0 { (0.5 * alpha * alpha * slope / bend).clamp(0.1 * alpha, 0.5 * alpha) } else { 0.5 * alpha };
            }
            self.caution *= 10.0;
            dual.gamma.copy_from_slice(&self.old);
            dual.columns.copy_from_slice(&self.columns);
        }
        dual.pass(Take::Sums)?;
        for _ in 0..10 {
            dual.update_columns(1.0)?;
            dual.pass(Take::Sums)?;
        }
        self.failures += 1;
        Ok(self.failures < FAILURES)
    }
}

/// A pass as exact as the error of the last one calls for.
fn sums(error: f64) -> Take {
    if error > SINGLE { Take::Roughly } else { Take::Sums }
}
