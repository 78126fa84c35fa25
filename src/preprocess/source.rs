//! Samples of one region of a frame, seen in place where the memory layout allows it and copied where it does not.

use std::borrow::Cow;

use shelfsight_resize::{FilterType, Picture, Window};

use super::spec::Filter;
use crate::frame::Plane;

/// Whole pixels of a plane, inside it, `w` and `h` at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub x: u32,
    pub y: u32,
    pub w: u32,
    pub h: u32,
}

/// Interleaved samples: rows of `row` pixels, of which the region is `left..left + w`.
pub(super) struct Samples<'a> {
    bytes: Cow<'a, [u8]>,
    row: u32,
    left: u32,
    w: u32,
    h: u32,
    channels: usize,
}

impl<'a> Samples<'a> {
    /// `channels` neighbouring bytes a pixel. Nothing is copied if pixels touch, rows are a whole number of pixels
    /// apart, and the last row has its padding. Four-byte pixels asked for three are seen as four.
    pub fn of_plane(plane: &Plane<'a>, region: Region, channels: usize) -> Self {
        let Plane { data, row_stride, pixel_stride } = *plane;
        let seen = if channels == 3 && pixel_stride == 4 { 4 } else { channels };
        let rows = region.y as usize * row_stride..(region.y + region.h) as usize * row_stride;
        let whole = pixel_stride == seen && row_stride.is_multiple_of(seen) && rows.end <= data.len();
        if whole && let Ok(row) = u32::try_from(row_stride / seen) {
            let bytes = Cow::Borrowed(&data[rows]);
            return Self { bytes, row, left: region.x, w: region.w, h: region.h, channels: seen };
        }
        let mut bytes = Vec::with_capacity(region.w as usize * region.h as usize * channels);
        for y in region.y..region.y + region.h {
            let start = y as usize * row_stride + region.x as usize * pixel_stride;
            if pixel_stride == channels {
                bytes.extend_from_slice(&data[start..start + region.w as usize * channels]);
            } else {
                for x in 0..region.w as usize {
                    let at = start + x * pixel_stride;
                    bytes.extend_from_slice(&data[at..at + channels]);
                }
            }
        }
        Self::packed(bytes, region, channels)
    }

    fn packed(bytes: Vec<u8>, region: Region, channels: usize) -> Samples<'static> {
        Samples { bytes: Cow::Owned(bytes), row: region.w, left: 0, w: region.w, h: region.h, channels }
    }

    /// Bytes a pixel: 1, 3 or 4.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `window` resampled to `w × h` pixels, packed, `channels` bytes each. Pixels outside the region are never read.
    ///
    /// # Errors
    /// What the resize refuses; none is known for a window inside the region.
    pub fn resize(&self, window: Window, w: u32, h: u32, filter: Filter) -> Result<Vec<u8>, String> {
        let &Self { ref bytes, row, left, w: width, h: height, channels } = self;
        let filter = match filter {
            Filter::Bilinear => FilterType::Bilinear,
            Filter::Bicubic => FilterType::CatmullRom,
            Filter::Lanczos3 => FilterType::Lanczos3,
        };
        Picture { bytes, row, left, w: width, h: height, channels }.resize(window, w, h, filter)
    }
}
