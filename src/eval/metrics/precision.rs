//! Average precision, as the benchmarks define it.

use std::collections::HashSet;
use std::hash::Hash;

/// Average precision: the precision at each right product's rank, summed and divided by |G|, so products not
/// returned cost; 0 for an empty G. Its mean over queries is mAP (Manning, Raghavan and Schütze 2008, section 8.4).
pub fn average_precision<T: Eq + Hash>(ranked: &[T], relevant: &HashSet<T>) -> f64 {
    average_precision_at(usize::MAX, ranked, relevant)
}

/// AP@k, of the Google Landmarks benchmark at k = 100: only the first `k` count, and the divisor is min(|G|, k) (Weyand
/// et al. 2020, section 4). 0 for an empty G or `k` = 0.
pub fn average_precision_at<T: Eq + Hash>(k: usize, ranked: &[T], relevant: &HashSet<T>) -> f64 {
    let (mut seen, mut sum) = (HashSet::new(), 0.0);
    for (i, id) in ranked.iter().take(k).enumerate() {
        if relevant.contains(id) && seen.insert(id) {
            sum += seen.len() as f64 / (i + 1) as f64;
        }
    }
    let divisor = relevant.len().min(k);
    if divisor == 0 { 0.0 } else { sum / divisor as f64 }
}

/// Average precision of the Revisited Oxford and Paris benchmarks (Radenović et al. 2018): entries of `junk` are taken
/// out of the ranking first, and each step is the mean of the precisions before and after it. Medium: junk as given,
/// right are easy and hard; Hard: easy ones are junk too. `None` for an empty G: such queries are skipped.
pub fn revisited_average_precision<T: Eq + Hash>(
    ranked: &[T],
    relevant: &HashSet<T>,
    junk: &HashSet<T>,
) -> Option<f64> {
    if relevant.is_empty() {
        return None;
    }
    let mut seen: HashSet<&T> = HashSet::new();
    let mut sum = 0.0;
    for (rank, id) in ranked.iter().filter(|id| !junk.contains(id)).enumerate() {
        if !relevant.contains(id) || !seen.insert(id) {
            continue;
        }
        let hits = seen.len() as f64;
        let before = if rank == 0 { 1.0 } else { (hits - 1.0) / rank as f64 };
        sum += (before + hits / (rank + 1) as f64) / 2.0;
    }
    Some(sum / relevant.len() as f64)
}

/// 1 / rank of the first right product; 0 if none is returned.
pub fn reciprocal_rank<T: Eq + Hash>(ranked: &[T], relevant: &HashSet<T>) -> f64 {
    ranked.iter().position(|id| relevant.contains(id)).map_or(0.0, |i| 1.0 / (i + 1) as f64)
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
        close(average_precision(&ranked, &relevant), (1.0 + 2.0 / 3.0 + 3.0 / 6.0) / 4.0);
        close(average_precision_at(3, &ranked, &relevant), (1.0 + 2.0 / 3.0) / 3.0);
        close(average_precision_at(100, &ranked, &relevant), (1.0 + 2.0 / 3.0 + 3.0 / 6.0) / 4.0);
        close(reciprocal_rank(&["x", "y", "b"], &relevant), 1.0 / 3.0);
    }

    #[test]
    fn junk_leaves_the_ranking() {
        // Without the junk: a y b; right at 0-based ranks 0 and 2, "z" never comes.
        let ranked = ["j", "a", "k", "y", "b"];
        let (relevant, junk) = (set(&["a", "b", "z"]), set(&["j", "k"]));
        let want = ((1.0 + 1.0) / 2.0 + (1.0 / 2.0 + 2.0 / 3.0) / 2.0) / 3.0;
        close(revisited_average_precision(&ranked, &relevant, &junk).unwrap(), want);
        // With the junk kept: ranks 1 and 4.
        let want = ((0.0 + 1.0 / 2.0) / 2.0 + (1.0 / 4.0 + 2.0 / 5.0) / 2.0) / 3.0;
        close(revisited_average_precision(&ranked, &relevant, &set(&[])).unwrap(), want);
        close(revisited_average_precision(&["a"], &set(&["a"]), &junk).unwrap(), 1.0);
        close(revisited_average_precision(&["x"], &set(&["a"]), &junk).unwrap(), 0.0);
        assert_eq!(revisited_average_precision(&["x"], &set(&[]), &junk), None);
    }

    #[test]
    fn nothing_right_nothing_found() {
        for ranked in [&[][..], &["x"]] {
            close(average_precision(ranked, &set(&["a"])), 0.0);
            close(reciprocal_rank(ranked, &set(&["a"])), 0.0);
        }
        close(average_precision(&["a"], &set(&[])), 0.0);
        close(average_precision_at(0, &["a"], &set(&["a"])), 0.0);
    }

    #[test]
    fn a_product_returned_twice_counts_once() {
        close(average_precision(&["a", "a"], &set(&["a", "b"])), 0.5);
    }
}
