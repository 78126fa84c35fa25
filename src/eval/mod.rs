//! Retrieval metrics: recall@k, MAR@k, mAP, latency; indexes against exact search over sets of vectors.

pub mod metrics;
pub mod npy;
pub mod run;
pub mod scores;
pub mod shelves;
pub mod submission;
pub mod vectors;
