//! Methods with short recurrences: RCG and RMINRES on sequences, COCG and COCR on complex symmetric matrices,
//! IDR(s) on nonsymmetric ones. Solutions are chosen first, so the truth is known.

mod support;

use num_complex::Complex;
use reknit::krylov::options::METHODS;
use reknit::krylov::{Krylov, Outcome, Setup};
use reknit::linalg::space::Inner;
use reknit::linalg::{Panel, PanelMut};
use reknit::operator::callback::{Apply, Callback};
use reknit::operator::{precond, Operator, Trans};
use reknit::runtime::{Error, Result, Scalar, Stop};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use support::{context, darcy, error, numbers, Matrix, C64};

/// A solver, its preconditioner's name, and what its solves took.
struct Run<T: Scalar> {
    setup: Setup,
    solver: Krylov<T>,
    spec: &'static str,
    iterations: Vec<usize>,
    applies: Vec<usize>,
    recycle_applies: Vec<usize>,
}

impl<T: Scalar> Run<T> {
    fn new(method: &str, options: &str, spec: &'static str) -> Self {
        let mut setup = Setup::new(context(), method).unwrap();
        setup.options.set_all(options).unwrap();
        Run { setup, solver: Krylov::default(), spec, iterations: vec![], applies: vec![], recycle_applies: vec![] }
    }

    /// One more system, its solution drawn from `seed`.
    fn solve(&mut self, matrix: &Matrix<T>, a: &Operator<T>, seed: u64, tolerance: f64) {
        self.solve_from(matrix, a, seed, tolerance, T::from_f64(f64::NAN));
    }

    /// The same from a guess that is `start` everywhere.
    fn solve_from(&mut self, matrix: &Matrix<T>, a: &Operator<T>, seed: u64, tolerance: f64, start: T) {
        let truth = numbers::<T>(matrix.n(), &mut { seed });
        let b = matrix.times(&truth);
        let m = (!self.spec.is_empty()).then(|| precond::create(self.setup.context.clone(), a, self.spec).unwrap());
        let mut x = vec![start; b.len()];
        let outcome = self.solver.solve(&self.setup, a, m.as_ref(), &b, &mut x);
        let label = format!("{} {} {} solve {}", self.setup.method, T::KIND.name(), self.spec, self.iterations.len());
        assert_eq!(outcome, Ok(Outcome::Converged), "{label}");
        assert!(error(&x, &truth) < tolerance, "{label}: error {}", error(&x, &truth));
        let report = self.setup.report.borrow();
        self.iterations.push(report.counts.iterations);
        self.applies.push(report.counts.applies);
        self.recycle_applies.push(report.counts.recycle_applies);
    }

    fn total(&self) -> usize {
        self.iterations.iter().skip(1).sum()
    }
}

/// Several solvers on one sequence of systems: `steps` matrices, or one of them all the time.
fn sequence<T: Scalar, const R: usize>(mut runs: [Run<T>; R], steps: usize, matrix: impl Fn(usize) -> Matrix<T>, fixed: bool, tolerance: f64) -> [Run<T>; R] {
    let first = matrix(0);
    let a = first.operator(&runs[0].setup.context);
    for i in 0..steps {
        let changed = matrix(i);
        for run in &mut runs {
            if fixed {
                run.solve(&first, &a, i as u64, tolerance);
            } else {
                let a = changed.operator(&run.setup.context);
                run.solve(&changed, &a, i as u64, tolerance);
            }
        }
    }
    runs
}

#[test]
fn rcg_is_cheaper_than_cg_on_a_drifting_sequence() {
    for (spec, options) in [("", "recycle=20 restart=60"), ("jacobi", ""), ("ic0", "")] {
        let runs = [Run::<f64>::new("cg", "rtol=1e-10", spec), Run::new("rcg", &format!("rtol=1e-10 {options}"), spec)];
        let [cg, rcg] = sequence(runs, 6, |i| darcy(40, 0.05 * i as f64), false, 1e-5);
        println!("{spec}: cg {:?}, rcg {:?}", cg.iterations, rcg.iterations);
        assert_eq!(rcg.iterations[0], cg.iterations[0], "{spec}");
        assert!(rcg.total() * 10 <= cg.total() * 6, "{spec}: {:?} against {:?}", rcg.iterations, cg.iterations);
        let k = rcg.solver.recycled();
        assert!(rcg.recycle_applies[1..].iter().all(|applies| *applies == k), "{spec}: {:?}", rcg.recycle_applies);
        // Renewing A U and the true residual stand in `applies`, and nothing else.
        assert!(rcg.applies.iter().zip(&rcg.iterations).zip(&rcg.recycle_applies).all(|((all, i), k)| *all == i + k + 1), "{spec}: {:?}", rcg.applies);
    }
}

