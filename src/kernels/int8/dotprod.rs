//! 64-bit ARM with SDOT (ARMv8.2 and later, most phones since 2018): the structure of [`neon`](super::neon).
//!
//! SDOT takes bytes of one sign, so inputs are flipped as there. The standard library's functions are not stable yet,
//! hence the assembly.

use std::arch::aarch64::*;
use std::arch::asm;

use super::neon::{Dot, ToF32, ToU8, flipped, flipped_bias, matrix_any};
use super::neon_shared as shared;
use super::{Depthwise, Int8, Matrix, Quant, RowQuant, Rows, reference};
use crate::kernels::Isa;

pub(super) const INT8: Int8 =
    Int8 { isa: Isa::Dotprod, matrix_u8, matrix_f32, depthwise, add: reference::add };

pub(super) fn available() -> bool {
    std::arch::is_aarch64_feature_detected!("dotprod")
}

#[derive(Clone, Copy)]
struct Sdot;

impl Dot for Sdot {
    type Sums = int32x4_t;
    const SMALL: bool = true;

    #[inline(always)]
    unsafe fn start(bias: int32x4_t, weights: int32x4_t) -> int32x4_t {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { flipped_bias(bias, weights) }
    }

    #[inline(always)]
    unsafe fn inputs(bytes: uint8x16_t) -> uint8x16_t {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { flipped(bytes) }
    }

    #[inline]
    #[target_feature(enable = "dotprod")]
    unsafe fn dot(mut sums: int32x4_t, inputs: uint8x16_t, weights: int8x16_t) -> int32x4_t {
        // SAFETY: the instruction only reads and writes these registers, and this function's feature has it.
        unsafe {
            asm!(
                "sdot {s:v}.4s, {w:v}.16b, {x:v}.16b",
                s = inout(vreg) sums, w = in(vreg) weights, x = in(vreg) inputs,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sums
    }

    #[inline]
    #[target_feature(enable = "dotprod")]
    unsafe fn dot_lane<const L: i32>(
        mut sums: int32x4_t,
        inputs: uint8x16_t,
        weights: int8x16_t,
    ) -> int32x4_t {
        // SAFETY: the instruction only reads and writes these registers, and this function's feature has it.
        unsafe {
            asm!(
                "sdot {s:v}.4s, {w:v}.16b, {x:v}.4b[{l}]",
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
}

fn matrix_u8(rows: &Rows, matrix: &Matrix, quant: Quant, out: &mut [u8]) {
    #[target_feature(enable = "dotprod")]
    unsafe fn wide(rows: &Rows, matrix: &Matrix, finish: &ToU8) {
        // SAFETY: the caller's.
        unsafe { matrix_any::<Sdot, 8, _>(rows, matrix, finish) }
    }
    // SAFETY: `INT8` is only handed out where `available`, and `Int8::matrix_u8` has checked every length.
    unsafe { wide(rows, matrix, &ToU8::new(quant, out)) }
}

fn matrix_f32(rows: &Rows, matrix: &Matrix, ranges: Option<&[RowQuant]>, offset: &[f32], out: &mut [f32]) {
    #[target_feature(enable = "dotprod")]
    unsafe fn wide(rows: &Rows, matrix: &Matrix, finish: &ToF32) {
        // SAFETY: the caller's.
        unsafe { matrix_any::<Sdot, 8, _>(rows, matrix, finish) }
    }
    // SAFETY: `INT8` is only handed out where `available`, and `Int8::matrix_f32` has checked every length.
    unsafe { wide(rows, matrix, &ToF32::new(ranges, offset, out)) }
}

fn depthwise(layer: &Depthwise, first: usize, out: &mut [u8]) {
    #[target_feature(enable = "dotprod")]
    unsafe fn wide(layer: &Depthwise, first: usize, out: &mut [u8]) {
        // SAFETY: the caller's.
        unsafe { shared::depthwise::<Sdot>(layer, first, out) }
    }
    // SAFETY: `INT8` is only handed out where `available`, and `Int8::depthwise` has checked every length.
    unsafe { wide(layer, first, out) }
}
