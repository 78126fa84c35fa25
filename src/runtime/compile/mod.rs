//! ONNX to plans, on the desk.
//!
//! The file is read through tract's protobuf types. Quantised graphs (QuantizeLinear and DequantizeLinear around
//! operators) become u8 steps with the requantisation fused in; what follows them stays f32. A graph that a plan cannot
//! hold is refused by naming operator, node and reason; [`load_onnx`](super::load_onnx) may still run it.

mod graph;
mod lower;
mod memory;
mod weights;

use tract_onnx::prelude::*;

use super::plan::{self, OpenPlanError};
use super::{LoadModelError, LoadOptions};
use graph::Graph;

/// Compiles an ONNX model to the bytes of a plan.
///
/// # Errors
/// [`CompileError`] if the file is no sound ONNX model or has an operator that plans do not hold.
pub fn compile(onnx: &[u8], options: &LoadOptions) -> Result<Vec<u8>, CompileError> {
    let reader = tract_onnx::onnx();
    let mut proto = reader
        .proto_model_for_read(&mut &onnx[..])
        .map_err(|e| LoadModelError::NotOnnx { reason: super::onnx::one_line(&format!("{e:#}")) })?;
    let checked = super::onnx::check(&mut proto, &reader, options)?;
    let Some(proto) = &proto.graph else {
        return Err(CompileError::Broken { reason: "it has no graph".into() });
    };
    let graph = Graph::read(proto)?;
    let inputs = checked.inputs.into_iter().map(|i| lower::Input {
        whole: i.element != f32::datum_type(),
        name: i.name,
        dims: i.shape,
    });
    let (program, weights) = lower::lower(&graph, &inputs.collect::<Vec<_>>())?;
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
