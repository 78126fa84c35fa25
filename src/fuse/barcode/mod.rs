//! Reads the EAN and UPC barcodes in a picture.
//!
//! `locate` finds patches of parallel edges at several sizes of the picture, `patch` turns each upright, `guards`
//! guesses where a symbol begins and ends, `scan` matches blurred digits along one strip, and `region` lets the strips
//! vote under the rules of `symbol`. Photos of whole products show barcodes at one to two pixels a module, where
//! readers that count edges fail; `docs/barcodes.md` has the figures.

mod guards;
mod locate;
mod luma;
mod patch;
mod region;
mod scan;
mod symbol;
#[cfg(test)]
mod tests;

use super::gtin::Gtin;
use crate::cancel::{Cancel, cancelled};
use crate::frame::Frame;
use crate::geometry::Rect;
use locate::Region;
use luma::Luma;
use scan::Templates;

/// How hard to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarcodeOptions {
    /// Places in the picture looked at closely, likeliest first; each takes some milliseconds. Use about ten a
    /// product in view.
    pub max_places: usize,
    /// Most barcodes to return.
    pub max_results: usize,
}

impl Default for BarcodeOptions {
    fn default() -> Self {
        Self { max_places: 10, max_results: 16 }
    }
}

/// A barcode that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Barcode {
    /// Its number.
    pub gtin: Gtin,
    /// Where it lies, in pixels of the upright picture.
    pub rect: Option<Rect>,
}

/// Longest side searched for barcodes; larger pictures are shrunk for the search, but read at full size.
const SEARCH_SIDE: usize = 1600;
/// Shortest side worth a search.
const LEAST_SIDE: usize = 24;

/// Reads the EAN-13, EAN-8, UPC-A and UPC-E barcodes of a picture, at any angle, each number once; an empty list if
/// there are none.
pub fn read_barcodes(frame: &Frame<'_>, options: &BarcodeOptions) -> Vec<Barcode> {
    read_barcodes_until(frame, options, None)
}

/// As [`read_barcodes`], but once `cancel` is raised it returns early with what it has.
pub fn read_barcodes_until(
    frame: &Frame<'_>,
    options: &BarcodeOptions,
    cancel: Option<&Cancel>,
) -> Vec<Barcode> {
    let (width, height, data) = crate::preprocess::to_luma(frame);
    let luma = Luma { width: width as usize, height: height as usize, data };
    let templates = Templates::new();
    let mut found: Vec<Barcode> = Vec::new();
    for region in regions(&luma, cancel).iter().take(options.max_places) {
        if found.len() >= options.max_results || cancelled(cancel) {
            break;
        }
        let known = |b: &Barcode| b.rect.is_some_and(|r| inside(&r, region));
        if found.iter().any(known) {
            continue;
        }
        let Some(vote) = region::read(&luma, region, &templates) else { continue };
        if found.iter().all(|b| b.gtin != vote.gtin) {
            let [left, top, right, bottom] = vote.bounds;
            let rect = Rect::new(left, top, right - left, bottom - top).clip(width, height);
            found.push(Barcode { gtin: vote.gtin, rect });
        }
    }
    found
}

fn inside(rect: &Rect, region: &Region) -> bool {
    let (x, y) = (region.cx - rect.x, region.cy - rect.y);
    x >= 0.0 && y >= 0.0 && x <= rect.w && y <= rect.h
}

/// Where to look, over several sizes of the picture, likeliest first.
fn regions(luma: &Luma, cancel: Option<&Cancel>) -> Vec<Region> {
    let side = luma.width.max(luma.height);
    let mut factor = side.div_ceil(SEARCH_SIDE);
    let mut found = Vec::new();
    // Barcodes a few windows wide are told from the print around them only when enlarged.
    if side * 2 <= SEARCH_SIDE && luma.width.min(luma.height) >= LEAST_SIDE {
        found.extend(locate::regions(&luma.double()).iter().map(|r| r.scaled(0.5)));
    }
    while luma.width.min(luma.height) / factor >= LEAST_SIDE && !cancelled(cancel) {
        let level = luma.shrink(factor);
        found.extend(locate::regions(&level).iter().map(|r| r.scaled(factor as f32)));
        factor *= 2;
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found
}
