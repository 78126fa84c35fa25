//! Compiles every small ONNX file of the tests: `cargo run --release --features onnx --example fuzz_seeds -- FOLDER`.
//!
//! Writes a plan for each that a plan holds: what `scripts/fuzz-plan.sh` begins with.

use std::path::{Path, PathBuf};

use shelfsight::runtime::LoadOptions;
use shelfsight::runtime::compile::compile;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name the folder to write to")?);
    std::fs::create_dir_all(&folder)?;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut count = 0;
    for group in ["operators", "shapes", "onnx"] {
        for entry in std::fs::read_dir(fixtures.join(group))? {
            let path = entry?.path();
            if path.extension().is_none_or(|e| e != "onnx") {
                continue;
            }
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            match compile(&std::fs::read(&path)?, &LoadOptions::default()) {
                Ok(plan) => {
                    std::fs::write(folder.join(format!("{group}-{name}.plan")), plan)?;
                    count += 1;
                }
                Err(error) => println!("{name}: no seed: {error}"),
            }
        }
    }
    println!("{count} seeds in {}", folder.display());
    Ok(())
}
