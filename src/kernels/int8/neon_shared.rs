//! Depthwise filters of stride 1 on 64-bit ARM, 16 channels at a time; see [`Neighbours`].

use std::arch::aarch64::*;
use std::marker::PhantomData;

use super::neon::{BYTES, Dot, LANES, finished, interleaved};
use super::window::{self, Neighbours, Placed, QUADS, ROWS, VECTORS};
use super::{CHANNELS, Depthwise, INPUTS};

/// [`Int8::depthwise`](super::Int8::depthwise) by `D`, with shared inputs where the filter allows it.
///
/// # Safety
/// The CPU must have the path's instructions and the layer have passed the checks of `Int8::depthwise`.
#[inline(always)]
pub(super) unsafe fn depthwise<D: Dot>(d: &Depthwise, first: usize, out: &mut [u8]) {
    // SAFETY: the caller's.
    unsafe {
        match (d.kernel, d.stride) {
            ([3, 3], [1, 1]) => window::neighbours::<By<D>, 3, 2, 1>(d, first, out),
            ([5, 5], [1, 1]) if D::SMALL => window::neighbours::<By<D>, 5, 4, 2>(d, first, out),
            _ => window::depthwise::<D>(d, first, out),
        }
    }
}

/// Where the numbers of the quarter block with channel `at` begin: they lie beside those of the other quarters, 4 of each
/// in 16.
fn numbers(at: usize) -> usize {
    at / CHANNELS * CHANNELS + at % CHANNELS / BYTES * LANES
}

/// The products of `D`.
struct By<D>(PhantomData<D>);

impl<D: Dot> Neighbours for By<D> {
    const BLOCK: usize = BYTES;
    type Weights = int8x16_t;

    #[inline(always)]
    unsafe fn placed<const K: usize, const P: usize, const Q: usize>(
        d: &Depthwise,
        at: usize,
    ) -> Placed<int8x16_t, P> {
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
                            let Some(tap) = window::tap::<K>(row, quad, place, output) else { continue };
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

    #[inline(always)]
    unsafe fn group<const K: usize, const P: usize, const Q: usize>(
        d: &Depthwise,
        weights: &Placed<int8x16_t, P>,
        at: usize,
        outputs: usize,
        channels: usize,
        out: &mut [u8],
        pixel: impl Fn(usize, usize) -> *const u8,
    ) {
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
