//! What transport costs. A [`Geometry`] is a cost C, n x m, that is asked for row by row: a matrix lends its rows, points
//! and grids compute them, so that nothing of size n m is stored.

use crate::linalg::Panel;
use crate::runtime::{memory, Error, Pool, Result};
use std::sync::{Arc, Mutex, OnceLock};

/// Parts that rows are dealt out to, whatever the threads.
pub const PARTS: usize = 8;

/// Rows of a cost.
pub trait Rows {
    /// Row i: lent, or written into `room` (m numbers).
    fn row<'a>(&'a self, i: usize, room: &'a mut [f64]) -> Result<&'a [f64]>;

    /// Numbers that are lent and not computed: such rows need no room.
    fn lends(&self) -> bool {
        false
    }

    /// The clouds, if these are distances between points.
    fn points(&self) -> Option<&Points> {
        None
    }

    /// The grid, if it is one: sums over its plan are taken axis by axis.
    fn grid(&self) -> Option<&Grid> {
        None
    }
}

/// Where rows come from.
pub enum Costs {
    /// Of plain data: any thread may ask.
    Plain(Box<dyn Rows + Send + Sync>),
    /// Of the host: asked on the thread that called.
    Host(Box<dyn Rows>),
    /// Entries of a pattern; all others are forbidden.
    Sparse(Sparse),
}

pub struct Geometry {
    pub n: usize,
    pub m: usize,
    pub costs: Costs,
    /// The rows are those of C^T: marginals and potentials change places.
    pub is_transposed: bool,
    scale: OnceLock<Scale>,
}

/// Of the entries of C that are allowed.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub max: f64,
    pub min: f64,
    pub mean: f64,
}

impl Geometry {
    /// n, m: the shape of the rows as they are kept.
    pub fn new(n: usize, m: usize, costs: Costs, is_transposed: bool) -> Self {
        Geometry { n, m, costs, is_transposed, scale: OnceLock::new() }
    }

    /// Rows of the user's C, and columns.
    pub fn shape(&self) -> (usize, usize) {
        if self.is_transposed { (self.m, self.n) } else { (self.n, self.m) }
    }

    pub fn rows(&self) -> &dyn Rows {
        match &self.costs {
            Costs::Plain(rows) => &**rows,
            Costs::Host(rows) => &**rows,
            Costs::Sparse(rows) => rows,
        }
    }

    pub fn grid(&self) -> Option<&Grid> {
        match &self.costs {
            Costs::Plain(rows) => rows.grid(),
            _ => None,
        }
    }

    /// `body(rows, part)` for each part, on the pool's threads where rows are plain data. The error is that of the first part
    /// that has one.
    pub fn for_parts<P: Send>(&self, pool: &Pool, parts: &mut [P], body: impl Fn(&dyn Rows, &mut P) -> Result<()> + Sync) -> Result<()> {
        let first: Mutex<Option<(usize, Error)>> = Mutex::new(None);
        let visit = |rows: &dyn Rows, i: usize, part: &mut P| {
            if let Err(error) = body(rows, part) {
                let mut first = first.lock().unwrap_or_else(|e| e.into_inner());
                if first.as_ref().is_none_or(|(other, _)| i < *other) {
                    *first = Some((i, error));
                }
            }
        };
        let work = self.n.saturating_mul(self.m);
        match &self.costs {
            Costs::Plain(rows) => pool.chunks(work, parts, 1, |i, part| visit(&**rows, i, &mut part[0])),
            Costs::Sparse(rows) => pool.chunks(rows.idx.len(), parts, 1, |i, part| visit(rows, i, &mut part[0])),
            Costs::Host(rows) => parts.iter_mut().enumerate().for_each(|(i, part)| visit(&**rows, i, part)),
        }
        first.into_inner().unwrap_or_else(|e| e.into_inner()).map_or(Ok(()), |(_, error)| Err(error))
    }

