//! Crop, resize and normalise: any frame to the tensor an image model takes.

use shelfsight_resize::Window;

use super::color::{Yuv, yuv_to_rgb};
use super::source::{Region, Samples};
use super::spec::{ImageSpec, Layout, Resize, SpecError};
use crate::frame::{Frame, Pixels, Rotation};
use crate::geometry::Rect;

/// Pixels of a tensor of shape [`ImageSpec::shape`], and where they came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// RGB, row by row.
    pub pixels: Vec<u8>,
    /// Normalised value of each byte of each channel.
    pub levels: Box<[[f32; 256]; 3]>,
    /// Left column, top row, columns and rows of the pixels in the tensor; around them it is 0.
    pub window: [usize; 4],
    /// From frame pixels to tensor pixels.
    pub placement: Placement,
}

impl Prepared {
    /// The tensor in the layout of `spec`, by which this was prepared.
    pub fn values(&self, spec: &ImageSpec) -> Vec<f32> {
        let (width, area) = (spec.width as usize, spec.width as usize * spec.height as usize);
        let [left, top, columns, _] = self.window;
        let mut values = vec![0.0; area * 3];
        for (y, row) in self.pixels.chunks_exact(columns * 3).enumerate() {
            let start = (top + y) * width + left;
            match spec.layout {
                Layout::Nchw => {
                    for (c, levels) in self.levels.iter().enumerate() {
                        let out = &mut values[c * area + start..][..columns];
                        for (out, pixel) in out.iter_mut().zip(row.chunks_exact(3)) {
                            *out = levels[usize::from(pixel[c])];
                        }
                    }
                }
                Layout::Nhwc => {
                    let out = &mut values[start * 3..][..row.len()];
                    for (i, (out, &v)) in out.iter_mut().zip(row).enumerate() {
                        *out = self.levels[i % 3][usize::from(v)];
                    }
                }
            }
        }
        values
    }
}

/// `input = frame * scale + offset` on each axis, in pixels of the tensor and of the upright frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Tensor pixels a frame pixel, across.
    pub scale_x: f32,
    /// Tensor pixels a frame pixel, down.
    pub scale_y: f32,
    /// Where the frame's left edge lands.
    pub offset_x: f32,
    /// Where the frame's top edge lands.
    pub offset_y: f32,
}

impl Placement {
    /// A box in tensor pixels, in upright frame pixels (not clipped).
    pub fn to_frame(&self, input: Rect) -> Rect {
        Rect::new(
            (input.x - self.offset_x) / self.scale_x,
            (input.y - self.offset_y) / self.scale_y,
            input.w / self.scale_x,
            input.h / self.scale_y,
        )
    }

    /// A box in upright frame pixels, in tensor pixels.
    pub fn to_input(&self, frame: Rect) -> Rect {
        Rect::new(
            frame.x * self.scale_x + self.offset_x,
            frame.y * self.scale_y + self.offset_y,
            frame.w * self.scale_x,
            frame.h * self.scale_y,
        )
    }
}

/// Cuts `region` (upright pixels; the whole frame if `None`) out of `frame` and resizes it.
///
/// The region is clipped to the frame and rounded to whole pixels, and no pixel outside it is read. RGB and RGBA
/// frames are resized in place; of YUV frames brightness and colour are resized on their own and only the result is
/// converted, so the cost does not depend on a full-frame conversion.
///
/// # Errors
/// [`PrepareError`] if the spec is out of range or nothing of `region` is inside the frame.
pub fn prepare(frame: &Frame<'_>, region: Option<Rect>, spec: &ImageSpec) -> Result<Prepared, PrepareError> {
    spec.validate()?;
    let (fw, fh) = frame.size();
    let region = match region {
        None => Region { x: 0, y: 0, w: fw, h: fh },
        Some(rect) => region_inside(frame, rect)?,
    };
    let fit = Fit::new(&region, spec);
    let pixels = resample(frame, region, &fit, spec)?;
    let (sx, sy) = (f64::from(fit.w) / fit.window.w, f64::from(fit.h) / fit.window.h);
    let origin = |corner: u32, window: f64, scale: f64, place: u32| {
        (f64::from(place) - (f64::from(corner) + window) * scale) as f32
    };
    Ok(Prepared {
        pixels,
        levels: Box::new(std::array::from_fn(|c| {
            std::array::from_fn(|v| (v as f32 - spec.mean[c]) / spec.std[c])
        })),
        window: [fit.left, fit.top, fit.w, fit.h].map(|v| v as usize),
        placement: Placement {
            scale_x: sx as f32,
            scale_y: sy as f32,
            offset_x: origin(region.x, fit.window.x, sx, fit.left),
            offset_y: origin(region.y, fit.window.y, sy, fit.top),
        },
    })
}

