//! What is printed on the front of a package: logo, name, picture, size and claims in one of seven layouts.

use super::catalogue::{Design, Layout, Logo};
use super::pattern;
use super::pictogram;
use super::rng::Rng;
use crate::canvas::{Canvas, Ink, Rgb, oval, polygon, turn};
use crate::lettering::{Align, Face};

const ONE: (usize, Align) = (1, Align::Centre);

/// Ground and contrast colours of a design: the flavour's or the brand's lead.
pub(crate) fn colours(d: &Design) -> (Rgb, Rgb) {
    let s = &d.style;
    if s.flavoured { (d.flavour.accent, s.primary) } else { (s.primary, d.flavour.accent) }
}

/// Covers the whole sheet.
pub(crate) fn ground(c: &mut Canvas, d: &Design, sheet: [f32; 4]) {
    let (ground, second) = colours(d);
    pattern::cover(c, d.style.pattern, sheet, ground, second, d.seed);
}

/// Prints the front into a panel of the sheet.
pub(crate) fn front(c: &mut Canvas, d: &Design, panel: [f32; 4]) {
    match d.style.layout {
        Layout::Band => band(c, d, panel),
        Layout::Badge => badge(c, d, panel),
        Layout::Diagonal => diagonal(c, d, panel),
        Layout::Scatter => scatter(c, d, panel),
        Layout::Quiet => quiet(c, d, panel),
        Layout::Side => side(c, d, panel),
        Layout::Window => window(c, d, panel),
    }
    if let Some(claim) = d.claim {
        starburst(c, d, claim, panel);
    }
}

/// A part of a panel by fractions.
fn part([x, y, w, h]: [f32; 4], left: f32, top: f32, width: f32, height: f32) -> [f32; 4] {
    [x + w * left, y + h * top, w * width, h * height]
}

/// A square of a panel by fractions of its shorter side about a point: centre and radius.
fn spot([x, y, w, h]: [f32; 4], cx: f32, cy: f32, r: f32) -> ((f32, f32), f32) {
    ((x + w * cx, y + h * cy), r * w.min(h))
}

fn name(d: &Design) -> String {
    if d.style.name_face == Face::Anton { d.flavour.name.to_uppercase() } else { d.flavour.name.to_owned() }
}

fn brand(d: &Design) -> String {
    if d.style.upper { d.brand.to_uppercase() } else { d.brand.to_owned() }
}

/// The brand's name in its own manner on a ground colour.
pub(crate) fn logo(c: &mut Canvas, d: &Design, rect: [f32; 4], on: Rgb) {
    let s = &d.style;
    let [x, y, w, h] = rect;
    let (cx, cy) = (x + w / 2.0, y + h / 2.0);
    let far = |a: Rgb| (a.lightness() - on.lightness()).abs();
    let plate = if far(s.secondary) >= far(s.primary) { s.secondary } else { s.primary };
    let plate = if far(plate) < 0.22 { on.ink() } else { plate };
    let text = brand(d);
    let inner = part(rect, 0.1, 0.2, 0.8, 0.6);
    let mut set = |rect, ink: Rgb, halo| c.fit(s.logo_face, &text, rect, ONE, ink, halo);
    match s.logo {
        Logo::Plain => set(part(rect, 0.02, 0.1, 0.96, 0.8), plate, None),
        Logo::Outline => {
            let halo = if plate.lightness() > 0.5 { Rgb(30, 26, 34) } else { Rgb::WHITE };
            set(part(rect, 0.05, 0.14, 0.9, 0.72), plate, Some((halo, 0.16)));
        }
        Logo::Pill => {
            c.rounded(rect, h / 2.0, plate);
            c.fit(s.logo_face, &text, inner, ONE, plate.ink(), None);
        }
        Logo::Slab => {
            c.rounded(rect, h * 0.1, plate);
            c.stroke(
                crate::canvas::rounded(part(rect, 0.02, 0.07, 0.96, 0.86), h * 0.06).as_ref(),
                h * 0.03,
                plate.ink(),
            );
            c.fit(s.logo_face, &text, inner, ONE, plate.ink(), None);
        }
        Logo::Oval => {
            c.oval(cx, cy, w / 2.0, h / 2.0, plate);
            c.stroke(oval(cx, cy, w * 0.47, h * 0.43).as_ref(), h * 0.035, plate.ink());
            c.fit(s.logo_face, &text, part(rect, 0.15, 0.24, 0.7, 0.52), ONE, plate.ink(), None);
        }
        Logo::Ribbon => {
            let (fold, drop) = (w * 0.09, h * 0.16);
            for (edge, way) in [(x, -1.0), (x + w, 1.0)] {
                let tip = edge + way * fold * 0.15;
                c.poly(
                    &[
                        (edge - way * fold, y + drop),
                        (tip, y + drop),
                        (tip - way * fold * 0.4, cy + drop / 2.0),
                        (tip, y + h),
                        (edge - way * fold, y + h),
                    ],
                    plate.darker(0.3),
                );
            }
            c.rect([x + fold * 0.6, y, w - fold * 1.2, h * 0.86], plate);
            c.fit(s.logo_face, &text, part(rect, 0.13, 0.14, 0.74, 0.58), ONE, plate.ink(), None);
        }
    }
}

