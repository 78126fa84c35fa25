//! WordPiece: the longest token that a word begins with, then the longest of the rest.

use std::collections::HashMap;

use super::Refusal;
use super::file::{ModelFile, Vocabulary};

/// Longest word, in characters, that a file may ask to be taken apart: the work grows with its square.
const MAX_WORD: usize = 1000;

pub(super) struct WordPiece {
    ids: HashMap<String, u32>,
    unknown: Option<u32>,
    prefix: String,
    max_chars: usize,
}

impl WordPiece {
    pub fn read(file: ModelFile) -> Result<Self, Refusal> {
        let Vocabulary::Ids(ids) = file.vocab else {
            return Err(Refusal::broken("a WordPiece vocabulary without ids"));
        };
        let max_chars = file.max_input_chars_per_word.unwrap_or(100);
        if max_chars > MAX_WORD {
            return Err(Refusal::broken(format!("words of {max_chars} characters; {MAX_WORD} at most")));
        }
        let unknown = ids.get(file.unk_token.as_deref().unwrap_or("[UNK]")).copied();
        let prefix = file.continuing_subword_prefix.unwrap_or_else(|| "##".into());
        Ok(Self { ids, unknown, prefix, max_chars })
    }

    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn tokens(&self, word: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        let before = ids.len();
        if word.chars().count() <= self.max_chars && self.take_apart(word, ids) {
            return Ok(());
        }
        ids.truncate(before);
        ids.push(self.unknown.ok_or("the unknown token is not in the vocabulary")?);
        Ok(())
    }

    /// Whether the whole word is made of tokens.
    fn take_apart(&self, word: &str, ids: &mut Vec<u32>) -> bool {
        let mut key = String::new();
        let mut rest = word;
        while !rest.is_empty() {
            key.clear();
            if rest.len() < word.len() {
                key.push_str(&self.prefix);
            }
            let bare = key.len();
            key.push_str(rest);
            let found = loop {
                if let Some(&id) = self.ids.get(key.as_str()) {
                    break Some(id);
                }
                if key.len() == bare || key.pop().is_none() || key.len() == bare {
                    break None;
                }
            };
            let Some(id) = found else { return false };
            ids.push(id);
            rest = &rest[key.len() - bare..];
        }
        true
    }
}
