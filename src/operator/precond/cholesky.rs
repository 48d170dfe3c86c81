//! Complete factors L D L^H of a sparse Hermitian matrix (faer's supernodal factorisation in
//! approximate minimum degree order), for `llt`, where D must be positive, and `ldlt`.
//!
//! The lower triangle is read. The symbolic part and all storage stay while the pattern stays.
//! There is no pivoting, so `ldlt` regularises towards quasi-definite matrices (Vanderbei, SIAM
//! J. Optim. 5, 1995), whose factors exist in every order: a zero on the diagonal becomes
//! -sqrt(u) times the largest entry of its row, as suits the constraints of a saddle point, and
//! a pivot below u times the largest entry becomes sqrt(u) times that. The key `refinements`
//! wins back what this costs. The signs of D tell the inertia: counts `negative_pivots` and
//! `regularised_pivots`.

use super::lagged::Part;
use super::pivot::{check_hermitian, largest, Pivoting};
use super::refine::Refine;
use super::scratch::Vectors;
use super::supernodes::{analyse, buffer, wide, Supernodes, Tall};
use crate::linalg::{Panel, PanelMut};
use crate::operator::assemble::Assembled;
use crate::operator::{by_column, Operator, Trans};
use crate::runtime::options::Options;
use crate::runtime::{memory, Error, Pool, Result, Scalar};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::ldlt::factor::{LdltError, LdltRegularization};
use faer::sparse::linalg::cholesky::SymbolicCholesky;
use faer::sparse::{SparseColMatRef, SymbolicSparseColMatRef};
use faer::traits::math_utils::from_f64;
use faer::{Par, Side};
use pulp::{Simd, WithSimd};

const WHAT: &str = "a factorisation";

pub struct Cholesky<T: Scalar> {
    positive: bool,
    pivoting: Pivoting,
    refine: Refine<T>,
    rows: Assembled<T>,
    /// The columns of `rows`, in faer's index type.
    col: Vec<usize>,
    /// A^T's conjugate, that is A, by columns, shifted and regularised.
    numbers: Vec<T>,
    symbolic: SymbolicCholesky<usize>,
    nodes: Supernodes,
    /// Supernode after supernode: unit lower triangle with D on its diagonal, and the rows below.
    values: Vec<T>,
    inverse: Vec<T>,
    memory: MemBuffer,
    scratch: Vectors<T>,
    negative: usize,
    regularised: usize,
}

impl<T: Scalar> Cholesky<T> {
    pub fn new(a: &Operator<T>, options: &Options, positive: bool) -> Result<Self> {
        let rows = Assembled::with_diagonal(a)?;
        let n = rows.nrows;
        let col = wide(&rows.col)?;
        let symbolic = analyse(&rows.ptr, &col)?;
        let nodes = Supernodes::new(&symbolic)?;
        let work = n + nodes.longest();
        let mut part = Cholesky {
            positive,
            pivoting: Pivoting::new(options),
            refine: Refine::new(options.count("refinements"), n)?,
            numbers: memory::filled(rows.values.len(), T::ZERO, WHAT)?,
            values: memory::filled(symbolic.len_val(), T::ZERO, WHAT)?,
            inverse: memory::filled(n, T::ZERO, WHAT)?,
            memory: buffer(symbolic.factorize_numeric_ldlt_scratch::<T>(Par::Seq, Default::default()))?,
            scratch: Vectors::new(work, T::ZERO)?,
            rows,
            col,
            symbolic,
            nodes,
            negative: 0,
            regularised: 0,
        };
        part.factor()?;
        Ok(part)
    }

    /// Copies the numbers, shifts and regularises the diagonal.
    fn prepare(&mut self) -> Result<()> {
        check_hermitian(&self.rows)?;
        self.regularised = 0;
        let rows = &self.rows;
        for (to, from) in self.numbers.iter_mut().zip(&rows.values) {
            *to = from.conj();
        }
        for i in 0..rows.nrows {
            let Some(at) = rows.slot(i, i) else { continue };
            let d = rows.values[at].real_part();
            let moved = if self.positive { self.pivoting.upward(d) } else { self.pivoting.outward(d) };
            self.numbers[at] = T::from_f64(moved);
            if !self.positive && moved == 0.0 {
                self.numbers[at] = T::from_f64(-T::EPSILON.sqrt() * largest(rows.row(i).1));
                self.regularised += 1;
            }
        }
        Ok(())
    }

    fn factor(&mut self) -> Result<()> {
        self.prepare()?;
        let n = self.rows.nrows;
        let scale = largest(&self.numbers);
        let delta = if self.positive { 0.0 } else { T::EPSILON.sqrt() * scale };
        let regularization = LdltRegularization {
            dynamic_regularization_signs: None,
            dynamic_regularization_delta: from_f64(delta),
            dynamic_regularization_epsilon: from_f64(self.pivoting.tolerance.max(T::EPSILON) * scale),
        };
        let pattern = SymbolicSparseColMatRef::new_checked(n, n, &self.rows.ptr, None, &self.col);
        let done = self.symbolic.factorize_numeric_ldlt(
            &mut self.values,
            SparseColMatRef::new(pattern, &self.numbers),
            Side::Upper,
            regularization,
            Par::Seq,
            MemStack::new(&mut self.memory),
            Default::default(),
        );
        if let Err(LdltError::ZeroPivot { index }) = done {
            return Err(self.breakdown(index, 0.0));
        }
        self.read_pivots(delta)
    }

