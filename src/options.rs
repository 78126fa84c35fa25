//! What a caller may set for a query; the defaults are the good choice.

use std::collections::HashSet;
use std::sync::Arc;

use crate::cancel::{Cancel, cancelled};
use crate::geometry::Rect;
use crate::pack::RecordView;

/// Values of a filter taken in between two looks at the cancel flag: some hundred microseconds.
const STEP: usize = 1024;

/// Largest `top` a query may ask for.
pub const MAX_TOP: usize = 10_000;

/// Options of [`Engine::find`](crate::engine::Engine::find).
#[derive(Clone, Debug)]
pub struct FindOptions {
    /// Products to return, at most [`MAX_TOP`].
    pub top: usize,
    /// Only products that satisfy every condition.
    pub filters: Vec<Filter>,
    /// Part of the picture to look at, in upright pixels; the whole picture if `None`.
    pub region: Option<Rect>,
    /// Read barcodes from the picture (feature `barcode`).
    pub barcode: bool,
    /// How far to search a large catalogue.
    pub depth: Depth,
    /// Compare the picture with the first products cell by cell and order them anew. The pack must have been built for it.
    pub rerank: bool,
    /// Ends the query early once raised.
    pub cancel: Option<Cancel>,
}

/// How far to search an index of inverted lists, by what was measured when the pack was built. Other indexes are always
/// searched whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Depth {
    /// As far as it still finds noticeably more.
    #[default]
    Auto,
    /// Until this share of the ten nearest was found, 0 to 1.
    Recall(f64),
    /// As long as a query took this many microseconds on the machine that built the pack.
    Microseconds(f64),
}

impl Default for FindOptions {
    fn default() -> Self {
        Self {
            top: 10,
            filters: Vec::new(),
            region: None,
            barcode: true,
            depth: Depth::Auto,
            rerank: false,
            cancel: None,
        }
    }
}

/// Options of [`Engine::scan`](crate::engine::Engine::scan).
#[derive(Clone, Debug)]
pub struct ScanOptions {
    /// Products to return a box.
    pub top: usize,
    /// Only products that satisfy every condition.
    pub filters: Vec<Filter>,
    /// Boxes to look at, the most certain first.
    pub max_boxes: usize,
    /// Read barcodes from the picture (feature `barcode`).
    pub barcode: bool,
    /// Order the first products of each box anew, as [`FindOptions::rerank`].
    pub rerank: bool,
    /// Ends the scan early once raised.
    pub cancel: Option<Cancel>,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self { top: 3, filters: Vec::new(), max_boxes: 100, barcode: true, rerank: false, cancel: None }
    }
}

/// One condition on a catalogue column, as `category=Snacks`, `attr.colour=red|blue` or `brand!=Nordlys`. Any number of
/// values costs the same a product, and clones share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    column: Column,
    /// Whether the values are those that must not be there.
    not: bool,
    /// In lower case.
    values: Arc<HashSet<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    Id,
    Brand,
    Category,
    Attr(String),
}

/// A filter that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No `=`, or nothing on one side of it.
    #[error("filter '{text}' is not COLUMN=VALUE; write for example 'category=Snacks' or 'brand=A|B'")]
    Shape {
        /// The text given.
        text: String,
    },
    /// Nothing to compare with.
    #[error("the filter on {column} has an empty value; leave the filter out to accept every product")]
    NoValue {
        /// The column.
        column: String,
    },
    /// Not a column that can be filtered.
    #[error("filter column '{column}' is unknown; use id, brand, category or attr.NAME")]
    Column {
        /// The column given.
        column: String,
    },
}

impl std::str::FromStr for Filter {
    type Err = FilterError;

    /// `COLUMN=VALUE`, or `COLUMN=V1|V2` for any of several, or `COLUMN!=V1|V2` for none of them, which products without
    /// a value satisfy too; letter case does not matter.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        let shape = || FilterError::Shape { text: text.to_owned() };
        let (column, values) = text.split_once('=').ok_or_else(shape)?;
        let (column, not) = match column.strip_suffix('!') {
            Some(column) => (column, true),
            None => (column, false),
        };
        let values: HashSet<String> =
            values.split('|').map(|v| v.trim().to_lowercase()).filter(|v| !v.is_empty()).collect();
        let column = match column.trim() {
            "" => return Err(shape()),
            name => Column::named(name)?,
        };
        if values.is_empty() { Err(shape()) } else { Ok(Self { column, not, values: Arc::new(values) }) }
    }
}

impl Column {
    fn named(name: &str) -> Result<Self, FilterError> {
        Ok(match name {
            "id" => Self::Id,
            "brand" => Self::Brand,
            "category" => Self::Category,
            other => match other.strip_prefix("attr.") {
                Some(name) if !name.is_empty() => Self::Attr(name.to_owned()),
                _ => return Err(FilterError::Column { column: other.to_owned() }),
            },
        })
    }
}

