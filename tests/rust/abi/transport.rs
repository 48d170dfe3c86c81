//! Transport: what lives, and calls that make geometries and solvers, set options and ask for results.

use super::hooks::{self, Hook, Mood};
use super::numbers::{Indices, Rng};
use super::world::{text, Call, World, MARK};
use reknit::ffi::context::rkn_context;
use reknit::ffi::geometry::*;
use reknit::ffi::sinkhorn::*;
use reknit::ffi::status::*;
use std::ffi::{c_void, CString};
use std::ptr::{null, null_mut};
use std::rc::Rc;

/// A cost by rows, infinite where forbidden.
pub struct Costs {
    pub n: usize,
    pub m: usize,
    pub c: Vec<f64>,
}

impl Costs {
    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.c[i * self.m + j]
    }

    pub fn largest(&self) -> f64 {
        self.c.iter().filter(|c| c.is_finite()).fold(0.0, |most, c| most.max(c.abs()))
    }

    pub fn is_symmetric(&self) -> bool {
        self.n == self.m && (0..self.n).all(|i| (0..i).all(|j| self.at(i, j) == self.at(j, i)))
    }

    pub fn is_full(&self) -> bool {
        self.c.iter().all(|c| c.is_finite())
    }
}

/// Clouds, a column a point, and how far apart points are.
pub struct Clouds {
    pub d: usize,
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    /// Squared Euclidean distances, without periods: the weights of the axes.
    pub squared: Option<Vec<f64>>,
}

#[derive(Clone)]
pub struct GeometryModel {
    pub handle: *mut rkn_geometry,
    pub costs: Rc<Costs>,
    pub clouds: Option<Rc<Clouds>>,
    /// Writes the rows.
    pub hook: Option<Rc<Hook>>,
    /// Numbers so large or small that a solve may refuse them or give up.
    pub extreme: bool,
}

impl GeometryModel {
    /// Rows may fail, or differ from visit to visit.
    pub fn is_moody(&self) -> bool {
        self.hook.as_ref().is_some_and(|hook| matches!(hook.mood, Mood::Fail(_) | Mood::Nan | Mood::Fickle))
    }
}

/// The last solution of a solver.
#[derive(Clone)]
pub struct Solved {
    pub of: GeometryModel,
    pub a: Vec<f64>,
    pub b: Vec<f64>,
    pub epsilon: f64,
    /// The plan has the marginals a and b.
    pub exact: bool,
    pub f: Vec<f64>,
    pub g: Vec<f64>,
}

pub struct SinkhornModel {
    pub handle: *mut rkn_sinkhorn,
    pub method: &'static str,
    /// Options other than those it was made with.
    pub touched: bool,
    pub monitor: Option<Rc<Hook>>,
    /// Its context has hooks or may be interrupted.
    pub context: bool,
    pub solved: Option<Solved>,
}

#[derive(Default)]
pub struct Transport {
    pub geometries: Vec<GeometryModel>,
    pub solvers: Vec<SinkhornModel>,
}

pub const METHODS: [&str; 3] = ["auto", "sinkhorn", "sns"];

pub const OPTIONS: [&str; 19] = [
    "epsilon", "epsilon_relative", "entropy", "tolerance", "max_passes", "time_limit", "start", "target_gap", "transported_mass", "penalty_a",
    "penalty_b", "relaxation", "anderson", "warmup", "sparsity", "derivative_tolerance", "barycenter", "movement", "max_steps",
];

const REALS: &[(&str, &[f64])] = &[
    ("epsilon", &[1.0, 0.25, 0.05, 1e-2, 1e-3, 1e-9, 1e-300, 5e-324, 1e9, 1e300, 0.0, -1.0, f64::NAN, f64::INFINITY]),
    ("tolerance", &[1e-6, 1e-3, 1e-10, 0.0, 2.0, 2.1, -1e-300, f64::NAN]),
    ("time_limit", &[1e-9, 0.0, 10.0, f64::MAX, -1.0, f64::NEG_INFINITY]),
    ("target_gap", &[0.0, 0.0, 0.1, 1e-4, 1.0, 1.5]),
    ("transported_mass", &[0.0, 0.0, 0.5, 1e-300, 4.0, f64::MAX, -1.0]),
    ("penalty_a", &[f64::MAX, f64::MAX, 0.0, 1e-9, 1.0, 1e9, -1.0]),
    ("penalty_b", &[f64::MAX, f64::MAX, 0.0, 1e-300, 1.0, 1e300, f64::INFINITY]),
    ("relaxation", &[1.0, 1.5, 1.95, 2.0, 0.5]),
    ("sparsity", &[0.0, 0.5, 1.0, -0.1]),
    ("derivative_tolerance", &[1e-10, 1e-4, 0.0, 1.0, 2.0]),
    ("movement", &[1e-6, 1e-2, 0.0, -1.0]),
    ("max_passes", &[3.0]),
    ("cost", &[1.0]),
    ("", &[1.0]),
];

