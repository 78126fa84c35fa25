//! Catalogue rows and encoders to a pack: embed, train, encode, write, read back.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::catalogue::CatalogueRow;
use super::compile::{self, ModelNote};
use super::embed::{self, Embedded};
use super::error::{BuildError, ImageFault, shown};
use super::{index, write};
use crate::detect::{self, Detector, DetectorManifest};
use crate::encode::{EncoderFiles, EncoderId, ImageEncoder, ImageManifest, TextEncoder, TextManifest};
use crate::index::{IndexParams, Wanted};
use crate::pack::{CellLayout, EncoderMeta, LicenceMeta, PackMeta, PackWriter, VERSION};
use crate::rerank::Reranker;
use crate::runtime::ModelBytes;

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
    /// Choose kind and parameters by measuring instead, for what is wanted; `index` gives the seed.
    pub auto: Option<Wanted>,
    /// Keep local descriptors of every picture, so that queries can be reranked.
    pub rerank: bool,
    /// Leave out pictures that cannot be used, and products that nothing can find then, instead of stopping.
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
    /// Picture as the catalogue names it; none if it was the words alone.
    pub image: Option<String>,
    /// Why it could not be used.
    pub reason: ImageFault,
}

impl fmt::Display for SkippedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, id, image, reason } = self;
        write!(f, "line {line}: {} of product {id:?}: {reason}", shown(image.as_deref()))
    }
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
    /// Lines and ids of products left out, with `skip_bad`, because nothing could find them.
    pub unfindable: Vec<(u64, String)>,
    /// Lines and ids of products with texts of which the text encoder knows no word, such as those of another script:
    /// these texts find nothing.
    pub unread_texts: Vec<(u64, String)>,
    /// Models that were compiled, or why they were not.
    pub models: Vec<ModelNote>,
    /// What in the text encoder's tokenizer phones do not read; they then find nothing by words in this pack.
    pub unread_on_phones: Option<String>,
}

/// Builds a pack of `rows` at `out`. An existing file there is replaced only when the new one is complete, synced, and
/// read back.
///
/// # Errors
/// [`BuildError`]; an existing file stays and nothing else is left behind then.
pub fn build_pack(
    rows: &[CatalogueRow],
    models: &Models,
    options: &BuildOptions,
    out: &Path,
    progress: Progress<'_>,
) -> Result<BuildReport, BuildError> {
    check_rows(rows, options.skip_bad)?;
    // Whether the file can be made is better known before all pictures are encoded.
    drop(PackWriter::create(out)?);
    let (models, notes) = compile::compiled(models);
    let models = &models;
    let loaded = Loaded::new(models)?;
    let layout = if options.rerank { Some(loaded.cell_layout(models)?) } else { None };
    let (words, unread_words) = embed::words(rows, loaded.image.as_ref())?;
    let (mut images, skipped) =
        embed::images(rows, loaded.image.as_ref(), &words, layout, options, progress)?;
    let (mut texts, mut unread_texts) = embed::texts(rows, loaded.text.as_ref(), progress)?;
    if loaded.text.is_none() {
        unread_texts = unread_words;
    }
    let (rows, unfindable) = findable(rows, &mut images, &mut texts, options.skip_bad)?;
    let image_index = index::build(&images, options, progress)?;
    let text_index = index::build(&texts, options, progress)?;

    let meta = PackMeta {
        format: VERSION,
        created: options.created,
        generator: options.generator.clone(),
        product_count: rows.len() as u32,
        image_rows: images.products.len() as u32,
        text_rows: texts.products.len() as u32,
        image: loaded.image.as_ref().map(|e| {
            let m = e.manifest();
            encoder_meta(&m.name, m.version, e.id(), m.dim, &m.space)
        }),
        text: loaded.text.as_ref().map(|e| {
            let m = e.manifest();
            encoder_meta(&m.name, m.version, e.id(), m.dim, &m.space)
        }),
        detector: loaded.detector.as_ref().zip(models.detector.as_ref()).map(|(d, files)| {
            let m = d.manifest();
            let id = EncoderId(detect::id(&files.manifest_json, &files.model));
            encoder_meta(&m.name, m.version, id, 0, "")
        }),
        image_index: image_index.as_ref().map(|i| i.meta.clone()),
        text_index: text_index.as_ref().map(|i| i.meta.clone()),
        licences: loaded.licences(),
        compacted_from: None,
    };
    let indexes = [(image_index.as_ref(), &images), (text_index.as_ref(), &texts)];
    let (meta, bytes) = write::write(out, &meta, &rows, models, layout, indexes)?;
    let foreign = loaded.text.as_ref().and_then(|e| e.unread_on_phones());
    let unread_on_phones =
        foreign.or(loaded.image.as_ref().and_then(|e| e.unread_on_phones())).map(str::to_owned);
    Ok(BuildReport { meta, bytes, skipped, unfindable, unread_texts, models: notes, unread_on_phones })
}

