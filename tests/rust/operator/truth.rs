//! Dense matrices of complex doubles, and how operators are held against them.

use num_complex::Complex;
use reknit::linalg::{Panel, PanelMut};
use reknit::operator::check::Index;
use reknit::operator::sparse::Parts;
use reknit::operator::{Body, Operator, Trans};
use reknit::runtime::{Context, Scalar};
use std::sync::Arc;

pub type C = Complex<f64>;

/// Small numbers in a fixed sequence.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(2).wrapping_add(1))
    }

    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An integer in -4..=4, not 0.
    pub fn small(&mut self) -> f64 {
        let v = (self.word() % 8) as f64 - 4.0;
        if v >= 0.0 { v + 1.0 } else { v }
    }

    /// A number in -1..1 with all its digits.
    pub fn digits(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// m x n, by rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    pub m: usize,
    pub n: usize,
    pub a: Vec<C>,
}

impl Matrix {
    pub fn zero(m: usize, n: usize) -> Self {
        Matrix { m, n, a: vec![C::new(0.0, 0.0); m * n] }
    }

    pub fn from_fn(m: usize, n: usize, mut entry: impl FnMut(usize, usize) -> C) -> Self {
        let a = (0..m * n).map(|p| entry(p / n, p % n)).collect();
        Matrix { m, n, a }
    }

    /// All entries filled.
    pub fn full<T: Scalar>(m: usize, n: usize, seed: u64) -> Self {
        let mut numbers = Numbers::new(seed);
        Self::from_fn(m, n, |_, _| {
            let (re, im) = (numbers.small(), numbers.small());
            C::new(re, if T::IS_COMPLEX { im } else { 0.0 })
        })
    }

    /// About half of the entries filled; row m / 2 and column n / 3 empty.
    pub fn sparse<T: Scalar>(m: usize, n: usize, seed: u64) -> Self {
        let (mut numbers, full) = (Numbers::new(seed + 99), Self::full::<T>(m, n, seed));
        Self::from_fn(m, n, |i, j| {
            let keep = numbers.word() % 2 == 0 && i != m / 2 && j != n / 3;
            if keep { full.at(i, j) } else { C::new(0.0, 0.0) }
        })
    }

    pub fn at(&self, i: usize, j: usize) -> C {
        self.a[i * self.n + j]
    }

    pub fn op(&self, trans: Trans) -> Matrix {
        match trans {
            Trans::N => self.clone(),
            Trans::T => Matrix::from_fn(self.n, self.m, |i, j| self.at(j, i)),
            Trans::H => Matrix::from_fn(self.n, self.m, |i, j| self.at(j, i).conj()),
        }
    }

    pub fn times(&self, other: &Matrix) -> Matrix {
        Matrix::from_fn(self.m, other.n, |i, j| (0..self.n).map(|k| self.at(i, k) * other.at(k, j)).sum())
    }

    pub fn plus(&self, alpha: C, other: &Matrix) -> Matrix {
        Matrix::from_fn(self.m, self.n, |i, j| self.at(i, j) + alpha * other.at(i, j))
    }

    pub fn scaled(&self, alpha: C) -> Matrix {
        Matrix::from_fn(self.m, self.n, |i, j| alpha * self.at(i, j))
    }

    pub fn identity(n: usize) -> Matrix {
        Matrix::from_fn(n, n, |i, j| C::new((i == j) as u8 as f64, 0.0))
    }
}

pub fn complex<T: Scalar>(v: T) -> C {
    C::new(v.real_part(), v.imag_part())
}

pub fn scalar<T: Scalar>(v: C) -> T {
    T::from_parts(v.re, v.im)
}

pub fn operator<T: Scalar>(body: impl Body<T> + 'static) -> Operator<T> {
    Operator::new(Arc::new(Context::new()), Box::new(body))
}

/// How the entries of a line are arranged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    Ascending,
    Descending,
    /// Each entry twice, its half each time.
    Doubled,
}

