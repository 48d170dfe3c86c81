//! The model: what lives, and the judgement of each call.

use super::documented::Documented;
use super::hooks::{Hook, Mood, Running};
use super::numbers::Rng;
use super::transport::Transport;
use super::truth::Truth;
use reknit::ffi::context::*;
use reknit::ffi::geometry::rkn_geometry;
use reknit::ffi::krylov::*;
use reknit::ffi::library::{rkn_last_error, rkn_status_name};
use reknit::ffi::operator::*;
use reknit::ffi::sinkhorn::rkn_sinkhorn;
use reknit::ffi::status::*;
use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::{c_char, CStr, CString};
use std::ptr::{null, null_mut};
use std::rc::Rc;

pub struct ContextModel {
    pub handle: *mut rkn_context,
    /// Whether a reduction hook was ever set: solvers of it may hear of it at any time.
    pub hooked: bool,
}

pub struct OperatorModel {
    pub handle: *mut rkn_operator,
    pub scalar: i32,
    pub rows: usize,
    pub cols: usize,
    pub truth: Rc<Truth>,
    pub nullspace: bool,
    /// How many compositions deep.
    pub depth: usize,
    /// A callback in some mood is in it.
    pub moody: bool,
}

pub struct SolverModel {
    pub handle: *mut rkn_krylov,
    pub method: &'static str,
    /// Made with a context whose hooks or interrupts may end its solves.
    pub context: bool,
    /// A convergence test of the caller is set.
    pub own_test: bool,
    pub inner: bool,
    pub weights: Option<usize>,
    pub scaling: [Option<usize>; 2],
    pub moody: bool,
}

/// A call in the making: what is wrong with its arguments, and what may go wrong besides.
pub struct Call {
    pub name: &'static str,
    wrong: Vec<i32>,
    may: Vec<i32>,
    anything: bool,
}

impl Call {
    pub fn new(name: &'static str) -> Self {
        Call { name, wrong: Vec::new(), may: Vec::new(), anything: false }
    }

    /// An argument is wrong: the call must fail.
    pub fn wrong(&mut self, status: i32) {
        self.wrong.push(status);
    }

    /// This may come out though all arguments are right.
    pub fn may(&mut self, status: i32) {
        self.may.push(status);
    }

    /// Any documented status may come out.
    pub fn may_be_anything(&mut self) {
        self.anything = true;
    }

    pub fn is_wrong(&self) -> bool {
        !self.wrong.is_empty()
    }
}

/// How often each status came out of each function, and where first if it may not.
#[derive(Default)]
pub struct Tally {
    counts: BTreeMap<(&'static str, i32), u64>,
    undocumented: BTreeMap<String, String>,
}

impl Tally {
    pub fn report(&self) {
        println!("{} calls", self.counts.values().sum::<u64>());
        for ((name, status), count) in &self.counts {
            println!("{count:9} {name} {status}");
        }
        let strangers: Vec<&str> = self.undocumented.values().map(|text| &text[..]).collect();
        assert!(strangers.is_empty(), "statuses that include/reknit.h does not name:\n{}", strangers.join("\n"));
    }
}

pub struct World<'a> {
    pub seed: u64,
    pub steps: usize,
    pub rng: Rng,
    documented: &'a Documented,
    tally: Tally,
    trace: bool,
    pub contexts: Vec<ContextModel>,
    pub operators: Vec<OperatorModel>,
    pub solvers: Vec<SolverModel>,
    pub transport: Transport,
    pub dead: Vec<usize>,
    pub hooks: Vec<Rc<Hook>>,
    /// Arrays that operators borrow.
    pub lent: Vec<Box<dyn Any>>,
    pub running: Rc<Running>,
}

/// What an out pointer holds before a call.
pub const MARK: usize = 0x5150;

pub fn text(pointer: *const c_char) -> String {
    // SAFETY: the library's texts end with NUL.
    unsafe { CStr::from_ptr(pointer) }.to_str().expect("UTF-8").to_string()
}

