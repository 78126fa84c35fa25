//! Photo file to tensor, stage by stage: `cargo bench --bench preprocess`.
//!
//! The photo is drawn here (12 megapixels, texture and edges, JPEG 4:2:0 at quality 88, about 3 MB) so that the bench
//! needs no files.

use std::hint::black_box;
use std::io::Cursor;

use criterion::{Criterion, criterion_group, criterion_main};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use shelfsight::frame::{Frame, Pixels, Plane, Rotation};
use shelfsight::preprocess::{DecodeOptions, Filter, ImageSpec, Layout, Photo, Resize, decode, prepare};

const WIDTH: u32 = 4032;
const HEIGHT: u32 = 3024;

/// Ramps, edges and noise, about as hard to decode as a photo.
fn draw(width: u32, height: u32) -> Vec<u8> {
    let mut state = 1u32;
    let mut rgb = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 28) as u8;
            let edge = if (x / 37 + y / 53) % 3 == 0 { 70 } else { 0 };
            rgb.extend([
                (x * 150 / width) as u8 + edge + noise,
                (y * 150 / height) as u8 + edge + noise,
                ((x ^ y) / 32 % 150) as u8 + noise,
            ]);
        }
    }
    rgb
}

fn jpeg(rgb: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 88);
    encoder.write_image(rgb, width, height, ExtendedColorType::Rgb8).expect("writes to memory");
    bytes
}

fn spec(side: u32, resize: Resize) -> ImageSpec {
    ImageSpec {
        width: side,
        height: side,
        resize,
        filter: Filter::Bilinear,
        mean: [127.0; 3],
        std: [128.0; 3],
        layout: Layout::Nchw,
        crop_fraction: 1.0,
    }
}

/// The crates side by side, without our checks: the reason for the choice in `preprocess/decode/jpeg.rs`.
fn decoders(c: &mut Criterion) {
    let bytes = jpeg(&draw(WIDTH, HEIGHT), WIDTH, HEIGHT);
    let mut group = c.benchmark_group("jpeg_12mp");
    group.sample_size(10);
    group.bench_function("zune_full", |b| {
        b.iter(|| {
            zune_jpeg::JpegDecoder::new(Cursor::new(&bytes[..])).decode().map(black_box).map(|p| p.len())
        });
    });
    for divisor in [1u16, 2, 4, 8] {
        group.bench_function(format!("jpeg_decoder_1_{divisor}"), |b| {
            b.iter(|| {
                let mut decoder = jpeg_decoder::Decoder::new(Cursor::new(&bytes[..]));
                decoder.scale(WIDTH as u16 / divisor, HEIGHT as u16 / divisor).expect("valid");
                black_box(decoder.decode().expect("valid")).len()
            });
        });
    }
    for shrink_to in [None, Some(1024), Some(512), Some(256)] {
        let options = DecodeOptions { shrink_to, ..Default::default() };
        let name = shrink_to.map_or("ours_full".into(), |s| format!("ours_short_side_{s}"));
        group.bench_function(name, |b| b.iter(|| decode(black_box(&bytes), &options).expect("valid")));
    }
    group.finish();

    let small = jpeg(&draw(464, 348), 464, 348);
    let options = DecodeOptions::default();
    c.bench_function("jpeg_464x348/ours", |b| b.iter(|| decode(black_box(&small), &options).expect("valid")));
}

fn tensors(c: &mut Criterion) {
    let photo = Photo::new(WIDTH, HEIGHT, draw(WIDTH, HEIGHT)).expect("sizes fit");
    let small = Photo::new(464, 348, draw(464, 348)).expect("sizes fit");
    let (w, h) = (1920usize, 1080usize);
    let luma: Vec<u8> = (0..w * h).map(|i| (i * 7 % 251) as u8).collect();
    let chroma: Vec<u8> = (0..w * h / 2 + 1).map(|i| (i * 3 % 241) as u8).collect();
    let plane = |data, row_stride, pixel_stride| Plane { data, row_stride, pixel_stride };
    let nv12 =
        Pixels::Yuv420 { y: plane(&luma, w, 1), u: plane(&chroma, w, 2), v: plane(&chroma[1..], w, 2) };
    let camera = Frame::new(nv12, w as u32, h as u32).expect("sizes fit").rotated(Rotation::R90);
    let rgba = vec![90u8; w * h * 4];
    let rgba = Frame::rgba(&rgba, w as u32, h as u32).expect("sizes fit").rotated(Rotation::R90);
    let crop = shelfsight::Rect::new(400.0, 300.0, 260.0, 340.0);

    let mut group = c.benchmark_group("prepare");
    let squash = spec(224, Resize::Squash);
    let mut run = |name: &str, frame: &Frame<'_>, region, spec: &ImageSpec| {
        group.bench_function(name, |b| b.iter(|| prepare(black_box(frame), region, spec).expect("valid")));
    };
    run("rgb_12mp_to_224", &photo.frame(), None, &squash);
    run("rgb_464x348_to_224", &small.frame(), None, &squash);
    run("nv12_1080p_to_224", &camera, None, &squash);
    run("nv12_1080p_crop_to_224", &camera, Some(crop), &squash);
    run("rgba_1080p_to_224", &rgba, None, &squash);
    run("rgba_1080p_pad_to_320", &rgba, None, &spec(320, Resize::Pad));
    group.finish();
}

criterion_group!(benches, decoders, tensors);
criterion_main!(benches);
