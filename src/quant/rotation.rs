//! Orthogonal matrices: how they are chosen and how they are stored.
//!
//! A rotation R of cell k turns a residual r into `y = Rᵀ r`. Stored are the rows of Rᵀ as signed bytes with a f32
//! scale each that gives the row length 1: 1 byte an entry. Rounding moves a squared distance by a share of about
//! 0.002 (d = 128), far below what codes lose.

use super::linalg;
use super::part;
use crate::kernels::{LANES, rows};

/// Covariance of rows `[n, d]`; zeros if there are none.
pub(super) fn covariance(rows: &[&[f32]], d: usize) -> Vec<f64> {
    let mut mean = vec![0.0; d];
    for row in rows {
        mean.iter_mut().zip(*row).for_each(|(m, v)| *m += f64::from(*v));
    }
    let mut sums = linalg::outer_sum(rows, rows, d);
    let count = rows.len().max(1) as f64;
    for i in 0..d {
        for j in 0..=i {
            let value = sums[i * d + j] / count - mean[i] / count * (mean[j] / count);
            sums[i * d + j] = value;
            sums[j * d + i] = value;
        }
    }
    sums
}

/// Principal axes as columns, dealt to `m` parts so that each has about the same product of variances
/// (Ge, He, Ke and Sun 2013, section 3.2): the start of OPQ, and of each cell of TRQ.
pub(super) fn balanced(covariance: &[f64], d: usize, m: usize) -> Vec<f64> {
    let (values, vectors) = linalg::eigen(covariance, d);
    let floor = values.first().copied().unwrap_or(0.0).max(f64::MIN_POSITIVE) * 1e-9;
    // Log-product of each part; the constant makes an empty place weigh more than any variance.
    let mut products = vec![0.0f64; m];
    let mut axes: Vec<Vec<usize>> = vec![Vec::new(); m];
    for (axis, &value) in values.iter().enumerate() {
        let open = (0..m).filter(|&j| axes[j].len() < part(d, m, j).len());
        let Some(j) = open.min_by(|&a, &b| products[a].total_cmp(&products[b])) else { break };
        products[j] += log2(value.max(floor) / floor) + 60.0;
        axes[j].push(axis);
    }
    let order: Vec<usize> = axes.into_iter().flatten().collect();
    let mut out = vec![0.0; d * d];
    for row in 0..d {
        for (to, &from) in order.iter().enumerate() {
            out[row * d + to] = vectors[row * d + from];
        }
    }
    out
}

/// The logarithm to 0.09, straight from the bits: that of the standard library differs between machines.
fn log2(x: f64) -> f64 {
    x.to_bits() as f64 / (1u64 << 52) as f64 - 1023.0
}

/// Bytes of a stored rotation of `d` components: scales, then entries.
pub(super) fn stored_len(d: usize) -> usize {
    4 * d + d.next_multiple_of(LANES) * d
}

/// A rotation, columns its axes, as it is stored.
pub(super) fn store(rotation: &[f64], d: usize) -> Vec<u8> {
    let mut scales = Vec::with_capacity(d * 4);
    let mut entries = vec![0u8; d.next_multiple_of(LANES) * d];
    for j in 0..d {
        let axis = |i: usize| rotation[i * d + j];
        let most = (0..d).fold(0.0f64, |m, i| m.max(axis(i).abs())).max(f64::MIN_POSITIVE);
        let mut norm = 0.0;
        for i in 0..d {
            let entry = (axis(i) / most * 127.0).round() as i8;
            norm += f64::from(entry) * f64::from(entry);
            entries[(j / LANES * d + i) * LANES + j % LANES] = entry as u8;
        }
        scales.extend((if norm > 0.0 { 1.0 / norm.sqrt() } else { 0.0 } as f32).to_le_bytes());
    }
    scales.extend(entries);
    scales
}

/// `Rᵀ x` into `out`, `[d]`.
pub(super) fn apply(stored: &[u8], x: &[f32], out: &mut [f32]) {
    let (scales, entries) = stored.split_at_checked(4 * x.len()).unwrap_or_default();
    rows::rotate(x, entries, scales, out);
}

/// `R y`, back to where vectors come from.
pub(super) fn invert(stored: &[u8], y: &[f32]) -> Vec<f32> {
    let d = y.len();
    let (scales, entries) = stored.split_at_checked(4 * d).unwrap_or_default();
    let mut out = vec![0.0; d];
    for (j, (y, scale)) in y.iter().zip(scales.as_chunks::<4>().0).enumerate() {
        let y = y * f32::from_le_bytes(*scale);
        for (i, out) in out.iter_mut().enumerate() {
            let entry = entries.get((j / LANES * d + i) * LANES + j % LANES);
            *out += y * f32::from(entry.copied().unwrap_or_default() as i8);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::rng::Rng;

    #[test]
    fn storing_keeps_lengths_and_inverts() {
        let mut rng = Rng::new(3);
        for d in [1, 5, 16, 40] {
            let g: Vec<f64> = (0..d * d).map(|_| rng.unit() - 0.5).collect();
            let stored = store(&linalg::procrustes(&g, d).0, d);
            assert_eq!(stored.len(), stored_len(d));
            let x: Vec<f32> = (0..d).map(|_| rng.unit() as f32 - 0.5).collect();
            let mut y = vec![0.0; d];
            apply(&stored, &x, &mut y);
            let square = |v: &[f32]| v.iter().map(|a| a * a).sum::<f32>();
            assert!((square(&y) / square(&x) - 1.0).abs() < 0.02, "{d}");
            let back = invert(&stored, &y);
            let error: f32 = back.iter().zip(&x).map(|(a, b)| (a - b) * (a - b)).sum();
            assert!(error < 1e-3 * square(&x), "{d} {error}");
        }
    }

    #[test]
    fn the_identity_is_stored_exactly() {
        let identity: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i / 20 == i % 20))).collect();
        let x: Vec<f32> = (0..20).map(|i| i as f32 * 0.37 - 3.0).collect();
        let mut y = vec![0.0; 20];
        apply(&store(&identity, 20), &x, &mut y);
        assert!(x.iter().zip(&y).all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs()));
    }

    #[test]
    fn parts_share_the_variance() {
        // Independent components of variance 4^−i: each part of two gets one large and one small.
        let d = 8;
        let cov: Vec<f64> =
            (0..64).map(|i| if i / d == i % d { 0.25f64.powi((i / d) as i32) } else { 0.0 }).collect();
        let r = balanced(&cov, d, 4);
        for part in 0..4 {
            let log: f64 = (0..2)
                .map(|i| {
                    let column = part * 2 + i;
                    (0..d).map(|row| r[row * d + column].powi(2) * cov[row * d + row]).sum::<f64>().ln()
                })
                .sum();
            assert!((log - 7.0 * 0.25f64.ln()).abs() < 1e-6, "{log}");
        }
        assert_eq!(covariance(&[&[1.0, 2.0], &[3.0, 2.0]], 2), [1.0, 0.0, 0.0, 0.0]);
    }
}
