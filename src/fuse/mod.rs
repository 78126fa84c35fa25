//! Evidence to one calibrated score: looks, words, barcode.
