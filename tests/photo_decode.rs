//! Photo files against what Pillow makes of them, and files that lie.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use shelfsight::preprocess::{DecodeError, DecodeOptions, Photo, PhotoFormat, decode, open};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/photos")
}

fn read(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn plain(bytes: &[u8]) -> Result<Photo, DecodeError> {
    decode(bytes, &DecodeOptions::default())
}

#[derive(Deserialize)]
struct Case {
    file: String,
    reference: String,
    tolerance: f64,
}

fn cases() -> Vec<Case> {
    serde_json::from_slice(&read("photos.json")).unwrap()
}

/// Mean absolute difference over all samples.
fn difference(a: &Photo, b: &Photo) -> f64 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let sum: u64 = a.rgb().iter().zip(b.rgb()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.rgb().len() as f64
}

#[test]
fn png_is_exact() {
    let photo = plain(&read("upright.png")).unwrap();
    assert_eq!((photo.width(), photo.height()), (61, 43));
    assert_eq!(photo.rgb(), read("upright.rgb"));
}

#[test]
fn every_kind_looks_as_in_pillow() {
    assert_eq!(cases().len(), 30);
    for case in cases() {
        let photo = plain(&read(&case.file)).unwrap_or_else(|e| panic!("{}: {e}", case.file));
        let found = difference(&photo, &plain(&read(&case.reference)).unwrap());
        assert!(found <= case.tolerance, "{}: off by {found} on average", case.file);
    }
}

/// The size that is checked must be the size that is decoded.
#[test]
fn a_second_frame_header_is_refused() {
    let sound = read("baseline_420.jpg");
    let at = sound.windows(2).position(|w| w == [0xFF, 0xC0] || w == [0xFF, 0xC2]).unwrap();
    let len = 2 + usize::from(u16::from_be_bytes([sound[at + 2], sound[at + 3]]));
    let mut small = sound[at..at + len].to_vec();
    small[5..9].copy_from_slice(&[0, 8, 0, 8]);
    for place in [at, at + len, sound.len() - 2] {
        let file = [&sound[..place], &small, &sound[place..]].concat();
        match plain(&file) {
            Err(DecodeError::Broken { reason, .. }) => assert_eq!(reason, "two frame headers"),
            other => panic!("at {place}: {:?}", other.map(|photo| photo.width())),
        }
    }
}

#[test]
fn a_promise_of_too_many_pixels_is_refused() {
    let size = |name| match plain(&read(name)) {
        Err(DecodeError::TooLarge { width, height, .. }) => (width, height),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(size("bomb.png"), (30_000, 30_000));
    assert_eq!(size("bomb.jpg"), (29_000, 29_000));
    assert_eq!(size("bomb.webp"), (16_383, 16_383));
    // The PNG reader refuses a side of 2³¹ − 1 by itself.
    assert!(matches!(plain(&read("bomb_side.png")), Err(DecodeError::Size(_) | DecodeError::Broken { .. })));
    let options = DecodeOptions { max_pixels: 61 * 43 - 1, ..Default::default() };
    for name in ["upright.png", "baseline_420.jpg", "lossy.webp"] {
        assert!(matches!(decode(&read(name), &options), Err(DecodeError::TooLarge { .. })), "{name}");
    }
    assert!(decode(&read("upright.png"), &DecodeOptions { max_pixels: 61 * 43, shrink_to: None }).is_ok());
}

#[test]
fn a_missing_end_is_an_error() {
    for case in cases() {
        let bytes = read(&case.file);
        // PNG ends in a chunk of 12 bytes that holds nothing; without it the picture is whole, and so it is without
        // the later pictures of an animation. WebP may end in a padding byte.
        let spare = match Path::new(&case.file).extension().unwrap().to_str().unwrap() {
            "jpg" => 1,
            "webp" => 2,
            _ if case.file == "animated.png" => bytes.len() / 2,
            _ => 13,
        };
        for keep in (0..=bytes.len() - spare).rev().step_by(7) {
            assert!(plain(&bytes[..keep]).is_err(), "{} cut to {keep} of {} B", case.file, bytes.len());
        }
    }
    let jpeg = read("baseline_420.jpg");
    let error = plain(&jpeg[..jpeg.len() - 1]).unwrap_err();
    assert_eq!(error, DecodeError::Truncated { format: PhotoFormat::Jpeg });
    assert_eq!(error.to_string(), "the JPEG is cut off: its end is missing");
}

#[test]
fn flipped_bits_never_panic() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let options = DecodeOptions { max_pixels: 1 << 20, shrink_to: None };
    let small = DecodeOptions { shrink_to: Some(8), ..options };
    for case in cases() {
        let good = read(&case.file);
        for _ in 0..60 {
            let mut bytes = good.clone();
            for _ in 0..1 + random(4) {
                let at = random(bytes.len());
                bytes[at] ^= 1 << random(8);
            }
            for options in [options, small] {
                if let Err(DecodeError::Broken { reason, .. }) = decode(&bytes, &options) {
                    assert_ne!(reason, "the decoder gave up", "{} panicked inside", case.file);
                }
            }
        }
    }
}

#[test]
fn content_decides_and_not_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("photo.jpg");
    fs::write(&path, read("upright.png")).unwrap();
    assert_eq!(open(&path, &DecodeOptions::default()).unwrap().rgb(), read("upright.rgb"));
}

