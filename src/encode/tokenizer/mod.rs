//! Text to token ids, as the `tokenizers` library gives them.
//!
//! That library with its regular expressions would be a third of the phone library. What is here reads the same
//! `tokenizer.json` for the models of text encoders (WordPiece, byte-level and SentencePiece BPE, Unigram) and gives the
//! same ids (`tests.rs` compares them); a file that asks for more is read by the library itself where the
//! feature `any-tokenizer` is on, and refused by name where it is not.

mod added;
mod bpe;
mod classes;
mod file;
mod normalize;
mod split;
mod template;
#[cfg(test)]
mod tests;
mod unigram;
mod wordpiece;

use std::panic::{AssertUnwindSafe, catch_unwind};

use added::Added;
use bpe::Bpe;
use file::File;
use normalize::Normalizer;
use split::Splitter;
use template::Template;
use unigram::Unigram;
use wordpiece::WordPiece;

/// Names that tokenizers give to their padding token.
const PAD_TOKENS: [&str; 3] = ["[PAD]", "<pad>", "<|endoftext|>"];

/// Names that tokenizers read by the library give to what they do not know.
#[cfg(feature = "any-tokenizer")]
const UNKNOWN_TOKENS: [&str; 2] = ["[UNK]", "<unk>"];

/// Most bytes that normalisation may make of one: beyond it a file is taken for hostile.
const MAX_GROWTH: usize = 32;

/// Why a `tokenizer.json` is not read.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// It asks for something that is not read here.
    Unknown(String),
    /// It is broken.
    Broken(String),
}

impl Refusal {
    fn unknown(what: impl Into<String>) -> Self {
        Self::Unknown(what.into())
    }

    fn broken(what: impl Into<String>) -> Self {
        Self::Broken(what.into())
    }
}

/// A tokenizer that cuts after a number of tokens and does not pad.
pub(super) struct Tokenizer {
    kind: Kind,
    pad: u32,
    limit: usize,
}

enum Kind {
    Own(Box<Own>),
    /// With what is not read here.
    #[cfg(feature = "any-tokenizer")]
    Library(Box<tokenizers::Tokenizer>, String),
}

impl Tokenizer {
    /// Reads a `tokenizer.json`. Texts are cut at `limit` tokens, special ones included.
    ///
    /// # Errors
    /// One line that says what in the file is broken or not read, or that `limit` leaves no room.
    pub fn read(json: &[u8], limit: usize) -> Result<Self, String> {
        // A file may be read and still break an assumption behind it.
        let read = || match Own::read(json) {
            Ok(own) => {
                let known = || PAD_TOKENS.iter().find_map(|token| own.id_of(token));
                let pad = own.pad.or_else(known).unwrap_or(0);
                let special = own.template.special();
                Ok((Kind::Own(Box::new(own)), pad, special))
            }
            Err(Refusal::Broken(reason)) => Err(reason),
            Err(Refusal::Unknown(what)) => Self::library(json, &what),
        };
        let (kind, pad, special) = catch_unwind(AssertUnwindSafe(read))
            .unwrap_or_else(|_| Err("the file breaks the tokenizer".into()))?;
        if limit <= special {
            return Err(format!("`max_tokens` {limit} leaves no room beside {special} special tokens"));
        }
        let kind = Self::cut(kind, limit)?;
        Ok(Self { kind, pad, limit })
    }

    #[cfg(not(feature = "any-tokenizer"))]
    fn library(_: &[u8], what: &str) -> Result<(Kind, u32, usize), String> {
        Err(format!(
            "{what} is not read here (a build with the feature `any-tokenizer` reads it; the command has it with \
             `--features onnx`)"
        ))
    }

    #[cfg(feature = "any-tokenizer")]
    fn library(json: &[u8], what: &str) -> Result<(Kind, u32, usize), String> {
        use tokenizers::PostProcessor;
        let mut library = tokenizers::Tokenizer::from_bytes(json).map_err(|e| e.to_string())?;
        let known = || PAD_TOKENS.iter().find_map(|token| library.token_to_id(token));
        let pad = library.get_padding().map(|p| p.pad_id).or_else(known).unwrap_or(0);
        library.with_padding(None);
        let special = library.get_post_processor().map_or(0, |p| p.added_tokens(false));
        Ok((Kind::Library(Box::new(library), what.to_owned()), pad, special))
    }

    #[cfg(not(feature = "any-tokenizer"))]
    fn cut(kind: Kind, _: usize) -> Result<Kind, String> {
        Ok(kind)
    }

    #[cfg(feature = "any-tokenizer")]
    fn cut(mut kind: Kind, limit: usize) -> Result<Kind, String> {
        if let Kind::Library(library, _) = &mut kind {
            let cut = tokenizers::TruncationParams { max_length: limit, ..Default::default() };
            library.with_truncation(Some(cut)).map_err(|e| e.to_string())?;
        }
        Ok(kind)
    }

    /// The id that fills up short texts.
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// What in the file only the `tokenizers` library reads, which phones do not have.
    pub fn foreign(&self) -> Option<&str> {
        match &self.kind {
            Kind::Own(_) => None,
            #[cfg(feature = "any-tokenizer")]
            Kind::Library(_, what) => Some(what),
        }
    }

