//! The JSON beside a detector model.

use serde::{Deserialize, Serialize};

use crate::preprocess::{ImageSpec, SpecError};
use crate::runtime::LoadOptions;

/// `"kind": "detector"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DetectorTag {
    /// The only value.
    #[default]
    #[serde(rename = "detector")]
    Detector,
}

/// Names of the graph's outputs, over a grid of `H/stride × W/stride` cells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorOutputs {
    /// f32 `[1, 1, h, w]`, after the sigmoid: 1 at a product's centre.
    pub heatmap: String,
    /// f32 `[1, 2, h, w]`: width and height in input pixels.
    pub size: String,
    /// f32 `[1, 2, h, w]`: where in its cell the centre lies, across and down, in cells.
    pub offset: String,
}

impl DetectorOutputs {
    /// Heatmap, size, offset.
    pub fn names(&self) -> [&str; 3] {
        [&self.heatmap, &self.size, &self.offset]
    }
}

/// How to feed a detector and read what comes out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorManifest {
    /// Always `"detector"`.
    pub kind: DetectorTag,
    /// Name for people.
    pub name: String,
    /// Version of this detector.
    #[serde(default)]
    pub version: u32,
    /// ONNX file, relative to the manifest.
    pub model: String,
    /// Name of the graph's input.
    pub input: String,
    /// Resize and normalisation.
    pub preprocess: ImageSpec,
    /// Names of the graph's outputs.
    pub outputs: DetectorOutputs,
    /// Input pixels a cell, both ways; must divide the input's sides.
    pub stride: u32,
    /// Centres below this are dropped, `0..=1`.
    pub score_threshold: f32,
    /// Of two boxes that overlap by more than this, the weaker goes; `0..=1`.
    pub nms_iou: f32,
    /// SPDX licence of the weights.
    #[serde(default)]
    pub license: String,
    /// Whom to credit.
    #[serde(default)]
    pub attribution: String,
}

impl DetectorManifest {
    /// How its network is loaded, and compiled.
    pub fn load_options(&self) -> LoadOptions {
        LoadOptions {
            shapes: vec![(self.input.clone(), self.preprocess.shape().to_vec())],
            outputs: self.outputs.names().map(str::to_owned).to_vec(),
        }
    }

    /// Reads and checks the JSON.
    ///
    /// # Errors
    /// [`DetectorManifestError`] names the field that is wrong.
    pub fn from_json(json: &[u8]) -> Result<Self, DetectorManifestError> {
        let manifest: Self = serde_json::from_slice(json)
            .map_err(|e| DetectorManifestError::Json { reason: e.to_string() })?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`DetectorManifestError`] names the first field that is out of range.
    pub fn validate(&self) -> Result<(), DetectorManifestError> {
        if self.name.trim().is_empty() || self.name.len() > 200 || self.name.chars().any(char::is_control) {
            return Err(DetectorManifestError::Name);
        }
        self.preprocess.validate()?;
        let (width, height, stride) = (self.preprocess.width, self.preprocess.height, self.stride);
        if stride == 0 || !width.is_multiple_of(stride) || !height.is_multiple_of(stride) {
            return Err(DetectorManifestError::Stride { stride, width, height });
        }
        for (field, value) in [("score_threshold", self.score_threshold), ("nms_iou", self.nms_iou)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(DetectorManifestError::Share { field, value });
            }
        }
        Ok(())
    }

    /// Columns and rows of the grid.
    pub fn grid(&self) -> (usize, usize) {
        let cells = |side: u32| (side / self.stride.max(1)) as usize;
        (cells(self.preprocess.width), cells(self.preprocess.height))
    }
}

/// What is wrong with a detector's manifest.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DetectorManifestError {
    /// Not the expected JSON.
    #[error("manifest: {reason}")]
    Json {
        /// What the parser said, with line and column.
        reason: String,
    },
    /// A name that is empty, too long, or not printable.
    #[error("manifest: `name` must be 1 to 200 printable bytes")]
    Name,
    /// A stride that does not divide the input.
    #[error("manifest: `stride` {stride} does not divide the input of {width}×{height}")]
    Stride {
        /// Stride given.
        stride: u32,
        /// Input width.
        width: u32,
        /// Input height.
        height: u32,
    },
    /// A share outside `0..=1`.
    #[error("manifest: `{field}` is {value}; expected 0 to 1")]
    Share {
        /// Field.
        field: &'static str,
        /// Value given.
        value: f32,
    },
    /// The preprocessing.
    #[error("manifest: `preprocess`: {0}")]
    Preprocess(#[from] SpecError),
}
