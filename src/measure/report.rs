//! The report, as JSON that machines compare and people read.

use serde::Serialize;

use super::Probe;
use super::device::{Device, Memory};
use crate::Cancel;
use crate::engine::{Engine, FindError, Query};
use crate::options::FindOptions;
use crate::pack::Pack;

/// Name and version of the report's form. Fields are only added within a version.
pub const SCHEMA: &str = "shelfsight-bench/1";

/// A benchmark's result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Version of the library.
    pub library: &'static str,
    /// What was searched.
    pub pack: PackFacts,
    /// What it ran on.
    pub device: Device,
    /// Milliseconds a stage.
    pub ms: Stages,
    /// Boxes named in one scan; 0 for the drawn picture.
    pub scan_boxes: usize,
    /// How steady the device was.
    pub pace: Pace,
    /// Memory after all stages, the app's own included.
    pub memory: Memory,
    /// How often the right product was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall: Option<Recall>,
}

/// Times of each stage; `None` where the pack lacks the model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stages {
    /// Opening the pack, models not loaded.
    pub open: Option<Speed>,
    /// Loading every model of a pack opened just now.
    pub warm_up: Option<Speed>,
    /// A frame of 1280 × 960 in YUV to a vector.
    pub encode_image: Option<Speed>,
    /// Five words to a vector.
    pub encode_text: Option<Speed>,
    /// A picture's vector to ten products.
    pub search_image: Option<Speed>,
    /// A text's vector to ten products.
    pub search_text: Option<Speed>,
    /// A whole picture: detect, encode each box, search.
    pub scan: Option<Speed>,
    /// From cancelling such a scan, each time at another place, to its end.
    pub cancel: Option<Speed>,
}

/// Times of one stage, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Speed {
    /// Half of the runs were faster.
    #[serde(rename = "p50")]
    pub median: f64,
    /// 95 of 100 runs were faster.
    pub p95: f64,
    /// The fastest.
    pub min: f64,
    /// The slowest.
    pub max: f64,
    /// How many.
    pub runs: usize,
}

impl Speed {
    /// Of times in any order; `None` of none.
    pub fn of(mut times: Vec<f64>) -> Option<Self> {
        times.sort_by(f64::total_cmp);
        let (&min, &max) = (times.first()?, times.last()?);
        // Nearest rank, rounded up: of 20 runs, p95 is the 19th.
        let at = |share: f64| times[((times.len() as f64 * share).ceil() as usize).clamp(1, times.len()) - 1];
        Some(Self {
            median: rounded(at(0.5)),
            p95: rounded(at(0.95)),
            min: rounded(min),
            max: rounded(max),
            runs: times.len(),
        })
    }
}

/// How steady the device was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pace {
    /// Least milliseconds of the fixed arithmetic: the device's clock, to compare machines by.
    pub best_ms: f64,
    /// Rounds run.
    pub rounds: usize,
    /// Rounds at full pace, from which `ms` comes.
    pub rounds_used: usize,
    /// Most rounds were not at full pace, so `ms` comes from all of them: let the device cool and run again.
    pub throttled: bool,
    /// The slowest round's pace by the best one's.
    pub worst: Option<f64>,
    /// Encoding a picture in the last third of the rounds, by the first third.
    pub slowdown: Option<f64>,
}

/// How often the right product was found by looks alone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Recall {
    /// Photos.
    pub probes: usize,
    /// Share whose best match is right.
    #[serde(rename = "recall@1")]
    pub at_1: f64,
    /// Share with a right product among the best five.
    #[serde(rename = "recall@5")]
    pub at_5: f64,
    /// Times of encoding and searching a probe.
    pub ms: Speed,
}

/// What was searched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PackFacts {
    /// Two reports with this number searched packs of the same models, of as many products and rows and of the same
    /// length: a CRC-32 over those.
    pub id: String,
    /// Products.
    pub products: u32,
    /// Bytes of the file.
    pub bytes: u64,
    /// Rows of the index of pictures.
    pub image_rows: u32,
    /// Kind of that index.
    pub image_index: Option<String>,
    /// Bytes a vector in it.
    pub bytes_per_vector: Option<u32>,
}

impl PackFacts {
    pub(super) fn of(pack: &Pack) -> Self {
        let meta = pack.meta();
        let encoders = [&meta.image, &meta.text, &meta.detector];
        let mut hash = crc32fast::Hasher::new();
        for id in encoders.iter().filter_map(|e| e.as_ref()).map(|e| e.id.as_bytes()) {
            hash.update(id);
        }
        for number in [
            u64::from(meta.product_count),
            u64::from(meta.image_rows),
            u64::from(meta.text_rows),
            pack.file_len(),
        ] {
            hash.update(&number.to_le_bytes());
        }
        Self {
            id: format!("{:08x}", hash.finalize()),
            products: meta.product_count,
            bytes: pack.file_len(),
            image_rows: meta.image_rows,
            image_index: meta.image_index.as_ref().map(|i| i.kind.clone()),
            bytes_per_vector: meta.image_index.as_ref().map(|i| i.bytes_per_vector),
        }
    }
}

/// Counts probes.
#[derive(Default)]
pub(super) struct Tally {
    at_1: usize,
    at_5: usize,
    times: Vec<f64>,
}

impl Tally {
    pub fn add(&mut self, engine: &Engine, probe: &Probe, cancel: Option<&Cancel>) -> Result<(), FindError> {
        let frame = probe.photo.frame();
        let options =
            FindOptions { top: 5, barcode: false, cancel: cancel.cloned(), ..FindOptions::default() };
        let found = engine.find(&Query { frame: Some(&frame), text: None }, &options)?;
        let right = |id: &String| probe.ids.contains(id);
        let rank = found.matches.iter().position(|m| right(&m.record.id));
        self.at_1 += usize::from(rank == Some(0));
        self.at_5 += usize::from(rank.is_some());
        self.times.push(found.ms.total());
        Ok(())
    }

    pub fn finish(self) -> Option<Recall> {
        let probes = self.times.len();
        let share = |count: usize| rounded(count as f64 / probes as f64);
        Some(Recall { probes, at_1: share(self.at_1), at_5: share(self.at_5), ms: Speed::of(self.times)? })
    }
}

/// To three digits after the point, or three that count: enough for any comparison, and readable.
pub(super) fn rounded(value: f64) -> f64 {
    let digits = if value.abs() < 0.1 { 1e6 } else { 1e3 };
    (value * digits).round() / digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_runs_that_happened() {
        let speed = Speed::of((1..=20).rev().map(f64::from).collect()).unwrap();
        assert_eq!((speed.median, speed.p95, speed.min, speed.max, speed.runs), (10.0, 19.0, 1.0, 20.0, 20));
        let one = Speed::of(vec![0.000_123_4]).unwrap();
        assert_eq!((one.median, one.p95), (0.000_123, 0.000_123));
        assert_eq!(Speed::of(vec![]), None);
    }
}
