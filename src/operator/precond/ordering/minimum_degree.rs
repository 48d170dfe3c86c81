//! Approximate minimum degree (Amestoy, Davis, Duff, SIAM J. Matrix Anal. Appl. 17, 1996) by faer.

use super::super::faer_support::{buffer, generic};
use super::graph::{Graph, WHAT};
use crate::runtime::{memory, Result};
use faer::dyn_stack::MemStack;
use faer::sparse::linalg::amd;
use faer::sparse::SymbolicSparseColMatRef;

/// The vertices of the graph in order of elimination.
pub fn minimum_degree(g: &Graph) -> Result<Vec<u32>> {
    let n = g.len();
    let mut ptr = memory::with_capacity(n + 1, WHAT)?;
    let mut upper = memory::with_capacity(g.adj.len() / 2, WHAT)?;
    ptr.push(0usize);
    for v in 0..n {
        upper.extend(g.neighbours(v).iter().map(|u| *u as usize).take_while(|u| *u < v));
        ptr.push(upper.len());
    }
    let mut order = memory::filled(n, 0usize, WHAT)?;
    let mut inverse = memory::filled(n, 0usize, WHAT)?;
    let pattern = SymbolicSparseColMatRef::new_checked(n, n, &ptr, None, &upper);
    let mut room = buffer(amd::order_scratch::<usize>(n, upper.len()))?;
    amd::order(&mut order, &mut inverse, pattern, Default::default(), MemStack::new(&mut room)).map_err(generic)?;
    let mut narrow = memory::with_capacity(n, WHAT)?;
    narrow.extend(order.iter().map(|v| *v as u32));
    Ok(narrow)
}
