//! Coarse centroids, their cells, a rotation a cell, shared codebooks.

use super::{Levels, MAX_LISTS, TRQ_HEADER_LEN, Trq, turn};
use crate::kernels::{LANES, f16, rows, scan::MAX_TABLES};
use crate::quant::alternate::{self, Params, columns};
use crate::quant::codebook::pack;
use crate::quant::kmeans::{KmeansParams, kmeans, lloyd};
use crate::quant::rng::Rng;
use crate::quant::{TrainError, check_training, nested, parallel, part, reflections, rotation};
use std::borrow::Cow;

/// How to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrqParams {
    /// Coarse centroids, 1 to 65,536; rounded up to a multiple of 16 beyond 1.
    pub lists: usize,
    /// Rotations, at most as many as lists; 0 leaves vectors unturned. Each costs about d² bytes.
    pub cells: usize,
    /// Reflections that each rotation is made of, as many as components if more: each costs d bytes, where a whole rotation
    /// costs d², and lays one more of the cell's widest axes. 0 keeps rotations whole.
    pub reflections: usize,
    /// Parts: 1 to the dimension, at most 512.
    pub m: usize,
    /// What is coded.
    pub levels: Levels,
    /// Most rounds of k-means, coarse and in parts.
    pub iterations: usize,
    /// Turns in which rotations and codebooks are fitted to one another. More always fit the training vectors better;
    /// unseen ones only while cells have many vectors.
    pub turns: usize,
    /// Pull of rotations towards their start, τ; 0 for none.
    pub tau: f64,
    /// Most vectors to train on; a sample is drawn beyond.
    pub max_points: usize,
    /// Fixes every choice.
    pub seed: u64,
}

impl Default for TrqParams {
    fn default() -> Self {
        Self {
            lists: 1024,
            cells: 64,
            reflections: 0,
            m: 64,
            levels: Levels::Two,
            iterations: 12,
            turns: 2,
            tau: 2.0,
            max_points: 131_072,
            seed: 1,
        }
    }
}

/// A quantizer and how its training went.
#[derive(Debug)]
pub struct Trained {
    /// The quantizer.
    pub trq: Trq<'static>,
    /// Mean squared error of residuals, in [`Trq::unit`]s, before the first turn and after each.
    pub objective: Vec<f64>,
}

