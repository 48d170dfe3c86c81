//! Transport without blur, as closely as asked: epsilon walks down until the bounds of the exact cost have closed.
//!
//! A proximal outer loop, P_(k+1) = argmin <C, P> + eps KL(P | P_k), is the same walk: solved exactly its k-th plan is the
//! blurred one of eps / k, for both are diagonal scalings of exp(-k C / eps) with the same marginals. Here eps falls
//! geometrically, with the potentials carried on.

use super::bracket::{self, Plan, Rounded};
use super::dual::{Dual, Take};
use super::{path, Watch};
use crate::runtime::{memory, Outcome, Result};

/// Where the walk begins, a share of the largest cost; what each step divides by, and where it ends at the latest.
const FIRST: f64 = 1e-2;
const FACTOR: f64 = 4.0;
const LAST: f64 = 1e-9;
/// Errors of the marginals on the way, and when the gap is almost closed: they tell in the plan's cost too.
const ROUGH: f64 = 1e-3;
const FINEST: f64 = 1e-10;

pub struct Closed {
    pub outcome: Outcome,
    pub epsilon: f64,
    /// Of masses of one.
    pub lower: f64,
    pub upper: f64,
}

/// Walks until (upper - lower) <= `target` |upper|.
pub fn solve(dual: &mut Dual, start: Option<Vec<f64>>, target: f64, watch: &mut Watch) -> Result<Closed> {
    let most = dual.geometry.scale()?.max.abs();
    let unit = if most > 0.0 { most } else { 1.0 };
    let mut epsilon = FIRST * unit;
    let mut best = Closed { outcome: Outcome::Converged, epsilon, lower: f64::NEG_INFINITY, upper: f64::INFINITY };
    let (mut start, mut tolerance, mut levels) = (start, ROUGH, 0);
    loop {
        levels += 1;
        watch.target = tolerance;
        let outcome = path::solve(dual, epsilon, start.take(), tolerance, watch)?;
        watch.setup.report.borrow_mut().levels = levels;
        let Rounded { lower, upper, .. } = rounded(dual, epsilon)?;
        best = Closed { outcome, epsilon, lower: best.lower.max(lower), upper: best.upper.min(upper) };
        let gap = best.upper - best.lower;
        if outcome != Outcome::Converged || gap <= target * best.upper.abs() {
            return Ok(best);
        }
        start = Some(dual.gamma.iter().map(|gamma| if gamma.is_finite() { gamma * epsilon } else { 0.0 }).collect());
        // What the blur alone leaves open; the rest is the price of rounding marginals that are not met yet.
        dual.pass(Take::Cost)?;
        let blur = dual.cost - best.lower;
        if blur > 0.5 * target * best.upper.abs() || tolerance <= FINEST {
            epsilon /= FACTOR;
        } else {
            tolerance *= 0.03;
        }
        if epsilon < LAST * unit {
            best.outcome = watch.stagnates();
            return Ok(best);
        }
    }
}

fn rounded(dual: &Dual, epsilon: f64) -> Result<Rounded> {
    let in_cost = |v: &mut Vec<f64>| v.iter_mut().for_each(|v| *v *= epsilon);
    let (mut f, mut g) = (memory::filled(dual.geometry.n, 0.0, "potentials")?, memory::copied(&dual.gamma, "potentials")?);
    f.iter_mut().zip(dual.phi()).for_each(|(f, phi)| *f = phi);
    in_cost(&mut f);
    in_cost(&mut g);
    bracket::round(Plan { geometry: dual.geometry, pool: dual.pool, epsilon, f: &f, g: &g, a: dual.a, b: dual.b })
}
