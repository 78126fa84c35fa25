//! `shelfsight eval --scan`: photos of several products.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use shelfsight::build::read_queries;
use shelfsight::eval::shelves::{Level, ShelfOptions, ShelfReport, evaluate_shelves};

use super::eval::{check_images, interval};
use crate::args::EvalArgs;
use crate::output::{print, round};
use crate::progress;

/// Runs the command.
pub fn run(args: &EvalArgs, pack: &Path, images: &Path, json: bool) -> Result<()> {
    let engine = super::open(pack)?;
    let queries = read_queries(&args.queries).with_context(|| args.queries.display().to_string())?;
    check_images(&queries, images)?;
    let bar = progress::bar("photos", queries.len() as u64);
    let options = ShelfOptions { label: args.label.clone(), barcode: !args.no_barcode, rerank: args.rerank };
    let report =
        evaluate_shelves(&engine, &queries, images, &options, &mut |done| bar.set_position(done as u64))?;
    bar.finish();
    if let Some(first) = report.unknown.first() {
        let count = report.unknown.len();
        note!("{count} of the labels asked for, {first:?} among them, are no product's in this pack");
    }
    for (at, fault) in &report.unreadable {
        let query = &queries[*at];
        let image = query.image.as_deref().unwrap_or_default();
        note!("line {}: {image:?}: {fault}; counted as nothing found", query.line);
    }
    if json { print(&summary(&report)) } else { print_table(&report) }
}

fn summary(report: &ShelfReport) -> Value {
    let levels: Map<String, Value> =
        report.levels.iter().map(|found| (found.name.to_owned(), level(found))).collect();
    json!({
        "photos": report.photos,
        "boxes": round(report.boxes, 2),
        "unreadable": report.unreadable.len(),
        "unknown_labels": report.unknown.len(),
        "levels": levels,
        "gain_mar@10_95": report.gain.map(interval),
    })
}

fn level(level: &Level) -> Value {
    let mut value = Map::new();
    for (n, scores) in &level.scores {
        let parts = [("map", scores.ap), ("map_full", scores.ap_full), ("prec", scores.precision)];
        value.extend(parts.map(|(name, found)| (format!("{name}@{n}"), json!(round(found, 4)))));
        value.insert(format!("mar@{n}"), json!(scores.recall.map(|found| round(found, 4))));
    }
    value.insert("mar@10_95".into(), json!(level.recall_10_interval.map(interval)));
    value.insert("named".into(), json!(round(level.named, 4)));
    value.insert("ms_p50".into(), json!(round(level.ms_p50, 3)));
    Value::Object(value)
}

fn print_table(report: &ShelfReport) -> Result<()> {
    say!("{} photos, {:.1} boxes a photo", report.photos, report.boxes)?;
    for level in &report.levels {
        let what = if level.name == "image" { "the whole photo as one query" } else { "each box as a query" };
        say!("{what}: {:.1} ms a photo", level.ms_p50)?;
        for (n, s) in &level.scores {
            let recall =
                s.recall.map_or("     – ".to_owned(), |recall| format!("{:>6.2} %", 100.0 * recall));
            say!(
                "  N={n:<4} mAP {:>6.2} %  mAR {recall}  Prec {:>6.2} %",
                100.0 * s.ap,
                100.0 * s.precision
            )?;
        }
        say!("  {:.2} % of the products are a first answer", 100.0 * level.named)?;
    }
    if let Some(gain) = report.gain {
        say!(
            "boxes change mAR@10 by {:+.2} to {:+.2} points (95 % bootstrap over photos)",
            100.0 * gain.low,
            100.0 * gain.high
        )?;
    }
    Ok(())
}
