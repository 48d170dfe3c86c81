//! Calls on transport solvers, held against explicit loops over the cost.

use super::transport::{laid, masses, Costs, GeometryModel, Solved};
use super::world::{Call, World, MARK};
use reknit::ffi::barycenter::*;
use reknit::ffi::batch::*;
use reknit::ffi::bracket::*;
use reknit::ffi::derivative::*;
use reknit::ffi::geometry::*;
use reknit::ffi::sinkhorn::*;
use reknit::ffi::status::*;
use std::ptr::{null, null_mut};

/// What outputs hold before a call.
const BEFORE: f64 = -(MARK as f64);

pub fn same(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

pub fn untouched(values: &[f64]) -> bool {
    values.iter().all(|v| v.to_bits() == BEFORE.to_bits())
}

pub fn marked(count: usize) -> Vec<f64> {
    vec![BEFORE; count]
}

/// The least sum over all ways to pair `k` rows with `k` columns.
pub fn cheapest(k: usize, cost: &dyn Fn(usize, usize) -> f64) -> f64 {
    fn go(i: usize, k: usize, taken: u32, cost: &dyn Fn(usize, usize) -> f64) -> f64 {
        let free = (0..k).filter(|j| taken & 1 << j == 0);
        free.map(|j| cost(i, j) + go(i + 1, k, taken | 1 << j, cost)).fold(if i == k { 0.0 } else { f64::INFINITY }, f64::min)
    }
    go(0, k, 0, cost)
}

impl Solved {
    /// exp((f_i + g_j - C_ij) / epsilon), by rows.
    fn plan(&self) -> Vec<f64> {
        let Costs { n, m, .. } = *self.of.costs;
        let entry = |i: usize, j: usize| ((self.f[i] + self.g[j] - self.of.costs.at(i, j)) / self.epsilon).exp();
        (0..n * m).map(|at| entry(at / m, at % m)).map(|p| if p.is_nan() { 0.0 } else { p }).collect()
    }

    /// What rounding of potentials and costs does to an entry of the plan, relative to it.
    fn rounding(&self) -> f64 {
        let most = self.f.iter().chain(&self.g).filter(|v| v.is_finite()).fold(self.of.costs.largest(), |most, v| most.max(v.abs()));
        1e-14 * (1.0 + most / self.epsilon)
    }

    /// Whether loops over the cost can tell right from wrong.
    fn is_plain(&self) -> bool {
        !self.of.extreme && !self.of.is_moody() && self.rounding() < 1e-4
    }
}

impl World<'_> {
    fn at(&self) -> String {
        format!("seed {} step {}", self.seed, self.steps)
    }

    /// What may come of a solve besides what is wrong with its arguments; handles are inside from here on.
    fn loosen(&mut self, call: &mut Call, i: Option<usize>, g: Option<usize>) {
        let (Some(i), Some(g)) = (i, g) else { return };
        let (solver, of) = (&self.transport.solvers[i], &self.transport.geometries[g]);
        [RKN_STOP_ITERATIONS, RKN_STOP_STAGNATION].into_iter().for_each(|status| call.may(status));
        if solver.context {
            call.may(RKN_STOP_INTERRUPT);
        }
        if solver.monitor.is_some() {
            call.may(RKN_STOP_MONITOR);
        }
        if !of.costs.is_full() {
            call.may(RKN_STOP_INFEASIBLE);
        }
        if solver.touched || of.extreme || of.is_moody() {
            call.may_be_anything();
            [RKN_ERR_STATE, RKN_ERR_UNSUPPORTED, RKN_ERR_ARGUMENT, RKN_ERR_CALLBACK, RKN_ERR_NONFINITE].into_iter().for_each(|status| call.may(status));
        }
        self.running.sinkhorn.set(solver.handle);
        self.running.geometry.set(of.handle);
    }

    /// The same of a call that reads the last plan, whose geometry may be gone.
    fn loosen_reading(&mut self, call: &mut Call, i: Option<usize>) -> Option<Solved> {
        let solver = &self.transport.solvers[i?];
        self.running.sinkhorn.set(solver.handle);
        self.running.reading.set(true);
        if solver.context {
            call.may(RKN_STOP_INTERRUPT);
        }
        match &solver.solved {
            None => call.wrong(RKN_ERR_STATE),
            Some(solved) if solved.of.is_moody() => {
                [RKN_ERR_CALLBACK, RKN_ERR_NONFINITE, RKN_ERR_STATE].into_iter().for_each(|status| call.may(status));
            }
            _ => {}
        }
        solver.solved.clone()
    }

    /// Bytes of what a solver has learned.
    fn learned(&self, s: *mut rkn_sinkhorn) -> Vec<u8> {
        let mut need = 0;
        // SAFETY: room as was asked for.
        unsafe {
            assert_eq!(rkn_sinkhorn_save(s, null_mut(), 0, &mut need), 0);
            let mut bytes = vec![0u8; need as usize];
            assert_eq!(rkn_sinkhorn_save(s, bytes.as_mut_ptr().cast(), need, null_mut()), 0);
            bytes
        }
    }

    fn potentials_of(&self, s: *mut rkn_sinkhorn, n: usize, m: usize) -> (Vec<f64>, Vec<f64>) {
        let (mut f, mut g) = (marked(n), marked(m));
        // SAFETY: room as documented.
        assert_eq!(unsafe { rkn_sinkhorn_potentials(s, f.as_mut_ptr(), g.as_mut_ptr()) }, 0, "{}", self.at());
        (f, g)
    }

    /// Masses of both sides: alike, random, or very large or small.
    fn both_masses(&mut self, n: usize, m: usize) -> (Vec<f64>, Vec<f64>) {
        if n == m && self.rng.rarely(2) {
            return (vec![1.0 / n as f64; n], vec![1.0 / n as f64; n]);
        }
        let eighths = 1 + self.rng.below(24);
        let (mut a, mut b) = (masses(&mut self.rng, n, eighths), masses(&mut self.rng, m, eighths));
        if n == m && self.rng.rarely(3) {
            b.clone_from(&a);
        }
        let unit = self.rng.pick(&[1.0, 1.0, 1.0, 1.0, 1e-12, 1e12, 1e-290, 1e290]);
        a.iter_mut().chain(&mut b).for_each(|v| *v *= unit);
        (a, b)
    }

    fn is_sane(a: &[f64]) -> bool {
        let mass: f64 = a.iter().sum();
        mass > 1e-20 && mass < 1e20
    }

    /// Wrong masses at times.
    fn spoil_masses(&mut self, call: &mut Call, a: &mut [f64], b: &mut [f64], touched: bool) {
        self.spoil(call, a, true, 40);
        self.spoil(call, b, true, 40);
        match self.rng.below(60) {
            0 => (a.fill(0.0), call.wrong(RKN_ERR_ARGUMENT)).0,
            // Fine where marginals are penalised or the plan is partial.
            1 => b.iter_mut().for_each(|v| *v *= 1.5),
            _ => return,
        }
        if !touched {
            call.wrong(RKN_ERR_ARGUMENT);
        }
    }

    pub fn solve_transport(&mut self) {
        if self.rng.rarely(6) {
            return self.find_divergence();
        }
        let mut call = Call::new("rkn_sinkhorn_solve");
        let (i, s) = self.sinkhorn(&mut call);
        let (g, geometry) = self.geometry(&mut call, |_| true);
        let (n, m) = g.map_or((3, 3), |g| (self.transport.geometries[g].costs.n, self.transport.geometries[g].costs.m));
        let (mut a, mut b) = self.both_masses(n, m);
        let touched = i.is_some_and(|i| self.transport.solvers[i].touched);
        self.spoil_masses(&mut call, &mut a, &mut b, touched);
        let (ap, bp) = (self.input(&mut call, &a), self.input(&mut call, &b));
        let before = i.map(|_| self.learned(s));
        self.loosen(&mut call, i, g);
        self.announce(&call, || format!("{s:?} {geometry:?} {n} x {m}, a {a:?} b {b:?}"));
        // SAFETY: arrays as documented, in all calls below too.
        let status = unsafe { rkn_sinkhorn_solve(s, geometry, ap, bp) };
        self.after_solve(&call, status, (i, s), (g, geometry), (a, b), before);
    }

    /// The model and the numbers after a solve; potentials are as before if it failed.
    fn after_solve(
        &mut self,
        call: &Call,
        status: i32,
        (i, s): (Option<usize>, *mut rkn_sinkhorn),
        (g, geometry): (Option<usize>, *mut rkn_geometry),
        (a, b): (Vec<f64>, Vec<f64>),
        before: Option<Vec<u8>>,
    ) {
        let destroyed = self.running.destroyed.get();
        self.judge(call, status);
        let (Some(i), Some(g)) = (i, g) else { return };
        if destroyed {
            return self.bury_transport(Some(i), geometry);
        }
        if status < 0 || status == RKN_STOP_INFEASIBLE {
            if let Some(solved) = &self.transport.solvers[i].solved {
                let (f, g) = self.potentials_of(s, solved.f.len(), solved.g.len());
                assert!(same(&f, &solved.f) && same(&g, &solved.g), "{}: potentials after status {status}", self.at());
            }
            assert!(before.as_ref() == Some(&self.learned(s)), "{}: other memory after status {status}", self.at());
            return;
        }
        let of = self.transport.geometries[g].clone();
        let (f, g) = self.potentials_of(s, of.costs.n, of.costs.m);
        let epsilon = self.real(s, "epsilon_used");
        let no_limit = |key: &str| self.real(s, key) == f64::MAX;
        let exact = self.real(s, "transported_mass") == 0.0 && no_limit("penalty_a") && no_limit("penalty_b");
        let solved = Solved { of, a, b, epsilon, exact, f, g };
        self.check_solution(s, &solved, status, self.transport.solvers[i].touched);
        self.transport.solvers[i].solved = Some(solved);
    }

    /// Options as they were made keep potentials finite; prices next to nothing need not.
    fn check_solution(&self, s: *mut rkn_sinkhorn, solved: &Solved, status: i32, touched: bool) {
        let at = self.at();
        let number = |v: &f64| v.is_finite() || *v == f64::NEG_INFINITY || touched && !v.is_nan() || solved.of.costs.largest() > 1e250;
        assert!(solved.f.iter().chain(&solved.g).all(number), "{at}: potentials {:?} {:?} of status {status}, cost {:?}", solved.f, solved.g, solved.of.costs.c);
        let overflows = solved.f.iter().zip(&solved.a).chain(solved.g.iter().zip(&solved.b)).any(|(v, has)| *has > 0.0 && !v.is_finite());
        if overflows || !solved.is_plain() || !Self::is_sane(&solved.a) {
            return;
        }
        let (n, m) = (solved.of.costs.n, solved.of.costs.m);
        let (p, c) = (solved.plan(), &solved.of.costs.c);
        for (v, has) in solved.f.iter().zip(&solved.a).chain(solved.g.iter().zip(&solved.b)) {
            assert!(*has > 0.0 || *v == f64::NEG_INFINITY, "{at}: a potential {v} without mass");
        }
        let mass: f64 = solved.a.iter().sum();
        let (total, rounding) = (p.iter().sum::<f64>(), 10.0 * solved.rounding());
        if !total.is_finite() {
            return;
        }
        let near = |what: &str, got: f64, wanted: f64, size: f64| {
            assert!((got - wanted).abs() <= (1e-8 + rounding) * size, "{at}: {what} is {got}, not {wanted} (status {status}, epsilon {})", solved.epsilon);
        };
        let products = || p.iter().zip(c).filter(|(p, _)| **p > 0.0);
        let cost: f64 = products().map(|(p, c)| p * c).sum();
        let size: f64 = products().map(|(p, c)| p * c.abs()).sum::<f64>() + 1e-3 * (total + mass) + f64::MIN_POSITIVE;
        if self.real(s, "transported_mass") == 0.0 {
            // Those of a partial plan are differences from what goes to and from dummies.
            near("the cost", self.real(s, "cost"), cost, size);
            near("the plan's mass", self.real(s, "plan_mass"), total, total + mass);
        }
        if status == 0 && solved.exact && self.word(s, "target_gap").is_none_or(|gap| gap == "0e0") {
            let rows: f64 = (0..n).map(|i| (p[i * m..][..m].iter().sum::<f64>() - solved.a[i]).abs()).sum();
            let columns: f64 = (0..m).map(|j| ((0..n).map(|i| p[i * m + j]).sum::<f64>() - solved.b[j]).abs()).sum();
            let tolerance = 1.02 * self.real(s, "tolerance") + 1e-8 + rounding;
            assert!((rows + columns) / mass <= tolerance, "{at}: marginals miss by {rows} and {columns} of {mass}");
        }
        if solved.exact && solved.epsilon < 1e100 && self.word(s, "entropy").as_deref() == Some("counting") && status == 0 {
            let entropy: f64 = p.iter().filter(|p| **p > 0.0).map(|p| p * (p.ln() - 1.0)).sum();
            let primal = cost + solved.epsilon * entropy;
            let terms = p.iter().filter(|p| **p > 0.0).map(|p| p * (p.ln().abs() + 1.0)).sum::<f64>();
            let most = solved.f.iter().chain(&solved.g).filter(|v| v.is_finite()).fold(0.0f64, |most, v| most.max(v.abs()));
            near("the primal value", self.real(s, "primal"), primal, size + solved.epsilon * terms + mass * most);
        }
    }

    fn find_divergence(&mut self) {
        let mut call = Call::new("rkn_sinkhorn_divergence");
        let (i, s) = self.sinkhorn(&mut call);
        let strange = self.rng.rarely(8);
        let (g, geometry) = self.geometry(&mut call, |g| strange || g.costs.is_symmetric());
        let of = g.map(|g| self.transport.geometries[g].clone());
        let (n, m) = of.as_ref().map_or((3, 3), |of| (of.costs.n, of.costs.m));
        let square = |size: usize| move |g: &GeometryModel| g.costs.n == size && g.costs.is_symmetric();
        // One handle for all three, or others of the right size, or of a wrong one.
        let mut own = [(g, geometry); 2];
        for (own, size) in own.iter_mut().zip([n, m]) {
            match self.rng.below(4) {
                0 => *own = self.geometry(&mut call, square(size)),
                1 if self.rng.rarely(6) => *own = self.geometry(&mut call, |_| true),
                _ if n != m => *own = self.geometry(&mut call, square(size)),
                _ => {}
            }
        }
        let mut odd = false;
        for ((k, _), size) in own.iter().zip([n, m]) {
            let Some(costs) = k.map(|k| self.transport.geometries[k].clone()) else { continue };
            if (costs.costs.n, costs.costs.m) != (size, size) {
                call.wrong(RKN_ERR_SIZE);
            }
            // A self term that is not symmetric has no promise but a documented status.
            odd |= costs.extreme || costs.is_moody() || !costs.costs.is_symmetric() || !costs.costs.is_full();
        }
        if odd {
            call.may_be_anything();
            [RKN_ERR_CALLBACK, RKN_ERR_NONFINITE, RKN_ERR_ARGUMENT].into_iter().for_each(|status| call.may(status));
        }
        let (mut a, mut b) = self.both_masses(n, m);
        let touched = i.is_some_and(|i| self.transport.solvers[i].touched);
        self.spoil_masses(&mut call, &mut a, &mut b, touched);
        if touched {
            call.may(RKN_ERR_STATE);
        }
        let (ap, bp) = (self.input(&mut call, &a), self.input(&mut call, &b));
        let mut value = marked(1);
        let to = self.room(&mut call, &mut value);
        let before = i.map(|_| self.learned(s));
        self.loosen(&mut call, i, g);
        self.announce(&call, || format!("{s:?} {geometry:?} {own:?} {n} x {m}, a {a:?} b {b:?}"));
        let status = unsafe { rkn_sinkhorn_divergence(s, geometry, own[0].1, own[1].1, ap, bp, to) };
        assert_eq!(status != 0, untouched(&value), "{}: a divergence and status {status}", self.at());
        let destroyed = self.running.destroyed.get();
        if status == 0 && !touched && !odd && a == b && own[0].0 == g && own[1].0 == g && Self::is_sane(&a) {
            let costs = &of.as_ref().expect("it was right").costs;
            let mass: f64 = a.iter().sum();
            assert!(value[0].abs() <= 1e-4 * mass * (1.0 + costs.largest()), "{}: from a to a {}, cost {:?}, epsilon {}", self.at(), value[0], costs.c, self.real(s, "epsilon_used"));
        }
        if destroyed || status < 0 || status == RKN_STOP_INFEASIBLE {
            return self.after_solve(&call, status, (i, s), (g, geometry), (a, b), before);
        }
        // A stop within a self term leaves the plan between a and b.
        self.judge(&call, status);
        if let (Some(i), Some(of)) = (i, of) {
            let (f, g) = self.potentials_of(s, n, m);
            let epsilon = self.real(s, "epsilon_used");
            self.transport.solvers[i].solved = Some(Solved { of, a, b, epsilon, exact: true, f, g });
        }
    }

    /// Reads the plan of the last solve in one of its forms.
    pub fn use_plan(&mut self) {
        match self.rng.below(5) {
            0 => self.read_potentials(),
            1 | 2 => self.apply_plan(),
            3 => self.list_plan(),
            _ => self.plan_rows(),
        }
    }

    fn finish_reading(&mut self, call: &Call, status: i32, i: Option<usize>) -> bool {
        let destroyed = self.running.destroyed.get();
        self.judge(call, status);
        if destroyed {
            self.bury_transport(i, null_mut());
        }
        status == 0
    }

    fn read_potentials(&mut self) {
        let mut call = Call::new("rkn_sinkhorn_potentials");
        let (i, s) = self.sinkhorn(&mut call);
        let solved = self.loosen_reading(&mut call, i);
        let (n, m) = solved.as_ref().map_or((12, 12), |solved| (solved.f.len(), solved.g.len()));
        let (mut f, mut g) = (marked(n), marked(m));
        let (fp, gp) = (self.optional_room(&mut call, &mut f), self.optional_room(&mut call, &mut g));
        self.announce(&call, || format!("{s:?}"));
        let status = unsafe { rkn_sinkhorn_potentials(s, fp, gp) };
        if self.finish_reading(&call, status, i) {
            let solved = solved.expect("it is there");
            assert!(if fp.is_null() { untouched(&f) } else { same(&f, &solved.f) }, "{}", self.at());
            assert!(if gp.is_null() { untouched(&g) } else { same(&g, &solved.g) }, "{}", self.at());
        } else {
            assert!(untouched(&f), "{}: potentials from a failure", self.at());
        }
    }

    fn apply_plan(&mut self) {
        let mut call = Call::new("rkn_sinkhorn_plan_apply");
        let (i, s) = self.sinkhorn(&mut call);
        let solved = self.loosen_reading(&mut call, i);
        let (n, m) = solved.as_ref().map_or((12, 12), |solved| (solved.f.len(), solved.g.len()));
        let right = self.rng.pick(&[RKN_N, RKN_T, RKN_H]);
        let trans = self.tag(&mut call, right, 3);
        let (from, to) = if right == RKN_N { (m, n) } else { (n, m) };
        let count = self.rng.pick(&[0usize, 1, 1, 2, 3]);
        let x: Vec<f64> = (0..from * count).map(|_| self.rng.eighth()).collect();
        let ((ldx, said_x), (ldy, said_y)) = (self.leading(&mut call, from, count, true), self.leading(&mut call, to, count, true));
        let xs = laid(&x, from, ldx);
        let mut y = marked(if count == 0 { 0 } else { (count - 1) * ldy + to });
        let (xp, yp) = (self.input(&mut call, &xs), self.room(&mut call, &mut y));
        let ncols = self.size(&mut call, count);
        self.announce(&call, || format!("{s:?} trans {trans}, {count} columns, ld {said_x} {said_y}"));
        let status = unsafe { rkn_sinkhorn_plan_apply(s, trans, ncols, xp, said_x, yp, said_y) };
        if !self.finish_reading(&call, status, i) {
            return assert!(untouched(&y), "{}: a product from a failure", self.at());
        }
        let solved = solved.expect("it is there");
        let p = if solved.is_plain() { solved.plan() } else { return };
        let total: f64 = p.iter().sum();
        for c in 0..count {
            for r in 0..to {
                let entry = |k: usize| if right == RKN_N { p[r * m + k] } else { p[k * m + r] };
                let wanted: f64 = (0..from).map(|k| entry(k) * x[c * from + k]).sum();
                let got = y[c * ldy + r];
                let allowed = (1e-11 + 10.0 * solved.rounding()) * 2.0 * total + f64::MIN_POSITIVE;
                assert!((got - wanted).abs() <= allowed, "{}: entry {r} of column {c} is {got}, not {wanted}", self.at());
            }
            assert!(c + 1 == count || untouched(&y[c * ldy + to..(c + 1) * ldy]), "{}: a gap is written", self.at());
        }
    }

    fn list_plan(&mut self) {
        let mut call = Call::new("rkn_sinkhorn_plan_sparse");
        let (i, s) = self.sinkhorn(&mut call);
        let mut threshold = self.rng.pick(&[0.0, 0.0, 1e-6, 0.01, 0.1, 10.0]);
        if self.rng.rarely(30) {
            (threshold, _) = (self.rng.pick(&[-1.0, f64::NAN]), call.wrong(RKN_ERR_ARGUMENT));
        }
        let solved = self.loosen_reading(&mut call, i);
        let (n, m) = solved.as_ref().map_or((12, 12), |solved| (solved.f.len(), solved.g.len()));
        let mut need = -1;
        self.announce(&call, || format!("{s:?} above {threshold}"));
        let status = unsafe { rkn_sinkhorn_plan_sparse(s, threshold, null_mut(), null_mut(), null_mut(), 0, &mut need) };
        if !self.finish_reading(&call, status, i) {
            return assert_eq!(need, -1, "{}", self.at());
        }
        // Pointers to no entries do not count.
        let alive = |i: &usize| self.transport.solvers.get(*i).is_some_and(|solver| solver.handle == s);
        let Some(i) = i.filter(alive).filter(|_| need > 0) else { return };
        let solved = self.loosen_reading(&mut call, Some(i)).expect("it is there");
        let steady = !solved.of.is_moody();
        if !steady {
            // The plan may have more entries now.
            call.may(RKN_ERR_SIZE);
        }
        let mut room = need as usize;
        let mut cap = need;
        match self.rng.below(12) {
            0 => (room, cap) = (room + 3, cap + 3),
            1 if need > 0 => (room, cap, _) = (room - 1, cap - 1, call.wrong(RKN_ERR_SIZE)),
            2 => (cap, _) = (self.rng.pick(&[-1, i64::MIN]), call.wrong(RKN_ERR_SIZE)),
            _ => {}
        }
        let (mut ptr, mut ind, mut val) = (vec![-7i64; n + 1], vec![-7i64; room], marked(room));
        let (pp, ip, vp) = (self.room(&mut call, &mut ptr), self.room(&mut call, &mut ind), self.room(&mut call, &mut val));
        let status = unsafe { rkn_sinkhorn_plan_sparse(s, threshold, pp, ip, vp, cap, null_mut()) };
        if !self.finish_reading(&call, status, Some(i)) {
            return assert!(untouched(&val) && ind.iter().all(|v| *v == -7) && ptr.iter().all(|v| *v == -7), "{}: entries from a failure", self.at());
        }
        assert!(ptr[0] == 0 && ptr.windows(2).all(|w| w[0] <= w[1]) && (ptr[n] == need || !steady), "{}: offsets {ptr:?} to {need}", self.at());
        if !(steady && solved.is_plain()) {
            return;
        }
        let p = solved.plan();
        let most = p.iter().copied().fold(0.0, f64::max);
        let allowed = (1e-11 + 10.0 * solved.rounding()) * most;
        let mut listed = vec![0.0; n * m];
        for r in 0..n {
            for k in ptr[r] as usize..ptr[r + 1] as usize {
                assert!(val[k] > threshold && (0..m as i64).contains(&ind[k]), "{}: entry {k}", self.at());
                assert!(k == ptr[r] as usize || ind[k] > ind[k - 1], "{}: columns are out of order", self.at());
                listed[r * m + ind[k] as usize] = val[k];
            }
        }
        for (at, (p, got)) in p.iter().zip(&listed).enumerate() {
            let is_right = (p - got).abs() <= allowed || (*got == 0.0 && *p <= threshold + allowed);
            assert!(is_right, "{}: entry {at} is {got}, not {p}", self.at());
        }
    }

    fn plan_rows(&mut self) {
        let mut call = Call::new("rkn_sinkhorn_plan_rows");
        let (i, s) = self.sinkhorn(&mut call);
        let solved = self.loosen_reading(&mut call, i);
        let (n, m) = solved.as_ref().map_or((12, 12), |solved| (solved.f.len(), solved.g.len()));
        let first = self.rng.below(n + 1);
        let count = self.rng.below(n - first + 1);
        let (ld, said) = self.leading(&mut call, m, count, true);
        let mut p = marked(if count == 0 { 0 } else { (count - 1) * ld + m });
        let pointer = self.room(&mut call, &mut p);
        let (mut from, mut rows) = (first as i64, count as i64);
        match self.rng.below(30) {
            0 => (from, _) = (-1, [RKN_ERR_SIZE, RKN_ERR_INDEX].into_iter().for_each(|status| call.wrong(status))),
            1 => (rows, _) = (-1, [RKN_ERR_SIZE, RKN_ERR_INDEX].into_iter().for_each(|status| call.wrong(status))),
            2 => (rows, _) = (self.rng.pick(&[(n - first) as i64 + 1, i64::MAX]), call.wrong(RKN_ERR_INDEX)),
            3 => (from, _) = (self.rng.pick(&[n as i64 + 1, i64::MAX]), call.wrong(RKN_ERR_INDEX)),
            _ => {}
        }
        self.announce(&call, || format!("{s:?} rows {from}, {rows}, ld {said}"));
        let status = unsafe { rkn_sinkhorn_plan_rows(s, from, rows, pointer, said) };
        if !self.finish_reading(&call, status, i) {
            return assert!(untouched(&p), "{}: rows from a failure", self.at());
        }
        let solved = solved.expect("it is there");
        let plan = if solved.is_plain() { solved.plan() } else { return };
        let most = plan.iter().copied().fold(0.0, f64::max);
        for r in 0..count {
            for j in 0..m {
                let (got, wanted) = (p[r * ld + j], plan[(first + r) * m + j]);
                assert!((got - wanted).abs() <= (1e-11 + 10.0 * solved.rounding()) * most, "{}: {got}, not {wanted}", self.at());
            }
            assert!(r + 1 == count || untouched(&p[r * ld + m..(r + 1) * ld]), "{}: a gap is written", self.at());
        }
    }

    /// Bounds of the exact cost, and the rounded plan.
    pub fn bound(&mut self) {
        let rounds = self.rng.rarely(2);
        let mut call = Call::new(if rounds { "rkn_sinkhorn_round" } else { "rkn_sinkhorn_bracket" });
        let (i, s) = self.sinkhorn(&mut call);
        let solved = self.loosen_reading(&mut call, i);
        self.running.reading.set(false);
        if solved.as_ref().is_some_and(|solved| !solved.exact) {
            call.wrong(RKN_ERR_STATE);
        }
        let (n, m) = solved.as_ref().map_or((12, 12), |solved| (solved.f.len(), solved.g.len()));
        if rounds {
            let [mut x, mut y, mut u, mut v] = [n, m, n, m].map(marked);
            let to = [self.room(&mut call, &mut x), self.room(&mut call, &mut y), self.room(&mut call, &mut u), self.room(&mut call, &mut v)];
            self.announce(&call, || format!("{s:?}"));
            let status = unsafe { rkn_sinkhorn_round(s, to[0], to[1], to[2], to[3]) };
            if !self.finish_reading(&call, status, i) {
                return assert!([x, y, u, v].iter().all(|v| untouched(v)), "{}: scales from a failure", self.at());
            }
            let solved = solved.expect("it is there");
            if !solved.of.is_moody() {
                self.check_rounded(s, &solved, &x, &y, &u, &v);
            }
            return;
        }
        let (mut lower, mut upper) = (marked(1), marked(1));
        let (lp, up) = (self.optional_room(&mut call, &mut lower), self.optional_room(&mut call, &mut upper));
        self.announce(&call, || format!("{s:?}"));
        let status = unsafe { rkn_sinkhorn_bracket(s, lp, up) };
        if !self.finish_reading(&call, status, i) {
            return assert!(untouched(&lower) && untouched(&upper), "{}: bounds from a failure", self.at());
        }
        let solved = solved.expect("it is there");
        let Costs { n, m, .. } = *solved.of.costs;
        if !solved.is_plain() || !Self::is_sane(&solved.a) {
            return;
        }
        let mass: f64 = solved.a.iter().sum();
        let most = solved.f.iter().chain(&solved.g).filter(|v| v.is_finite()).fold(solved.of.costs.largest(), |most, v| most.max(v.abs()));
        let slack = 1e-11 * mass * most;
        if !lp.is_null() && !up.is_null() {
            assert!(lower[0] <= upper[0] + slack, "{}: bounds {lower:?} {upper:?}, cost {:?}", self.at(), solved.of.costs.c);
        }
        let alike = |v: &[f64]| v.iter().all(|w| *w == v[0]);
        if n == m && n <= 5 && alike(&solved.a) && alike(&solved.b) {
            let best = mass / n as f64 * cheapest(n, &|i, j| solved.of.costs.at(i, j));
            assert!(lp.is_null() || lower[0] <= best + slack, "{}: {lower:?} is above {best}", self.at());
            assert!(up.is_null() || upper[0] >= best - slack, "{}: {upper:?} is below {best}", self.at());
        }
    }

    fn check_rounded(&mut self, s: *mut rkn_sinkhorn, solved: &Solved, x: &[f64], y: &[f64], u: &[f64], v: &[f64]) {
        let (n, m) = (x.len(), y.len());
        let mut p = marked(n * m);
        assert_eq!(unsafe { rkn_sinkhorn_plan_rows(s, 0, n as i64, p.as_mut_ptr(), m as i64) }, 0, "{}", self.at());
        let inside = x.iter().chain(y).all(|v| (0.0..=1.0).contains(v)) && u.iter().chain(v).all(|v| *v >= 0.0 && v.is_finite());
        assert!(inside, "{}: {x:?} {y:?} {u:?} {v:?}", self.at());
        if solved.of.extreme || !Self::is_sane(&solved.a) {
            return;
        }
        let entry = |i: usize, j: usize| x[i] * p[i * m + j] * y[j] + u[i] * v[j];
        let mass: f64 = solved.a.iter().sum();
        let rows = (0..n).map(|i| ((0..m).map(|j| entry(i, j)).sum::<f64>() - solved.a[i]).abs());
        let columns = (0..m).map(|j| ((0..n).map(|i| entry(i, j)).sum::<f64>() - solved.b[j]).abs());
        let worst = rows.chain(columns).fold(0.0, f64::max);
        assert!(worst <= 1e-7 * mass, "{}: the rounded plan misses by {worst} of {mass}", self.at());
    }

    /// Saves, loads, forgets.
    pub fn keep_state(&mut self) {
        match self.rng.below(5) {
            0 => {
                let mut call = Call::new("rkn_sinkhorn_forget");
                let (i, s) = self.sinkhorn(&mut call);
                self.announce(&call, || format!("{s:?}"));
                let status = unsafe { rkn_sinkhorn_forget(s) };
                self.judge(&call, status);
                if let (Some(i), 0) = (i, status) {
                    self.transport.solvers[i].solved = None;
                }
            }
            1 | 2 => self.save(),
            _ => self.load(),
        }
    }

    fn save(&mut self) {
        let mut call = Call::new("rkn_sinkhorn_save");
        let (_, s) = self.sinkhorn(&mut call);
        let mut need = -1;
        self.announce(&call, || format!("{s:?}"));
        let status = unsafe { rkn_sinkhorn_save(s, null_mut(), 0, &mut need) };
        self.judge(&call, status);
        if status != 0 {
            return assert_eq!(need, -1);
        }
        let mut bytes = vec![0x55u8; need as usize];
        let mut cap = need;
        match self.rng.below(4) {
            0 => (cap, _) = (need - 1, call.wrong(RKN_ERR_SIZE)),
            1 => (cap, _) = (self.rng.pick(&[-1, i64::MIN]), call.wrong(RKN_ERR_SIZE)),
            _ => {}
        }
        let none = self.rng.rarely(10);
        if none {
            call.wrong(RKN_ERR_NULL);
        }
        let status = unsafe { rkn_sinkhorn_save(s, if none { null_mut() } else { bytes.as_mut_ptr().cast() }, cap, null_mut()) };
        self.judge(&call, status);
        assert!(status == 0 || bytes.iter().all(|b| *b == 0x55), "{}: bytes from a failure", self.at());
    }

    /// A state goes into a twin, which then solves as its model does; or a damaged one is refused.
    fn load(&mut self) {
        let mut call = Call::new("rkn_sinkhorn_load");
        let Some(i) = (0..self.transport.solvers.len()).find(|_| self.rng.rarely(2)) else { return };
        let s = self.transport.solvers[i].handle;
        let mut bytes = self.learned(s);
        let twin = self.twin(i);
        let damage = self.rng.below(6);
        match damage {
            0 => bytes.truncate(self.rng.below(bytes.len())),
            1 => {
                let at = self.rng.below(bytes.len());
                bytes[at] ^= 1 << self.rng.below(8);
            }
            _ => {}
        }
        if damage < 2 {
            call.wrong(RKN_ERR_FORMAT);
        }
        let (mut pointer, mut len) = (bytes.as_ptr().cast(), bytes.len() as i64);
        match self.rng.below(30) {
            0 if len > 0 => (pointer, _) = (null(), call.wrong(RKN_ERR_NULL)),
            1 => (len, _) = (self.rng.pick(&[-1, i64::MIN]), call.wrong(RKN_ERR_SIZE)),
            _ => {}
        }
        self.announce(&call, || format!("{s:?} {len} bytes, damage {damage}"));
        let status = unsafe { rkn_sinkhorn_load(twin, pointer, len) };
        self.judge(&call, status);
        if status == 0 {
            assert!(bytes == self.learned(twin), "{}: other bytes after a load", self.at());
            let (mut f, at) = (marked(12), self.at());
            assert_eq!(unsafe { rkn_sinkhorn_potentials(twin, f.as_mut_ptr(), null_mut()) }, RKN_ERR_STATE, "{at}: a plan after a load");
            self.compare_twins(i, twin);
        }
        unsafe { rkn_sinkhorn_destroy(twin) };
    }

    /// Both solve one more problem, with the same bits.
    fn compare_twins(&mut self, i: usize, twin: *mut rkn_sinkhorn) {
        let solver = &self.transport.solvers[i];
        let (s, method) = (solver.handle, solver.method);
        if solver.monitor.is_some() || solver.context || self.real(s, "time_limit") < f64::MAX {
            return;
        }
        let Some(g) = self.transport.geometries.iter().position(|g| g.hook.is_none()) else { return };
        let geometry = self.transport.geometries[g].handle;
        let (n, m) = (self.transport.geometries[g].costs.n, self.transport.geometries[g].costs.m);
        let (a, b) = self.both_masses(n, m);
        let mut call = Call::new("rkn_sinkhorn_solve");
        call.may_be_anything();
        let before = self.learned(s);
        self.announce(&call, || format!("{s:?} and its twin, {geometry:?} {method}, a {a:?} b {b:?}"));
        let of_twin = unsafe { rkn_sinkhorn_solve(twin, geometry, a.as_ptr(), b.as_ptr()) };
        let status = unsafe { rkn_sinkhorn_solve(s, geometry, a.as_ptr(), b.as_ptr()) };
        assert_eq!(status, of_twin, "{}: a twin ends otherwise", self.at());
        if status >= 0 && status != RKN_STOP_INFEASIBLE {
            let (ours, theirs) = (self.potentials_of(s, n, m), self.potentials_of(twin, n, m));
            assert!(same(&ours.0, &theirs.0) && same(&ours.1, &theirs.1), "{}: a twin has other potentials", self.at());
        }
        self.after_solve(&call, status, (Some(i), s), (Some(g), geometry), (a, b), Some(before));
    }

    /// Derivatives of the last solve.
    pub fn derive(&mut self) {
        let way = self.rng.below(3);
        let name = ["rkn_sinkhorn_gradient_points", "rkn_sinkhorn_vjp_potentials", "rkn_sinkhorn_vjp_plan"][way];
        let mut call = Call::new(name);
        let (i, s) = self.sinkhorn(&mut call);
        let solved = self.loosen_reading(&mut call, i);
        self.running.reading.set(way == 0);
        if solved.as_ref().is_some_and(|solved| !solved.exact) {
            call.wrong(RKN_ERR_STATE);
        }
        let (n, m) = solved.as_ref().map_or((12, 12), |solved| (solved.f.len(), solved.g.len()));
        let clouds = solved.as_ref().and_then(|solved| solved.of.clouds.clone());
        let d = clouds.as_ref().map_or(3, |clouds| clouds.d);
        let (wants_x, wants_y) = if clouds.is_none() && way > 0 && !self.rng.rarely(10) { (false, false) } else { (!self.rng.rarely(3), !self.rng.rarely(3)) };
        if clouds.is_none() && (wants_x || wants_y || way == 0) {
            call.wrong(RKN_ERR_STATE);
        }
        let ((ldx, said_x), (ldy, said_y)) = (self.leading(&mut call, d, n, wants_x), self.leading(&mut call, d, m, wants_y));
        let (mut dx, mut dy) = (marked((n - 1) * ldx + d), marked((m - 1) * ldy + d));
        let xp = if wants_x { dx.as_mut_ptr() } else { null_mut() };
        let mut yp = if wants_y { dy.as_mut_ptr() } else { null_mut() };
        if wants_x && wants_y && self.rng.rarely(30) {
            // As large as both could be, so that the check has something to find.
            dx = marked(dx.len().max(dy.len()));
            yp = dx.as_mut_ptr();
            call.wrong(RKN_ERR_ARGUMENT);
        }
        let xp = if wants_x { dx.as_mut_ptr() } else { xp };
        if way == 0 {
            self.announce(&call, || format!("{s:?} {wants_x} {said_x} {wants_y} {said_y}"));
            let status = unsafe { rkn_sinkhorn_gradient_points(s, xp, said_x, yp, said_y) };
            if !self.finish_reading(&call, status, i) {
                return assert!(untouched(&dx) && untouched(&dy), "{}: gradients from a failure", self.at());
            }
            let (solved, clouds) = (solved.expect("it is there"), clouds.expect("there are points"));
            let (Some(weights), true) = (&clouds.squared, solved.is_plain()) else { return };
            let p = solved.plan();
            let size = (1e-10 + 10.0 * solved.rounding()) * p.iter().sum::<f64>() * 2.0 * (1.0 + solved.of.costs.largest());
            for k in 0..d {
                let gap = |i: usize, j: usize| 2.0 * weights[k] * (clouds.x[i * d + k] - clouds.y[j * d + k]) * p[i * m + j];
                for i in (0..n).filter(|_| wants_x) {
                    let wanted: f64 = (0..m).map(|j| gap(i, j)).sum();
                    assert!((dx[i * ldx + k] - wanted).abs() <= size, "{}: dX {} is not {wanted}", self.at(), dx[i * ldx + k]);
                }
                for j in (0..m).filter(|_| wants_y) {
                    let wanted: f64 = (0..n).map(|i| -gap(i, j)).sum();
                    assert!((dy[j * ldy + k] - wanted).abs() <= size, "{}: dY {} is not {wanted}", self.at(), dy[j * ldy + k]);
                }
            }
            return;
        }
        call.may(RKN_STOP_STAGNATION);
        if solved.as_ref().is_some_and(|solved| solved.of.extreme || solved.rounding() > 1e-6 || !Self::is_sane(&solved.a)) {
            call.may_be_anything();
        }
        let by_columns = self.rng.rarely(2);
        let wants_c = !self.rng.rarely(3);
        let (inner, outer) = if by_columns { (n, m) } else { (m, n) };
        let (ldc, said_c) = self.leading(&mut call, inner, outer, wants_c);
        let mut dc = marked((outer - 1) * ldc + inner);
        let (mut da, mut db) = (marked(n), marked(m));
        let (ap, bp, cp) = (self.optional_room(&mut call, &mut da), self.optional_room(&mut call, &mut db), if wants_c { dc.as_mut_ptr() } else { null_mut() });
        let order_counts = wants_c || way == 2;
        let right = if by_columns { RKN_COLUMN_MAJOR } else { RKN_ROW_MAJOR };
        let order = if order_counts { self.tag(&mut call, right, 2) } else { self.rng.pick(&[0, 1, 7]) };
        let mut wf: Vec<f64> = (0..n).map(|_| self.rng.eighth()).collect();
        let mut wg: Vec<f64> = (0..m).map(|_| self.rng.eighth()).collect();
        // At points with mass the sums are alike.
        if let Some(solved) = &solved {
            let sum = |w: &[f64], has: &[f64]| w.iter().zip(has).filter(|(_, has)| **has > 0.0).map(|(w, _)| w).sum::<f64>();
            let gap = sum(&wf, &solved.a) - sum(&wg, &solved.b);
            let at = solved.b.iter().position(|has| *has > 0.0).expect("there is mass");
            wg[at] += gap;
            if way == 1 && self.rng.rarely(30) {
                (wg[at], _) = (wg[at] + 1.0, call.wrong(RKN_ERR_ARGUMENT));
            }
        }
        let (ldw, said_w) = self.leading(&mut call, inner, outer, way == 2);
        let mut w: Vec<f64> = (0..inner * outer).map(|_| self.rng.eighth()).collect();
        let wide;
        let status = if way == 1 {
            self.spoil(&mut call, &mut wf, false, 40);
            self.spoil(&mut call, &mut wg, false, 40);
            let (fp, gp) = (self.input(&mut call, &wf), self.input(&mut call, &wg));
            self.announce(&call, || format!("{s:?} {ap:?} {bp:?} {cp:?} {said_c} {order} {said_x} {said_y} {wf:?} {wg:?}"));
            unsafe { rkn_sinkhorn_vjp_potentials(s, fp, gp, ap, bp, order, cp, said_c, xp, said_x, yp, said_y) }
        } else {
            self.spoil(&mut call, &mut w, false, 40);
            wide = laid(&w, inner, ldw);
            let wp = self.input(&mut call, &wide);
            self.announce(&call, || format!("{s:?} {ap:?} {bp:?} {cp:?} {said_c} {order} {said_x} {said_y} {said_w}"));
            unsafe { rkn_sinkhorn_vjp_plan(s, order, wp, said_w, ap, bp, cp, said_c, xp, said_x, yp, said_y) }
        };
        let destroyed = self.running.destroyed.get();
        self.judge(&call, status);
        if status < 0 {
            let kept = [&da, &db, &dx, &dy].into_iter().all(|v| untouched(v)) && (untouched(&dc) || !call.is_wrong());
            assert!(kept, "{}: derivatives from a failure", self.at());
        }
        if destroyed {
            return self.bury_transport(i, null_mut());
        }
        let Some(solved) = solved.filter(|solved| status == 0 && solved.is_plain() && Self::is_sane(&solved.a)) else { return };
        let written = |v: &[f64], wanted: bool| !wanted || v.iter().all(|v| v.is_finite());
        assert!(written(&da, !ap.is_null()) && written(&db, !bp.is_null()), "{}: {da:?} {db:?}", self.at());
        // Of a plan that was stopped early the sums are far from the masses that derivatives are for.
        let p = solved.plan();
        let column = |j: usize| (0..n).map(|i| p[i * m + j]).sum::<f64>();
        if !wants_c || (0..m).any(|j| (column(j) - solved.b[j]).abs() > 1e-3 * solved.b[j]) {
            return;
        }
        // More cost in all of a row raises its potential by as much and changes nothing else.
        let entry = |i: usize, j: usize| if by_columns { dc[i + j * ldc] } else { dc[i * ldc + j] };
        let size: f64 = (0..n * m).map(|at| entry(at / m, at % m).abs()).sum::<f64>() + wf.iter().chain(&wg).map(|v| v.abs()).sum::<f64>() + 1.0;
        // Entries are differences of cotangents, divided by epsilon, times those of the plan.
        let largest = wf.iter().chain(&wg).chain(&w).fold(1.0f64, |most, v| most.max(v.abs()));
        let rounding = 1e-12 * largest * solved.a.iter().sum::<f64>() / solved.epsilon;
        let tolerance = self.real(s, "derivative_tolerance").max(1e-9) * 1e3 * size + rounding;
        let rows = (0..n).filter(|i| solved.a[*i] > 0.0).map(|i| ((0..m).map(|j| entry(i, j)).sum::<f64>(), if way == 1 { wf[i] } else { 0.0 }));
        let columns = (0..m).filter(|j| solved.b[*j] > 0.0).map(|j| ((0..n).map(|i| entry(i, j)).sum::<f64>(), if way == 1 { wg[j] } else { 0.0 }));
        for (got, wanted) in rows.chain(columns) {
            assert!((got - wanted).abs() <= tolerance, "{}: a sum of dC is {got}, not {wanted} (epsilon {})", self.at(), solved.epsilon);
        }
    }

    /// Several problems at once: each ends as it would by itself.
    pub fn solve_several(&mut self) {
        let many = self.rng.rarely(2);
        let mut call = Call::new(if many { "rkn_sinkhorn_solve_many" } else { "rkn_sinkhorn_solve_batch" });
        let (i, s) = self.sinkhorn(&mut call);
        let k = self.rng.pick(&[0usize, 1, 2, 3, 5, 9]);
        let mut picked = Vec::new();
        for _ in 0..if many { k } else { 1 } {
            picked.push(self.geometry(&mut call, |_| true));
        }
        let of = |world: &Self, l: usize| picked.get(if many { l } else { 0 }).and_then(|(g, _)| *g).map(|g| world.transport.geometries[g].clone());
        let shape = |world: &Self, l: usize| of(world, l).map_or((3, 3), |of| (of.costs.n, of.costs.m));
        let mut pairs = Vec::new();
        let mut bad = vec![false; k];
        for (l, bad) in bad.iter_mut().enumerate() {
            let (n, m) = shape(self, l);
            let (mut a, mut b) = self.both_masses(n, m);
            let mut scratch = Call::new("");
            self.spoil_masses(&mut scratch, &mut a, &mut b, false);
            *bad = scratch.is_wrong();
            pairs.push((a, b));
        }
        let moody = (0..k).any(|l| of(self, l).is_none_or(|of| of.is_moody() || of.extreme));
        call.may_be_anything();
        if let Some(g) = picked.iter().find_map(|(g, _)| *g) {
            self.loosen(&mut call, i, Some(g));
        }
        let entered = self.running.geometry.get();
        let (n, m) = shape(self, 0);
        let ((lda, said_a), (ldb, said_b)) = (self.leading(&mut call, n, k, !many), self.leading(&mut call, m, k, !many));
        let wanted = [!self.rng.rarely(3), !self.rng.rarely(3), !self.rng.rarely(3), !self.rng.rarely(3)];
        let ((ldf, said_f), (ldg, said_g)) = (self.leading(&mut call, n, k, !many && wanted[0]), self.leading(&mut call, m, k, !many && wanted[1]));
        let (mut costs, mut statuses) = (marked(k), vec![-77i32; k]);
        let pointer = |wanted: bool, v: &mut [f64]| if wanted { v.as_mut_ptr() } else { null_mut() };
        let cp = pointer(wanted[2], &mut costs);
        let sp = if wanted[3] { statuses.as_mut_ptr() } else { null_mut() };
        let count = self.size(&mut call, k);
        self.announce(&call, || format!("{s:?} {k} of {picked:?}: {pairs:?}, wanted {wanted:?}"));
        let (mut fs, mut gs): (Vec<Vec<f64>>, Vec<Vec<f64>>);
        let status = if many {
            (fs, gs) = ((0..k).map(|l| marked(shape(self, l).0)).collect(), (0..k).map(|l| marked(shape(self, l).1)).collect());
            let handles: Vec<*const rkn_geometry> = picked.iter().map(|(_, handle)| handle.cast_const()).collect();
            let (a, b): (Vec<_>, Vec<_>) = pairs.iter().map(|(a, b)| (a.as_ptr(), b.as_ptr())).unzip();
            let f: Vec<*mut f64> = fs.iter_mut().map(|f| f.as_mut_ptr()).collect();
            let g: Vec<*mut f64> = gs.iter_mut().map(|g| g.as_mut_ptr()).collect();
            let (hp, ap, bp) = (self.input(&mut call, &handles), self.input(&mut call, &a), self.input(&mut call, &b));
            let (fp, gp) = (if wanted[0] { f.as_ptr() } else { null() }, if wanted[1] { g.as_ptr() } else { null() });
            unsafe { rkn_sinkhorn_solve_many(s, count, hp, ap, bp, fp, gp, cp, sp) }
        } else {
            let all = |of: fn(&(Vec<f64>, Vec<f64>)) -> &Vec<f64>| pairs.iter().flat_map(|pair| of(pair).clone()).collect::<Vec<f64>>();
            let (a, b) = (laid(&all(|pair| &pair.0), n, lda), laid(&all(|pair| &pair.1), m, ldb));
            let (ap, bp) = (self.input(&mut call, &a), self.input(&mut call, &b));
            let room = |rows: usize, ld: usize| marked(if k == 0 { 0 } else { (k - 1) * ld + rows });
            let (mut f, mut g) = (room(n, ldf), room(m, ldg));
            let (fp, gp) = (pointer(wanted[0], &mut f), pointer(wanted[1], &mut g));
            let status = unsafe { rkn_sinkhorn_solve_batch(s, picked[0].1, count, ap, said_a, bp, said_b, fp, said_f, gp, said_g, cp, sp) };
            for l in 0..k.saturating_sub(1) {
                assert!(untouched(&f[l * ldf + n..(l + 1) * ldf]) && untouched(&g[l * ldg + m..(l + 1) * ldg]), "{}: a gap is written", self.at());
            }
            fs = (0..k).map(|l| f[l * ldf..][..n].to_vec()).collect();
            gs = (0..k).map(|l| g[l * ldg..][..m].to_vec()).collect();
            status
        };
        let destroyed = self.running.destroyed.get();
        self.judge(&call, status);
        if call.is_wrong() {
            assert!(untouched(&costs) && statuses.iter().all(|v| *v == -77), "{}: results of a refused call", self.at());
            assert!(fs.iter().chain(&gs).all(|v| untouched(v)), "{}: potentials of a refused call", self.at());
        } else if wanted[3] {
            // A call that could not even begin says so without statuses.
            let first = statuses.iter().copied().find(|v| *v != 0).unwrap_or(0);
            if statuses.iter().all(|v| *v != -77) {
                assert_eq!(first, status, "{}: {statuses:?}", self.at());
            } else {
                assert!(status < 0 && statuses.iter().all(|v| *v == -77), "{}: {statuses:?} and {status}", self.at());
            }
            for l in 0..k {
                let without = statuses[l] < 0 || statuses[l] == RKN_STOP_INFEASIBLE;
                assert!(!bad[l] || statuses[l] < 0 || self.transport.solvers[i.expect("it is right")].touched, "{}: {statuses:?}", self.at());
                assert!(!wanted[0] || without == untouched(&fs[l]), "{}: potentials of status {}", self.at(), statuses[l]);
                assert!(!wanted[1] || without == untouched(&gs[l]), "{}: potentials of status {}", self.at(), statuses[l]);
                assert!(!wanted[2] || without == untouched(&costs[l..=l]), "{}: a cost of status {}", self.at(), statuses[l]);
            }
        }
        if destroyed {
            return self.bury_transport(i, entered);
        }
        let Some(i) = i.filter(|_| !call.is_wrong() && wanted == [true; 4] && !moody) else { return };
        let solver = &self.transport.solvers[i];
        let start = self.word(s, "start").expect("an option");
        if solver.monitor.is_some() || solver.context || self.real(s, "time_limit") < f64::MAX || start == "previous" || start == "extrapolated" {
            return;
        }
        let by_sweeps = solver.method == "sinkhorn" && !many;
        for l in (0..k).filter(|l| !bad[*l]) {
            let twin = self.twin(i);
            let (n, m) = shape(self, l);
            let (a, b) = &pairs[l];
            let single = unsafe { rkn_sinkhorn_solve(twin, picked[if many { l } else { 0 }].1, a.as_ptr(), b.as_ptr()) };
            if !by_sweeps {
                assert_eq!(single, statuses[l], "{}: problem {l} ends otherwise than by itself", self.at());
                if single >= 0 && single != RKN_STOP_INFEASIBLE {
                    let (f, g) = self.potentials_of(twin, n, m);
                    assert!(same(&f, &fs[l]) && same(&g, &gs[l]), "{}: problem {l} has other potentials than by itself", self.at());
                }
            } else if single == 0 && statuses[l] == 0 && Self::is_sane(a) {
                let (got, wanted) = (costs[l], self.real(twin, "cost"));
                let mass: f64 = a.iter().sum();
                let largest = of(self, l).expect("it is right").costs.largest();
                let allowed = 4.0 * (self.real(twin, "tolerance") + 1e-9) * mass * (largest + 1e-300) * (1.0 + largest / self.real(twin, "epsilon_used"));
                assert!((got - wanted).abs() <= allowed, "{}: problem {l} costs {got}, by itself {wanted}", self.at());
            }
            unsafe { rkn_sinkhorn_destroy(twin) };
        }
    }

    pub fn find_barycenter(&mut self) {
        if self.rng.rarely(2) {
            return self.move_points();
        }
        let mut call = Call::new("rkn_sinkhorn_barycenter");
        let (i, s) = self.sinkhorn(&mut call);
        let (g, geometry) = self.geometry(&mut call, |_| true);
        let (n, m) = g.map_or((3, 3), |g| (self.transport.geometries[g].costs.n, self.transport.geometries[g].costs.m));
        let k = 1 + self.rng.below(3);
        let eighths = 1 + self.rng.below(24);
        let mut b: Vec<f64> = (0..k).flat_map(|_| masses(&mut self.rng, m, eighths)).collect();
        let mut weights: Vec<f64> = (0..k).map(|_| self.rng.below(3) as f64).collect();
        weights[0] += 1.0;
        self.spoil(&mut call, &mut b, true, 40);
        let (ld, said) = self.leading(&mut call, m, k, true);
        let bs = laid(&b, m, ld);
        let bp = self.input(&mut call, &bs);
        let wp = self.optional(&mut call, &weights);
        if !wp.is_null() && self.rng.rarely(20) {
            self.spoil(&mut call, &mut weights, true, 1);
        }
        let mut p = marked(n);
        let to = self.room(&mut call, &mut p);
        let count = self.positive_size(&mut call, k);
        self.loosen(&mut call, i, g);
        call.may(RKN_STOP_INFEASIBLE);
        self.announce(&call, || format!("{s:?} {geometry:?} {k} of {b:?}, weights {weights:?}"));
        let status = unsafe { rkn_sinkhorn_barycenter(s, geometry, count, bp, said, wp, to) };
        let destroyed = self.running.destroyed.get();
        self.judge(&call, status);
        if status < 0 || status == RKN_STOP_INFEASIBLE {
            assert!(untouched(&p), "{}: masses of status {status}", self.at());
        } else if g.is_some_and(|g| !self.transport.geometries[g].extreme && !self.transport.geometries[g].is_moody()) {
            let (sum, mass) = (p.iter().sum::<f64>(), 0.125 * eighths as f64);
            assert!(p.iter().all(|p| *p >= 0.0) && (sum - mass).abs() <= 1e-9 * mass, "{}: {p:?} of {mass}", self.at());
        }
        self.after_other(i, s, geometry, destroyed);
    }

    /// Potentials of the last solve stay after a call that is none.
    fn after_other(&mut self, i: Option<usize>, s: *mut rkn_sinkhorn, geometry: *mut rkn_geometry, destroyed: bool) {
        if destroyed {
            return self.bury_transport(i, geometry);
        }
        if let Some(solved) = i.and_then(|i| self.transport.solvers[i].solved.as_ref()) {
            let (f, g) = self.potentials_of(s, solved.f.len(), solved.g.len());
            assert!(same(&f, &solved.f) && same(&g, &solved.g), "{}: potentials of another call", self.at());
        }
    }

    fn move_points(&mut self) {
        let mut call = Call::new("rkn_sinkhorn_barycenter_points");
        let (i, s) = self.sinkhorn(&mut call);
        let (d, n, k) = (1 + self.rng.below(3), 1 + self.rng.below(5), 1 + self.rng.below(3));
        let mut ptr = vec![0i64];
        (0..k).for_each(|l| ptr.push(ptr[l] + 1 + self.rng.below(4) as i64));
        let all = ptr[k] as usize;
        let mut x: Vec<f64> = (0..d * n).map(|_| self.rng.eighth()).collect();
        let mut y: Vec<f64> = (0..d * all).map(|_| self.rng.eighth()).collect();
        let eighths = 8 + self.rng.below(8);
        let mut a = masses(&mut self.rng, n, eighths);
        let mut b: Vec<f64> = (0..k).flat_map(|l| masses(&mut self.rng, (ptr[l + 1] - ptr[l]) as usize, eighths)).collect();
        let mut weights: Vec<f64> = (0..k).map(|_| self.rng.below(3) as f64).collect();
        weights[0] += 1.0;
        self.spoil(&mut call, &mut x, false, 40);
        self.spoil(&mut call, &mut y, false, 40);
        let (ap, bp, wp) = (self.optional(&mut call, &a), self.optional(&mut call, &b), self.optional(&mut call, &weights));
        if !ap.is_null() {
            self.spoil(&mut call, &mut a, true, 40);
        }
        if !bp.is_null() {
            self.spoil(&mut call, &mut b, true, 40);
        }
        if !wp.is_null() {
            self.spoil(&mut call, &mut weights, true, 40);
        }
        let ((ldx, said_x), (ldy, said_y)) = (self.leading(&mut call, d, n, true), self.leading(&mut call, d, all, true));
        if self.rng.rarely(20) {
            let at = self.rng.below(k + 1);
            ptr[at] = self.rng.pick(&[-1, i64::MIN, if at == 0 { 1 } else { ptr[at - 1] }]);
            call.wrong(RKN_ERR_INDEX);
        }
        let (mut xs, ys) = (laid(&x, d, ldx), laid(&y, d, ldy));
        let before = xs.clone();
        let (pp, yp, xp) = (self.input(&mut call, &ptr), self.input(&mut call, &ys), self.room(&mut call, &mut xs));
        let said = [self.positive_size(&mut call, d), self.positive_size(&mut call, n), self.positive_size(&mut call, k)];
        if let Some(i) = i {
            let solver = &self.transport.solvers[i];
            [RKN_STOP_ITERATIONS, RKN_STOP_STAGNATION, RKN_STOP_MONITOR, RKN_STOP_INTERRUPT].into_iter().for_each(|status| call.may(status));
            if solver.touched {
                call.may_be_anything();
                [RKN_ERR_STATE, RKN_ERR_ARGUMENT, RKN_ERR_UNSUPPORTED].into_iter().for_each(|status| call.may(status));
            }
            self.running.sinkhorn.set(solver.handle);
        }
        self.announce(&call, || format!("{s:?} {d} x {n}, clouds {ptr:?}, x {x:?} y {y:?} a {a:?} {ap:?} b {b:?} {bp:?} w {weights:?} {wp:?}"));
        let status = unsafe { rkn_sinkhorn_barycenter_points(s, said[0], said[1], xp, said_x, ap, said[2], pp, yp, said_y, bp, wp) };
        let destroyed = self.running.destroyed.get();
        self.judge(&call, status);
        if status < 0 {
            assert!(same(&xs, &before), "{}: points moved by a failure", self.at());
        } else {
            for j in 0..n {
                assert!(xs[j * ldx..][..d].iter().all(|v| v.abs() <= 2.0 + 1e-6), "{}: {xs:?} lies outside", self.at());
                assert!(j + 1 == n || same(&xs[j * ldx + d..(j + 1) * ldx], &before[j * ldx + d..(j + 1) * ldx]), "{}: a gap", self.at());
            }
        }
        self.after_other(i, s, null_mut(), destroyed);
    }
}
