//! ONNX files through tract: the desk's engine and the oracle of the tests.

mod proto;
mod run;

use shelfsight_tract::{Element, Network, read};

use super::{Kind, LoadModelError, LoadOptions, Model, Port};
use run::TractModel;

pub(super) use proto::check;

/// Reads an ONNX model from memory and makes it ready to run.
///
/// # Errors
/// [`LoadModelError`] names the tensor, operator, input or output that stands in the way.
pub fn load_onnx(bytes: &[u8], options: &LoadOptions) -> Result<Box<dyn Model>, LoadModelError> {
    let mut proto = read(bytes).map_err(|reason| LoadModelError::NotOnnx { reason })?;
    let graph = check(&mut proto, options)?;
    let network =
        Network::load(&proto, &graph.inputs).map_err(|reason| LoadModelError::Refused { reason })?;
    let port = |input: &shelfsight_tract::Input| Port {
        name: input.name.clone(),
        kind: if input.element == Element::F32 { Kind::F32 } else { Kind::I64 },
        shape: input.shape.clone(),
    };
    let ports = network.inputs().iter().map(port).collect();
    Ok(Box::new(TractModel::new(network, ports, graph.outputs)))
}
