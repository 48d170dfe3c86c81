//! What a Krylov method is, and which of them a solver has.

use super::block_cg::BlockCg;
use super::block_gcrodr::BlockGcrodr;
use super::problem::Problem;
use super::{bicgstab, cg, cocg, cocr, eigcg, gcrodr, gmres, idr, minres, rbicgstab, rcg, rminres, Outcome, Setup};
use crate::linalg::Panel;
use crate::runtime::options::Options;
use crate::runtime::{Archive, Error, Result, Scalar};

/// A Krylov method with its work arrays and its memory.
pub(super) trait Method<T: Scalar> {
    /// Improves x until the problem's test says stop. On an error x is the last sound iterate.
    async fn solve(&mut self, problem: &mut Problem<'_, T>, x: &mut [T], x_is_zero: bool) -> Result<Outcome>;

    /// Throws away what earlier solves taught.
    fn forget(&mut self) {}

    /// Vectors held for the next solve.
    fn recycled(&self) -> usize {
        0
    }

    /// Those vectors, in solution coordinates.
    fn space(&self) -> Option<Panel<'_, T>> {
        None
    }

    /// Takes vectors for the next solve, as many as it keeps, in the place of its own.
    fn teach(&mut self, vectors: Panel<T>) {
        let _ = vectors;
    }

    /// Keeps the first `count` vectors at most.
    fn truncate(&mut self, count: usize) {
        let _ = count;
    }

    /// Writes or reads what lasts from solve to solve.
    fn archive(&mut self, archive: &mut Archive) -> Result<()> {
        let _ = archive;
        Ok(())
    }
}

/// One of the methods. No trait object: its future would have to be boxed, and a solve allocates nothing.
pub(super) enum AnyMethod<T: Scalar> {
    Cg(cg::Cg<T>),
    Minres(minres::Minres<T>),
    BiCgStab(bicgstab::BiCgStab<T>),
    Rbicgstab(rbicgstab::Rbicgstab<T>),
    Rcg(rcg::Rcg<T>),
    EigCg(eigcg::EigCg<T>),
    Rminres(rminres::Rminres<T>),
    Idr(idr::Idr<T>),
    Cocg(cocg::Cocg<T>),
    Cocr(cocr::Cocr<T>),
    Gmres(gmres::Gmres<T, T>),
    GmresSingle(gmres::Gmres<T, T::Single>),
    Gcrodr(gcrodr::Gcrodr<T, T>),
    GcrodrSingle(gcrodr::Gcrodr<T, T::Single>),
    BlockCg(BlockCg<T>),
    BlockGcrodr(BlockGcrodr<T>),
}

/// `$body` for whichever method it is.
macro_rules! each {
    ($any:expr, $method:ident => $body:expr) => {
        match $any {
            AnyMethod::Cg($method) => $body,
            AnyMethod::Minres($method) => $body,
            AnyMethod::BiCgStab($method) => $body,
            AnyMethod::Rbicgstab($method) => $body,
            AnyMethod::Rcg($method) => $body,
            AnyMethod::EigCg($method) => $body,
            AnyMethod::Rminres($method) => $body,
            AnyMethod::Idr($method) => $body,
            AnyMethod::Cocg($method) => $body,
            AnyMethod::Cocr($method) => $body,
            AnyMethod::Gmres($method) => $body,
            AnyMethod::GmresSingle($method) => $body,
            AnyMethod::Gcrodr($method) => $body,
            AnyMethod::GcrodrSingle($method) => $body,
            AnyMethod::BlockCg($method) => $body,
            AnyMethod::BlockGcrodr($method) => $body,
        }
    };
}

impl<T: Scalar> Method<T> for AnyMethod<T> {
    async fn solve(&mut self, problem: &mut Problem<'_, T>, x: &mut [T], x_is_zero: bool) -> Result<Outcome> {
        each!(self, method => method.solve(problem, x, x_is_zero).await)
    }

    fn forget(&mut self) {
        each!(self, method => method.forget())
    }

    fn recycled(&self) -> usize {
        each!(self, method => method.recycled())
    }

    fn space(&self) -> Option<Panel<'_, T>> {
        each!(self, method => method.space())
    }

    fn teach(&mut self, vectors: Panel<T>) {
        each!(self, method => method.teach(vectors))
    }

    fn truncate(&mut self, count: usize) {
        each!(self, method => method.truncate(count))
    }

    fn archive(&mut self, archive: &mut Archive) -> Result<()> {
        each!(self, method => method.archive(archive))
    }
}

