//! The largest eigenvalue of a Hermitian operator, from a few Lanczos steps and the error bound of
//! the Ritz pair (Saad, Numerical Methods for Large Eigenvalue Problems, 2nd ed., sec. 6.6).

use crate::linalg::lockstep::alone;
use crate::linalg::Space;
use crate::runtime::random::{streams, Stream};
use crate::runtime::{Error, Result, Scalar};

/// Lanczos steps: enough for some three per cent of the largest eigenvalue of a grid problem.
const STEPS: usize = 20;

/// Covers what the error bound of the Ritz pair leaves open.
const MARGIN: f64 = 1.02;

/// A known bound that is no further above the largest eigenvalue than this is good enough.
const TIGHT: f64 = 0.9;

/// A bound, in practice, for the eigenvalues of the operator behind `product(x, y)`: y <- S x.
/// `work` holds three vectors of the length of one; all ranks call together.
pub fn largest<T: Scalar>(space: &Space<T>, work: [&mut [T]; 3], product: impl FnMut(&[T], &mut [T]) -> Result<()>) -> Result<f64> {
    largest_below(space, STEPS, f64::INFINITY, work, product)
}

/// As [`largest`], where `ceiling` is known to be a bound; it ends early when there is no better one.
pub fn largest_below<T: Scalar>(
    space: &Space<T>,
    most: usize,
    ceiling: f64,
    work: [&mut [T]; 3],
    mut product: impl FnMut(&[T], &mut [T]) -> Result<()>,
) -> Result<f64> {
    let [mut v, mut w, mut old] = work;
    start(space.context.seed(), v);
    old.fill(T::ZERO);
    let norm = alone(space.norm(v))?;
    if norm == 0.0 {
        // No rank has a row.
        return Ok(1.0);
    }
    v.iter_mut().for_each(|x| *x = x.scale(1.0 / norm));
    let (mut alpha, mut beta) = ([0.0; STEPS], [0.0; STEPS]);
    let mut steps = 0;
    let mut scale: f64 = 0.0;
    while steps < most.min(STEPS) {
        if let Err(e) = product(v, w) {
            space.fail(e);
        }
        let a = alone(space.dot(v, w))?.real_part();
        let b = if steps == 0 { 0.0 } else { beta[steps - 1] };
        for ((w, v), old) in w.iter_mut().zip(&*v).zip(&*old) {
            *w -= v.scale(a) + old.scale(b);
        }
        alpha[steps] = a;
        beta[steps] = alone(space.norm(w))?;
        scale = scale.max(a.abs() + b + beta[steps]);
        steps += 1;
        if ceiling.is_finite() && TIGHT * ceiling <= top(&alpha[..steps], &beta[..steps]) {
            return Ok(ceiling);
        }
        let next = beta[steps - 1];
        if next.is_nan() || next <= T::EPSILON * scale {
            break;
        }
        (old, v, w) = (v, w, old);
        v.iter_mut().for_each(|x| *x = x.scale(1.0 / next));
    }
    if !(alpha.iter().chain(&beta).all(|v| v.is_finite())) {
        return Err(Error::NonFinite("products with the matrix are not finite".to_string()));
    }
    let (alpha, beta) = (&alpha[..steps], &beta[..steps]);
    let theta = top(alpha, beta);
    Ok((MARGIN * (theta + beta[steps - 1] * tail(alpha, beta, theta))).min(ceiling))
}

fn start<T: Scalar>(seed: u64, v: &mut [T]) {
    let mut stream = Stream::new(seed, streams::SPECTRUM);
    let mut numbers = [0.0; 256];
    for (c, part) in v.chunks_mut(numbers.len()).enumerate() {
        let numbers = &mut numbers[..part.len()];
        stream.symmetric(256 * c as u64, numbers);
        part.iter_mut().zip(numbers).for_each(|(v, x)| *v = T::from_f64(*x));
    }
}

/// The largest eigenvalue of the tridiagonal matrix, by bisection with Sturm sequences.
fn top(alpha: &[f64], beta: &[f64]) -> f64 {
    let off = |j: usize| if j < alpha.len() - 1 { beta[j].abs() } else { 0.0 };
    let radius = |j: usize| off(j) + if j > 0 { off(j - 1) } else { 0.0 };
    let mut low = f64::MIN;
    let mut high = f64::MIN;
    for (j, a) in alpha.iter().enumerate() {
        low = low.max(*a);
        high = high.max(a + radius(j));
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        // All eigenvalues lie below `middle` when all pivots of T - middle I are negative.
        let mut pivot = alpha[0] - middle;
        let mut below = pivot < 0.0;
        for (a, b) in alpha[1..].iter().zip(beta) {
            pivot = a - middle - b * b / pivot;
            below &= pivot < 0.0;
        }
        if below { high = middle } else { low = middle }
    }
    high
}

/// The modulus of the last entry of the normalised eigenvector to `theta`, the largest eigenvalue.
fn tail(alpha: &[f64], beta: &[f64], theta: f64) -> f64 {
    let (mut before, mut last, mut square) = (0.0, 1.0f64, 1.0);
    for j in 1..alpha.len() {
        let back = if j > 1 { beta[j - 2] * before } else { 0.0 };
        (before, last) = (last, ((theta - alpha[j - 1]) * last - back) / beta[j - 1]);
        square += last * last;
    }
    last.abs() / square.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_of_a_known_tridiagonal_matrix() {
        // Eigenvalues 2 - 2 cos(k pi / (n + 1)), eigenvectors sin(j k pi / (n + 1)).
        let n = 12;
        let (alpha, beta) = (vec![2.0; n], vec![1.0; n]);
        let angle = std::f64::consts::PI * n as f64 / (n as f64 + 1.0);
        let theta = top(&alpha, &beta);
        assert!((theta - (2.0 - 2.0 * angle.cos())).abs() < 1e-14);
        let expected = (angle * n as f64).sin().abs() / ((n as f64 + 1.0) / 2.0).sqrt();
        assert!((tail(&alpha, &beta, theta) - expected).abs() < 1e-8);
    }
}
