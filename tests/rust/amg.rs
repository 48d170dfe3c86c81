//! The multigrid preconditioner: what it must be for any matrix (Hermitian, positive definite, the same
//! after a refresh), and how many iterations it leaves to CG on problems where theory promises few.

use num_complex::Complex;
use reknit::krylov::{Krylov, Outcome, Setup};
use reknit::linalg::{Panel, PanelMut};
use reknit::operator::precond::create;
use reknit::operator::sparse::{Compressed, Parts};
use reknit::operator::{Operator, Side, Trans};
use reknit::runtime::{Context, Error, Pool, Scalar};
use std::collections::BTreeMap;
use std::sync::Arc;

type C64 = Complex<f64>;

#[allow(clippy::arc_with_non_send_sync)]
fn context() -> Arc<Context> {
    Arc::new(Context::new())
}

#[derive(Clone)]
struct Matrix<T> {
    n: usize,
    ptr: Vec<i32>,
    col: Vec<i32>,
    values: Vec<T>,
}

impl<T: Scalar> Matrix<T> {
    fn from_rows(rows: Vec<BTreeMap<usize, T>>) -> Self {
        let mut m = Matrix { n: rows.len(), ptr: vec![0], col: vec![], values: vec![] };
        for row in rows {
            m.col.extend(row.keys().map(|j| *j as i32));
            m.values.extend(row.values());
            m.ptr.push(m.col.len() as i32);
        }
        m
    }

    fn map(&self, f: impl Fn(usize, usize, T) -> T) -> Self {
        let mut m = self.clone();
        for i in 0..m.n {
            for k in m.ptr[i] as usize..m.ptr[i + 1] as usize {
                m.values[k] = f(i, m.col[k] as usize, m.values[k]);
            }
        }
        m
    }

    fn operator(&self) -> Operator<T> {
        let (ptr, ind, values) = (Box::new(self.ptr.clone()), Box::new(self.col.clone()), Box::new(self.values.clone()));
        let parts = Parts { nrows: self.n, ncols: self.n, base: 0, ptr, ind, values, copied: true };
        Operator::new(context(), Box::new(Compressed::csr(parts).unwrap()))
    }
}

/// -div k grad on a grid of cells; at the boundary the solution is zero, or (natural) its normal derivative.
fn diffusion(size: [usize; 3], natural: bool, k: impl Fn([usize; 3]) -> f64) -> Matrix<f64> {
    let [nx, ny, nz] = size;
    let mut rows = vec![];
    for i in 0..nx * ny * nz {
        let at = [i % nx, i / nx % ny, i / (nx * ny)];
        let (mut row, mut d) = (BTreeMap::new(), 0.0);
        for axis in (0..3).filter(|axis| size[*axis] > 1) {
            for step in [-1i64, 1] {
                let next = at[axis] as i64 + step;
                if next < 0 || next >= size[axis] as i64 {
                    d += if natural { 0.0 } else { k(at) };
                    continue;
                }
                let mut other = at;
                other[axis] = next as usize;
                let mean = 2.0 * k(at) * k(other) / (k(at) + k(other));
                d += mean;
                row.insert(other[0] + nx * (other[1] + ny * other[2]), -mean);
            }
        }
        row.insert(i, d);
        rows.push(row);
    }
    Matrix::from_rows(rows)
}

fn square(m: usize) -> Matrix<f64> {
    diffusion([m, m, 1], false, |_| 1.0)
}

/// The same with phases: Hermitian, and similar to it by a diagonal of phases and a perturbation.
fn twisted<T: Scalar>(m: usize) -> Matrix<T> {
    let a = square(m);
    let t = Matrix { n: a.n, ptr: a.ptr.clone(), col: a.col.clone(), values: a.values.iter().map(|v| T::from_f64(*v)).collect() };
    t.map(|i, j, v| {
        if i == j || !T::IS_COMPLEX {
            return v;
        }
        let angle = 0.1 * (i as f64 - j as f64).signum() + 0.02 * ((i * j) as f64).sin() * (i as f64 - j as f64).signum();
        v * T::from_parts(angle.cos(), angle.sin())
    })
}

