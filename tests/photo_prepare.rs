//! Tensors from frames of every layout, against Pillow's resizes.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde::Deserialize;
use shelfsight::frame::{Frame, Pixels, Plane, Rotation};
use shelfsight::geometry::Rect;
use shelfsight::preprocess::{
    DecodeOptions, Filter, ImageSpec, Layout, Photo, PrepareError, Resize, check_region, open, prepare,
    to_luma, to_rgb,
};

fn fixture(name: &str) -> Photo {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/photos").join(name);
    open(&path, &DecodeOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn spec(width: u32, height: u32, resize: Resize, filter: Filter) -> ImageSpec {
    let (mean, std) = ([127.0; 3], [1.0; 3]);
    ImageSpec { width, height, resize, filter, mean, std, layout: Layout::Nhwc, crop_fraction: 1.0 }
}

#[derive(Deserialize)]
struct Case {
    reference: String,
    region: Option<[f32; 4]>,
    width: u32,
    height: u32,
    resize: Resize,
    filter: Filter,
    crop_fraction: f32,
}

#[test]
fn resizes_as_pillow_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/photos/prepare.json");
    let cases: Vec<Case> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(cases.len(), 10);
    let photo = fixture("upright.png");
    for case in cases {
        let spec = ImageSpec {
            crop_fraction: case.crop_fraction,
            ..spec(case.width, case.height, case.resize, case.filter)
        };
        let region = case.region.map(|[x, y, w, h]| Rect::new(x, y, w, h));
        let got = prepare(&photo.frame(), region, &spec).unwrap().values(&spec);
        let want = fixture(&case.reference);
        let off: Vec<f32> =
            got.iter().zip(want.rgb()).map(|(g, &w)| (g + 127.0 - f32::from(w)).abs()).collect();
        let (worst, mean) =
            (off.iter().copied().fold(0.0, f32::max), off.iter().sum::<f32>() / off.len() as f32);
        // Both round to bytes between their two passes, but Pillow goes across first and we down first: one level of
        // rounding, and a few where bicubic and Lanczos shoot over the end of the range at hard edges. Cropping after
        // the resize, as Pillow must, rounds once more.
        let allowed = match (case.filter, case.resize) {
            (Filter::Bilinear, Resize::Crop) => (2.0, 0.3),
            (Filter::Bilinear, _) => (1.0, 0.2),
            (_, Resize::Crop) => (32.0, 0.5),
            _ => (32.0, 0.3),
        };
        assert!(worst <= allowed.0 && mean <= allowed.1, "{}: worst {worst}, mean {mean}", case.reference);
    }
}

/// How pixels may lie in memory.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Rgb,
    Bgr,
    Rgba,
    Bgra,
    Wide,
}

/// Bytes of an upright picture as a camera turned by `rotation` would store them, rows `padding` bytes longer, the
/// last row without its padding if `short`.
fn store(
    photo: &Photo,
    kind: Kind,
    rotation: Rotation,
    padding: usize,
    short: bool,
) -> (Vec<u8>, usize, usize) {
    let (w, h) = (photo.width() as usize, photo.height() as usize);
    let (sw, sh) = if matches!(rotation, Rotation::R0 | Rotation::R180) { (w, h) } else { (h, w) };
    let step = match kind {
        Kind::Rgb | Kind::Bgr => 3,
        Kind::Rgba | Kind::Bgra => 4,
        Kind::Wide => 5,
    };
    let stride = sw * step + padding;
    let mut bytes = vec![0xAB; stride * sh];
    for y in 0..h {
        for x in 0..w {
            let (sx, sy) = match rotation {
                Rotation::R0 => (x, y),
                Rotation::R90 => (y, sh - 1 - x),
                Rotation::R180 => (sw - 1 - x, sh - 1 - y),
                Rotation::R270 => (sw - 1 - y, x),
            };
            let mut pixel: [u8; 3] = photo.rgb()[(y * w + x) * 3..][..3].try_into().unwrap();
            if matches!(kind, Kind::Bgr | Kind::Bgra) {
                pixel.reverse();
            }
            bytes[sy * stride + sx * step..][..3].copy_from_slice(&pixel);
        }
    }
    if short {
        bytes.truncate(stride * (sh - 1) + (sw - 1) * step + 3);
    }
    (bytes, stride, step)
}

fn any_photo() -> impl Strategy<Value = Photo> {
    (1u32..40, 1u32..40, any::<u64>()).prop_map(|(w, h, seed)| {
        let rgb =
            (0..u64::from(w * h * 3)).map(|i| (seed.rotate_left(i as u32 % 64) ^ i.wrapping_mul(97)) as u8);
        Photo::new(w, h, rgb.collect()).unwrap()
    })
}

