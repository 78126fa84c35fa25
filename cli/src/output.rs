//! JSON and text forms of results. The JSON is stable: other tools read it.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value, json};
use shelfsight::engine::{Item, Match, Timings};
use shelfsight::fuse::Gtin;

/// `{"id","title","brand","category","gtin","score","evidence":{…}}`
pub fn result(found: &Match) -> Value {
    let record = &found.record;
    json!({
        "id": record.id,
        "title": record.title,
        "brand": record.brand,
        "category": record.category,
        "gtin": record.gtin.map(|gtin| format!("{gtin:014}")),
        "score": round(f64::from(found.score), 4),
        "attrs": record.attrs.iter().map(|(k, v)| (k.clone(), json!(v))).collect::<Map<_, _>>(),
        "evidence": {
            "image": found.evidence.image.map(|v| round(f64::from(v), 3)),
            "text": found.evidence.text.map(|v| round(f64::from(v), 3)),
            "barcode": found.evidence.barcode,
        },
    })
}

/// `{"box":[x,y,w,h],"detection":…,"results":[…]}`
pub fn item(item: &Item) -> Value {
    let r = &item.rect;
    let corners = [r.x, r.y, r.w, r.h].map(|v| round(f64::from(v), 1));
    json!({
        "box": corners,
        "detection": round(f64::from(item.detection), 3),
        "results": item.matches.iter().map(result).collect::<Vec<_>>(),
    })
}

/// Stage → milliseconds, and their sum as `total`.
pub fn timings(ms: &Timings) -> Value {
    let mut map: Map<String, Value> =
        ms.stages().iter().map(|(stage, ms)| ((*stage).to_owned(), json!(round(*ms, 3)))).collect();
    map.insert("total".to_owned(), json!(round(ms.total(), 3)));
    Value::Object(map)
}

/// GTINs as 14 digits.
pub fn gtins(gtins: &[Gtin]) -> Value {
    gtins.iter().map(|gtin| json!(format!("{:014}", gtin.as_u64()))).collect()
}

/// A path in JSON; bytes that are no UTF-8 are replaced.
pub fn path(path: &Path) -> Value {
    json!(path.display().to_string())
}

/// Prints one JSON object.
pub fn print(value: &Value) -> Result<()> {
    write_line(format_args!("{value}"))
}

/// Standard output took no more: its reader is gone or the disk is full.
#[derive(Debug)]
pub struct StdoutError(pub io::Error);

impl fmt::Display for StdoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write to standard output: {}", self.0)
    }
}

impl std::error::Error for StdoutError {}

/// `println!` that returns an error where that one panics, and writes what comes from a pack or a catalogue as
/// [`printable`].
macro_rules! say {
    ($($part:tt)*) => { $crate::output::say(format_args!($($part)*)) };
}

/// `eprintln!` that goes on where stderr is closed, and writes as [`printable`].
macro_rules! note {
    ($($part:tt)*) => { $crate::output::note(format_args!($($part)*)) };
}

/// See [`say!`].
pub fn say(line: fmt::Arguments<'_>) -> Result<()> {
    write_line(format_args!("{}", printable(&line.to_string())))
}

/// See [`note!`].
pub fn note(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{}", printable(&line.to_string()));
}

fn write_line(line: fmt::Arguments<'_>) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|e| StdoutError(e).into())
}

/// Text on one line that cannot steer a terminal: line breaks and tabs become spaces, other control characters and
/// those that turn the direction of text become `�`. A pack may come from anywhere.
pub fn printable(text: &str) -> Cow<'_, str> {
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(|c: char| c.is_control() || turns(c)) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| match c {
        '\t' | '\n' | '\r' => ' ',
        c if c.is_control() || turns(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// One line a match for people.
pub fn line(rank: usize, found: &Match) -> String {
    let record = &found.record;
    let by = if found.evidence.barcode { "barcode" } else { "" };
    let name = name(found);
    format!("{rank:>3}  {:>5.1} %  {:<14}  {name}  {by}", 100.0 * found.score, record.id)
        .trim_end()
        .to_owned()
}

/// Brand and title as a person would say them.
pub fn name(found: &Match) -> String {
    let record = &found.record;
    let title = if record.title.is_empty() { &record.id } else { &record.title };
    if record.brand.is_empty() || title.to_lowercase().contains(&record.brand.to_lowercase()) {
        title.clone()
    } else {
        format!("{} {title}", record.brand)
    }
}

/// `value` with so many decimals.
pub fn round(value: f64, decimals: i32) -> f64 {
    let unit = 10f64.powi(decimals);
    (value * unit).round() / unit
}
