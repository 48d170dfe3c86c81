//! The choices behind "auto": which method, which preconditioner, and how long to keep it.
//!
//! Everything is decided from counts (entries, flops, iterations), so that a run repeats exactly and ranks
//! agree; only `policy_costs=measured` looks at the clock. Costs are seconds of a nominal machine; only their
//! ratios matter.
//!
//! * Three classes of preconditioners: incomplete factors, complete ones, multigrid. The width of the
//!   breadth-first levels of the graph bounds the separators, and separators of s vertices mean some
//!   10 s^3 flops and 25 s^2 entries of a factor in two and three dimensions alike (George, SIAM J. Numer.
//!   Anal. 10, 1973). The number of levels is the diameter, which bounds from below what an incomplete
//!   factorisation needs in iterations; multigrid needs about the same number on any mesh. What was then
//!   observed replaces the estimates, and is slowly forgotten while it is not observed again.
//! * A complete factor, a multigrid hierarchy, or a preconditioner of the caller's that can be refreshed, made
//!   for an earlier system, is kept until the next solve with it is expected to cost more than the average
//!   system since it was made, its making included: the stationary point of that average. A solve that has
//!   cost as much as a new one is broken off, and continued with one.
//! * For operators without entries: recycling while it saves applies, else the plain method.

use crate::operator::Operator;
use crate::runtime::random::{streams, Stream};
use crate::runtime::{archive, memory, Archive, Error, Result, Scalar, Wide};
use std::fmt::Write;

/// Bytes a second from memory, multiply-adds a second in a factorisation, and seconds an entry of a
/// factor beside them.
const BYTES: f64 = 20e9;
const FLOPS: f64 = 30e9;
const PER_ENTRY: f64 = 15e-9;

/// Multigrid in terms of iterations with incomplete factors: a refresh of the hierarchy, an iteration; and how
/// many of these it takes.
const AMG_REFRESH: f64 = 30.0;
const AMG_ITERATION: f64 = 4.0;
const AMG_ITERATIONS: f64 = 12.0;

/// Entries of a complete factor at most.
const ROOM: f64 = 2e8;

/// How the next attempt at a system is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    pub method: &'static str,
    /// A preconditioner of the library's, "" for none; `None`: what the user gave.
    pub preconditioner: Option<&'static str>,
    /// Make it anew if A has changed.
    pub renew: bool,
    /// Iterations after which to think again.
    pub budget: usize,
}

/// What to do after an attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Done,
    /// Go on from the point reached, with another plan.
    Again,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Good,
    /// The budget was spent.
    Spent,
    /// The method or the preconditioner is not for this system.
    Unfit,
    /// Anything else: limits, failures of callbacks.
    Other,
}

type Rungs = &'static [(&'static str, &'static str)];

/// What a preconditioner is made of.
/// An attempt at a system, for the report.
#[derive(Debug, Clone, Copy)]
struct Step {
    plan: Plan,
    /// Systems since the preconditioner was made, this one included.
    age: f64,
    making: f64,
    iteration: f64,
    iterations: usize,
    end: End,
}

/// Attempts kept for the report.
const STEPS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Incomplete,
    Complete,
    Multigrid,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Incomplete => "incomplete factors",
            Complete => "complete factors",
            Multigrid => "multigrid",
        }
    }
}

use Class::{Complete, Incomplete, Multigrid};

const CLASSES: [Class; 3] = [Incomplete, Complete, Multigrid];

/// Combinations to try, each for those that the one before is not fit for.
fn rungs(class: Class, hermitian: bool) -> Rungs {
    match (class, hermitian) {
        (Complete, true) => &[("cg", "llt precision=single"), ("cg", "llt"), ("gcrodr", "lu precision=single"), ("gcrodr", "lu")],
        (Complete, false) => &[("gcrodr", "lu precision=single"), ("gcrodr", "lu")],
        (Multigrid, true) => &[("cg", "amg precision=single"), ("cg", "amg")],
        (Multigrid, false) => &[],
        (Incomplete, true) => &[("cg", "ic0"), ("gcrodr", "ilu0"), ("gcrodr", "jacobi"), ("gcrodr", "")],
        (Incomplete, false) => &[("gcrodr", "ilu0"), ("gcrodr", "jacobi"), ("gcrodr", "")],
    }
}

