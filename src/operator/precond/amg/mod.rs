//! Algebraic multigrid by smoothed aggregation (Vanek, Mandel, Brezina, Computing 56, 1996), for
//! Hermitian positive definite matrices of elliptic equations.
//!
//! | paper | here |
//! |---|---|
//! | A_l, the matrix of level l | `hierarchy::Level::a` |
//! | strongly coupled neighbourhoods, aggregates C_i | `aggregate` |
//! | tentative prolongator, B_l = P B_l+1 | `tentative` |
//! | S_l = I - omega / lambda_max D^-1 A^F, P = S_l times the tentative one | `galerkin` |
//! | A_l+1 = P^H A_l P | `galerkin` |
//! | relaxation and V-cycle | `smoother`, `hierarchy` |
//! | the last level, solved | `coarse` |
//!
//! Differs from the paper: weak entries go to the diagonal of A^F so that A^F B = A B holds for
//! several unknowns a node too; lambda_max is measured on each level; the coarse solve survives
//! singular matrices.
//!
//! Aggregates and patterns are those of the numbers seen at creation; a refresh renews values.
//! Set-up is serial; an apply has the same bits for any number of threads. A matrix that is not
//! Hermitian is taken too: then lambda_max is a row-sum bound, the last level is solved by LU, and
//! there is no adjoint.

mod aggregate;
mod coarse;
mod galerkin;
mod hierarchy;
mod rows;
mod smoother;
mod tentative;

use super::lagged::Part;
use super::scratch::Vectors;
use crate::linalg::{Panel, PanelMut};
use crate::operator::assemble::Assembled;
use crate::operator::{by_column, Columns, Operator, Side, Trans};
use crate::runtime::options::Options;
use crate::runtime::{memory, Context, Error, Pool, Result, Scalar};
use hierarchy::{Fine, Hierarchy};
use rows::Rows;
use smoother::Smoother;
use std::cmp::Ordering;
use std::sync::Arc;
use tentative::Candidates;

/// What the options say.
#[derive(Clone, Copy)]
struct Settings {
    strength: f64,
    smoother: Smoother,
    max_levels: usize,
    coarse_size: usize,
    block: usize,
}

impl Settings {
    fn new(options: &Options) -> Self {
        Settings {
            strength: options.real("strength"),
            smoother: Smoother::new(options),
            max_levels: options.count("max_levels"),
            coarse_size: options.count("coarse_size"),
            block: options.count("block_size"),
        }
    }
}

pub struct Amg<T: Scalar> {
    rows: Assembled<T>,
    /// Room for the look at symmetry.
    next: Vec<u32>,
    hermitian: bool,
    hierarchy: Hierarchy<T>,
    scratch: Vectors<T>,
}

impl<T: Scalar> Amg<T> {
    pub fn new(context: Arc<Context>, a: &Operator<T>, options: &Options) -> Result<Self> {
        let settings = Settings::new(options);
        if a.nrows() % settings.block != 0 {
            return Err(Error::argument("block_size", settings.block, format!("divide the number of rows, {}", a.nrows())));
        }
        let rows = Assembled::with_diagonal(a)?;
        let mut next = memory::filled(rows.nrows, 0, "a set-up")?;
        let hermitian = a.is_hermitian() || is_hermitian(&rows, &mut next);
        let near = candidates(a, settings.block)?;
        let hierarchy = Hierarchy::new(context, Fine { rows: view(&rows), hermitian }, near, settings)?;
        Ok(Amg { scratch: Vectors::new(hierarchy.work(), T::ZERO)?, rows, next, hermitian, hierarchy })
    }
}

fn view<T>(rows: &Assembled<T>) -> Rows<'_, T> {
    Rows { ptr: &rows.ptr, col: &rows.col, values: &rows.values }
}

/// The nullspace attached to the operator, and where it is less than that the constants of each
/// unknown of a node.
fn candidates<T: Scalar>(a: &Operator<T>, block: usize) -> Result<Candidates<T>> {
    let n = a.nrows();
    let Columns { count, data: mut values } = a.nullspace(Side::Right)?;
    memory::reserve(&mut values, memory::product(n, block, "candidates")?, "candidates")?;
    for c in 0..block {
        values.extend((0..n).map(|i| if i % block == c { T::ONE } else { T::ZERO }));
    }
    Ok(Candidates { values, first: count, enough: block })
}

/// Whether opposite entries are conjugates, up to noise. Columns ascend, so that the entries
/// below the diagonal of row j are met in their order while the rows above are read; `next` has
/// room for a row's entries met so far.
fn is_hermitian<T: Scalar>(rows: &Assembled<T>, next: &mut [u32]) -> bool {
    let noise = T::EPSILON.sqrt();
    let alike = |u: T, v: T| (u - v.conj()).modulus() <= noise * u.modulus().max(v.modulus());
    next.fill(0);
    for i in 0..rows.nrows {
        let (col, values) = rows.row(i);
        for (k, (j, v)) in col.iter().zip(values).enumerate() {
            let j = *j as usize;
            let opposite = match j.cmp(&i) {
                // Row j has met it if it has an opposite entry.
                Ordering::Less if k < next[i] as usize => continue,
                Ordering::Less => T::ZERO,
                Ordering::Equal => *v,
                Ordering::Greater => {
                    let (col, values) = rows.row(j);
                    let mut at = next[j] as usize;
                    // Entries in between have no opposite.
                    while (col[at] as usize) < i && values[at] == T::ZERO {
                        at += 1;
                    }
                    let met = col[at] as usize == i;
                    next[j] = (at + met as usize) as u32;
                    if met { values[at] } else { T::ZERO }
                }
            };
            if !alike(*v, opposite) {
                return false;
            }
        }
    }
    true
}

impl<T: Scalar> Part<T> for Amg<T> {
    fn refresh(&mut self, _pool: &Pool, a: &Operator<T>) -> Result<()> {
        self.rows.refresh(a)?;
        let Amg { rows, next, hermitian, hierarchy, scratch } = self;
        *hermitian = a.is_hermitian() || is_hermitian(rows, next);
        let fine = Fine { rows: view(rows), hermitian: *hermitian };
        scratch.with(|work| hierarchy.refresh(fine, work))
    }

    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        if trans != Trans::N && !self.hermitian {
            return Err(Error::Unsupported("there is no adjoint, for the matrix is not Hermitian".to_string()));
        }
        let fine = view(&self.rows);
        by_column(x, y, |x, y| {
            self.scratch.with(|work| {
                if trans != Trans::T || !T::IS_COMPLEX {
                    return self.hierarchy.cycle(pool, fine, x, y, work);
                }
                // M^T = conj(M).
                let (b, work) = work.split_at_mut(x.len());
                b.iter_mut().zip(x).for_each(|(b, x)| *b = x.conj());
                self.hierarchy.cycle(pool, fine, b, y, work)?;
                y.iter_mut().for_each(|y| *y = y.conj());
                Ok(())
            })
        })
    }

    fn entries(&self) -> usize {
        self.hierarchy.entries()
    }

    fn has_adjoint(&self) -> bool {
        self.hermitian
    }

    fn count(&self, key: &str) -> Option<i64> {
        self.hierarchy.count(key)
    }
}
