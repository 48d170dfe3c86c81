//! M = the diagonal blocks of A. Their inverses are stored, so that an apply is a product.

use super::lagged::Part;
use crate::linalg::{Panel, PanelMut};
use crate::operator::{by_column, Operator, Trans};
use crate::runtime::options::Options;
use crate::runtime::{memory, Error, Pool, Result, Scalar};

pub struct BlockJacobi<T> {
    n: usize,
    block: usize,
    /// Block after block, each column-major; the last may be smaller.
    inverse: Vec<T>,
    work: Vec<T>,
    pivots: Vec<usize>,
}

impl<T: Scalar> BlockJacobi<T> {
    pub fn new(a: &Operator<T>, options: &Options) -> Result<Self> {
        const WHAT: &str = "diagonal blocks";
        let n = a.nrows();
        let block = options.count("block").min(n);
        let mut part = BlockJacobi {
            n,
            block,
            inverse: memory::filled(memory::product(n, block, WHAT)?, T::ZERO, WHAT)?,
            work: memory::filled(block * block, T::ZERO, WHAT)?,
            pivots: memory::filled(block, 0, WHAT)?,
        };
        part.factor(a)?;
        Ok(part)
    }

    fn factor(&mut self, a: &Operator<T>) -> Result<()> {
        let (n, block) = (self.n, self.block);
        self.inverse.fill(T::ZERO);
        let inverse = &mut self.inverse;
        a.with_body(|body| {
            body.entries(&mut |i, j, v| {
                let first = i - i % block;
                if i < n && j >= first && j < (first + block).min(n) {
                    let size = block.min(n - first);
                    inverse[first * block + (j - first) * size + (i - first)] += v;
                }
            })
        })?;
        for (b, inverse) in self.inverse.chunks_mut(block * block).enumerate() {
            let first = b * block;
            let size = block.min(n - first);
            let inverse = &mut inverse[..size * size];
            if let Some(at) = inverse.iter().position(|v| !v.finite()) {
                let (i, j) = (first + at % size, first + at / size);
                return Err(Error::NonFinite(format!("the entry in row {i}, column {j} (base 0) is {}, must be finite", inverse[at])));
            }
            if let Err(k) = invert(inverse, size, &mut self.work, &mut self.pivots) {
                return Err(Error::Singular(format!(
                    "the diagonal block of rows {first}..{} (base 0) is singular: no pivot is left for row {}",
                    first + size - 1,
                    first + k
                )));
            }
        }
        Ok(())
    }
}

/// a <- a^-1 by LU with partial pivoting; `a` is `n x n`, column-major. Err: the column without
/// a pivot.
fn invert<T: Scalar>(a: &mut [T], n: usize, work: &mut [T], pivots: &mut [usize]) -> std::result::Result<(), usize> {
    let lu = &mut work[..n * n];
    lu.copy_from_slice(a);
    for k in 0..n {
        let column = &lu[k * n..(k + 1) * n];
        let mut pivot = k;
        for i in k + 1..n {
            if column[i].modulus() > column[pivot].modulus() {
                pivot = i;
            }
        }
        let inverse = T::ONE / column[pivot];
        if !inverse.finite() {
            return Err(k);
        }
        pivots[k] = pivot;
        for j in 0..n {
            lu.swap(j * n + k, j * n + pivot);
        }
        for i in k + 1..n {
            lu[k * n + i] *= inverse;
        }
        for j in k + 1..n {
            let u = lu[j * n + k];
            for i in k + 1..n {
                let l = lu[k * n + i];
                lu[j * n + i] -= l * u;
            }
        }
    }
    a.fill(T::ZERO);
    for (j, x) in a.chunks_exact_mut(n).enumerate() {
        x[j] = T::ONE;
        for (k, pivot) in pivots[..n].iter().enumerate() {
            x.swap(k, *pivot);
        }
        for k in 0..n {
            let v = x[k];
            for i in k + 1..n {
                x[i] -= lu[k * n + i] * v;
            }
        }
        for k in (0..n).rev() {
            let v = x[k] / lu[k * n + k];
            x[k] = v;
            for i in 0..k {
                x[i] -= lu[k * n + i] * v;
            }
        }
    }
    if a.iter().all(|v| v.finite()) { Ok(()) } else { Err(n - 1) }
}

impl<T: Scalar> Part<T> for BlockJacobi<T> {
    fn refresh(&mut self, _pool: &Pool, a: &Operator<T>) -> Result<()> {
        self.factor(a)
    }

    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        let (n, block) = (self.n, self.block);
        // Whole blocks a task.
        let chunk = block * 1024usize.div_ceil(block);
        by_column(x, y, |x, y| {
            pool.chunks(n * (block + 2), y, chunk, |t, y| {
                for (b, y) in y.chunks_mut(block).enumerate() {
                    let first = t * chunk + b * block;
                    let inverse = &self.inverse[first * block..][..y.len() * y.len()];
                    multiply(trans, inverse, &x[first..first + y.len()], y);
                }
            });
            Ok(())
        })
    }

    fn entries(&self) -> usize {
        let last = self.n % self.block;
        (self.n - last) * self.block + last * last
    }
}

/// y <- op(a) x for one block.
#[inline]
fn multiply<T: Scalar>(trans: Trans, a: &[T], x: &[T], y: &mut [T]) {
    let n = y.len();
    match trans {
        Trans::N => {
            y.fill(T::ZERO);
            for (column, x) in a.chunks_exact(n).zip(x) {
                for (y, a) in y.iter_mut().zip(column) {
                    *y += *a * *x;
                }
            }
        }
        Trans::T => {
            for (column, y) in a.chunks_exact(n).zip(y) {
                *y = column.iter().zip(x).fold(T::ZERO, |sum, (a, x)| sum + *a * *x);
            }
        }
        Trans::H => {
            for (column, y) in a.chunks_exact(n).zip(y) {
                *y = column.iter().zip(x).fold(T::ZERO, |sum, (a, x)| sum + a.conj() * *x);
            }
        }
    }
}
