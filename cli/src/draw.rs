//! Pictures with boxes and labels on what was found.

use image::RgbImage;
use shelfsight::Rect;

use crate::canvas::{self, Canvas, Ink, Rgb};
use crate::lettering::{self, Align, Face};

/// A box with its label.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// Where, in pixels; a box outside the picture is left out.
    pub rect: Rect,
    /// What; may be empty.
    pub label: String,
    /// How sure, `0..=1`.
    pub score: Option<f32>,
    /// Right, wrong, or not known.
    pub ok: Option<bool>,
}

/// How pictures are annotated.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrawOptions {
    /// Explain the colours in a corner.
    pub legend: bool,
}

const INK: Rgb = Rgb(16, 20, 26);

/// Green, red and sky blue that differ in lightness too.
fn colour(ok: Option<bool>) -> Rgb {
    match ok {
        Some(true) => Rgb(74, 222, 128),
        Some(false) => Rgb(255, 92, 80),
        None => Rgb(96, 190, 255),
    }
}

/// A label laid out: lines of text in a chip of a size.
struct Chip {
    lines: Vec<String>,
    score: Option<String>,
    w: f32,
    h: f32,
}

/// Draws boxes and labels on a copy of a picture. Labels stay inside the picture, are dark with light text so that they
/// read on any ground, and go where they hide least of one another.
pub fn annotate(picture: &RgbImage, annotations: &[Annotation], options: DrawOptions) -> RgbImage {
    let Some(mut c) = Canvas::on(picture) else { return picture.clone() };
    let (w, h) = (picture.width(), picture.height());
    let size = ((w.min(h) as f32) / 78.0).clamp(9.0, 40.0);
    let shown: Vec<(Rect, &Annotation)> =
        annotations.iter().filter_map(|a| Some((a.rect.clip(w, h)?, a))).collect();
    for (rect, a) in &shown {
        outline(&mut c, *rect, a.ok, size);
    }
    let boxes: Vec<Rect> = shown.iter().map(|s| s.0).collect();
    let mut placed: Vec<Rect> = vec![];
    if options.legend {
        placed.extend(legend(&mut c, &shown, &boxes, size, (w as f32, h as f32)));
    }
    for (rect, a) in &shown {
        if a.label.trim().is_empty() && a.score.is_none() {
            continue;
        }
        // the full label if there is room for it, else one line as wide as the box
        let full = chip(a, size, (size * 17.0).min(rect.w.max(size * 9.0)), 2);
        let (mut chip_, mut at) = (full, None);
        if let Some((spot, hidden)) = place(&chip_, *rect, &boxes, &placed, (w, h)) {
            at = Some(spot);
            if hidden > 0.3 {
                let small = chip(a, size * 0.86, rect.w.max(size * 4.0), 1);
                if let Some((spot, less)) = place(&small, *rect, &boxes, &placed, (w, h))
                    && less < hidden
                {
                    (chip_, at) = (small, Some(spot));
                }
            }
        }
        if let Some(spot) = at {
            label(&mut c, &chip_, spot, a.ok);
            placed.push(spot);
        }
    }
    c.into_rgb()
}

fn outline(c: &mut Canvas, r: Rect, ok: Option<bool>, size: f32) {
    let width = (size * 0.2).max(1.6);
    let path = canvas::rounded([r.x, r.y, r.w, r.h], size * 0.35);
    c.stroke(path.as_ref(), width * 2.1, Ink::Flat(INK, 0.55));
    c.stroke(path.as_ref(), width, colour(ok));
    if ok == Some(false) {
        // a second sign beside the colour: a struck corner
        let s = size.min(r.w * 0.4).min(r.h * 0.4);
        c.line(&[(r.x + r.w - s, r.y), (r.x + r.w, r.y + s)], width, colour(ok));
    }
}

