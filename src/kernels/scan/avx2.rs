//! 2 tables a register.

use std::arch::x86_64::*;

use super::{GROUP_LEN, ROWS, Scan};
use crate::kernels::Isa;

pub(super) const SCAN: Scan = Scan { isa: Isa::Avx2, blocks };

/// Bytes fetched ahead: codes come from far, and the processor's own prefetching stops at every page.
const AHEAD: usize = 4096;

pub(super) fn available() -> bool {
    std::is_x86_feature_detected!("avx2")
}

fn blocks(tables: &[u8], codes: &[u8], bound: u16, sums: &mut [[u16; ROWS]], hits: &mut [u32]) {
    // SAFETY: `Scan::of` hands this path out only if `available()`; `Scan::blocks` checked the lengths.
    unsafe { blocks_avx2(tables, codes, bound, sums, hits) }
}

/// Sums of bytes by place: `all` wraps, `odd` is what belongs to the odd bytes.
#[derive(Clone, Copy)]
struct Sums {
    all: __m256i,
    odd: __m256i,
}

impl Sums {
    #[inline(always)]
    unsafe fn add(&mut self, bytes: __m256i) {
        // SAFETY: only called where AVX2 is.
        unsafe {
            self.all = _mm256_add_epi16(self.all, bytes);
            self.odd = _mm256_add_epi16(self.odd, _mm256_srli_epi16::<8>(bytes));
        }
    }

    /// The sums of 16 rows over the 2 tables of a register.
    #[inline(always)]
    unsafe fn rows(self) -> __m256i {
        // SAFETY: only called where AVX2 is.
        unsafe {
            let even = _mm256_sub_epi16(self.all, _mm256_slli_epi16::<8>(self.odd));
            let fold =
                |v: __m256i| _mm_add_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256::<1>(v));
            let (even, odd) = (fold(even), fold(self.odd));
            _mm256_set_m128i(_mm_unpackhi_epi16(even, odd), _mm_unpacklo_epi16(even, odd))
        }
    }
}

#[target_feature(enable = "avx2")]
unsafe fn blocks_avx2(tables: &[u8], codes: &[u8], bound: u16, sums: &mut [[u16; ROWS]], hits: &mut [u32]) {
    let groups = tables.len() / GROUP_LEN;
    let nibble = _mm256_set1_epi8(15);
    // Below the bound is at most the bound less one; nothing is below 0.
    let most = _mm256_set1_epi16(bound.wrapping_sub(1) as i16);
    for (b, (sums, hits)) in sums.iter_mut().zip(hits).enumerate() {
        // SAFETY: `codes` has `sums.len()` blocks as long as `tables`, so every group read is inside both.
        unsafe {
            let zero = Sums { all: _mm256_setzero_si256(), odd: _mm256_setzero_si256() };
            let (mut low, mut high) = (zero, zero);
            let codes = codes.as_ptr().add(b * tables.len());
            let half = |at: usize| {
                let code = _mm256_loadu_si256(codes.add(at).cast());
                _mm_prefetch::<_MM_HINT_T0>(codes.wrapping_add(at + AHEAD).cast());
                let table = _mm256_loadu_si256(tables.as_ptr().add(at).cast());
                let low = _mm256_shuffle_epi8(table, _mm256_and_si256(code, nibble));
                let high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16::<4>(code), nibble));
                (low, high)
            };
            for g in 0..groups {
                let (low_a, high_a) = half(g * GROUP_LEN);
                let (low_b, high_b) = half(g * GROUP_LEN + GROUP_LEN / 2);
                low.add(_mm256_add_epi8(low_a, low_b));
                high.add(_mm256_add_epi8(high_a, high_b));
            }
            let rows = [low.rows(), high.rows()];
            let mut mask = 0;
            for (i, rows) in rows.into_iter().enumerate() {
                // 16 sums of 2 bytes each: both halves lie inside `sums`.
                _mm256_storeu_si256(sums.as_mut_ptr().add(i * 16).cast(), rows);
                let below = _mm256_cmpeq_epi16(_mm256_min_epu16(rows, most), rows);
                // Bytes of words in order: narrow, then undo the interleave of the lanes.
                let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi16(below, below));
                mask |= ((_mm256_movemask_epi8(bytes) as u32) & 0xffff) << (i * 16);
            }
            *hits = if bound == 0 { 0 } else { mask };
        }
    }
}
