//! Packages of paper, card and foil; `round` has those of tin, glass and plastic.

use tiny_skia::{Pixmap, Transform};

use super::artwork;
use super::back;
use super::catalogue::Design;
use super::rng::Rng;
use super::round;
use super::words::Pack;
use crate::canvas::{Canvas, Ink, Rgb, polygon};
use crate::lettering::{Align, Face};

/// Which side of a package is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Front,
    Back,
}

/// A package cut out of its ground.
pub(crate) struct Sprite {
    pub pixmap: Pixmap,
    /// Its outline in pixels.
    pub outline: Vec<(f32, f32)>,
}

/// Draws a package as seen when turned about its upright axis by some degrees, at `scale` pixels a unit.
pub(crate) fn render(d: &Design, side: Side, turned: f32, scale: f32) -> Sprite {
    match d.pack {
        Pack::Box | Pack::WideBox | Pack::Carton => card(d, side, turned, scale),
        Pack::Bag | Pack::Pouch | Pack::Bar => foil(d, side, turned, scale),
        _ => round::render(d, side, turned, scale),
    }
}

/// Prints a flat side.
fn print(c: &mut Canvas, d: &Design, side: Side, sheet: [f32; 4], panel: [f32; 4]) {
    artwork::ground(c, d, sheet);
    match side {
        Side::Front => artwork::front(c, d, panel),
        Side::Back => back::back(c, d, panel),
    }
}

fn white(alpha: f32, at: f32) -> (f32, Rgb, f32) {
    (at, Rgb::WHITE, alpha)
}

fn black(alpha: f32, at: f32) -> (f32, Rgb, f32) {
    (at, Rgb::BLACK, alpha)
}

/// A carton box, or a drink carton with a gable.
fn card(d: &Design, side: Side, turned: f32, scale: f32) -> Sprite {
    let (w, h) = d.extent;
    let (sin, cos) = libm::sincosf(turned.abs().min(50.0) * (std::f32::consts::PI / 180.0));
    let depth = if d.pack == Pack::Carton { w * 0.9 } else { (w * 0.28).min(90.0) };
    let (front, flank) = (w * cos, depth * sin);
    // turned to the right shows the left flank
    let start = if turned > 0.0 { flank } else { 0.0 };
    let mut c = Canvas::new(front + flank, h, scale);
    let gable = if d.pack == Pack::Carton { h * 0.17 } else { 0.0 };
    let (ground, second) = artwork::colours(d);
    c.under(Transform::from_row(cos, 0.0, 0.0, 1.0, start, 0.0), |c| {
        print(c, d, side, [0.0, 0.0, w, h], [0.0, gable, w, h - gable]);
        let lamp = vec![white(0.16, 0.0), white(0.0, 0.35), black(0.0, 0.6), black(0.12, 1.0)];
        c.rect([0.0, 0.0, w, h], Ink::Linear((0.0, 0.0), (w, h * 0.3), lamp));
        if gable > 0.0 {
            fold_gable(c, d, [0.0, 0.0, w, gable], ground);
        }
    });
    if flank > 0.5 {
        let x = if turned > 0.0 { 0.0 } else { front };
        c.rect([x, 0.0, flank, h], ground.darker(0.32));
        c.rect([x, h * 0.3, flank, h * 0.5], Rgb(226, 224, 218));
        for row in 0..10 {
            c.rect(
                [
                    x + flank * 0.14,
                    h * (0.34 + 0.04 * row as f32),
                    flank * (0.7 - 0.07 * (row % 3) as f32),
                    h * 0.012,
                ],
                Rgb(120, 118, 116),
            );
        }
        c.rect([x, h * 0.86, flank, h * 0.05], second.darker(0.3));
        c.rect([x, 0.0, flank, h], Ink::Flat(Rgb::BLACK, 0.1));
    }
    let edge = if turned > 0.0 { start } else { front };
    c.line(&[(edge, 0.0), (edge, h)], 1.2, Ink::Flat(Rgb::WHITE, 0.35));
    c.line(&[(0.0, h - 0.6), (front + flank, h - 0.6)], 1.6, Ink::Flat(Rgb::BLACK, 0.22));
    c.line(&[(0.0, 0.6), (front + flank, 0.6)], 1.2, Ink::Flat(Rgb::WHITE, 0.3));
    let (right, inset) = (front + flank, if gable > 0.0 { (front + flank) * 0.03 } else { 0.0 });
    let shape = [(inset, 0.0), (right - inset, 0.0), (right, gable), (right, h), (0.0, h), (0.0, gable)];
    cut(c, &shape, scale)
}

/// The ridge, the slope and the screw cap of a drink carton.
fn fold_gable(c: &mut Canvas, d: &Design, [x, y, w, h]: [f32; 4], ground: Rgb) {
    let ridge = h * 0.3;
    c.rect([x, y, w, ridge], Ink::vertical(y, y + ridge, ground.lighter(0.3), ground));
    c.rect([x, y + ridge, w, h - ridge], Ink::Flat(Rgb::WHITE, 0.2));
    c.line(&[(x, y + ridge), (x + w, y + ridge)], 1.4, Ink::Flat(Rgb::BLACK, 0.3));
    c.line(&[(x, y + h), (x + w, y + h)], 1.4, Ink::Flat(Rgb::BLACK, 0.25));
    for side in [x + w * 0.02, x + w * 0.98] {
        c.poly(
            &[(side, y + h), (x + w / 2.0 + (side - x - w / 2.0) * 0.82, y + ridge), (side, y + ridge)],
            Ink::Flat(Rgb::BLACK, 0.12),
        );
    }
    let (cx, cy, r) = (x + w * 0.5, y + h * 0.64, w * 0.14);
    let cap = d.flavour.accent.mix(d.style.secondary, 0.3);
    c.oval(cx, cy + 2.0, r, r * 0.62, Ink::Flat(Rgb::BLACK, 0.3));
    c.oval(cx, cy, r, r * 0.6, cap.darker(0.2));
    c.oval(cx, cy - r * 0.16, r * 0.94, r * 0.5, cap);
}

