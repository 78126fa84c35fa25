//! Each operator that the compiler holds, in a tiny graph, against ONNX Runtime's numbers and on every path.
#![cfg(feature = "onnx")]
#![allow(clippy::unwrap_used)]

mod plan_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plan_support::{Dice, changed};
use serde::Deserialize;
use shelfsight::kernels::Isa;
use shelfsight::runtime::compile::{CompileError, compile};
use shelfsight::runtime::plan::{Limits, Plan};
use shelfsight::runtime::{LoadOptions, Model, ModelBytes, Pool, Tensor};

#[derive(Deserialize)]
struct Case {
    name: String,
    shape: Vec<usize>,
    x: Vec<f64>,
    whole: bool,
    y_shape: Vec<usize>,
    y: Vec<f32>,
}

impl Case {
    fn input(&self) -> Vec<(&str, Tensor)> {
        let shape = self.shape.clone();
        let tensor = if self.whole {
            Tensor::I64 { shape, data: self.x.iter().map(|&v| v as i64).collect() }
        } else {
            Tensor::F32 { shape, data: self.x.iter().map(|&v| v as f32).collect() }
        };
        vec![("x", tensor)]
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/operators")
}

fn cases() -> Vec<Case> {
    serde_json::from_slice(&fs::read(folder().join("reference.json")).unwrap()).unwrap()
}

fn onnx(case: &Case) -> Vec<u8> {
    fs::read(folder().join(format!("{}.onnx", case.name))).unwrap()
}

#[test]
fn operators_give_what_onnx_runtime_gives() {
    let cases = cases();
    assert!(cases.len() > 20);
    let mut wrong = Vec::new();
    for case in &cases {
        let plan = match compile(&onnx(case), &LoadOptions::default()) {
            Ok(plan) => plan,
            Err(error) => {
                wrong.push(format!("{}: {error}", case.name));
                continue;
            }
        };
        let shared: ModelBytes = Arc::new(plan);
        let open = || Plan::open(shared.clone(), &Limits::default()).unwrap();
        let plan = open();
        let got = plan.run(case.input()).unwrap();
        if got[0].shape() != case.y_shape {
            wrong.push(format!("{}: {:?} instead of {:?}", case.name, got[0].shape(), case.y_shape));
            continue;
        }
        let pairs = got[0].as_f32().unwrap().iter().zip(&case.y);
        let off = pairs.map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f32::max);
        if off.is_nan() || off > 2e-5 {
            wrong.push(format!("{}: off by {off}", case.name));
        }
        for &isa in Isa::available() {
            let mut other = open().on(isa).unwrap();
            other.share(&Arc::new(Pool::new(3)));
            assert!(other.run(case.input()).unwrap() == got, "{} on {isa:?}", case.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    operator: String,
}

/// What no plan holds is refused by name, not compiled to something near it.
#[test]
fn what_a_plan_would_get_wrong_is_refused() {
    let cases: Vec<Refused> =
        serde_json::from_slice(&fs::read(folder().join("refused.json")).unwrap()).unwrap();
    assert!(cases.len() > 10);
    for Refused { name, operator } in cases {
        let file = fs::read(folder().join(format!("{name}.onnx"))).unwrap();
        match compile(&file, &LoadOptions::default()) {
            Err(CompileError::Unsupported { operator: found, .. }) => assert_eq!(found, operator, "{name}"),
            other => panic!("{name}: {:?}", other.map(|plan| plan.len())),
        }
    }
}

/// Programs with any word changed and the checksum made right again: refused, or run without leaving their memory.
#[test]
fn hostile_operators_are_refused_or_harmless() {
    let mut dice = Dice(7);
    let limits = Limits { memory: 64 << 20, work: 200_000_000 };
    let (mut refused, mut ran) = (0, 0);
    for case in cases() {
        let sound = compile(&onnx(&case), &LoadOptions::default()).unwrap();
        for _ in 0..400 {
            let shared: ModelBytes = Arc::new(changed(&sound, &mut dice));
            match Plan::open(shared, &limits) {
                Err(_) => refused += 1,
                Ok(mut plan) => {
                    plan.share(&Arc::new(Pool::new(2)));
                    // Inputs of other names or shapes are refused, which is as good.
                    ran += usize::from(plan.run(case.input()).is_ok());
                }
            }
        }
    }
    assert!(refused > 1000 && ran > 500, "{refused} refused, {ran} ran: the changes prove nothing");
}
