//! Pictures of a product to add, one at a time: a camera's buffers need not be kept until the product is complete.

use super::EditError;
use super::edit::PictureRows;
use crate::cancel::Cancel;
use crate::encode::Shown;
use crate::engine::{Engine, rows};
use crate::frame::Frame;
use crate::index::{IndexView, RowChanges};
use crate::pack::{CellLayout, IndexSections, Pack};

/// A picture as a row of a pack's index: all that is kept of it, some tens to hundreds of bytes, and about 1,600 more where
/// the pack keeps local descriptors.
///
/// Its bytes are the CRC-32 of the pack's section table, little-endian, the row, and the local descriptors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodedPicture(Vec<u8>);

impl CodedPicture {
    /// From the bytes that [`into_bytes`](Self::into_bytes) gave. Any others are refused by [`Engine::add`].
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// To be kept or passed on.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Row and local descriptors, if they are of this pack.
    pub(super) fn rows(
        &self,
        pack: &Pack,
        view: &Option<IndexView<'_>>,
        layout: Option<CellLayout>,
    ) -> Result<PictureRows, EditError> {
        let view = view.as_ref().ok_or(EditError::NoIndex)?;
        let (&crc, rest) = self.0.split_first_chunk().ok_or(EditError::OtherPack)?;
        let at =
            rest.len().checked_sub(layout.map_or(0, |layout| layout.bytes())).ok_or(EditError::OtherPack)?;
        let (row, cells) = rest.split_at(at);
        // What is not a row must not get into the journal, where it would make the pack unreadable.
        if u32::from_le_bytes(crc) != pack.table_crc() || RowChanges::new(view).check(view, row).is_err() {
            return Err(EditError::OtherPack);
        }
        Ok((row.to_vec(), cells.to_vec()))
    }
}

impl Engine {
    /// Encodes and codes a picture of a product to [`add`](Self::add), of the product alone. The frame is not kept. An
    /// encoder that reads words too sees the picture only: the product's words are not known yet.
    ///
    /// # Errors
    /// [`EditError`]
    pub fn code_picture(
        &self,
        picture: &Frame<'_>,
        cancel: Option<&Cancel>,
    ) -> Result<CodedPicture, EditError> {
        let view = rows::index_of(&self.pack, IndexSections::Image)?.ok_or(EditError::NoIndex)?;
        let mut bytes = self.pack.table_crc().to_le_bytes().to_vec();
        let shown = Shown { frame: Some(picture), ..Shown::default() };
        let (row, cells) = self.picture_row(&shown, &view.row_encoder(), cancel)?;
        bytes.extend(row);
        bytes.extend(cells);
        Ok(CodedPicture(bytes))
    }
}
