//! Preconditioners against definitions: dense factors made here, closed forms, and the defining
//! property of each incomplete factor.

use num_complex::Complex;
use reknit::linalg::{Panel, PanelMut};
use reknit::operator::assemble::{coo, Assembled, Triplets};
use reknit::operator::precond::create;
use reknit::operator::sparse::{Compressed, Parts};
use reknit::operator::{Body, Operator, Trans};
use reknit::runtime::context::{Reduce, Reduction};
use reknit::runtime::{Context, Error, Pool, Result, Scalar};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

// ---- allocations of this thread ----

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        System.alloc(layout)
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        System.dealloc(p, layout)
    }
    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        System.realloc(p, layout, size)
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(f: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    f();
    ALLOCATIONS.get() - before
}

// ---- dense matrices, row by row, in the scalar's own precision ----

#[derive(Clone, PartialEq, Debug)]
struct Dense<T> {
    n: usize,
    a: Vec<T>,
}

impl<T: Scalar> Dense<T> {
    fn zero(n: usize) -> Self {
        Dense { n, a: vec![T::ZERO; n * n] }
    }
    fn identity(n: usize) -> Self {
        let mut d = Self::zero(n);
        (0..n).for_each(|i| *d.at(i, i) = T::ONE);
        d
    }
    fn at(&mut self, i: usize, j: usize) -> &mut T {
        &mut self.a[i * self.n + j]
    }
    fn get(&self, i: usize, j: usize) -> T {
        self.a[i * self.n + j]
    }
    fn map(&self, f: impl Fn(usize, usize, T) -> T) -> Self {
        let mut d = self.clone();
        for i in 0..self.n {
            for j in 0..self.n {
                *d.at(i, j) = f(i, j, self.get(i, j));
            }
        }
        d
    }
    fn op(&self, trans: Trans) -> Self {
        match trans {
            Trans::N => self.clone(),
            Trans::T => self.map(|i, j, _| self.get(j, i)),
            Trans::H => self.map(|i, j, _| self.get(j, i).conj()),
        }
    }
    fn times(&self, b: &Self) -> Self {
        self.map(|i, j, _| (0..self.n).fold(T::ZERO, |s, k| s + self.get(i, k) * b.get(k, j)))
    }
    fn plus(&self, b: &Self) -> Self {
        self.map(|i, j, v| v + b.get(i, j))
    }
    fn scale(&self, by: f64) -> Self {
        self.map(|_, _, v| v.scale(by))
    }
    /// Gauss-Jordan with row pivoting.
    fn inverse(&self) -> Self {
        let n = self.n;
        let (mut a, mut x) = (self.clone(), Self::identity(n));
        for k in 0..n {
            let p = (k..n).max_by(|i, j| a.get(*i, k).modulus().total_cmp(&a.get(*j, k).modulus())).unwrap();
            for j in 0..n {
                a.a.swap(k * n + j, p * n + j);
                x.a.swap(k * n + j, p * n + j);
            }
            let d = a.get(k, k);
            for j in 0..n {
                *a.at(k, j) = a.get(k, j) / d;
                *x.at(k, j) = x.get(k, j) / d;
            }
            for i in (0..n).filter(|i| *i != k) {
                let f = a.get(i, k);
                for j in 0..n {
                    let (u, v) = (a.get(k, j), x.get(k, j));
                    *a.at(i, j) -= f * u;
                    *x.at(i, j) -= f * v;
                }
            }
        }
        x
    }
    fn largest(&self) -> f64 {
        self.a.iter().fold(0.0, |m, v| m.max(v.modulus()))
    }
    fn distance(&self, b: &Self) -> f64 {
        self.a.iter().zip(&b.a).fold(0.0, |m: f64, (u, v)| m.max((*u - *v).modulus())) / b.largest().max(f64::MIN_POSITIVE)
    }
    fn csr(&self) -> Csr<T> {
        let mut c = Csr { n: self.n, ptr: vec![0], col: vec![], values: vec![] };
        for i in 0..self.n {
            for j in (0..self.n).filter(|j| self.get(i, *j) != T::ZERO) {
                c.col.push(j as i32);
                c.values.push(self.get(i, j));
            }
            c.ptr.push(c.col.len() as i32);
        }
        c
    }
}

#[derive(Clone)]
struct Csr<T> {
    n: usize,
    ptr: Vec<i32>,
    col: Vec<i32>,
    values: Vec<T>,
}

fn context() -> Arc<Context> {
    #[allow(clippy::arc_with_non_send_sync)]
    Arc::new(Context::new())
}

fn operator<T: Scalar>(c: &Csr<T>) -> Operator<T> {
    let parts = Parts {
        nrows: c.n,
        ncols: c.n,
        base: 0,
        ptr: Box::new(c.ptr.clone()),
        ind: Box::new(c.col.clone()),
        values: Box::new(c.values.clone()),
        copied: true,
    };
    Operator::new(context(), Box::new(Compressed::csr(parts).unwrap()))
}

fn make<T: Scalar>(a: &Operator<T>, spec: &str) -> Operator<T> {
    create(context(), a, spec).unwrap_or_else(|e| panic!("{spec}: {e}"))
}

fn refused<T: Scalar>(a: &Operator<T>, spec: &str) -> Error {
    match create(context(), a, spec) {
        Err(e) => e,
        Ok(m) => panic!("{spec} was made: {}", m.describe()),
    }
}

/// op(M)^-1 as a matrix.
fn matrix<T: Scalar>(m: &Operator<T>, trans: Trans) -> Dense<T> {
    let n = m.nrows();
    // Row-major identity is column-major identity; the columns of the result are rows of `a`.
    let x = Dense::<T>::identity(n);
    let mut y = Dense { n, a: vec![T::from_f64(f64::NAN); n * n] };
    m.apply(&Pool::new(), trans, Panel::packed(&x.a, n, n), PanelMut::packed(&mut y.a, n, n)).unwrap();
    y.op(Trans::T)
}

/// Numbers in (-1, 1) without a pattern.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
    fn scalar<T: Scalar>(&mut self) -> T {
        T::from_parts(self.next(), self.next())
    }
}

/// A sparse matrix, diagonally dominant, with an unsymmetric pattern (the reflected one, and
/// conjugate values, when Hermitian).
fn sample<T: Scalar>(n: usize, seed: u64, hermitian: bool) -> Dense<T> {
    let mut noise = Noise(seed);
    let mut a = Dense::zero(n);
    for i in 0..n {
        for _ in 0..3 {
            let j = ((noise.next() + 1.0) * n as f64 / 2.0) as usize % n;
            if i != j {
                let v = noise.scalar::<T>();
                *a.at(i, j) = v;
                if hermitian {
                    *a.at(j, i) = v.conj();
                }
            }
        }
    }
    for i in 0..n {
        let sum: f64 = (0..n).map(|j| a.get(i, j).modulus() + a.get(j, i).modulus()).sum();
        let d = 0.5 * sum + 1.0;
        *a.at(i, i) = if hermitian { T::from_f64(d) } else { T::from_parts(d, 0.25 * d) };
    }
    a
}

