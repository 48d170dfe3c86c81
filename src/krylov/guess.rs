//! An initial guess from earlier solutions: the combination of the last ones whose image under A is
//! nearest to b.
//!
//! Fischer, "Projection techniques for iterative solution of Ax = b with successive right-hand
//! sides", Comput. Methods Appl. Mech. Engrg. 163 (1998).
//!
//! Differs from the paper: a window of the last solutions instead of a growing basis, and least
//! squares in the residual instead of the A-norm, so that A need be neither definite nor the same
//! for all systems: images are renewed when it changed, one apply a vector.
//!
//! By modes (`initial_guess=pod`) it is one apply a mode: the solutions are replaced by their leading
//! principal components before they are multiplied. Markovinovic, Jansen, "Accelerating iterative solution methods
//! using reduced-order models as solution predictors", Int. J. Numer. Meth. Eng. 68 (2006); the modes by the
//! method of snapshots: Sirovich, "Turbulence and the dynamics of coherent structures", Quart. Appl. Math. 45 (1987).
//!
//!   X^H X = Y S^2 Y^H,   modes V = X Y S^-1 for the larger s,   X ~ V V^H X = V (S Y^H).
//!
//! Differs from the papers: least squares in the residual, as above, instead of Galerkin's condition; of the
//! solutions what the modes span stays in the window, A V (S Y^H) beside it, so that the next solution
//! alone is multiplied while A stays what it is.

use super::problem::Problem;
use crate::linalg::small::{self, Pencil};
use crate::linalg::{kernels, Panel, PanelMut};
use crate::runtime::{memory, Archive, Result, Scalar};

/// An image that keeps less than this share of its squared length beside the others is left out.
const DEPENDENT: f64 = 1e-13;

/// A mode weaker than this beside the strongest is lost in the rounding of the Gram matrix.
const WEAK: f64 = 1e-7;

pub struct Solutions<T: Scalar> {
    n: usize,
    capacity: usize,
    modes: Option<Modes<T>>,
    /// Solutions held, and the place of the next.
    count: usize,
    next: usize,
    solutions: Vec<T>,
    images: Vec<T>,
    /// (A, its version, scaling's version) that each image belongs to.
    image_of: Vec<[u64; 3]>,
    gram: Vec<T::Wide>,
    factor: Vec<T::Wide>,
    products: Vec<T::Wide>,
    pivots: Vec<usize>,
    left: Vec<f64>,
    narrow: Vec<T>,
}

/// What it takes to find modes.
struct Modes<T: Scalar> {
    pencil: Pencil<T::Wide>,
    unit: Vec<T::Wide>,
    y: Vec<T::Wide>,
    coefficients: Vec<T>,
    tile: Vec<T>,
    row: Vec<T>,
}

const WHAT: &str = "earlier solutions";

impl<T: Scalar> Modes<T> {
    fn new(capacity: usize) -> Result<Self> {
        let small = || memory::filled(capacity * capacity, <T::Wide as Scalar>::ZERO, WHAT);
        Ok(Modes {
            pencil: Pencil::new(capacity)?,
            unit: small()?,
            y: small()?,
            coefficients: memory::filled(capacity * capacity, T::ZERO, WHAT)?,
            tile: memory::filled(kernels::rotate_len(capacity), T::ZERO, WHAT)?,
            row: memory::filled(capacity, T::ZERO, WHAT)?,
        })
    }

    /// Modes of `k` vectors with the Gram matrix `gram` that are no weaker than `least`: `coefficients` <- Y S^-1.
    /// Their number.
    fn find(&mut self, gram: &[T::Wide], k: usize, least: f64) -> usize {
        self.unit[..k * k].fill(<T::Wide as Scalar>::ZERO);
        self.unit[..k * k].iter_mut().step_by(k + 1).for_each(|v| *v = <T::Wide as Scalar>::ONE);
        let found = self.pencil.largest(&self.unit, gram, k, k, k, &mut self.y);
        let squares = &self.pencil.mu;
        let count = (0..found).take_while(|j| squares[*j] > 0.0 && squares[*j] >= least * least * squares[0]).count();
        for j in 0..count {
            let factor = 1.0 / squares[j].sqrt();
            for (c, y) in self.coefficients[j * k..][..k].iter_mut().zip(&self.y[j * k..]) {
                *c = T::narrow(y.scale(factor));
            }
        }
        count
    }

