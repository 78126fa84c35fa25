//! The k best of many, in bounded memory.

use super::Hit;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A hit ordered so that the worst is greatest: low score first, then high row.
#[derive(Clone, Copy)]
struct Worst(Hit);

impl Ord for Worst {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.score.total_cmp(&self.0.score).then(self.0.row.cmp(&other.0.row))
    }
}

impl PartialOrd for Worst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Worst {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Worst {}

/// The `k` of so many rows that score best, best first, equal ones by row; NaN and −∞ never do.
pub(crate) fn best(rows: usize, k: usize, score: impl Fn(usize) -> f32) -> Vec<u32> {
    let mut top = TopK::new(k.min(rows));
    for row in 0..rows {
        top.push(row as u32, score(row));
    }
    top.finish().iter().map(|hit| hit.row).collect()
}

/// Keeps the `k` best hits seen.
pub(super) struct TopK {
    k: usize,
    heap: BinaryHeap<Worst>,
    /// What a score must pass once there are `k`; rows come in rising order, so an equal score loses.
    bar: f32,
}

impl TopK {
    pub fn new(k: usize) -> Self {
        Self {
            k,
            heap: BinaryHeap::with_capacity(k),
            bar: if k == 0 { f32::INFINITY } else { f32::NEG_INFINITY },
        }
    }

    /// Whether a later row of this score would be kept.
    #[inline]
    pub fn wants(&self, score: f32) -> bool {
        score > self.bar
    }

    /// Offers a row after all lower rows.
    pub fn push(&mut self, row: u32, score: f32) {
        if !self.wants(score) {
            return;
        }
        if self.heap.len() == self.k {
            self.heap.pop();
        }
        self.heap.push(Worst(Hit { row, score }));
        if self.heap.len() == self.k {
            self.bar = self.heap.peek().map_or(f32::NEG_INFINITY, |w| w.0.score);
        }
    }

    /// Best first, ties by row.
    pub fn finish(self) -> Vec<Hit> {
        self.heap.into_sorted_vec().into_iter().map(|w| w.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_sorting_everything(scores in prop::collection::vec(-3i8..3, 0..60), k in 0usize..70) {
            let mut top = TopK::new(k);
            for (row, &score) in scores.iter().enumerate() {
                top.push(row as u32, f32::from(score));
            }
            let mut want: Vec<_> = scores.iter().enumerate().collect();
            want.sort_by_key(|&(row, &score)| (-score, row));
            let got: Vec<_> = top.finish().iter().map(|h| h.row as usize).collect();
            let want: Vec<_> = want.iter().take(k).map(|w| w.0).collect();
            prop_assert_eq!(got, want);
        }
    }
}
