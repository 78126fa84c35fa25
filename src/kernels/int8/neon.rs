//! 64-bit ARM: 4 columns of 4 inputs at a time. The structure serves SDOT and the matrix products too, see [`Dot`].
//!
//! Baseline NEON multiplies only bytes of one sign, so the inputs' top bit is flipped, which makes u8 `x` the s8
//! `x − 128`, and 128 times the sum of the weights is added to the bias. A product fits 16 bits and two do not
//! (−128 · −128 twice), so each pair is added to 32-bit sums at once.
//!
//! What is generic here has no instruction set of its own: it is always inlined into a function that has one.

use std::arch::aarch64::*;

use super::neon_shared as shared;
use super::window::Pixel;
use super::{CHANNELS, COLUMNS, Depthwise, INPUTS, Int8, Matrix, Quant, RowQuant, Rows, reference};
use crate::kernels::Isa;

pub(super) const INT8: Int8 = Int8 { isa: Isa::Neon, matrix_u8, matrix_f32, depthwise, add: reference::add };

/// Bytes of activations that stay in the first-level cache while all columns pass by.
const PANEL: usize = 16 << 10;
/// Bytes of a register, 32-bit lanes in it, and columns of a tile.
pub(super) const BYTES: usize = 16;
pub(super) const LANES: usize = 4;
pub(super) const WIDTH: usize = 8;

/// How a path multiplies: 4 lanes of 4 inputs by 4 weights (s8), added to 4 sums.
pub(super) trait Dot: Copy {
    /// 4 sums, in whatever shape suits the instructions.
    type Sums: Copy;

    /// What sums start from: the bias and the sum of the weights of 4 columns.
    ///
    /// # Safety
    /// The CPU must have the path's instructions; so in all of this trait.
    unsafe fn start(bias: int32x4_t, weights: int32x4_t) -> Self::Sums;
    /// Inputs as the path multiplies them.
    ///
    /// # Safety
    /// See [`Dot::start`].
    unsafe fn inputs(bytes: uint8x16_t) -> uint8x16_t;
    /// Each lane of inputs by its lane of weights.
    ///
    /// # Safety
    /// See [`Dot::start`].
    unsafe fn dot(sums: Self::Sums, inputs: uint8x16_t, weights: int8x16_t) -> Self::Sums;
    /// Lane `L` of the inputs by every lane of weights.
    ///
    /// # Safety
    /// See [`Dot::start`].
    unsafe fn dot_lane<const L: i32>(sums: Self::Sums, inputs: uint8x16_t, weights: int8x16_t) -> Self::Sums;
    /// The sums themselves.
    ///
    /// # Safety
    /// See [`Dot::start`].
    unsafe fn total(sums: Self::Sums) -> int32x4_t;
    /// Whether sixteen such sums, and what they are made of, fit the registers.
    const SMALL: bool;

    /// `MR` rows by [`WIDTH`] columns.
    ///
    /// # Safety
    /// The CPU must have the path's instructions, `tile` must be inside rows and matrix, and these have passed the
    /// checks of `Int8::matrix_u8`.
    #[inline(always)]
    unsafe fn tile<const MR: usize>(tile: &Tile) -> [[int32x4_t; 2]; MR] {
        // SAFETY: the caller's.
        unsafe { by_lanes::<Self, MR>(tile) }
    }
}

#[derive(Clone, Copy)]
struct Pairs;

impl Dot for Pairs {
    /// Two sums a column, of two inputs each.
    type Sums = [int32x4_t; 2];
    const SMALL: bool = false;