/// What is known of a pattern.
#[derive(Debug, Clone, Copy, Default)]
struct Survey {
    n: f64,
    entries: f64,
    /// Of a scalar.
    size: f64,
    width: f64,
    levels: f64,
    hermitian: bool,
    /// Right-hand sides that share a set-up.
    columns: f64,
}

impl Survey {
    fn apply(&self) -> f64 {
        (self.entries * (self.size + 4.0) + 20.0 * self.n) / BYTES
    }

    fn vectors(&self) -> f64 {
        12.0 * self.size * self.n / BYTES
    }

    /// Entries of a complete factor.
    fn fill(&self) -> f64 {
        (25.0 * self.width.powi(2)).min(0.5 * self.n * self.n)
    }

    /// Nothing is left to fill in: an incomplete factorisation would be the complete one, made for each system.
    fn is_full(&self) -> bool {
        self.entries > 0.5 * self.n * self.n
    }

    /// Whether a class may be tried at all.
    fn offers(&self, class: Class) -> bool {
        !rungs(class, self.hermitian).is_empty()
            && match class {
                Complete => self.fill() < ROOM,
                _ => !self.is_full() || self.fill() >= ROOM,
            }
    }

    /// Making a complete factor, and applying it.
    fn complete(&self) -> (f64, f64) {
        let flops = (10.0 * self.width.powi(3)).min(self.n.powi(3) / 3.0);
        let sides = if self.hermitian { 1.0 } else { 2.0 };
        (0.5 * self.size / 8.0 * sides * factor_cost(self.fill(), flops), substitution_cost(sides * self.fill(), self.size / 2.0))
    }

    fn iteration_incomplete(&self) -> f64 {
        2.0 * self.apply() + self.vectors()
    }

    /// What a system of a slowly changing sequence is thought to cost: complete factors are made for every
    /// fourth, and applied five times.
    fn predicted(&self, class: Class) -> f64 {
        match class {
            Complete => {
                let (make, apply) = self.complete();
                0.25 * make / self.columns + 5.0 * (apply + self.apply() + self.vectors())
            }
            Incomplete => 0.5 * self.levels * self.iteration_incomplete(),
            Multigrid => (0.5 * AMG_REFRESH / self.columns + AMG_ITERATIONS * AMG_ITERATION) * self.iteration_incomplete(),
        }
    }
}

fn factor_cost(entries: f64, flops: f64) -> f64 {
    PER_ENTRY * entries + flops / FLOPS
}

/// The age of a preconditioner, in costs.
#[derive(Debug, Clone, Copy, Default)]
struct Age {
    systems: f64,
    cost: f64,
    last: f64,
    before: f64,
}

pub struct Policy {
    survey: Option<Survey>,
    class: Class,
    rung: usize,
    age: Age,
    /// Right-hand sides of the present system.
    columns: f64,
    /// What the present preconditioner cost to make, for one right-hand side.
    making: f64,
    /// Cost of an iteration with it, and what counts say.
    iteration: f64,
    nominal: f64,
    /// Measured costs in terms of counted ones.
    unit: f64,
    /// Observed average cost of a system, by class; infinite for one that is not fit.
    observed: [Option<f64>; 3],
    /// Systems for which a new preconditioner is made without trying the old one, and the length of the
    /// next such stretch.
    fresh: usize,
    stretch: usize,
    /// (A, version) that the preconditioner was made from.
    made_of: Option<[u64; 2]>,
    /// (M, version) of the caller's preconditioner that can be refreshed, as it was last seen.
    seen: Option<[u64; 2]>,
    habit: Habit,
    trail: Vec<Step>,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            survey: None,
            class: Incomplete,
            rung: 0,
            age: Age::default(),
            columns: 1.0,
            making: 0.0,
            iteration: 0.0,
            nominal: 0.0,
            unit: 1.0,
            observed: [None; 3],
            fresh: 0,
            stretch: 0,
            made_of: None,
            seen: None,
            habit: Habit::default(),
            trail: Vec::new(),
        }
    }
}

