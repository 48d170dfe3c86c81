//! Entropic optimal transport: min <C, P> + eps sum P (log P - 1) with P 1 = a, P^T 1 = b, P >= 0.
//!
//! A [`geometry::Geometry`] is what transport costs, a [`dual::Dual`] the state of the dual with its passes over the plan; the
//! methods are `path` ("auto"), `scaling` ("sinkhorn") and `sns`; `separable` has the sums over a grid. [`Sinkhorn`] holds what
//! lasts from solve to solve: the potentials, from which the next problem of a sequence starts.

mod anderson;
pub mod bracket;
pub mod divergence;
pub mod circle;
pub mod coding_rate;
pub mod derivative;
pub mod barycenter;
pub mod batch;
pub mod dual;
mod factor;
mod gap;
pub mod geometry;
pub mod line;
pub mod laplacian;
pub mod membership;
mod kernel;
mod newton;
pub mod options;
mod path;
mod relaxed;
mod saved;
mod scaling;
mod separable;
pub mod sliced;
mod sns;
mod values;

use crate::linalg::simd::exp::exp_row;
use crate::operator::check;
use crate::runtime::context::LOG_SOLVE;
use crate::runtime::monitor::{Monitor, Progress, Wish};
use crate::runtime::options::Options;
use crate::runtime::{memory, Context, Error, Outcome, Pool, Result, Stop};
use bracket::{Plan, Rounded};
use dual::{Dual, Take};
use geometry::{Costs, Geometry};
use relaxed::Relaxed;
use values::product_offset;
use options::{METHODS, SINKHORN};
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

#[derive(Debug, Clone, Default)]
pub struct Report {
    pub iterations: usize,
    pub newton_steps: usize,
    pub cg_steps: usize,
    pub levels: usize,
    pub passes: f64,
    pub marginal_error: f64,
    pub epsilon: f64,
    pub cost: f64,
    pub plan_mass: f64,
    pub primal: f64,
    pub dual: f64,
    /// Of the cost without blur.
    pub bounds: Option<(f64, f64)>,
    pub solves: usize,
    pub seconds: f64,
    pub derivative_products: usize,
    pub derivative_residual: f64,
}

/// The user's choices, and the report of the last solve.
pub struct Setup {
    pub context: Arc<Context>,
    pub method: &'static str,
    pub options: Options,
    pub monitor: RefCell<Option<Box<dyn Monitor>>>,
    pub report: RefCell<Report>,
}

impl Setup {
    pub fn new(context: Arc<Context>, method: &str) -> Result<Self> {
        let known = METHODS.iter().find(|known| **known == method);
        let method = known.ok_or_else(|| crate::runtime::options::unknown("method", method, METHODS.iter().copied()))?;
        Ok(Setup {
            context,
            method,
            options: Options::new(SINKHORN, method),
            monitor: RefCell::new(None),
            report: RefCell::new(Report::default()),
        })
    }
}

/// Options: prices of differences from a and from b.
const PENALTIES: [&str; 2] = ["penalty_a", "penalty_b"];

/// Entries of the plan below this are nothing: exponents are clamped.
const SMALLEST: f64 = 1e-307;

/// The least epsilon, as a share of the largest cost.
pub const SMALLEST_EPSILON: f64 = 1e-100;

/// The phase a monitor is told of.
const PHASE_ITERATE: i32 = 1;

/// What a solve may still spend, and who must be asked.
pub(crate) struct Watch<'a> {
    setup: &'a Setup,
    started: Instant,
    target: f64,
    /// Of the masses, what is to be moved: rough errors on the way are shares of this.
    share: f64,
    stop: Option<Stop>,
}

