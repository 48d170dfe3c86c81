//! Undirected graphs with weights, as lists of neighbours.

use crate::runtime::{memory, Result};

pub const WHAT: &str = "an ordering";
const NONE: u32 = u32::MAX;

/// Vertex v has the neighbours `adj[ptr[v]..ptr[v + 1]]`, itself not among them.
pub struct Graph {
    pub ptr: Vec<usize>,
    pub adj: Vec<u32>,
    /// What each vertex stands for, in vertices of the first graph.
    pub weight: Vec<u32>,
    /// In the order of `adj`: how many edges of the first graph an edge stands for. Empty: all one.
    pub edge: Vec<u32>,
}

impl Graph {
    /// The graph of a symmetric matrix given by rows; of each row the entries left of the diagonal
    /// are read, which are distinct and ascending. So are the neighbours.
    pub fn of_lower(ptr: &[usize], col: &[u32]) -> Result<Self> {
        let n = ptr.len() - 1;
        let left = |i: usize| col[ptr[i]..ptr[i + 1]].iter().take_while(move |j| (**j as usize) < i);
        let mut begin = memory::filled(n + 1, 0usize, WHAT)?;
        for i in 0..n {
            for j in left(i) {
                begin[*j as usize] += 1;
                begin[i] += 1;
            }
        }
        let mut sum = 0;
        begin.iter_mut().for_each(|b| sum += std::mem::replace(b, sum));
        let mut adj = memory::filled(sum, 0u32, WHAT)?;
        for i in 0..n {
            for j in left(i) {
                adj[begin[i]] = *j;
                begin[i] += 1;
                adj[begin[*j as usize]] = i as u32;
                begin[*j as usize] += 1;
            }
        }
        // Each entry now holds the end of its list, that is the beginning of the next one.
        begin.copy_within(0..n, 1);
        begin[0] = 0;
        Ok(Graph { ptr: begin, adj, weight: memory::filled(n, 1, WHAT)?, edge: Vec::new() })
    }

    pub fn len(&self) -> usize {
        self.weight.len()
    }

    #[inline(always)]
    pub fn neighbours(&self, v: usize) -> &[u32] {
        &self.adj[self.ptr[v]..self.ptr[v + 1]]
    }

    /// Neighbours with the weights of the edges to them.
    #[inline(always)]
    pub fn edges(&self, v: usize) -> impl Iterator<Item = (usize, u32)> + '_ {
        let span = self.ptr[v]..self.ptr[v + 1];
        let edge = if self.edge.is_empty() { &[][..] } else { &self.edge[span.clone()] };
        self.adj[span].iter().enumerate().map(move |(k, u)| (*u as usize, edge.get(k).copied().unwrap_or(1)))
    }

    pub fn total(&self) -> u64 {
        self.weight.iter().map(|w| *w as u64).sum()
    }

    /// Merges the vertices that `class` gives the same of `count` numbers.
    pub fn contract(&self, class: &[u32], count: usize) -> Result<Graph> {
        let mut first = memory::filled(count, NONE, WHAT)?;
        let mut next = memory::filled(self.len(), NONE, WHAT)?;
        for v in (0..self.len()).rev() {
            next[v] = std::mem::replace(&mut first[class[v] as usize], v as u32);
        }
        let mut coarse = Graph {
            ptr: memory::with_capacity(count + 1, WHAT)?,
            adj: memory::with_capacity(self.adj.len(), WHAT)?,
            weight: memory::with_capacity(count, WHAT)?,
            edge: memory::with_capacity(self.adj.len(), WHAT)?,
        };
        coarse.ptr.push(0);
        // Where a class stands among the neighbours; places of former vertices lie before `begin`.
        let mut place = memory::filled(count, 0usize, WHAT)?;
        for (c, first) in first.iter().enumerate() {
            let begin = coarse.adj.len();
            let (mut v, mut weight) = (*first, 0);
            while v != NONE {
                weight += self.weight[v as usize];
                for (u, w) in self.edges(v as usize) {
                    let d = class[u];
                    if d as usize == c {
                        continue;
                    }
                    let at = place[d as usize];
                    if at > begin {
                        coarse.edge[at - 1] += w;
                    } else {
                        coarse.adj.push(d);
                        coarse.edge.push(w);
                        place[d as usize] = coarse.adj.len();
                    }
                }
                v = next[v as usize];
            }
            coarse.weight.push(weight);
            coarse.ptr.push(coarse.adj.len());
        }
        Ok(coarse)
    }

    /// The graph among `vertices`; `local` has their new numbers, and `NONE` for the others.
    pub fn among(&self, vertices: &[u32], local: &[u32]) -> Result<Graph> {
        let degrees = vertices.iter().map(|v| self.neighbours(*v as usize).len()).sum();
        let mut part = Graph {
            ptr: memory::with_capacity(vertices.len() + 1, WHAT)?,
            adj: memory::with_capacity(degrees, WHAT)?,
            weight: memory::with_capacity(vertices.len(), WHAT)?,
            edge: Vec::new(),
        };
        part.ptr.push(0);
        for v in vertices {
            part.adj.extend(self.neighbours(*v as usize).iter().map(|u| local[*u as usize]).filter(|u| *u != NONE));
            part.weight.push(self.weight[*v as usize]);
            part.ptr.push(part.adj.len());
        }
        Ok(part)
    }

    /// Classes of vertices that have the same neighbours and each other (several unknowns at one
    /// node of a mesh), and how many there are.
    pub fn indistinguishable(&self) -> Result<(Vec<u32>, usize)> {
        let n = self.len();
        let mut sums = memory::with_capacity(n, WHAT)?;
        sums.extend((0..n).map(|v| self.neighbours(v).iter().fold(v as u64, |sum, u| sum + *u as u64)));
        let mut class = memory::filled(n, NONE, WHAT)?;
        let mut mark = memory::filled(n, NONE, WHAT)?;
        let mut count = 0;
        for v in 0..n {
            if class[v] != NONE {
                continue;
            }
            class[v] = count;
            count += 1;
            let mine = self.neighbours(v);
            let like = |u: usize| u > v && sums[u] == sums[v] && self.neighbours(u).len() == mine.len();
            if !mine.iter().any(|u| like(*u as usize)) {
                continue;
            }
            mark[v] = v as u32;
            mine.iter().for_each(|u| mark[*u as usize] = v as u32);
            for u in mine.iter().map(|u| *u as usize).filter(|u| like(*u)) {
                if class[u] == NONE && self.neighbours(u).iter().all(|x| mark[*x as usize] == v as u32) {
                    class[u] = class[v];
                }
            }
        }
        Ok((class, count as usize))
    }
}
