//! An ONNX file as nodes, constants and consumers, freed of protobuf.

use std::collections::HashMap;

use shelfsight_tract::pb::attribute_proto::AttributeType;
use shelfsight_tract::pb::tensor_proto::DataType;
use shelfsight_tract::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use super::CompileError;

/// Values of a constant.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    F32(Vec<f32>),
    I64(Vec<i64>),
    I32(Vec<i32>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    Bool(Vec<bool>),
}

/// A constant tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    pub dims: Vec<usize>,
    pub data: Data,
}

impl Constant {
    /// Floats, where it holds floats.
    pub fn floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(values) => Some(values),
            _ => None,
        }
    }

    /// The only float.
    pub fn float(&self) -> Option<f32> {
        self.floats().filter(|v| v.len() == 1).map(|v| v[0])
    }

    /// Whole numbers of any width.
    pub fn wholes(&self) -> Option<Vec<i64>> {
        Some(match &self.data {
            Data::I64(values) => values.clone(),
            Data::I32(values) => values.iter().map(|&v| v.into()).collect(),
            Data::I8(values) => values.iter().map(|&v| v.into()).collect(),
            Data::U8(values) => values.iter().map(|&v| v.into()).collect(),
            Data::F32(_) | Data::Bool(_) => return None,
        })
    }
}

/// An attribute's value.
#[derive(Clone, Debug)]
pub(super) enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Text(String),
    Tensor(Constant),
    /// A kind no supported operator has.
    Other,
}

/// An operator at its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub op: String,
    pub name: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    attributes: HashMap<String, Attribute>,
    /// As it is in the file.
    pub proto: NodeProto,
}

impl Node {
    pub fn int(&self, name: &str, default: i64) -> i64 {
        match self.attributes.get(name) {
            Some(Attribute::Int(v)) => *v,
            _ => default,
        }
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        match self.attributes.get(name) {
            Some(Attribute::Float(v)) => *v,
            _ => default,
        }
    }

    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attributes.get(name) {
            Some(Attribute::Ints(v)) => Some(v),
            _ => None,
        }
    }

    pub fn text(&self, name: &str, default: &'static str) -> &str {
        match self.attributes.get(name) {
            Some(Attribute::Text(v)) => v,
            _ => default,
        }
    }

    /// Input `i`, or `None` where it is left out.
    pub fn input(&self, i: usize) -> Option<&str> {
        self.inputs.get(i).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The error that this node cannot be held, and why.
    pub fn refuse(&self, reason: impl Into<String>) -> CompileError {
        CompileError::Unsupported {
            operator: self.op.clone(),
            node: self.name.clone(),
            reason: reason.into(),
        }
    }
}

/// A whole graph.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub nodes: Vec<Node>,
    pub constants: HashMap<String, Constant>,
    pub outputs: Vec<String>,
    /// Nodes that read a value, by number; outputs of the graph count as one more reader.
    readers: HashMap<String, Vec<usize>>,
    /// The node that makes a value.
    makers: HashMap<String, usize>,
}

impl Graph {
    pub fn read(proto: &GraphProto) -> Result<Self, CompileError> {
        let mut graph = Self::default();
        for tensor in &proto.initializer {
            graph.constants.insert(tensor.name.clone(), constant(tensor, &tensor.name)?);
        }
        for node in &proto.node {
            let node = read_node(node)?;
            if node.op == "Constant" {
                let given = ["value", "value_int", "value_ints", "value_float"];
                let value = match given.iter().find_map(|name| node.attributes.get(*name)) {
                    Some(Attribute::Tensor(value)) => value.clone(),
                    Some(Attribute::Int(v)) => Constant { dims: vec![], data: Data::I64(vec![*v]) },
                    Some(Attribute::Ints(v)) => Constant { dims: vec![v.len()], data: Data::I64(v.clone()) },
                    Some(Attribute::Float(v)) => Constant { dims: vec![], data: Data::F32(vec![*v]) },
                    _ => return Err(node.refuse("only tensors and numbers are read as constants")),
                };
                graph.constants.insert(node.outputs[0].clone(), value);
            } else if let ("Identity", Some(value)) =
                (node.op.as_str(), node.input(0).and_then(|name| graph.constants.get(name)))
            {
                graph.constants.insert(node.outputs[0].clone(), value.clone());
            } else {
                graph.nodes.push(node);
            }
        }
        graph.outputs = proto.output.iter().map(|o| o.name.clone()).collect();
        for (at, node) in graph.nodes.iter().enumerate() {
            graph.makers.extend(node.outputs.iter().map(|o| (o.clone(), at)));
            for input in node.inputs.iter().filter(|i| !i.is_empty()) {
                graph.readers.entry(input.clone()).or_default().push(at);
            }
            for inner in node.proto.attribute.iter().filter_map(|a| a.g.as_ref()).flat_map(|g| &g.node) {
                for input in &inner.input {
                    graph.readers.entry(input.clone()).or_default().push(at);
                }
            }
        }
        Ok(graph)
    }

    /// Every node that reads a value, once for each place.
    pub fn readers(&self, value: &str) -> Vec<&Node> {
        self.readers.get(value).map_or(vec![], |at| at.iter().map(|&at| &self.nodes[at]).collect())
    }

    /// The node that makes a value, if one does.
    pub fn maker(&self, value: &str) -> Option<&Node> {
        self.makers.get(value).map(|&at| &self.nodes[at])
    }

