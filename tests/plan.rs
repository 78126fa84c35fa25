//! Compiled models: the same on every path, held to the graph they came from, safe against broken files.
#![cfg(feature = "onnx")]
#![allow(clippy::unwrap_used)]

mod plan_support;

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use plan_support::{Dice, changed};
use shelfsight::Cancel;
use shelfsight::kernels::Isa;
use shelfsight::runtime::compile::{CompileError, compile};
use shelfsight::runtime::plan::{Limits, OpenPlanError, Plan, identity, verify};
use shelfsight::runtime::{
    Kind, LoadModelError, LoadOptions, Model, ModelBytes, Picture, Pool, RunError, Tensor, load, load_onnx,
};

const MODELS: [&str; 3] = ["image", "text", "detector"];

fn onnx(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/weights");
    std::fs::read(folder.join(format!("{name}.onnx"))).unwrap()
}

fn plan(name: &str) -> Vec<u8> {
    compile(&onnx(name), &LoadOptions::default()).unwrap()
}

fn open(bytes: &[u8]) -> Result<Plan, OpenPlanError> {
    let shared: ModelBytes = Arc::new(bytes.to_vec());
    Plan::open(shared, &Limits::default())
}

/// A smooth picture with some grain, or tokens with padding at the end.
fn inputs(model: &dyn Model, batch: usize, tokens: usize) -> Vec<(&str, Tensor)> {
    let one = |name: &'static str, port: &shelfsight::runtime::Port| {
        let shape: Vec<usize> = port
            .shape
            .iter()
            .enumerate()
            .map(|(i, d)| if i == 0 { batch } else { d.unwrap_or(tokens) })
            .collect();
        let len: usize = shape.iter().product();
        match port.kind {
            Kind::F32 => {
                let value = |i: usize| {
                    let (x, y) = ((i % 256) as f32, (i / 256) as f32);
                    let grain = ((i as u32).wrapping_mul(2_654_435_761) >> 24) as f32 / 900.0;
                    (x / 37.0 + (i / 65_536) as f32).sin() * (y / 29.0).cos() * 0.6 + grain
                };
                Tensor::F32 { shape, data: (0..len).map(value).collect() }
            }
            Kind::I64 if name.contains("mask") => Tensor::I64 {
                shape,
                data: (0..len).map(|i| i64::from(i % tokens < tokens - tokens / 4)).collect(),
            },
            Kind::I64 => {
                Tensor::I64 { shape, data: (0..len as i64).map(|i| 1000 + i * 7919 % 20_000).collect() }
            }
        }
    };
    let names: [&'static str; 3] = ["image", "input_ids", "attention_mask"];
    let known = model.input_names().iter().map(|n| *names.iter().find(|k| *k == n).unwrap());
    known.map(|name| (name, one(name, model.port(name).unwrap()))).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn plans_agree_with_the_graph_they_were_made_from() {
    for (name, least) in [("image", 0.999), ("detector", 0.99), ("text", 0.98)] {
        let plan = open(&plan(name)).unwrap();
        let oracle = load_onnx(&onnx(name), &LoadOptions::default()).unwrap();
        assert_eq!(plan.input_names(), oracle.input_names());
        assert_eq!(plan.output_names(), oracle.output_names());
        let (got, want) =
            (plan.run(inputs(&plan, 1, 16)).unwrap(), oracle.run(inputs(&*oracle, 1, 16)).unwrap());
        for (got, want) in got.iter().zip(&want) {
            assert_eq!(got.shape(), want.shape(), "{name}");
            let found = cosine(got.as_f32().unwrap(), want.as_f32().unwrap());
            assert!(found >= least, "{name}: cosine {found}");
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    println!("paths: {:?}", Isa::available());
    for name in MODELS {
        let bytes = plan(name);
        let first = open(&bytes).unwrap();
        let want = first.run(inputs(&first, 1, 9)).unwrap();
        for &isa in Isa::available() {
            let plan = open(&bytes).unwrap().on(isa).unwrap();
            assert!(plan.run(inputs(&plan, 1, 9)).unwrap() == want, "{name} on {isa:?}");
        }
    }
}

#[test]
fn a_batch_is_its_items_one_by_one() {
    let plan = open(&plan("text")).unwrap();
    let whole = plan.run(inputs(&plan, 3, 7)).unwrap();
    let all = inputs(&plan, 3, 7);
    let Tensor::F32 { shape, data } = &whole[0] else { panic!("floats") };
    assert_eq!(shape[0], 3);
    for item in 0..3 {
        let one: Vec<(&str, Tensor)> = all
            .iter()
            .map(|(name, tensor)| match tensor {
                Tensor::I64 { data, .. } => {
                    (*name, Tensor::i64(&[1, 7], data[item * 7..][..7].to_vec()).unwrap())
                }
                Tensor::F32 { .. } => panic!("whole numbers"),
            })
            .collect();
        let alone = plan.run(one).unwrap();
        let width = data.len() / 3;
        assert_eq!(alone[0].as_f32().unwrap(), &data[item * width..][..width]);
    }
}

#[test]
fn one_plan_serves_several_threads() {
    let plan = open(&plan("detector")).unwrap();
    let want = plan.run(inputs(&plan, 1, 1)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3 {
                    assert!(plan.run(inputs(&plan, 1, 1)).unwrap() == want);
                }
            });
        }
    });
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for name in MODELS {
        let bytes = plan(name);
        let alone = open(&bytes).unwrap();
        for threads in [2, 3, 7] {
            let mut many = open(&bytes).unwrap();
            many.share(&Arc::new(Pool::new(threads)));
            for tokens in [1, 9, 70] {
                let want = alone.run(inputs(&alone, 1, tokens)).unwrap();
                let got = many.run(inputs(&many, 1, tokens)).unwrap();
                assert!(got == want, "{name} on {threads} threads");
            }
        }
    }
}

