//! CSV and JSONL files as rows of named cells, each row with its line number.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// One value: CSV gives texts, JSONL texts, lists and objects.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Text(String),
    /// A JSON number.
    Number(String),
    List(Vec<String>),
}

/// One data row: its first line in the file, counted from 1, and its cells by column; empty cells are left out.
#[derive(Debug)]
pub(crate) struct Row {
    pub line: u64,
    pub cells: BTreeMap<String, Cell>,
}

impl Row {
    /// Takes a text out; a number is written out.
    pub fn take_text(&mut self, column: &'static str) -> Result<String, RowError> {
        match self.cells.remove(column) {
            None => Ok(String::new()),
            Some(Cell::Text(text) | Cell::Number(text)) => Ok(text),
            Some(Cell::List(_)) => Err(RowError::Type { column: column.to_owned(), wanted: "a text" }),
        }
    }

    /// Takes a list out; a text is split at white space.
    pub fn take_list(&mut self, column: &'static str) -> Vec<String> {
        match self.cells.remove(column) {
            None => Vec::new(),
            Some(Cell::Text(text) | Cell::Number(text)) => {
                text.split_whitespace().map(str::to_owned).collect()
            }
            Some(Cell::List(items)) => items,
        }
    }
}

/// Why a file is no table at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Bytes that are no UTF-8.
    #[error("line {line} is not UTF-8; save the file as UTF-8")]
    Encoding {
        /// Line of the first bad byte.
        line: u64,
    },
    /// No header, or not a single row below it.
    #[error("the file holds no rows; it needs a header ({columns}) and at least one row")]
    Empty {
        /// Columns the header may have.
        columns: &'static str,
    },
    /// A JSON array of objects.
    #[error(
        "the file is a JSON array; write one JSON object a line, without brackets and commas around them"
    )]
    JsonArray,
    /// A column that means nothing here.
    #[error("unknown column {found:?} in line {line}; columns are {columns}")]
    UnknownColumn {
        /// Line it was met in.
        line: u64,
        /// The column.
        found: String,
        /// Columns there are.
        columns: &'static str,
    },
    /// Two columns of one name.
    #[error("column {found:?} stands twice in line {line}; remove one")]
    RepeatedColumn {
        /// Line it was met in.
        line: u64,
        /// The column.
        found: String,
    },
    /// A needed column is not in the header.
    #[error("no column {missing:?} in the header; columns are {columns}")]
    MissingColumn {
        /// The column.
        missing: &'static str,
        /// Columns there are.
        columns: &'static str,
    },
    /// A quotation mark opens in this row and never closes.
    #[error(
        "a quotation mark opened in the row of line {line} is never closed; double the mark inside texts"
    )]
    OpenQuote {
        /// First line of the row.
        line: u64,
    },
}

/// Why a row of a table is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// More or fewer fields than the header.
    #[error("{found} fields where the header has {wanted}; put quotation marks around values with commas")]
    Fields {
        /// Fields found.
        found: usize,
        /// Fields in the header.
        wanted: usize,
    },
    /// The line is no JSON object.
    #[error("not a whole JSON object: {reason}; write one object a line")]
    Json {
        /// What the parser says.
        reason: String,
    },
    /// A JSON value of the wrong type.
    #[error("{column} must be {wanted}")]
    Type {
        /// The column.
        column: String,
        /// The types allowed.
        wanted: &'static str,
    },
}

/// Characters of an unknown column's name that are shown: it may be a whole file of another kind.
const MAX_SHOWN: usize = 60;

/// What a file may hold.
pub(crate) struct Schema {
    /// For messages.
    pub columns: &'static str,
    /// Names of all columns but attributes.
    pub known: &'static [&'static str],
    /// Columns a CSV header must have.
    pub required: &'static [&'static str],
    /// Whether `attr.*` columns are allowed.
    pub attributes: bool,
    /// Names other data sets give these columns: theirs, then ours.
    pub aliases: &'static [(&'static str, &'static str)],
    /// Columns that are read over.
    pub ignored: &'static [&'static str],
}

impl Schema {
    /// Our name of a column.
    fn name(&self, column: &str) -> String {
        let ours = self.aliases.iter().find(|(theirs, _)| *theirs == column).map(|(_, ours)| *ours);
        ours.unwrap_or(column).to_owned()
    }

