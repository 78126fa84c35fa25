//! Pictures to vectors, and pictures with words.

use std::fmt;
use std::sync::Arc;

use super::manifest::ImageManifest;
use super::words::{Tokens, Words};
use super::{EncodeError, EncoderId, LoadEncoderError, cells, list, single_vector};
use crate::cancel::Cancel;
use crate::embedding::{Cells, Embedding};
use crate::frame::Frame;
use crate::geometry::Rect;
use crate::preprocess::{Layout, prepare};
use crate::runtime::{self, Kind, Model, ModelBytes, Picture, Pool, Tensor};

/// An image network with its preprocessing. One whose manifest names `words` reads a picture and words together (ITEm):
/// either may be missing.
pub struct ImageEncoder {
    manifest: ImageManifest,
    id: EncoderId,
    model: Box<dyn Model>,
    output: usize,
    /// Place of the local descriptors among the outputs.
    local: Option<usize>,
    words: Option<Words>,
}

/// What is encoded: a picture or a part of it, words, or both.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown<'a> {
    /// A picture.
    pub frame: Option<&'a Frame<'a>>,
    /// Of the picture, in upright pixels; all of it if `None`.
    pub region: Option<Rect>,
    /// Words; left out by an encoder that [reads none](ImageEncoder::reads_words).
    pub text: Option<&'a str>,
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
        Self::open_with(manifest, model, &[])
    }

    /// As [`open`](Self::open), with the `tokenizer.json` of an encoder that reads words too; empty for others.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if the tokenizer does not load.
    pub fn open_with(
        manifest: ImageManifest,
        model: &ModelBytes,
        tokenizer_json: &[u8],
    ) -> Result<Self, LoadEncoderError> {
        check(&manifest)?;
        let id = EncoderId::of_image(&manifest, (**model).as_ref(), tokenizer_json);
        let model = runtime::load(model, &manifest.load_options())
            .map_err(|source| LoadEncoderError::Model { name: manifest.name.clone(), source })?;
        Self::with_model(manifest, model, tokenizer_json, id)
    }

    /// An encoder over a network of any engine.
    ///
    /// # Errors
    /// [`LoadEncoderError`] if the manifest is out of range, the network lacks an input or output it names, or the
    /// tokenizer does not load.
    pub fn with_model(
        manifest: ImageManifest,
        model: Box<dyn Model>,
        tokenizer_json: &[u8],
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
        let mut fed = vec![&manifest.input];
        let mut words = None;
        if let Some(inputs) = &manifest.words {
            for name in [&inputs.ids, &inputs.mask, &inputs.picture] {
                port("input", name, model.input_names())?;
                fed.push(name);
            }
            let length = Some(inputs.max_tokens);
            let known = model.table_rows(&inputs.ids);
            let (max, pad) = (inputs.max_tokens, inputs.pad_id);
            words = Some(Words::read(&manifest.name, tokenizer_json, max, pad, length, known)?);
        }
        if let Some(other) = model.input_names().iter().find(|n| !fed.contains(n)) {
            return Err(LoadEncoderError::Unfed { name: manifest.name.clone(), port: other.clone() });
        }
        Ok(Self { manifest, id, model, output, local, words })
    }

    /// Whether words are read together with the picture.
    pub fn reads_words(&self) -> bool {
        self.words.is_some()
    }

    /// Whether the tokenizer makes something of a text.
    ///
    /// # Errors
    /// [`EncodeError`] says why not.
    pub fn check_words(&self, text: &str) -> Result<(), EncodeError> {
        self.words.as_ref().map_or(Err(EncodeError::EmptyText), |words| words.tokens(text).map(|_| ()))
    }

    /// What in the tokenizer's file phones do not read; `None` if they read it all, or there is none.
    pub fn unread_on_phones(&self) -> Option<&str> {
        self.words.as_ref().and_then(Words::unread_on_phones)
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
        let shown = Shown { frame: Some(frame), region, text: None };
        self.vector(self.run(&shown, cancel)?)
    }

    /// The unit vector of a picture, words, or both, and the picture's local descriptors, if the encoder gives them.
    ///
    /// # Errors
    /// As [`encode_until`](Self::encode_until). Words of which the tokenizer leaves or knows nothing are
    /// [`EncodeError::EmptyText`] and [`EncodeError::UnknownText`], unless there is a picture: then they are left out.
    pub fn encode_shown(
        &self,
        shown: &Shown<'_>,
        cancel: Option<&Cancel>,
    ) -> Result<(Embedding, Option<Cells>), EncodeError> {
        let outputs = self.run(shown, cancel)?;
        let cells = match (&self.manifest.local, self.local, shown.frame) {
            (Some(local), Some(at), Some(_)) => Some(cells(&self.manifest.name, outputs.get(at), local)?),
            _ => None,
        };
        Ok((self.vector(outputs)?, cells))
    }

    fn run(&self, shown: &Shown<'_>, cancel: Option<&Cancel>) -> Result<Vec<Tensor>, EncodeError> {
        let spec = &self.manifest.preprocess;
        let prepared = shown.frame.map(|frame| prepare(frame, shown.region, spec)).transpose()?;
        let outputs = match (&self.words, prepared) {
            (None, None) => return Err(EncodeError::EmptyText),
            (None, Some(prepared)) => {
                let picture = Picture {
                    pixels: &prepared.pixels,
                    values: &prepared.levels,
                    window: prepared.window,
                    shape: spec.shape(),
                    planar: spec.layout == Layout::Nchw,
                    floats: &|| prepared.values(spec),
                };
                self.model.run_picture(&self.manifest.input, &picture, cancel)
            }
            (Some(words), prepared) => {
                let tokens = match words.tokens(shown.text.unwrap_or_default()) {
                    Err(EncodeError::EmptyText | EncodeError::UnknownText { .. }) if prepared.is_some() => {
                        words.none()
                    }
                    tokens => tokens?,
                };
                self.model.run_until(self.inputs(tokens, prepared.map(|p| p.values(spec))), cancel)
            }
        };
        outputs.map_err(|e| EncodeError::of_run(&self.manifest.name, e))
    }

    /// What an encoder that reads words is fed.
    fn inputs(&self, tokens: Tokens, picture: Option<Vec<f32>>) -> Vec<(&str, Tensor)> {
        let shape = self.manifest.preprocess.shape();
        let there = if picture.is_some() { 1.0 } else { 0.0 };
        let data = picture.unwrap_or_else(|| vec![0.0; shape.iter().product()]);
        let mut inputs = vec![(self.manifest.input.as_str(), Tensor::F32 { shape: shape.to_vec(), data })];
        let Some(names) = &self.manifest.words else { return inputs };
        let row = vec![1, tokens.ids.len()];
        inputs.push((&names.ids, Tensor::I64 { shape: row.clone(), data: tokens.ids }));
        let floats = self.model.port(&names.mask).is_some_and(|port| port.kind == Kind::F32);
        inputs.push((
            &names.mask,
            match floats {
                true => Tensor::F32 { shape: row, data: tokens.mask.iter().map(|&m| m as f32).collect() },
                false => Tensor::I64 { shape: row, data: tokens.mask },
            },
        ));
        inputs.push((&names.picture, Tensor::F32 { shape: vec![1, 1], data: vec![there] }));
        inputs
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
