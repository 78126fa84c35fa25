//! Values of the graph to slots of the plan: two values share a slot if the one is dead when the other is made.

use std::collections::HashMap;

use super::super::plan::program::{Element, Program, Range, Size, Slot, Step};

/// A value's memory before slots are shared.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    pub element: Element,
    pub size: Size,
    /// Where its values lie if they never change.
    pub constant: Range,
}

/// First and last step that touches a buffer; inputs are there before the first step, outputs after the last.
#[derive(Clone, Copy)]
struct Life {
    from: i64,
    to: i64,
}

/// Gives every buffer a slot and rewrites the program, whose steps name buffers until now.
pub(super) fn assign(program: &mut Program, buffers: &[Buffer]) {
    let mut lives: HashMap<u32, Life> = HashMap::new();
    let mut touch = |buffer: u32, at: i64| {
        let life = lives.entry(buffer).or_insert(Life { from: at, to: at });
        life.from = life.from.min(at);
        life.to = life.to.max(at);
    };
    for port in &program.inputs {
        touch(port.slot, -1);
    }
    for (at, step) in program.steps.iter_mut().enumerate() {
        slots_of(step, |slot| touch(*slot, at as i64));
    }
    for port in &program.outputs {
        touch(port.slot, i64::MAX);
    }
    let mut order: Vec<(u32, Life)> = lives.into_iter().collect();
    order.sort_by_key(|(buffer, life)| (life.from, *buffer));
    let mut slots: Vec<(Slot, i64)> = Vec::new();
    let mut place: HashMap<u32, u32> = HashMap::new();
    for (number, life) in order {
        let buffer = &buffers[number as usize];
        let slot = if buffer.constant.len != 0 {
            None
        } else {
            // The free slot that needs to grow least, then the smallest that is large enough.
            let weight = |s: Size| u64::from(s.fixed) + u64::from(s.per) * 64;
            slots
                .iter()
                .enumerate()
                .filter(|(_, (slot, busy))| {
                    slot.element == buffer.element && slot.constant.len == 0 && *busy < life.from
                })
                .min_by_key(|(_, (slot, _))| {
                    let (have, want) = (weight(slot.size), weight(buffer.size));
                    (want.saturating_sub(have), have)
                })
                .map(|(at, _)| at)
        };
        let at = slot.unwrap_or_else(|| {
            slots.push((Slot { element: buffer.element, size: buffer.size, constant: buffer.constant }, 0));
            slots.len() - 1
        });
        let (slot, busy) = &mut slots[at];
        slot.size.fixed = slot.size.fixed.max(buffer.size.fixed);
        slot.size.per = slot.size.per.max(buffer.size.per);
        *busy = if buffer.constant.len != 0 { i64::MAX } else { life.to };
        place.insert(number, at as u32);
    }
    for step in &mut program.steps {
        slots_of(step, |slot| *slot = place[slot]);
    }
    for port in program.inputs.iter_mut().chain(&mut program.outputs) {
        port.slot = place[&port.slot];
    }
    program.slots = slots.into_iter().map(|(slot, _)| slot).collect();
}

/// Every slot that a step names.
pub(super) fn slots_of(step: &mut Step, mut f: impl FnMut(&mut u32)) {
    macro_rules! each {
        ($step:ident: $($field:ident),*) => {{ $(f(&mut $step.$field);)* }};
    }
    match step {
        Step::QuantizeInput(s) => each!(s: x, y),
        Step::Conv(s) => each!(s: x, y),
        Step::Linear(s) => each!(s: x, y),
        Step::Depthwise(s) => each!(s: x, y),
        Step::AddU8(s) => each!(s: a, b, y),
        Step::Lookup(s) => each!(s: x, y),
        Step::MeanU8(s) => each!(s: x, y),
        Step::Dequantize(s) => each!(s: x, y),
        Step::Quantize(s) => each!(s: x, y),
        Step::Unary(s) => each!(s: x, y),
        Step::Binary(s) => each!(s: a, b, y),
        Step::Reduce(s) => each!(s: x, y),
        Step::Copy(s) => each!(s: x, y),
        Step::Permute(s) => each!(s: x, y),
        Step::Repeat(s) => each!(s: x, y),
        Step::LinearF32(s) => each!(s: x, y),
        Step::QuantizeRows(s) => each!(s: x, y, ranges),
        Step::LinearRows(s) => each!(s: x, ranges, y),
        Step::LayerNorm(s) => each!(s: x, y),
        Step::Attention(s) => {
            each!(s: q, k, v, y);
            s.mask.iter_mut().for_each(f);
        }
        Step::AttentionCausal(s) => {
            each!(s: q, k, v, y);
            s.mask.iter_mut().for_each(f);
        }
        Step::ArgMax(s) => each!(s: x, y),
        Step::Take(s) => each!(s: x, ids, y),
        Step::Select(s) => each!(s: when, a, b, y),
        Step::Embed(s) => each!(s: ids, y),
        Step::ToFloat(s) => each!(s: x, y),
        Step::ConvF32(s) => each!(s: x, y),
        Step::DepthwiseF32(s) => each!(s: x, y),
        Step::ConvTranspose(s) => each!(s: x, y),
        Step::Pool(s) => each!(s: x, y),
        Step::Softmax(s) => each!(s: x, y),
        Step::Product(s) => each!(s: a, b, y),
        Step::ResizeLinear(s) => each!(s: x, y),
        Step::ChannelNorm(s) => each!(s: x, y),
        Step::Fill(s) => each!(s: y),
    }
}
