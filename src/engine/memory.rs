//! A ceiling for the memory of queries.

use std::sync::atomic::{AtomicU64, Ordering};

use super::error::FindError;
use crate::frame::Frame;

/// Bytes a pixel that reading barcodes holds: the upright brightness and its turned copy, the doubled picture that is
/// searched where a picture is small, and the levels below it, added up from the code and rounded up.
const BARCODE: u64 = 3;
const BARCODE_DOUBLED: u64 = 10;

/// Longest side of a picture that barcodes are searched for in doubled size.
const DOUBLED: u32 = 800;

/// Bytes a pixel that preparing a picture may copy: packed colour where strides forbid to resize in place.
const PREPARE: u64 = 3;

/// Bytes that queries may hold at one time, and those they do.
pub(super) struct Budget {
    allowed: Option<u64>,
    in_use: AtomicU64,
}

/// Bytes set aside for a query, given back when dropped.
pub(super) struct Reserved<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub fn new(allowed: Option<u64>) -> Self {
        Self { allowed, in_use: AtomicU64::new(0) }
    }

    /// Sets `needed` bytes aside, or says how many are missing.
    pub fn reserve(&self, needed: u64) -> Result<Reserved<'_>, FindError> {
        let taken = self.in_use.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |in_use| {
            let after = in_use.checked_add(needed)?;
            self.allowed.is_none_or(|allowed| after <= allowed).then_some(after)
        });
        match taken {
            Ok(_) => Ok(Reserved { budget: self, bytes: needed }),
            Err(in_use) => {
                Err(FindError::Memory { needed, in_use, allowed: self.allowed.unwrap_or(u64::MAX) })
            }
        }
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.budget.in_use.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes that working on a frame copies of it, at most.
pub(super) fn of_frame(frame: &Frame<'_>, barcode: bool) -> u64 {
    let (width, height) = frame.size();
    let pixels = u64::from(width) * u64::from(height);
    let search = match barcode && cfg!(feature = "barcode") {
        false => 0,
        true if width.max(height) <= DOUBLED => BARCODE_DOUBLED,
        true => BARCODE,
    };
    // One after the other, never both.
    pixels * search.max(PREPARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_is_kept_and_space_given_back() {
        let budget = Budget::new(Some(100));
        let first = budget.reserve(60).unwrap();
        match budget.reserve(41) {
            Err(FindError::Memory { needed: 41, in_use: 60, allowed: 100 }) => {}
            other => panic!("{:?}", other.err()),
        }
        let second = budget.reserve(40).unwrap();
        drop(first);
        assert!(budget.reserve(61).is_err());
        drop(second);
        assert!(budget.reserve(100).is_ok());
        assert!(Budget::new(None).reserve(u64::MAX).is_ok());
    }
}
