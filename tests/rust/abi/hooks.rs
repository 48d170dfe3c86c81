//! Callbacks in every mood: right, failing, delivering NaN, calling back into the running handles,
//! destroying them. What they find wrong is kept as complaints: a callback must not unwind.

use super::numbers::{Buffer, C64, NAN};
use super::transport::Costs;
use super::truth::Leaf;
use reknit::ffi::callback::rkn_progress;
use reknit::ffi::geometry::{rkn_geometry, rkn_geometry_destroy};
use reknit::ffi::krylov::*;
use reknit::ffi::operator::*;
use reknit::ffi::reverse::*;
use reknit::ffi::sinkhorn::{rkn_sinkhorn, rkn_sinkhorn_destroy};
use reknit::ffi::status::*;
use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_void, CStr};
use std::ptr::{null, null_mut};
use std::rc::Rc;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Mood {
    Good,
    /// Returns this.
    Fail(i32),
    Nan,
    /// Calls the running solver and operator.
    Reenter,
    /// Destroys them.
    Destroy,
    /// Writes other numbers from time to time.
    Fickle,
}

/// The handles inside which the library is at the moment.
pub struct Running {
    pub solver: Cell<*mut rkn_krylov>,
    pub operator: Cell<*mut rkn_operator>,
    pub sinkhorn: Cell<*mut rkn_sinkhorn>,
    pub geometry: Cell<*mut rkn_geometry>,
    /// The transport solver is only read.
    pub reading: Cell<bool>,
    pub destroyed: Cell<bool>,
    inside: Cell<bool>,
    pub complaints: RefCell<Vec<String>>,
}

impl Running {
    pub fn new() -> Rc<Self> {
        Rc::new(Running {
            solver: Cell::new(null_mut()),
            operator: Cell::new(null_mut()),
            sinkhorn: Cell::new(null_mut()),
            geometry: Cell::new(null_mut()),
            reading: Cell::new(false),
            destroyed: Cell::new(false),
            inside: Cell::new(false),
            complaints: RefCell::new(Vec::new()),
        })
    }

    pub fn expect(&self, what: &str, status: i32, wanted: i32) {
        if status != wanted {
            self.complaints.borrow_mut().push(format!("{what} from a callback: {status}, not {wanted}"));
        }
    }

