//! Training and encoding an index; small catalogues get smaller codebooks, or none.

use super::IndexKind;
use super::changes::BEAM;
use super::lists::Metric;
use super::scale::{RowScales, Scales};
use super::trq;
use super::view::header;
use crate::kernels::f16;
use crate::quant::{
    MAX_BYTES, MAX_DIM, Opq, OpqParams, Pq, PqParams, QUANTIZER_HEADER_LEN, Rq, RqParams, TrainError,
};
use std::collections::BTreeMap;

/// Rows a centroid must have on average; fewer would store the rows themselves as centroids.
const ROWS_PER_CENTROID: usize = 4;
/// Vectors encoded between two reports of progress.
const ENCODE_STEP: usize = 1024;
/// Share of `progress` that training takes.
const TRAINING: f32 = 0.6;

/// What to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexParams {
    /// How rows are stored.
    pub kind: IndexKind,
    /// Bytes a row, all in: code and scale; of inverted lists also row numbers, padding, and each row's share of
    /// centroids and rotations. Flat rows ignore it.
    pub bytes: usize,
    /// What rows are compared by. Anything but the cosine needs [`IndexKind::Trq`], and then lengths count: rows ten thousand times
    /// as far from zero as from one another, or one row a million times as long as the others, leave codes little to tell.
    pub metric: Metric,
    /// Fixes every choice; the same input and seed give the same bytes on any number of threads.
    pub seed: u64,
}

impl Default for IndexParams {
    fn default() -> Self {
        Self { kind: IndexKind::Flat, bytes: 64, metric: Metric::Cosine, seed: 1 }
    }
}

/// An index as bytes for a pack.
#[derive(Clone, Debug, PartialEq)]
pub struct BuiltIndex {
    /// Header and quantizer.
    pub quantizer: Vec<u8>,
    /// Rows, `[n, bytes_per_vector]`.
    pub codes: Vec<u8>,
    /// Bytes a row.
    pub bytes_per_vector: usize,
    /// The kind built, which is not the one asked for if `note` says so.
    pub kind: IndexKind,
    /// Parameters for the pack's meta section.
    pub params: BTreeMap<String, String>,
    /// Why kind or parameters are not those asked for.
    pub note: Option<String>,
}

/// Why an index cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildIndexError {
    /// No vectors, or not a whole number of them, or a dimension out of range.
    #[error("{values} values are not one or more whole vectors of {dim} (1 to {MAX_DIM}) components")]
    Shape {
        /// Values given.
        values: usize,
        /// Components a vector.
        dim: usize,
    },
    /// More rows than an index can have.
    #[error("{rows} rows; an index has at most {}", u32::MAX)]
    Rows {
        /// Rows given.
        rows: usize,
    },
    /// NaN, infinity or no direction.
    #[error("vector {row} is zero or holds NaN or infinity; check the encoder's output")]
    Vector {
        /// The row.
        row: usize,
    },
    /// Too few or many bytes a row.
    #[error("{bytes} bytes a row; expected 2 to {}", MAX_BYTES + 1)]
    Bytes {
        /// Bytes asked for.
        bytes: usize,
    },
    /// No inverted lists of this size, and no flat rows to fall back to.
    #[error("{reason}")]
    Size {
        /// Why.
        reason: String,
    },
    /// Only inverted lists compare by anything but the cosine.
    #[error("a {kind} index compares by cosine only; build trq for {}", metric.name())]
    Metric {
        /// Kind asked for.
        kind: IndexKind,
        /// Metric asked for.
        metric: Metric,
    },
    /// A share of neighbours that no index finds.
    #[error("a recall of {recall} is wanted; expected a share above 0 and at most 1")]
    Recall {
        /// As given.
        recall: String,
    },
    /// The quantizer refused.
    #[error(transparent)]
    Train(#[from] TrainError),
}

/// Builds an index of `vectors`, shape `[n, dim]`; rows are scaled to length 1. `progress` is told the share done.
///
/// Codebooks shrink below 256 centroids when there are few rows, and rows stay flat when codebook and codes
/// together would not save a quarter of their size; `note` then says so.
///
/// # Errors
/// [`BuildIndexError`]
pub fn build(
    params: &IndexParams,
    vectors: &[f32],
    dim: usize,
    progress: &mut dyn FnMut(f32),
) -> Result<BuiltIndex, BuildIndexError> {
    build_from(params, vectors, vectors, dim, progress)
}