#[test]
fn rcg_knows_an_unchanged_matrix() {
    for spec in ["jacobi", "ic0"] {
        let runs = [Run::<f64>::new("cg", "rtol=1e-10", spec), Run::new("rcg", "rtol=1e-10", spec), Run::new("rcg", "rtol=1e-10 restart=20", spec)];
        let [cg, rcg, narrow] = sequence(runs, 4, |_| darcy(40, 0.0), true, 1e-5);
        println!("{spec}: cg {:?}, rcg {:?}, restart=20 {:?}", cg.iterations, rcg.iterations, narrow.iterations);
        assert_eq!(rcg.recycle_applies, [0; 4]);
        assert!(rcg.total() * 10 <= cg.total() * 6, "{spec}: {:?} against {:?}", rcg.iterations, cg.iterations);
        // A window of 20 directions is enough: thick restarts see the whole solve.
        assert!(narrow.total() * 10 <= cg.total() * 7, "{spec}: {:?} against {:?}", narrow.iterations, cg.iterations);
    }
}

/// Over many systems with little in common vectors stay in the recycled space for long, while M changes with each.
#[test]
fn gcrodr_keeps_its_pace_over_many_unlike_systems() {
    for options in ["basis=single", "basis=full"] {
        let runs = [Run::<f64>::new("gcrodr", &format!("rtol=1e-8 restart=20 recycle=10 max_iterations=2000 {options}"), "ilu0")];
        let [run] = sequence(runs, 80, |i| darcy(24, 2.4 * i as f64), false, 1e-4);
        let of = |range: std::ops::Range<usize>| run.iterations[range].iter().sum::<usize>();
        println!("{options}: {:?}", run.iterations);
        assert!(of(60..80) * 10 <= of(0..20) * 12, "{options}: {:?}", run.iterations);
    }
}

#[test]
fn rcg_is_hardly_worse_than_cg_where_systems_have_little_in_common() {
    let runs = [Run::<f64>::new("cg", "rtol=1e-10", "jacobi"), Run::new("rcg", "rtol=1e-10", "jacobi")];
    let [cg, rcg] = sequence(runs, 6, |i| darcy(30, 2.4 * i as f64), false, 1e-5);
    println!("cg {:?}, rcg {:?}", cg.iterations, rcg.iterations);
    for (rcg, cg) in rcg.iterations.iter().zip(&cg.iterations) {
        assert!(*rcg <= cg + 2, "{rcg} against {cg}");
    }
}

#[test]
fn what_rcg_keeps_stays_good_over_many_solves() {
    let runs = [Run::<f64>::new("rcg", "rtol=1e-13 restart=16 recycle=8", "jacobi")];
    let [rcg] = sequence(runs, 40, |_| darcy(16, 0.0), true, 1e-10);
    println!("{:?}", rcg.iterations);
    let (first, last) = (rcg.iterations[2], rcg.iterations[39]);
    assert!(last <= first + 3, "{:?}", rcg.iterations);
}

/// Eigenvalues of multiplicity one: of a multiple one a Krylov space sees one eigenvector a solve.
fn indefinite(shift: f64) -> Matrix<f64> {
    Matrix::grid(32, |_, _| [2.0 + 1.4 - shift, -1.0, -1.0, -0.7, -0.7])
}

#[test]
fn rminres_is_cheaper_than_minres() {
    for (spec, fixed) in [("", true), ("jacobi", true), ("", false), ("jacobi", false)] {
        let runs = [Run::<f64>::new("minres", "rtol=1e-10", spec), Run::new("rminres", "rtol=1e-10 recycle=20 restart=60", spec)];
        let [minres, rminres] = sequence(runs, 5, |i| indefinite(0.1 + 0.002 * i as f64), fixed, 1e-5);
        println!("{spec} {fixed}: minres {:?}, rminres {:?}", minres.iterations, rminres.iterations);
        assert!(rminres.iterations[0].abs_diff(minres.iterations[0]) <= 2, "{spec}");
        assert!(rminres.total() * 2 <= minres.total(), "{spec}: {:?} against {:?}", rminres.iterations, minres.iterations);
        assert!(!fixed || rminres.recycle_applies == [0; 5]);
    }
}

