//! The JSON beside a model that says how to feed it.

use serde::{Deserialize, Serialize};

use crate::preprocess::{ImageSpec, SpecError};
use crate::runtime::LoadOptions;

/// Largest dimension of an encoder's output.
pub const MAX_MODEL_DIM: usize = 4096;
/// Largest grid of local descriptors, and most numbers of one.
const MAX_SIDE: usize = 16;
const MAX_WIDTH: usize = 256;
/// Largest number of tokens of a text.
pub const MAX_TOKENS: usize = 512;

/// Turns cosines into probabilities: p(same product) = sigmoid(`scale` · cosine + `bias`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Steepness.
    pub scale: f32,
    /// Value at cosine 0.
    pub bias: f32,
}

impl Calibration {
    /// p(same product) for a cosine, in `0..=1`.
    pub fn probability(&self, cosine: f32) -> f32 {
        1.0 / (1.0 + (-(self.scale * cosine + self.bias)).exp())
    }
}

/// Calibration of this encoder's queries against catalogue rows of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibrations {
    /// Against rows made from pictures.
    pub image: Calibration,
    /// Against rows made from texts.
    pub text: Calibration,
}

/// `"kind": "image"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageTag {
    /// The only value.
    #[default]
    #[serde(rename = "image")]
    Image,
}

/// `"kind": "text"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextTag {
    /// The only value.
    #[default]
    #[serde(rename = "text")]
    Text,
}

/// How to feed an image encoder, and what comes out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageManifest {
    /// Always `"image"`.
    pub kind: ImageTag,
    /// Name for people.
    pub name: String,
    /// Version of this encoder.
    #[serde(default)]
    pub version: u32,
    /// ONNX file, relative to the manifest.
    pub model: String,
    /// Encoders of one space can be compared with each other.
    pub space: String,
    /// Length of the vector.
    pub dim: usize,
    /// Name of the graph's input, f32 `[B, 3, H, W]` or `[B, H, W, 3]`.
    pub input: String,
    /// Name of the graph's output, f32 `[B, dim]`.
    pub output: String,
    /// Local descriptors, if the graph gives them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalOutput>,
    /// Further inputs of an encoder that reads a picture and words together (ITEm), if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<WordsInputs>,
    /// Crop, resize and normalisation.
    pub preprocess: ImageSpec,
    /// From cosines to probabilities; without it matches are ranked by bare cosine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibrations>,
    /// SPDX licence of the weights.
    #[serde(default)]
    pub license: String,
    /// Whom to credit.
    #[serde(default)]
    pub attribution: String,
}

/// Local descriptors of an image encoder, a second output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalOutput {
    /// Name of the graph's output, f32 `[B, width, side, side]`.
    pub output: String,
    /// Cells a side of the grid.
    pub side: usize,
    /// Numbers a cell.
    pub width: usize,
    /// File of the reranker that was trained on them, relative to the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reranker: Option<String>,
}

/// What an encoder of picture and words together takes beside the picture. Each may be missing: its mask is 0 then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WordsInputs {
    /// `tokenizer.json`, relative to the manifest.
    pub tokenizer: String,
    /// Every text is cut or padded to this many tokens, special ones included; 1 to [`MAX_TOKENS`].
    pub max_tokens: usize,
    /// Id of the padding token; without it the tokenizer's own, else 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_id: Option<u32>,
    /// Name of the graph's input of token ids, i64 or i32 `[B, max_tokens]`.
    pub ids: String,
    /// Of 1 for a token, 0 for padding, i64, i32 or f32 `[B, max_tokens]`.
    pub mask: String,
    /// Of 1 if there is a picture, 0 if not, f32 `[B, 1]`; without a picture its own input is 0 everywhere.
    pub picture: String,
}

/// From token vectors to one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The graph returns `[1, dim]` itself.
    #[default]
    None,
    /// The graph returns `[1, length, dim]`: mean over the tokens that are not padding.
    Mean,
    /// The graph returns `[1, length, dim]`: the first token's vector.
    Cls,
}

/// Names of a text graph's inputs, each i64 or i32 `[B, length]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextInputs {
    /// Token ids.
    pub ids: String,
    /// 1 for a token, 0 for padding; `null` if the graph has no such input.
    #[serde(default)]
    pub mask: Option<String>,
    /// Segment ids, all 0; `null` if the graph has no such input.
    #[serde(default)]
    pub types: Option<String>,
}

