//! Derivatives of the last solution of balanced transport.
//!
//! P_ij = exp((f_i + g_j - C_ij) / eps), P 1 = a, P^T 1 = b. The value's own derivatives need no system (envelope): P for C,
//! f and g for a and b, sum_j P_ij dc(x_i, y_j)/dx_i for points. Changes of the potentials obey
//!
//!   [diag(a) P; P^T diag(b)] (df; dg) = eps (da; db) + ((P . dC) 1; (P . dC)^T 1)
//!
//! so cotangents (wf; wg) of (f, g), with sum wf = sum wg, give by one system with the same matrix (alpha; beta), and
//! from that eps alpha for a, eps beta for b, P . (alpha 1^T + 1 beta^T) for C. A cotangent W of P = exp(...) is that of
//! the potentials with ((P . W) 1; (P . W)^T 1) / eps, and - P . W / eps more for C. Systems: `laplacian`.
//!
//! a and b are those that the potentials at hand have, P 1 and P^T 1.
//!
//! Source: the implicit function theorem for Sinkhorn's fixed point, as in Eisenberger et al. 2022 (arXiv 2205.06688) and Cuturi
//! et al. 2020 (arXiv 2002.03229); envelope, Feydy et al. 2019 (arXiv 1810.08278).

use super::geometry::{Costs, Points, PARTS};
use super::laplacian::{dot, lanes, mean, plan_row, Laplacian, Part, Source, Strided};
use super::{Setup, Sinkhorn, Solved};
use crate::linalg::PanelMut;
use crate::runtime::{memory, Error, Outcome, Pool, Result, Stop};

const WHAT: &str = "derivatives of transport";

/// Of what derivatives are wanted, in the user's order.
pub enum Cotangent<'a> {
    Potentials { wf: &'a [f64], wg: &'a [f64] },
    Plan(Strided<'a>),
}

/// Where derivatives go, in the user's order; those that are absent are not formed.
pub struct Gradients<'a> {
    pub a: Option<&'a mut [f64]>,
    pub b: Option<&'a mut [f64]>,
    /// Numbers, and from one row and from one column to the next.
    pub cost: Option<(&'a mut [f64], usize, usize)>,
    pub x: Option<PanelMut<'a, f64>>,
    pub y: Option<PanelMut<'a, f64>>,
}

/// The solution by the rows of the geometry, in units of eps.
struct Plan<'a> {
    solved: &'a Solved,
    phi: Vec<f64>,
    gamma: Vec<f64>,
    scale: f64,
}

impl<'a> Plan<'a> {
    fn new(solved: &'a Solved) -> Result<Self> {
        let (f, g) = if solved.geometry.is_transposed { (&solved.g, &solved.f) } else { (&solved.f, &solved.g) };
        let scale = 1.0 / solved.epsilon;
        let scaled = |v: &[f64]| -> Result<Vec<f64>> {
            let mut v = memory::copied(v, WHAT)?;
            v.iter_mut().for_each(|v| *v *= scale);
            Ok(v)
        };
        Ok(Plan { solved, phi: scaled(f)?, gamma: scaled(g)?, scale })
    }

    fn source(&self) -> Source<'_> {
        Source::Plan { geometry: &self.solved.geometry, phi: &self.phi, gamma: &self.gamma, scale: self.scale }
    }

    /// `body(i, costs, row)` for each row with mass, on this thread; the row is that of the plan, and the body's to change.
    fn for_rows(&self, mut body: impl FnMut(usize, &[f64], &mut [f64])) -> Result<()> {
        let m = self.gamma.len();
        let (mut room, mut p) = (memory::filled(m, 0.0, WHAT)?, memory::filled(m, 0.0, WHAT)?);
        let rows = self.solved.geometry.rows();
        for (i, phi) in self.phi.iter().enumerate() {
            let costs = rows.row(i, &mut room)?;
            if phi.is_finite() {
                plan_row(costs, *phi, &self.gamma, self.scale, &mut p);
            } else {
                p.fill(0.0);
            }
            body(i, costs, &mut p);
        }
        Ok(())
    }
}

