//! Attention over rows of floats.

#[cfg(any(test, not(target_arch = "aarch64")))]
use super::lanes::Plain;
use super::lanes::{LANES, Lanes};
use super::math;

/// Most queries that share a load of keys.
const QUERIES: usize = 8;

/// Attention of `heads` heads over rows `[_, heads · width]`.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Queries, `[rows, heads · width]`.
    pub q: &'a [f32],
    /// Keys, `[keys, heads · width]`.
    pub k: &'a [f32],
    /// Values, as keys.
    pub v: &'a [f32],
    /// Added to the scores of every query: empty or `[keys]`.
    pub mask: &'a [f32],
    /// Heads.
    pub heads: usize,
    /// Numbers of a head.
    pub width: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Place of the first query among the keys, where each query sees only the keys up to its own place.
    pub causal: Option<usize>,
}

/// Floats of scratch memory that [`attention`] over so many keys needs: keys and values of one head, and scores.
pub fn attention_scratch(keys: usize, width: usize) -> usize {
    (width + QUERIES) * keys.next_multiple_of(LANES) + keys * width.next_multiple_of(LANES)
}

/// `softmax(q · kᵀ · scale + mask) · v` for every head, over all keys or those that [`Attention::causal`] leaves;
/// `scratch` is [`attention_scratch`] long. Products are fused with their sums.
///
/// # Panics
/// If a slice is shorter than the shapes say.
pub fn attention(layer: &Attention<'_>, scratch: &mut [f32], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        use super::lanes::{Avx2, Avx512};
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        fn wide(layer: &Attention<'_>, scratch: &mut [f32], out: &mut [f32]) {
            // SAFETY: this function has the features.
            unsafe { attention_body::<Avx512, QUERIES, 4>(layer, scratch, out) }
        }
        #[target_feature(enable = "avx2,fma")]
        fn middle(layer: &Attention<'_>, scratch: &mut [f32], out: &mut [f32]) {
            // SAFETY: this function has the features.
            unsafe { attention_body::<Avx2, 4, 2>(layer, scratch, out) }
        }
        use std::is_x86_feature_detected as has;
        if has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512dq") {
            // SAFETY: the features were just found.
            return unsafe { wide(layer, scratch, out) };
        }
        if has!("avx2") && has!("fma") {
            // SAFETY: the features were just found.
            return unsafe { middle(layer, scratch, out) };
        }
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: every 64-bit ARM has NEON.
    return unsafe { attention_body::<super::lanes::Neon, 4, 2>(layer, scratch, out) };
    #[cfg(not(target_arch = "aarch64"))]
    // SAFETY: it needs no feature.
    unsafe {
        attention_body::<Plain, 1, 1>(layer, scratch, out)
    }
}

/// `MANY` queries share a load of keys, `FEW` a load of values: that needs two sums a query.
///
/// # Safety
/// Of [`Lanes`].
#[inline(always)]
unsafe fn attention_body<L: Lanes, const MANY: usize, const FEW: usize>(
    layer: &Attention<'_>,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let a = layer;
    let row = a.heads * a.width;
    let (rows, keys) = (a.q.len() / row, a.k.len() / row);
    let (padded, wide) = (keys.next_multiple_of(LANES), a.width.next_multiple_of(LANES));
    let (turned, rest) = scratch[..attention_scratch(keys, a.width)].split_at_mut(a.width * padded);
    let (values, scores) = rest.split_at_mut(keys * wide);
    // With a causal mask neighbours do not see the same keys.
    let together = if a.causal.is_some() { 0 } else { rows - rows % MANY };
    for at in (0..row).step_by(a.width) {
        // One head close together, however far apart its rows are: keys as columns, so that a query's scores are sums
        // side by side, and values.
        turn(&a.k[at..], row, a.width, turned);
        for (values, v) in values.chunks_exact_mut(wide).zip(a.v.chunks_exact(row)) {
            values[..a.width].copy_from_slice(&v[at..at + a.width]);
            values[a.width..].fill(0.0);
        }
        for i in (0..together).step_by(MANY) {
            // SAFETY: the caller's.
            unsafe { scores_of::<L, MANY>(a, i, at, turned, scores) };
            for n in (0..MANY).step_by(FEW) {
                let out = &mut out[(i + n) * row + at..];
                // SAFETY: the caller's.
                unsafe { means::<L, FEW>(a, &mut scores[n * padded..], keys, values, out) };
            }
        }
        for i in together..rows {
            let seen = a.causal.map_or(keys, |first| (first + i + 1).min(keys));
            // SAFETY: the caller's.
            unsafe {
                scores_of::<L, 1>(a, i, at, turned, scores);
                means::<L, 1>(a, scores, seen, values, &mut out[i * row + at..]);
            }
        }
    }
}

