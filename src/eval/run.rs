//! Runs queries with known answers against a pack and says where right products are lost.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Instant;

use super::metrics::{Interval, average_precision, bootstrap_mean, hit_at, mar_at, mean, percentile};
use crate::build::QueryRow;
use crate::engine::{EncodedQuery, Engine, FindError, Match, QUERY_DECODE, Query, Timings};
use crate::options::FindOptions;
use crate::preprocess::{self, DecodeError};

/// Products kept a query; metrics beyond this depth are not given.
pub const DEPTH: usize = 100;

/// Resamples of the bootstrap interval of recall@1.
const RESAMPLES: usize = 10_000;

/// Where the right product of a query was lost, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// First in the list.
    Right,
    /// The photo, or where there is none the text, could not be read.
    Unreadable,
    /// None of the right products is in the pack.
    NotInPack,
    /// Not among the first [`DEPTH`].
    NotRetrieved,
    /// In the list, but not first.
    RankedBelow,
}

impl Outcome {
    /// Short name for tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Unreadable => "unreadable",
            Self::NotInPack => "not_in_pack",
            Self::NotRetrieved => "not_retrieved",
            Self::RankedBelow => "ranked_below",
        }
    }
}

/// One query's result.
#[derive(Debug)]
pub struct QueryResult {
    /// Position in the query file's rows.
    pub query: usize,
    /// Best first, at most [`DEPTH`].
    pub matches: Vec<Match>,
    /// Where the right product was lost, or not.
    pub outcome: Outcome,
    /// Rank of the first right product, from 1.
    pub rank: Option<usize>,
    /// Milliseconds from decoded photo to matches.
    pub ms: f64,
    /// Why the query could not be asked.
    pub fault: Option<QueryFault>,
    hits: StageHits,
}

/// Why a query could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryFault {
    /// The photo cannot be read.
    #[error(transparent)]
    Photo(#[from] DecodeError),
    /// No photo, and words of which the tokenizer leaves nothing.
    #[error("the text holds nothing that can be read")]
    Words,
}

impl QueryResult {
    /// A query that could not be asked.
    fn lost(query: usize, fault: QueryFault) -> Self {
        Self {
            query,
            matches: Vec::new(),
            outcome: Outcome::Unreadable,
            rank: None,
            ms: 0.0,
            fault: Some(fault),
            hits: StageHits::default(),
        }
    }
}

/// Whether each kind of evidence alone puts a right product first; `None` where the query has no such part.
#[derive(Clone, Copy, Debug, Default)]
struct StageHits {
    barcode_read: Option<bool>,
    barcode_right: Option<bool>,
    image: Option<bool>,
    text: Option<bool>,
}

