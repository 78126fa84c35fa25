//! Times an ONNX model under rten, as `scripts/bench_encode.py` asks for it: `rival-rten MODEL TOKENS THREADS SECONDS`.
//! Prints one line of JSON; the other engines have such a program too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rten::{DataType, Dimension, Model, RunOptions, ThreadPool, Value, ValueType};
use rten_tensor::Tensor;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().collect();
    let [_, path, tokens, threads, seconds] = &args[..] else {
        return Err("rival-rten MODEL TOKENS THREADS SECONDS".into());
    };
    let (tokens, threads): (usize, usize) = (tokens.parse()?, threads.parse()?);
    let seconds = Duration::from_secs_f64(seconds.parse()?);

    let bytes = std::fs::read(path)?;
    let before = resident("VmRSS:");
    // Where the system lets it, the peak is counted from here.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let start = Instant::now();
    let model = Model::load(bytes)?;
    let open_ms = start.elapsed().as_secs_f64() * 1e3;
    let pool = Arc::new(ThreadPool::with_num_threads(threads));
    let options = RunOptions::default().with_thread_pool(Some(pool));
    let mut inputs = Vec::new();
    for &id in model.input_ids() {
        let info = model.node_info(id).ok_or("an input without a description")?;
        let name = info.name().unwrap_or_default().to_owned();
        let dims = info.shape().ok_or("an input without a shape")?;
        let side = |(axis, d): (usize, &Dimension)| match d {
            Dimension::Fixed(side) => *side,
            Dimension::Symbolic(_) => if axis == 0 { 1 } else { tokens },
        };
        let shape: Vec<usize> = dims.iter().enumerate().map(side).collect();
        let len: usize = shape.iter().product();
        let value: Value = match info.dtype() {
            Some(ValueType::Tensor(DataType::Float)) => {
                let data = (0..len).map(|i| (i * 7919 % 2001) as f32 / 1000.0 - 1.0).collect::<Vec<f32>>();
                Tensor::from_data(&shape[..], data).into()
            }
            _ => {
                let word = |i: usize| (1000 + i * 7919 % 20_000) as i32;
                let data = (0..len).map(|i| if name.contains("mask") { 1 } else { word(i) });
                Tensor::from_data(&shape[..], data.collect::<Vec<i32>>()).into()
            }
        };
        inputs.push((id, value));
    }
    let run = || -> Result<(), Failure> {
        let inputs = inputs.iter().map(|(id, value)| (*id, value.as_view().into())).collect();
        model.run(inputs, model.output_ids(), Some(options.clone()))?;
        Ok(())
    };
    run()?;
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < seconds {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{{\"engine\":\"rten\",\"ms_median\":{:.4},\"open_ms\":{open_ms:.3},\"peak_mb\":{:.1}}}",
        times[times.len() / 2],
        resident("VmHWM:") - before
    );
    Ok(())
}

/// Megabytes that the system counts for this process under a name; NaN where it does not.
fn resident(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kb| kb / 1000.0)
}
