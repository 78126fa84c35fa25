//! A whole `find`, from decoded pixels to named products, and opening the pack: `cargo bench --features build --bench find`.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use shelfsight::build::{BuildOptions, CatalogueRow, Models, build_pack};
use shelfsight::encode::{EncoderFiles, read_encoder_files};
use shelfsight::engine::{Engine, EngineOptions, Query};
use shelfsight::frame::Frame;
use shelfsight::index::IndexParams;
use shelfsight::options::FindOptions;

/// Products of the pack, all found by text; half of them have a picture.
const PRODUCTS: u32 = 200;
const SIDE: u32 = 480;

fn weights(name: &str) -> EncoderFiles {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/weights");
    read_encoder_files(&folder.join(name)).unwrap_or_else(|e| panic!("{e}"))
}

/// Smooth blobs of colour, different for every seed.
fn pixels(seed: u32) -> Vec<u8> {
    let wave = |x: u32, y: u32, c: u32| {
        let (x, y, s) = (x as f32 / 60.0, y as f32 / 60.0, (seed * 3 + c) as f32);
        (127.0 + 60.0 * (x + s).sin() + 60.0 * (y * (1.0 + s % 3.0)).cos()) as u8
    };
    (0..SIDE * SIDE).flat_map(|i| [0, 1, 2].map(|c| wave(i % SIDE, i / SIDE, c))).collect()
}

fn pack(folder: &Path) -> std::path::PathBuf {
    let rows: Vec<CatalogueRow> = (0..PRODUCTS)
        .map(|product| {
            let mut images = Vec::new();
            if product % 2 == 0 {
                let name = format!("{product}.png");
                let picture =
                    image::RgbImage::from_raw(SIDE, SIDE, pixels(product)).expect("a whole picture");
                picture.save(folder.join(&name)).expect("a picture can be written");
                images.push(name);
            }
            let title = format!("product number {product}");
            CatalogueRow { id: product.to_string(), title, images, ..CatalogueRow::default() }
        })
        .collect();
    let models = Models {
        image: Some(weights("image.json")),
        text: Some(weights("text.json")),
        detector: Some(weights("detector.json")),
    };
    let options = BuildOptions {
        images: folder.to_owned(),
        index: IndexParams { seed: 0, ..IndexParams::default() },
        auto: None,
        rerank: false,
        skip_bad: false,
        created: 0,
        generator: "bench".to_owned(),
    };
    let out = folder.join("bench.shelf");
    build_pack(&rows, &models, &options, &out, &|_, _, _| {}).expect("the pack builds");
    out
}

fn whole_find(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = pack(folder.path());
    let mut group = c.benchmark_group("find");
    group.sample_size(20);
    group.bench_function("open the pack, models not loaded", |b| {
        b.iter(|| black_box(Engine::open(&path, EngineOptions::default()).expect("it opens")));
    });
    let engine = Engine::open(&path, EngineOptions::default()).expect("it opens");
    engine.warm_up().expect("the models load");
    let data = pixels(8);
    let frame = Frame::rgb(&data, SIDE, SIDE).expect("a whole frame");
    for (name, frame, text, barcode) in [
        ("photo, looks and barcode", Some(&frame), None, true),
        ("photo, looks only", Some(&frame), None, false),
        ("text of 3 words", None, Some("product number 8"), false),
    ] {
        let options = FindOptions { barcode, ..FindOptions::default() };
        let query = Query { frame, text };
        group.bench_function(name, |b| {
            b.iter(|| black_box(engine.find(&query, &options).expect("it answers")))
        });
    }
    group.finish();
}

criterion_group!(benches, whole_find);
criterion_main!(benches);
