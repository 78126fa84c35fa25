//! Pictures and texts of the catalogue to vectors, on all cores.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

use super::assemble::{BuildOptions, BuildStep, Progress, SkippedImage};
use super::catalogue::CatalogueRow;
use super::error::{BuildError, ImageFault};
use crate::embedding::Embedding;
use crate::encode::{EncodeError, ImageEncoder, Shown, TextEncoder, product_texts, product_words};
use crate::pack::CellLayout;
use crate::preprocess::{self, DecodeOptions, Photo};
use crate::rerank;

/// Vectors of one kind, in product order.
#[derive(Default)]
pub(super) struct Embedded {
    pub dim: usize,
    /// `[n, dim]`
    pub vectors: Vec<f32>,
    /// Product of each vector.
    pub products: Vec<u32>,
    /// Local descriptors of each picture, where they are kept.
    pub cells: Vec<u8>,
}

impl Embedded {
    fn push(&mut self, product: u32, vector: &Embedding) {
        self.dim = vector.dim();
        self.vectors.extend_from_slice(vector.as_slice());
        self.products.push(product);
    }
}

/// Line and id of products of whose words the tokenizer knows none.
pub(super) type Unread = Vec<(u64, String)>;

/// What an encoder sees of a product at once: a picture, or its words alone.
type Work<'a> = (u32, &'a CatalogueRow, Option<&'a String>);
/// Vector and local descriptors.
type Looks = Result<(Embedding, Vec<u8>), ImageFault>;

/// Vectors of all pictures, and their local descriptors if `layout` is given; with `skip_bad`, what could not be used
/// instead of an error. An encoder that reads words too is given the product's (`words`, one entry a row, where they are
/// readable), and these alone where no picture can be used.
pub(super) fn images(
    rows: &[CatalogueRow],
    encoder: Option<&ImageEncoder>,
    words: &[Option<String>],
    layout: Option<CellLayout>,
    options: &BuildOptions,
    progress: Progress<'_>,
) -> Result<(Embedded, Vec<SkippedImage>), BuildError> {
    let text = |product: u32| words.get(product as usize)?.as_deref();
    let work: Vec<Work<'_>> = (0u32..)
        .zip(rows)
        .flat_map(|(product, row)| row.images.iter().map(move |image| (product, row, Some(image))))
        .collect();
    if work.is_empty() && words.iter().all(Option::is_none) {
        return Ok(Default::default());
    }
    let encoder = encoder.ok_or(BuildError::NoImageEncoder)?;
    let done = AtomicU32::new(0);
    progress(BuildStep::Images, 0, work.len() as u64);
    let decode = DecodeOptions { shrink_to: Some(encoder.picture_side()), ..DecodeOptions::default() };
    let embed = |&(product, _, image): &Work<'_>| -> Looks {
        let photo = image.map(|image| preprocess::open(&options.images.join(image), &decode)).transpose()?;
        let frame = photo.as_ref().map(Photo::frame);
        let shown = Shown { frame: frame.as_ref(), region: None, text: text(product) };
        let (vector, cells) = encoder.encode_shown(&shown, None)?;
        Ok((vector, layout.map_or_else(Vec::new, |layout| rerank::stored(&layout, cells.as_ref()))))
    };
    // What came of each piece of work, or the first error in the order of the file, whichever core is faster.
    let embed_all = |work: &[Work<'_>], total: usize| -> Result<Vec<Looks>, BuildError> {
        let results: Vec<OnceLock<Looks>> = work.iter().map(|_| OnceLock::new()).collect();
        let refused = |at: usize| {
            let (_, row, image) = work[at];
            let result = embed(&work[at]);
            progress(BuildStep::Images, u64::from(done.fetch_add(1, Ordering::Relaxed)) + 1, total as u64);
            match result {
                Err(ImageFault::Encode(fault))
                    if is_of_encoder(&fault) || (image.is_none() && !row.images.is_empty()) =>
                {
                    // Words that stand in for pictures which were left out: no picture is at fault.
                    Some(encoder_error(fault))
                }
                Err(reason) if !options.skip_bad => Some(BuildError::Image {
                    line: row.line,
                    id: row.id.clone(),
                    image: image.cloned(),
                    reason: Box::new(reason),
                }),
                result => {
                    let _ = results[at].set(result);
                    None
                }
            }
        };
        match (0..work.len()).into_par_iter().find_map_first(refused) {
            Some(error) => Err(error),
            None => Ok(results.into_iter().filter_map(OnceLock::into_inner).collect()),
        }
    };
    let (mut made, mut skipped) = (Vec::new(), Vec::new());
    let mut pass = |work: &[Work<'_>], total: usize| -> Result<HashSet<u32>, BuildError> {
        for (&(product, row, image), result) in work.iter().zip(embed_all(work, total)?) {
            match result {
                Ok(looks) => made.push((product, looks)),
                Err(reason) => skipped.push(SkippedImage {
                    line: row.line,
                    id: row.id.clone(),
                    image: image.cloned(),
                    reason,
                }),
            }
        }
        Ok(made.iter().map(|(product, _)| *product).collect())
    };
    let seen = pass(&work, work.len())?;
    let unseen: Vec<Work<'_>> = (0u32..)
        .zip(rows)
        .filter(|(product, _)| text(*product).is_some() && !seen.contains(product))
        .map(|(product, row)| (product, row, None))
        .collect();
    pass(&unseen, work.len() + unseen.len())?;
    made.sort_by_key(|(product, _)| *product);
    let mut embedded = Embedded::default();
    for (product, (vector, cells)) in made {
        embedded.push(product, &vector);
        embedded.cells.extend(cells);
    }
    let by_encoder = |s: &SkippedImage| matches!(s.reason, ImageFault::Encode(_));
    if embedded.products.is_empty()
        && skipped.iter().all(by_encoder)
        && let Some(SkippedImage { reason: ImageFault::Encode(fault), .. }) = skipped.pop()
    {
        return Err(encoder_error(fault));
    }
    Ok((embedded, skipped))
}

