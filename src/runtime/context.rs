//! The context: threads, seed, log sink, reduction hook, interrupt flag.

use super::options::{Default as Start, Row, Type};
use super::pool::MAX_THREADS;
use super::{Error, Pool, Result};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

/// How the numbers of all ranks are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    Sum = 0,
    Max = 1,
}

/// Combines `inout` over all ranks, in place; must give identical bits on every rank.
pub trait Reduce {
    fn reduce(&self, op: Reduction, inout: &mut [f64]) -> Result<()>;

    /// Whether the sum is handed out as a request, for which a solve must be under way.
    fn is_request(&self) -> bool {
        false
    }
}

/// Receives log lines on the thread that called the library.
pub trait Log {
    fn line(&self, level: i32, text: &str);
}

/// The keys of a context.
pub static CONTEXT: &[Row] = &[
    Row {
        key: "threads",
        of: Type::Int(1, MAX_THREADS as i64),
        default: Start::Int(1),
        unit: "",
        methods: &[],
        sentence: "threads that kernels may use; results do not depend on it",
    },
    Row {
        key: "seed",
        of: Type::Int(i64::MIN, i64::MAX),
        default: Start::Int(0),
        unit: "",
        methods: &[],
        sentence: "seed of every random stream; the same seed gives the same answer",
    },
    Row {
        key: "log_level",
        of: Type::Int(0, LOG_CYCLE as i64),
        default: Start::Int(LOG_SOLVE as i64),
        unit: "",
        methods: &[],
        sentence: "what the log sink hears: 0 nothing, 1 warnings, 2 a line a solve, 3 a line a cycle",
    },
];

/// Neither `Send` nor `Sync`: a context may hold callbacks, which stay on the caller's thread. (They are
/// counted atomically all the same: several threads of the host may use one context at once.)
pub struct Context {
    pub pool: Pool,
    seed: AtomicU64,
    log_level: AtomicI64,
    interrupt: Arc<AtomicBool>,
    /// Of a part of somebody's solve, who consumes interrupts.
    is_worker: bool,
    reduce: RwLock<Option<Arc<dyn Reduce>>>,
    log: RwLock<Option<Arc<dyn Log>>>,
}

/// Log levels: 1 warnings, 2 one line a solve, 3 one line a cycle.
pub const LOG_WARNING: i32 = 1;
pub const LOG_SOLVE: i32 = 2;
pub const LOG_CYCLE: i32 = 3;

impl Context {
    /// One thread, silent, seed 0, no reduction: what a NULL context means.
    pub fn new() -> Self {
        Context {
            pool: Pool::new(),
            seed: AtomicU64::new(0),
            log_level: AtomicI64::new(LOG_SOLVE as i64),
            interrupt: Arc::new(AtomicBool::new(false)),
            is_worker: false,
            reduce: RwLock::new(None),
            log: RwLock::new(None),
        }
    }

    /// For a part of a solve on a thread of the pool: one thread, silent, with the interrupt flag of the context it works for.
    pub fn worker(interrupt: Arc<AtomicBool>) -> Self {
        Context { interrupt, is_worker: true, ..Context::new() }
    }

    pub fn interrupt_flag(&self) -> Arc<AtomicBool> {
        self.interrupt.clone()
    }

    pub fn seed(&self) -> u64 {
        self.seed.load(Ordering::Relaxed)
    }

    pub fn set_seed(&self, seed: u64) {
        self.seed.store(seed, Ordering::Relaxed);
    }

    pub fn log_level(&self) -> i64 {
        self.log_level.load(Ordering::Relaxed)
    }

    pub fn set_log_level(&self, level: i64) {
        self.log_level.store(level, Ordering::Relaxed);
    }

    pub fn set_reduce(&self, reduce: Option<Arc<dyn Reduce>>) -> Result<()> {
        *self.reduce.try_write().map_err(|_| busy("reduction hook"))? = reduce;
        Ok(())
    }

    pub fn set_log(&self, log: Option<Arc<dyn Log>>) -> Result<()> {
        *self.log.try_write().map_err(|_| busy("log sink"))? = log;
        Ok(())
    }

    pub fn reduce_hook(&self) -> Option<Arc<dyn Reduce>> {
        self.reduce.try_read().ok().and_then(|hook| hook.clone())
    }

    /// Passes a line to the sink, if there is one and it wants this level.
    pub fn log(&self, level: i32, text: impl FnOnce() -> String) {
        if (level as i64) > self.log_level() {
            return;
        }
        let sink = self.log.try_read().ok().and_then(|sink| sink.clone());
        if let Some(sink) = sink {
            sink.line(level, &text());
        }
    }

    /// Asks the running or next solve to stop; an atomic store, callable from anywhere.
    pub fn interrupt(&self) {
        self.interrupt.store(true, Ordering::Relaxed);
    }

    pub fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// The solve that stops for an interrupt consumes it.
    pub fn clear_interrupt(&self) {
        if !self.is_worker {
            self.interrupt.store(false, Ordering::Relaxed);
        }
    }
}

impl Default for Context {
    fn default() -> Self {
        Context::new()
    }
}

fn busy(what: &str) -> Error {
    Error::Busy(format!("the {what} is in use by another call"))
}
