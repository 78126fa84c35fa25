//! Text to words.

use serde_json::Value;

use super::classes::{is_letter, is_number, is_punctuation};
use super::{Piece, Refusal};

/// Most steps.
const MAX_STEPS: usize = 64;

/// The patterns of GPT-2 and of CLIP, as their files spell them.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const CLIP: [&str; 2] = [
    r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
    r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+",
];

/// What separates words.
#[derive(Debug)]
pub(super) enum Pattern {
    /// Each such character.
    Char(fn(char) -> bool),
    /// This text.
    Literal(String),
    /// [`GPT2`].
    Gpt2,
    /// [`CLIP`].
    Clip,
}

/// What becomes of what a pattern finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behavior {
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// When a word gets a mark before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prepend {
    Always,
    First,
    Never,
}

/// One step.
#[derive(Debug)]
pub(super) enum Splitter {
    Split {
        pattern: Pattern,
        behavior: Behavior,
        invert: bool,
    },
    Metaspace {
        mark: char,
        prepend: Prepend,
        split: bool,
    },
    /// Bytes as printable characters, white space in front added if there is none.
    ByteLevel {
        space: bool,
        split: bool,
    },
}

/// A found or left part of a text: where it begins, where it ends, whether it was found.
type Span = (usize, usize, bool);

pub(super) fn read(value: &Value) -> Result<Vec<Splitter>, Refusal> {
    let mut steps = Vec::new();
    extend(value, &mut steps)?;
    if steps.len() > MAX_STEPS {
        return Err(Refusal::broken(format!("more than {MAX_STEPS} pre-tokenizers")));
    }
    Ok(steps)
}

fn extend(value: &Value, steps: &mut Vec<Splitter>) -> Result<(), Refusal> {
    let kind = value["type"].as_str().unwrap_or_default();
    let flag = |name: &str| {
        value[name].as_bool().ok_or_else(|| Refusal::broken(format!("{kind} without the flag `{name}`")))
    };
    let each = |of: fn(char) -> bool, behavior| Splitter::Split {
        pattern: Pattern::Char(of),
        behavior,
        invert: false,
    };
    match kind {
        "" if value.is_null() => {}
        "Sequence" => {
            let all =
                value["pretokenizers"].as_array().ok_or_else(|| Refusal::broken("an empty Sequence"))?;
            all.iter().try_for_each(|one| extend(one, steps))?;
        }
        "BertPreTokenizer" => {
            steps.push(each(char::is_whitespace, Behavior::Removed));
            steps.push(each(is_punctuation, Behavior::Isolated));
        }
        "WhitespaceSplit" => steps.push(each(char::is_whitespace, Behavior::Removed)),
        "Punctuation" => {
            let behavior = if value["behavior"].is_null() { Behavior::Isolated } else { behavior(value)? };
            steps.push(each(is_punctuation, behavior));
        }
        "Digits" => {
            let one = flag("individual_digits")?;
            steps.push(each(char::is_numeric, if one { Behavior::Isolated } else { Behavior::Contiguous }));
        }
        "Split" => {
            let found = &value["pattern"];
            let pattern = match (found["String"].as_str(), found["Regex"].as_str()) {
                (Some(text), None) if !text.is_empty() => Pattern::Literal(text.to_owned()),
                (None, Some(GPT2)) => Pattern::Gpt2,
                (None, Some(regex)) if CLIP.contains(&regex) => Pattern::Clip,
                _ => return Err(Refusal::unknown(format!("the pre-tokenizer Split by {found}"))),
            };
            let (behavior, invert) = (behavior(value)?, flag("invert")?);
            steps.push(Splitter::Split { pattern, behavior, invert });
        }
        "ByteLevel" => {
            let split = value["use_regex"].as_bool().unwrap_or(true);
            steps.push(Splitter::ByteLevel { space: flag("add_prefix_space")?, split });
        }
        "Metaspace" => {
            let mark = value["replacement"].as_str().and_then(|text| text.parse().ok());
            let mark = mark.ok_or_else(|| Refusal::broken("Metaspace without a replacement"))?;
            let prepend = match (value["prepend_scheme"].as_str(), value["add_prefix_space"].as_bool()) {
                (None | Some("always"), None | Some(true)) => Prepend::Always,
                (Some("first"), None | Some(true)) => Prepend::First,
                (Some("never"), _) => Prepend::Never,
                (scheme, _) => return Err(Refusal::broken(format!("Metaspace with the scheme {scheme:?}"))),
            };
            let split = value["split"].as_bool().unwrap_or(true);
            steps.push(Splitter::Metaspace { mark, prepend, split });
        }
        other => return Err(Refusal::unknown(format!("the pre-tokenizer {other}"))),
    }
    Ok(())
}

