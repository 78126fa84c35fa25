//! Queries with known answers, for `eval`.

use std::path::Path;

use super::table::{self, Row, RowError, Schema, TableError};

/// Columns of a query file that has answers.
const LABELLED: Schema = schema(&["ids"]);

/// Columns of a query file that may have none.
const UNLABELLED: Schema = schema(&[]);

const fn schema(required: &'static [&'static str]) -> Schema {
    Schema {
        columns: "id, image, text, ids, junk",
        known: &["id", "image", "text", "ids", "junk"],
        required,
        attributes: false,
        // The metadata files of the eProduct benchmark, where a query is a picture alone.
        aliases: &[("UUID", "id"), ("IMAGE_PATH", "image")],
        ignored: &["AUCT_TITL", "META_CATEG_ID", "CATEG_LVL2_ID", "LEAF_CATEG_ID"],
    }
}

/// One query and its right products.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryRow {
    /// Line of the file the row starts in, from 1.
    pub line: u64,
    /// Name of the query in submissions.
    pub id: Option<String>,
    /// A photo, relative to the images folder.
    pub image: Option<String>,
    /// Words.
    pub text: Option<String>,
    /// The right products; one that a photo shows several times may be named as often. Empty only where the file may
    /// have no answers.
    pub ids: Vec<String>,
    /// Products that are neither right nor wrong, taken out of the ranking before it is judged.
    pub junk: Vec<String>,
}

impl QueryRow {
    /// What to call the query: its id, its photo, or its line.
    pub fn name(&self) -> String {
        self.id.clone().or_else(|| self.image.clone()).unwrap_or_else(|| format!("line {}", self.line))
    }
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
    /// One product in two columns.
    #[error("line {line}: {id:?} is in ids and in junk; leave it in one of them")]
    RightAndJunk {
        /// First line of the row.
        line: u64,
        /// The product.
        id: String,
    },
    /// No right product.
    #[error("line {line}: no ids; name the right products, separated by spaces")]
    NoIds {
        /// First line of the row.
        line: u64,
    },
}

/// Reads queries with answers: CSV or JSONL with `image`, `text`, `ids` and, where wanted, `id` and `junk` (ids separated
/// by spaces; in JSONL also an array).
///
/// # Errors
/// The first [`QueriesError`] in the file.
pub fn read_queries(path: &Path) -> Result<Vec<QueryRow>, QueriesError> {
    let rows = queries(table::read(path, &LABELLED)?)?;
    match rows.iter().find(|row| row.ids.is_empty()) {
        Some(row) => Err(QueriesError::NoIds { line: row.line }),
        None => Ok(rows),
    }
}

/// As [`read_queries`], but answers may be missing, as in the query file of the eProduct benchmark.
///
/// # Errors
/// The first [`QueriesError`] in the file.
pub fn read_unlabelled_queries(path: &Path) -> Result<Vec<QueryRow>, QueriesError> {
    queries(table::read(path, &UNLABELLED)?)
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
    let (id, image, text) = (filled("id")?, filled("image")?, filled("text")?);
    if image.is_none() && text.is_none() {
        return Err(QueriesError::NoQuery { line });
    }
    let (ids, junk) = (row.take_list("ids"), row.take_list("junk"));
    if let Some(both) = ids.iter().find(|id| junk.contains(id)) {
        return Err(QueriesError::RightAndJunk { line, id: both.clone() });
    }
    Ok(QueryRow { line, id, image, text, ids, junk })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<QueryRow>, QueriesError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read_queries(file.path())
    }

    #[test]
    fn csv_and_jsonl_say_the_same() {
        let want = [
            QueryRow {
                line: 2,
                image: Some("q 1.jpg".into()),
                ids: vec!["a".into(), "b".into(), "a".into()],
                ..QueryRow::default()
            },
            QueryRow {
                line: 3,
                text: Some("red apple".into()),
                ids: vec!["c".into()],
                ..QueryRow::default()
            },
        ];
        assert_eq!(read("image,text,ids\nq 1.jpg,,a b a\n,red apple,c").unwrap(), want);
        let json =
            "\n{\"image\":\"q 1.jpg\",\"ids\":[\"a\",\"b\",\"a\"]}\n{\"text\":\"red apple\",\"ids\":\"c\"}";
        assert_eq!(read(json).unwrap(), want);
    }

    #[test]
    fn files_of_the_benchmark_have_no_answers() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "UUID,IMAGE_PATH,AUCT_TITL\n7f-1,ab/7f-1.JPEG,Lamp\n").unwrap();
        let found = read_unlabelled_queries(file.path()).unwrap();
        assert_eq!((found[0].name(), found[0].text.clone()), ("7f-1".to_owned(), None));
        assert_eq!(found[0].image.as_deref(), Some("ab/7f-1.JPEG"));
        let refused = read_queries(file.path()).unwrap_err().to_string();
        assert!(refused.contains("no column \"ids\""), "{refused}");
    }

    #[test]
    fn junk_is_neither_right_nor_wrong() {
        let found = read("id,image,ids,junk\nq,x.jpg,a,b c").unwrap();
        assert_eq!((found[0].name(), found[0].junk.clone()), ("q".to_owned(), vec!["b".into(), "c".into()]));
        let refused = read("image,ids,junk\nx.jpg,a b,b").unwrap_err().to_string();
        assert!(refused.starts_with("line 2: \"b\" is in ids and in junk"), "{refused}");
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
