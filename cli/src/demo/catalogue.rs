//! The invented shop's catalogue: families of products that differ in flavour, colour or size only, as in a shop.

use image::RgbImage;
use rayon::prelude::*;

use super::ean13;
use super::package::Side;
use super::packshot;
use super::pattern::Pattern;
use super::rng::Rng;
use super::words::{BRANDS, CLAIMS, Flavour, LINES, Line, Pack};
use crate::canvas::Rgb;
use crate::lettering::Face;

/// One product with everything a catalogue says about it.
#[derive(Clone, Debug)]
pub struct DemoProduct {
    /// Unique identifier, `demo-0001` and so on.
    pub id: String,
    /// Brand, variety, name and size: unique in the catalogue.
    pub title: String,
    /// Brand.
    pub brand: String,
    /// Department of the shop.
    pub category: String,
    /// EAN-13 with GS1's prefix for demonstrations (952), unique.
    pub gtin: String,
    /// A sentence or two.
    pub description: String,
    /// `colour`, `flavour`, `size`, `package`, in this order.
    pub attrs: Vec<(String, String)>,
    /// The front, and for some the back with the barcode, on white; about 400 px on the longer side.
    pub pictures: Vec<RgbImage>,
    pub(crate) design: Design,
}

/// How a brand's name is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logo {
    Plain,
    Pill,
    Oval,
    Ribbon,
    Slab,
    Outline,
}

/// Where things stand on a front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Band,
    Badge,
    Diagonal,
    Scatter,
    Quiet,
    Side,
    Window,
}

/// The look of a family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub logo: Logo,
    pub logo_face: Face,
    pub upper: bool,
    pub name_face: Face,
    pub primary: Rgb,
    pub secondary: Rgb,
    pub layout: Layout,
    pub pattern: Pattern,
    /// The flavour colours the whole package rather than a field of it.
    pub flavoured: bool,
}

/// Everything needed to draw a product at any size and from any side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Design {
    pub brand: &'static str,
    pub style: Style,
    pub line: &'static Line,
    pub flavour: Flavour,
    pub size: &'static str,
    pub pack: Pack,
    /// Extent in units.
    pub extent: (f32, f32),
    pub claim: Option<&'static str>,
    pub digits: [u8; 13],
    pub seed: u64,
}

/// Draws a catalogue of `count` products. The same seed gives the same products and the same pixels on every machine,
/// and the first products of a longer catalogue are those of a shorter one. Draws on all cores.
pub fn draw_catalogue(seed: u64, count: usize) -> Vec<DemoProduct> {
    designs(seed, count).into_par_iter().enumerate().map(|(i, design)| product(i, design)).collect()
}

