//! Catalogue rows and encoders to a pack: embed, train, encode, write, reopen, check.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::catalogue::CatalogueRow;
use crate::detect::{Detector, DetectorManifest, LoadDetectorError};
use crate::embedding::Embedding;
use crate::encode::{
    EncodeError, EncoderFiles, EncoderId, ImageEncoder, ImageManifest, LoadEncoderError, TextEncoder,
    TextManifest,
};
use crate::engine::{Engine, EngineOptions, OpenEngineError};
use crate::index::{self, BuildIndexError, IndexParams, IndexView, OpenIndexError, SearchError};
use crate::pack::{
    EncoderMeta, GtinView, IndexMeta, IndexSections, LicenceMeta, Measured, OpenOptions, OpenPackError,
    PackMeta, PackWriter, Record, RecordsWriter, RowsView, SectionKind, WritePackError,
};
use crate::preprocess::{self, DecodeError, DecodeOptions};

/// Rows searched after the build to measure the index against exact search.
const SAMPLE: usize = 200;

/// Models that go into a pack.
#[derive(Clone, Debug, Default)]
pub struct Models {
    /// Pictures to vectors.
    pub image: Option<EncoderFiles>,
    /// Words to vectors.
    pub text: Option<EncoderFiles>,
    /// Pictures to boxes, for `scan`.
    pub detector: Option<EncoderFiles>,
}

/// What to build.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Folder that picture paths start from.
    pub images: PathBuf,
    /// Kind and size of the indexes.
    pub index: IndexParams,
    /// Leave out pictures that cannot be read instead of stopping.
    pub skip_bad: bool,
    /// Unix time written into the pack, in seconds.
    pub created: u64,
    /// Program that builds, for the pack's description.
    pub generator: String,
}

/// A step of the build, for progress bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildStep {
    /// Pictures to vectors; counts pictures.
    Images,
    /// Texts to vectors; counts products.
    Texts,
    /// Training and encoding of an index; counts thousandths.
    Index,
}

/// Told of progress: step, done, of how many. Called from several threads.
pub type Progress<'a> = &'a (dyn Fn(BuildStep, u64, u64) + Sync);

/// A picture that was left out.
#[derive(Debug)]
pub struct SkippedImage {
    /// Line of the catalogue.
    pub line: u64,
    /// Product.
    pub id: String,
    /// Picture as the catalogue names it.
    pub image: String,
    /// Why it could not be used.
    pub reason: ImageFault,
}

/// What was built.
#[derive(Debug)]
pub struct BuildReport {
    /// The pack's description of itself.
    pub meta: PackMeta,
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// Pictures left out, with `skip_bad`.
    pub skipped: Vec<SkippedImage>,
}

