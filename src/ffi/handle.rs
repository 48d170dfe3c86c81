//! Handles: real pointers, looked up in a live set before they are touched, with a busy word.
//!
//! A handle's contents are reached by shared reference only; what a call may do is decided by how
//! it enters: `inspect` (anyone, also from inside the handle's own callbacks), `shared` (several
//! at once), `exclusive` (alone). Destroying a handle that is in use takes effect when the last
//! call leaves it.

use crate::runtime::{Error, Result};
use once_cell::sync::Lazy;
use std::alloc::Layout;
use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};

/// What a handle type must tell.
pub trait Handle: Sized {
    const KIND: Kind;
    fn busy(&self) -> &Busy;

    /// Ends what goes on in the object before it is freed; false if it can never be freed.
    fn close(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Context,
    Operator,
    Krylov,
    Geometry,
    Sinkhorn,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Context => "rkn_context",
            Kind::Operator => "rkn_operator",
            Kind::Krylov => "rkn_krylov",
            Kind::Geometry => "rkn_geometry",
            Kind::Sinkhorn => "rkn_sinkhorn",
        }
    }
}

static LIVE: Lazy<RwLock<HashMap<usize, Kind>>> = Lazy::new(|| RwLock::new(HashMap::new()));

/// Who is inside a handle.
#[derive(Default)]
pub struct Busy {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shared: usize,
    /// The thread of the exclusive call, 0 for none.
    owner: u64,
    /// Inspections by the exclusive call's own thread.
    nested: usize,
    doomed: bool,
}

impl State {
    fn is_idle(&self) -> bool {
        self.shared == 0 && self.owner == 0 && self.nested == 0
    }
}

static NEXT_THREAD: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static THREAD: u64 = NEXT_THREAD.fetch_add(1, Ordering::Relaxed);
}

/// A number for this thread, never 0.
pub fn this_thread() -> u64 {
    THREAD.with(|t| *t)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Inspect,
    Shared,
    Exclusive,
    /// An inspection under this thread's own exclusive call.
    Nested,
}

/// A handle in use.
pub struct Entered<H: Handle> {
    pointer: *const H,
    entry: Entry,
}

impl<H: Handle> Entered<H> {
    /// Whether it was destroyed meanwhile and will be freed when the last call leaves.
    pub fn is_doomed(&self) -> bool {
        self.busy().state.lock().unwrap_or_else(|e| e.into_inner()).doomed
    }
}

impl<H: Handle> Deref for Entered<H> {
    type Target = H;
    fn deref(&self) -> &H {
        // SAFETY: the pointer was in the live set when the busy word was taken, and a busy handle
        // is not freed.
        unsafe { &*self.pointer }
    }
}

impl<H: Handle> Drop for Entered<H> {
    fn drop(&mut self) {
        let mut state = self.busy().state.lock().unwrap_or_else(|e| e.into_inner());
        match self.entry {
            Entry::Inspect | Entry::Shared => state.shared -= 1,
            Entry::Exclusive => state.owner = 0,
            Entry::Nested => state.nested -= 1,
        }
        let free = state.doomed && state.is_idle();
        drop(state);
        if free {
            // SAFETY: taken out of the live set by `destroy`, and nobody is inside any more.
            unsafe { free_object(self.pointer.cast_mut()) };
        }
    }
}

/// Hands a new object to C.
pub fn publish<H: Handle>(object: H) -> *mut H {
    let pointer = Box::into_raw(Box::new(object));
    LIVE.write().unwrap_or_else(|e| e.into_inner()).insert(pointer as usize, H::KIND);
    pointer
}

