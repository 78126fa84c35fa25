//! Runs a checked program. Every access is a checked slice; [`check`](super::check) has proved that none fails.

use std::time::Instant;

use super::check::MAX_AXES;
use super::program::{
    BinaryOp, Conv, Depthwise, Element, Packed, Permute, Port, Program, Quantize, QuantizeInput, Range,
    Range8, ReduceOp, Repeat, Size, Slot, Spread, Step, UnaryOp, Window,
};
use super::{OpenPlanError, StepTime};
use crate::kernels::float::{self, RowLevels, math};
use crate::kernels::int8::{self, INPUTS, Int8, Matrix, Quant, RowQuant, Rows, SLACK};
use crate::runtime::{self, RunError, Tensor};

/// Numbers of a layer, read once from the file: aligned and known to be finite.
#[derive(Default)]
pub(super) struct Numbers {
    bias: Vec<i32>,
    sums: Vec<i32>,
    scale: Vec<f32>,
    /// Matrix, offsets or gains of float layers.
    first: Vec<f32>,
    /// Their bias or shift.
    second: Vec<f32>,
}

fn words(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> {
    bytes.chunks_exact(4).map(|w| [w[0], w[1], w[2], w[3]])
}

fn slice(weights: &[u8], range: Range) -> &[u8] {
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
        _ => None,
    }
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

/// Values of a slot.
enum Values {
    U8(Vec<u8>),
    F32(Vec<f32>),
    I32(Vec<i32>),
}

/// Memory of one run.
pub(super) struct State {
    slots: Vec<Values>,
    /// Rows of windows, or a row outside the picture.
    scratch: Vec<u8>,
    /// Ranges of the rows at hand.
    ranges: Vec<RowQuant>,
    /// Scores of one query.
    scores: Vec<f32>,
}

/// Bytes of gathered windows that are multiplied at once.
const PANEL: usize = 64 << 10;

impl State {
    /// Zeroed memory, constants filled in.
    pub fn new(program: &Program, weights: &[u8]) -> Self {
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
        let keys = most(|step| if let Step::Attention(s) = step { Some(s.keys) } else { None });
        Self {
            slots: program.slots.iter().map(make).collect(),
            scratch: vec![0; scratch],
            ranges: vec![RowQuant { zero: 0, scale: 1.0 }; rows],
            scores: vec![0.0; keys],
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

    fn u8(&self, slot: u32) -> &[u8] {
        match &self.slots[slot as usize] {
            Values::U8(values) => values,
            _ => unreachable!("kinds were compared in `check`"),
        }
    }

    fn i32(&self, slot: u32) -> &[i32] {
        match &self.slots[slot as usize] {
            Values::I32(values) => values,
            _ => unreachable!("kinds were compared in `check`"),
        }
    }

    fn f32(&self, slot: u32) -> &[f32] {
        match &self.slots[slot as usize] {
            Values::F32(values) => values,
            _ => unreachable!("kinds were compared in `check`"),
        }
    }

    /// Lends an output slot while inputs are read.
    fn with_u8(&mut self, slot: u32, f: impl FnOnce(&Self, &mut [u8])) {
        let mut taken = std::mem::replace(&mut self.slots[slot as usize], Values::U8(Vec::new()));
        if let Values::U8(values) = &mut taken {
            f(self, values);
        }
        self.slots[slot as usize] = taken;
    }

    fn with_f32(&mut self, slot: u32, f: impl FnOnce(&Self, &mut [f32])) {
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

/// One pass over a program.
pub(super) struct Run<'a> {
    pub program: &'a Program,
    pub numbers: &'a [Option<Numbers>],
    pub weights: &'a [u8],
    pub kernels: &'static Int8,
    pub length: u32,
}

impl Run<'_> {
    pub fn all(&self, state: &mut State, mut times: Option<&mut Vec<StepTime>>) {
        for (step, numbers) in self.program.steps.iter().zip(self.numbers) {
            let start = times.is_some().then(Instant::now);
            self.step(step, numbers.as_ref(), state);
            if let (Some(times), Some(start)) = (&mut times, start) {
                times.push(StepTime { name: step.name(), time: start.elapsed() });
            }
        }
    }

    fn at(&self, size: Size) -> usize {
        size.at(self.length) as usize
    }

    fn step(&self, step: &Step, numbers: Option<&Numbers>, state: &mut State) {
        match (step, numbers) {
            (Step::QuantizeInput(s), _) => {
                state.with_u8(s.y, |state, y| quantize_input(s, state.f32(s.x), y))
            }
            (Step::Conv(s), Some(numbers)) => self.conv(s, numbers, state),
            (Step::Linear(s), Some(numbers)) => {
                let (k, n, rows) = (s.k as usize, s.n as usize, self.at(s.rows));
                let matrix = self.matrix(&s.packed, numbers, k, n);
                self.multiply(state, s.x, k, rows, &matrix, s.y, s.to.as_ref());
            }
            (Step::Depthwise(s), Some(numbers)) => self.depthwise(s, numbers, state),
            (Step::AddU8(s), _) => {
                let len = self.at(s.len);
                let add = int8::Add { ma: s.ma, mb: s.mb, c: s.c, quant: quant(&s.to) };
                state.with_u8(s.y, |state, y| {
                    self.kernels.add(&state.u8(s.a)[..len], &state.u8(s.b)[..len], &add, &mut y[..len]);
                });
            }
            (Step::Lookup(s), _) => {
                let table = slice(self.weights, s.table);
                let len = self.at(s.len);
                state.with_u8(s.y, |state, y| {
                    for (y, &x) in y[..len].iter_mut().zip(state.u8(s.x)) {
                        *y = table[usize::from(x)];
                    }
                });
            }
            (Step::MeanU8(s), _) => state.with_f32(s.y, |state, y| {
                let channels = s.channels as usize;
                let x = &state.u8(s.x)[..s.pixels as usize * channels];
                let factor = s.scale / s.pixels as f32;
                // A block of channels at a time keeps the sums in registers.
                for (block, y) in y[..channels].chunks_mut(64).enumerate() {
                    let mut sums = [0u32; 64];
                    for pixel in x.chunks_exact(channels) {
                        for (sum, &v) in sums.iter_mut().zip(&pixel[block * 64..]) {
                            *sum += u32::from(v);
                        }
                    }
                    for (y, sum) in y.iter_mut().zip(sums) {
                        *y = (i64::from(sum) - i64::from(s.pixels) * i64::from(s.zero)) as f32 * factor;
                    }
                }
            }),
            (Step::Dequantize(s), _) => state.with_f32(s.y, |state, y| {
                for (y, &x) in y[..self.at(s.len)].iter_mut().zip(state.u8(s.x)) {
                    *y = (i32::from(x) - i32::from(s.zero)) as f32 * s.scale;
                }
            }),
            (Step::Quantize(s), _) => {
                let len = self.at(s.len);
                state.with_u8(s.y, |state, y| quantize(s, &state.f32(s.x)[..len], y));
            }
            (Step::Unary(s), _) => {
                let len = self.at(s.len);
                state.with_f32(s.y, |state, y| unary(s.op, s.a, s.b, &state.f32(s.x)[..len], &mut y[..len]));
            }
            (Step::Binary(s), _) => {
                let (outer, inner) = (self.at(s.outer), self.at(s.inner));
                state.with_f32(s.y, |state, y| {
                    let (a, y) = (&state.f32(s.a)[..outer * inner], &mut y[..outer * inner]);
                    binary(s.op, s.spread, a, state.f32(s.b), y, inner);
                });
            }
            (Step::Reduce(s), _) => {
                let shape = [self.at(s.outer), self.at(s.middle), self.at(s.inner)];
                state.with_f32(s.y, |state, y| reduce(s.op, shape, state.f32(s.x), y));
            }
            (Step::Copy(s), _) => {
                let (rows, width) = (self.at(s.rows), self.at(s.width));
                let from = (self.at(s.x_at), self.at(s.x_step));
                let to = (self.at(s.y_at), self.at(s.y_step));
                fn rows_of<T: Copy>(
                    x: &[T],
                    y: &mut [T],
                    rows: usize,
                    width: usize,
                    from: (usize, usize),
                    to: (usize, usize),
                ) {
                    for row in 0..rows {
                        let x = &x[from.0 + row * from.1..][..width];
                        y[to.0 + row * to.1..][..width].copy_from_slice(x);
                    }
                }
                self.any(
                    state,
                    s.x,
                    s.y,
                    |x, y| rows_of(x, y, rows, width, from, to),
                    |x, y| {
                        rows_of(x, y, rows, width, from, to);
                    },
                );
            }
            (Step::Permute(s), _) => {
                self.any(state, s.x, s.y, |x, y| self.permute(s, x, y), |x, y| self.permute(s, x, y));
            }
            (Step::Repeat(s), _) => self.any(state, s.x, s.y, |x, y| repeat(s, x, y), |x, y| repeat(s, x, y)),
            (Step::LinearF32(s), Some(numbers)) => {
                let (rows, k, n) = (self.at(s.rows), s.k as usize, s.n as usize);
                state.with_f32(s.y, |state, y| {
                    let (x, y) = (&state.f32(s.x)[..rows * k], &mut y[..rows * n]);
                    float::linear(x, k, &numbers.first, &numbers.second, n, y);
                });
            }
            (Step::QuantizeRows(s), _) => {
                let (rows, width) = (self.at(s.rows), s.width as usize);
                let mut ranges = std::mem::take(&mut state.ranges);
                state.with_u8(s.y, |state, y| {
                    let mut out = RowLevels { values: &mut y[..rows * width], ranges: &mut ranges[..rows] };
                    float::quantize_rows(&state.f32(s.x)[..rows * width], width, &mut out);
                });
                state.with_f32(s.ranges, |_, y| {
                    for (y, range) in y.chunks_exact_mut(2).zip(&ranges[..rows]) {
                        y.copy_from_slice(&[f32::from(range.zero), range.scale]);
                    }
                });
                state.ranges = ranges;
            }
            (Step::LinearRows(s), Some(numbers)) => {
                let (rows, k, n) = (self.at(s.rows), s.k as usize, s.n as usize);
                let matrix = self.matrix(&s.packed, numbers, k, n);
                let mut ranges = std::mem::take(&mut state.ranges);
                for (range, pair) in ranges[..rows].iter_mut().zip(state.f32(s.ranges).chunks_exact(2)) {
                    *range = RowQuant { zero: pair[0] as u8, scale: pair[1] };
                }
                state.with_f32(s.y, |state, y| {
                    let input = Rows { data: state.u8(s.x), stride: k, count: rows };
                    let ranges = Some(&ranges[..rows]);
                    self.kernels.matrix_f32(&input, &matrix, ranges, &numbers.first, &mut y[..rows * n]);
                });
                state.ranges = ranges;
            }
            (Step::LayerNorm(s), Some(numbers)) => {
                let len = self.at(s.rows) * s.width as usize;
                state.with_f32(s.y, |state, y| {
                    let (x, y) = (&state.f32(s.x)[..len], &mut y[..len]);
                    float::layer_norm(x, &numbers.first, &numbers.second, s.epsilon, y);
                });
            }
            (Step::Attention(s), _) => {
                let (heads, width) = (s.heads as usize, s.width as usize);
                let (rows, keys) = (self.at(s.rows) * heads * width, self.at(s.keys) * heads * width);
                let mut scores = std::mem::take(&mut state.scores);
                state.with_f32(s.y, |state, y| {
                    let layer = float::Attention {
                        q: &state.f32(s.q)[..rows],
                        k: &state.f32(s.k)[..keys],
                        v: &state.f32(s.v)[..keys],
                        mask: s.mask.map_or(&[], |mask| state.f32(mask)),
                        mask_stride: 0,
                        heads,
                        width,
                        scale: s.scale,
                    };
                    float::attention(&layer, &mut scores, &mut y[..rows]);
                });
                state.scores = scores;
            }
            (Step::Embed(s), _) => {
                let (count, width) = (self.at(s.count), s.width as usize);
                let table = slice(self.weights, s.table);
                let scale = s.scale.map(|range| slice(self.weights, range));
                state.with_f32(s.y, |state, y| {
                    for (y, &id) in y.chunks_exact_mut(width).zip(&state.i32(s.ids)[..count]) {
                        // Numbers outside the table read its nearest end: tokenizer and model then do not fit, which
                        // the encoder's identity tells.
                        let row = id.clamp(0, s.words as i32 - 1) as usize;
                        if let Some(scale) = scale {
                            let bytes = &scale[row * 4..][..4];
                            let scale = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                            for (y, &q) in y.iter_mut().zip(&table[row * width..]) {
                                *y = f32::from(q as i8) * scale;
                            }
                        } else {
                            for (y, word) in y.iter_mut().zip(words(&table[row * width * 4..])) {
                                *y = f32::from_le_bytes(word);
                            }
                        }
                    }
                });
            }
            (Step::ToFloat(s), _) => state.with_f32(s.y, |state, y| {
                for (y, &x) in y[..self.at(s.len)].iter_mut().zip(state.i32(s.x)) {
                    *y = x as f32;
                }
            }),
            (
                Step::Conv(_)
                | Step::Linear(_)
                | Step::Depthwise(_)
                | Step::LinearF32(_)
                | Step::LinearRows(_)
                | Step::LayerNorm(_),
                None,
            ) => {
                unreachable!("`numbers` reads those of every such step")
            }
        }
    }

    /// Steps that move values of either kind.
    fn any(
        &self,
        state: &mut State,
        x: u32,
        y: u32,
        bytes: impl FnOnce(&[u8], &mut [u8]),
        floats: impl FnOnce(&[f32], &mut [f32]),
    ) {
        if self.program.slots[y as usize].element == Element::U8 {
            state.with_u8(y, |state, y| bytes(state.u8(x), y));
        } else {
            state.with_f32(y, |state, y| floats(state.f32(x), y));
        }
    }

    fn matrix<'a>(&'a self, packed: &Packed, numbers: &'a Numbers, k: usize, n: usize) -> Matrix<'a> {
        Matrix {
            k,
            n,
            weights: slice(self.weights, packed.weights),
            bias: &numbers.bias,
            sums: &numbers.sums,
            scale: &numbers.scale,
        }
    }

    fn multiply(
        &self,
        state: &mut State,
        x: u32,
        stride: usize,
        count: usize,
        matrix: &Matrix,
        y: u32,
        to: Option<&Range8>,
    ) {
        let len = count * matrix.n;
        if let Some(to) = to {
            state.with_u8(y, |state, y| {
                let rows = Rows { data: state.u8(x), stride, count };
                self.kernels.matrix_u8(&rows, matrix, quant(to), &mut y[..len]);
            });
        } else {
            state.with_f32(y, |state, y| {
                let rows = Rows { data: state.u8(x), stride, count };
                self.kernels.matrix_f32(&rows, matrix, None, &[], &mut y[..len]);
            });
        }
    }

    fn conv(&self, s: &Conv, numbers: &Numbers, state: &mut State) {
        let w = &s.window;
        let (n, pixels) = (s.out_channels as usize, (w.out_height * w.out_width) as usize);
        let k = inputs(w);
        let matrix = self.matrix(&s.packed, numbers, k, n);
        if plain(w) {
            return self.multiply(state, s.x, k, pixels, &matrix, s.y, s.to.as_ref());
        }
        let stride = k.next_multiple_of(INPUTS);
        let panel = panel(w);
        let mut scratch = std::mem::take(&mut state.scratch);
        let mut first = 0;
        while first < pixels {
            let count = panel.min(pixels - first);
            gather(s, state.u8(s.x), first, &mut scratch[..count * stride]);
            let rows = Rows { data: &scratch, stride, count };
            let place = first * n..(first + count) * n;
            match &s.to {
                Some(to) => state
                    .with_u8(s.y, |_, y| self.kernels.matrix_u8(&rows, &matrix, quant(to), &mut y[place])),
                None => state
                    .with_f32(s.y, |_, y| self.kernels.matrix_f32(&rows, &matrix, None, &[], &mut y[place])),
            }
            first += count;
        }
        state.scratch = scratch;
    }

    fn depthwise(&self, s: &Depthwise, numbers: &Numbers, state: &mut State) {
        let w = &s.window;
        let channels = w.channels as usize;
        let mut scratch = std::mem::take(&mut state.scratch);
        let outside = &mut scratch[..channels + SLACK];
        outside.fill(s.outside);
        let len = (w.out_height * w.out_width) as usize * channels;
        state.with_u8(s.y, |state, y| {
            let layer = int8::Depthwise {
                x: state.u8(s.x),
                height: w.height as usize,
                width: w.width as usize,
                channels,
                kernel: [w.kernel_h as usize, w.kernel_w as usize],
                stride: [w.stride_h as usize, w.stride_w as usize],
                pad: [w.pad_top as usize, w.pad_left as usize],
                out_width: w.out_width as usize,
                outside,
                weights: slice(self.weights, s.packed.weights),
                bias: &numbers.bias,
                sums: &numbers.sums,
                scale: &numbers.scale,
                quant: quant(&s.to),
            };
            self.kernels.depthwise(&layer, 0, &mut y[..len]);
        });
        state.scratch = scratch;
    }

    fn permute<T: Copy>(&self, s: &Permute, x: &[T], y: &mut [T]) {
        let axes = s.dims.len();
        let mut sides = [1; MAX_AXES];
        for (side, dim) in sides.iter_mut().zip(&s.dims) {
            *side = self.at(*dim);
        }
        let mut strides = [1; MAX_AXES];
        for axis in (1..axes).rev() {
            strides[axis - 1] = strides[axis] * sides[axis];
        }
        // Side and step in `x` of each axis of `y`.
        let mut out = [(1, 0); MAX_AXES];
        for (to, &axis) in out.iter_mut().zip(&s.perm) {
            *to = (sides[axis as usize], strides[axis as usize]);
        }
        let len = sides[..axes].iter().product();
        let (last, step) = out[axes - 1];
        let mut at = [0; MAX_AXES];
        for run in y[..len].chunks_exact_mut(last) {
            let from: usize = at[..axes].iter().zip(&out).map(|(i, (_, step))| i * step).sum();
            for (i, y) in run.iter_mut().enumerate() {
                *y = x[from + i * step];
            }
            for axis in (0..axes - 1).rev() {
                at[axis] += 1;
                if at[axis] < out[axis].0 {
                    break;
                }
                at[axis] = 0;
            }
        }
    }
}

fn quant(range: &Range8) -> Quant {
    Quant { zero: range.zero, low: range.low, high: range.high }
}

fn inputs(w: &Window) -> usize {
    (w.kernel_h * w.kernel_w * w.channels) as usize
}

/// Whether the picture's pixels are the rows of the product.
fn plain(w: &Window) -> bool {
    let one = [w.kernel_h, w.kernel_w, w.stride_h, w.stride_w].iter().all(|&v| v == 1);
    one && w.pad_top == 0 && w.pad_left == 0 && w.out_height == w.height && w.out_width == w.width
}

/// Windows gathered at once.
fn panel(w: &Window) -> usize {
    (PANEL / inputs(w).next_multiple_of(INPUTS)).max(8)
}

fn scratch(step: &Step) -> usize {
    match step {
        Step::Conv(s) if !plain(&s.window) => {
            panel(&s.window) * inputs(&s.window).next_multiple_of(INPUTS) + SLACK
        }
        Step::Depthwise(s) => s.window.channels as usize + SLACK,
        _ => 0,
    }
}

/// Copies the windows of output pixels `first..` into rows of `k` values and zeros up to a multiple of four.
fn gather(s: &Conv, x: &[u8], first: usize, rows: &mut [u8]) {
    let w = &s.window;
    let (height, width, channels) = (w.height as usize, w.width as usize, w.channels as usize);
    let (kh, kw) = (w.kernel_h as usize, w.kernel_w as usize);
    let (dh, dw) = (w.dilation_h as usize, w.dilation_w as usize);
    let stride = inputs(w).next_multiple_of(INPUTS);
    for (i, row) in rows.chunks_exact_mut(stride).enumerate() {
        let pixel = first + i;
        let (oy, ox) = (pixel / w.out_width as usize, pixel % w.out_width as usize);
        let (top, left) = (oy * w.stride_h as usize, ox * w.stride_w as usize);
        for (ky, part) in row.chunks_exact_mut(kw * channels).take(kh).enumerate() {
            let y = (top + ky * dh).checked_sub(w.pad_top as usize).filter(|y| *y < height);
            let Some(y) = y else {
                part.fill(s.outside);
                continue;
            };
            let start = left.checked_sub(w.pad_left as usize);
            if let Some(start) = start.filter(|start| dw == 1 && start + kw <= width) {
                part.copy_from_slice(&x[(y * width + start) * channels..][..kw * channels]);
                continue;
            }
            for (kx, tap) in part.chunks_exact_mut(channels).enumerate() {
                match (left + kx * dw).checked_sub(w.pad_left as usize).filter(|x| *x < width) {
                    Some(column) => tap.copy_from_slice(&x[(y * width + column) * channels..][..channels]),
                    None => tap.fill(s.outside),
                }
            }
        }
        row[inputs(w)..].fill(0);
    }
}

/// `round(x / scale) + zero` in 0 to 255; NaN gives 0.
#[inline(always)]
fn level(x: f32, scale: f32, zero: f32) -> u8 {
    // As `round_ties_even`, for magnitudes below 2²².
    const MAGIC: f32 = 12_582_912.0;
    let steps = (x / scale).max(-zero).min(255.0 - zero);
    (((steps + MAGIC) - MAGIC) + zero) as u8
}

fn quantize_input(s: &QuantizeInput, x: &[f32], y: &mut [u8]) {
    let (pixels, channels, zero) = (s.pixels as usize, s.channels as usize, f32::from(s.zero));
    if channels == 3 {
        let (r, rest) = x.split_at(pixels);
        let (g, b) = rest.split_at(pixels);
        for (((y, &r), &g), &b) in y.chunks_exact_mut(3).zip(r).zip(g).zip(b) {
            y.copy_from_slice(&[level(r, s.scale, zero), level(g, s.scale, zero), level(b, s.scale, zero)]);
        }
        return;
    }
    for (channel, plane) in x.chunks_exact(pixels).take(channels).enumerate() {
        for (y, &x) in y.chunks_exact_mut(channels).zip(plane) {
            y[channel] = level(x, s.scale, zero);
        }
    }
}

fn quantize(s: &Quantize, x: &[f32], y: &mut [u8]) {
    let zero = f32::from(s.zero);
    for (y, &x) in y.iter_mut().zip(x) {
        *y = level(x, s.scale, zero);
    }
}

fn unary(op: UnaryOp, a: f32, b: f32, x: &[f32], y: &mut [f32]) {
    fn each(x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = f(x);
        }
    }
    match op {
        UnaryOp::Exp => each(x, y, math::exp),
        UnaryOp::Sigmoid => each(x, y, math::sigmoid),
        UnaryOp::Tanh => each(x, y, math::tanh),
        UnaryOp::Erf => each(x, y, math::erf),
        UnaryOp::Sqrt => each(x, y, f32::sqrt),
        UnaryOp::Neg => each(x, y, |v| -v),
        UnaryOp::Clip => each(x, y, |v| v.max(a).min(b)),
        UnaryOp::Gelu => float::gelu(x, y),
        UnaryOp::Swish => each(x, y, |v| v * math::sigmoid(a * v)),
        UnaryOp::HardSigmoid => each(x, y, |v| (a * v + b).max(0.0).min(1.0)),
        UnaryOp::HardSwish => each(x, y, |v| v * (v * (1.0 / 6.0) + 0.5).max(0.0).min(1.0)),
        UnaryOp::Abs => each(x, y, f32::abs),
        UnaryOp::LeakyRelu => each(x, y, |v| if v < 0.0 { a * v } else { v }),
    }
}

fn binary(op: BinaryOp, spread: Spread, a: &[f32], b: &[f32], y: &mut [f32], inner: usize) {
    fn lay(spread: Spread, a: &[f32], b: &[f32], y: &mut [f32], inner: usize, f: impl Fn(f32, f32) -> f32) {
        let rows = y.chunks_exact_mut(inner).zip(a.chunks_exact(inner));
        match spread {
            Spread::Same => {
                for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                    *y = f(a, b);
                }
            }
            Spread::Row => {
                for (y, a) in rows {
                    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                        *y = f(a, b);
                    }
                }
            }
            Spread::Column => {
                for ((y, a), &b) in rows.zip(b) {
                    for (y, &a) in y.iter_mut().zip(a) {
                        *y = f(a, b);
                    }
                }
            }
            Spread::Single => {
                let b = b[0];
                for (y, &a) in y.iter_mut().zip(a) {
                    *y = f(a, b);
                }
            }
        }
    }
    match op {
        BinaryOp::Add => lay(spread, a, b, y, inner, |a, b| a + b),
        BinaryOp::Sub => lay(spread, a, b, y, inner, |a, b| a - b),
        BinaryOp::Mul => lay(spread, a, b, y, inner, |a, b| a * b),
        BinaryOp::Div => lay(spread, a, b, y, inner, |a, b| a / b),
        BinaryOp::SubFrom => lay(spread, a, b, y, inner, |a, b| b - a),
        BinaryOp::DivInto => lay(spread, a, b, y, inner, |a, b| b / a),
        BinaryOp::Min => lay(spread, a, b, y, inner, f32::min),
        BinaryOp::Max => lay(spread, a, b, y, inner, f32::max),
        BinaryOp::Pow => lay(spread, a, b, y, inner, |a, b| {
            if b == 2.0 {
                a * a
            } else if b == 0.5 {
                a.sqrt()
            } else {
                a
            }
        }),
    }
}

