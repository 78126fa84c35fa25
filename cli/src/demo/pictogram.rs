//! Little pictures of what is inside, drawn about the origin in a circle of radius 1.

use super::rng::Rng;
use crate::canvas::Ink;
use crate::canvas::{Canvas, Rgb, Stop, blob, polygon, turn};

/// What a package shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Picture {
    Strawberry,
    Berries,
    Citrus,
    Apple,
    Cherry,
    Flower,
    Coconut,
    Wave,
    Chili,
    Leaf,
    Cheese,
    Flame,
    Bean,
    Cup,
    Mountain,
    Sun,
    Drop,
    Nut,
    Pasta,
    Wheat,
    Tomato,
    Bowl,
    Mushroom,
    Olive,
    Corn,
    Fish,
    Bubbles,
    Star,
    Bolt,
    Cow,
    Bee,
    Cookie,
    Paw,
}

const GREEN: Rgb = Rgb(84, 142, 60);
const DARK_GREEN: Rgb = Rgb(48, 98, 48);
const BROWN: Rgb = Rgb(110, 66, 40);
const CREAM: Rgb = Rgb(250, 236, 206);

/// A ball lit from the upper left.
fn lit(colour: Rgb, x: f32, y: f32, r: f32) -> Ink {
    let stops: Vec<Stop> =
        vec![(0.0, colour.lighter(0.4), 1.0), (0.45, colour, 1.0), (1.0, colour.darker(0.35), 1.0)];
    Ink::Radial((x - r * 0.35, y - r * 0.4), r * 1.5, stops)
}

fn ball(c: &mut Canvas, x: f32, y: f32, r: f32, colour: Rgb) {
    c.circle(x, y, r, lit(colour, x, y, r));
    c.oval(x - r * 0.35, y - r * 0.42, r * 0.2, r * 0.14, Ink::Flat(Rgb::WHITE, 0.65));
}

/// A leaf from the origin along +x, of length 1.
fn leaf(c: &mut Canvas, x: f32, y: f32, size: f32, degrees: f32, colour: Rgb) {
    c.about(x, y, size, degrees, |c| {
        let points = [(0.0, 0.0), (0.35, -0.24), (0.72, -0.2), (1.0, 0.0), (0.72, 0.16), (0.35, 0.2)];
        c.blob(&points, Ink::vertical(-0.25, 0.25, colour.lighter(0.25), colour.darker(0.2)));
        c.line(&[(0.0, 0.0), (0.9, -0.02)], 0.035, colour.darker(0.35));
        for i in 1..5 {
            let at = i as f32 * 0.18;
            c.line(&[(at, -0.01), (at + 0.14, -0.13)], 0.02, colour.darker(0.3));
            c.line(&[(at, -0.01), (at + 0.14, 0.1)], 0.02, colour.darker(0.3));
        }
    });
}

/// Draws a picture about `(x, y)` with radius `size`, turned by degrees. `accent` colours what may be of any colour.
pub(crate) fn draw(c: &mut Canvas, what: Picture, (x, y): (f32, f32), size: f32, degrees: f32, accent: Rgb) {
    c.about(x, y, size, degrees, |c| shape(c, what, accent));
}

fn shape(c: &mut Canvas, what: Picture, accent: Rgb) {
    match what {
        Picture::Strawberry
        | Picture::Berries
        | Picture::Citrus
        | Picture::Apple
        | Picture::Cherry
        | Picture::Coconut
        | Picture::Tomato
        | Picture::Olive => fruit(c, what, accent),
        Picture::Flower
        | Picture::Leaf
        | Picture::Chili
        | Picture::Wheat
        | Picture::Mushroom
        | Picture::Corn
        | Picture::Nut
        | Picture::Bean => plant(c, what, accent),
        Picture::Wave
        | Picture::Flame
        | Picture::Mountain
        | Picture::Sun
        | Picture::Drop
        | Picture::Bubbles
        | Picture::Star
        | Picture::Bolt => sign(c, what, accent),
        Picture::Cheese
        | Picture::Cup
        | Picture::Pasta
        | Picture::Bowl
        | Picture::Fish
        | Picture::Cow
        | Picture::Bee
        | Picture::Cookie
        | Picture::Paw => thing(c, what, accent),
    }
}

