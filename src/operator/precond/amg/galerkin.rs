//! The products of a set-up, row by row with an array of places instead of a hash table: the
//! smoothed prolongator P = (I - omega / lambda_max D^-1 A^F) T and the next level's matrix
//! P^H A P (sec. 3 of the paper). Storage is reused.

use super::aggregate::{Graph, Nodes};
use super::rows::{Csr, Rows};
use super::tentative::{Candidates, Tentative};
use crate::operator::precond::sweep::resize;
use crate::runtime::{memory, Error, Result, Scalar};

const WHAT: &str = "a coarse matrix";

/// omega: with it the largest eigenvalue of the squared factor is smallest.
const OMEGA: f64 = 4.0 / 3.0;

/// A matrix that grows row by row. The arrays have room for more than is there; `places` holds
/// for each column its place in the row at hand, or one that lies outside of it.
struct Growing<'a, S> {
    places: &'a mut [u32],
    to: &'a mut Csr<S>,
    /// Where the row at hand begins.
    first: usize,
}

const NOWHERE: u32 = u32::MAX;

impl<'a, S: Scalar> Growing<'a, S> {
    /// Empties `to`, which will have `rows` rows and some `entries` entries.
    fn new(places: &'a mut Vec<u32>, columns: usize, to: &'a mut Csr<S>, rows: usize, entries: usize) -> Result<Self> {
        resize(places, columns, NOWHERE, WHAT)?;
        to.ptr.clear();
        memory::reserve(&mut to.ptr, rows + 1, WHAT)?;
        to.ptr.push(0);
        let mut growing = Growing { places, to, first: 0 };
        if growing.to.col.is_empty() {
            growing.room(entries)?;
        }
        Ok(growing)
    }

    /// Makes room for a row of up to `extra` entries, whose places must fit 32 bits.
    fn room(&mut self, extra: usize) -> Result<()> {
        let (need, have) = (self.first + extra + 1, self.to.col.len());
        if need > have {
            let len = need + have / 2;
            if len >= NOWHERE as usize {
                return Err(Error::Unsupported("a product of the set-up has too many entries".to_string()));
            }
            memory::reserve(&mut self.to.col, len - have, WHAT)?;
            memory::reserve(&mut self.to.values, len - have, WHAT)?;
            self.to.col.resize(len, 0);
            self.to.values.resize(len, S::ZERO);
        }
        Ok(())
    }

    /// The row at hand, with its arrays at hand too. There must be room for one entry more than it
    /// will have.
    fn row(&mut self) -> Row<'_, S> {
        self.to.values[self.first] = S::ZERO;
        Row { places: &mut self.places[..], col: &mut self.to.col[..], values: &mut self.to.values[..], first: self.first, len: self.first }
    }

    fn end_row(&mut self, len: usize) {
        self.to.ptr.push(len);
        self.first = len;
    }

    /// Gives back what was not needed, but for `slack` entries.
    fn end(self, slack: usize) {
        let len = (self.first + slack).min(self.to.col.len());
        if self.to.col.len() - len > len / 8 {
            self.to.col.truncate(len);
            self.to.values.truncate(len);
            self.to.col.shrink_to_fit();
            self.to.values.shrink_to_fit();
        }
    }
}

/// The row at hand of a growing matrix. Its entries are `first..len`, and the value at `len` is zero.
struct Row<'a, S> {
    places: &'a mut [u32],
    col: &'a mut [u32],
    values: &'a mut [S],
    first: usize,
    len: usize,
}

impl<S: Scalar> Row<'_, S> {
    /// Adds v in column j; without a branch, which nobody could foresee.
    #[inline(always)]
    fn add(&mut self, j: u32, v: S) {
        let at = self.places[j as usize] as usize;
        let fresh = at.wrapping_sub(self.first) >= self.len - self.first;
        let at = if fresh { self.len } else { at };
        self.places[j as usize] = at as u32;
        self.col[at] = j;
        self.values[at] += v;
        self.len += fresh as usize;
        self.values[self.len] = S::ZERO;
    }

    /// Adds column j to the pattern.
    #[inline(always)]
    fn mark(&mut self, j: u32) {
        let at = self.places[j as usize] as usize;
        let fresh = at.wrapping_sub(self.first) >= self.len - self.first;
        self.places[j as usize] = if fresh { self.len } else { at } as u32;
        self.col[self.len] = j;
        self.len += fresh as usize;
    }

    #[inline(always)]
    fn add_scaled(&mut self, by: S, (first, values): (u32, &[S])) {
        for (c, v) in values.iter().enumerate() {
            self.add(first + c as u32, by * *v);
        }
    }
}

/// P. Weak entries of A act on the unknown alike of the row's own node.
fn prolongator<S: Scalar>(a: Rows<S>, strong: &[bool], nodes: &Nodes, tentative: &Tentative<S>, inverse: &[S], lambda: f64, places: &mut Vec<u32>, p: &mut Csr<S>) -> Result<()> {
    let n = a.len();
    let longest = (0..n).map(|i| a.span(i).len()).max().unwrap_or(0);
    let bound = (longest + 1) * tentative.width();
    let mut p = Growing::new(places, tentative.columns(), p, n, 2 * n)?;
    for i in 0..n {
        p.room(bound)?;
        let mut row = p.row();
        row.add_scaled(S::ONE, tentative.row(i));
        let (col, values) = a.row(i);
        if strong.is_empty() {
            let factor = -inverse[i].scale(OMEGA / lambda);
            for (j, v) in col.iter().zip(values) {
                row.add_scaled(*v * factor, tentative.row(*j as usize));
            }
        } else {
            let strong = &strong[a.span(i)];
            let target = |k: usize| if strong[k] { col[k] as usize } else { nodes.alike(i, col[k] as usize) };
            let factor = -damping(i, inverse[i], values, target).scale(OMEGA / lambda);
            for (k, v) in values.iter().enumerate() {
                row.add_scaled(*v * factor, tentative.row(target(k)));
            }
        }
        let len = row.len;
        p.end_row(len);
    }
    // A refresh asks for as much room in the last row.
    p.end(bound + 1);
    Ok(())
}

