//! The C ABI: check, convert, call, catch; no algorithm.
//!
//! # Safety
//! Every `extern "C"` function trusts its caller for what cannot be checked: arrays have the
//! lengths that the doc comment states and outlive their use, strings end with NUL, callbacks
//! return normally, and pointers to results can be written. Handles are checked against a live
//! set before they are touched. This is the one statement for all `unsafe` at this boundary.
#![allow(clippy::missing_safety_doc, non_camel_case_types, non_snake_case)]

mod any;
mod args;
pub mod bracket;
pub mod barycenter;
pub mod batch;
pub mod callback;
pub mod context;
pub mod derivative;
mod environment;
pub mod geometry;
mod guard;
mod handle;
mod helper;
pub mod krylov;
pub mod learned;
pub mod library;
pub mod line;
pub mod membership;
pub mod operator;
pub mod reverse;
pub mod sequence;
pub mod sinkhorn;
pub mod status;
