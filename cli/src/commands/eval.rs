//! `shelfsight eval`: how often the right product is found, and where it is lost.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use shelfsight::build::{QueryRow, read_queries, read_unlabelled_queries};
use shelfsight::engine::Engine;
use shelfsight::eval::metrics::Interval;
use shelfsight::eval::run::{EvalOptions, EvalReport, Stage, evaluate};
use shelfsight::eval::scores::Scores;
use shelfsight::eval::submission;
use shelfsight::options::FindOptions;
use shelfsight::pack::PackMeta;

use crate::args::EvalArgs;
use crate::files::{self, Kind};
use crate::output::{print, round};
use crate::progress;

/// Runs the command.
pub fn run(args: &EvalArgs, json: bool) -> Result<()> {
    if let Some(ranked) = &args.ranked {
        return judge(ranked, &args.queries, json);
    }
    // The parser asks for both wherever there is no ranked file.
    let (Some(pack), Some(images)) = (&args.pack, &args.images) else {
        bail!("--pack and --images are needed")
    };
    if args.scan {
        return super::eval_scan::run(args, pack, images, json);
    }
    let engine = super::open(pack)?;
    let exact = args.exact.as_deref().map(super::open).transpose()?;
    let queries = queries(args)?;
    check_images(&queries, images)?;
    check_outputs(args, &queries, &engine)?;
    let bar = progress::bar("queries", queries.len() as u64);
    let find = FindOptions { barcode: !args.no_barcode, rerank: args.rerank, ..FindOptions::default() };
    let options = EvalOptions { find: Some(&find), exact: exact.as_ref() };
    let report = evaluate(&engine, &queries, images, options, &mut |done| bar.set_position(done as u64))?;
    bar.finish();
    for result in &report.results {
        if let Some(fault) = &result.fault {
            let query = &queries[result.query];
            let what = query.image.as_deref().or(query.text.as_deref()).unwrap_or_default();
            note!("line {}: {what:?}: {fault}; counted as lost", query.line);
        }
    }
    if let Some(out) = &args.submission {
        write_submission(out, &queries, &report)?;
    }
    if let Some(out) = &args.report {
        super::eval_report::write(out, &engine, &queries, images, &report)?;
    }
    let meta = engine.pack().meta();
    if json { print(&summary(&report, meta)) } else { print_table(&report, meta) }
}

/// Refuses, before the work, outputs that would replace what is read, or that could not be written at its end.
fn check_outputs(args: &EvalArgs, queries: &[QueryRow], engine: &Engine) -> Result<()> {
    let read = [&args.pack, &args.exact].into_iter().flatten().chain([&args.queries]);
    let mut taken: Vec<&Path> = read.map(PathBuf::as_path).collect();
    let folder = args.images.clone().unwrap_or_default();
    let photos: Vec<PathBuf> =
        queries.iter().filter_map(|query| Some(folder.join(query.image.as_ref()?))).collect();
    taken.extend(photos.iter().map(PathBuf::as_path));
    if let Some(out) = &args.report {
        files::check_output("--report", out, Kind::Html, &taken)?;
        taken.push(out);
    }
    if let Some(out) = &args.submission {
        let twice = args.report.as_ref().is_some_and(|report| report == out);
        if twice {
            bail!("--submission and --report name one file; name two");
        }
        files::check_output("--submission", out, Kind::Text, &taken)?;
        let records = engine.pack().records();
        let ids = (0..records.len()).filter_map(|product| records.at(product).ok()?.id());
        submission::check(queries, ids)?;
    }
    Ok(())
}

fn queries(args: &EvalArgs) -> Result<Vec<QueryRow>> {
    let read = if args.submission.is_some() { read_unlabelled_queries } else { read_queries };
    read(&args.queries).with_context(|| args.queries.display().to_string())
}

/// Fails unless queries with photos have a folder to find them in.
pub fn check_images(queries: &[QueryRow], images: &Path) -> Result<()> {
    if queries.iter().any(|query| query.image.is_some()) && !images.is_dir() {
        bail!("{}: not a folder; --images is the folder that picture paths start from", images.display());
    }
    Ok(())
}

/// Judges lists that were made elsewhere.
fn judge(ranked: &Path, queries: &Path, json: bool) -> Result<()> {
    let rows = read_queries(queries).with_context(|| queries.display().to_string())?;
    let lists = submission::read(ranked, &rows).with_context(|| ranked.display().to_string())?;
    let scores = Scores::of(&lists);
    if json {
        return print(&Value::Object(named(&scores)));
    }
    say!("{} queries", scores.queries)?;
    print_scores(&scores)
}

fn write_submission(out: &Path, queries: &[QueryRow], report: &EvalReport) -> Result<()> {
    let lists = report.results.iter().map(|result| {
        let ids = result.matches.iter().map(|m| m.record.id.as_str()).collect();
        (queries[result.query].name(), ids)
    });
    let mut bytes = Vec::new();
    submission::write(&mut bytes, lists)?;
    files::write(out, &bytes)
}

fn share(value: f64) -> Value {
    json!(round(value, 4))
}

/// `[low, high]`
pub fn interval(interval: Interval) -> Value {
    json!([round(interval.low, 4), round(interval.high, 4)])
}

