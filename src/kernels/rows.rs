//! Rows of floats against one vector, the same bits on every machine.
//!
//! Plain loops with one order of summation, compiled once more for wider vectors. Numbers of a file come as
//! little-endian bytes.

use super::{LANES, f16, prefetch_after};

/// Added to a magnitude below 2²², this leaves the nearest whole number (ties to even) in the low bits.
const MAGIC: f32 = 12_582_912.0;
/// Largest entry of a levelled table.
const TOP: f32 = super::scan::TOP as f32;

/// Bytes fetched ahead of tables that a query reads once from end to end.
const AHEAD: usize = 4096;

/// `[16]` floats as they lie in a file.
type Packed = [[u8; 4]; LANES];

fn packed(bytes: &[u8]) -> &[Packed] {
    bytes.as_chunks::<4>().0.as_chunks::<LANES>().0
}

widest! {
    /// Squared distances of `x`, `[d]`, to centroids packed as f32 `[k / 16, d, 16]`, into `out`, `[k]`.
    ///
    /// Centroids missing from `centroids` leave `out` as it was.
    pub fn l2_packed = l2_packed_body(x: &[f32], centroids: &[u8], out: &mut [f32])
}

#[inline(always)]
fn l2_packed_body(x: &[f32], centroids: &[u8], out: &mut [f32]) {
    sums_packed(x, centroids, out, |x, c| (x - c) * (x - c));
}

/// Of each packed centroid the sum of `term(x, centroid)` over components, first to last.
#[inline(always)]
fn sums_packed(x: &[f32], centroids: &[u8], out: &mut [f32], term: impl Fn(f32, f32) -> f32) {
    if x.is_empty() {
        return;
    }
    let blocks = packed(centroids).chunks_exact(x.len());
    for (block, out) in blocks.zip(out.as_chunks_mut::<LANES>().0) {
        let mut sums = [0.0; LANES];
        for (&x, row) in x.iter().zip(block) {
            prefetch_after(row, AHEAD);
            for i in 0..LANES {
                sums[i] += term(x, f32::from_le_bytes(row[i]));
            }
        }
        *out = sums;
    }
}

widest! {
    /// Inner products of `x`, `[d]`, with centroids packed as f32 `[k / 16, d, 16]`, into `out`, `[k]`.
    ///
    /// Centroids missing from `centroids` leave `out` as it was.
    pub fn dots_packed_bytes = dots_packed_body(x: &[f32], centroids: &[u8], out: &mut [f32])
}

#[inline(always)]
fn dots_packed_body(x: &[f32], centroids: &[u8], out: &mut [f32]) {
    sums_packed(x, centroids, out, |x, c| x * c);
}

widest! {
    /// Product of a matrix of signed bytes, packed `[rows / 16, d, 16]`, with `x`, `[d]`: `out[j] = scale[j] · Σ_i m[j, i] · x[i]`.
    ///
    /// `scales` holds a f32 a row. Rows missing from `matrix` or `scales` leave `out` as it was.
    pub fn rotate = rotate_body(x: &[f32], matrix: &[u8], scales: &[u8], out: &mut [f32])
}

#[inline(always)]
fn rotate_body(x: &[f32], matrix: &[u8], scales: &[u8], out: &mut [f32]) {
    if x.is_empty() {
        return;
    }
    let blocks = matrix.as_chunks::<LANES>().0.chunks_exact(x.len());
    let scales = scales.as_chunks::<4>().0;
    for ((block, scales), out) in blocks.zip(scales.chunks(LANES)).zip(out.chunks_mut(LANES)) {
        let mut sums = [0.0f32; LANES];
        for (x, rows) in x.as_chunks::<4>().0.iter().zip(block.as_chunks::<4>().0) {
            prefetch_after(rows, AHEAD);
            for (x, row) in x.iter().zip(rows) {
                for i in 0..LANES {
                    sums[i] += x * f32::from(row[i] as i8);
                }
            }
        }
        for (x, row) in x.as_chunks::<4>().1.iter().zip(block.as_chunks::<4>().1) {
            for i in 0..LANES {
                sums[i] += x * f32::from(row[i] as i8);
            }
        }
        for ((out, sum), scale) in out.iter_mut().zip(sums).zip(scales) {
            *out = sum * f32::from_le_bytes(*scale);
        }
    }
}

widest! {
    /// Position of the centroid with the least `half_norms[c] − ⟨x, c⟩`, the first of equals, and that value.
    ///
    /// Centroids are `[k / 16, d, 16]`, as many as `half_norms` has; 0 and infinity stand for none.
    pub fn nearest = nearest_body(x: &[f32], centroids: &[f32], half_norms: &[f32]) -> (usize, f32)
}

