//! Text as outlines: typefaces that come with the program, measured and laid out on one line or fitted to a box.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, GlyphId, OutlineCurve};
use tiny_skia::{Path, PathBuilder};

/// A typeface of `assets/fonts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Face {
    Montserrat,
    MontserratBold,
    Condensed,
    CondensedBold,
    Anton,
    Baloo,
    Bangers,
    Bevan,
    Cinzel,
    Fraunces,
    Pacifico,
    Shrikhand,
}

/// Where a line of text lies about its x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Align {
    Left,
    Centre,
    Right,
}

static FONTS: LazyLock<[FontRef<'static>; 12]> = LazyLock::new(|| {
    macro_rules! font {
        ($name:literal) => {
            FontRef::try_from_slice(include_bytes!(concat!("../assets/fonts/", $name, ".ttf")))
                .expect("a typeface of the program is whole")
        };
    }
    [
        font!("montserrat-500"),
        font!("montserrat-800"),
        font!("barlow-condensed-500"),
        font!("barlow-condensed-700"),
        font!("anton-400"),
        font!("baloo-2-800"),
        font!("bangers-400"),
        font!("bevan-400"),
        font!("cinzel-700"),
        font!("fraunces-900"),
        font!("pacifico-400"),
        font!("shrikhand-400"),
    ]
});

impl Face {
    fn font(self) -> &'static FontRef<'static> {
        &FONTS[self as usize]
    }

    /// Pixels a font unit at a size (em) in pixels.
    fn unit(self, size: f32) -> f32 {
        size / self.font().units_per_em().unwrap_or(1000.0)
    }

    /// Height of a capital letter at size 1.
    pub fn cap_height(self) -> f32 {
        let font = self.font();
        font.outline(font.glyph_id('H')).map_or(0.7, |o| o.bounds.height().abs() * self.unit(1.0))
    }

    /// Width of a line at size 1.
    pub fn width(self, text: &str) -> f32 {
        let font = self.font();
        glyphs(self, text).map(|id| font.h_advance_unscaled(id)).sum::<f32>() * self.unit(1.0)
    }

    /// The line as an outline whose baseline starts at `(x, y)`, or `None` if it has no ink.
    pub fn line(self, text: &str, size: f32, x: f32, y: f32) -> Option<Path> {
        let (font, unit) = (self.font(), self.unit(size));
        let mut path = PathBuilder::new();
        let mut pen = x;
        for id in glyphs(self, text) {
            if let Some(outline) = font.outline(id) {
                add_outline(&mut path, &outline.curves, pen, y, unit);
            }
            pen += font.h_advance_unscaled(id) * unit;
        }
        path.finish()
    }

    /// The line placed about `x` by its alignment.
    pub fn aligned(self, text: &str, size: f32, x: f32, y: f32, align: Align) -> Option<Path> {
        let width = self.width(text) * size;
        let x = match align {
            Align::Left => x,
            Align::Centre => x - width / 2.0,
            Align::Right => x - width,
        };
        self.line(text, size, x, y)
    }

    /// The line cut with an ellipsis to be no wider than `width` at a size.
    pub fn shortened(self, text: &str, size: f32, width: f32) -> String {
        if self.width(text) * size <= width {
            return text.to_owned();
        }
        let mut kept = String::new();
        let mut used = self.width("…");
        for c in text.chars() {
            used += self.width(c.encode_utf8(&mut [0; 4]));
            if used * size > width {
                break;
            }
            kept.push(c);
        }
        format!("{}…", kept.trim_end())
    }
}

/// Characters the typeface lacks are drawn as its missing-glyph box, control characters not at all.
fn glyphs(face: Face, text: &str) -> impl Iterator<Item = GlyphId> {
    text.chars().filter(|c| !c.is_control()).map(move |c| face.font().glyph_id(c))
}

fn add_outline(path: &mut PathBuilder, curves: &[OutlineCurve], x: f32, y: f32, unit: f32) {
    let at = |p: ab_glyph::Point| (x + p.x * unit, y - p.y * unit);
    let mut last = None;
    for curve in curves {
        let (from, to) = match curve {
            OutlineCurve::Line(a, b) | OutlineCurve::Quad(a, _, b) | OutlineCurve::Cubic(a, _, _, b) => {
                (*a, *b)
            }
        };
        if last != Some((from.x, from.y)) {
            if last.is_some() {
                path.close();
            }
            let (x, y) = at(from);
            path.move_to(x, y);
        }
        let (tx, ty) = at(to);
        match curve {
            OutlineCurve::Line(..) => path.line_to(tx, ty),
            OutlineCurve::Quad(_, c, _) => {
                let (cx, cy) = at(*c);
                path.quad_to(cx, cy, tx, ty);
            }
            OutlineCurve::Cubic(_, c, d, _) => {
                let ((cx, cy), (dx, dy)) = (at(*c), at(*d));
                path.cubic_to(cx, cy, dx, dy, tx, ty);
            }
        }
        last = Some((to.x, to.y));
    }
    if last.is_some() {
        path.close();
    }
}

