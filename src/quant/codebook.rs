//! Centroids interleaved for [`kernels::dots_packed`](crate::kernels::dots_packed).

use crate::kernels::LANES;

/// `[k, d]` to `[k / LANES, d, LANES]`; `k` is a multiple of `LANES`.
pub(super) fn pack(centroids: &[f32], d: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(centroids.len());
    for block in centroids.chunks_exact((d * LANES).max(1)) {
        for j in 0..d {
            out.extend((0..LANES).map(|lane| block[lane * d + j]));
        }
    }
    out
}

/// Position of component `j` of centroid `c` in a packed codebook.
pub(super) fn packed_at(c: usize, j: usize, d: usize) -> usize {
    (c / LANES * d + j) * LANES + c % LANES
}

/// Squared lengths of packed centroids, `[k]`.
pub(super) fn norms(packed: &[f32], d: usize) -> Vec<f32> {
    let k = packed.len().checked_div(d).unwrap_or(0);
    let at = |c, j| packed[packed_at(c, j, d)];
    (0..k).map(|c| (0..d).map(|j| at(c, j) * at(c, j)).sum()).collect()
}

/// Whether a quantizer may have this many centroids a codebook: a power of two from 16 to 256.
pub(super) fn valid_k(k: usize) -> bool {
    k.is_power_of_two() && (LANES..=256).contains(&k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_each_component() {
        let (k, d) = (32, 3);
        let centroids: Vec<f32> = (0..k * d).map(|i| i as f32).collect();
        let packed = pack(&centroids, d);
        for c in 0..k {
            for j in 0..d {
                assert_eq!(packed[packed_at(c, j, d)], centroids[c * d + j]);
            }
        }
        assert_eq!(norms(&packed, d)[1], 9.0 + 16.0 + 25.0);
    }
}
