//! Times an ONNX model under tract, as `scripts/bench_encode.py` asks for it: `run_onnx MODEL.onnx TOKENS SECONDS`. Prints
//! one line of JSON; the other engines have such a program too.

use std::time::{Duration, Instant};

use shelfsight_tract::pb::tensor_proto::DataType;
use shelfsight_tract::pb::tensor_shape_proto::dimension::Value as Dim;
use shelfsight_tract::pb::type_proto::Value as Kind;
use shelfsight_tract::{Element, Input, Network, Value, read};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, path, tokens, seconds] = &args[..] else {
        return Err("run_onnx MODEL.onnx TOKENS SECONDS".into());
    };
    let tokens: usize = tokens.parse()?;
    let seconds = Duration::from_secs_f64(seconds.parse()?);
    let bytes = std::fs::read(path)?;

    let before = resident("VmRSS:");
    // Where the system lets it, the peak is counted from here.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let start = Instant::now();
    let proto = read(&bytes)?;
    let graph = proto.graph.as_ref().ok_or("no graph")?;
    let mut inputs = Vec::new();
    for input in &graph.input {
        let Some(Kind::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
            return Err("an input that is no tensor".into());
        };
        let float = tensor.elem_type == DataType::Float as i32;
        let dims = tensor.shape.as_ref().map(|shape| shape.dim.as_slice()).unwrap_or_default();
        let side = |(axis, dim): (usize, Option<&Dim>)| match dim {
            Some(Dim::DimValue(side)) => Some(*side as usize),
            _ => (axis == 0).then_some(1),
        };
        let shape = dims.iter().map(|d| d.value.as_ref()).enumerate().map(side).collect();
        let element = if float { Element::F32 } else { Element::I64 };
        inputs.push(Input { name: input.name.clone(), element, shape });
    }
    let network = Network::load(&proto, &inputs)?;
    let open_ms = start.elapsed().as_secs_f64() * 1e3;
    let values: Vec<Value> = network.inputs().iter().map(|input| made_up(input, tokens)).collect();
    network.run(values.clone())?;
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < seconds {
        let input = values.clone();
        let start = Instant::now();
        network.run(input)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{{\"engine\":\"tract\",\"ms_median\":{:.4},\"open_ms\":{open_ms:.3},\"peak_mb\":{:.1}}}",
        times[times.len() / 2],
        resident("VmHWM:") - before
    );
    Ok(())
}

fn made_up(input: &Input, tokens: usize) -> Value {
    let shape: Vec<usize> = input.shape.iter().map(|side| side.unwrap_or(tokens)).collect();
    let len: usize = shape.iter().product();
    match input.element {
        Element::F32 => {
            Value::F32(shape, (0..len).map(|i| (i * 7919 % 2001) as f32 / 1000.0 - 1.0).collect())
        }
        _ if input.name.contains("mask") => Value::I64(shape, vec![1; len]),
        _ => Value::I64(shape, (0..len as i64).map(|i| 1000 + i * 7919 % 20_000).collect()),
    }
}

/// Megabytes that the system counts for this process under a name; NaN where it does not.
fn resident(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kb| kb / 1000.0)
}