/// Why one picture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageFault {
    /// It cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Why a pack cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No products.
    #[error("the catalogue has no products; add at least one row below the header")]
    Empty,
    /// More products than a pack can hold.
    #[error("{found} products; a pack holds at most {max}")]
    TooMany {
        /// Number given.
        found: usize,
        /// Largest number.
        max: usize,
    },
    /// A product that nothing can find.
    #[error(
        "line {line}: product {id:?} has no picture, no text and no GTIN, so nothing can find it; give it one of them"
    )]
    Unfindable {
        /// Line of the catalogue.
        line: u64,
        /// Product.
        id: String,
    },
    /// A picture cannot be used.
    #[error(
        "line {line}: picture {image:?} of product {id:?}: {reason}; correct it, or leave such pictures out with --skip-bad"
    )]
    Image {
        /// Line of the catalogue.
        line: u64,
        /// Product.
        id: String,
        /// Picture as the catalogue names it.
        image: String,
        /// Why.
        reason: Box<ImageFault>,
    },
    /// A text cannot be encoded.
    #[error("line {line}: the text of product {id:?}: {reason}")]
    Text {
        /// Line of the catalogue.
        line: u64,
        /// Product.
        id: String,
        /// Why.
        reason: Box<EncodeError>,
    },
    /// Products with pictures, but no image encoder.
    #[error("the catalogue has pictures, but no image encoder is given")]
    NoImageEncoder,
    /// An encoder cannot be loaded.
    #[error("{name}: {reason}")]
    Encoder {
        /// `image encoder` or `text encoder`.
        name: &'static str,
        /// Why.
        reason: LoadEncoderError,
    },
    /// The detector cannot be loaded.
    #[error("detector: {0}")]
    Detector(#[from] LoadDetectorError),
    /// An index cannot be built.
    #[error(transparent)]
    Index(#[from] BuildIndexError),
    /// The index just built cannot be read.
    #[error("the index just built cannot be read: {0}")]
    Reopen(#[from] OpenIndexError),
    /// The index just built cannot be searched.
    #[error("the index just built cannot be searched: {0}")]
    Search(#[from] SearchError),
    /// The pack cannot be written; one that was there before stays.
    #[error(transparent)]
    Write(#[from] WritePackError),
    /// The pack just written cannot be opened.
    #[error("the pack just written cannot be opened: {0}")]
    Check(#[from] OpenEngineError),
    /// The pack just written fails its checksums.
    #[error("the pack just written fails its checksums: {0}; is the disk broken?")]
    Verify(#[from] OpenPackError),
}

/// Builds a pack of `rows` at `out`. An existing file there is replaced only when the new one is complete and synced.
///
/// # Errors
/// [`BuildError`]; nothing is left behind then.
pub fn build_pack(
    rows: &[CatalogueRow],
    models: &Models,
    options: &BuildOptions,
    out: &Path,
    progress: Progress<'_>,
) -> Result<BuildReport, BuildError> {
    let product_count = check_rows(rows)?;
    let loaded = Loaded::new(models)?;
    let mut skipped = Vec::new();
    let images = embed_images(rows, loaded.image.as_ref(), options, progress, &mut skipped)?;
    let texts = embed_texts(rows, loaded.text.as_ref(), progress)?;
    let image_index = build_index(&images, &options.index, progress)?;
    let text_index = build_index(&texts, &options.index, progress)?;

    let mut meta = PackMeta {
        created: options.created,
        generator: options.generator.clone(),
        product_count,
        image_rows: images.products.len() as u32,
        text_rows: texts.products.len() as u32,
        image: loaded.image.as_ref().map(|e| {
            let m = e.manifest();
            encoder_meta(&m.name, m.version, &e.id().to_string(), m.dim, &m.space)
        }),
        text: loaded.text.as_ref().map(|e| {
            let m = e.manifest();
            encoder_meta(&m.name, m.version, &e.id().to_string(), m.dim, &m.space)
        }),
        detector: loaded.detector.as_ref().zip(models.detector.as_ref()).map(|(d, files)| {
            let m = d.manifest();
            encoder_meta(&m.name, m.version, &detector_id(files).to_string(), 0, "")
        }),
        image_index: image_index.as_ref().map(|i| i.meta.clone()),
        text_index: text_index.as_ref().map(|i| i.meta.clone()),
        licences: loaded.licences(),
        ..PackMeta::default()
    };
    meta.format = crate::pack::VERSION;

    let mut writer = PackWriter::create(out)?;
    writer.meta(&meta)?;
    writer.section(SectionKind::Records, &records(rows)?)?;
    let gtins = rows.iter().zip(0u32..).filter_map(|(row, product)| Some((row.gtin?.as_u64(), product)));
    writer.section(SectionKind::Gtins, &GtinView::to_bytes(gtins.collect()))?;
    write_models(&mut writer, models)?;
    for (index, embedded, sections) in
        [(&image_index, &images, IndexSections::Image), (&text_index, &texts, IndexSections::Text)]
    {
        if let Some(index) = index {
            let [row_map, quantizer, codes] = sections.kinds();
            writer.section(row_map, &RowsView::to_bytes(&embedded.products))?;
            writer.section(quantizer, &index.built.quantizer)?;
            writer.section(codes, &index.built.codes)?;
        }
    }
    writer.finish()?;

    // What was written is what a phone will open: read it all back once.
    let engine = Engine::open(
        out,
        EngineOptions {
            pack: OpenOptions { verify: true, ..OpenOptions::default() },
            ..EngineOptions::default()
        },
    )?;
    Ok(BuildReport { meta: engine.pack().meta().clone(), bytes: engine.pack().file_len(), skipped })
}

fn check_rows(rows: &[CatalogueRow]) -> Result<u32, BuildError> {
    if rows.is_empty() {
        return Err(BuildError::Empty);
    }
    let max = (u32::MAX / 2) as usize;
    if rows.len() > max {
        return Err(BuildError::TooMany { found: rows.len(), max });
    }
    let nothing =
        |row: &&CatalogueRow| row.images.is_empty() && row.gtin.is_none() && texts_of(row).is_empty();
    match rows.iter().find(nothing) {
        Some(row) => Err(BuildError::Unfindable { line: row.line, id: row.id.clone() }),
        None => Ok(rows.len() as u32),
    }
}

/// Encoders and detector, loaded once to embed with and to prove that the pack will load.
struct Loaded {
    image: Option<ImageEncoder>,
    text: Option<TextEncoder>,
    detector: Option<Detector>,
}

impl Loaded {
    fn new(models: &Models) -> Result<Self, BuildError> {
        let image = |files: &EncoderFiles| {
            ImageEncoder::new(ImageManifest::from_json(&files.manifest_json)?, &files.model)
        };
        let text = |files: &EncoderFiles| {
            let tokenizer = files.tokenizer.as_deref().unwrap_or_default();
            TextEncoder::new(TextManifest::from_json(&files.manifest_json)?, &files.model, tokenizer)
        };
        let detector = |files: &EncoderFiles| {
            Detector::new(DetectorManifest::from_json(&files.manifest_json)?, &files.model)
        };
        let named = |name| move |reason| BuildError::Encoder { name, reason };
        Ok(Self {
            image: models.image.as_ref().map(image).transpose().map_err(named("image encoder"))?,
            text: models.text.as_ref().map(text).transpose().map_err(named("text encoder"))?,
            detector: models.detector.as_ref().map(detector).transpose()?,
        })
    }

    fn licences(&self) -> Vec<LicenceMeta> {
        let one = |what: &str, licence: &str, attribution: &str| LicenceMeta {
            what: what.to_owned(),
            licence: licence.to_owned(),
            attribution: attribution.to_owned(),
        };
        let mut all = Vec::new();
        if let Some(m) = self.image.as_ref().map(ImageEncoder::manifest) {
            all.push(one(&m.name, &m.license, &m.attribution));
        }
        if let Some(m) = self.text.as_ref().map(TextEncoder::manifest) {
            all.push(one(&m.name, &m.license, &m.attribution));
        }
        if let Some(m) = self.detector.as_ref().map(Detector::manifest) {
            all.push(one(&m.name, &m.license, &m.attribution));
        }
        all
    }
}

/// A detector makes no vectors that must match, so its identity is just that of its files.
fn detector_id(files: &EncoderFiles) -> EncoderId {
    let mut hasher = Sha256::new();
    for part in [&files.manifest_json, &files.model] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    EncoderId(hasher.finalize().into())
}

fn encoder_meta(name: &str, version: u32, id: &str, dim: usize, space: &str) -> EncoderMeta {
    EncoderMeta {
        name: name.to_owned(),
        version,
        id: id.to_owned(),
        dim: dim as u32,
        space: space.to_owned(),
    }
}

/// Vectors of one kind, in product order.
#[derive(Default)]
struct Embedded {
    dim: usize,
    vectors: Vec<f32>,
    products: Vec<u32>,
}

impl Embedded {
    fn push(&mut self, product: u32, vector: &Embedding) {
        self.dim = vector.dim();
        self.vectors.extend_from_slice(vector.as_slice());
        self.products.push(product);
    }
}

fn embed_images(
    rows: &[CatalogueRow],
    encoder: Option<&ImageEncoder>,
    options: &BuildOptions,
    progress: Progress<'_>,
    skipped: &mut Vec<SkippedImage>,
) -> Result<Embedded, BuildError> {
    let work: Vec<(u32, &CatalogueRow, &String)> = (0u32..)
        .zip(rows)
        .flat_map(|(product, row)| row.images.iter().map(move |image| (product, row, image)))
        .collect();
    if work.is_empty() {
        return Ok(Embedded::default());
    }
    let encoder = encoder.ok_or(BuildError::NoImageEncoder)?;
    let (total, done) = (work.len() as u64, AtomicU32::new(0));
    progress(BuildStep::Images, 0, total);
    let decode = DecodeOptions { shrink_to: Some(needed_side(encoder)), ..DecodeOptions::default() };
    let embed = |image: &String| -> Result<Embedding, ImageFault> {
        let photo = preprocess::open(&options.images.join(image), &decode)?;
        Ok(encoder.encode(&photo.frame(), None)?)
    };
    let results: Vec<_> = work
        .par_iter()
        .map(|&(_, row, image)| {
            let result = embed(image);
            progress(BuildStep::Images, u64::from(done.fetch_add(1, Ordering::Relaxed)) + 1, total);
            match result {
                Err(reason) if !options.skip_bad => Err(BuildError::Image {
                    line: row.line,
                    id: row.id.clone(),
                    image: image.clone(),
                    reason: Box::new(reason),
                }),
                result => Ok(result),
            }
        })
        .collect::<Result<_, _>>()?;
    let mut embedded = Embedded::default();
    for ((product, row, image), result) in work.into_iter().zip(results) {
        match result {
            Ok(vector) => embedded.push(product, &vector),
            Err(reason) => {
                skipped.push(SkippedImage {
                    line: row.line,
                    id: row.id.clone(),
                    image: image.clone(),
                    reason,
                });
            }
        }
    }
    Ok(embedded)
}

/// Short side in pixels that the encoder's input still gains from.
fn needed_side(encoder: &ImageEncoder) -> u32 {
    let spec = &encoder.manifest().preprocess;
    (spec.width.max(spec.height) as f32 / spec.crop_fraction).ceil() as u32
}

fn embed_texts(
    rows: &[CatalogueRow],
    encoder: Option<&TextEncoder>,
    progress: Progress<'_>,
) -> Result<Embedded, BuildError> {
    let Some(encoder) = encoder else { return Ok(Embedded::default()) };
    let (total, done) = (rows.len() as u64, AtomicU32::new(0));
    progress(BuildStep::Texts, 0, total);
    let vectors: Vec<Vec<Embedding>> = rows
        .par_iter()
        .map(|row| {
            let vectors = texts_of(row).iter().map(|text| encoder.encode(text)).collect::<Result<_, _>>();
            progress(BuildStep::Texts, u64::from(done.fetch_add(1, Ordering::Relaxed)) + 1, total);
            vectors.map_err(|reason| BuildError::Text {
                line: row.line,
                id: row.id.clone(),
                reason: Box::new(reason),
            })
        })
        .collect::<Result<_, _>>()?;
    let mut embedded = Embedded::default();
    for (product, vectors) in (0u32..).zip(vectors) {
        for vector in vectors {
            embedded.push(product, &vector);
        }
    }
    Ok(embedded)
}

/// Texts a product is found by: its name as a shopper would type it, and the same with category and description.
fn texts_of(row: &CatalogueRow) -> Vec<String> {
    let join = |parts: &[&str]| {
        let parts: Vec<&str> = parts.iter().map(|p| p.trim()).filter(|p| !p.is_empty()).collect();
        parts.join(" ")
    };
    // A brand that the title repeats would count twice.
    let brand = if row.title.to_lowercase().contains(&row.brand.to_lowercase()) { "" } else { &row.brand };
    let name = join(&[brand, &row.title]);
    let long = join(&[&name, &row.category, &row.description]);
    let mut texts = vec![name];
    if !texts.contains(&long) {
        texts.push(long);
    }
    texts.retain(|text| !text.is_empty());
    texts
}

struct BuiltPart {
    built: index::BuiltIndex,
    meta: IndexMeta,
}

fn build_index(
    embedded: &Embedded,
    params: &IndexParams,
    progress: Progress<'_>,
) -> Result<Option<BuiltPart>, BuildError> {
    if embedded.products.is_empty() {
        return Ok(None);
    }
    let built = index::build(params, &embedded.vectors, embedded.dim, &mut |share| {
        progress(BuildStep::Index, (share.clamp(0.0, 1.0) * 1000.0) as u64, 1000);
    })?;
    let view = IndexView::open(&built.quantizer, &built.codes)?;
    let meta = IndexMeta {
        kind: built.kind.to_string(),
        bytes_per_vector: built.bytes_per_vector as u32,
        params: built.params.clone(),
        note: built.note.clone(),
        measured: Some(measure(&view, embedded)?),
    };
    Ok(Some(BuiltPart { built, meta }))
}

/// Share of each sampled vector's 10 exact nearest rows that the index finds among its first 10.
fn measure(view: &IndexView<'_>, embedded: &Embedded) -> Result<Measured, BuildError> {
    let rows = embedded.products.len();
    let k = rows.min(10);
    let step = rows.div_ceil(SAMPLE).max(1);
    let vector = |row: usize| &embedded.vectors[row * embedded.dim..(row + 1) * embedded.dim];
    let sample: Vec<usize> = (0..rows).step_by(step).collect();
    let found: Vec<usize> = sample
        .par_iter()
        .map(|&at| {
            let query = vector(at);
            let dot = |row: usize| crate::kernels::dot(query, vector(row));
            let mut exact: Vec<(f32, u32)> = (0..rows).map(|row| (dot(row), row as u32)).collect();
            let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
            exact.select_nth_unstable_by(k - 1, order);
            let exact: Vec<u32> = exact[..k].iter().map(|(_, row)| *row).collect();
            let hits = view.search(query, k, &|_| true)?;
            Ok::<_, SearchError>(hits.iter().filter(|hit| exact.contains(&hit.row)).count())
        })
        .collect::<Result<_, _>>()?;
    let recall = found.iter().sum::<usize>() as f64 / (k * sample.len()) as f64;
    Ok(Measured { sample: sample.len() as u32, recall_at_10: recall })
}

fn records(rows: &[CatalogueRow]) -> Result<Vec<u8>, BuildError> {
    let mut records = RecordsWriter::new();
    for row in rows {
        records.push(&Record {
            id: row.id.clone(),
            title: row.title.clone(),
            brand: row.brand.clone(),
            category: row.category.clone(),
            gtin: row.gtin.map(|gtin| gtin.as_u64()),
            description: row.description.clone(),
            attrs: row.attrs.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        })?;
    }
    Ok(records.finish())
}

fn write_models(writer: &mut PackWriter, models: &Models) -> Result<(), BuildError> {
    let parts = [
        (&models.image, SectionKind::ImageManifest, SectionKind::ImageModel, None),
        (&models.text, SectionKind::TextManifest, SectionKind::TextModel, Some(SectionKind::TextTokenizer)),
        (&models.detector, SectionKind::DetectorManifest, SectionKind::DetectorModel, None),
    ];
    for (files, manifest, model, tokenizer) in parts {
        let Some(files) = files else { continue };
        writer.section(manifest, &files.manifest_json)?;
        writer.section(model, &files.model)?;
        if let (Some(kind), Some(bytes)) = (tokenizer, &files.tokenizer) {
            writer.section(kind, bytes)?;
        }
    }
    Ok(())
}
