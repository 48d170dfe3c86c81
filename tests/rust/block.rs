//! Block solves: solutions are chosen first, so the truth is known; counts of calls, columns and sums are taken in
//! the callbacks.

mod support;

use num_complex::Complex;
use reknit::krylov::options::METHODS;
use reknit::krylov::{Krylov, Outcome, Setup};
use reknit::linalg::{Panel, PanelMut};
use reknit::operator::callback::{Apply, Callback};
use reknit::operator::{precond, Operator, Trans};
use reknit::runtime::context::{Reduce, Reduction};
use reknit::runtime::monitor::{Monitor, Progress, Wish};
use reknit::runtime::{Error, Result, Scalar, Stop};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use support::{context, darcy, error, numbers, Matrix, C64};

/// Right-hand sides for chosen solutions, side by side.
fn sides<T: Scalar>(matrix: &Matrix<T>, truth: &[Vec<T>]) -> Vec<T> {
    truth.iter().flat_map(|x| matrix.times(x)).collect()
}

fn solve<T: Scalar>(solver: &mut Krylov<T>, setup: &Setup, a: &Operator<T>, m: Option<&Operator<T>>, b: &[T], x: &mut [T]) -> Result<Outcome> {
    let (n, count) = (a.nrows(), b.len() / a.nrows());
    solver.solve_block(setup, a, m, Panel::packed(b, n, count), PanelMut::packed(x, n, count))
}

fn methods() -> impl Iterator<Item = &'static str> {
    METHODS.iter().copied()
}

/// A matrix that the method is for.
fn matrix_for<T: Scalar>(method: &str) -> Matrix<T> {
    let shift = if method.starts_with("coc") && T::IS_COMPLEX { T::from_parts(-0.3, 0.2) } else { T::from_f64(0.05) };
    match method {
        "gmres" | "gcrodr" | "bicgstab" | "rbicgstab" | "idr" => Matrix::grid(17, |_, _| [4.1, -1.4, -0.6, -1.2, -0.8].map(T::from_f64)),
        _ => Matrix::laplacian(17, shift),
    }
}

fn every_method_solves<T: Scalar>(tolerance: f64, rtol: &str, methods: impl Iterator<Item = &'static str>) {
    for method in methods {
        let matrix = matrix_for::<T>(method);
        let n = matrix.n();
        let context = context();
        let mut setup = Setup::new(context.clone(), method).unwrap();
        setup.options.set_all(rtol).unwrap();
        let a = matrix.operator(&context);
        let m = (method != "auto").then(|| precond::create(context.clone(), &a, "jacobi").unwrap());
        let mut solver = Krylov::default();
        // More columns, fewer, and more again: what was learned stays with the column.
        for (round, count) in [3usize, 1, 5].into_iter().enumerate() {
            let truth: Vec<Vec<T>> = (0..count).map(|j| numbers(n, &mut ((10 * round + j + 1) as u64))).collect();
            let mut x = vec![T::from_f64(f64::NAN); n * count];
            let outcome = solve(&mut solver, &setup, &a, m.as_ref(), &sides(&matrix, &truth), &mut x);
            assert_eq!(outcome, Ok(Outcome::Converged), "{method} {} round {round}", T::KIND.name());
            for (j, truth) in truth.iter().enumerate() {
                let wrong = error(&x[j * n..][..n], truth);
                assert!(wrong < tolerance, "{method} {} column {j} of {count}: error {wrong}", T::KIND.name());
            }
            let ends = setup.ends.borrow();
            assert_eq!(ends.len(), count);
            let longest = ends.iter().map(|end| end.iterations).max().unwrap();
            assert_eq!(setup.report.borrow().counts.iterations, longest, "{method}");
            assert!(setup.history.borrow().len() > longest, "{method}");
        }
    }
}

#[test]
fn every_method_solves_for_every_scalar() {
    every_method_solves::<f64>(1e-6, "rtol=1e-9", methods());
    every_method_solves::<C64>(1e-6, "rtol=1e-9", methods());
    every_method_solves::<f32>(1e-2, "rtol=1e-4", methods());
    every_method_solves::<Complex<f32>>(1e-2, "rtol=1e-4", methods());
}