/// Whether memory pays where only iterations can be counted.
#[derive(Debug, Clone, Copy, Default)]
struct Habit {
    /// Average work of a solve with memory, and without.
    with: f64,
    without: f64,
    /// Systems left to be solved without.
    pause: usize,
    /// How long the next pause is.
    stretch: usize,
    /// Systems solved with memory since the last pause.
    tried: usize,
}

impl Policy {
    pub fn forget(&mut self) {
        *self = Policy::default();
    }

    /// Writes or reads all that decisions depend on.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<()> {
        archive.optional(&mut self.survey, || Ok(Survey::default()), |archive, survey| {
            let Survey { n, entries, size, width, levels, hermitian, columns: _ } = survey;
            [n, entries, size, width, levels].into_iter().try_for_each(|v| archive.number(v))?;
            archive.flag(hermitian)
        })?;
        let mut class = self.class as usize;
        archive.count_up_to(&mut class, CLASSES.len() - 1)?;
        self.class = CLASSES[class];
        archive.count_up_to(&mut self.rung, 3)?;
        let (Age { systems, cost, last, before }, Habit { with, without, pause, stretch, tried }) = (&mut self.age, &mut self.habit);
        let numbers = [systems, cost, last, before, &mut self.making, &mut self.iteration, &mut self.nominal, &mut self.unit, with, without];
        numbers.into_iter().try_for_each(|v| archive.number(v))?;
        for observed in &mut self.observed {
            archive.optional(observed, || Ok(0.0), |archive, v| archive.number(v))?;
        }
        for count in [&mut self.fresh, &mut self.stretch, pause, stretch, tried] {
            archive.count(count)?;
        }
        if self.survey.as_ref().is_some_and(|survey| self.rung >= rungs(self.class, survey.hermitian).len()) {
            return Err(archive::damaged());
        }
        archive.optional(&mut self.made_of, || Ok([0; 2]), |archive, of| archive.operator(of))?;
        archive.optional(&mut self.seen, || Ok([0; 2]), |archive, m| archive.operator(m))
    }

    /// For an operator without entries, a preconditioner of the user's, or several ranks. `setup_cost`: what a
    /// refresh of M costs, in iterations.
    pub fn plan_for_operators<T: Scalar>(&mut self, a: &Operator<T>, m: Option<&Operator<T>>, setup_cost: f64) -> Plan {
        let hermitian = a.is_hermitian() && m.is_none_or(|m| m.is_hermitian());
        let method = match (hermitian && self.rung == 0, self.habit.pause > 0) {
            (true, true) => "cg",
            (true, false) => "rcg",
            (false, true) => "gmres",
            (false, false) => "gcrodr",
        };
        let lags = m.is_some_and(|m| m.refreshes());
        let now = m.filter(|_| lags).map(|m| [m.id(), m.version()]);
        if let (Some([id, version]), Some([seen, then])) = (now, self.seen) {
            if id == seen && version != then {
                self.up_to_date(a);    // the caller has refreshed it
            }
        }
        self.seen = now;
        let is_new = self.made_of != Some([a.id(), a.version()]);
        let renew = is_new && (self.made_of.is_none() || self.fresh > 0 || self.is_old());
        if self.nominal == 0.0 {
            (self.making, self.iteration, self.nominal) = (setup_cost / self.columns, 1.0, 1.0);
        }
        let budget = if lags && is_new && !renew { iterations(self.making + 4.0 * self.iteration, self.iteration) } else { usize::MAX };
        Plan { method, preconditioner: None, renew: renew && lags, budget }
    }

    /// Takes note of a refresh of the user's preconditioner, and of its cost where that is measured.
    pub fn refreshed<T: Scalar>(&mut self, a: &Operator<T>, m: &Operator<T>, seconds: Option<f64>) {
        self.making = seconds.map_or(self.making, |seconds| seconds / self.columns);
        self.seen = Some([m.id(), m.version()]);
        self.up_to_date(a);
    }

    fn up_to_date<T: Scalar>(&mut self, a: &Operator<T>) {
        self.age = Age::default();
        self.fresh = self.fresh.saturating_sub(1);
        self.made_of = Some([a.id(), a.version()]);
    }

    /// For a matrix with entries.
    pub fn plan_for_matrix<T: Scalar>(&mut self, a: &Operator<T>) -> Result<Plan> {
        let now = [a.id(), a.version()];
        let entries = a.count("entries").unwrap_or(0) as f64;
        let is_new = self.made_of != Some(now);
        if let Some(survey) = &mut self.survey {
            survey.columns = self.columns;
        }
        match self.survey {
            Some(survey) if survey.n == a.nrows() as f64 && survey.entries == entries => {}
            _ => {
                self.forget();
                let survey = Survey { columns: self.columns, ..survey(a, entries)? };
                self.survey = Some(survey);
                self.change_class(cheapest(CLASSES.into_iter().filter(|class| survey.offers(*class)), |class| survey.predicted(class)));
            }
        }
        let renew = is_new && (self.made_of.is_none() || self.class == Incomplete || self.fresh > 0 || self.is_old());
        if renew && self.made_of.is_some() {
            // The matrix may have lost its symmetry in the meantime.
            let hermitian = is_hermitian(a)?;
            if let Some(survey) = self.survey.as_mut().filter(|survey| survey.hermitian != hermitian) {
                survey.hermitian = hermitian;
                let class = if survey.offers(self.class) { self.class } else { Incomplete };
                self.change_class(class);
            }
        }
        let survey = self.survey.as_ref().expect("just made");
        let (method, preconditioner) = rungs(self.class, survey.hermitian)[self.rung];
        let others = CLASSES.into_iter().filter(|class| *class != self.class && survey.offers(*class) && self.observed[*class as usize].is_none());
        let budget = match self.class {
            // An old preconditioner may cost as much as a new one before it is given up.
            Complete | Multigrid if is_new && !renew => iterations(self.making + 4.0 * self.iteration, self.iteration),
            // The first system may cost as much as another class is thought to need for two, a new factor included.
            Incomplete | Multigrid if self.observed[self.class as usize].is_none() => {
                let whole = |class| if class == Complete { survey.complete().0 / survey.columns } else { 0.0 } + survey.predicted(class);
                let each = if self.class == Multigrid { AMG_ITERATION } else { 1.0 } * survey.iteration_incomplete();
                others.map(whole).reduce(f64::min).map_or(usize::MAX, |cost| iterations(2.0 * cost, each).max(30))
            }
            _ => usize::MAX,
        };
        Ok(Plan { method, preconditioner: Some(preconditioner), renew, budget })
    }

    /// Whether one more system is expected to cost more than the average since the preconditioner was made.
    fn is_old(&self) -> bool {
        let growth = if self.age.systems > 1.0 { (self.age.last - self.age.before).max(0.0) } else { 0.0 };
        let next = self.age.last + growth;
        self.age.systems > 0.0 && next > (self.making + self.age.cost) / self.age.systems
    }

    /// Takes note of a preconditioner just made (or not, where the plan did not ask for it).
    pub fn made<T: Scalar>(&mut self, a: &Operator<T>, m: Option<&Operator<T>>, seconds: Option<f64>) {
        let Some(survey) = &self.survey else { return };
        let entries = m.and_then(|m| m.count("entries")).unwrap_or(0) as f64;
        let spec = rungs(self.class, survey.hermitian)[self.rung].1;
        let size = if spec.ends_with("single") { survey.size / 2.0 } else { survey.size };
        let flops = m.and_then(|m| m.count("flops")).unwrap_or(0) as f64;
        let (making, applying) = match self.class {
            Complete => {
                (factor_cost(entries, flops) * size / 8.0, substitution_cost(entries, size))
            }
            Multigrid => (AMG_REFRESH * survey.iteration_incomplete(), (AMG_ITERATION - 1.0) * survey.iteration_incomplete()),
            Incomplete => (4.0 * entries * (size + 4.0) / BYTES, entries * (size + 4.0) / BYTES),
        };
        self.nominal = applying + survey.apply() + survey.vectors();
        (self.making, self.iteration) = (seconds.unwrap_or(making) / self.columns, self.unit * self.nominal);
        self.age = Age::default();
        self.fresh = self.fresh.saturating_sub(1);
        self.made_of = Some([a.id(), a.version()]);
    }

    /// A new system begins, with so many right-hand sides. Costs are those of one of them: they share set-ups.
    pub fn begin(&mut self, columns: usize) {
        self.columns = columns as f64;
        self.trail.clear();
    }

    /// After an attempt of so many iterations and applies, with its time where that counts.
    /// `work`: by method, what [`work`] makes of them.
    pub fn learn(&mut self, plan: &Plan, iterations: usize, work: impl Fn(&str) -> f64, seconds: Option<f64>, end: End) -> Next {
        if let Some(seconds) = seconds.filter(|_| iterations > 0) {
            self.iteration = seconds / iterations as f64;
            self.unit = self.iteration / self.nominal;
        }
        if self.trail.len() < STEPS {
            let age = self.age.systems + 1.0;
            self.trail.push(Step { plan: *plan, age, making: self.making, iteration: self.iteration, iterations, end });
        }
        let Some(survey) = self.survey.filter(|_| plan.preconditioner.is_some()) else {
            // The first solve has nothing to remember.
            let method = match plan.method {
                "rcg" if self.habit.without == 0.0 => "cg",
                "gcrodr" if self.habit.without == 0.0 => "gmres",
                other => other,
            };
            return self.learn_of_operators(plan, iterations, seconds.unwrap_or_else(|| work(method)), end);
        };
        let cost = iterations as f64 * self.iteration;
        match end {
            End::Unfit if self.rung + 1 < rungs(self.class, survey.hermitian).len() => {
                self.rung += 1;
                self.made_of = None;
                Next::Again
            }
            End::Unfit if self.class != Incomplete => {
                self.observed[self.class as usize] = Some(f64::INFINITY);
                self.change_class(Incomplete);
                Next::Again
            }
            End::Spent if self.class != Incomplete && !plan.renew && self.observed[self.class as usize].is_some() => {
                self.stretch = (2 * self.stretch).clamp(1, 16);
                self.fresh = self.stretch;
                Next::Again
            }
            End::Spent => {
                self.observed[self.class as usize] = Some(2.0 * cost);
                self.change_class(self.best_other(&survey).0);
                Next::Again
            }
            End::Good => {
                if !plan.renew {
                    self.stretch /= 2;
                }
                self.grow_older(cost);
                self.observe(&survey, if self.class == Incomplete { self.making + cost } else { (self.making + self.age.cost) / self.age.systems });
                Next::Done
            }
            _ => Next::Done,
        }
    }

    fn grow_older(&mut self, cost: f64) {
        self.age = Age { systems: self.age.systems + 1.0, cost: self.age.cost + cost, last: cost, before: self.age.last };
    }

    fn learn_of_operators(&mut self, plan: &Plan, iterations: usize, work: f64, end: End) -> Next {
        match end {
            End::Unfit if ["cg", "rcg"].contains(&plan.method) => {
                self.rung = 1;
                self.habit = Habit::default();
                Next::Again
            }
            End::Spent => {
                self.stretch = (2 * self.stretch).clamp(1, 16);
                self.fresh = self.stretch;
                Next::Again
            }
            End::Good => {
                if !plan.renew {
                    self.stretch /= 2;
                }
                self.grow_older(iterations as f64 * self.iteration);
                self.habit.observe(["rcg", "gcrodr"].contains(&plan.method), work);
                Next::Done
            }
            _ => Next::Done,
        }
    }

    fn change_class(&mut self, class: Class) {
        self.class = class;
        self.rung = 0;
        self.made_of = None;
    }

    /// The class beside the present one that is known, or thought, to be cheapest, with its cost.
    fn best_other(&self, survey: &Survey) -> (Class, f64) {
        let cost = |class: Class| self.observed[class as usize].unwrap_or(self.unit * survey.predicted(class));
        let class = cheapest(CLASSES.into_iter().filter(|class| *class != self.class && survey.offers(*class)), cost);
        (class, cost(class))
    }

    /// What was known and decided, in words and numbers.
    pub fn explain(&self, measured: bool, out: &mut String) -> std::fmt::Result {
        let unit = if measured { "s" } else { "nominal s" };
        if let Some(survey) = &self.survey {
            let kind = if survey.hermitian { "Hermitian" } else { "not Hermitian" };
            writeln!(out, "matrix: {} rows, {} entries, {kind}; its graph has {} levels, separators of some {:.0} vertices", survey.n, survey.entries, survey.levels, survey.width)?;
            for class in CLASSES {
                let now = if class == self.class { ", in use" } else { "" };
                match self.observed[class as usize] {
                    _ if !survey.offers(class) => writeln!(out, "  {}: not for this matrix", class.name())?,
                    Some(cost) if cost.is_infinite() => writeln!(out, "  {}: failed", class.name())?,
                    Some(cost) => writeln!(out, "  {}: a system cost {cost:.2e} {unit} (observed{now})", class.name())?,
                    None => writeln!(out, "  {}: a system is thought to cost {:.2e} {unit} (predicted{now})", class.name(), self.unit * survey.predicted(class))?,
                }
            }
        }
        if self.habit.without > 0.0 {
            let Habit { with, without, pause, .. } = self.habit;
            let unit = if measured { "s" } else { "passes over a vector" };
            writeln!(out, "memory: a system costs {without:.3e} {unit} without, {with:.3e} with it; paused for {pause} systems")?;
        }
        for (i, step) in self.trail.iter().enumerate() {
            let Step { plan, age, making, iteration, iterations, end } = step;
            let with = match plan.preconditioner {
                None => "what the caller gave",
                Some("") => "no preconditioner",
                Some(name) => name,
            };
            let renewed = if plan.renew { "made anew".to_string() } else { format!("kept, system {age}") };
            write!(out, "attempt {}: {} with {with}, {renewed}; making it costs {making:.2e}, an iteration {iteration:.2e} {unit}", i + 1, plan.method)?;
            let ended = match end {
                End::Good => "converged",
                End::Spent => "not worth going on",
                End::Unfit => "not fit for this system",
                End::Other => "stopped",
            };
            writeln!(out, "\n  {iterations} iterations: {ended}")?;
        }
        if self.age.systems > 0.0 {
            let average = (self.making + self.age.cost) / self.age.systems;
            writeln!(out, "the preconditioner has served {} systems at {average:.2e} {unit} each, the last at {:.2e}", self.age.systems, self.age.last)?;
        }
        Ok(())
    }

    /// Keeps the average cost of a system, and changes to another class where that is much cheaper.
    fn observe(&mut self, survey: &Survey, cost: f64) {
        for (class, observed) in CLASSES.into_iter().zip(&mut self.observed) {
            *observed = match *observed {
                // An average already, of one preconditioner.
                Some(_) if class == self.class && class != Incomplete && self.age.systems >= 4.0 => Some(cost),
                Some(old) if class == self.class => Some(0.7 * old + 0.3 * cost),
                None if class == self.class => Some(cost),
                // Times change.
                other => other.map(|old| 0.98 * old),
            };
        }
        let mine = self.observed[self.class as usize].unwrap_or(cost);
        // A young preconditioner is no reason yet.
        let is_known = self.class == Incomplete || self.age.systems >= 4.0;
        let (class, other) = self.best_other(survey);
        if is_known && mine > 1.5 * other && class != self.class {
            self.change_class(class);
        }
    }
}

