use super::args;
use super::callback::{rkn_cost_row_fn, rkn_release_fn, HostCost, User};
use super::context::{context_or_default, rkn_context};
use super::guard::{guard, guard_void};
use super::handle::{self, Busy, Handle};
use super::operator::{base_of, by_index, copies, dimension, order_of};
use super::status::*;
use crate::linalg::Panel;
use crate::operator::{check, Order};
use crate::runtime::{memory, Error, Kind, Result};
use crate::transport::geometry::{Callback, Costs, Distance, Geometry, Grid, Matrix, Points, Rows, Sparse};
use std::ffi::c_void;
use std::sync::Arc;

/// What transport costs: a matrix, two clouds of points, a grid, a pattern of allowed entries, or rows that the caller
/// writes. Solvers keep what they need of it, so it may be destroyed first.
pub struct rkn_geometry {
    busy: Busy,
    pub(super) geometry: Arc<Geometry>,
}

impl Handle for rkn_geometry {
    const KIND: handle::Kind = handle::Kind::Geometry;
    fn busy(&self) -> &Busy {
        &self.busy
    }
}

fn publish(out: &mut *mut rkn_geometry, geometry: Geometry) -> Result<()> {
    *out = handle::publish(rkn_geometry { busy: Busy::default(), geometry: Arc::new(geometry) });
    Ok(())
}

fn plain(n: usize, m: usize, rows: impl Rows + Send + Sync + 'static) -> Geometry {
    Geometry::new(n, m, Costs::Plain(Box::new(rows)), false)
}

/// Sizes of a cost: neither may be zero.
fn sizes(n: i64, m: i64) -> Result<(usize, usize)> {
    let size = |v: i64, name: &'static str| match dimension(v, name)? {
        0 => Err(Error::size(name, 0, "be positive")),
        v if v > u32::MAX as usize => Err(Error::size(name, v, "fit in 32 bits")),
        v => Ok(v),
    };
    Ok((size(n, "n")?, size(m, "m")?))
}

/// A dense cost C, n x m.
///
/// scalar: RKN_F64 or RKN_F32. order: RKN_COLUMN_MAJOR or RKN_ROW_MAJOR. C: entry (i, j) at i + j * ld, or at i * ld + j for
/// row-major; all finite, of any sign. ld: leading dimension, at least n (m for row-major). memory: RKN_BORROW:
/// C outlives the geometry and every solver that last solved with it, and does not change.
/// out: gets the handle, to be freed by rkn_geometry_destroy.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SCALAR (complex), RKN_ERR_SIZE (also n or m is 0), RKN_ERR_ARGUMENT,
/// RKN_ERR_NONFINITE, RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_geometry_create_matrix(
    ctx: *const rkn_context,
    scalar: rkn_scalar,
    n: i64,
    m: i64,
    order: rkn_order,
    C: *const c_void,
    ld: i64,
    memory: rkn_memory,
    out: *mut *mut rkn_geometry,
) -> rkn_status {
    guard("rkn_geometry_create_matrix", || {
        let out = args::out_handle(out)?;
        context_or_default(ctx)?;
        let (n, m) = sizes(n, m)?;
        let (copy, is_transposed) = (copies(memory)?, order_of(order)? == Order::ColumnMajor);
        // Columns are the rows of C^T.
        let (n, m) = if is_transposed { (m, n) } else { (n, m) };
        let ld = args::length(ld, "ld")?;
        let len = args::panel_len(m, n, ld, "ld")?;
        let rows: Box<dyn Rows + Send + Sync> = match args::kind(scalar)? {
            Kind::F64 => Box::new(Matrix::new(args::slice::<f64>(C, len, "C")?.as_ptr(), n, m, ld, copy)?),
            Kind::F32 => Box::new(Matrix::new(args::slice::<f32>(C, len, "C")?.as_ptr(), n, m, ld, copy)?),
            _ => return Err(Error::Scalar("argument 'scalar' is complex, a cost must be RKN_F64 or RKN_F32".to_string())),
        };
        let geometry = Geometry::new(n, m, Costs::Plain(rows), is_transposed);
        geometry.scale()?;
        publish(out, geometry)
    })
}

