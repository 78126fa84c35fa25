//! Lloyd's k-means with k-means++ seeding (Arthur and Vassilvitskii 2007) and repair of empty clusters.
//!
//! Assignment runs in parallel and is pure a row; sums run in row order in f64. So the same seed gives the same
//! centroids on any number of threads.

use super::codebook::pack;
use super::parallel;
use super::rng::Rng;
use crate::kernels::{self, LANES, rows};

/// How to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KmeansParams {
    /// Centroids, a multiple of 16.
    pub k: usize,
    /// Most rounds of assignment and update.
    pub iterations: usize,
    /// Fixes every choice.
    pub seed: u64,
}

/// Points that k-means++ looks at for each centroid: more hardly betters the seeds and costs as much as a round.
const SEED_POINTS: usize = 32;
/// Most centroids seeded by k-means++, whose cost grows with their square; more are drawn at random.
const MAX_CAREFUL: usize = 256;
/// Rounds stop when the error falls by less than this share.
const ENOUGH: f64 = 1e-4;

/// Centroids of `points`, shape `[n, d]`, as `[k, d]`. With fewer distinct points than `k`, some repeat.
///
/// Points are taken as finite; `points` empty gives zeros.
pub fn kmeans(points: &[f32], d: usize, params: &KmeansParams) -> Vec<f32> {
    let k = params.k.next_multiple_of(LANES);
    let n = points.len().checked_div(d).unwrap_or(0);
    if n == 0 {
        return vec![0.0; k * d];
    }
    let mut rng = Rng::new(params.seed);
    let mut centroids = seeds(points, d, k, &mut rng);
    let mut last = f64::INFINITY;
    for _ in 0..params.iterations {
        let error = lloyd(points, d, &mut centroids, 1);
        if error >= last * (1.0 - ENOUGH) {
            break;
        }
        last = error;
    }
    centroids
}

/// k-means++ on a sample: each next seed is drawn with probability proportional to its squared distance.
fn seeds(points: &[f32], d: usize, k: usize, rng: &mut Rng) -> Vec<f32> {
    let n = points.len() / d;
    if k > MAX_CAREFUL && n >= k {
        return rng.sample(n, k).into_iter().flat_map(|i| &points[i * d..][..d]).copied().collect();
    }
    let sample = rng.sample(n, k * SEED_POINTS);
    let row = |i: usize| &points[sample[i] * d..][..d];
    let mut out = Vec::with_capacity(k * d);
    out.extend(row(rng.below(sample.len())));
    let mut distance = vec![f32::INFINITY; sample.len()];
    while out.len() < k * d {
        let newest = &out[out.len() - d..];
        for (i, best) in distance.iter_mut().enumerate() {
            *best = best.min(kernels::l2(row(i), newest));
        }
        let total: f64 = distance.iter().map(|&v| f64::from(v)).sum();
        let mut left = rng.unit() * total;
        // Rounding may leave a little: then the last with any distance, or, if all are seeds already, any.
        let mut chosen = distance.iter().rposition(|&v| v > 0.0).unwrap_or(0);
        for (i, &v) in distance.iter().enumerate() {
            left -= f64::from(v);
            if left < 0.0 {
                chosen = i;
                break;
            }
        }
        out.extend(row(chosen));
    }
    out
}

/// Nearest centroid of each point and the squared distance to it.
fn assign(points: &[f32], d: usize, centroids: &[f32]) -> Vec<(u32, f32)> {
    let packed = pack(centroids, d);
    let half_norms: Vec<f32> = centroids.chunks_exact(d).map(|c| kernels::dot(c, c) / 2.0).collect();
    parallel::map(points.len() / d, |i| {
        let x = &points[i * d..][..d];
        // |x − c|² / 2 without the constant |x|².
        let (best, _) = rows::nearest(x, &packed, &half_norms);
        (best as u32, kernels::l2(x, &centroids[best * d..][..d]))
    })
}

