//! `bench search` over a folder of vectors: its lines, and what it says of vectors that are none.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::*;
use tempfile::TempDir;

const DIM: usize = 8;

/// Rows spread around 30 centres.
fn rows(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..n * DIM).map(|i| ((i / DIM % 30 * 7 + i % DIM * 13) % 11) as f32 + 8.0 * next()).collect()
}

/// A file of NumPy, version 1.
fn npy(dir: &Path, name: &str, values: &[f32], dim: usize) {
    let shape = format!("({}, {dim})", values.len() / dim.max(1));
    let mut head = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + head.len() + 1) % 64 != 0 {
        head.push(' ');
    }
    head.push('\n');
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((head.len() as u16).to_le_bytes());
    out.extend(head.as_bytes());
    out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    fs::write(dir.join(name).with_extension("npy"), out).unwrap();
}

fn folder() -> TempDir {
    let dir = TempDir::new().unwrap();
    npy(dir.path(), "base", &rows(4400, 1), DIM);
    npy(dir.path(), "learn", &rows(900, 2), DIM);
    npy(dir.path(), "query", &rows(20, 3), DIM);
    dir
}

const TOO_FEW: &str = "100 rows are too few";
const BENCH: [&str; 7] = ["bench", "search", "--vectors", ".", "--queries", "20", "--bytes"];

fn lines(args: &[&str], dir: &Path) -> Vec<Value> {
    let out = run(&[args, &["--json"]].concat(), dir);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
        .split(|&b| b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect()
}

#[test]
fn a_line_a_point_with_the_fields_that_other_tools_read() {
    let dir = folder();
    let cases: [&[&str]; 5] = [
        &["12"],
        &["4", "--whole"],
        &["12", "--metric", "ip"],
        &["12", "--metric", "cosine"],
        &["4", "--whole", "--metric", "cosine"],
    ];
    for more in cases {
        let found = lines(&[&BENCH[..], more].concat(), dir.path());
        assert!(!found.is_empty());
        for line in &found {
            let mut keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
            keys.sort_unstable();
            let want = [
                "build_s",
                "bytes_per_vector",
                "config",
                "ms_median",
                "ms_p95",
                "peer",
                "recall10",
                "recall1_at_1",
            ];
            assert_eq!(keys, want);
            assert_eq!(line["peer"], "shelfsight");
            assert!(line["bytes_per_vector"].as_f64().unwrap() < 14.0, "{line}");
        }
        let best = found.iter().map(|l| l["recall10"].as_f64().unwrap()).fold(0.0, f64::max);
        assert!(best > 0.5, "{more:?}: {best}");
    }
}

#[test]
fn vectors_that_are_none_are_refused_in_one_line() {
    let bad = |break_it: &dyn Fn(&Path), says: &[&str]| {
        let dir = folder();
        break_it(dir.path());
        for more in [&["12"][..], &["4", "--whole"]] {
            // Lists need more rows than one list does.
            if more.len() > 1 && says.contains(&TOO_FEW) {
                continue;
            }
            let error = refused(&[&BENCH[..], more].concat(), dir.path());
            assert!(says.iter().all(|part| error.contains(part)), "{more:?}: {error} lacks one of {says:?}");
        }
    };
    let with = |name: &'static str, at: usize, value: f32| {
        move |dir: &Path| {
            let mut values = rows(
                if name == "base" {
                    4400
                } else if name == "learn" {
                    900
                } else {
                    20
                },
                5,
            );
            values[at] = value;
            npy(dir, name, &values, DIM);
        }
    };
    bad(&with("base", 17, f32::NAN), &["vector 2"]);
    bad(&with("base", 17, f32::NEG_INFINITY), &["vector 2"]);
    bad(&with("learn", 8, f32::INFINITY), &["vector 1"]);
    bad(&with("query", 3, f32::NAN), &["component 3"]);
    bad(&|dir| npy(dir, "learn", &rows(900, 2), DIM / 2), &["learn.npy", "components"]);
    bad(&|dir| npy(dir, "query", &[], DIM), &["query.npy"]);
    bad(&|dir| npy(dir, "base", &[], DIM), &["base.npy"]);
    bad(&|dir| npy(dir, "base", &rows(100, 1), DIM), &[TOO_FEW]);
    bad(&|dir| npy(dir, "base", &[], 0), &["base.npy"]);
    bad(&|dir| fs::write(dir.join("base.npy"), b"\x93NUMPY\x01\x00\xff\xff").unwrap(), &["base.npy"]);
    bad(&|dir| fs::write(dir.join("base.npy"), b"").unwrap(), &["base.npy"]);
    bad(&|dir| fs::remove_file(dir.join("query.npy")).unwrap(), &["query.npy"]);
    let cut = |dir: &Path| {
        let whole = fs::read(dir.join("base.npy")).unwrap();
        fs::write(dir.join("base.npy"), &whole[..whole.len() - 5]).unwrap();
    };
    bad(&cut, &["base.npy"]);
    // Every budget of several is refused.
    let dir = folder();
    npy(dir.path(), "base", &rows(100, 1), DIM);
    assert!(refused(&["bench", "search", "--vectors", "."], dir.path()).contains("too few"));
    for usage in [["--queries", "0"], ["--bytes", "1"], ["--metric", "l3"]] {
        let args = [&["bench", "search", "--vectors", "."][..], &usage].concat();
        assert_eq!(run(&args, dir.path()).status.code(), Some(2), "{usage:?}");
    }
}

#[test]
fn few_training_vectors_few_queries_and_equal_rows_are_no_reason_to_fail() {
    let dir = folder();
    let dir = dir.path();
    // Fewer than centroids of a part, and than lists.
    npy(dir, "learn", &rows(5, 2), DIM);
    assert!(!lines(&[&BENCH[..], &["12"]].concat(), dir).is_empty());
    npy(dir, "query", &rows(1, 2), DIM);
    assert!(!lines(&[&BENCH[..], &["12"]].concat(), dir).is_empty());
    // All in one list; the others are empty.
    npy(dir, "base", &[1.0; 4400 * DIM], DIM);
    assert!(!lines(&[&BENCH[..], &["12"]].concat(), dir).is_empty());
    npy(dir, "learn", &[0.0; 900 * DIM], DIM);
    assert!(!lines(&[&BENCH[..], &["12"]].concat(), dir).is_empty());
}
