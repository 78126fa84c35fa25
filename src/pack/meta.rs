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
    /// The pack that this one was compacted from, together with its journal: one found beside this pack is done with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compacted_from: Option<FormerPack>,
}

/// A pack as its journal names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerPack {
    /// Checksum of its section table.
    pub table_crc: u32,
    /// Bytes of its file.
    pub bytes: u64,
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
    /// `flat`, `pq`, `opq`, `rq` or `trq`.
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Queries.
    pub sample: u32,
    /// Share of the exact ten nearest rows among the ten found, 0 to 1.
    pub recall_at_10: f64,
    /// Depths of search of inverted lists, each deeper one finding more; empty for an index that is searched whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<CurvePoint>,
}

/// What one depth of search found when the index was built, and how long it took there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Lists scanned.
    pub lists: u32,
    /// Rows whose whole code was looked at.
    pub refine: u32,
    /// Share of the exact ten nearest rows among the ten found, 0 to 1.
    pub recall_at_10: f64,
    /// Median time of a query on the machine that built the pack. Ratios carry over to a phone, times do not.
    pub microseconds: f64,
}

impl Measured {
    /// The shallowest depth that found at least `recall`, or else the deepest; `None` without a curve.
    pub fn depth_for_recall(&self, recall: f64) -> Option<&CurvePoint> {
        self.curve.iter().find(|p| p.recall_at_10 >= recall).or(self.curve.last())
    }

    /// The deepest depth that took at most `microseconds`, or else the shallowest; `None` without a curve.
    pub fn depth_for_time(&self, microseconds: f64) -> Option<&CurvePoint> {
        self.curve.iter().rfind(|p| p.microseconds <= microseconds).or(self.curve.first())
    }
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
            let measured = index.as_ref().and_then(|i| i.measured.as_ref());
            let curve = measured.map_or(&[][..], |m| &m.curve);
            for recall in measured.iter().map(|m| m.recall_at_10).chain(curve.iter().map(|p| p.recall_at_10))
            {
                if !(0.0..=1.0).contains(&recall) {
                    return Err(format!("the {kind} index's measured recall is {recall}"));
                }
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
                measured: Some(Measured { sample: 1, recall_at_10: 1.0, curve: Vec::new() }),
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
    fn a_depth_is_chosen_by_recall_or_time() {
        let point =
            |lists, recall_at_10, microseconds| CurvePoint { lists, refine: 50, recall_at_10, microseconds };
        let curve = vec![point(1, 0.6, 10.0), point(8, 0.9, 50.0), point(32, 0.95, 200.0)];
        let m = Measured { sample: 1, recall_at_10: 0.95, curve };
        let lists = |p: Option<&CurvePoint>| p.unwrap().lists;
        assert_eq!([0.5, 0.6, 0.61, 0.95, 0.99].map(|r| lists(m.depth_for_recall(r))), [1, 1, 8, 32, 32]);
        assert_eq!([5.0, 10.0, 60.0, 1e9].map(|t| lists(m.depth_for_time(t))), [1, 1, 8, 32]);
        assert!(Measured::default().depth_for_time(1.0).is_none());
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
                m.image_index.as_mut().unwrap().measured =
                    Some(Measured { sample: 1, recall_at_10: 1.5, curve: Vec::new() });
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
