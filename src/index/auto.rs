//! Which kind of index a catalogue gets, and of how many bytes, by measuring on a sample of it.

use super::build::{BuildIndexError, IndexParams, Plan, length};
use super::lists::{Keep, Probe};
use super::topk;
use super::trq::{self, Size};
use super::{BuiltIndex, IndexKind, IndexView};
use crate::kernels;
use crate::quant::rng::Rng;
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
/// Bytes of code tried for a wanted recall, in 32nds of a byte a component: of 48, level 3 whole. Then vectors kept.
const RUNGS: [usize; 11] = [2, 3, 4, 6, 8, 12, 16, 24, 32, 36, 48];
/// Bytes that inverted lists may take beyond a whole scan, because they do not look at every row.
const WORTH_BYTES: f64 = 1.1;

/// What an index should be like. Without either, small catalogues stay exact and others get 64 bytes a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Bytes a row, at most.
    pub bytes: Option<usize>,
    /// Share of the ten exact nearest rows to find, above 0 to 1: the fewest bytes that do so are taken, in steps.
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
/// Small catalogues stay exact unless fewer bytes are asked for than that takes. For others each kind is trained on a
/// sample, with the codes that the whole catalogue would get, and searched for rows of the catalogue that are not in it,
/// among the rows of the whole catalogue that could be taken for their nearest. At a number of bytes the best recall wins;
/// for a wanted recall the fewest bytes all in, in steps of up to a half more, from a 16th of a byte a component on. Inverted
/// lists win over as much recall or as few bytes, because they do not look at every row.
///
/// # Errors
/// [`BuildIndexError`]
pub fn choose(vectors: &[f32], dim: usize, wanted: &Wanted, seed: u64) -> Result<Choice, BuildIndexError> {
    let n = vectors.len().checked_div(dim).unwrap_or(0);
    if n == 0 || !vectors.len().is_multiple_of(dim) {
        return Err(BuildIndexError::Shape { values: vectors.len(), dim });
    }
    if let Some(recall) = wanted.recall
        && !(recall > 0.0 && recall <= 1.0)
    {
        return Err(BuildIndexError::Recall { recall: recall.to_string() });
    }
    let choice = |kind, bytes, reason| {
        let params = IndexParams { kind, bytes, seed, ..IndexParams::default() };
        Ok(Choice { params, reason })
    };
    // Of a few rows none is left to ask for.
    if n < 64 || n <= FLAT && wanted.bytes.is_none_or(|most| most >= 2 * dim) {
        let reason = format!("few enough rows ({n}) to be compared exactly, one by one");
        return choice(IndexKind::Flat, BYTES, reason);
    }
    let trial = Trial::new(vectors, dim, seed)?;
    let trained = format!("trained on {} sampled rows", trial.sample.len() / dim);
    let dear = |bytes: usize| {
        choice(IndexKind::Flat, BYTES, format!("codebooks of {bytes} bytes a row would not pay for {n} rows"))
    };
    let Some(recall) = wanted.recall else {
        let bytes = wanted.bytes.unwrap_or(BYTES);
        let tried = trial.of(Some(bytes), bytes)?;
        return match tried.most() {
            Some(best) => {
                choice(best.kind, bytes, format!("share of the 10 nearest found: {tried}; {trained}"))
            }
            None => dear(bytes),
        };
    };
    // Bytes of lists are counted all in, of other kinds those of a row's own code.
    let mut rungs = trial.rungs();
    if let Some(most) = wanted.bytes {
        rungs.retain(|&(_, code)| code < most);
        // Lists that take more are left out there.
        rungs.iter_mut().for_each(|(lists, _)| *lists = lists.filter(|&lists| lists < most));
        rungs.push((Some(most), most));
    }
    // More bytes find more: each rung that is tried rules out half of those left.
    let (mut first, mut end, mut enough, mut short) = (0, rungs.len(), None, Vec::<Tried>::new());
    while first < end {
        let middle = usize::midpoint(first, end);
        let tried = trial.of(rungs[middle].0, rungs[middle].1)?;
        match tried.fewest(recall) {
            Some(best) => (enough, end) = (Some((best, tried)), middle),
            None => {
                short.push(tried);
                first = middle + 1;
            }
        }
    }
    let wish = format!("{recall} of the 10 nearest wanted");
    if let Some((best, tried)) = enough {
        let less = short.pop().map_or(String::new(), |tried| format!(", but {tried}"));
        return choice(best.kind, best.bytes, format!("{wish}: {tried}{less}; {trained}"));
    }
    let Some(bytes) = wanted.bytes else {
        let reason = format!("{wish}: only exact comparison finds so many; {trained}");
        return choice(IndexKind::Flat, BYTES, reason);
    };
    // Mostly the last, but not always: at more bytes another layout is tried.
    let most = short.iter().filter_map(Tried::most).max_by(|a, b| a.recall.total_cmp(&b.recall));
    match most {
        Some(most) => {
            let tried: Vec<String> = short.iter().map(Tried::to_string).collect();
            choice(most.kind, most.bytes, format!("{wish}, not to be had: {}; {trained}", tried.join(", ")))
        }
        None => dear(bytes),
    }
}