fn reduce(op: ReduceOp, [outer, middle, inner]: [usize; 3], x: &[f32], y: &mut [f32]) {
    let finish = |sum: f32| match op {
        ReduceOp::Mean => sum / middle as f32,
        ReduceOp::L2 => sum.sqrt(),
        _ => sum,
    };
    if inner == 1 {
        for (y, x) in y[..outer].iter_mut().zip(x.chunks_exact(middle)) {
            *y = match op {
                ReduceOp::Max => x.iter().copied().fold(f32::NEG_INFINITY, f32::max),
                ReduceOp::Min => x.iter().copied().fold(f32::INFINITY, f32::min),
                ReduceOp::L2 => finish(math::sum(x, |v| v * v)),
                ReduceOp::Sum | ReduceOp::Mean => finish(math::sum(x, |v| v)),
            };
        }
        return;
    }
    for (y, x) in y[..outer * inner].chunks_exact_mut(inner).zip(x.chunks_exact(middle * inner)) {
        let (first, rest) = x.split_at(inner);
        for (y, &x) in y.iter_mut().zip(first) {
            *y = if op == ReduceOp::L2 { x * x } else { x };
        }
        for row in rest.chunks_exact(inner) {
            for (y, &x) in y.iter_mut().zip(row) {
                *y = match op {
                    ReduceOp::Max => y.max(x),
                    ReduceOp::Min => y.min(x),
                    ReduceOp::L2 => *y + x * x,
                    ReduceOp::Sum | ReduceOp::Mean => *y + x,
                };
            }
        }
        y.iter_mut().for_each(|y| *y = finish(*y));
    }
}

fn repeat<T: Copy>(s: &Repeat, x: &[T], y: &mut [T]) {
    let (width, channels) = (s.width as usize, s.channels as usize);
    let (down, right) = (s.down as usize, s.right as usize);
    let row = width * right * channels;
    let rows = x.chunks_exact(width * channels).take(s.height as usize);
    for (x, y) in rows.zip(y.chunks_exact_mut(row * down)) {
        let (first, rest) = y.split_at_mut(row);
        for (x, y) in x.chunks_exact(channels).zip(first.chunks_exact_mut(channels * right)) {
            y.chunks_exact_mut(channels).for_each(|y| y.copy_from_slice(x));
        }
        rest.chunks_exact_mut(row).for_each(|y| y.copy_from_slice(first));
    }
}
