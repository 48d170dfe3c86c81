use super::args;
use super::context::{context_or_default, rkn_context};
use super::guard::guard;
use super::krylov::counted;
use super::status::*;
use crate::linalg::{Panel, PanelMut};
use crate::operator::check;
use crate::runtime::{memory, Error, Result};
use crate::transport::line::{Masses, Matched, Power};
use crate::transport::sliced::{sliced, Directions};

/// The exact cost of transport on a line: the least sum of P_ij |x_i - y_j|^p over plans P between the masses a and b. It is the
/// p-th power of the Wasserstein distance; the root is not taken. n + m numbers are sorted; nothing of size n m is formed.
///
/// n, x: points, in any order, finite. a: their masses, not negative; NULL: equal ones. m, y, b: the same of the other side. a
/// and b have one sum to 1e-8 of it; b is brought to that of a. Equal masses have the sum of the other side, or 1 if both are
/// equal. p: at least 1.
/// cost: written on success only.
/// Errors: RKN_ERR_NULL, RKN_ERR_SIZE (n or m is 0), RKN_ERR_NONFINITE (also a cost that overflows), RKN_ERR_ARGUMENT (p below 1, a
/// negative mass, unequal sums), RKN_ERR_MEMORY.
/// Source: Santambrogio 2015, "Optimal transport for applied mathematicians", chapter 2.
#[no_mangle]
pub unsafe extern "C" fn rkn_wasserstein_line(
    n: i64,
    x: *const f64,
    a: *const f64,
    m: i64,
    y: *const f64,
    b: *const f64,
    p: f64,
    cost: *mut f64,
) -> rkn_status {
    guard("rkn_wasserstein_line", || {
        let cost = args::out(cost, "cost")?;
        *cost = given(n, x, a, m, y, b, p)?.on_line()?.cost()?;
        Ok(())
    })
}

/// The plan of rkn_wasserstein_line, which is the same for all p: points are matched in order.
///
/// n, x, a, m, y, b: as there.
/// rows, columns, masses: room for cap entries: the mass that goes from point rows[k] of x to point columns[k] of y, indices
/// from 0, in the order of the line. There are n + m - 1 entries at most, each positive; points at one place take turns by index.
/// need: gets the number of entries; may be NULL. cap = 0 asks for it alone, if need is given.
/// Errors: as rkn_wasserstein_line; RKN_ERR_SIZE also if cap is too small.
#[no_mangle]
pub unsafe extern "C" fn rkn_wasserstein_line_plan(
    n: i64,
    x: *const f64,
    a: *const f64,
    m: i64,
    y: *const f64,
    b: *const f64,
    rows: *mut i64,
    columns: *mut i64,
    masses: *mut f64,
    cap: i64,
    need: *mut i64,
) -> rkn_status {
    guard("rkn_wasserstein_line_plan", || write_plan(&given(n, x, a, m, y, b, 1.0)?.on_line()?, rows, columns, masses, cap, need))
}

/// The derivatives of the cost of rkn_wasserstein_line.
///
/// n, x, a, m, y, b, p: as there.
/// cost: gets the cost. gradient_x, gradient_y: n and m numbers, derivatives with respect to the points, those of the cost of
/// the plan that rkn_wasserstein_line_plan delivers. Where the cost has a kink, which is where points of one side with different
/// ways coincide, or x_i = y_j and p = 1, this is one of its one-sided derivatives, and 0 for the pair x_i = y_j.
/// f, g: n and m numbers, derivatives with respect to the masses: a solution of the dual problem, f_i + g_j <= |x_i - y_j|^p, with
/// equality where the plan has mass, and sum a f + sum b g = cost. A constant may be moved from f to g; here both sums
/// are equal. Where sums of masses of both sides coincide, the cost has a kink in the masses, and f, g lie in its middle.
/// Any of the five may be NULL.
/// Errors: as rkn_wasserstein_line.
/// Source: the envelope theorem; Santambrogio 2015, chapters 2 and 7.
#[no_mangle]
pub unsafe extern "C" fn rkn_wasserstein_line_gradient(
    n: i64,
    x: *const f64,
    a: *const f64,
    m: i64,
    y: *const f64,
    b: *const f64,
    p: f64,
    cost: *mut f64,
    gradient_x: *mut f64,
    gradient_y: *mut f64,
    f: *mut f64,
    g: *mut f64,
) -> rkn_status {
    guard("rkn_wasserstein_line_gradient", || {
        write_gradient(&given(n, x, a, m, y, b, p)?.on_line()?, n, m, cost, [gradient_x, gradient_y], [f, g])
    })
}

