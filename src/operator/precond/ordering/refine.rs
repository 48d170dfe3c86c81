//! Refinement of vertex separators after Fiduccia, Mattheyses (19th Design Automation Conf.,
//! 1982), in the form of Hendrickson, Rothberg (SIAM J. Sci. Comput. 20, 1998): a vertex of the
//! separator moves to a side, and its neighbours on the other side take its place. The best of
//! many moves, good and bad, stays.

use super::graph::{Graph, WHAT};
use super::super::sweep::push;
use crate::runtime::{memory, Error, Result};
use std::collections::BinaryHeap;

/// The third "side".
pub const SEPARATOR: u8 = 2;

/// Moves without a gain after which a pass ends.
const PATIENCE: usize = 40;

/// A division of a graph's vertices into two sides and what separates them.
pub struct Division {
    pub side: Vec<u8>,
    /// Weights of the sides and of the separator.
    pub weight: [u64; 3],
}

impl Division {
    /// What is to be small, first things first: the weight by which a side exceeds `room`, the
    /// separator, the difference of the sides.
    pub fn badness(&self, room: u64) -> (u64, u64, u64) {
        let [a, b, separator] = self.weight;
        (a.max(b).saturating_sub(room), separator, a.abs_diff(b))
    }

    fn put(&mut self, g: &Graph, v: usize, to: u8) {
        let w = g.weight[v] as u64;
        self.weight[self.side[v] as usize] -= w;
        self.weight[to as usize] += w;
        self.side[v] = to;
    }
}

/// Storage for passes; arrays as long as the largest graph.
pub struct Refiner {
    /// For vertices of the separator: the weight of the neighbours on each side.
    beside: Vec<[u32; 2]>,
    /// The pass in which a vertex left the separator; it stays until the next.
    moved: Vec<u32>,
    pass: u32,
    /// Candidates to move to each side by gain, see `pack`; those that are out of date remain until
    /// they are met.
    queue: [BinaryHeap<u64>; 2],
    /// Sides that vertices may move to.
    open: [bool; 2],
    /// Vertices with the sides that they left.
    trail: Vec<(u32, u8)>,
    separator: Vec<u32>,
}

fn reserve_one(heap: &mut BinaryHeap<u64>) -> Result<()> {
    heap.try_reserve(1).map_err(|_| Error::Memory { what: WHAT, bytes: heap.len() * 8 })
}

/// Sorts by gain; on a tie the lower vertex is the better.
#[inline(always)]
fn pack(gain: i64, v: usize) -> u64 {
    ((gain + (1 << 31)) as u64) << 32 | !(v as u32) as u64
}

impl Refiner {
    pub fn new(n: usize) -> Result<Self> {
        Ok(Refiner {
            beside: memory::filled(n, [0; 2], WHAT)?,
            moved: memory::filled(n, 0, WHAT)?,
            pass: 0,
            queue: [BinaryHeap::new(), BinaryHeap::new()],
            open: [true; 2],
            trail: memory::with_capacity(n.min(1 << 12), WHAT)?,
            separator: Vec::new(),
        })
    }

    /// Passes while they help, `most` at most. Neither side is to outweigh `room`.
    pub fn refine(&mut self, g: &Graph, d: &mut Division, room: u64, most: usize) -> Result<()> {
        self.separator.clear();
        for (v, _) in d.side.iter().enumerate().filter(|(_, s)| **s == SEPARATOR) {
            push(&mut self.separator, v as u32, WHAT)?;
        }
        for _ in 0..most {
            if !self.pass(g, d, room)? {
                break;
            }
        }
        Ok(())
    }

    /// Grows side 0 from a vertex until it has half of the weight; the best division on the way.
    pub fn grow(&mut self, g: &Graph, start: usize, room: u64) -> Result<Division> {
        let n = g.len();
        let total = g.total();
        let mut d = Division { side: memory::filled(n, 1, WHAT)?, weight: [0, total, 0] };
        self.begin([true, false]);
        d.put(g, start, SEPARATOR);
        self.enter(g, &d, start)?;
        let (mut best, mut kept, mut next) = (d.badness(room), 0, 0);
        while d.weight[0] < d.weight[1] {
            let v = match self.best(g, &d, 0) {
                Some((_, v)) => v,
                None => {
                    // The start's piece of the graph is used up.
                    while d.side[next] != 1 {
                        next += 1;
                    }
                    push(&mut self.trail, (next as u32, 1), WHAT)?;
                    d.put(g, next, SEPARATOR);
                    self.enter(g, &d, next)?;
                    next
                }
            };
            self.shift(g, &mut d, v, 0)?;
            let now = d.badness(room);
            if now < best {
                (best, kept) = (now, self.trail.len());
            }
        }
        self.undo(g, &mut d, kept);
        Ok(d)
    }