impl Watch<'_> {
    /// After an iteration with this error of the columns: whether to stop.
    fn stops(&mut self, dual: &Dual, error: f64) -> bool {
        self.stops_at(dual.work.passes, error)
    }

    /// The same after so many passes.
    fn stops_at(&mut self, passes: f64, error: f64) -> bool {
        let seconds = self.started.elapsed().as_secs_f64();
        let mut report = self.setup.report.borrow_mut();
        report.iterations += 1;
        report.passes = passes;
        let progress = Progress {
            phase: PHASE_ITERATE,
            iteration: report.iterations,
            applies: passes as usize,
            measure: error,
            target: self.target,
            seconds,
        };
        drop(report);
        if let Some(monitor) = self.setup.monitor.borrow_mut().as_mut() {
            if monitor.observe(&progress) == Wish::Stop {
                self.stop = Some(Stop::Monitor);
            }
        }
        if self.stop.is_none() && self.setup.context.interrupted() {
            self.setup.context.clear_interrupt();
            self.stop = Some(Stop::Interrupt);
        }
        if self.stop.is_none() && seconds > self.setup.options.real("time_limit") {
            self.stop = Some(Stop::Time);
        }
        if self.stop.is_none() && passes >= self.setup.options.int("max_passes") as f64 {
            self.stop = Some(Stop::Iterations);
        }
        self.stop.is_some()
    }

    /// Passes or directions go on no longer.
    fn stagnates(&mut self) -> Outcome {
        Outcome::Stopped(*self.stop.get_or_insert(Stop::Stagnation))
    }
}

/// The last solution, in the user's order: P_ij = exp((f_i + g_j - C_ij) / eps).
struct Solved {
    geometry: Arc<Geometry>,
    epsilon: f64,
    f: Vec<f64>,
    g: Vec<f64>,
    a: Vec<f64>,
    b: Vec<f64>,
    /// The plan has these marginals: it is neither partial nor penalised.
    is_exact: bool,
}

impl Solved {
    /// In the order of the geometry's rows.
    fn plan<'a>(&'a self, pool: &'a Pool) -> Plan<'a> {
        let Solved { geometry, epsilon, f, g, a, b, .. } = self;
        let (f, g, a, b) = if geometry.is_transposed { (g, f, b, a) } else { (f, g, a, b) };
        Plan { geometry, pool, epsilon: *epsilon, f, g, a, b }
    }
}

/// The memory of a transport solver.
#[derive(Default)]
pub struct Sinkhorn {
    solved: Option<Solved>,
    /// Column potentials of the geometry's rows, of the last solve and the one before it.
    last: Option<Vec<f64>>,
    before: Option<Vec<f64>>,
    /// Self terms of divergences.
    selves: divergence::Selves,
    /// Of the last solution, once derivatives have been asked for.
    laplacian: Option<laplacian::Laplacian>,
    barycenters: Option<barycenter::Kept>,
}

impl Sinkhorn {
    /// Throws away what earlier solves taught.
    pub fn forget(&mut self) {
        *self = Sinkhorn::default();
    }

    /// Solves for marginals a and b, of C's rows and columns.
    pub fn solve(&mut self, setup: &Setup, geometry: &Arc<Geometry>, a: &[f64], b: &[f64]) -> Result<Outcome> {
        let started = Instant::now();
        {
            let mut report = setup.report.borrow_mut();
            *report = Report { solves: report.solves + 1, ..Report::default() };
        }
        let mut epsilon = epsilon(setup, geometry)?;
        let gap = setup.options.real("target_gap");
        let largest = if gap > 0.0 { gap::first(geometry)? } else { epsilon };
        let problem = Problem::new(setup, geometry, a, b, largest)?;
        let is_penalised = problem.relaxed.iter().any(|side| side.penalty.is_finite());
        if let Some(why) = if is_penalised { None } else { infeasible(&problem.geometry, &problem.a, &problem.b)? } {
            setup.context.log(LOG_SOLVE, || format!("{}: {why}", setup.method));
            return Ok(Outcome::Stopped(Stop::Infeasible));
        }
        let mut dual = Dual::new(&problem.geometry, &setup.context.pool, &problem.a, &problem.b, problem.relaxed)?;
        let start = self.start(setup, geometry, largest, problem.b.len())?;
        let mut target = setup.options.real("tolerance");
        let mut watch = Watch { setup, started, target, share: problem.share, stop: None };
        let zero = || memory::filled(problem.b.len(), 0.0, "potentials");
        let outcome = match setup.method {
            "sinkhorn" => scaling::solve(&mut dual, epsilon, &start.map_or_else(zero, Ok)?, target, &mut watch)?,
            "sns" => sns::solve(&mut dual, epsilon, &start.map_or_else(zero, Ok)?, target, &mut watch)?,
            _ if gap > 0.0 => {
                let closed = gap::solve(&mut dual, start, gap, &mut watch)?;
                (epsilon, target) = (closed.epsilon, watch.target);
                setup.report.borrow_mut().bounds = Some((problem.mass * closed.lower, problem.mass * closed.upper));
                closed.outcome
            }
            _ => path::solve(&mut dual, epsilon, start, target, &mut watch)?,
        };
        self.finish(setup, &problem, &mut dual, epsilon, outcome, target, started)
    }

