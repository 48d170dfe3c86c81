//! Systems with the Laplacian of a coupling, by which derivatives of transport are found.
//!
//! A coupling P (n x m, not negative) with sums r of its rows and c of its columns couples changes of both potentials:
//! [diag(r) P; P^T diag(c)] (alpha; beta) = (wr; wc), with the null vector (1; -1). Without alpha it is
//! S beta = wc - P^T (wr / r), S = diag(c) - P^T diag(1/r) P, and alpha = wr / r - P beta / r. S is applied as in
//! `newton`, sum_i P_ij (x_j - t_i) with t_i the mean of x over row i, which keeps small couplings. Here x and its mean are
//! both taken relative to x at the largest entry of the row, so that a coupling of 1e-100 beside one of 1 has all its digits.
//!
//! CG with the diagonal D as preconditioner, deflated (Saad, Yeung, Erhel and Guyomarc'h 2000): vectors are kept, orthonormal with
//! respect to S; a new system starts from its projection on them, and search directions stay orthogonal to them. After each solve
//! these are the Ritz vectors of the slowest modes of D^-1 S in what was kept and in the last search directions, and the
//! solution itself.

use super::geometry::{Geometry, PARTS};
use crate::linalg::simd::exp::exp_row;
use crate::linalg::small::Pencil;
use crate::runtime::{memory, Context, Error, Pool, Result, Stop};

/// Ritz vectors kept, and search directions that they are looked for in.
const RITZ: usize = 10;
const WINDOW: usize = 14;
/// Entries below are none: exponentials are clamped there.
const TINY: f64 = 1e-300;
/// Entries below this share of the sums of their row and of their column couple nothing: what hangs on them alone is left where it
/// is, and not sent to infinity.
const FLOOR: f64 = 1e-60;
/// Share of the entries of a matrix that may be listed, and how many of other geometries.
const MOST_LISTED: f64 = 0.1;
const ROOM: f64 = 2e6;
/// What is kept has u^T diag(c) u up to this: in larger ones rounding hides S u.
const LARGEST: f64 = 1e8;
/// Rounds of CG from a residual formed anew, and steps of one without a smaller residual after which it ends.
const ROUNDS: usize = 4;
const PATIENCE: usize = 300;

const WHAT: &str = "derivatives of transport";

/// Where the rows of a coupling come from.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// exp(phi_i + gamma_j - scale C_ij).
    Plan { geometry: &'a Geometry, phi: &'a [f64], gamma: &'a [f64], scale: f64 },
    /// Given, from an array that lies as [`Strided`] says.
    Matrix(Strided<'a>),
}

/// A matrix with entry (i, j) at `i * row + j * column`.
#[derive(Clone, Copy)]
pub struct Strided<'a> {
    pub data: &'a [f64],
    pub row: usize,
    pub column: usize,
}

impl<'a> Strided<'a> {
    /// Row i, of m numbers: lent where they lie side by side, else gathered into `room`.
    pub fn row<'b>(&self, i: usize, m: usize, room: &'b mut [f64]) -> &'b [f64]
    where
        'a: 'b,
    {
        if self.column == 1 {
            return &self.data[i * self.row..][..m];
        }
        room.iter_mut().enumerate().for_each(|(j, v)| *v = self.data[i * self.row + j * self.column]);
        room
    }
}

/// Entries by rows.
#[derive(Default)]
struct List {
    is_given_up: bool,
    ptr: Vec<usize>,
    idx: Vec<u32>,
    p: Vec<f64>,
}

/// Rows of one part, with what it adds up.
pub struct Part {
    first: usize,
    /// A number a row, which a pass leaves.
    pub rows: Vec<f64>,
    peaks: Vec<u32>,
    /// Sums over the rows of the part.
    pub columns: Vec<f64>,
    /// For a row of another matrix.
    pub gathered: Vec<f64>,
    room: Vec<f64>,
    e: Vec<f64>,
    list: List,
    failure: Option<Error>,
}

/// A vector u with S u, u^T S u = 1.
struct Kept {
    u: Vec<f64>,
    su: Vec<f64>,
}

