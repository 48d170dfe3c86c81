//! Each storage format.

use super::truth::{self, agree, columns, entries_agree, operator, product_agrees, rows, scalar, Matrix, Numbers, Order, C};
use crate::for_scalars;
use reknit::linalg::{Panel, PanelMut};
use reknit::operator::bsr::Bsr;
use reknit::operator::callback::{Apply, Callback};
use reknit::operator::check::Index;
use reknit::operator::dense::Dense;
use reknit::operator::diagonal::{Diagonal, Identity};
use reknit::operator::sparse::{Compressed, Parts};
use reknit::operator::symmetric::Symmetric;
use reknit::operator::{self, Trans, Triangle};
use reknit::runtime::{Error, Result, Scalar};

const SHAPES: [(usize, usize); 6] = [(11, 8), (8, 11), (1, 40), (40, 1), (0, 3), (3, 0)];

fn each_compressed<T: Scalar, I: Index + TryFrom<usize>>() {
    for (seed, (m, n)) in SHAPES.into_iter().enumerate() {
        let a = Matrix::sparse::<T>(m, n, seed as u64);
        for base in [0, 1] {
            for order in [Order::Ascending, Order::Descending, Order::Doubled] {
                let what = format!("{m} x {n}, base {base}, {order:?}");
                let csr = operator(Compressed::<T, I>::csr(rows(&a, base, order)).expect("csr"));
                agree(&csr, &a, &format!("csr {what}"));
                entries_agree(&csr, &a, &what);
                let csc = operator(Compressed::<T, I>::csc(columns(&a, base, order)).expect("csc"));
                agree(&csc, &a, &format!("csc {what}"));
                entries_agree(&csc, &a, &what);
            }
        }
    }
}

fn compressed_of<T: Scalar>() {
    each_compressed::<T, i32>();
    each_compressed::<T, i64>();
}

#[test]
fn compressed_rows_and_columns() {
    for_scalars!(compressed_of);
}

#[test]
fn long_rows_are_summed_in_parts() {
    // Rows of more than a dozen entries take another path.
    fn long<T: Scalar>() {
        let a = Matrix::sparse::<T>(70, 90, 3);
        agree(&operator(Compressed::<T, i32>::csr(rows(&a, 1, Order::Ascending)).expect("csr")), &a, "long rows");
        agree(&operator(Compressed::<T, i64>::csc(columns(&a, 0, Order::Descending)).expect("csc")), &a, "long columns");
    }
    for_scalars!(long);
}

/// Storage of `a` in `order` with gaps of NaN.
fn stored<T: Scalar>(a: &Matrix, order: operator::Order, ld: usize) -> Vec<T> {
    let by_row = order == operator::Order::RowMajor;
    let (lines, across) = if by_row { (a.m, a.n) } else { (a.n, a.m) };
    let mut values = vec![T::from_f64(f64::NAN); if lines == 0 || across == 0 { 0 } else { (lines - 1) * ld + across }];
    for i in 0..a.m {
        for j in 0..a.n {
            values[if by_row { i * ld + j } else { j * ld + i }] = scalar(a.at(i, j));
        }
    }
    values
}

fn dense_of<T: Scalar>() {
    // The long ones span several tiles, one of them not a whole one.
    for (m, n) in SHAPES.into_iter().chain([(7, 2100), (2100, 6)]) {
        let a = Matrix::full::<T>(m, n, 5);
        for (order, across) in [(operator::Order::RowMajor, n), (operator::Order::ColumnMajor, m)] {
            for gap in [0, 3] {
                let values = stored::<T>(&a, order, across + gap);
                let dense = Dense::new(m, n, order, Box::new(values), across + gap, true).expect("dense");
                let dense = operator(dense);
                agree(&dense, &a, &format!("dense {m} x {n} {order:?}, gap {gap}"));
                assert_eq!(dense.count("entries"), Some((m * n) as i64));
            }
        }
    }
}