impl TextInputs {
    /// The names that are there.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.ids.as_str()).chain(self.mask.as_deref()).chain(self.types.as_deref())
    }
}

/// How to feed a text encoder, and what comes out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextManifest {
    /// Always `"text"`.
    pub kind: TextTag,
    /// Name for people.
    pub name: String,
    /// Version of this encoder.
    #[serde(default)]
    pub version: u32,
    /// ONNX file, relative to the manifest.
    pub model: String,
    /// Encoders of one space can be compared with each other.
    pub space: String,
    /// Length of the vector.
    pub dim: usize,
    /// `tokenizer.json`, relative to the manifest.
    pub tokenizer: String,
    /// Longer texts are cut to this many tokens, special ones included; 1 to [`MAX_TOKENS`].
    pub max_tokens: usize,
    /// Pad every text to `max_tokens` (SigLIP was trained so). Graphs of a fixed length are padded in any case.
    #[serde(default)]
    pub pad_to_max: bool,
    /// Id of the padding token; without it the tokenizer's own, else 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_id: Option<u32>,
    /// Names of the graph's inputs.
    pub inputs: TextInputs,
    /// Name of the graph's output.
    pub output: String,
    /// From token vectors to one.
    #[serde(default)]
    pub pooling: Pooling,
    /// From cosines to probabilities; without it matches are ranked by bare cosine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibrations>,
    /// SPDX licence of the weights.
    #[serde(default)]
    pub license: String,
    /// Whom to credit.
    #[serde(default)]
    pub attribution: String,
}

impl ImageManifest {
    /// How its network is loaded, and compiled.
    pub fn load_options(&self) -> LoadOptions {
        let mut shapes = vec![(self.input.clone(), self.preprocess.shape().to_vec())];
        if let Some(words) = &self.words {
            let texts = [&words.ids, &words.mask].map(|name| (name.clone(), vec![1, words.max_tokens]));
            shapes.extend(texts);
            shapes.push((words.picture.clone(), vec![1, 1]));
        }
        LoadOptions {
            shapes,
            outputs: std::iter::once(&self.output)
                .chain(self.local.as_ref().map(|local| &local.output))
                .cloned()
                .collect(),
        }
    }

    /// Reads and checks the JSON.
    ///
    /// # Errors
    /// [`ManifestError`] names the field that is wrong.
    pub fn from_json(json: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = parse(json)?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`ManifestError`] names the first field that is out of range.
    pub fn validate(&self) -> Result<(), ManifestError> {
        check_common(&self.name, &self.space, self.dim, self.calibration.as_ref())?;
        check_names(&[("input", &self.input), ("output", &self.output)])?;
        if let Some(local) = &self.local {
            check_names(&[("local.output", &local.output)])?;
            let (side, width) = (local.side, local.width);
            if !(1..=MAX_SIDE).contains(&side)
                || !(2..=MAX_WIDTH).contains(&width)
                || !width.is_multiple_of(2)
            {
                return Err(ManifestError::Local { side, width });
            }
        }
        if let Some(words) = &self.words {
            let names =
                [("words.ids", &words.ids), ("words.mask", &words.mask), ("words.picture", &words.picture)];
            check_names(&names.map(|(field, name)| (field, name.as_str())))?;
            let inputs = [("input", &self.input), names[0], names[1], names[2]];
            check_once(&inputs.map(|(field, name)| (field, name.as_str())))?;
            check_tokens(words.max_tokens)?;
        }
        Ok(self.preprocess.validate()?)
    }
}

impl TextManifest {
    /// How its network is loaded, and compiled.
    pub fn load_options(&self) -> LoadOptions {
        let mut options = LoadOptions { shapes: vec![], outputs: vec![self.output.clone()] };
        if self.pad_to_max {
            let shape = |port: &str| (port.to_owned(), vec![1, self.max_tokens]);
            options.shapes = self.inputs.names().map(shape).collect();
        }
        options
    }