/// The exact cost of transport on a circle, where |x_i - y_j| is the shorter way round; otherwise as rkn_wasserstein_line. The
/// work is some log(n m) passes over the sorted points.
///
/// period: the length of the circle, positive. x, y: places along it, in any turn.
/// n, x, a, m, y, b, p, cost, errors: as rkn_wasserstein_line; RKN_ERR_ARGUMENT also for period.
/// Source: Delon, Salomon, Sobolevski 2010, SIAM J. Appl. Math. 70 (arXiv 0902.3527).
#[no_mangle]
pub unsafe extern "C" fn rkn_wasserstein_circle(
    period: f64,
    n: i64,
    x: *const f64,
    a: *const f64,
    m: i64,
    y: *const f64,
    b: *const f64,
    p: f64,
    cost: *mut f64,
) -> rkn_status {
    guard("rkn_wasserstein_circle", || {
        let cost = args::out(cost, "cost")?;
        *cost = given(n, x, a, m, y, b, p)?.on_circle(period)?.cost()?;
        Ok(())
    })
}

/// The plan of rkn_wasserstein_circle, in the order of the circle from the cut on. It depends on p.
///
/// period, n, x, a, m, y, b, p: as there. rows, columns, masses, cap, need, errors: as rkn_wasserstein_line_plan.
#[no_mangle]
pub unsafe extern "C" fn rkn_wasserstein_circle_plan(
    period: f64,
    n: i64,
    x: *const f64,
    a: *const f64,
    m: i64,
    y: *const f64,
    b: *const f64,
    p: f64,
    rows: *mut i64,
    columns: *mut i64,
    masses: *mut f64,
    cap: i64,
    need: *mut i64,
) -> rkn_status {
    guard("rkn_wasserstein_circle_plan", || {
        write_plan(&given(n, x, a, m, y, b, p)?.on_circle(period)?, rows, columns, masses, cap, need)
    })
}

/// The derivatives of the cost of rkn_wasserstein_circle.
///
/// period, n, x, a, m, y, b, p: as there. cost, gradient_x, gradient_y, f, g, errors: as rkn_wasserstein_line_gradient; there is a
/// kink also where a pair is half a turn apart, and one of its derivatives is delivered.
#[no_mangle]
pub unsafe extern "C" fn rkn_wasserstein_circle_gradient(
    period: f64,
    n: i64,
    x: *const f64,
    a: *const f64,
    m: i64,
    y: *const f64,
    b: *const f64,
    p: f64,
    cost: *mut f64,
    gradient_x: *mut f64,
    gradient_y: *mut f64,
    f: *mut f64,
    g: *mut f64,
) -> rkn_status {
    guard("rkn_wasserstein_circle_gradient", || {
        write_gradient(&given(n, x, a, m, y, b, p)?.on_circle(period)?, n, m, cost, [gradient_x, gradient_y], [f, g])
    })
}

/// The sliced cost between clouds of points: the mean, over random directions, of the exact cost on a line of their projections
/// (rkn_wasserstein_line; no root is taken).
///
/// ctx: its threads share the directions; the result does not depend on them.
/// d: coordinates of a point. n, X, ldx: d x n, column-major with leading dimension ldx >= d, a column a point; a: masses. m, Y,
/// ldy, b: the same of the others. All finite; a, b and p as in rkn_wasserstein_line.
/// projections: how many directions, at least 1; uniform on the sphere. seed: which ones, added to the seed of the context:
/// the same for the same seed, and the first of more are those of fewer. For another sample in each step count it up.
/// cost: gets the mean; its standard error falls as 1 / sqrt(projections).
/// gradient_X: gets the derivative of that mean with respect to X, d x n with leading dimension ldgx >= d; NULL if not wanted.
/// Must not overlap X and Y. For the derivative with respect to Y exchange the two sides.
/// Errors: as rkn_wasserstein_line, and RKN_ERR_HANDLE; RKN_ERR_SIZE for d, projections and leading dimensions.
/// Source: Bonneel, Rabin, Peyre, Pfister 2015, J. Math. Imaging Vision 51.
#[no_mangle]
pub unsafe extern "C" fn rkn_wasserstein_sliced(
    ctx: *const rkn_context,
    d: i64,
    n: i64,
    X: *const f64,
    ldx: i64,
    a: *const f64,
    m: i64,
    Y: *const f64,
    ldy: i64,
    b: *const f64,
    p: f64,
    projections: i64,
    seed: i64,
    cost: *mut f64,
    gradient_X: *mut f64,
    ldgx: i64,
) -> rkn_status {
    guard("rkn_wasserstein_sliced", || {
        let context = context_or_default(ctx)?;
        let cost = args::out(cost, "cost")?;
        let d = positive(d, "d")?;
        let (n, m) = (positive(n, "n")?, positive(m, "m")?);
        let (x, y) = (cloud(d, n, X, ldx, ["X", "ldx"])?, cloud(d, m, Y, ldy, ["Y", "ldy"])?);
        let masses = Masses::new(n, optional(a, n, "a")?, m, optional(b, m, "b")?)?;
        let power = Power::new(p)?;
        let directions = Directions { count: positive(projections, "projections")?, seed };
        if gradient_X.is_null() {
            *cost = sliced(&context, x, y, masses, power, directions, None)?;
            return Ok(());
        }
        let ld = args::length(ldgx, "ldgx")?;
        let room = || args::slice_mut::<f64>(gradient_X.cast(), args::panel_len(d, n, ld, "ldgx")?, "gradient_X");
        room()?;
        let mut gradient = memory::filled(memory::product(d, n, "a gradient")?, 0.0, "a gradient")?;
        *cost = sliced(&context, x, y, masses, power, directions, Some(&mut gradient))?;
        let columns = PanelMut { data: room()?, nrows: d, ncols: n, ld }.split();
        columns.zip(gradient.chunks(d)).for_each(|(to, from)| to.copy_from_slice(from));
        Ok(())
    })
}

