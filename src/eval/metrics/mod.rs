//! Retrieval metrics over ranked ids, and what their means are worth.
//!
//! A query has a ranked list of results, best first, none twice, and a set G of right ones. Four means of recall go by
//! one name in the literature, so each has its own here: see [`RecallMeans`].

mod precision;
pub mod product1m;
mod recall;
mod statistics;

pub use precision::{average_precision, average_precision_at, reciprocal_rank, revisited_average_precision};
pub use recall::{RecallMeans, capped_recall_at, hit_at, recall_at, recall_means};
pub use statistics::{Interval, bootstrap_mean, mean, paired_bootstrap, percentile};
