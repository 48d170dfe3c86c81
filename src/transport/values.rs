//! Values of the problem at the potentials of the last pass, in units of eps. From P_ij = exp(phi_i + gamma_j - C_ij / eps),
//! <C, P> / eps + sum P log P = sum_i r_i phi_i + sum_j c_j gamma_j.

use super::dual::Dual;

impl Dual<'_> {
    /// Primal and dual, with all masses multiplied by `mass`; the entropic term counts, or is relative to the product of the
    /// masses, as the sides say.
    pub fn values(&self, mass: f64) -> (f64, f64) {
        let (is_product, at) = (self.rows_at.is_product, [self.rows_at, self.columns_at]);
        let weighted = |has: f64, potential: f64| if potential.is_finite() { has * potential } else { 0.0 };
        let (mut primal, mut dual) = (0.0, self.value);
        let mut total = 0.0;
        for ((a, log_a), phi) in self.a.iter().zip(&self.log_a).zip(self.phi()) {
            let has = at[0].mass(*a, *log_a, phi);
            primal += weighted(has, phi) + at[0].price(*a, has);
            if is_product && *a > 0.0 {
                primal -= has * (log_a + mass.ln());
                dual -= if at[0].is_exact() { a * (log_a + mass.ln()) } else { 0.0 };
            }
            total += a;
        }
        for (((b, log_b), gamma), has) in self.b.iter().zip(&self.log_b).zip(&self.gamma).zip(&self.columns) {
            primal += weighted(*has, *gamma) + at[1].price(*b, *has) + has * (mass.ln() - 1.0);
            if is_product && *b > 0.0 {
                primal -= has * (log_b + mass.ln());
                dual -= if at[1].is_exact() { b * (log_b + mass.ln()) } else { 0.0 };
            }
        }
        dual += total * (mass.ln() - 1.0);
        let product = if is_product { mass * total * self.b.iter().sum::<f64>() } else { 0.0 };
        (mass * (primal + product), mass * (dual + product))
    }
}

/// sum (P log(P / (a b)) - P + a b) less sum P (log P - 1), of any plan with marginals a and b.
pub fn product_offset(a: &[f64], b: &[f64]) -> f64 {
    let entropy = |v: &[f64]| v.iter().filter(|v| **v > 0.0).map(|v| v * v.ln()).sum::<f64>();
    let mass: f64 = a.iter().sum();
    mass * b.iter().sum::<f64>() - entropy(a) - entropy(b)
}
