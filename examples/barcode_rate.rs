//! Reads the barcodes of real photos whose GTINs are known, and prints how many come back, how many wrong ones, and
//! the time a photo: `cargo run --release --features build --example barcode_rate -- --data DIR`.
//!
//! DIR (default: `$SHELFSIGHT_DATA/datakick`) holds `items.csv` with columns `gtin14` and `images`, and the pictures in
//! `images/`. With `--negatives DIR2` every picture below DIR2 is read too: a number found there is a false one.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use shelfsight::eval::metrics::percentile;
use shelfsight::fuse::{BarcodeOptions, Gtin, read_barcodes};
use shelfsight::preprocess::{DecodeOptions, open};

#[derive(Default)]
struct Tally {
    photos: usize,
    read: usize,
    wrong: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut data, mut negatives) = (None, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--data" => data = arguments.next().map(PathBuf::from),
            "--negatives" => negatives = arguments.next().map(PathBuf::from),
            other => return Err(format!("{other}: only --data DIR and --negatives DIR are known").into()),
        }
    }
    let fallback = || std::env::var_os("SHELFSIGHT_DATA").map(|d| Path::new(&d).join("datakick"));
    let data = data.or_else(fallback).ok_or("give --data DIR or set SHELFSIGHT_DATA")?;
    let mut times = Vec::new();
    let mut halves = [Tally::default(), Tally::default()];
    for (photo, gtin) in photos(&data)? {
        let tally = &mut halves[usize::from(half(gtin))];
        let found = read(&photo, &mut times)?;
        tally.photos += 1;
        tally.read += usize::from(found.contains(&gtin));
        for wrong in found.iter().filter(|&&found| found != gtin) {
            tally.wrong += 1;
            println!("{}: {wrong} where {gtin} is listed", photo.display());
        }
    }
    for (name, tally) in ["half A", "half B"].iter().zip(&halves) {
        print_tally(name, tally);
    }
    let [a, b] = halves;
    let all = Tally { photos: a.photos + b.photos, read: a.read + b.read, wrong: a.wrong + b.wrong };
    print_tally("all", &all);
    let at = |share| percentile(&times, share).unwrap_or(0.0);
    println!("ms a photo: p50 {:.1}, p95 {:.1}, max {:.1}", at(0.5), at(0.95), at(1.0));
    if let Some(folder) = negatives {
        let (mut photos, mut false_reads) = (0, 0);
        for photo in pictures(&folder)? {
            photos += 1;
            for found in read(&photo, &mut times)? {
                false_reads += 1;
                println!("{}: {found}", photo.display());
            }
        }
        println!("negatives: {false_reads} numbers in {photos} photos");
    }
    Ok(())
}

fn print_tally(name: &str, tally: &Tally) {
    let share = 100.0 * tally.read as f64 / tally.photos.max(1) as f64;
    println!("{name}: read {} of {} photos ({share:.1} %), wrong {}", tally.read, tally.photos, tally.wrong);
}

fn read(photo: &Path, times: &mut Vec<f64>) -> Result<Vec<Gtin>, Box<dyn Error>> {
    let photo = open(photo, &DecodeOptions::default())?;
    let start = Instant::now();
    let found = read_barcodes(&photo.frame(), &BarcodeOptions::default());
    times.push(start.elapsed().as_secs_f64() * 1e3);
    Ok(found.into_iter().map(|b| b.gtin).collect())
}

/// Splits the products in two halves by a hash of the number, to show how far the rate varies.
fn half(gtin: Gtin) -> bool {
    gtin.as_u64().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 1
}

/// Photos and the GTIN of the product they show, in order of their names.
fn photos(data: &Path) -> Result<BTreeMap<PathBuf, Gtin>, Box<dyn Error>> {
    let mut reader = csv::Reader::from_path(data.join("items.csv"))?;
    let header = reader.headers()?.clone();
    let column = |name: &str| {
        header.iter().position(|c| c == name).ok_or_else(|| format!("items.csv has no column {name}"))
    };
    let (gtin, images) = (column("gtin14")?, column("images")?);
    let mut photos = BTreeMap::new();
    for record in reader.records() {
        let record = record?;
        for image in record[images].split_whitespace() {
            photos.insert(data.join("images").join(image), Gtin::parse(&record[gtin])?);
        }
    }
    Ok(photos)
}

/// All pictures below a folder.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
        if path.is_dir() {
            found.extend(pictures(&path)?);
        } else if ["jpg", "jpeg", "png", "webp"].contains(&extension.as_str()) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
