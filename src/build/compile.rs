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
    use crate::encode::{EncoderFiles, ImageManifest, ManifestError, TextManifest};
    use crate::runtime::compile::{CompileError, compile};
    use crate::runtime::{
        LoadModelError, LoadOptions, Model, ModelBytes, RunError, agreement, load, load_onnx, probe,
    };

    /// Least cosine between what plan and ONNX say to the same input. Rounding differs between engines, and int8
    /// networks pass a difference on; a mistake in compiling would show as far less.
    const AGREE: f64 = 0.97;

    /// Tokens of the text that is compared.
    const TOKENS: usize = 12;

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

    /// Compiles an ONNX model as its manifest says it is fed, and compares the plan with the graph on a made-up input.
    ///
    /// # Errors
    /// [`CompileModelError`] names what the plan cannot hold, or how far it is from the graph.
    pub fn compile_model(files: &EncoderFiles) -> Result<Vec<u8>, CompileModelError> {
        let options = load_options(&files.manifest_json)?;
        let bytes = compile(&files.model, &options)?;
        let shared: ModelBytes = Arc::new(bytes.clone());
        let ours = load(&shared, &options)?;
        let oracle = load_onnx(&files.model, &options)?;
        let run = |model: &dyn Model| model.run(probe(model, TOKENS));
        match agreement(&run(&*ours)?, &run(&*oracle)?).unwrap_or(f64::NAN) {
            cosine if cosine >= AGREE => Ok(bytes),
            cosine => Err(CompileModelError::Differs { cosine }),
        }
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
