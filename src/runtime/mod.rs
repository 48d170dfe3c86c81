//! What every layer stands on: scalars, errors, contexts, the thread pool, reductions,
//! random streams, options and fallible memory. Nothing here knows an operator or a solver.

pub mod archive;
pub mod context;
pub mod error;
pub mod memory;
pub mod monitor;
pub mod options;
pub mod panics;
pub mod pool;
pub mod profile;
pub mod random;
pub mod scalar;

pub use archive::Archive;
pub use context::Context;
pub use error::{Error, Outcome, Result, Stop};
pub use pool::Pool;
pub use scalar::{Kind, Scalar, Wide};
