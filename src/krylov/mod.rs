//! Krylov solvers with memory for sequences A_i x_i = b_i.
//!
//! A method is one file (`cg`, `minres`, `gmres`, `bicgstab`, `gcrodr`, `rbicgstab`, `rcg`, `eigcg`, `rminres`,
//! `idr`, `cocg`, `cocr`) written against a [`problem::Problem`]: the linear system with its preconditioner, scaling, nullspaces, inner products,
//! counts and stopping test. [`Krylov`] holds what lasts from solve to solve; [`Setup`] holds what
//! the user chose, whatever the scalar.

mod arnoldi;
mod bicgstab;
mod block_cg;
mod block_gcrodr;
mod cg;
mod cocg;
mod cocr;
mod column;
mod diagnostics;
mod eigcg;
mod gcrodr;
mod gmres;
mod guess;
pub mod learned;
mod idr;
mod method;
mod minres;
pub mod options;
mod policy;
pub mod problem;
mod rbicgstab;
mod rcg;
mod rminres;
mod stagnation;
mod team;
mod together;
mod window;

use crate::linalg::lockstep::{alone, Lockstep, Service, Wanted};
use crate::linalg::space::{Inner, Scratch};
use crate::linalg::{kernels, space, Panel, PanelMut, Space};
use crate::operator::{check, precond, Columns, Operator, Side, Trans};
use crate::runtime::context::LOG_SOLVE;
use crate::runtime::monitor::Monitor;
use crate::runtime::options::Options;
use crate::runtime::profile::{within, Events, Phase, Profile, Session};
pub use crate::runtime::Outcome;
use crate::runtime::{memory, Context, Error, Result, Scalar, Stop};
use column::{Attempt, Column, Told, Track};
use diagnostics::Diagnostics;
use learned::Mark;
use method::{AnyMethod, Method, Shape};
use options::{Guess, Settings, BLOCK_METHODS, KRYLOV, METHODS};
use policy::{End, Next, Plan, Policy};
use problem::{Converged, Counts, Nullspaces, Scaling};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Instant;
use together::{in_step, lockstep_outcomes, team_outcomes, Watch};

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
    /// The norm that `target` is for, of the true residual where that was formed.
    pub tested_norm: f64,
    pub recurrence_norm: f64,
    pub target: f64,
    /// The method that ran, and the preconditioner if the library chose one.
    pub method: &'static str,
    pub preconditioner: &'static str,
    pub setup_seconds: f64,
    pub solve_seconds: f64,
    pub diagnostics: Diagnostics,
    /// With `profile` or a sink for events.
    pub profile: Option<Profile>,
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
        if let Some(profile) = &self.profile {
            profile.describe(text);
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
    pub events: RefCell<Option<Arc<dyn Events>>>,
    pub report: RefCell<Report>,
    pub history: RefCell<Vec<f64>>,
    /// How each column of the last solve ended.
    pub ends: RefCell<Vec<Ending>>,
}

/// How one column of a solve ended.
#[derive(Debug, Clone)]
pub struct Ending {
    pub iterations: usize,
    pub residual_norm: f64,
    pub relative_residual: f64,
    pub outcome: Result<Outcome>,
}

impl Ending {
    fn of(report: &Report, outcome: &Result<Outcome>) -> Self {
        Ending {
            iterations: report.counts.iterations,
            residual_norm: report.residual_norm,
            relative_residual: report.relative_residual,
            outcome: outcome.clone(),
        }
    }
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
            events: RefCell::new(None),
            report: RefCell::new(Report::default()),
            history: RefCell::new(Vec::new()),
            ends: RefCell::new(Vec::new()),
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
            events: RefCell::new(None),
            report: RefCell::new(Report::default()),
            history: RefCell::new(Vec::new()),
            ends: RefCell::new(Vec::new()),
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
    /// One for each right-hand side; never empty.
    columns: Vec<Column<T>>,
    tracks: Vec<Track>,
    lockstep: Option<Lockstep<T>>,
    /// Columns that go in step at a time.
    together: usize,
    own: Option<Own<T>>,
    pub inner: Option<Arc<dyn Inner<T>>>,
    nullspaces: Nullspaces<T>,
    nullspaces_of: Option<(u64, u64)>,
    policy: Policy,
    /// A, M and the scaling of the last solve.
    last: [u64; 5],
    mark: Option<Mark<T>>,
}