fn fruit(c: &mut Canvas, what: Picture, accent: Rgb) {
    match what {
        Picture::Strawberry => {
            let red = Rgb(216, 34, 48);
            let body = [
                (0.0, -0.5),
                (0.45, -0.58),
                (0.78, -0.25),
                (0.55, 0.35),
                (0.0, 0.95),
                (-0.55, 0.35),
                (-0.78, -0.25),
                (-0.45, -0.58),
            ];
            c.blob(&body, lit(red, 0.0, 0.1, 0.9));
            for (i, y) in [-0.3f32, -0.02, 0.26, 0.54].iter().enumerate() {
                let half = 2 - i as i32 / 2;
                for k in -half..=half {
                    let x = (k as f32 + if i % 2 == 0 { 0.0 } else { 0.5 }) * 0.26;
                    if x.abs() < 0.62 - y.max(0.0) * 0.7 {
                        c.oval(x, *y, 0.03, 0.05, Rgb(250, 220, 130));
                    }
                }
            }
            for i in 0..5 {
                leaf(
                    c,
                    0.0,
                    -0.52,
                    0.62,
                    18.0 + i as f32 * 36.0 - 180.0 * f32::from(u8::from(i > 2)) * 0.0,
                    GREEN,
                );
            }
            leaf(c, 0.0, -0.5, 0.55, 160.0, GREEN);
            c.line(&[(0.0, -0.52), (0.06, -0.9)], 0.09, DARK_GREEN);
        }
        Picture::Berries => {
            leaf(c, 0.1, -0.35, 0.95, -28.0, GREEN);
            leaf(c, -0.1, -0.35, 0.9, 205.0, DARK_GREEN);
            let dark = accent.darker(0.15);
            for (x, y, r) in [
                (-0.42, -0.05, 0.4),
                (0.4, -0.08, 0.42),
                (0.0, -0.35, 0.38),
                (-0.22, 0.45, 0.42),
                (0.34, 0.46, 0.4),
            ] {
                ball(c, x, y, r, dark);
                for i in 0..5 {
                    let t = turn(i as f32 * 72.0);
                    c.line(&[(x, y), (x + t.sx * r * 0.3, y + t.ky * r * 0.3)], 0.045, dark.darker(0.45));
                }
            }
        }
        Picture::Citrus => {
            let peel = if accent.lightness() > 0.9 { Rgb(244, 205, 40) } else { accent };
            ball(c, -0.25, -0.22, 0.72, peel);
            leaf(c, -0.25, -0.9, 0.6, 8.0, GREEN);
            c.circle(0.32, 0.34, 0.66, peel.darker(0.1));
            c.circle(0.32, 0.34, 0.6, CREAM);
            for i in 0..9 {
                c.about(0.32, 0.34, 0.54, i as f32 * 40.0, |c| {
                    c.blob(&[(0.08, 0.0), (0.8, -0.27), (1.0, 0.0), (0.8, 0.27)], peel.lighter(0.22));
                });
            }
        }
        Picture::Apple | Picture::Tomato => {
            let tomato = what == Picture::Tomato;
            let skin = if tomato { Rgb(218, 46, 34) } else { accent };
            let body = if tomato {
                [
                    (0.0, -0.55),
                    (0.5, -0.62),
                    (0.95, -0.05),
                    (0.6, 0.7),
                    (0.0, 0.82),
                    (-0.6, 0.7),
                    (-0.95, -0.05),
                    (-0.5, -0.62),
                ]
            } else {
                [
                    (0.0, -0.42),
                    (0.42, -0.62),
                    (0.86, -0.15),
                    (0.55, 0.8),
                    (0.0, 0.78),
                    (-0.55, 0.8),
                    (-0.86, -0.15),
                    (-0.42, -0.62),
                ]
            };
            c.blob(&body, lit(skin, 0.0, 0.0, 0.9));
            c.oval(-0.42, -0.25, 0.12, 0.2, Ink::Flat(Rgb::WHITE, 0.5));
            if tomato {
                for i in 0..5 {
                    leaf(c, 0.0, -0.52, 0.5, i as f32 * 72.0 - 90.0, DARK_GREEN);
                }
            } else {
                c.line(&[(0.0, -0.4), (0.06, -0.7), (0.16, -0.95)], 0.09, BROWN);
                leaf(c, 0.1, -0.72, 0.7, -18.0, GREEN);
            }
        }
        Picture::Cherry => {
            let red = Rgb(160, 14, 40);
            c.line(&[(-0.42, 0.3), (-0.15, -0.3), (0.2, -0.85)], 0.07, DARK_GREEN);
            c.line(&[(0.48, 0.4), (0.35, -0.2), (0.2, -0.85)], 0.07, DARK_GREEN);
            leaf(c, 0.2, -0.82, 0.8, 170.0, GREEN);
            ball(c, -0.45, 0.42, 0.46, red);
            ball(c, 0.5, 0.5, 0.44, red);
        }
        Picture::Coconut => {
            c.circle(0.0, 0.0, 0.92, lit(BROWN, 0.0, 0.0, 0.9));
            c.oval(0.08, 0.1, 0.74, 0.7, Rgb(252, 250, 244));
            c.oval(0.12, 0.16, 0.52, 0.46, Ink::vertical(-0.3, 0.6, Rgb(214, 206, 190), Rgb(246, 242, 232)));
            leaf(c, -0.2, -0.75, 0.8, -30.0, GREEN);
        }
        _ => {
            leaf(c, 0.0, -0.3, 1.0, -40.0, Rgb(130, 140, 90));
            leaf(c, 0.0, -0.3, 0.9, 200.0, Rgb(110, 124, 74));
            ball(c, -0.3, 0.2, 0.5, Rgb(112, 122, 46));
            ball(c, 0.42, 0.4, 0.46, Rgb(60, 48, 60));
            c.circle(0.5, 0.3, 0.1, Rgb(190, 50, 40));
        }
    }
}

