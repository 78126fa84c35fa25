//! One product a query: encode, search, fuse.

use std::collections::BTreeMap;

use super::changes::State;
use super::error::FindError;
use super::memory::of_frame;
use super::rows::ProductIndex;
use super::side::Side;
use super::{Engine, Found, Match, Timings};
use crate::cancel::{Cancel, cancelled};
use crate::embedding::Embedding;
use crate::encode::{EncodeError, ImageEncoder, Shown};
use crate::frame::Frame;
use crate::fuse::Gtin;
use crate::fuse::score::Evidence;
use crate::index::Bitmap;
use crate::options::{Depth, Filter, FindOptions, MAX_TOP};
use crate::pack::{IndexSections, SectionKind};
use crate::preprocess::check_region;
use crate::rerank::CellCodes;

/// Records read between two looks at the cancel flag: some tens of microseconds.
const STEP: u32 = 1024;

/// What to look for: a picture, words, or both.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    /// A picture of one product.
    pub frame: Option<&'a Frame<'a>>,
    /// A name, a brand, any words; or a GTIN, which is looked up as one.
    pub text: Option<&'a str>,
}

/// What is asked of an encoded query.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub top: usize,
    /// Products that pass the filters, if there are any.
    pub allowed: Option<&'a Bitmap>,
    pub depth: Depth,
    pub cancel: Option<&'a Cancel>,
}

/// A query after reading barcodes and encoding, from [`Engine::encode`].
#[derive(Clone, Debug, Default)]
pub struct EncodedQuery {
    pub(super) image: Option<Embedding>,
    pub(super) text: Option<Embedding>,
    /// Of the picture, where the first products are to be ordered anew.
    pub(super) cells: Option<CellCodes>,
    /// Read from the picture.
    pub(super) barcodes: Vec<Gtin>,
    /// The words, where they are one.
    pub(super) typed: Option<Gtin>,
    pub(super) ms: Timings,
}

impl EncodedQuery {
    /// What the picture looks like, without barcodes and words; `None` if there is no picture. Where one encoder reads
    /// both, its vector of both.
    pub fn looks(&self) -> Option<Self> {
        let cells = self.cells.clone();
        self.image.clone().map(|image| Self { image: Some(image), cells, ..Self::default() })
    }

    /// What the words mean, and the product they number if they are a GTIN; `None` if there are no words.
    pub fn words(&self) -> Option<Self> {
        self.text.clone().map(|text| Self { text: Some(text), typed: self.typed, ..Self::default() })
    }
}

impl Engine {
    /// The products most likely to be what the query shows or says, best first, each once.
    ///
    /// # Errors
    /// [`FindError`] if the query is empty or cannot be encoded, or the pack is broken. No match is an empty list.
    pub fn find(&self, query: &Query<'_>, options: &FindOptions) -> Result<Found, FindError> {
        check_top(options.top)?;
        self.find_encoded(&self.encode(query, options)?, options)
    }

