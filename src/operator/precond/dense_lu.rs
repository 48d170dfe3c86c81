//! The dense steps of a supernodal LU factorisation: small ones here, wide ones by faer.

use crate::runtime::Scalar;
use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::lu::partial_pivoting::factor::{lu_in_place, lu_in_place_scratch};
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_unit_lower_triangular_in_place};
use faer::{MatMut, Par};

/// Columns up to which faer does not pay.
const NARROW: usize = 24;

pub fn scratch<T: Scalar>(widest: usize) -> StackReq {
    lu_in_place_scratch::<usize, T>(widest, widest, Par::Seq, Default::default())
}

/// Factors the top n rows of `left` (n columns) as P^T L U with row interchanges, n being the
/// length of `swap`; then the other rows of `left` become L = A U^-1 and `right`, which is the
/// transpose of the rows' right part and has n columns too, becomes (L^-1 P A)^T. The diagonal of
/// U is inverted. False: there is no usable pivot.
pub fn factor<T: Scalar>(left: &mut [T], right: &mut [T], swap: &mut [u32], permutation: &mut [usize], memory: &mut MemBuffer) -> bool {
    let n = swap.len();
    let (ld, below) = (left.len() / n, right.len() / n);
    if n <= NARROW {
        return pulp::Arch::new().dispatch(
            #[inline(always)]
            || narrow(left, ld, right, below, swap),
        );
    }
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
    let right = MatMut::from_column_major_slice_mut(right, below, n);
    solve_unit_lower_triangular_in_place(top.as_ref(), right.transpose_mut(), Par::Seq);
    for k in 0..n {
        top[(k, k)] = T::ONE / top[(k, k)];
    }
    true
}

/// [`factor`] for few columns.
#[inline(always)]
fn narrow<T: Scalar>(left: &mut [T], ld: usize, right: &mut [T], below: usize, swap: &mut [u32]) -> bool {
    let n = swap.len();
    if !pivot(left, ld, swap) {
        return false;
    }
    for j in 0..n {
        let (before, column) = left.split_at_mut(j * ld);
        let (top, column) = column[..ld].split_at_mut(n);
        for i in 0..j {
            let u = top[i];
            column.iter_mut().zip(&before[i * ld + n..(i + 1) * ld]).for_each(|(v, l)| *v -= *l * u);
        }
        // `pivot` has left the inverse on the diagonal.
        column.iter_mut().for_each(|v| *v *= top[j]);
    }
    exchange(right, below, swap);
    for j in 0..n {
        let (column, after) = right[j * below..].split_at_mut(below);
        for i in j + 1..n {
            let l = left[j * ld + i];
            after[(i - j - 1) * below..][..below].iter_mut().zip(&*column).for_each(|(v, u)| *v -= *u * l);
        }
    }
    true
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

/// The factored rows of a supernode's own; x holds its unknowns.
pub struct Top<'a, T> {
    pub values: &'a [T],
    pub ld: usize,
    pub swap: &'a [u32],
}

impl<T: Scalar> Top<'_, T> {
    #[inline(always)]
    fn column(&self, j: usize) -> &[T] {
        &self.values[j * self.ld..][..self.swap.len()]
    }

    /// x <- L^-1 P x.
    #[inline(always)]
    pub fn solve_lower(&self, x: &mut [T]) {
        for (k, s) in self.swap.iter().enumerate() {
            x.swap(k, k + *s as usize);
        }
        for j in 0..x.len() {
            let v = x[j];
            x[j + 1..].iter_mut().zip(&self.column(j)[j + 1..]).for_each(|(x, l)| *x -= *l * v);
        }
    }

    /// x <- U^-1 x.
    #[inline(always)]
    pub fn solve_upper(&self, x: &mut [T]) {
        for j in (0..x.len()).rev() {
            let column = self.column(j);
            x[j] *= column[j];
            let v = x[j];
            x[..j].iter_mut().zip(column).for_each(|(x, u)| *x -= *u * v);
        }
    }

    /// x <- U^-T x.
    #[inline(always)]
    pub fn solve_upper_transposed(&self, x: &mut [T]) {
        for j in 0..x.len() {
            let column = self.column(j);
            let sum = x[..j].iter().zip(column).fold(T::ZERO, |sum, (x, u)| sum + *u * *x);
            x[j] = (x[j] - sum) * column[j];
        }
    }

    /// x <- P^T L^-T x.
    #[inline(always)]
    pub fn solve_lower_transposed(&self, x: &mut [T]) {
        for j in (0..x.len()).rev() {
            let sum = x[j + 1..].iter().zip(&self.column(j)[j + 1..]).fold(T::ZERO, |sum, (x, l)| sum + *l * *x);
            x[j] -= sum;
        }
        for (k, s) in self.swap.iter().enumerate().rev() {
            x.swap(k, k + *s as usize);
        }
    }
}
