//! Inverted lists sized to a catalogue and a number of bytes.

use super::build::{BuildIndexError, BuiltIndex, IndexParams};
use super::lists::{self, Metric};
use super::{IndexKind, lists_index};
use crate::quant::{Levels, Trq, TrqParams};
use std::collections::BTreeMap;

/// Rows a list has on average.
const LIST_ROWS: usize = 1024;
/// Rows that a codebook of 256 centroids must have; fewer would be stored by heart.
const LEAST_ROWS: usize = 4096;
/// Parts of codes that choose among kept vectors, at least, if there are so many components.
const LEAST_PARTS: usize = 24;
/// Rows whose code errors are measured.
const SAMPLE: usize = 4096;
/// Turns of training where several rotations share the codebooks: 2 leave recall of 1.1 million rows .008 lower at 40 bytes
/// and .001 at 72. One rotation alone gains nothing that unseen rows keep.
const TURNS: usize = 12;

/// Counts of a quantizer and the bytes a row that they make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size {
    pub lists: usize,
    pub cells: usize,
    pub m: usize,
    pub levels: Levels,
    /// Everything of both sections, divided by rows.
    pub bytes: f64,
}

impl Size {
    /// The most accurate that `bytes` a row allow, or why there is none.
    pub fn fit(rows: usize, dim: usize, bytes: usize) -> Result<Self, String> {
        if rows < LEAST_ROWS {
            return Err(format!("{rows} rows are too few for inverted lists, which need {LEAST_ROWS}"));
        }
        let (lists, cells) = Self::counts(rows, dim);
        let turned = Self::within(rows, dim, bytes, lists, cells);
        // In a small catalogue a single rotation may cost more bytes a row than it saves.
        let plain = Self::within(rows, dim, bytes, lists, 0);
        match (turned, plain) {
            (Some(turned), Some(plain)) if turned.levels < plain.levels || turned.m * 2 < plain.m => {
                Ok(plain)
            }
            (Some(size), _) | (None, Some(size)) => Ok(size),
            (None, None) => {
                let least = Self { lists, cells: 0, m: 1, levels: Levels::Two, bytes: 0.0 };
                let least = least.counted(rows, dim).bytes.ceil();
                Err(format!(
                    "{bytes} bytes a row hold no inverted lists of {rows} rows of {dim}; the least is {least}"
                ))
            }
        }
    }

    /// Lists and cells.
    fn counts(rows: usize, dim: usize) -> (usize, usize) {
        // Lists in sixteens, as k-means makes them.
        let lists = (rows / LIST_ROWS).next_multiple_of(16).clamp(16, 16_384);
        // A rotation is about d² bytes: as many as cost a byte a row, and not more than one for 16 lists.
        (lists, (rows / (dim * (dim + 4))).clamp(1, lists / 16))
    }

    /// Parts of codes that choose among kept vectors.
    fn kept_parts(dim: usize) -> usize {
        dim.div_ceil(4).max(dim.min(LEAST_PARTS)).min(512)
    }

    /// Bytes of code where vectors are kept.
    pub fn kept_code(dim: usize) -> usize {
        Self::kept_parts(dim) + 2 * dim
    }

    /// Bytes a row beside a code of so many: row numbers, padding, and its share of the tables.
    pub fn beside(rows: usize, dim: usize, code: f64) -> f64 {
        let (lists, cells) = Self::counts(rows, dim);
        let least = Self { lists, cells, m: 1, levels: Levels::Two, bytes: 0.0 }.counted(rows, dim);
        // Half of the code is padded as blocks are.
        least.bytes - 1.0 + (lists * 16) as f64 * code / 2.0 / rows as f64
    }

