//! What a solver has learned, as a thing of its own: the recycled space as columns, states that are saved,
//! loaded, copied, marked and rolled back to, and the way onto another mesh.
//!
//! A state holds the space with its image, earlier solutions, the policy of "auto", and of the solver's own
//! preconditioner the numbers that it was made from: a solver that goes on from it does so bit for bit.

use super::column::Column;
use super::guess::Solutions;
use super::options::{METHODS, RECYCLING};
use super::{Krylov, Method, Own, Setup, Shape};
use crate::linalg::{kernels, Panel, PanelMut};
use crate::operator::{precond, Body, Columns, Operator, Side, Trans};
use crate::runtime::archive::{self, Renaming};
use crate::runtime::{memory, Archive, Error, Pool, Result, Scalar};
use std::cell::RefCell;
use std::rc::Rc;

const WHAT: &str = "a saved state";

/// A state to roll back to. The preconditioner is shared until one side renews it.
#[derive(Default)]
pub struct Mark<T: Scalar> {
    bytes: Vec<u8>,
    own: Option<Own<T>>,
}

/// A matrix as it was: the pattern of today's, other numbers in the order of its entries. When these are
/// taken away it is today's, for who goes on reading it.
struct Earlier<T: Scalar> {
    a: Operator<T>,
    values: Rc<RefCell<Vec<T>>>,
}

impl<T: Scalar> Body<T> for Earlier<T> {
    fn nrows(&self) -> usize {
        self.a.nrows()
    }

    fn ncols(&self) -> usize {
        self.a.ncols()
    }

    fn apply(&self, _: &Pool, _: Trans, _: Panel<T>, _: PanelMut<T>) -> Result<()> {
        Err(Error::Internal("an earlier matrix is only read".to_string()))
    }

    fn entries(&self, entry: &mut dyn FnMut(usize, usize, T)) -> Result<()> {
        let values = self.values.borrow();
        let mut earlier = values.iter();
        self.a.with_body(|body| body.entries(&mut |i, j, v| entry(i, j, earlier.next().copied().unwrap_or(v))))
    }

    fn is_hermitian(&self) -> bool {
        self.a.is_hermitian()
    }

    fn describe(&self) -> String {
        self.a.describe()
    }

    fn count(&self, key: &str) -> Option<i64> {
        self.a.count(key)
    }
}

/// The numbers of a matrix in the order of its entries.
pub(super) fn values_of<T: Scalar>(a: &Operator<T>, values: &mut Vec<T>) -> Result<()> {
    values.clear();
    memory::reserve(values, a.count("entries").unwrap_or(0) as usize, "a copy of the matrix")?;
    a.with_body(|body| body.entries(&mut |_, _, v| values.push(v)))
}

/// The preconditioner `spec` of the matrix that had these numbers.
fn made_earlier<T: Scalar>(setup: &Setup, a: &Operator<T>, spec: &str, values: &[T]) -> Result<Operator<T>> {
    let mut entries = 0;
    a.with_body(|body| body.entries(&mut |_, _, _| entries += 1))?;
    if entries != values.len() {
        return Err(Error::State(format!("argument 'A' has {entries} entries, the state was saved with {}", values.len())));
    }
    let right = a.nullspace(Side::Right)?;
    let values = Rc::new(RefCell::new(memory::copied(values, "a copy of the matrix")?));
    let earlier = Operator::new(a.context().clone(), Box::new(Earlier { a: a.clone(), values: values.clone() }));
    earlier.set_nullspace(Side::Right, Panel::packed(&right.data, a.nrows(), right.count))?;
    let m = precond::create_from(setup.context.clone(), a, &earlier, spec)?;
    *values.borrow_mut() = Vec::new();
    Ok(m)
}

/// The same, then refreshed from the matrix as it is.
pub(super) fn renewed<T: Scalar>(setup: &Setup, a: &Operator<T>, spec: &str, values: &[T]) -> Result<Operator<T>> {
    let m = made_earlier(setup, a, spec, values)?;
    m.changed()?;
    Ok(m)
}

