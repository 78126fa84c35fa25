//! The library's types to those that cross the border.

use shelfsight::engine::{Effort as Done, Followed, FollowedItem, Found, Item, Match, Scan, Timings};
use shelfsight::fuse::Gtin;
use shelfsight::live::{Heat, Pace};
use shelfsight::options::Filter;
use shelfsight::pack::Record;
use shelfsight::{Cancel, Rect};

use crate::Failure;
use crate::types::{
    Area, Attribute, Condition, Effort, FollowSettings, HeatLevel, ItemRecord, MatchRecord, ProductRecord,
    Reply, StageTime,
};

pub(crate) fn filters(conditions: &[Condition], cancel: Option<&Cancel>) -> Result<Vec<Filter>, Failure> {
    let filter =
        |c: &Condition| Filter::any_of_until(&c.column, &c.values, cancel)?.ok_or(Failure::Cancelled);
    conditions.iter().map(filter).collect()
}

impl From<Area> for Rect {
    fn from(area: Area) -> Self {
        Self::new(area.x, area.y, area.width, area.height)
    }
}

impl From<Rect> for Area {
    fn from(rect: Rect) -> Self {
        Self { x: rect.x, y: rect.y, width: rect.w, height: rect.h }
    }
}

impl From<HeatLevel> for Heat {
    fn from(level: HeatLevel) -> Self {
        match level {
            HeatLevel::Nominal => Self::Nominal,
            HeatLevel::Fair => Self::Fair,
            HeatLevel::Serious => Self::Serious,
            HeatLevel::Critical => Self::Critical,
        }
    }
}

impl From<&FollowSettings> for Pace {
    fn from(s: &FollowSettings) -> Self {
        let FollowSettings { max_detections_per_second, duty, track, skip_unchanged, .. } = *s;
        Self { max_rate: max_detections_per_second, duty, track, skip_unchanged }
    }
}

impl From<Record> for ProductRecord {
    fn from(record: Record) -> Self {
        let Record { id, title, brand, category, gtin, description, attrs } = record;
        let gtin = gtin.map_or_else(String::new, |gtin| format!("{gtin:014}"));
        let attributes = attrs.into_iter().map(|(name, value)| Attribute { name, value }).collect();
        Self { id, title, brand, category, gtin, description, attributes }
    }
}

/// The record of a product to add.
pub(crate) fn record(product: ProductRecord) -> Result<Record, Failure> {
    let ProductRecord { id, title, brand, category, gtin, description, attributes } = product;
    let gtin = match gtin.trim() {
        "" => None,
        digits => Some(Gtin::parse(digits)?.as_u64()),
    };
    let attrs = attributes.into_iter().map(|a| (a.name, a.value)).collect();
    Ok(Record { id, title, brand, category, gtin, description, attrs })
}

fn matches(found: Vec<Match>) -> Vec<MatchRecord> {
    let record = |m: Match| MatchRecord {
        product: m.record.into(),
        score: m.score,
        looks: m.evidence.image,
        words: m.evidence.text,
        barcode: m.evidence.barcode,
    };
    found.into_iter().map(record).collect()
}

fn gtins(found: &[Gtin]) -> Vec<String> {
    found.iter().map(|gtin| format!("{:014}", gtin.as_u64())).collect()
}

fn times(ms: &Timings) -> Vec<StageTime> {
    ms.stages().iter().map(|&(stage, ms)| StageTime { stage: stage.to_owned(), ms }).collect()
}

pub(crate) fn found(found: Found) -> Reply {
    let (barcodes, times) = (gtins(&found.barcodes), times(&found.ms));
    Reply::Found { matches: matches(found.matches), barcodes, times }
}

pub(crate) fn scanned(scan: Scan, (width, height): (u32, u32)) -> Reply {
    let record = |item: Item| ItemRecord {
        area: item.rect.into(),
        detection: item.detection,
        track: 0,
        matches: matches(item.matches),
    };
    let (barcodes, times) = (gtins(&scan.barcodes), times(&scan.ms));
    let items = scan.items.into_iter().map(record).collect();
    Reply::Scanned { items, barcodes, times, effort: Effort::Detected, width, height }
}

pub(crate) fn followed(followed: Followed, (width, height): (u32, u32)) -> Reply {
    let record = |item: FollowedItem| ItemRecord {
        area: item.rect.into(),
        detection: item.detection,
        track: item.track,
        matches: matches(item.matches),
    };
    let effort = match followed.effort {
        Done::Unchanged => Effort::Unchanged,
        Done::Moved => Effort::Moved,
        Done::Detected => Effort::Detected,
    };
    let (barcodes, times) = (gtins(&followed.barcodes), times(&followed.ms));
    let items = followed.items.into_iter().map(record).collect();
    Reply::Scanned { items, barcodes, times, effort, width, height }
}
