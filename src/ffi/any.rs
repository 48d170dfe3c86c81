//! Type erasure: an operator of any scalar, and the macros that bring the type back.

use crate::operator::Operator;
use crate::runtime::{Error, Kind, Result, Scalar};
use num_complex::Complex;

#[derive(Clone)]
pub enum AnyOperator {
    F32(Operator<f32>),
    F64(Operator<f64>),
    C32(Operator<Complex<f32>>),
    C64(Operator<Complex<f64>>),
}

/// A scalar that knows its place in [`AnyOperator`].
pub trait Erase: Scalar {
    fn erase(operator: Operator<Self>) -> AnyOperator;
    fn recover(any: &AnyOperator) -> Option<&Operator<Self>>;
}

macro_rules! erase {
    ($t:ty, $variant:ident) => {
        impl Erase for $t {
            fn erase(operator: Operator<Self>) -> AnyOperator {
                AnyOperator::$variant(operator)
            }
            fn recover(any: &AnyOperator) -> Option<&Operator<Self>> {
                match any {
                    AnyOperator::$variant(operator) => Some(operator),
                    _ => None,
                }
            }
        }
    };
}
erase!(f32, F32);
erase!(f64, F64);
erase!(Complex<f32>, C32);
erase!(Complex<f64>, C64);

/// Runs `$body` with `$T` bound to the scalar of `$kind`.
macro_rules! by_scalar {
    ($kind:expr, $T:ident => $body:expr) => {
        match $kind {
            $crate::runtime::Kind::F32 => {
                type $T = f32;
                $body
            }
            $crate::runtime::Kind::F64 => {
                type $T = f64;
                $body
            }
            $crate::runtime::Kind::C32 => {
                type $T = num_complex::Complex<f32>;
                $body
            }
            $crate::runtime::Kind::C64 => {
                type $T = num_complex::Complex<f64>;
                $body
            }
        }
    };
}
pub(super) use by_scalar;

/// Runs `$body` with `$op` bound to the typed operator in `$any`.
macro_rules! with_operator {
    ($any:expr, $op:ident => $body:expr) => {
        match $any {
            $crate::ffi::any::AnyOperator::F32($op) => $body,
            $crate::ffi::any::AnyOperator::F64($op) => $body,
            $crate::ffi::any::AnyOperator::C32($op) => $body,
            $crate::ffi::any::AnyOperator::C64($op) => $body,
        }
    };
}
pub(super) use with_operator;

impl AnyOperator {
    pub fn kind(&self) -> Kind {
        match self {
            AnyOperator::F32(_) => Kind::F32,
            AnyOperator::F64(_) => Kind::F64,
            AnyOperator::C32(_) => Kind::C32,
            AnyOperator::C64(_) => Kind::C64,
        }
    }

    /// The typed operator; another kind is an error that names the argument.
    pub fn of<T: Erase>(&self, name: &str) -> Result<&Operator<T>> {
        T::recover(self).ok_or_else(|| {
            Error::Scalar(format!("argument '{name}' is an operator of {}, must be of {}", self.kind().name(), T::KIND.name()))
        })
    }
}
