//! Compiles the shipped models: `cargo run --release --features build,onnx --example compile -- models/weights`.
//!
//! Writes `NAME.plan` for each `NAME.json` of a model in the folder, after comparing the plan with the ONNX file that
//! the manifest names, and prints what it needs. `pack build` does the same with a user's own models.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shelfsight::build::compile_model;
use shelfsight::encode::read_encoder_files;
use shelfsight::runtime::ModelBytes;
use shelfsight::runtime::plan::{Limits, Plan};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name the folder with the models")?);
    for name in ["image", "text", "detector"] {
        compile(&folder.join(name)).map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(())
}

fn compile(model: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let files = read_encoder_files(&model.with_extension("json"))?;
    let bytes = compile_model(&files)?;
    std::fs::write(model.with_extension("plan"), &bytes)?;
    let shared: ModelBytes = Arc::new(bytes);
    let plan = Plan::open(shared, &Limits::default())?;
    println!(
        "{}: {} steps, {:.2} MB of weights, {:.2} MB of memory at its peak",
        model.with_extension("plan").display(),
        plan.program().steps.len(),
        plan.weight_bytes() as f64 / 1e6,
        plan.memory() as f64 / 1e6
    );
    Ok(())
}
