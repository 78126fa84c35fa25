//! Pictures to vectors.

use std::fmt;
use std::sync::Arc;

use super::manifest::ImageManifest;
use super::{EncodeError, EncoderId, LoadEncoderError, cells, list, single_vector};
use crate::cancel::Cancel;
use crate::embedding::{Cells, Embedding};
use crate::frame::Frame;
use crate::geometry::Rect;
use crate::preprocess::{Layout, prepare};
use crate::runtime::{self, Model, ModelBytes, Picture, Pool, Tensor};

/// An image network with its preprocessing.
pub struct ImageEncoder {
    manifest: ImageManifest,
    id: EncoderId,
    model: Box<dyn Model>,
    output: usize,
    /// Place of the local descriptors among the outputs.
    local: Option<usize>,
}

impl ImageEncoder {
    /// Loads an image encoder, compiled or ONNX (feature `onnx`). The batch axis may be free or 1.
    ///
    /// # Errors
    /// [`LoadEncoderError`] if the manifest is out of range or the network does not load or fit it.
    pub fn new(manifest: ImageManifest, model: &[u8]) -> Result<Self, LoadEncoderError> {
        let model: ModelBytes = Arc::new(model.to_vec());
        Self::open(manifest, &model)
    }

    /// As [`new`](Self::new), with a compiled model left where it lies.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn open(manifest: ImageManifest, model: &ModelBytes) -> Result<Self, LoadEncoderError> {
        check(&manifest)?;
        let id = EncoderId::of_image(&manifest, (**model).as_ref());
        let model = runtime::load(model, &manifest.load_options())
            .map_err(|source| LoadEncoderError::Model { name: manifest.name.clone(), source })?;
        Self::with_model(manifest, model, id)
    }

    /// An encoder over a network of any engine.
    ///
    /// # Errors
    /// [`LoadEncoderError`] if the manifest is out of range or the network lacks the input or output it names.
    pub fn with_model(
        manifest: ImageManifest,
        model: Box<dyn Model>,
        id: EncoderId,
    ) -> Result<Self, LoadEncoderError> {
        check(&manifest)?;
        let port = |what, wanted: &String, names: &[String]| {
            names.iter().position(|n| n == wanted).ok_or_else(|| LoadEncoderError::Port {
                name: manifest.name.clone(),
                what,
                port: wanted.clone(),
                known: list(names),
            })
        };
        port("input", &manifest.input, model.input_names())?;
        let output = port("output", &manifest.output, model.output_names())?;
        let local = manifest.local.as_ref().map(|local| port("output", &local.output, model.output_names()));
        let local = local.transpose()?;
        if let Some(other) = model.input_names().iter().find(|n| **n != manifest.input) {
            return Err(LoadEncoderError::Unfed { name: manifest.name, port: other.clone() });
        }
        Ok(Self { manifest, id, model, output, local })
    }

    /// The unit vector of `region` (upright pixels; the whole frame if `None`).
    ///
    /// # Errors
    /// [`EncodeError`] if the region is outside the frame or the network fails or returns something else than one
    /// finite vector of the manifest's length.
    pub fn encode(&self, frame: &Frame<'_>, region: Option<Rect>) -> Result<Embedding, EncodeError> {
        self.encode_until(frame, region, None)
    }

    /// As [`encode`](Self::encode), but ends early once `cancel` is raised.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and [`EncodeError::Cancelled`].
    pub fn encode_until(
        &self,
        frame: &Frame<'_>,
        region: Option<Rect>,
        cancel: Option<&Cancel>,
    ) -> Result<Embedding, EncodeError> {
        self.vector(self.run(frame, region, cancel)?)
    }

    /// As [`encode_until`](Self::encode_until), with the local descriptors, if the encoder gives them.
    ///
    /// # Errors
    /// As [`encode_until`](Self::encode_until).
    pub fn encode_cells_until(
        &self,
        frame: &Frame<'_>,
        region: Option<Rect>,
        cancel: Option<&Cancel>,
    ) -> Result<(Embedding, Option<Cells>), EncodeError> {
        let outputs = self.run(frame, region, cancel)?;
        let cells = match (&self.manifest.local, self.local) {
            (Some(local), Some(at)) => Some(cells(&self.manifest.name, outputs.get(at), local)?),
            _ => None,
        };
        Ok((self.vector(outputs)?, cells))
    }

    fn run(
        &self,
        frame: &Frame<'_>,
        region: Option<Rect>,
        cancel: Option<&Cancel>,
    ) -> Result<Vec<Tensor>, EncodeError> {
        let prepared = prepare(frame, region, &self.manifest.preprocess)?;
        let spec = &self.manifest.preprocess;
        let picture = Picture {
            pixels: &prepared.pixels,
            values: &prepared.levels,
            window: prepared.window,
            shape: spec.shape(),
            planar: spec.layout == Layout::Nchw,
            floats: &|| prepared.values(spec),
        };
        let outputs = self.model.run_picture(&self.manifest.input, &picture, cancel);
        outputs.map_err(|e| EncodeError::of_run(&self.manifest.name, e))
    }

    /// The unit vector of a tensor that is prepared already, of the shape that the preprocessing gives.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_values(&self, values: Vec<f32>) -> Result<Embedding, EncodeError> {
        let shape = self.manifest.preprocess.shape().to_vec();
        let input = vec![(self.manifest.input.as_str(), Tensor::F32 { shape, data: values })];
        let outputs = self.model.run(input).map_err(|e| EncodeError::of_run(&self.manifest.name, e))?;
        self.vector(outputs)
    }

    fn vector(&self, outputs: Vec<Tensor>) -> Result<Embedding, EncodeError> {
        single_vector(&self.manifest.name, outputs.into_iter().nth(self.output), self.manifest.dim)
    }

    /// Lets the threads of `pool` help from now on; vectors stay the same.
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

    /// Short side in pixels of a picture of one product that the encoder's input still gains from.
    pub fn picture_side(&self) -> u32 {
        let spec = &self.manifest().preprocess;
        (spec.width.max(spec.height) as f32 / spec.crop_fraction).ceil() as u32
    }

    /// How the network is fed.
    pub fn manifest(&self) -> &ImageManifest {
        &self.manifest
    }

    /// Identity of network and preprocessing.
    pub fn id(&self) -> EncoderId {
        self.id
    }
}

impl fmt::Debug for ImageEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageEncoder")
            .field("name", &self.manifest.name)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

fn check(manifest: &ImageManifest) -> Result<(), LoadEncoderError> {
    Ok(manifest.validate()?)
}
