//! Copied and lent numbers.

use super::truth::operator;
use reknit::operator::bsr::Bsr;
use reknit::operator::dense::Dense;
use reknit::operator::diagonal::Diagonal;
use reknit::operator::sparse::{Compressed, Parts};
use reknit::operator::symmetric::Symmetric;
use reknit::operator::{Array, Operator, Order, Triangle};
use reknit::runtime::Error;
use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;

/// An array that its owner exchanges for another.
struct Lent {
    versions: [Vec<f64>; 2],
    current: Rc<Cell<usize>>,
}

impl Deref for Lent {
    type Target = [f64];
    fn deref(&self) -> &[f64] {
        &self.versions[self.current.get()]
    }
}

fn lower(values: Array<f64>, copied: bool) -> Parts<f64, i32> {
    Parts { nrows: 2, ncols: 2, base: 0, ptr: Box::new(vec![0, 1, 3]), ind: Box::new(vec![0, 0, 1]), values, copied }
}

fn one_block(values: Array<f64>, copied: bool) -> Parts<f64, i32> {
    Parts { nrows: 1, ncols: 1, base: 0, ptr: Box::new(vec![0, 1]), ind: Box::new(vec![0]), values, copied }
}

/// Each format that stores numbers, made of `make(length)`.
fn formats(make: impl Fn(usize) -> Array<f64>, copied: bool) -> Vec<Operator<f64>> {
    vec![
        operator(Compressed::csr(lower(make(3), copied)).expect("csr")),
        operator(Compressed::csc(Parts { ptr: Box::new(vec![0, 2, 3]), ind: Box::new(vec![0, 1, 1]), ..lower(make(3), copied) }).expect("csc")),
        operator(Symmetric::new(lower(make(3), copied), Triangle::Lower, false).expect("symmetric")),
        operator(Bsr::new(one_block(make(4), copied), 2, Order::RowMajor).expect("bsr")),
        operator(Dense::new(2, 2, Order::ColumnMajor, make(5), 3, copied).expect("dense")),
        operator(Diagonal::new(make(2), copied).expect("diagonal")),
    ]
}

fn product(a: &Operator<f64>) -> [f64; 2] {
    let mut y = [0.0; 2];
    a.apply_vector(&a.context().pool, &[1.0, 10.0], &mut y).expect("a product");
    y
}

/// A (1, 10) for the numbers 1, 2, 3, ... and for ten times them.
const PRODUCTS: [[f64; 2]; 6] = [[1.0, 32.0], [1.0, 32.0], [21.0, 32.0], [21.0, 43.0], [41.0, 52.0], [1.0, 20.0]];

#[test]
fn lent_numbers_are_read_anew() {
    let current = Rc::new(Cell::new(0));
    let lend = |len: usize| -> Array<f64> {
        let first: Vec<f64> = (1..=len).map(|v| v as f64).collect();
        let second = first.iter().map(|v| 10.0 * v).collect();
        Box::new(Lent { versions: [first, second], current: current.clone() })
    };
    for (a, want) in formats(lend, false).iter().zip(PRODUCTS) {
        current.set(0);
        let name = a.describe();
        assert_eq!(product(a), want, "{name}");
        let refused = a.set_values(&[1.0; 5]);
        let message = "the operator borrows its values: rewrite them and call rkn_operator_changed";
        assert_eq!(refused, Err(Error::State(message.to_string())), "{name}");
        let before = a.version();
        current.set(1);
        a.changed().expect("numbers that may change");
        assert!(a.version() > before, "{name}");
        assert_eq!(product(a), want.map(|v| 10.0 * v), "{name}");
    }
}

#[test]
fn a_change_to_numbers_that_are_none_is_refused() {
    let current = Rc::new(Cell::new(0));
    let lend = |len: usize| -> Array<f64> {
        let mut second = vec![1.0; len];
        second[1] = f64::NAN;
        Box::new(Lent { versions: [vec![1.0; len], second], current: current.clone() })
    };
    for a in formats(lend, false) {
        current.set(1);
        let before = a.version();
        let message = "argument 'values' has NaN at position 1, must be finite";
        assert_eq!(a.changed(), Err(Error::NonFinite(message.to_string())), "{}", a.describe());
        // What was learned from the old numbers is void all the same.
        assert!(a.version() > before);
        current.set(0);
        a.changed().expect("numbers that may change");
    }
}

#[test]
fn copied_numbers_are_set() {
    let copy = |len: usize| -> Array<f64> { Box::new((1..=len).map(|v| v as f64).collect::<Vec<_>>()) };
    for (a, want) in formats(copy, true).iter().zip(PRODUCTS) {
        let (name, len) = (a.describe(), a.with_body(|b| Ok(b.values_len())).expect("a body").expect("a length"));
        assert_eq!(product(a), want, "{name}");
        let message = "the operator holds a copy: give it new numbers by rkn_operator_set_values";
        assert_eq!(a.changed(), Err(Error::State(message.to_string())), "{name}");
        for factor in [10.0, 100.0] {
            let mut values: Vec<f64> = (1..=len).map(|v| factor * v as f64).collect();
            let before = a.version();
            a.set_values(&values).expect("new numbers");
            assert!(a.version() > before, "{name}");
            assert_eq!(product(a), want.map(|v| factor * v), "{name}");
            values[1] = f64::INFINITY;
            let before = a.version();
            let message = "argument 'values' has inf at position 1, must be finite";
            assert_eq!(a.set_values(&values), Err(Error::NonFinite(message.to_string())), "{name}");
            let refused = a.set_values(&values[1..]);
            assert_eq!(refused, Err(Error::size("values", len - 1, format!("be {len}"))), "{name}");
            assert_eq!((a.version(), product(a)), (before, want.map(|v| factor * v)), "{name} changed by a refused call");
        }
    }
}
