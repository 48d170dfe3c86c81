//! Calls without a handle: transport on a line, a circle and by slices, doubly stochastic projections, coding rates.

use super::transport::{laid, masses};
use super::transport_solving::{cheapest, marked, untouched};
use super::world::{Call, World};
use reknit::ffi::line::*;
use reknit::ffi::membership::*;
use reknit::ffi::status::*;
use std::ptr::null_mut;

/// Two sides of transport in one dimension.
struct Sides {
    x: Vec<f64>,
    y: Vec<f64>,
    a: Vec<f64>,
    b: Vec<f64>,
    /// Their masses are given.
    given: [bool; 2],
    p: f64,
    said: [i64; 2],
    /// Numbers of a usual size.
    plain: bool,
}

impl Sides {
    /// The masses in force.
    fn masses(&self) -> (Vec<f64>, Vec<f64>) {
        let sum = |given: bool, v: &[f64]| given.then(|| v.iter().sum::<f64>());
        let mass = sum(self.given[0], &self.a).or(sum(self.given[1], &self.b)).unwrap_or(1.0);
        let alike = |given: bool, v: &Vec<f64>| if given { v.clone() } else { vec![mass / v.len() as f64; v.len()] };
        (alike(self.given[0], &self.a), alike(self.given[1], &self.b))
    }
}

/// log det of a symmetric positive definite matrix by elimination.
fn logdet(mut a: Vec<f64>, n: usize) -> f64 {
    let mut sum = 0.0;
    for k in 0..n {
        sum += a[k * n + k].ln();
        for i in k + 1..n {
            let l = a[i * n + k] / a[k * n + k];
            (k..n).for_each(|j| a[i * n + j] -= l * a[k * n + j]);
        }
    }
    sum
}

/// logdet(I + sum_i w_i z_i z_i^T).
fn rate(z: &[f64], d: usize, w: &dyn Fn(usize) -> f64) -> f64 {
    let mut a = vec![0.0; d * d];
    (0..d).for_each(|k| a[k * d + k] = 1.0);
    for (i, z) in z.chunks(d).enumerate() {
        (0..d * d).for_each(|at| a[at] += w(i) * z[at / d] * z[at % d]);
    }
    logdet(a, d)
}

