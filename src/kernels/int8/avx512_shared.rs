//! Depthwise filters of stride 1 with AVX-512: neighbouring outputs share the interleaving of their inputs.
//!
//! A product instruction takes four taps of a channel side by side, which takes eight shuffles for four pixels of 64
//! channels. Those four pixels are a row of the filter for more than one output: with the filter's row `w` at places
//! `w₀ w₁ w₂ ·` it gives the first, at `· w₀ w₁ w₂` the second. So `P` outputs, reading `4 · Q` columns, take `Q`
//! interleavings a row instead of a quarter of `P · KH · KW`.

use std::arch::x86_64::*;

use super::{CHANNELS, Depthwise, INPUTS};

/// Vectors of 16 sums that 64 channels take.
const VECTORS: usize = 4;
/// Rows of the tallest filter, and quads of columns.
const ROWS: usize = 5;
const QUADS: usize = 2;
const COLUMNS: usize = QUADS * INPUTS;

/// Whether [`depthwise`] does the layer.
pub(super) fn takes(d: &Depthwise) -> bool {
    d.stride == [1, 1] && matches!(d.kernel, [3, 3] | [5, 5])
}

/// [`Int8::depthwise`](super::Int8::depthwise) of a layer that it [`takes`].
///
/// # Safety
/// AVX-512 with VNNI must be there, and the layer have passed the checks of `Int8::depthwise`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub(super) unsafe fn depthwise(d: &Depthwise, first: usize, out: &mut [u8]) {
    let whole = d.quant.low == 0 && d.quant.high == 255;
    // SAFETY: the caller's.
    unsafe {
        match (d.kernel, whole) {
            ([3, 3], true) => layer::<3, 2, 1, true>(d, first, out),
            ([3, 3], false) => layer::<3, 2, 1, false>(d, first, out),
            (_, true) => layer::<5, 4, 2, true>(d, first, out),
            (_, false) => layer::<5, 4, 2, false>(d, first, out),
        }
    }
}

/// Filters of `K · K` taps, `P` outputs at a time out of `Q` quads of columns. `WHOLE`: any u8 may come out, so that
/// saturation does what bounds do elsewhere.
///
/// # Safety
/// See [`depthwise`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn layer<const K: usize, const P: usize, const Q: usize, const WHOLE: bool>(
    d: &Depthwise,
    first: usize,
    out: &mut [u8],
) {
    let (down, right) = (d.width * d.channels, d.channels);
    for at in (0..d.channels).step_by(CHANNELS) {
        let channels = CHANNELS.min(d.channels - at);
        // SAFETY: the caller's; `at` is the first channel of a block.
        let weights = unsafe { placed::<K, P, Q>(d, at) };
        for (i, out) in out.chunks_exact_mut(d.out_width * d.channels).enumerate() {
            let top = first + i;
            let rows_inside = top >= d.pad[0] && top + K <= d.pad[0] + d.height;
            for left in (0..d.out_width).step_by(P) {
                let outputs = P.min(d.out_width - left);
                let out = &mut out[left * d.channels + at..];
                // SAFETY: where all rows and columns are inside, each is a whole pixel of `x` with `SLACK` after it;
                // otherwise each pointer is such a pixel or `outside`, which is as long. `out` reaches from the first
                // channel of the block in the first of so many pixels to the row's end.
                unsafe {
                    if rows_inside && left >= d.pad[1] && left + Q * INPUTS <= d.pad[1] + d.width {
                        let x = d.x.as_ptr().add((top - d.pad[0]) * down + (left - d.pad[1]) * right + at);
                        let pixel = |row: usize, column: usize| x.add(row * down + column * right);
                        group::<K, P, Q, WHOLE>(d, &weights, at, outputs, channels, out, pixel);
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
                        group::<K, P, Q, WHOLE>(d, &weights, at, outputs, channels, out, pixel);
                    }
                }
            }
        }
    }
}

/// Weights of a block by row, quad of columns and output, at the places where that output reads its taps.
type Placed<const P: usize> = [[[[__m512i; VECTORS]; P]; QUADS]; ROWS];