#[test]
fn dense_in_both_orders() {
    for_scalars!(dense_of);
}

fn diagonal_of<T: Scalar>() {
    for n in [0, 1, 9] {
        let full = Matrix::full::<T>(n, n, 8);
        let a = Matrix::from_fn(n, n, |i, j| if i == j { full.at(i, j) } else { C::new(0.0, 0.0) });
        let values: Vec<T> = (0..n).map(|i| scalar(a.at(i, i))).collect();
        let diagonal = operator(Diagonal::<T>::new(Box::new(values), true).expect("diagonal"));
        agree(&diagonal, &a, "diagonal");
        assert_eq!(diagonal.is_hermitian(), !T::IS_COMPLEX);
        let identity = operator::<T>(Identity::new(n));
        agree(&identity, &Matrix::identity(n), "identity");
        assert!(identity.is_hermitian());
    }
}

#[test]
fn diagonal_and_identity() {
    for_scalars!(diagonal_of);
}

/// `a` in blocks of `b`: the blocks that are not zero, the pattern from their corners.
fn blocks<T: Scalar, I: Index + TryFrom<usize>>(a: &Matrix, b: usize, order: operator::Order, base: usize, arrangement: Order) -> Parts<T, I> {
    let some = |r: usize, c: usize| (0..b * b).any(|p| a.at(r * b + p / b, c * b + p % b) != C::new(0.0, 0.0));
    let pattern = Matrix::from_fn(a.m / b, a.n / b, |r, c| C::new(some(r, c) as u8 as f64, 0.0));
    let corner: Parts<T, I> = rows(&pattern, base, arrangement);
    let part = if arrangement == Order::Doubled { 0.5 } else { 1.0 };
    let mut values = Vec::new();
    for r in 0..pattern.m {
        for k in corner.ptr[r].at(base)..corner.ptr[r + 1].at(base) {
            let c = corner.ind[k].at(base);
            for p in 0..b * b {
                let (i, j) = if order == operator::Order::RowMajor { (p / b, p % b) } else { (p % b, p / b) };
                values.push(scalar(a.at(r * b + i, c * b + j) * part));
            }
        }
    }
    Parts { values: Box::new(values), ..corner }
}

fn each_bsr<T: Scalar, I: Index + TryFrom<usize>>() {
    for b in 1..=6 {
        let mut a = Matrix::sparse::<T>(5 * b, 4 * b, b as u64);
        // An empty block row, and a block that is not stored.
        for i in 0..b {
            (0..4 * b).for_each(|j| a.a[(2 * b + i) * 4 * b + j] = C::new(0.0, 0.0));
            (0..b).for_each(|j| a.a[i * 4 * b + j] = C::new(0.0, 0.0));
        }
        for order in [operator::Order::RowMajor, operator::Order::ColumnMajor] {
            for (base, arrangement) in [(0, Order::Ascending), (1, Order::Doubled), (1, Order::Descending)] {
                let parts = blocks::<T, I>(&a, b, order, base, arrangement);
                let bsr = operator(Bsr::new(parts, b, order).expect("bsr"));
                agree(&bsr, &a, &format!("bsr {b}, {order:?}, base {base}, {arrangement:?}"));
                assert_eq!(bsr.describe(), format!("bsr {b} x {b}"));
            }
        }
    }
}

fn bsr_of<T: Scalar>() {
    each_bsr::<T, i32>();
    each_bsr::<T, i64>();
}

#[test]
fn block_rows() {
    for_scalars!(bsr_of);
}

