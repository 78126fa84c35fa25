//! Runs queries with known answers against a pack and says where right products are lost.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Instant;

use super::metrics::{Interval, mean, percentile};
use super::scores::Scores;
use super::submission::ranking;
use crate::build::QueryRow;
use crate::encode::EncodeError;
use crate::engine::{EncodedQuery, Engine, FindError, Found, Match, QUERY_DECODE, Query, Timings};
use crate::options::FindOptions;
use crate::preprocess::{self, DecodeError};

/// Products kept a query; metrics beyond this depth are not given.
pub const DEPTH: usize = 100;

/// What to evaluate beside the pack itself.
#[derive(Clone, Copy, Default)]
pub struct EvalOptions<'a> {
    /// How queries are asked; `top` is [`DEPTH`] whatever it says.
    pub find: Option<&'a FindOptions>,
    /// The same catalogue in a pack of exact vectors, to say what compression loses.
    pub exact: Option<&'a Engine>,
}

/// Why an evaluation cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The pack cannot answer such queries.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The exact pack is not of the same catalogue and encoders.
    #[error(
        "the exact pack differs in its {what}; build both packs from one catalogue with the same encoders"
    )]
    Exact {
        /// What differs.
        what: &'static str,
    },
}

/// Where the right product of a query was lost, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// First in the list.
    Right,
    /// The photo, or where there is none the text, could not be read.
    Unreadable,
    /// None of the right products is in the pack.
    NotInPack,
    /// Exact search has it first, this pack's index does not.
    Compressed,
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
            Self::Compressed => "compressed",
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
    /// Ids that exact search finds.
    exact: Vec<String>,
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
            exact: Vec::new(),
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

/// What one stage of the search makes of all queries.
#[derive(Debug)]
pub struct Stage {
    /// `exact` or `compressed`.
    pub name: &'static str,
    /// Its metrics.
    pub scores: Scores,
    /// 95 % interval of what hit@1 gains over the stage before.
    pub gain: Option<Interval>,
}

