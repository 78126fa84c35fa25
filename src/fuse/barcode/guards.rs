//! Guesses where a symbol begins and ends in a profile: pairs of edges beside which the guard bars fit.

use super::patch::linear;
use super::scan::{Place, blurred};
use super::symbol::Symbol;

/// Samples a module when guards are compared.
const FINE: usize = 3;
/// Most edges of each kind considered, strongest first.
const MAX_EDGES: usize = 48;
/// Least correlation with the guards.
const LEAST: f32 = 0.35;

/// Likely places of `symbol`, best first, at most `count`; `least` is the narrowest module, in samples.
pub(super) fn places(profile: &[f32], symbol: Symbol, least: f32, count: usize) -> Vec<(f32, Place)> {
    let (falling, rising) = edges(profile);
    let templates: Vec<(i32, Vec<f32>)> = symbol
        .guards()
        .iter()
        .map(|&(first, bars)| {
            let sample = |i| blurred(bars, (i as f32 + 0.5) / FINE as f32, 0.55);
            (first, (0..bars.len() * FINE).map(sample).collect())
        })
        .collect();
    let modules = symbol.modules() as f32;
    let mut found: Vec<(f32, Place)> = Vec::new();
    for &start in &falling {
        for &end in &rising {
            let width = (end - start) / modules;
            if width < least {
                continue;
            }
            let place = Place { symbol, start, width, bend: 0.0 };
            found.extend(fit(profile, place, &templates));
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.truncate(count);
    found
}

/// Best bend of a place under its middle guard, and the mean correlation with all guards.
fn fit(profile: &[f32], place: Place, templates: &[(i32, Vec<f32>)]) -> Option<(f32, Place)> {
    let outer = |(first, template): &(i32, Vec<f32>)| correlation(profile, &place, *first as f32, template);
    let (first, last) = (outer(&templates[0]), outer(templates.last()?));
    if first < 0.2 || last < 0.2 || first + last < 2.0 * LEAST {
        return None;
    }
    if templates.len() == 2 {
        return Some(((first + last) / 2.0, place));
    }
    let (module, template) = &templates[1];
    let mut best = (f32::MIN, 0.0);
    for i in -8i32..=8 {
        let offset = i as f32 * 0.4;
        // The middle guard looks the same two modules on where digits end in narrow bars: little bend is likelier.
        let found = correlation(profile, &place, *module as f32 + offset, template) - 0.08 * offset.abs();
        if found > best.0 {
            best = (found, offset);
        }
    }
    let mean = (first + last + best.0) / 3.0;
    let bent = Place { bend: best.1 * place.width, ..place };
    (mean > LEAST).then_some((mean, bent))
}

/// Normalised correlation of darkness with a template that begins at `module`.
fn correlation(profile: &[f32], place: &Place, module: f32, template: &[f32]) -> f32 {
    let n = template.len() as f32;
    let (mut sv, mut svv, mut st, mut stt, mut svt) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (i, &t) in template.iter().enumerate() {
        let v = -linear(profile, place.at(module + (i as f32 + 0.5) / FINE as f32));
        sv += v;
        svv += v * v;
        st += t;
        stt += t * t;
        svt += v * t;
    }
    let spread = (svv - sv * sv / n) * (stt - st * st / n);
    if spread > 1e-3 { (svt - sv * st / n) / spread.sqrt() } else { 0.0 }
}

/// Places of the strongest falling (to a bar) and rising (from a bar) edges, in samples.
fn edges(profile: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let slope: Vec<f32> = profile.windows(3).map(|w| w[2] - w[0]).collect();
    let steepest = slope.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let pick = |sign: f32| {
        let mut found: Vec<(f32, f32)> = Vec::new();
        for (i, w) in slope.windows(3).enumerate() {
            let (a, b, c) = (w[0] * sign, w[1] * sign, w[2] * sign);
            if b > a && b >= c && b > 0.12 * steepest {
                // Top of the parabola through the three slopes.
                let curve = a - 2.0 * b + c;
                let offset = if curve < 0.0 { (a - c) / (2.0 * curve) } else { 0.0 };
                found.push((b, (i + 2) as f32 + offset.clamp(-0.5, 0.5)));
            }
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        found.truncate(MAX_EDGES);
        found.into_iter().map(|(_, at)| at).collect()
    };
    (pick(-1.0), pick(1.0))
}