    /// Reads and checks the JSON.
    ///
    /// # Errors
    /// [`ManifestError`] names the field that is wrong.
    pub fn from_json(json: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = parse(json)?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`ManifestError`] names the first field that is out of range.
    pub fn validate(&self) -> Result<(), ManifestError> {
        check_common(&self.name, &self.space, self.dim, self.calibration.as_ref())?;
        check_names(&[("inputs.ids", &self.inputs.ids), ("output", &self.output)])?;
        let TextInputs { ids, mask, types } = &self.inputs;
        let others = [("inputs.mask", mask), ("inputs.types", types)];
        let others = others.into_iter().filter_map(|(field, name)| Some((field, name.as_deref()?)));
        check_once(&std::iter::once(("inputs.ids", ids.as_str())).chain(others).collect::<Vec<_>>())?;
        check_tokens(self.max_tokens)
    }
}

fn check_tokens(max_tokens: usize) -> Result<(), ManifestError> {
    if (1..=MAX_TOKENS).contains(&max_tokens) {
        Ok(())
    } else {
        Err(ManifestError::MaxTokens { found: max_tokens })
    }
}

/// Parses a manifest's JSON, unknown fields refused.
fn parse<T: for<'a> Deserialize<'a>>(json: &[u8]) -> Result<T, ManifestError> {
    serde_json::from_slice(json).map_err(|e| ManifestError::Json { reason: e.to_string() })
}

fn check_common(
    name: &str,
    space: &str,
    dim: usize,
    cal: Option<&Calibrations>,
) -> Result<(), ManifestError> {
    check_names(&[("name", name), ("space", space)])?;
    if !(1..=MAX_MODEL_DIM).contains(&dim) {
        return Err(ManifestError::Dim { found: dim });
    }
    let numbers = cal.iter().flat_map(|c| [c.image, c.text]).flat_map(|c| [c.scale, c.bias]);
    if numbers.into_iter().all(f32::is_finite) { Ok(()) } else { Err(ManifestError::Calibration) }
}

/// Names are shown in one-line messages and stored in packs: short and without control characters.
fn check_names(fields: &[(&'static str, &str)]) -> Result<(), ManifestError> {
    let bad = |n: &str| n.trim().is_empty() || n.len() > 200 || n.chars().any(char::is_control);
    match fields.iter().find(|(_, name)| bad(name)) {
        Some((field, _)) => Err(ManifestError::Name { field }),
        None => Ok(()),
    }
}

/// An input that is named twice would be fed twice, and which of the two counts is nobody's choice.
fn check_once(inputs: &[(&'static str, &str)]) -> Result<(), ManifestError> {
    for (at, &(field, name)) in inputs.iter().enumerate() {
        if let Some(&(first, _)) = inputs[..at].iter().find(|(_, other)| *other == name) {
            return Err(ManifestError::Twice { first, field, name: name.to_owned() });
        }
    }
    Ok(())
}

/// What is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ManifestError {
    /// Not the expected JSON.
    #[error("manifest: {reason}")]
    Json {
        /// What the parser said, with line and column.
        reason: String,
    },
    /// A name that is empty, too long, or not printable.
    #[error("manifest: `{field}` must be 1 to 200 printable bytes")]
    Name {
        /// Field.
        field: &'static str,
    },
    /// One input of the graph for two purposes.
    #[error("manifest: `{first}` and `{field}` both name the input `{name}`; each takes one of its own")]
    Twice {
        /// Field that named it first.
        first: &'static str,
        /// Field that named it again.
        field: &'static str,
        /// The input.
        name: String,
    },
    /// Output dimension.
    #[error("manifest: `dim` is {found}; expected 1 to {MAX_MODEL_DIM}")]
    Dim {
        /// Value given.
        found: usize,
    },
    /// A grid that cannot be, or descriptors of an odd or too large number of values.
    #[error(
        "manifest: `local` is {side} cells a side of {width} numbers; expected 1 to {MAX_SIDE}, and an even number from 2 to {MAX_WIDTH}"
    )]
    Local {
        /// Cells a side given.
        side: usize,
        /// Numbers given.
        width: usize,
    },
    /// Token limit.
    #[error("manifest: `max_tokens` is {found}; expected 1 to {MAX_TOKENS}")]
    MaxTokens {
        /// Value given.
        found: usize,
    },
    /// A calibration that is not finite.
    #[error("manifest: `calibration` holds a number that is not finite")]
    Calibration,
    /// The preprocessing.
    #[error("manifest: `preprocess`: {0}")]
    Preprocess(#[from] SpecError),
}
