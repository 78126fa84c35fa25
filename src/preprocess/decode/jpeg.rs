//! JPEG: two decoders, one walk over the markers before either.
//!
//! `zune-jpeg` is the faster at full size; `jpeg-decoder` can decode at 1/2, 1/4 and 1/8, which beats it once a photo
//! is much larger than needed (`benches/preprocess.rs`).

use std::io::Cursor;

use jpeg_decoder::PixelFormat;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions as ZuneOptions;
use zune_jpeg::JpegDecoder;

use super::{DecodeError, DecodeOptions, PhotoFormat, broken, check_size, orient};
use crate::frame::MAX_SIDE;
use crate::preprocess::Photo;

/// Scans a progressive JPEG may have; encoders write about 10, and each costs a pass over the picture.
const MAX_SCANS: usize = 100;

pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Photo, DecodeError> {
    let header = Header::read(bytes)?;
    let (w, h) = (u32::from(header.width), u32::from(header.height));
    check_size(w, h, options)?;
    let orientation = orient::from_exif(header.exif);
    let shrink = options.shrink_to.map_or(1, |short| shrink_factor(w.min(h), short));
    let (rgb, w, h) = if shrink > 1 || header.components == 4 {
        scaled(bytes, w.div_ceil(shrink), h.div_ceil(shrink))?
    } else {
        (full(bytes)?, w, h)
    };
    Ok(orient::upright(rgb, w, h, orientation)?)
}

/// 8, 4, 2 or 1: the most by which `side` may shrink without going below `needed`.
fn shrink_factor(side: u32, needed: u32) -> u32 {
    [8, 4, 2].into_iter().find(|f| side / f >= needed.max(1)).unwrap_or(1)
}

fn full(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let options = ZuneOptions::default()
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize)
        .set_strict_mode(true)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    JpegDecoder::new_with_options(zune_core::bytestream::ZCursor::new(bytes), options)
        .decode()
        .map_err(|e| broken(PhotoFormat::Jpeg, &format!("{e:?}")))
}

fn scaled(bytes: &[u8], w: u32, h: u32) -> Result<(Vec<u8>, u32, u32), DecodeError> {
    let fail = |e: jpeg_decoder::Error| broken(PhotoFormat::Jpeg, &e);
    let mut decoder = jpeg_decoder::Decoder::new(Cursor::new(bytes));
    // Both sides come from 16-bit fields.
    let (w, h) = decoder.scale(w as u16, h as u16).map_err(fail)?;
    let pixels = decoder.decode().map_err(fail)?;
    let format = decoder.info().map(|info| info.pixel_format);
    let rgb = match format {
        Some(PixelFormat::RGB24) => pixels,
        Some(PixelFormat::L8) => pixels.into_iter().flat_map(|v| [v; 3]).collect(),
        Some(PixelFormat::L16) => pixels.as_chunks::<2>().0.iter().flat_map(|v| [v[1]; 3]).collect(),
        Some(PixelFormat::CMYK32) => pixels.as_chunks::<4>().0.iter().flat_map(|&p| cmyk_to_rgb(p)).collect(),
        None => return Err(broken(PhotoFormat::Jpeg, &"no picture inside")),
    };
    Ok((rgb, u32::from(w), u32::from(h)))
}

fn cmyk_to_rgb([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    let light = u32::from(255 - k);
    [c, m, y].map(|ink| (u32::from(255 - ink) * light / 255) as u8)
}

/// What the markers say before any pixel is decoded.
struct Header<'a> {
    width: u16,
    height: u16,
    components: u8,
    exif: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// Walks all markers up to the end-of-image marker, whose absence means that the file was cut off: decoders fill
    /// what is missing with grey and say nothing.
    fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let cut_off = DecodeError::Truncated { format: PhotoFormat::Jpeg };
        let mut found = Self { width: 0, height: 0, components: 0, exif: None };
        let (mut scans, mut framed) = (0, false);
        let mut rest = &bytes[2..];
        loop {
            let at = rest.iter().position(|&b| b == 0xFF).ok_or(cut_off.clone())?;
            rest = &rest[at..];
            let fill = rest.iter().position(|&b| b != 0xFF).ok_or(cut_off.clone())?;
            let marker = rest[fill];
            rest = &rest[fill + 1..];
            match marker {
                0xD9 => break,
                // Stuffed zero, restarts and TEM stand alone; the first two fill the entropy-coded data.
                0x00 | 0x01 | 0xD0..=0xD8 => continue,
                _ => {}
            }
            let length = match rest {
                [a, b, ..] => usize::from(u16::from_be_bytes([*a, *b])),
                _ => return Err(cut_off),
            };
            let segment = rest.get(2..length.max(2)).ok_or(cut_off.clone())?;
            rest = &rest[2 + segment.len()..];
            match (marker, segment) {
                (0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF, [_, h1, h0, w1, w0, n, ..]) => {
                    // Decoders go by the first, which must be the one whose size is checked.
                    if std::mem::replace(&mut framed, true) {
                        return Err(broken(PhotoFormat::Jpeg, &"two frame headers"));
                    }
                    found.height = u16::from_be_bytes([*h1, *h0]);
                    found.width = u16::from_be_bytes([*w1, *w0]);
                    found.components = *n;
                }
                (0xE1, [b'E', b'x', b'i', b'f', 0, _, tiff @ ..]) if found.exif.is_none() => {
                    found.exif = Some(tiff);
                }
                (0xDA, _) => {
                    scans += 1;
                    if scans > MAX_SCANS {
                        return Err(broken(PhotoFormat::Jpeg, &"more than 100 scans"));
                    }
                }
                _ => {}
            }
        }
        if scans == 0 {
            return Err(broken(PhotoFormat::Jpeg, &"no picture inside"));
        }
        Ok(found)
    }
}
