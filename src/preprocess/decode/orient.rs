//! EXIF orientation.

use crate::frame::FrameError;
use crate::preprocess::Photo;
use crate::preprocess::color::{reverse_pixels, transpose};

/// What turns a stored picture upright, by EXIF's numbers; a turn is clockwise and comes before a mirroring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Orientation {
    NoTransforms = 1,
    FlipHorizontal,
    Rotate180,
    FlipVertical,
    Rotate90FlipH,
    Rotate90,
    Rotate270FlipH,
    Rotate270,
}

const ALL: [Orientation; 8] = [
    Orientation::NoTransforms,
    Orientation::FlipHorizontal,
    Orientation::Rotate180,
    Orientation::FlipVertical,
    Orientation::Rotate90FlipH,
    Orientation::Rotate90,
    Orientation::Rotate270FlipH,
    Orientation::Rotate270,
];

/// The turn and mirror that an EXIF block (TIFF header first) asks for; none if it is missing or unreadable, as a
/// viewer would do.
pub(super) fn from_exif(exif: Option<&[u8]>) -> Orientation {
    exif.and_then(entry).unwrap_or(Orientation::NoTransforms)
}

/// The orientation entry of a TIFF's first directory: tag 0x112, one 16-bit number.
fn entry(tiff: &[u8]) -> Option<Orientation> {
    let big = match tiff.get(..4)? {
        b"II*\0" => false,
        b"MM\0*" => true,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let pair = *tiff.get(at..)?.first_chunk()?;
        Some(if big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
    };
    let u32_at = |at: usize| {
        let four = *tiff.get(at..)?.first_chunk()?;
        Some(if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    };
    let directory = u32_at(4)? as usize;
    (0..usize::from(u16_at(directory)?))
        .find_map(|i| {
            let at = directory + 2 + 12 * i;
            let found = (u16_at(at)?, u16_at(at + 2)?, u32_at(at + 4)?) == (0x112, 3, 1);
            found.then(|| u16_at(at + 8)).flatten()
        })
        .and_then(|number| ALL.get(usize::from(number).checked_sub(1)?).copied())
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
