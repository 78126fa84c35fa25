//! The exhaustive scan: score a block of rows, then look only at those that could enter the k best.

use super::topk::TopK;
use super::view::{IndexView, Store};
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
        let query = self.unit(query)?;
        let mut top = TopK::new(k.min(self.len() as usize));
        if k == 0 || self.is_empty() {
            return Ok(top.finish());
        }
        let tables = self.tables(&query);
        let m = tables.len() / TABLE;
        let scales: [f32; TABLE] = std::array::from_fn(|byte| self.scales.of(byte as u8));
        let mut scores = [0.0; BLOCK];
        for (block, codes) in self.codes.chunks(BLOCK * self.row_len).enumerate() {
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
                let row = (block * BLOCK + i) as u32;
                if top.wants(score) && keep(row) {
                    top.push(row, score);
                }
            }
        }
        Ok(top.finish())
    }

    fn unit(&self, query: &[f32]) -> Result<Vec<f32>, SearchError> {
        if query.len() != self.dim {
            return Err(SearchError::Dimension { expected: self.dim, found: query.len() });
        }
        if let Some(at) = query.iter().position(|v| !v.is_finite()) {
            return Err(SearchError::NotFinite { at });
        }
        // f64: squares of large finite f32 would overflow.
        let norm = query.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        if norm < 1e-12 {
            return Err(SearchError::Zero);
        }
        Ok(query.iter().map(|&v| (f64::from(v) / norm) as f32).collect())
    }
}