const BLOCKS: [&str; 3] = ["cg", "gmres", "gcrodr"];

#[test]
fn block_methods_solve_for_every_scalar_and_side() {
    every_method_solves::<f64>(1e-6, "rtol=1e-9 blocking=block", ["cg"].into_iter());
    every_method_solves::<C64>(1e-6, "rtol=1e-9 blocking=block", ["cg"].into_iter());
    every_method_solves::<f32>(1e-2, "rtol=1e-4 blocking=block", ["cg"].into_iter());
    every_method_solves::<Complex<f32>>(1e-2, "rtol=1e-4 blocking=block", ["cg"].into_iter());
    for side in ["right", "left", "flexible"] {
        every_method_solves::<f64>(1e-6, &format!("rtol=1e-9 blocking=block restart=20 side={side}"), BLOCKS[1..].iter().copied());
        every_method_solves::<C64>(1e-6, &format!("rtol=1e-9 blocking=block restart=20 side={side}"), BLOCKS[1..].iter().copied());
        every_method_solves::<f32>(1e-2, &format!("rtol=1e-4 blocking=block restart=20 side={side}"), BLOCKS[1..].iter().copied());
        every_method_solves::<Complex<f32>>(1e-2, &format!("rtol=1e-4 blocking=block side={side}"), BLOCKS[1..].iter().copied());
    }
}

/// One space for all right-hand sides takes fewer steps than one for each.
#[test]
fn a_common_space_takes_fewer_steps() {
    let matrix = darcy::<f64>(24, 0.3);
    let n = matrix.n();
    let context = context();
    let a = matrix.operator(&context);
    let m = precond::create(context.clone(), &a, "ic0").unwrap();
    let truth: Vec<Vec<f64>> = (0..6).map(|j| numbers(n, &mut (j + 1))).collect();
    let b = sides(&matrix, &truth);
    for method in BLOCKS {
        let steps = ["pseudo", "block"].map(|blocking| {
            let mut setup = Setup::new(context.clone(), method).unwrap();
            let more = if method == "cg" { "" } else { "restart=100 diagnostics=on" };
            setup.options.set_all(&format!("blocking={blocking} {more}")).unwrap();
            let mut x = vec![0.0; 6 * n];
            assert_eq!(solve(&mut Krylov::default(), &setup, &a, Some(&m), &b, &mut x), Ok(Outcome::Converged));
            assert!((0..6).all(|j| error(&x[j * n..][..n], &truth[j]) < 1e-5));
            let report = setup.report.borrow();
            assert!(report.diagnostics.orthogonality_loss < 1e-13, "{}", report.diagnostics.orthogonality_loss);
            report.counts.iterations
        });
        println!("{method}: {steps:?}");
        assert!(steps[1] * 3 < steps[0] * 2, "{method}: {steps:?}");
    }
}

/// Right-hand sides that depend on each other, are equal, zero, or lie in the recycled space.
#[test]
fn dependent_right_hand_sides_are_solved_with_narrow_blocks() {
    for method in BLOCKS {
        let matrix = darcy::<f64>(20, 0.3);
        let n = matrix.n();
        let context = context();
        let (a, calls) = counted(&context, &matrix, 0);
        let mut setup = Setup::new(context.clone(), method).unwrap();
        setup.options.set_all("blocking=block rtol=1e-9").unwrap();
        let [u, v]: [Vec<f64>; 2] = [1, 2].map(|seed| numbers(n, &mut { seed }));
        let mix = |a: f64, b: f64| u.iter().zip(&v).map(|(u, v)| a * u + b * v).collect::<Vec<_>>();
        let truth = [mix(1.0, 0.0), mix(1.0, 0.0), mix(0.0, 1.0), mix(3.0, -2.0), mix(0.0, 0.0), mix(1e-6, 1e6)];
        let b = sides(&matrix, &truth);
        let mut solver = Krylov::default();
        for round in 0..2 {
            let mut x = vec![f64::NAN; 6 * n];
            calls.borrow_mut().clear();
            let outcome = solve(&mut solver, &setup, &a, None, &b, &mut x);
            assert_eq!(outcome, Ok(Outcome::Converged), "{method} round {round}");
            for (j, truth) in truth.iter().enumerate() {
                let scale: f64 = truth.iter().map(|v| v.abs()).fold(1e-300, f64::max);
                let wrong = x[j * n..][..n].iter().zip(truth).map(|(x, t)| (x - t).abs()).fold(0.0, f64::max);
                assert!(wrong <= 1e-5 * scale, "{method} round {round} column {j}: {wrong}");
            }
            // Two directions only: most products are of two columns.
            let two = calls.borrow().iter().filter(|columns| **columns <= 2).count();
            assert!(2 * two > calls.borrow().len(), "{method}: {:?}", calls.borrow());
        }
    }
}

