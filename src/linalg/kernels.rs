//! Kernels on vectors and panels. A panel may be stored in a lower precision `S` than the vector
//! `T` (both reduce in the same wide scalar). Work is cut into blocks of rows of a fixed size: a block of the vector
//! stays in the first-level cache while the columns stream past, and sums over blocks are taken
//! in a fixed order, so the bits do not depend on the number of threads.
//!
//! Instructions are chosen at run time (`pulp`); the loops are written over fixed lanes, which
//! the compiler turns into whatever vectors the machine has.

use super::{simd, Panel, PanelMut};
use crate::runtime::{profile, Pool, Scalar, Wide};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::{Simd, WithSimd};

/// Rows a block: 16 KiB of f64.
pub const BLOCK: usize = 2048;

/// Independent partial sums in an inner product without special instructions.
const LANES: usize = 8;

pub fn blocks(n: usize) -> usize {
    n.div_ceil(BLOCK)
}

/// x_c^H y_v for all pairs, each entry of x read once.
#[inline(always)]
fn dots<S: Scalar<Wide = T::Wide>, T: Scalar, const K: usize, const V: usize>(x: [&[S]; K], y: [&[T]; V]) -> [[T::Wide; K]; V] {
    let n = y[0].len();
    let (x, y) = (x.map(|x| &x[..n]), y.map(|y| &y[..n]));
    simd::dots(x, y).unwrap_or_else(|| {
        let mut acc = [[[T::Wide::ZERO; LANES]; K]; V];
        for i in 0..n {
            for v in 0..V {
                for c in 0..K {
                    acc[v][c][i % LANES] += x[c][i].conj().wide() * y[v][i].wide();
                }
            }
        }
        acc.map(|of| of.map(|a| ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7]))))
    })
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
            out[j..j + 4].copy_from_slice(&dots([col(j), col(j + 1), col(j + 2), col(j + 3)], [y])[0]);
            j += 4;
        }
        while j < x.ncols {
            out[j] = dots([col(j)], [y])[0][0];
            j += 1;
        }
    }
}

/// out <- [X^H y_0, X^H y_1, y_1^H y_1] within one block of rows, from `start` on.
struct DotsOfPair<'a, S, T: Scalar> {
    x: Panel<'a, S>,
    start: usize,
    y: [&'a [T]; 2],
    out: &'a mut [T::Wide],
}

/// Rows of two vectors that stay in the first-level cache while columns stream past.
const HALF: usize = BLOCK / 2;

