//! Barycentres: the masses that lie between others, on points that are given or on points that move.
//!
//! On given points, iterative Bregman projections (Benamou, Carlier, Cuturi, Nenna and Peyré 2015, arXiv 1412.5154, section
//! 3.2), debiased as in Janati, Cuturi and Gramfort 2020 (arXiv 2006.02575, algorithm 1). Of the k plans
//! P_l,ij = exp(phi_li + gamma_lj - C_ij / eps) all rows sum to one p, columns are made to sum to b_l in turn:
//!
//!   S_li = sum_j exp(gamma_lj - C_ij / eps)        log p_i = log d_i + sum_l w_l log S_li       phi_li = log p_i - log S_li
//!   gamma_lj += log b_lj - log sum_i P_l,ij        log d <- (log d + log p - log (exp(-C / eps) d)) / 2, or d = 1
//!
//! p_i hangs on row i alone, so that an iteration is one visit of each row of C for all inputs. Different from the papers:
//! all in logarithms, a path of eps, warm starts, and a true error as the end: that of the columns of the worst
//! input (and of the plan from p to itself if debiased).
//!
//! On points that move, Cuturi and Doucet 2014 (arXiv 1310.4375, algorithm 2) with whole steps: each point goes to the
//! weighted mean of where the plans take it. The k solves of a step start from those of the step before it.

use super::geometry::{Costs, Distance, Geometry, Matrix, Points};
use super::kernel::{self, Sweep};
use super::{epsilon, masses, Report, Setup, Sinkhorn, Watch};
use crate::linalg::Panel;
use crate::operator::check;
use crate::runtime::{memory, Error, Outcome, Result, Stop};
use std::sync::Arc;
use std::time::Instant;

const WHAT: &str = "a barycentre";

/// Levels of eps fall by this factor, from this share of the largest cost, each to this error.
const FACTOR: f64 = 4.0;
const FIRST: f64 = 0.05;
const ROUGH: f64 = 3e-2;

/// Columns with less than this share of their mass have no digits to go by.
const LOST: f64 = 1e-30;

/// Where the next barycentre of these sizes starts, in units of the cost.
pub(super) struct Kept {
    n: usize,
    m: usize,
    g: Vec<f64>,
    d: Vec<f64>,
}

/// Inputs in which something takes part, with their weights, of sum one.
fn convex(weights: Option<&[f64]>, k: usize) -> Result<Vec<(usize, f64)>> {
    if k == 0 {
        return Err(Error::size("k", 0, "be positive"));
    }
    let Some(weights) = weights else { return Ok((0..k).map(|l| (l, 1.0 / k as f64)).collect()) };
    check::finite("weights", weights)?;
    if let Some(l) = weights.iter().position(|w| *w < 0.0) {
        return Err(Error::argument("weights", format!("{} at position {l}", weights[l]), "not be negative"));
    }
    let sum: f64 = weights.iter().sum();
    if !(sum > 0.0 && sum.is_finite()) {
        return Err(Error::argument("weights", format!("of sum {sum}"), "have a positive, finite sum"));
    }
    Ok(weights.iter().enumerate().filter(|(_, w)| **w > 0.0).map(|(l, w)| (l, w / sum)).collect())
}

/// The mass of a histogram.
pub(super) fn mass_of(name: &'static str, column: &[f64], says: impl Fn(usize) -> String) -> Result<f64> {
    if let Some(i) = column.iter().position(|v| !v.is_finite()) {
        return Err(Error::NonFinite(format!("argument '{name}' has {} {}, must be finite", column[i], says(i))));
    }
    if let Some(i) = column.iter().position(|v| *v < 0.0) {
        return Err(Error::argument(name, format!("{} {}", column[i], says(i)), "not be negative"));
    }
    Ok(column.iter().sum())
}

