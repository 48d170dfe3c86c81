//! Operators made of operators.

use super::formats::Host;
use super::truth::{agree, operator, product_agrees, rows, scalar, Matrix, Order, C};
use crate::for_scalars;
use reknit::linalg::{Panel, PanelMut};
use reknit::operator::callback::Callback;
use reknit::operator::compose::{Adjoint, Block, Product, Scaled, Shifted, Sum};
use reknit::operator::diagonal::Identity;
use reknit::operator::sparse::Compressed;
use reknit::operator::symmetric::Symmetric;
use reknit::operator::{Operator, Trans, Triangle};
use reknit::runtime::{Error, Scalar};

fn csr<T: Scalar>(a: &Matrix) -> Operator<T> {
    operator(Compressed::<T, i32>::csr(rows(a, 0, Order::Ascending)).expect("csr"))
}

fn callback<T: Scalar>(a: &Matrix, adjoint: bool) -> Operator<T> {
    operator(Callback::new(a.m, a.n, Box::new(Host { a: a.clone(), adjoint })))
}

/// Complex where the scalar is.
fn factor<T: Scalar>(re: f64, im: f64) -> C {
    C::new(re, if T::IS_COMPLEX { im } else { 0.0 })
}

fn compositions_of<T: Scalar>() {
    let (a, b, c) = (Matrix::sparse::<T>(7, 5, 1), Matrix::full::<T>(7, 5, 2), Matrix::full::<T>(5, 6, 3));
    let square = Matrix::full::<T>(6, 6, 4);
    let (alpha, beta) = (factor::<T>(2.0, -1.0), factor::<T>(-3.0, 2.0));
    let (fa, fb) = (scalar::<T>(alpha), scalar::<T>(beta));

    let sum = operator(Sum::new(fa, csr(&a), fb, callback(&b, true)).expect("sum"));
    agree(&sum, &a.scaled(alpha).plus(beta, &b), "sum");
    assert_eq!(sum.describe(), "sum(csr, callback)");
    let plain = operator(Sum::new(T::ONE, csr(&a), fb, csr(&b)).expect("sum"));
    agree(&plain, &a.plus(beta, &b), "plain sum");
    assert_eq!(plain.count("entries"), Some(csr::<T>(&a).count("entries").unwrap() + 35));
    assert_eq!(sum.count("entries"), None);

    let product = operator(Product::new(csr::<T>(&b), csr(&c)).expect("product"));
    agree(&product, &b.times(&c), "product");
    assert_eq!(product.describe(), "product(csr, csr)");
    let nested = operator(Product::new(product.clone(), csr(&square)).expect("product"));
    agree(&nested, &b.times(&c).times(&square), "product of a product");
    let none = product.with_body(|body| body.entries(&mut |_, _, _| {}));
    assert_eq!(none, Err(Error::Unsupported("a product(csr, csr) operator has no entries".to_string())));

    let scaled = operator(Scaled::new(fa, csr(&a)).expect("scaled"));
    agree(&scaled, &a.scaled(alpha), "scaled");
    let shifted = operator(Shifted::new(csr(&square), fb).expect("shifted"));
    agree(&shifted, &square.plus(beta, &Matrix::identity(6)), "shifted");

    for trans in [Trans::T, Trans::H] {
        for part in [csr::<T>(&a), callback(&a, true)] {
            let adjoint = operator(Adjoint::new(part, trans).expect("adjoint"));
            agree(&adjoint, &a.op(trans), &format!("{trans:?}"));
            // Twice, with both kinds mixed: N, or the conjugate.
            for again in [Trans::T, Trans::H] {
                let twice = operator(Adjoint::new(adjoint.clone(), again).expect("adjoint"));
                agree(&twice, &a.op(trans).op(again), &format!("{trans:?} {again:?}"));
            }
        }
    }
    let name = |trans| operator(Adjoint::new(csr::<T>(&a), trans).expect("adjoint")).describe();
    assert_eq!([name(Trans::T), name(Trans::H)], ["transpose(csr)", "adjoint(csr)"]);
}

#[test]
fn compositions() {
    for_scalars!(compositions_of);
}

/// [A B 0; 0 0 C], with the zeros left out.
fn block_of<T: Scalar>() {
    let (a, b, c) = (Matrix::sparse::<T>(4, 3, 1), Matrix::full::<T>(4, 5, 2), Matrix::full::<T>(2, 6, 3));
    let grid = vec![Some(csr::<T>(&a)), Some(callback(&b, true)), None, None, None, Some(csr(&c))];
    let whole = operator(Block::new(2, 3, grid).expect("block"));
    let want = Matrix::from_fn(6, 14, |i, j| match (i < 4, j) {
        (true, 0..=2) => a.at(i, j),
        (true, 3..=7) => b.at(i, j - 3),
        (false, 8..) => c.at(i - 4, j - 8),
        _ => C::new(0.0, 0.0),
    });
    agree(&whole, &want, "block");
    assert_eq!(whole.describe(), "block(csr, callback, zero; zero, zero, csr)");
    let adjoint = operator(Adjoint::new(whole, Trans::H).expect("adjoint"));
    agree(&adjoint, &want.op(Trans::H), "adjoint of a block");

    // Without a callback there are entries.
    let grid = vec![Some(csr::<T>(&a)), Some(csr(&b)), Some(operator(Identity::new(3))), None];
    let whole = operator(Block::new(2, 2, grid).expect("block"));
    let want = Matrix::from_fn(7, 8, |i, j| match (i < 4, j < 3) {
        (true, true) => a.at(i, j),
        (true, false) => b.at(i, j - 3),
        (false, true) => C::new((i - 4 == j) as u8 as f64, 0.0),
        (false, false) => C::new(0.0, 0.0),
    });
    agree(&whole, &want, "block with entries");
    assert!(whole.with_body(|body| body.entries(&mut |_, _, _| {})).is_ok());
}

