//! Relaxation before and after the coarse correction: the same polynomial, or sweeps in opposite
//! order, so that the cycle is Hermitian.

use super::rows::Rows;
use crate::linalg::kernels::BLOCK;
use crate::runtime::options::Options;
use crate::runtime::{Pool, Scalar};

/// The degree unless another is asked for.
const DEGREE: usize = 2;

/// Which relaxation.
#[derive(Clone, Copy)]
pub enum Smoother {
    /// A polynomial in D^-1 A.
    Chebyshev { degree: usize, ratio: f64 },
    /// Over-relaxation, forward before and backward after.
    Sor { omega: f64, sweeps: usize },
}

/// A level as its smoother sees it.
#[derive(Clone, Copy)]
pub struct System<'a, S> {
    pub a: Rows<'a, S>,
    /// D^-1, zero where a row is left alone.
    pub inverse: &'a [S],
    /// Where the diagonal entries are.
    pub diagonal: &'a [usize],
    pub lambda: f64,
}

impl Smoother {
    pub fn new(options: &Options) -> Self {
        match options.text("smoother") {
            "ssor" => Smoother::Sor { omega: options.real("omega"), sweeps: options.count("sweeps") },
            _ => {
                let degree = if options.is_given("degree") { options.count("degree") } else { DEGREE };
                let ratio = if options.is_given("ratio") { options.real("ratio") } else { (degree * degree + 1) as f64 };
                Smoother::Chebyshev { degree, ratio }
            }
        }
    }

    /// How often a cycle reads the matrix of a level, its residual included.
    pub fn passes(&self) -> usize {
        match self {
            Smoother::Chebyshev { degree, .. } => 2 * degree,
            Smoother::Sor { sweeps, .. } => 2 * sweeps + 1,
        }
    }

    /// x <- what relaxation makes of a zero guess; r <- b - A x.
    pub fn before<S: Scalar>(self, pool: &Pool, system: System<S>, b: &[S], x: &mut [S], r: &mut [S]) {
        match self {
            Smoother::Chebyshev { degree, ratio } => {
                // Two vectors take turns, and the last turn must be x's.
                let (mut now, mut other) = if degree % 2 == 1 { (&mut *x, &mut *r) } else { (&mut *r, &mut *x) };
                let mut steps = Steps::new(system.lambda, ratio);
                system.first_step(pool, steps.next().1, b, now);
                for k in 1..degree {
                    let (keep, add) = steps.next();
                    // x_0 is zero.
                    if k == 1 { system.step(pool, 1.0 + keep, add, b, now, other) } else { system.long_step(pool, keep, add, b, now, other) }
                    std::mem::swap(&mut now, &mut other);
                }
                system.residual(pool, b, x, r);
            }
            Smoother::Sor { omega, sweeps } => {
                system.forward_from_zero(omega, b, x);
                (1..sweeps).for_each(|_| system.forward(omega, b, x));
                if sweeps == 1 && omega == 1.0 { system.residual_of_sweep(x, r) } else { system.residual(pool, b, x, r) }
            }
        }
    }

    /// Improves x; `r` is room.
    pub fn after<S: Scalar>(self, pool: &Pool, system: System<S>, b: &[S], x: &mut [S], r: &mut [S]) {
        match self {
            Smoother::Chebyshev { degree, ratio } => {
                let (mut now, mut other) = (&mut *x, &mut *r);
                let mut steps = Steps::new(system.lambda, ratio);
                for k in 0..degree {
                    let (keep, add) = steps.next();
                    if k == 0 { system.step(pool, 1.0, add, b, now, other) } else { system.long_step(pool, keep, add, b, now, other) }
                    std::mem::swap(&mut now, &mut other);
                }
                if degree % 2 == 1 {
                    x.copy_from_slice(r);
                }
            }
            Smoother::Sor { omega, sweeps } => (0..sweeps).for_each(|_| system.backward(omega, b, x)),
        }
    }
}

/// The numbers of x_k+1 = x_k + keep (x_k - x_k-1) + add D^-1 (b - A x_k), the Chebyshev iteration for
/// eigenvalues in [lambda / ratio, lambda] (Saad, Iterative Methods for Sparse Linear Systems, 2nd ed.,
/// sec. 12.3.2).
struct Steps {
    theta: f64,
    delta: f64,
    /// 0 before the first step.
    rho: f64,
}

