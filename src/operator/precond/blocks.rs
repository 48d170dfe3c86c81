//! Steps of a substitution with the dense columns of a supernode, a block of them at a time. The
//! triangles on the diagonal of the blocks are kept inverted, so that the unknowns of a block need
//! not wait for each other (Raghavan, Parallel Process. Lett. 8, 1998; on the accuracy of this:
//! Du Croz, Higham, IMA J. Numer. Anal. 12, 1992).
//!
//! Column j of a matrix begins at `j ld`. Behind the last column and behind the vectors `s` and
//! `t` there are `SLACK` numbers more (see `simd::columns`). Vectors have one column or several side by side.

use crate::linalg::lanes::Row;
use crate::runtime::Scalar;

/// Columns of a block.
pub const WIDTH: usize = 8;

/// Calls a function of a constant, and of what else it is given, with the number of columns of a block.
macro_rules! by_width {
    ($count:expr, $f:ident $(<$($more:ident),*>)? ($($argument:expr),*)) => {
        match $count {
            1 => $f::<T, 1 $($(, $more)*)?>($($argument),*),
            2 => $f::<T, 2 $($(, $more)*)?>($($argument),*),
            3 => $f::<T, 3 $($(, $more)*)?>($($argument),*),
            4 => $f::<T, 4 $($(, $more)*)?>($($argument),*),
            5 => $f::<T, 5 $($(, $more)*)?>($($argument),*),
            6 => $f::<T, 6 $($(, $more)*)?>($($argument),*),
            7 => $f::<T, 7 $($(, $more)*)?>($($argument),*),
            _ => $f::<T, WIDTH $($(, $more)*)?>($($argument),*),
        }
    };
}
pub(super) use by_width;

/// The blocks of `width` columns: where they begin, and their columns.
#[inline(always)]
pub fn blocks(width: usize) -> impl DoubleEndedIterator<Item = (usize, usize)> {
    (0..width.div_ceil(WIDTH)).map(move |b| (b * WIDTH, WIDTH.min(width - b * WIDTH)))
}

/// The first numbers, of which there are enough.
#[inline(always)]
fn load<T: Scalar, const K: usize, Y: Row<T>>(s: &[Y]) -> [Y; K] {
    s.first_chunk().copied().unwrap_or([Y::ZERO; K])
}

// Steps are functions of their own, not inlined: eight of them in one loop run out of registers.

/// With L = [L_1; L_2], L_1 unit lower triangular: s_1 <- L_1^-1 s_1, then s_2 <- s_2 - L_2 s_1.
#[inline(always)]
pub fn lower<T: Scalar, Y: Row<T>>(l: &[T], ld: usize, width: usize, s: &mut [Y]) {
    for (j, count) in blocks(width) {
        by_width!(count, lower_block<Y>(&l[j * (ld + 1)..], ld, ld - j, &mut s[j..]));
    }
}

#[inline(never)]
fn lower_block<T: Scalar, const K: usize, Y: Row<T>>(l: &[T], ld: usize, rows: usize, s: &mut [Y]) {
    let x = load::<T, K, Y>(s);
    let mut y = x;
    for k in 0..K {
        let column = load::<T, K, T>(&l[k * ld..]);
        for i in k + 1..K {
            y[i] = y[i].plus(x[k].times(column[i]));
        }
    }
    s[..K].copy_from_slice(&y);
    Y::subtract(&l[K..], ld, rows - K, y, &mut s[K..]);
}

/// s_1 <- L_1^-T (s_1 - L_2^T s_2), with the conjugate of L if `CONJ`; s is zero behind its end.
#[inline(always)]
pub fn lower_transposed<T: Scalar, const CONJ: bool, Y: Row<T>>(l: &[T], ld: usize, width: usize, s: &mut [Y]) {
    for (j, count) in blocks(width).rev() {
        by_width!(count, lower_transposed_block<CONJ, Y>(&l[j * (ld + 1)..], ld, ld - j, &mut s[j..]));
    }
}

#[inline(never)]
fn lower_transposed_block<T: Scalar, const K: usize, const CONJ: bool, Y: Row<T>>(l: &[T], ld: usize, rows: usize, s: &mut [Y]) {
    let sums = Y::dots::<K, CONJ>(&l[K..], ld, rows - K, &s[K..]);
    let mut z = load::<T, K, Y>(s);
    (0..K).for_each(|k| z[k] = z[k].minus(sums[k]));
    let conj = |v: T| if CONJ { v.conj() } else { v };
    for i in 0..K {
        let column = load::<T, K, T>(&l[i * ld..]);
        s[i] = (i + 1..K).fold(z[i], |sum, k| sum.plus(z[k].times(conj(column[k]))));
    }
}

