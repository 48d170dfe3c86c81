//! What tests of solvers share: sparse matrices whose products are computed here, and numbers to fill them with.
#![allow(dead_code)]

use num_complex::Complex;
use reknit::operator::sparse::{Compressed, Parts};
use reknit::operator::Operator;
use reknit::runtime::{Context, Scalar};
use std::sync::Arc;

pub type C64 = Complex<f64>;

#[allow(clippy::arc_with_non_send_sync)]
pub fn context() -> Arc<Context> {
    Arc::new(Context::new())
}

/// A fixed pseudo-random number in (-1, 1).
pub fn noise(seed: &mut u64) -> f64 {
    *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*seed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

pub fn numbers<T: Scalar>(n: usize, seed: &mut u64) -> Vec<T> {
    (0..n).map(|_| { let re = noise(seed); T::from_parts(re, noise(seed)) }).collect()
}

/// A sparse matrix by rows.
#[derive(Clone)]
pub struct Matrix<T>(pub Vec<Vec<(usize, T)>>);

impl<T: Scalar> Matrix<T> {
    /// Five points on an m x m grid: the centre, then west, east, south and north, from (i, j).
    pub fn grid(m: usize, stencil: impl Fn(usize, usize) -> [T; 5]) -> Self {
        let row = |c: usize| {
            let (i, j) = (c % m, c / m);
            let [centre, west, east, south, north] = stencil(i, j);
            let all = [(j > 0, c.wrapping_sub(m), south), (i > 0, c.wrapping_sub(1), west), (true, c, centre), (i + 1 < m, c + 1, east), (j + 1 < m, c + m, north)];
            all.into_iter().filter(|(there, ..)| *there).map(|(_, k, v)| (k, v)).collect()
        };
        Matrix((0..m * m).map(row).collect())
    }

    /// -Laplace u + shift u.
    pub fn laplacian(m: usize, shift: T) -> Self {
        let one = T::from_f64(-1.0);
        Self::grid(m, |_, _| [T::from_f64(4.0) + shift, one, one, one, one])
    }

    pub fn n(&self) -> usize {
        self.0.len()
    }

    pub fn times(&self, x: &[T]) -> Vec<T> {
        self.0.iter().map(|row| row.iter().fold(T::ZERO, |sum, (j, v)| sum + *v * x[*j])).collect()
    }

    pub fn operator(&self, context: &Arc<Context>) -> Operator<T> {
        let (mut ptr, mut ind, mut values) = (vec![0i64], Vec::new(), Vec::new());
        for row in &self.0 {
            row.iter().for_each(|(j, v)| { ind.push(*j as i64); values.push(*v) });
            ptr.push(ind.len() as i64);
        }
        let parts = Parts { nrows: self.n(), ncols: self.n(), base: 0, ptr: Box::new(ptr), ind: Box::new(ind), values: Box::new(values), copied: true };
        Operator::new(context.clone(), Box::new(Compressed::csr(parts).unwrap()))
    }
}

/// A permeability field on an m x m grid: exp of a few cosines whose phases drift with time.
pub fn permeability(m: usize, time: f64) -> impl Fn(usize, usize) -> f64 {
    move |i, j| {
        let (x, y) = (i as f64 / m as f64, j as f64 / m as f64);
        let wave = |k: f64, l: f64, phase: f64| (std::f64::consts::TAU * (k * x + l * y) + phase).cos();
        (1.2 * (wave(1.0, 0.5, time) + wave(-0.7, 1.3, 1.0 - 1.7 * time) + 0.7 * wave(2.1, 1.9, 2.0 + 0.6 * time))).exp()
    }
}

/// Darcy flow with harmonic means between cells.
pub fn darcy<T: Scalar>(m: usize, time: f64) -> Matrix<T> {
    let at = permeability(m + 2, time);
    Matrix::grid(m, |i, j| {
        let (i, j) = (i + 1, j + 1);
        let face = |k: usize, l: usize| 2.0 * at(i, j) * at(k, l) / (at(i, j) + at(k, l));
        let faces = [face(i - 1, j), face(i + 1, j), face(i, j - 1), face(i, j + 1)];
        let [w, e, s, n] = faces.map(|f| T::from_f64(-f));
        [T::from_f64(faces.iter().sum()), w, e, s, n]
    })
}

pub fn error<T: Scalar>(x: &[T], y: &[T]) -> f64 {
    let d: f64 = x.iter().zip(y).map(|(a, b)| (*a - *b).modulus().powi(2)).sum();
    let s: f64 = y.iter().map(|b| b.modulus().powi(2)).sum();
    (d / s).sqrt()
}
