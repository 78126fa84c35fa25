//! `shelfsight bench open` and `shelfsight bench scan`: one stage with a pack.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;
use shelfsight::engine::{Engine, EngineOptions};
use shelfsight::measure::{Speed, memory};
use shelfsight::options::ScanOptions;

use crate::args::{BenchOpenArgs, BenchScanArgs};
use crate::output;

fn timed<T>(times: &mut Vec<f64>, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = work()?;
    times.push(start.elapsed().as_secs_f64() * 1e3);
    Ok(result)
}

/// Opens the pack and loads its models, as an app does once when it starts.
pub fn open(args: &BenchOpenArgs, json: bool) -> Result<()> {
    let (mut opened, mut ready) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        timed(&mut ready, || {
            let engine = timed(&mut opened, || super::open(&args.pack))?;
            Ok(engine.warm_up()?)
        })?;
    }
    show("open", 1, ready, opened, None, json)
}

/// Scans a photo, its file decoded before.
pub fn scan(args: &BenchScanArgs, json: bool) -> Result<()> {
    let (photo, _) = super::read_photo(&args.photo)?;
    let mut opened = Vec::new();
    let options = EngineOptions { threads: args.threads as usize, ..EngineOptions::default() };
    let engine = timed(&mut opened, || {
        let engine = Engine::open(&args.pack, options).with_context(|| args.pack.display().to_string())?;
        engine.warm_up()?;
        Ok(engine)
    })?;
    let frame = photo.frame();
    let options = ScanOptions { barcode: args.barcodes, ..ScanOptions::default() };
    // The first fills the caches and is not counted.
    let boxes = engine.scan(&frame, &options)?.items.len();
    let mut times = Vec::new();
    for _ in 0..args.rounds {
        timed(&mut times, || Ok(engine.scan(&frame, &options)?))?;
    }
    show("scan", args.threads, times, opened, Some(boxes), json)
}

fn show(
    stage: &str,
    threads: u32,
    times: Vec<f64>,
    opened: Vec<f64>,
    boxes: Option<usize>,
    json: bool,
) -> Result<()> {
    let none = "no round was run";
    let (speed, open) = (Speed::of(times).context(none)?, Speed::of(opened).context(none)?);
    let memory = memory().rss_mb;
    if json {
        return output::print(&json!({
            "engine": "shelfsight",
            "model": stage,
            "threads": threads,
            "ms_median": output::round(speed.median, 3),
            "ms_p95": output::round(speed.p95, 3),
            "open_ms": output::round(open.median, 3),
            "rss_mb": memory.map(|mb| output::round(mb, 1)),
            "boxes": boxes,
        }));
    }
    let boxes = boxes.map_or_else(String::new, |boxes| format!(", {boxes} boxes"));
    let memory = memory.map_or_else(String::new, |mb| format!(", {mb:.0} MB in memory"));
    say!("{stage}: {:.2} ms median, {:.2} ms p95{boxes}{memory}", speed.median, speed.p95)
}
