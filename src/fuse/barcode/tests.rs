//! Barcodes drawn at many sizes, angles and blurs, and pictures without any.

use super::symbol::{Symbol, draw};
use super::*;
use crate::frame::{Pixels, Plane};
use proptest::prelude::*;

fn digits(text: &str) -> Vec<u8> {
    text.bytes().map(|b| b - b'0').collect()
}

/// A grey picture and its width and height.
struct Picture {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl Picture {
    fn read(&self) -> Vec<String> {
        self.barcodes().iter().map(|b| b.gtin.to_string()).collect()
    }

    fn barcodes(&self) -> Vec<Barcode> {
        let plane = Plane { data: &self.data, row_stride: self.width, pixel_stride: 1 };
        let frame = Frame::new(Pixels::Gray(plane), self.width as u32, self.height as u32).unwrap();
        read_barcodes(&frame, &BarcodeOptions::default())
    }

    /// Adds noise of up to `most` grey levels.
    fn noisy(mut self, most: i16, seed: u64) -> Self {
        let mut noise = Noise(seed);
        for v in &mut self.data {
            let add = (noise.next() % (2 * most as u64 + 1)) as i16 - most;
            *v = (i16::from(*v) + add).clamp(0, 255) as u8;
        }
        self
    }
}

struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }
}

/// How a barcode is drawn.
#[derive(Clone, Copy)]
struct Look {
    /// Pixels a module.
    module: f32,
    /// Degrees turned.
    angle: f32,
    /// Half the width of a box blur, in pixels.
    blur: f32,
}

/// A barcode on a light card on a grey table, 5 × 5 samples a pixel.
fn picture(symbol: Symbol, text: &str, look: Look) -> Picture {
    let bars = draw(symbol, &digits(text));
    let (length, height) = (bars.len() as f32, (40.0 / look.module).max(25.0));
    let side = ((length + 30.0) * look.module * 1.2) as usize;
    let (sin, cos) = look.angle.to_radians().sin_cos();
    let ink = |x: f32, y: f32| {
        let (dx, dy) = ((x - side as f32 / 2.0) / look.module, (y - side as f32 / 2.0) / look.module);
        let (u, v) = (dx * cos + dy * sin + length / 2.0, dy * cos - dx * sin);
        if v.abs() < height / 2.0 && u >= 0.0 && u < length && bars[u as usize] == 1 {
            35.0
        } else if v.abs() < height / 2.0 + 12.0 && (-11.0..length + 11.0).contains(&u) {
            215.0
        } else {
            120.0
        }
    };
    let spread = 0.5 + look.blur;
    let mut data = Vec::with_capacity(side * side);
    for i in 0..side * side {
        let (x, y) = ((i % side) as f32 + 0.5, (i / side) as f32 + 0.5);
        let samples = (0..25).map(|s| {
            let (sx, sy) = ((s % 5) as f32 - 2.0, (s / 5) as f32 - 2.0);
            ink(x + sx * spread * 0.4, y + sy * spread * 0.4)
        });
        data.push((samples.sum::<f32>() / 25.0) as u8);
    }
    Picture { width: side, height: side, data }
}

const KINDS: [(Symbol, &str, &str); 5] = [
    (Symbol::Ean13, "4006381333931", "04006381333931"),
    (Symbol::Ean13, "0036000291452", "00036000291452"), // UPC-A
    (Symbol::Ean13, "9781591844099", "09781591844099"),
    (Symbol::Ean8, "96385074", "00000096385074"),
    (Symbol::UpcE, "04252614", "00042100005264"),
];

#[test]
fn reads_all_kinds_at_many_sizes() {
    for (symbol, text, want) in KINDS {
        for module in [1.5, 2.0, 3.3, 6.0] {
            let look = Look { module, angle: 0.0, blur: 0.2 };
            assert_eq!(picture(symbol, text, look).noisy(6, 9).read(), [want], "{module} px a module");
        }
    }
}

#[test]
fn reads_an_ean_13_at_one_pixel_a_module() {
    for (symbol, text, want) in &KINDS[..3] {
        for module in [1.0, 1.15, 1.3] {
            let look = Look { module, angle: 0.0, blur: 0.1 };
            assert_eq!(picture(*symbol, text, look).noisy(3, 5).read(), [*want], "{module} px a module");
        }
    }
}

#[test]
fn reads_at_any_angle() {
    for (symbol, text, want) in KINDS {
        for angle in [90.0, 180.0, 270.0, 12.0, 45.0, -33.0, 160.0] {
            let look = Look { module: 2.2, angle, blur: 0.2 };
            assert_eq!(picture(symbol, text, look).noisy(6, 3).read(), [want], "turned by {angle}°");
        }
    }
}

#[test]
fn reads_through_blur_wider_than_a_module() {
    for (symbol, text, want) in &KINDS[..3] {
        let look = Look { module: 2.5, angle: 0.0, blur: 1.3 };
        assert_eq!(picture(*symbol, text, look).noisy(3, 7).read(), [*want]);
    }
}

