//! Codes to nearest rows: lists, top-k, filters, tombstones.
