//! Sums over the plan of a regular grid, axis by axis, in logarithms.
//!
//! The cost adds up over axes, C_ij = sum_k c_k(|i_k - j_k|), so exp(-C / eps) is a Kronecker product, and
//! log sum_j exp(v_j - C_ij / eps) is taken along one axis after the other: for n cells n (n_1 + n_2 + n_3) products
//! in place of n^2 exponentials. Nothing of the size of the plan is stored.
//!
//! Along an axis a sum is a product with the matrix exp(-s c(|i - j|)), cut into square tiles. Each tile of inputs has its
//! largest entry as the unit, each pair of tiles its smallest cost. With
//!
//!   high_I = max_J (top_J - low_IJ),  least_I = max_J (top_J - most_IJ)
//!
//! (top_J the largest v of a tile, low_IJ and most_IJ the smallest and largest cost between two) every output of tile I lies
//! above least_I, and no term above high_I. So tiles with top_J - low_IJ < least_I - CUT cannot matter, and as long
//! as high_I - least_I stays within RANGE all that matters is representable in the unit exp(high_I): sums of positive
//! terms, each as exact as its factors, lose no digits. Beyond the range (eps that a cell's width outweighs) the outputs
//! are taken one by one, each with its own largest term as the unit, over the tiles that reach it.
//!
//! For the cost |i - j| h the sums follow from two sweeps, F_i = e^v_i + q F_(i-1) and its mirror (Liao et al. 2022, arXiv
//! 2202.10042). Different here: in units that follow max_j (v_j - s h |i - j|), so that nothing is ever out of range.
//!
//! Products with the plan are averages: t_i = sum_j P_ij x_j / sum_j P_ij is an average along the last axis of averages along the
//! one before it, with weights that depend on the potentials alone. They are kept, so that a product needs no
//! exponentials (or few), and a constant stays one to the last digit however small P_ij.
//!
//! An axis is gone over in the shape (cells of the axis) x (lines), and written transposed, which makes the next axis
//! the first. L lines are worked on side by side.

use super::geometry::Grid;
use crate::runtime::{memory, Error, Pool, Result};

/// Lines side by side: two registers of AVX2.
const LANES: usize = 8;
/// Outputs of a product that are added up at a time; where there is one line only, those that divide the tile.
const ROWS: usize = 4;
const ROWS_OF_ONE: [usize; 2] = [16, 8];
/// Largest exponent between the unit of a tile and its smallest sum: e^-600 leaves 40 digits to the smallest number.
const RANGE: f64 = 600.0;
/// Terms below e^-CUT of a sum, all of them together less than a unit of the last place.
const CUT: f64 = 38.0;
/// Cells of a tile where the whole axis is none: the most that keep exponents between two tiles a quarter of the axis apart
/// below this.
const TILES: [usize; 3] = [16, 8, 4];
const SPREAD: f64 = 400.0;
/// Costs beyond this have no need to differ.
const FAR: f64 = 1e300;
/// Parts that lines are dealt out to, whatever the threads.
const PARTS: usize = 8;
const WHAT: &str = "sums over a grid";

/// Which marginal the sums are for: averages over columns for each row, or over rows for each column.
#[derive(Clone, Copy)]
pub enum Side {
    Rows,
    Columns,
}

/// What a geometry that is a product can do.
pub trait Separable: Send {
    /// out_i <- log sum_j exp(v_j - s C_ij). Infinite v_j are cells without mass. With `keep` the weights of the sums
    /// are kept for averages on that side.
    fn log_sums(&mut self, pool: &Pool, v: &[f64], keep: Option<Side>, out: &mut [f64]) -> Result<()>;

    /// out_i <- log sum_j exp(v_j - 2 s C_ij).
    fn log_squares(&mut self, pool: &Pool, v: &[f64], out: &mut [f64]) -> Result<()>;

    /// out_i <- the average of x_j (and with `costs` of x_j + s C_ij) with the weights exp(v_j - s C_ij) that were kept.
    fn averages(&mut self, pool: &Pool, side: Side, x: &[f64], costs: bool, out: &mut [f64]) -> Result<()>;
}

/// Sums over `grid` with exp(-scale C).
pub fn new(grid: &Grid, scale: f64) -> Result<Box<dyn Separable>> {
    let cells = grid.sizes.iter().product::<usize>();
    match grid.sizes.contains(&cells) {
        true => Ok(Box::new(Axes::<1>::new(grid, scale)?)),
        false => Ok(Box::new(Axes::<LANES>::new(grid, scale)?)),
    }
}

/// The plan between potentials f and g of a grid, P_ij = exp((f_i + g_j - C_ij) / epsilon), as an operator.
pub struct Plan {
    sums: Box<dyn Separable>,
    /// Of the rows.
    masses: Vec<f64>,
}

impl Plan {
    pub fn new(grid: &Grid, pool: &Pool, epsilon: f64, f: &[f64], g: &[f64]) -> Result<Self> {
        let scale = 1.0 / epsilon;
        let mut sums = new(grid, scale)?;
        let (mut gamma, mut masses) = (memory::filled(g.len(), 0.0, WHAT)?, memory::filled(f.len(), 0.0, WHAT)?);
        gamma.iter_mut().zip(g).for_each(|(gamma, g)| *gamma = scale * g);
        sums.log_sums(pool, &gamma, Some(Side::Rows), &mut masses)?;
        masses.iter_mut().zip(f).for_each(|(mass, f)| *mass = (scale * f + *mass).exp());
        Ok(Plan { sums, masses })
    }

