//! Where a scenario's decisions come from: random numbers from its seed, independent of those of the network.

use std::time::Duration;

/// SplitMix64, from its published definition (Steele, Lea and Flood, OOPSLA 2014).
pub struct Chance(u64);

impl Chance {
    /// Numbers that depend on the seed and on the caller.
    pub fn new(seed: u64, who: u64) -> Self {
        let mut chance = Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ who.wrapping_mul(0x9e6c_63d0_676a_9a99));
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// A number from 1 to `most`, whose magnitude is drawn first: small numbers are as likely as large ones.
    pub fn size(&mut self, most: u64) -> u64 {
        let magnitude = 1 << self.below(u64::from(most.max(1).ilog2()) + 1);
        (magnitude + self.below(magnitude)).min(most.max(1))
    }

    /// A time of up to `most`, short ones as likely as long ones; sometimes zero.
    pub fn wait(&mut self, most: Duration) -> Duration {
        if self.one_in(6) {
            return Duration::ZERO;
        }
        Duration::from_micros(self.size(most.as_micros() as u64))
    }
}
