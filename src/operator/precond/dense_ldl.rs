//! The dense steps of a supernodal factorisation L D L^H: short ones here, long ones by faer.

use super::blocks::{blocks, by_width, WIDTH};
use super::fronts::Shape;
use crate::linalg::simd::columns::{subtract, subtract_within};
use crate::runtime::Scalar;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// Columns that are eliminated before the ones after them hear of it.
const CHUNK: usize = 32;
/// Columns of a product that are formed at once.
const TILE: usize = 64;
/// Multiplications from which a product pays for a call of faer.
const LONG: usize = 20_000;

/// What the second factor of a product needs.
pub fn scaled(widest: usize) -> usize {
    widest * TILE
}

/// Factors the columns of a supernode: the unit lower triangle with D on the diagonal, and the rows
/// below. Each pivot is what `pivot` makes of column and value; `None` ends it with `Err(column)`.
#[inline(always)]
pub fn eliminate<T: Scalar>(panel: &mut [T], shape: Shape, scaled: &mut [T], mut pivot: impl FnMut(usize, f64) -> Option<f64>) -> Result<(), usize> {
    let (width, ld) = (shape.width, shape.tall());
    let chunk = if width > 2 * CHUNK { CHUNK } else { width };
    let mut first = 0;
    while first < width {
        let end = width.min(first + chunk);
        for j in first..end {
            for (p, count) in blocks(j - first) {
                by_width!(count, take(panel, ld, first + p, j));
            }
            let d = pivot(j, panel[j * (ld + 1)].real_part()).ok_or(j)?;
            panel[j * (ld + 1)] = T::from_f64(d);
            let inverse = 1.0 / d;
            panel[j * (ld + 1) + 1..(j + 1) * ld].iter_mut().for_each(|v| *v = v.scale(inverse));
        }
        let (done, rest) = panel.split_at_mut(end * ld);
        let l = &done[first * ld..];
        for t in (end..width).step_by(TILE) {
            let columns = TILE.min(width - t);
            let to = &mut rest[(t - end) * ld + t..];
            product(l, ld, first, end - first, t, ld - t, columns, to, ld, scaled);
        }
        first = end;
    }
    Ok(())
}

/// Column j <- column j - sum_k L_k d_k conj(L_jk), `K` columns from p on.
#[inline(never)]
fn take<T: Scalar, const K: usize>(panel: &mut [T], ld: usize, p: usize, j: usize) {
    let v: [T; K] = std::array::from_fn(|k| panel[(p + k) * ld + j].conj().scale(panel[(p + k) * (ld + 1)].real_part()));
    subtract_within(panel, p * ld + j, ld, ld - j, v, j * ld + j);
}

/// update <- update - L D L^H, lower triangle, with the rows of L below the supernode.
#[inline(always)]
pub fn update<T: Scalar>(panel: &[T], shape: Shape, update: &mut [T], scaled: &mut [T]) {
    let Shape { width, below } = shape;
    let ld = shape.tall();
    if width * below * below > LONG {
        for t in (0..below).step_by(TILE) {
            let columns = TILE.min(below - t);
            let to = &mut update[t * (shape.stride() + 1)..];
            product(panel, ld, 0, width, width + t, below - t, columns, to, shape.stride(), scaled);
        }
        return;
    }
    for (p, count) in blocks(width) {
        by_width!(count, lower_product(&panel[p * ld..], ld, p, shape, update));
    }
}

#[inline(never)]
fn lower_product<T: Scalar, const K: usize>(l: &[T], ld: usize, p: usize, shape: Shape, update: &mut [T]) {
    let d: [f64; K] = std::array::from_fn(|k| l[k * ld + p + k].real_part());
    for j in 0..shape.below {
        let row = shape.width + j;
        let v: [T; K] = std::array::from_fn(|k| l[k * ld + row].conj().scale(d[k]));
        subtract(&l[row..], ld, shape.below - j, v, &mut update[j * (shape.stride() + 1)..]);
    }
}

/// to <- to - L_rows D L_columns^H: `width` columns of L, which begin in `l` and with column `first` of the
/// supernode, and of its rows from t on the first `rows`, the first `columns`.
#[inline(never)]
#[allow(clippy::too_many_arguments)]
fn product<T: Scalar>(l: &[T], ld: usize, first: usize, width: usize, t: usize, rows: usize, columns: usize, to: &mut [T], stride: usize, scaled: &mut [T]) {
    let scaled = &mut scaled[..width * columns];
    for k in 0..width {
        let d = l[k * ld + first + k].real_part();
        for (j, v) in l[k * ld + t..][..columns].iter().enumerate() {
            scaled[j * width + k] = v.conj().scale(d);
        }
    }
    let end = (width - 1) * ld + t + rows;
    let left = MatRef::from_column_major_slice_with_stride(&l[t..end], rows, width, ld);
    let right = MatRef::from_column_major_slice(scaled, width, columns);
    let end = (columns - 1) * stride + rows;
    let to = MatMut::from_column_major_slice_with_stride_mut(&mut to[..end], rows, columns, stride);
    matmul(to, Accum::Add, left, right, -T::ONE, Par::Seq);
}