/// Incomplete factors where there is nothing to choose from.
fn cheapest(classes: impl Iterator<Item = Class>, cost: impl Fn(Class) -> f64) -> Class {
    classes.map(|class| (class, cost(class))).reduce(|best, other| if other.1 < best.1 { other } else { best }).map_or(Incomplete, |best| best.0)
}

/// Work of so many iterations and products with A, in passes over a vector, where nothing is known of A and M.
/// They are taken for a stencil of seven points and its ILU(0) in plain loops; what the methods cost besides is measured
/// (benches/shells.c, 16 000 to 64 000 unknowns).
pub fn work(method: &str, iterations: usize, applies: usize, restart: usize, recycle: usize) -> f64 {
    const A: f64 = 35.0;
    const M: f64 = 65.0;
    let (restart, recycle) = (restart as f64, recycle as f64);
    // A basis that is half full on average.
    let arnoldi = |kept: f64| 6.0 * (kept + (restart - kept) / 2.0);
    let vectors = match method {
        "gmres" => arnoldi(0.0),
        "gcrodr" => arnoldi(recycle),
        "rcg" => 12.0 + 8.0 * recycle,
        _ => 12.0,
    };
    applies as f64 * A + iterations as f64 * (M + vectors)
}

impl Habit {
    /// After a solve, with memory or without: a pause where memory costs more than it saves, longer each time;
    /// then another trial.
    fn observe(&mut self, remembers: bool, work: f64) {
        let average = |old: f64| if old == 0.0 { work } else { 0.7 * old + 0.3 * work };
        if self.without == 0.0 {
            self.without = work;
        } else if remembers {
            self.tried += 1;
            // What the first one after a pause remembers is older than the pause; and one system proves little.
            let idle = (self.stretch > 0) as usize;
            if self.tried > idle {
                self.with = average(self.with);
            }
            if self.tried < idle + 2 {
                return;
            }
            if self.with > self.without {
                self.stretch = (2 * self.stretch).clamp(2, 32);
                (self.pause, self.with, self.tried) = (self.stretch, 0.0, 0);
            } else {
                self.stretch = 0;
            }
        } else {
            self.without = average(self.without);
            self.pause = self.pause.saturating_sub(1);
        }
    }
}

