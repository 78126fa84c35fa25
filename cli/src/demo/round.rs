//! Bodies of revolution, drawn pixel by pixel: the label bends round the body, turns with it and takes its light.

use tiny_skia::{Pixmap, PremultipliedColorU8, Transform};

use super::artwork;
use super::back;
use super::catalogue::Design;
use super::package::{Side, Sprite};
use super::words::Pack;
use crate::canvas::{Canvas, Rgb};

/// How far the camera looks down: half the height of a lid's ellipse over half its width.
const TILT: f32 = 0.075;
/// Half the angle of a label's whole sheet.
const REACH: f32 = 2.1;

#[derive(Clone, Copy, Debug)]
enum Zone {
    Label,
    Metal,
    Plastic(Rgb),
    /// A screw cap with ridges.
    Cap(Rgb),
    /// Glass or clear plastic over its contents.
    Clear(Rgb),
}

struct Body {
    /// Height and radius as fractions of the height and of half the width, top to bottom.
    profile: Vec<(f32, f32)>,
    /// Where each zone ends.
    zones: Vec<(f32, Zone)>,
    lid: Zone,
    /// The radius at `STEPS + 1` even heights.
    table: Vec<f32>,
}

const STEPS: usize = 1024;

fn body(d: &Design) -> Body {
    let mut body = shape(d);
    body.table = (0..=STEPS).map(|i| body.exact_radius(i as f32 / STEPS as f32)).collect();
    body
}

fn shape(d: &Design) -> Body {
    let accent = d.flavour.accent;
    let cap = d.style.secondary.mix(accent, 0.25);
    let content = match d.line.noun {
        "Honey" => Rgb(226, 150, 30),
        "Spread" => Rgb(92, 52, 30),
        "Spring Water" => Rgb(206, 228, 240),
        "Soda" if d.flavour.name.starts_with("Col") => Rgb(52, 26, 18),
        "Pasta Sauce" => accent.mix(Rgb(190, 50, 30), 0.6),
        _ => accent.mix(Rgb(150, 30, 40), 0.15),
    };
    match d.pack {
        Pack::Can => Body {
            profile: vec![
                (0.0, 0.8),
                (0.015, 0.84),
                (0.035, 0.82),
                (0.09, 1.0),
                (0.95, 1.0),
                (0.985, 0.87),
                (1.0, 0.85),
            ],
            zones: vec![(0.045, Zone::Metal), (0.965, Zone::Label), (1.0, Zone::Metal)],
            lid: Zone::Metal,
            table: vec![],
        },
        Pack::Tin => Body {
            profile: vec![(0.0, 0.99), (0.02, 1.0), (0.04, 0.965), (0.96, 0.965), (0.98, 1.0), (1.0, 0.99)],
            zones: vec![(0.06, Zone::Metal), (0.94, Zone::Label), (1.0, Zone::Metal)],
            lid: Zone::Metal,
            table: vec![],
        },
        Pack::Bottle => Body {
            profile: smooth(&[
                (0.0, 0.29),
                (0.07, 0.29),
                (0.075, 0.31),
                (0.09, 0.27),
                (0.17, 0.3),
                (0.36, 1.0),
                (0.44, 1.0),
                (0.45, 0.97),
                (0.82, 0.97),
                (0.83, 1.0),
                (0.96, 1.0),
                (1.0, 0.9),
            ]),
            zones: vec![
                (0.075, Zone::Cap(cap)),
                (0.45, Zone::Clear(content)),
                (0.82, Zone::Label),
                (1.0, Zone::Clear(content)),
            ],
            lid: Zone::Plastic(cap),
            table: vec![],
        },
        Pack::Flask => {
            let plastic = artwork::colours(d).0.mix(Rgb::WHITE, 0.12);
            Body {
                profile: smooth(&[
                    (0.0, 0.4),
                    (0.12, 0.42),
                    (0.125, 0.36),
                    (0.15, 0.38),
                    (0.24, 0.94),
                    (0.3, 1.0),
                    (0.93, 1.0),
                    (1.0, 0.88),
                ]),
                zones: vec![
                    (0.125, Zone::Plastic(cap)),
                    (0.29, Zone::Plastic(plastic)),
                    (0.93, Zone::Label),
                    (1.0, Zone::Plastic(plastic)),
                ],
                lid: Zone::Plastic(cap),
                table: vec![],
            }
        }
        Pack::Jar => Body {
            profile: smooth(&[
                (0.0, 0.83),
                (0.015, 0.86),
                (0.15, 0.86),
                (0.155, 0.8),
                (0.18, 0.82),
                (0.27, 1.0),
                (0.95, 1.0),
                (1.0, 0.9),
            ]),
            zones: vec![
                (0.155, Zone::Cap(cap)),
                (0.34, Zone::Clear(content)),
                (0.88, Zone::Label),
                (1.0, Zone::Clear(content)),
            ],
            lid: Zone::Plastic(cap),
            table: vec![],
        },
        _ => Body {
            profile: vec![(0.0, 1.0), (0.04, 1.0), (0.042, 0.96), (0.94, 0.8), (1.0, 0.77)],
            zones: vec![
                (0.042, Zone::Plastic(cap.lighter(0.35))),
                (0.97, Zone::Label),
                (1.0, Zone::Plastic(Rgb(240, 238, 234))),
            ],
            lid: Zone::Plastic(cap.lighter(0.35)),
            table: vec![],
        },
    }
}