impl<S: Scalar<Wide = T::Wide>, T: Scalar> WithSimd for DotsOfPair<'_, S, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<I: Simd>(self, _: I) {
        let DotsOfPair { x, start, y, out } = self;
        let k = x.ncols;
        out.fill(<T::Wide as Scalar>::ZERO);
        for from in (0..y[0].len()).step_by(HALF) {
            let y = y.map(|v| &v[from..(from + HALF).min(v.len())]);
            let col = |j: usize| &x.data[j * x.ld + start + from..][..y[0].len()];
            let mut j = 0;
            while j + 4 <= k {
                let [a, b] = dots([col(j), col(j + 1), col(j + 2), col(j + 3)], y);
                for c in 0..4 {
                    out[j + c] += a[c];
                    out[k + j + c] += b[c];
                }
                j += 4;
            }
            while j < k {
                let [a, b] = dots([col(j)], y);
                out[j] += a[0];
                out[k + j] += b[0];
                j += 1;
            }
            out[2 * k] += dots([y[1]], [y[1]])[0][0];
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

/// Takes note of so many multiplications with an addition and of entries read or written.
fn note<T: Scalar>(products: usize, entries: usize) {
    profile::note(products * if T::IS_COMPLEX { 8 } else { 2 }, entries * size_of::<T>());
}

/// out[j] = x_j^H y. `partial` has [`partial_len`] entries.
pub fn inner<S: Scalar<Wide = T::Wide>, T: Scalar>(pool: &Pool, x: Panel<S>, y: &[T], partial: &mut [T::Wide], out: &mut [T::Wide]) {
    note::<S>(x.ncols * y.len(), x.ncols * y.len());
    note::<T>(0, y.len());
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

/// out <- [X^H y_0, X^H y_1, y_1^H y_1] in one sweep over X. `partial` has [`partial_len`] entries for
/// as many columns.
pub fn inner_pair<S: Scalar<Wide = T::Wide>, T: Scalar>(
    pool: &Pool,
    x: Panel<S>,
    y: [&[T]; 2],
    partial: &mut [T::Wide],
    out: &mut [T::Wide],
) {
    note::<S>(2 * x.ncols * y[0].len(), x.ncols * y[0].len());
    note::<T>(y[0].len(), 2 * y[0].len());
    let (n, k) = (y[0].len(), 2 * x.ncols + 1);
    let partial = &mut partial[..partial_len(n, k)];
    let arch = pulp::Arch::new();
    pool.chunks(n * (k + 1), partial, k, |b, out| {
        let rows = b * BLOCK..(b * BLOCK + BLOCK).min(n);
        arch.dispatch(DotsOfPair { x, start: rows.start, y: y.map(|v| &v[rows.clone()]), out });
    });
    combine(partial, k, blocks(n), out);
}

/// out[j] = x_j^H (w .* y) with real weights w.
pub fn weighted_inner<S: Scalar<Wide = T::Wide>, T: Scalar>(x: Panel<S>, w: &[f64], y: &[T], partial: &mut [T::Wide], out: &mut [T::Wide]) {
    note::<S>(x.ncols * y.len(), x.ncols * y.len());
    note::<f64>(0, 2 * y.len());
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

/// x^T y, times real weights if there are any: nothing is conjugated.
pub fn unconjugated<T: Scalar>(pool: &Pool, x: &[T], w: Option<&[f64]>, y: &[T], partial: &mut [T::Wide]) -> T::Wide {
    note::<T>(y.len(), 2 * y.len());
    let n = y.len();
    let partial = &mut partial[..blocks(n)];
    pool.chunks(2 * n, partial, 1, |b, out| {
        let mut acc = [T::Wide::ZERO; LANES];
        for (l, i) in (b * BLOCK..(b * BLOCK + BLOCK).min(n)).enumerate() {
            let v = x[i].wide() * y[i].wide();
            acc[l % LANES] += w.map_or(v, |w| v.scale(w[i]));
        }
        out[0] = ((acc[0] + acc[4]) + (acc[1] + acc[5])) + ((acc[2] + acc[6]) + (acc[3] + acc[7]));
    });
    let mut out = [T::Wide::ZERO];
    combine(partial, 1, blocks(n), &mut out);
    out[0]
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
    note::<S>(x.ncols * y.len(), x.ncols * y.len());
    note::<T>(0, 2 * y.len());
    if x.ncols == 0 {
        return;
    }
    let arch = pulp::Arch::new();
    pool.chunks(y.len() * (x.ncols + 2), y, BLOCK, |b, y| arch.dispatch(AddBlock { x, coef, start: b * BLOCK, y }));
}

/// y_0 <- y_0 + X c_0, y_1 <- y_1 + X c_1 within one block of rows, from `start` on.
struct AddPairBlock<'a, S, T> {
    x: Panel<'a, S>,
    coef: [&'a [T]; 2],
    start: usize,
    y: [&'a mut [T]; 2],
}

impl<S: Scalar<Wide = T::Wide>, T: Scalar> WithSimd for AddPairBlock<'_, S, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<I: Simd>(self, _: I) {
        let AddPairBlock { x, coef: [p, q], start, y: [y, z] } = self;
        for (h, (y, z)) in y.chunks_mut(HALF).zip(z.chunks_mut(HALF)).enumerate() {
            let n = y.len();
            let z = &mut z[..n];
            let col = |j: usize| &x.data[j * x.ld + start + h * HALF..][..n];
            let at = |v: S| T::narrow(v.wide());
            let mut j = 0;
            while j + 4 <= x.ncols {
                let (a, b, c, d) = (col(j), col(j + 1), col(j + 2), col(j + 3));
                let (pa, pb, pc, pd) = (p[j], p[j + 1], p[j + 2], p[j + 3]);
                let (qa, qb, qc, qd) = (q[j], q[j + 1], q[j + 2], q[j + 3]);
                for i in 0..n {
                    let (a, b, c, d) = (at(a[i]), at(b[i]), at(c[i]), at(d[i]));
                    y[i] += (a * pa + b * pb) + (c * pc + d * pd);
                    z[i] += (a * qa + b * qb) + (c * qc + d * qd);
                }
                j += 4;
            }
            while j < x.ncols {
                let (a, pa, qa) = (col(j), p[j], q[j]);
                for i in 0..n {
                    y[i] += at(a[i]) * pa;
                    z[i] += at(a[i]) * qa;
                }
                j += 1;
            }
        }
    }
}

/// y_0 <- y_0 + X c_0 and y_1 <- y_1 + X c_1 in one sweep over X.
pub fn add_pair<S: Scalar<Wide = T::Wide>, T: Scalar>(pool: &Pool, x: Panel<S>, coef: [&[T]; 2], y: [&mut [T]; 2]) {
    note::<S>(2 * x.ncols * y[0].len(), x.ncols * y[0].len());
    note::<T>(0, 4 * y[0].len());
    let [y, z] = y;
    let arch = pulp::Arch::new();
    pool.chunks2(2 * y.len() * (x.ncols + 2), (y, BLOCK), (z, BLOCK), |b, y, z| {
        arch.dispatch(AddPairBlock { x, coef, start: b * BLOCK, y: [y, z] })
    });
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
    note::<T>(n * (m + y.ncols) * k, n * (m + y.ncols + k));
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
    note::<T>(x.nrows * x.ncols * y.ncols, x.nrows * (x.ncols + y.ncols));
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

/// Y <- Y + X Q for long panels, `q` column-major `x.ncols x y.ncols`.
pub fn add_panel<T: Scalar>(x: Panel<T>, q: &[T], mut y: PanelMut<T>) {
    note::<T>(x.nrows * x.ncols * y.ncols, x.nrows * (x.ncols + 2 * y.ncols));
    if x.ncols == 0 || y.ncols == 0 {
        return;
    }
    let q = MatRef::from_column_major_slice(&q[..x.ncols * y.ncols], x.ncols, y.ncols);
    for start in (0..x.nrows).step_by(BLOCK) {
        let rows = BLOCK.min(x.nrows - start);
        let tile = |ncols: usize, ld: usize| start..(ncols - 1) * ld + start + rows;
        let left = MatRef::from_column_major_slice_with_stride(&x.data[tile(x.ncols, x.ld)], rows, x.ncols, x.ld);
        let (ncols, ld) = (y.ncols, y.ld);
        let mut out = MatMut::from_column_major_slice_with_stride_mut(&mut y.reborrow().data[tile(ncols, ld)], rows, ncols, ld);
        matmul(&mut out, Accum::Add, left, q, <T as Scalar>::ONE, Par::Seq);
    }
}

/// out[j] = x_j^H x_j.
pub fn squares<S: Scalar>(x: Panel<S>, out: &mut [S::Wide]) {
    note::<S>(x.nrows * x.ncols, x.nrows * x.ncols);
    let arch = pulp::Arch::new();
    for (j, out) in out.iter_mut().enumerate() {
        let column = &x.data[j * x.ld..][..x.nrows];
        let block = |start: usize| {
            let y = &column[start..(start + BLOCK).min(column.len())];
            let mut sum = [S::Wide::ZERO];
            arch.dispatch(DotsOfBlock { x: Panel::column(y), start: 0, y, out: &mut sum });
            sum[0]
        };
        *out = (0..column.len()).step_by(BLOCK).fold(S::Wide::ZERO, |sum, start| sum + block(start));
    }
}

/// Entries of the scratch array of [`rotate`].
pub fn rotate_len(k: usize) -> usize {
    ROTATE_ROWS * k
}

/// y <- alpha y.
pub fn scale<T: Scalar>(pool: &Pool, alpha: f64, y: &mut [T]) {
    note::<T>(y.len() / 2, 2 * y.len());
    pool.chunks(2 * y.len(), y, BLOCK, |_, y| y.iter_mut().for_each(|v| *v = v.scale(alpha)));
}

/// y <- alpha x, rounded to the precision of y.
pub fn scaled_copy<S: Scalar<Wide = T::Wide>, T: Scalar>(pool: &Pool, alpha: f64, x: &[T], y: &mut [S]) {
    note::<T>(y.len() / 2, x.len());
    note::<S>(0, y.len());
    pool.chunks(2 * y.len(), y, BLOCK, |b, y| {
        y.iter_mut().zip(&x[b * BLOCK..]).for_each(|(v, u)| *v = S::narrow(u.scale(alpha).wide()))
    });
}

/// y <- y + alpha x.
pub fn axpy<T: Scalar>(pool: &Pool, alpha: T, x: &[T], y: &mut [T]) {
    note::<T>(y.len(), 3 * y.len());
    pool.chunks(2 * y.len(), y, BLOCK, |b, y| {
        y.iter_mut().zip(&x[b * BLOCK..]).for_each(|(v, u)| *v += *u * alpha)
    });
}

/// y <- x + beta y.
pub fn xpby<T: Scalar>(pool: &Pool, x: &[T], beta: T, y: &mut [T]) {
    note::<T>(y.len(), 3 * y.len());
    pool.chunks(2 * y.len(), y, BLOCK, |b, y| {
        y.iter_mut().zip(&x[b * BLOCK..]).for_each(|(v, u)| *v = *u + *v * beta)
    });
}

/// y <- b - y: a residual from a product.
pub fn residual<T: Scalar>(pool: &Pool, b: &[T], y: &mut [T]) {
    note::<T>(y.len() / 2, 3 * y.len());
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
