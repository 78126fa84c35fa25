//! The shipped encoders and the detector, compiled and through tract: `cargo bench --bench encode`.

use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use shelfsight::detect::{Detector, DetectorManifest};
use shelfsight::encode::{
    EncoderFiles, ImageEncoder, ImageManifest, TextEncoder, TextManifest, read_encoder_files,
};
use shelfsight::preprocess::Photo;
use shelfsight::runtime::compile::compile;
use shelfsight::runtime::{LoadOptions, ModelBytes};

fn files(name: &str) -> EncoderFiles {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/weights");
    read_encoder_files(&folder.join(name)).unwrap_or_else(|e| panic!("{e}"))
}

/// Name of an engine and the model as it takes it.
fn engines(onnx: &[u8], options: &LoadOptions) -> [(&'static str, Vec<u8>); 2] {
    [("plan", compile(onnx, options).expect("compiles")), ("tract", onnx.to_vec())]
}

fn photo(width: u32, height: u32) -> Photo {
    let rgb = (0..width * height * 3).map(|i| (i * 31 % 251) as u8).collect();
    Photo::new(width, height, rgb).expect("sizes fit")
}

fn image(c: &mut Criterion) {
    let files = files("image.json");
    let manifest = ImageManifest::from_json(&files.manifest_json).expect("shipped");
    let photo = photo(464, 348);
    let mut group = c.benchmark_group("encode_image");
    group.sample_size(20);
    for (engine, model) in engines(&files.model, &manifest.load_options()) {
        let encoder = ImageEncoder::new(manifest.clone(), &model).expect("shipped");
        group.bench_function(format!("{engine}/464x348"), |b| {
            b.iter(|| encoder.encode(&photo.frame(), None).expect("encodes"));
        });
        let shared: ModelBytes = Arc::new(model);
        group.bench_function(format!("{engine}/load"), |b| {
            b.iter(|| ImageEncoder::open(manifest.clone(), &shared).expect("shipped"));
        });
    }
    group.finish();
}

fn text(c: &mut Criterion) {
    let files = files("text.json");
    let mut manifest = TextManifest::from_json(&files.manifest_json).expect("shipped");
    manifest.max_tokens = 128;
    let tokenizer = files.tokenizer.expect("shipped");
    let mut group = c.benchmark_group("encode_text");
    group.sample_size(20);
    for (engine, model) in engines(&files.model, &manifest.load_options()) {
        let encoder = TextEncoder::new(manifest.clone(), &model, &tokenizer).expect("shipped");
        for tokens in [8, 32, 128] {
            // One token a word, and two special ones.
            let text = "milk ".repeat(tokens - 2);
            group.bench_function(format!("{engine}/{tokens}_tokens"), |b| {
                b.iter(|| encoder.encode(&text).expect("encodes"));
            });
        }
    }
    group.finish();
}

fn detector(c: &mut Criterion) {
    let files = files("detector.json");
    let manifest = DetectorManifest::from_json(&files.manifest_json).expect("shipped");
    let photo = photo(1280, 960);
    let mut group = c.benchmark_group("detect");
    group.sample_size(20);
    for (engine, model) in engines(&files.model, &manifest.load_options()) {
        let detector = Detector::new(manifest.clone(), &model).expect("shipped");
        group.bench_function(format!("{engine}/1280x960"), |b| {
            b.iter(|| detector.detect(&photo.frame()).expect("detects"));
        });
    }
    group.finish();
}

criterion_group!(benches, image, text, detector);
criterion_main!(benches);
