//! The parts of a `tokenizer.json`.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A whole file; what is not read here is skipped.
#[derive(serde::Deserialize)]
pub(super) struct File {
    pub version: Option<String>,
    pub padding: Option<Padding>,
    #[serde(default)]
    pub added_tokens: Vec<AddedToken>,
    #[serde(default)]
    pub normalizer: Value,
    #[serde(default)]
    pub pre_tokenizer: Value,
    #[serde(default)]
    pub post_processor: Value,
    pub model: ModelFile,
}

#[derive(serde::Deserialize)]
pub(super) struct Padding {
    pub pad_id: u32,
}

#[derive(serde::Deserialize)]
pub(super) struct AddedToken {
    pub content: String,
    pub single_word: bool,
    pub lstrip: bool,
    pub rstrip: bool,
    pub normalized: bool,
}

/// Fields of all models; each reads its own.
#[derive(serde::Deserialize)]
pub(super) struct ModelFile {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub vocab: Vocabulary,
    #[serde(default)]
    pub merges: Merges,
    pub unk_token: Option<String>,
    pub unk_id: Option<u32>,
    pub continuing_subword_prefix: Option<String>,
    pub end_of_word_suffix: Option<String>,
    pub max_input_chars_per_word: Option<usize>,
    pub dropout: Option<f32>,
    pub fuse_unk: Option<bool>,
    pub byte_fallback: Option<bool>,
    pub ignore_merges: Option<bool>,
}

/// Tokens with their ids, or in the order of their ids with log-probabilities.
pub(super) enum Vocabulary {
    Ids(HashMap<String, u32>),
    Scores(Vec<(String, f64)>),
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Vocabulary;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tokens with ids or scores")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut ids = HashMap::new();
                while let Some((token, id)) = map.next_entry()? {
                    ids.insert(token, id);
                }
                Ok(Vocabulary::Ids(ids))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut scores = Vec::new();
                while let Some(pair) = seq.next_element()? {
                    scores.push(pair);
                }
                Ok(Vocabulary::Scores(scores))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// Pairs of tokens that are merged, the first merged first.
#[derive(Default)]
pub(super) struct Merges(pub Vec<(String, String)>);

struct Merge(Option<(String, String)>);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Merge;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("two tokens")
            }

            fn visit_str<E: serde::de::Error>(self, line: &str) -> Result<Self::Value, E> {
                if line.starts_with("#version") {
                    return Ok(Merge(None));
                }
                match line.split_once(' ') {
                    Some((a, b)) if !b.contains(' ') => Ok(Merge(Some((a.into(), b.into())))),
                    _ => Err(E::custom(format_args!("the merge {line:?} is not two tokens"))),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let short = || serde::de::Error::invalid_length(2, &"two tokens");
                let a = seq.next_element()?.ok_or_else(short)?;
                let b = seq.next_element()?.ok_or_else(short)?;
                if seq.next_element::<serde::de::IgnoredAny>()?.is_some() {
                    return Err(short());
                }
                Ok(Merge(Some((a, b))))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Merges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Merges;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("merges")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut merges = Vec::new();
                while let Some(Merge(merge)) = seq.next_element()? {
                    merges.extend(merge);
                }
                Ok(Merges(merges))
            }
        }
        deserializer.deserialize_seq(Reader)
    }
}
