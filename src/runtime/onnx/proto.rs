//! Checks on the file before tract sees it, so that the common troubles are named, and the cut to the wanted outputs.

use std::collections::{HashMap, HashSet};

use shelfsight_tract::pb::tensor_proto::DataType;
use shelfsight_tract::pb::tensor_shape_proto::dimension::Value as Dim;
use shelfsight_tract::pb::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto};
use shelfsight_tract::{Element, Input, Operators, one_line};

use super::{LoadModelError, LoadOptions};

pub(in crate::runtime) struct Checked {
    pub inputs: Vec<Input>,
    pub outputs: Vec<String>,
}

/// Most nodes a graph may have; the largest encoders in use have a few thousand.
const MAX_NODES: usize = 50_000;

pub(in crate::runtime) fn check(
    proto: &mut ModelProto,
    options: &LoadOptions,
) -> Result<Checked, LoadModelError> {
    let Some(graph) = proto.graph.as_mut().filter(|g| !g.output.is_empty()) else {
        return Err(LoadModelError::NotOnnx { reason: "it has no graph with an output".into() });
    };
    let outputs = keep_outputs(graph, &options.outputs)?;
    cut(graph);
    check_graph(graph, &Operators::default())?;
    let weights: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let inputs: Vec<&ValueInfoProto> =
        graph.input.iter().filter(|i| !weights.contains(i.name.as_str())).collect();
    if let Some((name, _)) = options.shapes.iter().find(|(n, _)| !inputs.iter().any(|i| i.name == *n)) {
        let known = list(inputs.iter().map(|i| i.name.as_str()));
        return Err(LoadModelError::NoInput { name: name.clone(), known });
    }
    let inputs = inputs.into_iter().map(|i| read_input(i, options)).collect::<Result<_, _>>()?;
    Ok(Checked { inputs, outputs })
}

/// Names for a message.
pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".into() } else { one_line(&names.join(", ")) }
}

/// Leaves the wanted outputs, in the wanted order.
fn keep_outputs(graph: &mut GraphProto, wanted: &[String]) -> Result<Vec<String>, LoadModelError> {
    if !wanted.is_empty() {
        let find = |name: &String| {
            graph.output.iter().find(|o| o.name == *name).cloned().ok_or_else(|| LoadModelError::NoOutput {
                name: name.clone(),
                known: list(graph.output.iter().map(|o| o.name.as_str())),
            })
        };
        graph.output = wanted.iter().map(find).collect::<Result<_, _>>()?;
    }
    Ok(graph.output.iter().map(|o| o.name.clone()).collect())
}

/// Drops nodes, inputs and weights that no output needs.
fn cut(graph: &mut GraphProto) {
    let mut maker: HashMap<&str, usize> = HashMap::new();
    for (at, node) in graph.node.iter().enumerate() {
        maker.extend(node.output.iter().filter(|o| !o.is_empty()).map(|o| (o.as_str(), at)));
    }
    let mut used: HashSet<&str> = HashSet::new();
    let mut keep = vec![false; graph.node.len()];
    let mut open: Vec<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    while let Some(name) = open.pop() {
        if !used.insert(name) {
            continue;
        }
        if let Some(&at) = maker.get(name)
            && !std::mem::replace(&mut keep[at], true)
        {
            reads(&graph.node[at], &mut open);
        }
    }
    let used: HashSet<String> = used.into_iter().map(str::to_owned).collect();
    let mut keep = keep.into_iter();
    graph.node.retain(|_| keep.next().unwrap_or(false));
    graph.input.retain(|i| used.contains(&i.name));
    graph.initializer.retain(|t| used.contains(&t.name));
    graph.value_info.clear();
}

/// All names that a node and its inner graphs read. Names made inside an inner graph are in there too, which at worst
/// keeps a node that is not needed.
fn reads<'a>(node: &'a NodeProto, names: &mut Vec<&'a str>) {
    names.extend(node.input.iter().filter(|n| !n.is_empty()).map(String::as_str));
    for graph in inner(node) {
        graph.node.iter().for_each(|n| reads(n, names));
        names.extend(graph.output.iter().map(|o| o.name.as_str()));
    }
}

fn inner(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs))
}