/// A nonsymmetric five-point matrix.
fn grid<T: Scalar>(nx: usize, ny: usize, wind: f64) -> Csr<T> {
    let n = nx * ny;
    let mut c = Csr { n, ptr: vec![0], col: vec![], values: vec![] };
    for i in 0..n {
        let (x, y) = (i % nx, i / nx);
        let mut put = |j: usize, v: f64| {
            c.col.push(j as i32);
            c.values.push(T::from_f64(v));
        };
        if y > 0 {
            put(i - nx, -1.0 - wind);
        }
        if x > 0 {
            put(i - 1, -1.0 - wind);
        }
        put(i, 4.0 + (i % 7) as f64 * 0.01);
        if x + 1 < nx {
            put(i + 1, -1.0 + wind);
        }
        if y + 1 < ny {
            put(i + nx, -1.0 + wind);
        }
        c.ptr.push(c.col.len() as i32);
    }
    c
}

fn tolerance<T: Scalar>() -> f64 {
    2000.0 * T::EPSILON
}

macro_rules! for_all_scalars {
    ($($name:ident)*) => {
        $(mod $name {
            use super::*;
            #[test]
            fn f32() { super::$name::check::<f32>() }
            #[test]
            fn f64() { super::$name::check::<f64>() }
            #[test]
            fn c32() { super::$name::check::<Complex<f32>>() }
            #[test]
            fn c64() { super::$name::check::<Complex<f64>>() }
            fn check<T: Scalar>() { super::check_fns::$name::<T>() }
        })*
    };
}

for_all_scalars! {
    direct_kinds_invert
    lu_pivots_where_it_must
    complete_patterns_invert
    incomplete_factors_agree_on_their_pattern
    ssor_is_its_formula
    block_jacobi_inverts_blocks
    adjoints_are_adjoint
    a_refresh_is_a_fresh_build
    chebyshev_is_the_polynomial
    panels_are_their_columns
}

/// Kinds that any matrix can have, with options that make them interesting.
const GENERAL: &[&str] =
    &["identity", "jacobi", "block_jacobi block=3", "ssor omega=1.3 sweeps=2", "ilu0", "ilu levels=1", "ilut fill=2", "lu", "lu refinements=1"];

/// Kinds for Hermitian matrices.
const HERMITIAN: &[&str] =
    &["ic0", "ic levels=1", "ict fill=2", "chebyshev degree=5", "llt", "ldlt", "ldlt refinements=1", "ssor omega=0.7",
      "amg", "amg coarse_size=4 strength=0 degree=3", "amg coarse_size=4 strength=0 smoother=ssor omega=1.2 sweeps=2"];

mod check_fns {
    use super::*;

    pub fn direct_kinds_invert<T: Scalar>() {
        for seed in 0..3 {
            let a = sample::<T>(23, seed, false);
            assert!(matrix(&make(&operator(&a.csr()), "lu"), Trans::N).distance(&a.inverse()) < tolerance::<T>());
            let h = sample::<T>(23, seed, true);
            for spec in ["lu", "llt", "ldlt", "ldlt refinements=2"] {
                let d = matrix(&make(&operator(&h.csr()), spec), Trans::N).distance(&h.inverse());
                assert!(d < tolerance::<T>(), "{spec}: {d}");
            }
        }
    }

    pub fn lu_pivots_where_it_must<T: Scalar>() {
        // One supernode, wide and narrow: interchanges within it.
        for n in [9, 70] {
            let mut noise = Noise(n as u64);
            let mut full = Dense::<T>::zero(n);
            full.a.iter_mut().for_each(|v| *v = noise.scalar());
            (0..n).for_each(|i| *full.at(i, i) = T::ZERO);
            let m = make(&operator(&full.csr()), "lu");
            assert_eq!(m.count("partial_pivoting"), Some(0));
            let (inverse, slack) = (full.inverse(), 100.0 * tolerance::<T>());
            for trans in [Trans::N, Trans::T, Trans::H] {
                let d = matrix(&m, trans).distance(&inverse.op(trans));
                assert!(d < slack, "{n} {trans:?}: {d}");
            }
        }
        // A shifted identity and a little more: no diagonal block has a pivot.
        let n = 60;
        let mut a = sample::<T>(n, 3, false).map(|i, j, v| if i == j { T::ZERO } else { v.scale(0.05) });
        (0..n).for_each(|i| *a.at(i, (i + 7) % n) = T::from_parts(2.0, 1.0));
        let op = operator(&a.csr());
        let m = make(&op, "lu");
        assert_eq!(m.count("partial_pivoting"), Some(1));
        let inverse = a.inverse();
        for trans in [Trans::N, Trans::T, Trans::H] {
            assert!(matrix(&m, trans).distance(&inverse.op(trans)) < tolerance::<T>());
        }
        let before = matrix(&m, Trans::N);
        op.set_values(&a.scale(2.0).csr().values).unwrap();
        m.changed().unwrap();
        assert!(matrix(&m, Trans::N).distance(&before.scale(0.5)) < tolerance::<T>());
    }

    /// With room for all fill, incomplete factors are complete.
    pub fn complete_patterns_invert<T: Scalar>() {
        let a = sample::<T>(21, 5, false);
        for spec in ["ilu levels=21", "ilut drop_tolerance=0 fill=21"] {
            let d = matrix(&make(&operator(&a.csr()), spec), Trans::N).distance(&a.inverse());
            assert!(d < tolerance::<T>(), "{spec}: {d}");
        }
        let h = sample::<T>(21, 5, true);
        for spec in ["ilu levels=21", "ic levels=21", "ict drop_tolerance=0 fill=21"] {
            let d = matrix(&make(&operator(&h.csr()), spec), Trans::N).distance(&h.inverse());
            assert!(d < tolerance::<T>(), "{spec}: {d}");
        }
    }

    /// (L D U)_ij = a_ij where the pattern has an entry, and differs elsewhere.
    pub fn incomplete_factors_agree_on_their_pattern<T: Scalar>() {
        for (spec, hermitian) in [("ilu0", false), ("ilu levels=1", false), ("ilu levels=2", false), ("ic0", true), ("ic levels=1", true)] {
            let a = sample::<T>(24, 11, hermitian);
            let m = matrix(&make(&operator(&a.csr()), spec), Trans::N).inverse();
            let mut elsewhere: f64 = 0.0;
            for i in 0..a.n {
                for j in 0..a.n {
                    let error = (m.get(i, j) - a.get(i, j)).modulus() / a.largest();
                    if a.get(i, j) != T::ZERO {
                        assert!(error < tolerance::<T>(), "{spec}: entry {i}, {j} is off by {error}");
                    } else {
                        elsewhere = elsewhere.max(error);
                    }
                }
            }
            assert!(elsewhere > 1e-3, "{spec} is exact, which shows nothing");
        }
    }

