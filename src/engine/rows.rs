//! One of the pack's two indexes together with the products its rows belong to.

use std::collections::HashSet;
use std::ops::Range;

use super::error::OpenEngineError;
use crate::index::{IndexView, SearchError};
use crate::kernels;
use crate::pack::{EncoderKind, IndexSections, Pack, RowsView};

/// Rows of one product looked at when its evidence is completed; more pictures than this add nothing.
const MAX_ROWS: u32 = 256;

/// Weight of a product's mean row beside its nearest one. Chosen on Grocery `val` photos: 0 gives R@1 0.841, 0.25 to 2
/// give 0.861 to 0.865, the mean alone 0.868.
const CENTROID: f32 = 0.5;

/// An index and its row table; rows of one product lie together, in product order.
pub(super) struct ProductIndex<'a> {
    index: IndexView<'a>,
    rows: RowsView<'a>,
}

impl<'a> ProductIndex<'a> {
    /// The pack's index of pictures or texts, or `None` if it has none.
    pub fn open(pack: &'a Pack, sections: IndexSections) -> Result<Option<Self>, OpenEngineError> {
        let (kind, encoder) = match sections {
            IndexSections::Image => (EncoderKind::Image, &pack.meta().image),
            IndexSections::Text => (EncoderKind::Text, &pack.meta().text),
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
        Ok(Some(Self { index, rows }))
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
        keep: &dyn Fn(u32) -> bool,
    ) -> Result<Vec<u32>, SearchError> {
        let keep_row = |row| self.rows.product(row).is_some_and(keep);
        let mut k = products.saturating_mul(4);
        loop {
            let hits = self.index.search(query, k, &keep_row)?;
            let mut seen = HashSet::new();
            let named = hits.iter().filter_map(|hit| self.rows.product(hit.row));
            let found: Vec<u32> = named.filter(|&product| seen.insert(product)).collect();
            // A product with many pictures can fill the list: ask for more until there are enough products.
            if found.len() >= products || hits.len() < k {
                return Ok(found);
            }
            k = k.saturating_mul(4);
        }
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
        for vector in rows.filter_map(|row| self.index.reconstruct(row)) {
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
