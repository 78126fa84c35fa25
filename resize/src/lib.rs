//! Resampling of byte pictures by fast_image_resize, in a crate of its own: its generics take half a minute to compile, once
//! and beside other crates instead of with every build of the library.

pub use fast_image_resize::FilterType;
use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3, U8x4};
use fast_image_resize::{PixelTrait, ResizeAlg, ResizeOptions, Resizer};

/// A part of a picture with fractional borders, relative to its corner, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Left edge.
    pub x: f64,
    /// Top edge.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

/// Interleaved bytes: rows of `row` pixels, of which the picture is `left..left + w`.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// `h` whole rows.
    pub bytes: &'a [u8],
    /// Pixels a row.
    pub row: u32,
    /// First column.
    pub left: u32,
    /// Columns.
    pub w: u32,
    /// Rows.
    pub h: u32,
    /// Bytes a pixel: 1, 3 or 4. (Two would be 90 kB more code; colour of half size is resized plane by plane.)
    pub channels: usize,
}

impl Picture<'_> {
    /// `window` resampled to `w × h` pixels, packed, `channels` bytes each. Pixels outside the picture are never read.
    ///
    /// # Errors
    /// What fast_image_resize refuses, in one line: bytes that are no picture of this size, a window outside it.
    pub fn resize(&self, window: Window, w: u32, h: u32, filter: FilterType) -> Result<Vec<u8>, String> {
        // By type: a choice among all pixel types at run time would link the code of thirteen.
        match self.channels {
            1 => self.resize_as::<U8>(window, w, h, filter),
            3 => self.resize_as::<U8x3>(window, w, h, filter),
            4 => self.resize_as::<U8x4>(window, w, h, filter),
            other => Err(format!("pixels of {other} bytes")),
        }
    }

    fn resize_as<P: PixelTrait + Default>(
        &self,
        window: Window,
        w: u32,
        h: u32,
        filter: FilterType,
    ) -> Result<Vec<u8>, String> {
        let window = Window { x: off_zeros(window.x, window.w, w, self.w), ..window };
        let image =
            TypedImageRef::<P>::from_buffer(self.row, self.h, self.bytes).map_err(|e| e.to_string())?;
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
        let picture = Picture { bytes: &data, row: 60, left: 0, w: 60, h: 50, channels: 3 };
        for filter in [FilterType::Bilinear, FilterType::CatmullRom, FilterType::Lanczos3] {
            for i in 0..400 {
                let (x, out) = (f64::from(i % 40) * 0.25, 1 + i as u32 % 37);
                let window = Window { x, y: x, w: 60.0 - 2.0 * x, h: 50.0 - 2.0 * x };
                let got = picture.resize(window, out, 12, filter).expect("inside");
                assert!(got.iter().all(|&v| v == 77), "{filter:?} {window:?} {out}");
            }
        }
    }

    /// Encoders were trained and packs built on pairs of colours resized together.
    #[test]
    fn planes_apart_are_the_pair_together() {
        let mut seed = 7u32;
        let mut random = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        };
        for turn in 0..300u32 {
            let (row, h) = (1 + random() % 150, 1 + random() % 90);
            let left = random() % row;
            let w = 1 + random() % (row - left);
            let pair: Vec<u8> = (0..row * h * 2).map(|_| random() as u8).collect();
            let of = |at: usize| pair.iter().skip(at).step_by(2).copied().collect::<Vec<u8>>();
            let (cut_x, cut_y) = (f64::from(random() % 8) / 16.0, f64::from(random() % 8) / 16.0);
            let (ww, wh) = (f64::from(w) * (1.0 - cut_x), f64::from(h) * (1.0 - cut_y));
            let window = Window { x: (f64::from(w) - ww) / 2.0, y: (f64::from(h) - wh) / 2.0, w: ww, h: wh };
            let (out_w, out_h) = (1 + random() % 60, 1 + random() % 60);
            let filter =
                [FilterType::Bilinear, FilterType::CatmullRom, FilterType::Lanczos3][turn as usize % 3];
            let together = Picture { bytes: &pair, row, left, w, h, channels: 2 }
                .resize_as::<fast_image_resize::pixels::U8x2>(window, out_w, out_h, filter)
                .expect("inside");
            for at in 0..2 {
                let plane = of(at);
                let apart = Picture { bytes: &plane, row, left, w, h, channels: 1 };
                let apart = apart.resize(window, out_w, out_h, filter).expect("inside");
                let want: Vec<u8> = together.iter().skip(at).step_by(2).copied().collect();
                assert_eq!(apart, want, "{row}×{h}, {window:?} to {out_w}×{out_h}, {filter:?}");
            }
        }
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let window = Window { x: 0.0, y: 0.0, w: 4.0, h: 4.0 };
        let picture = Picture { bytes: &[1; 48], row: 4, left: 0, w: 4, h: 4, channels: 3 };
        assert_eq!(picture.resize(window, 1, 1, FilterType::Bilinear), Ok(vec![1; 3]));
        for broken in
            [Picture { channels: 5, ..picture }, Picture { h: 5, ..picture }, Picture { left: 1, ..picture }]
        {
            assert!(broken.resize(window, 1, 1, FilterType::Bilinear).is_err(), "{broken:?}");
        }
        let outside = Window { x: 1.0, ..window };
        assert!(picture.resize(outside, 1, 1, FilterType::Bilinear).is_err());
    }
}