    fn begin(&mut self, open: [bool; 2]) {
        self.open = open;
        self.pass += 1;
        self.trail.clear();
        self.queue.iter_mut().for_each(|q| q.clear());
    }

    /// Takes all moves but the first `kept` back.
    fn undo(&mut self, g: &Graph, d: &mut Division, kept: usize) {
        for (v, from) in self.trail[kept..].iter().rev() {
            d.put(g, *v as usize, *from);
        }
    }

    #[inline(always)]
    fn gain(&self, g: &Graph, v: usize, to: usize) -> i64 {
        g.weight[v] as i64 - self.beside[v][1 - to] as i64
    }

    fn offer(&mut self, g: &Graph, v: usize, to: usize) -> Result<()> {
        if !self.open[to] {
            return Ok(());
        }
        let key = pack(self.gain(g, v, to), v);
        reserve_one(&mut self.queue[to])?;
        self.queue[to].push(key);
        Ok(())
    }

    /// Sums up what lies beside v, which is in the separator, and offers it to both sides.
    fn enter(&mut self, g: &Graph, d: &Division, v: usize) -> Result<()> {
        let mut beside = [0; 3];
        for u in g.neighbours(v) {
            beside[d.side[*u as usize] as usize] += g.weight[*u as usize];
        }
        self.beside[v] = [beside[0], beside[1]];
        if self.moved[v] != self.pass {
            self.offer(g, v, 0)?;
            self.offer(g, v, 1)?;
        }
        Ok(())
    }

    /// The best vertex to move to a side, with its gain.
    #[inline(always)]
    fn best(&mut self, g: &Graph, d: &Division, to: usize) -> Option<(i64, usize)> {
        while let Some(key) = self.queue[to].peek() {
            let v = !(*key as u32) as usize;
            let gain = self.gain(g, v, to);
            if d.side[v] == SEPARATOR && self.moved[v] != self.pass && *key == pack(gain, v) {
                return Some((gain, v));
            }
            self.queue[to].pop();
        }
        None
    }

    /// True: it got better.
    fn pass(&mut self, g: &Graph, d: &mut Division, room: u64) -> Result<bool> {
        self.begin([true; 2]);
        let separator = std::mem::take(&mut self.separator);
        for v in &separator {
            self.enter(g, d, *v as usize)?;
        }
        self.separator = separator;
        let start = d.badness(room);
        let (mut best, mut kept, mut idle) = (start, 0, 0);
        while idle < PATIENCE {
            let fits = |found: &Option<(i64, usize)>, d: &Division, to: usize| {
                found.is_some_and(|(_, v)| {
                    let after = d.weight[to] + g.weight[v] as u64;
                    after <= room || after <= d.weight[1 - to]
                })
            };
            let found = [self.best(g, d, 0), self.best(g, d, 1)];
            let to = match (fits(&found[0], d, 0), fits(&found[1], d, 1)) {
                (false, false) => break,
                (true, false) => 0,
                (false, true) => 1,
                (true, true) => {
                    // On a tie the lighter side grows.
                    let rank = |to: usize| (found[to].map(|(gain, _)| gain), std::cmp::Reverse(d.weight[to]));
                    (rank(1) > rank(0)) as usize
                }
            };
            let Some((_, v)) = found[to] else { break };
            self.shift(g, d, v, to)?;
            let now = d.badness(room);
            idle += 1;
            if now < best {
                (best, kept, idle) = (now, self.trail.len(), 0);
            }
        }
        self.undo(g, d, kept);
        for k in 0..kept {
            let (v, from) = self.trail[k];
            if from != SEPARATOR {
                push(&mut self.separator, v, WHAT)?;
            }
        }
        self.separator.retain(|v| d.side[*v as usize] == SEPARATOR);
        self.separator.sort_unstable();
        self.separator.dedup();
        Ok(best < start)
    }

    fn shift(&mut self, g: &Graph, d: &mut Division, v: usize, to: usize) -> Result<()> {
        push(&mut self.trail, (v as u32, SEPARATOR), WHAT)?;
        d.put(g, v, to as u8);
        self.moved[v] = self.pass;
        let other = 1 - to;
        for u in g.neighbours(v).iter().map(|u| *u as usize) {
            if d.side[u] == SEPARATOR {
                self.beside[u][to] += g.weight[v];
                if self.moved[u] != self.pass {
                    self.offer(g, u, other)?;
                }
            } else if d.side[u] == other as u8 {
                push(&mut self.trail, (u as u32, other as u8), WHAT)?;
                d.put(g, u, SEPARATOR);
                for x in g.neighbours(u).iter().map(|x| *x as usize) {
                    if d.side[x] == SEPARATOR {
                        self.beside[x][other] -= g.weight[u];
                        if self.moved[x] != self.pass {
                            self.offer(g, x, to)?;
                        }
                    }
                }
                self.enter(g, d, u)?;
            }
        }
        Ok(())
    }
}
