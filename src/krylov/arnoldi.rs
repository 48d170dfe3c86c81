//! The cycle that GMRES and GCRO-DR share: an orthonormal basis [C V], the search vectors
//! [U Z], and the relations of flexible GCRO (Carvalho, Gratton, Lago, Vasseur 2011, sec. 2.2)
//!
//!   A Z = C B + V_{s+1} Hbar,   A U = C D,   C^H C = I,  V^H V = I,  C^H V = 0.
//!
//! The basis may be stored in a lower precision `S` than the vectors `T`: then the relations hold
//! to that precision, and every cycle starts again from a true residual.
//!
//! Orthogonalisation is classical Gram-Schmidt with one reduction a pass. The length of the
//! remainder follows from Pythagoras, before it is formed: so it is known whether a second pass is
//! due (Daniel, Gragg, Kaufman, Stewart 1976: if less than 0.7 of the length is left), and then its
//! inner products are taken in the sweep that forms the remainder.

use super::problem::{Problem, Verdict};
use crate::linalg::small::Hessenberg;
use crate::linalg::{kernels, Panel};
use crate::runtime::options::Options;
use crate::runtime::{memory, Result, Scalar, Wide};

/// A remainder shorter than this share of the vector is orthogonalised again: twice is then enough.
const SELECTIVE: f64 = std::f64::consts::FRAC_1_SQRT_2;

/// When a second pass is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Passes {
    Selective,
    Twice,
    Once,
}

pub struct Arnoldi<T: Scalar, S: Scalar<Wide = T::Wide>> {
    n: usize,
    /// Basis and search vectors at most: columns of C plus Krylov steps.
    pub capacity: usize,
    /// Recycled columns in front: of C in `w`, of U in `z`.
    pub k: usize,
    /// [C V].
    pub w: Vec<S>,
    /// [U Z], if search vectors are kept.
    pub z: Vec<S>,
    keeps_search: bool,
    pub hessenberg: Hessenberg<T::Wide>,
    /// C^H A Z, `capacity` rows a column.
    pub b: Vec<T::Wide>,
    /// C^H r at the start of the cycle.
    c0: Vec<T::Wide>,
    /// The current unit vector, its preconditioned twin and its image.
    v: Vec<T>,
    zv: Vec<T>,
    image: Vec<T>,
    coefficients: Vec<T::Wide>,
    narrow: Vec<T>,
    passes: Passes,
}

/// How a cycle ended.
pub enum CycleEnd {
    /// The cycle is full, or the test said something.
    Verdict(Verdict),
    /// The Krylov space is exhausted: the image lies in the basis.
    Exhausted,
}

impl<T: Scalar, S: Scalar<Wide = T::Wide>> Arnoldi<T, S> {
    pub fn new(n: usize, capacity: usize, keeps_search: bool, options: &Options) -> Result<Self> {
        let columns = memory::product(n, capacity + 1, "Krylov basis")?;
        let zero = <T::Wide as Scalar>::ZERO;
        Ok(Arnoldi {
            n,
            capacity,
            k: 0,
            w: memory::filled(columns, S::ZERO, "Krylov basis")?,
            z: memory::filled(if keeps_search { columns } else { 0 }, S::ZERO, "search vectors")?,
            keeps_search,
            hessenberg: Hessenberg::new(capacity)?,
            b: memory::filled(capacity * capacity, zero, "projections")?,
            c0: memory::filled(capacity, zero, "projections")?,
            v: memory::filled(n, T::ZERO, "Krylov vector")?,
            zv: memory::filled(n, T::ZERO, "Krylov vector")?,
            image: memory::filled(n, T::ZERO, "Krylov vector")?,
            coefficients: memory::filled(2 * capacity + 4, zero, "coefficients")?,
            narrow: memory::filled(capacity + 2, T::ZERO, "coefficients")?,
            passes: match options.text("orthogonalization") {
                "selective" => Passes::Selective,
                "twice" => Passes::Twice,
                _ => Passes::Once,
            },
        })
    }

    /// Krylov steps of the present cycle.
    pub fn steps(&self) -> usize {
        self.hessenberg.len
    }

