//! An index against exact search over the same vectors: what is found, and how fast on one thread.

use std::path::Path;
use std::time::Instant;

use rayon::prelude::*;

use super::npy::{self, NpyError};
use crate::index::{self, IndexView, Keep, Metric, Probe, SearchError};
use crate::kernels;

/// Vectors to index, others of the same kind to train on, and queries.
#[derive(Clone, Debug)]
pub struct VectorSet {
    /// `[n, dim]`
    pub base: Vec<f32>,
    /// `[l, dim]`
    pub learn: Vec<f32>,
    /// `[q, dim]`
    pub query: Vec<f32>,
    /// Components of a vector.
    pub dim: usize,
}

/// Why vectors cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum VectorsError {
    /// A file cannot be read.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// Files of different dimensions, or without rows.
    #[error("{name}.npy has {rows} rows of {dim} components; base.npy has components of {expected}")]
    Shape {
        /// The file.
        name: &'static str,
        /// Its rows.
        rows: usize,
        /// Its components.
        dim: usize,
        /// Those of `base.npy`.
        expected: usize,
    },
}

impl VectorSet {
    /// Reads `base.npy`, `learn.npy` and `query.npy` of a folder.
    ///
    /// # Errors
    /// [`VectorsError`]
    pub fn open(folder: &Path) -> Result<Self, VectorsError> {
        let read = |name: &str| npy::read(&folder.join(name).with_extension("npy"));
        let (base, dim) = read("base")?;
        let (learn, learn_dim) = read("learn")?;
        let (query, query_dim) = read("query")?;
        for (name, values, found) in
            [("base", &base, dim), ("learn", &learn, learn_dim), ("query", &query, query_dim)]
        {
            if found != dim || values.is_empty() {
                return Err(VectorsError::Shape {
                    name,
                    rows: values.len() / found,
                    dim: found,
                    expected: dim,
                });
            }
        }
        Ok(Self { base, learn, query, dim })
    }

    /// Rows to search.
    pub fn rows(&self) -> usize {
        self.base.len() / self.dim
    }

    /// The first `queries` queries, or all if there are fewer.
    pub fn queries(&self, queries: usize) -> impl Iterator<Item = &[f32]> {
        self.query.chunks_exact(self.dim).take(queries)
    }

    /// The `k` nearest rows of each of the first queries, by comparing with every row: `[queries]` lists, best first.
    pub fn exact(&self, metric: Metric, queries: usize, k: usize) -> Vec<Vec<u32>> {
        let lengths: Vec<f64> = match metric {
            Metric::Cosine => self.base.par_chunks_exact(self.dim).map(kernels::length).collect(),
            Metric::L2 | Metric::Ip => Vec::new(),
        };
        let score = |query: &[f32], row: usize| {
            let x = &self.base[row * self.dim..][..self.dim];
            match metric {
                Metric::L2 => -kernels::l2(query, x),
                Metric::Ip => kernels::dot(query, x),
                Metric::Cosine => {
                    (f64::from(kernels::dot(query, x)) / lengths[row].max(f64::MIN_POSITIVE)) as f32
                }
            }
        };
        let unit = |query: &[f32]| -> Vec<f32> {
            let by =
                if metric == Metric::Cosine { kernels::length(query).max(f64::MIN_POSITIVE) } else { 1.0 };
            query.iter().map(|&v| (f64::from(v) / by) as f32).collect()
        };
        let queries: Vec<Vec<f32>> = self.queries(queries).map(unit).collect();
        queries.par_iter().map(|query| index::topk::best(self.rows(), k, |row| score(query, row))).collect()
    }
}

/// One depth of search: what it found and what it took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The depth.
    pub probe: Probe,
    /// Share of the exact ten nearest among the ten found.
    pub recall10: f64,
    /// Share of queries whose exact nearest row comes first.
    pub recall1_at_1: f64,
    /// Median time of a query, in ms.
    pub ms_median: f64,
    /// Time that 95 % of queries stay below, in ms.
    pub ms_p95: f64,
}