/// alpha + beta - W / eps by entries, in differences from what stands at the peak of the row: the sums are often far smaller than
/// their terms.
struct Factor<'a> {
    /// wr / r, or the mean of W / eps over the row less W / eps at its peak.
    rows: &'a [f64],
    /// The mean of beta over the row, less beta at its peak.
    means: &'a [f64],
    peaks: &'a [u32],
    beta: &'a [f64],
    plan: Option<Strided<'a>>,
    scale: f64,
}

impl Factor<'_> {
    /// p <- p (alpha + beta - W / eps), row i of dC.
    fn apply(&self, i: usize, gathered: &mut [f64], p: &mut [f64]) {
        let (row, mean, peak) = (self.rows[i], self.means[i], self.peaks[i] as usize);
        let at = self.beta[peak];
        match &self.plan {
            None => p.iter_mut().zip(self.beta).for_each(|(p, beta)| *p *= ((beta - at) - mean) + row),
            Some(w) => {
                let w = w.row(i, p.len(), gathered);
                let (scale, of_w) = (self.scale, w[peak]);
                p.iter_mut().zip(self.beta).zip(w).for_each(|((p, beta), w)| *p *= ((beta - at) - mean) - (scale * (w - of_w) - row));
            }
        }
    }

    /// alpha of row i.
    fn alpha(&self, i: usize) -> f64 {
        let peak = self.peaks[i] as usize;
        let of_w = self.plan.as_ref().map_or(0.0, |w| self.scale * w.data[i * w.row + peak * w.column]);
        (of_w + self.rows[i]) - (self.beta[peak] + self.means[i])
    }
}

impl Sinkhorn {
    fn points(&self) -> Result<&Points> {
        let points = match &self.solved_exactly()?.geometry.costs {
            Costs::Plain(rows) => rows.points(),
            _ => None,
        };
        points.ok_or_else(|| Error::State("the last solve was not with a geometry of points".to_string()))
    }

    /// Coordinates of a point of the last solve.
    pub fn dimension(&self) -> Result<usize> {
        Ok(self.points()?.x.len())
    }

    /// Derivatives of the value with respect to the points.
    pub fn gradient_points(&self, pool: &Pool, x: Option<PanelMut<f64>>, y: Option<PanelMut<f64>>) -> Result<()> {
        let points = self.points()?;
        let plan = Plan::new(self.solved_exactly()?)?;
        let mut found = Moved::new(points)?;
        found.add(points, &plan, pool, |_, _, _| ())?;
        found.write(points, x, y);
        Ok(())
    }

    /// Derivatives of <w, what has this cotangent w>.
    pub fn vjp(&mut self, setup: &Setup, cotangent: Cotangent, out: Gradients) -> Result<Outcome> {
        if out.x.is_some() || out.y.is_some() {
            self.points()?;
        }
        if let Cotangent::Potentials { wf, wg } = &cotangent {
            balanced(self.solved_exactly()?, wf, wg)?;
        }
        let kept = self.laplacian.take();
        let plan = Plan::new(self.solved_exactly()?)?;
        let (n, m) = (plan.phi.len(), plan.gamma.len());
        let pool = &setup.context.pool;
        let mut laplacian = match kept {
            Some(laplacian) => laplacian,
            None => Laplacian::new(plan.source(), pool, n, m)?,
        };
        let tolerance = setup.options.real("derivative_tolerance");
        let done = derive(&plan, &mut laplacian, setup, tolerance, cotangent, out);
        // A failure of the host's rows leaves what was learned as it was.
        self.laplacian = Some(laplacian);
        done
    }
}

