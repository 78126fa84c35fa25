//! One encoder for picture and words: its vectors, and packs that are built, asked and edited with it.
#![allow(clippy::unwrap_used)]
#![cfg(all(feature = "build", feature = "onnx"))]

mod engine_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine_support::{Shop, ids, pixels};
use serde::Deserialize;
use shelfsight::build::{BuildError, BuildOptions, BuildReport, Models, QueryRow, build_pack, compile_model};
use shelfsight::encode::{
    EncodeError, EncoderFiles, ImageEncoder, ImageManifest, LoadEncoderError, Shown, read_encoder_files,
};
use shelfsight::engine::{EditError, Engine, EngineOptions, FindError, NewProduct, Query};
use shelfsight::eval::run::{EvalOptions, evaluate};
use shelfsight::frame::Frame;
use shelfsight::index::{IndexKind, IndexParams};
use shelfsight::options::FindOptions;
use shelfsight::pack::{Record, SectionKind};
use shelfsight::preprocess::{DecodeOptions, open};
use shelfsight::runtime::ModelBytes;
use shelfsight::runtime::plan::is_plan;

#[derive(Deserialize)]
struct Case {
    text: Option<String>,
    picture: bool,
    vector: Vec<f32>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fused")
}

fn files() -> EncoderFiles {
    read_encoder_files(&folder().join("item.json")).unwrap()
}

fn encoder(files: &EncoderFiles) -> Result<ImageEncoder, LoadEncoderError> {
    let model: ModelBytes = Arc::new(files.model.clone());
    let manifest = ImageManifest::from_json(&files.manifest_json)?;
    ImageEncoder::open_with(manifest, &model, files.tokenizer.as_deref().unwrap_or_default())
}

fn words(text: &str) -> Shown<'_> {
    Shown { text: Some(text), ..Shown::default() }
}

#[test]
fn vectors_are_those_of_onnx_runtime_from_the_graph_and_from_the_plan() {
    let graph = files();
    let plan = compile_model(&graph).unwrap();
    assert!(is_plan(&plan));
    let compiled = EncoderFiles { model: plan, ..graph.clone() };
    let photo = open(&folder().join("../photos/upright.png"), &DecodeOptions::default()).unwrap();
    let frame = photo.frame();
    let cases: Vec<Case> =
        serde_json::from_slice(&fs::read(folder().join("reference.json")).unwrap()).unwrap();
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    for files in [&graph, &compiled] {
        let encoder = encoder(files).unwrap();
        for Case { text, picture, vector } in &cases {
            let shown = Shown { frame: picture.then_some(&frame), region: None, text: text.as_deref() };
            let got = encoder.encode_shown(&shown, None).unwrap().0;
            // A resize may differ from Pillow's by a level, and a plan levels rows where the graph levels a whole tensor.
            let right = cosine(got.as_slice(), vector);
            assert!(right > 0.998, "{text:?} {picture}: cosine {right}");
            for case in cases.iter().filter(|case| case.vector != *vector) {
                let other = cosine(got.as_slice(), &case.vector);
                assert!(
                    other < 0.99,
                    "{text:?} {picture} is as near to {:?} {}: {other}",
                    case.text,
                    case.picture
                );
            }
        }
        let alone = encoder.encode(&frame, None).unwrap();
        // Words of which the tokenizer knows nothing are left out beside a picture, and refused alone.
        for text in ["", "日本茶"] {
            let both = Shown { frame: Some(&frame), region: None, text: Some(text) };
            assert_eq!(encoder.encode_shown(&both, None).unwrap().0, alone);
        }
        assert!(matches!(encoder.encode_shown(&words("日本茶"), None), Err(EncodeError::UnknownText { .. })));
        assert!(matches!(encoder.encode_shown(&Shown::default(), None), Err(EncodeError::EmptyText)));
        let long = "oat milk ".repeat(10_000);
        assert!(encoder.encode_shown(&words(&long), None).is_ok());
    }
}

