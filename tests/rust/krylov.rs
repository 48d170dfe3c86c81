//! The Krylov solvers against closed forms and dense direct solves.

use num_complex::Complex;
use reknit::krylov::options::METHODS;
use reknit::krylov::{Krylov, Outcome, Setup};
use reknit::linalg::Panel;
use reknit::operator::callback::{Apply, Callback};
use reknit::operator::sparse::{Compressed, Parts};
use reknit::operator::{precond, Operator, Side, Trans};
use reknit::runtime::{Context, Error, Result, Scalar, Stop};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

type C64 = Complex<f64>;

#[allow(clippy::arc_with_non_send_sync)]
fn context() -> Arc<Context> {
    Arc::new(Context::new())
}

/// Rows of a dense matrix as a sparse operator, zeros left out.
fn sparse<T: Scalar>(context: &Arc<Context>, rows: &[Vec<T>]) -> Operator<T> {
    let (mut ptr, mut ind, mut values) = (vec![0i64], Vec::new(), Vec::new());
    for row in rows {
        for (j, v) in row.iter().enumerate().filter(|(_, v)| **v != T::ZERO) {
            ind.push(j as i64);
            values.push(*v);
        }
        ptr.push(ind.len() as i64);
    }
    let n = rows.len();
    let parts = Parts { nrows: n, ncols: rows[0].len(), base: 0, ptr: Box::new(ptr), ind: Box::new(ind), values: Box::new(values), copied: true };
    Operator::new(context.clone(), Box::new(Compressed::csr(parts).unwrap()))
}

/// Gaussian elimination with partial pivoting: the oracle.
fn dense_solve<T: Scalar>(rows: &[Vec<T>], b: &[T]) -> Vec<T> {
    let n = b.len();
    let mut a: Vec<Vec<T>> = rows.iter().zip(b).map(|(row, b)| row.iter().copied().chain([*b]).collect()).collect();
    for k in 0..n {
        let p = (k..n).max_by(|i, j| a[*i][k].modulus().total_cmp(&a[*j][k].modulus())).unwrap();
        a.swap(k, p);
        for i in k + 1..n {
            let f = a[i][k] / a[k][k];
            for j in k..=n {
                let v = a[k][j];
                a[i][j] -= f * v;
            }
        }
    }
    let mut x = vec![T::ZERO; n];
    for i in (0..n).rev() {
        let mut v = a[i][n];
        for j in i + 1..n {
            v -= a[i][j] * x[j];
        }
        x[i] = v / a[i][i];
    }
    x
}

