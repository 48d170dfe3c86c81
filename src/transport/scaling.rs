//! Sinkhorn's iteration (Sinkhorn and Knopp 1967; Cuturi 2013), rows and columns in one pass, in the log domain.

use super::dual::{Dual, Take};
use super::Watch;
use crate::runtime::{Outcome, Result};

pub fn solve(dual: &mut Dual, epsilon: f64, g: &[f64], target: f64, watch: &mut Watch) -> Result<Outcome> {
    let relaxation = watch.setup.options.real("relaxation");
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
        dual.update_columns(relaxation)?;
    }
}
