//! Krylov solvers with memory for sequences A_i x_i = b_i.
//!
//! A method is one file (`cg`, `minres`, `gmres`, `bicgstab`, `gcrodr`, `rcg`, `rminres`, `idr`, `cocg`,
//! `cocr`) written against a [`Problem`]: the linear system with its preconditioner, scaling, nullspaces, inner products,
//! counts and stopping test. [`Krylov`] holds what lasts from solve to solve; [`Setup`] holds what
//! the user chose, whatever the scalar.

mod arnoldi;
mod bicgstab;
mod cg;
mod cocg;
mod cocr;
mod diagnostics;
mod gcrodr;
mod gmres;
mod guess;
pub mod learned;
mod idr;
mod minres;
pub mod options;
mod policy;
pub mod problem;
mod rcg;
mod rminres;
mod stagnation;
mod window;

use crate::linalg::space::{Inner, Scratch};
use crate::linalg::{kernels, space, Panel, Space};
use crate::operator::{check, precond, Columns, Operator, Side};
use crate::runtime::context::LOG_SOLVE;
use crate::runtime::monitor::Monitor;
use crate::runtime::options::Options;
use crate::runtime::{memory, Archive, Context, Error, Result, Scalar, Stop};
use guess::Solutions;
use diagnostics::Diagnostics;
use learned::Mark;
use options::{Guess, Settings, KRYLOV, METHODS, RECYCLING};
use policy::{End, Next, Plan, Policy};
use problem::{Converged, Counts, Nullspaces, Problem, Scaling};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

/// How a method ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Converged,
    Stopped(Stop),
}

/// A Krylov method with its work arrays and its memory.
trait Method<T: Scalar> {
    /// Improves x until the problem's test says stop. On an error x is the last sound iterate.
    fn solve(&mut self, problem: &mut Problem<T>, x: &mut [T], x_is_zero: bool) -> Result<Outcome>;

    /// Throws away what earlier solves taught.
    fn forget(&mut self) {}

    /// Vectors held for the next solve.
    fn recycled(&self) -> usize {
        0
    }

    /// Those vectors, in solution coordinates.
    fn space(&self) -> Option<Panel<'_, T>> {
        None
    }

    /// Takes vectors for the next solve, as many as it keeps, in the place of its own.
    fn teach(&mut self, vectors: Panel<T>) {
        let _ = vectors;
    }

    /// Keeps the first `count` vectors at most.
    fn truncate(&mut self, count: usize) {
        let _ = count;
    }

    /// Writes or reads what lasts from solve to solve.
    fn archive(&mut self, archive: &mut Archive) -> Result<()> {
        let _ = archive;
        Ok(())
    }
}

/// What the last solve did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub counts: Counts,
    pub reductions: usize,
    pub recycled: usize,
    pub solves: usize,
    pub rebuilds: usize,
    pub residual_norm: f64,
    pub relative_residual: f64,
    pub recurrence_norm: f64,
    pub target: f64,
    /// The method that ran, and the preconditioner if the library chose one.
    pub method: &'static str,
    pub preconditioner: &'static str,
    pub setup_seconds: f64,
    pub solve_seconds: f64,
    pub diagnostics: Diagnostics,
}

impl Report {
    /// The accounts, for people.
    pub fn describe(&self, text: &mut String) {
        let counts = &self.counts;
        text.push_str(&format!(
            "  {} iterations, {} applies ({} for recycling, {} for true residuals), {} uses of the preconditioner, {} reductions, {} restarts, {} vectors held\n",
            counts.iterations,
            counts.applies,
            counts.recycle_applies,
            counts.verify_applies,
            counts.preconditioner_applies,
            self.reductions,
            counts.restarts,
            self.recycled
        ));
        text.push_str(&format!("  residual {:.3e}, relative {:.3e}, target {:.3e}\n", self.residual_norm, self.relative_residual, self.target));
        let Diagnostics { ritz, angles, orthogonality_loss } = &self.diagnostics;
        if *orthogonality_loss > 0.0 {
            text.push_str(&format!("  orthogonality lost: {orthogonality_loss:.1e}\n"));
        }
        if let (Some(first), Some(last)) = (ritz.first(), ritz.last()) {
            let size = |v: &[f64; 2]| v[0].hypot(v[1]);
            text.push_str(&format!("  Ritz values of {} kept vectors: moduli from {:.3e} to {:.3e}\n", ritz.len(), size(first), size(last)));
        }
        if let (Some(first), Some(last)) = (angles.first(), angles.last()) {
            text.push_str(&format!("  angles to the space before: {first:.2e} to {last:.2e}\n"));
        }
    }
}

