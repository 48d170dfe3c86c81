use super::args;
use super::context::{context_or_default, rkn_context};
use super::derivative::{apart, finite};
use super::guard::guard;
use super::operator::dimension;
use super::status::*;
use crate::linalg::{Panel, PanelMut};
use crate::runtime::{Error, Result};
use crate::transport::geometry::{Costs, Geometry, Negated};
use crate::transport::laplacian::Strided;
use crate::transport::{coding_rate, membership, SMALLEST_EPSILON};
use std::sync::Arc;

/// Projects onto the doubly stochastic matrices: G = argmin -<K, G> + eta sum G log G over G >= 0, G 1 = G^T 1 = 1. It is
/// G_ij = exp((u_i + v_j + K_ij) / eta).
///
/// Whether K is symmetric, bit for bit, is found by looking. If it is, one potential is looked for, u = v, and G is
/// symmetric bit for bit; else it is a solve by "auto" with cost -K, and rows of G have their sums to rounding. Column-major
/// arrays do as well: that is K^T, with G^T, v and u.
/// ctx: threads, log, interrupt. n: rows and columns. K, ldk: row-major, ldk >= n; finite.
/// eta: positive, in units of K, at least 1e-100 of its largest entry. tolerance: what the L1 errors of rows and columns,
/// divided by n, must come down to together; 1e-9, say. G, ldg: gets G, row-major; also room for work. u, v: n numbers each;
/// NULL if not wanted.
/// start: 0, from nothing; 1, from what u and v hold, such as the potentials of a similar K.
/// The result is the same for any number of threads.
/// Returns RKN_OK; RKN_STOP_STAGNATION, _ITERATIONS or _INTERRUPT with the best found.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE (also n is 0), RKN_ERR_ARGUMENT (eta, tolerance or start; overlapping arrays),
/// RKN_ERR_NONFINITE, RKN_ERR_MEMORY (G may then have been used).
/// Source: Ding et al. 2023 (arXiv 2301.01805); the symmetric iteration, Feydy et al. 2019 (arXiv 1810.08278).
#[no_mangle]
pub unsafe extern "C" fn rkn_ds_project(
    ctx: *const rkn_context,
    n: i64,
    K: *const f64,
    ldk: i64,
    eta: f64,
    tolerance: f64,
    G: *mut f64,
    ldg: i64,
    u: *mut f64,
    v: *mut f64,
    start: i32,
) -> rkn_status {
    guard("rkn_ds_project", || {
        let context = context_or_default(ctx)?;
        let n = order(n)?;
        let (k, ldg) = (square(n, K, ldk, ["K", "ldk"])?, args::length(ldg, "ldg")?);
        positive(eta, "eta")?;
        let least = SMALLEST_EPSILON * (0..n).flat_map(|i| &k.data[i * k.row..][..n]).fold(0.0f64, |most, v| most.max(v.abs()));
        if eta < least {
            return Err(Error::argument("eta", format!("{eta:e}"), format!("be at least {least:e}, a share of the largest entry of K")));
        }
        if !(0.0..=2.0).contains(&tolerance) {
            return Err(Error::argument("tolerance", tolerance, "lie in [0, 2]"));
        }
        let is_warm = args::choice(start, "start", "0, 1", &[false, true])?;
        let g = args::slice_mut::<f64>(G.cast(), args::panel_len(n, n, ldg, "ldg")?, "G")?;
        if is_warm {
            args::not_null(u, "u")?;
            args::not_null(v, "v")?;
        }
        let potential = |p: *mut f64, name: &'static str| if p.is_null() { Ok(None) } else { args::slice_mut::<f64>(p.cast(), n, name).map(Some) };
        let (u, v) = (potential(u, "u")?, potential(v, "v")?);
        apart(&[Some(("K", k.data)), Some(("G", &*g)), u.as_deref().map(|u| ("u", u)), v.as_deref().map(|v| ("v", v))])?;
        let start = match (&u, &v) {
            (Some(u), Some(v)) if is_warm => {
                crate::operator::check::finite("u", u)?;
                crate::operator::check::finite("v", v)?;
                Some((&**u, &**v))
            }
            _ => None,
        };
        let costs = Geometry::new(n, n, Costs::Plain(Box::new(Negated::new(k.data.as_ptr(), n, k.row)?)), false);
        let task = membership::Task { k, n, eta, tolerance, start };
        let (outcome, of_rows, of_columns) = membership::project(&context, &task, &Arc::new(costs), g, ldg)?;
        for (to, from) in [(u, of_rows), (v, of_columns)] {
            if let Some(to) = to {
                to.copy_from_slice(&from);
            }
        }
        Ok(outcome)
    })
}