/// Plane elasticity on m x m bilinear elements, clamped on the left: two unknowns a node.
fn elasticity(m: usize) -> Matrix<f64> {
    let (lame, shear) = (1.0, 1.0);
    let gauss = [-1.0 / 3f64.sqrt(), 1.0 / 3f64.sqrt()];
    let corner = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)];
    let mut element = [[0.0; 8]; 8];
    for (x, y) in gauss.iter().flat_map(|x| gauss.iter().map(move |y| (*x, *y))) {
        let gradient = corner.map(|(a, b)| [0.5 * a * (1.0 + b * y), 0.5 * b * (1.0 + a * x)]);
        for (p, g) in gradient.iter().enumerate() {
            for (q, h) in gradient.iter().enumerate() {
                for c in 0..2 {
                    for d in 0..2 {
                        let same = if c == d { shear * (g[0] * h[0] + g[1] * h[1]) } else { 0.0 };
                        element[2 * p + c][2 * q + d] += 0.25 * (lame * g[c] * h[d] + shear * g[d] * h[c] + same);
                    }
                }
            }
        }
    }
    // Nodes of the left side are left out: column x of nodes is x = 1..=m.
    let node = |x: usize, y: usize| if x == 0 { None } else { Some((x - 1) + m * y) };
    let mut rows = vec![BTreeMap::new(); 2 * m * (m + 1)];
    for (x, y) in (0..m).flat_map(|x| (0..m).map(move |y| (x, y))) {
        let nodes = [node(x, y), node(x + 1, y), node(x + 1, y + 1), node(x, y + 1)];
        for (p, i) in nodes.iter().enumerate().filter_map(|(p, i)| i.map(|i| (p, i))) {
            for (q, j) in nodes.iter().enumerate().filter_map(|(q, j)| j.map(|j| (q, j))) {
                for (c, d) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    *rows[2 * i + c].entry(2 * j + d).or_insert(0.0) += element[2 * p + c][2 * q + d];
                }
            }
        }
    }
    Matrix::from_rows(rows)
}

fn make<T: Scalar>(a: &Operator<T>, spec: &str) -> Operator<T> {
    create(context(), a, spec).unwrap_or_else(|e| panic!("{spec}: {e}"))
}

fn refused<T: Scalar>(a: &Operator<T>, spec: &str) -> Error {
    create(context(), a, spec).err().unwrap_or_else(|| panic!("{spec} was made"))
}

/// The columns of op(M)^-1.
fn dense<T: Scalar>(m: &Operator<T>, trans: Trans) -> Vec<Vec<T>> {
    let n = m.nrows();
    let unit = |j: usize| (0..n).map(|i| if i == j { T::ONE } else { T::ZERO }).collect::<Vec<T>>();
    (0..n).map(|j| applied(m, trans, &unit(j))).collect()
}

fn applied<T: Scalar>(m: &Operator<T>, trans: Trans, x: &[T]) -> Vec<T> {
    let mut y = vec![T::from_f64(f64::NAN); x.len()];
    m.apply(&Pool::new(), trans, Panel::column(x), PanelMut::column(&mut y)).unwrap();
    y
}

/// Whether the Hermitian matrix with these columns has positive pivots without interchanges.
fn is_positive<T: Scalar>(mut a: Vec<Vec<T>>) -> bool {
    let n = a.len();
    for k in 0..n {
        let d = a[k][k].real_part();
        if d <= 0.0 || d.is_nan() {
            return false;
        }
        for j in k + 1..n {
            let f = a[j][k].scale(1.0 / d);
            for i in k + 1..n {
                let v = a[k][i];
                a[j][i] -= v * f;
            }
        }
    }
    true
}

fn noise(n: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * i) as f64 * 0.37 + i as f64).sin()).collect()
}

