//! The metrics of Product1M (Zhan et al. 2021), for pictures of several products.
//!
//! A query is a list Y of labels, repeats allowed; a gallery entry has one label and is right if Y holds it. The formulas
//! are those of the authors' evaluator.

use std::collections::BTreeMap;

/// Metrics of one query at a depth of N.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scores {
    /// Average precision, divided by the right entries *found*, as in the benchmark: misses cost nothing, so read it
    /// beside `recall`.
    pub ap: f64,
    /// Average precision divided by min(N, right entries in the gallery): misses cost.
    pub ap_full: f64,
    /// Share of right entries among the first min(N, right entries in the gallery, returned).
    pub precision: f64,
    /// Mean over the labels of the share of the expected entries found; N/|Y| entries are expected a label, rounded
    /// down, at most as many as the gallery has. `None` where there are more labels than N: nothing is expected then.
    pub recall: Option<f64>,
}

/// Scores of one query: `ranked` labels of the results, best first; `wanted` the labels in the picture; `gallery` how
/// many entries each label has. Zeros where nothing is found.
pub fn scores<L: Ord>(depth: usize, ranked: &[L], wanted: &[L], gallery: &BTreeMap<L, usize>) -> Scores {
    let mut asked: BTreeMap<&L, usize> = BTreeMap::new();
    for label in wanted {
        *asked.entry(label).or_default() += 1;
    }
    let right: usize = asked.keys().filter_map(|label| gallery.get(label)).sum();
    let counted = depth.min(right).min(ranked.len());
    let share = depth.checked_div(wanted.len()).unwrap_or(0);
    if counted == 0 {
        return Scores { recall: (share > 0).then_some(0.0), ..Scores::default() };
    }
    let (mut hits, mut sum) = (0, 0.0);
    let mut found: BTreeMap<&L, usize> = BTreeMap::new();
    for (i, label) in ranked.iter().take(depth).enumerate() {
        if !asked.contains_key(label) {
            continue;
        }
        *found.entry(label).or_default() += 1;
        if i < counted {
            hits += 1;
            sum += hits as f64 / (i + 1) as f64;
        }
    }
    let mut recall = 0.0;
    for (label, times) in &asked {
        let expected = (times * share).min(gallery.get(label).copied().unwrap_or(0));
        if expected > 0 {
            recall += found.get(label).copied().unwrap_or(0).min(expected) as f64 / expected as f64;
        }
    }
    Scores {
        ap: if hits == 0 { 0.0 } else { sum / hits as f64 },
        ap_full: sum / depth.min(right) as f64,
        precision: hits as f64 / counted as f64,
        recall: (share > 0).then(|| recall / asked.len() as f64),
    }
}

/// One list out of one a box: round robin, best first, each result once.
pub fn merge<T: PartialEq + Clone>(lists: &[Vec<T>], depth: usize) -> Vec<T> {
    let mut merged = Vec::new();
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    for place in 0..longest {
        for item in lists.iter().filter_map(|list| list.get(place)) {
            if merged.len() == depth {
                return merged;
            }
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, want: f64) {
        assert!((found - want).abs() < 1e-12, "{found} where {want} was wanted");
    }

    #[test]
    fn three_labels_by_hand() {
        // Four entries are expected of each label at N = 12; the gallery has 6, 2 and 4.
        let gallery = BTreeMap::from([("a", 6), ("b", 2), ("c", 4), ("d", 9)]);
        let ranked = ["a", "d", "b", "a", "d", "d", "a", "c", "d", "d", "d", "a", "a", "c"];
        let scores = scores(12, &ranked, &["a", "b", "c"], &gallery);
        // 12 right entries, so 12 count; right at ranks 1, 3, 4, 7, 8 and 12.
        let sum = 1.0 + 2.0 / 3.0 + 3.0 / 4.0 + 4.0 / 7.0 + 5.0 / 8.0 + 6.0 / 12.0;
        close(scores.ap, sum / 6.0);
        close(scores.ap_full, sum / 12.0);
        close(scores.precision, 6.0 / 12.0);
        close(scores.recall.unwrap(), (4.0 / 4.0 + 1.0 / 2.0 + 1.0 / 4.0) / 3.0);
    }

    #[test]
    fn a_label_twice_is_expected_twice() {
        let gallery = BTreeMap::from([("a", 50), ("b", 50)]);
        // N = 6 over three places: four a and two b are expected.
        let scores = scores(6, &["a", "a", "b", "b", "b", "b"], &["a", "a", "b"], &gallery);
        close(scores.recall.unwrap(), (2.0 / 4.0 + 2.0 / 2.0) / 2.0);
        close(scores.precision, 1.0);
    }

    #[test]
    fn small_galleries_cut_the_list() {
        // Two right entries: only the first two results count for AP and precision, all N for recall.
        let gallery = BTreeMap::from([("a", 1), ("b", 1), ("c", 7)]);
        let scores = scores(10, &["a", "c", "b"], &["a", "b"], &gallery);
        close(scores.ap, 1.0);
        close(scores.ap_full, 0.5);
        close(scores.precision, 0.5);
        close(scores.recall.unwrap(), 1.0);
    }

    #[test]
    fn nothing() {
        let gallery = BTreeMap::from([("a", 1)]);
        let lost = Scores { recall: Some(0.0), ..Scores::default() };
        assert_eq!(scores(10, &["b"], &["z"], &gallery), lost);
        assert_eq!(scores(10, &[], &["a"], &gallery), lost);
        assert_eq!(scores(10, &["a"], &[], &gallery), Scores::default());
        assert_eq!(scores(0, &["a"], &["a"], &gallery), Scores::default());
        // More labels than places: nothing is expected of any.
        let crowded = scores(1, &["a"], &["a", "b"], &gallery);
        assert!(crowded.recall.is_none() && crowded.precision > 0.99);
    }

    #[test]
    fn merging_goes_round() {
        let lists = [vec!["a", "b", "c"], vec![], vec!["b", "d"]];
        assert_eq!(merge(&lists, 10), ["a", "b", "d", "c"]);
        assert_eq!(merge(&lists, 2), ["a", "b"]);
        assert!(merge::<u8>(&[], 5).is_empty());
    }
}
