//! What faer's parts of a factorisation need.

use crate::runtime::{memory, Error, Result};
use faer::dyn_stack::{MemBuffer, StackReq};
use faer::sparse::FaerError;

const WHAT: &str = "a factorisation";

/// What faer says when it is not about the numbers.
pub fn generic(e: FaerError) -> Error {
    match e {
        FaerError::OutOfMemory => Error::Memory { what: WHAT, bytes: 0 },
        e => Error::Unsupported(format!("the matrix cannot be factored: {e:?}")),
    }
}

/// Storage for faer, or `Error::Memory`.
pub fn buffer(need: StackReq) -> Result<MemBuffer> {
    MemBuffer::try_new(need).map_err(|_| Error::Memory { what: WHAT, bytes: need.size_bytes() })
}

/// Columns in faer's index type.
pub fn wide(col: &[u32]) -> Result<Vec<usize>> {
    let mut wide = memory::with_capacity(col.len(), WHAT)?;
    wide.extend(col.iter().map(|j| *j as usize));
    Ok(wide)
}