fn plant(c: &mut Canvas, what: Picture, accent: Rgb) {
    match what {
        Picture::Flower => {
            let petal = if accent.lightness() > 0.8 { Rgb(252, 248, 240) } else { accent.lighter(0.35) };
            leaf(c, 0.1, 0.5, 0.9, 40.0, GREEN);
            leaf(c, -0.1, 0.5, 0.9, 140.0, GREEN);
            for i in 0..8 {
                c.about(0.0, -0.1, 0.78, i as f32 * 45.0, |c| {
                    c.blob(
                        &[(0.1, 0.0), (0.6, -0.26), (1.0, 0.0), (0.6, 0.26)],
                        Ink::Radial((0.0, 0.0), 1.1, vec![(0.2, petal.darker(0.25), 1.0), (1.0, petal, 1.0)]),
                    );
                });
            }
            ball(c, 0.0, -0.1, 0.24, Rgb(240, 180, 40));
        }
        Picture::Leaf => {
            leaf(c, -0.75, 0.65, 1.7, -58.0, GREEN);
            leaf(c, -0.6, 0.75, 1.6, -14.0, DARK_GREEN);
            leaf(c, -0.7, 0.7, 1.5, -95.0, Rgb(118, 172, 70));
        }
        Picture::Chili => {
            for (x, degrees, colour) in [(0.25, 20.0, Rgb(178, 20, 20)), (-0.2, -8.0, Rgb(220, 40, 30))] {
                c.about(x, 0.0, 1.0, degrees, |c| {
                    c.blob(
                        &[
                            (-0.12, -0.55),
                            (0.15, -0.6),
                            (0.26, -0.2),
                            (0.12, 0.45),
                            (-0.25, 0.95),
                            (-0.12, 0.3),
                            (-0.2, -0.2),
                        ],
                        lit(colour, 0.0, 0.0, 0.7),
                    );
                    c.line(&[(0.0, -0.58), (0.04, -0.78), (0.2, -0.95)], 0.12, DARK_GREEN);
                });
            }
        }
        Picture::Wheat => {
            let gold = Rgb(222, 170, 70);
            for (lean, x) in [(-22.0, -0.3), (22.0, 0.3), (0.0, 0.0)] {
                c.about(x, 0.95, 1.0, lean, |c| {
                    c.line(&[(0.0, 0.0), (0.0, -1.5)], 0.05, gold.darker(0.2));
                    for i in 0..6 {
                        let y = -0.8 - i as f32 * 0.17;
                        for side in [-1.0, 1.0] {
                            c.about(0.0, y, 0.3, -90.0 + side * 32.0, |c| {
                                c.blob(
                                    &[(0.0, 0.0), (0.5, -0.28), (1.0, 0.0), (0.5, 0.28)],
                                    Ink::vertical(-0.3, 0.3, gold.lighter(0.25), gold.darker(0.2)),
                                );
                            });
                        }
                    }
                });
            }
        }
        Picture::Mushroom => {
            for (x, y, s) in [(0.35, 0.25, 0.65), (-0.2, 0.0, 1.0)] {
                c.about(x, y, s, 0.0, |c| {
                    c.blob(
                        &[(-0.2, 0.0), (0.2, 0.0), (0.26, 0.8), (0.0, 0.9), (-0.26, 0.8)],
                        Rgb(240, 228, 206),
                    );
                    c.blob(
                        &[
                            (0.0, -0.75),
                            (0.55, -0.5),
                            (0.8, 0.05),
                            (0.3, 0.16),
                            (-0.3, 0.16),
                            (-0.8, 0.05),
                            (-0.55, -0.5),
                        ],
                        lit(Rgb(176, 132, 92), 0.0, -0.3, 0.8),
                    );
                });
            }
        }
        Picture::Corn => {
            c.about(0.0, 0.0, 1.0, 18.0, |c| {
                let body = [
                    (0.0, -0.95),
                    (0.3, -0.6),
                    (0.38, 0.2),
                    (0.2, 0.8),
                    (-0.2, 0.8),
                    (-0.38, 0.2),
                    (-0.3, -0.6),
                ];
                c.blob(&body, Rgb(232, 170, 30));
                for row in 0..9 {
                    for column in -2..=2 {
                        let y = -0.72 + row as f32 * 0.16;
                        let x = column as f32 * 0.14;
                        if x.abs() < 0.18 + 0.16 * (1.0 - (y - 0.2).abs()) {
                            c.oval(x, y, 0.065, 0.075, Rgb(252, 216, 80));
                        }
                    }
                }
                c.blob(&[(0.0, 0.95), (0.55, 0.3), (0.5, -0.3), (0.25, 0.3)], GREEN);
                c.blob(&[(0.0, 0.95), (-0.55, 0.3), (-0.5, -0.3), (-0.25, 0.3)], DARK_GREEN);
            });
        }
        Picture::Nut => {
            for (x, y, degrees, size) in
                [(-0.38, 0.2, -20.0, 0.75), (0.42, 0.34, 25.0, 0.62), (0.1, -0.35, 5.0, 0.6)]
            {
                c.about(x, y, size, degrees, |c| {
                    c.blob(
                        &[(0.0, -0.8), (0.5, -0.3), (0.52, 0.35), (0.0, 0.8), (-0.52, 0.35), (-0.5, -0.3)],
                        lit(Rgb(176, 112, 62), 0.0, 0.0, 0.8),
                    );
                    for k in [-0.25f32, 0.0, 0.25] {
                        c.line(&[(k * 0.4, -0.6), (k, 0.0), (k * 0.6, 0.6)], 0.03, Rgb(120, 72, 38));
                    }
                });
            }
        }
        _ => {
            let dark =
                if accent.lightness() > 0.5 { Rgb(96, 58, 36) } else { accent.mix(Rgb(96, 58, 36), 0.6) };
            for (x, y, degrees) in [(-0.42, -0.3, 30.0), (0.42, -0.1, -25.0), (-0.1, 0.5, 70.0)] {
                c.about(x, y, 0.56, degrees, |c| {
                    c.oval(0.0, 0.0, 0.62, 0.9, lit(dark, 0.0, 0.0, 0.9));
                    c.line(&[(0.05, -0.8), (-0.12, -0.3), (0.12, 0.3), (-0.05, 0.8)], 0.1, dark.darker(0.55));
                });
            }
        }
    }
}

