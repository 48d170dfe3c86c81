//! Several problems in one call: those of one geometry, or each with its own.
//!
//! Each problem is a solve by itself, of one thread, and problems are dealt out to threads: a result is what a single solve
//! gives, bit for bit. Only where problems are too few for the threads, where a monitor looks on, or where the
//! host writes the rows, they come one after another with all threads for each. Plain Sinkhorn iterations on one
//! geometry go first through a common sweep, which asks for each row of the cost once for up to [`GROUP`] problems; the single
//! solves begin where that ended and find themselves converged.

use super::barycenter::{lend, mass_of, renew};
use super::geometry::{Costs, Geometry};
use super::kernel::Sweep;
use super::{epsilon, Report, Setup, Sinkhorn};
use crate::runtime::options::Options;
use crate::runtime::{memory, Context, Error, Outcome, Result, Stop};
use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use std::time::Instant;

const WHAT: &str = "several transport problems";

/// Problems of one sweep at most: each has a row of exponentials, which must stay in the cache.
const GROUP: usize = 8;

/// Columns with less than this share of their mass have no digits to go by.
const LOST: f64 = 1e-30;

/// Entries from which on a problem has work for several threads.
const LARGE: usize = 1_000_000;

/// One of several problems, and how it ended.
pub struct Problem<'a> {
    geometry: Arc<Geometry>,
    a: &'a [f64],
    b: &'a [f64],
    /// Room for the potentials, written if the problem is solved.
    f: Option<&'a mut [f64]>,
    g: Option<&'a mut [f64]>,
    pub outcome: Result<Outcome>,
    /// <C, P>, of a problem that has a plan.
    pub cost: Option<f64>,
    report: Report,
    /// Column potentials to start from, and passes that led to them.
    start: Option<Vec<f64>>,
    swept: usize,
}

impl<'a> Problem<'a> {
    /// `names` of the masses, and `says` where the one at a position is and of which problem it is, for messages. Masses that
    /// cannot be are this problem's outcome.
    pub fn new(
        geometry: Arc<Geometry>,
        (a, b): (&'a [f64], &'a [f64]),
        (f, g): (Option<&'a mut [f64]>, Option<&'a mut [f64]>),
        names: (&'static str, &'static str),
        says: (&dyn Fn(usize) -> String, &str),
    ) -> Self {
        let checked = || {
            let (of_a, of_b) = (mass_of(names.0, a, says.0)?, mass_of(names.1, b, says.0)?);
            if !(of_a > 0.0 && of_a.is_finite()) {
                return Err(Error::argument(names.0, format!("of mass {of_a} in {}", says.1), "have a positive, finite mass there"));
            }
            if (of_a - of_b).abs() > 1e-8 * of_a.max(of_b) || !of_b.is_finite() {
                let want = format!("have the mass of '{}' there, {of_a}", names.0);
                return Err(Error::argument(names.1, format!("of mass {of_b} in {}", says.1), want));
            }
            Ok(Outcome::Converged)
        };
        let outcome = checked();
        Problem { geometry, a, b, f, g, outcome, cost: None, report: Report::default(), start: None, swept: 0 }
    }

    fn entries(&self) -> usize {
        self.geometry.n.saturating_mul(self.geometry.m)
    }

    /// Solves it by the choices of `setup`; `last` and `before` are what is remembered.
    fn run(&mut self, setup: &mut Setup, last: Option<&Vec<f64>>, before: Option<&Vec<f64>>) {
        let mut solver = Sinkhorn { last: last.cloned(), before: before.cloned(), ..Sinkhorn::default() };
        if let Some(start) = self.start.take() {
            solver.last = Some(start);
            setup.options.preset("start", "previous");
        }
        self.outcome = self.solve(setup, &mut solver);
    }

    fn solve(&mut self, setup: &mut Setup, solver: &mut Sinkhorn) -> Result<Outcome> {
        let left = setup.options.int("max_passes").saturating_sub(self.swept as i64).max(0);
        setup.options.set_int("max_passes", left)?;
        let outcome = solver.solve(setup, &self.geometry, self.a, self.b)?;
        self.report = setup.report.borrow().clone();
        self.report.iterations += self.swept;
        self.report.passes += self.swept as f64;
        if outcome != Outcome::Stopped(Stop::Infeasible) {
            self.cost = Some(self.report.cost);
            let (f, g) = solver.potentials()?;
            for (to, from) in [(&mut self.f, f), (&mut self.g, g)] {
                if let Some(to) = to {
                    to.copy_from_slice(from);
                }
            }
        }
        Ok(outcome)
    }
}

