//! Keeps the import rules of ARCHITECTURE.md: who may import whom, and where `unsafe` may stand.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Room → the rooms it may import. `engine`, `measure`, `build` and `eval` may import everything.
const RULES: &[(&str, &[&str])] = &[
    ("cancel", &[]),
    ("frame", &[]),
    ("geometry", &[]),
    ("embedding", &[]),
    ("kernels", &[]),
    ("preprocess", &["frame", "geometry"]),
    ("runtime", &["kernels", "cancel"]),
    ("detect", &["preprocess", "runtime", "geometry", "embedding", "frame", "cancel"]),
    ("encode", &["preprocess", "runtime", "geometry", "embedding", "frame", "cancel"]),
    ("live", &["frame", "geometry"]),
    ("pack", &[]),
    ("quant", &["kernels"]),
    ("index", &["quant", "kernels", "pack", "embedding", "cancel"]),
    ("rerank", &["embedding", "kernels", "pack"]),
    ("fuse", &["frame", "geometry", "preprocess", "encode", "cancel"]),
    ("options", &["geometry", "pack", "cancel"]),
];

/// Files that may hold `unsafe`.
const UNSAFE: &[&str] = &["src/kernels/", "src/pack/map.rs", "bindings/ffi/src/jni.rs"];

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&root.join(folder), &mut files);
    files
        .iter()
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The room of `src/room/file.rs` or `src/room.rs`.
fn room(name: &str) -> &str {
    let rest = name.strip_prefix("src/").unwrap();
    rest.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The code without comments and without its `#[cfg(test)]` tail, which may borrow from anywhere.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn rooms_import_only_what_they_may() {
    let rules: BTreeMap<_, _> = RULES.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (name, text) in sources("src") {
        let room = room(&name);
        let Some(allowed) = rules.get(room) else { continue };
        for (at, _) in code(&text).match_indices("crate::") {
            let rest = &code(&text)[at + "crate::".len()..];
            let targets: Vec<String> = match rest.strip_prefix('{') {
                Some(list) => {
                    list.split('}').next().unwrap().split(',').map(|s| s.trim().to_owned()).collect()
                }
                None => vec![rest.to_owned()],
            };
            for target in targets.iter().filter(|t| !t.is_empty()) {
                let word: String = target.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                seen += 1;
                if word != room && !allowed.contains(&word.as_str()) {
                    wrong.push(format!("{name} imports {word}"));
                }
            }
        }
    }
    assert!(seen > 20, "the test reads no imports any more");
    assert!(wrong.is_empty(), "against ARCHITECTURE.md: {wrong:#?}");
}

#[test]
fn unsafe_stays_in_its_places() {
    let is_unsafe = |text: &str| {
        code(text).split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
    };
    let wrong: Vec<_> = sources("src")
        .into_iter()
        .chain(sources("bindings/ffi/src"))
        .filter(|(name, text)| !UNSAFE.iter().any(|place| name.starts_with(place)) && is_unsafe(text))
        .map(|(name, _)| name)
        .collect();
    assert!(wrong.is_empty(), "unsafe outside kernels, the memory map and the edge to Java: {wrong:?}");
}