/// Substitutions with factors are bound by more than their bytes.
fn substitution_cost(entries: f64, size: f64) -> f64 {
    entries * (0.15e-9 + 0.2e-9 * size)
}

fn iterations(cost: f64, each: f64) -> usize {
    (cost / each).ceil().clamp(4.0, 1e9) as usize
}

/// Levels of a breadth-first search from a vertex at the rim: their number and the widest.
fn survey<T: Scalar>(a: &Operator<T>, entries: f64) -> Result<Survey> {
    let n = a.nrows();
    let rows = Pattern::of(a)?;
    let mut mark = memory::filled(n, u32::MAX, "a survey of the matrix")?;
    let mut queue = memory::with_capacity(n, "a survey of the matrix")?;
    let rim = rows.search(0, 0, &mut mark, &mut queue).2;
    let (mut levels, mut width, _) = rows.search(rim, 1, &mut mark, &mut queue);
    // Parts that do not hang together are factored one by one: the largest counts.
    for start in 0..n {
        if mark[start] != 1 {
            let (more, wide, _) = rows.search(start, 1, &mut mark, &mut queue);
            (levels, width) = (levels.max(more), width.max(wide));
        }
    }
    // A graph of two dimensions has separators of about the root of n, however ragged its levels are.
    let planar = n as f64 <= 1.5 * (levels as f64).powi(2);
    let width = if planar { (width as f64).min((n as f64).sqrt()) } else { width as f64 };
    Ok(Survey {
        columns: 1.0,
        n: n as f64,
        entries,
        size: size_of::<T>() as f64,
        width,
        levels: levels as f64,
        hermitian: is_hermitian(a)?,
    })
}