const INTS: &[(&str, &[i64])] = &[
    ("max_passes", &[0, 1, 2, 7, 300, 2000, -1, i64::MIN]),
    ("anderson", &[0, 1, 5, 50, 51, -1]),
    ("warmup", &[0, 1, 20, i64::MAX, -1]),
    ("max_steps", &[0, 1, 5, 40, -1]),
    ("iterations", &[1]),
    ("epsilon", &[1, 0]),
    ("no such key", &[1]),
];

const TEXTS: &[(&str, &[&str])] = &[
    ("epsilon_relative", &["no", "max", "mean", "median", "most", ""]),
    ("entropy", &["counting", "product", "none"]),
    ("start", &["auto", "zero", "previous", "extrapolated", "Zero"]),
    ("barycenter", &["entropic", "debiased", "x"]),
    ("epsilon", &["1e-2", "0.5", "nan", "", "1e-400", "1e400", "0x1"]),
    ("max_passes", &["7", " 7", "7.0", "99999999999999999999"]),
    ("method", &["auto"]),
];

const LINES: &[&str] = &[
    "", "epsilon=1e-1 tolerance=1e-8", "epsilon=1e-2, epsilon_relative=max", "epsilon=0.1 epsilon=", "=", "start=zero start", "epsilon=0.5 entropy=nothing",
    ",,, \t\n", "epsilon==1", "max_passes=300 epsilon=0.3", "\u{FFFD}=1",
];

const RESULTS: &[&str] = &[
    "method", "iterations", "newton_steps", "cg_steps", "levels", "passes", "marginal_error", "epsilon_used", "cost", "plan_mass", "primal", "dual",
    "lower_bound", "upper_bound", "derivative_products", "derivative_residual", "solves", "status", "solve_seconds", "reason", "epsilon", "start",
    "max_passes", "nothing", "",
];

