//! Kernels on vectors and panels. A panel may be stored in a lower precision `S` than the vector
//! `T` (both reduce in the same wide scalar). Work is cut into blocks of rows of a fixed size: a block of the vector
//! stays in the first-level cache while the columns stream past, and sums over blocks are taken
//! in a fixed order, so the bits do not depend on the number of threads.
//!
//! Instructions are chosen at run time (`pulp`); the loops are written over fixed lanes, which
//! the compiler turns into whatever vectors the machine has.

use super::Panel;
use crate::runtime::{Pool, Scalar, Wide};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::{Simd, WithSimd};

/// Rows a block: 16 KiB of f64.
pub const BLOCK: usize = 2048;

/// Independent partial sums in an inner product.
const LANES: usize = 8;

pub fn blocks(n: usize) -> usize {
    n.div_ceil(BLOCK)
}

#[inline(always)]
fn dots<S: Scalar<Wide = T::Wide>, T: Scalar, const K: usize>(x: [&[S]; K], y: &[T]) -> [T::Wide; K] {
    let mut acc = [[T::Wide::ZERO; LANES]; K];
    let n = y.len();
    let x: [&[S]; K] = x.map(|c| &c[..n]);
    let whole = n - n % LANES;
    let mut i = 0;
    while i < whole {
        let yl: [T::Wide; LANES] = std::array::from_fn(|l| y[i + l].wide());
        for c in 0..K {
            let xs = &x[c][i..i + LANES];
            for l in 0..LANES {
                acc[c][l] += xs[l].conj().wide() * yl[l];
            }
        }
        i += LANES;
    }
    for i in whole..n {
        for c in 0..K {
            acc[c][i - whole] += x[c][i].conj().wide() * y[i].wide();
        }
    }
    acc.map(|a| ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7])))
}

// Kernels are structs, not closures: a closure called through `FnOnce` would not be inlined into
// the function that `pulp` compiles for the wider instruction set.

/// Inner products of the columns of `x` with `y` within one block of rows, from `start` on.
struct DotsOfBlock<'a, S, T: Scalar> {
    x: Panel<'a, S>,
    start: usize,
    y: &'a [T],
    out: &'a mut [T::Wide],
}

impl<S: Scalar<Wide = T::Wide>, T: Scalar> WithSimd for DotsOfBlock<'_, S, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<I: Simd>(self, _: I) {
        let DotsOfBlock { x, start, y, out } = self;
        let col = |j: usize| &x.data[j * x.ld + start..][..y.len()];
        let mut j = 0;
        while j + 4 <= x.ncols {
            out[j..j + 4].copy_from_slice(&dots([col(j), col(j + 1), col(j + 2), col(j + 3)], y));
            j += 4;
        }
        while j < x.ncols {
            out[j] = dots([col(j)], y)[0];
            j += 1;
        }
    }
}

/// Sums `partial` (`blocks` rows of `k`) over the blocks, pairwise in a fixed shape, into `out`.
fn combine<W: Wide>(partial: &mut [W], k: usize, blocks: usize, out: &mut [W]) {
    let mut stride = 1;
    while stride < blocks {
        let mut b = 0;
        while b + stride < blocks {
            for c in 0..k {
                let other = partial[(b + stride) * k + c];
                partial[b * k + c] += other;
            }
            b += 2 * stride;
        }
        stride *= 2;
    }
    if blocks == 0 {
        out[..k].fill(W::ZERO);
    } else {
        out[..k].copy_from_slice(&partial[..k]);
    }
}

/// Room for partial sums of `k` columns of `n` rows.
pub fn partial_len(n: usize, k: usize) -> usize {
    blocks(n) * k
}