    /// The first half of [`find`](Self::find): reads barcodes and encodes. The result can be searched any number of
    /// times, with other filters, or in parts.
    ///
    /// # Errors
    /// [`FindError`] if the query is empty (words of which the tokenizer leaves nothing count as none) or cannot be
    /// encoded.
    pub fn encode(&self, query: &Query<'_>, options: &FindOptions) -> Result<EncodedQuery, FindError> {
        let text = query.text.map(str::trim).filter(|t| !t.is_empty());
        if query.frame.is_none() && text.is_none() {
            return Err(FindError::EmptyQuery);
        }
        let mut encoded = EncodedQuery::default();
        let mut ms = Timings::default();
        let cancel = options.cancel.as_ref();
        check_cancel(cancel)?;
        encoded.typed = text.and_then(|text| Gtin::parse(text).ok());
        // A picture or a number finds something whatever the words are worth.
        let more = query.frame.is_some() || encoded.typed.is_some();
        // One encoder may read picture and words together; it reads words alone where no other does.
        let fused = self.reads_words();
        let apart = self.pack.meta().text.is_some() || !fused;
        if query.frame.is_some() || !apart {
            if let (Some(frame), Some(region)) = (query.frame, options.region) {
                check_region(frame, region).map_err(EncodeError::Prepare)?;
            }
            let rerank = options.rerank && query.frame.is_some();
            self.check_rerank(rerank)?;
            let encoder = ms.measure("load", || self.image_encoder())?;
            let picture = query.frame.map_or(0, |frame| of_frame(frame, options.barcode));
            let _held = self.memory.reserve(picture + encoder.memory())?;
            if let Some(frame) = query.frame.filter(|_| options.barcode) {
                let found = ms.measure("barcode", || self.read_barcodes(frame, options.region, 1, cancel));
                check_cancel(cancel)?;
                encoded.barcodes.extend(found.into_iter().map(|(gtin, _)| gtin));
            }
            let shown = Shown { frame: query.frame, region: options.region, text: text.filter(|_| fused) };
            match ms.measure("encode", || self.looks(&encoder, &shown, rerank, cancel)) {
                Ok((image, cells)) => (encoded.image, encoded.cells) = (Some(image), cells),
                Err(FindError::Encode(EncodeError::UnknownText { .. })) if more => {}
                Err(FindError::Encode(EncodeError::EmptyText)) => return Err(FindError::EmptyQuery),
                Err(error) => return Err(error),
            }
        }
        if let Some(text) = text.filter(|_| apart) {
            let encoder = ms.measure("load", || self.text_encoder())?;
            let _held = self.memory.reserve(encoder.memory())?;
            encoded.text = match ms.measure("encode", || encoder.encode_until(text, cancel)) {
                Ok(vector) => Some(vector),
                Err(EncodeError::EmptyText | EncodeError::UnknownText { .. }) if more => None,
                Err(EncodeError::EmptyText) => return Err(FindError::EmptyQuery),
                Err(error) => return Err(error.into()),
            };
        }
        encoded.ms = ms;
        Ok(encoded)
    }

    /// Whether the pack's image encoder reads words too.
    pub fn reads_words(&self) -> bool {
        self.pack.section(SectionKind::ImageTokenizer).is_some()
    }

    /// Vector of what is shown, and its cells if it is to be reranked by them.
    pub(super) fn looks(
        &self,
        encoder: &ImageEncoder,
        shown: &Shown<'_>,
        rerank: bool,
        cancel: Option<&Cancel>,
    ) -> Result<(Embedding, Option<CellCodes>), FindError> {
        if !rerank {
            return Ok((encoder.encode_shown(shown, cancel)?.0, None));
        }
        let (vector, cells) = encoder.encode_shown(shown, cancel)?;
        Ok((vector, cells.as_ref().map(CellCodes::of)))
    }

    /// The second half of [`find`](Self::find): searches and orders. Its times contain those of the encoding.
    ///
    /// # Errors
    /// [`FindError`] if too many products are asked for or the pack is broken.
    pub fn find_encoded(&self, query: &EncodedQuery, options: &FindOptions) -> Result<Found, FindError> {
        check_top(options.top)?;
        check_cancel(options.cancel.as_ref())?;
        let mut ms = query.ms.clone();
        let cancel = options.cancel.as_ref();
        let allowed = self.allowed(&options.filters, cancel, &mut ms)?;
        let scope = Wanted { top: options.top, allowed: allowed.as_ref(), depth: options.depth, cancel };
        let matches = self.rank(query, &scope, &mut ms)?;
        Ok(Found { matches, barcodes: query.barcodes.clone(), ms })
    }

    /// Searches both indexes with what was encoded and orders the products by all evidence.
    pub(super) fn rank(
        &self,
        query: &EncodedQuery,
        wanted: &Wanted<'_>,
        ms: &mut Timings,
    ) -> Result<Vec<Match>, FindError> {
        if wanted.top == 0 {
            return Ok(Vec::new());
        }
        // From here to the records one state: what is added or deleted meanwhile counts for the next query.
        let state = self.changes.read();
        let (images, mut evidence) = ms.measure("search", || {
            let images = self.product_index(IndexSections::Image, &state)?;
            let evidence = self.evidence(query, wanted, images.as_ref(), &state)?;
            Ok::<_, FindError>((images, evidence))
        })?;
        if let (Some(cells), Some(vector), Some(images)) = (&query.cells, &query.image, &images) {
            ms.measure("rerank", || self.rerank(cells, vector, images, &state, &mut evidence))?;
        }
        ms.measure("fuse", || {
            let mut order: Vec<(u32, Evidence)> = evidence.into_iter().collect();
            order.sort_by(|(a, x), (b, y)| y.order().total_cmp(&x.order()).then(a.cmp(b)));
            order.truncate(wanted.top);
            order
                .into_iter()
                .map(|(product, evidence)| {
                    let record = state.record_of(&self.pack, product)?;
                    Ok(Match { product, record, score: evidence.score(), evidence })
                })
                .collect()
        })
    }