    /// y <- P x.
    pub fn apply(&mut self, pool: &Pool, x: &[f64], y: &mut [f64]) -> Result<()> {
        self.sums.averages(pool, Side::Rows, x, false, y)?;
        y.iter_mut().zip(&self.masses).for_each(|(y, mass)| *y *= mass);
        Ok(())
    }
}

/// An axis, and its costs times the scale.
struct Axis {
    size: usize,
    lines: usize,
    /// Cells of a tile, and tiles.
    tile: usize,
    tiles: usize,
    costs: Vec<f64>,
    /// The smallest and the largest cost between two tiles, by how far they are apart.
    low: Vec<f64>,
    most: Vec<f64>,
    /// The smallest cost between a cell and a tile, by the difference of the cell and the tile's first, from minus all cells.
    low_of_one: Vec<f64>,
    /// exp(low - cost) between tiles I and J at (I - J + tiles - 1) (2 tile - 1), by the difference of cells from 1 - tile; and
    /// the same times the cost.
    kernel: Vec<f64>,
    of_costs: Vec<f64>,
    /// The cost of a step, where costs are its multiples.
    step: Option<f64>,
}

impl Axis {
    fn new(table: &[f64], step: Option<f64>, lines: usize, scale: f64) -> Result<Self> {
        let size = table.len();
        let whole = size.next_multiple_of(if lines == 1 { ROWS_OF_ONE[0] } else { ROWS });
        let largest = scale * table.iter().fold(0.0f64, |m, c| m.max(*c));
        let spread = |tile: usize| {
            let (near, far) = ((size / 4).saturating_sub(tile), (size / 4 + tile).min(size - 1));
            scale * (table[far] - table[near]).abs()
        };
        let fits = |tile: &&usize| spread(**tile) <= SPREAD;
        let choice = if lines == 1 { &TILES[..2] } else { &TILES[..] };
        let part = *choice.iter().find(fits).unwrap_or(&choice[choice.len() - 1]);
        let tile = if largest <= RANGE { whole } else { part.min(whole) };
        let tiles = size.div_ceil(tile);
        let mut costs = memory::filled(tile * tiles, f64::INFINITY, WHAT)?;
        costs.iter_mut().zip(table).for_each(|(to, c)| *to = (scale * c).min(FAR));
        let (mut low, mut most) = (memory::filled(tiles, f64::INFINITY, WHAT)?, memory::filled(tiles, 0.0f64, WHAT)?);
        for d in 0..tiles {
            for t in (d * tile).saturating_sub(tile - 1)..((d + 1) * tile).min(size) {
                low[d] = low[d].min(costs[t]);
                most[d] = most[d].max(costs[t]);
            }
        }
        let mut low_of_one = memory::filled(2 * tile * tiles, f64::INFINITY, WHAT)?;
        for (t, low) in low_of_one.iter_mut().enumerate() {
            let differences = (0..tile as i64).map(|r| (t as i64 - (tile * tiles) as i64 - r).unsigned_abs() as usize);
            *low = differences.filter(|d| *d < size).fold(f64::INFINITY, |low, d| low.min(costs[d]));
        }
        let width = 2 * tile - 1;
        let entries = width * (2 * tiles - 1);
        let (mut kernel, mut of_costs) = (memory::filled(entries, 0.0, WHAT)?, memory::filled(entries, 0.0, WHAT)?);
        for (k, (e, c)) in kernel.iter_mut().zip(&mut of_costs).enumerate() {
            let d = (k / width) as i64 - (tiles as i64 - 1);
            let t = (d * tile as i64 + (k % width) as i64 - (tile as i64 - 1)).unsigned_abs() as usize;
            if t < size {
                *e = (low[d.unsigned_abs() as usize] - costs[t]).exp();
                *c = *e * costs[t];
            }
        }
        let step = step.map(|h| (scale * h).min(FAR));
        Ok(Axis { size, lines, tile, tiles, costs, low, most, low_of_one, kernel, of_costs, step })
    }

    fn padded(&self) -> usize {
        self.tile * self.tiles
    }

    /// The kernel between tiles I and J.
    fn between<'a>(&self, kernel: &'a [f64], i: usize, j: usize) -> &'a [f64] {
        let width = 2 * self.tile - 1;
        &kernel[(i + self.tiles - 1 - j) * width..][..width]
    }

    fn cut(&self) -> f64 {
        CUT + (self.size as f64).ln()
    }
}

/// The weights of sums along an axis, of group after group of lines.
struct Weights<const L: usize> {
    /// What was summed. Of two sweeps: the share of the backward sweep in the sum.
    v: Vec<[f64; L]>,
    /// exp(v - top). Of two sweeps: the share of the cell itself in the forward one.
    e: Vec<[f64; L]>,
    /// The sums in the unit of their tile. Of two sweeps: the share of the cell itself in the backward one.
    s: Vec<[f64; L]>,
    top: Vec<[f64; L]>,
    high: Vec<[f64; L]>,
    least: Vec<[f64; L]>,
    /// The first and after the last of the tiles that may matter to a tile.
    near: Vec<(u32, u32)>,
    singles: Singles<L>,
}

/// Of outputs that are summed one by one the cells that matter, with their shares in the sum.
#[derive(Default)]
struct Singles<const L: usize> {
    /// Where each output ends; all begin where the one before ends.
    ends: Vec<usize>,
    cells: Vec<u32>,
    shares: Vec<[f64; L]>,
    failure: Option<Error>,
}