    /// Sinkhorn's divergence between a and b; `own` are the costs within the rows' points and within the columns'.
    pub fn divergence(&mut self, setup: &Setup, geometry: &Arc<Geometry>, own: [&Arc<Geometry>; 2], a: &[f64], b: &[f64]) -> Result<(Outcome, f64)> {
        let clash = ["transported_mass", "target_gap"].into_iter().find(|key| setup.options.real(key) > 0.0);
        let penalised = PENALTIES.into_iter().find(|key| setup.options.real(key) < f64::MAX);
        if let Some(key) = clash.or(penalised) {
            return Err(Error::State(format!("there is no divergence with option '{key}'")));
        }
        let started = Instant::now();
        let epsilon = epsilon(setup, geometry)?;
        let problem = Problem::new(setup, geometry, a, b, epsilon)?;
        for (geometry, masses) in own.into_iter().zip([a, b]) {
            if let Some(why) = infeasible(geometry, masses, masses)? {
                setup.context.log(LOG_SOLVE, || format!("{}: within one of the sides, {why}", setup.method));
                return Ok((Outcome::Stopped(Stop::Infeasible), f64::NAN));
            }
        }
        // A failure leaves the plan that was there.
        let (old, last, before) = (self.solved.take(), self.last.clone(), self.before.clone());
        let outcome = self.solve(setup, geometry, a, b);
        if self.solved.is_none() {
            self.solved = old;
            return Ok((outcome?, f64::NAN));
        }
        let outcome = outcome?;
        if outcome != Outcome::Converged {
            return Ok((outcome, f64::NAN));
        }
        let of_plan = setup.report.borrow().clone();
        let mut passes = of_plan.passes;
        let terms = self.self_terms(setup, epsilon, problem.mass, own, [a, b], started, &mut passes);
        let offset = if setup.options.text("entropy") == "product" { epsilon * product_offset(a, b) } else { 0.0 };
        let value = of_plan.dual - offset;
        {
            let mut report = setup.report.borrow_mut();
            *report = Report { iterations: report.iterations, passes, seconds: started.elapsed().as_secs_f64(), ..of_plan };
        }
        if terms.is_err() {
            (self.solved, self.last, self.before) = (old, last, before);
        }
        terms.map(|(outcome, terms)| (outcome, value - 0.5 * terms))
    }

    /// OT(a, a) + OT(b, b), remembered or solved for; what that takes is added to `passes`.
    #[allow(clippy::too_many_arguments)]
    fn self_terms(
        &mut self,
        setup: &Setup,
        epsilon: f64,
        mass: f64,
        own: [&Arc<Geometry>; 2],
        masses: [&[f64]; 2],
        started: Instant,
        passes: &mut f64,
    ) -> Result<(Outcome, f64)> {
        let target = setup.options.real("tolerance");
        let mut sum = 0.0;
        for (geometry, masses) in own.into_iter().zip(masses) {
            if let Some(term) = self.selves.find(geometry, epsilon, target, masses) {
                sum += term;
                continue;
            }
            let mut normal = memory::copied(masses, "masses")?;
            normal.iter_mut().for_each(|v| *v /= mass);
            let mut dual = Dual::new(geometry, &setup.context.pool, &normal, &normal, [Relaxed::new(f64::INFINITY, false); 2])?;
            let mut watch = Watch { setup, started, target, share: 1.0, stop: None };
            let outcome = divergence::solve_self(&mut dual, epsilon, target, &mut watch)?;
            *passes += dual.work.passes;
            if outcome != Outcome::Converged {
                return Ok((outcome, f64::NAN));
            }
            let term = mass * epsilon * (dual.value + mass.ln() - 1.0);
            self.selves.keep(geometry, epsilon, target, masses, term)?;
            sum += term;
        }
        Ok((Outcome::Converged, sum))
    }

