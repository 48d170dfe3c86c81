//! The inner-product space in which a solver works: local inner products (ours, weighted, or
//! the user's), and one reduction over ranks for each batch of them.
//!
//! Ranks decide alike. Each reduction carries slots beside the numbers: a rank that failed says
//! so there, and until then goes on calling what communicates; wishes to stop (time, interrupt,
//! monitor) are granted on all ranks by the same reduction.

use super::lockstep::Member;
use super::{kernels, Panel};
use crate::runtime::context::{Reduce, Reduction};
use crate::runtime::profile::{within, Phase};
use crate::runtime::{memory, Context, Error, Pool, Result, Scalar, Stop, Wide};
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// The user's local inner products: out <- X^H Y, `x.ncols x y.ncols`, column-major.
pub trait Inner<T: Scalar> {
    fn inner(&self, x: Panel<T>, y: Panel<T>, out: &mut [T::Wide]) -> Result<()>;
}

/// What ranks decide together, in slots behind the numbers of a reduction: failure, time, interrupt,
/// monitor.
#[derive(Default)]
pub struct Votes {
    failure: RefCell<Option<Error>>,
    /// All ranks know that one of them failed.
    ended: Cell<bool>,
    wishes: Cell<[bool; Votes::SLOTS - 1]>,
    granted: Cell<Option<Stop>>,
}

/// The user's sum over ranks.
pub type Reducer = Arc<dyn Reduce>;

const WISHES: [Stop; Votes::SLOTS - 1] = [Stop::Time, Stop::Interrupt, Stop::Monitor];

impl Votes {
    pub const SLOTS: usize = 4;

    /// Nothing failed, and nobody wishes anything.
    pub(super) fn reset(&self) {
        self.failure.replace(None);
        self.ended.set(false);
        self.wishes.set(Default::default());
        self.granted.set(None);
    }

    /// Keeps this rank's first failure for the next reduction.
    pub fn fail(&self, error: Error) {
        self.failure.borrow_mut().get_or_insert(error);
    }

    pub(super) fn wish(&self, stop: Stop) {
        let mut wishes = self.wishes.get();
        if let Some(i) = WISHES.iter().position(|w| *w == stop) {
            wishes[i] = true;
        }
        self.wishes.set(wishes);
    }

    fn grant(&self, wishes: [bool; Self::SLOTS - 1]) {
        if self.granted.get().is_none() {
            self.granted.set(wishes.iter().position(|w| *w).map(|i| WISHES[i]));
        }
    }

    /// Grants the wishes of a rank that is alone.
    pub(super) fn grant_own(&self) {
        self.grant(self.wishes.get());
    }

    /// Sums numbers over ranks, in place, and settles the votes in the slots behind them.
    pub(super) fn reduce(&self, reduce: &Reducer, raw: &mut [f64]) {
        let count = raw.len() - Self::SLOTS;
        raw[count] = self.failure.borrow().is_some() as u8 as f64;
        for (slot, wish) in raw[count + 1..].iter_mut().zip(self.wishes.get()) {
            *slot = wish as u8 as f64;
        }
        if let Err(e) = within(Phase::Reduce, || reduce.reduce(Reduction::Sum, raw)) {
            self.fail(e);
            return self.ended.set(true);
        }
        self.grant(std::array::from_fn(|i| raw[count + 1 + i] > 0.0));
        self.ended.set(self.ended.get() || raw[count] > 0.0 || raw[count].is_nan());
    }

    /// After an error on any rank every rank gets an error, its own or `Error::Remote`.
    fn outcome(&self) -> Result<()> {
        settled(self.failure.borrow().clone(), self.ended.get())
    }
}

/// Scratch that a solver keeps between solves.
#[derive(Default)]
pub struct Scratch<T: Scalar> {
    partial: Vec<T::Wide>,
    raw: Vec<f64>,
    widened: Vec<T>,
    /// Reductions since the solver last set this to 0.
    pub reductions: usize,
}

impl<T: Scalar> Scratch<T> {
    /// Room for inner products of `columns` vectors of length `n` with a pair, and for `values`
    /// numbers in one reduction.
    pub fn reserve(&mut self, n: usize, columns: usize, values: usize, user_inner: bool) -> Result<()> {
        let grow = |len: usize, v: &mut Vec<T::Wide>| -> Result<()> {
            if v.len() < len {
                *v = memory::filled(len, <T::Wide as Scalar>::ZERO, "partial sums")?;
            }
            Ok(())
        };
        grow(kernels::partial_len(n, 2 * columns + 1), &mut self.partial)?;
        let raw = values * T::Wide::DOUBLES + Votes::SLOTS;
        if self.raw.len() < raw {
            self.raw = memory::filled(raw, 0.0, "reduction buffer")?;
        }
        let widened = if user_inner { memory::product(n, columns, "inner products")? } else { 0 };
        if self.widened.len() < widened {
            self.widened = memory::filled(widened, T::ZERO, "inner products")?;
        }
        Ok(())
    }
}

