//! Promise 3: after set-up a solve allocates nothing.

use reknit::krylov::{Krylov, Outcome, Setup};
use reknit::operator::sparse::{Compressed, Parts};
use reknit::operator::{precond, Operator};
use reknit::runtime::Context;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
        System.alloc(layout)
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        System.dealloc(p, layout)
    }
    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
        System.realloc(p, layout, size)
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// -u'' + shift on n points, as owned arrays behind one operator.
fn laplacian(context: &Arc<Context>, n: usize, shift: f64) -> Operator<f64> {
    let (mut ptr, mut ind, mut values) = (vec![0i32], Vec::new(), Vec::new());
    for i in 0..n {
        for (j, v) in [(i.wrapping_sub(1), -1.0), (i, 2.0 + shift), (i + 1, -1.0)] {
            if j < n {
                ind.push(j as i32);
                values.push(v);
            }
        }
        ptr.push(ind.len() as i32);
    }
    let parts = Parts { nrows: n, ncols: n, base: 0, ptr: Box::new(ptr), ind: Box::new(ind), values: Box::new(values), copied: true };
    Operator::new(context.clone(), Box::new(Compressed::csr(parts).unwrap()))
}

#[test]
#[allow(clippy::arc_with_non_send_sync)]
fn a_re_solve_allocates_nothing() {
    let n = 3000;
    for (method, options, spec) in [
        ("cg", "", "ic0"),
        ("minres", "", "jacobi"),
        ("gmres", "restart=20", "ilu0"),
        ("gmres", "restart=20 side=flexible basis=single", "ssor"),
        ("bicgstab", "", "ilu0"),
        ("gcrodr", "restart=20 recycle=6", "jacobi"),
        ("gcrodr", "restart=20 recycle=6 basis=single", "jacobi"),
        ("rbicgstab", "restart=20 recycle=6", "ilu0"),
        ("rcg", "restart=20 recycle=6", "ic0"),
        ("eigcg", "restart=20 recycle=6", "ic0"),
        ("eigcg", "restart=40 recycle=20 initial_guess=pod window=6", "jacobi"),
        ("rminres", "restart=20 recycle=6", "jacobi"),
        ("idr", "", "ilu0"),
        ("cocg", "", "ic0"),
        ("cocr", "", "ic0"),
    ] {
        let context = Arc::new(Context::new());
        let mut setup = Setup::new(context.clone(), method).unwrap();
        setup.options.set_all(&format!("{options} rtol=1e-6 max_iterations=400")).unwrap();
        let a = laplacian(&context, n, 0.01);
        let m = precond::create(context.clone(), &a, spec).unwrap();
        let numbers: Vec<f64> = laplacian_values(n, 0.012);
        let b = vec![1.0; n];
        let mut x = vec![0.0; n];
        let mut solver = Krylov::default();
        for _ in 0..2 {
            let outcome = solver.solve(&setup, &a, Some(&m), &b, &mut x);
            assert!(matches!(outcome, Ok(Outcome::Converged)), "{method}: {outcome:?}");
        }
        // New numbers (set_values may allocate its copy), a refreshed preconditioner, another solve.
        a.set_values(&numbers).unwrap();
        let before = ALLOCATIONS.with(|c| c.get());
        m.changed().unwrap();
        let outcome = solver.solve(&setup, &a, Some(&m), &b, &mut x);
        let allocated = ALLOCATIONS.with(|c| c.get()) - before;
        assert!(matches!(outcome, Ok(Outcome::Converged)), "{method}: {outcome:?}");
        assert_eq!(allocated, 0, "{method} {options} {spec}");
    }
}

fn laplacian_values(n: usize, shift: f64) -> Vec<f64> {
    (0..n).flat_map(|i| [(i > 0, -1.0), (true, 2.0 + shift), (i + 1 < n, -1.0)]).filter(|(there, _)| *there).map(|(_, v)| v).collect()
}
