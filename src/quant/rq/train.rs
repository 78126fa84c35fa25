//! One k-means a stage, on what the stages before it left of each vector.

use super::Rq;
use crate::kernels::f16;
use crate::quant::codebook::pack;
use crate::quant::kmeans::{KmeansParams, kmeans};
use crate::quant::rng::Rng;
use crate::quant::{MAX_BYTES, TrainError, check_training};
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
    /// Fixes every choice.
    pub seed: u64,
}

impl Default for RqParams {
    fn default() -> Self {
        Self { m: 16, k: 256, iterations: 10, max_points: 16_384, seed: 1 }
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
        let mut residuals: Vec<f32> =
            sample.iter().flat_map(|&i| &vectors[i * dim..][..dim]).copied().collect();
        let mut centroids = Vec::with_capacity(params.m * dim * params.k * 2);
        for j in 0..params.m {
            let kmeans_params = KmeansParams { k: params.k, iterations: params.iterations, seed: rng.next() };
            let packed = f16::to_bytes(&pack(&kmeans(&residuals, dim, &kmeans_params), dim));
            // Later stages correct what this stage errs as stored, rounding included.
            let stage = Rq { dim, m: 1, k: params.k, centroids: Cow::Borrowed(&packed) };
            stage.encoder(1).subtract(&mut residuals);
            centroids.extend(packed);
            progress((j + 1) as f32 / params.m as f32);
        }
        Ok(Self { dim, m: params.m, k: params.k, centroids: Cow::Owned(centroids) })
    }
}
