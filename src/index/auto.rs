//! Which kind of index a catalogue gets, and of how many bytes, by measuring on a sample of it.

use super::build::{BuildIndexError, IndexParams, build_from, unit_rows};
use super::lists::{Keep, Probe};
use super::topk;
use super::trq::{self, Size};
use super::{BuiltIndex, IndexKind, IndexView};
use crate::kernels;
use crate::quant::{MAX_BYTES, parallel};
use std::fmt;

/// Rows up to which an exact scan takes a few milliseconds on a phone.
const FLAT: usize = 50_000;
/// Bytes a row of a larger catalogue unless the caller says otherwise.
const BYTES: usize = 64;
/// Rows the candidates are trained on, and queries beside them.
const SAMPLE: usize = 12_288;
const QUERIES: usize = 100;
/// Exact nearest rows of each query among which a candidate must find the ten: rows further off hardly ever come before these.
const CONTENDERS: usize = 1000;
/// Recall that a whole scan must find beyond inverted lists to be worth looking at every row.
const WORTH: f64 = 0.01;
/// Bytes of code tried for a wanted recall, in sixteenths of a byte a component: of 24, level 3 whole; of 36, vectors kept.
const RUNGS: [usize; 11] = [1, 2, 3, 4, 6, 8, 12, 16, 18, 24, 36];

/// What an index should be like. Without either, small catalogues stay exact and others get 64 bytes a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Bytes a row, at most.
    pub bytes: Option<usize>,
    /// Share of the ten exact nearest rows to find: the fewest bytes that do so are taken.
    pub recall: Option<f64>,
}

/// What was chosen, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// For [`build`](super::build).
    pub params: IndexParams,
    /// In a line.
    pub reason: String,
}

/// Kind and size of the index of `vectors`, `[n, dim]`, compared by cosine.
///
/// Small catalogues stay exact unless fewer bytes are asked for than that takes. For others each kind is trained on a sample, with the codes that
/// the whole catalogue would get, and searched for rows of the catalogue that are not in it, among the rows of the whole
/// catalogue that could be taken for their nearest. At a number of bytes the best recall wins; for a wanted recall the
/// fewest bytes.
///
/// # Errors
/// [`BuildIndexError`]
pub fn choose(vectors: &[f32], dim: usize, wanted: &Wanted, seed: u64) -> Result<Choice, BuildIndexError> {
    let n = vectors.len().checked_div(dim).unwrap_or(0);
    if n == 0 {
        return Err(BuildIndexError::Shape { values: vectors.len(), dim });
    }
    let choice = |kind, bytes, reason| {
        let params = IndexParams { kind, bytes, seed, ..IndexParams::default() };
        Ok(Choice { params, reason })
    };
    if n <= FLAT && wanted.bytes.is_none_or(|most| most >= 2 * dim) {
        let reason = format!("{n} rows are few enough to be compared exactly, one by one");
        return choice(IndexKind::Flat, BYTES, reason);
    }
    let trial = Trial::new(vectors, dim, seed)?;
    let trained = format!("trained on {} sampled rows", trial.sample.len() / dim);
    let most = |tried: &Tried, why: &str| match tried.best(0.0) {
        Some(kind) => choice(kind, tried.bytes, format!("{why} {tried}; {trained}")),
        None => {
            let reason = format!("{n} rows are too few for codebooks of {} bytes a row", tried.bytes);
            choice(IndexKind::Flat, tried.bytes, reason)
        }
    };
    let Some(recall) = wanted.recall else {
        return most(&trial.of(wanted.bytes.unwrap_or(BYTES))?, "share of the 10 nearest found at");
    };
    let mut rungs: Vec<usize> = RUNGS.iter().map(|sixteenths| trial.rung(*sixteenths)).collect();
    if let Some(most) = wanted.bytes {
        rungs.retain(|&bytes| bytes < most);
        rungs.push(most);
    }
    // More bytes find more: each rung that is tried rules out half of those left.
    let (mut first, mut end, mut found, mut short) = (0, rungs.len(), None, None);
    while first < end {
        let middle = usize::midpoint(first, end);
        let tried = trial.of(rungs[middle])?;
        match tried.best(recall) {
            Some(kind) => (found, end) = (Some((kind, tried)), middle),
            None => (short, first) = (Some(tried), middle + 1),
        }
    }
    let wish = format!("{recall} of the 10 nearest wanted");
    match (found, short) {
        (Some((kind, tried)), short) => {
            let less = short.map_or(String::new(), |tried| format!("; {tried}"));
            choice(kind, tried.bytes, format!("{wish}: {tried}{less}; {trained}"))
        }
        (None, Some(tried)) if wanted.bytes.is_some() => most(&tried, &format!("{wish}, but at most")),
        _ => {
            choice(IndexKind::Flat, BYTES, format!("{wish}: only exact comparison finds so many; {trained}"))
        }
    }
}

