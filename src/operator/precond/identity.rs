//! M = I.

use super::lagged::Part;
use crate::linalg::{Panel, PanelMut};
use crate::operator::{by_column, Operator, Trans};
use crate::runtime::{Pool, Result, Scalar};

pub struct Identity;

impl<T: Scalar> Part<T> for Identity {
    fn refresh(&mut self, _pool: &Pool, _a: &Operator<T>) -> Result<()> {
        Ok(())
    }

    fn apply(&self, _pool: &Pool, _trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        by_column(x, y, |x, y| {
            y.copy_from_slice(x);
            Ok(())
        })
    }

    fn entries(&self) -> usize {
        0
    }
}
