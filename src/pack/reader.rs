//! Opening and verifying a pack.
//!
//! [`Pack::open`] checks header, table, padding and every section that is small or pointed into; models,
//! quantizers and codes are left on disk until they are used, as are the products of a large catalogue, and
//! [`Pack::verify`] reads them all.

use super::blocks::{Blocks, Seen};
use super::error::{EncoderKind, EncoderMismatch, OpenPackError, SectionFault};
use super::format::{
    ALIGN, BLOCK_LEN, ENTRY_LEN, FLAG_REQUIRED, HEADER_LEN, Header, Le, MAGIC, MAX_SECTIONS, SectionId,
    SectionInfo, SectionKind, VERSION, aligned,
};
use super::map::Bytes;
use super::meta::{PackMeta, hex};
use super::records::{RecordsLayout, RecordsView};
use super::tables::{GtinView, RowsView, TableError, TombstonesView};
use std::fs::{self, File};
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// How to open a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// Largest file accepted, in bytes. Default 4 GiB.
    pub max_bytes: u64,
    /// Verify every checksum at once, as [`Pack::verify`] does; reads the whole file. Default false.
    pub verify: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { max_bytes: 4 << 30, verify: false }
    }
}

/// What [`Pack::verify`] read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// Bytes of the file.
    pub bytes: u64,
    /// Sections.
    pub sections: u32,
    /// Checksummed blocks.
    pub blocks: u32,
}

/// An open pack. Views borrow from it; nothing is copied but the meta section.
pub struct Pack {
    bytes: Arc<Bytes>,
    header: Header,
    sections: Vec<SectionInfo>,
    meta: PackMeta,
    records: RecordsLayout,
    /// Of records that are checked as they are read.
    seen: Option<Seen>,
}

/// Bytes of records up to which they are all checked when the pack is opened: some milliseconds.
const RECORDS_AT_ONCE: u64 = 4 << 20;

/// A part of a pack's bytes.
struct SharedSection {
    bytes: Arc<Bytes>,
    range: std::ops::Range<usize>,
}

