//! Proof on opening that no step can leave its slots or weights, whatever a hostile file says.

use super::program::{Element, Packed, PoolOp, Program, Range, Range8, Size, Spread, Step, Window};
use super::state::{read_bytes, scratch_bytes};
use super::{Limits, OpenPlanError};
use crate::kernels::int8::{CHANNELS, COLUMNS, MAX_TAPS, packed_depthwise_len, packed_matrix_len};
use crate::kernels::pool::MAX_PARTS;

/// Largest side, channel count or stride of a window. Products of four of them fit into u64 with room.
const MAX_SIDE: u32 = 1 << 15;
/// Longest sum of products: 255 · 128 · this stays inside i32 with room for a bias.
const MAX_INPUTS: u64 = 60_000;
/// Longest free length.
const MAX_LENGTH: u32 = 1 << 12;
/// Steps and sides of ports times lengths that are gone through.
const MAX_CHECKS: u64 = 1 << 23;
/// Axes of a [`Permute`](super::program::Permute).
pub(super) const MAX_AXES: usize = 6;

/// What a step touches at one length.
struct Touch<'a> {
    program: &'a Program,
    weights: usize,
    length: u32,
    /// Values written and multiplied, a measure of time.
    work: u64,
    /// Slot of a picture's floats, until something else is written there.
    floats: Option<u32>,
    /// Whether a step after the first reads them.
    floats_read: bool,
}

/// What a check finds out.
pub(super) struct Checks {
    /// Bytes that slots take at the greatest length.
    pub memory: u64,
    /// Whether the one input is a picture of three channels, which the first step turns into levels and no other step
    /// reads: its bytes may then become levels at once.
    pub picture: bool,
}

type Checked = Result<(), String>;

/// Checks everything.
pub(super) fn check(program: &Program, weights: usize, limits: &Limits) -> Result<Checks, OpenPlanError> {
    let p = program;
    let lengths = 1..=p.max_length.max(1);
    let sides = p.inputs.iter().chain(&p.outputs).map(|port| 1 + port.dims.len() as u64);
    let checks = sides.sum::<u64>() + p.steps.len() as u64;
    if p.max_length > MAX_LENGTH || checks * u64::from(*lengths.end()) > MAX_CHECKS {
        return Err(OpenPlanError::TooLarge { what: "program" });
    }
    let broken = |what: String| OpenPlanError::broken(what);
    let mut bytes = 0u64;
    for (at, slot) in p.slots.iter().enumerate() {
        let unit = if slot.element == Element::U8 { 1 } else { 4 };
        let len = slot.size.at(*lengths.end()).saturating_mul(unit);
        bytes = bytes.saturating_add(len);
        let constant = slot.constant.len != 0;
        if constant && (u64::from(slot.constant.len) != len || slot.size.per != 0) {
            return Err(broken(format!("the constant slot {at} is not as long as its values")));
        }
        inside(slot.constant, weights).map_err(broken)?;
    }
    if bytes > limits.memory {
        return Err(OpenPlanError::Memory { needed: bytes, allowed: limits.memory });
    }
    let pictured = picture_slot(p);
    let mut picture = pictured.is_some();
    let mut returned = 0;
    for length in lengths.clone() {
        let mut touch = Touch { program: p, weights, length, work: 0, floats: None, floats_read: false };
        for (at, step) in p.steps.iter().enumerate() {
            touch.step(step).map_err(|why| broken(format!("step {at} ({}): {why}", step.name())))?;
            if at == 0 {
                touch.floats = pictured;
            }
        }
        if touch.work > limits.work {
            return Err(OpenPlanError::Work { needed: touch.work, allowed: limits.work });
        }
        returned = 0u64;
        for (ports, write) in [(&p.outputs, false), (&p.inputs, true)] {
            for port in ports {
                let kind = if port.whole { Element::I32 } else { Element::F32 };
                let len = port.dims.iter().try_fold(1u64, |n, d| n.checked_mul(d.at(length)));
                len.ok_or_else(|| "it is too large".into())
                    .and_then(|len| touch.slot(port.slot, kind, len, write))
                    .map_err(|why| broken(format!("port `{}`: {why}", port.name)))?;
                // Whole numbers are returned as i64.
                returned = returned.saturating_add(len.filter(|_| !write).map_or(0, |len| len * 8));
            }
        }
        picture &= !touch.floats_read;
    }
    if p.inputs.is_empty() || p.outputs.is_empty() {
        return Err(broken("it has no input or no output".into()));
    }
    let free = p.inputs.iter().flat_map(|i| &i.dims).any(|d| d.per != 0);
    if free != (p.max_length > 0) {
        return Err(broken("the free length is not one of an input".into()));
    }
    // What a run needs besides: the rows that each part of a step gathers, and what it returns.
    let needed = bytes.saturating_add(scratch_bytes(p) * MAX_PARTS as u64).saturating_add(returned);
    if needed > limits.memory {
        return Err(OpenPlanError::Memory { needed, allowed: limits.memory });
    }
    // They are copied: steps that share them would need more memory than the file has bytes.
    if read_bytes(p) > weights as u64 {
        return Err(broken("its steps read more numbers than the weights hold".into()));
    }
    Ok(Checks { memory: bytes, picture })
}

