//! What is printed on the back of a package: the small print and the barcode.

use super::artwork;
use super::catalogue::Design;
use super::ean13;
use super::rng::Rng;
use crate::canvas::{Canvas, Rgb};
use crate::lettering::{self, Align, Face};

/// Prints the back into a panel of the sheet.
pub(crate) fn back(c: &mut Canvas, d: &Design, [x, y, w, h]: [f32; 4]) {
    let (ground, _) = artwork::colours(d);
    let paper = Rgb(252, 251, 247);
    c.rect([x - w, y - h, w * 3.0, h * 3.0], ground);
    artwork::logo(c, d, [x + w * 0.14, y + h * 0.03, w * 0.72, h * 0.1], ground);
    let sheet = [x + w * 0.03, y + h * 0.155, w * 0.94, h * 0.82];
    c.rounded(sheet, 6.0, paper);
    // a narrow or curved package carries the code as a ladder, so that no bar bends
    let ladder = d.pack.round() || w < h * 0.65;
    let text = if ladder {
        let length = sheet[3] * 0.97;
        let breadth = (w * 0.34).min(length * 0.42);
        c.about(x + w * 0.955, sheet[1] + sheet[3] * 0.015, 1.0, 90.0, |c| {
            ean13::draw(c, &d.digits, [0.0, 0.0, length, breadth]);
        });
        [sheet[0] + 6.0, sheet[1] + 6.0, sheet[2] - breadth - 14.0, sheet[3] - 12.0]
    } else {
        let (bw, bh) = ((w * 0.93).min(h * 1.1), (h * 0.27).min(w * 0.42));
        ean13::draw(c, &d.digits, [x + (w - bw) / 2.0, sheet[1] + sheet[3] - bh - 4.0, bw, bh]);
        [sheet[0] + 8.0, sheet[1] + 6.0, sheet[2] - 16.0, sheet[3] - bh - 14.0]
    };
    print(c, d, text);
}

/// Blurb, ingredients and nutrition in a column, as much as there is room for.
fn print(c: &mut Canvas, d: &Design, [x, y, w, h]: [f32; 4]) {
    let ink = Rgb(44, 42, 46);
    let size = (h / 21.0).min(w / 11.0).clamp(4.0, 11.0);
    let bottom = y + h;
    let mut base = y + size;
    let heading = format!("{} {}", d.flavour.name, d.line.noun);
    let blurb = format!("{}.", d.line.blurb);
    let ingredients =
        format!("Ingredients: {}. Store cool and dry. Best before: see print. {} e", d.line.contents, d.size);
    let paragraphs =
        [(Face::MontserratBold, heading), (Face::Montserrat, blurb), (Face::Condensed, ingredients)];
    for (face, text) in paragraphs {
        for line in lettering::wrap(face, &text, size, w) {
            if base > bottom {
                return;
            }
            c.text(face, &line, size, x, base, Align::Left, ink);
            base += size * 1.22;
        }
        base += size * 0.5;
    }
    let mut rng = Rng::numbered(d.seed, 9);
    let rows = ["Energy", "Fat", "Carbohydrate", "of which sugars", "Protein", "Salt"];
    for (i, row) in rows.iter().enumerate() {
        if base + size * 0.3 > bottom {
            return;
        }
        let value = match i {
            0 => format!("{} kJ", 120 + rng.below(1900)),
            5 => format!("0.{:02} g", rng.below(90)),
            _ => format!("{}.{} g", rng.below(40), rng.below(10)),
        };
        if i % 2 == 0 {
            c.rect([x, base - size * 0.85, w, size * 1.15], Rgb(232, 230, 224));
        }
        c.text(Face::Condensed, row, size, x + 2.0, base, Align::Left, ink);
        c.text(Face::CondensedBold, &value, size, x + w - 2.0, base, Align::Right, ink);
        base += size * 1.18;
    }
}
