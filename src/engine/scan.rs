//! Many products a picture: detect, then find in each box.

use super::error::FindError;
use super::find::{EncodedQuery, Wanted, check_cancel, check_top};
use super::memory::of_frame;
use super::{Engine, Item, Scan, Timings};
use crate::encode::Shown;
use crate::frame::Frame;
use crate::fuse::Gtin;
use crate::geometry::Rect;
use crate::options::{Depth, ScanOptions};

/// Margin around a detected box, as a share of its sides: detectors cut close, encoders like some surroundings.
pub(super) const MARGIN: f32 = 0.03;

impl Engine {
    /// Every product place in the picture with the products it most likely shows.
    ///
    /// A barcode inside a box speaks for that box; one outside all boxes that the catalogue knows makes an item of its
    /// own.
    ///
    /// # Errors
    /// [`FindError`] if the pack has no detector or image encoder, or is broken. No product is an empty list.
    pub fn scan(&self, frame: &Frame<'_>, options: &ScanOptions) -> Result<Scan, FindError> {
        check_top(options.top)?;
        self.check_rerank(options.rerank)?;
        let mut ms = Timings::default();
        let cancel = options.cancel.as_ref();
        check_cancel(cancel)?;
        let (detector, encoder) =
            ms.measure("load", || Ok::<_, FindError>((self.detector()?, self.image_encoder()?)))?;
        let networks = detector.memory() + encoder.memory();
        let _held = self.memory.reserve(of_frame(frame, options.barcode) + networks)?;
        let mut boxes = ms.measure("detect", || detector.detect_until(frame, None, cancel))?;
        boxes.truncate(options.max_boxes);
        let mut barcodes = Vec::new();
        if options.barcode {
            barcodes = ms.measure("barcode", || self.read_barcodes(frame, None, boxes.len(), cancel));
        }
        check_cancel(cancel)?;
        let allowed = self.allowed(&options.filters, cancel, &mut ms)?;
        let wanted = Wanted { top: options.top, allowed: allowed.as_ref(), depth: Depth::Auto, cancel };
        let mut items = Vec::with_capacity(boxes.len());
        let mut used = vec![false; barcodes.len()];
        for found in boxes {
            let mut query = EncodedQuery::default();
            for ((gtin, place), used) in barcodes.iter().zip(&mut used) {
                if place.is_some_and(|place| holds_centre(&found.rect, &place)) {
                    query.barcodes.push(*gtin);
                    *used = true;
                }
            }
            let shown = Shown { frame: Some(frame), region: Some(found.rect.grow(MARGIN)), text: None };
            let (image, cells) =
                ms.measure("encode", || self.looks(&encoder, &shown, options.rerank, cancel))?;
            (query.image, query.cells) = (Some(image), cells);
            let matches = self.rank(&query, &wanted, &mut ms)?;
            items.push(Item { rect: found.rect, detection: found.score, matches });
        }
        for ((gtin, place), used) in barcodes.iter().zip(used) {
            let (false, Some(rect)) = (used, place) else { continue };
            let query = EncodedQuery { barcodes: vec![*gtin], ..EncodedQuery::default() };
            let matches = self.rank(&query, &wanted, &mut ms)?;
            if !matches.is_empty() {
                items.push(Item { rect: *rect, detection: 1.0, matches });
            }
        }
        let mut gtins: Vec<Gtin> = barcodes.into_iter().map(|(gtin, _)| gtin).collect();
        gtins.dedup();
        Ok(Scan { items, barcodes: gtins, ms })
    }
}

pub(super) fn holds_centre(outer: &Rect, inner: &Rect) -> bool {
    let (x, y) = (inner.x + inner.w / 2.0, inner.y + inner.h / 2.0);
    (outer.x..=outer.x + outer.w).contains(&x) && (outer.y..=outer.y + outer.h).contains(&y)
}
