//! A photo of one product, taken in the hand or on a table.

use image::RgbImage;

use super::camera::{self, Look};
use super::catalogue::DemoProduct;
use super::package::{self, Side};
use super::packshot::shadow;
use super::rng::Rng;
use super::warp::{self, Projection};
use super::words::Pack;
use crate::canvas::{Canvas, Ink, Rgb};

const VIEW: (u32, u32) = (960, 1280);

/// A photo of one product.
#[derive(Clone, Debug)]
pub struct Photo {
    /// 960 × 1280 pixels.
    pub picture: RgbImage,
    /// The back is shown and no finger covers its barcode; blur and distance may still make it unreadable.
    pub barcode_in_view: bool,
    /// The product's outline in the picture, in pixels.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests hold the boxes to it"))]
    pub polygon: Vec<(f32, f32)>,
}

/// Draws a photo: perspective, background, blur, light and often a hand; a third show the back.
pub fn draw_photo(seed: u64, product: &DemoProduct) -> Photo {
    let mut rng = Rng::numbered(seed ^ product.design.seed, 600);
    let side = if rng.chance(0.33) { Side::Back } else { Side::Front };
    let (w, h) = (VIEW.0 as f32, VIEW.1 as f32);
    let d = &product.design;
    let share = rng.between(0.52, 0.8);
    let scale = (h * share / d.extent.1).min(w * (share + 0.1) / d.extent.0);
    let limit = if d.pack.round() { 30.0 } else { 20.0 };
    // a back is turned to the camera to show its code
    let turned = rng.between(-1.0, 1.0) * if side == Side::Back { 8.0 } else { limit };
    let sprite = package::render(d, side, turned, scale);
    let (sw, sh) = (sprite.pixmap.width() as f32, sprite.pixmap.height() as f32);
    let (cx, cy) = (w * rng.between(0.44, 0.56), h * rng.between(0.46, 0.55));
    let roll = crate::canvas::turn(rng.between(-14.0, 14.0));
    let quad = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)].map(|(u, v): (f32, f32)| {
        let (x, y) = (u * sw * rng.between(0.95, 1.05), v * sh * rng.between(0.96, 1.04));
        (cx + x * roll.sx + y * roll.kx, cy + x * roll.ky + y * roll.sy)
    });
    let to_view = Projection::to_quad(sw, sh, quad);
    let mut picture = background(&mut rng, (cx, (quad[2].1 + quad[3].1) / 2.0, sw));
    warp::over(&mut picture, &sprite.pixmap, &to_view);
    if rng.chance(0.6) && !matches!(d.pack, Pack::Bottle | Pack::Flask) {
        let hand = hand(&mut rng, sw, sh);
        warp::over(&mut picture, &hand, &to_view_of_hand(&to_view, &hand, sw));
    }
    let look = Look::handheld(&mut rng);
    let picture = look.expose(&picture, &mut rng);
    let polygon = sprite.outline.iter().map(|&p| to_view.apply(p)).collect();
    Photo { picture, barcode_in_view: side == Side::Back, polygon }
}

