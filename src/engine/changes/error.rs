//! What can go wrong when a pack is edited.

use crate::engine::error::{FindError, OpenEngineError};
use crate::index::{AddError, SearchError};
use crate::pack::{EncoderKind, JournalError, RecordsError, WritePackError};

/// Why products cannot be added, deleted or compacted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// A product of this id is in the catalogue.
    #[error("the catalogue has a product {id:?} already; ask for it to be replaced, or delete it first")]
    Duplicate {
        /// The id.
        id: String,
    },
    /// The record cannot be stored.
    #[error("product {id:?} cannot be added: {source}")]
    Record {
        /// The id.
        id: String,
        /// Why.
        source: WritePackError,
    },
    /// Neither picture, nor words, nor GTIN that this pack could find it by.
    #[error("nothing could find product {id:?}: give it a picture, a text or a GTIN")]
    Unfindable {
        /// The id.
        id: String,
    },
    /// Pictures for a pack without an index of pictures.
    #[error("the pack has no index of pictures; add products without pictures, or build the pack with one")]
    NoIndex,
    /// A [`CodedPicture`](super::CodedPicture) of another pack, or none at all.
    #[error("a picture was not coded for this pack; code it with the engine that the product is added to")]
    OtherPack,
    /// There is no such product, or it was deleted.
    #[error("there is no product {product}, or it was deleted before")]
    NoSuchProduct {
        /// The number.
        product: u32,
    },
    /// There is no product of this id, or it was deleted.
    #[error("there is no product {id:?}, or it was deleted before")]
    NoSuchId {
        /// The id.
        id: String,
    },
    /// A picture or words cannot be encoded.
    #[error(transparent)]
    Encode(#[from] FindError),
    /// The encoder gave a vector that the index of its kind refuses.
    #[error("the pack's {kind} gave a vector that its index refuses: {source}")]
    Vector {
        /// Whose.
        kind: EncoderKind,
        /// Why.
        source: SearchError,
    },
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal holds what this pack has no place for.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The pack was compacted, replaced or removed: another one, or none, lies in its place.
    #[error("the pack was compacted, replaced or removed after it was opened; open it again to edit it")]
    Replaced,
    /// The compacted pack cannot be written.
    #[error(transparent)]
    Write(#[from] WritePackError),
    /// A record of the pack cannot be read.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The pack's index does not hold together.
    #[error(transparent)]
    Open(#[from] OpenEngineError),
}

/// Why an entry of the journal does not fit the pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Not an entry, or of an index that the pack does not have.
    #[error("an entry is malformed")]
    Malformed,
    /// Its record is malformed.
    #[error("the record of an entry is malformed: {0}")]
    Record(#[from] RecordsError),
    /// Its row is not one of this index.
    #[error("the row of an entry is malformed: {0}")]
    Row(#[from] AddError),
    /// A product that is not there, or one too many.
    #[error("an entry names product {product}; there are {count}")]
    Product {
        /// The product.
        product: u32,
        /// Products.
        count: u32,
    },
}
