//! When to stop trying.

use crate::runtime::Stop;

/// Watches true residual norms from one restart to the next.
pub struct Stagnation {
    best: f64,
    /// Restarts in a row without progress.
    idle: usize,
}

/// A restart that leaves more than this share of the residual made no progress.
const PROGRESS: f64 = 1.0 - 1e-8;

impl Stagnation {
    pub fn new(norm: f64) -> Self {
        Stagnation { best: norm, idle: 0 }
    }

    /// After a cycle with true norm `norm`. `claimed`: the recurrence believed to be at the
    /// target, so what is left is rounding. `exhausted`: the Krylov space holds nothing more.
    pub fn observe(&mut self, norm: f64, claimed: bool, exhausted: bool) -> Option<Stop> {
        if norm < self.best * PROGRESS {
            self.idle = 0;
            // A claimed convergence that gains little will not gain more.
            let slow = claimed && norm > 0.5 * self.best;
            self.best = norm;
            return slow.then_some(Stop::Precision);
        }
        self.idle += 1;
        match (claimed, exhausted) {
            (true, _) => Some(Stop::Precision),
            (false, true) => Some(Stop::Breakdown),
            (false, false) if self.idle >= 2 => Some(Stop::Stagnation),
            _ => None,
        }
    }
}