/// out[j] = x_j^H y. `partial` has [`partial_len`] entries.
pub fn inner<S: Scalar<Wide = T::Wide>, T: Scalar>(pool: &Pool, x: Panel<S>, y: &[T], partial: &mut [T::Wide], out: &mut [T::Wide]) {
    let (n, k) = (y.len(), x.ncols);
    if k == 0 {
        return;
    }
    let partial = &mut partial[..partial_len(n, k)];
    let arch = pulp::Arch::new();
    pool.chunks(n * (k + 1), partial, k, |b, out| {
        let start = b * BLOCK;
        arch.dispatch(DotsOfBlock { x, start, y: &y[start..(start + BLOCK).min(n)], out });
    });
    combine(partial, k, blocks(n), out);
}

/// out[j] = x_j^H (w .* y) with real weights w.
pub fn weighted_inner<S: Scalar<Wide = T::Wide>, T: Scalar>(x: Panel<S>, w: &[f64], y: &[T], partial: &mut [T::Wide], out: &mut [T::Wide]) {
    let (n, k) = (y.len(), x.ncols);
    for b in 0..blocks(n) {
        let rows = b * BLOCK..(b * BLOCK + BLOCK).min(n);
        for j in 0..k {
            let mut sum = T::Wide::ZERO;
            for i in rows.clone() {
                sum += x.data[j * x.ld + i].conj().wide() * y[i].wide().scale(w[i]);
            }
            partial[b * k + j] = sum;
        }
    }
    combine(&mut partial[..partial_len(n, k)], k, blocks(n), out);
}

/// y <- y + X coef within one block of rows, from `start` on.
struct AddBlock<'a, S, T> {
    x: Panel<'a, S>,
    coef: &'a [T],
    start: usize,
    y: &'a mut [T],
}

impl<S: Scalar<Wide = T::Wide>, T: Scalar> WithSimd for AddBlock<'_, S, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<I: Simd>(self, _: I) {
        let AddBlock { x, coef, start, y } = self;
        let n = y.len();
        let col = |j: usize| &x.data[j * x.ld + start..][..n];
        let at = |v: S| T::narrow(v.wide());
        let mut j = 0;
        while j + 4 <= x.ncols {
            let (a, b, c, d) = (col(j), col(j + 1), col(j + 2), col(j + 3));
            let (ca, cb, cc, cd) = (coef[j], coef[j + 1], coef[j + 2], coef[j + 3]);
            for i in 0..n {
                y[i] += (at(a[i]) * ca + at(b[i]) * cb) + (at(c[i]) * cc + at(d[i]) * cd);
            }
            j += 4;
        }
        while j < x.ncols {
            let (a, ca) = (col(j), coef[j]);
            for i in 0..n {
                y[i] += at(a[i]) * ca;
            }
            j += 1;
        }
    }
}

/// y <- y + X coef.
pub fn add<S: Scalar<Wide = T::Wide>, T: Scalar>(pool: &Pool, x: Panel<S>, coef: &[T], y: &mut [T]) {
    if x.ncols == 0 {
        return;
    }
    let arch = pulp::Arch::new();
    pool.chunks(y.len() * (x.ncols + 2), y, BLOCK, |b, y| arch.dispatch(AddBlock { x, coef, start: b * BLOCK, y }));
}

/// y <- y + X coef, then out <- [X^H y, y^H y], within one block of rows. Done in pieces that leave
/// the rows of X in cache between the two uses.
struct AddDotsBlock<'a, S, T: Scalar> {
    x: Panel<'a, S>,
    coef: &'a [T],
    start: usize,
    y: &'a mut [T],
    out: &'a mut [T::Wide],
}

/// Rows a piece: 41 columns of f64 fill 168 KiB.
const PIECE: usize = 512;

