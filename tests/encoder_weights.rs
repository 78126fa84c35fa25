//! The shipped models, as they ship, compiled anew and through tract, against the vectors that ONNX Runtime gave
//! (`models/weights/reference.json`).
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use serde::Deserialize;
use shelfsight::Embedding;
use shelfsight::detect::{Detector, DetectorManifest};
use shelfsight::encode::{
    EncoderFiles, ImageEncoder, ImageManifest, TextEncoder, TextManifest, read_encoder_files,
};
use shelfsight::preprocess::Photo;

#[derive(Deserialize)]
struct Reference {
    image: ImageReference,
    text: Vec<TextReference>,
}

#[derive(Deserialize)]
struct ImageReference {
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct TextReference {
    text: String,
    embedding: Vec<f32>,
}

fn weights() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/weights")
}

fn reference() -> Reference {
    let json = std::fs::read(weights().join("reference.json")).expect("ships with the models");
    serde_json::from_slice(&json).expect("as `python -m shelfsight_models reference` writes it")
}

fn cosine(got: &Embedding, want: &[f32]) -> f32 {
    got.cosine(&Embedding::normalize(want.to_vec()).unwrap()).expect("same dimension")
}

/// The reference's picture: 320×240, pixel (x, y) = ((7x + 3y), (3x + 5y), xy) mod 256.
fn picture() -> Photo {
    let (w, h) = (320u32, 240u32);
    let pixels = (0..h).flat_map(|y| (0..w).flat_map(move |x| [x * 7 + y * 3, x * 3 + y * 5, x * y]));
    Photo::new(w, h, pixels.map(|v| (v % 256) as u8).collect()).unwrap()
}

/// What runs a model.
#[derive(Clone, Copy, Debug)]
enum Engine {
    /// The compiled file that ships.
    Shipped,
    #[cfg(all(feature = "onnx", feature = "build"))]
    Compiled,
    #[cfg(all(feature = "onnx", feature = "build"))]
    Tract,
}

const ENGINES: &[Engine] = &[
    Engine::Shipped,
    #[cfg(all(feature = "onnx", feature = "build"))]
    Engine::Compiled,
    #[cfg(all(feature = "onnx", feature = "build"))]
    Engine::Tract,
];

/// The model of a manifest as an engine takes it.
fn model(engine: Engine, name: &str, #[allow(unused_variables)] files: &EncoderFiles) -> Vec<u8> {
    match engine {
        Engine::Shipped => std::fs::read(weights().join(name).with_extension("plan")).unwrap(),
        #[cfg(all(feature = "onnx", feature = "build"))]
        Engine::Compiled => shelfsight::build::compile_model(files).unwrap(),
        #[cfg(all(feature = "onnx", feature = "build"))]
        Engine::Tract => files.model.clone(),
    }
}

fn image_encoder(engine: Engine) -> ImageEncoder {
    let files = read_encoder_files(&weights().join("image.json")).unwrap();
    let manifest = ImageManifest::from_json(&files.manifest_json).unwrap();
    let model = model(engine, "image", &files);
    ImageEncoder::new(manifest, &model).unwrap()
}

fn text_encoder(engine: Engine) -> TextEncoder {
    let files = read_encoder_files(&weights().join("text.json")).unwrap();
    let manifest = TextManifest::from_json(&files.manifest_json).unwrap();
    let model = model(engine, "text", &files);
    TextEncoder::new(manifest, &model, &files.tokenizer.unwrap()).unwrap()
}

#[test]
fn the_image_encoder_gives_the_reference_vector() {
    for &engine in ENGINES {
        let found = image_encoder(engine).encode(&picture().frame(), None).unwrap();
        let found = cosine(&found, &reference().image.embedding);
        assert!(found >= 0.999, "{engine:?}: cosine {found}");
    }
}

#[test]
fn the_text_encoder_gives_the_reference_vectors() {
    for &engine in ENGINES {
        let encoder = text_encoder(engine);
        for case in reference().text {
            let found = cosine(&encoder.encode(&case.text).unwrap(), &case.embedding);
            // The graph quantises activations by the range of each tensor, so one unit in the last place of a float
            // moves whole tensors by a step: ONNX Runtime itself falls to 0.996 when weights change by one part in 10
            // million. A plan ranges each row for itself, which is finer, and so differs from the graph.
            let least = match engine {
                #[cfg(all(feature = "onnx", feature = "build"))]
                Engine::Tract => 0.99,
                _ => 0.98,
            };
            assert!(found >= least, "{engine:?}, {:?}: cosine {found}", case.text);
        }
    }
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let files = read_encoder_files(&weights().join("text.json")).unwrap();
    let manifest = TextManifest::from_json(&files.manifest_json).unwrap();
    let model = model(Engine::Shipped, "text", &files);
    let mut tokenizer: serde_json::Value = serde_json::from_slice(&files.tokenizer.unwrap()).unwrap();
    tokenizer["model"]["vocab"]["milk"] = 999_999.into();
    let json = serde_json::to_vec(&tokenizer).unwrap();
    let encoder = TextEncoder::new(manifest.clone(), &model, &json).unwrap();
    // Words that both know are read as before.
    assert_eq!(encoder.encode("juice").unwrap(), text_encoder(Engine::Shipped).encode("juice").unwrap());
    let error = encoder.encode("a carton of milk").unwrap_err().to_string();
    assert!(error.contains("token 999999 is beyond the") && error.contains("words of the model"), "{error}");

    let padded = TextManifest { pad_id: Some(999_999), ..manifest };
    let error = TextEncoder::new(padded, &model, &json).unwrap_err().to_string();
    assert!(error.contains("tokenizer: token 999999 is beyond"), "{error}");
}

#[cfg(all(feature = "onnx", feature = "build"))]
#[test]
fn what_ships_is_what_the_onnx_file_compiles_to() {
    // A pack made from either has the same encoder identity, so its vectors may meet.
    let id = |engine| (image_encoder(engine).id(), text_encoder(engine).id());
    assert_eq!(id(Engine::Shipped), id(Engine::Compiled));
}

#[test]
fn both_encoders_share_a_space() {
    let (image, text) = (image_encoder(Engine::Shipped), text_encoder(Engine::Shipped));
    assert_eq!(image.manifest().space, text.manifest().space);
    assert_eq!(image.manifest().dim, text.manifest().dim);
    assert_ne!(image.id(), text.id());
}

#[test]
fn the_detector_runs_and_stays_inside_the_picture() {
    let files = read_encoder_files(&weights().join("detector.json")).unwrap();
    let manifest = DetectorManifest::from_json(&files.manifest_json).unwrap();
    let threshold = manifest.score_threshold;
    for &engine in ENGINES {
        let model = model(engine, "detector", &files);
        stays_inside(&Detector::new(manifest.clone(), &model).unwrap(), threshold);
    }
}

fn stays_inside(detector: &Detector, threshold: f32) {
    for photo in
        [picture(), Photo::new(1, 1, vec![200; 3]).unwrap(), Photo::new(900, 20, vec![90; 54_000]).unwrap()]
    {
        let (w, h) = (photo.width() as f32, photo.height() as f32);
        for d in detector.detect(&photo.frame()).unwrap() {
            let r = d.rect;
            assert!(r.x >= 0.0 && r.y >= 0.0 && r.x + r.w <= w + 1e-2 && r.y + r.h <= h + 1e-2, "{r:?}");
            assert!(d.score >= threshold && d.score <= 1.0);
        }
    }
}
