//! Puts the first products of a list into a better order, by comparing pictures cell by cell.
//!
//! The global vector says what a picture shows as a whole; two packages of one brand differ in a line of print. The image
//! encoder's second output describes the cells of a grid ([`Cells`](crate::embedding::Cells)); the catalogue's are kept in
//! 4 bits a number. [`features`] says how well the cells of two pictures match and whether the matches agree on a shift, and a
//! [`Reranker`] makes a score of it. After Tan, Yuan and Ordonez, *Instance-level Image Retrieval using Reranking
//! Transformers* (ICCV 2021): the same input, the product variant's 7 × 7 grid. A transformer over descriptors learns the
//! training products; told only how similar cells are, and where, a small net holds for products that nobody trained on
//! (docs/rerank.md).

mod cells;
mod matches;
mod scorer;

pub use cells::{CellCodes, stored};
pub use matches::{FEATURES, features};
pub use scorer::{Reranker, RerankerError};
