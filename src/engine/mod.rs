//! The whole pipeline: open a pack, find one product, scan many; add and delete products.

mod changes;
mod error;
mod find;
mod follow;
mod memory;
mod models;
mod rerank;
mod rows;
mod scan;
mod side;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use self::changes::{Editable, State};
use self::memory::Budget;
use self::models::Slot;
use self::rows::{Places, ProductIndex};
use crate::cancel::Cancel;
use crate::detect::Detector;
use crate::encode::{ImageEncoder, TextEncoder};
use crate::frame::Frame;
use crate::fuse::Gtin;
use crate::fuse::score::Evidence;
use crate::geometry::Rect;
use crate::pack::{EncoderKind, IndexSections, OpenOptions, Pack, Record, RecordView, RecordsError};
use crate::rerank::Reranker;
use crate::runtime::Pool;

pub use changes::{CodedPicture, Compacted, EditError, EntryError, NewProduct};
pub use error::{FindError, OpenEngineError};
pub use find::{EncodedQuery, Query};
pub use follow::{Effort, FollowOptions, Followed, FollowedItem, Session};

/// How to decode a photo file for a query: more than this short side helps neither barcodes nor boxes.
#[cfg(feature = "photo")]
pub const QUERY_DECODE: crate::preprocess::DecodeOptions =
    crate::preprocess::DecodeOptions { max_pixels: 64 << 20, shrink_to: Some(1200) };

/// Most places that a scan looks for barcodes beyond those of a single product; each takes some milliseconds.
#[cfg(feature = "barcode")]
const MORE_PLACES: usize = 30;

/// A product that matches a query.
#[derive(Clone, Debug)]
pub struct Match {
    /// Number of the product in the catalogue; those added since the pack was built are numbered on from its own.
    pub product: u32,
    /// Its catalogue record.
    pub record: Record,
    /// Probability that it is the product asked for, in `0..=1`.
    pub score: f32,
    /// What speaks for it.
    pub evidence: Evidence,
}

/// Milliseconds a stage took, in pipeline order.
#[derive(Clone, Debug, Default)]
pub struct Timings(Vec<(&'static str, f64)>);

impl Timings {
    /// Runs `work` and adds its time to `stage`.
    pub fn measure<T>(&mut self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(stage, start.elapsed().as_secs_f64() * 1e3);
        result
    }

    /// Adds `ms` milliseconds to `stage`.
    pub fn add(&mut self, stage: &'static str, ms: f64) {
        match self.0.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, sum)) => *sum += ms,
            None => self.0.push((stage, ms)),
        }
    }

    /// Adds the stages of `other`.
    pub fn extend(&mut self, other: &Self) {
        for &(stage, ms) in &other.0 {
            self.add(stage, ms);
        }
    }

    /// Stage and milliseconds, in the order the stages were first run.
    pub fn stages(&self) -> &[(&'static str, f64)] {
        &self.0
    }

    /// Sum of all stages, in milliseconds.
    pub fn total(&self) -> f64 {
        self.0.iter().map(|(_, ms)| ms).sum()
    }
}

/// Answer to [`Engine::find`].
#[derive(Clone, Debug)]
pub struct Found {
    /// Best first; each product once.
    pub matches: Vec<Match>,
    /// GTINs read from the picture, in the catalogue or not.
    pub barcodes: Vec<Gtin>,
    /// Time a stage.
    pub ms: Timings,
}

/// One product place in a scanned picture.
#[derive(Clone, Debug)]
pub struct Item {
    /// Where, in pixels of the upright picture.
    pub rect: Rect,
    /// Certainty of the detector that a product is there, in `0..=1`.
    pub detection: f32,
    /// Best first.
    pub matches: Vec<Match>,
}

/// Answer to [`Engine::scan`].
#[derive(Clone, Debug)]
pub struct Scan {
    /// The most certain box first.
    pub items: Vec<Item>,
    /// GTINs read from the picture, in the catalogue or not.
    pub barcodes: Vec<Gtin>,
    /// Time a stage.
    pub ms: Timings,
}

/// Options of [`Engine::open`].
#[derive(Default)]
pub struct EngineOptions {
    /// Limits for reading the pack.
    pub pack: OpenOptions,
    /// Image encoder to use instead of the pack's own; refused unless it is the one the pack was built with (compiled,
    /// where the pack holds it compiled).
    pub image_encoder: Option<ImageEncoder>,
    /// Text encoder to use instead of the pack's own, as the image encoder.
    pub text_encoder: Option<TextEncoder>,
    /// Threads that run a network at once, the caller's included: 1 if 0. The answers do not depend on it. On phones
    /// two or so pay; all cores heat the phone.
    pub threads: usize,
    /// Most bytes that queries may hold at one time: working memory of the networks and copies of pictures. The pack
    /// itself is mapped and does not count. `None` sets no ceiling.
    pub max_memory: Option<u64>,
}

