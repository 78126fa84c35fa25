//! Models as they go into the pack: compiled, where a plan can hold them.

use super::assemble::Models;
use crate::encode::EncoderFiles;
use crate::runtime::plan;

/// How a model went into the pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelNote {
    /// "image encoder", "text encoder" or "detector".
    pub model: &'static str,
    /// Why it stayed ONNX; `None` if it was compiled.
    pub kept: Option<String>,
}

/// Compiles what is not compiled yet and can be.
pub(super) fn compiled(models: &Models) -> (Models, Vec<ModelNote>) {
    let mut out = models.clone();
    let mut notes = Vec::new();
    let all =
        [("image encoder", &mut out.image), ("text encoder", &mut out.text), ("detector", &mut out.detector)];
    for (model, files) in all {
        let Some(files) = files.as_mut().filter(|files| !plan::is_plan(&files.model)) else { continue };
        let kept = match compile(files) {
            Ok(bytes) => {
                files.model = bytes;
                None
            }
            Err(reason) => Some(reason),
        };
        notes.push(ModelNote { model, kept });
    }
    (out, notes)
}

#[cfg(not(feature = "onnx"))]
fn compile(_: &EncoderFiles) -> Result<Vec<u8>, String> {
    Err("this build reads no ONNX (feature \"onnx\")".into())
}

#[cfg(feature = "onnx")]
fn compile(files: &EncoderFiles) -> Result<Vec<u8>, String> {
    compile_model(files).map_err(|e| match e {
        // The same words come again, with the model's name, when it is loaded.
        CompileModelError::Compile(CompileError::Load(LoadModelError::NotOnnx { .. })) => {
            "it is no ONNX file".into()
        }
        other => other.to_string(),
    })
}

#[cfg(feature = "onnx")]
pub use onnx::{CompileModelError, compile_model};
#[cfg(feature = "onnx")]
use {crate::runtime::LoadModelError, crate::runtime::compile::CompileError};

#[cfg(feature = "onnx")]
mod onnx {
    use std::sync::Arc;

    use crate::detect::{DetectorManifest, DetectorManifestError};
    use crate::encode::{EncoderFiles, ImageManifest, ManifestError, TextEncoder, TextManifest};
    use crate::runtime::compile::{CompileError, compile};
    use crate::runtime::plan::{Limits, Plan};
    use crate::runtime::{
        LoadModelError, LoadOptions, Model, ModelBytes, RunError, agreement, load_onnx, probe,
    };

    /// Least cosine between what plan and ONNX say to the same input. Rounding differs between engines, and int8
    /// networks pass a difference on; a mistake in compiling would show as far less.
    const AGREE: f64 = 0.97;

    /// Tokens of the texts that are compared, beside one of the greatest length.
    const TOKENS: [usize; 3] = [1, 4, 12];

    /// Texts by which a network that is padded to one length is compared with the same network at any.
    const TEXTS: [&str; 3] = ["oat milk 1 l", "organic whole grain crackers with sea salt, 250 g", "tea"];

    /// Why a model has no plan.
    #[derive(Debug, thiserror::Error)]
    pub enum CompileModelError {
        /// The manifest of an image or text encoder is out of range.
        #[error(transparent)]
        Encoder(#[from] ManifestError),
        /// The manifest of a detector is out of range.
        #[error(transparent)]
        Detector(#[from] DetectorManifestError),
        /// The manifest is no JSON with a known `kind`.
        #[error("the manifest's kind is none of image, text, detector")]
        Kind,
        /// The graph cannot be compiled.
        #[error(transparent)]
        Compile(#[from] CompileError),
        /// The plan, or the graph itself, cannot be loaded.
        #[error(transparent)]
        Load(#[from] LoadModelError),
        /// One of them does not run.
        #[error(transparent)]
        Run(#[from] RunError),
        /// The two do not say the same.
        #[error("compiled, it gives other results than the ONNX file (cosine {cosine:.3})")]
        Differs {
            /// Least cosine of two outputs; NaN if they cannot be compared.
            cosine: f64,
        },
    }

    /// Compiles an ONNX model as its manifest says it is fed, and compares the plan with the graph on made-up inputs. A
    /// text encoder that no plan holds at every length is compiled for its greatest, if padding changes nothing.
    ///
    /// # Errors
    /// [`CompileModelError`] names what the plan cannot hold, or how far it is from the graph.
    pub fn compile_model(files: &EncoderFiles) -> Result<Vec<u8>, CompileModelError> {
        let options = load_options(&files.manifest_json)?;
        compiled_for(files, &options).or_else(|error| match error {
            CompileModelError::Compile(CompileError::Unsupported { .. } | CompileError::Broken { .. })
            | CompileModelError::Differs { .. } => padded(files).ok_or(error),
            other => Err(other),
        })
    }

    fn compiled_for(files: &EncoderFiles, options: &LoadOptions) -> Result<Vec<u8>, CompileModelError> {
        let bytes = compile(&files.model, options)?;
        let shared: ModelBytes = Arc::new(bytes.clone());
        let ours = Plan::open(shared, &Limits::default()).map_err(LoadModelError::Plan)?;
        let oracle = load_onnx(&files.model, options)?;
        let longest = ours.program().max_length as usize;
        let lengths = TOKENS.into_iter().filter(|&length| length < longest).chain([longest.max(1)]);
        for length in lengths {
            let run = |model: &dyn Model| model.run(probe(model, length));
            agree(agreement(&run(&ours)?, &run(&*oracle)?))?;
        }
        Ok(bytes)
    }

    fn agree(cosine: Option<f64>) -> Result<(), CompileModelError> {
        match cosine.unwrap_or(f64::NAN) {
            cosine if cosine >= AGREE => Ok(()),
            cosine => Err(CompileModelError::Differs { cosine }),
        }
    }

    /// A plan of a text encoder's greatest length that says of shorter texts what the graph says of them unpadded;
    /// `None` if there is none.
    fn padded(files: &EncoderFiles) -> Option<Vec<u8>> {
        let manifest = TextManifest::from_json(&files.manifest_json).ok().filter(|m| !m.pad_to_max)?;
        let mut options = manifest.load_options();
        let shape = |port: &str| (port.to_owned(), vec![1, manifest.max_tokens]);
        options.shapes = manifest.inputs.names().map(shape).collect();
        let bytes = compiled_for(files, &options).ok()?;
        let encoder =
            |model: &[u8]| TextEncoder::new(manifest.clone(), model, files.tokenizer.as_deref()?).ok();
        let (ours, oracle) = (encoder(&bytes)?, encoder(&files.model)?);
        let agree = |text| {
            let cosine = ours.encode(text).ok()?.cosine(&oracle.encode(text).ok()?)?;
            Some(f64::from(cosine) >= AGREE)
        };
        TEXTS.into_iter().all(|text| agree(text) == Some(true)).then_some(bytes)
    }

    fn load_options(manifest: &[u8]) -> Result<LoadOptions, CompileModelError> {
        #[derive(serde::Deserialize)]
        struct Kind {
            kind: String,
        }
        let Kind { kind } = serde_json::from_slice(manifest).map_err(|_| CompileModelError::Kind)?;
        match kind.as_str() {
            "image" => Ok(ImageManifest::from_json(manifest)?.load_options()),
            "text" => Ok(TextManifest::from_json(manifest)?.load_options()),
            "detector" => Ok(DetectorManifest::from_json(manifest)?.load_options()),
            _ => Err(CompileModelError::Kind),
        }
    }
}
