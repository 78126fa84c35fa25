//! What crosses the border: requests and replies.

use crate::FrameLayout;

/// How a pack is opened.
#[derive(Clone, Copy, Debug, uniffi::Record)]
pub struct OpenSettings {
    /// Read and check every byte now.
    pub verify: bool,
    /// Largest pack accepted, in bytes; `None` for the library's own limit.
    pub max_pack_bytes: Option<u64>,
    /// Most bytes that queries may hold at one time; `None` for no ceiling.
    pub max_memory_bytes: Option<u64>,
    /// Threads that run a network at once.
    pub threads: u32,
}

/// A condition on a catalogue column: the record's value is one of `values`, letter case aside.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Condition {
    /// `id`, `brand`, `category` or `attr.NAME`.
    pub column: String,
    /// Any of these.
    pub values: Vec<String>,
}

/// A box in pixels of the upright picture.
#[derive(Clone, Copy, Debug, uniffi::Record)]
pub struct Area {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

/// What to do with a frame.
#[derive(Clone, Debug, uniffi::Enum)]
pub enum Work {
    /// One product by picture, words, or both.
    Find {
        /// Words or a GTIN.
        text: Option<String>,
        /// Part of the picture to look at.
        region: Option<Area>,
        /// Products to return.
        top: u32,
        /// Compare the first products cell by cell.
        rerank: bool,
    },
    /// Many products a picture.
    Scan {
        /// Products a box.
        top: u32,
        /// Boxes to look at.
        max_boxes: u32,
        /// Compare the first products of each box cell by cell.
        rerank: bool,
    },
    /// One of a stream of frames, as the session's governor decides.
    Follow {
        /// From `follow`.
        session: u64,
    },
    /// Codes a picture of a product to add.
    Code,
}

/// A query.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Request {
    /// From `begin`.
    pub job: u64,
    /// How the planes lie; `None` if there is no picture.
    pub layout: Option<FrameLayout>,
    /// What is asked.
    pub work: Work,
    /// Only products that satisfy all of these; those of a session are its own.
    pub conditions: Vec<Condition>,
    /// Read barcodes.
    pub barcodes: bool,
}

/// An attribute of a product.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Attribute {
    /// Its name, without `attr.`.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A catalogue record.
#[derive(Clone, Debug, uniffi::Record)]
pub struct ProductRecord {
    /// The catalogue's own id.
    pub id: String,
    /// Name.
    pub title: String,
    /// Brand, or empty.
    pub brand: String,
    /// Category, or empty.
    pub category: String,
    /// 14 digits, or empty; of a product to add 8, 12, 13 or 14.
    pub gtin: String,
    /// Text, or empty.
    pub description: String,
    /// Further columns.
    pub attributes: Vec<Attribute>,
}

/// A product that matches.
#[derive(Clone, Debug, uniffi::Record)]
pub struct MatchRecord {
    /// Its record.
    pub product: ProductRecord,
    /// Probability that it is the one asked for.
    pub score: f32,
    /// Log-odds from looks.
    pub looks: Option<f32>,
    /// Log-odds from words.
    pub words: Option<f32>,
    /// A barcode names it.
    pub barcode: bool,
}

/// Milliseconds of a stage.
#[derive(Clone, Debug, uniffi::Record)]
pub struct StageTime {
    /// Its name.
    pub stage: String,
    /// Its milliseconds.
    pub ms: f64,
}

/// A product place in a picture.
#[derive(Clone, Debug, uniffi::Record)]
pub struct ItemRecord {
    /// Where.
    pub area: Area,
    /// Certainty of the detector.
    pub detection: f32,
    /// The same number from frame to frame for the same place; 0 outside a session.
    pub track: u64,
    /// Best first.
    pub matches: Vec<MatchRecord>,
}

/// What a session did with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum Effort {
    /// Nothing had changed: the last answer stands.
    Unchanged,
    /// Known boxes were moved along with the picture.
    Moved,
    /// Products were detected and new ones named.
    Detected,
}

/// An answer.
#[derive(Clone, Debug, uniffi::Enum)]
pub enum Reply {
    /// To [`Work::Find`].
    Found {
        /// Best first.
        matches: Vec<MatchRecord>,
        /// GTINs read.
        barcodes: Vec<String>,
        /// Time a stage.
        times: Vec<StageTime>,
    },
    /// To [`Work::Scan`] and [`Work::Follow`].
    Scanned {
        /// The most certain box first.
        items: Vec<ItemRecord>,
        /// GTINs read.
        barcodes: Vec<String>,
        /// Time a stage.
        times: Vec<StageTime>,
        /// What was done.
        effort: Effort,
        /// Width of the upright picture that boxes refer to.
        width: u32,
        /// Height of the upright picture.
        height: u32,
    },
    /// To [`Work::Code`].
    Coded {
        /// What `add` takes.
        code: Vec<u8>,
    },
}

/// What compacting made.
#[derive(Clone, Copy, Debug, uniffi::Record)]
pub struct CompactedPack {
    /// Products of the new pack.
    pub products: u32,
    /// Bytes of the old pack and its journal.
    pub before: u64,
    /// Bytes of the new pack.
    pub after: u64,
}

/// A licence of something in the pack.
#[derive(Clone, Debug, uniffi::Record)]
pub struct LicenceRecord {
    /// What it covers.
    pub what: String,
    /// SPDX expression or name.
    pub licence: String,
    /// Whom to credit.
    pub attribution: String,
}

/// What an open pack says of itself.
#[derive(Clone, Debug, uniffi::Record)]
pub struct PackSummary {
    /// Products, deleted ones left out.
    pub products: u32,
    /// Bytes of the file.
    pub bytes: u64,
    /// Format version.
    pub format: u32,
    /// Seconds since 1970.
    pub created: u64,
    /// Program that built it.
    pub generator: String,
    /// Pictures can be looked up.
    pub finds_pictures: bool,
    /// Words can be looked up.
    pub finds_words: bool,
    /// Many products can be found in one picture.
    pub scans: bool,
    /// Every licence inside.
    pub licences: Vec<LicenceRecord>,
    /// Categories in the catalogue, sorted, at most 1,000.
    pub categories: Vec<String>,
    /// Brands in the catalogue, sorted, at most 1,000.
    pub brands: Vec<String>,
}

/// How warm the device says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum HeatLevel {
    /// Cool.
    Nominal,
    /// Warm: work a little less.
    Fair,
    /// Hot: work much less.
    Serious,
    /// About to be throttled: show what is known, detect rarely.
    Critical,
}

/// How hard a session works.
#[derive(Clone, Debug, uniffi::Record)]
pub struct FollowSettings {
    /// Products a box.
    pub top: u32,
    /// Boxes to look at.
    pub max_boxes: u32,
    /// Only products that satisfy all of these.
    pub conditions: Vec<Condition>,
    /// Most detections a second.
    pub max_detections_per_second: f32,
    /// Largest share of the time spent working, `0..=1`.
    pub duty: f32,
    /// Bring boxes along between detections.
    pub track: bool,
    /// Answer a frame that has not changed with the last answer.
    pub skip_unchanged: bool,
}
