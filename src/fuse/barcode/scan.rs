//! Reads one profile of brightness across the bars by matching blurred digits.
//!
//! At one to two pixels a module, bars and spaces are no longer seen one by one, so no edges are counted: each digit
//! is matched whole, as a blurred template (after Gallo and Manduchi, "Reading 1D Barcodes with Mobile Phones Using
//! Deformable Templates", 2011). In these symbols every digit begins and ends beside known colours, so its template
//! does not depend on its neighbours.

use std::ops::Range;

use super::patch::linear;
use super::symbol::{DIGIT, DigitCosts, Symbol, digit_bits};

/// Samples a module.
const FINE: usize = 4;
/// Samples a digit.
const SPAN: usize = DIGIT * FINE;
/// Blurs tried, as the deviation of a Gaussian in modules.
const BLURS: [f32; 5] = [0.12, 0.3, 0.5, 0.75, 1.05];
/// All of [`BLURS`], and one in the middle for a first look.
pub(super) const ALL_BLURS: Range<usize> = 0..BLURS.len();
pub(super) const MIDDLE_BLUR: Range<usize> = 2..3;
/// Quiet modules kept on both sides of a resampled symbol.
const QUIET: usize = 4;
/// Farthest a digit may lie from its place, in samples.
const SHIFT: isize = 2;

/// A digit as it looks under blur.
struct Template {
    values: [f32; SPAN],
    sum: f32,
    squares: f32,
}

/// Templates by blur, set and digit.
pub(super) struct Templates {
    digits: Vec<[[Template; 10]; 3]>,
}

/// Where a symbol lies in a profile: module `m` of `modules` is at `start + width * m + bend * 4 t (1 - t)`,
/// t = m / modules, in samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub symbol: Symbol,
    pub start: f32,
    pub width: f32,
    pub bend: f32,
}

/// How a profile fits at one place.
pub(super) struct Scan {
    pub place: Place,
    pub costs: Vec<DigitCosts>,
    /// Mean squared misfit of the best digits, check digit or not, in units of the squared contrast.
    pub misfit: f32,
}

impl Templates {
    pub fn new() -> Self {
        let set = |blur: f32, set: usize| {
            std::array::from_fn(|digit| {
                // A digit of a left half follows a bar and comes before a space; of a right half the reverse.
                let (before, after) = if set < 2 { (1, 0) } else { (0, 1) };
                let mut bars = vec![before];
                bars.extend(digit_bits(set, digit));
                bars.push(after);
                let values: [f32; SPAN] =
                    std::array::from_fn(|i| blurred(&bars, 1.0 + (i as f32 + 0.5) / FINE as f32, blur));
                let sum = values.iter().sum();
                let squares = values.iter().map(|v| v * v).sum();
                Template { values, sum, squares }
            })
        };
        Self { digits: BLURS.iter().map(|&blur| [set(blur, 0), set(blur, 1), set(blur, 2)]).collect() }
    }

    /// Fits digits to `profile` at `place`, moving and bending the place in `rounds`, over all `blurs`.
    pub fn fit(&self, profile: &[f32], place: Place, blurs: Range<usize>, rounds: usize) -> Scan {
        let (mut place, mut blurs) = (place, blurs);
        let mut best = Scan { place, costs: Vec::new(), misfit: f32::INFINITY };
        for round in 0..rounds.max(1) {
            let samples = place.resample(profile);
            let mut moves = Vec::new();
            let mut least = f32::INFINITY;
            for blur in blurs.clone() {
                let (scan, shifts) = self.fit_once(&samples, place, blur);
                if scan.misfit < least {
                    least = scan.misfit;
                    moves = shifts;
                    blurs = blur.saturating_sub(1).max(blurs.start)..(blur + 2).min(blurs.end);
                    if scan.misfit < best.misfit {
                        best = scan;
                    }
                }
            }
            if round + 1 < rounds {
                place = place.fitted(&moves);
            }
        }
        best
    }

    /// The fit, and how far the best digits lie from their places: (middle module, samples of the profile).
    fn fit_once(&self, samples: &[f32], place: Place, blur: usize) -> (Scan, Vec<(f32, f32)>) {
        let digits = place.symbol.digits();
        let (mut costs, mut moves) = (Vec::with_capacity(digits), Vec::with_capacity(digits));
        let mut total = 0.0;
        for (module, right) in place.symbol.places() {
            let (cost, shift) = self.digit_costs(samples, module, right, blur);
            let best = (0..20).min_by(|&a, &b| cost.as_flattened()[a].total_cmp(&cost.as_flattened()[b]));
            let best = best.unwrap_or(0);
            total += cost.as_flattened()[best];
            let moved = f32::from(shift.as_flattened()[best]) / FINE as f32 * place.width;
            moves.push((module as f32 + DIGIT as f32 / 2.0, moved));
            costs.push(cost);
        }
        let misfit = total / (digits * SPAN) as f32;
        (Scan { place, costs, misfit }, moves)
    }

