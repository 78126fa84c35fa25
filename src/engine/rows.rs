//! One of the pack's two indexes together with the products its rows belong to.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::OnceLock;

use super::changes::IndexChanges;
use super::error::OpenEngineError;
use crate::cancel::Cancel;
use crate::index::{IndexView, Keep, Probe, Scope, SearchError};
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

/// The pack's index of pictures or texts, checked against its row table and encoder; `None` if it has none.
pub(super) fn index_of(
    pack: &Pack,
    sections: IndexSections,
) -> Result<Option<IndexView<'_>>, OpenEngineError> {
    let meta = pack.meta();
    let (kind, encoder) = match sections {
        IndexSections::Image => (EncoderKind::Image, &meta.image),
        IndexSections::Text => (EncoderKind::Text, &meta.text),
    };
    let rows = pack.rows(sections);
    let Some((quantizer, codes)) = pack.index(sections) else { return Ok(None) };
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
    Ok(Some(index))
}

/// The rows of a product, of those built or, numbered on from them, of those added; empty if it has none.
pub(super) fn rows_of(built: RowsView<'_>, added: &[u32], product: u32) -> Range<u32> {
    let first = |wanted: u32| {
        let (mut low, mut high) = (0, built.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if built.product(middle).is_some_and(|p| p < wanted) { low = middle + 1 } else { high = middle }
        }
        low
    };
    let rows = first(product)..product.checked_add(1).map_or(built.len(), first);
    if !rows.is_empty() {
        return rows;
    }
    let at = |from: usize| built.len() + from as u32;
    at(added.partition_point(|&p| p < product))..at(added.partition_point(|&p| p <= product))
}

/// An index, its row table and their changes; rows of one product lie together, in product order.
pub(super) struct ProductIndex<'a> {
    index: IndexView<'a>,
    rows: RowsView<'a>,
    places: &'a Places,
    measured: Option<&'a Measured>,
    changes: Option<&'a IndexChanges>,
}

impl<'a> ProductIndex<'a> {
    /// The pack's index of pictures or texts, or `None` if it has none.
    pub fn open(
        pack: &'a Pack,
        sections: IndexSections,
        places: &'a Places,
        changes: Option<&'a IndexChanges>,
    ) -> Result<Option<Self>, OpenEngineError> {
        let meta = pack.meta();
        let meta = match sections {
            IndexSections::Image => &meta.image_index,
            IndexSections::Text => &meta.text_index,
        };
        let measured = meta.as_ref().and_then(|m| m.measured.as_ref());
        let rows = pack.rows(sections);
        Ok(index_of(pack, sections)?.map(|index| Self { index, rows, places, measured, changes }))
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
        self.changes.map_or(self.rows.len(), |c| c.rows.rows() - c.rows.deleted_count())
    }

    /// The rows of a product; empty if it has none.
    fn rows_of(&self, product: u32) -> Range<u32> {
        rows_of(self.rows, self.changes.map_or(&[], |c| &c.products), product)
    }

    /// The rows that are looked at where the product is.
    fn first_rows(&self, product: u32) -> Range<u32> {
        let rows = self.rows_of(product);
        rows.start..rows.end.min(rows.start.saturating_add(MAX_ROWS))
    }

    fn product(&self, row: u32) -> Option<u32> {
        match row.checked_sub(self.rows.len()) {
            None => self.rows.product(row),
            Some(at) => self.changes?.products.get(at as usize).copied(),
        }
    }

    pub fn has(&self, product: u32) -> bool {
        !self.rows_of(product).is_empty()
    }

    /// At least `products` different products with rows nearest to `query`, best first, if there are so many. Deleted
    /// ones are left out whatever `keep` says.
    pub fn nearest(
        &self,
        query: &[f32],
        products: usize,
        keep: Option<&dyn Fn(u32) -> bool>,
        depth: Depth,
        cancel: Option<&Cancel>,
    ) -> Result<Vec<u32>, SearchError> {
        let keep_row = |row| self.product(row).is_some_and(|product| keep.is_none_or(|keep| keep(product)));
        let keep_rows = if keep.is_none() { Keep::All } else { Keep::Each(&keep_row) };
        let scope = Scope { keep: keep_rows, changes: self.changes.map(|c| &c.rows), cancel };
        let mut probe = self.probe(depth);
        let mut k = products.saturating_mul(4);
        loop {
            // A longer list needs more candidates, and more lists to find them in.
            probe.refine = probe.refine.max(2 * k.min(self.len() as usize));
            let hits = self.index.search_in(query, k, &probe, &scope)?;
            let mut seen = HashSet::new();
            let named = hits.iter().filter_map(|hit| self.product(hit.row));
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
        if row >= self.rows.len() {
            return self.changes?.rows.reconstruct(&self.index, row);
        }
        let Some(lists) = self.index.lists() else { return self.index.reconstruct(row) };
        let (list, at) = *self.places.get_or_init(|| lists.places()).get(row as usize)?;
        lists.reconstruct(list, at)
    }

    /// The row of a product that is nearest to `query`, and its cosine.
    pub fn nearest_row(&self, query: &[f32], product: u32) -> Option<(u32, f32)> {
        let rows = self.first_rows(product);
        let cosines = rows.filter_map(|row| Some((row, kernels::dot(query, &self.vector(row)?))));
        cosines.max_by(|(a, x), (b, y)| x.total_cmp(y).then(b.cmp(a)))
    }

    /// How near one product is to `query`, or `None` if it has no rows: the cosine of its nearest row and, with weight
    /// [`CENTROID`], that of the mean of its rows. With one row that is the row's cosine.
    ///
    /// The nearest picture alone falls for a single odd one; the mean alone loses views that look unlike the rest.
    pub fn cosine(&self, query: &[f32], product: u32) -> Option<f32> {
        let rows = self.first_rows(product);
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