    #[inline(always)]
    unsafe fn start(bias: int32x4_t, weights: int32x4_t) -> [int32x4_t; 2] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe {
            let (bias, none) = (flipped_bias(bias, weights), vdupq_n_s32(0));
            [vzip1q_s32(bias, none), vzip2q_s32(bias, none)]
        }
    }

    #[inline(always)]
    unsafe fn inputs(bytes: uint8x16_t) -> uint8x16_t {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { flipped(bytes) }
    }

    #[inline(always)]
    unsafe fn dot(sums: [int32x4_t; 2], inputs: uint8x16_t, weights: int8x16_t) -> [int32x4_t; 2] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe {
            let inputs = vreinterpretq_s8_u8(inputs);
            let low = vmull_s8(vget_low_s8(inputs), vget_low_s8(weights));
            let high = vmull_high_s8(inputs, weights);
            [vpadalq_s16(sums[0], low), vpadalq_s16(sums[1], high)]
        }
    }

    #[inline(always)]
    unsafe fn dot_lane<const L: i32>(
        sums: [int32x4_t; 2],
        inputs: uint8x16_t,
        weights: int8x16_t,
    ) -> [int32x4_t; 2] {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe {
            let lane = vdupq_laneq_u32::<L>(vreinterpretq_u32_u8(inputs));
            Self::dot(sums, vreinterpretq_u8_u32(lane), weights)
        }
    }

    #[inline(always)]
    unsafe fn total(sums: [int32x4_t; 2]) -> int32x4_t {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { vpaddq_s32(sums[0], sums[1]) }
    }
}

/// u8 values as s8, 128 less.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn flipped(bytes: uint8x16_t) -> uint8x16_t {
    veorq_u8(bytes, vdupq_n_u8(0x80))
}

/// The bias with what [`flipped`] takes away.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn flipped_bias(bias: int32x4_t, weights: int32x4_t) -> int32x4_t {
    vaddq_s32(bias, vshlq_n_s32::<7>(weights))
}

fn matrix_u8(rows: &Rows, matrix: &Matrix, quant: Quant, out: &mut [u8]) {
    // SAFETY: every 64-bit ARM has NEON, and `Int8::matrix_u8` has checked every length.
    unsafe { matrix_any::<Pairs, 4, _>(rows, matrix, &ToU8::new(quant, out)) }
}

fn matrix_f32(rows: &Rows, matrix: &Matrix, ranges: Option<&[RowQuant]>, offset: &[f32], out: &mut [f32]) {
    // SAFETY: every 64-bit ARM has NEON, and `Int8::matrix_f32` has checked every length.
    unsafe { matrix_any::<Pairs, 4, _>(rows, matrix, &ToF32::new(ranges, offset, out)) }
}

fn depthwise(layer: &Depthwise, first: usize, out: &mut [u8]) {
    // SAFETY: every 64-bit ARM has NEON, and `Int8::depthwise` has checked every length.
    unsafe { shared::depthwise::<Pairs>(layer, first, out) }
}

/// What happens to the finished sums of [`WIDTH`] columns.
pub(super) trait Finish {
    /// Writes the sums of columns `column..column + 8`, those that the matrix has, of `row`.
    ///
    /// # Safety
    /// `row` must be inside the output, and the columns inside the padded matrix and the first inside the output.
    unsafe fn store(&self, sums: [int32x4_t; 2], matrix: &Matrix, row: usize, column: usize);
}

/// Output values `[rows, n]` as u8.
pub(super) struct ToU8 {
    quant: Quant,
    out: *mut u8,
}

impl ToU8 {
    pub(super) fn new(quant: Quant, out: &mut [u8]) -> Self {
        Self { quant, out: out.as_mut_ptr() }
    }
}

impl Finish for ToU8 {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn store(&self, sums: [int32x4_t; 2], matrix: &Matrix, row: usize, column: usize) {
        // SAFETY: the caller's; of the 8 bytes, those of columns that the matrix lacks are not written.
        unsafe {
            let scale = matrix.scale.as_ptr().add(column);
            let bytes = levels(scaled(sums[0], scale), scaled(sums[1], scale.add(LANES)), self.quant);
            let to = self.out.add(row * matrix.n + column);
            let left = matrix.n - column;
            if left >= WIDTH {
                vst1_u8(to, bytes);
            } else {
                let mut buffer = [0u8; WIDTH];
                vst1_u8(buffer.as_mut_ptr(), bytes);
                to.copy_from_nonoverlapping(buffer.as_ptr(), left);
            }
        }
    }
}