/// The user's choices and callbacks, and the report of the last solve.
pub struct Setup {
    pub context: Arc<Context>,
    pub method: &'static str,
    pub options: Options,
    pub scaling: Scaling,
    pub weights: Option<Vec<f64>>,
    pub monitor: RefCell<Option<Box<dyn Monitor>>>,
    pub converged: RefCell<Option<Box<dyn Converged>>>,
    pub report: RefCell<Report>,
    pub history: RefCell<Vec<f64>>,
}

/// Residual norms kept of one solve at most.
const HISTORY: usize = 100_000;

impl Setup {
    pub fn new(context: Arc<Context>, method: &str) -> Result<Self> {
        let method = METHODS
            .iter()
            .find(|known| **known == method)
            .ok_or_else(|| crate::runtime::options::unknown("method", method, METHODS.iter().copied()))?;
        let mut options = Options::new(KRYLOV, method);
        if *method == "auto" {
            options.preset("initial_guess", "project");
            options.preset("probe", "on");
        }
        Ok(Setup {
            context,
            method,
            options,
            scaling: Scaling::default(),
            weights: None,
            monitor: RefCell::new(None),
            converged: RefCell::new(None),
            report: RefCell::new(Report::default()),
            history: RefCell::new(Vec::new()),
        })
    }

    /// The same choices for another solver, without the callbacks.
    pub fn duplicate(&self) -> Result<Self> {
        let weights = self.weights.as_deref().map(|w| memory::copied(w, "weights")).transpose()?;
        let copy = |v: &Option<Vec<f64>>| v.as_deref().map(|v| memory::copied(v, "scaling")).transpose();
        Ok(Setup {
            context: self.context.clone(),
            method: self.method,
            options: self.options.clone(),
            scaling: Scaling { left: copy(&self.scaling.left)?, right: copy(&self.scaling.right)?, version: self.scaling.version },
            weights,
            monitor: RefCell::new(None),
            converged: RefCell::new(None),
            report: RefCell::new(Report::default()),
            history: RefCell::new(Vec::new()),
        })
    }

    /// Row and column scaling of length `n`; `None` stands for ones.
    pub fn set_scaling(&mut self, left: Option<&[f64]>, right: Option<&[f64]>) -> Result<()> {
        let (left, right) = (positive("left", left)?, positive("right", right)?);
        self.scaling = Scaling { left, right, version: self.scaling.version + 1 };
        Ok(())
    }

    /// Weights of the inner product; `None` stands for ones.
    pub fn set_weights(&mut self, weights: Option<&[f64]>) -> Result<()> {
        self.weights = positive("weights", weights)?;
        self.scaling.version += 1;
        Ok(())
    }
}

/// A copy of positive numbers.
fn positive(name: &'static str, values: Option<&[f64]>) -> Result<Option<Vec<f64>>> {
    let Some(values) = values else { return Ok(None) };
    check::finite(name, values)?;
    match values.iter().position(|v| *v <= 0.0) {
        None => memory::copied(values, name).map(Some),
        Some(p) => Err(Error::argument(name, format!("{} at position {p}", values[p]), "be positive")),
    }
}

/// What the arrays of a method depend on; when it changes they are made anew.
#[derive(PartialEq, Clone, Default)]
struct Shape {
    method: &'static str,
    n: usize,
    restart: usize,
    recycle: usize,
    shadow: usize,
    single: bool,
    words: [String; 3],
}

/// Options of `Shape::words`.
const WORDS: [&str; 3] = ["side", "test_basis", "orthogonalization"];

impl Shape {
    fn new(method: &'static str, n: usize, single: bool, o: &Options) -> Self {
        let count = |key| o.count(key);
        Shape {
            method,
            n,
            single,
            restart: count("restart"),
            recycle: count("recycle"),
            shadow: count("shadow"),
            words: WORDS.map(|key| o.text(key).to_string()),
        }
    }

    fn fits(&self, method: &'static str, n: usize, single: bool, o: &Options) -> bool {
        self.method == method
            && self.n == n
            && self.single == single
            && self.restart == o.count("restart")
            && self.recycle == o.count("recycle")
            && self.shadow == o.count("shadow")
            && WORDS.iter().zip(&self.words).all(|(key, word)| o.text(key) == word)
    }

