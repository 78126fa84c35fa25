//! Nodes to steps, in the graph's order.
//!
//! Pictures are kept as NHWC. A plan is the graph at batch 1 and loops over items; the batch axis, where it stands in
//! front, is left out.

mod attention;
mod compare;
mod float;
mod fold;
mod layout;
mod patterns;
mod picture;
mod places;
mod quantised;
mod rows;
mod shapes;
mod spelled;
mod spread;
mod window;

use std::collections::{HashMap, HashSet};

use super::CompileError;
use super::graph::{Constant, Graph, Node};
use super::memory::{self, Buffer};
use super::weights::Weights;
use crate::runtime::plan::program::{Element, Port, Program, Range, Size, Step};
use attention::{Heads, PutOff, Scores};
use rows::QuantisedRows;
use shapes::Sampled;

/// An input with its whole shape, batch first; `None` is the free length.
pub(super) struct Input {
    pub name: String,
    pub whole: bool,
    pub dims: Vec<Option<usize>>,
}

/// Longest text where a length is free, unless a table of positions ends before.
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
    /// As in ONNX, without a batch axis of 1 in front.
    dims: Vec<Size>,
    /// No such axis is there: `dims` are all.
    bare: bool,
    /// `[channels, height, width]` lies in memory as `[height, width, channels]`.
    picture: bool,
    /// Of u8 values; floats have none.
    levels: Option<Levels>,
    /// Lies in memory as rows of heads, see [`Heads`].
    heads: Option<Heads>,
    /// Seen as repeated along axes of 1 to these sides, which is put off: few readers need it done.
    wide: Option<Vec<Size>>,
}

/// Constant weights behind a DequantizeLinear.
#[derive(Clone, Debug)]
struct Quantised {
    constant: String,
    scale: Vec<f32>,
    zero: Vec<i64>,
    /// What each of several scales is of.
    axis: usize,
}

/// What only transformers need while they are lowered.
#[derive(Default)]
struct Known {
    /// What follows from the free length alone.
    sampled: HashMap<String, Sampled>,
    scores: HashMap<String, Scores>,
    /// Sums of masks that only attention can take in.
    masks: HashMap<String, PutOff>,
    /// Values that are 0 or 1 everywhere, by their memory.
    truths: HashSet<u32>,
    /// Pairs of an item's number (0) and a computed place in it.
    places: HashMap<String, Value>,
    rows: HashMap<String, QuantisedRows>,
    /// Names of values that are whole numbers in the graph, floats as they may be here.
    wholes: HashSet<String>,
    /// Names of the rows' scales and zero points, which steps keep to themselves.
    inner: HashSet<String>,
}

struct Lowering<'a> {
    graph: &'a Graph,
    program: Program,
    weights: Weights,
    buffers: Vec<Buffer>,
    values: HashMap<String, Value>,
    quantised: HashMap<String, Quantised>,
    /// Constants that were computed here.
    folded: HashMap<String, Constant>,
    /// Version of the operators.
    opset: i64,
    /// Outputs of nodes that an earlier step took in.
    done: HashSet<String>,
    /// Greatest free length.
    longest: u32,
    /// A lesser one that a table of positions asks for.
    shorter: Option<u32>,
    known: Known,
}

/// Steps, memory and weights of a graph.
pub(super) fn lower(graph: &Graph, inputs: &[Input], opset: i64) -> Result<(Program, Vec<u8>), CompileError> {
    let mut longest = MAX_LENGTH;
    loop {
        let mut lowering = Lowering {
            graph,
            program: Program::default(),
            weights: Weights::default(),
            buffers: Vec::new(),
            values: HashMap::new(),
            quantised: HashMap::new(),
            folded: HashMap::new(),
            opset,
            done: HashSet::new(),
            longest,
            shorter: None,
            known: Known::default(),
        };
        let outcome = lowering.all(inputs);
        match lowering.shorter.filter(|&l| (1..longest).contains(&l)) {
            Some(shorter) => longest = shorter,
            None => {
                outcome?;
                let Lowering { mut program, weights, buffers, .. } = lowering;
                memory::assign(&mut program, &buffers);
                return Ok((program, weights.0));
            }
        }
    }
}