fn derive(plan: &Plan, laplacian: &mut Laplacian, setup: &Setup, tolerance: f64, cotangent: Cotangent, out: Gradients) -> Result<Outcome> {
    let pool = &setup.context.pool;
    let geometry = &plan.solved.geometry;
    let is_transposed = geometry.is_transposed;
    let (rows, b, w) = match cotangent {
        Cotangent::Potentials { wf, wg } => {
            let (wr, wc) = if is_transposed { (wg, wf) } else { (wf, wg) };
            let (rows, b) = of_potentials(plan, laplacian, pool, wr, wc)?;
            (rows, b, None)
        }
        Cotangent::Plan(w) => {
            let w = if is_transposed { Strided { data: w.data, row: w.column, column: w.row } } else { w };
            let (rows, b) = of_entries(plan.source(), laplacian, pool, w, plan.scale)?;
            (rows, b, Some(w))
        }
    };
    let solution = laplacian.solve(plan.source(), &setup.context, b, tolerance)?;
    {
        let mut report = setup.report.borrow_mut();
        report.derivative_products = solution.products;
        report.derivative_residual = solution.residual;
    }
    let (means, beta) = (&solution.means, &solution.beta);
    let factor = Factor { rows: &rows, means, peaks: &laplacian.peaks, beta, plan: w, scale: plan.scale };
    let points = match &geometry.costs {
        Costs::Plain(rows) if out.x.is_some() || out.y.is_some() => rows.points(),
        _ => None,
    };
    let moved = match points {
        Some(points) => {
            let mut moved = Moved::new(points)?;
            moved.add(points, plan, pool, |i, gathered, p| factor.apply(i, gathered, p))?;
            Some((points, moved))
        }
        None => None,
    };
    let masses = if out.a.is_some() || out.b.is_some() { Some(of_masses(plan, laplacian, &factor)?) } else { None };
    if let Some((data, row, column)) = out.cost {
        let (row, column) = if is_transposed { (column, row) } else { (row, column) };
        let mut gathered = memory::filled(plan.gamma.len(), 0.0, WHAT)?;
        plan.for_rows(|i, _, p| {
            factor.apply(i, &mut gathered, p);
            match column {
                1 => data[i * row..][..p.len()].copy_from_slice(p),
                _ => p.iter().enumerate().for_each(|(j, p)| data[i * row + j * column] = *p),
            }
        })?;
    }
    if let Some((of_rows, of_columns)) = masses {
        let (of_a, of_b) = if is_transposed { (of_columns, of_rows) } else { (of_rows, of_columns) };
        for (to, from) in [(out.a, of_a), (out.b, of_b)] {
            if let Some(to) = to {
                to.copy_from_slice(&from);
            }
        }
    }
    if let Some((points, moved)) = moved {
        moved.write(points, out.x, out.y);
    }
    Ok(outcome(solution.stop))
}

/// wr / r, and the right-hand side wc - P^T (wr / r).
fn of_potentials(plan: &Plan, laplacian: &mut Laplacian, pool: &Pool, wr: &[f64], wc: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut t, mut b) = (memory::copied(wr, WHAT)?, memory::filled(wc.len(), 0.0, WHAT)?);
    t.iter_mut().zip(&laplacian.rows).for_each(|(t, r)| *t = if *r > 0.0 { *t / r } else { 0.0 });
    laplacian.adjoint(plan.source(), pool, &t, &mut b)?;
    b.iter_mut().zip(wc).for_each(|(b, w)| *b = w - *b);
    Ok((t, b))
}

/// The means of scale W over the rows of P, less scale W at their peaks, and the right-hand side scale sum_i P_ij (W_ij - mean_i).
pub fn of_entries(source: Source, laplacian: &mut Laplacian, pool: &Pool, w: Strided, scale: f64) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut t, mut b) = (memory::filled(laplacian.rows.len(), 0.0, WHAT)?, memory::filled(laplacian.columns.len(), 0.0, WHAT)?);
    let (sums, peaks) = (std::mem::take(&mut laplacian.rows), std::mem::take(&mut laplacian.peaks));
    let passed = laplacian.pass(source, pool, |i, r, p, part: &mut Part| {
        let Part { rows, columns, gathered, .. } = part;
        let w = w.row(i, p.len(), gathered);
        let (mean, at) = (mean(p, sums[i], w, peaks[i]), w[peaks[i] as usize]);
        rows[r] = scale * mean;
        columns.iter_mut().zip(p).zip(w).for_each(|((b, p), w)| *b += scale * (p * ((w - at) - mean)));
    });
    (laplacian.rows, laplacian.peaks) = (sums, peaks);
    passed?;
    laplacian.take_rows(&mut t);
    laplacian.take_columns(&mut b);
    Ok((t, b))
}

