//! Means, percentiles and bootstrap intervals.

/// Mean; 0 for nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The value that a `share` (0 to 1) of all values do not exceed (nearest rank, so always one of the values): 0.5 is
/// the median, 0.95 the p95. `None` for no values.
pub fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// An interval around a mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Percentile bootstrap interval of the mean of per-query values (Efron and Tibshirani 1993, chapter 13): `resamples`
/// draws with replacement, `level` of them inside (0.95). The same `seed` gives the same interval everywhere. `None`
/// for no values or no resamples.
pub fn bootstrap_mean(values: &[f64], level: f64, resamples: usize, seed: u64) -> Option<Interval> {
    if values.is_empty() {
        return None;
    }
    let mut state = seed;
    let means: Vec<f64> = (0..resamples)
        .map(|_| {
            let draw = |_| values[(split_mix(&mut state) % values.len() as u64) as usize];
            (0..values.len()).map(draw).sum::<f64>() / values.len() as f64
        })
        .collect();
    let tail = (1.0 - level.clamp(0.0, 1.0)) / 2.0;
    Some(Interval { low: percentile(&means, tail)?, high: percentile(&means, 1.0 - tail)? })
}

/// [`bootstrap_mean`] of what each query gains from `before` to `after`, both over the same queries in the same order; a
/// change is shown where the interval excludes 0. `None` where the lengths differ too.
pub fn paired_bootstrap(before: &[f64], after: &[f64], resamples: usize, seed: u64) -> Option<Interval> {
    if before.len() != after.len() {
        return None;
    }
    let gains: Vec<f64> = before.iter().zip(after).map(|(before, after)| after - before).collect();
    bootstrap_mean(&gains, 0.95, resamples, seed)
}

/// SplitMix64 (Steele, Lea and Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values() {
        let values = [5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!(percentile(&values, 0.5), Some(3.0));
        assert_eq!(percentile(&values, 0.95), Some(5.0));
        assert_eq!(percentile(&values, 0.0), Some(1.0));
        assert_eq!(percentile(&values[..2], 0.5), Some(1.0));
        assert_eq!(percentile(&[], 0.5), None);
        assert!((mean(&values) - 3.0).abs() < 1e-12 && mean(&[]).abs() < 1e-12);
    }

    #[test]
    fn bootstrap_is_seeded_and_covers() {
        let values: Vec<f64> = (0..100).map(|i| f64::from(i % 2)).collect();
        let interval = bootstrap_mean(&values, 0.95, 2000, 7).unwrap();
        assert_eq!(bootstrap_mean(&values, 0.95, 2000, 7), Some(interval));
        assert_ne!(bootstrap_mean(&values, 0.95, 2000, 8), Some(interval));
        // The normal interval of 50 in 100 is 0.402 to 0.598.
        assert!((interval.low - 0.402).abs() < 0.02 && (interval.high - 0.598).abs() < 0.02, "{interval:?}");
        assert_eq!(bootstrap_mean(&[], 0.95, 10, 7), None);
        assert_eq!(bootstrap_mean(&values, 0.95, 0, 7), None);
        assert_eq!(bootstrap_mean(&[2.0], 0.95, 10, 7), Some(Interval { low: 2.0, high: 2.0 }));
    }

    #[test]
    fn pairs_see_what_single_intervals_do_not() {
        // Every tenth query gains; alone, the two means' intervals overlap.
        let before: Vec<f64> = (0..200).map(|i| f64::from(u8::from(i % 2 == 0))).collect();
        let after: Vec<f64> = (0..200).map(|i| f64::from(u8::from(i % 2 == 0 || i % 10 == 1))).collect();
        let gain = paired_bootstrap(&before, &after, 2000, 7).unwrap();
        assert!(gain.low > 0.0 && gain.high < 0.2, "{gain:?}");
        let alone = |values: &[f64]| bootstrap_mean(values, 0.95, 2000, 7).unwrap();
        assert!(alone(&before).high > alone(&after).low);
        assert_eq!(paired_bootstrap(&before, &after[1..], 10, 7), None);
    }
}
