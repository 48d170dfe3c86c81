//! Complete factors L D L^H of a sparse Hermitian matrix, multifrontal, for `llt`, where D must be
//! positive, and `ldlt`.
//!
//! The lower triangle is read. The symbolic part and all storage stay while the pattern stays.
//! There is no pivoting, so `ldlt` regularises towards quasi-definite matrices (Vanderbei, SIAM
//! J. Optim. 5, 1995), whose factors exist in every order: a zero on the diagonal becomes
//! -sqrt(u) times the largest entry of its row, as suits the constraints of a saddle point, and
//! a pivot below u times the largest entry becomes sqrt(u) times that. The key `refinements`
//! wins back what this costs. The signs of D tell the inertia: counts `negative_pivots` and
//! `regularised_pivots`.

use super::blocks::{gather, invert_lower, lower, lower_transposed, scatter};
use super::dense_ldl;
use super::fronts::{Entries, Fronts, Shape, Work};
use super::lagged::Part;
use super::ordering::{Graph, Ordering};
use super::permuted::{Permuted, Substitution};
use super::pivot::{check_hermitian, largest, Pivoting};
use super::refine::Refine;
use super::symbolic::Structure;
use crate::linalg::simd::columns::SLACK;
use crate::linalg::lanes::Row;
use crate::linalg::{Panel, PanelMut};
use crate::operator::assemble::Assembled;
use crate::operator::{Operator, Trans};
use crate::runtime::options::Options;
use crate::runtime::{memory, Error, Pool, Result, Scalar};

const WHAT: &str = "a factorisation";

pub struct Cholesky<T: Scalar> {
    positive: bool,
    pivoting: Pivoting,
    refine: Refine<T>,
    rows: Assembled<T>,
    /// The values of `rows`, shifted and regularised.
    numbers: Vec<T>,
    fronts: Fronts,
    entries: Entries,
    /// Supernode after supernode: the unit lower triangle, its diagonal blocks inverted, and the rows
    /// below.
    values: Vec<T>,
    pivots: Vec<f64>,
    /// D^-1.
    inverse: Vec<T>,
    work: Work<T>,
    permuted: Permuted<T>,
    regularised: usize,
}

fn fronts_of<T: Scalar>(rows: &Assembled<T>, options: &Options) -> Result<Fronts> {
    Fronts::new(Structure::of(&Graph::of_lower(&rows.ptr, &rows.col)?, Ordering::new(options))?, 1)
}

impl<T: Scalar> Cholesky<T> {
    pub fn new(a: &Operator<T>, options: &Options, positive: bool) -> Result<Self> {
        let rows = Assembled::with_diagonal(a)?;
        let fronts = fronts_of(&rows, options)?;
        Self::of(rows, fronts, options, positive)
    }

    /// The same for a positive matrix, unless that takes more than `most` flops.
    pub fn within(a: &Operator<T>, options: &Options, most: f64) -> Result<Option<Self>> {
        let rows = Assembled::with_diagonal(a)?;
        let fronts = fronts_of(&rows, options)?;
        if fronts.flops() as f64 > most { Ok(None) } else { Self::of(rows, fronts, options, true).map(Some) }
    }

