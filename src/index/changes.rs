//! Rows added to and deleted from an index since it was built, whatever its kind: encoded with its quantizer, scanned
//! with the same tables.
//!
//! Nothing here touches files. A caller that must not lose rows writes each code to a journal before it is added (see
//! [`Journal`](crate::pack::Journal)), and replays it.

use super::lists::{Added, Metric};
use super::scale::Scales;
use super::search::unit;
use super::view::{IndexView, Store};
use super::{Bitmap, Hit, Keep, Probe, Scope, SearchError};
use crate::kernels::f16;
use crate::quant::opq::OpqEncoder;
use crate::quant::pq::PqEncoder;
use crate::quant::rq::RqEncoder;
use crate::quant::trq::TrqEncoder;
use crate::quant::{Opq, Pq, Rq};

/// Beam of the residual quantizer's encoder, here and when an index is built.
pub(super) const BEAM: usize = 5;

/// Why a stored row cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// It is not a code of this quantizer.
    #[error("the code has {found} bytes for list {list}; these lists have {lists} and take {expected}")]
    Code {
        /// Bytes expected.
        expected: usize,
        /// Bytes found.
        found: usize,
        /// List named.
        list: u32,
        /// Lists there are.
        lists: usize,
    },
    /// It is not a row of this index.
    #[error("the row has {found} bytes; this index takes {expected}")]
    Row {
        /// Bytes expected.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// No row number is left.
    #[error("the index has {} rows, the most there can be", u32::MAX)]
    Full,
}

/// Vectors to rows of an index, as [`RowChanges::insert`] takes them and a journal keeps them.
#[derive(Debug)]
pub struct RowEncoder<'a> {
    dim: usize,
    scales: Scales,
    how: How<'a>,
}