    /// The first `count` columns of `x` times S Y^H, `k` columns.
    fn expand(&mut self, x: &mut [T], n: usize, count: usize, k: usize) {
        for j in 0..count {
            let factor = self.pencil.mu[j].sqrt();
            for i in 0..k {
                self.coefficients[i * count + j] = T::narrow(self.y[j * k + i].conj().scale(factor));
            }
        }
        let row = &mut self.row[..count];
        for i in 0..n {
            row.iter_mut().enumerate().for_each(|(j, v)| *v = x[j * n + i]);
            for (j, c) in self.coefficients[..count * k].chunks_exact(count).enumerate() {
                x[j * n + i] = c.iter().zip(&*row).fold(T::ZERO, |sum, (c, v)| sum + *c * *v);
            }
        }
    }
}

impl<T: Scalar> Solutions<T> {
    pub fn new(n: usize, capacity: usize, by_modes: bool) -> Result<Self> {
        let panel = || memory::filled(memory::product(n, capacity, WHAT)?, T::ZERO, WHAT);
        let small = |len: usize| memory::filled(len, <T::Wide as Scalar>::ZERO, WHAT);
        Ok(Solutions {
            n,
            capacity,
            modes: if by_modes { Some(Modes::new(capacity)?) } else { None },
            count: 0,
            next: 0,
            solutions: panel()?,
            images: panel()?,
            image_of: memory::filled(capacity, [0; 3], WHAT)?,
            gram: small(capacity * (capacity + 1))?,
            factor: small(capacity * capacity)?,
            products: small(capacity)?,
            pivots: memory::with_capacity(capacity, WHAT)?,
            left: memory::with_capacity(capacity, WHAT)?,
            narrow: memory::filled(capacity, T::ZERO, WHAT)?,
        })
    }

    pub fn fits(&self, n: usize, capacity: usize, by_modes: bool) -> bool {
        self.n == n && self.capacity == capacity && self.modes.is_some() == by_modes
    }

    /// An empty window of the same kind for `n` unknowns.
    pub fn resized(&self, n: usize) -> Result<Self> {
        Solutions::new(n, self.capacity, self.modes.is_some())
    }

    /// The solutions held, the oldest first.
    pub fn held(&self) -> impl Iterator<Item = &[T]> {
        let oldest = if self.count < self.capacity { 0 } else { self.next };
        (0..self.count).map(move |i| &self.solutions[(oldest + i) % self.capacity * self.n..][..self.n])
    }

