//! The levels, and a V-cycle over them.

use super::aggregate::Nodes;
use super::coarse::Coarse;
use super::galerkin::{Tools, Transfer};
use super::rows::{Csr, Rows};
use super::smoother::System;
use super::tentative::Candidates;
use super::Settings;
use crate::linalg::{space, Space};
use crate::operator::precond::spectrum;
use crate::runtime::{memory, Context, Error, Pool, Result, Scalar};
use std::sync::Arc;

const WHAT: &str = "a hierarchy";

/// Lanczos steps for the largest eigenvalue of a level.
const STEPS: usize = 8;

/// Leading rows that are looked at first.
const SAMPLE: usize = 16384;

/// The matrix of the first level, which its owner keeps.
#[derive(Clone, Copy)]
pub struct Fine<'a, S> {
    pub rows: Rows<'a, S>,
    pub hermitian: bool,
}

pub struct Level<S: Scalar> {
    /// The matrix; empty on the first level.
    a: Csr<S>,
    /// D^-1, or zero where D is roundoff.
    inverse: Vec<S>,
    /// Where the diagonal entries are.
    diagonal: Vec<usize>,
    /// The sums of the moduli behind the diagonal entries; empty on the first level.
    size: Vec<f64>,
    /// No eigenvalue of D^-1 A is larger.
    lambda: f64,
    transfer: Option<Transfer<S>>,
}

impl<S: Scalar> Level<S> {
    fn new(n: usize, first: bool) -> Result<Self> {
        Ok(Level {
            a: Csr::new(),
            inverse: memory::filled(n, S::ZERO, WHAT)?,
            diagonal: memory::filled(n, 0, WHAT)?,
            size: memory::filled(if first { 0 } else { n }, 0.0, WHAT)?,
            lambda: 0.0,
            transfer: None,
        })
    }
}

pub struct Hierarchy<S: Scalar> {
    context: Arc<Context>,
    settings: Settings,
    levels: Vec<Level<S>>,
    /// Absent where next to nothing on the last level is coupled strongly: there relaxation does.
    coarse: Option<Coarse<S>>,
    tools: Tools<S>,
    inner: space::Scratch<S>,
    fine_entries: usize,
}

impl<S: Scalar> Hierarchy<S> {
    pub fn new(context: Arc<Context>, fine: Fine<S>, near: Candidates<S>, settings: Settings) -> Result<Self> {
        let n = fine.rows.len();
        let mut inner = space::Scratch::default();
        inner.reserve(n, 1, 1, false)?;
        let mut hierarchy = Hierarchy {
            context,
            settings,
            levels: Vec::new(),
            coarse: None,
            tools: Tools::new(),
            inner,
            fine_entries: fine.rows.col.len(),
        };
        let mut work = memory::filled(memory::product(4, n, WHAT)?, S::ZERO, WHAT)?;
        hierarchy.levels.push(Level::new(n, true)?);
        let (mut nodes, mut near) = (Nodes::uniform(n, settings.block)?, near);
        loop {
            let l = hierarchy.levels.len() - 1;
            let rows = hierarchy.measure(l, fine)?;
            if rows <= settings.coarse_size || l + 1 == settings.max_levels {
                hierarchy.coarse = Some(Coarse::new(&hierarchy.context, hierarchy.matrix(l, fine.rows))?);
                hierarchy.solve_last(fine)?;
                return Ok(hierarchy);
            }
            hierarchy.estimate(l, fine, &mut work)?;
            let theta = settings.strength * 0.5f64.powi(l as i32);
            let made = Transfer::new(hierarchy.matrix(l, fine.rows), &hierarchy.levels[l].inverse, nodes, theta, &near)?;
            let Some((transfer, next)) = made else {
                return Ok(hierarchy);
            };
            (nodes, near) = (transfer.next_nodes()?, next);
            hierarchy.levels.push(Level::new(transfer.columns(), false)?);
            hierarchy.levels[l].transfer = Some(transfer);
            hierarchy.descend(l, fine.rows)?;
        }
    }

    /// Takes over new values; `work` is that of a cycle.
    pub fn refresh(&mut self, fine: Fine<S>, work: &mut [S]) -> Result<()> {
        for l in 0..self.levels.len() {
            self.measure(l, fine)?;
            if l + 1 == self.levels.len() && self.coarse.is_some() {
                return self.solve_last(fine);
            }
            self.estimate(l, fine, work)?;
            if l + 1 < self.levels.len() {
                self.descend(l, fine.rows)?;
            }
        }
        Ok(())
    }