/// Lines fitted to a box: as large as the box allows, centred in it from top to bottom.
#[derive(Clone, Debug)]
pub struct Block {
    /// The outlines.
    pub path: Path,
    /// Size chosen.
    pub size: f32,
}

/// Breaks a text into at most `lines` lines and makes it as large as `(x, y, w, h)` allows; `None` if it has no ink.
pub fn fit(face: Face, text: &str, [x, y, w, h]: [f32; 4], lines: usize, align: Align) -> Option<Block> {
    let cap = face.cap_height();
    let leading = cap * 1.42;
    let (lines, size) = (1..=lines.max(1))
        .map(|n| {
            let broken = break_lines(face, text, n);
            let widest = broken.iter().map(|l| face.width(l)).fold(1e-3, f32::max);
            let tall = cap + leading * (broken.len() as f32 - 1.0);
            (broken, (w / widest).min(h / tall))
        })
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    let tall = size * (cap + leading * (lines.len() as f32 - 1.0));
    let mut path = PathBuilder::new();
    for (i, line) in lines.iter().enumerate() {
        let base = y + (h - tall) / 2.0 + size * (cap + leading * i as f32);
        let at = match align {
            Align::Left => x,
            Align::Centre => x + w / 2.0,
            Align::Right => x + w,
        };
        if let Some(line) = face.aligned(line, size, at, base, align) {
            path.push_path(&line);
        }
    }
    Some(Block { path: path.finish()?, size })
}

/// Breaks at spaces so that the widest of `n` lines is as short as can be (every set of breaks is tried: names are
/// short).
fn break_lines(face: Face, text: &str, n: usize) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if n <= 1 || words.len() <= 1 {
        return vec![words.join(" ")];
    }
    (1..words.len())
        .map(|at| {
            let mut lines = vec![words[..at].join(" ")];
            lines.extend(break_lines(face, &words[at..].join(" "), n - 1));
            let widest = lines.iter().map(|l| face.width(l)).fold(0.0, f32::max);
            (lines, widest)
        })
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map_or_else(Vec::new, |(lines, _)| lines)
}

/// Running text broken greedily into lines no wider than `width` at a size.
pub fn wrap(face: Face, text: &str, size: f32, width: f32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if face.width(&format!("{line} {word}")) * size <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_typeface_has_the_letters_of_the_demo() {
        for index in 0..FONTS.len() {
            let font = &FONTS[index];
            for c in "ABCXYZabcxyz0123456789 %&.,-'éèüöäñ".chars() {
                assert_ne!(font.glyph_id(c).0, 0, "typeface {index} lacks {c:?}");
            }
        }
    }

    #[test]
    fn fitted_text_stays_in_its_box() {
        let check = |face: Face, text: &str, lines| {
            let block = fit(face, text, [10.0, 20.0, 200.0, 60.0], lines, Align::Centre).unwrap();
            let b = block.path.bounds();
            assert!(b.left() > 4.0 && b.right() < 216.0, "{text}: {b:?}");
            assert!(b.top() > 5.0 && b.bottom() < 100.0, "{text}: {b:?}");
        };
        check(Face::Anton, "SEA SALT", 1);
        check(Face::Pacifico, "Strawberry Cream Yoghurt", 3);
        check(Face::Montserrat, "x", 2);
        assert!(fit(Face::Anton, "  ", [0.0, 0.0, 9.0, 9.0], 2, Align::Left).is_none());
    }

    #[test]
    fn shortening() {
        let face = Face::Montserrat;
        let text = "A very long product name that nobody reads";
        let short = face.shortened(text, 12.0, 100.0);
        assert!(short.ends_with('…') && face.width(&short) * 12.0 <= 100.0, "{short}");
        assert_eq!(face.shortened("short", 12.0, 100.0), "short");
        assert_eq!(face.shortened("", 12.0, 1.0), "");
    }
}
