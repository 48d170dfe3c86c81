//! The method "auto" and guesses from earlier solutions. Residuals are recomputed here from plain rows.

use num_complex::Complex;
use reknit::krylov::{Krylov, Outcome, Setup};
use reknit::operator::callback::{Apply, Callback, Refresh};
use reknit::operator::sparse::{Compressed, Parts};
use reknit::operator::{precond, Operator, Trans};
use reknit::linalg::{Panel, PanelMut};
use reknit::runtime::profile::Phase;
use reknit::runtime::{Context, Result, Scalar};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
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

struct Multiply(Rows<f64>);

impl Apply<f64> for Multiply {
    fn apply(&self, _: Trans, x: Panel<f64>, mut y: PanelMut<f64>) -> Result<()> {
        (0..x.ncols).for_each(|j| y.col(j).copy_from_slice(&self.0.times(x.col(j))));
        Ok(())
    }
}

/// A matrix and a complete factor of it as a user's callbacks; the factor is made when it is asked for.
struct Hosts {
    rows: Rc<RefCell<Rows<f64>>>,
    factor: Rc<RefCell<Option<Operator<f64>>>>,
    refreshes: Rc<Cell<usize>>,
}

impl Hosts {
    fn new(rows: Rows<f64>) -> Self {
        Hosts { rows: Rc::new(RefCell::new(rows)), factor: Rc::default(), refreshes: Rc::default() }
    }

    fn operators(&self, host: &Arc<Context>) -> (Operator<f64>, Operator<f64>) {
        struct Times(Rc<RefCell<Rows<f64>>>);
        impl Apply<f64> for Times {
            fn apply(&self, _: Trans, x: Panel<f64>, mut y: PanelMut<f64>) -> Result<()> {
                (0..x.ncols).for_each(|j| y.col(j).copy_from_slice(&self.0.borrow().times(x.col(j))));
                Ok(())
            }
        }
        struct Solve(Rc<RefCell<Option<Operator<f64>>>>);
        impl Apply<f64> for Solve {
            fn apply(&self, trans: Trans, x: Panel<f64>, y: PanelMut<f64>) -> Result<()> {
                let factor = self.0.borrow();
                let factor = factor.as_ref().expect("refreshed before the first use");
                factor.apply(&factor.context().pool, trans, x, y)
            }
        }
        struct Make {
            rows: Rc<RefCell<Rows<f64>>>,
            factor: Rc<RefCell<Option<Operator<f64>>>>,
            refreshes: Rc<Cell<usize>>,
        }
        impl Refresh for Make {
            fn refresh(&self) -> Result<()> {
                self.refreshes.set(self.refreshes.get() + 1);
                let context = context();
                let a = self.rows.borrow().operator(&context);
                *self.factor.borrow_mut() = Some(precond::create(context, &a, "lu")?);
                Ok(())
            }
        }
        let n = self.rows.borrow().0.len();
        let a = Operator::new(host.clone(), Box::new(Callback::new(n, n, Box::new(Times(self.rows.clone())))));
        let m = Operator::new(host.clone(), Box::new(Callback::new(n, n, Box::new(Solve(self.factor.clone())))));
        let make = Make { rows: self.rows.clone(), factor: self.factor.clone(), refreshes: self.refreshes.clone() };
        m.set_refresh(Some(Box::new(make))).unwrap();
        (a, m)
    }
}

/// Solves a sequence with the user's own factor, refreshed by auto or before each solve `by_hand`; the iterations of each
/// system, and the refreshes.
fn lagged(steps: usize, drift: f64, options: &str, by_hand: bool) -> (Vec<usize>, usize) {
    let at = |t: usize| plate(30, 1.0 + drift * t as f64, 0.2, 0.0);
    let hosts = Hosts::new(at(0));
    let mut s = Setup::new(context(), "auto").unwrap();
    s.options.set_all(options).unwrap();
    let (a, m) = hosts.operators(&s.context);
    let mut solver = Krylov::default();
    let (b, mut x) = (rhs(900, 0.0), vec![0.0; 900]);
    let mut iterations = Vec::new();
    for t in 0..steps {
        *hosts.rows.borrow_mut() = at(t);
        a.changed().unwrap();
        if by_hand && t > 0 {
            m.changed().unwrap();
        }
        assert_eq!(solver.solve(&s, &a, Some(&m), &b, &mut x), Ok(Outcome::Converged));
        assert!(at(t).relative_residual(&b, &x) < 1.1e-8);
        iterations.push(s.report.borrow().counts.iterations);
    }
    (iterations, hosts.refreshes.get())
}