    /// Runs a cycle of at most `capacity - k` steps from the residual `r`. The recycled space first
    /// takes its part of r; then come Krylov steps. `beta` is the norm of r as the recurrence sees
    /// it, and `p.tested_norm` the same residual's tested norm.
    pub fn cycle(&mut self, p: &mut Problem<T>, r: &[T], beta: f64) -> Result<CycleEnd> {
        let scale = p.tested_norm / beta;
        // What the stored precision can follow.
        let floor = beta * f64::max(T::EPSILON, 8.0 * S::EPSILON);
        let mut norm = self.project(p, r, beta)?;
        self.hessenberg.start(norm);
        if self.k > 0 {
            let verdict = p.verdict(norm * scale)?;
            if verdict != Verdict::Continue || norm <= floor {
                p.recurrence_norm = norm * scale;
                return Ok(CycleEnd::Verdict(verdict));
            }
        }
        kernels::scale(p.space.pool(), 1.0 / norm, &mut self.v);
        self.store_basis(self.k);
        while self.k + self.steps() < self.capacity && norm > floor {
            let exhausted = self.step(p)?;
            norm = self.hessenberg.residual_norm();
            match p.check(norm * scale)? {
                Verdict::Continue => {}
                verdict => return Ok(CycleEnd::Verdict(verdict)),
            }
            if exhausted {
                return Ok(CycleEnd::Exhausted);
            }
        }
        Ok(CycleEnd::Verdict(Verdict::Continue))
    }

    /// v <- (I - C C^H) r; returns its norm. Repeated at each cycle, so that rounding errors along C
    /// do not stay.
    fn project(&mut self, p: &mut Problem<T>, r: &[T], beta: f64) -> Result<f64> {
        self.v.copy_from_slice(r);
        let k = self.k;
        if k == 0 {
            return Ok(beta);
        }
        let c = Panel::packed(&self.w, self.n, k);
        let c0 = &mut self.c0[..k];
        p.space.local(c, &self.v, c0);
        p.space.sum(c0)?;
        for (coefficient, h) in self.narrow.iter_mut().zip(c0) {
            *coefficient = T::narrow(-*h);
        }
        kernels::add(p.space.pool(), c, &self.narrow[..k], &mut self.v);
        p.space.norm(&self.v)
    }

    /// Column `j` of [C V] <- v, rounded to the stored precision; v follows the rounding.
    fn store_basis(&mut self, j: usize) {
        let column = &mut self.w[j * self.n..][..self.n];
        kernels::convert(&self.v, column);
        if S::KIND != T::KIND {
            kernels::convert(column, &mut self.v);
        }
    }

    /// One Arnoldi step. True: the image lies in the span of the basis.
    fn step(&mut self, p: &mut Problem<T>) -> Result<bool> {
        let (n, j) = (self.n, self.steps());
        let columns = self.k + j + 1;
        if !self.keeps_search || S::KIND == T::KIND {
            p.forward(&self.v, &mut self.zv, &mut self.image)?;
            if self.keeps_search {
                kernels::convert(&self.zv, &mut self.z[(self.k + j) * n..][..n]);
            }
        } else {
            // The image must be that of the rounded search vector.
            p.search_direction(&self.v, &mut self.zv)?;
            let kept = &mut self.z[(self.k + j) * n..][..n];
            kernels::convert(&self.zv, kept);
            kernels::convert(kept, &mut self.zv);
            p.image(&self.zv, &mut self.image)?;
        }
        let (before, after) = self.orthogonalise(p, columns)?;
        let b = &mut self.b[j * self.capacity..][..self.k];
        b.copy_from_slice(&self.coefficients[..self.k]);
        let column = &self.coefficients[self.k..columns];
        let exhausted = after <= before * T::EPSILON.max(S::EPSILON) * 4.0;
        self.hessenberg.push(column, if exhausted { 0.0 } else { after });
        if !exhausted {
            kernels::scaled_copy(p.space.pool(), 1.0 / after, &self.image, &mut self.v);
            self.store_basis(self.k + j + 1);
        }
        Ok(exhausted)
    }