/// Slot of the floats of a program whose one input is a picture of three channels and whose first step quantises it.
fn picture_slot(p: &Program) -> Option<u32> {
    let ([input], Some(Step::QuantizeInput(first))) = (p.inputs.as_slice(), p.steps.first()) else {
        return None;
    };
    let [channels, height, width] = input.dims[..] else { return None };
    let pixels = u64::from(height.fixed) * u64::from(width.fixed);
    let fixed = [channels, height, width].iter().all(|side| side.per == 0);
    let fits = channels.fixed == 3 && first.channels == 3 && u64::from(first.pixels) == pixels;
    (fixed && fits && first.x == input.slot).then_some(first.x)
}

fn inside(range: Range, weights: usize) -> Checked {
    let end = u64::from(range.offset) + u64::from(range.len);
    if end <= weights as u64 && (range.offset as usize).is_multiple_of(super::file::ALIGN) {
        Ok(())
    } else {
        Err("it reads beyond the weights".into())
    }
}

impl Touch<'_> {
    fn at(&self, size: Size) -> u64 {
        size.at(self.length)
    }

    fn slot(&mut self, slot: u32, element: Element, len: u64, write: bool) -> Checked {
        if self.floats == Some(slot) {
            self.floats_read |= !write;
            self.floats = self.floats.filter(|_| !write);
        }
        let slot = self.program.slots.get(slot as usize).ok_or("it names a slot that is not there")?;
        if slot.element != element {
            return Err(format!("it takes a slot of {:?} for {element:?}", slot.element));
        }
        if len == 0 || len > self.at(slot.size) {
            return Err(format!("{len} values do not fit its slot of {}", self.at(slot.size)));
        }
        if write && slot.constant.len != 0 {
            return Err("it writes to a constant".into());
        }
        Ok(())
    }

    /// Inputs `xs` and output `y`, which must be another slot.
    fn io(&mut self, xs: &[(u32, Element, u64)], y: (u32, Element, u64)) -> Checked {
        for &(slot, element, len) in xs {
            self.slot(slot, element, len, false)?;
            if slot == y.0 {
                return Err("it writes where it reads".into());
            }
        }
        self.work = self.work.saturating_add(y.2);
        self.slot(y.0, y.1, y.2, true)
    }

    fn bytes(&self, range: Range, len: u64) -> Checked {
        if u64::from(range.len) != len {
            return Err(format!("weights of {} bytes where {len} are needed", range.len));
        }
        inside(range, self.weights)
    }

    fn packed(&self, packed: &Packed, weights: usize, numbers: u64) -> Checked {
        self.bytes(packed.weights, weights as u64)?;
        [packed.bias, packed.sums, packed.scale].into_iter().try_for_each(|r| self.bytes(r, numbers * 4))
    }

    /// Values of the picture read and of the output's pixels.
    fn window(&self, w: &Window) -> Result<(u64, u64), String> {
        let sides = [
            w.height,
            w.width,
            w.channels,
            w.kernel_h,
            w.kernel_w,
            w.stride_h,
            w.stride_w,
            w.dilation_h,
            w.dilation_w,
            w.out_height,
            w.out_width,
        ];
        if sides.iter().any(|&s| s == 0 || s > MAX_SIDE) || w.pad_top > MAX_SIDE || w.pad_left > MAX_SIDE {
            return Err("a side of its window is 0 or too large".into());
        }
        let pixels = u64::from(w.out_height) * u64::from(w.out_width);
        Ok((u64::from(w.height) * u64::from(w.width) * u64::from(w.channels), pixels))
    }

    fn step(&mut self, step: &Step) -> Checked {
        use Element::{F32, I32, U8};
        match step {
            Step::QuantizeInput(s) => {
                let len = u64::from(s.pixels) * u64::from(s.channels);
                positive(s.scale)?;
                self.io(&[(s.x, F32, len)], (s.y, U8, len))
            }
            Step::Conv(s) => {
                let (x, pixels) = self.window(&s.window)?;
                let w = &s.window;
                let k = u64::from(w.kernel_h) * u64::from(w.kernel_w) * u64::from(w.channels);
                self.matrix(k, s.out_channels, &s.packed)?;
                self.work = self.work.saturating_add(pixels * k * u64::from(s.out_channels));
                let y = levels_or_floats(s.to.as_ref())?;
                self.io(&[(s.x, U8, x)], (s.y, y, pixels * u64::from(s.out_channels)))
            }
            Step::Linear(s) => {
                let (rows, k, n) = (self.at(s.rows), u64::from(s.k), u64::from(s.n));
                self.matrix(k, s.n, &s.packed)?;
                if rows > u64::from(u32::MAX) {
                    return Err("it has too many rows".into());
                }
                self.work = self.work.saturating_add(rows.saturating_mul(k * n));
                let y = levels_or_floats(s.to.as_ref())?;
                self.io(&[(s.x, U8, rows * k)], (s.y, y, rows * n))
            }
            Step::Depthwise(s) => {
                let (x, pixels) = self.window(&s.window)?;
                let w = &s.window;
                let taps = w.kernel_h as usize * w.kernel_w as usize;
                if taps > MAX_TAPS || w.dilation_h != 1 || w.dilation_w != 1 {
                    return Err(format!("a filter of {taps} taps or with gaps"));
                }
                let channels = w.channels as usize;
                let numbers = channels.next_multiple_of(CHANNELS) as u64;
                self.packed(&s.packed, packed_depthwise_len(taps, channels), numbers)?;
                let y = pixels * u64::from(w.channels);
                levels_or_floats(Some(&s.to))?;
                self.work = self.work.saturating_add(y * taps as u64);
                self.io(&[(s.x, U8, x)], (s.y, U8, y))
            }
            Step::AddU8(s) => {
                let len = self.at(s.len);
                [s.ma, s.mb, s.c].into_iter().try_for_each(finite)?;
                levels_or_floats(Some(&s.to))?;
                self.io(&[(s.a, U8, len), (s.b, U8, len)], (s.y, U8, len))
            }
            Step::Lookup(s) => {
                self.bytes(s.table, 256)?;
                let len = self.at(s.len);
                self.io(&[(s.x, U8, len)], (s.y, U8, len))
            }
            Step::MeanU8(s) => {
                finite(s.scale)?;
                if s.pixels == 0 || s.pixels > 1 << 22 {
                    return Err("a mean over 0 or too many pixels".into());
                }
                let channels = u64::from(s.channels);
                let x = u64::from(s.pixels) * channels;
                self.work = self.work.saturating_add(x);
                self.io(&[(s.x, U8, x)], (s.y, F32, channels))
            }
            Step::Dequantize(s) => {
                finite(s.scale)?;
                let len = self.at(s.len);
                self.io(&[(s.x, U8, len)], (s.y, F32, len))
            }
            Step::Quantize(s) => {
                positive(s.scale)?;
                let len = self.at(s.len);
                self.io(&[(s.x, F32, len)], (s.y, U8, len))
            }
            Step::Unary(s) => {
                let len = self.at(s.len);
                self.io(&[(s.x, F32, len)], (s.y, F32, len))
            }
            Step::Binary(s) => {
                let (outer, inner) = (self.at(s.outer), self.at(s.inner));
                let len = outer.checked_mul(inner).ok_or("it is too large")?;
                let b = spread_len(s.spread, outer, inner, len);
                self.io(&[(s.a, F32, len), (s.b, F32, b)], (s.y, F32, len))
            }
            Step::Reduce(s) => {
                let out = self.at(s.outer).checked_mul(self.at(s.inner)).ok_or("it is too large")?;
                let len = out.checked_mul(self.at(s.middle)).ok_or("it is too large")?;
                self.work = self.work.saturating_add(len);
                self.io(&[(s.x, F32, len)], (s.y, F32, out))
            }
            Step::Copy(s) => {
                let (rows, width) = (self.at(s.rows), self.at(s.width));
                if width == 0 {
                    return Err("it copies nothing or too much".into());
                }
                let end = |at: Size, step: Size| {
                    let last = rows.checked_sub(1)?.checked_mul(self.at(step))?;
                    last.checked_add(self.at(at))?.checked_add(width)
                };
                let x = end(s.x_at, s.x_step).ok_or("it copies nothing or too much")?;
                let y = end(s.y_at, s.y_step).ok_or("it copies nothing or too much")?;
                let kind = self.program.slots.get(s.x as usize).map_or(F32, |slot| slot.element);
                self.work = self.work.saturating_add(rows.saturating_mul(width));
                self.io(&[(s.x, kind, x)], (s.y, kind, y))
            }
            Step::Permute(s) => {
                let len = s
                    .dims
                    .iter()
                    .try_fold(1u64, |n, d| n.checked_mul(self.at(*d)))
                    .ok_or("it is too large")?;
                let mut seen = [false; MAX_AXES];
                for &axis in &s.perm {
                    match seen.get_mut(axis as usize) {
                        Some(seen) if (axis as usize) < s.dims.len() && !*seen => *seen = true,
                        _ => return Err("its axes are no permutation".into()),
                    }
                }
                if s.perm.len() != s.dims.len() || s.dims.is_empty() {
                    return Err("its axes are no permutation".into());
                }
                let kind = self.program.slots.get(s.x as usize).map_or(F32, |slot| slot.element);
                self.io(&[(s.x, kind, len)], (s.y, kind, len))
            }
            Step::Repeat(s) => {
                let sides = [s.height, s.width, s.channels, s.down, s.right];
                if sides.iter().any(|&side| side == 0 || side > MAX_SIDE) || s.down > 64 || s.right > 64 {
                    return Err("a side is 0 or too large".into());
                }
                let x = u64::from(s.height) * u64::from(s.width) * u64::from(s.channels);
                let kind = self.program.slots.get(s.x as usize).map_or(F32, |slot| slot.element);
                self.io(&[(s.x, kind, x)], (s.y, kind, x * u64::from(s.down) * u64::from(s.right)))
            }
            Step::LinearF32(s) => {
                let (rows, k, n) = (self.at(s.rows), u64::from(s.k), u64::from(s.n));
                let padded = n.next_multiple_of(COLUMNS as u64);
                shape(k, n, rows)?;
                self.bytes(s.weights, k * padded * 4)?;
                self.bytes(s.bias, padded * 4)?;
                self.work = self.work.saturating_add(rows.saturating_mul(k * n));
                self.io(&[(s.x, F32, rows * k)], (s.y, F32, rows * n))
            }
            Step::QuantizeRows(s) => {
                let (rows, width) = (self.at(s.rows), u64::from(s.width));
                shape(width, 1, rows)?;
                self.io(&[(s.x, F32, rows * width)], (s.ranges, F32, rows * 2))?;
                self.io(&[(s.x, F32, rows * width)], (s.y, U8, rows * width))
            }
            Step::LinearRows(s) => {
                let (rows, k, n) = (self.at(s.rows), u64::from(s.k), u64::from(s.n));
                shape(k, n, rows)?;
                self.matrix(k, s.n, &s.packed)?;
                self.bytes(s.offset, n.next_multiple_of(COLUMNS as u64) * 4)?;
                self.work = self.work.saturating_add(rows.saturating_mul(k * n));
                self.io(&[(s.x, U8, rows * k), (s.ranges, F32, rows * 2)], (s.y, F32, rows * n))
            }
            Step::LayerNorm(s) => {
                let (rows, width) = (self.at(s.rows), u64::from(s.width));
                shape(width, 1, rows)?;
                finite(s.epsilon)?;
                [s.gain, s.shift].into_iter().try_for_each(|r| self.bytes(r, width * 4))?;
                self.io(&[(s.x, F32, rows * width)], (s.y, F32, rows * width))
            }
            Step::Attention(s) => {
                let (rows, keys) = (self.at(s.rows), self.at(s.keys));
                shape(u64::from(s.heads), u64::from(s.width), rows.max(keys))?;
                let row = u64::from(s.heads) * u64::from(s.width);
                finite(s.scale)?;
                self.work = self.work.saturating_add(rows.saturating_mul(keys).saturating_mul(2 * row));
                let mut reads = vec![(s.q, F32, rows * row), (s.k, F32, keys * row), (s.v, F32, keys * row)];
                reads.extend(s.mask.map(|mask| (mask, F32, keys)));
                self.io(&reads, (s.y, F32, rows * row))
            }
            Step::AttentionCausal(s) => {
                let rows = self.at(s.rows);
                shape(u64::from(s.heads), u64::from(s.width), rows)?;
                let row = u64::from(s.heads) * u64::from(s.width);
                finite(s.scale)?;
                self.work = self.work.saturating_add(rows.saturating_mul(rows).saturating_mul(2 * row));
                let mut reads = [s.q, s.k, s.v].map(|slot| (slot, F32, rows * row)).to_vec();
                reads.extend(s.mask.map(|mask| (mask, F32, rows)));
                self.io(&reads, (s.y, F32, rows * row))
            }
            Step::ArgMax(s) => {
                let (rows, width) = (self.at(s.rows), self.at(s.width));
                shape(width, 1, rows)?;
                self.work = self.work.saturating_add(rows * width);
                self.io(&[(s.x, F32, rows * width)], (s.y, I32, rows))
            }
            Step::Take(s) => {
                let (count, rows, width) = (self.at(s.count), self.at(s.rows), self.at(s.width));
                shape(width, 1, count.max(rows))?;
                if rows == 0 {
                    return Err("a table without rows".into());
                }
                self.io(&[(s.ids, I32, count), (s.x, F32, rows * width)], (s.y, F32, count * width))
            }
            Step::Select(s) => {
                let (outer, inner) = (self.at(s.outer), self.at(s.inner));
                let len = outer.checked_mul(inner).ok_or("it is too large")?;
                let of = |spread| spread_len(spread, outer, inner, len);
                let reads = [
                    (s.when, F32, of(s.when_spread)),
                    (s.a, F32, of(s.a_spread)),
                    (s.b, F32, of(s.b_spread)),
                ];
                self.io(&reads, (s.y, F32, len))
            }
            Step::Embed(s) => {
                let (count, words, width) = (self.at(s.count), u64::from(s.words), u64::from(s.width));
                shape(width, 1, count)?;
                if words == 0 || words > 1 << 24 {
                    return Err(format!("a table of {words} rows"));
                }
                match s.scale {
                    Some(scale) => {
                        self.bytes(s.table, words * width)?;
                        self.bytes(scale, words * 4)?;
                    }
                    None => self.bytes(s.table, words * width * 4)?,
                }
                self.io(&[(s.ids, I32, count)], (s.y, F32, count * width))
            }
            Step::ToFloat(s) => {
                let len = self.at(s.len);
                self.io(&[(s.x, I32, len)], (s.y, F32, len))
            }
            Step::ConvF32(s) => {
                let (x, pixels) = self.window(&s.window)?;
                let (k, n) = (taps(&s.window) * u64::from(s.window.channels), u64::from(s.out_channels));
                let padded = n.next_multiple_of(COLUMNS as u64);
                shape(k, n, pixels)?;
                self.bytes(s.weights, k * padded * 4)?;
                self.bytes(s.bias, padded * 4)?;
                self.work = self.work.saturating_add((pixels * k).saturating_mul(n));
                self.io(&[(s.x, F32, x)], (s.y, F32, pixels * n))
            }
            Step::DepthwiseF32(s) => {
                let (x, pixels) = self.window(&s.window)?;
                let (taps, channels) = (taps(&s.window), u64::from(s.window.channels));
                shape(taps, channels, pixels)?;
                self.bytes(s.weights, taps * channels * 4)?;
                self.bytes(s.bias, channels * 4)?;
                self.work = self.work.saturating_add((pixels * channels).saturating_mul(taps));
                self.io(&[(s.x, F32, x)], (s.y, F32, pixels * channels))
            }
            Step::ConvTranspose(s) => {
                let (x, pixels) = self.window(&s.window)?;
                let (k, n) = (u64::from(s.window.channels), u64::from(s.out_channels));
                let taps = taps(&s.window);
                shape(k, n, pixels)?;
                shape(k, taps, n)?;
                let columns = (taps * n).next_multiple_of(COLUMNS as u64);
                shape(k, columns, x / k)?;
                self.bytes(s.weights, k * columns * 4)?;
                self.bytes(s.bias, n * 4)?;
                self.work = self.work.saturating_add(x.saturating_mul(columns));
                self.io(&[(s.x, F32, x)], (s.y, F32, pixels * n))
            }
            Step::Pool(s) => {
                let (x, pixels) = self.window(&s.window)?;
                let y = pixels * u64::from(s.window.channels);
                let kind = self.program.slots.get(s.x as usize).map_or(F32, |slot| slot.element);
                if kind == I32 || kind == U8 && s.op != PoolOp::Max {
                    return Err("only greatest values of u8 are pooled".into());
                }
                self.work = self.work.saturating_add(y.saturating_mul(taps(&s.window)));
                self.io(&[(s.x, kind, x)], (s.y, kind, y))
            }
            Step::Softmax(s) => {
                let (rows, width) = (self.at(s.rows), self.at(s.width));
                shape(width, 1, rows)?;
                self.io(&[(s.x, F32, rows * width)], (s.y, F32, rows * width))
            }
            Step::Product(s) => {
                let (batch, rows, k, n) = (self.at(s.batch), self.at(s.rows), self.at(s.k), self.at(s.n));
                shape(k, n, rows)?;
                shape(k, n, batch)?;
                let all = |side: u64| batch.checked_mul(side).ok_or("it is too large");
                let b = if s.shared { k * n } else { all(k * n)? };
                self.work = self.work.saturating_add(all(rows)?.saturating_mul(k * n));
                self.io(&[(s.a, F32, all(rows * k)?), (s.b, F32, b)], (s.y, F32, all(rows * n)?))
            }
            Step::ResizeLinear(s) => {
                let sides = [s.height, s.width, s.channels, s.out_height, s.out_width];
                if sides.iter().any(|&side| side == 0 || side > MAX_SIDE) {
                    return Err("a side is 0 or too large".into());
                }
                let len = |h: u32, w: u32| u64::from(h) * u64::from(w) * u64::from(s.channels);
                let (x, y) = (len(s.height, s.width), len(s.out_height, s.out_width));
                self.io(&[(s.x, F32, x)], (s.y, F32, y))
            }
            Step::ChannelNorm(s) => {
                let (pixels, channels) = (u64::from(s.pixels), u64::from(s.channels));
                shape(channels, 1, pixels)?;
                finite(s.epsilon)?;
                [s.gain, s.shift].into_iter().try_for_each(|r| self.bytes(r, channels * 4))?;
                self.io(&[(s.x, F32, pixels * channels)], (s.y, F32, pixels * channels))
            }
            Step::Fill(s) => {
                let kind = self.program.slots.get(s.y as usize).map_or(F32, |slot| slot.element);
                if kind == U8 && !(0.0..=255.0).contains(&s.value) || kind == I32 {
                    return Err("it fills with a value that its slot does not hold".into());
                }
                self.io(&[], (s.y, kind, self.at(s.len)))
            }
        }
    }

    fn matrix(&self, k: u64, n: u32, packed: &Packed) -> Checked {
        if k == 0 || k > MAX_INPUTS || n == 0 || n > MAX_SIDE * 4 {
            return Err(format!("a matrix of {k} by {n}"));
        }
        let n = n as usize;
        self.packed(packed, packed_matrix_len(k as usize, n), n.next_multiple_of(COLUMNS) as u64)
    }
}