#[test]
fn a_raised_flag_ends_a_run() {
    let plan = open(&plan("image")).unwrap();
    let cancel = Cancel::new();
    assert!(plan.run_until(inputs(&plan, 1, 9), Some(&cancel)).is_ok());
    // Raised while a run of many items is under way: it must end long before its last item.
    let many = inputs(&plan, 400, 9);
    let raise = cancel.clone();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            receiver.recv().unwrap();
            raise.cancel();
        });
        sender.send(()).unwrap();
        assert_eq!(plan.run_until(many, Some(&cancel)).unwrap_err(), RunError::Cancelled);
    });
    assert_eq!(plan.run_until(inputs(&plan, 1, 9), Some(&cancel)).unwrap_err(), RunError::Cancelled);
    // The plan goes on serving others.
    assert!(plan.run(inputs(&plan, 1, 9)).is_ok());
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let plan = open(&plan("text")).unwrap();
    let ids = |shape: &[usize]| Tensor::i64(shape, vec![5; shape.iter().product()]).unwrap();
    let run = |inputs| plan.run(inputs).unwrap_err().to_string();
    assert!(matches!(
        plan.run(vec![("input_ids", ids(&[1, 4]))]),
        Err(RunError::MissingInput { name }) if name == "attention_mask"
    ));
    assert!(run(vec![("pixels", ids(&[1, 4]))]).contains("pixels"));
    for (a, b) in
        [([1, 4], [1, 5]), ([1, 4], [2, 4]), ([1, 0], [1, 0]), ([0, 4], [0, 4]), ([1, 9999], [1, 9999])]
    {
        let message = run(vec![("input_ids", ids(&a)), ("attention_mask", ids(&b))]);
        assert!(message.contains("takes i64 [?, ?]"), "{message}");
    }
    let float = Tensor::f32(&[1, 4], vec![0.0; 4]).unwrap();
    assert!(run(vec![("input_ids", float), ("attention_mask", ids(&[1, 4]))]).contains("f32"));
    // Token numbers outside the vocabulary do no harm.
    let wild = Tensor::i64(&[1, 3], vec![i64::MIN, i64::MAX, -1]).unwrap();
    plan.run(vec![("input_ids", wild), ("attention_mask", ids(&[1, 3]))]).unwrap();
}