/// What a system came to.
pub struct Solution {
    pub beta: Vec<f64>,
    /// Means of beta over the rows of P, less beta at the peak of the row.
    pub means: Vec<f64>,
    pub products: usize,
    /// Norm of the residual, formed anew, over that of the right-hand side, both scaled by the sums of columns.
    pub residual: f64,
    /// Why it ended before the tolerance.
    pub stop: Option<Stop>,
}

/// The Laplacian of one coupling, and what solving with it has taught.
pub struct Laplacian {
    pub rows: Vec<f64>,
    pub columns: Vec<f64>,
    /// Where rows are largest.
    pub peaks: Vec<u32>,
    diagonal: Vec<f64>,
    parts: Vec<Part>,
    is_listed: bool,
    kept: Vec<Kept>,
    /// The last search directions.
    window: Vec<Kept>,
}

/// `body(i, r, row i of P, part)` with r the place of the row in its part.
fn each_row(source: Source, pool: &Pool, parts: &mut [Part], body: impl Fn(usize, usize, &[f64], &mut Part) + Sync) -> Result<()> {
    match source {
        Source::Plan { geometry, phi, gamma, scale } => geometry.for_parts(pool, parts, |rows, part| {
            let (mut room, mut e) = (std::mem::take(&mut part.room), std::mem::take(&mut part.e));
            let of_part = part.first..part.first + part.rows.len();
            let done = of_part.enumerate().filter(|(_, i)| phi[*i] != f64::NEG_INFINITY).try_for_each(|(r, i)| {
                plan_row(rows.row(i, &mut room)?, phi[i], gamma, scale, &mut e);
                body(i, r, &e, part);
                Ok(())
            });
            (part.room, part.e) = (room, e);
            done
        })?,
        Source::Matrix(matrix) => {
            let work = parts.iter().map(|part| part.rows.len() * part.columns.len()).sum();
            pool.chunks(work, parts, 1, |_, parts| {
                let part = &mut parts[0];
                let mut room = std::mem::take(&mut part.room);
                for r in 0..part.rows.len() {
                    let i = part.first + r;
                    let m = part.columns.len();
                    body(i, r, matrix.row(i, m, &mut room), part);
                }
                part.room = room;
            });
        }
    }
    parts.iter_mut().find_map(|part| part.failure.take()).map_or(Ok(()), Err)
}

/// A row of the plan; what only the clamping of exponentials makes positive is zero.
pub fn plan_row(costs: &[f64], phi: f64, gamma: &[f64], scale: f64, p: &mut [f64]) {
    exp_row(costs, gamma, scale, phi, p);
    p.iter_mut().for_each(|p| *p = if *p < TINY { 0.0 } else { *p });
}

/// Whether an entry of a row and a column of these sums couples anything.
fn counts(p: f64, row: f64, column: f64) -> bool {
    p > FLOOR * row.min(column)
}

/// The mean of x over the row p of sum `sum`, less x at the peak of the row.
pub fn mean(p: &[f64], sum: f64, x: &[f64], peak: u32) -> f64 {
    let at = x[peak as usize];
    if sum > 0.0 { lanes(p, x, |p, x| p * (x - at)) / sum } else { 0.0 }
}

/// The sum of `term(p_j, x_j)`, in eight lanes.
pub fn lanes(p: &[f64], x: &[f64], term: impl Fn(f64, f64) -> f64) -> f64 {
    let (mut p, mut x) = (p.chunks_exact(8), x.chunks_exact(8));
    let mut sums = [0.0; 8];
    pulp::Arch::new().dispatch(|| {
        for (p, x) in p.by_ref().zip(x.by_ref()) {
            sums.iter_mut().zip(p).zip(x).for_each(|((sum, p), x)| *sum += term(*p, *x));
        }
    });
    let rest: f64 = p.remainder().iter().zip(x.remainder()).map(|(p, x)| term(*p, *x)).sum();
    sums.iter().sum::<f64>() + rest
}

pub fn dot(p: &[f64], x: &[f64]) -> f64 {
    lanes(p, x, |p, x| p * x)
}

fn axpy(a: f64, x: &[f64], y: &mut [f64]) {
    pulp::Arch::new().dispatch(|| y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x));
}

