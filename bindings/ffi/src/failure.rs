//! What can go wrong, sorted by what an app can do about it.

use shelfsight::detect::DetectError;
use shelfsight::encode::EncodeError;
use shelfsight::engine::{EditError, FindError, OpenEngineError};
use shelfsight::frame::FrameError;
use shelfsight::fuse::GtinError;
use shelfsight::measure::MeasureError;
use shelfsight::options::FilterError;
use shelfsight::pack::{JournalError, OpenPackError, WritePackError};

/// Why a call did not succeed; `reason` is one line that says what to do.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum Failure {
    /// There is no readable file.
    #[error("{reason}")]
    PackNotFound {
        /// What and why.
        reason: String,
    },
    /// Not a pack, or not whole.
    #[error("{reason}")]
    PackDamaged {
        /// What and why.
        reason: String,
    },
    /// Written for a newer library, or larger than allowed.
    #[error("{reason}")]
    PackUnsupported {
        /// What and why.
        reason: String,
    },
    /// Planes, strides, size or rotation that are no picture, or a region outside it.
    #[error("{reason}")]
    Frame {
        /// What and why.
        reason: String,
    },
    /// A file that is no readable photo.
    #[error("{reason}")]
    Photo {
        /// What and why.
        reason: String,
    },
    /// An empty query, a filter that cannot be read, too many products.
    #[error("{reason}")]
    Query {
        /// What and why.
        reason: String,
    },
    /// The pack's text encoder knows none of the words.
    #[error("{reason}")]
    UnknownWords {
        /// What and why.
        reason: String,
    },
    /// The pack lacks a model that the query needs, or the model does not run.
    #[error("{reason}")]
    Model {
        /// What and why.
        reason: String,
    },
    /// The memory ceiling is too low for the query.
    #[error("{reason}")]
    Memory {
        /// Bytes the query needs beside those in use.
        needed: u64,
        /// Bytes in use by other queries.
        in_use: u64,
        /// The ceiling.
        allowed: u64,
        /// What and why.
        reason: String,
    },
    /// A product that cannot be added as it is: no id, no GTIN, nothing to find it by, too long.
    #[error("{reason}")]
    Product {
        /// What and why.
        reason: String,
    },
    /// A product of this id is there already.
    #[error("{reason}")]
    Duplicate {
        /// What and why.
        reason: String,
    },
    /// No product of this id is there.
    #[error("{reason}")]
    NoSuchProduct {
        /// What and why.
        reason: String,
    },
    /// The pack's folder cannot be written to, or the journal in it not read.
    #[error("{reason}")]
    Storage {
        /// What and why.
        reason: String,
    },
    /// Another engine edits the pack.
    #[error("{reason}")]
    InUse {
        /// What and why.
        reason: String,
    },
    /// Another pack lies where this one was opened.
    #[error("{reason}")]
    Replaced {
        /// What and why.
        reason: String,
    },
    /// The engine was closed.
    #[error("the engine is closed; open the pack again")]
    Closed,
    /// The caller gave up.
    #[error("cancelled")]
    Cancelled,
    /// A fault of the library.
    #[error("{reason}")]
    Internal {
        /// What and why.
        reason: String,
    },
}

impl From<OpenPackError> for Failure {
    fn from(error: OpenPackError) -> Self {
        let reason = error.to_string();
        match error {
            OpenPackError::Io { .. } | OpenPackError::NoPath | OpenPackError::NotAFile { .. } => {
                Self::PackNotFound { reason }
            }
            OpenPackError::TooLarge { .. }
            | OpenPackError::Newer { .. }
            | OpenPackError::UnknownFlags { .. }
            | OpenPackError::UnknownSection { .. } => Self::PackUnsupported { reason },
            _ => Self::PackDamaged { reason },
        }
    }
}

