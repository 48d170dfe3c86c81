//! Large matrices: right on any number of threads, and the same bits on all of them.

use super::truth::{operator, Numbers};
use num_complex::Complex;
use reknit::linalg::{Panel, PanelMut};
use reknit::operator::bsr::Bsr;
use reknit::operator::compose::{Block, Product, Scaled, Shifted, Sum};
use reknit::operator::dense::Dense;
use reknit::operator::diagonal::Diagonal;
use reknit::operator::sparse::{Compressed, Parts};
use reknit::operator::symmetric::Symmetric;
use reknit::operator::{Operator, Order, Trans, Triangle};
use reknit::runtime::{Pool, Scalar};

const N: usize = 36_000;
const TRANS: [Trans; 3] = [Trans::N, Trans::T, Trans::H];

/// Rows of 0 to 16 entries, within `reach` of the diagonal.
fn band<T: Scalar>(reach: usize, lower: bool, mut number: impl FnMut(&mut Numbers) -> T) -> Parts<T, i32> {
    let mut numbers = Numbers::new(3);
    let (mut ptr, mut ind, mut values) = (vec![0], Vec::new(), Vec::new());
    for i in 0..N {
        let (from, to) = (i.saturating_sub(reach), if lower { i + 1 } else { (i + reach).min(N) });
        for _ in 0..numbers.word() % 17 {
            ind.push((from + numbers.word() as usize % (to - from)) as i32);
            values.push(number(&mut numbers));
        }
        ptr.push(ind.len() as i32);
    }
    Parts { nrows: N, ncols: N, base: 0, ptr: Box::new(ptr), ind: Box::new(ind), values: Box::new(values), copied: true }
}

fn vector<T: Scalar>(len: usize, mut number: impl FnMut(&mut Numbers) -> T) -> Vec<T> {
    let mut numbers = Numbers::new(11);
    (0..len).map(|_| number(&mut numbers)).collect()
}

fn digits<T: Scalar>(numbers: &mut Numbers) -> T {
    T::from_parts(numbers.digits(), numbers.digits())
}

fn small<T: Scalar>(numbers: &mut Numbers) -> T {
    T::from_parts(numbers.small(), numbers.small())
}

fn apply<T: Scalar>(a: &Operator<T>, threads: usize, trans: Trans, x: &[T], width: usize) -> Vec<T> {
    let pool = Pool::new();
    pool.set_threads(threads);
    let (rows, cols) = if trans == Trans::N { (a.nrows(), a.ncols()) } else { (a.ncols(), a.nrows()) };
    let mut y = vec![T::ZERO; rows * width];
    a.apply(&pool, trans, Panel::packed(x, cols, width), PanelMut::packed(&mut y, rows, width)).expect("a product");
    y
}

/// The bits of a vector of real or complex numbers.
fn bits<T: Scalar>(y: &[T]) -> Vec<(u64, u64)> {
    y.iter().map(|v| (v.real_part().to_bits(), v.imag_part().to_bits())).collect()
}

fn same_bits<T: Scalar>(a: &Operator<T>) {
    let long = a.nrows().max(a.ncols());
    let x = vector(5 * long, digits::<T>);
    for trans in TRANS {
        let one = apply(a, 1, trans, &x, 5);
        for threads in [2, 7] {
            assert!(bits(&apply(a, threads, trans, &x, 5)) == bits(&one), "{} {trans:?} on {threads} threads", a.describe());
        }
        // A column of a panel has the bits of a single product.
        let (rows, cols) = if trans == Trans::N { (a.nrows(), a.ncols()) } else { (a.ncols(), a.nrows()) };
        for j in 0..5 {
            let single = apply(a, 2, trans, &x[j * cols..], 1);
            assert!(bits(&single) == bits(&one[j * rows..][..rows]), "{} {trans:?}, column {j}", a.describe());
        }
    }
}

