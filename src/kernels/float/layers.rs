//! Whole layers over rows of floats.

use super::math;
use crate::kernels::int8::RowQuant;

/// Columns that are summed side by side.
const LANES: usize = 16;
/// Rows that share a load of weights.
const ROWS: usize = 4;

widest! {
    /// `out[r, c] = bias[c] + Σ_i x[r, i] · w[i, c]`, i from the first to the last.
    ///
    /// `w` is `[k, n rounded up to 16]`, `bias` as long as one of its rows, `x` `[rows, k]`, `out` `[rows, n]`.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say.
    pub fn linear = linear_body(x: &[f32], k: usize, w: &[f32], bias: &[f32], n: usize, out: &mut [f32])
}

#[inline(always)]
fn linear_body(x: &[f32], k: usize, w: &[f32], bias: &[f32], n: usize, out: &mut [f32]) {
    let padded = n.next_multiple_of(LANES);
    for (x, out) in x.chunks(k * ROWS).zip(out.chunks_mut(n * ROWS)) {
        let rows = out.len() / n;
        for first in (0..n).step_by(LANES) {
            let start: &[f32; LANES] = bias[first..first + LANES].try_into().unwrap_or(&[0.0; LANES]);
            let mut sums = [*start; ROWS];
            if rows == ROWS {
                let (x0, rest) = x.split_at(k);
                let (x1, rest) = rest.split_at(k);
                let (x2, x3) = rest.split_at(k);
                let xs = x0.iter().zip(x1).zip(x2).zip(x3);
                for ((((&a, &b), &c), &d), w) in xs.zip(w.chunks_exact(padded)) {
                    let w = &w[first..first + LANES];
                    for (x, sums) in [a, b, c, d].into_iter().zip(&mut sums) {
                        for (sum, &w) in sums.iter_mut().zip(w) {
                            *sum += x * w;
                        }
                    }
                }
            } else {
                for (x, sums) in x.chunks_exact(k).zip(&mut sums) {
                    for (&x, w) in x.iter().zip(w.chunks_exact(padded)) {
                        for (sum, &w) in sums.iter_mut().zip(&w[first..first + LANES]) {
                            *sum += x * w;
                        }
                    }
                }
            }
            let width = LANES.min(n - first);
            for (out, sums) in out.chunks_exact_mut(n).zip(&sums) {
                out[first..first + width].copy_from_slice(&sums[..width]);
            }
        }
    }
}

widest! {
    /// Gaussian error linear unit: `x · (1 + erf(x / √2)) / 2`.
    pub fn gelu = gelu_body(x: &[f32], y: &mut [f32])
}

#[inline(always)]
fn gelu_body(x: &[f32], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x * 0.5 * (1.0 + math::erf(x * std::f32::consts::FRAC_1_SQRT_2));
    }
}

widest! {
    /// The same, by hyperbolic tangent: `x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))) / 2`.
    pub fn gelu_tanh = gelu_tanh_body(x: &[f32], y: &mut [f32])
}

#[inline(always)]
fn gelu_tanh_body(x: &[f32], y: &mut [f32]) {
    const ROOT: f32 = 0.797_884_6;
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x * 0.5 * (1.0 + math::tanh(ROOT * (x + 0.044_715 * x * x * x)));
    }
}

widest! {
    /// `x · sigmoid(factor · x)`
    pub fn swish = swish_body(x: &[f32], factor: f32, y: &mut [f32])
}

#[inline(always)]
fn swish_body(x: &[f32], factor: f32, y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x * math::sigmoid(factor * x);
    }
}

widest! {
    /// Layer normalisation of rows of `gain.len()` values: `(x − mean) / √(variance + epsilon) · gain + shift`.
    pub fn layer_norm = layer_norm_body(x: &[f32], gain: &[f32], shift: &[f32], epsilon: f32, y: &mut [f32])
}

#[inline(always)]
fn layer_norm_body(x: &[f32], gain: &[f32], shift: &[f32], epsilon: f32, y: &mut [f32]) {
    let width = gain.len();
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let mean = math::sum(x, |v| v) / width as f32;
        let variance = math::sum(x, |v| (v - mean) * (v - mean)) / width as f32;
        let deviation = (variance + epsilon).sqrt();
        for (((y, &x), &gain), &shift) in y.iter_mut().zip(x).zip(gain).zip(shift) {
            *y = (x - mean) / deviation * gain + shift;
        }
    }
}

widest! {
    /// `clamp(round(x / scale) + zero, 0, 255)` of every value, ties to even; NaN gives 0.
    pub fn levels = levels_body(x: &[f32], scale: f32, zero: u8, y: &mut [u8])
}

#[inline(always)]
fn levels_body(x: &[f32], scale: f32, zero: u8, y: &mut [u8]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = level(x / scale, zero);
    }
}