    /// Calls that must be refused as busy, and calls that must work.
    ///
    /// SAFETY: the handles are in use, so alive.
    unsafe fn reenter(&self) {
        self.reenter_transport();
        let (s, a) = (self.solver.get(), self.operator.get());
        let (mut k, mut r) = (0i64, 0f64);
        if !s.is_null() {
            let x = 0f64;
            self.expect("solve", rkn_krylov_solve(s, a, null(), (&raw const x).cast(), (&raw mut r).cast()), RKN_ERR_BUSY);
            self.expect("start", rkn_krylov_start(s, a, null(), (&raw const x).cast(), (&raw mut r).cast()), RKN_ERR_BUSY);
            self.expect("start_prepare", rkn_krylov_start_prepare(s, a, null()), RKN_ERR_BUSY);
            self.expect("next", rkn_krylov_next(s, 0, &mut null()), RKN_ERR_BUSY);
            self.expect("cancel", rkn_krylov_cancel(s), RKN_ERR_BUSY);
            self.expect("prepare", rkn_krylov_prepare(s, a, null()), RKN_ERR_BUSY);
            self.expect("set_int", rkn_krylov_set_int(s, c"max_iterations".as_ptr(), 1), RKN_ERR_BUSY);
            self.expect("set_options", rkn_krylov_set_options(s, c"rtol=1".as_ptr()), RKN_ERR_BUSY);
            self.expect("set_monitor", rkn_krylov_set_monitor(s, None, null_mut(), None), RKN_ERR_BUSY);
            self.expect("set_converged", rkn_krylov_set_converged(s, None, null_mut(), None), RKN_ERR_BUSY);
            self.expect("set_inner", rkn_krylov_set_inner(s, None, null_mut(), None), RKN_ERR_BUSY);
            self.expect("set_weights", rkn_krylov_set_weights(s, 0, null()), RKN_ERR_BUSY);
            self.expect("set_scaling", rkn_krylov_set_scaling(s, 0, null(), null()), RKN_ERR_BUSY);
            self.expect("forget", rkn_krylov_forget(s), RKN_ERR_BUSY);
            self.expect("get_int", rkn_krylov_get_int(s, c"iterations".as_ptr(), &mut k), 0);
            self.expect("get_real", rkn_krylov_get_real(s, c"residual_norm".as_ptr(), &mut r), 0);
            self.expect("get_string", rkn_krylov_get_string(s, c"reason".as_ptr(), null_mut(), 0, &mut k), 0);
            self.expect("view", rkn_krylov_view(s, null_mut(), 0, &mut k), 0);
            self.expect("history", rkn_krylov_history(s, null_mut(), 0, &mut k), 0);
            let mut norms = vec![0.0; k as usize];
            self.expect("history", rkn_krylov_history(s, norms.as_mut_ptr(), k, &mut k), 0);
        }
        if !a.is_null() {
            let (mut rows, mut cols, mut scalar) = (0, 0, 0);
            self.expect("changed", rkn_operator_changed(a), RKN_ERR_BUSY);
            self.expect("set_values", rkn_operator_set_values(a, (&raw const k).cast()), RKN_ERR_BUSY);
            self.expect("set_nullspace", rkn_operator_set_nullspace(a, RKN_LEFT, 0, null(), 0), RKN_ERR_BUSY);
            self.expect("operator_set_int", rkn_operator_set_int(a, c"hermitian".as_ptr(), 0), RKN_ERR_BUSY);
            self.expect("operator_get_int", rkn_operator_get_int(a, c"products".as_ptr(), &mut k), 0);
            self.expect("operator_view", rkn_operator_view(a, null_mut(), 0, &mut k), 0);
            self.expect("shape", rkn_operator_shape(a, &mut rows, &mut cols), 0);
            self.expect("scalar", rkn_operator_scalar(a, &mut scalar), 0);
            // There are no vectors for an identity of an order beyond memory.
            if rows.max(cols) < 1000 {
                let x = Buffer::new(scalar, &vec![C64::from(1.0); cols as usize]);
                let mut y = Buffer::new(scalar, &vec![NAN; rows as usize]);
                let status = rkn_operator_apply(a, RKN_N, 1, x.pointer(), cols, y.pointer_mut(), rows);
                if ![0, RKN_ERR_CALLBACK, RKN_ERR_STATE, RKN_ERR_UNSUPPORTED].contains(&status) {
                    self.expect("apply", status, 0);
                }
            }
        }
        poisson(|what| self.complaints.borrow_mut().push(format!("{what} from a callback")));
    }

    unsafe fn destroy(&self) {
        if !self.destroyed.replace(true) {
            rkn_krylov_destroy(self.solver.replace(null_mut()));
            rkn_operator_destroy(self.operator.replace(null_mut()));
            rkn_sinkhorn_destroy(self.sinkhorn.replace(null_mut()));
            rkn_geometry_destroy(self.geometry.replace(null_mut()));
        }
    }
}

/// -u'' = 1 on n points by a solver of its own; what is wrong goes to `complain`.
fn poisson(complain: impl Fn(&str)) {
    let (n, mut a, mut s) = (5usize, null_mut(), null_mut());
    let (mut ptr, mut ind, mut val) = (vec![0i32], Vec::new(), Vec::new());
    for i in 0..n {
        for (j, v) in [(i.wrapping_sub(1), -1.0), (i, 2.0), (i + 1, -1.0)] {
            if j < n {
                ind.push(j as i32);
                val.push(v);
            }
        }
        ptr.push(ind.len() as i32);
    }
    let (b, mut x) = (vec![1.0f64; n], vec![f64::NAN; n]);
    let (size, rowptr, colind, values) = (n as i64, ptr.as_ptr().cast(), ind.as_ptr().cast(), val.as_ptr().cast());
    // SAFETY: arrays as documented.
    unsafe {
        if rkn_operator_create_csr(null(), RKN_F64, size, size, RKN_I32, 0, rowptr, colind, values, RKN_BORROW, &mut a) != 0
            || rkn_krylov_create(null(), c"gcrodr".as_ptr(), &mut s) != 0
            || rkn_krylov_solve(s, a, null(), b.as_ptr().cast(), x.as_mut_ptr().cast()) != 0
        {
            complain("a solve fails");
        }
        rkn_krylov_destroy(s);
        rkn_operator_destroy(a);
    }
    if (0..n).any(|i| !((x[i] - ((i + 1) * (n - i)) as f64 / 2.0).abs() < 1e-6)) {
        complain("a solution is wrong");
    }
}