#[test]
fn a_preconditioner_of_the_users_is_refreshed_when_that_pays() {
    // Far too dear, free of charge, and in between.
    let guess = "initial_guess=zero";
    let (aged, few) = lagged(12, 0.1, &format!("{guess} setup_cost=1e4"), false);
    let (fresh, all) = lagged(12, 0.1, &format!("{guess} setup_cost=0"), false);
    let (between, some) = lagged(12, 0.1, &format!("{guess} setup_cost=10"), false);
    assert_eq!(few, 1, "{aged:?}");
    // The old one is tried again from time to time.
    assert!(all >= 10, "{all} refreshes, {fresh:?}");
    assert!(fresh.iter().filter(|i| **i > 2).count() <= 5, "{fresh:?}");
    assert!(some > 1 && some < 8, "{some} refreshes, {between:?}");
    let cost = |iterations: &[usize], refreshes: usize| iterations.iter().sum::<usize>() + 10 * refreshes;
    let (best, worst) = (cost(&aged, few).min(cost(&fresh, all)), cost(&between, some));
    assert!(worst < best, "{worst} with {some} refreshes, {best} by the better of always and never");
    // A matrix that only seems to change needs none, by whatever clock.
    assert_eq!(lagged(6, 0.0, "policy_costs=measured", false).1, 1);
    // Where the caller refreshes it before each solve, nobody does so twice.
    let (fresh, all) = lagged(6, 0.1, &format!("{guess} setup_cost=0"), true);
    assert_eq!(all, 6, "{fresh:?}");
    assert!(fresh.iter().all(|i| *i <= 2), "{fresh:?}");
}

/// Memory may cost a little, but not for long: systems that have nothing in common.
#[test]
fn memory_that_does_not_pay_is_put_aside() {
    let systems: Vec<Rows<f64>> = (0..24).map(|t| plate(24, if t % 2 == 0 { 3.0 } else { -3.0 } + 0.7 * (t * t % 7) as f64, 0.4 * (t % 5) as f64, 0.0)).collect();
    // Products count as 35 visits of a vector, what `auto` takes a callback to cost, beside those of the method itself.
    let work = |method: &str| {
        let mut s = Setup::new(context(), method).unwrap();
        s.options.set_all("initial_guess=zero profile=on").unwrap();
        let mut solver = Krylov::default();
        let mut x = vec![0.0; 576];
        let mut bytes = 0;
        for (t, rows) in systems.iter().enumerate() {
            let a = Operator::new(s.context.clone(), Box::new(Callback::new(576, 576, Box::new(Multiply(rows.clone())))));
            let b = rhs(576, t as f64);
            assert_eq!(solver.solve(&s, &a, None, &b, &mut x), Ok(Outcome::Converged));
            assert!(rows.relative_residual(&b, &x) < 1.1e-8);
            let report = s.report.borrow();
            bytes += report.profile.as_ref().unwrap().of(Phase::Solve).work.bytes + 35 * 8 * 576 * report.counts.applies as u64;
        }
        bytes
    };
    let (auto, with, without) = (work("auto"), work("gcrodr"), work("gmres"));
    println!("auto {auto}, gcrodr {with}, gmres {without}");
    // What it tries out in between has its price.
    assert!(auto as f64 <= 1.15 * without.min(with) as f64, "auto {auto}, with memory {with}, without {without}");
    assert!(auto < without, "auto {auto}, without {without}");
}

