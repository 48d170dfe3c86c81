//! Counter-based random streams addressed by (seed, stream, position): the value at a position
//! does not depend on what was drawn before it, on the thread or on the rank.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Stream numbers of the library's own uses; a new use takes a new number.
pub mod streams {
    pub const SPECTRUM: u64 = 1;
    pub const SYMMETRY: u64 = 2;
    pub const SHADOW: u64 = 3;
    pub const CIRCLE: u64 = 4;
    pub const DIRECTIONS: u64 = 5;
}

pub struct Stream {
    generator: ChaCha8Rng,
}

impl Stream {
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Stream { generator }
    }

    /// Calls `take(i, word)` with the 64-bit words at positions `first..first + count`.
    pub fn words(&mut self, first: u64, count: usize, mut take: impl FnMut(usize, u64)) {
        self.generator.set_word_pos(2 * first as u128);
        for i in 0..count {
            take(i, self.generator.next_u64());
        }
    }

    /// Uniform numbers in (-1, 1) at positions `first..`.
    pub fn symmetric(&mut self, first: u64, out: &mut [f64]) {
        const STEP: f64 = 1.0 / (1u64 << 52) as f64;
        self.words(first, out.len(), |i, word| out[i] = ((word >> 11) as f64 + 0.5) * STEP - 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_depends_on_its_position_alone() {
        let mut whole = [0.0; 100];
        Stream::new(7, 3).symmetric(0, &mut whole);
        let mut part = [0.0; 9];
        Stream::new(7, 3).symmetric(41, &mut part);
        assert_eq!(part, whole[41..50]);
        let mut other = [0.0; 9];
        Stream::new(7, 4).symmetric(41, &mut other);
        assert_ne!(part, other);
    }

    #[test]
    fn symmetric_numbers_have_the_moments_of_the_uniform_law() {
        let mut x = vec![0.0; 100_000];
        Stream::new(0, 1).symmetric(0, &mut x);
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let variance = x.iter().map(|v| v * v).sum::<f64>() / n;
        assert!(mean.abs() < 0.01, "mean {mean}");
        assert!((variance - 1.0 / 3.0).abs() < 0.01, "variance {variance}");
        assert!(x.iter().all(|v| v.abs() < 1.0));
    }
}
