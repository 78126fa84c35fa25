//! `shelfsight eval`: how often the right product is found, and where it is lost.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use shelfsight::build::read_queries;
use shelfsight::eval::run::{EvalReport, evaluate};
use shelfsight::options::FindOptions;
use shelfsight::pack::PackMeta;

use crate::args::EvalArgs;
use crate::output::{print, round};
use crate::{files, progress};

/// Runs the command.
pub fn run(args: &EvalArgs, json: bool) -> Result<()> {
    let engine = super::open(&args.pack)?;
    let queries = read_queries(&args.queries).with_context(|| args.queries.display().to_string())?;
    if queries.iter().any(|query| query.image.is_some()) && !args.images.is_dir() {
        bail!(
            "{}: not a folder; --images is the folder that picture paths start from",
            args.images.display()
        );
    }
    if let Some(out) = &args.report {
        files::check_writable(out)?;
    }
    let bar = progress::bar("queries", queries.len() as u64);
    let options = FindOptions { barcode: !args.no_barcode, ..FindOptions::default() };
    let report =
        evaluate(&engine, &queries, &args.images, &options, &mut |done| bar.set_position(done as u64))?;
    bar.finish();
    for result in &report.results {
        if let Some(fault) = &result.fault {
            let query = &queries[result.query];
            let what = query.image.as_deref().or(query.text.as_deref()).unwrap_or_default();
            note!("line {}: {what:?}: {fault}; counted as lost", query.line);
        }
    }
    if let Some(out) = &args.report {
        super::eval_report::write(out, &engine, &queries, &args.images, &report)?;
    }
    let meta = engine.pack().meta();
    if json { print(&summary(&report, meta)) } else { print_table(&report, meta) }
}

/// The JSON of `eval`. What the compressed index loses against exact search was measured when the pack was built, with the
/// vectors as they were; a pack does not keep those.
pub fn summary(report: &EvalReport, meta: &PackMeta) -> Value {
    let mut value = Map::new();
    value.insert("queries".into(), json!(report.results.len()));
    for (k, share) in &report.recall {
        value.insert(format!("recall@{k}"), json!(round(*share, 4)));
    }
    if let Some(interval) = report.recall_1_interval {
        value.insert("recall@1_95".into(), json!([round(interval.low, 4), round(interval.high, 4)]));
    }
    value.insert("mar@10".into(), json!(round(report.mar_10, 4)));
    value.insert("map".into(), json!(round(report.map, 4)));
    value.insert("ms_p50".into(), json!(round(report.ms_p50, 3)));
    value.insert("ms_p95".into(), json!(round(report.ms_p95, 3)));
    let evidence: Map<_, _> =
        report.evidence.iter().map(|(k, v)| ((*k).to_owned(), json!(round(*v, 4)))).collect();
    let lost: Map<_, _> = report.outcomes.iter().map(|(k, v)| (k.name().to_owned(), json!(v))).collect();
    let ms: Map<_, _> = report.stage_ms.iter().map(|(k, v)| ((*k).to_owned(), json!(round(*v, 3)))).collect();
    let index = json!({ "image": meta.image_index, "text": meta.text_index });
    value.insert(
        "by_stage".into(),
        json!({ "evidence": evidence, "outcomes": lost, "index": index, "ms": ms }),
    );
    Value::Object(value)
}

fn print_table(report: &EvalReport, meta: &PackMeta) -> Result<()> {
    say!("{} queries", report.results.len())?;
    for (k, share) in &report.recall {
        say!("  recall@{k:<3} {:>6.2} %", 100.0 * share)?;
    }
    if let Some(interval) = report.recall_1_interval {
        say!(
            "  recall@1 lies in {:.2} to {:.2} % (95 % bootstrap)",
            100.0 * interval.low,
            100.0 * interval.high
        )?;
    }
    say!("  MAR@10    {:>6.2} %", 100.0 * report.mar_10)?;
    say!("  mAP       {:>6.2} %", 100.0 * report.map)?;
    say!("  median {:.1} ms, p95 {:.1} ms a query", report.ms_p50, report.ms_p95)?;
    say!("by kind of evidence alone:")?;
    for (name, share) in &report.evidence {
        say!("  {name:<14} {:>6.2} %", 100.0 * share)?;
    }
    say!("where the right product went:")?;
    for (outcome, count) in &report.outcomes {
        say!("  {:<14} {count:>6}", outcome.name())?;
    }
    say!("what compression cost, measured when the pack was built:")?;
    for (name, index) in [("pictures", &meta.image_index), ("texts", &meta.text_index)] {
        if let Some(index) = index {
            say!("  {name:<14} {}", super::pack::describe(index))?;
        }
    }
    Ok(())
}
