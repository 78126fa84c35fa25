//! Retrieval metrics over ranked ids, latency percentiles, and intervals.
//!
//! A query has a ranked list of results, best first, none twice, and a set G of right products. Means over queries
//! count every query once (macro). Sources: Yuan et al., "eProduct" (2021), for MAR@k; Manning, Raghavan and Schütze,
//! "Introduction to Information Retrieval" (2008), section 8.4, for average precision.

use std::collections::HashSet;
use std::hash::Hash;

/// Whether a right product is among the first `k`: "recall@k" in instance retrieval, also called hit@k.
pub fn hit_at<T: Eq + Hash>(k: usize, ranked: &[T], relevant: &HashSet<T>) -> bool {
    ranked.iter().take(k).any(|id| relevant.contains(id))
}

/// Share of the right products among the first `k`: |top k ∩ G| / |G|; 0 for an empty G.
pub fn recall_at<T: Eq + Hash>(k: usize, ranked: &[T], relevant: &HashSet<T>) -> f64 {
    ratio(found(k, ranked, relevant), relevant.len())
}

/// Capped recall of one query, |top k ∩ G| / min(k, |G|), so that a perfect ranking reaches 1 where |G| > k; 0 for an
/// empty G or `k` = 0. Its mean over queries is MAR@k here.
pub fn mar_at<T: Eq + Hash>(k: usize, ranked: &[T], relevant: &HashSet<T>) -> f64 {
    ratio(found(k, ranked, relevant), relevant.len().min(k))
}

/// Average precision: the precision at each right product's rank, summed and divided by |G|, so products not
/// returned cost; 0 for an empty G. Its mean over queries is mAP.
pub fn average_precision<T: Eq + Hash>(ranked: &[T], relevant: &HashSet<T>) -> f64 {
    let (mut seen, mut sum) = (HashSet::new(), 0.0);
    for (i, id) in ranked.iter().enumerate() {
        if relevant.contains(id) && seen.insert(id) {
            sum += seen.len() as f64 / (i + 1) as f64;
        }
    }
    if relevant.is_empty() { 0.0 } else { sum / relevant.len() as f64 }
}

/// 1 / rank of the first right product; 0 if none is returned.
pub fn reciprocal_rank<T: Eq + Hash>(ranked: &[T], relevant: &HashSet<T>) -> f64 {
    ranked.iter().position(|id| relevant.contains(id)).map_or(0.0, |i| 1.0 / (i + 1) as f64)
}

fn found<T: Eq + Hash>(k: usize, ranked: &[T], relevant: &HashSet<T>) -> usize {
    ranked.iter().take(k).filter(|id| relevant.contains(id)).collect::<HashSet<_>>().len()
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

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

    fn set(ids: &[&'static str]) -> HashSet<&'static str> {
        ids.iter().copied().collect()
    }

    fn close(found: f64, want: f64) {
        assert!((found - want).abs() < 1e-12, "{found} where {want} was wanted");
    }

    #[test]
    fn by_hand() {
        // Right ones at ranks 1, 3 and 6; "z" never comes.
        let ranked = ["a", "x", "b", "y", "w", "c"];
        let relevant = set(&["a", "b", "c", "z"]);
        assert!(hit_at(1, &ranked, &relevant));
        close(recall_at(1, &ranked, &relevant), 1.0 / 4.0);
        close(recall_at(3, &ranked, &relevant), 2.0 / 4.0);
        close(recall_at(100, &ranked, &relevant), 3.0 / 4.0);
        close(mar_at(1, &ranked, &relevant), 1.0);
        close(mar_at(3, &ranked, &relevant), 2.0 / 3.0);
        close(mar_at(10, &ranked, &relevant), 3.0 / 4.0);
        close(average_precision(&ranked, &relevant), (1.0 + 2.0 / 3.0 + 3.0 / 6.0) / 4.0);
        close(reciprocal_rank(&["x", "y", "b"], &relevant), 1.0 / 3.0);
    }

    #[test]
    fn nothing_right_nothing_found() {
        let none: [&str; 0] = [];
        let relevant = set(&["a"]);
        for ranked in [&none[..], &["x"]] {
            assert!(!hit_at(5, ranked, &relevant));
            close(recall_at(5, ranked, &relevant), 0.0);
            close(average_precision(ranked, &relevant), 0.0);
            close(reciprocal_rank(ranked, &relevant), 0.0);
        }
        assert!(!hit_at(0, &["a"], &relevant));
        close(mar_at(0, &["a"], &relevant), 0.0);
        close(recall_at(5, &["a"], &set(&[])), 0.0);
        close(average_precision(&["a"], &set(&[])), 0.0);
    }

    #[test]
    fn a_product_returned_twice_counts_once() {
        let relevant = set(&["a", "b"]);
        close(recall_at(3, &["a", "a", "a"], &relevant), 0.5);
        close(average_precision(&["a", "a"], &relevant), 0.5);
    }

    #[test]
    fn percentiles_are_values() {
        let values = [5.0, 1.0, 3.0, 2.0, 4.0];
        assert_eq!(percentile(&values, 0.5), Some(3.0));
        assert_eq!(percentile(&values, 0.95), Some(5.0));
        assert_eq!(percentile(&values, 0.0), Some(1.0));
        assert_eq!(percentile(&values[..2], 0.5), Some(1.0));
        assert_eq!(percentile(&[], 0.5), None);
        close(mean(&values), 3.0);
        close(mean(&[]), 0.0);
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
}
