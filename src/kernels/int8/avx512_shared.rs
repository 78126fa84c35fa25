//! Depthwise filters of stride 1 with AVX-512, 64 channels at a time; see [`Neighbours`].

use std::arch::x86_64::*;

use super::avx512::interleaved;
use super::window::{self, Neighbours, Placed, QUADS, ROWS, VECTORS};
use super::{CHANNELS, Depthwise, INPUTS};

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
            ([3, 3], true) => window::neighbours::<Wide<true>, 3, 2, 1>(d, first, out),
            ([3, 3], false) => window::neighbours::<Wide<false>, 3, 2, 1>(d, first, out),
            (_, true) => window::neighbours::<Wide<true>, 5, 4, 2>(d, first, out),
            (_, false) => window::neighbours::<Wide<false>, 5, 4, 2>(d, first, out),
        }
    }
}

/// `WHOLE`: any u8 may come out, so that saturation does what bounds do elsewhere.
struct Wide<const WHOLE: bool>;

impl<const WHOLE: bool> Neighbours for Wide<WHOLE> {
    const BLOCK: usize = CHANNELS;
    type Weights = __m512i;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    unsafe fn placed<const K: usize, const P: usize, const Q: usize>(
        d: &Depthwise,
        at: usize,
    ) -> Placed<__m512i, P> {
        let groups = (K * K).div_ceil(INPUTS);
        let mut placed = [[[[_mm512_setzero_si512(); VECTORS]; P]; QUADS]; ROWS];
        for (row, placed) in placed.iter_mut().take(K).enumerate() {
            for (quad, placed) in placed.iter_mut().take(Q).enumerate() {
                for (output, placed) in placed.iter_mut().enumerate() {
                    for place in 0..INPUTS {
                        let Some(tap) = window::tap::<K>(row, quad, place, output) else { continue };
                        let from = _mm_cvtsi32_si128((tap % INPUTS * 8) as i32);
                        let to = _mm_cvtsi32_si128((place * 8) as i32);
                        for (v, placed) in placed.iter_mut().enumerate() {
                            // SAFETY: the caller's: a packed block is `groups` times four vectors.
                            let packed = unsafe {
                                let block = d.weights.as_ptr().add(at * groups * INPUTS);
                                _mm512_loadu_si512(block.add((tap / INPUTS * VECTORS + v) * 64).cast())
                            };
                            let byte =
                                _mm512_and_si512(_mm512_srl_epi32(packed, from), _mm512_set1_epi32(0xff));
                            *placed = _mm512_or_si512(*placed, _mm512_sll_epi32(byte, to));
                        }
                    }
                }
            }
        }
        placed
    }

    #[inline(always)]
    unsafe fn group<const K: usize, const P: usize, const Q: usize>(
        d: &Depthwise,
        weights: &Placed<__m512i, P>,
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
                    let load = |column: usize| {
                        _mm512_loadu_si512(pixel(row, quad * INPUTS + column).cast::<__m512i>())
                    };
                    let quads = interleaved(load(0), load(1), load(2), load(3));
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
                    let value =
                        _mm512_mul_ps(_mm512_cvtepi32_ps(sums[v]), _mm512_loadu_ps(scale.add(v * 16)));
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
}
