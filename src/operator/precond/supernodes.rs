//! Supernodes: neighbouring columns of a factor whose entries below them lie in the same rows,
//! kept as dense column-major arrays. Solves walk over them.

use crate::linalg::simd;
use crate::runtime::{memory, Error, Result, Scalar};
use faer::dyn_stack::{MemBuffer, StackReq};
use faer::sparse::linalg::cholesky::{
    factorize_symbolic_cholesky, CholeskySymbolicParams, SymbolicCholesky, SymbolicCholeskyRaw, SymmetricOrdering,
};
use faer::sparse::linalg::SupernodalThreshold;
use faer::sparse::{FaerError, SymbolicSparseColMatRef};
use faer::Side;
use std::ops::Range;

const WHAT: &str = "a factorisation";

/// The order and symbolic factor of a symmetric pattern, given as rows or columns with the lower
/// triangle stored: faer's, by approximate minimum degree.
pub fn analyse(ptr: &[usize], col: &[usize]) -> Result<SymbolicCholesky<usize>> {
    let n = ptr.len() - 1;
    // Below zero: supernodal even where there is nothing to eliminate.
    let params = CholeskySymbolicParams { supernodal_flop_ratio_threshold: SupernodalThreshold(-1.0), ..Default::default() };
    let pattern = SymbolicSparseColMatRef::new_checked(n, n, ptr, None, col);
    factorize_symbolic_cholesky(pattern, Side::Upper, SymmetricOrdering::Amd, params).map_err(generic)
}

/// What faer says when it is not about the numbers.
pub fn generic(e: FaerError) -> Error {
    match e {
        FaerError::OutOfMemory => Error::Memory { what: WHAT, bytes: 0 },
        e => Error::Unsupported(format!("the matrix cannot be factored: {e:?}")),
    }
}

/// Storage for faer, or `Error::Memory`.
pub fn buffer(need: StackReq) -> Result<MemBuffer> {
    MemBuffer::try_new(need).map_err(|_| Error::Memory { what: WHAT, bytes: need.size_bytes() })
}

/// Columns in faer's index type.
pub fn wide(col: &[u32]) -> Result<Vec<usize>> {
    let mut wide = memory::with_capacity(col.len(), WHAT)?;
    wide.extend(col.iter().map(|j| *j as usize));
    Ok(wide)
}

/// Where the supernodes begin and which rows lie below them, in the factor's order.
pub struct Supernodes {
    begin: Vec<usize>,
    pattern_ptr: Vec<usize>,
    pattern: Vec<u32>,
}

impl Supernodes {
    pub fn new(symbolic: &SymbolicCholesky<usize>) -> Result<Self> {
        let SymbolicCholeskyRaw::Supernodal(raw) = symbolic.raw() else {
            return Err(Error::Internal("a supernodal factorisation was asked for".to_string()));
        };
        let count = raw.n_supernodes();
        let mut begin = memory::with_capacity(count + 1, WHAT)?;
        begin.extend_from_slice(raw.supernode_begin());
        begin.push(raw.nrows());
        let mut pattern_ptr = memory::with_capacity(count + 1, WHAT)?;
        let mut pattern = memory::with_capacity(raw.row_idx().len(), WHAT)?;
        pattern_ptr.push(0);
        for (from, len) in raw.col_ptr_for_row_idx().iter().zip(raw.nnz_per_super()) {
            pattern.extend(raw.row_idx()[*from..from + len].iter().map(|row| *row as u32));
            pattern_ptr.push(pattern.len());
        }
        Ok(Supernodes { begin, pattern_ptr, pattern })
    }

    pub fn count(&self) -> usize {
        self.pattern_ptr.len() - 1
    }

    /// The columns of supernode s.
    #[inline(always)]
    pub fn own(&self, s: usize) -> Range<usize> {
        self.begin[s]..self.begin[s + 1]
    }

    /// The rows below supernode s, ascending.
    #[inline(always)]
    pub fn pattern(&self, s: usize) -> &[u32] {
        &self.pattern[self.pattern_ptr[s]..self.pattern_ptr[s + 1]]
    }

    /// The length of the longest pattern: what walks need as scratch.
    pub fn longest(&self) -> usize {
        (0..self.count()).map(|s| self.pattern(s).len()).max().unwrap_or(0)
    }

    /// Multiplications and additions of a Cholesky factorisation: the squares of the columns' lengths.
    pub fn flops(&self) -> i64 {
        let columns = |s: usize| (0..self.own(s).len()).map(move |j| (self.own(s).len() - j + self.pattern(s).len()) as i64);
        (0..self.count()).flat_map(columns).map(|length| length * length).sum()
    }

    /// The largest number of columns.
    pub fn widest(&self) -> usize {
        (0..self.count()).map(|s| self.own(s).len()).max().unwrap_or(0)
    }
}

/// The rows of a pattern in the columns of one supernode: column j holds
/// `values[j * ld + skip..]`.
pub struct Tall<'a, T> {
    pub own: Range<usize>,
    pub pattern: &'a [u32],
    pub values: &'a [T],
    pub ld: usize,
    pub skip: usize,
}