#[test]
fn floats_that_are_not_numbers_do_no_harm() {
    for name in ["image", "detector"] {
        let plan = open(&plan(name)).unwrap();
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
            let mut inputs = inputs(&plan, 1, 1);
            if let Tensor::F32 { data, .. } = &mut inputs[0].1 {
                data.iter_mut().step_by(7).for_each(|v| *v = value);
            }
            plan.run(inputs).unwrap();
        }
    }
}

#[test]
fn what_a_plan_cannot_hold_is_named() {
    let mut file = onnx("text");
    // Names stand in the file as they are; that of the operator among them.
    let places: Vec<usize> = (0..file.len() - 7).filter(|&at| file[at..].starts_with(b"Softmax")).collect();
    assert!(!places.is_empty());
    for at in places {
        file[at..at + 7].copy_from_slice(b"Hardmax");
    }
    match compile(&file, &LoadOptions::default()).unwrap_err() {
        CompileError::Unsupported { operator, node, reason } => {
            assert_eq!(operator, "Hardmax");
            assert!(!node.is_empty() && !reason.is_empty());
        }
        other => panic!("{other}"),
    }
    let wanted = LoadOptions { outputs: vec!["nothing".into()], ..LoadOptions::default() };
    assert!(matches!(
        compile(&onnx("image"), &wanted),
        Err(CompileError::Load(LoadModelError::NoOutput { .. }))
    ));
    assert!(matches!(
        compile(b"not a model", &LoadOptions::default()),
        Err(CompileError::Load(LoadModelError::NotOnnx { .. }))
    ));
}

#[test]
fn a_plan_is_loaded_as_it_was_compiled() {
    let bytes: ModelBytes = Arc::new(plan("image"));
    let shape =
        |side| LoadOptions { shapes: vec![("image".into(), vec![1, 3, side, side])], outputs: vec![] };
    load(&bytes, &shape(256)).unwrap();
    assert!(matches!(load(&bytes, &shape(224)).err(), Some(LoadModelError::InputShape { .. })));
    let other = LoadOptions { outputs: vec!["logits".into()], ..LoadOptions::default() };
    assert!(matches!(load(&bytes, &other).err(), Some(LoadModelError::NoOutput { .. })));
}

#[test]
fn limits_are_kept() {
    let bytes: ModelBytes = Arc::new(plan("image"));
    let memory = Limits { memory: 1000, ..Limits::default() };
    assert!(matches!(Plan::open(bytes.clone(), &memory), Err(OpenPlanError::Memory { .. })));
    let work = Limits { work: 1000, ..Limits::default() };
    assert!(matches!(Plan::open(bytes, &work), Err(OpenPlanError::Work { .. })));
}