fn encoder_error(fault: EncodeError) -> BuildError {
    BuildError::Encode { name: "image encoder", reason: Box::new(fault) }
}

/// Whether the encoder is at fault and not the picture: then no picture can be used, and leaving out all helps no one.
fn is_of_encoder(fault: &EncodeError) -> bool {
    matches!(fault, EncodeError::Run { .. } | EncodeError::Output { .. })
}

/// The words of each product that an encoder of pictures reads with them, where it reads words and knows any of these; and
/// line and id of the products of whose words it knows none.
pub(super) fn words(
    rows: &[CatalogueRow],
    encoder: Option<&ImageEncoder>,
) -> Result<(Vec<Option<String>>, Unread), BuildError> {
    let (mut all, mut unread) = (Vec::new(), Vec::new());
    let Some(encoder) = encoder.filter(|encoder| encoder.reads_words()) else { return Ok((all, unread)) };
    for row in rows {
        let mut text = product_words(&row.title, &row.brand, &row.category, &row.description);
        match text.as_deref().map_or(Ok(()), |text| encoder.check_words(text)) {
            Ok(()) => {}
            Err(EncodeError::EmptyText) => text = None,
            Err(EncodeError::UnknownText { .. }) => {
                text = None;
                unread.push((row.line, row.id.clone()));
            }
            Err(reason) => {
                let id = row.id.clone();
                return Err(BuildError::Text { line: row.line, id, reason: Box::new(reason) });
            }
        }
        all.push(text);
    }
    Ok((all, unread))
}

/// Vectors of all texts, and line and id of the products with texts of which the tokenizer knows no word (another
/// script). Such a text has no vector, nor has one of which the tokenizer leaves nothing (zero-width spaces, say).
pub(super) fn texts(
    rows: &[CatalogueRow],
    encoder: Option<&TextEncoder>,
    progress: Progress<'_>,
) -> Result<(Embedded, Unread), BuildError> {
    let Some(encoder) = encoder else { return Ok(Default::default()) };
    let (total, done) = (rows.len() as u64, AtomicU32::new(0));
    progress(BuildStep::Texts, 0, total);
    let encode = |row: &CatalogueRow| {
        let (mut vectors, mut wordless) = (Vec::new(), false);
        for text in texts_of(row) {
            match encoder.encode(&text) {
                Ok(vector) => vectors.push(vector),
                Err(EncodeError::EmptyText) => {}
                Err(EncodeError::UnknownText { .. }) => wordless = true,
                Err(reason) => {
                    let id = row.id.clone();
                    return Err(BuildError::Text { line: row.line, id, reason: Box::new(reason) });
                }
            }
        }
        progress(BuildStep::Texts, u64::from(done.fetch_add(1, Ordering::Relaxed)) + 1, total);
        Ok((vectors, wordless))
    };
    let encoded: Vec<(Vec<Embedding>, bool)> = rows.par_iter().map(encode).collect::<Result<_, _>>()?;
    let (mut embedded, mut unread) = (Embedded::default(), Vec::new());
    for ((product, row), (vectors, wordless)) in (0u32..).zip(rows).zip(encoded) {
        for vector in vectors {
            embedded.push(product, &vector);
        }
        if wordless {
            unread.push((row.line, row.id.clone()));
        }
    }
    Ok((embedded, unread))
}

/// Texts a product is found by.
pub(super) fn texts_of(row: &CatalogueRow) -> Vec<String> {
    product_texts(&row.title, &row.brand, &row.category, &row.description)
}
