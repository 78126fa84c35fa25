//! Speed on this machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;
use shelfsight::encode::EncoderFiles;
use shelfsight::kernels::Isa;
use shelfsight::runtime::plan::{Limits, Plan};
use shelfsight::runtime::{Model, ModelBytes, Pool, agreement, probe};

use super::bench_profile;
use crate::args::{BenchEncodeArgs, BenchModel};
use crate::{models, output};

/// Something that runs a model, and what it cost to make ready.
struct Runner {
    engine: String,
    threads: usize,
    model: Box<dyn Model>,
    open: Duration,
    /// Resident bytes that opening and a first run added, where the system tells.
    memory: Option<u64>,
    times: Vec<f64>,
}

/// Least runs and time of a turn. The first run of each is not counted: it finds the caches full of another engine's
/// weights, which is not what a camera meets.
const TURN: (usize, Duration) = (3, Duration::from_millis(100));

impl Runner {
    fn turn(&mut self, tokens: usize) -> Result<()> {
        self.model.run(probe(&*self.model, tokens))?;
        let (begin, mut runs) = (Instant::now(), 0);
        while runs < TURN.0 || begin.elapsed() < TURN.1 {
            let input = probe(&*self.model, tokens);
            let start = Instant::now();
            self.model.run(input)?;
            self.times.push(start.elapsed().as_secs_f64() * 1e3);
            runs += 1;
        }
        Ok(())
    }
}

/// Runs each engine in turn, so that whatever else the machine does meets all alike.
pub fn encode(args: &BenchEncodeArgs, json: bool) -> Result<()> {
    let shipped = models::shipped();
    let all = [
        (BenchModel::Image, "image", shipped.image),
        (BenchModel::Text, "text", shipped.text),
        (BenchModel::Detector, "detector", shipped.detector),
    ];
    if !json && !args.profile {
        say!(
            "{:10} {:16} {:>10} {:>10} {:>10} {:>8} {:>9}",
            "model",
            "engine",
            "median ms",
            "p95 ms",
            "open ms",
            "RSS MB",
            "cosine"
        )?;
    }
    for (which, name, files) in all {
        if args.model.is_some_and(|wanted| wanted != which) {
            continue;
        }
        let files = files.with_context(|| format!("no {name} model ships"))?;
        if args.profile {
            bench_profile::profile(args, name, &files, json)?;
        } else {
            one(args, which, name, &files, json)?;
        }
    }
    Ok(())
}

fn one(
    args: &BenchEncodeArgs,
    which: BenchModel,
    name: &str,
    files: &EncoderFiles,
    json: bool,
) -> Result<()> {
    let tokens = args.tokens as usize;
    let mut runners = runners(args, which, name, files)?;
    let end = Instant::now() + Duration::from_secs(args.seconds.into());
    while Instant::now() < end {
        for runner in &mut runners {
            runner.turn(tokens)?;
        }
    }
    // The last is tract, the oracle, or the plan on the plain path.
    let want = match runners.last() {
        Some(last) => last.model.run(probe(&*last.model, tokens))?,
        None => bail!("no engine runs the {name} model"),
    };
    for runner in &mut runners {
        let got = runner.model.run(probe(&*runner.model, tokens))?;
        let cosine = agreement(&got, &want).unwrap_or(f64::NAN);
        runner.times.sort_by(f64::total_cmp);
        let at = |share: f64| runner.times[((runner.times.len() - 1) as f64 * share) as usize];
        let (median, p95, open) = (at(0.5), at(0.95), runner.open.as_secs_f64() * 1e3);
        let memory = runner.memory.map(|bytes| bytes as f64 / 1e6);
        if json {
            output::print(&json!({
                "engine": runner.engine,
                "model": name,
                "threads": runner.threads,
                "ms_median": output::round(median, 3),
                "ms_p95": output::round(p95, 3),
                "open_ms": output::round(open, 3),
                "rss_mb": memory.map(|mb| output::round(mb, 1)),
                "cosine": output::round(cosine, 5),
            }))?;
        } else {
            let memory = memory.map_or_else(|| "-".to_owned(), |mb| format!("{mb:.1}"));
            say!(
                "{name:10} {:16} {median:10.2} {p95:10.2} {open:10.2} {memory:>8} {cosine:9.5}",
                runner.engine
            )?;
        }
    }
    Ok(())
}

/// The plan on every instruction set, the fastest first, then tract if there is an ONNX file for it.
fn runners(
    args: &BenchEncodeArgs,
    which: BenchModel,
    name: &str,
    files: &EncoderFiles,
) -> Result<Vec<Runner>> {
    let (tokens, threads) = (args.tokens as usize, args.threads as usize);
    let bytes: ModelBytes = Arc::new(files.model.clone());
    let pool = Arc::new(Pool::new(threads));
    let mut runners = Vec::new();
    for &isa in Isa::available() {
        let open = || -> Result<Box<dyn Model>> {
            let plan = Plan::open(bytes.clone(), &Limits::default())?;
            let mut plan = plan.on(isa).context("an instruction set went away")?;
            plan.share(&pool);
            Ok(Box::new(plan))
        };
        runners.push(made(format!("plan {isa:?}").to_lowercase(), pool.threads(), open, tokens)?);
    }
    #[cfg(feature = "onnx")]
    if let Some(folder) = &args.models {
        use shelfsight::detect::DetectorManifest;
        use shelfsight::encode::{ImageManifest, TextManifest};
        let options = match which {
            BenchModel::Image => ImageManifest::from_json(&files.manifest_json)?.load_options(),
            BenchModel::Text => TextManifest::from_json(&files.manifest_json)?.load_options(),
            BenchModel::Detector => DetectorManifest::from_json(&files.manifest_json)?.load_options(),
        };
        let path = folder.join(format!("{name}.onnx"));
        let onnx = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let open = || Ok(shelfsight::runtime::load_onnx(&onnx, &options)?);
        runners.push(made("tract".to_owned(), 1, open, tokens)?);
    }
    #[cfg(not(feature = "onnx"))]
    let _ = (which, name);
    Ok(runners)
}

fn made(
    engine: String,
    threads: usize,
    open: impl FnOnce() -> Result<Box<dyn Model>>,
    tokens: usize,
) -> Result<Runner> {
    let (before, start) = (resident(), Instant::now());
    let model = open()?;
    let open = start.elapsed();
    model.run(probe(&*model, tokens))?;
    let memory = before.zip(resident()).map(|(before, after)| after.saturating_sub(before));
    Ok(Runner { engine, threads, model, open, memory, times: Vec::new() })
}

/// Resident bytes of this process, on Linux.
fn resident() -> Option<u64> {
    shelfsight::measure::memory().rss_mb.map(|mb| (mb * 1e6) as u64)
}