#[test]
fn compiling_gives_the_same_bytes_each_time() {
    for name in MODELS {
        assert!(plan(name) == plan(name), "{name}");
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let bytes = plan("detector");
    let header = identity(&bytes).len();
    verify(&bytes).unwrap();
    let mut broken = bytes.clone();
    for at in (0..header).step_by(3) {
        let bit = 1 << (at % 8);
        broken[at] ^= bit;
        // The weights' checksum is compared on demand.
        assert!(open(&broken).is_err() || verify(&broken).is_err(), "byte {at}");
        broken[at] ^= bit;
    }
    broken[header + 1000] ^= 1;
    assert!(matches!(verify(&broken), Err(OpenPlanError::Checksum { what: "weights" })));
    for len in (0..bytes.len()).step_by(bytes.len() / 97) {
        assert!(open(&bytes[..len]).is_err(), "{len} bytes");
    }
}

/// A picture of bytes, `window` of a square tensor, and how often its floats were asked for.
fn run_bytes(
    plan: &Plan,
    side: usize,
    window: [usize; 4],
    pixels: &[u8],
) -> (Result<Vec<Tensor>, RunError>, u32) {
    let values =
        Box::new([0.9f32, 1.0, 1.1].map(|gain| std::array::from_fn(|v| (v as f32 - 127.0) / 128.0 * gain)));
    let asked = Cell::new(0);
    let floats = || {
        asked.set(asked.get() + 1);
        let [left, top, columns, rows] = window;
        let mut data = vec![0.0; 3 * side * side];
        for (i, &v) in pixels.iter().enumerate().take(columns * rows * 3) {
            let (pixel, channel) = (i / 3, i % 3);
            let at = (top + pixel / columns) * side + left + pixel % columns;
            data[channel * side * side + at] = values[channel][usize::from(v)];
        }
        data
    };
    let shape = [1, 3, side, side];
    let picture = Picture { pixels, values: &values, window, shape, planar: true, floats: &floats };
    let direct = plan.run_picture("image", &picture, None);
    let bytes_alone = asked.get();
    if direct.is_ok() {
        assert_eq!(direct, picture.run_as_floats(plan, "image", None), "{window:?}");
    }
    (direct, bytes_alone)
}

#[test]
fn a_picture_of_bytes_gives_the_bits_of_its_floats() {
    for (name, side) in [("image", 256), ("detector", 320)] {
        let plan = open(&plan(name)).unwrap();
        let mut dice = Dice(7);
        for window in
            [[0, 0, side, side], [0, 40, side, side - 81], [33, 0, 5, side], [side - 1, side - 1, 1, 1]]
        {
            let pixels: Vec<u8> = (0..window[2] * window[3] * 3).map(|_| dice.roll() as u8).collect();
            let (found, floats) = run_bytes(&plan, side, window, &pixels);
            assert!(found.is_ok() && floats == 0, "{name} {window:?}: {floats} times as floats, {found:?}");
        }
    }
    // What does not fit is left to the floats, whose shape is then refused.
    let plan = open(&plan("image")).unwrap();
    let (found, floats) = run_bytes(&plan, 224, [0, 0, 224, 224], &[9; 224 * 224 * 3]);
    assert!(matches!(found, Err(RunError::Input { .. })) && floats == 1, "{found:?}");
    for (window, bytes) in [([0, 0, 256, 256], 12), ([0, 0, 0, 0], 0), ([4, 4, 2, 2], 13)] {
        let (found, floats) = run_bytes(&plan, 256, window, &vec![3; bytes]);
        assert!(found.is_ok() && floats == 1, "{window:?}");
    }
}

/// Programs with any word changed and the checksum made right again: refused, or run without leaving their memory.
#[test]
fn hostile_programs_are_refused_or_harmless() {
    let mut dice = Dice(1);
    let limits = Limits { memory: 256 << 20, work: 40_000_000_000 };
    let (mut refused, mut ran) = (0, 0);
    for name in ["detector", "text"] {
        let sound = plan(name);
        for _ in 0..1500 {
            let shared: ModelBytes = Arc::new(changed(&sound, &mut dice));
            match Plan::open(shared, &limits) {
                Err(_) => refused += 1,
                // Running each would take minutes; every eighth that opens is run.
                Ok(plan) if ran % 8 == 0 && fits(&plan) => {
                    plan.run(inputs(&plan, 1, 5)).unwrap();
                    ran += 1;
                }
                Ok(_) => ran += 1,
            }
        }
    }
    assert!(refused > 500 && ran > 50, "{refused} refused, {ran} opened: the changes prove nothing");
}

/// Whether the inputs still have the names and kinds that this test can feed.
fn fits(plan: &Plan) -> bool {
    let known = |name: &String| ["image", "input_ids", "attention_mask"].contains(&name.as_str());
    let small = |name: &String| {
        plan.port(name).is_some_and(|p| p.shape.iter().skip(1).flatten().product::<usize>() < 1 << 20)
    };
    plan.input_names().iter().all(|n| known(n) && small(n))
}
