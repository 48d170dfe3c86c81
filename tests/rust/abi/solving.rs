//! Calls on solvers.

use super::hooks::{self, Hook, Mood, SCALAR};
use super::making::{METHODS, PRECONDITIONERS};
use super::numbers::{bits, epsilon, Buffer, C64, NAN};
use super::truth::Matrix;
use super::world::{text, Call, World, MARK};
use reknit::ffi::krylov::*;
use reknit::ffi::library::rkn_last_error;
use reknit::ffi::operator::*;
use reknit::ffi::reverse::*;
use reknit::ffi::status::*;
use std::ffi::{c_void, CString};
use std::ptr::{null, null_mut};

const INTS: &[(&str, &[i64])] = &[
    ("max_iterations", &[0, 1, 5, 300, 300, -1, i64::MIN]),
    ("restart", &[2, 3, 10, 50, 1000, 1, 1001, i64::MAX]),
    ("recycle", &[1, 2, 4, 499, 0, 500, -1]),
    ("shadow", &[1, 2, 4, 100, 0, 101]),
    ("rtol", &[0, 1, 2, -1]),
    ("iterations", &[1]),
    ("side", &[1]),
    ("no such key", &[1]),
    ("", &[0]),
];

const REALS: &[(&str, &[f64])] = &[
    ("rtol", &[1e-8, 1e-4, 0.0, 1.0, -1e-300, 2.0, f64::NAN, f64::INFINITY]),
    ("atol", &[0.0, 1e-9, f64::MAX, -1.0, f64::NEG_INFINITY]),
    ("time_limit", &[0.0, 1e-9, 10.0, -1.0, f64::NAN]),
    ("max_iterations", &[3.0]),
    ("target", &[1.0]),
    ("", &[1.0]),
];

const TEXTS: &[(&str, &[&str])] = &[
    ("reference", &["rhs", "initial", "none", "None", ""]),
    ("norm", &["true", "preconditioned", "weighted", "2"]),
    ("verify", &["always", "near", "never", "sometimes"]),
    ("initial_guess", &["zero", "x", "previous", "y"]),
    ("side", &["left", "right", "flexible", "middle"]),
    ("basis", &["auto", "full", "single", "double"]),
    ("test_basis", &["krylov", "search", ""]),
    ("orthogonalization", &["delayed", "once", "twice"]),
    ("restart", &["7", " 7", "7.0", "0x7", "99999999999999999999"]),
    ("rtol", &["1e-3", "nan", "inf", "", "1e-400", "1e400"]),
    ("method", &["cg"]),
];

const LINES: &[&str] = &[
    "",
    "rtol=1e-6 max_iterations=200",
    "restart=12, recycle=4",
    "side=flexible basis=single",
    "preconditioner='jacobi' initial_guess=previous",
    "rtol=1e-3 side=nowhere",
    "restart",
    "=",
    "rtol=1e-3 rtol",
    "preconditioner='ilu",
    "reference=initial norm=preconditioned verify=near",
    ",,, \t\n",
    "rtol==1",
    "\u{FFFD}=1",
];

const RESULTS: &[&str] = &[
    "method", "iterations", "applies", "recycle_applies", "verify_applies", "preconditioner_applies", "reductions", "restarts", "recycled",
    "reorthogonalizations", "solves", "rebuilds", "status", "callback_status", "residual_norm", "relative_residual", "recurrence_norm", "target",
    "setup_seconds", "solve_seconds", "reason", "rtol", "side", "preconditioner", "restart", "nothing", "",
];

/// -u'' on n points.
fn poisson(n: usize) -> *mut rkn_operator {
    tridiagonal(n, [-1.0, 2.0, -1.0])
}

fn tridiagonal(n: usize, [below, on, above]: [f64; 3]) -> *mut rkn_operator {
    let (mut ptr, mut ind, mut val, mut a) = (vec![1i64], Vec::new(), Vec::new(), null_mut());
    for i in 0..n {
        for (j, v) in [(i.wrapping_sub(1), below), (i, on), (i + 1, above)] {
            if j < n && v != 0.0 {
                ind.push(j as i64 + 1);
                val.push(v);
            }
        }
        ptr.push(ind.len() as i64 + 1);
    }
    let (size, rowptr, colind, values) = (n as i64, ptr.as_ptr().cast(), ind.as_ptr().cast(), val.as_ptr().cast());
    // SAFETY: arrays as documented.
    let status = unsafe { rkn_operator_create_csr(null(), RKN_F64, size, size, RKN_I64, 1, rowptr, colind, values, RKN_COPY, &mut a) };
    assert_eq!(status, 0);
    a
}