/// A problem on its way to another thread.
struct Task<'p, 'a>(&'p mut Problem<'a>);

// SAFETY: made of problems alone whose geometry is plain data, which any thread may read; everything else in a problem is
// the problem's own.
unsafe impl Send for Task<'_, '_> {}

impl Sinkhorn {
    /// Problems of one geometry. What is remembered is where they start if the options say so, and stays.
    pub fn solve_batch(&self, setup: &Setup, problems: &mut [Problem]) -> Result<Outcome> {
        let started = Instant::now();
        if setup.method == "sinkhorn" && setup.monitor.borrow().is_none() {
            let mut sound: Vec<&mut Problem> = problems.iter_mut().filter(|problem| problem.outcome.is_ok()).collect();
            for group in sound.chunks_mut(GROUP).filter(|group| group.len() > 1) {
                if let Err(e) = self.sweep(setup, group, started) {
                    group.iter_mut().for_each(|problem| problem.outcome = Err(e.clone()));
                }
            }
        }
        self.solve_many_since(setup, problems, started)
    }

    /// Problems each with its own geometry.
    pub fn solve_many(&self, setup: &Setup, problems: &mut [Problem]) -> Result<Outcome> {
        self.solve_many_since(setup, problems, Instant::now())
    }

    /// What a problem with m columns starts from, unless that is nothing.
    fn remembered(&self, options: &Options) -> (Option<&Vec<f64>>, Option<&Vec<f64>>) {
        match options.text("start") {
            "previous" | "extrapolated" => (self.last.as_ref(), self.before.as_ref()),
            _ => (None, None),
        }
    }

    fn solve_many_since(&self, setup: &Setup, problems: &mut [Problem], started: Instant) -> Result<Outcome> {
        renew(setup);
        let (last, before) = self.remembered(&setup.options);
        let threads = setup.context.pool.threads();
        let limit = setup.options.real("time_limit");
        let left = move || (limit - started.elapsed().as_secs_f64()).max(0.0);
        let is_plain = |problem: &Problem| problem.outcome.is_ok() && !matches!(problem.geometry.costs, Costs::Host(_));
        let most = problems.iter().map(Problem::entries).max().unwrap_or(0);
        let mut is_done = memory::filled(problems.len(), false, WHAT)?;
        if setup.monitor.borrow().is_none() && (problems.len() >= threads || most < LARGE) {
            let mut tasks = memory::with_capacity(problems.len(), WHAT)?;
            for (problem, done) in problems.iter_mut().zip(&mut is_done) {
                *done = is_plain(problem);
                if *done {
                    tasks.push(Task(problem));
                }
            }
            let work = tasks.iter().fold(0usize, |work, task| work.saturating_add(10 * task.0.entries()));
            let (method, options, interrupt) = (setup.method, &setup.options, setup.context.interrupt_flag());
            setup.context.pool.chunks(work, &mut tasks, 1, |_, task| {
                let problem = &mut *task[0].0;
                match worker(method, options, &interrupt, left()) {
                    Ok(mut setup) => problem.run(&mut setup, last, before),
                    Err(e) => problem.outcome = Err(e),
                }
            });
        }
        let mut inner = lend(setup)?;
        let mut is_interrupted = false;
        for (problem, _) in problems.iter_mut().zip(&is_done).filter(|(problem, done)| !**done && problem.outcome.is_ok()) {
            inner.options = setup.options.clone();
            if let Err(e) = inner.options.set_real("time_limit", left()) {
                problem.outcome = Err(e);
                continue;
            }
            problem.run(&mut inner, last, before);
            if problem.outcome == Ok(Outcome::Stopped(Stop::Interrupt)) {
                // All that are left are to hear of it.
                setup.context.interrupt();
                is_interrupted = true;
            }
        }
        setup.monitor.replace(inner.monitor.take());
        if is_interrupted || problems.iter().any(|problem| problem.outcome == Ok(Outcome::Stopped(Stop::Interrupt))) {
            setup.context.clear_interrupt();
        }
        sum_up(setup, problems, started);
        let first = problems.iter().find(|problem| problem.outcome != Ok(Outcome::Converged));
        first.map_or(Ok(Outcome::Converged), |problem| problem.outcome.clone())
    }

