//! Inner products of several columns with one or two vectors, in double precision whatever the
//! columns are stored in. Written with intrinsics because the compiler's own vectors of the same
//! loop are unsteady: seen beside different code it shuffles lanes or gives up, at a third of the
//! speed of memory.

use crate::runtime::{Kind, Scalar, Wide};

/// out[v][c] = x_c^H y_v, or `None` where this machine has no such instructions. All slices are of
/// one length.
#[inline(always)]
pub fn dots<S: Scalar<Wide = T::Wide>, T: Scalar, const K: usize, const V: usize>(x: [&[S]; K], y: [&[T]; V]) -> Option<[[T::Wide; K]; V]> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        let n = y[0].len();
        assert!(x.iter().all(|x| x.len() == n) && y.iter().all(|y| y.len() == n));
        let doubles = n * T::Wide::DOUBLES;
        // SAFETY: the instructions are there, the kinds name the types that are cast to, complex
        // numbers are pairs of reals, and all arrays are as long as was just checked.
        let (re, im) = unsafe {
            match (S::KIND, T::KIND) {
                (Kind::F64, Kind::F64) | (Kind::C64, Kind::C64) => run::<f64, f64, K, V>(T::IS_COMPLEX, cast(x), cast(y), doubles),
                (Kind::F32, Kind::F64) | (Kind::C32, Kind::C64) => run::<f32, f64, K, V>(T::IS_COMPLEX, cast(x), cast(y), doubles),
                (Kind::F64, Kind::F32) | (Kind::C64, Kind::C32) => run::<f64, f32, K, V>(T::IS_COMPLEX, cast(x), cast(y), doubles),
                _ => run::<f32, f32, K, V>(T::IS_COMPLEX, cast(x), cast(y), doubles),
            }
        };
        return Some(std::array::from_fn(|v| {
            std::array::from_fn(|c| {
                let mut product = [T::Wide::ZERO];
                T::Wide::pack(&[re[v][c], im[v][c]][..T::Wide::DOUBLES], &mut product);
                product[0]
            })
        }));
    }
    let _ = (x, y);
    None
}

#[cfg(target_arch = "x86_64")]
fn cast<T, P, const K: usize>(x: [&[T]; K]) -> [*const P; K] {
    x.map(|x| x.as_ptr().cast())
}

#[cfg(target_arch = "x86_64")]
use x86::run;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// Four numbers as doubles.
    pub trait Load: Copy {
        /// # Safety
        /// Four numbers can be read at `p`, and the machine has AVX.
        unsafe fn four(p: *const Self) -> __m256d;
        fn one(self) -> f64;
    }

    impl Load for f64 {
        #[inline(always)]
        unsafe fn four(p: *const f64) -> __m256d {
            _mm256_loadu_pd(p)
        }
        #[inline(always)]
        fn one(self) -> f64 {
            self
        }
    }

    impl Load for f32 {
        #[inline(always)]
        unsafe fn four(p: *const f32) -> __m256d {
            _mm256_cvtps_pd(_mm_loadu_ps(p))
        }
        #[inline(always)]
        fn one(self) -> f64 {
            self as f64
        }
    }

    type Sums<const K: usize, const V: usize> = [[f64; K]; V];

    /// Real and imaginary parts of x_c^H y_v over `n` reals (pairs of them if complex).
    ///
    /// # Safety
    /// The machine has AVX2 and FMA; each pointer is good for `n` reads; `n` is even if complex.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn run<S: Load, T: Load, const K: usize, const V: usize>(
        is_complex: bool,
        x: [*const S; K],
        y: [*const T; V],
        n: usize,
    ) -> (Sums<K, V>, Sums<K, V>) {
        let straight = sums::<S, T, K, V>(x, y, n);
        if !is_complex {
            return (straight, [[0.0; K]; V]);
        }
        (straight, crossed_sums::<S, T, K, V>(x, y, n))
    }

    /// Sums of x_i y_i.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn sums<S: Load, T: Load, const K: usize, const V: usize>(x: [*const S; K], y: [*const T; V], n: usize) -> Sums<K, V> {
        // Two chains for each sum hide the latency of an addition.
        let mut acc = [[[_mm256_setzero_pd(); 2]; K]; V];
        let mut i = 0;
        while i + 8 <= n {
            for h in 0..2 {
                let at = i + 4 * h;
                let y: [__m256d; V] = std::array::from_fn(|v| T::four(y[v].add(at)));
                for c in 0..K {
                    let x = S::four(x[c].add(at));
                    for v in 0..V {
                        acc[v][c][h] = _mm256_fmadd_pd(x, y[v], acc[v][c][h]);
                    }
                }
            }
            i += 8;
        }
        std::array::from_fn(|v| {
            std::array::from_fn(|c| {
                let mut lanes = [0.0; 4];
                _mm256_storeu_pd(lanes.as_mut_ptr(), _mm256_add_pd(acc[v][c][0], acc[v][c][1]));
                let rest = (i..n).fold(0.0, |sum, i| sum + (*x[c].add(i)).one() * (*y[v].add(i)).one());
                (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]) + rest
            })
        })
    }

    /// Sums of re(x) im(y) - im(x) re(y) over pairs: x times y with its pairs swapped, even lanes less
    /// odd ones.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn crossed_sums<S: Load, T: Load, const K: usize, const V: usize>(x: [*const S; K], y: [*const T; V], n: usize) -> Sums<K, V> {
        let mut acc = [[_mm256_setzero_pd(); K]; V];
        let mut i = 0;
        while i + 4 <= n {
            let y: [__m256d; V] = std::array::from_fn(|v| _mm256_permute_pd::<0b0101>(T::four(y[v].add(i))));
            for c in 0..K {
                let x = S::four(x[c].add(i));
                for v in 0..V {
                    acc[v][c] = _mm256_fmadd_pd(x, y[v], acc[v][c]);
                }
            }
            i += 4;
        }
        std::array::from_fn(|v| {
            std::array::from_fn(|c| {
                let mut lanes = [0.0; 4];
                _mm256_storeu_pd(lanes.as_mut_ptr(), acc[v][c]);
                let mut sum = (lanes[0] + lanes[2]) - (lanes[1] + lanes[3]);
                if i < n {
                    let (x, y) = (x[c].add(i), y[v].add(i));
                    sum += (*x).one() * (*y.add(1)).one() - (*x.add(1)).one() * (*y).one();
                }
                sum
            })
        })
    }
}
