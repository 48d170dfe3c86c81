use super::args;
use super::geometry::rkn_geometry;
use super::guard::guard;
use super::handle;
use super::krylov::status_of;
use super::sinkhorn::rkn_sinkhorn;
use super::status::*;
use crate::runtime::{memory, Error, Outcome, Result};
use crate::transport::batch::Problem;
use crate::transport::geometry::Geometry;
use std::sync::Arc;

const WHAT: &str = "several transport problems";

/// Finds the plans of k pairs of masses at one cost.
///
/// G: the cost, n x m. k: pairs, may be 0. A, lda: n x k, lda >= n. B, ldb: m x k, ldb >= m. Column l of each is a pair, as a
/// and b in rkn_sinkhorn_solve; masses of different pairs may differ.
/// fs, ldf, gs, ldg: room for the potentials f and g, n x k and m x k; either may be NULL. costs: gets k numbers <C, P>; may be
/// NULL. statuses: gets how each pair ended, as rkn_sinkhorn_solve would say; may be NULL. Nothing is written for a pair that failed
/// or is infeasible, and the others do not suffer from it. Outputs overlap nothing.
/// Each pair is solved to the tolerance as by rkn_sinkhorn_solve, with the same result; pairs are dealt out to the context's
/// threads, and the result does not depend on how many there are. Method "sinkhorn" asks for each row of the
/// cost once for up to 8 pairs. With a monitor, and where the cost is a callback, pairs come one after another.
/// Pairs start afresh; from the solver's last potentials if the option start is "previous" or "extrapolated". Those, and its
/// plan, stay. max_passes is for each pair, time_limit for all. Results ("passes", "cost", ...) are sums over pairs, and the
/// largest "marginal_error".
/// Returns RKN_OK if all pairs converged, else the status of the first that did not, which rkn_last_error explains.
/// Errors of the call as a whole, with nothing written: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_BUSY, RKN_ERR_SIZE,
/// RKN_ERR_ARGUMENT (overlap), RKN_ERR_MEMORY. Of a pair: those of rkn_sinkhorn_solve.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_solve_batch(
    s: *mut rkn_sinkhorn,
    G: *const rkn_geometry,
    k: i64,
    A: *const f64,
    lda: i64,
    B: *const f64,
    ldb: i64,
    fs: *mut f64,
    ldf: i64,
    gs: *mut f64,
    ldg: i64,
    costs: *mut f64,
    statuses: *mut i32,
) -> rkn_status {
    guard("rkn_sinkhorn_solve_batch", || {
        let s = handle::exclusive(s, "s")?;
        let geometry = handle::shared(G, "G")?.geometry.clone();
        let (n, m) = geometry.shape();
        let k = args::length(k, "k")?;
        // Where the columns of a panel begin; none without a panel that may be left out.
        let columns = |data: *const f64, rows: usize, ld: i64, name: &'static str, of_ld: &'static str, is_free: bool| {
            if data.is_null() && is_free {
                return Ok(None);
            }
            let ld = args::length(ld, of_ld)?;
            args::slice::<f64>(data.cast(), args::panel_len(rows, k, ld, of_ld)?, name).map(|_| Some((data, ld)))
        };
        let (a, b) = (columns(A, n, lda, "A", "lda", false)?, columns(B, m, ldb, "B", "ldb", false)?);
        let (of_f, of_g) = (columns(fs, n, ldf, "fs", "ldf", true)?, columns(gs, m, ldg, "gs", "ldg", true)?);
        type Columns = Option<(*const f64, usize)>;
        let at = |panel: Columns, l: usize| panel.map_or(std::ptr::null(), |(data, ld)| data.wrapping_add(l * ld));
        let pairs = (0..k).map(|l| {
            let (f, g) = (at(of_f, l).cast_mut(), at(of_g, l).cast_mut());
            Ok(Pair { geometry: geometry.clone(), a: at(a, l), b: at(b, l), f, g })
        });
        let says = |l: usize| (format!("in row {{}} and column {l} (base 0)"), format!("column {l}"));
        solve(&s, pairs, k, ["A", "B", "fs", "gs"], &says, costs, statuses, true)
    })
}

/// Finds the plans of k problems with geometries of their own, many small ones at once.
///
/// k: problems, may be 0. G: k geometries; one may be there several times. a, b: k arrays of masses each, as in
/// rkn_sinkhorn_solve. fs, gs: k arrays each with room for the potentials; either may be NULL, and so may any of the arrays. costs,
/// statuses: k numbers each, may be NULL.
/// Everything else is as in rkn_sinkhorn_solve_batch.
#[no_mangle]
pub unsafe extern "C" fn rkn_sinkhorn_solve_many(
    s: *mut rkn_sinkhorn,
    k: i64,
    G: *const *const rkn_geometry,
    a: *const *const f64,
    b: *const *const f64,
    fs: *const *mut f64,
    gs: *const *mut f64,
    costs: *mut f64,
    statuses: *mut i32,
) -> rkn_status {
    guard("rkn_sinkhorn_solve_many", || {
        let s = handle::exclusive(s, "s")?;
        let k = args::length(k, "k")?;
        let geometries = args::slice::<*const rkn_geometry>(G.cast(), k, "G")?;
        let (a, b) = (args::slice::<*const f64>(a.cast(), k, "a")?, args::slice::<*const f64>(b.cast(), k, "b")?);
        let room = |arrays: *const *mut f64, name: &'static str| match arrays.is_null() {
            true => Ok(None),
            false => args::slice::<*mut f64>(arrays.cast(), k, name).map(Some),
        };
        let (fs, gs) = (room(fs, "fs")?, room(gs, "gs")?);
        let at = |arrays: Option<&[*mut f64]>, l: usize| arrays.map_or(std::ptr::null_mut(), |arrays| arrays[l]);
        let pairs = (0..k).map(|l| {
            let geometry = handle::shared(geometries[l], "G").map_err(|e| match e {
                Error::Handle(text) => Error::Handle(format!("{text}, at position {l}")),
                other => other,
            })?;
            Ok(Pair { geometry: geometry.geometry.clone(), a: a[l], b: b[l], f: at(fs, l), g: at(gs, l) })
        });
        let says = |l: usize| (format!("at position {{}} of problem {l}"), format!("problem {l}"));
        solve(&s, pairs, k, ["a", "b", "fs", "gs"], &says, costs, statuses, false)
    })
}

