//! Small dense problems of the projected solvers, in double precision: orthonormal factors,
//! Hessenberg least squares, and the invariant subspaces that GCRO-DR keeps. Matrices are
//! column-major slices.

use crate::runtime::{memory, Result, Wide};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd;
use faer::diag::DiagMut;
use faer::{MatMut, MatRef, Par, Spec};

fn col<W>(a: &[W], rows: usize, j: usize) -> &[W] {
    &a[j * rows..][..rows]
}

fn dot<W: Wide>(x: &[W], y: &[W]) -> W {
    x.iter().zip(y).fold(W::ZERO, |sum, (a, b)| sum + a.conj() * *b)
}

pub fn norm<W: Wide>(x: &[W]) -> f64 {
    x.iter().map(|v| v.norm_sqr()).sum::<f64>().sqrt()
}

/// Orthonormalises the columns of `a` (`rows x cols`) in place by Gram-Schmidt, twice; writes the
/// triangle `a_old[:, kept] = a R` into `r` (leading dimension `cols`) and the kept columns'
/// numbers into `kept`. A column whose remainder falls below `tolerance` times its norm is dropped;
/// the kept ones move to the front.
pub fn orthonormalise<W: Wide>(a: &mut [W], rows: usize, cols: usize, tolerance: f64, r: &mut [W], kept: &mut Vec<usize>) {
    kept.clear();
    r[..cols * cols].fill(W::ZERO);
    for j in 0..cols {
        let k = kept.len();
        let (done, rest) = a.split_at_mut(j * rows);
        let x = &mut rest[..rows];
        let before = norm(x);
        for _ in 0..2 {
            for i in 0..k {
                let q = col(done, rows, i);
                let h = dot(q, x);
                r[k * cols + i] += h;
                x.iter_mut().zip(q).for_each(|(v, u)| *v -= *u * h);
            }
        }
        let after = norm(x);
        if after > tolerance * before && after > 0.0 {
            r[k * cols + k] = W::from_f64(after);
            x.iter_mut().for_each(|v| *v = v.scale(1.0 / after));
            if k < j {
                a.copy_within(j * rows..(j + 1) * rows, k * rows);
            }
            kept.push(j);
        } else {
            r[k * cols..k * cols + cols].fill(W::ZERO);
        }
    }
}

/// x <- R^-1 x for the leading `n x n` triangle of `r` with leading dimension `ld`.
pub fn solve_upper<W: Wide>(r: &[W], ld: usize, n: usize, x: &mut [W]) {
    for j in (0..n).rev() {
        x[j] = x[j] / r[j * ld + j];
        let v = x[j];
        for i in 0..j {
            x[i] -= r[j * ld + i] * v;
        }
    }
}

/// x <- R^-H x, as [`solve_upper`].
pub fn solve_upper_adjoint<W: Wide>(r: &[W], ld: usize, n: usize, x: &mut [W]) {
    for j in 0..n {
        let mut v = x[j];
        for i in 0..j {
            v -= r[j * ld + i].conj() * x[i];
        }
        x[j] = v / r[j * ld + j].conj();
    }
}

/// out <- A B for A `m x k`, B `k x n`.
pub fn multiply<W: Wide>(a: &[W], m: usize, k: usize, b: &[W], n: usize, out: &mut [W]) {
    for j in 0..n {
        let to = &mut out[j * m..][..m];
        to.fill(W::ZERO);
        for (i, v) in col(b, k, j).iter().enumerate() {
            to.iter_mut().zip(col(a, m, i)).for_each(|(t, u)| *t += *u * *v);
        }
    }
}

/// out <- R^-1 for the leading `n x n` triangle of `r` with leading dimension `ld`.
pub fn inverse_upper<W: Wide>(r: &[W], ld: usize, n: usize, out: &mut [W]) {
    for (j, column) in out[..n * n].chunks_exact_mut(n.max(1)).enumerate() {
        column.fill(W::ZERO);
        column[j] = W::ONE;
        solve_upper(r, ld, n, column);
    }
}

