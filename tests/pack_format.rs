//! Holds `docs/pack-format.md`, the code and the pack of version 1 in `tests/fixtures` to one another.
//!
//! `SHELFSIGHT_WRITE_FIXTURES=1 cargo test --test pack_format` makes the fixture if it is missing; a fixture that
//! was released is never made again.

#![allow(clippy::unwrap_used)] // clippy's exception for tests does not reach helpers

mod pack_support;

use pack_support::*;
use shelfsight::index::{INDEX_HEADER_LEN, IndexKind, IndexView};
use shelfsight::pack::*;
use shelfsight::quant::QUANTIZER_HEADER_LEN;
use std::collections::BTreeMap;
use std::path::PathBuf;

const PAGE: &str = include_str!("../docs/pack-format.md");

fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pack-v1.shelf")
}

fn golden() -> Vec<u8> {
    let path = fixture();
    if std::env::var_os("SHELFSIGHT_WRITE_FIXTURES").is_some() && !path.exists() {
        std::fs::write(&path, pack_bytes(1500)).unwrap();
    }
    std::fs::read(path).unwrap()
}

/// The cells of the `n`-th table under a heading.
fn table(heading: &str, n: usize) -> Vec<Vec<&'static str>> {
    let start = PAGE.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let mut tables = vec![];
    let mut inside = false;
    for line in PAGE[start..].lines().skip(2) {
        if line.starts_with('#') && line.split(' ').next() <= heading.split(' ').next() {
            break;
        }
        if !line.starts_with('|') {
            inside = false;
            continue;
        }
        if !inside {
            tables.push(vec![]);
            inside = true;
        }
        let cells = line.trim_matches('|').split('|').map(str::trim).collect();
        tables.last_mut().unwrap().push(cells);
    }
    tables.swap_remove(n).split_off(2)
}

/// Field name to offset and length, after checking that the fields touch one another from 0 on.
fn fields(heading: &str, n: usize) -> (BTreeMap<&'static str, (usize, usize)>, usize) {
    let mut out = BTreeMap::new();
    let mut end = 0;
    for row in table(heading, n) {
        let (Ok(offset), Ok(len)) = (row[0].parse::<usize>(), row[1].parse::<usize>()) else { break };
        assert_eq!(offset, end, "{heading}: {}", row[2]);
        end = offset + len;
        out.insert(row[2], (offset, len));
    }
    (out, end)
}

/// Reads a field where the page says it is.
fn read(bytes: &[u8], field: (usize, usize)) -> u64 {
    let mut out = [0; 8];
    out[..field.1].copy_from_slice(&bytes[field.0..field.0 + field.1]);
    u64::from_le_bytes(out)
}

/// The gzip checksum, bit by bit, from its definition.
fn crc32(bytes: &[u8]) -> u64 {
    let mut crc = u32::MAX;
    for &b in bytes {
        crc ^= u32::from(b);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
        }
    }
    u64::from(!crc)
}

#[test]
fn the_page_lists_the_kinds_the_code_knows() {
    let rows = table("### Kinds", 0);
    assert_eq!(rows.len(), SectionKind::ALL.len());
    let word = |yes| if yes { "yes" } else { "no" };
    for (row, kind) in rows.iter().zip(SectionKind::ALL) {
        let number = (*kind as u32).to_string();
        let want = [number.as_str(), kind.name(), word(kind.required()), word(kind.checked_at_open())];
        assert_eq!(row[..4], want);
    }
}