    fn matrix<'a>(&'a self, l: usize, fine: Rows<'a, S>) -> Rows<'a, S> {
        if l == 0 { fine } else { self.levels[l].a.view() }
    }

    /// P of level l and the matrix of the next.
    fn descend(&mut self, l: usize, fine: Rows<S>) -> Result<()> {
        let (head, tail) = self.levels.split_at_mut(l + 1);
        let Level { a, inverse, lambda, transfer, .. } = &mut head[l];
        let a = if l == 0 { fine } else { a.view() };
        match transfer {
            Some(transfer) => transfer.renew(a, inverse, *lambda, &mut self.tools, &mut tail[0].a),
            None => Ok(()),
        }
    }

    /// Reads the diagonal of level l; returns its length.
    fn measure(&mut self, l: usize, fine: Fine<S>) -> Result<usize> {
        let (head, tail) = self.levels.split_at_mut(l);
        let Level { a, inverse, diagonal, size, .. } = &mut tail[0];
        let a = if l == 0 { fine.rows } else { a.view() };
        for i in 0..a.len() {
            let (col, values) = a.row(i);
            let place = col.iter().position(|j| *j as usize == i);
            let d = place.map_or(S::ZERO, |k| values[k]);
            diagonal[i] = a.ptr[i] + place.unwrap_or(0);
            inverse[i] = S::ONE / d;
            if l == 0 {
                usable(i, d, inverse[i], fine.hermitian)?;
                continue;
            }
            // d is the sum of conj(p_j) a_jk p_k, of the order of |p_j|^2 a_jj.
            let above = &head[l - 1];
            let (col, values) = above.transfer.as_ref().map_or((&[][..], &[][..]), |t| t.down.view().row(i));
            let terms = col.iter().zip(values).filter(|(j, _)| above.inverse[**j as usize] != S::ZERO);
            size[i] = terms.map(|(j, v)| v.modulus().powi(2) / above.inverse[*j as usize].modulus()).sum::<f64>().max(f64::MIN_POSITIVE);
            if d.modulus() <= 1e3 * S::EPSILON * size[i] || !inverse[i].finite() {
                inverse[i] = S::ZERO;
            } else if fine.hermitian && d.real_part() < 0.0 {
                return Err(Error::Indefinite(format!("a diagonal entry of level {l} is {d}, must be positive")));
            }
        }
        Ok(a.len())
    }

    /// A bound for the eigenvalues of D^-1 A on level l.
    fn estimate(&mut self, l: usize, fine: Fine<S>, work: &mut [S]) -> Result<()> {
        let Hierarchy { context, levels, inner, .. } = self;
        let level = &mut levels[l];
        let (a, inverse) = (if l == 0 { fine.rows } else { level.a.view() }, &level.inverse);
        let row = |i: usize| a.row(i).1.iter().map(|v| (*v * inverse[i]).modulus()).sum::<f64>();
        let ceiling = (0..a.len()).map(row).fold(0.0, f64::max).max(1.0);
        level.lambda = ceiling;
        if !fine.hermitian {
            return Ok(());
        }
        let n = a.len();
        let (v, rest) = work.split_at_mut(n);
        let (w, rest) = rest.split_at_mut(n);
        let (old, rest) = rest.split_at_mut(n);
        let x = &mut rest[..n];
        let root = |d: &S| d.real_part().sqrt();
        // The eigenvalues of leading rows and columns are no larger: when theirs come close to the
        // row sums, this saves the others.
        for rows in [SAMPLE, n] {
            if rows > n || (rows < n && n < 2 * rows) {
                continue;
            }
            let space = Space::local_only(context, inner);
            let leading = Rows { ptr: &a.ptr[..rows + 1], ..a };
            x[rows..].fill(S::ZERO);
            level.lambda = spectrum::largest_below(&space, STEPS, ceiling, [&mut v[..rows], &mut w[..rows], &mut old[..rows]], |v, w| {
                x.iter_mut().zip(v).zip(inverse).for_each(|((x, v), d)| *x = v.scale(root(d)));
                leading.products(&context.pool, x, [&inverse[..rows]], w, |ax, [d], w| *w = ax.scale(root(&d)));
                Ok(())
            })?;
            if level.lambda == ceiling {
                break;
            }
        }
        Ok(())
    }