    pub fn ssor_is_its_formula<T: Scalar>() {
        let a = sample::<T>(17, 3, false);
        let part = |keep: &dyn Fn(usize, usize) -> bool, by: f64| a.map(|i, j, v| if keep(i, j) { v.scale(by) } else { T::ZERO });
        for omega in [0.4, 1.0, 1.7] {
            let d = part(&|i, j| i == j, 1.0);
            let lower = d.plus(&part(&|i, j| i > j, omega)).inverse();
            let upper = d.plus(&part(&|i, j| i < j, omega)).inverse();
            let once = upper.times(&d).times(&lower).scale(omega * (2.0 - omega));
            let found = matrix(&make(&operator(&a.csr()), &format!("ssor omega={omega}")), Trans::N);
            assert!(found.distance(&once) < tolerance::<T>());
            // The second sweep corrects the residual of the first.
            let twice = once.plus(&once.times(&Dense::identity(a.n).plus(&a.times(&once).scale(-1.0))));
            let found = matrix(&make(&operator(&a.csr()), &format!("ssor omega={omega} sweeps=2")), Trans::N);
            assert!(found.distance(&twice) < tolerance::<T>());
        }
    }

    pub fn block_jacobi_inverts_blocks<T: Scalar>() {
        let a = sample::<T>(22, 9, false);
        for block in [1, 3, 4, 22, 100] {
            let blocks = a.map(|i, j, v| if i / block == j / block { v } else { T::ZERO });
            let m = make(&operator(&a.csr()), &format!("block_jacobi block={block}"));
            assert!(matrix(&m, Trans::N).distance(&blocks.inverse()) < tolerance::<T>(), "block {block}");
        }
        let diagonal = a.map(|i, j, v| if i == j { v } else { T::ZERO });
        assert!(matrix(&make(&operator(&a.csr()), "jacobi"), Trans::N).distance(&diagonal.inverse()) < tolerance::<T>());
    }

    pub fn adjoints_are_adjoint<T: Scalar>() {
        for (specs, hermitian) in [(GENERAL, false), (HERMITIAN, true)] {
            let a = operator(&sample::<T>(19, 2, hermitian).csr());
            a.declare_hermitian(hermitian);
            for spec in specs {
                let m = make(&a, spec);
                assert!(m.has_adjoint());
                let plain = matrix(&m, Trans::N);
                for trans in [Trans::T, Trans::H] {
                    let d = matrix(&m, trans).distance(&plain.op(trans));
                    assert!(d < tolerance::<T>(), "{spec} {trans:?}: {d}");
                }
                if m.is_hermitian() {
                    assert!(plain.op(Trans::H).distance(&plain) < tolerance::<T>(), "{spec} is not Hermitian");
                }
                assert_eq!(m.is_hermitian(), hermitian || *spec == "identity" || (*spec == "jacobi" && !T::IS_COMPLEX), "{spec}");
            }
        }
    }

    pub fn a_refresh_is_a_fresh_build<T: Scalar>() {
        for (specs, hermitian) in [(GENERAL, false), (HERMITIAN, true)] {
            let first = sample::<T>(40, 7, hermitian);
            let second = first.map(|i, j, v| if i == j { v.scale(1.5) } else { v.scale(0.75) });
            for spec in specs {
                let a = operator(&first.csr());
                let m = make(&a, spec);
                let old = matrix(&m, Trans::N);
                a.set_values(&second.csr().values).unwrap();
                assert!(*spec == "identity" || spec.starts_with("chebyshev") || spec.contains("refine") || spec.contains("sweeps") || matrix(&m, Trans::N) == old, "{spec} does not lag");
                let (version, rebuilds) = (m.version(), m.count("rebuilds").unwrap());
                m.changed().unwrap();
                assert!(m.version() > version);
                assert_eq!(m.count("rebuilds").unwrap(), rebuilds + 1);
                let fresh = make(&operator(&second.csr()), spec);
                assert_eq!(matrix(&m, Trans::N), matrix(&fresh, Trans::N), "{spec}");
                assert_eq!(matrix(&m, Trans::H), matrix(&fresh, Trans::H), "{spec}");
                assert_eq!(m.count("entries"), fresh.count("entries"));
            }
        }
    }

    pub fn panels_are_their_columns<T: Scalar>() {
        for n in [1, 15, 70] {
            for (specs, hermitian) in [(GENERAL, false), (HERMITIAN, true)] {
                let a = operator(&sample::<T>(n, 3, hermitian).csr());
                for spec in specs {
                    columns_stand_for_themselves(&make(&a, spec), spec);
                }
            }
            let a = operator(&sample::<T>(n, 5, true).csr());
            for kind in ["ic0", "ilu levels=8", "lu", "ldlt"] {
                let spec = format!("{kind} precision=single");
                columns_stand_for_themselves(&make(&a, &spec), &spec);
            }
        }
        // Long rows in sweeps, wide supernodes.
        let a = operator(&sample::<T>(150, 9, true).csr());
        for spec in ["ilu levels=20", "ic levels=20", "llt", "lu"] {
            columns_stand_for_themselves(&make(&a, spec), spec);
        }
        // Pivots from afar.
        let n = 40;
        let far = sample::<T>(n, 3, false).map(|i, j, v| if j == (i + 7) % n { T::from_f64(2.0) } else if i == j { T::ZERO } else { v.scale(0.05) });
        let m = make(&operator(&far.csr()), "lu");
        assert_eq!(m.count("partial_pivoting"), Some(1));
        columns_stand_for_themselves(&m, "lu by pivots");
    }

    /// On an eigenvector of D^-1 A, M^-1 D is p(lambda), and 1 - lambda p(lambda) is the scaled
    /// Chebyshev polynomial.
    pub fn chebyshev_is_the_polynomial<T: Scalar>() {
        let n = 30;
        let mut a = Dense::<T>::zero(n);
        for i in 0..n {
            *a.at(i, i) = T::from_f64(8.0);
            if i > 0 {
                *a.at(i, i - 1) = T::from_f64(-4.0);
                *a.at(i - 1, i) = T::from_f64(-4.0);
            }
        }
        let chebyshev = |m: usize, x: f64| {
            if x.abs() <= 1.0 { (m as f64 * x.acos()).cos() } else { x.signum().powi(m as i32) * (m as f64 * x.abs().acosh()).cosh() }
        };
        let (high, ratio) = (1.9, 12.0);
        let (theta, delta) = (0.5 * (high + high / ratio), 0.5 * (high - high / ratio));
        for degree in [1, 2, 5, 9] {
            let m = make(&operator(&a.csr()), &format!("chebyshev degree={degree} ratio={ratio} lambda_max={high}"));
            for k in [1, 7, 20, 30] {
                let angle = std::f64::consts::PI * k as f64 / (n as f64 + 1.0);
                // Eigenvalues of D^-1 A: 1 - cos(k pi / (n + 1)).
                let lambda = 1.0 - angle.cos();
                let x: Vec<T> = (1..=n).map(|j| T::from_f64((j as f64 * angle).sin())).collect();
                let mut y = vec![T::ZERO; n];
                m.apply_vector(&Pool::new(), &x, &mut y).unwrap();
                let p = (1.0 - chebyshev(degree, (theta - lambda) / delta) / chebyshev(degree, theta / delta)) / lambda;
                for (x, y) in x.iter().zip(&y) {
                    let error = (*y - x.scale(p / 8.0)).modulus();
                    assert!(error < 100.0 * T::EPSILON / lambda, "degree {degree}, eigenvalue {k}: {error}");
                }
            }
        }
    }
}

