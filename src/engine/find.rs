//! One product a query: encode, search, fuse.

use std::collections::BTreeMap;

use super::error::FindError;
use super::side::Side;
use super::{Engine, Found, Match, Timings};
use crate::embedding::Embedding;
use crate::frame::Frame;
use crate::fuse::Gtin;
use crate::fuse::score::Evidence;
use crate::options::{Filter, FindOptions, MAX_TOP};
use crate::pack::IndexSections;

/// What to look for: a picture, words, or both.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a> {
    /// A picture of one product.
    pub frame: Option<&'a Frame<'a>>,
    /// A name, a brand, any words; or a GTIN, which is looked up as one.
    pub text: Option<&'a str>,
}

/// A query after encoding.
#[derive(Default)]
pub(super) struct Encoded {
    pub image: Option<Embedding>,
    pub text: Option<Embedding>,
    pub gtins: Vec<Gtin>,
}

impl Engine {
    /// The products most likely to be what the query shows or says, best first, each once.
    ///
    /// # Errors
    /// [`FindError`] if the query is empty or cannot be encoded, or the pack is broken. No match is an empty list.
    pub fn find(&self, query: &Query<'_>, options: &FindOptions) -> Result<Found, FindError> {
        check_top(options.top)?;
        let text = query.text.map(str::trim).filter(|t| !t.is_empty());
        if query.frame.is_none() && text.is_none() {
            return Err(FindError::EmptyQuery);
        }
        let mut ms = Timings::default();
        let mut encoded = Encoded::default();
        if let Some(frame) = query.frame {
            if options.barcode {
                let found = ms.measure("barcode", || self.read_barcodes(frame, options.region));
                encoded.gtins.extend(found.into_iter().map(|(gtin, _)| gtin));
            }
            let encoder = ms.measure("load", || self.image_encoder())?;
            encoded.image = Some(ms.measure("encode", || encoder.encode(frame, options.region))?);
        }
        let barcodes = encoded.gtins.clone();
        if let Some(text) = text {
            encoded.gtins.extend(Gtin::parse(text).ok());
            let encoder = ms.measure("load", || self.text_encoder())?;
            encoded.text = Some(ms.measure("encode", || encoder.encode(text))?);
        }
        let matches = self.rank(&encoded, options.top, &options.filters, &mut ms)?;
        Ok(Found { matches, barcodes, ms })
    }

    /// Searches both indexes with what was encoded and orders the products by all evidence.
    pub(super) fn rank(
        &self,
        query: &Encoded,
        top: usize,
        filters: &[Filter],
        ms: &mut Timings,
    ) -> Result<Vec<Match>, FindError> {
        if top == 0 {
            return Ok(Vec::new());
        }
        let evidence = ms.measure("search", || self.evidence(query, top, filters))?;
        ms.measure("fuse", || {
            let mut order: Vec<(u32, Evidence)> = evidence.into_iter().collect();
            order.sort_by(|(a, x), (b, y)| y.order().total_cmp(&x.order()).then(a.cmp(b)));
            order.truncate(top);
            let records = self.pack.records();
            order
                .into_iter()
                .map(|(product, evidence)| {
                    Ok(Match { product, record: records.get(product)?, score: evidence.score(), evidence })
                })
                .collect()
        })
    }

    /// Evidence for every product that a barcode names or that is near the query in one of the indexes.
    fn evidence(
        &self,
        query: &Encoded,
        top: usize,
        filters: &[Filter],
    ) -> Result<BTreeMap<u32, Evidence>, FindError> {
        let allowed = self.allowed(filters)?;
        let deleted = self.pack.tombstones();
        let keep = |product: u32| {
            !deleted.contains(product)
                && allowed.as_ref().is_none_or(|a| a.get(product as usize).is_some_and(|&ok| ok))
        };
        let mut found: BTreeMap<u32, Evidence> = BTreeMap::new();
        for gtin in &query.gtins {
            for product in self.pack.gtins().find_all(gtin.as_u64()).filter(|&p| keep(p)) {
                found.entry(product).or_default().barcode = true;
            }
        }
        let (images, texts) =
            (self.product_index(IndexSections::Image)?, self.product_index(IndexSections::Text)?);
        let shared = self.shared_space();
        let mut looks = None;
        if let Some(vector) = &query.image {
            let calibration = self.image_encoder()?.manifest().calibration;
            looks = Some(Side::looks(vector, calibration, images.as_ref(), texts.as_ref(), shared));
        }
        let mut words = None;
        if let Some(vector) = &query.text {
            let calibration = self.text_encoder()?.manifest().calibration;
            words = Some(Side::words(vector, calibration, images.as_ref(), texts.as_ref(), shared));
        }
        // More than asked for, so that a product second by looks and second by words can come first.
        let depth = top.saturating_mul(2).max(32);
        for side in [&looks, &words].into_iter().flatten() {
            for product in side.nearest(depth, &keep)? {
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

    /// Which products pass the filters, or `None` if all do.
    fn allowed(&self, filters: &[Filter]) -> Result<Option<Vec<bool>>, FindError> {
        if filters.is_empty() {
            return Ok(None);
        }
        let records = self.pack.records();
        let pass = |product| -> Result<bool, FindError> {
            let record = records.at(product)?;
            Ok(filters.iter().all(|filter| filter.accepts(&record)))
        };
        (0..records.len()).map(pass).collect::<Result<_, _>>().map(Some)
    }
}

pub(super) fn check_top(top: usize) -> Result<(), FindError> {
    if top > MAX_TOP { Err(FindError::Top { found: top, max: MAX_TOP }) } else { Ok(()) }
}