/// [`build`] with codebooks that are trained on other vectors, `training`, `[t, dim]`, than the index holds.
///
/// # Errors
/// [`BuildIndexError`]
pub fn build_from(
    params: &IndexParams,
    training: &[f32],
    vectors: &[f32],
    dim: usize,
    progress: &mut dyn FnMut(f32),
) -> Result<BuiltIndex, BuildIndexError> {
    for vectors in [training, vectors] {
        if dim == 0 || dim > MAX_DIM || vectors.is_empty() || !vectors.len().is_multiple_of(dim) {
            return Err(BuildIndexError::Shape { values: vectors.len(), dim });
        }
    }
    let n = vectors.len() / dim;
    if u32::try_from(n).is_err() {
        return Err(BuildIndexError::Rows { rows: n });
    }
    let most = if params.kind == IndexKind::Trq { usize::MAX } else { MAX_BYTES + 1 };
    if params.kind != IndexKind::Flat && !(2..=most).contains(&params.bytes) {
        return Err(BuildIndexError::Bytes { bytes: params.bytes });
    }
    if params.metric != Metric::Cosine {
        return by_other_metric(params, training, vectors, dim, progress);
    }
    let own = std::ptr::eq(training, vectors) || params.kind == IndexKind::Flat;
    let vectors = unit_rows(vectors, dim)?;
    let others = if own { Vec::new() } else { unit_rows(training, dim)? };
    let training = if own { &vectors } else { &others };
    let built = match params.kind {
        IndexKind::Flat => flat(&vectors, dim, None),
        // Codes could tell nothing that is added later from them.
        _ if n > 1 && vectors.chunks_exact(dim).all(|x| x == &vectors[..dim]) => {
            flat(&vectors, dim, Some(format!("all {n} rows are equal: kept flat")))
        }
        IndexKind::Trq => match trq::build_within(params, [training, &vectors], dim, progress) {
            Err(BuildIndexError::Size { reason }) => flat(&vectors, dim, Some(reason + ": kept flat")),
            built => built?,
        },
        IndexKind::Pq | IndexKind::Rq | IndexKind::Opq => {
            match Plan::choose(params, training.len() / dim, n, dim) {
                Ok(plan) => plan.build(params.seed, [training, &vectors], dim, progress)?,
                Err(note) => flat(&vectors, dim, Some(note)),
            }
        }
    };
    progress(1.0);
    Ok(built)
}

/// Lengths count, so there is no flat index to fall back to.
fn by_other_metric(
    params: &IndexParams,
    training: &[f32],
    vectors: &[f32],
    dim: usize,
    progress: &mut dyn FnMut(f32),
) -> Result<BuiltIndex, BuildIndexError> {
    let (kind, metric) = (params.kind, params.metric);
    if kind != IndexKind::Trq {
        return Err(BuildIndexError::Metric { kind, metric });
    }
    if let Some(at) = vectors.iter().position(|v| !v.is_finite()) {
        return Err(BuildIndexError::Vector { row: at / dim });
    }
    let built = trq::build_within(params, [training, vectors], dim, progress)?;
    progress(1.0);
    Ok(built)
}

/// The length of a row, if it has a direction.
pub(super) fn length(x: &[f32], row: usize) -> Result<f64, BuildIndexError> {
    let norm = crate::kernels::length(x);
    if norm.is_finite() && norm >= 1e-12 { Ok(norm) } else { Err(BuildIndexError::Vector { row }) }
}

fn unit_rows(vectors: &[f32], dim: usize) -> Result<Vec<f32>, BuildIndexError> {
    let mut out = Vec::with_capacity(vectors.len());
    for (row, x) in vectors.chunks_exact(dim).enumerate() {
        let norm = length(x, row)?;
        out.extend(x.iter().map(|&v| (f64::from(v) / norm) as f32));
    }
    Ok(out)
}

fn flat(vectors: &[f32], dim: usize, note: Option<String>) -> BuiltIndex {
    BuiltIndex {
        quantizer: header(IndexKind::Flat, dim, vectors.len() / dim, dim * 2, Scales::default()),
        codes: f16::to_bytes(vectors),
        bytes_per_vector: dim * 2,
        kind: IndexKind::Flat,
        params: BTreeMap::from([("component".into(), "f16".into())]),
        note,
    }
}