/// A fixed pseudo-random number in (-1, 1).
fn noise(seed: &mut u64) -> f64 {
    *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*seed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// 2-D Laplacian on an m x m grid plus convection `wind` and a shift of the diagonal.
fn grid<T: Scalar>(m: usize, wind: f64, shift: T) -> Vec<Vec<T>> {
    let n = m * m;
    let mut a = vec![vec![T::ZERO; n]; n];
    for j in 0..m {
        for i in 0..m {
            let c = j * m + i;
            a[c][c] = T::from_f64(4.0) + shift;
            if i > 0 { a[c][c - 1] = T::from_f64(-1.0 - wind) }
            if i + 1 < m { a[c][c + 1] = T::from_f64(-1.0 + wind) }
            if j > 0 { a[c][c - m] = T::from_f64(-1.0 - wind) }
            if j + 1 < m { a[c][c + m] = T::from_f64(-1.0 + wind) }
        }
    }
    a
}

fn rhs<T: Scalar>(n: usize) -> Vec<T> {
    let mut seed = 7;
    (0..n).map(|_| { let re = noise(&mut seed); T::from_parts(re, noise(&mut seed)) }).collect()
}

fn error<T: Scalar>(x: &[T], y: &[T]) -> f64 {
    let d: f64 = x.iter().zip(y).map(|(a, b)| (*a - *b).modulus().powi(2)).sum();
    let s: f64 = y.iter().map(|b| b.modulus().powi(2)).sum();
    (d / s).sqrt()
}

fn setup(method: &str, options: &str) -> Setup {
    let mut setup = Setup::new(context(), method).unwrap();
    setup.options.set_all(options).unwrap();
    setup
}

fn solve<T: Scalar>(rows: &[Vec<T>], method: &str, options: &str, m: Option<&str>) -> (Result<Outcome>, Vec<T>, usize, f64) {
    let s = setup(method, options);
    let a = sparse(&s.context, rows);
    let m = m.map(|spec| precond::create(s.context.clone(), &a, spec).unwrap());
    let b = rhs(rows.len());
    let mut x = vec![T::from_f64(f64::NAN); b.len()];
    let outcome = Krylov::default().solve(&s, &a, m.as_ref(), &b, &mut x);
    let report = s.report.borrow();
    (outcome, x, report.counts.iterations, report.relative_residual)
}

fn check_all<T: Scalar>(tolerance: f64, options: &str) {
    let shift = if T::IS_COMPLEX { T::from_parts(0.1, 0.5) } else { T::from_f64(0.1) };
    let general = grid::<T>(9, 0.4, shift);
    let definite = grid::<T>(9, 0.0, T::from_f64(0.1));
    let indefinite = grid::<T>(9, 0.0, T::from_f64(-1.3));
    let symmetric = grid::<T>(9, 0.0, shift);
    let cases: [(&str, &str, &Vec<Vec<T>>, Option<&str>); 28] = [
        ("cg", "", &definite, None),
        ("cg", "", &definite, Some("ic0")),
        ("minres", "", &indefinite, None),
        ("minres", "", &definite, Some("jacobi")),
        ("gmres", "side=right restart=30", &general, Some("ilu0")),
        ("gmres", "side=left restart=30", &general, Some("ilu0")),
        ("gmres", "side=flexible restart=30", &general, Some("ilu0")),
        ("gmres", "restart=10 basis=single", &general, None),
        ("bicgstab", "", &general, Some("ilu0")),
        ("gcrodr", "restart=12 recycle=4", &general, Some("jacobi")),
        ("gcrodr", "restart=12 recycle=4 side=left test_basis=search", &general, Some("jacobi")),
        ("gcrodr", "restart=12 recycle=4 basis=single", &indefinite, None),
        ("rbicgstab", "restart=12 recycle=4", &general, Some("jacobi")),
        ("rcg", "", &definite, None),
        ("rcg", "restart=12 recycle=4", &definite, Some("ic0")),
        ("rcg", "restart=8 recycle=4", &definite, Some("jacobi")),
        ("eigcg", "", &definite, None),
        ("eigcg", "restart=8 recycle=4", &definite, Some("ic0")),
        ("rminres", "", &indefinite, None),
        ("rminres", "restart=12 recycle=4", &indefinite, None),
        ("rminres", "restart=12 recycle=4", &definite, Some("jacobi")),
        ("idr", "", &general, None),
        ("idr", "", &general, Some("ilu0")),
        ("idr", "shadow=1", &general, Some("ilu0")),
        ("cocg", "", &symmetric, None),
        ("cocg", "", &symmetric, Some("ilu0")),
        ("cocr", "", &symmetric, None),
        ("cocr", "", &symmetric, Some("ilu0")),
    ];
    for (method, extra, rows, m) in cases {
        let (outcome, x, _, relative) = solve(rows, method, &format!("{options} {extra}"), m);
        let label = format!("{} {method} {extra} {m:?}", T::KIND.name());
        assert_eq!(outcome, Ok(Outcome::Converged), "{label}");
        let truth = dense_solve(rows, &rhs(rows.len()));
        assert!(error(&x, &truth) < tolerance, "{label}: error {}", error(&x, &truth));
        assert!(relative < tolerance, "{label}: residual {relative}");
    }
}

#[test]
fn every_method_agrees_with_a_dense_solve_in_every_scalar() {
    check_all::<f64>(1e-8, "rtol=1e-10");
    check_all::<C64>(1e-8, "rtol=1e-10");
    check_all::<f32>(1e-3, "rtol=2e-5");
    check_all::<Complex<f32>>(1e-3, "rtol=2e-5");
}

#[test]
fn gmres_without_restart_ends_within_n_steps_and_cg_too() {
    let rows = grid::<f64>(5, 0.3, 0.0);
    let (outcome, _, iterations, _) = solve(&rows, "gmres", "restart=60 rtol=1e-12", None);
    assert_eq!(outcome, Ok(Outcome::Converged));
    assert!(iterations <= 25, "{iterations}");
    // Three distinct eigenvalues: CG needs three steps (Saad, Iterative Methods, sec. 6.11).
    let diagonal: Vec<Vec<f64>> = (0..30).map(|i| (0..30).map(|j| if i == j { [1.0, 5.0, 9.0][i % 3] } else { 0.0 }).collect()).collect();
    for method in ["cg", "minres", "gmres", "rcg", "eigcg", "rminres", "cocg", "cocr"] {
        let (_, _, iterations, _) = solve(&diagonal, method, "rtol=1e-12", None);
        assert_eq!(iterations, 3, "{method}");
    }
}

#[test]
fn a_happy_breakdown_gives_the_exact_solution() {
    let identity: Vec<Vec<f64>> = (0..8).map(|i| (0..8).map(|j| if i == j { 2.0 } else { 0.0 }).collect()).collect();
    for method in &METHODS[1..] {
        let (outcome, x, iterations, _) = solve(&identity, method, "rtol=1e-14", None);
        assert_eq!(outcome, Ok(Outcome::Converged), "{method}");
        assert_eq!(iterations, 1, "{method}");
        assert!(error(&x, &rhs(8).iter().map(|v: &f64| v / 2.0).collect::<Vec<_>>()) < 1e-15, "{method}");
    }
}

/// The cyclic shift: GMRES(m) makes no progress at all before step n (Nachtigal, Reddy, Trefethen 1992).
#[test]
fn stagnation_is_noticed() {
    let n = 40;
    let shift: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| if j == (i + 1) % n { 1.0 } else { 0.0 }).collect()).collect();
    let s = setup("gmres", "restart=10");
    let a = sparse(&s.context, &shift);
    let mut b = vec![0.0; n];
    b[0] = 1.0;
    let mut x = vec![0.0; n];
    let outcome = Krylov::default().solve(&s, &a, None, &b, &mut x);
    assert_eq!(outcome, Ok(Outcome::Stopped(Stop::Stagnation)));
    assert!((s.report.borrow().residual_norm - 1.0).abs() < 1e-12);
}

