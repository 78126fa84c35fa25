//! EXIF orientation.

use image::metadata::Orientation;

use crate::frame::FrameError;
use crate::preprocess::Photo;
use crate::preprocess::color::{reverse_pixels, transpose};

/// The turn and mirror that an EXIF block (TIFF header first) asks for; none if it is missing or unreadable, as a
/// viewer would do.
pub(super) fn from_exif(exif: Option<&[u8]>) -> Orientation {
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}

/// Packed RGB of `w × h` as stored, turned upright.
pub(super) fn upright(
    mut rgb: Vec<u8>,
    w: u32,
    h: u32,
    orientation: Orientation,
) -> Result<Photo, FrameError> {
    let (sw, sh) = (w as usize, h as usize);
    let sideways = |rgb: &[u8], to: fn(usize, usize, usize, usize) -> usize| {
        Photo::new(h, w, transpose::<3>(rgb, sw, sh, to))
    };
    match orientation {
        Orientation::NoTransforms => {}
        Orientation::Rotate180 => reverse_pixels::<3>(&mut rgb),
        Orientation::FlipHorizontal => rgb.chunks_exact_mut(sw * 3).for_each(reverse_pixels::<3>),
        Orientation::FlipVertical => {
            rgb.chunks_exact_mut(sw * 3).for_each(reverse_pixels::<3>);
            reverse_pixels::<3>(&mut rgb);
        }
        Orientation::Rotate90 => return sideways(&rgb, |x, y, _, h| x * h + (h - 1 - y)),
        Orientation::Rotate270 => return sideways(&rgb, |x, y, w, h| (w - 1 - x) * h + y),
        Orientation::Rotate90FlipH => return sideways(&rgb, |x, y, _, h| x * h + y),
        Orientation::Rotate270FlipH => return sideways(&rgb, |x, y, w, h| (w - 1 - x) * h + (h - 1 - y)),
    }
    Photo::new(w, h, rgb)
}