impl<T: Scalar> Krylov<T> {
    /// The learned space, in solution coordinates: that of the first column.
    pub fn space(&self) -> Panel<'_, T> {
        self.columns[0].space()
    }

    /// Gives the next solves a space to start with, in the place of the learned one.
    pub fn set_space(&mut self, setup: &Setup, vectors: Panel<T>) -> Result<()> {
        if !RECYCLING.contains(&setup.method) {
            let able = RECYCLING.join(", ");
            return Err(Error::Unsupported(format!("method '{}' keeps no vectors from solve to solve; {able} do", setup.method)));
        }
        for j in 0..vectors.ncols {
            if let Some(i) = kernels::first_nonfinite(vectors.col(j)) {
                return Err(Error::NonFinite(format!("argument 'U' has {} in row {i} of column {j} (base 0), must be finite", vectors.col(j)[i])));
            }
        }
        let taught = Some((vectors.nrows, copied(vectors)?));
        // Other columns begin as the first.
        self.columns.truncate(1);
        if let Some((_, method)) = &mut self.columns[0].method {
            method.truncate(0);
        }
        self.columns[0].taught = taught;
        setup.report.borrow_mut().recycled = vectors.ncols;
        Ok(())
    }

    /// Keeps the first `count` vectors of the space at most.
    pub fn truncate(&mut self, setup: &Setup, count: usize) {
        self.columns.iter_mut().for_each(|column| column.truncate(count));
        setup.report.borrow_mut().recycled = self.recycled();
    }

    /// Carries the space and earlier solutions over to `n` unknowns, by `map(old, new)`. Preconditioners and the
    /// policy's experience stay behind. After an error nothing has changed.
    pub fn prolongate(&mut self, setup: &Setup, n: usize, mut map: impl FnMut(&[T], &mut [T]) -> Result<()>) -> Result<()> {
        let mut mapped = |from: &[T], to: &mut [T]| {
            map(from, to)?;
            match kernels::first_nonfinite(to) {
                Some(i) => Err(Error::NonFinite(format!("the prolongation delivers {} at position {i}, must be finite", to[i]))),
                None => Ok(()),
            }
        };
        let mut columns = memory::with_capacity(self.columns.len(), "columns")?;
        for column in &self.columns {
            columns.push(column.prolongated(n, &mut mapped)?);
        }
        *self = Krylov { inner: self.inner.take(), columns, ..Krylov::default() };
        setup.report.borrow_mut().recycled = self.recycled();
        Ok(())
    }

    /// Bytes of a saved state.
    pub fn saved_len(&mut self, setup: &Setup) -> Result<usize> {
        archive::measure(|archive| self.archive(setup, archive, None))
    }

    /// Saves the state into the front of `out`.
    pub fn save(&mut self, setup: &Setup, out: &mut [u8]) -> Result<()> {
        archive::write(out, |archive| self.archive(setup, archive, None))
    }

    /// A solver in a saved state. A and M stand for the operators of the last solve before it was saved: in the
    /// condition they had then, or to be announced as changed before the next solve.
    pub fn loaded(setup: &Setup, a: &Operator<T>, m: Option<&Operator<T>>, bytes: &[u8]) -> Result<Self> {
        let mut new = Krylov::default();
        archive::read(bytes, None, |archive| {
            new.last = [u64::MAX; 5];
            for v in new.last.iter_mut() {
                archive.word(v)?;
            }
            let [a_id, a_version, m_id, m_version, scaling] = new.last;
            let m = m.map_or([0, 0], |m| [m.id(), m.version()]);
            archive.renaming = Some(Renaming {
                a: [[a_id, a_version], [a.id(), a.version()]],
                m: [[m_id, m_version], m],
                scaling: [scaling, setup.scaling.version],
            });
            new.last = [a.id(), a.version(), m[0], m[1], setup.scaling.version];
            new.archive_rest(setup, archive, Some(a))
        })?;
        setup.report.borrow_mut().recycled = new.recycled();
        Ok(new)
    }

    /// A solver in the same state.
    pub fn duplicate(&mut self, setup: &Setup) -> Result<Self> {
        let mark = self.snapshot(setup, Vec::new())?;
        let mut new = Krylov { inner: self.inner.clone(), ..Krylov::default() };
        new.restore(setup, &mark)?;
        Ok(new)
    }

    /// Remembers the present state.
    pub fn mark(&mut self, setup: &Setup) -> Result<()> {
        let bytes = self.mark.take().map(|mark| mark.bytes).unwrap_or_default();
        self.mark = Some(self.snapshot(setup, bytes)?);
        Ok(())
    }

    /// Goes back to the state that `mark` remembered, which stays.
    pub fn rollback(&mut self, setup: &Setup) -> Result<()> {
        let mark = self.mark.take().ok_or_else(|| Error::State("argument 's' has no marked state".to_string()))?;
        let done = self.restore(setup, &mark);
        if done.is_err() {
            self.forget();
        }
        self.mark = Some(mark);
        setup.report.borrow_mut().recycled = self.recycled();
        done
    }

    fn snapshot(&mut self, setup: &Setup, mut bytes: Vec<u8>) -> Result<Mark<T>> {
        let own = self.own.take();
        let pass = |solver: &mut Self, archive: &mut Archive| solver.archive(setup, archive, None);
        let done = archive::measure(|archive| pass(self, archive)).and_then(|len| {
            bytes.clear();
            memory::reserve(&mut bytes, len, WHAT)?;
            bytes.resize(len, 0);
            archive::write(&mut bytes, |archive| pass(self, archive))
        });
        self.own = own;
        done?;
        Ok(Mark { bytes, own: self.own.as_ref().map(Own::share).transpose()? })
    }

    fn restore(&mut self, setup: &Setup, mark: &Mark<T>) -> Result<()> {
        archive::read(&mark.bytes, None, |archive| {
            for v in self.last.iter_mut() {
                archive.word(v)?;
            }
            self.archive_rest(setup, archive, None)
        })?;
        self.own = mark.own.as_ref().map(Own::share).transpose()?;
        Ok(())
    }

    fn archive(&mut self, setup: &Setup, archive: &mut Archive, a: Option<&Operator<T>>) -> Result<()> {
        self.last.iter_mut().try_for_each(|v| archive.word(v))?;
        self.archive_rest(setup, archive, a)
    }

    /// All behind `last`. `a` is the matrix to make the preconditioner for.
    fn archive_rest(&mut self, setup: &Setup, archive: &mut Archive, a: Option<&Operator<T>>) -> Result<()> {
        let mut kind = T::KIND as u64;
        archive.word(&mut kind)?;
        if kind != T::KIND as u64 {
            return Err(Error::Scalar(format!("argument 'buf' holds a state of another scalar, A is an operator of {}", T::KIND.name())));
        }
        let mut method = setup.method.to_string();
        archive.text(&mut method)?;
        if method != setup.method {
            return Err(Error::State(format!("argument 'buf' holds a state of method '{method}', the solver's is '{}'", setup.method)));
        }
        let mut count = self.columns.len();
        archive.count(&mut count)?;
        if archive.reads() {
            // One at a time: a damaged count must not ask for more memory than there are bytes.
            self.columns.truncate(count.max(1));
        }
        for j in 0..count {
            if j == self.columns.len() {
                memory::reserve(&mut self.columns, 1, "columns")?;
                self.columns.push(Column::default());
            }
            self.columns[j].archive(setup, archive, a)?;
        }
        self.policy.archive(archive)?;
        let mut own = self.own.is_some();
        archive.flag(&mut own)?;
        if archive.reads() && !own {
            self.own = None;
        }
        if own { self.archive_own(setup, archive, a) } else { Ok(()) }
    }

    fn archive_own(&mut self, setup: &Setup, archive: &mut Archive, a: Option<&Operator<T>>) -> Result<()> {
        let (mut spec, mut of, mut kept) = (String::new(), [0, 0], Vec::new());
        if let Some(own) = &mut self.own {
            (spec, of, kept) = (own.spec.clone(), [own.id, own.version], std::mem::take(&mut own.kept));
        }
        archive.text(&mut spec)?;
        archive.operator(&mut of)?;
        archive.vector(&mut kept, "a copy of the matrix")?;
        match (&mut self.own, a) {
            (Some(own), _) if !archive.reads() => own.kept = kept,
            (_, Some(a)) => {
                let m = match (kept.is_empty(), of == [a.id(), a.version()]) {
                    (true, _) => precond::create(setup.context.clone(), a, &spec)?,
                    (false, true) => renewed(setup, a, &spec, &kept)?,
                    (false, false) => made_earlier(setup, a, &spec, &kept)?,
                };
                self.own = Some(Own { spec, m, id: of[0], version: of[1], kept });
            }
            _ => return Err(archive::damaged()),
        }
        Ok(())
    }
}