    /// image <- (I - W W^H) image, its coefficients in `coefficients`. Returns the norms before and
    /// after.
    fn orthogonalise(&mut self, p: &mut Problem<T>, columns: usize) -> Result<(f64, f64)> {
        let basis = Panel::packed(&self.w, self.n, columns);
        let (first, second) = self.coefficients.split_at_mut(columns + 1);
        p.space.local(basis, &self.image, first);
        p.space.local(Panel::column(&self.image), &self.image, &mut first[columns..]);
        let (before, taken) = settled(p, first)?;
        p.finite(before, "A x", &self.image)?;
        let mut square = before * before - taken;
        negated(&first[..columns], &mut self.narrow);
        let again = match self.passes {
            Passes::Selective => square < SELECTIVE * SELECTIVE * before * before,
            Passes::Twice => true,
            Passes::Once => false,
        };
        if !again {
            kernels::add(p.space.pool(), basis, &self.narrow[..columns], &mut self.image);
            return Ok((before, square.max(0.0).sqrt()));
        }
        p.counts.reorthogonalizations += 1;
        let second = &mut second[..columns + 1];
        p.space.add_then_local(basis, &self.narrow[..columns], &mut self.image, second);
        let (remaining, taken) = settled(p, second)?;
        negated(&second[..columns], &mut self.narrow);
        kernels::add(p.space.pool(), basis, &self.narrow[..columns], &mut self.image);
        square = remaining * remaining - taken;
        if square < 0.5 * remaining * remaining {
            // The remainder is rounding noise, or nearly: measure it.
            square = p.space.norm(&self.image)?.powi(2);
        }
        first.iter_mut().zip(second).take(columns).for_each(|(h, c)| *h += *c);
        Ok((before, square.max(0.0).sqrt()))
    }

    /// The coefficients of the present cycle: first those of U, `D^-1 (C^H r - B y)` with D from
    /// `lengths`, then y.
    pub fn solution(&mut self, lengths: &[f64]) -> &[T] {
        let (k, s) = (self.k, self.steps());
        let (y, rest) = self.coefficients.split_at_mut(s);
        self.hessenberg.solution(y);
        let u = &mut rest[..k];
        u.copy_from_slice(&self.c0[..k]);
        for (j, c) in y.iter().enumerate() {
            for (i, v) in u.iter_mut().enumerate() {
                *v -= self.b[j * self.capacity + i] * *c;
            }
        }
        for (i, v) in u.iter().enumerate() {
            self.narrow[i] = T::narrow(v.scale(1.0 / lengths[i]));
        }
        for (j, v) in y.iter().enumerate() {
            self.narrow[k + j] = T::narrow(*v);
        }
        &self.narrow[..k + s]
    }

    /// x <- x + [U Z] y for the coefficients of [`Arnoldi::solution`], or x + M (V y) where search
    /// vectors are not kept.
    pub fn update(&mut self, p: &mut Problem<T>, lengths: &[f64], x: &mut [T]) -> Result<()> {
        let count = self.solution(lengths).len();
        if count == 0 {
            return Ok(());
        }
        if self.keeps_search {
            let search = Panel::packed(&self.z, self.n, count);
            kernels::add(p.space.pool(), search, &self.narrow[..count], x);
            return Ok(());
        }
        let basis = Panel::packed(&self.w, self.n, count);
        self.v.fill(T::ZERO);
        kernels::add(p.space.pool(), basis, &self.narrow[..count], &mut self.v);
        p.search_direction(&self.v, &mut self.zv)?;
        kernels::axpy(p.space.pool(), T::ONE, &self.zv, x);
        Ok(())
    }
}

/// Sums a batch of products [W^H w, w^H w] over ranks: the norm of w, and the squared norm of the
/// coefficients.
fn settled<T: Scalar>(p: &Problem<T>, products: &mut [T::Wide]) -> Result<(f64, f64)> {
    p.space.sum(products)?;
    let (square, coefficients) = products.split_last().expect("at least the norm");
    let norm = if square.finite() { square.real_part().max(0.0).sqrt() } else { f64::NAN };
    Ok((norm, coefficients.iter().map(|c| c.norm_sqr()).sum()))
}

fn negated<T: Scalar>(coefficients: &[T::Wide], out: &mut [T]) {
    out.iter_mut().zip(coefficients).for_each(|(c, h)| *c = T::narrow(-*h));
}
