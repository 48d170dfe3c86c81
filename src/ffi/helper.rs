//! A call that can be left and taken up again: it runs on a helper thread, in turns with whoever
//! drives it.
//!
//! One of the two runs at a time. Who passes the turn on does so under a lock, and sleeps until it
//! comes back. What the helper wants done by the host either ends the driver's turn of waiting
//! ([`ask`]) or, if it is a callback, is run by the driver while the helper sleeps ([`by_host`]):
//! no code of the host ever runs on a helper.

use super::environment::Inside;
use super::reverse::rkn_request;
use crate::krylov::Outcome;
use crate::runtime::{panics, Error, Result};
use std::cell::RefCell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

pub type Body = Box<dyn FnOnce() -> Result<Outcome>>;

/// As much as a main thread has as a rule; it costs memory only where it is used.
const STACK: usize = 8 << 20;

/// What the driver says of the last request.
#[derive(Clone, Copy)]
pub enum Answer {
    Served,
    Failed(i32),
}

/// Why the driver has the turn again.
pub enum Event {
    Request(rkn_request),
    Done(Result<Outcome>),
}

/// Whose turn it is, with what came along.
enum Turn {
    Helper(Answer),
    Driver(Wanted),
}

enum Wanted {
    Nothing,
    Request(rkn_request),
    /// A callback that waits on the helper's stack.
    Callback(*mut dyn FnMut()),
    Done(Result<Outcome>),
}

struct Turns {
    turn: Mutex<Turn>,
    passed: Condvar,
    cancelled: AtomicBool,
}

impl Turns {
    /// Passes the turn on. The lock is free before the other one wakes, or it would go to sleep again.
    fn pass(&self, turn: Turn) {
        *self.turn.lock().unwrap_or_else(|e| e.into_inner()) = turn;
        self.passed.notify_one();
    }

    /// Sleeps until `take` finds that it is this thread's turn.
    fn wait<R>(&self, take: impl Fn(&mut Turn) -> Option<R>) -> R {
        let mut turn = self.turn.lock().unwrap_or_else(|e| e.into_inner());
        loop {
            if let Some(taken) = take(&mut turn) {
                return taken;
            }
            turn = self.passed.wait(turn).unwrap_or_else(|e| e.into_inner());
        }
    }

    /// Gives the helper the turn and waits for what it wants.
    fn to_helper(&self, answer: Answer) -> Wanted {
        self.pass(Turn::Helper(answer));
        self.wait(|turn| match turn {
            Turn::Driver(wanted) => Some(std::mem::replace(wanted, Wanted::Nothing)),
            Turn::Helper(_) => None,
        })
    }

    /// Gives the driver the turn and waits for its answer.
    fn to_driver(&self, wanted: Wanted) -> Answer {
        self.pass(Turn::Driver(wanted));
        self.wait_as_helper()
    }

