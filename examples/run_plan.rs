//! Times a compiled model, as `scripts/bench_encode.py` asks for it:
//! `run_plan MODEL.plan TOKENS THREADS SECONDS [ISA]`. Prints one line of JSON; the other engines have such a program too.
//! `3x` instead of seconds is three runs and no more, for `scripts/model-arm.sh`.
//!
//! ISA is a path of `kernels::Isa` in small letters; the best one without it. The file's bytes are in memory before
//! anything is timed, as a mapped pack has them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shelfsight::kernels::Isa;
use shelfsight::runtime::plan::{Limits, Plan};
use shelfsight::runtime::{Model, ModelBytes, Pool, probe};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, path, tokens, threads, seconds, path_name @ ..] = &args[..] else {
        return Err("run_plan MODEL.plan TOKENS THREADS SECONDS [ISA]".into());
    };
    let (tokens, threads): (usize, usize) = (tokens.parse()?, threads.parse()?);
    let runs: Option<usize> = seconds.strip_suffix('x').map(str::parse).transpose()?;
    let seconds = if runs.is_some() { Duration::ZERO } else { Duration::from_secs_f64(seconds.parse()?) };
    let named = |isa: &&Isa| path_name.is_empty() || format!("{isa:?}").to_lowercase() == path_name[0];
    let isa = *Isa::available().iter().find(named).ok_or("this processor has no such path")?;
    let bytes: ModelBytes = Arc::new(std::fs::read(path)?);

    let before = resident("VmRSS:");
    // Where the system lets it, the peak is counted from here.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let start = Instant::now();
    let mut plan = Plan::open(bytes, &Limits::default())?.on(isa).ok_or("this processor has no such path")?;
    let open_ms = start.elapsed().as_secs_f64() * 1e3;
    plan.share(&Arc::new(Pool::new(threads)));
    if runs.is_none() {
        plan.run(probe(&plan, tokens))?;
    }
    let given = probe(&plan, tokens);
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < runs.unwrap_or(1) || begin.elapsed() < seconds {
        let input = given.clone();
        let start = Instant::now();
        plan.run(input)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{{\"engine\":\"plan {isa:?}\",\"ms_median\":{:.4},\"open_ms\":{open_ms:.3},\"peak_mb\":{:.1}}}",
        times[times.len() / 2],
        resident("VmHWM:") - before
    );
    Ok(())
}

/// Megabytes that the system counts for this process under a name; NaN where it does not.
fn resident(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kb| kb / 1000.0)
}