/// out <- P R^-1, `n x pivots.len()`: what makes columns orthonormal whose Gram matrix of order `n` has this factor of
/// [`pivoted_cholesky`]. `column` has room for a pivot each.
pub fn pivoted_inverse<W: Wide>(r: &[W], n: usize, pivots: &[usize], column: &mut [W], out: &mut [W]) {
    let column = &mut column[..pivots.len()];
    for (j, out) in out.chunks_exact_mut(n.max(1)).take(pivots.len()).enumerate() {
        column.fill(W::ZERO);
        column[j] = W::ONE;
        solve_upper(r, n, pivots.len(), column);
        out.fill(W::ZERO);
        pivots.iter().zip(&*column).for_each(|(pivot, v)| out[*pivot] = *v);
    }
}

/// x <- G^-1 x for the factor of [`cholesky`] of G.
pub fn solve_cholesky<W: Wide>(r: &[W], n: usize, x: &mut [W]) {
    solve_upper_adjoint(r, n, n, x);
    solve_upper(r, n, n, x);
}

/// A Gram matrix for columns scaled to unit length from these lengths; those of no length are nothing.
pub fn scale_gram<W: Wide>(gram: &mut [W], lengths: &[f64]) {
    let m = lengths.len();
    let inverse = |j: usize| if lengths[j] > 0.0 { 1.0 / lengths[j] } else { 0.0 };
    for j in 0..m {
        for i in 0..m {
            gram[j * m + i] = gram[j * m + i].scale(inverse(i) * inverse(j));
        }
    }
}

/// x <- R x for a triangle of order and leading dimension `n`.
pub fn times_upper<W: Wide>(r: &[W], n: usize, x: &mut [W]) {
    for i in 0..n {
        x[i] = (i..n).fold(W::ZERO, |sum, j| sum + r[j * n + i] * x[j]);
    }
}

/// `G = R^H R` for a Gram matrix of order and leading dimension `n`; false if it is not positive definite.
pub fn cholesky<W: Wide>(g: &[W], n: usize, r: &mut [W]) -> bool {
    r[..n * n].fill(W::ZERO);
    for j in 0..n {
        for i in 0..=j {
            let v = (0..i).fold(g[j * n + i], |v, l| v - r[i * n + l].conj() * r[j * n + l]);
            r[j * n + i] = if i < j { v / r[i * n + i] } else { W::from_f64(v.real_part().sqrt()) };
        }
        // Not so for a NaN either.
        if !(r[j * n + j].real_part() > 0.0) {
            return false;
        }
    }
    true
}

/// Pivoted Cholesky factor of a Gram matrix `g` (`n x n`), for Cholesky-QR: `P^T G P = R^H R` with
/// `r` the upper triangle (leading dimension `n`, its order the number of pivots) in pivot order.
/// Columns whose remaining squared length is below `tolerance` of their own are left out.
/// `g` is overwritten.
pub fn pivoted_cholesky<W: Wide>(g: &mut [W], n: usize, tolerance: f64, pivots: &mut Vec<usize>, left: &mut Vec<f64>, r: &mut [W]) {
    pivots.clear();
    left.clear();
    r[..n * n].fill(W::ZERO);
    left.extend((0..n).map(|j| g[j * n + j].real_part()));
    for k in 0..n {
        let candidate = (0..n)
            .filter(|j| !pivots.contains(j) && left[*j] > tolerance * g[*j * n + *j].real_part() && left[*j] > 0.0)
            .max_by(|a, b| {
                let share = |j: usize| left[j] / g[j * n + j].real_part();
                share(*a).total_cmp(&share(*b)).then(b.cmp(a))
            });
        let Some(p) = candidate else { break };
        let d = left[p].sqrt();
        // Row k of R, by columns of the original numbering; permuted below.
        for j in 0..n {
            if pivots.contains(&j) {
                continue;
            }
            let mut v = g[j * n + p];
            for l in 0..k {
                v -= r[p * n + l].conj() * r[j * n + l];
            }
            let v = if j == p { W::from_f64(d) } else { v.scale(1.0 / d) };
            r[j * n + k] = v;
            if j != p {
                left[j] -= v.norm_sqr();
            }
        }
        pivots.push(p);
    }
    for (to, from) in pivots.iter().enumerate() {
        let (to, from) = (to * n, *from * n);
        g[to..to + n].copy_from_slice(&r[from..from + n]);
    }
    r[..n * n].copy_from_slice(&g[..n * n]);
}

