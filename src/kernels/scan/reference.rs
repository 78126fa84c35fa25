//! The plainest code; also what runs where nothing faster does.

use super::{ENTRIES, GROUP_LEN, ROWS, Scan};
use crate::kernels::Isa;

/// The reference, on every machine.
pub const SCAN: Scan = Scan { isa: Isa::Scalar, blocks };

fn blocks(tables: &[u8], codes: &[u8], bound: u16, sums: &mut [[u16; ROWS]], hits: &mut [u32]) {
    let block_len = tables.len().max(GROUP_LEN);
    sums.fill([0; ROWS]);
    for (block, sums) in codes.chunks_exact(block_len).zip(sums.iter_mut()) {
        for (table, codes) in tables.chunks_exact(ENTRIES).zip(block.chunks_exact(ENTRIES)) {
            for (v, code) in codes.iter().enumerate() {
                sums[v] += u16::from(table[usize::from(code & 15)]);
                sums[v + ENTRIES] += u16::from(table[usize::from(code >> 4)]);
            }
        }
    }
    for (sums, hits) in sums.iter().zip(hits) {
        *hits = (0..ROWS).fold(0, |mask, v| mask | u32::from(sums[v] < bound) << v);
    }
}
