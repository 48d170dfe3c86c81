//! The entropic dual, and passes over the plan.
//!
//! P_ij = exp(phi_i + gamma_j - C_ij / eps) with phi = f / eps and gamma = g / eps. A pass makes the rows exact
//! (sum_j P_ij = a_i, which fixes phi), and takes the sums of the columns: a Sinkhorn half-step, the gradient b - c of the
//! semi-dual F(gamma) = <a, phi(gamma)> + <b, gamma>, and its value, in one visit of each entry with one exponential.
//!
//! When eps is small nearly all entries are zero. [`Active`] lists those that may count, with their costs; passes over
//! it are valid as long as the potentials have not risen further than its margin, and the bound on what it leaves
//! out goes into the error.
//!
//! Where marginals are penalised (see `relaxed`) "exact" means at their best: a row then has the mass r_i that goes with
//! phi_i, and t_j - c_j is the gradient, t_j the mass that goes with gamma_j.

use super::geometry::{Costs, Geometry, Rows, PARTS};
use super::relaxed::Relaxed;
use super::separable::{self, Separable, Side};
use crate::linalg::simd::exp::{add_rows_single, dot_single, dots_single, exp_list, exp_row, exp_row_single, TOGETHER};
use crate::runtime::{memory, Pool, Result};

/// Sums of a row beyond these are taken again, with the row's largest entry as the unit.
const RANGE: (f64, f64) = (1e-100, 1e100);
const RANGE_SINGLE: (f64, f64) = (1e-20, 1e20);

/// Columns with less than this share of their mass count as lost.
const LOST: f64 = 1e-30;

/// Rows of one part, with what it adds up.
struct Part {
    first: usize,
    phi: Vec<f64>,
    columns: Vec<f64>,
    dual: f64,
    cost: f64,
    room: Vec<f64>,
    e: Vec<f64>,
    single: Vec<f32>,
    active: List,
    kept: Kept,
}

/// Entries by rows; `at` holds their costs or nothing.
#[derive(Default)]
pub struct List {
    pub ptr: Vec<usize>,
    pub idx: Vec<u32>,
    pub cost: Vec<f64>,
}

impl List {
    fn clear(&mut self) {
        self.ptr.clear();
        self.ptr.push(0);
        self.idx.clear();
        self.cost.clear();
    }

    fn row(&self, r: usize) -> (&[u32], &[f64]) {
        let range = self.ptr[r]..self.ptr[r + 1];
        (&self.idx[range.clone()], &self.cost[range])
    }
}

/// Entries of P for products with it, in single precision: all of a row, or the large ones.
#[derive(Default)]
pub struct Kept {
    pub is_dense: bool,
    pub ptr: Vec<usize>,
    pub idx: Vec<u32>,
    pub p: Vec<f32>,
    /// Of each row the sum when it was kept, that of the row tilted, and the weight by which it then has its mass again;
    /// see [`Dual::tilt`].
    first: Vec<f64>,
    pub rows: Vec<f64>,
    pub weights: Vec<f64>,
}

impl Kept {
    fn clear(&mut self, is_dense: bool) {
        self.is_dense = is_dense;
        self.ptr.clear();
        self.ptr.push(0);
        self.idx.clear();
        self.p.clear();
        self.first.clear();
        self.rows.clear();
        self.weights.clear();
    }

    fn push(&mut self, p: f64, j: u32) {
        self.idx.push(j);
        self.p.push(p as f32);
    }

    /// A row of P, `weight` times these: all, or those that are larger than `low`.
    fn take<E: Copy + Into<f64>>(&mut self, e: &[E], weight: f64, low: f64) {
        if self.is_dense {
            self.p.extend(e.iter().map(|e| (weight * (*e).into()) as f32));
            return self.end_row();
        }
        for (block, part) in e.chunks(8).enumerate() {
            if part.iter().fold(false, |any, e| any | ((*e).into() > low)) {
                for (l, e) in part.iter().map(|e| (*e).into()).enumerate().filter(|(_, e)| *e > low) {
                    self.push(weight * e, (8 * block + l) as u32);
                }
            }
        }
        self.end_row();
    }

    fn end_row(&mut self) {
        let from = *self.ptr.last().unwrap_or(&0);
        let sum = self.p[from..].iter().map(|v| *v as f64).sum();
        self.first.push(sum);
        self.rows.push(sum);
        self.weights.push(1.0);
        self.ptr.push(self.p.len());
    }

    /// Entries of a row and those after it, where all of them are dense and none is empty.
    pub fn together(&self, r: usize) -> Option<[&[f32]; TOGETHER]> {
        if !self.is_dense || r + TOGETHER > self.rows.len() {
            return None;
        }
        let rows: [&[f32]; TOGETHER] = std::array::from_fn(|l| &self.p[self.ptr[r + l]..self.ptr[r + l + 1]]);
        rows.iter().all(|row| !row.is_empty()).then_some(rows)
    }