    /// The most accurate of so many lists and cells.
    fn within(rows: usize, dim: usize, bytes: usize, lists: usize, cells: usize) -> Option<Self> {
        let of = |m, levels| Self { lists, cells, m, levels, bytes: 0.0 }.counted(rows, dim);
        let whole = of(dim.min(512), Levels::Three);
        let budget = bytes as f64;
        let halves = |m| of(m, Levels::Two);
        // Where vectors are kept the codes only choose among rows: of many components a part for four does, and takes less time
        // to scan; few parts would tell too little.
        let kept = of(Self::kept_parts(dim), Levels::Kept);
        if kept.bytes <= budget {
            return Some(kept);
        }
        // Level 3 pays once two components share a byte of level 2.
        let three = of(dim.div_ceil(2).min(512), Levels::Three);
        if three.bytes <= budget {
            return Some(if whole.bytes <= budget { whole } else { three });
        }
        let fits = |m: &usize| halves(*m).bytes <= budget;
        let most = (1..=dim.min(512)).rev().find(fits);
        // Parts of one size are gathered faster; a few parts more are worth less than that.
        let even =
            most.and_then(|most| (most * 11 / 12..=most).rev().find(|&m| m > 0 && dim.is_multiple_of(m)));
        even.or(most).map(halves)
    }

    fn counted(mut self, rows: usize, dim: usize) -> Self {
        let n = rows as f64;
        let Self { lists, cells, m, levels, .. } = self;
        let ids = 2.0 + (lists as f64).log2().ceil();
        let tail = m.div_ceil(2)
            + match levels {
                Levels::One | Levels::Two => 0,
                Levels::Three => dim.div_ceil(2),
                Levels::Kept => dim * 2,
            };
        let block_row = m.next_multiple_of(4) as f64 / 2.0;
        // A list's last block is half empty on average.
        let padding = lists as f64 * 16.0 * block_row;
        let rotation = dim * 4 + dim.next_multiple_of(16) * dim;
        let tables = lists * dim * 6 + lists * 4 + cells * rotation + dim * (64 + 512 + 4);
        self.bytes = ids / 8.0 + block_row + tail as f64 + (padding + tables as f64) / n;
        self
    }
}

/// As [`build`], of the most accurate size that `params.bytes` a row allow; [`BuildIndexError::Size`] if there is none.
pub(super) fn build_within(
    params: &IndexParams,
    vectors: [&[f32]; 2],
    dim: usize,
    progress: &mut dyn FnMut(f32),
) -> Result<BuiltIndex, BuildIndexError> {
    let rows = vectors[1].len() / dim;
    let mut size = Size::fit(rows, dim, params.bytes).map_err(|reason| BuildIndexError::Size { reason })?;
    loop {
        let built = build(params, size, vectors, dim, progress)?;
        if built.bytes_per_vector <= params.bytes {
            return Ok(built);
        }
        // Blocks of a list are padded by half a block on average, but where lists are few it may be nearly a whole one.
        match Size::fit(rows, dim, size.bytes.ceil() as usize - 1) {
            Ok(smaller) => size = smaller,
            Err(_) => return Ok(built),
        }
    }
}