/// The derivative of a function of G = rkn_ds_project(K) with respect to K, from its derivatives W with respect to the entries
/// of G: dK = G . (W - alpha 1^T - 1 beta^T) / eta, where [D G; G^T D'] (alpha; beta) = ((G . W) 1; (G . W)^T 1) and D, D' have
/// the sums of the rows and columns of G, by one linear system to 1e-12. As exact as G is; no iteration is differentiated.
///
/// Constants in rows or columns of W change nothing. Column-major arrays do as well, all three of them.
/// n, eta: as for G. G, ldg, W, ldw: row-major, finite, G not negative and without a row or column of zeros. dK, lddk: gets the
/// derivative.
/// Returns RKN_OK; RKN_STOP_STAGNATION (G nearly falls apart into blocks) or RKN_STOP_INTERRUPT with the best found.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE, RKN_ERR_ARGUMENT, RKN_ERR_NONFINITE, RKN_ERR_MEMORY.
/// Source: as rkn_sinkhorn_vjp_potentials.
#[no_mangle]
pub unsafe extern "C" fn rkn_ds_project_vjp(
    ctx: *const rkn_context,
    n: i64,
    eta: f64,
    G: *const f64,
    ldg: i64,
    W: *const f64,
    ldw: i64,
    dK: *mut f64,
    lddk: i64,
) -> rkn_status {
    guard("rkn_ds_project_vjp", || {
        let context = context_or_default(ctx)?;
        let n = order(n)?;
        positive(eta, "eta")?;
        let (g, w) = (square(n, G, ldg, ["G", "ldg"])?, square(n, W, ldw, ["W", "ldw"])?);
        let lddk = args::length(lddk, "lddk")?;
        let dk = args::slice_mut::<f64>(dK.cast(), args::panel_len(n, n, lddk, "lddk")?, "dK")?;
        apart(&[Some(("G", g.data)), Some(("dK", &*dk))])?;
        apart(&[Some(("W", w.data)), Some(("dK", &*dk))])?;
        for i in 0..n {
            if let Some(j) = (0..n).find(|j| g.data[i * g.row + j] < 0.0) {
                return Err(Error::argument("G", format!("{} in row {i} and column {j} (base 0)", g.data[i * g.row + j]), "not be negative"));
            }
        }
        let is_empty = |k: usize, row: usize, column: usize| (0..n).all(|l| g.data[k * row + l * column] == 0.0);
        for (name, row, column) in [("row", g.row, 1), ("column", 1, g.row)] {
            if let Some(k) = (0..n).find(|k| is_empty(*k, row, column)) {
                return Err(Error::argument("G", format!("zero in all of {name} {k} (base 0)"), "have mass in every row and column"));
            }
        }
        membership::project_vjp(&context, n, eta, g, w, dk, lddk)
    })
}

/// The coding rate of features, logdet(I + alpha Z Z^T), and its gradient 2 alpha (I + alpha Z Z^T)^-1 Z. There is no factor
/// 1/2: who wants it multiplies by it.
///
/// With alpha = d / (n eps^2) it is twice the rate R(Z, eps) of MCR^2. The smaller of d and n is the order of what is factored.
/// d, n, Z, ldz: d x n, column-major with leading dimension ldz >= d, a column a sample; finite. alpha: not negative.
/// rate: gets the value; NULL if not wanted. dZ, lddz: d x n, gets the gradient; NULL if not wanted.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE (also d or n is 0), RKN_ERR_ARGUMENT, RKN_ERR_NONFINITE (also an overflow),
/// RKN_ERR_MEMORY.
/// Source: Yu et al. 2020 (arXiv 2006.08558).
#[no_mangle]
pub unsafe extern "C" fn rkn_coding_rate(
    ctx: *const rkn_context,
    d: i64,
    n: i64,
    Z: *const f64,
    ldz: i64,
    alpha: f64,
    rate: *mut f64,
    dZ: *mut f64,
    lddz: i64,
) -> rkn_status {
    guard("rkn_coding_rate", || {
        context_or_default(ctx)?;
        let z = panel(some(d, "d")?, some(n, "n")?, Z, ldz, ["Z", "ldz"])?;
        if !(alpha >= 0.0 && alpha.is_finite()) {
            return Err(Error::argument("alpha", alpha, "be finite and not negative"));
        }
        let rate = args::optional_out(rate, "rate")?;
        let gradient = panel_or_null(z.nrows, z.ncols, dZ, lddz, ["dZ", "lddz"])?;
        apart(&[Some(("Z", z.data)), gradient.as_ref().map(|g| ("dZ", &*g.data))])?;
        let value = coding_rate::rate(z, alpha, gradient)?;
        rate.into_iter().for_each(|rate| *rate = value);
        Ok(())
    })
}