fn product(index: usize, design: Design) -> DemoProduct {
    let mut pictures = vec![packshot::draw(&design, Side::Front)];
    if Rng::numbered(design.seed, 77).chance(0.34) {
        pictures.push(packshot::draw(&design, Side::Back));
    }
    let Design { brand, line, flavour, size, .. } = design;
    let text = |s: &str| s.to_owned();
    let article = if flavour.colour.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    DemoProduct {
        id: format!("demo-{:04}", index + 1),
        title: format!("{brand} {} {} {size}", flavour.name, line.noun),
        brand: text(brand),
        category: text(line.category),
        gtin: design.digits.iter().map(|d| char::from(b'0' + d)).collect(),
        description: format!(
            "{}, {}. {} of {size} with {article} {} label{}.",
            line.blurb,
            flavour.name.to_lowercase(),
            capital(design.pack.word()),
            flavour.colour,
            design.claim.map(|c| format!(", marked {}", c.to_lowercase())).unwrap_or_default()
        ),
        attrs: [
            ("colour", flavour.colour),
            ("flavour", flavour.name),
            ("size", size),
            ("package", design.pack.word()),
        ]
        .map(|(k, v)| (text(k), text(v)))
        .to_vec(),
        pictures,
        design,
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// The designs without their pictures.
pub(crate) fn designs(seed: u64, count: usize) -> Vec<Design> {
    let mut rng = Rng::numbered(seed, 1);
    let mut brands: Vec<usize> = (0..BRANDS.len()).collect();
    let mut lines: Vec<usize> = (0..LINES.len()).collect();
    rng.shuffle(&mut brands);
    rng.shuffle(&mut lines);
    let mut designs = Vec::with_capacity(count);
    // 40 brands and 31 lines share no factor, so the first 1,240 pairs are all different
    for family in 0..BRANDS.len() * LINES.len() {
        let (brand, line) = (brands[family % brands.len()], &LINES[lines[family % lines.len()]]);
        let mut rng = Rng::numbered(seed, 1000 + family as u64);
        let style = style(seed, brand, &mut rng);
        let pack = *rng.pick(line.packs);
        let mut flavours = line.flavours.to_vec();
        rng.shuffle(&mut flavours);
        flavours.truncate(4 + rng.below(3));
        let sizes = if rng.chance(0.25) { 2 } else { 1 };
        let claims = rng.chance(0.35);
        for (i, (flavour, &size)) in
            flavours.iter().flat_map(|f| line.sizes.iter().take(sizes).map(move |s| (f, s))).enumerate()
        {
            if designs.len() == count {
                return designs;
            }
            let claim = (claims || rng.chance(0.08)).then(|| *rng.pick(CLAIMS));
            let (w, h) = pack.extent();
            let grown = libm::cbrtf(amount(size) / amount(line.sizes[0])).clamp(0.74, 1.16);
            designs.push(Design {
                brand: BRANDS[brand],
                style,
                line,
                flavour: *flavour,
                size,
                pack,
                extent: (w * grown, h * grown),
                claim,
                digits: gtin(brand, family, i),
                seed: Rng::numbered(seed, designs.len() as u64 + 50_000).next(),
            });
        }
    }
    designs
}

/// Prefix 952 (GS1: demonstrations and examples), four digits for the family's maker, five for the item.
fn gtin(brand: usize, family: usize, item: usize) -> [u8; 13] {
    let number = 952_000_000_000 + (1000 + brand as u64) * 100_000 + family as u64 * 20 + item as u64;
    let mut twelve = [0; 12];
    let mut rest = number;
    for digit in twelve.iter_mut().rev() {
        *digit = (rest % 10) as u8;
        rest /= 10;
    }
    ean13::with_check_digit(&twelve)
}

/// Grams, millilitres or pieces of a size such as `1.5 L`.
fn amount(size: &str) -> f32 {
    let (number, unit) = size.split_once(' ').unwrap_or((size, ""));
    let number: f32 = number.parse().unwrap_or(1.0);
    if matches!(unit, "L" | "kg") { number * 1000.0 } else { number }
}

/// A brand keeps its logo and colours; a family chooses the rest.
fn style(seed: u64, brand: usize, family: &mut Rng) -> Style {
    let mut rng = Rng::numbered(seed, 400 + brand as u64);
    let hue = rng.between(0.0, 360.0);
    let (primary, secondary) = match rng.below(6) {
        0 => (Rgb::hsl(hue, 0.75, 0.32), Rgb::hsl(hue + 45.0, 0.85, 0.58)),
        1 => (Rgb::hsl(hue, 0.85, 0.46), Rgb(255, 250, 240)),
        2 => (Rgb::hsl(hue, 0.35, 0.9), Rgb::hsl(hue + 180.0, 0.55, 0.3)),
        3 => (Rgb::hsl(hue, 0.2, 0.12), Rgb(206, 170, 96)),
        4 => (Rgb(250, 247, 240), Rgb::hsl(hue, 0.8, 0.4)),
        _ => (Rgb::hsl(hue, 0.6, 0.62), Rgb::hsl(hue - 120.0, 0.6, 0.25)),
    };
    let logo_face = *rng.pick(&[
        Face::Anton,
        Face::Baloo,
        Face::Bangers,
        Face::Bevan,
        Face::Cinzel,
        Face::Fraunces,
        Face::Pacifico,
        Face::Shrikhand,
        Face::MontserratBold,
    ]);
    // scripts are not made for capitals, Cinzel has nothing else
    let upper = !matches!(logo_face, Face::Pacifico | Face::Shrikhand) && rng.chance(0.45);
    let logo = *rng.pick(&[Logo::Plain, Logo::Pill, Logo::Oval, Logo::Ribbon, Logo::Slab, Logo::Outline]);
    let name_face = *family.pick(&[
        Face::MontserratBold,
        Face::CondensedBold,
        Face::Anton,
        Face::Baloo,
        Face::Fraunces,
        Face::Pacifico,
        Face::Bevan,
    ]);
    let layout = *family.pick(&[
        Layout::Band,
        Layout::Badge,
        Layout::Diagonal,
        Layout::Scatter,
        Layout::Quiet,
        Layout::Side,
        Layout::Window,
    ]);
    let pattern = *family.pick(Pattern::ALL);
    let flavoured = family.chance(0.5);
    Style { logo, logo_face, upper, name_face, primary, secondary, layout, pattern, flavoured }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_shop_full_of_different_products() {
        let all = designs(7, 1500);
        assert_eq!(all.len(), 1500);
        let gtins: HashSet<_> = all.iter().map(|d| d.digits).collect();
        assert_eq!(gtins.len(), all.len());
        let names: HashSet<_> = all.iter().map(|d| (d.brand, d.flavour.name, d.line.noun, d.size)).collect();
        assert_eq!(names.len(), all.len());
        for d in &all {
            let twelve: &[u8; 12] = d.digits[..12].try_into().unwrap();
            assert_eq!(ean13::with_check_digit(twelve), d.digits);
            assert_eq!(d.digits[..3], [9, 5, 2]);
        }
        let first = &all[..300];
        assert!(first.iter().map(|d| d.brand).collect::<HashSet<_>>().len() >= 30);
        assert!(first.iter().map(|d| d.line.category).collect::<HashSet<_>>().len() >= 10);
        assert!(first.iter().map(|d| d.pack.word()).collect::<HashSet<_>>().len() >= 9);
    }

    #[test]
    fn the_seed_decides() {
        let (a, b, c) = (draw_catalogue(1, 6), draw_catalogue(1, 9), draw_catalogue(2, 6));
        for (a, b) in a.iter().zip(&b) {
            assert_eq!((&a.title, &a.gtin, &a.pictures), (&b.title, &b.gtin, &b.pictures));
        }
        assert!(a.iter().zip(&c).all(|(a, c)| a.pictures[0] != c.pictures[0]));
    }

    #[test]
    fn sizes() {
        assert_eq!(["1.5 L", "250 g", "30 caps"].map(amount), [1500.0, 250.0, 30.0]);
    }
}
