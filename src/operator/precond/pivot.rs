//! What a factorisation does before and about its pivots.

use crate::operator::assemble::Assembled;
use crate::runtime::options::Options;
use crate::runtime::{Error, Result, Scalar};

/// The keys `shift` and `pivot_tolerance`.
#[derive(Clone, Copy)]
pub struct Pivoting {
    shift: f64,
    pub tolerance: f64,
}

impl Pivoting {
    pub fn new(options: &Options) -> Self {
        Pivoting { shift: options.real("shift"), tolerance: options.real("pivot_tolerance") }
    }

    /// A diagonal entry moved away from zero.
    pub fn outward<T: Scalar>(self, a: T) -> T {
        if self.shift == 0.0 { a } else { a + a.scale(self.shift) }
    }

    /// The diagonal entry of a matrix that should be positive definite, moved to the right.
    pub fn upward(self, a: f64) -> f64 {
        a + self.shift * a.abs()
    }

    /// The inverse of pivot `d` of row i, whose largest entry has modulus `scale`.
    pub fn invert<T: Scalar>(self, i: usize, d: T, scale: f64) -> Result<T> {
        let inverse = T::ONE / d;
        if d.modulus() > self.tolerance * scale && d.finite() && inverse.finite() {
            return Ok(inverse);
        }
        Err(Error::Singular(format!("the pivot of row {i} (base 0) is {d}, of a row with entries up to {scale:.3e}; try a shift")))
    }

    /// The inverse of pivot `d` of row i, which must be positive; `scale` as in `invert`.
    pub fn invert_positive<T: Scalar>(self, i: usize, d: f64, scale: f64) -> Result<T> {
        let inverse = T::from_f64(1.0 / d);
        if d > self.tolerance * scale && d.is_finite() && inverse.finite() {
            return Ok(inverse);
        }
        Err(Error::Indefinite(format!(
            "the pivot of row {i} (base 0) is {d:e}, of a row with entries up to {scale:.3e}; it must be positive: try a shift"
        )))
    }
}

/// The largest modulus among `values`.
pub fn largest<T: Scalar>(values: &[T]) -> f64 {
    values.iter().fold(0.0, |m, v| m.max(v.modulus()))
}

/// The rows are those of a Hermitian matrix, as far as a complex symmetric one could be taken for
/// it: the diagonal is real, and opposite entries that are both stored are conjugates.
pub fn check_hermitian<T: Scalar>(rows: &Assembled<T>) -> Result<()> {
    if !T::IS_COMPLEX {
        return Ok(());
    }
    let noise = T::EPSILON.sqrt();
    for i in 0..rows.nrows {
        let (col, values) = rows.row(i);
        let scale = noise * largest(values);
        for (j, v) in col.iter().zip(values).take_while(|(j, _)| **j as usize <= i) {
            let j = *j as usize;
            let Some(opposite) = rows.slot(j, i) else { continue };
            let other = rows.values[opposite];
            if (*v - other.conj()).modulus() > scale.max(noise * other.modulus()) {
                return Err(Error::Unsupported(format!(
                    "the entry in row {i}, column {j} (base 0) is {v}, its opposite {other}: the matrix is not Hermitian; use ilu, ilut or lu"
                )));
            }
        }
    }
    Ok(())
}