/// q_j + p_j (x_j - at - mean).
fn add_differences(p: &[f64], x: &[f64], at: f64, mean: f64, q: &mut [f64]) {
    pulp::Arch::new().dispatch(|| q.iter_mut().zip(p).zip(x).for_each(|((q, p), x)| *q += p * ((x - at) - mean)));
}

impl Laplacian {
    pub fn new(source: Source, pool: &Pool, n: usize, m: usize) -> Result<Self> {
        let zeros = |n: usize| memory::filled(n, 0.0, WHAT);
        let share = n.div_ceil(PARTS).max(1);
        let mut parts = memory::with_capacity(PARTS, WHAT)?;
        for first in (0..n).step_by(share) {
            parts.push(Part {
                first,
                rows: zeros(share.min(n - first))?,
                peaks: memory::filled(share.min(n - first), 0, WHAT)?,
                columns: zeros(m)?,
                gathered: zeros(m)?,
                room: zeros(m)?,
                e: zeros(m)?,
                list: List::default(),
                failure: None,
            });
        }
        let mut new = Laplacian {
            rows: zeros(n)?,
            columns: zeros(m)?,
            peaks: memory::filled(n, 0, WHAT)?,
            diagonal: zeros(m)?,
            parts,
            is_listed: false,
            kept: memory::with_capacity(RITZ + 1, WHAT)?,
            window: memory::with_capacity(WINDOW, WHAT)?,
        };
        new.pass(source, pool, |_, r, p, part| {
            part.rows[r] = lanes(p, p, |p, _| p);
            part.peaks[r] = (0..p.len()).fold(0, |peak, j| if p[j] > p[peak] { j } else { peak }) as u32;
            part.columns.iter_mut().zip(p).for_each(|(c, p)| *c += p);
        })?;
        let mut sums = zeros(n)?;
        new.take_rows(&mut sums);
        new.rows = sums;
        for part in &mut new.parts {
            new.peaks[part.first..][..part.peaks.len()].copy_from_slice(&part.peaks);
            part.peaks = Vec::new();
        }
        let mut sums = zeros(m)?;
        new.take_columns(&mut sums);
        new.columns = sums;
        new.second_pass(source, pool, n)?;
        Ok(new)
    }

