//! The method "auto" and guesses from earlier solutions. Residuals are recomputed here from plain rows.

use num_complex::Complex;
use reknit::krylov::{Krylov, Outcome, Setup};
use reknit::operator::callback::{Apply, Callback};
use reknit::operator::sparse::{Compressed, Parts};
use reknit::operator::{Operator, Trans};
use reknit::linalg::{Panel, PanelMut};
use reknit::runtime::{Context, Result, Scalar};
use std::sync::Arc;

type C64 = Complex<f64>;

#[allow(clippy::arc_with_non_send_sync)]
fn context() -> Arc<Context> {
    Arc::new(Context::new())
}

/// A sparse matrix by rows.
#[derive(Clone)]
struct Rows<T>(Vec<Vec<(usize, T)>>);

impl<T: Scalar> Rows<T> {
    fn times(&self, x: &[T]) -> Vec<T> {
        self.0.iter().map(|row| row.iter().fold(T::ZERO, |sum, (j, v)| sum + *v * x[*j])).collect()
    }

    fn operator(&self, context: &Arc<Context>) -> Operator<T> {
        let mut ptr = vec![0i64];
        let (mut ind, mut values) = (Vec::new(), Vec::new());
        for row in &self.0 {
            ind.extend(row.iter().map(|(j, _)| *j as i64));
            values.extend(row.iter().map(|(_, v)| *v));
            ptr.push(ind.len() as i64);
        }
        let n = self.0.len();
        let parts = Parts { nrows: n, ncols: n, base: 0, ptr: Box::new(ptr), ind: Box::new(ind), values: Box::new(values), copied: true };
        Operator::new(context.clone(), Box::new(Compressed::csr(parts).unwrap()))
    }

    fn values(&self) -> Vec<T> {
        self.0.iter().flatten().map(|(_, v)| *v).collect()
    }

    fn relative_residual(&self, b: &[T], x: &[T]) -> f64 {
        let square = |v: &[T]| v.iter().map(|v| v.modulus().powi(2)).sum::<f64>();
        let r: Vec<T> = b.iter().zip(self.times(x)).map(|(b, ax)| *b - ax).collect();
        (square(&r) / square(b)).sqrt()
    }
}

/// -div(c grad u) + wind . grad u + shift on an m x m grid (times m^2), c varying in space by `contrast`.
fn plate<T: Scalar>(m: usize, contrast: f64, wind: f64, shift: T) -> Rows<T> {
    let c = |i: f64, j: f64| (contrast * (7.0 * i / m as f64).sin() * (5.0 * j / m as f64).cos()).exp();
    let mut rows = Vec::new();
    for j in 0..m {
        for i in 0..m {
            let (x, y) = (i as f64, j as f64);
            let sides = [(0i64, -1i64, c(x, y - 0.5)), (-1, 0, c(x - 0.5, y)), (1, 0, c(x + 0.5, y)), (0, 1, c(x, y + 0.5))];
            let mut row = Vec::new();
            for (dx, dy, k) in sides {
                let (p, q) = (i as i64 + dx, j as i64 + dy);
                if (0..m as i64).contains(&p) && (0..m as i64).contains(&q) {
                    row.push((q as usize * m + p as usize, T::from_f64(-k + wind * (dx + dy) as f64)));
                }
            }
            row.push((j * m + i, T::from_f64(sides.iter().map(|s| s.2).sum()) + shift));
            row.sort_by_key(|entry| entry.0);
            rows.push(row);
        }
    }
    Rows(rows)
}

fn rhs<T: Scalar>(n: usize, t: f64) -> Vec<T> {
    (0..n).map(|i| T::from_f64((0.01 * i as f64 + t).sin() + 0.3)).collect()
}

struct Step {
    iterations: usize,
    method: &'static str,
    preconditioner: &'static str,
    rebuilds: usize,
    x: Vec<u64>,
}

/// Solves a sequence whose values are rewritten; checks each solution.
fn run<T: Scalar>(options: &str, systems: &[Rows<T>], same_b: bool, bits: impl Fn(&T) -> u64) -> Vec<Step> {
    let mut s = Setup::new(context(), "auto").unwrap();
    s.options.set_all(options).unwrap();
    let a = systems[0].operator(&s.context);
    let mut solver = Krylov::default();
    let mut steps = Vec::new();
    for (t, system) in systems.iter().enumerate() {
        if t > 0 {
            a.set_values(&system.values()).unwrap();
        }
        let b = rhs::<T>(system.0.len(), if same_b { 0.0 } else { t as f64 });
        let mut x = vec![T::ZERO; b.len()];
        assert_eq!(solver.solve(&s, &a, None, &b, &mut x), Ok(Outcome::Converged), "{options}: system {t}");
        assert!(system.relative_residual(&b, &x) < 1.1 * s.options.real("rtol"), "{options}: system {t}");
        let report = s.report.borrow();
        steps.push(Step {
            iterations: report.counts.iterations,
            method: report.method,
            preconditioner: report.preconditioner,
            rebuilds: report.rebuilds,
            x: x.iter().map(&bits).collect(),
        });
    }
    steps
}