/// # Safety
/// See [`depthwise`]; `at` must be the first channel of a block.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn placed<const K: usize, const P: usize, const Q: usize>(d: &Depthwise, at: usize) -> Placed<P> {
    let groups = (K * K).div_ceil(INPUTS);
    let mut placed = [[[[_mm512_setzero_si512(); VECTORS]; P]; QUADS]; ROWS];
    for (row, placed) in placed.iter_mut().take(K).enumerate() {
        for (quad, placed) in placed.iter_mut().take(Q).enumerate() {
            for (output, placed) in placed.iter_mut().enumerate() {
                for place in 0..INPUTS {
                    let Some(column) = (quad * INPUTS + place).checked_sub(output).filter(|c| *c < K) else {
                        continue;
                    };
                    let tap = row * K + column;
                    let from = _mm_cvtsi32_si128((tap % INPUTS * 8) as i32);
                    let to = _mm_cvtsi32_si128((place * 8) as i32);
                    for (v, placed) in placed.iter_mut().enumerate() {
                        // SAFETY: the caller's: a packed block is `groups` times four vectors.
                        let packed = unsafe {
                            let block = d.weights.as_ptr().add(at * groups * INPUTS);
                            _mm512_loadu_si512(block.add((tap / INPUTS * VECTORS + v) * 64).cast())
                        };
                        let byte = _mm512_and_si512(_mm512_srl_epi32(packed, from), _mm512_set1_epi32(0xff));
                        *placed = _mm512_or_si512(*placed, _mm512_sll_epi32(byte, to));
                    }
                }
            }
        }
    }
    placed
}

/// The first `outputs` of `P` neighbours, `channels` of each, to `out`, a pixel `d.channels` after the other.
///
/// # Safety
/// See [`depthwise`]; `pixel` must point to a block of channels and `SLACK` for every row below `K` and column below
/// `4 · Q`, and `out` hold that many channels of the last output.
#[inline(always)]
unsafe fn group<const K: usize, const P: usize, const Q: usize, const WHOLE: bool>(
    d: &Depthwise,
    weights: &Placed<P>,
    at: usize,
    outputs: usize,
    channels: usize,
    out: &mut [u8],
    pixel: impl Fn(usize, usize) -> *const u8,
) {
    // SAFETY: the caller's; per-channel numbers are padded to whole blocks.
    unsafe {
        let bias = d.bias.as_ptr().add(at);
        let mut sums = [[_mm512_setzero_si512(); VECTORS]; P];
        for v in 0..VECTORS {
            let bias = _mm512_loadu_si512(bias.add(v * 16).cast());
            for sums in &mut sums {
                sums[v] = bias;
            }
        }
        for (row, weights) in weights.iter().take(K).enumerate() {
            for (quad, weights) in weights.iter().take(Q).enumerate() {
                let load =
                    |column: usize| _mm512_loadu_si512(pixel(row, quad * INPUTS + column).cast::<__m512i>());
                let (x0, x1, x2, x3) = (load(0), load(1), load(2), load(3));
                let (l01, h01) = (_mm512_unpacklo_epi8(x0, x1), _mm512_unpackhi_epi8(x0, x1));
                let (l23, h23) = (_mm512_unpacklo_epi8(x2, x3), _mm512_unpackhi_epi8(x2, x3));
                let quads = [
                    _mm512_unpacklo_epi16(l01, l23),
                    _mm512_unpackhi_epi16(l01, l23),
                    _mm512_unpacklo_epi16(h01, h23),
                    _mm512_unpackhi_epi16(h01, h23),
                ];
                for p in 0..P {
                    for v in 0..VECTORS {
                        sums[p][v] = _mm512_dpbusd_epi32(sums[p][v], quads[v], weights[p][v]);
                    }
                }
            }
        }
        let scale = d.scale.as_ptr().add(at);
        let (low, high) = d.quant.bounds();
        let (low, high) = (_mm512_set1_ps(low), _mm512_set1_ps(high));
        let zero = _mm512_set1_epi16(i16::from(d.quant.zero));
        let mask = if channels == CHANNELS { !0 } else { (1u64 << channels) - 1 };
        // By value, as in `tile`.
        for (p, sums) in sums.into_iter().enumerate() {
            let mut values = [_mm512_setzero_si512(); VECTORS];
            for v in 0..VECTORS {
                let value = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[v]), _mm512_loadu_ps(scale.add(v * 16)));
                // The upper bound keeps what the conversion cannot hold from turning negative.
                let value = _mm512_min_ps(value, high);
                let value = if WHOLE { value } else { _mm512_max_ps(value, low) };
                values[v] = _mm512_cvtps_epi32(value);
            }
            let low = _mm512_adds_epi16(_mm512_packs_epi32(values[0], values[1]), zero);
            let high = _mm512_adds_epi16(_mm512_packs_epi32(values[2], values[3]), zero);
            if p < outputs {
                let out = out[p * d.channels..][..channels].as_mut_ptr();
                _mm512_mask_storeu_epi8(out.cast(), mask, _mm512_packus_epi16(low, high));
            }
        }
    }
}
