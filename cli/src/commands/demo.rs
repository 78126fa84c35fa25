//! `shelfsight demo`: a shop that does not exist, from catalogue to named shelf, with no files needed.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use serde_json::{Value, json};
use shelfsight::build::{self, BuildOptions, BuildReport};
use shelfsight::engine::{Engine, Found, Query, Scan, Timings};
use shelfsight::options::{FindOptions, ScanOptions};

use super::demo_report;
use crate::args::{DemoArgs, IndexArg};
use crate::demo::{DemoProduct, Shelf, draw_catalogue, draw_photo, draw_shelf};
use crate::draw::{self, Annotation, DrawOptions};
use crate::output::{self, round};
use crate::progress::{self, BuildBars};
use crate::{commands, models};

/// Different products on the shelf.
const ON_SHELF: usize = 26;

/// Single products photographed for `find`.
const PHOTOS: usize = 24;

/// A detected box counts as a drawn product from this intersection over union.
const SAME_PLACE: f32 = 0.5;

/// Quality of the pictures written.
const JPEG_QUALITY: u8 = 90;

/// A drawn photo with its answer.
pub struct PhotoCase {
    /// The product drawn.
    pub product: usize,
    /// The photo.
    pub picture: RgbImage,
    /// Whether a barcode can be seen in it.
    pub barcode_in_view: bool,
    /// What `find` said.
    pub found: Found,
}

/// Everything the demo did, for the report.
pub struct Outcome {
    /// The drawn catalogue.
    pub products: Vec<DemoProduct>,
    /// What was built.
    pub pack: BuildReport,
    /// The drawn shelf.
    pub shelf: Shelf,
    /// What `scan` said.
    pub scan: Scan,
    /// For each drawn facing, the item of the scan at its place.
    pub pairs: Vec<Option<usize>>,
    /// The shelf with boxes and names.
    pub annotated: RgbImage,
    /// Single photos.
    pub photos: Vec<PhotoCase>,
    /// Seconds by step of the demo.
    pub seconds: Vec<(&'static str, f64)>,
}

/// Counts of the demo's shelf and photos.
pub struct Score {
    /// Facings drawn on the shelf.
    pub drawn: usize,
    /// Of those, found by the detector.
    pub detected: usize,
    /// Of those, named right.
    pub named: usize,
    /// Boxes where nothing was drawn.
    pub extra: usize,
    /// Single photos whose product came first.
    pub photos_right: usize,
    /// Single photos.
    pub photos: usize,
    /// Photos in which a barcode was read.
    pub barcodes_read: usize,
    /// Photos in which a barcode can be seen.
    pub barcodes_in_view: usize,
}

impl Outcome {
    /// Whether the item at facing `at` was named right.
    pub fn right(&self, at: usize) -> Option<bool> {
        let item = &self.scan.items[self.pairs[at]?];
        let wanted = &self.products[self.shelf.truth[at].product].id;
        Some(item.matches.first().is_some_and(|m| m.record.id == *wanted))
    }

    /// Whether the product of a photo came first.
    pub fn photo_right(&self, case: &PhotoCase) -> bool {
        let wanted = &self.products[case.product].id;
        case.found.matches.first().is_some_and(|m| m.record.id == *wanted)
    }

