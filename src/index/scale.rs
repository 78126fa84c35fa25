//! One factor a row, in one byte, that makes scores of coded rows estimates of the cosine.
//!
//! The factor is `c · ⟨x, x̂⟩^−α`. Both are fitted on rows of the catalogue as queries: α so that the scan finds what
//! exact search finds (it alone changes the order of rows), then c so that the scores of near rows are right.

use crate::kernels::dot;
use crate::quant::parallel;

/// Rows that serve as queries.
const SAMPLE: usize = 192;
/// Neighbours looked at: as many as a search is usually asked for.
const NEAR: usize = 10;
/// Largest row scale a builder writes; far larger ones would let scores overflow.
const MAX_SCALE: f32 = 1e6;
/// Values of c that a builder writes.
const CONSTANT: std::ops::RangeInclusive<f32> = 0.25..=4.0;
/// Values of α tried, 0 to 1 in steps of 1/8.
const STEPS: usize = 8;

/// What the bytes mean: `min + step · byte`, and how the factor of a new row is found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Scales {
    pub min: f32,
    pub step: f32,
    /// α
    pub exponent: f32,
    /// c; 0 stands for α = c = 1, where nobody kept them.
    pub constant: f32,
}

impl Scales {
    pub fn of(self, byte: u8) -> f32 {
        self.min + self.step * f32::from(byte)
    }

    fn spanning(values: &[f32]) -> Self {
        let min = values.iter().copied().fold(f32::INFINITY, f32::min);
        let max = values.iter().copied().fold(0.0, f32::max);
        if min > max { Self::default() } else { Self { min, step: (max - min) / 255.0, ..Self::default() } }
    }

    fn byte(self, scale: f32) -> u8 {
        // A float cast saturates, so no value leaves the byte.
        if self.step > 0.0 { ((scale - self.min) / self.step).round() as u8 } else { 0 }
    }

    /// The byte of a row added after the fit.
    pub fn byte_for(self, row: &[f32], decoded: &[f32]) -> u8 {
        let (exponent, constant) =
            if self.constant > 0.0 { (self.exponent, self.constant) } else { (1.0, 1.0) };
        self.byte(constant * inverse_along(row, decoded).powf(exponent))
    }

    /// Whether a builder writes such.
    pub fn valid(self) -> bool {
        let factors = (0.0..MAX_SCALE).contains(&self.min) && (0.0..MAX_SCALE).contains(&self.step);
        let unknown = self.constant == 0.0 && self.exponent == 0.0;
        factors && (unknown || (0.0..=1.0).contains(&self.exponent) && CONSTANT.contains(&self.constant))
    }
}

/// The factors of all rows.
pub(super) struct RowScales {
    pub scales: Scales,
    pub bytes: Vec<u8>,
    /// α
    pub exponent: f32,
}

impl RowScales {
    /// Factors of `rows` decoded as `decoded`, both `[n, dim]`.
    pub fn fit(rows: &[f32], decoded: &[f32], dim: usize, seed: u64) -> Self {
        let n = rows.len() / dim;
        let inverse: Vec<f32> =
            rows.chunks_exact(dim).zip(decoded.chunks_exact(dim)).map(|(x, y)| inverse_along(x, y)).collect();
        let exponents: Vec<f32> = (0..=STEPS).map(|step| step as f32 / STEPS as f32).collect();
        let factors: Vec<Vec<f32>> =
            exponents.iter().map(|&e| inverse.iter().map(|i| i.powf(e)).collect()).collect();
        let step = n.div_ceil(SAMPLE).max(1);
        let first = (seed % step as u64) as usize;
        let trials = parallel::map((n - first).div_ceil(step), |i| {
            trial(rows, decoded, dim, first + i * step, &factors)
        });
        // Of equal exponents the smallest: it moves scores least.
        let mut best = (0, f64::NEG_INFINITY);
        for e in 0..exponents.len() {
            let found = trials.iter().map(|t| t[e].found).sum();
            if found > best.1 {
                best = (e, found);
            }
        }
        let (along, square) =
            trials.iter().fold((0.0, 0.0), |(a, s), t| (a + t[best.0].along, s + t[best.0].square));
        let constant = if along > 0.0 && square > 0.0 { (along / square) as f32 } else { 1.0 };
        let constant = constant.clamp(*CONSTANT.start(), *CONSTANT.end());
        let wanted: Vec<f32> = factors[best.0].iter().map(|f| f * constant).collect();
        let scales = Scales { exponent: exponents[best.0], constant, ..Scales::spanning(&wanted) };
        let bytes = wanted.iter().map(|&w| scales.byte(w)).collect();
        Self { scales, bytes, exponent: exponents[best.0] }
    }
}

