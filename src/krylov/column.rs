//! One right-hand side of a solve: its arrays, and what its method remembers. A solve of several
//! right-hand sides has as many columns, which go in lockstep.

use super::block_cg::BlockCg;
use super::block_gcrodr::BlockGcrodr;
use super::guess::Solutions;
use super::options::{Guess, Settings, RECYCLING};
use super::policy::Plan;
use super::problem::{Nullspaces, Problem};
use super::{learned, resize, scale_in, scale_out, solver_space, stores_single, AnyMethod, Counts, Method, Outcome, Report, Setup, Shape, HISTORY};
use crate::linalg::lockstep::Member;
use crate::linalg::space::{Inner, Scratch};
use crate::linalg::Panel;
use crate::operator::{Columns, Operator};
use crate::runtime::monitor::Monitor;
use crate::runtime::{memory, Error, Result, Scalar};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

pub(super) struct Column<T: Scalar> {
    pub method: Option<(Shape, AnyMethod<T>)>,
    pub scratch: Scratch<T>,
    pub work: [Vec<T>; 3],
    pub scaled_b: Vec<T>,
    pub previous: Option<Vec<T>>,
    pub solutions: Option<Solutions<T>>,
    pub taught: Taught<T>,
}

impl<T: Scalar> Default for Column<T> {
    fn default() -> Self {
        Column {
            method: None,
            scratch: Scratch::default(),
            work: [Vec::new(), Vec::new(), Vec::new()],
            scaled_b: Vec::new(),
            previous: None,
            solutions: None,
            taught: None,
        }
    }
}

/// What a column tells while its solve runs.
pub(super) struct Track {
    pub report: RefCell<Report>,
    pub history: RefCell<Vec<f64>>,
    pub x_is_zero: bool,
    pub outcome: Result<Outcome>,
}

impl Default for Track {
    fn default() -> Self {
        Track { report: RefCell::default(), history: RefCell::default(), x_is_zero: false, outcome: Ok(Outcome::Converged) }
    }
}

/// Whom a column tells how it goes.
pub(super) struct Told<'a> {
    pub report: &'a RefCell<Report>,
    pub history: &'a RefCell<Vec<f64>>,
    pub monitor: Option<&'a mut (dyn Monitor + 'static)>,
}

/// What the columns of an attempt have in common.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a, T: Scalar> {
    pub setup: &'a Setup,
    pub a: &'a Operator<T>,
    pub m: Option<&'a Operator<T>>,
    pub inner: &'a Option<Arc<dyn Inner<T>>>,
    pub nullspaces: &'a Nullspaces<T>,
    pub settings: Settings,
    pub plan: &'a Plan,
    pub started: Instant,
}

/// A space for the next recycling method to start with, and the length of its vectors.
pub(super) type Taught<T> = Option<(usize, Columns<T>)>;

impl<T: Scalar> Column<T> {
    /// Numbers of one reduction at most.
    pub fn values(setup: &Setup, method: &str) -> usize {
        sizes(setup, method, 1).1
    }

    /// Makes the arrays that a column needs beside those of a block method, which are the first column's.
    pub fn prepare_mate(&mut self, setup: &Setup, method: &str, n: usize, user_inner: bool) -> Result<()> {
        self.method = None;
        self.taught = None;
        let (columns, values) = sizes(setup, method, 1);
        self.prepare_vectors(setup, n, columns, values, user_inner)
    }

