//! Products added and deleted since the pack was built: what the journal beside it holds, ready to be searched.

mod code;
mod compact;
mod edit;
mod entry;
mod error;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::entry::Entry;
use super::error::OpenEngineError;
use crate::index::{Bitmap, IndexView, RowChanges};
use crate::pack::{CellsView, IndexSections, Journal, Pack, Record, RecordView, RecordsError, RecordsView};

pub use code::CodedPicture;
pub use compact::Compacted;
pub use edit::NewProduct;
pub use error::{EditError, EntryError};

/// The two indexes of a pack, in the order of everything that comes in pairs here.
pub(super) const INDEXES: [IndexSections; 2] = [IndexSections::Image, IndexSections::Text];

/// What can be edited: the state that queries read, and the journal that makes it last.
pub(super) struct Editable {
    state: RwLock<State>,
    /// Taken for the whole of an edit, before the state.
    writer: Mutex<Writer>,
    pack_path: PathBuf,
}

enum Writer {
    /// Nothing was edited yet: the journal may be another's.
    Idle,
    Open(Journal),
    /// A new pack lies where this one was opened.
    Replaced,
}

/// Rows added to an index, and whose they are.
pub(super) struct IndexChanges {
    pub rows: RowChanges,
    /// Product of each added row, rising.
    pub products: Vec<u32>,
}

/// The changes to a pack.
pub(super) struct State {
    /// Of the index of pictures and of that of texts, where the pack has them.
    pub indexes: [Option<IndexChanges>; 2],
    /// Products in the pack.
    built: u32,
    /// The record of each added product, as a records section of one.
    added: Vec<Vec<u8>>,
    gtins: HashMap<u64, Vec<u32>>,
    /// Local descriptors of each added row of the image index; empty where there are none.
    cells: Vec<Vec<u8>>,
    deleted: Bitmap,
    /// Entries of the journal that are in here.
    applied: usize,
}

