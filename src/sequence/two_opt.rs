//! 2-opt on an open path: as long as two edges (a, s), (c, t) are longer than (a, c), (s, t), the
//! stretch from s to c is turned round.
//!
//! Croes, "A method for solving traveling-salesman problems", Oper. Res. 6 (1958); neighbour lists
//! after Bentley, "Fast algorithms for geometric traveling salesman problems", ORSA J. Comput. 4
//! (1992): a gain needs one new edge that is shorter than one that goes, so only near c are tried.
//!
//! Differs from the papers: the path is open, its beginning stays; what is near a point is looked
//! for among its neighbours along the curve and along the path only; stretches have a limit.

use super::features::Points;
use crate::runtime::{memory, Pool, Result};
use std::ops::Range;

/// Points in a list of neighbours.
const NEAR: usize = 8;

/// Neighbours in either direction, along the curve and along the path, that a list is chosen from.
const WINDOW: usize = 24;

/// Points that all turns of a pass touch, roughly, if each point were to cause one: long stretches
/// are for short paths.
const TURNED: usize = 1_000_000_000;
const SHORTEST: usize = 1000;

/// What new edges must be shorter by; gains by rounding could go on for ever.
const SHORTER: f64 = 1.0 - 1e-12;

const NONE: usize = usize::MAX;

/// Shortens each part of `order` by itself; the same part of `curve` holds the same points.
pub fn improve(
    pool: &Pool,
    points: &Points,
    curve: &[usize],
    parts: impl Iterator<Item = Range<usize>>,
    passes: usize,
    order: &mut [usize],
) -> Result<()> {
    let mut place = memory::filled(points.count, 0, "2-opt")?;
    curve.iter().enumerate().for_each(|(at, id)| place[*id] = at);
    for part in parts {
        let (ids, stretch) = (&curve[part.clone()], &mut order[part.clone()]);
        let mut tour = Tour::new(pool, points, ids, stretch.iter().map(|id| place[*id] - part.start))?;
        for _ in 0..passes {
            if !tour.pass() {
                break;
            }
        }
        stretch.iter_mut().zip(&tour.path).for_each(|(to, at)| *to = ids[*at]);
    }
    Ok(())
}

/// A path through points that are numbered along the curve.
struct Tour<'a> {
    points: &'a Points,
    ids: &'a [usize],
    path: Vec<usize>,
    /// Where on the path a point is.
    position: Vec<usize>,
    /// `NEAR` for each point, nearest first, filled up with `NONE`.
    near: Vec<usize>,
    longest: usize,
}

impl<'a> Tour<'a> {
    fn new(pool: &Pool, points: &'a Points, ids: &'a [usize], order: impl Iterator<Item = usize>) -> Result<Self> {
        let n = ids.len();
        let mut path = memory::with_capacity(n, "2-opt")?;
        path.extend(order);
        let mut position = memory::filled(n, 0, "2-opt")?;
        path.iter().enumerate().for_each(|(at, a)| position[*a] = at);
        let mut near = memory::filled(memory::product(n, NEAR, "2-opt")?, NONE, "2-opt")?;
        pool.chunks(n * 4 * WINDOW * points.dim, &mut near, NEAR, |a, near| {
            let window = |at: usize| at.saturating_sub(WINDOW)..n.min(at + WINDOW + 1);
            let others = window(a).chain(window(position[a]).map(|at| path[at])).filter(|c| *c != a);
            let mut distances = [f64::INFINITY; NEAR];
            for c in others {
                let d = points.distance(ids[a], ids[c]);
                let at = distances.partition_point(|other| *other <= d);
                if at < NEAR && !near.contains(&c) {
                    distances[at..].rotate_right(1);
                    near[at..].rotate_right(1);
                    (distances[at], near[at]) = (d, c);
                }
            }
        });
        Ok(Tour { points, ids, path, position, near, longest: (TURNED / n).max(SHORTEST) })
    }

    fn distance(&self, a: usize, b: usize) -> f64 {
        self.points.distance(self.ids[a], self.ids[b])
    }

    /// Whether anything became shorter.
    fn pass(&mut self) -> bool {
        let mut shorter = false;
        for a in 0..self.ids.len() {
            while let Some(stretch) = self.after(a).or_else(|| self.before(a)) {
                self.turn(stretch);
                shorter = true;
            }
        }
        shorter
    }

    /// The stretch to turn so that a near point follows `a`, or `a` follows it.
    fn after(&self, a: usize) -> Option<Range<usize>> {
        let i = self.position[a];
        let s = *self.path.get(i + 1)?;
        let old = self.distance(a, s);
        for c in self.near(a) {
            let (j, new) = (self.position[c], self.distance(a, c));
            if new >= old {
                break;
            }
            let (gone, made) = match self.path.get(j + 1) {
                Some(t) => (old + self.distance(c, *t), new + self.distance(s, *t)),
                None => (old, new),
            };
            let stretch = i.min(j) + 1..i.max(j) + 1;
            if made < SHORTER * gone && stretch.len() <= self.longest {
                return Some(stretch);
            }
        }
        None
    }

    /// The stretch to turn so that a near point precedes `a`, or `a` precedes it.
    fn before(&self, a: usize) -> Option<Range<usize>> {
        let i = self.position[a];
        let s = self.path[i.checked_sub(1)?];
        let old = self.distance(s, a);
        for c in self.near(a) {
            let (j, new) = (self.position[c], self.distance(a, c));
            if new >= old {
                break;
            }
            let Some(before) = j.checked_sub(1) else { continue };
            let t = self.path[before];
            let (gone, made) = (old + self.distance(t, c), new + self.distance(s, t));
            let stretch = i.min(j)..i.max(j);
            if made < SHORTER * gone && stretch.len() <= self.longest {
                return Some(stretch);
            }
        }
        None
    }

    fn near(&self, a: usize) -> impl Iterator<Item = usize> + '_ {
        self.near[a * NEAR..][..NEAR].iter().copied().take_while(|c| *c != NONE)
    }

    fn turn(&mut self, stretch: Range<usize>) {
        self.path[stretch.clone()].reverse();
        for at in stretch {
            self.position[self.path[at]] = at;
        }
    }
}
