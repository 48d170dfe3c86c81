//! Which unknowns are strongly coupled, and disjoint aggregates of them (sec. 5.1 of the paper).
//!
//! Unknowns of one node stay together: couplings are those of nodes, measured by the Frobenius
//! norms of blocks. Nodes i and j are strongly coupled when |a_ij| > theta sqrt(|a_ii| |a_jj|).

use super::rows::Rows;
use crate::operator::precond::sweep::push;
use crate::runtime::{memory, Result, Scalar};
use std::ops::Range;

const WHAT: &str = "aggregates";

/// No aggregate, no node.
pub const NONE: u32 = u32::MAX;

/// A coupling is the stronger of two by this factor, whatever the last bits say.
const CLEARLY: f32 = 1.001;

/// How unknowns form nodes: node I has the unknowns from `start[I]` to `start[I + 1]`.
pub enum Nodes {
    /// Each unknown is a node.
    Single(usize),
    Blocks { start: Vec<u32>, of: Vec<u32> },
}

impl Nodes {
    /// Nodes of `size` unknowns each.
    pub fn uniform(n: usize, size: usize) -> Result<Self> {
        if size == 1 {
            return Ok(Nodes::Single(n));
        }
        let mut start = memory::with_capacity(n / size + 1, WHAT)?;
        start.extend((0..=n / size).map(|i| (i * size) as u32));
        Self::from_starts(start)
    }

    pub fn from_starts(start: Vec<u32>) -> Result<Self> {
        let count = start.len() - 1;
        if (0..count).all(|i| start[i + 1] == start[i] + 1) {
            return Ok(Nodes::Single(count));
        }
        let mut of = memory::with_capacity(start[count] as usize, WHAT)?;
        for i in 0..count {
            of.extend((start[i]..start[i + 1]).map(|_| i as u32));
        }
        Ok(Nodes::Blocks { start, of })
    }

    pub fn count(&self) -> usize {
        match self {
            Nodes::Single(n) => *n,
            Nodes::Blocks { start, .. } => start.len() - 1,
        }
    }

    /// The unknowns of a node.
    #[inline(always)]
    pub fn span(&self, node: usize) -> Range<usize> {
        match self {
            Nodes::Single(_) => node..node + 1,
            Nodes::Blocks { start, .. } => start[node] as usize..start[node + 1] as usize,
        }
    }

    #[inline(always)]
    pub fn of(&self, i: usize) -> usize {
        match self {
            Nodes::Single(_) => i,
            Nodes::Blocks { of, .. } => of[i] as usize,
        }
    }

    /// The unknown of i's node that corresponds to j among those of its node.
    #[inline(always)]
    pub fn alike(&self, i: usize, j: usize) -> usize {
        match self {
            Nodes::Single(_) => i,
            Nodes::Blocks { start, of } => {
                let (mine, other) = (of[i] as usize, of[j] as usize);
                let k = start[mine] + (j as u32 - start[other]);
                if k < start[mine + 1] { k as usize } else { i }
            }
        }
    }
}

/// The strong couplings of nodes, without those to themselves.
pub struct Graph {
    ptr: Vec<usize>,
    col: Vec<u32>,
    weight: Vec<f32>,
    /// Whether each entry of the matrix is between strongly coupled nodes; empty: all are.
    pub strong: Vec<bool>,
}

impl Graph {
    /// `inverse` is D^-1, or 0 where there is no usable diagonal entry: such rows are coupled to
    /// nothing.
    pub fn new<S: Scalar>(a: Rows<S>, inverse: &[S], nodes: &Nodes, theta: f64) -> Result<Self> {
        // 1 / sqrt of the size of the diagonal block.
        let mut root = memory::with_capacity(nodes.count(), WHAT)?;
        root.extend((0..nodes.count()).map(|node| {
            let square: f64 = nodes.span(node).map(|i| inverse[i].modulus()).filter(|d| *d > 0.0).map(|d| d.powi(-2)).sum();
            if square > 0.0 { square.sqrt().sqrt().recip() } else { 0.0 }
        }));
        let mut graph = Graph {
            ptr: memory::with_capacity(nodes.count() + 1, WHAT)?,
            col: memory::with_capacity(a.col.len(), WHAT)?,
            weight: memory::with_capacity(a.col.len(), WHAT)?,
            strong: memory::filled(a.col.len(), true, WHAT)?,
        };
        graph.ptr.push(0);
        let weak = match nodes {
            Nodes::Single(_) => graph.of_unknowns(a, &root, theta),
            Nodes::Blocks { .. } => graph.of_nodes(a, &root, nodes, theta)?,
        };
        if !weak {
            graph.strong = Vec::new();
        }
        Ok(graph)
    }

