//! The same ids as the `tokenizers` library, whose trainers make the vocabularies where no real one is at hand.

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::{AddedToken, Model as _, Trainer as _, TruncationParams};

use super::*;

const LIMIT: usize = 48;

/// Both readers of one file.
struct Pair {
    name: &'static str,
    own: Tokenizer,
    library: tokenizers::Tokenizer,
}

impl Pair {
    fn new(name: &'static str, json: &[u8]) -> Self {
        let own = Tokenizer::read(json, LIMIT).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(own.foreign(), None, "{name}");
        let mut library = tokenizers::Tokenizer::from_bytes(json).unwrap();
        library.with_padding(None);
        let cut = TruncationParams { max_length: LIMIT, ..Default::default() };
        library.with_truncation(Some(cut)).unwrap();
        Self { name, own, library }
    }

    fn of(name: &'static str, file: &Value) -> Self {
        Self::new(name, &serde_json::to_vec(file).unwrap())
    }

    fn agree(&self, text: &str) {
        let want = self.library.encode(text, true).unwrap();
        let want = want.get_special_tokens_mask().contains(&0).then(|| want.get_ids().to_vec());
        assert_eq!(self.own.encode(text).unwrap(), want, "{}: {text:?}", self.name);
    }
}

fn shipped() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/models/weights/tokenizer.json");
    std::fs::read(path).unwrap()
}

/// The whole words of the shipped vocabulary.
fn words() -> Vec<String> {
    let file: Value = serde_json::from_slice(&shipped()).unwrap();
    let vocab = file["model"]["vocab"].as_object().unwrap();
    let mut words: Vec<String> = vocab.keys().filter(|word| !word.starts_with("##")).cloned().collect();
    words.sort();
    words
}

/// A file around a model.
fn file(normalizer: Value, pre_tokenizer: Value, post_processor: Value, added: Value, model: Value) -> Value {
    json!({ "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": post_processor, "decoder": null, "model": model })
}

fn added(content: &str, changes: Value) -> Value {
    let mut token = json!({ "id": 0, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true });
    token.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    token
}

/// Words as a step of a tokenizer leaves them, to train on.
fn corpus(shape: impl Fn(&str) -> String) -> Vec<String> {
    words().iter().step_by(9).map(|word| shape(word)).collect()
}

fn special(token: &str) -> AddedToken {
    AddedToken::from(token, true)
}

fn bpe(words: &[String], suffix: Option<&str>, alphabet: &str, specials: &[&str]) -> Value {
    let mut trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(1500)
        .initial_alphabet(alphabet.chars().collect())
        .special_tokens(specials.iter().map(|token| special(token)).collect());
    if let Some(suffix) = suffix {
        trainer = trainer.end_of_word_suffix(suffix.to_owned());
    }
    let mut trainer = trainer.build();
    trainer.feed(words.iter(), |word| Ok(vec![word.to_owned()])).unwrap();
    let mut model = BPE::default();
    trainer.train(&mut model).unwrap();
    serde_json::to_value(&model).unwrap()
}

fn unigram(words: &[String]) -> Value {
    let trainer = UnigramTrainer::builder()
        .show_progress(false)
        .vocab_size(800)
        .unk_token(Some("<unk>".to_owned()))
        .special_tokens(["<s>", "<pad>", "</s>", "<unk>"].map(special).to_vec())
        .build()
        .unwrap();
    let mut trainer = TrainerWrapper::UnigramTrainer(trainer);
    trainer.feed(words.iter(), |word| Ok(vec![word.to_owned()])).unwrap();
    let mut model = tokenizers::ModelWrapper::Unigram(Unigram::default());
    trainer.train(&mut model).unwrap();
    assert!(model.get_vocab_size() > 500);
    serde_json::to_value(&model).unwrap()
}

