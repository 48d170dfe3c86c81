//! The projected least-squares problems `min || S - H Y ||` of a block Krylov cycle, column by column of S.

use super::small::norm;
use crate::runtime::{memory, Result, Wide};

/// Kept triangular by Givens rotations; the columns of H are kept as well, for the Ritz values. Blocks may
/// become narrower: a column of H ends where the basis ended when it was pushed.
pub struct BlockHessenberg<W: Wide> {
    capacity: usize,
    ld: usize,
    sides: usize,
    /// H itself, leading dimension `ld`.
    h: Vec<W>,
    r: Vec<W>,
    /// Of rows i - 1 and i: (i, c, s).
    rotations: Vec<(usize, f64, W)>,
    rhs: Vec<W>,
    /// Columns, and rows of H.
    pub len: usize,
    pub rows: usize,
}

impl<W: Wide> BlockHessenberg<W> {
    /// For `capacity` columns in blocks of at most `width`, and as many right-hand sides.
    pub fn new(capacity: usize, width: usize) -> Result<Self> {
        const WHAT: &str = "block Hessenberg matrix";
        let ld = capacity + width;
        let size = memory::product(ld, capacity, WHAT)?;
        Ok(BlockHessenberg {
            capacity,
            ld,
            sides: 0,
            h: memory::filled(size, W::ZERO, WHAT)?,
            r: memory::filled(size, W::ZERO, WHAT)?,
            rotations: memory::with_capacity(memory::product(capacity, width, WHAT)?, WHAT)?,
            rhs: memory::filled(memory::product(ld, width, WHAT)?, W::ZERO, WHAT)?,
            len: 0,
            rows: 0,
        })
    }

    /// The problem without columns: S is `rows x sides`.
    pub fn start(&mut self, s: &[W], rows: usize, sides: usize) {
        (self.len, self.rows, self.sides) = (0, rows, sides);
        self.rotations.clear();
        self.rhs.fill(W::ZERO);
        for j in 0..sides {
            self.rhs[j * self.ld..][..rows].copy_from_slice(&s[j * rows..][..rows]);
        }
    }

    /// Column `j` of H.
    pub fn column(&self, j: usize) -> &[W] {
        &self.h[j * self.ld..][..self.ld]
    }

    /// Appends a column that reaches down to the last row of the basis, which has grown to its length.
    pub fn push(&mut self, column: &[W]) {
        let (j, rows, ld) = (self.len, column.len(), self.ld);
        debug_assert!(j < self.capacity && rows > j);
        self.rows = self.rows.max(rows);
        for to in [&mut self.h, &mut self.r] {
            to[j * ld..][..rows].copy_from_slice(column);
            to[j * ld + rows..(j + 1) * ld].fill(W::ZERO);
        }
        let r = &mut self.r[j * ld..][..ld];
        for rotation in &self.rotations {
            rotate(rotation, r);
        }
        for i in (j + 1..rows).rev() {
            let rotation = givens(i, r[i - 1], r[i]);
            rotate(&rotation, r);
            r[i] = W::ZERO;
            for side in 0..self.sides {
                rotate(&rotation, &mut self.rhs[side * ld..][..ld]);
            }
            self.rotations.push(rotation);
        }
        self.len += 1;
    }

    /// What remains of a column of S.
    pub fn residual_norm(&self, side: usize) -> f64 {
        norm(&self.rhs[side * self.ld..][self.len..self.rows])
    }

    /// The minimiser for a column of S; a vanishing pivot (singular projected matrix) gets coefficient 0.
    pub fn solution(&self, side: usize, y: &mut [W]) {
        let (n, ld) = (self.len, self.ld);
        let largest = (0..n).map(|j| self.r[j * ld + j].modulus()).fold(0.0, f64::max);
        y[..n].copy_from_slice(&self.rhs[side * ld..][..n]);
        for j in (0..n).rev() {
            let pivot = self.r[j * ld + j];
            y[j] = if pivot.modulus() > largest * f64::EPSILON { y[j] / pivot } else { W::ZERO };
            let v = y[j];
            for i in 0..j {
                y[i] -= self.r[j * ld + i] * v;
            }
        }
    }
}

/// The rotation of rows i - 1 and i that takes b away: (a, b) -> (phase of a) ||(a, b)||, 0.
fn givens<W: Wide>(i: usize, a: W, b: W) -> (usize, f64, W) {
    let (size, below) = (a.modulus(), b.modulus());
    if below == 0.0 {
        return (i, 1.0, W::ZERO);
    }
    if size == 0.0 {
        return (i, 0.0, b.conj().scale(1.0 / below));
    }
    let length = size.hypot(below);
    (i, size / length, (a * b.conj()).scale(1.0 / (size * length)))
}

fn rotate<W: Wide>((i, c, s): &(usize, f64, W), x: &mut [W]) {
    let (a, b) = (x[i - 1], x[*i]);
    x[i - 1] = a.scale(*c) + *s * b;
    x[*i] = b.scale(*c) - s.conj() * a;
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex;

    /// The minimiser leaves a residual that H^H maps to zero, as long as it says.
    #[test]
    fn residuals_are_orthogonal_to_the_columns() {
        let mut seed = 1u64;
        let mut noise = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        let mut number = || Complex::new(noise(), noise());
        // Blocks of three columns; the third block is narrower.
        let lengths = [6, 6, 6, 8, 8, 8, 10, 10];
        let s: Vec<_> = (0..9).map(|_| number()).collect();
        let mut problem = BlockHessenberg::<Complex<f64>>::new(8, 3).unwrap();
        problem.start(&s, 3, 3);
        for rows in lengths {
            let column: Vec<_> = (0..rows).map(|_| number()).collect();
            problem.push(&column);
        }
        assert_eq!((problem.len, problem.rows), (8, 10));
        for side in 0..3 {
            let mut y = vec![Complex::new(0.0, 0.0); 8];
            problem.solution(side, &mut y);
            let mut left = [Complex::new(0.0, 0.0); 10];
            left[..3].copy_from_slice(&s[3 * side..][..3]);
            for (j, y) in y.iter().enumerate() {
                left.iter_mut().zip(problem.column(j)).for_each(|(l, h)| *l -= h * y);
            }
            for j in 0..8 {
                let product: Complex<f64> = problem.column(j).iter().zip(&left).map(|(h, l)| h.conj() * l).sum();
                assert!(product.norm() < 1e-13, "{product}");
            }
            assert!((norm(&left) - problem.residual_norm(side)).abs() < 1e-13);
        }
    }
}
