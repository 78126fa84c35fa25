//! Vectors to codes. Never touches files.
//!
//! [`pq`] cuts a vector into parts and codes each by its nearest centroid; [`opq`] turns the vector first, so that the
//! parts share its variance; [`trq`] takes a coarse centroid off and turns what is left by the rotation of its cell;
//! [`rq`] codes the whole vector, then what the code leaves, stage by stage, with a beam. All spend one byte a part or stage, keep their centroids
//! as half floats, and score by table: `⟨query, decoded⟩` is a sum of one entry for each code byte, exact for
//! inner products because the decoded vector is a sum (of disjoint parts, or of stages).
//!
//! No shared trait: they agree in file names and signatures, not in what a caller chooses between.
//! Codes beyond the centroids stand for zero, in tables as in decoding, so any bytes decode.

mod alternate;
mod codebook;
pub mod kmeans;
mod linalg;
mod nested;
pub mod opq;
pub(crate) mod parallel;
pub mod pq;
mod reflections;
pub(crate) mod rng;
mod rotation;
pub mod rq;
pub mod trq;

pub use kmeans::{KmeansParams, kmeans};
pub use opq::{Opq, OpqParams};
pub use pq::{Pq, PqParams};
pub use rq::{Rq, RqParams};
pub use trq::{Levels, Trq, TrqEncoder, TrqParams};

/// Largest dimension of a vector.
pub const MAX_DIM: usize = 8192;
/// Most parts or stages, which is bytes a code.
pub const MAX_BYTES: usize = 1024;
/// Bytes of a quantizer before its centroids.
pub const QUANTIZER_HEADER_LEN: usize = 16;

/// Why a quantizer cannot be trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// No vectors, or not a whole number of them, or a dimension out of range.
    #[error("{values} values are not whole vectors of {dim} (1 to {MAX_DIM}) components")]
    Shape {
        /// Values given.
        values: usize,
        /// Components a vector.
        dim: usize,
    },
    /// NaN or infinity.
    #[error("vector {row} holds NaN or infinity")]
    NotFinite {
        /// The vector.
        row: usize,
    },
    /// Centroids not a power of two from 16 to 256.
    #[error("{k} centroids; expected a power of two from 16 to 256")]
    Centroids {
        /// Centroids asked for.
        k: usize,
    },
    /// Too few or many bytes a code.
    #[error("{bytes} bytes a code; expected 1 to {max}")]
    Bytes {
        /// Bytes asked for.
        bytes: usize,
        /// Most for this quantizer and dimension.
        max: usize,
    },
    /// Too few or many parts.
    #[error("vectors in {parts} parts; expected 1 to {max}")]
    Parts {
        /// Parts asked for.
        parts: usize,
        /// Most for this dimension.
        max: usize,
    },
    /// More lists or cells than the format holds, or more cells than lists.
    #[error("{lists} lists in {cells} cells; expected 1 to 65536 lists in at most as many cells")]
    Lists {
        /// Lists asked for.
        lists: usize,
        /// Rotation cells asked for.
        cells: usize,
    },
}

/// Why bytes are not a quantizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenQuantizerError {
    /// Not as long as its counts say.
    #[error("the quantizer has {found} bytes, not the {expected} its counts make")]
    Length {
        /// Bytes by its counts.
        expected: u64,
        /// Bytes.
        found: u64,
    },
    /// Counts no builder writes.
    #[error("the quantizer has impossible counts: {dim} components, {bytes} bytes a code, {k} centroids")]
    Counts {
        /// Components.
        dim: u32,
        /// Bytes a code.
        bytes: u32,
        /// Centroids.
        k: u32,
    },
    /// A middle or unit of kept vectors that no builder writes.
    #[error("the quantizer's kept vectors have an impossible middle or unit")]
    Kept,
}

fn check_training(vectors: &[f32], dim: usize, k: usize) -> Result<(), TrainError> {
    if dim == 0 || dim > MAX_DIM || vectors.is_empty() || !vectors.len().is_multiple_of(dim) {
        return Err(TrainError::Shape { values: vectors.len(), dim });
    }
    if let Some(at) = vectors.iter().position(|v| !v.is_finite()) {
        return Err(TrainError::NotFinite { row: at / dim });
    }
    if !codebook::valid_k(k) {
        return Err(TrainError::Centroids { k });
    }
    Ok(())
}

/// Components of part `j` of `m`: the first `dim mod m` parts are one longer.
fn part(dim: usize, m: usize, j: usize) -> std::ops::Range<usize> {
    let start = |j: usize| j * (dim / m) + j.min(dim % m);
    start(j)..start(j + 1)
}

/// The 16 bytes both quantizers begin with: components, bytes a code, centroids, zero.
fn header(dim: usize, bytes: usize, k: usize) -> Vec<u8> {
    // Each is at most MAX_DIM, so the casts keep it.
    [dim as u32, bytes as u32, k as u32, 0].iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Components, bytes a code, centroids and the rest, which has two bytes for each of `values(..)`.
fn read_header(
    bytes: &[u8],
    max_bytes: impl Fn(usize) -> usize,
    values: impl Fn(u64, u64, u64) -> u64,
) -> Result<(usize, usize, usize, &[u8]), OpenQuantizerError> {
    let found = bytes.len() as u64;
    let short = OpenQuantizerError::Length { expected: QUANTIZER_HEADER_LEN as u64, found };
    let (head, rest) = bytes.split_at_checked(QUANTIZER_HEADER_LEN).ok_or(short)?;
    let field = |i: usize| head.as_chunks().0.get(i).map_or(0, |b| u32::from_le_bytes(*b));
    let [dim, m, k, zero] = [field(0), field(1), field(2), field(3)];
    let (d, n, c) = (dim as usize, m as usize, k as usize);
    let dim_ok = (1..=MAX_DIM).contains(&d);
    if !dim_ok || n == 0 || n > max_bytes(d) || !codebook::valid_k(c) || zero != 0 {
        return Err(OpenQuantizerError::Counts { dim, bytes: m, k });
    }
    // At most 8192 · 1024 · 256 · 2 = 2^32 bytes; u64 holds it where usize has 32 bits.
    let expected = QUANTIZER_HEADER_LEN as u64 + values(u64::from(dim), u64::from(m), u64::from(k)) * 2;
    if expected != found {
        return Err(OpenQuantizerError::Length { expected, found });
    }
    Ok((d, n, c, rest))
}