#[test]
fn blocks() {
    for_scalars!(block_of);
}

#[test]
fn a_part_without_adjoint_leaves_the_whole_without() {
    let a = Matrix::full::<f64>(3, 3, 1);
    let half = || callback::<f64>(&a, false);
    let wholes: [Operator<f64>; 5] = [
        operator(Sum::new(1.0, csr(&a), 1.0, half()).expect("sum")),
        operator(Product::new(half(), csr(&a)).expect("product")),
        operator(Scaled::new(2.0, half()).expect("scaled")),
        operator(Shifted::new(half(), 2.0).expect("shifted")),
        operator(Block::new(1, 2, vec![Some(csr(&a)), Some(half())]).expect("block")),
    ];
    for whole in &wholes {
        assert!(!whole.has_adjoint(), "{}", whole.describe());
        let (x, mut y) = (vec![1.0; whole.nrows()], vec![0.0; whole.ncols()]);
        let refused = whole.apply(&whole.context().pool, Trans::T, Panel::column(&x), PanelMut::column(&mut y));
        assert!(matches!(refused, Err(Error::Unsupported(_))), "{}", whole.describe());
    }
    product_agrees(&wholes[0], &a.plus(C::new(1.0, 0.0), &a), Trans::N, 2, "sum without adjoint");
    let refused = Adjoint::new(half(), Trans::T).err();
    assert_eq!(refused, Some(Error::Unsupported("argument 'A' is a callback operator without adjoint".to_string())));
}

#[test]
fn hermitian_where_it_follows() {
    type Z = num_complex::Complex<f64>;
    let (real, imaginary) = (Z::new(2.0, 0.0), Z::new(2.0, 1.0));
    let lower = Matrix::from_fn(3, 3, |i, j| if j <= i { C::new(1.0, (i != j) as u8 as f64) } else { C::new(0.0, 0.0) });
    let h: Operator<Z> = operator(Symmetric::<Z, i32>::new(rows(&lower, 0, Order::Ascending), Triangle::Lower, true).expect("hermitian"));
    let other: Operator<Z> = csr(&Matrix::full::<Z>(3, 3, 1));
    let sum = |alpha, b: &Operator<Z>, beta| operator(Sum::new(alpha, h.clone(), beta, b.clone()).expect("sum")).is_hermitian();
    assert!(h.is_hermitian() && !other.is_hermitian());
    assert!(sum(real, &h, real) && !sum(imaginary, &h, real) && !sum(real, &h, imaginary) && !sum(real, &other, real));
    let scaled = |alpha| operator(Scaled::new(alpha, h.clone()).expect("scaled")).is_hermitian();
    assert!(scaled(real) && !scaled(imaginary));
    let shifted = |sigma| operator(Shifted::new(h.clone(), sigma).expect("shifted")).is_hermitian();
    assert!(shifted(real) && !shifted(imaginary));
    let product = |b: &Operator<Z>| operator(Product::new(h.clone(), b.clone()).expect("product")).is_hermitian();
    assert!(product(&h) && !product(&other));
    assert!(operator(Adjoint::new(h.clone(), Trans::T).expect("adjoint")).is_hermitian());
    let block = |grid| operator(Block::new(2, 2, grid).expect("block")).is_hermitian();
    assert!(block(vec![Some(h.clone()), None, None, Some(h.clone())]));
    assert!(!block(vec![Some(h.clone()), None, None, Some(other.clone())]));
    assert!(!block(vec![Some(h.clone()), Some(h.clone()), None, Some(h.clone())]));
    // The user's word counts like the body's own.
    other.declare_hermitian(true);
    assert!(sum(real, &other, real));
}

#[test]
fn versions_follow_the_parts() {
    let a = csr::<f64>(&Matrix::full::<f64>(3, 3, 1));
    let inner = operator(Scaled::new(2.0, a.clone()).expect("scaled"));
    let outer = operator(Sum::new(1.0, inner, 1.0, operator(Identity::new(3))).expect("sum"));
    let before = outer.version();
    a.set_values(&[1.0; 9]).expect("new values");
    assert!(outer.version() > before);
    let x = [1.0, 0.0, 0.0];
    let mut y = [0.0; 3];
    outer.apply_vector(&outer.context().pool, &x, &mut y).expect("a product");
    assert_eq!(y, [3.0, 2.0, 2.0]);
}

#[test]
fn a_part_counts_its_products() {
    let a = csr::<f64>(&Matrix::full::<f64>(3, 3, 1));
    let square = operator(Product::new(a.clone(), a.clone()).expect("product"));
    product_agrees(&square, &Matrix::full::<f64>(3, 3, 1).times(&Matrix::full::<f64>(3, 3, 1)), Trans::N, 5, "square");
    assert_eq!((square.products(), a.products()), (5, 10));
}
