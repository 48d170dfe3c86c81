//! After the first apply of a width no apply allocates.

use super::formats::Host;
use super::truth::{columns, operator, rows, Matrix, Order, C};
use reknit::linalg::{Panel, PanelMut};
use reknit::operator::bsr::Bsr;
use reknit::operator::callback::{Apply, Callback};
use reknit::operator::compose::{Adjoint, Block, Product, Scaled, Shifted, Sum};
use reknit::operator::dense::Dense;
use reknit::operator::diagonal::{Diagonal, Identity};
use reknit::operator::sparse::Compressed;
use reknit::operator::symmetric::Symmetric;
use reknit::operator::{self, Operator, Trans, Triangle};
use reknit::runtime::{Pool, Result};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

type Z = num_complex::Complex<f64>;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        System.alloc(layout)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        System.dealloc(pointer, layout)
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        System.realloc(pointer, layout, size)
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations() -> usize {
    ALLOCATIONS.with(|n| n.get())
}

/// Copies the input, without allocating.
struct Copy;

impl Apply<Z> for Copy {
    fn apply(&self, _trans: Trans, x: Panel<Z>, mut y: PanelMut<Z>) -> Result<()> {
        (0..x.ncols).for_each(|j| y.col(j).copy_from_slice(x.col(j)));
        Ok(())
    }
}

fn operators(n: usize) -> Vec<Operator<Z>> {
    let a = Matrix::full::<Z>(n, n, 1);
    let ones = || vec![Z::new(1.0, 1.0); n * n];
    let lower = Matrix::from_fn(n, n, |i, j| if j <= i { a.at(i, j) } else { C::new(0.0, 0.0) });
    let blocks = reknit::operator::sparse::Parts {
        nrows: n / 2,
        ncols: n / 2,
        base: 0,
        ptr: Box::new((0..=n as i32 / 2).collect::<Vec<_>>()),
        ind: Box::new((0..n as i32 / 2).collect::<Vec<_>>()),
        values: Box::new(ones()),
        copied: true,
    };
    let csr = operator(Compressed::<Z, i32>::csr(rows(&a, 0, Order::Ascending)).expect("csr"));
    let callback = operator(Callback::new(n, n, Box::new(Copy)));
    let sum = operator(Sum::new(Z::new(2.0, 1.0), csr.clone(), Z::new(1.0, 1.0), callback.clone()).expect("sum"));
    vec![
        operator(Compressed::<Z, i64>::csc(columns(&a, 1, Order::Ascending)).expect("csc")),
        operator(Dense::new(n, n, operator::Order::RowMajor, Box::new(ones()), n, true).expect("dense")),
        operator(Diagonal::new(Box::new(vec![Z::new(1.0, 2.0); n]), true).expect("diagonal")),
        operator(Identity::new(n)),
        operator(Bsr::new(blocks, 2, operator::Order::RowMajor).expect("bsr")),
        operator(Symmetric::<Z, i32>::new(rows(&lower, 0, Order::Ascending), Triangle::Lower, true).expect("symmetric")),
        operator(Product::new(sum.clone(), csr.clone()).expect("product")),
        operator(Product::new(sum.clone(), sum.clone()).expect("product")),
        operator(Scaled::new(Z::new(0.0, 1.0), csr.clone()).expect("scaled")),
        operator(Shifted::new(csr.clone(), Z::new(0.0, 1.0)).expect("shifted")),
        operator(Adjoint::new(sum.clone(), Trans::H).expect("adjoint")),
        operator(Adjoint::new(csr.clone(), Trans::T).expect("adjoint")),
        operator(Block::new(2, 1, vec![Some(csr.clone()), Some(sum.clone())]).expect("block")),
        operator(Block::new(1, 2, vec![Some(csr.clone()), Some(sum.clone())]).expect("block")),
        csr,
        callback,
        sum,
    ]
}

fn applies(a: &Operator<Z>, pool: &Pool, x: &[Z], y: &mut [Z], width: usize) {
    for trans in [Trans::N, Trans::T, Trans::H] {
        let (rows, cols) = if trans == Trans::N { (a.nrows(), a.ncols()) } else { (a.ncols(), a.nrows()) };
        a.apply(pool, trans, Panel::packed(x, cols, width), PanelMut::packed(y, rows, width)).expect("a product");
    }
}

#[test]
fn a_second_apply_allocates_nothing() {
    let n = 40;
    let (pool, x, mut y) = (Pool::new(), vec![Z::new(1.0, 0.0); 14 * n], vec![Z::new(0.0, 0.0); 14 * n]);
    for a in operators(n) {
        applies(&a, &pool, &x, &mut y, 7);
        let before = allocations();
        for width in [7, 1, 3, 7] {
            applies(&a, &pool, &x, &mut y, width);
        }
        assert_eq!(allocations() - before, 0, "{}", a.describe());
    }
}

#[test]
fn the_counter_counts() {
    let before = allocations();
    // The dense arithmetic behind this callback allocates.
    let a = operator::<Z>(Callback::new(3, 3, Box::new(Host { a: Matrix::full::<Z>(3, 3, 1), adjoint: true })));
    let (x, mut y) = (vec![Z::new(1.0, 0.0); 3], vec![Z::new(0.0, 0.0); 3]);
    applies(&a, &Pool::new(), &x, &mut y, 1);
    assert!(allocations() > before);
}