#[test]
fn what_is_no_photo_is_named() {
    let unsupported = |bytes: &[u8]| match plain(bytes) {
        Err(DecodeError::Unsupported { name }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(unsupported(b"GIF89a\x01\x00"), "GIF");
    assert_eq!(unsupported(b"\0\0\0\x18ftypheic\0\0\0\0"), "HEIC");
    assert_eq!(unsupported(b"\0\0\0\x18ftypavif\0\0\0\0"), "AVIF");
    assert_eq!(unsupported(b"II*\0\x08\0\0\0"), "TIFF");
    assert_eq!(plain(b""), Err(DecodeError::Empty));
    assert_eq!(plain(b"id,title\n"), Err(DecodeError::Unknown));
    assert!(plain(&[0xFF, 0xD8, 0xFF]).is_err());
    assert!(plain(&[0xFF, 0xD8, 0xFF, 0xD9]).is_err());

    let dir = tempfile::tempdir().unwrap();
    let options = DecodeOptions::default();
    assert_eq!(open(dir.path(), &options), Err(DecodeError::NotAFile { path: dir.path().into() }));
    let missing = open(&dir.path().join("none.jpg"), &options).unwrap_err();
    assert!(missing.to_string().starts_with("cannot read ") && missing.to_string().contains("none.jpg"));
    assert!(!missing.to_string().contains('\n'));
}

/// A photo of 12 megapixels with ramps and edges.
fn twelve_megapixels(quality: u8) -> Vec<u8> {
    let (w, h) = (4032u32, 3024u32);
    let mut rgb = Vec::with_capacity((w * h * 3) as usize);
    for y in 0..h {
        for x in 0..w {
            let edge = if (x / 301 + y / 251) % 2 == 0 { 0 } else { 60 };
            rgb.extend([(x * 190 / w) as u8 + edge, (y * 190 / h) as u8 + edge, ((x + y) / 40) as u8]);
        }
    }
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
    image::ImageEncoder::write_image(encoder, &rgb, w, h, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

#[test]
fn twelve_megapixels_whole_and_scaled() {
    let bytes = twelve_megapixels(85);
    let whole = plain(&bytes).unwrap();
    assert_eq!((whole.width(), whole.height()), (4032, 3024));
    // Short side still needed → short side that comes out: never less, and 1/8 at most.
    for (needed, side) in
        [(1, 378), (378, 378), (379, 756), (756, 756), (1000, 1512), (1513, 3024), (9999, 3024)]
    {
        let small = decode(&bytes, &DecodeOptions { shrink_to: Some(needed), ..Default::default() }).unwrap();
        assert_eq!(small.height(), side, "needed {needed}");
        assert_eq!(small.width(), side * 4 / 3);
        let factor = 3024 / side as usize;
        let mut worst = 0;
        for (x, y) in [(10, 10), (100, 200), (side as usize, 3), (5, side as usize - 5)] {
            let at = |p: &Photo, x: usize, y: usize| {
                let i = (y * p.width() as usize + x) * 3;
                [p.rgb()[i], p.rgb()[i + 1], p.rgb()[i + 2]]
            };
            let mut mean = [0usize; 3];
            for dy in 0..factor {
                for dx in 0..factor {
                    let pixel = at(&whole, x * factor + dx, y * factor + dy);
                    mean.iter_mut().zip(pixel).for_each(|(m, v)| *m += usize::from(v));
                }
            }
            for (m, v) in mean.iter().zip(at(&small, x, y)) {
                worst = worst.max((m / (factor * factor)).abs_diff(usize::from(v)));
            }
        }
        assert!(worst <= 4, "needed {needed}: a pixel is off by {worst}");
    }
}
