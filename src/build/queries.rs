//! Queries with known answers, for `eval`.

use std::path::Path;

use super::table::{self, Row, RowError, Schema, TableError};

const SCHEMA: Schema = Schema {
    columns: "image, text, ids",
    known: &["image", "text", "ids"],
    required: &["ids"],
    attributes: false,
};

/// One query and its right products.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryRow {
    /// Line of the file the row starts in, from 1.
    pub line: u64,
    /// A photo, relative to the images folder.
    pub image: Option<String>,
    /// Words.
    pub text: Option<String>,
    /// The right products, at least one, none twice.
    pub ids: Vec<String>,
}

/// Why a query file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueriesError {
    /// The file is no table of queries.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A row is malformed.
    #[error("line {line}: {reason}")]
    Row {
        /// First line of the row.
        line: u64,
        /// Why.
        reason: RowError,
    },
    /// Neither a photo nor words.
    #[error("line {line}: neither image nor text; a query needs one of them")]
    NoQuery {
        /// First line of the row.
        line: u64,
    },
    /// No right product.
    #[error("line {line}: no ids; name the right products, separated by spaces")]
    NoIds {
        /// First line of the row.
        line: u64,
    },
}

/// Reads queries: CSV or JSONL with `image`, `text` and `ids` (ids separated by spaces; in JSONL also an array).
///
/// # Errors
/// The first [`QueriesError`] in the file.
pub fn read_queries(path: &Path) -> Result<Vec<QueryRow>, QueriesError> {
    queries(table::read(path, &SCHEMA)?)
}

fn queries(table: Vec<table::RowResult>) -> Result<Vec<QueryRow>, QueriesError> {
    table
        .into_iter()
        .map(|row| query(row.map_err(|(line, reason)| QueriesError::Row { line, reason })?))
        .collect()
}

fn query(mut row: Row) -> Result<QueryRow, QueriesError> {
    let line = row.line;
    let mut filled = |column| match row.take_text(column) {
        Ok(text) => Ok(Some(text).filter(|t| !t.is_empty())),
        Err(reason) => Err(QueriesError::Row { line, reason }),
    };
    let (image, text) = (filled("image")?, filled("text")?);
    if image.is_none() && text.is_none() {
        return Err(QueriesError::NoQuery { line });
    }
    let mut ids: Vec<String> = Vec::new();
    for id in row.take_list("ids") {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    if ids.is_empty() {
        return Err(QueriesError::NoIds { line });
    }
    Ok(QueryRow { line, image, text, ids })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<QueryRow>, QueriesError> {
        queries(table::parse(text.as_bytes(), None, &SCHEMA)?)
    }

    #[test]
    fn csv_and_jsonl_say_the_same() {
        let want = [
            QueryRow {
                line: 2,
                image: Some("q 1.jpg".into()),
                text: None,
                ids: vec!["a".into(), "b".into()],
            },
            QueryRow { line: 3, image: None, text: Some("red apple".into()), ids: vec!["c".into()] },
        ];
        assert_eq!(read("image,text,ids\nq 1.jpg,,a b a\n,red apple,c").unwrap(), want);
        let json = "\n{\"image\":\"q 1.jpg\",\"ids\":[\"a\",\"b\"]}\n{\"text\":\"red apple\",\"ids\":\"c\"}";
        assert_eq!(read(json).unwrap(), want);
    }

    #[test]
    fn says_what_is_wrong() {
        let check = |text, want: &str| {
            let found = read(text).unwrap_err().to_string();
            assert!(found.contains(want), "{found}");
        };
        check("image,text\nx,y", "no column \"ids\"");
        check("image,ids\n,y", "line 2: neither image nor text");
        check("image,ids\nx,", "line 2: no ids");
        check("image,ids\nx,y\nx", "line 3: 1 fields");
        check("image,ids,gtin\nx,y,z", "unknown column \"gtin\"");
        check("", "no rows");
    }
}