#[test]
fn a_zero_right_hand_side_has_the_zero_solution() {
    for method in &METHODS[1..] {
        for guess in ["zero", "x"] {
            let s = setup(method, &format!("initial_guess={guess}"));
            let a = sparse(&s.context, &grid::<f64>(4, 0.0, 0.0));
            let mut x = vec![1.0; 16];
            let outcome = Krylov::default().solve(&s, &a, None, &[0.0; 16], &mut x);
            assert_eq!(outcome, Ok(Outcome::Converged), "{method} {guess}");
            assert_eq!(x, vec![0.0; 16], "{method} {guess}");
            assert_eq!(s.report.borrow().counts.iterations, 0);
        }
    }
}

#[test]
fn an_exact_guess_costs_one_apply() {
    let rows = grid::<f64>(6, 0.2, 0.0);
    let b = rhs::<f64>(36);
    let truth = dense_solve(&rows, &b);
    for method in &METHODS[1..] {
        let s = setup(method, "initial_guess=x");
        let a = sparse(&s.context, &rows);
        let mut x = truth.clone();
        assert_eq!(Krylov::default().solve(&s, &a, None, &b, &mut x), Ok(Outcome::Converged), "{method}");
        assert_eq!((s.report.borrow().counts.iterations, s.report.borrow().counts.applies), (0, 1), "{method}");
        assert_eq!(x, truth);
    }
}

