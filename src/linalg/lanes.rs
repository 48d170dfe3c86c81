//! Rows of unknowns: the one of a vector, or those of several columns side by side, which a substitution loads at
//! once. Each lane sees the operations of a single column in the same order, so that its bits are the same.

use super::simd::{columns, lanes};
use crate::runtime::Scalar;

/// Columns side by side.
pub const LANES: usize = 4;

pub trait Row<T: Scalar>: Copy {
    const ZERO: Self;
    /// Rows that must be there behind the end of an array for `subtract` and `dots`.
    const SLACK: usize;

    fn map(self, f: impl Fn(T) -> T) -> Self;

    fn with(self, other: Self, f: impl Fn(T, T) -> T) -> Self;

    /// As `simd::columns::subtract`.
    fn subtract<const K: usize>(l: &[T], ld: usize, n: usize, v: [Self; K], to: &mut [Self]);

    /// As `simd::columns::dots`.
    fn dots<const K: usize, const CONJ: bool>(l: &[T], ld: usize, n: usize, x: &[Self]) -> [Self; K];

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }

    #[inline(always)]
    fn times(self, v: T) -> Self {
        self.map(|a| v * a)
    }
}

impl<T: Scalar> Row<T> for T {
    const ZERO: T = <T as Scalar>::ZERO;
    const SLACK: usize = columns::SLACK;

    #[inline(always)]
    fn map(self, f: impl Fn(T) -> T) -> T {
        f(self)
    }

    #[inline(always)]
    fn with(self, other: T, f: impl Fn(T, T) -> T) -> T {
        f(self, other)
    }

    #[inline(always)]
    fn subtract<const K: usize>(l: &[T], ld: usize, n: usize, v: [T; K], to: &mut [T]) {
        columns::subtract(l, ld, n, v, to)
    }

    #[inline(always)]
    fn dots<const K: usize, const CONJ: bool>(l: &[T], ld: usize, n: usize, x: &[T]) -> [T; K] {
        columns::dots::<T, K, CONJ>(l, ld, n, x)
    }
}

impl<T: Scalar> Row<T> for [T; LANES] {
    const ZERO: Self = [T::ZERO; LANES];
    const SLACK: usize = 0;

    #[inline(always)]
    fn map(mut self, f: impl Fn(T) -> T) -> Self {
        for c in 0..LANES {
            self[c] = f(self[c]);
        }
        self
    }

    #[inline(always)]
    fn with(mut self, other: Self, f: impl Fn(T, T) -> T) -> Self {
        for c in 0..LANES {
            self[c] = f(self[c], other[c]);
        }
        self
    }

    #[inline(always)]
    fn subtract<const K: usize>(l: &[T], ld: usize, n: usize, v: [Self; K], to: &mut [Self]) {
        lanes::subtract(l, ld, n, v, to)
    }

    #[inline(always)]
    fn dots<const K: usize, const CONJ: bool>(l: &[T], ld: usize, n: usize, x: &[Self]) -> [Self; K] {
        lanes::dots::<T, K, CONJ>(l, ld, n, x)
    }
}
