//! Borrowed pixels of a camera frame or a decoded photo; nothing is copied before the resize.

use std::fmt;

/// Largest side accepted, in pixels.
pub const MAX_SIDE: u32 = 30_000;

/// Clockwise turn that makes the picture upright, as cameras and EXIF report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// Already upright.
    #[default]
    R0,
    /// Turn by 90° clockwise.
    R90,
    /// Turn by 180°.
    R180,
    /// Turn by 270° clockwise.
    R270,
}

impl Rotation {
    /// From degrees as Android's `ImageProxy.rotationDegrees` gives them.
    ///
    /// # Errors
    /// [`FrameError::Rotation`] for anything but 0, 90, 180, 270.
    pub fn from_degrees(degrees: i32) -> Result<Self, FrameError> {
        match degrees {
            0 => Ok(Self::R0),
            90 => Ok(Self::R90),
            180 => Ok(Self::R180),
            270 => Ok(Self::R270),
            _ => Err(FrameError::Rotation { degrees }),
        }
    }
}

/// One plane of samples. Sample `(x, y)` starts at byte `y * row_stride + x * pixel_stride`.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// The bytes.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub row_stride: usize,
    /// Bytes from one sample to the next.
    pub pixel_stride: usize,
}

/// Colour layout of a [`Frame`].
#[derive(Clone, Copy, Debug)]
pub enum Pixels<'a> {
    /// One byte of grey.
    Gray(Plane<'a>),
    /// Red, green, blue bytes; `pixel_stride` 3, or 4 for RGBA (the fourth byte is ignored).
    Rgb(Plane<'a>),
    /// Blue, green, red bytes; `pixel_stride` 3, or 4 for BGRA (the fourth byte is ignored).
    Bgr(Plane<'a>),
    /// YUV 4:2:0, full-range BT.601 as Android's `YUV_420_888`, NV12 (`pixel_stride` 2, U first) and NV21 (V first).
    Yuv420 {
        /// Brightness, full size.
        y: Plane<'a>,
        /// Blue difference, half size in both directions, rounded up.
        u: Plane<'a>,
        /// Red difference, half size in both directions, rounded up.
        v: Plane<'a>,
    },
}

/// Borrowed pixels with size, layout and rotation, every access inside the given slices checked once here.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pixels: Pixels<'a>,
    width: u32,
    height: u32,
    rotation: Rotation,
}

impl<'a> Frame<'a> {
    /// A frame over `pixels` of `width × height` samples as they lie in memory (before rotation).
    ///
    /// # Errors
    /// [`FrameError`] if a side is 0 or above [`MAX_SIDE`], a stride is too small, or a plane is too short.
    pub fn new(pixels: Pixels<'a>, width: u32, height: u32) -> Result<Self, FrameError> {
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
            return Err(FrameError::Size { width, height });
        }
        let check = |name, p: &mut Plane<'_>, w: u32, h: u32, bytes: usize| check_plane(name, p, w, h, bytes);
        let mut pixels = pixels;
        match &mut pixels {
            Pixels::Gray(p) => check("grey", p, width, height, 1)?,
            Pixels::Rgb(p) | Pixels::Bgr(p) => check("colour", p, width, height, 3)?,
            Pixels::Yuv420 { y, u, v } => {
                let (cw, ch) = (width.div_ceil(2), height.div_ceil(2));
                check("Y", y, width, height, 1)?;
                check("U", u, cw, ch, 1)?;
                check("V", v, cw, ch, 1)?;
            }
        }
        Ok(Self { pixels, width, height, rotation: Rotation::R0 })
    }

    /// Tightly packed RGB, `width * height * 3` bytes.
    ///
    /// # Errors
    /// As [`Frame::new`].
    pub fn rgb(data: &'a [u8], width: u32, height: u32) -> Result<Self, FrameError> {
        Self::new(Pixels::Rgb(Plane { data, row_stride: width as usize * 3, pixel_stride: 3 }), width, height)
    }

    /// Tightly packed RGBA, `width * height * 4` bytes; alpha is ignored.
    ///
    /// # Errors
    /// As [`Frame::new`].
    pub fn rgba(data: &'a [u8], width: u32, height: u32) -> Result<Self, FrameError> {
        Self::new(Pixels::Rgb(Plane { data, row_stride: width as usize * 4, pixel_stride: 4 }), width, height)
    }

    /// The same pixels, to be turned upright by `rotation`.
    #[must_use]
    pub fn rotated(mut self, rotation: Rotation) -> Self {
        self.rotation = rotation;
        self
    }

    /// The pixels as they lie in memory.
    pub fn pixels(&self) -> &Pixels<'a> {
        &self.pixels
    }

    /// Turn that makes the picture upright.
    pub fn rotation(&self) -> Rotation {
        self.rotation
    }

    /// Width and height as they lie in memory.
    pub fn stored_size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Width and height of the upright picture; boxes refer to it.
    pub fn size(&self) -> (u32, u32) {
        match self.rotation {
            Rotation::R0 | Rotation::R180 => (self.width, self.height),
            Rotation::R90 | Rotation::R270 => (self.height, self.width),
        }
    }
}