/// Values of an operand laid over `[outer, inner]`, `len` in all.
fn spread_len(spread: Spread, outer: u64, inner: u64, len: u64) -> u64 {
    match spread {
        Spread::Same => len,
        Spread::Row => inner,
        Spread::Column => outer,
        Spread::Single => 1,
    }
}

/// Taps of a window whose sides were checked.
fn taps(w: &Window) -> u64 {
    u64::from(w.kernel_h) * u64::from(w.kernel_w)
}

/// Sides of a product, small enough that no product of three overflows.
fn shape(k: u64, n: u64, rows: u64) -> Checked {
    const MAX: u64 = 1 << 20;
    if k == 0 || n == 0 || k > MAX || n > MAX || rows > MAX {
        return Err(format!("{rows} rows of {k} by {n}"));
    }
    Ok(())
}

/// What a step writes whose sums become levels, where it has a range for them.
fn levels_or_floats(to: Option<&Range8>) -> Result<Element, String> {
    match to {
        Some(to) if to.low > to.high => Err("its least level is above its greatest".into()),
        Some(_) => Ok(Element::U8),
        None => Ok(Element::F32),
    }
}

fn finite(value: f32) -> Checked {
    if value.is_finite() { Ok(()) } else { Err("a factor is not finite".into()) }
}

fn positive(value: f32) -> Checked {
    if value.is_finite() && value > 0.0 { Ok(()) } else { Err("a scale is not above 0".into()) }
}
