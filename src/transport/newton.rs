//! Newton's direction for the semi-dual F(gamma) = <a, phi(gamma)> + <b, gamma>, by preconditioned CG.
//!
//! grad F = b - c and -Hess F = diag(c) - P^T diag(1/a) P. The product with p is taken as that of a graph Laplacian,
//! q_j = sum_i P_ij (p_j - t_i) with t_i = sum_k P_ik p_k / sum_k P_ik, over the entries that were kept. It is the same in exact arithmetic, but keeps the digits of small couplings
//! between groups of points, which the difference of diag(c) and the rest loses: at small eps the slow modes hang
//! on couplings of 1e-10 of a row, and entries in single precision suffice for them. Penalised rows take tau t_i, penalised
//! columns add to the diagonal.
//!
//! Sources: the semi-dual and its Hessian, Brauer, Clason, Lorenz and Wirth 2017 (arXiv 1710.06635); sparsified Hessians,
//! Tang et al. 2024 (arXiv 2401.12253) and Tang and Qiu 2024. Different here: thresholds that follow the error, the Laplacian
//! form, and the part of a column that was left out as a shift of its own. On a grid nothing is left out: products go axis by axis.

use super::dual::{Dual, Kept};
use super::factor::Factor;
use crate::linalg::simd::exp::{add_rows_single, dot_single, dots_single, TOGETHER};
use crate::runtime::{memory, Context, Result};
use std::sync::Arc;

pub struct Newton {
    context: Arc<Context>,
    /// Of an earlier direction as a rule; none where the diagonal has done, or where factors are too dear.
    factor: Option<Factor>,
    is_dear: bool,
    pub direction: Vec<f64>,
    r: Vec<f64>,
    z: Vec<f64>,
    p: Vec<f64>,
    q: Vec<f64>,
    /// p times the tilt of the columns.
    tilted: Vec<f64>,
    diagonal: Vec<f64>,
    shift: Vec<f64>,
    pub products: usize,
}

/// CG steps for one direction at most; steps after which factors are made, with the diagonal as the preconditioner and
/// with factors that have aged.
const MOST: usize = 1000;
const PATIENCE: usize = 150;
const AGED: usize = 25;
/// What factors may cost in flops an entry: some 500 steps.
const DEAR: f64 = 1e4;

impl Newton {
    pub fn new(context: &Arc<Context>, m: usize) -> Result<Self> {
        let make = || memory::filled(m, 0.0, "Newton's direction");
        Ok(Newton { context: context.clone(), factor: None, is_dear: false, direction: make()?, r: make()?, z: make()?, p: make()?, q: make()?, tilted: make()?, diagonal: make()?, shift: make()?, products: 0 })
    }