#[test]
fn what_changes_vectors_changes_the_id_and_what_is_missing_is_named() {
    let files = files();
    let first = encoder(&files).unwrap().id();
    let with = |from: &str, to: &str| {
        let json = String::from_utf8(files.manifest_json.clone()).unwrap();
        assert!(json.contains(from), "{json}");
        EncoderFiles { manifest_json: json.replace(from, to).into_bytes(), ..files.clone() }
    };
    let spaced = EncoderFiles {
        tokenizer: Some([files.tokenizer.clone().unwrap(), b"\n".to_vec()].concat()),
        ..files.clone()
    };
    assert_ne!(encoder(&spaced).unwrap().id(), first);
    assert_eq!(encoder(&with("tiny-item", "other")).unwrap().id(), first);
    let none = EncoderFiles { tokenizer: None, ..files.clone() };
    let says = |files: EncoderFiles, part: &str| {
        let message = encoder(&files).unwrap_err().to_string();
        assert!(message.contains(part) && !message.contains('\n'), "{message}");
    };
    says(with("\"text_mask\"", "\"masks\""), "no input `masks`");
    says(
        with("\"text_mask\"", "\"input_ids\""),
        "`words.ids` and `words.mask` both name the input `input_ids`",
    );
    says(with("\"image_mask\"", "\"pixel_values\""), "`input` and `words.picture` both name");
    says(none, "`tokenizer.json` is missing");
    says(with("\"max_tokens\": 8", "\"max_tokens\": 0"), "expected 1 to");
    says(with("\"max_tokens\": 8", "\"max_tokens\": 9"), "[1, 8]");
    let json: serde_json::Value = serde_json::from_slice(&files.manifest_json).unwrap();
    let mut plain = json.as_object().unwrap().clone();
    plain.remove("words");
    let plain = EncoderFiles { manifest_json: serde_json::to_vec(&plain).unwrap(), ..files.clone() };
    says(plain, "also wants the input `input_ids`");
}

fn build(shop: &Shop, kind: IndexKind) -> Result<(PathBuf, BuildReport), BuildError> {
    build_with(shop, kind, false)
}

fn build_with(shop: &Shop, kind: IndexKind, skip_bad: bool) -> Result<(PathBuf, BuildReport), BuildError> {
    let out = shop.dir.path().join("fused.shelf");
    let options = BuildOptions {
        images: shop.dir.path().to_owned(),
        index: IndexParams { kind, bytes: 8, ..IndexParams::default() },
        auto: None,
        rerank: false,
        skip_bad,
        created: 0,
        generator: "test".to_owned(),
    };
    let models = Models { image: Some(files()), ..Models::default() };
    let report = build_pack(&shop.rows, &models, &options, &out, &|_, _, _| {})?;
    Ok((out, report))
}

#[test]
fn a_pack_of_one_encoder_is_asked_by_picture_words_and_both() {
    let mut shop = Shop::new(12);
    shop.rows[6].title = "whole grain crackers".to_owned();
    shop.rows[4].title = "日本茶".to_owned();
    shop.rows[4].brand = String::new();
    let (path, report) = build(&shop, IndexKind::Flat).unwrap();
    // Products 2, 6 and 10 have no picture: a row of their words. Nothing is known of the words of product 4.
    assert_eq!(report.meta.image_rows, 12 + 3);
    assert_eq!((report.meta.text_rows, report.meta.text.is_none()), (0, true));
    assert_eq!(report.unread_texts, [(6, "p4".to_owned())]);
    let engine = Engine::open(&path, EngineOptions::default()).unwrap();
    assert!(engine.pack().section(SectionKind::ImageTokenizer).is_some());
    let data = pixels(3, 0);
    let frame = Frame::rgb(&data, 48, 48).unwrap();
    let options = FindOptions { barcode: false, ..FindOptions::default() };
    let ask = |frame, text| ids(&engine, &Query { frame, text }, &options);
    // What an entry was made of finds it, at cosine 1.
    assert_eq!(ask(Some(&frame), Some("Odd product number 3"))[0], "p3");
    assert_eq!(ask(None, Some("Even whole grain crackers"))[0], "p6");
    let engine_says = |query: &Query<'_>| engine.find(query, &options);
    let both = engine_says(&Query { frame: Some(&frame), text: Some("Odd product number 3") }).unwrap();
    let alone = engine_says(&Query { frame: Some(&frame), text: None }).unwrap();
    assert!(both.matches[0].evidence.image.unwrap() > alone.matches[0].evidence.image.unwrap());
    assert!(both.matches[0].evidence.text.is_none());
    assert!(matches!(
        engine_says(&Query { frame: None, text: Some("\u{200B}") }),
        Err(FindError::EmptyQuery)
    ));
    assert!(matches!(
        engine_says(&Query { frame: None, text: Some("日本茶") }),
        Err(FindError::Encode(EncodeError::UnknownText { .. }))
    ));
    // A GTIN that was typed names its product whatever the words are worth.
    assert_eq!(ask(Some(&frame), Some("4006381333931"))[0], "p5");
    assert_eq!(ask(None, Some("4006381333931")), ["p5"]);
}

