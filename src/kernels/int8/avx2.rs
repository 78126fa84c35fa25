//! AVX2: 8 columns of 4 inputs at a time. The structure serves AVX-VNNI too, see [`Dot`].
//!
//! `maddubs` would saturate at 16 bits, so bytes are widened: a lane's inputs 0 and 2 and its inputs 1 and 3 make two
//! vectors of 16-bit numbers, which `madd` multiplies and adds without loss. Splitting weights into halves small
//! enough for `maddubs` takes more instructions.
//!
//! What is generic here has no instruction set of its own: it is always inlined into a function that has one.

use std::arch::x86_64::*;

use super::window::{self, Pixel};
use super::{Add, CHANNELS, COLUMNS, Depthwise, INPUTS, Int8, Matrix, Quant, RowQuant, Rows, reference};
use crate::kernels::Isa;

pub(super) const INT8: Int8 = Int8 { isa: Isa::Avx2, matrix_u8, matrix_f32, depthwise, add };

pub(super) fn available() -> bool {
    std::is_x86_feature_detected!("avx2")
}

/// Bytes of activations that stay in the first-level cache while all columns pass by.
const PANEL: usize = 16 << 10;
/// Bytes of a register, and columns in it.
const BYTES: usize = 32;
const LANES: usize = 8;

/// How a path multiplies: 8 lanes of 4 inputs (u8) by 4 weights (s8), added to 8 sums.
pub(super) trait Dot: Copy {
    /// 8 lanes of 4 inputs.
    type Inputs: Copy;
    /// 8 lanes of 4 weights.
    type Weights: Copy;

    /// # Safety
    /// The CPU must have the path's instructions.
    unsafe fn inputs(bytes: __m256i) -> Self::Inputs;
    /// # Safety
    /// The CPU must have the path's instructions.
    unsafe fn weights(bytes: __m256i) -> Self::Weights;
    /// # Safety
    /// The CPU must have the path's instructions.
    unsafe fn dot(sums: __m256i, inputs: Self::Inputs, weights: Self::Weights) -> __m256i;
}

#[derive(Clone, Copy)]
struct Widened;

impl Dot for Widened {
    type Inputs = [__m256i; 2];
    type Weights = [__m256i; 2];

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn inputs(bytes: __m256i) -> [__m256i; 2] {
        [_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(bytes)]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn weights(bytes: __m256i) -> [__m256i; 2] {
        [_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes)), _mm256_srai_epi16::<8>(bytes)]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn dot(sums: __m256i, inputs: [__m256i; 2], weights: [__m256i; 2]) -> __m256i {
        let sums = _mm256_add_epi32(sums, _mm256_madd_epi16(inputs[0], weights[0]));
        _mm256_add_epi32(sums, _mm256_madd_epi16(inputs[1], weights[1]))
    }
}

fn matrix_u8(rows: &Rows, matrix: &Matrix, quant: Quant, out: &mut [u8]) {
    #[target_feature(enable = "avx2")]
    unsafe fn wide(rows: &Rows, matrix: &Matrix, finish: &ToU8) {
        // SAFETY: the caller's.
        unsafe { matrix_any::<Widened, 4, _>(rows, matrix, finish) }
    }
    // SAFETY: `INT8` is only handed out where `available`, and `Int8::matrix_u8` has checked every length.
    unsafe { wide(rows, matrix, &ToU8::new(quant, out)) }
}

fn matrix_f32(rows: &Rows, matrix: &Matrix, ranges: Option<&[RowQuant]>, offset: &[f32], out: &mut [f32]) {
    #[target_feature(enable = "avx2")]
    unsafe fn wide(rows: &Rows, matrix: &Matrix, finish: &ToF32) {
        // SAFETY: the caller's.
        unsafe { matrix_any::<Widened, 4, _>(rows, matrix, finish) }
    }
    // SAFETY: `INT8` is only handed out where `available`, and `Int8::matrix_f32` has checked every length.
    unsafe { wide(rows, matrix, &ToF32::new(ranges, offset, out)) }
}

fn depthwise(layer: &Depthwise, first: usize, out: &mut [u8]) {
    #[target_feature(enable = "avx2")]
    unsafe fn wide(layer: &Depthwise, first: usize, out: &mut [u8]) {
        // SAFETY: the caller's.
        unsafe { window::depthwise::<Widened>(layer, first, out) }
    }
    // SAFETY: `INT8` is only handed out where `available`, and `Int8::depthwise` has checked every length.
    unsafe { wide(layer, first, out) }
}

pub(super) fn add(a: &[u8], b: &[u8], how: &Add, out: &mut [u8]) {
    #[target_feature(enable = "avx2")]
    fn wide(a: &[u8], b: &[u8], how: &Add, out: &mut [u8]) {
        reference::add(a, b, how, out);
    }
    // SAFETY: `INT8` is only handed out where `available`.
    unsafe { wide(a, b, how, out) }
}