/// East and west differ by a phase: Hermitian, not real.
fn hermitian<T: Scalar>(shift: f64) -> Matrix<T> {
    let east = T::from_parts(-0.8, 0.6);
    Matrix::grid(14, |i, j| [T::from_f64(4.0 + 0.2 * ((i * j) % 7) as f64 + shift), east.conj(), east, T::from_f64(-0.9), T::from_f64(-0.9)])
}

fn memory_in<T: Scalar>(rtol: f64, tolerance: f64) {
    let options = format!("rtol={rtol:e} recycle=6 restart=20");
    for fixed in [true, false] {
        for (methods, shift) in [(["cg", "rcg"], 0.0), (["cg", "eigcg"], 0.0), (["bicgstab", "rbicgstab"], 0.0), (["minres", "rminres"], -0.9)] {
            let runs = [Run::<T>::new(methods[0], &format!("rtol={rtol:e}"), "jacobi"), Run::new(methods[1], &options, "jacobi")];
            let [plain, recycled] = sequence(runs, 4, |i| hermitian(shift + 0.003 * i as f64), fixed, tolerance);
            println!("{} {} {:?}, {} {:?}", T::KIND.name(), methods[0], plain.iterations, methods[1], recycled.iterations);
            assert!(recycled.total() <= plain.total(), "{} {}: {:?} against {:?}", T::KIND.name(), methods[1], recycled.iterations, plain.iterations);
        }
    }
}

#[test]
fn memory_works_in_every_scalar() {
    memory_in::<f64>(1e-9, 1e-6);
    memory_in::<C64>(1e-9, 1e-6);
    memory_in::<f32>(2e-5, 3e-2);
    memory_in::<Complex<f32>>(2e-5, 3e-2);
}

#[test]
fn indefinite_operators_are_refused_by_rcg_and_eigcg() {
    ["rcg", "eigcg"].into_iter().for_each(indefinite_operators_are_refused);
}

fn indefinite_operators_are_refused(method: &str) {
    let (definite, indefinite) = (Matrix::<f64>::laplacian(8, 0.1), Matrix::<f64>::laplacian(8, -3.0));
    let b = numbers(64, &mut 1);
    let mut rcg = Run::<f64>::new(method, "", "");
    let a = definite.operator(&rcg.setup.context);
    let bad = indefinite.operator(&rcg.setup.context);
    let mut x = vec![0.0; 64];
    let refused = rcg.solver.solve(&rcg.setup, &bad, None, &b, &mut x).unwrap_err();
    assert!(matches!(&refused, Error::Indefinite(t) if t.contains("p^H A p")), "{refused}");
    rcg.solve(&definite, &a, 3, 1e-6);
    let refused = rcg.solver.solve(&rcg.setup, &bad, None, &b, &mut x).unwrap_err();
    assert!(matches!(&refused, Error::Indefinite(t) if t.contains("u^H A u")), "{refused}");
    // What it knew is still known.
    rcg.solve(&definite, &a, 3, 1e-6);
    assert!(rcg.iterations[1] < rcg.iterations[0], "{:?}", rcg.iterations);
}

/// Complex Helmholtz with damping: A = A^T.
#[test]
fn cocg_and_cocr_use_the_symmetry() {
    for (spec, factor) in [("", 3), ("ilu0", 3)] {
        let matrix = Matrix::<C64>::laplacian(30, C64::new(-0.3, 0.05));
        let applies = ["bicgstab", "cocg", "cocr", "gmres"].map(|method| {
            let options = if method == "gmres" { "rtol=1e-10 restart=900" } else { "rtol=1e-10" };
            let mut run = Run::new(method, options, spec);
            let a = matrix.operator(&run.setup.context);
            run.solve(&matrix, &a, 5, 1e-7);
            run.applies[0]
        });
        println!("{spec}: bicgstab, cocg, cocr, gmres {applies:?}");
        assert!(applies[1..3].iter().all(|count| factor * count <= 2 * applies[0]), "{spec}: {applies:?}");
    }
    // For real numbers they are CG and CR.
    let (matrix, runs) = (darcy(20, 0.0), ["cg", "cocg", "cocr"].map(|method| Run::<f64>::new(method, "rtol=1e-8", "jacobi")));
    let [cg, cocg, cocr] = sequence(runs, 1, |_| matrix.clone(), true, 1e-4);
    assert_eq!(cocg.iterations, cg.iterations);
    assert!(cocr.iterations[0] <= cg.iterations[0], "{:?} {:?}", cocr.iterations, cg.iterations);
}

