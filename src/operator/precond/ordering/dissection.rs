//! Nested dissection (George, SIAM J. Numer. Anal. 10, 1973): a separator comes last, the parts
//! that it separates before it, each ordered in the same way down to parts that minimum degree
//! does well.

use super::graph::{Graph, WHAT};
use super::leaf::Leaf;
use super::refine::Refiner;
use super::separator::{divide, WAYS};
use super::super::sweep::push;
use crate::runtime::{memory, Result};

const NONE: u32 = u32::MAX;

/// Vertices up to which minimum degree takes over.
const SMALL: usize = 250;

/// The vertices of the graph in order of elimination.
pub fn dissect(g: &Graph) -> Result<Vec<u32>> {
    let n = g.len();
    let (class, count) = g.indistinguishable()?;
    let merged = if (count as f64) < 0.85 * n as f64 { Some(g.contract(&class, count)?) } else { None };
    let Some(merged) = merged else { return spread_out(g) };
    // Each class in the place of its vertex.
    let order = spread_out(&merged)?;
    let mut begin = memory::filled(count, 0usize, WHAT)?;
    let mut sum = 0;
    for c in &order {
        begin[*c as usize] = sum;
        sum += merged.weight[*c as usize] as usize;
    }
    let mut all = memory::filled(n, 0u32, WHAT)?;
    for (v, c) in class.iter().enumerate() {
        all[begin[*c as usize]] = v as u32;
        begin[*c as usize] += 1;
    }
    Ok(all)
}

/// Vertices with very many neighbours come last; the others are dissected.
fn spread_out(g: &Graph) -> Result<Vec<u32>> {
    let n = g.len();
    let dense = 16.0f64.max(10.0 * (n as f64).sqrt());
    let is_dense = |v: usize| g.neighbours(v).len() as f64 > dense;
    let mut order = memory::with_capacity(n, WHAT)?;
    order.extend((0..n as u32).filter(|v| !is_dense(*v as usize)));
    let sparse = order.len();
    order.extend((0..n as u32).filter(|v| is_dense(*v as usize)));
    let mut local = memory::filled(n, NONE, WHAT)?;
    let mut refiner = Refiner::new(n)?;
    let mut leaf = Leaf::default();
    // Parts to be dissected: where they stand in `order`.
    let mut parts = Vec::new();
    push(&mut parts, (0..sparse, &WAYS[..]), WHAT)?;
    while let Some((span, ways)) = parts.pop() {
        let part = &mut order[span.clone()];
        if part.len() <= SMALL {
            leaf.order(g, part, &mut local)?;
            continue;
        }
        part.iter().enumerate().for_each(|(k, v)| local[*v as usize] = k as u32);
        let among = g.among(part, &local)?;
        part.iter().for_each(|v| local[*v as usize] = NONE);
        let (division, way) = divide(&among, &mut refiner, ways)?;
        // What was best for the whole serves for its parts.
        let ways = &WAYS[way as usize..][..1];
        let mut counts = [0; 3];
        division.side.iter().for_each(|s| counts[*s as usize] += 1);
        if counts.contains(&part.len()) {
            // Not divided: every order is as good.
            continue;
        }
        let mut place = [span.start, span.start + counts[0], span.start + counts[0] + counts[1]];
        let [first, second, third] = place;
        let mut sorted = memory::copied(part, WHAT)?;
        for (v, s) in part.iter().zip(&division.side) {
            sorted[place[*s as usize] - span.start] = *v;
            place[*s as usize] += 1;
        }
        part.copy_from_slice(&sorted);
        push(&mut parts, (first..second, ways), WHAT)?;
        push(&mut parts, (second..third, ways), WHAT)?;
    }
    Ok(order)
}
