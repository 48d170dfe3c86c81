//! Coding rates of features Z (d x n, a column a sample), and their gradients.
//!
//! R(Z) = logdet(I + alpha Z Z^T), dR/dZ = 2 alpha B^-1 Z with B = I + alpha Z Z^T. For memberships Pi (n x k, not negative) with
//! N_j = sum_i Pi_ij and kappa = d / eps^2:
//!
//!   R_c(Z, Pi)    = sum_j (N_j / n) logdet B_j,   B_j = I + (kappa / N_j) Z diag(Pi_j) Z^T
//!   dR_c/dZ       = (2 kappa / n) sum_j B_j^-1 Z diag(Pi_j)
//!   dR_c/dPi_ij   = (1 / n) (logdet B_j + kappa z_i^T B_j^-1 z_i - (d - tr B_j^-1))
//!
//! Y = Z diag(Pi_j)^(1/2) over the samples of cluster j takes the place of Z, and the smaller of I + alpha Y Y^T and I + alpha Y^T Y is
//! factored: both have one determinant, and B^-1 Y = Y (I + alpha Y^T Y)^-1.
//!
//! Source: Yu, Chan, You, Song and Ma 2020 (arXiv 2006.08558); Ding et al. 2023 (arXiv 2301.01805), eq. 4.

use super::laplacian::dot;
use crate::linalg::{Panel, PanelMut};
use crate::runtime::{memory, Error, Pool, Result};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{matmul as triangular_matmul, BlockStructure};
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Accum, MatMut, MatRef, Par};

const WHAT: &str = "a coding rate";

/// Parts that clusters are dealt out to, whatever the threads.
const PARTS: usize = 8;

/// Room for one cluster of at most n samples.
struct Room {
    /// Y, d x s, and Y^T or B^-1 Y.
    y: Vec<f64>,
    solved: Vec<f64>,
    /// The matrix that is factored, of order min(d, s).
    square: Vec<f64>,
    inverse: Vec<f64>,
    stack: MemBuffer,
}

impl Room {
    fn new(d: usize, n: usize, inverse: bool) -> Result<Self> {
        let zeros = |a: usize, b: usize| memory::filled(memory::product(a, b, WHAT)?, 0.0, WHAT);
        let order = d.min(n);
        let need = cholesky_in_place_scratch::<f64>(order, Par::Seq, Default::default());
        let stack = MemBuffer::try_new(need).map_err(|_| Error::Memory { what: WHAT, bytes: need.size_bytes() })?;
        let inverse = if inverse { order } else { 0 };
        Ok(Room { y: zeros(d, n)?, solved: zeros(d, n)?, square: zeros(order, order)?, inverse: zeros(inverse, inverse)?, stack })
    }

    /// Factors B = L L^T, or its twin of order s, for Y, d x s, in place; gives logdet B.
    fn factor(&mut self, d: usize, s: usize, alpha: f64) -> Result<f64> {
        let order = d.min(s);
        let y = MatRef::from_column_major_slice(&self.y[..d * s], d, s);
        let mut square = MatMut::from_column_major_slice_mut(&mut self.square[..order * order], order, order);
        let (left, right) = if s < d { (y.transpose(), y) } else { (y, y.transpose()) };
        let (half, full) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
        triangular_matmul(square.as_mut(), half, Accum::Replace, left, full, right, full, alpha, Par::Seq);
        (0..order).for_each(|k| square[(k, k)] += 1.0);
        let stack = MemStack::new(&mut self.stack);
        let is_done = cholesky_in_place(square.as_mut(), Default::default(), Par::Seq, stack, Default::default()).is_ok();
        let rate = 2.0 * (0..order).map(|k| square[(k, k)].ln()).sum::<f64>();
        if is_done && rate.is_finite() { Ok(rate) } else { Err(Error::NonFinite("the coding rate overflows: the features are too large".to_string())) }
    }