    /// The diagonal, and a list of the entries where they are few.
    fn second_pass(&mut self, source: Source, pool: &Pool, n: usize) -> Result<()> {
        let m = self.columns.len();
        let (rows, columns, peaks) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.columns), std::mem::take(&mut self.peaks));
        let is_plan = matches!(source, Source::Plan { .. });
        let is_stored = matches!(source, Source::Plan { geometry, .. } if geometry.rows().lends());
                let most = if is_stored { ROOM.max(MOST_LISTED * n as f64 * m as f64) } else { ROOM.max(8.0 * (n + m) as f64) } / n as f64;
        for part in &mut self.parts {
            part.list.ptr = memory::filled(part.rows.len() + 1, 0, WHAT)?;
        }
        let passed = self.pass(source, pool, |i, r, p, part| {
            let sum = rows[i];
            if sum > 0.0 {
                let (peak, mut others) = (peaks[i] as usize, 0.0);
                for (j, ((d, p), c)) in part.columns.iter_mut().zip(p).zip(&columns).enumerate() {
                    if j != peak && counts(*p, sum, *c) {
                        *d += p * ((sum - p) / sum);
                        others += p;
                    }
                }
                part.columns[peak] += p[peak] * (others / sum);
            }
            if is_plan && !part.list.is_given_up {
                if let Err(e) = part.list.take(r, p, sum, &columns, most * part.rows.len() as f64) {
                    part.failure = Some(e);
                }
            }
        });
        (self.rows, self.columns, self.peaks) = (rows, columns, peaks);
        passed?;
        let mut diagonal = std::mem::take(&mut self.diagonal);
        self.take_columns(&mut diagonal);
        self.diagonal = diagonal;
        self.is_listed = is_plan && !self.parts.iter().any(|part| part.list.is_given_up);
        for part in &mut self.parts {
            if self.is_listed {
                part.list.close();
            } else {
                part.list = List::default();
            }
        }
        Ok(())
    }

    /// A pass over the rows, with sums of columns that start at zero.
    pub fn pass(&mut self, source: Source, pool: &Pool, body: impl Fn(usize, usize, &[f64], &mut Part) + Sync) -> Result<()> {
        for part in &mut self.parts {
            part.columns.fill(0.0);
            part.rows.fill(0.0);
        }
        each_row(source, pool, &mut self.parts, body)
    }

    /// What the last pass left of the rows.
    pub fn take_rows(&self, out: &mut [f64]) {
        for part in &self.parts {
            out[part.first..][..part.rows.len()].copy_from_slice(&part.rows);
        }
    }

    /// What the last pass added up of the columns.
    pub fn take_columns(&self, out: &mut [f64]) {
        out.fill(0.0);
        self.parts.iter().for_each(|part| axpy(1.0, &part.columns, out));
    }

    /// out <- P^T t.
    pub fn adjoint(&mut self, source: Source, pool: &Pool, t: &[f64], out: &mut [f64]) -> Result<()> {
        self.pass(source, pool, |i, _, p, part| axpy(t[i], p, &mut part.columns))?;
        self.take_columns(out);
        Ok(())
    }

    /// out <- S x; the parts keep the means of x over the rows, less x at their peaks.
    fn product(&mut self, source: Source, pool: &Pool, x: &[f64], out: &mut [f64]) -> Result<()> {
        let (rows, peaks) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.peaks));
        let done = if self.is_listed {
            let work = self.parts.iter().map(|part| part.list.p.len()).sum();
            pool.chunks(work, &mut self.parts, 1, |_, parts| parts[0].listed_product(&rows, &peaks, x));
            Ok(())
        } else {
            self.pass(source, pool, |i, r, p, part| {
                let (mean, at) = (mean(p, rows[i], x, peaks[i]), x[peaks[i] as usize]);
                part.rows[r] = mean;
                add_differences(p, x, at, mean, &mut part.columns);
            })
        };
        (self.rows, self.peaks) = (rows, peaks);
        done?;
        self.take_columns(out);
        Ok(())
    }

    /// Finds beta with S beta = b, b a right-hand side that sums to zero but for rounding.
    pub fn solve(&mut self, source: Source, context: &Context, mut b: Vec<f64>, tolerance: f64) -> Result<Solution> {
        let (n, m) = (self.rows.len(), self.columns.len());
        let zeros = |n: usize| memory::filled(n, 0.0, WHAT);
        b.iter_mut().zip(&self.columns).filter(|(_, c)| **c == 0.0).for_each(|(b, _)| *b = 0.0);
        let excess = b.iter().sum::<f64>() / self.columns.iter().sum::<f64>();
        axpy(-excess, &self.columns, &mut b);
        // In a unit of its own: squares of small couplings underflow.
        let unit = b.iter().fold(0.0, |most: f64, b| most.max(b.abs()));
        if unit > 0.0 {
            b.iter_mut().for_each(|b| *b /= unit);
        }
        let mut solution = Solution { beta: zeros(m)?, means: zeros(n)?, products: 0, residual: 0.0, stop: None };
        let norm = self.norm(&b);
        if norm == 0.0 {
            return Ok(solution);
        }
        let goal = tolerance * norm;
        let mut r = memory::copied(&b, WHAT)?;
        let (mut z, mut p, mut q) = (zeros(m)?, zeros(m)?, zeros(m)?);
        for kept in &self.kept {
            let share = dot(&kept.u, &r);
            axpy(share, &kept.u, &mut solution.beta);
            axpy(-share, &kept.su, &mut r);
        }
        let mut before = f64::INFINITY;
        for _ in 0..ROUNDS {
            self.conjugate_gradients(source, context, &mut solution, &mut r, goal, [&mut z, &mut p, &mut q])?;
            self.product(source, &context.pool, &solution.beta, &mut q)?;
            solution.products += 1;
            r.iter_mut().zip(&b).zip(&q).for_each(|((r, b), q)| *r = b - q);
            let now = self.norm(&r);
            solution.residual = now / norm;
            if now <= 2.0 * goal || solution.stop.is_some() || !(now < 0.5 * before) {
                break;
            }
            before = now;
        }
        self.take_rows(&mut solution.means);
        if !(solution.residual <= 1.0) {
            // Rounding has taken over: nothing found is better than that.
            solution.beta.fill(0.0);
            solution.means.fill(0.0);
            (solution.residual, solution.stop) = (1.0, solution.stop.or(Some(Stop::Stagnation)));
            self.kept.clear();
            self.window.clear();
            return Ok(solution);
        }
        if solution.stop.is_none() && !(solution.residual <= 2.0 * tolerance) {
            solution.stop = Some(Stop::Stagnation);
        }
        self.compress()?;
        self.keep(&solution.beta, &q)?;
        solution.beta.iter_mut().chain(&mut solution.means).for_each(|v| *v *= unit);
        Ok(solution)
    }

    /// Brings the residual r down to `goal`, or as far as it goes.
    fn conjugate_gradients(
        &mut self,
        source: Source,
        context: &Context,
        solution: &mut Solution,
        r: &mut [f64],
        goal: f64,
        [z, p, q]: [&mut Vec<f64>; 3],
    ) -> Result<()> {
        let most = 4 * r.len() + 100;
        let (mut rho, mut least, mut since) = (0.0, f64::INFINITY, 0);
        for step in 0..most {
            for ((z, r), d) in z.iter_mut().zip(&*r).zip(&self.diagonal) {
                *z = if *d > 0.0 { r / d } else { 0.0 };
            }
            let next = dot(r, z);
            let norm = self.norm(r);
            (least, since) = if norm < least { (norm, 0) } else { (least, since + 1) };
            if !(norm > goal) || since == PATIENCE {
                return Ok(());
            }
            if context.interrupted() {
                context.clear_interrupt();
                solution.stop = Some(Stop::Interrupt);
                return Ok(());
            }
            for kept in &self.kept {
                let share = dot(&kept.su, z);
                axpy(-share, &kept.u, z);
            }
            let beta = if step == 0 { 0.0 } else { next / rho };
            rho = next;
            p.iter_mut().zip(&*z).for_each(|(p, z)| *p = z + beta * *p);
            self.product(source, &context.pool, p, q)?;
            solution.products += 1;
            let curvature = dot(p, q);
            if !(curvature > 0.0) {
                return Ok(());
            }
            axpy(rho / curvature, p, &mut solution.beta);
            axpy(-rho / curvature, q, r);
            self.remember(p, q, curvature)?;
        }
        Ok(())
    }

    /// The norm of a residual, scaled by the sums of columns. Scaled by the diagonal it would be that of the most loosely coupled
    /// columns alone.
    fn norm(&self, r: &[f64]) -> f64 {
        r.iter().zip(&self.columns).map(|(r, c)| if *r == 0.0 { 0.0 } else { r * r / c }).sum::<f64>().sqrt()
    }

    /// u^T diag(c) u.
    fn size(&self, u: &[f64]) -> f64 {
        u.iter().zip(&self.columns).map(|(u, c)| c * u * u).sum()
    }

    /// Takes a search direction into the window, in the place of the oldest where that is full.
    fn remember(&mut self, p: &[f64], q: &[f64], curvature: f64) -> Result<()> {
        let scale = 1.0 / curvature.sqrt();
        let mut room = if self.window.len() == WINDOW {
            self.window.remove(0)
        } else {
            Kept { u: memory::filled(p.len(), 0.0, WHAT)?, su: memory::filled(p.len(), 0.0, WHAT)? }
        };
        room.u.iter_mut().zip(p).for_each(|(u, p)| *u = scale * p);
        room.su.iter_mut().zip(q).for_each(|(su, q)| *su = scale * q);
        self.window.push(room);
        Ok(())
    }

    /// Puts Ritz vectors of the slowest modes in the place of all that is kept and of the window.
    fn compress(&mut self) -> Result<()> {
        if self.window.is_empty() {
            return Ok(());
        }
        let all = self.kept.len() + self.window.len();
        let square = || memory::filled(all * all, 0.0, WHAT);
        let (mut q, mut f, mut y) = (square()?, square()?, square()?);
        let m = self.columns.len();
        let vectors = || self.kept.iter().chain(&self.window);
        let mut scaled = memory::filled(m, 0.0, WHAT)?;
        for (j, v) in vectors().enumerate() {
            scaled.iter_mut().zip(&v.u).zip(&self.diagonal).for_each(|((s, u), d)| *s = d * u);
            for (i, other) in vectors().enumerate().take(j + 1) {
                (q[j * all + i], f[j * all + i]) = (dot(&other.u, &v.su), dot(&other.u, &scaled));
                (q[i * all + j], f[i * all + j]) = (q[j * all + i], f[j * all + i]);
            }
        }
        let found = Pencil::new(all)?.largest(&q, &f, all, all, RITZ, &mut y);
        let mut ritz = memory::with_capacity(RITZ + 1, WHAT)?;
        for y in y.chunks_exact(all).take(found) {
            let mut new = Kept { u: memory::filled(m, 0.0, WHAT)?, su: memory::filled(m, 0.0, WHAT)? };
            for (y, v) in y.iter().zip(vectors()) {
                axpy(*y, &v.u, &mut new.u);
                axpy(*y, &v.su, &mut new.su);
            }
            if self.size(&new.u) <= LARGEST {
                ritz.push(new);
            }
        }
        self.kept = ritz;
        self.window.clear();
        Ok(())
    }

    /// Keeps what x has beyond the vectors that are kept, given S x.
    fn keep(&mut self, x: &[f64], sx: &[f64]) -> Result<()> {
        let whole = dot(x, sx);
        let (mut u, mut su) = (memory::copied(x, WHAT)?, memory::copied(sx, WHAT)?);
        for kept in &self.kept {
            let share = dot(&kept.su, &u);
            axpy(-share, &kept.u, &mut u);
            axpy(-share, &kept.su, &mut su);
        }
        let square = dot(&u, &su);
        // Less than that is made of rounding.
        let scale = 1.0 / square.sqrt();
        if square > 1e-12 * whole && scale * scale * self.size(&u) <= LARGEST {
            u.iter_mut().chain(&mut su).for_each(|v| *v *= scale);
            self.kept.push(Kept { u, su });
        }
        Ok(())
    }
}