    /// Refuses a solver whose options are not those of this shape.
    fn check(&self, setup: &Setup) -> Result<()> {
        let o = &setup.options;
        let counts = [("restart", self.restart), ("recycle", self.recycle), ("shadow", self.shadow)];
        let differs = |key: &str, saved: &dyn std::fmt::Display, now: &dyn std::fmt::Display| {
            Err(Error::State(format!("argument 'buf' holds a state with {key} = {saved}, the solver's is {now}")))
        };
        if let Some((key, saved)) = counts.iter().find(|(key, saved)| o.count(key) != *saved) {
            return differs(key, saved, &o.count(key));
        }
        match WORDS.iter().zip(&self.words).find(|(key, word)| o.text(key) != *word) {
            Some((key, word)) => differs(key, word, &o.text(key)),
            None => Ok(()),
        }
    }

    /// The method with its arrays.
    fn make<T: Scalar>(&self, setup: &Setup) -> Result<Box<dyn Method<T>>> {
        let (n, o) = (self.n, &setup.options);
        Ok(match self.method {
            "cg" => Box::new(cg::Cg::new(n)?),
            "minres" => Box::new(minres::Minres::new(n)?),
            "bicgstab" => Box::new(bicgstab::BiCgStab::new(n)?),
            "rcg" => Box::new(rcg::Rcg::new(n, o)?),
            "rminres" => Box::new(rminres::Rminres::new(n, o)?),
            "idr" => Box::new(idr::Idr::new(n, o.count("shadow"))?),
            "cocg" => Box::new(cocg::Cocg::new(n)?),
            "cocr" => Box::new(cocr::Cocr::new(n)?),
            "gmres" if self.single => Box::new(gmres::Gmres::<T, T::Single>::new(n, o)?),
            "gmres" => Box::new(gmres::Gmres::<T, T>::new(n, o)?),
            _ if self.single => Box::new(gcrodr::Gcrodr::<T, T::Single>::new(n, o)?),
            _ => Box::new(gcrodr::Gcrodr::<T, T>::new(n, o)?),
        })
    }
}

/// A preconditioner that the solver built from the key `preconditioner`, or that "auto" chose.
struct Own<T: Scalar> {
    spec: String,
    m: Operator<T>,
    id: u64,
    version: u64,
    /// Numbers of the matrix that cannot be had from it any more when a saved state is loaded: those that a
    /// factor was made from which may lag, or that a pattern was chosen by.
    kept: Vec<T>,
}

impl<T: Scalar> Own<T> {
    /// Another owner of the same preconditioner; who renews it first makes a new one.
    fn share(&self) -> Result<Self> {
        let kept = memory::copied(&self.kept, "a copy of the matrix")?;
        Ok(Own { spec: self.spec.clone(), m: self.m.clone(), id: self.id, version: self.version, kept })
    }
}

/// Kinds whose pattern is chosen by the numbers seen at creation.
const CHOSEN_BY_NUMBERS: [&str; 3] = ["amg", "ilut", "ict"];

/// The memory of a solver for one kind of scalar.
pub struct Krylov<T: Scalar> {
    method: Option<(Shape, Box<dyn Method<T>>)>,
    own: Option<Own<T>>,
    pub inner: Option<Arc<dyn Inner<T>>>,
    scratch: Scratch<T>,
    nullspaces: Nullspaces<T>,
    nullspaces_of: Option<(u64, u64)>,
    work: [Vec<T>; 3],
    scaled_b: Vec<T>,
    previous: Option<Vec<T>>,
    solutions: Option<Solutions<T>>,
    policy: Policy,
    /// A space for the next recycling method to start with, and the length of its vectors.
    taught: Option<(usize, Columns<T>)>,
    /// A, M and the scaling of the last solve.
    last: [u64; 5],
    mark: Option<Mark<T>>,
}

impl<T: Scalar> Default for Krylov<T> {
    fn default() -> Self {
        Krylov {
            method: None,
            own: None,
            inner: None,
            scratch: Scratch::default(),
            nullspaces: Nullspaces::default(),
            nullspaces_of: None,
            work: [Vec::new(), Vec::new(), Vec::new()],
            scaled_b: Vec::new(),
            previous: None,
            solutions: None,
            policy: Policy::default(),
            taught: None,
            last: [0; 5],
            mark: None,
        }
    }
}