    /// Where the column potentials begin; from zero where the last costs were of another size altogether, for what those
    /// taught would drown the digits of today's.
    fn start(&self, setup: &Setup, geometry: &Geometry, epsilon: f64, m: usize) -> Result<Option<Vec<f64>>> {
        const FAR: f64 = 1e8;
        let scale = geometry.scale()?;
        let most = FAR * (scale.max.abs().max(scale.min.abs()) + epsilon);
        let fits = |v: &&Vec<f64>| v.len() == m && v.iter().all(|g| g.abs() <= most);
        let last = self.last.as_ref().filter(fits);
        Ok(match setup.options.text("start") {
            "zero" => None,
            "extrapolated" => match (last, self.before.as_ref().filter(fits)) {
                (Some(last), Some(before)) => Some(last.iter().zip(before).map(|(l, b)| 2.0 * l - b).collect()),
                _ => last.cloned(),
            },
            _ => last.cloned(),
        })
    }

    /// The truth about the potentials arrived at, and what the next solve begins with.
    #[allow(clippy::too_many_arguments)]
    fn finish(
        &mut self,
        setup: &Setup,
        problem: &Problem,
        dual: &mut Dual,
        epsilon: f64,
        outcome: Outcome,
        target: f64,
        started: Instant,
    ) -> Result<Outcome> {
        if !dual.has_cost {
            dual.pass(Take::Cost)?;
        }
        let Problem { plain, mass, .. } = problem;
        let mass = *mass;
        let error = dual.error();
        let finite = |v: f64| if v.is_finite() { v } else { 0.0 };
        {
            let mut report = setup.report.borrow_mut();
            report.marginal_error = error;
            report.epsilon = epsilon;
            report.cost = mass * dual.cost;
            let dummy: f64 = problem.a[plain.n..].iter().sum();
            report.plan_mass = mass * (dual.columns[..plain.m].iter().sum::<f64>() - dummy);
            (report.primal, report.dual) = dual.values(mass);
            report.primal *= epsilon;
            report.dual *= epsilon;
            report.passes = dual.work.passes;
            report.seconds = started.elapsed().as_secs_f64();
        }
        let mut f: Vec<f64> = dual.phi().map(|phi| epsilon * (phi + mass.ln())).collect();
        let mut g: Vec<f64> = dual.gamma.iter().map(|gamma| epsilon * gamma).collect();
        // What an empty column would start from.
        let kept = g.iter().map(|v| finite(*v)).collect();
        self.before = self.last.replace(kept);
        f.truncate(plain.n);
        g.truncate(plain.m);
        let in_mass = |v: &[f64], len: usize| v[..len].iter().map(|v| v * mass).collect();
        let (a, b) = (in_mass(&problem.a, plain.n), in_mass(&problem.b, plain.m));
        let (f, g, a, b) = if plain.is_transposed { (g, f, b, a) } else { (f, g, a, b) };
        self.solved = Some(Solved { geometry: plain.clone(), epsilon, f, g, a, b, is_exact: problem.is_exact() });
        self.laplacian = None;
        Ok(match outcome {
            Outcome::Converged if error > 1.01 * target => Outcome::Stopped(Stop::Stagnation),
            other => other,
        })
    }

    /// The last solution, if its plan has the marginals that were given.
    fn solved_exactly(&self) -> Result<&Solved> {
        let solved = self.solved()?;
        if !solved.is_exact {
            return Err(Error::State("the last plan is partial or has penalised marginals: it does not have those given".to_string()));
        }
        Ok(solved)
    }

    fn solved(&self) -> Result<&Solved> {
        self.solved.as_ref().ok_or_else(|| Error::State("nothing has been solved yet".to_string()))
    }

    /// (f, g) of the last solve.
    pub fn potentials(&self) -> Result<(&[f64], &[f64])> {
        let solved = self.solved()?;
        Ok((&solved.f, &solved.g))
    }

    /// The plan rounded to the marginals, with bounds of the exact cost, by the rows of the geometry.
    pub fn round(&self, setup: &Setup) -> Result<Rounded> {
        let rounded = bracket::round(self.solved_exactly()?.plan(&setup.context.pool))?;
        setup.report.borrow_mut().bounds = Some((rounded.lower, rounded.upper));
        Ok(rounded)
    }

    /// `body(i, row of P)` for each row of the geometry.
    pub fn for_plan(&self, body: impl FnMut(usize, &[f64]) -> Result<()>) -> Result<()> {
        self.for_plan_rows(0..self.solved()?.geometry.n, body)
    }