impl<const L: usize> Singles<L> {
    fn begin(&mut self, outputs: usize) {
        self.ends.clear();
        self.cells.clear();
        self.shares.clear();
        self.failure = memory::reserve(&mut self.ends, outputs, WHAT).err();
    }

    /// Room for an output with so many cells; what there is at least doubles.
    fn reserve(&mut self, more: usize) -> bool {
        if self.cells.len() + more > self.cells.capacity() && self.failure.is_none() {
            let more = more + self.cells.len();
            let room = memory::reserve(&mut self.cells, more, WHAT).and_then(|()| memory::reserve(&mut self.shares, more, WHAT));
            self.failure = room.err();
        }
        self.failure.is_none()
    }

    fn of(&self, output: usize) -> impl Iterator<Item = (usize, &[f64; L])> {
        let range = if output == 0 { 0 } else { self.ends[output - 1] }..self.ends[output];
        self.cells[range.clone()].iter().map(|j| *j as usize).zip(&self.shares[range])
    }
}

/// One group's.
struct Block<'a, const L: usize> {
    v: &'a mut [[f64; L]],
    e: &'a mut [[f64; L]],
    s: &'a mut [[f64; L]],
    top: &'a mut [[f64; L]],
    high: &'a mut [[f64; L]],
    least: &'a mut [[f64; L]],
    near: &'a mut [(u32, u32)],
    singles: &'a mut Singles<L>,
    /// Of the group's among all outputs of the part.
    first: usize,
}

impl<const L: usize> Weights<L> {
    fn new(cells: usize, tiles: usize) -> Result<Self> {
        let make = |len| memory::filled(len, [0.0; L], WHAT);
        Ok(Weights {
            v: make(cells)?,
            e: make(cells)?,
            s: make(cells)?,
            top: make(tiles)?,
            high: make(tiles)?,
            least: make(tiles)?,
            near: memory::filled(tiles, (0, 0), WHAT)?,
            singles: Singles::default(),
        })
    }

    fn block(&mut self, g: usize, axis: &Axis) -> Block<'_, L> {
        let (cells, tiles) = (axis.padded(), axis.tiles);
        Block {
            v: &mut self.v[g * cells..][..cells],
            e: &mut self.e[g * cells..][..cells],
            s: &mut self.s[g * cells..][..cells],
            top: &mut self.top[g * tiles..][..tiles],
            high: &mut self.high[g * tiles..][..tiles],
            least: &mut self.least[g * tiles..][..tiles],
            near: &mut self.near[g * tiles..][..tiles],
            singles: &mut self.singles,
            first: g * cells,
        }
    }
}

/// Room for one part of the lines, and the weights of its sums by side and axis.
struct Part<const L: usize> {
    scratch: Weights<L>,
    x: Vec<[f64; L]>,
    w: Vec<[f64; L]>,
    out: Vec<[f64; L]>,
    kept: [Vec<Weights<L>>; 2],
}

/// All axes, with room for L lines at a time in each part.
struct Axes<const L: usize> {
    axes: Vec<Axis>,
    /// With twice the scale.
    squares: Vec<Axis>,
    parts: Vec<Part<L>>,
    /// Before and after an axis.
    from: Vec<f64>,
    to: Vec<f64>,
}

impl<const L: usize> Axes<L> {
    fn new(grid: &Grid, scale: f64) -> Result<Self> {
        let n: usize = grid.sizes.iter().product();
        let axes = |scale: f64| -> Result<Vec<Axis>> {
            // An axis of one cell adds nothing.
            let real = grid.sizes.iter().zip(&grid.tables).zip(&grid.steps).filter(|((size, _), _)| **size > 1 || n == 1);
            real.map(|((size, table), step)| Axis::new(table, *step, n / size, scale)).collect()
        };
        let (axes, squares) = (axes(scale)?, axes(2.0 * scale)?);
        let cells = axes.iter().chain(&squares).map(Axis::padded).max().unwrap_or(0);
        let tiles = axes.iter().chain(&squares).map(|axis| axis.tiles).max().unwrap_or(0);
        let make = |len| memory::filled(len, [0.0; L], WHAT);
        let parts = (0..PARTS)
            .map(|_| {
                let scratch = Weights::new(cells, tiles)?;
                Ok(Part { scratch, x: make(cells)?, w: make(cells)?, out: make(cells)?, kept: [Vec::new(), Vec::new()] })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Axes { axes, squares, parts, from: memory::filled(n, 0.0, WHAT)?, to: memory::filled(n, 0.0, WHAT)? })
    }

    /// Makes room for the weights of one side.
    fn reserve(&mut self, side: Side) -> Result<()> {
        for part in &mut self.parts {
            let kept = &mut part.kept[side as usize];
            if kept.is_empty() {
                for axis in &self.axes {
                    let groups = groups::<L>(axis);
                    kept.push(Weights::new(groups * axis.padded(), groups * axis.tiles)?);
                }
            }
        }
        Ok(())
    }

    /// Axis after axis: `body(axis, its number, part, group within the part)` takes `x` of the part, the values on a group of
    /// lines, to `out`.
    fn sweep(
        &mut self,
        pool: &Pool,
        squares: bool,
        input: &[f64],
        empty: f64,
        out: &mut [f64],
        body: impl Fn(&Axis, usize, &mut Part<L>, usize) + Sync,
    ) {
        self.from.copy_from_slice(input);
        for (k, axis) in (if squares { &self.squares } else { &self.axes }).iter().enumerate() {
            let part = groups::<L>(axis) * L;
            let from = &self.from;
            let work = from.len() * if axis.step.is_some() { 8 } else { axis.size / 4 };
            pool.chunks2(work, (&mut self.parts, 1), (&mut self.to, part * axis.size), |p, room, to| {
                let room = &mut room[0];
                for (g, to) in to.chunks_mut(L * axis.size).enumerate() {
                    load(axis, from, p * part + g * L, empty, &mut room.x);
                    body(axis, k, room, g);
                    store(axis, &room.out, to);
                }
            });
            std::mem::swap(&mut self.from, &mut self.to);
        }
        out.copy_from_slice(&self.from);
    }

    fn logs(&mut self, pool: &Pool, squares: bool, v: &[f64], keep: Option<Side>, out: &mut [f64]) {
        self.sweep(pool, squares, v, f64::NEG_INFINITY, out, |axis, k, part, g| {
            let Part { scratch, x, w, out, kept } = part;
            let (weights, g) = match keep {
                Some(side) => (&mut kept[side as usize][k], g),
                None => (scratch, 0),
            };
            if g == 0 {
                weights.singles.begin(if keep.is_some() { groups::<L>(axis) * axis.padded() } else { 0 });
            }
            let block = weights.block(g, axis);
            block.v.copy_from_slice(&x[..axis.padded()]);
            pulp::Arch::new().dispatch(Logs::<L> { axis, block, keeps: keep.is_some(), up: x, room: w, out });
        });
    }
}

impl<const L: usize> Separable for Axes<L> {
    fn log_sums(&mut self, pool: &Pool, v: &[f64], keep: Option<Side>, out: &mut [f64]) -> Result<()> {
        if let Some(side) = keep {
            self.reserve(side)?;
        }
        self.logs(pool, false, v, keep, out);
        let singles = self.parts.iter_mut().flat_map(|part| part.kept.iter_mut().flatten()).map(|kept| &mut kept.singles);
        singles.filter_map(|singles| singles.failure.take()).next().map_or(Ok(()), Err)
    }

