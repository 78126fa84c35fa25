//! All parts of a pack to its file, which is opened and read back before it takes its place.

use std::path::Path;

use super::assemble::Models;
use super::catalogue::CatalogueRow;
use super::embed::Embedded;
use super::error::BuildError;
use super::index::Part;
use crate::engine::{Engine, EngineOptions};
use crate::pack::{
    CellLayout, CellsView, GtinView, IndexSections, OpenOptions, PackMeta, PackWriter, RecordsWriter,
    RowsView, SectionKind,
};

/// An index with the vectors it was made of.
pub(super) type Indexed<'a> = (Option<&'a Part>, &'a Embedded);

/// Writes a pack and returns its meta section and size as they were read back.
pub(super) fn write(
    out: &Path,
    meta: &PackMeta,
    rows: &[&CatalogueRow],
    models: &Models,
    layout: Option<CellLayout>,
    [images, texts]: [Indexed<'_>; 2],
) -> Result<(PackMeta, u64), BuildError> {
    let mut writer = PackWriter::create(out)?;
    writer.meta(meta)?;
    writer.section(SectionKind::Records, &records(rows)?)?;
    let gtins = rows.iter().zip(0u32..).filter_map(|(row, product)| Some((row.gtin?.as_u64(), product)));
    writer.section(SectionKind::Gtins, &GtinView::to_bytes(gtins.collect()))?;
    write_models(&mut writer, models)?;
    for ((index, embedded), sections) in [(images, IndexSections::Image), (texts, IndexSections::Text)] {
        if let Some(index) = index {
            let [row_map, quantizer, codes] = sections.kinds();
            writer.section(row_map, &RowsView::to_bytes(&embedded.products))?;
            writer.section(quantizer, &index.built.quantizer)?;
            writer.section(codes, &index.built.codes)?;
        }
    }
    if let Some(layout) = layout {
        let rows = images.1.products.len() as u32;
        writer.section(SectionKind::ImageCells, &CellsView::to_bytes(layout, rows, &images.1.cells))?;
        let reranker = models.image.as_ref().and_then(|files| files.reranker.as_deref());
        writer.section(SectionKind::ImageReranker, reranker.unwrap_or_default())?;
    }
    // What was written is what a phone will open: read it all back before the old pack goes.
    writer.finish_checked(|written| {
        let pack = OpenOptions { verify: true, ..OpenOptions::default() };
        let engine = Engine::open(written, EngineOptions { pack, ..EngineOptions::default() })?;
        Ok((engine.pack().meta().clone(), engine.pack().file_len()))
    })
}

fn records(rows: &[&CatalogueRow]) -> Result<Vec<u8>, BuildError> {
    let mut records = RecordsWriter::new();
    for row in rows {
        records.push(&row.record())?;
    }
    Ok(records.finish())
}

fn write_models(writer: &mut PackWriter, models: &Models) -> Result<(), BuildError> {
    let parts = [
        (&models.image, SectionKind::ImageManifest, SectionKind::ImageModel, SectionKind::ImageTokenizer),
        (&models.text, SectionKind::TextManifest, SectionKind::TextModel, SectionKind::TextTokenizer),
    ];
    for (files, manifest, model, tokenizer) in parts {
        let Some(files) = files else { continue };
        writer.section(manifest, &files.manifest_json)?;
        writer.section(model, &files.model)?;
        if let Some(bytes) = &files.tokenizer {
            writer.section(tokenizer, bytes)?;
        }
    }
    if let Some(files) = &models.detector {
        writer.section(SectionKind::DetectorManifest, &files.manifest_json)?;
        writer.section(SectionKind::DetectorModel, &files.model)?;
    }
    Ok(())
}