/// Iterations of `method` for A x = A noise, and the relative error of the residual.
fn iterations<T: Scalar>(method: &str, a: &Operator<T>, m: Option<&Operator<T>>, rtol: f64) -> usize {
    let x: Vec<T> = noise(a.nrows()).iter().map(|v| T::from_f64(*v)).collect();
    let b = applied(a, Trans::N, &x);
    let mut setup = Setup::new(context(), method).unwrap();
    setup.options.set_all(&format!("rtol={rtol} max_iterations=2000")).unwrap();
    let mut y = vec![T::ZERO; b.len()];
    assert_eq!(Krylov::default().solve(&setup, a, m, &b, &mut y).unwrap(), Outcome::Converged);
    let r = applied(a, Trans::N, &y);
    let norm = |v: &mut dyn Iterator<Item = T>| v.map(|v| v.modulus().powi(2)).sum::<f64>().sqrt();
    assert!(norm(&mut r.iter().zip(&b).map(|(r, b)| *r - *b)) <= 1.01 * rtol * norm(&mut b.iter().copied()));
    let count = setup.report.borrow().counts.iterations;
    count
}

const SPECS: &[&str] = &[
    "amg coarse_size=5",
    "amg coarse_size=5 degree=1",
    "amg coarse_size=5 degree=5 ratio=20",
    "amg coarse_size=5 smoother=ssor",
    "amg coarse_size=5 smoother=ssor omega=1.3 sweeps=2",
    "amg coarse_size=5 strength=0.9",
    "amg max_levels=2",
    "amg max_levels=1",
    "amg coarse_size=5 precision=single",
    "amg coarse_size=5 block_size=3",
];

fn hermitian_and_positive<T: Scalar>() {
    let a = twisted::<T>(9).operator();
    for spec in SPECS {
        let m = make(&a, spec);
        assert!(m.has_adjoint());
        let columns = dense(&m, Trans::N);
        let largest = columns.iter().flatten().fold(0.0f64, |m, v| m.max(v.modulus()));
        let slack = largest * if spec.contains("single") { 1e-6 } else { 1e-13 };
        let (transposed, adjoint) = (dense(&m, Trans::T), dense(&m, Trans::H));
        for i in 0..m.nrows() {
            for j in 0..m.nrows() {
                let v = columns[j][i];
                assert!((columns[i][j] - v.conj()).modulus() < slack, "{spec}: {i}, {j}");
                assert!((transposed[i][j] - v).modulus() < slack && (adjoint[i][j] - v.conj()).modulus() < slack, "{spec}: {i}, {j}");
            }
        }
        assert!(is_positive(columns), "{spec}");
    }
}

#[test]
fn a_cycle_is_hermitian_and_positive_definite() {
    hermitian_and_positive::<f64>();
    hermitian_and_positive::<C64>();
}

#[test]
fn a_problem_no_larger_than_the_coarsest_level_is_solved() {
    let a = twisted::<C64>(12).operator();
    let m = make(&a, "amg");
    assert_eq!(m.count("levels"), Some(1));
    let x: Vec<C64> = noise(144).iter().map(|v| C64::new(*v, 1.0 - v)).collect();
    let y = applied(&m, Trans::N, &applied(&a, Trans::N, &x));
    assert!(x.iter().zip(&y).all(|(x, y)| (x - y).norm() < 1e-12));
}

#[test]
fn iterations_do_not_grow_with_the_grid() {
    let counts = |spec: &str| [32, 64, 128].map(|m| { let a = square(m).operator(); iterations("cg", &a, Some(&make(&a, spec)), 1e-8) });
    for (spec, most) in [("amg", 11), ("amg smoother=ssor", 13), ("amg precision=single", 11), ("amg degree=1", 18), ("amg degree=4", 9)] {
        let [a, b, c] = counts(spec);
        assert!(a <= b + 2 && c <= a + 4 && c <= most, "{spec}: {a}, {b}, {c}");
    }
    let a = diffusion([32, 32, 32], false, |_| 1.0);
    let m = make(&a.operator(), "amg");
    assert!(iterations("cg", &a.operator(), Some(&m), 1e-8) <= 11);
    assert!(m.count("level_entries").unwrap() < 16 * a.values.len() as i64 / 10);
    assert!(m.count("entries").unwrap() > m.count("level_entries").unwrap());
    assert!(m.count("levels").unwrap() >= 3);
}

