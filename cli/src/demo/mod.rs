//! The shop of `shelfsight demo`: products that do not exist, drawn with everything a package has, and photos of them.

mod artwork;
mod back;
mod canvas;
pub mod catalogue;
mod ean13;
mod package;
mod packshot;
mod pattern;
mod pictogram;
mod rng;
mod round;
mod words;

pub use catalogue::{DemoProduct, draw_catalogue};