/// That [`prepare`] will find pixels in `region`, for those who have other work to do first.
///
/// # Errors
/// [`PrepareError::EmptyRegion`]
pub fn check_region(frame: &Frame<'_>, region: Rect) -> Result<(), PrepareError> {
    region_inside(frame, region).map(|_| ())
}

fn region_inside(frame: &Frame<'_>, rect: Rect) -> Result<Region, PrepareError> {
    let (width, height) = frame.size();
    whole_pixels(rect, width, height).ok_or(PrepareError::EmptyRegion { rect, width, height })
}

/// The rect clipped and rounded to whole pixels, at least one a side; `None` if nothing is inside. What reaches past the
/// picture is cut, however far: an infinite extent is a long one.
fn whole_pixels(rect: Rect, width: u32, height: u32) -> Option<Region> {
    let (corner, extent) = (|v: f32| v.clamp(-1e9, 1e9), |v: f32| v.clamp(-4e9, 4e9));
    let rect = Rect::new(corner(rect.x), corner(rect.y), extent(rect.w), extent(rect.h));
    let clipped = rect.clip(width, height)?;
    let span = |start: f32, length: f32, limit: u32| {
        let from = (start.round() as u32).min(limit - 1);
        let to = ((start + length).round() as u32).clamp(from + 1, limit);
        (from, to - from)
    };
    let (x, w) = span(clipped.x, clipped.w, width);
    let (y, h) = span(clipped.y, clipped.h, height);
    Some(Region { x, y, w, h })
}

/// Which window of a region fills which pixels of the input.
#[derive(Debug, PartialEq)]
struct Fit {
    window: Window,
    left: u32,
    top: u32,
    w: u32,
    h: u32,
}

impl Fit {
    fn new(region: &Region, spec: &ImageSpec) -> Self {
        let (rw, rh) = (f64::from(region.w), f64::from(region.h));
        let whole = Window { x: 0.0, y: 0.0, w: rw, h: rh };
        match spec.resize {
            Resize::Squash => Self { window: whole, left: 0, top: 0, w: spec.width, h: spec.height },
            Resize::Pad => {
                let scale = (f64::from(spec.width) / rw).min(f64::from(spec.height) / rh);
                let side = |length: f64, limit: u32| ((length * scale).round() as u32).clamp(1, limit);
                let (w, h) = (side(rw, spec.width), side(rh, spec.height));
                Self { window: whole, left: (spec.width - w) / 2, top: (spec.height - h) / 2, w, h }
            }
            Resize::Crop => {
                // As torchvision and timm: the target of the short side is rounded down, then the longer side, and
                // the cut starts at a whole pixel of the scaled picture.
                let target = |side: u32| (f64::from(side) / f64::from(spec.crop_fraction) + 1e-4).floor();
                let scale = (target(spec.width) / rw).max(target(spec.height) / rh);
                let side = |length: f64, wanted: u32| (length * scale + 1e-6).floor().max(f64::from(wanted));
                let (sw, sh) = (side(rw, spec.width), side(rh, spec.height));
                let cut = |scaled: f64, wanted: u32| ((scaled - f64::from(wanted)) / 2.0).round_ties_even();
                let (px, py) = (rw / sw, rh / sh);
                let window = Window {
                    x: cut(sw, spec.width) * px,
                    y: cut(sh, spec.height) * py,
                    w: f64::from(spec.width) * px,
                    h: f64::from(spec.height) * py,
                };
                Self { window: inside(window, rw, rh), left: 0, top: 0, w: spec.width, h: spec.height }
            }
        }
    }
}

/// A window inside `w × h` pixels: rounding may leave a border 1e-13 outside, which the resize refuses.
fn inside(window: Window, w: f64, h: f64) -> Window {
    let (x, y) = (window.x.clamp(0.0, w), window.y.clamp(0.0, h));
    Window { x, y, w: window.w.min(w - x), h: window.h.min(h - y) }
}

