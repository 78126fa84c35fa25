//! AVX-512 with VNNI: 16 columns of 4 inputs an instruction.

use std::arch::x86_64::*;

use super::avx512_shared as shared;
use super::window::{self, Pixel};
use super::{Add, CHANNELS, COLUMNS, Depthwise, INPUTS, Int8, Matrix, Quant, RowQuant, Rows, reference};
use crate::kernels::Isa;

pub(super) const INT8: Int8 = Int8 { isa: Isa::Avx512, matrix_u8, matrix_f32, depthwise, add };

pub(super) fn available() -> bool {
    std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512vl")
        && std::is_x86_feature_detected!("avx512dq")
        && std::is_x86_feature_detected!("avx512vnni")
}

/// Bytes of activations that stay in the first-level cache while all columns pass by.
const PANEL: usize = 24 << 10;

fn matrix_u8(rows: &Rows, matrix: &Matrix, quant: Quant, out: &mut [u8]) {
    let (low, high) = quant.bounds();
    let finish = ToU8 { low, high, zero: i32::from(quant.zero), out: out.as_mut_ptr() };
    // SAFETY: `INT8` is only handed out where `available`; `Int8::matrix_u8` has checked every length, so that row
    // `i < count` has `k` rounded up to 4 readable bytes, every padded column has weights and numbers, and `out` holds
    // `count · n` values, which is what `Finish::store` writes to.
    unsafe { matrix_any(rows, matrix, &finish) }
}

fn matrix_f32(rows: &Rows, matrix: &Matrix, ranges: Option<&[RowQuant]>, offset: &[f32], out: &mut [f32]) {
    let finish = ToF32 { ranges, offset, out: out.as_mut_ptr() };
    // SAFETY: as in `matrix_u8`; `ranges` has an entry a row and `offset` one a padded column, or they are absent.
    unsafe { matrix_any(rows, matrix, &finish) }
}

/// What happens to 16 finished sums.
trait Finish {
    /// Writes the sums of columns `column..column + 16` (those in `mask`) of `row`.
    ///
    /// # Safety
    /// AVX-512 must be there, and row and columns inside the output and the matrix.
    unsafe fn store(&self, sums: __m512i, matrix: &Matrix, row: usize, column: usize, mask: __mmask16);
}

struct ToU8 {
    low: f32,
    high: f32,
    zero: i32,
    out: *mut u8,
}

impl Finish for ToU8 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    unsafe fn store(&self, sums: __m512i, matrix: &Matrix, row: usize, column: usize, mask: __mmask16) {
        // SAFETY: the caller's.
        unsafe {
            let scale = _mm512_loadu_ps(matrix.scale.as_ptr().add(column));
            let value = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), scale);
            let value =
                _mm512_min_ps(_mm512_max_ps(value, _mm512_set1_ps(self.low)), _mm512_set1_ps(self.high));
            let value = _mm512_add_epi32(_mm512_cvtps_epi32(value), _mm512_set1_epi32(self.zero));
            let bytes = _mm512_cvtepi32_epi8(value);
            let to = self.out.add(row * matrix.n + column);
            if mask == !0 {
                _mm_storeu_si128(to.cast(), bytes);
            } else {
                _mm_mask_storeu_epi8(to.cast(), mask, bytes);
            }
        }
    }
}

struct ToF32<'a> {
    ranges: Option<&'a [RowQuant]>,
    offset: &'a [f32],
    out: *mut f32,
}

impl Finish for ToF32<'_> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    unsafe fn store(&self, sums: __m512i, matrix: &Matrix, row: usize, column: usize, mask: __mmask16) {
        // SAFETY: the caller's.
        unsafe {
            let range = match self.ranges {
                Some(ranges) => *ranges.get_unchecked(row),
                None => RowQuant { zero: 0, scale: 1.0 },
            };
            let weights = _mm512_loadu_si512(matrix.sums.as_ptr().add(column).cast());
            let away = _mm512_mullo_epi32(_mm512_set1_epi32(i32::from(range.zero)), weights);
            let value = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums, away));
            let scale = _mm512_loadu_ps(matrix.scale.as_ptr().add(column));
            let value = _mm512_mul_ps(value, _mm512_mul_ps(scale, _mm512_set1_ps(range.scale)));
            let offset = if self.offset.is_empty() {
                _mm512_setzero_ps()
            } else {
                _mm512_loadu_ps(self.offset.as_ptr().add(column))
            };
            let to = self.out.add(row * matrix.n + column);
            _mm512_mask_storeu_ps(to, mask, _mm512_add_ps(value, offset));
        }
    }
}