/// Eases between the points of a profile.
fn smooth(points: &[(f32, f32)]) -> Vec<(f32, f32)> {
    let mut out = vec![];
    for pair in points.windows(2) {
        for i in 0..8 {
            let t = i as f32 / 8.0;
            out.push((
                pair[0].0 + (pair[1].0 - pair[0].0) * t,
                pair[0].1 + (pair[1].1 - pair[0].1) * t * t * (3.0 - 2.0 * t),
            ));
        }
    }
    out.extend(points.last());
    out
}

impl Body {
    /// Radius at a height, both as fractions.
    fn radius(&self, at: f32) -> f32 {
        let at = at.clamp(0.0, 1.0) * STEPS as f32;
        let i = (at as usize).min(STEPS - 1);
        self.table[i] + (self.table[i + 1] - self.table[i]) * (at - i as f32)
    }

    fn exact_radius(&self, at: f32) -> f32 {
        let after = self.profile.partition_point(|p| p.0 < at);
        match (after.checked_sub(1).map(|i| self.profile[i]), self.profile.get(after)) {
            (Some(a), Some(b)) => a.1 + (b.1 - a.1) * (at - a.0) / (b.0 - a.0).max(1e-6),
            (Some(a), None) => a.1,
            (None, b) => b.map_or(0.0, |b| b.1),
        }
    }

    fn zone(&self, at: f32) -> Zone {
        self.zones.iter().find(|z| at <= z.0).map_or(Zone::Metal, |z| z.1)
    }

    /// Where the label starts and ends.
    fn label(&self) -> (f32, f32) {
        let mut start = 0.0;
        for &(end, zone) in &self.zones {
            if matches!(zone, Zone::Label) {
                return (start, end);
            }
            start = end;
        }
        (0.0, 1.0)
    }
}

/// Draws the package turned about its axis by some degrees.
pub(crate) fn render(d: &Design, side: Side, turned: f32, scale: f32) -> Sprite {
    let body = body(d);
    let (w, h) = d.extent;
    let half = w / 2.0;
    let (top, bottom) = body.label();
    let spin = turned * (std::f32::consts::PI / 180.0);
    let sheet =
        label(d, side, half, (bottom - top) * h, std::f32::consts::FRAC_PI_2 + spin.abs() + 0.02, scale);
    let asin: Vec<f32> = (0..=STEPS).map(|i| libm::asinf(i as f32 / STEPS as f32)).collect();
    let (above, below) = (TILT * half * body.radius(0.0), TILT * half * body.radius(1.0));
    let mut canvas = Canvas::new(w, above + h + below, scale);
    let map = canvas.pixmap_mut();
    let (columns, rows) = (map.width() as usize, map.height() as usize);
    let px = 1.0 / scale;
    let pixels = map.pixels_mut();
    for row in 0..rows {
        let y = (row as f32 + 0.5) * px - above;
        for column in 0..columns {
            let x = (column as f32 + 0.5) * px - half;
            let at = Spot { x, y, half, h, top, bottom, spin, scale };
            let colour = surface(&body, &sheet, &asin, &at);
            if let Some((rgb, cover)) = colour {
                pixels[row * columns + column] = premultiplied(rgb, cover);
            }
        }
    }
    let outline = outline(&body, half, h, above).into_iter().map(|(x, y)| (x * scale, y * scale)).collect();
    Sprite { pixmap: canvas.into_pixmap(), outline }
}

