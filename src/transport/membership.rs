//! Doubly stochastic membership: the projection G = argmin -<K, G> + eta sum G log G over G >= 0, G 1 = G^T 1 = 1, and its
//! derivative. It is transport with cost -K between masses of one, G_ij = exp((u_i + v_j + K_ij) / eta).
//!
//! A symmetric K needs one potential, u = v. Then the concave D(u) = sum_i u_i - (eta / 2) sum_ij G_ij is maximised: a few steps
//! u <- (u + T(u)) / 2 with T(u)_i = u_i - eta log r_i, r = G 1 (the averaged iteration of Feydy et al. 2019, arXiv 1810.08278,
//! for terms of a measure with itself), then Newton's, (diag(r) + G) du = eta (1 - r) by CG, down a path of eta. One triangle of G is
//! computed and mirrored, so G is symmetric bit for bit.
//!
//! Source: Ding, Tong, Chan, Dai, Ma and Haeffele 2023 (arXiv 2301.01805).

use super::derivative::{of_entries, outcome};
use super::geometry::Geometry;
use super::laplacian::{dot, lanes, Laplacian, Source, Strided};
use super::{Setup, Sinkhorn};
use crate::linalg::simd::exp::exp_row;
use crate::runtime::{memory, Context, Outcome, Result, Stop};
use std::sync::Arc;

const WHAT: &str = "a doubly stochastic projection";

const FACTOR: f64 = 4.0;
/// L1 error that a level on the way must reach.
const ROUGH: f64 = 3e-2;
/// Averaged steps before Newton's, Newton steps of a level at most, and how often these may fail.
const WARMUP: usize = 3;
const STEPS: usize = 60;
const FAILURES: usize = 5;
const SHORTEST: f64 = 0.01;
/// CG steps for one direction at most.
const MOST: usize = 500;
/// Tiles by which a triangle is mirrored.
const TILE: usize = 32;

/// What a projection starts from and is to reach.
pub struct Task<'a> {
    pub k: Strided<'a>,
    pub n: usize,
    pub eta: f64,
    /// Of the L1 errors of rows and columns together, divided by n.
    pub tolerance: f64,
    pub start: Option<(&'a [f64], &'a [f64])>,
}

/// Writes G by rows, `ld` numbers from one to the next, and the potentials. `costs` is -K.
pub fn project(context: &Arc<Context>, task: &Task, costs: &Arc<Geometry>, g: &mut [f64], ld: usize) -> Result<(Outcome, Vec<f64>, Vec<f64>)> {
    if is_symmetric(task) {
        return symmetric(context, task, costs, g, ld);
    }
    let (outcome, u, v) = general(context, task, costs)?;
    let (scale, rest) = (1.0 / task.eta, scaled(&v, 1.0 / task.eta)?);
    context.pool.chunks(task.n * task.n, g, ld, |i, row| {
        exp_row(task.k.row(i, task.n, &mut []), &rest, -scale, scale * u[i], &mut row[..task.n]);
    });
    Ok((outcome, u, v))
}

/// The library's own solver, with masses of one.
fn general(context: &Arc<Context>, task: &Task, costs: &Arc<Geometry>) -> Result<(Outcome, Vec<f64>, Vec<f64>)> {
    let mut setup = Setup::new(context.clone(), "auto")?;
    setup.options.set_real("epsilon", task.eta)?;
    setup.options.set_real("tolerance", task.tolerance)?;
    let mut solver = Sinkhorn::default();
    if let Some((_, v)) = task.start {
        solver.last = Some(memory::copied(v, WHAT)?);
    }
    let ones = memory::filled(task.n, 1.0, WHAT)?;
    let outcome = solver.solve(&setup, costs, &ones, &ones)?;
    let (u, v) = solver.potentials()?;
    Ok((outcome, memory::copied(u, WHAT)?, memory::copied(v, WHAT)?))
}

fn is_symmetric(task: &Task) -> bool {
    let row = |i: usize| task.k.row(i, task.n, &mut []);
    (0..task.n).all(|i| (0..i).all(|j| row(i)[j] == row(j)[i]))
}

fn scaled(v: &[f64], by: f64) -> Result<Vec<f64>> {
    let mut v = memory::copied(v, WHAT)?;
    v.iter_mut().for_each(|v| *v *= by);
    Ok(v)
}

