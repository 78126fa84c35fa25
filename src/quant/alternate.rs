//! Rotations and product codebooks fitted in turns: what OPQ does with one rotation (Ge, He, Ke and Sun 2013) and
//! transformed residual quantization with one a cell (Yuan and Liu 2015).

use super::kmeans::{KmeansParams, kmeans, lloyd};
use super::rng::Rng;
use super::{codebook, linalg, parallel, part, rotation};
use crate::kernels::{self, rows};

/// How to fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Params {
    /// Parts.
    pub m: usize,
    /// Centroids a part, a multiple of 16.
    pub k: usize,
    /// Rounds of k-means before the turns.
    pub iterations: usize,
    /// Turns of rotations and codebooks.
    pub turns: usize,
    /// Pull of each rotation towards its start: `λ = τ · ‖G‖_* / d`. 0 fits the training vectors alone.
    pub tau: f64,
    pub seed: u64,
}

/// What was fitted.
#[derive(Debug)]
pub(super) struct Fit {
    /// A matrix a cell, columns the axes.
    pub rotations: Vec<Vec<f64>>,
    /// `[k, d_part]` a part.
    pub codebooks: Vec<Vec<f32>>,
    /// Mean squared error after each turn, the first before any.
    pub objective: Vec<f64>,
}

/// Rows of a cell that count as much as all cells together when its covariance is estimated.
const SHRINK: f64 = 200.0;

/// Where each cell's rotation starts: balanced principal axes of its residuals, whose covariance is drawn towards that
/// of all residuals the more, the fewer they are.
pub(super) fn starts(residuals: &[f32], d: usize, cell: &[u32], cells: usize, m: usize) -> Vec<Vec<f64>> {
    let all = rotation::covariance(&residuals.chunks_exact(d).collect::<Vec<_>>(), d);
    parallel::map_long(cells, |c| {
        let mine = rows_of(residuals, d, cell, c as u32);
        let mut covariance = rotation::covariance(&mine, d);
        let n = mine.len();
        let own = n as f64 / (n as f64 + SHRINK);
        for (a, b) in covariance.iter_mut().zip(&all) {
            *a = own * *a + (1.0 - own) * b;
        }
        rotation::balanced(&covariance, d, m)
    })
}

/// Rows that starts are compared on.
const TRIED: usize = 16_384;

/// [`starts`], or no rotation at all where codebooks fitted to the components as they are err less: descriptors such as
/// SIFT come in an order that suits parts, and turns do not find back to it from the principal axes.
pub(super) fn best_starts(
    residuals: &[f32],
    d: usize,
    cell: &[u32],
    cells: usize,
    params: &Params,
) -> Vec<Vec<f64>> {
    let step = cell.len().div_ceil(TRIED).max(1);
    let some: Vec<f32> = residuals.chunks_exact(d).step_by(step).flatten().copied().collect();
    let of: Vec<u32> = cell.iter().step_by(step).copied().collect();
    let tried = Params { turns: 0, iterations: params.iterations.min(6), ..*params };
    let error = |starts: &[Vec<f64>]| fit(&some, d, &of, starts.to_vec(), &tried, &mut |_| ()).objective[0];
    let turned = starts(residuals, d, cell, cells, params.m);
    let plain = vec![identity(d); cells];
    if error(&plain) < error(&turned) { plain } else { turned }
}

/// No rotation.
pub(super) fn identity(d: usize) -> Vec<f64> {
    (0..d * d).map(|i| f64::from(u8::from(i / d == i % d))).collect()
}

/// A codebook a part of turned residuals `[n, d]`, each `[k, d_part]`.
pub(super) fn codebooks(y: &[f32], d: usize, params: &Params) -> Vec<Vec<f32>> {
    let Params { m, k, iterations, seed, .. } = *params;
    let mut rng = Rng::new(seed);
    let seeds: Vec<u64> = (0..m).map(|_| rng.next()).collect();
    parallel::map_long(m, |j| {
        let part = part(d, m, j);
        let points = columns(y, d, part.clone());
        kmeans(&points, part.len(), &KmeansParams { k, iterations, seed: seeds[j] })
    })
}

/// For each cell the mean square of its residuals along each axis of its rotation.
pub(super) fn widths(residuals: &[f32], d: usize, cell: &[u32], rotations: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut sums = vec![vec![0.0; d]; rotations.len()];
    for (y, &cell) in rotated(residuals, d, cell, rotations).chunks_exact(d).zip(cell) {
        sums[cell as usize].iter_mut().zip(y).for_each(|(sum, v)| *sum += f64::from(*v) * f64::from(*v));
    }
    sums
}

