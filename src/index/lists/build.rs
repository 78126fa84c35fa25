//! Codes sorted into lists and laid out as a section.

use super::{Layout, block_len, ids};
use crate::kernels::scan::{self, ROWS};
use crate::quant::{Levels, Trq};

/// Vectors encoded between two reports of progress.
const STEP: usize = 16_384;

/// The codes section of `vectors`, `[n, d]`.
pub fn build(trq: &Trq<'_>, vectors: &[f32], progress: &mut dyn FnMut(f32)) -> Vec<u8> {
    let d = trq.dim();
    let encoder = trq.encoder();
    let code_len = encoder.code_len();
    let rows = vectors.len() / d;
    let (mut lists, mut codes) = (Vec::with_capacity(rows), Vec::with_capacity(rows * code_len));
    for part in vectors.chunks(STEP * d) {
        let (of, code) = encoder.encode(part);
        lists.extend(of);
        codes.extend(code);
        progress(lists.len() as f32 / rows.max(1) as f32);
    }
    lay_out(trq, &lists, |row| &codes[row as usize * code_len..][..code_len])
}

/// The codes section of rows `0..lists.len()`, of which row r belongs to `lists[r]` and has the code `code(r)`.
pub(super) fn lay_out<'c>(trq: &Trq<'_>, lists: &[u32], code: impl Fn(u32) -> &'c [u8]) -> Vec<u8> {
    let m = trq.parts();
    let mut starts = vec![0u32; trq.lists() + 1];
    lists.iter().for_each(|&l| starts[l as usize + 1] += 1);
    for l in 0..trq.lists() {
        starts[l + 1] += starts[l];
    }
    let mut order: Vec<u32> = (0..lists.len() as u32).collect();
    order.sort_by_key(|&row| (lists[row as usize], row));
    let layout = Layout::new(&starts, lists.len() as u32, m, trq.tail_len());
    let mut out: Vec<u8> = starts.iter().flat_map(|s| s.to_le_bytes()).collect();
    for span in starts.windows(2) {
        out.extend(ids::encode(&order[span[0] as usize..span[1] as usize], lists.len() as u32));
    }
    out.resize(layout.blocks as usize, 0);
    let len = block_len(m);
    for span in starts.windows(2) {
        for block in order[span[0] as usize..span[1] as usize].chunks(ROWS) {
            let at = out.len();
            out.resize(at + len, 0);
            for (v, &row) in block.iter().enumerate() {
                for (j, &byte) in code(row)[..m].iter().enumerate() {
                    scan::set_code(&mut out[at..], j, v, high(trq, byte));
                }
            }
        }
    }
    for &row in &order {
        out.extend(tail(trq, code(row)));
    }
    out
}

/// What a code has beyond its 4 bits a part.
pub(super) fn tail(trq: &Trq<'_>, code: &[u8]) -> Vec<u8> {
    if trq.levels() == Levels::One {
        return Vec::new();
    }
    let (members, rest) = code.split_at(trq.parts());
    if trq.levels() == Levels::Kept {
        return halves(members).chain(rest.iter().copied()).collect();
    }
    halves(members).chain(halves(rest)).collect()
}

/// The 4 bits of a part that are scanned.
pub(super) fn high(trq: &Trq<'_>, byte: u8) -> u8 {
    if trq.levels() == Levels::One { byte } else { byte >> 4 }
}

/// Low halves two a byte, the first in the low half.
fn halves(codes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    codes.chunks(2).map(|pair| (pair[0] & 15) | pair.get(1).map_or(0, |b| b & 15) << 4)
}
