//! Inverted lists of transformed residual codes: 4 bits a part scanned in blocks, 8 bits for the best of them, and for the
//! best of these level 3 or the vector itself.
//!
//! # The codes section
//! `[starts][ids][blocks][tails]`: where each list starts, the row numbers of each list, the level-1 codes of each list
//! in blocks of 32 rows ([`scan`](crate::kernels::scan)), and for each row the rest of its code. `docs/pack-format.md`
//! gives every byte. Rows keep the order of their list throughout, a list's rows by number.

mod added;
mod build;
mod ids;
mod search;

#[cfg(test)]
mod live_tests;
#[cfg(test)]
mod tests;

pub(super) use added::Added;
pub use build::build;
pub use search::{Keep, Probe};

use super::OpenIndexError;
use crate::kernels;
use crate::kernels::scan::{ENTRIES, GROUP, ROWS};
use crate::quant::{Levels, Trq};
use ids::Ids;

/// What rows are compared by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Cosine: vectors are scaled to length 1. Scores are estimated cosines.
    #[default]
    Cosine,
    /// Euclidean distance. Scores are minus its square.
    L2,
    /// Inner product. Scores are products.
    Ip,
}

impl Metric {
    /// `cosine`, `l2` or `ip`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::L2 => "l2",
            Self::Ip => "ip",
        }
    }

    pub(super) fn number(self) -> u8 {
        match self {
            Self::Cosine => 0,
            Self::L2 => 1,
            Self::Ip => 2,
        }
    }

    pub(super) fn of(number: u8) -> Option<Self> {
        [Self::Cosine, Self::L2, Self::Ip].into_iter().find(|m| m.number() == number)
    }
}

/// Inverted lists over bytes of a pack.
#[derive(Debug)]
pub struct Lists<'a> {
    pub(super) trq: Trq<'a>,
    pub(super) metric: Metric,
    /// Mean squared error of the codes, in squares of the vectors' own units.
    pub(super) error: f32,
    rows: u32,
    /// First row of each list, and the number of rows: `[lists + 1]`.
    starts: Vec<u32>,
    /// First byte of each list's ids, and their length.
    id_starts: Vec<u64>,
    /// First block of each list.
    block_starts: Vec<u64>,
    ids: &'a [u8],
    blocks: &'a [u8],
    tails: &'a [u8],
}

/// Blocks begin at a multiple of this within their section, which itself begins at one.
const ALIGN: u64 = 64;

/// Bytes of a block of `m` parts.
fn block_len(m: usize) -> usize {
    m.next_multiple_of(GROUP) * ENTRIES
}

/// Where the parts of the codes section lie.
struct Layout {
    id_starts: Vec<u64>,
    block_starts: Vec<u64>,
    ids: u64,
    blocks: u64,
    tails: u64,
    end: u64,
}

impl Layout {
    fn new(starts: &[u32], rows: u32, m: usize, tail_len: usize) -> Self {
        let (mut id, mut block) = (0u64, 0u64);
        let (mut id_starts, mut block_starts) = (vec![0], vec![0]);
        for pair in starts.windows(2) {
            let n = u64::from(pair[1].saturating_sub(pair[0]));
            id += ids::len(n, u64::from(rows));
            block += n.div_ceil(ROWS as u64);
            id_starts.push(id);
            block_starts.push(block);
        }
        let ids = starts.len() as u64 * 4;
        let blocks = (ids + id).next_multiple_of(ALIGN);
        let tails = blocks + block * block_len(m) as u64;
        Self { id_starts, block_starts, ids, blocks, tails, end: tails + u64::from(rows) * tail_len as u64 }
    }
}

impl<'a> Lists<'a> {
    pub(super) fn open(
        trq: Trq<'a>,
        metric: Metric,
        error: f32,
        rows: u32,
        codes: &'a [u8],
    ) -> Result<Self, OpenIndexError> {
        let malformed = |what| Err(OpenIndexError::Malformed { what });
        let starts_len = (trq.lists() + 1) * 4;
        let Some((head, _)) = codes.split_at_checked(starts_len) else {
            return malformed("the starts of the lists are cut off");
        };
        let starts: Vec<u32> = head.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
        if starts.first() != Some(&0) || starts.last() != Some(&rows) || !starts.is_sorted() {
            return malformed("the starts of the lists");
        }
        let layout = Layout::new(&starts, rows, trq.parts(), trq.tail_len());
        if layout.end != codes.len() as u64 {
            return malformed("the codes are not as long as their lists");
        }
        // Each is at most codes.len().
        let slice = |from: u64, to: u64| codes.get(from as usize..to as usize).unwrap_or_default();
        let ids_end = layout.ids + layout.id_starts.last().copied().unwrap_or_default();
        if slice(ids_end, layout.blocks).iter().any(|&b| b != 0) {
            return malformed("bytes between ids and codes are not zero");
        }
        Ok(Self {
            trq,
            metric,
            error,
            rows,
            starts,
            ids: slice(layout.ids, ids_end),
            blocks: slice(layout.blocks, layout.tails),
            tails: slice(layout.tails, layout.end),
            id_starts: layout.id_starts,
            block_starts: layout.block_starts,
        })
    }

