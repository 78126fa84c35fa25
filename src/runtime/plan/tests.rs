//! Programs that ask for more time or memory than they say.

use super::check::check;
use super::program::{
    AddU8, Attention, Copy, Element, LinearF32, MeanU8, Pool, PoolOp, Port, Program, Range, Range8, Size,
    Slot, Step, Window,
};
use super::window::inputs;
use super::{Limits, OpenPlanError};

const LIMITS: Limits = Limits { memory: 1 << 30, work: 1_000_000_000_000 };

fn slot(element: Element, len: u32) -> Slot {
    Slot { element, size: Size::of(len), constant: Range::default() }
}

fn port(slot: u32, len: u32) -> Port {
    Port { name: format!("port {slot}"), whole: false, dims: vec![Size::of(len)], slot }
}

/// Floats of slot 0 to floats of slot 1 by `steps`, over other slots.
fn program(len: u32, others: Vec<Slot>, steps: Vec<Step>) -> Program {
    let slots = [vec![slot(Element::F32, len), slot(Element::F32, len)], others].concat();
    Program { max_length: 0, slots, inputs: vec![port(0, len)], outputs: vec![port(1, len)], steps }
}

fn refused(program: &Program, weights: usize) -> OpenPlanError {
    match check(program, weights, &LIMITS) {
        Ok(_) => panic!("it was taken"),
        Err(error) => error,
    }
}

#[test]
fn a_step_that_moves_nothing_for_ever_is_refused() {
    let copy = |width| {
        let (one, none) = (Size::of(1), Size::of(0));
        let rows = Size { fixed: u32::MAX, per: u32::MAX };
        Step::Copy(Copy { x: 0, y: 1, rows, width, x_at: one, x_step: none, y_at: one, y_step: none })
    };
    assert!(matches!(refused(&program(4, vec![], vec![copy(Size::of(0))]), 0), OpenPlanError::Broken { .. }));
    // As wide as one value it is work as any other.
    let many = vec![copy(Size::of(1)); 200];
    assert!(matches!(refused(&program(4, vec![], many), 0), OpenPlanError::Work { .. }));
}

#[test]
fn what_a_mean_reads_is_work() {
    let (pixels, channels) = (1 << 22, 64);
    let mean = MeanU8 { x: 2, y: 1, pixels, channels, scale: 1.0, zero: 0 };
    let levels = vec![slot(Element::U8, pixels * channels)];
    let steps = vec![Step::MeanU8(mean); 5000];
    assert!(matches!(refused(&program(64, levels, steps), 0), OpenPlanError::Work { .. }));
}

#[test]
fn memory_beside_the_slots_counts() {
    // Keys and values of one head, once more for each part of the step.
    let (rows, keys) = (Size::of(1), Size::of(1 << 20));
    let attention =
        Attention { q: 0, k: 2, v: 2, mask: None, y: 1, rows, keys, heads: 1, width: 100, scale: 1.0 };
    let long = vec![slot(Element::F32, 100 << 20)];
    let error = refused(&program(100, long, vec![Step::Attention(attention)]), 0);
    assert!(matches!(error, OpenPlanError::Memory { needed, .. } if needed > 10 << 30), "{error}");

    // One slot returned again and again.
    let mut same = program(1 << 20, vec![], vec![]);
    check(&same, 0, &LIMITS).unwrap();
    same.outputs = vec![port(1, 1 << 20); 1000];
    assert!(matches!(refused(&same, 0), OpenPlanError::Memory { .. }));
}

#[test]
fn weights_read_again_and_again_are_refused() {
    let (k, n) = (64u32, 64u32);
    let weights = Range { offset: 0, len: k * n * 4 };
    let bias = Range { offset: weights.len, len: n * 4 };
    let step = LinearF32 { x: 0, y: 1, rows: Size::of(1), k, n, weights, bias };
    let held = (weights.len + bias.len) as usize;
    check(&program(64, vec![], vec![Step::LinearF32(step.clone())]), held, &LIMITS).unwrap();
    let error = refused(&program(64, vec![], vec![Step::LinearF32(step); 2]), held);
    assert!(error.to_string().contains("more numbers than the weights hold"), "{error}");
}

#[test]
fn ports_are_gone_through_within_bounds() {
    let mut many = program(4, vec![], vec![]);
    many.max_length = 4096;
    many.inputs[0].dims.insert(0, Size { fixed: 0, per: 1 });
    many.inputs[0].dims.extend(vec![Size::of(1); 1 << 20]);
    assert_eq!(refused(&many, 0), OpenPlanError::TooLarge { what: "program" });
}

#[test]
fn ranges_have_a_beginning_and_an_end() {
    let add = |low, high| {
        let to = Range8 { zero: 0, low, high };
        let add = AddU8 { a: 2, b: 2, y: 3, len: Size::of(4), ma: 1.0, mb: 1.0, c: 0.0, to };
        program(4, vec![slot(Element::U8, 4), slot(Element::U8, 4)], vec![Step::AddU8(add)])
    };
    check(&add(7, 7), 0, &LIMITS).unwrap();
    assert!(matches!(refused(&add(8, 7), 0), OpenPlanError::Broken { .. }));

    // An end beyond four gigabytes is no small number where addresses have 32 bits.
    let mut wild = program(4, vec![], vec![]);
    wild.slots[1].constant = Range { offset: u32::MAX - 63, len: 16 };
    assert!(matches!(refused(&wild, 1 << 20), OpenPlanError::Broken { .. }));
}

#[test]
fn a_window_of_many_values_is_counted_whole() {
    let window = Window {
        height: 1,
        width: 1,
        channels: 4,
        kernel_h: 1 << 15,
        kernel_w: 1 << 15,
        stride_h: 1,
        stride_w: 1,
        pad_top: 0,
        pad_left: 0,
        dilation_h: 1,
        dilation_w: 1,
        out_height: 1,
        out_width: 1,
    };
    let values = 1u64 << 32;
    assert_eq!(inputs(&window) as u64, values);
    let pool = Step::Pool(Pool { op: PoolOp::Max, x: 0, y: 1, window, all: false });
    check(&program(4, vec![], vec![pool]), 0, &LIMITS).unwrap();
}
