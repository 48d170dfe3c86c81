//! The structure of a factor L of a matrix with symmetric pattern, from an order of elimination:
//! the elimination tree (Liu, SIAM J. Matrix Anal. Appl. 11, 1990), the lengths of the columns
//! (Gilbert, Ng, Peyton, SIAM J. Matrix Anal. Appl. 15, 1994), and supernodes, merged where the
//! zeros that this stores cost less than separate steps (Ashcraft, Grimes, ACM Trans. Math. Softw.
//! 15, 1989).

use super::ordering::{Graph, Ordering};
use crate::runtime::{memory, Result};

const WHAT: &str = "the structure of a factor";
const NONE: u32 = u32::MAX;

/// Zeros that may be stored to save a step, and the share of zeros in a supernode that does not matter.
const STEP: usize = 16;
const SHARE: f64 = 0.03;

/// The elimination tree of the matrix in an order that numbers children before their parents and
/// subtrees without gaps.
pub struct Tree {
    /// Position k holds vertex `order[k]`.
    pub order: Vec<u32>,
    position: Vec<u32>,
    parent: Vec<u32>,
    /// Entries of the columns of L, diagonal included.
    count: Vec<u32>,
}

impl Tree {
    /// The order is a permutation; an equivalent one takes its place.
    pub fn new(g: &Graph, mut order: Vec<u32>) -> Result<Self> {
        let n = order.len();
        let mut position = memory::filled(n, 0u32, WHAT)?;
        order.iter().enumerate().for_each(|(k, v)| position[*v as usize] = k as u32);
        let mut tree = memory::filled(n, NONE, WHAT)?;
        let mut ancestor = memory::filled(n, NONE, WHAT)?;
        for k in 0..n as u32 {
            for u in g.neighbours(order[k as usize] as usize) {
                let mut j = position[*u as usize];
                while j < k {
                    let next = std::mem::replace(&mut ancestor[j as usize], k);
                    if next == NONE {
                        tree[j as usize] = k;
                    }
                    j = next;
                }
            }
        }
        let post = postorder(&tree)?;
        let old = memory::copied(&order, WHAT)?;
        for (k, j) in post.iter().enumerate() {
            order[k] = old[*j as usize];
            position[order[k] as usize] = k as u32;
        }
        let new = |j: u32| if j == NONE { NONE } else { position[old[j as usize] as usize] };
        let mut parent = memory::with_capacity(n, WHAT)?;
        parent.extend(post.iter().map(|j| new(tree[*j as usize])));
        let mut tree = Tree { order, position, parent, count: Vec::new() };
        tree.count = tree.counts(g)?;
        Ok(tree)
    }

    fn counts(&self, g: &Graph) -> Result<Vec<u32>> {
        let n = self.order.len();
        let parent = &self.parent;
        let mut first = memory::with_capacity(n, WHAT)?;
        first.extend(0..n as u32);
        let mut count = memory::filled(n, 0i64, WHAT)?;
        let mut furthest = memory::filled(n, NONE, WHAT)?;
        let mut leaf = memory::filled(n, NONE, WHAT)?;
        let mut ancestor = memory::with_capacity(n, WHAT)?;
        ancestor.extend(0..n as u32);
        for j in 0..n {
            if first[j] == j as u32 {
                count[j] += 1;
            }
            if parent[j] != NONE {
                let p = parent[j] as usize;
                first[p] = first[p].min(first[j]);
                count[p] -= 1;
            }
            for u in g.neighbours(self.order[j] as usize) {
                let i = self.position[*u as usize] as usize;
                // Is j a leaf of the subtree of row i? `NONE` + 1 is 0.
                if i <= j || first[j] < furthest[i].wrapping_add(1) {
                    continue;
                }
                furthest[i] = first[j];
                count[j] += 1;
                let before = std::mem::replace(&mut leaf[i], j as u32);
                if before != NONE {
                    count[root(&mut ancestor, before) as usize] -= 1;
                }
            }
            if parent[j] != NONE {
                ancestor[j] = parent[j];
            }
        }
        for j in 0..n {
            if parent[j] != NONE {
                count[parent[j] as usize] += count[j];
            }
        }
        let mut lengths = memory::with_capacity(n, WHAT)?;
        lengths.extend(count.iter().map(|c| *c as u32));
        Ok(lengths)
    }

    /// Entries of L, diagonal included.
    #[cfg(test)]
    pub fn entries(&self) -> f64 {
        self.count.iter().map(|c| *c as f64).sum()
    }

    /// Multiplications and additions of a Cholesky factorisation.
    pub fn flops(&self) -> f64 {
        self.count.iter().map(|c| (*c as f64).powi(2)).sum()
    }
}