    pub fn for_plan_rows(&self, rows: Range<usize>, mut body: impl FnMut(usize, &[f64]) -> Result<()>) -> Result<()> {
        let Solved { geometry, epsilon, f, g, .. } = self.solved()?;
        let (f, g) = if geometry.is_transposed { (g, f) } else { (f, g) };
        let room = || memory::filled(geometry.m, 0.0, "a row of the plan");
        let (mut room, mut p, mut gamma) = (room()?, room()?, memory::copied(g, "potentials")?);
        gamma.iter_mut().for_each(|v| *v /= epsilon);
        for i in rows {
            let row = geometry.rows().row(i, &mut room)?;
            // The same numbers as where the plan is rounded, but for those that were clamped.
            exp_row(row, &gamma, 1.0 / epsilon, f[i] / epsilon, &mut p);
            p.iter_mut().filter(|p| **p < SMALLEST).for_each(|p| *p = 0.0);
            body(i, &p)?;
        }
        Ok(())
    }

    /// The plan of a grid, or its adjoint, for products axis by axis; none where it must be gone over by rows.
    pub fn plan_by_axes(&self, pool: &Pool, is_adjoint: bool) -> Result<Option<separable::Plan>> {
        let Solved { geometry, epsilon, f, g, .. } = self.solved()?;
        let (f, g) = if is_adjoint { (g, f) } else { (f, g) };
        geometry.grid().map(|grid| separable::Plan::new(grid, pool, *epsilon, f, g)).transpose()
    }

    /// Whether rows of the plan are made of rows that the host writes, which may fail.
    pub fn asks_host(&self) -> Result<bool> {
        Ok(matches!(self.solved()?.geometry.costs, Costs::Host(_)))
    }

    /// Whether the rows of [`Sinkhorn::for_plan`] are those of P^T, and the shape of the user's P.
    pub fn plan_shape(&self) -> Result<(bool, usize, usize)> {
        let geometry = &self.solved()?.geometry;
        let (n, m) = geometry.shape();
        Ok((geometry.is_transposed, n, m))
    }
}

/// A problem of masses of one, in the order of the geometry's rows.
struct Problem {
    /// The caller's, without a dummy point.
    plain: Arc<Geometry>,
    geometry: Arc<Geometry>,
    a: Vec<f64>,
    b: Vec<f64>,
    /// What masses were divided by, and the part of that which moves: all of it, or with a dummy point less.
    mass: f64,
    share: f64,
    /// Rows and columns.
    relaxed: [Relaxed; 2],
}

impl Problem {
    /// epsilon: the largest that is used.
    fn new(setup: &Setup, plain: &Arc<Geometry>, a: &[f64], b: &[f64], epsilon: f64) -> Result<Self> {
        let (of_a, of_b) = (mass("a", a)?, mass("b", b)?);
        let moved = setup.options.real("transported_mass");
        let is_partial = moved > 0.0;
        let is_product = setup.options.text("entropy") == "product";
        let mut relaxed = PENALTIES.map(|key| match setup.options.real(key) {
            f64::MAX => Relaxed::new(f64::INFINITY, is_product),
            penalty => Relaxed::new(penalty, is_product),
        });
        let is_penalised = relaxed.iter().any(|side| side.penalty.is_finite());
        if let Some(key) = ["transported_mass", "target_gap"].into_iter().find(|key| is_penalised && setup.options.real(key) > 0.0) {
            return Err(Error::State(format!("option '{key}' does not go with penalised marginals")));
        }
        if let Some(side) = relaxed.iter().position(|side| side.penalty < SMALLEST_EPSILON * epsilon) {
            let want = format!("be at least {:e}, a share of epsilon", SMALLEST_EPSILON * epsilon);
            return Err(Error::argument(PENALTIES[side], format!("{:e}", relaxed[side].penalty), want));
        }
        if plain.is_transposed {
            relaxed.swap(0, 1);
        }
        if !is_partial && !is_penalised {
            equal(of_a, of_b)?;
        }
        if moved > of_a.min(of_b) * (1.0 + 1e-12) {
            return Err(Error::argument("transported_mass", moved, format!("be at most the mass of a and of b, {of_a} and {of_b}")));
        }
        let (a, b, of_a, of_b) = if plain.is_transposed { (b, a, of_b, of_a) } else { (a, b, of_a, of_b) };
        let mass = if is_penalised { 1.0 } else if is_partial { of_a + of_b - moved } else { of_a };
        let normal = |v: &[f64], dummy: f64| -> Result<Vec<f64>> {
            let mut normal = memory::filled(v.len() + is_partial as usize, dummy / mass, "marginals")?;
            normal.iter_mut().zip(v).for_each(|(normal, v)| *normal = v / mass);
            Ok(normal)
        };
        let (a, b) = (normal(a, (of_b - moved).max(0.0))?, normal(b, (of_a - moved).max(0.0))?);
        let geometry = if is_partial { Arc::new(geometry::with_dummy(plain, epsilon)?) } else { plain.clone() };
        Ok(Problem { plain: plain.clone(), geometry, a, b, mass, relaxed, share: if is_partial { moved / mass } else { 1.0 } })
    }

