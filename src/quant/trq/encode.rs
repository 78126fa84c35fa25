//! Nearest list, nearest centroid of each part, and what is left.

use super::{Levels, STEPS, Table, Trq};
use crate::kernels::{self, LANES, f16, rows};
use crate::quant::codebook::pack;
use crate::quant::parallel;

/// A quantizer's centroids laid out for encoding many vectors.
#[derive(Debug)]
pub struct TrqEncoder<'a> {
    trq: &'a Trq<'a>,
    /// Coarse centroids and half their squared lengths; the last block is padded with none.
    coarse: (Vec<f32>, Vec<f32>),
    /// For each part, centroids and half their squared lengths.
    parts: Vec<(Vec<f32>, Vec<f32>)>,
    steps: Vec<f32>,
    /// Nearest lists whose codes are made, of which the best is kept.
    tried: usize,
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Half the squared lengths of packed centroids `[k / 16, d, 16]`.
fn half_norms(packed: &[f32], d: usize) -> Vec<f32> {
    packed
        .chunks_exact(d * LANES)
        .flat_map(|block| {
            (0..LANES).map(move |lane| {
                (0..d).map(|j| block[j * LANES + lane] * block[j * LANES + lane]).sum::<f32>() / 2.0
            })
        })
        .collect()
}

impl Trq<'_> {
    /// Prepares to encode.
    pub fn encoder(&self) -> TrqEncoder<'_> {
        let coarse = floats(self.table(Table::Coarse));
        let mut norms = half_norms(&coarse, self.dim);
        norms.iter_mut().skip(self.lists).for_each(|n| *n = f32::INFINITY);
        let parts = (0..self.m).map(|j| {
            let part = self.part(j);
            let packed = if self.levels == Levels::One {
                floats(&self.table(Table::Parents)[part.start * LANES * 4..part.end * LANES * 4])
            } else {
                let members = f16::from_bytes(&self.table(Table::Members)[part.start * 512..part.end * 512]);
                pack(&members, part.len())
            };
            let norms = half_norms(&packed, part.len());
            (packed, norms)
        });
        TrqEncoder {
            trq: self,
            coarse: (coarse, norms),
            parts: parts.collect(),
            steps: floats(self.table(Table::Steps)),
            tried: 1,
        }
    }

    /// `x / unit` and, in a list's cell, turned, less the turned centroid.
    pub(super) fn turned_residual(&self, x: &[f32], list: u32) -> Vec<f32> {
        let mut y = vec![0.0; self.dim];
        self.turn(self.cell(list), x, &mut y);
        for (y, c) in y.iter_mut().zip(f16::from_bytes(self.turned_centroid(list))) {
            *y -= c;
        }
        y
    }

    pub(super) fn scaled(&self, x: &[f32]) -> Vec<f32> {
        x.iter().map(|v| v / self.unit).collect()
    }
}

impl TrqEncoder<'_> {
    /// Codes each vector in its `lists` nearest lists (at least one) and keeps the code of least error. Codes err less, most at
    /// few bytes; but a vector may then lie in a list that is not its nearest, so as many lists must be probed to find it.
    pub fn best_of(self, lists: usize) -> Self {
        Self { tried: lists.max(1), ..self }
    }

    /// See [`Trq::code_len`].
    pub fn code_len(&self) -> usize {
        self.trq.code_len()
    }

    /// Lists and codes of `vectors`, `[n, d]`: `[n]` and `[n, code_len]`.
    pub fn encode(&self, vectors: &[f32]) -> (Vec<u32>, Vec<u8>) {
        let d = self.trq.dim;
        let rows = parallel::map(vectors.len() / d, |i| self.one(&vectors[i * d..][..d]));
        let lists = rows.iter().map(|r| r.0).collect();
        (lists, rows.into_iter().flat_map(|r| r.1).collect())
    }

    /// List and code of one vector.
    pub fn one(&self, x: &[f32]) -> (u32, Vec<u8>) {
        let coded = self.residuals(x).into_iter().map(|(list, y)| {
            let code = self.code(&y);
            // Of one list there is nothing to choose.
            let error = if self.tried == 1 { 0.0 } else { kernels::l2(&y, &self.trq.decode_turned(&code)) };
            (error, list, code)
        });
        let (_, list, mut code) = coded.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default();
        if self.trq.levels == Levels::Kept {
            let unit = self.trq.kept_unit();
            let kept: Vec<f32> = x.iter().zip(self.trq.middle()).map(|(x, m)| x / unit - m).collect();
            code.extend(f16::to_bytes(&kept));
        }
        (list, code)
    }

    /// The list of a vector, or as many of its nearest as [`best_of`](Self::best_of) says, and what the centroid of each leaves,
    /// turned: for another quantizer than the parts of this one.
    pub fn residuals(&self, x: &[f32]) -> Vec<(u32, Vec<f32>)> {
        let x = self.trq.scaled(x);
        self.lists(&x).into_iter().map(|list| (list, self.trq.turned_residual(&x, list))).collect()
    }

    /// The nearest lists, the nearest first.
    fn lists(&self, x: &[f32]) -> Vec<u32> {
        let last = self.trq.lists - 1;
        if last == 0 {
            return vec![0];
        }
        if self.tried == 1 {
            let (best, _) = rows::nearest(x, &self.coarse.0, &self.coarse.1);
            return vec![best.min(last) as u32];
        }
        let mut dots = vec![0.0; self.coarse.1.len()];
        kernels::dots_packed(x, &self.coarse.0, &mut dots);
        let near = |list: usize| dots[list] - self.coarse.1[list];
        let mut order: Vec<u32> = (0..=last as u32).collect();
        order.sort_by(|&a, &b| near(b as usize).total_cmp(&near(a as usize)));
        order.truncate(self.tried);
        order
    }

    fn code(&self, y: &[f32]) -> Vec<u8> {
        let mut code = Vec::with_capacity(self.code_len());
        for (j, (centroids, half_norms)) in self.parts.iter().enumerate() {
            let (best, _) = rows::nearest(&y[self.trq.part(j)], centroids, half_norms);
            code.push(best as u8);
        }
        if !self.steps.is_empty() {
            let known = self.trq.decode_parts(&code);
            for ((y, known), step) in y.iter().zip(known).zip(&self.steps) {
                let level = ((y - known) / step.max(f32::MIN_POSITIVE) + f32::from(STEPS - 1) / 2.0).round();
                code.push(level.clamp(0.0, f32::from(STEPS - 1)) as u8);
            }
        }
        code
    }

    /// Mean squared error of `vectors`, `[n, d]`, as coded.
    pub fn error(&self, vectors: &[f32]) -> f64 {
        let d = self.trq.dim;
        let errors = parallel::map(vectors.len() / d, |i| {
            let x = &vectors[i * d..][..d];
            let (list, code) = self.one(x);
            f64::from(kernels::l2(x, &self.trq.decode(list, &code)))
        });
        errors.iter().sum::<f64>() / errors.len().max(1) as f64
    }
}
