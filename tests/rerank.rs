//! Reranking by local descriptors, with the models that ship: built, asked, edited, compacted.
#![allow(clippy::unwrap_used)]
#![cfg(feature = "build")]

use std::fs;
use std::path::{Path, PathBuf};

use shelfsight::build::{self, BuildError, BuildOptions, Models};
use shelfsight::encode::{EncoderFiles, read_encoder_files};
use shelfsight::engine::{Engine, EngineOptions, FindError, Found, NewProduct, Query};
use shelfsight::frame::{Frame, Pixels, Plane};
use shelfsight::index::{IndexParams, Wanted};
use shelfsight::options::{FindOptions, ScanOptions};
use shelfsight::pack::{Pack, Record, SectionKind};

const SIDE: u32 = 96;

/// The shipped image encoder as it ships: compiled.
fn image_encoder() -> EncoderFiles {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/weights");
    let files = read_encoder_files(&folder.join("image.json")).unwrap();
    EncoderFiles { model: fs::read(folder.join("image.plan")).unwrap(), ..files }
}

/// A package: a colour, and print at places of its own.
fn package(seed: u32, shift: u32) -> Vec<u8> {
    let pixel = |x: u32, y: u32, c: u32| {
        let (x, y) = (x + shift, y + shift / 2);
        let cell = (x / 12) * 31 + (y / 12) * 17 + seed * 7;
        let print = cell.wrapping_mul(2_654_435_761) >> 28 < 5;
        let ground = 60 + (seed * 53 + c * 71) % 160;
        (if print { 255 - ground } else { ground }) as u8
    };
    (0..SIDE * SIDE).flat_map(|i| [0, 1, 2].map(|c| pixel(i % SIDE, i / SIDE, c))).collect()
}

fn frame(pixels: &[u8]) -> Frame<'_> {
    let plane = Plane { data: pixels, row_stride: (SIDE * 3) as usize, pixel_stride: 3 };
    Frame::new(Pixels::Rgb(plane), SIDE, SIDE).unwrap()
}

/// A pack of `count` packages, each with one picture.
fn pack(dir: &Path, count: u32, rerank: bool, encoder: EncoderFiles) -> Result<PathBuf, BuildError> {
    let mut catalogue = String::from("id,title,images\n");
    for seed in 0..count {
        let name = format!("p{seed}.png");
        image::RgbImage::from_raw(SIDE, SIDE, package(seed, 0)).unwrap().save(dir.join(&name)).unwrap();
        catalogue += &format!("p{seed},,{name}\n");
    }
    fs::write(dir.join("catalogue.csv"), catalogue).unwrap();
    let options = BuildOptions {
        images: dir.to_owned(),
        index: IndexParams::default(),
        auto: Some(Wanted::default()),
        rerank,
        skip_bad: false,
        created: 1,
        generator: "test".to_owned(),
    };
    let out = dir.join(format!("shop-{rerank}.shelf"));
    let rows = build::read_catalogue(&dir.join("catalogue.csv")).unwrap();
    let models = Models { image: Some(encoder), ..Models::default() };
    build::build_pack(&rows, &models, &options, &out, &|_, _, _| {})?;
    Ok(out)
}

fn open(path: &Path) -> Engine {
    Engine::open(path, EngineOptions::default()).unwrap()
}

fn find(engine: &Engine, pixels: &[u8], rerank: bool) -> Result<Found, FindError> {
    let query = Query { frame: Some(&frame(pixels)), text: None };
    engine.find(&query, &FindOptions { barcode: false, rerank, ..FindOptions::default() })
}

/// Ids with their scores.
fn list(found: &Found) -> Vec<(String, f32)> {
    found.matches.iter().map(|m| (m.record.id.clone(), m.score)).collect()
}

fn scores(found: &Found) -> Vec<f32> {
    found.matches.iter().map(|m| m.score).collect()
}

#[test]
fn a_package_is_found_and_scores_keep_their_meaning() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&pack(dir.path(), 30, true, image_encoder()).unwrap());
    assert!(engine.can_rerank());
    let mut changed = 0;
    for seed in 0..30 {
        let pixels = package(seed, 5);
        let (plain, reranked) =
            (find(&engine, &pixels, false).unwrap(), find(&engine, &pixels, true).unwrap());
        // The same scores, dealt to the products in another order: at most 20 of them.
        assert_eq!(scores(&plain), scores(&reranked));
        changed += usize::from(list(&plain) != list(&reranked));
        assert_eq!(list(&reranked), list(&find(&engine, &pixels, true).unwrap()));
        let exact = find(&engine, &package(seed, 0), true).unwrap();
        assert_eq!(list(&exact)[0].0, format!("p{seed}"));
        assert!(reranked.ms.stages().iter().any(|(stage, _)| *stage == "rerank"));
    }
    assert!(changed > 5, "cells change {changed} of 30 lists");
}

