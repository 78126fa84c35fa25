//! Photo files to upright pixels.

mod jpeg;
mod orient;
mod raster;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::Photo;
use crate::frame::{FrameError, MAX_SIDE};

/// Largest file [`open`] reads, in bytes.
pub const MAX_FILE_BYTES: u64 = 256 << 20;

/// Limits and wishes for [`decode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    /// More pixels than this are refused before anything is allocated.
    pub max_pixels: u64,
    /// Short side still needed, in pixels. A JPEG may then be decoded at 1/2, 1/4 or 1/8 of its size, but never to a
    /// short side below this.
    pub shrink_to: Option<u32>,
}

impl Default for DecodeOptions {
    /// 64 megapixels, no shrinking.
    fn default() -> Self {
        Self { max_pixels: 64 << 20, shrink_to: None }
    }
}

/// A file format that [`decode`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhotoFormat {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG; the first picture of an animation.
    Png,
    /// WebP, lossy or lossless; the first picture of an animation.
    WebP,
}

impl fmt::Display for PhotoFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
        })
    }
}

/// Decodes a photo, recognised by its content, and turns it upright as its EXIF orientation says. Transparent pixels
/// are laid on white; 16-bit, palette, grey and CMYK pictures become 8-bit RGB.
///
/// # Errors
/// [`DecodeError`] if the format is not read here, the picture is too large, cut off, or broken.
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Photo, DecodeError> {
    let format = recognise(bytes)?;
    let work = || match format {
        PhotoFormat::Jpeg => jpeg::decode(bytes, options),
        PhotoFormat::Png => raster::decode_png(bytes, options),
        PhotoFormat::WebP => raster::decode_webp(bytes, options),
    };
    // The decoders are other people's and their input is anybody's: a panic in one is an error here. They are given
    // only shared bytes and their state is dropped, so nothing half-changed survives.
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(DecodeError::Broken { format, reason: "the decoder gave up".into() }))
}

/// Reads and decodes a photo file.
///
/// # Errors
/// As [`decode`], and if `path` is missing, not a file, or larger than [`MAX_FILE_BYTES`].
pub fn open(path: &Path, options: &DecodeOptions) -> Result<Photo, DecodeError> {
    let read = |error: std::io::Error| DecodeError::Read { path: path.into(), reason: error.to_string() };
    // Metadata first: opening a named pipe would wait for ever.
    let meta = std::fs::metadata(path).map_err(read)?;
    if !meta.is_file() {
        return Err(DecodeError::NotAFile { path: path.into() });
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(read)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(DecodeError::FileSize { path: path.into() });
    }
    decode(&bytes, options)
}

/// The format of a photo file, by its first bytes.
///
/// # Errors
/// [`DecodeError`] if it is empty or not a format that is read here.
pub fn recognise(bytes: &[u8]) -> Result<PhotoFormat, DecodeError> {
    let unsupported = |name| Err(DecodeError::Unsupported { name });
    match bytes {
        [] => Err(DecodeError::Empty),
        [0xFF, 0xD8, 0xFF, ..] => Ok(PhotoFormat::Jpeg),
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Ok(PhotoFormat::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(PhotoFormat::WebP),
        [b'G', b'I', b'F', b'8', ..] => unsupported("GIF"),
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => unsupported("BMP"),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => unsupported("TIFF"),
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand {
            [b'a', b'v', b'i', b'f' | b's', ..] => unsupported("AVIF"),
            [b'h', b'e', ..] | [b'm', b'i', b'f', b'1', ..] | [b'm', b's', b'f', b'1', ..] => {
                unsupported("HEIC")
            }
            _ => unsupported("MP4 or similar"),
        },
        [b'%', b'P', b'D', b'F', ..] => unsupported("PDF"),
        _ => Err(DecodeError::Unknown),
    }
}

/// Refuses a size before anything is allocated for it.
fn check_size(width: u32, height: u32, options: &DecodeOptions) -> Result<(), DecodeError> {
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
        return Err(FrameError::Size { width, height }.into());
    }
    if u64::from(width) * u64::from(height) > options.max_pixels {
        return Err(DecodeError::TooLarge { width, height, max_pixels: options.max_pixels });
    }
    Ok(())
}

/// Why a photo cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// File asked for.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A folder, pipe or device.
    #[error("{} is not a file", path.display())]
    NotAFile {
        /// Path asked for.
        path: PathBuf,
    },
    /// Above [`MAX_FILE_BYTES`].
    #[error("{} is larger than {} MB; is it a photo?", path.display(), MAX_FILE_BYTES >> 20)]
    FileSize {
        /// File asked for.
        path: PathBuf,
    },
    /// No bytes.
    #[error("the photo is empty (0 bytes)")]
    Empty,
    /// A known format that is not read here.
    #[error("{name} is not read; save it as JPEG, PNG or WebP")]
    Unsupported {
        /// Its name.
        name: &'static str,
    },
    /// Not a picture that is known here.
    #[error("not a JPEG, PNG or WebP picture")]
    Unknown,
    /// More pixels than [`DecodeOptions::max_pixels`].
    #[error("{width}×{height} pixels are more than the limit of {max_pixels}")]
    TooLarge {
        /// Width in the header.
        width: u32,
        /// Height in the header.
        height: u32,
        /// The limit.
        max_pixels: u64,
    },
    /// A side is 0 or too long.
    #[error(transparent)]
    Size(#[from] FrameError),
    /// The end of the file is missing.
    #[error("the {format} is cut off: its end is missing")]
    Truncated {
        /// Format.
        format: PhotoFormat,
    },
    /// Anything else that is wrong inside.
    #[error("the {format} is broken: {reason}")]
    Broken {
        /// Format.
        format: PhotoFormat,
        /// What the decoder said.
        reason: String,
    },
}

/// The first line of what a decoder said.
fn broken(format: PhotoFormat, error: &dyn fmt::Display) -> DecodeError {
    let reason = error.to_string().lines().next().unwrap_or_default().trim().chars().take(200).collect();
    DecodeError::Broken { format, reason }
}
