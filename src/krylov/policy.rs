//! The choices behind "auto": which method, which preconditioner, and how long to keep it.
//!
//! Everything is decided from counts (entries, flops, iterations), so that a run repeats exactly. Costs
//! are seconds of a nominal machine; only their ratios matter.
//!
//! * Complete or incomplete factors: the width of the breadth-first levels of the graph bounds the
//!   separators, and separators of s vertices mean some 10 s^3 flops and 25 s^2 entries of a factor
//!   in two and three dimensions alike (George, SIAM J. Numer. Anal. 10, 1973). The number of levels
//!   is the diameter, which bounds from below what an incomplete factorisation needs in iterations.
//!   What was then observed replaces the estimates.
//! * A factor of an earlier system is kept until the next solve with it is expected to cost more
//!   than the average system since it was made, its making included: the stationary point of that
//!   average. A solve that has cost as much as a new factor is broken off, and continued with one.

use crate::operator::Operator;
use crate::runtime::random::{streams, Stream};
use crate::runtime::{archive, memory, Archive, Error, Result, Scalar, Wide};

/// Bytes a second from memory, multiply-adds a second in a factorisation, and seconds an entry of a
/// factor beside them.
const BYTES: f64 = 20e9;
const FLOPS: f64 = 30e9;
const PER_ENTRY: f64 = 15e-9;

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

/// Combinations to try, each for those that the one before is not fit for.
const COMPLETE_HERMITIAN: Rungs = &[("cg", "llt precision=single"), ("cg", "llt"), ("gcrodr", "lu precision=single"), ("gcrodr", "lu"), ("gcrodr", "ilu0"), ("gcrodr", "")];
const COMPLETE_GENERAL: Rungs = &[("gcrodr", "lu precision=single"), ("gcrodr", "lu"), ("gcrodr", "ilu0"), ("gcrodr", "")];
const INCOMPLETE_HERMITIAN: Rungs = &[("cg", "ic0"), ("gcrodr", "ilu0"), ("gcrodr", "jacobi"), ("gcrodr", "")];
const INCOMPLETE_GENERAL: Rungs = &[("gcrodr", "ilu0"), ("gcrodr", "jacobi"), ("gcrodr", "")];

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
}

impl Survey {
    fn apply(&self) -> f64 {
        (self.entries * (self.size + 4.0) + 20.0 * self.n) / BYTES
    }

    fn vectors(&self) -> f64 {
        12.0 * self.size * self.n / BYTES
    }

    /// Making a complete factor, and applying it.
    fn complete(&self) -> (f64, f64) {
        let (entries, flops) = (25.0 * self.width.powi(2), 10.0 * self.width.powi(3));
        let sides = if self.hermitian { 1.0 } else { 2.0 };
        (sides * factor_cost(entries, flops), 2.0 * entries * self.size / 2.0 / BYTES)
    }

    /// A system of a slowly changing sequence with complete factors: a quarter of a factor, five
    /// iterations.
    fn system_complete(&self) -> f64 {
        let (make, apply) = self.complete();
        0.25 * make + 5.0 * (apply + self.apply() + self.vectors())
    }

    fn iteration_incomplete(&self) -> f64 {
        2.0 * self.apply() + self.vectors()
    }