#[test]
fn coefficients_may_jump_and_couplings_differ_by_direction() {
    let jump = diffusion([96, 96, 1], false, |[x, y, _]| if (x / 12 + y / 12) % 2 == 0 { 1.0 } else { 1e4 }).operator();
    assert!(iterations("cg", &jump, Some(&make(&jump, "amg")), 1e-8) < 30);
    // Strong along x only.
    let layered = square(64).map(|i, j, v| if i == j { 2.002 } else if i.abs_diff(j) == 1 { v } else { 1e-3 * v }).operator();
    assert!(iterations("cg", &layered, Some(&make(&layered, "amg")), 1e-8) < 20);
}

#[test]
fn a_single_precision_hierarchy_serves_a_double_precision_solve() {
    let a = square(60).operator();
    let (full, single) = (make(&a, "amg"), make(&a, "amg precision=single"));
    let count = iterations("cg", &a, Some(&full), 1e-10);
    assert!(iterations("cg", &a, Some(&single), 1e-10) <= count + 1);
    // Far outside of the range of single precision.
    for scale in [1e-150, 1e150] {
        let scaled = square(60).map(|_, _, v| scale * v).operator();
        assert!(iterations("cg", &scaled, Some(&make(&scaled, "amg precision=single")), 1e-10) <= count + 1);
    }
    let complex = twisted::<C64>(40).operator();
    assert!(iterations("cg", &complex, Some(&make(&complex, "amg precision=single")), 1e-10) < 20);
    let zero = vec![0.0; a.nrows()];
    assert_eq!(applied(&single, Trans::N, &zero), zero);
}

#[test]
fn a_refresh_is_a_fresh_build() {
    let first = square(24);
    let x = noise(first.n);
    let check = |second: &Matrix<f64>, spec: &str| {
        let a = first.operator();
        let m = make(&a, spec);
        let old = applied(&m, Trans::N, &x);
        a.set_values(&second.values).unwrap();
        assert!(applied(&m, Trans::N, &x) == old, "{spec} does not lag");
        m.changed().unwrap();
        let fresh = make(&second.operator(), spec);
        assert!(applied(&m, Trans::N, &x) == applied(&fresh, Trans::N, &x), "{spec}");
        assert_eq!((m.count("entries"), m.count("levels")), (fresh.count("entries"), fresh.count("levels")));
        a.set_values(&first.values).unwrap();
        m.changed().unwrap();
        assert!(applied(&m, Trans::N, &x) == old, "{spec} does not come back");
    };
    // What leaves the strength of couplings alone: on all levels one factor, on the first a diagonal scaling.
    let size = |i: usize| 1.0 + 0.5 * (i as f64).sin();
    let (quarter, scaled) = (first.map(|_, _, v| 0.25 * v), first.map(|i, j, v| v * size(i) * size(j)));
    for spec in SPECS {
        check(&quarter, spec);
    }
    for spec in ["amg max_levels=2", "amg max_levels=2 smoother=ssor", "amg max_levels=2 precision=single", "amg max_levels=1"] {
        check(&scaled, spec);
    }
    // From Hermitian to not, and back.
    let a = first.operator();
    let m = make(&a, "amg coarse_size=20");
    a.set_values(&first.map(|i, j, v| if i > j { 1.2 * v } else { v }).values).unwrap();
    m.changed().unwrap();
    assert!(!m.has_adjoint());
    a.set_values(&first.values).unwrap();
    m.changed().unwrap();
    assert_eq!(applied(&m, Trans::N, &x), applied(&make(&a, "amg coarse_size=20"), Trans::N, &x));
}

