//! Progress as a monitor sees it.

/// A snapshot handed to the monitor after each iteration.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What the solver is doing: see the phases of its noun.
    pub phase: i32,
    pub iteration: usize,
    pub applies: usize,
    /// The residual norm (or other measure) that the stopping test sees.
    pub measure: f64,
    /// What `measure` must fall to.
    pub target: f64,
    /// Since the solve began.
    pub seconds: f64,
}

/// What a monitor asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Continue,
    Stop,
}

pub trait Monitor {
    fn observe(&mut self, progress: &Progress) -> Wish;
}