struct Pattern {
    ptr: Vec<usize>,
    col: Vec<u32>,
}

impl Pattern {
    fn of<T: Scalar>(a: &Operator<T>) -> Result<Self> {
        let n = a.nrows();
        let mut ptr = memory::filled(n + 1, 0usize, "a survey of the matrix")?;
        a.with_body(|body| body.entries(&mut |i, _, _| ptr[i + 1] += 1))?;
        for i in 0..n {
            ptr[i + 1] += ptr[i];
        }
        let mut next = memory::copied(&ptr, "a survey of the matrix")?;
        let mut col = memory::filled(ptr[n], 0u32, "a survey of the matrix")?;
        a.with_body(|body| {
            body.entries(&mut |i, j, _| {
                col[next[i]] = j as u32;
                next[i] += 1;
            })
        })?;
        Ok(Pattern { ptr, col })
    }

    /// Visits what hangs together with `start` and does not bear `mark`: the number of levels, the
    /// largest, and the last vertex.
    fn search(&self, start: usize, mark: u32, marks: &mut [u32], queue: &mut Vec<u32>) -> (usize, usize, usize) {
        if marks.is_empty() {
            return (0, 0, 0);
        }
        queue.clear();
        queue.push(start as u32);
        marks[start] = mark;
        let (mut levels, mut width, mut from) = (0, 0, 0);
        while from < queue.len() {
            let to = queue.len();
            levels += 1;
            width = width.max(to - from);
            for at in from..to {
                let i = queue[at] as usize;
                for j in &self.col[self.ptr[i]..self.ptr[i + 1]] {
                    if marks[*j as usize] != mark {
                        marks[*j as usize] = mark;
                        queue.push(*j);
                    }
                }
            }
            from = to;
        }
        (levels, width, queue[queue.len() - 1] as usize)
    }
}

