//! The four scalars and the double-precision scalar in which each of them is reduced.

use faer::diag::DiagMut;
use faer::dyn_stack::{MemStack, StackReq};
use faer::{MatMut, MatRef, Par, Spec};
use num_complex::Complex;
use std::fmt::{Debug, Display};
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// The largest order of a small dense eigenproblem (a cycle of a Krylov method).
pub const MAX_EIGEN: usize = 1024;

/// The tag of a scalar; the numbers are those of the C header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    F32 = 0,
    F64 = 1,
    C32 = 2,
    C64 = 3,
}

impl Kind {
    pub fn name(self) -> &'static str {
        ["f32", "f64", "c32", "c64"][self as usize]
    }

    pub fn size(self) -> usize {
        [4, 8, 8, 16][self as usize]
    }
}

/// An entry of a vector or matrix. Sums over vectors are taken in [`Scalar::Wide`], so that f32
/// and c32 problems are reduced in double precision.
pub trait Scalar:
    Copy + Debug + Display + Default + PartialEq + Send + Sync + 'static
    + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
    + AddAssign + SubAssign + MulAssign
    + faer::traits::ComplexField
{
    const KIND: Kind;
    const IS_COMPLEX: bool;
    const ZERO: Self;
    const ONE: Self;
    /// Unit roundoff of the kind, as a double.
    const EPSILON: f64;
    type Wide: Wide;
    /// The single-precision scalar of the same field, for storage.
    type Single: Scalar<Wide = Self::Wide>;

    fn conj(self) -> Self;
    fn wide(self) -> Self::Wide;
    fn narrow(w: Self::Wide) -> Self;
    fn from_f64(v: f64) -> Self;
    fn from_parts(re: f64, im: f64) -> Self;
    fn scale(self, by: f64) -> Self;
    fn modulus(self) -> f64;
    fn real_part(self) -> f64;
    fn imag_part(self) -> f64;
    fn finite(self) -> bool;
}

/// f64 or c64: what small dense problems and reductions are computed in.
pub trait Wide: Scalar<Wide = Self> {
    /// The square of the modulus.
    fn norm_sqr(self) -> f64;
    /// Appends the one or two doubles that a reduction sums.
    fn unpack(values: &[Self], out: &mut [f64]);
    fn pack(raw: &[f64], values: &mut [Self]);
    /// Doubles per value: 1 or 2.
    const DOUBLES: usize;

    /// Workspace of [`Wide::eigen`] for order `n`.
    fn eigen_scratch(n: usize) -> StackReq {
        let yes = faer::linalg::evd::ComputeEigenvectors::Yes;
        let no = faer::linalg::evd::ComputeEigenvectors::No;
        faer::linalg::evd::evd_scratch::<Self>(n, no, yes, Par::Seq, Spec::default())
    }

    /// Eigenvalues `re + i im` and right eigenvectors of `a`; a real pair of conjugates has the
    /// real and imaginary parts of its vector in two neighbouring columns. False: no convergence.
    fn eigen(a: MatRef<Self>, re: &mut [f64], im: &mut [f64], vectors: MatMut<Self>, stack: &mut MemStack) -> bool;
}

macro_rules! real {
    ($t:ty, $kind:expr) => {
        impl Scalar for $t {
            const KIND: Kind = $kind;
            const IS_COMPLEX: bool = false;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const EPSILON: f64 = <$t>::EPSILON as f64 / 2.0;
            type Wide = f64;
            type Single = f32;
            #[inline(always)]
            fn conj(self) -> Self { self }
            #[inline(always)]
            fn wide(self) -> f64 { self as f64 }
            #[inline(always)]
            fn narrow(w: f64) -> Self { w as $t }
            #[inline(always)]
            fn from_f64(v: f64) -> Self { v as $t }
            #[inline(always)]
            fn from_parts(re: f64, _im: f64) -> Self { re as $t }
            #[inline(always)]
            fn scale(self, by: f64) -> Self { self * by as $t }
            #[inline(always)]
            fn modulus(self) -> f64 { self.abs() as f64 }
            #[inline(always)]
            fn real_part(self) -> f64 { self as f64 }
            #[inline(always)]
            fn imag_part(self) -> f64 { 0.0 }
            #[inline(always)]
            fn finite(self) -> bool { self.is_finite() }
        }
    };
}