/// What each kind finds at a number of bytes.
struct Tried {
    bytes: usize,
    recall: Vec<(IndexKind, f64)>,
}

impl Tried {
    /// The kind that finds most, if any finds so much.
    fn best(&self, least: f64) -> Option<IndexKind> {
        let bonus = |kind| if kind == IndexKind::Trq { WORTH } else { 0.0 };
        let enough = self.recall.iter().filter(|tried| tried.1 >= least);
        enough.max_by(|a, b| (a.1 + bonus(a.0)).total_cmp(&(b.1 + bonus(b.0)))).map(|tried| tried.0)
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes a row:", self.bytes)?;
        for (i, (kind, recall)) in self.recall.iter().enumerate() {
            write!(f, "{} {kind} {recall:.3}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

/// What candidates are trained on and searched for.
struct Trial {
    /// Rows of the catalogue.
    n: usize,
    dim: usize,
    seed: u64,
    /// Unit rows to train on, `[s, dim]`.
    sample: Vec<f32>,
    /// Unit rows that are not among them, `[q, dim]`.
    queries: Vec<f32>,
    /// Unit rows that come near a query, `[p, dim]`, without the queries.
    rows: Vec<f32>,
    /// The ten of these nearest to each query.
    exact: Vec<Vec<u32>>,
}

impl Trial {
    fn new(vectors: &[f32], dim: usize, seed: u64) -> Result<Self, BuildIndexError> {
        let n = vectors.len() / dim;
        let row = |row: usize| &vectors[row * dim..][..dim];
        // Every so many rows; of each such stretch the first is a row of the sample, the second of some a query.
        let step = n.div_ceil(SAMPLE).max(2);
        let unit = |rows: &mut dyn Iterator<Item = usize>| -> Result<Vec<f32>, BuildIndexError> {
            let mut out = Vec::new();
            for at in rows {
                out.extend(unit_rows(row(at), dim).map_err(|_| BuildIndexError::Vector { row: at })?);
            }
            Ok(out)
        };
        let sample = unit(&mut (0..n).step_by(step))?;
        let asked: Vec<usize> = (1..n).step_by(step * (n / step / QUERIES).max(1)).take(QUERIES).collect();
        let queries = unit(&mut asked.iter().copied())?;
        let inverse: Vec<f32> = vectors
            .chunks_exact(dim)
            .map(|x| 1.0 / kernels::dot(x, x).sqrt().max(f32::MIN_POSITIVE))
            .collect();
        let near = parallel::map_long(asked.len(), |i| {
            let query = &queries[i * dim..][..dim];
            let score = |at: usize| {
                // A query is not its own neighbour, nor is another query.
                let own = asked.binary_search(&at).is_ok();
                if own { f32::NEG_INFINITY } else { kernels::dot(query, row(at)) * inverse[at] }
            };
            topk::best(n, CONTENDERS, score)
        });
        let mut pool: Vec<u32> = near.iter().flatten().copied().collect();
        pool.sort_unstable();
        pool.dedup();
        let rows = unit(&mut pool.iter().map(|&at| at as usize))?;
        let place = |at: &u32| pool.binary_search(at).unwrap_or_default() as u32;
        let exact = near.iter().map(|near| near.iter().take(10).map(place).collect()).collect();
        Ok(Self { n, dim, seed, sample, queries, rows, exact })
    }

    /// Bytes a row, all in, of so many sixteenths of a byte a component.
    fn rung(&self, sixteenths: usize) -> usize {
        let code = self.dim as f64 * sixteenths as f64 / 16.0;
        (Size::beside(self.n, self.dim, code) + code).ceil() as usize
    }

    /// What each kind finds at so many bytes a row.
    fn of(&self, bytes: usize) -> Result<Tried, BuildIndexError> {
        let params = |kind| IndexParams { kind, bytes, seed: self.seed, ..IndexParams::default() };
        let mut recall = Vec::new();
        if let Ok(size) = Size::fit(self.n, self.dim, bytes) {
            // The codes are those of the whole catalogue; lists and cells are as many as the sample carries.
            let lists = (self.sample.len() / self.dim / 64).next_multiple_of(16).clamp(16, size.lists);
            let size = Size { lists, cells: size.cells.min(4), ..size };
            let built =
                trq::build(&params(IndexKind::Trq), size, [&self.sample, &self.rows], self.dim, &mut |_| ())?;
            recall.push((IndexKind::Trq, self.recall(&built)?));
        }
        for kind in [IndexKind::Opq, IndexKind::Pq] {
            if bytes > MAX_BYTES {
                continue;
            }
            let built = build_from(&params(kind), &self.sample, &self.rows, self.dim, &mut |_| ())?;
            if built.kind == kind {
                recall.push((kind, self.recall(&built)?));
            }
        }
        Ok(Tried { bytes, recall })
    }

    /// Share of the exact ten nearest rows among the ten found by looking at all.
    fn recall(&self, built: &BuiltIndex) -> Result<f64, BuildIndexError> {
        // What was just built opens; if it did not, it would find nothing.
        let Ok(view) = IndexView::open(&built.quantizer, &built.codes) else { return Ok(0.0) };
        let probe = Probe { lists: usize::MAX, ..Probe::default() };
        let shares = parallel::map_long(self.exact.len(), |i| {
            let exact = &self.exact[i];
            let hits = view
                .search_with(&self.queries[i * self.dim..][..self.dim], 10, &probe, Keep::All)
                .unwrap_or_default();
            hits.iter().filter(|hit| exact.contains(&hit.row)).count() as f64 / exact.len().max(1) as f64
        });
        Ok(shares.iter().sum::<f64>() / shares.len().max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize, dim: usize) -> Vec<f32> {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        let centres: Vec<f32> = (0..50 * dim).map(|_| next()).collect();
        (0..n * dim).map(|i| centres[i / dim % 50 * dim + i % dim] + 0.3 * next()).collect()
    }

    #[test]
    fn small_catalogues_stay_exact_and_others_are_measured() {
        let v = rows(9000, 16);
        let choose = |v: &[f32], bytes| choose(v, 16, &Wanted { bytes, recall: None }, 1);
        let choice = choose(&v, None).unwrap();
        assert_eq!(choice.params.kind, IndexKind::Flat);
        assert!(choice.reason.contains("9000 rows"), "{}", choice.reason);
        let choice = choose(&v, Some(12)).unwrap();
        assert_ne!(choice.params.kind, IndexKind::Flat);
        assert_eq!(choice.params.bytes, 12);
        assert!(choice.reason.contains("opq 0.") && choice.reason.contains("pq 0."), "{}", choice.reason);
        assert_eq!(choice, choose(&v, Some(12)).unwrap());
        let few = choose(&rows(20, 16), Some(8)).unwrap();
        assert_eq!(few.params.kind, IndexKind::Flat);
    }

    #[test]
    fn a_wanted_recall_takes_the_fewest_bytes_that_find_it() {
        let v = rows(9000, 16);
        let ask = |bytes, recall| choose(&v, 16, &Wanted { bytes, recall: Some(recall) }, 1).unwrap();
        let found = |choice: &Choice| {
            let built = super::super::build(&choice.params, &v, 16, &mut |_| ()).unwrap();
            let view = IndexView::open(&built.quantizer, &built.codes).unwrap();
            let probe = Probe { lists: usize::MAX, ..Probe::default() };
            let share = |at: usize| {
                let query = &v[at * 16..][..16];
                let cosine = |row: usize| {
                    let x = &v[row * 16..][..16];
                    kernels::dot(query, x) / kernels::dot(x, x).sqrt()
                };
                let exact = topk::best(9000, 10, cosine);
                let hits = view.search_with(query, 10, &probe, Keep::All).unwrap();
                hits.iter().filter(|hit| exact.contains(&hit.row)).count() as f64 / 10.0
            };
            (0..9000).step_by(90).map(share).sum::<f64>() / 100.0
        };
        let (low, high) = (ask(Some(31), 0.5), ask(Some(31), 0.9));
        assert!(low.params.bytes < high.params.bytes, "{} / {}", low.reason, high.reason);
        for (choice, wanted) in [(&low, 0.5), (&high, 0.9)] {
            assert!(
                choice.reason.starts_with(&format!("{wanted} of the 10 nearest wanted: ")),
                "{}",
                choice.reason
            );
            let found = found(choice);
            assert!(found >= wanted - 0.02, "{found}: {}", choice.reason);
        }
        // Bytes come first, recall is what they give.
        let least = ask(Some(4), 0.99);
        assert_eq!(least.params.bytes, 4);
        assert!(least.reason.contains("but at most 4 bytes a row"), "{}", least.reason);
        assert_eq!(ask(None, 0.9).params.kind, IndexKind::Flat);
        assert_eq!(ask(Some(32), 0.9).params.kind, IndexKind::Flat);
    }

    #[test]
    fn bad_vectors_are_named() {
        let ask = |v: &[f32], dim| choose(v, dim, &Wanted { bytes: Some(4), recall: None }, 1).unwrap_err();
        assert_eq!(ask(&[0.0; 32], 4), BuildIndexError::Vector { row: 0 });
        assert_eq!(
            ask(&[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, f32::NAN], 4),
            BuildIndexError::Vector { row: 1 }
        );
        assert!(matches!(ask(&[], 8), BuildIndexError::Shape { .. }));
        assert!(matches!(ask(&[1.0], 0), BuildIndexError::Shape { .. }));
    }
}