#[test]
fn says_where_the_barcode_is() {
    let look = Look { module: 3.0, angle: 0.0, blur: 0.2 };
    let picture = picture(Symbol::Ean13, "4006381333931", look);
    let rect = picture.barcodes()[0].rect.unwrap();
    let middle = picture.width as f32 / 2.0;
    let want = Rect::new(middle - 47.5 * 3.0, middle - 12.5 * 3.0, 95.0 * 3.0, 25.0 * 3.0);
    assert!(rect.iou(&want) > 0.6, "{rect:?} where {want:?} was drawn");
}

#[test]
fn a_wrong_check_digit_is_never_read() {
    for last in "023456789".chars() {
        for module in [1.2, 2.0, 4.0] {
            let look = Look { module, angle: 0.0, blur: 0.2 };
            let text = format!("400638133393{last}");
            assert_eq!(picture(Symbol::Ean13, &text, look).read(), [""; 0], "{text} at {module} px");
        }
    }
    for last in "012356789".chars() {
        let look = Look { module: 2.5, angle: 0.0, blur: 0.2 };
        let text = format!("9638507{last}");
        assert_eq!(picture(Symbol::Ean8, &text, look).read(), [""; 0], "{text}");
    }
}

#[test]
fn odd_pictures_hold_no_barcode() {
    for (width, height) in [(1, 1), (5, 30_000), (30_000, 5), (24, 24), (640, 480)] {
        for grey in [0, 128, 255] {
            let picture = Picture { width, height, data: vec![grey; width * height] };
            assert_eq!(picture.read(), [""; 0]);
            assert_eq!(picture.noisy(100, 11).read(), [""; 0]);
        }
    }
}

#[test]
fn limits_are_kept() {
    let look = Look { module: 2.0, angle: 0.0, blur: 0.2 };
    let picture = picture(Symbol::Ean13, "4006381333931", look);
    let frame = Plane { data: &picture.data, row_stride: picture.width, pixel_stride: 1 };
    let frame = Frame::new(Pixels::Gray(frame), picture.width as u32, picture.height as u32).unwrap();
    for (max_places, max_results) in [(0, 16), (10, 0)] {
        assert_eq!(read_barcodes(&frame, &BarcodeOptions { max_places, max_results }), []);
    }
}

/// Random bars of one to four modules: like a barcode in all but the digits. Some of them spell a number with a right
/// check digit, so the test asks how many, not whether.
#[test]
fn random_stripes_are_seldom_read() {
    let read: Vec<Vec<String>> =
        (1..=STRIPES).map(|seed| random_stripes(seed).read()).filter(|r| !r.is_empty()).collect();
    assert!(read.len() <= 2, "{} of {STRIPES}: {read:?}", read.len());
}

const STRIPES: u64 = 300;

fn random_stripes(seed: u64) -> Picture {
    let mut noise = Noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut share = || (noise.next() % 1024) as f32 / 1024.0;
    let (module, blur) = (1.0 + 4.0 * share(), share());
    let mut bars = Vec::new();
    while bars.len() < 110 {
        let run = 1 + (noise.next() % 4) as usize;
        let ink = bars.last().map_or(1, |b| 1 - b);
        bars.extend(std::iter::repeat_n(ink, run));
    }
    let (width, height) = ((bars.len() as f32 + 40.0) * module, 60.0 * module);
    let (width, height) = (width as usize, height as usize);
    let shade = |x: f32| {
        let m = x / module - 20.0;
        if m >= 0.0 && bars.get(m as usize) == Some(&1) { 40.0 } else { 210.0 }
    };
    let row: Vec<u8> = (0..width)
        .map(|x| {
            let spread = (0.5 + blur) * 2.0;
            let samples = (0..9).map(|i| shade(x as f32 + 0.5 + spread * (i as f32 / 8.0 - 0.5)));
            (samples.sum::<f32>() / 9.0) as u8
        })
        .collect();
    Picture { width, height, data: row.repeat(height) }.noisy(5, seed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn noise_is_not_read(seed in 1u64.., width in 1usize..200, height in 1usize..200) {
        let mut noise = Noise(seed);
        let data = (0..width * height).map(|_| noise.next() as u8).collect();
        prop_assert_eq!(Picture { width, height, data }.read(), [""; 0]);
    }

    #[test]
    fn any_number_comes_back(body in 0u64..10u64.pow(12), module in 1.3f32..4.0, angle in 0.0f32..360.0) {
        let gtin = Gtin::from_u64(body * 10 + u64::from(crate::fuse::gtin::check_digit(body)));
        prop_assume!(gtin.is_ok());
        let text = format!("{:013}", gtin.unwrap().as_u64());
        let picture = picture(Symbol::Ean13, &text, Look { module, angle, blur: 0.15 });
        let found = picture.noisy(4, body + 1).read();
        // A miss is allowed here (small symbols at bad angles), a wrong number is not.
        prop_assert!(found.iter().all(|f| f[1..] == text), "{:?} where {} was drawn", found, text);
    }
}
