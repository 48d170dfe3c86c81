//! reknit: solvers with memory for sequences of related problems.
//!
//! The crate is an ordinary generic Rust library (`runtime`, `linalg`, `operator`, `krylov`,
//! `sequence`, `transport`; dependencies point from right to left) below one public face, the C ABI in [`ffi`].

pub mod ffi;
pub mod krylov;
pub mod linalg;
pub mod operator;
pub mod runtime;
pub mod sequence;
pub mod transport;
