//! Residual quantizer (Chen, Guan, Wang 2010): `m` stages of `k ≤ 256` centroids; each stage codes what those
//! before it left, and the decoded vector is the sum. Encoding keeps a beam of the best partial sums
//! (Babenko and Lempitsky 2014, section 3.2), since the nearest centroid of a stage is often not the best start.

mod encode;
mod scan;
mod train;

pub use encode::RqEncoder;
pub use train::RqParams;

use super::{MAX_BYTES, OpenQuantizerError, header, read_header};
use std::borrow::Cow;

/// A trained residual quantizer; borrows its centroids when read from a pack.
#[derive(Clone, Debug, PartialEq)]
pub struct Rq<'a> {
    dim: usize,
    m: usize,
    k: usize,
    /// For each stage, packed half floats `[k / 16, d, 16]`.
    centroids: Cow<'a, [u8]>,
}

impl<'a> Rq<'a> {
    /// Reads what [`to_bytes`](Self::to_bytes) wrote, borrowing the centroids.
    ///
    /// # Errors
    /// [`OpenQuantizerError`]
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, OpenQuantizerError> {
        let (dim, m, k, centroids) = read_header(bytes, |_| MAX_BYTES, |d, m, k| d * m * k)?;
        Ok(Self { dim, m, k, centroids: Cow::Borrowed(centroids) })
    }

    /// Counts, then centroids as half floats.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = header(self.dim, self.m, self.k);
        out.extend_from_slice(&self.centroids);
        out
    }

    /// Components of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Bytes of a code.
    pub fn code_len(&self) -> usize {
        self.m
    }

    /// Centroids a stage.
    pub fn centroids(&self) -> usize {
        self.k
    }

    /// Packed half floats of stage `j`.
    fn codebook(&self, j: usize) -> &[u8] {
        let len = self.dim * self.k * 2;
        self.centroids.get(j * len..(j + 1) * len).unwrap_or_default()
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

    fn params(m: usize, k: usize) -> RqParams {
        RqParams { m, k, ..RqParams::default() }
    }

    fn error(rq: &Rq<'_>, vectors: &[f32], codes: &[u8]) -> f32 {
        let rows = vectors.chunks(rq.dim).zip(codes.chunks(rq.m));
        rows.map(|(x, code)| kernels::l2(x, &rq.decode(code))).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn tables_give_the_product_with_the_decoded_vector(
            n in 1usize..60, d in 1usize..16, m in 1usize..6, log_k in 4u32..7, seed in any::<u64>(),
        ) {
            let vectors = random(n, d, seed);
            let rq = Rq::train(&vectors, d, &params(m, 1 << log_k), &mut |_| ()).unwrap();
            let bytes = rq.to_bytes();
            let rq = Rq::from_bytes(&bytes).unwrap();
            let codes = rq.encoder(5).encode(&vectors);
            let query = random(1, d, seed ^ 1);
            let tables = rq.tables(&query);
            let mut scores = vec![0.0; n];
            kernels::adc(&tables, &codes, m, &mut scores);
            for (code, score) in codes.chunks(m).zip(scores) {
                prop_assert!((kernels::dot(&query, &rq.decode(code)) - score).abs() < 1e-5);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_decode(bytes in prop::collection::vec(any::<u8>(), 0..80), dim in 0u32..4, m in 0u32..4) {
            let mut made = [dim, m, 16, 0].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
            made.extend(&bytes);
            for bytes in [&bytes, &made] {
                if let Ok(rq) = Rq::from_bytes(bytes) {
                    prop_assert_eq!(rq.decode(&vec![255; rq.code_len()]), vec![0.0; rq.dim()]);
                }
            }
        }
    }

    #[test]
    fn a_wider_beam_and_more_stages_err_less() {
        let vectors = random(600, 12, 3);
        let rq = Rq::train(&vectors, 12, &params(4, 16), &mut |_| ()).unwrap();
        let by_beam = [1, 5, 20].map(|beam| error(&rq, &vectors, &rq.encoder(beam).encode(&vectors)));
        assert!(by_beam[1] < by_beam[0] && by_beam[2] < by_beam[1], "{by_beam:?}");
        let longer = Rq::train(&vectors, 12, &params(6, 16), &mut |_| ()).unwrap();
        assert!(error(&longer, &vectors, &longer.encoder(5).encode(&vectors)) < by_beam[1]);
    }

    #[test]
    fn fitting_codebooks_again_errs_less() {
        let vectors = random(800, 10, 6);
        let by_refits = [0, 1, 3].map(|refits| {
            let p = RqParams { refits, ..params(4, 16) };
            let rq = Rq::train(&vectors, 10, &p, &mut |_| ()).unwrap();
            error(&rq, &vectors, &rq.encoder(5).encode(&vectors))
        });
        assert!(by_refits[1] < 0.99 * by_refits[0] && by_refits[2] < by_refits[1], "{by_refits:?}");
    }

    #[test]
    fn a_full_beam_finds_the_best_code() {
        let vectors = random(40, 3, 9);
        let rq = Rq::train(&vectors, 3, &params(2, 16), &mut |_| ()).unwrap();
        let codes = rq.encoder(16).encode(&vectors);
        for (x, code) in vectors.chunks(3).zip(codes.chunks(2)) {
            let best = (0..=255u8).map(|c| kernels::l2(x, &rq.decode(&[c >> 4, c & 15]))).fold(9.0, f32::min);
            assert!(kernels::l2(x, &rq.decode(code)) <= best + 1e-6);
        }
    }

    #[test]
    fn refuses_bad_training_input() {
        let refuse = |v: &[f32], d, p| Rq::train(v, d, &p, &mut |_| ()).unwrap_err();
        assert_eq!(refuse(&[0.0; 5], 4, params(2, 16)), TrainError::Shape { values: 5, dim: 4 });
        assert_eq!(refuse(&[f32::INFINITY], 1, params(1, 16)), TrainError::NotFinite { row: 0 });
        assert_eq!(refuse(&[0.0; 4], 4, params(2, 8)), TrainError::Centroids { k: 8 });
        assert_eq!(refuse(&[0.0; 4], 4, params(0, 16)), TrainError::Bytes { bytes: 0, max: MAX_BYTES });
    }
}