    /// Evidence for every product that a barcode names or that is near the query in one of the indexes.
    fn evidence(
        &self,
        query: &EncodedQuery,
        wanted: &Wanted<'_>,
        images: Option<&ProductIndex<'_>>,
        state: &State,
    ) -> Result<BTreeMap<u32, Evidence>, FindError> {
        let Wanted { top, allowed, depth, cancel } = *wanted;
        let keep =
            |product: u32| !state.is_deleted(product) && allowed.is_none_or(|set| set.contains(product));
        let mut found: BTreeMap<u32, Evidence> = BTreeMap::new();
        for gtin in query.barcodes.iter().chain(&query.typed) {
            let added = state.with_gtin(gtin.as_u64()).iter().copied();
            for product in self.pack.gtins().find_all(gtin.as_u64()).chain(added).filter(|&p| keep(p)) {
                found.entry(product).or_default().barcode = true;
            }
        }
        let texts = self.product_index(IndexSections::Text, state)?;
        let shared = self.shared_space();
        let mut looks = None;
        if let Some(vector) = &query.image {
            let calibration = self.image_encoder()?.manifest().calibration;
            looks = Some(Side::looks(vector, calibration, images, texts.as_ref(), shared));
        }
        let mut words = None;
        if let Some(vector) = &query.text {
            let calibration = self.text_encoder()?.manifest().calibration;
            words = Some(Side::words(vector, calibration, images, texts.as_ref(), shared));
        }
        // More than asked for, so that a product second by looks and second by words can come first.
        let wanted = top.saturating_mul(2).max(32);
        // The indexes leave deleted rows out by themselves.
        let keep: Option<&dyn Fn(u32) -> bool> = if allowed.is_none() { None } else { Some(&keep) };
        for side in [&looks, &words].into_iter().flatten() {
            for product in side.nearest(wanted, keep, depth, cancel)? {
                found.entry(product).or_default();
            }
        }
        for (&product, evidence) in &mut found {
            evidence.image = looks.as_ref().map(|side| side.log_odds(product));
            evidence.text = words.as_ref().map(|side| side.log_odds(product));
        }
        Ok(found)
    }

    /// Whether a cosine between a picture and a text means something.
    fn shared_space(&self) -> bool {
        let meta = self.pack.meta();
        let (Some(image), Some(text)) = (&meta.image, &meta.text) else { return false };
        !image.space.is_empty() && image.space == text.space && image.dim == text.dim
    }

    /// Which products pass the filters, worked out once a query, or `None` if all do. Products that are added later
    /// are not among them.
    pub(super) fn allowed(
        &self,
        filters: &[Filter],
        cancel: Option<&Cancel>,
        ms: &mut Timings,
    ) -> Result<Option<Bitmap>, FindError> {
        if filters.is_empty() {
            return Ok(None);
        }
        ms.measure("filter", || {
            let state = self.changes.read();
            let mut allowed = Bitmap::none(state.products());
            let mut lower = String::new();
            for product in 0..state.products() {
                if product % STEP == 0 {
                    check_cancel(cancel)?;
                }
                let pass = state.record(&self.pack, product, |record| {
                    filters.iter().all(|filter| filter.accepts_with(&record, &mut lower))
                })?;
                if pass {
                    allowed.insert(product);
                }
            }
            Ok(Some(allowed))
        })
    }
}

pub(super) fn check_cancel(cancel: Option<&Cancel>) -> Result<(), FindError> {
    if cancelled(cancel) { Err(FindError::Cancelled) } else { Ok(()) }
}

pub(super) fn check_top(top: usize) -> Result<(), FindError> {
    if top > MAX_TOP { Err(FindError::Top { found: top, max: MAX_TOP }) } else { Ok(()) }
}