/// The projected least-squares problem `min || beta e_1 - H y ||` of a Krylov cycle, kept
/// triangular by Givens rotations; the columns of H are kept as well, for the Ritz values.
pub struct Hessenberg<W: Wide> {
    capacity: usize,
    /// H itself, `(capacity + 1) x capacity`.
    pub h: Vec<W>,
    r: Vec<W>,
    rotations: Vec<(f64, W)>,
    rhs: Vec<W>,
    work: Vec<W>,
    pub len: usize,
}

impl<W: Wide> Hessenberg<W> {
    pub fn new(capacity: usize) -> Result<Self> {
        let size = memory::product(capacity + 1, capacity, "Hessenberg matrix")?;
        Ok(Hessenberg {
            capacity,
            h: memory::filled(size, W::ZERO, "Hessenberg matrix")?,
            r: memory::filled(size, W::ZERO, "Hessenberg matrix")?,
            rotations: memory::filled(capacity, (1.0, W::ZERO), "rotations")?,
            rhs: memory::filled(capacity + 1, W::ZERO, "projected right-hand side")?,
            work: memory::filled(capacity + 1, W::ZERO, "projected right-hand side")?,
            len: 0,
        })
    }

    pub fn rows(&self) -> usize {
        self.capacity + 1
    }

    /// The problem without columns; also where the norm of the start becomes known better.
    pub fn start(&mut self, beta: f64) {
        self.len = 0;
        self.rhs.fill(W::ZERO);
        self.rhs[0] = W::from_f64(beta);
    }

    /// Appends a column: `coefficients` (one for each basis vector so far) and the norm below.
    /// Returns the residual norm of the least-squares problem.
    pub fn push(&mut self, coefficients: &[W], below: f64) -> f64 {
        let (j, rows) = (self.len, self.capacity + 1);
        let column = &mut self.h[j * rows..(j + 1) * rows];
        column.fill(W::ZERO);
        column[..=j].copy_from_slice(&coefficients[..=j]);
        column[j + 1] = W::from_f64(below);
        let r = &mut self.r[j * rows..(j + 1) * rows];
        r.copy_from_slice(column);
        for (i, (c, s)) in self.rotations[..j].iter().enumerate() {
            let (a, b) = (r[i], r[i + 1]);
            r[i] = a.scale(*c) + *s * b;
            r[i + 1] = b.scale(*c) - s.conj() * a;
        }
        let (c, s) = givens(r[j], below);
        r[j] = r[j].scale(c) + s.scale(below);
        r[j + 1] = W::ZERO;
        let (a, b) = (self.rhs[j], self.rhs[j + 1]);
        self.rhs[j] = a.scale(c) + s * b;
        self.rhs[j + 1] = b.scale(c) - s.conj() * a;
        self.rotations[j] = (c, s);
        self.len += 1;
        self.rhs[j + 1].modulus()
    }

    /// The last column, known better by now: adds `more` to its coefficients and puts `below` in the
    /// place of the norm below.
    pub fn amend(&mut self, more: &[W], below: f64) {
        let j = self.len - 1;
        let start = j * self.rows();
        let column = &mut self.h[start..][..=j];
        column.iter_mut().zip(more).for_each(|(h, m)| *h += *m);
        self.work[..=j].copy_from_slice(column);
        // The rotation of the last push, undone.
        let (c, s) = self.rotations[j];
        let (a, b) = (self.rhs[j], self.rhs[j + 1]);
        (self.rhs[j], self.rhs[j + 1]) = (a.scale(c) - s * b, W::ZERO);
        self.len = j;
        let work = std::mem::take(&mut self.work);
        self.push(&work, below);
        self.work = work;
    }

    pub fn residual_norm(&self) -> f64 {
        self.rhs[self.len].modulus()
    }

    /// The minimiser; a vanishing pivot (singular projected matrix) gets coefficient 0.
    pub fn solution(&self, y: &mut [W]) {
        let (n, rows) = (self.len, self.capacity + 1);
        let largest = (0..n).map(|j| self.r[j * rows + j].modulus()).fold(0.0, f64::max);
        y[..n].copy_from_slice(&self.rhs[..n]);
        for j in (0..n).rev() {
            let pivot = self.r[j * rows + j];
            y[j] = if pivot.modulus() > largest * f64::EPSILON { y[j] / pivot } else { W::ZERO };
            let v = y[j];
            for i in 0..j {
                y[i] -= self.r[j * rows + i] * v;
            }
        }
    }
}

