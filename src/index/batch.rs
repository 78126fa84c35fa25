//! Many queries at once, on several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::search::{Scope, SearchError};
use super::{Hit, IndexView, Keep, Probe, RowChanges};
use crate::cancel::Cancel;

/// What a batch of searches looks at. Filters are sets of rows: a function may not be called from several threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchScope<'a> {
    /// Rows that may be found; all without it.
    pub rows: Option<&'a super::Bitmap>,
    /// Rows added and deleted since the index was built.
    pub changes: Option<&'a RowChanges>,
    /// Ends the whole batch.
    pub cancel: Option<&'a Cancel>,
}

impl IndexView<'_> {
    /// [`search_in`](IndexView::search_in) for each query of `[n, dim]`, on at most `threads` threads, this one
    /// included (1 if 0). The answers are those of single searches, whatever the threads.
    ///
    /// # Errors
    /// [`SearchError`] of the first query that is refused; [`SearchError::Dimension`] if they are not whole queries.
    pub fn search_batch(
        &self,
        queries: &[f32],
        k: usize,
        probe: &Probe,
        scope: &BatchScope<'_>,
        threads: usize,
    ) -> Result<Vec<Vec<Hit>>, SearchError> {
        if !queries.len().is_multiple_of(self.dim()) {
            return Err(SearchError::Dimension { expected: self.dim(), found: queries.len() % self.dim() });
        }
        let n = queries.len() / self.dim();
        let (next, done) = (AtomicUsize::new(0), Mutex::new(vec![None; n]));
        let work = || {
            let keep = scope.rows.map_or(Keep::All, Keep::Rows);
            let one = Scope { keep, changes: scope.changes, cancel: scope.cancel };
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(query) = queries.get(at * self.dim()..(at + 1) * self.dim()) else { break };
                let hits = self.search_in(query, k, probe, &one);
                // No thread panics while it holds the lock.
                if let Ok(mut done) = done.lock()
                    && let Some(slot) = done.get_mut(at)
                {
                    *slot = Some(hits);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads.min(n) {
                // Where no thread can be had, those there are do the work.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        done.into_inner().unwrap_or_default().into_iter().map(|hits| hits.unwrap_or(Ok(Vec::new()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Bitmap, IndexKind, IndexParams, build};

    fn index(kind: IndexKind) -> (Vec<f32>, super::super::BuiltIndex) {
        let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 12) as f32 / (1 << 20) as f32 - 0.5;
        let rows: Vec<f32> = (0..4500 * 6).map(value).collect();
        let built =
            build(&IndexParams { kind, bytes: 12, ..IndexParams::default() }, &rows, 6, &mut |_| ()).unwrap();
        assert_eq!(built.kind, kind);
        (rows, built)
    }

    #[test]
    fn a_batch_answers_as_single_searches_do() {
        for kind in [IndexKind::Flat, IndexKind::Trq] {
            let (rows, built) = index(kind);
            let view = IndexView::open(&built.quantizer, &built.codes).unwrap();
            let queries = &rows[..40 * 6];
            let even = Bitmap::of(4500, |row| row % 2 == 0);
            let probe = Probe::default();
            let want: Vec<_> = queries
                .chunks(6)
                .map(|q| view.search_with(q, 7, &probe, Keep::Rows(&even)).unwrap())
                .collect();
            for threads in [0, 1, 3, 100] {
                let scope = BatchScope { rows: Some(&even), ..BatchScope::default() };
                assert_eq!(view.search_batch(queries, 7, &probe, &scope, threads).unwrap(), want);
            }
            assert!(view.search_batch(&[], 7, &probe, &BatchScope::default(), 4).unwrap().is_empty());
        }
    }

    #[test]
    fn a_batch_with_a_bad_query_or_a_raised_flag_is_refused() {
        for kind in [IndexKind::Flat, IndexKind::Trq] {
            let (mut rows, built) = index(kind);
            let view = IndexView::open(&built.quantizer, &built.codes).unwrap();
            let scope = BatchScope::default();
            let batch = |queries: &[f32], scope| view.search_batch(queries, 3, &Probe::default(), &scope, 2);
            assert_eq!(batch(&rows[..7], scope), Err(SearchError::Dimension { expected: 6, found: 1 }));
            rows[8] = f32::NAN;
            assert_eq!(batch(&rows[..18], scope), Err(SearchError::NotFinite { at: 2 }));
            let cancel = Cancel::new();
            cancel.cancel();
            let scope = BatchScope { cancel: Some(&cancel), ..scope };
            assert_eq!(batch(&rows[..6], scope), Err(SearchError::Cancelled));
        }
    }
}
