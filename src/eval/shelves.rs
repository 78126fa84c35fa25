//! Photos of several products: one search of the whole picture against one a detected box, by Product1M's metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use super::metrics::product1m::{self, Scores};
use super::metrics::{Interval, bootstrap_mean, mean, paired_bootstrap, percentile};
use crate::build::QueryRow;
use crate::engine::{Engine, FindError, Match, QUERY_DECODE, Query};
use crate::options::{FindOptions, ScanOptions};
use crate::preprocess::{self, DecodeError};

/// Depths N of the metrics.
pub const DEPTHS: [usize; 3] = [10, 50, 100];

/// Results kept a search.
const DEPTH: usize = 100;

/// Resamples of an interval.
const RESAMPLES: usize = 10_000;

/// How to evaluate.
#[derive(Clone, Debug, Default)]
pub struct ShelfOptions {
    /// Attribute of the catalogue that holds a product's label, where several entries share one; the id if `None`.
    pub label: Option<String>,
    /// Read barcodes.
    pub barcode: bool,
    /// Order the first products anew by their local descriptors.
    pub rerank: bool,
}

/// One way of searching, over all photos.
#[derive(Clone, Debug)]
pub struct Level {
    /// `image`: the whole picture is one query. `boxes`: each detected box is one, and their lists are merged in turns.
    pub name: &'static str,
    /// N → means over photos.
    pub scores: Vec<(usize, Scores)>,
    /// 95 % bootstrap interval of the recall at 10.
    pub recall_10_interval: Option<Interval>,
    /// Mean share of a photo's labels that come first in a list.
    pub named: f64,
    /// Median time a photo, in ms, without reading and decoding.
    pub ms_p50: f64,
}

/// Photos of several products against a pack.
#[derive(Clone, Debug)]
pub struct ShelfReport {
    /// Photos judged.
    pub photos: usize,
    /// Labels named in the query file that no product of the pack has, each once.
    pub unknown: Vec<String>,
    /// Mean number of boxes a photo that could be read.
    pub boxes: f64,
    /// Photos that could not be read, by position in the query file; nothing is found in them.
    pub unreadable: Vec<(usize, DecodeError)>,
    /// Whole picture, then boxes.
    pub levels: [Level; 2],
    /// 95 % interval of what boxes gain over the whole picture in recall at 10.
    pub gain: Option<Interval>,
}

/// Why photos of several products cannot be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShelfError {
    /// The pack has no detector or image encoder, or is broken.
    #[error(transparent)]
    Find(#[from] FindError),
    /// No product has the attribute that is to be its label.
    #[error("no product of the pack has an attribute {name:?}; it is a column attr.{name} of the catalogue")]
    NoLabel {
        /// The attribute.
        name: String,
    },
    /// A row without a photo.
    #[error("line {line}: no image; with several products to find, every query is a photo")]
    NoPhoto {
        /// First line of the row.
        line: u64,
    },
}