/// The common mass of histograms: that of the first.
fn common_mass(name: &'static str, of: impl Iterator<Item = Result<f64>>, which: &str) -> Result<f64> {
    let mut common = None;
    for (l, mass) in of.enumerate() {
        let mass = mass?;
        if !(mass > 0.0 && mass.is_finite()) {
            return Err(Error::argument(name, format!("of mass {mass} in {which} {l}"), "have a positive, finite mass there"));
        }
        let first = *common.get_or_insert(mass);
        if (mass - first).abs() > 1e-8 * mass.max(first) {
            let want = format!("have the mass of {which} 0, {first}");
            return Err(Error::argument(name, format!("of mass {mass} in {which} {l}"), want));
        }
    }
    Ok(common.unwrap_or(1.0))
}

/// One barycentre on given points, while it is sought.
struct Search<'a> {
    setup: &'a Setup,
    geometry: &'a Geometry,
    weights: &'a [f64],
    /// Inputs of mass one, plan after plan, and their logarithms.
    b: &'a [f64],
    log_b: Vec<f64>,
    sweep: Sweep,
    /// log d; `None` unless it is to be debiased now.
    d: Option<Vec<f64>>,
    /// log sum_j exp(d_j - C_ij / eps) with the d of the last pass.
    self_sums: Vec<f64>,
    log_p: Vec<f64>,
    passes: f64,
}

impl Search<'_> {
    /// p and the sums of columns at the present gamma; the error of the worst input.
    fn pass(&mut self, scale: f64) -> Result<f64> {
        let (weights, d) = (self.weights, self.d.as_deref());
        self.sweep.pass(self.geometry, &self.setup.context.pool, scale, |i, sums, phi| {
            let log_p = d.map_or(0.0, |d| d[i]) + sums.iter().zip(weights).map(|(sum, w)| w * sum).sum::<f64>();
            phi.iter_mut().zip(sums).for_each(|(phi, sum)| *phi = if log_p > f64::NEG_INFINITY { log_p - sum } else { log_p });
        })?;
        let log_p = &mut self.log_p;
        log_p.iter_mut().zip(self.sweep.log_rows(0)).for_each(|(to, p)| *to = p);
        let apart = |c: &[f64], b: &[f64]| c.iter().zip(b).filter(|(_, b)| **b > 0.0).map(|(c, b)| (c - b).abs()).sum::<f64>();
        let m = self.geometry.m;
        let columns = self.sweep.columns.chunks(m).zip(self.b.chunks(m));
        let mut error = columns.map(|(c, b)| apart(c, b)).fold(0.0, f64::max);
        self.passes += self.weights.len() as f64;
        if let Some(d) = &self.d {
            kernel::log_sums(self.geometry, &self.setup.context.pool, scale, d, &mut self.self_sums)?;
            self.passes += 1.0;
            let rows = log_p.iter().zip(d).zip(&self.self_sums).filter(|((p, _), _)| **p > f64::NEG_INFINITY);
            error = error.max(rows.map(|((p, d), sum)| (p.exp() - (d + sum).exp()).abs()).sum());
        }
        Ok(error)
    }

    /// Columns exact, or beyond that by `relaxation`, and d. False where mass has nowhere to come from.
    fn update(&mut self, scale: f64, relaxation: f64) -> Result<bool> {
        let m = self.geometry.m;
        for l in 0..self.weights.len() {
            let (b, log_b) = (&self.b[l * m..][..m], &self.log_b[l * m..][..m]);
            let columns = &self.sweep.columns[l * m..][..m];
            let gamma = &mut self.sweep.gamma[l * m..][..m];
            let is_lost = |j: usize| b[j] > 0.0 && columns[j] <= LOST * b[j];
            for j in (0..m).filter(|j| b[*j] > 0.0 && !is_lost(*j)) {
                gamma[j] += relaxation * (log_b[j] - columns[j].ln());
            }
            if (0..m).any(is_lost) {
                let phi: Vec<f64> = self.sweep.phi(l).collect();
                let mut sums = memory::filled(m, 0.0, WHAT)?;
                kernel::log_sums_transposed(self.geometry, &self.setup.context.pool, scale, &phi, &mut sums)?;
                self.passes += 1.0;
                for j in (0..m).filter(|j| is_lost(*j)) {
                    if sums[j] == f64::NEG_INFINITY {
                        return Ok(false);
                    }
                    self.sweep.gamma[l * m + j] = log_b[j] - sums[j];
                }
            }
        }
        if let Some(d) = &mut self.d {
            for ((d, p), sum) in d.iter_mut().zip(&self.log_p).zip(&self.self_sums) {
                *d = if *p > f64::NEG_INFINITY { 0.5 * (*d + p - sum) } else { *p };
            }
        }
        Ok(true)
    }

    /// One level of eps.
    fn level(&mut self, epsilon: f64, goal: f64, watch: &mut Watch) -> Result<Outcome> {
        let relaxation = self.setup.options.real("relaxation");
        loop {
            let error = self.pass(1.0 / epsilon)?;
            self.setup.report.borrow_mut().marginal_error = error;
            if watch.stops_at(self.passes, error) {
                return Ok(watch.stagnates());
            }
            if error <= goal {
                return Ok(Outcome::Converged);
            }
            if !self.update(1.0 / epsilon, relaxation)? {
                return Ok(Outcome::Stopped(Stop::Infeasible));
            }
        }
    }

    /// Potentials in units of `by`, for another eps.
    fn rescale(&mut self, by: f64) {
        let finite = |v: &mut f64| *v = if v.is_finite() { *v * by } else { *v };
        self.sweep.gamma.iter_mut().for_each(finite);
        self.d.iter_mut().flatten().for_each(finite);
    }

    /// What is minimised, and its dual, for masses of sum one.
    fn values(&self) -> (f64, f64) {
        let m = self.geometry.m;
        let product = |x: f64, y: f64| if x == 0.0 { 0.0 } else { x * y };
        let sum: f64 = self.log_p.iter().map(|p| p.exp()).sum();
        let (mut primal, mut dual) = (-sum, -sum);
        for (l, w) in self.weights.iter().enumerate() {
            let rows: f64 = self.log_p.iter().zip(self.sweep.phi(l)).map(|(p, phi)| product(p.exp(), phi)).sum();
            let range = l * m..(l + 1) * m;
            let gamma = &self.sweep.gamma[range.clone()];
            let against = |masses: &[f64]| masses.iter().zip(gamma).filter(|(_, g)| g.is_finite()).map(|(v, g)| v * g).sum::<f64>();
            primal += w * (rows + against(&self.sweep.columns[range.clone()]));
            dual += w * (rows + against(&self.b[range]));
        }
        if let Some(d) = &self.d {
            let own = self.log_p.iter().zip(d).map(|(p, d)| 2.0 * product(p.exp(), *d)).sum::<f64>() - sum;
            primal -= 0.5 * own;
            dual -= 0.5 * own;
        }
        (primal, dual)
    }
}