fn behavior(value: &Value) -> Result<Behavior, Refusal> {
    Ok(match value["behavior"].as_str() {
        Some("Removed") => Behavior::Removed,
        Some("Isolated") => Behavior::Isolated,
        Some("MergedWithPrevious") => Behavior::MergedWithPrevious,
        Some("MergedWithNext") => Behavior::MergedWithNext,
        Some("Contiguous") => Behavior::Contiguous,
        other => return Err(Refusal::broken(format!("the behaviour {other:?}"))),
    })
}

impl Splitter {
    pub fn asks_for_the_first(&self) -> bool {
        matches!(self, Self::Metaspace { prepend: Prepend::First, .. })
    }

    /// Takes every piece apart that is no token yet.
    pub fn apply(&self, pieces: Vec<Piece>) -> Vec<Piece> {
        let mut out = Vec::with_capacity(pieces.len());
        for mut piece in pieces {
            if piece.id.is_some() {
                out.push(piece);
                continue;
            }
            match self {
                Self::Split { pattern, behavior, invert } => {
                    let mut spans = pattern.spans(&piece.text);
                    spans.iter_mut().for_each(|span| span.2 ^= invert);
                    push(&mut out, &piece, behavior.cut(spans));
                }
                Self::Metaspace { mark, prepend, split } => {
                    piece.text = piece.text.replace(' ', mark.encode_utf8(&mut [0; 4]));
                    let wanted = *prepend == Prepend::Always || (*prepend == Prepend::First && piece.first);
                    if wanted && !piece.text.starts_with(*mark) {
                        piece.text.insert(0, *mark);
                    }
                    if *split {
                        let spans = spans_of(&piece.text, |c| c == *mark);
                        push(&mut out, &piece, Behavior::MergedWithNext.cut(spans));
                    } else {
                        out.push(piece);
                    }
                }
                Self::ByteLevel { space, split } => {
                    if *space && !piece.text.starts_with(' ') {
                        piece.text.insert(0, ' ');
                    }
                    let from = out.len();
                    if *split {
                        push(&mut out, &piece, Behavior::Isolated.cut(Pattern::Gpt2.spans(&piece.text)));
                    } else {
                        out.push(piece);
                    }
                    for piece in &mut out[from..] {
                        piece.text = piece.text.bytes().map(printable).collect();
                    }
                }
            }
        }
        out
    }
}

/// Adds the parts of a piece that are not empty.
fn push(out: &mut Vec<Piece>, piece: &Piece, spans: Vec<(usize, usize)>) {
    let part = |(from, to)| Piece {
        text: piece.text[from..to].to_owned(),
        id: None,
        first: piece.first && from == 0,
    };
    out.extend(spans.into_iter().filter(|(from, to)| from < to).map(part));
}

