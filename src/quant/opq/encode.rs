//! Turn, then nearest centroid of each part.

use super::Opq;
use crate::quant::pq::PqEncoder;
use crate::quant::{parallel, rotation};

/// A quantizer laid out for encoding many vectors.
#[derive(Debug)]
pub struct OpqEncoder<'a> {
    opq: &'a Opq<'a>,
    pq: PqEncoder<'a>,
}

impl Opq<'_> {
    /// Prepares to encode.
    pub fn encoder(&self) -> OpqEncoder<'_> {
        OpqEncoder { opq: self, pq: self.pq.encoder() }
    }
}

impl OpqEncoder<'_> {
    /// Codes of `vectors`, shape `[n, d]`, as `[n, m]`.
    pub fn encode(&self, vectors: &[f32]) -> Vec<u8> {
        let d = self.opq.dim();
        let turned = parallel::map(vectors.len() / d, |i| {
            let mut y = vec![0.0; d];
            rotation::apply(&self.opq.rotation, &vectors[i * d..][..d], &mut y);
            y
        });
        self.pq.encode(&turned.concat())
    }
}