/// `sum · scale` of 4 sums.
///
/// # Safety
/// `scale` must point to 4 numbers.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn scaled(sums: int32x4_t, scale: *const f32) -> float32x4_t {
    // SAFETY: the caller's.
    vmulq_f32(vcvtq_f32_s32(sums), unsafe { vld1q_f32(scale) })
}

/// `clamp(round(value)) + zero` of 8 values, as bytes.
#[inline]
#[target_feature(enable = "neon")]
fn levels(low: float32x4_t, high: float32x4_t, quant: Quant) -> uint8x8_t {
    // Conversions and narrowing saturate, which is all that a layer needs whose values may be any byte.
    let round = |value: float32x4_t| {
        if quant.low == 0 && quant.high == 255 {
            return vcvtnq_s32_f32(value);
        }
        let (least, most) = quant.bounds();
        // The "number" variants pass over NaN as `f32::max` does.
        vcvtnq_s32_f32(vminnmq_f32(vmaxnmq_f32(value, vdupq_n_f32(least)), vdupq_n_f32(most)))
    };
    let values = vqmovn_high_s32(vqmovn_s32(round(low)), round(high));
    vqmovun_s16(vqaddq_s16(values, vdupq_n_s16(i16::from(quant.zero))))
}

/// Output values `[rows, n]` as f32.
pub(super) struct ToF32<'a> {
    ranges: Option<&'a [RowQuant]>,
    offset: &'a [f32],
    out: *mut f32,
}

impl<'a> ToF32<'a> {
    pub(super) fn new(ranges: Option<&'a [RowQuant]>, offset: &'a [f32], out: &mut [f32]) -> Self {
        Self { ranges, offset, out: out.as_mut_ptr() }
    }
}

impl Finish for ToF32<'_> {
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn store(&self, sums: [int32x4_t; 2], matrix: &Matrix, row: usize, column: usize) {
        // SAFETY: the caller's; `ranges` has an entry a row and `offset` one a padded column, or they are absent. Of
        // the 8 values, those of columns that the matrix lacks are not written.
        unsafe {
            let range = match self.ranges {
                Some(ranges) => *ranges.get_unchecked(row),
                None => RowQuant { zero: 0, scale: 1.0 },
            };
            let mut buffer = [0.0f32; WIDTH];
            for (half, sums) in sums.into_iter().enumerate() {
                let at = column + half * LANES;
                let weights = vld1q_s32(matrix.sums.as_ptr().add(at));
                let away = vmulq_n_s32(weights, i32::from(range.zero));
                let value = vcvtq_f32_s32(vsubq_s32(sums, away));
                let scale = vmulq_n_f32(vld1q_f32(matrix.scale.as_ptr().add(at)), range.scale);
                let offset = if self.offset.is_empty() {
                    vdupq_n_f32(0.0)
                } else {
                    vld1q_f32(self.offset.as_ptr().add(at))
                };
                // Two roundings, as everywhere: no fused multiply-add.
                vst1q_f32(buffer.as_mut_ptr().add(half * LANES), vaddq_f32(vmulq_f32(value, scale), offset));
            }
            let to = self.out.add(row * matrix.n + column);
            let left = matrix.n - column;
            if left >= WIDTH {
                to.copy_from_nonoverlapping(buffer.as_ptr(), WIDTH);
            } else {
                to.copy_from_nonoverlapping(buffer.as_ptr(), left);
            }
        }
    }
}