/// The inverse of the diagonal entry of A^F, or of A where weak entries would take most of it
/// away.
#[inline(always)]
fn damping<S: Scalar>(i: usize, inverse: S, values: &[S], target: impl Fn(usize) -> usize) -> S {
    if inverse == S::ZERO {
        return inverse;
    }
    let lumped = values.iter().enumerate().filter(|(k, _)| target(*k) == i).fold(S::ZERO, |sum, (_, v)| sum + *v);
    if (lumped * inverse).real_part() > 0.25 { S::ONE / lumped } else { inverse }
}

/// A P, its columns in no order. `ap` is a work array: it may be longer than it has entries.
fn right<S: Scalar>(a: Rows<S>, p: Rows<S>, columns: usize, places: &mut Vec<u32>, ap: &mut Csr<S>) -> Result<()> {
    let longest = (0..p.len()).map(|i| p.span(i).len()).max().unwrap_or(0);
    let mut ap = Growing::new(places, columns, ap, a.len(), 2 * p.col.len())?;
    for i in 0..a.len() {
        let (col, values) = a.row(i);
        ap.room((col.len() * longest).min(columns))?;
        let mut row = ap.row();
        for (j, v) in col.iter().zip(values) {
            let (col, values) = p.row(*j as usize);
            for (k, w) in col.iter().zip(values) {
                row.add(*k, *v * *w);
            }
        }
        let len = row.len;
        ap.end_row(len);
    }
    Ok(())
}

/// The pattern of R B, its columns ascending; values become zero.
fn left_pattern<S: Scalar>(r: Rows<S>, b: Rows<S>, columns: usize, places: &mut Vec<u32>, to: &mut Csr<S>) -> Result<()> {
    let mut to = Growing::new(places, columns, to, r.len(), b.col.len() / 2)?;
    for i in 0..r.len() {
        let near = r.row(i).0;
        to.room(near.iter().map(|j| b.span(*j as usize).len()).sum::<usize>().min(columns))?;
        let mut row = to.row();
        for j in near {
            b.row(*j as usize).0.iter().for_each(|k| row.mark(*k));
        }
        row.col[row.first..row.len].sort_unstable();
        let len = row.len;
        to.end_row(len);
    }
    to.end(0);
    Ok(())
}

/// The values of R B, whose pattern is that of `left_pattern`.
fn left<S: Scalar>(r: Rows<S>, b: Rows<S>, columns: usize, places: &mut Vec<u32>, to: &mut Csr<S>) -> Result<()> {
    resize(places, columns, NOWHERE, WHAT)?;
    to.values.fill(S::ZERO);
    for i in 0..r.len() {
        for at in to.ptr[i]..to.ptr[i + 1] {
            places[to.col[at] as usize] = at as u32;
        }
        let (col, values) = r.row(i);
        for (j, v) in col.iter().zip(values) {
            let (col, values) = b.row(*j as usize);
            for (k, w) in col.iter().zip(values) {
                to.values[places[*k as usize] as usize] += *v * *w;
            }
        }
    }
    Ok(())
}

/// What leads from a level to the next.
pub struct Transfer<S> {
    nodes: Nodes,
    strong: Vec<bool>,
    tentative: Tentative<S>,
    /// P and P^H.
    pub up: Csr<S>,
    pub down: Csr<S>,
}

/// Arrays that all levels use in turn.
pub struct Tools<S> {
    places: Vec<u32>,
    product: Csr<S>,
}

impl<S: Scalar> Tools<S> {
    pub fn new() -> Self {
        Tools { places: Vec::new(), product: Csr::new() }
    }
}

impl<S: Scalar> Transfer<S> {
    /// From the candidates; also those of the next level. None: there is next to nothing to
    /// aggregate.
    pub fn new(a: Rows<S>, inverse: &[S], nodes: Nodes, theta: f64, near: &Candidates<S>) -> Result<Option<(Self, Candidates<S>)>> {
        let graph = Graph::new(a, inverse, &nodes, theta)?;
        let (of, count) = graph.aggregates()?;
        let (tentative, next) = Tentative::new(&nodes, &of, count, near, a.len())?;
        let columns = tentative.columns();
        if columns == 0 || columns > a.len() / 4 * 3 {
            return Ok(None);
        }
        Ok(Some((Transfer { nodes, strong: graph.strong, tentative, up: Csr::new(), down: Csr::new() }, next)))
    }

    pub fn columns(&self) -> usize {
        self.tentative.columns()
    }

    pub fn next_nodes(&self) -> Result<Nodes> {
        Nodes::from_starts(memory::copied(self.tentative.starts(), WHAT)?)
    }

    /// New values of P and of P^H A P, whose pattern is made when it has no rows yet.
    pub fn renew(&mut self, a: Rows<S>, inverse: &[S], lambda: f64, tools: &mut Tools<S>, next: &mut Csr<S>) -> Result<()> {
        let columns = self.columns();
        let Tools { places, product } = tools;
        prolongator(a, &self.strong, &self.nodes, &self.tentative, inverse, lambda, places, &mut self.up)?;
        self.down.transpose(self.up.view(), columns)?;
        right(a, self.up.view(), columns, places, product)?;
        if next.ptr.is_empty() {
            left_pattern(self.down.view(), product.view(), columns, places, next)?;
        }
        left(self.down.view(), product.view(), columns, places, next)
    }
}