impl AsRef<[u8]> for SharedSection {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pack")
            .field("sections", &self.sections)
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

impl Pack {
    /// Maps a pack and checks everything but the insides of models, quantizers and codes.
    ///
    /// # Errors
    /// [`OpenPackError`], one a cause.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, OpenPackError> {
        if path.as_os_str().is_empty() {
            return Err(OpenPackError::NoPath);
        }
        let io = |source| OpenPackError::Io { path: path.to_owned(), source };
        // Before File::open, which would wait for a writer on a pipe.
        if !fs::metadata(path).map_err(io)?.is_file() {
            return Err(OpenPackError::NotAFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(io)?;
        let found = file.metadata().map_err(io)?.len();
        let max = options.max_bytes.min(isize::MAX as u64);
        if found > max {
            return Err(OpenPackError::TooLarge { found, max });
        }
        if found == 0 {
            return Err(OpenPackError::Truncated { expected: HEADER_LEN as u64, found });
        }
        Self::read(Bytes::map(&file).map_err(io)?, options)
    }

    /// Opens a pack held in memory.
    ///
    /// # Errors
    /// [`OpenPackError`], one a cause.
    pub fn from_bytes(bytes: Vec<u8>, options: &OpenOptions) -> Result<Self, OpenPackError> {
        let found = bytes.len() as u64;
        if found > options.max_bytes {
            return Err(OpenPackError::TooLarge { found, max: options.max_bytes });
        }
        Self::read(Bytes::Memory(bytes), options)
    }

    /// Bytes of the pack that begins with `head`, its first [`HEADER_LEN`] bytes: what is no pack, or too large a one, is
    /// told before the rest is copied or downloaded.
    ///
    /// # Errors
    /// [`OpenPackError`]: not a pack, cut off within its header, for a newer reader, or too large.
    pub fn announced_len(head: &[u8], options: &OpenOptions) -> Result<u64, OpenPackError> {
        let found = read_head(head)?.file_len;
        let max = options.max_bytes;
        if found > max { Err(OpenPackError::TooLarge { found, max }) } else { Ok(found) }
    }

    fn read(bytes: Bytes, options: &OpenOptions) -> Result<Self, OpenPackError> {
        // The header is at the start and the table at the end: both are asked for before either is waited for.
        bytes.will_need(0..bytes.len().min(BLOCK_LEN));
        bytes.will_need(bytes.len().saturating_sub(2 * BLOCK_LEN)..bytes.len());
        let header = read_header(&bytes)?;
        let sections = read_table(&bytes, &header)?;
        let mut pack = Self {
            bytes: Arc::new(bytes),
            header,
            sections,
            meta: PackMeta::default(),
            records: RecordsLayout::default(),
            seen: None,
        };
        let late = |s: &SectionInfo| {
            !options.verify && s.id == SectionKind::Records.into() && s.len > RECORDS_AT_ONCE
        };
        let at_open = |s: &&SectionInfo| s.id.kind().is_some_and(SectionKind::checked_at_open);
        // And all that is read before the pack is open; of late records the counts.
        for section in pack.sections.iter().filter(at_open) {
            let (from, len) = (section.offset as usize, section.len as usize);
            pack.bytes.will_need(from..from + if late(section) { BLOCK_LEN } else { len });
        }
        for section in &pack.sections {
            if options.verify || at_open(&section) && !late(section) {
                let _ = pack.check_blocks(section, &mut || ControlFlow::Continue(()))?;
            }
        }
        pack.meta = PackMeta::from_json(pack.needed(SectionKind::Meta)?).map_err(OpenPackError::Meta)?;
        let records = pack.needed(SectionKind::Records)?;
        (pack.records, pack.seen) = if pack.sections.iter().any(late) {
            (RecordsLayout::read(records)?, Some(Seen::none(records.len())))
        } else {
            (RecordsView::open(records)?.layout(), None)
        };
        pack.check_contents()?;
        Ok(pack)
    }

    /// Checks what ties sections to one another.
    fn check_contents(&self) -> Result<(), OpenPackError> {
        let meta = &self.meta;
        let products = self.records().len();
        let equal = |what, a: u32, b: u32| {
            let (a, b) = (u64::from(a), u64::from(b));
            if a == b { Ok(()) } else { Err(OpenPackError::Count { what, a, b }) }
        };
        equal("the format version", u32::from(meta.format), u32::from(self.header.version))?;
        equal("the number of products", meta.product_count, products)?;
        let table =
            |kind: SectionKind| move |source: TableError| OpenPackError::Table { id: kind.into(), source };
        if let Some(bytes) = self.section(SectionKind::Gtins) {
            GtinView::open(bytes, products).map_err(table(SectionKind::Gtins))?;
        }
        if let Some(bytes) = self.section(SectionKind::Tombstones) {
            TombstonesView::open(bytes, products).map_err(table(SectionKind::Tombstones))?;
        }
        for (what, rows, [map, quantizer, codes]) in [
            ("the number of image rows", meta.image_rows, IndexSections::Image.kinds()),
            ("the number of text rows", meta.text_rows, IndexSections::Text.kinds()),
        ] {
            let bytes = self.section(map);
            if bytes.is_none() && rows == 0 {
                continue;
            }
            let view = RowsView::open(bytes.unwrap_or_default(), products).map_err(table(map))?;
            equal(what, rows, view.len())?;
            for kind in [map, quantizer, codes] {
                self.needed(kind)?;
            }
        }
        for (manifest, model, encoder) in [
            (SectionKind::ImageManifest, SectionKind::ImageModel, &meta.image),
            (SectionKind::TextManifest, SectionKind::TextModel, &meta.text),
            (SectionKind::DetectorManifest, SectionKind::DetectorModel, &meta.detector),
        ] {
            if self.section(manifest).is_some() || self.section(model).is_some() {
                self.needed(manifest)?;
                self.needed(model)?;
                if encoder.is_none() {
                    return Err(OpenPackError::Meta(format!("it does not name the {}", model.name())));
                }
            }
        }
        Ok(())
    }

    /// Reads every byte and checks it: header, table, padding, each block. Any flipped bit is found.
    ///
    /// # Errors
    /// [`OpenPackError`] for the first fault.
    pub fn verify(&self) -> Result<VerifyReport, OpenPackError> {
        match self.verify_in_steps(&mut |_, _| ControlFlow::Continue(()))? {
            Some(report) => Ok(report),
            None => unreachable!("nothing broke it off"),
        }
    }

    /// As [`verify`](Self::verify); after each block, `step` hears how many blocks of how many are checked, and may
    /// break it off, which gives `None`.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_in_steps(
        &self,
        step: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Option<VerifyReport>, OpenPackError> {
        let header = read_header(&self.bytes)?;
        let sections = read_table(&self.bytes, &header)?;
        let (mut done, total) = (0, u64::from(header.block_count));
        for section in &sections {
            let mut block = || {
                done += 1;
                step(done, total)
            };
            if self.check_blocks(section, &mut block)?.is_break() {
                return Ok(None);
            }
        }
        if self.seen.is_some() {
            RecordsView::open(self.needed(SectionKind::Records)?)?;
        }
        Ok(Some(VerifyReport {
            bytes: header.file_len,
            sections: header.section_count,
            blocks: header.block_count,
        }))
    }

    fn check_blocks(
        &self,
        section: &SectionInfo,
        step: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, OpenPackError> {
        let sums_at = self.sums_at();
        let le = Le(&self.bytes);
        for (i, block) in self.slice(section).chunks(BLOCK_LEN).enumerate() {
            let stored = le.u32(sums_at + (section.first_block as usize + i) * 4);
            if stored != Some(crc32fast::hash(block)) {
                let offset = section.offset + (i * BLOCK_LEN) as u64;
                return Err(OpenPackError::Checksum { id: section.id, offset });
            }
            if step().is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Where the checksums of all blocks begin.
    fn sums_at(&self) -> usize {
        self.header.table_offset as usize + self.header.section_count as usize * ENTRY_LEN
    }

    /// A section's bytes; `read_table` checked that they lie within the file.
    fn slice(&self, section: &SectionInfo) -> &[u8] {
        let from = section.offset as usize;
        self.bytes.get(from..from + section.len as usize).unwrap_or_default()
    }

    fn needed(&self, kind: SectionKind) -> Result<&[u8], OpenPackError> {
        self.section(kind).ok_or(OpenPackError::Missing { id: kind.into() })
    }

    /// Format version of the writer.
    pub fn version(&self) -> u16 {
        self.header.version
    }

    /// Checksum of the section table and so of every block's checksum: it tells packs apart.
    pub fn table_crc(&self) -> u32 {
        self.header.table_crc
    }

    /// Whether the file at `path` is this pack still, by its header: another may have been put in its place since it was
    /// opened.
    pub fn is_at(&self, path: &Path) -> bool {
        // Before File::open, which would wait for a writer on a pipe.
        if !fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == self.file_len()) {
            return false;
        }
        let mut found = [0; HEADER_LEN];
        let read = File::open(path).and_then(|mut file| file.read_exact(&mut found));
        read.is_ok() && self.bytes.starts_with(&found)
    }

    /// Bytes of the file.
    pub fn file_len(&self) -> u64 {
        self.header.file_len
    }

    /// Every section in file order, unknown ones included.
    pub fn sections(&self) -> &[SectionInfo] {
        &self.sections
    }

    /// The bytes of a section.
    pub fn section(&self, kind: SectionKind) -> Option<&[u8]> {
        self.section_by_id(kind.into())
    }

    /// The bytes of a section, which stay readable when the pack is gone: they hold on to the map.
    pub fn shared_section(&self, kind: SectionKind) -> Option<Arc<dyn AsRef<[u8]> + Send + Sync>> {
        let section = self.sections.iter().find(|s| s.id == kind.into())?;
        let from = section.offset as usize;
        let range = from..from + section.len as usize;
        self.bytes.get(range.clone())?;
        Some(Arc::new(SharedSection { bytes: self.bytes.clone(), range }))
    }

    /// The bytes of a section by number, known or not.
    pub fn section_by_id(&self, id: SectionId) -> Option<&[u8]> {
        self.sections.iter().find(|s| s.id == id).map(|s| self.slice(s))
    }

    /// The pack's description of itself.
    pub fn meta(&self) -> &PackMeta {
        &self.meta
    }

    /// The products.
    pub fn records(&self) -> RecordsView<'_> {
        let section = self.sections.iter().find(|s| s.id == SectionKind::Records.into());
        let blocks = section.zip(self.seen.as_ref()).map(|(section, seen)| {
            let from = self.sums_at() + section.first_block as usize * 4;
            Blocks { sums: self.bytes.get(from..).unwrap_or_default(), seen }
        });
        RecordsView::checked(section.map_or(&[], |s| self.slice(s)), self.records, blocks)
    }

    /// GTIN to product; empty if the pack has no such section.
    pub fn gtins(&self) -> GtinView<'_> {
        GtinView::checked(self.section(SectionKind::Gtins).unwrap_or_default())
    }

    /// Deleted products; none if the pack has no such section.
    pub fn tombstones(&self) -> TombstonesView<'_> {
        TombstonesView::checked(self.section(SectionKind::Tombstones).unwrap_or_default())
    }