/// Size in the lower corner.
fn size(c: &mut Canvas, d: &Design, rect: [f32; 4], ink: Rgb) {
    c.fit(Face::CondensedBold, d.size, rect, (1, Align::Right), ink, None);
}

fn noun(c: &mut Canvas, d: &Design, rect: [f32; 4], ink: Rgb) {
    c.fit(Face::CondensedBold, &d.line.noun.to_uppercase(), rect, (2, Align::Centre), ink, None);
}

fn picture(c: &mut Canvas, d: &Design, (at, r): ((f32, f32), f32), degrees: f32) {
    pictogram::draw(c, d.flavour.picture, at, r, degrees, d.flavour.accent);
}

/// A soft light behind a picture lifts it off any ground.
fn glow(c: &mut Canvas, (at, r): ((f32, f32), f32)) {
    c.circle(
        at.0,
        at.1,
        r * 1.45,
        Ink::Radial(at, r * 1.45, vec![(0.3, Rgb::WHITE, 0.6), (1.0, Rgb::WHITE, 0.0)]),
    );
}

fn band(c: &mut Canvas, d: &Design, p: [f32; 4]) {
    let (ground, second) = colours(d);
    let top = part(p, 0.0, 0.05, 1.0, 0.24);
    let field = if (second.lightness() - ground.lightness()).abs() < 0.15 { ground.ink() } else { second };
    c.rect([top[0] - p[2], top[1], top[2] * 3.0, top[3]], field);
    logo(c, d, part(p, 0.1, 0.08, 0.8, 0.18), field);
    c.fit(
        d.style.name_face,
        &name(d),
        part(p, 0.08, 0.33, 0.84, 0.17),
        (2, Align::Centre),
        ground.ink(),
        None,
    );
    noun(c, d, part(p, 0.2, 0.52, 0.6, 0.06), ground.ink());
    let at = spot(p, 0.5, 0.75, 0.26);
    glow(c, at);
    picture(c, d, at, -8.0);
    size(c, d, part(p, 0.68, 0.92, 0.27, 0.045), ground.ink());
}

fn badge(c: &mut Canvas, d: &Design, p: [f32; 4]) {
    let (ground, second) = colours(d);
    logo(c, d, part(p, 0.12, 0.05, 0.76, 0.17), ground);
    let paper = second.lighter(0.82);
    let (cx, cy) = (p[0] + p[2] / 2.0, p[1] + p[3] * 0.5);
    let (rx, ry) = (p[2] * 0.42, (p[3] * 0.24).min(p[2] * 0.5));
    c.oval(cx, cy, rx * 1.06, ry * 1.07, second.darker(0.25));
    c.oval(cx, cy, rx, ry, paper);
    c.stroke(oval(cx, cy, rx * 0.93, ry * 0.91).as_ref(), 2.0, second.darker(0.1));
    let inner = [cx - rx * 0.72, cy - ry * 0.5, rx * 1.44, ry * 0.68];
    c.fit(d.style.name_face, &name(d), inner, (2, Align::Centre), second.mix(Rgb(30, 24, 24), 0.65), None);
    noun(c, d, [cx - rx * 0.5, cy + ry * 0.32, rx, ry * 0.26], d.flavour.accent.darker(0.45));
    for (at, degrees) in [(0.24, -24.0), (0.76, 20.0), (0.5, 0.0)] {
        picture(c, d, spot(p, at, 0.84, 0.16), degrees);
    }
    size(c, d, part(p, 0.7, 0.945, 0.26, 0.04), ground.ink());
}

