//! `shelfsight bench search`: recall against time at each number of bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;
use shelfsight::Embedding;
use shelfsight::eval::vectors::{VectorSet, depths, measure};
use shelfsight::index::{
    BuildIndexError, BuiltIndex, IndexKind, IndexParams, IndexView, Metric, Probe, build_from, lists,
    lists_index,
};
use shelfsight::quant::{Levels, Trq, TrqParams};

use crate::args::{BenchSearchArgs, MetricArg};
use crate::output;

/// Bytes a vector without `--bytes`.
const BYTES: [u32; 5] = [16, 40, 72, 160, 300];
/// And with `--whole`.
const WHOLE: [u32; 2] = [16, 32];

/// Builds an index for each number of bytes and searches it at each depth, one query at a time on one thread.
pub fn run(args: &BenchSearchArgs, json: bool) -> Result<()> {
    let set = VectorSet::open(&args.vectors).with_context(|| {
        format!("{}: --vectors is a folder with base.npy, learn.npy and query.npy", args.vectors.display())
    })?;
    let metric = match args.metric {
        MetricArg::L2 => Metric::L2,
        MetricArg::Ip => Metric::Ip,
        MetricArg::Cosine => Metric::Cosine,
    };
    let queries = args.queries as usize;
    let exact = set.exact(metric, queries, 10);
    if !json {
        say!(
            "{:60} {:>7} {:>9} {:>9} {:>10} {:>9} {:>8}",
            "config",
            "B/vec",
            "recall@10",
            "recall@1",
            "median ms",
            "p95 ms",
            "build s"
        )?;
    }
    let all = if args.whole { &WHOLE[..] } else { &BYTES[..] };
    let (mut measured, mut refused) = (false, Vec::new());
    let budgets = match (args.parts, args.bytes) {
        (Some(parts), _) => vec![parts],
        (None, Some(bytes)) => vec![bytes],
        (None, None) => all.to_vec(),
    };
    for bytes in budgets {
        let start = Instant::now();
        let params = |m| TrqParams { m, seed: args.seed, ..TrqParams::default() };
        let by_hand = if args.whole {
            // Nothing is skipped and nothing looked at twice; two codes a byte, of vectors that are turned once.
            let levels = Levels::One;
            Some(TrqParams { lists: 1, cells: 1, levels, turns: 6, tau: 0.0, ..params(bytes as usize * 2) })
        } else {
            args.parts.map(|parts| TrqParams {
                lists: args.lists,
                cells: args.cells.unwrap_or(args.lists.min(64)),
                reflections: args.reflections,
                turns: args.turns,
                ..params(parts as usize)
            })
        };
        let built = match by_hand {
            Some(params) => lists_of(&set, metric, &params),
            None => {
                let params =
                    IndexParams { kind: IndexKind::Trq, bytes: bytes as usize, metric, seed: args.seed };
                build_from(&params, &set.learn, &set.base, set.dim, &mut |_| ())
            }
        };
        let built = match built {
            Ok(built) => built,
            // One of several budgets may hold nothing, but not all of them.
            Err(error) => {
                refused.push((bytes, error));
                continue;
            }
        };
        measured = true;
        let build_s = start.elapsed().as_secs_f64();
        if let Some(reason) = &built.note {
            note!("{bytes} bytes: {reason}");
        }
        let size = (built.quantizer.len() + built.codes.len()) as f64 / set.rows() as f64;
        let view = IndexView::open(&built.quantizer, &built.codes)?;
        let lists = view.lists().map_or(1, |l| l.quantizer().lists());
        let depths =
            if args.whole { vec![Probe { lists: 1, refine: 10, ..Probe::default() }] } else { depths(lists) };
        for probe in depths {
            let point = measure(&view, set.queries(queries), &exact, probe)?;
            let config = format!("{} probe={} refine={}", describe(&view), probe.lists, probe.refine);
            if json {
                output::print(&json!({
                    "peer": "shelfsight",
                    "config": config,
                    "bytes_per_vector": output::round(size, 1),
                    "recall10": output::round(point.recall10, 4),
                    "recall1_at_1": output::round(point.recall1_at_1, 4),
                    "ms_median": output::round(point.ms_median, 4),
                    "ms_p95": output::round(point.ms_p95, 4),
                    "build_s": output::round(build_s, 1),
                }))?;
            } else {
                say!(
                    "{config:60} {size:7.1} {:9.4} {:9.4} {:10.4} {:9.4} {build_s:8.1}",
                    point.recall10,
                    point.recall1_at_1,
                    point.ms_median,
                    point.ms_p95
                )?;
            }
        }
    }
    if let (false, Some((_, error))) = (measured, refused.pop()) {
        return Err(error).with_context(|| args.vectors.display().to_string());
    }
    refused.iter().for_each(|(bytes, error)| note!("{bytes} bytes: {error}"));
    Ok(())
}

/// Inverted lists made as `params` say, whatever fits how many bytes.
fn lists_of(set: &VectorSet, metric: Metric, params: &TrqParams) -> Result<BuiltIndex, BuildIndexError> {
    let (learn, base) = (comparable(&set.learn, set.dim, metric)?, comparable(&set.base, set.dim, metric)?);
    let trq = Trq::train(&learn, set.dim, params, &mut |_| ())?.trq;
    let codes = lists::build(&trq, &base, &mut |_| ());
    let quantizer = lists_index(&trq, metric, 0.0, set.rows() as u32, &codes);
    Ok(BuiltIndex {
        quantizer,
        bytes_per_vector: codes.len() / set.rows(),
        codes,
        kind: IndexKind::Trq,
        params: BTreeMap::new(),
        note: None,
    })
}

/// Vectors as `metric` compares them: checked, and for cosines of length 1.
fn comparable(vectors: &[f32], dim: usize, metric: Metric) -> Result<Cow<'_, [f32]>, BuildIndexError> {
    if let Some(at) = vectors.iter().position(|v| !v.is_finite()) {
        return Err(BuildIndexError::Vector { row: at / dim });
    }
    if metric != Metric::Cosine {
        return Ok(Cow::Borrowed(vectors));
    }
    let mut unit = Vec::with_capacity(vectors.len());
    for (row, vector) in vectors.chunks_exact(dim).enumerate() {
        let vector = Embedding::normalize(vector.to_vec()).map_err(|_| BuildIndexError::Vector { row })?;
        unit.extend_from_slice(vector.as_slice());
    }
    Ok(Cow::Owned(unit))
}

/// An index in a few words.
fn describe(view: &IndexView<'_>) -> String {
    view.lists().map_or_else(
        || view.kind().to_string(),
        |lists| {
            let q = lists.quantizer();
            format!(
                "trq lists={} cells={} parts={} levels={}",
                q.lists(),
                q.cells(),
                q.parts(),
                q.levels().name()
            )
        },
    )
}
