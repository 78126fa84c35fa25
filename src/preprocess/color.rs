//! Colour layouts to upright RGB and brightness.

use super::Photo;
use crate::frame::{Frame, Pixels, Plane, Rotation};

/// One full-range BT.601 sample.
#[derive(Clone, Copy)]
pub(super) struct Yuv {
    pub y: u8,
    pub u: u8,
    pub v: u8,
}

/// Full-range BT.601 (JPEG) to RGB, 16-bit fixed point, within 1 of the real-valued formula.
pub(super) fn yuv_to_rgb(p: Yuv) -> [u8; 3] {
    let y = (i32::from(p.y) << 16) + (1 << 15);
    let (u, v) = (i32::from(p.u) - 128, i32::from(p.v) - 128);
    let clamp = |x: i32| (x >> 16).clamp(0, 255) as u8;
    [clamp(y + 91_881 * v), clamp(y - 22_554 * u - 46_802 * v), clamp(y + 116_130 * u)]
}

/// The whole frame as an upright RGB picture (a full copy: for drawing and barcodes, not for [`prepare`]).
///
/// [`prepare`]: super::prepare
pub fn to_rgb(frame: &Frame<'_>) -> Photo {
    let (w, h) = frame.stored_size();
    let mut rgb = vec![0u8; w as usize * h as usize * 3];
    for (y, out) in rgb.chunks_exact_mut(w as usize * 3).enumerate() {
        let out = out.chunks_exact_mut(3);
        match frame.pixels() {
            Pixels::Gray(p) => out.zip(row(p, y)).for_each(|(out, px)| out.fill(px[0])),
            Pixels::Rgb(p) => out.zip(row(p, y)).for_each(|(out, px)| out.copy_from_slice(&px[..3])),
            Pixels::Bgr(p) => {
                out.zip(row(p, y)).for_each(|(out, px)| out.copy_from_slice(&[px[2], px[1], px[0]]));
            }
            Pixels::Yuv420 { y: luma, u, v } => {
                let chroma = row(u, y / 2).zip(row(v, y / 2)).flat_map(|uv| [uv, uv]);
                for ((out, y), (u, v)) in out.zip(row(luma, y)).zip(chroma) {
                    out.copy_from_slice(&yuv_to_rgb(Yuv { y: y[0], u: u[0], v: v[0] }));
                }
            }
        }
    }
    let (width, height) = frame.size();
    let rgb = turn(rgb, w, h, frame.rotation());
    Photo::new(width, height, rgb).expect("the sides come from a frame")
}

/// Upright width, height and brightness (BT.601), one byte a pixel.
pub fn to_luma(frame: &Frame<'_>) -> (u32, u32, Vec<u8>) {
    let (w, h) = frame.stored_size();
    let mut luma = vec![0u8; w as usize * h as usize];
    for (y, out) in luma.chunks_exact_mut(w as usize).enumerate() {
        let out = out.iter_mut();
        match frame.pixels() {
            Pixels::Gray(p) | Pixels::Yuv420 { y: p, .. } => {
                out.zip(row(p, y)).for_each(|(out, px)| *out = px[0])
            }
            Pixels::Rgb(p) => out.zip(row(p, y)).for_each(|(out, px)| *out = brightness(px[0], px[1], px[2])),
            Pixels::Bgr(p) => out.zip(row(p, y)).for_each(|(out, px)| *out = brightness(px[2], px[1], px[0])),
        }
    }
    let (width, height) = frame.size();
    (width, height, turn_pixels::<1>(luma, w, h, frame.rotation()))
}

fn brightness(r: u8, g: u8, b: u8) -> u8 {
    // Pillow's and libjpeg's weights; they add up to 65536, so white stays 255.
    ((u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471 + 0x8000) >> 16) as u8
}

/// Samples of a row, as the bytes from each sample on.
fn row<'a>(p: &Plane<'a>, y: usize) -> impl Iterator<Item = &'a [u8]> {
    let (data, stride) = (&p.data[y * p.row_stride..], p.pixel_stride);
    (0..data.len()).step_by(stride).map(move |at| &data[at..])
}

/// Packed RGB of `w × h` turned upright.
pub(super) fn turn(rgb: Vec<u8>, w: u32, h: u32, rotation: Rotation) -> Vec<u8> {
    turn_pixels::<3>(rgb, w, h, rotation)
}

fn turn_pixels<const N: usize>(pixels: Vec<u8>, w: u32, h: u32, rotation: Rotation) -> Vec<u8> {
    match rotation {
        Rotation::R0 => pixels,
        Rotation::R90 => transpose::<N>(&pixels, w as usize, h as usize, |x, y, _, h| x * h + (h - 1 - y)),
        Rotation::R270 => transpose::<N>(&pixels, w as usize, h as usize, |x, y, w, h| (w - 1 - x) * h + y),
        Rotation::R180 => {
            let mut pixels = pixels;
            reverse_pixels::<N>(&mut pixels);
            pixels
        }
    }
}

/// Reverses the order of the pixels (a half turn).
pub(super) fn reverse_pixels<const N: usize>(pixels: &mut [u8]) {
    pixels.as_chunks_mut::<N>().0.reverse();
}

/// Moves pixel `(x, y)` of a `w × h` picture to index `to(x, y, w, h)`, in square blocks so that both sides stay in
/// the cache.
pub(super) fn transpose<const N: usize>(
    from: &[u8],
    w: usize,
    h: usize,
    to: impl Fn(usize, usize, usize, usize) -> usize,
) -> Vec<u8> {
    const BLOCK: usize = 32;
    let mut out = vec![0u8; w * h * N];
    let (source, target) = (from.as_chunks::<N>().0, out.as_chunks_mut::<N>().0);
    for y0 in (0..h).step_by(BLOCK) {
        for x0 in (0..w).step_by(BLOCK) {
            for y in y0..(y0 + BLOCK).min(h) {
                for x in x0..(x0 + BLOCK).min(w) {
                    target[to(x, y, w, h)] = source[y * w + x];
                }
            }
        }
    }
    out
}
