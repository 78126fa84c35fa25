//! Adding and deleting products.

use super::code::CodedPicture;
use super::entry::Entry;
use super::{EditError, Editable, State, Writer, views};
use crate::cancel::Cancel;
use crate::encode::{EncodeError, Shown, product_texts, product_words};
use crate::engine::Engine;
use crate::engine::error::FindError;
use crate::engine::find::check_cancel;
use crate::engine::memory::of_frame;
use crate::frame::Frame;
use crate::index::{IndexView, RowEncoder};
use crate::pack::{EncoderKind, Journal, Pack, Record, RecordsError, RecordsWriter};
use crate::rerank;
use std::sync::PoisonError;

/// A picture's row of the index and, where the pack keeps them, its local descriptors.
pub(super) type PictureRows = (Vec<u8>, Vec<u8>);

/// A product to add.
#[derive(Clone, Debug, Default)]
pub struct NewProduct<'a> {
    /// Its record; the id may not be one of the catalogue, unless it is to replace that product.
    pub record: Record,
    /// Deletes the product of the same id in the same step, if there is one.
    pub replace: bool,
    /// Pictures of it, each of the product alone.
    pub pictures: &'a [Frame<'a>],
    /// Pictures of it that [`Engine::code_picture`] coded before.
    pub coded: &'a [CodedPicture],
    /// Ends the encoding early once raised; then nothing was added.
    pub cancel: Option<Cancel>,
}