impl<'a> World<'a> {
    pub fn new(seed: u64, documented: &'a Documented, tally: Tally) -> Self {
        World {
            seed,
            steps: 0,
            rng: Rng::new(seed),
            documented,
            tally,
            trace: std::env::var_os("REKNIT_ABI_TRACE").is_some(),
            contexts: Vec::new(),
            operators: Vec::new(),
            solvers: Vec::new(),
            transport: Transport::default(),
            dead: Vec::new(),
            hooks: Vec::new(),
            lent: Vec::new(),
            running: Running::new(),
        }
    }

    pub fn step(&mut self) {
        self.steps += 1;
        if self.rng.below(5) < 2 {
            return self.transport_step();
        }
        match self.rng.below(100) {
            0..=3 => self.make_context(),
            4..=7 => self.use_context(),
            8..=22 => self.make_leaf(),
            23..=31 => self.make_composite(),
            32..=38 => self.make_preconditioner(),
            39..=42 => self.make_solver(),
            43..=50 => self.apply(),
            51..=56 => self.rewrite(),
            57..=62 => self.ask_operator(),
            63..=72 => self.set_option(),
            73..=77 => self.set_hook_or_weights(),
            78..=81 => self.ask_solver(),
            82..=93 => self.solve(),
            94..=96 => self.destroy(),
            97 => self.ask_library(),
            _ => self.sound(),
        }
        if self.operators.len() > 24 || self.solvers.len() > 8 || self.contexts.len() > 4 {
            self.destroy();
        }
    }