/// Size of the quantizer to train.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    kind: IndexKind,
    m: usize,
    k: usize,
    note: Option<String>,
}

impl Plan {
    /// The largest codebooks that pay for `n` rows and that `trained` can fill, or why none do.
    pub fn choose(params: &IndexParams, trained: usize, n: usize, dim: usize) -> Result<Self, String> {
        let kind = params.kind;
        // The last byte of a row is its scale.
        let m = if kind != IndexKind::Rq { (params.bytes - 1).min(dim) } else { params.bytes - 1 };
        let flat = n * dim * 2;
        let size = |k: usize| {
            let codebooks = if kind == IndexKind::Rq { m } else { 1 };
            let rotation = if kind == IndexKind::Opq { dim * (dim + 16) } else { 0 };
            QUANTIZER_HEADER_LEN + rotation + codebooks * k * dim * 2 + n * (m + 1)
        };
        let pays = |k: usize| k * ROWS_PER_CENTROID <= trained && size(k) <= flat / 4 * 3;
        let Some(k) = [256, 128, 64, 32, 16].into_iter().find(|&k| pays(k)) else {
            return Err(format!(
                "{kind} of {} bytes asked for, but {n} rows of {dim} are kept flat: codebooks would save too little",
                params.bytes
            ));
        };
        let mut notes = Vec::new();
        if k < 256 {
            notes.push(format!("{k} centroids instead of 256, for {trained} rows"));
        }
        if m + 1 < params.bytes {
            notes.push(format!("{} bytes a row instead of {}, for {dim} components", m + 1, params.bytes));
        }
        Ok(Self { kind, m, k, note: (!notes.is_empty()).then(|| notes.join("; ")) })
    }

    /// Trains on the first and encodes the second of unit rows `[n, dim]`.
    pub fn build(
        self,
        seed: u64,
        [training, vectors]: [&[f32]; 2],
        dim: usize,
        progress: &mut dyn FnMut(f32),
    ) -> Result<BuiltIndex, BuildIndexError> {
        let Self { kind, m, k, note } = self;
        let trained = &mut |share: f32| progress(share * TRAINING);
        let quantizer = match kind {
            IndexKind::Rq => Trained::Rq(Rq::train(
                training,
                dim,
                &RqParams { m, k, seed, ..RqParams::default() },
                trained,
            )?),
            IndexKind::Opq => {
                let params = OpqParams { m, k, seed, ..OpqParams::default() };
                Trained::Opq(Opq::train(training, dim, &params, trained)?)
            }
            _ => Trained::Pq(Pq::train(
                training,
                dim,
                &PqParams { m, k, seed, ..PqParams::default() },
                trained,
            )?),
        };
        let codes = quantizer.encode(vectors, dim, progress);
        let decoded: Vec<f32> = codes.chunks_exact(m).flat_map(|code| quantizer.decode(code)).collect();
        let RowScales { scales, bytes, exponent } = RowScales::fit(vectors, &decoded, dim, seed);
        let rows = codes.chunks_exact(m).zip(bytes);
        let with_scales = rows.flat_map(|(code, scale)| code.iter().copied().chain([scale])).collect();
        let mut section = header(kind, dim, vectors.len() / dim, m + 1, scales);
        section.extend(quantizer.to_bytes());
        let mut params = BTreeMap::from([
            ("code_bytes".into(), m.to_string()),
            ("centroids".into(), k.to_string()),
            ("scale_exponent".into(), exponent.to_string()),
            ("seed".into(), seed.to_string()),
        ]);
        if kind == IndexKind::Rq {
            params.insert("beam".into(), BEAM.to_string());
        }
        Ok(BuiltIndex { quantizer: section, codes: with_scales, bytes_per_vector: m + 1, kind, params, note })
    }
}

