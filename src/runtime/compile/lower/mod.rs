//! Nodes to steps, in the graph's order.
//!
//! Pictures are kept as NHWC. The batch axis is left out everywhere: a plan loops over it.

mod attention;
mod float;
mod fold;
mod layout;
mod patterns;
mod picture;
mod quantised;
mod rows;
mod shapes;
mod spelled;
mod window;

use std::collections::{HashMap, HashSet};

use super::CompileError;
use super::graph::{Constant, Graph, Node};
use super::memory::{self, Buffer};
use super::weights::Weights;
use crate::runtime::plan::program::{Element, Port, Program, Range, Size, Step};
use attention::{Heads, Scores};
use rows::QuantisedRows;
use shapes::Number;

/// An input with its whole shape, batch first; `None` is the free length.
pub(super) struct Input {
    pub name: String,
    pub whole: bool,
    pub dims: Vec<Option<usize>>,
}

/// Longest text where a length is free.
const MAX_LENGTH: u32 = 512;

/// Scale and zero point of u8 values. Signed activations are shifted by 128.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Levels {
    scale: f32,
    zero: u8,
}

/// A value that a run computes.
#[derive(Clone, Debug)]
struct Value {
    buffer: u32,
    /// As in ONNX, without the batch axis.
    dims: Vec<Size>,
    /// `[channels, height, width]` lies in memory as `[height, width, channels]`.
    picture: bool,
    /// Of u8 values; floats have none.
    levels: Option<Levels>,
    /// Lies in memory as rows of heads, see [`Heads`].
    heads: Option<Heads>,
}

/// Constant weights behind a DequantizeLinear.
#[derive(Clone, Debug)]
struct Quantised {
    constant: String,
    scale: Vec<f32>,
    zero: Vec<i64>,
}

/// What only transformers need while they are lowered.
#[derive(Default)]
struct Known {
    /// Shapes.
    numbers: HashMap<String, Vec<Number>>,
    scores: HashMap<String, Scores>,
    rows: HashMap<String, QuantisedRows>,
    /// Names of the rows' scales and zero points, which steps keep to themselves.
    inner: HashSet<String>,
}

struct Lowering<'a> {
    graph: &'a Graph,
    program: Program,
    weights: Weights,
    buffers: Vec<Buffer>,
    values: HashMap<String, Value>,
    /// Values whose batch axis (of 1) was moved from the front; `dims` has it where ONNX has it.
    moved: HashMap<String, Value>,
    quantised: HashMap<String, Quantised>,
    /// Constants that were computed here.
    folded: HashMap<String, Constant>,
    /// Version of the operators.
    opset: i64,
    /// Outputs of nodes that an earlier step took in.
    done: HashSet<String>,
    known: Known,
}

/// Steps, memory and weights of a graph.
pub(super) fn lower(graph: &Graph, inputs: &[Input], opset: i64) -> Result<(Program, Vec<u8>), CompileError> {
    let mut lowering = Lowering {
        graph,
        program: Program::default(),
        weights: Weights::default(),
        buffers: Vec::new(),
        values: HashMap::new(),
        moved: HashMap::new(),
        quantised: HashMap::new(),
        folded: HashMap::new(),
        opset,
        done: HashSet::new(),
        known: Known::default(),
    };
    for input in inputs {
        lowering.input(input)?;
    }
    for node in &graph.nodes {
        if !lowering.done.contains(&node.outputs[0]) {
            // What no value can hold is the node's matter.
            lowering.node(node).map_err(|e| match e {
                CompileError::Broken { reason } => node.refuse(reason),
                other => other,
            })?;
        }
    }
    for name in &graph.outputs {
        lowering.output(name)?;
    }
    let Lowering { mut program, weights, buffers, .. } = lowering;
    memory::assign(&mut program, &buffers);
    Ok((program, weights.0))
}

