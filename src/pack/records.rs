//! Products as a table of fixed-size entries over a table of shared strings.
//!
//! Everything is checked once by [`RecordsView::open`]; afterwards each field is found by arithmetic. The records of a large
//! pack are checked block by block as they are read, so that opening it takes no longer than opening a small one.
//! Repeated strings (brands, categories, attribute names) are stored once.

use super::blocks::Blocks;
use super::error::WritePackError;
use super::format::Le;
use std::collections::HashMap;

/// Bytes before the first entry.
pub const RECORDS_HEADER_LEN: usize = 32;
/// Bytes of one product's entry.
pub const RECORD_LEN: usize = 32;
/// Bytes of one attribute: its name and value.
pub const ATTR_LEN: usize = 8;
/// Largest GTIN: 14 digits.
pub const MAX_GTIN: u64 = 99_999_999_999_999;

/// One product of the catalogue. An empty string means the catalogue gives none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The catalogue's own id, never empty.
    pub id: String,
    /// Name a customer would recognise.
    pub title: String,
    /// Brand.
    pub brand: String,
    /// Category.
    pub category: String,
    /// GTIN normalised to 14 digits.
    pub gtin: Option<u64>,
    /// Free text.
    pub description: String,
    /// Further attributes, name and value, in the catalogue's order.
    pub attrs: Vec<(String, String)>,
}

/// Why a records section is malformed, or a record not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// Not as long as its counts say.
    #[error("{found} bytes, but the counts make {expected}")]
    Length {
        /// Bytes by its counts.
        expected: u64,
        /// Bytes.
        found: u64,
    },
    /// Reserved bytes are not zero.
    #[error("reserved bytes are not zero")]
    Reserved,
    /// String ends go backwards, leave the text, or string 0 is not empty.
    #[error("string {string} has a bad end")]
    StringEnd {
        /// The string.
        string: u32,
    },
    /// The text is not UTF-8, or a string cuts a character.
    #[error("string {string} is not UTF-8")]
    Utf8 {
        /// The string.
        string: u32,
    },
    /// A product or attribute names a string that is not there.
    #[error("product {product} names a string that does not exist")]
    StringNumber {
        /// The product.
        product: u32,
    },
    /// A product has no id.
    #[error("product {product} has no id")]
    NoId {
        /// The product.
        product: u32,
    },
    /// Attributes out of order.
    #[error("product {product} has a bad attribute range")]
    Attributes {
        /// The product.
        product: u32,
    },
    /// More than 14 digits.
    #[error("product {product} has GTIN {gtin}, of more than 14 digits")]
    Gtin {
        /// The product.
        product: u32,
        /// The value.
        gtin: u64,
    },
    /// There is no such product.
    #[error("there is no product {product}; the pack has {count}")]
    NoSuchProduct {
        /// The number asked for.
        product: u32,
        /// Products.
        count: u32,
    },
    /// A block that does not match its checksum, read for the first time, or a file that was changed while it was open.
    #[error(
        "product {product} cannot be read: the pack is damaged or was changed while it was open; copy it again"
    )]
    Damaged {
        /// The product.
        product: u32,
    },
}

/// Where things are in a records section that was checked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecordsLayout {
    count: u32,
    strings: u32,
    attrs: u32,
    attrs_at: usize,
    ends_at: usize,
    text_at: usize,
}

/// Products of a pack, borrowed from its bytes.
#[derive(Clone, Copy, Debug)]
pub struct RecordsView<'a> {
    bytes: &'a [u8],
    layout: RecordsLayout,
    /// Of a section that was not read when the pack was opened.
    blocks: Option<Blocks<'a>>,
}

impl<'a> RecordsView<'a> {
    /// Checks every count, number, range and character of a records section.
    ///
    /// # Errors
    /// [`RecordsError`], one a rule.
    pub fn open(bytes: &'a [u8]) -> Result<Self, RecordsError> {
        let view = Self { bytes, layout: RecordsLayout::read(bytes)?, blocks: None };
        view.check_strings()?;
        view.check_records()?;
        Ok(view)
    }

    /// A view of bytes that [`open`](Self::open) accepted before, or whose `blocks` are checked as they are read.
    pub(super) fn checked(bytes: &'a [u8], layout: RecordsLayout, blocks: Option<Blocks<'a>>) -> Self {
        Self { bytes, layout, blocks }
    }

