//! Sinkhorn's divergence, OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2 (Genevay, Peyre and Cuturi 2018, arXiv 1706.00292; Feydy et al.
//! 2019, arXiv 1810.08278): zero for a = b, and free of the blur's bias in first order. Whether the entropy is relative to the
//! product of the masses makes no difference, for those terms cancel.
//!
//! A self term needs one potential, f = g, found by the averaged iteration f <- (f + T f) / 2: its rate is a half at
//! worst where exp(-C / eps) is positive definite, whatever eps.

use super::dual::{Dual, Take};
use super::geometry::Geometry;
use super::{path, Watch};
use crate::runtime::{memory, Outcome, Result};
use std::sync::Arc;

/// Averaged iterations before the general solver takes over, as for kernels that are not positive definite.
const MOST: usize = 200;

/// A self term as it was found.
struct Own {
    geometry: Arc<Geometry>,
    epsilon: f64,
    tolerance: f64,
    masses: Vec<f64>,
    value: f64,
}

/// The last self terms, of both sides: a fixed target is solved once.
#[derive(Default)]
pub struct Selves(Vec<Own>);

impl Selves {
    /// What is found becomes the newest, so that what is asked for each time stays.
    pub fn find(&mut self, geometry: &Arc<Geometry>, epsilon: f64, tolerance: f64, masses: &[f64]) -> Option<f64> {
        let is_it = |own: &Own| Arc::ptr_eq(&own.geometry, geometry) && own.epsilon == epsilon && own.tolerance <= tolerance && own.masses == masses;
        let at = self.0.iter().position(is_it)?;
        self.0[at..].rotate_left(1);
        self.0.last().map(|own| own.value)
    }

    pub fn keep(&mut self, geometry: &Arc<Geometry>, epsilon: f64, tolerance: f64, masses: &[f64], value: f64) -> Result<()> {
        const KEPT: usize = 2;
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push(Own { geometry: geometry.clone(), epsilon, tolerance, masses: memory::copied(masses, "masses")?, value });
        Ok(())
    }
}

/// Solves for a = b of mass one on a symmetric cost; the potentials and the value are then those of `dual`.
pub(super) fn solve_self(dual: &mut Dual, epsilon: f64, target: f64, watch: &mut Watch) -> Result<Outcome> {
    dual.set_epsilon(epsilon, &memory::filled(dual.geometry.m, 0.0, "potentials")?)?;
    for _ in 0..MOST {
        dual.pass(Take::Sums)?;
        let error = dual.error();
        if error <= target {
            return Ok(Outcome::Converged);
        }
        if watch.stops(dual, error) {
            return Ok(watch.stagnates());
        }
        let phi: Vec<f64> = dual.phi().collect();
        dual.gamma.iter_mut().zip(phi).for_each(|(gamma, phi)| *gamma = if phi.is_finite() { 0.5 * (*gamma + phi) } else { phi });
    }
    let g = dual.gamma.iter().map(|gamma| if gamma.is_finite() { gamma * epsilon } else { 0.0 }).collect();
    path::solve(dual, epsilon, Some(g), target, watch)
}
