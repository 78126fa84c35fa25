//! Blocks of a large section whose checksums are verified when they are first read.

use std::sync::atomic::{AtomicU64, Ordering};

use super::format::{BLOCK_LEN, Le};

/// Which blocks of a section were verified.
#[derive(Debug)]
pub(super) struct Seen(Box<[AtomicU64]>);

impl Seen {
    /// None of a section of so many bytes.
    pub fn none(len: usize) -> Self {
        Self((0..len.div_ceil(BLOCK_LEN * 64)).map(|_| AtomicU64::new(0)).collect())
    }
}

/// The checksums of a section's blocks, and which were compared with the blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks<'a> {
    /// CRC-32 of each block, 4 bytes.
    pub sums: &'a [u8],
    pub seen: &'a Seen,
}

impl Blocks<'_> {
    /// Whether the blocks that hold bytes `from..to` of `section` are as they were written; false where there are none.
    pub fn intact(&self, section: &[u8], from: usize, to: usize) -> bool {
        let last = to.max(from + 1).div_ceil(BLOCK_LEN);
        (from / BLOCK_LEN..last).all(|block| self.block(section, block).unwrap_or(false))
    }

    fn block(&self, section: &[u8], block: usize) -> Option<bool> {
        // Whoever finds the bit not yet set checks once more; nothing else is read because of it.
        let (word, bit) = (self.seen.0.get(block / 64)?, 1 << (block % 64));
        if word.load(Ordering::Relaxed) & bit != 0 {
            return Some(true);
        }
        let bytes = section.get(block * BLOCK_LEN..)?;
        let bytes = bytes.get(..BLOCK_LEN).unwrap_or(bytes);
        let good = Le(self.sums).u32(block * 4) == Some(crc32fast::hash(bytes));
        if good {
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Some(good)
    }
}
