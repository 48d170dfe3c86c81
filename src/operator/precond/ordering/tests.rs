//! Orders and structures against their definitions.

use super::super::symbolic::Structure;
use super::*;

fn graph(n: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Graph {
    let mut rows = vec![Vec::new(); n];
    edges.into_iter().for_each(|(i, j)| rows[i.max(j)].push(i.min(j) as u32));
    let (mut ptr, mut col) = (vec![0], Vec::new());
    for mut row in rows {
        row.sort_unstable();
        row.dedup();
        col.extend(row);
        ptr.push(col.len());
    }
    Graph::of_lower(&ptr, &col).unwrap()
}

fn grid_edges(nx: usize, ny: usize) -> Vec<(usize, usize)> {
    let along = (0..ny).flat_map(|y| (1..nx).map(move |x| (y * nx + x - 1, y * nx + x)));
    let across = (1..ny).flat_map(|y| (0..nx).map(move |x| ((y - 1) * nx + x, y * nx + x)));
    along.chain(across).collect()
}

fn grid(nx: usize, ny: usize) -> Graph {
    graph(nx * ny, grid_edges(nx, ny))
}

/// Every node of a grid stands for `block` unknowns.
fn block_grid(nx: usize, ny: usize, block: usize) -> Graph {
    let all = |(a, b): (usize, usize)| (0..block * block).map(move |k| (a * block + k / block, b * block + k % block));
    let inside = (0..nx * ny).flat_map(|a| (0..block).flat_map(move |i| (0..i).map(move |j| (a * block + i, a * block + j))));
    graph(nx * ny * block, grid_edges(nx, ny).into_iter().flat_map(all).chain(inside))
}

/// Pairs of vertices without a pattern.
fn scattered(n: usize, edges: usize, mut seed: u64) -> Graph {
    let mut next = move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % n
    };
    graph(n, (0..edges).map(|_| (next(), next())).filter(|(i, j)| i != j).collect::<Vec<_>>())
}

fn odd_graphs() -> Vec<(&'static str, Graph)> {
    let star = |n: usize| graph(n, (1..n).map(|i| (0, i)));
    let complete = |n: usize| graph(n, (0..n).flat_map(|i| (0..i).map(move |j| (i, j))));
    let path = |n: usize| graph(n, (1..n).map(|i| (i - 1, i)));
    let pairs = graph(3001, (0..1500).map(|i| (2 * i, 2 * i + 1)));
    // A grid, a path, a complete graph and single vertices.
    let mut pieces = grid_edges(30, 25);
    pieces.extend((751..1500).map(|i| (i - 1, i)));
    pieces.extend((1500..1560).flat_map(|i| (1500..i).map(move |j| (i, j))));
    // Two hubs above the bound for dense rows on top of a grid; hubs below it.
    let mut hubs = grid_edges(50, 50);
    hubs.extend((0..2500).flat_map(|i| [(2500, i), (2501, i)]));
    let brooms = graph(2000, (0..2000).filter(|i| i % 100 != 0).map(|i| (i / 100 * 100, i)).chain((1..20).map(|i| (100 * i - 100, 100 * i))));
    vec![
        ("nothing", graph(0, [])),
        ("a vertex", graph(1, [])),
        ("no edges", graph(1000, [])),
        ("path", path(5000)),
        ("star", star(4000)),
        ("complete", complete(400)),
        ("pairs", pairs),
        ("pieces", graph(1700, pieces)),
        ("hubs", graph(2502, hubs)),
        ("brooms", brooms),
        ("grid", grid(70, 41)),
        ("blocks", block_grid(20, 20, 3)),
        ("scattered", scattered(2000, 6000, 5)),
    ]
}

#[test]
fn orders_are_permutations_and_repeat() {
    for (name, g) in odd_graphs() {
        for order in [dissect(&g).unwrap(), minimum_degree(&g).unwrap()] {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.iter().copied().eq(0..g.len() as u32), "{name}");
        }
        assert_eq!(dissect(&g).unwrap(), dissect(&g).unwrap(), "{name}");
    }
}

/// Entries of L with its diagonal, operations.
fn fill(g: &Graph, ordering: Ordering) -> (f64, f64) {
    let tree = ordering.tree(g).unwrap();
    (tree.entries(), tree.flops())
}

