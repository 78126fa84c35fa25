//! The identity of an encoder.

use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::manifest::{ImageManifest, Pooling, TextInputs, TextManifest, WordsInputs};
use crate::preprocess::ImageSpec;
use crate::runtime::plan;

/// SHA-256 over everything that changes an encoder's vectors: network, tokenizer, preprocessing. Two encoders with
/// one id give the same vectors; a pack refuses queries of another id than its rows have. Names, licences and
/// calibration are not part of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EncoderId(pub [u8; 32]);

impl EncoderId {
    /// Identity of an image encoder; `tokenizer` is empty where it reads no words.
    pub fn of_image(manifest: &ImageManifest, model: &[u8], tokenizer: &[u8]) -> Self {
        #[derive(Serialize)]
        struct Canonical<'a> {
            input: &'a str,
            output: &'a str,
            dim: usize,
            preprocess: &'a ImageSpec,
            #[serde(skip_serializing_if = "Option::is_none")]
            words: Option<Words<'a>>,
        }
        #[derive(Serialize)]
        struct Words<'a> {
            ids: &'a str,
            mask: &'a str,
            picture: &'a str,
            max_tokens: usize,
            pad_id: Option<u32>,
        }
        let ImageManifest { input, output, dim, preprocess, words, .. } = manifest;
        let words = words.as_ref().map(|WordsInputs { ids, mask, picture, max_tokens, pad_id, .. }| Words {
            ids,
            mask,
            picture,
            max_tokens: *max_tokens,
            pad_id: *pad_id,
        });
        let canonical = Canonical { input, output, dim: *dim, preprocess, words };
        Self::hash("shelfsight image encoder 1", model, tokenizer, &canonical)
    }

    /// Identity of a text encoder.
    pub fn of_text(manifest: &TextManifest, model: &[u8], tokenizer: &[u8]) -> Self {
        #[derive(Serialize)]
        struct Canonical<'a> {
            inputs: &'a TextInputs,
            output: &'a str,
            dim: usize,
            max_tokens: usize,
            pad_to_max: bool,
            pad_id: Option<u32>,
            pooling: Pooling,
        }
        let TextManifest { inputs, output, dim, max_tokens, pad_to_max, pad_id, pooling, .. } = manifest;
        let canonical = Canonical {
            inputs,
            output,
            dim: *dim,
            max_tokens: *max_tokens,
            pad_to_max: *pad_to_max,
            pad_id: *pad_id,
            pooling: *pooling,
        };
        Self::hash("shelfsight text encoder 1", model, tokenizer, &canonical)
    }

    /// Each part is preceded by its length, so that bytes cannot move from one part to the next unseen.
    fn hash(tag: &str, model: &[u8], tokenizer: &[u8], preprocessing: &impl Serialize) -> Self {
        let json = serde_json::to_vec(preprocessing).expect("plain structs of strings and numbers");
        let mut hasher = Sha256::new();
        // Of a compiled model only what tells it apart is read; its weights may be large and stay untouched.
        let model = if plan::is_plan(model) { plan::identity(model) } else { model };
        for part in [tag.as_bytes(), model, tokenizer, &json] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for EncoderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for EncoderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncoderId({self})")
    }
}
