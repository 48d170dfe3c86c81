//! What is refused, and in which words.

use super::truth::{operator, rows, Matrix, Order};
use reknit::operator::bsr::Bsr;
use reknit::operator::compose::{Adjoint, Block, Product, Scaled, Shifted, Sum};
use reknit::operator::dense::{self, Dense};
use reknit::operator::diagonal::{Diagonal, Identity};
use reknit::operator::sparse::{Compressed, Parts};
use reknit::operator::symmetric::Symmetric;
use reknit::operator::{self, Operator, Trans, Triangle};
use reknit::runtime::Result;

/// The status and the words of a refusal.
fn refusal<R>(result: Result<R>) -> (i32, String) {
    match result {
        Ok(_) => panic!("accepted"),
        Err(error) => (error.status(), error.to_string()),
    }
}

fn says(status: i32, words: &str) -> (i32, String) {
    (status, words.to_string())
}

fn parts(ptr: &[i32], ind: &[i32], values: &[f64], base: usize) -> Parts<f64, i32> {
    Parts {
        nrows: ptr.len() - 1,
        ncols: 3,
        base,
        ptr: Box::new(ptr.to_vec()),
        ind: Box::new(ind.to_vec()),
        values: Box::new(values.to_vec()),
        copied: true,
    }
}

const ONES: [f64; 3] = [1.0; 3];

#[test]
fn compressed() {
    let csr = |ptr: &[i32], ind: &[i32], base| refusal(Compressed::csr(parts(ptr, ind, &ONES, base)));
    assert_eq!(csr(&[1, 2, 3], &[0, 1, 2], 0), says(-5, "argument 'rowptr' has 1 at position 0, must be 0 (base 0)"));
    assert_eq!(csr(&[0, 2, 3], &[1, 1, 2], 1), says(-5, "argument 'rowptr' has 0 at position 0, must be 1 (base 1)"));
    let falling = "argument 'rowptr' has 1 at position 2, must be at least 2 (pointers must not descend)";
    assert_eq!(csr(&[0, 2, 1, 3], &[0, 1, 2], 0), says(-5, falling));
    assert_eq!(csr(&[0, 2, 3], &[0, 1, 3], 0), says(-5, "argument 'colind' has 3 at position 2, must lie in 0..2 (base 0)"));
    assert_eq!(csr(&[0, 2, 3], &[0, -1, 2], 0), says(-5, "argument 'colind' has -1 at position 1, must lie in 0..2 (base 0)"));
    assert_eq!(csr(&[1, 3, 4], &[0, 1, 2], 1), says(-5, "argument 'colind' has 0 at position 0, must lie in 1..3 (base 1)"));
    let empty = refusal(Compressed::csr(Parts { ncols: 0, ..parts(&[0, 1], &[0], &ONES, 0) }));
    assert_eq!(empty, says(-5, "argument 'colind' has entries, but that dimension is 0"));
    let columns = refusal(Compressed::csc(parts(&[0, 1, 2, 3], &[0, 1, 3], &ONES, 0)));
    assert_eq!(columns, says(-5, "argument 'rowind' has 3 at position 2, must lie in 0..2 (base 0)"));
    let late = refusal(Compressed::csc(parts(&[2, 2], &[], &ONES, 0)));
    assert_eq!(late, says(-5, "argument 'colptr' has 2 at position 0, must be 0 (base 0)"));
    let nan = refusal(Compressed::csr(parts(&[0, 2, 3], &[0, 1, 2], &[1.0, f64::NAN, 1.0], 0)));
    assert_eq!(nan, says(-6, "argument 'values' has NaN at position 1, must be finite"));
}