fn real(v: &f64) -> u64 {
    v.to_bits()
}

#[test]
fn a_factor_is_kept_while_the_matrix_drifts_slowly() {
    let systems: Vec<_> = (0..10).map(|t| plate(60, 1.0 + 0.002 * t as f64, 0.0, 0.0)).collect();
    let steps = run("", &systems, false, real);
    let last = steps.last().unwrap();
    assert_eq!((last.method, last.preconditioner), ("cg", "llt precision=single"));
    assert!(last.rebuilds < 5, "{}", last.rebuilds);
    assert!(steps.iter().all(|s| s.iterations < 12));
}

#[test]
fn a_factor_is_not_kept_where_systems_have_nothing_in_common() {
    let systems: Vec<_> = (0..12).map(|t| plate(60, if t % 2 == 0 { 4.0 } else { -4.0 }, 0.0, 0.0)).collect();
    let steps = run("", &systems, false, real);
    assert!(steps.last().unwrap().rebuilds >= 10, "{}", steps.last().unwrap().rebuilds);
}

#[test]
fn an_unchanged_matrix_is_factored_once() {
    let systems = vec![plate(50, 1.0, 0.3, 0.0); 6];
    let steps = run("initial_guess=zero", &systems, false, real);
    let last = steps.last().unwrap();
    assert_eq!((last.method, last.preconditioner, last.rebuilds), ("gcrodr", "lu precision=single", 1));
}

#[test]
fn every_kind_of_matrix_is_solved() {
    let first = |steps: Vec<Step>| (steps[0].method, steps[0].preconditioner);
    // Hermitian but indefinite: no Cholesky factor.
    let (method, with) = first(run("", &[plate(30, 0.5, 0.0, -0.5)], false, real));
    assert!(method == "gcrodr" && with.starts_with("lu"), "{method} {with}");
    // Complex symmetric, and Hermitian with complex entries.
    let (method, _) = first(run("", &[plate(30, 0.5, 0.0, C64::new(-0.2, 0.4))], false, |v: &C64| v.re.to_bits()));
    assert_eq!(method, "gcrodr");
    let mut hermitian = plate(30, 0.5, 0.0, C64::new(0.1, 0.0));
    for i in 0..hermitian.0.len() {
        for entry in &mut hermitian.0[i] {
            entry.1 *= C64::from_polar(1.0, 0.3 * (i as f64 - entry.0 as f64));
        }
    }
    let (method, with) = first(run("", &[hermitian], false, |v: &C64| v.re.to_bits()));
    assert_eq!((method, with), ("cg", "llt precision=single"));
    // Condition number beyond single precision.
    let mut stiff = plate(30, 0.0, 0.0, 0.0);
    for (i, row) in stiff.0.iter_mut().enumerate() {
        for entry in row.iter_mut() {
            entry.1 *= 10f64.powi(((i % 3) + (entry.0 % 3)) as i32 * 4 - 8);
        }
    }
    run("rtol=1e-6", &[stiff], false, real);
    // Single precision scalars.
    let single = plate::<f32>(20, 0.5, 0.0, 0.1);
    let mut s = Setup::new(context(), "auto").unwrap();
    s.options.set_all("rtol=1e-4").unwrap();
    let (b, mut x) = (rhs::<f32>(400, 0.0), vec![0f32; 400]);
    assert_eq!(Krylov::default().solve(&s, &single.operator(&s.context), None, &b, &mut x), Ok(Outcome::Converged));
    assert!(single.relative_residual(&b, &x) < 2e-4);
}

#[test]
fn lost_symmetry_is_noticed() {
    let systems: Vec<_> = (0..6).map(|t| plate(40, 0.5, if t < 2 { 0.0 } else { 0.5 }, 0.0)).collect();
    let steps = run("", &systems, false, real);
    assert_eq!(steps[1].method, "cg");
    assert_eq!(steps[5].method, "gcrodr");
}

