//! Exponentials of whole rows, with their sums: what a pass over a transport plan consists of. With AVX2 and FMA four
//! doubles or eight floats at a time, to 5e-16 and 2e-7 relative; else by the standard library. Arguments are clamped to the
//! range in which nothing overflows.

/// e_j <- exp(h_j + f - s c_j); their sum.
pub fn exp_row(c: &[f64], h: &[f64], s: f64, f: f64, e: &mut [f64]) -> f64 {
    assert!(c.len() == e.len() && h.len() == e.len());
    #[cfg(target_arch = "x86_64")]
    if x86::usable() {
        // SAFETY: the machine has the instructions, and the three are of one length.
        return unsafe { x86::exp_row(c, h, s, f, e) };
    }
    let terms = e.iter_mut().zip(c).zip(h);
    terms.fold(0.0, |sum, ((e, c), h)| {
        *e = (h + f - s * c).clamp(-708.0, 709.0).exp();
        sum + *e
    })
}

/// The same with results in single precision; differences are taken in double.
pub fn exp_row_single(c: &[f64], h: &[f64], s: f64, f: f64, e: &mut [f32]) -> f64 {
    assert!(c.len() == e.len() && h.len() == e.len());
    #[cfg(target_arch = "x86_64")]
    if x86::usable() {
        // SAFETY: as above.
        return unsafe { x86::exp_row_single(c, h, s, f, e) };
    }
    let terms = e.iter_mut().zip(c).zip(h);
    terms.fold(0.0, |sum, ((e, c), h)| {
        *e = ((h + f - s * c).clamp(-87.0, 88.0) as f32).exp();
        sum + *e as f64
    })
}

/// e_k <- exp(h_idx(k) + f - s c_k); their sum.
pub fn exp_list(idx: &[u32], c: &[f64], h: &[f64], s: f64, f: f64, e: &mut [f64]) -> f64 {
    assert!(c.len() == e.len() && idx.len() == e.len());
    #[cfg(target_arch = "x86_64")]
    if x86::usable() {
        // SAFETY: as above; indices are checked as they are used.
        return unsafe { x86::exp_list(idx, c, h, s, f, e) };
    }
    let terms = e.iter_mut().zip(c).zip(idx);
    terms.fold(0.0, |sum, ((e, c), j)| {
        *e = (h[*j as usize] + f - s * c).clamp(-708.0, 709.0).exp();
        sum + *e
    })
}

/// The sum of e_j p_j.
pub fn dot_single(e: &[f32], p: &[f64]) -> f64 {
    assert!(e.len() == p.len());
    #[cfg(target_arch = "x86_64")]
    if x86::usable() {
        // SAFETY: as above.
        return unsafe { x86::dot_single(e, p) };
    }
    e.iter().zip(p).map(|(e, p)| *e as f64 * p).sum()
}

/// Rows of single precision that are gone through together, so that what they meet is read once for all of them.
pub const TOGETHER: usize = 4;

/// The sums of e_j p_j for each row.
pub fn dots_single(e: [&[f32]; TOGETHER], p: &[f64]) -> [f64; TOGETHER] {
    assert!(e.iter().all(|e| e.len() == p.len()));
    #[cfg(target_arch = "x86_64")]
    if x86::usable() {
        // SAFETY: the machine has the instructions, the lengths agree.
        return unsafe { x86::dots_single(e, p) };
    }
    e.map(|e| e.iter().zip(p).map(|(e, p)| *e as f64 * p).sum())
}

