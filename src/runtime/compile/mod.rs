//! ONNX to plans, on the desk.
//!
//! The file is read through tract's protobuf types. Quantised graphs (QuantizeLinear and DequantizeLinear around
//! operators) become u8 steps with the requantisation fused in; what follows them stays f32. A graph that a plan cannot
//! hold is refused by naming operator, node and reason; [`load_onnx`](super::load_onnx) may still run it.

mod graph;
mod lower;
mod memory;
mod weights;

use shelfsight_tract::{Element, read};

use super::plan::{self, OpenPlanError};
use super::{LoadModelError, LoadOptions};
use graph::Graph;

/// Compiles an ONNX model to the bytes of a plan.
///
/// # Errors
/// [`CompileError`] if the file is no sound ONNX model or has an operator that plans do not hold.
pub fn compile(onnx: &[u8], options: &LoadOptions) -> Result<Vec<u8>, CompileError> {
    let mut proto = read(onnx).map_err(|reason| LoadModelError::NotOnnx { reason })?;
    let checked = super::onnx::check(&mut proto, options)?;
    let opset = proto.opset_import.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx");
    let opset = opset.map_or(13, |o| o.version);
    let Some(proto) = &proto.graph else {
        return Err(CompileError::Broken { reason: "it has no graph".into() });
    };
    let graph = Graph::read(proto)?;
    let inputs = checked.inputs.into_iter().map(|i| lower::Input {
        whole: i.element != Element::F32,
        name: i.name,
        dims: i.shape,
    });
    let (program, weights) = lower::lower(&graph, &inputs.collect::<Vec<_>>(), opset)?;
    Ok(plan::write(&program, &weights)?)
}

/// Why an ONNX model cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The file cannot be read.
    #[error(transparent)]
    Load(#[from] LoadModelError),
    /// A node that plans do not hold.
    #[error("{operator} (node `{node}`) cannot be compiled: {reason}")]
    Unsupported {
        /// Its operator.
        operator: String,
        /// Its name.
        node: String,
        /// Why not, and what would help.
        reason: String,
    },
    /// Parts that do not fit together.
    #[error("the model is broken: {reason}")]
    Broken {
        /// What does not fit.
        reason: String,
    },
    /// The plan would be too large.
    #[error(transparent)]
    Plan(#[from] OpenPlanError),
}
