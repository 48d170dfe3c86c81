//! What solvers share: panels of columns, fused kernels on them, inner products that cross
//! ranks, solves that go in step, and small dense problems (by faer).

pub mod block_hessenberg;
pub mod kernels;
pub mod lanes;
pub mod lockstep;
pub mod panel;
pub mod simd;
pub mod small;
pub mod space;

pub use panel::{Panel, PanelMut};
pub use space::Space;