// ---- one scalar is enough ----

#[test]
fn the_estimate_of_the_spectrum_is_a_bound_and_close() {
    // D^-1 A of the grid has its largest eigenvalue just below 2.
    let c = grid::<f64>(30, 31, 0.0);
    let mut flat = c.clone();
    for i in 0..c.n {
        for k in c.ptr[i] as usize..c.ptr[i + 1] as usize {
            if c.col[k] as usize == i {
                flat.values[k] = 4.0;
            }
        }
    }
    let pi = std::f64::consts::PI;
    let exact = 1.0 + 0.5 * ((pi / 31.0).cos() + (pi / 32.0).cos());
    // At degree 1, M^-1 = D^-1 / theta: the estimate can be read off.
    let m = make(&operator(&flat), "chebyshev degree=1 ratio=30");
    let mut y = vec![0.0; c.n];
    m.apply_vector(&Pool::new(), &vec![1.0; c.n], &mut y).unwrap();
    let estimate = 1.0 / (4.0 * y[0]) / (0.5 * (1.0 + 1.0 / 30.0));
    assert!(estimate >= exact && estimate < 1.15 * exact, "{estimate} for {exact}");
}

/// Sums as if another rank held the same numbers.
struct Twice;

impl Reduce for Twice {
    fn reduce(&self, op: Reduction, inout: &mut [f64]) -> Result<()> {
        if op == Reduction::Sum {
            inout.iter_mut().for_each(|v| *v *= 2.0);
        }
        Ok(())
    }
}

#[test]
fn ranks_estimate_one_spectrum() {
    let a = operator(&grid::<f64>(12, 9, 0.0));
    let alone = create(context(), &a, "chebyshev").unwrap();
    let ranks = context();
    ranks.set_reduce(Some(Arc::new(Twice))).unwrap();
    let together = create(ranks, &a, "chebyshev").unwrap();
    assert!(matrix(&together, Trans::N).distance(&matrix(&alone, Trans::N)) < 1e-12);
}

#[test]
fn cholesky_of_a_tridiagonal_matrix_has_no_fill() {
    let n = 200;
    let c = grid::<f64>(n, 1, 0.0);
    for spec in ["ic0", "ilu0", "ict drop_tolerance=0 fill=0", "ilut drop_tolerance=0 fill=0"] {
        let m = make(&operator(&c), spec);
        assert_eq!(m.count("entries"), Some(3 * n as i64 - 2), "{spec}");
        let (x, mut y, mut z) = (vec![1.0; n], vec![0.0; n], vec![0.0; n]);
        m.apply_vector(&Pool::new(), &x, &mut y).unwrap();
        operator(&c).apply_vector(&Pool::new(), &y, &mut z).unwrap();
        assert!(x.iter().zip(&z).all(|(x, z)| (x - z).abs() < 1e-13), "{spec}");
    }
}

/// ILU(0) and its solves, row by row, as the textbook has it.
fn plain_ilu0(c: &Csr<f64>, x: &[f64]) -> Vec<f64> {
    let span = |i: usize| c.ptr[i] as usize..c.ptr[i + 1] as usize;
    let mut v = c.values.clone();
    let find = |i: usize, j: usize| span(i).find(|e| c.col[*e] as usize == j);
    for i in 0..c.n {
        for e in span(i).filter(|e| (c.col[*e] as usize) < i) {
            let k = c.col[e] as usize;
            v[e] /= v[find(k, k).unwrap()];
            for f in span(k).filter(|f| c.col[*f] as usize > k) {
                if let Some(g) = find(i, c.col[f] as usize) {
                    v[g] -= v[e] * v[f];
                }
            }
        }
    }
    let mut y = x.to_vec();
    for i in 0..c.n {
        for e in span(i).filter(|e| (c.col[*e] as usize) < i) {
            y[i] -= v[e] * y[c.col[e] as usize];
        }
    }
    for i in (0..c.n).rev() {
        for e in span(i).filter(|e| c.col[*e] as usize > i) {
            y[i] -= v[e] * y[c.col[e] as usize];
        }
        y[i] /= v[find(i, i).unwrap()];
    }
    y
}

#[test]
fn more_rows_than_a_block_of_the_schedule() {
    for (nx, ny) in [(150, 140), (8191, 2), (20001, 1), (8192, 1)] {
        let c = grid::<f64>(nx, ny, 0.3);
        let m = make(&operator(&c), "ilu0");
        let x: Vec<f64> = (0..c.n).map(|i| (i as f64).sin()).collect();
        let mut y = vec![0.0; c.n];
        m.apply_vector(&Pool::new(), &x, &mut y).unwrap();
        let expected = plain_ilu0(&c, &x);
        let error = y.iter().zip(&expected).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
        assert!(error < 1e-12, "{nx} x {ny}: {error}");
        // <M^-T x, z> = <x, M^-1 z>.
        let mut t = vec![0.0; c.n];
        m.apply(&Pool::new(), Trans::T, Panel::column(&x), PanelMut::column(&mut t)).unwrap();
        let z: Vec<f64> = (0..c.n).map(|i| (0.7 * i as f64).cos()).collect();
        let w = plain_ilu0(&c, &z);
        let (left, right): (f64, f64) = (t.iter().zip(&z).map(|(a, b)| a * b).sum(), x.iter().zip(&w).map(|(a, b)| a * b).sum());
        assert!((left - right).abs() < 1e-9 * left.abs().max(1.0), "{left} {right}");
    }
}

#[test]
fn direct_kinds_on_a_grid() {
    // Five-point, and thick: separators of 100 columns.
    for c in [grid::<f64>(60, 50, 0.0), thick(10)] {
        direct_kinds_solve(&c);
    }
    for c in [grid::<f64>(60, 50, 0.4), grid::<f64>(60, 50, 3.0)] {
        solves(&c, "lu", 1e-11);
    }
}

/// A seven-point matrix on a cube.
fn thick(m: usize) -> Csr<f64> {
    let n = m * m * m;
    let mut c = Csr { n, ptr: vec![0], col: vec![], values: vec![] };
    for i in 0..n as i64 {
        let m = m as i64;
        let (x, y, z) = (i % m, i / m % m, i / (m * m));
        let inside = |x: i64, y: i64, z: i64| [x, y, z].iter().all(|k| (0..m).contains(k));
        for (dx, dy, dz) in [(0, 0, -1), (0, -1, 0), (-1, 0, 0), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)] {
            if inside(x + dx, y + dy, z + dz) {
                c.col.push((i + dx + m * (dy + m * dz)) as i32);
                c.values.push(if (dx, dy, dz) == (0, 0, 0) { 6.1 } else { -1.0 });
            }
        }
        c.ptr.push(c.col.len() as i32);
    }
    c
}