/// Every metric by its name, with the keys that callers know from the start.
fn named(scores: &Scores) -> Map<String, Value> {
    let mut value = Map::new();
    value.insert("queries".into(), json!(scores.queries));
    // Nothing was judged where nothing has answers: that is not 0.
    let share = |found: f64| if scores.queries == 0 { Value::Null } else { share(found) };
    for (k, hit) in &scores.hit {
        value.insert(format!("recall@{k}"), share(*hit));
    }
    if let Some(found) = scores.hit_1_interval {
        value.insert("recall@1_95".into(), interval(found));
    }
    value.extend(scores.named().into_iter().map(|(name, found)| (name, share(found))));
    value
}

/// The JSON of `eval`. Without an exact pack, what compression loses is what was measured when the pack was built: a
/// pack does not keep the vectors as they were.
fn summary(report: &EvalReport, meta: &PackMeta) -> Value {
    let mut value = named(&report.scores);
    value.insert("queries".into(), json!(report.results.len()));
    value.insert("judged".into(), json!(report.scores.queries));
    value.insert("ms_p50".into(), json!(round(report.ms_p50, 3)));
    value.insert("ms_p95".into(), json!(round(report.ms_p95, 3)));
    let evidence: Map<_, _> = report.evidence.iter().map(|(k, v)| ((*k).to_owned(), share(*v))).collect();
    let lost: Map<_, _> = report.outcomes.iter().map(|(k, v)| (k.name().to_owned(), json!(v))).collect();
    let ms: Map<_, _> = report.stage_ms.iter().map(|(k, v)| ((*k).to_owned(), json!(round(*v, 3)))).collect();
    let index = json!({ "image": meta.image_index, "text": meta.text_index });
    let search: Vec<Value> = report.stages.iter().map(stage).collect();
    value.insert(
        "by_stage".into(),
        json!({ "evidence": evidence, "outcomes": lost, "search": search, "index": index, "ms": ms }),
    );
    Value::Object(value)
}

fn stage(stage: &Stage) -> Value {
    let mut value = named(&stage.scores);
    value.insert("stage".into(), json!(stage.name));
    value.insert("gain_recall@1_95".into(), json!(stage.gain.map(interval)));
    Value::Object(value)
}

fn print_scores(scores: &Scores) -> Result<()> {
    for (k, hit) in &scores.hit {
        say!("  recall@{k:<3} {:>6.2} %", 100.0 * hit)?;
    }
    if let Some(interval) = scores.hit_1_interval {
        say!(
            "  recall@1 lies in {:.2} to {:.2} % (95 % bootstrap)",
            100.0 * interval.low,
            100.0 * interval.high
        )?;
    }
    let recall = &scores.recall_10;
    say!("  MAR@10    {:>6.2} %", 100.0 * recall.macro_mean)?;
    if (recall.capped - recall.macro_mean).abs() > 1e-9 {
        say!(
            "  of which fits in ten: {:.2} %; by product {:.2} %, micro {:.2} %",
            100.0 * recall.capped,
            100.0 * recall.class_macro,
            100.0 * recall.micro
        )?;
    }
    say!("  mAP       {:>6.2} %", 100.0 * scores.map)
}

fn print_table(report: &EvalReport, meta: &PackMeta) -> Result<()> {
    say!("{} queries", report.results.len())?;
    let judged = report.scores.queries;
    if judged < report.results.len() {
        say!("  {judged} of them have answers to judge by")?;
    }
    if judged > 0 {
        print_scores(&report.scores)?;
    }
    say!("  median {:.1} ms, p95 {:.1} ms a query", report.ms_p50, report.ms_p95)?;
    if judged > 0 {
        say!("by kind of evidence alone:")?;
        for (name, share) in &report.evidence {
            say!("  {name:<14} {:>6.2} %", 100.0 * share)?;
        }
        say!("where the right product went:")?;
        for (outcome, count) in &report.outcomes {
            say!("  {:<14} {count:>6}", outcome.name())?;
        }
    }
    if let [exact, compressed] = &report.stages[..] {
        say!("what compression cost these queries:")?;
        for stage in [exact, compressed] {
            let (scores, gain) = (&stage.scores, stage.gain);
            let gain = gain.map_or(String::new(), |g| {
                format!(", recall@1 changes by {:+.2} to {:+.2} points", 100.0 * g.low, 100.0 * g.high)
            });
            let hit = scores.hit.first().map_or(0.0, |(_, hit)| *hit);
            let (mar, map) = (scores.recall_10.macro_mean, scores.map);
            say!(
                "  {:<14} recall@1 {:.2} %, MAR@10 {:.2} %, mAP {:.2} %{gain}",
                stage.name,
                100.0 * hit,
                100.0 * mar,
                100.0 * map
            )?;
        }
        return Ok(());
    }
    say!("what compression cost, measured when the pack was built:")?;
    for (name, index) in [("pictures", &meta.image_index), ("texts", &meta.text_index)] {
        if let Some(index) = index {
            say!("  {name:<14} {}", super::pack::describe(index))?;
        }
    }
    Ok(())
}
