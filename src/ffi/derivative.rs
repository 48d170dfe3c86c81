use super::args;
use super::guard::guard;
use super::handle;
use super::operator::order_of;
use super::sinkhorn::rkn_sinkhorn;
use super::status::*;
use crate::linalg::PanelMut;
use crate::operator::{check, Order};
use crate::runtime::{Error, Result};
use crate::transport::derivative::{Cotangent, Gradients};
use crate::transport::laplacian::Strided;
use crate::transport::Sinkhorn;

/// The derivative of the value of the last solve ("primal", "dual") with respect to points: sum_j P_ij dc(x_i, y_j)/dx_i,
/// and the same for y. One pass. The value's other derivatives are at hand: with respect to C it is P, to a and b it is f
/// and g, up to a constant that moves from one to the other.
///
/// Where the distance has no derivative (equal points, a coordinate in common at p = 1, half a period apart) zero or that of
/// one side is taken.
/// dX, lddx: d x n, column-major with leading dimension lddx >= d, as x of rkn_geometry_create_points; NULL if not wanted.
/// dY, lddy: the same for y.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_ARGUMENT (dX and dY overlap), RKN_ERR_STATE
/// (nothing has been solved yet, or the geometry has no points), RKN_ERR_MEMORY.
/// Source: Feydy et al. 2019 (arXiv 1810.08278), section 3.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_gradient_points(
    s: *const rkn_sinkhorn,
    dX: *mut f64,
    lddx: i64,
    dY: *mut f64,
    lddy: i64,
) -> rkn_status {
    guard("rkn_sinkhorn_gradient_points", || {
        let s = handle::shared(s, "s")?;
        let solver = s.read();
        solver.dimension()?;
        let [x, y] = clouds(&solver, dX, lddx, dY, lddy)?;
        apart(&[x.as_ref().map(|x| ("dX", &*x.data)), y.as_ref().map(|y| ("dY", &*y.data))])?;
        solver.gradient_points(&solver.context.pool, x, y)
    })
}

/// Derivatives of a function of the potentials of the last solve, from its derivatives with respect to them (cotangents): a
/// vector-Jacobian product, by one linear system. Any of da, db, dC, dX, dY may be NULL.
///
/// wf, wg: n and m cotangents of f and g. Potentials are defined up to a constant, so a function of them must not change
/// with it: sum wf = sum wg to 1e-8 of the sum of their magnitudes. What stands at points without mass does not count.
/// da, db: n and m numbers, along changes that keep sum a = sum b. Only with these they have a meaning: a constant may be
/// added to da and taken from db. It is chosen such that sum a da = sum b db. At a point without mass they are those of a first
/// grain of mass there, 0 if it may go nowhere.
/// order, dC, lddc: n x m, row-major with leading dimension lddc >= m or column-major with lddc >= n; order counts only with dC.
/// dX, lddx, dY, lddy: as in rkn_sinkhorn_gradient_points; with respect to x and y of a geometry of points.
///
/// The system is solved to "derivative_tolerance"; "derivative_products" and "derivative_residual" tell how that went. What
/// it taught is kept until the next solve and makes further calls cheaper. Results are those at the potentials and
/// marginals at hand: solve to a tolerance that fits. The plan is not formed; where few of its entries count they are listed.
/// Returns RKN_OK, or RKN_STOP_STAGNATION (the plan nearly falls apart into blocks: no derivative to that accuracy) or
/// RKN_STOP_INTERRUPT with the best found.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_ARGUMENT (unequal sums, an output overlaps),
/// RKN_ERR_NONFINITE, RKN_ERR_STATE (nothing has been solved yet, or no points), RKN_ERR_CALLBACK (of a row; dC may then be
/// unfinished), RKN_ERR_MEMORY.
/// Source: implicit differentiation, Eisenberger et al. 2022 (arXiv 2205.06688); the kept solutions, Saad et al. 2000.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_vjp_potentials(
    s: *mut rkn_sinkhorn,
    wf: *const f64,
    wg: *const f64,
    da: *mut f64,
    db: *mut f64,
    order: rkn_order,
    dC: *mut f64,
    lddc: i64,
    dX: *mut f64,
    lddx: i64,
    dY: *mut f64,
    lddy: i64,
) -> rkn_status {
    guard("rkn_sinkhorn_vjp_potentials", || {
        let s = handle::exclusive(s, "s")?;
        let mut solver = s.solver.borrow_mut();
        let (_, n, m) = solver.plan_shape()?;
        let (wf, wg) = (args::slice::<f64>(wf.cast(), n, "wf")?, args::slice::<f64>(wg.cast(), m, "wg")?);
        check::finite("wf", wf)?;
        check::finite("wg", wg)?;
        let out = gradients(&solver, &[wf, wg], [da, db], (order, dC, lddc), (dX, lddx), (dY, lddy))?;
        let done = solver.vjp(&s.setup.borrow(), Cotangent::Potentials { wf, wg }, out);
        done
    })
}