/// The coding rate of features by clusters, sum_j (N_j / n) logdet(I + d / (N_j eps2) Z diag(Pi_j) Z^T) with N_j = sum_i Pi_ij, and
/// its gradients. There is no factor 1/2, and nothing is added to N_j: an empty cluster has the rate 0, and at its entries dPi is
/// log(1 + d / eps2 |z_i|^2) / n, as for a first grain of that sample alone.
///
/// Only samples with Pi_ij > 0 cost something in cluster j. For Pi = G of rkn_ds_project (k = n) the usual formula has N_j = 1
/// fixed. Its derivative differs by a constant in each column, which rkn_ds_project_vjp does not see.
/// ctx: threads. d, n, Z, ldz: as in rkn_coding_rate. k: clusters. Pi, ldpi: n x k, column-major with leading dimension
/// ldpi >= n; finite, not negative. eps2: eps^2, positive.
/// rate: gets the value; dZ, lddz: d x n; dPi, lddpi: n x k. Any of the three may be NULL. The same for any number of threads.
/// Errors: as rkn_coding_rate.
/// Source: Yu et al. 2020 (arXiv 2006.08558); Ding et al. 2023 (arXiv 2301.01805), eq. 4.
#[no_mangle]
pub unsafe extern "C" fn rkn_coding_rate_clustered(
    ctx: *const rkn_context,
    d: i64,
    n: i64,
    k: i64,
    Z: *const f64,
    ldz: i64,
    Pi: *const f64,
    ldpi: i64,
    eps2: f64,
    rate: *mut f64,
    dZ: *mut f64,
    lddz: i64,
    dPi: *mut f64,
    lddpi: i64,
) -> rkn_status {
    guard("rkn_coding_rate_clustered", || {
        let context = context_or_default(ctx)?;
        let (d, n, k) = (some(d, "d")?, some(n, "n")?, some(k, "k")?);
        let (z, pi) = (panel(d, n, Z, ldz, ["Z", "ldz"])?, panel(n, k, Pi, ldpi, ["Pi", "ldpi"])?);
        for j in 0..k {
            if let Some(i) = pi.col(j).iter().position(|v| *v < 0.0) {
                return Err(Error::argument("Pi", format!("{} in row {i} and column {j} (base 0)", pi.col(j)[i]), "not be negative"));
            }
        }
        positive(eps2, "eps2")?;
        let rate = args::optional_out(rate, "rate")?;
        let of_z = panel_or_null(d, n, dZ, lddz, ["dZ", "lddz"])?;
        let of_pi = panel_or_null(n, k, dPi, lddpi, ["dPi", "lddpi"])?;
        let outputs = [of_z.as_ref().map(|g| ("dZ", &*g.data)), of_pi.as_ref().map(|g| ("dPi", &*g.data))];
        apart(&outputs)?;
        for output in outputs {
            apart(&[Some(("Z", z.data)), output])?;
            apart(&[Some(("Pi", pi.data)), output])?;
        }
        let value = coding_rate::clustered(&context.pool, z, pi, eps2, of_z, of_pi)?;
        rate.into_iter().for_each(|rate| *rate = value);
        Ok(())
    })
}

fn some(v: i64, name: &'static str) -> Result<usize> {
    match dimension(v, name)? {
        0 => Err(Error::size(name, 0, "be positive")),
        v => Ok(v),
    }
}

/// The order of a square matrix.
fn order(n: i64) -> Result<usize> {
    match some(n, "n")? {
        n if n > u32::MAX as usize => Err(Error::size("n", n, "fit in 32 bits")),
        n => Ok(n),
    }
}

fn positive(v: f64, name: &'static str) -> Result<()> {
    if v.is_normal() && v > 0.0 { Ok(()) } else { Err(Error::argument(name, v, "be positive and finite")) }
}

fn square<'a>(n: usize, data: *const f64, ld: i64, names: [&'static str; 2]) -> Result<Strided<'a>> {
    let ld = args::length(ld, names[1])?;
    let data = args::slice::<f64>(data.cast(), args::panel_len(n, n, ld, names[1])?, names[0])?;
    let matrix = Strided { data, row: ld, column: 1 };
    finite(names[0], matrix, n, n)?;
    Ok(matrix)
}

fn panel<'a>(nrows: usize, ncols: usize, data: *const f64, ld: i64, names: [&'static str; 2]) -> Result<Panel<'a, f64>> {
    let ld = args::length(ld, names[1])?;
    let data = args::slice::<f64>(data.cast(), args::panel_len(nrows, ncols, ld, names[1])?, names[0])?;
    finite(names[0], Strided { data, row: 1, column: ld }, nrows, ncols)?;
    Ok(Panel { data, nrows, ncols, ld })
}

fn panel_or_null<'a>(nrows: usize, ncols: usize, data: *mut f64, ld: i64, names: [&'static str; 2]) -> Result<Option<PanelMut<'a, f64>>> {
    if data.is_null() {
        return Ok(None);
    }
    let ld = args::length(ld, names[1])?;
    let data = args::slice_mut::<f64>(data.cast(), args::panel_len(nrows, ncols, ld, names[1])?, names[0])?;
    Ok(Some(PanelMut { data, nrows, ncols, ld }))
}
