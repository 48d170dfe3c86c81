//! Operators against dense arithmetic written out here. Entries are small integers, so that every
//! product is exact in all four scalars and is compared for equality.

#[path = "operator/allocation.rs"]
mod allocation;
#[path = "operator/bits.rs"]
mod bits;
#[path = "operator/compose.rs"]
mod compose;
#[path = "operator/formats.rs"]
mod formats;
#[path = "operator/illegal.rs"]
mod illegal;
#[path = "operator/matrix_market.rs"]
mod matrix_market;
#[path = "operator/numbers.rs"]
mod numbers;
#[path = "operator/truth.rs"]
mod truth;
