//! Products with a few neighbouring columns of a dense matrix in the precision in which it is
//! stored, for substitutions: most columns there are short, so that loops over what is left of
//! them behind the last whole vector would take half of the time. Vectors are read past the end
//! of a column, and what is there does not count.

use crate::runtime::{Kind, Scalar};

/// What may be read behind the end of an array, in numbers.
pub const SLACK: usize = 8;

/// n rounded up to whole vectors of any kind.
#[inline(always)]
pub fn padded(n: usize) -> usize {
    n.div_ceil(SLACK) * SLACK
}

/// to[i] -= sum_k l[k ld + i] v[k] for i < n. As many numbers as `padded(n)` must be there in `to`,
/// where those from n on stay as they are, and in each column.
#[inline(always)]
pub fn subtract<T: Scalar, const K: usize>(l: &[T], ld: usize, n: usize, v: [T; K], to: &mut [T]) {
    let whole = padded(n);
    assert!(l.len() >= (K - 1) * ld + whole && to.len() >= whole);
    #[cfg(target_arch = "x86_64")]
    if has_vectors() {
        // SAFETY: there are vectors, and what is read and written lies within what was just checked.
        unsafe { subtract_at(l.as_ptr(), ld, n, v, to.as_mut_ptr()) };
        return;
    }
    for i in 0..n {
        to[i] -= (1..K).fold(l[i] * v[0], |sum, k| sum + l[k * ld + i] * v[k]);
    }
}

/// As `subtract` within one array, from the columns that begin at `from` to the one at `to`, which
/// is none of them.
#[inline(always)]
pub fn subtract_within<T: Scalar, const K: usize>(a: &mut [T], from: usize, ld: usize, n: usize, v: [T; K], to: usize) {
    let whole = padded(n);
    assert!(a.len() >= from + (K - 1) * ld + whole && a.len() >= to + whole);
    #[cfg(target_arch = "x86_64")]
    if has_vectors() {
        let a = a.as_mut_ptr();
        // SAFETY: as in `subtract`; both pointers come from the one exclusive borrow.
        unsafe { subtract_at(a.add(from), ld, n, v, a.add(to)) };
        return;
    }
    for i in 0..n {
        let sum = (1..K).fold(a[from + i] * v[0], |sum, k| sum + a[from + k * ld + i] * v[k]);
        a[to + i] -= sum;
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn has_vectors() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
}

/// # Safety
/// There are vectors (the kinds name the types that are cast to, and complex numbers are pairs of
/// reals); `padded(n)` numbers may be read at each of the columns and at `to`, and written there.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn subtract_at<T: Scalar, const K: usize>(l: *const T, ld: usize, n: usize, v: [T; K], to: *mut T) {
    let v = v.as_ptr();
    match T::KIND {
        Kind::F64 => x86::subtract::<f64, K, false>(l.cast(), ld, n, v.cast(), to.cast()),
        Kind::F32 => x86::subtract::<f32, K, false>(l.cast(), ld, n, v.cast(), to.cast()),
        Kind::C64 => x86::subtract::<f64, K, true>(l.cast(), 2 * ld, 2 * n, v.cast(), to.cast()),
        Kind::C32 => x86::subtract::<f32, K, true>(l.cast(), 2 * ld, 2 * n, v.cast(), to.cast()),
    }
}