    fn allows(&self, column: &str) -> bool {
        let attribute = column.strip_prefix("attr.").is_some_and(|name| !name.is_empty());
        self.known.contains(&column) || self.ignored.contains(&column) || (self.attributes && attribute)
    }

    fn unknown(&self, line: u64, found: &str) -> TableError {
        let found = found.chars().take(MAX_SHOWN).collect();
        TableError::UnknownColumn { line, found, columns: self.columns }
    }
}

/// A row, or the line of a row that is refused and why.
pub(crate) type RowResult = Result<Row, (u64, RowError)>;

pub(crate) fn read(path: &Path, schema: &Schema) -> Result<Vec<RowResult>, TableError> {
    let bytes = std::fs::read(path).map_err(|source| TableError::Read { path: path.to_owned(), source })?;
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    let jsonl = match extension.as_str() {
        "csv" | "tsv" => Some(false),
        "jsonl" | "ndjson" => Some(true),
        _ => None,
    };
    parse(&bytes, jsonl, schema)
}

/// Reads a table; `jsonl` says the format, or `None` to tell by the first character.
pub(crate) fn parse(
    bytes: &[u8],
    jsonl: Option<bool>,
    schema: &Schema,
) -> Result<Vec<RowResult>, TableError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let good = &bytes[..e.valid_up_to()];
        TableError::Encoding { line: 1 + good.iter().filter(|&&b| b == b'\n').count() as u64 }
    })?;
    if jsonl != Some(false) && text.trim_start().starts_with('[') {
        return Err(TableError::JsonArray);
    }
    let rows = match jsonl.unwrap_or_else(|| text.trim_start().starts_with('{')) {
        true => parse_jsonl(text, schema)?,
        false => parse_csv(text, schema)?,
    };
    if rows.is_empty() {
        return Err(TableError::Empty { columns: schema.columns });
    }
    Ok(rows)
}

/// Stands alone in a line after the file's end: a row that swallows it has an open quotation mark.
const END_MARK: &str = "\u{1}\u{2}end of file\u{2}\u{1}";

fn parse_csv(text: &str, schema: &Schema) -> Result<Vec<RowResult>, TableError> {
    let header_line = text.trim_start().lines().next().unwrap_or("");
    let delimiter =
        [b',', b';', b'\t'].into_iter().find(|&d| header_line.contains(char::from(d))).unwrap_or(b',');
    let marked = format!("{text}\n{END_MARK}\n");
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .delimiter(delimiter)
        .from_reader(marked.as_bytes());
    let mut header: Option<Vec<String>> = None;
    let mut rows = Vec::new();
    let (mut line, mut counted) = (1, 0);
    for record in reader.records() {
        // The text is UTF-8, rows may be ragged and the bytes lie in memory: reading cannot fail.
        let Ok(record) = record else { break };
        // The reader's own line counter stands before the empty lines it skips.
        let at = record.position().map_or(counted, |position| position.byte() as usize);
        let start = at + marked.as_bytes()[at..].iter().take_while(|b| b"\r\n".contains(b)).count();
        line += marked.as_bytes()[counted..start].iter().filter(|&&b| b == b'\n').count() as u64;
        counted = start;
        if record.len() == 1 && &record[0] == END_MARK {
            break;
        }
        if record.iter().any(|field| field.contains(END_MARK)) {
            return Err(TableError::OpenQuote { line });
        }
        match &header {
            None => header = Some(csv_header(&record, line, schema)?),
            Some(header) => rows.extend(csv_row(&record, line, header)),
        }
    }
    Ok(rows)
}

fn csv_header(record: &csv::StringRecord, line: u64, schema: &Schema) -> Result<Vec<String>, TableError> {
    let header: Vec<String> = record.iter().map(|name| schema.name(name.trim())).collect();
    for (i, name) in header.iter().enumerate() {
        if !schema.allows(name) {
            return Err(schema.unknown(line, name));
        }
        if header[..i].contains(name) {
            return Err(TableError::RepeatedColumn { line, found: name.clone() });
        }
    }
    for &missing in schema.required {
        if !header.iter().any(|name| name == missing) {
            return Err(TableError::MissingColumn { missing, columns: schema.columns });
        }
    }
    Ok(header)
}

