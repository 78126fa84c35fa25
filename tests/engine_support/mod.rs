//! Packs of tiny models and drawn pictures, and an engine over them.
#![allow(dead_code)] // no test uses all of it

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use shelfsight::build::{BuildError, BuildOptions, CatalogueRow, Models, build_pack};
use shelfsight::encode::EncoderFiles;
use shelfsight::engine::{Engine, EngineOptions, Query};
use shelfsight::fuse::Gtin;
use shelfsight::index::{IndexKind, IndexParams};
use shelfsight::options::FindOptions;
use tempfile::TempDir;

pub fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The first manifest of a kind in the fixtures whose model has this name.
pub fn manifest(kind: &str, model: &str) -> Vec<u8> {
    let all: Value = serde_json::from_slice(&fixture("reference.json")).unwrap();
    let found = all[kind].as_array().unwrap().iter().find(|c| c["manifest"]["model"] == model);
    serde_json::to_vec(&found.unwrap_or_else(|| panic!("no {model}"))["manifest"]).unwrap()
}

pub fn models(image: &str) -> Models {
    let text = manifest("text", "clip_text.onnx");
    let tokenizer = serde_json::from_slice::<Value>(&text).unwrap()["tokenizer"].as_str().unwrap().to_owned();
    Models {
        image: Some(EncoderFiles {
            manifest_json: manifest("image", image),
            model: fixture(image),
            ..EncoderFiles::default()
        }),
        text: Some(EncoderFiles {
            manifest_json: text,
            model: fixture("clip_text.onnx"),
            tokenizer: Some(fixture(&tokenizer)),
            ..EncoderFiles::default()
        }),
        detector: None,
    }
}

/// Two colours in stripes, each product with its own colours, width and direction; its second picture is darker.
pub fn pixels(seed: u32, at: u32) -> Vec<u8> {
    let colour = |c: u32| (seed * [97, 57, 151][c as usize] + 40 * c) % 256;
    let pixel = |x: u32, y: u32, c: u32| {
        let along = if seed.is_multiple_of(2) { x } else { y };
        let other = (along / (2 + seed % 9)).is_multiple_of(2);
        (if other { 255 - colour(c) } else { colour(c) }).saturating_sub(6 * at) as u8
    };
    (0..48 * 48).flat_map(|i| [0, 1, 2].map(|c| pixel(i % 48, i / 48, c))).collect()
}

pub struct Shop {
    pub dir: TempDir,
    pub rows: Vec<CatalogueRow>,
}

impl Shop {
    /// `n` products, every third without a picture, every fourth with two.
    pub fn new(n: u32) -> Self {
        let dir = TempDir::new().unwrap();
        let mut rows = Vec::new();
        for product in 0..n {
            let mut images = Vec::new();
            for at in 0..[2, 1, 0, 1][product as usize % 4] {
                let name = format!("{product}-{at}.png");
                let picture = image::RgbImage::from_raw(48, 48, pixels(product, at)).unwrap();
                picture.save(dir.path().join(&name)).unwrap();
                images.push(name);
            }
            rows.push(CatalogueRow {
                line: u64::from(product) + 2,
                id: format!("p{product}"),
                title: format!("product number {product}"),
                brand: if product % 2 == 0 { "Even" } else { "Odd" }.to_owned(),
                gtin: (product == 5).then(|| Gtin::parse("4006381333931").unwrap()),
                images,
                ..CatalogueRow::default()
            });
        }
        Self { dir, rows }
    }

    pub fn build(&self, kind: IndexKind) -> Result<PathBuf, BuildError> {
        let out = self.dir.path().join(format!("{kind}.shelf"));
        let options = BuildOptions {
            images: self.dir.path().to_owned(),
            // Of so few components, residual codebooks pay only where they are few.
            index: IndexParams {
                kind,
                bytes: if kind == IndexKind::Rq { 4 } else { 8 },
                ..IndexParams::default()
            },
            auto: None,
            rerank: false,
            skip_bad: false,
            created: 0,
            generator: "test".to_owned(),
        };
        build_pack(&self.rows, &models("clip_image.onnx"), &options, &out, &|_, _, _| {})?;
        Ok(out)
    }

    pub fn open(&self, kind: IndexKind) -> Engine {
        Engine::open(&self.build(kind).unwrap(), EngineOptions::default()).unwrap()
    }
}

pub fn ids(engine: &Engine, query: &Query<'_>, options: &FindOptions) -> Vec<String> {
    engine.find(query, options).unwrap().matches.into_iter().map(|m| m.record.id).collect()
}
