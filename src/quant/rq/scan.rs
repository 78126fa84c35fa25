//! Tables for one query.

use super::Rq;
use crate::kernels::{self, TABLE};

impl Rq<'_> {
    /// Inner products of the query with each centroid of each stage, `[m, 256]`; entries past the centroids are 0.
    ///
    /// A query of another dimension gives zeros.
    pub fn tables(&self, query: &[f32]) -> Vec<f32> {
        let mut tables = vec![0.0; self.m * TABLE];
        if query.len() != self.dim {
            return tables;
        }
        for (j, table) in tables.chunks_exact_mut(TABLE).enumerate() {
            if let Some(out) = table.get_mut(..self.k) {
                kernels::dots_packed_f16(query, self.codebook(j), out);
            }
        }
        tables
    }
}