    /// Columns (none if the row is dense) and entries of a row.
    pub fn row(&self, r: usize) -> (&[u32], &[f32]) {
        let range = self.ptr[r]..self.ptr[r + 1];
        (if self.is_dense { &[] } else { &self.idx[range.clone()] }, &self.p[range])
    }
}

/// What a pass is to do beyond sums.
#[derive(Clone, Copy)]
pub enum Take {
    Sums,
    /// Exponentials in single precision will do.
    Roughly,
    /// Keep the entries of P above `above` a_i, or all of them.
    Entries { above: f64, is_dense: bool, is_rough: bool },
    /// The whole plan, whatever is listed, and <C, P>.
    Cost,
}

/// Where an [`List`] of active entries is valid.
struct Active {
    phi: Vec<f64>,
    gamma: Vec<f64>,
    margin: f64,
    /// For good: the pattern of the cost itself.
    is_pattern: bool,
}

/// What a grid has in place of entries: sums axis by axis.
struct Axes {
    sums: Box<dyn Separable>,
    /// log sum_j exp(gamma_j - C_ij / eps), and log sum_i exp(phi_i - C_ij / eps), which is that of the last pass if current.
    rows: Vec<f64>,
    columns: Vec<f64>,
    is_current: bool,
    phi: Vec<f64>,
    room: Vec<f64>,
}

/// Counts of passes, in visits of all entries.
#[derive(Clone, Copy, Default, Debug)]
pub struct Work {
    pub passes: f64,
    /// Of those the passes over lists.
    pub listed: f64,
    pub products: f64,
}

pub struct Dual<'a> {
    pub geometry: &'a Geometry,
    pub pool: &'a Pool,
    pub a: &'a [f64],
    pub b: &'a [f64],
    pub(super) log_a: Vec<f64>,
    pub(super) log_b: Vec<f64>,
    pub rows_at: Relaxed,
    pub columns_at: Relaxed,
    pub gamma: Vec<f64>,
    pub columns: Vec<f64>,
    /// What the columns must come to: b, or what goes with gamma.
    pub targets: Vec<f64>,
    /// The mass that errors are relative to.
    total: f64,
    /// F at the last pass.
    pub value: f64,
    /// <C, P> at the last pass, if that took it.
    pub cost: f64,
    pub has_cost: bool,
    /// 1 / eps.
    pub scale: f64,
    parts: Vec<Part>,
    active: Option<Active>,
    axes: Option<Axes>,
    /// gamma at which entries were kept, and exp(gamma - that): the plan is the kept one with its columns multiplied by
    /// this, and rows weighted to have their mass. Passes over it need no exponentials.
    kept_at: Vec<f64>,
    kept_phi: f64,
    pub tilt: Vec<f64>,
    /// Sums of the columns where entries were kept, less those of the kept ones: what rounding and leaving out took.
    missing: Vec<f64>,
    pub work: Work,
}