impl<S: Scalar<Wide = T::Wide>, T: Scalar> WithSimd for AddDotsBlock<'_, S, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<I: Simd>(self, simd: I) {
        let AddDotsBlock { x, coef, start, y, out } = self;
        out.fill(<T::Wide as Scalar>::ZERO);
        for (i, piece) in y.chunks_mut(PIECE).enumerate() {
            let start = start + i * PIECE;
            AddBlock { x, coef, start, y: piece }.with_simd(simd);
            let col = |j: usize| &x.data[j * x.ld + start..][..piece.len()];
            let mut j = 0;
            while j + 4 <= x.ncols {
                let sums = dots([col(j), col(j + 1), col(j + 2), col(j + 3)], piece);
                out[j..j + 4].iter_mut().zip(sums).for_each(|(o, s)| *o += s);
                j += 4;
            }
            while j < x.ncols {
                out[j] += dots([col(j)], piece)[0];
                j += 1;
            }
            out[x.ncols] += dots([&*piece], piece)[0];
        }
    }
}

/// y <- y + X coef, then out <- [X^H y, y^H y] of the new y. `partial` has [`partial_len`] entries
/// for one column more than X has.
pub fn add_inner<S: Scalar<Wide = T::Wide>, T: Scalar>(
    pool: &Pool,
    x: Panel<S>,
    coef: &[T],
    y: &mut [T],
    partial: &mut [T::Wide],
    out: &mut [T::Wide],
) {
    let (n, k) = (y.len(), x.ncols + 1);
    let partial = &mut partial[..partial_len(n, k)];
    let arch = pulp::Arch::new();
    pool.chunks2(2 * n * k, (y, BLOCK), (&mut *partial, k), |b, y, out| {
        arch.dispatch(AddDotsBlock { x, coef, start: b * BLOCK, y, out })
    });
    combine(partial, k, blocks(n), out);
}

/// y <- x in another precision.
pub fn convert<S: Scalar<Wide = T::Wide>, T: Scalar>(x: &[S], y: &mut [T]) {
    y.iter_mut().zip(x).for_each(|(v, u)| *v = T::narrow(u.wide()));
}

/// X <- X Q in place: `x` holds columns of length `n` without gaps, `q` is `m x k` column-major
/// with `k <= m`; the first `k` columns are overwritten, the others keep their old values.
/// `scratch` has [`rotate_len`] entries.
pub fn rotate<T: Scalar>(x: &mut [T], n: usize, m: usize, q: &[T], k: usize, scratch: &mut [T]) {
    rotate_with(x, n, m, Panel::packed(&[], n, 0), q, k, scratch);
}

/// X <- [X Y] Q in place: as [`rotate`] for the `m` columns of `x` followed by those of `y`.
pub fn rotate_with<T: Scalar>(x: &mut [T], n: usize, m: usize, y: Panel<T>, q: &[T], k: usize, scratch: &mut [T]) {
    let height = m + y.ncols;
    let q = MatRef::from_column_major_slice(&q[..height * k], height, k);
    for start in (0..n).step_by(ROTATE_ROWS) {
        let rows = ROTATE_ROWS.min(n - start);
        let tile = |columns: usize| start..(columns - 1) * n + start + rows;
        let mut out = MatMut::from_column_major_slice_with_stride_mut(&mut scratch[..(k - 1) * ROTATE_ROWS + rows], rows, k, ROTATE_ROWS);
        let mut accum = Accum::Replace;
        if m > 0 {
            let old = MatRef::from_column_major_slice_with_stride(&x[tile(m)], rows, m, n);
            matmul(&mut out, accum, old, q.subrows(0, m), <T as Scalar>::ONE, Par::Seq);
            accum = Accum::Add;
        }
        if y.ncols > 0 {
            let more = MatRef::from_column_major_slice_with_stride(&y.data[tile(y.ncols)], rows, y.ncols, n);
            matmul(&mut out, accum, more, q.subrows(m, y.ncols), <T as Scalar>::ONE, Par::Seq);
        }
        for j in 0..k {
            x[j * n + start..][..rows].copy_from_slice(&scratch[j * ROTATE_ROWS..][..rows]);
        }
    }
}

/// Rows a tile of [`rotate`]: with 60 columns of f64 a tile fills half a megabyte.
const ROTATE_ROWS: usize = 1024;

