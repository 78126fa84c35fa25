//! What opening a large pack costs: `cold_open VECTORS_DIR PACK [BYTES]`.
//!
//! Without PACK on disk, builds it of base.npy and learn.npy in VECTORS_DIR: a record a row with an id and a title, and
//! inverted lists. With it, opens it and searches once, and prints milliseconds, resident memory and page faults: run it
//! a second time for a warm cache, and after `vmtouch -e PACK` or with a fresh copy that was dropped from the cache
//! (`dd of=PACK oflag=nocache conv=notrunc,fdatasync count=0`) for a cold one.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Instant;

use shelfsight::eval::vectors::VectorSet;
use shelfsight::index::{IndexKind, IndexParams, IndexView, Keep, Metric, Probe, build_from};
use shelfsight::pack::{
    EncoderMeta, IndexMeta, IndexSections, OpenOptions, Pack, PackMeta, PackWriter, Record, RecordsWriter,
    RowsView, SectionKind,
};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (Some(folder), Some(pack)) = (args.first(), args.get(1).map(Path::new)) else {
        return Err("usage: cold_open VECTORS_DIR PACK [BYTES]".into());
    };
    if !pack.exists() {
        let bytes = args.get(2).map_or(Ok(72), |b| b.parse())?;
        return make(Path::new(folder), pack, bytes);
    }
    let query = fs::read(Path::new(folder).join("query.npy"))?;
    let before = faults();
    let start = Instant::now();
    let opened = Pack::open(pack, &OpenOptions::default())?;
    let pack_ms = start.elapsed().as_secs_f64() * 1e3;
    let start = Instant::now();
    let (quantizer, codes) = opened.index(IndexSections::Image).ok_or("the pack has no index")?;
    let view = IndexView::open(quantizer, codes)?;
    let index_ms = start.elapsed().as_secs_f64() * 1e3;
    let opening = faults();
    // The file's last bytes, as whole numbers from 0 to 255: any query does.
    let query: Vec<f32> = query[query.len() - view.dim()..].iter().map(|&b| f32::from(b)).collect();
    let start = Instant::now();
    let hits = view.search_with(&query, 10, &Probe::default(), Keep::All)?;
    let first_ms = start.elapsed().as_secs_f64() * 1e3;
    let start = Instant::now();
    view.search_with(&query, 10, &Probe::default(), Keep::All)?;
    let again_ms = start.elapsed().as_secs_f64() * 1e3;
    println!(
        "{} rows, {:.1} MB: pack open {pack_ms:.2} ms, index open {index_ms:.2} ms, {} from disk; first search \
         {first_ms:.2} ms, again {again_ms:.2} ms; {} of {} page faults from disk in all; {} resident, {} hits",
        view.len(),
        opened.file_len() as f64 / 1e6,
        opening.1 - before.1,
        faults().1,
        faults().0 + faults().1,
        status("VmRSS"),
        hits.len()
    );
    Ok(())
}

fn make(folder: &Path, path: &Path, bytes: usize) -> Result<(), Box<dyn Error>> {
    let set = VectorSet::open(folder)?;
    let rows = set.rows() as u32;
    let params = IndexParams { kind: IndexKind::Trq, bytes, metric: Metric::L2, ..IndexParams::default() };
    let start = Instant::now();
    let built = build_from(&params, &set.learn, &set.base, set.dim, &mut |_| ())?;
    let build_s = start.elapsed().as_secs_f64();
    let mut records = RecordsWriter::new();
    for row in 0..rows {
        let (id, title) = (format!("{row:08}"), format!("Product number {row} of a large shop, 500 g"));
        records.push(&Record { id, title, ..Record::default() })?;
    }
    let mut writer = PackWriter::create(path)?;
    writer.meta(&PackMeta {
        product_count: rows,
        image_rows: rows,
        image: Some(EncoderMeta { id: "0".repeat(64), dim: set.dim as u32, ..EncoderMeta::default() }),
        image_index: Some(IndexMeta { kind: "trq".into(), ..IndexMeta::default() }),
        ..PackMeta::default()
    })?;
    writer.section(SectionKind::Records, &records.finish())?;
    writer.section(SectionKind::ImageRows, &RowsView::to_bytes(&(0..rows).collect::<Vec<_>>()))?;
    writer.section(SectionKind::ImageQuantizer, &built.quantizer)?;
    writer.section(SectionKind::ImageCodes, &built.codes)?;
    writer.finish()?;
    println!(
        "{rows} rows of {} built in {build_s:.1} s; peak memory {} (the vectors themselves {:.0} MB)",
        set.dim,
        status("VmHWM"),
        (set.base.len() + set.learn.len() + set.query.len()) as f64 * 4e-6
    );
    Ok(())
}

/// A line of what Linux says of this process.
fn status(name: &str) -> String {
    let all = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.map_or("unknown".into(), |value| value.trim().into())
}

/// Page faults so far, without and with reading from disk.
fn faults() -> (u64, u64) {
    let all = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may hold anything: state, parent and six more, then the counts.
    let fields: Vec<&str> = all.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|f| f.parse().ok()).unwrap_or_default();
    (field(7), field(9))
}
