//! Errors (negative statuses) and early stops (positive ones). The numbers are those of the C
//! header and are never reused; `ffi::status` holds their literal twins for the header.

use std::fmt;

pub type Result<T> = std::result::Result<T, Error>;

/// Why a call was refused or failed. The text names the argument, says what it was and what it
/// may be; the boundary puts the function's name in front.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("argument '{0}' is NULL")]
    Null(&'static str),
    #[error("argument '{name}' is {got}, must {want}")]
    Argument { name: &'static str, got: String, want: String },
    #[error("argument '{name}' has size {got}, must {want}")]
    Size { name: &'static str, got: String, want: String },
    #[error("{0}")]
    Scalar(String),
    #[error("{0}")]
    Index(String),
    #[error("{0}")]
    NonFinite(String),
    #[error("{0}")]
    Key(String),
    #[error("{0}")]
    Handle(String),
    #[error("{0}")]
    Busy(String),
    #[error("{0}")]
    State(String),
    #[error("{0}")]
    Singular(String),
    #[error("{0}")]
    Indefinite(String),
    #[error("{0}")]
    Unsupported(String),
    #[error("callback '{name}' returned {value}")]
    Callback { name: &'static str, value: i32 },
    #[error("{0}")]
    Remote(String),
    #[error("out of memory: {bytes} bytes for {what} cannot be had")]
    Memory { what: &'static str, bytes: usize },
    #[error("{0}")]
    File(String),
    #[error("{0}")]
    Format(String),
    #[error("{0}")]
    Threads(String),
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// The status number of the C ABI.
    pub fn status(&self) -> i32 {
        match self {
            Error::Null(_) => -1,
            Error::Argument { .. } => -2,
            Error::Size { .. } => -3,
            Error::Scalar(_) => -4,
            Error::Index(_) => -5,
            Error::NonFinite(_) => -6,
            Error::Key(_) => -7,
            Error::Handle(_) => -8,
            Error::Busy(_) => -9,
            Error::State(_) => -10,
            Error::Singular(_) => -20,
            Error::Indefinite(_) => -21,
            Error::Unsupported(_) => -22,
            Error::Callback { .. } | Error::Remote(_) => -30,
            Error::Memory { .. } => -31,
            Error::File(_) => -32,
            Error::Format(_) => -33,
            Error::Threads(_) => -34,
            Error::Internal(_) => -99,
        }
    }

    pub fn argument(name: &'static str, got: impl fmt::Display, want: impl Into<String>) -> Self {
        Error::Argument { name, got: got.to_string(), want: want.into() }
    }

    pub fn size(name: &'static str, got: impl fmt::Display, want: impl Into<String>) -> Self {
        Error::Size { name, got: got.to_string(), want: want.into() }
    }
}

/// A solve that ended short of its tolerance, with its best point delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    Iterations = 1,
    Time = 2,
    Stagnation = 3,
    Monitor = 4,
    Interrupt = 5,
    Breakdown = 6,
    Infeasible = 7,
    Precision = 8,
}

/// How a solve ended, if no error did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Converged,
    Stopped(Stop),
}

impl Stop {
    /// One sentence for `rkn_last_error`.
    pub fn sentence(self) -> &'static str {
        match self {
            Stop::Iterations => "stopped at the limit of iterations",
            Stop::Time => "stopped at the time limit",
            Stop::Stagnation => "stopped: the residual no longer falls",
            Stop::Monitor => "stopped by the monitor",
            Stop::Interrupt => "stopped by an interrupt",
            Stop::Breakdown => "stopped: the recurrence broke down",
            Stop::Infeasible => "stopped: the constraints cannot be met",
            Stop::Precision => "stopped: rounding hides any further progress",
        }
    }
}
