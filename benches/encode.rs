//! The shipped encoders and the detector through tract: `cargo bench --bench encode`.

use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use shelfsight::detect::{Detector, DetectorManifest};
use shelfsight::encode::{
    EncoderFiles, ImageEncoder, ImageManifest, TextEncoder, TextManifest, read_encoder_files,
};
use shelfsight::preprocess::Photo;

fn files(name: &str) -> EncoderFiles {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/weights");
    read_encoder_files(&folder.join(name)).unwrap_or_else(|e| panic!("{e}"))
}

fn photo(width: u32, height: u32) -> Photo {
    let rgb = (0..width * height * 3).map(|i| (i * 31 % 251) as u8).collect();
    Photo::new(width, height, rgb).expect("sizes fit")
}

fn image(c: &mut Criterion) {
    let files = files("image.json");
    let manifest = ImageManifest::from_json(&files.manifest_json).expect("shipped");
    let encoder = ImageEncoder::new(manifest.clone(), &files.model).expect("shipped");
    let photo = photo(464, 348);
    let mut group = c.benchmark_group("encode_image");
    group.sample_size(20);
    group.bench_function("464x348", |b| b.iter(|| encoder.encode(&photo.frame(), None).expect("encodes")));
    group.bench_function("load", |b| {
        b.iter(|| ImageEncoder::new(manifest.clone(), &files.model).expect("shipped"));
    });
    group.finish();
}

fn text(c: &mut Criterion) {
    let files = files("text.json");
    let mut manifest = TextManifest::from_json(&files.manifest_json).expect("shipped");
    manifest.max_tokens = 128;
    let tokenizer = files.tokenizer.expect("shipped");
    let encoder = TextEncoder::new(manifest, &files.model, &tokenizer).expect("shipped");
    let mut group = c.benchmark_group("encode_text");
    group.sample_size(20);
    for tokens in [8, 32, 128] {
        // One token a word, and two special ones.
        let text = "milk ".repeat(tokens - 2);
        group.bench_function(format!("{tokens}_tokens"), |b| {
            b.iter(|| encoder.encode(&text).expect("encodes"))
        });
    }
    group.finish();
}

fn detector(c: &mut Criterion) {
    let files = files("detector.json");
    let manifest = DetectorManifest::from_json(&files.manifest_json).expect("shipped");
    let detector = Detector::new(manifest, &files.model).expect("shipped");
    let photo = photo(1280, 960);
    let mut group = c.benchmark_group("detect");
    group.sample_size(20);
    group.bench_function("1280x960", |b| b.iter(|| detector.detect(&photo.frame()).expect("detects")));
    group.finish();
}

criterion_group!(benches, image, text, detector);
criterion_main!(benches);