/// The first `width` columns of rows of `row` values as rows.
#[inline(always)]
fn turn(x: &[f32], row: usize, width: usize, turned: &mut [f32]) {
    let padded = turned.len() / width;
    for (block, x) in x.chunks(row * LANES).enumerate() {
        for (i, turned) in turned.chunks_exact_mut(padded).enumerate() {
            for (turned, x) in turned[block * LANES..][..LANES].iter_mut().zip(x.chunks(row)) {
                *turned = x[i];
            }
        }
    }
}

/// `Σ_i q[n][i] · turned[i, j]` of `N` queries from number `first` on, i from the first to the last, a row of `scores`
/// each.
///
/// # Safety
/// Of [`Lanes`].
#[inline(always)]
unsafe fn scores_of<L: Lanes, const N: usize>(
    a: &Attention<'_>,
    first: usize,
    at: usize,
    turned: &[f32],
    scores: &mut [f32],
) {
    let (row, padded) = (a.heads * a.width, turned.len() / a.width);
    let mut q: [&[f32]; N] = [&[]; N];
    for (n, q) in q.iter_mut().enumerate() {
        *q = &a.q[(first + n) * row + at..][..a.width];
    }
    // SAFETY: the caller's. `turned` is `width` rows of `padded`, and each of `q` is `width` long.
    unsafe {
        for from in (0..padded).step_by(LANES) {
            let mut sums = [L::zero(); N];
            for (i, column) in turned.chunks_exact(padded).enumerate() {
                let Some(column) = column[from..].first_chunk() else { break };
                let column = L::load(column);
                for n in 0..N {
                    sums[n] = sums[n].add_scaled(*q[n].get_unchecked(i), column);
                }
            }
            for (n, sum) in sums.into_iter().enumerate() {
                if let Some(to) = scores[n * padded + from..].first_chunk_mut() {
                    sum.store(to);
                }
            }
        }
    }
}