impl List {
    /// Takes the entries of row r that count; beyond `most` the list is given up.
    fn take(&mut self, r: usize, p: &[f64], sum: f64, columns: &[f64], most: f64) -> Result<()> {
        let extra = p.len().max(self.idx.len());
        if self.idx.capacity() - self.idx.len() < p.len() {
            memory::reserve(&mut self.idx, extra, WHAT)?;
        }
        if self.p.capacity() - self.p.len() < p.len() {
            memory::reserve(&mut self.p, extra, WHAT)?;
        }
        for (j, (p, c)) in p.iter().zip(columns).enumerate() {
            if counts(*p, sum, *c) {
                self.idx.push(j as u32);
                self.p.push(*p);
            }
        }
        self.ptr[r + 1] = self.idx.len();
        if self.idx.len() as f64 > most {
            *self = List { is_given_up: true, ..List::default() };
        }
        Ok(())
    }

    /// Rows that were passed over are empty.
    fn close(&mut self) {
        for r in 1..self.ptr.len() {
            self.ptr[r] = self.ptr[r].max(self.ptr[r - 1]);
        }
    }
}

impl Part {
    fn listed_product(&mut self, rows: &[f64], peaks: &[u32], x: &[f64]) {
        let Part { first, rows: means, columns, list, .. } = self;
        columns.fill(0.0);
        for (r, mean) in means.iter_mut().enumerate() {
            let range = list.ptr[r]..list.ptr[r + 1];
            let (idx, p) = (&list.idx[range.clone()], &list.p[range]);
            if idx.is_empty() {
                *mean = 0.0;
                continue;
            }
            let at = x[peaks[*first + r] as usize];
            *mean = idx.iter().zip(p).map(|(j, p)| p * (x[*j as usize] - at)).sum::<f64>() / rows[*first + r];
            idx.iter().zip(p).for_each(|(j, p)| columns[*j as usize] += p * ((x[*j as usize] - at) - *mean));
        }
    }
}