/// The recycled space of a block serves the next block, of another width, and a single right-hand side.
#[test]
fn a_block_recycles_for_the_next_of_any_width() {
    let context = context();
    let mut setup = Setup::new(context.clone(), "gcrodr").unwrap();
    setup.options.set_all("blocking=block restart=30 recycle=12").unwrap();
    let (mut solver, mut steps, mut fresh) = (Krylov::default(), Vec::new(), Vec::new());
    for (time, count) in [4, 4, 3, 1, 5].into_iter().enumerate() {
        let matrix = darcy::<f64>(30, 0.02 * time as f64);
        let n = matrix.n();
        let a = matrix.operator(&context);
        let m = precond::create(context.clone(), &a, "jacobi").unwrap();
        let truth: Vec<Vec<f64>> = (0..count).map(|j| numbers(n, &mut (10 * time as u64 + j + 1))).collect();
        let b = sides(&matrix, &truth);
        for (solver, steps) in [(&mut solver, &mut steps), (&mut Krylov::default(), &mut fresh)] {
            let mut x = vec![0.0; count as usize * n];
            assert_eq!(solve(solver, &setup, &a, Some(&m), &b, &mut x), Ok(Outcome::Converged));
            assert!(truth.iter().enumerate().all(|(j, truth)| error(&x[j * n..][..n], truth) < 1e-5));
            steps.push(setup.report.borrow().counts.iterations);
        }
    }
    println!("with memory {steps:?}, without {fresh:?}");
    let total = |steps: &[usize]| steps[1..].iter().sum::<usize>();
    assert!(total(&steps) * 5 <= total(&fresh) * 4, "{steps:?} against {fresh:?}");
    assert!(steps.iter().zip(&fresh).all(|(with, without)| with <= without), "{steps:?} against {fresh:?}");
}

/// In lockstep a column gets the numbers that it gets alone, to the bit.
#[test]
fn a_column_in_lockstep_gets_the_numbers_it_gets_alone() {
    for method in methods().filter(|method| *method != "auto") {
        let matrix = matrix_for::<f64>(method);
        let n = matrix.n();
        let context = context();
        let a = matrix.operator(&context);
        let m = precond::create(context.clone(), &a, "jacobi").unwrap();
        let setup = Setup::new(context.clone(), method).unwrap();
        let truth: Vec<Vec<f64>> = (0..4).map(|j| numbers(n, &mut (j + 1))).collect();
        let b = sides(&matrix, &truth);
        let mut together = vec![0.0; 4 * n];
        let mut solver = Krylov::default();
        assert_eq!(solve(&mut solver, &setup, &a, Some(&m), &b, &mut together), Ok(Outcome::Converged));
        let ends: Vec<usize> = setup.ends.borrow().iter().map(|end| end.iterations).collect();
        for j in 0..4 {
            let mut x = vec![0.0; n];
            let outcome = Krylov::default().solve(&setup, &a, Some(&m), &b[j * n..][..n], &mut x);
            assert_eq!(outcome, Ok(Outcome::Converged));
            assert_eq!(setup.report.borrow().counts.iterations, ends[j], "{method} column {j}");
            assert_eq!(x, together[j * n..][..n], "{method} column {j}");
        }
    }
}

/// A product that counts its calls and columns, and fails at one of them if told so.
struct Counted {
    matrix: Matrix<f64>,
    calls: Rc<RefCell<Vec<usize>>>,
    fails_at: usize,
}