    /// The only node that reads a value, if there is just one and it is no output.
    pub fn only_reader(&self, value: &str) -> Option<&Node> {
        match self.readers.get(value)?.as_slice() {
            [at] if !self.outputs.iter().any(|o| o == value) => Some(&self.nodes[*at]),
            _ => None,
        }
    }
}

fn read_node(proto: &NodeProto) -> Result<Node, CompileError> {
    let name = if proto.name.is_empty() {
        proto.output.first().cloned().unwrap_or_default()
    } else {
        proto.name.clone()
    };
    let mut attributes = HashMap::new();
    for attribute in &proto.attribute {
        attributes.insert(attribute.name.clone(), read_attribute(attribute, &name)?);
    }
    if proto.output.is_empty() {
        return Err(CompileError::Broken { reason: format!("the node `{name}` has no output") });
    }
    Ok(Node {
        op: if proto.domain.is_empty() || proto.domain == "ai.onnx" {
            proto.op_type.clone()
        } else {
            format!("{}.{}", proto.domain, proto.op_type)
        },
        name,
        inputs: proto.input.clone(),
        outputs: proto.output.clone(),
        attributes,
        proto: proto.clone(),
    })
}

fn read_attribute(proto: &AttributeProto, node: &str) -> Result<Attribute, CompileError> {
    Ok(match AttributeType::try_from(proto.r#type) {
        Ok(AttributeType::Int) => Attribute::Int(proto.i),
        Ok(AttributeType::Ints) => Attribute::Ints(proto.ints.clone()),
        Ok(AttributeType::Float) => Attribute::Float(proto.f),
        Ok(AttributeType::String) => Attribute::Text(String::from_utf8_lossy(&proto.s).into_owned()),
        Ok(AttributeType::Tensor) => match &proto.t {
            Some(tensor) => Attribute::Tensor(constant(tensor, node)?),
            None => Attribute::Other,
        },
        _ => Attribute::Other,
    })
}

/// A tensor's values from its raw bytes or its typed field.
pub(super) fn constant(proto: &TensorProto, name: &str) -> Result<Constant, CompileError> {
    let broken = |what: &str| CompileError::Broken { reason: format!("the tensor `{name}` {what}") };
    let dims: Vec<usize> = proto
        .dims
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| broken("has a negative side")))
        .collect::<Result<_, _>>()?;
    let raw = proto.raw_data.as_slice();
    let typed = raw.is_empty();
    fn numbers<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
        let (chunks, _) = raw.as_chunks::<N>();
        chunks.iter().map(|c| read(*c)).collect()
    }
    let data = match DataType::try_from(proto.data_type) {
        Ok(DataType::Float) if typed => Data::F32(proto.float_data.clone()),
        Ok(DataType::Float) => Data::F32(numbers(raw, f32::from_le_bytes)),
        Ok(DataType::Double) if typed => Data::F32(proto.double_data.iter().map(|&v| v as f32).collect()),
        Ok(DataType::Double) => Data::F32(numbers(raw, |b| f64::from_le_bytes(b) as f32)),
        Ok(DataType::Int64) if typed => Data::I64(proto.int64_data.clone()),
        Ok(DataType::Int64) => Data::I64(numbers(raw, i64::from_le_bytes)),
        Ok(DataType::Int32) if typed => Data::I32(proto.int32_data.clone()),
        Ok(DataType::Int32) => Data::I32(numbers(raw, i32::from_le_bytes)),
        Ok(DataType::Int8) if typed => Data::I8(proto.int32_data.iter().map(|&v| v as i8).collect()),
        Ok(DataType::Int8) => Data::I8(raw.iter().map(|&v| v as i8).collect()),
        Ok(DataType::Uint8) if typed => Data::U8(proto.int32_data.iter().map(|&v| v as u8).collect()),
        Ok(DataType::Uint8) => Data::U8(raw.to_vec()),
        Ok(DataType::Bool) if typed => Data::Bool(proto.int32_data.iter().map(|&v| v != 0).collect()),
        Ok(DataType::Bool) => Data::Bool(raw.iter().map(|&v| v != 0).collect()),
        Ok(other) => {
            let kind = format!("{other:?}").to_lowercase();
            return Err(broken(&format!(
                "is of kind {kind}, which a plan does not hold; convert it to float"
            )));
        }
        Err(_) => return Err(broken("has an unknown element kind")),
    };
    let len = match &data {
        Data::F32(v) => v.len(),
        Data::I64(v) => v.len(),
        Data::I32(v) => v.len(),
        Data::I8(v) => v.len(),
        Data::U8(v) => v.len(),
        Data::Bool(v) => v.len(),
    };
    if dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) != Some(len) {
        return Err(broken("does not hold what its shape says; is the file whole?"));
    }
    if let Data::F32(values) = &data
        && values.iter().any(|v| v.is_nan())
    {
        return Err(broken("holds NaN"));
    }
    Ok(Constant { dims, data })
}

impl Constant {
    /// As the file has it.
    pub fn to_proto(&self, name: &str) -> TensorProto {
        let (kind, raw_data): (_, Vec<u8>) = match &self.data {
            Data::F32(v) => (DataType::Float, v.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Data::I64(v) => (DataType::Int64, v.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Data::I32(v) => (DataType::Int32, v.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Data::I8(v) => (DataType::Int8, v.iter().map(|&v| v as u8).collect()),
            Data::U8(v) => (DataType::Uint8, v.clone()),
            Data::Bool(v) => (DataType::Bool, v.iter().map(|&v| v.into()).collect()),
        };
        let dims = self.dims.iter().map(|&d| d as i64).collect();
        TensorProto { name: name.into(), data_type: kind as i32, dims, raw_data, ..TensorProto::default() }
    }
}
