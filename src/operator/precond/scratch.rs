//! Work vectors of an apply. A preconditioner may be applied by two threads at once, so each
//! apply borrows its own vector from a free list; one is made at creation, a second one only
//! when two applies overlap.

use crate::runtime::{memory, Result};
use std::sync::Mutex;

pub struct Scratch<V> {
    free: Mutex<Vec<V>>,
}

impl<V> Scratch<V> {
    pub fn new(first: V) -> Self {
        Scratch { free: Mutex::new(vec![first]) }
    }

    /// Runs `body` with a free item, or with one from `make`.
    pub fn with<R>(&self, make: impl FnOnce() -> Result<V>, body: impl FnOnce(&mut V) -> Result<R>) -> Result<R> {
        let found = self.list().pop();
        let mut item = match found {
            Some(item) => item,
            None => make()?,
        };
        let result = body(&mut item);
        self.list().push(item);
        result
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<V>> {
        self.free.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// A free list of vectors of one length.
pub struct Vectors<T> {
    len: usize,
    zero: T,
    list: Scratch<Vec<T>>,
}

impl<T: Copy> Vectors<T> {
    pub fn new(len: usize, zero: T) -> Result<Self> {
        Ok(Vectors { len, zero, list: Scratch::new(memory::filled(len, zero, "work vectors")?) })
    }

    pub fn with<R>(&self, body: impl FnOnce(&mut [T]) -> Result<R>) -> Result<R> {
        self.list.with(|| memory::filled(self.len, self.zero, "work vectors"), |v| body(v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applies_that_overlap_have_vectors_of_their_own() {
        let vectors = Vectors::new(3, 0.0).unwrap();
        vectors
            .with(|a| {
                a.fill(1.0);
                vectors.with(|b| {
                    b.fill(2.0);
                    Ok(())
                })?;
                assert_eq!(a, [1.0; 3]);
                Ok(())
            })
            .unwrap();
        assert_eq!(vectors.list.list().len(), 2);
    }
}
