//! Tiny networks of every shape that plans must hold, against ONNX Runtime's numbers and on every path.
#![cfg(feature = "onnx")]
#![allow(clippy::unwrap_used)]

mod plan_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plan_support::{Dice, changed};
use serde::Deserialize;
use shelfsight::kernels::Isa;
use shelfsight::runtime::compile::compile;
use shelfsight::runtime::plan::{Limits, Plan};
use shelfsight::runtime::{LoadOptions, Model, ModelBytes, Pool, Tensor};

#[derive(Deserialize)]
struct Case {
    name: String,
    quantised: bool,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

#[derive(Deserialize)]
struct Port {
    name: String,
    shape: Vec<usize>,
    whole: bool,
    values: Vec<f64>,
}

impl Run {
    fn feed(&self) -> Vec<(&str, Tensor)> {
        let tensor = |port: &Port| {
            let shape = port.shape.clone();
            if port.whole {
                Tensor::I64 { shape, data: port.values.iter().map(|&v| v as i64).collect() }
            } else {
                Tensor::F32 { shape, data: port.values.iter().map(|&v| v as f32).collect() }
            }
        };
        self.inputs.iter().map(|port| (port.name.as_str(), tensor(port))).collect()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/shapes")
}

fn cases() -> Vec<Case> {
    serde_json::from_slice(&fs::read(folder().join("reference.json")).unwrap()).unwrap()
}

fn onnx(case: &Case) -> Vec<u8> {
    fs::read(folder().join(format!("{}.onnx", case.name))).unwrap()
}

/// What is off between an output and ONNX Runtime's: a share of the largest value.
fn off(got: &Tensor, want: &Port) -> f64 {
    assert_eq!(got.shape(), want.shape, "{}", want.name);
    let largest = want.values.iter().fold(1e-3, |most: f64, v| most.max(v.abs()));
    let pairs = got.as_f32().unwrap().iter().zip(&want.values);
    pairs.fold(0.0, |most: f64, (&a, &b)| {
        let off = (f64::from(a) - b).abs() / largest;
        if off.is_nan() { f64::INFINITY } else { most.max(off) }
    })
}

#[test]
fn every_shape_gives_what_onnx_runtime_gives() {
    let mut wrong = Vec::new();
    for case in cases() {
        let plan = match compile(&onnx(&case), &LoadOptions::default()) {
            Ok(plan) => plan,
            Err(error) => {
                wrong.push(format!("{}: {error}", case.name));
                continue;
            }
        };
        let shared: ModelBytes = Arc::new(plan);
        let open = || Plan::open(shared.clone(), &Limits::default());
        if let Err(error) = open() {
            wrong.push(format!("{}: {error}", case.name));
            continue;
        }
        let open = || open().unwrap();
        for run in &case.runs {
            let got = open().run(run.feed()).unwrap();
            for (got, want) in got.iter().zip(&run.outputs) {
                // Quantised levels may fall on either side of a tie: other engines add in another order.
                let (off, bound) = (off(got, want), if case.quantised { 0.03 } else { 2e-5 });
                if off > bound {
                    wrong.push(format!("{} ({}): off by {off}", case.name, want.name));
                }
            }
            for &isa in Isa::available() {
                let mut other = open().on(isa).unwrap();
                other.share(&Arc::new(Pool::new(3)));
                assert!(other.run(run.feed()).unwrap() == got, "{} on {isa:?}", case.name);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Texts and masks stay texts and masks in a batch: nothing runs from one item into another.
#[test]
fn items_of_a_batch_do_not_meet() {
    for case in cases() {
        let Ok(plan) = compile(&onnx(&case), &LoadOptions::default()) else { continue };
        let shared: ModelBytes = Arc::new(plan);
        let plan = Plan::open(shared, &Limits::default()).unwrap();
        let run = &case.runs[0];
        let alone = plan.run(run.feed()).unwrap();
        let twice = |(name, tensor)| match tensor {
            Tensor::F32 { mut shape, data } => {
                shape[0] = 2;
                let other = data.iter().map(|v| v * 0.5).collect();
                (name, Tensor::F32 { shape, data: [other, data].concat() })
            }
            Tensor::I64 { mut shape, data } => {
                shape[0] = 2;
                (name, Tensor::I64 { shape, data: [&data[..], &data[..]].concat() })
            }
        };
        let both = plan.run(run.feed().into_iter().map(twice).collect()).unwrap();
        for (alone, both) in alone.iter().zip(&both) {
            let (alone, both) = (alone.as_f32().unwrap(), both.as_f32().unwrap());
            assert_eq!(&both[alone.len()..], alone, "{}", case.name);
        }
    }
}

/// As for the operators: any words changed, refused or harmless.
#[test]
fn hostile_programs_are_refused_or_harmless() {
    let mut dice = Dice(11);
    let limits = Limits { memory: 64 << 20, work: 100_000_000 };
    let (mut refused, mut ran) = (0, 0);
    for case in cases() {
        let Ok(sound) = compile(&onnx(&case), &LoadOptions::default()) else { continue };
        for _ in 0..300 {
            let shared: ModelBytes = Arc::new(changed(&sound, &mut dice));
            match Plan::open(shared, &limits) {
                Err(_) => refused += 1,
                Ok(mut plan) => {
                    plan.share(&Arc::new(Pool::new(2)));
                    ran += usize::from(plan.run(case.runs[0].feed()).is_ok());
                }
            }
        }
    }
    assert!(refused > 1000 && ran > 200, "{refused} refused, {ran} ran: the changes prove nothing");
}