fn diagonal(c: &mut Canvas, d: &Design, p: [f32; 4]) {
    let (ground, second) = colours(d);
    let [x, y, w, h] = p;
    let (left, right) = (x - w, x + 2.0 * w);
    c.poly(&[(left, y + h * 0.78), (right, y + h * 0.3), (right, y + h + 9.0), (left, y + h + 9.0)], second);
    c.poly(
        &[(left, y + h * 0.78), (right, y + h * 0.3), (right, y + h * 0.325), (left, y + h * 0.805)],
        second.ink(),
    );
    logo(c, d, part(p, 0.06, 0.05, 0.74, 0.2), ground);
    c.fit(d.style.name_face, &name(d), part(p, 0.07, 0.28, 0.72, 0.17), (2, Align::Left), ground.ink(), None);
    c.fit(Face::Condensed, d.line.noun, part(p, 0.07, 0.47, 0.4, 0.05), (1, Align::Left), ground.ink(), None);
    let at = spot(p, 0.62, 0.72, 0.31);
    glow(c, at);
    picture(c, d, at, 12.0);
    c.fit(Face::CondensedBold, d.size, part(p, 0.06, 0.92, 0.3, 0.05), (1, Align::Left), second.ink(), None);
}

fn scatter(c: &mut Canvas, d: &Design, p: [f32; 4]) {
    let (ground, _) = colours(d);
    let mut rng = Rng::numbered(d.seed, 3);
    for i in 0..9 {
        let at = spot(
            p,
            0.12 + 0.38 * (i % 3) as f32 + rng.between(-0.06, 0.06),
            0.62 + 0.14 * (i / 3) as f32,
            rng.between(0.12, 0.17),
        );
        picture(c, d, at, rng.between(-40.0, 40.0));
    }
    logo(c, d, part(p, 0.06, 0.05, 0.88, 0.22), ground);
    let banner = part(p, 0.04, 0.31, 0.92, 0.22);
    let colour = d.style.secondary;
    c.rounded(banner, banner[3] * 0.18, colour);
    c.fit(
        d.style.name_face,
        &name(d),
        part(banner, 0.06, 0.12, 0.88, 0.52),
        (2, Align::Centre),
        colour.ink(),
        None,
    );
    noun(c, d, part(banner, 0.2, 0.71, 0.6, 0.18), colour.ink());
    c.rounded(part(p, 0.66, 0.925, 0.31, 0.06), 5.0, colour);
    size(c, d, part(p, 0.68, 0.935, 0.26, 0.04), colour.ink());
}

fn quiet(c: &mut Canvas, d: &Design, p: [f32; 4]) {
    let (ground, second) = colours(d);
    let ink = ground.ink();
    c.stroke(crate::canvas::rounded(part(p, 0.06, 0.04, 0.88, 0.92), 4.0).as_ref(), 2.2, ink);
    picture(c, d, spot(p, 0.5, 0.2, 0.17), 0.0);
    logo(c, d, part(p, 0.12, 0.36, 0.76, 0.17), ground);
    c.rect(part(p, 0.36, 0.56, 0.28, 0.008), ink);
    c.fit(d.style.name_face, &name(d), part(p, 0.14, 0.59, 0.72, 0.12), (2, Align::Centre), ink, None);
    noun(c, d, part(p, 0.25, 0.735, 0.5, 0.05), ink);
    c.fit(Face::Montserrat, d.line.blurb, part(p, 0.14, 0.82, 0.72, 0.06), (2, Align::Centre), ink, None);
    c.rect(part(p, 0.06, 0.905, 0.88, 0.055), second);
    c.fit(Face::CondensedBold, d.size, part(p, 0.3, 0.914, 0.4, 0.036), ONE, second.ink(), None);
}

