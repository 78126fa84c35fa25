//! Tiny models of the shapes that users bring (CLIP, SigLIP, MobileCLIP, BERT), against ONNX Runtime's vectors.
#![cfg(feature = "onnx")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use shelfsight::Embedding;
#[cfg(feature = "build")]
use shelfsight::build::compile_model;
#[cfg(feature = "build")]
use shelfsight::encode::EncoderFiles;
use shelfsight::encode::{
    EncodeError, ImageEncoder, ImageManifest, LoadEncoderError, TextEncoder, TextManifest, read_encoder_files,
};
use shelfsight::preprocess::{DecodeOptions, Photo, open};
use shelfsight::runtime::LoadModelError;
#[cfg(feature = "build")]
use shelfsight::runtime::plan::is_plan;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx")
}

fn read(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn photo() -> Photo {
    open(&folder().join("../photos/upright.png"), &DecodeOptions::default()).unwrap()
}

#[derive(Deserialize)]
struct Reference {
    image: Vec<ImageCase>,
    text: Vec<TextCases>,
}

#[derive(Deserialize)]
struct ImageCase {
    manifest: ImageManifest,
    vector: Vec<f32>,
}

#[derive(Deserialize)]
struct TextCases {
    manifest: TextManifest,
    cases: Vec<TextCase>,
}

#[derive(Deserialize)]
struct TextCase {
    text: String,
    vector: Vec<f32>,
}

fn reference() -> Reference {
    serde_json::from_slice(&read("reference.json")).unwrap()
}

/// Largest difference of a component after both vectors are scaled to length 1.
fn off(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let length = want.iter().map(|v| v * v).sum::<f32>().sqrt();
    got.iter().zip(want).map(|(g, w)| (g - w / length).abs()).fold(0.0, f32::max)
}

#[test]
fn images_of_every_shape() {
    let cases = reference().image;
    assert_eq!(cases.len(), 6);
    for ImageCase { manifest, vector } in cases {
        let name = manifest.name.clone();
        let encoder = ImageEncoder::new(manifest, &read(&name)).unwrap_or_else(|e| panic!("{e}"));
        let got = encoder.encode(&photo().frame(), None).unwrap();
        // A resize may differ from Pillow's by one level in 255.
        let off = off(got.as_slice(), &vector);
        assert!(off < 5e-3, "{name}: off by {off}");
    }
}

/// The vector; `None` for the text of which vocabularies without bytes know nothing.
fn known(text: &str, found: Result<Embedding, EncodeError>) -> Option<Embedding> {
    match found {
        Err(EncodeError::UnknownText { .. }) if text == "日本茶" => None,
        found => Some(found.unwrap_or_else(|e| panic!("{text:?}: {e}"))),
    }
}

#[test]
fn texts_of_every_shape() {
    let all = reference().text;
    assert_eq!(all.len(), 7);
    for TextCases { manifest, cases } in all {
        let name = manifest.name.clone();
        let tokenizer = read(&manifest.tokenizer);
        let encoder = TextEncoder::new(manifest, &read(&name), &tokenizer).unwrap_or_else(|e| panic!("{e}"));
        for case in cases {
            let Some(got) = known(&case.text, encoder.encode(&case.text)) else { continue };
            let off = off(got.as_slice(), &case.vector);
            assert!(off < 1e-4, "{name}, {:?}: off by {off}", case.text);
        }
    }
}

/// A manifest with its model and tokenizer, as `pack build --encoder` reads them.
#[cfg(feature = "build")]
fn files<M: serde::Serialize>(manifest: &M, model: &str, tokenizer: Option<&str>) -> EncoderFiles {
    EncoderFiles {
        manifest_json: serde_json::to_vec(manifest).unwrap(),
        model: read(model),
        tokenizer: tokenizer.map(read),
        ..EncoderFiles::default()
    }
}

/// The same vectors from plans, at the lengths of the texts where ONNX has them free.
#[cfg(feature = "build")]
#[test]
fn every_shape_compiles_to_a_plan() {
    let mut wrong = Vec::new();
    let Reference { image, text } = reference();
    for ImageCase { manifest, vector } in image {
        let name = manifest.name.clone();
        let plan = match compile_model(&files(&manifest, &name, None)) {
            Ok(plan) => plan,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        assert!(is_plan(&plan));
        let encoder = ImageEncoder::new(manifest, &plan).unwrap_or_else(|e| panic!("{e}"));
        let off = off(encoder.encode(&photo().frame(), None).unwrap().as_slice(), &vector);
        if off.is_nan() || off >= 5e-3 {
            wrong.push(format!("{name}: off by {off}"));
        }
    }
    for TextCases { manifest, cases } in text {
        let name = manifest.name.clone();
        let tokenizer = manifest.tokenizer.clone();
        let plan = match compile_model(&files(&manifest, &name, Some(&tokenizer))) {
            Ok(plan) => plan,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let encoder = TextEncoder::new(manifest, &plan, &read(&tokenizer)).unwrap_or_else(|e| panic!("{e}"));
        for case in cases {
            let Some(got) = known(&case.text, encoder.encode(&case.text)) else { continue };
            let off = off(got.as_slice(), &case.vector);
            if off.is_nan() || off >= 1e-4 {
                wrong.push(format!("{name}, {:?}: off by {off}", case.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn empty_texts_are_refused_and_spaces_do_not_matter() {
    for TextCases { manifest, .. } in reference().text {
        let (model, tokenizer) = (read(&manifest.model), read(&manifest.tokenizer));
        let encoder = TextEncoder::new(manifest, &model, &tokenizer).unwrap();
        for empty in ["", "  \n\t", "\u{200B}\u{0}"] {
            match encoder.encode(empty) {
                Err(EncodeError::EmptyText) => {}
                // A byte-level tokenizer has tokens for invisible characters.
                other => assert!(other.is_ok() && !empty.trim().is_empty(), "{empty:?}: {other:?}"),
            }
        }
        assert_eq!(encoder.encode(" oat milk\n").unwrap(), encoder.encode("oat milk").unwrap());
        let long = "oat milk ".repeat(200_000);
        assert_eq!(encoder.encode(&long).unwrap(), encoder.encode(&long[..9000]).unwrap());
    }
}

/// A manifest over one of the small broken models.
fn manifest_for(model: &str) -> ImageManifest {
    let mut manifest = reference().image.swap_remove(4).manifest;
    (manifest.name, manifest.model) = (model.into(), model.into());
    manifest
}

fn refusal(model: &str) -> LoadEncoderError {
    ImageEncoder::new(manifest_for(model), &read(model)).unwrap_err()
}

#[test]
fn broken_models_are_named_in_one_line() {
    assert!(ImageEncoder::new(manifest_for("good.onnx"), &read("good.onnx")).is_ok());
    let says = |model: &str, part: &str| {
        let message = refusal(model).to_string();
        assert!(message.contains(part) && !message.contains('\n') && message.len() < 500, "{message}");
    };
    says("bad_operator.onnx", "com.example.FancyAttention (node `/attn/fancy`)");
    says("bad_external.onnx", "the weights of `w` are in another file");
    says("bad_weights.onnx", "`w` does not hold what its shape says");
    says("bad_not_a_number.onnx", "`w` holds NaN");
    says("bad_dangling.onnx", "the model has no output `embedding` (it has nobody)");
    says("bad_batch.onnx", "`image` is [4, 3, 16, 16], not [1, 3, 16, 16]");

    let encoder = ImageEncoder::new(manifest_for("bad_nan.onnx"), &read("bad_nan.onnx")).unwrap();
    let error = encoder.encode(&photo().frame(), None).unwrap_err().to_string();
    assert!(error.contains("bad_nan.onnx") && error.contains("4 values") && error.contains("NaN"), "{error}");
}

#[test]
fn a_manifest_that_does_not_fit_is_named() {
    let mut wrong = manifest_for("good.onnx");
    wrong.dim = 5;
    let encoder = ImageEncoder::new(wrong, &read("good.onnx")).unwrap();
    let error = encoder.encode(&photo().frame(), None).unwrap_err().to_string();
    assert!(error.contains("f32 [1, 4]") && error.contains("f32 [1, 5]"), "{error}");

    let mut wrong = manifest_for("good.onnx");
    wrong.input = "pixels".into();
    let error = ImageEncoder::new(wrong, &read("good.onnx")).unwrap_err().to_string();
    assert!(error.contains("no input `pixels` (it has image)"), "{error}");

    // Mean pooling over a graph that pools itself, and a text graph without the mask that it wants.
    let mut texts = reference().text;
    let mut clip = texts.remove(0).manifest;
    clip.pooling = shelfsight::encode::Pooling::Mean;
    let encoder = TextEncoder::new(clip.clone(), &read(&clip.model), &read(&clip.tokenizer)).unwrap();
    assert!(matches!(encoder.encode("oat milk"), Err(EncodeError::Output { .. })));
    let mut bert = texts.swap_remove(3).manifest;
    bert.inputs.types = None;
    let error = TextEncoder::new(bert.clone(), &read(&bert.model), &read(&bert.tokenizer)).unwrap_err();
    assert!(matches!(&error, LoadEncoderError::Unfed { port, .. } if port == "token_type_ids"), "{error}");
}

#[test]
fn hostile_bytes_never_panic() {
    let good = read("clip_text.onnx");
    let manifest = reference().text.remove(0).manifest;
    let tokenizer = read(&manifest.tokenizer);
    for keep in (0..good.len()).step_by(997) {
        assert!(TextEncoder::new(manifest.clone(), &good[..keep], &tokenizer).is_err(), "cut to {keep}");
    }
    let mut state = 1u64;
    for _ in 0..60 {
        let mut bytes = good.clone();
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (state >> 20) as usize % bytes.len();
        bytes[at] ^= 1 << (state >> 60 & 7);
        if let Ok(encoder) = TextEncoder::new(manifest.clone(), &bytes, &tokenizer) {
            let _ = encoder.encode("oat milk");
        }
    }
    for json in [&b"{}"[..], b"", b"{\"version\":\"1.0\"}", &tokenizer[..tokenizer.len() / 2]] {
        let error = TextEncoder::new(manifest.clone(), &good, json).unwrap_err();
        assert!(matches!(error, LoadEncoderError::Tokenizer { .. }), "{error}");
        assert!(!error.to_string().contains('\n'));
    }
    let error = ImageEncoder::new(manifest_for("empty"), b"").unwrap_err();
    assert!(
        matches!(error, LoadEncoderError::Model { source: LoadModelError::NotOnnx { .. }, .. }),
        "{error}"
    );
}

#[test]
fn manifests_are_checked() {
    let good = serde_json::to_string(&manifest_for("good.onnx")).unwrap();
    assert!(ImageManifest::from_json(good.as_bytes()).is_ok());
    for (from, to) in [
        ("\"dim\":4", "\"dim\":0"),
        ("\"dim\":4", "\"dim\":99999"),
        ("\"width\":16", "\"width\":5000"),
        ("\"kind\":\"image\"", "\"kind\":\"text\""),
        ("\"space\":\"tiny\"", "\"space\":\"\""),
        ("\"space\":\"tiny\"", "\"space\":\"tiny\",\"colour\":1"),
        ("\"filter\":\"bicubic\"", "\"filter\":\"nearest\""),
    ] {
        assert!(good.contains(from), "{good}");
        let error = ImageManifest::from_json(good.replace(from, to).as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("manifest: ") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn the_id_changes_with_everything_that_changes_vectors() {
    let id =
        |manifest: &ImageManifest, model: &[u8]| ImageEncoder::new(manifest.clone(), model).unwrap().id();
    let (base, model) = (manifest_for("good.onnx"), read("good.onnx"));
    let first = id(&base, &model);
    assert_eq!(first.to_string().len(), 64);
    let mut renamed = base.clone();
    (renamed.name, renamed.license) = ("other".into(), "MIT".into());
    assert_eq!(id(&renamed, &model), first);
    let mut filter = base.clone();
    filter.preprocess.filter = shelfsight::preprocess::Filter::Bilinear;
    assert_ne!(id(&filter, &model), first);
    let mut std = base.clone();
    std.preprocess.std[2] += 0.5;
    assert_ne!(id(&std, &model), first);
    // A protobuf may carry an unknown field; the network is the same, the bytes are not.
    assert_ne!(id(&base, &[&model[..], &[0xC0, 0x3E, 1]].concat()), first);
}

#[test]
fn files_are_found_beside_the_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let texts = reference().text.remove(0).manifest;
    for name in [&texts.model, &texts.tokenizer] {
        fs::copy(folder().join(name), dir.path().join(name)).unwrap();
    }
    let path = dir.path().join("mine.json");
    fs::write(&path, serde_json::to_vec(&texts).unwrap()).unwrap();
    let files = read_encoder_files(&path).unwrap();
    let manifest = TextManifest::from_json(&files.manifest_json).unwrap();
    assert!(TextEncoder::new(manifest, &files.model, &files.tokenizer.unwrap()).is_ok());

    fs::remove_file(dir.path().join(&texts.model)).unwrap();
    let error = read_encoder_files(&path).unwrap_err().to_string();
    assert!(error.starts_with("cannot read ") && error.contains("clip_text.onnx"), "{error}");
    fs::write(&path, "{}").unwrap();
    assert!(read_encoder_files(&path).unwrap_err().to_string().contains("missing field `model`"));
    assert!(read_encoder_files(dir.path()).is_err());
}
