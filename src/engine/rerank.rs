//! Orders the first products of a query anew, by their local descriptors.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Engine;
use super::changes::State;
use super::error::{FindError, OpenEngineError};
use super::rows::ProductIndex;
use crate::embedding::Embedding;
use crate::fuse::score::Evidence;
use crate::pack::{CellLayout, CellsView, EncoderKind, IndexSections, SectionKind};
use crate::rerank::{CellCodes, Reranker};

/// Products that are ordered anew. The scorer was trained on lists of this length.
const DEPTH: usize = 20;

impl Engine {
    /// Whether queries can ask for [`rerank`](crate::options::FindOptions::rerank).
    pub fn can_rerank(&self) -> bool {
        let has = |kind| self.pack.section(kind).is_some();
        has(SectionKind::ImageCells) && has(SectionKind::ImageReranker)
    }

    /// Refuses to rerank before anything is decoded or encoded for it.
    pub(super) fn check_rerank(&self, wanted: bool) -> Result<(), FindError> {
        if wanted && !self.can_rerank() { Err(FindError::NoReranker) } else { Ok(()) }
    }

    pub(super) fn reranker(&self) -> Result<Arc<Reranker>, FindError> {
        self.reranker.get(|| {
            let json = self.pack.section(SectionKind::ImageReranker).ok_or(FindError::NoReranker)?;
            Ok(Reranker::from_json(json)?)
        })
    }

    /// The pack's local descriptors, if it has some.
    pub(super) fn cells(&self) -> Result<Option<CellsView<'_>>, OpenEngineError> {
        let Some(bytes) = self.pack.section(SectionKind::ImageCells) else { return Ok(None) };
        let rows = self.pack.rows(IndexSections::Image).len();
        let broken = |reason| OpenEngineError::Rows { kind: EncoderKind::Image, reason };
        CellsView::open(bytes, rows).map(Some).map_err(broken)
    }

    /// How local descriptors are kept in the pack, if they are.
    pub(super) fn cell_layout(&self) -> Result<Option<CellLayout>, OpenEngineError> {
        Ok(self.cells()?.map(|cells| cells.layout()))
    }

    /// Gives the looks of the first products by looks to these products in the order that their cells say. So the scores keep
    /// their meaning, what words and barcodes say still counts, and a product whose picture has no cells keeps its own.
    pub(super) fn rerank(
        &self,
        query: &CellCodes,
        vector: &Embedding,
        images: &ProductIndex<'_>,
        state: &State,
        found: &mut BTreeMap<u32, Evidence>,
    ) -> Result<(), FindError> {
        let cells = self.cells()?.ok_or(FindError::NoReranker)?;
        let reranker = self.reranker()?;
        let mut first: Vec<(u32, f32)> =
            found.iter().filter_map(|(&product, evidence)| Some((product, evidence.image?))).collect();
        first.sort_by(|(a, x), (b, y)| y.total_cmp(x).then(a.cmp(b)));
        first.truncate(DEPTH);
        let candidate = |&(product, looks): &(u32, f32)| {
            let (row, cosine) = images.nearest_row(vector.as_slice(), product)?;
            Some((product, looks, cosine, CellCodes::read(&cells.layout(), state.cells(&cells, row)?)?))
        };
        let candidates: Vec<_> = first.iter().filter_map(candidate).collect();
        let list: Vec<(f32, &CellCodes)> =
            candidates.iter().map(|(_, _, cosine, cells)| (*cosine, cells)).collect();
        let scores = reranker.scores(query, &list);
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        // Candidates are in the order of their looks, best first.
        for (at, (_, looks, ..)) in order.into_iter().zip(&candidates) {
            if let Some(evidence) = found.get_mut(&candidates[at].0) {
                evidence.image = Some(*looks);
            }
        }
        Ok(())
    }
}
