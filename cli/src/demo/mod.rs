//! The shop of `shelfsight demo`: products that do not exist, drawn with everything a package has, and photos of them.

mod artwork;
mod back;
mod camera;
mod catalogue;
mod ean13;
mod package;
mod packshot;
mod pattern;
mod photo;
mod pictogram;
mod rng;
mod round;
mod shelf;
mod warp;
mod words;

pub use catalogue::{DemoProduct, draw_catalogue};
pub use photo::draw_photo;
pub use shelf::{Shelf, draw_shelf};

#[cfg(test)]
mod tests {
    use shelfsight::Frame;
    use shelfsight::fuse::{BarcodeOptions, Gtin, read_barcodes};

    use super::package::{Side, render};
    use super::words::Pack;
    use super::*;
    use crate::canvas::{Canvas, Rgb};

    const SEED: u64 = 5;

    /// One design of each shape.
    fn shapes() -> Vec<catalogue::Design> {
        let mut seen: Vec<Pack> = vec![];
        let mut shapes = catalogue::designs(SEED, 1500);
        shapes.retain(|d| {
            !seen.contains(&d.pack) && {
                seen.push(d.pack);
                true
            }
        });
        assert_eq!(shapes.len(), 13, "{seen:?}");
        shapes
    }

    /// The barcode the library finds.
    fn read(picture: &image::RgbImage) -> Option<Gtin> {
        let frame = Frame::rgb(picture.as_raw(), picture.width(), picture.height()).unwrap();
        read_barcodes(&frame, &BarcodeOptions::default()).first().map(|b| b.gtin)
    }

    fn gtin(digits: &[u8; 13]) -> Gtin {
        Gtin::from_digits(digits).unwrap()
    }

    #[test]
    fn every_shape_carries_its_barcode() {
        for d in shapes() {
            let scale = 900.0 / d.extent.0.max(d.extent.1);
            let sprite = render(&d, Side::Back, 0.0, scale).pixmap;
            let mut c = Canvas::new(sprite.width() as f32, sprite.height() as f32, 1.0);
            c.rect([0.0, 0.0, 2000.0, 2000.0], Rgb::WHITE);
            let paint = tiny_skia::PixmapPaint::default();
            c.pixmap_mut().draw_pixmap(0, 0, sprite.as_ref(), &paint, tiny_skia::Transform::identity(), None);
            assert_eq!(read(&c.into_rgb()), Some(gtin(&d.digits)), "{:?}", d.pack);
        }
    }

    #[test]
    fn backs_in_the_catalogue_can_be_read() {
        let products = draw_catalogue(SEED, 60);
        let backs: Vec<_> = products.iter().filter_map(|p| Some((p.pictures.get(1)?, &p.gtin))).collect();
        let right = backs.iter().filter(|(picture, gtin)| read(picture) == Gtin::parse(gtin).ok()).count();
        assert!(backs.len() >= 10 && right * 10 >= backs.len() * 6, "{right} of {}", backs.len());
        // no front shows a code
        assert!(products.iter().take(20).all(|p| read(&p.pictures[0]).is_none()));
    }

    #[test]
    fn outlines_hold_the_pixels() {
        for d in shapes() {
            for turned in [0.0, 12.0, -20.0] {
                let s = render(&d, Side::Front, turned, 0.7);
                let (low, high) = warp::bounds(&s.outline);
                let (mut solid, mut left, mut right) = (0, f32::MAX, f32::MIN);
                for (i, _) in s.pixmap.pixels().iter().enumerate().filter(|(_, p)| p.alpha() > 127) {
                    let (x, y) = (
                        (i as u32 % s.pixmap.width()) as f32 + 0.5,
                        (i as u32 / s.pixmap.width()) as f32 + 0.5,
                    );
                    assert!(
                        x > low.0 - 1.5 && x < high.0 + 1.5 && y > low.1 - 1.5 && y < high.1 + 1.5,
                        "{:?}",
                        d.pack
                    );
                    (solid, left, right) = (solid + 1, left.min(x), right.max(x));
                }
                // nor is it much larger than they are
                let area = (high.0 - low.0) * (high.1 - low.1);
                assert!(solid as f32 > area * 0.5, "{:?} {solid} {area}", d.pack);
                assert!(left - low.0 < 4.0 && high.0 - right < 4.0, "{:?}", d.pack);
            }
        }
    }