/// Rounds of assignment and update from given centroids, `[k, d]` with `k` a multiple of 16. Returns the squared error
/// before the last update.
pub(super) fn lloyd(points: &[f32], d: usize, centroids: &mut [f32], rounds: usize) -> f64 {
    let mut error = 0.0;
    for _ in 0..rounds {
        let nearest = assign(points, d, centroids);
        update(points, d, &nearest, centroids);
        error = nearest.iter().map(|a| f64::from(a.1)).sum();
    }
    error
}

/// Moves each centroid to the mean of its points; an empty one goes to the point worst served.
fn update(points: &[f32], d: usize, nearest: &[(u32, f32)], centroids: &mut [f32]) {
    let k = centroids.len() / d;
    let mut sums = vec![0.0f64; k * d];
    let mut counts = vec![0u32; k];
    for (x, &(c, _)) in points.chunks_exact(d).zip(nearest) {
        counts[c as usize] += 1;
        for (s, v) in sums[c as usize * d..][..d].iter_mut().zip(x) {
            *s += f64::from(*v);
        }
    }
    let mut worst: Vec<usize> = Vec::new();
    if counts.contains(&0) {
        worst = (0..nearest.len()).filter(|&i| nearest[i].1 > 0.0).collect();
        // Farthest last; of equals the first row is taken.
        worst.sort_by(|&a, &b| nearest[a].1.total_cmp(&nearest[b].1).then(b.cmp(&a)));
    }
    for (c, &count) in counts.iter().enumerate() {
        let centroid = &mut centroids[c * d..][..d];
        if count > 0 {
            for (v, s) in centroid.iter_mut().zip(&sums[c * d..]) {
                *v = (s / f64::from(count)) as f32;
            }
        } else if let Some(i) = worst.pop() {
            centroid.copy_from_slice(&points[i * d..][..d]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(k: usize) -> KmeansParams {
        KmeansParams { k, iterations: 20, seed: 7 }
    }

    #[test]
    fn finds_separate_clusters() {
        // 16 clusters on a circle, 50 points each, noise far below their spacing.
        let mut rng = Rng::new(1);
        let mut points = Vec::new();
        for i in 0..800 {
            let angle = (i % 16) as f32 / 16.0 * std::f32::consts::TAU;
            points.push(10.0 * angle.cos() + rng.unit() as f32 * 0.1);
            points.push(10.0 * angle.sin() + rng.unit() as f32 * 0.1);
        }
        let centroids = kmeans(&points, 2, &params(16));
        let error: f32 = assign(&points, 2, &centroids).iter().map(|a| a.1).sum::<f32>() / 800.0;
        assert!(error < 0.01, "{error}");
    }

    #[test]
    fn fewer_points_than_centroids_are_met_exactly() {
        let points = [0.0, 1.0, 2.0, 5.0, 5.0];
        let centroids = kmeans(&points, 1, &params(16));
        assert_eq!(centroids.len(), 16);
        assert!(assign(&points, 1, &centroids).iter().all(|a| a.1 == 0.0));
        assert!(kmeans(&[], 3, &params(16)).iter().all(|&c| c == 0.0));
    }

    #[test]
    fn an_empty_cluster_moves_to_the_point_worst_served() {
        let points = [0.0, 0.1, 9.0];
        let mut centroids = [0.0, 100.0];
        update(&points, 1, &[(0, 0.0), (0, 0.01), (0, 81.0)], &mut centroids);
        assert_eq!(centroids[1], 9.0);
    }

    #[cfg(feature = "build")]
    #[test]
    fn threads_do_not_matter() {
        let mut rng = Rng::new(5);
        let points: Vec<f32> = (0..3000 * 5).map(|_| rng.unit() as f32).collect();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| kmeans(&points, 5, &params(64)))
        };
        assert_eq!(run(1), run(4));
    }
}