pub struct Hook {
    pub mood: Mood,
    pub calls: Cell<u32>,
    pub released: Cell<u32>,
    /// Whether the library said that it keeps the hook.
    pub kept: Cell<bool>,
    pub scalar: i32,
    /// What an apply callback multiplies with.
    pub leaf: Option<Rc<Leaf>>,
    /// What a row callback writes.
    pub rows: RefCell<Option<Rc<Costs>>>,
    pub running: Rc<Running>,
}

impl Hook {
    pub fn new(mood: Mood, scalar: i32, leaf: Option<Rc<Leaf>>, running: &Rc<Running>) -> Rc<Self> {
        Rc::new(Hook { mood, calls: Cell::new(0), released: Cell::new(0), kept: Cell::new(false), scalar, leaf, rows: RefCell::default(), running: running.clone() })
    }

    pub fn user(self: &Rc<Self>) -> *mut c_void {
        Rc::as_ptr(self).cast_mut().cast()
    }

    /// Behaves. Tells what to return, and whether to deliver NaN.
    pub unsafe fn behave(&self) -> (i32, bool) {
        self.calls.set(self.calls.get() + 1);
        if self.released.get() > 0 {
            self.running.complaints.borrow_mut().push("a hook is called after its release".to_string());
        }
        // At most one level deep, and not at each of thousands of calls.
        if self.running.inside.get() || self.calls.get() > 40 && self.mood == Mood::Reenter {
            return (0, false);
        }
        self.running.inside.set(true);
        match self.mood {
            Mood::Reenter => self.running.reenter(),
            Mood::Destroy => self.running.destroy(),
            _ => {}
        }
        self.running.inside.set(false);
        match self.mood {
            // The first calls go well.
            Mood::Fail(code) if self.calls.get() > 2 => (code, false),
            Mood::Nan if self.calls.get() > 2 => (0, true),
            _ => (0, false),
        }
    }
}

pub unsafe fn hook<'a>(user: *mut c_void) -> &'a Hook {
    &*user.cast::<Hook>()
}

pub unsafe extern "C" fn release(user: *mut c_void) {
    let hook = hook(user);
    hook.released.set(hook.released.get() + 1);
    if hook.mood == Mood::Reenter && !hook.running.inside.replace(true) {
        poisson(|what| hook.running.complaints.borrow_mut().push(format!("{what} from a release")));
        hook.running.inside.set(false);
    }
}

unsafe fn column(scalar: i32, data: *const c_void, at: usize, n: usize) -> Vec<C64> {
    match scalar {
        RKN_F32 => (0..n).map(|i| C64::from(*data.cast::<f32>().add(at + i) as f64)).collect(),
        RKN_F64 => (0..n).map(|i| C64::from(*data.cast::<f64>().add(at + i))).collect(),
        RKN_C32 => (0..n).map(|i| data.cast::<f32>().add(2 * (at + i))).map(|p| C64::new(*p as f64, *p.add(1) as f64)).collect(),
        _ => (0..n).map(|i| data.cast::<f64>().add(2 * (at + i))).map(|p| C64::new(*p, *p.add(1))).collect(),
    }
}

