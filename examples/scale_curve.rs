//! How often the right product is still found as a catalogue grows: `scale_curve FOLDER [--sizes 0,10000,…] [--bytes 72,40]`.
//!
//! FOLDER holds `gallery`, `distractors` and `queries`, each as NAME.npy (u8, f16 or f32, `[n, dim]`) and NAME.txt (the product of
//! each row, a line each); `scripts/scale_curve.py` makes them of real photos. An index has the gallery and the first so many
//! distractors. Right for a query are gallery rows of its product; distractors of its product are neither right nor wrong (junk)
//! and left out while searching. Cosine. Prints a JSON line for each size and index, exact search first:
//! `{"rows","index","bytes_per_vector","recall10","recall10_95","recall1","mar10_capped","ms_median","build_s"}`; `recall10` is the share of
//! queries with a right row among ten, `mar10_capped` of the ten rows those that are right.

use std::collections::HashSet;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use rayon::prelude::*;
use shelfsight::eval::metrics::{bootstrap_mean, capped_recall_at, hit_at, mean, percentile};
use shelfsight::eval::npy;
use shelfsight::index::{IndexKind, IndexParams, IndexView, Keep, Metric, Probe, build};
use shelfsight::kernels;

const TEN: usize = 10;
const RESAMPLES: usize = 10_000;

/// Vectors `[n, dim]` and the product of each.
struct Rows {
    vectors: Vec<f32>,
    products: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let folder =
        Path::new(args.first().ok_or("usage: scale_curve FOLDER [--sizes 0,10000] [--bytes 72,40]")?);
    let list = |name: &str, default: &str| -> Result<Vec<usize>, std::num::ParseIntError> {
        let given = args.iter().position(|a| a == name).and_then(|at| args.get(at + 1));
        given.map_or(default, String::as_str).split(',').map(str::parse).collect()
    };
    let (sizes, bytes) = (list("--sizes", "0,10000,100000,1000000")?, list("--bytes", "72,40")?);
    let (gallery, dim) = read(folder, "gallery")?;
    let (distractors, same) = read(folder, "distractors")?;
    let (queries, also) = read(folder, "queries")?;
    if same != dim || also != dim {
        return Err(format!("vectors of {dim}, {same} and {also} components").into());
    }
    let right: Vec<HashSet<u32>> =
        queries.products.iter().map(|product| rows_of(&gallery, product)).collect();
    let mut all = gallery.vectors;
    let first = gallery.products.len();
    let mut products = gallery.products;
    for size in sizes {
        let count = size.min(distractors.products.len());
        let have = products.len() - first;
        all.extend_from_slice(&distractors.vectors[have * dim..count.max(have) * dim]);
        products.extend_from_slice(&distractors.products[have..count.max(have)]);
        let junk = |query: usize, row: u32| {
            row as usize >= first && products[row as usize] == queries.products[query]
        };

        let exact = |query: usize| {
            nearest(&all, dim, &queries.vectors[query * dim..][..dim], &|row| !junk(query, row))
        };
        let found: Vec<Vec<u32>> = (0..right.len()).into_par_iter().map(exact).collect();
        report(products.len(), "exact", 2.0 * dim as f64, &found, &right, &[], 0.0);
        for &bytes in &bytes {
            let start = Instant::now();
            let params =
                IndexParams { kind: IndexKind::Trq, bytes, metric: Metric::Cosine, ..IndexParams::default() };
            let built = build(&params, &all, dim, &mut |_| ())?;
            let build_s = start.elapsed().as_secs_f64();
            let view = IndexView::open(&built.quantizer, &built.codes)?;
            let (mut found, mut times) = (Vec::new(), Vec::new());
            for query in 0..right.len() {
                let vector = &queries.vectors[query * dim..][..dim];
                let keep = |row: u32| !junk(query, row);
                let start = Instant::now();
                let hits = view.search_with(vector, TEN, &Probe::default(), Keep::Each(&keep))?;
                times.push(start.elapsed().as_secs_f64() * 1e3);
                found.push(hits.iter().map(|hit| hit.row).collect());
            }
            let total = (built.quantizer.len() + built.codes.len()) as f64 / products.len() as f64;
            report(
                products.len(),
                &format!("{}, {bytes} bytes", built.kind),
                total,
                &found,
                &right,
                &times,
                build_s,
            );
        }
    }
    Ok(())
}

fn read(folder: &Path, name: &str) -> Result<(Rows, usize), Box<dyn Error>> {
    let (vectors, dim) = npy::read(&folder.join(name).with_extension("npy"))?;
    let labels = std::fs::read_to_string(folder.join(name).with_extension("txt"))?;
    let products: Vec<String> = labels.lines().map(str::to_owned).collect();
    if products.len() * dim != vectors.len() {
        return Err(format!("{name}: {} products for {} rows", products.len(), vectors.len() / dim).into());
    }
    Ok((Rows { vectors, products }, dim))
}

/// Rows of a product.
fn rows_of(gallery: &Rows, product: &str) -> HashSet<u32> {
    (0u32..).zip(&gallery.products).filter(|(_, p)| *p == product).map(|(row, _)| row).collect()
}

/// The ten nearest rows that `keep` admits, best first.
fn nearest(all: &[f32], dim: usize, query: &[f32], keep: &dyn Fn(u32) -> bool) -> Vec<u32> {
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(TEN + 1);
    for (row, x) in (0u32..).zip(all.chunks_exact(dim)) {
        let score = kernels::dot(query, x);
        if best.get(TEN - 1).is_some_and(|last| score <= last.0) || !keep(row) {
            continue;
        }
        let at = best.partition_point(|b| b.0 >= score);
        best.insert(at, (score, row));
        best.truncate(TEN);
    }
    best.into_iter().map(|(_, row)| row).collect()
}

fn report(
    rows: usize,
    index: &str,
    bytes: f64,
    found: &[Vec<u32>],
    right: &[HashSet<u32>],
    times: &[f64],
    build_s: f64,
) {
    let pairs = || found.iter().zip(right);
    let hits = |k: usize| pairs().map(|(f, r)| f64::from(u8::from(hit_at(k, f, r)))).collect::<Vec<_>>();
    let capped: Vec<f64> = pairs().map(|(f, r)| capped_recall_at(TEN, f, r)).collect();
    let ten = hits(TEN);
    let (low, high) = bootstrap_mean(&ten, 0.95, RESAMPLES, 1).map_or((0.0, 0.0), |i| (i.low, i.high));
    println!(
        "{{\"rows\":{rows},\"index\":\"{index}\",\"bytes_per_vector\":{bytes:.1},\"recall10\":{:.4},\"recall10_95\":[{low:.4},{high:.4}],\
         \"recall1\":{:.4},\"mar10_capped\":{:.4},\"ms_median\":{:.3},\"build_s\":{build_s:.1}}}",
        mean(&ten),
        mean(&hits(1)),
        mean(&capped),
        percentile(times, 0.5).unwrap_or_default(),
    );
}
