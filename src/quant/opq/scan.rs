//! Tables for one query.

use super::Opq;
use crate::quant::rotation;

impl Opq<'_> {
    /// Inner products of the turned query's parts with each centroid, `[m, 256]`; entries past the centroids are 0.
    ///
    /// A query of another dimension gives zeros.
    pub fn tables(&self, query: &[f32]) -> Vec<f32> {
        let mut turned = vec![0.0; self.dim()];
        if query.len() == self.dim() {
            rotation::apply(&self.rotation, query, &mut turned);
        }
        self.pq.tables(&turned)
    }
}
