//! What safe Rust cannot say. Each function here is safe to call.

pub mod columns;
pub mod exp;
pub mod lanes;
mod products;

pub use products::dots;

/// Asks the machine to bring `array[at]` into its second-level cache; `at` may lie past the end. A
/// hint: it changes no result, and does nothing on a machine without such an instruction.
#[inline(always)]
pub fn prefetch<T>(array: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T1};
        // SAFETY: the instruction belongs to SSE, which every x86-64 has; it neither faults nor
        // reads anything into the program, whatever the address, and `wrapping_add` may compute
        // any address.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(array.as_ptr().wrapping_add(at).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (array, at);
}
