//! The plainest code for each operation, in f64 where that is simpler. Only tests run it.

use super::{Kernels, LANES, TABLE, f16};

/// Every operation, plain.
pub(super) const KERNELS: Kernels = Kernels { dot, l2, dot_f16, dots_packed, dots_packed_f16, argmin, adc };

/// Inner product.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>() as f32
}

/// Squared distance.
pub fn l2(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum::<f64>() as f32
}

/// Inner product with half floats.
pub fn dot_f16(a: &[f32], row: &[u8]) -> f32 {
    dot(a, &f16::from_bytes(row))
}

/// Inner products with a packed codebook.
pub fn dots_packed(x: &[f32], packed: &[f32], out: &mut [f32]) {
    let d = x.len();
    for (c, out) in out.iter_mut().enumerate() {
        let at = |j: usize| packed.get((c / LANES * d + j) * LANES + c % LANES).copied();
        let centroid: Option<Vec<f32>> = (0..d).map(at).collect();
        if let Some(centroid) = centroid.filter(|c| !c.is_empty()) {
            *out = dot(x, &centroid);
        }
    }
}

/// Inner products with a packed codebook of half floats.
pub fn dots_packed_f16(x: &[f32], packed: &[u8], out: &mut [f32]) {
    dots_packed(x, &f16::from_bytes(packed), out);
}

/// First smallest value.
pub fn argmin(values: &[f32]) -> usize {
    let mut best = 0;
    let mut smallest = f32::INFINITY;
    for (i, &v) in values.iter().enumerate() {
        if v < smallest {
            (best, smallest) = (i, v);
        }
    }
    best
}

/// Table sums.
pub fn adc(tables: &[f32], codes: &[u8], stride: usize, out: &mut [f32]) {
    let m = tables.len() / TABLE;
    if stride < m || stride == 0 {
        return;
    }
    for (row, out) in codes.chunks_exact(stride).zip(out) {
        let entry = |j: usize| f64::from(tables[j * TABLE + usize::from(row[j])]);
        *out = (0..m).map(entry).sum::<f64>() as f32;
    }
}
