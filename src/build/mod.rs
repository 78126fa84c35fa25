//! Catalogue to pack: read, embed, train, assemble, check.

pub mod assemble;
pub mod catalogue;
mod compile;
mod embed;
mod error;
mod index;
pub mod queries;
mod table;
mod write;

pub use assemble::{BuildOptions, BuildReport, BuildStep, Models, Progress, SkippedImage, build_pack};
pub use catalogue::{CatalogueError, CatalogueRow, ProductError, read_catalogue, read_catalogue_partly};
pub use compile::ModelNote;
#[cfg(feature = "onnx")]
pub use compile::{CompileModelError, compile_model};
pub use error::{BuildError, ImageFault};
pub use queries::{QueriesError, QueryRow, read_queries, read_unlabelled_queries};
pub use table::{RowError, TableError};
