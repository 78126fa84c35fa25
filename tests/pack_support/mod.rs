//! A small pack with every kind of section, and tools to damage packs.
#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used)] // clippy's exception for tests does not reach helpers

use shelfsight::index::{IndexKind, IndexParams, IndexView, build};
use shelfsight::pack::*;

/// Numbers fixed by a seed (xorshift).
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn vectors(&mut self, n: usize, dim: usize) -> Vec<f32> {
        (0..n * dim).map(|_| (self.next() >> 40) as f32 / (1u64 << 24) as f32 - 0.5).collect()
    }
}

pub const PRODUCTS: u32 = 24;
pub const IMAGE_ROWS: u32 = 96;
pub const IMAGE_DIM: usize = 16;
pub const TEXT_DIM: usize = 8;

pub fn record(i: u32) -> Record {
    Record {
        id: format!("sku-{i}"),
        title: format!("Haferdrink Größe {i}"),
        brand: ["Öko", "Nordmark", ""][i as usize % 3].into(),
        category: "Drinks".into(),
        gtin: (!i.is_multiple_of(4)).then(|| 4_000_000_000_000 + u64::from(i / 2)),
        description: if i.is_multiple_of(5) { "Made of oats, water and salt.".into() } else { String::new() },
        attrs: (0..i % 3).map(|a| (format!("attr{a}"), format!("value {}", i % 4))).collect(),
    }
}

fn encoder(name: &str, byte: u8, dim: u32) -> Option<EncoderMeta> {
    let id = format!("{byte:02x}").repeat(32);
    Some(EncoderMeta { name: name.into(), version: 3, id, dim, space: "joint-1".into() })
}

fn index_meta(built: &shelfsight::index::BuiltIndex) -> Option<IndexMeta> {
    Some(IndexMeta {
        kind: built.kind.name().into(),
        bytes_per_vector: built.bytes_per_vector as u32,
        params: built.params.clone(),
        note: built.note.clone(),
        measured: Some(Measured { sample: 10, recall_at_10: 0.95, ..Measured::default() }),
    })
}

