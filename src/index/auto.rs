//! Which kind of index a catalogue gets, by measuring on a sample of it.

use super::build::{BuildIndexError, IndexParams, build, unit_rows};
use super::lists::{Keep, Probe};
use super::trq::{self, Size};
use super::{BuiltIndex, IndexKind, IndexView};
use crate::kernels;
use crate::quant::parallel;

/// Rows up to which an exact scan takes a few milliseconds on a phone.
const FLAT: usize = 50_000;
/// Bytes a row of a larger catalogue unless the caller says otherwise.
const BYTES: usize = 64;
/// Rows the candidates are built of, and queries beside them.
const SAMPLE: usize = 12_288;
const QUERIES: usize = 100;
/// Recall that a whole scan must find beyond inverted lists to be worth looking at every row.
const WORTH: f64 = 0.01;

/// What was chosen, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// For [`build`].
    pub params: IndexParams,
    /// In a line.
    pub reason: String,
}

/// Kind and size of the index of `vectors`, `[n, dim]`, compared by cosine, of `bytes` a row.
///
/// Small catalogues stay exact unless `bytes` are asked for. For others each kind is built of a sample, with the codes
/// that the whole catalogue would get, and searched for rows that are not in it; the best recall wins.
///
/// # Errors
/// [`BuildIndexError`]
pub fn choose(
    vectors: &[f32],
    dim: usize,
    bytes: Option<usize>,
    seed: u64,
) -> Result<Choice, BuildIndexError> {
    let params = |kind, bytes| IndexParams { kind, bytes, seed, ..IndexParams::default() };
    let n = vectors.len().checked_div(dim).unwrap_or(0);
    if n <= FLAT && bytes.is_none() {
        let reason = format!("{n} rows are few enough to be compared exactly, one by one");
        return Ok(Choice { params: params(IndexKind::Flat, BYTES), reason });
    }
    let bytes = bytes.unwrap_or(BYTES);
    // Every so many rows; of each such stretch the first is a row of the sample, the second of the first may be a query.
    let step = n.div_ceil(SAMPLE).max(2);
    let pick = |first: usize, step: usize, most: usize| -> Vec<f32> {
        vectors.chunks_exact(dim.max(1)).skip(first).step_by(step).take(most).flatten().copied().collect()
    };
    let rows = pick(0, step, SAMPLE);
    let queries = pick(1, step * (n / step / QUERIES).max(1), QUERIES);
    let (rows, queries) = (unit_rows(&rows, dim)?, unit_rows(&queries, dim)?);
    let mut tried: Vec<(IndexKind, f64)> = Vec::new();
    if let Ok(size) = Size::fit(n, dim, bytes) {
        // The codes are those of the whole catalogue; lists and cells are as many as the sample carries.
        let lists = (rows.len() / dim / 64).next_multiple_of(16).clamp(16, size.lists);
        let sample = Size { lists, cells: size.cells.min(4), ..size };
        let asked = params(IndexKind::Trq, bytes);
        let built = trq::build(&asked, sample, [&rows, &rows], dim, &mut |_| ())?;
        tried.push((IndexKind::Trq, recall(&built, &rows, &queries, dim)?));
    }
    for kind in [IndexKind::Opq, IndexKind::Pq] {
        let built = build(&params(kind, bytes), &rows, dim, &mut |_| ())?;
        if built.kind == kind {
            tried.push((kind, recall(&built, &rows, &queries, dim)?));
        }
    }
    let bonus = |kind| if kind == IndexKind::Trq { WORTH } else { 0.0 };
    let best = tried.iter().max_by(|a, b| (a.1 + bonus(a.0)).total_cmp(&(b.1 + bonus(b.0))));
    let Some(&(kind, _)) = best else {
        let reason = format!("{n} rows are too few for codebooks of {bytes} bytes a row");
        return Ok(Choice { params: params(IndexKind::Flat, bytes), reason });
    };
    let all: Vec<String> = tried.iter().map(|(kind, recall)| format!("{kind} {recall:.3}")).collect();
    let reason = format!(
        "most of the 10 nearest found at {bytes} bytes a row, of {} sampled rows: {}",
        rows.len() / dim,
        all.join(", ")
    );
    Ok(Choice { params: params(kind, bytes), reason })
}

/// Share of the exact ten nearest rows among the ten found by looking at all.
fn recall(built: &BuiltIndex, rows: &[f32], queries: &[f32], dim: usize) -> Result<f64, BuildIndexError> {
    // What was just built opens; if it did not, it would find nothing.
    let Ok(view) = IndexView::open(&built.quantizer, &built.codes) else { return Ok(0.0) };
    let probe = Probe { lists: usize::MAX, ..Probe::default() };
    let shares = parallel::map_long(queries.len() / dim, |i| {
        let query = &queries[i * dim..][..dim];
        let mut exact: Vec<(f32, u32)> =
            rows.chunks_exact(dim).map(|x| -kernels::dot(query, x)).zip(0..).collect();
        exact.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        exact.truncate(10);
        let hits = view.search_with(query, 10, &probe, Keep::All).unwrap_or_default();
        hits.iter().filter(|hit| exact.iter().any(|e| e.1 == hit.row)).count() as f64
            / exact.len().max(1) as f64
    });
    Ok(shares.iter().sum::<f64>() / shares.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize, dim: usize) -> Vec<f32> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        let centres: Vec<f32> = (0..50 * dim).map(|_| next()).collect();
        (0..n * dim).map(|i| centres[i / dim % 50 * dim + i % dim] + 0.3 * next()).collect()
    }

    #[test]
    fn small_catalogues_stay_exact_and_others_are_measured() {
        let v = rows(9000, 16);
        let choice = choose(&v, 16, None, 1).unwrap();
        assert_eq!(choice.params.kind, IndexKind::Flat);
        assert!(choice.reason.contains("9000 rows"), "{}", choice.reason);
        let choice = choose(&v, 16, Some(12), 1).unwrap();
        assert_ne!(choice.params.kind, IndexKind::Flat);
        assert_eq!(choice.params.bytes, 12);
        assert!(choice.reason.contains("opq 0.") && choice.reason.contains("pq 0."), "{}", choice.reason);
        assert_eq!(choice, choose(&v, 16, Some(12), 1).unwrap());
        let few = choose(&rows(20, 16), 16, Some(8), 1).unwrap();
        assert_eq!(few.params.kind, IndexKind::Flat);
    }

    #[test]
    fn bad_vectors_are_named() {
        assert_eq!(choose(&[0.0; 32], 4, Some(4), 1).unwrap_err(), BuildIndexError::Vector { row: 0 });
    }
}
