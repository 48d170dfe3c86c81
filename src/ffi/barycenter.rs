use super::args;
use super::geometry::rkn_geometry;
use super::guard::guard;
use super::handle;
use super::operator::dimension;
use super::sinkhorn::rkn_sinkhorn;
use super::status::*;
use crate::linalg::Panel;
use crate::runtime::{memory, Error, Result};
use crate::transport::barycenter::Clouds;
use crate::transport::Sinkhorn;

/// `weights` of k inputs, NULL for equal ones.
fn weights_of<'a>(weights: *const f64, k: usize) -> Result<Option<&'a [f64]>> {
    if weights.is_null() { Ok(None) } else { args::slice::<f64>(weights.cast(), k, "weights").map(Some) }
}

/// The masses between others: p on the rows of G that makes sum_l w_l OT(p, b_l) least, OT being <C, P> +
/// epsilon sum P (log P - 1) of the best plan between its two. With the option "barycenter=debiased" half OT(p, p) is taken off,
/// which takes the blur out of p again; C must then be symmetric.
///
/// G: the cost, n x m; p lives on its rows, inputs on its columns. A column-major matrix that is not symmetric is copied.
/// k: inputs, at least one. B: m x k, a column an input, with leading dimension ldb >= m: masses that are not negative, of one
/// sum to 1e-8 of it. weights: k numbers, not negative, divided by their sum; NULL for equal ones. Inputs of weight 0
/// take no part. p: gets n masses of the inputs' sum.
/// The solver's options rule: epsilon, tolerance (for the L1 error of the worst input's columns, and of the plan from p to
/// itself if debiased), limits, monitor, relaxation where the method has it. Iterations are Bregman projections whatever the
/// method; with "auto" a cold one walks epsilon down. A solver starts where its last barycentre of these sizes ended, unless start
/// is "zero". Potentials and the plan of its last solve stay; results are those of this call, without "cost" (NaN).
/// Returns RKN_OK, or RKN_STOP_ITERATIONS, _TIME, _MONITOR, _INTERRUPT with the best p; RKN_STOP_INFEASIBLE where an
/// input's mass has no allowed way, p is then left alone.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE, RKN_ERR_ARGUMENT (a negative mass or weight, unequal
/// masses, a cost that is not symmetric), RKN_ERR_NONFINITE, RKN_ERR_CALLBACK, RKN_ERR_MEMORY.
/// Sources: Benamou et al. 2015 (arXiv 1412.5154, section 3.2); debiased, Janati et al. 2020 (arXiv 2006.02575).
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_barycenter(
    s: *mut rkn_sinkhorn,
    G: *const rkn_geometry,
    k: i64,
    B: *const f64,
    ldb: i64,
    weights: *const f64,
    p: *mut f64,
) -> rkn_status {
    guard("rkn_sinkhorn_barycenter", || {
        let s = handle::exclusive(s, "s")?;
        let geometry = handle::shared(G, "G")?.geometry.clone();
        let (n, m) = geometry.shape();
        let (k, ldb) = (args::length(k, "k")?, args::length(ldb, "ldb")?);
        let data = args::slice::<f64>(B.cast(), args::panel_len(m, k, ldb, "ldb")?, "B")?;
        let weights = weights_of(weights, k)?;
        let p = args::slice_mut::<f64>(p.cast(), n, "p")?;
        if args::overlap(data, p) {
            return Err(Error::argument("p", "overlapping B", "be memory of its own"));
        }
        let inputs = Panel { data, nrows: m, ncols: k, ld: ldb };
        let outcome = s.solver.borrow_mut().barycenter(&s.setup.borrow(), &geometry, inputs, weights, p);
        s.ended(&outcome);
        outcome
    })
}

