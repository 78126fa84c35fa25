//! Vectors to nearest rows: build, open, scan, top-k; filters and deletions inside the scan.
//!
//! ```
//! use shelfsight::index::{IndexKind, IndexParams, IndexView, build};
//! let vectors = [1.0, 0.0, 0.6, 0.8, 0.0, 1.0]; // [3, 2], unit
//! let built = build(&IndexParams { kind: IndexKind::Flat, ..Default::default() }, &vectors, 2, &mut |_| ())?;
//! let index = IndexView::open(&built.quantizer, &built.codes)?;
//! let hits = index.search(&[0.6, 0.8], 2, &|row| row != 2)?;
//! assert_eq!(hits.iter().map(|h| h.row).collect::<Vec<_>>(), [1, 0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A score is the estimated cosine of query and row. For codes it is `⟨q, x̂⟩ · c · ⟨x, x̂⟩^−α`, x the row and x̂ its
//! decoded vector, which is shorter than the row: plain `⟨q, x̂⟩` underrates near rows most. With c = α = 1 the estimate
//! has no bias if what the code leaves of x points anywhere (Gao and Long 2024, section 3.2); but near rows share part
//! of what is left, so both are fitted on the catalogue when the index is built. One byte a row holds the factor.
//! Estimates may pass 1 by a little.

mod auto;
mod batch;
mod bitmap;
mod build;
mod changes;
pub mod lists;
mod scale;
mod search;
pub(crate) mod topk;
mod trq;
mod view;

pub use auto::{Choice, Wanted, choose};
pub use bitmap::Bitmap;
pub use build::{BuildIndexError, BuiltIndex, IndexParams, build, build_from};
pub use changes::{AddError, Live, RowChanges, RowEncoder};
pub use lists::{Keep, Lists, Metric, Probe};
pub use search::{Hit, Scope, SearchError};
pub use view::{INDEX_HEADER_LEN, IndexView, OpenIndexError, lists_index};

use std::fmt;

/// How rows are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IndexKind {
    /// Every component as a half float: 2 bytes a component, scores off by at most 0.0005.
    #[default]
    Flat,
    /// Product quantizer: small codebook, fast to build.
    Pq,
    /// Residual quantizer: most accurate a byte, slower to build, larger codebook.
    Rq,
    /// Optimised product quantizer: [`Pq`](Self::Pq) after one rotation.
    Opq,
    /// Transformed residual quantizer in inverted lists: only part of a large catalogue is looked at.
    Trq,
}

impl IndexKind {
    /// `flat`, `pq`, `rq`, `opq` or `trq`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Pq => "pq",
            Self::Rq => "rq",
            Self::Opq => "opq",
            Self::Trq => "trq",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Flat, Self::Pq, Self::Rq, Self::Opq, Self::Trq].into_iter().find(|k| k.name() == name)
    }
}

impl fmt::Display for IndexKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