#[test]
fn pure_neumann_problems_are_singular_and_legal() {
    let components = |natural: bool| {
        // Two grids that do not touch, the second too small for more than one aggregate.
        let (a, b) = (diffusion([40, 40, 1], true, |_| 1.0), diffusion([3, 2, 1], natural, |_| 1.0));
        let mut m = a.clone();
        m.n += b.n;
        m.ptr.extend(b.ptr[1..].iter().map(|p| p + a.col.len() as i32));
        m.col.extend(b.col.iter().map(|j| j + a.n as i32));
        m.values.extend(&b.values);
        (m, a.n)
    };
    for (spec, slack) in [("amg", 0), ("amg coarse_size=10", 0), ("amg coarse_size=10 precision=single", 2), ("amg coarse_size=10 smoother=ssor", 4)] {
        for natural in [false, true] {
            let (matrix, cut) = components(natural);
            let a = matrix.operator();
            let m = make(&a, spec);
            assert!(applied(&m, Trans::N, &noise(matrix.n)).iter().all(|v| v.is_finite()));
            let plain = iterations("cg", &a, Some(&m), 1e-9);
            let ones: Vec<f64> = (0..matrix.n).map(|i| (i < cut) as u8 as f64).collect();
            let rest: Vec<f64> = ones.iter().map(|v| 1.0 - v).collect();
            let both = [ones.clone(), rest].concat();
            let columns = if natural { Panel::packed(&both, matrix.n, 2) } else { Panel::column(&ones) };
            a.set_nullspace(Side::Right, columns).unwrap();
            a.set_nullspace(Side::Left, columns).unwrap();
            let known = iterations("cg", &a, Some(&make(&a, spec)), 1e-9);
            assert!(plain <= 14 + slack && known <= 14 + slack, "{spec}: {plain}, {known}");
        }
    }
}

#[test]
fn several_unknowns_a_node() {
    let counts = [16, 32].map(|m| { let a = elasticity(m).operator(); iterations("cg", &a, Some(&make(&a, "amg block_size=2 strength=0.02")), 1e-8) });
    assert!(counts[1] <= counts[0] + 10 && counts[1] < 40, "{counts:?}");
    let a = elasticity(32).operator();
    assert!(2 * counts[1] < iterations("cg", &a, Some(&make(&a, "ic0 shift=0.1")), 1e-8) + 40);
    // Rigid body modes as the nullspace of a free body: dependent candidates are dropped.
    let coarse = make(&a, "amg block_size=2 strength=0.02 coarse_size=10");
    assert!(coarse.count("levels").unwrap() >= 3);
    let e = refused(&a, "amg block_size=5");
    assert_eq!(e.to_string(), format!("argument 'block_size' is 5, must divide the number of rows, {}", a.nrows()));
}

#[test]
fn an_attached_nullspace_is_a_candidate() {
    // D^-1 A D^-1 has the nullspace D 1, far from constant.
    let scaling = |i: usize| 1.0 + 0.9 * (i as f64 * 0.7).sin();
    let matrix = diffusion([40, 40, 1], true, |_| 1.0).map(|i, j, v| v / (scaling(i) * scaling(j)));
    let a = matrix.operator();
    let without = iterations("cg", &a, Some(&make(&a, "amg")), 1e-8);
    let null: Vec<f64> = (0..matrix.n).map(scaling).collect();
    a.set_nullspace(Side::Right, Panel::column(&null)).unwrap();
    a.set_nullspace(Side::Left, Panel::column(&null)).unwrap();
    let with = iterations("cg", &a, Some(&make(&a, "amg")), 1e-8);
    assert!(with <= 14 && with < without, "{with}, {without} without");
}

