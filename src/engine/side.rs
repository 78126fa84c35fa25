//! What one half of a query, its picture or its words, says about products.

use super::rows::ProductIndex;
use crate::cancel::Cancel;
use crate::embedding::Embedding;
use crate::encode::{Calibration, Calibrations};
use crate::fuse::score::log_odds;
use crate::index::SearchError;
use crate::options::Depth;

/// Wrong rows beside each right one when the curves between pictures and texts were fitted, drawn at random. (Curves
/// within a kind were fitted against the nearest wrong rows, which the number of products hardly changes.)
const RANDOM_WRONG: f32 = 10.0;

/// Log-odds of a product that has nothing this half can be compared with.
const NOTHING_KNOWN: f32 = -6.0;

/// For encoders whose manifest says nothing: keeps the order of cosines, and its probabilities mean little.
const UNCALIBRATED: Calibrations = {
    let one = Calibration { scale: 20.0, bias: -12.0 };
    Calibrations { image: one, text: one }
};

/// One half of a query against the rows of its own kind, and against those of the other kind for products that have
/// none of its own (a photo finds a product without pictures through its text, if the encoders share a space).
pub(super) struct Side<'a> {
    vector: &'a Embedding,
    own: Option<Rows<'a>>,
    other: Option<Rows<'a>>,
}

struct Rows<'a> {
    index: &'a ProductIndex<'a>,
    calibration: Calibration,
}

impl<'a> Side<'a> {
    /// The picture of a query.
    pub fn looks(
        vector: &'a Embedding,
        calibration: Option<Calibrations>,
        images: Option<&'a ProductIndex<'a>>,
        texts: Option<&'a ProductIndex<'a>>,
        shared_space: bool,
    ) -> Self {
        let calibration = calibration.unwrap_or(UNCALIBRATED);
        Self::new(vector, (images, calibration.image), (texts.filter(|_| shared_space), calibration.text))
    }

    /// The words of a query.
    pub fn words(
        vector: &'a Embedding,
        calibration: Option<Calibrations>,
        images: Option<&'a ProductIndex<'a>>,
        texts: Option<&'a ProductIndex<'a>>,
        shared_space: bool,
    ) -> Self {
        let calibration = calibration.unwrap_or(UNCALIBRATED);
        Self::new(vector, (texts, calibration.text), (images.filter(|_| shared_space), calibration.image))
    }

    fn new(
        vector: &'a Embedding,
        own: (Option<&'a ProductIndex<'a>>, Calibration),
        other: (Option<&'a ProductIndex<'a>>, Calibration),
    ) -> Self {
        let rows = |(index, calibration): (Option<&'a ProductIndex<'a>>, _)| {
            index.map(|index| Rows { index, calibration })
        };
        Self { vector, own: rows(own), other: rows(other) }
    }

    /// Products worth scoring, at least `wanted` where there are so many.
    ///
    /// `keep` admits products; all without it.
    pub fn nearest(
        &self,
        wanted: usize,
        keep: Option<&dyn Fn(u32) -> bool>,
        depth: Depth,
        cancel: Option<&Cancel>,
    ) -> Result<Vec<u32>, SearchError> {
        let mut products = Vec::new();
        if let Some(own) = &self.own {
            products.extend(own.index.nearest(self.vector.as_slice(), wanted, keep, depth, cancel)?);
        }
        if let Some(other) = &self.other {
            let has_own = |product| self.own.as_ref().is_some_and(|own| own.index.has(product));
            let keep = |product| keep.is_none_or(|keep| keep(product)) && !has_own(product);
            products.extend(other.index.nearest(
                self.vector.as_slice(),
                wanted,
                Some(&keep),
                depth,
                cancel,
            )?);
        }
        Ok(products)
    }

    /// Log-odds that `product` is the one asked for.
    pub fn log_odds(&self, product: u32) -> f32 {
        let from = |rows: &Option<Rows<'_>>, prior: f32| {
            let rows = rows.as_ref()?;
            let cosine = rows.index.cosine(self.vector.as_slice(), product)?;
            Some(log_odds(cosine, &rows.calibration) - prior)
        };
        // Among thousands of texts some lie near any picture by chance: the more there are, the less it says.
        let rows = self.other.as_ref().map_or(0, |rows| rows.index.len()) as f32;
        let chance = (rows / RANDOM_WRONG).max(1.0).ln();
        from(&self.own, 0.0).or_else(|| from(&self.other, chance)).unwrap_or(NOTHING_KNOWN)
    }
}