#[test]
fn a_product_whose_pictures_are_left_out_is_found_by_its_words() {
    let mut shop = Shop::new(8);
    shop.rows[3].title = "whole grain crackers".to_owned();
    shop.rows[3].images = vec!["gone.png".to_owned(), "gone too.png".to_owned()];
    // One of two pictures is left: its words are read with that.
    shop.rows[4].images[0] = "gone.png".to_owned();
    let (path, report) = build_with(&shop, IndexKind::Flat, true).unwrap();
    assert_eq!((report.skipped.len(), report.unfindable.len()), (3, 0));
    // One picture less of product 4; product 3 has a row of its words in the place of its picture's.
    let all = build(&Shop::new(8), IndexKind::Flat).unwrap().1.meta.image_rows;
    assert_eq!(report.meta.image_rows, all - 1);
    let engine = Engine::open(&path, EngineOptions::default()).unwrap();
    let options = FindOptions::default();
    let query = Query { frame: None, text: Some("Odd whole grain crackers") };
    assert_eq!(ids(&engine, &query, &options)[0], "p3");
}

#[test]
fn an_evaluation_tells_photo_and_words_apart_though_one_vector_holds_both() {
    let shop = Shop::new(12);
    let (path, _) = build(&shop, IndexKind::Flat).unwrap();
    let engine = Engine::open(&path, EngineOptions::default()).unwrap();
    let row = |image: Option<&str>, text: Option<&str>, id: &str| QueryRow {
        image: image.map(str::to_owned),
        text: text.map(str::to_owned),
        ids: vec![id.to_owned()],
        ..QueryRow::default()
    };
    let stages = |queries: &[QueryRow]| {
        let report =
            evaluate(&engine, queries, shop.dir.path(), EvalOptions::default(), &mut |_| ()).unwrap();
        report.evidence
    };
    let words = stages(&[row(None, Some("Even product number 2"), "p2")]);
    assert!(!words.contains_key("image@1") && words.contains_key("text@1"), "{words:?}");
    let photo = stages(&[row(Some("3-0.png"), None, "p3")]);
    assert!(photo.contains_key("image@1") && !photo.contains_key("text@1"), "{photo:?}");
    // The words of another product change what both find, not what the photo alone finds.
    let both = stages(&[row(Some("3-0.png"), Some("Even product number 2"), "p3")]);
    assert!(both.contains_key("text@1") && both["image@1"] == photo["image@1"], "{both:?}");
}

#[test]
fn products_are_added_with_their_words_and_stay_through_compaction() {
    let shop = Shop::new(8);
    let (path, _) = build(&shop, IndexKind::Flat).unwrap();
    let data = pixels(30, 0);
    let frame = Frame::rgb(&data, 48, 48).unwrap();
    let record = |id: &str, title: &str| Record { id: id.into(), title: title.into(), ..Record::default() };
    {
        let engine = Engine::open(&path, EngineOptions::default()).unwrap();
        let pictures = [Frame::rgb(&data, 48, 48).unwrap()];
        let new = NewProduct {
            record: record("n1", "organic crackers"),
            pictures: &pictures,
            ..NewProduct::default()
        };
        engine.add(&new).unwrap();
        engine
            .add(&NewProduct { record: record("n2", "fresh butter yoghurt"), ..NewProduct::default() })
            .unwrap();
        let error = engine.add(&NewProduct { record: record("n3", "日本茶"), ..NewProduct::default() });
        assert!(matches!(error, Err(EditError::Unfindable { .. })), "{error:?}");
    }
    let options = FindOptions { barcode: false, ..FindOptions::default() };
    let check = || {
        let engine = Engine::open(&path, EngineOptions::default()).unwrap();
        let ask = |frame, text| ids(&engine, &Query { frame, text }, &options);
        assert_eq!(ask(Some(&frame), Some("organic crackers"))[0], "n1");
        assert_eq!(ask(None, Some("fresh butter yoghurt"))[0], "n2");
        engine
    };
    check().compact().unwrap().unwrap();
    assert_eq!(check().products(), 10);
}
