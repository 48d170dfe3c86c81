//! One right-hand side of a solve: its arrays, and what its method remembers. A solve of several
//! right-hand sides has as many columns, which go in lockstep.

use super::guess::Solutions;
use super::options::{Guess, Settings, RECYCLING};
use super::policy::Plan;
use super::problem::{Converged, Nullspaces, Problem};
use super::{learned, resize, scale_in, scale_out, solver_space, stores_single, AnyMethod, Counts, Method, Outcome, Report, Setup, Shape, HISTORY};
use crate::linalg::lockstep::Member;
use crate::linalg::space::{Inner, Scratch};
use crate::linalg::{kernels, Panel};
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
    pub converged: &'a RefCell<Option<Box<dyn Converged>>>,
}

/// A space for the next recycling method to start with, and the length of its vectors.
pub(super) type Taught<T> = Option<(usize, Columns<T>)>;

impl<T: Scalar> Column<T> {
    /// Numbers of one reduction at most.
    pub fn values(setup: &Setup, method: &str) -> usize {
        sizes(setup, method).1
    }

    /// Makes the arrays of a method, so that the next attempt of this shape allocates nothing. What an old method
    /// learned goes to the new one.
    pub fn prepare(
        &mut self,
        setup: &Setup,
        method: &'static str,
        a: &Operator<T>,
        m: Option<&Operator<T>>,
        user_inner: bool,
    ) -> Result<()> {
        let (n, o) = (a.nrows(), &setup.options);
        let single = stores_single(setup, method, a, m);
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
        let (columns, values) = sizes(setup, method);
        let window = window(setup);
        if window == 0 {
            self.solutions = None;
        } else if !self.solutions.as_ref().is_some_and(|kept| kept.fits(n, window)) {
            self.solutions = Some(Solutions::new(n, window)?);
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
            Guess::Zero | Guess::Project => true,
        };
        if is_zero {
            x.fill(T::ZERO);
        }
        scale_in(&setup.scaling, b, &mut self.scaled_b, x);
        Ok(is_zero)
    }

    /// Runs the method on the system, from the point in x. Counts go on from those of the track.
    pub async fn attempt(
        &mut self,
        all: Attempt<'_, T>,
        track: (&RefCell<Report>, &RefCell<Vec<f64>>),
        member: Option<Member<'_, T>>,
        monitor: Option<&mut (dyn Monitor + 'static)>,
        b: &[T],
        x: &mut [T],
        mut x_is_zero: bool,
    ) -> Result<Outcome> {
        let (report, history) = track;
        let (counts, target) = (report.borrow().counts, report.borrow().target);
        let mut settings = all.settings;
        settings.max_iterations = settings.max_iterations.min(counts.iterations.saturating_add(all.plan.budget));
        let (_, method) = self.method.as_mut().expect("prepared before");
        let mut space = solver_space(all.setup, all.inner, &mut self.scratch);
        space.member = member;
        let mut problem = Problem {
            a: all.a,
            m: all.m,
            space,
            b: if all.setup.scaling.left.is_some() { &self.scaled_b } else { b },
            settings,
            scaling: &all.setup.scaling,
            nullspaces: all.nullspaces,
            work: self.work.each_mut().map(|w| &mut w[..]),
            monitor,
            converged: all.converged,
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
        if let Some(solutions) = self.solutions.as_mut().filter(|_| x_is_zero) {
            x_is_zero = solutions.guess(&mut problem, x).await?;
        }
        let outcome = method.solve(&mut problem, x, x_is_zero).await;
        problem.publish();
        // After an error x may have overflowed where nobody looked: the best point, if there is one, is sound.
        if outcome.is_err() && problem.best_norm < f64::INFINITY && kernels::first_nonfinite(x).is_some() {
            x.copy_from_slice(problem.work[2]);
        }
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
    if setup.options.text("initial_guess") == "project" { setup.options.count("window") } else { 0 }
}

/// Vectors whose inner products are taken at once, and numbers of one reduction, at most.
fn sizes(setup: &Setup, method: &str) -> (usize, usize) {
    let o = &setup.options;
    let (columns, values) = match method {
        "gcrodr" => (o.count("restart") + 1, (o.count("restart") + 1).pow(2).max(2 * o.count("restart") + 5)),
        "gmres" => (o.count("restart") + 1, 2 * o.count("restart") + 5),
        "rcg" | "rminres" => (o.count("recycle"), 2 * o.count("recycle").pow(2) + 4),
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
