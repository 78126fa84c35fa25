//! Tokens that are found in a text before it is taken apart.

use std::collections::{HashMap, HashSet};

use super::file::AddedToken;
use super::normalize::Normalizer;
use super::{Model, Piece, Refusal};

/// Most added tokens.
const MAX_TOKENS: usize = 65_536;

pub(super) struct Added {
    ids: HashMap<String, u32>,
    /// Searched in the text as it is given.
    given: Set,
    /// Searched in the normalised text.
    normalized: Set,
}

/// Tokens by their first byte, the longest first.
#[derive(Default)]
struct Set(HashMap<u8, Vec<Token>>);

struct Token {
    content: String,
    id: u32,
    /// Takes the white space on that side with it.
    left: bool,
    right: bool,
}

impl Added {
    pub fn read(tokens: Vec<AddedToken>, model: &Model, normalizers: &[Normalizer]) -> Result<Self, Refusal> {
        if tokens.len() > MAX_TOKENS {
            return Err(Refusal::broken(format!("more than {MAX_TOKENS} added tokens")));
        }
        let mut seen = HashSet::new();
        let mut ids = HashMap::new();
        let (mut given, mut normalized) = (Set::default(), Set::default());
        let mut next = model.len() as u32;
        for token in tokens {
            if token.content.is_empty() || !seen.insert(token.content.clone()) {
                continue;
            }
            if token.single_word {
                return Err(Refusal::unknown(format!(
                    "the added token {:?} as a single word",
                    token.content
                )));
            }
            let id = model.id_of(&token.content).unwrap_or_else(|| {
                next += 1;
                next - 1
            });
            ids.insert(token.content.clone(), id);
            let AddedToken { content, lstrip: left, rstrip: right, .. } = token;
            if token.normalized {
                let content = normalizers.iter().fold(content, |text, n| n.apply(&text));
                if content.is_empty() {
                    return Err(Refusal::unknown("an added token of which normalisation leaves nothing"));
                }
                normalized.push(Token { content, id, left, right });
            } else {
                given.push(Token { content, id, left, right });
            }
        }
        Ok(Self { ids, given, normalized })
    }

    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    /// The text as it is given, its tokens apart.
    pub fn given(&self, text: &str) -> Vec<Piece> {
        self.given.split(&Piece { text: text.to_owned(), id: None, first: true })
    }

    /// A normalised part of it, its tokens apart.
    pub fn normalized(&self, piece: &Piece) -> Vec<Piece> {
        self.normalized.split(piece)
    }
}

impl Set {
    fn push(&mut self, token: Token) {
        let same = self.0.entry(token.content.as_bytes()[0]).or_default();
        let at = same.partition_point(|other| other.content.len() >= token.content.len());
        same.insert(at, token);
    }

    /// The leftmost token, the longest of those.
    fn find(&self, text: &str, from: usize) -> Option<(usize, &Token)> {
        let bytes = text.as_bytes();
        (from..bytes.len()).find_map(|at| {
            let found =
                self.0.get(&bytes[at])?.iter().find(|t| bytes[at..].starts_with(t.content.as_bytes()));
            found.map(|token| (at, token))
        })
    }

    fn split(&self, piece: &Piece) -> Vec<Piece> {
        let text = piece.text.as_str();
        let mut pieces = Vec::new();
        let mut push = |from: usize, to: usize, id| {
            pieces.push(Piece { text: text[from..to].to_owned(), id, first: piece.first && from == 0 });
        };
        let (mut done, mut searched) = (0, 0);
        while !self.0.is_empty()
            && let Some((at, token)) = self.find(text, searched)
        {
            searched = at + token.content.len();
            let (mut from, mut to) = (at, searched);
            if token.left {
                from = text[..at].trim_end().len().max(done);
            }
            if token.right {
                to = text.len() - text[searched..].trim_start().len();
            }
            if done < from {
                push(done, from, None);
            }
            push(from, to, Some(token.id));
            done = to;
        }
        if done < text.len() {
            push(done, text.len(), None);
        }
        pieces
    }
}
