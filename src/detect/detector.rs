//! A detector network with its preprocessing.

use std::fmt;

use super::decode::{Grids, boxes};
use super::manifest::{DetectorManifest, DetectorManifestError};
use super::{Detection, nms};
use crate::frame::Frame;
use crate::geometry::Rect;
use crate::preprocess::{PrepareError, prepare};
#[cfg(feature = "onnx")]
use crate::runtime::LoadModelError;
use crate::runtime::{Model, RunError, Tensor};

/// Finds products in pictures.
pub struct Detector {
    manifest: DetectorManifest,
    model: Box<dyn Model>,
    /// Where heatmap, size and offset are among the outputs.
    outputs: [usize; 3],
}

impl Detector {
    /// Loads an ONNX detector. The batch axis may be free or 1.
    ///
    /// # Errors
    /// [`LoadDetectorError`] if the manifest is out of range or the network does not load or fit it.
    #[cfg(feature = "onnx")]
    pub fn new(manifest: DetectorManifest, model: &[u8]) -> Result<Self, LoadDetectorError> {
        use crate::runtime::{LoadOptions, load_onnx};
        manifest.validate()?;
        let options = LoadOptions {
            shapes: vec![(manifest.input.clone(), manifest.preprocess.shape().to_vec())],
            outputs: output_names(&manifest).map(Clone::clone).to_vec(),
        };
        let model = load_onnx(model, &options)
            .map_err(|source| LoadDetectorError::Model { name: manifest.name.clone(), source })?;
        Self::with_model(manifest, model)
    }

    /// A detector over a network of any engine.
    ///
    /// # Errors
    /// [`LoadDetectorError`] if the manifest is out of range or the network lacks an input or output it names.
    pub fn with_model(manifest: DetectorManifest, model: Box<dyn Model>) -> Result<Self, LoadDetectorError> {
        manifest.validate()?;
        let find = |port: &String, names: &[String]| {
            names.iter().position(|n| n == port).ok_or_else(|| LoadDetectorError::Port {
                name: manifest.name.clone(),
                port: port.clone(),
                known: names.join(", "),
            })
        };
        find(&manifest.input, model.input_names())?;
        let [heat, size, offset] = output_names(&manifest).map(|name| find(name, model.output_names()));
        Ok(Self { outputs: [heat?, size?, offset?], model, manifest })
    }

    /// Products in a picture, by falling score, at most [`MAX_DETECTIONS`](super::MAX_DETECTIONS); empty if there
    /// are none.
    ///
    /// # Errors
    /// [`DetectError`] if the network fails or returns grids of other shapes than the manifest says.
    pub fn detect(&self, frame: &Frame<'_>) -> Result<Vec<Detection>, DetectError> {
        self.detect_in(frame, None)
    }

    /// As [`detect`](Self::detect), within `region` (upright pixels; the whole frame if `None`). Boxes are in pixels
    /// of the whole frame.
    ///
    /// # Errors
    /// As [`detect`](Self::detect), and if the region is outside the frame.
    pub fn detect_in(&self, frame: &Frame<'_>, region: Option<Rect>) -> Result<Vec<Detection>, DetectError> {
        let m = &self.manifest;
        let prepared = prepare(frame, region, &m.preprocess)?;
        let shape = m.preprocess.shape().to_vec();
        let input = vec![(m.input.as_str(), Tensor::F32 { shape, data: prepared.values })];
        let outputs =
            self.model.run(input).map_err(|source| DetectError::Run { name: m.name.clone(), source })?;
        let (columns, rows) = m.grid();
        let [heat, size, offset] = self.outputs;
        let grids = Grids {
            columns,
            rows,
            heat: self.grid(&outputs, heat, &m.outputs.heatmap, 1)?,
            size: self.grid(&outputs, size, &m.outputs.size, 2)?,
            offset: self.grid(&outputs, offset, &m.outputs.offset, 2)?,
        };
        let (width, height) = frame.size();
        let mut found = boxes(&grids, m.stride as f32, m.score_threshold);
        found.retain_mut(|d| match prepared.placement.to_frame(d.rect).clip(width, height) {
            Some(rect) => {
                d.rect = rect;
                true
            }
            None => false,
        });
        Ok(nms(found, m.nms_iou))
    }

    /// How the network is fed and read.
    pub fn manifest(&self) -> &DetectorManifest {
        &self.manifest
    }

    fn grid<'a>(
        &self,
        outputs: &'a [Tensor],
        at: usize,
        output: &str,
        channels: usize,
    ) -> Result<&'a [f32], DetectError> {
        let (columns, rows) = self.manifest.grid();
        let expected = [1, channels, rows, columns];
        match outputs.get(at) {
            Some(Tensor::F32 { shape, data })
                if *shape == expected && data.len() == expected.iter().product::<usize>() =>
            {
                Ok(data)
            }
            other => Err(DetectError::Output {
                name: self.manifest.name.clone(),
                output: output.into(),
                found: other.map_or_else(|| "missing".into(), |t| format!("{} {:?}", t.kind(), t.shape())),
                expected: format!("f32 {expected:?}"),
            }),
        }
    }
}

impl fmt::Debug for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detector").field("name", &self.manifest.name).finish_non_exhaustive()
    }
}

/// In the order of [`Detector::outputs`].
fn output_names(manifest: &DetectorManifest) -> [&String; 3] {
    let names = &manifest.outputs;
    [&names.heatmap, &names.size, &names.offset]
}

/// Why a detector cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadDetectorError {
    /// The manifest is out of range.
    #[error("detector: {0}")]
    Manifest(#[from] DetectorManifestError),
    /// The network cannot be loaded.
    #[cfg(feature = "onnx")]
    #[error("detector {name}: {source}")]
    Model {
        /// Name in the manifest.
        name: String,
        /// What stands in the way.
        source: LoadModelError,
    },
    /// An input or output of the manifest that the network does not have.
    #[error("detector {name}: the manifest names `{port}`, the model has {known}")]
    Port {
        /// Name in the manifest.
        name: String,
        /// Input or output wanted.
        port: String,
        /// What it has.
        known: String,
    },
}

/// Why no boxes could be found.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DetectError {
    /// The picture or region cannot be prepared.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The network did not run.
    #[error("detector {name}: {source}")]
    Run {
        /// Name of the detector.
        name: String,
        /// Why.
        source: RunError,
    },
    /// A grid of another shape than the manifest says.
    #[error("detector {name}: the output `{output}` is {found}, the manifest says {expected}")]
    Output {
        /// Name of the detector.
        name: String,
        /// The output.
        output: String,
        /// Shape that came out.
        found: String,
        /// Shape that fits the manifest.
        expected: String,
    },
}