/// Means over all queries; a query that cannot be asked counts as lost.
#[derive(Debug)]
pub struct EvalReport {
    /// One a query, in file order.
    pub results: Vec<QueryResult>,
    /// Every metric, over the queries that have answers.
    pub scores: Scores,
    /// Exact search, then this pack's index; empty without an exact pack.
    pub stages: Vec<Stage>,
    /// Median time a query, in ms, without reading and decoding the photo.
    pub ms_p50: f64,
    /// 95th percentile of the same.
    pub ms_p95: f64,
    /// Stage → milliseconds, mean over queries.
    pub stage_ms: Vec<(&'static str, f64)>,
    /// Share of right answers by kind of evidence: `barcode_read`, `barcode@1`, `image@1`, `text@1`, `fused@1`, each over
    /// the queries that have that part.
    pub evidence: BTreeMap<&'static str, f64>,
    /// Outcome → queries that have answers.
    pub outcomes: BTreeMap<Outcome, usize>,
}

/// Runs every query, photo paths relative to `images`; `progress` is told of each finished one.
///
/// # Errors
/// [`EvalError`] if the pack cannot answer such queries at all, or the exact pack is of something else. A photo or text
/// that cannot be read is a lost query, not an error.
pub fn evaluate(
    engine: &Engine,
    queries: &[QueryRow],
    images: &Path,
    options: EvalOptions<'_>,
    progress: &mut dyn FnMut(usize),
) -> Result<EvalReport, EvalError> {
    let find = FindOptions { top: DEPTH, ..options.find.cloned().unwrap_or_default() };
    let known = known_ids(engine)?;
    if let Some(exact) = options.exact {
        check_exact(engine, exact, &known)?;
    }
    let run = Run { engine, exact: options.exact, images, options: find, known };
    let mut results = Vec::with_capacity(queries.len());
    let mut stages = Timings::default();
    engine.warm_up()?;
    for (at, query) in queries.iter().enumerate() {
        results.push(run.query(at, query, &mut stages)?);
        progress(at + 1);
    }
    let count = queries.len().max(1) as f64;
    let stage_ms = stages.stages().iter().map(|(stage, ms)| (*stage, ms / count)).collect();
    Ok(summarise(queries, results, stage_ms, options.exact.is_some()))
}

fn known_ids(engine: &Engine) -> Result<HashSet<String>, FindError> {
    let records = engine.pack().records();
    let id = |product| Ok(records.at(product)?.id().unwrap_or_default().to_owned());
    (0..records.len()).map(id).collect()
}

fn check_exact(engine: &Engine, exact: &Engine, known: &HashSet<String>) -> Result<(), EvalError> {
    let (ours, theirs) = (engine.pack().meta(), exact.pack().meta());
    let flat = [&theirs.image_index, &theirs.text_index].into_iter().flatten().all(|i| i.kind == "flat");
    let what = match () {
        () if !flat => "index, which is not flat",
        () if ours.image != theirs.image || ours.text != theirs.text => "encoders",
        () if known_ids(exact)? != *known || !same_records(engine, exact)? => "products",
        () if (ours.image_rows, ours.text_rows) != (theirs.image_rows, theirs.text_rows) => {
            "pictures or texts"
        }
        () => return Ok(()),
    };
    Err(EvalError::Exact { what })
}

fn same_records(a: &Engine, b: &Engine) -> Result<bool, FindError> {
    let (a, b) = (a.pack().records(), b.pack().records());
    for product in 0..a.len() {
        if a.get(product)? != b.get(product)? {
            return Ok(false);
        }
    }
    Ok(a.len() == b.len())
}

/// What all queries of an evaluation share.
struct Run<'a> {
    engine: &'a Engine,
    exact: Option<&'a Engine>,
    images: &'a Path,
    options: FindOptions,
    known: HashSet<String>,
}

impl Run<'_> {
    fn query(&self, at: usize, query: &QueryRow, stages: &mut Timings) -> Result<QueryResult, FindError> {
        let photo = match &query.image {
            Some(image) => match preprocess::open(&self.images.join(image), &QUERY_DECODE) {
                Ok(photo) => Some(photo),
                Err(fault) => return Ok(QueryResult::lost(at, fault.into())),
            },
            None => None,
        };
        let frame = photo.as_ref().map(|photo| photo.frame());
        let full = Query { frame: frame.as_ref(), text: query.text.as_deref() };
        let start = Instant::now();
        let encoded = match self.engine.encode(&full, &self.options) {
            Err(FindError::EmptyQuery | FindError::Encode(EncodeError::UnknownText { .. })) => {
                return Ok(QueryResult::lost(at, QueryFault::Words));
            }
            encoded => encoded?,
        };
        let found = self.engine.find_encoded(&encoded, &self.options)?;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        stages.extend(&found.ms);
        let exact = match self.exact {
            Some(exact) => ids(&exact.find_encoded(&encoded, &self.options)?.matches),
            None => Vec::new(),
        };
        let hits = self.parts(query, &full, &encoded, &found)?;
        let rank = found.matches.iter().position(|m| query.ids.contains(&m.record.id)).map(|at| at + 1);
        let outcome = match rank {
            Some(1) => Outcome::Right,
            _ if exact.first().is_some_and(|id| query.ids.contains(id)) => Outcome::Compressed,
            Some(_) => Outcome::RankedBelow,
            None if query.ids.iter().any(|id| self.known.contains(id)) => Outcome::NotRetrieved,
            None => Outcome::NotInPack,
        };
        Ok(QueryResult { query: at, matches: found.matches, outcome, rank, ms, fault: None, exact, hits })
    }

    /// What each part of the query finds alone.
    fn parts(
        &self,
        query: &QueryRow,
        full: &Query<'_>,
        encoded: &EncodedQuery,
        found: &Found,
    ) -> Result<StageHits, FindError> {
        let is_right = |m: &Match| query.ids.contains(&m.record.id);
        let alone = |part: Option<EncodedQuery>| -> Result<Option<bool>, FindError> {
            let Some(part) = part else { return Ok(None) };
            let options = FindOptions { top: 1, ..self.options.clone() };
            Ok(Some(self.engine.find_encoded(&part, &options)?.matches.first().is_some_and(is_right)))
        };
        let (looks, words) = if self.engine.reads_words() {
            // One vector of both is neither.
            let photo = Query { text: None, ..*full };
            let words = Query { frame: None, ..*full };
            (self.encode_part(photo)?, self.encode_part(words)?)
        } else {
            (encoded.looks(), encoded.words())
        };
        let mut hits = StageHits { image: alone(looks)?, text: alone(words)?, ..StageHits::default() };
        if query.image.is_some() && self.options.barcode {
            hits.barcode_read = Some(!found.barcodes.is_empty());
            hits.barcode_right = Some(found.matches.iter().any(|m| m.evidence.barcode && is_right(m)));
        }
        Ok(hits)
    }

    /// A part of a query encoded anew, without barcodes; `None` if there is no such part, or nothing in it to read.
    fn encode_part(&self, part: Query<'_>) -> Result<Option<EncodedQuery>, FindError> {
        let options = FindOptions { barcode: false, ..self.options.clone() };
        match self.engine.encode(&part, &options) {
            Err(FindError::EmptyQuery | FindError::Encode(EncodeError::UnknownText { .. })) => Ok(None),
            encoded => encoded.map(Some),
        }
    }
}

