//! Samples of one region of a frame, seen in place where the memory layout allows it and copied where it does not.

use std::borrow::Cow;

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x2, U8x3, U8x4};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

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

/// A part of a region with fractional borders, relative to its corner, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
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

    /// Two one-byte planes of the same size, interleaved; always a copy.
    pub fn of_pair(a: &Plane<'_>, b: &Plane<'_>, region: Region) -> Samples<'static> {
        let mut bytes = Vec::with_capacity(region.w as usize * region.h as usize * 2);
        for y in region.y..region.y + region.h {
            let row = |p: &Plane<'_>| y as usize * p.row_stride + region.x as usize * p.pixel_stride;
            let (a_row, b_row) = (&a.data[row(a)..], &b.data[row(b)..]);
            let samples = a_row.iter().step_by(a.pixel_stride).zip(b_row.iter().step_by(b.pixel_stride));
            bytes.extend(samples.take(region.w as usize).flat_map(|(&a, &b)| [a, b]));
        }
        Samples::packed(bytes, region, 2)
    }

    fn packed(bytes: Vec<u8>, region: Region, channels: usize) -> Samples<'static> {
        Samples { bytes: Cow::Owned(bytes), row: region.w, left: 0, w: region.w, h: region.h, channels }
    }

    /// Bytes a pixel, 1 to 4.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `window` resampled to `w × h` pixels, packed, `channels` bytes each. Pixels outside the region are never read.
    ///
    /// # Errors
    /// What the resize refuses; none is known for a window inside the region.
    pub fn resize(&self, window: Window, w: u32, h: u32, filter: Filter) -> Result<Vec<u8>, String> {
        // By type: a choice among all pixel types at run time would link the code of thirteen.
        match self.channels {
            1 => self.resize_as::<U8>(window, w, h, filter),
            2 => self.resize_as::<U8x2>(window, w, h, filter),
            3 => self.resize_as::<U8x3>(window, w, h, filter),
            _ => self.resize_as::<U8x4>(window, w, h, filter),
        }
    }

    fn resize_as<P: PixelTrait + Default>(
        &self,
        window: Window,
        w: u32,
        h: u32,
        filter: Filter,
    ) -> Result<Vec<u8>, String> {
        let filter = match filter {
            Filter::Bilinear => FilterType::Bilinear,
            Filter::Bicubic => FilterType::CatmullRom,
            Filter::Lanczos3 => FilterType::Lanczos3,
        };
        let window = Window { x: off_zeros(window.x, window.w, w, self.w), ..window };
        let image =
            TypedImageRef::<P>::from_buffer(self.row, self.h, &self.bytes).map_err(|e| e.to_string())?;
        let region = TypedCroppedImage::from_ref(&image, self.left, 0, self.w, self.h);
        let region = region.map_err(|e| e.to_string())?;
        let mut bytes = vec![0; w as usize * h as usize * self.channels];
        let mut out = TypedImage::<P>::from_buffer(w, h, &mut bytes).map_err(|e| e.to_string())?;
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(filter))
            .crop(window.x, window.y, window.w, window.h)
            .use_alpha(false);
        Resizer::new().resize_typed(&region, &mut out, &options).map_err(|e| e.to_string())?;
        Ok(bytes)
    }
}

/// Shift that is far below a level of any pixel and far above rounding, in pixels.
const NUDGE: f64 = 1e-6;

/// Left edge `x` of a window, moved by [`NUDGE`] where a filter's zero would fall exactly on a pixel.
///
/// fast_image_resize 6.1 drops weights of exactly zero at the ends of a column's support and then sizes the buffer
/// between its two passes by the first and the last column alone. With bicubic and Lanczos, which have zeros inside
/// their support, another column can reach further, and its pixels are read outside the buffer. A window as wide as
/// the region is safe: its outer columns reach the region's border.
fn off_zeros(x: f64, width: f64, out: u32, region: u32) -> f64 {
    let scale = width / f64::from(out);
    let stretch = scale.max(1.0);
    let zero_on_a_pixel = |x: f64, column: u32| {
        let centre = x + (f64::from(column) + 0.5) * scale - 0.5;
        // Lanczos has three zeros on each side, bicubic two.
        (1..=3).any(|k| {
            let at = [centre - f64::from(k) * stretch, centre + f64::from(k) * stretch];
            at.iter().any(|at| (at - at.round()).abs() < NUDGE / 4.0)
        })
    };
    let whole = x == 0.0 && width == f64::from(region);
    let step = if x + width + 8.0 * NUDGE <= f64::from(region) { NUDGE } else { -NUDGE };
    let mut moved = x;
    for _ in 0..8 {
        if whole || !(zero_on_a_pixel(moved, 0) || zero_on_a_pixel(moved, out - 1)) {
            break;
        }
        moved = (moved + step).max(0.0);
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_keep_off_zeros() {
        // Scale 2: the first column's centre is x + 0.5, its zeros are 2, 4 and 6 away.
        assert_eq!(off_zeros(9.5, 16.0, 8, 40), 9.5 + NUDGE);
        assert_eq!(off_zeros(9.25, 16.0, 8, 40), 9.25);
        assert_eq!(off_zeros(0.0, 40.0, 8, 40), 0.0);
        assert_eq!(off_zeros(8.5, 16.0, 8, 24), 8.5 - NUDGE);
    }

    /// Reads outside its buffers show as wrong bytes in a picture of one value, or as a crash.
    #[test]
    fn cut_pictures_of_one_value_stay_so() {
        let data = vec![77u8; 60 * 50 * 3];
        let plane = Plane { data: &data, row_stride: 180, pixel_stride: 3 };
        let samples = Samples::of_plane(&plane, Region { x: 0, y: 0, w: 60, h: 50 }, 3);
        for filter in [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos3] {
            for i in 0..400 {
                let (x, out) = (f64::from(i % 40) * 0.25, 1 + i as u32 % 37);
                let window = Window { x, y: x, w: 60.0 - 2.0 * x, h: 50.0 - 2.0 * x };
                let got = samples.resize(window, out, 12, filter).unwrap();
                assert!(got.iter().all(|&v| v == 77), "{filter:?} {window:?} {out}");
            }
        }
    }
}
