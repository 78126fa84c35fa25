//! Codebooks in two levels: 256 centroids in 16 families of 16. The high half of a code names the family, whose mean is
//! a centroid of a 4-bit code; the low half names the member. One byte serves a fast scan and an exact second look.
//!
//! The 256 centroids are those of plain k-means, so nothing is lost at the second level; families are a balanced
//! clustering of them, which costs the first level a little.

use super::kmeans::{KmeansParams, kmeans};
use crate::kernels;

/// Families, and members of each.
pub(super) const FAMILIES: usize = 16;
/// Centroids of both levels.
pub(super) const MEMBERS: usize = FAMILIES * FAMILIES;
/// Sweeps of exchanges between families; they rarely take more than a few.
const SWEEPS: usize = 12;

/// Order of 256 centroids `[256, d]` such that each 16 are a family, and the families' means `[16, d]`.
///
/// `weights` counts the points of each centroid.
pub(super) fn families(centroids: &[f32], d: usize, weights: &[f64], seed: u64) -> (Vec<usize>, Vec<f32>) {
    let at = |c: usize| &centroids[c * d..][..d];
    let mut means = kmeans(centroids, d, &KmeansParams { k: FAMILIES, iterations: 10, seed });
    let mut family = vec![0; MEMBERS];
    for _ in 0..3 {
        // Weighted squared distance of each centroid to each mean, `[256, 16]`; half a point for those without any.
        let cost: Vec<f64> = (0..MEMBERS * FAMILIES)
            .map(|i| {
                let (c, f) = (i / FAMILIES, i % FAMILIES);
                f64::from(kernels::l2(at(c), &means[f * d..][..d])) * (weights[c] + 0.5)
            })
            .collect();
        family = dealt(&cost);
        exchange(&cost, &mut family);
        means = family_means(centroids, d, weights, &family);
    }
    let mut order: Vec<usize> = (0..MEMBERS).collect();
    // Members by distance to their mean, so that equal inputs give equal orders.
    order.sort_by(|&a, &b| {
        let key = |c: usize| kernels::l2(at(c), &means[family[c] * d..][..d]);
        family[a].cmp(&family[b]).then(key(a).total_cmp(&key(b))).then(a.cmp(&b))
    });
    (order, means)
}

/// Each centroid to the nearest family with room, those first that lose most by waiting.
fn dealt(cost: &[f64]) -> Vec<usize> {
    let mut family = vec![usize::MAX; MEMBERS];
    let mut room = [FAMILIES; FAMILIES];
    for _ in 0..MEMBERS {
        // The loss of a centroid: how much farther its second choice is.
        let mut best: Option<(f64, usize, usize)> = None;
        for c in (0..MEMBERS).filter(|&c| family[c] == usize::MAX) {
            // Whatever the distances are, it is a family with room.
            let (mut first, mut second) = ((f64::INFINITY, usize::MAX), f64::INFINITY);
            for f in (0..FAMILIES).filter(|&f| room[f] > 0) {
                let distance = cost[c * FAMILIES + f];
                if distance < first.0 || first.1 == usize::MAX {
                    second = first.0;
                    first = (distance, f);
                } else {
                    second = second.min(distance);
                }
            }
            let loss = if second.is_finite() { second - first.0 } else { 0.0 };
            if best.is_none_or(|b| loss > b.0) {
                best = Some((loss, c, first.1));
            }
        }
        if let Some((_, c, f)) = best {
            family[c] = f;
            room[f] -= 1;
        }
    }
    family
}

/// Exchanges two centroids between families as long as that lowers the weighted error.
fn exchange(cost: &[f64], family: &mut [usize]) {
    for _ in 0..SWEEPS {
        let mut changed = false;
        for a in 0..MEMBERS {
            for b in a + 1..MEMBERS {
                let (fa, fb) = (family[a], family[b]);
                let now = cost[a * FAMILIES + fa] + cost[b * FAMILIES + fb];
                let then = cost[a * FAMILIES + fb] + cost[b * FAMILIES + fa];
                if fa != fb && then < now * (1.0 - 1e-9) {
                    family.swap(a, b);
                    changed = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
}

fn family_means(centroids: &[f32], d: usize, weights: &[f64], family: &[usize]) -> Vec<f32> {
    let mut sums = vec![0.0f64; FAMILIES * d];
    let mut totals = [0.0; FAMILIES];
    for (c, &f) in family.iter().enumerate() {
        // Half a point for centroids without any, so that no family has weight 0.
        let weight = weights[c] + 0.5;
        totals[f] += weight;
        for (sum, v) in sums[f * d..][..d].iter_mut().zip(&centroids[c * d..]) {
            *sum += weight * f64::from(*v);
        }
    }
    (0..FAMILIES * d).map(|i| (sums[i] / totals[i / d]) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::rng::Rng;

    #[test]
    fn every_family_has_16_members_near_its_mean() {
        let mut rng = Rng::new(5);
        let centroids: Vec<f32> = (0..MEMBERS * 2).map(|_| rng.unit() as f32).collect();
        let (order, means) = families(&centroids, 2, &vec![1.0; MEMBERS], 3);
        let mut seen = order.clone();
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..MEMBERS));
        let error: f32 = order
            .iter()
            .enumerate()
            .map(|(i, &c)| kernels::l2(&centroids[c * 2..][..2], &means[i / 16 * 2..][..2]))
            .sum::<f32>()
            / MEMBERS as f32;
        // Sixteen squares of side 1/4 err by 2/12/16 = 0.0104 on average.
        assert!(error < 0.014, "{error}");
    }

    #[test]
    fn repeated_centroids_are_dealt_too() {
        let (order, means) = families(&[0.5; MEMBERS], 1, &[0.0; MEMBERS], 1);
        assert_eq!((order.len(), means), (MEMBERS, vec![0.5; FAMILIES]));
    }
}
