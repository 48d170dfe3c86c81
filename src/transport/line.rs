//! Exact transport on a line: sum of mass |x - y|^p, p >= 1, by sorting.
//!
//! Source: Santambrogio, "Optimal transport for applied mathematicians" (2015), chapter 2: for a convex function
//! of the distance the monotone plan is optimal. It is a staircase through the sorted points: a cell of it is left for the
//! next row, the next column or both, by which of the two masses is used up. Sorted costs have Monge's property,
//! c(i, j) + c(i+1, j+1) <= c(i+1, j) + c(i, j+1); potentials that are exact along a staircase are therefore feasible everywhere.

use crate::operator::check;
use crate::runtime::{memory, Error, Result};

/// Masses summed up, as integers so that they compare and add exactly: this many make the whole. It is so few that the last
/// sum, rounded, is the whole, and that sums that should be equal are.
const WHOLE: i64 = 1 << 48;

/// |d|^p and its derivative.
#[derive(Debug, Clone, Copy)]
pub struct Power(f64);

impl Power {
    pub fn new(p: f64) -> Result<Self> {
        if p >= 1.0 && p.is_finite() { Ok(Power(p)) } else { Err(Error::argument("p", p, "be at least 1 and finite")) }
    }

    pub(super) fn of(self, d: f64) -> f64 {
        match self.0 {
            1.0 => d.abs(),
            2.0 => d * d,
            p => d.abs().powf(p),
        }
    }

    fn slope(self, d: f64) -> f64 {
        match self.0 {
            _ if d == 0.0 => 0.0,
            1.0 => d.signum(),
            2.0 => 2.0 * d,
            p => (p * d.abs().powf(p - 1.0)).copysign(d),
        }
    }
}

/// The masses of one side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mass<'a> {
    given: Option<&'a [f64]>,
    /// One of equal masses.
    each: f64,
    /// What given masses are multiplied by.
    scale: f64,
    /// Their sum as given.
    total: f64,
}

impl Mass<'_> {
    fn of(&self, i: usize) -> f64 {
        self.given.map_or(self.each, |v| v[i] * self.scale)
    }

    fn sum(&self) -> f64 {
        self.total * self.scale
    }
}

/// The masses of both sides, checked and of one sum.
#[derive(Debug, Clone, Copy)]
pub struct Masses<'a> {
    pub(super) rows: Mass<'a>,
    pub(super) columns: Mass<'a>,
    /// The unit of masses is 1 / units: where all are equal they are whole numbers, and their plan is exact.
    units: f64,
    /// The levels of equal masses end here.
    pub(super) whole: i64,
}

impl<'a> Masses<'a> {
    /// None: equal masses, of the other side's sum, or of sum 1.
    pub fn new(n: usize, a: Option<&'a [f64]>, m: usize, b: Option<&'a [f64]>) -> Result<Self> {
        for (size, name) in [(n, "n"), (m, "m")] {
            if size == 0 {
                return Err(Error::size(name, 0, "be positive"));
            }
        }
        let (of_a, of_b) = (a.map(|a| mass("a", a)).transpose()?, b.map(|b| mass("b", b)).transpose()?);
        if let (Some(of_a), Some(of_b)) = (of_a, of_b) {
            if (of_a - of_b).abs() > 1e-8 * of_a.max(of_b) {
                return Err(Error::argument("b", format!("of mass {of_b}"), format!("have the mass of a, {of_a}")));
            }
        }
        let side = |given, total: f64, scale, each| Mass { given, each, scale, total };
        Ok(match of_a.or(of_b) {
            None => Masses {
                rows: side(None, n as f64 * m as f64, 1.0, m as f64),
                columns: side(None, n as f64 * m as f64, 1.0, n as f64),
                units: n as f64 * m as f64,
                whole: i64::try_from(n as u128 * m as u128).map_or(WHOLE, |units| units.min(WHOLE)),
            },
            Some(total) => Masses {
                rows: side(a, total, 1.0, total / n as f64),
                columns: side(b, of_b.unwrap_or(total), total / of_b.unwrap_or(total), total / m as f64),
                units: 1.0,
                whole: WHOLE,
            },
        })
    }
}

/// The sum of masses, which are finite, not negative, and not all zero.
fn mass(name: &'static str, values: &[f64]) -> Result<f64> {
    check::finite(name, values)?;
    if let Some(i) = values.iter().position(|v| *v < 0.0) {
        return Err(Error::argument(name, format!("{} at position {i}", values[i]), "not be negative"));
    }
    let mut sum = Sum::default();
    values.iter().for_each(|v| sum.add(*v));
    let sum = sum.value();
    if sum > 0.0 && sum.is_finite() { Ok(sum) } else { Err(Error::argument(name, format!("of mass {sum}"), "have a positive, finite mass")) }
}