    /// Announces a call before it is made: a crash then has a last line.
    pub fn announce(&self, call: &Call, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("seed {} step {}: {} {} wrong {:?}", self.seed, self.steps, call.name, what(), call.wrong);
        }
    }

    /// What must hold after any call.
    pub fn judge(&mut self, call: &Call, status: i32) {
        *self.tally.counts.entry((call.name, status)).or_default() += 1;
        let at = format!("seed {} step {}: {} returned {} ({status})", self.seed, self.steps, call.name, text(rkn_status_name(status)));
        if self.trace {
            eprintln!("    {status}");
        }
        let message = text(rkn_last_error());
        if status != 0 {
            assert!(message.starts_with(call.name) && message.len() > call.name.len() + 2, "{at}, and says '{message}'");
        }
        if status == RKN_ERR_INTERNAL || !self.documented.allows(call.name, status) {
            // All of them are told at the end; of a panic each place.
            let kind = if status == RKN_ERR_INTERNAL { message.clone() } else { format!("{} {status}", call.name) };
            self.tally.undocumented.entry(kind).or_insert_with(|| format!("{at}: {message}"));
            return self.left();
        }
        if call.is_wrong() {
            let expected = call.wrong.contains(&status) || call.may.contains(&status) && status < 0;
            assert!(expected, "{at}, must be one of {:?}: {message}", call.wrong);
        } else {
            assert!(status == 0 || call.anything || call.may.contains(&status), "{at}: {message}");
        }
        let complaints = self.running.complaints.take();
        assert!(complaints.is_empty(), "{at}: {complaints:?}");
        self.left();
    }

    /// The library is left: no handle is in use.
    fn left(&mut self) {
        self.running.solver.set(null_mut());
        self.running.operator.set(null_mut());
        self.running.sinkhorn.set(null_mut());
        self.running.geometry.set(null_mut());
        self.running.reading.set(false);
        self.running.destroyed.set(false);
    }

    /// What a handle's out pointer must hold after a call.
    pub fn judge_handle<H>(&mut self, call: &Call, status: i32, out: *mut H) {
        self.judge(call, status);
        let at = format!("seed {} step {}: {}", self.seed, self.steps, call.name);
        if status != 0 {
            assert!(out.is_null() || out as usize == MARK, "{at}: a handle after a failure");
            return;
        }
        assert!(!out.is_null() && out as usize != MARK && !self.is_live(out as usize), "{at}: {out:?} is no new handle");
        self.dead.retain(|address| *address != out as usize);
    }

    pub fn is_live(&self, address: usize) -> bool {
        self.contexts.iter().any(|c| c.handle as usize == address)
            || self.operators.iter().any(|o| o.handle as usize == address)
            || self.solvers.iter().any(|s| s.handle as usize == address)
            || self.transport.solvers.iter().any(|s| s.handle as usize == address)
            || self.transport.geometries.iter().any(|g| g.handle as usize == address)
    }

    /// A pointer that is no handle of the kind `K`; NULL only if `null` is wrong too.
    pub fn bad_handle<H>(&mut self, call: &mut Call, null: bool) -> *mut H {
        let kind = std::any::type_name::<H>();
        let mut pool = vec![MARK, usize::MAX, &raw const self.seed as usize, 1];
        pool.extend(&self.dead);
        let others: [(&str, Vec<usize>); 5] = [
            (std::any::type_name::<rkn_context>(), self.contexts.iter().map(|c| c.handle as usize).collect()),
            (std::any::type_name::<rkn_operator>(), self.operators.iter().map(|o| o.handle as usize).collect()),
            (std::any::type_name::<rkn_krylov>(), self.solvers.iter().map(|s| s.handle as usize).collect()),
            (std::any::type_name::<rkn_sinkhorn>(), self.transport.solvers.iter().map(|s| s.handle as usize).collect()),
            (std::any::type_name::<rkn_geometry>(), self.transport.geometries.iter().map(|g| g.handle as usize).collect()),
        ];
        for (_, handles) in others.iter().filter(|(name, _)| *name != kind) {
            pool.extend(handles);
        }
        if null && self.rng.rarely(4) {
            call.wrong(RKN_ERR_NULL);
            return null_mut();
        }
        call.wrong(RKN_ERR_HANDLE);
        self.rng.pick(&pool) as *mut H
    }

    /// A context argument: mostly NULL or alive.
    pub fn context(&mut self, call: &mut Call) -> (Option<usize>, *const rkn_context) {
        if self.rng.rarely(30) {
            return (None, self.bad_handle::<rkn_context>(call, false));
        }
        if self.contexts.is_empty() || self.rng.rarely(2) {
            return (None, null());
        }
        let i = self.rng.below(self.contexts.len());
        (Some(i), self.contexts[i].handle)
    }

    /// An operator argument that is wanted so: mostly alive.
    pub fn operator(&mut self, call: &mut Call, wanted: impl Fn(&OperatorModel) -> bool) -> (Option<usize>, *mut rkn_operator) {
        let fit: Vec<usize> = (0..self.operators.len()).filter(|i| wanted(&self.operators[*i])).collect();
        let any = self.rng.rarely(20) && !self.operators.is_empty();
        if self.rng.rarely(25) || fit.is_empty() && !any {
            return (None, self.bad_handle(call, true));
        }
        let i = if any { self.rng.below(self.operators.len()) } else { self.rng.pick(&fit) };
        (Some(i), self.operators[i].handle)
    }

    pub fn solver(&mut self, call: &mut Call) -> (Option<usize>, *mut rkn_krylov) {
        if self.solvers.is_empty() || self.rng.rarely(25) {
            return (None, self.bad_handle(call, true));
        }
        let i = self.rng.below(self.solvers.len());
        (Some(i), self.solvers[i].handle)
    }

    /// Where a handle is to go: NULL at times.
    pub fn out<H>(&mut self, call: &mut Call, slot: &mut *mut H) -> *mut *mut H {
        *slot = MARK as *mut H;
        if self.rng.rarely(40) {
            call.wrong(RKN_ERR_NULL);
            return null_mut();
        }
        slot
    }

    /// A tag of 0..count, or none.
    pub fn tag(&mut self, call: &mut Call, right: i32, count: i32) -> i32 {
        if self.rng.rarely(60) {
            call.wrong(RKN_ERR_ARGUMENT);
            return self.rng.pick(&[-1, count, i32::MAX, i32::MIN]);
        }
        right
    }

    /// A size, or one that cannot be.
    pub fn size(&mut self, call: &mut Call, right: usize) -> i64 {
        if self.rng.rarely(60) {
            call.wrong(RKN_ERR_SIZE);
            return self.rng.pick(&[-1, i64::MIN, i64::MAX, 1 << 60, i64::MAX - 1]);
        }
        right as i64
    }

    /// A text argument; the string must outlive the pointer.
    pub fn text(&mut self, call: &mut Call, right: &str, keep: &mut CString) -> *const c_char {
        match self.rng.below(60) {
            0 => {
                call.wrong(RKN_ERR_NULL);
                null()
            }
            1 => {
                call.wrong(RKN_ERR_ARGUMENT);
                *keep = CString::new([b'j', 0xFF, 0xC0]).expect("no NUL");
                keep.as_ptr()
            }
            _ => {
                *keep = CString::new(right).expect("no NUL");
                keep.as_ptr()
            }
        }
    }

    /// A hook in a random mood, mostly a good one.
    pub fn mood(&mut self) -> Mood {
        let code = self.rng.pick(&[1, -1, 7, i32::MIN, i32::MAX]);
        self.rng.pick(&[Mood::Good, Mood::Good, Mood::Good, Mood::Fail(code), Mood::Nan, Mood::Reenter, Mood::Reenter, Mood::Destroy])
    }

    /// Takes handles out of the model that a callback destroyed.
    pub fn bury(&mut self, solver: Option<usize>, operator: Option<usize>) {
        if let Some(i) = solver {
            let gone = self.solvers.remove(i);
            self.dead.push(gone.handle as usize);
        }
        if let Some(i) = operator {
            let gone = self.operators.remove(i);
            self.dead.push(gone.handle as usize);
        }
    }

    /// Destroys something alive, or dead, or wrong.
    pub fn destroy(&mut self) {
        let mut call = Call::new("destroy");
        let kind = self.rng.below(8);
        // SAFETY: destroy takes any pointer.
        unsafe {
            match kind {
                0 if !self.contexts.is_empty() => {
                    let i = self.rng.below(self.contexts.len());
                    let gone = self.contexts.swap_remove(i).handle;
                    self.announce(&call, || format!("context {gone:?}"));
                    rkn_context_destroy(gone);
                    self.dead.push(gone as usize);
                }
                1 | 2 if !self.solvers.is_empty() => {
                    let i = self.rng.below(self.solvers.len());
                    let gone = self.solvers.swap_remove(i).handle;
                    self.announce(&call, || format!("solver {gone:?}"));
                    rkn_krylov_destroy(gone);
                    self.dead.push(gone as usize);
                }
                3 => rkn_context_destroy(self.bad_handle(&mut call, true)),
                4 => rkn_krylov_destroy(self.bad_handle(&mut call, true)),
                5 => rkn_operator_destroy(self.bad_handle(&mut call, true)),
                _ if !self.operators.is_empty() => {
                    let i = self.rng.below(self.operators.len());
                    let gone = self.operators.swap_remove(i).handle;
                    self.announce(&call, || format!("operator {gone:?}"));
                    rkn_operator_destroy(gone);
                    self.dead.push(gone as usize);
                }
                _ => {}
            }
        }
    }

    /// Destroys all that is left, in any order; then each hook that was kept is let go, once.
    pub fn end(mut self) -> Tally {
        self.sound();
        self.end_transport();
        while !(self.contexts.is_empty() && self.operators.is_empty() && self.solvers.is_empty()) {
            self.destroy();
        }
        self.lent.clear();
        for hook in &self.hooks {
            let (kept, released) = (hook.kept.get() as u32, hook.released.get());
            assert_eq!(released, kept, "seed {}: releases of a hook in mood {:?}", self.seed, hook.mood);
        }
        let complaints = self.running.complaints.take();
        assert!(complaints.is_empty(), "seed {}: {complaints:?}", self.seed);
        self.tally
    }
}