/// r^T r = 0 for r = (1, i): the recurrence cannot begin.
#[test]
fn a_breakdown_of_cocg_is_a_stop() {
    for method in ["cocg", "cocr"] {
        let mut run = Run::<C64>::new(method, "", "");
        let a = Matrix(vec![vec![(0, C64::ONE)], vec![(1, C64::ONE)]]).operator(&run.setup.context);
        let (b, mut x) = ([C64::ONE, C64::I], [C64::ZERO; 2]);
        assert_eq!(run.solver.solve(&run.setup, &a, None, &b, &mut x), Ok(Outcome::Stopped(Stop::Breakdown)), "{method}");
        assert_eq!(x, [C64::ZERO; 2]);
    }
}

/// A user's x^H y, plain.
struct Plain;

impl<T: Scalar> Inner<T> for Plain {
    fn inner(&self, x: Panel<T>, y: Panel<T>, out: &mut [T::Wide]) -> Result<()> {
        for q in 0..y.ncols {
            for p in 0..x.ncols {
                let products = x.col(p).iter().zip(y.col(q)).map(|(a, b)| a.conj().wide() * b.wide());
                out[q * x.ncols + p] = products.fold(<T::Wide as Scalar>::ZERO, |sum, v| sum + v);
            }
        }
        Ok(())
    }
}

#[test]
#[allow(clippy::arc_with_non_send_sync)]
fn inner_products_and_weights() {
    let definite = Matrix::<f64>::laplacian(9, 0.1);
    for method in &METHODS[1..] {
        for weighted in [false, true] {
            let mut run = Run::<f64>::new(method, "rtol=1e-10 initial_guess=x", "");
            let a = definite.operator(&run.setup.context);
            if weighted {
                run.setup.set_weights(Some(&[2.0; 81])).unwrap();
            } else {
                run.solver.inner = Some(Arc::new(Plain));
            }
            (0..3).for_each(|i| run.solve_from(&definite, &a, i, 1e-7, 0.5));
        }
    }
    // x^T y cannot be had from a product x^H y of complex numbers; weights are fine.
    let symmetric = Matrix::<C64>::laplacian(9, C64::new(0.1, 0.4));
    for method in ["cocg", "cocr"] {
        let mut run = Run::<C64>::new(method, "rtol=1e-10", "");
        let a = symmetric.operator(&run.setup.context);
        run.solver.inner = Some(Arc::new(Plain));
        let refused = run.solver.solve(&run.setup, &a, None, &numbers(81, &mut 1), &mut vec![C64::ZERO; 81]).unwrap_err();
        assert!(matches!(&refused, Error::Unsupported(t) if t.contains("argument 'inner'") && t.contains(method)), "{refused}");
        run.solver.inner = None;
        run.setup.set_weights(Some(&[2.0; 81])).unwrap();
        run.solve(&symmetric, &a, 1, 1e-7);
    }
}

#[test]
fn scaling_solves_the_same_system() {
    let matrix = Matrix::<f64>::laplacian(9, 0.1);
    // S1 = S2^-1 keeps the symmetry.
    let left: Vec<f64> = (0..81).map(|i| 1.0 + (i % 4) as f64).collect();
    let right: Vec<f64> = left.iter().map(|s| 1.0 / s).collect();
    for method in &METHODS[1..] {
        for norm in ["true", "preconditioned", "weighted"] {
            let mut run = Run::<f64>::new(method, &format!("rtol=1e-11 norm={norm}"), "jacobi");
            run.setup.set_scaling(Some(&left), Some(&right)).unwrap();
            let a = matrix.operator(&run.setup.context);
            (0..3).for_each(|i| run.solve(&matrix, &a, i, 1e-8));
        }
    }
}

#[test]
fn idr_needs_fewer_applies_than_bicgstab_where_convection_rules() {
    let matrix = Matrix::<f64>::grid(40, |_, _| [4.0, -1.9, -0.1, -1.9, -0.1]);
    let applies = [("bicgstab", ""), ("idr", "shadow=1"), ("idr", "shadow=4"), ("idr", "shadow=8")].map(|(method, options)| {
        let mut run = Run::new(method, &format!("rtol=1e-10 {options}"), "");
        let a = matrix.operator(&run.setup.context);
        run.solve(&matrix, &a, 5, 1e-7);
        run.applies[0]
    });
    println!("bicgstab, idr with shadow = 1, 4, 8: {applies:?}");
    assert!(applies[2] * 5 <= applies[0] * 4 && applies[3] <= applies[2], "{applies:?}");
}

