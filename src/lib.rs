//! ShelfSight names every product a camera sees, with no network.
//!
//! A query flows `Frame → preprocess → detect → crop → encode → search → fuse → Match`; a pack is built
//! `catalogue → embed → train quantizer → encode codes → write → reopen and check`. Each stage is a module
//! and can be called alone; [`engine`] is the only place that knows them all.

pub mod cancel;
pub mod embedding;
pub mod frame;
pub mod geometry;

pub mod detect;
pub mod encode;
pub mod engine;
pub mod fuse;
pub mod index;
pub mod kernels;
pub mod live;
pub mod measure;
pub mod options;
pub mod pack;
pub mod preprocess;
pub mod quant;
pub mod rerank;
pub mod runtime;

#[cfg(feature = "build")]
pub mod build;
#[cfg(feature = "build")]
pub mod eval;

pub use cancel::Cancel;
pub use embedding::Embedding;
pub use frame::{Frame, Rotation};
pub use geometry::Rect;