    fn log_squares(&mut self, pool: &Pool, v: &[f64], out: &mut [f64]) -> Result<()> {
        self.logs(pool, true, v, None, out);
        Ok(())
    }

    fn averages(&mut self, pool: &Pool, side: Side, x: &[f64], costs: bool, out: &mut [f64]) -> Result<()> {
        self.reserve(side)?;
        self.sweep(pool, false, x, 0.0, out, |axis, k, part, g| {
            let Part { x, w, out, kept, .. } = part;
            let block = kept[side as usize][k].block(g, axis);
            pulp::Arch::new().dispatch(Averages::<L> { axis, block, x, costs, room: w, out });
        });
        Ok(())
    }
}

/// Sums along the lines of a group, as work for whatever instructions the machine has.
struct Logs<'a, const L: usize> {
    axis: &'a Axis,
    block: Block<'a, L>,
    keeps: bool,
    up: &'a mut [[f64; L]],
    room: &'a mut [[f64; L]],
    out: &'a mut [[f64; L]],
}

impl<const L: usize> pulp::WithSimd for Logs<'_, L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Logs { axis, block, keeps, up, room, out } = self;
        // Vectors come with instructions that multiply and add at once.
        match (axis.step, S::F64_LANES > 1) {
            (Some(step), true) => sweep_logs::<true, L>(axis.size, step, block, keeps, up, room, out),
            (Some(step), false) => sweep_logs::<false, L>(axis.size, step, block, keeps, up, room, out),
            (None, true) => tile_logs::<true, L>(axis, block, keeps, room, out),
            (None, false) => tile_logs::<false, L>(axis, block, keeps, room, out),
        }
    }
}

/// Averages along the lines of a group.
struct Averages<'a, const L: usize> {
    axis: &'a Axis,
    block: Block<'a, L>,
    x: &'a [[f64; L]],
    costs: bool,
    room: &'a mut [[f64; L]],
    out: &'a mut [[f64; L]],
}

impl<const L: usize> pulp::WithSimd for Averages<'_, L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Averages { axis, block, x, costs, room, out } = self;
        match (axis.step, S::F64_LANES > 1) {
            (Some(step), _) => sweep_averages(axis.size, if costs { step } else { 0.0 }, block, x, out),
            (None, true) => tile_averages::<true, L>(axis, block, x, costs, room, out),
            (None, false) => tile_averages::<false, L>(axis, block, x, costs, room, out),
        }
    }
}

/// Groups of lines in one part.
fn groups<const L: usize>(axis: &Axis) -> usize {
    axis.lines.div_ceil(L).div_ceil(PARTS)
}

/// Lines from the `first` on, cell by cell; what is beyond the grid is `empty`.
fn load<const L: usize>(axis: &Axis, from: &[f64], first: usize, empty: f64, to: &mut [[f64; L]]) {
    let live = L.min(axis.lines - first);
    for (to, from) in to.iter_mut().zip(from.chunks_exact(axis.lines)) {
        match <[f64; L]>::try_from(&from[first..first + live]) {
            Ok(lines) => *to = lines,
            Err(_) => *to = std::array::from_fn(|l| if l < live { from[first + l] } else { empty }),
        }
    }
    to[axis.size..axis.padded()].fill([empty; L]);
}

/// Lines one after the other.
fn store<const L: usize>(axis: &Axis, from: &[[f64; L]], to: &mut [f64]) {
    for (l, to) in to.chunks_exact_mut(axis.size).enumerate() {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = from[l]);
    }
}