    fn triangle(&self, order: usize) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.square[..order * order], order, order)
    }

    /// solved <- B^-1 Y.
    fn solve(&mut self, d: usize, s: usize) {
        let order = d.min(s);
        let mut solved = std::mem::take(&mut self.solved);
        let y = &self.y[..d * s];
        let mut to = MatMut::from_column_major_slice_mut(&mut solved[..d * s], d, s);
        to.copy_from(MatRef::from_column_major_slice(y, d, s));
        let l = self.triangle(order);
        let mut right = if s < d { to.transpose_mut() } else { to };
        solve_lower_triangular_in_place(l, right.as_mut(), Par::Seq);
        solve_upper_triangular_in_place(l.transpose(), right.as_mut(), Par::Seq);
        self.solved = solved;
    }

    /// d - tr B^-1, the same for the twin.
    fn lost(&mut self, d: usize, s: usize) -> f64 {
        let order = d.min(s);
        let mut inverse = std::mem::take(&mut self.inverse);
        let unit = &mut inverse[..order * order];
        unit.fill(0.0);
        (0..order).for_each(|k| unit[k * order + k] = 1.0);
        let to = MatMut::from_column_major_slice_mut(unit, order, order);
        solve_lower_triangular_in_place(self.triangle(order), to, Par::Seq);
        let trace = dot(unit, unit);
        self.inverse = inverse;
        order as f64 - trace
    }

    /// kappa z_i^T B^-1 z_i for all samples, into `out`; `work` has room for order x n.
    fn weights(&self, z: Panel<f64>, s: usize, alpha: f64, kappa: f64, work: &mut [f64], out: &mut [f64]) {
        let (d, n) = (z.nrows, z.ncols);
        let order = d.min(s);
        let mut x = MatMut::from_column_major_slice_mut(&mut work[..order * n], order, n);
        if s < d {
            let y = MatRef::from_column_major_slice(&self.y[..d * s], d, s);
            matmul(x.as_mut(), Accum::Replace, y.transpose(), matrix(z), 1.0, Par::Seq);
        } else {
            x.copy_from(matrix(z));
        }
        solve_lower_triangular_in_place(self.triangle(order), x.as_mut(), Par::Seq);
        for (i, out) in out.iter_mut().enumerate() {
            let x = &work[i * order..][..order];
            let square = dot(x, x);
            // By Sherman, Morrison and Woodbury where the twin is factored.
            *out = kappa * if s < d { dot(z.col(i), z.col(i)) - alpha * square } else { square };
        }
    }
}

fn matrix<'a>(z: Panel<'a, f64>) -> MatRef<'a, f64> {
    MatRef::from_column_major_slice_with_stride(z.data, z.nrows, z.ncols, z.ld.max(z.nrows))
}

/// logdet(I + alpha Z Z^T), and its gradient.
pub fn rate(z: Panel<f64>, alpha: f64, gradient: Option<PanelMut<f64>>) -> Result<f64> {
    let (d, n) = (z.nrows, z.ncols);
    let mut room = Room::new(d, n, false)?;
    room.y.chunks_exact_mut(d).enumerate().for_each(|(i, to)| to.copy_from_slice(z.col(i)));
    let rate = room.factor(d, n, alpha)?;
    if let Some(mut gradient) = gradient {
        room.solve(d, n);
        for (i, from) in room.solved.chunks_exact(d).enumerate() {
            gradient.col(i).iter_mut().zip(from).for_each(|(to, v)| *to = 2.0 * alpha * v);
        }
    }
    Ok(rate)
}

/// Clusters of one part, with what they add up.
struct Part {
    first: usize,
    rates: Vec<f64>,
    room: Room,
    samples: Vec<usize>,
    work: Vec<f64>,
    z: Vec<f64>,
    pi: Vec<f64>,
    failure: Option<Error>,
}

