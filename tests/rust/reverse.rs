//! Solving by requests gives the bits of solving by callbacks, and leaves nothing behind.

use reknit::ffi::context::*;
use reknit::ffi::krylov::*;
use reknit::ffi::library::rkn_last_error;
use reknit::ffi::operator::*;
use reknit::ffi::reverse::*;
use reknit::ffi::status::*;
use std::cell::Cell;
use std::ffi::{c_void, CStr, CString};
use std::ptr::{null, null_mut};
use std::slice::{from_raw_parts, from_raw_parts_mut};

fn message() -> String {
    // SAFETY: valid until this thread's next failing call.
    unsafe { CStr::from_ptr(rkn_last_error()) }.to_string_lossy().into_owned()
}

fn done(status: i32) {
    assert_eq!(status, RKN_OK, "{}", message());
}

/// y <- A x on a grid of w x w: convection and diffusion, the diagonal raised by `shift`.
struct Grid {
    w: usize,
    shift: Cell<f64>,
}

impl Grid {
    fn multiply(&self, x: &[f64], y: &mut [f64]) {
        let w = self.w;
        for i in 0..w * w {
            let mut v = (4.0 + self.shift.get()) * x[i];
            if i % w > 0 { v -= 1.3 * x[i - 1] }
            if i % w + 1 < w { v -= 0.7 * x[i + 1] }
            if i >= w { v -= 1.2 * x[i - w] }
            if i + w < w * w { v -= 0.8 * x[i + w] }
            y[i] = v;
        }
    }

    unsafe fn columns(&self, ncols: i64, x: *const c_void, ldx: i64, y: *mut c_void, ldy: i64) {
        let n = self.w * self.w;
        for j in 0..ncols as usize {
            let x = from_raw_parts(x.cast::<f64>().add(j * ldx as usize), n);
            self.multiply(x, from_raw_parts_mut(y.cast::<f64>().add(j * ldy as usize), n));
        }
    }
}

unsafe extern "C" fn apply(user: *mut c_void, _: i32, ncols: i64, x: *const c_void, ldx: i64, y: *mut c_void, ldy: i64) -> i32 {
    (*user.cast::<Grid>()).columns(ncols, x, ldx, y, ldy);
    0
}

struct Host {
    grid: Box<Grid>,
    ctx: *mut rkn_context,
    a: *mut rkn_operator,
    s: *mut rkn_krylov,
    x: Vec<f64>,
}

impl Host {
    fn new(w: usize, threads: i64, by_request: bool, method: &str, options: &str) -> Self {
        let mut host = Host { grid: Box::new(Grid { w, shift: Cell::new(0.0) }), ctx: null_mut(), a: null_mut(), s: null_mut(), x: vec![0.0; w * w] };
        let (n, method, options) = ((w * w) as i64, CString::new(method).expect("no NUL"), CString::new(options).expect("no NUL"));
        let user: *const Grid = &*host.grid;
        // SAFETY: as documented; the grid outlives the operator.
        unsafe {
            done(rkn_context_create(&mut host.ctx));
            done(rkn_context_set_int(host.ctx, c"threads".as_ptr(), threads));
            done(match by_request {
                true => rkn_operator_create_request(host.ctx, RKN_F64, n, n, RKN_REQUEST_APPLY, &mut host.a),
                false => rkn_operator_create_callback(host.ctx, RKN_F64, n, n, Some(apply), user.cast_mut().cast(), None, &mut host.a),
            });
            done(rkn_krylov_create(host.ctx, method.as_ptr(), &mut host.s));
            done(rkn_krylov_set_options(host.s, options.as_ptr()));
        }
        host
    }

    fn changed(&self, shift: f64) {
        self.grid.shift.set(shift);
        // SAFETY: a live handle.
        done(unsafe { rkn_operator_changed(self.a) });
    }

    fn start(&mut self, b: &[f64]) {
        // SAFETY: b and x outlive the solve.
        done(unsafe { rkn_krylov_start(self.s, self.a, null(), b.as_ptr().cast(), self.x.as_mut_ptr().cast()) });
    }

    /// Serves at most `limit` requests; tells how many.
    fn serve(&mut self, limit: usize) -> (usize, i32) {
        for k in 0..limit {
            let mut request = null();
            // SAFETY: the request is valid until the next call.
            unsafe {
                let status = rkn_krylov_next(self.s, 0, &mut request);
                let r = &*request;
                if r.kind == RKN_REQUEST_DONE {
                    return (k, status);
                }
                done(status);
                self.grid.columns(r.ncols, r.x, r.ldx, r.y, r.ldy);
            }
        }
        (limit, RKN_OK)
    }

    fn bits(&self) -> Vec<u64> {
        self.x.iter().map(|v| v.to_bits()).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: handles of this host.
        unsafe {
            rkn_krylov_destroy(self.s);
            rkn_operator_destroy(self.a);
            rkn_context_destroy(self.ctx);
        }
    }
}

fn right_side(n: usize, step: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * (step + 3)) as f64).sin()).collect()
}

/// GCRO-DR over a sequence: what it remembers is the same, too. Large enough for the pool.
#[test]
fn a_sequence_has_the_same_bits() {
    let w = 160;
    for threads in [1, 3] {
        let options = "rtol=1e-7 restart=30 recycle=8";
        let mut by_callback = Host::new(w, 1, false, "gcrodr", options);
        let mut by_request = Host::new(w, threads, true, "gcrodr", options);
        for step in 0..4 {
            let (b, shift) = (right_side(w * w, step), 0.05 + 0.01 * step as f64);
            by_callback.changed(shift);
            by_request.changed(shift);
            // SAFETY: arrays as documented.
            done(unsafe { rkn_krylov_solve(by_callback.s, by_callback.a, null(), b.as_ptr().cast(), by_callback.x.as_mut_ptr().cast()) });
            by_request.start(&b);
            let (_, status) = by_request.serve(usize::MAX);
            done(status);
            assert_eq!(by_callback.bits(), by_request.bits(), "step {step}, {threads} threads");
        }
    }
}

/// Cancelling at any request loses nothing: what was known before still is.
#[test]
fn memory_survives_a_cancelled_solve() {
    let w = 12;
    for cut in 0..60 {
        let mut host = Host::new(w, 1, true, "gcrodr", "rtol=1e-10 restart=12 recycle=4");
        host.changed(0.1);
        let b = right_side(w * w, 0);
        host.start(&b);
        let (first, status) = host.serve(usize::MAX);
        done(status);
        host.start(&b);
        host.serve(cut);
        // SAFETY: a live handle.
        done(unsafe { rkn_krylov_cancel(host.s) });
        host.start(&b);
        let (again, status) = host.serve(usize::MAX);
        done(status);
        assert!(again < first, "cut at {cut}: {again} requests, {first} at first");
    }
}

/// A solve that is under way ends with its solver, on whatever thread that is destroyed.
#[test]
fn a_finalizer_may_destroy_a_solver_that_waits() {
    for cut in 0..20 {
        let mut host = Host::new(8, 1, true, "gmres", "rtol=1e-10");
        host.changed(0.1);
        let b = right_side(64, 1);
        host.start(&b);
        host.serve(cut);
        let s = host.s as usize;
        // SAFETY: destroying is allowed on any thread.
        std::thread::spawn(move || unsafe { rkn_krylov_destroy(s as *mut rkn_krylov) }).join().expect("no panic");
        let mut request = null();
        // SAFETY: a dead handle is refused.
        assert_eq!(unsafe { rkn_krylov_next(host.s, 0, &mut request) }, RKN_ERR_HANDLE);
    }
}
