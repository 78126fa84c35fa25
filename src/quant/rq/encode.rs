//! Beam search over the stages, and back.

use super::Rq;
use crate::kernels::{self, LANES, TABLE, f16};
use crate::quant::codebook::{norms, packed_at};
use crate::quant::parallel;

/// A quantizer's centroids laid out for encoding many vectors.
#[derive(Debug)]
pub struct RqEncoder<'a> {
    rq: &'a Rq<'a>,
    beam: usize,
    stages: Vec<Stage>,
}

#[derive(Debug)]
struct Stage {
    packed: Vec<f32>,
    norms: Vec<f32>,
}

/// A partial sum of the beam.
#[derive(Clone, Debug)]
pub(super) struct Partial {
    error: f32,
    pub residual: Vec<f32>,
    code: Vec<u8>,
}

impl Partial {
    /// Before the first stage.
    pub fn start(x: &[f32]) -> Self {
        Self { error: kernels::dot(x, x), residual: x.to_vec(), code: Vec::new() }
    }
}

impl Rq<'_> {
    /// Prepares to encode with a beam of `beam` partial sums; 5 is a good choice.
    pub fn encoder(&self, beam: usize) -> RqEncoder<'_> {
        let stages = (0..self.m).map(|j| {
            let packed = f16::from_bytes(self.codebook(j));
            let norms = norms(&packed, self.dim);
            Stage { packed, norms }
        });
        RqEncoder { rq: self, beam: beam.max(1), stages: stages.collect() }
    }

    /// The vector a code stands for, shape `[d]`; bytes missing from `code` count as nothing added.
    pub fn decode(&self, code: &[u8]) -> Vec<f32> {
        let mut out = vec![0.0; self.dim];
        for (j, &c) in code.iter().enumerate().take(self.m) {
            let codebook = self.codebook(j).as_chunks::<2>().0;
            let first = packed_at(usize::from(c), 0, self.dim);
            let lane = codebook.get(first..).unwrap_or_default().iter().step_by(LANES);
            if usize::from(c) < self.k {
                for (out, half) in out.iter_mut().zip(lane) {
                    *out += f16::decode(u16::from_le_bytes(*half));
                }
            }
        }
        out
    }
}

impl RqEncoder<'_> {
    /// Codes of `vectors`, shape `[n, d]`, as `[n, m]`.
    pub fn encode(&self, vectors: &[f32]) -> Vec<u8> {
        let (dim, m) = (self.rq.dim, self.rq.m);
        let mut codes = vec![0; vectors.len() / dim * m];
        parallel::for_rows(&mut codes, m, |i, code| {
            code.copy_from_slice(&self.search(&vectors[i * dim..][..dim]).code);
        });
        codes
    }

    fn search(&self, x: &[f32]) -> Partial {
        // Every stage keeps at least one extension: errors are finite, as vectors and centroids are.
        self.beam(vec![Partial::start(x)]).swap_remove(0)
    }

    /// The best partial sums after all stages, of those before; the best first.
    pub(super) fn beam(&self, mut beam: Vec<Partial>) -> Vec<Partial> {
        let mut scores = [0.0; TABLE];
        // Best extensions so far: error, parent, centroid; ascending, the first found wins a tie.
        let mut best: Vec<(f32, usize, usize)> = Vec::with_capacity(self.beam + 1);
        for stage in &self.stages {
            best.clear();
            let scores = &mut scores[..self.rq.k];
            for (parent, partial) in beam.iter().enumerate() {
                kernels::dots_packed(&partial.residual, &stage.packed, scores);
                for (c, (dot, norm)) in scores.iter().zip(&stage.norms).enumerate() {
                    let error = partial.error + norm - 2.0 * dot;
                    let full = best.len() == self.beam;
                    if full && best.last().is_some_and(|worst| error >= worst.0) {
                        continue;
                    }
                    let at = best.partition_point(|b| b.0 <= error);
                    best.insert(at, (error, parent, c));
                    best.truncate(self.beam);
                }
            }
            beam = best.iter().map(|&(_, parent, c)| self.extend(&beam[parent], stage, c)).collect();
        }
        beam
    }

    fn extend(&self, partial: &Partial, stage: &Stage, c: usize) -> Partial {
        let dim = self.rq.dim;
        let lane = stage.packed[packed_at(c, 0, dim)..].iter().step_by(LANES);
        let residual: Vec<f32> = partial.residual.iter().zip(lane).map(|(r, c)| r - c).collect();
        let mut code = partial.code.clone();
        code.push(c as u8);
        // Summed afresh, so that rounding does not build up over the stages.
        Partial { error: kernels::dot(&residual, &residual), residual, code }
    }
}
