//! The engine over packs of tiny models: what only shows where the stages meet.
#![allow(clippy::unwrap_used)]
#![cfg(all(feature = "build", feature = "onnx"))]

mod engine_support;

use std::collections::HashSet;
use std::fs;

use engine_support::*;
use shelfsight::Cancel;
use shelfsight::build::{BuildError, CatalogueRow, compile_model};
use shelfsight::encode::{EncoderFiles, ImageEncoder, ImageManifest};
use shelfsight::engine::{Engine, EngineOptions, FindError, OpenEngineError, Query};
use shelfsight::frame::Frame;
use shelfsight::index::IndexKind;
use shelfsight::options::{FindOptions, MAX_TOP, ScanOptions};

#[test]
fn every_picture_finds_its_product_once() {
    let shop = Shop::new(24);
    for kind in [IndexKind::Flat, IndexKind::Pq, IndexKind::Rq] {
        let engine = shop.open(kind);
        // Products 0 and 20 have two pictures; the others one, which nothing can beat where rows are exact.
        for (product, at) in [(0, 0), (0, 1), (1, 0), (7, 0), (13, 0), (20, 1)] {
            let data = pixels(product, at);
            let frame = Frame::rgb(&data, 48, 48).unwrap();
            let query = Query { frame: Some(&frame), text: None };
            let found = ids(&engine, &query, &FindOptions { top: 24, ..FindOptions::default() });
            let place = found.iter().position(|id| *id == format!("p{product}")).unwrap();
            let limit = if kind == IndexKind::Flat && product % 4 != 0 { 1 } else { 4 };
            assert!(place < limit, "{kind}: product {product} is number {place} of {found:?}");
            assert_eq!(found.iter().collect::<HashSet<_>>().len(), found.len(), "a product twice");
        }
    }
}

#[test]
fn words_filters_and_gtins() {
    let shop = Shop::new(12);
    let engine = shop.open(IndexKind::Flat);
    let text = |text| Query { frame: None, text: Some(text) };
    let all = FindOptions { top: 12, ..FindOptions::default() };
    // Product 2 has no picture.
    assert_eq!(ids(&engine, &text("product number 2"), &all).iter().filter(|id| *id == "p2").count(), 1);
    let odd = FindOptions { filters: vec!["brand=odd".parse().unwrap()], ..all.clone() };
    let found = ids(&engine, &text("product number 2"), &odd);
    assert_eq!(found.len(), 6);
    assert!(found.iter().all(|id| id[1..].parse::<u32>().unwrap() % 2 == 1));
    assert_eq!(ids(&engine, &text("4006381333931"), &all)[0], "p5");
    let even = FindOptions { filters: vec!["brand=even".parse().unwrap()], ..all };
    assert!(
        !ids(&engine, &text("4006381333931"), &even).contains(&"p5".to_owned()),
        "a filter holds for barcodes too"
    );
}

#[test]
fn refuses_what_it_cannot_answer() {
    let shop = Shop::new(4);
    let engine = shop.open(IndexKind::Flat);
    let find = |text, top| {
        engine
            .find(&Query { frame: None, text }, &FindOptions { top, ..FindOptions::default() })
            .map(|f| f.matches.len())
    };
    assert!(matches!(find(None, 1), Err(FindError::EmptyQuery)));
    assert!(matches!(find(Some(" \n"), 1), Err(FindError::EmptyQuery)));
    assert!(matches!(find(Some("x"), MAX_TOP + 1), Err(FindError::Top { .. })));
    assert_eq!(find(Some("x"), 0).unwrap(), 0);
    assert_eq!(find(Some("x"), MAX_TOP).unwrap(), 4);
    let frame_bytes = pixels(1, 0);
    let frame = Frame::rgb(&frame_bytes, 48, 48).unwrap();
    assert!(matches!(engine.scan(&frame, &ScanOptions::default()), Err(FindError::NoModel { .. })));
}

#[test]
fn a_cancelled_query_is_an_error_and_harms_nobody() {
    let shop = Shop::new(4);
    let engine = shop.open(IndexKind::Flat);
    let data = pixels(1, 0);
    let frame = Frame::rgb(&data, 48, 48).unwrap();
    let query = Query { frame: Some(&frame), text: Some("product") };
    let cancel = Cancel::new();
    let options = FindOptions { cancel: Some(cancel.clone()), ..FindOptions::default() };
    let encoded = engine.encode(&query, &options).unwrap();
    cancel.cancel();
    assert!(matches!(engine.find(&query, &options), Err(FindError::Cancelled)));
    assert!(matches!(engine.find_encoded(&encoded, &options), Err(FindError::Cancelled)));
    let scan = ScanOptions { cancel: Some(cancel), ..ScanOptions::default() };
    assert!(matches!(engine.scan(&frame, &scan), Err(FindError::Cancelled)));
    assert!(engine.find(&query, &FindOptions::default()).is_ok());
}

#[test]
fn refuses_another_encoder() {
    let shop = Shop::new(4);
    let path = shop.build(IndexKind::Flat).unwrap();
    let open = |model: &str, compiled: bool| {
        let manifest_json = manifest("image", model);
        let mut files = EncoderFiles { manifest_json, model: fixture(model), ..EncoderFiles::default() };
        if compiled {
            files.model = compile_model(&files).unwrap();
        }
        let manifest = ImageManifest::from_json(&files.manifest_json).unwrap();
        let encoder = ImageEncoder::new(manifest, &files.model).unwrap();
        Engine::open(&path, EngineOptions { image_encoder: Some(encoder), ..EngineOptions::default() })
    };
    // The pack holds it compiled, which rounds otherwise than tract does.
    assert!(open("clip_image.onnx", true).is_ok());
    assert!(matches!(open("clip_image.onnx", false), Err(OpenEngineError::Encoder(_))));
    assert!(matches!(open("siglip_image.onnx", false), Err(OpenEngineError::Encoder(_))));
}

#[test]
fn refuses_products_that_nothing_can_find() {
    let mut shop = Shop::new(2);
    shop.rows[1] = CatalogueRow { line: 3, id: "bare".to_owned(), ..CatalogueRow::default() };
    assert!(matches!(shop.build(IndexKind::Flat), Err(BuildError::Unfindable { line: 3, .. })));
    shop.rows.clear();
    assert!(matches!(shop.build(IndexKind::Flat), Err(BuildError::Empty)));
}

#[test]
fn answers_are_the_same_from_many_threads_and_in_every_build() {
    let shop = Shop::new(16);
    let first = fs::read(shop.build(IndexKind::Rq).unwrap()).unwrap();
    let second = fs::read(shop.build(IndexKind::Rq).unwrap()).unwrap();
    assert!(first == second, "the same catalogue gives the same bytes");
    let engine = shop.open(IndexKind::Rq);
    let data = pixels(9, 0);
    let frame = Frame::rgb(&data, 48, 48).unwrap();
    let query = Query { frame: Some(&frame), text: Some("number 3") };
    let want = ids(&engine, &query, &FindOptions::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(ids(&engine, &query, &FindOptions::default()), want);
                }
            });
        }
    });
}
