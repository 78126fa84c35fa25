//! Rows added and deleted after the lists were built: encoded with the same quantizer, scanned with the same tables.
//!
//! Nothing here touches files. A caller that must not lose rows writes each code to a journal before it is added (see
//! [`Journal`](crate::pack::Journal)), and replays it.

use std::collections::HashMap;

use super::build::{high, lay_out, tail};
use super::{Keep, Lists, Metric, Probe, block_len};
use crate::index::search::{check, unit};
use crate::index::{Bitmap, Hit, SearchError};
use crate::kernels::scan::{ROWS, set_code};
use crate::quant::{Trq, TrqEncoder};

/// Added rows of one list, laid out as the list's own.
#[derive(Debug, Default)]
pub(in crate::index) struct More {
    pub ids: Vec<u32>,
    pub blocks: Vec<u8>,
    tails: Vec<u8>,
}

impl More {
    pub fn for_each(&self, f: &mut dyn FnMut(u32, u32)) {
        self.ids.iter().enumerate().for_each(|(at, &id)| f(at as u32, id));
    }

    pub fn tail(&self, at: usize, trq: &Trq<'_>) -> &[u8] {
        let len = trq.tail_len();
        self.tails.get(at * len..(at + 1) * len).unwrap_or_default()
    }
}

/// Rows added to lists.
#[derive(Debug, Default)]
pub(in crate::index) struct Added {
    lists: HashMap<u32, More>,
    rows: usize,
}

impl Added {
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn list(&self, list: u32) -> Option<&More> {
        self.lists.get(&list)
    }
}

impl Lists<'_> {
    /// A vector as these lists compare it: checked, and scaled to length 1 for cosines.
    pub(in crate::index) fn comparable(&self, vector: &[f32]) -> Result<Vec<f32>, SearchError> {
        match self.metric {
            Metric::Cosine => unit(vector, self.trq.dim()),
            Metric::L2 | Metric::Ip => check(vector, self.trq.dim()).map(|()| vector.to_vec()),
        }
    }
}

/// Why a stored code cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// No row number is left.
    #[error("the index has {} rows, the most there can be", u32::MAX)]
    Full,
}

/// Lists with rows added and deleted since they were built.
///
/// Added rows continue the numbers of the built ones. Deleting sets a bit. [`compacted`](Self::compacted) makes lists
/// without what was deleted.
#[derive(Debug)]
pub struct Live<'a> {
    lists: &'a Lists<'a>,
    encoder: TrqEncoder<'a>,
    added: Added,
    /// Codes of added rows in order of their numbers, as [`encode`](Self::encode) gave them.
    codes: Vec<(u32, Vec<u8>)>,
    deleted: Bitmap,
}

impl<'a> Live<'a> {
    /// Lists that nothing was added to or deleted from.
    pub fn new(lists: &'a Lists<'a>) -> Self {
        let encoder = lists.trq.encoder();
        let deleted = Bitmap::none(lists.rows);
        Self { lists, encoder, added: Added::default(), codes: Vec::new(), deleted }
    }

    /// Rows, deleted ones included.
    pub fn rows(&self) -> u32 {
        self.deleted.len()
    }

    /// Deleted rows.
    pub fn deleted(&self) -> &Bitmap {
        &self.deleted
    }

    /// Bytes that stand for a vector, for [`insert`](Self::insert) now or after the next start: its list (4 bytes),
    /// then its code.
    ///
    /// # Errors
    /// [`SearchError`] for a vector that could not be searched for either.
    pub fn encode(&self, vector: &[f32]) -> Result<Vec<u8>, SearchError> {
        let (list, code) = self.encoder.one(&self.lists.comparable(vector)?);
        let mut out = list.to_le_bytes().to_vec();
        out.extend(code);
        Ok(out)
    }

    /// Adds what [`encode`](Self::encode) gave and returns its row.
    ///
    /// # Errors
    /// [`AddError`]
    pub fn insert(&mut self, encoded: &[u8]) -> Result<u32, AddError> {
        let trq = &self.lists.trq;
        let (expected, lists) = (4 + self.encoder.code_len(), trq.lists());
        let (list, code) = match encoded.split_first_chunk::<4>() {
            Some((list, code)) => (u32::from_le_bytes(*list), code),
            None => (u32::MAX, encoded),
        };
        if encoded.len() != expected || list as usize >= lists {
            return Err(AddError::Code { expected, found: encoded.len(), list, lists });
        }
        let row = self.deleted.len();
        if row == u32::MAX {
            return Err(AddError::Full);
        }
        self.deleted.grow(row + 1);
        let more = self.added.lists.entry(list).or_default();
        let at = more.ids.len();
        if at.is_multiple_of(ROWS) {
            more.blocks.resize(more.blocks.len() + block_len(trq.parts()), 0);
        }
        let start = at / ROWS * block_len(trq.parts());
        for (j, &byte) in code[..trq.parts()].iter().enumerate() {
            set_code(&mut more.blocks[start..], j, at % ROWS, high(trq, byte));
        }
        more.tails.extend(tail(trq, code));
        more.ids.push(row);
        self.added.rows += 1;
        self.codes.push((list, code.to_vec()));
        Ok(row)
    }

    /// Deletes a row; false if there is no such row or it was deleted before.
    pub fn remove(&mut self, row: u32) -> bool {
        let there = row < self.deleted.len() && !self.deleted.contains(row);
        self.deleted.insert(row);
        there
    }

    /// [`IndexView::search_with`](crate::index::IndexView::search_with) over all rows that are not deleted.
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
        let query = self.lists.comparable(query)?;
        let nearest = |keep: Keep<'_>| self.lists.nearest(&query, k, probe, keep, Some(&self.added));
        let live = |row: u32| !self.deleted.contains(row);
        Ok(match keep {
            Keep::All if self.deleted.is_empty() => nearest(Keep::All),
            Keep::All => nearest(Keep::Except(&self.deleted)),
            Keep::Rows(rows) => nearest(Keep::Each(&|row| live(row) && rows.contains(row))),
            Keep::Each(ok) => nearest(Keep::Each(&|row| live(row) && ok(row))),
            Keep::Except(rows) => nearest(Keep::Except(&rows.or(&self.deleted))),
        })
    }

    /// The codes section without deleted rows, and the row that each of its rows had here, rising.
    pub fn compacted(&self) -> (Vec<u8>, Vec<u32>) {
        let places = self.lists.places();
        let kept: Vec<u32> = (0..self.rows()).filter(|&row| !self.deleted.contains(row)).collect();
        let mut lists = Vec::with_capacity(kept.len());
        let mut codes = Vec::with_capacity(kept.len() * self.encoder.code_len());
        let mut code = Vec::new();
        for &row in &kept {
            if let Some(&(list, at)) = places.get(row as usize) {
                self.lists.whole_code(list, at, &mut code);
                lists.push(list);
                codes.extend_from_slice(&code);
            } else if let Some((list, code)) = self.codes.get(row as usize - places.len()) {
                lists.push(*list);
                codes.extend_from_slice(code);
            }
        }
        let len = self.encoder.code_len();
        (lay_out(&self.lists.trq, &lists, |row| &codes[row as usize * len..][..len]), kept)
    }
}
