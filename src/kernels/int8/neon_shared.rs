//! Depthwise filters of stride 1 on 64-bit ARM: neighbouring outputs share the interleaving of their inputs, as
//! [`avx512_shared`](super::avx512_shared) has it, for 16 channels at a time.

use std::arch::aarch64::*;

use super::neon::{BYTES, Dot, LANES, finished, interleaved};
use super::{CHANNELS, Depthwise, INPUTS, window};

/// Vectors of 4 sums that 16 channels take.
const VECTORS: usize = 4;
/// Rows of the tallest filter, and quads of columns.
const ROWS: usize = 5;
const QUADS: usize = 2;
const COLUMNS: usize = QUADS * INPUTS;

/// [`Int8::depthwise`](super::Int8::depthwise) by `D`, with shared inputs where the filter allows it.
///
/// # Safety
/// The CPU must have the path's instructions and the layer have passed the checks of `Int8::depthwise`.
#[inline(always)]
pub(super) unsafe fn depthwise<D: Dot>(d: &Depthwise, first: usize, out: &mut [u8]) {
    // SAFETY: the caller's.
    unsafe {
        match (d.kernel, d.stride) {
            ([3, 3], [1, 1]) => layer::<D, 3, 2, 1>(d, first, out),
            ([5, 5], [1, 1]) if D::SMALL => layer::<D, 5, 4, 2>(d, first, out),
            _ => window::depthwise::<D>(d, first, out),
        }
    }
}

/// Filters of `K · K` taps, `P` outputs at a time out of `Q` quads of columns.
///
/// # Safety
/// See [`depthwise`].
#[inline(always)]
unsafe fn layer<D: Dot, const K: usize, const P: usize, const Q: usize>(
    d: &Depthwise,
    first: usize,
    out: &mut [u8],
) {
    let (down, right) = (d.width * d.channels, d.channels);
    for at in (0..d.channels).step_by(BYTES) {
        let channels = BYTES.min(d.channels - at);
        // SAFETY: the caller's; `at` is the first channel of a quarter block.
        let weights = unsafe { placed::<K, P, Q>(d, at) };
        for (i, out) in out.chunks_exact_mut(d.out_width * d.channels).enumerate() {
            let top = first + i;
            let rows_inside = top >= d.pad[0] && top + K <= d.pad[0] + d.height;
            for left in (0..d.out_width).step_by(P) {
                let outputs = P.min(d.out_width - left);
                let out = &mut out[left * d.channels + at..];
                // SAFETY: where all rows and columns are inside, each is a whole pixel of `x` with `SLACK` after it;
                // otherwise each pointer is such a pixel or `outside`, which is as long.
                unsafe {
                    let sums = if rows_inside && left >= d.pad[1] && left + Q * INPUTS <= d.pad[1] + d.width {
                        let x = d.x.as_ptr().add((top - d.pad[0]) * down + (left - d.pad[1]) * right + at);
                        let pixel = |row: usize, column: usize| x.add(row * down + column * right);
                        group::<D, K, P, Q>(d, &weights, at, pixel)
                    } else {
                        let mut pixels = [[d.outside.as_ptr().add(at); COLUMNS]; ROWS];
                        for (row, pixels) in pixels.iter_mut().take(K).enumerate() {
                            let y = (top + row).checked_sub(d.pad[0]).filter(|y| *y < d.height);
                            for (column, pixel) in pixels.iter_mut().take(Q * INPUTS).enumerate() {
                                let x = (left + column).checked_sub(d.pad[1]).filter(|x| *x < d.width);
                                if let (Some(y), Some(x)) = (y, x) {
                                    *pixel = d.x.as_ptr().add(y * down + x * right + at);
                                }
                            }
                        }
                        let pixel = |row: usize, column: usize| pixels[row][column];
                        group::<D, K, P, Q>(d, &weights, at, pixel)
                    };
                    for (p, sums) in sums.into_iter().enumerate() {
                        let bytes = finished::<D>(d, numbers(at), sums);
                        if p >= outputs {
                            continue;
                        }
                        let out = &mut out[p * d.channels..][..channels];
                        if channels == BYTES {
                            vst1q_u8(out.as_mut_ptr(), bytes);
                        } else {
                            let mut buffer = [0u8; BYTES];
                            vst1q_u8(buffer.as_mut_ptr(), bytes);
                            out.copy_from_slice(&buffer[..channels]);
                        }
                    }
                }
            }
        }
    }
}