    fn system_incomplete(&self) -> f64 {
        0.5 * self.levels * self.iteration_incomplete()
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

#[derive(Default)]
pub struct Policy {
    survey: Option<Survey>,
    complete: bool,
    rung: usize,
    age: Age,
    /// What the present preconditioner cost to make.
    making: f64,
    /// Cost of an iteration with it.
    iteration: f64,
    /// Observed average cost of a system with complete and with incomplete factors.
    observed: [Option<f64>; 2],
    /// Systems for which a new factor is made without trying the old one, and the length of the
    /// next such stretch.
    fresh: usize,
    stretch: usize,
    /// (A, version) that the preconditioner was made from, and that was solved last.
    made_of: Option<[u64; 2]>,
}

impl Policy {
    pub fn forget(&mut self) {
        *self = Policy::default();
    }

    /// Writes or reads all that decisions depend on.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<()> {
        archive.optional(&mut self.survey, || Ok(Survey::default()), |archive, survey| {
            let Survey { n, entries, size, width, levels, hermitian } = survey;
            [n, entries, size, width, levels].into_iter().try_for_each(|v| archive.number(v))?;
            archive.flag(hermitian)
        })?;
        archive.flag(&mut self.complete)?;
        archive.count(&mut self.rung)?;
        let Age { systems, cost, last, before } = &mut self.age;
        let numbers = [systems, cost, last, before, &mut self.making, &mut self.iteration];
        numbers.into_iter().try_for_each(|v| archive.number(v))?;
        for observed in &mut self.observed {
            archive.optional(observed, || Ok(0.0), |archive, v| archive.number(v))?;
        }
        archive.count(&mut self.fresh)?;
        archive.count(&mut self.stretch)?;
        let rungs = self.survey.as_ref().map_or(usize::MAX, |survey| self.rungs(survey).len());
        if self.rung >= rungs {
            return Err(archive::damaged());
        }
        archive.optional(&mut self.made_of, || Ok([0; 2]), |archive, of| archive.operator(of))
    }

    fn rungs(&self, survey: &Survey) -> Rungs {
        match (self.complete, survey.hermitian) {
            (true, true) => COMPLETE_HERMITIAN,
            (true, false) => COMPLETE_GENERAL,
            (false, true) => INCOMPLETE_HERMITIAN,
            (false, false) => INCOMPLETE_GENERAL,
        }
    }

    /// For an operator without entries, a preconditioner of the user's, or several ranks: the short
    /// recurrence where it may be used, else recycling.
    pub fn plan_for_operators<T: Scalar>(&self, a: &Operator<T>, m: Option<&Operator<T>>) -> Plan {
        let hermitian = a.is_hermitian() && m.is_none_or(|m| m.is_hermitian());
        let method = if hermitian && self.rung == 0 { "cg" } else { "gcrodr" };
        Plan { method, preconditioner: None, renew: true, budget: usize::MAX }
    }

    /// For a matrix with entries.
    pub fn plan_for_matrix<T: Scalar>(&mut self, a: &Operator<T>) -> Result<Plan> {
        let now = [a.id(), a.version()];
        let entries = a.count("entries").unwrap_or(0) as f64;
        let is_new = self.made_of != Some(now);
        match self.survey {
            Some(survey) if survey.n == a.nrows() as f64 && survey.entries == entries => {}
            _ => {
                self.forget();
                let survey = survey(a, entries)?;
                self.complete = 25.0 * survey.width.powi(2) < ROOM && survey.system_complete() < survey.system_incomplete();
                self.survey = Some(survey);
            }
        }
        let renew = is_new && (self.made_of.is_none() || !self.complete || self.fresh > 0 || self.is_old());
        if renew && self.made_of.is_some() {
            // The matrix may have lost its symmetry in the meantime.
            let hermitian = is_hermitian(a)?;
            if let Some(survey) = self.survey.as_mut().filter(|survey| survey.hermitian != hermitian) {
                survey.hermitian = hermitian;
                self.rung = 0;
            }
        }
        let survey = self.survey.as_ref().expect("just made");
        let (method, preconditioner) = self.rungs(survey)[self.rung];
        let budget = match (self.complete, self.observed[1 - self.complete as usize]) {
            // An old factor may cost as much as a new one before it is given up.
            (true, _) if is_new && !renew => iterations(self.making + 4.0 * self.iteration, self.iteration),
            // The first system with incomplete factors: as much as complete ones are thought to cost.
            (false, None) if 25.0 * survey.width.powi(2) < ROOM => {
                let (make, apply) = survey.complete();
                iterations(2.0 * (make + 4.0 * apply), survey.iteration_incomplete()).max(30)
            }
            _ => usize::MAX,
        };
        Ok(Plan { method, preconditioner: Some(preconditioner), renew, budget })
    }

    /// Whether one more system is expected to cost more than the average since the factor was made.
    fn is_old(&self) -> bool {
        let next = self.age.last + (self.age.last - self.age.before).max(0.0);
        self.age.systems > 0.0 && next > (self.making + self.age.cost) / self.age.systems
    }

    /// Takes note of a preconditioner just made (or not, where the plan did not ask for it).
    pub fn made<T: Scalar>(&mut self, a: &Operator<T>, m: Option<&Operator<T>>) {
        let Some(survey) = &self.survey else { return };
        let entries = m.and_then(|m| m.count("entries")).unwrap_or(0) as f64;
        let is_single = self.rungs(survey)[self.rung].1.ends_with("single");
        let size = if is_single { survey.size / 2.0 } else { survey.size };
        let (making, applying) = match m.and_then(|m| m.count("flops")) {
            Some(flops) => {
                let passes = if self.rungs(survey)[self.rung].1.starts_with("llt") { 2.0 } else { 1.0 };
                (factor_cost(entries, flops as f64) * size / 8.0, passes * entries * size / BYTES)
            }
            None => (4.0 * entries * (size + 4.0) / BYTES, entries * (size + 4.0) / BYTES),
        };
        (self.making, self.iteration) = (making, applying + survey.apply() + survey.vectors());
        self.age = Age::default();
        self.fresh = self.fresh.saturating_sub(1);
        self.made_of = Some([a.id(), a.version()]);
    }

    /// After an attempt of so many iterations.
    pub fn learn(&mut self, plan: &Plan, iterations: usize, end: End) -> Next {
        let Some(survey) = self.survey.filter(|_| plan.preconditioner.is_some()) else {
            return match end {
                End::Unfit if plan.method == "cg" => {
                    self.rung = 1;
                    Next::Again
                }
                _ => Next::Done,
            };
        };
        let cost = iterations as f64 * self.iteration;
        match end {
            End::Unfit if self.rung + 1 < self.rungs(&survey).len() => {
                self.rung += 1;
                self.made_of = None;
                Next::Again
            }
            End::Spent if self.complete => {
                self.stretch = (2 * self.stretch).clamp(1, 16);
                self.fresh = self.stretch;
                Next::Again
            }
            End::Spent => {
                self.observed[0] = Some(2.0 * cost);
                self.complete = true;
                self.rung = 0;
                self.made_of = None;
                Next::Again
            }
            End::Good => {
                if !plan.renew {
                    self.stretch /= 2;
                }
                self.age = Age { systems: self.age.systems + 1.0, cost: self.age.cost + cost, last: cost, before: self.age.last };
                self.observe(&survey, if self.complete { (self.making + self.age.cost) / self.age.systems } else { self.making + cost });
                Next::Done
            }
            _ => Next::Done,
        }
    }

    /// Keeps the average cost of a system, and changes to the other kind of factors where that is
    /// known, or thought, to be much cheaper.
    fn observe(&mut self, survey: &Survey, cost: f64) {
        let kept = &mut self.observed[self.complete as usize];
        *kept = Some(kept.map_or(cost, |old| 0.7 * old + 0.3 * cost));
        let mine = kept.unwrap_or(cost);
        let other = self.observed[1 - self.complete as usize]
            .unwrap_or(if self.complete { survey.system_incomplete() } else { survey.system_complete() });
        let has_room = self.complete || 25.0 * survey.width.powi(2) < ROOM;
        // A first try needs a better reason than a return to what is known; a young factor no reason yet.
        if has_room && mine > 1.5 * other && (!self.complete || self.age.systems >= 4.0) {
            self.complete = !self.complete;
            self.rung = 0;
            self.made_of = None;
        }
    }
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
    Ok(Survey {
        n: n as f64,
        entries,
        size: size_of::<T>() as f64,
        width: width as f64,
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