    /// Whether all of a text's ids stand for "unknown", as words of another script do: encoded, every such text is the
    /// same.
    pub fn knows_nothing_of(&self, ids: &[u32]) -> bool {
        let (unknown, special) = match &self.kind {
            Kind::Own(own) => (own.model.unknown(), own.template.around(&[])),
            #[cfg(feature = "any-tokenizer")]
            Kind::Library(library, _) => {
                let unknown = UNKNOWN_TOKENS.iter().find_map(|token| library.token_to_id(token));
                let special = library.encode("", true).map(|e| e.get_ids().to_vec()).unwrap_or_default();
                (unknown, special)
            }
        };
        let Some(unknown) = unknown else { return false };
        ids.contains(&unknown) && ids.iter().all(|id| *id == unknown || special.contains(id))
    }

    /// Ids of a text with the special tokens around it; `None` if nothing of it is left.
    ///
    /// # Errors
    /// What went wrong, in one line.
    pub fn encode(&self, text: &str) -> Result<Option<Vec<u32>>, String> {
        // The tokenizer is a user's file and its steps may panic on texts that it was not made for.
        let encode = || match &self.kind {
            Kind::Own(own) => own.encode(text, self.limit),
            #[cfg(feature = "any-tokenizer")]
            Kind::Library(library, _) => {
                let encoding = library.encode(text, true).map_err(|e| e.to_string())?;
                let left = encoding.get_special_tokens_mask().contains(&0);
                Ok(left.then(|| encoding.get_ids().to_vec()))
            }
        };
        catch_unwind(AssertUnwindSafe(encode)).unwrap_or_else(|_| Err("the tokenizer gave up".into()))
    }
}

/// A part of a text between its whole and its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    text: String,
    /// It is this token already.
    id: Option<u32>,
    /// It begins where the text begins.
    first: bool,
}

/// What is read from the file.
struct Own {
    added: Added,
    normalizers: Vec<Normalizer>,
    splitters: Vec<Splitter>,
    model: Model,
    template: Template,
    pad: Option<u32>,
}

enum Model {
    WordPiece(WordPiece),
    Bpe(Bpe),
    Unigram(Unigram),
}

impl Model {
    fn id_of(&self, token: &str) -> Option<u32> {
        match self {
            Self::WordPiece(model) => model.id_of(token),
            Self::Bpe(model) => model.id_of(token),
            Self::Unigram(model) => model.id_of(token),
        }
    }

    /// The id of what the vocabulary does not have.
    fn unknown(&self) -> Option<u32> {
        match self {
            Self::WordPiece(model) => model.unknown(),
            Self::Bpe(model) => model.unknown(),
            Self::Unigram(model) => model.unknown(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::WordPiece(model) => model.len(),
            Self::Bpe(model) => model.len(),
            Self::Unigram(model) => model.len(),
        }
    }

    /// Appends the ids of a word.
    fn tokens(&self, word: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        match self {
            Self::WordPiece(model) => model.tokens(word, ids),
            Self::Bpe(model) => model.tokens(word, ids),
            Self::Unigram(model) => model.tokens(word, ids),
        }
    }
}

impl Own {
    fn read(json: &[u8]) -> Result<Self, Refusal> {
        let file: File = serde_json::from_slice(json).map_err(|e| Refusal::broken(e.to_string()))?;
        if file.version.as_deref().is_some_and(|version| version != "1.0") {
            return Err(Refusal::unknown(format!("version {:?}", file.version.unwrap_or_default())));
        }
        let model = match file.model.kind.as_deref() {
            Some("WordPiece") => Model::WordPiece(WordPiece::read(file.model)?),
            Some("BPE") => Model::Bpe(Bpe::read(file.model)?),
            Some("Unigram") => Model::Unigram(Unigram::read(file.model)?),
            other => return Err(Refusal::unknown(format!("the model {}", other.unwrap_or("without type")))),
        };
        let normalizers = normalize::read(&file.normalizer)?;
        let splitters = split::read(&file.pre_tokenizer)?;
        let deletes = !normalizers.iter().all(|n| matches!(n, Normalizer::Lowercase));
        if deletes && splitters.iter().any(Splitter::asks_for_the_first) {
            // Whether a piece is the first is told by its place in the text as it was given.
            return Err(Refusal::unknown("Metaspace `first` after this normalizer"));
        }
        let added = Added::read(file.added_tokens, &model, &normalizers)?;
        let template = template::read(&file.post_processor)?;
        Ok(Self { added, normalizers, splitters, model, template, pad: file.padding.map(|p| p.pad_id) })
    }

    fn id_of(&self, token: &str) -> Option<u32> {
        self.added.id_of(token).or_else(|| self.model.id_of(token))
    }

    fn encode(&self, text: &str, limit: usize) -> Result<Option<Vec<u32>>, String> {
        let most = text.len().saturating_mul(MAX_GROWTH).saturating_add(4096);
        let mut pieces = Vec::new();
        for mut piece in self.added.given(text) {
            if piece.id.is_some() {
                pieces.push(piece);
                continue;
            }
            for normalizer in &self.normalizers {
                piece.text = normalizer.apply(&piece.text);
                if piece.text.len() > most {
                    return Err("the tokenizer makes too much of the text".into());
                }
            }
            pieces.extend(self.added.normalized(&piece));
        }
        pieces.retain(|piece| !piece.text.is_empty());
        for splitter in &self.splitters {
            pieces = splitter.apply(pieces);
        }
        let room = limit - self.template.special();
        let mut ids = Vec::new();
        for piece in pieces {
            match piece.id {
                Some(id) => ids.push(id),
                None => self.model.tokens(&piece.text, &mut ids)?,
            }
            if ids.len() >= room {
                break;
            }
        }
        ids.truncate(room);
        Ok((!ids.is_empty()).then(|| self.template.around(&ids)))
    }
}