impl Sinkhorn {
    /// The histogram on the rows of C that is nearest to the columns of `inputs` (m x k), into `out`. The plan of the last
    /// solve stays.
    pub fn barycenter(
        &mut self,
        setup: &Setup,
        geometry: &Arc<Geometry>,
        inputs: Panel<f64>,
        weights: Option<&[f64]>,
        out: &mut [f64],
    ) -> Result<Outcome> {
        let started = Instant::now();
        renew(setup);
        let (n, m) = geometry.shape();
        let weights = convex(weights, inputs.ncols)?;
        let says = |l: usize| move |i: usize| format!("in row {i} and column {l} (base 0)");
        let mass = common_mass("B", (0..inputs.ncols).map(|l| mass_of("B", inputs.col(l), says(l))), "column")?;
        let epsilon = epsilon(setup, geometry)?;
        let is_debiased = setup.options.text("barycenter") == "debiased";
        let is_symmetric = (is_debiased || geometry.is_transposed) && kernel::is_symmetric(geometry)?;
        if is_debiased && !is_symmetric {
            return Err(Error::argument("G", "not symmetric", "cost as much there as back for a debiased barycentre"));
        }
        let by_rows = if geometry.is_transposed && !is_symmetric { transposed(geometry)? } else { geometry.clone() };
        let k = weights.len();
        let mut b = memory::filled(memory::product(k, m, WHAT)?, 0.0, WHAT)?;
        for ((l, _), to) in weights.iter().zip(b.chunks_mut(m)) {
            to.iter_mut().zip(inputs.col(*l)).for_each(|(to, v)| *to = v / mass);
        }
        let mut log_b = memory::copied(&b, WHAT)?;
        log_b.iter_mut().for_each(|v| *v = v.ln());
        let weights: Vec<f64> = weights.iter().map(|(_, w)| *w).collect();
        let mut search = Search {
            setup,
            geometry: &by_rows,
            weights: &weights,
            b: &b,
            log_b,
            sweep: Sweep::new(&by_rows, k)?,
            d: None,
            self_sums: memory::filled(if is_debiased { n } else { 0 }, 0.0, WHAT)?,
            log_p: memory::filled(n, 0.0, WHAT)?,
            passes: 0.0,
        };
        let kept = self.barycenters.as_ref().filter(|kept| kept.n == n && kept.m == m && kept.g.len() == k * m);
        let kept = kept.filter(|_| setup.options.text("start") != "zero");
        let mut levels = vec![epsilon];
        let mut d = memory::filled(if is_debiased { n } else { 0 }, 0.0, WHAT)?;
        match kept {
            Some(kept) => {
                search.sweep.gamma.copy_from_slice(&kept.g);
                if d.len() == kept.d.len() {
                    d.copy_from_slice(&kept.d);
                }
            }
            None if setup.method == "auto" => {
                let most = FIRST * by_rows.scale()?.max;
                while levels[levels.len() - 1] * FACTOR < most {
                    levels.push(levels[levels.len() - 1] * FACTOR);
                }
            }
            None => {}
        }
        search.sweep.gamma.iter_mut().zip(&b).filter(|(_, b)| **b == 0.0).for_each(|(gamma, _)| *gamma = f64::NEG_INFINITY);
        let target = setup.options.real("tolerance");
        let mut watch = Watch { setup, started, target, share: 1.0, stop: None };
        let mut outcome = Outcome::Converged;
        let mut unit = 1.0;
        while let Some(now) = levels.pop().filter(|_| outcome == Outcome::Converged) {
            // Taking out a blur wider than the inputs is hard; it is done where the blur is the one asked for.
            if levels.is_empty() && is_debiased {
                search.d = Some(std::mem::take(&mut d));
            }
            search.rescale(unit / now);
            unit = now;
            setup.report.borrow_mut().levels += 1;
            outcome = search.level(now, if levels.is_empty() { target } else { ROUGH.max(target) }, &mut watch)?;
        }
        let top = search.log_p.iter().fold(f64::NEG_INFINITY, |top, p| p.max(top));
        if top == f64::NEG_INFINITY {
            // No row is within reach of all inputs.
            outcome = Outcome::Stopped(Stop::Infeasible);
        }
        if outcome != Outcome::Stopped(Stop::Infeasible) {
            // Early on all of p may be too small or large for its exponentials.
            let sum: f64 = search.log_p.iter().map(|p| (p - top).exp()).sum();
            out.iter_mut().zip(&search.log_p).for_each(|(to, p)| *to = mass * ((p - top).exp() / sum));
            let (primal, dual) = search.values();
            let mut report = setup.report.borrow_mut();
            // Half the logarithms go to the plan from p to itself.
            let logs = if is_debiased { 0.5 } else { 1.0 } * mass.ln();
            (report.primal, report.dual) = (mass * unit * (primal + logs), mass * unit * (dual + logs));
            (report.epsilon, report.cost) = (unit, f64::NAN);
            drop(report);
            search.rescale(unit);
            let finite = |v: Vec<f64>| v.into_iter().map(|v| if v.is_finite() { v } else { 0.0 }).collect::<Vec<_>>();
            self.barycenters = Some(Kept { n, m, g: finite(search.sweep.gamma), d: finite(search.d.unwrap_or_default()) });
        }
        let mut report = setup.report.borrow_mut();
        report.passes = search.passes;
        report.seconds = started.elapsed().as_secs_f64();
        Ok(outcome)
    }

