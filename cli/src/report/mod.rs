//! One HTML file that shows what happened: tiles, tables, charts, pictures. Nothing is loaded from elsewhere, no script
//! runs, every text is escaped, and it reads on a phone and in the dark.
//!
//! ```ignore
//! let mut report = Report::new("Shelf scan", "36 products on one photo, pack of 300 products.");
//! report.tiles(&[Tile::new("Found", "52 of 57").note("recall 0.91").tone(Tone::Good)]);
//! report.section("Where time goes", "Median of 5 scans, one core.");
//! report.bars("A stage", "ms", &[("detect".into(), 18.2), ("encode".into(), 212.0)]);
//! report.section("The shelf", "");
//! report.figure(&Picture::jpeg(&annotated, 1600, 82, "Annotated shelf")?, "Green: right. Red: wrong.");
//! report.write(Path::new("report.html"))?;
//! ```

mod chart;
mod gallery;
mod picture;

use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

pub use chart::Series;
pub use gallery::{Answer, Case};
pub use picture::Picture;

use crate::files;

/// What a figure says about the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Tone {
    /// Neither.
    #[default]
    Plain,
    /// As wished.
    Good,
    /// To look at.
    Bad,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }
}

/// A figure that stands out.
#[derive(Clone, Debug)]
pub struct Tile {
    label: String,
    value: String,
    note: String,
    tone: Tone,
}

impl Tile {
    /// A label and its value with the unit.
    pub fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into(), note: String::new(), tone: Tone::Plain }
    }

    /// A line under the value.
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    /// Colours the tile.
    pub fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

/// Rows under column titles. A column whose cells all begin like numbers is set to the right.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of columns.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: vec![] }
    }

    /// Adds a row; cells beyond the columns are dropped, missing ones are empty.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) -> &mut Self {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
        self
    }

    fn render(&self) -> Markup {
        let numeric = |i: usize| {
            let number = |s: &String| {
                s.is_empty()
                    || s.trim_start_matches(['-', '+', '±', '<', '≥', ' '])
                        .starts_with(|c: char| c.is_ascii_digit())
            };
            !self.rows.is_empty() && self.rows.iter().all(|r| number(&r[i]))
        };
        let classes: Vec<&str> = (0..self.columns.len()).map(|i| if numeric(i) { "n" } else { "" }).collect();
        html! {
            div.scroll { table {
                thead { tr { @for (c, class) in self.columns.iter().zip(&classes) { th scope="col" class=(class) { (c) } } } }
                tbody { @for row in &self.rows { tr {
                    @for (cell, class) in row.iter().zip(&classes) { td class=(class) { (cell) } }
                } } }
            } }
        }
    }
}

struct Section {
    title: String,
    lead: String,
    parts: Vec<Markup>,
}

/// The page being written.
pub struct Report {
    title: String,
    lead: String,
    head: Vec<Markup>,
    sections: Vec<Section>,
    footer: String,
}

impl Report {
    /// An empty page.
    pub fn new(title: impl Into<String>, lead: impl Into<String>) -> Self {
        let footer = format!("shelfsight {}", env!("CARGO_PKG_VERSION"));
        Self { title: title.into(), lead: lead.into(), head: vec![], sections: vec![], footer }
    }

    /// Begins a section; what is added next stands in it. The lead may be empty.
    pub fn section(&mut self, title: impl Into<String>, lead: impl Into<String>) -> &mut Self {
        self.sections.push(Section { title: title.into(), lead: lead.into(), parts: vec![] });
        self
    }

    fn add(&mut self, part: Markup) -> &mut Self {
        match self.sections.last_mut() {
            Some(section) => section.parts.push(part),
            None => self.head.push(part),
        }
        self
    }

    /// Figures that stand out, side by side.
    pub fn tiles(&mut self, tiles: &[Tile]) -> &mut Self {
        self.add(html! {
            dl.tiles { @for t in tiles {
                div class=(format!("tile {}", t.tone.class())) {
                    dt { (t.label) }
                    dd { strong { (t.value) } @if !t.note.is_empty() { span { (t.note) } } }
                }
            } }
        })
    }

