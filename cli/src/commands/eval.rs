//! `shelfsight eval`: how often the right product is found, and where it is lost.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use shelfsight::build::read_queries;
use shelfsight::eval::run::{EvalReport, evaluate};
use shelfsight::options::FindOptions;

use crate::args::EvalArgs;
use crate::output::{print, round};
use crate::progress;

/// Runs the command.
pub fn run(args: &EvalArgs, json: bool) -> Result<()> {
    let engine = super::open(&args.pack)?;
    let queries = read_queries(&args.queries).with_context(|| args.queries.display().to_string())?;
    let bar = progress::bar("queries", queries.len() as u64);
    let options = FindOptions { barcode: !args.no_barcode, ..FindOptions::default() };
    let report =
        evaluate(&engine, &queries, &args.images, &options, &mut |done| bar.set_position(done as u64))?;
    bar.finish();
    for result in &report.results {
        if let Some(fault) = &result.fault {
            eprintln!("line {}: {fault}; counted as lost", queries[result.query].line);
        }
    }
    if let Some(out) = &args.report {
        super::eval_report::write(out, &engine, &queries, &args.images, &report)?;
    }
    let value = summary(&report);
    if json {
        print(&value);
    } else {
        print_table(&report);
    }
    Ok(())
}

/// The JSON of `eval`.
pub fn summary(report: &EvalReport) -> Value {
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
    value.insert("by_stage".into(), json!({ "evidence": evidence, "outcomes": lost, "ms": ms }));
    Value::Object(value)
}

fn print_table(report: &EvalReport) {
    println!("{} queries", report.results.len());
    for (k, share) in &report.recall {
        println!("  recall@{k:<3} {:>6.2} %", 100.0 * share);
    }
    if let Some(interval) = report.recall_1_interval {
        println!(
            "  recall@1 lies in {:.2} to {:.2} % (95 % bootstrap)",
            100.0 * interval.low,
            100.0 * interval.high
        );
    }
    println!("  MAR@10    {:>6.2} %", 100.0 * report.mar_10);
    println!("  mAP       {:>6.2} %", 100.0 * report.map);
    println!("  median {:.1} ms, p95 {:.1} ms a query", report.ms_p50, report.ms_p95);
    println!("by kind of evidence alone:");
    for (name, share) in &report.evidence {
        println!("  {name:<14} {:>6.2} %", 100.0 * share);
    }
    println!("where the right product went:");
    for (outcome, count) in &report.outcomes {
        println!("  {:<14} {count:>6}", outcome.name());
    }
}