/// (c, s) with `c a + s b` real-scaled to the length of (a, b) and `c b - conj(s) a = 0`, b >= 0.
fn givens<W: Wide>(a: W, b: f64) -> (f64, W) {
    let size = a.modulus();
    if b == 0.0 {
        return (1.0, W::ZERO);
    }
    if size == 0.0 {
        return (0.0, W::ONE);
    }
    let length = size.hypot(b);
    (size / length, a.scale(b / (size * length)))
}

/// Chooses the space that GCRO-DR keeps.
pub struct Ritz<W: Wide> {
    q: Vec<W>,
    r: Vec<W>,
    e: Vec<W>,
    vectors: Vec<W>,
    re: Vec<f64>,
    im: Vec<f64>,
    order: Vec<usize>,
    kept: Vec<usize>,
    basis_kept: Vec<usize>,
    stack: MemBuffer,
}

impl<W: Wide> Ritz<W> {
    /// For cycles of at most `m` search vectors.
    pub fn new(m: usize) -> Result<Self> {
        let square = memory::product(m + 1, m + 1, "Ritz problem")?;
        let zeros = || memory::filled(square, W::ZERO, "Ritz problem");
        Ok(Ritz {
            q: zeros()?,
            r: zeros()?,
            e: zeros()?,
            vectors: zeros()?,
            re: memory::filled(m + 1, 0.0, "Ritz values")?,
            im: memory::filled(m + 1, 0.0, "Ritz values")?,
            order: memory::with_capacity(m + 1, "Ritz values")?,
            kept: memory::with_capacity(m + 1, "Ritz values")?,
            basis_kept: memory::with_capacity(m + 1, "Ritz values")?,
            stack: MemBuffer::new(W::eigen_scratch(m)),
        })
    }

    /// The harmonic Ritz values theta that `keep` found, the smallest first.
    pub fn values(&self) -> impl Iterator<Item = [f64; 2]> + '_ {
        self.order.iter().map(|j| inverse(self.re[*j], self.im[*j]))
    }

    /// Given `A X = Y G` with Y orthonormal (`g` is `rows x cols`) and `yt = Y^H T` for the test
    /// basis T, finds the `want` harmonic Ritz vectors of smallest modulus (one more where the cut
    /// would part a conjugate pair and `most` allows it, else one fewer) and writes the
    /// coefficients of the new spaces: `C = Y c` orthonormal, `U = X u`, with `A U = C`. Returns
    /// their number; 0 when nothing could be found.
    ///
    /// With `G = Q R`, the harmonic problem `(A X)^H (A X) z = theta (A X)^H T z` is the standard
    /// one `E s = (1/theta) s`, `E = Q^H (Y^H T) R^-1`, `s = R z`: no normal equations, and C is
    /// orthonormal by construction (Parks et al. 2006, sec. 2.3, in factored form).
    pub fn keep(&mut self, g: &[W], yt: &[W], rows: usize, cols: usize, want: usize, most: usize, c: &mut [W], u: &mut [W]) -> usize {
        let q = &mut self.q[..rows * cols];
        q.copy_from_slice(&g[..rows * cols]);
        let r = &mut self.r[..cols * cols];
        orthonormalise(q, rows, cols, 1e-14, r, &mut self.kept);
        let n = self.kept.len();
        if n == 0 {
            return 0;
        }
        // E R = Q^H (Y^H T), row by row from the left: a triangular solve from the right.
        for j in 0..n {
            for i in 0..n {
                let mut v = dot(col(q, rows, i), col(yt, rows, self.kept[j]));
                for l in 0..j {
                    v -= self.e[l * n + i] * r[j * cols + l];
                }
                self.e[j * n + i] = v / r[j * cols + j];
            }
        }
        let vectors = &mut self.vectors[..n * n];
        let found = W::eigen(
            MatRef::from_column_major_slice(&self.e[..n * n], n, n),
            &mut self.re[..n],
            &mut self.im[..n],
            MatMut::from_column_major_slice_mut(vectors, n, n),
            MemStack::new(&mut self.stack),
        );
        if !found {
            return 0;
        }
        let k = select::<W>(&self.re[..n], &self.im[..n], want.min(n), most.min(n), &mut self.order);
        // The chosen eigenvectors to the front; `e` is free to take them.
        for (to, from) in self.order[..k].iter().enumerate() {
            self.e[to * n..(to + 1) * n].copy_from_slice(&self.vectors[from * n..(from + 1) * n]);
        }
        let s = &mut self.e[..n * k];
        orthonormalise(s, n, k, 1e-12, &mut self.vectors, &mut self.basis_kept);
        let k = self.basis_kept.len();
        for j in 0..k {
            let sj = col(s, n, j);
            let cj = &mut c[j * rows..(j + 1) * rows];
            cj.fill(W::ZERO);
            for (i, v) in sj.iter().enumerate() {
                cj.iter_mut().zip(col(q, rows, i)).for_each(|(a, b)| *a += *b * *v);
            }
            let z = &mut self.vectors[..n];
            z.copy_from_slice(sj);
            solve_upper(r, cols, n, z);
            let uj = &mut u[j * cols..(j + 1) * cols];
            uj.fill(W::ZERO);
            for (i, v) in self.kept.iter().zip(z) {
                uj[*i] = *v;
            }
        }
        k
    }
}