impl Trq<'static> {
    /// Trains on `vectors`, shape `[n, dim]`. `progress` is told the share done.
    ///
    /// # Errors
    /// [`TrainError`]
    pub fn train(
        vectors: &[f32],
        dim: usize,
        params: &TrqParams,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Trained, TrainError> {
        check_training(vectors, dim, 16)?;
        let max = dim.min(MAX_TABLES);
        if params.m == 0 || params.m > max {
            return Err(TrainError::Parts { parts: params.m, max });
        }
        let (lists, cells) = (params.lists, params.cells);
        let count = if cells == 0 { 0 } else { params.reflections.min(dim) };
        if lists == 0 || lists > MAX_LISTS || cells > lists {
            return Err(TrainError::Lists { lists, cells });
        }
        let mut rng = Rng::new(params.seed);
        let sample = rng.sample(vectors.len() / dim, params.max_points.max(1));
        let mut points: Vec<f32> = sample.iter().flat_map(|&i| &vectors[i * dim..][..dim]).copied().collect();
        let unit = root_mean_square(&points);
        let kept = if params.levels == Levels::Kept { kept_frame(&points, dim) } else { Vec::new() };
        points.iter_mut().for_each(|v| *v /= unit);

        let coarse = coarse(&points, dim, params, rng.next());
        progress(0.3);
        let lists = coarse.len() / dim;
        let (coarse, starts) = grouped(coarse, dim, cells.min(lists), params.iterations, rng.next());
        let cells = starts.len() - 1;
        let list = assigned(&points, dim, &coarse);
        let mut residuals = points.clone();
        for (row, &list) in residuals.chunks_exact_mut(dim).zip(&list) {
            row.iter_mut().zip(&coarse[list as usize * dim..]).for_each(|(r, c)| *r -= c);
        }
        let cell_of = |list: u32| starts.partition_point(|&s| s <= list).max(1) - 1;
        let cell: Vec<u32> = list.iter().map(|&l| if cells == 0 { 0 } else { cell_of(l) as u32 }).collect();
        let k = if params.levels == Levels::One { LANES } else { nested::MEMBERS };
        let m = params.m;
        let how = fit_params(params, k, cells, rng.next());
        let begin = if cells == 0 {
            vec![alternate::identity(dim)]
        } else {
            alternate::best_starts(&residuals, dim, &cell, cells, &how)
        };
        let mut fit = alternate::fit(&residuals, dim, &cell, begin, &how, &mut |s| progress(0.3 + 0.5 * s));

        // From here on what is stored counts: rotations of bytes, turned centroids of half floats.
        let rotations: Vec<Vec<u8>> = match count {
            0 => fit.rotations.iter().map(|r| rotation::store(r, dim)).collect(),
            _ => alternate::widths(&residuals, dim, &cell, &fit.rotations)
                .iter()
                .zip(&fit.rotations)
                .map(|(variance, r)| reflections::store(r, variance, dim, count))
                .collect(),
        };
        let turned_in = |cell: u32, x: &[f32], out: &mut [f32]| {
            let stored = (cells > 0).then(|| rotations[cell as usize].as_slice());
            turn(stored, count, x, out);
        };
        let mut turned = vec![0.0; lists * dim];
        for (l, out) in turned.chunks_exact_mut(dim).enumerate() {
            turned_in(if cells == 0 { 0 } else { cell_of(l as u32) as u32 }, &coarse[l * dim..][..dim], out);
        }
        let turned = f16::to_bytes(&turned);
        let y: Vec<f32> = parallel::map(list.len(), |i| {
            let mut y = vec![0.0; dim];
            turned_in(cell[i], &points[i * dim..][..dim], &mut y);
            let centroid = f16::from_bytes(&turned[list[i] as usize * dim * 2..][..dim * 2]);
            y.iter_mut().zip(centroid).for_each(|(y, c)| *y -= c);
            y
        })
        .concat();
        drop((points, residuals));
        if count > 0 {
            // The axes that no reflection laid are not where the codebooks were fitted.
            fit.codebooks = alternate::codebooks(&y, dim, &how);
        }
        let seed = rng.next();
        let books = parallel::map_long(m, |j| {
            Book::new(&y, dim, part(dim, m, j), fit.codebooks[j].clone(), params.levels, seed)
        });
        progress(0.95);

        let mut bytes = header(dim, params, lists, cells, count, unit);
        if cells == 0 {
            bytes.extend([0; 4]);
        } else {
            bytes.extend(starts.iter().flat_map(|s| s.to_le_bytes()));
        }
        let mut padded = coarse;
        padded.resize(lists.next_multiple_of(LANES) * dim, 0.0);
        bytes.extend(pack(&padded, dim).iter().flat_map(|v| v.to_le_bytes()));
        bytes.extend(&turned);
        if cells > 0 {
            rotations.iter().for_each(|r| bytes.extend(r));
        }
        books.iter().for_each(|b| bytes.extend(b.parents.iter().flat_map(|v| v.to_le_bytes())));
        books.iter().for_each(|b| bytes.extend(&b.members));
        if params.levels == Levels::Three {
            let error = left_over(&y, dim, &books);
            bytes.extend(error.iter().flat_map(|e| (e * STEP_OF_DEVIATION).to_le_bytes()));
        }
        bytes.extend(kept.iter().flat_map(|v| v.to_le_bytes()));
        let (levels, reflections) = (params.levels, count);
        let trq = Trq { dim, m, lists, cells, reflections, levels, unit, bytes: Cow::Owned(bytes) };
        progress(1.0);
        Ok(Trained { trq, objective: fit.objective })
    }
}

/// The step of a uniform quantizer of 16 levels that errs least on a normal distribution of deviation 1 (Max 1960).
const STEP_OF_DEVIATION: f32 = 0.3352;

fn fit_params(params: &TrqParams, k: usize, cells: usize, seed: u64) -> Params {
    // Without rotations there is nothing to take turns with: the rounds go to k-means.
    let turns = if cells == 0 { 0 } else { params.turns };
    Params { m: params.m, k, iterations: params.iterations, turns, tau: params.tau, seed }
}

fn header(
    dim: usize,
    params: &TrqParams,
    lists: usize,
    cells: usize,
    reflections: usize,
    unit: f32,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(TRQ_HEADER_LEN);
    // Each was checked to be far below 2^32.
    out.extend(
        [dim, params.m, lists, cells, params.levels as usize].iter().flat_map(|v| (*v as u32).to_le_bytes()),
    );
    out.extend(unit.to_le_bytes());
    out.extend((reflections as u32).to_le_bytes());
    out.extend([0; 4]);
    out
}

/// What vectors are kept relative to, so that half floats hold them well wherever they lie: their middle in units of their
/// deviation, `[d]`, then that unit. The unit is a power of two and the middle whole, so small whole numbers stay whole.
fn kept_frame(points: &[f32], dim: usize) -> Vec<f32> {
    let rows = points.len() / dim;
    let mut middle = vec![0.0f64; dim];
    for x in points.chunks_exact(dim) {
        middle.iter_mut().zip(x).for_each(|(m, &x)| *m += f64::from(x) / rows as f64);
    }
    let apart: Vec<f32> = points
        .chunks_exact(dim)
        .flat_map(|x| x.iter().zip(&middle).map(|(&x, m)| (f64::from(x) - m) as f32))
        .collect();
    // So large that the middle is a whole number that f32 holds: what is finer was lost in the vectors already.
    let far = middle.iter().fold(0.0f64, |far, m| far.max(m.abs())) as f32 / (1 << 23) as f32;
    let unit = root_mean_square(&apart).max(far).to_bits() & 0x7f80_0000;
    // From 2⁻⁹⁹ to 2⁹⁹, as units are.
    let unit = f32::from_bits(unit.clamp(28 << 23, 226 << 23));
    middle.iter().map(|m| (m / f64::from(unit)).round() as f32).chain([unit]).collect()
}