    pub fn scale(&self) -> Result<Scale> {
        if let Some(scale) = self.scale.get() {
            return Ok(*scale);
        }
        if let Some(scale) = self.grid().map(Grid::scale).filter(|scale| scale.max.is_finite()) {
            return Ok(*self.scale.get_or_init(|| scale));
        }
        let mut room = memory::filled(if self.rows().lends() { 0 } else { self.m }, 0.0, "a row of the cost")?;
        let (mut max, mut min, mut sum, mut count) = (f64::NEG_INFINITY, f64::INFINITY, 0.0, 0usize);
        for i in 0..self.n {
            let row = match &self.costs {
                Costs::Sparse(rows) => rows.entries(i).1,
                _ => self.rows().row(i, &mut room)?,
            };
            let (mut high, mut low, mut total) = ([f64::NEG_INFINITY; 8], [f64::INFINITY; 8], [0.0; 8]);
            for part in row.chunks(8) {
                for (l, v) in part.iter().enumerate() {
                    high[l] = if *v > high[l] { *v } else { high[l] };
                    low[l] = if *v < low[l] { *v } else { low[l] };
                    total[l] += v;
                }
            }
            max = high.iter().fold(max, |m, v| m.max(*v));
            min = low.iter().fold(min, |m, v| m.min(*v));
            sum += total.iter().sum::<f64>();
            count += row.len();
            if !total.iter().all(|v| v.is_finite()) {
                let j = row.iter().position(|v| !v.is_finite()).unwrap_or(0);
                let (r, c) = if self.is_transposed { (j, i) } else { (i, j) };
                return Err(Error::NonFinite(format!("the cost has {} in row {r} and column {c} (base 0), must be finite", row.get(j).unwrap_or(&f64::NAN))));
            }
        }
        let (max, min) = if count == 0 { (0.0, 0.0) } else { (max, min) };
        let scale = Scale { max, min, mean: sum / count.max(1) as f64 };
        Ok(*self.scale.get_or_init(|| scale))
    }