/// CLIP's file with a vocabulary of its own.
fn clip() -> Value {
    let alphabet: String = (0..=255).map(split::printable).collect();
    let mut model =
        bpe(&corpus(str::to_owned), Some("</w>"), &alphabet, &["<|startoftext|>", "<|endoftext|>"]);
    model["unk_token"] = json!("<|endoftext|>");
    let normalizer = json!({ "type": "Sequence", "normalizers": [{ "type": "NFC" },
        { "type": "Replace", "pattern": { "Regex": "\\s+" }, "content": " " }, { "type": "Lowercase" }] });
    let words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
    let split =
        json!({ "type": "Split", "pattern": { "Regex": words }, "behavior": "Removed", "invert": true });
    let bytes =
        json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    let pre = json!({ "type": "Sequence", "pretokenizers": [split, bytes] });
    let post = json!({ "type": "RobertaProcessing", "sep": ["<|endoftext|>", 1], "cls": ["<|startoftext|>", 0],
        "trim_offsets": false, "add_prefix_space": false });
    let tokens =
        json!([added("<|startoftext|>", json!({ "normalized": true })), added("<|endoftext|>", json!({}))]);
    file(normalizer, pre, post, tokens, model)
}

/// RoBERTa's.
fn roberta() -> Value {
    let alphabet: String = (0..=255).map(split::printable).collect();
    let model =
        bpe(&corpus(|w| format!("Ġ{w}")), None, &alphabet, &["<s>", "<pad>", "</s>", "<unk>", "<mask>"]);
    let pre = json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true });
    let post = json!({ "type": "Sequence", "processors": [
        { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true },
        { "type": "TemplateProcessing", "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } },
            { "Sequence": { "id": "A", "type_id": 0 } }, { "SpecialToken": { "id": "</s>", "type_id": 0 } }],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 0 } }],
            "special_tokens": { "<s>": { "id": "<s>", "ids": [0], "tokens": ["<s>"] },
                "</s>": { "id": "</s>", "ids": [2], "tokens": ["</s>"] } } }] });
    let tokens = json!([
        added("<mask>", json!({ "lstrip": true })),
        added("</s>", json!({ "rstrip": true })),
        added("<new>", json!({ "id": 1500, "special": false }))
    ]);
    file(Value::Null, pre, post, tokens, model)
}

/// Gemma's: words keep their space, what has no token is spelled in bytes.
fn gemma() -> Value {
    let bytes: Vec<String> = (0..=255u8).map(|b| format!("<0x{b:02X}>")).collect();
    let specials: Vec<&str> =
        ["<pad>", "<eos>", "<bos>", "<unk>"].into_iter().chain(bytes.iter().map(|b| &**b)).collect();
    let mut model = bpe(&corpus(|w| format!("▁{w}")), None, "", &specials);
    for (name, value) in
        [("byte_fallback", json!(true)), ("fuse_unk", json!(true)), ("unk_token", json!("<unk>"))]
    {
        model[name] = value;
    }
    let normalizer = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
    let pre = json!({ "type": "Split", "pattern": { "String": " " }, "behavior": "MergedWithPrevious", "invert": false });
    let post = json!({ "type": "TemplateProcessing", "single": [{ "Sequence": { "id": "A", "type_id": 0 } },
        { "SpecialToken": { "id": "<eos>", "type_id": 0 } }], "pair": [{ "Sequence": { "id": "A", "type_id": 0 } },
        { "Sequence": { "id": "B", "type_id": 0 } }],
        "special_tokens": { "<eos>": { "id": "<eos>", "ids": [1], "tokens": ["<eos>"] } } });
    file(normalizer, pre, post, json!([added("<eos>", json!({}))]), model)
}

