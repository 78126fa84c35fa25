//! The page that `shelfsight demo` writes.

use std::path::Path;

use anyhow::Result;

use super::demo::Outcome;
use crate::output;
use crate::report::{Answer, Case, Picture, Report, Table, Tile, Tone};

/// Answers shown a photo.
const ANSWERS: usize = 3;

/// Writes the page.
pub fn write(path: &Path, outcome: &Outcome) -> Result<()> {
    let score = outcome.score();
    let meta = &outcome.pack.meta;
    let lead = format!(
        "{} packages were drawn, a pack was built of them, and a drawn shelf was scanned. Nothing left this machine.",
        outcome.products.len()
    );
    let mut report = Report::new("ShelfSight demo", lead);
    let tone = |part: usize, whole: usize| if 10 * part >= 8 * whole { Tone::Good } else { Tone::Bad };
    report.tiles(&[
        Tile::new("Detected on the shelf", format!("{} of {}", score.detected, score.drawn))
            .note(format!("{} boxes on nothing", score.extra))
            .tone(tone(score.detected, score.drawn)),
        Tile::new("Named right", format!("{} of {}", score.named, score.detected))
            .note("of the detected ones")
            .tone(tone(score.named, score.detected)),
        Tile::new("Single photos right", format!("{} of {}", score.photos_right, score.photos))
            .note(format!("{} of {} barcodes in view read", score.barcodes_read, score.barcodes_in_view))
            .tone(tone(score.photos_right, score.photos)),
        Tile::new("Pack", format!("{:.1} MB", outcome.pack.bytes as f64 / 1e6))
            .note("models, index and catalogue"),
    ]);

    report.section("The shelf", "Green: named right. Red: named wrong. Blue: a box where nothing was drawn.");
    let picture = Picture::jpeg(&outcome.annotated, 1600, 82, "The shelf with boxes and names")?;
    report.figure(&picture, "What the scan saw.");

    report.section("Where the time goes", "One scan, from the JPEG file to names.");
    let bars: Vec<_> = outcome.scan.ms.stages().iter().map(|(s, ms)| ((*s).to_owned(), *ms)).collect();
    report.bars("Scan, by stage", "ms", &bars);
    let bars: Vec<_> = outcome.seconds.iter().map(|(s, v)| ((*s).to_owned(), *v)).collect();
    report.bars("The whole demo, by step", "s", &bars);

    report.section("Single photos", "One product in the hand or on a table; a third show the back.");
    report.gallery(&cases(outcome)?);

    report.section("The pack", "What a phone would carry.");
    let mut table = Table::new(["Part", "What", "Licence"]);
    for licence in &meta.licences {
        table.row([licence.what.clone(), licence.attribution.clone(), licence.licence.clone()]);
    }
    report.table(&table);
    for (name, index) in [("pictures", &meta.image_index), ("texts", &meta.text_index)] {
        if let Some(index) = index {
            report.text(&format!("Index of {name}: {}, {} B a vector.", index.kind, index.bytes_per_vector));
        }
    }
    report.section("Go on from here", "The demo left its catalogue, pictures and pack beside this page.");
    report.code(
        "shelfsight find photos/demo-0001.jpg --pack demo.shelf\n\
         shelfsight find --text 'ginger cookies' --pack demo.shelf\n\
         shelfsight scan shelf.jpg --pack demo.shelf --annotate named.png",
    );
    report.footer(&meta.generator);
    report.write(path)
}

fn cases(outcome: &Outcome) -> Result<Vec<Case>> {
    let by_id = |id: &str| outcome.products.iter().find(|p| p.id == id);
    let mut cases = Vec::new();
    for case in &outcome.photos {
        let wanted = &outcome.products[case.product];
        let mut answers = Vec::new();
        for found in case.found.matches.iter().take(ANSWERS) {
            let picture = by_id(&found.record.id).and_then(|p| p.pictures.first());
            let picture = picture.map(|p| Picture::jpeg(p, 160, 78, &found.record.title)).transpose()?;
            answers.push(Answer {
                picture,
                title: output::name(found),
                detail: if found.evidence.barcode { "barcode".to_owned() } else { String::new() },
                score: Some(found.score),
                right: Some(found.record.id == wanted.id),
            });
        }
        cases.push(Case {
            query: Some(Picture::jpeg(&case.picture, 260, 78, "Photo")?),
            text: None,
            caption: wanted.title.clone(),
            right: Some(outcome.photo_right(case)),
            answers,
        });
    }
    Ok(cases)
}