impl<T: Scalar> Krylov<T> {
    /// Throws away what earlier solves taught; options and arrays stay.
    pub fn forget(&mut self) {
        if let Some((_, method)) = &mut self.method {
            method.forget();
        }
        self.own = None;
        self.previous = None;
        self.solutions = None;
        self.policy.forget();
        self.taught = None;
        self.mark = None;
    }

    pub fn recycled(&self) -> usize {
        match &self.taught {
            Some((_, columns)) => columns.count,
            None => self.method.as_ref().map_or(0, |(_, method)| method.recycled()),
        }
    }

    /// Checks the operators against the options and makes all arrays, so that the next solve of
    /// this shape allocates nothing.
    pub fn prepare(&mut self, setup: &Setup, a: &Operator<T>, m: Option<&Operator<T>>) -> Result<()> {
        let checked = checked(setup, a, m);
        self.agree(setup, checked.map(|_| ()))?;
        loop {
            let plan = self.plan(setup, a, m)?;
            match self.ready(setup, &plan, a, m) {
                Err(e) if self.think_again(setup, &plan, setup.report.borrow().counts, None, &Err(e.clone()), usize::MAX) => {}
                done => return done,
            }
        }
    }

    /// What is to be done for the next system, or next about this one.
    fn plan(&mut self, setup: &Setup, a: &Operator<T>, m: Option<&Operator<T>>) -> Result<Plan> {
        if setup.method != "auto" {
            return Ok(Plan { method: setup.method, preconditioner: None, renew: true, budget: usize::MAX });
        }
        let given = setup.options.text("preconditioner");
        if given.is_empty() && m.is_none() && a.count("entries").is_some() && setup.context.reduce_hook().is_none() {
            return self.policy.plan_for_matrix(a);
        }
        if !given.is_empty() {
            // Whether it is Hermitian must be known now; an error comes again where it is voted on.
            let _ = self.prepare_preconditioner(setup, a, given, true);
        }
        let own = self.own.as_ref().map(|own| &own.m);
        Ok(self.policy.plan_for_operators(a, own.or(m), setup.options.real("setup_cost")))
    }

    /// Makes what an attempt needs; a vote of all ranks on it.
    fn ready(&mut self, setup: &Setup, plan: &Plan, a: &Operator<T>, m: Option<&Operator<T>>) -> Result<()> {
        let spec = plan.preconditioner.unwrap_or(setup.options.text("preconditioner"));
        let started = Instant::now();
        let made = match m.filter(|m| setup.method == "auto" && plan.renew && m.refreshes()) {
            Some(m) => {
                setup.report.borrow_mut().rebuilds += 1;
                let done = m.changed();
                let seconds = self.measured(setup, started)?;
                self.policy.refreshed(a, seconds);
                done
            }
            None => self.prepare_preconditioner(setup, a, spec, plan.renew),
        };
        let made = made.and_then(|()| self.prepare_arrays(setup, plan.method, a, m));
        self.agree(setup, made)?;
        self.orthonormalise_nullspaces(setup, a)
    }

    /// Seconds since then, the most of all ranks, if costs are to be measured.
    fn measured(&mut self, setup: &Setup, since: Instant) -> Result<Option<f64>> {
        if !measures(setup) {
            return Ok(None);
        }
        self.scratch.reductions += setup.context.reduce_hook().is_some() as usize;
        space::largest(&setup.context, since.elapsed().as_secs_f64()).map(Some)
    }