/// XLM-RoBERTa's, with SentencePiece's table or other normalizers.
fn xlm(normalizer: Value) -> Value {
    let model = unigram(&corpus(|w| format!("▁{w}")));
    let pre = json!({ "type": "Sequence", "pretokenizers": [{ "type": "WhitespaceSplit" },
        { "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true }] });
    let post = json!({ "type": "BertProcessing", "cls": ["<s>", 0], "sep": ["</s>", 2] });
    file(normalizer, pre, post, json!([added("<mask>", json!({ "id": 800, "lstrip": true }))]), model)
}

/// A SentencePiece table that makes `a` of `ä` and nothing of a soft hyphen: a double array over their UTF-8 bytes.
fn table() -> Value {
    // Units: label, or value; the offset to the children from bit 10 on; bit 8 where a text ends.
    let mut units = vec![0u32; 512];
    let mut node = |at: usize, label: u32, offset: u32, leaf: bool| {
        units[at] = label | offset << 10 | if leaf { 1 << 8 } else { 0 };
    };
    // From the root at 0 with offset 1: byte b leads to 1 ^ b.
    node(0, 0, 1, false);
    let (lead, ae, hyphen) = (0xC3usize, 0xA4usize, 0xADusize);
    let second = 1 ^ lead;
    node(second, lead as u32, (second ^ 256) as u32, false);
    node(256 ^ ae, ae as u32, ((256 ^ ae) ^ 300) as u32, true);
    let other = 1 ^ 0xC2usize;
    node(other, 0xC2, (other ^ 384) as u32, false);
    node(384 ^ hyphen, hyphen as u32, ((384 ^ hyphen) ^ 310) as u32, true);
    // Values: where the replacement begins in the text behind the units.
    units[300] = 1 << 31;
    units[310] = 1 << 31 | 2;
    let mut bytes = (units.len() as u32 * 4).to_le_bytes().to_vec();
    bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    bytes.extend(b"a\0\0");
    json!({ "type": "Precompiled", "precompiled_charsmap": base64(&bytes) })
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let all = chunk.iter().chain([&0, &0]).take(3).fold(0u32, |all, &b| all << 8 | u32::from(b));
        for place in 0..4 {
            let digit = DIGITS[(all >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { digit.into() } else { '=' });
        }
    }
    text
}

fn all() -> Vec<Pair> {
    let bert = |changes: Value| {
        let mut file: Value = serde_json::from_slice(&shipped()).unwrap();
        for (name, value) in changes.as_object().unwrap() {
            file["normalizer"][name] = value.clone();
        }
        file
    };
    let forms = json!({ "type": "Sequence", "normalizers": [{ "type": "NFKD" }, { "type": "StripAccents" },
        { "type": "Strip", "strip_left": true, "strip_right": true },
        { "type": "Replace", "pattern": { "String": "ll" }, "content": "l" }] });
    let mut digits = xlm(
        json!({ "type": "Sequence", "normalizers": [{ "type": "NFKC" }, { "type": "Prepend", "prepend": "x" }] }),
    );
    digits["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": [
        { "type": "Digits", "individual_digits": false }, { "type": "Punctuation", "behavior": "Contiguous" },
        { "type": "Metaspace", "replacement": "▁", "add_prefix_space": true }] });
    let mut first = xlm(json!({ "type": "Lowercase" }));
    first["pre_tokenizer"] =
        json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false });
    first["added_tokens"] =
        json!([added("<ab>", json!({ "id": 800, "normalized": true, "special": false }))]);
    let mut each = xlm(json!({ "type": "NFD" }));
    each["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": [
        { "type": "Digits", "individual_digits": true },
        { "type": "Split", "pattern": { "String": "an" }, "behavior": "MergedWithNext", "invert": true },
        { "type": "Split", "pattern": { "String": "e" }, "behavior": "Contiguous", "invert": false }] });
    vec![
        Pair::new("shipped", &shipped()),
        Pair::of("cased", &bert(json!({ "lowercase": false, "handle_chinese_chars": false }))),
        Pair::of("accents kept", &bert(json!({ "strip_accents": false, "clean_text": false }))),
        Pair::of("CLIP", &clip()),
        Pair::of("RoBERTa", &roberta()),
        Pair::of("Gemma", &gemma()),
        Pair::of("XLM-R", &xlm(table())),
        Pair::of("forms", &xlm(forms)),
        Pair::of("digits", &digits),
        Pair::of("first", &first),
        Pair::of("each", &each),
    ]
}

#[test]
fn every_character_gives_the_same_ids() {
    let pairs = all();
    for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
        // Planes without characters, and the far end of the ideographs and syllables, go by samples.
        let dull = matches!(u32::from(c), 0x3500..0x9F00 | 0xAD00..0xD700 | 0xE100.. );
        if dull
            && u32::from(c) % 61 != 0
            && !(0xF900..0x1_0000).contains(&u32::from(c))
            && !(0x1_0000..0x2_0000).contains(&u32::from(c))
        {
            continue;
        }
        let text = format!("{c} a{c}b 1{c}");
        pairs.iter().for_each(|pair| pair.agree(&text));
    }
}