/// What happens to 16 finished sums.
pub(super) trait Finish {
    /// Writes the sums of columns `column..column + 16`, those that the matrix has, of `row`.
    ///
    /// # Safety
    /// AVX2 must be there, row and columns inside the output and the padded matrix.
    unsafe fn store(&self, sums: [__m256i; 2], matrix: &Matrix, row: usize, column: usize);
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
    #[target_feature(enable = "avx2")]
    unsafe fn store(&self, sums: [__m256i; 2], matrix: &Matrix, row: usize, column: usize) {
        // SAFETY: the caller's; of the 16 bytes, those of columns that the matrix lacks are not written.
        unsafe {
            let scale = matrix.scale.as_ptr().add(column);
            let low = quantised(sums[0], scale, self.quant);
            let high = quantised(sums[1], scale.add(LANES), self.quant);
            // In each half of a register: 4 bytes of `low`, 4 of `high`, and the same again.
            let words = _mm256_packs_epi32(low, high);
            let bytes = _mm256_packus_epi16(words, words);
            let bytes =
                _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
            let to = self.out.add(row * matrix.n + column);
            let left = matrix.n - column;
            if left >= COLUMNS {
                _mm_storeu_si128(to.cast(), bytes);
            } else {
                let mut buffer = [0u8; COLUMNS];
                _mm_storeu_si128(buffer.as_mut_ptr().cast(), bytes);
                to.copy_from_nonoverlapping(buffer.as_ptr(), left);
            }
        }
    }
}

/// `clamp(round(sum · scale)) + zero` of 8 sums.
///
/// # Safety
/// `scale` must point to 8 numbers.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn quantised(sums: __m256i, scale: *const f32, quant: Quant) -> __m256i {
    let (low, high) = quant.bounds();
    // SAFETY: the caller's.
    let scale = unsafe { _mm256_loadu_ps(scale) };
    let value = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scale);
    let value = _mm256_min_ps(_mm256_max_ps(value, _mm256_set1_ps(low)), _mm256_set1_ps(high));
    _mm256_add_epi32(_mm256_cvtps_epi32(value), _mm256_set1_epi32(i32::from(quant.zero)))
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
    #[target_feature(enable = "avx2")]
    unsafe fn store(&self, sums: [__m256i; 2], matrix: &Matrix, row: usize, column: usize) {
        // SAFETY: the caller's; `ranges` has an entry a row and `offset` one a padded column, or they are absent. Of
        // the 16 values, those of columns that the matrix lacks are not written.
        unsafe {
            let range = match self.ranges {
                Some(ranges) => *ranges.get_unchecked(row),
                None => RowQuant { zero: 0, scale: 1.0 },
            };
            let mut buffer = [0.0f32; COLUMNS];
            for (half, sums) in sums.into_iter().enumerate() {
                let at = column + half * LANES;
                let weights = _mm256_loadu_si256(matrix.sums.as_ptr().add(at).cast());
                let away = _mm256_mullo_epi32(_mm256_set1_epi32(i32::from(range.zero)), weights);
                let value = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums, away));
                let scale = _mm256_loadu_ps(matrix.scale.as_ptr().add(at));
                let value = _mm256_mul_ps(value, _mm256_mul_ps(scale, _mm256_set1_ps(range.scale)));
                let offset = if self.offset.is_empty() {
                    _mm256_setzero_ps()
                } else {
                    _mm256_loadu_ps(self.offset.as_ptr().add(at))
                };
                _mm256_storeu_ps(buffer.as_mut_ptr().add(half * LANES), _mm256_add_ps(value, offset));
            }
            let to = self.out.add(row * matrix.n + column);
            let left = matrix.n - column;
            if left >= COLUMNS {
                to.copy_from_nonoverlapping(buffer.as_ptr(), COLUMNS);
            } else {
                to.copy_from_nonoverlapping(buffer.as_ptr(), left);
            }
        }
    }
}

/// A matrix product by `D`, `MR` rows at a time.
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
        for block in 0..matrix.n.div_ceil(COLUMNS) {
            let mut row = from;
            // SAFETY: the caller's; rows up to `to` and the block are inside.
            unsafe {
                while row + MR <= to {
                    tile::<D, MR, F>(rows, matrix, row, block, finish);
                    row += MR;
                }
                while row < to {
                    tile::<D, 1, F>(rows, matrix, row, block, finish);
                    row += 1;
                }
            }
        }
        from = to;
    }
}

