//! Points along a Hilbert curve.
//!
//! Skilling, "Programming the Hilbert curve", AIP Conf. Proc. 707 (2004): the coordinates as
//! integers of b bits are turned, level by level from the top, into the digits of the place along
//! the curve.
//!
//! | paper | here |
//! |---|---|
//! | n, b | `axes.len()`, `bits` |
//! | X | `x` |
//!
//! Differs from appendix E of arXiv 2401.09516: axes share one scale, since points that are near on
//! the curve must be near in the Euclidean distance that the path is measured with; scaling each
//! axis by its own range would let those that hardly vary count as much as the others.

use super::features::Points;
use crate::runtime::{memory, Pool, Result};

/// Axes that the curve runs through: those of largest variance. More would leave too few levels.
pub const AXES: usize = 8;

/// A point's place: along the curve, and within its last cell.
type Place = (u128, f64, usize);

/// Points to a chunk of parallel work.
const CHUNK: usize = 1024;

/// All points in the order of the curve; equal points in the order of their indices.
pub fn curve(pool: &Pool, points: &Points) -> Result<Vec<usize>> {
    let axes = &points.axes[..points.dim.min(AXES)];
    let mut low = [f64::INFINITY; AXES];
    let mut high = [f64::NEG_INFINITY; AXES];
    for i in 0..points.count {
        for (k, axis) in axes.iter().enumerate() {
            low[k] = low[k].min(points.point(i)[*axis]);
            high[k] = high[k].max(points.point(i)[*axis]);
        }
    }
    let side = (0..axes.len()).fold(0.0, |side: f64, k| side.max(high[k] - low[k]));
    let bits = (128 / axes.len() as u32).min(32);
    let cells = if side > 0.0 { 2f64.powi(bits as i32) / side } else { 0.0 };
    let last = ((1u64 << bits) - 1) as u32;
    let mut places: Vec<Place> = memory::filled(points.count, (0, 0.0, 0), "the curve")?;
    pool.chunks(points.count * axes.len() * bits as usize, &mut places, CHUNK, |chunk, places| {
        for (i, place) in places.iter_mut().enumerate() {
            let i = chunk * CHUNK + i;
            let point = points.point(i);
            let mut x = [0u32; AXES];
            for (k, axis) in axes.iter().enumerate() {
                // Conversion to an integer saturates.
                x[k] = (((point[*axis] - low[k]) * cells) as u32).min(last);
            }
            *place = (along(&mut x[..axes.len()], bits), point[axes[0]], i);
        }
    });
    places.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
    let mut order = memory::with_capacity(points.count, "the curve")?;
    order.extend(places.iter().map(|place| place.2));
    Ok(order)
}

/// The place along the curve of the cell with these coordinates, which are used up.
pub fn along(x: &mut [u32], bits: u32) -> u128 {
    let n = x.len();
    // Undo the turns and reflections of each level for all levels below it.
    for level in (1..bits).rev() {
        let below = (1u32 << level) - 1;
        for i in 0..n {
            if x[i] >> level & 1 == 1 {
                x[0] ^= below;
            } else {
                let differ = (x[0] ^ x[i]) & below;
                x[0] ^= differ;
                x[i] ^= differ;
            }
        }
    }
    // Gray code.
    for i in 1..n {
        x[i] ^= x[i - 1];
    }
    let flips = (1..bits).filter(|level| x[n - 1] >> level & 1 == 1).fold(0, |flips, level| flips ^ ((1u32 << level) - 1));
    x.iter_mut().for_each(|x| *x ^= flips);
    // One bit of each axis a level.
    let mut place = 0;
    for level in (0..bits).rev() {
        for x in x.iter() {
            place = place << 1 | (x >> level & 1) as u128;
        }
    }
    place
}