#[test]
fn a_pack_without_cells_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&pack(dir.path(), 3, false, image_encoder()).unwrap());
    assert!(!engine.can_rerank());
    assert!(find(&engine, &package(1, 0), false).is_ok());
    assert!(matches!(find(&engine, &package(1, 0), true), Err(FindError::NoReranker)));
    // Before a detector is asked for, which this pack lacks too: a shelf without products must not hide it.
    let options = ScanOptions { rerank: true, ..ScanOptions::default() };
    assert!(matches!(engine.scan(&frame(&package(1, 0)), &options), Err(FindError::NoReranker)));

    let none = EncoderFiles { reranker: None, ..image_encoder() };
    assert!(matches!(pack(dir.path(), 3, true, none), Err(BuildError::NoReranker)));
    let broken = EncoderFiles { reranker: Some(b"{}".to_vec()), ..image_encoder() };
    assert!(matches!(pack(dir.path(), 3, true, broken), Err(BuildError::Reranker(_))));
}

#[test]
fn words_alone_are_answered_where_reranking_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&pack(dir.path(), 3, true, image_encoder()).unwrap());
    let query = Query { frame: None, text: Some("5901234123457") };
    let options = FindOptions { rerank: true, ..FindOptions::default() };
    // Without a text encoder words cannot be encoded; that is the only thing wrong.
    assert!(matches!(engine.find(&query, &options), Err(FindError::NoModel { .. })));
}

#[test]
fn cells_stay_with_their_pictures_through_edits_and_compaction() {
    let dir = tempfile::tempdir().unwrap();
    let path = pack(dir.path(), 24, true, image_encoder()).unwrap();
    let engine = open(&path);
    let record = |seed: u32| Record { id: format!("p{seed}"), title: "Added".into(), ..Record::default() };
    for seed in 24..27 {
        let pixels = package(seed, 0);
        let record = record(seed);
        engine.add(&NewProduct { record, pictures: &[frame(&pixels)], ..NewProduct::default() }).unwrap();
    }
    // One of three was coded before, as apps do that keep no frames.
    let pixels = package(27, 0);
    let coded = engine.code_picture(&frame(&pixels), None).unwrap();
    engine.add(&NewProduct { record: record(27), coded: &[coded], ..NewProduct::default() }).unwrap();
    for seed in [0, 5, 25] {
        engine.remove_id(&format!("p{seed}")).unwrap();
    }
    let answers = |engine: &Engine| -> Vec<_> {
        (0..28).map(|seed| list(&find(engine, &package(seed, 3), true).unwrap())).collect()
    };
    let before = answers(&engine);
    for seed in [24, 26, 27] {
        let own = list(&find(&engine, &package(seed, 0), true).unwrap());
        assert_eq!(own[0].0, format!("p{seed}"));
    }
    assert_eq!(answers(&open(&path)), before);
    engine.compact().unwrap().unwrap();
    let compacted = open(&path);
    assert_eq!(compacted.products(), 25);
    assert_eq!(answers(&compacted), before);
}

#[test]
fn damaged_cells_change_no_more_than_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = pack(dir.path(), 12, true, image_encoder()).unwrap();
    let bytes = fs::read(&path).unwrap();
    let at = {
        let pack = Pack::open(&path, &Default::default()).unwrap();
        pack.sections().iter().find(|s| s.id.kind() == Some(SectionKind::ImageCells)).unwrap().offset as usize
    };
    // Their checksums wait for `verify`: what lies in them may be anything, and the answer is still a list.
    for (from, to, fill) in [(16, 900, 0xff), (16, 2000, 0x88), (16, 16 + 1617, 0)] {
        let mut other = bytes.clone();
        other[at + from..at + to].fill(fill);
        let damaged = dir.path().join("damaged.shelf");
        fs::write(&damaged, other).unwrap();
        let found = find(&open(&damaged), &package(2, 0), true).unwrap();
        assert_eq!(found.matches.len(), 10);
    }
    // A header that lies is found when the pack is opened.
    let mut other = bytes;
    other[at + 4] ^= 1;
    let damaged = dir.path().join("damaged.shelf");
    fs::write(&damaged, other).unwrap();
    assert!(Engine::open(&damaged, EngineOptions::default()).is_err());
}
