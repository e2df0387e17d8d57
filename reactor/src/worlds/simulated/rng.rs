//! The single source of randomness.

use std::ops::RangeInclusive;
use std::time::Duration;

/// SplitMix64, from its published definition (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA
/// 2014): a counter that advances by the golden ratio, with a mixing function applied.
///
/// Small, and good enough to draw faults; not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0. The bias is below one in 2^64 / `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// Returns true with the given probability. Nothing is drawn if it is 0 or 1.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        if probability <= 0.0 {
            return false;
        }
        // An f64 holds 53 bits exactly, so all platforms agree.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let drawn = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        drawn < probability
    }

    pub(super) fn duration(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let nanos = |duration: &Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (low, high) = (nanos(range.start()), nanos(range.end()));
        Duration::from_nanos(low + self.below(high.saturating_sub(low).saturating_add(1)))
    }

    /// A size within the range, small ones as likely as large ones: first the magnitude is drawn, then the number.
    pub(super) fn size(&mut self, range: &RangeInclusive<usize>) -> usize {
        let (low, high) = (range.start().max(&1), range.end().max(range.start()).max(&1));
        if low == high {
            return *low;
        }
        let magnitudes = u64::from(high.ilog2() - low.ilog2()) + 1;
        let magnitude = low.ilog2() + u32::try_from(self.below(magnitudes)).unwrap_or(0);
        let (from, to) =
            ((1_usize << magnitude).max(*low), (1_usize << magnitude).saturating_mul(2).saturating_sub(1).min(*high));
        from + usize::try_from(self.below((to - from) as u64 + 1)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_draws_the_published_numbers() {
        // The first outputs of the reference implementation for the seed 1234567.
        let mut rng = Rng::new(1_234_567);
        assert_eq!(
            [rng.next(), rng.next(), rng.next()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn sizes_stay_in_their_range_and_reach_both_ends() {
        let mut rng = Rng::new(1);
        let sizes: Vec<usize> = (0..10_000).map(|_| rng.size(&(1..=100))).collect();
        assert_eq!((sizes.iter().min(), sizes.iter().max()), (Some(&1), Some(&100)));
        assert_eq!(rng.size(&(7..=7)), 7);
    }

    #[test]
    fn a_chance_of_one_always_comes_and_a_chance_of_zero_never() {
        let mut rng = Rng::new(1);
        assert!((0..1000).all(|_| rng.chance(1.0)));
        assert!((0..1000).all(|_| !rng.chance(0.0)));
    }
}
