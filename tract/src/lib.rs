//! ONNX files through tract: what the library asks of it, without generics.
//!
//! tract is instantiated here and nowhere else, so its minutes of compilation are spent once and not with every
//! change of the library. Whatever panics inside tract on a malformed graph comes out as an error.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::Onnx;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, ValueInfoProto};
use tract_onnx::prelude::*;

pub use tract_onnx::pb;

/// Element type of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// 32-bit floats.
    F32,
    /// 64-bit whole numbers.
    I64,
    /// 32-bit whole numbers.
    I32,
}

/// An input with the shape it will be run at; `None` is the free length that all inputs share.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub element: Element,
    /// One entry an axis.
    pub shape: Vec<Option<usize>>,
}

/// A dense array, last axis fastest.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Shape and floats.
    F32(Vec<usize>, Vec<f32>),
    /// Shape and whole numbers.
    I64(Vec<usize>, Vec<i64>),
}

/// The file as it is.
///
/// # Errors
/// What the reader said, in one line.
pub fn read(bytes: &[u8]) -> Result<ModelProto, String> {
    tract_onnx::onnx().proto_model_for_read(&mut &bytes[..]).map_err(|e| one_line(&format!("{e:#}")))
}

/// Whether tract has operators.
pub struct Operators(Onnx);

impl Default for Operators {
    fn default() -> Self {
        Self(tract_onnx::onnx())
    }
}

impl Operators {
    /// Whether there is one of this name.
    pub fn has(&self, operator: &str) -> bool {
        self.0.op_register.0.contains_key(operator)
    }
}

/// A network ready to run.
pub struct Network {
    plan: Arc<TypedRunnableModel>,
    inputs: Vec<Input>,
}

impl Network {
    /// Optimises a checked file for inputs of these shapes.
    ///
    /// # Errors
    /// What tract said, in one line.
    pub fn load(proto: &ModelProto, inputs: &[Input]) -> Result<Self, String> {
        caught(|| Self::build(proto, inputs))
    }

    fn build(proto: &ModelProto, given: &[Input]) -> TractResult<Self> {
        let onnx = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
        let mut model = onnx.model_for_proto_model(proto)?;
        // The names that exporters give to free axes ("seq", "s0", "batch*len") need not be consistent; these are.
        let length = model.symbols.sym("sequence");
        let mut inputs = Vec::with_capacity(given.len());
        for outlet in model.input_outlets()?.to_vec() {
            let name = model.node(outlet.node).name.clone();
            let Some(input) = given.iter().find(|i| i.name == name) else {
                tract_onnx::tract_core::internal::bail!("`{name}` is made by no node");
            };
            let side = |d: &Option<usize>| d.map_or_else(|| length.clone().into(), |d| d.to_dim());
            let shape: TVec<TDim> = input.shape.iter().map(side).collect();
            let at = inputs.len();
            model.set_input_fact(at, InferenceFact::dt_shape(datum(input.element), shape))?;
            inputs.push(input.clone());
        }
        let plan = model.into_optimized()?.into_runnable()?;
        Ok(Self { plan, inputs })
    }

    /// The inputs, in the order in which [`run`](Self::run) takes them.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Runs once.
    ///
    /// # Errors
    /// What tract said, in one line. Shapes that only a run reveals (a gather beyond its table) may panic inside
    /// tract; each run has its own state, so the network stays usable.
    pub fn run(&self, inputs: Vec<Value>) -> Result<Vec<Value>, String> {
        caught(|| {
            let values = inputs.iter().zip(&self.inputs).map(|(value, input)| {
                let tensor = match value {
                    Value::F32(shape, data) => Tensor::from_shape(shape, data),
                    Value::I64(shape, data) => Tensor::from_shape(shape, data),
                }?;
                Ok(tensor.cast_to_dt(datum(input.element))?.into_owned().into_tvalue())
            });
            let values = values.collect::<TractResult<TVec<TValue>>>()?;
            self.plan.run(values)?.iter().map(|v| value(v)).collect()
        })
    }
}

/// The outputs of one node over constants; `None` if tract cannot compute it.
pub fn compute(node: &NodeProto, given: Vec<TensorProto>, opset: i64) -> Option<Vec<TensorProto>> {
    let output = |name: &String| ValueInfoProto { name: name.clone(), ..ValueInfoProto::default() };
    let graph = GraphProto {
        node: vec![node.clone()],
        initializer: given,
        output: node.output.iter().map(output).collect(),
        ..GraphProto::default()
    };
    let model = ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: opset }],
        graph: Some(graph),
        ..ModelProto::default()
    };
    let run = || -> TractResult<Vec<TensorProto>> {
        let onnx = tract_onnx::onnx().with_ignore_output_shapes(true);
        let outputs = onnx.model_for_proto_model(&model)?.into_typed()?.into_runnable()?.run(tvec![])?;
        outputs.iter().map(|tensor| tensor_proto(tensor)).collect()
    };
    caught(run).ok()
}

fn datum(element: Element) -> DatumType {
    match element {
        Element::F32 => f32::datum_type(),
        Element::I64 => i64::datum_type(),
        Element::I32 => i32::datum_type(),
    }
}

/// An output as floats, or whole numbers where the graph makes those.
fn value(tensor: &Tensor) -> TractResult<Value> {
    let shape = tensor.shape().to_vec();
    Ok(if tensor.datum_type().is_integer() {
        Value::I64(shape, tensor.cast_to::<i64>()?.try_as_plain_ram()?.as_slice::<i64>()?.to_vec())
    } else {
        Value::F32(shape, tensor.cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
    })
}

fn tensor_proto(tensor: &Tensor) -> TractResult<TensorProto> {
    let dims = tensor.shape().iter().map(|&d| d as i64).collect();
    let kind = tensor.datum_type();
    let (data_type, raw_data): (_, Vec<u8>) = if kind == f32::datum_type() {
        let values = tensor.cast_to::<f32>()?;
        (
            DataType::Float,
            values.try_as_plain_ram()?.as_slice::<f32>()?.iter().flat_map(|v| v.to_le_bytes()).collect(),
        )
    } else if kind == bool::datum_type() {
        let values = tensor.cast_to::<bool>()?;
        (DataType::Bool, values.try_as_plain_ram()?.as_slice::<bool>()?.iter().map(|&v| v.into()).collect())
    } else {
        let values = tensor.cast_to::<i64>()?;
        let (name, bytes) = if kind == i32::datum_type() {
            let narrow = tensor.cast_to::<i32>()?;
            let narrow = narrow.try_as_plain_ram()?;
            (DataType::Int32, narrow.as_slice::<i32>()?.iter().flat_map(|v| v.to_le_bytes()).collect())
        } else {
            let wide = values.try_as_plain_ram()?;
            (DataType::Int64, wide.as_slice::<i64>()?.iter().flat_map(|v| v.to_le_bytes()).collect())
        };
        (name, bytes)
    };
    // An empty array has no raw bytes and would read as one of typed fields: the same, with none.
    Ok(TensorProto { data_type: data_type as i32, dims, raw_data, ..TensorProto::default() })
}

/// Errors and panics of tract as one line.
fn caught<T>(work: impl FnOnce() -> TractResult<T>) -> Result<T, String> {
    // What tract built is dropped whole, so a panic there is an error here.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|e| one_line(&format!("{e:#}"))),
        Err(panic) => Err(said(panic.as_ref())),
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    one_line(text.unwrap_or("the engine gave up"))
}

/// Error chains with line breaks and graph dumps, as one line of bearable length.
pub fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((cut, _)) = line.char_indices().nth(300) {
        line.truncate(cut);
        line.push('…');
    }
    line
}
