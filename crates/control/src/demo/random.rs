//! A small seeded generator (SplitMix64): the same seed gives the same demonstration.

#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// 0 up to but not including `bound`; 0 when it is 0.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    pub(super) const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Whether something happens that happens so many times in a thousand.
    pub(super) const fn per_mille(&mut self, times: u64) -> bool {
        self.below(1_000) < times
    }

    /// Sizes as they occur: many small ones, few large ones.
    pub(super) const fn skewed(&mut self, typical: u64) -> u64 {
        let factor = match self.below(100) {
            0..60 => self.between(20, 100),
            60..90 => self.between(100, 250),
            _ => self.between(250, 900),
        };
        typical * factor / 100
    }

    /// An index, chosen by weight.
    pub(super) fn weighted(&mut self, weights: impl Iterator<Item = u32> + Clone) -> usize {
        let mut rest = self.below(weights.clone().map(u64::from).sum());
        for (index, weight) in weights.enumerate() {
            if rest < u64::from(weight) {
                return index;
            }
            rest -= u64::from(weight);
        }
        0
    }
}