    /// Moves the points x (d x n, of masses a, or alike) to where the weighted sum of their costs to the clouds is least;
    /// squared distances. Memory of the solver's own is neither used nor left.
    pub fn barycenter_points(
        setup: &Setup,
        x: &mut [f64],
        a: Option<&[f64]>,
        clouds: &Clouds,
        weights: Option<&[f64]>,
    ) -> Result<Outcome> {
        let started = Instant::now();
        renew(setup);
        let (n, k) = (x.len() / clouds.y.nrows, clouds.starts.len() - 1);
        let weights = convex(weights, k)?;
        check::finite("X", x)?;
        (0..clouds.y.ncols).try_for_each(|j| check::finite("Y", clouds.y.col(j)))?;
        let says = |i: usize| format!("at position {i}");
        let of_b = |l: usize| {
            let from = clouds.starts[l];
            clouds.b.map(|b| mass_of("b", &b[from..clouds.starts[l + 1]], |i| format!("at position {}", from + i)))
        };
        let masses_of_b = clouds.b.map(|_| common_mass("b", (0..k).filter_map(of_b), "cloud")).transpose()?;
        let mass_of_a = a.map(|a| common_mass("a", std::iter::once(mass_of("a", a, says)), "cloud")).transpose()?;
        let mass = mass_of_a.or(masses_of_b).unwrap_or(1.0);
        let alike = |n: usize| memory::filled(n, mass / n as f64, WHAT);
        let a = a.map_or_else(|| alike(n), |a| memory::copied(a, WHAT))?;
        let mut inputs = Vec::with_capacity(weights.len());
        for (l, weight) in weights {
            let range = clouds.starts[l]..clouds.starts[l + 1];
            let b = clouds.b.map_or_else(|| alike(range.len()), |b| memory::copied(&b[range.clone()], WHAT))?;
            masses(&a, &b)?;
            let y = clouds.y.cols(range.start, range.end);
            let axes = (0..y.nrows).map(|k| (0..y.ncols).map(|j| y.col(j)[k]).collect()).collect();
            inputs.push(Input { y, axes, b, weight, memory: Sinkhorn::default() });
        }
        let mut now = memory::copied(x, WHAT)?;
        let mut inner = lend(setup)?;
        let outcome = walk(setup, &mut inner, &mut now, &a, &mut inputs, started);
        setup.monitor.replace(inner.monitor.take());
        setup.report.borrow_mut().seconds = started.elapsed().as_secs_f64();
        let outcome = outcome?;
        x.copy_from_slice(&now);
        Ok(outcome)
    }
}