enum Trained {
    Pq(Pq<'static>),
    Rq(Rq<'static>),
    Opq(Opq<'static>),
}

impl Trained {
    fn encode(&self, vectors: &[f32], dim: usize, progress: &mut dyn FnMut(f32)) -> Vec<u8> {
        match self {
            Self::Pq(pq) => {
                let encoder = pq.encoder();
                in_steps(vectors, dim, progress, |v| encoder.encode(v))
            }
            Self::Rq(rq) => {
                let encoder = rq.encoder(BEAM);
                in_steps(vectors, dim, progress, |v| encoder.encode(v))
            }
            Self::Opq(opq) => {
                let encoder = opq.encoder();
                in_steps(vectors, dim, progress, |v| encoder.encode(v))
            }
        }
    }

    fn decode(&self, code: &[u8]) -> Vec<f32> {
        match self {
            Self::Pq(pq) => pq.decode(code),
            Self::Rq(rq) => rq.decode(code),
            Self::Opq(opq) => opq.decode(code),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Pq(pq) => pq.to_bytes(),
            Self::Rq(rq) => rq.to_bytes(),
            Self::Opq(opq) => opq.to_bytes(),
        }
    }
}

fn in_steps(
    vectors: &[f32],
    dim: usize,
    progress: &mut dyn FnMut(f32),
    encode: impl Fn(&[f32]) -> Vec<u8>,
) -> Vec<u8> {
    let mut codes = Vec::new();
    for (step, part) in vectors.chunks(ENCODE_STEP * dim).enumerate() {
        codes.extend(encode(part));
        let done = ((step + 1) * ENCODE_STEP * dim).min(vectors.len()) as f32 / vectors.len() as f32;
        progress(TRAINING + (1.0 - TRAINING) * done);
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(kind: IndexKind, bytes: usize) -> IndexParams {
        IndexParams { kind, bytes, ..IndexParams::default() }
    }

    #[test]
    fn codebooks_fit_the_catalogue() {
        let plan = |kind, bytes, n| Plan::choose(&params(kind, bytes), n, n, 256);
        assert_eq!(
            plan(IndexKind::Pq, 32, 100_000).unwrap(),
            Plan { kind: IndexKind::Pq, m: 31, k: 256, note: None }
        );
        let small = plan(IndexKind::Pq, 32, 300).unwrap();
        assert_eq!((small.m, small.k), (31, 64));
        assert_eq!(small.note.unwrap(), "64 centroids instead of 256, for 300 rows");
        assert!(plan(IndexKind::Pq, 32, 40).unwrap_err().contains("kept flat"));
        assert!(plan(IndexKind::Rq, 32, 300).unwrap_err().contains("kept flat"));
        assert!(plan(IndexKind::Rq, 32, 100_000).unwrap().note.is_none());
        assert!(
            plan(IndexKind::Pq, 900, 10_000)
                .unwrap()
                .note
                .unwrap()
                .contains("257 bytes a row instead of 900")
        );
    }

    #[test]
    fn rows_that_are_all_equal_stay_flat() {
        let rows = [0.6f32, 0.8, 0.0, 0.1].repeat(5000);
        for kind in [IndexKind::Pq, IndexKind::Opq, IndexKind::Rq, IndexKind::Trq] {
            let built = build(&params(kind, 20), &rows, 4, &mut |_| ()).unwrap();
            assert_eq!(
                (built.kind, built.note.unwrap().as_str()),
                (IndexKind::Flat, "all 5000 rows are equal: kept flat")
            );
        }
    }

    #[test]
    fn refuses_bad_input() {
        let refuse = |kind, bytes, v: &[f32], d| build(&params(kind, bytes), v, d, &mut |_| ()).unwrap_err();
        use IndexKind::{Flat, Pq};
        assert_eq!(refuse(Flat, 0, &[], 2), BuildIndexError::Shape { values: 0, dim: 2 });
        assert_eq!(refuse(Flat, 0, &[1.0; 3], 2), BuildIndexError::Shape { values: 3, dim: 2 });
        assert_eq!(refuse(Flat, 0, &[1.0], 0), BuildIndexError::Shape { values: 1, dim: 0 });
        assert_eq!(refuse(Flat, 0, &[1.0, 0.0, 0.0, 0.0], 2), BuildIndexError::Vector { row: 1 });
        assert_eq!(refuse(Flat, 0, &[1.0, f32::NAN], 1), BuildIndexError::Vector { row: 1 });
        assert_eq!(refuse(Pq, 1, &[1.0], 1), BuildIndexError::Bytes { bytes: 1 });
        assert_eq!(refuse(Pq, 2000, &[1.0], 1), BuildIndexError::Bytes { bytes: 2000 });
    }
}
