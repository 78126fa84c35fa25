//! ONNX files through tract: the desk's engine and the oracle of the tests.

mod proto;
mod run;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::prelude::*;

use super::{Kind, LoadModelError, LoadOptions, Model, Port};
use run::{Feed, TractModel};

pub(super) use proto::check;

/// Reads an ONNX model from memory and makes it ready to run.
///
/// # Errors
/// [`LoadModelError`] names the tensor, operator, input or output that stands in the way.
pub fn load_onnx(bytes: &[u8], options: &LoadOptions) -> Result<Box<dyn Model>, LoadModelError> {
    // tract indexes and unwraps on malformed graphs (an output no node makes, for one). The state it built is dropped
    // whole, so a panic there is an error here.
    catch_unwind(AssertUnwindSafe(|| load(bytes, options)))
        .unwrap_or_else(|panic| Err(LoadModelError::Refused { reason: said(panic.as_ref()) }))
}

fn load(bytes: &[u8], options: &LoadOptions) -> Result<Box<dyn Model>, LoadModelError> {
    let onnx = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
    let refused = |e: TractError| LoadModelError::Refused { reason: one_line(&format!("{e:#}")) };
    let mut proto = onnx
        .proto_model_for_read(&mut &bytes[..])
        .map_err(|e| LoadModelError::NotOnnx { reason: one_line(&format!("{e:#}")) })?;
    let graph = proto::check(&mut proto, &onnx, options)?;

    let mut model = onnx.model_for_proto_model(&proto).map_err(refused)?;
    // The names that exporters give to free axes ("seq", "s0", "batch*len") need not be consistent; these are.
    let length = model.symbols.sym("sequence");
    let mut inputs = Vec::with_capacity(graph.inputs.len());
    for outlet in model.input_outlets().map_err(refused)?.to_vec() {
        let name = model.node(outlet.node).name.clone();
        let Some(input) = graph.inputs.iter().find(|i| i.name == name) else {
            return Err(LoadModelError::Refused { reason: format!("`{name}` is made by no node") });
        };
        let shape: TVec<TDim> =
            input.shape.iter().map(|d| d.map_or_else(|| length.clone().into(), |d| d.to_dim())).collect();
        let at = inputs.len();
        model.set_input_fact(at, InferenceFact::dt_shape(input.element, shape)).map_err(refused)?;
        inputs.push(input);
    }
    let feeds: Vec<Feed> = inputs
        .iter()
        .map(|i| Feed {
            port: Port {
                name: i.name.clone(),
                kind: if i.element == f32::datum_type() { Kind::F32 } else { Kind::I64 },
                shape: i.shape.clone(),
            },
            element: i.element,
        })
        .collect();
    let plan = model.into_optimized().and_then(|m| m.into_runnable()).map_err(refused)?;
    Ok(Box::new(TractModel::new(plan, feeds, graph.outputs)))
}

/// Error chains with line breaks and graph dumps, as one line of bearable length.
pub(super) fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((cut, _)) = line.char_indices().nth(300) {
        line.truncate(cut);
        line.push('…');
    }
    line
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    one_line(text.unwrap_or("the engine gave up"))
}
