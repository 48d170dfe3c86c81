//! Sinkhorn-Newton-Sparse as published (Tang, Shavlovsky, Rahmanian, Tardini, Thekumparampil, Xiao and Ying, ICLR 2024, arXiv
//! 2401.12253): N1 Sinkhorn iterations, then Newton steps for both potentials whose Hessian keeps the largest
//! lambda n m entries of the plan, by CG, with a line search by halving.
//!
//! The row potentials are eliminated here, which leaves the directions and the iterates the same where rows are
//! exact, but for the small shift of `newton`: the Schur complement of the sparsified Hessian is its sparsified Laplacian. Where
//! no step along a direction goes up, which near the solution may be the fault of rounding, Sinkhorn iterations follow.

use super::dual::{Dual, Take};
use super::newton::Newton;
use super::Watch;
use crate::runtime::{Outcome, Result};

/// Newton steps at most; halvings of one.
const MOST: usize = 500;
const HALVINGS: usize = 30;
/// Directions that may fail, and half the iterations after the first; each time they are twice as many.
const MERCY: usize = 10;
const STEPS: usize = 5;

pub fn solve(dual: &mut Dual, epsilon: f64, g: &[f64], target: f64, watch: &mut Watch) -> Result<Outcome> {
    let options = &watch.setup.options;
    let (warmup, given) = (options.count("warmup"), options.real("sparsity"));
    let (n, m) = (dual.geometry.n, dual.geometry.m);
    let share = if given > 0.0 { given } else { 2.0 / n.max(m) as f64 };
    dual.set_epsilon(epsilon, g)?;
    for _ in 0..warmup.max(1) {
        dual.pass(Take::Sums)?;
        let error = dual.error();
        if watch.stops(dual, error) {
            return Ok(watch.stagnates());
        }
        if error <= target {
            return Ok(Outcome::Converged);
        }
        dual.update_columns(1.0)?;
    }
    let mut newton = Newton::new(&watch.setup.context, m)?;
    let mut old = dual.gamma.clone();
    let mut failures = 0;
    for _ in 0..MOST {
        let above = threshold(dual, share)?;
        dual.pass(Take::Entries { above, is_dense: false, is_rough: false })?;
        let error = dual.error();
        if watch.stops(dual, error) {
            return Ok(watch.stagnates());
        }
        if error <= target {
            return Ok(Outcome::Converged);
        }
        let value = dual.value;
        let slope = newton.solve(dual, error, true, 1.0)?;
        {
            let mut report = watch.setup.report.borrow_mut();
            report.newton_steps += 1;
            report.cg_steps = newton.products;
        }
        old.copy_from_slice(&dual.gamma);
        let mut alpha = 1.0;
        let mut is_up = false;
        for _ in 0..HALVINGS {
            dual.gamma.iter_mut().zip(&old).zip(&newton.direction).for_each(|((gamma, old), d)| *gamma = old + alpha * d);
            dual.pass(Take::Sums)?;
            // Where F has no digits for what is to be gained the error decides.
            is_up = if alpha * slope > 1e-13 * value.abs() {
                dual.value >= value + 1e-4 * alpha * slope || dual.error() < 0.5 * error
            } else {
                dual.error() < error
            };
            if is_up {
                break;
            }
            alpha *= 0.5;
        }
        if !is_up {
            failures += 1;
            if failures > MERCY {
                break;
            }
            dual.gamma.copy_from_slice(&old);
            for _ in 0..STEPS << failures {
                dual.pass(Take::Sums)?;
                let error = dual.error();
                if watch.stops(dual, error) {
                    return Ok(watch.stagnates());
                }
                if error <= target {
                    break;
                }
                dual.update_columns(1.0)?;
            }
        }
    }
    Ok(watch.stagnates())
}

/// P_ij / a_i above which a share of all entries lies, by bisection over a sample of rows.
fn threshold(dual: &mut Dual, share: f64) -> Result<f64> {
    let (mut low, mut high) = (-60.0f64, 0.0);
    for _ in 0..20 {
        let middle = 0.5 * (low + high);
        if dual.density(middle.exp())? > share { low = middle } else { high = middle }
    }
    Ok(low.exp())
}