fn ids(matches: &[Match]) -> Vec<String> {
    matches.iter().map(|m| m.record.id.clone()).collect()
}

fn summarise(
    queries: &[QueryRow],
    results: Vec<QueryResult>,
    stage_ms: Vec<(&'static str, f64)>,
    with_exact: bool,
) -> EvalReport {
    let judged = || results.iter().filter(|result| !queries[result.query].ids.is_empty());
    let scores_of = |list: &dyn Fn(&QueryResult) -> Vec<String>| {
        let rankings: Vec<_> = judged().map(|r| ranking(list(r), &queries[r.query])).collect();
        Scores::of(&rankings)
    };
    let scores = scores_of(&|result| ids(&result.matches));
    let mut stages = Vec::new();
    if with_exact {
        let exact = scores_of(&|result| result.exact.clone());
        let gain = scores.gain_over(&exact);
        stages.push(Stage { name: "exact", scores: exact, gain: None });
        stages.push(Stage { name: "compressed", scores: scores.clone(), gain });
    }
    let mut outcomes = BTreeMap::new();
    for result in judged() {
        *outcomes.entry(result.outcome).or_insert(0) += 1;
    }
    let mut evidence = BTreeMap::from([("fused@1", mean(&scores.hit_1))]);
    type Part = fn(&StageHits) -> Option<bool>;
    let parts: [(&'static str, Part); 4] = [
        ("barcode_read", |h| h.barcode_read),
        ("barcode@1", |h| h.barcode_right),
        ("image@1", |h| h.image),
        ("text@1", |h| h.text),
    ];
    for (name, part) in parts {
        let values: Vec<f64> =
            judged().filter_map(|r| part(&r.hits)).map(|hit| f64::from(u8::from(hit))).collect();
        if !values.is_empty() {
            evidence.insert(name, mean(&values));
        }
    }
    let times: Vec<f64> = results.iter().filter(|r| r.fault.is_none()).map(|r| r.ms).collect();
    EvalReport {
        scores,
        stages,
        ms_p50: percentile(&times, 0.5).unwrap_or(0.0),
        ms_p95: percentile(&times, 0.95).unwrap_or(0.0),
        stage_ms,
        evidence,
        outcomes,
        results,
    }
}