impl Filter {
    /// One of `values` in `column` (`id`, `brand`, `category` or `attr.NAME`), letter case aside. Unlike the text form,
    /// values may hold any character.
    ///
    /// # Errors
    /// [`FilterError`] if the column cannot be filtered or there is no value.
    pub fn any_of<V: AsRef<str>>(column: &str, values: &[V]) -> Result<Self, FilterError> {
        Ok(Self::any_of_until(column, values, None)?.expect("nobody cancels it"))
    }

    /// As [`any_of`](Self::any_of), for lists so long that their query may be given up meanwhile: 100,000 values take tens
    /// of milliseconds on a phone. `None` once `cancel` is raised.
    ///
    /// # Errors
    /// As [`any_of`](Self::any_of).
    pub fn any_of_until<V: AsRef<str>>(
        column: &str,
        values: &[V],
        cancel: Option<&Cancel>,
    ) -> Result<Option<Self>, FilterError> {
        let name = column;
        let column = Column::named(name)?;
        let mut set = HashSet::with_capacity(values.len());
        for step in values.chunks(STEP) {
            if cancelled(cancel) {
                return Ok(None);
            }
            set.extend(step.iter().map(|v| v.as_ref().trim().to_lowercase()));
        }
        if set.is_empty() || set.contains("") {
            return Err(FilterError::NoValue { column: name.to_owned() });
        }
        Ok(Some(Self { column, not: false, values: Arc::new(set) }))
    }

    /// Whether a catalogue record satisfies this condition.
    pub fn accepts(&self, record: &RecordView<'_>) -> bool {
        self.accepts_with(record, &mut String::new())
    }

    /// As [`accepts`](Self::accepts), for many records: `lower` is memory to write in.
    pub(crate) fn accepts_with(&self, record: &RecordView<'_>, lower: &mut String) -> bool {
        let value = match &self.column {
            Column::Id => record.id(),
            Column::Brand => record.brand(),
            Column::Category => record.category(),
            Column::Attr(name) => record.attr(name),
        };
        let among = |value: &str| {
            lower.clear();
            lower.push_str(value);
            if value.is_ascii() {
                lower.make_ascii_lowercase();
            } else {
                *lower = lower.to_lowercase();
            }
            self.values.contains(lower.as_str())
        };
        value.is_some_and(among) != self.not
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::{Record, RecordsView, RecordsWriter};

    #[test]
    fn accepts_by_column() {
        let mut records = RecordsWriter::new();
        let record = Record {
            id: "a1".into(),
            brand: "Nordlys".into(),
            category: "Snacks".into(),
            attrs: vec![("colour".into(), "Red".into()), ("origin".into(), "ΦΆΡΟΣ".into())],
            ..Record::default()
        };
        records.push(&record).unwrap();
        let bytes = records.finish();
        let record = RecordsView::open(&bytes).unwrap().at(0).unwrap();
        for (text, want) in [
            ("category=snacks", true),
            ("category= Snacks ", true),
            ("brand=Other|nordlys", true),
            ("brand=Nord", false),
            ("attr.colour=red", true),
            ("attr.size=red", false),
            ("id=a1", true),
            ("brand!=Other|nordlys", false),
            ("brand!=Other", true),
            ("attr.size!=red", true),
            // Not ASCII; the last letter of a word has a small form of its own.
            ("attr.origin=Φάρος", true),
            ("attr.origin=ΦΆΡΟΣ|x", true),
            ("attr.origin=φάρο", false),
        ] {
            assert_eq!(text.parse::<Filter>().unwrap().accepts(&record), want, "{text}");
        }
    }

    #[test]
    fn any_of_takes_values_as_they_are() {
        let filter = Filter::any_of("category", &["a|b", " Snacks=Sweet "]).unwrap();
        assert_eq!(*filter.values, HashSet::from(["a|b", "snacks=sweet"].map(String::from)));
        assert!(Filter::any_of("attr.colour", &["red"]).is_ok());
        // Names are taken as they are too: no sign of the text form is read out of them.
        let odd = Filter::any_of("attr.colour!", &["red"]).unwrap();
        assert!(!odd.not && matches!(&odd.column, Column::Attr(name) if name == "colour!"));
        for column in ["brand!", "brand ", "category=x"] {
            assert!(Filter::any_of(column, &["x"]).is_err(), "{column}");
        }
        for (column, values) in
            [("title", vec!["x"]), ("brand", vec![]), ("brand", vec!["x", " "]), ("=", vec!["x"])]
        {
            assert!(Filter::any_of(column, &values).is_err(), "{column} {values:?}");
        }
    }

    #[test]
    fn long_lists_are_given_up_when_cancelled() {
        let ids: Vec<String> = (0..10_000).map(|i| i.to_string()).collect();
        let cancel = Cancel::new();
        let whole = Filter::any_of_until("id", &ids, Some(&cancel)).unwrap();
        assert_eq!(whole, Some(Filter::any_of("id", &ids).unwrap()));
        cancel.cancel();
        assert_eq!(Filter::any_of_until("id", &ids, Some(&cancel)), Ok(None));
        assert!(Filter::any_of_until("title", &ids, Some(&cancel)).is_err());
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        for text in ["category", "=x", "!=x", "category=", "category=|", "title=x", "attr.=x"] {
            assert!(text.parse::<Filter>().is_err(), "{text}");
        }
    }
}
