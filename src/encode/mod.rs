//! Pictures and words to unit vectors in one space.
//!
//! An encoder is a network plus a manifest that says how to feed it: a JSON file that ships in the pack, and that a
//! user writes to bring a model of their own (CLIP, SigLIP, MobileCLIP and the like). The manifest and the bytes of
//! network and tokenizer together make the [`EncoderId`].

mod files;
mod id;
mod image;
mod manifest;
mod text;
mod texts;
mod tokenizer;
mod words;

pub use files::{EncoderFiles, ReadEncoderError, read_encoder_files};
pub use id::EncoderId;
pub use image::{ImageEncoder, Shown};
pub use manifest::{
    Calibration, Calibrations, ImageManifest, ImageTag, LocalOutput, MAX_MODEL_DIM, MAX_TOKENS,
    ManifestError, Pooling, TextInputs, TextManifest, TextTag, WordsInputs,
};
pub use text::TextEncoder;
pub use texts::{product_texts, product_words};

use crate::embedding::{Cells, Embedding, EmbeddingError};
use crate::preprocess::PrepareError;
use crate::runtime::{LoadModelError, RunError, Tensor};

/// Why an encoder cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadEncoderError {
    /// The manifest is out of range.
    #[error("encoder: {0}")]
    Manifest(#[from] ManifestError),
    /// The network cannot be loaded.
    #[error("encoder {name}: {source}")]
    Model {
        /// Name in the manifest.
        name: String,
        /// What stands in the way.
        source: LoadModelError,
    },
    /// The network's inputs or outputs are not what the manifest says.
    #[error("encoder {name}: the manifest names the {what} `{port}`, the model has {known}")]
    Port {
        /// Name in the manifest.
        name: String,
        /// "input" or "output".
        what: &'static str,
        /// Input or output wanted.
        port: String,
        /// Inputs or outputs it has.
        known: String,
    },
    /// The network wants an input that the manifest does not feed.
    #[error("encoder {name}: the model also wants the input `{port}`; name it in the manifest")]
    Unfed {
        /// Name in the manifest.
        name: String,
        /// The input.
        port: String,
    },
    /// A text input that is not `[1, length]` whole numbers.
    #[error("encoder {name}: the input `{port}` is {found}, not i64 or i32 [1, length]")]
    TextInput {
        /// Name in the manifest.
        name: String,
        /// The input.
        port: String,
        /// Its kind and shape.
        found: String,
    },
    /// The tokenizer cannot be used.
    #[error("encoder {name}: tokenizer: {reason}")]
    Tokenizer {
        /// Name in the manifest.
        name: String,
        /// Why, in one line.
        reason: String,
    },
}

/// Why a picture or text has no embedding.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// The picture or region cannot be prepared.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// Nothing to encode in the text.
    #[error("the text is empty")]
    EmptyText,
    /// Not one word of the text is in the vocabulary.
    #[error(
        "encoder {name} knows none of these words; write them in a language and script it was trained on"
    )]
    UnknownText {
        /// The encoder's name.
        name: String,
    },
    /// The tokenizer refuses the text.
    #[error("encoder {name}: the text cannot be tokenized: {reason}")]
    Tokenize {
        /// Name of the encoder.
        name: String,
        /// Why, in one line.
        reason: String,
    },
    /// The network did not run.
    #[error("encoder {name}: {source}")]
    Run {
        /// Name of the encoder.
        name: String,
        /// Why.
        source: RunError,
    },
    /// Nobody waits for the vector any more.
    #[error("cancelled")]
    Cancelled,
    /// The output's shape does not fit the manifest.
    #[error(
        "encoder {name}: the output is {found}, the manifest says {expected}; correct `dim`, `pooling` or `output`"
    )]
    Output {
        /// Name of the encoder.
        name: String,
        /// Shape that came out.
        found: String,
        /// Shape that fits the manifest.
        expected: String,
    },
    /// The output has no direction, or is not finite.
    #[error("encoder {name}: output of {dim} values: {source}")]
    Embedding {
        /// Name of the encoder.
        name: String,
        /// Values in the output.
        dim: usize,
        /// What is wrong with them.
        source: EmbeddingError,
    },
}

impl EncodeError {
    fn of_run(name: &str, source: RunError) -> Self {
        match source {
            RunError::Cancelled => Self::Cancelled,
            source => Self::Run { name: name.into(), source },
        }
    }
}

/// The one vector in an output of shape `[1, dim]`, axes of size 1 anywhere.
fn single_vector(name: &str, output: Option<Tensor>, dim: usize) -> Result<Embedding, EncodeError> {
    match output {
        Some(Tensor::F32 { data, .. }) if data.len() == dim => unit(name, data),
        other => Err(wrong_output(name, other.as_ref(), format!("f32 [1, {dim}]"))),
    }
}

/// The cells in an output `[1, width, side, side]`.
fn cells(name: &str, output: Option<&Tensor>, local: &LocalOutput) -> Result<Cells, EncodeError> {
    let &LocalOutput { side, width, .. } = local;
    let (cells, shape) = (side * side, [1, width, side, side]);
    let planes = match output {
        Some(Tensor::F32 { shape: found, data }) if *found == shape => data,
        other => return Err(wrong_output(name, other, format!("f32 {shape:?}"))),
    };
    let values = (0..cells).flat_map(|cell| planes.iter().skip(cell).step_by(cells).copied()).collect();
    Cells::new(values, width).map_err(|source| EncodeError::Embedding {
        name: name.into(),
        dim: cells * width,
        source,
    })
}

fn unit(name: &str, values: Vec<f32>) -> Result<Embedding, EncodeError> {
    let dim = values.len();
    Embedding::normalize(values).map_err(|source| EncodeError::Embedding { name: name.into(), dim, source })
}

fn wrong_output(name: &str, output: Option<&Tensor>, expected: String) -> EncodeError {
    let found = output.map_or_else(|| "missing".into(), |t| format!("{} {:?}", t.kind(), t.shape()));
    EncodeError::Output { name: name.into(), found, expected }
}

/// Names for a message.
fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
