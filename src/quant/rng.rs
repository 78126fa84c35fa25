//! SplitMix64: seeded, the same on every machine, good enough to choose samples and seeds.

/// A stream of numbers fixed by its seed.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Below `n`, which is not 0; the bias of n / 2^64 does not matter here.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `count` distinct numbers below `n`, ascending; all of them if `count ≥ n`.
    pub fn sample(&mut self, n: usize, count: usize) -> Vec<usize> {
        if count >= n {
            return (0..n).collect();
        }
        // Floyd's method.
        let mut chosen = std::collections::BTreeSet::new();
        for last in n - count..n {
            let i = self.below(last + 1);
            if !chosen.insert(i) {
                chosen.insert(last);
            }
        }
        chosen.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_distinct_and_in_range() {
        let mut rng = Rng::new(3);
        for (n, count) in [(10, 3), (10, 10), (10, 20), (1000, 999), (1, 0)] {
            let s = rng.sample(n, count);
            assert_eq!(s.len(), count.min(n));
            assert!(s.is_sorted_by(|a, b| a < b) && s.iter().all(|&i| i < n));
        }
        assert!((0..1000).map(|_| rng.unit()).all(|u| (0.0..1.0).contains(&u)));
        // Values of the published algorithm for seed 0.
        let mut rng = Rng::new(0);
        assert_eq!([rng.next(), rng.next()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }
}