    /// Cost of each digit at a place (the least over small shifts), and the shift of each.
    fn digit_costs(
        &self,
        samples: &[f32],
        module: usize,
        right: bool,
        blur: usize,
    ) -> (DigitCosts, [[i8; 10]; 2]) {
        let at = (module + QUIET) * FINE;
        let near = &samples[at - SPAN.min(at)..(at + 2 * SPAN).min(samples.len())];
        let (low, high) = near.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
        let contrast = (high - low).max(4.0);
        let mut costs = [[f32::INFINITY; 10]; 2];
        let mut shifts = [[0i8; 10]; 2];
        for shift in -SHIFT..=SHIFT {
            let from = (at as isize + shift) as usize;
            // Darkness in units of the contrast.
            let seen: [f32; SPAN] = std::array::from_fn(|i| (high - samples[from + i]) / contrast);
            let sum: f32 = seen.iter().sum();
            let squares: f32 = seen.iter().map(|v| v * v).sum();
            let farther = (shift * shift) as f32 * SHIFT_COST;
            let sets: &[usize] = if right { &[2] } else { &[0, 1] };
            for (row, &set) in sets.iter().enumerate() {
                for (digit, template) in self.digits[blur][set].iter().enumerate() {
                    let cost = template.misfit(&seen, sum, squares) + farther;
                    if cost < costs[row][digit] {
                        costs[row][digit] = cost;
                        shifts[row][digit] = shift as i8;
                    }
                }
            }
        }
        (costs, shifts)
    }
}

/// Cost of a digit one sample from its place.
const SHIFT_COST: f32 = 0.03;

impl Template {
    /// Squared misfit after the best gain (within limits) and offset.
    fn misfit(&self, seen: &[f32; SPAN], sum: f32, squares: f32) -> f32 {
        let n = SPAN as f32;
        // Four sums side by side, so that the compiler can use vector registers.
        let mut lanes = [0.0f32; 4];
        for (a, b) in seen.as_chunks::<4>().0.iter().zip(self.values.as_chunks::<4>().0) {
            lanes.iter_mut().zip(a).zip(b).for_each(|((lane, a), b)| *lane += a * b);
        }
        let product: f32 = lanes.iter().sum();
        let covariance = product - sum * self.sum / n;
        let spread = self.squares - self.sum * self.sum / n;
        let gain = (covariance / spread).clamp(0.75, 1.5);
        let seen_spread = squares - sum * sum / n;
        (seen_spread - 2.0 * gain * covariance + gain * gain * spread).max(0.0)
    }
}

/// Darkness at `x` modules of `bars` seen through a Gaussian; the colour goes on beyond both ends.
pub(super) fn blurred(bars: &[u8], x: f32, sigma: f32) -> f32 {
    let step = |edge: f32| 1.0 / (1.0 + (-1.702 * (x - edge) / sigma).exp());
    let mut value = f32::from(bars[0]);
    for (i, pair) in bars.windows(2).enumerate() {
        value += (f32::from(pair[1]) - f32::from(pair[0])) * step((i + 1) as f32);
    }
    value
}

impl Place {
    /// Sample at module `m`.
    pub fn at(&self, m: f32) -> f32 {
        let t = m / self.symbol.modules() as f32;
        self.start + self.width * m + self.bend * 4.0 * t * (1.0 - t)
    }

    fn resample(&self, profile: &[f32]) -> Vec<f32> {
        let count = (self.symbol.modules() + 2 * QUIET) * FINE;
        let module = |i: usize| (i as f32 + 0.5) / FINE as f32 - QUIET as f32;
        (0..count).map(|i| linear(profile, self.at(module(i)))).collect()
    }

    /// Darkest mark in the five modules before and after the symbol, in units of its contrast; 1 where the profile
    /// ends before them.
    pub fn quiet_zone_noise(&self, profile: &[f32]) -> f32 {
        let modules = self.symbol.modules();
        let range = |from: f32, to: f32| {
            let count = ((to - from) * 2.0) as usize;
            let samples = (0..=count).map(|i| linear(profile, self.at(from + i as f32 / 2.0)));
            samples.fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(v), h.max(v)))
        };
        let end = modules as f32;
        if self.at(-6.0) < 0.0 || self.at(end + 6.0) > (profile.len() - 1) as f32 {
            return 1.0;
        }
        let (low, high) = range(0.0, end);
        let (before, after) = (range(-6.0, -1.0), range(end + 1.0, end + 6.0));
        (before.1 - before.0).max(after.1 - after.0) / (high - low).max(4.0)
    }

    /// The place moved by a least-squares parabola through the shifts found.
    fn fitted(&self, shifts: &[(f32, f32)]) -> Self {
        let modules = self.symbol.modules() as f32;
        // Normal equations of shift = a + b t + c 4t(1-t), t in 0..1, with a little pull of c to 0.
        let mut m = [[0.0f32; 4]; 3];
        for &(module, shift) in shifts {
            let t = module / modules;
            let basis = [1.0, t, 4.0 * t * (1.0 - t)];
            for (row, bi) in m.iter_mut().zip(basis) {
                row.iter_mut().zip(basis).for_each(|(v, bj)| *v += bi * bj);
                row[3] += bi * shift;
            }
        }
        m[2][2] += 0.2;
        let Some([a, b, c]) = solve(m) else { return *self };
        Self { start: self.start + a, width: self.width + b / modules, bend: self.bend + c, ..*self }
    }

    /// The same symbol in the profile read backwards.
    pub fn reversed(&self, samples: usize) -> Self {
        let end = self.start + self.width * self.symbol.modules() as f32;
        Self { start: (samples - 1) as f32 - end, bend: -self.bend, ..*self }
    }
}

fn solve(mut m: [[f32; 4]; 3]) -> Option<[f32; 3]> {
    for i in 0..3 {
        if m[i][i].abs() < 1e-6 {
            return None;
        }
        let pivot = m[i];
        for (r, row) in m.iter_mut().enumerate() {
            if r != i {
                let factor = row[i] / pivot[i];
                row.iter_mut().zip(pivot).for_each(|(v, p)| *v -= factor * p);
            }
        }
    }
    Some([m[0][3] / m[0][0], m[1][3] / m[1][1], m[2][3] / m[2][2]])
}
