//! One table a register, on any 64-bit ARM. The dot product has no place here: a sum needs its own table a byte.

use std::arch::aarch64::*;

use super::{ENTRIES, GROUP_LEN, ROWS, Scan};
use crate::kernels::Isa;

pub(super) const SCAN: Scan = Scan { isa: Isa::Neon, blocks };

fn blocks(tables: &[u8], codes: &[u8], bound: u16, sums: &mut [[u16; ROWS]], hits: &mut [u32]) {
    // SAFETY: every 64-bit ARM has NEON; `Scan::blocks` checked the lengths.
    unsafe { blocks_neon(tables, codes, bound, sums, hits) }
}

/// Bits of 8 words that are all ones or all zeros.
#[inline(always)]
unsafe fn mask(words: uint16x8_t) -> u32 {
    const BITS: [u16; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
    // SAFETY: every 64-bit ARM has NEON; the array is as long as a register.
    unsafe { u32::from(vaddvq_u16(vandq_u16(words, vld1q_u16(BITS.as_ptr())))) }
}

#[target_feature(enable = "neon")]
unsafe fn blocks_neon(tables: &[u8], codes: &[u8], bound: u16, sums: &mut [[u16; ROWS]], hits: &mut [u32]) {
    let groups = tables.len() / GROUP_LEN;
    let nibble = vdupq_n_u8(15);
    let bound = vdupq_n_u16(bound);
    for (b, (sums, hits)) in sums.iter_mut().zip(hits).enumerate() {
        // SAFETY: `codes` has `sums.len()` blocks as long as `tables`, so every group read is inside both.
        unsafe {
            let mut rows = [vdupq_n_u16(0); 4];
            let codes = codes.as_ptr().add(b * tables.len());
            let one = |at: usize| {
                let code = vld1q_u8(codes.add(at));
                let table = vld1q_u8(tables.as_ptr().add(at));
                (vqtbl1q_u8(table, vandq_u8(code, nibble)), vqtbl1q_u8(table, vshrq_n_u8::<4>(code)))
            };
            for g in 0..groups {
                let at = g * GROUP_LEN;
                let (low_a, high_a) = one(at);
                let (low_b, high_b) = one(at + ENTRIES);
                let (low_c, high_c) = one(at + 2 * ENTRIES);
                let (low_d, high_d) = one(at + 3 * ENTRIES);
                let low = (vaddq_u8(low_a, low_b), vaddq_u8(low_c, low_d));
                let high = (vaddq_u8(high_a, high_b), vaddq_u8(high_c, high_d));
                let wide = |x: uint8x16_t, y: uint8x16_t| {
                    (vaddl_u8(vget_low_u8(x), vget_low_u8(y)), vaddl_high_u8(x, y))
                };
                let (low, high) = (wide(low.0, low.1), wide(high.0, high.1));
                rows[0] = vaddq_u16(rows[0], low.0);
                rows[1] = vaddq_u16(rows[1], low.1);
                rows[2] = vaddq_u16(rows[2], high.0);
                rows[3] = vaddq_u16(rows[3], high.1);
            }
            let below = rows.map(|r| vcltq_u16(r, bound));
            for (i, rows) in rows.into_iter().enumerate() {
                // 4 registers of 8 sums are the 32 of `sums`.
                vst1q_u16(sums.as_mut_ptr().add(i * 8), rows);
            }
            let any = vorrq_u16(vorrq_u16(below[0], below[1]), vorrq_u16(below[2], below[3]));
            *hits = 0;
            if vmaxvq_u16(any) != 0 {
                for (i, below) in below.into_iter().enumerate() {
                    *hits |= mask(below) << (i * 8);
                }
            }
        }
    }
}
