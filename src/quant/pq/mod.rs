//! Product quantizer (Jégou, Douze, Schmid 2011, section II): the vector is cut into `m` parts, each coded by the
//! nearest of `k ≤ 256` centroids of its own. `m` need not divide `d`: the first `d mod m` parts are one longer.

mod encode;
mod scan;
mod train;

pub use encode::PqEncoder;
pub use train::PqParams;

use super::{MAX_BYTES, OpenQuantizerError, header, part, read_header};
use std::borrow::Cow;
use std::ops::Range;

/// A trained product quantizer; borrows its centroids when read from a pack.
#[derive(Clone, Debug, PartialEq)]
pub struct Pq<'a> {
    dim: usize,
    m: usize,
    k: usize,
    /// For each part, packed half floats `[k / 16, d_part, 16]`.
    centroids: Cow<'a, [u8]>,
}

impl<'a> Pq<'a> {
    /// Reads what [`to_bytes`](Self::to_bytes) wrote, borrowing the centroids.
    ///
    /// # Errors
    /// [`OpenQuantizerError`]
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, OpenQuantizerError> {
        let (dim, m, k, centroids) = read_header(bytes, |d| d.min(MAX_BYTES), |d, _, k| d * k)?;
        Ok(Self { dim, m, k, centroids: Cow::Borrowed(centroids) })
    }

    /// Counts, then centroids as half floats.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = header(self.dim, self.m, self.k);
        out.extend_from_slice(&self.centroids);
        out
    }

    /// A quantizer of centroids as stored.
    pub(super) fn made(dim: usize, m: usize, k: usize, centroids: Vec<u8>) -> Pq<'static> {
        Pq { dim, m, k, centroids: Cow::Owned(centroids) }
    }

    /// Components of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Bytes of a code.
    pub fn code_len(&self) -> usize {
        self.m
    }

    /// Centroids a part.
    pub fn centroids(&self) -> usize {
        self.k
    }

    /// Components of part `j`.
    fn part(&self, j: usize) -> Range<usize> {
        part(self.dim, self.m, j)
    }

    /// Packed half floats of part `j`.
    fn codebook(&self, j: usize) -> &[u8] {
        let part = self.part(j);
        self.centroids.get(part.start * self.k * 2..part.end * self.k * 2).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels;
    use crate::quant::TrainError;
    use crate::quant::rng::Rng;
    use proptest::prelude::*;

    fn random(n: usize, d: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..n * d).map(|_| rng.unit() as f32 - 0.5).collect()
    }

    fn params(m: usize, k: usize) -> PqParams {
        PqParams { m, k, ..PqParams::default() }
    }

    #[test]
    fn parts_cover_the_vector() {
        for (dim, m) in [(8, 4), (10, 4), (7, 7), (256, 31), (5, 1)] {
            let parts: Vec<_> = (0..m).map(|j| part(dim, m, j)).collect();
            assert_eq!((parts[0].start, parts[m - 1].end), (0, dim));
            assert!(parts.windows(2).all(|w| w[0].end == w[1].start && w[0].len() >= w[1].len()));
            assert!(parts.iter().all(|p| p.len() == dim / m || p.len() == dim / m + 1));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn tables_give_the_product_with_the_decoded_vector(
            n in 1usize..80, d in 1usize..24, m_of_d in 0.0f64..1.0, log_k in 4u32..7, seed in any::<u64>(),
        ) {
            let m = 1 + (m_of_d * (d - 1) as f64) as usize;
            let vectors = random(n, d, seed);
            let pq = Pq::train(&vectors, d, &params(m, 1 << log_k), &mut |_| ()).unwrap();
            let bytes = pq.to_bytes();
            let pq = Pq::from_bytes(&bytes).unwrap();
            let codes = pq.encoder().encode(&vectors);
            let query = random(1, d, seed ^ 1);
            let tables = pq.tables(&query);
            let mut scores = vec![0.0; n];
            kernels::adc(&tables, &codes, m, &mut scores);
            for (code, score) in codes.chunks(m).zip(scores) {
                let decoded = pq.decode(code);
                prop_assert!((kernels::dot(&query, &decoded) - score).abs() < 1e-5);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_decode(bytes in prop::collection::vec(any::<u8>(), 0..80), dim in 0u32..4, m in 0u32..4) {
            let mut made = [dim, m, 16, 0].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
            made.extend(&bytes);
            for bytes in [&bytes, &made] {
                if let Ok(pq) = Pq::from_bytes(bytes) {
                    let values = pq.decode(&vec![255; pq.code_len()]);
                    prop_assert_eq!(values, vec![0.0; pq.dim()]);
                }
            }
        }
    }

    #[test]
    fn each_code_is_the_nearest_centroid() {
        let vectors = random(500, 6, 3);
        let pq = Pq::train(&vectors, 6, &params(2, 16), &mut |_| ()).unwrap();
        let codes = pq.encoder().encode(&vectors);
        for (x, code) in vectors.chunks(6).zip(codes.chunks(2)) {
            let error = kernels::l2(x, &pq.decode(code));
            for other in 0..16 {
                assert!(error <= kernels::l2(x, &pq.decode(&[other, code[1]])) + 1e-6);
                assert!(error <= kernels::l2(x, &pq.decode(&[code[0], other])) + 1e-6);
            }
        }
    }

    #[test]
    fn refuses_bad_training_input() {
        let refuse = |v: &[f32], d, p| Pq::train(v, d, &p, &mut |_| ()).unwrap_err();
        assert_eq!(refuse(&[], 4, params(2, 16)), TrainError::Shape { values: 0, dim: 4 });
        assert_eq!(refuse(&[0.0; 5], 4, params(2, 16)), TrainError::Shape { values: 5, dim: 4 });
        assert_eq!(refuse(&[0.0; 4], 0, params(2, 16)), TrainError::Shape { values: 4, dim: 0 });
        assert_eq!(refuse(&[0.0, f32::NAN], 1, params(1, 16)), TrainError::NotFinite { row: 1 });
        assert_eq!(refuse(&[0.0; 4], 4, params(2, 17)), TrainError::Centroids { k: 17 });
        assert_eq!(refuse(&[0.0; 4], 4, params(5, 16)), TrainError::Bytes { bytes: 5, max: 4 });
    }
}
