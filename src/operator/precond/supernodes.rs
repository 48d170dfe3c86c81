//! Solves with a supernodal factor L D L^H, kept in faer's layout: a supernode is a dense
//! column-major block of its own rows (unit lower triangle, D on the diagonal) and, below them,
//! of the rows named in its pattern.

use crate::runtime::Scalar;
use faer::sparse::linalg::cholesky::supernodal::SymbolicSupernodalCholesky;

/// One supernode.
struct Block<'a, T> {
    start: usize,
    ncols: usize,
    pattern: &'a [usize],
    values: &'a [T],
}

impl<'a, T> Block<'a, T> {
    /// Column j below its diagonal: the rest of the own rows, and the rows of the pattern.
    #[inline(always)]
    fn column(&self, j: usize) -> (&'a [T], &'a [T]) {
        let nrows = self.ncols + self.pattern.len();
        self.values[j * nrows..(j + 1) * nrows][j + 1..].split_at(self.ncols - j - 1)
    }
}

fn block<'a, T>(symbolic: &'a SymbolicSupernodalCholesky<usize>, values: &'a [T], s: usize) -> Block<'a, T> {
    let start = symbolic.supernode_begin()[s];
    let pattern = symbolic.col_ptr_for_row_idx();
    let value = symbolic.col_ptr_for_val();
    Block {
        start,
        ncols: symbolic.supernode_end()[s] - start,
        pattern: &symbolic.row_idx()[pattern[s]..pattern[s + 1]][..symbolic.nnz_per_super()[s]],
        values: &values[value[s]..value[s + 1]],
    }
}

/// Rows of the longest pattern: what `solve` needs as scratch.
pub fn longest(symbolic: &SymbolicSupernodalCholesky<usize>) -> usize {
    symbolic.nnz_per_super().iter().copied().max().unwrap_or(0)
}

/// Calls `see(k, d)` for each pivot in order.
pub fn pivots<T: Scalar>(symbolic: &SymbolicSupernodalCholesky<usize>, values: &[T], mut see: impl FnMut(usize, f64)) {
    for s in 0..symbolic.n_supernodes() {
        let b = block(symbolic, values, s);
        let nrows = b.ncols + b.pattern.len();
        for j in 0..b.ncols {
            see(b.start + j, b.values[j * nrows + j].real_part());
        }
    }
}

/// x <- (L D L^H)^-1 x in the factor's order; `inverse` is D^-1.
pub fn solve<T: Scalar>(symbolic: &SymbolicSupernodalCholesky<usize>, values: &[T], inverse: &[T], x: &mut [T], scratch: &mut [T]) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for s in 0..symbolic.n_supernodes() {
                forward(&block(symbolic, values, s), x, scratch);
            }
            for (x, d) in x.iter_mut().zip(inverse) {
                *x *= *d;
            }
            for s in (0..symbolic.n_supernodes()).rev() {
                backward(&block(symbolic, values, s), x, scratch);
            }
        },
    )
}

#[inline(always)]
fn forward<T: Scalar>(b: &Block<T>, x: &mut [T], scratch: &mut [T]) {
    let own = &mut x[b.start..b.start + b.ncols];
    let sums = &mut scratch[..b.pattern.len()];
    sums.fill(T::ZERO);
    for j in 0..b.ncols {
        let (within, below) = b.column(j);
        let v = own[j];
        for (x, l) in own[j + 1..].iter_mut().zip(within) {
            *x -= *l * v;
        }
        for (sum, l) in sums.iter_mut().zip(below) {
            *sum += *l * v;
        }
    }
    for (i, sum) in b.pattern.iter().zip(sums) {
        x[*i] -= *sum;
    }
}

#[inline(always)]
fn backward<T: Scalar>(b: &Block<T>, x: &mut [T], scratch: &mut [T]) {
    let known = &mut scratch[..b.pattern.len()];
    for (i, known) in b.pattern.iter().zip(known.iter_mut()) {
        *known = x[*i];
    }
    let own = &mut x[b.start..b.start + b.ncols];
    for j in (0..b.ncols).rev() {
        let (within, below) = b.column(j);
        own[j] -= dot(within, &own[j + 1..]) + dot(below, known);
    }
}

/// l^H x, in lanes.
#[inline(always)]
fn dot<T: Scalar>(l: &[T], x: &[T]) -> T {
    let x = &x[..l.len()];
    let mut lanes = [T::ZERO; 4];
    let (l4, x4) = (l.chunks_exact(4), x.chunks_exact(4));
    let rest = l4.remainder().iter().zip(x4.remainder()).fold(T::ZERO, |sum, (l, x)| sum + l.conj() * *x);
    for (l, x) in l4.zip(x4) {
        for k in 0..4 {
            lanes[k] += l[k].conj() * x[k];
        }
    }
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + rest
}
