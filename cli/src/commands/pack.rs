//! `shelfsight pack build|inspect|verify`.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use shelfsight::build::{self, BuildOptions, BuildReport};
use shelfsight::index::{IndexKind, IndexParams, Wanted};
use shelfsight::pack::journal::HEADER_LEN;
use shelfsight::pack::{IndexMeta, Journal, MAGIC, OpenOptions, Pack};

use crate::args::{BuildArgs, IndexArg};
use crate::models;
use crate::output;
use crate::progress::BuildBars;

/// Bytes a vector of a compressed index unless the user says otherwise.
const DEFAULT_BYTES: usize = 64;

/// Builds a pack.
pub fn build(args: &BuildArgs, json: bool) -> Result<()> {
    let (rows, refused) = read_rows(args)?;
    check_out(args)?;
    let models = models::chosen(&args.encoder)?;
    if !args.images.is_dir() {
        bail!(
            "{}: not a folder; --images is the folder that picture paths start from",
            args.images.display()
        );
    }
    for (line, reason) in &refused {
        note!("skipped line {line}: {reason}");
    }
    let options = BuildOptions {
        images: args.images.clone(),
        index: index_params(args.index, args.bytes),
        auto: (args.index == IndexArg::Auto)
            .then_some(Wanted { bytes: args.bytes.map(|b| b as usize), recall: args.recall }),
        rerank: args.rerank,
        skip_bad: args.skip_bad,
        created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()),
        generator: concat!("shelfsight ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let bars = BuildBars::default();
    let report = build::build_pack(&rows, &models, &options, &args.out, &|step, done, total| {
        bars.show(step, done, total);
    });
    let report = report.map_err(|error| match error.line() {
        Some(_) => anyhow::Error::new(error).context(args.catalog.display().to_string()),
        None => error.into(),
    })?;
    bars.finish();
    report.skipped.iter().for_each(|skipped| note!("skipped {skipped}"));
    for (line, id) in &report.unfindable {
        note!("skipped line {line}: product {id:?} has no picture, text or GTIN that can be used");
    }
    if let Some((line, id)) = report.unread_texts.first() {
        note!(
            "{} products have texts of which the text encoder knows no word (another script?), the first in line {line}, \
             {id:?}: these texts find nothing",
            report.unread_texts.len()
        );
    }
    for (model, reason) in report.models.iter().filter_map(|m| Some((m.model, m.kept.as_ref()?))) {
        note!("the {model} runs as ONNX, slower than compiled: {reason}");
    }
    if let Some(what) = &report.unread_on_phones {
        note!("phones will refuse words for this pack: they do not read {what} in its tokenizer");
    }
    if json {
        let models: Vec<_> = report
            .models
            .iter()
            .map(|m| json!({ "model": m.model, "compiled": m.kept.is_none(), "reason": m.kept }))
            .collect();
        output::print(&json!({
            "pack": output::path(&args.out),
            "products": report.meta.product_count,
            "image_rows": report.meta.image_rows,
            "text_rows": report.meta.text_rows,
            "bytes": report.bytes,
            "skipped_rows": refused.len() + report.unfindable.len(),
            "skipped_images": report.skipped.len(),
            "index": { "image": report.meta.image_index, "text": report.meta.text_index },
            "models": models,
        }))
    } else {
        summary(args, &report, refused.len())
    }
}

/// The catalogue's rows, and those that `--skip-bad` leaves out.
fn read_rows(args: &BuildArgs) -> Result<build::catalogue::PartlyRead> {
    let file = || args.catalog.display().to_string();
    if !args.skip_bad {
        return Ok((build::read_catalogue(&args.catalog).with_context(file)?, Vec::new()));
    }
    let (rows, refused) = build::read_catalogue_partly(&args.catalog).with_context(file)?;
    match refused.first() {
        Some((line, reason)) if rows.is_empty() => {
            bail!("{}: no row can be used; the first is line {line}: {reason}", file())
        }
        _ => Ok((rows, refused)),
    }
}

/// Refuses to replace anything but a pack: the catalogue, say, after a slip of the keyboard.
fn check_out(args: &BuildArgs) -> Result<()> {
    let Ok(meta) = fs::metadata(&args.out) else { return Ok(()) };
    if !meta.is_file() {
        bail!("{}: not a file; --out is the pack to write", args.out.display());
    }
    let mut start = Vec::new();
    let file = fs::File::open(&args.out).with_context(|| args.out.display().to_string())?;
    file.take(MAGIC.len() as u64).read_to_end(&mut start)?;
    if !MAGIC.starts_with(&start) {
        bail!(
            "{}: this file is no pack, so it is not replaced; move it or choose another --out",
            args.out.display()
        );
    }
    let journal = Journal::path_beside(&args.out);
    if fs::metadata(&journal).is_ok_and(|m| m.len() > HEADER_LEN as u64) {
        bail!(
            "{}: it holds what was added to the pack that --out names and would be lost; run 'shelfsight pack compact' \
             to keep it, or remove it",
            journal.display()
        );
    }
    Ok(())
}

/// Turns the flags into index parameters.
pub fn index_params(kind: IndexArg, bytes: Option<u32>) -> IndexParams {
    let kind = match kind {
        // A first guess: the build measures and chooses.
        IndexArg::Auto | IndexArg::Flat => IndexKind::Flat,
        IndexArg::Pq => IndexKind::Pq,
        IndexArg::Rq => IndexKind::Rq,
        IndexArg::Opq => IndexKind::Opq,
        IndexArg::Trq => IndexKind::Trq,
    };
    let bytes = bytes.map_or(DEFAULT_BYTES, |b| b as usize);
    IndexParams { kind, bytes, seed: 0, ..IndexParams::default() }
}

fn summary(args: &BuildArgs, report: &BuildReport, refused: usize) -> Result<()> {
    let meta = &report.meta;
    say!("{}: {} products, {} bytes", args.out.display(), meta.product_count, report.bytes)?;
    for (name, rows, index) in
        [("pictures", meta.image_rows, &meta.image_index), ("texts", meta.text_rows, &meta.text_index)]
    {
        if let Some(index) = index {
            say!("  {rows} {name}: {}", describe(index))?;
        }
    }
    let (rows, pictures) = (refused + report.unfindable.len(), report.skipped.len());
    if rows + pictures > 0 {
        say!("  {rows} rows and {pictures} pictures were left out, see above")?;
    }
    Ok(())
}

/// An index in one line.
pub fn describe(index: &IndexMeta) -> String {
    let mut text = format!("{} index, {} B a vector", index.kind, index.bytes_per_vector);
    if let Some(m) = &index.measured {
        let share = 100.0 * m.recall_at_10;
        text += &format!(", finds {share:.1} % of the 10 exact nearest ({} sampled)", m.sample);
    }
    if let Some(note) = &index.note {
        text += &format!("; {note}");
    }
    text
}

/// Prints what a pack holds.
pub fn inspect(path: &Path, json: bool) -> Result<()> {
    let pack = Pack::open(path, &OpenOptions::default()).with_context(|| path.display().to_string())?;
    let meta = pack.meta();
    let journal = Journal::path_beside(path);
    let entries = Journal::read(&journal, &pack)?.records.len();
    let journal_bytes = super::pack_edit::journal_bytes(path);
    if json {
        let sections: Vec<Value> = pack
            .sections()
            .iter()
            .map(|s| json!({"name": s.id.to_string(), "offset": s.offset, "bytes": s.len}))
            .collect();
        return output::print(&json!({
            "bytes": pack.file_len(),
            "deleted": pack.tombstones().deleted(),
            "journal": {"entries": entries, "bytes": journal_bytes},
            "meta": meta,
            "sections": sections,
        }));
    }
    say!("{}", path.display())?;
    say!("  format {}, {} bytes, made by {}", pack.version(), pack.file_len(), meta.generator)?;
    say!("  {} products, {} deleted", meta.product_count, pack.tombstones().deleted())?;
    if entries > 0 {
        say!("  {entries} additions and deletions in a journal of {journal_bytes} bytes")?;
    }
    for (name, encoder) in [("image", &meta.image), ("text", &meta.text), ("detector", &meta.detector)] {
        if let Some(e) = encoder {
            say!("  {name}: {} {} ({})", e.name, e.version, &e.id[..12.min(e.id.len())])?;
        }
    }
    for (name, rows, index) in
        [("pictures", meta.image_rows, &meta.image_index), ("texts", meta.text_rows, &meta.text_index)]
    {
        if let Some(index) = index {
            say!("  {rows} {name}: {}", describe(index))?;
        }
    }
    say!("  sections:")?;
    for section in pack.sections() {
        say!("    {:<18} {:>12} B at {}", section.id.to_string(), section.len, section.offset)?;
    }
    say!("  licences:")?;
    for licence in &meta.licences {
        say!("    {}: {}. {}", licence.what, licence.licence, licence.attribution)?;
    }
    Ok(())
}

/// Checks every byte of a pack.
pub fn verify(path: &Path, json: bool) -> Result<()> {
    let options = OpenOptions { verify: true, ..OpenOptions::default() };
    let engine = shelfsight::engine::Engine::open(
        path,
        shelfsight::engine::EngineOptions { pack: options, ..Default::default() },
    )
    .with_context(|| path.display().to_string())?;
    engine.warm_up().with_context(|| path.display().to_string())?;
    let report = engine.pack().verify().with_context(|| path.display().to_string())?;
    if json {
        output::print(&json!({
            "ok": true,
            "bytes": report.bytes,
            "sections": report.sections,
            "blocks": report.blocks,
        }))
    } else {
        say!(
            "{}: {} bytes, {} sections, {} blocks: all as written",
            path.display(),
            report.bytes,
            report.sections,
            report.blocks
        )
    }
}