/// An open pack with its models, ready for queries from any number of threads.
///
/// Models are loaded when first needed, or by [`Engine::warm_up`].
pub struct Engine {
    pack: Pack,
    image: Slot<ImageEncoder>,
    text: Slot<TextEncoder>,
    detector: Slot<Detector>,
    reranker: Slot<Reranker>,
    /// Of the index of pictures and of that of texts.
    places: [Places; 2],
    changes: Editable,
    pool: Arc<Pool>,
    memory: Budget,
}

impl Engine {
    /// Maps the pack at `path`, checks that encoders given in `options` are those it was built with, and reads the
    /// journal of later additions and deletions, `NAME.journal` beside it, if there is one.
    ///
    /// # Errors
    /// [`OpenEngineError`] if the pack cannot be opened, an encoder does not match, or the journal belongs to another pack.
    pub fn open(path: &Path, options: EngineOptions) -> Result<Self, OpenEngineError> {
        let pack = Pack::open(path, &options.pack)?;
        if let Some(encoder) = &options.image_encoder {
            pack.check_encoder(EncoderKind::Image, &encoder.id().0)?;
        }
        if let Some(encoder) = &options.text_encoder {
            pack.check_encoder(EncoderKind::Text, &encoder.id().0)?;
        }
        let pool = Arc::new(Pool::new(options.threads));
        let changes = Editable::open(&pack, path.to_owned())?;
        let engine = Self {
            pack,
            image: Slot::new(options.image_encoder.map(|encoder| encoder.shared(&pool))),
            text: Slot::new(options.text_encoder.map(|encoder| encoder.shared(&pool))),
            detector: Slot::new(None),
            reranker: Slot::new(None),
            places: Default::default(),
            changes,
            pool,
            memory: Budget::new(options.max_memory),
        };
        for (kind, sections) in
            [(EncoderKind::Image, IndexSections::Image), (EncoderKind::Text, IndexSections::Text)]
        {
            if let Some(index) = engine.product_index(sections, &engine.changes.read())? {
                index.check_order(kind)?;
            }
        }
        engine.cells()?;
        Ok(engine)
    }

    /// Products, of the pack and added, that are not deleted.
    pub fn products(&self) -> u32 {
        let state = self.changes.read();
        (0..state.products()).filter(|&product| !state.is_deleted(product)).count() as u32
    }

    /// Runs `read` on number and record of each product that is not deleted. Edits wait until it is done.
    ///
    /// # Errors
    /// [`RecordsError`] if the pack was changed while it was open.
    pub fn each_product(&self, mut read: impl FnMut(u32, RecordView<'_>)) -> Result<(), RecordsError> {
        let state = self.changes.read();
        (0..state.products())
            .filter(|&product| !state.is_deleted(product))
            .try_for_each(|product| state.record(&self.pack, product, |record| read(product, record)))
    }

    /// The record of a product by its number, deleted or not.
    ///
    /// # Errors
    /// [`RecordsError`]
    pub fn record(&self, product: u32) -> Result<Record, RecordsError> {
        self.changes.read().record_of(&self.pack, product)
    }

    /// The open pack.
    pub fn pack(&self) -> &Pack {
        &self.pack
    }

    fn product_index<'a>(
        &'a self,
        sections: IndexSections,
        state: &'a State,
    ) -> Result<Option<ProductIndex<'a>>, OpenEngineError> {
        let ([image_places, text_places], [images, texts]) = (&self.places, &state.indexes);
        let (places, changes) = match sections {
            IndexSections::Image => (image_places, images),
            IndexSections::Text => (text_places, texts),
        };
        ProductIndex::open(&self.pack, sections, places, changes.as_ref())
    }

    /// Barcodes of a picture of about so many products, or of a part of it, each with its place in the picture.
    #[cfg(feature = "barcode")]
    fn read_barcodes(
        &self,
        frame: &Frame<'_>,
        region: Option<Rect>,
        products: usize,
        cancel: Option<&Cancel>,
    ) -> Vec<(Gtin, Option<Rect>)> {
        // One place more a product: the likeliest ten of a shelf may all be print. On tiled photos of backs this reads
        // as many as 640 places do.
        let mut options = crate::fuse::BarcodeOptions::default();
        let more = products.saturating_sub(1).min(MORE_PLACES);
        options.max_places += more;
        options.max_results += more;
        let found = crate::fuse::read_barcodes_until(frame, &options, cancel);
        let inside =
            |place: &Rect| region.is_none_or(|region| region.intersection(place) > 0.5 * place.area());
        found
            .into_iter()
            .filter(|barcode| barcode.rect.as_ref().is_none_or(inside))
            .map(|barcode| (barcode.gtin, barcode.rect))
            .collect()
    }

    #[cfg(not(feature = "barcode"))]
    fn read_barcodes(
        &self,
        _: &Frame<'_>,
        _: Option<Rect>,
        _: usize,
        _: Option<&Cancel>,
    ) -> Vec<(Gtin, Option<Rect>)> {
        Vec::new()
    }
}