/// Means over all queries; a query that cannot be asked counts as lost.
#[derive(Debug)]
pub struct EvalReport {
    /// One a query, in file order.
    pub results: Vec<QueryResult>,
    /// `(k, share of queries with a right product among the first k)`.
    pub recall: Vec<(usize, f64)>,
    /// 95 % bootstrap interval of recall@1.
    pub recall_1_interval: Option<Interval>,
    /// Macro-averaged capped recall at 10.
    pub mar_10: f64,
    /// Mean average precision over the first [`DEPTH`].
    pub map: f64,
    /// Median time a query, in ms, without reading and decoding the photo.
    pub ms_p50: f64,
    /// 95th percentile of the same.
    pub ms_p95: f64,
    /// Stage → milliseconds, mean over queries.
    pub stage_ms: Vec<(&'static str, f64)>,
    /// Share of right answers by kind of evidence: `barcode_read`, `barcode@1`, `image@1`, `text@1`, `fused@1`, each over
    /// the queries that have that part.
    pub evidence: BTreeMap<&'static str, f64>,
    /// Outcome → queries.
    pub outcomes: BTreeMap<Outcome, usize>,
}

/// Runs every query, photo paths relative to `images`; `progress` is told of each finished one.
///
/// # Errors
/// [`FindError`] if the pack cannot answer such queries at all. A photo or text that cannot be read is a lost query, not
/// an error.
pub fn evaluate(
    engine: &Engine,
    queries: &[QueryRow],
    images: &Path,
    options: &FindOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<EvalReport, FindError> {
    let options = FindOptions { top: DEPTH, ..options.clone() };
    let known = known_ids(engine)?;
    let mut results = Vec::with_capacity(queries.len());
    let mut stages = Timings::default();
    engine.warm_up()?;
    for (at, query) in queries.iter().enumerate() {
        results.push(run_one(engine, at, query, images, &options, &known, &mut stages)?);
        progress(at + 1);
    }
    let count = queries.len().max(1) as f64;
    let stage_ms = stages.stages().iter().map(|(stage, ms)| (*stage, ms / count)).collect();
    Ok(summarise(queries, results, stage_ms))
}

fn known_ids(engine: &Engine) -> Result<HashSet<String>, FindError> {
    let records = engine.pack().records();
    let id = |product| Ok(records.at(product)?.id().unwrap_or_default().to_owned());
    (0..records.len()).map(id).collect()
}

fn run_one(
    engine: &Engine,
    at: usize,
    query: &QueryRow,
    images: &Path,
    options: &FindOptions,
    known: &HashSet<String>,
    stages: &mut Timings,
) -> Result<QueryResult, FindError> {
    let relevant: HashSet<&str> = query.ids.iter().map(String::as_str).collect();
    let photo = match &query.image {
        Some(image) => match preprocess::open(&images.join(image), &QUERY_DECODE) {
            Ok(photo) => Some(photo),
            Err(fault) => return Ok(QueryResult::lost(at, fault.into())),
        },
        None => None,
    };
    let frame = photo.as_ref().map(|photo| photo.frame());
    let full = Query { frame: frame.as_ref(), text: query.text.as_deref() };
    let start = Instant::now();
    let encoded = match engine.encode(&full, options) {
        Err(FindError::EmptyQuery) => return Ok(QueryResult::lost(at, QueryFault::Words)),
        encoded => encoded?,
    };
    let found = engine.find_encoded(&encoded, options)?;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    stages.extend(&found.ms);
    let is_right = |m: &Match| relevant.contains(m.record.id.as_str());
    let rank = found.matches.iter().position(is_right).map(|at| at + 1);
    let outcome = match rank {
        Some(1) => Outcome::Right,
        Some(_) => Outcome::RankedBelow,
        None if query.ids.iter().any(|id| known.contains(id)) => Outcome::NotRetrieved,
        None => Outcome::NotInPack,
    };
    // Each part alone, to see what it adds.
    let alone = |part: Option<EncodedQuery>| -> Result<Option<bool>, FindError> {
        let Some(part) = part else { return Ok(None) };
        let options = FindOptions { top: 1, ..options.clone() };
        Ok(Some(engine.find_encoded(&part, &options)?.matches.first().is_some_and(is_right)))
    };
    let mut hits =
        StageHits { image: alone(encoded.looks())?, text: alone(encoded.words())?, ..StageHits::default() };
    if full.frame.is_some() && options.barcode {
        hits.barcode_read = Some(!found.barcodes.is_empty());
        hits.barcode_right = Some(found.matches.iter().any(|m| m.evidence.barcode && is_right(m)));
    }
    Ok(QueryResult { query: at, matches: found.matches, outcome, rank, ms, fault: None, hits })
}

fn summarise(
    queries: &[QueryRow],
    results: Vec<QueryResult>,
    stage_ms: Vec<(&'static str, f64)>,
) -> EvalReport {
    let per_query = |metric: &dyn Fn(&[&str], &HashSet<&str>) -> f64| -> Vec<f64> {
        let value = |result: &QueryResult| {
            let ranked: Vec<&str> = result.matches.iter().map(|m| m.record.id.as_str()).collect();
            let relevant = queries[result.query].ids.iter().map(String::as_str).collect();
            metric(&ranked, &relevant)
        };
        results.iter().map(value).collect()
    };
    let hits = |k| per_query(&|ranked, relevant| f64::from(u8::from(hit_at(k, ranked, relevant))));
    let at_1 = hits(1);
    let mut outcomes = BTreeMap::new();
    for result in &results {
        *outcomes.entry(result.outcome).or_insert(0) += 1;
    }
    let mut evidence = BTreeMap::from([("fused@1", mean(&at_1))]);
    type Part = fn(&StageHits) -> Option<bool>;
    let parts: [(&'static str, Part); 4] = [
        ("barcode_read", |h| h.barcode_read),
        ("barcode@1", |h| h.barcode_right),
        ("image@1", |h| h.image),
        ("text@1", |h| h.text),
    ];
    for (name, part) in parts {
        let values: Vec<f64> =
            results.iter().filter_map(|r| part(&r.hits)).map(|hit| f64::from(u8::from(hit))).collect();
        if !values.is_empty() {
            evidence.insert(name, mean(&values));
        }
    }
    let times: Vec<f64> = results.iter().filter(|r| r.fault.is_none()).map(|r| r.ms).collect();
    EvalReport {
        recall: [1, 5, 10].map(|k| (k, mean(&hits(k)))).to_vec(),
        recall_1_interval: bootstrap_mean(&at_1, 0.95, RESAMPLES, 0),
        mar_10: mean(&per_query(&|ranked, relevant| mar_at(10, ranked, relevant))),
        map: mean(&per_query(&|ranked, relevant| average_precision(ranked, relevant))),
        ms_p50: percentile(&times, 0.5).unwrap_or(0.0),
        ms_p95: percentile(&times, 0.95).unwrap_or(0.0),
        stage_ms,
        evidence,
        outcomes,
        results,
    }
}
