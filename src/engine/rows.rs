//! One of the pack's two indexes together with the products its rows belong to.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::OnceLock;

use super::error::OpenEngineError;
use crate::index::{IndexView, Keep, Probe, SearchError};
use crate::kernels;
use crate::options::Depth;
use crate::pack::{EncoderKind, IndexSections, Measured, Pack, RowsView};

/// Rows of one product looked at when its evidence is completed; more pictures than this add nothing.
const MAX_ROWS: u32 = 256;

/// Weight of a product's mean row beside its nearest one. Chosen on Grocery `val` photos: 0 gives R@1 0.841, 0.25 to 2
/// give 0.861 to 0.865, the mean alone 0.868.
const CENTROID: f32 = 0.5;

/// Share of recall that a deeper search must add to be worth its time.
const WORTH: f64 = 0.005;

/// Where the rows of inverted lists are, worked out when first asked for: list and place of each.
pub(super) type Places = OnceLock<Vec<(u32, u32)>>;

/// An index and its row table; rows of one product lie together, in product order.
pub(super) struct ProductIndex<'a> {
    index: IndexView<'a>,
    rows: RowsView<'a>,
    places: &'a Places,
    measured: Option<&'a Measured>,
}

impl<'a> ProductIndex<'a> {
    /// The pack's index of pictures or texts, or `None` if it has none.
    pub fn open(
        pack: &'a Pack,
        sections: IndexSections,
        places: &'a Places,
    ) -> Result<Option<Self>, OpenEngineError> {
        let meta = pack.meta();
        let (kind, encoder, index_meta) = match sections {
            IndexSections::Image => (EncoderKind::Image, &meta.image, &meta.image_index),
            IndexSections::Text => (EncoderKind::Text, &meta.text, &meta.text_index),
        };
        let rows = pack.rows(sections);
        let Some((quantizer, codes)) = pack.index(sections).filter(|_| !rows.is_empty()) else {
            return Ok(None);
        };
        let broken = |reason| OpenEngineError::Rows { kind, reason };
        let index =
            IndexView::open(quantizer, codes).map_err(|source| OpenEngineError::Index { kind, source })?;
        if index.len() != rows.len() {
            return Err(broken(format!("{} vectors for {} rows", index.len(), rows.len())));
        }
        let dim = encoder.as_ref().map_or(0, |e| e.dim as usize);
        if index.dim() != dim {
            return Err(broken(format!("vectors of {} components from an encoder of {dim}", index.dim())));
        }
        let measured = index_meta.as_ref().and_then(|m| m.measured.as_ref());
        Ok(Some(Self { index, rows, places, measured }))
    }

    /// Whether the rows of each product lie together in product order; read once when a pack is opened.
    pub fn check_order(&self, kind: EncoderKind) -> Result<(), OpenEngineError> {
        if self.rows.iter().is_sorted() {
            return Ok(());
        }
        Err(OpenEngineError::Rows { kind, reason: "its rows are not in product order".to_owned() })
    }

    /// Rows of all products.
    pub fn len(&self) -> u32 {
        self.rows.len()
    }

    /// The rows of a product; empty if it has none.
    fn rows_of(&self, product: u32) -> Range<u32> {
        let first = |wanted: u32| {
            let (mut low, mut high) = (0, self.rows.len());
            while low < high {
                let middle = low + (high - low) / 2;
                if self.rows.product(middle).is_some_and(|p| p < wanted) {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            low
        };
        first(product)..product.checked_add(1).map_or(self.rows.len(), first)
    }

    pub fn has(&self, product: u32) -> bool {
        !self.rows_of(product).is_empty()
    }

    /// At least `products` different products with rows nearest to `query`, best first, if there are so many.
    pub fn nearest(
        &self,
        query: &[f32],
        products: usize,
        keep: Option<&dyn Fn(u32) -> bool>,
        depth: Depth,
    ) -> Result<Vec<u32>, SearchError> {
        let keep_row =
            |row| self.rows.product(row).is_some_and(|product| keep.is_none_or(|keep| keep(product)));
        let keep_rows = if keep.is_none() { Keep::All } else { Keep::Each(&keep_row) };
        let mut probe = self.probe(depth);
        let mut k = products.saturating_mul(4);
        loop {
            // A longer list needs more candidates, and more lists to find them in.
            probe.refine = probe.refine.max(2 * k.min(self.rows.len() as usize));
            let hits = self.index.search_with(query, k, &probe, keep_rows)?;
            let mut seen = HashSet::new();
            let named = hits.iter().filter_map(|hit| self.rows.product(hit.row));
            let found: Vec<u32> = named.filter(|&product| seen.insert(product)).collect();
            // A product with many pictures can fill the list: ask for more until there are enough products.
            if found.len() >= products || hits.len() < k {
                return Ok(found);
            }
            k = k.saturating_mul(4);
            probe.lists = probe.lists.saturating_mul(4);
        }
    }

    /// How far to search, by what was measured.
    fn probe(&self, depth: Depth) -> Probe {
        let point = self.measured.and_then(|m| match depth {
            Depth::Auto => m.depth_for_recall(m.recall_at_10 - WORTH),
            Depth::Recall(recall) => m.depth_for_recall(recall),
            Depth::Microseconds(time) => m.depth_for_time(time),
        });
        match point {
            Some(p) => Probe { lists: p.lists as usize, refine: p.refine as usize, ..Probe::default() },
            None => Probe::default(),
        }
    }

    /// The vector a row stands for.
    fn vector(&self, row: u32) -> Option<Vec<f32>> {
        let Some(lists) = self.index.lists() else { return self.index.reconstruct(row) };
        let (list, at) = *self.places.get_or_init(|| lists.places()).get(row as usize)?;
        lists.reconstruct(list, at)
    }

    /// How near one product is to `query`, or `None` if it has no rows: the cosine of its nearest row and, with weight
    /// [`CENTROID`], that of the mean of its rows. With one row that is the row's cosine.
    ///
    /// The nearest picture alone falls for a single odd one; the mean alone loses views that look unlike the rest.
    pub fn cosine(&self, query: &[f32], product: u32) -> Option<f32> {
        let rows = self.rows_of(product);
        let rows = rows.start..rows.end.min(rows.start.saturating_add(MAX_ROWS));
        let mut mean = vec![0.0; self.index.dim()];
        let mut nearest = f32::NEG_INFINITY;
        for vector in rows.filter_map(|row| self.vector(row)) {
            nearest = nearest.max(kernels::dot(query, &vector));
            mean.iter_mut().zip(&vector).for_each(|(sum, v)| *sum += v);
        }
        if nearest == f32::NEG_INFINITY {
            return None;
        }
        let length = kernels::dot(&mean, &mean).sqrt();
        let centroid = if length > f32::EPSILON { kernels::dot(query, &mean) / length } else { nearest };
        Some((nearest + CENTROID * centroid) / (1.0 + CENTROID))
    }
}