/// What all functions of one dimension are given.
struct Given<'a> {
    x: &'a [f64],
    y: &'a [f64],
    masses: Masses<'a>,
    power: Power,
}

impl<'a> Given<'a> {
    fn on_line(self) -> Result<Matched<'a>> {
        Matched::line(self.x, self.y, self.masses, self.power)
    }

    fn on_circle(self, period: f64) -> Result<Matched<'a>> {
        Matched::circle(period, self.x, self.y, self.masses, self.power)
    }
}

fn given<'a>(n: i64, x: *const f64, a: *const f64, m: i64, y: *const f64, b: *const f64, p: f64) -> Result<Given<'a>> {
    let (n, m) = (positive(n, "n")?, positive(m, "m")?);
    let (x, y) = (args::slice::<f64>(x.cast(), n, "x")?, args::slice::<f64>(y.cast(), m, "y")?);
    check::finite("x", x)?;
    check::finite("y", y)?;
    let masses = Masses::new(n, optional(a, n, "a")?, m, optional(b, m, "b")?)?;
    Ok(Given { x, y, masses, power: Power::new(p)? })
}

fn positive(v: i64, name: &'static str) -> Result<usize> {
    match args::length(v, name)? {
        0 => Err(Error::size(name, 0, "be positive")),
        v => Ok(v),
    }
}

fn optional<'a>(values: *const f64, count: usize, name: &'static str) -> Result<Option<&'a [f64]>> {
    if values.is_null() { Ok(None) } else { args::slice(values.cast(), count, name).map(Some) }
}

/// Points, a column each.
fn cloud<'a>(d: usize, count: usize, data: *const f64, ld: i64, names: [&'static str; 2]) -> Result<Panel<'a, f64>> {
    let ld = args::length(ld, names[1])?;
    let data = args::slice::<f64>(data.cast(), args::panel_len(d, count, ld, names[1])?, names[0])?;
    let points = Panel { data, nrows: d, ncols: count, ld };
    for j in 0..count {
        if let Some(k) = points.col(j).iter().position(|v| !v.is_finite()) {
            let v = points.col(j)[k];
            return Err(Error::NonFinite(format!("argument '{}' has {v} in row {k} of column {j} (base 0), must be finite", names[0])));
        }
    }
    Ok(points)
}

fn write_plan(matched: &Matched, rows: *mut i64, columns: *mut i64, masses: *mut f64, cap: i64, need: *mut i64) -> Result<()> {
    let mut plan = memory::with_capacity(matched.most_entries(), "a plan")?;
    matched.for_plan(|i, j, mass| plan.push((i as i64, j as i64, mass)));
    let Some(count) = counted(plan.len(), cap, need)? else { return Ok(()) };
    let rows = args::slice_mut::<i64>(rows.cast(), count, "rows")?;
    let columns = args::slice_mut::<i64>(columns.cast(), count, "columns")?;
    let masses = args::slice_mut::<f64>(masses.cast(), count, "masses")?;
    for (k, entry) in plan.into_iter().enumerate() {
        (rows[k], columns[k], masses[k]) = entry;
    }
    Ok(())
}

/// All that is written may be NULL.
fn write_gradient(matched: &Matched, n: i64, m: i64, cost: *mut f64, gradients: [*mut f64; 2], potentials: [*mut f64; 2]) -> Result<()> {
    let (n, m) = (n as usize, m as usize);
    let cost = args::optional_out(cost, "cost")?;
    let room = |pointer: *mut f64, count: usize, name: &'static str| -> Result<&mut [f64]> {
        args::slice_mut(pointer.cast(), if pointer.is_null() { 0 } else { count }, name)
    };
    let wanted = [(gradients[0], n, "gradient_x"), (gradients[1], m, "gradient_y"), (potentials[0], n, "f"), (potentials[1], m, "g")];
    let mut values: [Vec<f64>; 4] = Default::default();
    for ((pointer, count, name), values) in wanted.iter().zip(&mut values) {
        *values = memory::filled(room(*pointer, *count, name)?.len(), 0.0, "a gradient")?;
    }
    let value = matched.cost()?;
    let [of_x, of_y, f, g] = &mut values;
    if !(f.is_empty() && g.is_empty()) {
        (*f, *g) = matched.potentials()?;
    }
    matched.gradient(of_x, of_y);
    for ((pointer, count, name), values) in wanted.into_iter().zip(&values) {
        let room = room(pointer, count, name)?;
        room.copy_from_slice(&values[..room.len()]);
    }
    cost.into_iter().for_each(|cost| *cost = value);
    Ok(())
}