/// Strong convection by central differences: BiCGStab's polynomials of degree one do little for complex
/// eigenvalues, IDR(1) no more.
#[test]
fn idr_maintains_convergence_where_bicgstab_hardly_converges() {
    let matrix = Matrix::<f64>::grid(20, |_, _| [2.0, -3.0, 1.0, -3.0, 1.0]);
    let applies = [("bicgstab", ""), ("idr", "shadow=4"), ("idr", "shadow=8")].map(|(method, options)| {
        let mut run = Run::new(method, &format!("rtol=1e-8 {options}"), "");
        let a = matrix.operator(&run.setup.context);
        run.solve(&matrix, &a, 5, 1e-5);
        run.applies[0]
    });
    println!("bicgstab, idr with shadow = 4, 8: {applies:?}");
    assert!(applies[1] * 3 <= applies[0] && applies[2] <= applies[1], "{applies:?}");
}

/// The test for a least-squares solution compares A r with A and r, whatever the size of b.
#[test]
fn the_size_of_b_does_not_matter() {
    for method in ["minres", "rminres"] {
        for size in [1e-20, 1e20] {
            let matrix = indefinite(0.1);
            let mut run = Run::<f64>::new(method, "rtol=1e-9", "");
            let a = matrix.operator(&run.setup.context);
            for i in 0..2 {
                let truth: Vec<f64> = numbers::<f64>(matrix.n(), &mut { i }).iter().map(|v| v * size).collect();
                let mut x = vec![0.0; truth.len()];
                assert_eq!(run.solver.solve(&run.setup, &a, None, &matrix.times(&truth), &mut x), Ok(Outcome::Converged), "{method} {size}");
                assert!(error(&x, &truth) < 1e-5, "{method} {size}: {}", error(&x, &truth));
            }
        }
    }
}

#[test]
fn idr_follows_the_seed() {
    let matrix = Matrix::<f64>::grid(12, |_, _| [4.0, -1.5, -0.5, -1.5, -0.5]);
    let b = numbers(144, &mut 9);
    let solution = |seed: u64| {
        let mut run = Run::<f64>::new("idr", "rtol=1e-6", "");
        run.setup.context.set_seed(seed);
        let a = matrix.operator(&run.setup.context);
        let mut x = vec![0.0; 144];
        assert_eq!(run.solver.solve(&run.setup, &a, None, &b, &mut x), Ok(Outcome::Converged));
        x
    };
    assert_eq!(solution(0), solution(0));
    assert_ne!(solution(0), solution(1));
}

/// Convection and diffusion over a shear flow that drifts, upwind.
fn convection<T: Scalar>(m: usize, strength: f64, time: f64) -> Matrix<T> {
    Matrix::grid(m, |i, j| {
        let (x, y) = (i as f64 / m as f64 - 0.5, j as f64 / m as f64 - 0.5);
        let (u, v) = (strength * (y + 0.2 * time), strength * (0.3 * time.cos() - x));
        let [w, e, s, n] = [u, -u, v, -v].map(|flow| -1.0 - flow.max(0.0));
        [-(w + e + s + n), w, e, s, n].map(T::from_f64)
    })
}

#[test]
fn rbicgstab_is_cheaper_than_bicgstab_on_a_drifting_sequence() {
    for (spec, options) in [("", "recycle=20 restart=60"), ("jacobi", ""), ("ilu0", "")] {
        for fixed in [true, false] {
            let runs = [Run::<f64>::new("bicgstab", "rtol=1e-10", spec), Run::new("rbicgstab", &format!("rtol=1e-10 {options}"), spec)];
            let [plain, recycled] = sequence(runs, 8, |i| convection(50, 0.3, 0.05 * i as f64), fixed, 1e-5);
            println!("{spec} {fixed}: bicgstab {:?}, rbicgstab {:?}", plain.iterations, recycled.iterations);
            assert!(recycled.total() * 10 <= plain.total() * 6, "{spec} {fixed}: {:?} against {:?}", recycled.iterations, plain.iterations);
            // In applies too, renewals of A U included.
            assert!(recycled.applies[1..].iter().sum::<usize>() * 10 <= plain.applies[1..].iter().sum::<usize>() * 7, "{spec} {fixed}: {:?}", recycled.applies);
            // The first system is GCRO-DR's, an apply an iteration; the others BiCGStab's, two.
            let k = recycled.solver.recycled();
            assert!(recycled.applies[0] < 2 * recycled.iterations[0]);
            for i in 1..recycled.applies.len() {
                let (applies, renewed) = (recycled.applies[i], recycled.recycle_applies[i]);
                assert_eq!(renewed, if fixed { 0 } else { k }, "{spec} {fixed}");
                // The true residual at the end, and one or two where the recurrence is replaced by it.
                assert!((1..=3).contains(&(applies - renewed - 2 * recycled.iterations[i])), "{spec} {fixed}: {:?}", recycled.applies);
            }
        }
    }
}