/// In three dimensions factors fill in: they are not even tried.
#[test]
fn incomplete_factors_are_chosen_where_complete_ones_fill_in() {
    let m = 24usize;
    let mut rows = Vec::new();
    for p in 0..m * m * m {
        let (i, j, k) = (p % m, p / m % m, p / (m * m));
        let mut row = vec![(p, 6.0)];
        for (inside, q) in [(i > 0, p.wrapping_sub(1)), (i + 1 < m, p + 1), (j > 0, p.wrapping_sub(m)), (j + 1 < m, p + m), (k > 0, p.wrapping_sub(m * m)), (k + 1 < m, p + m * m)] {
            if inside {
                row.push((q, -1.0));
            }
        }
        row.sort_by_key(|entry| entry.0);
        rows.push(row);
    }
    let steps = run("", &vec![Rows(rows); 2], false, real);
    assert_eq!((steps[0].method, steps[0].preconditioner), ("cg", "ic0"));
}

#[test]
fn a_run_repeats_bit_for_bit() {
    let systems: Vec<_> = (0..8).map(|t| plate(40, 1.0 + 0.05 * t as f64, 0.2, 0.0)).collect();
    let (first, second) = (run("", &systems, false, real), run("", &systems, false, real));
    assert!(first.iter().zip(&second).all(|(a, b)| a.x == b.x && a.iterations == b.iterations));
}

#[test]
fn callbacks_get_the_method_that_their_declaration_allows() {
    struct Multiply(Rows<f64>);
    impl Apply<f64> for Multiply {
        fn apply(&self, _: Trans, x: Panel<f64>, mut y: PanelMut<f64>) -> Result<()> {
            (0..x.ncols).for_each(|j| y.col(j).copy_from_slice(&self.0.times(x.col(j))));
            Ok(())
        }
    }
    for hermitian in [false, true] {
        let rows = plate(20, 0.5, 0.0, 0.1);
        let s = Setup::new(context(), "auto").unwrap();
        let a = Operator::new(s.context.clone(), Box::new(Callback::new(400, 400, Box::new(Multiply(rows.clone())))));
        a.declare_hermitian(hermitian);
        let (b, mut x) = (rhs(400, 0.0), vec![0.0; 400]);
        assert_eq!(Krylov::default().solve(&s, &a, None, &b, &mut x), Ok(Outcome::Converged));
        assert!(rows.relative_residual(&b, &x) < 1.1e-8);
        assert_eq!(s.report.borrow().method, if hermitian { "cg" } else { "gcrodr" });
    }
    // A declaration that was wrong: CG gives up, recycling takes over.
    let rows = plate(20, 0.5, 0.0, -0.5);
    let s = Setup::new(context(), "auto").unwrap();
    let a = Operator::new(s.context.clone(), Box::new(Callback::new(400, 400, Box::new(Multiply(rows.clone())))));
    a.declare_hermitian(true);
    let (b, mut x) = (rhs(400, 0.0), vec![0.0; 400]);
    assert_eq!(Krylov::default().solve(&s, &a, None, &b, &mut x), Ok(Outcome::Converged));
    assert_eq!(s.report.borrow().method, "gcrodr");
}

/// A right-hand side in the span of earlier ones, the matrix unchanged: nothing is left to iterate.
#[test]
fn a_guess_from_earlier_solutions_is_exact_in_their_span() {
    let rows = plate(15, 0.5, 0.1, 0.0);
    for method in ["gmres", "bicgstab", "gcrodr"] {
        let mut s = Setup::new(context(), method).unwrap();
        s.options.set_all("initial_guess=project window=3 rtol=1e-10").unwrap();
        let a = rows.operator(&s.context);
        let mut solver = Krylov::default();
        let sides: Vec<Vec<f64>> = (0..3).map(|t| rhs(225, t as f64 * t as f64)).collect();
        let mut x = vec![0.0; 225];
        for b in &sides {
            assert_eq!(solver.solve(&s, &a, None, b, &mut x), Ok(Outcome::Converged));
            assert!(s.report.borrow().counts.iterations > 3);
        }
        s.options.set_all("rtol=1e-8").unwrap();
        let b: Vec<f64> = (0..225).map(|i| 2.0 * sides[0][i] - 0.5 * sides[1][i] + 3.0 * sides[2][i]).collect();
        assert_eq!(solver.solve(&s, &a, None, &b, &mut x), Ok(Outcome::Converged));
        assert_eq!(s.report.borrow().counts.iterations, 0, "{method}");
        assert!(rows.relative_residual(&b, &x) < 1e-8);
    }
}
