//! 8-bit layers: u8 activations `[rows, channels]` (pictures as NHWC), s8 weights, i32 sums, f32 requantisation.
//!
//! Every path gives the same bits as [`reference`](mod@reference): sums are integers, and a sum becomes an output by the same f32
//! operations in the same order everywhere (no fused multiply-add): `sum as f32 · scale`, clamp, round to nearest
//! even, add the zero point. [`Int8::of`] forces a path; [`Isa::available`](super::Isa::available) lists what this
//! CPU has.
//!
//! # Layouts
//! One layout serves every instruction set. A matrix `[k, n]` is packed as `[n / 16][k / 4][16 columns][4 inputs]`,
//! padded with zeros: 4 inputs of a column are what one lane of a dot product instruction takes (VNNI, SDOT, USDOT),
//! and two neighbours interleaved are what SMMLA takes.
//!
//! Depthwise filters `[taps, channels]` are packed as `[channels / 64][taps / 4][4 v][4 l][4 j][4 taps]` for channel
//! `64·block + 16·l + 4·v + j`: the order in which two byte and word interleaves of four 64-byte rows leave them, on
//! 16, 32 and 64 byte registers alike. [`depthwise_order`] gives the order of per-channel numbers.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_shared;
#[cfg(target_arch = "x86_64")]
mod avxvnni;
#[cfg(target_arch = "aarch64")]
mod dotprod;
#[cfg(target_arch = "aarch64")]
mod i8mm;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_shared;
mod pack;
pub mod reference;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod window;

use super::Isa;

pub use pack::{depthwise_order, pack_depthwise, pack_matrix, packed_depthwise_len, packed_matrix_len};

/// Columns of a packed block.
pub const COLUMNS: usize = 16;
/// Inputs of a packed lane.
pub const INPUTS: usize = 4;
/// Channels of a packed depthwise block.
pub const CHANNELS: usize = 64;
/// Most taps of a depthwise filter: 7 × 7.
pub const MAX_TAPS: usize = 49;
/// Bytes that must be readable after an activation's last.
pub const SLACK: usize = 64;

/// How a sum becomes a u8: `clamp(round(sum · scale) + zero, low, high)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quant {
    /// Zero point of the output.
    pub zero: u8,
    /// Least value.
    pub low: u8,
    /// Greatest value.
    pub high: u8,
}

/// A packed matrix `[k, n]` and what belongs to its columns, each padded to a multiple of [`COLUMNS`].
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Inputs.
    pub k: usize,
    /// Columns.
    pub n: usize,
    /// s8 weights, see [`pack_matrix`].
    pub weights: &'a [u8],
    /// First value of each column's sum.
    pub bias: &'a [i32],
    /// Sum of each column's weights: paths without a product of u8 and s8 use it too.
    pub sums: &'a [i32],
    /// Factor of each column's sum.
    pub scale: &'a [f32],
}

/// Rows of activations: row `i` is `data[i · stride ..][.. k]`, readable up to the next multiple of [`INPUTS`].
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Values, with [`SLACK`] after the last.
    pub data: &'a [u8],
    /// Distance of rows.
    pub stride: usize,
    /// Count.
    pub count: usize,
}

/// Zero point and scale of one row, where activations are ranged as they come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowQuant {
    /// Zero point.
    pub zero: u8,
    /// What one step is worth.
    pub scale: f32,
}

/// A depthwise convolution over a picture `[height, width, channels]`.
#[derive(Clone, Copy, Debug)]
pub struct Depthwise<'a> {
    /// Picture, with [`SLACK`] after the last value.
    pub x: &'a [u8],
    /// Its height.
    pub height: usize,
    /// Its width.
    pub width: usize,
    /// Its channels.
    pub channels: usize,
    /// Filter height and width.
    pub kernel: [usize; 2],
    /// Step down and right.
    pub stride: [usize; 2],
    /// Rows above and columns left of the picture.
    pub pad: [usize; 2],
    /// Width of the output.
    pub out_width: usize,
    /// What lies outside the picture: `channels` zero points and [`SLACK`].
    pub outside: &'a [u8],
    /// s8 weights, see [`pack_depthwise`].
    pub weights: &'a [u8],
    /// First value of each channel's sum, in [`depthwise_order`].
    pub bias: &'a [i32],
    /// Sum of each channel's weights, in [`depthwise_order`]: paths without a product of u8 and s8 use it.
    pub sums: &'a [i32],
    /// Factor of each channel's sum, in [`depthwise_order`].
    pub scale: &'a [f32],
    /// The output's range.
    pub quant: Quant,
}

/// `y = clamp(round(a · ma + (b · mb + c)) + zero)` over u8 values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Add {
    /// Factor of the first.
    pub ma: f32,
    /// Factor of the second.
    pub mb: f32,
    /// Constant.
    pub c: f32,
    /// The output's range.
    pub quant: Quant,
}

/// Arguments as those of [`Int8::matrix_f32`].
type MatrixF32 = fn(&Rows, &Matrix, Option<&[RowQuant]>, &[f32], &mut [f32]);