/// Rows from a first on by [`WIDTH`] columns.
pub(super) struct Tile {
    /// First row's inputs.
    pub inputs: *const u8,
    /// Distance of rows.
    pub stride: usize,
    /// Lanes of 4 inputs in a row.
    pub quads: usize,
    /// First lanes of the columns' weights; the next quad's lie [`Tile::NEXT`] bytes on.
    pub weights: *const i8,
    /// First values of the columns' sums.
    pub bias: *const i32,
    /// Sums of the columns' weights.
    pub sums: *const i32,
}

impl Tile {
    /// From a quad's weights to the next quad's.
    pub(super) const NEXT: usize = COLUMNS * INPUTS;

    /// `column` is a multiple of [`WIDTH`].
    ///
    /// # Safety
    /// Row and column must be inside the rows and the padded matrix, which have passed the checks of
    /// `Int8::matrix_u8`.
    #[inline(always)]
    unsafe fn new(rows: &Rows, matrix: &Matrix, row: usize, column: usize) -> Self {
        let quads = matrix.k.div_ceil(INPUTS);
        let (block, within) = (column / COLUMNS, column % COLUMNS);
        // SAFETY: the caller's.
        unsafe {
            Self {
                inputs: rows.data.as_ptr().add(row * rows.stride),
                stride: rows.stride,
                quads,
                weights: matrix.weights.as_ptr().add(block * quads * Self::NEXT + within * INPUTS).cast(),
                bias: matrix.bias.as_ptr().add(column),
                sums: matrix.sums.as_ptr().add(column),
            }
        }
    }
}

/// A matrix product by `D`, `MR` (at least 4) rows at a time.
///
/// # Safety
/// The CPU must have the path's instructions, and rows, matrix and output have passed the checks of
/// `Int8::matrix_u8`: row `i < count` has `k` rounded up to 4 readable bytes, every padded column has weights and
/// numbers, and the output holds `count · n` values.
#[inline(always)]
pub(super) unsafe fn matrix_any<D: Dot, const MR: usize, F: Finish>(
    rows: &Rows,
    matrix: &Matrix,
    finish: &F,
) {
    let panel = (PANEL / matrix.k.next_multiple_of(INPUTS)).max(MR) / MR * MR;
    let mut from = 0;
    while from < rows.count {
        let to = (from + panel).min(rows.count);
        for column in (0..matrix.n).step_by(WIDTH) {
            let mut row = from;
            // SAFETY: the caller's; rows up to `to` and the columns, padded to 16, are inside.
            unsafe {
                while row + MR <= to {
                    stored::<D, MR, F>(rows, matrix, row, column, finish);
                    row += MR;
                }
                while row + 4 <= to {
                    stored::<D, 4, F>(rows, matrix, row, column, finish);
                    row += 4;
                }
                while row < to {
                    stored::<D, 1, F>(rows, matrix, row, column, finish);
                    row += 1;
                }
            }
        }
        from = to;
    }
}

/// Computes a tile and writes it.
///
/// # Safety
/// See [`matrix_any`]; `MR` rows from `row` on and the columns must be inside.
#[inline(always)]
unsafe fn stored<D: Dot, const MR: usize, F: Finish>(
    rows: &Rows,
    matrix: &Matrix,
    row: usize,
    column: usize,
    finish: &F,
) {
    // SAFETY: the caller's.
    unsafe {
        let sums = D::tile::<MR>(&Tile::new(rows, matrix, row, column));
        for (r, sums) in sums.into_iter().enumerate() {
            finish.store(sums, matrix, row + r, column);
        }
    }
}