/// So many steps from zero, rounded and held in range.
#[inline(always)]
fn level(steps: f32, zero: u8) -> u8 {
    let low = -f32::from(zero);
    let held = steps.max(low).min(255.0 + low);
    (held + math::MAGIC).to_bits().wrapping_add(u32::from(zero)) as u8
}

/// Rows of u8 values and what they are worth.
#[derive(Debug)]
pub struct RowLevels<'a> {
    /// `[rows, width]`
    pub values: &'a mut [u8],
    /// One a row.
    pub ranges: &'a mut [RowQuant],
}

widest! {
    /// Rows of `width` floats as u8, each row over its own range (0 always in it), as ONNX's DynamicQuantizeLinear.
    pub fn quantize_rows = quantize_rows_body(x: &[f32], width: usize, out: &mut RowLevels<'_>)
}

#[inline(always)]
fn quantize_rows_body(x: &[f32], width: usize, out: &mut RowLevels<'_>) {
    let rows = x.chunks_exact(width).zip(out.values.chunks_exact_mut(width));
    for ((x, values), range) in rows.zip(out.ranges.iter_mut()) {
        let (low, high) = math::range_with_zero(x);
        let scale = ((high - low) / 255.0).clamp(f32::MIN_POSITIVE, f32::MAX);
        let zero = (((-low / scale).min(255.0) + math::MAGIC) - math::MAGIC) as u8;
        *range = RowQuant { zero, scale };
        // A division a value would take longer than all else; a product puts a value near the middle of two levels on the
        // other one at times.
        let steps = 1.0 / scale;
        for (value, &x) in values.iter_mut().zip(x) {
            *value = level(x * steps, zero);
        }
    }
}

widest! {
    /// `e^x / Σe^x` of rows of `width` values.
    pub fn softmax = softmax_body(x: &[f32], width: usize, y: &mut [f32])
}

#[inline(always)]
fn softmax_body(x: &[f32], width: usize, y: &mut [f32]) {
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let most = math::greatest(x);
        for (y, &x) in y.iter_mut().zip(x) {
            *y = math::exp(x - most);
        }
        let sum = math::sum(y, |v| v);
        y.iter_mut().for_each(|y| *y /= sum);
    }
}

widest! {
    /// `out[r, c] = Σ_i a[r, i] · b[i, c]`, i from the first to the last, where neither side is packed: `a` is
    /// `[rows, k]`, `b` `[k, n]`, `out` `[rows, n]`.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say.
    pub fn product = product_body(a: &[f32], k: usize, b: &[f32], n: usize, out: &mut [f32])
}

