//! 64-bit ARM with 8-bit matrix products (ARMv8.6 and later, phones since about 2021): the structure of
//! [`neon`](super::neon), with tiles of its own for matrices.
//!
//! USMMLA multiplies 2 rows of 8 inputs (u8) by 2 columns of 8 weights (s8): 32 products an instruction where SDOT
//! has 16, and no sign to flip. The standard library's functions are not stable yet, hence the assembly.

use std::arch::aarch64::*;
use std::arch::asm;

use super::neon::{Dot, Tile, ToF32, ToU8, by_lanes, matrix_any};
use super::neon_shared as shared;
use super::{Depthwise, INPUTS, Int8, Matrix, Quant, RowQuant, Rows, reference};
use crate::kernels::Isa;

pub(super) const INT8: Int8 = Int8 { isa: Isa::I8mm, matrix_u8, matrix_f32, depthwise, add: reference::add };

pub(super) fn available() -> bool {
    std::arch::is_aarch64_feature_detected!("i8mm")
}

#[derive(Clone, Copy)]
struct Mixed;

impl Dot for Mixed {
    type Sums = int32x4_t;
    const SMALL: bool = true;

    #[inline(always)]
    unsafe fn start(bias: int32x4_t, _: int32x4_t) -> int32x4_t {
        bias
    }

    #[inline(always)]
    unsafe fn inputs(bytes: uint8x16_t) -> uint8x16_t {
        bytes
    }

