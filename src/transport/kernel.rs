//! Products with exp(-scale C) in logarithms, by visits of the rows of C: [`log_sums`] of one vector, those of its
//! transpose, and [`Sweep`], which takes several plans through one visit of each row.
//!
//! Everything about the geometry that barycentres and batches need goes through here: a geometry that knows a faster
//! product than by rows joins in these functions.

use super::dual::add;
use super::geometry::{Geometry, Rows, PARTS};
use crate::linalg::simd::exp::exp_row;
use crate::runtime::{memory, Pool, Result};

/// Sums beyond these are taken again, with the largest entry as the unit.
const RANGE: (f64, f64) = (1e-100, 1e100);

const WHAT: &str = "passes over a cost";

/// What a part of the rows needs to be visited.
struct Part<'a> {
    first: usize,
    out: &'a mut [f64],
    room: Vec<f64>,
    e: Vec<f64>,
    columns: Vec<f64>,
}

/// `per_row` numbers of `out` for each row, `columns` numbers of a part's own.
fn parts<'a>(geometry: &Geometry, out: &'a mut [f64], per_row: usize, columns: usize) -> Result<Vec<Part<'a>>> {
    let rows = geometry.n.div_ceil(PARTS).max(1);
    let mut rest = out;
    let mut parts = memory::with_capacity(PARTS, WHAT)?;
    for first in (0..geometry.n).step_by(rows) {
        let (out, more) = rest.split_at_mut(rows.min(geometry.n - first) * per_row);
        rest = more;
        parts.push(Part {
            first,
            out,
            room: room(geometry)?,
            e: memory::filled(geometry.m, 0.0, WHAT)?,
            columns: memory::filled(columns, 0.0, WHAT)?,
        });
    }
    Ok(parts)
}

/// For one row at a time.
fn room(geometry: &Geometry) -> Result<Vec<f64>> {
    memory::filled(if geometry.rows().lends() { 0 } else { geometry.m }, 0.0, WHAT)
}

/// out_i = log sum_j exp(v_j - scale C_ij); -infinity where nothing is reached.
pub fn log_sums(geometry: &Geometry, pool: &Pool, scale: f64, v: &[f64], out: &mut [f64]) -> Result<()> {
    let mut parts = parts(geometry, out, 1, 0)?;
    geometry.for_parts(pool, &mut parts, |rows, part| {
        let Part { first, out, room, e, .. } = part;
        out.iter_mut().enumerate().try_for_each(|(r, out)| {
            *out = row_sum(rows.row(*first + r, room)?, v, scale, 0.0, e).0;
            Ok(())
        })
    })
}

/// out_j = log sum_i exp(u_i - scale C_ij), by two visits: for the largest entries, and for sums in their units.
pub fn log_sums_transposed(geometry: &Geometry, pool: &Pool, scale: f64, u: &[f64], out: &mut [f64]) -> Result<()> {
    let mut parts = parts(geometry, &mut [], 0, geometry.m)?;
    let (n, count) = (geometry.n, geometry.n.div_ceil(PARTS).max(1));
    let rows_of = |part: &Part| part.first..(part.first + count).min(n);
    parts.iter_mut().for_each(|part| part.columns.fill(f64::NEG_INFINITY));
    geometry.for_parts(pool, &mut parts, |rows, part| {
        let range = rows_of(part);
        let Part { room, columns, .. } = part;
        range.filter(|i| u[*i] > f64::NEG_INFINITY).try_for_each(|i| {
            let row = rows.row(i, room)?;
            columns.iter_mut().zip(row).for_each(|(t, c)| *t = t.max(u[i] - scale * c));
            Ok(())
        })
    })?;
    out.fill(f64::NEG_INFINITY);
    for part in &mut parts {
        out.iter_mut().zip(&part.columns).for_each(|(t, more)| *t = t.max(*more));
        part.columns.fill(0.0);
    }
    let mut units = memory::copied(out, WHAT)?;
    units.iter_mut().for_each(|t| *t = if t.is_finite() { -*t } else { f64::NEG_INFINITY });
    geometry.for_parts(pool, &mut parts, |rows, part| {
        let range = rows_of(part);
        let Part { room, e, columns, .. } = part;
        range.filter(|i| u[*i] > f64::NEG_INFINITY).try_for_each(|i| {
            exp_row(rows.row(i, room)?, &units, scale, u[i], e);
            add(e, 1.0, columns);
            Ok(())
        })
    })?;
    let mut sums = memory::filled(geometry.m, 0.0, WHAT)?;
    parts.iter().for_each(|part| sums.iter_mut().zip(&part.columns).for_each(|(sum, more)| *sum += more));
    out.iter_mut().zip(&sums).filter(|(t, _)| t.is_finite()).for_each(|(t, sum)| *t += sum.ln());
    Ok(())
}