#[inline(always)]
fn nearest_body(x: &[f32], centroids: &[f32], half_norms: &[f32]) -> (usize, f32) {
    let mut least = [f32::INFINITY; LANES];
    let mut place = [0u32; LANES];
    let blocks = centroids.as_chunks::<LANES>().0.chunks_exact(x.len().max(1));
    for (b, (block, norms)) in blocks.zip(half_norms.as_chunks::<LANES>().0).enumerate() {
        let mut sums = *norms;
        for (x, row) in x.iter().zip(block) {
            for i in 0..LANES {
                sums[i] -= x * row[i];
            }
        }
        for i in 0..LANES {
            let less = sums[i] < least[i];
            least[i] = if less { sums[i] } else { least[i] };
            place[i] = if less { b as u32 } else { place[i] };
        }
    }
    let mut best = (0, f32::INFINITY);
    for i in 0..LANES {
        let at = place[i] as usize * LANES + i;
        if least[i] < best.1 || (least[i] == best.1 && least[i] < f32::INFINITY && at < best.0) {
            best = (at, least[i]);
        }
    }
    best
}

widest! {
    /// Squared distance of `x` to a row of half floats, over the shorter length: 16 sums side by side, added at the end.
    pub fn l2_f16 = l2_f16_body(x: &[f32], row: &[u8]) -> f32
}

#[inline(always)]
fn l2_f16_body(x: &[f32], row: &[u8]) -> f32 {
    let row = row.as_chunks::<2>().0;
    let n = x.len().min(row.len());
    let (x, x_tail) = x[..n].as_chunks::<LANES>();
    let (row, row_tail) = row[..n].as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (x, row) in x.iter().zip(row) {
        for i in 0..LANES {
            let d = x[i] - f16::decode(u16::from_le_bytes(row[i]));
            sums[i] += d * d;
        }
    }
    let mut total = fold(sums, |a, b| a + b);
    for (x, h) in x_tail.iter().zip(row_tail) {
        let d = x - f16::decode(u16::from_le_bytes(*h));
        total += d * d;
    }
    total
}

/// 16 values to one, halves onto halves.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], with: impl Fn(f32, f32) -> f32) -> f32 {
    for width in [8, 4, 2, 1] {
        for i in 0..width {
            lanes[i] = with(lanes[i], lanes[i + width]);
        }
    }
    lanes[0]
}

/// Components of part `j` of `m`: the first `d mod m` parts are one longer.
#[inline(always)]
fn part(d: usize, m: usize, j: usize) -> (usize, usize) {
    let (len, longer) = (d / m, d % m);
    (j * len + j.min(longer), len + usize::from(j < longer))
}

widest! {
    /// Squared distances of the `out.len()` parts of `x` to 16 centroids each, packed as f32 `[part, d_part, 16]`.
    ///
    /// The first `d mod m` parts are one longer. Parts missing from `centroids` are left as they were.
    pub fn l2_tables = l2_tables_body(x: &[f32], centroids: &[u8], out: &mut [[f32; 16]])
}

#[inline(always)]
fn l2_tables_body(x: &[f32], centroids: &[u8], out: &mut [[f32; 16]]) {
    let m = out.len();
    tables_of(x, centroids, m, |x, c| (x - c) * (x - c), |j, sums| out[j] = sums);
}

/// [`sums_packed`] of each of `m` parts of `x`, for as many as there are centroids.
#[inline(always)]
fn tables_of(
    x: &[f32],
    centroids: &[u8],
    m: usize,
    term: impl Fn(f32, f32) -> f32,
    mut put: impl FnMut(usize, [f32; LANES]),
) {
    let rows = packed(centroids);
    for j in 0..m {
        let (from, len) = part(x.len(), m, j);
        let (Some(x), Some(rows)) = (x.get(from..from + len), rows.get(from..from + len)) else { return };
        let mut sums = [0.0; LANES];
        for (&x, row) in x.iter().zip(rows) {
            for i in 0..LANES {
                sums[i] += term(x, f32::from_le_bytes(row[i]));
            }
        }
        put(j, sums);
    }
}

widest! {
    /// Inner products of the parts of `x`, with their signs turned: [`l2_tables`] for the largest product.
    pub fn dot_tables = dot_tables_body(x: &[f32], centroids: &[u8], out: &mut [[f32; 16]])
}