/// The last of the ancestors known, on a path that is shortened on the way.
fn root(ancestor: &mut [u32], mut j: u32) -> u32 {
    while ancestor[j as usize] != j {
        ancestor[j as usize] = ancestor[ancestor[j as usize] as usize];
        j = ancestor[j as usize];
    }
    j
}

/// The vertices of a forest, children before their parents and subtrees without gaps.
fn postorder(parent: &[u32]) -> Result<Vec<u32>> {
    let n = parent.len();
    let mut child = memory::filled(n, NONE, WHAT)?;
    let mut sibling = memory::filled(n, NONE, WHAT)?;
    let mut first = NONE;
    for j in (0..n).rev() {
        let list = if parent[j] == NONE { &mut first } else { &mut child[parent[j] as usize] };
        sibling[j] = std::mem::replace(list, j as u32);
    }
    let mut post = memory::with_capacity(n, WHAT)?;
    let mut at = first;
    while at != NONE {
        // Down to a leaf, which then stands for all that is finished below its parent.
        while child[at as usize] != NONE {
            at = std::mem::replace(&mut child[at as usize], NONE);
        }
        post.push(at);
        at = if sibling[at as usize] != NONE { sibling[at as usize] } else { parent[at as usize] };
    }
    Ok(post)
}

/// Supernodes: neighbouring columns of L whose entries below them lie in the same rows.
pub struct Structure {
    /// Position k holds vertex `order[k]`.
    pub order: Vec<u32>,
    /// Supernode s has the columns `begin[s]..begin[s + 1]`.
    pub begin: Vec<usize>,
    /// The rows below them are `rows[rows_ptr[s]..rows_ptr[s + 1]]`, ascending.
    pub rows_ptr: Vec<usize>,
    pub rows: Vec<u32>,
    /// The supernode that owns the first of these rows.
    pub parent: Vec<u32>,
}

/// Columns with the same rows below them, as they are merged.
struct Block {
    width: usize,
    below: usize,
    zeros: usize,
    parent: u32,
    /// The columns are those of a chain of blocks.
    head: u32,
    tail: u32,
}

impl Block {
    /// Zeros stored if `child` is merged into this one.
    fn zeros_with(&self, child: &Block) -> usize {
        self.zeros + child.zeros + child.width * (self.width + self.below - child.below)
    }

    /// Whether it saves more than it costs to merge `child` into this block: a step of a substitution
    /// costs as much as some entries, and each row below as much as one. More than half is never zeros.
    fn takes(&self, child: &Block) -> bool {
        let zeros = self.zeros_with(child);
        let width = self.width + child.width;
        let entries = width * (width + 1) / 2 + width * self.below;
        let saves = zeros - self.zeros - child.zeros <= STEP + child.below && 2 * zeros <= entries;
        saves || zeros as f64 <= SHARE * entries as f64
    }
}

impl Structure {
    /// Of the factor of a matrix with this graph.
    pub fn of(g: &Graph, ordering: Ordering) -> Result<Self> {
        Structure::from_tree(g, ordering.tree(g)?)
    }

    fn from_tree(g: &Graph, tree: Tree) -> Result<Self> {
        let n = tree.order.len();
        let (first, mut blocks) = blocks(&tree)?;
        let next = merge(&mut blocks)?;
        let mut parent = memory::with_capacity(blocks.len(), WHAT)?;
        parent.extend(blocks.iter().map(|b| b.parent));
        let mut structure = Structure {
            order: memory::with_capacity(n, WHAT)?,
            begin: memory::with_capacity(blocks.len() + 1, WHAT)?,
            rows_ptr: memory::with_capacity(blocks.len() + 1, WHAT)?,
            rows: Vec::new(),
            parent: memory::with_capacity(blocks.len(), WHAT)?,
        };
        let mut name = memory::filled(blocks.len(), NONE, WHAT)?;
        structure.rows_ptr.push(0);
        for b in postorder(&parent)? {
            let block = &blocks[b as usize];
            if block.width == 0 {
                continue;
            }
            name[b as usize] = structure.begin.len() as u32;
            structure.begin.push(structure.order.len());
            structure.rows_ptr.push(structure.rows_ptr[structure.rows_ptr.len() - 1] + block.below);
            structure.parent.push(block.parent);
            let mut member = block.head;
            loop {
                structure.order.extend_from_slice(&tree.order[first[member as usize]..first[member as usize + 1]]);
                if member == block.tail {
                    break;
                }
                member = next[member as usize];
            }
        }
        structure.begin.push(n);
        structure.parent.iter_mut().filter(|p| **p != NONE).for_each(|p| *p = name[*p as usize]);
        structure.fill(g, tree.position)?;
        Ok(structure)
    }