impl State {
    /// No changes but the pack's own tombstones.
    fn new(pack: &Pack, views: &[Option<IndexView<'_>>; 2]) -> Self {
        let built = pack.records().len();
        let changes =
            |view: &IndexView<'_>| IndexChanges { rows: RowChanges::new(view), products: Vec::new() };
        let mut state = Self {
            indexes: views.each_ref().map(|view| view.as_ref().map(changes)),
            built,
            added: Vec::new(),
            gtins: HashMap::new(),
            cells: Vec::new(),
            deleted: Bitmap::none(built),
            applied: 0,
        };
        let tombstones = pack.tombstones();
        if tombstones.deleted() > 0 {
            (0..built).filter(|&p| tombstones.contains(p)).for_each(|p| state.deleted.insert(p));
            for (changes, sections) in state.indexes.iter_mut().zip(INDEXES) {
                let Some(changes) = changes else { continue };
                let rows = (0u32..).zip(pack.rows(sections).iter());
                rows.filter(|(_, p)| tombstones.contains(*p)).for_each(|(row, _)| {
                    changes.rows.remove(row);
                });
            }
        }
        state
    }

    /// Products, deleted ones included.
    pub fn products(&self) -> u32 {
        self.deleted.len()
    }

    /// Edits since the pack was built: when it differs, so may answers.
    pub fn edits(&self) -> usize {
        self.applied
    }

    pub fn is_deleted(&self, product: u32) -> bool {
        self.deleted.contains(product)
    }

    /// The local descriptors of a row of the image index, of those built or added.
    pub fn cells<'a>(&'a self, built: &CellsView<'a>, row: u32) -> Option<&'a [u8]> {
        match row.checked_sub(built.len()) {
            None => built.row(row),
            Some(at) => self.cells.get(at as usize).map(Vec::as_slice),
        }
    }

    /// Added products with a GTIN.
    pub fn with_gtin(&self, gtin: u64) -> &[u32] {
        self.gtins.get(&gtin).map_or(&[], Vec::as_slice)
    }

    /// Runs `read` on the record of a product, deleted or not.
    pub fn record<T>(
        &self,
        pack: &Pack,
        product: u32,
        read: impl FnOnce(RecordView<'_>) -> T,
    ) -> Result<T, RecordsError> {
        let Some(at) = product.checked_sub(self.built) else { return Ok(read(pack.records().at(product)?)) };
        let none = RecordsError::NoSuchProduct { product, count: self.products() };
        let records = RecordsView::open(self.added.get(at as usize).ok_or(none)?)?;
        Ok(read(records.at(0)?))
    }

    /// The record of a product, its strings copied.
    pub fn record_of(&self, pack: &Pack, product: u32) -> Result<Record, RecordsError> {
        let Some(at) = product.checked_sub(self.built) else { return pack.records().get(product) };
        let none = RecordsError::NoSuchProduct { product, count: self.products() };
        RecordsView::open(self.added.get(at as usize).ok_or(none)?)?.get(0)
    }

    /// Applies an entry of the journal. An entry that does not fit the pack changes nothing.
    fn apply(
        &mut self,
        pack: &Pack,
        views: &[Option<IndexView<'_>>; 2],
        entry: &Entry<'_>,
    ) -> Result<u32, EntryError> {
        let there = |product: u32| match self.products() {
            count if product >= count => Err(EntryError::Product { product, count }),
            _ => Ok(product),
        };
        let product = match entry {
            Entry::Add { replaces, record, rows, cells } => {
                replaces.map_or(Ok(0), there)?;
                let product = self.add(views, record, rows, cells)?;
                if let Some(replaced) = *replaces {
                    self.remove(pack, replaced);
                }
                product
            }
            Entry::Remove { product } => {
                let product = there(*product)?;
                self.remove(pack, product);
                product
            }
        };
        self.applied += 1;
        Ok(product)
    }

    fn add(
        &mut self,
        views: &[Option<IndexView<'_>>; 2],
        record: &[u8],
        rows: &[Vec<&[u8]>; 2],
        cells: &[&[u8]],
    ) -> Result<u32, EntryError> {
        let records = RecordsView::open(record)?;
        if records.len() != 1 {
            return Err(EntryError::Malformed);
        }
        let gtin = records.at(0)?.gtin();
        let product = self.products();
        if product >= u32::MAX / 2 {
            return Err(EntryError::Product { product, count: product });
        }
        for ((changes, view), rows) in self.indexes.iter().zip(views).zip(rows) {
            match (changes, view) {
                (Some(changes), Some(view)) => {
                    rows.iter().try_for_each(|row| changes.rows.check(view, row))?
                }
                _ if rows.is_empty() => {}
                _ => return Err(EntryError::Malformed),
            }
        }
        for ((changes, view), rows) in self.indexes.iter_mut().zip(views).zip(rows) {
            let (Some(changes), Some(view)) = (changes, view) else { continue };
            for row in rows {
                changes.rows.insert(view, row)?;
                changes.products.push(product);
            }
        }
        // Of another length than the pack's they are never read.
        let cells = cells.iter().copied().chain(std::iter::repeat(&[][..]));
        self.cells.extend(cells.take(rows[0].len()).map(<[u8]>::to_vec));
        self.deleted.grow(product + 1);
        self.added.push(record.to_vec());
        if let Some(gtin) = gtin {
            self.gtins.entry(gtin).or_default().push(product);
        }
        Ok(product)
    }

    fn remove(&mut self, pack: &Pack, product: u32) {
        self.deleted.insert(product);
        for (changes, sections) in self.indexes.iter_mut().zip(INDEXES) {
            let Some(changes) = changes else { continue };
            let built = pack.rows(sections);
            let rows = super::rows::rows_of(built, &changes.products, product);
            rows.for_each(|row| {
                changes.rows.remove(row);
            });
        }
    }
}

impl Editable {
    /// The changes that the journal beside a pack holds.
    pub fn open(pack: &Pack, pack_path: PathBuf) -> Result<Self, OpenEngineError> {
        let views = views(pack)?;
        let mut state = State::new(pack, &views);
        let path = Journal::path_beside(&pack_path);
        let found = Journal::read(&path, pack)?;
        for record in &found.records {
            let applied = Entry::parse(record).and_then(|entry| state.apply(pack, &views, &entry));
            applied.map_err(|source| OpenEngineError::Entry { path: path.clone(), source })?;
        }
        Ok(Self { state: RwLock::new(state), writer: Mutex::new(Writer::Idle), pack_path })
    }

    /// What queries read. Edits wait until it is given back.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        // Nothing panics between two halves of a change.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both indexes of a pack, where it has them.
fn views(pack: &Pack) -> Result<[Option<IndexView<'_>>; 2], OpenEngineError> {
    let view = |sections| super::rows::index_of(pack, sections);
    Ok([view(IndexSections::Image)?, view(IndexSections::Text)?])
}