/// Breaks a label into at most `most` lines no wider than `width`.
fn chip(a: &Annotation, size: f32, width: f32, most: usize) -> Chip {
    let face = Face::Condensed;
    let score = a.score.filter(|s| s.is_finite()).map(|s| format!("{s:.2}"));
    let room = width - size * 0.9;
    let beside = score.as_deref().map_or(0.0, |s| (Face::CondensedBold.width(s) + 0.45) * size);
    let mut lines = lettering::wrap(face, &a.label, size, if most == 1 { f32::MAX } else { room });
    if lines.len() > most {
        let rest = lines.split_off(most - 1).join(" ");
        lines.push(rest);
    }
    if let Some(last) = lines.last_mut() {
        *last = face.shortened(last, size, (room - beside).max(size * 1.5));
    }
    if lines.is_empty() {
        lines.push(String::new());
    }
    let count = lines.len();
    let widest = lines
        .iter()
        .enumerate()
        .map(|(i, l)| face.width(l) * size + if i + 1 == count { beside } else { 0.0 })
        .fold(0.0, f32::max);
    Chip { w: widest + size * 0.95, h: size * (1.12 * count as f32 + 0.28), lines, score }
}

/// The spot inside the picture that hides least, and the share of the chip that lies on other chips there. `None` if
/// the picture is smaller than the chip.
fn place(chip: &Chip, r: Rect, boxes: &[Rect], placed: &[Rect], (w, h): (u32, u32)) -> Option<(Rect, f32)> {
    let (w, h) = (w as f32, h as f32);
    if chip.w > w || chip.h > h {
        return None;
    }
    let ys = [
        r.y - chip.h - 1.0,
        r.y + 2.0,
        r.y + r.h - chip.h - 2.0,
        r.y + (r.h - chip.h) * 0.5,
        r.y + r.h + 1.0,
    ];
    let xs = [r.x, r.x + (r.w - chip.w) / 2.0, r.x + r.w - chip.w];
    let mut best: Option<(f32, Rect, f32)> = None;
    for (i, y) in ys.into_iter().enumerate() {
        for (k, x) in xs.into_iter().enumerate() {
            let spot = Rect::new(x.clamp(0.0, w - chip.w), y.clamp(0.0, h - chip.h), chip.w, chip.h);
            let on_chips: f32 = placed.iter().map(|p| p.intersection(&spot)).sum();
            let on_boxes: f32 = boxes.iter().filter(|b| **b != r).map(|b| b.intersection(&spot)).sum();
            let (on_chips, on_boxes) = (on_chips / spot.area(), on_boxes / spot.area());
            let cost = on_chips * 10.0 + on_boxes + 0.12 * i as f32 + 0.04 * k as f32;
            if best.is_none_or(|b| cost < b.0) {
                best = Some((cost, spot, on_chips));
            }
        }
    }
    best.map(|(_, spot, hidden)| (spot, hidden))
}

fn label(c: &mut Canvas, chip: &Chip, r: Rect, ok: Option<bool>) {
    let size = r.h / (1.12 * chip.lines.len() as f32 + 0.28);
    c.rounded([r.x, r.y, r.w, r.h], size * 0.28, Ink::Flat(INK, 0.86));
    c.rounded([r.x, r.y, size * 0.22, r.h], size * 0.1, colour(ok));
    let mut end = (r.x, r.y);
    for (i, line) in chip.lines.iter().enumerate() {
        let base = r.y + size * (1.0 + 1.12 * i as f32);
        c.text(Face::Condensed, line, size, r.x + size * 0.5, base, Align::Left, Rgb(246, 248, 250));
        end = (r.x + size * 0.5 + Face::Condensed.width(line) * size, base);
    }
    if let Some(score) = &chip.score {
        let gap = if chip.lines.last().is_some_and(|l| l.is_empty()) { 0.0 } else { size * 0.4 };
        c.text(Face::CondensedBold, score, size, end.0 + gap, end.1, Align::Left, colour(ok));
    }
}