/// Depths worth a point of the curve of an index of so many lists, the shallowest first.
pub fn depths(lists: usize) -> Vec<Probe> {
    let probes = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128].into_iter().filter(|&l| l < lists.max(2));
    let mut out = Vec::new();
    for probe_lists in probes {
        for refine in [50, 100, 200, 400] {
            out.push(Probe { lists: probe_lists, refine, ..Probe::default() });
        }
    }
    out
}

/// The points that no other beats in both time and recall, the fastest first.
pub fn frontier(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_by(|a, b| a.ms_median.total_cmp(&b.ms_median).then(b.recall10.total_cmp(&a.recall10)));
    let mut best = f64::NEG_INFINITY;
    points.retain(|p| {
        let better = p.recall10 > best;
        best = best.max(p.recall10);
        better
    });
    points
}

/// Searches one query at a time on this thread and compares with `exact`, a list a query.
///
/// # Errors
/// [`SearchError`] if a query is refused.
pub fn measure<'a>(
    view: &IndexView<'_>,
    queries: impl Iterator<Item = &'a [f32]>,
    exact: &[Vec<u32>],
    probe: Probe,
) -> Result<Point, SearchError> {
    let (mut times, mut found, mut first) = (Vec::with_capacity(exact.len()), 0, 0);
    let mut wanted = 0;
    for (query, exact) in queries.zip(exact) {
        let start = Instant::now();
        let hits = view.search_with(query, 10, &probe, Keep::All)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        let ten = exact.get(..10).unwrap_or(exact);
        found += hits.iter().filter(|hit| ten.contains(&hit.row)).count();
        wanted += ten.len();
        first += usize::from(hits.first().map(|h| h.row) == exact.first().copied());
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
    Ok(Point {
        probe,
        recall10: found as f64 / wanted.max(1) as f64,
        recall1_at_1: first as f64 / times.len().max(1) as f64,
        ms_median: at(0.5),
        ms_p95: at(0.95),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{IndexKind, IndexParams, build};

    #[test]
    fn flat_rows_are_found_as_exact_search_finds_them() {
        // Well mixed (MurmurHash3's finaliser): rows nearer to one another than half floats tell would prove nothing.
        let value = |i: usize| {
            let mut h = i as u32 ^ 0x9e37_79b9;
            h = (h ^ h >> 16).wrapping_mul(0x85eb_ca6b);
            h = (h ^ h >> 13).wrapping_mul(0xc2b2_ae35);
            ((h ^ h >> 16) >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        let base: Vec<f32> = (0..400 * 6).map(value).collect();
        let query: Vec<f32> = (0..20 * 6).map(|i| value(i + 9999)).collect();
        let set = VectorSet { learn: base.clone(), base, query, dim: 6 };
        let exact = set.exact(Metric::Cosine, 100, 10);
        assert_eq!((exact.len(), exact[0].len()), (20, 10));
        let built = build(
            &IndexParams { kind: IndexKind::Flat, ..IndexParams::default() },
            &set.base,
            6,
            &mut |_| (),
        )
        .unwrap();
        let view = IndexView::open(&built.quantizer, &built.codes).unwrap();
        let point = measure(&view, set.queries(100), &exact, Probe::default()).unwrap();
        assert!(
            point.recall10 > 0.98 && point.recall1_at_1 > 0.9 && point.ms_p95 >= point.ms_median,
            "{point:?}"
        );
        let l2 = set.exact(Metric::L2, 3, 1000);
        assert_eq!(l2[0].len(), 400);
        let distance = |row: u32| kernels::l2(&set.query[..6], &set.base[row as usize * 6..][..6]);
        assert!(l2[0].windows(2).all(|w| distance(w[0]) <= distance(w[1])));
    }
}