/// eps alpha and eps beta, with sum a alpha = sum b beta. Of points without mass they are the limits for little mass, which goes
/// where the other potential sends it.
fn of_masses(plan: &Plan, laplacian: &Laplacian, factor: &Factor) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut beta = memory::copied(factor.beta, WHAT)?;
    let mut alpha = memory::filled(factor.rows.len(), 0.0, WHAT)?;
    alpha.iter_mut().enumerate().for_each(|(i, alpha)| *alpha = factor.alpha(i));
    let (empty_rows, empty_columns) = (plan.phi.iter().any(|v| !v.is_finite()), plan.gamma.iter().any(|v| !v.is_finite()));
    if empty_rows || empty_columns {
        limits(plan, factor, &mut alpha, &mut beta)?;
    }
    let (r, c) = (&laplacian.rows, &laplacian.columns);
    let shift = 0.5 * (dot(c, &beta) - dot(r, &alpha)) / lanes(r, r, |r, _| r);
    let epsilon = plan.solved.epsilon;
    alpha.iter_mut().for_each(|v| *v = epsilon * (*v + shift));
    beta.iter_mut().for_each(|v| *v = epsilon * (*v - shift));
    Ok((alpha, beta))
}

/// alpha and beta of points without mass: means of W / eps less the others' potential, with the weights that a first grain of
/// mass would be sent by. Zero where it may go nowhere.
fn limits(plan: &Plan, factor: &Factor, alpha: &mut [f64], beta: &mut [f64]) -> Result<()> {
    let (n, m) = (alpha.len(), beta.len());
    let rows = plan.solved.geometry.rows();
    let (mut room, mut gathered) = (memory::filled(m, 0.0, WHAT)?, memory::filled(m, 0.0, WHAT)?);
    // Of each empty column the largest exponent, the weights and the terms.
    let mut highest = memory::filled(m, f64::NEG_INFINITY, WHAT)?;
    let (mut weights, mut terms) = (memory::filled(m, 0.0, WHAT)?, memory::filled(m, 0.0, WHAT)?);
    for is_second in [false, true] {
        for i in 0..n {
            let costs = rows.row(i, &mut room)?;
            let exponent = |gamma: f64, j: usize| gamma - plan.scale * costs[j];
            let w = factor.plan.as_ref().map(|w| w.row(i, m, &mut gathered));
            let of_w = |j: usize| w.map_or(0.0, |w| factor.scale * w[j]);
            if plan.phi[i].is_finite() {
                for j in (0..m).filter(|j| !plan.gamma[*j].is_finite()) {
                    let here = exponent(plan.phi[i], j);
                    if !is_second {
                        highest[j] = highest[j].max(here);
                    } else if highest[j].is_finite() {
                        let weight = (here - highest[j]).exp();
                        weights[j] += weight;
                        terms[j] += weight * (of_w(j) - alpha[i]);
                    }
                }
            } else if is_second {
                let top = (0..m).fold(f64::NEG_INFINITY, |top, j| top.max(exponent(plan.gamma[j], j)));
                let (mut weight, mut term) = (0.0, 0.0);
                for j in (0..m).filter(|j| top.is_finite() && plan.gamma[*j].is_finite()) {
                    let e = (exponent(plan.gamma[j], j) - top).exp();
                    weight += e;
                    term += e * (of_w(j) - beta[j]);
                }
                alpha[i] = if weight > 0.0 { term / weight } else { 0.0 };
            }
        }
    }
    for (j, weight) in weights.iter().enumerate().filter(|(j, _)| !plan.gamma[*j].is_finite()) {
        beta[j] = if *weight > 0.0 { terms[j] / weight } else { 0.0 };
    }
    Ok(())
}

/// Derivatives with respect to the points: of each x, an axis at a time within a part, and of y.
struct Moved {
    parts: Vec<MovedPart>,
}

struct MovedPart {
    first: usize,
    count: usize,
    x: Vec<f64>,
    y: Vec<f64>,
    room: Vec<f64>,
    p: Vec<f64>,
    gathered: Vec<f64>,
}

impl Moved {
    fn new(points: &Points) -> Result<Self> {
        let (d, n, m) = (points.x.len(), points.x[0].len(), points.y[0].len());
        let share = n.div_ceil(PARTS).max(1);
        let zeros = |a: usize, b: usize| memory::filled(memory::product(a, b, WHAT)?, 0.0, WHAT);
        let mut parts = memory::with_capacity(PARTS, WHAT)?;
        for first in (0..n).step_by(share) {
            let count = share.min(n - first);
            parts.push(MovedPart {
                first,
                count,
                x: zeros(d, count)?,
                y: zeros(d, m)?,
                room: zeros(1, m)?,
                p: zeros(1, m)?,
                gathered: zeros(1, m)?,
            });
        }
        Ok(Moved { parts })
    }

