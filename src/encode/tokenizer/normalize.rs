//! Text to the text that is taken apart: letter case, accents, white space.

use serde::Deserialize;
use serde_json::Value;
use spm_precompiled::Precompiled;
use unicode_normalization_alignments::UnicodeNormalization;
use unicode_normalization_alignments::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

use super::Refusal;
use super::classes::{is_cjk, is_control, is_nonspacing_mark};

/// Longest part that SentencePiece looks up as a whole, in bytes.
const MAX_GRAPHEME: usize = 6;

/// Most steps.
const MAX_STEPS: usize = 64;

/// One step.
#[derive(Debug)]
pub(super) enum Normalizer {
    Bert {
        clean: bool,
        cjk: bool,
        accents: bool,
        lowercase: bool,
    },
    Nfc,
    Nfd,
    Nfkc,
    Nfkd,
    Lowercase,
    Strip {
        left: bool,
        right: bool,
    },
    StripAccents,
    Replace {
        from: String,
        to: String,
    },
    /// Each run of white space.
    ReplaceSpaces {
        to: String,
    },
    Prepend(String),
    /// SentencePiece's own table.
    Precompiled(Box<Precompiled>),
}

pub(super) fn read(value: &Value) -> Result<Vec<Normalizer>, Refusal> {
    let mut steps = Vec::new();
    extend(value, &mut steps)?;
    if steps.len() > MAX_STEPS {
        return Err(Refusal::broken(format!("more than {MAX_STEPS} normalizers")));
    }
    Ok(steps)
}

fn extend(value: &Value, steps: &mut Vec<Normalizer>) -> Result<(), Refusal> {
    let kind = value["type"].as_str().unwrap_or_default();
    let flag = |name: &str| {
        value[name].as_bool().ok_or_else(|| Refusal::broken(format!("{kind} without the flag `{name}`")))
    };
    let text = |value: &Value, name: &str| {
        let text = value[name].as_str().map(str::to_owned);
        text.ok_or_else(|| Refusal::broken(format!("{kind} without the text `{name}`")))
    };
    steps.push(match kind {
        "" if value.is_null() => return Ok(()),
        "Sequence" => {
            let all = value["normalizers"].as_array().ok_or_else(|| Refusal::broken("an empty Sequence"))?;
            return all.iter().try_for_each(|one| extend(one, steps));
        }
        "BertNormalizer" => {
            let lowercase = flag("lowercase")?;
            let accents = value["strip_accents"].as_bool().unwrap_or(lowercase);
            let (clean, cjk) = (flag("clean_text")?, flag("handle_chinese_chars")?);
            Normalizer::Bert { clean, cjk, accents, lowercase }
        }
        "NFC" => Normalizer::Nfc,
        "NFD" => Normalizer::Nfd,
        "NFKC" => Normalizer::Nfkc,
        "NFKD" => Normalizer::Nfkd,
        "Lowercase" => Normalizer::Lowercase,
        "Strip" => Normalizer::Strip { left: flag("strip_left")?, right: flag("strip_right")? },
        "StripAccents" => Normalizer::StripAccents,
        "Prepend" => Normalizer::Prepend(text(value, "prepend")?),
        "Precompiled" => {
            let table = Precompiled::deserialize(value).map_err(|e| Refusal::broken(e.to_string()))?;
            Normalizer::Precompiled(Box::new(table))
        }
        "Replace" => {
            let (to, pattern) = (text(value, "content")?, &value["pattern"]);
            match (pattern["String"].as_str(), pattern["Regex"].as_str()) {
                (Some(from), None) if !from.is_empty() => Normalizer::Replace { from: from.to_owned(), to },
                (None, Some(r"\s+")) => Normalizer::ReplaceSpaces { to },
                _ => return Err(Refusal::unknown(format!("the normalizer Replace of {pattern}"))),
            }
        }
        other => return Err(Refusal::unknown(format!("the normalizer {other}"))),
    });
    Ok(())
}

impl Normalizer {
    pub fn apply(&self, text: &str) -> String {
        match self {
            Self::Bert { clean, cjk, accents, lowercase } => {
                let mut text = text.to_owned();
                if *clean {
                    let kept = text.chars().filter(|&c| !(c == '\0' || c == '\u{FFFD}' || is_control(c)));
                    text = kept.map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
                }
                if *cjk {
                    text = apart(&text);
                }
                if *accents {
                    text = text.nfd().map(|(c, _)| c).filter(|&c| !is_nonspacing_mark(c)).collect();
                }
                if *lowercase { lower(&text) } else { text }
            }
            Self::Nfc => text.nfc().map(|(c, _)| c).collect(),
            Self::Nfd => text.nfd().map(|(c, _)| c).collect(),
            Self::Nfkc => text.nfkc().map(|(c, _)| c).collect(),
            Self::Nfkd => text.nfkd().map(|(c, _)| c).collect(),
            Self::Lowercase => lower(text),
            Self::Strip { left, right } => {
                let text = if *left { text.trim_start() } else { text };
                (if *right { text.trim_end() } else { text }).to_owned()
            }
            Self::StripAccents => text.chars().filter(|&c| !is_combining_mark(c)).collect(),
            Self::Replace { from, to } => text.replace(from, to),
            Self::ReplaceSpaces { to } => {
                let mut replaced = String::with_capacity(text.len());
                let mut in_space = false;
                for c in text.chars() {
                    let space = c.is_whitespace();
                    match (space, in_space) {
                        (false, _) => replaced.push(c),
                        (true, false) => replaced.push_str(to),
                        (true, true) => {}
                    }
                    in_space = space;
                }
                replaced
            }
            Self::Prepend(start) if text.is_empty() => String::with_capacity(start.len()),
            Self::Prepend(start) => format!("{start}{text}"),
            Self::Precompiled(table) => precompiled(table, text),
        }
    }
}

/// Letter by letter, without regard to where in a word one stands.
fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// A space on each side of every CJK ideograph.
fn apart(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    for c in text.chars() {
        if is_cjk(c) {
            spaced.extend([' ', c, ' ']);
        } else {
            spaced.push(c);
        }
    }
    spaced
}

fn precompiled(table: &Precompiled, text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for grapheme in text.graphemes(true) {
        if grapheme.len() < MAX_GRAPHEME
            && let Some(whole) = table.transform(grapheme)
        {
            out.push_str(whole);
            continue;
        }
        for (at, c) in grapheme.char_indices() {
            match table.transform(&grapheme[at..at + c.len_utf8()]) {
                Some(other) => out.push_str(other),
                None => out.push(c),
            }
        }
    }
    out
}