/// q_j += sum over rows of w e_j (x_j - t), or of w e_j where there is no x.
pub fn add_rows_single(e: [&[f32]; TOGETHER], w: [f64; TOGETHER], x: Option<(&[f64], [f64; TOGETHER])>, q: &mut [f64]) {
    assert!(e.iter().all(|e| e.len() == q.len()) && x.is_none_or(|(x, _)| x.len() == q.len()));
    #[cfg(target_arch = "x86_64")]
    if x86::usable() {
        // SAFETY: as above.
        return unsafe { x86::add_rows_single(e, w, x, q) };
    }
    for (j, q) in q.iter_mut().enumerate() {
        for (l, (e, w)) in e.iter().zip(w).enumerate() {
            *q += w * e[j] as f64 * x.map_or(1.0, |(x, t)| x[j] - t[l]);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::TOGETHER;
    use std::arch::x86_64::*;

    pub fn usable() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }

    /// exp by 2^k e^r, |r| <= ln 2 / 2, the polynomial of degree 12 in Estrin's order.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn exp4(x: __m256d) -> __m256d {
        // Adding it leaves the nearest integer in the last bits.
        const MAGIC: f64 = 6755399441055744.0;
        const LN2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
        let c = |v: f64| _mm256_set1_pd(v);
        let x = _mm256_max_pd(_mm256_min_pd(x, c(709.0)), c(-708.0));
        let k = _mm256_fmadd_pd(x, c(std::f64::consts::LOG2_E), c(MAGIC));
        let n = _mm256_sub_pd(k, c(MAGIC));
        let r = _mm256_fnmadd_pd(n, c(LN2[1]), _mm256_fnmadd_pd(n, c(LN2[0]), x));
        let r2 = _mm256_mul_pd(r, r);
        let r4 = _mm256_mul_pd(r2, r2);
        let p01 = _mm256_add_pd(r, c(1.0));
        let p23 = _mm256_fmadd_pd(c(1.0 / 6.0), r, c(0.5));
        let p45 = _mm256_fmadd_pd(c(1.0 / 120.0), r, c(1.0 / 24.0));
        let p67 = _mm256_fmadd_pd(c(1.0 / 5040.0), r, c(1.0 / 720.0));
        let p89 = _mm256_fmadd_pd(c(1.0 / 362880.0), r, c(1.0 / 40320.0));
        let pab = _mm256_fmadd_pd(c(1.0 / 39916800.0), r, c(1.0 / 3628800.0));
        let q0 = _mm256_fmadd_pd(p23, r2, p01);
        let q1 = _mm256_fmadd_pd(p67, r2, p45);
        let q2 = _mm256_fmadd_pd(r4, c(1.0 / 479001600.0), _mm256_fmadd_pd(pab, r2, p89));
        let p = _mm256_fmadd_pd(_mm256_fmadd_pd(q2, r4, q1), r4, q0);
        _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(p), _mm256_slli_epi64::<52>(_mm256_castpd_si256(k))))
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn exp8(x: __m256) -> __m256 {
        const MAGIC: f32 = 12582912.0;
        let c = |v: f32| _mm256_set1_ps(v);
        let x = _mm256_max_ps(_mm256_min_ps(x, c(88.0)), c(-87.0));
        let k = _mm256_fmadd_ps(x, c(std::f32::consts::LOG2_E), c(MAGIC));
        let n = _mm256_sub_ps(k, c(MAGIC));
        let r = _mm256_fmadd_ps(n, c(2.121_944_4e-4), _mm256_fnmadd_ps(n, c(0.693_359_4), x));
        let p = _mm256_fmadd_ps(c(1.0 / 720.0), r, c(1.0 / 120.0));
        let p = _mm256_fmadd_ps(p, r, c(1.0 / 24.0));
        let p = _mm256_fmadd_ps(p, r, c(1.0 / 6.0));
        let p = _mm256_fmadd_ps(p, r, c(0.5));
        let p = _mm256_fmadd_ps(p, r, c(1.0));
        let p = _mm256_fmadd_ps(p, r, c(1.0));
        _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32::<23>(_mm256_castps_si256(k))))
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn sum(parts: [__m256d; 4]) -> f64 {
        let v = _mm256_add_pd(_mm256_add_pd(parts[0], parts[1]), _mm256_add_pd(parts[2], parts[3]));
        let mut t = [0.0f64; 4];
        _mm256_storeu_pd(t.as_mut_ptr(), v);
        (t[0] + t[1]) + (t[2] + t[3])
    }

    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn one(x: f64) -> f64 {
        _mm256_cvtsd_f64(exp4(_mm256_set1_pd(x)))
    }

    /// # Safety
    /// All slices are of one length.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn exp_row(c: &[f64], h: &[f64], s: f64, f: f64, e: &mut [f64]) -> f64 {
        let (n, whole) = (e.len(), e.len() / 16 * 16);
        let (minus_s, shift) = (_mm256_set1_pd(-s), _mm256_set1_pd(f));
        let mut sums = [_mm256_setzero_pd(); 4];
        for i in (0..whole).step_by(16) {
            for (l, total) in sums.iter_mut().enumerate() {
                let j = i + 4 * l;
                let x = _mm256_add_pd(_mm256_loadu_pd(h.as_ptr().add(j)), shift);
                let v = exp4(_mm256_fmadd_pd(minus_s, _mm256_loadu_pd(c.as_ptr().add(j)), x));
                _mm256_storeu_pd(e.as_mut_ptr().add(j), v);
                *total = _mm256_add_pd(*total, v);
            }
        }
        let mut total = sum(sums);
        for j in whole..n {
            e[j] = one(h[j] + f - s * c[j]);
            total += e[j];
        }
        total
    }

    /// # Safety
    /// All slices are of one length.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn exp_row_single(c: &[f64], h: &[f64], s: f64, f: f64, e: &mut [f32]) -> f64 {
        let (n, whole) = (e.len(), e.len() / 32 * 32);
        let (minus_s, shift) = (_mm256_set1_pd(-s), _mm256_set1_pd(f));
        let mut sums = [_mm256_setzero_ps(); 4];
        for i in (0..whole).step_by(32) {
            for (l, total) in sums.iter_mut().enumerate() {
                let j = i + 8 * l;
                let low = _mm256_add_pd(_mm256_loadu_pd(h.as_ptr().add(j)), shift);
                let high = _mm256_add_pd(_mm256_loadu_pd(h.as_ptr().add(j + 4)), shift);
                let low = _mm256_cvtpd_ps(_mm256_fmadd_pd(minus_s, _mm256_loadu_pd(c.as_ptr().add(j)), low));
                let high = _mm256_cvtpd_ps(_mm256_fmadd_pd(minus_s, _mm256_loadu_pd(c.as_ptr().add(j + 4)), high));
                let v = exp8(_mm256_set_m128(high, low));
                _mm256_storeu_ps(e.as_mut_ptr().add(j), v);
                *total = _mm256_add_ps(*total, v);
            }
        }
        let v = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
        let mut t = [0.0f32; 8];
        _mm256_storeu_ps(t.as_mut_ptr(), v);
        let mut total: f64 = t.iter().map(|v| *v as f64).sum();
        for j in whole..n {
            e[j] = one(h[j] + f - s * c[j]) as f32;
            total += e[j] as f64;
        }
        total
    }

    /// # Safety
    /// `idx`, `c` and `e` are of one length.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn exp_list(idx: &[u32], c: &[f64], h: &[f64], s: f64, f: f64, e: &mut [f64]) -> f64 {
        let (n, whole) = (e.len(), e.len() / 16 * 16);
        let (minus_s, shift) = (_mm256_set1_pd(-s), _mm256_set1_pd(f));
        let mut sums = [_mm256_setzero_pd(); 4];
        let at = |k: usize| h[idx[k] as usize];
        for i in (0..whole).step_by(16) {
            for (l, total) in sums.iter_mut().enumerate() {
                let j = i + 4 * l;
                let x = _mm256_add_pd(_mm256_set_pd(at(j + 3), at(j + 2), at(j + 1), at(j)), shift);
                let v = exp4(_mm256_fmadd_pd(minus_s, _mm256_loadu_pd(c.as_ptr().add(j)), x));
                _mm256_storeu_pd(e.as_mut_ptr().add(j), v);
                *total = _mm256_add_pd(*total, v);
            }
        }
        let mut total = sum(sums);
        for k in whole..n {
            e[k] = one(at(k) + f - s * c[k]);
            total += e[k];
        }
        total
    }

    /// # Safety
    /// Both are of one length.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn dot_single(e: &[f32], p: &[f64]) -> f64 {
        let (n, whole) = (e.len(), e.len() / 16 * 16);
        let mut sums = [_mm256_setzero_pd(); 4];
        for i in (0..whole).step_by(16) {
            for (l, total) in sums.iter_mut().enumerate() {
                let j = i + 4 * l;
                let v = _mm256_cvtps_pd(_mm_loadu_ps(e.as_ptr().add(j)));
                *total = _mm256_fmadd_pd(v, _mm256_loadu_pd(p.as_ptr().add(j)), *total);
            }
        }
        (whole..n).fold(sum(sums), |total, j| total + e[j] as f64 * p[j])
    }

    /// # Safety
    /// AVX2 and FMA; lengths agree.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn dots_single(e: [&[f32]; TOGETHER], p: &[f64]) -> [f64; TOGETHER] {
        let (n, whole) = (p.len(), p.len() / 8 * 8);
        let mut sums = [[_mm256_setzero_pd(); 2]; TOGETHER];
        for i in (0..whole).step_by(8) {
            for half in 0..2 {
                let j = i + 4 * half;
                let p = _mm256_loadu_pd(p.as_ptr().add(j));
                for (e, sums) in e.iter().zip(&mut sums) {
                    sums[half] = _mm256_fmadd_pd(_mm256_cvtps_pd(_mm_loadu_ps(e.as_ptr().add(j))), p, sums[half]);
                }
            }
        }
        let zero = _mm256_setzero_pd();
        let mut totals = sums.map(|[a, b]| sum([a, b, zero, zero]));
        for j in whole..n {
            totals.iter_mut().zip(e).for_each(|(total, e)| *total += e[j] as f64 * p[j]);
        }
        totals
    }

    /// # Safety
    /// AVX2 and FMA; lengths agree.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn add_rows_single(e: [&[f32]; TOGETHER], w: [f64; TOGETHER], x: Option<(&[f64], [f64; TOGETHER])>, q: &mut [f64]) {
        let (n, whole) = (q.len(), q.len() / 4 * 4);
        let wide = w.map(|w| _mm256_set1_pd(w));
        let least = x.map(|(x, t)| (x, t.map(|t| _mm256_set1_pd(t))));
        for j in (0..whole).step_by(4) {
            let mut sum = _mm256_loadu_pd(q.as_ptr().add(j));
            for l in 0..TOGETHER {
                let e = _mm256_mul_pd(wide[l], _mm256_cvtps_pd(_mm_loadu_ps(e[l].as_ptr().add(j))));
                sum = match least {
                    Some((x, t)) => _mm256_fmadd_pd(e, _mm256_sub_pd(_mm256_loadu_pd(x.as_ptr().add(j)), t[l]), sum),
                    None => _mm256_add_pd(e, sum),
                };
            }
            _mm256_storeu_pd(q.as_mut_ptr().add(j), sum);
        }
        for j in whole..n {
            for l in 0..TOGETHER {
                q[j] += w[l] * e[l][j] as f64 * x.map_or(1.0, |(x, t)| x[j] - t[l]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the standard library, over the whole range, at lengths with and without a tail.
    #[test]
    fn rows_are_exponentials() {
        for n in [1usize, 3, 15, 16, 17, 31, 32, 33, 100] {
            let c: Vec<f64> = (0..n).map(|j| (j as f64 * 1.7).sin()).collect();
            let h: Vec<f64> = (0..n).map(|j| (j as f64 * 0.9).cos()).collect();
            let idx: Vec<u32> = (0..n as u32).rev().collect();
            let turned: Vec<f64> = h.iter().rev().copied().collect();
            for (s, f) in [(1.0, 0.0), (300.0, -20.0), (0.0, 700.0), (30.0, -690.0)] {
                let (mut e, mut single, mut list) = (vec![0.0; n], vec![0.0f32; n], vec![0.0; n]);
                let sum = exp_row(&c, &h, s, f, &mut e);
                exp_list(&idx, &c, &turned, s, f, &mut list);
                assert_eq!(e, list);
                let mut total = 0.0;
                for j in 0..n {
                    let truth = (h[j] + f - s * c[j]).clamp(-708.0, 709.0).exp();
                    // The argument itself is rounded differently by a fused product.
                    assert!((e[j] - truth).abs() <= 3e-13 * truth, "{} {truth}", e[j]);
                    total += truth;
                }
                assert!((sum - total).abs() <= 3e-13 * total);
                if f == 0.0 && s == 1.0 {
                    let sum = exp_row_single(&c, &h, s, f, &mut single);
                    assert!(single.iter().zip(&e).all(|(a, b)| (*a as f64 - b).abs() <= 3e-7 * b));
                    assert!((sum - total).abs() <= 1e-6 * total);
                    let (four, w, t) = ([&single[..]; TOGETHER], [0.3, -1.0, 2.0, 0.5], [0.1, 0.2, -0.4, 0.0]);
                    let plain = |w: f64, t: f64, j: usize| w * single[j] as f64 * (h[j] - t);
                    let mut q = vec![0.25; n];
                    add_rows_single(four, w, Some((&h, t)), &mut q);
                    assert!((0..n).all(|j| (q[j] - 0.25 - (0..4).map(|l| plain(w[l], t[l], j)).sum::<f64>()).abs() < 1e-12));
                    q.fill(0.5);
                    add_rows_single(four, w, None, &mut q);
                    assert!((0..n).all(|j| (q[j] - 0.5 - 1.8 * single[j] as f64).abs() < 1e-12));
                    assert!(dots_single(four, &h).iter().all(|dot| (dot - dot_single(&single, &h)).abs() < 1e-12));
                    assert!((dot_single(&single, &h) - single.iter().zip(&h).map(|(a, b)| *a as f64 * b).sum::<f64>()).abs() < 1e-12);
                }
            }
        }
    }
}
