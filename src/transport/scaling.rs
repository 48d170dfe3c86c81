//! Sinkhorn's iteration (Sinkhorn and Knopp 1967; Cuturi 2013), rows and columns in one pass; over-relaxed (Thibault et al. 2021,
//! arXiv 1711.01851) or accelerated by Anderson's mixing if asked.
//!
//! Where the cost is a matrix the plan's entries are kept, in half its memory, and iterations multiply those (the absorbed
//! kernel of Schmitzer 2019, arXiv 1610.06519): exponentials are taken anew where potentials have moved far, and for the last word.
//! Elsewhere each iteration takes them.

use super::anderson::Anderson;
use super::dual::{Dual, Take};
use super::Watch;
use crate::runtime::{memory, Outcome, Result};

/// Mixing that multiplies the least error so far by this has gone astray.
const ASTRAY: f64 = 10.0;
/// Iterations on kept entries before they are taken anew, so that rounding does not add up.
const KEPT: usize = 50;

pub fn solve(dual: &mut Dual, epsilon: f64, g: &[f64], target: f64, watch: &mut Watch) -> Result<Outcome> {
    let options = &watch.setup.options;
    let mut iteration = Iteration {
        relaxation: options.real("relaxation"),
        anderson: (options.count("anderson") > 0).then(|| Anderson::new(options.count("anderson"))),
        before: memory::filled(g.len(), 0.0, "potentials")?,
        least: f64::INFINITY,
    };
    let keeps = dual.geometry.rows().lends();
    dual.set_epsilon(epsilon, g)?;
    loop {
        dual.pass(if keeps { Take::Entries { above: 0.0, is_dense: true, is_rough: false } } else { Take::Sums })?;
        let error = dual.error();
        if watch.stops(dual, error) {
            return Ok(watch.stagnates());
        }
        if error <= target {
            return Ok(Outcome::Converged);
        }
        iteration.step(dual, error)?;
        for _ in 0..if keeps { KEPT } else { 0 } {
            if !dual.kept_pass() {
                break;
            }
            let error = dual.error();
            if error <= 0.9 * target {
                break;
            }
            if watch.stops(dual, error) {
                return Ok(watch.stagnates());
            }
            iteration.step(dual, error)?;
        }
    }
}

struct Iteration {
    relaxation: f64,
    anderson: Option<Anderson>,
    before: Vec<f64>,
    least: f64,
}

impl Iteration {
    /// From potentials with this error to the next.
    fn step(&mut self, dual: &mut Dual, error: f64) -> Result<()> {
        let Some(anderson) = &mut self.anderson else { return dual.update_columns(self.relaxation) };
        if error > ASTRAY * self.least {
            anderson.forget();
            self.least = error;
        }
        self.least = self.least.min(error);
        self.before.copy_from_slice(&dual.gamma);
        dual.update_columns(self.relaxation)?;
        anderson.mix(&self.before, &mut dual.gamma)
    }
}
