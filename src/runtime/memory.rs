//! Fallible allocation: every array that grows with the problem is made here.

use super::{Error, Result};

/// `n` copies of `value`, or `Error::Memory`.
pub fn filled<T: Copy>(n: usize, value: T, what: &'static str) -> Result<Vec<T>> {
    let mut v = with_capacity(n, what)?;
    v.resize(n, value);
    Ok(v)
}

/// An empty vector that holds `n` items without growing, or `Error::Memory`.
pub fn with_capacity<T>(n: usize, what: &'static str) -> Result<Vec<T>> {
    let mut v = Vec::new();
    reserve(&mut v, n, what)?;
    Ok(v)
}

/// Makes room for `extra` more items.
pub fn reserve<T>(v: &mut Vec<T>, extra: usize, what: &'static str) -> Result<()> {
    v.try_reserve_exact(extra)
        .map_err(|_| Error::Memory { what, bytes: extra.saturating_mul(std::mem::size_of::<T>()) })
}

/// A copy of `source`.
pub fn copied<T: Copy>(source: &[T], what: &'static str) -> Result<Vec<T>> {
    let mut v = with_capacity(source.len(), what)?;
    v.extend_from_slice(source);
    Ok(v)
}

/// `a * b` as a length, or `Error::Memory` when it overflows.
pub fn product(a: usize, b: usize, what: &'static str) -> Result<usize> {
    a.checked_mul(b).ok_or(Error::Memory { what, bytes: usize::MAX })
}