impl<'a> Dual<'a> {
    /// a, b: not negative; of mass one where both sides are exact.
    pub fn new(geometry: &'a Geometry, pool: &'a Pool, a: &'a [f64], b: &'a [f64], [rows_at, columns_at]: [Relaxed; 2]) -> Result<Self> {
        const WHAT: &str = "a transport problem";
        let (n, m) = (geometry.n, geometry.m);
        let logs = |v: &[f64]| -> Result<Vec<f64>> {
            let mut logs = memory::filled(v.len(), 0.0, WHAT)?;
            logs.iter_mut().zip(v).for_each(|(l, v)| *l = v.ln());
            Ok(logs)
        };
        let rows = n.div_ceil(PARTS).max(1);
        let parts = (0..n.div_ceil(rows))
            .map(|k| {
                let first = k * rows;
                Ok(Part {
                    first,
                    phi: memory::filled(rows.min(n - first), 0.0, WHAT)?,
                    columns: Vec::new(),
                    dual: 0.0,
                    cost: 0.0,
                    room: Vec::new(),
                    e: Vec::new(),
                    single: Vec::new(),
                    active: List::default(),
                    kept: Kept::default(),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut dual = Dual {
            geometry,
            pool,
            a,
            b,
            log_a: logs(a)?,
            log_b: logs(b)?,
            rows_at,
            columns_at,
            targets: memory::copied(b, WHAT)?,
            total: if rows_at.penalty.is_finite() { a.iter().sum() } else { 1.0 },
            gamma: memory::filled(m, 0.0, WHAT)?,
            columns: memory::filled(m, 0.0, WHAT)?,
            value: 0.0,
            cost: 0.0,
            has_cost: false,
            scale: 0.0,
            parts,
            active: None,
            axes: None,
            kept_at: memory::filled(m, 0.0, WHAT)?,
            kept_phi: 0.0,
            tilt: memory::filled(m, 1.0, WHAT)?,
            missing: memory::filled(m, 0.0, WHAT)?,
            work: Work::default(),
        };
        if let Costs::Sparse(pattern) = &geometry.costs {
            for part in &mut dual.parts {
                part.active.clear();
                for r in 0..part.phi.len() {
                    let (idx, cost) = pattern.entries(part.first + r);
                    part.active.idx.extend_from_slice(idx);
                    part.active.cost.extend_from_slice(cost);
                    part.active.ptr.push(part.active.idx.len());
                }
            }
            dual.active = Some(Active { phi: Vec::new(), gamma: Vec::new(), margin: 0.0, is_pattern: true });
        }
        if !dual.is_separable() {
            dual.take_rows()?;
        }
        Ok(dual)
    }

    /// Whether passes go axis by axis and not over entries.
    pub fn is_separable(&self) -> bool {
        self.geometry.grid().is_some()
    }

    /// Room for passes over rows.
    fn take_rows(&mut self) -> Result<()> {
        const WHAT: &str = "a pass over rows";
        let (m, lends) = (self.geometry.m, self.geometry.rows().lends() || matches!(self.geometry.costs, Costs::Sparse(_)));
        for part in self.parts.iter_mut().filter(|part| part.columns.is_empty()) {
            part.columns = memory::filled(m, 0.0, WHAT)?;
            part.room = memory::filled(if lends { 0 } else { m }, 0.0, WHAT)?;
            part.e = memory::filled(m, 0.0, WHAT)?;
            part.single = memory::filled(m, 0.0, WHAT)?;
        }
        Ok(())
    }

    /// Another eps, with the potentials g (in units of cost) to start from.
    pub fn set_epsilon(&mut self, epsilon: f64, g: &[f64]) -> Result<()> {
        self.has_cost = false;
        self.scale = 1.0 / epsilon;
        self.rows_at.set_epsilon(epsilon);
        self.columns_at.set_epsilon(epsilon);
        if let Some(grid) = self.geometry.grid() {
            let room = || memory::filled(self.geometry.n, 0.0, "sums over a grid");
            let sums = separable::new(grid, self.scale)?;
            self.axes = Some(Axes { sums, rows: room()?, columns: room()?, is_current: false, phi: room()?, room: room()? });
        }
        let is_exact = self.rows_at.is_exact() && self.columns_at.is_exact();
        // Of the potentials a constant is free: small ones keep more digits.
        let mean: f64 = if is_exact { g.iter().zip(self.b).map(|(g, b)| b * g).sum() } else { 0.0 };
        self.gamma.iter_mut().zip(g).for_each(|(gamma, g)| *gamma = (g - mean) * self.scale);
        self.forbid_empty_columns();
        self.parts.iter_mut().for_each(|part| part.phi.fill(0.0));
        self.deactivate();
        Ok(())
    }

    /// Columns without mass stay empty.
    fn forbid_empty_columns(&mut self) {
        for (gamma, b) in self.gamma.iter_mut().zip(self.b) {
            if *b == 0.0 {
                *gamma = f64::NEG_INFINITY;
            }
        }
    }

    pub fn phi(&self) -> impl Iterator<Item = f64> + '_ {
        self.parts.iter().flat_map(|part| part.phi.iter().copied())
    }

    /// The L1 error of the columns; rows are exact.
    pub fn error(&self) -> f64 {
        self.columns.iter().zip(&self.targets).map(|(c, t)| (c - t).abs()).sum::<f64>() / self.total
    }

    fn deactivate(&mut self) {
        if self.active.as_ref().is_some_and(|active| !active.is_pattern) {
            self.active = None;
        }
    }

    /// Whether the list of active entries may be used with the potentials as they are.
    pub fn is_listed(&self) -> bool {
        let Some(active) = &self.active else { return false };
        if active.is_pattern {
            return true;
        }
        let rise = |now: f64, then: f64| if now == then { 0.0 } else { now - then };
        let rows = self.phi().zip(&active.phi).fold(f64::NEG_INFINITY, |m, (now, then)| m.max(rise(now, *then)));
        let columns = self.gamma.iter().zip(&active.gamma).fold(f64::NEG_INFINITY, |m, (now, then)| m.max(rise(*now, *then)));
        rows + columns < active.margin
    }

    /// Lists the entries with P_ij > a_i e^-depth, unless they are more than the share `most` of all; what is then left
    /// out stays below a_i e^-(depth - margin) while [`Dual::is_listed`].
    pub fn activate(&mut self, depth: f64, margin: f64, most: f64) -> Result<bool> {
        if self.active.as_ref().is_some_and(|active| active.is_pattern) {
            return Ok(true);
        }
        self.active = None;
        self.take_rows()?;
        let (scale, gamma, log_a) = (self.scale, &self.gamma, &self.log_a);
        let limit = most * self.geometry.m as f64;
        self.geometry.for_parts(self.pool, &mut self.parts, |rows, part| {
            part.active.clear();
            for r in 0..part.phi.len() {
                let i = part.first + r;
                let row = rows.row(i, &mut part.room)?;
                let low = log_a[i] - depth - part.phi[r];
                for (block, (costs, gammas)) in row.chunks(8).zip(gamma.chunks(8)).enumerate() {
                    let reaches = |(c, g): (&f64, &f64)| *g - scale * *c > low;
                    if !costs.iter().zip(gammas).map(reaches).fold(false, |any, one| any | one) {
                        continue;
                    }
                    for (l, (c, g)) in costs.iter().zip(gammas).enumerate() {
                        if reaches((c, g)) {
                            part.active.idx.push((8 * block + l) as u32);
                            part.active.cost.push(*c);
                        }
                    }
                }
                part.active.ptr.push(part.active.idx.len());
                if part.active.idx.len() as f64 > limit * part.phi.len() as f64 {
                    break;
                }
            }
            Ok(())
        })?;
        if self.parts.iter().any(|part| part.active.ptr.len() <= part.phi.len()) {
            self.parts.iter_mut().for_each(|part| part.active = List::default());
            return Ok(false);
        }
        let phi = self.phi().collect();
        self.active = Some(Active { phi, gamma: self.gamma.clone(), margin, is_pattern: false });
        Ok(true)
    }

    /// Rows exact; sums of columns, the value of F, and what `take` wants.
    pub fn pass(&mut self, take: Take) -> Result<()> {
        self.has_cost = matches!(take, Take::Cost);
        if self.has_cost {
            self.deactivate();
        }
        let is_listed = self.is_listed();
        if self.is_separable() && !matches!(take, Take::Entries { .. }) {
            return self.pass_by_axes(take);
        }
        self.take_rows()?;
        self.forget_columns();
        let (scale, gamma, log_a, a, at) = (self.scale, &self.gamma, &self.log_a, self.a, self.rows_at);
        self.geometry.for_parts(self.pool, &mut self.parts, |rows, part| {
            part.columns.fill(0.0);
            (part.dual, part.cost) = (0.0, 0.0);
            if let Take::Entries { is_dense, .. } = take {
                part.kept.clear(is_dense && !is_listed);
            }
            for r in 0..part.phi.len() {
                let i = part.first + r;
                if a[i] == 0.0 {
                    part.phi[r] = f64::NEG_INFINITY;
                    if let Take::Entries { .. } = take {
                        part.kept.end_row();
                    }
                    continue;
                }
                if !part.phi[r].is_finite() {
                    part.phi[r] = 0.0;
                }
                let row = Row { r, a: a[i], log_a: log_a[i], at };
                if is_listed {
                    part.listed_row(row, scale, gamma, take);
                } else {
                    part.full_row(rows, row, scale, gamma, take)?;
                }
                part.dual += row.value(part.phi[r]);
            }
            Ok(())
        })?;
        let (n, m) = (self.geometry.n as f64, self.geometry.m as f64);
        let share = if is_listed { self.parts.iter().map(|part| part.active.idx.len()).sum::<usize>() as f64 / (n * m) } else { 1.0 };
        self.work.passes += share;
        self.work.listed += if is_listed { share } else { 0.0 };
        self.columns.fill(0.0);
        (self.value, self.cost) = (0.0, 0.0);
        for part in &self.parts {
            self.columns.iter_mut().zip(&part.columns).for_each(|(c, more)| *c += more);
            self.value += part.dual;
            self.cost += part.cost;
        }
        if let Take::Entries { .. } = take {
            self.kept_at.copy_from_slice(&self.gamma);
            self.kept_phi = self.value;
            self.tilt.fill(1.0);
            self.find_missing();
        }
        self.value += self.columns_value();
        Ok(())
    }

    /// The same from sums along the axes of a grid: no entry is visited.
    fn pass_by_axes(&mut self, take: Take) -> Result<()> {
        let is_cost = matches!(take, Take::Cost);
        self.scale_rows(is_cost.then_some(Side::Rows))?;
        self.scale_columns(None)?;
        let Some(axes) = &mut self.axes else { return Ok(()) };
        self.cost = 0.0;
        if is_cost {
            axes.room.fill(0.0);
            axes.sums.averages(self.pool, Side::Rows, &axes.room, true, &mut axes.rows)?;
        }
        self.value = 0.0;
        for (i, phi) in axes.phi.iter().enumerate().filter(|(i, _)| self.a[*i] > 0.0) {
            let row = Row { r: i, a: self.a[i], log_a: self.log_a[i], at: self.rows_at };
            self.value += row.value(*phi);
            self.cost += if is_cost { row.mass(*phi) * axes.rows[i] / self.scale } else { 0.0 };
        }
        self.work.passes += 1.0;
        self.value += self.columns_value();
        Ok(())
    }

    /// Makes the rows exact, which fixes phi.
    fn scale_rows(&mut self, keep: Option<Side>) -> Result<()> {
        let Some(axes) = &mut self.axes else { return Ok(()) };
        axes.sums.log_sums(self.pool, &self.gamma, keep, &mut axes.rows)?;
        for ((phi, log_a), sum) in axes.phi.iter_mut().zip(&self.log_a).zip(&axes.rows) {
            *phi = if *log_a > f64::NEG_INFINITY { self.rows_at.potential(*log_a, *sum) } else { f64::NEG_INFINITY };
        }
        for part in &mut self.parts {
            let len = part.phi.len();
            part.phi.copy_from_slice(&axes.phi[part.first..][..len]);
        }
        Ok(())
    }

    /// The sums of the columns.
    fn scale_columns(&mut self, keep: Option<Side>) -> Result<()> {
        let Some(axes) = &mut self.axes else { return Ok(()) };
        axes.sums.log_sums(self.pool, &axes.phi, keep, &mut axes.columns)?;
        axes.is_current = true;
        exp_row(&axes.columns, &self.gamma, -1.0, 0.0, &mut self.columns);
        Ok(())
    }

    fn forget_columns(&mut self) {
        if let Some(axes) = &mut self.axes {
            axes.is_current = false;
        }
    }

    /// What the columns add to F, and what they must come to.
    fn columns_value(&mut self) -> f64 {
        let (at, mut value) = (self.columns_at, 0.0);
        for (((t, b), log_b), gamma) in self.targets.iter_mut().zip(self.b).zip(&self.log_b).zip(&self.gamma) {
            *t = at.mass(*b, *log_b, *gamma);
            value += at.value(*b, *log_b, *gamma);
        }
        value
    }

    /// The sums of columns that kept entries do not account for, right after they were kept.
    fn find_missing(&mut self) {
        let (a, log_a, at, tilt) = (self.a, &self.log_a, self.rows_at, &self.tilt);
        let work = self.parts.iter().map(|part| part.kept.p.len()).sum();
        self.pool.chunks(work, &mut self.parts, 1, |_, part| part[0].kept_rows(a, log_a, at, tilt));
        self.missing.copy_from_slice(&self.columns);
        for part in &self.parts {
            self.missing.iter_mut().zip(&part.columns).for_each(|(c, kept)| *c -= kept);
            self.kept_phi -= part.dual;
        }
    }

    /// A pass over the kept entries at the present gamma, without exponentials. What they lack is carried along, so that the
    /// sums are as exact as where they were kept, but for rounding times the way from there. False where gamma has
    /// gone too far.
    pub fn kept_pass(&mut self) -> bool {
        const FAR: f64 = 30.0;
        self.has_cost = false;
        for ((tilt, gamma), at) in self.tilt.iter_mut().zip(&self.gamma).zip(&self.kept_at) {
            let step = if gamma == at { 0.0 } else { gamma - at };
            if step.is_nan() || step.abs() > FAR {
                return false;
            }
            *tilt = step.exp();
        }
        let (a, log_a, at, tilt) = (self.a, &self.log_a, self.rows_at, &self.tilt);
        let work = self.kept();
        self.pool.chunks(work, &mut self.parts, 1, |_, part| part[0].kept_rows(a, log_a, at, tilt));
        let (n, m) = (self.geometry.n as f64, self.geometry.m as f64);
        self.work.products += work as f64 / (n * m);
        self.columns.fill(0.0);
        self.value = self.kept_phi + self.columns_value();
        for part in &self.parts {
            self.columns.iter_mut().zip(&part.columns).for_each(|(c, more)| *c += more);
            self.value += part.dual;
        }
        self.columns.iter_mut().zip(&self.tilt).zip(&self.missing).for_each(|((c, tilt), missing)| *c = (*c + missing) * tilt);
        true
    }

    /// Sinkhorn's other half-step: columns exact, or beyond that by a factor from 1 to 2.
    pub fn update_columns(&mut self, relaxation: f64) -> Result<()> {
        self.has_cost = false;
        if let Some(axes) = self.axes.as_ref().filter(|axes| axes.is_current) {
            // Logarithms of sums have digits however small those are.
            for ((gamma, log_b), sum) in self.gamma.iter_mut().zip(&self.log_b).zip(&axes.columns) {
                *gamma += relaxation * (self.columns_at.potential(*log_b, *sum) - *gamma);
            }
            self.forbid_empty_columns();
            return Ok(());
        }
        let mut lost = Vec::new();
        for j in 0..self.gamma.len() {
            // Rows at a price have sums that may overflow.
            if self.columns[j] > LOST * self.b[j] && self.columns[j].is_finite() {
                let best = self.columns_at.potential(self.log_b[j], self.columns[j].ln() - self.gamma[j]);
                self.gamma[j] += relaxation * (best - self.gamma[j]);
            } else if self.b[j] > 0.0 {
                lost.push(j);
            }
        }
        if !lost.is_empty() {
            self.find_columns(&lost)?;
        }
        self.forbid_empty_columns();
        Ok(())
    }

    /// For columns that have lost their mass, or that no active entry reaches: gamma from all their entries, by logarithms.
    /// Their sums have no digits to go by.
    fn find_columns(&mut self, lost: &[usize]) -> Result<()> {
        const WHAT: &str = "columns";
        let (mut highest, mut sums) = (memory::filled(lost.len(), f64::NEG_INFINITY, WHAT)?, memory::filled(lost.len(), 0.0, WHAT)?);
        let rows = self.geometry.rows();
        let mut room = memory::filled(if rows.lends() { 0 } else { self.geometry.m }, 0.0, "a row of the cost")?;
        for part in &self.parts {
            for (r, phi) in part.phi.iter().enumerate().filter(|(_, phi)| phi.is_finite()) {
                let row = rows.row(part.first + r, &mut room)?;
                for ((top, sum), j) in highest.iter_mut().zip(&mut sums).zip(lost) {
                    let log = phi - self.scale * row[*j];
                    if log > *top {
                        *sum = *sum * (*top - log).exp() + 1.0;
                        *top = log;
                    } else if log.is_finite() {
                        *sum += (log - *top).exp();
                    }
                }
            }
        }
        for ((top, sum), j) in highest.iter().zip(&sums).zip(lost).filter(|((top, _), _)| top.is_finite()) {
            self.gamma[*j] = self.columns_at.potential(self.log_b[*j], top + sum.ln());
        }
        Ok(())
    }

    /// Share of entries above `above` times their row's sum, at the present gamma, from a sample of rows.
    pub fn density(&mut self, above: f64) -> Result<f64> {
        const SAMPLE: usize = 16;
        let step = (self.geometry.n / SAMPLE).max(1);
        self.take_rows()?;
        let (mut count, mut all) = (0usize, 0usize);
        let rows = self.geometry.rows();
        for part in &mut self.parts {
            for r in (0..part.phi.len()).step_by(step) {
                all += self.geometry.m;
                let part_e = &mut part.e;
                if let Costs::Sparse(pattern) = &self.geometry.costs {
                    let (idx, cost) = pattern.entries(part.first + r);
                    let highest = cost.iter().zip(idx).fold(f64::NEG_INFINITY, |t, (c, j)| t.max(self.gamma[*j as usize] - self.scale * c));
                    if highest.is_finite() {
                        let e = &mut part_e[..idx.len()];
                        let total = exp_list(idx, cost, &self.gamma, self.scale, -highest, e);
                        count += e.iter().filter(|e| **e > above * total).count();
                    }
                    continue;
                }
                let row = rows.row(part.first + r, &mut part.room)?;
                let highest = row.iter().zip(&self.gamma).fold(f64::NEG_INFINITY, |t, (c, g)| t.max(g - self.scale * c));
                if highest.is_finite() {
                    let total = exp_row(row, &self.gamma, self.scale, -highest, part_e);
                    count += part_e.iter().filter(|e| **e > above * total).count();
                }
            }
        }
        Ok(count as f64 / all.max(1) as f64)
    }

    /// How many entries the last pass kept.
    pub fn kept(&self) -> usize {
        self.parts.iter().map(|part| part.kept.p.len()).sum()
    }

    /// Whether all entries are kept, without a pattern.
    pub fn keeps_dense(&self) -> bool {
        self.parts.iter().any(|part| part.kept.is_dense)
    }

    /// The first row of each part, with its kept entries.
    pub fn kept_parts(&self) -> impl Iterator<Item = (usize, &Kept)> {
        self.parts.iter().map(|part| (part.first, &part.kept))
    }

    /// sum over parts of `body(part's kept entries, its own zeroed columns)`, in the order of the parts.
    pub fn over_kept(&mut self, body: impl Fn(&Kept, &mut [f64]) + Sync, out: &mut [f64]) {
        let work = self.kept();
        self.pool.chunks(work, &mut self.parts, 1, |_, part| {
            part[0].columns.fill(0.0);
            body(&part[0].kept, &mut part[0].columns);
        });
        out.fill(0.0);
        for part in &self.parts {
            out.iter_mut().zip(&part.columns).for_each(|(v, more)| *v += more);
        }
    }

    /// out <- (diag(c) - P^T diag(1/a) P) x, or with no x its diagonal, from exponentials taken anew: where entries
    /// have no room.
    pub fn over_rows(&mut self, x: Option<&[f64]>, out: &mut [f64]) -> Result<()> {
        if self.is_separable() {
            return self.over_axes(x, out);
        }
        let (scale, gamma, a, tau) = (self.scale, &self.gamma, self.a, self.rows_at.tau());
        self.geometry.for_parts(self.pool, &mut self.parts, |rows, part| {
            part.columns.fill(0.0);
            for r in 0..part.phi.len() {
                if a[part.first + r] == 0.0 {
                    continue;
                }
                let row = rows.row(part.first + r, &mut part.room)?;
                let (e, columns) = (&mut part.e, &mut part.columns);
                let total = exp_row(row, gamma, scale, part.phi[r], e);
                match x {
                    Some(x) => {
                        let mean = tau * e.iter().zip(x).map(|(e, x)| e * x).sum::<f64>() / total;
                        columns.iter_mut().zip(&*e).zip(x).for_each(|((q, e), x)| *q += e * (x - mean));
                    }
                    None => columns.iter_mut().zip(&*e).for_each(|(d, e)| *d += e * ((total - tau * e) / total)),
                }
            }
            Ok(())
        })?;
        self.work.passes += 1.0;
        out.fill(0.0);
        for part in &self.parts {
            out.iter_mut().zip(&part.columns).for_each(|(v, more)| *v += more);
        }
        Ok(())
    }

    /// The same along the axes of a grid: q_j = c_j (x_j - y_j), where y_j is the average over the rows of t_i, and that the
    /// average of x over the columns. Asking for the diagonal makes the weights, of the present gamma; products use them.
    fn over_axes(&mut self, x: Option<&[f64]>, out: &mut [f64]) -> Result<()> {
        if x.is_none() {
            self.scale_rows(Some(Side::Rows))?;
            self.scale_columns(Some(Side::Columns))?;
            self.work.passes += 1.0;
        }
        let Some(axes) = &mut self.axes else { return Ok(()) };
        match x {
            Some(x) => {
                axes.sums.averages(self.pool, Side::Rows, x, false, &mut axes.room)?;
                axes.sums.averages(self.pool, Side::Columns, &axes.room, false, out)?;
                let tau = self.rows_at.tau();
                for ((q, x), c) in out.iter_mut().zip(x).zip(&self.columns) {
                    *q = c * (x - tau * *q);
                }
                self.work.products += 1.0;
            }
            None => {
                // c_j - sum_i tau P_ij^2 / r_i
                let (at, log_tau) = (self.rows_at, self.rows_at.tau().ln());
                for (((v, phi), log_a), a) in axes.room.iter_mut().zip(&axes.phi).zip(&self.log_a).zip(self.a) {
                    *v = if *log_a > f64::NEG_INFINITY { 2.0 * phi + log_tau - at.mass(*a, *log_a, *phi).ln() } else { f64::NEG_INFINITY };
                }
                axes.sums.log_squares(self.pool, &axes.room, out)?;
                for ((d, c), gamma) in out.iter_mut().zip(&self.columns).zip(&self.gamma) {
                    *d = if *gamma > f64::NEG_INFINITY { (c - (*d + 2.0 * gamma).exp()).max(f64::EPSILON * c) } else { 0.0 };
                }
            }
        }
        Ok(())
    }
}

/// A row of a part: its mass, and how strictly it must have it.
#[derive(Clone, Copy)]
struct Row {
    r: usize,
    a: f64,
    log_a: f64,
    at: Relaxed,
}

impl Row {
    fn mass(&self, phi: f64) -> f64 {
        self.at.mass(self.a, self.log_a, phi)
    }

    /// What it adds to F: with its part of -sum P, which a penalised row has not fixed.
    fn value(&self, phi: f64) -> f64 {
        self.at.value(self.a, self.log_a, phi) - (self.mass(phi) - self.a)
    }

    /// The best phi for a row that sums to `total` at the phi given; what its entries are to be multiplied by.
    fn settle(&self, phi: &mut f64, total: f64) -> f64 {
        *phi = if self.at.is_exact() { *phi + (self.log_a - total.ln()) } else { self.at.potential(self.log_a, total.ln() - *phi) };
        if total > 0.0 { self.mass(*phi) / total } else { 0.0 }
    }
}

impl Part {
    /// Sums and weights of the kept rows, tilted; `dual` is what they change in F.
    fn kept_rows(&mut self, a: &[f64], log_a: &[f64], at: Relaxed, tilt: &[f64]) {
        let Part { kept, columns, dual, first, phi, .. } = self;
        columns.fill(0.0);
        *dual = 0.0;
        let row_of = |r: usize| Row { r, a: a[*first + r], log_a: log_a[*first + r], at };
        let mut settle = |kept: &mut Kept, r: usize, sum: f64| {
            let row = row_of(r);
            kept.rows[r] = sum;
            // What was not kept follows what was.
            let back = kept.first[r] / sum;
            kept.weights[r] = if at.is_exact() {
                *dual += row.a * back.ln();
                back
            } else {
                let now = phi[r] + at.tau() * back.ln();
                *dual += row.value(now) - row.value(phi[r]);
                back * row.mass(now) / row.mass(phi[r])
            };
            kept.weights[r]
        };
        let mut r = 0;
        while r < kept.rows.len() {
            if let Some(sums) = kept.together(r).map(|four| dots_single(four, tilt)) {
                let mut weights = sums;
                weights.iter_mut().enumerate().for_each(|(l, weight)| *weight = settle(kept, r + l, *weight));
                if let Some(four) = kept.together(r) {
                    add_rows_single(four, weights, None, columns);
                }
                r += TOGETHER;
                continue;
            }
            let (idx, p) = kept.row(r);
            if row_of(r).a > 0.0 && !p.is_empty() {
                let sum = match kept.is_dense {
                    true => dot_single(p, tilt),
                    false => idx.iter().zip(p).map(|(j, v)| *v as f64 * tilt[*j as usize]).sum(),
                };
                let weight = settle(kept, r, sum);
                let (idx, p) = kept.row(r);
                if kept.is_dense {
                    add_single(p, weight, columns);
                } else {
                    idx.iter().zip(p).for_each(|(j, v)| columns[*j as usize] += weight * *v as f64);
                }
            }
            r += 1;
        }
    }

    fn full_row(&mut self, rows: &dyn Rows, of: Row, scale: f64, gamma: &[f64], take: Take) -> Result<()> {
        let row = rows.row(self.first + of.r, &mut self.room)?;
        let phi = &mut self.phi[of.r];
        let highest = || row.iter().zip(gamma).fold(f64::NEG_INFINITY, |t, (c, g)| t.max(g - scale * c));
        let is_rough = matches!(take, Take::Roughly | Take::Entries { is_rough: true, .. });
        let range = if is_rough { RANGE_SINGLE } else { RANGE };
        let (single, e) = (&mut self.single, &mut self.e);
        let mut sum = |phi: f64| if is_rough { exp_row_single(row, gamma, scale, phi, single) } else { exp_row(row, gamma, scale, phi, e) };
        let mut total = sum(*phi);
        if !(total > range.0 * of.a && total < range.1) {
            *phi = -highest();
            total = sum(*phi);
        }
        let weight = of.settle(phi, total);
        if is_rough {
            add_single(&self.single, weight, &mut self.columns);
        } else {
            add(&self.e, weight, &mut self.columns);
        }
        match take {
            Take::Cost => self.cost += weight * self.e.iter().zip(row).map(|(e, c)| e * c).sum::<f64>(),
            Take::Entries { above, .. } if is_rough => self.kept.take(&self.single, weight, above * total),
            Take::Entries { above, .. } => self.kept.take(&self.e, weight, above * total),
            _ => {}
        }
        Ok(())
    }

    fn listed_row(&mut self, of: Row, scale: f64, gamma: &[f64], take: Take) {
        let (idx, cost) = self.active.row(of.r);
        let e = &mut self.e[..idx.len()];
        let phi = &mut self.phi[of.r];
        let mut total = exp_list(idx, cost, gamma, scale, *phi, e);
        if !(total > RANGE.0 * of.a && total < RANGE.1) {
            let highest = idx.iter().zip(cost).fold(f64::NEG_INFINITY, |t, (j, c)| t.max(gamma[*j as usize] - scale * c));
            *phi = if highest.is_finite() { -highest } else { 0.0 };
            total = exp_list(idx, cost, gamma, scale, *phi, e);
        }
        let weight = of.settle(phi, total);
        for (j, e) in idx.iter().zip(&*e) {
            self.columns[*j as usize] += weight * e;
        }
        if matches!(take, Take::Cost) {
            self.cost += weight * e.iter().zip(cost).map(|(e, c)| e * c).sum::<f64>();
        }
        if let Take::Entries { above, .. } = take {
            let low = above * total;
            for (j, e) in idx.iter().zip(&*e).filter(|(_, e)| **e > low) {
                self.kept.push(weight * e, *j);
            }
            self.kept.end_row();
        }
    }
}

/// sum_j + w e_j, with whatever instructions the machine has.
pub(super) fn add(e: &[f64], w: f64, sums: &mut [f64]) {
    pulp::Arch::new().dispatch(|| sums.iter_mut().zip(e).for_each(|(sum, e)| *sum += w * e));
}

fn add_single(e: &[f32], w: f64, sums: &mut [f64]) {
    pulp::Arch::new().dispatch(|| sums.iter_mut().zip(e).for_each(|(sum, e)| *sum += w * *e as f64));
}
