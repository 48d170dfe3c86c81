//! Minimum degree (George, Liu, SIAM Review 31, 1989) on a small part of a graph that is
//! surrounded by vertices to be eliminated later, which count in the degrees (Pellegrini, Roman,
//! Amestoy, Concurrency 12, 2000). The elimination graph is kept explicitly, a bit an edge, so
//! that degrees are exact.

use super::super::sweep::{push, resize};
use super::graph::{Graph, WHAT};
use crate::runtime::{memory, Result};

const NONE: u32 = u32::MAX;

#[derive(Default)]
pub struct Leaf {
    /// Rows of the adjacency matrix of the part and what surrounds it.
    bits: Vec<u64>,
    /// Eliminated vertices have `NONE`.
    degree: Vec<u32>,
    around: Vec<u32>,
    /// The row of the vertex that is eliminated.
    front: Vec<u64>,
    sequence: Vec<u32>,
}

impl Leaf {
    /// Puts `part` in the order of elimination. `local` is all `NONE`, before and after.
    pub fn order(&mut self, g: &Graph, part: &mut [u32], local: &mut [u32]) -> Result<()> {
        let n = part.len();
        self.around.clear();
        part.iter().enumerate().for_each(|(k, v)| local[*v as usize] = k as u32);
        for v in part.iter() {
            for u in g.neighbours(*v as usize) {
                if local[*u as usize] == NONE {
                    local[*u as usize] = (n + self.around.len()) as u32;
                    push(&mut self.around, *u, WHAT)?;
                }
            }
        }
        let words = (n + self.around.len()).div_ceil(64);
        resize(&mut self.bits, memory::product(n, words, WHAT)?, 0, WHAT)?;
        resize(&mut self.degree, n, 0, WHAT)?;
        resize(&mut self.front, words, 0, WHAT)?;
        resize(&mut self.sequence, n, 0, WHAT)?;
        for (k, v) in part.iter().enumerate() {
            let row = &mut self.bits[k * words..][..words];
            for u in g.neighbours(*v as usize) {
                let u = local[*u as usize] as usize;
                row[u / 64] |= 1 << (u % 64);
            }
            self.degree[k] = g.neighbours(*v as usize).len() as u32;
        }
        for v in part.iter().chain(&self.around) {
            local[*v as usize] = NONE;
        }
        for step in 0..n {
            let mut best = 0;
            for k in 1..n {
                if self.degree[k] < self.degree[best] {
                    best = k;
                }
            }
            self.eliminate(best, n, words);
            self.sequence[step] = part[best];
        }
        part.copy_from_slice(&self.sequence);
        Ok(())
    }

    /// Makes the neighbours of v neighbours of each other.
    fn eliminate(&mut self, v: usize, n: usize, words: usize) {
        self.front.copy_from_slice(&self.bits[v * words..][..words]);
        self.degree[v] = NONE;
        for w in 0..n.div_ceil(64) {
            let mut left = self.front[w];
            while left != 0 {
                let k = 64 * w + left.trailing_zeros() as usize;
                left &= left - 1;
                if k >= n {
                    break;
                }
                let row = &mut self.bits[k * words..][..words];
                row.iter_mut().zip(&self.front).for_each(|(r, f)| *r |= f);
                row[v / 64] &= !(1 << (v % 64));
                row[k / 64] &= !(1 << (k % 64));
                self.degree[k] = row.iter().map(|r| r.count_ones()).sum();
            }
        }
    }
}