    /// The counts.
    pub fn score(&self) -> Score {
        let detected = self.pairs.iter().flatten().count();
        Score {
            drawn: self.pairs.len(),
            detected,
            named: (0..self.pairs.len()).filter(|&at| self.right(at) == Some(true)).count(),
            extra: self.scan.items.len() - detected,
            photos_right: self.photos.iter().filter(|case| self.photo_right(case)).count(),
            photos: self.photos.len(),
            barcodes_read: self.photos.iter().filter(|case| !case.found.barcodes.is_empty()).count(),
            barcodes_in_view: self.photos.iter().filter(|case| case.barcode_in_view).count(),
        }
    }
}

/// Runs the command.
pub fn run(args: &DemoArgs, json: bool) -> Result<()> {
    let out = &args.out;
    claim(out)?;
    let pictures = out.join("catalogue");
    fs::create_dir_all(&pictures).with_context(|| out.display().to_string())?;
    let mut seconds = Vec::new();
    let mut step = |name, start: Instant| seconds.push((name, start.elapsed().as_secs_f64()));

    let start = Instant::now();
    let products = draw_catalogue(args.seed, args.products as usize);
    let catalogue = out.join("catalogue.jsonl");
    write_catalogue(&products, &catalogue, &pictures)?;
    step("draw the catalogue", start);

    let start = Instant::now();
    let pack_path = out.join("demo.shelf");
    let pack = build_pack(&catalogue, &pictures, &pack_path)?;
    step("build the pack", start);

    let start = Instant::now();
    let shelf = draw_shelf(args.seed, &products, ON_SHELF);
    let shelf_path = out.join("shelf.jpg");
    save(&shelf.picture, &shelf_path)?;
    step("draw the shelf", start);

    let start = Instant::now();
    let engine = commands::open(&pack_path)?;
    engine.warm_up()?;
    step("open the pack, load the models", start);

    let start = Instant::now();
    // From the file, as a user's photo would be.
    let (photo, mut ms) = commands::read_photo(&shelf_path)?;
    let mut scan = engine.scan(&photo.frame(), &ScanOptions::default())?;
    ms.extend(&scan.ms);
    scan.ms = ms;
    step("scan the shelf", start);

    let start = Instant::now();
    let photos = find_photos(&engine, &products, args.seed, out)?;
    step("find single photos", start);

    let pairs = pair(&shelf, &scan);
    let mut outcome =
        Outcome { products, pack, shelf, scan, pairs, annotated: RgbImage::new(1, 1), photos, seconds };
    outcome.annotated = annotate(&outcome);
    outcome.annotated.save(out.join("shelf-annotated.png")).with_context(|| out.display().to_string())?;
    demo_report::write(&out.join("report.html"), &outcome)?;
    if json { output::print(&summary(&outcome, out)) } else { print(&outcome, out) }
}

/// Refuses a folder with files of the user's own where the demo would write.
fn claim(out: &Path) -> Result<()> {
    const MARK: &str = ".shelfsight-demo";
    let earlier = out.join(MARK).exists();
    let written = [
        "demo.shelf",
        "catalogue",
        "catalogue.jsonl",
        "photos",
        "report.html",
        "shelf.jpg",
        "shelf-annotated.png",
    ];
    if let Some(name) = written.iter().find(|name| !earlier && out.join(name).exists()) {
        bail!("{}: it has a {name} that no demo made; name another folder with --out", out.display());
    }
    fs::create_dir_all(out)
        .and_then(|()| fs::write(out.join(MARK), ""))
        .with_context(|| out.display().to_string())
}

fn write_catalogue(products: &[DemoProduct], catalogue: &Path, pictures: &Path) -> Result<()> {
    let bar = progress::bar("drawing", products.len() as u64);
    let mut lines = Vec::new();
    for product in products {
        let mut names = Vec::new();
        for (at, picture) in product.pictures.iter().enumerate() {
            let name = format!("{}-{at}.jpg", product.id);
            save(picture, &pictures.join(&name))?;
            names.push(name);
        }
        let attrs: serde_json::Map<String, Value> =
            product.attrs.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        let row = json!({
            "id": product.id,
            "title": product.title,
            "brand": product.brand,
            "category": product.category,
            "gtin": product.gtin,
            "images": names,
            "description": product.description,
            "attr": attrs,
        });
        writeln!(lines, "{row}")?;
        bar.inc(1);
    }
    bar.finish();
    fs::write(catalogue, lines).with_context(|| catalogue.display().to_string())
}

fn save(picture: &RgbImage, path: &Path) -> Result<()> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(picture)?;
    fs::write(path, bytes).with_context(|| path.display().to_string())
}

