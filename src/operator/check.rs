//! Checks of what a user hands in; each error names the argument, the position, the value and
//! the permitted range.

use crate::runtime::{Error, Result, Scalar};

/// A column or row index as stored: 32 or 64 bits, counted from a base given at run time.
pub trait Index: Copy + Send + Sync + std::fmt::Display + 'static {
    /// The index from 0; a value below the base wraps to something no array is long enough for.
    fn at(self, base: usize) -> usize;
    fn signed(self) -> i64;
}

impl Index for i32 {
    #[inline(always)]
    fn at(self, base: usize) -> usize {
        (self as u32 as usize).wrapping_sub(base)
    }
    fn signed(self) -> i64 {
        self as i64
    }
}

impl Index for i64 {
    #[inline(always)]
    fn at(self, base: usize) -> usize {
        (self as usize).wrapping_sub(base)
    }
    fn signed(self) -> i64 {
        self
    }
}

/// Pointers start at the base and never descend; returns the number of entries.
pub fn pointers<I: Index>(name: &'static str, ptr: &[I], base: usize) -> Result<usize> {
    let base = base as i64;
    if ptr[0].signed() != base {
        return Err(Error::Index(format!("argument '{name}' has {} at position 0, must be {base} (base {base})", ptr[0])));
    }
    for (i, pair) in ptr.windows(2).enumerate() {
        if pair[1].signed() < pair[0].signed() {
            return Err(Error::Index(format!(
                "argument '{name}' has {} at position {}, must be at least {} (pointers must not descend)",
                pair[1],
                i + 1,
                pair[0]
            )));
        }
    }
    Ok((ptr[ptr.len() - 1].signed() - base) as usize)
}

/// Indices lie in `base..base + bound`.
pub fn indices<I: Index>(name: &'static str, ind: &[I], bound: usize, base: usize) -> Result<()> {
    match ind.iter().position(|i| i.signed() < base as i64 || i.at(base) >= bound) {
        None => Ok(()),
        Some(_) if bound == 0 => Err(Error::Index(format!("argument '{name}' has entries, but that dimension is 0"))),
        Some(p) => Err(Error::Index(format!(
            "argument '{name}' has {} at position {p}, must lie in {base}..{} (base {base})",
            ind[p],
            bound - 1 + base
        ))),
    }
}

/// No NaN and no infinity.
pub fn finite<T: Scalar>(name: &'static str, values: &[T]) -> Result<()> {
    match crate::linalg::kernels::first_nonfinite(values) {
        None => Ok(()),
        Some(p) => Err(Error::NonFinite(format!("argument '{name}' has {} at position {p}, must be finite", values[p]))),
    }
}
