//! How strictly a side of the plan must have its masses: exactly, or at the price rho KL(r | a), KL(r | a) = sum r log(r / a) - r + a.
//!
//! With k = eps / rho the best potential for given sums S_i = sum_j exp(gamma_j - C_ij / eps) is phi = (log a - log S + k kappa) /
//! (1 + k), and the side then has the mass r = a exp(-k (phi - kappa)); kappa is 0, or log a where the entropy is relative to the
//! product of the masses. k = 0 is the exact marginal. (Chizat, Peyre, Schmitzer and Vialard 2018, arXiv 1607.05816; Sejourne et al.
//! 2019, arXiv 1910.12958.)

#[derive(Clone, Copy, Debug)]
pub struct Relaxed {
    /// Price rho of a difference, infinite for none.
    pub penalty: f64,
    pub is_product: bool,
    /// eps / rho.
    k: f64,
}

impl Relaxed {
    pub fn new(penalty: f64, is_product: bool) -> Self {
        Relaxed { penalty, is_product, k: 0.0 }
    }

    pub fn set_epsilon(&mut self, epsilon: f64) {
        self.k = epsilon / self.penalty;
    }

    pub fn is_exact(&self) -> bool {
        self.k == 0.0
    }

    /// 1 / (1 + k): how much of a row's mean a Newton step takes away.
    pub fn tau(&self) -> f64 {
        1.0 / (1.0 + self.k)
    }

    /// What a side adds to the diagonal of the Hessian, a share of its masses.
    pub fn bend(&self) -> f64 {
        self.k
    }

    fn kappa(&self, log_mass: f64) -> f64 {
        if self.is_product { log_mass } else { 0.0 }
    }

    pub fn potential(&self, log_mass: f64, log_sum: f64) -> f64 {
        if self.is_exact() {
            return log_mass - log_sum;
        }
        (log_mass - log_sum + self.k * self.kappa(log_mass)) / (1.0 + self.k)
    }

    /// What the side has at a potential.
    pub fn mass(&self, mass: f64, log_mass: f64, potential: f64) -> f64 {
        if self.is_exact() || mass == 0.0 { mass } else { mass * (-self.k * (potential - self.kappa(log_mass))).exp() }
    }

    /// What the side adds to the dual, in units of eps, its part of -sum P not counted.
    pub fn value(&self, mass: f64, log_mass: f64, potential: f64) -> f64 {
        if mass == 0.0 {
            0.0
        } else if self.is_exact() {
            mass * potential
        } else {
            -mass * (-self.k * (potential - self.kappa(log_mass))).exp_m1() / self.k
        }
    }

    /// The price of having masses r at potentials, in units of eps.
    pub fn price(&self, mass: f64, has: f64) -> f64 {
        if self.is_exact() || mass == 0.0 {
            return 0.0;
        }
        let log = if has > 0.0 { has * (has / mass).ln() } else { 0.0 };
        (log - has + mass) / self.k
    }
}