/// `MR` rows by one block of columns, sums in registers.
///
/// # Safety
/// See [`matrix_any`]; `MR` rows from `row` on and the block must be inside.
#[inline(always)]
unsafe fn tile<D: Dot, const MR: usize, F: Finish>(
    rows: &Rows,
    matrix: &Matrix,
    row: usize,
    block: usize,
    finish: &F,
) {
    let quads = matrix.k.div_ceil(INPUTS);
    let column = block * COLUMNS;
    // SAFETY: the caller's: rows, padded columns and numbers are inside their slices.
    unsafe {
        let a = rows.data.as_ptr().add(row * rows.stride);
        let w = matrix.weights.as_ptr().add(column * quads * INPUTS);
        let bias = matrix.bias.as_ptr().add(column);
        let bias = [_mm256_loadu_si256(bias.cast()), _mm256_loadu_si256(bias.add(LANES).cast())];
        let mut sums = [bias; MR];
        for quad in 0..quads {
            let w = w.add(quad * COLUMNS * INPUTS);
            let first = D::weights(_mm256_loadu_si256(w.cast()));
            let second = D::weights(_mm256_loadu_si256(w.add(BYTES).cast()));
            for (r, sums) in sums.iter_mut().enumerate() {
                let inputs = a.add(r * rows.stride + quad * INPUTS).cast::<i32>().read_unaligned();
                let inputs = D::inputs(_mm256_set1_epi32(inputs));
                sums[0] = D::dot(sums[0], inputs, first);
                sums[1] = D::dot(sums[1], inputs, second);
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            finish.store(sums, matrix, row + r, column);
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
        // SAFETY: the caller's; a half block has 32 channels, and a read past the last stays in the slack.
        unsafe {
            for (half, out) in out.chunks_mut(BYTES).enumerate() {
                let bytes = half_block::<D>(d, KH * KW, half, |t| tap(t).add(half * BYTES));
                if out.len() == BYTES {
                    _mm256_storeu_si256(out.as_mut_ptr().cast(), bytes);
                } else {
                    let mut buffer = [0u8; BYTES];
                    _mm256_storeu_si256(buffer.as_mut_ptr().cast(), bytes);
                    out.copy_from_slice(&buffer[..out.len()]);
                }
            }
        }
    }
}

/// 32 channels of one output pixel.
///
/// # Safety
/// See [`Pixel::pixel`]; `tap(t)` must point to 32 readable bytes for every `t < taps`.
#[inline(always)]
unsafe fn half_block<D: Dot>(
    d: &Depthwise,
    taps: usize,
    half: usize,
    tap: impl Fn(usize) -> *const u8,
) -> __m256i {
    let groups = taps.div_ceil(INPUTS);
    // Numbers of 16-channel quarters lie beside each other, so those of one register are 8 of each 16.
    let at = half / 2 * CHANNELS + half % 2 * LANES;
    // SAFETY: the caller's; weights and numbers are padded to whole blocks of 64 channels.
    unsafe {
        let (bias, scale) = (d.bias.as_ptr().add(at), d.scale.as_ptr().add(at));
        let weights = d.weights.as_ptr().add(half / 2 * CHANNELS * groups * INPUTS + half % 2 * BYTES);
        let mut sums = [_mm256_setzero_si256(); 4];
        for (v, sums) in sums.iter_mut().enumerate() {
            *sums = _mm256_loadu_si256(bias.add(v * 16).cast());
        }
        for group in 0..groups {
            let mut x = [_mm256_setzero_si256(); INPUTS];
            for (i, x) in x.iter_mut().enumerate() {
                if group * INPUTS + i < taps {
                    *x = _mm256_loadu_si256(tap(group * INPUTS + i).cast());
                }
            }
            let (l01, h01) = (_mm256_unpacklo_epi8(x[0], x[1]), _mm256_unpackhi_epi8(x[0], x[1]));
            let (l23, h23) = (_mm256_unpacklo_epi8(x[2], x[3]), _mm256_unpackhi_epi8(x[2], x[3]));
            let quads = [
                _mm256_unpacklo_epi16(l01, l23),
                _mm256_unpackhi_epi16(l01, l23),
                _mm256_unpacklo_epi16(h01, h23),
                _mm256_unpackhi_epi16(h01, h23),
            ];
            for v in 0..4 {
                let w = _mm256_loadu_si256(weights.add((group * 4 + v) * CHANNELS).cast());
                sums[v] = D::dot(sums[v], D::inputs(quads[v]), D::weights(w));
            }
        }
        for (v, sums) in sums.iter_mut().enumerate() {
            *sums = quantised(*sums, scale.add(v * 16), d.quant);
        }
        _mm256_packus_epi16(_mm256_packs_epi32(sums[0], sums[1]), _mm256_packs_epi32(sums[2], sums[3]))
    }
}
