//! Rotation and codebooks in turns.

use super::Opq;
use crate::kernels::f16;
use crate::quant::alternate::{self, Params, columns};
use crate::quant::codebook::pack;
use crate::quant::kmeans::lloyd;
use crate::quant::rng::Rng;
use crate::quant::{MAX_BYTES, Pq, TrainError, check_training, parallel, part, rotation};
use std::borrow::Cow;

/// How to train an optimised product quantizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpqParams {
    /// Parts, which is bytes a code: 1 to the dimension.
    pub m: usize,
    /// Centroids a part: a power of two from 16 to 256.
    pub k: usize,
    /// Most k-means rounds before the first turn.
    pub iterations: usize,
    /// Turns of rotation and codebooks.
    pub turns: usize,
    /// Most vectors to train on; a sample is drawn beyond.
    pub max_points: usize,
    /// Fixes every choice.
    pub seed: u64,
}

impl Default for OpqParams {
    fn default() -> Self {
        Self { m: 32, k: 256, iterations: 10, turns: 8, max_points: 65_536, seed: 1 }
    }
}

impl Opq<'static> {
    /// Trains on `vectors`, shape `[n, dim]`. `progress` is told the share done.
    ///
    /// # Errors
    /// [`TrainError`]
    pub fn train(
        vectors: &[f32],
        dim: usize,
        params: &OpqParams,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self, TrainError> {
        check_training(vectors, dim, params.k)?;
        let max = dim.min(MAX_BYTES);
        let OpqParams { m, k, iterations, turns, .. } = *params;
        if m == 0 || m > max {
            return Err(TrainError::Bytes { bytes: m, max });
        }
        let mut rng = Rng::new(params.seed);
        let sample = rng.sample(vectors.len() / dim, params.max_points.max(1));
        let rows: Vec<f32> = sample.iter().flat_map(|&i| &vectors[i * dim..][..dim]).copied().collect();
        let cell = vec![0; sample.len()];
        let fit_params = Params { m, k, iterations, turns, tau: 0.0, seed: rng.next() };
        let starts = alternate::best_starts(&rows, dim, &cell, 1, &fit_params);
        let fit = alternate::fit(&rows, dim, &cell, starts, &fit_params, progress);
        let rotation = rotation::store(&fit.rotations.concat(), dim);
        // Two last rounds on what the stored rotation gives.
        let y: Vec<f32> = parallel::map(cell.len(), |i| {
            let mut y = vec![0.0; dim];
            rotation::apply(&rotation, &rows[i * dim..][..dim], &mut y);
            y
        })
        .concat();
        let centroids = parallel::map_long(m, |j| {
            let part = part(dim, m, j);
            let mut centroids = fit.codebooks[j].clone();
            lloyd(&columns(&y, dim, part.clone()), part.len(), &mut centroids, 2);
            f16::to_bytes(&pack(&centroids, part.len()))
        });
        let pq = Pq::made(dim, m, k, centroids.concat());
        Ok(Self { rotation: Cow::Owned(rotation), pq })
    }
}
