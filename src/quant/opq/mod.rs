//! Optimised product quantizer (Ge, He, Ke and Sun 2013): one rotation for all vectors, then a product quantizer. The
//! rotation starts at balanced principal axes and takes turns with the codebooks.

mod encode;
mod scan;
mod train;

pub use encode::OpqEncoder;
pub use train::OpqParams;

use super::{MAX_DIM, OpenQuantizerError, Pq, rotation};
use std::borrow::Cow;

/// A trained quantizer; borrows its tables when read from a pack.
#[derive(Clone, Debug, PartialEq)]
pub struct Opq<'a> {
    rotation: Cow<'a, [u8]>,
    pq: Pq<'a>,
}

impl<'a> Opq<'a> {
    /// Reads what [`to_bytes`](Self::to_bytes) wrote, borrowing the tables.
    ///
    /// # Errors
    /// [`OpenQuantizerError`]
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, OpenQuantizerError> {
        let found = bytes.len() as u64;
        let short = OpenQuantizerError::Length { expected: 4, found };
        let (dim, rest) = bytes.split_first_chunk::<4>().ok_or(short)?;
        let dim = u32::from_le_bytes(*dim);
        if dim == 0 || dim as usize > MAX_DIM {
            return Err(OpenQuantizerError::Counts { dim, bytes: 0, k: 0 });
        }
        let len = rotation::stored_len(dim as usize);
        let short = OpenQuantizerError::Length { expected: 4 + len as u64, found };
        let (rotation, pq) = rest.split_at_checked(len).ok_or(short)?;
        let pq = Pq::from_bytes(pq)?;
        if pq.dim() != dim as usize {
            return Err(OpenQuantizerError::Counts { dim, bytes: 0, k: 0 });
        }
        Ok(Self { rotation: Cow::Borrowed(rotation), pq })
    }

    /// Components, rotation, product quantizer.
    pub fn to_bytes(&self) -> Vec<u8> {
        // At most MAX_DIM.
        let mut out = (self.pq.dim() as u32).to_le_bytes().to_vec();
        out.extend_from_slice(&self.rotation);
        out.extend(self.pq.to_bytes());
        out
    }

    /// Components of a vector.
    pub fn dim(&self) -> usize {
        self.pq.dim()
    }

    /// Bytes of a code.
    pub fn code_len(&self) -> usize {
        self.pq.code_len()
    }

    /// Centroids a part.
    pub fn centroids(&self) -> usize {
        self.pq.centroids()
    }

    /// The vector a code stands for, `[d]`.
    pub fn decode(&self, code: &[u8]) -> Vec<f32> {
        rotation::invert(&self.rotation, &self.pq.decode(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels;
    use crate::quant::rng::Rng;
    use crate::quant::{PqParams, TrainError};
    use proptest::prelude::*;

    fn random(n: usize, d: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..n * d).map(|_| rng.unit() as f32 - 0.5).collect()
    }

    /// Points whose variance lies along one turned direction, which plain parts cannot share.
    fn slanted(n: usize, d: usize, seed: u64) -> Vec<f32> {
        let mut out = random(n, d, seed);
        let mut rng = Rng::new(seed ^ 5);
        for row in out.chunks_mut(d) {
            let along = rng.unit() as f32 * 8.0 - 4.0;
            row.iter_mut()
                .enumerate()
                .for_each(|(i, v)| *v = *v * 0.3 + if i % 2 == 0 { along } else { 0.0 });
        }
        out
    }

    fn params(m: usize, k: usize) -> OpqParams {
        OpqParams { m, k, ..OpqParams::default() }
    }

    #[test]
    fn errs_less_than_plain_parts() {
        let v = slanted(1500, 8, 2);
        let opq = Opq::train(&v, 8, &params(4, 16), &mut |_| ()).unwrap();
        let pq = Pq::train(&v, 8, &PqParams { m: 4, k: 16, ..PqParams::default() }, &mut |_| ()).unwrap();
        let error = |decoded: Vec<Vec<f32>>| -> f32 {
            v.chunks(8).zip(decoded).map(|(x, y)| kernels::l2(x, &y)).sum()
        };
        let codes = opq.encoder().encode(&v);
        let plain = pq.encoder().encode(&v);
        let (own, plain) = (
            error(codes.chunks(4).map(|c| opq.decode(c)).collect()),
            error(plain.chunks(4).map(|c| pq.decode(c)).collect()),
        );
        assert!(own < 0.9 * plain, "{own} {plain}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn tables_give_the_product_with_the_decoded_vector(n in 1usize..60, d in 1usize..16, parts in 1usize..6, seed in any::<u64>()) {
            let m = parts.min(d);
            let vectors = random(n, d, seed);
            let opq = Opq::train(&vectors, d, &params(m, 16), &mut |_| ()).unwrap();
            let bytes = opq.to_bytes();
            let opq = Opq::from_bytes(&bytes).unwrap();
            let codes = opq.encoder().encode(&vectors);
            let query = random(1, d, seed ^ 1);
            let mut scores = vec![0.0; n];
            kernels::adc(&opq.tables(&query), &codes, m, &mut scores);
            for (code, score) in codes.chunks(m).zip(scores) {
                prop_assert!((kernels::dot(&query, &opq.decode(code)) - score).abs() < 1e-4);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_decode(bytes in prop::collection::vec(any::<u8>(), 0..200), dim in 1u32..3) {
            let mut made = dim.to_le_bytes().to_vec();
            made.extend(&bytes);
            for bytes in [&bytes, &made] {
                if let Ok(opq) = Opq::from_bytes(bytes) {
                    prop_assert_eq!(opq.decode(&vec![255; opq.code_len()]).len(), opq.dim());
                }
            }
        }
    }

    #[test]
    fn refuses_bad_training_input() {
        let refuse = |v: &[f32], d, p| Opq::train(v, d, &p, &mut |_| ()).unwrap_err();
        assert_eq!(refuse(&[0.0; 5], 4, params(2, 16)), TrainError::Shape { values: 5, dim: 4 });
        assert_eq!(refuse(&[f32::NAN], 1, params(1, 16)), TrainError::NotFinite { row: 0 });
        assert_eq!(refuse(&[0.0; 4], 4, params(2, 8)), TrainError::Centroids { k: 8 });
        assert_eq!(refuse(&[0.0; 4], 4, params(5, 16)), TrainError::Bytes { bytes: 5, max: 4 });
    }
}