/// Weights inside and whole, operators known, in this graph and the ones inside it.
fn check_graph(graph: &GraphProto, known: &Operators) -> Result<(), LoadModelError> {
    if graph.node.len() > MAX_NODES {
        let reason = format!("{} nodes; at most {MAX_NODES} are read", graph.node.len());
        return Err(LoadModelError::Refused { reason });
    }
    graph.initializer.iter().try_for_each(|t| check_tensor(t, &t.name))?;
    for node in &graph.node {
        let name =
            if node.name.is_empty() { node.output.first().unwrap_or(&node.op_type) } else { &node.name };
        let own = node.domain.is_empty() || node.domain == "ai.onnx";
        // A few operators of com.microsoft are known to tract by their bare name.
        if !known.has(&node.op_type) {
            let operator =
                if own { node.op_type.clone() } else { format!("{}.{}", node.domain, node.op_type) };
            return Err(LoadModelError::UnknownOperator {
                operator: one_line(&operator),
                node: one_line(name),
            });
        }
        for tensor in node.attribute.iter().flat_map(|a| a.t.iter().chain(&a.tensors)) {
            check_tensor(tensor, name)?;
        }
        inner(node).try_for_each(|g| check_graph(g, known))?;
    }
    Ok(())
}

/// A tensor must hold as many bytes as its shape says: tract copies by the shape.
fn check_tensor(t: &TensorProto, name: &str) -> Result<(), LoadModelError> {
    use shelfsight_tract::pb::tensor_proto::DataLocation;
    if t.data_location == Some(DataLocation::External as i32) {
        return Err(LoadModelError::ExternalData { tensor: one_line(name) });
    }
    let bad = || LoadModelError::BadTensor { tensor: one_line(name) };
    let count = t.dims.iter().try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?));
    let count = count.ok_or_else(bad)?;
    let words = t.raw_data.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word));
    let float = DataType::try_from(t.data_type) == Ok(DataType::Float);
    if float && words.chain(t.float_data.iter().copied()).any(f32::is_nan) {
        return Err(LoadModelError::NotANumber { tensor: one_line(name) });
    }
    if t.raw_data.is_empty() {
        return Ok(()); // Typed fields are counted by tract itself.
    }
    let size = match DataType::try_from(t.data_type) {
        Ok(DataType::Uint8 | DataType::Int8 | DataType::Bool) => 1,
        Ok(DataType::Uint16 | DataType::Int16 | DataType::Float16 | DataType::Bfloat16) => 2,
        Ok(DataType::Float | DataType::Int32 | DataType::Uint32) => 4,
        Ok(DataType::Double | DataType::Int64 | DataType::Uint64) => 8,
        _ => return Err(bad()),
    };
    if count.checked_mul(size) == Some(t.raw_data.len()) { Ok(()) } else { Err(bad()) }
}

fn read_input(input: &ValueInfoProto, options: &LoadOptions) -> Result<Input, LoadModelError> {
    let name = &input.name;
    let refused =
        |what: &str| LoadModelError::Refused { reason: format!("the input `{}` {what}", one_line(name)) };
    let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Err(refused("is not a tensor"));
    };
    let element = match DataType::try_from(tensor.elem_type) {
        Ok(DataType::Float) => Element::F32,
        Ok(DataType::Int64) => Element::I64,
        Ok(DataType::Int32) => Element::I32,
        Ok(other) => {
            let element = format!("{other:?}").to_lowercase();
            return Err(LoadModelError::InputElement { name: name.clone(), element });
        }
        Err(_) => return Err(refused("has an unknown element type")),
    };
    let declared: Option<Vec<Option<usize>>> = tensor.shape.as_ref().map(|shape| {
        let size = |d: &Dim| match d {
            Dim::DimValue(v) => usize::try_from(*v).ok().filter(|&v| v > 0),
            Dim::DimParam(_) => None,
        };
        shape.dim.iter().map(|d| d.value.as_ref().and_then(size)).collect()
    });
    let wanted = options.shapes.iter().find(|(n, _)| n == name).map(|(_, s)| s);
    let shape = match (wanted, declared) {
        (None, None) => return Err(refused("declares no shape")),
        (Some(wanted), declared) => {
            let wrong = |d: &Vec<Option<usize>>| {
                d.len() != wanted.len() || d.iter().zip(wanted).any(|(d, w)| d.is_some_and(|d| d != *w))
            };
            if let Some(declared) = declared.filter(wrong) {
                let shown: Vec<String> =
                    declared.iter().map(|d| d.map_or_else(|| "?".into(), |d| d.to_string())).collect();
                return Err(LoadModelError::InputShape {
                    name: name.clone(),
                    declared: format!("[{}]", shown.join(", ")),
                    wanted: format!("{wanted:?}"),
                });
            }
            wanted.iter().map(|&w| Some(w)).collect()
        }
        (None, Some(mut declared)) => {
            if let Some(batch @ None) = declared.first_mut() {
                *batch = Some(1);
            }
            declared
        }
    };
    Ok(Input { name: name.clone(), element, shape })
}
