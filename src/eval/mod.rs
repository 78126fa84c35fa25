//! Retrieval metrics: recall@k, MAR@k, mAP, latency.

pub mod metrics;
pub mod run;
