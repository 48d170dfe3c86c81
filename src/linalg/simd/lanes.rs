//! `columns` for four vectors at a time, which lie side by side: an entry of the matrix is loaded once for all of
//! them, and no row is read past the end of a column. Each vector gets the bits that it gets there alone: partial
//! sums are those of a whole register of `columns`, and are added up in the same order.

#[cfg(target_arch = "x86_64")]
use super::columns::has_vectors;
use crate::linalg::lanes::{Row, LANES};
use crate::runtime::{Kind, Scalar};

/// to[i] -= sum_k l[k ld + i] v[k] for i < n.
#[inline(always)]
pub fn subtract<T: Scalar, const K: usize>(l: &[T], ld: usize, n: usize, v: [[T; LANES]; K], to: &mut [[T; LANES]]) {
    assert!(l.len() >= (K - 1) * ld + n && to.len() >= n);
    #[cfg(target_arch = "x86_64")]
    if has_vectors() {
        let (l, v, to): (*const T, *const [T; LANES], *mut [T; LANES]) = (l.as_ptr(), v.as_ptr(), to.as_mut_ptr());
        // SAFETY: there are vectors, and what is read and written lies within what was just checked; the kinds
        // name the types that are cast to, and complex numbers are pairs of reals.
        unsafe {
            match T::KIND {
                Kind::F64 => x86::subtract::<f64, K>(l.cast(), ld, n, v.cast(), to.cast()),
                Kind::F32 => x86::subtract::<f32, K>(l.cast(), ld, n, v.cast(), to.cast()),
                Kind::C64 => x86::pair_subtract::<f64, K, 2>(l.cast(), ld, n, v.cast(), to.cast()),
                Kind::C32 => x86::pair_subtract::<f32, K, 1>(l.cast(), ld, n, v.cast(), to.cast()),
            }
        }
        return;
    }
    for i in 0..n {
        to[i] = to[i].minus((1..K).fold(v[0].times(l[i]), |sum, k| sum.plus(v[k].times(l[k * ld + i]))));
    }
}