fn sign(c: &mut Canvas, what: Picture, accent: Rgb) {
    match what {
        Picture::Wave => {
            for (y, colour) in
                [(-0.45, accent.lighter(0.5)), (-0.05, accent.lighter(0.2)), (0.35, accent.darker(0.2))]
            {
                let mut points = vec![];
                for i in 0..=24 {
                    let x = i as f32 / 12.0 - 1.0;
                    points.push((x, y + 0.16 * libm::sinf(x * 7.0 + y * 4.0)));
                }
                points.extend([(1.0, y + 0.4), (-1.0, y + 0.4)]);
                c.poly(&points, colour);
            }
        }
        Picture::Flame => {
            c.blob(
                &[
                    (0.05, -0.98),
                    (0.3, -0.35),
                    (0.66, 0.1),
                    (0.45, 0.8),
                    (0.0, 0.95),
                    (-0.5, 0.75),
                    (-0.6, 0.15),
                    (-0.15, -0.3),
                ],
                Ink::vertical(-1.0, 1.0, Rgb(220, 40, 20), Rgb(250, 150, 30)),
            );
            c.blob(
                &[(0.02, -0.2), (0.26, 0.3), (0.2, 0.75), (-0.22, 0.75), (-0.25, 0.35)],
                Rgb(255, 220, 90),
            );
        }
        Picture::Mountain => {
            c.circle(0.4, -0.45, 0.26, Rgb(250, 210, 90));
            c.poly(&[(-1.0, 0.7), (-0.3, -0.65), (0.4, 0.7)], Rgb(86, 108, 132));
            c.poly(&[(-0.3, -0.65), (-0.08, -0.24), (-0.3, -0.12), (-0.5, -0.28)], Rgb::WHITE);
            c.poly(&[(-0.2, 0.7), (0.42, -0.25), (1.0, 0.7)], Rgb(58, 80, 104));
            c.poly(&[(0.42, -0.25), (0.6, 0.05), (0.42, 0.1), (0.27, 0.0)], Rgb::WHITE);
        }
        Picture::Sun => {
            for i in 0..12 {
                c.about(0.0, 0.0, 1.0, i as f32 * 30.0, |c| {
                    c.poly(&[(0.58, -0.13), (1.0, 0.0), (0.58, 0.13)], Rgb(246, 160, 40))
                });
            }
            ball(c, 0.0, 0.0, 0.52, Rgb(250, 196, 60));
        }
        Picture::Drop => {
            let colour = if accent.lightness() > 0.85 { Rgb(150, 190, 220) } else { accent };
            c.blob(
                &[
                    (0.0, -1.0),
                    (0.34, -0.25),
                    (0.62, 0.3),
                    (0.4, 0.82),
                    (0.0, 0.98),
                    (-0.4, 0.82),
                    (-0.62, 0.3),
                    (-0.34, -0.25),
                ],
                lit(colour, 0.0, 0.3, 0.8),
            );
            c.oval(-0.26, 0.3, 0.1, 0.26, Ink::Flat(Rgb::WHITE, 0.6));
        }
        Picture::Bubbles => {
            let mut rng = Rng::new(11);
            for _ in 0..16 {
                let (x, y, r) = (rng.between(-0.8, 0.8), rng.between(-0.8, 0.8), rng.between(0.07, 0.24));
                c.circle(x, y, r, Ink::Flat(Rgb::WHITE, 0.35));
                c.circle(x - r * 0.3, y - r * 0.3, r * 0.32, Ink::Flat(Rgb::WHITE, 0.85));
            }
        }
        Picture::Star => {
            let points: Vec<_> = (0..10)
                .map(|i| {
                    let t = turn(i as f32 * 36.0 - 90.0);
                    let r = if i % 2 == 0 { 0.95 } else { 0.42 };
                    (t.sx * r, t.ky * r)
                })
                .collect();
            c.poly(&points, lit(accent.mix(Rgb(250, 210, 80), 0.5), 0.0, 0.0, 0.9));
        }
        _ => {
            let bolt = [
                (0.15, -1.0),
                (-0.55, 0.12),
                (-0.05, 0.12),
                (-0.22, 1.0),
                (0.58, -0.22),
                (0.06, -0.22),
                (0.42, -1.0),
            ];
            c.stroke(polygon(&bolt).as_ref(), 0.16, Rgb(24, 24, 30));
            c.poly(&bolt, Ink::vertical(-1.0, 1.0, Rgb(255, 240, 110), accent));
        }
    }
}