    /// The quantizer.
    pub fn quantizer(&self) -> &Trq<'a> {
        &self.trq
    }

    /// What rows are compared by.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Rows of a list: first place and number.
    fn span(&self, list: u32) -> (u32, u32) {
        let at = |i: usize| self.starts.get(i).copied().unwrap_or(self.rows);
        let (from, to) = (at(list as usize), at(list as usize + 1));
        (from, to.saturating_sub(from))
    }

    fn ids_of(&self, list: u32) -> Ids<'a> {
        let at = |i: usize| self.id_starts.get(i).map_or(self.ids.len(), |&v| v as usize);
        let (from, to) = (at(list as usize), at(list as usize + 1));
        Ids::new(self.ids.get(from..to).unwrap_or_default(), self.span(list).1, self.rows)
    }

    fn blocks_of(&self, list: u32) -> &'a [u8] {
        let len = block_len(self.trq.parts());
        let at = |i: usize| self.block_starts.get(i).map_or(self.blocks.len(), |&v| v as usize * len);
        self.blocks.get(at(list as usize)..at(list as usize + 1)).unwrap_or_default()
    }

    fn tail(&self, place: u32) -> &'a [u8] {
        let len = self.trq.tail_len();
        self.tails.get(place as usize * len..(place as usize + 1) * len).unwrap_or_default()
    }

    /// The code of the row at place `at` of a list, levels 1 and 2, into `code` (cleared first).
    fn code(&self, list: u32, at: u32, code: &mut Vec<u8>) {
        let tail = self.tail(self.span(list).0 + at);
        self.join(self.blocks_of(list), at as usize, tail, code);
    }

    /// Levels 1 and 2 of row `at` of blocks, joined with its tail.
    fn join(&self, blocks: &[u8], at: usize, tail: &[u8], code: &mut Vec<u8>) {
        let len = block_len(self.trq.parts());
        let (block, v) = (at / ROWS, at % ROWS);
        let block = blocks.get(block * len..(block + 1) * len).unwrap_or_default();
        let (lane, shift) = (v % ENTRIES, if v < ENTRIES { 0 } else { 4 });
        let highs = block.as_chunks::<ENTRIES>().0;
        let parts = self.trq.parts();
        code.clear();
        if self.trq.levels() == Levels::One {
            code.extend(highs.iter().map(|table| table[lane] >> shift & 15).take(parts));
            return;
        }
        // Two parts a byte of the tail; a last odd part leaves one too many, which is cut off.
        code.extend(highs.as_chunks::<2>().0.iter().zip(tail).take(parts.div_ceil(2)).flat_map(
            |(pair, low)| {
                let high = [pair[0][lane] >> shift & 15, pair[1][lane] >> shift & 15];
                [high[0] << 4 | low & 15, high[1] << 4 | low >> 4]
            },
        ));
        code.truncate(parts);
    }

    /// What a row's tail has beyond level 2: packed level-3 codes, or the vector kept.
    fn rest(&self, place: u32) -> &'a [u8] {
        self.tail(place).get(self.trq.parts().div_ceil(2)..).unwrap_or_default()
    }

    /// Brings near what is read first of a list.
    fn prefetch(&self, list: u32) {
        kernels::prefetch(self.blocks_of(list), 4096);
    }

    /// List and place within it of every row, `[rows]`: what [`reconstruct`](Self::reconstruct) needs to find a row. 8 bytes a row.
    pub fn places(&self) -> Vec<(u32, u32)> {
        let mut places = vec![(0, 0); self.rows as usize];
        for list in 0..self.trq.lists() as u32 {
            self.ids_of(list).for_each(|at, id| {
                if let Some(place) = places.get_mut(id as usize) {
                    *place = (list, at);
                }
            });
        }
        places
    }

    /// The vector that the row at a place of a list stands for, `[d]`.
    pub fn reconstruct(&self, list: u32, at: u32) -> Option<Vec<f32>> {
        let (_, n) = self.span(list);
        if list as usize >= self.trq.lists() || at >= n {
            return None;
        }
        let mut code = Vec::new();
        self.whole_code(list, at, &mut code);
        Some(self.trq.decode(list, &code))
    }

    /// All levels of a row's code, as the encoder gave them.
    fn whole_code(&self, list: u32, at: u32, code: &mut Vec<u8>) {
        self.code(list, at, code);
        let rest = self.rest(self.span(list).0 + at);
        match self.trq.levels() {
            Levels::Three => code.extend(rest.iter().flat_map(|b| [b & 15, b >> 4]).take(self.trq.dim())),
            Levels::Kept => code.extend(rest),
            Levels::One | Levels::Two => {}
        }
    }
}