impl Apply<f64> for Counted {
    fn apply(&self, _: Trans, x: Panel<f64>, mut y: PanelMut<f64>) -> Result<()> {
        self.calls.borrow_mut().push(x.ncols);
        if self.calls.borrow().len() == self.fails_at {
            return Err(Error::Callback { name: "apply", value: 7 });
        }
        (0..x.ncols).for_each(|j| y.col(j).copy_from_slice(&self.matrix.times(x.col(j))));
        Ok(())
    }
}

fn counted(context: &Arc<reknit::runtime::Context>, matrix: &Matrix<f64>, fails_at: usize) -> (Operator<f64>, Rc<RefCell<Vec<usize>>>) {
    let calls = Rc::new(RefCell::new(Vec::new()));
    let apply = Counted { matrix: matrix.clone(), calls: calls.clone(), fails_at };
    (Operator::new(context.clone(), Box::new(Callback::new(matrix.n(), matrix.n(), Box::new(apply)))), calls)
}

/// Counts sums and passes them through: one rank that takes itself for many.
struct Sums(Rc<Cell<usize>>);

impl Reduce for Sums {
    fn reduce(&self, _: Reduction, _: &mut [f64]) -> Result<()> {
        self.0.set(self.0.get() + 1);
        Ok(())
    }
}

/// A step of all columns takes one call of the operator and the sums of one column.
#[test]
fn a_step_of_all_columns_shares_products_and_sums() {
    for (method, blocking) in [("cg", ""), ("minres", ""), ("gmres", ""), ("bicgstab", ""), ("gcrodr", ""), ("idr", ""), ("cocg", ""), ("cg", "blocking=block"), ("gmres", "blocking=block"), ("gcrodr", "blocking=block")] {
        let matrix = matrix_for::<f64>(method);
        let n = matrix.n();
        let sums = Rc::new(Cell::new(0));
        let context = context();
        context.set_reduce(Some(Arc::new(Sums(sums.clone())))).unwrap();
        let (a, calls) = counted(&context, &matrix, 0);
        let mut setup = Setup::new(context.clone(), method).unwrap();
        setup.options.set_all(blocking).unwrap();
        let truth: Vec<Vec<f64>> = (0..6).map(|j| numbers(n, &mut (j + 1))).collect();
        let b = sides(&matrix, &truth);
        let (mut most_calls, mut most_sums) = (0, 0);
        for j in 0..6 {
            let (calls_before, sums_before) = (calls.borrow().len(), sums.get());
            let mut x = vec![0.0; n];
            assert_eq!(Krylov::default().solve(&setup, &a, None, &b[j * n..][..n], &mut x), Ok(Outcome::Converged));
            most_calls = most_calls.max(calls.borrow().len() - calls_before);
            most_sums = most_sums.max(sums.get() - sums_before);
        }
        let (sums_before, mut x) = (sums.get(), vec![0.0; 6 * n]);
        calls.borrow_mut().clear();
        assert_eq!(solve(&mut Krylov::default(), &setup, &a, None, &b, &mut x), Ok(Outcome::Converged));
        let (calls, sums) = (calls.borrow(), sums.get() - sums_before);
        println!("{method}: {most_calls} calls and {most_sums} sums for the longest column, {} and {sums} for six", calls.len());
        assert_eq!(setup.report.borrow().reductions, sums, "{method}");
        assert_eq!(setup.report.borrow().counts.applies, calls.iter().sum::<usize>(), "{method}");
        // Columns end at different steps, and check their residuals then: a few calls and sums more.
        assert!(calls.len() <= most_calls + 12, "{method}: {} calls against {most_calls}", calls.len());
        assert!(sums <= most_sums + 24, "{method}: {sums} sums against {most_sums}");
        assert!(!blocking.is_empty() || calls.iter().filter(|columns| **columns == 6).count() * 2 > most_calls, "{method}: {calls:?}");
    }
}