impl Lowering<'_> {
    fn all(&mut self, inputs: &[Input]) -> Result<(), CompileError> {
        for input in inputs {
            self.input(input)?;
        }
        for node in &self.graph.nodes {
            if !self.done.contains(&node.outputs[0]) {
                // What no value can hold is the node's matter.
                self.node(node).map_err(|e| match e {
                    CompileError::Broken { reason } => node.refuse(reason),
                    other => other,
                })?;
            }
        }
        self.graph.outputs.iter().try_for_each(|name| self.output(name))
    }

    fn input(&mut self, input: &Input) -> Result<(), CompileError> {
        let dims: Vec<Size> = input.dims[1.min(input.dims.len())..]
            .iter()
            .map(|side| match side {
                Some(side) => u32::try_from(*side).ok().map(Size::of),
                None => {
                    self.program.max_length = self.longest;
                    Some(Size { fixed: 0, per: 1 })
                }
            })
            .collect::<Option<_>>()
            .unwrap_or_default();
        let whole = dims.len() + 1 == input.dims.len();
        let size = product(&dims).filter(|_| whole).ok_or_else(|| CompileError::Broken {
            reason: format!("the input `{}` has no batch axis or is too large", input.name),
        })?;
        if input.whole {
            self.known.wholes.insert(input.name.clone());
        }
        let element = if input.whole { Element::I32 } else { Element::F32 };
        let buffer = self.buffer(element, size);
        let port = Port { name: input.name.clone(), whole: input.whole, dims: dims.clone(), slot: buffer };
        self.program.inputs.push(port);
        self.values.insert(input.name.clone(), Value::plain(buffer, dims));
        Ok(())
    }

    fn output(&mut self, name: &str) -> Result<(), CompileError> {
        let broken = |what: &str| CompileError::Broken { reason: format!("the output `{name}` {what}") };
        let mut value = self.values.get(name).cloned().ok_or_else(|| broken("is computed by no node"))?;
        self.rows(&mut value);
        let value = value.settled();
        if value.bare || value.wide.is_some() {
            return Err(broken(
                "has no batch axis in front, or is repeated by an Expand; end with another node",
            ));
        }
        let mut value = self.floats(&value);
        self.plain(&mut value);
        let port = Port { name: name.into(), whole: false, dims: value.dims, slot: value.buffer };
        self.program.outputs.push(port);
        Ok(())
    }

    fn node(&mut self, node: &Node) -> Result<(), CompileError> {
        self.note_wholes(node)?;
        if self.fold(node) {
            return self.rows_of_table(node);
        }
        if self.is_inner(node) && node.op == "Mul" {
            return Ok(());
        }
        if self.over_scores(node)? || self.over_masks(node)? {
            return Ok(());
        }
        match node.op.as_str() {
            "Cast" => self.cast(node),
            "Gather" if self.parts_of_axis(node)? || self.take(node)? => Ok(()),
            "Gather" => self.embed(node),
            "GatherND" => self.take_by_pairs(node),
            "ArgMax" => self.arg_max(node),
            "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" => self.compare(node),
            "And" | "Or" | "Not" => self.logic(node),
            "Where" => self.choose(node),
            "If" => self.branch(node),
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
            "Mul" | "Pow" | "Sigmoid" if self.written_out_unit(node)? => Ok(()),
            "QuantizeLinear" => self.quantize(node),
            "DequantizeLinear" => self.dequantize(node),
            "Conv" => self.conv(node),
            "Gemm" | "MatMul" => self.linear(node),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Min" | "Max" => self.binary(node),
            "PRelu" => self.prelu(node),
            "Reciprocal" => self.reciprocal(node),
            "GlobalAveragePool" => self.global_mean(node),
            "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceL2" => self.reduce(node),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => self.reshape(node),
            "Identity" | "Dropout" => self.same(node),
            "Concat" if self.pairs(node)? => Ok(()),
            "Concat" => self.concat(node),
            "Slice" => self.slice(node),
            "Transpose" => self.transpose(node),
            "Resize" | "Upsample" if node.text("mode", "nearest") == "linear" => self.resize_linear(node),
            "Resize" | "Upsample" => self.resize(node),
            "Relu" | "Clip" | "Sigmoid" | "Tanh" | "Exp" | "Erf" | "Sqrt" | "Neg" | "Abs" | "HardSigmoid"
            | "HardSwish" | "LeakyRelu" | "Gelu" | "Elu" | "Log" => self.unary(node),
            _ => Err(node.refuse("plans have no such step yet; use the ONNX file as it is")),
        }
    }

    /// If, where its condition is known: the nodes of that branch.
    fn branch(&mut self, node: &Node) -> Result<(), CompileError> {
        let holds = self.constant(node, 0).and_then(|c| c.as_floats().first().map(|v| *v != 0.0));
        let holds = holds.ok_or_else(|| node.refuse("its condition is computed while running"))?;
        let name = if holds { "then_branch" } else { "else_branch" };
        let chosen = node.proto.attribute.iter().find(|a| a.name == name).and_then(|a| a.g.as_ref());
        let chosen = Graph::read(chosen.ok_or_else(|| node.refuse("it has no such branch"))?)?;
        self.folded.extend(chosen.constants.clone());
        for inner in &chosen.nodes {
            self.node(inner)?;
        }
        for (from, to) in chosen.outputs.iter().zip(&node.outputs) {
            if let Some(value) = self.values.get(from).cloned() {
                self.values.insert(to.clone(), value);
            } else if let Some(constant) = self.constants_by_name(from).cloned() {
                self.folded.insert(to.clone(), constant);
            } else if let Some(sampled) = self.known.sampled.get(from).cloned() {
                self.known.sampled.insert(to.clone(), sampled);
            }
        }
        Ok(())
    }

    /// The computed value behind an input of a node, laid out as ONNX sees it if it was split into heads or repeated.
    fn value(&mut self, node: &Node, input: usize) -> Result<Value, CompileError> {
        self.put_on(node, input)?;
        let mut value = self.seen(node, input)?;
        self.rows(&mut value);
        Ok(self.widen(node, value)?.settled())
    }

    /// The same of a constant too.
    fn given(&mut self, node: &Node, input: usize) -> Result<Value, CompileError> {
        match self.constant_as_value(node, input)? {
            Some(constant) => Ok(constant),
            None => self.value(node, input),
        }
    }

    /// As [`value`](Self::value), but heads and repeats are left as they lie.
    fn seen(&self, node: &Node, input: usize) -> Result<Value, CompileError> {
        let name = node.input(input).ok_or_else(|| node.refuse(format!("its input {input} is left out")))?;
        match self.values.get(name) {
            Some(value) => Ok(value.clone()),
            None if self.constants_by_name(name).is_some() || self.quantised.contains_key(name) => {
                Err(node
                    .refuse(format!("its input `{name}` is a constant where a computed value is expected")))
            }
            None if self.known.sampled.contains_key(name) => {
                Err(node.refuse(format!("its input `{name}` follows from the free length; fix the length")))
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
        self.keep(node.outputs[0].clone(), value);
    }

    /// Gives a value its name; a batch axis that came to the front again is left out again.
    fn keep(&mut self, name: String, value: Value) {
        self.values.insert(name, value.settled());
    }

    /// Shows the batch axis among the others.
    fn lift(&mut self, value: &mut Value) {
        self.plain(value);
        if !value.bare {
            value.dims.insert(0, Size::of(1));
            value.bare = true;
        }
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
        Ok(Value { picture, levels, ..Value::plain(self.buffer(element, size), dims) })
    }

    /// A new value of floats like another one, with other sides.
    fn fresh_like(&mut self, other: &Value, dims: Vec<Size>) -> Result<Value, CompileError> {
        Ok(Value { bare: other.bare, ..self.fresh(dims, other.picture, None)? })
    }
}

impl Value {
    /// Floats or whole numbers as ONNX has them.
    fn plain(buffer: u32, dims: Vec<Size>) -> Self {
        Self { buffer, dims, bare: false, picture: false, levels: None, heads: None, wide: None }
    }

    /// With a batch axis that came to the front again left out again.
    fn settled(mut self) -> Self {
        let one = self.dims.first() == Some(&Size::of(1));
        if self.bare && one && self.wide.is_none() && self.heads.is_none() {
            self.dims.remove(0);
            self.bare = false;
        }
        self
    }

    /// One of ONNX's axes as one of `dims`; `None` for the batch axis in front, or one that is not there.
    fn axis(&self, axis: i64) -> Option<usize> {
        let rank = self.dims.len();
        if !self.bare {
            return axis_of(axis, rank);
        }
        let axis = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(axis).ok().filter(|axis| *axis < rank)
    }

    /// Sides in the order in which they lie in memory.
    fn memory(&self) -> Vec<Size> {
        self.order().into_iter().map(|axis| self.dims[axis]).collect()
    }

    /// ONNX axes (without batch) in memory order.
    fn order(&self) -> Vec<usize> {
        if self.picture { vec![1, 2, 0] } else { (0..self.dims.len()).collect() }
    }

    /// Axes that ONNX sees.
    fn rank(&self) -> usize {
        self.dims.len() + usize::from(!self.bare)
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
