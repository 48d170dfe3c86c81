//! Vertex separators, multilevel (Hendrickson, Rothberg, SIAM J. Sci. Comput. 20, 1998; Karypis,
//! Kumar, SIAM J. Sci. Comput. 20, 1998): vertices are matched along heavy edges and merged until
//! few are left, that graph is divided by growing one side from a vertex far out, and the
//! division is refined on each graph on the way back.

use super::graph::{Graph, WHAT};
use super::refine::{Division, Refiner, SEPARATOR};
use crate::runtime::{memory, Result};

const NONE: u32 = u32::MAX;

/// Vertices below which a graph is not merged further.
const COARSE: usize = 250;
/// What part of the whole a side may weigh.
const ROOM: f64 = 0.58;
/// Passes of refinement a level, and on the coarsest graph.
const PASSES: usize = 3;
/// Vertices from which the first side is grown.
const STARTS: usize = 2;

/// How a graph is divided.
#[derive(Clone, Copy, PartialEq)]
pub enum Way {
    /// By growing one side vertex by vertex, each the best for the separator at that time.
    Greedy,
    /// By growing one side breadth first.
    Levels,
    /// Greedily on a graph of merged vertices.
    Multilevel,
}

pub const WAYS: [Way; 3] = [Way::Greedy, Way::Levels, Way::Multilevel];

/// The best division of a graph with at least one vertex in one of some ways, and that way.
pub fn divide(g: &Graph, refiner: &mut Refiner, ways: &[Way]) -> Result<(Division, Way)> {
    let room = (ROOM * g.total() as f64) as u64;
    let mut best = (divide_by(g, refiner, ways[0], room)?, ways[0]);
    for way in &ways[1..] {
        let next = divide_by(g, refiner, *way, room)?;
        if next.badness(room) < best.0.badness(room) {
            best = (next, *way);
        }
    }
    Ok(best)
}

fn divide_by(g: &Graph, refiner: &mut Refiner, way: Way, room: u64) -> Result<Division> {
    match way {
        Way::Multilevel => multilevel(g, refiner, room),
        _ => grow(g, refiner, way, room),
    }
}

fn multilevel(g: &Graph, refiner: &mut Refiner, room: u64) -> Result<Division> {
    let mut levels: Vec<(Vec<u32>, Graph)> = Vec::new();
    let heaviest = 1 + (1.5 * g.total() as f64 / COARSE as f64) as u32;
    loop {
        let fine = levels.last().map_or(g, |(_, coarse)| coarse);
        if fine.len() <= COARSE {
            break;
        }
        let (class, count) = matching(fine, heaviest)?;
        if count as f64 > 0.9 * fine.len() as f64 {
            break;
        }
        let coarse = fine.contract(&class, count)?;
        levels.push((class, coarse));
    }
    let mut division = grow(levels.last().map_or(g, |(_, coarse)| coarse), refiner, Way::Greedy, room)?;
    while let Some((class, _)) = levels.pop() {
        let fine = levels.last().map_or(g, |(_, coarse)| coarse);
        let mut side = memory::with_capacity(class.len(), WHAT)?;
        side.extend(class.iter().map(|c| division.side[*c as usize]));
        division.side = side;
        refiner.refine(fine, &mut division, room, PASSES)?;
    }
    Ok(division)
}

/// Classes of vertices to merge: pairs along the heaviest edges; a vertex whose neighbours are all
/// taken joins one of them. No class weighs more than `heaviest`.
fn matching(g: &Graph, heaviest: u32) -> Result<(Vec<u32>, usize)> {
    let n = g.len();
    let mut class = memory::filled(n, NONE, WHAT)?;
    let mut weight: Vec<u32> = memory::with_capacity(n, WHAT)?;
    for v in 0..n {
        if class[v] != NONE {
            continue;
        }
        let mine = g.weight[v];
        let (mut partner, mut best) = (NONE, 0);
        let (mut joined, mut strongest) = (NONE, 0);
        for (u, w) in g.edges(v) {
            if class[u] == NONE {
                if w > best && mine + g.weight[u] <= heaviest {
                    (partner, best) = (u as u32, w);
                }
            } else if w > strongest && mine + weight[class[u] as usize] <= heaviest {
                (joined, strongest) = (class[u], w);
            }
        }
        if partner == NONE && joined != NONE {
            class[v] = joined;
            weight[joined as usize] += mine;
            continue;
        }
        class[v] = weight.len() as u32;
        weight.push(mine);
        if partner != NONE {
            class[partner as usize] = class[v];
            weight[class[v] as usize] += g.weight[partner as usize];
        }
    }
    Ok((class, weight.len()))
}

/// The best of some divisions whose first side is grown from vertices far from each other.
fn grow(g: &Graph, refiner: &mut Refiner, way: Way, room: u64) -> Result<Division> {
    let n = g.len();
    let mut order = memory::with_capacity(n, WHAT)?;
    let mut seen = memory::filled(n, false, WHAT)?;
    // The last vertex that is reached from any vertex lies far out.
    breadth_first(g, 0, &mut seen, &mut order);
    let mut best: Option<Division> = None;
    for k in 0..STARTS {
        let start = order.last().map_or(0, |v| *v as usize);
        if way == Way::Levels || k + 1 < STARTS {
            breadth_first(g, start, &mut seen, &mut order);
        }
        let mut next = if way == Way::Levels { halve(g, &order)? } else { refiner.grow(g, start, room)? };
        refiner.refine(g, &mut next, room, PASSES)?;
        if best.as_ref().is_none_or(|best| next.badness(room) < best.badness(room)) {
            best = Some(next);
        }
    }
    best.map_or_else(|| halve(g, &order), Ok)
}

/// The first half of the order on one side, its neighbours as the separator.
fn halve(g: &Graph, order: &[u32]) -> Result<Division> {
    let mut d = Division { side: memory::filled(g.len(), 1u8, WHAT)?, weight: [0; 3] };
    let half = g.total() / 2;
    let mut cut = 0;
    while d.weight[0] < half {
        d.side[order[cut] as usize] = 0;
        d.weight[0] += g.weight[order[cut] as usize] as u64;
        cut += 1;
    }
    for v in order[cut..].iter().map(|v| *v as usize) {
        if g.neighbours(v).iter().any(|u| d.side[*u as usize] == 0) {
            d.side[v] = SEPARATOR;
            d.weight[2] += g.weight[v] as u64;
        }
    }
    d.weight[1] = g.total() - d.weight[0] - d.weight[2];
    Ok(d)
}

/// All vertices in breadth-first order, piece by piece.
fn breadth_first(g: &Graph, start: usize, seen: &mut [bool], order: &mut Vec<u32>) {
    order.clear();
    seen.fill(false);
    seen[start] = true;
    order.push(start as u32);
    let (mut done, mut next) = (0, 0);
    while done < g.len() {
        if done == order.len() {
            while seen[next] {
                next += 1;
            }
            seen[next] = true;
            order.push(next as u32);
        }
        for u in g.neighbours(order[done] as usize) {
            if !seen[*u as usize] {
                seen[*u as usize] = true;
                order.push(*u);
            }
        }
        done += 1;
    }
}