#[test]
fn a_column_that_is_done_leaves_the_others() {
    let matrix = darcy::<f64>(20, 0.3);
    let n = matrix.n();
    let context = context();
    let (a, calls) = counted(&context, &matrix, 0);
    let mut setup = Setup::new(context.clone(), "cg").unwrap();
    setup.options.set_all("initial_guess=x").unwrap();
    let truth: Vec<Vec<f64>> = (0..3).map(|j| numbers(n, &mut (j + 1))).collect();
    let mut b = sides(&matrix, &truth);
    b[..n].fill(0.0);
    // The first is zero, the second is given.
    let mut x = vec![1.0; 3 * n];
    x[n..2 * n].copy_from_slice(&truth[1]);
    assert_eq!(solve(&mut Krylov::default(), &setup, &a, None, &b, &mut x), Ok(Outcome::Converged));
    let ends: Vec<usize> = setup.ends.borrow().iter().map(|end| end.iterations).collect();
    assert_eq!(ends[..2], [0, 0]);
    assert!(x[..n].iter().all(|v| *v == 0.0));
    assert_eq!(x[n..2 * n], truth[1]);
    assert!(error(&x[2 * n..], &truth[2]) < 1e-5);
    assert!(calls.borrow()[2..].iter().all(|columns| *columns == 1), "{:?}", calls.borrow());
}

#[test]
fn failures_reach_all_columns_and_leave_sound_points() {
    let matrix = darcy::<f64>(20, 0.3);
    let n = matrix.n();
    for (method, blocking) in [("cg", ""), ("gmres", ""), ("gcrodr", ""), ("bicgstab", ""), ("rcg", ""), ("cg", "blocking=block"), ("gmres", "blocking=block"), ("gcrodr", "blocking=block")] {
        let context = context();
        let (a, calls) = counted(&context, &matrix, 9);
        let mut setup = Setup::new(context.clone(), method).unwrap();
        setup.options.set_all(blocking).unwrap();
        let truth: Vec<Vec<f64>> = (0..3).map(|j| numbers(n, &mut (j + 1))).collect();
        let b = sides(&matrix, &truth);
        let mut x = vec![f64::NAN; 3 * n];
        let mut solver = Krylov::default();
        let outcome = solve(&mut solver, &setup, &a, None, &b, &mut x);
        assert_eq!(outcome, Err(Error::Callback { name: "apply", value: 7 }), "{method}");
        assert_eq!(calls.borrow().len(), 9, "{method}");
        assert!(x.iter().all(|v| v.is_finite()), "{method}");
        assert!(setup.ends.borrow().iter().all(|end| end.outcome.is_err()), "{method}");
        // The next solve is as any other.
        assert_eq!(solve(&mut solver, &setup, &a, None, &b, &mut x), Ok(Outcome::Converged), "{method}");
        assert!((0..3).all(|j| error(&x[j * n..][..n], &truth[j]) < 1e-5), "{method}");
    }
}

/// An indefinite matrix ends the column that finds out; one that does not meet the bad direction converges.
#[test]
fn an_error_of_one_column_is_its_own() {
    let mut matrix = Matrix::<f64>::laplacian(9, 0.1);
    let n = matrix.n();
    matrix.0[0] = vec![(0, -1.0)];
    for row in &mut matrix.0[1..] {
        row.retain(|(j, _)| *j != 0);
    }
    let context = context();
    let a = matrix.operator(&context);
    let setup = Setup::new(context.clone(), "cg").unwrap();
    let mut truth: Vec<Vec<f64>> = (0..2).map(|j| numbers(n, &mut (j + 1))).collect();
    truth[1][0] = 0.0;
    let mut x = vec![0.0; 2 * n];
    let outcome = solve(&mut Krylov::default(), &setup, &a, None, &sides(&matrix, &truth), &mut x);
    assert!(matches!(outcome, Err(Error::Indefinite(_))), "{outcome:?}");
    assert!(x[..n].iter().all(|v| v.is_finite()));
    assert_eq!(setup.ends.borrow()[1].outcome, Ok(Outcome::Converged));
    assert!(error(&x[n..], &truth[1]) < 1e-6);
}