/// # Safety
/// See [`matrix_u8`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn matrix_any<F: Finish>(rows: &Rows, matrix: &Matrix, finish: &F) {
    let blocks = matrix.n.div_ceil(COLUMNS);
    let panel = (PANEL / matrix.k.next_multiple_of(INPUTS)).max(24) / 24 * 24;
    let mut from = 0;
    while from < rows.count {
        let to = (from + panel).min(rows.count);
        let mut block = 0;
        while block < blocks {
            // Three blocks at a time; four left are two and two.
            let vectors = match blocks - block {
                4 => 2,
                left => left.min(3),
            };
            // SAFETY: rows `from..to` and blocks `block..block + vectors` are inside.
            unsafe {
                match vectors {
                    1 => columns::<1, 16, F>(rows, matrix, from, to, block, finish),
                    2 => columns::<2, 12, F>(rows, matrix, from, to, block, finish),
                    _ => columns::<3, 8, F>(rows, matrix, from, to, block, finish),
                }
            }
            block += vectors;
        }
        from = to;
    }
}

/// # Safety
/// See [`matrix_u8`]; `NV` blocks from `block` on must be inside.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn columns<const NV: usize, const MR: usize, F: Finish>(
    rows: &Rows,
    matrix: &Matrix,
    from: usize,
    to: usize,
    block: usize,
    finish: &F,
) {
    let mut row = from;
    // SAFETY: `row + MR <= to`.
    unsafe {
        while row + MR <= to {
            tile::<NV, MR, F>(rows, matrix, row, block, finish);
            row += MR;
        }
        while row + 4 <= to {
            tile::<NV, 4, F>(rows, matrix, row, block, finish);
            row += 4;
        }
        while row < to {
            tile::<NV, 1, F>(rows, matrix, row, block, finish);
            row += 1;
        }
    }
}

/// `MR` rows by `NV` blocks of columns, sums in registers.
///
/// # Safety
/// See [`matrix_u8`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn tile<const NV: usize, const MR: usize, F: Finish>(
    rows: &Rows,
    matrix: &Matrix,
    row: usize,
    block: usize,
    finish: &F,
) {
    let quads = matrix.k.div_ceil(INPUTS);
    // SAFETY: the caller's: rows, padded columns and numbers are inside their slices.
    unsafe {
        let a = rows.data.as_ptr().add(row * rows.stride);
        let w = matrix.weights.as_ptr().add(block * quads * CHANNELS);
        let mut sums = [[_mm512_setzero_si512(); NV]; MR];
        for v in 0..NV {
            let bias = _mm512_loadu_si512(matrix.bias.as_ptr().add((block + v) * COLUMNS).cast());
            for sums in &mut sums {
                sums[v] = bias;
            }
        }
        for quad in 0..quads {
            let mut weights = [_mm512_setzero_si512(); NV];
            for (v, weights) in weights.iter_mut().enumerate() {
                *weights = _mm512_loadu_si512(w.add((v * quads + quad) * CHANNELS).cast());
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let inputs = a.add(r * rows.stride + quad * INPUTS).cast::<i32>().read_unaligned();
                let inputs = _mm512_set1_epi32(inputs);
                for v in 0..NV {
                    sums[v] = _mm512_dpbusd_epi32(sums[v], inputs, weights[v]);
                }
            }
        }
        // By value: sums that stayed indexed by a variable here would be kept in memory in the loop above, too.
        for (r, sums) in sums.into_iter().enumerate() {
            for (v, sums) in sums.into_iter().enumerate() {
                let column = (block + v) * COLUMNS;
                let left = (matrix.n - column).min(COLUMNS);
                let mask = ((1u32 << left) - 1) as __mmask16;
                finish.store(sums, matrix, row + r, column, mask);
            }
        }
    }
}