fn direct_kinds_solve(c: &Csr<f64>) {
    for spec in ["lu", "llt", "ldlt"] {
        solves(c, spec, 1e-11);
    }
}

/// The preconditioner solves with A and A^T.
fn solves(c: &Csr<f64>, spec: &str, tolerance: f64) {
    let a = operator(c);
    let m = make(&a, spec);
    let x: Vec<f64> = (0..c.n).map(|i| (i as f64).sin()).collect();
    let (mut b, mut y) = (vec![0.0; c.n], vec![0.0; c.n]);
    for trans in [Trans::N, Trans::T] {
        a.apply(&Pool::new(), trans, Panel::column(&x), PanelMut::column(&mut b)).unwrap();
        m.apply(&Pool::new(), trans, Panel::column(&b), PanelMut::column(&mut y)).unwrap();
        let error = x.iter().zip(&y).fold(0.0, |e: f64, (x, y)| e.max((x - y).abs()));
        assert!(error < tolerance, "{spec} {trans:?}: {error}");
    }
}

const ORDERINGS: &[&str] = &["auto", "amd", "nd", "natural"];

#[test]
fn direct_kinds_solve_in_every_order() {
    let edges = |n: usize, edges: &[(usize, usize)]| {
        let mut a = vec![vec![]; n];
        for (i, j) in edges {
            a[*i].push((*j, -1.0));
            a[*j].push((*i, -1.0));
        }
        let mut c = Csr { n, ptr: vec![0], col: vec![], values: vec![] };
        for (i, mut row) in a.into_iter().enumerate() {
            row.push((i, row.len() as f64 + 0.5));
            row.sort_by_key(|(j, _)| *j);
            c.col.extend(row.iter().map(|(j, _)| *j as i32));
            c.values.extend(row.iter().map(|(_, v)| *v));
            c.ptr.push(c.col.len() as i32);
        }
        c
    };
    let path: Vec<_> = (1..2000).map(|i| (i - 1, i)).collect();
    let star: Vec<_> = (1..2000).map(|i| (0, i)).collect();
    // Two pieces of a path, two of a ladder, and single unknowns.
    let mut pieces: Vec<_> = (1..500).chain(501..900).map(|i| (i - 1, i)).collect();
    pieces.extend((1000..1700).map(|i| (i, i + 300)).filter(|(_, j)| *j != 1350));
    for c in [edges(2000, &path), edges(2000, &star), edges(2000, &pieces), grid(45, 40, 0.0), thick(9)] {
        for ordering in ORDERINGS {
            for kind in ["lu", "llt", "ldlt"] {
                solves(&c, &format!("{kind} ordering={ordering}"), 1e-11);
            }
        }
    }
    for ordering in ORDERINGS {
        solves(&grid(45, 40, 0.7), &format!("lu ordering={ordering}"), 1e-11);
    }
}

#[test]
fn dissection_needs_less_than_minimum_degree_on_a_large_grid() {
    let a = operator(&grid::<f64>(200, 200, 0.0));
    for kind in ["llt", "ldlt", "lu"] {
        let [auto, amd, nd, natural] = [0, 1, 2, 3].map(|k| {
            let m = make(&a, &format!("{kind} ordering={}", ORDERINGS[k]));
            [m.count("entries").unwrap(), m.count("flops").unwrap()]
        });
        assert_eq!(auto, nd, "{kind}");
        assert!((0..2).all(|k| nd[k] * 10 < amd[k] * 9 && amd[k] * 2 < natural[k]), "{kind}: {nd:?} {amd:?} {natural:?}");
    }
}

/// Supernodes from one column to more than are eliminated at once, in all scalars.
fn wide_supernodes<T: Scalar>() {
    for n in [1, 2, 7, 8, 9, 17, 31, 33, 65, 100, 150] {
        let hermitian = sample::<T>(n, n as u64, true);
        let inverse = hermitian.inverse();
        for spec in ["llt", "ldlt", "lu"] {
            let m = make(&operator(&hermitian.csr()), spec);
            for trans in [Trans::N, Trans::T, Trans::H] {
                let d = matrix(&m, trans).distance(&inverse.op(trans));
                assert!(d < 10.0 * tolerance::<T>(), "{spec} {n} {trans:?}: {d}");
            }
        }
        let general = sample::<T>(n, n as u64, false);
        let inverse = general.inverse();
        let m = make(&operator(&general.csr()), "lu");
        for trans in [Trans::N, Trans::T, Trans::H] {
            let d = matrix(&m, trans).distance(&inverse.op(trans));
            assert!(d < 10.0 * tolerance::<T>(), "lu {n} {trans:?}: {d}");
        }
    }
}

#[test]
fn wide_supernodes_in_all_scalars() {
    wide_supernodes::<f32>();
    wide_supernodes::<f64>();
    wide_supernodes::<Complex<f32>>();
    wide_supernodes::<Complex<f64>>();
}

#[test]
fn ldlt_counts_the_inertia_and_survives_a_saddle_point() {
    let n = 30;
    // An indefinite matrix with known inertia: a shifted second difference.
    let sigma = 1.3;
    let mut a = Dense::<f64>::zero(n);
    for i in 0..n {
        *a.at(i, i) = 2.0 - sigma;
        if i > 0 {
            *a.at(i, i - 1) = -1.0;
            *a.at(i - 1, i) = -1.0;
        }
    }
    let below = (1..=n).filter(|k| 2.0 - 2.0 * (std::f64::consts::PI * *k as f64 / (n as f64 + 1.0)).cos() < sigma).count();
    let m = make(&operator(&a.csr()), "ldlt");
    assert_eq!(m.count("negative_pivots"), Some(below as i64));
    assert_eq!(m.count("regularised_pivots"), Some(0));

    // [K B^T; B 0] with five constraints: as many negative pivots.
    let k = sample::<f64>(n, 4, true);
    let mut noise = Noise(3);
    let mut saddle = Dense::<f64>::zero(n + 5);
    for i in 0..n {
        for j in 0..n {
            *saddle.at(i, j) = k.get(i, j);
        }
        let v = noise.next();
        *saddle.at(i, n + i % 5) = v;
        *saddle.at(n + i % 5, i) = v;
    }
    let m = make(&operator(&saddle.csr()), "ldlt refinements=2");
    assert_eq!(m.count("negative_pivots"), Some(5));
    assert_eq!(m.count("regularised_pivots"), Some(5));
    let d = matrix(&m, Trans::N).distance(&saddle.inverse());
    assert!(d < 1e-12, "{d}");
}

#[test]
fn levels_of_fill_are_those_of_the_grid() {
    // Level 1 adds the diagonal i - nx + 1 to the lower triangle, level 2 adds i - nx + 2.
    let (nx, ny) = (13, 17);
    let a = operator(&grid::<f64>(nx, ny, 0.0));
    let lower = [nx * (ny - 1) + (nx - 1) * ny, (nx - 1) * (ny - 1), (nx - 2) * (ny - 1)];
    for levels in 0..3 {
        let expected = nx * ny + 2 * lower[..=levels].iter().sum::<usize>();
        for kind in ["ilu", "ic"] {
            assert_eq!(make(&a, &format!("{kind} levels={levels}")).count("entries"), Some(expected as i64), "{kind} {levels}");
        }
    }
}