#[test]
fn wrong_numbers_are_named_by_row_and_column() {
    let matrix = Matrix::<f64>::laplacian(5, 0.1);
    let n = matrix.n();
    let context = context();
    let a = matrix.operator(&context);
    let setup = Setup::new(context.clone(), "cg").unwrap();
    let mut b = vec![1.0; 3 * n];
    b[2 * n + 4] = f64::NAN;
    let mut x = vec![5.0; 3 * n];
    let outcome = solve(&mut Krylov::default(), &setup, &a, None, &b, &mut x);
    let Err(Error::NonFinite(text)) = outcome else { panic!("{outcome:?}") };
    assert!(text.contains("'B'") && text.contains("row 4 of column 2"), "{text}");
    assert!(x.iter().all(|v| *v == 5.0));
}

struct StopAt(usize, Rc<RefCell<Vec<Progress>>>);

impl Monitor for StopAt {
    fn observe(&mut self, progress: &Progress) -> Wish {
        self.1.borrow_mut().push(*progress);
        if progress.iteration >= self.0 { Wish::Stop } else { Wish::Continue }
    }
}

#[test]
fn a_monitor_sees_each_step_once_and_stops_all_columns() {
    let matrix = darcy::<f64>(20, 0.3);
    let n = matrix.n();
    for sums in [false, true] {
        let context = context();
        if sums {
            context.set_reduce(Some(Arc::new(Sums(Rc::default())))).unwrap();
        }
        let a = matrix.operator(&context);
        let setup = Setup::new(context.clone(), "cg").unwrap();
        let seen = Rc::new(RefCell::new(Vec::new()));
        *setup.monitor.borrow_mut() = Some(Box::new(StopAt(6, seen.clone())));
        let truth: Vec<Vec<f64>> = (0..3).map(|j| numbers(n, &mut (j + 1))).collect();
        let mut x = vec![0.0; 3 * n];
        let outcome = solve(&mut Krylov::default(), &setup, &a, None, &sides(&matrix, &truth), &mut x);
        assert_eq!(outcome, Ok(Outcome::Stopped(Stop::Monitor)));
        let seen = seen.borrow();
        let steps: Vec<usize> = seen.iter().map(|progress| progress.iteration).collect();
        assert_eq!(steps, [0, 1, 2, 3, 4, 5, 6]);
        assert!(seen.iter().all(|progress| progress.measure > progress.target && progress.target > 0.0));
        // The columns learn of it in their next step.
        assert!(setup.ends.borrow().iter().all(|end| end.outcome == Ok(Outcome::Stopped(Stop::Monitor)) && end.iterations == 7));
    }
}

/// A state of several columns goes on bit for bit after saving and loading.
#[test]
fn a_saved_state_of_several_columns_goes_on_to_the_bit() {
    for (method, options) in [("rcg", ""), ("gcrodr", ""), ("gcrodr", "blocking=block"), ("auto", "")] {
        let context = context();
        let mut setup = Setup::new(context.clone(), method).unwrap();
        setup.options.set_all(&format!("initial_guess=project {options}")).unwrap();
        let mut solver = Krylov::default();
        let step = |solver: &mut Krylov<f64>, time: usize| {
            let matrix = darcy::<f64>(16, 0.05 * time as f64);
            let truth: Vec<Vec<f64>> = (0..3).map(|j| numbers(matrix.n(), &mut (100 * time as u64 + j + 1))).collect();
            let mut x = vec![0.0; 3 * matrix.n()];
            let outcome = solve(solver, &setup, &matrix.operator(&context), None, &sides(&matrix, &truth), &mut x);
            assert_eq!(outcome, Ok(Outcome::Converged), "{method}");
            (x, setup.report.borrow().counts.applies)
        };
        step(&mut solver, 0);
        step(&mut solver, 1);
        let matrix = darcy::<f64>(16, 0.05);
        let mut bytes = vec![0; solver.saved_len(&setup).unwrap()];
        solver.save(&setup, &mut bytes).unwrap();
        let mut loaded = Krylov::loaded(&setup, &matrix.operator(&context), None, &bytes).unwrap();
        let (x, applies) = step(&mut solver, 2);
        let (again, applies_again) = step(&mut loaded, 2);
        assert_eq!((x == again, applies), (true, applies_again), "{method}");
    }
}
