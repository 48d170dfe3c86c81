//! Calls that make handles.

use super::hooks::{self, Hook, Mood};
use super::numbers::{is_complex, Buffer, Indices, C64};
use super::truth::{Leaf, Mirror, Truth};
use super::world::{Call, ContextModel, OperatorModel, SolverModel, World};
use reknit::ffi::context::*;
use reknit::ffi::krylov::*;
use reknit::ffi::operator::*;
use reknit::ffi::status::*;
use std::cell::RefCell;
use std::ffi::{c_void, CString};
use std::ptr::{null, null_mut};
use std::rc::Rc;

const KINDS: [i32; 4] = [RKN_F32, RKN_F64, RKN_C32, RKN_C64];

pub const METHODS: [&str; 12] = ["cg", "minres", "gmres", "bicgstab", "gcrodr", "rbicgstab", "rcg", "eigcg", "rminres", "idr", "cocg", "cocr"];

pub const PRECONDITIONERS: &[&str] = &[
    "identity",
    "jacobi",
    "block_jacobi",
    "block_jacobi block=2",
    "ssor",
    "ssor omega=1.4 sweeps=2",
    "ilu",
    "ilu0",
    "ilu levels=1 shift=1e-3",
    "ilu levels=9223372036854775807",
    "ic",
    "ic0 shift=0.5",
    "ic levels=3",
    "ilut",
    "ilut drop_tolerance=0 fill=9223372036854775807",
    "ict fill=0",
    "ict pivot_tolerance=1",
    "chebyshev",
    "chebyshev degree=1 ratio=1.5",
    "chebyshev lambda_max=1e300",
    "lu",
    "lu refinements=2",
    "llt",
    "ldlt pivot_tolerance=1e-9",
    "ldlt refinements=1",
];

const NO_PRECONDITIONERS: &[&str] = &[
    "", " ", "ilu99", "JACOBI", "ilu levels=-1", "ilu levels=x", "ssor omega=2", "ssor omega=nan", "jacobi block=2", "lu shift", "ilu levels=",
    "ilu 'levels=1", "ilu levels='1", "ic shift=inf", "=", "chebyshev ratio=1", "ilu levels=99999999999999999999", "ilut fill=1 fill=-1", "\u{1F9F6}",
];

/// A sparse pattern with numbers, line by line.
struct Lines {
    pointers: Vec<i64>,
    across: Vec<i64>,
}

/// An array of the call that the operator may borrow.
struct Given {
    buffer: Buffer,
    pointer: *const c_void,
}