/// a b + c; rounded once if `F`.
#[inline(always)]
fn multiply_add<const F: bool>(a: f64, b: f64, c: f64) -> f64 {
    if F { a.mul_add(b, c) } else { a * b + c }
}

/// e^x for x that is not above 700; below e^-708 it is 0. As in `linalg::simd::exp`, in plain numbers: within the loops here the
/// compiler takes a register of them at a time.
#[inline(always)]
fn exp<const F: bool>(x: f64) -> f64 {
    // Adding it leaves the nearest integer in the last bits.
    const MAGIC: f64 = 6755399441055744.0;
    const LN2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
    let fma = multiply_add::<F>;
    let y = if x > -708.0 { x } else { -708.0 };
    let k = fma(y, std::f64::consts::LOG2_E, MAGIC);
    let n = k - MAGIC;
    let r = fma(n, -LN2[1], fma(n, -LN2[0], y));
    let (r2, r4) = (r * r, (r * r) * (r * r));
    let q0 = fma(fma(r, 1.0 / 6.0, 0.5), r2, 1.0 + r);
    let q1 = fma(fma(r, 1.0 / 5040.0, 1.0 / 720.0), r2, fma(r, 1.0 / 120.0, 1.0 / 24.0));
    let q2 = fma(r4, 1.0 / 479001600.0, fma(fma(r, 1.0 / 39916800.0, 1.0 / 3628800.0), r2, fma(r, 1.0 / 362880.0, 1.0 / 40320.0)));
    let p = fma(fma(q2, r4, q1), r4, q0);
    let v = f64::from_bits(p.to_bits().wrapping_add(k.to_bits() << 52));
    if x > -708.0 { v } else { 0.0 }
}

/// log x for x that is 0 or not tiny: x = 2^k (1 + s) / (1 - s), |s| <= 0.172, by the series of atanh.
#[inline(always)]
fn log<const F: bool>(x: f64) -> f64 {
    const HALF: u64 = 0x3ff0_0000_0000_0000 - 0x3fe6_a09e_667f_3bcd;
    const LN2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
    let fma = multiply_add::<F>;
    let biased = x.to_bits().wrapping_add(HALF) >> 52;
    let k = f64::from_bits(biased | 0x4330_0000_0000_0000) - (4503599627370496.0 + 1023.0);
    let m = f64::from_bits(x.to_bits().wrapping_sub(biased.wrapping_sub(1023) << 52));
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let z2 = z * z;
    let p0 = fma(z, 1.0 / 5.0, 1.0 / 3.0);
    let p1 = fma(z, 1.0 / 9.0, 1.0 / 7.0);
    let p2 = fma(z, 1.0 / 13.0, 1.0 / 11.0);
    let p3 = fma(z, 1.0 / 17.0, 1.0 / 15.0);
    let p = fma(fma(fma(fma(z2, 1.0 / 19.0, p3), z2, p2), z2, p1), z2, p0);
    let tail = fma(2.0 * s * z, p, k * LN2[1]);
    let v = fma(k, LN2[0], fma(2.0, s, tail));
    if x > 0.0 { v } else { f64::NEG_INFINITY }
}

/// What may be subtracted: 0 in place of -infinity.
#[inline(always)]
fn unit<const L: usize>(v: [f64; L]) -> [f64; L] {
    v.map(|v| if v > f64::NEG_INFINITY { v } else { 0.0 })
}