pub struct Space<'a, T: Scalar> {
    pub context: &'a Context,
    weights: Option<&'a [f64]>,
    inner: Option<Arc<dyn Inner<T>>>,
    reduce: Option<Reducer>,
    scratch: RefCell<&'a mut Scratch<T>>,
    own: Votes,
    /// The way to other columns, whose sums and votes go along with those of this one.
    pub member: Option<Member<'a, T>>,
}

impl<'a, T: Scalar> Space<'a, T> {
    pub fn new(
        context: &'a Context,
        weights: Option<&'a [f64]>,
        inner: Option<Arc<dyn Inner<T>>>,
        scratch: &'a mut Scratch<T>,
    ) -> Self {
        Space {
            context,
            weights,
            inner,
            reduce: context.reduce_hook(),
            scratch: RefCell::new(scratch),
            own: Votes::default(),
            member: None,
        }
    }

    /// The plain inner product over this rank alone.
    pub fn local_only(context: &'a Context, scratch: &'a mut Scratch<T>) -> Self {
        Space { reduce: None, ..Space::new(context, None, None, scratch) }
    }

    pub fn pool(&self) -> &'a Pool {
        &self.context.pool
    }

    pub fn reductions(&self) -> usize {
        self.scratch.borrow().reductions
    }

    /// Plain x^H y, without weights or a user's product.
    pub fn is_euclidean(&self) -> bool {
        self.weights.is_none() && self.inner.is_none()
    }

    pub fn is_distributed(&self) -> bool {
        self.reduce.is_some()
    }

    /// out <- X^H Y over this rank's entries, column by column of Y; to be summed by [`Space::sum`]. `room` has
    /// as many entries as `out`.
    pub fn local_panel(&self, x: Panel<T>, y: Panel<T>, room: &mut [T], out: &mut [T::Wide]) {
        if x.ncols == 0 || y.ncols == 0 {
            return;
        }
        if self.is_euclidean() {
            let room = &mut room[..x.ncols * y.ncols];
            // This rank may have no rows.
            room.fill(T::ZERO);
            within(Phase::Inner, || kernels::gram(x, y, room));
            return out.iter_mut().zip(&*room).for_each(|(v, u)| *v = u.wide());
        }
        for j in 0..y.ncols {
            self.local(x, y.col(j), &mut out[j * x.ncols..][..x.ncols]);
        }
    }

    /// out <- X^H y over this rank's entries; to be summed by [`Space::sum`].
    pub fn local<S: Scalar<Wide = T::Wide>>(&self, x: Panel<S>, y: &[T], out: &mut [T::Wide]) {
        within(Phase::Inner, || self.products(x, y, out));
    }

    fn products<S: Scalar<Wide = T::Wide>>(&self, x: Panel<S>, y: &[T], out: &mut [T::Wide]) {
        let mut scratch = self.scratch.borrow_mut();
        let scratch = &mut **scratch;
        let out = &mut out[..x.ncols];
        if let Some(inner) = &self.inner {
            for j in 0..x.ncols {
                kernels::convert(x.col(j), &mut scratch.widened[j * x.nrows..][..x.nrows]);
            }
            let wide = Panel::packed(&scratch.widened, x.nrows, x.ncols);
            if let Err(e) = inner.inner(wide, Panel::column(y), out) {
                out.fill(<T::Wide as Scalar>::ZERO);
                self.fail(e);
            }
        } else if let Some(w) = self.weights {
            kernels::weighted_inner(x, w, y, &mut scratch.partial, out);
        } else {
            kernels::inner(&self.context.pool, x, y, &mut scratch.partial, out);
        }
    }

    /// x^T y over this rank's entries, weights included: what is symmetric is not conjugated. Of complex
    /// numbers a user's product cannot give it, and is not asked.
    pub fn local_unconjugated(&self, x: &[T], y: &[T]) -> T::Wide {
        if T::IS_COMPLEX {
            let mut scratch = self.scratch.borrow_mut();
            return within(Phase::Inner, || kernels::unconjugated(&self.context.pool, x, self.weights, y, &mut scratch.partial));
        }
        let mut out = [<T::Wide as Scalar>::ZERO];
        self.local(Panel::column(x), y, &mut out);
        out[0]
    }

    /// out <- [X^H y_0, X^H y_1, y_1^H y_1] over this rank's entries; one sweep over X where the inner
    /// product is plain.
    pub fn local_pair<S: Scalar<Wide = T::Wide>>(&self, x: Panel<S>, y: [&[T]; 2], out: &mut [T::Wide]) {
        if self.is_euclidean() {
            let mut scratch = self.scratch.borrow_mut();
            return within(Phase::Inner, || kernels::inner_pair(&self.context.pool, x, y, &mut scratch.partial, out));
        }
        self.local(x, y[0], out);
        self.local(x, y[1], &mut out[x.ncols..]);
        self.local(Panel::column(y[1]), y[1], &mut out[2 * x.ncols..]);
    }

    fn votes(&self) -> &Votes {
        self.member.as_ref().map_or(&self.own, |member| &member.all.votes)
    }

    /// Sums over ranks, in place, and settles the votes. After an error on any rank every rank
    /// gets an error, its own or `Error::Remote`.
    pub async fn sum(&self, values: &mut [T::Wide]) -> Result<()> {
        self.scratch.borrow_mut().reductions += 1;
        match (&self.reduce, &self.member) {
            (None, _) => self.votes().grant_own(),
            (Some(_), Some(member)) if !member.is_lead() => member.sum(values).await,
            (Some(reduce), member) => {
                let mut scratch = self.scratch.borrow_mut();
                let count = values.len() * T::Wide::DOUBLES;
                let raw = &mut scratch.raw[..count + Votes::SLOTS];
                T::Wide::unpack(values, &mut raw[..count]);
                match member {
                    Some(member) => member.all.reduce(reduce, raw),
                    None => self.own.reduce(reduce, raw),
                }
                T::Wide::pack(&raw[..count], values);
            }
        }
        self.votes().outcome()
    }

    /// Keeps this rank's first failure for the next reduction.
    pub fn fail(&self, error: Error) {
        self.votes().fail(error);
    }

    /// Whether all ranks know of a failure: from here on none calls what communicates.
    pub fn ended(&self) -> bool {
        let votes = self.votes();
        votes.ended.get() || (self.reduce.is_none() && votes.failure.borrow().is_some())
    }

    /// Asks for a stop; granted on all ranks by the next reduction.
    pub fn wish(&self, stop: Stop) {
        let votes = self.votes();
        votes.wish(stop);
        if self.reduce.is_none() {
            votes.grant_own();
        }
    }

    pub fn granted(&self) -> Option<Stop> {
        self.votes().granted.get()
    }

    /// x^H y over all ranks.
    pub async fn dot(&self, x: &[T], y: &[T]) -> Result<T::Wide> {
        let mut out = [<T::Wide as Scalar>::ZERO];
        self.local(Panel::column(x), y, &mut out);
        self.sum(&mut out).await?;
        Ok(out[0])
    }

    /// ||x|| over all ranks.
    pub async fn norm(&self, x: &[T]) -> Result<f64> {
        let square = self.dot(x, x).await?.real_part();
        if square > f64::MIN_POSITIVE / f64::EPSILON && square.is_finite() {
            return Ok(square.sqrt());
        }
        self.scaled_norm(x, square).await
    }

    /// The norm where the square of it under- or overflows: entries are scaled by the largest.
    async fn scaled_norm(&self, x: &[T], square: f64) -> Result<f64> {
        // Not by `max`, which takes the other number for a NaN: a vector of NaN would have norm zero.
        if square.is_nan() {
            return Ok(square);
        }
        if !self.is_euclidean() {
            return Ok(square.max(0.0).sqrt());
        }
        let mut largest = [x.iter().fold(0.0f64, |m, v| m.max(v.modulus()))];
        if let Some(reduce) = &self.reduce {
            within(Phase::Reduce, || reduce.reduce(Reduction::Max, &mut largest))?;
            self.scratch.borrow_mut().reductions += 1;
        }
        let largest = largest[0];
        if largest == 0.0 || !largest.is_finite() {
            return Ok(largest);
        }
        let sum: f64 = x.iter().map(|v| (v.modulus() / largest).powi(2)).sum();
        let mut out = [<T::Wide as Scalar>::from_f64(sum)];
        self.sum(&mut out).await?;
        Ok(largest * out[0].real_part().sqrt())
    }
}

/// A vote outside of any solver's arithmetic: what keeps this rank from going on, if anything. It
/// meets the vote of an empty [`Space::sum`] on the other ranks.
pub fn vote(context: &Context, failure: Option<Error>) -> Result<()> {
    let Some(reduce) = context.reduce_hook() else {
        return failure.map_or(Ok(()), Err);
    };
    let mut raw = [0.0; Votes::SLOTS];
    raw[0] = failure.is_some() as u8 as f64;
    within(Phase::Reduce, || reduce.reduce(Reduction::Sum, &mut raw))?;
    settled(failure, raw[0] != 0.0)
}

/// The largest of a number over all ranks.
pub fn largest(context: &Context, v: f64) -> Result<f64> {
    let mut all = [v];
    if let Some(reduce) = context.reduce_hook() {
        within(Phase::Reduce, || reduce.reduce(Reduction::Max, &mut all))?;
    }
    Ok(all[0])
}

/// The outcome of a vote: this rank's own failure goes before those of others.
fn settled(mine: Option<Error>, failed: bool) -> Result<()> {
    match mine {
        Some(e) => Err(e),
        None if failed => Err(Error::Remote("the solve was ended by a failure on another rank".to_string())),
        None => Ok(()),
    }
}