impl Behavior {
    /// What is left of the parts, in order.
    fn cut(self, spans: Vec<Span>) -> Vec<(usize, usize)> {
        let mut cut: Vec<(usize, usize)> = Vec::with_capacity(spans.len());
        let mut before = false;
        match self {
            Self::Isolated => cut.extend(spans.iter().map(|&(from, to, _)| (from, to))),
            Self::Removed => cut.extend(spans.iter().filter(|s| !s.2).map(|&(from, to, _)| (from, to))),
            Self::Contiguous | Self::MergedWithPrevious => {
                for (from, to, found) in spans {
                    let joins = if self == Self::Contiguous { found == before } else { found && !before };
                    match cut.last_mut() {
                        Some(last) if joins => last.1 = to,
                        _ => cut.push((from, to)),
                    }
                    before = found;
                }
            }
            Self::MergedWithNext => {
                for (from, to, found) in spans.into_iter().rev() {
                    match cut.last_mut() {
                        Some(last) if found && !before => last.0 = from,
                        _ => cut.push((from, to)),
                    }
                    before = found;
                }
                cut.reverse();
            }
        }
        cut
    }
}

impl Pattern {
    /// The whole text in parts.
    fn spans(&self, text: &str) -> Vec<Span> {
        match self {
            Self::Char(of) => spans_of(text, of),
            Self::Literal(literal) => {
                let found = text.match_indices(literal.as_str());
                fill(text, found.map(|(at, part)| (at, at + part.len())))
            }
            Self::Gpt2 => fill(text, words(text, gpt2)),
            Self::Clip => fill(text, words(text, clip)),
        }
    }
}

fn spans_of(text: &str, of: impl Fn(char) -> bool) -> Vec<Span> {
    let found = text.char_indices().filter(|&(_, c)| of(c));
    fill(text, found.map(|(at, c)| (at, at + c.len_utf8())))
}

/// What was found, and what lies between.
fn fill(text: &str, found: impl Iterator<Item = (usize, usize)>) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut done = 0;
    for (from, to) in found {
        if done < from {
            spans.push((done, from, false));
        }
        spans.push((from, to, true));
        done = to;
    }
    if done < text.len() {
        spans.push((done, text.len(), false));
    }
    spans
}

/// Where words are; `length` says how long the one is that a text begins with, 0 if it begins with none.
fn words(text: &str, length: fn(&str) -> usize) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let next = text[at..].chars().next()?;
            let from = at;
            match length(&text[at..]) {
                0 => at += next.len_utf8(),
                long => {
                    at += long;
                    return Some((from, at));
                }
            }
        }
    })
}

/// Length of the run of such characters that a text begins with.
fn run(text: &str, of: impl Fn(char) -> bool) -> usize {
    text.find(|c| !of(c)).unwrap_or(text.len())
}

fn contraction(text: &str) -> usize {
    let all = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    all.iter().find(|part| text.starts_with(**part)).map_or(0, |part| part.len())
}

fn is_other(c: char) -> bool {
    !c.is_whitespace() && !is_letter(c) && !is_number(c)
}

fn clip(text: &str) -> usize {
    match (contraction(text), text.chars().next()) {
        (0, Some(c)) if is_letter(c) => run(text, is_letter),
        (0, Some(c)) if is_number(c) => c.len_utf8(),
        (0, _) => run(text, is_other),
        (long, _) => long,
    }
}

fn gpt2(text: &str) -> usize {
    let long = contraction(text);
    if long > 0 {
        return long;
    }
    let rest = text.strip_prefix(' ').unwrap_or(text);
    let space = text.len() - rest.len();
    for of in [is_letter, is_number, is_other] {
        let long = run(rest, of);
        if long > 0 {
            return space + long;
        }
    }
    // White space, of which the last belongs to the word behind it.
    let long = run(text, char::is_whitespace);
    let last = text[..long].chars().next_back().map_or(0, char::len_utf8);
    if long < text.len() && last < long { long - last } else { long }
}

/// GPT-2's character for a byte: itself where it prints, one from U+0100 on where it does not.
pub(super) fn printable(byte: u8) -> char {
    let prints = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if prints(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&b| !prints(b)).count() as u32;
    char::from_u32(0x100 + before).unwrap_or_default()
}
