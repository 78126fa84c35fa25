//! Byte-pair encoding: characters, of which neighbours are merged in a learnt order (Sennrich et al. 2016).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::Refusal;
use super::file::{ModelFile, Vocabulary};

pub(super) struct Bpe {
    ids: HashMap<String, u32>,
    /// Pair → rank and the token it becomes.
    merges: HashMap<(u32, u32), (u32, u32)>,
    unknown: Option<String>,
    prefix: String,
    suffix: String,
    fuse_unknown: bool,
    byte_fallback: bool,
    ignore_merges: bool,
}

/// A token of a word and its neighbours.
#[derive(Clone, Copy)]
struct Symbol {
    id: u32,
    before: Option<usize>,
    after: Option<usize>,
    gone: bool,
}

impl Bpe {
    pub fn read(file: ModelFile) -> Result<Self, Refusal> {
        let Vocabulary::Ids(ids) = file.vocab else {
            return Err(Refusal::broken("a BPE vocabulary without ids"));
        };
        if file.dropout.is_some_and(|share| share != 0.0) {
            return Err(Refusal::unknown("BPE with dropout"));
        }
        let prefix = file.continuing_subword_prefix.unwrap_or_default();
        let id = |token: &str| {
            let lacks = || Refusal::broken(format!("the merged token {token:?} is not in the vocabulary"));
            ids.get(token).copied().ok_or_else(lacks)
        };
        let mut merges = HashMap::with_capacity(file.merges.0.len());
        for (rank, (a, b)) in (0..).zip(&file.merges.0) {
            let end = b.get(prefix.len()..).ok_or_else(|| Refusal::broken("a merge without its prefix"))?;
            merges.insert((id(a)?, id(b)?), (rank, id(&format!("{a}{end}"))?));
        }
        Ok(Self {
            merges,
            unknown: file.unk_token,
            prefix,
            suffix: file.end_of_word_suffix.unwrap_or_default(),
            fuse_unknown: file.fuse_unk.unwrap_or(false),
            byte_fallback: file.byte_fallback.unwrap_or(false),
            ignore_merges: file.ignore_merges.unwrap_or(false),
            ids,
        })
    }

    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    pub fn unknown(&self) -> Option<u32> {
        self.ids.get(self.unknown.as_deref()?).copied()
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn tokens(&self, word: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        if self.ignore_merges
            && let Some(&id) = self.ids.get(word)
        {
            ids.push(id);
            return Ok(());
        }
        let mut symbols: Vec<Symbol> = Vec::with_capacity(word.len());
        for id in self.characters(word)? {
            let at = symbols.len();
            if let Some(last) = symbols.last_mut() {
                last.after = Some(at);
            }
            symbols.push(Symbol { id, before: at.checked_sub(1), after: None, gone: false });
        }
        self.merge(&mut symbols);
        ids.extend(symbols.iter().filter(|s| !s.gone).map(|s| s.id));
        Ok(())
    }

    /// The token of each character, or of its bytes.
    fn characters(&self, word: &str) -> Result<Vec<u32>, String> {
        let mut ids = Vec::with_capacity(word.len());
        let mut pending = None;
        let mut key = String::new();
        let mut rest = word.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            key.clear();
            if at > 0 {
                key.push_str(&self.prefix);
            }
            key.push(c);
            if rest.peek().is_none() {
                key.push_str(&self.suffix);
            }
            if let Some(&id) = self.ids.get(key.as_str()) {
                ids.extend(pending.take());
                ids.push(id);
                continue;
            }
            if self.byte_fallback {
                let byte = |b: u8| self.ids.get(format!("<{b:#04X}>").as_str()).copied();
                if let Some(bytes) = key.bytes().map(byte).collect::<Option<Vec<u32>>>() {
                    ids.extend(bytes);
                    continue;
                }
            }
            // Without an unknown token such characters are left out.
            let Some(unknown) = &self.unknown else { continue };
            if pending.is_none() || !self.fuse_unknown {
                ids.extend(pending);
                let id = self.ids.get(unknown).copied();
                pending = Some(id.ok_or("the unknown token is not in the vocabulary")?);
            }
        }
        ids.extend(pending);
        Ok(ids)
    }

    /// Merges the pair of least rank, the leftmost of equals, until none is left.
    fn merge(&self, symbols: &mut [Symbol]) {
        let known = |a: &Symbol, b: &Symbol| self.merges.get(&(a.id, b.id)).copied();
        let pairs = symbols.windows(2).enumerate();
        let pairs = pairs.filter_map(|(at, pair)| known(&pair[0], &pair[1]).map(|(rank, id)| (rank, at, id)));
        let mut queue: BinaryHeap<Reverse<(u32, usize, u32)>> = pairs.map(Reverse).collect();
        while let Some(Reverse((_, at, id))) = queue.pop() {
            let left = symbols[at];
            let Some(next) = left.after.filter(|_| !left.gone) else { continue };
            let right = symbols[next];
            // What was merged since then made another pair of it.
            if known(&left, &right).is_none_or(|(_, now)| now != id) {
                continue;
            }
            symbols[at] = Symbol { id, after: right.after, ..left };
            symbols[next].gone = true;
            if let Some(after) = right.after {
                symbols[after].before = Some(at);
                let pair = known(&symbols[at], &symbols[after]);
                queue.extend(pair.map(|(rank, id)| Reverse((rank, at, id))));
            }
            if let Some(before) = left.before {
                let pair = known(&symbols[before], &symbols[at]);
                queue.extend(pair.map(|(rank, id)| Reverse((rank, before, id))));
            }
        }
    }
}
