//! The catalogue a pack is built from: one row a product.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path};

use super::table::{self, Cell, Row, RowError, Schema, TableError};
use crate::fuse::gtin::{Gtin, GtinError};
use crate::pack::Record;

const SCHEMA: Schema = Schema {
    columns: "id, title, brand, category, gtin, images, description, attr.*",
    known: &["id", "title", "brand", "category", "gtin", "images", "description"],
    required: &["id"],
    attributes: true,
    // The metadata files of the eProduct benchmark.
    aliases: &[
        ("UUID", "id"),
        ("IMAGE_PATH", "images"),
        ("AUCT_TITL", "title"),
        ("META_CATEG_ID", "attr.category_1"),
        ("CATEG_LVL2_ID", "attr.category_2"),
        ("LEAF_CATEG_ID", "category"),
    ],
    ignored: &[],
};

/// One product.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CatalogueRow {
    /// Line of the file the row starts in, from 1.
    pub line: u64,
    /// Name of the product in results; unique and not empty.
    pub id: String,
    /// Product name; may be empty, as all texts below.
    pub title: String,
    /// Brand.
    pub brand: String,
    /// Category.
    pub category: String,
    /// The number under its barcode.
    pub gtin: Option<Gtin>,
    /// Pictures, as paths relative to the images folder, never leading out of it.
    pub images: Vec<String>,
    /// Free text.
    pub description: String,
    /// Values of the `attr.*` columns, by the name after the dot.
    pub attrs: BTreeMap<String, String>,
}

impl CatalogueRow {
    /// What a pack keeps of the product.
    pub fn record(&self) -> Record {
        Record {
            id: self.id.clone(),
            title: self.title.clone(),
            brand: self.brand.clone(),
            category: self.category.clone(),
            gtin: self.gtin.map(|gtin| gtin.as_u64()),
            description: self.description.clone(),
            attrs: self.attrs.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        }
    }
}

/// Why a catalogue is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// The file is no table of products.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A row is refused.
    #[error("line {line}: {reason}")]
    Row {
        /// First line of the row.
        line: u64,
        /// Why.
        reason: ProductError,
    },
}

/// Why one row of a catalogue is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProductError {
    /// The row is malformed.
    #[error(transparent)]
    Row(#[from] RowError),
    /// No id.
    #[error("no id; give each product a unique one")]
    NoId,
    /// A control character, such as a line break, in the id.
    #[error("a control character in the id {id:?}; remove it")]
    BadId {
        /// The id.
        id: String,
    },
    /// An id used before.
    #[error("id {id:?} stands in line {first} already; give each product a unique one")]
    DuplicateId {
        /// The id.
        id: String,
        /// Line it was first used in.
        first: u64,
    },
    /// A number that is no GTIN.
    #[error("gtin {text:?}: {reason}; correct it or leave it empty")]
    Gtin {
        /// The text in the file.
        text: String,
        /// What is wrong with it.
        reason: GtinError,
    },
    /// A picture path that leads out of the images folder.
    #[error("image {path:?}; paths must be relative to the images folder and stay inside it")]
    ImagePath {
        /// The path.
        path: String,
    },
}

/// Reads a catalogue: CSV (also with `;` or tabs) or JSONL, told by extension, else by content.
///
/// CSV needs a header with `id`; `images` is split at white space. In JSONL `images` may also be an array (for names
/// with spaces) and attributes an object `attr`. Metadata of the eProduct benchmark (`UUID`, `IMAGE_PATH`, `AUCT_TITL`,
/// `META_CATEG_ID`, `CATEG_LVL2_ID`, `LEAF_CATEG_ID`) is read as it is.
///
/// # Errors
/// The first [`CatalogueError`] in the file.
pub fn read_catalogue(path: &Path) -> Result<Vec<CatalogueRow>, CatalogueError> {
    let (rows, mut refused) = read_catalogue_partly(path)?;
    if refused.is_empty() {
        return Ok(rows);
    }
    let (line, reason) = refused.swap_remove(0);
    Err(CatalogueError::Row { line, reason })
}

/// Good rows, and the lines of bad ones with the reason, both in file order.
pub type PartlyRead = (Vec<CatalogueRow>, Vec<(u64, ProductError)>);

/// As [`read_catalogue`], but bad rows are set aside with their lines.
///
/// # Errors
/// [`CatalogueError::Table`] if the file as a whole makes no sense.
pub fn read_catalogue_partly(path: &Path) -> Result<PartlyRead, CatalogueError> {
    Ok(products(table::read(path, &SCHEMA)?))
}