#[inline(always)]
fn higher(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

#[inline(always)]
fn any<const L: usize>(test: impl Fn(usize) -> bool) -> bool {
    (0..L).fold(false, |any, l| any | test(l))
}

/// Sums along the lines of a group, and what their averages need.
#[inline(always)]
fn tile_logs<const F: bool, const L: usize>(
    axis: &Axis,
    block: Block<L>,
    keeps: bool,
    w: &mut [[f64; L]],
    out: &mut [[f64; L]],
) {
    let Block { v, e, s, top, high, least, near, singles, .. } = block;
    for ((v, e), top) in v.chunks_exact(axis.tile).zip(e.chunks_exact_mut(axis.tile)).zip(top.iter_mut()) {
        *top = v.iter().fold([f64::NEG_INFINITY; L], |top, v| std::array::from_fn(|l| higher(top[l], v[l])));
        let unit = unit(*top);
        for (e, v) in e.iter_mut().zip(v) {
            *e = std::array::from_fn(|l| exp::<F>(v[l] - unit[l]));
        }
    }
    for i in 0..axis.tiles {
        let (mut up, mut down) = ([f64::NEG_INFINITY; L], [f64::NEG_INFINITY; L]);
        for (j, top) in top.iter().enumerate() {
            let (low, most) = (axis.low[i.abs_diff(j)], axis.most[i.abs_diff(j)]);
            up = std::array::from_fn(|l| higher(up[l], top[l] - low));
            down = std::array::from_fn(|l| higher(down[l], top[l] - most));
        }
        (high[i], least[i]) = (unit(up), down);
        near[i] = tiles_near(axis, top, i, &down);
        let range = i * axis.tile..(i + 1) * axis.tile;
        let (s, out) = (&mut s[range.clone()], &mut out[range.clone()]);
        if is_wide(&high[i], &least[i]) {
            for (at, out) in range.clone().zip(out) {
                let keep = if keeps { Some(&mut *singles) } else { None };
                *out = one_by_one::<F, L>(axis, v, top, near[i], at, keep);
            }
        } else {
            s.fill([0.0; L]);
            product::<F, L>(axis, &axis.kernel, e, None, top, i, near[i], &high[i], w, s);
            for (out, s) in out.iter_mut().zip(&*s) {
                *out = std::array::from_fn(|l| high[i][l] + log::<F>(s[l]));
            }
            if keeps {
                let end = singles.cells.len();
                singles.ends.extend(range.map(|_| end));
            }
        }
    }
}

/// Averages of x along the lines of a group.
#[inline(always)]
fn tile_averages<const F: bool, const L: usize>(
    axis: &Axis,
    block: Block<L>,
    x: &[[f64; L]],
    costs: bool,
    w: &mut [[f64; L]],
    out: &mut [[f64; L]],
) {
    let Block { e, s, top, high, least, near, singles, first, .. } = block;
    for i in 0..axis.tiles {
        let range = i * axis.tile..(i + 1) * axis.tile;
        let (s, out) = (&s[range.clone()], &mut out[range.clone()]);
        if is_wide(&high[i], &least[i]) {
            for (at, out) in range.zip(out) {
                *out = singles.of(first + at).fold([0.0; L], |sum, (j, share)| {
                    let more = if costs { axis.costs[at.abs_diff(j)] } else { 0.0 };
                    std::array::from_fn(|l| multiply_add::<F>(share[l], x[j][l] + more, sum[l]))
                });
            }
        } else {
            out.fill([0.0; L]);
            product::<F, L>(axis, &axis.kernel, e, Some(x), top, i, near[i], &high[i], w, out);
            if costs {
                product::<F, L>(axis, &axis.of_costs, e, None, top, i, near[i], &high[i], w, out);
            }
            for (out, s) in out.iter_mut().zip(s) {
                *out = std::array::from_fn(|l| if s[l] > 0.0 { out[l] / s[l] } else { 0.0 });
            }
        }
    }
}

/// Whether a tile's sums do not fit into one unit.
#[inline(always)]
fn is_wide<const L: usize>(high: &[f64; L], least: &[f64; L]) -> bool {
    any::<L>(|l| least[l] > f64::NEG_INFINITY && high[l] - least[l] > RANGE)
}

/// sums_i += sum_j K_ij e_j (x_j) of tile i, in the unit e^high, over the tiles that matter.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn product<const F: bool, const L: usize>(
    axis: &Axis,
    kernel: &[f64],
    e: &[[f64; L]],
    x: Option<&[[f64; L]]>,
    top: &[[f64; L]],
    i: usize,
    near: (u32, u32),
    high: &[f64; L],
    w: &mut [[f64; L]],
    sums: &mut [[f64; L]],
) {
    for j in near.0 as usize..near.1 as usize {
        let low = axis.low[i.abs_diff(j)];
        let factor: [f64; L] = std::array::from_fn(|l| exp::<F>(top[j][l] - low - high[l]));
        if !any::<L>(|l| factor[l] > 0.0) {
            continue;
        }
        let range = j * axis.tile..(j + 1) * axis.tile;
        let w = &mut w[..axis.tile];
        match x {
            Some(x) => {
                for ((w, e), x) in w.iter_mut().zip(&e[range.clone()]).zip(&x[range]) {
                    *w = std::array::from_fn(|l| factor[l] * e[l] * x[l]);
                }
            }
            None => w.iter_mut().zip(&e[range]).for_each(|(w, e)| *w = std::array::from_fn(|l| factor[l] * e[l])),
        }
        let kernel = axis.between(kernel, i, j);
        match L {
            1 if axis.tile % ROWS_OF_ONE[0] == 0 => add_products::<F, L, { ROWS_OF_ONE[0] }>(kernel, w, sums),
            1 => add_products::<F, L, { ROWS_OF_ONE[1] }>(kernel, w, sums),
            _ => add_products::<F, L, ROWS>(kernel, w, sums),
        }
    }
}

/// sums_i += sum_j kernel_(i - j) w_j, R outputs at a time.
#[inline(always)]
fn add_products<const F: bool, const L: usize, const R: usize>(kernel: &[f64], w: &[[f64; L]], sums: &mut [[f64; L]]) {
    for (q, sums) in sums.chunks_exact_mut(R).enumerate() {
        let mut add: [[f64; L]; R] = std::array::from_fn(|r| sums[r]);
        // From the first input to the last the differences of cells fall.
        for (w, k) in w.iter().zip(kernel[q * R..][..w.len() + R - 1].windows(R).rev()) {
            for r in 0..R {
                for l in 0..L {
                    add[r][l] = multiply_add::<F>(k[r], w[l], add[r][l]);
                }
            }
        }
        sums.copy_from_slice(&add);
    }
}

/// The first and after the last of the tiles that may matter to an output of tile i.
#[inline(always)]
fn tiles_near<const L: usize>(axis: &Axis, top: &[[f64; L]], i: usize, least: &[f64; L]) -> (u32, u32) {
    let cut = axis.cut();
    let matters = |(j, top): (usize, &[f64; L])| any::<L>(|l| top[l] - axis.low[i.abs_diff(j)] > least[l] - cut);
    let first = top.iter().enumerate().position(matters).unwrap_or(0);
    let last = top.iter().enumerate().rposition(matters).map_or(first, |last| last + 1);
    (first as u32, last as u32)
}