    /// The rows of all supernodes: row k is met on the way up the tree from each of its entries.
    fn fill(&mut self, g: &Graph, mut position: Vec<u32>) -> Result<()> {
        let (n, count) = (self.order.len(), self.begin.len() - 1);
        self.order.iter().enumerate().for_each(|(k, v)| position[*v as usize] = k as u32);
        let mut owner = memory::filled(n, 0u32, WHAT)?;
        (0..count).for_each(|s| owner[self.begin[s]..self.begin[s + 1]].fill(s as u32));
        let mut end = memory::copied(&self.rows_ptr[..count], WHAT)?;
        let mut seen = memory::filled(count, NONE, WHAT)?;
        self.rows = memory::filled(self.rows_ptr[count], 0, WHAT)?;
        for k in 0..n {
            seen[owner[k] as usize] = k as u32;
            for u in g.neighbours(self.order[k] as usize) {
                let j = position[*u as usize] as usize;
                if j > k {
                    continue;
                }
                let mut s = owner[j] as usize;
                while seen[s] != k as u32 {
                    seen[s] = k as u32;
                    self.rows[end[s]] = k as u32;
                    end[s] += 1;
                    s = self.parent[s] as usize;
                }
            }
        }
        debug_assert!(end.iter().eq(&self.rows_ptr[1..]));
        Ok(())
    }
}

/// Neighbouring columns each of which has the rows of the one before it but the first; where the
/// columns of each block begin, and the blocks.
fn blocks(tree: &Tree) -> Result<(Vec<usize>, Vec<Block>)> {
    let n = tree.order.len();
    let joins = |j: usize| j > 0 && tree.parent[j - 1] == j as u32 && tree.count[j - 1] == tree.count[j] + 1;
    let number = (0..n).filter(|j| !joins(*j)).count();
    let mut first = memory::with_capacity(number + 1, WHAT)?;
    let mut blocks: Vec<Block> = memory::with_capacity(number, WHAT)?;
    let mut owner = memory::with_capacity(n, WHAT)?;
    for j in 0..n {
        if !joins(j) {
            let s = blocks.len() as u32;
            first.push(j);
            blocks.push(Block { width: 0, below: 0, zeros: 0, parent: NONE, head: s, tail: s });
        }
        let s = blocks.len() - 1;
        owner.push(s as u32);
        blocks[s].width += 1;
        blocks[s].below = tree.count[j] as usize - 1;
    }
    first.push(n);
    for (s, block) in blocks.iter_mut().enumerate() {
        let above = tree.parent[first[s + 1] - 1];
        block.parent = if above == NONE { NONE } else { owner[above as usize] };
    }
    Ok((first, blocks))
}

/// Merges children into their parents where that pays. Blocks that were merged have width 0; the
/// result leads from block to block of a chain.
fn merge(blocks: &mut [Block]) -> Result<Vec<u32>> {
    let count = blocks.len();
    let mut next = memory::filled(count, NONE, WHAT)?;
    let mut child = memory::filled(count, NONE, WHAT)?;
    let mut sibling = memory::filled(count, NONE, WHAT)?;
    let mut into = memory::with_capacity(count, WHAT)?;
    into.extend(0..count as u32);
    for p in 0..count {
        // The child with the most rows brings the fewest zeros.
        let mut best = child[p];
        while best != NONE {
            let mut c = child[p];
            best = NONE;
            while c != NONE {
                let block = &blocks[c as usize];
                if block.width > 0 && blocks[p].takes(block) && (best == NONE || blocks[best as usize].below < block.below) {
                    best = c;
                }
                c = sibling[c as usize];
            }
            if best != NONE {
                let zeros = blocks[p].zeros_with(&blocks[best as usize]);
                let Block { width, head, tail, .. } = blocks[best as usize];
                blocks[best as usize].width = 0;
                into[best as usize] = p as u32;
                next[tail as usize] = blocks[p].head;
                blocks[p].width += width;
                blocks[p].zeros = zeros;
                blocks[p].head = head;
            }
        }
        if blocks[p].parent != NONE {
            sibling[p] = std::mem::replace(&mut child[blocks[p].parent as usize], p as u32);
        }
    }
    for block in blocks.iter_mut().filter(|b| b.parent != NONE) {
        block.parent = root(&mut into, block.parent);
    }
    Ok(next)
}

impl Structure {
    /// The rows below supernode s.
    #[inline(always)]
    pub fn rows(&self, s: usize) -> &[u32] {
        &self.rows[self.rows_ptr[s]..self.rows_ptr[s + 1]]
    }

    /// The columns of supernode s.
    #[inline(always)]
    pub fn own(&self, s: usize) -> std::ops::Range<usize> {
        self.begin[s]..self.begin[s + 1]
    }
}