/// Says what the colours mean in the corner where it hides least, and where that is.
fn legend(
    c: &mut Canvas,
    shown: &[(Rect, &Annotation)],
    boxes: &[Rect],
    size: f32,
    (width, height): (f32, f32),
) -> Option<Rect> {
    let rows: Vec<(Option<bool>, String)> = [(Some(true), "right"), (Some(false), "wrong"), (None, "found")]
        .into_iter()
        .map(|(ok, word)| (ok, word, shown.iter().filter(|s| s.1.ok == ok).count()))
        .filter(|r| r.2 > 0)
        .map(|(ok, word, n)| (ok, format!("{n} {word}")))
        .collect();
    let widest = rows.iter().map(|r| Face::Montserrat.width(&r.1)).fold(0.0, f32::max) * size;
    let (w, h) = (widest + size * 2.4, size * (1.5 * rows.len() as f32 + 0.5));
    let margin = size * 0.6;
    if rows.is_empty() || w + 2.0 * margin > width || h + 2.0 * margin > height {
        return None;
    }
    let corners = [(0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)].map(|(u, v)| {
        Rect::new(margin + u * (width - w - 2.0 * margin), margin + v * (height - h - 2.0 * margin), w, h)
    });
    let hidden = |r: &Rect| boxes.iter().map(|b| b.intersection(r)).sum::<f32>();
    let spot = corners.into_iter().min_by(|a, b| hidden(a).total_cmp(&hidden(b)))?;
    let (x, y) = (spot.x, spot.y);
    c.rounded([x, y, w, h], size * 0.4, Ink::Flat(INK, 0.86));
    for (i, (ok, text)) in rows.iter().enumerate() {
        let base = y + size * (1.35 + 1.5 * i as f32);
        c.rounded([x + size * 0.5, base - size * 0.75, size * 0.8, size * 0.8], size * 0.15, colour(*ok));
        c.text(Face::Montserrat, text, size, x + size * 1.7, base, Align::Left, Rgb(246, 248, 250));
    }
    Some(spot)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation(rect: Rect, label: &str, ok: Option<bool>) -> Annotation {
        Annotation { rect, label: label.to_owned(), score: Some(0.93), ok }
    }

    #[test]
    fn a_box_is_drawn_where_told() {
        let grey = RgbImage::from_pixel(400, 300, image::Rgb([128; 3]));
        let a = annotation(Rect::new(100.0, 100.0, 150.0, 120.0), "", Some(true));
        let out = annotate(&grey, &[Annotation { score: None, ..a }], DrawOptions::default());
        let [r, g, b] = out.get_pixel(170, 100).0;
        assert!(g > 190 && g > r && g > b, "{r} {g} {b}");
        assert_eq!(out.get_pixel(175, 160).0, [128; 3]);
        assert_eq!(out.get_pixel(30, 30).0, [128; 3]);
    }

    #[test]
    fn labels_stay_inside_and_apart() {
        let boxes: Vec<Rect> = (0..40)
            .map(|i| Rect::new((i % 10) as f32 * 158.0 - 8.0, (i / 10) as f32 * 298.0 - 6.0, 150.0, 280.0))
            .collect();
        let mut placed: Vec<Rect> = vec![];
        for r in &boxes {
            let r = r.clip(1600, 1200).unwrap();
            let a = annotation(r, "Humboldt & Fig Chopped Tomatoes in the Tin 400 g", None);
            let chip = chip(&a, 15.0, r.w, 2);
            let (spot, hidden) = place(&chip, r, &boxes, &placed, (1600, 1200)).unwrap();
            assert!(spot.x >= 0.0 && spot.y >= 0.0 && spot.x + spot.w <= 1600.0 && spot.y + spot.h <= 1200.0);
            assert!(hidden < 0.01, "{hidden}");
            assert!(chip.lines.len() <= 2 && chip.w <= r.w + 1.0, "{:?} {}", chip.lines, chip.w);
            placed.push(spot);
        }
    }

    #[test]
    fn odd_input_is_no_trouble() {
        let picture = RgbImage::from_pixel(20, 12, image::Rgb([9; 3]));
        let nowhere = annotation(Rect::new(f32::NAN, 0.0, 5.0, 5.0), "x", None);
        assert_eq!(annotate(&picture, &[nowhere], DrawOptions { legend: true }), picture);
        let wide = annotation(
            Rect::new(-1e9, -1e9, 2e9, 2e9),
            "much longer than the picture \u{0} \n line",
            Some(false),
        );
        let out =
            annotate(&picture, &[Annotation { score: Some(f32::NAN), ..wide }], DrawOptions { legend: true });
        assert_eq!(out.dimensions(), (20, 12));
        assert_eq!(annotate(&RgbImage::new(0, 0), &[], DrawOptions::default()).len(), 0);
    }
}
