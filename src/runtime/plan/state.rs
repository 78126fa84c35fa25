//! Memory of a run, and what goes in and comes out.

use super::OpenPlanError;
use super::program::{Element, Packed, Port, Program, Range, Size, Slot, Step};
use super::window::{inputs, panel_f32, plain, products, scratch};
use crate::kernels::float::attention_scratch;
use crate::kernels::int8::{COLUMNS, RowQuant, SLACK};
use crate::kernels::pool::{MAX_PARTS, Pool};
use crate::runtime::{self, RunError, Tensor};

/// Numbers of a layer, read once from the file: aligned and known to be finite.
#[derive(Default)]
pub(super) struct Numbers {
    pub bias: Vec<i32>,
    pub sums: Vec<i32>,
    pub scale: Vec<f32>,
    /// Matrix, offsets or gains of float layers.
    pub first: Vec<f32>,
    /// Their bias or shift.
    pub second: Vec<f32>,
}

pub(super) fn words(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> {
    bytes.chunks_exact(4).map(|w| [w[0], w[1], w[2], w[3]])
}

pub(super) fn slice(weights: &[u8], range: Range) -> &[u8] {
    &weights[range.offset as usize..][..range.len as usize]
}

/// Quantised and float numbers of a step.
fn numbers_of(step: &Step) -> Option<(Option<&Packed>, Range, Range)> {
    let none = Range::default();
    match step {
        Step::Conv(s) => Some((Some(&s.packed), none, none)),
        Step::Linear(s) => Some((Some(&s.packed), none, none)),
        Step::Depthwise(s) => Some((Some(&s.packed), none, none)),
        Step::LinearRows(s) => Some((Some(&s.packed), s.offset, none)),
        Step::LinearF32(s) => Some((None, s.weights, s.bias)),
        Step::LayerNorm(s) => Some((None, s.gain, s.shift)),
        Step::ConvF32(s) => Some((None, s.weights, s.bias)),
        Step::DepthwiseF32(s) => Some((None, s.weights, s.bias)),
        Step::ConvTranspose(s) => Some((None, s.weights, s.bias)),
        Step::ChannelNorm(s) => Some((None, s.gain, s.shift)),
        _ => None,
    }
}

/// Bytes that [`numbers`] copies for the steps of a checked program.
pub(super) fn read_bytes(program: &Program) -> u64 {
    let len = |(packed, first, second): (Option<&Packed>, Range, Range)| {
        let packed = packed.map_or([Range::default(); 3], |p| [p.bias, p.sums, p.scale]);
        packed.iter().chain([&first, &second]).map(|range| u64::from(range.len)).sum::<u64>()
    };
    program.steps.iter().filter_map(numbers_of).map(len).sum()
}

/// Reads the numbers of every step of a checked program; weights that are not finite are refused.
pub(super) fn numbers(program: &Program, weights: &[u8]) -> Result<Vec<Option<Numbers>>, OpenPlanError> {
    let finite = |range: Range| {
        let values: Vec<f32> = words(slice(weights, range)).map(f32::from_le_bytes).collect();
        if values.iter().all(|v| v.is_finite()) {
            Ok(values)
        } else {
            Err(OpenPlanError::broken("a weight is not finite".into()))
        }
    };
    for slot in program.slots.iter().filter(|s| s.element == Element::F32) {
        finite(slot.constant)?;
    }
    let read = |(packed, first, second): (Option<&Packed>, Range, Range)| {
        let whole = |range| words(slice(weights, range)).map(i32::from_le_bytes).collect();
        let (first, second) = (finite(first)?, finite(second)?);
        Ok(match packed {
            Some(p) => {
                Numbers { bias: whole(p.bias), sums: whole(p.sums), scale: finite(p.scale)?, first, second }
            }
            None => Numbers { first, second, ..Numbers::default() },
        })
    };
    program.steps.iter().map(|step| numbers_of(step).map(read).transpose()).collect()
}

/// Parts a step is cut into at most: some more than threads, which differ in speed.
pub(super) fn parts(pool: Option<&Pool>) -> usize {
    pool.map_or(1, |pool| match pool.threads() {
        1 => 1,
        threads => (threads * 2).min(MAX_PARTS),
    })
}

/// Values of a slot.
enum Values {
    U8(Vec<u8>),
    F32(Vec<f32>),
    I32(Vec<i32>),
}

/// Floats that a part of a step of a checked program needs beside its slots.
fn floats(program: &Program) -> usize {
    let longest = program.max_length.max(1);
    let floats = program.steps.iter().map(|step| match step {
        Step::Attention(s) => attention_scratch(s.keys.at(longest) as usize, s.width as usize),
        Step::AttentionCausal(s) => attention_scratch(s.rows.at(longest) as usize, s.width as usize),
        Step::ConvF32(s) if !plain(&s.window) => panel_f32(inputs(&s.window)) * inputs(&s.window),
        Step::ConvTranspose(s) => {
            let columns = products(s);
            panel_f32(columns) * columns + columns.next_multiple_of(COLUMNS)
        }
        _ => 0,
    });
    floats.max().unwrap_or(0)
}

/// Bytes that a part of a step of a checked program needs beside its slots.
pub(super) fn scratch_bytes(program: &Program) -> u64 {
    let bytes = program.steps.iter().map(scratch).max().unwrap_or(0);
    bytes as u64 + floats(program) as u64 * 4
}

/// Memory of one run.
pub(super) struct State {
    slots: Vec<Values>,
    /// Rows of windows for each part of a step, or a row outside the picture.
    pub scratch: Vec<u8>,
    /// Ranges of the rows at hand.
    pub ranges: Vec<RowQuant>,
    /// Turned keys of a head and scores of a query, or rows of windows, for each part of a step.
    pub floats: Vec<f32>,
}

impl State {
    /// Zeroed memory, constants filled in.
    pub fn new(program: &Program, weights: &[u8], pool: Option<&Pool>) -> Self {
        let make = |slot: &Slot| {
            let len = slot.size.at(program.max_length.max(1)) as usize;
            let constant = slice(weights, slot.constant);
            match slot.element {
                Element::U8 => {
                    let mut values = constant.to_vec();
                    values.resize(len + SLACK, 0);
                    Values::U8(values)
                }
                Element::F32 if constant.is_empty() => Values::F32(vec![0.0; len]),
                Element::F32 => Values::F32(words(constant).map(f32::from_le_bytes).collect()),
                Element::I32 if constant.is_empty() => Values::I32(vec![0; len]),
                Element::I32 => Values::I32(words(constant).map(i32::from_le_bytes).collect()),
            }
        };
        let scratch = program.steps.iter().map(scratch).max().unwrap_or(0);
        let most = |f: fn(&Step) -> Option<Size>| {
            let sizes = program.steps.iter().filter_map(f);
            sizes.map(|size| size.at(program.max_length.max(1)) as usize).max().unwrap_or(0)
        };
        let rows = most(|step| match step {
            Step::LinearRows(s) => Some(s.rows),
            Step::QuantizeRows(s) => Some(s.rows),
            _ => None,
        });
        Self {
            slots: program.slots.iter().map(make).collect(),
            scratch: vec![0; scratch * parts(pool)],
            ranges: vec![RowQuant { zero: 0, scale: 1.0 }; rows],
            floats: vec![0.0; floats(program) * parts(pool)],
        }
    }

    /// Puts one item of every input where the program wants it.
    pub fn feed(&mut self, program: &Program, inputs: &[Tensor], item: usize, length: u32) {
        for (port, tensor) in program.inputs.iter().zip(inputs) {
            let len = count(port, length);
            match (&mut self.slots[port.slot as usize], tensor) {
                (Values::F32(slot), Tensor::F32 { data, .. }) => {
                    slot[..len].copy_from_slice(&data[item * len..][..len]);
                }
                (Values::I32(slot), Tensor::I64 { data, .. }) => {
                    for (to, &from) in slot[..len].iter_mut().zip(&data[item * len..]) {
                        *to = i32::try_from(from).unwrap_or(if from < 0 { i32::MIN } else { i32::MAX });
                    }
                }
                _ => unreachable!("kinds were compared in `bind` and `check`"),
            }
        }
    }

    /// Appends one item of every output.
    pub fn take(&self, program: &Program, outputs: &mut [Tensor], item: usize, length: u32) {
        for (port, tensor) in program.outputs.iter().zip(outputs) {
            let len = count(port, length);
            match (&self.slots[port.slot as usize], tensor) {
                (Values::F32(slot), Tensor::F32 { data, .. }) => {
                    data[item * len..][..len].copy_from_slice(&slot[..len]);
                }
                (Values::I32(slot), Tensor::I64 { data, .. }) => {
                    for (to, &from) in data[item * len..][..len].iter_mut().zip(slot) {
                        *to = i64::from(from);
                    }
                }
                _ => unreachable!("kinds were compared in `check`"),
            }
        }
    }

    pub fn u8(&self, slot: u32) -> &[u8] {
        match &self.slots[slot as usize] {
            Values::U8(values) => values,
            _ => unreachable!("kinds were compared in `check`"),
        }
    }

    pub fn i32(&self, slot: u32) -> &[i32] {
        match &self.slots[slot as usize] {
            Values::I32(values) => values,
            _ => unreachable!("kinds were compared in `check`"),
        }
    }

    pub fn f32(&self, slot: u32) -> &[f32] {
        match &self.slots[slot as usize] {
            Values::F32(values) => values,
            _ => unreachable!("kinds were compared in `check`"),
        }
    }

    /// Lends an output slot while inputs are read.
    pub fn with_u8(&mut self, slot: u32, f: impl FnOnce(&Self, &mut [u8])) {
        let mut taken = std::mem::replace(&mut self.slots[slot as usize], Values::U8(Vec::new()));
        if let Values::U8(values) = &mut taken {
            f(self, values);
        }
        self.slots[slot as usize] = taken;
    }

    pub fn with_i32(&mut self, slot: u32, f: impl FnOnce(&Self, &mut [i32])) {
        let mut taken = std::mem::replace(&mut self.slots[slot as usize], Values::I32(Vec::new()));
        if let Values::I32(values) = &mut taken {
            f(self, values);
        }
        self.slots[slot as usize] = taken;
    }

    pub fn with_f32(&mut self, slot: u32, f: impl FnOnce(&Self, &mut [f32])) {
        let mut taken = std::mem::replace(&mut self.slots[slot as usize], Values::F32(Vec::new()));
        if let Values::F32(values) = &mut taken {
            f(self, values);
        }
        self.slots[slot as usize] = taken;
    }
}

fn count(port: &Port, length: u32) -> usize {
    port.dims.iter().map(|d| d.at(length) as usize).product()
}

/// An output of zeros, `[batch, dims…]`.
pub(super) fn empty(port: &Port, batch: usize, length: u32) -> Tensor {
    let shape: Vec<usize> =
        std::iter::once(batch).chain(port.dims.iter().map(|d| d.at(length) as usize)).collect();
    let len = batch * count(port, length);
    if port.whole {
        Tensor::I64 { shape, data: vec![0; len] }
    } else {
        Tensor::F32 { shape, data: vec![0.0; len] }
    }
}

/// Batch, free length, and the inputs in the program's order.
pub(super) fn bind(
    program: &Program,
    ports: &[runtime::Port],
    mut given: Vec<(&str, Tensor)>,
) -> Result<(usize, u32, Vec<Tensor>), RunError> {
    if let Some((name, _)) = given.iter().find(|(n, _)| !program.inputs.iter().any(|p| p.name == *n)) {
        let known = program.inputs.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(RunError::UnknownInput { name: (*name).into(), known });
    }
    let (mut batch, mut length) = (None, None);
    let mut inputs = Vec::with_capacity(program.inputs.len());
    for (want, port) in program.inputs.iter().zip(ports) {
        let at = given.iter().position(|(n, _)| *n == want.name);
        let at = at.ok_or_else(|| RunError::MissingInput { name: want.name.clone() })?;
        let tensor = given.swap_remove(at).1;
        tensor.validate()?;
        let shape = tensor.shape();
        let mut fits = tensor.kind() == port.kind && shape.len() == want.dims.len() + 1;
        if fits {
            fits = *batch.get_or_insert(shape[0]) == shape[0] && shape[0] > 0;
            for (&side, size) in shape[1..].iter().zip(&want.dims) {
                fits &= if size.per == 0 {
                    side as u64 == u64::from(size.fixed)
                } else {
                    let free = (side as u64).checked_sub(u64::from(size.fixed));
                    let free = free.filter(|f| f.is_multiple_of(u64::from(size.per)));
                    let found = free.map(|f| f / u64::from(size.per));
                    found.is_some_and(|f| {
                        f > 0
                            && f <= u64::from(program.max_length)
                            && *length.get_or_insert(f as u32) == f as u32
                    })
                };
            }
        }
        if !fits {
            let sides: Vec<String> =
                port.shape.iter().map(|d| d.map_or_else(|| "?".into(), |d| d.to_string())).collect();
            return Err(RunError::Input {
                name: want.name.clone(),
                expected: format!("{} [{}]", port.kind, sides.join(", ")),
                found: format!("{} {shape:?}", tensor.kind()),
            });
        }
        inputs.push(tensor);
    }
    Ok((batch.unwrap_or(1), length.unwrap_or(1), inputs))
}
