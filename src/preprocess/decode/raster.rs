//! PNG and WebP.

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::error::{ImageError, ImageResult};
use image::{DynamicImage, ImageDecoder, Limits};

use super::{DecodeError, DecodeOptions, PhotoFormat, broken, check_size, orient};
use crate::preprocess::Photo;

pub(super) fn decode_png(bytes: &[u8], options: &DecodeOptions) -> Result<Photo, DecodeError> {
    // Before the header is known: text and colour profile chunks may not take more than this.
    let mut limits = Limits::default();
    limits.max_alloc = Some(64 << 20);
    finish(PhotoFormat::Png, PngDecoder::with_limits(Cursor::new(bytes), limits), options)
}

pub(super) fn decode_webp(bytes: &[u8], options: &DecodeOptions) -> Result<Photo, DecodeError> {
    // The decoder stops after the pixels and would miss an orientation that was cut off behind them. A padding byte
    // at the end is often left out.
    let promised = bytes.get(4..8).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    if bytes.len() as u64 + 1 < u64::from(promised) + 8 {
        return Err(DecodeError::Truncated { format: PhotoFormat::WebP });
    }
    finish(PhotoFormat::WebP, WebPDecoder::new(Cursor::new(bytes)), options)
}

fn finish(
    format: PhotoFormat,
    decoder: ImageResult<impl ImageDecoder>,
    options: &DecodeOptions,
) -> Result<Photo, DecodeError> {
    let fail = |e: ImageError| refuse(format, &e);
    let mut decoder = decoder.map_err(fail)?;
    let (w, h) = decoder.dimensions();
    check_size(w, h, options)?;
    let exif = decoder.exif_metadata().ok().flatten();
    let orientation = orient::from_exif(exif.as_deref());
    // At most 8 bytes a pixel (16-bit RGBA) and as much again inside the decoder.
    let mut limits = Limits::default();
    limits.max_alloc = Some(options.max_pixels.saturating_mul(16).saturating_add(64 << 20));
    decoder.set_limits(limits).map_err(fail)?;
    let image = DynamicImage::from_decoder(decoder).map_err(fail)?;
    let rgb =
        if image.color().has_alpha() { on_white(&image.into_rgba8()) } else { image.into_rgb8().into_raw() };
    Ok(orient::upright(rgb, w, h, orientation)?)
}

fn on_white(rgba: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(rgba.len() / 4 * 3);
    for &[r, g, b, a] in rgba.as_chunks::<4>().0 {
        let a = u32::from(a);
        rgb.extend([r, g, b].map(|v| ((u32::from(v) * a + 255 * (255 - a) + 127) / 255) as u8));
    }
    rgb
}

fn refuse(format: PhotoFormat, error: &ImageError) -> DecodeError {
    match error {
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::Truncated { format }
        }
        _ => broken(format, error),
    }
}
