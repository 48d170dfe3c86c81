//! The order in which to solve the systems of a sequence, from their parameters alone: neighbours
//! in it are similar, so that what a solver remembers serves the next system. It needs no solver
//! and serves any.
//!
//! Source: Wang, Hao, Wang, Geng, Wang, Li, Wu, "Accelerating data generation for neural operators
//! via Krylov subspace recycling", ICLR 2024 (arXiv 2401.09516), Algorithm 1 and appendix E. Systems
//! become points (`features`); a space-filling curve through them (`hilbert`) gives compact cells;
//! within a cell the path goes to the nearest point that is left (`chain`); crossings are taken out
//! (`two_opt`).

pub mod chain;
pub mod features;
pub mod hilbert;
pub mod options;
pub mod two_opt;

use crate::linalg::{kernels, Panel};
use crate::runtime::{memory, Error, Pool, Result};
use features::Points;
use options::{Method, Settings};
use std::ops::Range;

/// A permutation of `0..parameters.ncols`; a column is one system's parameters.
pub fn order(pool: &Pool, parameters: Panel<f64>, options: &str) -> Result<Vec<usize>> {
    let count = parameters.ncols;
    let settings = Settings::read(&options::parse(options)?, parameters.nrows, count)?;
    finite(parameters)?;
    let mut order = memory::with_capacity(count, "the order")?;
    if count == 0 || parameters.nrows == 0 {
        order.extend(0..count);
        return Ok(order);
    }
    let points = Points::new(pool, parameters, &settings.features)?;
    let curve = hilbert::curve(pool, &points)?;
    match settings.method {
        Method::Curve => order.extend_from_slice(&curve),
        Method::Chain | Method::Grouped => {
            order.push(settings.start.unwrap_or(curve[0]));
            for chunk in parts(0..count, settings.chunks) {
                for cell in parts(chunk.clone(), chunk.len().div_ceil(settings.cell)) {
                    chain::extend(pool, &points, &curve[cell], &mut order)?;
                }
            }
        }
    }
    if settings.two_opt > 0 {
        two_opt::improve(pool, &points, &curve, parts(0..count, settings.chunks), settings.two_opt, &mut order)?;
    }
    Ok(order)
}

/// Part k is `n * k / parts .. n * (k + 1) / parts`: lengths differ by one at most.
fn parts(range: Range<usize>, parts: usize) -> impl Iterator<Item = Range<usize>> {
    let (first, n) = (range.start, range.len());
    let cut = move |k: usize| first + (n as u128 * k as u128 / parts as u128) as usize;
    (0..parts).map(move |k| cut(k)..cut(k + 1)).filter(|part| !part.is_empty())
}

/// The sum of the distances from each system to the next, in `order` or as they stand.
pub fn length(parameters: Panel<f64>, order: Option<&[i64]>) -> Result<f64> {
    finite(parameters)?;
    let unit = features::unit(parameters)?;
    let at = |i: usize| parameters.col(order.map_or(i, |order| order[i] as usize));
    let step = |i: usize| {
        let squares = at(i - 1).iter().zip(at(i)).map(|(x, y)| (unit * x - unit * y).powi(2));
        squares.sum::<f64>().sqrt()
    };
    Ok((1..parameters.ncols).map(step).sum::<f64>() / unit)
}

fn finite(parameters: Panel<f64>) -> Result<()> {
    for j in 0..parameters.ncols {
        if let Some(i) = kernels::first_nonfinite(parameters.col(j)) {
            let got = parameters.col(j)[i];
            return Err(Error::NonFinite(format!("argument 'parameters' has {got} in row {i} of column {j} (base 0), must be finite")));
        }
    }
    Ok(())
}
