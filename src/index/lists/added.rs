//! Rows added to lists after they were built, laid out as the lists' own.

use std::collections::HashMap;

use super::build::{high, lay_out, tail};
use super::{Lists, Metric, block_len};
use crate::index::SearchError;
use crate::index::search::{check, unit};
use crate::kernels::scan::{ROWS, set_code};
use crate::quant::Trq;

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

    /// Adds a row of a list, of which the code was checked.
    pub fn insert(&mut self, trq: &Trq<'_>, row: u32, list: u32, code: &[u8]) {
        let more = self.lists.entry(list).or_default();
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
        self.rows += 1;
    }
}

impl Metric {
    /// A vector as rows are compared: checked, and scaled to length 1 for cosines.
    pub(in crate::index) fn comparable(self, vector: &[f32], dim: usize) -> Result<Vec<f32>, SearchError> {
        match self {
            Self::Cosine => unit(vector, dim),
            Self::L2 | Self::Ip => check(vector, dim).map(|()| vector.to_vec()),
        }
    }
}

impl Lists<'_> {
    /// The codes section of some rows, rising, of which those past the built ones have the codes `added`.
    pub(in crate::index) fn compacted(&self, kept: &[u32], added: &[(u32, Vec<u8>)]) -> Vec<u8> {
        let places = self.places();
        let len = self.trq.code_len();
        let mut lists = Vec::with_capacity(kept.len());
        let mut codes = Vec::with_capacity(kept.len() * len);
        let mut code = Vec::new();
        for &row in kept {
            if let Some(&(list, at)) = places.get(row as usize) {
                self.whole_code(list, at, &mut code);
                lists.push(list);
                codes.extend_from_slice(&code);
            } else if let Some((list, code)) = added.get(row as usize - places.len()) {
                lists.push(*list);
                codes.extend_from_slice(code);
            }
        }
        lay_out(&self.trq, &lists, |row| &codes[row as usize * len..][..len])
    }
}