/// Where the numbers of the quarter block with channel `at` begin: they lie beside those of the other quarters, 4 of each
/// in 16.
fn numbers(at: usize) -> usize {
    at / CHANNELS * CHANNELS + at % CHANNELS / BYTES * LANES
}

/// Weights of a quarter block by row, quad of columns and output, at the places where that output reads its taps.
type Placed<const P: usize> = [[[[int8x16_t; VECTORS]; P]; QUADS]; ROWS];

/// # Safety
/// See [`depthwise`]; `at` must be the first channel of a quarter block.
#[inline(always)]
unsafe fn placed<const K: usize, const P: usize, const Q: usize>(d: &Depthwise, at: usize) -> Placed<P> {
    let groups = (K * K).div_ceil(INPUTS);
    // SAFETY: the caller's: a packed block is `groups` times four vectors of each quarter.
    unsafe {
        let block = at / CHANNELS * CHANNELS * groups * INPUTS + at % CHANNELS / BYTES * BYTES;
        let packed = d.weights.as_ptr().add(block);
        let mut placed = [[[[vdupq_n_s8(0); VECTORS]; P]; QUADS]; ROWS];
        for (row, placed) in placed.iter_mut().take(K).enumerate() {
            for (quad, placed) in placed.iter_mut().take(Q).enumerate() {
                for (output, placed) in placed.iter_mut().enumerate() {
                    for place in 0..INPUTS {
                        let column = (quad * INPUTS + place).checked_sub(output).filter(|c| *c < K);
                        let Some(column) = column else { continue };
                        let tap = row * K + column;
                        let from = vdupq_n_s32(-((tap % INPUTS * 8) as i32));
                        let to = vdupq_n_s32((place * 8) as i32);
                        for (v, placed) in placed.iter_mut().enumerate() {
                            let four = vld1q_u8(packed.add((tap / INPUTS * VECTORS + v) * CHANNELS));
                            let byte = vshlq_u32(vreinterpretq_u32_u8(four), from);
                            let byte = vshlq_u32(vandq_u32(byte, vdupq_n_u32(0xff)), to);
                            *placed = vorrq_s8(*placed, vreinterpretq_s8_u32(byte));
                        }
                    }
                }
            }
        }
        placed
    }
}

/// The sums of `P` neighbours.
///
/// # Safety
/// See [`depthwise`]; `pixel` must point to 16 readable bytes for every row below `K` and column below `4 · Q`.
#[inline(always)]
unsafe fn group<D: Dot, const K: usize, const P: usize, const Q: usize>(
    d: &Depthwise,
    weights: &Placed<P>,
    at: usize,
    pixel: impl Fn(usize, usize) -> *const u8,
) -> [[D::Sums; VECTORS]; P] {
    // SAFETY: the caller's; per-channel numbers are padded to whole blocks.
    unsafe {
        let (bias, sums) = (d.bias.as_ptr().add(numbers(at)), d.sums.as_ptr().add(numbers(at)));
        let start = |v: usize| D::start(vld1q_s32(bias.add(v * 16)), vld1q_s32(sums.add(v * 16)));
        let mut sums = [[start(0), start(1), start(2), start(3)]; P];
        for (row, weights) in weights.iter().take(K).enumerate() {
            for (quad, weights) in weights.iter().take(Q).enumerate() {
                let mut x = [vdupq_n_u8(0); INPUTS];
                for (column, x) in x.iter_mut().enumerate() {
                    *x = D::inputs(vld1q_u8(pixel(row, quad * INPUTS + column)));
                }
                let quads = interleaved(x);
                for p in 0..P {
                    for v in 0..VECTORS {
                        sums[p][v] = D::dot(sums[p][v], quads[v], weights[p][v]);
                    }
                }
            }
        }
        sums
    }
}
