//! Nearest centroid of each part, and back.

use super::Pq;
use crate::kernels::{self, TABLE, f16};
use crate::quant::codebook::{norms, packed_at};
use crate::quant::parallel;

/// A quantizer's centroids laid out for encoding many vectors.
#[derive(Debug)]
pub struct PqEncoder<'a> {
    pq: &'a Pq<'a>,
    /// For each part, its packed centroids and half their squared lengths.
    parts: Vec<(Vec<f32>, Vec<f32>)>,
}

impl Pq<'_> {
    /// Prepares to encode.
    pub fn encoder(&self) -> PqEncoder<'_> {
        let parts = (0..self.m).map(|j| {
            let packed = f16::from_bytes(self.codebook(j));
            let half_norms = norms(&packed, self.part(j).len()).iter().map(|n| n / 2.0).collect();
            (packed, half_norms)
        });
        PqEncoder { pq: self, parts: parts.collect() }
    }

    /// The vector a code stands for, shape `[d]`; bytes missing from `code` count as 0.
    pub fn decode(&self, code: &[u8]) -> Vec<f32> {
        let mut out = vec![0.0; self.dim];
        for (j, &c) in code.iter().enumerate().take(self.m) {
            let part = self.part(j);
            let codebook = self.codebook(j).as_chunks::<2>().0;
            let d = part.len();
            for (i, out) in out[part].iter_mut().enumerate() {
                let half = codebook.get(packed_at(usize::from(c), i, d));
                *out = half.map_or(0.0, |b| f16::decode(u16::from_le_bytes(*b)));
            }
        }
        out
    }
}

impl PqEncoder<'_> {
    /// Codes of `vectors`, shape `[n, d]`, as `[n, m]`.
    pub fn encode(&self, vectors: &[f32]) -> Vec<u8> {
        let (dim, m) = (self.pq.dim, self.pq.m);
        let mut codes = vec![0; vectors.len() / dim * m];
        parallel::for_rows(&mut codes, m, |i, code| self.encode_row(&vectors[i * dim..][..dim], code));
        codes
    }

    fn encode_row(&self, x: &[f32], code: &mut [u8]) {
        let mut scores = [0.0; TABLE];
        for (j, ((packed, half_norms), code)) in self.parts.iter().zip(code).enumerate() {
            let scores = &mut scores[..half_norms.len()];
            kernels::dots_packed(&x[self.pq.part(j)], packed, scores);
            // |x − c|² / 2 without the constant |x|².
            for (s, h) in scores.iter_mut().zip(half_norms) {
                *s = h - *s;
            }
            *code = kernels::argmin(scores) as u8;
        }
    }
}