    /// The direction from the entries that the last pass kept (or from exponentials taken anew), and the slope of F along
    /// it. `error` is that of the columns; `caution` multiplies the shift of the diagonal, 1 for a plain step.
    pub fn solve(&mut self, dual: &mut Dual, error: f64, is_kept: bool, caution: f64) -> Result<f64> {
        let m = self.r.len();
        let (tau, bend) = (dual.rows_at.tau(), dual.columns_at.bend());
        for j in 0..m {
            self.r[j] = if dual.b[j] > 0.0 { dual.targets[j] - dual.columns[j] } else { 0.0 };
        }
        if is_kept {
            let tilt = std::mem::take(&mut dual.tilt);
            dual.over_kept(sums_of_kept, &mut self.shift);
            dual.over_kept(|kept, d| laplacian_diagonal(kept, tau, &tilt, d), &mut self.diagonal);
            for j in 0..m {
                self.shift[j] *= tilt[j];
                self.diagonal[j] *= tilt[j];
            }
            dual.tilt = tilt;
        } else {
            self.shift.copy_from_slice(&dual.columns);
            dual.over_rows(None, &mut self.diagonal)?;
        }
        let damping = caution * 1e-3 * error.min(1e-3);
        for j in 0..m {
            let column = dual.columns[j];
            let lost = column - self.shift[j];
            let lost = if lost > 1e-6 * column { lost } else { 0.0 };
            self.shift[j] = damping * (column + dual.b[j]) + lost + bend * dual.targets[j] + starved(column, dual.targets[j]);
            self.diagonal[j] += self.shift[j];
        }
        self.direction.fill(0.0);
        self.precondition(dual)?;
        self.p.copy_from_slice(&self.z);
        let mut rho = dot(&self.r, &self.z);
        let mut enough = error.min(1e-2) * rho;
        let entries = dual.kept() as f64;
        let share = entries / (dual.geometry.n as f64 * m as f64);
        let mut patience = if self.factor.is_some() { AGED } else { PATIENCE };
        for step in 0..MOST {
            if rho <= enough {
                break;
            }
            if step == patience && is_kept && self.factor_anew(dual)? {
                // From here on in its norm, and for as long as it takes.
                let first = self.gradient_in_norm(dual)?;
                enough = error.min(1e-2) * first;
                self.precondition(dual)?;
                self.p.copy_from_slice(&self.z);
                rho = dot(&self.r, &self.z);
                patience = MOST;
            }
            let p = &self.p;
            if is_kept {
                let tilt = std::mem::take(&mut dual.tilt);
                self.tilted.iter_mut().zip(p).zip(&tilt).for_each(|((to, p), tilt)| *to = p * tilt);
                let tilted = &self.tilted;
                dual.over_kept(|kept, q| laplacian(kept, tau, p, tilted, q), &mut self.q);
                self.q.iter_mut().zip(&tilt).for_each(|(q, tilt)| *q *= tilt);
                dual.tilt = tilt;
            } else {
                dual.over_rows(Some(p), &mut self.q)?;
            }
            self.products += 1;
            dual.work.products += share;
            for j in 0..m {
                self.q[j] += self.shift[j] * self.p[j];
            }
            let curvature = dot(&self.p, &self.q);
            if curvature.is_nan() || curvature <= 0.0 {
                break;
            }
            let alpha = rho / curvature;
            for j in 0..m {
                self.direction[j] += alpha * self.p[j];
                self.r[j] -= alpha * self.q[j];
            }
            self.precondition(dual)?;
            let next = dot(&self.r, &self.z);
            let beta = next / rho;
            rho = next;
            for j in 0..m {
                self.p[j] = self.z[j] + beta * self.p[j];
            }
        }
        if dual.rows_at.is_exact() && dual.columns_at.is_exact() {
            // A constant changes nothing but the digits that are left.
            let mean: f64 = dual.b.iter().zip(&self.direction).map(|(b, d)| b * d).sum();
            self.direction.iter_mut().for_each(|d| *d -= mean);
        }
        let gradient = dual.targets.iter().zip(&dual.columns).map(|(t, c)| t - c);
        Ok(gradient.zip(&self.direction).map(|(g, d)| if *d == 0.0 { 0.0 } else { g * d }).sum())
    }
}

impl Newton {
    /// z from r, by factors or the diagonal.
    fn precondition(&mut self, dual: &Dual) -> Result<()> {
        match &mut self.factor {
            Some(factor) => factor.apply(dual.pool, &self.r, &mut self.z),
            None => {
                let scaled = self.r.iter().zip(&self.diagonal).map(|(r, d)| if *d > 0.0 { r / d } else { 0.0 });
                self.z.iter_mut().zip(scaled).for_each(|(z, scaled)| *z = scaled);
                Ok(())
            }
        }
    }

    /// Whether there are new factors, of the entries kept last.
    fn factor_anew(&mut self, dual: &mut Dual) -> Result<bool> {
        if self.is_dear || dual.keeps_dense() {
            return Ok(false);
        }
        let mut sums = memory::filled(self.shift.len(), 0.0, "Newton's direction")?;
        dual.over_kept(sums_of_kept, &mut sums);
        for ((sum, tilt), shift) in sums.iter_mut().zip(&dual.tilt).zip(&self.shift) {
            *sum = *sum * tilt + shift;
        }
        self.factor = Factor::new(&self.context, dual, &sums, DEAR * dual.kept() as f64)?;
        self.is_dear = self.factor.is_none();
        Ok(!self.is_dear)
    }