/// R_c, with derivatives; Pi is n x k. An empty cluster has the rate zero, and derivatives as of a first grain of each sample alone.
pub fn clustered(
    pool: &Pool,
    z: Panel<f64>,
    pi: Panel<f64>,
    eps2: f64,
    of_z: Option<PanelMut<f64>>,
    of_pi: Option<PanelMut<f64>>,
) -> Result<f64> {
    let (d, n, k) = (z.nrows, z.ncols, pi.ncols);
    let kappa = d as f64 / eps2;
    let zeros = |a: usize, b: usize| memory::filled(memory::product(a, b, WHAT)?, 0.0, WHAT);
    let when = |wanted: bool, a: usize, b: usize| if wanted { zeros(a, b) } else { Ok(Vec::new()) };
    let (wants_z, wants_pi) = (of_z.is_some(), of_pi.is_some());
    let share = k.div_ceil(PARTS).max(1);
    let mut parts = memory::with_capacity(PARTS, WHAT)?;
    for first in (0..k).step_by(share) {
        let count = share.min(k - first);
        parts.push(Part {
            first,
            rates: zeros(1, count)?,
            room: Room::new(d, n, wants_pi)?,
            samples: memory::with_capacity(n, WHAT)?,
            work: when(wants_pi, d.min(n), n)?,
            z: when(wants_z, d, n)?,
            pi: when(wants_pi, n, count)?,
            failure: None,
        });
    }
    let work = d.saturating_mul(d).saturating_mul(n).saturating_mul(k);
    pool.chunks(work, &mut parts, 1, |_, parts| {
        let part = &mut parts[0];
        for c in 0..part.rates.len() {
            if let Err(e) = part.cluster(c, z, pi.col(part.first + c), kappa, wants_z, wants_pi) {
                return part.failure = Some(e);
            }
        }
    });
    if let Some(e) = parts.iter_mut().find_map(|part| part.failure.take()) {
        return Err(e);
    }
    if let Some(mut to) = of_z {
        for i in 0..n {
            for (l, to) in to.col(i).iter_mut().enumerate() {
                *to = parts.iter().map(|part| part.z[i * d + l]).sum();
            }
        }
    }
    if let Some(mut to) = of_pi {
        for part in &parts {
            for (c, from) in part.pi.chunks_exact(n).enumerate() {
                to.col(part.first + c).copy_from_slice(from);
            }
        }
    }
    Ok(parts.iter().flat_map(|part| &part.rates).sum())
}

impl Part {
    fn cluster(&mut self, c: usize, z: Panel<f64>, pi: &[f64], kappa: f64, wants_z: bool, wants_pi: bool) -> Result<()> {
        let (d, n) = (z.nrows, z.ncols);
        let mass: f64 = pi.iter().sum();
        if mass == 0.0 {
            if wants_pi {
                let to = self.pi[c * n..][..n].iter_mut().enumerate();
                to.for_each(|(i, to)| *to = (kappa * dot(z.col(i), z.col(i))).ln_1p() / n as f64);
            }
            return Ok(());
        }
        self.samples.clear();
        self.samples.extend((0..n).filter(|i| pi[*i] > 0.0));
        let (s, alpha) = (self.samples.len(), kappa / mass);
        for (i, to) in self.samples.iter().zip(self.room.y.chunks_exact_mut(d)) {
            let root = pi[*i].sqrt();
            to.iter_mut().zip(z.col(*i)).for_each(|(to, z)| *to = root * z);
        }
        let rate = self.room.factor(d, s, alpha)?;
        self.rates[c] = mass / n as f64 * rate;
        if wants_z {
            self.room.solve(d, s);
            for (i, from) in self.samples.iter().zip(self.room.solved.chunks_exact(d)) {
                let weight = 2.0 * kappa / n as f64 * pi[*i].sqrt();
                self.z[i * d..][..d].iter_mut().zip(from).for_each(|(to, v)| *to += weight * v);
            }
        }
        if wants_pi {
            let lost = self.room.lost(d, s);
            let to = &mut self.pi[c * n..][..n];
            self.room.weights(z, s, alpha, kappa, &mut self.work, to);
            to.iter_mut().for_each(|to| *to = (rate + *to - lost) / n as f64);
        }
        Ok(())
    }
}
