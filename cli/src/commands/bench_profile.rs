//! Where the time of a model goes, step by step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;
use shelfsight::encode::EncoderFiles;
use shelfsight::runtime::plan::{Limits, Plan};
use shelfsight::runtime::{Model, ModelBytes, Pool, probe};

use crate::args::BenchEncodeArgs;
use crate::output;

/// Runs the plan for `--seconds` and prints a line for each kind of step, the longest first. Its time in a run is that
/// of the run of median length, so the lines add up to it.
pub fn profile(args: &BenchEncodeArgs, name: &str, files: &EncoderFiles, json: bool) -> Result<()> {
    let bytes: ModelBytes = Arc::new(files.model.clone());
    let mut plan = Plan::open(bytes, &Limits::default())?;
    plan.share(&Arc::new(Pool::new(args.threads as usize)));
    let input = || probe(&plan, args.tokens as usize);
    plan.run(input())?;
    let mut runs = Vec::new();
    let end = Instant::now() + Duration::from_secs(args.seconds.into());
    while Instant::now() < end || runs.is_empty() {
        runs.push(plan.profile(input())?.1);
    }
    runs.sort_by_cached_key(|steps| steps.iter().map(|s| s.time).sum::<Duration>());
    let Some(run) = runs.get(runs.len() / 2) else { bail!("the {name} model did not run") };
    let mut kinds: Vec<(&str, usize, Duration)> = Vec::new();
    for step in run {
        match kinds.iter_mut().find(|kind| kind.0 == step.name) {
            Some((_, count, time)) => (*count, *time) = (*count + 1, *time + step.time),
            None => kinds.push((step.name, 1, step.time)),
        }
    }
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.2));
    let all = run.iter().map(|s| s.time).sum::<Duration>().as_secs_f64() * 1e3;
    if !json {
        say!("{name}: {all:.3} ms in {} steps", run.len())?;
    }
    for (step, count, time) in kinds {
        let ms = time.as_secs_f64() * 1e3;
        if json {
            output::print(&json!({
                "model": name,
                "step": step,
                "count": count,
                "ms": output::round(ms, 4),
                "share": output::round(ms / all, 4),
            }))?;
        } else {
            say!("  {step:18} {count:4} {ms:10.3} ms {:6.1} %", ms / all * 100.0)?;
        }
    }
    Ok(())
}
