//! Words to vectors.

use std::fmt;
use std::sync::Arc;

use super::manifest::{Pooling, TextManifest};
use super::words::Words;
use super::{EncodeError, EncoderId, LoadEncoderError, list, single_vector, unit, wrong_output};
use crate::cancel::Cancel;
use crate::embedding::Embedding;
use crate::runtime::{self, Kind, Model, ModelBytes, Pool, Tensor};

/// A text network with its tokenizer.
pub struct TextEncoder {
    manifest: TextManifest,
    id: EncoderId,
    words: Words,
    model: Box<dyn Model>,
    output: usize,
}

impl TextEncoder {
    /// Loads a text encoder, compiled or ONNX (feature `onnx`), and its `tokenizer.json`. Batch and length may be free
    /// or fixed.
    ///
    /// # Errors
    /// [`LoadEncoderError`] if the manifest is out of range, or network or tokenizer do not load or fit it.
    pub fn new(
        manifest: TextManifest,
        model: &[u8],
        tokenizer_json: &[u8],
    ) -> Result<Self, LoadEncoderError> {
        let model: ModelBytes = Arc::new(model.to_vec());
        Self::open(manifest, &model, tokenizer_json)
    }

    /// As [`new`](Self::new), with a compiled model left where it lies.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn open(
        manifest: TextManifest,
        model: &ModelBytes,
        tokenizer_json: &[u8],
    ) -> Result<Self, LoadEncoderError> {
        check(&manifest)?;
        let id = EncoderId::of_text(&manifest, (**model).as_ref(), tokenizer_json);
        let model = runtime::load(model, &manifest.load_options())
            .map_err(|source| LoadEncoderError::Model { name: manifest.name.clone(), source })?;
        Self::with_model(manifest, model, tokenizer_json, id)
    }

    /// An encoder over a network of any engine.
    ///
    /// # Errors
    /// [`LoadEncoderError`] if the manifest is out of range, the tokenizer does not load, or the network lacks the
    /// inputs or the output that the manifest names.
    pub fn with_model(
        manifest: TextManifest,
        model: Box<dyn Model>,
        tokenizer_json: &[u8],
        id: EncoderId,
    ) -> Result<Self, LoadEncoderError> {
        check(&manifest)?;
        let name = &manifest.name;
        let missing = |what, wanted: &str, names: &[String]| LoadEncoderError::Port {
            name: name.clone(),
            what,
            port: wanted.into(),
            known: list(names),
        };
        let mut length = manifest.pad_to_max.then_some(manifest.max_tokens);
        for port in manifest.inputs.names() {
            if !model.input_names().iter().any(|n| n == port) {
                return Err(missing("input", port, model.input_names()));
            }
            let Some(declared) = model.port(port) else { continue };
            match (declared.kind, declared.shape.as_slice()) {
                (Kind::I64, [None | Some(1), None]) => {}
                (Kind::I64, [None | Some(1), Some(fixed)]) => length = Some(*fixed),
                _ => {
                    let found = format!("{} {:?}", declared.kind, declared.shape);
                    return Err(LoadEncoderError::TextInput { name: name.clone(), port: port.into(), found });
                }
            }
        }
        if let Some(other) =
            model.input_names().iter().find(|n| !manifest.inputs.names().any(|p| p == n.as_str()))
        {
            return Err(LoadEncoderError::Unfed { name: name.clone(), port: other.clone() });
        }
        let output = model.output_names().iter().position(|n| *n == manifest.output);
        let output = output.ok_or_else(|| missing("output", &manifest.output, model.output_names()))?;
        let known = model.table_rows(&manifest.inputs.ids);
        let words = Words::read(name, tokenizer_json, manifest.max_tokens, manifest.pad_id, length, known)?;
        Ok(Self { id, words, model, output, manifest })
    }

    /// Lets the threads of `pool` help from now on; vectors stay the same.
    #[must_use]
    pub fn shared(mut self, pool: &Arc<Pool>) -> Self {
        self.model.share(pool);
        self
    }

    /// The unit vector of a text, cut to the manifest's `max_tokens`.
    ///
    /// # Errors
    /// [`EncodeError`] if the text is empty or nothing but what the tokenizer drops, or the network fails or returns
    /// something else than the manifest says.
    pub fn encode(&self, text: &str) -> Result<Embedding, EncodeError> {
        self.encode_until(text, None)
    }

    /// As [`encode`](Self::encode), but ends early once `cancel` is raised.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and [`EncodeError::Cancelled`].
    pub fn encode_until(&self, text: &str, cancel: Option<&Cancel>) -> Result<Embedding, EncodeError> {
        let tokens = self.words.tokens(text)?;
        let (name, length) = (&self.manifest.name, tokens.ids.len());
        let whole = |data: Vec<i64>| Tensor::I64 { shape: vec![1, length], data };
        let names = &self.manifest.inputs;
        let mut inputs = vec![(names.ids.as_str(), whole(tokens.ids))];
        if let Some(mask) = &names.mask {
            inputs.push((mask, whole(tokens.mask.clone())));
        }
        if let Some(types) = &names.types {
            inputs.push((types, whole(vec![0; length])));
        }
        let outputs = self.model.run_until(inputs, cancel).map_err(|e| EncodeError::of_run(name, e))?;
        let output = outputs.into_iter().nth(self.output);
        match self.manifest.pooling {
            Pooling::None => single_vector(name, output, self.manifest.dim),
            pooling => pool(name, output, self.manifest.dim, &tokens.mask, pooling),
        }
    }

    /// Bytes that a run holds where the network knows, at its longest text.
    pub fn memory(&self) -> u64 {
        self.model.memory().unwrap_or(0)
    }

    /// How the network is fed.
    pub fn manifest(&self) -> &TextManifest {
        &self.manifest
    }

    /// Identity of network, tokenizer and preprocessing.
    pub fn id(&self) -> EncoderId {
        self.id
    }

    /// What in the tokenizer's file phones do not read, which are built without the feature `any-tokenizer`; `None` if
    /// they read it all.
    pub fn unread_on_phones(&self) -> Option<&str> {
        self.words.unread_on_phones()
    }
}

impl fmt::Debug for TextEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextEncoder")
            .field("name", &self.manifest.name)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// One vector from `[1, length, dim]`.
fn pool(
    name: &str,
    output: Option<Tensor>,
    dim: usize,
    mask: &[i64],
    pooling: Pooling,
) -> Result<Embedding, EncodeError> {
    let length = mask.len();
    let data = match &output {
        Some(Tensor::F32 { shape, data }) if *shape == [1, length, dim] && data.len() == length * dim => data,
        other => return Err(wrong_output(name, other.as_ref(), format!("f32 [1, {length}, {dim}]"))),
    };
    if pooling == Pooling::Cls {
        return unit(name, data[..dim].to_vec());
    }
    let mut sum = vec![0f32; dim];
    for (token, _) in data.chunks_exact(dim).zip(mask).filter(|(_, m)| **m == 1) {
        sum.iter_mut().zip(token).for_each(|(s, v)| *s += v);
    }
    // The mean has the direction of the sum.
    unit(name, sum)
}

fn check(manifest: &TextManifest) -> Result<(), LoadEncoderError> {
    Ok(manifest.validate()?)
}
