//! Sinkhorn's iteration (Sinkhorn and Knopp 1967; Cuturi 2013), rows and columns in one pass, in the log domain; over-relaxed
//! (Thibault et al. 2021, arXiv 1711.01851) or accelerated by Anderson's mixing if asked.

use super::anderson::Anderson;
use super::dual::{Dual, Take};
use super::Watch;
use crate::runtime::{memory, Outcome, Result};

/// Mixing that multiplies the least error so far by this has gone astray.
const ASTRAY: f64 = 10.0;

pub fn solve(dual: &mut Dual, epsilon: f64, g: &[f64], target: f64, watch: &mut Watch) -> Result<Outcome> {
    let options = &watch.setup.options;
    let (relaxation, window) = (options.real("relaxation"), options.count("anderson"));
    let mut anderson = Anderson::new(window);
    let mut before = memory::filled(if window > 0 { g.len() } else { 0 }, 0.0, "potentials")?;
    let mut least = f64::INFINITY;
    dual.set_epsilon(epsilon, g);
    loop {
        dual.pass(Take::Sums)?;
        let error = dual.error();
        if watch.stops(dual, error) {
            return Ok(watch.stagnates());
        }
        if error <= target {
            return Ok(Outcome::Converged);
        }
        if window == 0 {
            dual.update_columns(relaxation)?;
            continue;
        }
        if error > ASTRAY * least {
            anderson.forget();
            least = error;
        }
        least = least.min(error);
        before.copy_from_slice(&dual.gamma);
        dual.update_columns(relaxation)?;
        anderson.mix(&before, &mut dual.gamma)?;
    }
}