/// A tile from products of a lane of inputs by vectors of weights, sums in registers.
///
/// # Safety
/// See [`Dot::tile`].
#[inline(always)]
pub(super) unsafe fn by_lanes<D: Dot, const MR: usize>(tile: &Tile) -> [[int32x4_t; 2]; MR] {
    // SAFETY: the caller's: rows have `quads · 4` readable bytes, columns that many weights.
    unsafe {
        let start = |at: usize| D::start(vld1q_s32(tile.bias.add(at)), vld1q_s32(tile.sums.add(at)));
        let mut sums = [[start(0), start(LANES)]; MR];
        let mut quad = 0;
        while quad + LANES <= tile.quads {
            let mut inputs = [vdupq_n_u8(0); MR];
            for (r, inputs) in inputs.iter_mut().enumerate() {
                *inputs = D::inputs(vld1q_u8(tile.inputs.add(r * tile.stride + quad * INPUTS)));
            }
            let weights = tile.weights.add(quad * Tile::NEXT);
            quad_of::<D, 0, MR>(&mut sums, &inputs, weights);
            quad_of::<D, 1, MR>(&mut sums, &inputs, weights.add(Tile::NEXT));
            quad_of::<D, 2, MR>(&mut sums, &inputs, weights.add(2 * Tile::NEXT));
            quad_of::<D, 3, MR>(&mut sums, &inputs, weights.add(3 * Tile::NEXT));
            quad += LANES;
        }
        if quad + 2 <= tile.quads {
            let mut inputs = [vdupq_n_u8(0); MR];
            for (r, inputs) in inputs.iter_mut().enumerate() {
                let words = vld1_u8(tile.inputs.add(r * tile.stride + quad * INPUTS));
                *inputs = D::inputs(vcombine_u8(words, words));
            }
            let weights = tile.weights.add(quad * Tile::NEXT);
            quad_of::<D, 0, MR>(&mut sums, &inputs, weights);
            quad_of::<D, 1, MR>(&mut sums, &inputs, weights.add(Tile::NEXT));
            quad += 2;
        }
        if quad < tile.quads {
            let mut inputs = [vdupq_n_u8(0); MR];
            for (r, inputs) in inputs.iter_mut().enumerate() {
                let word = tile.inputs.add(r * tile.stride + quad * INPUTS).cast::<u32>().read_unaligned();
                *inputs = D::inputs(vreinterpretq_u8_u32(vdupq_n_u32(word)));
            }
            quad_of::<D, 0, MR>(&mut sums, &inputs, tile.weights.add(quad * Tile::NEXT));
        }
        let mut totals = [[vdupq_n_s32(0); 2]; MR];
        for (totals, sums) in totals.iter_mut().zip(sums) {
            *totals = [D::total(sums[0]), D::total(sums[1])];
        }
        totals
    }
}

/// Lane `L` of each row's inputs by the weights of 8 columns.
///
/// # Safety
/// The CPU must have the path's instructions and `weights` point to 32 bytes.
#[inline(always)]
unsafe fn quad_of<D: Dot, const L: i32, const MR: usize>(
    sums: &mut [[D::Sums; 2]; MR],
    inputs: &[uint8x16_t; MR],
    weights: *const i8,
) {
    // SAFETY: the caller's.
    unsafe {
        let (first, second) = (vld1q_s8(weights), vld1q_s8(weights.add(BYTES)));
        for (sums, inputs) in sums.iter_mut().zip(inputs) {
            sums[0] = D::dot_lane::<L>(sums[0], *inputs, first);
            sums[1] = D::dot_lane::<L>(sums[1], *inputs, second);
        }
    }
}

impl<D: Dot> Pixel for D {
    #[inline(always)]
    unsafe fn pixel<const KH: usize, const KW: usize>(
        d: &Depthwise,
        out: &mut [u8],
        tap: impl Fn(usize) -> *const u8,
    ) {
        // SAFETY: the caller's; a quarter block has 16 channels, and a read past the last stays in the slack.
        unsafe {
            for (quarter, out) in out.chunks_mut(BYTES).enumerate() {
                let bytes = quarter_block::<D>(d, KH * KW, quarter, |t| tap(t).add(quarter * BYTES));
                if out.len() == BYTES {
                    vst1q_u8(out.as_mut_ptr(), bytes);
                } else {
                    let mut buffer = [0u8; BYTES];
                    vst1q_u8(buffer.as_mut_ptr(), bytes);
                    out.copy_from_slice(&buffer[..out.len()]);
                }
            }
        }
    }
}

