//! Work panels of a composition, kept from one apply to the next.

use crate::runtime::{memory, Result, Scalar};
use std::sync::{Mutex, MutexGuard};

/// Panels that are not in use. An apply takes one and gives it back, so that a steady sequence
/// of applies allocates nothing, while an apply on another thread, or one inside the callback
/// of a part, finds a panel of its own.
pub struct Workspace<T> {
    spare: Mutex<Vec<Vec<T>>>,
}

impl<T: Scalar> Workspace<T> {
    pub fn new() -> Self {
        Workspace { spare: Mutex::new(Vec::new()) }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<T>>> {
        self.spare.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Runs `body` with `len` entries of any content.
    pub fn with<R>(&self, len: usize, body: impl FnOnce(&mut [T]) -> Result<R>) -> Result<R> {
        let mut panel = self.spare().pop().unwrap_or_default();
        if panel.len() < len {
            drop(panel);
            panel = memory::filled(len, T::ZERO, "work panel")?;
        }
        let result = body(&mut panel[..len]);
        self.spare().push(panel);
        result
    }
}

impl<T: Scalar> Default for Workspace<T> {
    fn default() -> Self {
        Workspace::new()
    }
}
