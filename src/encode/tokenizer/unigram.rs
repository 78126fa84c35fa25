//! Unigram: of all ways to take a text apart, the most probable (Kudo 2018).

use std::collections::HashMap;

use super::Refusal;
use super::file::{ModelFile, Vocabulary};

/// What a character without a token of its own costs beyond the rarest token.
const UNKNOWN_PENALTY: f64 = 10.0;

/// Longest token, in bytes: each place of a text is compared with tokens up to it.
const MAX_TOKEN: usize = 256;

pub(super) struct Unigram {
    /// Token → id, the last where a token stands twice.
    ids: HashMap<String, u32>,
    scores: Vec<f64>,
    longest: usize,
    unknown: Option<u32>,
    unknown_score: f64,
    byte_fallback: bool,
}

/// The best way to a place in the text.
#[derive(Clone, Copy, Default)]
struct Best {
    id: Option<u32>,
    score: f64,
    from: Option<usize>,
}

impl Unigram {
    pub fn read(file: ModelFile) -> Result<Self, Refusal> {
        let Vocabulary::Scores(vocab) = file.vocab else {
            return Err(Refusal::broken("a Unigram vocabulary without scores"));
        };
        if file.unk_id.is_some_and(|id| id as usize >= vocab.len()) {
            return Err(Refusal::broken("the unknown token is not in the vocabulary"));
        }
        let longest = vocab.iter().map(|(token, _)| token.len()).max().unwrap_or(0);
        if longest > MAX_TOKEN {
            return Err(Refusal::unknown(format!("a Unigram token of {longest} bytes")));
        }
        let least =
            vocab.iter().map(|(_, score)| *score).fold(f64::INFINITY, |a, b| if b < a { b } else { a });
        let scores = vocab.iter().map(|(_, score)| *score).collect();
        let ids = (0..).zip(vocab).map(|(id, (token, _))| (token, id)).collect();
        Ok(Self {
            ids,
            scores,
            longest,
            unknown: file.unk_id,
            unknown_score: least - UNKNOWN_PENALTY,
            byte_fallback: file.byte_fallback.unwrap_or(false),
        })
    }

    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    pub fn len(&self) -> usize {
        self.scores.len()
    }

    pub fn tokens(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        let lacks = "the vocabulary has no unknown token";
        for piece in self.best(text).ok_or(lacks)? {
            if let Some(&id) = self.ids.get(piece) {
                ids.push(id);
                continue;
            }
            let byte = |b: u8| self.ids.get(format!("<0x{b:02X}>").as_str()).copied();
            let bytes = self.byte_fallback.then(|| piece.bytes().map(byte).collect::<Option<Vec<u32>>>());
            match bytes.flatten() {
                Some(bytes) => ids.extend(bytes),
                None => ids.push(self.unknown.ok_or(lacks)?),
            }
        }
        Ok(())
    }

    /// The most probable pieces; neighbours that are unknown are one.
    fn best<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        let mut best = vec![Best::default(); text.len() + 1];
        for (start, c) in text.char_indices() {
            let here = best[start].score;
            let mut offer = |end: usize, id, score: f64| {
                let target = &mut best[end];
                if target.from.is_none() || score > target.score {
                    *target = Best { id: Some(id), score, from: Some(start) };
                }
            };
            let mut whole = false;
            let ends = text[start..].char_indices().map(|(at, c)| start + at + c.len_utf8());
            for end in ends.take_while(|end| end - start <= self.longest) {
                let Some(&id) = self.ids.get(&text[start..end]) else { continue };
                offer(end, id, self.scores[id as usize] + here);
                whole |= end - start == c.len_utf8();
            }
            if !whole {
                offer(start + c.len_utf8(), self.unknown?, self.unknown_score + here);
            }
        }
        let mut pieces = Vec::new();
        let mut end = text.len();
        // The end of a run of unknown pieces.
        let mut run = None;
        while end > 0 {
            let Best { id, from, .. } = best[end];
            let from = from?;
            if self.unknown.is_some() && id == self.unknown {
                run.get_or_insert(end);
            } else {
                pieces.extend(run.take().map(|until| &text[end..until]));
                pieces.push(&text[from..end]);
            }
            end = from;
        }
        pieces.extend(run.map(|until| &text[..until]));
        pieces.reverse();
        Some(pieces)
    }
}