    #[inline]
    #[target_feature(enable = "i8mm")]
    unsafe fn dot(mut sums: int32x4_t, inputs: uint8x16_t, weights: int8x16_t) -> int32x4_t {
        // SAFETY: the instruction only reads and writes these registers, and this function's feature has it.
        unsafe {
            asm!(
                "usdot {s:v}.4s, {x:v}.16b, {w:v}.16b",
                s = inout(vreg) sums, x = in(vreg) inputs, w = in(vreg) weights,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sums
    }

    #[inline]
    #[target_feature(enable = "i8mm")]
    unsafe fn dot_lane<const L: i32>(
        mut sums: int32x4_t,
        inputs: uint8x16_t,
        weights: int8x16_t,
    ) -> int32x4_t {
        // SAFETY: the instruction only reads and writes these registers, and this function's feature has it.
        unsafe {
            asm!(
                "sudot {s:v}.4s, {w:v}.16b, {x:v}.4b[{l}]",
                s = inout(vreg) sums, w = in(vreg) weights, x = in(vreg) inputs, l = const L,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sums
    }

    #[inline(always)]
    unsafe fn total(sums: int32x4_t) -> int32x4_t {
        sums
    }

    #[inline(always)]
    unsafe fn tile<const MR: usize>(tile: &Tile) -> [[int32x4_t; 2]; MR] {
        // SAFETY: the caller's.
        unsafe { if MR.is_multiple_of(2) { by_pairs(tile) } else { by_lanes::<Self, MR>(tile) } }
    }
}

/// Sums `[2 rows, 2 columns]` of inputs `[2 rows, 8]` and weights `[2 columns, 8]`.
#[inline]
#[target_feature(enable = "i8mm")]
fn usmmla(mut sums: int32x4_t, inputs: uint8x16_t, weights: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction only reads and writes these registers, and this function's feature has it.
    unsafe {
        asm!(
            "usmmla {s:v}.4s, {x:v}.16b, {w:v}.16b",
            s = inout(vreg) sums, x = in(vreg) inputs, w = in(vreg) weights,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// A tile of an even number of rows, from products of two rows by two columns.
///
/// # Safety
/// See [`Dot::tile`].
#[inline(always)]
unsafe fn by_pairs<const MR: usize>(tile: &Tile) -> [[int32x4_t; 2]; MR] {
    // SAFETY: the caller's: rows have `quads · 4` readable bytes, columns that many weights.
    unsafe {
        // Rows 2p and 2p + 1: two pairs of columns in `sums[2p]`, two in `sums[2p + 1]`.
        let mut sums = [[vdupq_n_s32(0); 2]; MR];
        for (r, sums) in sums.iter_mut().enumerate() {
            let bias = vreinterpretq_s64_s32(vld1q_s32(tile.bias.add(r % 2 * 4)));
            *sums = [
                vreinterpretq_s32_s64(vdupq_laneq_s64::<0>(bias)),
                vreinterpretq_s32_s64(vdupq_laneq_s64::<1>(bias)),
            ];
        }
        let row = |r: usize, quad: usize| tile.inputs.add(r * tile.stride + quad * INPUTS);
        let weights = |quad: usize, half: usize| {
            vreinterpretq_s32_s8(vld1q_s8(tile.weights.add(quad * Tile::NEXT + half * 16)))
        };
        let mut quad = 0;
        while quad + 2 <= tile.quads {
            let columns = [
                columns_of(weights(quad, 0), weights(quad + 1, 0)),
                columns_of(weights(quad, 1), weights(quad + 1, 1)),
            ];
            for pair in (0..MR).step_by(2) {
                let inputs = vcombine_u8(vld1_u8(row(pair, quad)), vld1_u8(row(pair + 1, quad)));
                products(&mut sums, pair, inputs, columns);
            }
            quad += 2;
        }
        if quad < tile.quads {
            let none = vdupq_n_s32(0);
            let columns = [columns_of(weights(quad, 0), none), columns_of(weights(quad, 1), none)];
            for pair in (0..MR).step_by(2) {
                let word = |r: usize| u64::from(row(r, quad).cast::<u32>().read_unaligned());
                let inputs = vcombine_u8(vcreate_u8(word(pair)), vcreate_u8(word(pair + 1)));
                products(&mut sums, pair, inputs, columns);
            }
        }
        let mut totals = [[vdupq_n_s32(0); 2]; MR];
        for pair in (0..MR).step_by(2) {
            for half in 0..2 {
                let [first, second] = sums[pair + half].map(|s| vreinterpretq_s64_s32(s));
                totals[pair][half] = vreinterpretq_s32_s64(vzip1q_s64(first, second));
                totals[pair + 1][half] = vreinterpretq_s32_s64(vzip2q_s64(first, second));
            }
        }
        totals
    }
}

/// 4 columns of two quads as two pairs of columns of 8 inputs.
#[inline]
#[target_feature(enable = "neon")]
fn columns_of(quad: int32x4_t, next: int32x4_t) -> [int8x16_t; 2] {
    [vreinterpretq_s8_s32(vzip1q_s32(quad, next)), vreinterpretq_s8_s32(vzip2q_s32(quad, next))]
}

/// Adds the products of rows `pair` and `pair + 1`.
///
/// # Safety
/// The CPU must have the path's instructions.
#[inline(always)]
unsafe fn products<const MR: usize>(
    sums: &mut [[int32x4_t; 2]; MR],
    pair: usize,
    inputs: uint8x16_t,
    columns: [[int8x16_t; 2]; 2],
) {
    for (half, columns) in columns.into_iter().enumerate() {
        for (sums, columns) in sums[pair + half].iter_mut().zip(columns) {
            // SAFETY: the caller's.
            *sums = unsafe { usmmla(*sums, inputs, columns) };
        }
    }
}

fn matrix_u8(rows: &Rows, matrix: &Matrix, quant: Quant, out: &mut [u8]) {
    #[target_feature(enable = "i8mm")]
    unsafe fn wide(rows: &Rows, matrix: &Matrix, finish: &ToU8) {
        // SAFETY: the caller's.
        unsafe { matrix_any::<Mixed, 8, _>(rows, matrix, finish) }
    }
    // SAFETY: `INT8` is only handed out where `available`, and `Int8::matrix_u8` has checked every length.
    unsafe { wide(rows, matrix, &ToU8::new(quant, out)) }
}

fn matrix_f32(rows: &Rows, matrix: &Matrix, ranges: Option<&[RowQuant]>, offset: &[f32], out: &mut [f32]) {
    #[target_feature(enable = "i8mm")]
    unsafe fn wide(rows: &Rows, matrix: &Matrix, finish: &ToF32) {
        // SAFETY: the caller's.
        unsafe { matrix_any::<Mixed, 8, _>(rows, matrix, finish) }
    }
    // SAFETY: `INT8` is only handed out where `available`, and `Int8::matrix_f32` has checked every length.
    unsafe { wide(rows, matrix, &ToF32::new(ranges, offset, out)) }
}

fn depthwise(layer: &Depthwise, first: usize, out: &mut [u8]) {
    #[target_feature(enable = "i8mm")]
    unsafe fn wide(layer: &Depthwise, first: usize, out: &mut [u8]) {
        // SAFETY: the caller's.
        unsafe { shared::depthwise::<Mixed>(layer, first, out) }
    }
    // SAFETY: `INT8` is only handed out where `available`, and `Int8::depthwise` has checked every length.
    unsafe { wide(layer, first, out) }
}
