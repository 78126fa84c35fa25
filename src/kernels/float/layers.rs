//! Whole layers over rows of floats.

use super::math;
use crate::kernels::int8::RowQuant;

/// A public function that runs its body compiled for the widest vectors of this CPU.
macro_rules! widest {
    ($(#[$doc:meta])* pub fn $name:ident = $body:ident($($arg:ident: $kind:ty),* $(,)?)) => {
        $(#[$doc])*
        pub fn $name($($arg: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
                fn wide($($arg: $kind),*) {
                    $body($($arg),*);
                }
                #[target_feature(enable = "avx2")]
                fn middle($($arg: $kind),*) {
                    $body($($arg),*);
                }
                let has = |avx512: bool| if avx512 {
                    std::is_x86_feature_detected!("avx512f")
                        && std::is_x86_feature_detected!("avx512bw")
                        && std::is_x86_feature_detected!("avx512vl")
                        && std::is_x86_feature_detected!("avx512dq")
                } else {
                    std::is_x86_feature_detected!("avx2")
                };
                if has(true) {
                    // SAFETY: the features were just found.
                    return unsafe { wide($($arg),*) };
                }
                if has(false) {
                    // SAFETY: the feature was just found.
                    return unsafe { middle($($arg),*) };
                }
            }
            $body($($arg),*);
        }
    };
}

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
    const MAGIC: f32 = 12_582_912.0;
    let rows = x.chunks_exact(width).zip(out.values.chunks_exact_mut(width));
    for ((x, values), range) in rows.zip(out.ranges.iter_mut()) {
        let (mut low, mut high) = ([0.0f32; LANES], [0.0f32; LANES]);
        let mut chunks = x.chunks_exact(LANES);
        for chunk in &mut chunks {
            for ((low, high), &v) in low.iter_mut().zip(&mut high).zip(chunk) {
                *low = if v < *low { v } else { *low };
                *high = if v > *high { v } else { *high };
            }
        }
        for &v in chunks.remainder() {
            low[0] = low[0].min(v);
            high[0] = high[0].max(v);
        }
        let low = low.into_iter().fold(0.0, f32::min);
        let high = high.into_iter().fold(0.0, f32::max);
        let scale = ((high - low) / 255.0).clamp(f32::MIN_POSITIVE, f32::MAX);
        let zero = ((-low / scale).min(255.0) + MAGIC) - MAGIC;
        *range = RowQuant { zero: zero as u8, scale };
        for (to, &v) in values.iter_mut().zip(x) {
            let steps = (v / scale).max(-zero).min(255.0 - zero);
            *to = (steps + MAGIC).to_bits().wrapping_add(zero as u32) as u8;
        }
    }
}

/// Attention of `heads` heads over rows `[_, heads · width]`.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Queries, `[rows, heads · width]`.
    pub q: &'a [f32],
    /// Keys, `[keys, heads · width]`.
    pub k: &'a [f32],
    /// Values, as keys.
    pub v: &'a [f32],
    /// Added to the scores: empty, `[keys]`, or `[rows, keys]` at `mask_stride` a row.
    pub mask: &'a [f32],
    /// Distance of the mask's rows; 0 if all queries share one.
    pub mask_stride: usize,
    /// Heads.
    pub heads: usize,
    /// Numbers of a head.
    pub width: usize,
    /// Factor of the scores.
    pub scale: f32,
}

widest! {
    /// `softmax(q · kᵀ · scale + mask) · v` for every head; `scores` is room for one query's scores.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say.
    pub fn attention = attention_body(layer: &Attention<'_>, scores: &mut [f32], out: &mut [f32])
}

#[inline(always)]
fn attention_body(layer: &Attention<'_>, scores: &mut [f32], out: &mut [f32]) {
    let a = layer;
    let row = a.heads * a.width;
    let keys = a.k.len() / row;
    let scores = &mut scores[..keys];
    for (i, (q, out)) in a.q.chunks_exact(row).zip(out.chunks_exact_mut(row)).enumerate() {
        for (head, out) in out.chunks_exact_mut(a.width).enumerate() {
            let at = head * a.width;
            let q = &q[at..at + a.width];
            for (score, k) in scores.iter_mut().zip(a.k.chunks_exact(row)) {
                *score = dot(q, &k[at..at + a.width]) * a.scale;
            }
            if !a.mask.is_empty() {
                let mask = &a.mask[i * a.mask_stride..][..keys];
                scores.iter_mut().zip(mask).for_each(|(score, m)| *score += m);
            }
            let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            scores.iter_mut().for_each(|s| *s = math::exp(*s - most));
            let total = math::sum(scores, |v| v);
            out.fill(0.0);
            for (&score, v) in scores.iter().zip(a.v.chunks_exact(row)) {
                for (out, &v) in out.iter_mut().zip(&v[at..at + a.width]) {
                    *out += score * v;
                }
            }
            out.iter_mut().for_each(|v| *v /= total);
        }
    }
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    for ((lane, &a), &b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane += a * b;
    }
    math::fold(lanes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        (0..n)
            .map(|i| ((i as u32 ^ seed).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0)
            .collect()
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|v| v.to_bits()).collect()
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
    fn attention_is_softmax_of_products() {
        let (rows, keys, heads, width) = (3, 5, 2, 20);
        let row = heads * width;
        let (q, k, v) = (numbers(rows * row, 1), numbers(keys * row, 2), numbers(keys * row, 3));
        let mask = vec![0.0, -1e4, 0.5, 0.0, -1e4];
        let layer = Attention { q: &q, k: &k, v: &v, mask: &mask, mask_stride: 0, heads, width, scale: 0.3 };
        let (mut got, mut plain) = (vec![0.0; rows * row], vec![0.0; rows * row]);
        attention(&layer, &mut [0.0; 5], &mut got);
        attention_body(&layer, &mut [0.0; 5], &mut plain);
        assert_eq!(bits(&got), bits(&plain));
        for r in 0..rows {
            for h in 0..heads {
                let score = |j: usize| -> f64 {
                    let sum: f64 = (0..width)
                        .map(|i| {
                            f64::from(q[r * row + h * width + i]) * f64::from(k[j * row + h * width + i])
                        })
                        .sum();
                    (sum * 0.3 + f64::from(mask[j])).exp()
                };
                let total: f64 = (0..keys).map(score).sum();
                for i in 0..width {
                    let want: f64 =
                        (0..keys).map(|j| score(j) / total * f64::from(v[j * row + h * width + i])).sum();
                    assert!((f64::from(got[r * row + h * width + i]) - want).abs() < 1e-5);
                }
            }
        }
    }
}