#[inline(always)]
fn dot_tables_body(x: &[f32], centroids: &[u8], out: &mut [[f32; 16]]) {
    let m = out.len();
    tables_of(x, centroids, m, |x, c| -(x * c), |j, sums| out[j] = sums);
}

widest! {
    /// Largest difference of two entries of one table; 0 for none.
    pub fn widest_table = widest_table_body(tables: &[[f32; 16]]) -> f32
}

#[inline(always)]
fn widest_table_body(tables: &[[f32; 16]]) -> f32 {
    tables.iter().fold(0.0f32, |most, table| most.max(fold(*table, f32::max) - fold(*table, f32::min)))
}

/// The nearest whole number from 0 to 127. `min` and `max` pass over NaN, which `clamp` would not.
#[inline(always)]
#[expect(clippy::manual_clamp, reason = "NaN")]
fn level(value: f32) -> u8 {
    (value.max(0.0).min(TOP) + MAGIC).to_bits() as u8
}

widest! {
    /// Tables as bytes for [`scan`](super::scan): `min(round((entry − least of its table) · inverse_step), 127)`.
    /// Returns the sum of the least entries.
    ///
    /// Whatever the floats are, entries stay within 0 to 127.
    pub fn level_tables = level_tables_body(tables: &[[f32; 16]], inverse_step: f32, out: &mut [u8]) -> f32
}

#[inline(always)]
fn level_tables_body(tables: &[[f32; 16]], inverse_step: f32, out: &mut [u8]) -> f32 {
    let mut base = 0.0;
    for (table, out) in tables.iter().zip(out.as_chunks_mut::<LANES>().0) {
        let least = fold(*table, f32::min);
        base += least;
        for i in 0..LANES {
            out[i] = level((table[i] - least) * inverse_step);
        }
    }
    base
}

widest! {
    /// [`l2_tables`] as bytes for [`scan`](super::scan), 16 a part: `min(round(distance · inverse_step), 127)`.
    ///
    /// Whatever the floats are, entries stay within 0 to 127.
    pub fn l2_levels = l2_levels_body(x: &[f32], centroids: &[u8], parts: usize, inverse_step: f32, out: &mut [u8])
}