#[test]
fn the_page_gives_the_sizes_the_code_uses() {
    assert_eq!(fields("## Header", 0).1, HEADER_LEN);
    assert_eq!(fields("## Section table", 0).1, ENTRY_LEN);
    assert_eq!(fields("## Records", 0).1, RECORDS_HEADER_LEN);
    assert_eq!(fields("## Records", 1).1, RECORD_LEN);
    assert_eq!(fields("## Index", 0).1, INDEX_HEADER_LEN);
    assert_eq!(fields("## Index", 1).1, QUANTIZER_HEADER_LEN);
    let grouped = |n: u64| {
        let s = n.to_string();
        let head = s.len() % 3;
        let groups = s.as_bytes()[head..].chunks(3).map(|c| std::str::from_utf8(c).unwrap());
        let all: Vec<_> = Some(&s[..head]).into_iter().filter(|h| !h.is_empty()).chain(groups).collect();
        all.join(",")
    };
    for said in [
        format!("**format version {VERSION}**"),
        format!("blocks of {} bytes", grouped(BLOCK_LEN as u64)),
        format!("a multiple of {ALIGN}"),
        format!("1 to {MAX_SECTIONS}"),
        format!("at most {}", grouped(MAX_GTIN)),
        MAGIC.map(|b| format!("{b:02X}")).join(" "),
    ] {
        assert!(PAGE.contains(&said), "the page does not say {said:?}");
    }
    let versions = table("## Versions, and what old readers do", 0);
    assert_eq!(versions.last().unwrap()[0], VERSION.to_string());
}

/// Reads the fixture by the page alone and compares with what the library says.
#[test]
fn the_page_reads_the_fixture() {
    let bytes = golden();
    let pack = open(&bytes).unwrap();
    let (header, header_len) = fields("## Header", 0);
    let head = |name| read(&bytes, header[name]);
    assert_eq!(bytes[..8], MAGIC);
    assert_eq!((head("version"), head("min_reader"), head("flags")), (1, 1, 0));
    assert_eq!(head("file_len"), bytes.len() as u64);
    assert_eq!(head("header_crc"), crc32(&bytes[..header["header_crc"].0]));
    let table_at = head("table_offset") as usize;
    assert_eq!(head("table_crc"), crc32(&bytes[table_at..]));
    let (entry, entry_len) = fields("## Section table", 0);
    let sums_at = table_at + head("section_count") as usize * entry_len;
    assert_eq!(sums_at + head("block_count") as usize * 4, bytes.len());
    let (mut end, mut block) = (header_len, 0);
    assert_eq!(pack.sections().len() as u64, head("section_count"));
    for (i, section) in pack.sections().iter().enumerate() {
        let raw = &bytes[table_at + i * entry_len..][..entry_len];
        let field = |name| read(raw, entry[name]);
        assert_eq!(field("kind"), u64::from(section.id.0));
        assert_eq!(field("flags"), u64::from(section.required));
        let (offset, len) = (field("offset") as usize, field("length") as usize);
        assert_eq!(offset, end.next_multiple_of(64));
        assert!(bytes[end..offset].iter().all(|&b| b == 0));
        let data = &bytes[offset..offset + len];
        assert_eq!(pack.section_by_id(section.id).unwrap(), data);
        assert_eq!(field("first_block"), block);
        for chunk in data.chunks(65_536) {
            assert_eq!(read(&bytes, (sums_at + block as usize * 4, 4)), crc32(chunk));
            block += 1;
        }
        end = offset + len;
    }
    assert_eq!(end.next_multiple_of(64), table_at);
}

