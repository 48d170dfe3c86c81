//! The numbers of a matrix: the library's own copy, or lent by the caller, who may rewrite them.

use super::Array;
use crate::runtime::{memory, Error, Result, Scalar};
use std::ops::Deref;

pub struct Numbers<T: Scalar> {
    given: Array<T>,
    /// What `set` put in place of `given`.
    set: Option<Vec<T>>,
    copied: bool,
}

impl<T: Scalar> Numbers<T> {
    /// `copied`: `given` is the library's own copy.
    pub fn new(given: Array<T>, copied: bool) -> Self {
        Numbers { given, set: None, copied }
    }

    /// Takes `values`, which must be `len` and pass `check`, in place of the old numbers; copies
    /// only. After an error the old numbers stand.
    pub fn set(&mut self, values: &[T], len: usize, check: impl FnOnce(&[T]) -> Result<()>) -> Result<()> {
        if !self.copied {
            return Err(Error::State("the operator borrows its values: rewrite them and call rkn_operator_changed".to_string()));
        }
        if values.len() != len {
            return Err(Error::size("values", values.len(), format!("be {len}")));
        }
        check(values)?;
        match &mut self.set {
            Some(own) => own.copy_from_slice(values),
            None => {
                self.set = Some(memory::copied(values, "values")?);
                self.given = Box::new(Vec::new());
            }
        }
        Ok(())
    }

    /// Refuses the announcement of a change to numbers that only the library can change.
    pub fn may_change(&self) -> Result<()> {
        if !self.copied {
            return Ok(());
        }
        Err(Error::State("the operator holds a copy: give it new numbers by rkn_operator_set_values".to_string()))
    }
}

impl<T: Scalar> Deref for Numbers<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.set {
            Some(own) => own,
            None => &self.given,
        }
    }
}