impl From<OpenEngineError> for Failure {
    fn from(error: OpenEngineError) -> Self {
        match error {
            OpenEngineError::Pack(error) => error.into(),
            OpenEngineError::Journal(error) => error.into(),
            other => Self::PackDamaged { reason: other.to_string() },
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let reason = error.to_string();
        match error {
            JournalError::Io { .. } => Self::Storage { reason },
            JournalError::InUse { .. } => Self::InUse { reason },
            JournalError::Version { .. } => Self::PackUnsupported { reason },
            JournalError::TooLong { .. } => Self::Product { reason },
            JournalError::NotAJournal { .. } | JournalError::OtherPack { .. } => Self::PackDamaged { reason },
        }
    }
}

impl From<EditError> for Failure {
    fn from(error: EditError) -> Self {
        let reason = error.to_string();
        // Reasons name no products: they may be logged.
        let without_id = str::to_owned;
        match error {
            EditError::Duplicate { .. } => Self::Duplicate {
                reason: without_id(
                    "there is a product of this id; ask for it to be replaced, or remove it first",
                ),
            },
            EditError::Record { source: WritePackError::Record { what, .. }, .. } => {
                Self::Product { reason: format!("the product cannot be added: {what}") }
            }
            EditError::Unfindable { .. } => Self::Product {
                reason: without_id("nothing could find the product: give it a picture, a title or a GTIN"),
            },
            EditError::NoSuchProduct { .. } | EditError::NoSuchId { .. } => Self::NoSuchProduct {
                reason: without_id("there is no product of this id, or it was removed before"),
            },
            EditError::NoIndex => Self::Model { reason },
            EditError::OtherPack => Self::Product { reason },
            EditError::Encode(error) => error.into(),
            EditError::Journal(error) => error.into(),
            EditError::Replaced => Self::Replaced { reason },
            EditError::Write(WritePackError::Io { .. }) => Self::Storage { reason },
            EditError::Open(error) => error.into(),
            EditError::Vector { .. } | EditError::Entry(_) | EditError::Records(_) => {
                Self::PackDamaged { reason }
            }
            _ => Self::Internal { reason },
        }
    }
}

impl From<GtinError> for Failure {
    fn from(error: GtinError) -> Self {
        Self::Product { reason: format!("the product cannot be added: {error}") }
    }
}

impl From<FrameError> for Failure {
    fn from(error: FrameError) -> Self {
        Self::Frame { reason: error.to_string() }
    }
}

impl From<FilterError> for Failure {
    fn from(error: FilterError) -> Self {
        Self::Query { reason: error.to_string() }
    }
}

impl From<FindError> for Failure {
    fn from(error: FindError) -> Self {
        let reason = error.to_string();
        match error {
            FindError::EmptyQuery | FindError::Top { .. } => Self::Query { reason },
            FindError::Encode(EncodeError::UnknownText { .. }) => Self::UnknownWords { reason },
            FindError::Encode(EncodeError::EmptyText | EncodeError::Tokenize { .. }) => {
                Self::Query { reason }
            }
            FindError::Cancelled => Self::Cancelled,
            FindError::Memory { needed, in_use, allowed } => Self::Memory { needed, in_use, allowed, reason },
            FindError::Encode(EncodeError::Prepare(_)) | FindError::Detect(DetectError::Prepare(_)) => {
                Self::Frame { reason }
            }
            // A benchmark opens the pack anew.
            FindError::Index(error) => error.into(),
            FindError::Record(_) | FindError::Search(_) | FindError::Mismatch(_) => {
                Self::PackDamaged { reason }
            }
            _ => Self::Model { reason },
        }
    }
}

impl From<MeasureError> for Failure {
    fn from(error: MeasureError) -> Self {
        match error {
            MeasureError::Find(error) => error.into(),
            MeasureError::Probe(error) => match error.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::Internal { reason: other.to_string() },
            },
        }
    }
}

#[cfg(feature = "photo")]
impl From<shelfsight::preprocess::DecodeError> for Failure {
    fn from(error: shelfsight::preprocess::DecodeError) -> Self {
        Self::Photo { reason: error.to_string() }
    }
}