    /// Whether the plan has the marginals a and b.
    fn is_exact(&self) -> bool {
        Arc::ptr_eq(&self.plain, &self.geometry) && self.relaxed.iter().all(|side| side.penalty.is_infinite())
    }
}

/// The common mass of both marginals.
fn masses(a: &[f64], b: &[f64]) -> Result<f64> {
    let of_a = mass("a", a)?;
    equal(of_a, mass("b", b)?)?;
    Ok(of_a)
}

fn equal(of_a: f64, of_b: f64) -> Result<()> {
    if (of_a - of_b).abs() > 1e-8 * of_a.max(of_b) {
        return Err(Error::argument("b", format!("of mass {of_b}"), format!("have the mass of a, {of_a}")));
    }
    Ok(())
}

fn mass(name: &'static str, v: &[f64]) -> Result<f64> {
    check::finite(name, v)?;
    if let Some(i) = v.iter().position(|v| *v < 0.0) {
        return Err(Error::argument(name, format!("{} at position {i}", v[i]), "not be negative"));
    }
    let sum: f64 = v.iter().sum();
    if !(sum > 0.0 && sum.is_finite()) {
        return Err(Error::argument(name, format!("of mass {sum}"), "have a positive, finite mass"));
    }
    Ok(sum)
}

fn epsilon(setup: &Setup, geometry: &Geometry) -> Result<f64> {
    let scale = geometry.scale()?;
    let unit = match setup.options.text("epsilon_relative") {
        "max" => scale.max,
        "mean" => scale.mean,
        "median" => geometry.median()?,
        _ => 1.0,
    };
    // A constant cost of zero has no scale, and needs none.
    let unit = if unit > 0.0 { unit } else { 1.0 };
    let epsilon = setup.options.real("epsilon") * unit;
    // Costs and potentials in units of epsilon, and their squares, are to be numbers.
    let least = SMALLEST_EPSILON * scale.max.abs().max(scale.min.abs());
    match epsilon {
        _ if !(epsilon > 0.0 && epsilon.is_normal()) => Err(Error::argument("epsilon", epsilon, "be positive and finite")),
        _ if epsilon < least => Err(Error::argument("epsilon", format!("{epsilon:e}"), format!("be at least {least:e}, a share of the largest cost"))),
        _ => Ok(epsilon),
    }
}

/// A point with mass that may go nowhere, in words: the problem is then infeasible.
fn infeasible(geometry: &Geometry, a: &[f64], b: &[f64]) -> Result<Option<String>> {
    let Costs::Sparse(pattern) = &geometry.costs else { return Ok(None) };
    let mut reached = memory::filled(b.len(), false, "columns")?;
    let names = if geometry.is_transposed { ["column", "row"] } else { ["row", "column"] };
    let says = |name: &str, at: usize, mass: f64| Some(format!("{name} {at} (base 0) has mass {mass:e} and no allowed entry with mass"));
    for (i, a) in a.iter().enumerate().filter(|(_, a)| **a > 0.0) {
        let (idx, _) = pattern.entries(i);
        idx.iter().for_each(|j| reached[*j as usize] = true);
        if !idx.iter().any(|j| b[*j as usize] > 0.0) {
            return Ok(says(names[0], i, *a));
        }
    }
    Ok((0..b.len()).find(|j| b[*j] > 0.0 && !reached[*j]).and_then(|j| says(names[1], j, b[j])))
}