impl World<'_> {
    pub fn make_context(&mut self) {
        let (mut call, mut slot) = (Call::new("rkn_context_create"), null_mut());
        let out = self.out(&mut call, &mut slot);
        self.announce(&call, String::new);
        // SAFETY: `out` is NULL or can be written; so in all calls below.
        let status = unsafe { rkn_context_create(out) };
        self.judge_handle(&call, status, slot);
        if status == 0 {
            self.contexts.push(ContextModel { handle: slot, hooked: false });
        }
    }

    pub fn make_solver(&mut self) {
        let (mut call, mut slot, mut keep) = (Call::new("rkn_krylov_create"), null_mut(), CString::default());
        let out = self.out(&mut call, &mut slot);
        let (context, ctx) = self.context(&mut call);
        let method = self.rng.pick(&METHODS);
        let mut word = method;
        if self.rng.rarely(30) {
            call.wrong(RKN_ERR_KEY);
            word = self.rng.pick(&["", "CG", "gmres ", "no such method", "gcrodr\n"]);
        }
        let pointer = self.text(&mut call, word, &mut keep);
        self.announce(&call, || word.to_string());
        let status = unsafe { rkn_krylov_create(ctx, pointer, out) };
        self.judge_handle(&call, status, slot);
        if status == 0 {
            self.solvers.push(SolverModel {
                handle: slot,
                method,
                context: context.is_some(),
                own_test: false,
                inner: false,
                weights: None,
                scaling: [None; 2],
                moody: context.is_some_and(|c| self.contexts[c].hooked),
            });
        }
    }

    /// An operator with numbers of its own, in any format.
    pub fn make_leaf(&mut self) {
        match self.rng.below(9) {
            0..=2 => self.make_compressed(),
            3 => self.make_coo(),
            4 => self.make_dense(),
            5 => self.make_diagonal(),
            6 => self.make_identity(),
            7 => self.make_callback(),
            _ => self.make_from_file(),
        }
    }

    fn order(&mut self) -> usize {
        self.rng.pick(&[0, 1, 2, 4, 4, 4, 5, 6, 6, 9])
    }

    /// Rows and columns, mostly alike.
    fn shape(&mut self) -> (usize, usize) {
        let n = self.order();
        if self.rng.rarely(4) { (n, self.order()) } else { (n, n) }
    }

    /// Places in any order, with repetitions, or of a diagonally dominant symmetric matrix.
    fn lines(&mut self, lines: usize, across: usize, keep: impl Fn(usize, usize) -> bool) -> Lines {
        let tridiagonal = !self.rng.rarely(3);
        let mut all = Lines { pointers: vec![0], across: Vec::new() };
        for i in 0..lines {
            if tridiagonal {
                all.across.extend((i.saturating_sub(1)..across.min(i + 2)).filter(|j| keep(i, *j)).map(|j| j as i64));
            } else if across > 0 {
                for _ in 0..self.rng.below(4) {
                    let j = self.rng.below(across);
                    if keep(i, j) {
                        all.across.push(j as i64);
                    }
                }
            }
            all.pointers.push(all.across.len() as i64);
        }
        all
    }

    /// 4 on the diagonal and -1 beside it, or anything.
    fn values(&mut self, scalar: i32, places: &[Option<(usize, usize)>]) -> Vec<C64> {
        let wild = self.rng.rarely(3);
        places
            .iter()
            .map(|place| match place {
                Some((i, j)) if !wild => C64::from(if i == j { 4.0 } else { -1.0 }),
                _ => self.rng.number(scalar),
            })
            .collect()
    }

    /// Numbers as an argument: at times not finite, NULL, or off by a byte.
    fn given(&mut self, call: &mut Call, scalar: i32, numbers: &[C64], matter: &[bool]) -> Given {
        let mut numbers = numbers.to_vec();
        let some = matter.iter().any(|m| *m);
        if some && self.rng.rarely(40) {
            let at = self.rng.below(numbers.len());
            let (bad, one) = (self.rng.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]), self.rng.eighth());
            numbers[at] = if is_complex(scalar) && self.rng.rarely(2) { C64::new(one, bad) } else { C64::new(bad, 0.0) };
            if matter[at] {
                call.wrong(RKN_ERR_NONFINITE);
            }
        }
        let buffer = Buffer::new(scalar, &numbers);
        let mut pointer = buffer.pointer();
        if some && self.rng.rarely(80) {
            (pointer, _) = (null(), call.wrong(RKN_ERR_NULL));
        } else if some && self.rng.rarely(80) {
            (pointer, _) = (pointer.wrapping_byte_add(1), call.wrong(RKN_ERR_ARGUMENT));
        }
        Given { buffer, pointer }
    }

    /// Index arrays as arguments: at times descending, out of range, of another base, NULL.
    fn spoil_indices(&mut self, call: &mut Call, lines: &mut Lines, base: i64, bound: usize) {
        let (count, entries) = (lines.pointers.len() - 1, lines.across.len());
        match self.rng.below(100) {
            0 => (lines.pointers[0], _) = (self.rng.pick(&[-1 + base, base + 1, i32::MIN as i64]), call.wrong(RKN_ERR_INDEX)),
            1 if count > 1 => {
                let at = 1 + self.rng.below(count - 1);
                lines.pointers[at] = self.rng.pick(&[base + entries as i64 + 1, i32::MAX as i64, i32::MIN as i64, base - 1]);
                call.wrong(RKN_ERR_INDEX);
            }
            2 => {
                lines.pointers[count] = base - 1;
                call.wrong(RKN_ERR_INDEX);
            }
            3 | 4 if entries > 0 => {
                let at = self.rng.below(entries);
                lines.across[at] = self.rng.pick(&[base - 1, bound as i64 + base, i32::MAX as i64, i32::MIN as i64]);
                call.wrong(RKN_ERR_INDEX);
            }
            _ => {}
        }
    }

    /// Takes a new operator into the model.
    #[allow(clippy::too_many_arguments)]
    pub fn adopt(&mut self, call: &Call, status: i32, handle: *mut rkn_operator, scalar: i32, rows: usize, cols: usize, truth: Truth, depth: usize, moody: bool) {
        self.judge_handle(call, status, handle);
        if status == 0 {
            self.operators.push(OperatorModel { handle, scalar, rows, cols, truth: Rc::new(truth), nullspace: false, depth, moody });
        }
    }

    fn leaf(rows: usize, cols: usize, places: Vec<Option<(usize, usize)>>, mirror: Mirror, given: Given, borrowed: bool) -> Truth {
        let numbers = RefCell::new(given.buffer.numbers());
        let lent = borrowed.then(|| RefCell::new(given.buffer));
        Truth::Leaf(Rc::new(Leaf { rows, cols, places, mirror, numbers, lent, settable: !borrowed }))
    }

    /// CSR, CSC, BSR, or a triangle in CSR.
    fn make_compressed(&mut self) {
        let format = self.rng.below(4);
        let name = ["rkn_operator_create_csr", "rkn_operator_create_csc", "rkn_operator_create_bsr", "rkn_operator_create_csr_symmetric"][format];
        let (mut call, mut slot) = (Call::new(name), null_mut());
        let (rows, cols) = match (format, self.shape()) {
            (3, (n, _)) => (n, n),
            (_, shape) => shape,
        };
        let scalar = self.rng.pick(&KINDS);
        let (index, base) = (self.rng.pick(&[RKN_I32, RKN_I64]), self.rng.below(2) as i64);
        let block = if format == 2 { 1 + self.rng.below(3) } else { 1 };
        let row_major = self.rng.below(2);
        let (upper, hermitian) = (self.rng.below(2), self.rng.below(2));
        let (count, bound) = if format == 1 { (cols, rows) } else { (rows, cols) };
        let mut lines = self.lines(count, bound, |i, j| format != 3 || if upper == 1 { j >= i } else { j <= i });
        let mut places = Vec::new();
        for l in 0..count {
            for p in lines.pointers[l]..lines.pointers[l + 1] {
                let a = lines.across[p as usize] as usize;
                let (i, j) = if format == 1 { (a, l) } else { (l, a) };
                for k in 0..block * block {
                    let (first, second) = (k / block, k % block);
                    let (di, dj) = if row_major == 1 { (first, second) } else { (second, first) };
                    places.push(Some((i * block + di, j * block + dj)));
                }
            }
        }
        let numbers = self.values(scalar, &places);
        let given = self.given(&mut call, scalar, &numbers, &vec![true; numbers.len()]);
        lines.pointers.iter_mut().chain(&mut lines.across).for_each(|v| *v += base);
        if format == 3 && rows > 1 && lines.pointers[rows] > lines.pointers[0] && self.rng.rarely(40) {
            // An entry of the other triangle, where there is room for one.
            let row = (0..rows).find(|i| lines.pointers[i + 1] > lines.pointers[*i]).expect("an entry");
            if (upper == 1 && row > 0) || (upper == 0 && row + 1 < rows) {
                lines.across[lines.pointers[row] as usize - base as usize] = if upper == 1 { base } else { rows as i64 - 1 + base };
                call.wrong(RKN_ERR_INDEX);
            }
        }
        self.spoil_indices(&mut call, &mut lines, base, bound);
        let (pointers, across) = (Indices::new(index, &lines.pointers), Indices::new(index, &lines.across));
        let (mut ptr, mut ind) = (pointers.pointer(), across.pointer());
        match self.rng.below(120) {
            0 => (ptr, _) = (null(), call.wrong(RKN_ERR_NULL)),
            1 if !lines.across.is_empty() => (ind, _) = (null(), call.wrong(RKN_ERR_NULL)),
            2 => (ptr, _) = (ptr.wrapping_byte_add(1), call.wrong(RKN_ERR_ARGUMENT)),
            _ => {}
        }
        let borrowed = self.rng.rarely(2);
        let memory = self.tag(&mut call, borrowed as i32, 2);
        let kind = self.tag(&mut call, scalar, 4);
        let index = self.tag(&mut call, index, 2);
        let base = self.tag(&mut call, base as i32, 2);
        let (major, upper, hermitian_tag) = match format {
            2 => (self.tag(&mut call, row_major as i32, 2), 0, 0),
            3 => (0, self.tag(&mut call, upper as i32, 2), self.tag(&mut call, hermitian as i32, 2)),
            _ => (0, 0, 0),
        };
        let size = if format == 2 && self.rng.rarely(60) {
            call.wrong(RKN_ERR_SIZE);
            self.rng.pick(&[0, -1, i64::MIN, i64::MAX, 1 << 40])
        } else {
            block as i64
        };
        let nrows = self.size(&mut call, rows);
        let ncols = if format == 3 { nrows } else { self.size(&mut call, cols) };
        let (_, ctx) = self.context(&mut call);
        let out = self.out(&mut call, &mut slot);
        self.announce(&call, || format!("{rows} x {cols}, scalar {scalar}, index {index}, base {base}, block {block}, borrowed {borrowed}"));
        let values = given.pointer;
        let status = unsafe {
            match format {
                0 => rkn_operator_create_csr(ctx, kind, nrows, ncols, index, base, ptr, ind, values, memory, out),
                1 => rkn_operator_create_csc(ctx, kind, nrows, ncols, index, base, ptr, ind, values, memory, out),
                2 => rkn_operator_create_bsr(ctx, kind, nrows, ncols, size, major, index, base, ptr, ind, values, memory, out),
                _ => rkn_operator_create_csr_symmetric(ctx, kind, nrows, upper, hermitian_tag, index, base, ptr, ind, values, memory, out),
            }
        };
        if borrowed {
            self.lent.push(Box::new((pointers, across)));
        }
        let mirror = match (format, hermitian == 1 && is_complex(scalar)) {
            (3, true) => Mirror::Conjugated,
            (3, false) => Mirror::Transposed,
            _ => Mirror::None,
        };
        let truth = Self::leaf(rows * block, cols * block, places, mirror, given, borrowed);
        self.keep_lent(&truth);
        self.adopt(&call, status, slot, scalar, rows * block, cols * block, truth, 0, false);
    }

    /// Borrowed arrays live as long as the world.
    fn keep_lent(&mut self, truth: &Truth) {
        if let Truth::Leaf(leaf) = truth {
            self.lent.push(Box::new(leaf.clone()));
        }
    }

    fn make_coo(&mut self) {
        let (mut call, mut slot) = (Call::new("rkn_operator_create_coo"), null_mut());
        let (rows, cols) = self.shape();
        let (scalar, index, base) = (self.rng.pick(&KINDS), self.rng.pick(&[RKN_I32, RKN_I64]), self.rng.below(2) as i64);
        let mut triplets: Vec<(usize, usize)> = Vec::new();
        let lines = self.lines(rows, cols, |_, _| true);
        for i in 0..rows {
            triplets.extend((lines.pointers[i]..lines.pointers[i + 1]).map(|p| (i, lines.across[p as usize] as usize)));
        }
        for i in (1..triplets.len()).rev() {
            let j = self.rng.below(i + 1);
            triplets.swap(i, j);
        }
        let places: Vec<_> = triplets.iter().map(|t| Some(*t)).collect();
        let numbers = self.values(scalar, &places);
        let given = self.given(&mut call, scalar, &numbers, &vec![true; numbers.len()]);
        let mut rowind: Vec<i64> = triplets.iter().map(|t| t.0 as i64 + base).collect();
        let mut colind: Vec<i64> = triplets.iter().map(|t| t.1 as i64 + base).collect();
        if !triplets.is_empty() && self.rng.rarely(30) {
            let at = self.rng.below(triplets.len());
            let (which, bound) = if self.rng.rarely(2) { (&mut rowind, rows) } else { (&mut colind, cols) };
            which[at] = self.rng.pick(&[base - 1, bound as i64 + base, i32::MIN as i64, i32::MAX as i64]);
            call.wrong(RKN_ERR_INDEX);
        }
        let (rowind, colind) = (Indices::new(index, &rowind), Indices::new(index, &colind));
        let (mut r, mut c) = (rowind.pointer(), colind.pointer());
        match self.rng.below(120) {
            0 if !triplets.is_empty() => (r, _) = (null(), call.wrong(RKN_ERR_NULL)),
            1 if !triplets.is_empty() => (c, _) = (null(), call.wrong(RKN_ERR_NULL)),
            _ => {}
        }
        let nnz = self.size(&mut call, triplets.len());
        let (nrows, ncols) = (self.size(&mut call, rows), self.size(&mut call, cols));
        let (kind, index_tag, base_tag) = (self.tag(&mut call, scalar, 4), self.tag(&mut call, index, 2), self.tag(&mut call, base as i32, 2));
        let (_, ctx) = self.context(&mut call);
        let out = self.out(&mut call, &mut slot);
        self.announce(&call, || format!("{rows} x {cols}, scalar {scalar}, {} triplets", triplets.len()));
        let status = unsafe { rkn_operator_create_coo(ctx, kind, nrows, ncols, index_tag, base_tag, nnz, r, c, given.pointer, out) };
        // What is kept are the assembled rows.
        let mut sums: Vec<((usize, usize), C64)> = Vec::new();
        for (t, v) in triplets.iter().zip(&numbers) {
            match sums.iter_mut().find(|(place, _)| place == t) {
                Some((_, sum)) => *sum += v,
                None => sums.push((*t, *v)),
            }
        }
        sums.sort_by_key(|(place, _)| *place);
        let given = Given { buffer: Buffer::new(scalar, &sums.iter().map(|s| s.1).collect::<Vec<_>>()), pointer: null() };
        let truth = Self::leaf(rows, cols, sums.iter().map(|s| Some(s.0)).collect(), Mirror::None, given, false);
        self.adopt(&call, status, slot, scalar, rows, cols, truth, 0, false);
    }

    fn make_dense(&mut self) {
        let (mut call, mut slot) = (Call::new("rkn_operator_create_dense"), null_mut());
        let ((rows, cols), scalar) = (self.shape(), self.rng.pick(&KINDS));
        let row_major = self.rng.below(2);
        let (lines, across) = if row_major == 1 { (rows, cols) } else { (cols, rows) };
        let gap = self.rng.below(3);
        let mut places = Vec::new();
        if lines > 0 && across > 0 {
            for l in 0..lines {
                places.extend((0..across).map(|a| Some(if row_major == 1 { (l, a) } else { (a, l) })));
                places.extend(vec![None; if l + 1 < lines { gap } else { 0 }]);
            }
        }
        let numbers = self.values(scalar, &places);
        let given = self.given(&mut call, scalar, &numbers, &places.iter().map(|p| p.is_some()).collect::<Vec<_>>());
        let (nrows, ncols) = (self.size(&mut call, rows), self.size(&mut call, cols));
        let mut ld = (across + gap) as i64;
        if across > 0 && self.rng.rarely(30) {
            ld = self.rng.pick(&[0, -1, across as i64 - 1, i64::MIN]);
            call.wrong(RKN_ERR_SIZE);
        } else if lines > 1 && across > 0 && self.rng.rarely(40) {
            ld = self.rng.pick(&[i64::MAX, 1 << 62]);
            call.wrong(RKN_ERR_SIZE);
        }
        let borrowed = self.rng.rarely(2);
        let (kind, order) = (self.tag(&mut call, scalar, 4), self.tag(&mut call, row_major as i32, 2));
        let memory = self.tag(&mut call, borrowed as i32, 2);
        let (_, ctx) = self.context(&mut call);
        let out = self.out(&mut call, &mut slot);
        self.announce(&call, || format!("{rows} x {cols}, scalar {scalar}, row-major {row_major}, ld {ld}"));
        let status = unsafe { rkn_operator_create_dense(ctx, kind, nrows, ncols, order, given.pointer, ld, memory, out) };
        let truth = Self::leaf(rows, cols, places, Mirror::None, given, borrowed);
        self.keep_lent(&truth);
        self.adopt(&call, status, slot, scalar, rows, cols, truth, 0, false);
    }

    fn make_diagonal(&mut self) {
        let (mut call, mut slot) = (Call::new("rkn_operator_create_diagonal"), null_mut());
        let (n, scalar) = (self.order(), self.rng.pick(&KINDS));
        let places: Vec<_> = (0..n).map(|i| Some((i, i))).collect();
        let numbers = self.values(scalar, &places);
        let given = self.given(&mut call, scalar, &numbers, &vec![true; n]);
        let borrowed = self.rng.rarely(2);
        let (size, kind, memory) = (self.size(&mut call, n), self.tag(&mut call, scalar, 4), self.tag(&mut call, borrowed as i32, 2));
        let (_, ctx) = self.context(&mut call);
        let out = self.out(&mut call, &mut slot);
        self.announce(&call, || format!("{n}, scalar {scalar}"));
        let status = unsafe { rkn_operator_create_diagonal(ctx, kind, size, given.pointer, memory, out) };
        let truth = Self::leaf(n, n, places, Mirror::None, given, borrowed);
        self.keep_lent(&truth);
        self.adopt(&call, status, slot, scalar, n, n, truth, 0, false);
    }

    /// The identity, at times of an order that no array has.
    fn make_identity(&mut self) {
        let (mut call, mut slot) = (Call::new("rkn_operator_create_identity"), null_mut());
        let (mut n, scalar) = (self.order(), self.rng.pick(&KINDS));
        let huge = self.rng.rarely(8);
        if huge {
            n = self.rng.pick(&[1 << 58, (1 << 59) - 2]);
        }
        let (size, kind) = (self.size(&mut call, n), self.tag(&mut call, scalar, 4));
        let (_, ctx) = self.context(&mut call);
        let out = self.out(&mut call, &mut slot);
        self.announce(&call, || format!("{n}, scalar {scalar}"));
        let status = unsafe { rkn_operator_create_identity(ctx, kind, size, out) };
        let truth = if huge {
            Truth::Unknown
        } else {
            let (places, numbers) = ((0..n).map(|i| Some((i, i))).collect(), RefCell::new(vec![C64::from(1.0); n]));
            Truth::Leaf(Rc::new(Leaf { rows: n, cols: n, places, mirror: Mirror::None, numbers, lent: None, settable: false }))
        };
        self.adopt(&call, status, slot, scalar, n, n, truth, 0, false);
    }

    fn make_callback(&mut self) {
        let (mut call, mut slot) = (Call::new("rkn_operator_create_callback"), null_mut());
        let ((rows, cols), scalar, mood) = (self.shape(), self.rng.pick(&KINDS), self.mood());
        let lines = self.lines(rows, cols, |_, _| true);
        let mut places = Vec::new();
        for i in 0..rows {
            places.extend((lines.pointers[i]..lines.pointers[i + 1]).map(|p| Some((i, lines.across[p as usize] as usize))));
        }
        let numbers = RefCell::new(self.values(scalar, &places));
        let leaf = Rc::new(Leaf { rows, cols, places, mirror: Mirror::None, numbers, lent: None, settable: false });
        let hook = Hook::new(mood, scalar, Some(leaf.clone()), &self.running);
        self.hooks.push(hook.clone());
        let (nrows, ncols) = (self.size(&mut call, rows), self.size(&mut call, cols));
        let kind = self.tag(&mut call, scalar, 4);
        let (_, ctx) = self.context(&mut call);
        let out = self.out(&mut call, &mut slot);
        let mut apply: Option<unsafe extern "C" fn(*mut c_void, i32, i64, *const c_void, i64, *mut c_void, i64) -> i32> = Some(hooks::apply);
        if self.rng.rarely(40) {
            (apply, _) = (None, call.wrong(RKN_ERR_NULL));
        }
        self.announce(&call, || format!("{rows} x {cols}, scalar {scalar}, {mood:?}"));
        let status = unsafe { rkn_operator_create_callback(ctx, kind, nrows, ncols, apply, hook.user(), Some(hooks::release), out) };
        hook.kept.set(status == 0);
        let moody = matches!(mood, Mood::Fail(_) | Mood::Nan);
        let truth = if moody { Truth::Unknown } else { Truth::Leaf(leaf) };
        self.adopt(&call, status, slot, scalar, rows, cols, truth, 0, moody);
    }

    /// Files that are none.
    fn make_from_file(&mut self) {
        let (mut call, mut slot, mut keep) = (Call::new("rkn_operator_create_matrix_market"), null_mut(), CString::default());
        let path = self.rng.pick(&["no such file", "", "/", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
        call.wrong(RKN_ERR_FILE);
        call.wrong(RKN_ERR_FORMAT);
        let (kind, pointer) = (self.tag(&mut call, RKN_F64, 4), self.text(&mut call, path, &mut keep));
        let (_, ctx) = self.context(&mut call);
        let out = self.out(&mut call, &mut slot);
        self.announce(&call, || path.to_string());
        let status = unsafe { rkn_operator_create_matrix_market(ctx, kind, pointer, out) };
        self.judge_handle(&call, status, slot);
    }

    /// One scalar behind a pointer, or none.
    fn factor(&mut self, call: &mut Call, scalar: i32) -> (C64, Buffer, *const c_void) {
        let z = self.rng.number(scalar);
        let mut buffer = Buffer::new(scalar, &[z]);
        let mut pointer = buffer.pointer();
        match self.rng.below(60) {
            0 => (pointer, _) = (null(), call.wrong(RKN_ERR_NULL)),
            1 => {
                buffer.write(&[C64::from(f64::NAN)]);
                call.wrong(RKN_ERR_NONFINITE);
            }
            _ => {}
        }
        (z, buffer, pointer)
    }

    pub fn make_composite(&mut self) {
        let kind = self.rng.below(6);
        let name = ["sum", "product", "scaled", "shifted", "adjoint", "block"][kind];
        const NAMES: [&str; 6] = [
            "rkn_operator_create_sum",
            "rkn_operator_create_product",
            "rkn_operator_create_scaled",
            "rkn_operator_create_shifted",
            "rkn_operator_create_adjoint",
            "rkn_operator_create_block",
        ];
        let (mut call, mut slot) = (Call::new(NAMES[kind]), null_mut());
        if kind == 5 {
            return self.make_block();
        }
        let (_, ctx) = self.context(&mut call);
        let (a, a_handle) = self.operator(&mut call, |o| o.depth < 4 && (kind != 3 || o.rows == o.cols));
        let (scalar, rows, cols) = a.map_or((RKN_F64, 1, 1), |a| (self.operators[a].scalar, self.operators[a].rows, self.operators[a].cols));
        let mut b = (None, null_mut());
        if kind < 2 {
            b = self.operator(&mut call, |o| {
                o.scalar == scalar && o.depth < 4 && if kind == 0 { (o.rows, o.cols) == (rows, cols) } else { o.rows == cols }
            });
        }
        let fits = |o: &OperatorModel| if kind == 0 { (o.rows, o.cols) == (rows, cols) } else { o.rows == cols };
        let mut shape = (rows, cols);
        if let (Some(_), Some(i)) = (a, b.0) {
            if self.operators[i].scalar != scalar {
                call.wrong(RKN_ERR_SCALAR);
            }
            if !fits(&self.operators[i]) {
                call.wrong(RKN_ERR_SIZE);
            }
            shape = if kind == 0 { shape } else { (rows, self.operators[i].cols) };
        }
        if kind == 3 && a.is_some() && rows != cols {
            call.wrong(RKN_ERR_SIZE);
        }
        let (alpha, _keep, alpha_pointer) = if kind == 1 || kind == 4 { (C64::from(0.0), None, null()) } else {
            let (z, keep, pointer) = self.factor(&mut call, scalar);
            (z, Some(keep), pointer)
        };
        let (beta, _keep, beta_pointer) = if kind != 0 { (C64::from(0.0), None, null()) } else {
            let (z, keep, pointer) = self.factor(&mut call, scalar);
            (z, Some(keep), pointer)
        };
        let conj = self.rng.rarely(2);
        let mut trans = if conj { RKN_H } else { RKN_T };
        if kind == 4 && self.rng.rarely(30) {
            trans = self.rng.pick(&[RKN_N, -1, 3, i32::MAX, i32::MIN]);
            call.wrong(RKN_ERR_ARGUMENT);
        }
        if kind == 4 {
            // An operator that knows that it has no adjoint.
            call.may(RKN_ERR_UNSUPPORTED);
            shape = (cols, rows);
        }
        let out = self.out(&mut call, &mut slot);
        self.announce(&call, || format!("{name} of {a_handle:?} {rows} x {cols} and {:?}", b.1));
        let status = unsafe {
            match kind {
                0 => rkn_operator_create_sum(ctx, alpha_pointer, a_handle, beta_pointer, b.1, out),
                1 => rkn_operator_create_product(ctx, a_handle, b.1, out),
                2 => rkn_operator_create_scaled(ctx, alpha_pointer, a_handle, out),
                3 => rkn_operator_create_shifted(ctx, a_handle, alpha_pointer, out),
                _ => rkn_operator_create_adjoint(ctx, trans, a_handle, out),
            }
        };
        if status != 0 {
            return self.judge_handle(&call, status, slot);
        }
        // (A failure of the judgement would come before a wrong index does harm.)
        let (Some(a), b) = (a, b.0) else { return self.judge_handle(&call, status, slot) };
        let part = |i: usize| self.operators[i].truth.clone();
        let truth = match (kind, b) {
            (0, Some(b)) => Truth::Sum(alpha, part(a), beta, part(b)),
            (1, Some(b)) => Truth::Product(part(a), part(b)),
            (2, _) => Truth::Scaled(alpha, part(a)),
            (3, _) => Truth::Shifted(part(a), alpha),
            _ => Truth::Adjoint(part(a), conj),
        };
        let parts = [Some(a), b];
        let depth = 1 + parts.iter().flatten().map(|i| self.operators[*i].depth).max().unwrap_or(0);
        let moody = parts.iter().flatten().any(|i| self.operators[*i].moody);
        let truth = if self.small(shape) { truth } else { Truth::Unknown };
        self.adopt(&call, status, slot, scalar, shape.0, shape.1, truth, depth, moody);
    }

    pub fn small(&self, (rows, cols): (usize, usize)) -> bool {
        rows < 200 && cols < 200
    }

    fn make_block(&mut self) {
        let (mut call, mut slot) = (Call::new("rkn_operator_create_block"), null_mut());
        let (_, ctx) = self.context(&mut call);
        let (block_rows, block_cols) = (1 + self.rng.below(2), 1 + self.rng.below(2));
        // Blocks of one shape and scalar mostly fit; the rest is for the checks.
        let first = if self.operators.is_empty() { None } else { Some(self.rng.below(self.operators.len())) };
        let like = first.map(|i| (self.operators[i].scalar, self.operators[i].rows, self.operators[i].cols));
        let mut parts = Vec::new();
        for _ in 0..block_rows * block_cols {
            if self.rng.rarely(5) {
                parts.push((None, null_mut()));
            } else {
                let mut inner = Call::new("block");
                let part = self.operator(&mut inner, |o| Some((o.scalar, o.rows, o.cols)) == like && o.depth < 3);
                if part.1.is_null() {
                    parts.push((None, null_mut()));
                    continue;
                }
                if inner.is_wrong() {
                    call.wrong(RKN_ERR_HANDLE);
                }
                parts.push(part);
            }
        }
        let models: Vec<Option<&OperatorModel>> = parts.iter().map(|p| p.0.map(|i| &self.operators[i])).collect();
        let present: Vec<&&OperatorModel> = models.iter().flatten().collect();
        let scalar = present.first().map_or(RKN_F64, |o| o.scalar);
        if present.is_empty() {
            call.wrong(RKN_ERR_ARGUMENT);
        }
        if present.iter().any(|o| o.scalar != scalar) {
            call.wrong(RKN_ERR_SCALAR);
        }
        let at = |r: usize, c: usize| models[r * block_cols + c];
        let height = |r: usize| (0..block_cols).find_map(|c| at(r, c)).map(|o| o.rows);
        let width = |c: usize| (0..block_rows).find_map(|r| at(r, c)).map(|o| o.cols);
        let (heights, widths): (Vec<_>, Vec<_>) = ((0..block_rows).map(height).collect(), (0..block_cols).map(width).collect());
        let misfit = (0..block_rows).any(|r| (0..block_cols).any(|c| at(r, c).is_some_and(|o| (Some(o.rows), Some(o.cols)) != (heights[r], widths[c]))));
        if misfit || heights.contains(&None) || widths.contains(&None) {
            call.wrong(RKN_ERR_SIZE);
        }
        let shape = (heights.iter().flatten().sum::<usize>(), widths.iter().flatten().sum::<usize>());
        let truth = Truth::Block(block_cols, models.iter().map(|m| m.map(|o| o.truth.clone())).collect());
        let truth = if self.small(shape) { truth } else { Truth::Unknown };
        let depth = 1 + present.iter().map(|o| o.depth).max().unwrap_or(0);
        let moody = present.iter().any(|o| o.moody);
        let handles: Vec<*const rkn_operator> = parts.iter().map(|p| p.1.cast_const()).collect();
        let mut blocks = handles.as_ptr();
        if self.rng.rarely(40) {
            (blocks, _) = (null(), call.wrong(RKN_ERR_NULL));
        }
        let (mut r, c) = (self.size(&mut call, block_rows), self.size(&mut call, block_cols));
        if self.rng.rarely(60) {
            (r, _) = (self.rng.pick(&[0, 1 << 61]), call.wrong(RKN_ERR_SIZE));
        }
        let out = self.out(&mut call, &mut slot);
        self.announce(&call, || format!("{block_rows} x {block_cols}: {handles:?}"));
        let status = unsafe { rkn_operator_create_block(ctx, r, c, blocks, out) };
        self.adopt(&call, status, slot, scalar, shape.0, shape.1, truth, depth, moody);
    }

    pub fn make_preconditioner(&mut self) {
        let (mut call, mut slot, mut keep) = (Call::new("rkn_operator_create_preconditioner"), null_mut(), CString::default());
        let (_, ctx) = self.context(&mut call);
        let (a, handle) = self.operator(&mut call, |o| o.rows == o.cols && o.depth < 4);
        let mut spec = self.rng.pick(PRECONDITIONERS);
        if self.rng.rarely(8) {
            spec = self.rng.pick(NO_PRECONDITIONERS);
            [RKN_ERR_KEY, RKN_ERR_ARGUMENT, RKN_ERR_NONFINITE].into_iter().for_each(|status| call.wrong(status));
        }
        if a.is_some_and(|a| self.operators[a].rows != self.operators[a].cols) {
            call.wrong(RKN_ERR_SIZE);
        }
        // The matrix may be singular, indefinite, huge, or have no entries; its callbacks may fail.
        call.may_be_anything();
        let pointer = self.text(&mut call, spec, &mut keep);
        let out = self.out(&mut call, &mut slot);
        let (scalar, n, depth) = a.map_or((RKN_F64, 0, 0), |a| (self.operators[a].scalar, self.operators[a].rows, self.operators[a].depth));
        let moody = a.is_some_and(|a| self.operators[a].moody);
        self.announce(&call, || format!("'{spec}' of {handle:?}, order {n}, scalar {scalar}"));
        let status = unsafe { rkn_operator_create_preconditioner(ctx, handle, pointer, out) };
        self.adopt(&call, status, slot, scalar, n, n, Truth::Unknown, depth + 1, moody);
    }
}
