//! One error a cause, each in one line that says what to do.

use super::format::{ALIGN, HEADER_LEN, MAX_SECTIONS, SectionId, VERSION};
use super::records::RecordsError;
use super::tables::TableError;
use std::io;
use std::path::PathBuf;

/// Why a pack cannot be opened or does not verify.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenPackError {
    /// The file cannot be opened or mapped.
    #[error("cannot open {path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path is empty.
    #[error("no pack is named: the path is empty; name a .shelf pack")]
    NoPath,
    /// The path is a folder, a pipe or a device.
    #[error("{path} is not a file; name a .shelf pack", path = .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Larger than the caller allows, or than the address space.
    #[error(
        "the pack has {found} bytes, more than the {max} allowed; raise the limit or build a smaller pack"
    )]
    TooLarge {
        /// Bytes in the file.
        found: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// The magic bytes are missing.
    #[error("not a ShelfSight pack: it does not start with the pack's magic bytes")]
    BadMagic,
    /// Shorter than its header says, or than a header.
    #[error("the pack is cut off: {found} bytes of {expected}; copy it again")]
    Truncated {
        /// Bytes expected.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// Longer than its header says.
    #[error("the pack has {found} bytes but its header says {expected}; copy it again")]
    TrailingBytes {
        /// Bytes expected.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// The header's checksum does not match its bytes.
    #[error("the pack's header is damaged; copy or build the pack again")]
    HeaderChecksum,
    /// Written for a newer reader.
    #[error(
        "the pack is of format {version} and needs a reader of format {min_reader} or newer; this one reads up to {VERSION}: update the app"
    )]
    Newer {
        /// Format version of the writer.
        version: u16,
        /// Oldest reader that can read it.
        min_reader: u16,
    },
    /// A header flag this reader does not know.
    #[error("the pack uses features this reader does not know (flags {flags:#x}): update the app")]
    UnknownFlags {
        /// All flags.
        flags: u32,
    },
    /// A section this reader does not know and may not ignore.
    #[error("the pack needs section {id}, which this reader does not know: update the app")]
    UnknownSection {
        /// The section.
        id: SectionId,
    },
    /// Header fields that contradict one another.
    #[error("the pack's header of {HEADER_LEN} bytes is malformed: {what}")]
    Header {
        /// Which rule is broken.
        what: &'static str,
    },
    /// No section, or too many.
    #[error("the pack has {found} sections; expected 1 to {MAX_SECTIONS}")]
    SectionCount {
        /// Sections.
        found: u32,
    },
    /// The section table's checksum does not match.
    #[error("the pack's section table is damaged; copy or build the pack again")]
    TableChecksum,
    /// A section's entry breaks a rule.
    #[error("section {id}: {fault}")]
    Section {
        /// The section.
        id: SectionId,
        /// The rule.
        fault: SectionFault,
    },
    /// Bytes between sections that should be zero are not.
    #[error("byte {offset} between sections is not zero; copy or build the pack again")]
    Padding {
        /// Where.
        offset: u64,
    },
    /// A block's checksum does not match.
    #[error("section {id} is damaged in the 64 KiB from byte {offset}; copy or build the pack again")]
    Checksum {
        /// The section.
        id: SectionId,
        /// First byte of the block, from the start of the file.
        offset: u64,
    },
    /// A section every pack has is absent.
    #[error("the pack has no section {id}; build it again")]
    Missing {
        /// The section.
        id: SectionId,
    },
    /// The meta section is not the JSON expected.
    #[error("the pack's meta section is unreadable: {0}")]
    Meta(String),
    /// Two parts of the pack disagree about a count.
    #[error("the pack contradicts itself: {what} is {a} in one place and {b} in another")]
    Count {
        /// What is counted.
        what: &'static str,
        /// One count.
        a: u64,
        /// The other.
        b: u64,
    },
    /// The records are malformed.
    #[error("the pack's records are malformed: {0}")]
    Records(#[from] RecordsError),
    /// A row map, GTIN index or bitmap is malformed.
    #[error("section {id} is malformed: {source}")]
    Table {
        /// The section.
        id: SectionId,
        /// The rule broken.
        source: TableError,
    },
}

/// A rule of the section table that an entry breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectionFault {
    /// Not at a multiple of 64.
    #[error("its offset is not a multiple of {ALIGN}")]
    Misaligned,
    /// Begins before the section ahead of it ends.
    #[error("it overlaps what lies before it")]
    Overlap,
    /// Bytes before it belong to no section.
    #[error("there is a hole before it")]
    Hole,
    /// Ends past the table.
    #[error("it runs past the end of the data")]
    PastEnd,
    /// The same kind appears twice.
    #[error("it appears twice")]
    Duplicate,
    /// Unknown entry flags or non-zero reserved bytes.
    #[error("it sets bits this reader does not know")]
    Reserved,
    /// Its first block checksum is not where the sections before it leave off.
    #[error("its block checksums are not where they should be")]
    BlockIndex,
}

/// Why a pack was not written. The file that was there before is untouched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WritePackError {
    /// The system refused: disk full, no permission, no such folder.
    #[error("cannot write {path}: {source}; the pack that was there, if any, is untouched", path = .path.display())]
    Io {
        /// The pack's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path names a folder or a device, or has no file name.
    #[error("{path} is not a file name a pack can have; name a file, such as shop.shelf", path = .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The same kind of section was given twice.
    #[error("section {id} was given twice")]
    Duplicate {
        /// The section.
        id: SectionId,
    },
    /// Too many sections or blocks for the format.
    #[error("the pack is too large for its format: {what}")]
    TooLarge {
        /// Which limit.
        what: &'static str,
    },
    /// What was written is not a valid pack; a section is missing or they contradict one another.
    #[error("the sections do not make a valid pack: {0}")]
    Invalid(#[source] Box<OpenPackError>),
    /// A record cannot be stored.
    #[error("product {index}: {what}")]
    Record {
        /// Which record.
        index: usize,
        /// Why.
        what: &'static str,
    },
}

/// The encoder at hand is not the one the pack was built with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncoderMismatch {
    /// The pack records another identity.
    #[error(
        "the pack was built with the {kind} {name} {expected}, but the one at hand is {found}; use the pack's own or build the pack again"
    )]
    Different {
        /// Which of them.
        kind: EncoderKind,
        /// Name of the pack's encoder.
        name: String,
        /// Identity in the pack, in hex.
        expected: String,
        /// Identity at hand, in hex.
        found: String,
    },
    /// The pack has no encoder of this kind.
    #[error("the pack has no {kind}, so {found} cannot search it")]
    Absent {
        /// Which of them.
        kind: EncoderKind,
        /// Identity at hand, in hex.
        found: String,
    },
}

/// Which of the pack's networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EncoderKind {
    /// Pictures to vectors.
    Image,
    /// Words to vectors.
    Text,
    /// Pictures to boxes.
    Detector,
}

impl std::fmt::Display for EncoderKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Image => "image encoder",
            Self::Text => "text encoder",
            Self::Detector => "detector",
        })
    }
}
