//! Shapes, gradients and text on a premultiplied RGBA picture, in units that do not depend on its size.

use image::RgbImage;
use tiny_skia::{
    Color, FillRule, GradientStop, LineCap, LineJoin, LinearGradient, Mask, Paint, Path, PathBuilder, Pixmap,
    Point, RadialGradient, Rect, Shader, SpreadMode, Stroke, Transform,
};

use crate::lettering::{self, Align, Face};

/// An opaque sRGB colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rgb(pub u8, pub u8, pub u8);

impl Rgb {
    pub(crate) const WHITE: Self = Self(255, 255, 255);
    pub(crate) const BLACK: Self = Self(0, 0, 0);

    /// This colour with `t` of another.
    pub(crate) fn mix(self, other: Self, t: f32) -> Self {
        let m = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * t + 0.5) as u8; // saturates
        Self(m(self.0, other.0), m(self.1, other.1), m(self.2, other.2))
    }

    pub(crate) fn lighter(self, t: f32) -> Self {
        self.mix(Self::WHITE, t)
    }

    pub(crate) fn darker(self, t: f32) -> Self {
        self.mix(Self::BLACK, t)
    }

    /// Perceived lightness, `0..=1` (Rec. 709 weights on the gamma-coded values: good enough to choose an ink).
    pub(crate) fn lightness(self) -> f32 {
        (0.2126 * f32::from(self.0) + 0.7152 * f32::from(self.1) + 0.0722 * f32::from(self.2)) / 255.0
    }

    /// An ink that reads on this colour: a near-white or a deep shade of it.
    pub(crate) fn ink(self) -> Self {
        if self.lightness() > 0.58 { self.darker(0.8) } else { self.lighter(0.93) }
    }

    /// From hue (degrees), saturation and lightness.
    pub(crate) fn hsl(hue: f32, s: f32, l: f32) -> Self {
        let c = (1.0 - (2.0 * l - 1.0).abs()) * s;
        let h = hue.rem_euclid(360.0) / 60.0;
        let x = c * (1.0 - (h % 2.0 - 1.0).abs());
        let (r, g, b) = match h as u32 {
            0 => (c, x, 0.0),
            1 => (x, c, 0.0),
            2 => (0.0, c, x),
            3 => (0.0, x, c),
            4 => (x, 0.0, c),
            _ => (c, 0.0, x),
        };
        let byte = |v: f32| ((v + l - c / 2.0) * 255.0).round().clamp(0.0, 255.0) as u8;
        Self(byte(r), byte(g), byte(b))
    }

    fn color(self, alpha: f32) -> Color {
        let mut color = Color::from_rgba8(self.0, self.1, self.2, 255);
        color.set_alpha(alpha.clamp(0.0, 1.0));
        color
    }
}

/// Position `0..=1`, colour and opacity of a gradient's stop.
pub(crate) type Stop = (f32, Rgb, f32);

/// What a shape is filled with.
#[derive(Clone, Debug)]
pub(crate) enum Ink {
    /// One colour at an opacity.
    Flat(Rgb, f32),
    /// Stops from one point to another.
    Linear((f32, f32), (f32, f32), Vec<Stop>),
    /// Stops from a centre outwards.
    Radial((f32, f32), f32, Vec<Stop>),
}

impl From<Rgb> for Ink {
    fn from(colour: Rgb) -> Self {
        Self::Flat(colour, 1.0)
    }
}

impl Ink {
    /// From the top colour to the bottom colour.
    pub(crate) fn vertical(y0: f32, y1: f32, top: Rgb, bottom: Rgb) -> Self {
        Self::Linear((0.0, y0), (0.0, y1), vec![(0.0, top, 1.0), (1.0, bottom, 1.0)])
    }

    fn shader(&self) -> Shader<'static> {
        let stops =
            |s: &[Stop]| s.iter().map(|&(at, c, a)| GradientStop::new(at, c.color(a))).collect::<Vec<_>>();
        let point = |(x, y): (f32, f32)| Point::from_xy(x, y);
        let flat = |s: &[Stop]| Shader::SolidColor(s.last().map_or(Color::TRANSPARENT, |s| s.1.color(s.2)));
        match self {
            Self::Flat(colour, alpha) => Shader::SolidColor(colour.color(*alpha)),
            Self::Linear(a, b, s) => {
                LinearGradient::new(point(*a), point(*b), stops(s), SpreadMode::Pad, Transform::identity())
                    .unwrap_or_else(|| flat(s))
            }
            Self::Radial(c, r, s) => {
                let c = point(*c);
                RadialGradient::new(c, 0.0, c, *r, stops(s), SpreadMode::Pad, Transform::identity())
                    .unwrap_or_else(|| flat(s))
            }
        }
    }
}

/// Turns by degrees about the origin, clockwise on the screen.
pub(crate) fn turn(degrees: f32) -> Transform {
    let (sin, cos) = libm::sincosf(degrees * (std::f32::consts::PI / 180.0));
    Transform::from_row(cos, sin, -sin, cos, 0.0, 0.0)
}

