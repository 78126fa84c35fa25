//! Borrowed planes to a frame.

use shelfsight::frame::{Pixels, Plane};
use shelfsight::{Frame, Rotation};

use crate::Failure;

/// Colour layout of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum PixelFormat {
    /// One plane, one byte a pixel.
    Gray,
    /// One plane: red, green, blue, and any fourth byte where the pixel stride is 4.
    Rgb,
    /// One plane: blue, green, red, and any fourth byte where the pixel stride is 4.
    Bgr,
    /// Three planes Y, U, V, colour at half size: Android's `YUV_420_888`.
    Yuv420,
    /// Two planes, Y and interleaved U, V: the camera buffers of iOS.
    Nv12,
    /// Two planes, Y and interleaved V, U.
    Nv21,
    /// Plane 0 is a JPEG, PNG or WebP file; size and strides are not read.
    Photo,
}

/// Strides of a plane, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct PlaneLayout {
    /// From one row to the next.
    pub row_stride: i32,
    /// From one sample to the next.
    pub pixel_stride: i32,
}

/// How the planes of a frame lie in memory.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FrameLayout {
    /// Colour layout.
    pub format: PixelFormat,
    /// Pixels a row, as they lie in memory.
    pub width: i32,
    /// Rows, as they lie in memory.
    pub height: i32,
    /// Clockwise degrees that make the picture upright.
    pub rotation: i32,
    /// One a plane.
    pub planes: Vec<PlaneLayout>,
}

impl FrameLayout {
    /// The frame over `planes`; those the format does not have are ignored.
    pub(crate) fn frame<'a>(&self, planes: [&'a [u8]; 3]) -> Result<Frame<'a>, Failure> {
        let plane = |at: usize, data: &'a [u8]| {
            let Some(layout) = self.planes.get(at) else {
                let reason = format!("the strides of plane {at} are missing");
                return Err(Failure::Frame { reason });
            };
            let stride = |value: i32| usize::try_from(value).map_err(|_| self.negative("stride", value));
            Ok(Plane {
                data,
                row_stride: stride(layout.row_stride)?,
                pixel_stride: stride(layout.pixel_stride)?,
            })
        };
        let side = |value: i32| u32::try_from(value).map_err(|_| self.negative("side", value));
        let [a, b, c] = planes;
        // The second sample of an interleaved plane begins a byte later.
        let later = b.get(1..).unwrap_or_default();
        let pixels = match self.format {
            PixelFormat::Gray => Pixels::Gray(plane(0, a)?),
            PixelFormat::Rgb => Pixels::Rgb(plane(0, a)?),
            PixelFormat::Bgr => Pixels::Bgr(plane(0, a)?),
            PixelFormat::Yuv420 => Pixels::Yuv420 { y: plane(0, a)?, u: plane(1, b)?, v: plane(2, c)? },
            PixelFormat::Nv12 => Pixels::Yuv420 { y: plane(0, a)?, u: plane(1, b)?, v: plane(1, later)? },
            PixelFormat::Nv21 => Pixels::Yuv420 { y: plane(0, a)?, u: plane(1, later)?, v: plane(1, b)? },
            PixelFormat::Photo => {
                return Err(Failure::Frame { reason: "a photo file has no planes".to_owned() });
            }
        };
        let frame = Frame::new(pixels, side(self.width)?, side(self.height)?)?;
        Ok(frame.rotated(Rotation::from_degrees(self.rotation)?))
    }

    fn negative(&self, what: &str, value: i32) -> Failure {
        Failure::Frame { reason: format!("a {what} of {value}; it cannot be negative") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(format: PixelFormat, strides: &[(i32, i32)]) -> FrameLayout {
        let planes =
            strides.iter().map(|&(row_stride, pixel_stride)| PlaneLayout { row_stride, pixel_stride });
        FrameLayout { format, width: 4, height: 2, rotation: 0, planes: planes.collect() }
    }

    fn refusal(layout: &FrameLayout, planes: [&[u8]; 3]) -> String {
        match layout.frame(planes) {
            Err(Failure::Frame { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_format_is_seen() {
        let (y, uv) = ([1u8; 8], [10u8, 20, 11, 21]);
        let rgb = shelfsight::preprocess::to_rgb;
        let nv12 = layout(PixelFormat::Nv12, &[(4, 1), (4, 2)]);
        let nv21 = layout(PixelFormat::Nv21, &[(4, 1), (4, 2)]);
        let planar = layout(PixelFormat::Yuv420, &[(4, 1), (2, 1), (2, 1)]);
        let (u, v) = ([10u8, 11], [20u8, 21]);
        let want = rgb(&planar.frame([&y, &u, &v]).unwrap());
        assert_eq!(rgb(&nv12.frame([&y, &uv, &[]]).unwrap()), want);
        assert_eq!(rgb(&nv21.frame([&y, &[20, 10, 21, 11], &[]]).unwrap()), want);
        let gray = layout(PixelFormat::Gray, &[(4, 1)]);
        assert_eq!(rgb(&gray.frame([&y, &[], &[]]).unwrap()).rgb(), [1; 24]);
        let bgra = layout(PixelFormat::Bgr, &[(16, 4)]);
        let pixels = [1, 2, 3, 255].repeat(8);
        assert_eq!(rgb(&bgra.frame([&pixels, &[], &[]]).unwrap()).rgb(), [3, 2, 1].repeat(8));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let y = [0u8; 8];
        let good = layout(PixelFormat::Nv12, &[(4, 1), (4, 2)]);
        assert!(good.frame([&y, &[0; 4], &[]]).is_ok());
        assert!(refusal(&good, [&y, &[0; 3], &[]]).contains("V plane has 2 B"));
        assert!(refusal(&good, [&y, &[], &[]]).contains("U plane has 0 B"));
        assert!(refusal(&layout(PixelFormat::Nv12, &[(4, 1)]), [&y, &[0; 4], &[]]).contains("plane 1"));
        assert!(refusal(&layout(PixelFormat::Gray, &[(-4, 1)]), [&y, &[], &[]]).contains("-4"));
        assert!(refusal(&layout(PixelFormat::Gray, &[(2, 1)]), [&y, &[], &[]]).contains("strides"));
        let turned = FrameLayout { rotation: 45, ..layout(PixelFormat::Gray, &[(4, 1)]) };
        assert!(refusal(&turned, [&y, &[], &[]]).contains("45°"));
        let negative = FrameLayout { width: -4, ..layout(PixelFormat::Gray, &[(4, 1)]) };
        assert!(refusal(&negative, [&y, &[], &[]]).contains("-4"));
    }
}
