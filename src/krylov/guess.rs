//! An initial guess from earlier solutions: the combination of the last ones whose image under A is
//! nearest to b.
//!
//! Fischer, "Projection techniques for iterative solution of Ax = b with successive right-hand
//! sides", Comput. Methods Appl. Mech. Engrg. 163 (1998).
//!
//! Differs from the paper: a window of the last solutions instead of a growing basis, and least
//! squares in the residual instead of the A-norm, so that A need be neither definite nor the same
//! for all systems: images are renewed when it changed, one apply a vector.

use super::problem::Problem;
use crate::linalg::{kernels, small, Panel};
use crate::runtime::{memory, Archive, Result, Scalar};

/// An image that keeps less than this share of its squared length beside the others is left out.
const DEPENDENT: f64 = 1e-13;

pub struct Solutions<T: Scalar> {
    n: usize,
    capacity: usize,
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

impl<T: Scalar> Solutions<T> {
    pub fn new(n: usize, capacity: usize) -> Result<Self> {
        const WHAT: &str = "earlier solutions";
        let panel = || memory::filled(memory::product(n, capacity, WHAT)?, T::ZERO, WHAT);
        let small = |len: usize| memory::filled(len, <T::Wide as Scalar>::ZERO, WHAT);
        Ok(Solutions {
            n,
            capacity,
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

    pub fn fits(&self, n: usize, capacity: usize) -> bool {
        self.n == n && self.capacity == capacity
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The solutions held, the oldest first.
    pub fn held(&self) -> impl Iterator<Item = &[T]> {
        let oldest = if self.count < self.capacity { 0 } else { self.next };
        (0..self.count).map(move |i| &self.solutions[(oldest + i) % self.capacity * self.n..][..self.n])
    }

    /// Images are not kept: they come out the same again.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<()> {
        let (mut n, mut capacity) = (self.n, self.capacity);
        archive.count(&mut n)?;
        archive.count_up_to(&mut capacity, 100)?;
        if !self.fits(n, capacity) {
            *self = Solutions::new(n, capacity)?;
        }
        archive.count_up_to(&mut self.count, capacity)?;
        archive.count_up_to(&mut self.next, capacity)?;
        archive.scalars(&mut self.solutions[..self.count * n])?;
        if archive.reads() {
            self.image_of.fill([0; 3]);
        }
        Ok(())
    }

    /// x <- the guess; true if that is zero. One reduction.
    pub async fn guess(&mut self, p: &mut Problem<'_, T>, x: &mut [T]) -> Result<bool> {
        x.fill(T::ZERO);
        let (n, k) = (self.n, self.count);
        if k == 0 {
            return Ok(true);
        }
        let identity = [p.a.id(), p.a.version(), p.scaling.version];
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

    /// Takes in a solution, in the place of the oldest.
    pub fn learn(&mut self, x: &[T]) {
        self.solutions[self.next * self.n..][..self.n].copy_from_slice(x);
        self.image_of[self.next] = [0; 3];
        self.count = self.capacity.min(self.count + 1);
        self.next = (self.next + 1) % self.capacity;
    }
}
