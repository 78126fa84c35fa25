//! `shelfsight bench device`: the benchmark of the phone apps, on this machine.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use shelfsight::build::{QueryRow, read_queries};
use shelfsight::measure::{MeasureOptions, Pictures, Probe, Report, Speed, measure};

use crate::args::BenchDeviceArgs;
use crate::{output, progress};

/// Runs the command.
pub fn run(args: &BenchDeviceArgs, json: bool) -> Result<()> {
    let engine = super::open(&args.pack)?;
    let rows = match &args.queries {
        Some(file) => read_queries(file).with_context(|| file.display().to_string())?,
        None => Vec::new(),
    };
    let mut probes = probes(&rows, args.images.as_deref())?;
    let shelf = args.shelf.as_deref().map(super::read_photo).transpose()?.map(|(photo, _)| photo);
    let options = MeasureOptions {
        rounds: args.rounds,
        rest: Duration::from_millis(args.rest.into()),
        ..MeasureOptions::default()
    };
    let bar = progress::bar("steps", u64::from(args.rounds) + probes.len() as u64);
    let pictures = Pictures { probes: Some(&mut probes), shelf: shelf.as_ref() };
    let report = measure(&engine, &args.pack, pictures, &options, &mut |done, _| bar.set_position(done))?;
    bar.finish();
    if json { output::print(&serde_json::to_value(&report)?) } else { print_table(&report) }
}

/// Photos with known products, each read when it is its turn; queries by words are left out, as the benchmark's recall is by
/// looks.
fn probes<'a>(
    rows: &'a [QueryRow],
    images: Option<&'a Path>,
) -> Result<impl ExactSizeIterator<Item = Result<Probe, Box<dyn Error + Send + Sync>>>> {
    let photos: BTreeMap<u64, (&str, &Vec<String>)> =
        rows.iter().filter_map(|row| Some((row.line, (row.image.as_deref()?, &row.ids)))).collect();
    if images.is_none() && !photos.is_empty() {
        bail!("--queries names photos; say with --images where they are");
    }
    let folder = images.unwrap_or(Path::new(""));
    // A name that is wrong should not be found out after minutes of measuring.
    for (line, (image, _)) in &photos {
        let path = folder.join(image);
        path.metadata().with_context(|| format!("line {line}: {}", path.display()))?;
    }
    let read = |(line, (image, ids)): (u64, (&str, &Vec<String>))| -> Result<Probe> {
        let (photo, _) = super::read_photo(&folder.join(image)).with_context(|| format!("line {line}"))?;
        Ok(Probe { photo, ids: ids.clone() })
    };
    Ok(photos.into_iter().map(move |row| read(row).map_err(Into::into)))
}

fn print_table(report: &Report) -> Result<()> {
    let device = &report.device;
    say!(
        "{} {}, {} cores, {}",
        device.os,
        device.arch,
        device.cores,
        device.cpu.as_deref().unwrap_or("unnamed CPU")
    )?;
    say!("{:14} {:>10} {:>10} {:>10}", "ms", "p50", "p95", "min")?;
    let ms = &report.ms;
    let stages: [(&str, &Option<Speed>); 8] = [
        ("open", &ms.open),
        ("warm up", &ms.warm_up),
        ("encode image", &ms.encode_image),
        ("encode text", &ms.encode_text),
        ("search image", &ms.search_image),
        ("search text", &ms.search_text),
        ("scan", &ms.scan),
        ("cancel a scan", &ms.cancel),
    ];
    for (name, speed) in stages.into_iter().filter_map(|(name, speed)| Some((name, speed.as_ref()?))) {
        say!("{name:14} {:10.3} {:10.3} {:10.3}", speed.median, speed.p95, speed.min)?;
    }
    if let (Some(now), Some(peak)) = (report.memory.rss_mb, report.memory.peak_mb) {
        say!("{now:.0} MB in memory, {peak:.0} MB at most")?;
    }
    if let Some(recall) = &report.recall {
        say!("recall@1 {:.3}, recall@5 {:.3} on {} photos", recall.at_1, recall.at_5, recall.probes)?;
    }
    let pace = &report.pace;
    say!("{} of {} rounds at full pace ({:.2} ms)", pace.rounds_used, pace.rounds, pace.best_ms)?;
    if pace.throttled {
        note!("most rounds were slowed down by something else; let the machine rest and run again");
    }
    Ok(())
}
