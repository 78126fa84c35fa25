//! AVX-VNNI, the 256-bit dot product of client CPUs without AVX-512: the structure of [`avx2`].

use std::arch::x86_64::*;

use super::avx2::{self, Dot, ToF32, ToU8, matrix_any};
use super::{Depthwise, Int8, Matrix, Quant, RowQuant, Rows, window};
use crate::kernels::Isa;

pub(super) const INT8: Int8 = Int8 { isa: Isa::AvxVnni, matrix_u8, matrix_f32, depthwise, add: avx2::add };

pub(super) fn available() -> bool {
    avx2::available() && std::is_x86_feature_detected!("avxvnni")
}

#[derive(Clone, Copy)]
struct Vnni;

impl Dot for Vnni {
    type Inputs = __m256i;
    type Weights = __m256i;

    #[inline(always)]
    unsafe fn inputs(bytes: __m256i) -> __m256i {
        bytes
    }

    #[inline(always)]
    unsafe fn weights(bytes: __m256i) -> __m256i {
        bytes
    }

    #[inline]
    #[target_feature(enable = "avx2,avxvnni")]
    unsafe fn dot(sums: __m256i, inputs: __m256i, weights: __m256i) -> __m256i {
        _mm256_dpbusd_avx_epi32(sums, inputs, weights)
    }
}

fn matrix_u8(rows: &Rows, matrix: &Matrix, quant: Quant, out: &mut [u8]) {
    #[target_feature(enable = "avx2,avxvnni")]
    unsafe fn wide(rows: &Rows, matrix: &Matrix, finish: &ToU8) {
        // SAFETY: the caller's.
        unsafe { matrix_any::<Vnni, 6, _>(rows, matrix, finish) }
    }
    // SAFETY: `INT8` is only handed out where `available`, and `Int8::matrix_u8` has checked every length.
    unsafe { wide(rows, matrix, &ToU8::new(quant, out)) }
}

fn matrix_f32(rows: &Rows, matrix: &Matrix, ranges: Option<&[RowQuant]>, offset: &[f32], out: &mut [f32]) {
    #[target_feature(enable = "avx2,avxvnni")]
    unsafe fn wide(rows: &Rows, matrix: &Matrix, finish: &ToF32) {
        // SAFETY: the caller's.
        unsafe { matrix_any::<Vnni, 6, _>(rows, matrix, finish) }
    }
    // SAFETY: `INT8` is only handed out where `available`, and `Int8::matrix_f32` has checked every length.
    unsafe { wide(rows, matrix, &ToF32::new(ranges, offset, out)) }
}

fn depthwise(layer: &Depthwise, first: usize, out: &mut [u8]) {
    #[target_feature(enable = "avx2,avxvnni")]
    unsafe fn wide(layer: &Depthwise, first: usize, out: &mut [u8]) {
        // SAFETY: the caller's.
        unsafe { window::depthwise::<Vnni>(layer, first, out) }
    }
    // SAFETY: `INT8` is only handed out where `available`, and `Int8::depthwise` has checked every length.
    unsafe { wide(layer, first, out) }
}
