//! 4 tables a register.

use std::arch::x86_64::*;

use super::{GROUP_LEN, ROWS, Scan};
use crate::kernels::Isa;

pub(super) const SCAN: Scan = Scan { isa: Isa::Avx512, blocks };

/// Bytes fetched ahead: codes come from far, and the processor's own prefetching stops at every page.
const AHEAD: usize = 4096;

pub(super) fn available() -> bool {
    std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512bw")
}

fn blocks(tables: &[u8], codes: &[u8], bound: u16, sums: &mut [[u16; ROWS]], hits: &mut [u32]) {
    // SAFETY: `Scan::of` hands this path out only if `available()`; `Scan::blocks` checked the lengths.
    unsafe { blocks_avx512(tables, codes, bound, sums, hits) }
}

/// Sums of bytes by place: `all` wraps, `odd` is what belongs to the odd bytes.
#[derive(Clone, Copy)]
struct Sums {
    all: __m512i,
    odd: __m512i,
}

impl Sums {
    #[inline(always)]
    unsafe fn add(&mut self, bytes: __m512i) {
        // SAFETY: only called where AVX-512BW is.
        unsafe {
            self.all = _mm512_add_epi16(self.all, bytes);
            self.odd = _mm512_add_epi16(self.odd, _mm512_srli_epi16::<8>(bytes));
        }
    }

    /// The sums of 16 rows over the 4 tables of a register.
    #[inline(always)]
    unsafe fn rows(self) -> __m256i {
        // SAFETY: only called where AVX-512BW is, which has AVX2.
        unsafe {
            let even = _mm512_sub_epi16(self.all, _mm512_slli_epi16::<8>(self.odd));
            let fold = |v: __m512i| {
                let half = _mm256_add_epi16(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64::<1>(v));
                _mm_add_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half))
            };
            let (even, odd) = (fold(even), fold(self.odd));
            _mm256_set_m128i(_mm_unpackhi_epi16(even, odd), _mm_unpacklo_epi16(even, odd))
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn blocks_avx512(tables: &[u8], codes: &[u8], bound: u16, sums: &mut [[u16; ROWS]], hits: &mut [u32]) {
    let groups = tables.len() / GROUP_LEN;
    let nibble = _mm512_set1_epi8(15);
    let bound = _mm512_set1_epi16(bound as i16);
    for (b, (sums, hits)) in sums.iter_mut().zip(hits).enumerate() {
        // SAFETY: `codes` has `sums.len()` blocks as long as `tables`, so every group read is inside both.
        unsafe {
            let zero = Sums { all: _mm512_setzero_si512(), odd: _mm512_setzero_si512() };
            let (mut low, mut high) = (zero, zero);
            let codes = codes.as_ptr().add(b * tables.len());
            let group = |g: usize| {
                let code = _mm512_loadu_si512(codes.add(g * GROUP_LEN).cast());
                _mm_prefetch::<_MM_HINT_T0>(codes.wrapping_add(g * GROUP_LEN + AHEAD).cast());
                let table = _mm512_loadu_si512(tables.as_ptr().add(g * GROUP_LEN).cast());
                let low = _mm512_shuffle_epi8(table, _mm512_and_si512(code, nibble));
                let high = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16::<4>(code), nibble));
                (low, high)
            };
            for pair in 0..groups / 2 {
                let (low_a, high_a) = group(pair * 2);
                let (low_b, high_b) = group(pair * 2 + 1);
                low.add(_mm512_add_epi8(low_a, low_b));
                high.add(_mm512_add_epi8(high_a, high_b));
            }
            if groups % 2 == 1 {
                let (low_a, high_a) = group(groups - 1);
                low.add(low_a);
                high.add(high_a);
            }
            let rows = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low.rows()), high.rows());
            // `sums` is 64 bytes.
            _mm512_storeu_si512(sums.as_mut_ptr().cast(), rows);
            *hits = _mm512_cmplt_epu16_mask(rows, bound);
        }
    }
}