impl Steps {
    fn new(lambda: f64, ratio: f64) -> Self {
        let low = lambda / ratio;
        Steps { theta: 0.5 * (lambda + low), delta: 0.5 * (lambda - low), rho: 0.0 }
    }

    /// `keep` and `add`.
    fn next(&mut self) -> (f64, f64) {
        let old = self.rho;
        if old == 0.0 {
            self.rho = self.delta / self.theta;
            return (0.0, 1.0 / self.theta);
        }
        self.rho = 1.0 / (2.0 * self.theta / self.delta - old);
        (self.rho * old, 2.0 * self.rho / self.delta)
    }
}

impl<S: Scalar> System<'_, S> {
    /// r <- b - A x.
    fn residual(self, pool: &Pool, b: &[S], x: &[S], r: &mut [S]) {
        self.a.products(pool, x, [b], r, |ax, [b], r| *r = b - ax);
    }

    /// x <- add D^-1 b.
    fn first_step(self, pool: &Pool, add: f64, b: &[S], x: &mut [S]) {
        pool.chunks(3 * b.len(), x, BLOCK, |c, x| {
            let rows = c * BLOCK..c * BLOCK + x.len();
            x.iter_mut().zip(&b[rows.clone()]).zip(&self.inverse[rows]).for_each(|((x, b), d)| *x = (*d * *b).scale(add));
        });
    }

    /// y <- keep x + add D^-1 (b - A x).
    fn step(self, pool: &Pool, keep: f64, add: f64, b: &[S], x: &[S], y: &mut [S]) {
        self.a.products(pool, x, [b, self.inverse, x], y, |ax, [b, d, x], y| *y = x.scale(keep) + (d * (b - ax)).scale(add));
    }

    /// y <- x + keep (x - y) + add D^-1 (b - A x).
    fn long_step(self, pool: &Pool, keep: f64, add: f64, b: &[S], x: &[S], y: &mut [S]) {
        self.a.products(pool, x, [b, self.inverse, x], y, |ax, [b, d, x], y| *y = x + (x - *y).scale(keep) + (d * (b - ax)).scale(add));
    }

    #[inline(always)]
    fn below(self, i: usize, x: &[S], sum: S) -> S {
        let span = self.a.ptr[i]..self.diagonal[i];
        self.a.col[span.clone()].iter().zip(&self.a.values[span]).fold(sum, |sum, (j, v)| sum - *v * x[*j as usize])
    }

    /// From the far end: the nearest neighbour, computed last, is used last.
    #[inline(always)]
    fn above(self, i: usize, x: &[S], sum: S) -> S {
        let span = self.diagonal[i] + 1..self.a.ptr[i + 1];
        self.a.col[span.clone()].iter().zip(&self.a.values[span]).rev().fold(sum, |sum, (j, v)| sum - *v * x[*j as usize])
    }

    /// (D / omega + L) x = b.
    fn forward_from_zero(self, omega: f64, b: &[S], x: &mut [S]) {
        for i in 0..b.len() {
            let sum = self.below(i, x, b[i]);
            x[i] = (self.inverse[i] * sum).scale(omega);
        }
    }

    /// r <- b - A x after `forward_from_zero` with omega 1.
    fn residual_of_sweep(self, x: &[S], r: &mut [S]) {
        for i in 0..x.len() {
            r[i] = self.above(i, x, S::ZERO);
        }
    }

    fn forward(self, omega: f64, b: &[S], x: &mut [S]) {
        for i in 0..b.len() {
            let sum = self.above(i, x, b[i]) - self.a.values[self.diagonal[i]] * x[i];
            x[i] += (self.inverse[i] * self.below(i, x, sum)).scale(omega);
        }
    }

    fn backward(self, omega: f64, b: &[S], x: &mut [S]) {
        for i in (0..b.len()).rev() {
            let sum = self.below(i, x, b[i]) - self.a.values[self.diagonal[i]] * x[i];
            x[i] += (self.inverse[i] * self.above(i, x, sum)).scale(omega);
        }
    }
}
