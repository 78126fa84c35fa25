//! Reads the EAN and UPC barcodes in a picture.

use super::gtin::Gtin;
use crate::frame::Frame;
use crate::geometry::Rect;

/// How hard to look.
#[derive(Clone, Debug)]
pub struct BarcodeOptions {
    /// Most barcodes to return.
    pub max_results: usize,
}

impl Default for BarcodeOptions {
    fn default() -> Self {
        Self { max_results: 16 }
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

/// Reads the EAN-13, EAN-8, UPC-A and UPC-E barcodes of a picture at any angle; none is an empty list.
pub fn read_barcodes(frame: &Frame<'_>, options: &BarcodeOptions) -> Vec<Barcode> {
    use rxing::BarcodeFormat::{EAN_8, EAN_13, UPC_A, UPC_E};
    let (width, height, luma) = crate::preprocess::to_luma(frame);
    let mut hints = rxing::DecodeHints::default();
    hints.PossibleFormats = Some([EAN_8, EAN_13, UPC_A, UPC_E].into());
    let found = rxing::helpers::detect_in_luma_slice_with_hints(&luma, width, height, None, &mut hints);
    let gtin = found.ok().and_then(|result| Gtin::parse(result.getText()).ok());
    gtin.into_iter().map(|gtin| Barcode { gtin, rect: None }).take(options.max_results).collect()
}