fn symmetric(context: &Arc<Context>, task: &Task, costs: &Arc<Geometry>, g: &mut [f64], ld: usize) -> Result<(Outcome, Vec<f64>, Vec<f64>)> {
    let mut one = One::new(context, task, g, ld)?;
    let mut reached = match task.start {
        Some((u, v)) => {
            one.u.iter_mut().zip(u.iter().zip(v)).for_each(|(to, (u, v))| *to = 0.5 * (u + v));
            one.level(task.eta, task.tolerance)
        }
        None => Reached::Stuck,
    };
    if reached == Reached::Stuck {
        reached = one.path(task.eta, task.tolerance);
    }
    if reached == Reached::Stuck {
        // The mean of two potentials is no worse than they are: D is concave.
        let (_, u, v) = general(context, task, costs)?;
        one.u.iter_mut().zip(u.iter().zip(&v)).for_each(|(to, (u, v))| *to = 0.5 * (u + v));
        one.fill(task.eta);
        reached = if one.error() <= task.tolerance { Reached::Goal } else { Reached::Stuck };
    }
    if reached == Reached::Interrupt {
        // It may have come on the way to eta.
        one.fill(task.eta);
    }
    let outcome = match reached {
        Reached::Goal => Outcome::Converged,
        Reached::Interrupt => Outcome::Stopped(Stop::Interrupt),
        Reached::Stuck => Outcome::Stopped(Stop::Stagnation),
    };
    let v = memory::copied(&one.u, WHAT)?;
    Ok((outcome, one.u, v))
}

#[derive(PartialEq)]
enum Reached {
    Goal,
    Stuck,
    Interrupt,
}

/// The state of a problem with one potential; G is where the entries at hand stand.
struct One<'a> {
    context: &'a Context,
    task: &'a Task<'a>,
    g: &'a mut [f64],
    ld: usize,
    u: Vec<f64>,
    /// Sums of the rows of G, and D.
    r: Vec<f64>,
    value: f64,
    old: Vec<f64>,
    direction: Vec<f64>,
    residual: Vec<f64>,
    z: Vec<f64>,
    p: Vec<f64>,
    q: Vec<f64>,
}

impl<'a> One<'a> {
    fn new(context: &'a Context, task: &'a Task, g: &'a mut [f64], ld: usize) -> Result<Self> {
        let make = || memory::filled(task.n, 0.0, WHAT);
        Ok(One {
            context,
            task,
            g,
            ld,
            u: make()?,
            r: make()?,
            value: 0.0,
            old: make()?,
            direction: make()?,
            residual: make()?,
            z: make()?,
            p: make()?,
            q: make()?,
        })
    }

    /// Down to eta from where all entries of exp(K / eta) are within reach of each other.
    fn path(&mut self, eta: f64, goal: f64) -> Reached {
        let n = self.task.n;
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for i in 0..n {
            for v in self.task.k.row(i, n, &mut []) {
                (low, high) = (low.min(*v), high.max(*v));
            }
        }
        self.u.fill(-0.5 * high);
        let mut levels = 0;
        while eta * FACTOR.powi(levels + 1) < 0.05 * (high - low) {
            levels += 1;
        }
        for level in (1..=levels).rev() {
            if self.level(eta * FACTOR.powi(level), ROUGH.max(goal)) == Reached::Interrupt {
                return Reached::Interrupt;
            }
        }
        self.level(eta, goal)
    }

    fn level(&mut self, eta: f64, goal: f64) -> Reached {
        self.fill(eta);
        let mut failures = 0;
        for step in 0..WARMUP + STEPS {
            if self.error() <= goal {
                return Reached::Goal;
            }
            if self.context.interrupted() {
                self.context.clear_interrupt();
                return Reached::Interrupt;
            }
            if step < WARMUP {
                self.average(eta);
            } else if !self.newton(eta) {
                failures += 1;
                if failures == FAILURES {
                    return Reached::Stuck;
                }
                (0..10).for_each(|_| self.average(eta));
            }
        }
        Reached::Stuck
    }

    /// The L1 errors of rows and columns together, which are the same.
    fn error(&self) -> f64 {
        2.0 * self.r.iter().map(|r| (r - 1.0).abs()).sum::<f64>() / self.task.n as f64
    }

    /// G at the present u, its sums and D.
    fn fill(&mut self, eta: f64) {
        let (n, ld, k, scale) = (self.task.n, self.ld, self.task.k, 1.0 / eta);
        let pool = &self.context.pool;
        self.z.iter_mut().zip(&self.u).for_each(|(z, u)| *z = scale * u);
        let z = &self.z;
        pool.chunks(n * n / 2, self.g, ld, |i, row| {
            exp_row(&k.row(i, n, &mut [])[i..], &z[i..], -scale, z[i], &mut row[i..n]);
        });
        for i0 in (0..n).step_by(TILE) {
            for j0 in (i0..n).step_by(TILE) {
                for i in i0..n.min(i0 + TILE) {
                    for j in j0.max(i + 1)..n.min(j0 + TILE) {
                        self.g[j * ld + i] = self.g[i * ld + j];
                    }
                }
            }
        }
        let g = &*self.g;
        pool.chunks(n * n, &mut self.r, 1, |i, r| {
            let row = &g[i * ld..][..n];
            r[0] = lanes(row, row, |p, _| p);
        });
        self.value = self.u.iter().sum::<f64>() - 0.5 * eta * self.r.iter().sum::<f64>();
    }