/// One output for itself: the logarithm of its sum over the tiles that are near.
#[inline(always)]
fn one_by_one<const F: bool, const L: usize>(
    axis: &Axis,
    v: &[[f64; L]],
    top: &[[f64; L]],
    near: (u32, u32),
    at: usize,
    keep: Option<&mut Singles<L>>,
) -> [f64; L] {
    let (cut, near) = (axis.cut(), near.0 as usize..near.1 as usize);
    // Nothing of tile j is above this.
    let bound = |j: usize| -> [f64; L] {
        let low = axis.low_of_one[at + axis.padded() - j * axis.tile];
        std::array::from_fn(|l| top[j][l] - low)
    };
    let largest = |j: usize, highest: [f64; L]| -> [f64; L] {
        (j * axis.tile..((j + 1) * axis.tile).min(axis.size)).fold(highest, |highest, j| {
            let c = axis.costs[at.abs_diff(j)];
            std::array::from_fn(|l| higher(highest[l], v[j][l] - c))
        })
    };
    // The tile that reaches highest spares most of the others a closer look.
    let reach = |j: usize| bound(j).iter().fold(f64::NEG_INFINITY, |m, v| higher(m, *v));
    let first = near.clone().fold((near.start, f64::NEG_INFINITY), |best, j| {
        let reach = reach(j);
        if reach > best.1 { (j, reach) } else { best }
    });
    let mut highest = largest(first.0, [f64::NEG_INFINITY; L]);
    for j in near.clone() {
        let bound = bound(j);
        if any::<L>(|l| bound[l] > highest[l]) {
            highest = largest(j, highest);
        }
    }
    let unit = unit(highest);
    let mut sum = [0.0; L];
    let mut kept = keep.and_then(|singles| singles.reserve(axis.size).then_some(singles));
    let from = kept.as_ref().map_or(0, |singles| singles.cells.len());
    for j in near {
        let bound = bound(j);
        if !any::<L>(|l| bound[l] > highest[l] - cut) {
            continue;
        }
        for j in j * axis.tile..((j + 1) * axis.tile).min(axis.size) {
            let c = axis.costs[at.abs_diff(j)];
            if !any::<L>(|l| v[j][l] - c > highest[l] - cut) {
                continue;
            }
            let e: [f64; L] = std::array::from_fn(|l| exp::<F>(v[j][l] - c - unit[l]));
            sum = std::array::from_fn(|l| sum[l] + e[l]);
            if let Some(singles) = &mut kept {
                singles.cells.push(j as u32);
                singles.shares.push(e);
            }
        }
    }
    if let Some(singles) = kept {
        let inverse: [f64; L] = std::array::from_fn(|l| if sum[l] > 0.0 { 1.0 / sum[l] } else { 0.0 });
        for share in &mut singles.shares[from..] {
            *share = std::array::from_fn(|l| share[l] * inverse[l]);
        }
        singles.ends.push(singles.cells.len());
    }
    std::array::from_fn(|l| unit[l] + log::<F>(sum[l]))
}

/// Sums along the lines of a group by two sweeps, for costs `step` |i - j|.
///
/// With u_i = max(v_i, u_(i-1) - step) the forward sums are F_i = f_i e^u_i, where f_i = max(1, t) + min(1, t) f_(i-1) in one
/// order or the other and lies between 1 and i + 1. `up` and `room` are for u and f.
#[inline(always)]
fn sweep_logs<const F: bool, const L: usize>(
    size: usize,
    step: f64,
    block: Block<L>,
    keeps: bool,
    up: &mut [[f64; L]],
    room: &mut [[f64; L]],
    out: &mut [[f64; L]],
) {
    let Block { v, e, s, .. } = block;
    let (mut u, mut f) = ([f64::NEG_INFINITY; L], [1.0; L]);
    for i in 0..size {
        let below: [f64; L] = std::array::from_fn(|l| u[l] - step);
        let own = join::<F, L>(&v[i], &below, &mut f);
        u = std::array::from_fn(|l| higher(v[i][l], below[l]));
        if keeps {
            e[i] = std::array::from_fn(|l| own[l] / f[l]);
        }
        (up[i], room[i]) = (u, f);
    }
    let (mut u, mut g) = ([f64::NEG_INFINITY; L], [1.0; L]);
    for i in (0..size).rev() {
        // What comes from beyond i meets the forward sum of i, and then i itself joins it.
        let below: [f64; L] = std::array::from_fn(|l| u[l] - step);
        let mut both = g;
        let ahead = join_sums::<F, L>(&up[i], &room[i], &below, &mut both);
        out[i] = std::array::from_fn(|l| higher(up[i][l], below[l]) + log::<F>(both[l]));
        let own = join::<F, L>(&v[i], &below, &mut g);
        u = std::array::from_fn(|l| higher(v[i][l], below[l]));
        if keeps {
            s[i] = std::array::from_fn(|l| own[l] / g[l]);
            v[i] = std::array::from_fn(|l| (both[l] - ahead[l]) / both[l]);
        }
    }
}

/// f e^u becomes f e^u + e^v in the unit of the higher of u and v; what e^v adds to f.
#[inline(always)]
fn join<const F: bool, const L: usize>(v: &[f64; L], u: &[f64; L], f: &mut [f64; L]) -> [f64; L] {
    join_sums::<F, L>(v, &[1.0; L], u, f)
}