fn each_symmetric<T: Scalar, I: Index + TryFrom<usize>>() {
    let n = 13;
    for hermitian in [false, true] {
        let half = Matrix::sparse::<T>(n, n, 21);
        let mirrored = |v: C| if hermitian { v.conj() } else { v };
        let a = Matrix::from_fn(n, n, |i, j| match i.cmp(&j) {
            std::cmp::Ordering::Less => mirrored(half.at(j, i)),
            std::cmp::Ordering::Equal if hermitian => C::new(half.at(i, i).re, 0.0),
            _ => half.at(i, j),
        });
        for triangle in [Triangle::Lower, Triangle::Upper] {
            let stored = Matrix::from_fn(n, n, |i, j| {
                let inside = if triangle == Triangle::Lower { j <= i } else { j >= i };
                // Of a Hermitian diagonal the imaginary part does not count.
                let v = if i == j { half.at(i, i) } else { a.at(i, j) };
                if inside { v } else { C::new(0.0, 0.0) }
            });
            for (base, order) in [(0, Order::Ascending), (1, Order::Descending), (0, Order::Doubled)] {
                let what = format!("{triangle:?}, hermitian {hermitian}, base {base}, {order:?}");
                let parts = rows::<T, I>(&stored, base, order);
                let entries = parts.ind.len() as i64;
                let symmetric = operator(Symmetric::new(parts, triangle, hermitian).expect("symmetric"));
                agree(&symmetric, &a, &what);
                entries_agree(&symmetric, &a, &what);
                assert_eq!(symmetric.is_hermitian(), hermitian || !T::IS_COMPLEX, "{what}");
                assert_eq!(symmetric.count("entries"), Some(entries), "{what}");
            }
        }
    }
}

fn symmetric_of<T: Scalar>() {
    each_symmetric::<T, i32>();
    each_symmetric::<T, i64>();
}

#[test]
fn one_triangle_stands_for_both() {
    for_scalars!(symmetric_of);
}

/// A dense matrix behind a callback.
pub struct Host {
    pub a: Matrix,
    pub adjoint: bool,
}

impl<T: Scalar> Apply<T> for Host {
    fn apply(&self, trans: Trans, x: Panel<T>, mut y: PanelMut<T>) -> Result<()> {
        let op = self.a.op(trans);
        for j in 0..x.ncols {
            for i in 0..op.m {
                y.col(j)[i] = scalar((0..op.n).map(|k| op.at(i, k) * truth::complex(x.col(j)[k])).sum());
            }
        }
        Ok(())
    }

    fn has_adjoint(&self) -> bool {
        self.adjoint
    }

    fn status(&self) -> i32 {
        17
    }
}

fn callback_of<T: Scalar>() {
    let a = Matrix::full::<T>(6, 4, 2);
    let whole = operator::<T>(Callback::new(6, 4, Box::new(Host { a: a.clone(), adjoint: true })));
    agree(&whole, &a, "callback");
    assert!(whole.has_adjoint());
    assert_eq!(whole.count("callback_status"), Some(17));
    let half = operator::<T>(Callback::new(6, 4, Box::new(Host { a: a.clone(), adjoint: false })));
    product_agrees(&half, &a, Trans::N, 3, "callback without adjoint");
    assert!(!half.has_adjoint());
    let (x, mut y) = ([T::ONE; 6], [T::ONE; 4]);
    let refused = half.apply(&half.context().pool, Trans::H, Panel::column(&x), PanelMut::column(&mut y));
    assert_eq!(refused, Err(Error::Unsupported("the callback operator has no adjoint".to_string())));
    let none = whole.with_body(|body| body.entries(&mut |_, _, _| {}));
    assert_eq!(none, Err(Error::Unsupported("a callback operator has no entries".to_string())));
}

#[test]
fn callbacks() {
    for_scalars!(callback_of);
}

#[test]
fn the_numbers_of_this_test_are_not_all_alike() {
    let mut numbers = Numbers::new(1);
    let some: Vec<f64> = (0..200).map(|_| numbers.small()).collect();
    assert!((-4..=4).filter(|v| *v != 0).all(|v| some.contains(&(v as f64))));
    assert!(!some.contains(&0.0));
}
