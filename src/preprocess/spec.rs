//! What an image model wants its input to look like.

use serde::{Deserialize, Serialize};

/// Largest width or height of a model's input, in pixels.
pub const MAX_INPUT_SIDE: u32 = 1024;

/// How a crop of any shape becomes `width × height`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// Both sides are scaled on their own; the aspect ratio is lost.
    #[default]
    Squash,
    /// The short side is scaled to `side / crop_fraction`, then the centre is cut out (torchvision's `Resize` and
    /// `CenterCrop`, with its rounding).
    Crop,
    /// Fitted inside and centred; the rest holds `mean`, so 0 after normalisation.
    Pad,
}

/// Resampling filter, widened when shrinking (antialiased), as Pillow does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Triangle.
    #[default]
    Bilinear,
    /// Catmull-Rom, a = −0.5.
    Bicubic,
    /// Windowed sinc over 6 samples.
    Lanczos3,
}

/// Order of the axes in the tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[1, 3, height, width]`.
    #[default]
    Nchw,
    /// `[1, height, width, 3]`.
    Nhwc,
}

/// From pixels to a tensor: size, resize, normalisation. Channels are RGB and values `(x − mean) / std` with `x` in
/// `0..=255`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// Input width in pixels, 1 to [`MAX_INPUT_SIDE`].
    pub width: u32,
    /// Input height in pixels, 1 to [`MAX_INPUT_SIDE`].
    pub height: u32,
    /// How a crop of another shape is fitted.
    #[serde(default)]
    pub resize: Resize,
    /// Resampling filter.
    #[serde(default)]
    pub filter: Filter,
    /// Subtracted from each channel (R, G, B), in `0..=255`.
    pub mean: [f32; 3],
    /// Divides each channel (R, G, B) after that, in units of `0..=255`; not 0.
    pub std: [f32; 3],
    /// Order of the axes.
    #[serde(default)]
    pub layout: Layout,
    /// Share of the short side that [`Resize::Crop`] keeps, above 0 and at most 1; unused by the others.
    #[serde(default = "whole")]
    pub crop_fraction: f32,
}

fn whole() -> f32 {
    1.0
}

impl ImageSpec {
    /// Checks every field.
    ///
    /// # Errors
    /// [`SpecError`] names the first field that is out of range.
    pub fn validate(&self) -> Result<(), SpecError> {
        let side = 1..=MAX_INPUT_SIDE;
        if !side.contains(&self.width) || !side.contains(&self.height) {
            return Err(SpecError::Size { width: self.width, height: self.height });
        }
        if let Some(&value) = self.mean.iter().find(|v| !v.is_finite()) {
            return Err(SpecError::Mean { value });
        }
        if let Some(&value) = self.std.iter().find(|v| !v.is_normal()) {
            return Err(SpecError::Std { value });
        }
        if !(self.crop_fraction > 0.0 && self.crop_fraction <= 1.0) {
            return Err(SpecError::CropFraction { value: self.crop_fraction });
        }
        Ok(())
    }

    /// Shape of the tensor, batch 1.
    pub fn shape(&self) -> [usize; 4] {
        let (w, h) = (self.width as usize, self.height as usize);
        match self.layout {
            Layout::Nchw => [1, 3, h, w],
            Layout::Nhwc => [1, h, w, 3],
        }
    }
}

/// Which field of an [`ImageSpec`] is out of range.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum SpecError {
    /// Width or height.
    #[error("input of {width}×{height} pixels; each side must be 1 to {MAX_INPUT_SIDE}")]
    Size {
        /// Width given.
        width: u32,
        /// Height given.
        height: u32,
    },
    /// Mean.
    #[error("mean {value} is not a finite number")]
    Mean {
        /// Value given.
        value: f32,
    },
    /// Standard deviation.
    #[error("std {value} cannot divide; use a finite number other than 0")]
    Std {
        /// Value given.
        value: f32,
    },
    /// Crop fraction.
    #[error("crop_fraction {value} must be above 0 and at most 1")]
    CropFraction {
        /// Value given.
        value: f32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> Result<ImageSpec, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn defaults_and_unknown_fields() {
        let s = spec(r#"{"width":4,"height":2,"mean":[127,127,127],"std":[128,128,128]}"#).unwrap();
        assert_eq!((s.resize, s.filter, s.layout), (Resize::Squash, Filter::Bilinear, Layout::Nchw));
        assert_eq!((s.crop_fraction, s.shape()), (1.0, [1, 3, 2, 4]));
        assert!(spec(r#"{"width":4,"height":2,"mean":[0,0,0],"std":[1,1,1],"padding":3}"#).is_err());
        assert!(spec(r#"{"width":4,"height":2,"mean":[0,0,0]}"#).is_err());
    }

    #[test]
    fn refuses_what_is_out_of_range() {
        let good = spec(r#"{"width":4,"height":2,"mean":[0,0,0],"std":[1,1,1]}"#).unwrap();
        assert_eq!(good.validate(), Ok(()));
        let check = |change: fn(&mut ImageSpec)| {
            let mut s = good.clone();
            change(&mut s);
            s.validate()
        };
        assert!(matches!(check(|s| s.width = 0), Err(SpecError::Size { .. })));
        assert!(matches!(check(|s| s.height = 1025), Err(SpecError::Size { .. })));
        assert!(matches!(check(|s| s.mean[1] = f32::NAN), Err(SpecError::Mean { .. })));
        assert!(matches!(check(|s| s.std[2] = 0.0), Err(SpecError::Std { .. })));
        assert!(matches!(check(|s| s.std[0] = f32::INFINITY), Err(SpecError::Std { .. })));
        assert!(matches!(check(|s| s.crop_fraction = 0.0), Err(SpecError::CropFraction { .. })));
        assert!(matches!(check(|s| s.crop_fraction = f32::NAN), Err(SpecError::CropFraction { .. })));
    }
}