fn check_plane(
    plane: &'static str,
    p: &mut Plane<'_>,
    width: u32,
    height: u32,
    bytes: usize,
) -> Result<(), FrameError> {
    let (w, h) = (width as usize, height as usize);
    let row = (w - 1).checked_mul(p.pixel_stride).and_then(|v| v.checked_add(bytes));
    let Some(row) = row.filter(|&r| p.pixel_stride >= bytes && (h == 1 || r <= p.row_stride)) else {
        return Err(FrameError::Stride { plane, row_stride: p.row_stride, pixel_stride: p.pixel_stride });
    };
    let needed = (h - 1).checked_mul(p.row_stride).and_then(|v| v.checked_add(row)).unwrap_or(usize::MAX);
    if p.data.len() < needed {
        return Err(FrameError::TooShort { plane, found: p.data.len(), needed });
    }
    // From one row to nowhere any stride will do, 0 too; what reads rows counts on a whole one.
    if h == 1 {
        p.row_stride = p.row_stride.max(row);
    }
    Ok(())
}

/// Why pixels are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A side is 0 or above [`MAX_SIDE`].
    Size {
        /// Width given.
        width: u32,
        /// Height given.
        height: u32,
    },
    /// A stride is smaller than a row or a pixel.
    Stride {
        /// Which plane.
        plane: &'static str,
        /// Row stride given, in bytes.
        row_stride: usize,
        /// Pixel stride given, in bytes.
        pixel_stride: usize,
    },
    /// A plane has fewer bytes than its size and strides need.
    TooShort {
        /// Which plane.
        plane: &'static str,
        /// Bytes given.
        found: usize,
        /// Bytes needed.
        needed: usize,
    },
    /// Not a multiple of 90 in `0..360`.
    Rotation {
        /// Degrees given.
        degrees: i32,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { width, height } => {
                write!(f, "a picture of {width}×{height} pixels; each side must be 1 to {MAX_SIDE}")
            }
            Self::Stride { plane, row_stride, pixel_stride } => {
                write!(
                    f,
                    "the {plane} plane's strides ({row_stride} B a row, {pixel_stride} B a pixel) are too small"
                )
            }
            Self::TooShort { plane, found, needed } => {
                write!(f, "the {plane} plane has {found} B where its size and strides need {needed}")
            }
            Self::Rotation { degrees } => write!(f, "a rotation of {degrees}°; use 0, 90, 180 or 270"),
        }
    }
}

impl std::error::Error for FrameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_sizes_and_strides() {
        assert!(Frame::rgb(&[0; 12], 2, 2).is_ok());
        assert!(matches!(
            Frame::rgb(&[0; 11], 2, 2),
            Err(FrameError::TooShort { found: 11, needed: 12, .. })
        ));
        assert!(matches!(Frame::rgb(&[], 0, 2), Err(FrameError::Size { .. })));
        assert!(matches!(Frame::rgb(&[], MAX_SIDE + 1, 2), Err(FrameError::Size { .. })));
        let p = |row_stride, pixel_stride| Pixels::Rgb(Plane { data: &[0; 64], row_stride, pixel_stride });
        assert!(matches!(Frame::new(p(5, 3), 2, 2), Err(FrameError::Stride { .. })));
        assert!(matches!(Frame::new(p(6, 2), 2, 2), Err(FrameError::Stride { .. })));
        assert!(matches!(Frame::new(p(usize::MAX, 3), 2, 2), Err(FrameError::TooShort { .. })));
        // The last row may end without its padding.
        assert!(Frame::new(p(32, 3), 10, 2).is_ok());
    }

    #[test]
    fn yuv_of_odd_size_needs_rounded_up_chroma() {
        let plane = |data, row_stride| Plane { data, row_stride, pixel_stride: 1 };
        let y = [0; 15];
        let yuv = |c| Pixels::Yuv420 { y: plane(&y, 5), u: plane(c, 3), v: plane(c, 3) };
        assert!(Frame::new(yuv(&[0; 6]), 5, 3).is_ok());
        assert!(matches!(Frame::new(yuv(&[0; 5]), 5, 3), Err(FrameError::TooShort { plane: "U", .. })));
    }

    #[test]
    fn rotation_swaps_the_upright_size() {
        let f = Frame::rgb(&[0; 18], 3, 2).unwrap().rotated(Rotation::from_degrees(90).unwrap());
        assert_eq!((f.stored_size(), f.size()), ((3, 2), (2, 3)));
        assert!(Rotation::from_degrees(45).is_err());
    }
}
