//! A shelf in a shop, photographed: boards, price tags, facings, gaps; and where every product stands.

use image::RgbImage;
use shelfsight::Rect;
use tiny_skia::{FilterQuality, PixmapPaint, Transform};

use super::camera::Look;
use super::catalogue::{DemoProduct, Design};
use super::ean13;
use super::package::{self, Side, Sprite};
use super::packshot::shadow;
use super::rng::Rng;
use super::warp::{self, Point, Projection};
use crate::canvas::{Canvas, Ink, Rgb, turn};
use crate::lettering::{Align, Face};

/// Size of the photo.
const VIEW: (u32, u32) = (1600, 1200);
/// Size of the flat scene and the border round the boards.
const SCENE: (f32, f32) = (1720.0, 1290.0);
const BORDER: f32 = 70.0;
/// Height of a board's front with its price rail.
const RAIL: f32 = 34.0;
/// Room above the tallest product of a row.
const AIR: f32 = 22.0;
/// Room a product takes over its own width.
const SPREAD: f32 = 1.07;

/// A product on the shelf.
#[derive(Clone, Debug)]
pub struct ShelfItem {
    /// Its place in the slice of products.
    pub product: usize,
    /// Its outline in the picture, in pixels.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests hold the boxes to it"))]
    pub polygon: Vec<(f32, f32)>,
    /// The box round its outline, inside the picture.
    pub rect: Rect,
}

/// A photo of a shelf and what is on it.
#[derive(Clone, Debug)]
pub struct Shelf {
    /// 1600 × 1200 pixels, as a JPEG of a phone looks.
    pub picture: RgbImage,
    /// Every facing, left to right, top to bottom. Neighbours may hide a few hundredths of one.
    pub truth: Vec<ShelfItem>,
}

/// One facing in the flat scene.
struct Facing {
    product: usize,
    sprite: Sprite,
    /// From the sprite's pixels to the scene's.
    place: Transform,
}

/// Draws a shelf with at most `n` different products of the slice, most of them more than once side by side. Products
/// that stand together in the slice stand together on the shelf.
pub fn draw_shelf(seed: u64, products: &[DemoProduct], n: usize) -> Shelf {
    let mut rng = Rng::numbered(seed, 900);
    let chosen = choose(&mut rng, products.len(), n);
    let plan = arrange(&chosen, products);
    let facings = stock(&mut rng, &plan, products);
    let scene = paint(&mut rng, &facings, &plan, products);
    let mut jitter = |v: f32| rng.between(-v, v);
    let (w, h) = (VIEW.0 as f32, VIEW.1 as f32);
    let corners = [
        (24.0 + jitter(22.0), 20.0 + jitter(18.0)),
        (w - 24.0 + jitter(22.0), 20.0 + jitter(18.0)),
        (w - 24.0 + jitter(22.0), h - 16.0 + jitter(14.0)),
        (24.0 + jitter(22.0), h - 16.0 + jitter(14.0)),
    ];
    // the boards' corners go inside the view, the wall beyond them past its edges
    let inner = Projection::to_quad(SCENE.0 - 2.0 * BORDER, SCENE.1 - 2.0 * BORDER, corners);
    let to_view = Projection::to_quad(
        SCENE.0,
        SCENE.1,
        [(0.0, 0.0), (SCENE.0, 0.0), (SCENE.0, SCENE.1), (0.0, SCENE.1)]
            .map(|(x, y)| inner.apply((x - BORDER, y - BORDER))),
    );
    let picture = warp::view(&scene, &to_view, VIEW.0, VIEW.1);
    let look = Look::shop(&mut rng);
    let truth = facings.iter().flatten().filter_map(|f| item(f, &to_view)).collect();
    Shelf { picture: look.expose(&picture, &mut rng), truth }
}

/// Runs of neighbours, so that families with their look-alikes stand on the shelf.
fn choose(rng: &mut Rng, len: usize, n: usize) -> Vec<usize> {
    let mut starts: Vec<usize> = (0..len).step_by(4).collect();
    rng.shuffle(&mut starts);
    let mut chosen: Vec<usize> = starts.into_iter().flat_map(|s| s..(s + 4).min(len)).take(n).collect();
    chosen.sort_unstable();
    chosen
}

/// Products row by row, the line each row stands on, and the pixels a unit.
struct Plan {
    rows: Vec<Vec<usize>>,
    /// Top and base line of each row.
    levels: Vec<(f32, f32)>,
    scale: f32,
}

