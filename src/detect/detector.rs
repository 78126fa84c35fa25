//! A detector network with its preprocessing.

use std::fmt;
use std::sync::Arc;

use super::decode::{Grids, boxes};
use super::manifest::{DetectorManifest, DetectorManifestError};
use super::{Detection, nms};
use crate::cancel::Cancel;
use crate::frame::Frame;
use crate::geometry::Rect;
use crate::preprocess::{Layout, PrepareError, prepare};
use crate::runtime::{self, LoadModelError, Model, ModelBytes, Picture, Pool, RunError, Tensor};

/// Finds products in pictures.
pub struct Detector {
    manifest: DetectorManifest,
    model: Box<dyn Model>,
    /// Where heatmap, size and offset are among the outputs.
    outputs: [usize; 3],
}

impl Detector {
    /// Loads a detector, compiled or ONNX (feature `onnx`). The batch axis may be free or 1.
    ///
    /// # Errors
    /// [`LoadDetectorError`] if the manifest is out of range or the network does not load or fit it.
    pub fn new(manifest: DetectorManifest, model: &[u8]) -> Result<Self, LoadDetectorError> {
        let model: ModelBytes = Arc::new(model.to_vec());
        Self::open(manifest, &model)
    }

    /// As [`new`](Self::new), with a compiled model left where it lies.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn open(manifest: DetectorManifest, model: &ModelBytes) -> Result<Self, LoadDetectorError> {
        manifest.validate()?;
        let model = runtime::load(model, &manifest.load_options())
            .map_err(|source| LoadDetectorError::Model { name: manifest.name.clone(), source })?;
        Self::with_model(manifest, model)
    }

    /// A detector over a network of any engine.
    ///
    /// # Errors
    /// [`LoadDetectorError`] if the manifest is out of range or the network lacks an input or output it names.
    pub fn with_model(manifest: DetectorManifest, model: Box<dyn Model>) -> Result<Self, LoadDetectorError> {
        manifest.validate()?;
        let find = |port: &str, names: &[String]| {
            names.iter().position(|n| n == port).ok_or_else(|| LoadDetectorError::Port {
                name: manifest.name.clone(),
                port: port.into(),
                known: names.join(", "),
            })
        };
        find(&manifest.input, model.input_names())?;
        let [heat, size, offset] = manifest.outputs.names().map(|name| find(name, model.output_names()));
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
        self.detect_until(frame, region, None)
    }

    /// As [`detect_in`](Self::detect_in), but ends early once `cancel` is raised.
    ///
    /// # Errors
    /// As [`detect_in`](Self::detect_in), and [`DetectError::Cancelled`].
    pub fn detect_until(
        &self,
        frame: &Frame<'_>,
        region: Option<Rect>,
        cancel: Option<&Cancel>,
    ) -> Result<Vec<Detection>, DetectError> {
        let m = &self.manifest;
        let prepared = prepare(frame, region, &m.preprocess)?;
        let spec = &m.preprocess;
        let picture = Picture {
            pixels: &prepared.pixels,
            values: &prepared.levels,
            window: prepared.window,
            shape: spec.shape(),
            planar: spec.layout == Layout::Nchw,
            floats: &|| prepared.values(spec),
        };
        let outputs = self.model.run_picture(&m.input, &picture, cancel).map_err(|source| match source {
            RunError::Cancelled => DetectError::Cancelled,
            source => DetectError::Run { name: m.name.clone(), source },
        })?;
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

    /// Lets the threads of `pool` help from now on; boxes stay the same.
    #[must_use]
    pub fn shared(mut self, pool: &Arc<Pool>) -> Self {
        self.model.share(pool);
        self
    }

    /// Bytes that a run holds beside the picture: the prepared tensor and, where known, the network's memory.
    pub fn memory(&self) -> u64 {
        let input: usize = self.manifest.preprocess.shape().iter().product();
        4 * input as u64 + self.model.memory().unwrap_or(0)
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

/// Why a detector cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadDetectorError {
    /// The manifest is out of range.
    #[error("detector: {0}")]
    Manifest(#[from] DetectorManifestError),
    /// The network cannot be loaded.
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
    /// Nobody waits for the boxes any more.
    #[error("cancelled")]
    Cancelled,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Rotation;
    use crate::preprocess::Photo;

    /// Answers with one box around every block of 8×8 input pixels that is mostly white.
    struct WhiteBlocks {
        names: Vec<String>,
        outputs: Vec<String>,
        rows: usize,
    }

    impl WhiteBlocks {
        fn new() -> Box<Self> {
            let outputs = ["size", "heatmap", "offset"].map(String::from).to_vec();
            Box::new(Self { names: vec!["image".into()], outputs, rows: 4 })
        }
    }

    impl Model for WhiteBlocks {
        fn input_names(&self) -> &[String] {
            &self.names
        }

        fn output_names(&self) -> &[String] {
            &self.outputs
        }

        fn run(&self, inputs: Vec<(&str, Tensor)>) -> Result<Vec<Tensor>, RunError> {
            let input = inputs[0].1.as_f32().unwrap();
            let heat = (0..16).map(|cell| {
                let block = (0..64).map(|i| input[(cell / 4 * 8 + i / 8) * 32 + cell % 4 * 8 + i % 8]);
                block.sum::<f32>() / 64.0
            });
            let grid = |channels: usize, mut data: Vec<f32>| {
                data.truncate(channels * self.rows * 4);
                Tensor::f32(&[1, channels, self.rows, 4], data)
            };
            Ok(vec![grid(2, vec![8.0; 32])?, grid(1, heat.collect())?, grid(2, vec![0.5; 32])?])
        }
    }

    fn manifest(change: &[(&str, &str)]) -> DetectorManifest {
        let mut json = r#"{"kind":"detector","name":"white","model":"none","input":"image","stride":8,
            "preprocess":{"width":32,"height":32,"resize":"pad","mean":[0,0,0],"std":[255,255,255]},
            "outputs":{"heatmap":"heatmap","size":"size","offset":"offset"},
            "score_threshold":0.5,"nms_iou":0.5}"#
            .to_owned();
        for (from, to) in change {
            assert!(json.contains(from));
            json = json.replace(from, to);
        }
        DetectorManifest::from_json(json.as_bytes()).unwrap()
    }

    /// Black with one white block, four frame pixels an input pixel.
    fn scene(width: u32, height: u32, block: Rect) -> Photo {
        let mut photo = Photo::new(width, height, vec![0; (width * height * 3) as usize]).unwrap();
        for y in block.y as u32..(block.y + block.h) as u32 {
            let start = (y * width + block.x as u32) as usize * 3;
            photo.rgb_mut()[start..start + block.w as usize * 3].fill(255);
        }
        photo
    }

    #[test]
    fn boxes_come_back_in_frame_pixels() {
        let detector = Detector::with_model(manifest(&[]), WhiteBlocks::new()).unwrap();
        // 128×64 is padded by 8 input pixels above and below, one row of cells.
        let block = Rect::new(64.0, 32.0, 32.0, 32.0);
        let photo = scene(128, 64, block);
        let found = detector.detect(&photo.frame()).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].rect.iou(&block) > 0.99 && found[0].score > 0.9, "{found:?}");
        // A camera lying on its side: the upright picture is 64×128, and the block at the left becomes the top.
        let lying = photo.frame().rotated(Rotation::R90);
        let found = detector.detect(&lying).unwrap();
        let upright = Rect::new(0.0, 64.0, 32.0, 32.0);
        assert!(found.len() == 1 && found[0].rect.iou(&upright) > 0.99, "{found:?}");
        // Only the right half, which is seen twice as large: the block fills four cells.
        let found = detector.detect_in(&photo.frame(), Some(Rect::new(64.0, 0.0, 64.0, 64.0))).unwrap();
        assert!(!found.is_empty() && found.iter().all(|d| d.rect.intersection(&block) > 0.9 * d.rect.area()));
    }

    #[test]
    fn nothing_white_gives_nothing() {
        let detector = Detector::with_model(manifest(&[]), WhiteBlocks::new()).unwrap();
        assert_eq!(detector.detect(&scene(50, 70, Rect::new(0.0, 0.0, 0.0, 0.0)).frame()), Ok(vec![]));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let load = |m| Detector::with_model(m, WhiteBlocks::new()).map(|_| ()).unwrap_err().to_string();
        let missing = load(manifest(&[(r#""heatmap":"heatmap""#, r#""heatmap":"heat""#)]));
        assert_eq!(missing, "detector white: the manifest names `heat`, the model has size, heatmap, offset");
        let mut fake = WhiteBlocks::new();
        fake.rows = 2;
        let wrong = Detector::with_model(manifest(&[]), fake).unwrap();
        let photo = scene(32, 32, Rect::new(0.0, 0.0, 8.0, 8.0));
        let error = wrong.detect(&photo.frame()).unwrap_err().to_string();
        assert!(
            error.contains("`heatmap` is f32 [1, 1, 2, 4]") && error.contains("f32 [1, 1, 4, 4]"),
            "{error}"
        );
        let bad = DetectorManifest { stride: 7, ..manifest(&[]) };
        assert!(matches!(bad.validate(), Err(DetectorManifestError::Stride { stride: 7, .. })));
        let bad = DetectorManifest { nms_iou: f32::NAN, ..manifest(&[]) };
        assert!(matches!(bad.validate(), Err(DetectorManifestError::Share { field: "nms_iou", .. })));
    }
}