/// Rows of `a` without its zeros.
pub fn rows<T: Scalar, I: Index + TryFrom<usize>>(a: &Matrix, base: usize, order: Order) -> Parts<T, I> {
    let index = |v: usize| I::try_from(v + base).ok().expect("a small index");
    let (mut ptr, mut ind, mut values) = (vec![index(0)], Vec::new(), Vec::new());
    for i in 0..a.m {
        let mut columns: Vec<usize> = (0..a.n).filter(|j| a.at(i, *j) != C::new(0.0, 0.0)).collect();
        let mut part = 1.0;
        match order {
            Order::Ascending => {}
            Order::Descending => columns.reverse(),
            Order::Doubled => {
                columns.extend(columns.clone());
                part = 0.5;
            }
        }
        for j in columns {
            ind.push(index(j));
            values.push(scalar(a.at(i, j) * part));
        }
        ptr.push(index(ind.len()));
    }
    Parts { nrows: a.m, ncols: a.n, base, ptr: Box::new(ptr), ind: Box::new(ind), values: Box::new(values), copied: true }
}

/// Columns of `a` without its zeros.
pub fn columns<T: Scalar, I: Index + TryFrom<usize>>(a: &Matrix, base: usize, order: Order) -> Parts<T, I> {
    let parts = rows(&a.op(Trans::T), base, order);
    Parts { nrows: a.m, ncols: a.n, ..parts }
}

/// op(A) X for all op, for one and several columns with gaps between them, and the entries.
pub fn agree<T: Scalar>(operator: &Operator<T>, a: &Matrix, what: &str) {
    assert_eq!((operator.nrows(), operator.ncols()), (a.m, a.n), "shape of {what}");
    for trans in [Trans::N, Trans::T, Trans::H] {
        for width in [1, 2, 3, 4, 5, 9] {
            product_agrees(operator, a, trans, width, what);
        }
    }
    entries_agree(operator, a, what);
}

pub fn product_agrees<T: Scalar>(operator: &Operator<T>, a: &Matrix, trans: Trans, width: usize, what: &str) {
    let op = a.op(trans);
    let (ldx, ldy) = (op.n + 2, op.m + 3);
    let mut numbers = Numbers::new(7);
    let x: Vec<T> = (0..ldx * width).map(|_| T::from_parts(numbers.small(), numbers.small())).collect();
    // What stands in y must not matter: NaN would spread.
    let mut y = vec![T::from_f64(f64::NAN); ldy * width];
    for j in 0..width {
        y[j * ldy + op.m..(j + 1) * ldy].fill(T::from_f64(77.0));
    }
    let (input, output) = (
        Panel { data: &x, nrows: op.n, ncols: width, ld: ldx },
        PanelMut { data: &mut y, nrows: op.m, ncols: width, ld: ldy },
    );
    operator.apply(&operator.context().pool, trans, input, output).expect("a product");
    for j in 0..width {
        for i in 0..op.m {
            let want: C = (0..op.n).map(|k| op.at(i, k) * complex(x[j * ldx + k])).sum();
            assert_eq!(complex(y[j * ldy + i]), want, "{what}, {trans:?}, row {i} of column {j} of {width}");
        }
        assert!(y[j * ldy + op.m..(j + 1) * ldy].iter().all(|v| *v == T::from_f64(77.0)), "{what} wrote beside a column");
    }
}

/// The sum of what `entries` calls out, if the operator has entries.
pub fn entries_agree<T: Scalar>(operator: &Operator<T>, a: &Matrix, what: &str) {
    let mut sum = Matrix::zero(a.m, a.n);
    let done = operator.with_body(|body| body.entries(&mut |i, j, v| sum.a[i * a.n + j] += complex(v)));
    if done.is_ok() {
        assert_eq!(sum, *a, "entries of {what}");
    }
}

/// Runs a generic test for all four scalars.
#[macro_export]
macro_rules! for_scalars {
    ($test:ident) => {
        $test::<f32>();
        $test::<f64>();
        $test::<num_complex::Complex<f32>>();
        $test::<num_complex::Complex<f64>>();
    };
}
