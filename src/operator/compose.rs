//! Operators made of operators: sums, products, scalings, shifts, adjoints, blocks. A
//! composition shares its parts by reference count, and its version follows theirs.

mod adjoint;
mod block;
mod product;
mod scaled;
mod shifted;
mod sum;

pub use adjoint::Adjoint;
pub use block::Block;
pub use product::Product;
pub use scaled::Scaled;
pub use shifted::Shifted;
pub use sum::Sum;

use super::Operator;
use crate::linalg::kernels::{self, BLOCK};
use crate::linalg::{Panel, PanelMut};
use crate::runtime::{Error, Pool, Result, Scalar};

fn is_real<T: Scalar>(alpha: T) -> bool {
    alpha.imag_part() == 0.0
}

fn finite<T: Scalar>(name: &'static str, alpha: T) -> Result<()> {
    if alpha.finite() {
        return Ok(());
    }
    Err(Error::NonFinite(format!("argument '{name}' is {alpha}, must be finite")))
}

fn shape<T: Scalar>(a: &Operator<T>) -> String {
    format!("{} x {}", a.nrows(), a.ncols())
}

/// y <- alpha y.
fn scale<T: Scalar>(pool: &Pool, alpha: T, mut y: PanelMut<T>) {
    for j in 0..y.ncols {
        let y = y.col(j);
        pool.chunks(y.len(), y, BLOCK, |_, y| y.iter_mut().for_each(|v| *v *= alpha));
    }
}

/// y <- y + alpha x.
fn add<T: Scalar>(pool: &Pool, alpha: T, x: Panel<T>, mut y: PanelMut<T>) {
    for j in 0..x.ncols {
        kernels::axpy(pool, alpha, x.col(j), y.col(j));
    }
}

/// The entries of both parts together, where both know how many they store.
fn entries_of<'a, T: Scalar>(parts: impl IntoIterator<Item = &'a Operator<T>>) -> Option<i64> {
    parts.into_iter().map(|p| p.count("entries")).sum()
}