fn depthwise(layer: &Depthwise, first: usize, out: &mut [u8]) {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    unsafe fn wide(layer: &Depthwise, first: usize, out: &mut [u8]) {
        // SAFETY: the caller's.
        unsafe {
            if shared::takes(layer) {
                shared::depthwise(layer, first, out);
            } else {
                window::depthwise::<Wide>(layer, first, out);
            }
        }
    }
    // SAFETY: `INT8` is only handed out where `available`, and `Int8::depthwise` has checked every length.
    unsafe { wide(layer, first, out) }
}

/// Four pixels of 64 channels with each channel's four bytes side by side.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn interleaved(x0: __m512i, x1: __m512i, x2: __m512i, x3: __m512i) -> [__m512i; 4] {
    let (l01, h01) = (_mm512_unpacklo_epi8(x0, x1), _mm512_unpackhi_epi8(x0, x1));
    let (l23, h23) = (_mm512_unpacklo_epi8(x2, x3), _mm512_unpackhi_epi8(x2, x3));
    [
        _mm512_unpacklo_epi16(l01, l23),
        _mm512_unpackhi_epi16(l01, l23),
        _mm512_unpacklo_epi16(h01, h23),
        _mm512_unpackhi_epi16(h01, h23),
    ]
}

struct Wide;

impl Pixel for Wide {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    unsafe fn pixel<const KH: usize, const KW: usize>(
        d: &Depthwise,
        out: &mut [u8],
        tap: impl Fn(usize) -> *const u8,
    ) {
        let taps = KH * KW;
        let groups = taps.div_ceil(INPUTS);
        let (low, high) = d.quant.bounds();
        let (low, high) = (_mm512_set1_ps(low), _mm512_set1_ps(high));
        let zero = _mm512_set1_epi32(i32::from(d.quant.zero));
        // SAFETY: the caller's; per-channel numbers are padded to whole blocks, and a read past the last channel
        // stays in the slack. `out` is one pixel and the mask keeps to its channels.
        unsafe {
            for (block, out) in out.chunks_mut(CHANNELS).enumerate() {
                let at = block * CHANNELS;
                let load = |t: usize| {
                    if t < taps { _mm512_loadu_si512(tap(t).add(at).cast()) } else { _mm512_setzero_si512() }
                };
                let bias = d.bias.as_ptr().add(at);
                let mut sums: [__m512i; 4] =
                    std::array::from_fn(|v| _mm512_loadu_si512(bias.add(v * 16).cast()));
                let weights = d.weights.as_ptr().add(at * groups * INPUTS);
                for group in 0..groups {
                    let t = group * INPUTS;
                    let (x0, x1, x2, x3) = (load(t), load(t + 1), load(t + 2), load(t + 3));
                    let quads = interleaved(x0, x1, x2, x3);
                    for v in 0..4 {
                        let w = _mm512_loadu_si512(weights.add((group * 4 + v) * 64).cast());
                        sums[v] = _mm512_dpbusd_epi32(sums[v], quads[v], w);
                    }
                }
                let scale = d.scale.as_ptr().add(at);
                let values: [__m512i; 4] = std::array::from_fn(|v| {
                    let value =
                        _mm512_mul_ps(_mm512_cvtepi32_ps(sums[v]), _mm512_loadu_ps(scale.add(v * 16)));
                    let value = _mm512_min_ps(_mm512_max_ps(value, low), high);
                    _mm512_add_epi32(_mm512_cvtps_epi32(value), zero)
                });
                let bytes = _mm512_packus_epi16(
                    _mm512_packs_epi32(values[0], values[1]),
                    _mm512_packs_epi32(values[2], values[3]),
                );
                let mask = if out.len() == CHANNELS { !0 } else { (1u64 << out.len()) - 1 };
                _mm512_mask_storeu_epi8(out.as_mut_ptr().cast(), mask, bytes);
            }
        }
    }
}

fn add(a: &[u8], b: &[u8], how: &Add, out: &mut [u8]) {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn wide(a: &[u8], b: &[u8], how: &Add, out: &mut [u8]) {
        reference::add(a, b, how, out);
    }
    // SAFETY: `INT8` is only handed out where `available`.
    unsafe { wide(a, b, how, out) }
}