fn products(table: Vec<table::RowResult>) -> PartlyRead {
    let (mut rows, mut refused) = (Vec::with_capacity(table.len()), Vec::new());
    let mut first_lines: HashMap<String, u64> = HashMap::new();
    for row in table {
        let line = row.as_ref().map_or_else(|(line, _)| *line, |row| row.line);
        let product = row.map_err(|(_, e)| e.into()).and_then(product);
        let product = product.and_then(|product| match first_lines.get(&product.id) {
            Some(&first) => Err(ProductError::DuplicateId { id: product.id, first }),
            None => Ok(product),
        });
        match product {
            Ok(product) => {
                first_lines.insert(product.id.clone(), line);
                rows.push(product);
            }
            Err(reason) => refused.push((line, reason)),
        }
    }
    (rows, refused)
}

fn product(mut row: Row) -> Result<CatalogueRow, ProductError> {
    let id = row.take_text("id")?;
    if id.is_empty() {
        return Err(ProductError::NoId);
    }
    if id.chars().any(char::is_control) {
        return Err(ProductError::BadId { id });
    }
    let gtin = gtin(&mut row)?;
    let images = row.take_list("images");
    if let Some(path) = images.iter().find(|path| leads_out(path)) {
        return Err(ProductError::ImagePath { path: path.clone() });
    }
    Ok(CatalogueRow {
        line: row.line,
        id,
        gtin,
        images,
        title: row.take_text("title")?,
        brand: row.take_text("brand")?,
        category: row.take_text("category")?,
        description: row.take_text("description")?,
        attrs: attributes(row.cells)?,
    })
}

fn gtin(row: &mut Row) -> Result<Option<Gtin>, ProductError> {
    // A JSON number cannot keep leading zeros, so its length says nothing.
    let number = matches!(row.cells.get("gtin"), Some(Cell::Number(_)));
    let text = row.take_text("gtin")?;
    if text.is_empty() {
        return Ok(None);
    }
    let gtin = if number { Gtin::parse(&format!("{text:0>14}")) } else { Gtin::parse(&text) };
    gtin.map(Some).map_err(|reason| ProductError::Gtin { text, reason })
}

/// What is left of a row once its known columns are taken.
fn attributes(cells: BTreeMap<String, Cell>) -> Result<BTreeMap<String, String>, RowError> {
    let pair = |(column, cell): (String, Cell)| match cell {
        Cell::Text(value) | Cell::Number(value) => {
            Ok((column.strip_prefix("attr.").unwrap_or(&column).to_owned(), value))
        }
        Cell::List(_) => Err(RowError::Type { column, wanted: "a text or a number" }),
    };
    cells.into_iter().map(pair).collect()
}