/// From a guess that is a million times too large the recurrence comes down eighteen orders of magnitude, and rounding
/// leaves the true residual behind, unless that replaces it on the way. Nothing else looks at b - A x here.
#[test]
fn the_recurrence_of_rbicgstab_stays_with_the_true_residual() {
    let matrix = convection::<f64>(30, 0.3, 0.0);
    let mut run = Run::<f64>::new("rbicgstab", "rtol=1e-12 recycle=4 restart=40 verify=never initial_guess=x", "");
    let a = matrix.operator(&run.setup.context);
    run.solve_from(&matrix, &a, 0, 1e-8, 0.0);
    for i in 1..4 {
        let truth = numbers::<f64>(matrix.n(), &mut { i });
        let (b, mut x) = (matrix.times(&truth), vec![1e6; matrix.n()]);
        assert_eq!(run.solver.solve(&run.setup, &a, None, &b, &mut x), Ok(Outcome::Converged));
        println!("{:e}", error(&matrix.times(&x), &b));
        assert!(error(&matrix.times(&x), &b) <= 2e-12, "{:e}", error(&matrix.times(&x), &b));
    }
}

/// The flow turns round after four systems: what was kept no longer helps, GCRO-DR makes a new space, once.
#[test]
fn rbicgstab_makes_a_new_space_when_the_old_one_has_stopped_to_pay() {
    let mut run = Run::<f64>::new("rbicgstab", "rtol=1e-10", "jacobi");
    for i in 0..12 {
        let matrix = convection(50, 0.3, if i < 4 { 0.0 } else { 40.0 + 0.01 * i as f64 });
        let a = matrix.operator(&run.setup.context);
        run.solve(&matrix, &a, i, 1e-5);
    }
    let by_gcrodr: Vec<usize> = (0..12).filter(|i| run.applies[*i] - run.recycle_applies[*i] < 2 * run.iterations[*i]).collect();
    println!("{:?}, by GCRO-DR {by_gcrodr:?}", run.iterations);
    assert_eq!(by_gcrodr, [0, 5], "{:?}", run.iterations);
    assert!(run.iterations[6..].iter().all(|i| i * 10 <= run.iterations[4] * 8), "{:?}", run.iterations);
}

/// Two solves teach, the others only profit. With 20 of the lowest eigenvectors gone, the condition number of the
/// five-point Laplacian falls to a twelfth, that of the Darcy matrices more: of sqrt(1/12) = 0.29 the errors of vectors
/// from solves to 1e-8 leave less than 0.7.
#[test]
fn eigcg_is_cheaper_than_cg_for_many_right_hand_sides() {
    for (spec, options, most) in [("", "recycle=20 restart=60", 72), ("jacobi", "recycle=20", 65), ("jacobi", "recycle=20 restart=40", 65), ("ic0", "recycle=20", 65)] {
        for (name, matrix) in [("darcy", darcy::<f64>(40, 0.0)), ("laplacian", Matrix::laplacian(40, 0.0))] {
            let runs = [Run::<f64>::new("cg", "rtol=1e-8", spec), Run::new("eigcg", &format!("rtol=1e-8 {options}"), spec)];
            let [cg, eigcg] = sequence(runs, 6, |_| matrix.clone(), true, 1e-3);
            println!("{name} {spec} {options}: cg {:?}, eigcg {:?}", cg.iterations, eigcg.iterations);
            assert_eq!(eigcg.iterations[0], cg.iterations[0], "{name} {spec}");
            assert!(eigcg.iterations[1] <= cg.iterations[1] + 1, "{name} {spec}: {:?}", eigcg.iterations);
            for (eigcg, cg) in eigcg.iterations[2..].iter().zip(&cg.iterations[2..]) {
                assert!(eigcg * 100 <= cg * most, "{name} {spec} {options}: {eigcg} against {cg}");
            }
            // Images of what the last solve taught, and nothing else beside the true residual.
            assert_eq!(eigcg.recycle_applies, [0, 10, 10, 0, 0, 0], "{name} {spec}");
            assert_eq!(eigcg.solver.recycled(), 20);
            assert!(eigcg.applies.iter().zip(&eigcg.iterations).zip(&eigcg.recycle_applies).all(|((all, i), k)| *all == i + k + 1), "{name} {spec}: {:?}", eigcg.applies);
        }
    }
}