/// Fits rotations, from their starts, and codebooks to residuals `[n, d]` of the given cells.
pub(super) fn fit(
    residuals: &[f32],
    d: usize,
    cell: &[u32],
    starts: Vec<Vec<f64>>,
    params: &Params,
    progress: &mut dyn FnMut(f32),
) -> Fit {
    let Params { m, turns, tau, .. } = *params;
    let mut rotations = starts.clone();
    let mut y = rotated(residuals, d, cell, &rotations);
    let mut codebooks = codebooks(&y, d, params);
    progress(1.0 / (turns + 1) as f32);
    let mut decoded = nearest(&y, d, &codebooks);
    let mut objective = vec![mean_error(&y, &decoded, d)];
    for turn in 0..turns {
        rotations = parallel::map_long(starts.len(), |c| {
            turned(residuals, &decoded, d, cell, c as u32, &starts[c], &rotations[c], tau)
        });
        y = rotated(residuals, d, cell, &rotations);
        codebooks = parallel::map_long(m, |j| {
            let part = part(d, m, j);
            let points = columns(&y, d, part.clone());
            let mut centroids = codebooks[j].clone();
            lloyd(&points, part.len(), &mut centroids, 1);
            centroids
        });
        decoded = nearest(&y, d, &codebooks);
        objective.push(mean_error(&y, &decoded, d));
        progress((turn + 2) as f32 / (turns + 1) as f32);
    }
    Fit { rotations, codebooks, objective }
}

/// The best rotation of a cell for codes as they are, drawn towards its start.
#[expect(clippy::too_many_arguments, reason = "one call")]
fn turned(
    residuals: &[f32],
    decoded: &[f32],
    d: usize,
    cell: &[u32],
    c: u32,
    start: &[f64],
    now: &[f64],
    tau: f64,
) -> Vec<f64> {
    let mine = rows_of(residuals, d, cell, c);
    let theirs = rows_of(decoded, d, cell, c);
    if mine.is_empty() {
        return now.to_vec();
    }
    // G = Σ r ŷᵀ
    let mut g = linalg::outer_sum(&mine, &theirs, d);
    if tau > 0.0 {
        let (_, total) = linalg::procrustes(&g, d);
        let pull = tau * total / d as f64;
        for (g, s) in g.iter_mut().zip(start) {
            *g += pull * s;
        }
    }
    linalg::procrustes(&g, d).0
}

/// The rows of a cell.
fn rows_of<'a>(rows: &'a [f32], d: usize, cell: &[u32], c: u32) -> Vec<&'a [f32]> {
    rows.chunks_exact(d).zip(cell).filter_map(|(row, &of)| (of == c).then_some(row)).collect()
}

/// `Rᵀ r` of every row.
fn rotated(residuals: &[f32], d: usize, cell: &[u32], rotations: &[Vec<f64>]) -> Vec<f32> {
    // As packed rows of Rᵀ, which is R read row by row with 16 columns side by side.
    let packed: Vec<Vec<f32>> = rotations
        .iter()
        .map(|r| {
            let t: Vec<f32> = linalg::transpose(r, d).iter().map(|&v| v as f32).collect();
            let mut padded = t;
            padded.resize(d.next_multiple_of(kernels::LANES) * d, 0.0);
            codebook::pack(&padded, d)
        })
        .collect();
    let rows = parallel::map(cell.len(), |i| {
        let mut out = vec![0.0; d.next_multiple_of(kernels::LANES)];
        kernels::dots_packed(&residuals[i * d..][..d], &packed[cell[i] as usize], &mut out);
        out.truncate(d);
        out
    });
    rows.concat()
}

/// Some columns of `[n, d]`, row by row.
pub(super) fn columns(rows: &[f32], d: usize, part: std::ops::Range<usize>) -> Vec<f32> {
    rows.chunks_exact(d).flat_map(|row| &row[part.clone()]).copied().collect()
}

/// Every row's nearest centroids.
fn nearest(y: &[f32], d: usize, codebooks: &[Vec<f32>]) -> Vec<f32> {
    let m = codebooks.len();
    let packed: Vec<(Vec<f32>, Vec<f32>)> = codebooks
        .iter()
        .enumerate()
        .map(|(j, c)| {
            let len = part(d, m, j).len();
            (codebook::pack(c, len), c.chunks_exact(len).map(|c| kernels::dot(c, c) / 2.0).collect())
        })
        .collect();
    let rows = parallel::map(y.len() / d, |i| {
        let mut out = vec![0.0; d];
        for (j, (centroids, half_norms)) in packed.iter().enumerate() {
            let part = part(d, m, j);
            let (best, _) = rows::nearest(&y[i * d..][part.clone()], centroids, half_norms);
            let len = part.len();
            out[part].copy_from_slice(&codebooks[j][best * len..][..len]);
        }
        out
    });
    rows.concat()
}

