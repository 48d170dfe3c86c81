//! Systems as points, whose Euclidean distances say how similar they are.
//!
//! The features of a field are the lowest coefficients c of its orthonormal DCT-II,
//!
//!   c_q = sqrt((q == 0 ? 1 : 2) / n) sum_i f_i cos(pi q (2 i + 1) / (2 n)),
//!
//! along each axis of its grid. All of them keep distances (Parseval); the lowest ones keep those
//! of smooth fields nearly, and never make one larger.
//!
//! Differs from appendix E of arXiv 2401.09516: DCT instead of FFT, since fields are not periodic, and no
//! principal components after it, since the coefficients of a random field are nearly those already.

use crate::linalg::Panel;
use crate::runtime::{memory, Pool, Result};
use pulp::{Simd, WithSimd};
use std::f64::consts::PI;

#[derive(Debug, Clone)]
pub enum Features {
    None,
    /// `modes` coefficients along each axis of fields of this shape, the first index fastest.
    Dct { shape: [usize; 3], modes: usize },
}

impl Features {
    /// How many there are of `dim` parameters.
    pub fn dim(&self, dim: usize) -> usize {
        match self {
            Features::None => dim,
            Features::Dct { shape, modes } => shape.iter().map(|n| n.min(modes)).product(),
        }
    }
}

/// `count` points of `dim` coordinates, one after the other.
pub struct Points {
    pub dim: usize,
    pub count: usize,
    pub coordinates: Vec<f64>,
    /// All axes by falling variance: the first ones tell points apart.
    pub axes: Vec<usize>,
}

impl Points {
    pub fn new(pool: &Pool, parameters: Panel<f64>, features: &Features) -> Result<Self> {
        let (dim, count) = (features.dim(parameters.nrows), parameters.ncols);
        let total = memory::product(dim, count, "features")?;
        let mut coordinates = memory::filled(total, 0.0, "features")?;
        let unit = unit(parameters)?;
        match features {
            Features::None => pool.chunks(total, &mut coordinates, dim, |j, point| {
                point.iter_mut().zip(parameters.col(j)).for_each(|(to, x)| *to = unit * x)
            }),
            Features::Dct { shape, modes } => Dct::new(*shape, *modes, unit)?.apply(pool, parameters, &mut coordinates)?,
        }
        let mut points = Points { dim, count, coordinates, axes: memory::with_capacity(dim, "features")? };
        points.sort_axes()?;
        Ok(points)
    }

    pub fn point(&self, i: usize) -> &[f64] {
        &self.coordinates[i * self.dim..][..self.dim]
    }

    pub fn distance(&self, i: usize, j: usize) -> f64 {
        self.point(i).iter().zip(self.point(j)).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt()
    }

    fn sort_axes(&mut self) -> Result<()> {
        let mut mean = memory::filled(self.dim, 0.0, "features")?;
        let mut variance = memory::filled(self.dim, 0.0, "features")?;
        for point in self.coordinates.chunks_exact(self.dim) {
            mean.iter_mut().zip(point).for_each(|(m, x)| *m += x);
        }
        mean.iter_mut().for_each(|m| *m /= self.count as f64);
        for point in self.coordinates.chunks_exact(self.dim) {
            variance.iter_mut().zip(point.iter().zip(&mean)).for_each(|(v, (x, m))| *v += (x - m) * (x - m));
        }
        self.axes.extend(0..self.dim);
        self.axes.sort_unstable_by(|a, b| variance[*b].total_cmp(&variance[*a]).then(a.cmp(b)));
        Ok(())
    }
}

/// The power of two in which the widest row spans about 1, so that squares neither overflow nor
/// vanish; an exact factor, but for numbers that are nothing beside that row.
pub fn unit(parameters: Panel<f64>) -> Result<f64> {
    let mut low = memory::filled(parameters.nrows, f64::INFINITY, "features")?;
    let mut high = memory::filled(parameters.nrows, f64::NEG_INFINITY, "features")?;
    for j in 0..parameters.ncols {
        for (x, (low, high)) in parameters.col(j).iter().zip(low.iter_mut().zip(&mut high)) {
            *low = low.min(*x);
            *high = high.max(*x);
        }
    }
    let widest = low.iter().zip(&high).fold(0.0, |widest: f64, (low, high)| widest.max(high / 2.0 - low / 2.0));
    Ok(if widest > 0.0 { 2f64.powi((-widest.log2().ceil()).clamp(-1000.0, 1000.0) as i32) } else { 1.0 })
}