#[inline(always)]
fn conj<T: Scalar, const CONJ: bool>(v: T) -> T {
    if CONJ { v.conj() } else { v }
}

impl<'a, T: Scalar> Tall<'a, T> {
    /// `K` columns from j on.
    #[inline(always)]
    fn columns<const K: usize>(&self, j: usize) -> [&'a [T]; K] {
        std::array::from_fn(|k| &self.values[(j + k) * self.ld + self.skip..][..self.pattern.len()])
    }

    /// Takes the supernode's unknowns out of the rows of the pattern: x_pattern -= V x_own.
    #[inline(always)]
    pub fn spread(&self, x: &mut [T], scratch: &mut [T]) {
        match self.own.len() {
            1 => self.spread_few::<1>(x),
            2 => self.spread_few::<2>(x),
            3 => self.spread_few::<3>(x),
            4 => self.spread_few::<4>(x),
            _ => self.spread_many(x, &mut scratch[..self.pattern.len()]),
        }
    }

    #[inline(always)]
    fn spread_few<const K: usize>(&self, x: &mut [T]) {
        let v: [T; K] = std::array::from_fn(|k| x[self.own.start + k]);
        let l = self.columns::<K>(0);
        for (i, row) in self.pattern.iter().enumerate() {
            let mut sum = l[0][i] * v[0];
            for k in 1..K {
                sum += l[k][i] * v[k];
            }
            x[*row as usize] -= sum;
        }
    }

    /// Sums first, then one walk over the pattern.
    #[inline(always)]
    fn spread_many(&self, x: &mut [T], sums: &mut [T]) {
        sums.fill(T::ZERO);
        let own = &x[self.own.clone()];
        let mut j = 0;
        while j + 4 <= own.len() {
            let (l, v) = (self.columns::<4>(j), &own[j..j + 4]);
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum += (l[0][i] * v[0] + l[1][i] * v[1]) + (l[2][i] * v[2] + l[3][i] * v[3]);
            }
            j += 4;
        }
        while j < own.len() {
            let [l] = self.columns::<1>(j);
            for (sum, l) in sums.iter_mut().zip(l) {
                *sum += *l * own[j];
            }
            j += 1;
        }
        for (row, sum) in self.pattern.iter().zip(sums) {
            x[*row as usize] -= *sum;
        }
    }

    /// Takes the rows of the pattern out of the supernode's unknowns: x_own -= V^T x_pattern, or
    /// V^H if `CONJ`.
    #[inline(always)]
    pub fn collect<const CONJ: bool>(&self, x: &mut [T], scratch: &mut [T]) {
        match self.own.len() {
            1 => self.collect_few::<1, CONJ>(x),
            2 => self.collect_few::<2, CONJ>(x),
            3 => self.collect_few::<3, CONJ>(x),
            4 => self.collect_few::<4, CONJ>(x),
            _ => self.collect_many::<CONJ>(x, &mut scratch[..self.pattern.len()]),
        }
    }

    #[inline(always)]
    fn collect_few<const K: usize, const CONJ: bool>(&self, x: &mut [T]) {
        let l = self.columns::<K>(0);
        let mut sums = [T::ZERO; K];
        for (i, row) in self.pattern.iter().enumerate() {
            let v = x[*row as usize];
            for k in 0..K {
                sums[k] += conj::<T, CONJ>(l[k][i]) * v;
            }
        }
        for (x, sum) in x[self.own.clone()].iter_mut().zip(sums) {
            *x -= sum;
        }
    }

    #[inline(always)]
    fn collect_many<const CONJ: bool>(&self, x: &mut [T], known: &mut [T]) {
        for (row, known) in self.pattern.iter().zip(known.iter_mut()) {
            *known = x[*row as usize];
        }
        let own = &mut x[self.own.clone()];
        let mut j = 0;
        while j + 4 <= own.len() {
            let sums = dots::<T, 4, CONJ>(self.columns(j), known);
            own[j..j + 4].iter_mut().zip(sums).for_each(|(x, sum)| *x -= sum);
            j += 4;
        }
        while j < own.len() {
            own[j] -= dots::<T, 1, CONJ>(self.columns(j), known)[0];
            j += 1;
        }
    }
}

/// l^T x (l^H x if `CONJ`) for `K` columns, in lanes.
#[inline(always)]
fn dots<T: Scalar, const K: usize, const CONJ: bool>(l: [&[T]; K], x: &[T]) -> [T; K] {
    if CONJ || !T::IS_COMPLEX {
        if let Some([sums]) = simd::dots(l, [x]) {
            return sums.map(T::narrow);
        }
    }
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
                sums[k][p] += conj::<T, CONJ>(l[p]) * x[p];
            }
        }
        i += LANES;
    }
    for i in whole..n {
        for k in 0..K {
            sums[k][i - whole] += conj::<T, CONJ>(l[k][i]) * x[i];
        }
    }
    sums.map(|s| ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7])))
}