/// So that whatever the vectors' scale, half floats hold their parts.
fn root_mean_square(values: &[f32]) -> f32 {
    let sum: f64 = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    let unit = (sum / values.len().max(1) as f64).sqrt() as f32;
    if unit > 0.0 && unit.is_finite() { unit.clamp(1e-30, 9e29) } else { 1.0 }
}

fn coarse(points: &[f32], d: usize, params: &TrqParams, seed: u64) -> Vec<f32> {
    if params.lists == 1 {
        let mut mean = vec![0.0f64; d];
        for row in points.chunks_exact(d) {
            mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v));
        }
        let n = (points.len() / d) as f64;
        return mean.iter().map(|m| (m / n) as f32).collect();
    }
    kmeans(points, d, &KmeansParams { k: params.lists, iterations: params.iterations, seed })
}

/// Coarse centroids ordered so that those of a cell follow one another, and where each cell starts.
fn grouped(coarse: Vec<f32>, d: usize, cells: usize, iterations: usize, seed: u64) -> (Vec<f32>, Vec<u32>) {
    let lists = coarse.len() / d;
    if cells <= 1 {
        return (coarse, if cells == 0 { vec![0] } else { vec![0, lists as u32] });
    }
    let centres = kmeans(&coarse, d, &KmeansParams { k: cells, iterations, seed });
    let cell = assigned(&coarse, d, &centres[..cells * d]);
    let mut order: Vec<usize> = (0..lists).collect();
    order.sort_by_key(|&l| (cell[l], l));
    let mut starts = vec![0; cells + 1];
    cell.iter().for_each(|&c| starts[c as usize + 1] += 1);
    for c in 0..cells {
        starts[c + 1] += starts[c];
    }
    (order.iter().flat_map(|&l| &coarse[l * d..][..d]).copied().collect(), starts)
}

/// The nearest centroid of each row.
fn assigned(points: &[f32], d: usize, centroids: &[f32]) -> Vec<u32> {
    let k = centroids.len() / d;
    let mut padded = centroids.to_vec();
    padded.resize(k.next_multiple_of(LANES) * d, 0.0);
    let packed = pack(&padded, d);
    let mut norms: Vec<f32> = centroids.chunks_exact(d).map(|c| crate::kernels::dot(c, c) / 2.0).collect();
    norms.resize(k.next_multiple_of(LANES), f32::INFINITY);
    parallel::map(points.len() / d, |i| rows::nearest(&points[i * d..][..d], &packed, &norms).0 as u32)
}

/// The codebooks of one part as stored.
struct Book {
    part: std::ops::Range<usize>,
    /// Packed `[d_part, 16]`.
    parents: Vec<f32>,
    /// Half floats `[256, d_part]`; none at level 1.
    members: Vec<u8>,
}

impl Book {
    /// Two last rounds of k-means on what is stored, then, from level 2 on, families.
    fn new(
        y: &[f32],
        d: usize,
        part: std::ops::Range<usize>,
        mut centroids: Vec<f32>,
        levels: Levels,
        seed: u64,
    ) -> Self {
        let len = part.len();
        let points = columns(y, d, part.clone());
        lloyd(&points, len, &mut centroids, 2);
        if levels == Levels::One {
            return Self { part, parents: pack(&centroids, len), members: Vec::new() };
        }
        let mut weights = vec![0.0; nested::MEMBERS];
        assigned(&points, len, &centroids).iter().for_each(|&c| weights[c as usize] += 1.0);
        let (order, means) = nested::families(&centroids, len, &weights, seed);
        let members: Vec<f32> = order.iter().flat_map(|&c| &centroids[c * len..][..len]).copied().collect();
        Self { part, parents: pack(&means, len), members: f16::to_bytes(&members) }
    }
}

/// Deviation of each component from its code of level 2.
fn left_over(y: &[f32], d: usize, books: &[Book]) -> Vec<f32> {
    let parts = parallel::map_long(books.len(), |j| {
        let Book { part, members, .. } = &books[j];
        let (len, members) = (part.len(), f16::from_bytes(members));
        let points = columns(y, d, part.clone());
        let mut squares = vec![0.0f64; len];
        for (x, c) in points.chunks_exact(len).zip(assigned(&points, len, &members)) {
            for ((s, x), c) in squares.iter_mut().zip(x).zip(&members[c as usize * len..]) {
                *s += f64::from(x - c) * f64::from(x - c);
            }
        }
        let n = (points.len() / len) as f64;
        squares.iter().map(|s| (s / n).sqrt() as f32).collect::<Vec<_>>()
    });
    parts.concat()
}
