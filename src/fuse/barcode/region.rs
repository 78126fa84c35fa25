//! Reads one region: guesses the place of the symbol, reads strips of the bars one by one, and lets them vote.

use super::guards;
use super::locate::Region;
use super::luma::Luma;
use super::patch::Patch;
use super::scan::{ALL_BLURS, MIDDLE_BLUR, Place, Scan, Templates};
use super::symbol::{DigitCosts, Symbol};
use crate::fuse::gtin::Gtin;

/// Narrowest module read, in pixels.
const NARROWEST: f32 = 0.7;
/// Places tried a profile, and places followed up a region.
const GUESSES: usize = 16;
const FOLLOWED: usize = 3;
/// Misfit beyond which a guess is dropped.
const ROUGH_MISFIT: f32 = 0.05;

/// What the strips of a region say together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vote {
    pub gtin: Gtin,
    symbol: Symbol,
    /// Log-likelihood ratio of this number to the next best.
    margin: f32,
    /// Log-likelihood ratio of the best digits, check digit or not, to this number.
    strain: f32,
    /// Mean misfit of the strips that agree.
    misfit: f32,
    /// Strips read, and strips that alone give the same number.
    strips: usize,
    agreeing: usize,
    /// Strongest mark in the quiet zones, in units of the contrast; mean of the strips that agree.
    noise: f32,
    /// Corners of the box around the bars, in pixels: left, top, right, bottom.
    pub bounds: [f32; 4],
}

impl Vote {
    /// Whether the strips agree enough to trust the number. The strain refuses what only the check digit or the order
    /// of the number sets forbids. The short symbols need more of everything: they hold less redundancy, and parts of
    /// an EAN-13 can look like one but for their quiet zones.
    fn accepted(&self) -> bool {
        let sure = self.margin - self.strain;
        let quiet = self.noise < 0.4;
        match self.symbol {
            Symbol::Ean13 => sure > 20.0 && self.strain < 12.0 && self.agreeing >= 2 && self.misfit < 0.009,
            Symbol::Ean8 => {
                let most = self.agreeing * 2 >= self.strips;
                sure > 90.0 && self.strain < 8.0 && most && self.misfit < 0.007 && quiet
            }
            Symbol::UpcE => {
                sure > 55.0 && self.strain < 8.0 && self.agreeing >= 3 && self.misfit < 0.007 && quiet
            }
        }
    }
}

/// A symbol guessed at: where, in which direction, how well it fits.
struct Guess {
    place: Place,
    backwards: bool,
    misfit: f32,
}

/// The number in a region, if one is read beyond doubt.
pub(super) fn read(luma: &Luma, region: &Region, templates: &Templates) -> Option<Vote> {
    let patch = Patch::sample(luma, region);
    let profiles = profiles(&patch);
    // The long symbol first: it contains look-alikes of the others.
    for (symbol, followed) in [(Symbol::Ean13, 3), (Symbol::Ean8, 1), (Symbol::UpcE, 1)] {
        let guesses = guess(&patch, &profiles, symbol, followed, templates);
        let votes = guesses.iter().filter_map(|g| vote(&patch, region, g, templates));
        let best = votes.max_by(|a, b| a.margin.total_cmp(&b.margin));
        if let Some(vote) = best.filter(Vote::accepted) {
            return Some(vote);
        }
    }
    None
}

/// Means of all rows and of each third of them, forwards and backwards.
fn profiles(patch: &Patch) -> Vec<[Vec<f32>; 2]> {
    let third = patch.rows / 3;
    let mut profiles = vec![patch.mean(0, patch.rows)];
    if third >= 2 {
        profiles.extend((0..3).map(|i| patch.mean(i * third, (i + 1) * third)));
    }
    let both = |forwards: Vec<f32>| {
        let backwards = forwards.iter().rev().copied().collect();
        [forwards, backwards]
    };
    profiles.into_iter().map(both).collect()
}

