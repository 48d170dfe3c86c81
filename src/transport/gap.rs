//! Transport without blur, as closely as asked: epsilon walks down until the bounds of the exact cost have closed.
//!
//! A proximal outer loop, P_(k+1) = argmin <C, P> + eps KL(P | P_k), is the same walk: solved exactly its k-th plan is the
//! blurred one of eps / k, for both are diagonal scalings of exp(-k C / eps) with the same marginals. Here eps falls
//! geometrically, with the potentials carried on.

use super::bracket::{self, Plan, Rounded};
use super::dual::{Dual, Take};
use super::geometry::{Costs, Geometry};
use super::{path, Watch};
use crate::runtime::{memory, Error, Outcome, Result};

/// Where the walk begins, a share of the largest cost; what each step divides by, and where it ends at the latest.
const FIRST: f64 = 1e-2;
const FACTOR: f64 = 4.0;
const LAST: f64 = 1e-12;
/// Errors of the marginals on the way, and when the gap is almost closed: they tell in the plan's cost too.
const ROUGH: f64 = 1e-3;
const FINEST: f64 = 1e-10;
/// A share of the largest cost that bounds of a cost near zero cannot come closer than.
const ROUNDING: f64 = 5e-14;

/// The epsilon that the walk begins with.
pub fn first(geometry: &Geometry) -> Result<f64> {
    let scale = geometry.scale()?;
    let most = scale.max.abs().max(scale.min.abs());
    Ok(FIRST * if most > 0.0 { most } else { 1.0 })
}

pub struct Closed {
    pub outcome: Outcome,
    pub epsilon: f64,
    /// Of masses of one.
    pub lower: f64,
    pub upper: f64,
}

/// Walks until (upper - lower) <= `target` |upper|.
pub fn solve(dual: &mut Dual, start: Option<Vec<f64>>, target: f64, watch: &mut Watch) -> Result<Closed> {
    if let Costs::Sparse(pattern) = &dual.geometry.costs {
        if pattern.idx.len() < dual.geometry.n.saturating_mul(dual.geometry.m) {
            return Err(Error::Unsupported("option 'target_gap' needs a cost without forbidden entries, on which a plan could be rounded".to_string()));
        }
    }
    let mut epsilon = first(dual.geometry)?;
    let unit = epsilon / FIRST;
    let mut best = Closed { outcome: Outcome::Converged, epsilon, lower: f64::NEG_INFINITY, upper: f64::INFINITY };
    let (mut start, mut tolerance, mut levels) = (start, ROUGH * watch.share, 0);
    loop {
        levels += 1;
        watch.target = tolerance;
        let outcome = path::solve(dual, epsilon, start.take(), tolerance, watch)?;
        watch.setup.report.borrow_mut().levels = levels;
        let Rounded { lower, upper, own, .. } = rounded(dual, epsilon)?;
        best = Closed { outcome, epsilon, lower: best.lower.max(lower), upper: best.upper.min(upper) };
        let target = (target * best.upper.abs()).max(ROUNDING * unit);
        if outcome != Outcome::Converged || best.upper - best.lower <= target {
            return Ok(best);
        }
        start = Some(dual.gamma.iter().map(|gamma| if gamma.is_finite() { gamma * epsilon } else { 0.0 }).collect());
        // What the blur alone leaves open; the rest is the price of rounding marginals that are not met yet.
        dual.pass(Take::Cost)?;
        if dual.cost - own > 0.5 * target || tolerance <= FINEST {
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