/// Searches every photo, paths relative to `images`, both ways; `ids` of a row are the labels it shows, each as often as
/// it is there.
///
/// # Errors
/// [`ShelfError`]. A photo that cannot be read is not one: nothing is found in it.
pub fn evaluate_shelves(
    engine: &Engine,
    queries: &[QueryRow],
    images: &Path,
    options: &ShelfOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<ShelfReport, ShelfError> {
    if let Some(row) = queries.iter().find(|row| row.image.is_none()) {
        return Err(ShelfError::NoPhoto { line: row.line });
    }
    let gallery = Gallery::new(engine, options.label.as_deref())?;
    let &ShelfOptions { barcode, rerank, .. } = options;
    let find = FindOptions { top: DEPTH, barcode, rerank, ..FindOptions::default() };
    let scan = ScanOptions { top: DEPTH, barcode, rerank, ..ScanOptions::default() };
    let (mut whole, mut boxed) = (Run::default(), Run::default());
    let (mut boxes, mut unreadable) = (Vec::new(), Vec::new());
    engine.warm_up()?;
    for (at, query) in queries.iter().enumerate() {
        progress(at + 1);
        let Some(image) = &query.image else { continue };
        let photo = match preprocess::open(&images.join(image), &QUERY_DECODE) {
            Ok(photo) => photo,
            Err(fault) => {
                unreadable.push((at, fault));
                whole.judge(&gallery, &query.ids, &[]);
                boxed.judge(&gallery, &query.ids, &[]);
                continue;
            }
        };
        let frame = photo.frame();
        let found = whole.time(|| engine.find(&Query { frame: Some(&frame), text: None }, &find))?;
        whole.judge(&gallery, &query.ids, &[products(&found.matches)]);
        let scanned = boxed.time(|| engine.scan(&frame, &scan))?;
        boxes.push(scanned.items.len() as f64);
        let lists: Vec<_> = scanned.items.iter().map(|item| products(&item.matches)).collect();
        boxed.judge(&gallery, &query.ids, &lists);
    }
    let named: BTreeSet<&String> = queries.iter().flat_map(|row| &row.ids).collect();
    let unknown = named.into_iter().filter(|label| !gallery.counts.contains_key(*label)).cloned().collect();
    Ok(ShelfReport {
        photos: whole.scores.len(),
        unknown,
        boxes: mean(&boxes),
        unreadable,
        gain: paired_bootstrap(&whole.recalls_10(), &boxed.recalls_10(), RESAMPLES, 0),
        levels: [whole.finish("image"), boxed.finish("boxes")],
    })
}

fn products(matches: &[Match]) -> Vec<u32> {
    matches.iter().map(|m| m.product).collect()
}

/// The label of every product, and how many products have each.
struct Gallery {
    labels: Vec<String>,
    counts: BTreeMap<String, usize>,
}

impl Gallery {
    fn new(engine: &Engine, attribute: Option<&str>) -> Result<Self, ShelfError> {
        let attribute = attribute.map(|name| name.strip_prefix("attr.").unwrap_or(name));
        let records = engine.pack().records();
        let mut labels = Vec::with_capacity(records.len() as usize);
        let mut counts = BTreeMap::new();
        for product in 0..records.len() {
            let record = records.at(product).map_err(FindError::from)?;
            let label = match attribute {
                Some(name) => record.attr(name),
                None => record.id(),
            };
            let label = label.unwrap_or_default().to_owned();
            if !label.is_empty() {
                *counts.entry(label.clone()).or_default() += 1;
            }
            labels.push(label);
        }
        match attribute {
            Some(name) if counts.is_empty() => Err(ShelfError::NoLabel { name: name.to_owned() }),
            _ => Ok(Self { labels, counts }),
        }
    }

    fn label(&self, product: u32) -> String {
        self.labels.get(product as usize).cloned().unwrap_or_default()
    }
}

/// What one way of searching made of the photos so far.
#[derive(Default)]
struct Run {
    scores: Vec<[Scores; DEPTHS.len()]>,
    named: Vec<f64>,
    ms: Vec<f64>,
}

impl Run {
    fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.ms.push(start.elapsed().as_secs_f64() * 1e3);
        result
    }

    fn judge(&mut self, gallery: &Gallery, wanted: &[String], lists: &[Vec<u32>]) {
        let merged = product1m::merge(lists, DEPTH);
        let ranked: Vec<String> = merged.into_iter().map(|product| gallery.label(product)).collect();
        self.scores.push(DEPTHS.map(|depth| product1m::scores(depth, &ranked, wanted, &gallery.counts)));
        // Each first answer names one thing in the photo: a label twice there needs two of them.
        let mut first: Vec<String> =
            lists.iter().filter_map(|list| list.first()).map(|&product| gallery.label(product)).collect();
        let named = wanted.iter().filter(|label| match first.iter().position(|found| found == *label) {
            Some(at) => {
                first.swap_remove(at);
                true
            }
            None => false,
        });
        self.named.push(named.count() as f64 / wanted.len().max(1) as f64);
    }

    /// Of the photos with at most ten labels.
    fn recalls_10(&self) -> Vec<f64> {
        self.scores.iter().filter_map(|scores| scores[0].recall).collect()
    }

    fn finish(self, name: &'static str) -> Level {
        let at = |depth: usize| {
            let of = |part: fn(&Scores) -> f64| {
                mean(&self.scores.iter().map(|s| part(&s[depth])).collect::<Vec<_>>())
            };
            let recalls = |depth: usize| {
                let there: Vec<f64> = self.scores.iter().filter_map(|s| s[depth].recall).collect();
                (!there.is_empty()).then(|| mean(&there))
            };
            Scores {
                ap: of(|s| s.ap),
                ap_full: of(|s| s.ap_full),
                precision: of(|s| s.precision),
                recall: recalls(depth),
            }
        };
        Level {
            name,
            scores: DEPTHS.iter().enumerate().map(|(at_depth, &n)| (n, at(at_depth))).collect(),
            recall_10_interval: bootstrap_mean(&self.recalls_10(), 0.95, RESAMPLES, 0),
            named: mean(&self.named),
            ms_p50: percentile(&self.ms, 0.5).unwrap_or(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_twice_needs_two_first_answers() {
        let gallery = Gallery {
            labels: ["a", "b", "a"].map(str::to_owned).to_vec(),
            counts: BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]),
        };
        let wanted = ["a", "a", "b"].map(str::to_owned);
        let mut run = Run::default();
        run.judge(&gallery, &wanted, &[vec![0, 1], vec![1, 0], vec![1]]);
        run.judge(&gallery, &wanted, &[vec![0], vec![2], vec![1]]);
        run.judge(&gallery, &wanted, &[]);
        assert_eq!(run.named, [2.0 / 3.0, 1.0, 0.0]);
        let level = run.finish("boxes");
        assert!((level.named - 5.0 / 9.0).abs() < 1e-12);
        assert_eq!(level.scores[0].0, 10);
        // Of four a and two b expected, as many as there are: all, all, none.
        assert!(
            (level.scores[0].1.recall.unwrap() - (1.0 / 2.0 + 1.0) / 2.0 / 3.0 - 1.0 / 3.0).abs() < 1e-12
        );
    }
}
