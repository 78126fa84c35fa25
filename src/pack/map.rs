//! The pack's bytes, mapped from a file or held in memory. The only `unsafe` of the pack.

use std::fs::File;
use std::io;
use std::ops::Range;

pub(super) enum Bytes {
    Mapped(memmap2::Mmap),
    Memory(Vec<u8>),
}

impl Bytes {
    /// Maps a whole file, read only.
    pub fn map(file: &File) -> io::Result<Self> {
        // SAFETY: a map is sound as long as no one changes or shortens the file while it lives, which no
        // system lets a library enforce. Packs are never changed in place: the writer makes a new file beside
        // the old one and renames it, so an open map keeps the old inode, whole, until it is dropped. Against
        // others who write into the file: every byte is read through checked indexing of `u8`s, from which any
        // value may come without undefined layout, and no `str` or reference with an invariant is kept across
        // calls. If another process truncates the file, touching a page past its new end raises SIGBUS (an
        // in-page exception on Windows) and ends this process; it does not expose memory. Where that must not
        // happen (shared, user-writable storage), read the file and use `Pack::from_bytes`.
        let map = unsafe { memmap2::Mmap::map(file)? };
        Ok(Self::Mapped(map))
    }

    /// Tells the system that a range is read next, so that what is not in its cache comes in one wait with other ranges.
    pub fn will_need(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Self::Mapped(map) = self {
            // Only a hint: a system that does not take it reads page by page, as without it.
            let _ = map.advise_range(memmap2::Advice::WillNeed, range.start, range.len());
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Memory(bytes) => bytes,
        }
    }
}