    /// Factors the last level.
    fn solve_last(&mut self, fine: Fine<S>) -> Result<()> {
        let last = self.levels.len() - 1;
        let level = &self.levels[last];
        let (a, inverse) = (if last == 0 { fine.rows } else { level.a.view() }, &level.inverse);
        let size = |i: usize| if last == 0 { 1.0 / inverse[i].modulus() } else { level.size[i] };
        let done = match &mut self.coarse {
            Some(coarse) => coarse.refresh(&self.context.pool, a, fine.hermitian, inverse, size),
            None => Ok(()),
        };
        match done {
            // Its rows are not the user's.
            Err(Error::Indefinite(text)) if last > 0 => Err(Error::Indefinite(format!("on level {last}, {text}"))),
            Err(Error::Singular(text)) if last > 0 => Err(Error::Singular(format!("on level {last}, {text}"))),
            done => done,
        }
    }

    /// Numbers of a cycle's work array, which serves set-up too.
    pub fn work(&self) -> usize {
        let n = self.levels[0].inverse.len();
        let copy = if S::IS_COMPLEX { n } else { 0 };
        let levels: usize = self.levels.iter().skip(1).map(|level| 3 * level.inverse.len()).sum();
        (copy + n + levels).max(4 * n)
    }

    /// x <- M^-1 b by one V-cycle.
    pub fn cycle(&self, pool: &Pool, fine: Rows<S>, b: &[S], x: &mut [S], work: &mut [S]) -> Result<()> {
        self.cycle_from(0, pool, fine, b, x, work)
    }

    fn cycle_from(&self, l: usize, pool: &Pool, fine: Rows<S>, b: &[S], x: &mut [S], work: &mut [S]) -> Result<()> {
        match &self.coarse {
            Some(coarse) if l + 1 == self.levels.len() => return coarse.solve(pool, b, x),
            _ => (),
        }
        let level = &self.levels[l];
        let system = System { a: self.matrix(l, fine), inverse: &level.inverse, lambda: level.lambda, diagonal: &level.diagonal };
        let (r, work) = work.split_at_mut(b.len());
        self.settings.smoother.before(pool, system, b, x, r);
        if let Some(transfer) = &level.transfer {
            let (coarse_b, work) = work.split_at_mut(transfer.columns());
            let (coarse_x, work) = work.split_at_mut(transfer.columns());
            transfer.down.view().products(pool, r, [], coarse_b, |sum, [], b| *b = sum);
            self.cycle_from(l + 1, pool, fine, coarse_b, coarse_x, work)?;
            transfer.up.view().products(pool, coarse_x, [], x, |sum, [], x| *x += sum);
        }
        self.settings.smoother.after(pool, system, b, x, r);
        Ok(())
    }

    /// Entries of the matrices on all levels.
    fn level_entries(&self) -> usize {
        self.fine_entries + self.levels.iter().map(|level| level.a.entries()).sum::<usize>()
    }

    /// Numbers stored for an apply.
    pub fn entries(&self) -> usize {
        let transfer = |level: &Level<S>| level.transfer.as_ref().map_or(0, |t| t.up.entries() + t.down.entries());
        let levels: usize = self.levels.iter().map(|level| level.inverse.len() + transfer(level)).sum();
        self.level_entries() + levels + self.coarse.as_ref().map_or(0, |c| c.entries())
    }

    pub fn count(&self, key: &str) -> Option<i64> {
        match key {
            "levels" => Some(self.levels.len() as i64),
            "level_entries" => Some(self.level_entries() as i64),
            "passes" => Some(self.settings.smoother.passes() as i64),
            _ => None,
        }
    }
}

/// Refuses a diagonal entry of the user's matrix that cannot be divided by.
fn usable<S: Scalar>(i: usize, d: S, inverse: S, hermitian: bool) -> Result<()> {
    if !inverse.finite() {
        return Err(Error::Singular(format!("the diagonal entry of row {i} (base 0) is {d}")));
    }
    if hermitian && d.real_part() <= 0.0 {
        return Err(Error::Indefinite(format!("the diagonal entry of row {i} (base 0) is {d}, must be positive")));
    }
    Ok(())
}