/// 16 channels of one output pixel.
///
/// # Safety
/// See [`Pixel::pixel`]; `tap(t)` must point to 16 readable bytes for every `t < taps`.
#[inline(always)]
unsafe fn quarter_block<D: Dot>(
    d: &Depthwise,
    taps: usize,
    quarter: usize,
    tap: impl Fn(usize) -> *const u8,
) -> uint8x16_t {
    let groups = taps.div_ceil(INPUTS);
    // Numbers of 16-channel quarters lie beside each other, 4 of each in 16.
    let at = quarter / 4 * CHANNELS + quarter % 4 * LANES;
    // SAFETY: the caller's; weights and numbers are padded to whole blocks of 64 channels.
    unsafe {
        let (bias, sums) = (d.bias.as_ptr().add(at), d.sums.as_ptr().add(at));
        let start = |v: usize| D::start(vld1q_s32(bias.add(v * 16)), vld1q_s32(sums.add(v * 16)));
        let mut sums = [start(0), start(1), start(2), start(3)];
        let weights = d.weights.as_ptr().cast::<i8>();
        let weights = weights.add(quarter / 4 * CHANNELS * groups * INPUTS + quarter % 4 * BYTES);
        for group in 0..groups {
            // What a missing tap holds does not matter, its weight is 0.
            let mut x = [vdupq_n_u8(0); INPUTS];
            for (i, x) in x.iter_mut().enumerate() {
                if group * INPUTS + i < taps {
                    *x = D::inputs(vld1q_u8(tap(group * INPUTS + i)));
                }
            }
            for (v, quad) in interleaved(x).into_iter().enumerate() {
                let w = vld1q_s8(weights.add((group * 4 + v) * CHANNELS));
                sums[v] = D::dot(sums[v], quad, w);
            }
        }
        finished::<D>(d, at, sums)
    }
}

/// The output values of 16 channels, whose numbers begin at `at`.
///
/// # Safety
/// See [`Pixel::pixel`].
#[inline(always)]
pub(super) unsafe fn finished<D: Dot>(d: &Depthwise, at: usize, sums: [D::Sums; 4]) -> uint8x16_t {
    // SAFETY: the caller's; numbers are padded to whole blocks of 64 channels.
    unsafe {
        let scale = d.scale.as_ptr().add(at);
        let mut values = [vdupq_n_f32(0.0); 4];
        for (v, value) in values.iter_mut().enumerate() {
            *value = scaled(D::total(sums[v]), scale.add(v * 16));
        }
        vcombine_u8(levels(values[0], values[1], d.quant), levels(values[2], values[3], d.quant))
    }
}

/// Four pixels of 16 channels with each channel's four bytes side by side.
#[inline(always)]
pub(super) unsafe fn interleaved(x: [uint8x16_t; INPUTS]) -> [uint8x16_t; 4] {
    // SAFETY: every 64-bit ARM has NEON.
    unsafe {
        let (l01, h01) = (vzip1q_u8(x[0], x[1]), vzip2q_u8(x[0], x[1]));
        let (l23, h23) = (vzip1q_u8(x[2], x[3]), vzip2q_u8(x[2], x[3]));
        let ([a, b], [c, d]) = (words(l01, l23), words(h01, h23));
        [a, b, c, d]
    }
}

/// 16-bit pairs of two vectors interleaved.
#[inline]
#[target_feature(enable = "neon")]
fn words(a: uint8x16_t, b: uint8x16_t) -> [uint8x16_t; 2] {
    let (a, b) = (vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b));
    [vreinterpretq_u8_u16(vzip1q_u16(a, b)), vreinterpretq_u8_u16(vzip2q_u16(a, b))]
}