    /// Product of each row of an index; empty if the pack has no such index.
    pub fn rows(&self, index: IndexSections) -> RowsView<'_> {
        let [map, ..] = index.kinds();
        RowsView::checked(self.section(map).unwrap_or_default())
    }

    /// Quantizer and codes of an index, if the pack has it.
    pub fn index(&self, index: IndexSections) -> Option<(&[u8], &[u8])> {
        let [_, quantizer, codes] = index.kinds();
        self.section(quantizer).zip(self.section(codes))
    }

    /// Refuses an encoder other than the one the pack was built with.
    ///
    /// # Errors
    /// [`EncoderMismatch`] names both.
    pub fn check_encoder(&self, kind: EncoderKind, id: &[u8; 32]) -> Result<(), EncoderMismatch> {
        let found = hex(id);
        let encoder = match kind {
            EncoderKind::Image => &self.meta.image,
            EncoderKind::Text => &self.meta.text,
            EncoderKind::Detector => &self.meta.detector,
        };
        match encoder {
            Some(e) if e.id == found => Ok(()),
            Some(e) => {
                Err(EncoderMismatch::Different { kind, name: e.name.clone(), expected: e.id.clone(), found })
            }
            None => Err(EncoderMismatch::Absent { kind, found }),
        }
    }
}

