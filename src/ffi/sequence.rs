use super::args;
use super::context::{context_or_default, rkn_context};
use super::guard::guard;
use super::status::*;
use crate::linalg::Panel;
use crate::operator::check;
use crate::runtime::{Error, Result};
use crate::sequence;
use std::ffi::c_char;

/// Orders the systems of a sequence by their parameters, so that neighbours in the order are
/// similar: what a solver remembers of one system then serves the next. Needs no solver and serves
/// any.
///
/// count, dim: how many systems, of how many parameters each. parameters: dim x count,
/// column-major with leading dimension ld >= dim, a column for each system; all finite.
/// Distances are Euclidean: bring parameters of different units to one scale first.
/// options: "method=chain two_opt=5", NULL for the defaults; the keys are in
/// rkn_option_reference("sequence", ...).
/// order: gets count indices, a permutation of 0..count-1: order[0] is to be solved first. Must not
/// overlap parameters; written on success only. It is the same for any number of threads.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE (also a grid that has not dim points),
/// RKN_ERR_NONFINITE, RKN_ERR_KEY, RKN_ERR_ARGUMENT, RKN_ERR_MEMORY.
/// Source: Wang et al. 2024 (arXiv 2401.09516), Algorithm 1 and appendix E.
#[no_mangle]
pub unsafe extern "C" fn rkn_sequence_order(
    ctx: *const rkn_context,
    count: i64,
    dim: i64,
    parameters: *const f64,
    ld: i64,
    options: *const c_char,
    order: *mut i64,
) -> rkn_status {
    guard("rkn_sequence_order", || {
        let context = context_or_default(ctx)?;
        let parameters = systems(count, dim, parameters, ld)?;
        let options = if options.is_null() { "" } else { args::text(options, "options")? };
        let order = args::slice_mut::<i64>(order.cast(), parameters.ncols, "order")?;
        if args::overlap(parameters.data, order) {
            return Err(Error::argument("order", "overlapping parameters", "be memory of its own"));
        }
        let found = sequence::order(&context.pool, parameters, options)?;
        order.iter_mut().zip(found).for_each(|(to, system)| *to = system as i64);
        Ok(())
    })
}

/// The length of an order: the sum of the Euclidean distances from each system to the next. Compared
/// with that of another order it says what sorting gains.
///
/// count, dim, parameters, ld: as in rkn_sequence_order.
/// order: count indices from 0; NULL: the systems as they stand.
/// length: gets the sum, in the unit of the parameters.
/// Errors: RKN_ERR_NULL, RKN_ERR_HANDLE, RKN_ERR_SIZE, RKN_ERR_NONFINITE, RKN_ERR_INDEX, RKN_ERR_MEMORY.
#[no_mangle]
pub unsafe extern "C" fn rkn_sequence_length(
    ctx: *const rkn_context,
    count: i64,
    dim: i64,
    parameters: *const f64,
    ld: i64,
    order: *const i64,
    length: *mut f64,
) -> rkn_status {
    guard("rkn_sequence_length", || {
        context_or_default(ctx)?;
        let parameters = systems(count, dim, parameters, ld)?;
        let order = if order.is_null() { None } else { Some(args::slice::<i64>(order.cast(), parameters.ncols, "order")?) };
        let length = args::out(length, "length")?;
        check::indices("order", order.unwrap_or(&[]), parameters.ncols, 0)?;
        *length = sequence::length(parameters, order)?;
        Ok(())
    })
}

/// The parameters of `count` systems, a column each.
fn systems<'a>(count: i64, dim: i64, parameters: *const f64, ld: i64) -> Result<Panel<'a, f64>> {
    let (ncols, nrows, ld) = (args::length(count, "count")?, args::length(dim, "dim")?, args::length(ld, "ld")?);
    let len = args::panel_len(nrows, ncols, ld, "ld")?;
    let data = args::slice(parameters.cast(), len, "parameters")?;
    // Columns without rows all begin where the empty array does.
    Ok(Panel { data, nrows, ncols, ld: if len == 0 { 0 } else { ld } })
}