/// Whether x^H A y = conj(y^H A x) for random x, y: surely no if not, almost surely yes if so.
fn is_hermitian<T: Scalar>(a: &Operator<T>) -> Result<bool> {
    if a.is_hermitian() {
        return Ok(true);
    }
    let n = a.nrows();
    let vector = || memory::filled(n, T::ZERO, "a probe of the matrix");
    let (mut x, mut y, mut ax, mut ay) = (vector()?, vector()?, vector()?, vector()?);
    let mut stream = Stream::new(a.context().seed(), streams::SYMMETRY);
    let mut numbers = [0.0; 256];
    for (c, part) in x.chunks_mut(128).zip(y.chunks_mut(128)).enumerate() {
        stream.symmetric(256 * c as u64, &mut numbers);
        for (i, (x, y)) in part.0.iter_mut().zip(part.1).enumerate() {
            (*x, *y) = (T::from_f64(numbers[2 * i]), T::from_f64(numbers[2 * i + 1]));
        }
    }
    let pool = &a.context().pool;
    a.apply_vector(pool, &x, &mut ax)?;
    a.apply_vector(pool, &y, &mut ay)?;
    let zero = <T::Wide as Scalar>::ZERO;
    let (mut left, mut right, mut size) = (zero, zero, 0.0);
    for i in 0..n {
        left += x[i].wide().conj() * ay[i].wide();
        right += ax[i].wide().conj() * y[i].wide();
        size += (ay[i].wide() * x[i].wide()).norm_sqr() + (ax[i].wide() * y[i].wide()).norm_sqr();
    }
    if !size.is_finite() {
        return Err(Error::NonFinite("products with A are not finite".to_string()));
    }
    Ok((left - right).norm_sqr() <= 1e-4 * T::EPSILON * size)
}
