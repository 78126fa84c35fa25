//! Vectors to an index, measured against exact search.

use rayon::prelude::*;

use super::assemble::{BuildStep, Progress};
use super::embed::Embedded;
use super::error::BuildError;
use crate::index::{self, BuiltIndex, IndexParams, IndexView, SearchError};
use crate::pack::{IndexMeta, Measured};

/// Rows searched after the build to measure the index against exact search.
const SAMPLE: usize = 200;

/// An index and what the pack says of it.
pub(super) struct Part {
    pub built: BuiltIndex,
    pub meta: IndexMeta,
}

/// The index of all vectors, or `None` if there are none.
pub(super) fn build(
    embedded: &Embedded,
    params: &IndexParams,
    progress: Progress<'_>,
) -> Result<Option<Part>, BuildError> {
    if embedded.products.is_empty() {
        return Ok(None);
    }
    let built = index::build(params, &embedded.vectors, embedded.dim, &mut |share| {
        progress(BuildStep::Index, (share.clamp(0.0, 1.0) * 1000.0) as u64, 1000);
    })?;
    let view = IndexView::open(&built.quantizer, &built.codes)?;
    let meta = IndexMeta {
        kind: built.kind.to_string(),
        bytes_per_vector: built.bytes_per_vector as u32,
        params: built.params.clone(),
        note: built.note.clone(),
        measured: Some(measure(&view, embedded)?),
    };
    Ok(Some(Part { built, meta }))
}

/// Share of each sampled vector's 10 exact nearest rows that the index finds among its first 10.
fn measure(view: &IndexView<'_>, embedded: &Embedded) -> Result<Measured, BuildError> {
    let rows = embedded.products.len();
    let k = rows.min(10);
    let step = rows.div_ceil(SAMPLE).max(1);
    let vector = |row: usize| &embedded.vectors[row * embedded.dim..(row + 1) * embedded.dim];
    let sample: Vec<usize> = (0..rows).step_by(step).collect();
    let found: Vec<usize> = sample
        .par_iter()
        .map(|&at| {
            let query = vector(at);
            let dot = |row: usize| crate::kernels::dot(query, vector(row));
            let mut exact: Vec<(f32, u32)> = (0..rows).map(|row| (dot(row), row as u32)).collect();
            let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
            exact.select_nth_unstable_by(k - 1, order);
            let exact: Vec<u32> = exact[..k].iter().map(|(_, row)| *row).collect();
            let hits = view.search(query, k, &|_| true)?;
            Ok::<_, SearchError>(hits.iter().filter(|hit| exact.contains(&hit.row)).count())
        })
        .collect::<Result<_, _>>()?;
    let recall = found.iter().sum::<usize>() as f64 / (k * sample.len()) as f64;
    Ok(Measured { sample: sample.len() as u32, recall_at_10: recall })
}