/// out <- X^H Y, `out` column-major `x.ncols x y.ncols`; for long panels, in the panels' own
/// precision.
pub fn gram<T: Scalar>(x: Panel<T>, y: Panel<T>, out: &mut [T]) {
    let mut out = MatMut::from_column_major_slice_mut(&mut out[..x.ncols * y.ncols], x.ncols, y.ncols);
    for start in (0..x.nrows).step_by(BLOCK) {
        let rows = BLOCK.min(x.nrows - start);
        let tile = |p: Panel<'_, T>| -> std::ops::Range<usize> { start..(p.ncols - 1) * p.ld + start + rows };
        let left = MatRef::from_column_major_slice_with_stride(&x.data[tile(x)], rows, x.ncols, x.ld);
        let right = MatRef::from_column_major_slice_with_stride(&y.data[tile(y)], rows, y.ncols, y.ld);
        let accum = if start == 0 { Accum::Replace } else { Accum::Add };
        matmul(&mut out, accum, left.adjoint(), right, <T as Scalar>::ONE, Par::Seq);
    }
}

/// Entries of the scratch array of [`rotate`].
pub fn rotate_len(k: usize) -> usize {
    ROTATE_ROWS * k
}

/// y <- alpha y.
pub fn scale<T: Scalar>(pool: &Pool, alpha: f64, y: &mut [T]) {
    pool.chunks(2 * y.len(), y, BLOCK, |_, y| y.iter_mut().for_each(|v| *v = v.scale(alpha)));
}

/// y <- alpha x.
pub fn scaled_copy<T: Scalar>(pool: &Pool, alpha: f64, x: &[T], y: &mut [T]) {
    pool.chunks(2 * y.len(), y, BLOCK, |b, y| {
        y.iter_mut().zip(&x[b * BLOCK..]).for_each(|(v, u)| *v = u.scale(alpha))
    });
}

/// y <- y + alpha x.
pub fn axpy<T: Scalar>(pool: &Pool, alpha: T, x: &[T], y: &mut [T]) {
    pool.chunks(2 * y.len(), y, BLOCK, |b, y| {
        y.iter_mut().zip(&x[b * BLOCK..]).for_each(|(v, u)| *v += *u * alpha)
    });
}

/// y <- x + beta y.
pub fn xpby<T: Scalar>(pool: &Pool, x: &[T], beta: T, y: &mut [T]) {
    pool.chunks(2 * y.len(), y, BLOCK, |b, y| {
        y.iter_mut().zip(&x[b * BLOCK..]).for_each(|(v, u)| *v = *u + *v * beta)
    });
}

/// y <- b - y: a residual from a product.
pub fn residual<T: Scalar>(pool: &Pool, b: &[T], y: &mut [T]) {
    pool.chunks(2 * y.len(), y, BLOCK, |i, y| {
        y.iter_mut().zip(&b[i * BLOCK..]).for_each(|(v, u)| *v = *u - *v)
    });
}

/// The first entry that is NaN or infinite.
pub fn first_nonfinite<T: Scalar>(x: &[T]) -> Option<usize> {
    // One fast pass for the usual case, the search only for the unusual one.
    if pulp::Arch::new().dispatch(AllFinite(x)) {
        return None;
    }
    x.iter().position(|v| !v.finite())
}

/// Zeros times the entries add up to zero as long as every entry is finite.
struct AllFinite<'a, T>(&'a [T]);

impl<T: Scalar> WithSimd for AllFinite<'_, T> {
    type Output = bool;
    #[inline(always)]
    fn with_simd<I: Simd>(self, _: I) -> bool {
        let mut acc = [T::ZERO; LANES];
        let (whole, rest) = self.0.split_at(self.0.len() - self.0.len() % LANES);
        for chunk in whole.chunks_exact(LANES) {
            for l in 0..LANES {
                acc[l] += chunk[l] * T::ZERO;
            }
        }
        acc.iter().all(|a| a.finite()) && rest.iter().all(|v| v.finite())
    }
}
