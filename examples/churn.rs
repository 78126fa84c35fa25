//! Recall after half of an index was exchanged, beside an index built anew: `churn VECTORS_DIR [BYTES]`.
//!
//! VECTORS_DIR holds base.npy, learn.npy and query.npy as for `shelfsight bench search`. The first two thirds of the base
//! are built; then every second of their rows is deleted and the last third is added. Both indexes are trained on the
//! rows they are built of, so the exchanged one never saw a third of what it holds. Prints a table.

use std::collections::HashSet;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use shelfsight::eval::vectors::{VectorSet, measure};
use shelfsight::index::{IndexKind, IndexParams, IndexView, Keep, Live, Metric, Probe, build};

const QUERIES: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: churn VECTORS_DIR [BYTES]")?;
    let bytes = args.next().map_or(Ok(72), |b| b.parse())?;
    let set = VectorSet::open(Path::new(&folder))?;
    let (d, n) = (set.dim, set.rows());
    let first = n / 3 * 2;
    let (old, new) = set.base.split_at(first * d);
    let params = IndexParams { kind: IndexKind::Trq, bytes, metric: Metric::L2, ..IndexParams::default() };
    let built = build(&params, old, d, &mut |_| ())?;
    let view = IndexView::open(&built.quantizer, &built.codes)?;
    let mut live = Live::new(&view);
    let start = Instant::now();
    for x in new.chunks_exact(d) {
        let row = live.encode(x)?;
        live.insert(&row)?;
    }
    let added = start.elapsed();
    let start = Instant::now();
    (0..first as u32).step_by(2).for_each(|row| {
        live.remove(row);
    });
    println!(
        "{} rows of {d}; {} added in {:.1} s ({:.3} ms each, one thread), {} deleted in {:.1} ms",
        first,
        n - first,
        added.as_secs_f64(),
        added.as_secs_f64() * 1e3 / (n - first) as f64,
        first.div_ceil(2),
        start.elapsed().as_secs_f64() * 1e3
    );

    // Rows of the exchanged index by the place they have in one built anew.
    let kept: Vec<u32> =
        (0..live.changes().rows()).filter(|&r| !live.changes().deleted().contains(r)).collect();
    let base: Vec<f32> = kept.iter().flat_map(|&r| &set.base[r as usize * d..][..d]).copied().collect();
    let set = VectorSet { base, ..set };
    let exact = set.exact(Metric::L2, QUERIES, 10);
    let anew = build(&params, &set.base, d, &mut |_| ())?;
    let anew = IndexView::open(&anew.quantizer, &anew.codes)?;
    let start = Instant::now();
    let (section, codes, _) = live.changes().compacted(&view, &built.quantizer);
    let compacting = start.elapsed();
    let compact = IndexView::open(&section, &codes)?;
    println!("compacted in {:.2} s", compacting.as_secs_f64());
    println!("| lists | refine | exchanged | ms | compacted | ms | built anew | ms |");
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    for lists in [4, 8, 16, 32, 48, 64] {
        let probe = Probe { lists, refine: 100, ..Probe::default() };
        let (mut found, mut wanted, mut times) = (0, 0, Vec::new());
        for (query, exact) in set.queries(QUERIES).zip(&exact) {
            let start = Instant::now();
            let hits = live.search(query, 10, &probe, Keep::All)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            let exact: HashSet<u32> = exact.iter().map(|&r| kept[r as usize]).collect();
            found += hits.iter().filter(|hit| exact.contains(&hit.row)).count();
            wanted += exact.len();
        }
        times.sort_by(f64::total_cmp);
        let compact = measure(&compact, set.queries(QUERIES), &exact, probe)?;
        let anew = measure(&anew, set.queries(QUERIES), &exact, probe)?;
        println!(
            "| {lists} | {} | {:.4} | {:.3} | {:.4} | {:.3} | {:.4} | {:.3} |",
            probe.refine,
            found as f64 / wanted as f64,
            times[times.len() / 2],
            compact.recall10,
            compact.ms_median,
            anew.recall10,
            anew.ms_median
        );
    }
    Ok(())
}