    fn of_unknowns<S: Scalar>(&mut self, a: Rows<S>, root: &[f64], theta: f64) -> bool {
        let mut weak = false;
        for i in 0..a.len() {
            for at in a.span(i) {
                let j = a.col[at];
                let size = a.values[at].modulus() * root[i] * root[j as usize];
                if j as usize == i {
                    continue;
                }
                if size > theta {
                    self.col.push(j);
                    self.weight.push(size as f32);
                } else {
                    self.strong[at] = false;
                    weak = true;
                }
            }
            self.ptr.push(self.col.len());
        }
        weak
    }

    fn of_nodes<S: Scalar>(&mut self, a: Rows<S>, root: &[f64], nodes: &Nodes, theta: f64) -> Result<bool> {
        let mut weak = false;
        let mut place = memory::filled(nodes.count(), NONE, WHAT)?;
        let mut found: Vec<(u32, f64)> = Vec::new();
        for node in 0..nodes.count() {
            found.clear();
            let entries = nodes.span(node).flat_map(|i| a.span(i));
            for at in entries.clone() {
                let other = nodes.of(a.col[at] as usize);
                let size = a.values[at].modulus() * root[node] * root[other];
                if place[other] == NONE {
                    place[other] = found.len() as u32;
                    push(&mut found, (other as u32, 0.0), WHAT)?;
                }
                found[place[other] as usize].1 += size * size;
            }
            let coupled = |at: usize| at == node || found[place[at] as usize].1.sqrt() > theta;
            for at in entries {
                self.strong[at] = coupled(nodes.of(a.col[at] as usize));
                weak |= !self.strong[at];
            }
            for (other, square) in &found {
                if *other as usize != node && coupled(*other as usize) {
                    self.col.push(*other);
                    self.weight.push(square.sqrt() as f32);
                }
            }
            found.iter().for_each(|(other, _)| place[*other as usize] = NONE);
            self.ptr.push(self.col.len());
        }
        Ok(weak)
    }

    /// Where the neighbours of a node are not coupled to each other, as on a grid with couplings along
    /// its lines only, free nodes that are coupled to two of them join the aggregate: a star becomes
    /// a box. `links` is zero, before and after.
    fn round_off(&self, node: usize, aggregate: u32, of: &mut [u32], links: &mut [u32]) {
        let near = self.neighbours(node);
        let second = || near.iter().flat_map(|j| self.neighbours(*j as usize)).map(|k| *k as usize);
        let sparse = second().all(|k| k == node || of[k] != aggregate);
        if sparse {
            for k in second().filter(|k| *k != node) {
                links[k] += 1;
                if links[k] == 2 && of[k] == NONE {
                    of[k] = aggregate;
                }
            }
            second().for_each(|k| links[k] = 0);
        }
    }

    fn neighbours(&self, node: usize) -> &[u32] {
        &self.col[self.ptr[node]..self.ptr[node + 1]]
    }

    /// The aggregate of each node, and how many there are. A node that is strongly coupled to no
    /// other belongs to none: relaxation does for it.
    pub fn aggregates(&self) -> Result<(Vec<u32>, usize)> {
        let nodes = self.ptr.len() - 1;
        let mut of = memory::filled(nodes, NONE, WHAT)?;
        let mut count = 0;
        // Whole neighbourhoods that are still free.
        let mut links = memory::filled(nodes, 0u32, WHAT)?;
        for node in 0..nodes {
            let near = self.neighbours(node);
            if of[node] == NONE && !near.is_empty() && near.iter().all(|j| of[*j as usize] == NONE) {
                of[node] = count;
                near.iter().for_each(|j| of[*j as usize] = count);
                self.round_off(node, count, &mut of, &mut links);
                count += 1;
            }
        }
        // The others join the neighbour that is coupled most strongly, ...
        let mut joined = memory::copied(&of, WHAT)?;
        for node in (0..nodes).filter(|node| of[*node] == NONE) {
            let span = self.ptr[node]..self.ptr[node + 1];
            let mut best = 0.0;
            for (j, weight) in self.col[span.clone()].iter().zip(&self.weight[span]) {
                if of[*j as usize] != NONE && *weight > CLEARLY * best {
                    best = *weight;
                    joined[node] = of[*j as usize];
                }
            }
        }
        // ... or what is left of their neighbourhood.
        for node in 0..nodes {
            let near = self.neighbours(node);
            if joined[node] == NONE && !near.is_empty() {
                joined[node] = count;
                for j in near {
                    if joined[*j as usize] == NONE {
                        joined[*j as usize] = count;
                    }
                }
                count += 1;
            }
        }
        Ok((joined, count as usize))
    }
}