/// Every section of the small pack, `model_len` bytes a model.
pub fn sections(model_len: usize) -> (PackMeta, Vec<(SectionKind, Vec<u8>)>) {
    let mut rng = Rng(0x5eed);
    let params = IndexParams { kind: IndexKind::Pq, bytes: 5, ..IndexParams::default() };
    let image = build(&params, &rng.vectors(IMAGE_ROWS as usize, IMAGE_DIM), IMAGE_DIM, &mut |_| ()).unwrap();
    let text_vectors = rng.vectors(PRODUCTS as usize, TEXT_DIM);
    let text = build(&IndexParams::default(), &text_vectors, TEXT_DIM, &mut |_| ()).unwrap();
    let mut records = RecordsWriter::new();
    let mut gtins = Vec::new();
    for i in 0..PRODUCTS {
        records.push(&record(i)).unwrap();
        gtins.extend(record(i).gtin.map(|g| (g, i)));
    }
    let mut model = || (0..model_len).map(|_| rng.next() as u8).collect::<Vec<u8>>();
    let meta = PackMeta {
        created: 1_790_000_000,
        generator: "fixture 1".into(),
        product_count: PRODUCTS,
        image_rows: IMAGE_ROWS,
        text_rows: PRODUCTS,
        image: encoder("tiny-image", 0x1a, IMAGE_DIM as u32),
        text: encoder("tiny-text", 0x2b, TEXT_DIM as u32),
        detector: encoder("tiny-detector", 0x3c, 0),
        image_index: index_meta(&image),
        text_index: index_meta(&text),
        licences: vec![LicenceMeta {
            what: "image encoder".into(),
            licence: "Apache-2.0".into(),
            attribution: "Made for tests".into(),
        }],
        ..PackMeta::default()
    };
    use SectionKind::*;
    let sections = vec![
        (Records, records.finish()),
        (Gtins, GtinView::to_bytes(gtins)),
        (Tombstones, TombstonesView::to_bytes(PRODUCTS, [3, 23])),
        (Notices, b"Licensed under the Apache License 2.0.".to_vec()),
        (ImageManifest, br#"{"kind":"image"}"#.to_vec()),
        (ImageModel, model()),
        (TextManifest, br#"{"kind":"text"}"#.to_vec()),
        (TextModel, model()),
        (TextTokenizer, br#"{"version":"1.0"}"#.to_vec()),
        (DetectorManifest, br#"{"kind":"detector"}"#.to_vec()),
        (DetectorModel, Vec::new()),
        (ImageQuantizer, image.quantizer),
        (ImageCodes, image.codes),
        (ImageRows, RowsView::to_bytes(&(0..IMAGE_ROWS).map(|r| r / 4).collect::<Vec<_>>())),
        (TextQuantizer, text.quantizer),
        (TextCodes, text.codes),
        (TextRows, RowsView::to_bytes(&(0..PRODUCTS).collect::<Vec<_>>())),
    ];
    (meta, sections)
}

/// The small pack in memory.
pub fn pack_bytes(model_len: usize) -> Vec<u8> {
    let (meta, sections) = sections(model_len);
    let mut pack = PackBuffer::new().unwrap();
    pack.meta(&meta).unwrap();
    for (kind, bytes) in sections {
        pack.section(kind, &bytes).unwrap();
    }
    pack.raw_section(SectionId(9000), false, b"of a later version").unwrap();
    pack.finish().unwrap()
}

pub fn open(bytes: &[u8]) -> Result<Pack, OpenPackError> {
    Pack::from_bytes(bytes.to_vec(), &OpenOptions::default())
}

/// Reads everything a pack offers; a fault here is a panic, which the tests look for.
pub fn use_everything(pack: &Pack) {
    let records = pack.records();
    for product in 0..records.len() {
        let record = records.get(product).expect("records are checked when the pack is opened");
        assert!(!record.id.is_empty());
        if let Some(gtin) = record.gtin {
            assert!(pack.gtins().find_all(gtin).all(|p| p < records.len()));
        }
        pack.tombstones().contains(product);
    }
    assert!(records.get(records.len()).is_err());
    for index in [IndexSections::Image, IndexSections::Text] {
        let rows = pack.rows(index);
        assert!(rows.iter().all(|p| p < records.len()));
        let Some((quantizer, codes)) = pack.index(index) else { continue };
        let Ok(view) = IndexView::open(quantizer, codes) else { continue };
        let query: Vec<f32> = (0..view.dim()).map(|i| 1.0 - i as f32 / 7.0).collect();
        let hits = view.search(&query, 10, &|row| rows.product(row).is_some()).unwrap();
        assert!(hits.iter().all(|h| h.score.is_finite() && rows.product(h.row).is_some()));
        assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
        for row in 0..view.len().min(20) {
            assert_eq!(view.reconstruct(row).unwrap().len(), view.dim());
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
}

pub fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    if let Some(slot) = bytes.get_mut(at..at + 4) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?)).ok()
}

pub fn table_offset(bytes: &[u8]) -> usize {
    u64_at(bytes, 24).unwrap_or(0)
}

/// Makes every checksum right again, so that damage reaches what lies behind them. Written apart from the library.
pub fn fix_checksums(bytes: &mut [u8]) {
    let table = table_offset(bytes);
    let entries = u32_at(bytes, 32).unwrap_or(0).min(300);
    let sums = table.saturating_add(entries * 32);
    for entry in 0..entries {
        let at = table.saturating_add(entry * 32);
        let field = |offset| u64_at(bytes, at.saturating_add(offset));
        let (Some(start), Some(len), Some(first)) =
            (field(8), field(16), u32_at(bytes, at.saturating_add(24)))
        else {
            continue;
        };
        let Some(section) = start.checked_add(len).and_then(|end| bytes.get(start..end)) else { continue };
        let fresh: Vec<u32> = section.chunks(65536).map(crc32fast::hash).collect();
        for (i, sum) in fresh.iter().enumerate() {
            put_u32(bytes, sums.saturating_add((first + i).saturating_mul(4)), *sum);
        }
    }
    if let Some(table) = bytes.get(table..) {
        let sum = crc32fast::hash(table);
        put_u32(bytes, 40, sum);
    }
    if bytes.len() >= 64 {
        let sum = crc32fast::hash(&bytes[..60]);
        put_u32(bytes, 60, sum);
    }
}