impl World<'_> {
    pub fn exact_transport(&mut self) {
        match self.rng.below(9) {
            0 | 1 => self.transport_1d(),
            2 => self.plan_1d(),
            3 => self.gradient_1d(),
            4 => self.slice(),
            5 => self.project(),
            6 => self.project_vjp(),
            7 => self.coding_rate(),
            _ => self.clustered_rate(),
        }
    }

    fn seed_step(&self) -> String {
        format!("seed {} step {}", self.seed, self.steps)
    }

    fn sides(&mut self, call: &mut Call) -> Sides {
        let (n, m) = self.transport_shape();
        let unit = self.rng.pick(&[1.0, 1.0, 1.0, 1e-8, 1e8, 1e-200, 1e200, 1e308]);
        let mut x: Vec<f64> = (0..n).map(|_| unit * self.rng.eighth()).collect();
        let mut y: Vec<f64> = (0..m).map(|_| unit * self.rng.eighth()).collect();
        let eighths = 1 + self.rng.below(24);
        let (mut a, mut b) = (masses(&mut self.rng, n, eighths), masses(&mut self.rng, m, eighths));
        let given = [!self.rng.rarely(3), !self.rng.rarely(3)];
        let mut p = self.rng.pick(&[1.0, 2.0, 2.0, 1.5, 7.0]);
        self.spoil(call, &mut x, false, 40);
        self.spoil(call, &mut y, false, 40);
        if given[0] {
            self.spoil(call, &mut a, true, 40);
        }
        if given[1] {
            self.spoil(call, &mut b, true, 40);
        }
        if given == [true; 2] && self.rng.rarely(40) {
            b.iter_mut().for_each(|v| *v *= 1.01);
            call.wrong(RKN_ERR_ARGUMENT);
        }
        if self.rng.rarely(40) {
            p = self.rng.pick(&[0.0, 0.99, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
            // The plan on a line is that of any p, and takes none.
            if call.name != "rkn_wasserstein_line_plan" {
                [RKN_ERR_ARGUMENT, RKN_ERR_NONFINITE].into_iter().for_each(|status| call.wrong(status));
            }
        }
        if unit > 1e100 {
            call.may(RKN_ERR_NONFINITE);
        }
        let said = [self.positive_size(call, n), self.positive_size(call, m)];
        Sides { x, y, a, b, given, p, said, plain: (1e-100..1e100).contains(&unit) }
    }

    /// Pointers of the sides: x, a, y, b.
    fn pointers(&mut self, call: &mut Call, sides: &Sides) -> [*const f64; 4] {
        let pick = |given: bool, v: &[f64]| if given { v.as_ptr() } else { std::ptr::null() };
        [self.input(call, &sides.x), pick(sides.given[0], &sides.a), self.input(call, &sides.y), pick(sides.given[1], &sides.b)]
    }

    /// A period, or none for a line.
    fn period(&mut self, call: &mut Call, sides: &Sides, circle: bool) -> f64 {
        let most = sides.x.iter().chain(&sides.y).filter(|v| v.is_finite()).fold(0.0f64, |most, v| most.max(v.abs()));
        let unit = if most > 0.0 { most } else { 1.0 };
        if circle { self.positive(call, &[0.75 * unit, 0.5 * unit, 0.3 * unit]) } else { f64::INFINITY }
    }

    fn ways(sides: &Sides, period: f64) -> impl Fn(usize, usize) -> f64 + '_ {
        move |i, j| {
            let gap = sides.x[i] - sides.y[j];
            let gap = if period.is_finite() { gap - period * (gap / period).round() } else { gap };
            gap.abs().powf(sides.p)
        }
    }

    /// How far two costs may be apart for their rounding: places are as exact as the largest, and so are powers of ways.
    fn slack(sides: &Sides, period: f64) -> f64 {
        let most = sides.x.iter().chain(&sides.y).fold(0.0f64, |most, v| most.max(v.abs()));
        let way = if period.is_finite() { period } else { 2.0 * most };
        let relative = 1e-13 * (1.0 + if way > 0.0 { most / way } else { 0.0 });
        sides.masses().0.iter().sum::<f64>() * (relative * 100.0 * sides.p * way.powf(sides.p) + f64::MIN_POSITIVE)
    }

    fn transport_1d(&mut self) {
        let circle = self.rng.rarely(2);
        let mut call = Call::new(if circle { "rkn_wasserstein_circle" } else { "rkn_wasserstein_line" });
        let sides = self.sides(&mut call);
        let period = self.period(&mut call, &sides, circle);
        let [x, a, y, b] = self.pointers(&mut call, &sides);
        let mut cost = marked(1);
        let to = self.room(&mut call, &mut cost);
        let ([n, m], p) = (sides.said, sides.p);
        self.announce(&call, || format!("{:?} {:?} {:?} {:?} {:?} p {p} period {period}", sides.x, sides.a, sides.y, sides.b, sides.given));
        // SAFETY: arrays as documented, in all calls below too.
        let status = unsafe {
            match circle {
                true => rkn_wasserstein_circle(period, n, x, a, m, y, b, p, to),
                false => rkn_wasserstein_line(n, x, a, m, y, b, p, to),
            }
        };
        self.judge(&call, status);
        if status != 0 {
            return assert!(untouched(&cost), "{}: a cost from a failure", self.seed_step());
        }
        assert!(cost[0] >= 0.0 && cost[0].is_finite(), "{}: {cost:?}", self.seed_step());
        let (a, b) = sides.masses();
        let alike = |v: &[f64]| v.iter().all(|w| *w == v[0]);
        let k = a.len();
        if sides.plain && k == b.len() && k <= 5 && alike(&a) && alike(&b) {
            let best = a[0] * cheapest(k, &Self::ways(&sides, period));
            assert!((cost[0] - best).abs() <= Self::slack(&sides, period), "{}: {cost:?}, not {best}", self.seed_step());
        }
    }

    fn plan_1d(&mut self) {
        let circle = self.rng.rarely(2);
        let mut call = Call::new(if circle { "rkn_wasserstein_circle_plan" } else { "rkn_wasserstein_line_plan" });
        let sides = self.sides(&mut call);
        let period = self.period(&mut call, &sides, circle);
        let [x, a, y, b] = self.pointers(&mut call, &sides);
        let ([n, m], p) = (sides.said, sides.p);
        self.announce(&call, || format!("{:?} {:?} {:?} {:?} {:?} p {p} period {period}", sides.x, sides.a, sides.y, sides.b, sides.given));
        let run = |r: *mut i64, c: *mut i64, v: *mut f64, cap: i64, need: *mut i64| unsafe {
            match circle {
                true => rkn_wasserstein_circle_plan(period, n, x, a, m, y, b, p, r, c, v, cap, need),
                false => rkn_wasserstein_line_plan(n, x, a, m, y, b, r, c, v, cap, need),
            }
        };
        let mut need = -1;
        let status = run(null_mut(), null_mut(), null_mut(), 0, &mut need);
        self.judge(&call, status);
        if status != 0 {
            return assert_eq!(need, -1, "{}", self.seed_step());
        }
        let count = need as usize;
        assert!(count > 0 && count < sides.x.len() + sides.y.len(), "{}: {count} entries", self.seed_step());
        let (mut rows, mut columns, mut values) = (vec![-7i64; count], vec![-7i64; count], marked(count));
        let mut cap = need;
        if self.rng.rarely(6) {
            (cap, _) = (self.rng.pick(&[need - 1, -1, i64::MIN]), call.wrong(RKN_ERR_SIZE));
        }
        let (rp, cp, vp) = (self.room(&mut call, &mut rows), self.room(&mut call, &mut columns), self.room(&mut call, &mut values));
        let status = run(rp, cp, vp, cap, null_mut());
        self.judge(&call, status);
        if status != 0 {
            return assert!(untouched(&values) && rows.iter().chain(&columns).all(|v| *v == -7), "{}: a plan from a failure", self.seed_step());
        }
        let (a, b) = sides.masses();
        let (mut of_a, mut of_b) = (vec![0.0; a.len()], vec![0.0; b.len()]);
        for k in 0..count {
            assert!(values[k] > 0.0, "{}: an entry {}", self.seed_step(), values[k]);
            of_a[rows[k] as usize] += values[k];
            of_b[columns[k] as usize] += values[k];
        }
        let mass: f64 = a.iter().sum();
        let worst = of_a.iter().zip(&a).chain(of_b.iter().zip(&b)).map(|(got, wanted)| (got - wanted).abs()).fold(0.0, f64::max);
        assert!(worst <= 1e-12 * mass, "{}: the plan misses its masses by {worst}", self.seed_step());
        if sides.plain && !call.is_wrong() && sides.p >= 1.0 && sides.p.is_finite() {
            let mut cost = f64::NAN;
            let status = unsafe {
                match circle {
                    true => rkn_wasserstein_circle(period, n, x, sides_pointer(&sides, 0), m, y, sides_pointer(&sides, 1), p, &mut cost),
                    false => rkn_wasserstein_line(n, x, sides_pointer(&sides, 0), m, y, sides_pointer(&sides, 1), p, &mut cost),
                }
            };
            assert_eq!(status, 0, "{}", self.seed_step());
            let way = Self::ways(&sides, period);
            let of_plan: f64 = (0..count).map(|k| values[k] * way(rows[k] as usize, columns[k] as usize)).sum();
            assert!((of_plan - cost).abs() <= Self::slack(&sides, period), "{}: the plan costs {of_plan}, not {cost}", self.seed_step());
        }
    }

    fn gradient_1d(&mut self) {
        let circle = self.rng.rarely(2);
        let mut call = Call::new(if circle { "rkn_wasserstein_circle_gradient" } else { "rkn_wasserstein_line_gradient" });
        let sides = self.sides(&mut call);
        let period = self.period(&mut call, &sides, circle);
        let [x, a, y, b] = self.pointers(&mut call, &sides);
        let ([n, m], p) = (sides.said, sides.p);
        let (k, l) = (sides.x.len(), sides.y.len());
        let (mut cost, mut out) = (marked(1), [k, l, k, l].map(marked));
        let cp = self.optional_room(&mut call, &mut cost);
        let to = out.each_mut().map(|v| self.optional_room(&mut call, v));
        self.announce(&call, || format!("{:?} {:?} {:?} {:?} {:?} p {p} period {period}", sides.x, sides.a, sides.y, sides.b, sides.given));
        let status = unsafe {
            match circle {
                true => rkn_wasserstein_circle_gradient(period, n, x, a, m, y, b, p, cp, to[0], to[1], to[2], to[3]),
                false => rkn_wasserstein_line_gradient(n, x, a, m, y, b, p, cp, to[0], to[1], to[2], to[3]),
            }
        };
        self.judge(&call, status);
        if status != 0 {
            return assert!(untouched(&cost) && out.iter().all(|v| untouched(v)), "{}: gradients from a failure", self.seed_step());
        }
        let written = out.iter().zip(&to).all(|(v, to)| if to.is_null() { untouched(v) } else { v.iter().all(|v| v.is_finite()) });
        assert!(written || !sides.plain, "{}: {out:?}", self.seed_step());
        if !sides.plain || to[2].is_null() || to[3].is_null() {
            return;
        }
        let ((a, b), way, slack) = (sides.masses(), Self::ways(&sides, period), Self::slack(&sides, period));
        let mass: f64 = a.iter().sum();
        let dual: f64 = a.iter().zip(&out[2]).chain(b.iter().zip(&out[3])).map(|(has, v)| has * v).sum();
        assert!(cp.is_null() || (dual - cost[0]).abs() <= 10.0 * slack, "{}: the dual is {dual}, the cost {cost:?}", self.seed_step());
        for i in 0..k {
            for j in 0..l {
                let over = out[2][i] + out[3][j] - way(i, j);
                assert!(over <= 10.0 * slack / mass, "{}: potentials of {i} and {j} exceed the way by {over}", self.seed_step());
            }
        }
    }

    fn slice(&mut self) {
        let mut call = Call::new("rkn_wasserstein_sliced");
        let sides = self.sides(&mut call);
        let d = 1 + self.rng.below(3);
        let (n, m) = (sides.x.len(), sides.y.len());
        // Each point d times over: on the diagonal of space.
        let spread = |v: &[f64]| v.iter().flat_map(|v| std::iter::repeat_n(*v, d)).collect::<Vec<f64>>();
        let wants = !self.rng.rarely(3);
        let (ldx, ldy, ldg) = (self.leading(&mut call, d, n, true), self.leading(&mut call, d, m, true), self.leading(&mut call, d, n, wants));
        let (x, y) = (laid(&spread(&sides.x), d, ldx.0), laid(&spread(&sides.y), d, ldy.0));
        let (xp, yp) = (self.input(&mut call, &x), self.input(&mut call, &y));
        let (mut cost, mut gradient) = (marked(1), marked((n - 1) * ldg.0 + d));
        let cp = self.room(&mut call, &mut cost);
        let gp = if wants { self.room(&mut call, &mut gradient) } else { null_mut() };
        if wants && gp.is_null() {
            // It may be left out.
            return;
        }
        let directions = if self.rng.rarely(30) { (self.rng.pick(&[0, -1, i64::MIN]), call.wrong(RKN_ERR_SIZE)).0 } else { 1 + self.rng.below(20) as i64 };
        let seed = self.rng.pick(&[0, 1, -1, i64::MAX, i64::MIN]);
        let count = self.positive_size(&mut call, d);
        let (_, ctx) = self.context(&mut call);
        let (a, b) = (sides_pointer(&sides, 0), sides_pointer(&sides, 1));
        call.may(RKN_STOP_INTERRUPT);
        let [rows, columns] = sides.said;
        self.announce(&call, || format!("{d}, {:?} {:?} {:?} {:?} {:?} p {}, {directions} by {seed}", sides.x, sides.a, sides.y, sides.b, sides.given, sides.p));
        let status = unsafe {
            rkn_wasserstein_sliced(ctx, count, rows, xp, ldx.1, a, columns, yp, ldy.1, b, sides.p, directions, seed, cp, gp, ldg.1)
        };
        self.judge(&call, status);
        if status != 0 {
            return assert!(untouched(&cost) && untouched(&gradient), "{}: a slice from a failure", self.seed_step());
        }
        if sides.plain && d == 1 {
            let mut line = f64::NAN;
            let status = unsafe { rkn_wasserstein_line(rows, sides.x.as_ptr(), a, columns, sides.y.as_ptr(), b, sides.p, &mut line) };
            assert_eq!(status, 0, "{}", self.seed_step());
            assert!((cost[0] - line).abs() <= Self::slack(&sides, f64::INFINITY), "{}: {cost:?}, on a line {line}", self.seed_step());
        }
    }

    fn project(&mut self) {
        let mut call = Call::new("rkn_ds_project");
        let n = self.new_order();
        let unit = self.rng.pick(&[1.0, 1.0, 1.0, 0.0, 1e-9, 1e9, 1e200]);
        let mut k: Vec<f64> = (0..n * n).map(|_| unit * self.rng.eighth()).collect();
        let symmetric = self.rng.rarely(2);
        if symmetric {
            (0..n).for_each(|i| (0..i).for_each(|j| k[i * n + j] = k[j * n + i]));
        }
        self.spoil(&mut call, &mut k, false, 25);
        let eta = self.positive(&mut call, &[1.0, 0.1, 10.0, 0.01, 1e-300, 1e300]);
        let mut tolerance = self.rng.pick(&[1e-9, 1e-6, 2.0, 0.0]);
        if self.rng.rarely(30) {
            [RKN_ERR_ARGUMENT, RKN_ERR_NONFINITE].into_iter().for_each(|status| call.wrong(status));
            tolerance = self.rng.pick(&[-1.0, 2.1, f64::NAN, f64::INFINITY]);
        }
        let ((ldk, said_k), (ldg, said_g)) = (self.leading(&mut call, n, n, true), self.leading(&mut call, n, n, true));
        let ks = laid(&k, n, ldk);
        let (mut g, mut u, mut v) = (marked((n - 1) * ldg + n), marked(n), marked(n));
        let start = self.tag(&mut call, self.steps as i32 % 2, 2);
        if start == 1 {
            (0..n).for_each(|i| (u[i], v[i]) = (unit * self.rng.eighth(), unit * self.rng.eighth()));
            self.spoil(&mut call, &mut u, false, 20);
        }
        let before = (u.clone(), v.clone());
        let (kp, gp) = (self.input(&mut call, &ks), self.room(&mut call, &mut g));
        let (up, vp) = if start == 1 { (self.room(&mut call, &mut u), self.room(&mut call, &mut v)) } else { (self.optional_room(&mut call, &mut u), self.optional_room(&mut call, &mut v)) };
        let size = self.positive_size(&mut call, n);
        let (_, ctx) = self.context(&mut call);
        [RKN_STOP_STAGNATION, RKN_STOP_ITERATIONS, RKN_STOP_INTERRUPT].into_iter().for_each(|status| call.may(status));
        if eta < 1e-100 * k.iter().fold(0.0f64, |most, v| most.max(v.abs())) {
            call.wrong(RKN_ERR_ARGUMENT);
        }
        self.announce(&call, || format!("{n}, unit {unit}, symmetric {symmetric}, eta {eta}, tolerance {tolerance}, start {start} {u:?} {v:?}, ld {said_k} {said_g}, {k:?}"));
        let status = unsafe { rkn_ds_project(ctx, size, kp, said_k, eta, tolerance, gp, said_g, up, vp, start) };
        self.judge(&call, status);
        if status < 0 {
            let as_before = super::transport_solving::same(&u, &before.0) && super::transport_solving::same(&v, &before.1);
            return assert!(as_before && untouched(&g), "{}: a projection from a failure", self.seed_step());
        }
        let entry = |i: usize, j: usize| g[i * ldg + j];
        let all: Vec<f64> = (0..n * n).map(|at| entry(at / n, at % n)).collect();
        assert!(all.iter().all(|g| *g >= 0.0 && g.is_finite()), "{}: {all:?}", self.seed_step());
        for i in 0..n - 1 {
            assert!(untouched(&g[i * ldg + n..(i + 1) * ldg]), "{}: a gap is written", self.seed_step());
        }
        let is_symmetric = (0..n).all(|i| (0..i).all(|j| k[i * n + j].to_bits() == k[j * n + i].to_bits()));
        if is_symmetric {
            assert!((0..n).all(|i| (0..i).all(|j| entry(i, j) == entry(j, i))), "{}: not symmetric", self.seed_step());
        }
        let rounding = 1e-14 * n as f64 * (1.0 + 4.0 * unit / eta);
        if status == 0 && rounding < 1e-4 {
            let rows: f64 = (0..n).map(|i| ((0..n).map(|j| entry(i, j)).sum::<f64>() - 1.0).abs()).sum();
            let columns: f64 = (0..n).map(|j| ((0..n).map(|i| entry(i, j)).sum::<f64>() - 1.0).abs()).sum();
            let error = (rows + columns) / n as f64;
            assert!(error <= 1.02 * tolerance + 1e-12 + 10.0 * rounding, "{}: sums miss by {error}", self.seed_step());
            if !up.is_null() && !vp.is_null() {
                for at in 0..n * n {
                    let wanted = ((u[at / n] + v[at % n] + k[at]) / eta).exp();
                    let size = u.iter().chain(&v).fold(unit, |most, v| most.max(v.abs())) / eta;
                    let allowed = 1e-11 + 1e-12 * size;
                    assert!((all[at] - wanted).abs() <= allowed * (1.0 + wanted), "{}: entry {at} is {}, not {wanted}", self.seed_step(), all[at]);
                }
            }
        }
    }

    fn project_vjp(&mut self) {
        let mut call = Call::new("rkn_ds_project_vjp");
        let n = self.new_order();
        // A mixture of permutations is doubly stochastic.
        let mut g = vec![0.0; n * n];
        let turns = self.rng.pick(&[1, 2, n]);
        for turn in 0..turns {
            (0..n).for_each(|i| g[i * n + (i + turn) % n] += 1.0 / turns as f64);
        }
        let mut w: Vec<f64> = (0..n * n).map(|_| self.rng.eighth()).collect();
        let eta = self.positive(&mut call, &[1.0, 0.1, 10.0]);
        self.spoil(&mut call, &mut g, true, 25);
        self.spoil(&mut call, &mut w, false, 25);
        if self.rng.rarely(20) {
            // An empty row, and what goes with it.
            (0..n).for_each(|j| g[j] = 0.0);
            call.wrong(RKN_ERR_ARGUMENT);
        }
        let [(ldg, said_g), (ldw, said_w), (ldk, said_k)] = [(); 3].map(|_| self.leading(&mut call, n, n, true));
        let (gs, ws) = (laid(&g, n, ldg), laid(&w, n, ldw));
        let mut dk = marked((n - 1) * ldk + n);
        let (gp, wp, kp) = (self.input(&mut call, &gs), self.input(&mut call, &ws), self.room(&mut call, &mut dk));
        let size = self.positive_size(&mut call, n);
        let (_, ctx) = self.context(&mut call);
        [RKN_STOP_STAGNATION, RKN_STOP_INTERRUPT].into_iter().for_each(|status| call.may(status));
        self.announce(&call, || format!("{n}, eta {eta}, ld {said_g} {said_w} {said_k}, {turns} turns, {w:?}"));
        let status = unsafe { rkn_ds_project_vjp(ctx, size, eta, gp, said_g, wp, said_w, kp, said_k) };
        self.judge(&call, status);
        if status < 0 {
            return assert!(untouched(&dk), "{}: a derivative from a failure", self.seed_step());
        }
        // More of K in all of a row or column changes nothing.
        let size = 100.0 * n as f64 / eta;
        for i in (0..n).filter(|_| status == 0) {
            let row: f64 = (0..n).map(|j| dk[i * ldk + j]).sum();
            let column: f64 = (0..n).map(|j| dk[j * ldk + i]).sum();
            assert!(row.abs() <= 1e-8 * size && column.abs() <= 1e-8 * size, "{}: sums {row} and {column}", self.seed_step());
        }
    }

    fn coding_rate(&mut self) {
        let mut call = Call::new("rkn_coding_rate");
        let (d, n) = self.transport_shape();
        let unit = self.rng.pick(&[1.0, 1.0, 1.0, 0.0, 1e-9, 1e3, 1e160]);
        let mut z: Vec<f64> = (0..d * n).map(|_| unit * self.rng.eighth()).collect();
        self.spoil(&mut call, &mut z, false, 25);
        let mut alpha = self.rng.pick(&[1.0, 0.1, 0.0, 20.0]);
        if self.rng.rarely(30) {
            [RKN_ERR_ARGUMENT, RKN_ERR_NONFINITE].into_iter().for_each(|status| call.wrong(status));
            alpha = self.rng.pick(&[-1.0, f64::NAN, f64::INFINITY]);
        }
        if unit > 1e100 {
            call.may(RKN_ERR_NONFINITE);
        }
        let wants = !self.rng.rarely(3);
        let ((ldz, said_z), (ldd, said_d)) = (self.leading(&mut call, d, n, true), self.leading(&mut call, d, n, wants));
        let zs = laid(&z, d, ldz);
        let (mut value, mut gradient) = (marked(1), marked((n - 1) * ldd + d));
        let (zp, rp) = (self.input(&mut call, &zs), self.optional_room(&mut call, &mut value));
        let gp = if wants { gradient.as_mut_ptr() } else { null_mut() };
        let (rows, columns) = (self.positive_size(&mut call, d), self.positive_size(&mut call, n));
        let (_, ctx) = self.context(&mut call);
        self.announce(&call, || format!("{d} x {n}, unit {unit}, alpha {alpha}, ld {said_z} {said_d}, {z:?}"));
        let status = unsafe { rkn_coding_rate(ctx, rows, columns, zp, said_z, alpha, rp, gp, said_d) };
        self.judge(&call, status);
        if status != 0 {
            return assert!(untouched(&value) && untouched(&gradient), "{}: a rate from a failure", self.seed_step());
        }
        if unit > 1e100 {
            return;
        }
        let of = |z: &[f64]| rate(z, d, &|_| alpha);
        let near = |got: f64, wanted: f64| (got - wanted).abs() <= 1e-9 * (1.0 + wanted.abs());
        assert!(rp.is_null() || near(value[0], of(&z)), "{}: {value:?}, not {}", self.seed_step(), of(&z));
        if wants && unit == 1.0 {
            let at = self.rng.below(d * n);
            let (mut more, mut less, h) = (z.clone(), z.clone(), 1e-4);
            (more[at], less[at]) = (z[at] + h, z[at] - h);
            let (got, wanted) = (gradient[at / d * ldd + at % d], (of(&more) - of(&less)) / (2.0 * h));
            assert!((got - wanted).abs() <= 1e-4 * (1.0 + alpha), "{}: derivative {at} is {got}, not {wanted}", self.seed_step());
        }
    }

    fn clustered_rate(&mut self) {
        let mut call = Call::new("rkn_coding_rate_clustered");
        let ((d, n), k) = (self.transport_shape(), 1 + self.rng.below(4));
        let mut z: Vec<f64> = (0..d * n).map(|_| self.rng.eighth()).collect();
        let mut pi: Vec<f64> = (0..n * k).map(|_| self.rng.below(5) as f64 / 4.0).collect();
        if self.rng.rarely(4) {
            pi[..n].fill(0.0);
        }
        self.spoil(&mut call, &mut z, false, 25);
        self.spoil(&mut call, &mut pi, true, 25);
        let eps2 = self.positive(&mut call, &[0.5, 1.0, 0.01, 1e6]);
        let (wants_z, wants_pi) = (!self.rng.rarely(3), !self.rng.rarely(3));
        let ((ldz, said_z), (ldp, said_p)) = (self.leading(&mut call, d, n, true), self.leading(&mut call, n, k, true));
        let ((ldd, said_d), (lde, said_e)) = (self.leading(&mut call, d, n, wants_z), self.leading(&mut call, n, k, wants_pi));
        let (zs, ps) = (laid(&z, d, ldz), laid(&pi, n, ldp));
        let (mut value, mut of_z, mut of_pi) = (marked(1), marked((n - 1) * ldd + d), marked((k - 1) * lde + n));
        let (zp, pp, rp) = (self.input(&mut call, &zs), self.input(&mut call, &ps), self.optional_room(&mut call, &mut value));
        let dz = if wants_z { of_z.as_mut_ptr() } else { null_mut() };
        let dp = if wants_pi { of_pi.as_mut_ptr() } else { null_mut() };
        let said = [self.positive_size(&mut call, d), self.positive_size(&mut call, n), self.positive_size(&mut call, k)];
        let (_, ctx) = self.context(&mut call);
        self.announce(&call, || format!("{d} x {n}, {k} clusters, eps2 {eps2}, ld {said_z} {said_p} {said_d} {said_e}, {z:?} {pi:?}"));
        let status = unsafe { rkn_coding_rate_clustered(ctx, said[0], said[1], said[2], zp, said_z, pp, said_p, eps2, rp, dz, said_d, dp, said_e) };
        self.judge(&call, status);
        if status != 0 {
            let kept = untouched(&value) && untouched(&of_z) && untouched(&of_pi);
            return assert!(kept, "{}: a rate from a failure", self.seed_step());
        }
        let of = |z: &[f64], pi: &[f64]| -> f64 {
            let cluster = |pi: &[f64]| {
                let mass: f64 = pi.iter().sum();
                if mass == 0.0 { 0.0 } else { mass / n as f64 * rate(z, d, &|i| d as f64 / (mass * eps2) * pi[i]) }
            };
            pi.chunks(n).map(cluster).sum()
        };
        let wanted = of(&z, &pi);
        assert!(rp.is_null() || (value[0] - wanted).abs() <= 1e-8 * (1.0 + wanted), "{}: {value:?}, not {wanted}", self.seed_step());
        let size = 1e-3 * (1.0 + d as f64 / eps2.min(1.0));
        if wants_z && eps2 >= 0.5 {
            let (at, h) = (self.rng.below(d * n), 1e-4);
            let (mut more, mut less) = (z.clone(), z.clone());
            (more[at], less[at]) = (z[at] + h, z[at] - h);
            let (got, wanted) = (of_z[at / d * ldd + at % d], (of(&more, &pi) - of(&less, &pi)) / (2.0 * h));
            assert!((got - wanted).abs() <= size, "{}: dZ {at} is {got}, not {wanted}", self.seed_step());
        }
        let at = self.rng.below(n * k);
        if wants_pi && eps2 >= 0.5 && pi[at] > 0.0 {
            let h = 1e-5;
            let (mut more, mut less) = (pi.clone(), pi.clone());
            (more[at], less[at]) = (pi[at] + h, pi[at] - h);
            let (got, wanted) = (of_pi[at / n * lde + at % n], (of(&z, &more) - of(&z, &less)) / (2.0 * h));
            assert!((got - wanted).abs() <= size, "{}: dPi {at} is {got}, not {wanted}", self.seed_step());
        }
    }
}

/// Masses of one side as they are given.
fn sides_pointer(sides: &Sides, side: usize) -> *const f64 {
    match sides.given[side] {
        true => [sides.a.as_ptr(), sides.b.as_ptr()][side],
        false => std::ptr::null(),
    }
}