    /// The median of the allowed costs, or of those of evenly spaced entries where they are too many to be held.
    pub fn median(&self) -> Result<f64> {
        const HELD: usize = 1 << 20;
        self.scale()?;
        let entries = match &self.costs {
            Costs::Sparse(rows) => rows.idx.len(),
            _ => self.n.saturating_mul(self.m),
        };
        // A stride that has no divisor in common with the columns visits all of them.
        let mut step = entries.div_ceil(HELD).max(1);
        while gcd(step, self.m) > 1 {
            step += 1;
        }
        let mut held = memory::filled(entries.div_ceil(step), 0.0, "costs")?;
        let mut room = memory::filled(if self.rows().lends() { 0 } else { self.m }, 0.0, "a row of the cost")?;
        let (mut next, mut seen) = (0, 0);
        for i in 0..self.n {
            let row = match &self.costs {
                Costs::Sparse(rows) => rows.entries(i).1,
                _ => self.rows().row(i, &mut room)?,
            };
            while next < seen + row.len() {
                held[next / step] = row[next - seen];
                next += step;
            }
            seen += row.len();
        }
        if held.is_empty() {
            return Ok(0.0);
        }
        let (middle, is_odd) = (held.len() / 2, held.len() % 2 == 1);
        let (below, upper, _) = held.select_nth_unstable_by(middle, f64::total_cmp);
        let upper = *upper;
        let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let lower = if is_odd { upper } else { lower };
        Ok(0.5 * (lower + upper))
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A cost with one more row and column, where mass may stay at no cost; from one to the other it may not go.
struct Dummy {
    plain: Arc<Geometry>,
    forbidden: f64,
}

/// Of [`Dummy`], where rows are plain data.
struct PlainDummy(Dummy);

// SAFETY: made only of geometries whose rows are plain data, which are read; nothing in them is changed but the scale,
// which is there already.
unsafe impl Send for PlainDummy {}
unsafe impl Sync for PlainDummy {}

impl Rows for Dummy {
    fn row<'a>(&'a self, i: usize, room: &'a mut [f64]) -> Result<&'a [f64]> {
        let (row, dummy) = room.split_at_mut(self.plain.m);
        dummy[0] = 0.0;
        if i == self.plain.n {
            row.fill(0.0);
            dummy[0] = self.forbidden;
        } else if self.plain.rows().lends() {
            row.copy_from_slice(self.plain.rows().row(i, &mut [])?);
        } else {
            self.plain.rows().row(i, row)?;
        }
        Ok(room)
    }
}

impl Rows for PlainDummy {
    fn row<'a>(&'a self, i: usize, room: &'a mut [f64]) -> Result<&'a [f64]> {
        self.0.row(i, room)
    }
}

/// `plain` with a dummy point on either side, to which what is not transported goes; `epsilon` is the largest that is used.
pub fn with_dummy(plain: &Arc<Geometry>, epsilon: f64) -> Result<Geometry> {
    // Without blur nothing goes from one to the other where that costs more than any |C|; with it exp(-200) of what
    // would. Much more would make the cost of a rounded plan useless as a bound.
    const DEAR: f64 = 4.0;
    const NONE: f64 = 200.0;
    let scale = plain.scale()?;
    let dummy = Dummy { plain: plain.clone(), forbidden: DEAR * scale.max.abs().max(scale.min.abs()) + NONE * epsilon };
    let costs = match &plain.costs {
        Costs::Host(_) => Costs::Host(Box::new(dummy)),
        Costs::Plain(_) => Costs::Plain(Box::new(PlainDummy(dummy))),
        Costs::Sparse(pattern) => Costs::Sparse(pattern.with_dummy(plain.n, plain.m)?),
    };
    let geometry = Geometry::new(plain.n + 1, plain.m + 1, costs, plain.is_transposed);
    Ok(Geometry { scale: OnceLock::from(scale), ..geometry })
}

/// A dense matrix by rows, `ld` numbers from one row to the next.
pub struct Matrix<S> {
    data: *const S,
    owned: Option<Vec<S>>,
    m: usize,
    ld: usize,
}

// SAFETY: numbers that are only read; the host lends them for as long as the geometry lives.
unsafe impl<S: Send> Send for Matrix<S> {}
unsafe impl<S: Sync> Sync for Matrix<S> {}

impl<S: Copy> Matrix<S> {
    /// # Safety
    /// `data` has (n - 1) ld + m numbers that are lent for as long as this lives, unless they are copied.
    pub unsafe fn new(data: *const S, n: usize, m: usize, ld: usize, copy: bool) -> Result<Self> {
        let len = if n == 0 { 0 } else { (n - 1) * ld + m };
        let owned = if copy { Some(memory::copied(std::slice::from_raw_parts(data, len), "a copy of the cost")?) } else { None };
        Ok(Matrix { data: owned.as_ref().map_or(data, |v| v.as_ptr()), owned, m, ld })
    }

    /// Rows of m numbers without gaps.
    pub fn owned(data: Vec<S>, m: usize) -> Self {
        Matrix { data: data.as_ptr(), owned: Some(data), m, ld: m }
    }

    fn of(&self, i: usize) -> &[S] {
        debug_assert!(self.owned.as_ref().is_none_or(|v| v.as_ptr() == self.data));
        // SAFETY: rows lie within what `new` was promised.
        unsafe { std::slice::from_raw_parts(self.data.add(i * self.ld), self.m) }
    }
}

impl Rows for Matrix<f64> {
    fn row<'a>(&'a self, i: usize, _: &'a mut [f64]) -> Result<&'a [f64]> {
        Ok(self.of(i))
    }

    fn lends(&self) -> bool {
        true
    }
}

impl Rows for Matrix<f32> {
    fn row<'a>(&'a self, i: usize, room: &'a mut [f64]) -> Result<&'a [f64]> {
        room.iter_mut().zip(self.of(i)).for_each(|(to, v)| *to = *v as f64);
        Ok(room)
    }
}

/// Minus a matrix by rows that is lent: a gain as a cost.
pub struct Negated(Matrix<f64>);

impl Negated {
    /// # Safety
    /// As for [`Matrix::new`], with n rows and columns.
    pub unsafe fn new(data: *const f64, n: usize, ld: usize) -> Result<Self> {
        Ok(Negated(Matrix::new(data, n, n, ld, false)?))
    }
}

impl Rows for Negated {
    fn row<'a>(&'a self, i: usize, room: &'a mut [f64]) -> Result<&'a [f64]> {
        room.iter_mut().zip(self.0.of(i)).for_each(|(to, v)| *to = -v);
        Ok(room)
    }
}

/// How far apart two points are held to be.
#[derive(Clone, Copy, Debug)]
pub struct Distance {
    /// Of the differences along the axes, sum |d|^p, and then to this power over p: 2 and 2 is the squared Euclidean
    /// distance, 2 and 1 the Euclidean, 1 and 1 the taxicab.
    pub norm: f64,
    pub power: f64,
}

/// Two clouds, each axis an array of its own.
pub struct Points {
    pub(super) x: Vec<Vec<f64>>,
    pub(super) y: Vec<Vec<f64>>,
    /// Half a period and a period, by axis; infinite where there is none.
    pub(super) period: Vec<f64>,
    pub(super) distance: Distance,
    /// What the coordinates were multiplied by, by axis.
    pub(super) stretch: Vec<f64>,
}

impl Points {
    /// x: d x n, y: d x m, a column a point; `weights` multiply differences to the power of the norm.
    pub fn new(x: Panel<f64>, y: Panel<f64>, distance: Distance, weights: Option<&[f64]>, periods: Option<&[f64]>) -> Result<Self> {
        let d = x.nrows;
        let stretch = |k: usize| weights.map_or(1.0, |w| w[k].powf(1.0 / distance.norm));
        let axes = |p: Panel<f64>| -> Result<Vec<Vec<f64>>> {
            (0..d)
                .map(|k| {
                    let mut axis = memory::filled(p.ncols, 0.0, "points")?;
                    axis.iter_mut().enumerate().for_each(|(i, v)| *v = p.col(i)[k] * stretch(k));
                    Ok(axis)
                })
                .collect()
        };
        let period = (0..d).map(|k| periods.map_or(0.0, |p| p[k]) * stretch(k)).map(|p| if p > 0.0 { p } else { f64::INFINITY }).collect();
        Ok(Points { x: axes(x)?, y: axes(y)?, period, distance, stretch: (0..d).map(stretch).collect() })
    }
}

impl Rows for Points {
    fn points(&self) -> Option<&Points> {
        Some(self)
    }

    fn row<'a>(&'a self, i: usize, room: &'a mut [f64]) -> Result<&'a [f64]> {
        for (k, (x, y)) in self.x.iter().zip(&self.y).enumerate() {
            axis_costs(x[i], y, self.period[k], self.distance.norm, k == 0, room);
        }
        let Distance { norm, power } = self.distance;
        if power != norm {
            if power == 1.0 && norm == 2.0 {
                room.iter_mut().for_each(|v| *v = v.sqrt());
            } else {
                room.iter_mut().for_each(|v| *v = v.powf(power / norm));
            }
        }
        Ok(room)
    }
}

/// room_j (+)= |x - y_j|^p, to the nearest image.
fn axis_costs(x: f64, y: &[f64], period: f64, p: f64, is_first: bool, room: &mut [f64]) {
    let is_periodic = period.is_finite();
    let near = |y: f64| {
        let d = x - y;
        if is_periodic { d - period * (d / period).round() } else { d }
    };
    let mut fill = |cost: &dyn Fn(f64) -> f64| match is_first {
        true => room.iter_mut().zip(y).for_each(|(v, y)| *v = cost(near(*y))),
        false => room.iter_mut().zip(y).for_each(|(v, y)| *v += cost(near(*y))),
    };
    if !is_periodic && p == 2.0 {
        // The usual case, in a loop of its own that the compiler can unroll.
        match is_first {
            true => room.iter_mut().zip(y).for_each(|(v, y)| *v = (x - y) * (x - y)),
            false => room.iter_mut().zip(y).for_each(|(v, y)| *v += (x - y) * (x - y)),
        }
    } else if p == 2.0 {
        fill(&|d| d * d);
    } else if p == 1.0 {
        fill(&f64::abs);
    } else {
        fill(&|d: f64| d.abs().powf(p));
    }
}

/// A regular grid of cells in up to three dimensions, the first index slowest; costs add up over axes.
pub struct Grid {
    pub(super) sizes: Vec<usize>,
    /// Along each axis, by the difference of indices.
    pub(super) tables: Vec<Vec<f64>>,
    /// The cost of one cell along an axis where costs are its multiples.
    pub(super) steps: Vec<Option<f64>>,
}

impl Grid {
    /// `lengths`: of a cell along each axis; `periodic`: which axes close.
    pub fn new(sizes: &[usize], lengths: &[f64], periodic: &[bool], p: f64) -> Result<Self> {
        let tables = sizes
            .iter()
            .zip(lengths)
            .zip(periodic)
            .map(|((size, length), periodic)| {
                let mut table = memory::filled(*size, 0.0, "costs along an axis")?;
                for (k, v) in table.iter_mut().enumerate() {
                    let k = if *periodic { k.min(size - k) } else { k };
                    *v = (k as f64 * length).powf(p);
                }
                Ok(table)
            })
            .collect::<Result<Vec<_>>>()?;
        let steps = lengths.iter().zip(periodic).map(|(length, periodic)| (p == 1.0 && !periodic).then_some(*length)).collect();
        Ok(Grid { sizes: sizes.to_vec(), tables, steps })
    }

    /// Axes are independent: the largest costs add up, and so do the means.
    fn scale(&self) -> Scale {
        let mut scale = Scale { max: 0.0, min: 0.0, mean: 0.0 };
        for table in &self.tables {
            let size = table.len() as f64;
            let pairs = |d: usize| if d == 0 { size } else { 2.0 * (size - d as f64) };
            scale.max += table.iter().fold(0.0f64, |m, c| m.max(*c));
            scale.mean += table.iter().enumerate().map(|(d, c)| pairs(d) * c).sum::<f64>() / (size * size);
        }
        scale
    }
}

impl Rows for Grid {
    fn grid(&self) -> Option<&Grid> {
        Some(self)
    }

    fn row<'a>(&'a self, i: usize, room: &'a mut [f64]) -> Result<&'a [f64]> {
        // From the last axis on: what is there is laid out again for each index of the axis before it.
        let (mut at, mut len) = (i, 1);
        room[0] = 0.0;
        for (size, table) in self.sizes.iter().zip(&self.tables).rev() {
            let here = at % size;
            at /= size;
            for k in (0..*size).rev() {
                let cost = table[here.abs_diff(k)];
                let (low, high) = room.split_at_mut(len);
                match k {
                    0 => low.iter_mut().for_each(|v| *v += cost),
                    _ => high[(k - 1) * len..][..len].iter_mut().zip(&*low).for_each(|(to, v)| *to = v + cost),
                }
            }
            len *= size;
        }
        Ok(room)
    }
}

/// Costs of a pattern, compressed by rows.
pub struct Sparse {
    pub ptr: Vec<usize>,
    pub idx: Vec<u32>,
    pub cost: Vec<f64>,
}

impl Sparse {
    /// Columns and costs of row i.
    pub fn entries(&self, i: usize) -> (&[u32], &[f64]) {
        let range = self.ptr[i]..self.ptr[i + 1];
        (&self.idx[range.clone()], &self.cost[range])
    }

    fn with_dummy(&self, n: usize, m: usize) -> Result<Self> {
        const WHAT: &str = "a pattern of costs";
        let len = self.idx.len() + n + m;
        let mut ptr = memory::filled(n + 2, 0, WHAT)?;
        let (mut idx, mut cost) = (memory::filled(len, 0, WHAT)?, memory::filled(len, 0.0, WHAT)?);
        for i in 0..n {
            let (columns, costs) = self.entries(i);
            let (from, to) = (ptr[i], ptr[i] + columns.len());
            idx[from..to].copy_from_slice(columns);
            cost[from..to].copy_from_slice(costs);
            idx[to] = m as u32;
            ptr[i + 1] = to + 1;
        }
        idx[ptr[n]..].iter_mut().enumerate().for_each(|(j, to)| *to = j as u32);
        ptr[n + 1] = len;
        Ok(Sparse { ptr, idx, cost })
    }
}

impl Rows for Sparse {
    fn row<'a>(&'a self, i: usize, room: &'a mut [f64]) -> Result<&'a [f64]> {
        room.fill(f64::INFINITY);
        let (idx, cost) = self.entries(i);
        idx.iter().zip(cost).for_each(|(j, c)| room[*j as usize] = *c);
        Ok(room)
    }
}

/// Rows that the caller writes.
pub struct Callback(pub Box<dyn Fn(usize, &mut [f64]) -> Result<()>>);

impl Rows for Callback {
    fn row<'a>(&'a self, i: usize, room: &'a mut [f64]) -> Result<&'a [f64]> {
        (self.0)(i, room)?;
        match room.iter().position(|v| !v.is_finite()) {
            None => Ok(room),
            Some(j) => Err(Error::NonFinite(format!("the cost has {} in row {i} and column {j} (base 0), must be finite", room[j]))),
        }
    }
}