/// `1 / ⟨x, x̂⟩`, kept to a sane range where the code is hopeless.
fn inverse_along(x: &[f32], decoded: &[f32]) -> f32 {
    let along = dot(x, decoded);
    if along > 0.25 { 1.0 / along } else { 4.0 }
}

/// How one query fares with one exponent.
#[derive(Clone, Copy, Default)]
struct Trial {
    /// Share of the exact nearest found, and again 1 if the very nearest comes first.
    found: f64,
    /// Σ exact · estimate and Σ estimate² over the exact nearest, for the least squares of c.
    along: f64,
    square: f64,
}

fn trial(rows: &[f32], decoded: &[f32], dim: usize, from: usize, factors: &[Vec<f32>]) -> Vec<Trial> {
    let query = &rows[from * dim..][..dim];
    let others = |of: &[f32]| -> Vec<(f32, usize)> {
        let scored = of.chunks_exact(dim).map(|x| dot(query, x)).zip(0..);
        scored.filter(|&(_, i)| i != from).collect()
    };
    let (exact, raw) = (nearest(others(rows)), others(decoded));
    let estimates = factors.iter().map(|factor| {
        let estimated: Vec<_> = raw.iter().map(|&(score, i)| (score * factor[i], i)).collect();
        let mut trial = Trial::default();
        for &(score, i) in &exact {
            // `from` itself is not among the others, so those after it lie one place earlier.
            let estimate = f64::from(estimated[i - usize::from(i > from)].0);
            trial.along += f64::from(score) * estimate;
            trial.square += estimate * estimate;
        }
        let got = nearest(estimated);
        let hits = exact.iter().filter(|e| got.iter().any(|g| g.1 == e.1)).count();
        trial.found = hits as f64 / exact.len().max(1) as f64;
        // Equal rows are as near as the nearest.
        if got.first().zip(exact.first()).is_some_and(|(g, e)| exact.iter().any(|x| x.1 == g.1 && x.0 >= e.0))
        {
            trial.found += 1.0;
        }
        trial
    });
    estimates.collect()
}

/// The best few, best first.
fn nearest(mut scored: Vec<(f32, usize)>) -> Vec<(f32, usize)> {
    let order = |a: &(f32, usize), b: &(f32, usize)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    if scored.len() > NEAR {
        scored.select_nth_unstable_by(NEAR, order);
        scored.truncate(NEAR);
    }
    scored.sort_unstable_by(order);
    scored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_bytes_are_within_half_a_step() {
        let scales = Scales::spanning(&[1.0, 1.3, 2.0]);
        for v in [1.0, 1.1, 1.777, 2.0] {
            assert!((scales.of(scales.byte(v)) - v).abs() <= scales.step * 0.501);
        }
        assert_eq!(Scales::spanning(&[1.5]).of(0), 1.5);
    }

    #[test]
    fn order_sets_the_exponent_and_near_scores_the_constant() {
        // Points on a circle, decoded shorter by thirds of them: only α = 1 puts them back in order.
        let rows: Vec<f32> =
            (0..90).flat_map(|i| [(i as f32 * 0.07).cos(), (i as f32 * 0.07).sin()]).collect();
        let shrink = |i: usize| [0.5, 0.6, 0.9][i % 3];
        let shrunk: Vec<f32> =
            rows.chunks(2).enumerate().flat_map(|(i, x)| [x[0] * shrink(i), x[1] * shrink(i)]).collect();
        let fitted = RowScales::fit(&rows, &shrunk, 2, 0);
        assert_eq!(fitted.exponent, 1.0);
        for (i, byte) in fitted.bytes.iter().enumerate() {
            assert!((fitted.scales.of(*byte) * shrink(i) - 1.0).abs() < 0.01);
        }
        // All shorter by the same: no exponent is needed, the constant alone makes scores right.
        let half: Vec<f32> = rows.iter().map(|v| v / 2.0).collect();
        let fitted = RowScales::fit(&rows, &half, 2, 5);
        assert_eq!(fitted.exponent, 0.0);
        assert!(fitted.bytes.iter().all(|&b| (fitted.scales.of(b) - 2.0).abs() < 1e-4));
        // One row has no neighbour to fit on.
        let one = RowScales::fit(&[1.0, 0.0], &[1.0, 0.0], 2, 9);
        assert_eq!(one.scales.of(one.bytes[0]), 1.0);
    }
}