/// sum_i l[k ld + i] x[i] over i < n for each k, with the conjugates of l if `CONJ`. As many numbers as
/// `padded(n)` must be there in `x`, zero from n on, and in each column, finite.
#[inline(always)]
pub fn dots<T: Scalar, const K: usize, const CONJ: bool>(l: &[T], ld: usize, n: usize, x: &[T]) -> [T; K] {
    let whole = padded(n);
    assert!(l.len() >= (K - 1) * ld + whole && x.len() >= whole);
    #[cfg(target_arch = "x86_64")]
    if has_vectors() {
        let mut sums = [T::ZERO; K];
        let (l, x, to): (*const T, *const T, *mut T) = (l.as_ptr(), x.as_ptr(), sums.as_mut_ptr());
        // SAFETY: as in `subtract_at`; what is read lies within what was just checked.
        unsafe {
            match T::KIND {
                Kind::F64 => x86::dots::<f64, K>(l.cast(), ld, n, x.cast(), to.cast()),
                Kind::F32 => x86::dots::<f32, K>(l.cast(), ld, n, x.cast(), to.cast()),
                Kind::C64 => x86::pair_dots::<f64, K, CONJ>(l.cast(), 2 * ld, 2 * n, x.cast(), to.cast()),
                Kind::C32 => x86::pair_dots::<f32, K, CONJ>(l.cast(), 2 * ld, 2 * n, x.cast(), to.cast()),
            }
        }
        return sums;
    }
    std::array::from_fn(|k| {
        let column = &l[k * ld..][..n];
        column.iter().zip(x).fold(T::ZERO, |sum, (l, x)| sum + if CONJ { l.conj() } else { *l } * *x)
    })
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use std::arch::x86_64::*;

    /// The operations on a vector of reals.
    ///
    /// # Safety
    /// The machine has AVX2 and FMA; pointers are good for a whole vector.
    pub trait Real: Copy {
        type Vector: Copy;
        const LANES: usize;
        unsafe fn load(p: *const Self) -> Self::Vector;
        unsafe fn store(p: *mut Self, v: Self::Vector);
        unsafe fn zero() -> Self::Vector;
        unsafe fn splat(v: Self) -> Self::Vector;
        /// -v in even lanes, v in odd ones.
        unsafe fn alternate(v: Self) -> Self::Vector;
        unsafe fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
        /// c - a b.
        unsafe fn subtract_product(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
        /// Neighbouring lanes interchanged.
        unsafe fn swap(v: Self::Vector) -> Self::Vector;
        unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
        /// Two reals, repeated.
        unsafe fn splat_pair(p: *const Self) -> Self::Vector;
        /// The even lanes, each in its neighbour's place too; the odd ones.
        unsafe fn even(v: Self::Vector) -> Self::Vector;
        unsafe fn odd(v: Self::Vector) -> Self::Vector;
        unsafe fn negate_even(v: Self::Vector) -> Self::Vector;
        /// The first lanes from `new`, the others from `old`.
        unsafe fn first(lanes: usize, new: Self::Vector, old: Self::Vector) -> Self::Vector;
        /// The sum of the even lanes and, times `sign`, of the odd lanes.
        unsafe fn sum(v: Self::Vector, sign: f32) -> Self;
    }

    impl Real for f64 {
        type Vector = __m256d;
        const LANES: usize = 4;
        #[inline(always)]
        unsafe fn load(p: *const f64) -> __m256d {
            _mm256_loadu_pd(p)
        }
        #[inline(always)]
        unsafe fn store(p: *mut f64, v: __m256d) {
            _mm256_storeu_pd(p, v)
        }
        #[inline(always)]
        unsafe fn zero() -> __m256d {
            _mm256_setzero_pd()
        }
        #[inline(always)]
        unsafe fn splat(v: f64) -> __m256d {
            _mm256_set1_pd(v)
        }
        #[inline(always)]
        unsafe fn alternate(v: f64) -> __m256d {
            _mm256_setr_pd(-v, v, -v, v)
        }
        #[inline(always)]
        unsafe fn multiply_add(a: __m256d, b: __m256d, c: __m256d) -> __m256d {
            _mm256_fmadd_pd(a, b, c)
        }
        #[inline(always)]
        unsafe fn subtract_product(a: __m256d, b: __m256d, c: __m256d) -> __m256d {
            _mm256_fnmadd_pd(a, b, c)
        }
        #[inline(always)]
        unsafe fn swap(v: __m256d) -> __m256d {
            _mm256_permute_pd::<0b0101>(v)
        }
        #[inline(always)]
        unsafe fn add(a: __m256d, b: __m256d) -> __m256d {
            _mm256_add_pd(a, b)
        }
        #[inline(always)]
        unsafe fn splat_pair(p: *const f64) -> __m256d {
            let pair = _mm_loadu_pd(p);
            _mm256_set_m128d(pair, pair)
        }
        #[inline(always)]
        unsafe fn even(v: __m256d) -> __m256d {
            _mm256_movedup_pd(v)
        }
        #[inline(always)]
        unsafe fn odd(v: __m256d) -> __m256d {
            _mm256_permute_pd::<0b1111>(v)
        }
        #[inline(always)]
        unsafe fn negate_even(v: __m256d) -> __m256d {
            _mm256_xor_pd(v, _mm256_setr_pd(-0.0, 0.0, -0.0, 0.0))
        }
        #[inline(always)]
        unsafe fn first(lanes: usize, new: __m256d, old: __m256d) -> __m256d {
            static MASK: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];
            let mask = _mm256_loadu_pd(MASK.as_ptr().add(4 - lanes).cast());
            _mm256_blendv_pd(old, new, mask)
        }
        #[inline(always)]
        unsafe fn sum(v: __m256d, sign: f32) -> f64 {
            let half = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd::<1>(v));
            _mm_cvtsd_f64(half) + sign as f64 * _mm_cvtsd_f64(_mm_unpackhi_pd(half, half))
        }
    }

    impl Real for f32 {
        type Vector = __m256;
        const LANES: usize = 8;
        #[inline(always)]
        unsafe fn load(p: *const f32) -> __m256 {
            _mm256_loadu_ps(p)
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: __m256) {
            _mm256_storeu_ps(p, v)
        }
        #[inline(always)]
        unsafe fn zero() -> __m256 {
            _mm256_setzero_ps()
        }
        #[inline(always)]
        unsafe fn splat(v: f32) -> __m256 {
            _mm256_set1_ps(v)
        }
        #[inline(always)]
        unsafe fn alternate(v: f32) -> __m256 {
            _mm256_setr_ps(-v, v, -v, v, -v, v, -v, v)
        }
        #[inline(always)]
        unsafe fn multiply_add(a: __m256, b: __m256, c: __m256) -> __m256 {
            _mm256_fmadd_ps(a, b, c)
        }
        #[inline(always)]
        unsafe fn subtract_product(a: __m256, b: __m256, c: __m256) -> __m256 {
            _mm256_fnmadd_ps(a, b, c)
        }
        #[inline(always)]
        unsafe fn swap(v: __m256) -> __m256 {
            _mm256_permute_ps::<0b10_11_00_01>(v)
        }
        #[inline(always)]
        unsafe fn add(a: __m256, b: __m256) -> __m256 {
            _mm256_add_ps(a, b)
        }
        #[inline(always)]
        unsafe fn splat_pair(p: *const f32) -> __m256 {
            // Read as bits: a pair of single numbers need not be aligned as a double one.
            _mm256_castpd_ps(_mm256_set1_pd(p.cast::<f64>().read_unaligned()))
        }
        #[inline(always)]
        unsafe fn even(v: __m256) -> __m256 {
            _mm256_moveldup_ps(v)
        }
        #[inline(always)]
        unsafe fn odd(v: __m256) -> __m256 {
            _mm256_movehdup_ps(v)
        }
        #[inline(always)]
        unsafe fn negate_even(v: __m256) -> __m256 {
            _mm256_xor_ps(v, _mm256_setr_ps(-0.0, 0.0, -0.0, 0.0, -0.0, 0.0, -0.0, 0.0))
        }
        #[inline(always)]
        unsafe fn first(lanes: usize, new: __m256, old: __m256) -> __m256 {
            static MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
            let mask = _mm256_loadu_ps(MASK.as_ptr().add(8 - lanes).cast());
            _mm256_blendv_ps(old, new, mask)
        }
        #[inline(always)]
        unsafe fn sum(v: __m256, sign: f32) -> f32 {
            let half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
            _mm_cvtss_f32(pair) + sign * _mm_cvtss_f32(_mm_shuffle_ps::<1>(pair, pair))
        }
    }

    // Not inlined: together with others in one function they would run out of registers.

    /// # Safety
    /// The machine has AVX2 and FMA; `v` is good for K reals or pairs, `to` and each column for n reals
    /// rounded up to whole vectors.
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn subtract<R: Real, const K: usize, const PAIRS: bool>(l: *const R, ld: usize, n: usize, v: *const R, to: *mut R) {
        let mut straight = [R::zero(); K];
        let mut crossed = [R::zero(); K];
        for k in 0..K {
            straight[k] = R::splat(*v.add(if PAIRS { 2 * k } else { k }));
            if PAIRS {
                crossed[k] = R::alternate(*v.add(2 * k + 1));
            }
        }
        let mut i = 0;
        while i < n {
            let old = R::load(to.add(i));
            let mut sum = old;
            for k in 0..K {
                let l = R::load(l.add(k * ld + i));
                sum = R::subtract_product(l, straight[k], sum);
                if PAIRS {
                    sum = R::subtract_product(R::swap(l), crossed[k], sum);
                }
            }
            if i + R::LANES > n {
                sum = R::first(n - i, sum, old);
            }
            R::store(to.add(i), sum);
            i += R::LANES;
        }
    }

    /// # Safety
    /// As `subtract`; `to` is good for K reals.
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn dots<R: Real, const K: usize>(l: *const R, ld: usize, n: usize, x: *const R, to: *mut R) {
        let mut sums = [R::zero(); K];
        let mut i = 0;
        while i < n {
            let x = R::load(x.add(i));
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum = R::multiply_add(R::load(l.add(k * ld + i)), x, *sum);
            }
            i += R::LANES;
        }
        for (k, sum) in sums.iter().enumerate() {
            *to.add(k) = R::sum(*sum, 1.0);
        }
    }

    /// # Safety
    /// As `subtract`; `to` is good for K pairs.
    #[inline(never)]
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn pair_dots<R: Real, const K: usize, const CONJ: bool>(l: *const R, ld: usize, n: usize, x: *const R, to: *mut R) {
        let sign = if CONJ { 1.0 } else { -1.0 };
        // Four columns at once have their sums in registers.
        let mut k = 0;
        while k < K {
            let count = if K - k < 4 { K - k } else { 4 };
            let mut straight = [R::zero(); 4];
            let mut crossed = [R::zero(); 4];
            let mut i = 0;
            while i < n {
                let x = R::load(x.add(i));
                let swapped = R::swap(x);
                for c in 0..4 {
                    if c < count {
                        let l = R::load(l.add((k + c) * ld + i));
                        straight[c] = R::multiply_add(l, x, straight[c]);
                        crossed[c] = R::multiply_add(l, swapped, crossed[c]);
                    }
                }
                i += R::LANES;
            }
            for c in 0..count {
                *to.add(2 * (k + c)) = R::sum(straight[c], sign);
                *to.add(2 * (k + c) + 1) = R::sum(crossed[c], -sign);
            }
            k += 4;
        }
    }
}
