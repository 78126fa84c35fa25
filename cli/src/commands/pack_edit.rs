//! `shelfsight pack add|remove|compact`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::json;
use shelfsight::build::{self, CatalogueRow};
use shelfsight::engine::{Engine, NewProduct};
use shelfsight::pack::Journal;
use shelfsight::preprocess::{self, DecodeOptions, Photo};

use crate::args::AddArgs;
use crate::{output, progress};

/// Adds the products of a catalogue file, each as a whole: what was added before an error stays.
pub fn add(args: &AddArgs, json: bool) -> Result<()> {
    let file = || args.catalog.display().to_string();
    let rows = build::read_catalogue(&args.catalog).with_context(file)?;
    if rows.is_empty() {
        bail!("{}: no products", file());
    }
    let engine = super::open(&args.pack)?;
    let bar = progress::bar("adding", rows.len() as u64);
    let mut replaced = 0;
    for (at, row) in rows.iter().enumerate() {
        let line = || format!("{}: line {}; {at} of {} products were added", file(), row.line, rows.len());
        let pictures = pictures(row, &args.images, &engine).with_context(line)?;
        let frames: Vec<_> = pictures.iter().map(Photo::frame).collect();
        let product = NewProduct {
            record: row.record(),
            replace: args.replace,
            pictures: &frames,
            ..NewProduct::default()
        };
        let there = args.replace && engine.product_of(&row.id).with_context(line)?.is_some();
        engine.add(&product).with_context(line)?;
        replaced += usize::from(there);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let journal = journal_bytes(&args.pack);
    if json {
        return output::print(&json!({
            "pack": output::path(&args.pack),
            "added": rows.len(),
            "replaced": replaced,
            "products": engine.products(),
            "journal_bytes": journal,
        }));
    }
    say!(
        "{}: {} products added, {replaced} of them in place of others; {} products, journal of {journal} bytes",
        args.pack.display(),
        rows.len(),
        engine.products()
    )
}

/// Deletes products by id.
pub fn remove(pack: &Path, ids: &[String], json: bool) -> Result<()> {
    let engine = super::open(pack)?;
    let mut products = Vec::new();
    for id in ids {
        match engine.product_of(id)? {
            Some(product) if !products.contains(&product) => products.push(product),
            Some(_) => {}
            None => bail!("{}: there is no product {id:?}; nothing was deleted", pack.display()),
        }
    }
    for &product in &products {
        engine.remove(product).with_context(|| pack.display().to_string())?;
    }
    let journal = journal_bytes(pack);
    if json {
        return output::print(&json!({
            "pack": output::path(pack),
            "removed": products.len(),
            "products": engine.products(),
            "journal_bytes": journal,
        }));
    }
    say!(
        "{}: {} products deleted; {} products, journal of {journal} bytes",
        pack.display(),
        products.len(),
        engine.products()
    )
}

/// Makes one pack of a pack and its journal.
pub fn compact(pack: &Path, json: bool) -> Result<()> {
    let engine = super::open(pack)?;
    let done = engine.compact().with_context(|| pack.display().to_string())?;
    if json {
        return output::print(&json!({
            "pack": output::path(pack),
            "compacted": done.is_some(),
            "products": done.map_or(engine.products(), |d| d.products),
            "bytes_before": done.map_or(engine.pack().file_len(), |d| d.before),
            "bytes": done.map_or(engine.pack().file_len(), |d| d.after),
        }));
    }
    match done {
        Some(d) => {
            say!("{}: {} products, {} bytes instead of {}", pack.display(), d.products, d.after, d.before)
        }
        None => say!("{}: nothing was added or deleted; left as it is", pack.display()),
    }
}

pub fn journal_bytes(pack: &Path) -> u64 {
    std::fs::metadata(Journal::path_beside(pack)).map_or(0, |m| m.len())
}

/// A product's pictures, decoded as a build decodes them.
fn pictures(row: &CatalogueRow, folder: &Path, engine: &Engine) -> Result<Vec<Photo>> {
    if row.images.is_empty() {
        return Ok(Vec::new());
    }
    let shrink_to = Some(engine.picture_side()?);
    let open = |image: &String| {
        let path = folder.join(image);
        let options = DecodeOptions { shrink_to, ..DecodeOptions::default() };
        preprocess::open(&path, &options).with_context(|| path.display().to_string())
    };
    row.images.iter().map(open).collect()
}
