//! Vectors to an index, measured against exact search.

use rayon::prelude::*;

use super::assemble::{BuildOptions, BuildStep, Progress};
use super::embed::Embedded;
use super::error::BuildError;
use crate::eval::vectors::{Point, depths, frontier};
use crate::index::{self, BuiltIndex, IndexView, SearchError};
use crate::pack::{CurvePoint, IndexMeta, Measured};

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
    options: &BuildOptions,
    progress: Progress<'_>,
) -> Result<Option<Part>, BuildError> {
    if embedded.products.is_empty() {
        return Ok(None);
    }
    let (mut params, mut reason) = (options.index, None);
    if let Some(wanted) = &options.auto {
        let choice = index::choose(&embedded.vectors, embedded.dim, wanted, params.seed)?;
        (params, reason) = (choice.params, Some(choice.reason));
    }
    let mut built = index::build(&params, &embedded.vectors, embedded.dim, &mut |share| {
        progress(BuildStep::Index, (share.clamp(0.0, 1.0) * 1000.0) as u64, 1000);
    })?;
    if let Some(reason) = reason {
        built.params.insert("chosen".into(), reason);
    }
    let view = IndexView::open(&built.quantizer, &built.codes)?;
    let measured = measure(&view, embedded)?;
    if let Some(wanted) = options.auto.and_then(|wanted| wanted.recall)
        && others(&measured) < wanted
    {
        let short =
            format!("finds {:.3} of the nearest other rows of a row, {wanted} wanted", others(&measured));
        built.note = Some(built.note.map_or(short.clone(), |note| format!("{note}; {short}")));
    }
    let meta = IndexMeta {
        kind: built.kind.to_string(),
        bytes_per_vector: built.bytes_per_vector as u32,
        params: built.params.clone(),
        note: built.note.clone(),
        measured: Some(measured),
    };
    Ok(Some(Part { built, meta }))
}

/// Recall of rows other than the query, which is a row itself and one of its own ten.
fn others(measured: &Measured) -> f64 {
    ((10.0 * measured.recall_at_10 - 1.0) / 9.0).max(0.0)
}

/// Share of each sampled vector's 10 exact nearest rows that the index finds among its first 10.
fn measure(view: &IndexView<'_>, embedded: &Embedded) -> Result<Measured, BuildError> {
    let rows = embedded.products.len();
    let k = rows.min(10);
    let step = rows.div_ceil(SAMPLE).max(1);
    let vector = |row: usize| &embedded.vectors[row * embedded.dim..(row + 1) * embedded.dim];
    let sample: Vec<usize> = (0..rows).step_by(step).collect();
    let exact: Vec<Vec<u32>> = sample
        .par_iter()
        .map(|&at| index::topk::best(rows, k, |row| crate::kernels::dot(vector(at), vector(row))))
        .collect();
    let share = |found: usize| found as f64 / (k * sample.len()) as f64;
    let count =
        |hits: &[index::Hit], exact: &[u32]| hits.iter().filter(|hit| exact.contains(&hit.row)).count();
    let curve = match view.lists() {
        Some(lists) => curve(view, lists.quantizer().lists(), &sample, &exact, &vector)?,
        None => Vec::new(),
    };
    let recall = match curve.last() {
        Some(deepest) => deepest.recall_at_10,
        None => {
            let found: Vec<usize> = sample
                .par_iter()
                .zip(&exact)
                .map(|(&at, exact)| {
                    Ok::<_, SearchError>(count(&view.search(vector(at), k, &|_| true)?, exact))
                })
                .collect::<Result<_, _>>()?;
            share(found.iter().sum())
        }
    };
    Ok(Measured { sample: sample.len() as u32, recall_at_10: recall, curve })
}

/// Depths of search that pay, on one thread.
fn curve<'v>(
    view: &IndexView<'_>,
    lists: usize,
    sample: &[usize],
    exact: &[Vec<u32>],
    vector: &impl Fn(usize) -> &'v [f32],
) -> Result<Vec<CurvePoint>, BuildError> {
    let mut points: Vec<Point> = Vec::new();
    for probe in depths(lists) {
        // One at a time: a search that shares its caches with others tells nothing of a phone.
        let queries = sample.iter().map(|&at| vector(at));
        points.push(crate::eval::vectors::measure(view, queries, exact, probe)?);
    }
    Ok(frontier(points)
        .into_iter()
        .map(|p| CurvePoint {
            lists: p.probe.lists as u32,
            refine: p.probe.refine as u32,
            recall_at_10: p.recall10,
            microseconds: (p.ms_median * 1e4).round() / 10.0,
        })
        .collect())
}