    /// Makes the preconditioner that `spec` names, or renews it if A has changed and `renew` says so.
    fn prepare_preconditioner(&mut self, setup: &Setup, a: &Operator<T>, spec: &str, renew: bool) -> Result<()> {
        if spec.is_empty() {
            self.own = None;
            self.policy.made(a, None, None);
            return Ok(());
        }
        let started = Instant::now();
        let lags = setup.method == "auto" && ["llt", "ldlt", "lu"].iter().any(|kind| spec.starts_with(kind));
        match &mut self.own {
            Some(own) if own.spec == spec && !renew => return Ok(()),
            Some(own) if own.spec == spec && own.id == a.id() && (own.version == a.version() || !own.m.is_shared()) => {
                let version = a.version();
                if own.version == version {
                    return Ok(());
                }
                // A failed refresh leaves it unusable, so the next solve must try again.
                own.version = 0;
                own.m.changed()?;
                own.version = version;
                if lags {
                    learned::values_of(a, &mut own.kept)?;
                }
            }
            own => {
                let chosen = CHOSEN_BY_NUMBERS.iter().any(|kind| spec.starts_with(kind));
                // The copy of one that is shared keeps the pattern that was chosen.
                let old = own.take().filter(|own| chosen && own.spec == spec && own.id == a.id() && !own.kept.is_empty());
                let mut kept = old.map_or(Vec::new(), |own| own.kept);
                let m = if kept.is_empty() { precond::create(setup.context.clone(), a, spec)? } else { learned::renewed(setup, a, spec, &kept)? };
                if lags || (chosen && kept.is_empty()) {
                    learned::values_of(a, &mut kept)?;
                }
                self.own = Some(Own { spec: spec.to_string(), m, id: a.id(), version: a.version(), kept });
            }
        }
        setup.report.borrow_mut().rebuilds += 1;
        let seconds = measures(setup).then(|| started.elapsed().as_secs_f64());
        self.policy.made(a, self.own.as_ref().map(|own| &own.m), seconds);
        Ok(())
    }

    fn prepare_arrays(&mut self, setup: &Setup, method: &'static str, a: &Operator<T>, m: Option<&Operator<T>>) -> Result<()> {
        let (n, o) = (a.nrows(), &setup.options);
        if T::IS_COMPLEX && self.inner.is_some() && ["cocg", "cocr"].contains(&method) {
            let text = format!("argument 'inner' (rkn_krylov_set_inner) gives x^H y, but {method} needs x^T y for complex numbers: it must be NULL");
            return Err(Error::Unsupported(text));
        }
        let single = stores_single(setup, method, a, self.own.as_ref().map(|own| &own.m).or(m));
        if !self.method.as_ref().is_some_and(|(shape, _)| shape.fits(method, n, single, o)) {
            let old = self.method.take().filter(|(shape, _)| shape.n == n);
            if self.taught.is_none() {
                self.taught = learned::kept(old.as_ref().and_then(|(_, method)| method.space()))?;
            }
            drop(old);
            let shape = Shape::new(method, n, single, o);
            let made = shape.make(setup)?;
            self.method = Some((shape, made));
        }
        if let (Some((length, columns)), Some((_, made))) = (&self.taught, &mut self.method) {
            if *length != n {
                return Err(Error::size("A", format!("{n} x {n}"), format!("be {length} x {length}, as the vectors of the space that was set")));
            }
            if RECYCLING.contains(&method) {
                made.teach(Panel::packed(&columns.data, n, columns.count));
                self.taught = None;
            }
        }
        let (columns, values) = match method {
            "gcrodr" => (o.count("restart") + 1, (o.count("restart") + 1).pow(2).max(2 * o.count("restart") + 5)),
            "gmres" => (o.count("restart") + 1, 2 * o.count("restart") + 5),
            "rcg" | "rminres" => (o.count("recycle"), 2 * o.count("recycle").pow(2) + 4),
            "idr" => (o.count("shadow"), 2 * o.count("shadow") + 2),
            _ => (1, 4),
        };
        let window = if o.text("initial_guess") == "project" { o.count("window") } else { 0 };
        let (columns, values) = (columns.max(window), values.max(window * (window + 1)));
        if window == 0 {
            self.solutions = None;
        } else if !self.solutions.as_ref().is_some_and(|kept| kept.fits(n, window)) {
            self.solutions = Some(Solutions::new(n, window)?);
        }
        self.scratch.reserve(n, columns, values, self.inner.is_some())?;
        for w in &mut self.work {
            resize(w, n)?;
        }
        resize(&mut self.scaled_b, if setup.scaling.left.is_some() { n } else { 0 })?;
        let history = HISTORY.min(o.count("max_iterations") + 1);
        let mut kept = setup.history.borrow_mut();
        if kept.capacity() < history {
            kept.clear();
            memory::reserve(&mut kept, history, "residual history")?;
        }
        drop(kept);
        self.read_nullspaces(a)
    }