    /// Sinkhorn iterations for a few problems of one geometry together; each leaves when it has converged.
    fn sweep(&self, setup: &Setup, group: &mut [&mut Problem], started: Instant) -> Result<()> {
        let geometry = group[0].geometry.clone();
        let (n, m, k) = (geometry.n, geometry.m, group.len());
        let epsilon = epsilon(setup, &geometry)?;
        let relaxation = setup.options.real("relaxation");
        let target = setup.options.real("tolerance");
        let mut sweep = Sweep::new(&geometry, k)?;
        let mut log_a = memory::filled(memory::product(k, n, WHAT)?, 0.0, WHAT)?;
        let mut b = memory::filled(memory::product(k, m, WHAT)?, 0.0, WHAT)?;
        for (l, problem) in group.iter().enumerate() {
            let mass: f64 = problem.a.iter().sum();
            let (rows, columns) = if geometry.is_transposed { (problem.b, problem.a) } else { (problem.a, problem.b) };
            log_a[l * n..][..n].iter_mut().zip(rows).for_each(|(to, v)| *to = (v / mass).ln());
            b[l * m..][..m].iter_mut().zip(columns).for_each(|(to, v)| *to = v / mass);
            let start = self.remembered(&setup.options).0.filter(|start| start.len() == m);
            for (j, gamma) in sweep.gamma(l).iter_mut().enumerate() {
                let start = start.map_or(0.0, |start| start[j] / epsilon);
                *gamma = if columns[j] > 0.0 { start } else { f64::NEG_INFINITY };
            }
        }
        while sweep.active.contains(&true) {
            sweep.pass(&geometry, &setup.context.pool, 1.0 / epsilon, |i, sums, phi| {
                for (l, (phi, sum)) in phi.iter_mut().zip(sums).enumerate() {
                    *phi = if *sum > f64::NEG_INFINITY { log_a[l * n + i] - sum } else { f64::NEG_INFINITY };
                }
            })?;
            let is_over = setup.context.interrupted() || started.elapsed().as_secs_f64() > setup.options.real("time_limit");
            for l in (0..k).filter(|l| sweep.active[*l]).collect::<Vec<_>>() {
                group[l].swept += 1;
                let range = l * m..(l + 1) * m;
                let (columns, b) = (&sweep.columns[range.clone()], &b[range.clone()]);
                let apart: f64 = columns.iter().zip(b).map(|(c, b)| (c - b).abs()).sum();
                let is_lost = columns.iter().zip(b).any(|(c, b)| *c <= LOST * b && *b > 0.0);
                if apart <= target || is_lost || is_over || group[l].swept as i64 >= setup.options.int("max_passes") {
                    sweep.active[l] = false;
                    continue;
                }
                for ((gamma, c), b) in sweep.gamma[range].iter_mut().zip(columns).zip(b).filter(|(_, b)| **b > 0.0) {
                    *gamma += relaxation * (b / c).ln();
                }
            }
        }
        for (l, problem) in group.iter_mut().enumerate() {
            let finite = |v: &f64| if v.is_finite() { v * epsilon } else { 0.0 };
            problem.start = Some(sweep.gamma(l).iter().map(finite).collect());
        }
        Ok(())
    }
}

/// The choices of a solve on a thread of the pool: one thread, no callbacks.
fn worker(method: &str, options: &Options, interrupt: &Arc<AtomicBool>, left: f64) -> Result<Setup> {
    let mut setup = Setup::new(Arc::new(Context::worker(interrupt.clone())), method)?;
    setup.options = options.clone();
    setup.options.set_real("time_limit", left)?;
    Ok(setup)
}

/// The report of all problems: sums, the largest error and epsilon.
fn sum_up(setup: &Setup, problems: &[Problem], started: Instant) {
    let mut report = setup.report.borrow_mut();
    for one in problems.iter().map(|problem| &problem.report) {
        report.iterations += one.iterations;
        report.newton_steps += one.newton_steps;
        report.cg_steps += one.cg_steps;
        report.levels += one.levels;
        report.passes += one.passes;
        report.cost += one.cost;
        report.primal += one.primal;
        report.dual += one.dual;
        report.marginal_error = report.marginal_error.max(one.marginal_error);
        report.epsilon = report.epsilon.max(one.epsilon);
    }
    report.seconds = started.elapsed().as_secs_f64();
}