/// One of several problems as it comes from C.
struct Pair {
    geometry: Arc<Geometry>,
    a: *const f64,
    b: *const f64,
    f: *mut f64,
    g: *mut f64,
}

/// Checks, solves and writes out; `says` where in problem l a position is ("{}" in the text), and which problem it is.
#[allow(clippy::too_many_arguments)]
fn solve(
    s: &rkn_sinkhorn,
    pairs: impl Iterator<Item = Result<Pair>>,
    k: usize,
    names: [&'static str; 4],
    says: &dyn Fn(usize) -> (String, String),
    costs: *mut f64,
    statuses: *mut i32,
    is_batch: bool,
) -> Result<Outcome> {
    let costs = if costs.is_null() { None } else { Some(args::slice_mut::<f64>(costs.cast(), k, "costs")?) };
    let statuses = if statuses.is_null() { None } else { Some(args::slice_mut::<i32>(statuses.cast(), k, "statuses")?) };
    let mut taken = memory::with_capacity(4 * k + 2, WHAT)?;
    costs.iter().for_each(|v| taken.push(Taken::of("costs", true, v)));
    statuses.iter().for_each(|v| taken.push(Taken::of("statuses", true, v)));
    let mut sound = memory::with_capacity(k, WHAT)?;
    for pair in pairs {
        let pair = pair?;
        let (n, m) = pair.geometry.shape();
        args::not_null(pair.a, names[0])?;
        args::not_null(pair.b, names[1])?;
        for (data, len, name, is_output) in
            [(pair.a, n, names[0], false), (pair.b, m, names[1], false), (pair.f, n, names[2], true), (pair.g, m, names[3], true)]
        {
            if !data.is_null() {
                taken.push(Taken::of(name, is_output, args::slice::<f64>(data.cast(), len, name)?));
            }
        }
        sound.push(pair);
    }
    apart(&mut taken)?;
    let mut problems = memory::with_capacity(k, WHAT)?;
    for (l, pair) in sound.into_iter().enumerate() {
        let (n, m) = pair.geometry.shape();
        let masses = (args::slice::<f64>(pair.a.cast(), n, names[0])?, args::slice::<f64>(pair.b.cast(), m, names[1])?);
        let room = |data: *mut f64, len: usize, name: &'static str| match data.is_null() {
            true => Ok(None),
            false => args::slice_mut::<f64>(data.cast(), len, name).map(Some),
        };
        let potentials = (room(pair.f, n, names[2])?, room(pair.g, m, names[3])?);
        let (position, which) = says(l);
        let says = |i: usize| position.replace("{}", &i.to_string());
        problems.push(Problem::new(pair.geometry, masses, potentials, (names[0], names[1]), (&says, &which)));
    }
    let (setup, solver) = (s.setup.borrow(), s.solver.borrow());
    let outcome = if is_batch { solver.solve_batch(&setup, &mut problems) } else { solver.solve_many(&setup, &mut problems) };
    s.ended(&outcome);
    if outcome.is_err() && problems.iter().all(|problem| problem.outcome.is_ok()) {
        // It ended before the problems did.
        return outcome;
    }
    if let Some(costs) = costs {
        costs.iter_mut().zip(&problems).for_each(|(to, problem)| *to = problem.cost.unwrap_or(*to));
    }
    if let Some(statuses) = statuses {
        statuses.iter_mut().zip(&problems).for_each(|(to, problem)| *to = status_of(&problem.outcome));
    }
    outcome
}

/// Memory that the call reads or writes.
struct Taken {
    name: &'static str,
    is_output: bool,
    from: usize,
    to: usize,
}

impl Taken {
    fn of<P>(name: &'static str, is_output: bool, items: &[P]) -> Self {
        let range = items.as_ptr_range();
        Taken { name, is_output, from: range.start as usize, to: range.end as usize }
    }
}

/// No output overlaps anything.
fn apart(taken: &mut [Taken]) -> Result<()> {
    taken.sort_unstable_by_key(|one| one.from);
    // The ends reached so far: of all, and of the outputs.
    let (mut all, mut outputs) = ((0, ""), (0, ""));
    for one in taken.iter() {
        let (end, other) = if one.is_output { all } else { outputs };
        if one.from < end {
            let (output, other) = if one.is_output { (one.name, other) } else { (other, one.name) };
            return Err(Error::argument(output, format!("overlapping {other}"), "be memory of its own"));
        }
        all = all.max((one.to, one.name));
        if one.is_output {
            outputs = outputs.max((one.to, one.name));
        }
    }
    Ok(())
}