/// Twelve eigenvalues far below the others are gone after two solves.
#[test]
fn eigcg_takes_outliers_away() {
    let n = 600;
    let matrix = Matrix::<f64>((0..n).map(|i| vec![(i, if i < 12 { 1e-3 * (i + 1) as f64 } else { 1.0 + (i as f64 / n as f64) })]).collect());
    let runs = [Run::<f64>::new("cg", "rtol=1e-9", ""), Run::new("eigcg", "rtol=1e-9 recycle=24", "")];
    let [cg, eigcg] = sequence(runs, 4, |_| matrix.clone(), true, 1e-5);
    println!("cg {:?}, eigcg {:?}", cg.iterations, eigcg.iterations);
    // On [1, 2] CG reduces r by 2 sqrt(2) / (3 + 2 sqrt(2))^i: a thousandfold in five steps, between the restarts of
    // init-CG, and three of them make 1e-9.
    assert!(eigcg.iterations[2..].iter().all(|i| *i <= 17) && cg.iterations[2] >= 50, "cg {:?}, eigcg {:?}", cg.iterations, eigcg.iterations);
    // What is held are the eigenvectors: all else is small.
    let space = eigcg.solver.space();
    for j in 0..12 {
        let (low, all) = (space.col(j)[..12].iter().map(|v| v * v).sum::<f64>(), space.col(j).iter().map(|v| v * v).sum::<f64>());
        assert!(all - low < 1e-6 * all, "column {j}: {:e}", (all - low) / all);
    }
}

#[test]
fn eigcg_renews_images_where_the_operator_changed_and_probes() {
    let k = 10;
    for probe in ["off", "on"] {
        let mut run = Run::<f64>::new("eigcg", &format!("rtol=1e-8 recycle={k} probe={probe}"), "jacobi");
        let (same, other) = (darcy::<f64>(30, 0.0), darcy::<f64>(30, 0.02));
        let a = same.operator(&run.setup.context);
        (0..3).for_each(|i| run.solve(&same, &a, i, 1e-3));
        assert_eq!(run.solver.recycled(), k);
        let numbers = |matrix: &Matrix<f64>| -> Vec<f64> { matrix.0.iter().flatten().map(|(_, v)| *v).collect() };
        a.set_values(&numbers(&same)).unwrap();
        run.solve(&same, &a, 4, 1e-3);
        a.set_values(&numbers(&other)).unwrap();
        run.solve(&other, &a, 5, 1e-3);
        println!("{probe}: {:?} {:?}", run.iterations, run.recycle_applies);
        assert_eq!(run.recycle_applies[3..], if probe == "on" { [1, k + 1] } else { [k, k] });
        assert!(run.iterations[3..].iter().all(|i| i * 10 <= run.iterations[0] * 7), "{:?}", run.iterations);
    }
}

#[test]
fn threads_do_not_change_the_bits() {
    fn check<T: Scalar>(method: &str, options: &str, shift: T) {
        let matrix = Matrix::<T>::laplacian(180, shift);
        let b = numbers(matrix.n(), &mut 5);
        let mut first: Option<(Vec<T>, usize)> = None;
        for threads in [1, 2, 7] {
            let mut run = Run::<T>::new(method, &format!("rtol=1e-7 {options}"), "");
            run.setup.context.pool.set_threads(threads);
            let mut x = vec![T::ZERO; b.len()];
            // The second solve is of another operator handle, and uses what the first one taught.
            for _ in 0..2 {
                let a = matrix.operator(&run.setup.context);
                assert_eq!(run.solver.solve(&run.setup, &a, None, &b, &mut x), Ok(Outcome::Converged), "{method}");
            }
            let iterations = run.setup.report.borrow().counts.iterations;
            match &first {
                None => first = Some((x, iterations)),
                Some((x1, i1)) => assert!(*x1 == x && *i1 == iterations, "{method}, {threads} threads"),
            }
        }
    }
    check::<f64>("rcg", "", 0.02);
    check::<f64>("rbicgstab", "", 0.02);
    check::<f64>("eigcg", "", 0.02);
    check::<f64>("rminres", "", 0.02);
    check::<f64>("idr", "", 0.02);
    check::<C64>("cocg", "", C64::new(0.02, 0.05));
    check::<C64>("cocr", "", C64::new(0.02, 0.05));
}

