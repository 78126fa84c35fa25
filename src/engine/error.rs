//! What can go wrong when a pack is opened or queried.

use std::path::PathBuf;

use super::changes::EntryError;
use crate::detect::{DetectError, LoadDetectorError};
use crate::encode::{EncodeError, LoadEncoderError};
use crate::index::{OpenIndexError, SearchError};
use crate::pack::{EncoderKind, EncoderMismatch, JournalError, OpenPackError, RecordsError};
use crate::rerank::RerankerError;

/// Why a pack cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenEngineError {
    /// The file is missing, broken, or too new.
    #[error(transparent)]
    Pack(#[from] OpenPackError),
    /// The encoder at hand is not the one the pack was built with.
    #[error(transparent)]
    Encoder(#[from] EncoderMismatch),
    /// An index does not hold together.
    #[error("the index of the pack's {kind} is broken: {source}; build the pack again")]
    Index {
        /// Whose.
        kind: EncoderKind,
        /// What is wrong.
        source: OpenIndexError,
    },
    /// An index, its row table and its encoder disagree.
    #[error("the index of the pack's {kind} is broken: {reason}; build the pack again")]
    Rows {
        /// Whose.
        kind: EncoderKind,
        /// What is wrong.
        reason: String,
    },
    /// The journal beside the pack cannot be read, or belongs to another pack.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal beside the pack holds what the pack has no place for.
    #[error("{}: {source}; move the journal away to use the pack without it", path.display())]
    Entry {
        /// The journal.
        path: PathBuf,
        /// What is wrong.
        source: EntryError,
    },
}

/// Why a query cannot be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// Neither picture nor words.
    #[error("nothing to look for; give a photo, a text, or both")]
    EmptyQuery,
    /// More products asked for than allowed.
    #[error("{found} products asked for; at most {max} can be returned")]
    Top {
        /// Number asked for.
        found: usize,
        /// Largest number allowed.
        max: usize,
    },
    /// The pack lacks the model that this query needs.
    #[error("the pack has no {kind}, which this query needs; build the pack with one")]
    NoModel {
        /// Which.
        kind: EncoderKind,
    },
    /// Nothing to rerank with.
    #[error(
        "the pack has no local descriptors, which reranking needs; build it with --rerank, or ask without"
    )]
    NoReranker,
    /// The pack's reranker cannot be read.
    #[error(transparent)]
    Reranker(#[from] RerankerError),
    /// A model in the pack cannot be loaded.
    #[error("the pack's {kind} cannot be loaded: {source}")]
    LoadEncoder {
        /// Which.
        kind: EncoderKind,
        /// Why.
        source: LoadEncoderError,
    },
    /// The pack's detector cannot be loaded.
    #[error("the pack's detector cannot be loaded: {0}")]
    LoadDetector(#[from] LoadDetectorError),
    /// The model in the pack is not the one its vectors were made with.
    #[error(transparent)]
    Mismatch(#[from] EncoderMismatch),
    /// The query's [`Cancel`](crate::Cancel) was raised.
    #[error("cancelled")]
    Cancelled,
    /// The picture or the words cannot be encoded.
    #[error(transparent)]
    Encode(EncodeError),
    /// Products cannot be detected.
    #[error(transparent)]
    Detect(DetectError),
    /// The index refused the query.
    #[error(transparent)]
    Search(SearchError),
    /// The memory ceiling is too low.
    #[error(
        "the query needs {needed} B beside {in_use} B in use, and {allowed} B are allowed; raise the ceiling, send smaller pictures, or ask less at one time"
    )]
    Memory {
        /// Bytes needed.
        needed: u64,
        /// Bytes that other queries hold.
        in_use: u64,
        /// Bytes allowed.
        allowed: u64,
    },
    /// A record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordsError),
    /// The pack's index does not hold together.
    #[error(transparent)]
    Index(#[from] OpenEngineError),
}

impl From<SearchError> for FindError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Cancelled => Self::Cancelled,
            error => Self::Search(error),
        }
    }
}

impl From<EncodeError> for FindError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::Cancelled => Self::Cancelled,
            error => Self::Encode(error),
        }
    }
}

impl From<DetectError> for FindError {
    fn from(error: DetectError) -> Self {
        match error {
            DetectError::Cancelled => Self::Cancelled,
            error => Self::Detect(error),
        }
    }
}