    /// A paragraph.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.add(html! { p { (text) } })
    }

    /// A command line or a listing, as typed.
    pub fn code(&mut self, text: &str) -> &mut Self {
        self.add(html! { pre { code { (text) } } })
    }

    /// A picture over the whole width.
    pub fn figure(&mut self, picture: &Picture, caption: &str) -> &mut Self {
        self.add(
            html! { figure { (picture.render("")) @if !caption.is_empty() { figcaption { (caption) } } } },
        )
    }

    /// A table.
    pub fn table(&mut self, table: &Table) -> &mut Self {
        let part = table.render();
        self.add(part)
    }

    /// Horizontal bars from zero: times a stage, losses by stage. Values that are negative or not finite are drawn
    /// without a bar.
    pub fn bars(&mut self, title: &str, unit: &str, rows: &[(String, f64)]) -> &mut Self {
        self.add(chart::bars(title, unit, rows))
    }

    /// How values spread, with the median and the 95th percentile marked.
    pub fn histogram(&mut self, title: &str, unit: &str, values: &[f64]) -> &mut Self {
        self.add(chart::histogram(title, unit, values))
    }

    /// Lines over a common x, such as recall over k. `y` fixes the range of the values, else they choose it.
    pub fn curve(&mut self, title: &str, x: &str, y: Option<(f64, f64)>, series: &[Series]) -> &mut Self {
        self.add(chart::curve(title, x, y, series))
    }

    /// Queries with what was found for them.
    pub fn gallery(&mut self, cases: &[Case]) -> &mut Self {
        self.add(gallery::render(cases))
    }

    /// Adds to the last line of the page: the machine, the date, the command.
    pub fn footer(&mut self, text: &str) -> &mut Self {
        self.footer = format!("{} · {text}", self.footer);
        self
    }

    /// The page.
    pub fn to_html(&self) -> String {
        let policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) }
                    style { (PreEscaped(include_str!("style.css"))) }
                }
                body {
                    header { h1 { (self.title) } @if !self.lead.is_empty() { p.lead { (self.lead) } } }
                    main {
                        @for part in &self.head { (part) }
                        @for s in &self.sections { section {
                            h2 { (s.title) }
                            @if !s.lead.is_empty() { p.lead { (s.lead) } }
                            @for part in &s.parts { (part) }
                        } }
                    }
                    footer { (self.footer) }
                }
            }
        };
        page.into_string()
    }

    /// Writes the page, whole or not at all.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        files::write(path, self.to_html().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    const HOSTILE: &str = "<script>alert('x')</script>\" onload=\"x & y </style> <b>Café</b>";

    fn hostile_report() -> String {
        let picture = Picture::png(&RgbImage::from_pixel(8, 6, image::Rgb([200, 10, 10])), HOSTILE).unwrap();
        let mut table = Table::new([HOSTILE, "n"]);
        table.row([HOSTILE, "1.5"]).row(["short"]);
        let mut report = Report::new(HOSTILE, HOSTILE);
        report
            .tiles(&[Tile::new(HOSTILE, HOSTILE).note(HOSTILE).tone(Tone::Bad)])
            .section(HOSTILE, HOSTILE)
            .text(HOSTILE)
            .code(HOSTILE)
            .figure(&picture, HOSTILE)
            .table(&table)
            .bars(HOSTILE, HOSTILE, &[(HOSTILE.into(), 3.0), ("b".into(), f64::NAN)])
            .histogram(HOSTILE, HOSTILE, &[1.0, 2.0, 2.5, f64::INFINITY])
            .curve(HOSTILE, HOSTILE, None, &[Series::new(HOSTILE, vec![(1.0, 0.2), (10.0, 0.9)])])
            .gallery(&[Case {
                query: Some(picture.clone()),
                text: Some(HOSTILE.into()),
                caption: HOSTILE.into(),
                right: Some(false),
                answers: vec![Answer {
                    picture: Some(picture.clone()),
                    title: HOSTILE.into(),
                    detail: HOSTILE.into(),
                    score: Some(0.5),
                    right: Some(true),
                }],
            }])
            .footer(HOSTILE);
        report.to_html()
    }

    #[test]
    fn hostile_text_stays_text() {
        let html = hostile_report();
        for bad in ["<script", "<b>", "onload=\"x", "</style> "] {
            assert!(!html.contains(bad), "{bad}");
        }
        assert!(html.matches("&lt;script&gt;alert('x')&lt;/script&gt;&quot;").count() >= 15);
        assert_eq!(html.matches("</style>").count(), 1);
        assert!(html.contains("Café"));
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let html = hostile_report();
        assert!(html.contains("default-src 'none'"));
        for source in html.split("src=\"").skip(1) {
            assert!(source.starts_with("data:image/"), "{}", &source[..40]);
        }
        assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("url("));
    }

    #[test]
    fn tags_are_closed_in_order() {
        let html = hostile_report();
        let mut open = vec![];
        for tag in html.split('<').skip(1).filter_map(|t| t.split('>').next()) {
            let name = tag.split([' ', '/']).next().unwrap_or_default();
            if let Some(end) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(end.to_owned()), "{tag}");
            } else if !matches!(name, "!DOCTYPE" | "meta" | "img") && !tag.ends_with('/') {
                open.push(name.to_owned());
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn columns_of_numbers_are_set_right() {
        let mut table = Table::new(["stage", "ms"]);
        table.row(["detect", "18.2"]).row(["encode", "< 1"]);
        let html = table.render().into_string();
        assert_eq!(html.matches("class=\"n\"").count(), 3, "{html}");
        assert!(!Table::new(["a"]).render().into_string().contains("class=\"n\""));
    }
}