unsafe fn put(scalar: i32, data: *mut c_void, at: usize, numbers: &[C64]) {
    for (i, z) in numbers.iter().enumerate() {
        match scalar {
            RKN_F32 => *data.cast::<f32>().add(at + i) = z.re as f32,
            RKN_F64 => *data.cast::<f64>().add(at + i) = z.re,
            RKN_C32 => *data.cast::<[f32; 2]>().add(at + i) = [z.re as f32, z.im as f32],
            _ => *data.cast::<[f64; 2]>().add(at + i) = [z.re, z.im],
        }
    }
}

pub unsafe extern "C" fn apply(user: *mut c_void, trans: i32, ncols: i64, x: *const c_void, ldx: i64, y: *mut c_void, ldy: i64) -> i32 {
    let hook = hook(user);
    let (code, nan) = hook.behave();
    let leaf = hook.leaf.as_ref().expect("an apply hook has a matrix");
    let matrix = if trans == RKN_N { leaf.dense() } else { leaf.dense().adjoint(trans == RKN_H) };
    if ldx < matrix.cols as i64 || ldy < matrix.rows as i64 {
        hook.running.complaints.borrow_mut().push(format!("leading dimensions {ldx}, {ldy} for {} x {}", matrix.rows, matrix.cols));
        return 1;
    }
    for j in 0..ncols as usize {
        let mut out = matrix.times(&column(hook.scalar, x, j * ldx as usize, matrix.cols));
        if let (true, Some(first)) = (nan, out.first_mut()) {
            *first = NAN;
        }
        put(hook.scalar, y, j * ldy as usize, &out);
    }
    code
}

pub unsafe extern "C" fn reduce(user: *mut c_void, _op: i32, n: i64, inout: *mut f64) -> i32 {
    let (code, nan) = hook(user).behave();
    if nan && n > 0 {
        *inout = f64::NAN;
    }
    code
}

pub unsafe extern "C" fn log(user: *mut c_void, _level: i32, line: *const c_char) {
    let hook = hook(user);
    hook.behave();
    if CStr::from_ptr(line).to_bytes().is_empty() {
        hook.running.complaints.borrow_mut().push("an empty log line".to_string());
    }
}

pub unsafe extern "C" fn monitor(user: *mut c_void, progress: *const rkn_progress) -> i32 {
    if (*progress).size != size_of::<rkn_progress>() as i64 {
        hook(user).running.complaints.borrow_mut().push("a progress struct of another size".to_string());
    }
    hook(user).behave().0
}

pub unsafe extern "C" fn converged(user: *mut c_void, iteration: i64, norm: f64, target: f64, answer: *mut i32) -> i32 {
    *answer = (norm <= target || iteration > 60) as i32;
    hook(user).behave().0
}

pub unsafe extern "C" fn inner(
    user: *mut c_void,
    n: i64,
    k: i64,
    x: *const c_void,
    ldx: i64,
    l: i64,
    y: *const c_void,
    ldy: i64,
    out: *mut f64,
) -> i32 {
    let hook = hook(user);
    let (code, nan) = hook.behave();
    // The scalar of the running solve, which the hook was not told at its making.
    let mut scalar = RKN_F64;
    let a = hook.running.operator.get();
    if !a.is_null() {
        rkn_operator_scalar(a, &mut scalar);
    } else {
        scalar = hook.running_scalar();
    }
    let complex = super::numbers::is_complex(scalar);
    for j in 0..l as usize {
        let y = column(scalar, y, j * ldy as usize, n as usize);
        for i in 0..k as usize {
            let x = column(scalar, x, i * ldx as usize, n as usize);
            let mut z: C64 = x.iter().zip(&y).map(|(x, y)| x.conj() * y).sum();
            if nan {
                z = NAN;
            }
            let at = j * k as usize + i;
            if complex {
                *out.add(2 * at) = z.re;
                *out.add(2 * at + 1) = z.im;
            } else {
                *out.add(at) = z.re;
            }
        }
    }
    code
}

thread_local! {
    /// The scalar of the running solve, once its operator's handle is destroyed.
    pub static SCALAR: Cell<i32> = const { Cell::new(RKN_F64) };
}

impl Hook {
    fn running_scalar(&self) -> i32 {
        SCALAR.with(|s| s.get())
    }
}