    /// u <- (u + T(u)) / 2.
    fn average(&mut self, eta: f64) {
        self.u.iter_mut().zip(&self.r).for_each(|(u, r)| *u -= 0.5 * eta * r.ln());
        self.fill(eta);
    }

    /// A Newton step with a line search; false, and u as it was, if it leads nowhere.
    fn newton(&mut self, eta: f64) -> bool {
        let (value, error) = (self.value, self.error());
        self.old.copy_from_slice(&self.u);
        self.direct(eta, error);
        let slope: f64 = self.r.iter().zip(&self.direction).map(|(r, d)| (1.0 - r) * d).sum();
        let mut alpha = 1.0;
        while alpha > SHORTEST {
            let moved = self.old.iter().zip(&self.direction).map(|(old, d)| old + alpha * d);
            self.u.iter_mut().zip(moved).for_each(|(u, v)| *u = v);
            self.fill(eta);
            if self.value >= value + 1e-4 * alpha * slope && self.error() < error || self.error() < 0.5 * error {
                return true;
            }
            alpha *= 0.5;
        }
        self.u.copy_from_slice(&self.old);
        self.fill(eta);
        false
    }

    /// (diag(r) + G) d = eta (1 - r) by CG, as exactly as the error calls for.
    fn direct(&mut self, eta: f64, error: f64) {
        let (n, ld, g, r) = (self.task.n, self.ld, &*self.g, &self.r);
        let inverse = |i: usize| 1.0 / (r[i] + g[i * ld + i]);
        self.direction.fill(0.0);
        self.residual.iter_mut().zip(r).for_each(|(to, r)| *to = eta * (1.0 - r));
        let mut rho = 0.0;
        let mut enough = 0.0;
        for step in 0..MOST {
            self.z.iter_mut().zip(&self.residual).enumerate().for_each(|(i, (z, r))| *z = inverse(i) * r);
            let next = dot(&self.residual, &self.z);
            if step == 0 {
                enough = error.min(0.1).powi(2) * next;
            }
            if !(next > enough) {
                return;
            }
            let beta = if step == 0 { 0.0 } else { next / rho };
            rho = next;
            self.p.iter_mut().zip(&self.z).for_each(|(p, z)| *p = z + beta * *p);
            let p = &self.p;
            self.context.pool.chunks(n * n, &mut self.q, 1, |i, q| {
                q[0] = lanes(&g[i * ld..][..n], p, |g, x| g * (p[i] + x));
            });
            let curvature = dot(p, &self.q);
            if !(curvature > 0.0) {
                return;
            }
            let alpha = rho / curvature;
            self.direction.iter_mut().zip(p).for_each(|(d, p)| *d += alpha * p);
            self.residual.iter_mut().zip(&self.q).for_each(|(r, q)| *r -= alpha * q);
        }
    }
}

/// dK for the cotangent W of G: G . (W - alpha 1^T - 1 beta^T) / eta. G, W: n x n; dK by rows, `ld` numbers from one to the next.
pub fn project_vjp(context: &Context, n: usize, eta: f64, g: Strided, w: Strided, dk: &mut [f64], ld: usize) -> Result<Outcome> {
    /// Of the residual of the system; the derivative is then good to rounding for all but nearly decoupled G.
    const TOLERANCE: f64 = 1e-12;
    let (pool, source) = (&context.pool, Source::Matrix(g));
    let mut laplacian = Laplacian::new(source, pool, n, n)?;
    let (of_w, b) = of_entries(source, &mut laplacian, pool, w, 1.0)?;
    let solution = laplacian.solve(source, context, b, TOLERANCE)?;
    let (means, beta, peaks) = (&solution.means, &solution.beta, &laplacian.peaks);
    pool.chunks(n * n, dk, ld, |i, row| {
        let (g, w, peak) = (g.row(i, n, &mut []), w.row(i, n, &mut []), peaks[i] as usize);
        let (w_at, beta_at) = (w[peak], beta[peak]);
        for ((to, (g, w)), beta) in row[..n].iter_mut().zip(g.iter().zip(w)).zip(beta) {
            *to = g * (((w - w_at) - of_w[i]) - ((beta - beta_at) - means[i])) / eta;
        }
    });
    Ok(outcome(solution.stop))
}