impl<T: Scalar> Column<T> {
    /// Keeps the first `count` vectors of the space at most.
    fn truncate(&mut self, count: usize) {
        if let Some((n, columns)) = &mut self.taught {
            columns.count = columns.count.min(count);
            columns.data.truncate(columns.count * *n);
        } else if let Some((_, method)) = &mut self.method {
            method.truncate(count);
        }
    }

    /// This column on another mesh.
    fn prolongated(&self, n: usize, mut map: impl FnMut(&[T], &mut [T]) -> Result<()>) -> Result<Self> {
        let space = self.space();
        let mut data = memory::filled(memory::product(n, space.ncols, "recycle space")?, T::ZERO, "recycle space")?;
        for j in 0..space.ncols {
            map(space.col(j), &mut data[j * n..][..n])?;
        }
        let taught = (space.ncols > 0).then_some((n, Columns { count: space.ncols, data }));
        let mut x = memory::filled(n, T::ZERO, "the last solution")?;
        let mut solutions = None;
        if let Some(kept) = &self.solutions {
            let mut new = kept.resized(n)?;
            for old in kept.held() {
                map(old, &mut x)?;
                new.learn(&x);
            }
            solutions = Some(new);
        }
        let mut previous = None;
        if let Some(old) = &self.previous {
            map(old, &mut x)?;
            previous = Some(x);
        }
        Ok(Column { previous, solutions, taught, ..Column::default() })
    }