/// Texts as users write and as they do not.
fn texts() -> impl Strategy<Value = String> {
    let words = words();
    let word = (0..words.len()).prop_map(move |at| words[at].clone());
    let odd = proptest::sample::select(vec![
        "'s",
        "'T",
        "'ll",
        "it's",
        "  ",
        "\t\n",
        "\u{a0}",
        "\u{3000}",
        "½",
        "²",
        "12",
        "3.5kg",
        "ﬁn",
        "Å",
        "A\u{30a}",
        "ñ",
        "e\u{301}\u{327}",
        "İ",
        "ß",
        "ǅ",
        "日本語",
        "한국어",
        "สวัสดี",
        "ไทย",
        "हिन्दी",
        "العربية",
        "😀",
        "👩‍👩‍👧",
        "🏳️‍🌈",
        "\u{200b}",
        "\u{ad}",
        "\u{feff}",
        "\0",
        "\u{7f}",
        "\u{fffd}",
        "[MASK]",
        "<mask>",
        "</s>",
        "<|endoftext|>",
        "<|STARTOFTEXT|>",
        "<ab>",
        "<AB>",
        "<new>",
        "<eos>",
        "ä",
        "ll",
        "▁",
        "##s",
        "_",
        "-",
        "…",
        "€",
        "'",
        "\"",
        "ａ",
        "Ⅷ",
        "ς",
        "Σ",
    ]);
    let part = prop_oneof![
        4 => word.clone(),
        2 => word.prop_map(|word| word.to_uppercase()),
        3 => odd.prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let joined = prop_oneof![3 => Just(" "), 1 => Just(""), 1 => Just("  ")];
    proptest::collection::vec((part, joined), 1..14)
        .prop_map(|parts| {
            parts.into_iter().flat_map(|(part, gap)| [part, gap.to_owned()]).collect::<String>()
        })
        // As the encoder hands them over.
        .prop_map(|text| text.trim().to_owned())
        .prop_filter("empty", |text| !text.is_empty())
}

#[test]
fn texts_give_the_same_ids() {
    let pairs = all();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(3000));
    runner
        .run(&texts(), |text| {
            pairs.iter().for_each(|pair| pair.agree(&text));
            Ok(())
        })
        .unwrap();
}

fn refusal(file: &Value) -> Refusal {
    Own::read(&serde_json::to_vec(file).unwrap()).err().unwrap()
}

#[test]
fn what_is_not_read_is_named() {
    let mut file = clip();
    file["pre_tokenizer"] =
        json!({ "type": "Split", "pattern": { "Regex": "[a-z]+" }, "behavior": "Isolated", "invert": false });
    assert!(matches!(refusal(&file), Refusal::Unknown(what) if what.contains("[a-z]+")));
    // The library reads it.
    let json = serde_json::to_vec(&file).unwrap();
    assert!(Tokenizer::read(&json, LIMIT).unwrap().foreign().is_some_and(|what| what.contains("[a-z]+")));
    file["pre_tokenizer"] = json!({ "type": "UnicodeScripts" });
    assert!(matches!(refusal(&file), Refusal::Unknown(what) if what.contains("UnicodeScripts")));
    file["model"]["type"] = json!("WordLevel");
    assert!(matches!(refusal(&file), Refusal::Unknown(what) if what.contains("WordLevel")));
}

#[test]
fn broken_files_are_refused() {
    assert!(matches!(Own::read(b"{"), Err(Refusal::Broken(_))));
    let mut file = clip();
    file["model"]["merges"] = json!([["a", "nosuchtoken"]]);
    assert!(matches!(refusal(&file), Refusal::Broken(what) if what.contains("nosuchtoken")));
    let mut file = xlm(Value::Null);
    file["model"]["unk_id"] = json!(5000);
    assert!(matches!(refusal(&file), Refusal::Broken(_)));
    let mut file: Value = serde_json::from_slice(&shipped()).unwrap();
    file["post_processor"]["special_tokens"] = json!({});
    assert!(matches!(refusal(&file), Refusal::Broken(what) if what.contains("[CLS]")));
}

/// A file of a few lines must not make a word of a gigabyte.
#[test]
fn growth_has_an_end() {
    let double = json!({ "type": "Replace", "pattern": { "String": "a" }, "content": "aa" });
    let file = xlm(json!({ "type": "Sequence", "normalizers": vec![double; 60] }));
    let own = Tokenizer::read(&serde_json::to_vec(&file).unwrap(), LIMIT).unwrap();
    assert!(own.encode("banana").unwrap_err().contains("too much"));
}
