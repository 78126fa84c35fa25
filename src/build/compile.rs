//! Models as they go into the pack: compiled, where a plan can hold them.

use super::assemble::Models;
use super::error::BuildError;
use crate::detect::DetectorManifest;
use crate::encode::{EncoderFiles, ImageManifest, TextManifest};
use crate::runtime::compile::{CompileError, compile};
use crate::runtime::{Kind, LoadModelError, LoadOptions, Model, ModelBytes, Tensor, load, load_onnx, plan};

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
    let run = |model: &dyn Model| model.run(probe(model)).map_err(|e| e.to_string());
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

/// One made-up input: a smooth picture with grain, or a dozen tokens without padding.
fn probe(model: &dyn Model) -> Vec<(&str, Tensor)> {
    const TOKENS: usize = 12;
    let mut inputs = Vec::new();
    for name in model.input_names() {
        let Some(port) = model.port(name) else { continue };
        let shape: Vec<usize> = port
            .shape
            .iter()
            .enumerate()
            .map(|(i, d)| d.unwrap_or(if i == 0 { 1 } else { TOKENS }))
            .collect();
        let len: usize = shape.iter().product();
        let width = *shape.last().unwrap_or(&1);
        let tensor = match port.kind {
            Kind::F32 => {
                let value = |i: usize| {
                    let (x, y) = ((i % width) as f32, (i / width) as f32);
                    let grain = (i as u32).wrapping_mul(2_654_435_761) >> 24;
                    0.7 * (x / 19.0).sin() * (y / 23.0).cos() + grain as f32 / 640.0 - 0.2
                };
                Tensor::F32 { shape, data: (0..len).map(value).collect() }
            }
            // Small numbers are tokens of every vocabulary; a mask of ones and segments of zeros are what is meant.
            Kind::I64 if name.contains("mask") => Tensor::I64 { shape, data: vec![1; len] },
            Kind::I64 if name.contains("type") => Tensor::I64 { shape, data: vec![0; len] },
            Kind::I64 => Tensor::I64 { shape, data: (0..len as i64).map(|i| 5 + i * 7 % 40).collect() },
        };
        inputs.push((name.as_str(), tensor));
    }
    inputs
}