#[test]
fn a_sequence_is_cheaper_with_memory() {
    let rows = grid::<f64>(20, 0.0, -0.0);
    let b = rhs::<f64>(400);
    let truth = dense_solve(&rows, &b);
    let s = setup("gcrodr", "restart=30 recycle=10 rtol=1e-10");
    let a = sparse(&s.context, &rows);
    let mut solver = Krylov::default();
    let mut applies = Vec::new();
    for _ in 0..3 {
        let mut x = vec![0.0; 400];
        assert_eq!(solver.solve(&s, &a, None, &b, &mut x), Ok(Outcome::Converged));
        assert!(error(&x, &truth) < 1e-8);
        applies.push(s.report.borrow().counts.applies);
    }
    // The matrix did not change: no A U, and the slow modes are known.
    assert_eq!(s.report.borrow().counts.recycle_applies, 0);
    assert!(applies[1] * 3 < applies[0] * 2, "{applies:?}");
    // Other numbers: A U is renewed once, and memory still helps.
    let changed = sparse(&s.context, &grid::<f64>(20, 0.0, 0.01));
    let mut x = vec![0.0; 400];
    assert_eq!(solver.solve(&s, &changed, None, &b, &mut x), Ok(Outcome::Converged));
    assert_eq!(s.report.borrow().counts.recycle_applies, s.report.borrow().recycled.min(10));
    assert!(s.report.borrow().counts.applies < applies[0], "{applies:?}");
    // Forgetting brings the first count back.
    solver.forget();
    assert_eq!(solver.recycled(), 0);
    let mut x = vec![0.0; 400];
    solver.solve(&s, &a, None, &b, &mut x).unwrap();
    assert_eq!(s.report.borrow().counts.applies, applies[0]);
}

#[test]
fn reported_residuals_are_true() {
    let rows = grid::<C64>(8, 0.3, C64::new(0.0, 0.2));
    for (method, options) in [("gmres", "side=left"), ("gmres", "basis=single"), ("gcrodr", "restart=12 recycle=4"), ("bicgstab", ""), ("idr", "")] {
        let s = setup(method, options);
        let a = sparse(&s.context, &rows);
        let m = precond::create(s.context.clone(), &a, "ilu0").unwrap();
        let b = rhs::<C64>(64);
        let mut x = vec![C64::ZERO; 64];
        Krylov::default().solve(&s, &a, Some(&m), &b, &mut x).unwrap();
        let r: f64 = (0..64).map(|i| (b[i] - (0..64).map(|j| rows[i][j] * x[j]).sum::<C64>()).norm_sqr()).sum::<f64>().sqrt();
        let reported = s.report.borrow().residual_norm;
        assert!((r - reported).abs() <= 1e-12 * b.iter().map(|v| v.norm_sqr()).sum::<f64>().sqrt(), "{method} {options}: {r} {reported}");
    }
}

#[test]
fn tolerances_mean_what_they_say() {
    let rows = grid::<f64>(8, 0.2, 0.0);
    let b = rhs::<f64>(64);
    let norm_b = b.iter().map(|v| v * v).sum::<f64>().sqrt();
    let run = |options: &str, x: &mut Vec<f64>| {
        let s = setup("gmres", options);
        let a = sparse(&s.context, &rows);
        let outcome = Krylov::default().solve(&s, &a, None, &b, x);
        assert_eq!(outcome, Ok(Outcome::Converged), "{options}");
        let target = s.report.borrow().target;
        target
    };
    let close = |a: f64, b: f64| (a - b).abs() < 1e-12 * b;
    assert!(close(run("rtol=1e-6", &mut vec![0.0; 64]), 1e-6 * norm_b));
    assert!(close(run("rtol=1e-6 atol=1e-2", &mut vec![0.0; 64]), 1e-2));
    assert!(close(run("reference=none atol=1e-3", &mut vec![0.0; 64]), 1e-3));
    // rtol stays relative to ||b|| whatever the guess, unless the reference is the initial residual.
    let guess = vec![100.0; 64];
    let r0 = (0..64).map(|i| (b[i] - (0..64).map(|j| rows[i][j] * 100.0).sum::<f64>()).powi(2)).sum::<f64>().sqrt();
    assert!(close(run("rtol=1e-6 initial_guess=x", &mut guess.clone()), 1e-6 * norm_b));
    assert!(close(run("rtol=1e-6 initial_guess=x reference=initial", &mut guess.clone()), 1e-6 * r0));
    let s = setup("gmres", "reference=none");
    let a = sparse(&s.context, &rows);
    assert!(matches!(Krylov::default().solve(&s, &a, None, &b, &mut vec![0.0; 64]), Err(Error::State(_))));
}