/// f e^u becomes f e^u + w e^v in the unit of the higher of u and v; what w e^v adds to f. Nothing comes of v = -infinity.
#[inline(always)]
fn join_sums<const F: bool, const L: usize>(v: &[f64; L], w: &[f64; L], u: &[f64; L], f: &mut [f64; L]) -> [f64; L] {
    let gap: [f64; L] = std::array::from_fn(|l| if v[l] > f64::NEG_INFINITY { v[l] - u[l] } else { f64::NEG_INFINITY });
    let t: [f64; L] = std::array::from_fn(|l| exp::<F>(-gap[l].abs()));
    let add: [f64; L] = std::array::from_fn(|l| if gap[l] >= 0.0 { w[l] } else { t[l] * w[l] });
    *f = std::array::from_fn(|l| if gap[l] >= 0.0 { multiply_add::<F>(t[l], f[l], add[l]) } else { f[l] + add[l] });
    add
}

/// Averages of x (with `step` above 0 of x and the cost) by two sweeps.
#[inline(always)]
fn sweep_averages<const L: usize>(size: usize, step: f64, block: Block<L>, x: &[[f64; L]], out: &mut [[f64; L]]) {
    let mut mean = [0.0; L];
    for i in 0..size {
        mean = std::array::from_fn(|l| {
            let before = mean[l] + step;
            before + block.e[i][l] * (x[i][l] - before)
        });
        out[i] = mean;
    }
    let mut mean = [0.0; L];
    for i in (0..size).rev() {
        let before: [f64; L] = std::array::from_fn(|l| mean[l] + step);
        out[i] = std::array::from_fn(|l| out[i][l] + block.v[i][l] * (before[l] - out[i][l]));
        mean = std::array::from_fn(|l| before[l] + block.s[i][l] * (x[i][l] - before[l]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the standard library, over all that is asked of them, with both roundings.
    #[test]
    fn exponentials_and_logarithms() {
        for k in 0..20_000 {
            let x = -0.0354 * k as f64 * 1.0001;
            for e in [exp::<true>(x), exp::<false>(x)] {
                assert!((e - x.exp()).abs() <= 1e-15 * x.exp() || x < -707.9, "{x} {e}");
            }
            let y = (x + 20.0).exp();
            for l in [log::<true>(y), log::<false>(y)] {
                assert!((l - y.ln()).abs() <= 5e-16 * y.ln().abs().max(0.3) || x < -708.0, "{y} {l}");
            }
        }
        assert!(exp::<true>(f64::NEG_INFINITY) == 0.0 && exp::<true>(-800.0) == 0.0 && exp::<true>(0.0) == 1.0);
        assert!(log::<true>(0.0) == f64::NEG_INFINITY && log::<true>(1.0) == 0.0);
    }

    /// Sums and averages are those of the definition, for tiles of each size, single outputs and sweeps, on both sides of a
    /// closed axis, with cells without mass.
    #[test]
    fn sums_are_those_of_the_definition() {
        let pool = Pool::new();
        for (sizes, power) in [(vec![70], 2.0), (vec![70], 1.0), (vec![33, 11], 2.0), (vec![33, 11], 1.0), (vec![9, 1, 30], 1.5)] {
            for closed in [false, true] {
                for scale in [1.0, 30.0, 1e3, 1e5] {
                    let lengths: Vec<f64> = sizes.iter().map(|s| 1.0 / *s as f64).collect();
                    let grid = Grid::new(&sizes, &lengths, &vec![closed; sizes.len()], power).unwrap();
                    let n: usize = sizes.iter().product();
                    let value = |i: usize| if i % 7 == 3 { f64::NEG_INFINITY } else { 0.7 * scale * (i as f64 * 0.11).sin() };
                    let v: Vec<f64> = (0..n).map(value).collect();
                    let x: Vec<f64> = (0..n).map(|i| (i as f64).cos()).collect();
                    let mut sums = new(&grid, scale).unwrap();
                    let (mut logs, mut squares, mut means, mut costs) = (vec![0.0; n], vec![0.0; n], vec![0.0; n], vec![0.0; n]);
                    sums.log_squares(&pool, &v, &mut squares).unwrap();
                    sums.log_sums(&pool, &v, Some(Side::Columns), &mut logs).unwrap();
                    sums.averages(&pool, Side::Columns, &x, false, &mut means).unwrap();
                    sums.averages(&pool, Side::Columns, &x, true, &mut costs).unwrap();
                    let mut room = vec![0.0; n];
                    for i in 0..n {
                        let row = super::super::geometry::Rows::row(&grid, i, &mut room).unwrap();
                        let of = |s: f64, with: &dyn Fn(usize) -> f64| {
                            let top = v.iter().zip(row.iter()).fold(f64::NEG_INFINITY, |m, (v, c)| m.max(v - s * c));
                            let terms = (0..n).map(|j| ((v[j] - s * row[j] - top).exp(), with(j)));
                            let (sum, weighted) = terms.fold((0.0, 0.0), |(sum, w), (e, x)| (sum + e, w + e * x));
                            (top + sum.ln(), weighted / sum)
                        };
                        let close = |a: f64, b: f64, unit: f64| {
                            assert!((a - b).abs() < 1e-13 * (1.0 + scale) * unit, "{sizes:?} {power} {scale} {i}: {a} {b}")
                        };
                        close(logs[i], of(scale, &|_| 0.0).0, 1.0);
                        close(squares[i], of(2.0 * scale, &|_| 0.0).0, 2.0);
                        close(means[i], of(scale, &|j| x[j]).1, 1.0);
                        close(costs[i], of(scale, &|j| x[j] + scale * row[j]).1, 1.0 + scale);
                    }
                }
            }
        }
    }
}