impl Lowering<'_> {
    fn input(&mut self, input: &Input) -> Result<(), CompileError> {
        let dims: Vec<Size> = input.dims[1.min(input.dims.len())..]
            .iter()
            .map(|side| match side {
                Some(side) => Size::of(*side as u32),
                None => {
                    self.program.max_length = MAX_LENGTH;
                    Size { fixed: 0, per: 1 }
                }
            })
            .collect();
        let size = product(&dims).filter(|_| !input.dims.is_empty()).ok_or_else(|| CompileError::Broken {
            reason: format!("the input `{}` has no batch axis or is too large", input.name),
        })?;
        let element = if input.whole { Element::I32 } else { Element::F32 };
        let buffer = self.buffer(element, size);
        let port = Port { name: input.name.clone(), whole: input.whole, dims: dims.clone(), slot: buffer };
        self.program.inputs.push(port);
        self.values
            .insert(input.name.clone(), Value { buffer, dims, picture: false, levels: None, heads: None });
        Ok(())
    }

    fn output(&mut self, name: &str) -> Result<(), CompileError> {
        let missing = || CompileError::Broken { reason: format!("no node makes the output `{name}`") };
        let value = self.values.get(name).cloned().ok_or_else(missing)?;
        let mut value = self.floats(&value);
        self.plain(&mut value);
        let port = Port { name: name.into(), whole: false, dims: value.dims, slot: value.buffer };
        self.program.outputs.push(port);
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<(), CompileError> {
        if self.fold(node) || self.is_inner(node) && node.op == "Mul" {
            return Ok(());
        }
        if self.over_numbers(node)? {
            self.settle(&node.outputs[0]);
            return Ok(());
        }
        if self.over_scores(node)? {
            return Ok(());
        }
        match node.op.as_str() {
            "Cast" => self.cast(node),
            "Shape" => self.shape(node),
            "Gather" if self.one_of_axis(node)? => Ok(()),
            "Gather" => self.embed(node),
            "Split" => self.split(node),
            "Expand" => self.expand(node),
            "Softmax" => self.softmax(node),
            "ConvTranspose" => self.conv_transpose(node),
            "MaxPool" | "AveragePool" => self.pool(node),
            "BatchNormalization" => self.batch_norm(node),
            "InstanceNormalization" => self.instance_norm(node),
            "Pad" => self.pad(node),
            "DynamicQuantizeLinear" => self.quantize_rows(node),
            "MatMulInteger" => self.rows_times_matrix(node),
            "MatMul" if self.attention(node)? => Ok(()),
            "LayerNormalization" => self.layer_norm(node),
            "ReduceMean" if self.written_out_norm(node)? => Ok(()),
            "Div" | "Mul" if self.written_out_gelu(node)? => Ok(()),
            "Slice" if self.constant_rows(node)? => Ok(()),
            "QuantizeLinear" => self.quantize(node),
            "DequantizeLinear" => self.dequantize(node),
            "Conv" => self.conv(node),
            "Gemm" | "MatMul" => self.linear(node),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Min" | "Max" => self.binary(node),
            "GlobalAveragePool" => self.global_mean(node),
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceL2" => self.reduce(node),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => self.reshape(node),
            "Identity" | "Dropout" => self.same(node),
            "Concat" => self.concat(node),
            "Slice" => self.slice(node),
            "Transpose" => self.transpose(node),
            "Resize" | "Upsample" if node.text("mode", "nearest") == "linear" => self.resize_linear(node),
            "Resize" | "Upsample" => self.resize(node),
            "Relu" | "Clip" | "Sigmoid" | "Tanh" | "Exp" | "Erf" | "Sqrt" | "Neg" | "Abs" | "HardSigmoid"
            | "HardSwish" | "LeakyRelu" | "Gelu" => self.unary(node),
            _ => Err(node.refuse("plans have no such step yet; use the ONNX file as it is")),
        }
    }

    /// The computed value behind an input of a node, laid out as ONNX sees it if it was split into heads.
    fn value(&mut self, node: &Node, input: usize) -> Result<Value, CompileError> {
        let mut value = self.seen(node, input)?;
        self.rows(&mut value);
        Ok(value)
    }

    /// The same, heads left as they lie.
    fn seen(&self, node: &Node, input: usize) -> Result<Value, CompileError> {
        let name = node.input(input).ok_or_else(|| node.refuse(format!("its input {input} is left out")))?;
        match self.values.get(name) {
            Some(value) => Ok(value.clone()),
            None if self.constants_by_name(name).is_some() || self.quantised.contains_key(name) => {
                Err(node
                    .refuse(format!("its input `{name}` is a constant where a computed value is expected")))
            }
            None if self.moved.contains_key(name) => {
                Err(node.refuse(format!("the batch axis of its input `{name}` is not the first")))
            }
            None => Err(node.refuse(format!("no node before it makes its input `{name}`"))),
        }
    }

    /// The constant behind an input, if it is one.
    fn constant(&self, node: &Node, input: usize) -> Option<&Constant> {
        self.constants_by_name(node.input(input)?)
    }

    /// A constant of the file, or one that was computed.
    fn constants_by_name(&self, name: &str) -> Option<&Constant> {
        self.graph.constants.get(name).or_else(|| self.folded.get(name))
    }

    fn set(&mut self, node: &Node, value: Value) {
        self.values.insert(node.outputs[0].clone(), value);
    }

    fn buffer(&mut self, element: Element, size: Size) -> u32 {
        self.buffers.push(Buffer { element, size, constant: Range::default() });
        self.buffers.len() as u32 - 1
    }

    fn step(&mut self, step: Step) {
        self.program.steps.push(step);
    }

    /// A new value of a shape.
    fn fresh(
        &mut self,
        dims: Vec<Size>,
        picture: bool,
        levels: Option<Levels>,
    ) -> Result<Value, CompileError> {
        let size = product(&dims)
            .ok_or_else(|| CompileError::Broken { reason: "two free lengths meet in one value".into() })?;
        let element = if levels.is_some() { Element::U8 } else { Element::F32 };
        Ok(Value { buffer: self.buffer(element, size), dims, picture, levels, heads: None })
    }
}

