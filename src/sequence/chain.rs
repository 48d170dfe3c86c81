//! The nearest-neighbour chain: Algorithm 1 of Wang et al. (arXiv 2401.09516).
//!
//!   while systems are left: append the one that is nearest to the last appended
//!
//! with ties to the lower index. A step compares one point with all that are left, O(N dim), but
//! skips most of them: points lie in blocks along the curve, each with a box around it, and a block
//! whose box is farther than the best point so far holds no better one. Within a block, sums of
//! squares are cut short at the best. Neither changes the result, not even by rounding: a bound and
//! a sum add the same axes in the same order, and rounding keeps order.
//!
//! Differs from the paper: the sum takes the axes of largest variance first.

use super::features::Points;
use crate::runtime::{memory, Pool, Result};
use pulp::{Simd, WithSimd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Points that lie side by side, axis by axis.
const LANES: usize = 16;

/// Points a block.
const BLOCK: usize = 512;

/// Axes that boxes bound; also those that are summed before a look at the best.
pub const BOXED: usize = 8;

/// Appends the points of `cell`, which lie along the curve, to the path `order`: each time the one
/// nearest to the last. The last itself may be among them.
pub fn extend(pool: &Pool, points: &Points, cell: &[usize], order: &mut Vec<usize>) -> Result<()> {
    let mut last = *order.last().expect("a path has a beginning");
    let mut left = Left::new(points, cell, last)?;
    let mut at = memory::filled(points.dim, 0.0, "the chain")?;
    let mut home = 0;
    for _ in 0..left.ids.len() {
        points.axes.iter().zip(&mut at).for_each(|(axis, x)| *x = points.point(last)[*axis]);
        let nearest = left.nearest(pool, &at, home);
        left.remove(nearest.slot);
        home = nearest.slot / BLOCK;
        last = nearest.id;
        order.push(last);
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Found {
    squared: f64,
    id: usize,
    slot: usize,
}

const NOTHING: Found = Found { squared: f64::INFINITY, id: usize::MAX, slot: 0 };

impl Found {
    fn better(self, other: Found) -> Found {
        if (other.squared, other.id) < (self.squared, self.id) { other } else { self }
    }
}

/// The points that are not on the path yet.
struct Left {
    dim: usize,
    /// Tiles of `LANES` points, `dim` rows each, axes by falling variance. A lane without a point is
    /// infinite.
    tiles: Vec<f64>,
    ids: Vec<usize>,
    blocks: Vec<Block>,
    candidates: Vec<Candidate>,
}

struct Block {
    /// Points left; they fill the first slots.
    live: usize,
    low: [f64; BOXED],
    high: [f64; BOXED],
}

/// A block that may hold the nearest point, and the nearest that it holds.
#[derive(Clone, Copy)]
struct Candidate {
    block: usize,
    found: Found,
}

impl Left {
    fn new(points: &Points, cell: &[usize], last: usize) -> Result<Self> {
        let mut ids = memory::with_capacity(cell.len(), "the chain")?;
        ids.extend(cell.iter().copied().filter(|id| *id != last));
        let (dim, count) = (points.dim, ids.len().div_ceil(BLOCK));
        let room = memory::product(ids.len().div_ceil(LANES) * LANES, dim, "the chain")?;
        let mut tiles = memory::filled(room, f64::INFINITY, "the chain")?;
        for (slot, id) in ids.iter().enumerate() {
            let point = points.point(*id);
            for (row, axis) in points.axes.iter().enumerate() {
                tiles[place(slot, row, dim)] = point[*axis];
            }
        }
        let mut left = Left {
            dim,
            tiles,
            blocks: memory::with_capacity(count, "the chain")?,
            candidates: memory::with_capacity(count, "the chain")?,
            ids,
        };
        for block in 0..count {
            let live = BLOCK.min(left.ids.len() - block * BLOCK);
            left.blocks.push(Block { live, low: [0.0; BOXED], high: [0.0; BOXED] });
            left.fit(block);
        }
        Ok(left)
    }

    /// Draws the box around what is left in a block.
    fn fit(&mut self, block: usize) {
        let b = &mut self.blocks[block];
        for row in 0..self.dim.min(BOXED) {
            let values = (0..b.live).map(|i| self.tiles[place(block * BLOCK + i, row, self.dim)]);
            (b.low[row], b.high[row]) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        }
    }

    /// Takes a point out; the last of its block moves into its slot.
    fn remove(&mut self, slot: usize) {
        let block = slot / BLOCK;
        self.blocks[block].live -= 1;
        let last = block * BLOCK + self.blocks[block].live;
        self.ids[slot] = self.ids[last];
        for row in 0..self.dim {
            self.tiles[place(slot, row, self.dim)] = self.tiles[place(last, row, self.dim)];
            self.tiles[place(last, row, self.dim)] = f64::INFINITY;
        }
        // Seldom enough to cost little, often enough for the bounds to stay sharp.
        if self.blocks[block].live.is_power_of_two() {
            self.fit(block);
        }
    }

    /// The nearest point to `at`; `home` is the block to look into first.
    fn nearest(&mut self, pool: &Pool, at: &[f64], home: usize) -> Found {
        let Left { dim, tiles, ids, blocks, candidates } = self;
        let dim = *dim;
        let arch = pulp::Arch::new();
        let bound = |block: &Block| {
            let mut sum = 0.0;
            for (row, x) in at[..dim.min(BOXED)].iter().enumerate() {
                let outside = (block.low[row] - x).max(x - block.high[row]).max(0.0);
                sum += outside * outside;
            }
            sum
        };
        let scan = |block: usize, best: f64| {
            let tiles = &tiles[place(block * BLOCK, 0, dim)..][..blocks[block].live.div_ceil(LANES) * LANES * dim];
            let found = arch.dispatch(Scan { tiles, ids: &ids[block * BLOCK..], at, best });
            Found { slot: found.slot + block * BLOCK, ..found }
        };
        let home = if blocks[home].live > 0 {
            home
        } else {
            let nearer = |a: &usize, b: &usize| bound(&blocks[*a]).total_cmp(&bound(&blocks[*b]));
            (0..blocks.len()).filter(|b| blocks[*b].live > 0).min_by(nearer).expect("a point is left")
        };
        let first = scan(home, f64::INFINITY);
        candidates.clear();
        let mut work = 0;
        for (b, block) in blocks.iter().enumerate() {
            if b != home && block.live > 0 && bound(block) <= first.squared {
                candidates.push(Candidate { block: b, found: NOTHING });
                work += block.live * dim;
            }
        }
        // Shared by all threads: it decides what is skipped, not what is found. Numbers that are not
        // negative are ordered like their bits.
        let best = AtomicU64::new(first.squared.to_bits());
        pool.chunks(work, candidates, 1, |_, candidate| {
            let candidate = &mut candidate[0];
            let limit = f64::from_bits(best.load(Ordering::Relaxed));
            if bound(&blocks[candidate.block]) <= limit {
                candidate.found = scan(candidate.block, limit);
                best.fetch_min(candidate.found.squared.to_bits(), Ordering::Relaxed);
            }
        });
        candidates.iter().fold(first, |best, candidate| best.better(candidate.found))
    }
}

/// Where a coordinate of the point in a slot lies.
fn place(slot: usize, row: usize, dim: usize) -> usize {
    (slot / LANES * dim + row) * LANES + slot % LANES
}

/// The nearest point of one block that is not farther than `best`, or `NOTHING`.
struct Scan<'a> {
    tiles: &'a [f64],
    ids: &'a [usize],
    at: &'a [f64],
    best: f64,
}

impl WithSimd for Scan<'_> {
    type Output = Found;
    #[inline(always)]
    fn with_simd<I: Simd>(self, _: I) -> Found {
        let Scan { tiles, ids, at, best } = self;
        let mut found = Found { squared: best, ..NOTHING };
        'tiles: for (t, tile) in tiles.chunks_exact(at.len() * LANES).enumerate() {
            let mut squared = [0.0; LANES];
            for (rows, xs) in tile.chunks(BOXED * LANES).zip(at.chunks(BOXED)) {
                for (row, x) in rows.chunks_exact(LANES).zip(xs) {
                    for l in 0..LANES {
                        let d = row[l] - x;
                        squared[l] += d * d;
                    }
                }
                if squared.iter().fold(true, |all, s| all & (*s > found.squared)) {
                    continue 'tiles;
                }
            }
            for (l, squared) in squared.into_iter().enumerate().filter(|(_, s)| *s < f64::INFINITY) {
                let slot = t * LANES + l;
                found = found.better(Found { squared, id: ids[slot], slot });
            }
        }
        if found.id == NOTHING.id { NOTHING } else { found }
    }
}
