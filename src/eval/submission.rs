//! Ranked lists as files, in the form the eProduct challenge takes: a line a query without a header, the query's name,
//! a comma, and up to ten ids separated by spaces, best first.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use super::scores::Ranking;
use crate::build::QueryRow;

/// Ids a line that is written; more are read.
pub const LENGTH: usize = 10;

/// Why a file of ranked lists is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmissionError {
    /// The file cannot be read, or is no UTF-8.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// Not `query,id id …`.
    #[error("line {line}: not 'query,id id …'")]
    Line {
        /// Line, from 1.
        line: usize,
    },
    /// A query or an id stands twice.
    #[error("line {line}: {what:?} stands twice")]
    Twice {
        /// Line, from 1.
        line: usize,
        /// The query or id.
        what: String,
    },
    /// A query of the query file has no list.
    #[error("no list for the query {name:?}")]
    Missing {
        /// The query.
        name: String,
    },
    /// A name that would break the line.
    #[error("{name:?} cannot stand in a submission: it holds a comma, a space or a quotation mark")]
    Name {
        /// The name.
        name: String,
    },
}

/// Writes one line a query.
///
/// # Errors
/// [`SubmissionError`] if a name does not fit the form or writing fails.
pub fn write<'a>(
    out: &mut dyn Write,
    lists: impl IntoIterator<Item = (String, Vec<&'a str>)>,
) -> Result<(), SubmissionError> {
    for (name, ranked) in lists {
        let ranked = &ranked[..ranked.len().min(LENGTH)];
        let breaks = |text: &str| text.contains([',', '"', '\n', '\r']);
        if breaks(&name) {
            return Err(SubmissionError::Name { name });
        }
        if let Some(id) = ranked.iter().find(|id| breaks(id) || id.contains(' ')) {
            return Err(SubmissionError::Name { name: (*id).to_owned() });
        }
        writeln!(out, "{name},{}", ranked.join(" "))?;
    }
    Ok(())
}

/// The lists of a file beside the answers of a query file, one for each query in its order.
///
/// # Errors
/// [`SubmissionError`] if the file is malformed or lacks a query.
pub fn read(path: &Path, queries: &[QueryRow]) -> Result<Vec<Ranking>, SubmissionError> {
    let text = std::fs::read_to_string(path)?;
    let mut lists: HashMap<&str, Vec<String>> = HashMap::new();
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let (name, ids) = text.split_once(',').ok_or(SubmissionError::Line { line })?;
        let ids: Vec<String> = ids.split_whitespace().map(str::to_owned).collect();
        if let Some(at) = (0..ids.len()).find(|&at| ids[..at].contains(&ids[at])) {
            return Err(SubmissionError::Twice { line, what: ids[at].clone() });
        }
        if lists.insert(name.trim(), ids).is_some() {
            return Err(SubmissionError::Twice { line, what: name.trim().to_owned() });
        }
    }
    queries
        .iter()
        .map(|query| {
            let name = query.name();
            let ranked = lists.remove(name.as_str()).ok_or(SubmissionError::Missing { name })?;
            Ok(ranking(ranked, query))
        })
        .collect()
}

/// A list beside the answers of its query.
pub(super) fn ranking(ranked: Vec<String>, query: &QueryRow) -> Ranking {
    Ranking { ranked, right: query.ids.iter().cloned().collect(), junk: query.junk.iter().cloned().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(id: &str, right: &str) -> QueryRow {
        QueryRow { id: Some(id.to_owned()), ids: vec![right.to_owned()], ..QueryRow::default() }
    }

    fn parse(text: &str, queries: &[QueryRow]) -> Result<Vec<Ranking>, SubmissionError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path(), queries)
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        let many: Vec<String> = (0..12).map(|i| format!("i{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        write(&mut bytes, [("q1".to_owned(), vec!["a", "b"]), ("q2".to_owned(), many)]).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, "q1,a b\nq2,i0 i1 i2 i3 i4 i5 i6 i7 i8 i9\n");
        let found = parse(&text, &[query("q2", "i3"), query("q1", "b")]).unwrap();
        assert_eq!(found[0].ranked.len(), 10);
        assert_eq!(found[1].ranked, ["a", "b"]);
        assert!(found[1].right.contains("b"));
    }

    #[test]
    fn says_what_is_wrong() {
        let queries = [query("q1", "a")];
        let check = |text: &str, want: &str| {
            let found = parse(text, &queries).unwrap_err().to_string();
            assert!(found.contains(want), "{found}");
        };
        check("", "no list for the query \"q1\"");
        check("q1 a b", "line 1: not 'query,id id …'");
        check("\nq1,a a", "line 2: \"a\" stands twice");
        check("q1,a\nq1,b", "line 2: \"q1\" stands twice");
        let name = write(&mut Vec::new(), [("a,b".to_owned(), vec![])]).unwrap_err().to_string();
        assert!(name.starts_with("\"a,b\" cannot stand"), "{name}");
        assert!(write(&mut Vec::new(), [("a".to_owned(), vec!["x y"])]).is_err());
    }
}