#[test]
fn dissection_keeps_grids_sparse() {
    let g = grid(200, 200);
    let n = g.len() as f64;
    let (entries, flops) = fill(&g, Ordering::Dissection);
    let (by_degree, degree_flops) = fill(&g, Ordering::MinimumDegree);
    assert!(entries < 1.7 * n * n.log2(), "{} n log n", entries / (n * n.log2()));
    assert!(entries < 0.95 * by_degree && flops < 0.8 * degree_flops, "{entries} {by_degree}, {flops} {degree_flops}");
    // 31 m^3 / 4 lower-order terms aside (George 1973, in multiplications and additions).
    assert!(flops < 12.0 * 200f64.powi(3), "{flops}");
    // Auto takes the better one, here and where minimum degree is.
    assert_eq!(fill(&g, Ordering::Auto).0, entries);
    let path = graph(5000, (1..5000).map(|i| (i - 1, i)));
    assert_eq!(fill(&path, Ordering::Auto).0, 9999.0);
    assert_eq!(fill(&path, Ordering::Natural).0, 9999.0);
    // A grid in no order is ordered nearly as well.
    let mixed = |v: usize| v * 7919 % 40_000;
    let g = graph(40_000, grid_edges(200, 200).into_iter().map(|(i, j)| (mixed(i), mixed(j))));
    assert!(fill(&g, Ordering::Dissection).0 < 1.9 * n * n.log2());
}

#[test]
fn dissection_keeps_the_unknowns_of_a_node_together() {
    let order = dissect(&block_grid(40, 30, 4)).unwrap();
    for node in order.chunks(4) {
        assert!(node.iter().all(|v| v / 4 == node[0] / 4), "{node:?}");
    }
}

#[test]
fn a_separator_separates() {
    let g = grid(60, 60);
    let mut refiner = refine::Refiner::new(g.len()).unwrap();
    for way in separator::WAYS {
        let (division, _) = separator::divide(&g, &mut refiner, &[way]).unwrap();
        for v in 0..g.len() {
            let apart = |u: &u32| division.side[v] + division.side[*u as usize] == 1;
            assert!(!g.neighbours(v).iter().any(apart));
        }
        let count = |s: u8| division.side.iter().filter(|side| **side == s).count() as u64;
        assert_eq!(division.weight, [0, 1, 2].map(count));
        let [a, b, separator] = division.weight;
        assert!(separator <= 75 && a.max(b) <= 2100, "{:?}", division.weight);
    }
}

/// The rows of each column of L, by elimination.
fn eliminated(g: &Graph, order: &[u32]) -> Vec<Vec<usize>> {
    let n = g.len();
    let mut position = vec![0; n];
    order.iter().enumerate().for_each(|(k, v)| position[*v as usize] = k);
    let mut columns: Vec<Vec<usize>> = (0..n)
        .map(|k| g.neighbours(order[k] as usize).iter().map(|u| position[*u as usize]).filter(|i| *i > k).collect())
        .collect();
    for k in 0..n {
        columns[k].sort_unstable();
        columns[k].dedup();
        if let Some((first, others)) = columns[k].clone().split_first() {
            columns[*first].extend(others);
        }
    }
    columns
}

#[test]
fn structures_hold_what_elimination_makes() {
    for (name, g) in odd_graphs().into_iter().chain([("sparse", scattered(300, 500, 3)), ("dense", scattered(120, 900, 4))]) {
        for ordering in [Ordering::Natural, Ordering::MinimumDegree, Ordering::Dissection] {
            let tree = ordering.tree(&g).unwrap();
            let truth = eliminated(&g, &tree.order);
            let entries: usize = truth.iter().map(|column| column.len() + 1).sum();
            assert_eq!(tree.entries(), entries as f64, "{name}");
            let structure = Structure::of(&g, ordering).unwrap();
            let truth = eliminated(&g, &structure.order);
            // Merging changes the order, and no fill.
            assert_eq!(truth.iter().map(|column| column.len() + 1).sum::<usize>(), entries, "{name}");
            for s in 0..structure.parent.len() {
                let (own, rows) = (structure.own(s), structure.rows(s));
                assert!(rows.windows(2).all(|pair| pair[0] < pair[1]), "{name}");
                for k in own.clone() {
                    let held = |i: &usize| own.contains(i) || rows.binary_search(&(*i as u32)).is_ok();
                    assert!(truth[k].iter().all(held), "{name} {k}");
                }
                // The last column has no zeros.
                assert!(truth[own.end - 1].iter().map(|i| *i as u32).eq(rows.iter().copied()), "{name}");
                let above = rows.first().map_or(u32::MAX, |r| (0..structure.parent.len()).find(|t| structure.own(*t).contains(&(*r as usize))).unwrap() as u32);
                assert_eq!(structure.parent[s], above, "{name}");
            }
        }
    }
}