fn matrices<T: Scalar>() -> Vec<Operator<T>> {
    let csr = operator(Compressed::csr(band(900, false, digits::<T>)).expect("csr"));
    let csc = operator(Compressed::csc(band(900, false, digits::<T>)).expect("csc"));
    // Columns that reach everywhere: not worth splitting.
    let wild = operator(Compressed::csc(band(N, false, digits::<T>)).expect("csc"));
    let lower = operator(Symmetric::new(band(500, true, digits::<T>), Triangle::Lower, true).expect("symmetric"));
    let diagonal = operator(Diagonal::new(Box::new(vector(N, digits::<T>)), true).expect("diagonal"));
    let dense = |m: usize, n: usize, order| {
        operator(Dense::new(m, n, order, Box::new(vector(m * n, digits::<T>)), if order == Order::RowMajor { n } else { m }, true).expect("dense"))
    };
    let bsr = |block: usize| {
        let parts = band(300, false, |_| T::ONE);
        let values = vector(parts.ind.len() * block * block, digits::<T>);
        operator(Bsr::new(Parts { values: Box::new(values), ..parts }, block, Order::RowMajor).expect("bsr"))
    };
    let two = T::from_f64(2.0);
    vec![
        operator(Sum::new(two, csr.clone(), T::from_f64(0.3), lower.clone()).expect("sum")),
        operator(Product::new(csr.clone(), diagonal.clone()).expect("product")),
        operator(Scaled::new(T::from_f64(0.7), csr.clone()).expect("scaled")),
        operator(Shifted::new(diagonal.clone(), two).expect("shifted")),
        operator(Block::new(1, 2, vec![Some(csr.clone()), Some(lower.clone())]).expect("block")),
        csr,
        csc,
        wild,
        lower,
        diagonal,
        bsr(1),
        bsr(2),
        bsr(3),
        dense(700, 900, Order::RowMajor),
        dense(700, 900, Order::ColumnMajor),
        dense(3000, 90, Order::ColumnMajor),
        dense(90, 3000, Order::RowMajor),
    ]
}

#[test]
fn bits_do_not_depend_on_the_threads() {
    matrices::<f64>().iter().for_each(same_bits);
    matrices::<Complex<f32>>().iter().for_each(same_bits);
}

#[test]
#[cfg(target_os = "linux")]
fn large_products_enter_the_pool() {
    let pool = Pool::new();
    pool.set_threads(3);
    let a = operator(Compressed::csr(band(900, false, digits::<f64>)).expect("csr"));
    for trans in [Trans::N, Trans::T] {
        let (x, mut y) = (vec![1.0; N], vec![0.0; N]);
        a.apply(&pool, trans, Panel::column(&x), PanelMut::column(&mut y)).expect("a product");
    }
    let names = std::fs::read_dir("/proc/self/task").expect("the threads of this process");
    let names = names.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    assert!(names.filter(|name| name.starts_with("reknit-")).count() >= 3);
}

/// op(A) x with A as a list of triplets.
fn by_triplets<T: Scalar>(trans: Trans, triplets: &[(usize, usize, T)], x: &[T], len: usize) -> Vec<T> {
    let mut y = vec![T::ZERO; len];
    for (i, j, v) in triplets {
        match trans {
            Trans::N => y[*i] += *v * x[*j],
            Trans::T => y[*j] += *v * x[*i],
            Trans::H => y[*j] += v.conj() * x[*i],
        }
    }
    y
}

fn triplets<T: Scalar>(parts: &Parts<T, i32>) -> Vec<(usize, usize, T)> {
    let row = |i: usize| (parts.ptr[i] as usize..parts.ptr[i + 1] as usize).map(move |k| (i, k));
    (0..parts.nrows).flat_map(row).map(|(i, k)| (i, parts.ind[k] as usize, parts.values[k])).collect()
}

fn large<T: Scalar>() {
    for reach in [900, N] {
        let list = triplets(&band(reach, false, small::<T>));
        let turned: Vec<_> = list.iter().map(|(i, j, v)| (*j, *i, *v)).collect();
        let cases = [
            (operator(Compressed::csr(band(reach, false, small::<T>)).expect("csr")), list),
            (operator(Compressed::csc(band(reach, false, small::<T>)).expect("csc")), turned),
        ];
        let x = vector(4 * N, small::<T>);
        for (a, list) in cases {
            for trans in TRANS {
                for threads in [1, 3] {
                    let y = apply(&a, threads, trans, &x, 4);
                    for j in 0..4 {
                        let want = by_triplets(trans, &list, &x[j * N..][..N], N);
                        assert!(y[j * N..][..N] == want, "{} {trans:?}, reach {reach}, {threads} threads", a.describe());
                    }
                }
            }
        }
    }
}

#[test]
fn large_products_are_right() {
    large::<f32>();
    large::<Complex<f64>>();
}