/// A sum with its rounding errors (Neumaier 1974).
#[derive(Default)]
struct Sum {
    sum: f64,
    rest: f64,
}

impl Sum {
    fn add(&mut self, v: f64) {
        let sum = self.sum + v;
        self.rest += if self.sum.abs() >= v.abs() { (self.sum - sum) + v } else { (v - sum) + self.sum };
        self.sum = sum;
    }

    fn value(&self) -> f64 {
        self.sum + self.rest
    }
}

/// One side in order.
#[derive(Default)]
pub(super) struct Sorted {
    /// Places and the caller's indices.
    pub points: Vec<(f64, usize)>,
    /// The mass up to and with each point, as a part of the whole.
    pub levels: Vec<i64>,
}

impl Sorted {
    pub fn with_capacity(n: usize) -> Result<Self> {
        Ok(Sorted { points: memory::with_capacity(n, "sorted points")?, levels: memory::with_capacity(n, "sorted points")? })
    }

    /// Takes new places, no more than there is room for.
    pub fn fill(&mut self, places: impl Iterator<Item = f64>, mass: &Mass, whole: i64) {
        self.points.clear();
        self.points.extend(places.enumerate().map(|(i, place)| (place, i)));
        self.points.sort_unstable_by(|(x, i), (y, j)| x.total_cmp(y).then(i.cmp(j)));
        self.levels.clear();
        let (mut sum, mut below) = (Sum::default(), 0);
        for (_, i) in &self.points {
            sum.add(mass.of(*i));
            below = ((sum.value() / mass.sum() * whole as f64).round() as i64).clamp(below, whole);
            self.levels.push(below);
        }
    }
}

/// Which mass is used up at the end of a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Row,
    Column,
    Both,
}

/// Two sorted measures on a line; what they have in common is a staircase.
pub struct Matched<'a> {
    pub(super) rows: Sorted,
    pub(super) columns: Sorted,
    pub(super) masses: Masses<'a>,
    pub(super) power: Power,
    /// The line is a circle of this length, cut open.
    pub(super) period: Option<f64>,
    /// How much of its way the potentials' staircase takes by rows first where both masses are used up together.
    pub(super) rows_first: f64,
}

impl<'a> Matched<'a> {
    pub fn line(x: &[f64], y: &[f64], masses: Masses<'a>, power: Power) -> Result<Self> {
        let mut matched = Matched::with_capacity(x.len(), y.len(), masses, power)?;
        matched.fill(x.iter().copied(), y.iter().copied());
        Ok(matched)
    }

    pub(super) fn with_capacity(n: usize, m: usize, masses: Masses<'a>, power: Power) -> Result<Self> {
        let (rows, columns) = (Sorted::with_capacity(n)?, Sorted::with_capacity(m)?);
        Ok(Matched { rows, columns, masses, power, period: None, rows_first: 0.5 })
    }

    pub(super) fn fill(&mut self, x: impl Iterator<Item = f64>, y: impl Iterator<Item = f64>) {
        self.rows.fill(x, &self.masses.rows, self.masses.whole);
        self.columns.fill(y, &self.masses.columns, self.masses.whole);
    }

    /// `cell(i, j, mass)` for each cell of the staircase, i and j in order. Which way it goes is told by the levels; the masses
    /// are what is left of the points, so that the smallest arrive whole. Where nothing is left it may be a rounding error below zero.
    fn walk(&self, mut cell: impl FnMut(usize, usize, f64)) {
        let (n, m) = (self.rows.points.len(), self.columns.points.len());
        let mass = |i: usize, j: usize| (self.masses.rows.of(self.rows.points[i].1), self.masses.columns.of(self.columns.points[j].1));
        let (mut i, mut j) = (0, 0);
        let (mut of_row, mut of_column) = mass(0, 0);
        let mut entered = Next::Both;
        loop {
            let next = match (i + 1 == n, j + 1 == m) {
                (true, true) => entered,
                (true, false) => Next::Column,
                (false, true) => Next::Row,
                (false, false) => match self.rows.levels[i].cmp(&self.columns.levels[j]) {
                    std::cmp::Ordering::Less => Next::Row,
                    std::cmp::Ordering::Greater => Next::Column,
                    std::cmp::Ordering::Equal => Next::Both,
                },
            };
            let moved = match next {
                Next::Row => of_row,
                Next::Column => of_column,
                Next::Both => of_row.min(of_column),
            };
            cell(i, j, moved / self.masses.units);
            if i + 1 == n && j + 1 == m {
                return;
            }
            (of_row, of_column) = (of_row - moved, of_column - moved);
            if next != Next::Column {
                i += 1;
                of_row = mass(i, j).0;
            }
            if next != Next::Row {
                j += 1;
                of_column = mass(i, j).1;
            }
            entered = next;
        }
    }