/// The row, or `None` for a line of nothing but separators, as spreadsheets leave at the end.
fn csv_row(record: &csv::StringRecord, line: u64, header: &[String]) -> Option<RowResult> {
    if record.iter().all(|field| field.trim().is_empty()) {
        return None;
    }
    if record.len() != header.len() {
        return Some(Err((line, RowError::Fields { found: record.len(), wanted: header.len() })));
    }
    let filled = header.iter().zip(record).filter(|(_, value)| !value.trim().is_empty());
    let cells = filled.map(|(name, value)| (name.clone(), Cell::Text(value.trim().to_owned()))).collect();
    Some(Ok(Row { line, cells }))
}

fn parse_jsonl(text: &str, schema: &Schema) -> Result<Vec<RowResult>, TableError> {
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let Pairs(object) = match serde_json::from_str(text) {
            Ok(object) => object,
            Err(e) => {
                // Its own "at line 1" would contradict the line in the file.
                let said = e.to_string();
                let reason = said.split(" at line ").next().unwrap_or_default();
                let reason = format!("{reason} at column {}", e.column());
                rows.push(Err((line, RowError::Json { reason })));
                continue;
            }
        };
        rows.push(json_row(object, line, schema)?);
    }
    Ok(rows)
}

/// The members of a JSON object in order, a key that stands twice among them: a map would keep the last in silence.
struct Pairs(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

fn json_row(
    object: Vec<(String, serde_json::Value)>,
    line: u64,
    schema: &Schema,
) -> Result<RowResult, TableError> {
    let mut flat = Vec::new();
    for (column, value) in object {
        match value {
            serde_json::Value::Object(inner) if column == "attr" && schema.attributes => {
                flat.extend(inner.into_iter().map(|(name, value)| (format!("attr.{name}"), value)));
            }
            value => flat.push((schema.name(&column), value)),
        }
    }
    let mut cells = BTreeMap::new();
    for (column, value) in flat {
        if !schema.allows(&column) {
            return Err(schema.unknown(line, &column));
        }
        let cell = match json_cell(value) {
            Ok(None) => continue,
            Ok(Some(cell)) => cell,
            Err(wanted) => return Ok(Err((line, RowError::Type { column, wanted }))),
        };
        if cells.insert(column.clone(), cell).is_some() {
            return Err(TableError::RepeatedColumn { line, found: column });
        }
    }
    Ok(Ok(Row { line, cells }))
}

/// The cell, `None` for an empty one, or the types that would do.
fn json_cell(value: serde_json::Value) -> Result<Option<Cell>, &'static str> {
    use serde_json::Value;
    Ok(match value {
        Value::Null => None,
        Value::String(text) => Some(text.trim().to_owned()).filter(|t| !t.is_empty()).map(Cell::Text),
        Value::Number(number) => Some(Cell::Number(exact(&number)?)),
        Value::Bool(value) => Some(Cell::Text(value.to_string())),
        Value::Array(items) => {
            let texts = items.into_iter().map(|item| match item {
                Value::String(text) => Ok(text.trim().to_owned()),
                Value::Number(number) => exact(&number),
                _ => Err("a text or a list of texts"),
            });
            let texts = texts.collect::<Result<Vec<_>, _>>()?;
            Some(Cell::List(texts.into_iter().filter(|t| !t.is_empty()).collect()))
        }
        Value::Object(_) => return Err("a text, a number or a list of texts"),
    })
}

