//! ShelfSight as Kotlin and Swift see it. No logic: each call converts, calls the library, converts back.
//!
//! The types here are the bridge, not the API: `bindings/kotlin` and `bindings/swift` wrap them in their language's own
//! manners and keep them out of sight. Everything goes through [`NativeEngine`]; what an app can do wrong comes back as
//! a [`Failure`], and a panic becomes an error of the caller (UniFFI and [`jni`](mod@jni) both catch it). Nothing is
//! logged.
//!
//! A frame's planes are borrowed for the length of a call and never copied before the resize. Kotlin hands them over
//! through [`jni`](mod@jni), in the same serialised form of request and reply that UniFFI uses.

mod bench;
mod convert;
mod engine;
mod failure;
mod frame;
#[cfg(not(target_vendor = "apple"))]
pub mod jni;
mod types;

pub use bench::{BenchSettings, Probe};
pub use engine::{NativeEngine, Progress, pack_length, version};
pub use failure::Failure;
pub use frame::{FrameLayout, PixelFormat, PlaneLayout};
pub use types::*;

uniffi::setup_scaffolding!();
