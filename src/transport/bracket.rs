//! What a blurred plan says about transport without blur: a feasible plan near it, and bounds of the exact cost.
//!
//! Above: the plan rounded to the marginals, diag(x) P diag(y) + u v^T / |u|_1 (Altschuler, Weed and Rigollet 2017, arXiv
//! 1705.09634, algorithm 2). Below: potentials made feasible by two c-transforms, f_i = min_j (C_ij - g_j) and then
//! g_j = min_i (C_ij - f_i). Each row of C is visited twice, once for both potentials, scales and sums, once for the cost.

use super::geometry::{Geometry, Rows, PARTS};
use crate::linalg::simd::exp::exp_row;
use crate::runtime::{memory, Pool, Result};

/// P_ij = exp((f_i + g_j - C_ij) / epsilon) for marginals a and b, by the geometry's rows.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    pub geometry: &'a Geometry,
    pub pool: &'a Pool,
    pub epsilon: f64,
    pub f: &'a [f64],
    pub g: &'a [f64],
    pub a: &'a [f64],
    pub b: &'a [f64],
}

/// diag(x) P diag(y) + u v^T has the marginals exactly.
pub struct Rounded {
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    pub u: Vec<f64>,
    pub v: Vec<f64>,
    /// Its cost: no less than the exact one.
    pub upper: f64,
    /// The value of feasible potentials: no more than the exact cost.
    pub lower: f64,
    /// Their value for the sums that the columns have instead of b: what the plan costs above it is the blur alone.
    pub own: f64,
}

struct Part {
    first: usize,
    x: Vec<f64>,
    u: Vec<f64>,
    columns: Vec<f64>,
    lowest: Vec<f64>,
    sum: f64,
    room: Vec<f64>,
    e: Vec<f64>,
}

pub fn round(plan: Plan) -> Result<Rounded> {
    const WHAT: &str = "a rounded plan";
    let Plan { geometry, pool, b, .. } = plan;
    let (n, m) = (geometry.n, geometry.m);
    let gamma = scaled(plan.g, plan.epsilon)?;
    let rows = n.div_ceil(PARTS).max(1);
    let room = if geometry.rows().lends() { 0 } else { m };
    let mut parts = (0..n.div_ceil(rows))
        .map(|k| {
            let first = k * rows;
            let len = rows.min(n - first);
            Ok(Part {
                first,
                x: memory::filled(len, 0.0, WHAT)?,
                u: memory::filled(len, 0.0, WHAT)?,
                columns: memory::filled(m, 0.0, WHAT)?,
                lowest: memory::filled(m, f64::INFINITY, WHAT)?,
                sum: 0.0,
                room: memory::filled(room, 0.0, WHAT)?,
                e: memory::filled(m, 0.0, WHAT)?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let state = State { epsilon: plan.epsilon, f: plan.f, g: plan.g, gamma: &gamma, a: plan.a };
    geometry.for_parts(pool, &mut parts, |rows, part| part.scales(state, rows))?;

    let (mut y, mut v) = (memory::filled(m, 0.0, WHAT)?, memory::filled(m, 0.0, WHAT)?);
    let of_rows: f64 = parts.iter().map(|part| part.sum).sum();
    let (mut lower, mut own) = (of_rows, of_rows);
    for j in 0..m {
        let column: f64 = parts.iter().map(|part| part.columns[j]).sum();
        y[j] = if column > b[j] { b[j] / column } else { 1.0 };
        v[j] = (b[j] - y[j] * column).max(0.0);
        if b[j] > 0.0 {
            let lowest = parts.iter().map(|part| part.lowest[j]).fold(f64::INFINITY, f64::min);
            lower += b[j] * lowest;
            own += column * lowest;
        }
    }
    let lacking: f64 = v.iter().sum();
    if lacking > 0.0 {
        v.iter_mut().for_each(|v| *v /= lacking);
    }
    geometry.for_parts(pool, &mut parts, |rows, part| part.costs(state, &y, &v, rows))?;
    let upper = parts.iter().map(|part| part.sum).sum();
    let joined = |of: fn(&Part) -> &[f64]| -> Result<Vec<f64>> {
        let mut all = memory::filled(n, 0.0, WHAT)?;
        parts.iter().for_each(|part| all[part.first..][..of(part).len()].copy_from_slice(of(part)));
        Ok(all)
    };
    Ok(Rounded { x: joined(|part| &part.x)?, u: joined(|part| &part.u)?, y, v, upper, lower, own })
}

/// What rows are made of.
#[derive(Clone, Copy)]
struct State<'a> {
    epsilon: f64,
    f: &'a [f64],
    g: &'a [f64],
    gamma: &'a [f64],
    a: &'a [f64],
}

fn scaled(g: &[f64], epsilon: f64) -> Result<Vec<f64>> {
    let mut gamma = memory::copied(g, "potentials")?;
    gamma.iter_mut().for_each(|v| *v /= epsilon);
    Ok(gamma)
}

impl Part {
    /// Scales of the rows, sums of the columns so scaled, and both c-transforms.
    fn scales(&mut self, state: State, rows: &dyn Rows) -> Result<()> {
        let State { epsilon, f, g, gamma, a } = state;
        self.sum = 0.0;
        for r in 0..self.x.len() {
            let i = self.first + r;
            if a[i] == 0.0 {
                continue;
            }
            let row = rows.row(i, &mut self.room)?;
            let total = exp_row(row, gamma, 1.0 / epsilon, f[i] / epsilon, &mut self.e);
            let x = if total > a[i] { a[i] / total } else { 1.0 };
            self.x[r] = x;
            let least = row.iter().zip(g).fold(f64::INFINITY, |least, (c, g)| least.min(c - g));
            self.sum += a[i] * least;
            let to = self.columns.iter_mut().zip(&mut self.lowest);
            pulp::Arch::new().dispatch(|| {
                to.zip(row.iter().zip(&self.e)).for_each(|((column, lowest), (c, e))| {
                    *column += x * e;
                    let rest = c - least;
                    *lowest = if rest < *lowest { rest } else { *lowest };
                })
            });
        }
        Ok(())
    }

    /// What the rows lack once the columns are scaled too, and what the rounded plan costs.
    fn costs(&mut self, state: State, y: &[f64], v: &[f64], rows: &dyn Rows) -> Result<()> {
        let State { epsilon, f, gamma, a, .. } = state;
        self.sum = 0.0;
        for r in 0..self.x.len() {
            let i = self.first + r;
            if a[i] == 0.0 {
                continue;
            }
            let row = rows.row(i, &mut self.room)?;
            exp_row(row, gamma, 1.0 / epsilon, f[i] / epsilon, &mut self.e);
            let (mut sum, mut cost) = (0.0, 0.0);
            for ((e, y), c) in self.e.iter().zip(y).zip(row) {
                let p = e * y;
                sum += p;
                // A forbidden entry costs infinity and has no mass.
                cost += if c.is_finite() { p * c } else { 0.0 };
            }
            self.u[r] = (a[i] - self.x[r] * sum).max(0.0);
            self.sum += self.x[r] * cost;
            if self.u[r] > 0.0 {
                self.sum += self.u[r] * row.iter().zip(v).filter(|(_, v)| **v > 0.0).map(|(c, v)| c * v).sum::<f64>();
            }
        }
        Ok(())
    }
}