/// -Laplace u on an m x m x m grid, a little different each time.
fn block(m: usize, t: f64) -> Rows<f64> {
    let at = |i: usize, j: usize, k: usize| (k * m + j) * m + i;
    let mut rows = Vec::new();
    for (k, j, i) in (0..m).flat_map(|k| (0..m).flat_map(move |j| (0..m).map(move |i| (k, j, i)))) {
        let mut row = vec![(at(i, j, k), 6.0 + 0.01 * t)];
        for (inside, there) in [(i > 0, (i.wrapping_sub(1), j, k)), (i + 1 < m, (i + 1, j, k)), (j > 0, (i, j.wrapping_sub(1), k)), (j + 1 < m, (i, j + 1, k)), (k > 0, (i, j, k.wrapping_sub(1))), (k + 1 < m, (i, j, k + 1))] {
            if inside {
                row.push((at(there.0, there.1, there.2), -1.0));
            }
        }
        row.sort_by_key(|entry| entry.0);
        rows.push(row);
    }
    Rows(rows)
}

#[test]
fn a_long_block_gets_multigrid() {
    let m = 56;
    let s = Setup::new(context(), "auto").unwrap();
    let mut solver = Krylov::default();
    let mut x = vec![0.0; m * m * m];
    for t in 0..2 {
        let rows = block(m, t as f64);
        let a = rows.operator(&s.context);
        let b = rhs(m * m * m, t as f64);
        assert_eq!(solver.solve(&s, &a, None, &b, &mut x), Ok(Outcome::Converged));
        assert!(rows.relative_residual(&b, &x) < 1.1e-8);
    }
    assert_eq!((s.report.borrow().method, s.report.borrow().preconditioner), ("cg", "amg precision=single"));
    let text = solver.explain(&s);
    assert!(text.contains("multigrid") && text.contains("in use") && text.contains("amg precision=single"), "{text}");
}

#[test]
fn the_report_names_attempts_and_costs() {
    let systems: Vec<_> = (0..3).map(|t| plate::<f64>(40, 1.0 + 0.05 * t as f64, 0.2, 0.0)).collect();
    let s = Setup::new(context(), "auto").unwrap();
    let mut solver = Krylov::default();
    let mut x = vec![0.0; 1600];
    for rows in &systems {
        let a = rows.operator(&s.context);
        assert_eq!(solver.solve(&s, &a, None, &rhs(1600, 0.0), &mut x), Ok(Outcome::Converged));
    }
    let text = solver.explain(&s);
    let report = s.report.borrow();
    for words in [
        "1600 rows, 7840 entries, not Hermitian".to_string(),
        "complete factors".to_string(),
        format!("attempt 1: {} with {}", report.method, report.preconditioner),
        format!("{} iterations: converged", report.counts.iterations),
    ] {
        assert!(text.contains(&words), "'{words}' is not in\n{text}");
    }
}