/// Clouds of points side by side, the columns of y; l has those from starts[l] to before starts[l + 1].
pub struct Clouds<'a> {
    pub y: Panel<'a, f64>,
    pub starts: &'a [usize],
    /// Masses of all points; each cloud's are alike without.
    pub b: Option<&'a [f64]>,
}

/// A cloud with what is remembered from step to step.
struct Input<'a> {
    y: Panel<'a, f64>,
    axes: Vec<Vec<f64>>,
    b: Vec<f64>,
    weight: f64,
    memory: Sinkhorn,
}

/// A report afresh.
pub(super) fn renew(setup: &Setup) {
    let solves = setup.report.borrow().solves;
    *setup.report.borrow_mut() = Report { solves, ..Report::default() };
}

/// The same choices for solves within a call; the monitor goes along.
pub(super) fn lend(setup: &Setup) -> Result<Setup> {
    let mut inner = Setup::new(setup.context.clone(), setup.method)?;
    inner.options = setup.options.clone();
    inner.monitor.replace(setup.monitor.take());
    Ok(inner)
}

/// Steps until no point moves further than asked for.
fn walk(setup: &Setup, inner: &mut Setup, x: &mut [f64], a: &[f64], inputs: &mut [Input], started: Instant) -> Result<Outcome> {
    let (n, d) = (a.len(), x.len() / a.len());
    let costs = |x: &[f64], input: &Input| -> Result<Arc<Geometry>> {
        let points = Points::new(Panel::packed(x, d, n), input.y, Distance { norm: 2.0, power: 2.0 }, None, None)?;
        Ok(Arc::new(Geometry::new(n, input.b.len(), Costs::Plain(Box::new(points)), false)))
    };
    // In units of the costs that the call begins with, so that all steps blur alike.
    let epsilons = inputs.iter().map(|input| super::epsilon(setup, &*costs(x, input)?)).collect::<Result<Vec<_>>>()?;
    let epsilon = match setup.options.text("epsilon_relative") {
        "mean" => epsilons.iter().zip(&*inputs).map(|(e, input)| e * input.weight).sum(),
        _ => epsilons.iter().fold(0.0f64, |m, e| m.max(*e)),
    };
    inner.options.preset("epsilon_relative", "no");
    inner.options.set_real("epsilon", epsilon)?;
    let extent = (0..d).map(|k| {
        let ends = |(low, high): (f64, f64), v: &f64| (v.min(low), v.max(high));
        let (low, high) = inputs.iter().flat_map(|input| &input.axes[k]).fold((f64::INFINITY, f64::NEG_INFINITY), ends);
        high - low
    });
    let enough = setup.options.real("movement") * extent.fold(0.0, f64::max);
    let (time, most) = (setup.options.real("time_limit"), setup.options.int("max_passes"));
    let mut passes = 0.0;
    let (mut next, mut mean) = (memory::filled(x.len(), 0.0, WHAT)?, memory::filled(x.len(), 0.0, WHAT)?);
    for _ in 0..setup.options.int("max_steps") {
        next.fill(0.0);
        let (mut stagnates, mut of_step) = (false, Report::default());
        for input in inputs.iter_mut() {
            let geometry = costs(x, input)?;
            inner.options.set_real("time_limit", (time - started.elapsed().as_secs_f64()).max(0.0))?;
            inner.options.set_int("max_passes", most.saturating_sub(passes as i64).max(0))?;
            let outcome = input.memory.solve(inner, &geometry, a, &input.b)?;
            let solved = inner.report.borrow();
            passes += solved.passes;
            let mut report = setup.report.borrow_mut();
            report.passes = passes;
            report.newton_steps += solved.newton_steps;
            report.cg_steps += solved.cg_steps;
            report.levels += solved.levels;
            of_step.marginal_error = solved.marginal_error.max(of_step.marginal_error);
            of_step.cost += input.weight * solved.cost;
            of_step.primal += input.weight * solved.primal;
            of_step.dual += input.weight * solved.dual;
            match outcome {
                Outcome::Converged => {}
                Outcome::Stopped(Stop::Stagnation) => stagnates = true,
                stopped => return Ok(stopped),
            }
            let v: Vec<f64> = input.memory.potentials()?.1.iter().map(|g| g / epsilon).collect();
            kernel::means(&geometry, &setup.context.pool, 1.0 / epsilon, &v, &input.axes, &mut mean)?;
            report.passes += 1.0;
            passes += 1.0;
            next.iter_mut().zip(&mean).for_each(|(to, v)| *to += input.weight * v);
        }
        let square = |(new, old): (&[f64], &[f64])| new.iter().zip(old).map(|(new, old)| (new - old) * (new - old)).sum::<f64>();
        let moved = next.chunks(d).zip(x.chunks(d)).map(square).fold(0.0, f64::max).sqrt();
        x.copy_from_slice(&next);
        let mut report = setup.report.borrow_mut();
        report.iterations += 1;
        (report.marginal_error, report.epsilon) = (of_step.marginal_error, epsilon);
        (report.cost, report.primal, report.dual) = (of_step.cost, of_step.primal, of_step.dual);
        if moved <= enough {
            return Ok(if stagnates { Outcome::Stopped(Stop::Stagnation) } else { Outcome::Converged });
        }
    }
    Ok(Outcome::Stopped(Stop::Iterations))
}

/// C^T by rows, for a geometry whose own rows are those of C^T.
fn transposed(geometry: &Geometry) -> Result<Arc<Geometry>> {
    let (n, m) = geometry.shape();
    let mut data = memory::filled(memory::product(n, m, WHAT)?, 0.0, WHAT)?;
    let mut room = memory::filled(geometry.m, 0.0, WHAT)?;
    for j in 0..m {
        for (i, cost) in geometry.rows().row(j, &mut room)?.iter().enumerate() {
            data[i * m + j] = *cost;
        }
    }
    Ok(Arc::new(Geometry::new(n, m, Costs::Plain(Box::new(Matrix::owned(data, m))), false)))
}
