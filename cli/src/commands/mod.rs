//! One file a command.

pub mod bench;
pub mod bench_device;
mod bench_profile;
pub mod bench_search;
pub mod bench_stage;
pub mod demo;
mod demo_report;
pub mod eval;
mod eval_report;
mod eval_scan;
pub mod find;
pub mod pack;
pub mod pack_edit;
pub mod scan;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use shelfsight::engine::{Engine, EngineOptions, QUERY_DECODE, Timings};
use shelfsight::preprocess::{self, Photo};

/// Opens a pack for queries.
fn open(pack: &Path) -> Result<Engine> {
    Engine::open(pack, EngineOptions::default()).with_context(|| pack.display().to_string())
}

/// Reads a photo file, and how long that took as stage `decode`.
fn read_photo(path: &Path) -> Result<(Photo, Timings)> {
    let start = Instant::now();
    let photo = preprocess::open(path, &QUERY_DECODE).with_context(|| path.display().to_string())?;
    let mut ms = Timings::default();
    ms.add("decode", start.elapsed().as_secs_f64() * 1e3);
    Ok((photo, ms))
}
