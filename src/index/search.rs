//! The exhaustive scan: score a block of rows, then look only at those that could enter the k best.

use super::changes::RowChanges;
use super::lists::{Keep, Probe};
use super::topk::TopK;
use super::view::{IndexView, Store};
use crate::cancel::{Cancel, cancelled};
use crate::kernels::{self, TABLE};

/// Rows scored before any is looked at: scores stay in the first-level cache.
const BLOCK: usize = 512;

/// One row found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Row of the index.
    pub row: u32,
    /// Estimated cosine of query and row.
    pub score: f32,
}

/// Why a query cannot be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// Another number of components than the index.
    #[error(
        "the query has {found} components, the index {expected}; use the encoder the index was built with"
    )]
    Dimension {
        /// Components of the index.
        expected: usize,
        /// Components of the query.
        found: usize,
    },
    /// NaN or infinity.
    #[error("component {at} of the query is NaN or infinite; check the encoder's output")]
    NotFinite {
        /// The component.
        at: usize,
    },
    /// The query has no direction.
    #[error("the query is zero and has no direction; check the encoder's output")]
    Zero,
    /// The search's [`Cancel`] was raised.
    #[error("cancelled")]
    Cancelled,
}

/// Which rows a search looks at, and what may end it.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Which rows may be found.
    pub keep: Keep<'a>,
    /// Rows added and deleted since the index was built.
    pub changes: Option<&'a RowChanges>,
    /// Looked at before each inverted list, or every 512 rows of other indexes.
    pub cancel: Option<&'a Cancel>,
}

impl Default for Scope<'_> {
    fn default() -> Self {
        Self { keep: Keep::All, changes: None, cancel: None }
    }
}

impl IndexView<'_> {
    /// The `k` rows nearest to `query` among those that `keep` admits, best first, equal scores by row.
    ///
    /// The query need not have length 1. `keep` is asked only about rows whose score would enter the result, so
    /// filters and deletions cost little. Fewer than `k` hits come back when fewer rows are kept.
    ///
    /// # Errors
    /// [`SearchError`]
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        keep: &dyn Fn(u32) -> bool,
    ) -> Result<Vec<Hit>, SearchError> {
        self.search_in(query, k, &Probe::default(), &Scope { keep: Keep::Each(keep), ..Scope::default() })
    }

    /// [`search`](Self::search) with a say in how far it goes, and with filters as sets of rows. Indexes without
    /// inverted lists are searched whole.
    ///
    /// # Errors
    /// [`SearchError`]
    pub fn search_with(
        &self,
        query: &[f32],
        k: usize,
        probe: &Probe,
        keep: Keep<'_>,
    ) -> Result<Vec<Hit>, SearchError> {
        self.search_in(query, k, probe, &Scope { keep, ..Scope::default() })
    }

    /// [`search_with`](Self::search_with) over an index with its changes, until it is cancelled.
    ///
    /// # Errors
    /// [`SearchError`]
    pub fn search_in(
        &self,
        query: &[f32],
        k: usize,
        probe: &Probe,
        scope: &Scope<'_>,
    ) -> Result<Vec<Hit>, SearchError> {
        let deleted = scope.changes.filter(|c| c.deleted_count() > 0).map(RowChanges::deleted);
        let live = |row: u32| deleted.is_none_or(|d| !d.contains(row));
        let Some(lists) = self.lists() else {
            let found = |keep: &dyn Fn(u32) -> bool| self.scan(query, k, scope, keep);
            return match scope.keep {
                Keep::All => found(&live),
                Keep::Rows(rows) => found(&|row| live(row) && rows.contains(row)),
                Keep::Each(keep) => found(&|row| live(row) && keep(row)),
                Keep::Except(rows) => found(&|row| live(row) && !rows.contains(row)),
            };
        };
        let query = lists.metric().comparable(query, self.dim)?;
        let added = scope.changes.and_then(RowChanges::added_to_lists);
        let nearest = |keep: Keep<'_>| lists.nearest(&query, k, probe, keep, added, scope.cancel);
        match (scope.keep, deleted) {
            (keep, None) => nearest(keep),
            (Keep::All, Some(deleted)) => nearest(Keep::Except(deleted)),
            (Keep::Rows(rows), _) => nearest(Keep::Each(&|row| live(row) && rows.contains(row))),
            (Keep::Each(keep), _) => nearest(Keep::Each(&|row| live(row) && keep(row))),
            (Keep::Except(rows), Some(deleted)) => nearest(Keep::Except(&rows.or(deleted))),
        }
    }

    /// Looks at every row, the added ones last.
    fn scan(
        &self,
        query: &[f32],
        k: usize,
        scope: &Scope<'_>,
        keep: &dyn Fn(u32) -> bool,
    ) -> Result<Vec<Hit>, SearchError> {
        let query = self.unit(query)?;
        let all = scope.changes.map_or(self.len(), RowChanges::rows);
        let mut top = TopK::new(k.min(all as usize));
        if k == 0 || all == 0 {
            return Ok(top.finish());
        }
        let tables = self.tables(&query);
        let m = tables.len() / TABLE;
        let scales: [f32; TABLE] = std::array::from_fn(|byte| self.scales.of(byte as u8));
        let mut scores = [0.0; BLOCK];
        let added = scope.changes.map_or(&[][..], RowChanges::added_rows);
        for (first, codes) in [(0, self.codes), (self.len(), added)] {
            for (block, codes) in codes.chunks(BLOCK * self.row_len).enumerate() {
                if cancelled(scope.cancel) {
                    return Err(SearchError::Cancelled);
                }
                let rows = codes.chunks_exact(self.row_len);
                let scores = &mut scores[..rows.len()];
                if let Store::Flat = self.store {
                    for (score, row) in scores.iter_mut().zip(rows) {
                        *score = kernels::dot_f16(&query, row);
                    }
                } else {
                    kernels::adc(&tables, codes, self.row_len, scores);
                    for (score, row) in scores.iter_mut().zip(rows) {
                        *score *= scales[usize::from(row[m])];
                    }
                }
                for (i, &score) in scores.iter().enumerate() {
                    let row = first + (block * BLOCK + i) as u32;
                    if top.wants(score) && keep(row) {
                        top.push(row, score);
                    }
                }
            }
        }
        Ok(top.finish())
    }

    fn unit(&self, query: &[f32]) -> Result<Vec<f32>, SearchError> {
        unit(query, self.dim)
    }
}