/// Applies a matrix by callback; fails or delivers NaN at a given call.
struct Host {
    matrix: Matrix<f64>,
    calls: Rc<Cell<usize>>,
    fail_at: usize,
    nan_at: usize,
}

impl Apply<f64> for Host {
    fn apply(&self, _: Trans, x: Panel<f64>, mut y: PanelMut<f64>) -> Result<()> {
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() == self.fail_at {
            return Err(Error::Callback { name: "apply", value: 42 });
        }
        for j in 0..x.ncols {
            y.col(j).copy_from_slice(&self.matrix.times(x.col(j)));
            if self.calls.get() == self.nan_at {
                y.col(j)[3] = f64::NAN;
            }
        }
        Ok(())
    }
}

#[test]
fn failing_and_nonfinite_callbacks_end_the_solve_and_leave_the_memory_usable() {
    let matrix = Matrix::<f64>::laplacian(9, 0.1);
    for method in ["cg", "minres", "rbicgstab", "rcg", "eigcg", "rminres", "cocg", "cocr"] {
        let calls_of_first = {
            let mut run = Run::<f64>::new(method, "rtol=1e-9", "");
            let a = matrix.operator(&run.setup.context);
            run.solve(&matrix, &a, 0, 1e-6);
            run.applies[0]
        };
        // In the first solve, when A U is renewed in the second, and later in that one.
        for call in [1, 5, calls_of_first + 1, calls_of_first + 4] {
            for nan in [false, true] {
                let mut run = Run::<f64>::new(method, "rtol=1e-9", "");
                let calls = Rc::new(Cell::new(0));
                let (fail_at, nan_at) = if nan { (usize::MAX, call) } else { (call, usize::MAX) };
                let mut failures = 0;
                for i in 0..4 {
                    let host = Host { matrix: matrix.clone(), calls: calls.clone(), fail_at, nan_at };
                    let a = Operator::new(run.setup.context.clone(), Box::new(Callback::new(81, 81, Box::new(host))));
                    let (truth, mut x) = (numbers::<f64>(81, &mut { i }), vec![0.0; 81]);
                    match run.solver.solve(&run.setup, &a, None, &matrix.times(&truth), &mut x) {
                        Ok(outcome) => {
                            assert_eq!(outcome, Outcome::Converged, "{method} call {call}");
                            assert!(error(&x, &truth) < 1e-6, "{method} call {call}");
                        }
                        Err(Error::Callback { name: "apply", value: 42 }) if !nan => failures += 1,
                        Err(Error::NonFinite(t)) if nan && t.contains("position 3") => failures += 1,
                        Err(other) => panic!("{method} call {call}: {other}"),
                    }
                    assert!(x.iter().all(|v| v.is_finite()), "{method} call {call}: x is delivered");
                }
                assert_eq!(failures, 1, "{method} call {call}");
            }
        }
    }
}

#[test]
fn the_window_must_hold_twice_what_is_kept() {
    for method in ["rbicgstab", "rcg", "eigcg", "rminres"] {
        let mut run = Run::<f64>::new(method, "restart=10 recycle=6", "");
        let matrix = Matrix::<f64>::laplacian(5, 0.1);
        let a = matrix.operator(&run.setup.context);
        let refused = run.solver.solve(&run.setup, &a, None, &[1.0; 25], &mut [0.0; 25]).unwrap_err();
        assert!(refused.to_string().contains("argument 'recycle' is 6, must be at most half of restart, 5"), "{refused}");
    }
}

/// Fewer unknowns than vectors to keep.
#[test]
fn tiny_systems_are_solved_with_any_memory() {
    for method in ["rbicgstab", "rcg", "eigcg", "rminres", "idr", "cocg", "cocr"] {
        for m in [1, 2, 3] {
            let runs = [Run::<f64>::new(method, "rtol=1e-12", "")];
            sequence(runs, 5, |i| Matrix::laplacian(m, 0.1 + 0.05 * i as f64), false, 1e-9);
            let runs = [Run::<f64>::new(method, "rtol=1e-12", "")];
            sequence(runs, 5, |_| Matrix::laplacian(m, 0.1), true, 1e-9);
        }
    }
}
