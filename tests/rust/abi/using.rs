//! Calls on contexts and operators.

use super::hooks::{self, Hook, SCALAR};
use super::numbers::{bits, epsilon, Buffer, C64, NAN};
use super::truth::{Leaf, Truth};
use super::world::{Call, World, MARK};
use reknit::ffi::context::*;
use reknit::ffi::library::*;
use reknit::ffi::operator::*;
use reknit::ffi::status::*;
use std::ffi::{c_char, c_void, CString};
use std::ptr::{null, null_mut};
use std::rc::Rc;

impl World<'_> {
    fn context_mut(&mut self, call: &mut Call) -> (Option<usize>, *mut rkn_context) {
        let (i, handle) = self.context(call);
        if handle.is_null() {
            call.wrong(RKN_ERR_NULL);
        }
        (i, handle.cast_mut())
    }

    pub fn use_context(&mut self) {
        match self.rng.below(5) {
            0 | 1 => self.set_context_option(),
            2 => self.get_context_option(),
            3 => self.set_context_hook(),
            _ if !self.contexts.is_empty() => {
                let i = self.rng.below(self.contexts.len());
                let handle = self.contexts[i].handle;
                // SAFETY: alive, as this function demands.
                assert_eq!(unsafe { rkn_context_interrupt(handle) }, 0);
                assert_eq!(unsafe { rkn_context_interrupt(null_mut()) }, RKN_ERR_NULL);
            }
            _ => {}
        }
    }

    fn set_context_option(&mut self) {
        let (mut call, mut keep) = (Call::new("rkn_context_set_int"), CString::default());
        let (_, handle) = self.context_mut(&mut call);
        let (key, value, wrong) = self.rng.pick(&[
            ("threads", 1, 0),
            ("threads", 2, 0),
            ("threads", 0, RKN_ERR_ARGUMENT),
            ("threads", i64::MAX, RKN_ERR_ARGUMENT),
            ("seed", i64::MIN, 0),
            ("seed", 7, 0),
            ("log_level", 3, 0),
            ("log_level", 4, RKN_ERR_ARGUMENT),
            ("log_level", -1, RKN_ERR_ARGUMENT),
            ("", 0, RKN_ERR_KEY),
            ("thread", 1, RKN_ERR_KEY),
            ("rtol", 1, RKN_ERR_KEY),
        ]);
        if wrong != 0 {
            call.wrong(wrong);
        }
        let pointer = self.text(&mut call, key, &mut keep);
        self.announce(&call, || format!("{handle:?} {key} {value}"));
        let status = unsafe { rkn_context_set_int(handle, pointer, value) };
        self.judge(&call, status);
        if status == 0 {
            let mut back = !value;
            assert_eq!(unsafe { rkn_context_get_int(handle, pointer, &mut back) }, 0);
            assert_eq!(back, value);
        }
    }

    fn get_context_option(&mut self) {
        let (mut call, mut keep) = (Call::new("rkn_context_get_int"), CString::default());
        let (_, handle) = self.context_mut(&mut call);
        let key = self.rng.pick(&["threads", "seed", "log_level", "", "Threads"]);
        if !["threads", "seed", "log_level"].contains(&key) {
            call.wrong(RKN_ERR_KEY);
        }
        let pointer = self.text(&mut call, key, &mut keep);
        let mut value = MARK as i64;
        let out = if self.rng.rarely(30) { null_mut() } else { &raw mut value };
        if out.is_null() {
            call.wrong(RKN_ERR_NULL);
        }
        self.announce(&call, || format!("{handle:?} {key}"));
        let status = unsafe { rkn_context_get_int(handle, pointer, out) };
        self.judge(&call, status);
        assert!(status == 0 || value == MARK as i64, "a value after a failure");
    }

    fn set_context_hook(&mut self) {
        let log = self.rng.rarely(2);
        let mut call = Call::new(if log { "rkn_context_set_log" } else { "rkn_context_set_reduce" });
        let (i, handle) = self.context_mut(&mut call);
        let hook = Hook::new(self.mood(), RKN_F64, None, &self.running);
        self.hooks.push(hook.clone());
        let off = self.rng.rarely(3);
        self.announce(&call, || format!("{handle:?} off {off} {:?}", hook.mood));
        let status = unsafe {
            match (log, off) {
                (true, false) => rkn_context_set_log(handle, Some(hooks::log), hook.user(), Some(hooks::release)),
                (true, true) => rkn_context_set_log(handle, None, hook.user(), Some(hooks::release)),
                (false, false) => rkn_context_set_reduce(handle, Some(hooks::reduce), hook.user(), Some(hooks::release)),
                (false, true) => rkn_context_set_reduce(handle, None, hook.user(), Some(hooks::release)),
            }
        };
        hook.kept.set(status == 0 && !off);
        self.judge(&call, status);
        if let (Some(i), 0) = (i, status) {
            self.contexts[i].hooked = true;
            // Any solver may have been made with this context.
            self.solvers.iter_mut().filter(|s| s.context).for_each(|s| s.moody = true);
        }
    }

    /// y <- op(A) x, compared with the truth.
    pub fn apply(&mut self) {
        let mut call = Call::new("rkn_operator_apply");
        let (a, handle) = self.operator(&mut call, |_| true);
        let Some(i) = a else {
            let mut v = 0f64;
            let pointer = &raw mut v;
            let status = unsafe { rkn_operator_apply(handle, RKN_N, 0, pointer.cast(), 0, pointer.cast(), 0) };
            return self.judge(&call, status);
        };
        let (scalar, rows, cols) = (self.operators[i].scalar, self.operators[i].rows, self.operators[i].cols);
        let (truth, moody) = (self.operators[i].truth.clone(), self.operators[i].moody);
        let right = self.rng.pick(&[RKN_N, RKN_N, RKN_T, RKN_H]);
        let (m, n) = if right == RKN_N { (rows, cols) } else { (cols, rows) };
        let trans = self.tag(&mut call, right, 3);
        let count = self.rng.pick(&[0usize, 1, 1, 2, 5]);
        let (gap_x, gap_y) = (self.rng.below(3), self.rng.below(3));
        // Of huge operators there are no vectors: NULL must be told, or nothing done.
        let huge = rows > 1000 || cols > 1000;
        let length = |n: usize, gap: usize| if huge || count == 0 || n == 0 { 0 } else { (count - 1) * (n + gap) + n };
        let x = Buffer::new(scalar, &self.rng.vector(scalar, length(n, gap_x)));
        let mut y = Buffer::new(scalar, &vec![NAN; length(m, gap_y)]);
        let before = bits(&y);
        let (mut xp, mut yp) = (x.pointer(), y.pointer_mut());
        let (mut ldx, mut ldy, mut ncols) = ((n + gap_x) as i64, (m + gap_y) as i64, count as i64);
        if huge {
            (xp, yp) = (null(), null_mut());
            if count > 0 {
                call.wrong(RKN_ERR_NULL);
                call.wrong(RKN_ERR_SIZE);
            }
        } else if count > 0 && n > 0 && m > 0 {
            match self.rng.below(60) {
                0 => (xp, _) = (null(), call.wrong(RKN_ERR_NULL)),
                1 => (yp, _) = (null_mut(), call.wrong(RKN_ERR_NULL)),
                2 => (ldx, _) = (self.rng.pick(&[n as i64 - 1, -1, i64::MIN]), call.wrong(RKN_ERR_SIZE)),
                3 => (ldy, _) = (self.rng.pick(&[m as i64 - 1, -1, i64::MIN]), call.wrong(RKN_ERR_SIZE)),
                4 => (ncols, _) = (self.rng.pick(&[-1, i64::MIN, i64::MAX, 1 << 61]), call.wrong(RKN_ERR_SIZE)),
                5 if count > 1 => (ldx, _) = (self.rng.pick(&[i64::MAX, 1 << 62]), call.wrong(RKN_ERR_SIZE)),
                6 => (xp, _) = (yp.cast_const(), call.wrong(RKN_ERR_ARGUMENT)),
                7 => (xp, _) = (xp.wrapping_byte_add(1), call.wrong(RKN_ERR_ARGUMENT)),
                _ => {}
            }
        }
        // An overlap is an argument error only if x is long enough to be looked at.
        if call.is_wrong() && m < n && xp == yp.cast_const() {
            (xp, yp) = (x.pointer(), null_mut());
            call.wrong(RKN_ERR_NULL);
        }
        // A preconditioner of a changed matrix, an inner dimension beyond memory, no adjoint.
        [RKN_ERR_STATE, RKN_ERR_UNSUPPORTED, RKN_ERR_MEMORY].into_iter().for_each(|status| call.may(status));
        if moody {
            call.may_be_anything();
        }
        self.running.operator.set(handle);
        SCALAR.with(|s| s.set(scalar));
        self.announce(&call, || format!("{handle:?} {rows} x {cols}, trans {trans}, {ncols} columns, ld {ldx} {ldy}"));
        let status = unsafe { rkn_operator_apply(handle, trans, ncols, xp, ldx, yp, ldy) };
        let destroyed = self.running.destroyed.get();
        self.judge(&call, status);
        if status < 0 && call.is_wrong() {
            assert_eq!(bits(&y), before, "seed {} step {}: y written by a refused call", self.seed, self.steps);
        }
        if status == 0 && ncols > 0 && !huge {
            self.compare(&truth, (scalar, right), (m, n), (count, gap_x, gap_y), &x, &y);
        }
        if destroyed {
            self.bury(None, Some(i));
        }
    }

    fn compare(&self, truth: &Truth, (scalar, trans): (i32, i32), (m, n): (usize, usize), (count, gap_x, gap_y): (usize, usize, usize), x: &Buffer, y: &Buffer) {
        let Some(matrix) = truth.dense() else { return };
        let matrix = if trans == RKN_N { matrix } else { matrix.adjoint(trans == RKN_H) };
        let tolerance = epsilon(scalar) * 200.0 * truth.bound() * 4.0 * (n as f64 + 1.0);
        if !(tolerance < 1e20) {
            return;
        }
        let (x, y) = (x.numbers(), y.numbers());
        for c in 0..count {
            let input = if n == 0 { &[][..] } else { &x[c * (n + gap_x)..][..n] };
            let wanted = matrix.times(input);
            for i in 0..m {
                let got = y[c * (m + gap_y) + i];
                assert!(
                    (got - wanted[i]).norm() <= tolerance,
                    "seed {} step {}: entry {i} of column {c} is {got}, not {} (trans {trans}, scalar {scalar})",
                    self.seed,
                    self.steps,
                    wanted[i]
                );
                if gap_y > 0 && c + 1 < count {
                    assert!(y[c * (m + gap_y) + m].re.is_nan(), "seed {} step {}: a gap between columns is written", self.seed, self.steps);
                }
            }
        }
    }

    /// New numbers, or what else changes an operator.
    pub fn rewrite(&mut self) {
        match self.rng.below(4) {
            0 => self.set_values(),
            1 => self.changed(),
            2 => self.set_nullspace(),
            _ => self.declare(),
        }
    }

    fn leaf_of(&self, i: usize) -> Option<Rc<Leaf>> {
        match &*self.operators[i].truth {
            Truth::Leaf(leaf) => Some(leaf.clone()),
            _ => None,
        }
    }

    fn set_values(&mut self) {
        let mut call = Call::new("rkn_operator_set_values");
        let settable = |o: &super::world::OperatorModel| matches!(&*o.truth, Truth::Leaf(leaf) if leaf.settable);
        let (a, handle) = self.operator(&mut call, settable);
        let leaf = a.and_then(|i| self.leaf_of(i)).filter(|leaf| leaf.settable);
        if leaf.is_none() {
            call.wrong(RKN_ERR_STATE);
        }
        let scalar = a.map_or(RKN_F64, |i| self.operators[i].scalar);
        let count = leaf.as_ref().map_or(0, |leaf| leaf.places.len());
        if leaf.is_some() {
            let mut values = 0;
            assert_eq!(unsafe { rkn_operator_get_int(handle, c"values".as_ptr(), &mut values) }, 0);
            assert_eq!(values, count as i64, "seed {} step {}: numbers that set_values takes", self.seed, self.steps);
        }
        let mut numbers = self.rng.vector(scalar, count);
        if let Some(leaf) = leaf.as_ref().filter(|_| count > 0 && self.rng.rarely(10)) {
            let at = self.rng.below(count);
            numbers[at] = self.rng.pick(&[NAN, C64::from(f64::INFINITY)]);
            if leaf.places[at].is_some() {
                call.wrong(RKN_ERR_NONFINITE);
            }
        }
        // Room enough for an operator whose numbers the model does not count.
        let buffer = Buffer::new(scalar, &if leaf.is_some() { numbers.clone() } else { vec![C64::from(1.0); 4000] });
        let mut pointer = buffer.pointer();
        if self.rng.rarely(30) || count == 0 && leaf.is_some() {
            // A matrix without entries takes any pointer but NULL.
            pointer = if self.rng.rarely(2) { MARK as *const c_void } else { null() };
            if pointer.is_null() {
                call.wrong(RKN_ERR_NULL);
            } else if count > 0 {
                (pointer, _) = (buffer.pointer().wrapping_byte_add(1), call.wrong(RKN_ERR_ARGUMENT));
            } else if leaf.is_none() {
                pointer = buffer.pointer();
            }
        }
        self.announce(&call, || format!("{handle:?} {count} numbers"));
        let status = unsafe { rkn_operator_set_values(handle, pointer) };
        self.judge(&call, status);
        if let (0, Some(leaf)) = (status, leaf) {
            *leaf.numbers.borrow_mut() = Buffer::new(scalar, &numbers).numbers();
        }
    }

    fn changed(&mut self) {
        let mut call = Call::new("rkn_operator_changed");
        let (a, handle) = self.operator(&mut call, |o| !matches!(&*o.truth, Truth::Leaf(leaf) if leaf.settable));
        if let Some(leaf) = a.and_then(|i| self.leaf_of(i)) {
            let scalar = self.operators[a.expect("it has a leaf")].scalar;
            if leaf.settable {
                call.wrong(RKN_ERR_STATE);
            } else if let Some(lent) = &leaf.lent {
                let mut numbers = self.rng.vector(scalar, leaf.places.len());
                let poison = self.rng.rarely(12) && !numbers.is_empty();
                let at = if poison { self.rng.below(numbers.len()) } else { 0 };
                let old = if poison { std::mem::replace(&mut numbers[at], NAN) } else { NAN };
                if poison && leaf.places[at].is_some() {
                    call.wrong(RKN_ERR_NONFINITE);
                }
                lent.borrow_mut().write(&numbers);
                self.announce(&call, || format!("{handle:?} borrowed, NaN {poison}"));
                let status = unsafe { rkn_operator_changed(handle) };
                self.judge(&call, status);
                if poison {
                    // The owner mends it.
                    numbers[at] = if old.re.is_nan() { C64::from(1.0) } else { old };
                    lent.borrow_mut().write(&numbers);
                    assert_eq!(unsafe { rkn_operator_changed(handle) }, 0, "seed {} step {}", self.seed, self.steps);
                }
                let now = lent.borrow().numbers();
                *leaf.numbers.borrow_mut() = now;
                return;
            }
        } else {
            call.may_be_anything();
        }
        self.announce(&call, || format!("{handle:?}"));
        let status = unsafe { rkn_operator_changed(handle) };
        self.judge(&call, status);
    }

    fn set_nullspace(&mut self) {
        let mut call = Call::new("rkn_operator_set_nullspace");
        let (a, handle) = self.operator(&mut call, |_| true);
        let (scalar, rows, cols) = a.map_or((RKN_F64, 1, 1), |i| (self.operators[i].scalar, self.operators[i].rows, self.operators[i].cols));
        let left = self.rng.rarely(2);
        let side = self.tag(&mut call, if left { RKN_LEFT } else { RKN_RIGHT }, 2);
        let n = if left { rows } else { cols };
        let huge = n > 1000;
        let mut count = self.rng.pick(&[0i64, 0, 1, 2]);
        let gap = self.rng.below(2);
        let mut numbers = self.rng.vector(scalar, if huge || count == 0 || n == 0 { 0 } else { (count as usize - 1) * (n + gap) + n });
        if !numbers.is_empty() && self.rng.rarely(10) {
            let last = numbers.len() - 1;
            numbers[last] = NAN;
            call.wrong(RKN_ERR_NONFINITE);
        }
        let buffer = Buffer::new(scalar, &numbers);
        let mut pointer = buffer.pointer();
        let mut ld = (n + gap) as i64;
        if huge {
            pointer = null();
            if count > 0 {
                call.wrong(RKN_ERR_NULL);
                call.wrong(RKN_ERR_SIZE);
            }
        } else {
            match self.rng.below(30) {
                0 => (count, _) = (self.rng.pick(&[-1, i64::MIN]), call.wrong(RKN_ERR_SIZE)),
                // Too many for the address space; for an operator without rows as many as it likes.
                1 if n > 0 => (count, _) = (self.rng.pick(&[i64::MAX, 1 << 62]), call.wrong(RKN_ERR_SIZE)),
                2 if n > 0 && count > 0 => (ld, _) = (self.rng.pick(&[0, n as i64 - 1, -1]), call.wrong(RKN_ERR_SIZE)),
                3 if n > 0 && count > 0 => (pointer, _) = (null(), call.wrong(RKN_ERR_NULL)),
                _ => {}
            }
        }
        self.announce(&call, || format!("{handle:?} side {side} {count} x {n}, ld {ld}"));
        let status = unsafe { rkn_operator_set_nullspace(handle, side, count, pointer, ld) };
        self.judge(&call, status);
        if let (0, Some(i)) = (status, a) {
            self.operators[i].nullspace = true;
        }
    }

    fn declare(&mut self) {
        let (mut call, mut keep) = (Call::new("rkn_operator_set_int"), CString::default());
        let (_, handle) = self.operator(&mut call, |_| true);
        let (key, value, wrong) = self.rng.pick(&[
            ("hermitian", 0, 0),
            ("hermitian", 1, 0),
            ("hermitian", 2, RKN_ERR_ARGUMENT),
            ("hermitian", i64::MIN, RKN_ERR_ARGUMENT),
            ("products", 0, RKN_ERR_KEY),
            ("", 0, RKN_ERR_KEY),
        ]);
        if wrong != 0 {
            call.wrong(wrong);
        }
        let pointer = self.text(&mut call, key, &mut keep);
        self.announce(&call, || format!("{handle:?} {key} {value}"));
        let status = unsafe { rkn_operator_set_int(handle, pointer, value) };
        self.judge(&call, status);
    }

    pub fn ask_operator(&mut self) {
        match self.rng.below(4) {
            0 => {
                let mut call = Call::new("rkn_operator_shape");
                let (a, handle) = self.operator(&mut call, |_| true);
                let (mut rows, mut cols) = (MARK as i64, MARK as i64);
                let only = self.rng.rarely(4);
                let first = if only { null_mut() } else { &raw mut rows };
                self.announce(&call, || format!("{handle:?}"));
                let status = unsafe { rkn_operator_shape(handle, first, &mut cols) };
                self.judge(&call, status);
                let wanted = a.map_or((MARK, MARK), |i| (self.operators[i].rows, self.operators[i].cols));
                assert_eq!((if only { wanted.0 as i64 } else { rows }, cols), (wanted.0 as i64, wanted.1 as i64));
            }
            1 => {
                let mut call = Call::new("rkn_operator_scalar");
                let (a, handle) = self.operator(&mut call, |_| true);
                let mut scalar = MARK as i32;
                let out = if self.rng.rarely(20) { null_mut() } else { &raw mut scalar };
                if out.is_null() {
                    call.wrong(RKN_ERR_NULL);
                }
                self.announce(&call, || format!("{handle:?}"));
                let status = unsafe { rkn_operator_scalar(handle, out) };
                self.judge(&call, status);
                assert_eq!(scalar, a.filter(|_| status == 0).map_or(MARK as i32, |i| self.operators[i].scalar));
            }
            2 => {
                let (mut call, mut keep) = (Call::new("rkn_operator_get_int"), CString::default());
                let (_, handle) = self.operator(&mut call, |_| true);
                let key = self.rng.pick(&["hermitian", "products", "version", "entries", "values", "rebuilds", "callback_status", "nothing", ""]);
                match key {
                    "nothing" | "" => call.wrong(RKN_ERR_KEY),
                    "hermitian" | "products" | "version" => {}
                    _ => call.may(RKN_ERR_KEY),
                }
                let pointer = self.text(&mut call, key, &mut keep);
                let mut value = -(MARK as i64);
                self.announce(&call, || format!("{handle:?} {key}"));
                let status = unsafe { rkn_operator_get_int(handle, pointer, &mut value) };
                self.judge(&call, status);
                assert!((status == 0) != (value == -(MARK as i64)), "a value after a failure");
                assert!(status != 0 || value >= 0 || key == "callback_status", "{key} is {value}");
            }
            _ => {
                let mut call = Call::new("rkn_operator_view");
                let (_, handle) = self.operator(&mut call, |_| true);
                self.announce(&call, || format!("{handle:?}"));
                self.read_text(call, |buf, cap, need| unsafe { rkn_operator_view(handle, buf, cap, need) });
            }
        }
    }

    /// A text in all ways: measured, written, too short, without room or need.
    pub fn read_text(&mut self, mut call: Call, get: impl Fn(*mut c_char, i64, *mut i64) -> i32) {
        let mut need = -1;
        let status = get(null_mut(), 0, &mut need);
        self.judge(&call, status);
        if status != 0 {
            assert_eq!(need, -1, "seed {} step {}: a length after a failure", self.seed, self.steps);
            return;
        }
        assert!(need > 0 && need < 100_000);
        let mut buf = vec![0x55u8; need as usize];
        let room = buf.as_mut_ptr().cast::<c_char>();
        // The empty text fits where others do not.
        let way = self.rng.below(if need == 1 { 2 } else { 6 });
        let mut again = -1;
        let status = match way {
            0 => get(room, need, null_mut()),
            1 => get(room, need, &mut again),
            2 => {
                call.wrong(RKN_ERR_SIZE);
                get(room, need - 1, &mut again)
            }
            3 => {
                call.wrong(RKN_ERR_SIZE);
                get(room, self.rng.pick(&[-1, i64::MIN]), &mut again)
            }
            4 => {
                call.wrong(RKN_ERR_NULL);
                get(null_mut(), need, &mut again)
            }
            _ => {
                call.wrong(RKN_ERR_SIZE);
                get(room, 0, null_mut())
            }
        };
        if status == 0 {
            assert_eq!(buf.iter().position(|b| *b == 0), Some(buf.len() - 1), "seed {} step {}", self.seed, self.steps);
            assert!(std::str::from_utf8(&buf).is_ok());
        } else {
            assert!(buf.iter().all(|b| *b == 0x55), "seed {} step {}: a buffer written by a failure", self.seed, self.steps);
            assert!(way != 2 || again == need, "seed {} step {}: the size needed is told with the refusal", self.seed, self.steps);
        }
        self.judge(&call, status);
    }

    pub fn ask_library(&mut self) {
        let (mut call, mut keep) = (Call::new("rkn_option_reference"), CString::default());
        let noun = self.rng.pick(&["context", "operator", "preconditioner", "krylov", "sinkhorn", "", "Krylov"]);
        if noun.is_empty() || noun == "Krylov" {
            call.wrong(RKN_ERR_KEY);
        }
        let pointer = self.text(&mut call, noun, &mut keep);
        self.announce(&call, || noun.to_string());
        self.read_text(call, |buf, cap, need| unsafe { rkn_option_reference(pointer, buf, cap, need) });
    }
}
