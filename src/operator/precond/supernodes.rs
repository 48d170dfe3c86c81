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

impl<'a, T: Scalar> Block<'a, T> {
    /// Column j: its own rows, and the rows of the pattern.
    #[inline(always)]
    fn column(&self, j: usize) -> (&'a [T], &'a [T]) {
        let nrows = self.ncols + self.pattern.len();
        self.values[j * nrows..(j + 1) * nrows].split_at(self.ncols)
    }

    /// `K` columns from j on, rows of the pattern only.
    #[inline(always)]
    fn below<const K: usize>(&self, j: usize) -> [&'a [T]; K] {
        std::array::from_fn(|k| &self.column(j + k).1[..self.pattern.len()])
    }
}

fn block<'a, T: Scalar>(symbolic: &'a SymbolicSupernodalCholesky<usize>, values: &'a [T], s: usize) -> Block<'a, T> {
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
    for j in 0..b.ncols {
        let v = own[j];
        for (x, l) in own[j + 1..].iter_mut().zip(&b.column(j).0[j + 1..]) {
            *x -= *l * v;
        }
    }
    match b.ncols {
        1 => spread::<T, 1>(b, x),
        2 => spread::<T, 2>(b, x),
        3 => spread::<T, 3>(b, x),
        4 => spread::<T, 4>(b, x),
        _ => spread_wide(b, x, &mut scratch[..b.pattern.len()]),
    }
}

/// Takes the supernode's unknowns out of the rows of the pattern.
#[inline(always)]
fn spread<T: Scalar, const K: usize>(b: &Block<T>, x: &mut [T]) {
    let (v, l): ([T; K], _) = (std::array::from_fn(|k| x[b.start + k]), b.below::<K>(0));
    for (i, row) in b.pattern.iter().enumerate() {
        let mut sum = l[0][i] * v[0];
        for k in 1..K {
            sum += l[k][i] * v[k];
        }
        x[*row] -= sum;
    }
}

/// As `spread`, for many columns: sums first, then one walk over the pattern.
#[inline(always)]
fn spread_wide<T: Scalar>(b: &Block<T>, x: &mut [T], sums: &mut [T]) {
    sums.fill(T::ZERO);
    let own = &x[b.start..b.start + b.ncols];
    let mut j = 0;
    while j + 4 <= b.ncols {
        let l = b.below::<4>(j);
        let v = &own[j..j + 4];
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum += (l[0][i] * v[0] + l[1][i] * v[1]) + (l[2][i] * v[2] + l[3][i] * v[3]);
        }
        j += 4;
    }
    while j < b.ncols {
        let [l] = b.below::<1>(j);
        for (sum, l) in sums.iter_mut().zip(l) {
            *sum += *l * own[j];
        }
        j += 1;
    }
    for (row, sum) in b.pattern.iter().zip(sums) {
        x[*row] -= *sum;
    }
}

#[inline(always)]
fn backward<T: Scalar>(b: &Block<T>, x: &mut [T], scratch: &mut [T]) {
    match b.ncols {
        1 => collect::<T, 1>(b, x),
        2 => collect::<T, 2>(b, x),
        3 => collect::<T, 3>(b, x),
        4 => collect::<T, 4>(b, x),
        _ => collect_wide(b, x, &mut scratch[..b.pattern.len()]),
    }
    let own = &mut x[b.start..b.start + b.ncols];
    for j in (0..b.ncols).rev() {
        let (head, tail) = own.split_at_mut(j + 1);
        head[j] -= b.column(j).0[j + 1..].iter().zip(tail).fold(T::ZERO, |sum, (l, x)| sum + l.conj() * *x);
    }
}

/// Takes the rows of the pattern out of the supernode's unknowns.
#[inline(always)]
fn collect<T: Scalar, const K: usize>(b: &Block<T>, x: &mut [T]) {
    let l = b.below::<K>(0);
    let mut sums = [T::ZERO; K];
    for (i, row) in b.pattern.iter().enumerate() {
        let v = x[*row];
        for k in 0..K {
            sums[k] += l[k][i].conj() * v;
        }
    }
    for k in 0..K {
        x[b.start + k] -= sums[k];
    }
}

#[inline(always)]
fn collect_wide<T: Scalar>(b: &Block<T>, x: &mut [T], known: &mut [T]) {
    for (row, known) in b.pattern.iter().zip(known.iter_mut()) {
        *known = x[*row];
    }
    let own = &mut x[b.start..b.start + b.ncols];
    let mut j = 0;
    while j + 2 <= b.ncols {
        let sums = dots(b.below::<2>(j), known);
        own[j] -= sums[0];
        own[j + 1] -= sums[1];
        j += 2;
    }
    if j < b.ncols {
        own[j] -= dots(b.below::<1>(j), known)[0];
    }
}

/// l^H x for `K` columns, in lanes.
#[inline(always)]
fn dots<T: Scalar, const K: usize>(l: [&[T]; K], x: &[T]) -> [T; K] {
    const LANES: usize = 8;
    let n = x.len();
    let whole = n - n % LANES;
    let mut sums = [[T::ZERO; LANES]; K];
    let mut i = 0;
    while i < whole {
        let x = &x[i..i + LANES];
        for k in 0..K {
            let l = &l[k][i..i + LANES];
            for p in 0..LANES {
                sums[k][p] += l[p].conj() * x[p];
            }
        }
        i += LANES;
    }
    for i in whole..n {
        for k in 0..K {
            sums[k][i - whole] += l[k][i].conj() * x[i];
        }
    }
    sums.map(|s| ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7])))
}
