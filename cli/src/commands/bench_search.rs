//! `shelfsight bench search`: recall against time at each number of bytes.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;
use shelfsight::eval::vectors::{VectorSet, depths, measure};
use shelfsight::index::{IndexKind, IndexParams, IndexView, Metric, build_from};

use crate::args::{BenchSearchArgs, MetricArg};
use crate::output;

/// Bytes a vector without `--bytes`.
const BYTES: [u32; 4] = [16, 40, 72, 160];

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
    for bytes in args.bytes.map_or(BYTES.to_vec(), |b| vec![b]) {
        let params = IndexParams { kind: IndexKind::Trq, bytes: bytes as usize, metric, seed: args.seed };
        let start = Instant::now();
        let built = match build_from(&params, &set.learn, &set.base, set.dim, &mut |_| ()) {
            Ok(built) => built,
            // One of several budgets may hold nothing.
            Err(error) if args.bytes.is_none() => {
                note!("{bytes} bytes: {error}");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let build_s = start.elapsed().as_secs_f64();
        if let Some(reason) = &built.note {
            note!("{bytes} bytes: {reason}");
        }
        let size = (built.quantizer.len() + built.codes.len()) as f64 / set.rows() as f64;
        let view = IndexView::open(&built.quantizer, &built.codes)?;
        let lists = view.lists().map_or(1, |l| l.quantizer().lists());
        for probe in depths(lists) {
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
    Ok(())
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
                q.levels() as u8
            )
        },
    )
}