/// What is wrong with a catalogue before any work is done.
fn check_rows(rows: &[CatalogueRow], skip_bad: bool) -> Result<(), BuildError> {
    if rows.is_empty() {
        return Err(BuildError::Empty);
    }
    let max = (u32::MAX / 2) as usize;
    if rows.len() > max {
        return Err(BuildError::TooMany { found: rows.len(), max });
    }
    let nothing =
        |row: &&CatalogueRow| row.images.is_empty() && row.gtin.is_none() && embed::texts_of(row).is_empty();
    match rows.iter().find(nothing) {
        Some(row) if !skip_bad => Err(BuildError::Unfindable { line: row.line, id: row.id.clone() }),
        _ => Ok(()),
    }
}

/// Rows that something can find, and line and id of those left out; products of the vectors are numbered anew.
type Findable<'a> = (Vec<&'a CatalogueRow>, Vec<(u64, String)>);

fn findable<'a>(
    rows: &'a [CatalogueRow],
    images: &mut Embedded,
    texts: &mut Embedded,
    skip_bad: bool,
) -> Result<Findable<'a>, BuildError> {
    let mut found: Vec<bool> = rows.iter().map(|row| row.gtin.is_some()).collect();
    for &product in images.products.iter().chain(&texts.products) {
        found[product as usize] = true;
    }
    let lost = rows.iter().zip(&found).filter(|(_, found)| !**found);
    let lost: Vec<(u64, String)> = lost.map(|(row, _)| (row.line, row.id.clone())).collect();
    if let Some((line, id)) = lost.first().cloned() {
        if lost.len() == rows.len() {
            return Err(BuildError::NothingLeft { count: rows.len(), line, id });
        }
        if !skip_bad {
            return Err(BuildError::Unfindable { line, id });
        }
    }
    let mut next = 0;
    let numbers: Vec<u32> = found
        .iter()
        .map(|&found| {
            let at = next;
            next += u32::from(found);
            at
        })
        .collect();
    for product in images.products.iter_mut().chain(&mut texts.products) {
        *product = numbers[*product as usize];
    }
    Ok((rows.iter().zip(found).filter_map(|(row, found)| found.then_some(row)).collect(), lost))
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
            let tokenizer = files.tokenizer.as_deref().unwrap_or_default();
            let model: ModelBytes = Arc::new(files.model.clone());
            ImageEncoder::open_with(ImageManifest::from_json(&files.manifest_json)?, &model, tokenizer)
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

    /// How local descriptors are kept; the reranker that reads them is checked.
    fn cell_layout(&self, models: &Models) -> Result<CellLayout, BuildError> {
        let local = self.image.as_ref().and_then(|encoder| encoder.manifest().local.as_ref());
        let reranker = models.image.as_ref().and_then(|files| files.reranker.as_ref());
        let (local, reranker) = local.zip(reranker).ok_or(BuildError::NoReranker)?;
        Reranker::from_json(reranker)?;
        Ok(CellLayout { side: local.side as u16, width: local.width as u16 })
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

fn encoder_meta(name: &str, version: u32, id: EncoderId, dim: usize, space: &str) -> EncoderMeta {
    EncoderMeta {
        name: name.to_owned(),
        version,
        id: id.to_string(),
        dim: dim as u32,
        space: space.to_owned(),
    }
}