/// One implementation of every operation.
#[derive(Clone, Copy, Debug)]
pub struct Int8 {
    /// Which.
    pub isa: Isa,
    pub(super) matrix_u8: fn(&Rows, &Matrix, Quant, &mut [u8]),
    pub(super) matrix_f32: MatrixF32,
    pub(super) depthwise: fn(&Depthwise, usize, &mut [u8]),
    pub(super) add: fn(&[u8], &[u8], &Add, &mut [u8]),
}

impl Int8 {
    /// The implementation asked for, or `None` if this CPU (or this build) lacks it.
    pub fn of(isa: Isa) -> Option<&'static Self> {
        match isa {
            Isa::Auto => Isa::available().iter().find_map(|&isa| Self::of(isa)),
            Isa::Scalar | Isa::Reference => Some(&reference::INT8),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::available().then_some(&avx512::INT8),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => avxvnni::available().then_some(&avxvnni::INT8),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::available().then_some(&avx2::INT8),
            #[cfg(target_arch = "aarch64")]
            Isa::I8mm => i8mm::available().then_some(&i8mm::INT8),
            #[cfg(target_arch = "aarch64")]
            Isa::Dotprod => dotprod::available().then_some(&dotprod::INT8),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Some(&neon::INT8),
            _ => None,
        }
    }

    /// Matrix product to u8, row after row without gaps: `out` is `[rows, n]`.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say.
    pub fn matrix_u8(&self, rows: &Rows, matrix: &Matrix, quant: Quant, out: &mut [u8]) {
        check_matrix(rows, matrix, out.len());
        (self.matrix_u8)(rows, matrix, quant, out);
    }

    /// Matrix product to f32: `out` is `[rows, n]`.
    ///
    /// `(sum − zero · sums) as f32 · (scale · row scale) + offset`; without `ranges`, zero is 0 and the row's scale
    /// 1. `offset` is empty or one number a column, padded like [`Matrix::bias`].
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say.
    pub fn matrix_f32(
        &self,
        rows: &Rows,
        matrix: &Matrix,
        ranges: Option<&[RowQuant]>,
        offset: &[f32],
        out: &mut [f32],
    ) {
        check_matrix(rows, matrix, out.len());
        assert!(ranges.is_none_or(|r| r.len() >= rows.count));
        assert!(offset.is_empty() || offset.len() >= matrix.n.next_multiple_of(COLUMNS));
        (self.matrix_f32)(rows, matrix, ranges, offset, out);
    }

    /// Output rows from `first` on of a depthwise convolution; `out` is whole rows `[_, out_width, channels]`.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say, or an output row lies wholly outside the padded picture.
    pub fn depthwise(&self, layer: &Depthwise, first: usize, out: &mut [u8]) {
        let d = layer;
        let blocks = d.channels.div_ceil(CHANNELS);
        let [kh, kw] = d.kernel;
        let row = d.out_width * d.channels;
        assert!(d.channels > 0 && d.out_width > 0 && out.len().is_multiple_of(row));
        assert!(kh * kw > 0 && kh * kw <= MAX_TAPS && d.stride[0] > 0 && d.stride[1] > 0);
        assert!(d.x.len() >= d.height * d.width * d.channels + SLACK);
        assert!(d.outside.len() >= d.channels + SLACK);
        assert!(d.weights.len() >= packed_depthwise_len(kh * kw, d.channels));
        let numbers = blocks * CHANNELS;
        assert!(d.bias.len() >= numbers && d.sums.len() >= numbers && d.scale.len() >= numbers);
        // Taps outside the picture are read from `outside`; pads less than the filter keep the count of such rows low
        // but are not needed for safety.
        (self.depthwise)(d, first, out);
    }

    /// Sum of two quantised arrays of one length.
    ///
    /// # Panics
    /// If lengths differ.
    pub fn add(&self, a: &[u8], b: &[u8], add: &Add, out: &mut [u8]) {
        assert!(a.len() == b.len() && a.len() == out.len());
        (self.add)(a, b, add, out);
    }
}

fn check_matrix(rows: &Rows, matrix: &Matrix, out: usize) {
    let (k, n) = (matrix.k, matrix.n);
    let columns = n.next_multiple_of(COLUMNS);
    assert!(k > 0 && n > 0 && out == rows.count * n);
    if let Some(last) = rows.count.checked_sub(1) {
        assert!(rows.data.len() >= last * rows.stride + k.next_multiple_of(INPUTS));
    }
    assert!(matrix.weights.len() >= packed_matrix_len(k, n));
    assert!(matrix.bias.len() >= columns && matrix.sums.len() >= columns && matrix.scale.len() >= columns);
}

impl Quant {
    /// Bounds of `sum · scale` before the zero point is added.
    pub(super) fn bounds(self) -> (f32, f32) {
        (f32::from(self.low) - f32::from(self.zero), f32::from(self.high) - f32::from(self.zero))
    }
}

/// Adding this leaves the nearest whole number (ties to even) in the low bits, for magnitudes below 2²².
const MAGIC: f32 = 12_582_912.0;

/// `clamp(round(v) + zero)` as every path computes it.
#[inline(always)]
pub(super) fn to_u8(v: f32, (low, high): (f32, f32), zero: u8) -> u8 {
    let clamped = v.max(low).min(high);
    (clamped + MAGIC).to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(u32::from(zero)) as u8
}

#[cfg(test)]
mod tests;
