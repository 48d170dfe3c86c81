//! Random choices, and arrays of any scalar or index kind that are as long as they must be and no longer.

use reknit::ffi::status::*;
use std::ffi::c_void;

pub type C64 = num_complex::Complex<f64>;

pub const NAN: C64 = C64::new(f64::NAN, 0.0);

pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One of 0..n.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// True once in `n` times.
    pub fn rarely(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<P: Copy>(&mut self, from: &[P]) -> P {
        from[self.below(from.len())]
    }

    /// An eighth of a small integer: exact in every kind.
    pub fn eighth(&mut self) -> f64 {
        (self.below(33) as f64 - 16.0) / 8.0
    }

    /// A number of the kind; the imaginary part of a real kind is zero.
    pub fn number(&mut self, scalar: i32) -> C64 {
        let (re, im) = (self.eighth(), self.eighth());
        C64::new(re, if is_complex(scalar) { im } else { 0.0 })
    }

    pub fn vector(&mut self, scalar: i32, n: usize) -> Vec<C64> {
        (0..n).map(|_| self.number(scalar)).collect()
    }
}

pub fn is_complex(scalar: i32) -> bool {
    scalar == RKN_C32 || scalar == RKN_C64
}

pub fn epsilon(scalar: i32) -> f64 {
    if scalar == RKN_F32 || scalar == RKN_C32 { f32::EPSILON as f64 } else { f64::EPSILON }
}

/// Numbers as C sees them.
#[derive(Clone, PartialEq, Debug)]
pub enum Buffer {
    F32(Vec<f32>),
    F64(Vec<f64>),
    C32(Vec<f32>),
    C64(Vec<f64>),
}

impl Buffer {
    pub fn new(scalar: i32, numbers: &[C64]) -> Self {
        let pairs = || numbers.iter().flat_map(|z| [z.re, z.im]);
        match scalar {
            RKN_F32 => Buffer::F32(numbers.iter().map(|z| z.re as f32).collect()),
            RKN_F64 => Buffer::F64(numbers.iter().map(|z| z.re).collect()),
            RKN_C32 => Buffer::C32(pairs().map(|v| v as f32).collect::<Vec<_>>().into_boxed_slice().into_vec()),
            _ => Buffer::C64(pairs().collect::<Vec<_>>().into_boxed_slice().into_vec()),
        }
    }

    pub fn pointer(&self) -> *const c_void {
        match self {
            Buffer::F32(v) | Buffer::C32(v) => v.as_ptr().cast(),
            Buffer::F64(v) | Buffer::C64(v) => v.as_ptr().cast(),
        }
    }

    pub fn pointer_mut(&mut self) -> *mut c_void {
        match self {
            Buffer::F32(v) | Buffer::C32(v) => v.as_mut_ptr().cast(),
            Buffer::F64(v) | Buffer::C64(v) => v.as_mut_ptr().cast(),
        }
    }

    pub fn numbers(&self) -> Vec<C64> {
        match self {
            Buffer::F32(v) => v.iter().map(|v| C64::from(*v as f64)).collect(),
            Buffer::F64(v) => v.iter().map(|v| C64::from(*v)).collect(),
            Buffer::C32(v) => v.chunks(2).map(|z| C64::new(z[0] as f64, z[1] as f64)).collect(),
            Buffer::C64(v) => v.chunks(2).map(|z| C64::new(z[0], z[1])).collect(),
        }
    }

    /// Rewrites the numbers in place.
    pub fn write(&mut self, numbers: &[C64]) {
        let pairs = || numbers.iter().flat_map(|z| [z.re, z.im]);
        match self {
            Buffer::F32(v) => v.iter_mut().zip(numbers).for_each(|(v, z)| *v = z.re as f32),
            Buffer::F64(v) => v.iter_mut().zip(numbers).for_each(|(v, z)| *v = z.re),
            Buffer::C32(v) => v.iter_mut().zip(pairs()).for_each(|(v, w)| *v = w as f32),
            Buffer::C64(v) => v.iter_mut().zip(pairs()).for_each(|(v, w)| *v = w),
        }
    }
}

/// Bits, so that NaN equals itself.
pub fn bits(buffer: &Buffer) -> Vec<u64> {
    buffer.numbers().iter().flat_map(|z| [z.re.to_bits(), z.im.to_bits()]).collect()
}

/// Index arrays as C sees them.
pub enum Indices {
    I32(Vec<i32>),
    I64(Vec<i64>),
}

impl Indices {
    pub fn new(index: i32, values: &[i64]) -> Self {
        match index {
            RKN_I32 => Indices::I32(values.iter().map(|v| *v as i32).collect()),
            _ => Indices::I64(values.to_vec()),
        }
    }

    pub fn pointer(&self) -> *const c_void {
        match self {
            Indices::I32(v) => v.as_ptr().cast(),
            Indices::I64(v) => v.as_ptr().cast(),
        }
    }
}
