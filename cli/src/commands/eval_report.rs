//! The page that `shelfsight eval --report` writes.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Result;
use shelfsight::build::QueryRow;
use shelfsight::engine::{Engine, QUERY_DECODE};
use shelfsight::eval::run::{EvalReport, Outcome, QueryResult};
use shelfsight::preprocess;

use crate::output;
use crate::report::{Answer, Case, Picture, Report, Series, Table, Tile};

/// Wrong and right queries shown.
const SHOWN: (usize, usize) = (36, 12);

/// Answers shown a query.
const ANSWERS: usize = 4;

/// Writes the page.
pub fn write(
    path: &Path,
    engine: &Engine,
    queries: &[QueryRow],
    images: &Path,
    eval: &EvalReport,
) -> Result<()> {
    let meta = engine.pack().meta();
    let lead = format!("{} queries against {} products.", eval.results.len(), meta.product_count);
    let mut report = Report::new("Evaluation", lead);
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let mut tiles: Vec<Tile> =
        eval.scores.hit.iter().map(|(k, share)| Tile::new(format!("recall@{k}"), percent(*share))).collect();
    if let (Some(interval), Some(first)) = (eval.scores.hit_1_interval, tiles.first_mut()) {
        *first = first.clone().note(format!("{} to {}", percent(interval.low), percent(interval.high)));
    }
    tiles.push(Tile::new("MAR@10", percent(eval.scores.recall_10.macro_mean)));
    tiles.push(Tile::new("mAP", percent(eval.scores.map)));
    tiles.push(
        Tile::new("Median time", format!("{:.0} ms", eval.ms_p50)).note(format!("p95 {:.0} ms", eval.ms_p95)),
    );
    report.tiles(&tiles);

    report.section("Recall by depth", "Share of queries with a right product among the first k.");
    let depths = [1, 2, 3, 5, 10, 20, 50, 100];
    let share = |k: usize| {
        let found = eval.results.iter().filter(|r| r.rank.is_some_and(|rank| rank <= k)).count();
        (k as f64, found as f64 / eval.results.len().max(1) as f64)
    };
    let points = depths.map(share).to_vec();
    report.curve("Recall@k", "k", Some((0.0, 1.0)), &[Series::new("all evidence", points)]);

    report.section("What each kind of evidence does alone", "Over the queries that have it.");
    let bars: Vec<_> = eval.evidence.iter().map(|(k, v)| ((*k).to_owned(), 100.0 * v)).collect();
    report.bars("Right first", "%", &bars);

    report.section("Where right products are lost", "Each query counted once.");
    let mut table = Table::new(["Where", "Queries"]);
    for (outcome, count) in &eval.outcomes {
        table.row([outcome.name().to_owned(), count.to_string()]);
    }
    report.table(&table);

    if !eval.stages.is_empty() {
        report.section(
            "What compression cost these queries",
            "The same queries with the vectors as they were.",
        );
        let mut table =
            Table::new(["Search", "recall@1", "recall@10", "MAR@10", "mAP", "recall@1 changes by"]);
        for stage in &eval.stages {
            let hit = |k| stage.scores.hit.iter().find(|(at, _)| *at == k).map_or(0.0, |(_, hit)| *hit);
            let gain = stage.gain.map_or(String::new(), |gain| {
                format!("{:+.2} to {:+.2} points", 100.0 * gain.low, 100.0 * gain.high)
            });
            let mar = stage.scores.recall_10.macro_mean;
            let [a, b, c, d] = [hit(1), hit(10), mar, stage.scores.map].map(percent);
            table.row([stage.name.to_owned(), a, b, c, d, gain]);
        }
        report.table(&table);
    }

    report.section(
        "What compression cost when the pack was built",
        "Share of the exact ten nearest rows that the index finds, measured when the pack was built: a pack does not keep exact vectors.",
    );
    let mut table = Table::new(["Index", "Kind", "Bytes a vector", "Of the exact ten", "Rows asked"]);
    for (name, index) in [("pictures", &meta.image_index), ("texts", &meta.text_index)] {
        let Some(index) = index else { continue };
        let (share, sample) = index
            .measured
            .as_ref()
            .map_or((String::new(), String::new()), |m| (percent(m.recall_at_10), m.sample.to_string()));
        table.row([name.to_owned(), index.kind.clone(), index.bytes_per_vector.to_string(), share, sample]);
    }
    report.table(&table);

    report.section("Time", "From decoded photo to answers.");
    let bars: Vec<_> = eval.stage_ms.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
    report.bars("Mean, by stage", "ms", &bars);
    let times: Vec<f64> = eval.results.iter().filter(|r| r.fault.is_none()).map(|r| r.ms).collect();
    report.histogram("Queries by time", "ms", &times);

    let names = titles(engine);
    for (title, wrong, most) in [("Wrong answers", true, SHOWN.0), ("Right answers", false, SHOWN.1)] {
        let chosen: Vec<&QueryResult> =
            eval.results.iter().filter(|r| (r.outcome != Outcome::Right) == wrong).collect();
        if chosen.is_empty() {
            continue;
        }
        report.section(title, format!("{} of {}.", chosen.len().min(most), chosen.len()));
        // Spread over the file, not its head.
        let step = chosen.len().div_ceil(most).max(1);
        let cases: Result<Vec<Case>> =
            chosen.iter().step_by(step).map(|r| case(r, &queries[r.query], images, &names)).collect();
        report.gallery(&cases?);
    }
    report.footer(&format!(
        "pack by {}, evaluated by shelfsight {}",
        meta.generator,
        env!("CARGO_PKG_VERSION")
    ));
    report.write(path)
}

fn titles(engine: &Engine) -> HashMap<String, String> {
    let records = engine.pack().records();
    let title = |product| {
        let record = records.at(product).ok()?;
        Some((record.id()?.to_owned(), record.title().unwrap_or_default().to_owned()))
    };
    (0..records.len()).filter_map(title).collect()
}

fn case(
    result: &QueryResult,
    query: &QueryRow,
    images: &Path,
    names: &HashMap<String, String>,
) -> Result<Case> {
    let mut shown = None;
    if let Some(image) = query.image.as_ref().filter(|_| result.fault.is_none()) {
        let photo = preprocess::open(&images.join(image), &QUERY_DECODE)?;
        let picture = image::RgbImage::from_raw(photo.width(), photo.height(), photo.rgb().to_vec());
        shown = picture.map(|p| Picture::jpeg(&p, 220, 76, image)).transpose()?;
    }
    let wanted: Vec<&str> =
        query.ids.iter().map(|id| names.get(id).filter(|t| !t.is_empty()).unwrap_or(id).as_str()).collect();
    let place = match (&result.fault, result.rank) {
        (Some(fault), _) => fault.to_string(),
        (None, Some(rank)) => format!("rank {rank}"),
        (None, None) => result.outcome.name().to_owned(),
    };
    let answers = result.matches.iter().take(ANSWERS).map(|found| Answer {
        picture: None,
        title: output::name(found),
        detail: if found.evidence.barcode { "barcode".to_owned() } else { found.record.category.clone() },
        score: Some(found.score),
        right: Some(query.ids.contains(&found.record.id)),
    });
    Ok(Case {
        query: shown,
        text: query.text.clone(),
        caption: format!("{} ({place})", wanted.join(", ")),
        right: Some(result.outcome == Outcome::Right),
        answers: answers.collect(),
    })
}