/// A pillow bag, a standing pouch or a wrapped bar.
fn foil(d: &Design, side: Side, turned: f32, scale: f32) -> Sprite {
    let (w, h) = d.extent;
    let (_, cos) = libm::sincosf(turned * (std::f32::consts::PI / 180.0));
    let mut rng = Rng::numbered(d.seed, 21);
    let mut c = Canvas::new(w * cos, h, scale);
    let seal = match d.pack {
        Pack::Bag => h * 0.055,
        Pack::Pouch => h * 0.09,
        _ => h * 0.045,
    };
    let shape: Vec<(f32, f32)> =
        silhouette(d.pack, w, h, seal, &mut rng).iter().map(|&(x, y)| (x * cos, y)).collect();
    c.under(Transform::from_scale(cos, 1.0), |c| {
        print(
            c,
            d,
            side,
            [0.0, 0.0, w, h],
            [w * 0.05, seal, w * 0.9, h - seal * if d.pack == Pack::Pouch { 1.2 } else { 2.0 }],
        );
        creases(c, d.pack, w, h, seal, &mut rng);
    });
    cut(c, &shape, scale)
}

fn silhouette(pack: Pack, w: f32, h: f32, seal: f32, rng: &mut Rng) -> Vec<(f32, f32)> {
    let mut left = vec![];
    let steps = 16;
    for i in 0..=steps {
        let t = i as f32 / steps as f32;
        let bulge = libm::sinf(t * std::f32::consts::PI);
        let wobble = rng.between(-0.5, 0.5);
        let inset = match pack {
            Pack::Bag => 8.0 * (1.0 - bulge) * if (0.05..0.95).contains(&t) { 1.0 } else { 0.4 },
            Pack::Pouch => 5.0 * (1.0 - t),
            _ => 1.0,
        };
        left.push(((inset + wobble).max(0.0), t * h));
    }
    let right: Vec<_> = left.iter().rev().map(|&(x, y)| (w - x, y)).collect();
    let mut shape = left;
    shape.extend(right);
    if matches!(pack, Pack::Bag | Pack::Bar) {
        // the saw edge of a cut seal, along the top
        let teeth = (w / 6.0) as usize;
        let saw = (0..teeth)
            .rev()
            .map(|i| (w * (i as f32 + 0.5) / teeth as f32, if i % 2 == 0 { 0.0 } else { seal * 0.16 }));
        shape.extend(saw);
    }
    shape
}

/// Light and shade of foil: crimped seals, folds running from the corners, a sheen down the middle.
fn creases(c: &mut Canvas, pack: Pack, w: f32, h: f32, seal: f32, rng: &mut Rng) {
    let sheen = vec![
        black(0.3, 0.0),
        white(0.05, 0.14),
        white(0.3, 0.3),
        white(0.0, 0.5),
        black(0.06, 0.75),
        black(0.36, 1.0),
    ];
    c.rect([0.0, 0.0, w, h], Ink::Linear((0.0, 0.0), (w, h * 0.04), sheen));
    let folds = if pack == Pack::Bar { 4 } else { 14 };
    for i in 0..folds {
        let top = i % 2 == 0;
        let x = rng.between(0.04, 0.96) * w;
        let (y0, long) =
            if top { (seal, rng.between(0.06, 0.22) * h) } else { (h - seal, -rng.between(0.06, 0.2) * h) };
        let lean = rng.between(-16.0, 16.0);
        let ink = if rng.chance(0.5) { white(0.3, 0.0) } else { black(0.26, 0.0) };
        let fade = vec![ink, (1.0, ink.1, 0.0)];
        c.poly(
            &[(x - 6.0, y0), (x + 6.0, y0), (x + lean, y0 + long)],
            Ink::Linear((x, y0), (x, y0 + long), fade),
        );
    }
    let seals: &[f32] = if pack == Pack::Pouch { &[0.0] } else { &[0.0, h - seal] };
    for &y in seals {
        c.rect([0.0, y, w, seal], Ink::Flat(Rgb::WHITE, 0.2));
        let mut line = y + 2.0;
        while line < y + seal {
            c.line(&[(0.0, line), (w, line)], 0.9, Ink::Flat(Rgb::BLACK, 0.16));
            line += 3.0;
        }
    }
    if pack == Pack::Pouch {
        c.rect([0.0, seal, w, 2.0], Ink::Flat(Rgb::BLACK, 0.25));
        let bottom = vec![black(0.0, 0.0), black(0.3, 1.0)];
        c.rect([0.0, h * 0.93, w, h * 0.07], Ink::Linear((0.0, h * 0.93), (0.0, h), bottom));
        c.text(
            Face::Condensed,
            "OPEN HERE",
            seal * 0.3,
            w * 0.5,
            seal * 0.62,
            Align::Centre,
            Ink::Flat(Rgb::BLACK, 0.45),
        );
    }
}

/// Cuts a shape out and keeps its outline in pixels.
fn cut(mut c: Canvas, shape: &[(f32, f32)], scale: f32) -> Sprite {
    if let Some(path) = polygon(shape) {
        c.keep_inside(&path);
    }
    Sprite { pixmap: c.into_pixmap(), outline: shape.iter().map(|&(x, y)| (x * scale, y * scale)).collect() }
}
