//! What all preconditioners share: they hold their operator, are refreshed on request, and are
//! unusable after a refresh that failed.

use crate::linalg::{Panel, PanelMut};
use crate::operator::{Body, Operator, Trans};
use crate::runtime::{Error, Pool, Result, Scalar};
use std::borrow::Cow;

/// One kind: what it makes of an operator's numbers, and how it is applied.
pub trait Part<T: Scalar> {
    /// Takes over the numbers of `a`, whose pattern is the one seen at creation.
    fn refresh(&mut self, pool: &Pool, a: &Operator<T>) -> Result<()>;

    /// y <- op(M)^-1 x for all columns.
    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()>;

    /// Stored numbers.
    fn entries(&self) -> usize;

    fn has_adjoint(&self) -> bool {
        true
    }

    /// A count of this kind alone.
    fn count(&self, key: &str) -> Option<i64> {
        let _ = key;
        None
    }
}

/// The body of a preconditioner's operator.
pub struct Lagged<T: Scalar> {
    pub kind: &'static str,
    /// The kind with its options, for people.
    pub text: String,
    pub hermitian: bool,
    pub a: Operator<T>,
    pub part: Box<dyn Part<T>>,
    /// Why the last refresh failed.
    failed: Option<Cow<'static, str>>,
    rebuilds: i64,
}

impl<T: Scalar> Lagged<T> {
    pub fn new(kind: &'static str, text: String, hermitian: bool, a: Operator<T>, part: Box<dyn Part<T>>) -> Self {
        Lagged { kind, text, hermitian, a, part, failed: None, rebuilds: 1 }
    }
}

impl<T: Scalar> Body<T> for Lagged<T> {
    fn nrows(&self) -> usize {
        self.a.nrows()
    }

    fn ncols(&self) -> usize {
        self.a.ncols()
    }

    fn apply(&self, pool: &Pool, trans: Trans, x: Panel<T>, y: PanelMut<T>) -> Result<()> {
        match &self.failed {
            None => self.part.apply(pool, trans, x, y),
            Some(why) => Err(Error::State(format!(
                "preconditioner '{}': its last refresh failed ({why}); call rkn_operator_changed after mending the matrix",
                self.kind
            ))),
        }
    }

    fn changed(&mut self, pool: &Pool) -> Result<()> {
        self.failed = Some(Cow::Borrowed("it did not come to an end"));
        match self.part.refresh(pool, &self.a) {
            Ok(()) => {
                self.failed = None;
                self.rebuilds += 1;
                Ok(())
            }
            Err(e) => {
                self.failed = Some(Cow::Owned(e.to_string()));
                Err(named(self.kind, e))
            }
        }
    }

    fn has_adjoint(&self) -> bool {
        self.part.has_adjoint()
    }

    fn is_hermitian(&self) -> bool {
        self.hermitian
    }

    fn describe(&self) -> String {
        self.text.clone()
    }

    fn count(&self, key: &str) -> Option<i64> {
        match key {
            "entries" => Some(self.part.entries() as i64),
            "rebuilds" => Some(self.rebuilds),
            _ => self.part.count(key),
        }
    }
}

/// Puts the kind in front of what a part said about the matrix.
pub fn named(kind: &str, e: Error) -> Error {
    let name = |text: String| format!("preconditioner '{kind}': {text}");
    match e {
        Error::Singular(text) => Error::Singular(name(text)),
        Error::Indefinite(text) => Error::Indefinite(name(text)),
        Error::Unsupported(text) => Error::Unsupported(name(text)),
        Error::NonFinite(text) => Error::NonFinite(name(text)),
        Error::State(text) => Error::State(name(text)),
        other => other,
    }
}