/// 1 / (a + i b) as [real, imaginary].
fn inverse(a: f64, b: f64) -> [f64; 2] {
    let square = a * a + b * b;
    [a / square, -b / square]
}

/// Orders the eigenvalues by falling modulus and returns how many to keep, whole pairs only.
fn select<W: Wide>(re: &[f64], im: &[f64], want: usize, most: usize, order: &mut Vec<usize>) -> usize {
    let size = |j: usize| re[j].hypot(im[j]);
    // A real pair stands in neighbouring columns, the positive imaginary part first.
    let pair_start = |j: usize| if !W::IS_COMPLEX && im[j] < 0.0 { j - 1 } else { j };
    order.clear();
    order.extend(0..re.len());
    order.sort_unstable_by(|a, b| {
        let (a, b) = (*a, *b);
        size(pair_start(b)).total_cmp(&size(pair_start(a))).then(pair_start(a).cmp(&pair_start(b))).then(a.cmp(&b))
    });
    let parts_pair = |k: usize| !W::IS_COMPLEX && k > 0 && k < re.len() && im[order[k - 1]] > 0.0;
    match want {
        k if !parts_pair(k) => k,
        k if k < most => k + 1,
        k => k - 1,
    }
}

/// A column of the scaled metric that keeps less than this share of its length (squared) beside the others is
/// left out.
const DEPENDENT: f64 = 1e-14;

/// Eigenvectors of a Hermitian pencil, F y = mu Q y with Q positive definite.
pub struct Pencil<W: Wide> {
    scales: Vec<f64>,
    q: Vec<W>,
    r: Vec<W>,
    e: Vec<W>,
    vectors: Vec<W>,
    values: Vec<W>,
    order: Vec<usize>,
    pivots: Vec<usize>,
    left: Vec<f64>,
    stack: MemBuffer,
    /// The eigenvalues that belong to the vectors last written.
    pub mu: Vec<f64>,
}

impl<W: Wide> Pencil<W> {
    /// For orders up to `m`.
    pub fn new(m: usize) -> Result<Self> {
        let square = memory::product(m, m, "Ritz problem")?;
        let zeros = || memory::filled(square, W::ZERO, "Ritz problem");
        Ok(Pencil {
            scales: memory::with_capacity(m, "Ritz problem")?,
            q: zeros()?,
            r: zeros()?,
            e: zeros()?,
            vectors: zeros()?,
            values: memory::filled(m, W::ZERO, "Ritz values")?,
            order: memory::with_capacity(m, "Ritz values")?,
            pivots: memory::with_capacity(m, "Ritz values")?,
            left: memory::with_capacity(m, "Ritz values")?,
            stack: MemBuffer::new(evd::self_adjoint_evd_scratch::<W>(m, evd::ComputeEigenvectors::Yes, Par::Seq, Spec::default())),
            mu: memory::with_capacity(m, "Ritz values")?,
        })
    }