    /// Bytes `from..to`, if they are there and as they were written.
    fn slice(&self, from: usize, to: usize) -> Option<&'a [u8]> {
        let slice = self.bytes.get(from..to)?;
        self.blocks.is_none_or(|blocks| blocks.intact(self.bytes, from, to)).then_some(slice)
    }

    pub(super) fn layout(&self) -> RecordsLayout {
        self.layout
    }

    /// Products.
    pub fn len(&self) -> u32 {
        self.layout.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.layout.count == 0
    }

    /// A product, its strings copied.
    ///
    /// # Errors
    /// [`RecordsError::NoSuchProduct`]; [`RecordsError::Damaged`] if the file was overwritten in place, or is large and
    /// not what was written.
    pub fn get(&self, product: u32) -> Result<Record, RecordsError> {
        let r = self.at(product)?;
        let read = || {
            Some(Record {
                id: r.id()?.into(),
                title: r.title()?.into(),
                brand: r.brand()?.into(),
                category: r.category()?.into(),
                gtin: r.gtin(),
                description: r.description()?.into(),
                attrs: r
                    .pairs()
                    .map(|pair| pair.map(|(k, v)| (k.into(), v.into())))
                    .collect::<Option<_>>()?,
            })
        };
        read().ok_or(RecordsError::Damaged { product })
    }

    /// A product whose fields are read only when asked for, without copies: for filters.
    ///
    /// # Errors
    /// [`RecordsError::NoSuchProduct`], [`RecordsError::Damaged`] for its entry; strings are looked at when they are read.
    pub fn at(&self, product: u32) -> Result<RecordView<'a>, RecordsError> {
        if product >= self.layout.count {
            return Err(RecordsError::NoSuchProduct { product, count: self.layout.count });
        }
        let at = RECORDS_HEADER_LEN + product as usize * RECORD_LEN;
        self.slice(at, at + RECORD_LEN).ok_or(RecordsError::Damaged { product })?;
        Ok(RecordView { all: *self, product, at })
    }

    fn string(&self, number: u32) -> Option<&'a str> {
        let end_of = |n: u32| {
            let at = self.layout.ends_at + n as usize * 4;
            Some(Le(self.slice(at, at + 4)?).u32(0)? as usize)
        };
        let start = if number == 0 { 0 } else { end_of(number - 1)? };
        let (from, end) = (self.layout.text_at + start, end_of(number)?);
        std::str::from_utf8(self.slice(from, self.layout.text_at + end)?).ok()
    }

    fn check_strings(&self) -> Result<(), RecordsError> {
        let text = self.bytes.get(self.layout.text_at..).unwrap_or_default();
        let ends = self.bytes.get(self.layout.ends_at..self.layout.text_at).unwrap_or_default();
        let ends = ends.as_chunks::<4>().0.iter().map(|e| u32::from_le_bytes(*e) as usize);
        let text = std::str::from_utf8(text).map_err(|e| {
            let string = ends.clone().position(|end| end > e.valid_up_to()).unwrap_or_default();
            RecordsError::Utf8 { string: string as u32 }
        })?;
        let mut last = 0;
        for (string, end) in ends.enumerate() {
            let string = string as u32;
            if end < last || end > text.len() || (string == 0 && end != 0) {
                return Err(RecordsError::StringEnd { string });
            }
            if !text.is_char_boundary(end) {
                return Err(RecordsError::Utf8 { string });
            }
            last = end;
        }
        // Text past the last string would be bytes no reader can reach.
        if last != text.len() || self.layout.strings == 0 {
            return Err(RecordsError::StringEnd { string: self.layout.strings });
        }
        Ok(())
    }

    fn check_records(&self) -> Result<(), RecordsError> {
        let RecordsLayout { count, strings, attrs, attrs_at, ends_at, .. } = self.layout;
        let records = self.bytes.get(RECORDS_HEADER_LEN..attrs_at).unwrap_or_default();
        let mut attr_from = 0;
        for (product, entry) in (0..count).zip(records.as_chunks::<RECORD_LEN>().0) {
            let le = Le(entry);
            let number = |field: usize| le.u32(field * 4).unwrap_or(u32::MAX);
            if (0..5).any(|field| number(field) >= strings) {
                return Err(RecordsError::StringNumber { product });
            }
            if self.string(number(0)).is_none_or(str::is_empty) {
                return Err(RecordsError::NoId { product });
            }
            let from = number(5);
            if from < attr_from || from > attrs || (product == 0 && from != 0) {
                return Err(RecordsError::Attributes { product });
            }
            attr_from = from;
            let gtin = le.u64(24).unwrap_or(u64::MAX);
            if gtin > MAX_GTIN {
                return Err(RecordsError::Gtin { product, gtin });
            }
        }
        if count == 0 && attrs != 0 {
            return Err(RecordsError::Attributes { product: 0 });
        }
        let pairs = self.bytes.get(attrs_at..ends_at).unwrap_or_default();
        for (i, number) in pairs.as_chunks::<4>().0.iter().enumerate() {
            if u32::from_le_bytes(*number) >= strings {
                return Err(RecordsError::StringNumber { product: self.owner_of_attr(i / 2) });
            }
        }
        Ok(())
    }

    /// The last product whose attributes begin at or before `attr`; for messages only.
    fn owner_of_attr(&self, attr: usize) -> u32 {
        let le = Le(self.bytes);
        let from = |p: u32| le.u32(RECORDS_HEADER_LEN + p as usize * RECORD_LEN + 20).unwrap_or(u32::MAX);
        (0..self.layout.count).rev().find(|&p| from(p) as usize <= attr).unwrap_or_default()
    }
}

