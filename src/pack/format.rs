//! The bytes of header and section table. `docs/pack-format.md` is the specification; a test holds the two together.

use std::fmt;

/// First bytes of every pack. The high bit and the line ends betray transfers that mangle binary files.
pub const MAGIC: [u8; 8] = *b"\x89SHLF\r\n\x1a";
/// Format version this library writes, and the newest it reads.
pub const VERSION: u16 = 1;
/// Bytes of the header.
pub const HEADER_LEN: usize = 64;
/// Bytes of one entry of the section table.
pub const ENTRY_LEN: usize = 32;
/// Sections and the table start at multiples of this.
pub const ALIGN: u64 = 64;
/// Each block of this many bytes of a section (the last may be shorter) has its own checksum.
pub const BLOCK_LEN: usize = 65_536;
/// Most sections a pack may have.
pub const MAX_SECTIONS: u32 = 256;
/// Entry flag: a reader that does not know this kind of section must refuse the pack.
pub const FLAG_REQUIRED: u32 = 1;

macro_rules! section_kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $label:literal, $required:literal, $at_open:literal;)+) => {
        /// What a section holds. Numbers are part of the format and never change meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum SectionKind { $($(#[doc = $doc])+ $name = $number,)+ }

        impl SectionKind {
            /// Every kind this library knows.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The kind of this number, if known.
            pub fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$name),)+ _ => None }
            }

            /// Name used in messages and by `pack inspect`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// Whether a reader that does not know the kind must refuse the pack.
            pub fn required(self) -> bool {
                match self { $(Self::$name => $required,)+ }
            }

            /// Whether its checksums are verified when the pack is opened; the others wait for `verify`.
            pub fn checked_at_open(self) -> bool {
                match self { $(Self::$name => $at_open,)+ }
            }
        }
    };
}

section_kinds! {
    /// JSON of [`PackMeta`](super::PackMeta).
    Meta = 1, "meta", true, true;
    /// Products: id, title, brand, category, GTIN, description, attributes.
    Records = 2, "records", true, true;
    /// Sorted GTIN to product pairs.
    Gtins = 3, "gtins", false, true;
    /// Bitmap of deleted products.
    Tombstones = 4, "tombstones", true, true;
    /// Full licence and attribution texts, UTF-8.
    Notices = 5, "notices", false, true;
    /// JSON manifest of the image encoder.
    ImageManifest = 16, "image-manifest", true, true;
    /// Model file of the image encoder.
    ImageModel = 17, "image-model", true, false;
    /// `tokenizer.json` of an image encoder that reads words too.
    ImageTokenizer = 18, "image-tokenizer", true, false;
    /// JSON manifest of the text encoder.
    TextManifest = 20, "text-manifest", true, true;
    /// Model file of the text encoder.
    TextModel = 21, "text-model", true, false;
    /// `tokenizer.json` of the text encoder.
    TextTokenizer = 22, "text-tokenizer", true, false;
    /// JSON manifest of the detector.
    DetectorManifest = 24, "detector-manifest", true, true;
    /// Model file of the detector.
    DetectorModel = 25, "detector-model", true, false;
    /// Quantizer of the image index.
    ImageQuantizer = 32, "image-quantizer", true, false;
    /// Codes of the image index, row by row.
    ImageCodes = 33, "image-codes", true, false;
    /// Product of each row of the image index.
    ImageRows = 34, "image-rows", true, true;
    /// Local descriptors of the pictures, row by row.
    ImageCells = 36, "image-cells", false, false;
    /// JSON of the reranker that compares local descriptors.
    ImageReranker = 37, "image-reranker", false, true;
    /// Quantizer of the text index.
    TextQuantizer = 40, "text-quantizer", true, false;
    /// Codes of the text index, row by row.
    TextCodes = 41, "text-codes", true, false;
    /// Product of each row of the text index.
    TextRows = 42, "text-rows", true, true;
}

/// Number of a section's kind, known to this library or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SectionId(pub u32);

impl SectionId {
    /// The kind, if this library knows it.
    pub fn kind(self) -> Option<SectionKind> {
        SectionKind::from_number(self.0)
    }
}

impl From<SectionKind> for SectionId {
    fn from(kind: SectionKind) -> Self {
        Self(kind as u32)
    }
}

impl fmt::Display for SectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Some(kind) => f.write_str(kind.name()),
            None => write!(f, "unknown-{}", self.0),
        }
    }
}

/// One section as the table describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionInfo {
    /// What it holds.
    pub id: SectionId,
    /// Whether a reader that does not know it must refuse the pack.
    pub required: bool,
    /// First byte, from the start of the file.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// Number of its first block checksum.
    pub first_block: u32,
}

impl SectionInfo {
    /// Blocks it is checksummed in.
    pub fn blocks(&self) -> u64 {
        self.len.div_ceil(BLOCK_LEN as u64)
    }

    /// The entry's bytes.
    pub(super) fn encode(&self) -> [u8; ENTRY_LEN] {
        let mut out = [0; ENTRY_LEN];
        out[0..4].copy_from_slice(&self.id.0.to_le_bytes());
        out[4..8].copy_from_slice(&(if self.required { FLAG_REQUIRED } else { 0 }).to_le_bytes());
        out[8..16].copy_from_slice(&self.offset.to_le_bytes());
        out[16..24].copy_from_slice(&self.len.to_le_bytes());
        out[24..28].copy_from_slice(&self.first_block.to_le_bytes());
        out
    }
}

/// The header's fields that vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub version: u16,
    pub min_reader: u16,
    pub flags: u32,
    pub file_len: u64,
    pub table_offset: u64,
    pub section_count: u32,
    pub block_count: u32,
    pub table_crc: u32,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&self.version.to_le_bytes());
        out[10..12].copy_from_slice(&self.min_reader.to_le_bytes());
        out[12..16].copy_from_slice(&self.flags.to_le_bytes());
        out[16..24].copy_from_slice(&self.file_len.to_le_bytes());
        out[24..32].copy_from_slice(&self.table_offset.to_le_bytes());
        out[32..36].copy_from_slice(&self.section_count.to_le_bytes());
        out[36..40].copy_from_slice(&self.block_count.to_le_bytes());
        out[40..44].copy_from_slice(&self.table_crc.to_le_bytes());
        let crc = crc32fast::hash(&out[..HEADER_LEN - 4]);
        out[HEADER_LEN - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }
}

/// `offset` rounded up to [`ALIGN`], or `None` past the end of u64.
pub(super) fn aligned(offset: u64) -> Option<u64> {
    offset.checked_next_multiple_of(ALIGN)
}

/// Reads little-endian integers; every read past the end is `None`.
#[derive(Clone, Copy)]
pub(super) struct Le<'a>(pub &'a [u8]);

impl Le<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    pub fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    pub fn u64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_round_trip_and_are_distinct() {
        for &kind in SectionKind::ALL {
            assert_eq!(SectionKind::from_number(kind as u32), Some(kind));
            assert_eq!(SectionId::from(kind).to_string(), kind.name());
        }
        assert_eq!(SectionId(999).to_string(), "unknown-999");
    }

    #[test]
    fn reads_past_the_end_are_none() {
        let le = Le(&[1, 0, 0, 0, 2]);
        assert_eq!(le.u32(0), Some(1));
        assert_eq!(le.u32(2), None);
        assert_eq!(le.u64(usize::MAX), None);
        assert_eq!(aligned(u64::MAX), None);
        assert_eq!((aligned(0), aligned(1), aligned(64)), (Some(0), Some(64), Some(64)));
    }
}
