//! From a file's bytes to a network, whichever engine it takes.

use std::sync::Arc;

use super::Model;
use super::plan::{self, Limits, OpenPlanError, Plan};

/// Bytes of a model that whoever runs it keeps hold of: a stretch of a mapped pack, or a vector.
pub type ModelBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// What to fix when a model is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Full shapes of inputs. An input not named here gets batch 1 on its first axis if that is free, and one free
    /// length shared by all inputs on its other free axes.
    pub shapes: Vec<(String, Vec<usize>)>,
    /// The outputs wanted, in this order; all if empty. What only the others need is cut away, so one tower of a
    /// two-tower file can be loaded alone.
    pub outputs: Vec<String>,
}

/// Loads a network: a compiled plan, which stays where it lies, or an ONNX file (feature `onnx`).
///
/// # Errors
/// [`LoadModelError`] names the tensor, operator, input or output that stands in the way.
pub fn load(bytes: &ModelBytes, options: &LoadOptions) -> Result<Box<dyn Model>, LoadModelError> {
    if plan::is_plan((**bytes).as_ref()) {
        let plan = Plan::open(bytes.clone(), &Limits::default())?;
        fits(&plan, options)?;
        return Ok(Box::new(plan));
    }
    #[cfg(feature = "onnx")]
    return super::load_onnx((**bytes).as_ref(), options);
    #[cfg(not(feature = "onnx"))]
    Err(LoadModelError::NoOnnx)
}

/// A plan was cut and shaped when it was compiled; what is asked for now must agree.
fn fits(plan: &Plan, options: &LoadOptions) -> Result<(), LoadModelError> {
    for (name, shape) in &options.shapes {
        let port = plan.port(name).ok_or_else(|| LoadModelError::NoInput {
            name: name.clone(),
            known: plan.input_names().join(", "),
        })?;
        let same = |(have, want): (&Option<usize>, &usize)| have.is_none_or(|have| have == *want);
        if port.shape.len() != shape.len() || !port.shape.iter().zip(shape).all(same) {
            let declared: Vec<String> =
                port.shape.iter().map(|d| d.map_or_else(|| "?".into(), |d| d.to_string())).collect();
            return Err(LoadModelError::InputShape {
                name: name.clone(),
                declared: format!("[{}]", declared.join(", ")),
                wanted: format!("{shape:?}"),
            });
        }
    }
    match options.outputs.iter().find(|name| !plan.output_names().contains(name)) {
        Some(name) => {
            Err(LoadModelError::NoOutput { name: name.clone(), known: plan.output_names().join(", ") })
        }
        None => Ok(()),
    }
}

/// Why a model cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadModelError {
    /// A compiled model that cannot be opened.
    #[error(transparent)]
    Plan(#[from] OpenPlanError),
    /// An ONNX file in a build that reads none.
    #[error("the model is not compiled, and this build reads no ONNX; build with the feature \"onnx\"")]
    NoOnnx,
    /// The bytes are no ONNX model.
    #[error("not an ONNX model: {reason}")]
    NotOnnx {
        /// What the reader said.
        reason: String,
    },
    /// Weights in a second file.
    #[error("the weights of `{tensor}` are in another file; save the ONNX model with all weights inside")]
    ExternalData {
        /// The first such tensor.
        tensor: String,
    },
    /// A tensor whose bytes do not fill its shape.
    #[error("the tensor `{tensor}` does not hold what its shape says; is the file whole?")]
    BadTensor {
        /// Its name.
        tensor: String,
    },
    /// A weight that is not a number.
    #[error("the tensor `{tensor}` holds NaN; train or export the model again")]
    NotANumber {
        /// The first such tensor.
        tensor: String,
    },
    /// An operator that the engine does not have.
    #[error("the operator {operator} (node `{node}`) is not supported; export the model without it")]
    UnknownOperator {
        /// Operator, with its domain if it is not ONNX's own.
        operator: String,
        /// Node that uses it.
        node: String,
    },
    /// No such input.
    #[error("the model has no input `{name}` (it has {known})")]
    NoInput {
        /// Name wanted.
        name: String,
        /// Names it has.
        known: String,
    },
    /// No such output.
    #[error("the model has no output `{name}` (it has {known})")]
    NoOutput {
        /// Name wanted.
        name: String,
        /// Names it has.
        known: String,
    },
    /// An input declared with another shape.
    #[error("the model's input `{name}` is {declared}, not {wanted}")]
    InputShape {
        /// Its name.
        name: String,
        /// Shape in the file, `?` where free.
        declared: String,
        /// Shape wanted.
        wanted: String,
    },
    /// An input of an element type that is not fed here.
    #[error("the model's input `{name}` takes {element}; f32, i64 and i32 can be fed")]
    InputElement {
        /// Its name.
        name: String,
        /// Element type in the file.
        element: String,
    },
    /// The engine does not take the graph for another reason.
    #[error("the model cannot be run: {reason}")]
    Refused {
        /// What the engine said, in one line.
        reason: String,
    },
}