    /// Images of solutions are not kept: they come out the same again. Those made from modes would not.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<()> {
        let (mut n, mut capacity, mut by_modes) = (self.n, self.capacity, self.modes.is_some());
        archive.count(&mut n)?;
        archive.count_up_to(&mut capacity, 100)?;
        archive.flag(&mut by_modes)?;
        if !self.fits(n, capacity, by_modes) {
            *self = Solutions::new(n, capacity, by_modes)?;
        }
        archive.count_up_to(&mut self.count, capacity)?;
        archive.count_up_to(&mut self.next, capacity)?;
        archive.scalars(&mut self.solutions[..self.count * n])?;
        if by_modes {
            for [a, a_version, scaling] in &mut self.image_of[..self.count] {
                let mut operator = [*a, *a_version];
                archive.operator(&mut operator)?;
                [*a, *a_version] = operator;
                archive.scaling(scaling)?;
            }
            return archive.scalars(&mut self.images[..self.count * n]);
        }
        if archive.reads() {
            self.image_of.fill([0; 3]);
        }
        Ok(())
    }

    /// x <- the guess; true if that is zero. One reduction, one more where modes are found.
    pub async fn guess(&mut self, p: &mut Problem<'_, T>, x: &mut [T]) -> Result<bool> {
        x.fill(T::ZERO);
        let (n, k) = (self.n, self.count);
        if k == 0 {
            return Ok(true);
        }
        let identity = [p.a.id(), p.a.version(), p.scaling.version];
        let stale = self.image_of[..k].iter().filter(|of| **of != identity).count();
        if stale > 1 && self.modes.is_some() {
            self.renew_by_modes(p).await?;
        }
        for j in 0..k {
            if self.image_of[j] != identity {
                p.apply(&self.solutions[j * n..][..n], &mut self.images[j * n..][..n]).await;
                self.image_of[j] = identity;
            }
        }
        // [A X]^H [A X b], in one reduction.
        let images = Panel::packed(&self.images, n, k);
        for j in 0..=k {
            let with = if j < k { images.col(j) } else { p.b };
            p.space.local(images, with, &mut self.gram[j * k..][..k]);
        }
        let summed = p.space.sum(&mut self.gram[..k * (k + 1)]).await;
        if summed.is_err() {
            self.image_of.fill([0; 3]);
        }
        summed?;
        if self.gram[..k * (k + 1)].iter().any(|v| !v.finite()) {
            self.count = 0;
            return Ok(true);
        }
        let (gram, with_b) = self.gram.split_at_mut(k * k);
        small::pivoted_cholesky(gram, k, DEPENDENT, &mut self.pivots, &mut self.left, &mut self.factor);
        // P^T G P = R^H R: y = P R^-1 R^-H P^T (A X)^H b.
        let rank = self.pivots.len();
        let y = &mut self.products[..rank];
        y.iter_mut().zip(&self.pivots).for_each(|(y, pivot)| *y = with_b[*pivot]);
        small::solve_upper_adjoint(&self.factor, k, rank, y);
        small::solve_upper(&self.factor, k, rank, y);
        let narrow = &mut self.narrow[..k];
        narrow.fill(T::ZERO);
        self.pivots.iter().zip(&*y).for_each(|(pivot, v)| narrow[*pivot] = T::narrow(*v));
        kernels::add(p.space.pool(), Panel::packed(&self.solutions, n, k), narrow, x);
        Ok(false)
    }

    /// Leaves of the solutions what their modes span, with images from those of the modes: an apply a mode, unless
    /// there are as many of them as solutions.
    async fn renew_by_modes(&mut self, p: &mut Problem<'_, T>) -> Result<()> {
        let Some(modes) = &mut self.modes else { return Ok(()) };
        let (n, k) = (self.n, self.count);
        let gram = &mut self.gram[..k * k];
        for j in 0..k {
            p.space.local(Panel::packed(&self.solutions, n, k), &self.solutions[j * n..][..n], &mut gram[j * k..][..k]);
        }
        p.space.sum(gram).await?;
        if gram.iter().any(|v| !v.finite()) {
            return Ok(());
        }
        // What is weaker than the tolerance is what earlier solves left open.
        let count = modes.find(gram, k, p.settings.rtol.max(WEAK).max(10.0 * T::EPSILON));
        if count == 0 || count == k {
            return Ok(());
        }
        kernels::rotate(&mut self.solutions, n, k, &modes.coefficients, count, &mut modes.tile);
        p.apply_panel(Panel::packed(&self.solutions, n, count), PanelMut::packed(&mut self.images, n, count)).await;
        for x in [&mut self.solutions, &mut self.images] {
            modes.expand(x, n, count, k);
        }
        self.image_of[..k].fill([p.a.id(), p.a.version(), p.scaling.version]);
        Ok(())
    }

    /// Takes in a solution, in the place of the oldest.
    pub fn learn(&mut self, x: &[T]) {
        self.solutions[self.next * self.n..][..self.n].copy_from_slice(x);
        self.image_of[self.next] = [0; 3];
        self.count = self.capacity.min(self.count + 1);
        self.next = (self.next + 1) % self.capacity;
    }
}