fn mean_error(y: &[f32], decoded: &[f32], d: usize) -> f64 {
    let sum: f64 =
        y.chunks_exact(d).zip(decoded.chunks_exact(d)).map(|(a, b)| f64::from(kernels::l2(a, b))).sum();
    sum / (y.len() / d).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points of `cells` ellipsoids, each turned its own way.
    pub(in crate::quant) fn turned_cells(
        n: usize,
        d: usize,
        cells: usize,
        seed: u64,
    ) -> (Vec<f32>, Vec<u32>) {
        let mut rng = Rng::new(seed);
        let turns: Vec<Vec<f64>> = (0..cells)
            .map(|_| {
                let g: Vec<f64> = (0..d * d).map(|_| rng.unit() - 0.5).collect();
                linalg::procrustes(&g, d).0
            })
            .collect();
        let mut out = Vec::new();
        let cell: Vec<u32> = (0..n).map(|i| (i % cells) as u32).collect();
        for &c in &cell {
            let z: Vec<f64> = (0..d)
                .map(|i| ((0..6).map(|_| rng.unit()).sum::<f64>() - 3.0) * 0.6f64.powi(i as i32))
                .collect();
            for row in turns[c as usize].chunks_exact(d) {
                out.push(row.iter().zip(&z).map(|(a, b)| a * b).sum::<f64>() as f32);
            }
        }
        (out, cell)
    }

    fn params(turns: usize, tau: f64) -> Params {
        Params { m: 4, k: 16, iterations: 10, turns, tau, seed: 1 }
    }

    #[test]
    fn the_objective_never_rises_without_a_pull() {
        for seed in 0..4 {
            let (rows, cell) = turned_cells(1500, 8, 3, seed);
            let start = starts(&rows, 8, &cell, 3, 4);
            let fit = fit(&rows, 8, &cell, start, &params(8, 0.0), &mut |_| ());
            assert_eq!(fit.objective.len(), 9);
            assert!(fit.objective.windows(2).all(|w| w[1] <= w[0] * (1.0 + 1e-6)), "{:?}", fit.objective);
            assert!(fit.objective[8] < fit.objective[0]);
        }
    }

    #[test]
    fn a_rotation_a_cell_errs_less_than_one_for_all() {
        let (rows, cell) = turned_cells(3000, 8, 3, 9);
        let run = |cell: &[u32], cells| {
            let start = starts(&rows, 8, cell, cells, 4);
            fit(&rows, 8, cell, start, &params(4, 1.0), &mut |_| ()).objective[4]
        };
        let (own, shared) = (run(&cell, 3), run(&vec![0; 3000], 1));
        assert!(own < 0.7 * shared, "{own} {shared}");
    }

    #[test]
    fn components_that_suit_the_parts_are_left_as_they_are() {
        // Two places in each part of two components: one byte holds all there is, until something turns them.
        let mut rng = Rng::new(5);
        let d = 8;
        let pairs: Vec<[f32; 2]> =
            (0..4 * 16).map(|_| [rng.unit() as f32 * 9.0, rng.unit() as f32 * 9.0]).collect();
        let rows: Vec<f32> = (0..1500)
            .flat_map(|_| (0..4).map(|part| (part * 16, (rng.unit() * 16.0) as usize)).collect::<Vec<_>>())
            .flat_map(|(part, which)| pairs[part + which.min(15)])
            .collect();
        let (cell, how) = (vec![0; 1500], params(0, 0.0));
        let error = |start| fit(&rows, d, &cell, start, &how, &mut |_| ()).objective[0];
        let turned = error(starts(&rows, d, &cell, 1, 4));
        let best = error(best_starts(&rows, d, &cell, 1, &how));
        assert!(best < 0.5 * turned, "{best} {turned}");
        // And are turned where that errs less.
        let (rows, cell) = turned_cells(1500, 8, 3, 2);
        assert_eq!(best_starts(&rows, d, &cell, 3, &how), starts(&rows, d, &cell, 3, 4));
    }

    #[test]
    fn a_strong_pull_keeps_the_start() {
        let (rows, cell) = turned_cells(600, 8, 2, 4);
        let start = starts(&rows, 8, &cell, 2, 4);
        let fit = fit(&rows, 8, &cell, start.clone(), &params(3, 1e6), &mut |_| ());
        for (a, b) in fit.rotations.iter().flatten().zip(start.iter().flatten()) {
            assert!((a - b).abs() < 1e-4);
        }
    }
}
