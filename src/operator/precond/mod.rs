//! Preconditioners: operators that approximate the inverse of another, made from its entries.
//!
//! | kind | M^-1 | source |
//! |---|---|---|
//! | `identity` | I | |
//! | `jacobi` | D^-1 | Saad, sec. 4.1 |
//! | `block_jacobi` | inverses of diagonal blocks | Saad, sec. 4.1.1 |
//! | `ssor` | omega (2 - omega) (D + omega U)^-1 D (D + omega L)^-1, and sweeps of it | Saad, sec. 10.2 |
//! | `ilu`, `ilu0` | incomplete LU by level of fill | Saad, sec. 10.3; Meijerink, van der Vorst 1977 |
//! | `ic`, `ic0` | incomplete L D L^H by level of fill | Saad, sec. 10.3; shifts: Manteuffel 1980 |
//! | `ilut` | incomplete LU by size, row by row | Saad, sec. 10.4 |
//! | `ict` | incomplete L D L^H by size, column by column | Saad, sec. 10.4; Lin, More 1999 |
//! | `chebyshev` | a polynomial in D^-1 A | Saad, sec. 12.3 |
//! | `amg` | a V-cycle of smoothed aggregation | Vanek, Mandel, Brezina 1996 |
//! | `lu` | complete factors | Duff, Reid 1983; Li, Demmel 2003; faer |
//! | `llt`, `ldlt` | complete factors L D L^H | Duff, Reid 1983 |
//!
//! Saad is Iterative Methods for Sparse Linear Systems, 2nd ed., SIAM 2003; the others are
//! Meijerink, van der Vorst, Math. Comp. 31 (1977); Manteuffel, Math. Comp. 34 (1980);
//! Vanek, Mandel, Brezina, Computing 56 (1996); Lin, More, SIAM J. Sci. Comput. 21 (1999);
//! Duff, Reid, ACM Trans. Math. Softw. 9 (1983); Li, Demmel, ACM Trans. Math. Softw. 29 (2003).
//!
//! A preconditioner holds its operator and is refreshed by `changed`; in between it lags, which
//! is legal. A refresh keeps the pattern and the storage. A failed refresh leaves it unusable
//! until the next successful one. Kinds that end in an `L^H` read the lower triangle and take the
//! matrix for Hermitian: a complex symmetric matrix needs `ilu`, `ilut` or `lu`.
//!
//! Over several ranks each rank preconditions with its own entries; `chebyshev` alone multiplies
//! with the whole operator.

mod amg;
mod block_jacobi;
mod blocks;
mod chebyshev;
mod cholesky;
mod dense_ldl;
mod dense_lu;
mod faer_support;
mod fill;
mod fronts;
mod ic;
mod ict;
mod identity;
mod ilu;
mod ilut;
mod jacobi;
mod lagged;
mod lu;
pub mod options;
mod ordering;
mod permuted;
mod pivot;
mod pivoted;
mod refine;
mod scratch;
mod single;
mod spectrum;
mod ssor;
mod static_lu;
mod sweep;
mod symbolic;
mod triangular;

pub use options::PRECONDITIONER;

use super::Operator;
use crate::runtime::options::{unknown, Options};
use crate::runtime::{Context, Error, Result, Scalar};
use lagged::{named, Lagged, Part};
use std::sync::Arc;

/// The words that name a kind.
pub static KINDS: &[&str] = &[
    "identity", "jacobi", "block_jacobi", "ssor", "ilu", "ilu0", "ic", "ic0", "ilut", "ict", "chebyshev", "amg", "lu", "llt", "ldlt",
];

/// Makes the preconditioner that `spec` names ("ilu levels=2 shift=1e-3") from the entries of
/// the square operator `a`.
pub fn create<T: Scalar>(context: Arc<Context>, a: &Operator<T>, spec: &str) -> Result<Operator<T>> {
    create_from(context, a, a, spec)
}