/// Points between clouds of points: moves X so that sum_l w_l OT(X, cloud l) becomes least, the masses of X as they are and the
/// cost the squared distance. A local minimum: it depends on where X begins.
///
/// d: coordinates of a point. n, X, ldx: d x n, column-major with leading dimension ldx >= d, a column a point; in and out.
/// a: n masses of X, not negative; NULL for equal ones.
/// k: clouds, at least one. cloudptr: k + 1 offsets from 0, as of compressed rows: cloud l has the columns cloudptr[l] to
/// cloudptr[l + 1] - 1 of Y, at least one. Y, ldy: d x cloudptr[k], ldy >= d. b: cloudptr[k] masses, each cloud's
/// of one sum to 1e-8 of it, which is that of a; NULL for equal ones in each cloud.
/// weights: k numbers, not negative, divided by their sum; NULL for equal ones.
/// Each step solves k problems by the solver's method and options, from where the step before ended, and takes each point to the
/// weighted mean of where its mass goes. It ends when no point moved further than the option "movement" times the
/// extent of the clouds, or after "max_steps". epsilon_relative is of the costs at the start. The monitor is called in
/// all solves. Results: "iterations" counts steps, "passes" is of all solves, "cost", "primal" and "dual" are
/// weighted sums and "marginal_error" the largest of the last step. Potentials and the plan of the solver's last solve stay.
/// Returns RKN_OK, RKN_STOP_STAGNATION (a problem of the last step missed the tolerance), or RKN_STOP_ITERATIONS, _TIME,
/// _MONITOR, _INTERRUPT with X after the last whole step.
/// Errors: as rkn_sinkhorn_barycenter, and RKN_ERR_INDEX (cloudptr), RKN_ERR_STATE (options that do not go together). X is then
/// left alone.
/// Source: Cuturi and Doucet 2014 (arXiv 1310.4375, algorithm 2).
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_barycenter_points(
    s: *mut rkn_sinkhorn,
    d: i64,
    n: i64,
    X: *mut f64,
    ldx: i64,
    a: *const f64,
    k: i64,
    cloudptr: *const i64,
    Y: *const f64,
    ldy: i64,
    b: *const f64,
    weights: *const f64,
) -> rkn_status {
    guard("rkn_sinkhorn_barycenter_points", || {
        let s = handle::exclusive(s, "s")?;
        let positive = |v: i64, name: &'static str| match dimension(v, name)? {
            0 => Err(Error::size(name, 0, "be positive")),
            v if v > u32::MAX as usize => Err(Error::size(name, v, "fit in 32 bits")),
            v => Ok(v),
        };
        let (d, n, k) = (positive(d, "d")?, positive(n, "n")?, positive(k, "k")?);
        let (ldx, ldy) = (args::length(ldx, "ldx")?, args::length(ldy, "ldy")?);
        let starts = starts_of(args::slice::<i64>(cloudptr.cast(), k + 1, "cloudptr")?)?;
        let all = starts[k];
        let x = args::slice_mut::<f64>(X.cast(), args::panel_len(d, n, ldx, "ldx")?, "X")?;
        let data = args::slice::<f64>(Y.cast(), args::panel_len(d, all, ldy, "ldy")?, "Y")?;
        if args::overlap(x, data) {
            return Err(Error::argument("X", "overlapping Y", "be memory of its own"));
        }
        let a = if a.is_null() { None } else { Some(args::slice::<f64>(a.cast(), n, "a")?) };
        let b = if b.is_null() { None } else { Some(args::slice::<f64>(b.cast(), all, "b")?) };
        let weights = weights_of(weights, k)?;
        let clouds = Clouds { y: Panel { data, nrows: d, ncols: all, ld: ldy }, starts: &starts, b };
        let mut points = memory::with_capacity(memory::product(d, n, "points")?, "points")?;
        x.chunks(ldx).for_each(|point| points.extend_from_slice(&point[..d]));
        let outcome = Sinkhorn::barycenter_points(&s.setup.borrow(), &mut points, a, &clouds, weights);
        s.ended(&outcome);
        let outcome = outcome?;
        x.chunks_mut(ldx).zip(points.chunks(d)).for_each(|(to, point)| to[..d].copy_from_slice(point));
        Ok(outcome)
    })
}

/// Offsets of clouds, none of which is empty.
fn starts_of(offsets: &[i64]) -> Result<Vec<usize>> {
    let mut starts = memory::with_capacity(offsets.len(), "clouds")?;
    for (l, at) in offsets.iter().enumerate() {
        let want = match starts.last() {
            None if *at == 0 => None,
            None => Some("be 0".to_string()),
            Some(before) if usize::try_from(*at).is_ok_and(|at| at > *before) => None,
            Some(before) => Some(format!("be more than {before} (no cloud is empty)")),
        };
        if let Some(want) = want {
            return Err(Error::Index(format!("argument 'cloudptr' has {at} at position {l}, must {want}")));
        }
        starts.push(*at as usize);
    }
    match starts[offsets.len() - 1] {
        all if all > u32::MAX as usize => Err(Error::Index(format!("argument 'cloudptr' ends with {all}, must fit in 32 bits"))),
        _ => Ok(starts),
    }
}
