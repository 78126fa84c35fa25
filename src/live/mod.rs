//! A stream of frames: what changed, where known boxes went, and whether another detection is worth its energy.
//!
//! Neighbouring camera frames show almost the same shelf. A [`Thumb`] of a few thousand cells tells in tens of
//! microseconds whether anything changed and how far the picture moved; [`Tracks`] carry boxes along and keep their
//! numbers; a [`Governor`] spends detections within a share of time that falls as the device warms. Nothing here runs a
//! network: `Engine::follow` puts the parts together. Imports only `frame` and `geometry`.

mod governor;
mod thumb;
mod track;

pub use governor::{Decision, Governor, Heat, Pace};
pub use thumb::{Change, Motion, Thumb};
pub use track::{Seen, Track, Tracks};