    /// Writes the eigenvectors of the `want` eigenvalues of largest modulus, of length one in Q, into the
    /// columns of `y` (`n` rows), and returns their number; 0 when none could be found. `q` and `f` have order
    /// `n` and leading dimension `ld`.
    ///
    /// With Q = R^H R the problem is that of E = R^-H F R^-1; Q is scaled to a unit diagonal first.
    pub fn largest(&mut self, q: &[W], f: &[W], ld: usize, n: usize, want: usize, y: &mut [W]) -> usize {
        self.mu.clear();
        self.scales.clear();
        self.scales.extend((0..n).map(|j| 1.0 / q[j * ld + j].real_part().sqrt()));
        let scale = |i: usize| if self.scales[i].is_finite() { self.scales[i] } else { 0.0 };
        for j in 0..n {
            for i in 0..n {
                self.q[j * n + i] = q[j * ld + i].scale(scale(i) * scale(j));
            }
        }
        pivoted_cholesky(&mut self.q, n, DEPENDENT, &mut self.pivots, &mut self.left, &mut self.r);
        let m = self.pivots.len();
        for (j, to) in self.pivots.iter().enumerate() {
            let column = &mut self.e[j * m..(j + 1) * m];
            for (v, from) in column.iter_mut().zip(&self.pivots) {
                *v = f[to * ld + from].scale(scale(*from) * scale(*to));
            }
            solve_upper_adjoint(&self.r, n, m, column);
        }
        for j in 0..m {
            for i in 0..=j {
                let (a, b) = (self.e[j * m + i].conj(), self.e[i * m + j].conj());
                (self.e[j * m + i], self.e[i * m + j]) = (b, a);
            }
        }
        self.e[..m * m].chunks_exact_mut(m.max(1)).for_each(|column| solve_upper_adjoint(&self.r, n, m, column));
        if m == 0 || self.e[..m * m].iter().any(|v| !v.finite()) {
            return 0;
        }
        let done = evd::self_adjoint_evd(
            MatRef::from_column_major_slice(&self.e[..m * m], m, m),
            DiagMut::from_slice_mut(&mut self.values[..m]),
            Some(MatMut::from_column_major_slice_mut(&mut self.vectors[..m * m], m, m)),
            Par::Seq,
            MemStack::new(&mut self.stack),
            Spec::default(),
        );
        if done.is_err() {
            return 0;
        }
        let (values, size) = (&self.values, |j: usize| self.values[j].modulus());
        self.order.clear();
        self.order.extend(0..m);
        self.order.sort_unstable_by(|a, b| size(*b).total_cmp(&size(*a)).then(b.cmp(a)));
        let found = want.min(m);
        for (to, from) in self.order[..found].iter().enumerate() {
            let s = &mut self.vectors[from * m..(from + 1) * m];
            solve_upper(&self.r, n, m, s);
            let y = &mut y[to * n..(to + 1) * n];
            y.fill(W::ZERO);
            for (i, v) in self.pivots.iter().zip(s) {
                y[*i] = v.scale(scale(*i));
            }
            self.mu.push(values[*from].real_part());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex;

    #[test]
    fn the_largest_eigenvectors_of_a_hermitian_pencil() {
        type C = Complex<f64>;
        let (n, ld) = (7, 9);
        let (mut q, mut f) = (vec![C::ZERO; ld * ld], vec![C::ZERO; ld * ld]);
        for j in 0..n {
            q[j * ld + j] = C::new(2.0 + j as f64, 0.0);
            f[j * ld + j] = C::new(j as f64 - 3.5, 0.0);
            if j > 0 {
                q[j * ld + j - 1] = C::new(0.3, -0.5);
                q[(j - 1) * ld + j] = C::new(0.3, 0.5);
                f[j * ld + j - 1] = C::new(0.7, 0.2);
                f[(j - 1) * ld + j] = C::new(0.7, -0.2);
            }
        }
        let mut pencil = Pencil::new(ld).unwrap();
        let mut y = vec![C::ZERO; ld * ld];
        assert_eq!(pencil.largest(&q, &f, ld, n, n, &mut y), n);
        let times = |a: &[C], y: &[C]| -> Vec<C> { (0..n).map(|i| (0..n).map(|j| a[j * ld + i] * y[j]).sum()).collect() };
        for (k, mu) in pencil.mu.iter().enumerate() {
            let y = &y[k * n..][..n];
            let (qy, fy) = (times(&q, y), times(&f, y));
            assert!((dot(y, &qy) - 1.0).norm() < 1e-13);
            assert!(fy.iter().zip(&qy).all(|(f, q)| (f - q * mu).norm() < 1e-13));
            assert!(k == 0 || mu.abs() <= pencil.mu[k - 1].abs());
        }
    }
}
