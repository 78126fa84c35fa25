//! The shipped models through tract, against the vectors that ONNX Runtime gave (`models/weights/reference.json`).
#![cfg(feature = "onnx")]
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use serde::Deserialize;
use shelfsight::Embedding;
use shelfsight::detect::{Detector, DetectorManifest};
use shelfsight::encode::{ImageEncoder, ImageManifest, TextEncoder, TextManifest, read_encoder_files};
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

fn image_encoder() -> ImageEncoder {
    let files = read_encoder_files(&weights().join("image.json")).unwrap();
    ImageEncoder::new(ImageManifest::from_json(&files.manifest_json).unwrap(), &files.model).unwrap()
}

fn text_encoder() -> TextEncoder {
    let files = read_encoder_files(&weights().join("text.json")).unwrap();
    let manifest = TextManifest::from_json(&files.manifest_json).unwrap();
    TextEncoder::new(manifest, &files.model, &files.tokenizer.unwrap()).unwrap()
}

#[test]
fn the_image_encoder_gives_the_reference_vector() {
    let found =
        cosine(&image_encoder().encode(&picture().frame(), None).unwrap(), &reference().image.embedding);
    assert!(found >= 0.999, "cosine {found}");
}

#[test]
fn the_text_encoder_gives_the_reference_vectors() {
    let encoder = text_encoder();
    for case in reference().text {
        let found = cosine(&encoder.encode(&case.text).unwrap(), &case.embedding);
        // Activations are quantised by the range of each tensor, so one unit in the last place of a float moves whole
        // tensors by a step: ONNX Runtime itself falls to 0.996 when weights change by one part in 10 million.
        assert!(found >= 0.99, "{:?}: cosine {found}", case.text);
    }
}

#[test]
fn both_encoders_share_a_space() {
    let (image, text) = (image_encoder(), text_encoder());
    assert_eq!(image.manifest().space, text.manifest().space);
    assert_eq!(image.manifest().dim, text.manifest().dim);
    assert_ne!(image.id(), text.id());
}

#[test]
fn the_detector_runs_and_stays_inside_the_picture() {
    let files = read_encoder_files(&weights().join("detector.json")).unwrap();
    let manifest = DetectorManifest::from_json(&files.manifest_json).unwrap();
    let threshold = manifest.score_threshold;
    let detector = Detector::new(manifest, &files.model).unwrap();
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