/// The fit's window as packed upright RGB, `fit.w × fit.h`.
fn resample(frame: &Frame<'_>, region: Region, fit: &Fit, spec: &ImageSpec) -> Result<Vec<u8>, PrepareError> {
    let rotation = frame.rotation();
    let (stored, window) = to_stored(frame, region, fit.window);
    let (w, h) = match rotation {
        Rotation::R0 | Rotation::R180 => (fit.w, fit.h),
        Rotation::R90 | Rotation::R270 => (fit.h, fit.w),
    };
    let resize = |samples: &Samples<'_>, window| {
        samples.resize(window, w, h, spec.filter).map_err(|reason| PrepareError::Resize { reason })
    };
    let mut rgb = vec![0u8; w as usize * h as usize * 3];
    match frame.pixels() {
        Pixels::Gray(p) => {
            let gray = resize(&Samples::of_plane(p, stored, 1), window)?;
            for (out, &v) in rgb.chunks_exact_mut(3).zip(&gray) {
                out.fill(v);
            }
        }
        Pixels::Rgb(p) | Pixels::Bgr(p) => {
            let samples = Samples::of_plane(p, stored, 3);
            let bytes = resize(&samples, window)?;
            let order = if matches!(frame.pixels(), Pixels::Bgr(_)) { [2, 1, 0] } else { [0, 1, 2] };
            for (out, v) in rgb.chunks_exact_mut(3).zip(bytes.chunks_exact(samples.channels())) {
                out.copy_from_slice(&order.map(|c| v[c]));
            }
        }
        Pixels::Yuv420 { y, u, v } => {
            let luma = resize(&Samples::of_plane(y, stored, 1), window)?;
            // A chroma sample covers 2×2 pixels, so the same window has half the numbers.
            let (x0, y0) = (stored.x / 2, stored.y / 2);
            let (x1, y1) = ((stored.x + stored.w).div_ceil(2), (stored.y + stored.h).div_ceil(2));
            let half = Region { x: x0, y: y0, w: x1 - x0, h: y1 - y0 };
            let in_half = Window {
                x: (f64::from(stored.x) + window.x) / 2.0 - f64::from(x0),
                y: (f64::from(stored.y) + window.y) / 2.0 - f64::from(y0),
                w: window.w / 2.0,
                h: window.h / 2.0,
            };
            let in_half = inside(in_half, f64::from(half.w), f64::from(half.h));
            let u = resize(&Samples::of_plane(u, half, 1), in_half)?;
            let v = resize(&Samples::of_plane(v, half, 1), in_half)?;
            for (((out, &y), &u), &v) in rgb.chunks_exact_mut(3).zip(&luma).zip(&u).zip(&v) {
                out.copy_from_slice(&yuv_to_rgb(Yuv { y, u, v }));
            }
        }
    }
    Ok(super::color::turn(rgb, w, h, rotation))
}

/// A region and window of the upright picture, as they lie in memory.
fn to_stored(frame: &Frame<'_>, r: Region, win: Window) -> (Region, Window) {
    let (w, h) = frame.stored_size();
    let (rw, rh) = (f64::from(r.w), f64::from(r.h));
    let (right, bottom) = (rw - win.x - win.w, rh - win.y - win.h);
    match frame.rotation() {
        Rotation::R0 => (r, win),
        Rotation::R90 => (
            Region { x: r.y, y: h - r.x - r.w, w: r.h, h: r.w },
            inside(Window { x: win.y, y: right, w: win.h, h: win.w }, rh, rw),
        ),
        Rotation::R180 => (
            Region { x: w - r.x - r.w, y: h - r.y - r.h, ..r },
            inside(Window { x: right, y: bottom, ..win }, rw, rh),
        ),
        Rotation::R270 => (
            Region { x: w - r.y - r.h, y: r.x, w: r.h, h: r.w },
            inside(Window { x: bottom, y: win.x, w: win.h, h: win.w }, rh, rw),
        ),
    }
}

/// Why a frame cannot be prepared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PrepareError {
    /// The spec is out of range.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Less than one pixel of the region lies inside the frame.
    #[error(
        "the region of {w} × {h} pixels at ({x}, {y}) has no pixel inside the picture of {width} × {height}; boxes refer to the upright picture",
        w = .rect.w, h = .rect.h, x = .rect.x, y = .rect.y
    )]
    EmptyRegion {
        /// Region asked for.
        rect: Rect,
        /// Upright width of the frame.
        width: u32,
        /// Upright height of the frame.
        height: u32,
    },
    /// The resize library refused; not known to happen.
    #[error("the resize failed: {reason}")]
    Resize {
        /// What it said.
        reason: String,
    },
}