/// A closed shape through points.
pub(crate) fn polygon(points: &[(f32, f32)]) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    path.close();
    path.finish()
}

/// A closed smooth shape through points (Catmull and Rom's spline).
pub(crate) fn blob(points: &[(f32, f32)]) -> Option<Path> {
    let n = points.len();
    let at = |i: usize| points[i % n];
    let mut path = PathBuilder::new();
    path.move_to(points.first()?.0, points.first()?.1);
    for i in 0..n {
        let (a, b, c, d) = (at(i + n - 1), at(i), at(i + 1), at(i + 2));
        path.cubic_to(
            b.0 + (c.0 - a.0) / 6.0,
            b.1 + (c.1 - a.1) / 6.0,
            c.0 - (d.0 - b.0) / 6.0,
            c.1 - (d.1 - b.1) / 6.0,
            c.0,
            c.1,
        );
    }
    path.close();
    path.finish()
}

/// A rectangle with round corners.
pub(crate) fn rounded([x, y, w, h]: [f32; 4], r: f32) -> Option<Path> {
    let r = r.min(w / 2.0).min(h / 2.0).max(0.0);
    let k = r * 0.447_715; // a circle's quarter as a cubic: 1 - 4(√2 - 1)/3
    let (right, bottom) = (x + w, y + h);
    let mut p = PathBuilder::new();
    p.move_to(x + r, y);
    p.line_to(right - r, y);
    p.cubic_to(right - k, y, right, y + k, right, y + r);
    p.line_to(right, bottom - r);
    p.cubic_to(right, bottom - k, right - k, bottom, right - r, bottom);
    p.line_to(x + r, bottom);
    p.cubic_to(x + k, bottom, x, bottom - k, x, bottom - r);
    p.line_to(x, y + r);
    p.cubic_to(x, y + k, x + k, y, x + r, y);
    p.close();
    p.finish()
}

/// The picture being drawn.
pub(crate) struct Canvas {
    pixmap: Pixmap,
    transform: Transform,
    scale: f32,
}

impl Canvas {
    /// A transparent picture of `w × h` units at `scale` pixels a unit.
    pub(crate) fn new(w: f32, h: f32, scale: f32) -> Self {
        let px = |v: f32| (v * scale).ceil().clamp(1.0, 8192.0) as u32;
        let pixmap = Pixmap::new(px(w), px(h)).expect("sides are 1 to 8192");
        Self { pixmap, transform: Transform::from_scale(scale, scale), scale }
    }

    /// A copy of a picture to draw on, a unit a pixel; `None` if it is empty.
    pub(crate) fn on(picture: &RgbImage) -> Option<Self> {
        let mut pixmap = Pixmap::new(picture.width(), picture.height())?;
        for (to, from) in pixmap.data_mut().chunks_exact_mut(4).zip(picture.pixels()) {
            to.copy_from_slice(&[from.0[0], from.0[1], from.0[2], 255]);
        }
        Some(Self { pixmap, transform: Transform::identity(), scale: 1.0 })
    }

    /// The picture without its alpha; what was transparent is black.
    pub(crate) fn into_rgb(self) -> RgbImage {
        let bytes = self.pixmap.pixels().iter().flat_map(|p| [p.red(), p.green(), p.blue()]).collect();
        RgbImage::from_raw(self.pixmap.width(), self.pixmap.height(), bytes).unwrap_or_default()
    }

    /// Pixels a unit at the canvas's own scale.
    pub(crate) fn scale(&self) -> f32 {
        self.scale
    }

    pub(crate) fn into_pixmap(self) -> Pixmap {
        self.pixmap
    }

    pub(crate) fn pixmap_mut(&mut self) -> &mut Pixmap {
        &mut self.pixmap
    }

    /// Draws under a further transform.
    pub(crate) fn under(&mut self, transform: Transform, draw: impl FnOnce(&mut Self)) {
        let before = self.transform;
        self.transform = before.pre_concat(transform);
        draw(self);
        self.transform = before;
    }

    /// Draws about `(x, y)`, `size` units to one, turned by degrees.
    pub(crate) fn about(&mut self, x: f32, y: f32, size: f32, degrees: f32, draw: impl FnOnce(&mut Self)) {
        let t = Transform::from_translate(x, y)
            .pre_concat(turn(degrees))
            .pre_concat(Transform::from_scale(size, size));
        self.under(t, draw);
    }

    pub(crate) fn fill(&mut self, path: Option<&Path>, ink: impl Into<Ink>) {
        self.fill_as(path, ink, true);
    }

    fn fill_as(&mut self, path: Option<&Path>, ink: impl Into<Ink>, anti_alias: bool) {
        if let Some(path) = path {
            let paint = Paint { shader: ink.into().shader(), anti_alias, ..Paint::default() };
            self.pixmap.fill_path(path, &paint, FillRule::Winding, self.transform, None);
        }
    }

