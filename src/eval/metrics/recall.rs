//! Recall at k, one query at a time and as means.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::Hash;

/// Whether a right product is among the first `k`: "recall@k" in instance retrieval, also called hit@k.
pub fn hit_at<T: Eq + Hash>(k: usize, ranked: &[T], relevant: &HashSet<T>) -> bool {
    ranked.iter().take(k).any(|id| relevant.contains(id))
}

/// Share of the right products among the first `k`: |top k ∩ G| / |G|; 0 for an empty G.
pub fn recall_at<T: Eq + Hash>(k: usize, ranked: &[T], relevant: &HashSet<T>) -> f64 {
    ratio(found(k, ranked, relevant), relevant.len())
}

/// Recall against what fits into `k`: |top k ∩ G| / min(k, |G|), so that a perfect ranking reaches 1 where |G| > k; 0
/// for an empty G or `k` = 0.
pub fn capped_recall_at<T: Eq + Hash>(k: usize, ranked: &[T], relevant: &HashSet<T>) -> f64 {
    ratio(found(k, ranked, relevant), relevant.len().min(k))
}

/// The four means of recall@k over queries.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RecallMeans {
    /// MAR@k: mean over queries of [`recall_at`], every query counting once (Yuan et al., "eProduct", 2021; that the
    /// paper divides by |G| is our reading).
    pub macro_mean: f64,
    /// Mean over queries of [`capped_recall_at`].
    pub capped: f64,
    /// Mean over products of the mean over their queries; queries with the same G are of one product.
    pub class_macro: f64,
    /// All right products found over all there are.
    pub micro: f64,
}

/// The four means over `(ranked, relevant)` of every query; zeros for no queries.
pub fn recall_means<T: Eq + Hash + Ord>(k: usize, queries: &[(Vec<T>, HashSet<T>)]) -> RecallMeans {
    if queries.is_empty() {
        return RecallMeans::default();
    }
    let mut classes: BTreeMap<BTreeSet<&T>, (f64, usize)> = BTreeMap::new();
    let (mut macro_sum, mut capped_sum, mut hits, mut all) = (0.0, 0.0, 0, 0);
    for (ranked, relevant) in queries {
        let recall = recall_at(k, ranked, relevant);
        macro_sum += recall;
        capped_sum += capped_recall_at(k, ranked, relevant);
        hits += found(k, ranked, relevant);
        all += relevant.len();
        let class = classes.entry(relevant.iter().collect()).or_default();
        *class = (class.0 + recall, class.1 + 1);
    }
    let count = queries.len() as f64;
    RecallMeans {
        macro_mean: macro_sum / count,
        capped: capped_sum / count,
        class_macro: classes.values().map(|(sum, n)| sum / *n as f64).sum::<f64>() / classes.len() as f64,
        micro: ratio(hits, all),
    }
}

fn found<T: Eq + Hash>(k: usize, ranked: &[T], relevant: &HashSet<T>) -> usize {
    ranked.iter().take(k).filter(|id| relevant.contains(id)).collect::<HashSet<_>>().len()
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
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
    fn one_query_by_hand() {
        // Right ones at ranks 1, 3 and 6; "z" never comes.
        let ranked = ["a", "x", "b", "y", "w", "c"];
        let relevant = set(&["a", "b", "c", "z"]);
        assert!(hit_at(1, &ranked, &relevant));
        close(recall_at(1, &ranked, &relevant), 1.0 / 4.0);
        close(recall_at(3, &ranked, &relevant), 2.0 / 4.0);
        close(recall_at(100, &ranked, &relevant), 3.0 / 4.0);
        close(capped_recall_at(1, &ranked, &relevant), 1.0);
        close(capped_recall_at(3, &ranked, &relevant), 2.0 / 3.0);
        close(capped_recall_at(10, &ranked, &relevant), 3.0 / 4.0);
    }

    #[test]
    fn the_means_differ_as_they_should() {
        // Product a: two right entries, asked twice, k = 1 finds one and none. Product c: one entry, found.
        let queries = [
            (vec!["a", "b"], set(&["a", "b"])),
            (vec!["x", "a"], set(&["a", "b"])),
            (vec!["c", "x"], set(&["c"])),
        ];
        let means = recall_means(1, &queries);
        close(means.macro_mean, (0.5 + 0.0 + 1.0) / 3.0);
        close(means.capped, (1.0 + 0.0 + 1.0) / 3.0);
        close(means.class_macro, (0.25 + 1.0) / 2.0);
        close(means.micro, 2.0 / 5.0);
        let deeper = recall_means(2, &queries);
        close(deeper.macro_mean, (1.0 + 0.5 + 1.0) / 3.0);
        close(deeper.micro, 4.0 / 5.0);
        assert_eq!(recall_means::<&str>(5, &[]), RecallMeans::default());
    }

    #[test]
    fn nothing_right_nothing_found() {
        let relevant = set(&["a"]);
        for ranked in [&[][..], &["x"]] {
            assert!(!hit_at(5, ranked, &relevant));
            close(recall_at(5, ranked, &relevant), 0.0);
        }
        assert!(!hit_at(0, &["a"], &relevant));
        close(capped_recall_at(0, &["a"], &relevant), 0.0);
        close(recall_at(5, &["a"], &set(&[])), 0.0);
    }

    #[test]
    fn a_product_returned_twice_counts_once() {
        close(recall_at(3, &["a", "a", "a"], &set(&["a", "b"])), 0.5);
    }
}