#[test]
fn dropping_by_size_keeps_its_limits() {
    let c = grid::<f64>(20, 20, 0.0);
    let a = operator(&c);
    let entries = |spec: &str| make(&a, spec).count("entries").unwrap();
    let given = c.values.len() as i64;
    assert!(entries("ilut drop_tolerance=0 fill=1") <= given + 2 * 400);
    assert!(entries("ilut drop_tolerance=1e-3 fill=100") < entries("ilut drop_tolerance=1e-6 fill=100"));
    // A tolerance above all ratios leaves the diagonal.
    assert_eq!(entries("ilut drop_tolerance=10"), 400);
    assert_eq!(entries("ict drop_tolerance=10"), 400);
    assert!(entries("ict drop_tolerance=0 fill=1") <= given + 2 * 400);
    // A lower tolerance means a better inverse.
    let error = |spec: &str| {
        let m = make(&a, spec);
        let (x, mut y, mut z) = (vec![1.0; 400], vec![0.0; 400], vec![0.0; 400]);
        m.apply_vector(&Pool::new(), &x, &mut y).unwrap();
        a.apply_vector(&Pool::new(), &y, &mut z).unwrap();
        z.iter().fold(0.0, |m: f64, v| m.max((v - 1.0).abs()))
    };
    assert!(error("ilut drop_tolerance=1e-2 fill=100") > 10.0 * error("ilut drop_tolerance=1e-4 fill=100"));
    assert!(error("ilut drop_tolerance=1e-4 fill=100") > 10.0 * error("ilut drop_tolerance=1e-6 fill=100"));
}

#[test]
fn refreshes_and_applies_allocate_nothing() {
    let c = grid::<f64>(40, 40, 0.0);
    let a = operator(&c);
    let pool = Pool::new();
    let x: Vec<f64> = (0..c.n).map(|i| (i as f64).cos()).collect();
    let mut y = vec![0.0; c.n];
    for spec in GENERAL.iter().chain(HERMITIAN) {
        let m = make(&a, spec);
        m.apply_vector(&pool, &x, &mut y).unwrap();
        let in_refresh = allocations(|| m.changed().unwrap());
        let in_apply = allocations(|| m.apply_vector(&pool, &x, &mut y).unwrap());
        let in_adjoint = allocations(|| m.apply(&pool, Trans::H, Panel::column(&x), PanelMut::column(&mut y)).unwrap());
        assert_eq!((in_refresh, in_apply, in_adjoint), (0, 0, 0), "{spec}");
    }
}

#[test]
fn a_shift_mends_a_breakdown() {
    // Positive definite, yet IC(0) breaks down (Kershaw's matrix).
    let mut a = Dense::<f64>::zero(4);
    for (i, row) in [[3.0, -2.0, 0.0, 2.0], [-2.0, 3.0, -2.0, 0.0], [0.0, -2.0, 3.0, -2.0], [2.0, 0.0, -2.0, 3.0]].iter().enumerate() {
        for (j, v) in row.iter().enumerate() {
            *a.at(i, j) = *v;
        }
    }
    let op = operator(&a.csr());
    let e = refused(&op, "ic0");
    assert_eq!(e.status(), -21);
    assert!(e.to_string().starts_with("preconditioner 'ic0': the pivot of row 3 (base 0) is -4.99"), "{e}");
    // The shifted factor is that of A + 0.5 |D|.
    let m = matrix(&make(&op, "ic0 shift=0.5"), Trans::N).inverse();
    for i in 0..4 {
        for j in 0..4 {
            let expected = if i == j { 4.5 } else { a.get(i, j) };
            assert!(a.get(i, j) == 0.0 || (m.get(i, j) - expected).abs() < 1e-13);
        }
    }
    for spec in ["ilu0", "ilut drop_tolerance=0 fill=0", "lu", "ldlt", "llt", "ict drop_tolerance=0 fill=4"] {
        let shifted = a.map(|i, j, v| if i == j { 1.25 * v } else { v });
        let m = make(&op, &format!("{spec} shift=0.25"));
        let exact = make(&operator(&shifted.csr()), spec);
        assert!(matrix(&m, Trans::N).distance(&matrix(&exact, Trans::N)) < 1e-14, "{spec}");
    }
}

#[test]
fn breakdowns_name_the_row_and_a_failed_refresh_is_remembered() {
    // Row 5 has the diagonal entry 0 and, in the second matrix, nothing else.
    let good = sample::<f64>(12, 8, true).map(|i, j, v| if (i == 5 || j == 5) && i != j { 0.0 } else { v });
    let bad = |c: &Csr<f64>| -> Vec<f64> {
        let mut values = c.values.clone();
        values[c.ptr[5] as usize] = 0.0;
        values
    };
    for spec in GENERAL.iter().chain(HERMITIAN).filter(|s| **s != "identity" && !s.starts_with("ldlt")) {
        let c = good.csr();
        let a = operator(&c);
        let m = make(&a, spec);
        let before = matrix(&m, Trans::N);
        a.set_values(&bad(&c)).unwrap();
        let e = m.changed().unwrap_err();
        let kind = spec.split(' ').next().unwrap();
        assert!(e.to_string().starts_with(&format!("preconditioner '{kind}': ")), "{e}");
        assert!(e.status() == -20 || e.status() == -21, "{e}");
        let lu = kind == "lu";
        assert!(lu || e.to_string().contains("row 5 (base 0)") || e.to_string().contains("for row 5"), "{e}");
        let mut y = vec![0.0; 12];
        let e = m.apply_vector(&Pool::new(), &[1.0; 12], &mut y).unwrap_err();
        assert_eq!(e.status(), -10);
        let text = e.to_string();
        assert!(text.starts_with(&format!("preconditioner '{kind}': its last refresh failed (")), "{text}");
        assert!(text.ends_with("); call rkn_operator_changed after mending the matrix"), "{text}");
        a.set_values(&c.values).unwrap();
        assert!(m.apply_vector(&Pool::new(), &[1.0; 12], &mut y).is_err(), "{spec}: mended without a refresh");
        m.changed().unwrap();
        assert_eq!(matrix(&m, Trans::N), before, "{spec}");
        // The same breakdown at creation.
        let mut broken = c.clone();
        broken.values = bad(&c);
        let e = refused(&operator(&broken), spec);
        assert!(e.status() == -20 || e.status() == -21, "{e}");
    }
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    let c = sample::<f64>(10, 1, true).csr();
    let mut double = c.clone();
    // Finite entries whose sum is not.
    double.col.splice(0..1, [double.col[0], double.col[0]]);
    double.values.splice(0..1, [f64::MAX, f64::MAX]);
    double.ptr[1..].iter_mut().for_each(|p| *p += 1);
    for spec in GENERAL.iter().chain(HERMITIAN).filter(|s| **s != "identity") {
        let e = refused(&operator(&double), spec);
        assert_eq!(e.status(), -6, "{spec}: {e}");
        assert!(e.to_string().contains("row 0"), "{e}");
    }
}