    pub(crate) fn stroke(&mut self, path: Option<&Path>, width: f32, ink: impl Into<Ink>) {
        if let Some(path) = path {
            let paint = Paint { shader: ink.into().shader(), ..Paint::default() };
            let stroke =
                Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
            self.pixmap.stroke_path(path, &paint, &stroke, self.transform, None);
        }
    }

    pub(crate) fn rect(&mut self, [x, y, w, h]: [f32; 4], ink: impl Into<Ink>) {
        let path = Rect::from_xywh(x, y, w, h).map(PathBuilder::from_rect);
        self.fill(path.as_ref(), ink);
    }

    /// A rectangle with hard edges, for barcodes.
    pub(crate) fn bar(&mut self, [x, y, w, h]: [f32; 4], ink: impl Into<Ink>) {
        let path = Rect::from_xywh(x, y, w, h).map(PathBuilder::from_rect);
        let hard = w * self.scale >= 1.0;
        self.fill_as(path.as_ref(), ink, !hard);
    }

    pub(crate) fn rounded(&mut self, rect: [f32; 4], r: f32, ink: impl Into<Ink>) {
        self.fill(rounded(rect, r).as_ref(), ink);
    }

    pub(crate) fn oval(&mut self, x: f32, y: f32, rx: f32, ry: f32, ink: impl Into<Ink>) {
        self.fill(oval(x, y, rx, ry).as_ref(), ink);
    }

    pub(crate) fn circle(&mut self, x: f32, y: f32, r: f32, ink: impl Into<Ink>) {
        self.oval(x, y, r, r, ink);
    }

    pub(crate) fn poly(&mut self, points: &[(f32, f32)], ink: impl Into<Ink>) {
        self.fill(polygon(points).as_ref(), ink);
    }

    pub(crate) fn blob(&mut self, points: &[(f32, f32)], ink: impl Into<Ink>) {
        self.fill(blob(points).as_ref(), ink);
    }

    /// A line through points.
    pub(crate) fn line(&mut self, points: &[(f32, f32)], width: f32, ink: impl Into<Ink>) {
        let mut path = PathBuilder::new();
        for (i, &(x, y)) in points.iter().enumerate() {
            if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
        }
        self.stroke(path.finish().as_ref(), width, ink);
    }

    /// One line of text with its baseline at `y`.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn text(
        &mut self,
        face: Face,
        text: &str,
        size: f32,
        x: f32,
        y: f32,
        align: Align,
        ink: impl Into<Ink>,
    ) {
        self.fill(face.aligned(text, size, x, y, align).as_ref(), ink);
    }

    /// Text as large as a box allows, with an optional halo (colour, width as a fraction of the size).
    pub(crate) fn fit(
        &mut self,
        face: Face,
        text: &str,
        rect: [f32; 4],
        (lines, align): (usize, Align),
        ink: impl Into<Ink>,
        halo: Option<(Rgb, f32)>,
    ) {
        if let Some(block) = lettering::fit(face, text, rect, lines, align) {
            if let Some((colour, width)) = halo {
                self.stroke(Some(&block.path), block.size * width, colour);
            }
            self.fill(Some(&block.path), ink);
        }
    }

    /// Cuts everything outside a shape away.
    pub(crate) fn keep_inside(&mut self, path: &Path) {
        if let Some(mut mask) = Mask::new(self.pixmap.width(), self.pixmap.height()) {
            mask.fill_path(path, FillRule::Winding, true, self.transform);
            self.pixmap.apply_mask(&mask);
        }
    }
}

/// An ellipse.
pub(crate) fn oval(x: f32, y: f32, rx: f32, ry: f32) -> Option<Path> {
    PathBuilder::from_oval(Rect::from_xywh(x - rx, y - ry, rx * 2.0, ry * 2.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours() {
        assert_eq!(Rgb::hsl(0.0, 1.0, 0.5), Rgb(255, 0, 0));
        assert_eq!(Rgb::hsl(240.0, 1.0, 0.25), Rgb(0, 0, 128));
        assert_eq!(Rgb::hsl(-240.0, 0.0, 1.0), Rgb::WHITE);
        for colour in [Rgb(250, 220, 40), Rgb(20, 60, 20), Rgb(200, 30, 30)] {
            assert!((colour.lightness() - colour.ink().lightness()).abs() > 0.35, "{colour:?}");
        }
    }

    #[test]
    fn shapes_land_where_told() {
        let mut canvas = Canvas::new(10.0, 10.0, 2.0);
        canvas.rect([2.0, 2.0, 4.0, 4.0], Rgb(255, 0, 0));
        canvas.keep_inside(&polygon(&[(0.0, 0.0), (4.0, 0.0), (4.0, 10.0), (0.0, 10.0)]).unwrap());
        let map = canvas.into_pixmap();
        let alpha = |x, y| map.pixel(x, y).unwrap().alpha();
        assert_eq!([alpha(4, 4), alpha(7, 11), alpha(9, 6), alpha(3, 4)], [255, 255, 0, 0]);
    }
}
