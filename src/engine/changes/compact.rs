//! A pack and its journal to one new pack.

use std::sync::PoisonError;

use super::{EditError, INDEXES, State, Writer, views};
use crate::engine::Engine;
use crate::pack::{
    CellsView, FormerPack, GtinView, IndexSections, OpenOptions, Pack, PackMeta, PackWriter, RecordsWriter,
    RowsView, SectionKind, WritePackError,
};

/// What [`Engine::compact`] made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Products of the new pack.
    pub products: u32,
    /// Bytes of the old pack and its journal.
    pub before: u64,
    /// Bytes of the new pack.
    pub after: u64,
}

/// An index's row table, quantizer and codes.
type Sections = [Vec<u8>; 3];

impl Engine {
    /// Writes a pack without deleted products and with the added ones in its place, and removes the journal. Codes stay
    /// as they are: nothing is trained or encoded. `None` if there is nothing to do.
    ///
    /// The new pack replaces the old by rename, so a crash leaves one or the other; a journal left beside a pack that
    /// already holds it is known by what the new pack says it came from, and ignored. This engine goes on to answer from
    /// the old pack, and edits are refused until the pack is opened again.
    ///
    /// # Errors
    /// [`EditError`]; the old pack and its journal are then as they were.
    pub fn compact(&self) -> Result<Option<Compacted>, EditError> {
        let mut writer = self.changes.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let views = views(&self.pack)?;
        let journal_len = self.changes.journal(&mut writer, &self.pack, &views)?.len();
        let state = self.changes.read();
        if state.applied == 0 && state.deleted.is_empty() {
            return Ok(None);
        }
        let kept: Vec<u32> = (0..state.products()).filter(|&p| !state.is_deleted(p)).collect();
        let mut indexes: [Option<Sections>; 2] = [None, None];
        let mut cells = None;
        for (((out, view), changes), sections) in
            indexes.iter_mut().zip(&views).zip(&state.indexes).zip(INDEXES)
        {
            let (Some(view), Some(changes)) = (view, changes) else { continue };
            let [_, quantizer, _] = sections.kinds();
            let quantizer = self.pack.section(quantizer).unwrap_or_default();
            let (quantizer, codes, rows) = changes.rows.compacted(view, quantizer);
            let built = self.pack.rows(sections);
            if sections == IndexSections::Image {
                cells = self.cells()?.map(|cells| kept_cells(&cells, &rows, &state));
            }
            let product = |&row: &u32| match row.checked_sub(built.len()) {
                Some(at) => changes.products.get(at as usize).copied(),
                None => built.product(row),
            };
            let products: Vec<u32> = rows
                .iter()
                .filter_map(product)
                .filter_map(|p| kept.binary_search(&p).ok())
                .map(|p| p as u32)
                .collect();
            *out = Some([RowsView::to_bytes(&products), quantizer, codes]);
        }
        let after = write(&self.pack, &state, &kept, &indexes, cells, &self.changes.pack_path)?;
        drop(state);
        if let Writer::Open(journal) = std::mem::replace(&mut *writer, Writer::Replaced) {
            // The new pack says that it holds the journal, so one that cannot be removed does no harm.
            let _ = journal.remove();
        }
        let before = self.pack.file_len() + journal_len;
        Ok(Some(Compacted { products: kept.len() as u32, before, after }))
    }
}

/// The local descriptors of the rows that stay.
fn kept_cells(cells: &CellsView<'_>, rows: &[u32], state: &State) -> Vec<u8> {
    let bytes = cells.layout().bytes();
    let mut data = Vec::with_capacity(rows.len() * bytes);
    for &row in rows {
        match state.cells(cells, row).filter(|own| own.len() == bytes) {
            Some(own) => data.extend(own),
            // Zeros stand for a picture without.
            None => data.resize(data.len() + bytes, 0),
        }
    }
    CellsView::to_bytes(cells.layout(), rows.len() as u32, &data)
}

fn write(
    pack: &Pack,
    state: &State,
    kept: &[u32],
    indexes: &[Option<Sections>; 2],
    cells: Option<Vec<u8>>,
    path: &std::path::Path,
) -> Result<u64, EditError> {
    let mut records = RecordsWriter::new();
    let mut gtins = Vec::new();
    for (&product, number) in kept.iter().zip(0..) {
        let record = state.record_of(pack, product)?;
        records.push(&record)?;
        gtins.extend(record.gtin.map(|gtin| (gtin, number)));
    }
    let rows = |of: &Option<Sections>| of.as_ref().map_or(0, |[rows, ..]| rows.len() as u32 / 4);
    let meta = PackMeta {
        product_count: kept.len() as u32,
        image_rows: rows(&indexes[0]),
        text_rows: rows(&indexes[1]),
        compacted_from: Some(FormerPack { table_crc: pack.table_crc(), bytes: pack.file_len() }),
        ..pack.meta().clone()
    };
    let (records, gtins) = (records.finish(), GtinView::to_bytes(gtins));
    let mut writer = PackWriter::create(path)?;
    writer.meta(&meta)?;
    writer.section(SectionKind::Records, &records)?;
    writer.section(SectionKind::Gtins, &gtins)?;
    let replaced = |kind: SectionKind| {
        let index = |(sections, at): (IndexSections, usize)| {
            let part = sections.kinds().iter().position(|&k| k == kind)?;
            indexes.get(at)?.as_ref()?.get(part)
        };
        INDEXES.into_iter().zip(0..).find_map(index)
    };
    for section in pack.sections() {
        let bytes = pack.section_by_id(section.id).unwrap_or_default();
        match section.id.kind() {
            Some(SectionKind::Meta | SectionKind::Records | SectionKind::Gtins | SectionKind::Tombstones) => {
            }
            Some(SectionKind::ImageCells) if cells.is_some() => {
                writer.section(SectionKind::ImageCells, cells.as_deref().unwrap_or(bytes))?;
            }
            Some(kind) => writer.section(kind, replaced(kind).map_or(bytes, Vec::as_slice))?,
            None => writer.raw_section(section.id, section.required, bytes)?,
        }
    }
    // What a phone will open is read whole before the old pack goes.
    Ok(writer.finish_checked(|written| {
        let options = OpenOptions { max_bytes: u64::MAX, verify: true };
        match Pack::open(written, &options) {
            Ok(pack) => Ok(pack.file_len()),
            Err(error) => Err(WritePackError::Invalid(Box::new(error))),
        }
    })?)
}