#[test]
fn indefinite_and_complex_symmetric_matrices() {
    let a = sample::<f64>(12, 6, true).map(|i, j, v| if i == 7 && j == 7 { -v } else { v });
    for spec in ["llt", "ic0", "ict"] {
        let e = refused(&operator(&a.csr()), spec);
        assert_eq!(e.status(), -21, "{e}");
        assert!(e.to_string().contains("row 7 (base 0)"), "{e}");
    }
    let e = refused(&operator(&a.csr()), "chebyshev");
    assert!(e.status() == -21 && e.to_string().contains("row 7"), "{e}");
    assert_eq!(make(&operator(&a.csr()), "ldlt").count("negative_pivots"), Some(1));
    type C = Complex<f64>;
    let symmetric = sample::<f64>(12, 6, true).map(|_, _, v| v);
    let mut complex = Dense::<C>::zero(12);
    for i in 0..12 {
        for j in 0..12 {
            *complex.at(i, j) = C::new(symmetric.get(i, j), if i == j { 0.5 } else { 0.0 });
        }
    }
    for spec in ["ldlt", "llt", "ic0", "ict"] {
        let e = refused(&operator(&complex.csr()), spec);
        assert_eq!(e.status(), -22, "{e}");
        assert!(e.to_string().contains("row 0, column 0 (base 0)") && e.to_string().contains("lu"), "{e}");
    }
    assert!(matrix(&make(&operator(&complex.csr()), "lu"), Trans::N).distance(&complex.inverse()) < 1e-13);
}

#[test]
fn pivot_tolerance_judges_small_pivots() {
    let mut a = Dense::<f64>::identity(6);
    *a.at(3, 3) = 1e-6;
    *a.at(3, 4) = 1.0;
    *a.at(4, 3) = 1.0;
    *a.at(4, 4) = 2e6;
    let op = operator(&a.csr());
    for spec in ["ilu0", "ilut", "ic0", "llt", "ict"] {
        make(&op, spec);
        let e = refused(&op, &format!("{spec} pivot_tolerance=1e-3"));
        assert!(e.to_string().contains("row 3 (base 0)"), "{spec}: {e}");
    }
    make(&op, "lu");
    assert_eq!(refused(&op, "lu pivot_tolerance=1e-3").status(), -20);
    assert_eq!(make(&op, "ldlt").count("regularised_pivots"), Some(0));
}

#[test]
fn specs_are_checked() {
    let a = operator(&sample::<f64>(6, 1, true).csr());
    let text = |spec: &str| refused(&a, spec).to_string();
    assert_eq!(text("jacoby"), "unknown preconditioner 'jacoby'; did you mean 'jacobi'?");
    assert!(text("").starts_with("unknown preconditioner ''"));
    assert_eq!(text("jacobi levels=1"), "option 'levels' is not used by 'jacobi'; it is used by ilu, ic");
    assert_eq!(text("ilu0 levels=1"), "option 'levels' is not used by 'ilu0'; it is used by ilu, ic");
    assert_eq!(text("ilu level=1"), "unknown option 'level'; did you mean 'levels'?");
    assert!(text("ilu levels=-1").contains("'levels' is -1"));
    assert_eq!(text("ssor omega=2"), "argument 'omega' is 2, must lie in (0, 2)");
    assert_eq!(text("ssor omega=0"), "argument 'omega' is 0, must lie in (0, 2)");
    assert!(text("chebyshev ratio=1").contains("ratio"));
    assert!(text("ilu shift=nan").contains("shift"));
    assert!(text("ilu levels").contains("key=value"));
    assert_eq!(make(&a, "ilu0").describe(), "ilu levels=0");
    assert_eq!(make(&a, " ilu,levels=2 shift=1e-3 ").describe(), "ilu levels=2 shift=0.001");
    assert_eq!(make(&a, "ic").describe(), "ic levels=0");
    assert_eq!(make(&a, "ssor omega=1.4").describe(), "ssor omega=1.4");
    let wide = coo::<f64, i64>(2, 3, 0, &[0], &[0], &[1.0]).unwrap();
    assert_eq!(refused(&Operator::new(context(), Box::new(wide)), "jacobi").status(), -3);
}

/// A second difference that has no entries, as a callback has none.
struct Opaque {
    n: usize,
}

impl Body<f64> for Opaque {
    fn nrows(&self) -> usize {
        self.n
    }
    fn ncols(&self) -> usize {
        self.n
    }
    fn apply(&self, _: &Pool, _: Trans, x: Panel<f64>, mut y: PanelMut<f64>) -> Result<()> {
        for j in 0..x.ncols {
            let (x, y) = (x.col(j), y.col(j));
            for i in 0..self.n {
                let at = |k: Option<usize>| k.and_then(|k| x.get(k)).copied().unwrap_or(0.0);
                y[i] = 2.0 * x[i] - at(i.checked_sub(1)) - at(Some(i + 1));
            }
        }
        Ok(())
    }
    fn describe(&self) -> String {
        "opaque".to_string()
    }
}

#[test]
fn chebyshev_needs_products_only() {
    let n = 50;
    let a = Operator::new(context(), Box::new(Opaque { n }));
    assert_eq!(refused(&a, "jacobi").status(), -22);
    assert_eq!(refused(&a, "ilu0").status(), -22);
    let unscaled = make(&a, "chebyshev degree=6 lambda_max=4");
    // The same matrix with entries: D = 2, so that D^-1 A has half the spectrum.
    let mut d = Dense::<f64>::zero(n);
    for i in 0..n {
        *d.at(i, i) = 2.0;
        if i > 0 {
            *d.at(i, i - 1) = -1.0;
            *d.at(i - 1, i) = -1.0;
        }
    }
    let scaled = make(&operator(&d.csr()), "chebyshev degree=6 lambda_max=2");
    assert!(matrix(&unscaled, Trans::N).distance(&matrix(&scaled, Trans::N)) < 1e-13);
    make(&a, "chebyshev");
}

#[test]
fn no_rows_and_one_row() {
    let none = operator(&Csr::<f64> { n: 0, ptr: vec![0], col: vec![], values: vec![] });
    let one = operator(&Csr::<f64> { n: 1, ptr: vec![0, 1], col: vec![0], values: vec![4.0] });
    for spec in GENERAL.iter().chain(HERMITIAN) {
        let m = make(&none, spec);
        m.changed().unwrap();
        m.apply_vector(&Pool::new(), &[], &mut []).unwrap();
        let exact = !spec.starts_with("ssor") && !spec.starts_with("identity") && !spec.starts_with("chebyshev");
        let mut y = [0.0];
        make(&one, spec).apply_vector(&Pool::new(), &[2.0], &mut y).unwrap();
        assert!(!exact || (y[0] - 0.5).abs() < 1e-15, "{spec}: {}", y[0]);
    }
}