fn any_rotation() -> impl Strategy<Value = Rotation> {
    prop::sample::select(vec![Rotation::R0, Rotation::R90, Rotation::R180, Rotation::R270])
}

fn any_spec() -> impl Strategy<Value = ImageSpec> {
    let resize = prop::sample::select(vec![Resize::Squash, Resize::Crop, Resize::Pad]);
    let filter = prop::sample::select(vec![Filter::Bilinear, Filter::Bicubic, Filter::Lanczos3]);
    (1u32..30, 1u32..30, resize, filter, 0.3f32..=1.0).prop_map(|(w, h, resize, filter, crop_fraction)| {
        ImageSpec { crop_fraction, ..spec(w, h, resize, filter) }
    })
}

fn any_region() -> impl Strategy<Value = Option<Rect>> {
    let side = || -10.0f32..40.0;
    prop::option::of(
        (side(), side(), 1.0f32..40.0, 1.0f32..40.0).prop_map(|(x, y, w, h)| Rect::new(x, y, w, h)),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// However the same picture lies in memory, the tensor is the same; a turned one to within rounding.
    #[test]
    fn memory_layout_does_not_matter(
        photo in any_photo(),
        kind in prop::sample::select(vec![Kind::Rgb, Kind::Bgr, Kind::Rgba, Kind::Bgra, Kind::Wide]),
        rotation in any_rotation(),
        padding in 0usize..9,
        short in any::<bool>(),
        spec in any_spec(),
        region in any_region(),
    ) {
        let (data, row_stride, pixel_stride) = store(&photo, kind, rotation, padding, short);
        let plane = Plane { data: &data, row_stride, pixel_stride };
        let pixels = match kind {
            Kind::Bgr | Kind::Bgra => Pixels::Bgr(plane),
            _ => Pixels::Rgb(plane),
        };
        let sides = (photo.width(), photo.height());
        let (w, h) = if matches!(rotation, Rotation::R0 | Rotation::R180) { sides } else { (sides.1, sides.0) };
        let frame = Frame::new(pixels, w, h).unwrap().rotated(rotation);
        prop_assert_eq!(frame.size(), sides);
        prop_assert_eq!(to_rgb(&frame), photo.clone());
        prop_assert_eq!(to_luma(&frame), to_luma(&photo.frame()));

        let (got, want) = (prepare(&frame, region, &spec), prepare(&photo.frame(), region, &spec));
        match (got, want) {
            (Ok(got), Ok(want)) => {
                let (a, b) = (got.values(&spec), want.values(&spec));
                let off: Vec<f32> = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).collect();
                let (worst, mean) = (off.iter().copied().fold(0.0, f32::max), off.iter().sum::<f32>() / off.len() as f32);
                // Turning swaps the two passes, and what shoots over is cut between them: noise is the worst case.
                let allowed = match (rotation, spec.filter) {
                    (Rotation::R0, _) => (0.0, 0.0),
                    (_, Filter::Bilinear) => (2.0, 1.0),
                    _ => (64.0, 6.0),
                };
                prop_assert!(worst <= allowed.0 && mean <= allowed.1, "worst {}, mean {}", worst, mean);
                prop_assert_eq!(got.placement, want.placement);
            }
            (got, want) => prop_assert_eq!(got, want),
        }
    }

    /// Cutting first or naming the region gives the same tensor: nothing outside the region is read.
    #[test]
    fn a_region_is_a_crop(photo in any_photo(), spec in any_spec(), cut in (0u32..40, 0u32..40, 1u32..40, 1u32..40)) {
        let (x, y) = (cut.0 % photo.width(), cut.1 % photo.height());
        let (w, h) = (cut.2.min(photo.width() - x), cut.3.min(photo.height() - y));
        let rows = (y..y + h).flat_map(|row| {
            let start = (row * photo.width() + x) as usize * 3;
            photo.rgb()[start..start + w as usize * 3].iter().copied()
        });
        let cropped = Photo::new(w, h, rows.collect()).unwrap();
        let region = Rect::new(x as f32, y as f32, w as f32, h as f32);
        let got = prepare(&photo.frame(), Some(region), &spec).unwrap();
        let want = prepare(&cropped.frame(), None, &spec).unwrap();
        prop_assert_eq!(got.values(&spec), want.values(&spec));
    }

    /// The tensor's axes are only permuted, and the placement is exact where both ends are known.
    #[test]
    fn layout_and_placement(photo in any_photo(), spec in any_spec()) {
        let nhwc = prepare(&photo.frame(), None, &spec).unwrap();
        let planar = ImageSpec { layout: Layout::Nchw, ..spec.clone() };
        let nchw = prepare(&photo.frame(), None, &planar).unwrap();
        let area = (spec.width * spec.height) as usize;
        let (a, b) = (nhwc.values(&spec), nchw.values(&planar));
        prop_assert_eq!(a.len(), area * 3);
        for i in 0..area * 3 {
            prop_assert_eq!(a[i], b[i % 3 * area + i / 3]);
        }
        prop_assert_eq!(nhwc.placement, nchw.placement);

        let whole = Rect::new(0.0, 0.0, photo.width() as f32, photo.height() as f32);
        let p = nhwc.placement;
        let back = p.to_frame(p.to_input(whole));
        prop_assert!((back.x).abs() < 1e-2 && (back.w - whole.w).abs() < 1e-2, "{:?}", back);
        let placed = p.to_input(whole);
        let (w, h) = (spec.width as f32, spec.height as f32);
        match spec.resize {
            Resize::Squash => {
                prop_assert!(placed.x.abs() < 1e-3 && placed.y.abs() < 1e-3);
                prop_assert!((placed.w - w).abs() < 1e-2 && (placed.h - h).abs() < 1e-2);
            }
            Resize::Pad => prop_assert!(placed.x > -1e-2 && placed.x + placed.w < w + 1e-2),
            Resize::Crop => prop_assert!(placed.x < 1e-2 && placed.x + placed.w > w - 1e-2),
        }
    }

    /// YUV frames of odd sizes, planar or interleaved either way, give what their full conversion gives, but for
    /// the order of clamping and averaging.
    #[test]
    fn yuv_is_resized_before_it_is_converted(
        (w, h) in (1u32..40, 1u32..40),
        seed in any::<u8>(),
        interleaved in prop::sample::select(vec![0u8, 1, 2]),
        rotation in any_rotation(),
        padding in 0usize..5,
    ) {
        // Smooth colours that stay inside the gamut, so that clamping plays no part.
        let smooth = |x: usize, y: usize, k: usize| 110 + ((x * 2 + y * k + usize::from(seed)) % 36) as u8;
        let (sw, sh) = (w as usize, h as usize);
        let (cw, ch) = (sw.div_ceil(2), sh.div_ceil(2));
        let y_stride = sw + padding;
        let mut luma = vec![0; y_stride * sh];
        for y in 0..sh {
            for x in 0..sw {
                luma[y * y_stride + x] = smooth(x, y, 1);
            }
        }
        let (step, stride) = if interleaved == 0 { (1, cw + padding) } else { (2, 2 * cw + padding) };
        let mut chroma = vec![0; stride * ch * 2 + 1];
        let (u_at, v_at) = match interleaved {
            0 => (0, stride * ch),
            1 => (0, 1),
            _ => (1, 0),
        };
        for y in 0..ch {
            for x in 0..cw {
                chroma[u_at + y * stride + x * step] = smooth(x, y, 3);
                chroma[v_at + y * stride + x * step] = smooth(x, y, 2);
            }
        }
        let plane = |data, row_stride, pixel_stride| Plane { data, row_stride, pixel_stride };
        let pixels = Pixels::Yuv420 {
            y: plane(&luma[..y_stride * (sh - 1) + sw], y_stride, 1),
            u: plane(&chroma[u_at..], stride, step),
            v: plane(&chroma[v_at..], stride, step),
        };
        let frame = Frame::new(pixels, w, h).unwrap().rotated(rotation);
        let photo = to_rgb(&frame);
        let spec = spec(5, 4, Resize::Squash, Filter::Bilinear);
        let got = prepare(&frame, None, &spec).unwrap().values(&spec);
        let want = prepare(&photo.frame(), None, &spec).unwrap().values(&spec);
        let mean = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).sum::<f32>() / got.len() as f32;
        // Colours of a picture of a few pixels are spread differently where it grows; a small one jumps by 36.
        let allowed = if w >= 10 && h >= 10 { 6.0 } else { 40.0 };
        prop_assert!(mean <= allowed, "off by {} on average", mean);
    }
}