/// Derivatives of a function of the plan P of the last solve, from its derivatives W with respect to the entries of P; otherwise as
/// rkn_sinkhorn_vjp_potentials.
///
/// order: of W and dC. W, ldw: n x m, row-major with leading dimension ldw >= m or column-major with ldw >= n; all finite.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_vjp_plan(
    s: *mut rkn_sinkhorn,
    order: rkn_order,
    W: *const f64,
    ldw: i64,
    da: *mut f64,
    db: *mut f64,
    dC: *mut f64,
    lddc: i64,
    dX: *mut f64,
    lddx: i64,
    dY: *mut f64,
    lddy: i64,
) -> rkn_status {
    guard("rkn_sinkhorn_vjp_plan", || {
        let s = handle::exclusive(s, "s")?;
        let mut solver = s.solver.borrow_mut();
        let (_, n, m) = solver.plan_shape()?;
        let (len, row, column) = layout(order, n, m, ldw, "ldw")?;
        let w = Strided { data: args::slice::<f64>(W.cast(), len, "W")?, row, column };
        finite("W", w, n, m)?;
        let out = gradients(&solver, &[w.data], [da, db], (order, dC, lddc), (dX, lddx), (dY, lddy))?;
        let done = solver.vjp(&s.setup.borrow(), Cotangent::Plan(w), out);
        done
    })
}

/// Numbers of an n x m matrix in its array, and from one row and from one column to the next.
fn layout(order: rkn_order, n: usize, m: usize, ld: i64, name: &'static str) -> Result<(usize, usize, usize)> {
    let ld = args::length(ld, name)?;
    Ok(match order_of(order)? {
        Order::RowMajor => (args::panel_len(m, n, ld, name)?, ld, 1),
        Order::ColumnMajor => (args::panel_len(n, m, ld, name)?, 1, ld),
    })
}

/// Every entry of an n x m matrix is a number.
pub(super) fn finite(name: &'static str, w: Strided, n: usize, m: usize) -> Result<()> {
    for i in 0..n {
        if let Some(j) = (0..m).find(|j| !w.data[i * w.row + j * w.column].is_finite()) {
            let v = w.data[i * w.row + j * w.column];
            return Err(Error::NonFinite(format!("argument '{name}' has {v} in row {i} and column {j} (base 0), must be finite")));
        }
    }
    Ok(())
}

/// No two of these arrays share memory; of those that do the later one is named.
pub(super) fn apart(arrays: &[Option<(&'static str, &[f64])>]) -> Result<()> {
    let given: Vec<_> = arrays.iter().flatten().collect();
    for (k, (name, array)) in given.iter().enumerate() {
        if let Some((other, _)) = given[..k].iter().find(|(_, other)| args::overlap(*other, *array)) {
            return Err(Error::argument(name, format!("overlapping {other}"), "be memory of its own"));
        }
    }
    Ok(())
}

fn clouds<'a>(solver: &Sinkhorn, dX: *mut f64, lddx: i64, dY: *mut f64, lddy: i64) -> Result<[Option<PanelMut<'a, f64>>; 2]> {
    let (_, n, m) = solver.plan_shape()?;
    let cloud = |to: *mut f64, count: usize, ld: i64, names: [&'static str; 2]| -> Result<Option<PanelMut<'a, f64>>> {
        if to.is_null() {
            return Ok(None);
        }
        let (d, ld) = (solver.dimension()?, args::length(ld, names[1])?);
        let data = args::slice_mut::<f64>(to.cast(), args::panel_len(d, count, ld, names[1])?, names[0])?;
        Ok(Some(PanelMut { data, nrows: d, ncols: count, ld }))
    };
    Ok([cloud(dX, n, lddx, ["dX", "lddx"])?, cloud(dY, m, lddy, ["dY", "lddy"])?])
}

fn gradients<'a>(
    solver: &Sinkhorn,
    inputs: &[&[f64]],
    [da, db]: [*mut f64; 2],
    (order, dC, lddc): (rkn_order, *mut f64, i64),
    (dX, lddx): (*mut f64, i64),
    (dY, lddy): (*mut f64, i64),
) -> Result<Gradients<'a>> {
    let (_, n, m) = solver.plan_shape()?;
    let masses = |to: *mut f64, len: usize, name: &'static str| -> Result<Option<&'a mut [f64]>> {
        if to.is_null() { Ok(None) } else { args::slice_mut::<f64>(to.cast(), len, name).map(Some) }
    };
    let (a, b) = (masses(da, n, "da")?, masses(db, m, "db")?);
    let cost = if dC.is_null() {
        None
    } else {
        let (len, row, column) = layout(order, n, m, lddc, "lddc")?;
        Some((args::slice_mut::<f64>(dC.cast(), len, "dC")?, row, column))
    };
    let [x, y] = clouds(solver, dX, lddx, dY, lddy)?;
    let mut arrays = [None; 7];
    arrays.iter_mut().zip(inputs).for_each(|(to, input)| *to = Some(("a cotangent", *input)));
    arrays[2] = a.as_deref().map(|v| ("da", v));
    arrays[3] = b.as_deref().map(|v| ("db", v));
    arrays[4] = cost.as_ref().map(|(v, _, _)| ("dC", &**v));
    arrays[5] = x.as_ref().map(|v| ("dX", &*v.data));
    arrays[6] = y.as_ref().map(|v| ("dY", &*v.data));
    // Cotangents may share memory, outputs may not, with them or each other.
    for k in 2..arrays.len() {
        apart(&[arrays[0], arrays[k]])?;
        apart(&[arrays[1], arrays[k]])?;
    }
    apart(&arrays[2..])?;
    Ok(Gradients { a, b, cost, x, y })
}