impl RecordsLayout {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, RecordsError> {
        let found = bytes.len() as u64;
        let short = RecordsError::Length { expected: RECORDS_HEADER_LEN as u64, found };
        let le = Le(bytes);
        let ((count, strings), attrs) = le.u32(0).zip(le.u32(4)).zip(le.u32(8)).ok_or(short)?;
        let text_len = le.u64(16).ok_or(short)?;
        if le.u32(12) != Some(0) || le.u64(24).ok_or(short)? != 0 {
            return Err(RecordsError::Reserved);
        }
        let attrs_at = RECORDS_HEADER_LEN as u64 + u64::from(count) * RECORD_LEN as u64;
        let ends_at = attrs_at + u64::from(attrs) * ATTR_LEN as u64;
        let text_at = ends_at + u64::from(strings) * 4;
        let expected = text_at.saturating_add(text_len);
        if expected != found {
            return Err(RecordsError::Length { expected, found });
        }
        // The sum equals the slice's length, so each part fits in usize.
        let (attrs_at, ends_at, text_at) = (attrs_at as usize, ends_at as usize, text_at as usize);
        Ok(Self { count, strings, attrs, attrs_at, ends_at, text_at })
    }
}

/// One product, read field by field.
///
/// Fields are `None` only if the file was overwritten in place after it was opened.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    all: RecordsView<'a>,
    product: u32,
    at: usize,
}

impl<'a> RecordView<'a> {
    fn field(&self, field: usize) -> Option<&'a str> {
        // The entry was looked at when the view was made.
        self.all.string(Le(self.all.bytes).u32(self.at + field * 4)?)
    }

    /// The catalogue's own id.
    pub fn id(&self) -> Option<&'a str> {
        self.field(0)
    }

    /// Title.
    pub fn title(&self) -> Option<&'a str> {
        self.field(1)
    }

    /// Brand.
    pub fn brand(&self) -> Option<&'a str> {
        self.field(2)
    }

    /// Category.
    pub fn category(&self) -> Option<&'a str> {
        self.field(3)
    }

    /// Description.
    pub fn description(&self) -> Option<&'a str> {
        self.field(4)
    }

    /// GTIN, if the product has one.
    pub fn gtin(&self) -> Option<u64> {
        Le(self.all.bytes).u64(self.at + 24).filter(|&g| g != 0)
    }

    /// Attributes, name and value.
    pub fn attrs(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.pairs().flatten()
    }

    /// Attributes, `None` for those that cannot be read.
    fn pairs(&self) -> impl Iterator<Item = Option<(&'a str, &'a str)>> + use<'a> {
        let all = self.all;
        let number = move |at: usize| Le(all.slice(at, at + 4)?).u32(0);
        let range = || {
            let last = self.product + 1 == all.layout.count;
            let to = if last { all.layout.attrs } else { number(self.at + RECORD_LEN + 20)? };
            Some(number(self.at + 20)?..to.min(all.layout.attrs))
        };
        let (range, lost) = range().map_or((0..0, Some(None)), |range| (range, None));
        let pairs = range.map(move |i| {
            let at = all.layout.attrs_at + i as usize * ATTR_LEN;
            Some((all.string(number(at)?)?, all.string(number(at + 4)?)?))
        });
        pairs.chain(lost)
    }

    /// The value of one attribute.
    pub fn attr(&self, name: &str) -> Option<&'a str> {
        self.attrs().find(|(k, _)| *k == name).map(|(_, v)| v)
    }
}