/// log sum_j exp(v_j - scale c_j), and the shift with which e_j is exp(v_j - scale c_j + shift); `guess` is one that may do.
fn row_sum(row: &[f64], v: &[f64], scale: f64, guess: f64, e: &mut [f64]) -> (f64, f64) {
    let mut shift = if guess.is_finite() { guess } else { 0.0 };
    let mut total = exp_row(row, v, scale, shift, e);
    if !(total > RANGE.0 && total < RANGE.1) {
        let highest = row.iter().zip(v).fold(f64::NEG_INFINITY, |t, (c, v)| t.max(v - scale * c));
        if highest == f64::NEG_INFINITY {
            e.fill(0.0);
            return (highest, 0.0);
        }
        shift = -highest;
        total = exp_row(row, v, scale, shift, e);
    }
    (total.ln() - shift, shift)
}

/// out_ki = sum_j y_kj q_ij with q_ij = exp(v_j - scale C_ij) / sum_j exp(v_j - scale C_ij): where the rows go in the mean.
/// `y` has an axis a vector; `out` a column a row of C.
pub fn means(geometry: &Geometry, pool: &Pool, scale: f64, v: &[f64], y: &[Vec<f64>], out: &mut [f64]) -> Result<()> {
    let d = y.len();
    let mut parts = parts(geometry, out, d, 0)?;
    geometry.for_parts(pool, &mut parts, |rows, part| {
        let Part { first, out, room, e, .. } = part;
        out.chunks_mut(d).enumerate().try_for_each(|(r, out)| {
            row_sum(rows.row(*first + r, room)?, v, scale, 0.0, e);
            let total: f64 = e.iter().sum();
            out.iter_mut().zip(y).for_each(|(out, y)| *out = e.iter().zip(y).map(|(e, y)| e * y).sum::<f64>() / total);
            Ok(())
        })
    })
}

/// Whether C is its own transpose, to rounding: told by its products with a vector without pattern, in one visit.
pub fn is_symmetric(geometry: &Geometry) -> Result<bool> {
    let m = geometry.m;
    if geometry.n != m {
        return Ok(false);
    }
    let most = geometry.scale()?.max.abs().max(f64::MIN_POSITIVE);
    let x: Vec<f64> = (0..m).map(|j| 0.5 + ((j as f64 + 1.0) * 0.618_033_988_749_894_9).fract()).collect();
    let (mut apart, mut room) = (memory::filled(m, 0.0, WHAT)?, room(geometry)?);
    // A forbidden entry is one that no cost comes near.
    let finite = |c: f64| if c.is_finite() { c } else { 10.0 * most };
    for i in 0..m {
        let row = geometry.rows().row(i, &mut room)?;
        apart[i] += row.iter().zip(&x).map(|(c, x)| finite(*c) * x).sum::<f64>();
        apart.iter_mut().zip(row).for_each(|(v, c)| *v -= finite(*c) * x[i]);
    }
    Ok(apart.iter().all(|v| v.abs() <= 1e-12 * most * m as f64))
}

/// Plans P_l,ij = exp(phi_li + gamma_lj - scale C_ij), l below k, that are swept together: one visit of each row of C, one
/// exponential for each entry of each plan.
pub struct Sweep {
    k: usize,
    m: usize,
    /// k x m: plan after plan.
    pub gamma: Vec<f64>,
    /// k x m, sums of the columns at the last pass.
    pub columns: Vec<f64>,
    /// Plans that still take part.
    pub active: Vec<bool>,
    parts: Vec<SweepPart>,
}

