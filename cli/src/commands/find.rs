//! `shelfsight find`: one product by a photo, by words, or by both.

use anyhow::Result;
use serde_json::json;
use shelfsight::engine::{Query, Timings};
use shelfsight::options::FindOptions;

use crate::args::FindArgs;
use crate::output;

/// Runs the command.
pub fn run(args: &FindArgs, json: bool) -> Result<()> {
    let engine = super::open(&args.pack)?;
    let (photo, mut ms) = match &args.photo {
        Some(path) => {
            let (photo, ms) = super::read_photo(path)?;
            (Some(photo), ms)
        }
        None => (None, Timings::default()),
    };
    let frame = photo.as_ref().map(|photo| photo.frame());
    let query = Query { frame: frame.as_ref(), text: args.text.as_deref() };
    let options = FindOptions {
        top: args.top,
        filters: args.filter.clone(),
        rerank: args.rerank,
        ..FindOptions::default()
    };
    let found = engine.find(&query, &options)?;
    ms.extend(&found.ms);
    if json {
        let results: Vec<_> = found.matches.iter().map(output::result).collect();
        return output::print(&json!({
            "results": results,
            "barcodes": output::gtins(&found.barcodes),
            "ms": output::timings(&ms),
        }));
    }
    for (rank, found) in (1..).zip(&found.matches) {
        say!("{}", output::line(rank, found))?;
    }
    if found.matches.is_empty() {
        say!("no product matches")?;
    }
    Ok(())
}