/// A table, a cloth, tiles or the blurred colours of a shop.
fn background(rng: &mut Rng, (foot_x, foot_y, foot_w): (f32, f32, f32)) -> RgbImage {
    let (w, h) = (VIEW.0 as f32, VIEW.1 as f32);
    // out of focus and so drawn small
    let mut c = Canvas::new(w, h, 0.25);
    let kind = rng.below(4);
    match kind {
        0 => {
            let wood = Rgb::hsl(rng.between(18.0, 34.0), 0.4, rng.between(0.3, 0.6));
            c.rect([0.0, 0.0, w, h], wood);
            for _ in 0..160 {
                let (y, tone) = (rng.between(0.0, h), rng.unit());
                let ink = Ink::Flat(if tone > 0.5 { wood.lighter(0.3) } else { wood.darker(0.4) }, 0.25);
                let bend = rng.between(-14.0, 14.0);
                c.line(
                    &[(0.0, y), (w * 0.3, y + bend), (w * 0.7, y - bend), (w, y + bend * 0.4)],
                    rng.between(1.0, 7.0),
                    ink,
                );
            }
        }
        1 => {
            let cloth = Rgb::hsl(rng.between(0.0, 360.0), 0.25, rng.between(0.35, 0.85));
            c.rect([0.0, 0.0, w, h], cloth);
            for i in 0..26 {
                let at = i as f32 * 56.0;
                c.rect([at, 0.0, 20.0, h], Ink::Flat(cloth.darker(0.4), 0.35));
                c.rect([0.0, at, w, 20.0], Ink::Flat(cloth.darker(0.4), 0.35));
            }
        }
        2 => {
            let tile = Rgb::hsl(rng.between(0.0, 360.0), 0.08, rng.between(0.5, 0.9));
            c.rect([0.0, 0.0, w, h], tile.darker(0.3));
            for row in 0..6 {
                for column in 0..4 {
                    let shade = tile.darker(rng.between(0.0, 0.1));
                    c.rounded(
                        [column as f32 * 250.0 - 20.0, row as f32 * 250.0 - 60.0, 240.0, 240.0],
                        8.0,
                        shade,
                    );
                }
            }
        }
        _ => {
            c.rect([0.0, 0.0, w, h], Rgb(90, 88, 84));
            for row in 0..5 {
                for _ in 0..14 {
                    let colour =
                        Rgb::hsl(rng.between(0.0, 360.0), rng.between(0.2, 0.8), rng.between(0.25, 0.75));
                    let (x, tall) = (rng.between(-60.0, w), rng.between(110.0, 200.0));
                    let floor = 240.0 + row as f32 * 270.0;
                    c.rounded([x, floor - tall, rng.between(50.0, 120.0), tall], 8.0, colour);
                }
                c.rect([0.0, 240.0 + row as f32 * 270.0, w, 34.0], Rgb(210, 210, 206));
            }
        }
    }
    if kind < 3 {
        shadow(&mut c, foot_x + 14.0, foot_y - 10.0, foot_w * 0.72, 60.0, 0.55);
    }
    let soft = camera::blur(&c.into_rgb(), if kind == 3 { 3.2 } else { rng.between(0.5, 1.4) });
    warp::enlarge(&soft, VIEW.0, VIEW.1)
}

/// Four fingers round the left edge, as far in as they may without touching a barcode.
fn hand(rng: &mut Rng, sw: f32, sh: f32) -> tiny_skia::Pixmap {
    let skin = [Rgb(236, 190, 160), Rgb(214, 160, 124), Rgb(160, 108, 76), Rgb(104, 68, 48)][rng.below(4)];
    // far enough out to leave the picture
    let out = VIEW.0 as f32 * 0.7;
    let mut c = Canvas::new(out + sw * 0.2, sh, 1.0);
    let thick = (sh * 0.075).min(70.0);
    let top = sh * rng.between(0.2, 0.32);
    for i in 0..4 {
        let y = top + i as f32 * thick * 1.02;
        let reach = out + sw * [0.1, 0.14, 0.13, 0.08][i] * rng.between(0.8, 1.1);
        let (x, half) = (reach - thick * 0.5, thick * 0.5);
        c.rounded(
            [-thick, y, reach + thick, thick],
            half,
            Ink::vertical(y, y + thick, skin.lighter(0.12), skin.darker(0.3)),
        );
        c.oval(x - half * 0.1, y + half * 0.9, half * 0.42, half * 0.62, skin.lighter(0.35));
        c.line(
            &[(reach - thick * 1.9, y + half * 0.4), (reach - thick * 1.85, y + half * 1.5)],
            2.0,
            Ink::Flat(skin.darker(0.45), 0.5),
        );
    }
    c.into_pixmap()
}

/// The hand's picture starts well to the left of the package and ends a fifth inside it.
fn to_view_of_hand(to_view: &Projection, hand: &tiny_skia::Pixmap, sw: f32) -> Projection {
    let (w, h) = (hand.width() as f32, hand.height() as f32);
    let left = sw * 0.2 - w;
    let quad = [(left, 0.0), (left + w, 0.0), (left + w, h), (left, h)].map(|p| to_view.apply(p));
    Projection::to_quad(w, h, quad)
}
