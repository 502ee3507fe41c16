//! Random numbers from a seed: the same seed gives the same capture on every machine.

/// SplitMix64 (Steele, Lea, Flood 2014): fast, statistically good, needs no warm-up. Not for cryptography.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// A generator whose sequence depends on `seed` and `purpose`.
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mut rng = Self(seed);
        for byte in purpose.bytes() {
            rng.0 ^= u64::from(byte);
            rng.next();
        }
        rng
    }

    /// 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// A number from `low` to `high` whose logarithm is uniformly distributed: small sizes are common, large ones
    /// occur.
    pub(crate) fn size(&mut self, low: usize, high: usize) -> usize {
        let (low_ln, high_ln) = ((low as f64).ln(), (high as f64).ln());
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((low_ln + share * (high_ln - low_ln)).exp() as usize).clamp(low, high)
    }

    /// True with a probability of `thousandths` / 1000.
    pub(crate) fn chance(&mut self, thousandths: usize) -> bool {
        self.below(1000) < thousandths
    }

    /// One of `items`.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }

    pub(crate) fn fill(&mut self, buffer: &mut [u8]) {
        for part in buffer.chunks_mut(8) {
            part.copy_from_slice(&self.next().to_le_bytes()[..part.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_depends_only_on_seed_and_purpose() {
        let draw = |seed, purpose| Rng::new(seed, purpose).next();
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
    }

    #[test]
    fn numbers_are_within_their_bounds() {
        let mut rng = Rng::new(1, "bounds");
        for _ in 0..10_000 {
            assert!(rng.below(3) < 3);
            assert!((5..=7).contains(&rng.between(5, 7)));
            assert!((100..=200).contains(&rng.size(100, 200)));
        }
        assert!(!rng.chance(0) && rng.chance(1000));
    }
}