#[test]
fn scaling_solves_the_same_system() {
    let rows = grid::<f64>(7, 0.2, 0.0);
    let b = rhs::<f64>(49);
    let truth = dense_solve(&rows, &b);
    let left: Vec<f64> = (0..49).map(|i| 1.0 + i as f64).collect();
    let right: Vec<f64> = (0..49).map(|i| 1.0 / (1.0 + (i % 5) as f64)).collect();
    for norm in ["true", "weighted"] {
        for guess in ["zero", "x"] {
            let mut s = setup("gmres", &format!("rtol=1e-11 norm={norm} initial_guess={guess}"));
            s.set_scaling(Some(&left), Some(&right)).unwrap();
            let a = sparse(&s.context, &rows);
            let m = precond::create(s.context.clone(), &a, "ilu0").unwrap();
            let mut x = vec![0.5; 49];
            assert_eq!(Krylov::default().solve(&s, &a, Some(&m), &b, &mut x), Ok(Outcome::Converged), "{norm}");
            assert!(error(&x, &truth) < 1e-9, "{norm} {guess}: {}", error(&x, &truth));
            let r: f64 = (0..49).map(|i| (b[i] - (0..49).map(|j| rows[i][j] * x[j]).sum::<f64>()).powi(2)).sum::<f64>().sqrt();
            assert!((r - s.report.borrow().residual_norm).abs() < 1e-12, "{norm}");
        }
    }
}

/// The Neumann Laplacian: constants on both sides of the nullspace.
#[test]
fn a_nullspace_is_honoured() {
    let n = 20;
    let rows: Vec<Vec<f64>> = (0..n)
        .map(|i: usize| (0..n).map(|j| if i == j { if i == 0 || i == n - 1 { 1.0 } else { 2.0 } } else if i.abs_diff(j) == 1 { -1.0 } else { 0.0 }).collect())
        .collect();
    let b: Vec<f64> = (0..n).map(|i| (i as f64) + 3.0).collect();
    let mean = b.iter().sum::<f64>() / n as f64;
    for method in &METHODS[1..] {
        let s = setup(method, "rtol=1e-10");
        let a = sparse(&s.context, &rows);
        let ones = vec![3.0; n];
        a.set_nullspace(Side::Right, Panel::column(&ones)).unwrap();
        a.set_nullspace(Side::Left, Panel::column(&ones)).unwrap();
        let mut x = vec![0.0; n];
        assert_eq!(Krylov::default().solve(&s, &a, None, &b, &mut x), Ok(Outcome::Converged), "{method}");
        assert!(x.iter().sum::<f64>().abs() < 1e-7, "{method}: the mean of x is {}", x.iter().sum::<f64>());
        // Flux between cells i and i + 1: minus the sum of the projected right-hand side up to i.
        let mut sum = 0.0;
        for i in 0..n - 1 {
            sum += b[i] - mean;
            assert!((x[i] - x[i + 1] - sum).abs() < 1e-6, "{method}: cell {i}");
        }
    }
}

/// Applies a dense matrix by callback; fails or delivers NaN at a given call.
struct Dense {
    rows: Vec<Vec<f64>>,
    calls: Rc<Cell<usize>>,
    fail_at: usize,
    nan_at: usize,
}

impl Apply<f64> for Dense {
    fn apply(&self, _: Trans, x: Panel<f64>, mut y: reknit::linalg::PanelMut<f64>) -> Result<()> {
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() == self.fail_at {
            return Err(Error::Callback { name: "apply", value: 42 });
        }
        for j in 0..x.ncols {
            let y = y.col(j);
            for (v, row) in y.iter_mut().zip(&self.rows) {
                *v = row.iter().zip(x.col(j)).map(|(a, b)| a * b).sum();
            }
            if self.calls.get() == self.nan_at {
                y[3] = f64::NAN;
            }
        }
        Ok(())
    }
}