    /// Solves A x = b; M approximates the inverse of A. `x` is written in any case but a refused
    /// call, and holds the best point known on return.
    pub fn solve(&mut self, setup: &Setup, a: &Operator<T>, m: Option<&Operator<T>>, b: &[T], x: &mut [T]) -> Result<Outcome> {
        let started = Instant::now();
        self.scratch.reductions = 0;
        {
            let mut report = setup.report.borrow_mut();
            *report = Report { solves: report.solves + 1, rebuilds: report.rebuilds, recycled: report.recycled, ..Report::default() };
        }
        setup.history.borrow_mut().clear();
        let checked = checked(setup, a, m).and_then(|settings| {
            check::finite("b", b)?;
            if settings.guess == Guess::X {
                check::finite("x", x)?;
            }
            Ok(settings)
        });
        let settings = checked.clone();
        self.agree(setup, checked.map(|_| ()))?;
        let settings = settings?;
        let (m_id, m_version) = m.map_or((0, 0), |m| (m.id(), m.version()));
        self.policy.begin();
        self.last = [a.id(), a.version(), m_id, m_version, setup.scaling.version];
        let mut x_is_zero = self.start_x(settings.guess, x);
        resize(&mut self.scaled_b, if setup.scaling.left.is_some() { x.len() } else { 0 })?;
        scale_in(&setup.scaling, b, &mut self.scaled_b, x);
        let outcome = loop {
            let plan = self.plan(setup, a, m)?;
            let before = setup.report.borrow().counts;
            let mut seconds = None;
            let outcome = match self.ready(setup, &plan, a, m) {
                Ok(()) => {
                    {
                        let mut report = setup.report.borrow_mut();
                        report.setup_seconds = started.elapsed().as_secs_f64() - report.solve_seconds;
                        report.method = plan.method;
                        report.preconditioner = plan.preconditioner.unwrap_or("");
                    }
                    let begun = Instant::now();
                    let outcome = self.attempt(setup, settings, &plan, started, a, m, b, x, x_is_zero);
                    x_is_zero = false;
                    if outcome.is_ok() {
                        seconds = self.measured(setup, begun)?;
                    }
                    outcome
                }
                Err(e) => Err(e),
            };
            if !self.think_again(setup, &plan, before, seconds, &outcome, settings.max_iterations) {
                break outcome;
            }
        };
        if let (Some(solutions), Ok(Outcome::Converged)) = (&mut self.solutions, &outcome) {
            solutions.learn(x);
        }
        scale_out(&setup.scaling, x);
        self.finish(setup, settings, outcome, x)
    }

    /// Runs one method on the system, from the point in x. Counts go on from those of the report.
    #[allow(clippy::too_many_arguments)]
    fn attempt(
        &mut self,
        setup: &Setup,
        mut settings: Settings,
        plan: &Plan,
        started: Instant,
        a: &Operator<T>,
        m: Option<&Operator<T>>,
        b: &[T],
        x: &mut [T],
        mut x_is_zero: bool,
    ) -> Result<Outcome> {
        let (counts, target) = (setup.report.borrow().counts, setup.report.borrow().target);
        settings.max_iterations = settings.max_iterations.min(counts.iterations.saturating_add(plan.budget));
        let (_, method) = self.method.as_mut().expect("prepared before");
        let own = self.own.as_ref().map(|own| &own.m);
        let (mut monitor, mut converged) = (setup.monitor.borrow_mut(), setup.converged.borrow_mut());
        let mut problem = Problem {
            a,
            m: own.or(m),
            space: solver_space(setup, &self.inner, &mut self.scratch),
            b: if setup.scaling.left.is_some() { &self.scaled_b } else { b },
            settings,
            scaling: &setup.scaling,
            nullspaces: &self.nullspaces,
            work: self.work.each_mut().map(|w| &mut w[..]),
            monitor: monitor.as_deref_mut(),
            converged: converged.as_deref_mut(),
            history: &setup.history,
            report: &setup.report,
            counts,
            started,
            rhs_norm: 0.0,
            rhs_true_norm: 0.0,
            begun: counts.iterations,
            worth: plan.budget,
            first_norm: f64::INFINITY,
            target,
            true_norm: f64::NAN,
            tested_norm: f64::NAN,
            is_verified: false,
            recurrence_norm: f64::NAN,
            best_norm: f64::INFINITY,
        };
        if let Some(solutions) = self.solutions.as_mut().filter(|_| x_is_zero) {
            x_is_zero = solutions.guess(&mut problem, x)?;
        }
        let outcome = method.solve(&mut problem, x, x_is_zero);
        problem.publish();
        // After an error x may have overflowed where nobody looked: the best point, if there is one, is sound.
        if outcome.is_err() && problem.best_norm < f64::INFINITY && kernels::first_nonfinite(x).is_some() {
            x.copy_from_slice(problem.work[2]);
        }
        let recycled = method.recycled();
        setup.report.borrow_mut().recycled = self.taught.as_ref().map_or(recycled, |(_, columns)| columns.count);
        outcome
    }

