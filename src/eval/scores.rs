//! Every metric over the ranked lists of all queries.

use std::collections::HashSet;

use super::metrics::{
    Interval, RecallMeans, average_precision, average_precision_at, bootstrap_mean, hit_at, mean,
    paired_bootstrap, recall_means, reciprocal_rank, revisited_average_precision,
};

/// Resamples of a bootstrap interval.
const RESAMPLES: usize = 10_000;

/// One query's ranked list and what is right.
#[derive(Clone, Debug, Default)]
pub struct Ranking {
    /// Ids, best first, none twice.
    pub ranked: Vec<String>,
    /// The right ones, at least one.
    pub right: HashSet<String>,
    /// Neither right nor wrong: taken out of `ranked` first.
    pub junk: HashSet<String>,
}

/// Means over queries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// Queries judged.
    pub queries: usize,
    /// `(k, share of queries with a right product among the first k)`: hit@k, "recall@k" of instance retrieval.
    pub hit: Vec<(usize, f64)>,
    /// 95 % bootstrap interval of hit@1.
    pub hit_1_interval: Option<Interval>,
    /// The means of recall@10; [`RecallMeans::macro_mean`] is eProduct's MAR@10.
    pub recall_10: RecallMeans,
    /// Mean average precision.
    pub map: f64,
    /// Mean AP@100 of the landmark benchmarks.
    pub map_100: f64,
    /// Mean average precision as the Revisited Oxford and Paris benchmarks integrate it.
    pub map_revisited: f64,
    /// Mean reciprocal rank.
    pub mrr: f64,
    /// Whether each query's first answer is right, as 0 or 1.
    pub hit_1: Vec<f64>,
}

impl Scores {
    /// Judges every list; zeros for none.
    pub fn of(rankings: &[Ranking]) -> Self {
        // The lists without junk, which no metric but the revisited one knows of.
        let judged: Vec<(Vec<&str>, HashSet<&str>)> = rankings
            .iter()
            .map(|query| {
                let ranked = query.ranked.iter().filter(|id| !query.junk.contains(*id));
                (ranked.map(String::as_str).collect(), query.right.iter().map(String::as_str).collect())
            })
            .collect();
        let each = |metric: &dyn Fn(&[&str], &HashSet<&str>) -> f64| -> Vec<f64> {
            judged.iter().map(|(ranked, right)| metric(ranked, right)).collect()
        };
        let hits = |k| each(&|ranked, right| f64::from(u8::from(hit_at(k, ranked, right))));
        let revisited: Vec<f64> = rankings
            .iter()
            .filter_map(|query| revisited_average_precision(&query.ranked, &query.right, &query.junk))
            .collect();
        let hit_1 = hits(1);
        Self {
            queries: rankings.len(),
            hit: [1, 5, 10].map(|k| (k, mean(&hits(k)))).to_vec(),
            hit_1_interval: bootstrap_mean(&hit_1, 0.95, RESAMPLES, 0),
            recall_10: recall_means(10, &judged),
            map: mean(&each(&|ranked, right| average_precision(ranked, right))),
            map_100: mean(&each(&|ranked, right| average_precision_at(100, ranked, right))),
            map_revisited: mean(&revisited),
            mrr: mean(&each(&|ranked, right| reciprocal_rank(ranked, right))),
            hit_1,
        }
    }

    /// 95 % interval of what hit@1 gains from `before` to here, query by query; `None` for other queries.
    pub fn gain_over(&self, before: &Self) -> Option<Interval> {
        paired_bootstrap(&before.hit_1, &self.hit_1, RESAMPLES, 0)
    }

    /// Name and value of every metric, as tables and JSON call them.
    pub fn named(&self) -> Vec<(String, f64)> {
        let mut all: Vec<(String, f64)> = self.hit.iter().map(|(k, v)| (format!("hit@{k}"), *v)).collect();
        let fixed = [
            ("mar@10", self.recall_10.macro_mean),
            ("mar_capped@10", self.recall_10.capped),
            ("mar_class@10", self.recall_10.class_macro),
            ("mar_micro@10", self.recall_10.micro),
            ("map", self.map),
            ("map@100", self.map_100),
            ("map_revisited", self.map_revisited),
            ("mrr", self.mrr),
        ];
        all.extend(fixed.map(|(name, value)| (name.to_owned(), value)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(ranked: &str, right: &str, junk: &str) -> Ranking {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        Ranking {
            ranked: words(ranked),
            right: words(right).into_iter().collect(),
            junk: words(junk).into_iter().collect(),
        }
    }

    fn close(found: f64, want: f64) {
        assert!((found - want).abs() < 1e-12, "{found} where {want} was wanted");
    }

    #[test]
    fn three_queries_by_hand() {
        let rankings = [ranking("a b c", "a c", ""), ranking("j x d", "d", "j"), ranking("x y", "e", "")];
        let scores = Scores::of(&rankings);
        assert_eq!(scores.hit_1, [1.0, 0.0, 0.0]);
        close(scores.hit[1].1, 2.0 / 3.0);
        close(scores.recall_10.macro_mean, 2.0 / 3.0);
        close(scores.recall_10.micro, 3.0 / 4.0);
        close(scores.map, ((1.0 + 2.0 / 3.0) / 2.0 + 0.5 + 0.0) / 3.0);
        close(scores.mrr, (1.0 + 0.5) / 3.0);
        // a at 0, c at 2; d at 1 without the junk.
        close(scores.map_revisited, ((1.0 + (0.5 + 2.0 / 3.0) / 2.0) / 2.0 + (0.0 + 0.5) / 2.0) / 3.0);
        assert!(
            scores.named().iter().any(|(name, value)| name == "mar@10" && (value - 2.0 / 3.0).abs() < 1e-12)
        );
    }

    #[test]
    fn gains_are_of_the_same_queries() {
        let some = Scores::of(&[ranking("a", "a", ""), ranking("b", "x", "")]);
        let all = Scores::of(&[ranking("a", "a", ""), ranking("x", "x", "")]);
        let gain = all.gain_over(&some).unwrap();
        assert!(gain.low >= 0.0 && gain.high <= 1.0 && gain.low < gain.high);
        assert_eq!(all.gain_over(&Scores::of(&[])), None);
        assert_eq!(Scores::of(&[]).queries, 0);
    }
}