    fn way(&self, i: usize, j: usize) -> f64 {
        self.rows.points[i].0 - self.columns.points[j].0
    }

    /// What the entries of the plan cannot exceed.
    pub fn most_entries(&self) -> usize {
        self.rows.points.len() + self.columns.points.len() - 1
    }

    /// `entry(i, j, mass)` for each entry of the plan, in the order of the line.
    pub fn for_plan(&self, mut entry: impl FnMut(usize, usize, f64)) {
        self.walk(|i, j, mass| {
            if mass > 0.0 {
                entry(self.rows.points[i].1, self.columns.points[j].1, mass);
            }
        });
    }

    pub fn cost(&self) -> Result<f64> {
        let mut sum = Sum::default();
        self.walk(|i, j, mass| {
            if mass > 0.0 {
                sum.add(mass * self.power.of(self.way(i, j)));
            }
        });
        finite("cost", sum.value())
    }

    /// The derivatives of the cost with respect to the places, added to zeros; an empty array is not wanted.
    pub fn gradient(&self, of_rows: &mut [f64], of_columns: &mut [f64]) {
        self.walk(|i, j, mass| {
            let slope = if mass > 0.0 { mass * self.power.slope(self.way(i, j)) } else { 0.0 };
            if let Some(to) = of_rows.get_mut(self.rows.points[i].1) {
                *to += slope;
            }
            if let Some(to) = of_columns.get_mut(self.columns.points[j].1) {
                *to -= slope;
            }
        });
    }

    /// (f, g) with f_i + g_j <= c_ij, equal on the staircase, and <a, f> = <b, g>. Where both masses are used up together there are
    /// two staircases, and potentials between those of the two are taken.
    pub fn potentials(&self) -> Result<(Vec<f64>, Vec<f64>)> {
        let (n, m) = (self.rows.points.len(), self.columns.points.len());
        let (mut f, mut g) = (memory::filled(n, 0.0, "potentials")?, memory::filled(m, 0.0, "potentials")?);
        let cost = |i: usize, j: usize| self.power.of(self.lifted(&self.rows, i) - self.lifted(&self.columns, j));
        let mixed = |by_rows: f64, by_columns: f64| self.rows_first * by_rows + (1.0 - self.rows_first) * by_columns;
        let past = |side: &Sorted| side.points.len() - 1 + self.period.is_some() as usize;
        let (mut near, mut far, mut value) = (0, 0, 0.0);
        for i in 0..n - 1 {
            let level = self.rows.levels[i];
            near = step_to(near, past(&self.columns), |j| self.columns.levels[j] >= level);
            far = step_to(far, past(&self.columns), |j| self.columns.levels[j] > level);
            value += mixed(cost(i + 1, near) - cost(i, near), cost(i + 1, far) - cost(i, far));
            f[self.rows.points[i + 1].1] = value;
        }
        (near, far, value) = (0, 0, cost(0, 0));
        g[self.columns.points[0].1] = value;
        for j in 0..m - 1 {
            let level = self.columns.levels[j];
            near = step_to(near, past(&self.rows), |i| self.rows.levels[i] >= level);
            far = step_to(far, past(&self.rows), |i| self.rows.levels[i] > level);
            value += mixed(cost(far, j + 1) - cost(far, j), cost(near, j + 1) - cost(near, j));
            g[self.columns.points[j + 1].1] = value;
        }
        let mean = |v: &[f64], mass: &Mass| {
            let mut sum = Sum::default();
            v.iter().enumerate().for_each(|(i, v)| sum.add(mass.of(i) / mass.sum() * v));
            sum.value()
        };
        let shift = finite("potentials", 0.5 * (mean(&f, &self.masses.rows) - mean(&g, &self.masses.columns)))?;
        f.iter_mut().for_each(|f| *f -= shift);
        g.iter_mut().for_each(|g| *g += shift);
        Ok((f, g))
    }

    /// The place of a point, or of the first one met again after a turn.
    fn lifted(&self, side: &Sorted, k: usize) -> f64 {
        side.points.get(k).map_or_else(|| side.points[0].0 + self.period.unwrap_or(0.0), |(place, _)| *place)
    }
}

/// The first index from `k` on that is `there`, at most `last`.
fn step_to(mut k: usize, last: usize, there: impl Fn(usize) -> bool) -> usize {
    while k < last && !there(k) {
        k += 1;
    }
    k
}

pub(super) fn finite(what: &str, value: f64) -> Result<f64> {
    if value.is_finite() { Ok(value) } else { Err(Error::NonFinite(format!("the {what} overflows: distances are too far apart for p"))) }
}
