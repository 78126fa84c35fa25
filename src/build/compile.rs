//! Models as they go into the pack: compiled, where a plan can hold them.

use super::assemble::Models;
use super::error::BuildError;
use crate::detect::DetectorManifest;
use crate::encode::{EncoderFiles, ImageManifest, TextManifest};
use crate::runtime::compile::{CompileError, compile};
use crate::runtime::{LoadModelError, LoadOptions, Model, ModelBytes, load, load_onnx, plan, probe};

/// How a model went into the pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelNote {
    /// "image encoder", "text encoder" or "detector".
    pub model: &'static str,
    /// Why it stayed ONNX; `None` if it was compiled.
    pub kept: Option<String>,
}

/// Least cosine between what plan and ONNX say to the same input. Rounding differs between engines, and int8 networks
/// pass a difference on; a mistake in compiling would show as far less.
const AGREE: f64 = 0.97;

/// Tokens of the text that is compared.
const TOKENS: usize = 12;

/// Compiles what can be compiled. Without the desk's engine to agree with, a plan is not used.
pub(super) fn compiled(models: &Models) -> Result<(Models, Vec<ModelNote>), BuildError> {
    let mut out = models.clone();
    let mut notes = Vec::new();
    let mut one = |model, files: &mut Option<EncoderFiles>, options: Option<LoadOptions>| {
        let (Some(files), Some(options)) = (files, options) else { return };
        if plan::is_plan(&files.model) {
            return;
        }
        let kept = match checked(&files.model, &options) {
            Ok(bytes) => {
                files.model = bytes;
                None
            }
            Err(reason) => Some(reason),
        };
        notes.push(ModelNote { model, kept });
    };
    // A manifest that cannot be read is reported when the model is loaded.
    let json = |files: &Option<EncoderFiles>| files.as_ref().map(|f| f.manifest_json.clone());
    let image = json(&out.image).and_then(|j| ImageManifest::from_json(&j).ok()).map(|m| m.load_options());
    one("image encoder", &mut out.image, image);
    let text = json(&out.text).and_then(|j| TextManifest::from_json(&j).ok()).map(|m| m.load_options());
    one("text encoder", &mut out.text, text);
    let detector = json(&out.detector).and_then(|j| DetectorManifest::from_json(&j).ok());
    one("detector", &mut out.detector, detector.map(|m| m.load_options()));
    Ok((out, notes))
}

/// A plan that agrees with the ONNX file it was made from, or why there is none.
fn checked(onnx: &[u8], options: &LoadOptions) -> Result<Vec<u8>, String> {
    let bytes = compile(onnx, options).map_err(|e| match e {
        // The same words come again, with the model's name, when it is loaded.
        CompileError::Load(LoadModelError::NotOnnx { .. }) => "it is no ONNX file".to_owned(),
        other => other.to_string(),
    })?;
    let shared: ModelBytes = std::sync::Arc::new(bytes.clone());
    let ours = load(&shared, options).map_err(|e| e.to_string())?;
    let oracle = load_onnx(onnx, options).map_err(|e| e.to_string())?;
    let run = |model: &dyn Model| model.run(probe(model, TOKENS)).map_err(|e| e.to_string());
    let (ours, theirs) = (run(&*ours)?, run(&*oracle)?);
    for (a, b) in ours.iter().zip(&theirs) {
        let (Some(a), Some(b)) = (a.as_f32(), b.as_f32()) else {
            return Err("its output is not float".into());
        };
        let dot =
            |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
        let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        if a.len() != b.len() || cosine.is_nan() || cosine < AGREE {
            return Err(format!("compiled, it gives other results than the ONNX file (cosine {cosine:.3})"));
        }
    }
    Ok(bytes)
}
