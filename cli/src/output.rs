//! JSON and text forms of results. The JSON is stable: other tools read it.

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

/// Prints one JSON object.
pub fn print(value: &Value) {
    println!("{value}");
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
