//! Tables for one query.

use super::Pq;
use crate::kernels::{self, TABLE};

impl Pq<'_> {
    /// Inner products of the query's parts with each centroid, `[m, 256]`; entries past the centroids are 0.
    ///
    /// Components missing from `query` count as no product.
    pub fn tables(&self, query: &[f32]) -> Vec<f32> {
        let mut tables = vec![0.0; self.m * TABLE];
        for (j, table) in tables.chunks_exact_mut(TABLE).enumerate() {
            if let (Some(x), Some(out)) = (query.get(self.part(j)), table.get_mut(..self.k)) {
                kernels::dots_packed_f16(x, self.codebook(j), out);
            }
        }
        tables
    }
}
