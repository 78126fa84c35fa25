//! One file, memory-mapped: bytes in, views out. Knows no quantizer maths.
//!
//! ```
//! use shelfsight::pack::{OpenOptions, Pack, PackBuffer, PackMeta, Record, RecordsWriter, SectionKind};
//! let mut records = RecordsWriter::new();
//! records.push(&Record { id: "7".into(), title: "Oat milk 1 l".into(), ..Record::default() })?;
//! let mut pack = PackBuffer::new()?;
//! pack.meta(&PackMeta { product_count: 1, ..PackMeta::default() })?;
//! pack.section(SectionKind::Records, &records.finish())?;
//! let pack = Pack::from_bytes(pack.finish()?, &OpenOptions::default())?;
//! assert_eq!(pack.records().get(0)?.title, "Oat milk 1 l");
//! pack.verify()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`PackWriter`] writes files, [`Pack`] opens them. `docs/pack-format.md` gives every byte and the threat model.

mod blocks;
mod cells;
mod error;
mod format;
pub mod journal;
mod map;
mod meta;
mod reader;
mod records;
mod tables;
mod writer;

pub use cells::{CellLayout, CellsView};
pub use error::{EncoderKind, EncoderMismatch, OpenPackError, SectionFault, WritePackError};
pub use format::{
    ALIGN, BLOCK_LEN, ENTRY_LEN, FLAG_REQUIRED, HEADER_LEN, MAGIC, MAX_SECTIONS, SectionId, SectionInfo,
    SectionKind, VERSION,
};
pub use journal::{Journal, JournalError, Recovered};
pub use meta::{CurvePoint, EncoderMeta, FormerPack, IndexMeta, LicenceMeta, Measured, PackMeta};
pub use reader::{IndexSections, OpenOptions, Pack, VerifyReport};
pub use records::{
    ATTR_LEN, MAX_GTIN, RECORD_LEN, RECORDS_HEADER_LEN, Record, RecordView, RecordsError, RecordsView,
    RecordsWriter,
};
pub use tables::{GTINS_HEADER_LEN, GtinView, RowsView, TOMBSTONES_HEADER_LEN, TableError, TombstonesView};
pub use writer::{PackBuffer, PackWriter};