/// The same from the entries of `numbers`, to be refreshed from `a`, whose pattern that has too.
pub fn create_from<T: Scalar>(context: Arc<Context>, a: &Operator<T>, numbers: &Operator<T>, spec: &str) -> Result<Operator<T>> {
    let (kind, options) = parse(spec)?;
    if a.nrows() != a.ncols() {
        return Err(Error::size("A", format!("{} x {}", a.nrows(), a.ncols()), "be square"));
    }
    let part = part(&context, numbers, kind, &options).map_err(|e| named(kind, e))?;
    let body = Lagged::new(kind, options::describe(kind, &options), is_hermitian(kind, a), a.clone(), part);
    Ok(Operator::new(context, Box::new(body)))
}

/// Complete factors of a symmetric positive definite matrix, unless they take more than `most` flops.
pub fn complete_within<T: Scalar>(context: &Arc<Context>, a: &Operator<T>, most: f64) -> Result<Option<Operator<T>>> {
    let (kind, options) = parse("llt")?;
    let part = cholesky::Cholesky::within(a, &options, most).map_err(|e| named(kind, e))?;
    Ok(part.map(|part| {
        let body = Lagged::new(kind, options::describe(kind, &options), true, a.clone(), Box::new(part));
        Operator::new(context.clone(), Box::new(body))
    }))
}

/// The kind and its options.
pub fn parse(spec: &str) -> Result<(&'static str, Options)> {
    let blank = |c: char| c.is_whitespace() || c == ',';
    let spec = spec.trim_matches(blank);
    let (word, rest) = spec.split_at(spec.find(blank).unwrap_or(spec.len()));
    let kind = *KINDS.iter().find(|k| **k == word).ok_or_else(|| unknown("preconditioner", word, KINDS.iter().copied()))?;
    let mut options = Options::new(PRECONDITIONER, kind);
    options.set_all(rest)?;
    options::check(kind, &options)?;
    Ok((kind, options))
}

fn part<T: Scalar>(context: &Arc<Context>, a: &Operator<T>, kind: &str, options: &Options) -> Result<Box<dyn Part<T>>> {
    // A rank without rows has no part in the others' local work, but in what they multiply together.
    if a.nrows() == 0 && kind != "chebyshev" {
        return Ok(Box::new(identity::Identity));
    }
    if T::KIND != <T::Single as Scalar>::KIND && options.text("precision") == "single" {
        let narrower = |rounded: &Operator<T::Single>| part(context, rounded, kind, options);
        return Ok(Box::new(single::InSingle::<T::Single>::new(context.clone(), a, narrower)?));
    }
    Ok(match kind {
        "identity" => Box::new(identity::Identity),
        "jacobi" => Box::new(jacobi::Jacobi::new(a)?),
        "block_jacobi" => Box::new(block_jacobi::BlockJacobi::new(a, options)?),
        "ssor" => Box::new(ssor::Ssor::new(a, options)?),
        "ilu" | "ilu0" => Box::new(ilu::Ilu::new(a, options)?),
        "ic" | "ic0" => Box::new(ic::Ic::new(a, options)?),
        "ilut" => Box::new(ilut::Ilut::new(a, options)?),
        "ict" => Box::new(ict::Ict::new(a, options)?),
        "chebyshev" => Box::new(chebyshev::Chebyshev::new(context.clone(), a, options)?),
        "amg" => Box::new(amg::Amg::new(context.clone(), a, options)?),
        "lu" => Box::new(lu::Lu::new(a, options)?),
        "llt" => Box::new(cholesky::Cholesky::new(a, options, true)?),
        "ldlt" => Box::new(cholesky::Cholesky::new(a, options, false)?),
        _ => return Err(Error::Internal(format!("preconditioner '{kind}' is listed but not made"))),
    })
}

/// Whether M^-1 is Hermitian by construction, or because A was declared so.
fn is_hermitian<T: Scalar>(kind: &str, a: &Operator<T>) -> bool {
    match kind {
        "identity" | "ic" | "ic0" | "ict" | "chebyshev" | "llt" | "ldlt" => true,
        "jacobi" => !T::IS_COMPLEX || a.is_hermitian(),
        "ilut" => false,
        _ => a.is_hermitian(),
    }
}