/// One of the pack's two indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IndexSections {
    /// Vectors of pictures.
    Image,
    /// Vectors of texts.
    Text,
}

impl IndexSections {
    /// Row map, quantizer and codes.
    pub fn kinds(self) -> [SectionKind; 3] {
        match self {
            Self::Image => [SectionKind::ImageRows, SectionKind::ImageQuantizer, SectionKind::ImageCodes],
            Self::Text => [SectionKind::TextRows, SectionKind::TextQuantizer, SectionKind::TextCodes],
        }
    }
}

fn read_head(bytes: &[u8]) -> Result<Header, OpenPackError> {
    let found = bytes.len() as u64;
    let magic = bytes.get(..MAGIC.len()).unwrap_or(bytes);
    if !MAGIC.starts_with(magic) {
        return Err(OpenPackError::BadMagic);
    }
    let truncated = OpenPackError::Truncated { expected: HEADER_LEN as u64, found };
    let Some(head) = bytes.get(..HEADER_LEN) else { return Err(truncated) };
    let le = Le(head);
    let read = || {
        Some(Header {
            version: le.u16(8)?,
            min_reader: le.u16(10)?,
            flags: le.u32(12)?,
            file_len: le.u64(16)?,
            table_offset: le.u64(24)?,
            section_count: le.u32(32)?,
            block_count: le.u32(36)?,
            table_crc: le.u32(40)?,
        })
    };
    let header = read().ok_or(truncated)?;
    if le.u32(HEADER_LEN - 4) != Some(crc32fast::hash(&head[..HEADER_LEN - 4])) {
        return Err(OpenPackError::HeaderChecksum);
    }
    let Header { version, min_reader, flags, .. } = header;
    if min_reader > VERSION {
        return Err(OpenPackError::Newer { version, min_reader });
    }
    if min_reader == 0 || version < min_reader {
        return Err(OpenPackError::Header { what: "its versions contradict one another" });
    }
    if flags != 0 {
        return Err(OpenPackError::UnknownFlags { flags });
    }
    if head[44..HEADER_LEN - 4].iter().any(|&b| b != 0) {
        return Err(OpenPackError::Header { what: "its reserved bytes are not zero" });
    }
    Ok(header)
}

