//! What can go wrong when a pack is built.

use crate::detect::LoadDetectorError;
use crate::encode::{EncodeError, LoadEncoderError};
use crate::engine::OpenEngineError;
use crate::index::{BuildIndexError, OpenIndexError, SearchError};
use crate::pack::WritePackError;
use crate::preprocess::DecodeError;
use crate::rerank::RerankerError;

/// Why one picture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageFault {
    /// It cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// What was given to an image encoder, as an error names it.
pub(super) fn shown(image: Option<&str>) -> String {
    image.map_or_else(|| "words".to_owned(), |image| format!("picture {image:?}"))
}

/// Why a pack cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No products.
    #[error("the catalogue has no products; add at least one row below the header")]
    Empty,
    /// More products than a pack can hold.
    #[error("{found} products; a pack holds at most {max}")]
    TooMany {
        /// Number given.
        found: usize,
        /// Largest number.
        max: usize,
    },
    /// Nothing to rerank with.
    #[error(
        "the image encoder has no local descriptors or no reranker, which --rerank needs; name both in its manifest (`local`), or build without"
    )]
    NoReranker,
    /// The reranker cannot be read.
    #[error(transparent)]
    Reranker(#[from] RerankerError),
    /// A product that nothing can find.
    #[error(
        "line {line}: product {id:?} has no picture, no text and no GTIN, so nothing can find it; give it one of them"
    )]
    Unfindable {
        /// Line of the catalogue.
        line: u64,
        /// Product.
        id: String,
    },
    /// With `skip_bad`, every product was left out.
    #[error(
        "none of the {count} products has a picture, text or GTIN that can be used; the first is {id:?} in line {line}; is the images folder the right one?"
    )]
    NothingLeft {
        /// Products.
        count: usize,
        /// Line of the first.
        line: u64,
        /// The first.
        id: String,
    },
    /// A picture cannot be used.
    #[error(
        "line {line}: {} of product {id:?}: {reason}; correct it, or leave such pictures out with --skip-bad",
        shown(image.as_deref())
    )]
    Image {
        /// Line of the catalogue.
        line: u64,
        /// Product.
        id: String,
        /// Picture as the catalogue names it; none if it was the words alone.
        image: Option<String>,
        /// Why.
        reason: Box<ImageFault>,
    },
    /// An encoder cannot be used with any picture.
    #[error("{name}: {reason}")]
    Encode {
        /// `image encoder`.
        name: &'static str,
        /// Why.
        reason: Box<EncodeError>,
    },
    /// A text cannot be encoded.
    #[error("line {line}: the text of product {id:?}: {reason}")]
    Text {
        /// Line of the catalogue.
        line: u64,
        /// Product.
        id: String,
        /// Why.
        reason: Box<EncodeError>,
    },
    /// Products with pictures, but no image encoder.
    #[error("the catalogue has pictures, but no image encoder is given")]
    NoImageEncoder,
    /// An encoder cannot be loaded.
    #[error("{name}: {reason}")]
    Encoder {
        /// `image encoder` or `text encoder`.
        name: &'static str,
        /// Why.
        reason: LoadEncoderError,
    },
    /// The detector cannot be loaded.
    #[error("detector: {0}")]
    Detector(#[from] LoadDetectorError),
    /// An index cannot be built.
    #[error(transparent)]
    Index(#[from] BuildIndexError),
    /// The index just built cannot be read.
    #[error("the index just built cannot be read: {0}")]
    Reopen(#[from] OpenIndexError),
    /// The index just built cannot be searched.
    #[error("the index just built cannot be searched: {0}")]
    Search(#[from] SearchError),
    /// The pack cannot be written; one that was there before stays.
    #[error(transparent)]
    Write(#[from] WritePackError),
    /// The pack just written cannot be opened.
    #[error("the pack just written cannot be opened: {0}")]
    Check(#[from] OpenEngineError),
}

impl BuildError {
    /// Line of the catalogue that is at fault, if one is.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Unfindable { line, .. }
            | Self::NothingLeft { line, .. }
            | Self::Image { line, .. }
            | Self::Text { line, .. } => Some(*line),
            _ => None,
        }
    }
}
