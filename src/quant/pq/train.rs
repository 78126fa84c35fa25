//! One k-means a part.

use super::Pq;
use crate::kernels::f16;
use crate::quant::codebook::pack;
use crate::quant::kmeans::{KmeansParams, kmeans};
use crate::quant::part;
use crate::quant::rng::Rng;
use crate::quant::{MAX_BYTES, TrainError, check_training};
use std::borrow::Cow;

/// How to train a product quantizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PqParams {
    /// Parts, which is bytes a code: 1 to the dimension.
    pub m: usize,
    /// Centroids a part: a power of two from 16 to 256.
    pub k: usize,
    /// Most k-means rounds.
    pub iterations: usize,
    /// Most vectors to train on; a sample is drawn beyond.
    pub max_points: usize,
    /// Fixes every choice.
    pub seed: u64,
}

impl Default for PqParams {
    fn default() -> Self {
        Self { m: 32, k: 256, iterations: 20, max_points: 65_536, seed: 1 }
    }
}

impl Pq<'static> {
    /// Trains on `vectors`, shape `[n, dim]`. `progress` is told the share done.
    ///
    /// # Errors
    /// [`TrainError`]
    pub fn train(
        vectors: &[f32],
        dim: usize,
        params: &PqParams,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self, TrainError> {
        check_training(vectors, dim, params.k)?;
        let max = dim.min(MAX_BYTES);
        if params.m == 0 || params.m > max {
            return Err(TrainError::Bytes { bytes: params.m, max });
        }
        let mut rng = Rng::new(params.seed);
        let sample = rng.sample(vectors.len() / dim, params.max_points.max(1));
        let mut centroids = Vec::with_capacity(dim * params.k * 2);
        for j in 0..params.m {
            let part = part(dim, params.m, j);
            let points: Vec<f32> =
                sample.iter().flat_map(|&i| &vectors[i * dim..][part.clone()]).copied().collect();
            let kmeans_params = KmeansParams { k: params.k, iterations: params.iterations, seed: rng.next() };
            let found = kmeans(&points, part.len(), &kmeans_params);
            centroids.extend(f16::to_bytes(&pack(&found, part.len())));
            progress((j + 1) as f32 / params.m as f32);
        }
        Ok(Self { dim, m: params.m, k: params.k, centroids: Cow::Owned(centroids) })
    }
}