    fn archive(&mut self, setup: &Setup, archive: &mut Archive, a: Option<&Operator<T>>) -> Result<()> {
        self.archive_method(setup, archive, a)?;
        archive.optional(&mut self.taught, || Ok((0, Columns { count: 0, data: Vec::new() })), |archive, (n, columns)| {
            archive.count(n)?;
            archive.count(&mut columns.count)?;
            archive.vector(&mut columns.data, "recycle space")
        })?;
        archive.optional(&mut self.previous, || Ok(Vec::new()), |archive, x| archive.vector(x, "the last solution"))?;
        archive.optional(&mut self.solutions, || Solutions::new(0, 1, false), |archive, solutions| solutions.archive(archive))
    }

    fn archive_method(&mut self, setup: &Setup, archive: &mut Archive, a: Option<&Operator<T>>) -> Result<()> {
        let mut present = self.method.is_some();
        archive.flag(&mut present)?;
        if !present {
            if archive.reads() {
                self.method = None;
            }
            return Ok(());
        }
        let mut shape = match &self.method {
            Some((shape, _)) if !archive.reads() => shape.clone(),
            _ => Shape::default(),
        };
        let mut name = shape.method.to_string();
        archive.text(&mut name)?;
        shape.method = METHODS.iter().find(|known| **known == name).ok_or_else(archive::damaged)?;
        for count in [&mut shape.n, &mut shape.width, &mut shape.restart, &mut shape.recycle, &mut shape.shadow] {
            archive.count(count)?;
        }
        archive.flag(&mut shape.single)?;
        for word in &mut shape.words {
            archive.text(word)?;
        }
        if archive.reads() {
            if let Some(a) = a.filter(|a| a.nrows() != shape.n) {
                return Err(Error::size("A", format!("{0} x {0}", a.nrows()), format!("be {0} x {0}, as the state was saved", shape.n)));
            }
            shape.check(setup)?;
            if self.method.as_ref().is_none_or(|(mine, _)| *mine != shape) {
                let method = shape.make(setup)?;
                self.method = Some((shape, method));
            }
        }
        self.method.as_mut().map_or(Ok(()), |(_, method)| method.archive(archive))
    }
}

fn copied<T: Scalar>(vectors: Panel<T>) -> Result<Columns<T>> {
    let mut data = memory::with_capacity(memory::product(vectors.nrows, vectors.ncols, "recycle space")?, "recycle space")?;
    (0..vectors.ncols).for_each(|j| data.extend_from_slice(vectors.col(j)));
    Ok(Columns { count: vectors.ncols, data })
}

/// A copy of a space that outlives its method.
pub(super) fn kept<T: Scalar>(space: Option<Panel<T>>) -> Result<Option<(usize, Columns<T>)>> {
    match space.filter(|space| space.ncols > 0) {
        None => Ok(None),
        Some(space) => Ok(Some((space.nrows, copied(space)?))),
    }
}