/// What a kind finds at a number of bytes.
#[derive(Clone, Copy)]
struct Found {
    kind: IndexKind,
    bytes: usize,
    /// Bytes a row of the whole catalogue, tables counted.
    all_in: f64,
    recall: f64,
}

/// What each kind finds at about as many bytes.
struct Tried(Vec<Found>);

impl Tried {
    /// The kind that finds most.
    fn most(&self) -> Option<Found> {
        let worth = |f: &Found| f.recall + if f.kind == IndexKind::Trq { WORTH } else { 0.0 };
        self.0.iter().max_by(|a, b| worth(a).total_cmp(&worth(b))).copied()
    }

    /// The kind that takes the fewest bytes to find so much, if any does.
    fn fewest(&self, least: f64) -> Option<Found> {
        let cost = |f: &Found| f.all_in * if f.kind == IndexKind::Trq { 1.0 } else { WORTH_BYTES };
        let enough = self.0.iter().filter(|found| found.recall >= least);
        enough.min_by(|a, b| cost(a).total_cmp(&cost(b))).copied()
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |found: &Found| format!("{} of {} bytes {:.3}", found.kind, found.bytes, found.recall);
        f.write_str(&self.0.iter().map(each).collect::<Vec<_>>().join(", "))
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
        let mut inverse = Vec::with_capacity(n);
        for (at, x) in vectors.chunks_exact(dim).enumerate() {
            inverse.push((1.0 / length(x, at)?) as f32);
        }
        let unit = |rows: &[usize]| -> Vec<f32> {
            let mut out = Vec::with_capacity(rows.len() * dim);
            rows.iter().for_each(|&at| out.extend(row(at).iter().map(|v| v * inverse[at])));
            out
        };
        // Drawn: a catalogue may have its pictures in a fixed order, front, back and side.
        let mut rng = Rng::new(seed);
        let asked = rng.sample(n, QUERIES.min(n / 2));
        let mut sampled = rng.sample(n, SAMPLE.min(n.div_ceil(2)));
        sampled.retain(|at| asked.binary_search(at).is_err());
        let (sample, queries) = (unit(&sampled), unit(&asked));
        let near = parallel::map_long(asked.len(), |i| {
            let query = &queries[i * dim..][..dim];
            let score = |at: usize| {
                // A query is not its own neighbour, nor is another query.
                let own = asked.binary_search(&at).is_ok();
                if own { f32::NEG_INFINITY } else { kernels::dot(query, row(at)) * inverse[at] }
            };
            topk::best(n, CONTENDERS, score)
        });
        let mut pool: Vec<usize> = near.iter().flatten().map(|&at| at as usize).collect();
        pool.sort_unstable();
        pool.dedup();
        let rows = unit(&pool);
        let place = |at: &u32| pool.binary_search(&(*at as usize)).unwrap_or_default() as u32;
        let exact = near.iter().map(|near| near.iter().take(10).map(place).collect()).collect();
        Ok(Self { n, dim, seed, sample, queries, rows, exact })
    }

    /// Bytes a row to try, rising: of lists all in, and of other kinds the code alone.
    fn rungs(&self) -> Vec<(Option<usize>, usize)> {
        let codes = RUNGS.iter().map(|&share| self.dim as f64 * share as f64 / 32.0);
        let kept = Size::kept_code(self.dim) as f64;
        let rung = |code: f64| {
            let lists = (Size::beside(self.n, self.dim, code) + code).ceil() as usize;
            (Some(lists), (code.ceil() as usize + 1).max(2))
        };
        codes.filter(|&code| code < kept).chain([kept]).map(rung).collect()
    }

    /// What lists find at so many bytes a row all in, and the other kinds at so many of code.
    fn of(&self, lists: Option<usize>, code: usize) -> Result<Tried, BuildIndexError> {
        let params = |kind, bytes| IndexParams { kind, bytes, seed: self.seed, ..IndexParams::default() };
        let (samples, vectors) = (self.sample.len() / self.dim, [&self.sample[..], &self.rows]);
        let mut tried = Vec::new();
        if let Some(bytes) = lists
            && let Ok(size) = Size::fit(self.n, self.dim, bytes)
        {
            // The codes are those of the whole catalogue; lists and cells are as many as the sample carries.
            let fewer = (samples / 64).next_multiple_of(16).clamp(16, size.lists);
            let fewer = Size { lists: fewer, cells: size.cells.min(4), ..size };
            let params = params(IndexKind::Trq, bytes);
            let built = trq::build(&params, fewer, vectors, self.dim, &mut |_| ())?;
            let recall = self.recall(&built);
            tried.push(Found { kind: IndexKind::Trq, bytes, all_in: size.bytes, recall });
        }
        let bytes = code.min(self.dim.min(MAX_BYTES) + 1);
        for kind in [IndexKind::Opq, IndexKind::Pq] {
            if let Ok(plan) = Plan::choose(&params(kind, bytes), samples, self.n, self.dim) {
                let built = plan.build(self.seed, vectors, self.dim, &mut |_| ())?;
                let all_in = built.bytes_per_vector as f64 + built.quantizer.len() as f64 / self.n as f64;
                tried.push(Found { kind, bytes, all_in, recall: self.recall(&built) });
            }
        }
        Ok(Tried(tried))
    }