fn enter<H: Handle>(pointer: *const H, name: &'static str, wanted: Entry) -> Result<Entered<H>> {
    if pointer.is_null() {
        return Err(Error::Null(name));
    }
    // Held until the busy word is taken, so that no other thread can destroy it in between.
    let live = LIVE.read().unwrap_or_else(|e| e.into_inner());
    match live.get(&(pointer as usize)) {
        Some(kind) if *kind == H::KIND => {}
        Some(kind) => {
            return Err(Error::Handle(format!("argument '{name}' is an {} handle, must be an {}", kind.name(), H::KIND.name())))
        }
        None => return Err(Error::Handle(format!("argument '{name}' is no live {} handle (destroyed, or never created)", H::KIND.name()))),
    }
    // SAFETY: alive, and of this type.
    let busy = unsafe { &*pointer }.busy();
    let mut state = busy.state.lock().unwrap_or_else(|e| e.into_inner());
    let mine = state.owner == this_thread();
    let entry = match wanted {
        Entry::Exclusive if state.is_idle() => {
            state.owner = this_thread();
            Entry::Exclusive
        }
        Entry::Inspect if mine => {
            state.nested += 1;
            Entry::Nested
        }
        Entry::Inspect | Entry::Shared if state.owner == 0 => {
            state.shared += 1;
            wanted
        }
        _ => {
            let by = match (mine, state.owner) {
                (true, _) => "this very call's callback, or a call that never returned",
                (false, 0) => "another call that reads it",
                (false, _) => "a call on another thread",
            };
            return Err(Error::Busy(format!("argument '{name}' is in use by {by}")));
        }
    };
    drop(state);
    Ok(Entered { pointer, entry })
}

/// For reading from anywhere, the handle's own callbacks included.
pub fn inspect<H: Handle>(pointer: *const H, name: &'static str) -> Result<Entered<H>> {
    enter(pointer, name, Entry::Inspect)
}

pub fn shared<H: Handle>(pointer: *const H, name: &'static str) -> Result<Entered<H>> {
    enter(pointer, name, Entry::Shared)
}

pub fn shared_or_null<H: Handle>(pointer: *const H, name: &'static str) -> Result<Option<Entered<H>>> {
    if pointer.is_null() {
        return Ok(None);
    }
    shared(pointer, name).map(Some)
}

pub fn exclusive<H: Handle>(pointer: *mut H, name: &'static str) -> Result<Entered<H>> {
    enter(pointer, name, Entry::Exclusive)
}

/// Frees a handle; NULL and dead ones are ignored. One in use is freed when its last call leaves.
pub fn destroy<H: Handle>(pointer: *mut H) {
    let mut live = LIVE.write().unwrap_or_else(|e| e.into_inner());
    if pointer.is_null() || live.get(&(pointer as usize)) != Some(&H::KIND) {
        return;
    }
    live.remove(&(pointer as usize));
    drop(live);
    // SAFETY: it was alive a moment ago, and only the caller that took it out of the set may free
    // it.
    let busy = unsafe { &*pointer }.busy();
    let mut state = busy.state.lock().unwrap_or_else(|e| e.into_inner());
    if !state.is_idle() {
        state.doomed = true;
        return;
    }
    drop(state);
    // SAFETY: as above, and idle.
    unsafe { free_object(pointer) };
}

/// Frees what `publish` made. Its address is not given to the next few handles: a handle that is used after it was
/// destroyed should be known as dead, not taken for another.
///
/// # Safety
/// Nobody else can reach the object.
unsafe fn free_object<H: Handle>(pointer: *mut H) {
    if !(*pointer).close() {
        return;
    }
    std::ptr::drop_in_place(pointer);
    let mut resting = RESTING.lock().unwrap_or_else(|e| e.into_inner());
    resting.push_back(Resting(pointer.cast(), Layout::new::<H>()));
    if resting.len() > REST {
        let Some(Resting(oldest, layout)) = resting.pop_front() else { return };
        drop(resting);
        // SAFETY: allocated by `Box` with this layout, the object in it dropped, and reached by nobody.
        std::alloc::dealloc(oldest, layout);
    }
}

/// Memory of dead handles that is not yet given back.
struct Resting(*mut u8, Layout);

// SAFETY: memory without an object in it belongs to no thread.
unsafe impl Send for Resting {}

/// How many dead handles that is.
const REST: usize = 64;

static RESTING: Mutex<VecDeque<Resting>> = Mutex::new(VecDeque::new());