#[derive(Debug)]
enum How<'a> {
    Flat,
    Pq(&'a Pq<'a>, PqEncoder<'a>),
    Rq(&'a Rq<'a>, RqEncoder<'a>),
    Opq(&'a Opq<'a>, OpqEncoder<'a>),
    Lists(TrqEncoder<'a>, Metric),
}

impl RowEncoder<'_> {
    /// The bytes that stand for a vector. Of inverted lists: the list (4 bytes), then the code; else a row as the index
    /// stores it.
    ///
    /// # Errors
    /// [`SearchError`] for a vector that could not be searched for either.
    pub fn encode(&self, vector: &[f32]) -> Result<Vec<u8>, SearchError> {
        if let How::Lists(encoder, metric) = &self.how {
            let (list, code) = encoder.one(&metric.comparable(vector, self.dim)?);
            let mut out = list.to_le_bytes().to_vec();
            out.extend(code);
            return Ok(out);
        }
        let vector = unit(vector, self.dim)?;
        let (mut code, decoded) = match &self.how {
            How::Pq(pq, encoder) => {
                let code = encoder.encode(&vector);
                let decoded = pq.decode(&code);
                (code, decoded)
            }
            How::Rq(rq, encoder) => {
                let code = encoder.encode(&vector);
                let decoded = rq.decode(&code);
                (code, decoded)
            }
            How::Opq(opq, encoder) => {
                let code = encoder.encode(&vector);
                let decoded = opq.decode(&code);
                (code, decoded)
            }
            How::Flat | How::Lists(..) => return Ok(f16::to_bytes(&vector)),
        };
        code.push(self.scales.byte_for(&vector, &decoded));
        Ok(code)
    }
}

/// Rows added to and deleted from an index. Added rows continue the numbers of the built ones; deleting sets a bit.
#[derive(Debug)]
pub struct RowChanges {
    built: u32,
    deleted: Bitmap,
    /// Bits set in `deleted`.
    gone: u32,
    grown: Grown,
}

#[derive(Debug)]
enum Grown {
    /// Rows one after another.
    Rows { row_len: usize, rows: Vec<u8> },
    /// Rows laid out in their lists, and their codes in the order of their numbers.
    Lists { added: Added, codes: Vec<(u32, Vec<u8>)> },
}

impl RowChanges {
    /// No changes to an index.
    pub fn new(index: &IndexView<'_>) -> Self {
        let grown = match index.lists() {
            Some(_) => Grown::Lists { added: Added::default(), codes: Vec::new() },
            None => Grown::Rows { row_len: index.row_len, rows: Vec::new() },
        };
        Self { built: index.len(), deleted: Bitmap::none(index.len()), gone: 0, grown }
    }

    /// Rows, deleted ones included.
    pub fn rows(&self) -> u32 {
        self.deleted.len()
    }

    /// Rows added, deleted ones included.
    pub fn added(&self) -> u32 {
        self.deleted.len() - self.built
    }

    /// Deleted rows.
    pub fn deleted(&self) -> &Bitmap {
        &self.deleted
    }

    /// How many rows are deleted.
    pub fn deleted_count(&self) -> u32 {
        self.gone
    }

    /// Adds what the index's [`RowEncoder`] gave and returns its row.
    ///
    /// # Errors
    /// [`AddError`]
    pub fn insert(&mut self, index: &IndexView<'_>, encoded: &[u8]) -> Result<u32, AddError> {
        self.check(index, encoded)?;
        let row = self.deleted.len();
        match (&mut self.grown, index.lists(), encoded.split_first_chunk::<4>()) {
            (Grown::Lists { added, codes }, Some(lists), Some((list, code))) => {
                let list = u32::from_le_bytes(*list);
                added.insert(lists.quantizer(), row, list, code);
                codes.push((list, code.to_vec()));
            }
            (Grown::Rows { rows, .. }, ..) => rows.extend(encoded),
            // Neither passes the check.
            (Grown::Lists { .. }, ..) => return Err(AddError::Full),
        }
        self.deleted.grow(row + 1);
        Ok(row)
    }

    /// Whether [`insert`](Self::insert) would add this.
    ///
    /// # Errors
    /// [`AddError`]
    pub fn check(&self, index: &IndexView<'_>, encoded: &[u8]) -> Result<(), AddError> {
        if self.deleted.len() == u32::MAX {
            return Err(AddError::Full);
        }
        let found = encoded.len();
        match (&self.grown, index.lists()) {
            (Grown::Lists { .. }, Some(lists)) => {
                let (expected, lists) = (4 + lists.quantizer().code_len(), lists.quantizer().lists());
                let list = encoded.first_chunk().map_or(u32::MAX, |list| u32::from_le_bytes(*list));
                if found != expected || list as usize >= lists {
                    return Err(AddError::Code { expected, found, list, lists });
                }
            }
            (Grown::Rows { row_len, .. }, None) if found == *row_len => {}
            // Another length, or changes of another index.
            _ => return Err(AddError::Row { expected: index.row_len, found }),
        }
        Ok(())
    }

    /// Deletes a row; false if there is no such row or it was deleted before.
    pub fn remove(&mut self, row: u32) -> bool {
        let there = row < self.deleted.len() && !self.deleted.contains(row);
        self.deleted.insert(row);
        self.gone += u32::from(there);
        there
    }

    /// The vector an added row stands for; `None` for a row of the built index.
    pub fn reconstruct(&self, index: &IndexView<'_>, row: u32) -> Option<Vec<f32>> {
        let at = row.checked_sub(self.built)? as usize;
        match &self.grown {
            Grown::Rows { row_len, rows } => index.decode_row(rows.get(at * row_len..(at + 1) * row_len)?),
            Grown::Lists { codes, .. } => {
                let (list, code) = codes.get(at)?;
                Some(index.lists()?.quantizer().decode(*list, code))
            }
        }
    }

    pub(super) fn added_to_lists(&self) -> Option<&Added> {
        match &self.grown {
            Grown::Lists { added, .. } => Some(added),
            Grown::Rows { .. } => None,
        }
    }

    /// Added rows of an index without lists, one after another.
    pub(super) fn added_rows(&self) -> &[u8] {
        match &self.grown {
            Grown::Rows { rows, .. } => rows,
            Grown::Lists { .. } => &[],
        }
    }

    /// Both sections of the index without deleted rows, and the row that each of their rows had here, rising.
    pub fn compacted(&self, index: &IndexView<'_>, quantizer: &[u8]) -> (Vec<u8>, Vec<u8>, Vec<u32>) {
        let kept: Vec<u32> = (0..self.rows()).filter(|&row| !self.deleted.contains(row)).collect();
        let codes = match (&self.grown, index.lists()) {
            (Grown::Lists { codes, .. }, Some(lists)) => lists.compacted(&kept, codes),
            (Grown::Rows { row_len, rows }, _) => {
                let row = |&row: &u32| {
                    let (from, at) = match row.checked_sub(self.built) {
                        Some(at) => (rows.as_slice(), at),
                        None => (index.codes, row),
                    };
                    from.get(at as usize * row_len..(at as usize + 1) * row_len).unwrap_or_default()
                };
                kept.iter().flat_map(row).copied().collect()
            }
            (Grown::Lists { .. }, None) => Vec::new(),
        };
        let mut quantizer = quantizer.to_vec();
        super::view::set_rows(&mut quantizer, kept.len() as u32, codes.len());
        (quantizer, codes, kept)
    }
}

impl<'a> IndexView<'a> {
    /// Prepares to encode rows to add.
    pub fn row_encoder(&self) -> RowEncoder<'_> {
        let how = match &self.store {
            Store::Flat => How::Flat,
            Store::Pq(pq) => How::Pq(pq, pq.encoder()),
            Store::Rq(rq) => How::Rq(rq, rq.encoder(BEAM)),
            Store::Opq(opq) => How::Opq(opq, opq.encoder()),
            Store::Lists(lists) => How::Lists(lists.quantizer().encoder(), lists.metric()),
        };
        RowEncoder { dim: self.dim, scales: self.scales, how }
    }
}

/// An index with its changes and its encoder, for those who have only one.
#[derive(Debug)]
pub struct Live<'a> {
    index: &'a IndexView<'a>,
    encoder: RowEncoder<'a>,
    changes: RowChanges,
}

