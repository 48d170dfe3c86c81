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
//! form, and the part of a column that was left out as a shift of its own.

use super::dual::{Dual, Kept};
use crate::linalg::simd::exp::dot_single;
use crate::runtime::{memory, Result};

pub struct Newton {
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

/// CG steps for one direction at most.
const MOST: usize = 1000;

impl Newton {
    pub fn new(m: usize) -> Result<Self> {
        let make = || memory::filled(m, 0.0, "Newton's direction");
        Ok(Newton { direction: make()?, r: make()?, z: make()?, p: make()?, q: make()?, tilted: make()?, diagonal: make()?, shift: make()?, products: 0 })
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
            self.shift[j] = damping * (column + dual.b[j]) + lost + bend * dual.targets[j];
            self.diagonal[j] += self.shift[j];
        }
        self.direction.fill(0.0);
        for j in 0..m {
            self.z[j] = if self.diagonal[j] > 0.0 { self.r[j] / self.diagonal[j] } else { 0.0 };
        }
        self.p.copy_from_slice(&self.z);
        let first = dot(&self.r, &self.z);
        let mut rho = first;
        let enough = error.min(1e-2) * first;
        let entries = dual.kept() as f64;
        let share = entries / (dual.geometry.n as f64 * m as f64);
        for _ in 0..MOST {
            if rho <= enough {
                break;
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
                self.z[j] = if self.diagonal[j] > 0.0 { self.r[j] / self.diagonal[j] } else { 0.0 };
            }
            let next = dot(&self.r, &self.z);
            let beta = next / rho;
            rho = next;
            for j in 0..m {
                self.p[j] = self.z[j] + beta * self.p[j];
            }
        }
        let gradient = dual.targets.iter().zip(&dual.columns).map(|(t, c)| t - c);
        Ok(gradient.zip(&self.direction).map(|(g, d)| if *d == 0.0 { 0.0 } else { g * d }).sum())
    }
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
    for (r, (sum, weight)) in kept.rows.iter().zip(&kept.weights).enumerate() {
        let (idx, p) = kept.row(r);
        if kept.is_dense && !p.is_empty() {
            add_differences(p, *weight, tau * dot_single(p, tilted) / sum, x, out);
        } else {
            let mean = tau * idx.iter().zip(p).map(|(j, v)| *v as f64 * tilted[*j as usize]).sum::<f64>() / sum;
            idx.iter().zip(p).for_each(|(j, v)| out[*j as usize] += weight * *v as f64 * (x[*j as usize] - mean));
        }
    }
}

/// q_j + w e_j (x_j - t), with whatever instructions the machine has.
fn add_differences(e: &[f32], w: f64, t: f64, x: &[f64], q: &mut [f64]) {
    pulp::Arch::new().dispatch(|| q.iter_mut().zip(e).zip(x).for_each(|((q, e), x)| *q += w * *e as f64 * (x - t)));
}