#[test]
fn diagonal_and_nearly_diagonal_matrices() {
    for n in [1, 7, 300] {
        let rows = (0..n).map(|i| BTreeMap::from([(i, 1.0 + i as f64)])).collect();
        let a = Matrix::from_rows(rows).operator();
        for spec in ["amg", "amg smoother=ssor", "amg precision=single"] {
            assert!(iterations("cg", &a, Some(&make(&a, spec)), 1e-8) <= 2, "{spec}");
        }
    }
    // Rows of the identity, as they stand for boundary values, beside a grid.
    let a = square(40).map(|i, j, v| if i % 5 == 0 || j % 5 == 0 { (i == j) as u8 as f64 } else { v }).operator();
    assert!(iterations("cg", &a, Some(&make(&a, "amg")), 1e-8) <= 16);
    // Couplings that are all weak.
    let a = square(40).map(|i, j, v| if i == j { 100.0 } else { v }).operator();
    let m = make(&a, "amg");
    assert_eq!(m.count("levels"), Some(1));
    assert!(iterations("cg", &a, Some(&m), 1e-8) <= 8);
}

#[test]
fn matrices_that_cannot_be() {
    let zero = square(20).map(|i, j, v| if i == 33 || j == 33 { 0.0 } else { v });
    let negative = square(20).map(|i, j, v| if i == 33 && j == 33 { -v } else { v });
    for spec in ["amg", "amg precision=single", "amg smoother=ssor"] {
        let e = refused(&zero.operator(), spec);
        assert_eq!((e.status(), e.to_string().contains("row 33 (base 0) is 0")), (-20, true), "{e}");
        let e = refused(&negative.operator(), spec);
        assert_eq!((e.status(), e.to_string().contains("row 33 (base 0) is -")), (-21, true), "{e}");
    }
    // Indefinite, which only the last level shows.
    let shifted = square(30).map(|i, j, v| if i == j { v - 0.4 } else { v });
    let e = refused(&shifted.operator(), "amg");
    assert!(e.status() == -21 && e.to_string().starts_with("preconditioner 'amg': on level "), "{e}");
    let a = square(4).operator();
    assert!(refused(&a, "amg smoother=jacobi").to_string().contains("smoother"));
    assert_eq!(refused(&a, "amg sweeps=2").to_string(), "option 'sweeps' is not used by 'amg' with smoother=chebyshev");
    assert_eq!(refused(&a, "amg smoother=ssor degree=2").to_string(), "option 'degree' is not used by 'amg' with smoother=ssor");
    assert_eq!(make(&a, "amg smoother=ssor precision=single").describe(), "amg smoother=ssor precision=single");
}

#[test]
fn nonsymmetric_matrices_precondition_gmres() {
    for wind in [0.1, 0.4] {
        let a = square(50).map(|i, j, v| if i > j { v - wind } else if i < j { v + wind } else { v }).operator();
        let m = make(&a, "amg coarse_size=50");
        assert!(!m.has_adjoint());
        let mut y = vec![0.0; a.nrows()];
        let e = m.apply(&Pool::new(), Trans::T, Panel::column(&noise(a.nrows())), PanelMut::column(&mut y)).unwrap_err();
        assert_eq!(e.status(), -22);
        assert!(iterations("gmres", &a, Some(&m), 1e-8) < 30, "wind {wind}");
    }
    // Complex symmetric: a damped wave.
    let a = twisted::<C64>(40).map(|i, j, v| if i == j { v + C64::new(-0.01, 0.02) } else { C64::new(v.norm().copysign(-1.0), 0.0) }).operator();
    let m = make(&a, "amg coarse_size=50");
    assert!(!m.has_adjoint());
    assert!(iterations("gmres", &a, Some(&m), 1e-8) < 40);
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    let a = square(260);
    let x = noise(a.n);
    for spec in ["amg", "amg precision=single", "amg smoother=ssor"] {
        let run = |threads: usize| {
            let context = context();
            context.pool.set_threads(threads);
            let m = create(context.clone(), &a.operator(), spec).unwrap();
            let mut y = vec![0.0; a.n];
            m.apply_vector(&context.pool, &x, &mut y).unwrap();
            m.changed().unwrap();
            let mut z = vec![0.0; a.n];
            m.apply_vector(&context.pool, &x, &mut z).unwrap();
            assert_eq!(y, z);
            y
        };
        let one = run(1);
        assert!(run(2) == one && run(7) == one, "{spec}");
    }
}
