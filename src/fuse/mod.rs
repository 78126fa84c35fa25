//! Evidence to one calibrated score: looks, words, barcode.

#[cfg(feature = "barcode")]
pub mod barcode;
pub mod gtin;
pub mod score;

#[cfg(feature = "barcode")]
pub use barcode::{Barcode, BarcodeOptions, read_barcodes, read_barcodes_until};
pub use gtin::{Gtin, GtinError};
