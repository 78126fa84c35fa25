//! Ranked lists as files, in the form the eProduct challenge takes: a line a query without a header, the query's name,
//! a comma, and up to ten ids separated by spaces, best first.

use std::collections::{HashMap, HashSet};
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
    #[error(
        "line {line}: not 'query,id id …' (a name, a comma, ids separated by spaces, no quotation marks)"
    )]
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
    /// A list for a query that the query file does not have.
    #[error("line {line}: no query is named {name:?}; leave a header out")]
    Unknown {
        /// Line, from 1.
        line: usize,
        /// The name.
        name: String,
    },
    /// A query of the query file has no list.
    #[error("no list for the query {name:?}")]
    Missing {
        /// The query.
        name: String,
    },
    /// A name that would break the line.
    #[error(
        "{name:?} cannot stand in a submission: it holds a comma, white space or a quotation mark, or nothing"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Two queries of one name.
    #[error("two queries are named {name:?}; give them an id each")]
    SameName {
        /// The name.
        name: String,
    },
}

/// Whether these queries and products can stand in a submission, to know it before long work.
///
/// # Errors
/// [`SubmissionError::Name`] and [`SubmissionError::SameName`].
pub fn check<'a>(
    queries: &[QueryRow],
    products: impl IntoIterator<Item = &'a str>,
) -> Result<(), SubmissionError> {
    let mut names = HashSet::new();
    for name in queries.iter().map(QueryRow::name) {
        if breaks(&name) || name.is_empty() {
            return Err(SubmissionError::Name { name });
        }
        if !names.insert(name.clone()) {
            return Err(SubmissionError::SameName { name });
        }
    }
    match products.into_iter().find(|id| breaks(id) || id.contains(char::is_whitespace)) {
        Some(id) => Err(SubmissionError::Name { name: id.to_owned() }),
        None => Ok(()),
    }
}

fn breaks(text: &str) -> bool {
    text.contains([',', '"', '\n', '\r']) || text.trim() != text
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
        if breaks(&name) {
            return Err(SubmissionError::Name { name });
        }
        if let Some(id) = ranked.iter().find(|id| breaks(id) || id.contains(char::is_whitespace)) {
            return Err(SubmissionError::Name { name: (*id).to_owned() });
        }
        writeln!(out, "{name},{}", ranked.join(" "))?;
    }
    Ok(())
}

/// The lists of a file beside the answers of a query file, one for each query in its order.
///
/// # Errors
/// [`SubmissionError`] if the file is malformed, lacks a query or has one too many.
pub fn read(path: &Path, queries: &[QueryRow]) -> Result<Vec<Ranking>, SubmissionError> {
    let text = std::fs::read_to_string(path)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let names: HashSet<String> = queries.iter().map(QueryRow::name).collect();
    if names.len() < queries.len() {
        check(queries, [])?;
    }
    let mut lists: HashMap<&str, Vec<String>> = HashMap::new();
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let (name, ids) = text.split_once(',').ok_or(SubmissionError::Line { line })?;
        if ids.contains([',', '"']) || name.contains('"') {
            return Err(SubmissionError::Line { line });
        }
        if !names.contains(name.trim()) {
            return Err(SubmissionError::Unknown { line, name: name.trim().to_owned() });
        }
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
        assert!(write(&mut Vec::new(), [("a".to_owned(), vec!["x\u{a0}y"])]).is_err());
        check("q1,\"a b\"", "line 1: not 'query,id id …'");
        check("q1,a,b", "line 1: not 'query,id id …'");
        check("query,ids\nq1,a", "line 1: no query is named \"query\"");
        assert_eq!(parse("\u{feff}q1,a\r\n", &queries).unwrap()[0].ranked, ["a"]);
    }

    #[test]
    fn checked_before_the_work() {
        let queries = [query("q1", "a"), query("q2", "a")];
        super::check(&queries, ["a", "b-1"]).unwrap();
        assert!(matches!(super::check(&queries, ["a b"]), Err(SubmissionError::Name { .. })));
        let twice = [query("q1", "a"), query("q1", "b")];
        assert!(matches!(super::check(&twice, []), Err(SubmissionError::SameName { .. })));
        assert!(matches!(parse("q1,a", &twice), Err(SubmissionError::SameName { .. })));
        assert!(super::check(&[query("a,b", "a")], []).is_err());
    }
}
