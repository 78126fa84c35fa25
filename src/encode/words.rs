//! Words to the tokens that a network takes.

use super::tokenizer::Tokenizer;
use super::{EncodeError, LoadEncoderError};

/// Bytes of a text that are read for each token allowed; the rest could not change the result of any real tokenizer.
const BYTES_PER_TOKEN: usize = 64;

/// A tokenizer and how the network behind it wants its tokens.
pub(super) struct Words {
    /// Of the encoder, for messages.
    name: String,
    tokenizer: Tokenizer,
    max_tokens: usize,
    pad_id: i64,
    /// Length every text is padded to; `None` where the graph takes any.
    length: Option<usize>,
    /// Words that the network has, where that is known.
    known: Option<usize>,
}

/// Token ids of one text with its padding.
pub(super) struct Tokens {
    pub ids: Vec<i64>,
    pub mask: Vec<i64>,
}

impl Words {
    /// Reads a `tokenizer.json`. Texts are cut to `max_tokens`, or to the graph's own `length` if that is less. `known` is the
    /// number of words that the network has, where that is known: a token beyond would be read as another.
    pub fn read(
        name: &str,
        tokenizer_json: &[u8],
        max_tokens: usize,
        pad_id: Option<u32>,
        length: Option<usize>,
        known: Option<usize>,
    ) -> Result<Self, LoadEncoderError> {
        if tokenizer_json.is_empty() {
            let reason = "`tokenizer.json` is missing or empty".to_owned();
            return Err(LoadEncoderError::Tokenizer { name: name.into(), reason });
        }
        let limit = length.map_or(max_tokens, |fixed| fixed.min(max_tokens));
        let tokenizer = Tokenizer::read(tokenizer_json, limit)
            .map_err(|reason| LoadEncoderError::Tokenizer { name: name.into(), reason: one_line(&reason) })?;
        let pad_id = pad_id.unwrap_or(tokenizer.pad());
        if let Some(reason) = beyond(&[pad_id], known) {
            return Err(LoadEncoderError::Tokenizer { name: name.into(), reason });
        }
        Ok(Self { name: name.into(), tokenizer, max_tokens, pad_id: pad_id.into(), length, known })
    }

    /// What in the tokenizer's file phones do not read, which are built without the feature `any-tokenizer`; `None` if
    /// they read it all.
    pub fn unread_on_phones(&self) -> Option<&str> {
        self.tokenizer.foreign()
    }

    /// The tokens of a text.
    pub fn tokens(&self, text: &str) -> Result<Tokens, EncodeError> {
        let fail = |reason: String| EncodeError::Tokenize { name: self.name.clone(), reason };
        let text = start_of(text.trim(), (self.max_tokens * BYTES_PER_TOKEN).max(4096));
        if text.is_empty() {
            return Err(EncodeError::EmptyText);
        }
        let found = self.tokenizer.encode(text).map_err(|reason| fail(one_line(&reason)))?;
        let found = found.ok_or(EncodeError::EmptyText)?;
        if self.tokenizer.knows_nothing_of(&found) {
            return Err(EncodeError::UnknownText { name: self.name.clone() });
        }
        if let Some(reason) = beyond(&found, self.known) {
            return Err(fail(reason));
        }
        Ok(self.padded(found.into_iter().map(i64::from).collect()))
    }

    /// No words at all: nothing but padding.
    pub fn none(&self) -> Tokens {
        self.padded(Vec::new())
    }

    fn padded(&self, mut ids: Vec<i64>) -> Tokens {
        let mut mask = vec![1; ids.len()];
        if let Some(length) = self.length {
            ids.resize(length, self.pad_id);
            mask.resize(length, 0);
        }
        Tokens { ids, mask }
    }
}

/// That one of the ids is none of the network's words.
fn beyond(ids: &[u32], known: Option<usize>) -> Option<String> {
    let known = known?;
    let id = ids.iter().find(|&&id| id as usize >= known)?;
    Some(format!(
        "token {id} is beyond the {known} words of the model; take the tokenizer it was trained with"
    ))
}

/// At most `bytes` bytes, whole characters.
fn start_of(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}