/// Splits products over as few rows as they fit in; each row is as high as its tallest product needs.
fn arrange(chosen: &[usize], products: &[DemoProduct]) -> Plan {
    let (room, high) = (SCENE.0 - 2.0 * BORDER, SCENE.1 - 2.0 * BORDER);
    let width = |p: usize| products[p].design.extent.0 * SPREAD;
    let total: f32 = chosen.iter().map(|&p| width(p)).sum();
    let mut count = 2;
    loop {
        let mut rows = vec![vec![]; count];
        let mut used = 0.0;
        for &p in chosen {
            let row = ((used + width(p) / 2.0) / total * count as f32) as usize;
            rows[row.min(count - 1)].push(p);
            used += width(p);
        }
        let tallest =
            |row: &Vec<usize>| row.iter().map(|&p| products[p].design.extent.1).fold(190.0, f32::max);
        let sum: f32 = rows.iter().map(tallest).sum();
        let scale = ((high - count as f32 * (RAIL + AIR)) / sum).clamp(0.05, 1.0);
        let widest = rows.iter().map(|r| r.iter().map(|&p| width(p)).sum::<f32>()).fold(0.0, f32::max);
        if widest * scale < room * 0.92 || count == 16 {
            let slack =
                (high - rows.iter().map(|r| tallest(r) * scale + AIR + RAIL).sum::<f32>()) / count as f32;
            let mut top = BORDER;
            let levels = rows
                .iter()
                .map(|r| {
                    let from = top;
                    top += tallest(r) * scale + AIR + RAIL + slack;
                    (from, top - RAIL)
                })
                .collect();
            return Plan { rows, levels, scale };
        }
        count += 1;
    }
}

/// Fills each row with as many facings as there is room for.
fn stock(rng: &mut Rng, plan: &Plan, products: &[DemoProduct]) -> Vec<Vec<Facing>> {
    let room = SCENE.0 - 2.0 * BORDER - 8.0;
    let scale = plan.scale;
    let mut shelf = vec![];
    for (row, &(top, floor)) in plan.rows.iter().zip(&plan.levels) {
        let width = |p: usize| products[p].design.extent.0 * scale * SPREAD;
        let mut counts = vec![1; row.len()];
        let mut slack = room - row.iter().map(|&p| width(p)).sum::<f32>();
        for _ in 0..100 * row.len() {
            let i = rng.below(row.len());
            if width(row[i]) < slack && counts[i] < 5 {
                counts[i] += 1;
                slack -= width(row[i]);
            }
        }
        let mut x = BORDER + 4.0;
        let mut facings = vec![];
        for (i, (&p, &count)) in row.iter().zip(&counts).enumerate() {
            for k in 0..count {
                let d = &products[p].design;
                // now and then somebody has bought one
                if k == 0 || !rng.chance(0.06) {
                    let stack = stackable(d, floor - top - AIR, scale);
                    let mut level = floor;
                    for _ in 0..stack {
                        facings.push(facing(rng, p, d, x, level, scale, stack > 1));
                        level -= d.extent.1 * scale + 1.0;
                    }
                }
                x += width(p) * rng.between(0.94, 1.0);
            }
            let left = (BORDER + room
                - x
                - row[i + 1..].iter().zip(&counts[i + 1..]).map(|(&p, &n)| width(p) * n as f32).sum::<f32>())
            .max(0.0);
            x += left / (row.len() - i) as f32 * rng.between(0.3, 1.6);
        }
        shelf.push(facings);
    }
    shelf
}

/// Tins, tubs and flat boxes stand on one another where the row is high.
fn stackable(d: &Design, room: f32, scale: f32) -> usize {
    use super::words::Pack::{Cup, Tin, Tub, WideBox};
    if matches!(d.pack, Tin | Tub | WideBox | Cup) {
        ((room / (d.extent.1 * scale + 4.0)) as usize).clamp(1, 2)
    } else {
        1
    }
}

fn facing(
    rng: &mut Rng,
    product: usize,
    d: &Design,
    x: f32,
    floor: f32,
    scale: f32,
    stacked: bool,
) -> Facing {
    let turned = if d.pack.round() { rng.between(-28.0, 28.0) } else { rng.between(-13.0, 13.0) };
    let sprite = package::render(d, Side::Front, turned, scale);
    let (w, h) = (sprite.pixmap.width() as f32, sprite.pixmap.height() as f32);
    let lean = if stacked { 0.0 } else { rng.between(-1.0, 1.0) * rng.between(0.2, 2.6) };
    let depth = rng.between(0.0, 5.0);
    let place = Transform::from_translate(x + d.extent.0 * scale / 2.0, floor - depth)
        .pre_concat(turn(lean))
        .pre_concat(Transform::from_translate(-w / 2.0, -h));
    Facing { product, sprite, place }
}

