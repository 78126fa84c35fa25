//! A product alone on white, as a shop's catalogue shows it.

use image::RgbImage;
use tiny_skia::{PixmapPaint, Transform};

use super::catalogue::Design;
use super::package::{self, Side};
use super::rng::Rng;
use crate::canvas::{Canvas, Ink, Rgb};

/// Longer side of the product in pixels, and the white left round it.
const LONG: f32 = 372.0;
const MARGIN: f32 = 16.0;

/// Draws one side.
pub(crate) fn draw(d: &Design, side: Side) -> RgbImage {
    let mut rng = Rng::numbered(d.seed, 31);
    let turned = if side == Side::Front { rng.between(-7.0, 7.0) } else { 0.0 };
    let scale = LONG / d.extent.0.max(d.extent.1);
    let sprite = package::render(d, side, turned, scale).pixmap;
    let (w, h) = (sprite.width() as f32, sprite.height() as f32);
    let mut c = Canvas::new(w + 2.0 * MARGIN, h + 2.0 * MARGIN, 1.0);
    let ground = if rng.chance(0.75) { Rgb::WHITE } else { Rgb(243, 243, 241) };
    c.rect([0.0, 0.0, w + 2.0 * MARGIN + 1.0, h + 2.0 * MARGIN + 1.0], ground);
    shadow(&mut c, MARGIN + w / 2.0, MARGIN + h - 2.0, w * 0.54, 9.0, 0.42);
    c.pixmap_mut().draw_pixmap(
        MARGIN as i32,
        MARGIN as i32,
        sprite.as_ref(),
        &PixmapPaint::default(),
        Transform::identity(),
        None,
    );
    c.into_rgb()
}

/// A soft flat shadow under something that stands.
pub(crate) fn shadow(c: &mut Canvas, x: f32, y: f32, rx: f32, ry: f32, strength: f32) {
    let fade = vec![(0.0, Rgb::BLACK, strength), (0.6, Rgb::BLACK, strength * 0.45), (1.0, Rgb::BLACK, 0.0)];
    c.under(Transform::from_row(rx, 0.0, 0.0, ry, x, y), |c| {
        c.circle(0.0, 0.0, 1.0, Ink::Radial((0.0, 0.0), 1.0, fade));
    });
}
