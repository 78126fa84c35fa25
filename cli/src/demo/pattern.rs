//! Backgrounds of packages.

use super::pictogram::{self, Picture};
use super::rng::Rng;
use crate::canvas::{Canvas, Ink, Rgb};

/// What covers the ground of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    Plain,
    Fade,
    Stripes,
    Slanted,
    Dots,
    Waves,
    Rays,
    Chevrons,
    Checks,
    Bubbles,
    Hills,
    Sprigs,
}

impl Pattern {
    pub(crate) const ALL: &'static [Self] = &[
        Self::Plain,
        Self::Fade,
        Self::Stripes,
        Self::Slanted,
        Self::Dots,
        Self::Waves,
        Self::Rays,
        Self::Chevrons,
        Self::Checks,
        Self::Bubbles,
        Self::Hills,
        Self::Sprigs,
    ];
}

/// Covers `(x, y, w, h)` with a colour and the pattern in shades of it; `second` appears in patterns of two colours.
pub(crate) fn cover(
    c: &mut Canvas,
    pattern: Pattern,
    [x, y, w, h]: [f32; 4],
    ground: Rgb,
    second: Rgb,
    seed: u64,
) {
    let shade = if ground.lightness() > 0.5 { ground.darker(0.13) } else { ground.lighter(0.16) };
    let mut rng = Rng::numbered(seed, 5);
    c.rect([x, y, w, h], Ink::vertical(y, y + h, ground.lighter(0.06), ground.darker(0.08)));
    let (right, bottom, middle) = (x + w, y + h, (x + w / 2.0, y + h * 0.5));
    match pattern {
        Pattern::Plain => {}
        Pattern::Fade => c.rect([x, y, w, h], Ink::vertical(y + h * 0.25, bottom, ground, second)),
        Pattern::Stripes => {
            let step = 18.0;
            for i in 0..(w / step / 2.0) as usize + 1 {
                c.rect([x + i as f32 * step * 2.0, y, step, h], shade);
            }
        }
        Pattern::Slanted => {
            let (step, lean) = (34.0, h * 0.6);
            let mut at = x - lean;
            while at < right {
                c.poly(
                    &[(at + lean, y), (at + lean + step * 0.5, y), (at + step * 0.5, bottom), (at, bottom)],
                    shade,
                );
                at += step;
            }
        }
        Pattern::Dots => {
            let step = 24.0;
            for row in 0..(h / step) as usize + 2 {
                for column in 0..(w / step) as usize + 2 {
                    let shift = if row % 2 == 0 { 0.0 } else { step / 2.0 };
                    c.circle(x + column as f32 * step + shift, y + row as f32 * step, 5.5, shade);
                }
            }
        }
        Pattern::Waves => {
            for i in 0..(h / 26.0) as usize + 2 {
                let base = y + i as f32 * 26.0;
                let points: Vec<_> = (0..=(w / 8.0) as usize + 1)
                    .map(|k| (x + k as f32 * 8.0, base + 6.0 * libm::sinf(k as f32 * 0.55 + i as f32)))
                    .collect();
                c.line(&points, 5.0, shade);
            }
        }
        Pattern::Rays => {
            let far = w + h;
            for i in 0..14 {
                c.about(middle.0, middle.1, far, i as f32 * 360.0 / 14.0, |c| {
                    c.poly(&[(0.0, 0.0), (1.0, -0.112), (1.0, 0.112)], shade);
                });
            }
        }
        Pattern::Chevrons => {
            for i in 0..(h / 40.0) as usize + 2 {
                let base = y + i as f32 * 40.0;
                for k in 0..(w / 60.0) as usize + 1 {
                    let left = x + k as f32 * 60.0;
                    c.line(&[(left, base), (left + 30.0, base - 20.0), (left + 60.0, base)], 8.0, shade);
                }
            }
        }
        Pattern::Checks => {
            let step = 30.0;
            for row in 0..(h / step) as usize + 1 {
                for column in (row % 2..(w / step) as usize + 1).step_by(2) {
                    let (cx, cy) = (x + column as f32 * step, y + row as f32 * step);
                    c.rect([cx, cy, step, step], shade);
                }
            }
        }
        Pattern::Bubbles => {
            for _ in 0..(w * h / 2600.0) as usize {
                let (bx, by, r) = (rng.between(x, right), rng.between(y, bottom), rng.between(4.0, 22.0));
                c.circle(bx, by, r, Ink::Flat(shade, 0.7));
            }
        }
        Pattern::Hills => {
            for (i, at) in [0.52f32, 0.66, 0.8].iter().enumerate() {
                let tone = ground.mix(second, 0.28 + 0.26 * i as f32);
                let phase = rng.between(0.0, 6.0);
                let mut points: Vec<_> = (0..=24)
                    .map(|k| {
                        let t = k as f32 / 24.0;
                        (x + t * w, y + h * (at + 0.05 * libm::sinf(t * w / 60.0 + phase)))
                    })
                    .collect();
                points.extend([(right, bottom), (x, bottom)]);
                c.poly(&points, tone);
            }
        }
        Pattern::Sprigs => {
            let picture = if rng.chance(0.5) { Picture::Leaf } else { Picture::Star };
            for row in 0..(h / 58.0) as usize + 2 {
                for column in 0..(w / 64.0) as usize + 2 {
                    let at = (x + column as f32 * 64.0 + (row % 2) as f32 * 32.0, y + row as f32 * 58.0);
                    pictogram::draw(c, picture, at, 13.0, rng.between(-40.0, 40.0), shade);
                }
            }
        }
    }
}