#[inline(always)]
fn l2_levels_body(x: &[f32], centroids: &[u8], parts: usize, inverse_step: f32, out: &mut [u8]) {
    let out = out.as_chunks_mut::<LANES>().0;
    tables_of(
        x,
        centroids,
        parts,
        |x, c| (x - c) * (x - c),
        |j, sums| {
            if let Some(out) = out.get_mut(j) {
                *out = sums.map(|sum| level(sum * inverse_step));
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(seed: u32) -> impl Fn(usize) -> f32 {
        move |i| ((i as u32).wrapping_mul(2_654_435_761) ^ seed) as f32 / u32::MAX as f32 - 0.5
    }

    fn le(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    proptest! {
        #[test]
        fn wide_and_narrow_give_the_same_bits(d in 1usize..70, blocks in 0usize..4, seed in any::<u32>()) {
            let v = value(seed);
            let x: Vec<f32> = (0..d).map(&v).collect();
            let floats: Vec<f32> = (0..blocks * d * LANES).map(|i| v(i + 99)).collect();
            let bytes = le(&floats);
            let k = blocks * LANES;
            let run = |f: fn(&[f32], &[u8], &mut [f32])| { let mut out = vec![7.0; k]; f(&x, &bytes, &mut out); out };
            prop_assert_eq!(run(l2_packed), run(l2_packed_body));
            prop_assert_eq!(run(dots_packed_bytes), run(dots_packed_body));
            for (c, got) in run(l2_packed).iter().enumerate() {
                let at = |j: usize| floats[(c / LANES * d + j) * LANES + c % LANES];
                let want: f64 = (0..d).map(|j| f64::from(x[j] - at(j)).powi(2)).sum();
                prop_assert!((f64::from(*got) - want).abs() <= 1e-6 * (d as f64 + 1.0));
            }
            let norms: Vec<f32> = (0..k).map(|i| v(i + 5).abs()).collect();
            let (at, least) = nearest(&x, &floats, &norms);
            prop_assert_eq!((at, least), nearest_body(&x, &floats, &norms));
            let scores: Vec<f32> = run(dots_packed_bytes).iter().zip(&norms).map(|(s, n)| n - s).collect();
            prop_assert!(scores.iter().all(|s| least <= s + 1e-5) && (k == 0 || (scores[at] - least).abs() < 1e-5));
            let halves = f16::to_bytes(&floats);
            let row = &halves[..halves.len().min(2 * d)];
            prop_assert_eq!(l2_f16(&x, row), l2_f16_body(&x, row));
            let want: f64 = x.iter().zip(f16::from_bytes(row)).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            prop_assert!((f64::from(l2_f16(&x, row)) - want).abs() < 1e-5);
        }

        #[test]
        fn rotations_are_products(d in 1usize..70, seed in any::<u32>()) {
            let v = value(seed);
            let x: Vec<f32> = (0..d).map(&v).collect();
            let rows = d.next_multiple_of(LANES);
            let matrix: Vec<u8> = (0..rows * d).map(|i| (v(i + 3) * 255.0) as i8 as u8).collect();
            let scales: Vec<f32> = (0..d).map(|i| v(i + 1)).collect();
            let (mut got, mut narrow) = (vec![0.0; d], vec![0.0; d]);
            rotate(&x, &matrix, &le(&scales), &mut got);
            rotate_body(&x, &matrix, &le(&scales), &mut narrow);
            prop_assert_eq!(&got, &narrow);
            for (j, got) in got.iter().enumerate() {
                let at = |i: usize| f64::from(matrix[(j / LANES * d + i) * LANES + j % LANES] as i8);
                let want: f64 = (0..d).map(|i| at(i) * f64::from(x[i])).sum::<f64>() * f64::from(scales[j]);
                prop_assert!((f64::from(*got) - want).abs() < 1e-3);
            }
        }

        #[test]
        fn tables_hold_each_distance(d in 1usize..50, parts in 1usize..20, seed in any::<u32>()) {
            let m = parts.min(d);
            let v = value(seed);
            let x: Vec<f32> = (0..d).map(&v).collect();
            let centroids: Vec<f32> = (0..16 * d).map(|i| v(i + 9)).collect();
            let mut tables = vec![[0.0; 16]; m];
            let mut narrow = tables.clone();
            for (wide, body, sign) in [(l2_tables as fn(&[f32], &[u8], &mut [[f32; 16]]), l2_tables_body as fn(&[f32], &[u8], &mut [[f32; 16]]), 1.0), (dot_tables, dot_tables_body, -1.0)] {
                wide(&x, &le(&centroids), &mut tables);
                body(&x, &le(&centroids), &mut narrow);
                prop_assert_eq!(&tables, &narrow);
                let mut seen = 0;
                for (j, table) in tables.iter().enumerate() {
                    let (from, len) = part(d, m, j);
                    seen += len;
                    for (c, got) in table.iter().enumerate() {
                        let terms = (from..from + len).map(|i| {
                            let y = centroids[i * 16 + c];
                            if sign > 0.0 { (x[i] - y).powi(2) } else { -x[i] * y }
                        });
                        prop_assert!((got - terms.sum::<f32>()).abs() < 1e-4);
                    }
                }
                prop_assert_eq!(seen, d);
            }
            let inverse = 100.0;
            l2_tables(&x, &le(&centroids), &mut tables);
            let (mut levels, mut narrow) = (vec![9; m * 16], vec![9; m * 16]);
            l2_levels(&x, &le(&centroids), m, inverse, &mut levels);
            l2_levels_body(&x, &le(&centroids), m, inverse, &mut narrow);
            prop_assert_eq!(&levels, &narrow);
            for (entry, level) in tables.iter().flatten().zip(&levels) {
                prop_assert!(((entry * inverse).min(TOP) - f32::from(*level)).abs() <= 0.51);
            }
            let step = widest_table(&tables) / TOP;
            let mut levels = vec![0; m * 16];
            let base = level_tables(&tables, 1.0 / step, &mut levels);
            for (table, levels) in tables.iter().zip(levels.chunks(16)) {
                let least = table.iter().copied().fold(f32::INFINITY, f32::min);
                for (entry, level) in table.iter().zip(levels) {
                    prop_assert!((least + f32::from(*level) * step - entry).abs() <= step * 0.51);
                }
            }
            prop_assert!((base - tables.iter().map(|t| t.iter().copied().fold(f32::INFINITY, f32::min)).sum::<f32>()).abs() < 1e-3);
        }
    }

    #[test]
    fn no_float_makes_a_level_too_large() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
            let mut table = [0.0; 16];
            table[3] = bad;
            let mut out = [0; 16];
            for step in [1.0, f32::INFINITY, f32::NAN] {
                level_tables(&[table], step, &mut out);
                assert!(out.iter().all(|&l| l <= 127), "{bad} {out:?}");
                l2_levels(&[bad], &[0; 64], 1, step, &mut out);
                assert!(out.iter().all(|&l| l <= 127), "{bad} {out:?}");
            }
        }
    }
}