/// What the arrays of a method depend on; when it changes they are made anew.
#[derive(PartialEq, Clone, Default)]
pub(super) struct Shape {
    pub(super) method: &'static str,
    pub(super) n: usize,
    pub(super) restart: usize,
    pub(super) recycle: usize,
    pub(super) shadow: usize,
    /// Right-hand sides of a block method; 1 for all others.
    pub(super) width: usize,
    pub(super) single: bool,
    pub(super) words: [String; 3],
}

/// Options of `Shape::words`.
const WORDS: [&str; 3] = ["side", "test_basis", "orthogonalization"];

impl Shape {
    pub(super) fn new(method: &'static str, n: usize, width: usize, single: bool, o: &Options) -> Self {
        let count = |key| o.count(key);
        Shape {
            method,
            n,
            width,
            single,
            restart: count("restart"),
            recycle: count("recycle"),
            shadow: count("shadow"),
            words: WORDS.map(|key| o.text(key).to_string()),
        }
    }

    pub(super) fn fits(&self, method: &'static str, n: usize, width: usize, single: bool, o: &Options) -> bool {
        self.method == method
            && self.n == n
            && self.width == width
            && self.single == single
            && self.restart == o.count("restart")
            && self.recycle == o.count("recycle")
            && self.shadow == o.count("shadow")
            && WORDS.iter().zip(&self.words).all(|(key, word)| o.text(key) == word)
    }

    /// Refuses a solver whose options are not those of this shape.
    pub(super) fn check(&self, setup: &Setup) -> Result<()> {
        let o = &setup.options;
        let counts = [("restart", self.restart), ("recycle", self.recycle), ("shadow", self.shadow)];
        let differs = |key: &str, saved: &dyn std::fmt::Display, now: &dyn std::fmt::Display| {
            Err(Error::State(format!("argument 'buf' holds a state with {key} = {saved}, the solver's is {now}")))
        };
        if let Some((key, saved)) = counts.iter().find(|(key, saved)| o.count(key) != *saved) {
            return differs(key, saved, &o.count(key));
        }
        match WORDS.iter().zip(&self.words).find(|(key, word)| o.text(key) != *word) {
            Some((key, word)) => differs(key, word, &o.text(key)),
            None => Ok(()),
        }
    }

    /// The method with its arrays.
    pub(super) fn make<T: Scalar>(&self, setup: &Setup) -> Result<AnyMethod<T>> {
        let (n, o) = (self.n, &setup.options);
        Ok(match self.method {
            "cg" if self.width > 1 => AnyMethod::BlockCg(BlockCg::new(n, self.width)?),
            "cg" => AnyMethod::Cg(cg::Cg::new(n)?),
            "minres" => AnyMethod::Minres(minres::Minres::new(n)?),
            "bicgstab" => AnyMethod::BiCgStab(bicgstab::BiCgStab::new(n)?),
            "rbicgstab" => AnyMethod::Rbicgstab(rbicgstab::Rbicgstab::new(n, o)?),
            "eigcg" => AnyMethod::EigCg(eigcg::EigCg::new(n, o)?),
            "rcg" => AnyMethod::Rcg(rcg::Rcg::new(n, o)?),
            "rminres" => AnyMethod::Rminres(rminres::Rminres::new(n, o)?),
            "idr" => AnyMethod::Idr(idr::Idr::new(n, o.count("shadow"))?),
            "cocg" => AnyMethod::Cocg(cocg::Cocg::new(n)?),
            "cocr" => AnyMethod::Cocr(cocr::Cocr::new(n)?),
            "gmres" | "gcrodr" if self.width > 1 => {
                let recycle = (self.method == "gcrodr").then(|| o.count("recycle"));
                AnyMethod::BlockGcrodr(BlockGcrodr::new(n, self.width, recycle, o)?)
            }
            "gmres" if self.single => AnyMethod::GmresSingle(gmres::Gmres::new(n, o)?),
            "gmres" => AnyMethod::Gmres(gmres::Gmres::new(n, o)?),
            _ if self.single => AnyMethod::GcrodrSingle(gcrodr::Gcrodr::new(n, o)?),
            _ => AnyMethod::Gcrodr(gcrodr::Gcrodr::new(n, o)?),
        })
    }
}