#[test]
fn the_page_reads_records_and_index_of_the_fixture() {
    let bytes = golden();
    let pack = open(&bytes).unwrap();
    let section = pack.section(SectionKind::Records).unwrap();
    let (layout, header_len) = fields("## Records", 0);
    let head = |name| read(section, layout[name]) as usize;
    let (entry, entry_len) = fields("## Records", 1);
    let attrs_at = header_len + head("count") * entry_len;
    let ends_at = attrs_at + head("attrs") * 8;
    let text_at = ends_at + head("strings") * 4;
    assert_eq!(text_at + head("text_len"), section.len());
    let string = |n: u64| {
        let end = |n: u64| read(section, (ends_at + n as usize * 4, 4)) as usize;
        let start = if n == 0 { 0 } else { end(n - 1) };
        std::str::from_utf8(&section[text_at + start..text_at + end(n)]).unwrap()
    };
    for i in 0..head("count") {
        let raw = &section[header_len + i * entry_len..][..entry_len];
        let want = record(i as u32);
        let got = ["id", "title", "brand", "category", "description"].map(|f| string(read(raw, entry[f])));
        assert_eq!(
            got,
            [&want.id, &want.title, &want.brand, &want.category, &want.description].map(|s| s.as_str())
        );
        assert_eq!(read(raw, entry["gtin"]), want.gtin.unwrap_or(0));
        for (a, (name, value)) in want.attrs.iter().enumerate() {
            let at = attrs_at + (read(raw, entry["attrs_from"]) as usize + a) * 8;
            assert_eq!([string(read(section, (at, 4))), string(read(section, (at + 4, 4)))], [name, value]);
        }
    }

    let (quantizer, codes) = pack.index(IndexSections::Image).unwrap();
    let (layout, len) = fields("## Index", 0);
    let head = |name| read(quantizer, layout[name]);
    assert_eq!(["version", "kind", "dim", "rows", "row_len"].map(head), [1, 2, 16, 96, 5]);
    let scale = |name| f32::from_bits(read(quantizer, layout[name]) as u32);
    let (inner, inner_len) = fields("## Index", 1);
    let quantizer = &quantizer[len..];
    assert_eq!(["dim", "code_len", "centroids"].map(|f| read(quantizer, inner[f])), [16, 4, 16]);
    // 4 parts of 4 components, one block of 16 centroids each: component j of centroid c is at [part, j, c].
    let view = IndexView::open(pack.index(IndexSections::Image).unwrap().0, codes).unwrap();
    assert_eq!(view.kind(), IndexKind::Pq);
    for row in [0usize, 41, 95] {
        let code = &codes[row * 5..][..5];
        let want: Vec<f32> = (0..16)
            .map(|i| {
                let at = inner_len + ((i / 4 * 4 + i % 4) * 16 + usize::from(code[i / 4])) * 2;
                let half = read(quantizer, (at, 2)) as u16;
                let value = shelfsight::kernels::f16::decode(half);
                value * (scale("scale_min") + scale("scale_step") * f32::from(code[4]))
            })
            .collect();
        assert_eq!(view.reconstruct(row as u32).unwrap(), want);
    }
}

/// What the pack of version 1 answered when it was made; every later reader must agree.
#[test]
fn the_fixture_answers_as_it_did() {
    let pack = Pack::open(&fixture(), &OpenOptions { verify: true, ..OpenOptions::default() }).unwrap();
    assert!(pack.file_len() <= 20_000);
    use_everything(&pack);
    assert_eq!(pack.meta().generator, "fixture 1");
    assert_eq!(pack.meta().licences[0].licence, "Apache-2.0");
    assert_eq!(pack.check_encoder(EncoderKind::Detector, &[0x3c; 32]), Ok(()));
    assert_eq!((0..PRODUCTS).filter(|&p| pack.tombstones().contains(p)).collect::<Vec<_>>(), [3, 23]);
    let answers = |index: IndexSections, dim: usize| {
        let (quantizer, codes) = pack.index(index).unwrap();
        let view = IndexView::open(quantizer, codes).unwrap();
        let query: Vec<f32> = (0..dim).map(|i| (i as f32 * 0.7).sin()).collect();
        let hits = view.search(&query, 3, &|_| true).unwrap();
        hits.iter().map(|h| (h.row, (h.score * 1e4).round() as i32)).collect::<Vec<_>>()
    };
    assert_eq!(answers(IndexSections::Image, IMAGE_DIM), [(88, 6353), (74, 5813), (49, 5717)]);
    assert_eq!(answers(IndexSections::Text, TEXT_DIM), [(20, 7619), (4, 3825), (12, 3385)]);
}
