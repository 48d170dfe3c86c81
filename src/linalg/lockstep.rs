//! Several solves that go on side by side and share what is dear: products with the operator and with the
//! preconditioner, which then read their numbers once for all columns, and sums over ranks.
//!
//! Each solve is a future. Where it needs one of the three it leaves its operands here and waits; when all
//! of them wait, the kind that most wait for is served for those at once. A solve that fell out of step,
//! because it formed a true residual or began afresh, so waits until the others come by. All ranks see the
//! same order.

use super::space::{Reducer, Votes};
use super::{Panel, PanelMut};
use crate::runtime::profile::Phase;
use crate::runtime::{memory, Result, Scalar, Stop, Wide};
use std::cell::{Cell, RefCell};
use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// What a solve waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Operator,
    Preconditioner,
    Sum,
}

impl Wanted {
    pub fn phase(self) -> Phase {
        match self {
            Wanted::Operator => Phase::Apply,
            Wanted::Preconditioner => Phase::Precondition,
            Wanted::Sum => Phase::Reduce,
        }
    }
}

const KINDS: [Wanted; 3] = [Wanted::Operator, Wanted::Preconditioner, Wanted::Sum];

/// A solve in lockstep with others, before it has begun.
pub type Column<'a, R> = Pin<Box<dyn Future<Output = R> + 'a>>;

pub struct Lockstep<T: Scalar> {
    n: usize,
    /// Operands of the operator and of the preconditioner, and what came out last.
    operands: [RefCell<Vec<T>>; 2],
    images: RefCell<Vec<T>>,
    /// Terms of sums, and the last sums: who has its own may already leave the next terms.
    terms: RefCell<Vec<f64>>,
    sums: RefCell<Vec<f64>>,
    /// What each column waits for.
    wanted: Vec<Cell<Option<Wanted>>>,
    /// Operands in place, of each kind, and numbers of sums.
    taken: [Cell<usize>; 3],
    pub(super) votes: Votes,
    reductions: Cell<usize>,
}

/// One column's way to the others.
#[derive(Clone, Copy)]
pub struct Member<'a, T: Scalar> {
    pub(super) all: &'a Lockstep<T>,
    /// None of it acts for all.
    index: Option<usize>,
}

/// What columns in lockstep are served with.
pub struct Service<'a, T: Scalar> {
    pub reduce: Option<Reducer>,
    /// Applies the operator or the preconditioner.
    pub multiply: &'a dyn Fn(Wanted, Panel<T>, PanelMut<T>) -> Result<()>,
    /// Called whenever all columns wait.
    pub between: &'a dyn Fn(),
}

impl<T: Scalar> Lockstep<T> {
    /// Room for `columns` solves with vectors of length `n` that sum at most `values` numbers at a time.
    pub fn new(n: usize, columns: usize, values: usize) -> Result<Self> {
        const WHAT: &str = "block operands";
        let len = memory::product(n, columns, WHAT)?;
        let panel = || Ok(RefCell::new(memory::filled(len, T::ZERO, WHAT)?));
        let sums = memory::product(columns, values * T::Wide::DOUBLES, WHAT)? + Votes::SLOTS;
        Ok(Lockstep {
            n,
            operands: [panel()?, panel()?],
            images: panel()?,
            terms: RefCell::new(memory::filled(sums, 0.0, WHAT)?),
            sums: RefCell::new(memory::filled(sums, 0.0, WHAT)?),
            wanted: (0..columns).map(|_| Cell::new(None)).collect(),
            taken: Default::default(),
            votes: Votes::default(),
            reductions: Cell::new(0),
        })
    }

    pub fn fits(&self, n: usize, columns: usize, values: usize) -> bool {
        let sums = columns * values * T::Wide::DOUBLES + Votes::SLOTS;
        self.n == n && self.wanted.len() == columns && self.sums.borrow().len() >= sums
    }