#[test]
fn yuv_formula_at_its_corners() {
    let convert = |y: u8, u: u8, v: u8| {
        let plane = |data| Plane { data, row_stride: 1, pixel_stride: 1 };
        let (y, u, v) = ([y], [u], [v]);
        let frame = Frame::new(Pixels::Yuv420 { y: plane(&y), u: plane(&u), v: plane(&v) }, 1, 1).unwrap();
        to_rgb(&frame).into_rgb()
    };
    for (y, u, v) in
        [(0, 128, 128), (255, 128, 128), (76, 85, 255), (150, 44, 21), (29, 255, 107), (128, 0, 255)]
    {
        let (yf, uf, vf) = (f64::from(y), f64::from(u) - 128.0, f64::from(v) - 128.0);
        let want = [yf + 1.402 * vf, yf - 0.344_136 * uf - 0.714_136 * vf, yf + 1.772 * uf];
        for (got, want) in convert(y, u, v).into_iter().zip(want) {
            assert!((f64::from(got) - want.clamp(0.0, 255.0)).abs() <= 0.51, "{y} {u} {v}");
        }
    }
}

#[test]
fn padding_is_zero_after_normalisation_and_grey_is_grey() {
    let data = [200u8; 8 * 2];
    let plane = Plane { data: &data, row_stride: 8, pixel_stride: 1 };
    let frame = Frame::new(Pixels::Gray(plane), 8, 2).unwrap();
    let mut spec = spec(8, 8, Resize::Pad, Filter::Bilinear);
    (spec.mean, spec.std) = ([100.0, 50.0, 0.0], [100.0, 50.0, 200.0]);
    let values = prepare(&frame, None, &spec).unwrap().values(&spec);
    for (i, pixel) in values.chunks_exact(3).enumerate() {
        let inside = (3..5).contains(&(i / 8));
        assert_eq!(pixel, if inside { [1.0, 3.0, 1.0] } else { [0.0; 3] }, "row {}", i / 8);
    }
}