    /// Makes the arrays of a method, so that the next attempt of this shape allocates nothing. What an old method
    /// learned goes to the new one.
    pub fn prepare(
        &mut self,
        setup: &Setup,
        method: &'static str,
        a: &Operator<T>,
        m: Option<&Operator<T>>,
        width: usize,
        user_inner: bool,
    ) -> Result<()> {
        let (n, o) = (a.nrows(), &setup.options);
        let single = width == 1 && stores_single(setup, method, a, m);
        if width > 1 && o.text("basis") == "single" {
            return Err(Error::Unsupported("block methods store full precision: basis=single needs blocking=pseudo".to_string()));
        }
        if !self.method.as_ref().is_some_and(|(shape, _)| shape.fits(method, n, width, single, o)) {
            let old = self.method.take().filter(|(shape, _)| shape.n == n);
            if self.taught.is_none() {
                self.taught = learned::kept(old.as_ref().and_then(|(_, method)| method.space()))?;
            }
            drop(old);
            let shape = Shape::new(method, n, width, single, o);
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
        let (columns, values) = sizes(setup, method, width);
        self.prepare_vectors(setup, n, columns, values, user_inner)
    }

    fn prepare_vectors(&mut self, setup: &Setup, n: usize, columns: usize, values: usize, user_inner: bool) -> Result<()> {
        let (window, by_modes) = (window(setup), setup.options.text("initial_guess") == "pod");
        if window == 0 {
            self.solutions = None;
        } else if !self.solutions.as_ref().is_some_and(|kept| kept.fits(n, window, by_modes)) {
            self.solutions = Some(Solutions::new(n, window, by_modes)?);
        }
        self.scratch.reserve(n, columns, values, user_inner)?;
        for w in &mut self.work {
            resize(w, n)?;
        }
        resize(&mut self.scaled_b, if setup.scaling.left.is_some() { n } else { 0 })
    }

    /// Puts the initial guess into x, and b and x into the scaled space; true if x is zero.
    pub fn begin(&mut self, setup: &Setup, guess: Guess, b: &[T], x: &mut [T]) -> Result<bool> {
        resize(&mut self.scaled_b, if setup.scaling.left.is_some() { b.len() } else { 0 })?;
        let is_zero = match guess {
            Guess::X => false,
            Guess::Previous => match self.previous.as_ref().filter(|previous| previous.len() == x.len()) {
                Some(previous) => {
                    x.copy_from_slice(previous);
                    false
                }
                None => true,
            },
            Guess::Zero | Guess::Project | Guess::Pod => true,
        };
        if is_zero {
            x.fill(T::ZERO);
        }
        scale_in(&setup.scaling, b, &mut self.scaled_b, x);
        Ok(is_zero)
    }

    /// The system as the method is to see it, the method, and the solutions it may guess from. Counts go on from
    /// those told.
    pub fn enter<'a>(&'a mut self, all: Attempt<'a, T>, told: Told<'a>, b: &'a [T]) -> (Problem<'a, T>, Option<&'a mut AnyMethod<T>>, Option<&'a mut Solutions<T>>) {
        let Told { report, history, monitor } = told;
        let (counts, target) = (report.borrow().counts, report.borrow().target);
        let mut settings = all.settings;
        settings.max_iterations = settings.max_iterations.min(counts.iterations.saturating_add(all.plan.budget));
        let problem = Problem {
            a: all.a,
            m: all.m,
            space: solver_space(all.setup, all.inner, &mut self.scratch),
            b: if all.setup.scaling.left.is_some() { &self.scaled_b } else { b },
            settings,
            scaling: &all.setup.scaling,
            nullspaces: all.nullspaces,
            work: self.work.each_mut().map(|w| &mut w[..]),
            monitor,
            converged: &all.setup.converged,
            history,
            report,
            counts,
            started: all.started,
            rhs_norm: 0.0,
            rhs_true_norm: 0.0,
            begun: counts.iterations,
            worth: all.plan.budget,
            first_norm: f64::INFINITY,
            target,
            true_norm: f64::NAN,
            tested_norm: f64::NAN,
            is_verified: false,
            recurrence_norm: f64::NAN,
            best_norm: f64::INFINITY,
        };
        (problem, self.method.as_mut().map(|(_, method)| method), self.solutions.as_mut())
    }

    /// Runs the method on the system, from the point in x.
    pub async fn attempt(
        &mut self,
        all: Attempt<'_, T>,
        told: Told<'_>,
        member: Option<Member<'_, T>>,
        b: &[T],
        x: &mut [T],
        mut x_is_zero: bool,
    ) -> Result<Outcome> {
        let (mut problem, method, solutions) = self.enter(all, told, b);
        problem.space.member = member;
        if let Some(solutions) = solutions.filter(|_| x_is_zero) {
            x_is_zero = solutions.guess(&mut problem, x).await?;
        }
        let outcome = method.expect("prepared before").solve(&mut problem, x, x_is_zero).await;
        problem.leave(&outcome, x);
        outcome
    }