#[test]
fn failing_and_nonfinite_callbacks_end_the_solve_and_leave_the_solver_usable() {
    let rows = grid::<f64>(8, 0.2, 0.0);
    let b = rhs::<f64>(64);
    let truth = dense_solve(&rows, &b);
    for method in ["gmres", "gcrodr", "bicgstab", "rbicgstab", "idr"] {
        for (fail_at, nan_at) in [(7, usize::MAX), (usize::MAX, 7)] {
            let s = setup(method, "rtol=1e-10");
            let calls = Rc::new(Cell::new(0));
            let host = Dense { rows: rows.clone(), calls: calls.clone(), fail_at, nan_at };
            let a = Operator::new(s.context.clone(), Box::new(Callback::new(64, 64, Box::new(host))));
            let mut solver = Krylov::default();
            let mut x = vec![f64::NAN; 64];
            let failure = solver.solve(&s, &a, None, &b, &mut x).unwrap_err();
            if fail_at == 7 {
                assert_eq!(failure, Error::Callback { name: "apply", value: 42 }, "{method}");
            } else {
                assert!(matches!(&failure, Error::NonFinite(t) if t.contains("position 3")), "{method}: {failure}");
            }
            assert!(x.iter().all(|v| v.is_finite()), "{method}: x is delivered");
            assert_eq!(solver.solve(&s, &a, None, &b, &mut x), Ok(Outcome::Converged), "{method}");
            assert!(error(&x, &truth) < 1e-8);
        }
    }
}

#[test]
fn indefinite_matrices_are_refused_by_cg() {
    let rows = grid::<f64>(6, 0.0, -3.0);
    let (outcome, ..) = solve(&rows, "cg", "", None);
    assert!(matches!(&outcome, Err(Error::Indefinite(t)) if t.contains("p^H A p")), "{outcome:?}");
}

#[test]
fn threads_do_not_change_the_bits() {
    let m = 180;
    let n = m * m;
    let (mut ptr, mut ind, mut values) = (vec![0i64], Vec::new(), Vec::new());
    for c in 0usize..n {
        let (i, j) = (c % m, c / m);
        let mut push = |ok: bool, k: usize, v: f64| if ok { ind.push(k as i64); values.push(v) };
        push(j > 0, c.wrapping_sub(m), -1.0);
        push(i > 0, c.wrapping_sub(1), -1.1);
        push(true, c, 4.2);
        push(i + 1 < m, c + 1, -0.9);
        push(j + 1 < m, c + m, -1.0);
        ptr.push(ind.len() as i64);
    }
    let b = rhs::<f64>(n);
    let mut first: Option<(Vec<f64>, usize)> = None;
    for threads in [1, 2, 7] {
        let s = setup("gcrodr", "restart=20 recycle=6");
        s.context.pool.set_threads(threads);
        let parts = Parts { nrows: n, ncols: n, base: 0, ptr: Box::new(ptr.clone()), ind: Box::new(ind.clone()), values: Box::new(values.clone()), copied: true };
        let a = Operator::new(s.context.clone(), Box::new(Compressed::csr(parts).unwrap()));
        let mut x = vec![0.0; n];
        assert_eq!(Krylov::default().solve(&s, &a, None, &b, &mut x), Ok(Outcome::Converged));
        let iterations = s.report.borrow().counts.iterations;
        match &first {
            None => first = Some((x, iterations)),
            Some((x1, i1)) => assert!(x1.iter().zip(&x).all(|(a, b)| a.to_bits() == b.to_bits()) && *i1 == iterations, "{threads} threads"),
        }
    }
}

/// Where the basis loses orthogonality the kept space is wrong and cycles stall: one pass of
/// Gram-Schmidt without a second fails some of these.
#[test]
fn orthogonality_holds_over_a_long_sequence() {
    let rows = grid::<f64>(14, 0.0, 0.0);
    for options in ["rtol=1e-10", "rtol=1e-10 basis=single restart=30"] {
        let s = setup("gcrodr", options);
        let a = sparse(&s.context, &rows);
        let mut solver = Krylov::default();
        let mut seed = 3;
        for solve in 0..40 {
            let truth: Vec<f64> = (0..196).map(|_| noise(&mut seed)).collect();
            let b: Vec<f64> = rows.iter().map(|row| row.iter().zip(&truth).map(|(a, x)| a * x).sum()).collect();
            let mut x = vec![0.0; 196];
            assert_eq!(solver.solve(&s, &a, None, &b, &mut x), Ok(Outcome::Converged), "{options}: solve {solve}");
            assert!(error(&x, &truth) < 1e-7, "{options}: solve {solve}");
        }
    }
}
