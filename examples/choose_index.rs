//! What `pack build --index auto` would choose for vectors, and what that finds: `choose_index VECTORS_DIR [OPTIONS]`.
//!
//! VECTORS_DIR holds base.npy, learn.npy and query.npy as for `shelfsight bench search`; learn is not used. Vectors are
//! compared by cosine. Prints a JSON line: `{"kind","bytes","reason","choose_s","build_s","bytes_per_vector","recall10"}`,
//! the last measured with queries that choice and index never saw, every list looked at.
//!
//! `--recall R` share of the 10 nearest wanted · `--bytes N` a row at most · `--queries N` · `--seed N`

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use shelfsight::eval::vectors::{VectorSet, measure};
use shelfsight::index::{IndexView, Metric, Probe, Wanted, build, choose};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder =
        args.next().ok_or("usage: choose_index VECTORS_DIR [--recall R] [--bytes N] [--queries N]")?;
    let (mut wanted, mut queries, mut seed) = (Wanted::default(), 1000, 1);
    while let Some(option) = args.next() {
        let value = args.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option.as_str() {
            "--recall" => wanted.recall = Some(value.parse()?),
            "--bytes" => wanted.bytes = Some(value.parse()?),
            "--queries" => queries = value.parse()?,
            "--seed" => seed = value.parse()?,
            _ => return Err(format!("{option}: no such option").into()),
        }
    }
    let set = VectorSet::open(Path::new(&folder))?;
    let exact = set.exact(Metric::Cosine, queries, 10);
    let start = Instant::now();
    let choice = choose(&set.base, set.dim, &wanted, seed)?;
    let choose_s = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let built = build(&choice.params, &set.base, set.dim, &mut |_| ())?;
    let build_s = start.elapsed().as_secs_f64();
    let view = IndexView::open(&built.quantizer, &built.codes)?;
    let probe = Probe { lists: usize::MAX, ..Probe::default() };
    let point = measure(&view, set.queries(queries), &exact, probe)?;
    let bytes = (built.quantizer.len() + built.codes.len()) as f64 / set.rows() as f64;
    let line = serde_json::json!({
        "kind": built.kind.name(),
        "bytes": choice.params.bytes,
        "reason": choice.reason,
        "choose_s": (choose_s * 10.0).round() / 10.0,
        "build_s": (build_s * 10.0).round() / 10.0,
        "bytes_per_vector": (bytes * 10.0).round() / 10.0,
        "recall10": (point.recall10 * 1e4).round() / 1e4,
    });
    println!("{line}");
    Ok(())
}
