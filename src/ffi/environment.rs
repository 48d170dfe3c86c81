//! The floating-point environment: default inside the library (no traps, round to nearest, no
//! flushing to zero), the host's again in its callbacks and on return.

use std::cell::Cell;

#[cfg(target_arch = "x86_64")]
mod register {
    pub const DEFAULT: u64 = 0x1f80;

    pub fn read() -> u64 {
        let mut value = 0u32;
        // SAFETY: stores MXCSR to a local; touches nothing else.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut value, options(nostack, preserves_flags)) };
        value as u64
    }

    pub fn write(value: u64) {
        let value = value as u32;
        // SAFETY: the value was read from MXCSR or is its documented default.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &value, options(nostack, preserves_flags, readonly)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod register {
    pub const DEFAULT: u64 = 0;

    pub fn read() -> u64 {
        let value: u64;
        // SAFETY: reads FPCR.
        unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }

    pub fn write(value: u64) {
        // SAFETY: the value was read from FPCR or is its default.
        unsafe { std::arch::asm!("msr fpcr, {}", in(reg) value, options(nomem, nostack, preserves_flags)) };
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod register {
    pub const DEFAULT: u64 = 0;
    pub fn read() -> u64 {
        DEFAULT
    }
    pub fn write(_value: u64) {}
}

thread_local! {
    static HOST: Cell<u64> = const { Cell::new(register::DEFAULT) };
}

/// The default environment until dropped; then the host's, with what its callbacks changed.
pub struct Inside {
    outer: u64,
}

impl Inside {
    pub fn enter() -> Self {
        let host = register::read();
        register::write(register::DEFAULT);
        Inside { outer: HOST.with(|h| h.replace(host)) }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        register::write(HOST.with(|h| h.replace(self.outer)));
    }
}

/// Runs a callback of the host in the host's environment.
pub fn outside<R>(callback: impl FnOnce() -> R) -> R {
    register::write(HOST.with(|h| h.get()));
    let result = callback();
    HOST.with(|h| h.set(register::read()));
    register::write(register::DEFAULT);
    result
}