#[test]
fn symmetric() {
    let make = |ptr: &[i32], ind: &[i32], base, triangle| refusal(Symmetric::new(parts(ptr, ind, &ONES, base), triangle, false));
    let words = "argument 'colind' has 2 at position 1, must lie in 0..1 (row 1 of the lower triangle, base 0)";
    assert_eq!(make(&[0, 1, 2, 3], &[0, 2, 2], 0, Triangle::Lower), says(-5, words));
    let words = "argument 'colind' has 1 at position 2, must lie in 3..3 (row 3 of the upper triangle, base 1)";
    assert_eq!(make(&[1, 2, 3, 4], &[1, 3, 1], 1, Triangle::Upper), says(-5, words));
    let words = "argument 'colind' has 7 at position 1, must lie in 0..2 (base 0)";
    assert_eq!(make(&[0, 1, 2, 3], &[0, 7, 2], 0, Triangle::Upper), says(-5, words));
    assert_eq!(make(&[0, 1, 2], &[0, 1], 0, Triangle::Lower), says(-3, "argument 'A' has size 2 x 3, must be square"));
}

#[test]
fn bsr() {
    let make = |block, ind: &[i32]| refusal(Bsr::new(parts(&[0, 1], ind, &[1.0; 8], 0), block, operator::Order::RowMajor));
    assert_eq!(make(0, &[0]), says(-3, "argument 'block' has size 0, must be at least 1"));
    let large = says(-3, &format!("argument 'block' has size {}, must let the matrix fit the address space", usize::MAX / 2));
    assert_eq!(make(usize::MAX / 2, &[0]), large);
    assert_eq!(make(2, &[3]), says(-5, "argument 'colind' has 3 at position 0, must lie in 0..2 (base 0)"));
    let mut values = [1.0; 4];
    values[3] = f64::INFINITY;
    let infinite = refusal(Bsr::new(parts(&[0, 1], &[0], &values, 0), 2, operator::Order::RowMajor));
    assert_eq!(infinite, says(-6, "argument 'values' has inf at position 3, must be finite"));
}

#[test]
fn dense() {
    use operator::Order::{ColumnMajor, RowMajor};
    let make = |m, n, order, ld, values: &[f64]| refusal(Dense::new(m, n, order, Box::new(values.to_vec()), ld, true));
    assert_eq!(make(3, 2, ColumnMajor, 2, &[1.0; 6]), says(-3, "argument 'ld' has size 2, must be at least 3"));
    assert_eq!(make(3, 2, RowMajor, 1, &[1.0; 6]), says(-3, "argument 'ld' has size 1, must be at least 2"));
    let huge = refusal(dense::span(9, 2, RowMajor, usize::MAX / 2));
    assert_eq!(huge, says(-3, &format!("argument 'ld' has size {}, must let 9 lines fit the address space", usize::MAX / 2)));
    let nan = [1.0, 1.0, f64::NAN, 1.0, f64::NAN];
    assert_eq!(make(2, 2, RowMajor, 3, &nan), says(-6, "argument 'values' has NaN at position 4, must be finite"));
    assert_eq!(make(1, 2, ColumnMajor, 1, &nan[1..3]), says(-6, "argument 'values' has NaN at position 1, must be finite"));
    // A number in a gap is no one's.
    assert!(Dense::new(2, 2, RowMajor, Box::new(nan[..4].iter().copied().chain([1.0]).collect::<Vec<_>>()), 3, true).is_ok());
}

#[test]
fn diagonal() {
    let refused = refusal(Diagonal::new(Box::new(vec![1.0, f64::NEG_INFINITY]), true));
    assert_eq!(refused, says(-6, "argument 'values' has -inf at position 1, must be finite"));
}

fn full(m: usize, n: usize) -> Operator<f64> {
    operator(Compressed::<f64, i32>::csr(rows(&Matrix::full::<f64>(m, n, 1), 0, Order::Ascending)).expect("csr"))
}