    /// Lets the policy learn from an attempt; whether it wants another.
    fn think_again(&mut self, setup: &Setup, plan: &Plan, before: Counts, seconds: Option<f64>, outcome: &Result<Outcome>, limit: usize) -> bool {
        if setup.method != "auto" {
            return false;
        }
        let now = setup.report.borrow().counts;
        let (done, iterations, applies) = (now.iterations, now.iterations - before.iterations, now.applies - before.applies);
        let end = match outcome {
            Ok(Outcome::Converged) => End::Good,
            Ok(Outcome::Stopped(Stop::Iterations)) if done < limit => End::Spent,
            Ok(Outcome::Stopped(Stop::Stagnation | Stop::Breakdown)) => End::Unfit,
            Err(Error::Indefinite(_) | Error::Singular(_) | Error::Unsupported(_)) => End::Unfit,
            Err(Error::NonFinite(_)) if plan.preconditioner.is_some() => End::Unfit,
            _ => End::Other,
        };
        self.policy.learn(plan, iterations, applies, seconds, end) == Next::Again
    }

    /// How the last solve went and why it went that way, in words and numbers.
    pub fn explain(&self, setup: &Setup) -> String {
        let mut text = String::new();
        if setup.method == "auto" {
            // Writing to a string does not fail.
            let _ = self.policy.explain(measures(setup), &mut text);
        }
        text
    }

    /// A vote of all ranks on what this one prepared.
    fn agree(&mut self, setup: &Setup, prepared: Result<()>) -> Result<()> {
        self.scratch.reductions += 1;
        space::vote(&setup.context, prepared.err())
    }

    /// Puts the initial guess into x; true if that is zero.
    fn start_x(&self, guess: Guess, x: &mut [T]) -> bool {
        match guess {
            Guess::X => return false,
            Guess::Previous => {
                if let Some(previous) = self.previous.as_ref().filter(|previous| previous.len() == x.len()) {
                    x.copy_from_slice(previous);
                    return false;
                }
            }
            Guess::Zero | Guess::Project => {}
        }
        x.fill(T::ZERO);
        true
    }

    /// Copies the nullspaces of an operator that is new or has changed.
    fn read_nullspaces(&mut self, a: &Operator<T>) -> Result<()> {
        if self.nullspaces_of != Some((a.id(), a.version())) {
            self.nullspaces_of = None;
            self.nullspaces = Nullspaces { right: a.nullspace(Side::Right)?, left: a.nullspace(Side::Left)? };
        }
        Ok(())
    }

    /// Makes nullspaces just read orthonormal in the solver's inner product.
    fn orthonormalise_nullspaces(&mut self, setup: &Setup, a: &Operator<T>) -> Result<()> {
        if self.nullspaces_of.is_some() {
            return Ok(());
        }
        let space = solver_space(setup, &self.inner, &mut self.scratch);
        orthonormalise(&space, a.ncols(), &mut self.nullspaces.right)?;
        orthonormalise(&space, a.nrows(), &mut self.nullspaces.left)?;
        self.nullspaces_of = Some((a.id(), a.version()));
        Ok(())
    }

    fn finish(&mut self, setup: &Setup, settings: Settings, outcome: Result<Outcome>, x: &[T]) -> Result<Outcome> {
        if settings.guess == Guess::Previous && outcome.is_ok() {
            let previous = self.previous.get_or_insert_default();
            resize(previous, x.len())?;
            previous.copy_from_slice(x);
        }
        if outcome == Ok(Outcome::Stopped(Stop::Interrupt)) {
            setup.context.clear_interrupt();
        }
        setup.context.log(LOG_SOLVE, || {
            let report = setup.report.borrow();
            format!(
                "{}: {} iterations, {} applies, residual {:.3e}, {:.3} s",
                setup.method,
                report.counts.iterations,
                report.counts.applies,
                report.residual_norm,
                report.setup_seconds + report.solve_seconds
            )
        });
        outcome
    }
}

