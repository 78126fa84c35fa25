//! Where the products are: a class-agnostic detector and non-maximum suppression.
//!
//! The network marks the centre of every product on a coarse grid and says how large it is there (Zhou et al.,
//! "Objects as Points", 2019); reading boxes off the grid is done here.

mod decode;
mod detector;
mod manifest;
mod nms;

pub use detector::{DetectError, Detector, LoadDetectorError};
pub use manifest::{DetectorManifest, DetectorManifestError, DetectorOutputs, DetectorTag};
pub use nms::nms;

use crate::geometry::Rect;

/// Most boxes in one picture.
pub const MAX_DETECTIONS: usize = 300;

/// A product somewhere in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// In pixels of the upright frame, inside it.
    pub rect: Rect,
    /// Confidence, `0..=1`.
    pub score: f32,
}
