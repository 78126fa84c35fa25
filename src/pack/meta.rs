//! The pack's description of itself: who built it, with which encoders and index, under which licences.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Largest meta section read, in bytes.
pub(super) const MAX_META_LEN: usize = 1 << 20;
const MAX_DIM: u32 = 8192;

/// Contents of the meta section, stored as JSON. Readers ignore fields they do not know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PackMeta {
    /// Format version, equal to the header's.
    pub format: u16,
    /// When it was built, in seconds since 1970; given by the builder so that builds can be repeated.
    pub created: u64,
    /// Program and version that built it.
    pub generator: String,
    /// Products, deleted ones included.
    pub product_count: u32,
    /// Rows of the image index.
    pub image_rows: u32,
    /// Rows of the text index.
    pub text_rows: u32,
    /// Encoder of the image index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<EncoderMeta>,
    /// Encoder of the text index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<EncoderMeta>,
    /// Product detector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector: Option<EncoderMeta>,
    /// How image vectors are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_index: Option<IndexMeta>,
    /// How text vectors are stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_index: Option<IndexMeta>,
    /// Licences of models and data inside.
    #[serde(default)]
    pub licences: Vec<LicenceMeta>,
}

/// One network of the pack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderMeta {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 over model, tokenizer and preprocessing, 64 lower-case hex digits.
    pub id: String,
    /// Components of its vectors; 0 for a detector.
    pub dim: u32,
    /// Vectors of encoders with an equal space can be compared; empty for a detector.
    #[serde(default)]
    pub space: String,
}

/// How vectors are stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IndexMeta {
    /// `flat`, `pq` or `rq`.
    pub kind: String,
    /// Bytes a vector, everything in its row counted.
    pub bytes_per_vector: u32,
    /// Parameters of the quantizer.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// Why the index is not the one asked for, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Check against exact search when it was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
}

/// A check of the index against exact search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Queries.
    pub sample: u32,
    /// Share of the exact ten nearest rows among the ten found, 0 to 1.
    pub recall_at_10: f64,
}

/// One licence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenceMeta {
    /// What it covers, such as `image encoder`.
    pub what: String,
    /// SPDX expression or name.
    pub licence: String,
    /// Whom to credit.
    #[serde(default)]
    pub attribution: String,
}

impl PackMeta {
    /// Parses and checks a meta section.
    pub(super) fn from_json(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MAX_META_LEN {
            return Err(format!("{} bytes, more than {MAX_META_LEN}", bytes.len()));
        }
        let meta: Self = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        for (kind, encoder) in [("image", &meta.image), ("text", &meta.text), ("detector", &meta.detector)] {
            let Some(encoder) = encoder else { continue };
            let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            if encoder.id.len() != 64 || !encoder.id.bytes().all(hex) {
                return Err(format!("the {kind} encoder's id is not 64 lower-case hex digits"));
            }
            if encoder.dim > MAX_DIM || (kind != "detector" && encoder.dim == 0) {
                return Err(format!("the {kind} encoder has {} dimensions", encoder.dim));
            }
        }
        for (kind, rows, index) in
            [("image", meta.image_rows, &meta.image_index), ("text", meta.text_rows, &meta.text_index)]
        {
            if rows > 0 && index.is_none() {
                return Err(format!("{rows} {kind} rows but no {kind} index"));
            }
            let recall = index.as_ref().and_then(|i| i.measured).map_or(0.0, |m| m.recall_at_10);
            if !(0.0..=1.0).contains(&recall) {
                return Err(format!("the {kind} index's measured recall is {recall}"));
            }
        }
        Ok(meta)
    }
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| char::from(DIGITS[usize::from(n & 15)]);
    bytes.iter().flat_map(|&b| [digit(b >> 4), digit(b)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> PackMeta {
        PackMeta {
            format: 1,
            image: Some(EncoderMeta { id: hex(&[0xab; 32]), dim: 4, ..Default::default() }),
            image_rows: 1,
            image_index: Some(IndexMeta {
                measured: Some(Measured { sample: 1, recall_at_10: 1.0 }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn round_trips_and_ignores_unknown_fields() {
        let json = serde_json::to_string(&meta()).unwrap();
        assert_eq!(PackMeta::from_json(json.as_bytes()).unwrap(), meta());
        let more = json.replacen('{', "{\"later\":[1,2],", 1);
        assert_eq!(PackMeta::from_json(more.as_bytes()).unwrap(), meta());
    }

    #[test]
    fn refuses_what_no_builder_writes() {
        type Change = fn(&mut PackMeta);
        let cases: &[(&str, Change)] = &[
            ("hex digits", |m| m.image.as_mut().unwrap().id = "AB".repeat(32)),
            ("hex digits", |m| m.image.as_mut().unwrap().id.truncate(63)),
            ("dimensions", |m| m.image.as_mut().unwrap().dim = 0),
            ("dimensions", |m| m.image.as_mut().unwrap().dim = 9000),
            ("no image index", |m| m.image_index = None),
            ("recall", |m| {
                m.image_index.as_mut().unwrap().measured = Some(Measured { sample: 1, recall_at_10: 1.5 });
            }),
        ];
        for (want, change) in cases {
            let mut m = meta();
            change(&mut m);
            let error = PackMeta::from_json(&serde_json::to_vec(&m).unwrap()).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
        assert!(PackMeta::from_json(b"[").is_err());
        assert!(PackMeta::from_json(&vec![b' '; MAX_META_LEN + 1]).is_err());
        assert!(PackMeta::from_json("[".repeat(100_000).as_bytes()).is_err());
    }
}