    fn read_pivots(&mut self, delta: f64) -> Result<()> {
        let (mut bad, mut negative, mut replaced) = (None, 0, 0);
        let replacement = T::from_f64(delta).real_part();
        let (positive, inverse) = (self.positive, &mut self.inverse);
        let (rows, tolerance) = (&self.rows, self.pivoting.tolerance);
        let order = self.symbolic.perm().map(|p| p.arrays().0);
        each_pivot(&self.nodes, &self.values, |k, d| {
            inverse[k] = T::from_f64(1.0 / d);
            negative += (d < 0.0) as usize;
            replaced += (!positive && d.abs() == replacement) as usize;
            let small = || {
                let row = order.map_or(k, |o| o[k]);
                positive && d <= tolerance * largest(rows.row(row).1)
            };
            if bad.is_none() && (!inverse[k].finite() || small()) {
                bad = Some((k, d));
            }
        });
        self.negative = negative;
        self.regularised += replaced;
        match bad {
            None => Ok(()),
            Some((k, d)) => Err(self.breakdown(k, d)),
        }
    }

    fn breakdown(&self, k: usize, d: f64) -> Error {
        let row = self.symbolic.perm().map_or(k, |p| p.arrays().0[k]);
        let text = format!("the pivot of row {row} (base 0) is {d:e}");
        if self.positive {
            Error::Indefinite(format!("{text}, must be positive; try a shift, ldlt or lu"))
        } else {
            Error::Singular(format!("{text}; try a shift"))
        }
    }

    fn solve(&self, trans: Trans, b: &[T], x: &mut [T]) -> Result<()> {
        // A^T = conj(A), so that A^T x = b is A conj(x) = conj(b).
        let conj = trans == Trans::T && T::IS_COMPLEX;
        let pick = |v: T| if conj { v.conj() } else { v };
        self.scratch.with(|work| {
            let (z, rest) = work.split_at_mut(x.len());
            match self.symbolic.perm() {
                Some(p) => z.iter_mut().zip(p.arrays().0).for_each(|(z, i)| *z = pick(b[*i])),
                None => z.iter_mut().zip(b).for_each(|(z, b)| *z = pick(*b)),
            }
            pulp::Arch::new().dispatch(Substitution { nodes: &self.nodes, values: &self.values, inverse: &self.inverse, x: z, scratch: rest });
            match self.symbolic.perm() {
                Some(p) => x.iter_mut().zip(p.arrays().1).for_each(|(x, k)| *x = pick(z[*k])),
                None => x.iter_mut().zip(z).for_each(|(x, z)| *x = pick(*z)),
            }
            Ok(())
        })
    }
}

/// Calls `see(k, d)` for each pivot in order.
fn each_pivot<T: Scalar>(nodes: &Supernodes, values: &[T], mut see: impl FnMut(usize, f64)) {
    let mut from = 0;
    for s in 0..nodes.count() {
        let own = nodes.own(s);
        let ld = own.len() + nodes.pattern(s).len();
        for j in 0..own.len() {
            see(own.start + j, values[from + j * (ld + 1)].real_part());
        }
        from += ld * own.len();
    }
}

/// x <- (L D L^H)^-1 x in the factor's order; `inverse` is D^-1. A struct, because a closure would not be
/// compiled for the instructions that are chosen at run time.
struct Substitution<'a, T> {
    nodes: &'a Supernodes,
    values: &'a [T],
    inverse: &'a [T],
    x: &'a mut [T],
    scratch: &'a mut [T],
}

impl<T: Scalar> WithSimd for Substitution<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<I: Simd>(self, _: I) {
        let Substitution { nodes, values, inverse, x, scratch } = self;
        let mut from = 0;
        for s in 0..nodes.count() {
            let own = nodes.own(s);
            let ld = own.len() + nodes.pattern(s).len();
            let block = &values[from..from + ld * own.len()];
            from += block.len();
            for j in 0..own.len() {
                let v = x[own.start + j];
                for (x, l) in x[own.start + j + 1..own.end].iter_mut().zip(&block[j * ld + j + 1..]) {
                    *x -= *l * v;
                }
            }
            Tall { own: own.clone(), pattern: nodes.pattern(s), values: block, ld, skip: own.len() }.spread(x, scratch);
        }
        for (x, d) in x.iter_mut().zip(inverse) {
            *x *= *d;
        }
        for s in (0..nodes.count()).rev() {
            let own = nodes.own(s);
            let ld = own.len() + nodes.pattern(s).len();
            let block = &values[from - ld * own.len()..from];
            from -= block.len();
            Tall { own: own.clone(), pattern: nodes.pattern(s), values: block, ld, skip: own.len() }.collect::<true>(x, scratch);
            for j in (0..own.len()).rev() {
                let (head, tail) = x[own.clone()].split_at_mut(j + 1);
                head[j] -= tail.iter().zip(&block[j * ld + j + 1..]).fold(T::ZERO, |sum, (x, l)| sum + l.conj() * *x);
            }
        }
    }
}

impl<T: Scalar> Part<T> for Cholesky<T> {
    fn refresh(&mut self, _pool: &Pool, a: &Operator<T>) -> Result<()> {
        self.rows.refresh(a)?;
        self.factor()
    }

    fn apply(&self, _pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        by_column(x, y, |x, y| self.refine.apply(&self.rows, trans, x, y, |b, x| self.solve(trans, b, x)))
    }

    fn entries(&self) -> usize {
        self.values.len()
    }

    fn count(&self, key: &str) -> Option<i64> {
        match key {
            "flops" => Some(self.nodes.flops()),
            "negative_pivots" => Some(self.negative as i64),
            "regularised_pivots" => Some(self.regularised as i64),
            _ => None,
        }
    }
}