impl Value {
    /// Sides in the order in which they lie in memory.
    fn memory(&self) -> Vec<Size> {
        self.order().into_iter().map(|axis| self.dims[axis]).collect()
    }

    /// ONNX axes (without batch) in memory order.
    fn order(&self) -> Vec<usize> {
        if self.picture { vec![1, 2, 0] } else { (0..self.dims.len()).collect() }
    }

    /// Values before, along and after an axis in memory.
    fn around(&self, axis: usize) -> Option<(Size, Size, Size)> {
        let memory = self.memory();
        let at = self.order().iter().position(|&a| a == axis)?;
        Some((product(&memory[..at])?, memory[at], product(&memory[at + 1..])?))
    }

    fn len(&self) -> Size {
        product(&self.dims).unwrap_or_default()
    }

    /// Channels, height and width of a picture, where none is free.
    fn sides(&self, node: &Node) -> Result<[usize; 3], CompileError> {
        let sides = self.fixed().and_then(|d| <[usize; 3]>::try_from(d).ok());
        sides.ok_or_else(|| node.refuse("it takes a picture of fixed size"))
    }

    /// Sides as numbers, where none is free.
    fn fixed(&self) -> Option<Vec<usize>> {
        self.dims.iter().map(|d| (d.per == 0).then_some(d.fixed as usize)).collect()
    }
}

/// Product of sides; `None` if two are free or it is beyond u32.
fn product(dims: &[Size]) -> Option<Size> {
    dims.iter().try_fold(Size::of(1), |n, d| match (n.per, d.per) {
        (_, 0) => Some(Size { fixed: n.fixed.checked_mul(d.fixed)?, per: n.per.checked_mul(d.fixed)? }),
        (0, _) => Some(Size { fixed: d.fixed.checked_mul(n.fixed)?, per: d.per.checked_mul(n.fixed)? }),
        _ => None,
    })
}

/// An ONNX axis, batch counted, as one of a value's; `None` for the batch axis or one that is not there.
fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let whole = rank as i64 + 1;
    let axis = if axis < 0 { axis + whole } else { axis };
    (1..whole).contains(&axis).then(|| axis as usize - 1)
}