/// The label spread flat, as far as `reach` to both sides of its middle.
fn label(d: &Design, side: Side, half: f32, h: f32, reach: f32, scale: f32) -> Pixmap {
    let w = 2.0 * REACH * half;
    let seen = 2.0 * reach.min(REACH) * half;
    let panel = [w / 2.0 - half, h * 0.01, half * 2.0, h * 0.98];
    let mut c = Canvas::new(seen, h, scale);
    c.under(Transform::from_translate((seen - w) / 2.0, 0.0), |c| {
        artwork::ground(c, d, [0.0, 0.0, w, h]);
        match side {
            Side::Front => artwork::front(c, d, panel),
            Side::Back => back::back(c, d, panel),
        }
    });
    c.into_pixmap()
}

/// A point of the picture and the measures of the body, in units.
struct Spot {
    x: f32,
    y: f32,
    half: f32,
    h: f32,
    /// The label's edges as fractions of the height.
    top: f32,
    bottom: f32,
    spin: f32,
    scale: f32,
}

/// Colour and coverage at a point of the picture, or nothing beside the body.
fn surface(body: &Body, sheet: &Pixmap, asin: &[f32], s: &Spot) -> Option<(Rgb, f32)> {
    let &Spot { x, y, half, h, top, bottom, spin, scale } = s;
    let lid = body.table[0] * half;
    // the height whose ring passes through this pixel: two steps settle it, the tilt is small
    let mut at = y;
    let mut r = lid;
    for _ in 0..2 {
        r = body.radius(at / h) * half;
        at = y - TILT * (r * r - x * x).max(0.0).sqrt();
    }
    let cover = ((r - x.abs()) * scale + 0.5).clamp(0.0, 1.0) * ((h - at) * scale + 0.5).clamp(0.0, 1.0);
    if at < 0.0 {
        let e = ((x / lid) * (x / lid) + (y / (TILT * lid)) * (y / (TILT * lid))).sqrt();
        let cover = ((1.0 - e) * TILT * lid * scale + 0.5).clamp(0.0, 1.0);
        let base = match body.lid {
            Zone::Plastic(colour) | Zone::Cap(colour) | Zone::Clear(colour) => colour.lighter(0.18),
            _ => Rgb(206, 208, 212),
        };
        let ring = if (0.78..0.9).contains(&e) { base.darker(0.25) } else { base };
        return (cover > 0.0).then_some((ring.mix(Rgb::WHITE, 0.2 * (x / lid).max(0.0)), cover));
    }
    if cover <= 0.0 {
        return None;
    }
    let u = (x / r).clamp(-1.0, 1.0);
    let nz = (1.0 - u * u).max(0.0).sqrt();
    let diffuse = 0.48 + 0.56 * (0.93 * nz - 0.36 * u).max(0.0);
    let gloss =
        |at: f32, width: f32, strength: f32| strength / (1.0 + ((u - at) / width) * ((u - at) / width));
    let rgb = match body.zone(at / h) {
        Zone::Label => {
            let angle = asin[(u.abs() * STEPS as f32) as usize].copysign(u) + spin;
            let lx = angle * half * scale + sheet.width() as f32 * 0.5;
            let ly = (at / h - top) / (bottom - top) * sheet.height() as f32;
            shade_f(sample(sheet, lx, ly), diffuse, gloss(-0.5, 0.11, 0.16))
        }
        Zone::Metal => {
            let band = 0.5 + 0.5 * libm::sinf(u * 7.0 + 1.2);
            shade(Rgb(150, 152, 158).mix(Rgb(236, 238, 242), band), diffuse, gloss(-0.4, 0.1, 0.3))
        }
        Zone::Plastic(colour) => shade(colour, diffuse, gloss(-0.48, 0.12, 0.3)),
        Zone::Cap(colour) => {
            let ridge = 0.88 + 0.12 * libm::sinf(asin[(u.abs() * STEPS as f32) as usize].copysign(u) * 44.0);
            shade(colour, diffuse * ridge, gloss(-0.45, 0.14, 0.14))
        }
        Zone::Clear(colour) => {
            let rim = u.abs() * u.abs() * u.abs();
            shade(
                colour.mix(colour.darker(0.55), rim),
                0.86 + 0.2 * nz,
                gloss(-0.6, 0.06, 0.6) + gloss(0.66, 0.05, 0.25),
            )
        }
    };
    Some((rgb, cover))
}