/// `softmax(scores · scale + mask) · v` over the first `seen` keys of `N` queries, a row of `scores` each, into the
/// beginnings of as many rows of `out`. Products of even and of odd keys are summed apart, then together, so that no sum
/// waits for the one before.
///
/// # Safety
/// Of [`Lanes`].
#[inline(always)]
unsafe fn means<L: Lanes, const N: usize>(
    a: &Attention<'_>,
    scores: &mut [f32],
    seen: usize,
    values: &[f32],
    out: &mut [f32],
) {
    let keys = a.k.len() / (a.heads * a.width);
    let (padded, wide) = (keys.next_multiple_of(LANES), a.width.next_multiple_of(LANES));
    let mut totals = [0.0; N];
    for (total, scores) in totals.iter_mut().zip(scores.chunks_exact_mut(padded)) {
        *total = exponentials(a, &mut scores[..seen]);
    }
    let mut rows: [&[f32]; N] = [&[]; N];
    for (row, scores) in rows.iter_mut().zip(scores.chunks_exact(padded)) {
        *row = &scores[..seen];
    }
    for from in (0..a.width).step_by(LANES) {
        let mut sums = [[0.0; LANES]; N];
        // SAFETY: the caller's. `values` are cut to `seen` rows of `wide`, and each of `rows` is `seen` long: the first
        // row of a pair is there, and the second where the pair is not the last row alone.
        unsafe {
            let (mut even, mut odd) = ([L::zero(); N], [L::zero(); N]);
            for (pair, v) in values[..seen * wide].chunks(2 * wide).enumerate() {
                let Some(v0) = v[from..].first_chunk() else { break };
                let v0 = L::load(v0);
                for n in 0..N {
                    even[n] = even[n].add_scaled(*rows[n].get_unchecked(2 * pair), v0);
                }
                if v.len() == wide {
                    break;
                }
                let Some(v1) = v[wide + from..].first_chunk() else { break };
                let v1 = L::load(v1);
                for n in 0..N {
                    odd[n] = odd[n].add_scaled(*rows[n].get_unchecked(2 * pair + 1), v1);
                }
            }
            for (n, sums) in sums.iter_mut().enumerate() {
                even[n].add(odd[n]).store(sums);
            }
        }
        let width = a.width - from;
        for (n, (mut sums, total)) in sums.into_iter().zip(totals).enumerate() {
            for sum in &mut sums {
                *sum /= total;
            }
            let out = &mut out[n * a.heads * a.width + from..];
            match out.first_chunk_mut::<LANES>() {
                Some(out) if width >= LANES => *out = sums,
                _ => out[..width].copy_from_slice(&sums[..width]),
            }
        }
    }
}

/// `e^(score · scale + mask − greatest)` in place, and their sum.
#[inline(always)]
fn exponentials(a: &Attention<'_>, scores: &mut [f32]) -> f32 {
    for score in &mut *scores {
        *score *= a.scale;
    }
    if !a.mask.is_empty() {
        for (score, m) in scores.iter_mut().zip(a.mask) {
            *score += m;
        }
    }
    let most = math::greatest(scores);
    for score in &mut *scores {
        *score = math::exp(*score - most);
    }
    math::sum(scores, |v| v)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::float::testing::{bits, numbers};

    #[test]
    fn attention_is_softmax_of_products() {
        for (rows, keys, heads, width) in
            [(3, 5, 2, 20), (9, 70, 3, 16), (5, 33, 2, 64), (8, 17, 1, 5), (1, 1, 1, 1)]
        {
            attention_of(rows, keys, heads, width, None);
            attention_of(rows, keys, heads, width, Some(keys.saturating_sub(rows)));
        }
        attention_of(37, 37, 2, 9, Some(0));
    }

    fn attention_of(rows: usize, keys: usize, heads: usize, width: usize, causal: Option<usize>) {
        let row = heads * width;
        let (q, k, v) = (numbers(rows * row, 1), numbers(keys * row, 2), numbers(keys * row, 3));
        let mask: Vec<f32> = (0..keys).map(|j| [0.0, -1e4, 0.5][j % 3]).collect();
        let layer = Attention { q: &q, k: &k, v: &v, mask: &mask, heads, width, scale: 0.3, causal };
        let (mut got, mut plain) = (vec![0.0; rows * row], vec![0.0; rows * row]);
        let mut scratch = vec![9.0; attention_scratch(keys, width)];
        attention(&layer, &mut scratch, &mut got);
        // SAFETY: it needs no feature.
        unsafe { attention_body::<Plain, 2, 1>(&layer, &mut scratch, &mut plain) };
        assert_eq!(bits(&got), bits(&plain));
        for (r, q) in q.chunks_exact(row).enumerate() {
            let causal = causal.map(|first| first + r);
            attention(&Attention { q, causal, ..layer }, &mut scratch, &mut plain[..row]);
            assert_eq!(bits(&got[r * row..][..row]), bits(&plain[..row]), "a query alone");
        }
        for r in 0..rows {
            let keys = causal.map_or(keys, |first| first + r + 1);
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