#[test]
fn compositions() {
    let sum = refusal(Sum::new(1.0, full(3, 2), 1.0, full(3, 3)));
    assert_eq!(sum, says(-3, "argument 'B' has size 3 x 3, must be 3 x 2 as A is"));
    let sum = refusal(Sum::new(1.0, full(3, 2), f64::NAN, full(3, 2)));
    assert_eq!(sum, says(-6, "argument 'beta' is NaN, must be finite"));
    let product = refusal(Product::new(full(3, 2), full(3, 2)));
    assert_eq!(product, says(-3, "argument 'B' has size 3 x 2, must have 2 rows"));
    let scaled = refusal(Scaled::new(f64::INFINITY, full(3, 2)));
    assert_eq!(scaled, says(-6, "argument 'alpha' is inf, must be finite"));
    let shifted = refusal(Shifted::new(full(3, 2), 1.0));
    assert_eq!(shifted, says(-3, "argument 'A' has size 3 x 2, must be square"));
    let adjoint = refusal(Adjoint::new(full(3, 2), Trans::N));
    assert_eq!(adjoint, says(-2, "argument 'trans' is 0, must be 1 (transpose) or 2 (adjoint)"));
}

#[test]
fn blocks() {
    let (a, b) = (|| Some(full(3, 5)), || Some(full(3, 4)));
    let block = |rows, cols, grid| refusal(Block::new(rows, cols, grid));
    let words = "argument 'blocks' has size 3 x 4 at blocks[2] (row 1, column 0), must be 3 x 5";
    assert_eq!(block(2, 2, vec![a(), a(), b(), None]), says(-3, words));
    let words = "argument 'blocks' has size 3 x 5 at blocks[1] (row 0, column 1), must be 5 x 5";
    assert_eq!(block(1, 2, vec![Some(operator(Identity::new(5))), a()]), says(-3, words));
    let words = "argument 'blocks' has size unknown in row 1, where all blocks are NULL, must have an operator in each row";
    assert_eq!(block(2, 2, vec![a(), a(), None, None]), says(-3, words));
    let words = "argument 'blocks' has size unknown in column 0, where all blocks are NULL, must have an operator in each column";
    assert_eq!(block(2, 2, vec![None, a(), None, a()]), says(-3, words));
    assert_eq!(block(0, 2, vec![]), says(-3, "argument 'blocks' has size 0, must be 0 x 2 and not empty"));
    assert_eq!(block(2, 2, vec![a()]), says(-3, "argument 'blocks' has size 1, must be 2 x 2 and not empty"));
}

#[test]
fn shapes_of_a_product() {
    let a = full(3, 5);
    let pool = &a.context().pool;
    let (five, mut three) = ([1.0; 5], [0.0; 3]);
    let short = refusal(a.apply_vector(pool, &five[..4], &mut three));
    assert_eq!(short, says(-3, "argument 'x' has size 4, must be 5"));
    let long = refusal(a.apply_vector(pool, &five, &mut [0.0; 4]));
    assert_eq!(long, says(-3, "argument 'y' has size 4 x 1, must be 3 x 1"));
}

#[test]
fn a_pattern_rewritten_behind_our_back_reaches_no_foreign_memory() {
    use std::cell::Cell;
    use std::rc::Rc;

    /// Indices whose owner breaks his word.
    struct Rewritten(Rc<Cell<bool>>, [i32; 3]);
    impl std::ops::Deref for Rewritten {
        type Target = [i32];
        fn deref(&self) -> &[i32] {
            if self.0.get() { &[0, 1_000_000, 2] } else { &self.1 }
        }
    }

    let rewritten = Rc::new(Cell::new(false));
    let ind = || Box::new(Rewritten(rewritten.clone(), [0, 0, 2]));
    let three = |p: Parts<f64, i32>| Parts { ind: ind(), copied: false, ..p };
    let bodies = [
        operator(Compressed::csr(three(parts(&[0, 1, 2, 3], &[], &ONES, 0))).expect("csr")),
        operator(Compressed::csc(three(parts(&[0, 1, 2, 3], &[], &ONES, 0))).expect("csc")),
        operator(Symmetric::new(three(parts(&[0, 1, 2, 3], &[], &ONES, 0)), Triangle::Lower, false).expect("symmetric")),
        operator(Bsr::new(three(parts(&[0, 1, 2, 3], &[], &ONES, 0)), 1, operator::Order::RowMajor).expect("bsr")),
    ];
    rewritten.set(true);
    for a in &bodies {
        let product = || a.apply_vector(&a.context().pool, &[1.0; 3], &mut [0.0; 3]);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(product)).is_err(), "{}", a.describe());
    }
}