fn thing(c: &mut Canvas, what: Picture, accent: Rgb) {
    match what {
        Picture::Cheese => {
            c.poly(&[(-0.95, 0.1), (0.85, -0.55), (0.95, 0.1)], Rgb(255, 220, 110));
            c.poly(&[(-0.95, 0.1), (0.95, 0.1), (0.95, 0.72), (-0.95, 0.72)], Rgb(246, 190, 60));
            for (x, y, r) in [(-0.5, 0.4, 0.14), (0.1, 0.5, 0.1), (0.55, 0.35, 0.17), (0.35, -0.14, 0.1)] {
                c.oval(x, y, r, r * 0.85, Rgb(214, 150, 36));
            }
        }
        Picture::Cup => {
            for x in [-0.3f32, 0.0, 0.3] {
                c.line(
                    &[(x, -0.35), (x + 0.1, -0.55), (x - 0.05, -0.72), (x + 0.06, -0.92)],
                    0.07,
                    Ink::Flat(Rgb::WHITE, 0.7),
                );
            }
            c.oval(0.0, 0.78, 0.95, 0.16, CREAM.darker(0.1));
            c.stroke(crate::canvas::oval(0.66, 0.16, 0.26, 0.24).as_ref(), 0.12, CREAM);
            c.blob(
                &[(-0.68, -0.22), (0.68, -0.22), (0.62, 0.4), (0.3, 0.74), (-0.3, 0.74), (-0.62, 0.4)],
                Ink::vertical(-0.2, 0.8, Rgb::WHITE, CREAM.darker(0.08)),
            );
            c.oval(0.0, -0.2, 0.62, 0.13, Rgb(96, 58, 36));
        }
        Picture::Pasta => {
            let gold = Rgb(244, 206, 110);
            for (x, y, degrees) in [
                (-0.45, -0.2, -35.0),
                (0.4, -0.3, 30.0),
                (0.0, 0.45, 80.0),
                (-0.5, 0.6, 15.0),
                (0.6, 0.5, -60.0),
            ] {
                c.about(x, y, 0.5, degrees, |c| {
                    c.blob(
                        &[(-0.3, -0.85), (0.3, -0.85), (0.34, 0.85), (-0.34, 0.85)],
                        Ink::Linear(
                            (-0.35, 0.0),
                            (0.35, 0.0),
                            vec![
                                (0.0, gold.darker(0.25), 1.0),
                                (0.4, gold.lighter(0.3), 1.0),
                                (1.0, gold.darker(0.2), 1.0),
                            ],
                        ),
                    );
                    for i in -3..=3 {
                        let y = i as f32 * 0.24;
                        c.line(&[(-0.3, y + 0.1), (0.3, y - 0.1)], 0.06, gold.darker(0.28));
                    }
                });
            }
        }
        Picture::Bowl => {
            let food = accent.lighter(0.1);
            c.oval(0.0, -0.1, 0.95, 0.34, Rgb(246, 242, 234));
            c.oval(0.0, -0.08, 0.82, 0.26, Ink::vertical(-0.3, 0.2, food.lighter(0.2), food.darker(0.15)));
            leaf(c, -0.15, -0.12, 0.45, -20.0, GREEN);
            c.blob(
                &[
                    (-0.95, -0.02),
                    (-0.5, 0.2),
                    (0.0, 0.27),
                    (0.5, 0.2),
                    (0.95, -0.02),
                    (0.6, 0.7),
                    (0.0, 0.85),
                    (-0.6, 0.7),
                ],
                Ink::vertical(0.0, 0.9, Rgb(236, 230, 220), Rgb(190, 180, 170)),
            );
        }
        Picture::Fish => {
            let silver = accent.mix(Rgb(150, 170, 190), 0.6);
            c.poly(&[(0.5, 0.0), (1.0, -0.42), (0.88, 0.0), (1.0, 0.42)], silver.darker(0.25));
            c.blob(
                &[
                    (-0.95, 0.05),
                    (-0.5, -0.34),
                    (0.1, -0.36),
                    (0.65, -0.04),
                    (0.65, 0.04),
                    (0.1, 0.36),
                    (-0.5, 0.34),
                ],
                Ink::vertical(-0.4, 0.4, silver.darker(0.2), silver.lighter(0.6)),
            );
            c.circle(-0.62, -0.08, 0.09, Rgb::WHITE);
            c.circle(-0.62, -0.08, 0.05, Rgb::BLACK);
            for x in [-0.2f32, 0.05, 0.3] {
                c.line(&[(x, -0.2), (x + 0.08, 0.0), (x, 0.2)], 0.035, silver.darker(0.3));
            }
        }
        Picture::Cow => {
            c.blob(
                &[
                    (-0.5, -0.6),
                    (0.5, -0.6),
                    (0.62, 0.0),
                    (0.45, 0.75),
                    (0.0, 0.92),
                    (-0.45, 0.75),
                    (-0.62, 0.0),
                ],
                Rgb(250, 248, 244),
            );
            c.blob(&[(-0.5, -0.55), (-0.1, -0.6), (-0.05, -0.1), (-0.4, 0.1), (-0.6, -0.1)], Rgb(50, 44, 44));
            for side in [-1.0, 1.0] {
                c.blob(
                    &[(side * 0.5, -0.45), (side * 0.95, -0.6), (side * 0.9, -0.3), (side * 0.55, -0.25)],
                    Rgb(70, 58, 56),
                );
                c.circle(side * 0.27, -0.12, 0.08, Rgb::BLACK);
            }
            c.oval(0.0, 0.62, 0.46, 0.27, Rgb(240, 176, 170));
            c.oval(-0.17, 0.6, 0.06, 0.09, Rgb(150, 80, 80));
            c.oval(0.17, 0.6, 0.06, 0.09, Rgb(150, 80, 80));
        }
        Picture::Bee => {
            c.oval(-0.25, -0.48, 0.34, 0.46, Ink::Flat(Rgb(220, 236, 250), 0.85));
            c.oval(0.25, -0.48, 0.34, 0.46, Ink::Flat(Rgb(220, 236, 250), 0.85));
            c.oval(0.0, 0.15, 0.82, 0.56, lit(Rgb(248, 190, 40), 0.0, 0.1, 0.8));
            for x in [-0.3f32, 0.05, 0.4] {
                let h = 0.52 * libm::sqrtf(1.0 - (x / 0.82) * (x / 0.82));
                c.rect([x - 0.08, 0.15 - h, 0.17, 2.0 * h], Rgb(50, 36, 26));
            }
            c.circle(-0.72, 0.08, 0.26, Rgb(50, 36, 26));
            c.circle(-0.8, 0.02, 0.07, Rgb::WHITE);
        }
        Picture::Cookie => {
            let dough = accent.mix(Rgb(206, 150, 86), 0.75);
            c.circle(0.0, 0.0, 0.9, lit(dough, 0.0, 0.0, 1.0));
            let mut rng = Rng::new(5);
            for _ in 0..14 {
                let t = turn(rng.between(0.0, 360.0));
                let r = rng.between(0.1, 0.74);
                c.oval(t.sx * r, t.ky * r, 0.1, 0.085, Rgb(74, 44, 30));
            }
        }
        _ => {
            let pad = accent.darker(0.45);
            c.fill(
                blob(&[(0.0, -0.05), (0.45, 0.3), (0.4, 0.72), (0.0, 0.66), (-0.4, 0.72), (-0.45, 0.3)])
                    .as_ref(),
                pad,
            );
            for (x, y) in [(-0.62, 0.0), (-0.26, -0.42), (0.26, -0.42), (0.62, 0.0)] {
                c.oval(x, y, 0.18, 0.25, pad);
            }
        }
    }
}