fn paint(rng: &mut Rng, facings: &[Vec<Facing>], plan: &Plan, products: &[DemoProduct]) -> tiny_skia::Pixmap {
    let mut c = Canvas::new(SCENE.0, SCENE.1, 1.0);
    let wall = Rgb::hsl(rng.between(20.0, 230.0), 0.08, rng.between(0.6, 0.85));
    let metal = if rng.chance(0.5) { Rgb(232, 232, 228) } else { Rgb(120, 124, 130) };
    c.rect([0.0, 0.0, SCENE.0, SCENE.1], wall.darker(0.12));
    let mut x = 0.0;
    while x < SCENE.0 {
        c.line(&[(x, 0.0), (x, SCENE.1)], 1.5, Ink::Flat(Rgb::BLACK, 0.12));
        x += 86.0;
    }
    let paint = PixmapPaint { quality: FilterQuality::Bilinear, ..PixmapPaint::default() };
    for (row, facings) in facings.iter().enumerate() {
        let (top, floor) = plan.levels[row];
        let top = if row == 0 { 0.0 } else { top };
        let shade = vec![(0.0, Rgb::BLACK, 0.4), (0.3, Rgb::BLACK, 0.1), (1.0, Rgb::BLACK, 0.05)];
        c.rect([0.0, top, SCENE.0, floor - top], Ink::Linear((0.0, top), (0.0, floor), shade));
        c.rect(
            [0.0, floor - 16.0, SCENE.0, 18.0],
            Ink::vertical(floor - 16.0, floor, metal.darker(0.5), metal.darker(0.12)),
        );
        // the second rank, in the dark behind the first
        for f in facings.iter().filter(|_| rng.chance(0.7)) {
            let back = f.place.post_concat(Transform::from_translate(0.0, -11.0));
            let dim = PixmapPaint { opacity: 0.55, ..paint };
            c.pixmap_mut().draw_pixmap(0, 0, f.sprite.pixmap.as_ref(), &dim, back, None);
        }
        let veil = vec![(0.0, Rgb::BLACK, 0.3), (1.0, Rgb::BLACK, 0.15)];
        c.rect([0.0, top, SCENE.0, floor - top - 6.0], Ink::Linear((0.0, top), (0.0, floor), veil));
        for f in facings {
            let (w, h) = (f.sprite.pixmap.width() as f32, f.sprite.pixmap.height() as f32);
            let mut foot = tiny_skia::Point::from_xy(w / 2.0, h - 1.0);
            f.place.map_point(&mut foot);
            shadow(&mut c, foot.x, foot.y, w * 0.56, 8.0, 0.6);
            c.pixmap_mut().draw_pixmap(0, 0, f.sprite.pixmap.as_ref(), &paint, f.place, None);
        }
        let under = vec![(0.0, Rgb::BLACK, 0.3), (1.0, Rgb::BLACK, 0.0)];
        c.rect([0.0, top, SCENE.0, 60.0], Ink::Linear((0.0, top), (0.0, top + 60.0), under));
        rail(&mut c, rng, floor, metal, facings, products);
    }
    c.into_pixmap()
}

/// The board's front edge with a tag under each kind of product.
fn rail(c: &mut Canvas, rng: &mut Rng, y: f32, metal: Rgb, facings: &[Facing], products: &[DemoProduct]) {
    c.rect([0.0, y, SCENE.0, RAIL], Ink::vertical(y, y + RAIL, metal.lighter(0.25), metal.darker(0.25)));
    c.rect([0.0, y, SCENE.0, 2.0], Ink::Flat(Rgb::WHITE, 0.5));
    let mut firsts: Vec<&Facing> = facings.iter().collect();
    firsts.dedup_by_key(|f| f.product);
    for (i, f) in firsts.iter().enumerate() {
        let product = &products[f.product];
        let offer = rng.chance(0.12);
        let price = format!("{}.{}9", 1 + rng.below(8), rng.below(10));
        let x = f.place.tx.max(BORDER) + 2.0;
        let next = firsts.get(i + 1).map_or(SCENE.0, |n| n.place.tx);
        let (w, h) = ((next - x - 3.0).clamp(40.0, 92.0), RAIL - 6.0);
        let card = if offer { Rgb(250, 214, 40) } else { Rgb(250, 250, 246) };
        c.rounded([x, y + 4.0, w, h], 2.0, card);
        let ink = Rgb(30, 30, 34);
        let name = Face::Condensed.shortened(&product.title, 8.0, w - 6.0);
        c.text(Face::Condensed, &name, 8.0, x + 3.0, y + 12.0, Align::Left, ink);
        c.text(
            Face::MontserratBold,
            &price,
            15.0,
            x + w - 3.0,
            y + h,
            Align::Right,
            if offer { Rgb(190, 20, 30) } else { ink },
        );
        for (k, _) in ean13::modules(&product.design.digits).iter().enumerate().filter(|(_, dark)| **dark) {
            if w > 84.0 {
                c.rect([x + 3.0 + k as f32 * 0.42, y + 15.0, 0.42, h - 15.0], ink);
            }
        }
    }
}

/// A facing as the photo shows it, if at least half of its box is in the picture.
fn item(f: &Facing, to_view: &Projection) -> Option<ShelfItem> {
    let polygon: Vec<Point> = f
        .sprite
        .outline
        .iter()
        .map(|&(x, y)| {
            let mut p = tiny_skia::Point::from_xy(x, y);
            f.place.map_point(&mut p);
            to_view.apply((p.x, p.y))
        })
        .collect();
    let (low, high) = warp::bounds(&polygon);
    let full = Rect::new(low.0, low.1, high.0 - low.0, high.1 - low.1);
    let rect = full.clip(VIEW.0, VIEW.1)?;
    (rect.area() >= full.area() * 0.5).then_some(ShelfItem { product: f.product, polygon, rect })
}