    fn of(rows: Assembled<T>, fronts: Fronts, options: &Options, positive: bool) -> Result<Self> {
        let n = rows.nrows;
        let mut part = Cholesky {
            positive,
            pivoting: Pivoting::new(options),
            refine: Refine::new(options.count("refinements"), n)?,
            numbers: memory::filled(rows.values.len(), T::ZERO, WHAT)?,
            entries: Entries::new(&fronts, true, &rows.ptr, &rows.col)?,
            values: memory::filled(fronts.entries() + SLACK, T::ZERO, WHAT)?,
            pivots: memory::filled(n, 0.0, WHAT)?,
            inverse: memory::filled(n, T::ZERO, WHAT)?,
            work: fronts.work(dense_ldl::scaled(fronts.widest()))?,
            permuted: Permuted::new(&fronts)?,
            rows,
            fronts,
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
        self.numbers.copy_from_slice(&rows.values);
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
        let scale = largest(&self.numbers);
        // In single precision, as the factor is.
        let round = |v: f64| T::from_f64(v).real_part();
        let replacement = (!self.positive).then_some(round(T::EPSILON.sqrt() * scale));
        let smallest = round(self.pivoting.tolerance.max(T::EPSILON) * scale);
        match self.eliminate(replacement, smallest) {
            Ok(()) => self.read_pivots(),
            Err(k) => Err(self.breakdown(k, self.pivots[k])),
        }
    }

    fn read_pivots(&mut self) -> Result<()> {
        for (k, (inverse, d)) in self.inverse.iter_mut().zip(&self.pivots).enumerate() {
            *inverse = T::from_f64(1.0 / d);
            let row = self.fronts.structure.order[k] as usize;
            let small = || self.positive && *d <= self.pivoting.tolerance * largest(self.rows.row(row).1);
            if !inverse.finite() || small() {
                return Err(self.breakdown(k, *d));
            }
        }
        Ok(())
    }

    fn breakdown(&self, k: usize, d: f64) -> Error {
        let row = self.fronts.structure.order[k];
        let text = format!("the pivot of row {row} (base 0) is {d:e}");
        if self.positive {
            Error::Indefinite(format!("{text}, must be positive; try a shift, ldlt or lu"))
        } else {
            Error::Singular(format!("{text}; try a shift"))
        }
    }

    /// Multifrontal; `Err` names the column without a pivot. A pivot no larger than `smallest` is replaced
    /// by a number of modulus `replacement`, if there is one.
    fn eliminate(&mut self, replacement: Option<f64>, smallest: f64) -> std::result::Result<(), usize> {
        let Cholesky { positive, fronts, entries, numbers, values, pivots, work, regularised, .. } = self;
        for s in 0..fronts.count() {
            let shape = fronts.shape(s);
            let (begin, end) = (fronts.offset[s], fronts.offset[s + 1]);
            entries.enter(s, numbers, &mut values[begin..end]);
            fronts.gather::<T, false>(s, &mut values[begin..end], work);
            let panel = &mut values[begin..end + SLACK];
            let pivots = &mut pivots[fronts.structure.own(s)];
            let (update, scaled) = fronts.update(s, work);
            let pivot = |j: usize, d: f64| {
                pivots[j] = d;
                if let Some(size) = replacement.filter(|_| d.abs() <= smallest) {
                    *regularised += 1;
                    pivots[j] = if d < 0.0 { -size } else { size };
                }
                let usable = pivots[j].is_finite() && if *positive { pivots[j] > 0.0 } else { pivots[j] != 0.0 };
                usable.then_some(pivots[j])
            };
            dense_ldl::eliminate(panel, shape, scaled, pivot).map_err(|j| fronts.structure.begin[s] + j)?;
            dense_ldl::update(panel, shape, update, scaled);
            invert_lower(panel, shape.tall(), shape.width);
        }
        Ok(())
    }
}

impl<T: Scalar> Substitution<T> for Cholesky<T> {
    fn substitute<Y: Row<T>>(&self, _: Trans, x: &mut [Y], scratch: &mut [Y]) {
        let Cholesky { fronts, values, inverse, .. } = self;
        for s in 0..fronts.count() {
            let (own, rows) = (fronts.structure.own(s), fronts.structure.rows(s));
            let Shape { width, below } = fronts.shape(s);
            scratch[..width].copy_from_slice(&x[own.clone()]);
            scratch[width..][..below + Y::SLACK].fill(Y::ZERO);
            lower(&values[fronts.offset[s]..], width + below, width, scratch);
            x[own].copy_from_slice(&scratch[..width]);
            scatter::<T, Y>(rows, &scratch[width..], x);
        }
        for s in (0..fronts.count()).rev() {
            let (own, rows) = (fronts.structure.own(s), fronts.structure.rows(s));
            let Shape { width, below } = fronts.shape(s);
            for (v, (x, d)) in scratch.iter_mut().zip(x[own.clone()].iter().zip(&inverse[own.clone()])) {
                *v = x.times(*d);
            }
            gather::<T, Y>(rows, x, &mut scratch[width..]);
            lower_transposed::<T, true, Y>(&values[fronts.offset[s]..], width + below, width, scratch);
            x[own].copy_from_slice(&scratch[..width]);
        }
    }
}

impl<T: Scalar> Part<T> for Cholesky<T> {
    fn refresh(&mut self, _pool: &Pool, a: &Operator<T>) -> Result<()> {
        self.rows.refresh(a)?;
        self.factor()
    }

    fn apply(&self, _pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        // A^T = conj(A), so that A^T x = b is A conj(x) = conj(b).
        let conj = trans == Trans::T;
        let order = &self.fronts.structure.order;
        self.refine.apply(&self.rows, trans, x, y, |b, x| self.permuted.solve(self, order, Trans::N, conj, b, x))
    }

    fn entries(&self) -> usize {
        self.fronts.entries()
    }

    fn count(&self, key: &str) -> Option<i64> {
        match key {
            "flops" => Some(self.fronts.flops()),
            "passes" => Some(2),
            "negative_pivots" => Some(self.pivots.iter().filter(|d| **d < 0.0).count() as i64),
            "regularised_pivots" => Some(self.regularised as i64),
            _ => None,
        }
    }
}