impl World<'_> {
    /// An option by key, right or garbage.
    pub fn set_option(&mut self) {
        let way = self.rng.below(5);
        let name = ["rkn_krylov_set_int", "rkn_krylov_set_real", "rkn_krylov_set_string", "rkn_krylov_set_options", "rkn_krylov_set_string"][way];
        let (mut call, mut key_keep, mut value_keep) = (Call::new(name), CString::default(), CString::default());
        let (_, s) = self.solver(&mut call);
        // Whether key and value suit the method is the registry's own test.
        call.may_be_anything();
        let status = match way {
            0 => {
                let (key, values) = self.rng.pick(INTS);
                let value = self.rng.pick(values);
                let pointer = self.text(&mut call, key, &mut key_keep);
                self.announce(&call, || format!("{s:?} {key} {value}"));
                unsafe { rkn_krylov_set_int(s, pointer, value) }
            }
            1 => {
                let (key, values) = self.rng.pick(REALS);
                let value = self.rng.pick(values);
                if !value.is_finite() {
                    [RKN_ERR_NONFINITE, RKN_ERR_KEY].into_iter().for_each(|status| call.wrong(status));
                }
                let pointer = self.text(&mut call, key, &mut key_keep);
                self.announce(&call, || format!("{s:?} {key} {value}"));
                unsafe { rkn_krylov_set_real(s, pointer, value) }
            }
            3 => {
                let line = self.rng.pick(LINES);
                let pointer = self.text(&mut call, line, &mut key_keep);
                self.announce(&call, || format!("{s:?} {line}"));
                unsafe { rkn_krylov_set_options(s, pointer) }
            }
            _ => {
                let (mut key, values) = self.rng.pick(TEXTS);
                let mut value = self.rng.pick(values);
                if self.rng.rarely(3) {
                    (key, value) = ("preconditioner", self.rng.pick(PRECONDITIONERS));
                } else if self.rng.rarely(12) {
                    (key, value) = ("preconditioner", self.rng.pick(&["", "no such kind", "ilu levels=x", "jacobi block=1"]));
                }
                let (k, v) = (self.text(&mut call, key, &mut key_keep), self.text(&mut call, value, &mut value_keep));
                self.announce(&call, || format!("{s:?} {key} {value}"));
                unsafe { rkn_krylov_set_string(s, k, v) }
            }
        };
        self.judge(&call, status);
    }

    pub fn set_hook_or_weights(&mut self) {
        let kind = self.rng.below(5);
        const NAMES: [&str; 5] = ["rkn_krylov_set_monitor", "rkn_krylov_set_converged", "rkn_krylov_set_inner", "rkn_krylov_set_weights", "rkn_krylov_set_scaling"];
        let mut call = Call::new(NAMES[kind]);
        let (i, s) = self.solver(&mut call);
        if kind >= 3 {
            return self.set_weights(call, i, s);
        }
        let hook = Hook::new(self.mood(), RKN_F64, None, &self.running);
        self.hooks.push(hook.clone());
        let off = self.rng.rarely(3);
        let (user, release) = (hook.user(), Some(hooks::release as unsafe extern "C" fn(*mut c_void)));
        if kind == 2 && !off && i.is_some_and(|i| self.solvers[i].weights.is_some()) {
            call.wrong(RKN_ERR_STATE);
        }
        self.announce(&call, || format!("{s:?} off {off} {:?}", hook.mood));
        let status = unsafe {
            match (kind, off) {
                (0, false) => rkn_krylov_set_monitor(s, Some(hooks::monitor), user, release),
                (0, true) => rkn_krylov_set_monitor(s, None, user, release),
                (1, false) => rkn_krylov_set_converged(s, Some(hooks::converged), user, release),
                (1, true) => rkn_krylov_set_converged(s, None, user, release),
                (_, false) => rkn_krylov_set_inner(s, Some(hooks::inner), user, release),
                (_, true) => rkn_krylov_set_inner(s, None, user, release),
            }
        };
        hook.kept.set(status == 0 && !off);
        self.judge(&call, status);
        if let (Some(i), 0) = (i, status) {
            let solver = &mut self.solvers[i];
            match kind {
                0 => {}
                1 => solver.own_test = !off,
                _ => solver.inner = !off,
            }
            solver.moody |= matches!(hook.mood, Mood::Fail(_) | Mood::Nan);
        }
    }

    fn set_weights(&mut self, mut call: Call, i: Option<usize>, s: *mut rkn_krylov) {
        let n = self.rng.pick(&[0usize, 1, 2, 4, 4, 5, 6, 9]);
        let mut arrays = [0, 1].map(|_| (0..n).map(|_| 0.5 + self.rng.below(8) as f64 / 4.0).collect::<Vec<f64>>());
        let weights = call.name == "rkn_krylov_set_weights";
        let given = [!self.rng.rarely(3), !weights && !self.rng.rarely(3)];
        for (array, given) in arrays.iter_mut().zip(given) {
            if given && n > 0 && self.rng.rarely(12) {
                let (bad, status) = self.rng.pick(&[
                    (0.0, RKN_ERR_ARGUMENT),
                    (-0.0, RKN_ERR_ARGUMENT),
                    (-1.0, RKN_ERR_ARGUMENT),
                    (f64::NAN, RKN_ERR_NONFINITE),
                    (f64::INFINITY, RKN_ERR_NONFINITE),
                ]);
                array[n - 1] = bad;
                call.wrong(status);
            }
        }
        let size = if self.rng.rarely(20) && given[0] {
            call.wrong(RKN_ERR_SIZE);
            self.rng.pick(&[-1, i64::MIN, i64::MAX, 1 << 60])
        } else {
            n as i64
        };
        if weights && given[0] && i.is_some_and(|i| self.solvers[i].inner) {
            call.wrong(RKN_ERR_STATE);
        }
        let pointers = [0, 1].map(|k| if given[k] { arrays[k].as_ptr() } else { null() });
        self.announce(&call, || format!("{s:?} {size}, given {given:?}"));
        let status = unsafe {
            match weights {
                true => rkn_krylov_set_weights(s, size, pointers[0]),
                false => rkn_krylov_set_scaling(s, size, pointers[0], pointers[1]),
            }
        };
        self.judge(&call, status);
        if let (Some(i), 0) = (i, status) {
            match weights {
                true => self.solvers[i].weights = given[0].then_some(n),
                false => self.solvers[i].scaling = given.map(|given| given.then_some(n)),
            }
        }
    }

    pub fn ask_solver(&mut self) {
        let way = self.rng.below(6);
        const NAMES: [&str; 6] =
            ["rkn_krylov_get_int", "rkn_krylov_get_real", "rkn_krylov_get_string", "rkn_krylov_view", "rkn_krylov_history", "rkn_krylov_option"];
        let (mut call, mut keep) = (Call::new(NAMES[way]), CString::default());
        if way == 5 {
            return self.ask_option();
        }
        let (_, s) = self.solver(&mut call);
        let key = self.rng.pick(RESULTS);
        match way {
            0 | 1 => {
                if key == "nothing" || key.is_empty() {
                    call.wrong(RKN_ERR_KEY);
                }
                call.may(RKN_ERR_KEY);
                let pointer = self.text(&mut call, key, &mut keep);
                let (mut int, mut real) = (-(MARK as i64), -(MARK as f64));
                let none = self.rng.rarely(25);
                if none {
                    call.wrong(RKN_ERR_NULL);
                }
                self.announce(&call, || format!("{s:?} {key}"));
                let status = unsafe {
                    match way {
                        0 => rkn_krylov_get_int(s, pointer, if none { null_mut() } else { &mut int }),
                        _ => rkn_krylov_get_real(s, pointer, if none { null_mut() } else { &mut real }),
                    }
                };
                self.judge(&call, status);
                let untouched = int == -(MARK as i64) && real == -(MARK as f64);
                assert!(untouched == (status != 0), "seed {} step {}: {key} and status {status}", self.seed, self.steps);
            }
            2 => {
                if key == "nothing" || key.is_empty() {
                    call.wrong(RKN_ERR_KEY);
                }
                let pointer = self.text(&mut call, key, &mut keep);
                self.announce(&call, || format!("{s:?} {key}"));
                self.read_text(call, |buf, cap, need| unsafe { rkn_krylov_get_string(s, pointer, buf, cap, need) });
            }
            3 => {
                self.announce(&call, || format!("{s:?}"));
                self.read_text(call, |buf, cap, need| unsafe { rkn_krylov_view(s, buf, cap, need) });
            }
            _ => {
                let mut need = -1;
                self.announce(&call, || format!("{s:?}"));
                let status = unsafe { rkn_krylov_history(s, null_mut(), 0, &mut need) };
                self.judge(&call, status);
                if status != 0 {
                    return assert_eq!(need, -1);
                }
                let mut norms = vec![-1.0f64; need as usize];
                let short = need > 0 && self.rng.rarely(4);
                if short {
                    call.wrong(RKN_ERR_SIZE);
                }
                let status = unsafe { rkn_krylov_history(s, norms.as_mut_ptr(), need - short as i64, null_mut()) };
                self.judge(&call, status);
                assert!(short || norms.iter().all(|norm| !(*norm < 0.0)));
            }
        }
    }

    fn ask_option(&mut self) {
        let mut call = Call::new("rkn_krylov_option");
        let i = self.rng.pick(&[0, 3, 20, -1, 1000, i64::MAX, i64::MIN]);
        if !(0..25).contains(&i) {
            call.wrong(RKN_ERR_INDEX);
        }
        let (mut key, mut kind) = (MARK as *const i8, MARK as *const i8);
        let status = unsafe { rkn_krylov_option(i, (&raw mut key).cast(), (&raw mut kind).cast(), null_mut()) };
        self.judge(&call, status);
        assert!((status == 0) != (key as usize == MARK) && (status == 0) != (kind as usize == MARK));
    }

    fn option(&self, s: *mut rkn_krylov, key: &str) -> String {
        let (key, mut buf) = (CString::new(key).expect("no NUL"), vec![0u8; 200]);
        // SAFETY: alive, and room as stated.
        assert_eq!(unsafe { rkn_krylov_get_string(s, key.as_ptr(), buf.as_mut_ptr().cast(), 200, null_mut()) }, 0);
        text(buf.as_ptr().cast())
    }

    /// What an operator is, for messages.
    fn view(&self, a: *const rkn_operator) -> String {
        let mut buf = vec![0u8; 2000];
        // SAFETY: room as stated.
        unsafe { rkn_operator_view(a, buf.as_mut_ptr().cast(), 2000, null_mut()) };
        text(buf.as_ptr().cast())
    }

    /// A solve, or what goes with one.
    pub fn solve(&mut self) {
        let way = self.rng.pick(&[0, 0, 0, 0, 0, 1, 2]);
        let mut call = Call::new(["rkn_krylov_solve", "rkn_krylov_prepare", "rkn_krylov_forget"][way]);
        let (i, s) = self.solver(&mut call);
        if way == 2 {
            self.announce(&call, || format!("{s:?}"));
            let status = unsafe { rkn_krylov_forget(s) };
            return self.judge(&call, status);
        }
        let (a, a_handle) = self.operator(&mut call, |o| o.rows == o.cols && o.rows < 1000);
        let (scalar, n, cols) = a.map_or((RKN_F64, 4, 4), |a| (self.operators[a].scalar, self.operators[a].rows, self.operators[a].cols));
        let (m, m_handle) = match self.rng.rarely(3) {
            true => self.operator(&mut Call::new("M"), |o| o.scalar == scalar && (o.rows, o.cols) == (n, n)),
            false => (None, null_mut()),
        };
        if m.is_none() && !m_handle.is_null() {
            call.wrong(RKN_ERR_HANDLE);
        }
        if n != cols {
            call.wrong(RKN_ERR_SIZE);
        }
        let own = i.map_or(String::new(), |_| self.option(s, "preconditioner"));
        if let Some(i) = i {
            let lengths = [self.solvers[i].weights, self.solvers[i].scaling[0], self.solvers[i].scaling[1]];
            if lengths.iter().flatten().any(|length| *length != n) {
                call.wrong(RKN_ERR_SIZE);
            }
            if self.option(s, "reference") == "none" && self.option(s, "atol").parse::<f64>() == Ok(0.0) {
                call.wrong(RKN_ERR_STATE);
            }
            if !m_handle.is_null() && !own.is_empty() {
                call.wrong(RKN_ERR_ARGUMENT);
            }
        }
        if let (Some(_), Some(m)) = (a, m) {
            let m = &self.operators[m];
            if m.scalar != scalar {
                call.wrong(RKN_ERR_SCALAR);
            }
            if (m.rows, m.cols) != (n, n) {
                call.wrong(RKN_ERR_SIZE);
            }
        }
        // The problem may be singular, its preconditioner broken, its hooks in a mood, an interrupt
        // pending: any documented end is an end.
        call.may_be_anything();
        if i.is_some_and(|i| self.solvers[i].context) {
            // A reduction hook may fail in the vote on the arguments.
            [RKN_ERR_CALLBACK, RKN_ERR_NONFINITE].into_iter().for_each(|status| call.may(status));
        }
        self.running.solver.set(if i.is_some() { s } else { null_mut() });
        // That vote is held after the operators are let go.
        let told = !call.is_wrong();
        self.running.operator.set(if told { a_handle } else { null_mut() });
        SCALAR.with(|c| c.set(scalar));
        let length = if n > 1000 { 0 } else { n };
        if way == 1 {
            self.announce(&call, || format!("{s:?} A {a_handle:?} {n} x {cols} scalar {scalar}, M {m_handle:?}, own '{own}'"));
            let status = unsafe { rkn_krylov_prepare(s, a_handle, m_handle) };
            let destroyed = self.running.destroyed.get();
            self.judge(&call, status);
            if destroyed {
                self.bury(i, a.filter(|_| told));
            }
            return;
        }
        let mut b = self.rng.vector(scalar, length);
        let huge = self.rng.rarely(20) && (scalar == RKN_F64 || scalar == RKN_C64);
        if huge {
            let by = self.rng.pick(&[1e300, 1e-300, 1e-320]);
            b.iter_mut().for_each(|v| *v *= by);
        }
        if length > 0 && self.rng.rarely(25) {
            let at = self.rng.below(length);
            b[at] = self.rng.pick(&[NAN, C64::from(f64::NEG_INFINITY)]);
            call.wrong(RKN_ERR_NONFINITE);
        }
        let (guess, verify) = (self.option_of(i, s, "initial_guess"), self.option_of(i, s, "verify"));
        let start = self.rng.vector(scalar, length);
        let (b_buffer, mut x) = (Buffer::new(scalar, &b), Buffer::new(scalar, &if guess == "x" { start } else { vec![NAN; length] }));
        let before = bits(&x);
        let (mut bp, mut xp) = (b_buffer.pointer(), x.pointer_mut());
        if length > 0 {
            match self.rng.below(50) {
                0 => (bp, _) = (null(), call.wrong(RKN_ERR_NULL)),
                1 => (xp, _) = (null_mut(), call.wrong(RKN_ERR_NULL)),
                2 => (bp, _) = (xp.cast_const(), call.wrong(RKN_ERR_ARGUMENT)),
                3 => (xp, _) = (xp.wrapping_byte_add(1), call.wrong(RKN_ERR_ARGUMENT)),
                _ => {}
            }
        } else if n > 1000 {
            (bp, xp, _) = (null(), null_mut(), call.wrong(RKN_ERR_NULL));
            call.wrong(RKN_ERR_SIZE);
        }
        self.announce(&call, || {
            let options = ["restart", "recycle", "max_iterations", "rtol", "norm", "verify", "reference", "side", "basis"].map(|key| self.option_of(i, s, key));
            format!(
                "{s:?} {} A {a_handle:?} {n} x {cols} scalar {scalar}, M {m_handle:?}, own '{own}', guess '{guess}', {options:?}",
                i.map_or("", |i| self.solvers[i].method)
            )
        });
        let by_requests = self.rng.rarely(3);
        let mirrored = a.filter(|_| told && n.max(cols) < 1000 && self.rng.rarely(2));
        // A itself is then in no solve.
        let told = told && !(by_requests && mirrored.is_some());
        if !told {
            self.running.operator.set(null_mut());
        }
        let status = match by_requests {
            false => unsafe { rkn_krylov_solve(s, a_handle, m_handle, bp, xp) },
            true => {
                let mirrored = mirrored.map(|_| (scalar, n, cols));
                match self.by_requests(&mut call, s, [a_handle, m_handle], mirrored, bp, xp) {
                    Some(status) => status,
                    None => return self.judge(&call, RKN_OK),
                }
            }
        };
        let destroyed = self.running.destroyed.get();
        let at = format!("seed {} step {}: status {status}, {}", self.seed, self.steps, text(rkn_last_error()));
        self.judge(&call, status);
        if call.is_wrong() {
            assert_eq!(bits(&x), before, "{at}: x written by a refused call");
        }
        // The best point, or the last sound one; what was refused before it began is as it was. Who forgoes
        // the true residual takes the recurrence's word.
        if verify == "always" && (status >= 0 || bits(&x) != before) {
            let finite = x.numbers().iter().all(|v| v.is_finite());
            assert!(finite, "{at}: x is {x:?} for b = {b:?}, {}", self.view(a_handle));
        }
        if destroyed {
            return self.bury(i, a.filter(|_| told));
        }
        let (Some(i), Some(a)) = (i, a) else { return };
        let mut kept = 0;
        assert_eq!(unsafe { rkn_krylov_get_int(s, c"status".as_ptr(), &mut kept) }, 0);
        assert_eq!(kept, status as i64, "{at}: the status that the solver remembers");
        let model = &self.solvers[i];
        let plain = self.option(s, "norm") == "true" && self.option(s, "verify") == "always" && self.option(s, "reference") == "rhs";
        let simple = model.weights.is_none() && model.scaling == [None; 2] && !model.inner && !model.own_test && !model.moody;
        let rtol = self.option(s, "rtol").parse::<f64>().expect("a number").max(epsilon(scalar) * 100.0);
        let atol = self.option(s, "atol").parse::<f64>().expect("a number");
        if status == 0 && plain && simple && !self.operators[a].nullspace && !huge {
            if let Some(matrix) = self.operators[a].truth.dense() {
                self.check_residual(&matrix, (self.operators[a].truth.bound(), scalar), &b, &x.numbers(), (rtol, atol), &at);
            }
        }
    }

    /// The same solve by requests, with A or with an operator by request that stands for it. Now and then the
    /// host fails, or cancels: then there is no status.
    fn by_requests(
        &mut self,
        call: &mut Call,
        s: *mut rkn_krylov,
        [a, m]: [*const rkn_operator; 2],
        mirrored: Option<(i32, usize, usize)>,
        b: *const c_void,
        x: *mut c_void,
    ) -> Option<i32> {
        let (mut mirror, mut request) = (null_mut(), null());
        if let Some((scalar, rows, cols)) = mirrored {
            // SAFETY: as documented.
            let status = unsafe { rkn_operator_create_request(null(), scalar, rows as i64, cols as i64, RKN_REQUEST_APPLY, &mut mirror) };
            assert_eq!(status, 0, "{}", text(rkn_last_error()));
        }
        call.name = "rkn_krylov_start";
        // SAFETY: arrays as in any solve, untouched until it has ended.
        let mut status = unsafe { rkn_krylov_start(s, if mirror.is_null() { a } else { mirror }, m, b, x) };
        let mut failed = 0;
        while status == 0 {
            call.name = "rkn_krylov_next";
            let mut iterations = 0;
            // SAFETY: the request and its arrays are valid until the next step.
            unsafe {
                status = rkn_krylov_next(s, failed, &mut request);
                let r = &*request;
                if r.kind == RKN_REQUEST_DONE {
                    break;
                }
                assert_eq!((status, r.kind), (0, RKN_REQUEST_APPLY));
                assert_eq!(rkn_krylov_get_int(s, c"iterations".as_ptr(), &mut iterations), 0);
                assert_eq!(rkn_krylov_forget(s), RKN_ERR_BUSY);
                if self.rng.rarely(40) {
                    call.name = "rkn_krylov_cancel";
                    assert_eq!(rkn_krylov_cancel(s), 0);
                    rkn_operator_destroy(mirror);
                    return None;
                }
                // The arrays of the request go with the solver: callbacks of A must leave it alone now.
                let (solver, destroyed) = (self.running.solver.replace(null_mut()), self.running.destroyed.replace(true));
                failed = if self.rng.rarely(60) { 5 } else { rkn_operator_apply(a, r.trans, r.ncols, r.x, r.ldx, r.y, r.ldy) };
                self.running.solver.set(solver);
                self.running.destroyed.set(destroyed);
            }
        }
        // SAFETY: made above, or NULL.
        unsafe { rkn_operator_destroy(mirror) };
        Some(status)
    }

    fn option_of(&self, i: Option<usize>, s: *mut rkn_krylov, key: &str) -> String {
        i.map_or(String::new(), |_| self.option(s, key))
    }

    fn check_residual(&self, matrix: &Matrix, (bound, scalar): (f64, i32), b: &[C64], x: &[C64], (rtol, atol): (f64, f64), at: &str) {
        let norm = |v: &[C64]| v.iter().map(|z| z.norm_sqr()).sum::<f64>().sqrt();
        let r: Vec<C64> = matrix.times(x).iter().zip(b).map(|(ax, b)| b - ax).collect();
        let rounding = 100.0 * epsilon(scalar) * (bound * norm(x) + norm(b));
        // Of numbers near overflow nothing can be said.
        if !rounding.is_finite() {
            return;
        }
        assert!(norm(&r) <= 1.01 * (rtol * norm(b)).max(atol) + rounding, "{at}: the residual is {} of {}", norm(&r), norm(b));
    }

    /// Two systems with closed forms, by a new solver of any method and by one that has been through all this.
    pub fn sound(&mut self) {
        let (n, mut s) = (7usize, null_mut());
        let method = self.rng.pick(&METHODS);
        let word = CString::new(method).expect("no NUL");
        // SAFETY: as documented.
        assert_eq!(unsafe { rkn_krylov_create(null(), word.as_ptr(), &mut s) }, 0);
        self.closed_forms(method, n, s, false);
        unsafe { rkn_krylov_destroy(s) };
        if self.solvers.is_empty() {
            return;
        }
        let i = self.rng.below(self.solvers.len());
        let (s, method) = (self.solvers[i].handle, self.solvers[i].method);
        let plain = c"rtol=1e-10 atol=0 reference=rhs norm=true verify=always max_iterations=500 time_limit=1e9 initial_guess=zero preconditioner=''";
        unsafe {
            assert_eq!(rkn_krylov_set_options(s, plain.as_ptr()), 0);
            if ["gmres", "gcrodr"].contains(&method) {
                assert_eq!(rkn_krylov_set_options(s, c"restart=20 basis=full side=right".as_ptr()), 0);
            }
            if ["rbicgstab", "rcg", "eigcg", "rminres"].contains(&method) {
                assert_eq!(rkn_krylov_set_options(s, c"restart=20".as_ptr()), 0);
            }
            if ["gcrodr", "rbicgstab", "rcg", "eigcg", "rminres"].contains(&method) {
                assert_eq!(rkn_krylov_set_options(s, c"recycle=3".as_ptr()), 0);
            }
            assert_eq!(rkn_krylov_set_monitor(s, None, null_mut(), None), 0);
            assert_eq!(rkn_krylov_set_converged(s, None, null_mut(), None), 0);
            assert_eq!(rkn_krylov_set_inner(s, None, null_mut(), None), 0);
            assert_eq!(rkn_krylov_set_weights(s, 0, null()), 0);
            assert_eq!(rkn_krylov_set_scaling(s, 0, null(), null()), 0);
        }
        let solver = &mut self.solvers[i];
        (solver.own_test, solver.inner, solver.weights, solver.scaling) = (false, false, None, [None; 2]);
        // The hooks of its context are still there.
        let spoiled = solver.context && solver.moody;
        solver.moody = spoiled;
        self.closed_forms(method, n, s, spoiled);
        self.running.destroyed.set(false);
        self.running.complaints.take();
    }

    fn closed_forms(&mut self, method: &str, n: usize, s: *mut rkn_krylov, spoiled: bool) {
        let upwind = ["gmres", "bicgstab", "gcrodr", "rbicgstab", "idr"].contains(&method);
        let (convection, diffusion) = (tridiagonal(n, [-1.0, 1.0, 0.0]), poisson(n));
        let forms: [(*mut rkn_operator, fn(usize, usize) -> f64); 2] =
            [(diffusion, |i, n| ((i + 1) * (n - i)) as f64 / 2.0), (convection, |i, _| (i + 1) as f64)];
        for (a, form) in &forms[..1 + upwind as usize] {
            let (b, mut x) = (vec![1.0f64; n], vec![f64::NAN; n]);
            let mut solve = || unsafe { rkn_krylov_solve(s, *a, null(), b.as_ptr().cast(), x.as_mut_ptr().cast()) };
            let mut status = solve();
            if status == RKN_STOP_INTERRUPT {
                status = solve();
            }
            if spoiled {
                continue;
            }
            let right = (0..n).all(|i| (x[i] - form(i, n)).abs() < 1e-6);
            let at = format!("seed {} step {}: {method}", self.seed, self.steps);
            assert!(status == 0 && right, "{at}: status {status}, {}, x = {x:?}", text(rkn_last_error()));
        }
        unsafe {
            rkn_operator_destroy(convection);
            rkn_operator_destroy(diffusion);
        }
    }
}