/// Whether a path is absolute, of another drive, or climbs with `..`, by the rules of Unix and of Windows alike: a
/// catalogue may be written on one and built on the other.
fn leads_out(path: &str) -> bool {
    let drive = path.as_bytes().get(1) == Some(&b':');
    drive
        || path.starts_with(['/', '\\'])
        || path.contains('\0')
        || path.split(['/', '\\']).any(|part| part == "..")
        || Path::new(path).components().any(|c| matches!(c, Component::Prefix(_) | Component::RootDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PartlyRead, TableError> {
        table::parse(text.as_bytes(), None, &SCHEMA).map(products)
    }

    fn good(text: &str) -> Vec<CatalogueRow> {
        let (rows, refused) = read(text).unwrap();
        assert_eq!(refused, []);
        rows
    }

    fn refused(text: &str) -> Vec<(u64, String)> {
        read(text).unwrap().1.into_iter().map(|(line, reason)| (line, reason.to_string())).collect()
    }

    fn apple() -> CatalogueRow {
        CatalogueRow {
            line: 2,
            id: "a-1".into(),
            title: "Apple, red".into(),
            brand: "Acme".into(),
            category: "Fruit".into(),
            gtin: Some(Gtin::parse("4006381333931").unwrap()),
            images: vec!["a/1.jpg".into(), "a/2.jpg".into()],
            description: "Sweet".into(),
            attrs: BTreeMap::from([("size".into(), "1 kg".into())]),
        }
    }

    #[test]
    fn csv_and_jsonl_say_the_same() {
        let csv = "id,title,brand,category,gtin,images,description,attr.size\n\
                   a-1,\"Apple, red\",Acme,Fruit,4006381333931,a/1.jpg  a/2.jpg,Sweet,1 kg\n";
        assert_eq!(good(csv), [apple()]);
        let line = |gtin, images, attr| {
            format!(
                r#"{{"id":"a-1","title":"Apple, red","brand":"Acme","category":"Fruit","gtin":{gtin},"images":{images},"description":"Sweet",{attr}}}"#
            )
        };
        for json in [
            line("4006381333931", r#""a/1.jpg a/2.jpg""#, r#""attr":{"size":"1 kg"}"#),
            line(r#""400-6381 333931""#, r#"["a/1.jpg","a/2.jpg"]"#, r#""attr.size":"1 kg","#)
                .replace(",}", "}"),
        ] {
            assert_eq!(good(&format!("\n{json}")), [apple()]);
        }
    }

    #[test]
    fn a_product_may_have_an_id_alone() {
        let rows = good("id\nx\ny");
        assert_eq!(rows[1], CatalogueRow { line: 3, id: "y".into(), ..CatalogueRow::default() });
        assert_eq!(good("{\"id\":7,\"title\":null,\"attr\":{\"organic\":true}}")[0].attrs["organic"], "true");
    }

    #[test]
    fn json_numbers_have_lost_their_leading_zeros() {
        assert_eq!(good("{\"id\":\"x\",\"gtin\":36000291452}")[0].gtin, Gtin::parse("036000291452").ok());
    }

    #[test]
    fn metadata_of_the_benchmark() {
        let text = "UUID,IMAGE_PATH,AUCT_TITL,META_CATEG_ID,CATEG_LVL2_ID,LEAF_CATEG_ID\n\
                    7f-1,ab/7f-1.JPEG,\"Lamp, brass\",11700,20697,112581\n7f-2,ab/7f-2.JPEG,,,,";
        let rows = good(text);
        assert_eq!((rows[0].id.as_str(), rows[0].title.as_str()), ("7f-1", "Lamp, brass"));
        assert_eq!(rows[0].images, ["ab/7f-1.JPEG"]);
        assert_eq!(rows[0].category, "112581");
        assert_eq!(rows[0].attrs["category_1"], "11700");
        assert_eq!((rows[1].images.len(), rows[1].title.as_str()), (1, ""));
    }

    #[test]
    fn names_with_spaces_in_jsonl() {
        assert_eq!(good("{\"id\":\"x\",\"images\":[\"my photo.jpg\"]}")[0].images, ["my photo.jpg"]);
    }

    #[test]
    fn bad_rows_are_named_with_their_lines() {
        let found = refused("id,gtin,images\nx,,\ny,4006381333932,\n,,a.jpg\nx,,\nz,,../a.jpg\nw,,b.jpg,c");
        let want = [
            (3, "gtin \"4006381333932\": check digit 2"),
            (4, "no id"),
            (5, "id \"x\" stands in line 2 already"),
            (6, "image \"../a.jpg\""),
            (7, "4 fields where the header has 3"),
        ];
        assert_eq!(found.len(), want.len());
        for ((line, text), (want_line, start)) in found.iter().zip(want) {
            assert_eq!(*line, want_line);
            assert!(text.starts_with(start), "{text}");
        }
    }

    #[test]
    fn json_rows_of_the_wrong_type() {
        let found =
            refused("{\"id\":[\"x\"]}\n{\"id\":\"y\",\"attr.a\":[\"x\"]}\n{\"id\":\"y\",\"title\":{}}");
        assert_eq!(found.len(), 3);
        assert!(found[1].1.starts_with("attr.a must be"));
    }

    #[test]
    fn paths_that_lead_out() {
        for path in ["/etc/x", "a/../../x", "..", "C:x.jpg", "\\\\host\\x", "a\\..\\x", "a\0b"] {
            assert!(leads_out(path), "{path}");
        }
        for path in ["a.jpg", "a/b.jpg", "./a.jpg", "..a/b..jpg", "ü 1.jpg"] {
            assert!(!leads_out(path), "{path}");
        }
    }

    #[test]
    fn from_files_the_first_error_counts() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            read_catalogue(&path)
        };
        assert_eq!(at("c.csv", "id\nx").unwrap().len(), 1);
        assert_eq!(at("c.JSONL", "{\"id\":\"x\"}").unwrap().len(), 1);
        assert_eq!(at("c.txt", "{\"id\":\"x\"}").unwrap().len(), 1);
        assert_eq!(at("d.csv", "id\nx\nx\n,").unwrap_err().to_string()[..10], *"line 3: id");
        assert!(matches!(at("e.csv", ""), Err(CatalogueError::Table(TableError::Empty { .. }))));
        let missing = read_catalogue(folder.path().join("none.csv").as_path()).unwrap_err();
        assert!(missing.to_string().contains("none.csv"));
        assert!(matches!(read_catalogue(folder.path()), Err(CatalogueError::Table(TableError::Read { .. }))));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            for jsonl in [Some(true), Some(false), None] {
                let _ = table::parse(&bytes, jsonl, &SCHEMA).map(products);
            }
        }

        #[test]
        fn any_text_in_a_quoted_cell_comes_back(title in "[^\u{1}\u{2}]{1,40}") {
            let quoted = title.replace('"', "\"\"");
            let rows = good(&format!("id,title\nx,\"{quoted}\"\n"));
            proptest::prop_assert_eq!(&rows[0].title, title.trim());
        }
    }
}