/// As [`read_head`], of a whole file.
fn read_header(bytes: &[u8]) -> Result<Header, OpenPackError> {
    let header = read_head(bytes)?;
    let (expected, found) = (header.file_len, bytes.len() as u64);
    match found {
        _ if found < expected => Err(OpenPackError::Truncated { expected, found }),
        _ if found > expected => Err(OpenPackError::TrailingBytes { expected, found }),
        _ => Ok(header),
    }
}

/// The sections, after checking that they, their padding and the table fill the file without hole or overlap.
fn read_table(bytes: &[u8], header: &Header) -> Result<Vec<SectionInfo>, OpenPackError> {
    let Header { section_count, block_count, table_offset, file_len, .. } = *header;
    if section_count == 0 || section_count > MAX_SECTIONS {
        return Err(OpenPackError::SectionCount { found: section_count });
    }
    let table_len = u64::from(section_count) * ENTRY_LEN as u64 + u64::from(block_count) * 4;
    if !table_offset.is_multiple_of(ALIGN)
        || table_offset < HEADER_LEN as u64
        || table_offset.checked_add(table_len) != Some(file_len)
    {
        return Err(OpenPackError::Header { what: "its section table is not at the end of the file" });
    }
    // file_len is bytes.len(), so both ends fit in usize.
    let table = bytes.get(table_offset as usize..).unwrap_or_default();
    if crc32fast::hash(table) != header.table_crc {
        return Err(OpenPackError::TableChecksum);
    }
    let mut sections: Vec<SectionInfo> = Vec::with_capacity(section_count as usize);
    let (mut end, mut blocks) = (HEADER_LEN as u64, 0u64);
    for entry in table.as_chunks::<ENTRY_LEN>().0.iter().take(section_count as usize) {
        let le = Le(entry);
        let id = SectionId(le.u32(0).unwrap_or_default());
        let fault = |fault| OpenPackError::Section { id, fault };
        let flags = le.u32(4).unwrap_or_default();
        if flags & !FLAG_REQUIRED != 0 || le.u32(28) != Some(0) {
            return Err(fault(SectionFault::Reserved));
        }
        let section = SectionInfo {
            id,
            required: flags & FLAG_REQUIRED != 0,
            offset: le.u64(8).unwrap_or_default(),
            len: le.u64(16).unwrap_or_default(),
            first_block: le.u32(24).unwrap_or_default(),
        };
        if sections.iter().any(|s| s.id == id) {
            return Err(fault(SectionFault::Duplicate));
        }
        if !section.offset.is_multiple_of(ALIGN) {
            return Err(fault(SectionFault::Misaligned));
        }
        let start = aligned(end).ok_or(fault(SectionFault::PastEnd))?;
        if section.offset < start {
            return Err(fault(SectionFault::Overlap));
        }
        if section.offset > start {
            return Err(fault(SectionFault::Hole));
        }
        let after = section.offset.checked_add(section.len).filter(|&e| e <= table_offset);
        let after = after.ok_or(fault(SectionFault::PastEnd))?;
        if u64::from(section.first_block) != blocks {
            return Err(fault(SectionFault::BlockIndex));
        }
        check_padding(bytes, end, start)?;
        (end, blocks) = (after, blocks + section.blocks());
        sections.push(section);
    }
    if aligned(end) != Some(table_offset) {
        return Err(OpenPackError::Header { what: "there is a hole before its section table" });
    }
    if blocks != u64::from(block_count) {
        return Err(OpenPackError::Header { what: "its block count is not what its sections need" });
    }
    check_padding(bytes, end, table_offset)?;
    if let Some(unknown) = sections.iter().find(|s| s.required && s.id.kind().is_none()) {
        return Err(OpenPackError::UnknownSection { id: unknown.id });
    }
    Ok(sections)
}

fn check_padding(bytes: &[u8], from: u64, to: u64) -> Result<(), OpenPackError> {
    let padding = bytes.get(from as usize..to as usize).unwrap_or_default();
    match padding.iter().position(|&b| b != 0) {
        Some(at) => Err(OpenPackError::Padding { offset: from + at as u64 }),
        None => Ok(()),
    }
}
