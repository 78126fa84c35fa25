//! What can go wrong, sorted by what an app can do about it.

use shelfsight::detect::DetectError;
use shelfsight::encode::EncodeError;
use shelfsight::engine::{FindError, OpenEngineError};
use shelfsight::frame::FrameError;
use shelfsight::options::FilterError;
use shelfsight::pack::OpenPackError;

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
            OpenPackError::Io { .. } | OpenPackError::NotAFile { .. } => Self::PackNotFound { reason },
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
            other => Self::PackDamaged { reason: other.to_string() },
        }
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
            FindError::Cancelled => Self::Cancelled,
            FindError::Memory { needed, in_use, allowed } => Self::Memory { needed, in_use, allowed, reason },
            FindError::Encode(EncodeError::Prepare(_)) | FindError::Detect(DetectError::Prepare(_)) => {
                Self::Frame { reason }
            }
            FindError::Record(_) | FindError::Index(_) | FindError::Search(_) | FindError::Mismatch(_) => {
                Self::PackDamaged { reason }
            }
            _ => Self::Model { reason },
        }
    }
}

#[cfg(feature = "photo")]
impl From<shelfsight::preprocess::DecodeError> for Failure {
    fn from(error: shelfsight::preprocess::DecodeError) -> Self {
        Self::Photo { reason: error.to_string() }
    }
}
