//! Pixels to tensors: decode, colour conversion, crop, resize, normalise. Imports only `frame` and `geometry`.
//!
//! [`decode`] turns a JPEG, PNG or WebP file into an upright [`Photo`]; [`prepare`] turns any [`Frame`] (a camera
//! buffer as it is, or a photo) into the normalised `f32` tensor that an [`ImageSpec`] describes. The resize is part of
//! an encoder's identity: changing the filter alone moves about as many nearest neighbours as int8 quantisation does.
//!
//! [`Frame`]: crate::frame::Frame

mod color;
#[cfg(feature = "photo")]
mod decode;
mod photo;
mod prepare;
mod source;
mod spec;

pub use color::{to_luma, to_rgb};
#[cfg(feature = "photo")]
pub use decode::{DecodeError, DecodeOptions, MAX_FILE_BYTES, PhotoFormat, decode, open, recognise};
pub use photo::Photo;
pub use prepare::{Placement, PrepareError, Prepared, check_region, prepare};
pub use spec::{Filter, ImageSpec, Layout, MAX_INPUT_SIDE, Resize, SpecError};