struct SweepPart {
    first: usize,
    /// k numbers for each row: log sum_j exp(gamma_lj - scale C_ij), and phi_li.
    sums: Vec<f64>,
    phi: Vec<f64>,
    /// k shifts, and k x m exponentials and sums of columns.
    shifts: Vec<f64>,
    e: Vec<f64>,
    columns: Vec<f64>,
    room: Vec<f64>,
}

impl Sweep {
    pub fn new(geometry: &Geometry, k: usize) -> Result<Self> {
        const WHAT: &str = "several transport problems";
        let (n, m) = (geometry.n, geometry.m);
        let all = memory::product(k, m, WHAT)?;
        let rows = n.div_ceil(PARTS).max(1);
        let parts = (0..n)
            .step_by(rows)
            .map(|first| {
                let own = memory::product(k, rows.min(n - first), WHAT)?;
                Ok(SweepPart {
                    first,
                    sums: memory::filled(own, 0.0, WHAT)?,
                    phi: memory::filled(own, 0.0, WHAT)?,
                    shifts: memory::filled(k, 0.0, WHAT)?,
                    e: memory::filled(all, 0.0, WHAT)?,
                    columns: memory::filled(all, 0.0, WHAT)?,
                    room: room(geometry)?,
                        })
            })
            .collect::<Result<Vec<_>>>()?;
        let make = || memory::filled(all, 0.0, WHAT);
        Ok(Sweep { k, m, gamma: make()?, columns: make()?, active: memory::filled(k, true, WHAT)?, parts })
    }

    pub fn gamma(&mut self, l: usize) -> &mut [f64] {
        &mut self.gamma[l * self.m..][..self.m]
    }

    /// phi_l of all rows.
    pub fn phi(&self, l: usize) -> impl Iterator<Item = f64> + '_ {
        self.parts.iter().flat_map(move |part| part.phi.iter().skip(l).step_by(self.k).copied())
    }

    /// Logarithms of the sums of the rows of plan l.
    pub fn log_rows(&self, l: usize) -> impl Iterator<Item = f64> + '_ {
        let sums = self.parts.iter().flat_map(move |part| part.sums.iter().skip(l).step_by(self.k));
        self.phi(l).zip(sums).map(|(phi, sum)| phi + sum)
    }

    /// phi of each row i from the logarithms of its k sums, `set(i, sums, phi)`, and with them the sums of the columns. phi may
    /// be -infinity, for an empty row.
    pub fn pass(
        &mut self,
        geometry: &Geometry,
        pool: &Pool,
        scale: f64,
        set: impl Fn(usize, &[f64], &mut [f64]) + Sync,
    ) -> Result<()> {
        let (gamma, active) = (&self.gamma, &self.active);
        geometry.for_parts(pool, &mut self.parts, |rows, part| part.visit(rows, scale, gamma, active, &set))?;
        self.columns.fill(0.0);
        for part in &self.parts {
            self.columns.iter_mut().zip(&part.columns).for_each(|(c, more)| *c += more);
        }
        Ok(())
    }
}

impl SweepPart {
    fn visit(
        &mut self,
        rows: &dyn Rows,
        scale: f64,
        gamma: &[f64],
        active: &[bool],
        set: &impl Fn(usize, &[f64], &mut [f64]),
    ) -> Result<()> {
        let (k, m) = (active.len(), gamma.len() / active.len());
        self.columns.fill(0.0);
        let of_rows = self.sums.chunks_mut(k).zip(self.phi.chunks_mut(k)).enumerate();
        for (r, (sums, phi)) in of_rows {
            let row = rows.row(self.first + r, &mut self.room)?;
            for l in (0..k).filter(|l| active[*l]) {
                let e = &mut self.e[l * m..][..m];
                (sums[l], self.shifts[l]) = row_sum(row, &gamma[l * m..][..m], scale, -sums[l], e);
            }
            set(self.first + r, sums, phi);
            for l in (0..k).filter(|l| active[*l] && phi[*l] > f64::NEG_INFINITY) {
                add(&self.e[l * m..][..m], (phi[l] - self.shifts[l]).exp(), &mut self.columns[l * m..][..m]);
            }
        }
        Ok(())
    }
}
