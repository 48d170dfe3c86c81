//! Sliced transport: the mean over directions of the exact cost between the points' shadows on a line.
//!
//! Source: Bonneel, Rabin, Peyre, Pfister, "Sliced and Radon Wasserstein barycenters of measures", J. Math. Imaging Vision
//! 51 (2015); the integral over the sphere by random directions, the gradient with the plans held.

use super::line::{finite, Masses, Matched, Power};
use crate::linalg::Panel;
use crate::runtime::random::{streams, Stream};
use crate::runtime::{memory, Context, Result};
use std::f64::consts::TAU;

/// Points whose gradients a thread adds up together.
const TOGETHER: usize = 256;

/// One direction at work.
struct Slice<'a> {
    direction: Vec<f64>,
    matched: Matched<'a>,
    cost: Result<f64>,
    /// Derivatives with respect to the shadows of x.
    slopes: Vec<f64>,
}

/// Uniform on the sphere: d normal numbers (Box and Muller), of length 1. `number` counts directions.
fn draw(seed: u64, number: usize, direction: &mut [f64]) {
    let d = direction.len();
    let mut stream = Stream::new(seed, streams::DIRECTIONS);
    let unit = |word: u64| ((word >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let mut radius = 0.0;
    stream.words(2 * (number * d) as u64, 2 * d, |k, word| match k % 2 {
        0 => radius = (-2.0 * unit(word).ln()).sqrt(),
        _ => direction[k / 2] = radius * (TAU * unit(word)).cos(),
    });
    let length = direction.iter().map(|v| v * v).sum::<f64>().sqrt();
    direction.iter_mut().for_each(|v| *v /= length);
}

/// Which directions.
#[derive(Debug, Clone, Copy)]
pub struct Directions {
    pub count: usize,
    pub seed: i64,
}

/// The mean cost over directions; `gradient`, of the size of x without gaps, gets the derivative of it. Directions are
/// shared out to the threads and summed up by their numbers.
pub fn sliced(
    context: &Context,
    x: Panel<f64>,
    y: Panel<f64>,
    masses: Masses,
    power: Power,
    directions: Directions,
    mut gradient: Option<&mut [f64]>,
) -> Result<f64> {
    let (d, n, m) = (x.nrows, x.ncols, y.ncols);
    let (count, seed) = (directions.count, context.seed().wrapping_add(directions.seed as u64));
    let together = count.min(context.pool.threads());
    let mut slices = memory::with_capacity(together, "directions")?;
    for _ in 0..together {
        slices.push(Slice {
            direction: memory::filled(d, 0.0, "directions")?,
            matched: Matched::with_capacity(n, m, masses, power)?,
            cost: Ok(0.0),
            slopes: memory::filled(if gradient.is_some() { n } else { 0 }, 0.0, "slopes")?,
        });
    }
    let mut sum = 0.0;
    for first in (0..count).step_by(together) {
        let slices = &mut slices[..together.min(count - first)];
        // Sorting goes over the points some 20 times.
        context.pool.chunks((n + m) * (d + 20) * slices.len(), slices, 1, |k, slice| {
            let Slice { direction, matched, cost, slopes } = &mut slice[0];
            draw(seed, first + k, direction);
            let shadow = |point: &[f64]| point.iter().zip(&*direction).map(|(v, e)| v * e).sum::<f64>();
            matched.fill((0..n).map(|i| shadow(x.col(i))), (0..m).map(|j| shadow(y.col(j))));
            *cost = matched.cost();
            slopes.fill(0.0);
            if !slopes.is_empty() {
                matched.gradient(slopes, &mut []);
            }
        });
        for slice in slices.iter() {
            sum += slice.cost.clone()?;
        }
        if let Some(gradient) = gradient.as_deref_mut() {
            context.pool.chunks(n * d * slices.len(), gradient, d * TOGETHER, |part, chunk| {
                for (i, to) in chunk.chunks_mut(d).enumerate() {
                    for slice in slices.iter() {
                        let slope = slice.slopes[part * TOGETHER + i];
                        to.iter_mut().zip(&slice.direction).for_each(|(to, e)| *to += slope * e);
                    }
                }
            });
        }
    }
    if let Some(gradient) = gradient {
        gradient.iter_mut().for_each(|v| *v /= count as f64);
    }
    finite("cost", sum / count as f64)
}