fn build_pack(catalogue: &Path, pictures: &Path, out: &Path) -> Result<BuildReport> {
    let rows = build::read_catalogue(catalogue)?;
    let options = BuildOptions {
        images: pictures.to_owned(),
        index: commands::pack::index_params(IndexArg::Auto, None),
        auto: None,
        rerank: true,
        skip_bad: false,
        created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()),
        generator: concat!("shelfsight demo ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let bars = BuildBars::default();
    let report = build::build_pack(&rows, &models::shipped(), &options, out, &|step, done, total| {
        bars.show(step, done, total);
    })?;
    bars.finish();
    Ok(report)
}

fn find_photos(engine: &Engine, products: &[DemoProduct], seed: u64, out: &Path) -> Result<Vec<PhotoCase>> {
    let folder = out.join("photos");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let bar = progress::bar("photos", PHOTOS as u64);
    let step = (products.len() / PHOTOS).max(1);
    let mut cases = Vec::new();
    for product in (0..products.len()).step_by(step).take(PHOTOS) {
        let drawn = draw_photo(seed, &products[product]);
        let (picture, barcode_in_view) = (drawn.picture, drawn.barcode_in_view);
        let path = folder.join(format!("{}.jpg", products[product].id));
        save(&picture, &path)?;
        let (photo, mut ms) = commands::read_photo(&path)?;
        let query = Query { frame: Some(&photo.frame()), text: None };
        let mut found = engine.find(&query, &FindOptions { top: 5, ..FindOptions::default() })?;
        ms.extend(&found.ms);
        found.ms = ms;
        cases.push(PhotoCase { product, picture, barcode_in_view, found });
        bar.inc(1);
    }
    bar.finish();
    Ok(cases)
}

/// The item at the place of each drawn facing: greedily by overlap, each item once.
fn pair(shelf: &Shelf, scan: &Scan) -> Vec<Option<usize>> {
    let mut overlaps = Vec::new();
    for (at, truth) in shelf.truth.iter().enumerate() {
        for (item, found) in scan.items.iter().enumerate() {
            let iou = truth.rect.iou(&found.rect);
            if iou >= SAME_PLACE {
                overlaps.push((iou, at, item));
            }
        }
    }
    overlaps.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut pairs = vec![None; shelf.truth.len()];
    let mut used = vec![false; scan.items.len()];
    for (_, at, item) in overlaps {
        if pairs[at].is_none() && !used[item] {
            pairs[at] = Some(item);
            used[item] = true;
        }
    }
    pairs
}

fn annotate(outcome: &Outcome) -> RgbImage {
    let mut verdict = vec![None; outcome.scan.items.len()];
    for (at, pair) in outcome.pairs.iter().enumerate() {
        if let Some(item) = pair {
            verdict[*item] = outcome.right(at);
        }
    }
    let notes: Vec<Annotation> = outcome
        .scan
        .items
        .iter()
        .zip(verdict)
        .map(|(item, ok)| {
            let best = item.matches.first();
            Annotation {
                rect: item.rect,
                label: best.map(output::name).unwrap_or_default(),
                score: best.map(|m| m.score),
                ok,
            }
        })
        .collect();
    draw::annotate(&outcome.shelf.picture, &notes, DrawOptions { legend: true })
}

fn summary(outcome: &Outcome, out: &Path) -> Value {
    let score = outcome.score();
    let share = |part: usize, whole: usize| round(part as f64 / whole.max(1) as f64, 4);
    let seconds: serde_json::Map<String, Value> =
        outcome.seconds.iter().map(|(k, v)| ((*k).to_owned(), json!(round(*v, 3)))).collect();
    json!({
        "products": outcome.products.len(),
        "pack_bytes": outcome.pack.bytes,
        "shelf": {
            "drawn": score.drawn,
            "detected": score.detected,
            "named": score.named,
            "extra_boxes": score.extra,
            "detection_recall": share(score.detected, score.drawn),
            "named_of_detected": share(score.named, score.detected),
            "ms": output::timings(&outcome.scan.ms),
        },
        "photos": {
            "queries": score.photos,
            "recall@1": share(score.photos_right, score.photos),
            "barcodes_read": score.barcodes_read,
            "barcodes_in_view": score.barcodes_in_view,
        },
        "seconds": seconds,
        "report": output::path(&out.join("report.html")),
        "annotated": output::path(&out.join("shelf-annotated.png")),
    })
}

fn print(outcome: &Outcome, out: &Path) -> Result<()> {
    let score = outcome.score();
    say!("{} products drawn, pack of {:.1} MB", outcome.products.len(), outcome.pack.bytes as f64 / 1e6)?;
    say!(
        "shelf: {} of {} products detected, {} of those named right, {} boxes on nothing",
        score.detected,
        score.drawn,
        score.named,
        score.extra
    )?;
    say!(
        "single photos: {} of {} right; barcodes: {} of {} in view read",
        score.photos_right,
        score.photos,
        score.barcodes_read,
        score.barcodes_in_view
    )?;
    say!("scan, by stage:")?;
    print_ms(&outcome.scan.ms)?;
    for (name, seconds) in &outcome.seconds {
        say!("  {seconds:>6.1} s  {name}")?;
    }
    say!("pictures and report: {}", out.join("report.html").display())
}

fn print_ms(ms: &Timings) -> Result<()> {
    for (stage, ms) in ms.stages() {
        say!("  {ms:>6.1} ms {stage}")?;
    }
    Ok(())
}
