//! The shop of `shelfsight demo`: products that do not exist, drawn with everything a package has, and photos of them.

mod artwork;
mod back;
mod camera;
mod catalogue;
mod ean13;
mod package;
mod packshot;
mod pattern;
mod photo;
mod pictogram;
mod rng;
mod round;
mod shelf;
mod warp;
mod words;

pub use catalogue::{DemoProduct, draw_catalogue};
pub use photo::{Photo, draw_photo};
pub use shelf::{Shelf, ShelfItem, draw_shelf};