fn side(c: &mut Canvas, d: &Design, p: [f32; 4]) {
    let (ground, second) = colours(d);
    let strip = part(p, 0.0, -0.1, 0.26, 1.2);
    c.rect(strip, second);
    c.rect(part(p, 0.26, -0.1, 0.02, 1.2), second.ink());
    let [x, y, w, h] = p;
    c.about(x + w * 0.13, y + h * 0.5, 1.0, -90.0, |c| {
        c.fit(
            d.style.name_face,
            &name(d),
            [-h * 0.36, -w * 0.085, h * 0.72, w * 0.17],
            ONE,
            second.ink(),
            None,
        );
    });
    logo(c, d, part(p, 0.33, 0.07, 0.62, 0.2), ground);
    noun(c, d, part(p, 0.36, 0.31, 0.56, 0.1), ground.ink());
    let at = spot(p, 0.64, 0.6, 0.29);
    glow(c, at);
    picture(c, d, at, 6.0);
    c.fit(
        Face::Condensed,
        d.line.blurb,
        part(p, 0.34, 0.82, 0.6, 0.06),
        (2, Align::Centre),
        ground.ink(),
        None,
    );
    size(c, d, part(p, 0.62, 0.915, 0.33, 0.05), ground.ink());
}

fn window(c: &mut Canvas, d: &Design, p: [f32; 4]) {
    let (ground, second) = colours(d);
    let view = part(p, 0.1, 0.44, 0.8, 0.4);
    c.rounded([view[0] - 4.0, view[1] - 4.0, view[2] + 8.0, view[3] + 8.0], 16.0, second);
    c.rounded(
        view,
        13.0,
        Ink::vertical(view[1], view[1] + view[3], Rgb(255, 253, 248), d.flavour.accent.lighter(0.6)),
    );
    picture(c, d, spot(p, 0.36, 0.65, 0.17), -15.0);
    picture(c, d, spot(p, 0.64, 0.62, 0.2), 10.0);
    logo(c, d, part(p, 0.08, 0.05, 0.84, 0.16), ground);
    c.fit(
        d.style.name_face,
        &name(d),
        part(p, 0.08, 0.235, 0.84, 0.12),
        (2, Align::Centre),
        ground.ink(),
        None,
    );
    noun(c, d, part(p, 0.25, 0.37, 0.5, 0.045), ground.ink());
    c.fit(
        Face::Condensed,
        d.line.blurb,
        part(p, 0.08, 0.875, 0.56, 0.045),
        (1, Align::Left),
        ground.ink(),
        None,
    );
    size(c, d, part(p, 0.66, 0.91, 0.28, 0.05), ground.ink());
}

/// A badge with teeth in a corner.
fn starburst(c: &mut Canvas, d: &Design, claim: &str, p: [f32; 4]) {
    // beside the name, never over it
    let (cx, cy) = match d.style.layout {
        Layout::Band => (0.85, 0.64),
        Layout::Badge => (0.15, 0.76),
        Layout::Diagonal => (0.16, 0.62),
        Layout::Scatter => (0.16, 0.63),
        Layout::Quiet => (0.82, 0.2),
        Layout::Side => (0.88, 0.66),
        Layout::Window => (0.87, 0.53),
    };
    let ((x, y), r) = spot(p, cx, cy, 0.15);
    let points: Vec<_> = (0..32)
        .map(|i| {
            let t = turn(i as f32 * 360.0 / 32.0);
            let r = if i % 2 == 0 { r } else { r * 0.86 };
            (x + t.sx * r, y + t.ky * r)
        })
        .collect();
    let colour = match claim {
        "BIO" | "VEGAN" | "100% NATURAL" => Rgb(64, 140, 60),
        "NEW" | "+20% EXTRA" => Rgb(220, 40, 40),
        _ => Rgb(250, 206, 50),
    };
    c.fill(polygon(&points).as_ref(), colour);
    c.about(x, y, 1.0, -10.0, |c| {
        c.fit(
            Face::CondensedBold,
            claim,
            [-r * 0.64, -r * 0.42, r * 1.28, r * 0.84],
            (3, Align::Centre),
            colour.ink(),
            None,
        );
    });
}
