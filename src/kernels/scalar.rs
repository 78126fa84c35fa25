//! Portable loops in the shape compilers vectorise: independent lanes, then one fixed order of summation.

use super::{Kernels, LANES, TABLE, f16};

/// Every operation, portable.
pub(super) const KERNELS: Kernels = Kernels { dot, l2, dot_f16, dots_packed, dots_packed_f16, argmin, adc };

fn sum(lanes: [f32; LANES]) -> f32 {
    let mut width = LANES;
    let mut lanes = lanes;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let (a, a_tail) = a[..n].as_chunks::<LANES>();
    let (b, b_tail) = b[..n].as_chunks::<LANES>();
    let mut acc = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            acc[i] += a[i] * b[i];
        }
    }
    sum(acc) + a_tail.iter().zip(b_tail).map(|(x, y)| x * y).sum::<f32>()
}

fn l2(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let (a, a_tail) = a[..n].as_chunks::<LANES>();
    let (b, b_tail) = b[..n].as_chunks::<LANES>();
    let mut acc = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            let d = a[i] - b[i];
            acc[i] += d * d;
        }
    }
    sum(acc) + a_tail.iter().zip(b_tail).map(|(x, y)| (x - y) * (x - y)).sum::<f32>()
}

fn dot_f16(a: &[f32], row: &[u8]) -> f32 {
    let row = row.as_chunks::<2>().0;
    let n = a.len().min(row.len());
    let (a, a_tail) = a[..n].as_chunks::<LANES>();
    let (b, b_tail) = row[..n].as_chunks::<LANES>();
    let mut acc = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            acc[i] += a[i] * f16::decode(u16::from_le_bytes(b[i]));
        }
    }
    let tail = a_tail.iter().zip(b_tail).map(|(x, y)| x * f16::decode(u16::from_le_bytes(*y)));
    sum(acc) + tail.sum::<f32>()
}

fn dots_packed(x: &[f32], packed: &[f32], out: &mut [f32]) {
    if x.is_empty() {
        return;
    }
    let blocks = packed.chunks_exact(x.len() * LANES);
    for (block, out) in blocks.zip(out.as_chunks_mut::<LANES>().0) {
        let mut acc = [0.0; LANES];
        for (x, row) in x.iter().zip(block.as_chunks::<LANES>().0) {
            for i in 0..LANES {
                acc[i] += x * row[i];
            }
        }
        *out = acc;
    }
}

fn dots_packed_f16(x: &[f32], packed: &[u8], out: &mut [f32]) {
    if x.is_empty() {
        return;
    }
    let blocks = packed.chunks_exact(x.len() * LANES * 2);
    for (block, out) in blocks.zip(out.as_chunks_mut::<LANES>().0) {
        let mut acc = [0.0; LANES];
        for (x, row) in x.iter().zip(block.as_chunks::<2>().0.as_chunks::<LANES>().0) {
            for i in 0..LANES {
                acc[i] += x * f16::decode(u16::from_le_bytes(row[i]));
            }
        }
        *out = acc;
    }
}

fn argmin(values: &[f32]) -> usize {
    // Lanes find the smallest value quickly; which position has it first is a second, cheap pass.
    let (chunks, tail) = values.as_chunks::<LANES>();
    let mut lanes = [f32::INFINITY; LANES];
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = if chunk[i] < lanes[i] { chunk[i] } else { lanes[i] };
        }
    }
    let smallest = lanes.iter().chain(tail).fold(f32::INFINITY, |a, &b| if b < a { b } else { a });
    if smallest == f32::INFINITY {
        return 0;
    }
    values.iter().position(|&v| v == smallest).unwrap_or(0)
}

fn adc(tables: &[f32], codes: &[u8], stride: usize, out: &mut [f32]) {
    let tables = tables.as_chunks::<TABLE>().0;
    if stride < tables.len() || stride == 0 {
        return;
    }
    let (quads, rest) = tables.as_chunks::<4>();
    for (row, out) in codes.chunks_exact(stride).zip(out) {
        let (code_quads, code_rest) = row[..tables.len()].as_chunks::<4>();
        let mut acc = [0.0; 4];
        for (tables, codes) in quads.iter().zip(code_quads) {
            for i in 0..4 {
                acc[i] += tables[i][usize::from(codes[i])];
            }
        }
        let tail = rest.iter().zip(code_rest).map(|(t, &c)| t[usize::from(c)]);
        *out = (acc[0] + acc[2]) + (acc[1] + acc[3]) + tail.sum::<f32>();
    }
}
