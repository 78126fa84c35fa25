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

use sha2::{Digest, Sha256};

use crate::geometry::Rect;
use crate::runtime::plan;

/// Most boxes in one picture.
pub const MAX_DETECTIONS: usize = 300;

/// SHA-256 over a detector's manifest and model, as a pack records it. (A detector makes no vectors that must match, so
/// there is nothing in its manifest to leave out.)
pub fn id(manifest_json: &[u8], model: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let model = if plan::is_plan(model) { plan::identity(model) } else { model };
    for part in [manifest_json, model] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// A product somewhere in a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// In pixels of the upright frame, inside it.
    pub rect: Rect,
    /// Confidence, `0..=1`.
    pub score: f32,
}