/// sum_i l[k ld + i] x[i] over i < n for each k, with the conjugates of l if `CONJ`.
#[inline(always)]
pub fn dots<T: Scalar, const K: usize, const CONJ: bool>(l: &[T], ld: usize, n: usize, x: &[[T; LANES]]) -> [[T; LANES]; K] {
    assert!(l.len() >= (K - 1) * ld + n && x.len() >= n);
    #[cfg(target_arch = "x86_64")]
    if has_vectors() {
        let mut sums = [[T::ZERO; LANES]; K];
        let (l, x, to): (*const T, *const [T; LANES], *mut [T; LANES]) = (l.as_ptr(), x.as_ptr(), sums.as_mut_ptr());
        // SAFETY: as in `subtract`.
        unsafe {
            match T::KIND {
                Kind::F64 => x86::dots::<f64, K, 4>(l.cast(), ld, n, x.cast(), to.cast()),
                Kind::F32 => x86::dots::<f32, K, 8>(l.cast(), ld, n, x.cast(), to.cast()),
                Kind::C64 => x86::pair_dots::<f64, K, CONJ, 2, 2>(l.cast(), ld, n, x.cast(), to.cast()),
                Kind::C32 => x86::pair_dots::<f32, K, CONJ, 1, 4>(l.cast(), ld, n, x.cast(), to.cast()),
            }
        }
        return sums;
    }
    std::array::from_fn(|k| {
        let column = &l[k * ld..][..n];
        column.iter().zip(x).fold(Row::<T>::ZERO, |sum: [T; LANES], (l, x)| sum.plus(x.times(if CONJ { l.conj() } else { *l })))
    })
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::columns::x86::Real;
    use super::LANES;
    use std::arch::x86_64::*;

    /// Four reals side by side.
    ///
    /// # Safety
    /// The machine has AVX2 and FMA; pointers are good for four reals, that of `splat` for one.
    pub trait Quad: Copy {
        type Vector: Copy;
        unsafe fn load(p: *const Self) -> Self::Vector;
        unsafe fn store(p: *mut Self, v: Self::Vector);
        unsafe fn zero() -> Self::Vector;
        unsafe fn splat(p: *const Self) -> Self::Vector;
        unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
        unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
        /// c - a b.
        unsafe fn subtract_product(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    }

    macro_rules! quad {
        ($real:ty, $vector:ty, $load:ident $store:ident $zero:ident $splat:ident $add:ident $fmadd:ident $fnmadd:ident) => {
            impl Quad for $real {
                type Vector = $vector;
                #[inline(always)]
                unsafe fn load(p: *const $real) -> $vector {
                    $load(p)
                }
                #[inline(always)]
                unsafe fn store(p: *mut $real, v: $vector) {
                    $store(p, v)
                }
                #[inline(always)]
                unsafe fn zero() -> $vector {
                    $zero()
                }
                #[inline(always)]
                unsafe fn splat(p: *const $real) -> $vector {
                    $splat(*p)
                }
                #[inline(always)]
                unsafe fn add(a: $vector, b: $vector) -> $vector {
                    $add(a, b)
                }
                #[inline(always)]
                unsafe fn multiply_add(a: $vector, b: $vector, c: $vector) -> $vector {
                    $fmadd(a, b, c)
                }
                #[inline(always)]
                unsafe fn subtract_product(a: $vector, b: $vector, c: $vector) -> $vector {
                    $fnmadd(a, b, c)
                }
            }
        };
    }

    quad!(f64, __m256d, _mm256_loadu_pd _mm256_storeu_pd _mm256_setzero_pd _mm256_set1_pd _mm256_add_pd _mm256_fmadd_pd _mm256_fnmadd_pd);
    quad!(f32, __m128, _mm_loadu_ps _mm_storeu_ps _mm_setzero_ps _mm_set1_ps _mm_add_ps _mm_fmadd_ps _mm_fnmadd_ps);

    // Not inlined, as those of `columns`.

    /// # Safety
    /// The machine has AVX2 and FMA; `v` is good for K rows, `to` for n rows, and each column for n reals.
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn subtract<R: Quad, const K: usize>(l: *const R, ld: usize, n: usize, v: *const R, to: *mut R) {
        let mut factor = [R::zero(); K];
        for k in 0..K {
            factor[k] = R::load(v.add(LANES * k));
        }
        for i in 0..n {
            let to = to.add(LANES * i);
            let mut sum = R::load(to);
            for k in 0..K {
                sum = R::subtract_product(R::splat(l.add(k * ld + i)), factor[k], sum);
            }
            R::store(to, sum);
        }
    }

    /// W: the reals of a register of `columns`.
    ///
    /// # Safety
    /// As `subtract`; `to` is good for K rows.
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn dots<R: Quad, const K: usize, const W: usize>(l: *const R, ld: usize, n: usize, x: *const R, to: *mut R) {
        let mut k = 0;
        // The sums of more columns at once do not stay in registers.
        while W == 4 && k + 2 <= K {
            dots_of::<R, 2, W>(l.add(k * ld), ld, n, x, to.add(LANES * k));
            k += 2;
        }
        while k < K {
            dots_of::<R, 1, W>(l.add(k * ld), ld, n, x, to.add(LANES * k));
            k += 1;
        }
    }

    /// Asks for what comes next: columns are too short for the machine to see that they follow each other.
    /// A hint, so that the address may be any.
    ///
    /// # Safety
    /// None is needed beyond that of the instruction, which every x86-64 has.
    #[inline(always)]
    unsafe fn ahead<R>(p: *const R) {
        _mm_prefetch::<_MM_HINT_T0>(p.cast())
    }

    /// # Safety
    /// As `dots`.
    #[inline(always)]
    unsafe fn dots_of<R: Quad, const C: usize, const W: usize>(l: *const R, ld: usize, n: usize, x: *const R, to: *mut R) {
        let mut sums = [[R::zero(); W]; C];
        let whole = n - n % W;
        let mut i = 0;
        while i < whole {
            for c in C..2 * C {
                ahead(l.wrapping_add(c * ld + i));
            }
            for w in 0..W {
                dots_row(l.add(i + w), ld, x.add(LANES * (i + w)), &mut sums, w);
            }
            i += W;
        }
        for w in 0..W {
            if whole + w < n {
                dots_row(l.add(whole + w), ld, x.add(LANES * (whole + w)), &mut sums, w);
            }
        }
        for c in 0..C {
            let mut half = W / 2;
            while half > 0 {
                for w in 0..half {
                    sums[c][w] = R::add(sums[c][w], sums[c][w + half]);
                }
                half /= 2;
            }
            R::store(to.add(LANES * c), sums[c][0]);
        }
    }

    /// # Safety
    /// As `dots`, for one row.
    #[inline(always)]
    unsafe fn dots_row<R: Quad, const C: usize, const W: usize>(l: *const R, ld: usize, x: *const R, sums: &mut [[R::Vector; W]; C], w: usize) {
        let x = R::load(x);
        for c in 0..C {
            sums[c][w] = R::multiply_add(R::splat(l.add(c * ld)), x, sums[c][w]);
        }
    }

    /// A row of four complex numbers is V registers long.
    ///
    /// # Safety
    /// As `subtract`, with pairs of reals for reals.
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn pair_subtract<R: Real, const K: usize, const V: usize>(l: *const R, ld: usize, n: usize, v: *const R, to: *mut R) {
        let mut straight = [[R::zero(); V]; K];
        let mut crossed = [[R::zero(); V]; K];
        for k in 0..K {
            for r in 0..V {
                let v = R::load(v.add(2 * LANES * k + R::LANES * r));
                straight[k][r] = R::even(v);
                crossed[k][r] = R::negate_even(R::odd(v));
            }
        }
        for i in 0..n {
            let to = to.add(2 * LANES * i);
            let mut sums = [R::zero(); V];
            for r in 0..V {
                sums[r] = R::load(to.add(R::LANES * r));
            }
            for k in 0..K {
                let l = R::splat_pair(l.add(2 * (k * ld + i)));
                let swapped = R::swap(l);
                for r in 0..V {
                    sums[r] = R::subtract_product(l, straight[k][r], sums[r]);
                    sums[r] = R::subtract_product(swapped, crossed[k][r], sums[r]);
                }
            }
            for r in 0..V {
                R::store(to.add(R::LANES * r), sums[r]);
            }
        }
    }

    /// W: the pairs of a register of `columns`.
    ///
    /// # Safety
    /// As `dots`, with pairs of reals for reals.
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn pair_dots<R: Real, const K: usize, const CONJ: bool, const V: usize, const W: usize>(l: *const R, ld: usize, n: usize, x: *const R, to: *mut R) {
        for k in 0..K {
            let l = l.add(2 * k * ld);
            // With the real part of l, and with the imaginary one.
            let mut sums = [[[R::zero(); V]; 2]; W];
            let whole = n - n % W;
            let mut i = 0;
            while i < whole {
                ahead(l.wrapping_add(2 * (ld + i)));
                for w in 0..W {
                    pair_dots_row(l.add(2 * (i + w)), x.add(2 * LANES * (i + w)), &mut sums[w]);
                }
                i += W;
            }
            for w in 0..W {
                if whole + w < n {
                    pair_dots_row(l.add(2 * (whole + w)), x.add(2 * LANES * (whole + w)), &mut sums[w]);
                }
            }
            for r in 0..V {
                let mut half = W / 2;
                while half > 0 {
                    for w in 0..half {
                        for part in 0..2 {
                            sums[w][part][r] = R::add(sums[w][part][r], sums[w + half][part][r]);
                        }
                    }
                    half /= 2;
                }
                let [real, imaginary] = [sums[0][0][r], sums[0][1][r]];
                // Times i, or -i.
                let turned = if CONJ { R::swap(R::negate_even(imaginary)) } else { R::negate_even(R::swap(imaginary)) };
                R::store(to.add(2 * LANES * k + R::LANES * r), R::add(real, turned));
            }
        }
    }

    /// # Safety
    /// As `pair_dots`, for one row.
    #[inline(always)]
    unsafe fn pair_dots_row<R: Real, const V: usize>(l: *const R, x: *const R, sums: &mut [[R::Vector; V]; 2]) {
        let l = [R::splat(*l), R::splat(*l.add(1))];
        for r in 0..V {
            let x = R::load(x.add(R::LANES * r));
            for part in 0..2 {
                sums[part][r] = R::multiply_add(l[part], x, sums[part][r]);
            }
        }
    }
}
