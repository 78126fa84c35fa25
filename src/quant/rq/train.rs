//! One k-means a stage, on all that the beam's partial sums of the stages before left of each vector: a stage then serves
//! the sums that encoding will bring it, and several a vector are harder to learn by heart than one. Then each codebook is
//! fitted again to what the others leave, with the codes that the beam found.

use super::Rq;
use super::encode::Partial;
use crate::kernels::f16;
use crate::quant::codebook::{pack, packed_at};
use crate::quant::kmeans::{KmeansParams, kmeans};
use crate::quant::rng::Rng;
use crate::quant::{MAX_BYTES, TrainError, check_training, parallel};
use std::borrow::Cow;

/// How to train a residual quantizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RqParams {
    /// Stages, which is bytes a code.
    pub m: usize,
    /// Centroids a stage: a power of two from 16 to 256.
    pub k: usize,
    /// Most k-means rounds.
    pub iterations: usize,
    /// Most vectors to train on; a sample is drawn beyond. A round costs `points · k · d` a stage.
    pub max_points: usize,
    /// Times all codebooks are fitted again. A round costs one encoding of the training vectors.
    pub refits: usize,
    /// Fixes every choice.
    pub seed: u64,
}

impl Default for RqParams {
    fn default() -> Self {
        Self { m: 16, k: 256, iterations: 10, max_points: 16_384, refits: 1, seed: 1 }
    }
}

impl Rq<'static> {
    /// Trains on `vectors`, shape `[n, dim]`. `progress` is told the share done.
    ///
    /// # Errors
    /// [`TrainError`]
    pub fn train(
        vectors: &[f32],
        dim: usize,
        params: &RqParams,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self, TrainError> {
        check_training(vectors, dim, params.k)?;
        if params.m == 0 || params.m > MAX_BYTES {
            return Err(TrainError::Bytes { bytes: params.m, max: MAX_BYTES });
        }
        let mut rng = Rng::new(params.seed);
        let sample = rng.sample(vectors.len() / dim, params.max_points.max(1));
        let points: Vec<f32> = sample.iter().flat_map(|&i| &vectors[i * dim..][..dim]).copied().collect();
        let count = points.len() / dim;
        let mut beams: Vec<Vec<Partial>> =
            points.chunks_exact(dim).map(|x| vec![Partial::start(x)]).collect();
        let steps = (params.m + params.refits) as f32;
        let mut centroids = Vec::with_capacity(params.m * dim * params.k * 2);
        for j in 0..params.m {
            let kmeans_params = KmeansParams { k: params.k, iterations: params.iterations, seed: rng.next() };
            let left: Vec<f32> =
                beams.iter().flatten().flat_map(|partial| &partial.residual).copied().collect();
            let packed = f16::to_bytes(&pack(&kmeans(&left, dim, &kmeans_params), dim));
            drop(left);
            // Later stages correct what this stage errs as stored, rounding included.
            let stage = Rq { dim, m: 1, k: params.k, centroids: Cow::Borrowed(&packed) };
            let encoder = stage.encoder(BEAM);
            beams = parallel::map(count, |i| encoder.beam(beams[i].clone()));
            centroids.extend(packed);
            progress((j + 1) as f32 / steps);
        }
        let mut rq = Self { dim, m: params.m, k: params.k, centroids: Cow::Owned(centroids) };
        for round in 0..params.refits {
            let codes = rq.encoder(BEAM).encode(&points);
            rq = rq.refitted(&points, &codes);
            progress((params.m + round + 1) as f32 / steps);
        }
        Ok(rq)
    }

    /// Each codebook in turn as the least-squares answer to what the others leave of `points`, `[n, d]`, coded as
    /// `codes`, `[n, m]`. The error of these codes never rises, but for the rounding to half floats.
    fn refitted(&self, points: &[f32], codes: &[u8]) -> Self {
        let Self { dim, m, k, .. } = *self;
        let mut books: Vec<Vec<f32>> =
            (0..m).map(|j| unpack(&f16::from_bytes(self.codebook(j)), dim)).collect();
        let mut residuals = points.to_vec();
        let rows = |residuals: &mut [f32], j: usize, f: &mut dyn FnMut(&mut [f32], usize)| {
            for (r, code) in residuals.chunks_exact_mut(dim).zip(codes.chunks_exact(m)) {
                f(r, usize::from(code[j]));
            }
        };
        for (j, book) in books.iter().enumerate() {
            rows(&mut residuals, j, &mut |r, c| {
                r.iter_mut().zip(&book[c * dim..]).for_each(|(r, v)| *r -= v)
            });
        }
        for (j, book) in books.iter_mut().enumerate() {
            let (mut sums, mut counts) = (vec![0.0f64; k * dim], vec![0u32; k]);
            rows(&mut residuals, j, &mut |r, c| {
                counts[c] += 1;
                for ((sum, r), v) in sums[c * dim..][..dim].iter_mut().zip(r).zip(&mut book[c * dim..]) {
                    *r += *v;
                    *sum += f64::from(*r);
                }
            });
            for (c, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                for (v, sum) in book[c * dim..][..dim].iter_mut().zip(&sums[c * dim..]) {
                    *v = (sum / f64::from(count)) as f32;
                }
            }
            rows(&mut residuals, j, &mut |r, c| {
                r.iter_mut().zip(&book[c * dim..]).for_each(|(r, v)| *r -= v)
            });
        }
        let centroids = books.iter().flat_map(|b| f16::to_bytes(&pack(b, dim))).collect();
        Self { dim, m, k, centroids: Cow::Owned(centroids) }
    }
}

/// Beam of the codes that codebooks are fitted to.
const BEAM: usize = 5;

/// `[k / 16, d, 16]` to `[k, d]`.
fn unpack(packed: &[f32], d: usize) -> Vec<f32> {
    let k = packed.len() / d.max(1);
    (0..k * d).map(|i| packed[packed_at(i / d, i % d, d)]).collect()
}