    /// The gradient's square in the norm of the factors' inverse.
    fn gradient_in_norm(&mut self, dual: &Dual) -> Result<f64> {
        let Some(factor) = &mut self.factor else { return Ok(0.0) };
        for j in 0..self.p.len() {
            self.p[j] = if dual.b[j] > 0.0 { dual.targets[j] - dual.columns[j] } else { 0.0 };
        }
        factor.apply(dual.pool, &self.p, &mut self.z)?;
        Ok(dot(&self.p, &self.z))
    }
}

/// What the diagonal lacks for a column with little of its mass to take Sinkhorn's step log(t / c) on its own, where Newton's
/// (t - c) / c leads far astray: the logarithmic mean in place of c.
fn starved(column: f64, target: f64) -> f64 {
    const LITTLE: f64 = 0.25;
    if column >= LITTLE * target {
        return 0.0;
    }
    let column = column.max(1e-300 * target);
    (target - column) / (target / column).ln() - column
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn sums_of_kept(kept: &Kept, sums: &mut [f64]) {
    for (r, weight) in kept.weights.iter().enumerate() {
        let (idx, p) = kept.row(r);
        if kept.is_dense {
            sums.iter_mut().zip(p).for_each(|(sum, v)| *sum += weight * *v as f64);
        } else {
            idx.iter().zip(p).for_each(|(j, v)| sums[*j as usize] += weight * *v as f64);
        }
    }
}

/// sum_i P_ij (1 - tau P_ij / R_i), P tilted and weighted; the tilt of the column itself is left out.
fn laplacian_diagonal(kept: &Kept, tau: f64, tilt: &[f64], out: &mut [f64]) {
    for (r, (sum, weight)) in kept.rows.iter().zip(&kept.weights).enumerate() {
        let (idx, p) = kept.row(r);
        let term = |v: f32, tilt: f64| weight * v as f64 * ((sum - tau * v as f64 * tilt) / sum);
        if kept.is_dense {
            out.iter_mut().zip(p).zip(tilt).for_each(|((d, v), tilt)| *d += term(*v, *tilt));
        } else {
            idx.iter().zip(p).for_each(|(j, v)| out[*j as usize] += term(*v, tilt[*j as usize]));
        }
    }
}

/// The product with x; `tilted` is x with the tilt of the columns, which is left out of the result.
fn laplacian(kept: &Kept, tau: f64, x: &[f64], tilted: &[f64], out: &mut [f64]) {
    let mut r = 0;
    while r < kept.rows.len() {
        let (sum, weight) = (kept.rows[r], kept.weights[r]);
        if let Some(four) = kept.together(r) {
            let mut means = dots_single(four, tilted);
            means.iter_mut().zip(&kept.rows[r..]).for_each(|(mean, sum)| *mean *= tau / sum);
            add_rows_single(four, std::array::from_fn(|l| kept.weights[r + l]), Some((x, means)), out);
            r += TOGETHER;
            continue;
        }
        let (idx, p) = kept.row(r);
        if kept.is_dense && !p.is_empty() {
            add_differences(p, weight, tau * dot_single(p, tilted) / sum, x, out);
        } else {
            let mean = tau * idx.iter().zip(p).map(|(j, v)| *v as f64 * tilted[*j as usize]).sum::<f64>() / sum;
            idx.iter().zip(p).for_each(|(j, v)| out[*j as usize] += weight * *v as f64 * (x[*j as usize] - mean));
        }
        r += 1;
    }
}

/// q_j + w e_j (x_j - t), with whatever instructions the machine has.
fn add_differences(e: &[f32], w: f64, t: f64, x: &[f64], q: &mut [f64]) {
    pulp::Arch::new().dispatch(|| q.iter_mut().zip(e).zip(x).for_each(|((q, e), x)| *q += w * *e as f64 * (x - t)));
}