#[test]
fn callbacks_get_the_method_that_their_declaration_allows() {
    for hermitian in [false, true] {
        let rows = plate(20, 0.5, 0.0, 0.1);
        let s = Setup::new(context(), "auto").unwrap();
        let a = Operator::new(s.context.clone(), Box::new(Callback::new(400, 400, Box::new(Multiply(rows.clone())))));
        a.declare_hermitian(hermitian);
        let (b, mut x) = (rhs(400, 0.0), vec![0.0; 400]);
        assert_eq!(Krylov::default().solve(&s, &a, None, &b, &mut x), Ok(Outcome::Converged));
        assert!(rows.relative_residual(&b, &x) < 1.1e-8);
        assert_eq!(s.report.borrow().method, if hermitian { "rcg" } else { "gcrodr" });
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
    for (method, guess) in [("gmres", "project"), ("bicgstab", "project"), ("gcrodr", "project"), ("gmres", "pod"), ("bicgstab", "pod")] {
        let mut s = Setup::new(context(), method).unwrap();
        s.options.set_all(&format!("initial_guess={guess} window=3 rtol=1e-10")).unwrap();
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

/// Solutions in the span of three vectors, under matrices that change: a guess costs as many applies as there are
/// solutions in the window, or modes, and leaves nothing to iterate.
fn guesses_in_a_span_of_three<T: Scalar>(tight: f64, rtol: f64) {
    let m = 12;
    let parts: Vec<Vec<T>> = (0..3)
        .map(|k| (0..m * m).map(|i| T::from_parts((0.1 * (k + 1) as f64 * i as f64).sin(), if T::IS_COMPLEX { (0.3 * (i * k) as f64).cos() } else { 0.0 })).collect())
        .collect();
    for (guess, basis) in [("project", 6), ("pod", 3)] {
        let mut s = Setup::new(context(), "gmres").unwrap();
        s.options.set_all(&format!("initial_guess={guess} window=6 restart=150")).unwrap();
        let mut solver = Krylov::<T>::default();
        let mut solve = |t: usize, a: &Operator<T>, rows: &Rows<T>| {
            s.options.set_all(&format!("rtol={:e}", if t < 3 { tight } else { rtol })).unwrap();
            let mix = |k: usize| T::from_f64(1.0 + (t as f64 * (k + 1) as f64).cos());
            let truth: Vec<T> = (0..m * m).map(|i| (0..3).fold(T::ZERO, |sum, k| sum + mix(k) * parts[k][i])).collect();
            let (b, mut x) = (rows.times(&truth), vec![T::ZERO; m * m]);
            assert_eq!(solver.solve(&s, a, None, &b, &mut x), Ok(Outcome::Converged), "{guess} {t}");
            assert!(rows.relative_residual(&b, &x) < 1.1 * rtol, "{guess} {t}: {:e}", rows.relative_residual(&b, &x));
            let counts = s.report.borrow().counts;
            (counts.iterations, counts.applies)
        };
        let system = |t: usize| plate::<T>(m, 0.5, 0.1, T::from_f64(0.2 + 0.1 * t as f64));
        let context = context();
        let mut counts = Vec::new();
        for t in 0..10 {
            let rows = system(t);
            counts.push(solve(t, &rows.operator(&context), &rows));
        }
        // The last two stay with their matrix.
        let rows = system(10);
        let a = rows.operator(&context);
        (10..13).for_each(|t| counts.push(solve(t, &a, &rows)));
        println!("{guess}: {counts:?}");
        assert!(counts[..3].iter().all(|(iterations, _)| *iterations > 3), "{guess}: {counts:?}");
        // A true residual stands beside the images.
        assert!(counts[6..11].iter().all(|counts| *counts == (0, basis + 1)), "{guess}: {counts:?}");
        assert!(counts[11..].iter().all(|counts| *counts == (0, 2)), "{guess}: {counts:?}");
        // A solver that is loaded goes on as if nothing had happened; images of plain solutions it makes again.
        let mut bytes = vec![0; solver.saved_len(&s).unwrap()];
        solver.save(&s, &mut bytes).unwrap();
        let mut loaded = Krylov::<T>::loaded(&s, &a, None, &bytes).unwrap();
        let b = rhs::<T>(m * m, 0.4);
        let results = [&mut solver, &mut loaded].map(|solver| {
            let mut x = vec![T::ZERO; m * m];
            assert_eq!(solver.solve(&s, &a, None, &b, &mut x), Ok(Outcome::Converged), "{guess}");
            let counts = s.report.borrow().counts;
            (x, counts.iterations, counts.applies)
        });
        assert!(results[0].0 == results[1].0 && results[0].1 == results[1].1, "{guess}");
        assert_eq!(results[1].2 - results[0].2, if guess == "pod" { 0 } else { basis - 1 });
    }
}

#[test]
fn modes_are_fewer_than_solutions_and_as_good() {
    guesses_in_a_span_of_three::<f64>(1e-12, 1e-8);
    guesses_in_a_span_of_three::<C64>(1e-12, 1e-8);
    guesses_in_a_span_of_three::<f32>(1e-6, 1e-3);
}
