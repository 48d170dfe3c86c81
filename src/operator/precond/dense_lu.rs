//! The dense steps of a supernodal LU factorisation: small ones here, wide ones by faer.

use super::blocks::{blocks, by_width, WIDTH};
use super::fronts::Shape;
use crate::linalg::simd::columns::{subtract, subtract_within};
use crate::runtime::Scalar;
use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::lu::partial_pivoting::factor::{lu_in_place, lu_in_place_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_unit_lower_triangular_in_place};
use faer::{Accum, MatMut, MatRef, Par};

/// Columns up to which faer does not pay.
const NARROW: usize = 24;
/// Multiplications from which a product pays for a call of faer.
const LONG: usize = 20_000;

pub fn scratch<T: Scalar>(widest: usize) -> StackReq {
    lu_in_place_scratch::<usize, T>(widest, widest, Par::Seq, Default::default())
}

/// The columns of a supernode, all of their rows, are followed by the rows right of its diagonal
/// block, as columns. The block becomes P^T L U with row interchanges, the diagonal of U inverted; the
/// rows below become L = A U^-1, and those to the right L^-1 P A. False: there is no usable pivot.
#[inline(always)]
pub fn factor<T: Scalar>(panel: &mut [T], shape: Shape, swap: &mut [u32], permutation: &mut [usize], memory: &mut MemBuffer) -> bool {
    let (n, ld, below) = (shape.width, shape.tall(), shape.below);
    if n <= NARROW {
        return narrow(panel, shape, swap);
    }
    let (left, right) = panel.split_at_mut(ld * n);
    let (forward, inverse) = permutation.split_at_mut(n);
    let matrix = MatMut::from_column_major_slice_mut(left, ld, n);
    let (mut top, bottom) = matrix.split_at_row_mut(n);
    lu_in_place(top.as_mut(), forward, &mut inverse[..n], Par::Seq, MemStack::new(memory), Default::default());
    for k in 0..n {
        // The permutation as interchanges, one after the other.
        let mut from = forward[k];
        while from < k {
            from = forward[from];
        }
        swap[k] = (from - k) as u32;
    }
    let usable = |k: usize| (T::ONE / top[(k, k)]).finite() && top[(k, k)].finite();
    if !(0..n).all(usable) {
        return false;
    }
    solve_lower_triangular_in_place(top.as_ref().transpose(), bottom.transpose_mut(), Par::Seq);
    exchange(right, below, swap);
    let right = MatMut::from_column_major_slice_mut(&mut right[..below * n], below, n);
    solve_unit_lower_triangular_in_place(top.as_ref(), right.transpose_mut(), Par::Seq);
    for k in 0..n {
        top[(k, k)] = T::ONE / top[(k, k)];
    }
    true
}

/// [`factor`] for few columns.
#[inline(always)]
fn narrow<T: Scalar>(panel: &mut [T], shape: Shape, swap: &mut [u32]) -> bool {
    let (n, ld, below) = (shape.width, shape.tall(), shape.below);
    if !pivot(panel, ld, swap) {
        return false;
    }
    for j in 0..n {
        for (p, count) in blocks(j) {
            by_width!(count, take(panel, (p + j * ld, 1), p * ld + n, ld, below, j * ld + n));
        }
        // `pivot` has left the inverse on the diagonal.
        let inverse = panel[j * (ld + 1)];
        panel[j * ld + n..(j + 1) * ld].iter_mut().for_each(|v| *v *= inverse);
    }
    let right = n * ld;
    exchange(&mut panel[right..], below, swap);
    for i in 0..n {
        for (p, count) in blocks(i) {
            by_width!(count, take(panel, (p * ld + i, ld), right + p * below, below, below, right + i * below));
        }
    }
    true
}

/// The column at `to` less the products of `K` columns from `from` on with as many numbers, of which the
/// first place and the step are given.
#[inline(never)]
fn take<T: Scalar, const K: usize>(panel: &mut [T], (at, step): (usize, usize), from: usize, ld: usize, rows: usize, to: usize) {
    let v: [T; K] = std::array::from_fn(|k| panel[at + k * step]);
    subtract_within(panel, from, ld, rows, v, to);
}

/// update <- update - L U, with the rows of L below the supernode and the columns of U to the right.
#[inline(always)]
pub fn update<T: Scalar>(panel: &[T], shape: Shape, update: &mut [T]) {
    let Shape { width, below } = shape;
    let (l, u) = panel.split_at(width * shape.tall());
    if width * below * below > LONG {
        let stride = shape.stride();
        let to = MatMut::from_column_major_slice_with_stride_mut(&mut update[..below * stride], below, below, stride);
        let left = MatRef::from_column_major_slice_with_stride(&l[width..], below, width, shape.tall());
        let right = MatRef::from_column_major_slice(&u[..below * width], below, width);
        matmul(to, Accum::Add, left, right.transpose(), -T::ONE, Par::Seq);
        return;
    }
    for (p, count) in blocks(width) {
        by_width!(count, full_product(panel, p, shape, update));
    }
}

#[inline(never)]
fn full_product<T: Scalar, const K: usize>(panel: &[T], p: usize, shape: Shape, update: &mut [T]) {
    let Shape { width, below } = shape;
    let ld = shape.tall();
    for j in 0..below {
        let v: [T; K] = std::array::from_fn(|k| panel[width * ld + (p + k) * below + j]);
        subtract(&panel[p * ld + width..], ld, below, v, &mut update[j * shape.stride()..]);
    }
}

/// Interchanges columns of length `rows`.
fn exchange<T>(a: &mut [T], rows: usize, swap: &[u32]) {
    for (k, s) in swap.iter().enumerate().filter(|(_, s)| **s > 0) {
        let (first, second) = a.split_at_mut((k + *s as usize) * rows);
        first[k * rows..(k + 1) * rows].swap_with_slice(&mut second[..rows]);
    }
}

/// LU with partial pivoting of the top rows; the diagonal of U is inverted.
#[inline(always)]
fn pivot<T: Scalar>(a: &mut [T], ld: usize, swap: &mut [u32]) -> bool {
    let n = swap.len();
    for k in 0..n {
        let mut best = k;
        for i in k + 1..n {
            if a[k * ld + i].modulus() > a[k * ld + best].modulus() {
                best = i;
            }
        }
        swap[k] = (best - k) as u32;
        if best != k {
            for j in 0..n {
                a.swap(j * ld + k, j * ld + best);
            }
        }
        let d = a[k * ld + k];
        let inverse = T::ONE / d;
        if !inverse.finite() || !d.finite() {
            return false;
        }
        a[k * ld + k] = inverse;
        let (column, after) = a[k * ld..].split_at_mut(ld);
        let column = &mut column[k + 1..n];
        column.iter_mut().for_each(|v| *v *= inverse);
        for next in after.chunks_mut(ld).take(n - k - 1) {
            let u = next[k];
            next[k + 1..n].iter_mut().zip(&*column).for_each(|(v, l)| *v -= *l * u);
        }
    }
    true
}

/// Interchanges the first entries of a vector.
#[inline(always)]
pub fn interchange<T>(x: &mut [T], swap: &[u32]) {
    for (k, s) in swap.iter().enumerate() {
        x.swap(k, k + *s as usize);
    }
}

/// The inverse of [`interchange`].
#[inline(always)]
pub fn interchange_back<T>(x: &mut [T], swap: &[u32]) {
    for (k, s) in swap.iter().enumerate().rev() {
        x.swap(k, k + *s as usize);
    }
}