    /// Share of the exact ten nearest rows among the ten found by looking at all.
    fn recall(&self, built: &BuiltIndex) -> f64 {
        // What was just built opens; if it did not, it would find nothing.
        let Ok(view) = IndexView::open(&built.quantizer, &built.codes) else { return 0.0 };
        let probe = Probe { lists: usize::MAX, ..Probe::default() };
        let found = parallel::map_long(self.exact.len(), |i| {
            let exact = &self.exact[i];
            let hits = view
                .search_with(&self.queries[i * self.dim..][..self.dim], 10, &probe, Keep::All)
                .unwrap_or_default();
            hits.iter().filter(|hit| exact.contains(&hit.row)).count()
        });
        let wanted: usize = self.exact.iter().map(Vec::len).sum();
        found.iter().sum::<usize>() as f64 / wanted.max(1) as f64
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
        assert!(choice.reason.contains("rows (9000)"), "{}", choice.reason);
        let choice = choose(&v, Some(12)).unwrap();
        assert_ne!(choice.params.kind, IndexKind::Flat);
        assert_eq!(choice.params.bytes, 12);
        assert!(
            choice.reason.contains("opq of 12 bytes 0.") && choice.reason.contains(" pq of 12 bytes 0."),
            "{}",
            choice.reason
        );
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
        assert!(least.params.bytes <= 4 && least.params.kind != IndexKind::Flat);
        assert!(least.reason.contains("wanted, not to be had: "), "{}", least.reason);
        assert_eq!(ask(None, 0.9).params.kind, IndexKind::Flat);
        assert_eq!(ask(Some(32), 0.9).params.kind, IndexKind::Flat);
    }

    #[test]
    fn more_bytes_allowed_are_not_taken_where_fewer_find_enough() {
        // So few rows that the tables of lists cost more than their codes.
        let v = rows(4200, 96);
        let ask = |bytes| {
            let choice = choose(&v, 96, &Wanted { bytes: Some(bytes), recall: Some(0.3) }, 1).unwrap();
            let built = super::super::build(&choice.params, &v, 96, &mut |_| ()).unwrap();
            (built.quantizer.len() + built.codes.len(), choice.reason)
        };
        let (few, many) = (ask(20), ask(90));
        assert!(many.0 <= few.0, "{few:?} / {many:?}");
    }

    #[test]
    fn neither_the_order_of_rows_nor_their_length_counts() {
        // Five views a product, each different in components of its own, and lengths whose squares f32 does not hold.
        let mut v = rows(9000, 16);
        for (i, x) in v.chunks_mut(16).enumerate() {
            let scale = [1e-6, 1.0, 1e19][i % 3];
            x[i % 5 * 3] += 0.8;
            x.iter_mut().for_each(|x| *x *= scale);
        }
        let wanted = Wanted { bytes: Some(12), recall: None };
        let share =
            |reason: &str| reason.split("opq of 12 bytes ").nth(1).unwrap()[..5].parse::<f64>().unwrap();
        let plain = choose(&rows(9000, 16), 16, &wanted, 1).unwrap();
        let odd = choose(&v, 16, &wanted, 1).unwrap();
        assert!(
            (share(&plain.reason) - share(&odd.reason)).abs() < 0.15,
            "{} / {}",
            plain.reason,
            odd.reason
        );
    }

    #[test]
    fn bad_vectors_are_named() {
        let ask = |v: &[f32], dim| choose(v, dim, &Wanted { bytes: Some(4), recall: None }, 1).unwrap_err();
        assert_eq!(ask(&[0.0; 256], 4), BuildIndexError::Vector { row: 0 });
        let mut bad = [1.0; 256];
        bad[7] = f32::NAN;
        assert_eq!(ask(&bad, 4), BuildIndexError::Vector { row: 1 });
        assert!(matches!(ask(&[], 8), BuildIndexError::Shape { .. }));
        assert!(matches!(ask(&[1.0], 0), BuildIndexError::Shape { .. }));
        assert!(matches!(ask(&[1.0; 9], 4), BuildIndexError::Shape { .. }));
        for recall in [f64::NAN, 0.0, 1.5, -1.0] {
            let wanted = Wanted { bytes: None, recall: Some(recall) };
            assert!(matches!(choose(&[1.0], 1, &wanted, 1), Err(BuildIndexError::Recall { .. })));
        }
        // Too few rows to ask with, whatever is wanted.
        for n in 1..6 {
            let wanted = Wanted { bytes: Some(3), recall: Some(0.9) };
            assert_eq!(choose(&rows(n, 16), 16, &wanted, 1).unwrap().params.kind, IndexKind::Flat);
        }
    }
}
