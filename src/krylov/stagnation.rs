//! When to stop trying.

use crate::runtime::Stop;

/// Watches true residual norms from one restart to the next.
pub struct Stagnation {
    best: f64,
    /// Restarts in a row without progress.
    idle: usize,
    /// Claims of convergence in a row that the true residual refuted without having halved.
    vain: usize,
}

/// A restart that leaves more than this share of the residual made no progress.
const PROGRESS: f64 = 1.0 - 1e-8;

impl Stagnation {
    pub fn new(norm: f64) -> Self {
        Stagnation { best: norm, idle: 0, vain: 0 }
    }

    /// After a cycle with true norm `norm`. `claimed`: the recurrence believed to be at the
    /// target, so what is left is rounding, or the tested norm is not the recurrence's.
    /// `exhausted`: the Krylov space holds nothing more.
    pub fn observe(&mut self, norm: f64, claimed: bool, exhausted: bool) -> Option<Stop> {
        self.vain = if claimed && norm > 0.5 * self.best { self.vain + 1 } else { 0 };
        self.idle = if norm < self.best * PROGRESS { 0 } else { self.idle + 1 };
        self.best = self.best.min(norm);
        match (self.vain, self.idle) {
            (3.., _) => Some(Stop::Precision),
            (_, 1..) if exhausted => Some(Stop::Breakdown),
            (_, 2..) if !claimed => Some(Stop::Stagnation),
            _ => None,
        }
    }
}