    /// Takes x, which the last attempt left, back to the user's space.
    pub fn end(&mut self, setup: &Setup, guess: Guess, outcome: &Result<Outcome>, x: &mut [T]) -> Result<()> {
        if let (Some(solutions), Ok(Outcome::Converged)) = (&mut self.solutions, outcome) {
            solutions.learn(x);
        }
        scale_out(&setup.scaling, x);
        if guess == Guess::Previous && outcome.is_ok() {
            let previous = self.previous.get_or_insert_default();
            resize(previous, x.len())?;
            previous.copy_from_slice(x);
        }
        Ok(())
    }

    pub fn recycled(&self) -> usize {
        match &self.taught {
            Some((_, columns)) => columns.count,
            None => self.method.as_ref().map_or(0, |(_, method)| method.recycled()),
        }
    }

    /// The learned space, in solution coordinates.
    pub fn space(&self) -> Panel<'_, T> {
        let held = self.method.as_ref().and_then(|(_, method)| method.space());
        match (&self.taught, held) {
            (Some((n, columns)), _) => Panel::packed(&columns.data, *n, columns.count),
            (None, Some(space)) => space,
            (None, None) => Panel::packed(&[], 0, 0),
        }
    }

    /// A column that starts with the space of this one.
    pub fn sister(&self) -> Result<Self> {
        Ok(Column { taught: learned::kept(Some(self.space()))?, ..Column::default() })
    }

    /// Throws away what earlier solves taught; arrays stay.
    pub fn forget(&mut self) {
        if let Some((_, method)) = &mut self.method {
            method.forget();
        }
        self.previous = None;
        self.solutions = None;
        self.taught = None;
    }
}

impl Track {
    pub fn told(&self) -> Told<'_> {
        Told { report: &self.report, history: &self.history, monitor: None }
    }

    /// Room for the history of a solve.
    pub fn reserve(history: &RefCell<Vec<f64>>, setup: &Setup) -> Result<()> {
        let room = HISTORY.min(setup.options.count("max_iterations") + 1);
        let mut kept = history.borrow_mut();
        if kept.capacity() < room {
            kept.clear();
            memory::reserve(&mut kept, room, "residual history")?;
        }
        Ok(())
    }
}

fn window(setup: &Setup) -> usize {
    if ["project", "pod"].contains(&setup.options.text("initial_guess")) { setup.options.count("window") } else { 0 }
}

/// Vectors whose inner products are taken at once, and numbers of one reduction, at most.
fn sizes(setup: &Setup, method: &str, width: usize) -> (usize, usize) {
    let o = &setup.options;
    let (columns, values) = match method {
        "cg" if width > 1 => (width, BlockCg::<f64>::values(width)),
        "gcrodr" | "gmres" if width > 1 => BlockGcrodr::<f64>::sizes(o.count("restart"), if method == "gmres" { 0 } else { o.count("recycle") }, width),
        "gcrodr" | "rbicgstab" => (o.count("restart") + 1, (o.count("restart") + 1).pow(2).max(2 * o.count("restart") + 5)),
        "gmres" => (o.count("restart") + 1, 2 * o.count("restart") + 5),
        "rcg" | "eigcg" | "rminres" => (o.count("recycle"), 2 * o.count("recycle").pow(2) + 4),
        "idr" => (o.count("shadow"), 2 * o.count("shadow") + 2),
        _ => (1, 4),
    };
    let window = window(setup);
    (columns.max(window), values.max(window * (window + 1)))
}

impl Counts {
    /// The counts of columns that went in lockstep: iterations are those of the longest.
    pub fn join(&mut self, column: &Counts) {
        self.iterations = self.iterations.max(column.iterations);
        self.applies += column.applies;
        self.recycle_applies += column.recycle_applies;
        self.verify_applies += column.verify_applies;
        self.preconditioner_applies += column.preconditioner_applies;
        self.restarts += column.restarts;
        self.reorthogonalizations += column.reorthogonalizations;
    }
}