/// Collects products and lays them out.
#[derive(Debug)]
pub struct RecordsWriter {
    numbers: HashMap<String, u32>,
    ends: Vec<u32>,
    text: Vec<u8>,
    records: Vec<u8>,
    attrs: Vec<u8>,
}

impl Default for RecordsWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl RecordsWriter {
    /// No products yet.
    pub fn new() -> Self {
        Self {
            numbers: HashMap::from([(String::new(), 0)]),
            ends: vec![0],
            text: Vec::new(),
            records: Vec::new(),
            attrs: Vec::new(),
        }
    }

    /// Products so far.
    pub fn len(&self) -> usize {
        self.records.len() / RECORD_LEN
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Adds a product; its number is the count before.
    ///
    /// # Errors
    /// [`WritePackError::Record`] for an empty id, a GTIN of more than 14 digits, or more than 4 GiB of text.
    pub fn push(&mut self, record: &Record) -> Result<u32, WritePackError> {
        let index = self.len();
        let refuse = |what| WritePackError::Record { index, what };
        if record.id.is_empty() {
            return Err(refuse("its id is empty"));
        }
        if record.gtin.is_some_and(|g| g == 0 || g > MAX_GTIN) {
            return Err(refuse("its GTIN is not 1 to 14 digits"));
        }
        let number = u32::try_from(index).ok().filter(|&n| n < u32::MAX);
        let number = number.ok_or(refuse("there are too many products"))?;
        let attrs_from = u32::try_from(self.attrs.len() / ATTR_LEN);
        let attrs_from = attrs_from.map_err(|_| refuse("there are too many attributes"))?;
        let text = || refuse("the catalogue's text is longer than 4 GiB");
        let mut entry = [0; RECORD_LEN];
        let fields = [&record.id, &record.title, &record.brand, &record.category, &record.description];
        for (slot, field) in entry.chunks_exact_mut(4).zip(fields) {
            slot.copy_from_slice(&self.intern(field).ok_or_else(text)?.to_le_bytes());
        }
        entry[20..24].copy_from_slice(&attrs_from.to_le_bytes());
        entry[24..32].copy_from_slice(&record.gtin.unwrap_or(0).to_le_bytes());
        for part in record.attrs.iter().flat_map(|(name, value)| [name, value]) {
            let string = self.intern(part).ok_or_else(text)?;
            self.attrs.extend(string.to_le_bytes());
        }
        self.records.extend(entry);
        Ok(number)
    }

    fn intern(&mut self, s: &str) -> Option<u32> {
        if let Some(&number) = self.numbers.get(s) {
            return Some(number);
        }
        let end = u32::try_from(self.text.len().checked_add(s.len())?).ok()?;
        let number = u32::try_from(self.ends.len()).ok()?;
        self.text.extend(s.as_bytes());
        self.ends.push(end);
        self.numbers.insert(s.to_owned(), number);
        Some(number)
    }

    /// The section's bytes.
    pub fn finish(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(
            RECORDS_HEADER_LEN
                + self.records.len()
                + self.attrs.len()
                + self.ends.len() * 4
                + self.text.len(),
        );
        // push() keeps each count below 2^32.
        for count in [self.len(), self.ends.len(), self.attrs.len() / ATTR_LEN, 0] {
            out.extend((count as u32).to_le_bytes());
        }
        out.extend((self.text.len() as u64).to_le_bytes());
        out.extend([0; 8]);
        out.extend(self.records);
        out.extend(self.attrs);
        out.extend(self.ends.iter().flat_map(|e| e.to_le_bytes()));
        out.extend(self.text);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(id: &str, attrs: &[(&str, &str)]) -> Record {
        Record {
            id: id.into(),
            title: format!("Title of {id}"),
            brand: "Öko".into(),
            category: "Milk".into(),
            gtin: Some(4_006_381_333_931),
            description: String::new(),
            attrs: attrs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect(),
        }
    }

    fn written(records: &[Record]) -> Vec<u8> {
        let mut w = RecordsWriter::new();
        for r in records {
            w.push(r).unwrap();
        }
        w.finish()
    }

    #[test]
    fn round_trips_and_shares_strings() {
        let records = [
            record("a", &[("size", "1 l"), ("organic", "yes")]),
            record("b", &[]),
            record("ç", &[("size", "1 l")]),
        ];
        let bytes = written(&records);
        let view = RecordsView::open(&bytes).unwrap();
        for (i, r) in records.iter().enumerate() {
            assert_eq!(&view.get(i as u32).unwrap(), r);
        }
        assert_eq!(view.at(0).unwrap().attr("organic"), Some("yes"));
        assert_eq!(view.at(2).unwrap().attr("organic"), None);
        assert_eq!(view.get(3), Err(RecordsError::NoSuchProduct { product: 3, count: 3 }));
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.matches("Milk").count(), 1);
    }

    #[test]
    fn refuses_what_cannot_be_stored() {
        let mut w = RecordsWriter::new();
        assert!(w.push(&Record::default()).is_err());
        assert!(w.push(&Record { gtin: Some(MAX_GTIN + 1), ..record("a", &[]) }).is_err());
        assert!(w.push(&Record { gtin: Some(0), ..record("a", &[]) }).is_err());
        assert_eq!(w.push(&record("a", &[])).unwrap(), 0);
    }

    #[test]
    fn each_rule_has_its_error() {
        let good = written(&[record("é", &[("size", "1 l")]), record("b", &[("x", "y")])]);
        let attrs = RECORDS_HEADER_LEN + 2 * RECORD_LEN;
        let ends = attrs + 2 * ATTR_LEN;
        let poke = |at: usize, value: u32| {
            let mut bytes = good.clone();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            RecordsView::open(&bytes).map(|_| ()).unwrap_err()
        };
        assert!(matches!(poke(0, u32::MAX), RecordsError::Length { .. }));
        assert!(matches!(poke(20, u32::MAX), RecordsError::Length { .. }));
        assert_eq!(poke(12, 1), RecordsError::Reserved);
        assert_eq!(poke(28, 1), RecordsError::Reserved);
        assert_eq!(poke(32, 999), RecordsError::StringNumber { product: 0 });
        assert_eq!(poke(64, 0), RecordsError::NoId { product: 1 });
        assert_eq!(poke(32 + 20, 1), RecordsError::Attributes { product: 0 });
        assert_eq!(poke(64 + 20, 9), RecordsError::Attributes { product: 1 });
        assert!(matches!(poke(32 + 28, u32::MAX), RecordsError::Gtin { product: 0, .. }));
        assert_eq!(poke(attrs + 8, 999), RecordsError::StringNumber { product: 1 });
        assert_eq!(poke(ends, 2), RecordsError::StringEnd { string: 0 });
        assert_eq!(poke(ends + 4, 1), RecordsError::Utf8 { string: 1 });
        assert_eq!(poke(ends + 4, 9999), RecordsError::StringEnd { string: 1 });
        for len in 0..good.len() {
            assert!(matches!(RecordsView::open(&good[..len]), Err(RecordsError::Length { .. })));
        }
        let mut broken = good.clone();
        *broken.last_mut().unwrap() = 0xff;
        assert!(matches!(RecordsView::open(&broken), Err(RecordsError::Utf8 { .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_records_round_trip(rows in prop::collection::vec(
            (".{1,8}", ".{0,12}", "[ab]{0,2}", 0u64..=MAX_GTIN, prop::collection::vec((".{0,4}", ".{0,4}"), 0..4)), 0..12)) {
            let records: Vec<_> = rows.into_iter().map(|(id, title, brand, gtin, attrs)| Record {
                id, title, brand, gtin: (gtin != 0).then_some(gtin), attrs, ..Record::default()
            }).collect();
            let bytes = written(&records);
            let view = RecordsView::open(&bytes).unwrap();
            prop_assert_eq!(view.len() as usize, records.len());
            for (i, r) in records.iter().enumerate() {
                prop_assert_eq!(&view.get(i as u32).unwrap(), r);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_read(mut bytes in prop::collection::vec(any::<u8>(), 0..200), small in any::<bool>()) {
            if small {
                for (at, b) in bytes.iter_mut().enumerate() {
                    if at % 4 != 0 { *b = 0 } else { *b %= 4 }
                }
            }
            if let Ok(view) = RecordsView::open(&bytes) {
                for i in 0..view.len() {
                    prop_assert!(view.get(i).is_ok());
                }
            }
        }
    }
}