    pub fn member(&self, index: usize) -> Member<'_, T> {
        Member { all: self, index: Some(index) }
    }

    /// Who acts for all columns and waits for none: its votes are theirs.
    pub fn lead(&self) -> Member<'_, T> {
        Member { all: self, index: None }
    }

    /// Sums over ranks since the last start.
    pub fn reductions(&self) -> usize {
        self.reductions.get()
    }

    /// Runs all columns to their ends.
    pub fn run<R>(&self, mut columns: Vec<Column<'_, R>>, service: &Service<T>) -> Vec<R> {
        self.taken.iter().for_each(|taken| taken.set(0));
        let mut ends: Vec<Option<R>> = columns.iter().map(|_| None).collect();
        let mut context = Context::from_waker(Waker::noop());
        let mut served = None;
        loop {
            for (j, column) in columns.iter_mut().enumerate() {
                if ends[j].is_none() && self.wanted[j].get() == served {
                    self.wanted[j].set(None);
                    if let Poll::Ready(end) = column.as_mut().poll(&mut context) {
                        ends[j] = Some(end);
                        self.wanted[j].set(None);
                    }
                }
            }
            let waiting = |kind: &Wanted| (0..columns.len()).filter(|j| ends[*j].is_none() && self.wanted[*j].get() == Some(*kind)).count();
            // The first of equals.
            let Some(kind) = KINDS.iter().rev().max_by_key(|kind| waiting(kind)).filter(|kind| waiting(kind) > 0) else { break };
            (service.between)();
            let taken = self.taken[*kind as usize].replace(0);
            if *kind == Wanted::Sum {
                let mut sums = self.sums.borrow_mut();
                sums[..taken].copy_from_slice(&self.terms.borrow()[..taken]);
                if let Some(reduce) = &service.reduce {
                    self.reduce(reduce, &mut sums[..taken + Votes::SLOTS]);
                }
            } else {
                let (operands, mut images) = (self.operands[*kind as usize].borrow(), self.images.borrow_mut());
                let mut images = PanelMut::packed(&mut images, self.n, taken);
                if let Err(e) = (service.multiply)(*kind, Panel::packed(&operands, self.n, taken), images.reborrow()) {
                    images.data.fill(T::ZERO);
                    self.votes.fail(e);
                }
            }
            served = Some(*kind);
        }
        ends.into_iter().flatten().collect()
    }

    /// A sum over ranks of numbers with room for the votes behind them.
    pub(super) fn reduce(&self, reduce: &Reducer, raw: &mut [f64]) {
        self.reductions.set(self.reductions.get() + 1);
        self.votes.reduce(reduce, raw);
    }

    /// Asks all columns to stop; where ranks decide together, the next sum grants it.
    pub fn wish(&self, stop: Stop, is_distributed: bool) {
        self.votes.wish(stop);
        if !is_distributed {
            self.votes.grant_own();
        }
    }

    /// Before a solve: nothing failed, nobody wishes to stop.
    pub fn start(&self) {
        self.votes.reset();
        self.reductions.set(0);
        self.wanted.iter().for_each(|wanted| wanted.set(None));
    }
}

impl<T: Scalar> Member<'_, T> {
    pub fn is_lead(&self) -> bool {
        self.index.is_none()
    }

    /// y <- the operator or the preconditioner times x.
    pub async fn multiply(&self, kind: Wanted, x: &[T], y: &mut [T]) {
        let (n, all) = (self.all.n, self.all);
        let place = all.taken[kind as usize].get();
        all.taken[kind as usize].set(place + 1);
        all.operands[kind as usize].borrow_mut()[place * n..][..n].copy_from_slice(x);
        self.wait(kind).await;
        y.copy_from_slice(&all.images.borrow()[place * n..][..n]);
    }

    /// Sums over ranks.
    pub async fn sum(&self, values: &mut [T::Wide]) {
        let (count, all) = (values.len() * T::Wide::DOUBLES, self.all);
        let place = all.taken[Wanted::Sum as usize].get();
        all.taken[Wanted::Sum as usize].set(place + count);
        T::Wide::unpack(values, &mut all.terms.borrow_mut()[place..place + count]);
        self.wait(Wanted::Sum).await;
        T::Wide::pack(&all.sums.borrow()[place..place + count], values);
    }

    async fn wait(&self, kind: Wanted) {
        // Who acts for all does not come here.
        let Some(index) = self.index else { return };
        self.all.wanted[index].set(Some(kind));
        let mut asked = false;
        poll_fn(|_| if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending }).await
    }
}

/// The end of a computation that waits for nobody.
pub fn alone<R>(future: impl Future<Output = R>) -> R {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(end) => end,
        Poll::Pending => unreachable!("only columns in lockstep wait"),
    }
}