impl Engine {
    /// Adds a product and returns its number. Queries that begin afterwards see it, and so do those of an engine opened
    /// later: when this returns, it is on disk, in the journal beside the pack (`NAME.shelf.journal`). After an error
    /// nothing was added.
    ///
    /// Its pictures and its words (made of the record as `pack build` makes them) are encoded with the pack's encoders
    /// and coded with the pack's quantizers.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn add(&self, product: &NewProduct<'_>) -> Result<u32, EditError> {
        let record = &product.record;
        let id = || record.id.clone();
        let mut section = RecordsWriter::new();
        section.push(record).map_err(|source| EditError::Record { id: id(), source })?;
        let views = views(&self.pack)?;
        let layout = self.cell_layout()?;
        let coded = product.coded.iter().map(|picture| picture.rows(&self.pack, &views[0], layout));
        let mut pictures = coded.collect::<Result<Vec<_>, _>>()?;
        pictures.extend(self.picture_rows(product, &views[0])?);
        let (pictures, cells): (Vec<_>, Vec<_>) = pictures.into_iter().unzip();
        let cells: Vec<Vec<u8>> = if layout.is_some() { cells } else { Vec::new() };
        let rows = [pictures, self.text_rows(product, &views[1])?];
        if record.gtin.is_none() && rows.iter().all(Vec::is_empty) {
            return Err(EditError::Unfindable { id: id() });
        }
        let section = section.finish();
        self.changes.edit(&self.pack, &views, |state| {
            // The last moment: what is in the journal is added.
            check_cancel(product.cancel.as_ref())?;
            match find(state, &self.pack, &record.id)? {
                Some(_) if !product.replace => Err(EditError::Duplicate { id: id() }),
                replaces => Ok(Entry::add(replaces, &section, &rows, &cells)),
            }
        })
    }

    /// Deletes a product, as lastingly as [`add`](Self::add) adds one. It takes a bit; [`compact`](Self::compact) frees
    /// what it used.
    ///
    /// # Errors
    /// [`EditError`]; [`EditError::NoSuchProduct`] if it was deleted before.
    pub fn remove(&self, product: u32) -> Result<(), EditError> {
        let views = views(&self.pack)?;
        self.changes.edit(&self.pack, &views, |state| {
            if product >= state.products() || state.is_deleted(product) {
                return Err(EditError::NoSuchProduct { product });
            }
            Ok(Entry::remove(product))
        })?;
        Ok(())
    }

    /// As [`remove`](Self::remove), by id: also where another thread or process has changed the product's number since.
    /// Returns the number.
    ///
    /// # Errors
    /// [`EditError`]; [`EditError::NoSuchId`] if there is none.
    pub fn remove_id(&self, id: &str) -> Result<u32, EditError> {
        self.changes.edit(&self.pack, &views(&self.pack)?, |state| match find(state, &self.pack, id)? {
            Some(product) => Ok(Entry::remove(product)),
            None => Err(EditError::NoSuchId { id: id.to_owned() }),
        })
    }

    /// Short side in pixels of a picture to [`add`](Self::add) that its vector still gains from: `pack build` decodes
    /// pictures to about this, and the same picture decoded alike gets the same vector.
    ///
    /// # Errors
    /// [`FindError`] if the pack has no image encoder, or it cannot be loaded.
    pub fn picture_side(&self) -> Result<u32, FindError> {
        Ok(self.image_encoder()?.picture_side())
    }

    /// The product of this id that is not deleted. Looks at every record.
    ///
    /// # Errors
    /// [`RecordsError`] if the pack was changed while it was open.
    pub fn product_of(&self, id: &str) -> Result<Option<u32>, RecordsError> {
        find(&self.changes.read(), &self.pack, id)
    }

    fn picture_rows(
        &self,
        product: &NewProduct<'_>,
        view: &Option<IndexView<'_>>,
    ) -> Result<Vec<PictureRows>, EditError> {
        let Record { title, brand, category, description, .. } = &product.record;
        let words = product_words(title, brand, category, description).filter(|_| self.reads_words());
        let text = words.as_deref();
        let mut shown: Vec<Shown<'_>> =
            product.pictures.iter().map(|frame| Shown { frame: Some(frame), text, region: None }).collect();
        if shown.is_empty() && product.coded.is_empty() && text.is_some() {
            // A product without pictures is found by what is read.
            shown.push(Shown { text, ..Shown::default() });
        }
        if shown.is_empty() {
            return Ok(Vec::new());
        }
        let rows = view.as_ref().ok_or(EditError::NoIndex)?.row_encoder();
        let coded = shown.iter().map(|shown| match self.picture_row(shown, &rows, product.cancel.as_ref()) {
            // As in a build: words of which the tokenizer knows nothing have no row.
            Err(EditError::Encode(FindError::Encode(
                EncodeError::EmptyText | EncodeError::UnknownText { .. },
            ))) => Ok(None),
            row => row.map(Some),
        });
        Ok(coded.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// The row of a picture, and its local descriptors where the pack keeps them.
    pub(super) fn picture_row(
        &self,
        shown: &Shown<'_>,
        rows: &RowEncoder<'_>,
        cancel: Option<&Cancel>,
    ) -> Result<PictureRows, EditError> {
        let (encoder, layout) = (self.image_encoder()?, self.cell_layout()?);
        let picture = shown.frame.map_or(0, |frame| of_frame(frame, false));
        let _held = self.memory.reserve(picture + encoder.memory())?;
        let (vector, cells) = encoder.encode_shown(shown, cancel).map_err(FindError::from)?;
        let refused = |source| EditError::Vector { kind: EncoderKind::Image, source };
        let row = rows.encode(vector.as_slice()).map_err(refused)?;
        Ok((row, layout.map_or_else(Vec::new, |layout| rerank::stored(&layout, cells.as_ref()))))
    }

    fn text_rows(
        &self,
        product: &NewProduct<'_>,
        view: &Option<IndexView<'_>>,
    ) -> Result<Vec<Vec<u8>>, EditError> {
        let Some(view) = view else { return Ok(Vec::new()) };
        let Record { title, brand, category, description, .. } = &product.record;
        let texts = product_texts(title, brand, category, description);
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let (encoder, rows) = (self.text_encoder()?, view.row_encoder());
        let _held = self.memory.reserve(encoder.memory())?;
        let mut out = Vec::new();
        for text in texts {
            check_cancel(product.cancel.as_ref())?;
            match encoder.encode_until(&text, product.cancel.as_ref()) {
                Ok(vector) => {
                    let refused = |source| EditError::Vector { kind: EncoderKind::Text, source };
                    out.push(rows.encode(vector.as_slice()).map_err(refused)?);
                }
                // As in a build: a text of which the tokenizer leaves or knows nothing has no row.
                Err(EncodeError::EmptyText | EncodeError::UnknownText { .. }) => {}
                Err(error) => return Err(FindError::from(error).into()),
            }
        }
        Ok(out)
    }
}

/// The product of an id that is not deleted.
fn find(state: &State, pack: &Pack, id: &str) -> Result<Option<u32>, RecordsError> {
    for product in (0..state.products()).filter(|&p| !state.is_deleted(p)) {
        if state.record(pack, product, |record| record.id() == Some(id))? {
            return Ok(Some(product));
        }
    }
    Ok(None)
}

impl Editable {
    /// Writes the entry that `decide` makes of the latest state to the journal, then applies it. Returns its product.
    fn edit(
        &self,
        pack: &Pack,
        views: &[Option<IndexView<'_>>; 2],
        decide: impl FnOnce(&State) -> Result<Vec<u8>, EditError>,
    ) -> Result<u32, EditError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let journal = self.journal(&mut writer, pack, views)?;
        let bytes = decide(&self.read())?;
        journal.append(&bytes)?;
        // It is on disk; what is written here as one entry fits the pack.
        Ok(self.write().apply(pack, views, &Entry::parse(&bytes)?)?)
    }

    /// The journal, opened and locked at the first edit, after what another process has written since was applied.
    pub(super) fn journal<'w>(
        &self,
        writer: &'w mut Writer,
        pack: &Pack,
        views: &[Option<IndexView<'_>>; 2],
    ) -> Result<&'w mut Journal, EditError> {
        if let Writer::Idle = writer {
            // Else a journal would be begun beside another pack.
            if !pack.is_at(&self.pack_path) {
                return Err(EditError::Replaced);
            }
            let (journal, found) = Journal::open(&Journal::path_beside(&self.pack_path), pack)?;
            let mut state = self.write();
            for record in found.records.iter().skip(state.applied) {
                state.apply(pack, views, &Entry::parse(record)?)?;
            }
            *writer = Writer::Open(journal);
        }
        // Asked under the journal's lock, which whoever compacts holds until a new pack is in place.
        if !pack.is_at(&self.pack_path) || matches!(writer, Writer::Open(journal) if !journal.is_in_place()) {
            *writer = Writer::Replaced;
        }
        match writer {
            Writer::Open(journal) => Ok(journal),
            Writer::Idle | Writer::Replaced => Err(EditError::Replaced),
        }
    }
}
