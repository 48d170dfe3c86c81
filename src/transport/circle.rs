//! Exact transport on a circle: the best cut, then a line.
//!
//! Source: Delon, Salomon, Sobolevski, "Fast transport optimization for Monge costs on the circle", SIAM J. Appl. Math. 70
//! (2010; arXiv 0902.3527). Both measures are unrolled on the line. Mass at level t of x goes to level t - shift of y, and the
//! cost is a convex function of the shift, affine between shifts at which two points end at one level. So the least one is at
//! such a shift, and there the circle can be cut without splitting a point. The paper halves an interval of shifts; here a
//! pivot is drawn among the n m shifts themselves, which ends at the exact one after some log(n m) slopes. For p = 1 this
//! is the median of the difference of the distribution functions (Cabrelli and Molter 1995).

use super::line::{Masses, Matched, Power, Sorted};
use crate::runtime::random::{streams, Stream};
use crate::runtime::{Error, Result};

/// Candidates of which the pivot is the median.
const SAMPLE: usize = 9;

/// Walks along a side that repeats itself.
struct Hand<'a> {
    side: &'a Sorted,
    whole: i64,
    period: f64,
    k: usize,
    turns: i64,
}

impl<'a> Hand<'a> {
    fn at(side: &'a Sorted, whole: i64, period: f64, turns: i64) -> Self {
        Hand { side, whole, period, k: 0, turns }
    }

    fn level(&self) -> i64 {
        self.side.levels[self.k] + self.turns * self.whole
    }

    fn place(&self) -> f64 {
        self.side.points[self.k].0 + self.turns as f64 * self.period
    }

    fn index(&self) -> i64 {
        self.k as i64 + self.turns * self.side.points.len() as i64
    }

    fn step(&mut self) {
        self.k += 1;
        if self.k == self.side.points.len() {
            (self.k, self.turns) = (0, self.turns + 1);
        }
    }

    /// Steps on to the first point whose level is `there`.
    fn step_to(&mut self, there: impl Fn(i64) -> bool) -> &Self {
        while !there(self.level()) {
            self.step();
        }
        self
    }
}

/// A shift at which row i and column j (of any turn) end at one level.
#[derive(Clone, Copy)]
struct Seam {
    shift: i64,
    i: usize,
    j: i64,
}

impl<'a> Matched<'a> {
    /// On a circle of length `period`; places may be given in any turn.
    pub fn circle(period: f64, x: &[f64], y: &[f64], masses: Masses<'a>, power: Power) -> Result<Self> {
        if !(period > 0.0 && period.is_finite()) {
            return Err(Error::argument("period", period, "be positive and finite"));
        }
        let mut matched = Matched::with_capacity(x.len(), y.len(), masses, power)?;
        matched.fill(x.iter().map(|v| v.rem_euclid(period)), y.iter().map(|v| v.rem_euclid(period)));
        matched.period = Some(period);
        let (seam, [left, right]) = matched.best_shift(period);
        // Potentials that come back to themselves after a turn: between slopes of both signs lies one of zero.
        matched.rows_first = if right > left { (-left / (right - left)).clamp(0.0, 1.0) } else { 0.5 };
        let whole = masses.whole;
        open(&mut matched.rows, seam.i as i64, whole, period);
        open(&mut matched.columns, seam.j, whole, period);
        Ok(matched)
    }

    /// The least cost's shift, and the slopes at its left and right.
    fn best_shift(&self, period: f64) -> (Seam, [f64; 2]) {
        let whole = self.masses.whole;
        // Beyond a whole turn every point is farther away for sure.
        let (mut above, mut below) = (-whole - 1, whole + 1);
        let mut random = Stream::new(0, streams::CIRCLE);
        let (mut pivot, mut slopes) = (Seam { shift: 0, i: 0, j: 0 }, [0.0; 2]);
        for round in 0.. {
            let mut count = 0;
            self.for_seams(period, above, below, |_, _, row| count += row);
            if count == 0 {
                // The sign of a slope was lost in rounding: the shifts left of and right of the least differ by no more.
                break;
            }
            let mut ranks = [0; SAMPLE];
            random.words(round * SAMPLE as u64, SAMPLE, |k, word| ranks[k] = word % count);
            ranks.sort_unstable();
            let mut sample = [Seam { shift: 0, i: 0, j: 0 }; SAMPLE];
            let (mut taken, mut before) = (0, 0);
            self.for_seams(period, above, below, |i, first, row| {
                while taken < SAMPLE && ranks[taken] < before + row {
                    let j = first + (ranks[taken] - before) as i64;
                    sample[taken] = Seam { shift: self.rows.levels[i] - self.column_level(j), i, j };
                    taken += 1;
                }
                before += row;
            });
            sample.sort_unstable_by_key(|seam| seam.shift);
            pivot = sample[SAMPLE / 2];
            slopes = self.slopes(period, pivot.shift);
            match slopes {
                [_, right] if right < 0.0 => above = pivot.shift,
                [left, _] if left > 0.0 => below = pivot.shift,
                _ => break,
            }
        }
        (pivot, slopes)
    }

    fn column_level(&self, j: i64) -> i64 {
        let m = self.columns.points.len() as i64;
        self.columns.levels[j.rem_euclid(m) as usize] + j.div_euclid(m) * self.masses.whole
    }

    /// `row(i, j, count)`: the shifts of row i between two are those with columns j..j + count.
    fn for_seams(&self, period: f64, above: i64, below: i64, mut row: impl FnMut(usize, i64, u64)) {
        let whole = self.masses.whole;
        let (mut first, mut end) = (Hand::at(&self.columns, whole, period, -3), Hand::at(&self.columns, whole, period, -3));
        for (i, level) in self.rows.levels.iter().enumerate() {
            let first = first.step_to(|column| column > level - below).index();
            let end = end.step_to(|column| column >= level - above).index();
            row(i, first, (end - first).max(0) as u64);
        }
    }

    /// The derivatives of the cost with respect to the shift, from the left and from the right, times a level's mass: what the
    /// potentials of rows gain in a turn where at one level columns, or rows, end first.
    fn slopes(&self, period: f64, shift: i64) -> [f64; 2] {
        let whole = self.masses.whole;
        let (mut near, mut far) = (Hand::at(&self.columns, whole, period, -3), Hand::at(&self.columns, whole, period, -3));
        let mut row = Hand::at(&self.rows, whole, period, 0);
        let mut slopes = [0.0; 2];
        for _ in 0..self.rows.points.len() {
            let (level, place) = (row.level() - shift, row.place());
            row.step();
            let gain = |column: f64| self.power.of(row.place() - column) - self.power.of(place - column);
            slopes[0] += gain(far.step_to(|column| column > level).place());
            slopes[1] += gain(near.step_to(|column| column >= level).place());
        }
        slopes
    }
}

/// Cuts a side behind point k of any turn and behind all that end at its level.
fn open(side: &mut Sorted, k: i64, whole: i64, period: f64) {
    let n = side.points.len();
    let (mut at, mut turns) = (k.rem_euclid(n as i64) as usize, k.div_euclid(n as i64));
    let seam = side.levels[at] + turns * whole;
    while side.levels[at] + turns * whole == seam {
        at += 1;
        if at == n {
            (at, turns) = (0, turns + 1);
        }
    }
    for (k, (point, level)) in side.points.iter_mut().zip(&mut side.levels).enumerate() {
        let turns = turns + (k < at) as i64;
        point.0 += turns as f64 * period;
        *level += turns * whole - seam;
    }
    side.points.rotate_left(at);
    side.levels.rotate_left(at);
}
