//! "auto": a path of eps down to the one asked for, a few Sinkhorn iterations and truncated Newton steps on each level.
//!
//! Levels fall by a factor of 4 from a twentieth of the largest cost, each solved to an L1 error of 3e-2 (of what is to be
//! moved), the last to the tolerance. A level that does not get there is tried again from the one before it by way of their geometric mean.
//! Close to published: Schmitzer 2019 (arXiv 1610.06519) for the path, Tang et al. 2024 (arXiv 2401.12253) and Pan, Li and Yan
//! 2026 (arXiv 2603.07156) for sparsified Newton steps on the semi-dual.

use super::anderson::Anderson;
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
/// Above this error steps over kept entries are worth their while, so many of them at most; and how short a step may be.
const KERNEL: f64 = 1e-4;
const INNER: usize = 12;
const SHORTEST: f64 = 0.01;
/// Rounds of keeping entries and solving with them; below this error exponentials in double are due.
const ROUNDS: usize = 12;
const ROUGHLY: f64 = 1e-3;
/// Iterates that are mixed, mixed iterations at most, and the rate at which Newton's steps take over.
const MIXED: usize = 10;
const MIXES: usize = 40;
const SLOW: f64 = 0.7;
/// Directions tried from one point, and failures of them all that a level may have.
const TRIALS: usize = 6;
const FAILURES: usize = 5;
/// Levels put in between when one fails.
const RESCUES: usize = 12;
/// Shares of all entries that may be listed as active, with their costs, and kept with their columns.
const MOST_ACTIVE: f64 = 0.2;
const MOST_KEPT: f64 = 0.4;
const MARGIN: f64 = 30.0;
/// Entries that a geometry without a matrix may store all the same.
const ROOM: f64 = 2e6;

pub fn solve(dual: &mut Dual, epsilon: f64, start: Option<Vec<f64>>, target: f64, watch: &mut Watch) -> Result<Outcome> {
    let m = dual.geometry.m;
    let most = dual.geometry.scale()?.max;
    let room = || memory::filled(m, 0.0, "potentials");
    let mut path = Path { newton: Newton::new(&watch.setup.context, m)?, old: room()?, columns: room()?, levels: 0, caution: 1.0, failures: 0 };
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
        let goal = if levels.is_empty() { target } else { (ROUGH * watch.share).max(target) };
        match path.level(dual, now, &g, goal, watch)? {
            Some(Outcome::Converged) => {
                g.iter_mut().zip(&dual.gamma).for_each(|(g, gamma)| *g = if gamma.is_finite() { gamma * now } else { 0.0 });
                before = now;
            }
            Some(stopped) => {
                settle(dual, now, epsilon)?;
                return Ok(stopped);
            }
            None if rescues < RESCUES && now < 0.9 * before => {
                rescues += 1;
                levels.push(now);
                levels.push(if before.is_finite() { (now * before).sqrt() } else { FACTOR * now });
            }
            None => {
                settle(dual, now, epsilon)?;
                return Ok(watch.stagnates());
            }
        }
    }
    Ok(Outcome::Converged)
}