    /// Adds sum_ij E_ij dc(x_i, y_j), where `change(i, room, row)` makes row i of E from that of the plan.
    fn add(&mut self, points: &Points, plan: &Plan, pool: &Pool, change: impl Fn(usize, &mut [f64], &mut [f64]) + Sync) -> Result<()> {
        let (phi, gamma, scale) = (&plan.phi, &plan.gamma, plan.scale);
        plan.solved.geometry.for_parts(pool, &mut self.parts, |rows, part| {
            let MovedPart { first, count, x, y, room, p, gathered } = part;
            for r in 0..*count {
                let i = *first + r;
                if !phi[i].is_finite() {
                    continue;
                }
                let costs = rows.row(i, room)?;
                plan_row(costs, phi[i], gamma, scale, p);
                change(i, gathered, p);
                points.chain(costs, p);
                for k in 0..points.x.len() {
                    x[k * *count + r] = points.axis(k, i, p, &mut y[k * gamma.len()..][..gamma.len()]);
                }
            }
            Ok(())
        })
    }

    fn write(&self, points: &Points, x: Option<PanelMut<f64>>, y: Option<PanelMut<f64>>) {
        if let Some(mut x) = x {
            for part in &self.parts {
                for r in 0..part.count {
                    for (k, v) in x.col(part.first + r).iter_mut().enumerate() {
                        *v = points.stretch[k] * part.x[k * part.count + r];
                    }
                }
            }
        }
        if let Some(mut y) = y {
            let m = points.y[0].len();
            for j in 0..m {
                for (k, v) in y.col(j).iter_mut().enumerate() {
                    *v = points.stretch[k] * self.parts.iter().map(|part| part.y[k * m + j]).sum::<f64>();
                }
            }
        }
    }
}

impl Points {
    /// e_j <- e_j q S^(q/p - 1), for costs S^(q/p): what multiplies |d|^(p - 1) sign d along each axis. None at distance zero.
    fn chain(&self, costs: &[f64], e: &mut [f64]) {
        let (norm, power) = (self.distance.norm, self.distance.power);
        if power == norm {
            return e.iter_mut().for_each(|e| *e *= power);
        }
        let exponent = 1.0 - norm / power;
        e.iter_mut().zip(costs).for_each(|(e, c)| *e *= if *c > f64::MIN_POSITIVE { power * c.powf(exponent) } else { 0.0 });
    }

    /// sum_j e_j |d|^(p - 1) sign d with d = x_i - y_j along axis k, to the nearest image; each term is taken from y_j's sum.
    fn axis(&self, k: usize, i: usize, e: &[f64], y: &mut [f64]) -> f64 {
        let (x, period, p) = (self.x[k][i], self.period[k], self.distance.norm);
        let mut sum = 0.0;
        for ((to, at), e) in y.iter_mut().zip(&self.y[k]).zip(e) {
            let d = x - at;
            let d = if period.is_finite() { d - period * (d / period).round() } else { d };
            let slope = if p == 2.0 {
                d
            } else if d == 0.0 {
                0.0
            } else if p == 1.0 {
                d.signum()
            } else {
                d.abs().powf(p - 1.0).copysign(d)
            };
            sum += e * slope;
            *to -= e * slope;
        }
        sum
    }
}

/// Cotangents of potentials that are defined up to a constant have one sum, but for rounding. Those of points without mass do not
/// count.
fn balanced(solved: &Solved, wf: &[f64], wg: &[f64]) -> Result<()> {
    let sums = |w: &[f64], potential: &[f64]| {
        let terms = w.iter().zip(potential).filter(|(_, v)| v.is_finite()).map(|(w, _)| w);
        terms.fold((0.0, 0.0), |(sum, size), w| (sum + w, size + w.abs()))
    };
    let ((f, of_f), (g, of_g)) = (sums(wf, &solved.f), sums(wg, &solved.g));
    if (f - g).abs() <= 1e-8 * (of_f + of_g) {
        return Ok(());
    }
    Err(Error::argument("wg", format!("of sum {g}"), format!("have the sum of wf, {f}: a constant may move between f and g")))
}

/// How a solve for derivatives ended.
pub fn outcome(stop: Option<Stop>) -> Outcome {
    stop.map_or(Outcome::Converged, Outcome::Stopped)
}
