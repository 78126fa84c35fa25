//! PNG and WebP.

use std::io::{Cursor, Error as IoError, ErrorKind};

use super::{DecodeError, DecodeOptions, PhotoFormat, broken, check_size, orient};
use crate::preprocess::Photo;

/// Most that a PNG's chunks may take beside the pixels, in bytes: colour profiles, EXIF.
const MAX_CHUNKS: usize = 64 << 20;

pub(super) fn decode_png(bytes: &[u8], options: &DecodeOptions) -> Result<Photo, DecodeError> {
    let fail = |error: png::DecodingError| match error {
        png::DecodingError::IoError(error) => refuse(PhotoFormat::Png, &error),
        other => broken(PhotoFormat::Png, &other),
    };
    let limits = png::Limits { bytes: MAX_CHUNKS };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_ignore_text_chunk(true);
    // Palettes and less than 8 bits become 8 bits; 16 bits stay, to be rounded below.
    decoder.set_transformations(png::Transformations::EXPAND);
    let (w, h) = decoder.read_header_info().map_err(fail)?.size();
    check_size(w, h, options)?;
    let mut reader = decoder.read_info().map_err(fail)?;
    let size = reader.output_buffer_size().ok_or_else(|| broken(PhotoFormat::Png, &"too large"))?;
    let mut samples = vec![0; size];
    reader.next_frame(&mut samples).map_err(fail)?;
    let (colour, depth) = reader.output_color_type();
    if depth == png::BitDepth::Sixteen {
        let rounded = |pair: &[u8; 2]| ((u32::from(u16::from_be_bytes(*pair)) + 128) / 257) as u8;
        samples = samples.as_chunks::<2>().0.iter().map(rounded).collect();
    }
    let rgb = match colour {
        png::ColorType::Grayscale => samples.iter().flat_map(|&v| [v; 3]).collect(),
        png::ColorType::GrayscaleAlpha => {
            on_white(samples.as_chunks::<2>().0.iter().map(|&[v, a]| [v, v, v, a]))
        }
        png::ColorType::Rgba => on_white(samples.as_chunks::<4>().0.iter().copied()),
        // Palettes have been expanded.
        png::ColorType::Rgb | png::ColorType::Indexed => samples,
    };
    let orientation = orient::from_exif(reader.info().exif_metadata.as_deref());
    Ok(orient::upright(rgb, w, h, orientation)?)
}

pub(super) fn decode_webp(bytes: &[u8], options: &DecodeOptions) -> Result<Photo, DecodeError> {
    // The decoder stops after the pixels and would miss an orientation that was cut off behind them. A padding byte
    // at the end is often left out.
    let promised = bytes.get(4..8).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    if bytes.len() as u64 + 1 < u64::from(promised) + 8 {
        return Err(DecodeError::Truncated { format: PhotoFormat::WebP });
    }
    let fail = |error: image_webp::DecodingError| match error {
        image_webp::DecodingError::IoError(error) => refuse(PhotoFormat::WebP, &error),
        other => broken(PhotoFormat::WebP, &other),
    };
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).map_err(fail)?;
    let (w, h) = decoder.dimensions();
    check_size(w, h, options)?;
    // 4 bytes a pixel, and as much again inside the decoder.
    let limit = options.max_pixels.saturating_mul(16).saturating_add(64 << 20);
    decoder.set_memory_limit(usize::try_from(limit).unwrap_or(usize::MAX));
    let orientation = orient::from_exif(decoder.exif_metadata().ok().flatten().as_deref());
    let size = decoder.output_buffer_size().ok_or_else(|| broken(PhotoFormat::WebP, &"too large"))?;
    let mut samples = vec![0; size];
    decoder.read_image(&mut samples).map_err(fail)?;
    let rgb =
        if decoder.has_alpha() { on_white(samples.as_chunks::<4>().0.iter().copied()) } else { samples };
    Ok(orient::upright(rgb, w, h, orientation)?)
}

fn on_white(rgba: impl ExactSizeIterator<Item = [u8; 4]>) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(rgba.len() * 3);
    for [r, g, b, a] in rgba {
        let a = u32::from(a);
        rgb.extend([r, g, b].map(|v| ((u32::from(v) * a + 255 * (255 - a) + 127) / 255) as u8));
    }
    rgb
}

fn refuse(format: PhotoFormat, error: &IoError) -> DecodeError {
    match error.kind() {
        ErrorKind::UnexpectedEof => DecodeError::Truncated { format },
        _ => broken(format, error),
    }
}
