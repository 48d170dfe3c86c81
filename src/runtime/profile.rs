//! Where the time of a solve goes: seconds, flops and bytes by phase, and events for the host's own profiler.
//!
//! Kernels note what they do in a count of their thread; a solve runs on one thread, so the difference of two
//! readings is its work. A solve that wants a profile starts one on its thread; phases are entered where operators, inner
//! products and sums over ranks are called, however deep. A solve within a callback of another has its
//! own and puts the other back.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Instant;

/// What a solver does, in the order of reports. What is left of a solve is updates of vectors and small dense work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Solve,
    Setup,
    Apply,
    Precondition,
    Inner,
    Reduce,
}

pub const PHASES: [Phase; 6] = [Phase::Solve, Phase::Setup, Phase::Apply, Phase::Precondition, Phase::Inner, Phase::Reduce];

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Solve => "solve",
            Phase::Setup => "setup",
            Phase::Apply => "apply",
            Phase::Precondition => "precondition",
            Phase::Inner => "inner products",
            Phase::Reduce => "reduce",
        }
    }
}

/// Flops and bytes.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Work {
    pub flops: u64,
    pub bytes: u64,
}

impl Work {
    fn since(self, then: Work) -> Work {
        Work { flops: self.flops.wrapping_sub(then.flops), bytes: self.bytes.wrapping_sub(then.bytes) }
    }
}

/// Receives the begin and the end of phases on the thread of the solve.
pub trait Events {
    /// `work`: what was done since the begin; nothing at the begin itself.
    fn event(&self, phase: Phase, begins: bool, work: Work);
}

/// What one phase took in all.
#[derive(Clone, Copy, Default, Debug)]
pub struct Spent {
    pub calls: u64,
    pub seconds: f64,
    pub work: Work,
}

/// By phase.
#[derive(Clone, Copy, Default, Debug)]
pub struct Profile([Spent; PHASES.len()]);

impl Profile {
    pub fn of(&self, phase: Phase) -> Spent {
        self.0[phase as usize]
    }

    /// A table, for people.
    pub fn describe(&self, text: &mut String) {
        let whole = self.of(Phase::Solve);
        let parts = PHASES[1..].iter().map(|phase| (phase.name(), self.of(*phase)));
        let mut rest = whole;
        for (_, part) in parts.clone() {
            rest.seconds -= part.seconds;
            rest.work = rest.work.since(part.work);
        }
        text.push_str("  phase              calls     seconds       %      Gflop  Gflop/s         GB     GB/s\n");
        for (name, Spent { calls, seconds, work }) in parts.chain([("updates", Spent { calls: 0, ..rest }), ("in all", whole)]) {
            let (giga, per) = (|v: u64| v as f64 * 1e-9, |v: f64| if seconds > 0.0 { v / seconds } else { 0.0 });
            let (flops, bytes) = (giga(work.flops), giga(work.bytes));
            let share = if whole.seconds > 0.0 { 100.0 * seconds / whole.seconds } else { 0.0 };
            let calls = if calls == 0 { String::new() } else { calls.to_string() };
            text.push_str(&format!(
                "  {name:<16} {calls:>7} {seconds:>11.3e} {share:>7.1} {flops:>10.3e} {:>8.2} {bytes:>10.3e} {:>8.2}\n",
                per(flops),
                per(bytes)
            ));
        }
    }
}

struct Running {
    spent: Profile,
    events: Option<Arc<dyn Events>>,
}

thread_local! {
    static DONE: Cell<Work> = const { Cell::new(Work { flops: 0, bytes: 0 }) };
    static IS_ON: Cell<bool> = const { Cell::new(false) };
    static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
}

/// Takes note of work done on this thread (or for it, by the pool).
#[inline]
pub fn note(flops: usize, bytes: usize) {
    DONE.with(|done| {
        let Work { flops: f, bytes: b } = done.get();
        done.set(Work { flops: f.wrapping_add(flops as u64), bytes: b.wrapping_add(bytes as u64) });
    });
}

/// Runs `f` as a phase of the profile that is running on this thread, if one is.
#[inline]
pub fn within<R>(phase: Phase, f: impl FnOnce() -> R) -> R {
    if !IS_ON.get() {
        return f();
    }
    let _ends = Entered::new(phase);
    f()
}

/// A phase that ends when this is dropped.
struct Entered {
    phase: Phase,
    begun: Instant,
    before: Work,
}

impl Entered {
    fn new(phase: Phase) -> Self {
        tell(phase, true, Work::default());
        Entered { phase, begun: Instant::now(), before: DONE.get() }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let (seconds, work) = (self.begun.elapsed().as_secs_f64(), DONE.get().since(self.before));
        RUNNING.with_borrow_mut(|running| {
            if let Some(running) = running {
                let spent = &mut running.spent.0[self.phase as usize];
                spent.calls += 1;
                spent.seconds += seconds;
                spent.work.flops += work.flops;
                spent.work.bytes += work.bytes;
            }
        });
        tell(self.phase, false, work);
    }
}

/// The sink is not borrowed while it is called: it may begin a solve of its own.
fn tell(phase: Phase, begins: bool, work: Work) {
    let events = RUNNING.with_borrow(|running| running.as_ref().and_then(|running| running.events.clone()));
    if let Some(events) = events {
        events.event(phase, begins, work);
    }
}

/// A profile of this thread, from its making until it is ended; the one that ran before then goes on.
pub struct Session {
    outer: Option<Running>,
    outer_is_on: bool,
}

impl Session {
    pub fn begin(is_on: bool, events: Option<Arc<dyn Events>>) -> Self {
        let running = is_on.then(|| Running { spent: Profile::default(), events });
        Session { outer: RUNNING.replace(running), outer_is_on: IS_ON.replace(is_on) }
    }

    /// What was spent; `None` where no profile was wanted.
    pub fn end(self) -> Option<Profile> {
        RUNNING.with_borrow(|running| running.as_ref().map(|running| running.spent))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        RUNNING.set(self.outer.take());
        IS_ON.set(self.outer_is_on);
    }
}