impl<T: Scalar> Default for Krylov<T> {
    fn default() -> Self {
        Krylov {
            columns: vec![Column::default()],
            tracks: Vec::new(),
            lockstep: None,
            together: 1,
            own: None,
            inner: None,
            nullspaces: Nullspaces::default(),
            nullspaces_of: None,
            policy: Policy::default(),
            last: [0; 5],
            mark: None,
        }
    }
}

impl<T: Scalar> Krylov<T> {
    /// Throws away what earlier solves taught; options and arrays stay.
    pub fn forget(&mut self) {
        self.columns.iter_mut().for_each(|column| column.forget());
        self.own = None;
        self.policy.forget();
        self.mark = None;
    }

    pub fn recycled(&self) -> usize {
        self.columns[0].recycled()
    }

    /// Checks the operators against the options and makes all arrays, so that the next solve of
    /// this shape allocates nothing.
    pub fn prepare(&mut self, setup: &Setup, a: &Operator<T>, m: Option<&Operator<T>>) -> Result<()> {
        let checked = checked(setup, a, m).and_then(|_| self.grow(1));
        self.agree(setup, checked)?;
        loop {
            let plan = self.plan(setup, a, m)?;
            match self.ready(setup, &plan, a, m, 1) {
                Err(e) if self.think_again(setup, &plan, setup.report.borrow().counts, None, &Err(e.clone()), 1, usize::MAX) => {}
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
    fn ready(&mut self, setup: &Setup, plan: &Plan, a: &Operator<T>, m: Option<&Operator<T>>, count: usize) -> Result<()> {
        let spec = plan.preconditioner.unwrap_or(setup.options.text("preconditioner"));
        let started = Instant::now();
        let made = match m.filter(|m| setup.method == "auto" && plan.renew && m.refreshes()) {
            Some(m) => {
                setup.report.borrow_mut().rebuilds += 1;
                let done = m.changed();
                let seconds = self.measured(setup, started)?;
                self.policy.refreshed(a, m, seconds);
                done
            }
            None => self.prepare_preconditioner(setup, a, spec, plan.renew),
        };
        let made = made.and_then(|()| self.prepare_arrays(setup, plan.method, a, m, count));
        self.agree(setup, made)?;
        self.orthonormalise_nullspaces(setup, a)
    }

    /// Seconds since then, the most of all ranks, if costs are to be measured.
    fn measured(&mut self, setup: &Setup, since: Instant) -> Result<Option<f64>> {
        if !measures(setup) {
            return Ok(None);
        }
        self.columns[0].scratch.reductions += setup.context.reduce_hook().is_some() as usize;
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

    /// Makes new columns, up to so many; they start with the space of the first.
    fn grow(&mut self, count: usize) -> Result<()> {
        let (columns, tracks) = (count.saturating_sub(self.columns.len()), count.saturating_sub(self.tracks.len()));
        memory::reserve(&mut self.columns, columns, "columns")?;
        memory::reserve(&mut self.tracks, tracks, "columns")?;
        for _ in 0..columns {
            let sister = self.columns[0].sister()?;
            self.columns.push(sister);
        }
        self.tracks.resize_with(self.tracks.len() + tracks, Track::default);
        Ok(())
    }

    /// Makes the arrays of the first `count` columns.
    fn prepare_arrays(&mut self, setup: &Setup, method: &'static str, a: &Operator<T>, m: Option<&Operator<T>>, count: usize) -> Result<()> {
        if T::IS_COMPLEX && self.inner.is_some() && ["cocg", "cocr"].contains(&method) {
            let text = format!("argument 'inner' (rkn_krylov_set_inner) gives x^H y, but {method} needs x^T y for complex numbers: it must be NULL");
            return Err(Error::Unsupported(text));
        }
        let m = self.own.as_ref().map(|own| &own.m).or(m);
        let width = if count > 1 && setup.options.text("blocking") == "block" && BLOCK_METHODS.contains(&method) { count } else { 1 };
        let user_inner = self.inner.is_some();
        for (j, column) in self.columns[..count].iter_mut().enumerate() {
            match (width, j) {
                (1, _) | (_, 0) => column.prepare(setup, method, a, m, width, user_inner)?,
                _ => column.prepare_mate(setup, method, a.nrows(), user_inner)?,
            }
        }
        Track::reserve(&setup.history, setup)?;
        if count > 1 {
            let values = Column::<T>::values(setup, method);
            self.together = if width > 1 { count } else { in_step(setup, a, m, count) };
            if !self.lockstep.as_ref().is_some_and(|all| all.fits(a.nrows(), self.together, values)) {
                self.lockstep = Some(Lockstep::new(a.nrows(), self.together, values)?);
            }
            for track in &self.tracks[..count] {
                Track::reserve(&track.history, setup)?;
            }
        }
        self.read_nullspaces(a)
    }

    /// Solves A x = b; M approximates the inverse of A. x is written in any case but a refused call, and
    /// holds the best point known on return.
    pub fn solve(&mut self, setup: &Setup, a: &Operator<T>, m: Option<&Operator<T>>, b: &[T], x: &mut [T]) -> Result<Outcome> {
        self.solve_block(setup, a, m, Panel::column(b), PanelMut::column(x))
    }

    /// Solves A X = B, all columns in lockstep.
    pub fn solve_block(
        &mut self,
        setup: &Setup,
        a: &Operator<T>,
        m: Option<&Operator<T>>,
        b: Panel<T>,
        x: PanelMut<T>,
    ) -> Result<Outcome> {
        let events = setup.events.borrow().clone();
        let session = Session::begin(events.is_some() || setup.options.text("profile") == "on", events);
        let outcome = within(Phase::Solve, || self.solve_columns(setup, a, m, b, x));
        setup.report.borrow_mut().profile = session.end();
        outcome
    }

    fn solve_columns(
        &mut self,
        setup: &Setup,
        a: &Operator<T>,
        m: Option<&Operator<T>>,
        b: Panel<T>,
        mut x: PanelMut<T>,
    ) -> Result<Outcome> {
        let (started, count) = (Instant::now(), b.ncols);
        self.columns.iter_mut().for_each(|column| column.scratch.reductions = 0);
        {
            let mut report = setup.report.borrow_mut();
            *report = Report { solves: report.solves + 1, rebuilds: report.rebuilds, recycled: report.recycled, ..Report::default() };
        }
        setup.history.borrow_mut().clear();
        setup.ends.borrow_mut().clear();
        let checked = checked(setup, a, m).and_then(|settings| {
            finite_columns(["b", "B"], b)?;
            if settings.guess == Guess::X {
                finite_columns(["x", "X"], x.as_panel())?;
            }
            memory::reserve(&mut setup.ends.borrow_mut(), count, "columns")?;
            self.grow(count)?;
            Ok(settings)
        });
        let settings = checked.clone();
        self.agree(setup, checked.map(|_| ()))?;
        let settings = settings?;
        if count == 0 {
            return Ok(Outcome::Converged);
        }
        for track in &mut self.tracks {
            *track.report.get_mut() = Report::default();
            track.history.get_mut().clear();
        }
        let (m_id, m_version) = m.map_or((0, 0), |m| (m.id(), m.version()));
        self.policy.begin(count);
        self.last = [a.id(), a.version(), m_id, m_version, setup.scaling.version];
        for (j, (column, track)) in self.columns.iter_mut().zip(&mut self.tracks[..count]).enumerate() {
            track.x_is_zero = column.begin(setup, settings.guess, b.col(j), x.col(j))?;
        }
        loop {
            let plan = self.plan(setup, a, m)?;
            let before = setup.report.borrow().counts;
            let mut seconds = None;
            match within(Phase::Setup, || self.ready(setup, &plan, a, m, count)) {
                Ok(()) => {
                    {
                        let mut report = setup.report.borrow_mut();
                        report.setup_seconds = started.elapsed().as_secs_f64() - report.solve_seconds;
                        report.method = plan.method;
                        report.preconditioner = plan.preconditioner.unwrap_or("");
                    }
                    let begun = Instant::now();
                    self.attempt(setup, settings, &plan, started, a, m, b, x.reborrow())?;
                    if self.tracks[..count].iter().all(|track| track.outcome.is_ok()) {
                        seconds = self.measured(setup, begun)?.map(|seconds| seconds / count as f64);
                    }
                }
                Err(e) => self.tracks[..count].iter_mut().for_each(|track| track.outcome = Err(e.clone())),
            }
            let outcome = overall(&self.tracks[..count]);
            if !self.think_again(setup, &plan, before, seconds, &outcome, count, settings.max_iterations) {
                break;
            }
        }
        for (j, (column, track)) in self.columns.iter_mut().zip(&self.tracks[..count]).enumerate() {
            column.end(setup, settings.guess, &track.outcome, x.col(j))?;
            let report = if count == 1 { &setup.report } else { &track.report };
            setup.ends.borrow_mut().push(Ending::of(&report.borrow(), &track.outcome));
        }
        self.finish(setup, overall(&self.tracks[..count]))
    }

    /// Runs one method on all columns, from the points in X. Counts go on from those of the attempt before.
    #[allow(clippy::too_many_arguments)]
    fn attempt(
        &mut self,
        setup: &Setup,
        settings: Settings,
        plan: &Plan,
        started: Instant,
        a: &Operator<T>,
        m: Option<&Operator<T>>,
        b: Panel<T>,
        x: PanelMut<T>,
    ) -> Result<()> {
        let count = b.ncols;
        let own = self.own.as_ref().map(|own| &own.m);
        let all = Attempt {
            setup,
            a,
            m: own.or(m),
            inner: &self.inner,
            nullspaces: &self.nullspaces,
            settings,
            plan,
            started,
        };
        let mut monitor = setup.monitor.borrow_mut();
        if count == 1 {
            let (track, x) = (&mut self.tracks[0], x.split().next().expect("one column"));
            let told = Told { report: &setup.report, history: &setup.history, monitor: monitor.as_deref_mut() };
            track.outcome = alone(self.columns[0].attempt(all, told, None, b.col(0), x, track.x_is_zero));
            track.x_is_zero = false;
        } else {
            let outside = self.columns[0].scratch.reductions;
            self.columns.iter_mut().for_each(|column| column.scratch.reductions = outside);
            let is_block = matches!(self.columns[0].method, Some((_, AnyMethod::BlockCg(_) | AnyMethod::BlockGcrodr(_))));
            let watch = Watch::new(setup, &self.tracks[..count], monitor.as_deref_mut(), started);
            let mut outcomes = memory::with_capacity(count, "columns")?;
            let (lockstep, sums) = (self.lockstep.as_ref().expect("prepared before"), Cell::new(outside));
            let multiply = |kind: Wanted, x: Panel<T>, y: PanelMut<T>| {
                let operator = all.m.filter(|_| kind == Wanted::Preconditioner).unwrap_or(a);
                within(kind.phase(), || operator.apply(&setup.context.pool, Trans::N, x, y))
            };
            let between = || watch.tell(lockstep, sums.get());
            let service = Service { reduce: setup.context.reduce_hook(), multiply: &multiply, between: &between };
            let mut columns = self.columns[..count].iter_mut().zip(&self.tracks).zip(x.split()).enumerate();
            while outcomes.len() < count {
                lockstep.start();
                let some = columns.by_ref().take(self.together);
                if is_block {
                    outcomes.extend(team_outcomes(all, lockstep, &service, some, b)?);
                } else if self.together > 1 {
                    outcomes.extend(lockstep_outcomes(all, lockstep, &service, some, b)?);
                } else {
                    outcomes.extend(some.map(|(j, ((column, track), x))| alone(column.attempt(all, track.told(), None, b.col(j), x, track.x_is_zero))));
                }
                between();
                sums.set(sums.get() + lockstep.reductions());
            }
            drop(columns);
            let (mut sums, longest) = (sums.get(), watch.end());
            if setup.context.reduce_hook().is_none() {
                sums = self.columns[..count].iter().map(|column| column.scratch.reductions).max().unwrap_or(sums);
            }
            self.columns.iter_mut().for_each(|column| column.scratch.reductions = sums);
            setup.report.borrow_mut().reductions = sums;
            setup.history.borrow_mut().clone_from(&self.tracks[longest].history.borrow());
            for (track, outcome) in self.tracks.iter_mut().zip(outcomes) {
                track.outcome = outcome;
                track.x_is_zero = false;
            }
        }
        setup.report.borrow_mut().recycled = self.columns[0].recycled();
        Ok(())
    }

    /// Lets the policy learn from an attempt; whether it wants another.
    #[allow(clippy::too_many_arguments)]
    fn think_again(
        &mut self,
        setup: &Setup,
        plan: &Plan,
        before: Counts,
        seconds: Option<f64>,
        outcome: &Result<Outcome>,
        columns: usize,
        limit: usize,
    ) -> bool {
        if setup.method != "auto" {
            return false;
        }
        let now = setup.report.borrow().counts;
        let (done, iterations, applies) = (now.iterations, now.iterations - before.iterations, (now.applies - before.applies) / columns);
        let end = match outcome {
            Ok(Outcome::Converged) => End::Good,
            Ok(Outcome::Stopped(Stop::Iterations)) if done < limit => End::Spent,
            Ok(Outcome::Stopped(Stop::Stagnation | Stop::Breakdown)) => End::Unfit,
            Err(Error::Indefinite(_) | Error::Singular(_) | Error::Unsupported(_)) => End::Unfit,
            Err(Error::NonFinite(_)) if plan.preconditioner.is_some() => End::Unfit,
            _ => End::Other,
        };
        let (restart, recycle) = (setup.options.count("restart"), setup.options.count("recycle"));
        let work = |method: &str| policy::work(method, iterations, applies, restart, recycle);
        self.policy.learn(plan, iterations, work, seconds, end) == Next::Again
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
        self.columns[0].scratch.reductions += 1;
        space::vote(&setup.context, prepared.err())
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
        let space = solver_space(setup, &self.inner, &mut self.columns[0].scratch);
        alone(orthonormalise(&space, a.ncols(), &mut self.nullspaces.right))?;
        alone(orthonormalise(&space, a.nrows(), &mut self.nullspaces.left))?;
        self.nullspaces_of = Some((a.id(), a.version()));
        Ok(())
    }

    fn finish(&mut self, setup: &Setup, outcome: Result<Outcome>) -> Result<Outcome> {
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

/// How a solve of several columns ended: as the first that failed, or the first that stopped.
fn overall(tracks: &[Track]) -> Result<Outcome> {
    let failed = tracks.iter().find(|track| track.outcome.is_err());
    let stopped = || tracks.iter().find(|track| track.outcome != Ok(Outcome::Converged));
    failed.or_else(stopped).map_or(Ok(Outcome::Converged), |track| track.outcome.clone())
}

/// Columns without what is not finite; `names` are those of a vector and of several.
fn finite_columns<T: Scalar>(names: [&'static str; 2], x: Panel<T>) -> Result<()> {
    if x.ncols == 1 {
        return check::finite(names[0], x.col(0));
    }
    for j in 0..x.ncols {
        if let Some(i) = kernels::first_nonfinite(x.col(j)) {
            return Err(Error::NonFinite(format!("argument '{}' has {} in row {i} of column {j} (base 0), must be finite", names[1], x.col(j)[i])));
        }
    }
    Ok(())
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
async fn orthonormalise<T: Scalar>(space: &Space<'_, T>, n: usize, columns: &mut Columns<T>) -> Result<()> {
    for j in 0..columns.count {
        let (done, rest) = columns.data.split_at_mut(j * n);
        let column = &mut rest[..n];
        let before = space.norm(column).await?;
        for _ in 0..2 {
            for q in (0..j).map(|i| &done[i * n..][..n]) {
                let c = T::narrow(space.dot(q, column).await?);
                kernels::axpy(space.pool(), -c, q, column);
            }
        }
        let after = space.norm(column).await?;
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
