//! Orders of elimination that keep the factors of a matrix with symmetric pattern sparse.

mod dissection;
mod graph;
mod leaf;
mod minimum_degree;
mod refine;
mod separator;
#[cfg(test)]
mod tests;

pub use graph::Graph;

use super::symbolic::Tree;
use crate::runtime::options::Options;
use crate::runtime::{memory, Result};
use dissection::dissect;
use graph::WHAT;
use minimum_degree::minimum_degree;

/// The key `ordering`.
#[derive(Clone, Copy, PartialEq)]
pub enum Ordering {
    Auto,
    MinimumDegree,
    Dissection,
    Natural,
}

/// Vertices up to which, and operations a vertex up to which, dissection saves less in some ten
/// factorisations than it costs.
const FEW: usize = 400;
const LITTLE: f64 = 2500.0;

impl Ordering {
    pub fn new(options: &Options) -> Self {
        match options.text("ordering") {
            "amd" => Ordering::MinimumDegree,
            "nd" => Ordering::Dissection,
            "natural" => Ordering::Natural,
            _ => Ordering::Auto,
        }
    }

    /// The elimination tree in this order.
    pub fn tree(self, g: &Graph) -> Result<Tree> {
        let by_degree = || Tree::new(g, minimum_degree(g)?);
        let by_dissection = || Tree::new(g, dissect(g)?);
        match self {
            Ordering::Natural => {
                let mut order = memory::with_capacity(g.len(), WHAT)?;
                order.extend(0..g.len() as u32);
                Tree::new(g, order)
            }
            Ordering::MinimumDegree => by_degree(),
            Ordering::Dissection => by_dissection(),
            Ordering::Auto => {
                let first = by_degree()?;
                if g.len() <= FEW || first.flops() <= LITTLE * g.len() as f64 {
                    return Ok(first);
                }
                let second = by_dissection()?;
                Ok(if second.flops() < first.flops() { second } else { first })
            }
        }
    }
}