fn shade(colour: Rgb, diffuse: f32, gloss: f32) -> Rgb {
    shade_f([f32::from(colour.0), f32::from(colour.1), f32::from(colour.2)], diffuse, gloss)
}

fn shade_f(colour: [f32; 3], diffuse: f32, gloss: f32) -> Rgb {
    let (dark, light, gloss) = (diffuse.min(1.0), (diffuse - 1.0).max(0.0) * 0.5, gloss.min(0.9));
    let [r, g, b] = colour.map(|v| {
        let lit = v * dark + (255.0 - v * dark) * light;
        (lit + (255.0 - lit) * gloss + 0.5) as u8
    });
    Rgb(r, g, b)
}

/// Bilinear; the sheet is opaque.
fn sample(sheet: &Pixmap, x: f32, y: f32) -> [f32; 3] {
    let (w, h) = (sheet.width() as usize, sheet.height() as usize);
    let (x, y) = ((x - 0.5).clamp(0.0, (w - 1) as f32), (y - 0.5).clamp(0.0, (h - 1) as f32));
    let (x0, y0) = (x as usize, y as usize);
    let (x1, y1) = ((x0 + 1).min(w - 1), (y0 + 1).min(h - 1));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let pixels = sheet.pixels();
    let at = |x: usize, y: usize| {
        let p = pixels[y * w + x];
        [f32::from(p.red()), f32::from(p.green()), f32::from(p.blue())]
    };
    let mix = |a: [f32; 3], b: [f32; 3], t: f32| [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * t);
    mix(mix(at(x0, y0), at(x1, y0), fx), mix(at(x0, y1), at(x1, y1), fx), fy)
}

fn premultiplied(c: Rgb, cover: f32) -> PremultipliedColorU8 {
    let m = |v: u8| (f32::from(v) * cover + 0.5) as u8;
    PremultipliedColorU8::from_rgba(m(c.0), m(c.1), m(c.2), m(255))
        .unwrap_or(PremultipliedColorU8::TRANSPARENT)
}

fn outline(body: &Body, half: f32, h: f32, above: f32) -> Vec<(f32, f32)> {
    let step = body.profile.len().div_ceil(14).max(1);
    let kept = |i: &usize| i.is_multiple_of(step) || *i + 1 == body.profile.len();
    let right: Vec<(f32, f32)> = (0..body.profile.len())
        .filter(kept)
        .map(|i| (body.profile[i].1 * half, above + body.profile[i].0 * h))
        .collect();
    let arc = |r: f32, y: f32, from: f32| {
        (1..8).map(move |i| {
            let (sin, cos) = libm::sincosf(from + std::f32::consts::PI * i as f32 / 8.0);
            (half + r * cos, y + TILT * r * sin)
        })
    };
    let (top, bottom) = (body.radius(0.0) * half, body.radius(1.0) * half);
    let mut points: Vec<_> = arc(top, above, std::f32::consts::PI).collect();
    points.extend(right.iter().map(|&(r, y)| (half + r, y)));
    points.extend(arc(bottom, above + h, 0.0));
    points.extend(right.iter().rev().map(|&(r, y)| (half - r, y)));
    points
}