impl<'a> Live<'a> {
    /// An index that nothing was added to or deleted from.
    pub fn new(index: &'a IndexView<'a>) -> Self {
        Self { index, encoder: index.row_encoder(), changes: RowChanges::new(index) }
    }

    /// What changed.
    pub fn changes(&self) -> &RowChanges {
        &self.changes
    }

    /// See [`RowEncoder::encode`].
    ///
    /// # Errors
    /// [`SearchError`]
    pub fn encode(&self, vector: &[f32]) -> Result<Vec<u8>, SearchError> {
        self.encoder.encode(vector)
    }

    /// See [`RowChanges::insert`].
    ///
    /// # Errors
    /// [`AddError`]
    pub fn insert(&mut self, encoded: &[u8]) -> Result<u32, AddError> {
        self.changes.insert(self.index, encoded)
    }

    /// See [`RowChanges::remove`].
    pub fn remove(&mut self, row: u32) -> bool {
        self.changes.remove(row)
    }

    /// [`IndexView::search_with`] over all rows that are not deleted.
    ///
    /// # Errors
    /// [`SearchError`]
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        probe: &Probe,
        keep: Keep<'_>,
    ) -> Result<Vec<Hit>, SearchError> {
        self.index.search_in(query, k, probe, &Scope { keep, changes: Some(&self.changes), cancel: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::Cancel;
    use crate::index::{BuiltIndex, IndexKind, IndexParams, build};
    use crate::kernels;

    const DIM: usize = 20;
    const BUILT: usize = 600;

    /// Rows around 50 centres.
    fn rows(n: usize) -> Vec<f32> {
        let mut state = 3u64;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        let centres: Vec<f32> = (0..50 * DIM).map(|_| 2.0 * next()).collect();
        (0..n * DIM).map(|i| centres[i / DIM % 50 * DIM + i % DIM] + next()).collect()
    }

    fn built(kind: IndexKind, v: &[f32]) -> BuiltIndex {
        let params = IndexParams { kind, bytes: 8, ..IndexParams::default() };
        let built = build(&params, v, DIM, &mut |_| ()).unwrap();
        assert_eq!(built.kind, kind, "{:?}", built.note);
        built
    }

    const KINDS: [IndexKind; 4] = [IndexKind::Flat, IndexKind::Pq, IndexKind::Rq, IndexKind::Opq];

    #[test]
    fn added_rows_score_as_what_they_stand_for_and_compaction_changes_no_score() {
        let v = rows(BUILT + 300);
        let (old, new) = v.split_at(BUILT * DIM);
        for kind in KINDS {
            let made = built(kind, old);
            let view = IndexView::open(&made.quantizer, &made.codes).unwrap();
            let mut live = Live::new(&view);
            for (x, row) in new.chunks(DIM).zip(BUILT as u32..) {
                assert_eq!(live.insert(&live.encode(x).unwrap()).unwrap(), row);
            }
            (0..BUILT as u32).step_by(3).for_each(|row| assert!(live.remove(row) && !live.remove(row)));
            assert!(live.remove(BUILT as u32 + 7) && !live.remove(9999));
            assert_eq!((live.changes().added(), live.changes().deleted_count()), (300, 201));
            let (quantizer, codes, kept) = live.changes().compacted(&view, &made.quantizer);
            let compact = IndexView::open(&quantizer, &codes).unwrap();
            assert_eq!((compact.len(), kept.len()), (699, 699));
            let mut own = 0;
            for (at, query) in new.chunks(DIM).enumerate().step_by(11) {
                let norm = kernels::dot(query, query).sqrt();
                let hits = live.search(query, 900, &Probe::default(), Keep::All).unwrap();
                assert_eq!(hits.len(), 699);
                for hit in &hits {
                    let stored = live.changes().reconstruct(&view, hit.row);
                    assert_eq!(stored.is_some(), hit.row >= BUILT as u32);
                    let stored = stored.or_else(|| view.reconstruct(hit.row)).unwrap();
                    assert!((kernels::dot(&stored, query) / norm - hit.score).abs() < 1e-5, "{kind}");
                }
                own += usize::from(hits[..5].iter().any(|hit| hit.row as usize == BUILT + at));
                let mut same = compact.search(query, 900, &|_| true).unwrap();
                same.iter_mut().for_each(|hit| hit.row = kept[hit.row as usize]);
                assert_eq!(same, hits, "{kind}");
            }
            assert!(own >= 25, "{kind}: {own} of 28 added rows are among the five nearest to themselves");
        }
    }

    #[test]
    fn flat_rows_are_found_as_if_they_had_been_built() {
        let v = rows(500);
        let (whole, part) = (built(IndexKind::Flat, &v), built(IndexKind::Flat, &v[..200 * DIM]));
        let whole = IndexView::open(&whole.quantizer, &whole.codes).unwrap();
        let view = IndexView::open(&part.quantizer, &part.codes).unwrap();
        let mut live = Live::new(&view);
        for x in v.chunks(DIM).skip(200) {
            live.insert(&live.encode(x).unwrap()).unwrap();
        }
        let even = Bitmap::of(500, |row| row % 2 == 0);
        let probe = Probe::default();
        for query in v.chunks(DIM).step_by(50) {
            for keep in [Keep::All, Keep::Rows(&even), Keep::Except(&even), Keep::Each(&|row| row > 300)] {
                assert_eq!(
                    live.search(query, 12, &probe, keep).unwrap(),
                    whole.search_with(query, 12, &probe, keep).unwrap()
                );
            }
        }
    }

    #[test]
    fn rows_that_are_none_are_refused_and_a_raised_flag_ends_a_search() {
        let v = rows(BUILT);
        for kind in KINDS {
            let made = built(kind, &v);
            let view = IndexView::open(&made.quantizer, &made.codes).unwrap();
            let mut live = Live::new(&view);
            let good = live.encode(&v[..DIM]).unwrap();
            for bad in [&[][..], &good[1..], &[good.as_slice(), &[0]].concat()] {
                let want = AddError::Row { expected: good.len(), found: bad.len() };
                assert_eq!(live.insert(bad), Err(want));
            }
            assert_eq!(
                live.encode(&v[1..DIM]),
                Err(SearchError::Dimension { expected: DIM, found: DIM - 1 })
            );
            assert_eq!(live.encode(&[0.0; DIM]), Err(SearchError::Zero));
            assert_eq!(live.encode(&[f32::INFINITY; DIM]), Err(SearchError::NotFinite { at: 0 }));
            let cancel = Cancel::new();
            let scope = Scope { cancel: Some(&cancel), ..Scope::default() };
            assert!(view.search_in(&v[..DIM], 5, &Probe::default(), &scope).is_ok());
            cancel.cancel();
            let ended = view.search_in(&v[..DIM], 5, &Probe::default(), &scope);
            assert_eq!(ended, Err(SearchError::Cancelled));
        }
    }
}