/// A number's digits, unless reading it has changed them.
fn exact(number: &serde_json::Number) -> Result<String, &'static str> {
    // Integers up to 64 bits are kept whole; beyond, and with a fraction, a number is an f64.
    let lossy = number.is_f64() && number.as_f64().is_none_or(|value| value.abs() >= (1_u64 << 53) as f64);
    if lossy {
        Err("a text in quotation marks, where a number has so many digits")
    } else {
        Ok(number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: Schema = Schema {
        columns: "a, b, attr.*",
        known: &["a", "b"],
        required: &["a"],
        attributes: true,
        aliases: &[("ALPHA", "a")],
        ignored: &["OMEGA"],
    };

    fn rows(text: &str) -> Result<Vec<RowResult>, TableError> {
        parse(text.as_bytes(), None, &SCHEMA)
    }

    fn error(text: &str) -> String {
        rows(text).unwrap_err().to_string()
    }

    #[test]
    fn lines_are_those_of_the_file() {
        let rows = rows("\n\na,b\r\n\"one\ntwo\",x\r\n\r\n3,y").unwrap();
        let lines: Vec<u64> = rows.iter().map(|r| r.as_ref().unwrap().line).collect();
        assert_eq!(lines, [4, 7]);
        assert_eq!(rows[0].as_ref().unwrap().cells["a"], Cell::Text("one\ntwo".into()));
    }

    #[test]
    fn separators_of_spreadsheets() {
        for text in ["a,attr.x\n1,2", "a;attr.x\n1;2", "\u{feff}a\tattr.x\n1\t2\n\t\n", "a , attr.x\n 1 , 2 "]
        {
            let rows = rows(text).unwrap();
            assert_eq!(rows.len(), 1);
            assert_eq!(rows[0].as_ref().unwrap().cells["attr.x"], Cell::Text("2".into()), "{text:?}");
        }
    }

    #[test]
    fn other_names_of_columns() {
        for text in ["b,ALPHA\n1,2", "{\"b\":1,\"ALPHA\":\"2\"}"] {
            assert_eq!(rows(text).unwrap()[0].as_ref().unwrap().cells["a"], Cell::Text("2".into()), "{text}");
        }
        assert!(error("a,ALPHA\n1,2").contains("\"a\" stands twice"));
        assert_eq!(rows("a,OMEGA\n1,2").unwrap().len(), 1);
    }

    #[test]
    fn broken_tables() {
        assert!(error("").contains("no rows"));
        assert!(error("a,b\n").contains("no rows"));
        assert!(error("a,c\n1,2").contains("unknown column \"c\" in line 1"));
        assert!(error("a,attr.\n1,2").contains("unknown column"));
        assert!(error("a,a\n1,2").contains("twice"));
        assert!(error("b\n1").contains("no column \"a\""));
        assert!(error("a,b\n1,2\n3,\"4\n5,6\n").contains("line 3 is never closed"));
        assert!(error(&format!("{},a\n1,2", "x".repeat(9999))).len() < 200);
        assert!(error("[\n{\"a\":1}\n]").contains("JSON array"));
        assert!(error("{\"c\":1}").contains("unknown column \"c\" in line 1"));
        assert!(error("{\"attr.x\":1,\"attr\":{\"x\":2}}").contains("twice"));
        assert!(error("{\"a\":1,\"b\":2,\"a\":3}").contains("\"a\" stands twice"));
        let bad = parse(b"a,b\n1,\xff\n", None, &SCHEMA).unwrap_err();
        assert!(matches!(bad, TableError::Encoding { line: 2 }));
    }

    #[test]
    fn broken_rows_do_not_hide_the_others() {
        let rows = rows("a,b\n1\n1,2\n1,2,3").unwrap();
        assert_eq!(rows[0].as_ref().unwrap_err(), &(2, RowError::Fields { found: 1, wanted: 2 }));
        assert!(rows[1].is_ok());
        assert_eq!(rows[2].as_ref().unwrap_err(), &(4, RowError::Fields { found: 3, wanted: 2 }));
        let broken = parse(b"{\n\"a\":1}", None, &SCHEMA).unwrap();
        let said = broken[0].as_ref().unwrap_err().1.to_string();
        assert!(said.starts_with("not a whole JSON object: EOF") && said.contains("column 1;"), "{said}");
        let rows =
            parse(b"{\"a\":100000000000000000000001}\n{\"a\":18446744073709551615}", None, &SCHEMA).unwrap();
        let said = rows[0].as_ref().unwrap_err().1.to_string();
        assert_eq!(said, "a must be a text in quotation marks, where a number has so many digits");
        assert_eq!(rows[1].as_ref().unwrap().cells["a"], Cell::Number("18446744073709551615".into()));
        let rows = parse(b"{\"a\":1}\n[1]\n\n{\"a\":{}}\n{\"b\":[\"x\",2]}", Some(true), &SCHEMA).unwrap();
        assert_eq!(rows[0].as_ref().unwrap().cells["a"], Cell::Number("1".into()));
        assert!(matches!(rows[1], Err((2, RowError::Json { .. }))));
        assert!(matches!(rows[2], Err((4, RowError::Type { .. }))));
        assert_eq!(rows[3].as_ref().unwrap().cells["b"], Cell::List(vec!["x".into(), "2".into()]));
    }
}