#[test]
fn a_single_row_needs_no_stride() {
    let spec = spec(4, 1, Resize::Squash, Filter::Bilinear);
    for row_stride in [0, 1, 8, 64] {
        let y = Plane { data: &[7; 8], row_stride, pixel_stride: 1 };
        let c = Plane { data: &[128; 4], row_stride, pixel_stride: 1 };
        let yuv = Frame::new(Pixels::Yuv420 { y, u: c, v: c }, 8, 1).unwrap();
        let rgb =
            Frame::new(Pixels::Rgb(Plane { data: &[7; 24], row_stride, pixel_stride: 3 }), 8, 1).unwrap();
        for frame in [yuv, rgb, Frame::new(Pixels::Gray(y), 8, 1).unwrap()] {
            assert_eq!(to_rgb(&frame).rgb(), [7; 24], "{frame:?}");
            assert_eq!(prepare(&frame, None, &spec).unwrap().pixels, [7; 12], "{frame:?}");
        }
    }
}

#[test]
fn nothing_inside_is_an_error() {
    let photo = fixture("upright.png");
    let spec = spec(8, 8, Resize::Squash, Filter::Bilinear);
    for rect in [
        Rect::new(61.0, 0.0, 5.0, 5.0),
        Rect::new(5.0, 5.0, 0.0, 5.0),
        Rect::new(f32::NAN, 0.0, 5.0, 5.0),
        Rect::new(0.0, 0.0, 5.0, f32::NAN),
        Rect::new(f32::INFINITY, 0.0, 5.0, 5.0),
        Rect::new(0.0, 0.0, f32::NEG_INFINITY, 5.0),
    ] {
        let refused = prepare(&photo.frame(), Some(rect), &spec).unwrap_err();
        assert!(matches!(refused, PrepareError::EmptyRegion { .. }));
        assert!(matches!(check_region(&photo.frame(), rect), Err(PrepareError::EmptyRegion { .. })));
        assert!(refused.to_string().contains("no pixel inside") && !refused.to_string().contains("Rect"));
    }
    // What reaches past the picture is cut, however far.
    let whole = prepare(&photo.frame(), None, &spec).unwrap();
    for rect in [
        Rect::new(-9.0, -9.0, 900.0, 900.0),
        Rect::new(0.0, 0.0, 1e9, 1e30),
        Rect::new(0.0, 0.0, f32::INFINITY, f32::INFINITY),
        Rect::new(f32::NEG_INFINITY, f32::NEG_INFINITY, f32::INFINITY, f32::INFINITY),
    ] {
        assert_eq!(prepare(&photo.frame(), Some(rect), &spec).unwrap(), whole, "{rect:?}");
        assert_eq!(check_region(&photo.frame(), rect), Ok(()));
    }
    let bad = ImageSpec { width: 0, ..spec };
    assert!(matches!(prepare(&photo.frame(), None, &bad), Err(PrepareError::Spec(_))));
}