#[inline(always)]
fn product_body(a: &[f32], k: usize, b: &[f32], n: usize, out: &mut [f32]) {
    for (a, out) in a.chunks_exact(k).zip(out.chunks_exact_mut(n)) {
        for first in (0..n).step_by(LANES) {
            let width = LANES.min(n - first);
            let mut sums = [0.0f32; LANES];
            for (&a, b) in a.iter().zip(b.chunks_exact(n)) {
                for (sum, &b) in sums.iter_mut().zip(&b[first..first + width]) {
                    *sum += a * b;
                }
            }
            out[first..first + width].copy_from_slice(&sums[..width]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::float::testing::{bits, numbers};

    #[test]
    fn products_and_softmax_keep_their_order_whatever_the_width_of_vectors() {
        for (rows, k, n) in [(1usize, 1usize, 1usize), (3, 7, 5), (4, 33, 16), (5, 12, 50)] {
            let (a, b) = (numbers(rows * k, 1), numbers(k * n, 2));
            let (mut got, mut plain) = (vec![9.0; rows * n], vec![9.0; rows * n]);
            product(&a, k, &b, n, &mut got);
            product_body(&a, k, &b, n, &mut plain);
            let sum = |r: usize, c: usize| (0..k).fold(0.0, |sum, i| sum + a[r * k + i] * b[i * n + c]);
            let want: Vec<f32> = (0..rows * n).map(|at| sum(at / n, at % n)).collect();
            assert_eq!(bits(&got), bits(&want));
            assert_eq!(bits(&plain), bits(&want));
            let (mut soft, mut plain) = (vec![0.0; rows * n], vec![0.0; rows * n]);
            softmax(&got, n, &mut soft);
            softmax_body(&got, n, &mut plain);
            assert_eq!(bits(&soft), bits(&plain));
            for (row, x) in soft.chunks_exact(n).zip(got.chunks_exact(n)) {
                let all: f64 = x.iter().map(|&v| f64::from(v).exp()).sum();
                for (&y, &x) in row.iter().zip(x) {
                    assert!((f64::from(y) - f64::from(x).exp() / all).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn linear_layers_sum_in_order_whatever_the_width_of_vectors() {
        for (rows, k, n) in [(1usize, 1usize, 1usize), (3, 7, 5), (4, 33, 16), (9, 40, 50), (6, 64, 33)] {
            let padded = n.next_multiple_of(LANES);
            let (x, w, bias) = (numbers(rows * k, 1), numbers(k * padded, 2), numbers(padded, 3));
            let (mut got, mut plain) = (vec![9.0; rows * n], vec![9.0; rows * n]);
            linear(&x, k, &w, &bias, n, &mut got);
            linear_body(&x, k, &w, &bias, n, &mut plain);
            let mut want = Vec::new();
            for r in 0..rows {
                for c in 0..n {
                    want.push((0..k).fold(bias[c], |sum, i| sum + x[r * k + i] * w[i * padded + c]));
                }
            }
            assert_eq!(bits(&got), bits(&want));
            assert_eq!(bits(&plain), bits(&want));
        }
    }

    #[test]
    fn normalised_rows_have_mean_0_and_variance_1() {
        let (x, width) = (numbers(3 * 50, 4), 50);
        let (mut y, mut plain) = (vec![0.0; 150], vec![0.0; 150]);
        let (gain, shift) = (vec![1.0; width], vec![0.0; width]);
        layer_norm(&x, &gain, &shift, 1e-12, &mut y);
        layer_norm_body(&x, &gain, &shift, 1e-12, &mut plain);
        assert_eq!(bits(&y), bits(&plain));
        for row in y.chunks_exact(width) {
            assert!(row.iter().sum::<f32>().abs() < 1e-4);
            assert!((row.iter().map(|v| v * v).sum::<f32>() / width as f32 - 1.0).abs() < 1e-4);
        }
    }

    #[test]
    fn levels_are_the_nearest_ties_to_even_and_in_range() {
        let x = [0.0, 0.25, 0.75, -0.25, 1e9, -1e9, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3.0];
        let (mut y, mut plain) = (vec![9; x.len()], vec![9; x.len()]);
        levels(&x, 0.5, 10, &mut y);
        levels_body(&x, 0.5, 10, &mut plain);
        assert_eq!(y, [10, 10, 12, 10, 255, 0, 0, 255, 0, 16]);
        assert_eq!(plain, y);
    }

    #[test]
    fn rows_are_quantised_over_their_own_range() {
        let mut x = numbers(4 * 37, 5);
        x[37..74].fill(0.0);
        x[74..111].iter_mut().for_each(|v| *v = v.abs() * 1000.0 + 1.0);
        let (mut values, mut ranges) = (vec![0; x.len()], vec![RowQuant { zero: 9, scale: 9.0 }; 4]);
        quantize_rows(&x, 37, &mut RowLevels { values: &mut values, ranges: &mut ranges });
        let (mut plain_values, mut plain) = (values.clone(), ranges.clone());
        quantize_rows_body(&x, 37, &mut RowLevels { values: &mut plain_values, ranges: &mut plain });
        assert_eq!((&values, &ranges), (&plain_values, &plain));
        assert_eq!(ranges[2].zero, 0, "0 is in the range of positive rows");
        for ((x, values), range) in x.chunks_exact(37).zip(values.chunks_exact(37)).zip(&ranges) {
            for (&x, &v) in x.iter().zip(values) {
                let back = (f32::from(v) - f32::from(range.zero)) * range.scale;
                assert!((back - x).abs() <= range.scale, "{x} came back as {back}");
            }
        }
        // Numbers that cannot be ranged stay in range.
        let (mut values, mut ranges) = (vec![0; 3], vec![RowQuant { zero: 0, scale: 0.0 }]);
        let out = &mut RowLevels { values: &mut values, ranges: &mut ranges };
        quantize_rows(&[f32::NAN, f32::INFINITY, -1.0], 3, out);
        assert!(out.ranges[0].scale.is_finite());
    }

    #[test]
    fn functions_of_one_value_are_what_they_say() {
        let x = numbers(500, 5).iter().map(|v| v * 8.0).collect::<Vec<_>>();
        let (mut got, mut plain) = (vec![0.0; 500], vec![0.0; 500]);
        gelu_tanh(&x, &mut got);
        gelu_tanh_body(&x, &mut plain);
        assert_eq!(bits(&got), bits(&plain));
        for (&x, &got) in x.iter().zip(&got) {
            let x = f64::from(x);
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            assert!((f64::from(got) - x * 0.5 * (1.0 + inner.tanh())).abs() < 2e-6);
        }
        swish(&x, 1.702, &mut got);
        swish_body(&x, 1.702, &mut plain);
        assert_eq!(bits(&got), bits(&plain));
        for (&x, &got) in x.iter().zip(&got) {
            let x = f64::from(x);
            assert!((f64::from(got) - x / (1.0 + (-f64::from(1.702f32) * x).exp())).abs() < 2e-6);
        }
    }
}