/// The best `count` guesses at a symbol over all profiles.
fn guess(
    patch: &Patch,
    profiles: &[[Vec<f32>; 2]],
    symbol: Symbol,
    count: usize,
    templates: &Templates,
) -> Vec<Guess> {
    let least = NARROWEST / patch.step;
    let mut guesses: Vec<Guess> =
        profiles.iter().flat_map(|both| guess_symbol(both, symbol, least, templates)).collect();
    guesses.retain(|g| g.misfit < ROUGH_MISFIT);
    guesses.sort_by(|a, b| a.misfit.total_cmp(&b.misfit));
    guesses.truncate(count);
    guesses
}

/// Guesses at one symbol in one profile, given forwards and backwards.
fn guess_symbol(both: &[Vec<f32>; 2], symbol: Symbol, least: f32, templates: &Templates) -> Vec<Guess> {
    let mut rough = Vec::new();
    for (_, place) in guards::places(&both[0], symbol, least, GUESSES) {
        rough.push((templates.fit(&both[0], place, MIDDLE_BLUR, 2), false));
        if symbol != Symbol::UpcE {
            let place = place.reversed(both[0].len());
            rough.push((templates.fit(&both[1], place, MIDDLE_BLUR, 2), true));
        }
    }
    if symbol == Symbol::UpcE {
        for (_, place) in guards::places(&both[1], symbol, least, GUESSES) {
            rough.push((templates.fit(&both[1], place, MIDDLE_BLUR, 2), true));
        }
    }
    rough.sort_by(|a, b| a.0.misfit.total_cmp(&b.0.misfit));
    rough.truncate(FOLLOWED);
    let refine = |(scan, backwards): (Scan, bool)| {
        let scan = templates.fit(&both[usize::from(backwards)], scan.place, ALL_BLURS, 2);
        Guess { place: scan.place, backwards, misfit: scan.misfit }
    };
    rough.into_iter().map(refine).collect()
}

fn vote(patch: &Patch, region: &Region, guess: &Guess, templates: &Templates) -> Option<Vote> {
    let strips = (patch.rows / 3).clamp(1, 10);
    let symbol = guess.place.symbol;
    let scans: Vec<(Scan, f32)> = (0..strips)
        .map(|i| {
            let mut profile = patch.mean(i * patch.rows / strips, (i + 1) * patch.rows / strips);
            if guess.backwards {
                profile.reverse();
            }
            let scan = templates.fit(&profile, guess.place, ALL_BLURS, 3);
            let noise = scan.place.quiet_zone_noise(&profile);
            (scan, noise)
        })
        .collect();
    let module = guess.place.width * patch.step;
    let mut costs: Vec<DigitCosts> = vec![[[0.0; 10]; 2]; symbol.digits()];
    for (scan, _) in &scans {
        // Samples closer than a pixel say the same thing twice.
        let independent = (module / 4.0).min(1.0);
        let weight = independent / (2.0 * scan.misfit.max(0.004));
        for (sum, cost) in costs.iter_mut().zip(&scan.costs) {
            for (s, c) in sum.as_flattened_mut().iter_mut().zip(cost.as_flattened()) {
                *s += c * weight;
            }
        }
    }
    let joint = symbol.read(&costs)?;
    let free: f32 =
        costs.iter().map(|c| c.as_flattened().iter().copied().fold(f32::INFINITY, f32::min)).sum();
    let agrees = |scan: &Scan| symbol.read(&scan.costs).is_some_and(|r| r.gtin == joint.gtin);
    let agreeing: Vec<&(Scan, f32)> = scans.iter().filter(|(scan, _)| agrees(scan)).collect();
    let mean = |of: fn(&(Scan, f32)) -> f32| {
        agreeing.iter().map(|s| of(s)).sum::<f32>() / agreeing.len().max(1) as f32
    };
    let (a, b) = (guess.place.at(0.0), guess.place.at(symbol.modules() as f32));
    let last = patch.columns as f32 - 1.0;
    let (a, b) = if guess.backwards { (last - b, last - a) } else { (a, b) };
    Some(Vote {
        gtin: joint.gtin,
        symbol,
        margin: joint.margin,
        strain: joint.cost - free,
        misfit: mean(|s| s.0.misfit),
        strips,
        agreeing: agreeing.len(),
        noise: mean(|s| s.1),
        bounds: region.bounds(a * patch.step - patch.half, b * patch.step - patch.half),
    })
}