    fn wait_as_helper(&self) -> Answer {
        self.wait(|turn| match turn {
            Turn::Helper(answer) => Some(*answer),
            Turn::Driver(_) => None,
        })
    }

    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

thread_local! {
    /// What this thread takes turns by, if it is a helper.
    static TURNS: RefCell<Option<Arc<Turns>>> = const { RefCell::new(None) };
}

fn turns() -> Option<Arc<Turns>> {
    TURNS.with(|turns| turns.borrow().clone())
}

fn cancelled() -> Error {
    Error::Remote("the solve was cancelled".to_string())
}

/// Hands a request out, and comes back when it is served. Fails where nobody takes requests.
pub fn ask(request: rkn_request) -> Result<()> {
    let Some(turns) = turns() else {
        return Err(Error::State("a request can be handed out by rkn_krylov_next only: begin with rkn_krylov_start".to_string()));
    };
    if turns.cancelled() {
        return Err(cancelled());
    }
    match turns.to_driver(Wanted::Request(request)) {
        _ if turns.cancelled() => Err(cancelled()),
        Answer::Served => Ok(()),
        Answer::Failed(value) => Err(Error::Callback { name: "request", value }),
    }
}

/// Runs a callback of the host on the thread of the host: this one, or the one that drives it. After
/// a cancellation only `release` is still called.
pub fn by_host<R>(is_release: bool, f: impl FnOnce() -> R) -> Result<R> {
    let Some(turns) = turns() else { return Ok(f()) };
    if turns.cancelled() && !is_release {
        return Err(cancelled());
    }
    let (mut f, mut result) = (Some(f), None);
    let mut run = || result = f.take().map(|f| f());
    let run: *mut dyn FnMut() = &mut run;
    // SAFETY: only the lifetime changes; this frame waits until the driver has run it, or has given up doing so.
    let run = unsafe { std::mem::transmute::<*mut (dyn FnMut() + '_), *mut (dyn FnMut() + 'static)>(run) };
    turns.to_driver(Wanted::Callback(run));
    result.ok_or_else(cancelled)
}

/// What a helper starts with.
struct Start {
    turns: Arc<Turns>,
    body: Body,
}

// SAFETY: the two threads run in turns, and each turn is passed on through a lock: nothing is
// touched by both at once, and each sees all that the other did. What the body reaches may be tied
// to no thread, though, and is not: callbacks go to the driver by `by_host`, thread-local state of
// the boundary (environment, quiet panics, last error) is set anew for the helper, and a lock
// guard is released by the thread that took it, the helper. Memory lent by the host is lent until
// the call has ended.
unsafe impl Send for Start {}

impl Start {
    fn run(self) {
        let Start { turns, body } = self;
        panics::set_quiet(true);
        let inside = Inside::enter();
        TURNS.with(|mine| *mine.borrow_mut() = Some(turns.clone()));
        turns.wait_as_helper();
        let outcome = catch_unwind(AssertUnwindSafe(|| if turns.cancelled() { Err(cancelled()) } else { body() }));
        let outcome = outcome.unwrap_or_else(|_| Err(Error::Internal(panics::take_text())));
        drop(inside);
        turns.pass(Turn::Driver(Wanted::Done(outcome)));
    }
}

/// A call on a thread of its own. Dropping it in the middle cancels it.
pub struct Helper {
    turns: Arc<Turns>,
    thread: Option<JoinHandle<()>>,
    process: u32,
}

impl Helper {
    /// A call that waits to be resumed.
    // The two threads share what is not `Sync` in turns; see `Start`.
    #[allow(clippy::arc_with_non_send_sync)]
    pub fn new(body: Body) -> Result<Self> {
        let turns = Arc::new(Turns {
            turn: Mutex::new(Turn::Driver(Wanted::Nothing)),
            passed: Condvar::new(),
            cancelled: AtomicBool::new(false),
        });
        let start = Start { turns: turns.clone(), body };
        let builder = std::thread::Builder::new().name("reknit-solve".to_string()).stack_size(STACK);
        let thread = without_signals(|| builder.spawn(move || start.run()))
            .map_err(|e| Error::Threads(format!("the thread of the solve cannot be started: {e}")))?;
        Ok(Helper { turns, thread: Some(thread), process: std::process::id() })
    }

    /// Whether the thread stayed behind in the parent of a fork.
    pub fn is_orphan(&self) -> bool {
        self.process != std::process::id()
    }

    /// Goes on with the call until it wants something of the host, or ends.
    pub fn resume(&mut self, mut answer: Answer) -> Event {
        loop {
            match self.turns.to_helper(answer) {
                // SAFETY: it lies on the stack of the helper, which sleeps until it gets the turn back.
                Wanted::Callback(run) => unsafe { (*run)() },
                Wanted::Request(request) => return Event::Request(request),
                Wanted::Done(outcome) => {
                    self.join();
                    return Event::Done(outcome);
                }
                Wanted::Nothing => {}
            }
            answer = Answer::Served;
        }
    }

    /// Ends the call: what it still wants of the host fails.
    pub fn cancel(&mut self) -> Result<Outcome> {
        self.turns.cancelled.store(true, Ordering::Relaxed);
        loop {
            if let Event::Done(outcome) = self.resume(Answer::Served) {
                return outcome;
            }
        }
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if self.is_orphan() {
            std::mem::forget(self.thread.take());
        } else if self.thread.is_some() {
            let _ = self.cancel();
        }
    }
}

/// Threads begun by `f` get no signals: a handler is the host's code, too.
fn without_signals<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: masks are plain data that the calls below fill; the mask of this thread is put back. Faults stay
    // open: a thread that blocks its own is killed without its handler.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed::<libc::sigset_t>(), std::mem::zeroed::<libc::sigset_t>());
        libc::sigfillset(&mut all);
        for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT] {
            libc::sigdelset(&mut all, fault);
        }
        let masked = libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before) == 0;
        let result = f();
        if masked {
            libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        }
        result
    }
}