/// s <- U^-1 s with the upper triangle of the first `width` rows.
#[inline(always)]
pub fn upper<T: Scalar, Y: Row<T>>(u: &[T], ld: usize, width: usize, s: &mut [Y]) {
    for (j, count) in blocks(width).rev() {
        by_width!(count, upper_block<Y>(&u[j * ld..], ld, j, s));
    }
}

#[inline(never)]
fn upper_block<T: Scalar, const K: usize, Y: Row<T>>(u: &[T], ld: usize, j: usize, s: &mut [Y]) {
    let x = load::<T, K, Y>(&s[j..]);
    let mut y = [Y::ZERO; K];
    for k in 0..K {
        let column = load::<T, K, T>(&u[k * ld + j..]);
        for i in 0..=k {
            y[i] = y[i].plus(x[k].times(column[i]));
        }
    }
    s[j..j + K].copy_from_slice(&y);
    Y::subtract(u, ld, j, y, s);
}

/// s <- U^-T s.
#[inline(always)]
pub fn upper_transposed<T: Scalar, Y: Row<T>>(u: &[T], ld: usize, width: usize, s: &mut [Y]) {
    for (j, count) in blocks(width) {
        by_width!(count, upper_transposed_block<Y>(&u[j * ld..], ld, j, s));
    }
}

#[inline(never)]
fn upper_transposed_block<T: Scalar, const K: usize, Y: Row<T>>(u: &[T], ld: usize, j: usize, s: &mut [Y]) {
    let sums = Y::dots::<K, false>(u, ld, j, s);
    let mut z = load::<T, K, Y>(&s[j..]);
    (0..K).for_each(|k| z[k] = z[k].minus(sums[k]));
    for k in 0..K {
        let column = load::<T, K, T>(&u[k * ld + j..]);
        s[j + k] = (0..=k).fold(Y::ZERO, |sum, i| sum.plus(z[i].times(column[i])));
    }
}

/// t <- t - V x, for a matrix with `rows` rows.
#[inline(always)]
pub fn spread<T: Scalar, Y: Row<T>>(v: &[T], rows: usize, x: &[Y], t: &mut [Y]) {
    for (j, count) in blocks(x.len()) {
        by_width!(count, spread_block<Y>(&v[j * rows..], rows, &x[j..], t));
    }
}

#[inline(never)]
fn spread_block<T: Scalar, const K: usize, Y: Row<T>>(v: &[T], rows: usize, x: &[Y], t: &mut [Y]) {
    Y::subtract(v, rows, rows, load::<T, K, Y>(x), t);
}

/// x <- x - V^T t; t is zero behind its end.
#[inline(always)]
pub fn collect<T: Scalar, Y: Row<T>>(v: &[T], rows: usize, t: &[Y], x: &mut [Y]) {
    for (j, count) in blocks(x.len()) {
        by_width!(count, collect_block<Y>(&v[j * rows..], rows, t, &mut x[j..]));
    }
}

#[inline(never)]
fn collect_block<T: Scalar, const K: usize, Y: Row<T>>(v: &[T], rows: usize, t: &[Y], x: &mut [Y]) {
    let sums = Y::dots::<K, false>(v, rows, rows, t);
    x.iter_mut().zip(sums).for_each(|(x, sum)| *x = x.minus(sum));
}

/// t <- x_rows, and zero behind that.
#[inline(always)]
pub fn gather<T: Scalar, Y: Row<T>>(rows: &[u32], x: &[Y], t: &mut [Y]) {
    t.iter_mut().zip(rows).for_each(|(t, row)| *t = x[*row as usize]);
    t[rows.len()..][..Y::SLACK].fill(Y::ZERO);
}

/// x_rows <- x_rows + t.
#[inline(always)]
pub fn scatter<T: Scalar, Y: Row<T>>(rows: &[u32], t: &[Y], x: &mut [Y]) {
    t.iter().zip(rows).for_each(|(t, row)| x[*row as usize] = x[*row as usize].plus(*t));
}

/// Inverts the unit lower triangles on the diagonal.
pub fn invert_lower<T: Scalar>(l: &mut [T], ld: usize, width: usize) {
    for (b, count) in blocks(width) {
        let l = &mut l[b * (ld + 1)..];
        for j in 0..count {
            for i in j + 1..count {
                let sum = (j + 1..i).fold(l[j * ld + i], |sum, k| sum + l[k * ld + i] * l[j * ld + k]);
                l[j * ld + i] = -sum;
            }
        }
    }
}

/// Inverts the upper triangles on the diagonal, of which the diagonals are inverted already.
pub fn invert_upper<T: Scalar>(u: &mut [T], ld: usize, width: usize) {
    for (b, count) in blocks(width) {
        let u = &mut u[b * (ld + 1)..];
        for j in (0..count).rev() {
            for i in (0..j).rev() {
                let sum = (i + 1..=j).fold(T::ZERO, |sum, k| sum + u[k * ld + i] * u[j * ld + k]);
                u[j * ld + i] = -(u[i * ld + i] * sum);
            }
        }
    }
}