fn solver_space<'a, T: Scalar>(setup: &'a Setup, inner: &Option<Arc<dyn Inner<T>>>, scratch: &'a mut Scratch<T>) -> Space<'a, T> {
    Space::new(&setup.context, setup.weights.as_deref(), inner.clone(), scratch)
}

/// Whether the policy looks at the clock.
fn measures(setup: &Setup) -> bool {
    setup.method == "auto" && setup.options.text("policy_costs") == "measured"
}

/// Whether basis vectors are stored in single precision. Left to the library: for gcrodr where reading
/// the basis, too large for the caches, costs most of a step. Ranks would not agree on that.
fn stores_single<T: Scalar>(setup: &Setup, method: &str, a: &Operator<T>, m: Option<&Operator<T>>) -> bool {
    const CACHE: usize = 1 << 20;
    let o = &setup.options;
    if o.text("basis") != "auto" {
        return o.text("basis") == "single";
    }
    if method != "gcrodr" || setup.context.reduce_hook().is_some() {
        return false;
    }
    // An identity may be of any order: what fits no memory is refused where the arrays are made.
    let bytes = |operator: &Operator<T>| operator.count("entries").map(|count| (count as usize).saturating_mul(size_of::<T>() + 4));
    let (Some(a_bytes), Some(m_bytes)) = (bytes(a), m.map_or(Some(0), bytes)) else { return false };
    let basis = a.nrows().saturating_mul(o.count("restart") * size_of::<T>());
    // Two sweeps over two thirds of the basis on average.
    basis > CACHE && a_bytes.saturating_add(m_bytes) < basis / 3 * 2
}

/// What can be known to be wrong before anything is made.
fn checked<T: Scalar>(setup: &Setup, a: &Operator<T>, m: Option<&Operator<T>>) -> Result<Settings> {
    let settings = Settings::read(&setup.options)?;
    let n = a.nrows();
    if a.ncols() != n {
        return Err(Error::size("A", format!("{n} x {}", a.ncols()), "be square"));
    }
    if let Some(m) = m.filter(|m| m.nrows() != n || m.ncols() != n) {
        return Err(Error::size("M", format!("{} x {}", m.nrows(), m.ncols()), format!("be {n} x {n}")));
    }
    if m.is_some() && !setup.options.text("preconditioner").is_empty() {
        return Err(Error::argument("M", "an operator", "be NULL when the key 'preconditioner' is set"));
    }
    for (name, values) in [("left", &setup.scaling.left), ("right", &setup.scaling.right), ("weights", &setup.weights)] {
        if let Some(values) = values.as_ref().filter(|values| values.len() != n) {
            return Err(Error::size(name, values.len(), format!("be {n}, the order of A")));
        }
    }
    Ok(settings)
}

fn resize<T: Scalar>(v: &mut Vec<T>, n: usize) -> Result<()> {
    if v.len() != n {
        v.clear();
        memory::reserve(v, n, "work vector")?;
        v.resize(n, T::ZERO);
    }
    Ok(())
}

/// Modified Gram-Schmidt, twice; a dependent column becomes zero and then projects nothing.
fn orthonormalise<T: Scalar>(space: &Space<T>, n: usize, columns: &mut Columns<T>) -> Result<()> {
    for j in 0..columns.count {
        let (done, rest) = columns.data.split_at_mut(j * n);
        let column = &mut rest[..n];
        let before = space.norm(column)?;
        for _ in 0..2 {
            for q in (0..j).map(|i| &done[i * n..][..n]) {
                let c = T::narrow(space.dot(q, column)?);
                kernels::axpy(space.pool(), -c, q, column);
            }
        }
        let after = space.norm(column)?;
        let factor = if after > 1e-10 * before { 1.0 / after } else { 0.0 };
        kernels::scale(space.pool(), factor, column);
    }
    Ok(())
}

/// b' = S1 b, x' = S2 x.
fn scale_in<T: Scalar>(s: &Scaling, b: &[T], scaled_b: &mut [T], x: &mut [T]) {
    scaled_b.iter_mut().zip(b).zip(s.left.iter().flatten()).for_each(|((v, u), s)| *v = u.scale(*s));
    x.iter_mut().zip(s.right.iter().flatten()).for_each(|(v, s)| *v = v.scale(*s));
}

/// x = S2^-1 x'.
fn scale_out<T: Scalar>(s: &Scaling, x: &mut [T]) {
    x.iter_mut().zip(s.right.iter().flatten()).for_each(|(v, s)| *v = v.scale(1.0 / s));
}