/// Trains on the first and encodes the second of vectors `[n, dim]`, which were checked.
pub(super) fn build(
    params: &IndexParams,
    size: Size,
    [training, vectors]: [&[f32]; 2],
    dim: usize,
    progress: &mut dyn FnMut(f32),
) -> Result<BuiltIndex, BuildIndexError> {
    let Size { lists, cells, m, levels, .. } = size;
    let mut quantizer = TrqParams { lists, cells, m, levels, seed: params.seed, ..TrqParams::default() };
    if cells > 1 {
        quantizer.turns = TURNS;
    }
    let trq = Trq::train(training, dim, &quantizer, &mut |share| progress(share * 0.6))?.trq;
    let rows = vectors.len() / dim;
    let codes = lists::build(&trq, vectors, &mut |share| progress(0.6 + share * 0.4));
    let step = rows.div_ceil(SAMPLE).max(1);
    let sample: Vec<f32> = vectors.chunks_exact(dim).step_by(step).flatten().copied().collect();
    let error = trq.encoder().error(&sample);
    // build() refuses more rows than this holds. Only cosines are estimated from the error.
    let stored = if params.metric == Metric::Cosine { error as f32 } else { 0.0 };
    let section = lists_index(&trq, params.metric, stored, rows as u32, &codes);
    let bytes = (section.len() + codes.len()) as f64 / rows as f64;
    let params = BTreeMap::from([
        ("lists".into(), trq.lists().to_string()),
        ("cells".into(), trq.cells().to_string()),
        ("parts".into(), trq.parts().to_string()),
        ("levels".into(), trq.levels().name().into()),
        ("metric".into(), params.metric.name().into()),
        ("mean_squared_error".into(), format!("{error:.6}")),
        ("bytes_all_in".into(), format!("{bytes:.2}")),
        ("seed".into(), params.seed.to_string()),
    ]);
    Ok(BuiltIndex {
        quantizer: section,
        codes,
        bytes_per_vector: bytes.ceil() as usize,
        kind: IndexKind::Trq,
        params,
        note: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_stay_within_their_bytes() {
        for (bytes, m, levels) in [
            (16, 12, Levels::Two),
            (40, 36, Levels::Two),
            (72, 64, Levels::Two),
            (160, 64, Levels::Three),
            (200, 128, Levels::Three),
            (300, 32, Levels::Kept),
            (99_999, 32, Levels::Kept),
        ] {
            let size = Size::fit(1_100_000, 128, bytes).unwrap();
            assert_eq!((size.m, size.levels), (m, levels), "{size:?}");
            assert!(size.bytes <= bytes as f64);
        }
        // A rotation of 384 components costs a row of so few 23 bytes: none leaves more for codes.
        let small = Size::fit(6473, 384, 64).unwrap();
        assert!(small.cells == 0 && small.m >= 20 && small.bytes <= 64.0, "{small:?}");
        assert_eq!(Size::fit(6473, 384, 160).unwrap().cells, 1);
        assert!(Size::fit(4000, 128, 72).unwrap_err().contains("too few"));
        assert!(Size::fit(100_000, 256, 2).unwrap_err().contains("the least is"));
    }

    #[test]
    fn what_is_built_is_as_large_as_counted() {
        let mut state = 1u64;
        let rows: Vec<f32> = (0..5000 * 24)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
            })
            .collect();
        for bytes in [20, 40, 70] {
            let params = IndexParams { kind: IndexKind::Trq, bytes, ..IndexParams::default() };
            let size = Size::fit(5000, 24, bytes).unwrap();
            let built = super::super::build(&params, &rows, 24, &mut |_| ()).unwrap();
            let real = (built.quantizer.len() + built.codes.len()) as f64 / 5000.0;
            assert!((real - size.bytes).abs() < 1.0 && real <= bytes as f64 + 0.5, "{real} {size:?}");
            assert_eq!(built.kind, IndexKind::Trq);
        }
    }

    #[test]
    fn what_is_built_takes_no_more_than_was_asked_for() {
        // 16 lists of 257 rows: the last block of each is nearly empty.
        let mut state = 1u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let centres: Vec<f32> = (0..16 * 64).map(|_| next()).collect();
        let rows: Vec<f32> =
            (0..16 * 257 * 64).map(|i| centres[i / 64 % 16 * 64 + i % 64] + 0.02 * next()).collect();
        let mut fewer = 0;
        for bytes in [40, 45, 50, 55] {
            let counted = Size::fit(16 * 257, 64, bytes).unwrap();
            let params = IndexParams { kind: IndexKind::Trq, bytes, ..IndexParams::default() };
            let built = super::super::build(&params, &rows, 64, &mut |_| ()).unwrap();
            assert!(built.bytes_per_vector <= bytes, "{} of {bytes}", built.bytes_per_vector);
            fewer += usize::from(built.params["parts"] != counted.m.to_string());
        }
        assert!(fewer > 0, "no size was one too large at first");
    }
}