    #[test]
    fn a_shelf_knows_what_stands_on_it() {
        let products = draw_catalogue(SEED, 60);
        let shelf = draw_shelf(SEED, &products, 24);
        let (w, h) = shelf.picture.dimensions();
        assert_eq!((w, h), (1600, 1200));
        let mut kinds: Vec<usize> = shelf.truth.iter().map(|i| i.product).collect();
        assert!(kinds.len() > 30, "{}", kinds.len());
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), 24);
        for item in &shelf.truth {
            let r = item.rect;
            assert!(r.x >= 0.0 && r.y >= 0.0 && r.x + r.w <= w as f32 && r.y + r.h <= h as f32, "{r:?}");
            assert!(r.area() > 1500.0, "{r:?}");
            let (low, high) = warp::bounds(&item.polygon);
            let hull = shelfsight::Rect::new(low.0, low.1, high.0 - low.0, high.1 - low.1);
            assert!(hull.iou(&r) > 0.9);
        }
        // neighbours hide little of one another
        for (i, a) in shelf.truth.iter().enumerate() {
            for b in &shelf.truth[..i] {
                assert!(a.rect.intersection(&b.rect) < 0.35 * a.rect.area().min(b.rect.area()));
            }
        }
        assert_eq!(draw_shelf(SEED, &products, 24).picture, shelf.picture);
    }

    /// The colours inside a box are those of its product: without this a box could lie anywhere.
    #[test]
    fn boxes_lie_on_their_products() {
        let products = draw_catalogue(SEED, 60);
        let shelf = draw_shelf(SEED, &products, 24);
        let mean = |picture: &image::RgbImage, r: shelfsight::Rect| {
            let (x, y) = ((r.x + r.w * 0.3) as u32, (r.y + r.h * 0.45) as u32);
            let part =
                image::imageops::crop_imm(picture, x, y, (r.w * 0.4) as u32, (r.h * 0.35) as u32).to_image();
            let sum = part.pixels().fold([0f32; 3], |s, p| [0, 1, 2].map(|i| s[i] + f32::from(p.0[i])));
            let grey = (sum[0] + sum[1] + sum[2]).max(1.0);
            sum.map(|v| v / grey)
        };
        let far = |a: [f32; 3], b: [f32; 3]| (0..3).map(|i| (a[i] - b[i]).abs()).sum::<f32>();
        let mut near = 0;
        for item in &shelf.truth {
            let front = &products[item.product].pictures[0];
            let whole =
                shelfsight::Rect::new(16.0, 16.0, front.width() as f32 - 32.0, front.height() as f32 - 32.0);
            near += usize::from(far(mean(&shelf.picture, item.rect), mean(front, whole)) < 0.16);
        }
        assert!(near * 10 >= shelf.truth.len() * 9, "{near} of {}", shelf.truth.len());
    }

    #[test]
    fn shelves_of_any_number() {
        let products = draw_catalogue(SEED, 40);
        for n in [0, 1, 2, 40, 1000] {
            let shelf = draw_shelf(SEED, &products, n);
            let mut kinds: Vec<usize> = shelf.truth.iter().map(|i| i.product).collect();
            kinds.sort_unstable();
            kinds.dedup();
            assert_eq!(kinds.len(), n.min(40), "{n}");
        }
        assert!(draw_shelf(SEED, &[], 5).truth.is_empty());
    }

    #[test]
    fn photos_show_fronts_and_backs() {
        let products = draw_catalogue(SEED, 30);
        let photos: Vec<photo::Photo> = products.iter().map(|p| draw_photo(SEED, p)).collect();
        let backs = photos.iter().filter(|p| p.barcode_in_view).count();
        assert!((4..20).contains(&backs), "{backs}");
        for (photo, product) in photos.iter().zip(&products) {
            let (low, high) = warp::bounds(&photo.polygon);
            assert!(low.0 > -40.0 && low.1 > -40.0 && high.0 < 1000.0 && high.1 < 1320.0, "{low:?} {high:?}");
            if let Some(code) = read(&photo.picture) {
                assert!(
                    Gtin::parse(&product.gtin) == Ok(code) && photo.barcode_in_view,
                    "{} {code}",
                    product.title
                );
            }
        }
        let read = photos.iter().filter(|p| p.barcode_in_view && read(&p.picture).is_some()).count();
        assert!(read > 0 && read <= backs, "{read} of {backs}");
    }

    /// Packages are the same bits on every machine: no step of their drawing leaves the rounding to it.
    #[test]
    fn pictures_do_not_change_by_accident() {
        let hash = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01B3))
        };
        let mut all = 0;
        for d in shapes() {
            for side in [Side::Front, Side::Back] {
                all ^= hash(render(&d, side, 9.0, 0.8).pixmap.data()).rotate_left(all as u32 % 63);
            }
        }
        assert_eq!(format!("{all:016x}"), "c9844e31a1cac29b");
    }
}