/// The lowest coefficients along three axes: one matrix of cosines each.
struct Dct {
    shape: [usize; 3],
    modes: [usize; 3],
    cosines: [Vec<f64>; 3],
}

/// Fields transformed at a time, which bounds the scratch memory.
const BATCH: usize = 64;

impl Dct {
    /// Fields are multiplied by `unit` on the way.
    fn new(shape: [usize; 3], modes: usize, unit: f64) -> Result<Self> {
        let modes = shape.map(|n| n.min(modes));
        let mut cosines = [Vec::new(), Vec::new(), Vec::new()];
        for axis in 0..3 {
            cosines[axis] = cosine_rows(shape[axis], modes[axis], if axis == 0 { unit } else { 1.0 })?;
        }
        Ok(Dct { shape, modes, cosines })
    }

    fn apply(&self, pool: &Pool, fields: Panel<f64>, features: &mut [f64]) -> Result<()> {
        let [_, ny, nz] = self.shape;
        let [mx, my, mz] = self.modes;
        let (first, second) = (ny * nz * mx, nz * mx * my);
        let room = memory::product(BATCH.min(fields.ncols), first + second, "the DCT")?;
        let mut scratch = memory::filled(room, 0.0, "the DCT")?;
        let dim = mx * my * mz;
        let arch = pulp::Arch::new();
        for (batch, features) in features.chunks_mut(BATCH * dim).enumerate() {
            let work = features.len() / dim * fields.nrows * mx;
            pool.chunks2(work, (features, dim), (&mut scratch, first + second), |i, features, scratch| {
                let (a, b) = scratch.split_at_mut(first);
                let [cx, cy, cz] = &self.cosines;
                arch.dispatch(Contract { cosines: cx, modes: mx, field: fields.col(batch * BATCH + i), out: a });
                arch.dispatch(Contract { cosines: cy, modes: my, field: a, out: b });
                arch.dispatch(Contract { cosines: cz, modes: mz, field: b, out: features });
            });
        }
        Ok(())
    }
}

fn cosine_rows(n: usize, modes: usize, unit: f64) -> Result<Vec<f64>> {
    let mut rows = memory::with_capacity(memory::product(n, modes, "the DCT")?, "the DCT")?;
    for q in 0..modes {
        let scale = unit * (if q == 0 { 1.0 } else { 2.0 } / n as f64).sqrt();
        // The angle within one turn: cosines of large ones would lose digits.
        let angle = |i: usize| (q as u128 * (2 * i as u128 + 1) % (4 * n as u128)) as f64 * PI / (2 * n) as f64;
        rows.extend((0..n).map(|i| scale * angle(i).cos()));
    }
    Ok(rows)
}

/// Replaces the leading axis of a field by its coefficients, as the last axis: three of them bring
/// the axes back into their order.
struct Contract<'a> {
    cosines: &'a [f64],
    modes: usize,
    field: &'a [f64],
    out: &'a mut [f64],
}

const LANES: usize = 8;

impl WithSimd for Contract<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<I: Simd>(self, _: I) {
        let n = self.cosines.len() / self.modes;
        let rest = self.field.len() / n;
        for (c, column) in self.field.chunks_exact(n).enumerate() {
            for (q, row) in self.cosines.chunks_exact(n).enumerate() {
                let mut acc = [0.0; LANES];
                let (x, y) = (row.chunks_exact(LANES), column.chunks_exact(LANES));
                let tail: f64 = x.remainder().iter().zip(y.remainder()).map(|(x, y)| x * y).sum();
                for (x, y) in x.zip(y) {
                    for l in 0..LANES {
                        acc[l] += x[l] * y[l];
                    }
                }
                self.out[c + rest * q] = acc.iter().sum::<f64>() + tail;
            }
        }
    }
}