/// After a stop on the way: the same potentials at the epsilon that was asked for, which delivered ones belong to.
fn settle(dual: &mut Dual, now: f64, epsilon: f64) -> Result<()> {
    if now == epsilon {
        return Ok(());
    }
    let mut g = memory::copied(&dual.gamma, "potentials")?;
    g.iter_mut().for_each(|g| *g = if g.is_finite() { *g * now } else { 0.0 });
    dual.set_epsilon(epsilon, &g)?;
    dual.pass(Take::Cost)
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
        dual.set_epsilon(epsilon, g)?;
        let keeps_all = self.keeps_all(dual);
        let mut is_listed = !keeps_all || dual.density((-depth(dual, goal)).exp())? <= MOST_ACTIVE;
        if is_listed {
            dual.pass(Take::Roughly)?;
            is_listed = dual.is_separable() || self.list(dual, goal)?;
        }
        if !is_listed && keeps_all {
            if let Some(outcome) = self.kernel_level(dual, goal, watch)? {
                return Ok(Some(outcome));
            }
        }
        let mut is_exact = false;
        for warmup in 0..WARMUP + STEPS {
            let mut error = dual.error();
            if error <= goal && !is_exact && goal <= SINGLE && !dual.is_separable() {
                dual.pass(Take::Sums)?;
                error = dual.error();
            }
            if watch.stops(dual, error) {
                return Ok(Some(watch.stagnates()));
            }
            if error <= goal {
                return Ok(Some(Outcome::Converged));
            }
            let is_cheap = dual.is_separable() || dual.is_listed() || !keeps_all;
            if warmup < WARMUP && (is_cheap || dual.density(1e-9)? <= MOST_ACTIVE) {
                dual.update_columns(1.0)?;
                dual.pass(sums(error))?;
                is_exact = error <= SINGLE;
                continue;
            }
            match self.step(dual, error, goal, watch)? {
                Some(exact) => is_exact = exact,
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Solves a level by keeping entries, solving with those, and keeping them anew where that led: a pass with exponentials
    /// for each round. `None` where rounds gain too little; sums are then of the present gamma.
    fn kernel_level(&mut self, dual: &mut Dual, goal: f64, watch: &mut Watch) -> Result<Option<Outcome>> {
        // What the error is expected to be.
        let (mut expected, mut last) = (f64::INFINITY, f64::INFINITY);
        let mut best = memory::copied(&dual.gamma, "potentials")?;
        for _ in 0..ROUNDS {
            let (is_rough, verifies) = (expected > ROUGHLY, expected <= goal);
            dual.pass(if verifies { Take::Cost } else { Take::Entries { above: 0.0, is_dense: true, is_rough } })?;
            let error = dual.error();
            if watch.stops(dual, error) {
                return Ok(Some(watch.stagnates()));
            }
            if error <= goal && (!is_rough || goal > SINGLE) {
                return Ok(Some(Outcome::Converged));
            }
            if !(error <= 0.5 * last) {
                break;
            }
            last = error;
            best.copy_from_slice(&dual.gamma);
            if verifies {
                expected = error;
                continue;
            }
            self.kernel_steps(dual, if is_rough { (0.1 * goal).max(1e-5) } else { 0.3 * goal }, true, watch)?;
            if watch.stop.is_some() {
                return Ok(Some(watch.stagnates()));
            }
            expected = dual.error();
            if expected <= goal && goal > SINGLE {
                return Ok(Some(Outcome::Converged));
            }
        }
        dual.gamma.copy_from_slice(&best);
        dual.pass(Take::Sums)?;
        self.list(dual, goal)?;
        Ok(None)
    }

    /// Lists the entries that count at this level, if they are few.
    fn list(&self, dual: &mut Dual, goal: f64) -> Result<bool> {
        dual.activate(depth(dual, goal), MARGIN, affordable(dual, MOST_ACTIVE))
    }

    /// Whether all entries of the plan may be stored in single precision.
    fn keeps_all(&self, dual: &Dual) -> bool {
        let (n, m) = (dual.geometry.n as f64, dual.geometry.m as f64);
        !dual.is_separable() && (dual.geometry.rows().lends() || n * m <= 2.0 * ROOM)
    }

    /// Newton steps from the present point, or Sinkhorn iterations where there are none; ends with sums of columns.
    /// `None` if nothing is gained any more, else whether the sums are exact.
    fn step(&mut self, dual: &mut Dual, error: f64, goal: f64, watch: &mut Watch) -> Result<Option<bool>> {
        let keeps_all = self.keeps_all(dual);
        // Sums along axes need no entries.
        let has_entries = !dual.is_separable();
        if has_entries && !dual.is_listed() {
            self.list(dual, goal)?;
        }
        let above = (error / 100.0).clamp(1e-12, 1e-4);
        let is_dense = has_entries && keeps_all && !dual.is_listed();
        let is_kept = has_entries && (is_dense || dual.is_listed() || dual.density(above)? <= affordable(dual, MOST_KEPT));
        let is_rough = error > SINGLE;
        dual.pass(if is_kept { Take::Entries { above, is_dense, is_rough } } else { sums(error) })?;
        if is_dense && dual.error() > KERNEL && self.kernel_steps(dual, goal.max(if is_rough { 1e-5 } else { 1e-6 }), false, watch)? {
            return Ok(Some(false));
        }
        let (value, error) = (dual.value, dual.error());
        self.old.copy_from_slice(&dual.gamma);
        self.columns.copy_from_slice(&dual.columns);
        for _ in 0..TRIALS {
            let slope = self.direction(dual, error, is_kept, watch)?;
            // Trials that leave the list would each visit all entries, and as a rule for nothing.
            let longest = if dual.is_listed() { self.within(0.5 * MARGIN) } else { 1.0 };
            // A step that must be cut very short goes astray: a more cautious one turns towards the gradient.
            let mut alpha = longest;
            while alpha > SHORTEST * longest {
                self.go(dual, alpha);
                dual.pass(sums(error))?;
                let rounding = if is_rough { 1e-7 } else { 1e-14 } * value.abs();
                if self.is_up(dual, value, slope, alpha, error, rounding) {
                    self.stretch(dual, alpha, value, slope, error)?;
                    if dual.error() > goal {
                        // A half-step of Sinkhorn's brings columns back that the step left behind; the next pass is due anyway.
                        dual.update_columns(1.0)?;
                    }
                    return Ok(Some(error <= SINGLE));
                }
                alpha = shorter(alpha, slope, dual.value - value);
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
        Ok(if self.failures < FAILURES { Some(true) } else { None })
    }

    /// Steps over the entries just kept, which need no exponentials, down to an error that those can tell. Whether
    /// anything was gained.
    fn kernel_steps(&mut self, dual: &mut Dual, floor: f64, mixes: bool, watch: &mut Watch) -> Result<bool> {
        let first = dual.error();
        if mixes && (!self.mix(dual, floor, watch)? || watch.stop.is_some()) {
            return Ok(true);
        }
        for _ in 0..if mixes { 0 } else { WARMUP } {
            dual.update_columns(1.0)?;
            if !dual.kept_pass() {
                return Ok(true);
            }
        }
        for _ in 0..INNER {
            let (value, error) = (dual.value, dual.error());
            if error <= floor || watch.stops(dual, error) {
                break;
            }
            self.old.copy_from_slice(&dual.gamma);
            let slope = self.direction(dual, error, true, watch)?;
            let (mut alpha, mut is_up) = (1.0, false);
            while alpha > SHORTEST && !is_up {
                self.go(dual, alpha);
                if !dual.kept_pass() {
                    // Too far for the entries kept: halfway, and from there by exponentials.
                    alpha *= 0.5;
                    continue;
                }
                is_up = self.is_up(dual, value, slope, alpha, error, 1e-7 * value.abs());
                if !is_up {
                    alpha = shorter(alpha, slope, dual.value - value);
                }
            }
            if !is_up {
                self.caution *= 10.0;
                dual.gamma.copy_from_slice(&self.old);
                dual.kept_pass();
                break;
            }
            dual.update_columns(1.0)?;
            if !dual.kept_pass() {
                break;
            }
        }
        Ok(dual.error() < 0.5 * first)
    }

    /// Sinkhorn iterations over kept entries, mixed, for as long as they are quick; false where they have gone too far.
    fn mix(&self, dual: &mut Dual, floor: f64, watch: &mut Watch) -> Result<bool> {
        let mut anderson = Anderson::new(MIXED);
        let mut before = memory::filled(dual.gamma.len(), 0.0, "potentials")?;
        let (mut rate, mut last) = (0.0, dual.error());
        for step in 0..MIXES {
            before.copy_from_slice(&dual.gamma);
            dual.update_columns(1.0)?;
            anderson.mix(&before, &mut dual.gamma)?;
            if !dual.kept_pass() {
                return Ok(false);
            }
            let error = dual.error();
            if error <= floor || watch.stops(dual, error) {
                break;
            }
            rate = 0.7 * rate + 0.3 * error / last;
            last = error;
            if step > 3 && rate > SLOW {
                break;
            }
        }
        Ok(true)
    }

    /// Newton's direction, and the slope of F along it.
    fn direction(&mut self, dual: &mut Dual, error: f64, is_kept: bool, watch: &Watch) -> Result<f64> {
        let slope = self.newton.solve(dual, error, is_kept, self.caution)?;
        let mut report = watch.setup.report.borrow_mut();
        report.newton_steps += 1;
        report.cg_steps = self.newton.products;
        Ok(slope)
    }

    /// The share of the direction, at most all of it, by which no potential rises further than `rise`.
    fn within(&self, rise: f64) -> f64 {
        let most = self.newton.direction.iter().fold(0.0f64, |most, d| most.max(*d));
        if most > rise { rise / most } else { 1.0 }
    }

    /// Goes on in the same direction for as long as F rises as it began to: where a group of points has mass that must cross a
    /// gap of many eps, F is a ramp, and Newton's step is as short as the shift of the diagonal makes it.
    fn stretch(&self, dual: &mut Dual, alpha: f64, value: f64, slope: f64, error: f64) -> Result<()> {
        const FACTOR: f64 = 4.0;
        const MOST: usize = 10;
        let mut alpha = alpha;
        for _ in 0..MOST {
            let gained = dual.value - value;
            if gained < 0.9 * alpha * slope || dual.error() < 0.5 * error {
                break;
            }
            self.go(dual, FACTOR * alpha);
            dual.pass(sums(error))?;
            if dual.value - value <= gained {
                self.go(dual, alpha);
                dual.pass(sums(error))?;
                break;
            }
            alpha *= FACTOR;
        }
        Ok(())
    }

    fn go(&self, dual: &mut Dual, alpha: f64) {
        let moved = self.old.iter().zip(&self.newton.direction);
        dual.gamma.iter_mut().zip(moved).for_each(|(gamma, (old, d))| *gamma = old + alpha * d);
    }

    /// Armijo's test, or half the error; where F has no digits for what is to be gained, a lower error. Then the next step may
    /// be bolder.
    fn is_up(&mut self, dual: &Dual, value: f64, slope: f64, alpha: f64, error: f64, rounding: f64) -> bool {
        let is_up = if alpha * slope > 10.0 * rounding {
            dual.value >= value + 1e-4 * alpha * slope - rounding || dual.error() < 0.5 * error
        } else {
            dual.error() < error
        };
        if is_up && alpha == 1.0 {
            self.caution = (self.caution / 8.0).max(1.0);
        }
        is_up
    }
}

/// The share of all entries that may be stored, at most this: a geometry without a matrix has less room.
fn affordable(dual: &Dual, share: f64) -> f64 {
    let (n, m) = (dual.geometry.n as f64, dual.geometry.m as f64);
    if dual.geometry.rows().lends() { share } else { (ROOM.max(8.0 * (n + m)) / (n * m)).min(share) }
}

/// Entries below a_i e^-depth are not listed: those left out add up to a hundredth of the goal for as long as potentials rise by
/// less than the margin.
fn depth(dual: &Dual, goal: f64) -> f64 {
    (100.0 * dual.geometry.m as f64 / goal).ln() + MARGIN
}

/// The top of the parabola through what is known of F along the direction.
fn shorter(alpha: f64, slope: f64, gained: f64) -> f64 {
    let bend = alpha * slope - gained;
    if bend > 0.0 { (0.5 * alpha * alpha * slope / bend).clamp(0.1 * alpha, 0.5 * alpha) } else { 0.5 * alpha }
}

/// A pass as exact as the error of the last one calls for.
fn sums(error: f64) -> Take {
    if error > SINGLE { Take::Roughly } else { Take::Sums }
}