impl World<'_> {
    pub fn transport_step(&mut self) {
        match self.rng.below(100) {
            0..=15 => self.make_geometry(),
            16..=20 => self.make_sinkhorn(),
            21..=29 => self.set_sinkhorn_option(),
            30..=31 => self.set_sinkhorn_monitor(),
            32..=35 => self.ask_sinkhorn(),
            36..=37 => self.ask_geometry(),
            38..=54 => self.solve_transport(),
            55..=69 => self.use_plan(),
            70..=73 => self.bound(),
            74..=77 => self.keep_state(),
            78..=81 => self.derive(),
            82..=86 => self.solve_several(),
            87..=89 => self.find_barycenter(),
            90..=96 => self.exact_transport(),
            _ => self.destroy_transport(),
        }
        if self.transport.geometries.len() > 12 || self.transport.solvers.len() > 6 {
            self.destroy_transport();
        }
    }

    /// An array argument: at times NULL, or at an odd address.
    pub fn input<P>(&mut self, call: &mut Call, values: &[P]) -> *const P {
        match self.rng.below(120) {
            0 if !values.is_empty() => {
                call.wrong(RKN_ERR_NULL);
                null()
            }
            1 if !values.is_empty() => {
                call.wrong(RKN_ERR_ARGUMENT);
                values.as_ptr().wrapping_byte_add(1)
            }
            _ => values.as_ptr(),
        }
    }

    /// The same of one that may be left out.
    pub fn optional<P>(&mut self, call: &mut Call, values: &[P]) -> *const P {
        match self.rng.below(90) {
            0..=29 => null(),
            30 if !values.is_empty() => {
                call.wrong(RKN_ERR_ARGUMENT);
                values.as_ptr().wrapping_byte_add(1)
            }
            _ => values.as_ptr(),
        }
    }

    /// Where numbers are to go.
    pub fn room<P>(&mut self, call: &mut Call, values: &mut [P]) -> *mut P {
        let pointer = values.as_mut_ptr();
        match self.rng.below(120) {
            0 if !values.is_empty() => {
                call.wrong(RKN_ERR_NULL);
                null_mut()
            }
            1 if !values.is_empty() => {
                call.wrong(RKN_ERR_ARGUMENT);
                pointer.wrapping_byte_add(1)
            }
            _ => pointer,
        }
    }

    /// The same where they need not be wanted.
    pub fn optional_room<P>(&mut self, call: &mut Call, values: &mut [P]) -> *mut P {
        match self.rng.below(90) {
            0..=29 => null_mut(),
            30 if !values.is_empty() => {
                call.wrong(RKN_ERR_ARGUMENT);
                values.as_mut_ptr().wrapping_byte_add(1)
            }
            _ => values.as_mut_ptr(),
        }
    }

    /// A leading dimension, and the one that is said: too small at times, if it `counts`.
    pub fn leading(&mut self, call: &mut Call, rows: usize, columns: usize, counts: bool) -> (usize, i64) {
        let ld = rows + self.rng.below(3);
        let said = match self.rng.below(60) {
            0 if columns > 0 => rows as i64 - 1,
            1 => -1,
            2 => i64::MIN,
            3 if columns > 1 => i64::MAX,
            _ => return (ld, ld as i64),
        };
        if counts {
            call.wrong(RKN_ERR_SIZE);
        }
        (ld, said)
    }

    /// NaN, infinity or a number that is not allowed.
    pub fn spoil(&mut self, call: &mut Call, values: &mut [f64], not_negative: bool, once_in: usize) {
        if values.is_empty() || !self.rng.rarely(once_in) {
            return;
        }
        let at = self.rng.below(values.len());
        match self.rng.below(if not_negative { 4 } else { 3 }) {
            0 => (values[at], _) = (f64::NAN, call.wrong(RKN_ERR_NONFINITE)),
            1 => (values[at], _) = (f64::INFINITY, call.wrong(RKN_ERR_NONFINITE)),
            2 => (values[at], _) = (f64::NEG_INFINITY, call.wrong(RKN_ERR_NONFINITE)),
            _ => (values[at], _) = (-0.5, call.wrong(RKN_ERR_ARGUMENT)),
        }
        if not_negative && values[at] == f64::NEG_INFINITY {
            call.wrong(RKN_ERR_ARGUMENT);
        }
    }

    /// A positive number, or none.
    pub fn positive(&mut self, call: &mut Call, from: &[f64]) -> f64 {
        if self.rng.rarely(50) {
            [RKN_ERR_ARGUMENT, RKN_ERR_NONFINITE].into_iter().for_each(|status| call.wrong(status));
            return self.rng.pick(&[0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
        }
        self.rng.pick(from)
    }

    pub fn sinkhorn(&mut self, call: &mut Call) -> (Option<usize>, *mut rkn_sinkhorn) {
        if self.transport.solvers.is_empty() || self.rng.rarely(30) {
            return (None, self.bad_handle(call, true));
        }
        let i = self.rng.below(self.transport.solvers.len());
        (Some(i), self.transport.solvers[i].handle)
    }

    pub fn geometry(&mut self, call: &mut Call, wanted: impl Fn(&GeometryModel) -> bool) -> (Option<usize>, *mut rkn_geometry) {
        let fit: Vec<usize> = (0..self.transport.geometries.len()).filter(|i| wanted(&self.transport.geometries[*i])).collect();
        if fit.is_empty() || self.rng.rarely(30) {
            return (None, self.bad_handle(call, true));
        }
        let i = self.rng.pick(&fit);
        (Some(i), self.transport.geometries[i].handle)
    }

    pub fn new_order(&mut self) -> usize {
        self.rng.pick(&[1, 2, 2, 3, 3, 4, 4, 5, 6, 8, 12])
    }

    fn adopt_geometry(&mut self, call: &Call, status: i32, handle: *mut rkn_geometry, costs: Costs, clouds: Option<Clouds>, hook: Option<Rc<Hook>>) {
        self.judge_handle(call, status, handle);
        if status == 0 {
            let largest = costs.largest();
            let overflows = clouds.as_ref().is_some_and(|clouds| clouds.x.iter().chain(&clouds.y).any(|v| v.abs() > 1e50));
            // Beyond the last digits of a place, and of sums of costs.
            let overflows = overflows || largest > 1e250;
            let extreme = overflows || largest > 1e9 || (largest > 0.0 && largest < 1e-9) || costs.c.iter().any(|c| c.is_nan());
            let clouds = clouds.map(Rc::new);
            self.transport.geometries.push(GeometryModel { handle, costs: Rc::new(costs), clouds, hook, extreme });
        }
    }

    pub fn make_geometry(&mut self) {
        match self.rng.below(10) {
            0..=3 => self.make_matrix(),
            4..=5 => self.make_points(),
            6 => self.make_grid(),
            7 => self.make_sparse(),
            _ => self.make_hosted(),
        }
    }

    fn unit(&mut self) -> f64 {
        self.rng.pick(&[1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1e-6, 1e6, 1e-200, 1e150, 1e300])
    }

    fn numbers(&mut self, count: usize, unit: f64) -> Vec<f64> {
        (0..count).map(|_| unit * self.rng.eighth()).collect()
    }

    fn make_matrix(&mut self) {
        let (mut call, mut slot) = (Call::new("rkn_geometry_create_matrix"), null_mut());
        let (n, m) = self.transport_shape();
        let single = self.rng.rarely(3);
        let by_columns = self.rng.rarely(2);
        let unit = if single { self.rng.pick(&[1.0, 1e-6, 1e6, 1e30]) } else { self.unit() };
        let symmetric = n == m && self.rng.rarely(2);
        let mut c = self.numbers(n * m, unit);
        if symmetric {
            (0..n).for_each(|i| (0..i).for_each(|j| c[i * m + j] = c[j * m + i]));
        }
        if self.rng.rarely(2) {
            c.iter_mut().for_each(|c| *c = c.abs());
        }
        self.spoil(&mut call, &mut c, false, 25);
        let (inner, outer) = if by_columns { (n, m) } else { (m, n) };
        let (ld, said) = self.leading(&mut call, inner, outer, true);
        let mut laid = vec![f64::NAN; (outer - 1) * ld + inner];
        for i in 0..n {
            for j in 0..m {
                laid[if by_columns { i + j * ld } else { i * ld + j }] = c[i * m + j];
            }
        }
        let singles: Vec<f32> = laid.iter().map(|v| *v as f32).collect();
        if single {
            c.iter_mut().for_each(|c| *c = *c as f32 as f64);
        }
        let borrowed = self.rng.rarely(2);
        let pointer = if single { self.input(&mut call, &singles).cast::<c_void>() } else { self.input(&mut call, &laid).cast() };
        let scalar = match self.rng.below(60) {
            0 => (self.rng.pick(&[RKN_C32, RKN_C64]), call.wrong(RKN_ERR_SCALAR)).0,
            _ => self.tag(&mut call, if single { RKN_F32 } else { RKN_F64 }, 4),
        };
        let order = self.tag(&mut call, if by_columns { RKN_COLUMN_MAJOR } else { RKN_ROW_MAJOR }, 2);
        let memory = self.tag(&mut call, borrowed as i32, 2);
        let (rows, columns) = (self.positive_size(&mut call, n), self.positive_size(&mut call, m));
        let (_, ctx) = self.context(&mut call);
        let out = self.out(&mut call, &mut slot);
        self.announce(&call, || format!("{n} x {m}, scalar {scalar}, order {order}, ld {said}, unit {unit}, borrowed {borrowed}"));
        let status = unsafe { rkn_geometry_create_matrix(ctx, scalar, rows, columns, order, pointer, said, memory, out) };
        if borrowed {
            self.lent.push(Box::new((laid, singles)));
        }
        self.adopt_geometry(&call, status, slot, Costs { n, m, c }, None, None);
    }

    pub fn transport_shape(&mut self) -> (usize, usize) {
        let n = self.new_order();
        (n, if self.rng.rarely(2) { n } else { self.new_order() })
    }

    /// A size that must not be zero.
    pub fn positive_size(&mut self, call: &mut Call, right: usize) -> i64 {
        if self.rng.rarely(80) {
            call.wrong(RKN_ERR_SIZE);
            return 0;
        }
        self.size(call, right)
    }

    fn make_points(&mut self) {
        let (mut call, mut slot) = (Call::new("rkn_geometry_create_points"), null_mut());
        let (d, (n, m)) = (1 + self.rng.below(3), self.transport_shape());
        let unit = self.rng.pick(&[1.0, 1.0, 1.0, 0.0, 1e-3, 1e6, 1e100, 1e200]);
        let mut x = self.numbers(d * n, unit);
        let mut y = if n == m && self.rng.rarely(2) { x.clone() } else { self.numbers(d * m, unit) };
        let mut weights: Vec<f64> = (0..d).map(|_| self.rng.pick(&[1.0, 0.5, 2.0])).collect();
        let mut periods: Vec<f64> = (0..d).map(|_| self.rng.pick(&[0.0, 1.5, 4.0])).collect();
        let (weighted, periodic) = (self.rng.rarely(3), self.rng.rarely(4));
        let (p, q) = (self.positive(&mut call, &[2.0, 2.0, 1.0, 0.5, 3.0]), self.positive(&mut call, &[2.0, 2.0, 1.0, 0.5, 3.0]));
        self.spoil(&mut call, &mut x, false, 40);
        self.spoil(&mut call, &mut y, false, 40);
        if weighted && self.rng.rarely(20) {
            [RKN_ERR_ARGUMENT, RKN_ERR_NONFINITE].into_iter().for_each(|status| call.wrong(status));
            weights[d - 1] = self.rng.pick(&[0.0, -1.0, f64::NAN, f64::INFINITY]);
        }
        if periodic {
            self.spoil(&mut call, &mut periods, true, 20);
        }
        let ((ldx, said_x), (ldy, said_y)) = (self.leading(&mut call, d, n, true), self.leading(&mut call, d, m, true));
        let (xs, ys) = (laid(&x, d, ldx), laid(&y, d, ldy));
        let (xp, yp) = (self.input(&mut call, &xs), self.input(&mut call, &ys));
        let said = [self.positive_size(&mut call, d), self.positive_size(&mut call, n), self.positive_size(&mut call, m)];
        let (_, ctx) = self.context(&mut call);
        let out = self.out(&mut call, &mut slot);
        let (w, per) = (if weighted { weights.as_ptr() } else { null() }, if periodic { periods.as_ptr() } else { null() });
        self.announce(&call, || format!("{d}, {n} x {m}, ld {said_x} {said_y}, p {p}, q {q}, unit {unit}, {weighted} {periodic}"));
        // SAFETY: arrays as said.
        let status = unsafe { rkn_geometry_create_points(ctx, said[0], said[1], xp, said_x, said[2], yp, said_y, p, q, w, per, out) };
        let mut c = vec![0.0; n * m];
        for i in 0..n {
            for j in 0..m {
                let mut sum = 0.0;
                for k in 0..d {
                    let mut gap = x[i * d + k] - y[j * d + k];
                    if periodic && periods[k] > 0.0 {
                        gap -= periods[k] * (gap / periods[k]).round();
                    }
                    sum += if weighted { weights[k] } else { 1.0 } * gap.abs().powf(p);
                }
                c[i * m + j] = sum.powf(q / p);
            }
        }
        let squared = (p == 2.0 && q == 2.0 && !periodic).then(|| if weighted { weights } else { vec![1.0; d] });
        self.adopt_geometry(&call, status, slot, Costs { n, m, c }, Some(Clouds { d, x, y, squared }), None);
        if let (0, true) = (status, periodic && unit > 1e3) {
            // Of a place many periods away few digits are left.
            self.transport.geometries.last_mut().expect("it was made").extreme = true;
        }
    }

    fn make_grid(&mut self) {
        let (mut call, mut slot) = (Call::new("rkn_geometry_create_grid"), null_mut());
        let d = 1 + self.rng.below(3);
        let sizes: Vec<i64> = (0..d).map(|_| 1 + self.rng.below([12, 4, 3][d - 1]) as i64).collect();
        let mut closes: Vec<i32> = (0..d).map(|_| self.rng.below(2) as i32).collect();
        let (long, periodic) = (self.rng.rarely(2), self.rng.rarely(3));
        let lengths: Vec<f64> = (0..d).map(|_| if long { self.positive(&mut call, &[1.0, 0.25, 0.1, 1.0, 1e3]) } else { 1.0 }).collect();
        let p = self.positive(&mut call, &[2.0, 2.0, 1.0, 0.5, 3.0]);
        if periodic && self.rng.rarely(20) {
            (closes[0], _) = (self.rng.pick(&[-1, 2, i32::MIN]), call.wrong(RKN_ERR_ARGUMENT));
        }
        let mut said_sizes = sizes.clone();
        if self.rng.rarely(20) {
            (said_sizes[0], _) = (self.rng.pick(&[0, -1, i64::MAX, 1 << 33]), call.wrong(RKN_ERR_SIZE));
        }
        let said = if self.rng.rarely(30) {
            [RKN_ERR_ARGUMENT, RKN_ERR_SIZE].into_iter().for_each(|status| call.wrong(status));
            self.rng.pick(&[0, -1, 4, i64::MAX])
        } else {
            d as i64
        };
        let size = self.input(&mut call, &said_sizes);
        let (_, ctx) = self.context(&mut call);
        let out = self.out(&mut call, &mut slot);
        let h = if long { lengths.as_ptr() } else { null() };
        let flags = if periodic { closes.as_ptr() } else { null() };
        self.announce(&call, || format!("{sizes:?} {lengths:?} {long}, {closes:?} {periodic}, p {p}"));
        // SAFETY: arrays as said.
        let status = unsafe { rkn_geometry_create_grid(ctx, said, size, h, flags, p, out) };
        let n = sizes.iter().product::<i64>() as usize;
        let mut c = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                let (mut a, mut b) = (i as i64, j as i64);
                for k in (0..d).rev() {
                    let mut gap = (a % sizes[k] - b % sizes[k]).abs();
                    (a, b) = (a / sizes[k], b / sizes[k]);
                    if periodic && closes[k] == 1 {
                        gap = gap.min(sizes[k] - gap);
                    }
                    c[i * n + j] += (lengths[k] * gap as f64).powf(p);
                }
            }
        }
        self.adopt_geometry(&call, status, slot, Costs { n, m: n, c }, None, None);
    }

    fn make_sparse(&mut self) {
        let (mut call, mut slot) = (Call::new("rkn_geometry_create_sparse"), null_mut());
        let (n, m) = self.transport_shape();
        let (index, base) = (self.rng.pick(&[RKN_I32, RKN_I64]), self.rng.below(2) as i64);
        let (mut ptr, mut ind, mut costs, mut c) = (vec![base], Vec::new(), Vec::new(), vec![f64::INFINITY; n * m]);
        let unit = self.unit();
        for i in 0..n {
            // Mostly feasible: the diagonal and its like are there.
            let mut row: Vec<usize> = (0..m).filter(|j| (*j == i % m || *j * n / m == i) && !self.rng.rarely(60) || self.rng.rarely(3)).collect();
            if self.rng.rarely(2) {
                row.reverse();
            }
            for j in row {
                let v = unit * self.rng.eighth();
                c[i * m + j] = v;
                ind.push(j as i64 + base);
                costs.push(v);
            }
            ptr.push(ind.len() as i64 + base);
        }
        self.spoil(&mut call, &mut costs, false, 40);
        match self.rng.below(60) {
            0 => (ptr[0], _) = (base + 1, call.wrong(RKN_ERR_INDEX)),
            1 => (ptr[n], _) = (base - 1, call.wrong(RKN_ERR_INDEX)),
            2 if n > 1 => (ptr[1], _) = (self.rng.pick(&[i32::MAX as i64, base - 1, ind.len() as i64 + base + 1]), call.wrong(RKN_ERR_INDEX)),
            3 if !ind.is_empty() => (ind[0], _) = (self.rng.pick(&[base - 1, m as i64 + base, i32::MIN as i64]), call.wrong(RKN_ERR_INDEX)),
            4 if ptr[1] - ptr[0] > 1 => (ind[0], _) = (ind[1], call.wrong(RKN_ERR_INDEX)),
            _ => {}
        }
        let (pointers, across) = (Indices::new(index, &ptr), Indices::new(index, &ind));
        let (mut rowptr, mut colind) = (pointers.pointer(), across.pointer());
        match self.rng.below(60) {
            0 => (rowptr, _) = (null(), call.wrong(RKN_ERR_NULL)),
            1 if !ind.is_empty() => (colind, _) = (null(), call.wrong(RKN_ERR_NULL)),
            2 => (rowptr, _) = (rowptr.wrapping_byte_add(1), call.wrong(RKN_ERR_ARGUMENT)),
            _ => {}
        }
        let values = self.input(&mut call, &costs);
        let (index, base) = (self.tag(&mut call, index, 2), self.tag(&mut call, base as i32, 2));
        let (rows, columns) = (self.positive_size(&mut call, n), self.positive_size(&mut call, m));
        let (_, ctx) = self.context(&mut call);
        let out = self.out(&mut call, &mut slot);
        self.announce(&call, || format!("{n} x {m}, {} entries, unit {unit}", costs.len()));
        // SAFETY: arrays as said.
        let status = unsafe { rkn_geometry_create_sparse(ctx, rows, columns, index, base, rowptr, colind, values, out) };
        self.adopt_geometry(&call, status, slot, Costs { n, m, c }, None, None);
    }

    fn make_hosted(&mut self) {
        let (mut call, mut slot) = (Call::new("rkn_geometry_create_callback"), null_mut());
        let (n, m) = self.transport_shape();
        let unit = self.unit();
        let c = self.numbers(n * m, unit);
        let mood = if self.rng.rarely(8) { Mood::Fickle } else { self.mood() };
        let hook = Hook::new(mood, RKN_F64, None, &self.running);
        hook.rows.replace(Some(Rc::new(Costs { n, m, c: c.clone() })));
        self.hooks.push(hook.clone());
        let (rows, columns) = (self.positive_size(&mut call, n), self.positive_size(&mut call, m));
        let (_, ctx) = self.context(&mut call);
        let out = self.out(&mut call, &mut slot);
        let row: rkn_row = if self.rng.rarely(40) { (None, call.wrong(RKN_ERR_NULL)).0 } else { Some(super::transport_hooks::row) };
        self.announce(&call, || format!("{n} x {m}, unit {unit}, {mood:?}"));
        // SAFETY: the hook lives as long as the world.
        let status = unsafe { rkn_geometry_create_callback(ctx, rows, columns, row, hook.user(), Some(hooks::release), out) };
        hook.kept.set(status == 0);
        self.adopt_geometry(&call, status, slot, Costs { n, m, c }, None, Some(hook));
    }

    fn ask_geometry(&mut self) {
        let mut call = Call::new("rkn_geometry_shape");
        let (i, handle) = self.geometry(&mut call, |_| true);
        let (mut n, mut m) = (MARK as i64, MARK as i64);
        let only = self.rng.rarely(4);
        self.announce(&call, || format!("{handle:?}"));
        // SAFETY: room as documented.
        let status = unsafe { rkn_geometry_shape(handle, if only { null_mut() } else { &raw mut n }, &mut m) };
        self.judge(&call, status);
        let wanted = i.map_or((MARK, MARK), |i| (self.transport.geometries[i].costs.n, self.transport.geometries[i].costs.m));
        assert_eq!((if only { wanted.0 as i64 } else { n }, m), (wanted.0 as i64, wanted.1 as i64));
    }

    pub fn make_sinkhorn(&mut self) {
        let (mut call, mut slot, mut keep) = (Call::new("rkn_sinkhorn_create"), null_mut(), CString::default());
        let out = self.out(&mut call, &mut slot);
        let (context, ctx): (_, *const rkn_context) = self.context(&mut call);
        let method = self.rng.pick(&METHODS);
        let mut word = method;
        if self.rng.rarely(30) {
            call.wrong(RKN_ERR_KEY);
            word = self.rng.pick(&["", "AUTO", "sns ", "no such method"]);
        }
        let pointer = self.text(&mut call, word, &mut keep);
        self.announce(&call, || word.to_string());
        // SAFETY: `out` is NULL or can be written.
        let status = unsafe { rkn_sinkhorn_create(ctx, pointer, out) };
        self.judge_handle(&call, status, slot);
        if status == 0 {
            self.transport.solvers.push(SinkhornModel { handle: slot, method, touched: false, monitor: None, context: context.is_some(), solved: None });
            let epsilon = self.rng.pick(&[1.0, 0.25, 0.1, 0.05]);
            // Few passes, so that a sequence is quick.
            unsafe {
                assert_eq!(rkn_sinkhorn_set_real(slot, c"epsilon".as_ptr(), epsilon), 0);
                assert_eq!(rkn_sinkhorn_set_int(slot, c"max_passes".as_ptr(), 2000), 0);
                assert_eq!(rkn_sinkhorn_set_int(slot, c"max_steps".as_ptr(), 20), 0);
            }
        }
    }

    fn set_sinkhorn_option(&mut self) {
        let way = self.rng.below(4);
        let name = ["rkn_sinkhorn_set_int", "rkn_sinkhorn_set_real", "rkn_sinkhorn_set_string", "rkn_sinkhorn_set_options"][way];
        let (mut call, mut key_keep, mut value_keep) = (Call::new(name), CString::default(), CString::default());
        let (i, s) = self.sinkhorn(&mut call);
        // Whether key and value suit the method is the registry's own test.
        call.may_be_anything();
        let status = match way {
            0 => {
                let (key, values) = self.rng.pick(INTS);
                let value = self.rng.pick(values);
                let pointer = self.text(&mut call, key, &mut key_keep);
                self.announce(&call, || format!("{s:?} {key} {value}"));
                unsafe { rkn_sinkhorn_set_int(s, pointer, value) }
            }
            1 => {
                let (key, values) = self.rng.pick(REALS);
                let value = self.rng.pick(values);
                if !value.is_finite() {
                    [RKN_ERR_NONFINITE, RKN_ERR_KEY].into_iter().for_each(|status| call.wrong(status));
                }
                let pointer = self.text(&mut call, key, &mut key_keep);
                self.announce(&call, || format!("{s:?} {key} {value}"));
                unsafe { rkn_sinkhorn_set_real(s, pointer, value) }
            }
            2 => {
                let (key, values) = self.rng.pick(TEXTS);
                let value = self.rng.pick(values);
                let (k, v) = (self.text(&mut call, key, &mut key_keep), self.text(&mut call, value, &mut value_keep));
                self.announce(&call, || format!("{s:?} {key} {value}"));
                unsafe { rkn_sinkhorn_set_string(s, k, v) }
            }
            _ => {
                let line = self.rng.pick(LINES);
                let pointer = self.text(&mut call, line, &mut key_keep);
                self.announce(&call, || format!("{s:?} {line}"));
                unsafe { rkn_sinkhorn_set_options(s, pointer) }
            }
        };
        self.judge(&call, status);
        if let (Some(i), 0) = (i, status) {
            self.transport.solvers[i].touched = true;
        }
    }

    fn set_sinkhorn_monitor(&mut self) {
        let mut call = Call::new("rkn_sinkhorn_set_monitor");
        let (i, s) = self.sinkhorn(&mut call);
        let hook = Hook::new(self.mood(), RKN_F64, None, &self.running);
        self.hooks.push(hook.clone());
        let off = self.rng.rarely(2);
        self.announce(&call, || format!("{s:?} off {off} {:?}", hook.mood));
        // SAFETY: the hook lives as long as the world.
        let status = unsafe { rkn_sinkhorn_set_monitor(s, if off { None } else { Some(hooks::monitor) }, hook.user(), Some(hooks::release)) };
        hook.kept.set(status == 0 && !off);
        self.judge(&call, status);
        if let (Some(i), 0) = (i, status) {
            self.transport.solvers[i].monitor = (!off).then_some(hook);
        }
    }

    fn ask_sinkhorn(&mut self) {
        let way = self.rng.below(3);
        let mut call = Call::new(["rkn_sinkhorn_get_int", "rkn_sinkhorn_get_real", "rkn_sinkhorn_get_string"][way]);
        let mut keep = CString::default();
        let (_, s) = self.sinkhorn(&mut call);
        let key = self.rng.pick(RESULTS);
        if key == "nothing" || key.is_empty() {
            call.wrong(RKN_ERR_KEY);
        }
        // No number, or not of the method.
        call.may(RKN_ERR_KEY);
        let pointer = self.text(&mut call, key, &mut keep);
        self.announce(&call, || format!("{s:?} {key}"));
        if way == 2 {
            return self.read_text(call, |buf, cap, need| unsafe { rkn_sinkhorn_get_string(s, pointer, buf, cap, need) });
        }
        let (mut int, mut real) = (-(MARK as i64), -(MARK as f64));
        let none = self.rng.rarely(25);
        if none {
            call.wrong(RKN_ERR_NULL);
        }
        let status = unsafe {
            match way {
                0 => rkn_sinkhorn_get_int(s, pointer, if none { null_mut() } else { &mut int }),
                _ => rkn_sinkhorn_get_real(s, pointer, if none { null_mut() } else { &mut real }),
            }
        };
        self.judge(&call, status);
        let untouched = int == -(MARK as i64) && real == -(MARK as f64);
        assert!(untouched == (status != 0), "seed {} step {}: {key} and status {status}", self.seed, self.steps);
    }

    /// An option or result, as a number.
    pub fn real(&self, s: *const rkn_sinkhorn, key: &str) -> f64 {
        let (key, mut value) = (CString::new(key).expect("no NUL"), f64::NAN);
        // SAFETY: alive.
        assert_eq!(unsafe { rkn_sinkhorn_get_real(s, key.as_ptr(), &mut value) }, 0, "{key:?}");
        value
    }

    /// An option as text; none where the method does not use it.
    pub fn word(&self, s: *const rkn_sinkhorn, key: &str) -> Option<String> {
        let (key, mut buf) = (CString::new(key).expect("no NUL"), vec![0u8; 200]);
        // SAFETY: alive, and room as stated.
        let status = unsafe { rkn_sinkhorn_get_string(s, key.as_ptr(), buf.as_mut_ptr().cast(), 200, null_mut()) };
        (status == 0).then(|| text(buf.as_ptr().cast()))
    }

    /// A solver of the same method and options.
    pub fn twin(&self, i: usize) -> *mut rkn_sinkhorn {
        let SinkhornModel { handle, method, .. } = self.transport.solvers[i];
        let (method, mut slot) = (CString::new(method).expect("no NUL"), null_mut());
        // SAFETY: as documented.
        unsafe {
            assert_eq!(rkn_sinkhorn_create(null(), method.as_ptr(), &mut slot), 0);
            for key in OPTIONS {
                if let Some(value) = self.word(handle, key) {
                    let (key, value) = (CString::new(key).expect("no NUL"), CString::new(value).expect("no NUL"));
                    let status = rkn_sinkhorn_set_string(slot, key.as_ptr(), value.as_ptr());
                    assert!(status == 0 || status == RKN_ERR_KEY, "{key:?} as it was told: {value:?}");
                }
            }
        }
        slot
    }

    /// Destroys something alive, or dead, or wrong.
    pub fn destroy_transport(&mut self) {
        let mut call = Call::new("destroy");
        // SAFETY: destroy takes any pointer.
        unsafe {
            match self.rng.below(6) {
                0 => rkn_geometry_destroy(self.bad_handle(&mut call, true)),
                1 => rkn_sinkhorn_destroy(self.bad_handle(&mut call, true)),
                2 if !self.transport.solvers.is_empty() => {
                    let i = self.rng.below(self.transport.solvers.len());
                    let gone = self.transport.solvers.swap_remove(i).handle;
                    self.announce(&call, || format!("transport solver {gone:?}"));
                    rkn_sinkhorn_destroy(gone);
                    self.dead.push(gone as usize);
                }
                _ if !self.transport.geometries.is_empty() => {
                    let i = self.rng.below(self.transport.geometries.len());
                    let gone = self.transport.geometries.swap_remove(i).handle;
                    self.announce(&call, || format!("geometry {gone:?}"));
                    rkn_geometry_destroy(gone);
                    self.dead.push(gone as usize);
                }
                _ => {}
            }
        }
    }

    /// Takes handles out of the model that a callback destroyed.
    pub fn bury_transport(&mut self, solver: Option<usize>, geometry: *mut rkn_geometry) {
        if let Some(i) = solver {
            let gone = self.transport.solvers.remove(i);
            self.dead.push(gone.handle as usize);
        }
        if let Some(i) = self.transport.geometries.iter().position(|g| g.handle == geometry) {
            let gone = self.transport.geometries.remove(i);
            self.dead.push(gone.handle as usize);
        }
    }

    pub fn end_transport(&mut self) {
        while !(self.transport.geometries.is_empty() && self.transport.solvers.is_empty()) {
            self.destroy_transport();
        }
    }
}

#[allow(non_camel_case_types)]
type rkn_row = Option<unsafe extern "C" fn(*mut c_void, i64, i64, *mut f64) -> i32>;

/// Columns with a leading dimension; what lies between is NaN.
pub fn laid(columns: &[f64], rows: usize, ld: usize) -> Vec<f64> {
    let count = columns.len() / rows.max(1);
    let mut all = vec![f64::NAN; if count == 0 { 0 } else { (count - 1) * ld + rows }];
    for j in 0..count {
        all[j * ld..][..rows].copy_from_slice(&columns[j * rows..][..rows]);
    }
    all
}

/// Masses of `n` points, eighths of one sum.
pub fn masses(rng: &mut Rng, n: usize, eighths: usize) -> Vec<f64> {
    let mut masses = vec![0.0; n];
    let parts = rng.below(3);
    for k in 0..eighths {
        let at = if parts > 0 && k < n { k } else { rng.below(n) };
        masses[at] += 0.125;
    }
    masses
}