/// The cost of going from points x_i to points y_j: (sum_k w_k |x_k - y_k|^p)^(q/p). Takes no memory beyond the points.
///
/// d: coordinates of a point. n, x, ldx: d x n, column-major with leading dimension ldx >= d, a column a point. m, y,
/// ldy: the same of the others. Copied; all finite.
/// p, q: 2 and 2 is the squared Euclidean distance, 2 and 1 the Euclidean, 1 and 1 the taxicab; both positive.
/// weights: d positive numbers w, NULL for ones. periods: d numbers, the length of the box along each axis, 0 where
/// space does not close; NULL for none. Distances are then to the nearest image.
/// out: as in rkn_geometry_create_matrix. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE, RKN_ERR_ARGUMENT,
/// RKN_ERR_NONFINITE, RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_geometry_create_points(
    ctx: *const rkn_context,
    d: i64,
    n: i64,
    x: *const f64,
    ldx: i64,
    m: i64,
    y: *const f64,
    ldy: i64,
    p: f64,
    q: f64,
    weights: *const f64,
    periods: *const f64,
    out: *mut *mut rkn_geometry,
) -> rkn_status {
    guard("rkn_geometry_create_points", || {
        let out = args::out_handle(out)?;
        context_or_default(ctx)?;
        let (n, m) = sizes(n, m)?;
        let d = match dimension(d, "d")? {
            0 => return Err(Error::size("d", 0, "be positive")),
            d => d,
        };
        let cloud = |pointer: *const f64, count: usize, ld: i64, names: [&'static str; 2]| -> Result<Panel<'_, f64>> {
            let ld = args::length(ld, names[1])?;
            let data = args::slice::<f64>(pointer.cast(), args::panel_len(d, count, ld, names[1])?, names[0])?;
            let panel = Panel { data, nrows: d, ncols: count, ld: args::stride(d, ld) };
            (0..count).try_for_each(|j| check::finite(names[0], panel.col(j)))?;
            Ok(panel)
        };
        let (x, y) = (cloud(x, n, ldx, ["x", "ldx"])?, cloud(y, m, ldy, ["y", "ldy"])?);
        let distance = Distance { norm: positive(p, "p")?, power: positive(q, "q")? };
        let weights = if weights.is_null() { None } else { Some(args::slice::<f64>(weights.cast(), d, "weights")?) };
        let periods = if periods.is_null() { None } else { Some(args::slice::<f64>(periods.cast(), d, "periods")?) };
        weights.unwrap_or(&[]).iter().try_for_each(|w| positive(*w, "weights").map(|_| ()))?;
        check::finite("periods", periods.unwrap_or(&[]))?;
        if let Some(v) = periods.unwrap_or(&[]).iter().find(|v| **v < 0.0) {
            return Err(Error::argument("periods", v, "not be negative"));
        }
        publish(out, plain(n, m, Points::new(x, y, distance, weights, periods)?))
    })
}

fn positive(v: f64, name: &'static str) -> Result<f64> {
    if v > 0.0 && v.is_finite() { Ok(v) } else { Err(Error::argument(name, v, "be positive and finite")) }
}

/// A regular grid of cells in one to three dimensions, from which mass goes to the same grid at the cost
/// sum_k (h_k |i_k - j_k|)^p. Takes no memory beyond a table an axis.
///
/// d: 1, 2 or 3. size: d numbers of cells; the last axis runs fastest. h: d positive lengths of a cell, NULL for ones.
/// periodic: d flags, 1 where an axis closes; NULL for none. p: positive.
/// The cost is n x n with n the product of the sizes. out, errors: as in rkn_geometry_create_points.
#[no_mangle]
pub unsafe extern "C" fn rkn_geometry_create_grid(
    ctx: *const rkn_context,
    d: i64,
    size: *const i64,
    h: *const f64,
    periodic: *const i32,
    p: f64,
    out: *mut *mut rkn_geometry,
) -> rkn_status {
    guard("rkn_geometry_create_grid", || {
        let out = args::out_handle(out)?;
        context_or_default(ctx)?;
        let d = args::length(d, "d")?;
        if !(1..=3).contains(&d) {
            return Err(Error::argument("d", d, "be 1, 2 or 3"));
        }
        let mut sizes = [1usize; 3];
        for (to, v) in sizes.iter_mut().zip(args::slice::<i64>(size.cast(), d, "size")?) {
            *to = match dimension(*v, "size")? {
                0 => return Err(Error::size("size", 0, "be positive")),
                v => v,
            };
        }
        let n = sizes.iter().try_fold(1usize, |n, v| n.checked_mul(*v)).filter(|n| *n <= u32::MAX as usize);
        let n = n.ok_or_else(|| Error::size("size", "a product", "fit in 32 bits"))?;
        let mut lengths = [1.0; 3];
        if !h.is_null() {
            for (to, v) in lengths.iter_mut().zip(args::slice::<f64>(h.cast(), d, "h")?) {
                *to = positive(*v, "h")?;
            }
        }
        let mut closes = [false; 3];
        if !periodic.is_null() {
            for (to, v) in closes.iter_mut().zip(args::slice::<i32>(periodic.cast(), d, "periodic")?) {
                *to = args::choice(*v, "periodic", "0, 1", &[false, true])?;
            }
        }
        publish(out, plain(n, n, Grid::new(&sizes[..d], &lengths[..d], &closes[..d], positive(p, "p")?)?))
    })
}

/// Costs of allowed entries, in compressed rows; all other entries are forbidden.
///
/// n, m: the shape. index, base: kind and first number of the indices. rowptr: n + 1 offsets; colind: column indices, each
/// at most once a row, in any order; C: their costs, finite. Copied.
/// out: as in rkn_geometry_create_matrix. Errors: those, and RKN_ERR_INDEX.
#[no_mangle]
pub unsafe extern "C" fn rkn_geometry_create_sparse(
    ctx: *const rkn_context,
    n: i64,
    m: i64,
    index: rkn_index,
    base: i32,
    rowptr: *const c_void,
    colind: *const c_void,
    C: *const f64,
    out: *mut *mut rkn_geometry,
) -> rkn_status {
    guard("rkn_geometry_create_sparse", || {
        let out = args::out_handle(out)?;
        context_or_default(ctx)?;
        let (n, m) = sizes(n, m)?;
        let base = base_of(base)?;
        by_index!(index, I => {
            let ptr = args::slice::<I>(rowptr, n + 1, "rowptr")?;
            let entries = check::pointers("rowptr", ptr, base)?;
            let ind = args::slice::<I>(colind, entries, "colind")?;
            check::indices("colind", ind, m, base)?;
            let cost = args::slice::<f64>(C.cast(), entries, "C")?;
            check::finite("C", cost)?;
            let mut idx = memory::with_capacity(entries, "a pattern of costs")?;
            idx.extend(ind.iter().map(|j| check::Index::at(*j, base) as u32));
            let ptr: Vec<usize> = ptr.iter().map(|p| check::Index::at(*p, base)).collect();
            let mut seen = memory::filled(m, usize::MAX, "a pattern of costs")?;
            for i in 0..n {
                for j in &idx[ptr[i]..ptr[i + 1]] {
                    if std::mem::replace(&mut seen[*j as usize], i) == i {
                        return Err(Error::Index(format!("argument 'colind' has column {j} twice in row {i} (base 0), must have it once")));
                    }
                }
            }
            publish(out, Geometry::new(n, m, Costs::Sparse(Sparse { ptr, idx, cost: memory::copied(cost, "costs")? }), false))
        })
    })
}

/// A cost whose rows a callback of the caller writes, each time they are needed.
///
/// n, m: the shape. row: see rkn_cost_row_fn; called on the thread that solves. user: passed back to it. release: called
/// once with `user` when the geometry is let go for good; may be NULL. After a failure of this function it is not called.
/// out: as in rkn_geometry_create_matrix. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE.
#[no_mangle]
pub unsafe extern "C" fn rkn_geometry_create_callback(
    ctx: *const rkn_context,
    n: i64,
    m: i64,
    row: rkn_cost_row_fn,
    user: *mut c_void,
    release: rkn_release_fn,
    out: *mut *mut rkn_geometry,
) -> rkn_status {
    guard("rkn_geometry_create_callback", || {
        let out = args::out_handle(out)?;
        context_or_default(ctx)?;
        let (n, m) = sizes(n, m)?;
        let function = row.ok_or(Error::Null("row"))?;
        let host = HostCost { function, user: User::new(user, release) };
        publish(out, Geometry::new(n, m, Costs::Host(Box::new(Callback(Box::new(move |i, row| host.row(i, row))))), false))
    })
}

/// Frees a geometry. NULL and dead handles are ignored.
#[no_mangle]
pub unsafe extern "C" fn rkn_geometry_destroy(G: *mut rkn_geometry) {
    guard_void(|| handle::destroy(G));
}

/// The shape of the cost.
///
/// n, m: get its rows and columns; either may be NULL. Errors: RKN_ERR_NULL, RKN_ERR_HANDLE.
#[no_mangle]
pub unsafe extern "C" fn rkn_geometry_shape(G: *const rkn_geometry, n: *mut i64, m: *mut i64) -> rkn_status {
    guard("rkn_geometry_shape", || {
        let G = handle::inspect(G, "G")?;
        let (rows, columns) = G.geometry.shape();
        for (to, v) in [(args::optional_out(n, "n")?, rows), (args::optional_out(m, "m")?, columns)] {
            to.into_iter().for_each(|to| *to = v as i64);
        }
        Ok(())
    })
}