/// op(M)^-1 of panels of 1 to 9 columns with gaps between them against that of single vectors, to the bit.
fn columns_stand_for_themselves<T: Scalar>(m: &Operator<T>, name: &str) {
    let n = m.nrows();
    let (ldx, ldy) = (n + 2, n + 5);
    let mut noise = Noise(n as u64);
    let mut x: Vec<T> = (0..9 * ldx).map(|_| noise.scalar()).collect();
    for gap in x.chunks_mut(ldx) {
        gap[n..].fill(T::from_f64(f64::NAN));
    }
    for trans in [Trans::N, Trans::T, Trans::H] {
        let mut single = vec![T::ZERO; 9 * n];
        for (x, y) in x.chunks(ldx).zip(single.chunks_mut(n)) {
            m.apply(&Pool::new(), trans, Panel::column(&x[..n]), PanelMut::column(y)).unwrap();
        }
        for ncols in 1..=9 {
            let seven = T::from_f64(7.0);
            let mut y = vec![seven; 9 * ldy];
            let (from, to) = (Panel { data: &x, nrows: n, ncols, ld: ldx }, PanelMut { data: &mut y, nrows: n, ncols, ld: ldy });
            m.apply(&Pool::new(), trans, from, to).unwrap();
            for (j, y) in y.chunks(ldy).enumerate() {
                if j < ncols {
                    assert_eq!(&y[..n], &single[j * n..][..n], "{name} {trans:?}: column {j} of {ncols}");
                }
                assert!(y[if j < ncols { n } else { 0 }..].iter().all(|v| *v == seven), "{name} {trans:?} wrote between {ncols} columns");
            }
        }
    }
}

#[test]
fn panels_of_large_matrices() {
    // More rows than a block of the schedule.
    let a = operator(&grid::<f64>(90, 100, 0.0));
    for spec in ["ssor", "ilu0", "ic0", "ilut", "ict", "llt", "lu"] {
        columns_stand_for_themselves(&make(&a, spec), spec);
    }
}

// ---- assembly ----

#[test]
fn rows_become_canonical() {
    // Columns out of order and repeated; row 1 has no diagonal entry.
    let c = Csr { n: 3, ptr: vec![0, 4, 5, 7], col: vec![2, 0, 2, 1, 0, 2, 1], values: vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0] };
    let a = operator(&c);
    let mut rows = Assembled::new(&a).unwrap();
    assert_eq!((&rows.ptr[..], &rows.col[..]), (&[0, 3, 4, 6][..], &[0, 1, 2, 0, 1, 2][..]));
    assert_eq!(rows.values, [2.0, 8.0, 5.0, 16.0, 64.0, 32.0]);
    let mut full = Assembled::with_diagonal(&a).unwrap();
    assert_eq!((&full.ptr[..], &full.col[..]), (&[0, 3, 5, 7][..], &[0, 1, 2, 0, 1, 1, 2][..]));
    assert_eq!(full.values, [2.0, 8.0, 5.0, 16.0, 0.0, 64.0, 32.0]);
    a.set_values(&[1.0; 7]).unwrap();
    let allocated = allocations(|| {
        rows.refresh(&a).unwrap();
        full.refresh(&a).unwrap();
    });
    assert_eq!(allocated, 0);
    assert_eq!(rows.values, [1.0, 1.0, 2.0, 1.0, 1.0, 1.0]);
    assert_eq!(full.values, [1.0, 1.0, 2.0, 1.0, 0.0, 1.0, 1.0]);
    // Another pattern, with as many entries or with more, is detected.
    for (ptr, col) in [(vec![0, 4, 5, 7], vec![2, 0, 2, 0, 0, 2, 1]), (vec![0, 4, 6, 8], vec![2, 0, 2, 1, 0, 1, 2, 1]), (vec![0, 0, 0, 0], vec![])] {
        let other = operator(&Csr { n: 3, values: vec![1.0; col.len()], ptr, col });
        assert_eq!(rows.refresh(&other).unwrap_err().status(), -10);
    }
    let mut sorted = Assembled::new(&operator(&Csr { n: 2, ptr: vec![0, 1, 3], col: vec![1, 0, 1], values: vec![1.0; 3] })).unwrap();
    let other = operator(&Csr { n: 2, ptr: vec![0, 2, 3], col: vec![0, 1, 1], values: vec![1.0; 3] });
    assert_eq!(sorted.refresh(&other).unwrap_err().status(), -10);
}

#[test]
fn triplets_add_up_in_their_order() {
    // 1 + 2^53 - 2^53 in f64 shows the order of the sum.
    let big = 2f64.powi(53);
    let (i, j) = ([2, 1, 1, 1, 3i32], [3, 1, 1, 1, 1i32]);
    let m = coo(3, 3, 1, &i, &j, &[5.0, 1.0, big, -big, 7.0]).unwrap();
    let mut found = vec![];
    m.entries(&mut |i, j, v| found.push((i, j, v))).unwrap();
    assert_eq!(found, [(0, 0, 0.0), (1, 2, 5.0), (2, 0, 7.0)]);
    let m = coo(3, 3, 1, &i, &j, &[5.0, big, -big, 1.0, 7.0]).unwrap();
    found.clear();
    m.entries(&mut |i, j, v| found.push((i, j, v))).unwrap();
    assert_eq!(found[0], (0, 0, 1.0));

    let mut t = Triplets::new(3, 3, 1, &i, &j, &[1.0f64; 5]).unwrap();
    assert_eq!((t.values_len(), t.count("entries")), (Some(5), Some(3)));
    t.set_values(&[5.0, 1.0, 2.0, 3.0, 7.0]).unwrap();
    found.clear();
    t.entries(&mut |i, j, v| found.push((i, j, v))).unwrap();
    assert_eq!(found, [(0, 0, 6.0), (1, 2, 5.0), (2, 0, 7.0)]);
    assert_eq!(t.set_values(&[1.0; 3]).unwrap_err().status(), -3);

    let text = |r: Result<Compressed<f64, i64>>| r.err().unwrap().to_string();
    assert_eq!(text(coo(3, 3, 1, &[1, 4], &[1, 1], &[1.0, 1.0])), "argument 'rowind' has 4 at position 1, must lie in 1..3 (base 1)");
    assert_eq!(text(coo(3, 3, 0, &[0], &[-1], &[1.0])), "argument 'colind' has -1 at position 0, must lie in 0..2 (base 0)");
    assert_eq!(text(coo(3, 3, 0, &[0], &[0], &[f64::NAN])), "argument 'values' has NaN at position 0, must be finite");
    assert!(text(coo(3, 3, 0, &[0, 0], &[0, 0], &[f64::MAX, f64::MAX])).contains("adds up to inf"));
    assert!(coo(3, 3, 0, &[0, 0], &[0], &[1.0]).is_err() && coo(3, 3, 0, &[0], &[0], &[1.0, 2.0]).is_err());
    assert!(coo::<f64, i32>(0, 0, 0, &[], &[], &[]).is_ok());
}
