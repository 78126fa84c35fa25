//! Catalogue to pack: read, embed, train, assemble, check.

pub mod assemble;
pub mod catalogue;
pub mod queries;
mod table;

pub use assemble::{
    BuildError, BuildOptions, BuildReport, BuildStep, ImageFault, Models, Progress, SkippedImage, build_pack,
};
pub use catalogue::{CatalogueError, CatalogueRow, ProductError, read_catalogue, read_catalogue_partly};
pub use queries::{QueriesError, QueryRow, read_queries};
pub use table::{RowError, TableError};