/// Whether a vector has `dim` components, all finite.
pub(super) fn check(query: &[f32], dim: usize) -> Result<(), SearchError> {
    if query.len() != dim {
        return Err(SearchError::Dimension { expected: dim, found: query.len() });
    }
    match query.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(SearchError::NotFinite { at }),
        None => Ok(()),
    }
}

/// A checked vector, scaled to length 1.
pub(super) fn unit(query: &[f32], dim: usize) -> Result<Vec<f32>, SearchError> {
    check(query, dim)?;
    let norm = crate::kernels::length(query);
    if norm < 1e-12 {
        return Err(SearchError::Zero);
    }
    Ok(query.iter().map(|&v| (f64::from(v) / norm) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{BuiltIndex, IndexKind, IndexParams, OpenIndexError, build};
    use proptest::prelude::*;
    use std::sync::OnceLock;

    fn numbers(seed: u64) -> impl FnMut() -> f32 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        }
    }

    /// Unit rows in `n / 4` clusters, and queries near some of them.
    fn clustered(n: usize, dim: usize, queries: usize) -> (Vec<f32>, Vec<f32>) {
        let mut next = numbers(n as u64);
        let clusters = n.div_ceil(4);
        let centres: Vec<f32> = (0..clusters * dim).map(|_| next()).collect();
        let mut near = |c: usize, noise: f32| {
            let x: Vec<f32> = centres[c * dim..][..dim].iter().map(|v| v + noise * next()).collect();
            let norm = x.iter().map(|v| v * v).sum::<f32>().sqrt();
            x.into_iter().map(move |v| v / norm)
        };
        let rows = (0..n).flat_map(|i| near(i % clusters, 0.8).collect::<Vec<_>>()).collect();
        let queries = (0..queries).flat_map(|i| near(i * 7 % clusters, 0.9).collect::<Vec<_>>()).collect();
        (rows, queries)
    }

    fn exact(rows: &[f32], dim: usize, query: &[f32], k: usize) -> Vec<u32> {
        let scored =
            rows.chunks(dim).map(|x| x.iter().zip(query).map(|(a, b)| f64::from(a * b)).sum::<f64>());
        let mut scored: Vec<_> = scored.enumerate().collect();
        scored.sort_by(|a, b| b.1.total_cmp(&a.1));
        scored.iter().take(k).map(|s| s.0 as u32).collect()
    }

    /// Recall of the ten nearest, and of the nearest among the ten found.
    fn recall(kind: IndexKind, bytes: usize, n: usize, dim: usize) -> (f32, f32) {
        let (rows, queries) = clustered(n, dim, 100);
        let built =
            build(&IndexParams { kind, bytes, ..IndexParams::default() }, &rows, dim, &mut |_| ()).unwrap();
        assert_eq!(built.kind, kind, "{:?}", built.note);
        let view = IndexView::open(&built.quantizer, &built.codes).unwrap();
        let (mut all, mut first) = (0, 0);
        for query in queries.chunks(dim) {
            let want = exact(&rows, dim, query, 10);
            let got = view.search(query, 10, &|_| true).unwrap();
            all += want.iter().filter(|w| got.iter().any(|h| h.row == **w)).count();
            first += usize::from(got.iter().any(|h| h.row == want[0]));
        }
        (all as f32 / 1000.0, first as f32 / 100.0)
    }

    #[test]
    fn flat_is_exact_and_codes_find_the_nearest() {
        let (all, first) = recall(IndexKind::Flat, 0, 2000, 32);
        assert!(all >= 0.999 && first == 1.0, "flat: {all} {first}");
        // Floors a little under what was measured; a wrong scale, table or tie breaks them.
        for (kind, bytes, floor) in FLOORS {
            let (all, first) = recall(kind, bytes, 2000, 32);
            assert!(all >= floor && first >= 0.95, "{kind} of {bytes} bytes: {all} {first}");
        }
    }

    const FLOORS: [(IndexKind, usize, f32); 3] =
        [(IndexKind::Pq, 13, 0.82), (IndexKind::Pq, 25, 0.91), (IndexKind::Rq, 13, 0.79)];

    #[test]
    fn small_catalogues_keep_their_recall() {
        for (kind, bytes, n, floor) in [(IndexKind::Pq, 17, 300, 0.82), (IndexKind::Pq, 9, 120, 0.63)] {
            let (all, first) = recall(kind, bytes, n, 48);
            assert!(all >= floor && first >= 0.95, "{kind} of {bytes} bytes, {n} rows: {all} {first}");
        }
        for n in [1, 2, 15, 60] {
            let (rows, queries) = clustered(n, 24, 3);
            for kind in [IndexKind::Flat, IndexKind::Pq, IndexKind::Rq, IndexKind::Opq] {
                let built =
                    build(&IndexParams { kind, bytes: 8, ..IndexParams::default() }, &rows, 24, &mut |_| ())
                        .unwrap();
                assert!(built.kind == kind || built.note.is_some());
                let view = IndexView::open(&built.quantizer, &built.codes).unwrap();
                for query in queries.chunks(24) {
                    let hits = view.search(query, 100, &|_| true).unwrap();
                    assert_eq!(hits.len(), n);
                    assert_eq!(hits[0].row, exact(&rows, 24, query, 1)[0]);
                }
            }
        }
    }

    const SMALL: usize = 600;

    /// An index of each kind, with a query, built once.
    fn small(kind: usize) -> &'static (BuiltIndex, Vec<f32>) {
        static BUILT: OnceLock<Vec<(BuiltIndex, Vec<f32>)>> = OnceLock::new();
        let all = BUILT.get_or_init(|| {
            let kinds = [IndexKind::Flat, IndexKind::Pq, IndexKind::Rq, IndexKind::Opq];
            let one = |kind| {
                let (rows, queries) = clustered(SMALL, 16, 1);
                (
                    build(&IndexParams { kind, bytes: 4, ..IndexParams::default() }, &rows, 16, &mut |_| ())
                        .unwrap(),
                    queries,
                )
            };
            kinds.map(one).into()
        });
        &all[kind]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn a_score_is_the_product_with_the_row_as_stored(kind in 0usize..4, bytes in 2usize..9, n in 64usize..200, seed in any::<u64>()) {
            let kind = [IndexKind::Flat, IndexKind::Pq, IndexKind::Rq, IndexKind::Opq][kind];
            let mut next = numbers(seed);
            let rows: Vec<f32> = (0..n * 20).map(|_| next()).collect();
            let built = build(&IndexParams { kind, bytes, seed, ..IndexParams::default() }, &rows, 20, &mut |_| ()).unwrap();
            let view = IndexView::open(&built.quantizer, &built.codes).unwrap();
            let query: Vec<f32> = (0..20).map(|_| next()).collect();
            let norm = kernels::dot(&query, &query).sqrt();
            for hit in view.search(&query, n, &|_| true).unwrap() {
                let want = kernels::dot(&view.reconstruct(hit.row).unwrap(), &query) / norm;
                prop_assert!((hit.score - want).abs() < 1e-5, "{} {}", hit.score, want);
            }
        }

        #[test]
        fn a_filter_equals_searching_what_it_keeps(k in 0usize..40, keep_one_in in 1u32..20) {
            let (built, queries) = small(1);
            let view = IndexView::open(&built.quantizer, &built.codes).unwrap();
            let keep = |row: u32| row.is_multiple_of(keep_one_in);
            let mut want = view.search(queries, SMALL, &|_| true).unwrap();
            want.retain(|h| keep(h.row));
            want.truncate(k);
            prop_assert_eq!(view.search(queries, k, &keep).unwrap(), want);
        }

        #[test]
        fn damaged_indexes_are_refused_or_answer(at in 0usize..2000, byte in any::<u8>(), kind in 0usize..4, cut in any::<bool>()) {
            let (built, queries) = small(kind);
            let (mut quantizer, mut codes) = (built.quantizer.clone(), built.codes.clone());
            let at = if at < 1000 { at % 48 } else { at };
            if let Some(b) = quantizer.get_mut(at) {
                *b = byte;
                if cut { quantizer.truncate(at) }
            } else {
                let at = at % codes.len();
                codes[at] = byte;
                if cut { codes.truncate(at) }
            }
            if let Ok(view) = IndexView::open(&quantizer, &codes) {
                let hits = view.search(&queries[..view.dim().min(16)], 20, &|_| true);
                prop_assert!(hits.is_err() || hits.unwrap().iter().all(|h| h.score.is_finite()));
                prop_assert!(view.reconstruct(SMALL as u32).is_none());
                view.reconstruct(SMALL as u32 / 2);
            }
        }
    }

    #[test]
    fn equal_rows_come_by_row_number() {
        let rows = [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        let built = build(&IndexParams::default(), &rows, 2, &mut |_| ()).unwrap();
        let view = IndexView::open(&built.quantizer, &built.codes).unwrap();
        let rows =
            |k| view.search(&[2.0, 0.0], k, &|_| true).unwrap().iter().map(|h| h.row).collect::<Vec<_>>();
        assert_eq!(rows(2), [1, 2]);
        assert_eq!(rows(9), [1, 2, 3, 0]);
        assert_eq!(rows(usize::MAX).len(), 4);
        assert!(rows(0).is_empty());
    }

    #[test]
    fn keep_is_asked_only_about_contenders() {
        let (rows, queries) = clustered(3000, 16, 1);
        let built = build(&IndexParams::default(), &rows, 16, &mut |_| ()).unwrap();
        let view = IndexView::open(&built.quantizer, &built.codes).unwrap();
        let asked = std::cell::Cell::new(0);
        let keep = |_| {
            asked.set(asked.get() + 1);
            true
        };
        view.search(&queries, 10, &keep).unwrap();
        assert!(asked.get() < 300, "{}", asked.get());
    }

    #[test]
    fn bad_queries_and_bytes_are_named() {
        let built = build(&IndexParams::default(), &[1.0, 0.0], 2, &mut |_| ()).unwrap();
        let view = IndexView::open(&built.quantizer, &built.codes).unwrap();
        let refuse = |q: &[f32]| view.search(q, 1, &|_| true).unwrap_err();
        assert_eq!(refuse(&[1.0]), SearchError::Dimension { expected: 2, found: 1 });
        assert_eq!(refuse(&[1.0, f32::NAN]), SearchError::NotFinite { at: 1 });
        assert_eq!(refuse(&[0.0, 0.0]), SearchError::Zero);
        assert_eq!(view.search(&[f32::MAX, f32::MAX], 1, &|_| true).unwrap()[0].score, 0.5f32.sqrt());
        assert!(view.reconstruct(1).is_none());
        let codes = OpenIndexError::Codes { found: 3, rows: 1, row_len: 4 };
        assert_eq!(IndexView::open(&built.quantizer, &built.codes[1..]).unwrap_err(), codes);
        let mut later = built.quantizer.clone();
        later[2] = 9;
        let unknown = OpenIndexError::Unknown { version: 1, kind: 9 };
        assert_eq!(IndexView::open(&later, &built.codes).unwrap_err(), unknown);
    }

    #[cfg(feature = "build")]
    #[test]
    fn builds_are_the_same_on_any_number_of_threads() {
        let (rows, _) = clustered(1200, 16, 1);
        for kind in [IndexKind::Pq, IndexKind::Rq, IndexKind::Opq] {
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    build(
                        &IndexParams { kind, bytes: 4, seed: 5, ..IndexParams::default() },
                        &rows,
                        16,
                        &mut |_| (),
                    )
                    .unwrap()
                })
            };
            assert_eq!(run(1), run(3));
        }
    }
}