macro_rules! complex {
    ($r:ty, $kind:expr) => {
        impl Scalar for Complex<$r> {
            const KIND: Kind = $kind;
            const IS_COMPLEX: bool = true;
            const ZERO: Self = Complex { re: 0.0, im: 0.0 };
            const ONE: Self = Complex { re: 1.0, im: 0.0 };
            const EPSILON: f64 = <$r>::EPSILON as f64 / 2.0;
            type Wide = Complex<f64>;
            type Single = Complex<f32>;
            #[inline(always)]
            fn conj(self) -> Self { Complex { re: self.re, im: -self.im } }
            #[inline(always)]
            fn wide(self) -> Complex<f64> { Complex { re: self.re as f64, im: self.im as f64 } }
            #[inline(always)]
            fn narrow(w: Complex<f64>) -> Self { Complex { re: w.re as $r, im: w.im as $r } }
            #[inline(always)]
            fn from_f64(v: f64) -> Self { Complex { re: v as $r, im: 0.0 } }
            #[inline(always)]
            fn from_parts(re: f64, im: f64) -> Self { Complex { re: re as $r, im: im as $r } }
            #[inline(always)]
            fn scale(self, by: f64) -> Self { Complex { re: self.re * by as $r, im: self.im * by as $r } }
            #[inline(always)]
            fn modulus(self) -> f64 { self.norm() as f64 }
            #[inline(always)]
            fn real_part(self) -> f64 { self.re as f64 }
            #[inline(always)]
            fn imag_part(self) -> f64 { self.im as f64 }
            #[inline(always)]
            fn finite(self) -> bool { self.re.is_finite() && self.im.is_finite() }
        }
    };
}

real!(f32, Kind::F32);
real!(f64, Kind::F64);
complex!(f32, Kind::C32);
complex!(f64, Kind::C64);

impl Wide for f64 {
    const DOUBLES: usize = 1;
    fn eigen(a: MatRef<f64>, re: &mut [f64], im: &mut [f64], vectors: MatMut<f64>, stack: &mut MemStack) -> bool {
        let (re, im) = (DiagMut::from_slice_mut(re), DiagMut::from_slice_mut(im));
        faer::linalg::evd::evd_real(a, re, im, None, Some(vectors), Par::Seq, stack, Spec::default()).is_ok()
    }
    #[inline(always)]
    fn norm_sqr(self) -> f64 {
        self * self
    }
    fn unpack(values: &[Self], out: &mut [f64]) {
        out[..values.len()].copy_from_slice(values);
    }
    fn pack(raw: &[f64], values: &mut [Self]) {
        values.copy_from_slice(&raw[..values.len()]);
    }
}

impl Wide for Complex<f64> {
    const DOUBLES: usize = 2;
    fn eigen(a: MatRef<Self>, re: &mut [f64], im: &mut [f64], vectors: MatMut<Self>, stack: &mut MemStack) -> bool {
        // faer writes one complex diagonal; a local array keeps the solve free of allocation.
        let n = a.nrows();
        let mut values = [Complex { re: 0.0, im: 0.0 }; MAX_EIGEN];
        let diagonal = DiagMut::from_slice_mut(&mut values[..n]);
        let done = faer::linalg::evd::evd_cplx(a, diagonal, None, Some(vectors), Par::Seq, stack, Spec::default()).is_ok();
        for (j, v) in values[..n].iter().enumerate() {
            (re[j], im[j]) = (v.re, v.im);
        }
        done
    }
    #[inline(always)]
    fn norm_sqr(self) -> f64 {
        self.re * self.re + self.im * self.im
    }
    fn unpack(values: &[Self], out: &mut [f64]) {
        for (pair, v) in out.chunks_exact_mut(2).zip(values) {
            pair[0] = v.re;
            pair[1] = v.im;
        }
    }
    fn pack(raw: &[f64], values: &mut [Self]) {
        for (pair, v) in raw.chunks_exact(2).zip(values) {
            *v = Complex { re: pair[0], im: pair[1] };
        }
    }
}
