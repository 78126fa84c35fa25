//! Damaged and hostile packs: every flipped bit is found, every rule has its error, nothing panics.

#![allow(clippy::unwrap_used)] // clippy's exception for tests does not reach helpers

mod pack_support;

use pack_support::*;
use shelfsight::pack::*;
use std::collections::BTreeMap;

fn found(bytes: Vec<u8>) -> bool {
    match Pack::from_bytes(bytes, &OpenOptions::default()) {
        Err(_) => true,
        Ok(pack) => pack.verify().is_err(),
    }
}

#[test]
fn a_good_pack_opens_and_verifies() {
    let bytes = pack_bytes(700);
    let pack = open(&bytes).unwrap();
    use_everything(&pack);
    let report = pack.verify().unwrap();
    assert_eq!(report.bytes, bytes.len() as u64);
    assert_eq!(report.sections as usize, pack.sections().len());
    for i in 0..PRODUCTS {
        assert_eq!(pack.records().get(i).unwrap(), record(i));
    }
    assert_eq!(pack.gtins().find_all(4_000_000_000_001).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(pack.tombstones().deleted(), 2);
    assert_eq!(pack.rows(IndexSections::Image).product(7), Some(1));
    assert_eq!(pack.section_by_id(SectionId(9000)).unwrap(), b"of a later version");
    let all = OpenOptions { verify: true, ..OpenOptions::default() };
    assert!(Pack::from_bytes(bytes.clone(), &all).is_ok());
    let small = OpenOptions { max_bytes: bytes.len() as u64 - 1, ..OpenOptions::default() };
    assert!(matches!(Pack::from_bytes(bytes, &small), Err(OpenPackError::TooLarge { .. })));
}

#[test]
fn the_head_tells_how_long_a_pack_is_and_what_is_none() {
    let bytes = pack_bytes(700);
    let tell = |head: &[u8]| Pack::announced_len(head, &OpenOptions::default());
    assert_eq!(tell(&bytes[..HEADER_LEN]).unwrap(), bytes.len() as u64);
    assert_eq!(tell(&bytes).unwrap(), bytes.len() as u64);
    assert!(matches!(
        tell(&bytes[..HEADER_LEN - 1]),
        Err(OpenPackError::Truncated { expected: 64, found: 63 })
    ));
    assert!(matches!(tell(&[]), Err(OpenPackError::Truncated { .. })));
    assert!(matches!(tell(b"\0\0\0\x20ftypisom and so on"), Err(OpenPackError::BadMagic)));
    let small = OpenOptions { max_bytes: bytes.len() as u64 - 1, ..OpenOptions::default() };
    assert!(matches!(Pack::announced_len(&bytes, &small), Err(OpenPackError::TooLarge { .. })));
    let mut flipped = bytes[..HEADER_LEN].to_vec();
    flipped[18] ^= 1;
    assert!(matches!(tell(&flipped), Err(OpenPackError::HeaderChecksum)));
    assert!(matches!(Pack::open("".as_ref(), &OpenOptions::default()), Err(OpenPackError::NoPath)));
}

#[test]
fn every_bit_of_a_small_pack_matters() {
    let mut bytes = pack_bytes(100);
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(found(bytes.clone()), "bit {} of byte {} flipped unseen", bit % 8, bit / 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn sampled_bits_of_a_pack_of_many_blocks_matter() {
    let mut bytes = pack_bytes(200_000);
    let mut rng = Rng(11);
    for _ in 0..1500 {
        let bit = rng.below(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(found(bytes.clone()), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    // A damaged model is not looked at when the pack is opened, unless asked for.
    let model =
        open(&bytes).unwrap().sections().iter().find(|s| s.id == SectionKind::ImageModel.into()).copied();
    let model = model.unwrap();
    bytes[(model.offset + 100_000) as usize] ^= 1;
    let error = open(&bytes).unwrap().verify().unwrap_err();
    let block = model.offset + 65_536;
    assert!(matches!(error, OpenPackError::Checksum { id, offset } if id == model.id && offset == block));
    let all = OpenOptions { verify: true, ..OpenOptions::default() };
    assert!(matches!(Pack::from_bytes(bytes, &all), Err(OpenPackError::Checksum { .. })));
}

/// More than four megabytes of products.
fn large() -> (Vec<u8>, u32) {
    const COUNT: u32 = 2_000;
    let mut records = RecordsWriter::new();
    for i in 0..COUNT {
        let description = format!("{i} ").repeat(500);
        records
            .push(&Record { description, attrs: vec![("size".into(), format!("{i} g"))], ..record(i) })
            .unwrap();
    }
    let mut pack = PackBuffer::new().unwrap();
    pack.meta(&PackMeta { product_count: COUNT, ..PackMeta::default() }).unwrap();
    pack.section(SectionKind::Records, &records.finish()).unwrap();
    (pack.finish().unwrap(), COUNT)
}

#[test]
fn products_of_a_large_pack_are_checked_when_they_are_read() {
    let (bytes, count) = large();
    let good = open(&bytes).unwrap();
    good.verify().unwrap();
    for i in 0..count {
        let record = good.records().get(i).unwrap();
        assert_eq!(
            (&record.title, &record.attrs[0].1),
            (&format!("Haferdrink Größe {i}"), &format!("{i} g"))
        );
    }
    let section = good.sections().iter().find(|s| s.id == SectionKind::Records.into()).copied().unwrap();
    assert!(section.len > 4 << 20, "{}", section.len);
    let all = OpenOptions { verify: true, ..OpenOptions::default() };
    let mut rng = Rng(3);
    for _ in 0..60 {
        let at = section.offset as usize + 32 + rng.below(section.len as usize - 32);
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << rng.below(8);
        let pack = open(&flipped).unwrap();
        // Every product is what was written, or is said to be damaged, and some are.
        let mut damaged = 0;
        for i in 0..count {
            match pack.records().get(i) {
                Ok(found) => assert_eq!(found, good.records().get(i).unwrap()),
                Err(RecordsError::Damaged { product }) if product == i => damaged += 1,
                Err(error) => panic!("{error}"),
            }
        }
        let shared = pack.verify().unwrap_err();
        assert!(matches!(shared, OpenPackError::Checksum { id, .. } if id == section.id), "{shared}");
        assert!(damaged > 0, "byte {at}");
        assert!(matches!(Pack::from_bytes(flipped, &all), Err(OpenPackError::Checksum { .. })));
    }
}

#[test]
fn every_truncation_is_named() {
    let bytes = pack_bytes(100);
    for len in 0..bytes.len() {
        let error = open(&bytes[..len]).unwrap_err();
        assert!(
            matches!(error, OpenPackError::Truncated { found, .. } if found == len as u64),
            "{len}: {error}"
        );
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(open(&longer), Err(OpenPackError::TrailingBytes { .. })));
    assert!(matches!(open(b"PK\x03\x04 a zip archive"), Err(OpenPackError::BadMagic)));
}

/// Damage done on purpose, checksums made right, and the error that must name it.
#[test]
fn each_rule_has_its_error() {
    let good = pack_bytes(100);
    let table = table_offset(&good);
    let entry = |i: usize| table + i * 32;
    let section = |kind: SectionKind| {
        open(&good).unwrap().sections().iter().find(|s| s.id == kind.into()).unwrap().offset as usize
    };
    let records = section(SectionKind::Records);
    let cases: Vec<(&str, usize, u32)> = vec![
        ("Newer { version: 2, min_reader: 2 }", 8, 0x0002_0002),
        ("Header { what: \"its versions", 8, 0x0001_0000),
        ("Header { what: \"its versions", 8, 0x0000_0001),
        ("UnknownFlags { flags: 4 }", 12, 4),
        ("Truncated", 16, u32::MAX),
        ("TrailingBytes", 16, 70),
        ("Header { what: \"its section table", 24, 3),
        ("Header { what: \"its section table", 28, 1),
        ("SectionCount { found: 0 }", 32, 0),
        ("SectionCount { found: 257 }", 32, 257),
        ("Header { what: \"its section table", 32, 18),
        ("Header { what: \"its section table", 36, 999),
        ("Header { what: \"its reserved", 44, 1),
        ("Header { what: \"its reserved", 56, 1),
        ("UnknownSection { id: SectionId(77) }", entry(3), 77),
        ("Section { id: SectionId(1), fault: Duplicate", entry(1), 1),
        ("fault: Reserved", entry(1) + 4, 2),
        ("fault: Reserved", entry(1) + 28, 1),
        ("fault: Misaligned", entry(1) + 8, 65),
        ("fault: Overlap", entry(1) + 8, 64),
        ("fault: Hole", entry(1) + 8, 1 << 20),
        ("fault: Hole", entry(1) + 12, 1),
        ("fault: PastEnd", entry(1) + 16, u32::MAX),
        ("fault: PastEnd", entry(1) + 20, u32::MAX),
        ("fault: BlockIndex", entry(1) + 24, 0),
        ("Padding", records - 4, 1 << 24),
        ("Missing { id: SectionId(2) }", entry(1), 8999),
        ("Missing { id: SectionId(33) }", entry(13), 8998),
        ("Missing { id: SectionId(17) }", entry(6), 8997),
        ("Meta(", 64, 0),
        ("Records(Length", records, 9),
        ("Records(StringNumber", records + 32, u32::MAX),
        ("Table { id: SectionId(3), source: Order", section(SectionKind::Gtins) + 8, u32::MAX),
        ("Table { id: SectionId(4), source: Count", section(SectionKind::Tombstones) + 4, 9),
        ("Table { id: SectionId(34), source: Product", section(SectionKind::ImageRows) + 4, PRODUCTS),
    ];
    for (want, at, value) in cases {
        let mut bytes = good.clone();
        put_u32(&mut bytes, at, value);
        if want.starts_with("Missing") {
            put_u32(&mut bytes, at + 4, 0); // an optional section of an unknown kind
        }
        fix_checksums(&mut bytes);
        let error = open(&bytes).expect_err(want);
        assert!(
            format!("{error:?}").starts_with(want) || format!("{error:?}").contains(want),
            "{want}: {error:?}"
        );
        assert!(!error.to_string().contains('\n'));
    }
}

#[test]
fn counts_must_agree_with_the_meta_section() {
    let (meta, sections) = sections(100);
    type Change = fn(&mut PackMeta);
    let cases: [(&str, Change); 4] = [
        ("the number of products", |m| m.product_count -= 1),
        ("the number of image rows", |m| m.image_rows += 1),
        ("the number of text rows", |m| m.text_rows = 0),
        ("image-model", |m| m.image = None),
    ];
    for (want, change) in cases {
        let mut meta = meta.clone();
        change(&mut meta);
        let mut pack = PackBuffer::new().unwrap();
        pack.meta(&meta).unwrap();
        for (kind, bytes) in &sections {
            pack.section(*kind, bytes).unwrap();
        }
        let error = open(&pack.finish().unwrap()).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn later_versions_and_sections() {
    let good = pack_bytes(100);
    // Written by a later version that an old reader can still read.
    let mut later = good.clone();
    let format = later.windows(11).position(|w| w == b"\"format\": 1").unwrap();
    later[format + 10] = b'2';
    later[8] = 2;
    fix_checksums(&mut later);
    assert_eq!(open(&later).unwrap().version(), 2);
    // A section the reader does not know and must not ignore.
    let (meta, sections) = sections(10);
    let mut pack = PackBuffer::new().unwrap();
    pack.meta(&meta).unwrap();
    for (kind, bytes) in &sections {
        pack.section(*kind, bytes).unwrap();
    }
    pack.raw_section(SectionId(500), true, b"").unwrap();
    let error = open(&pack.finish().unwrap()).unwrap_err();
    assert!(matches!(error, OpenPackError::UnknownSection { id: SectionId(500) }));
    assert!(error.to_string().contains("update the app"));
}

#[test]
fn encoders_are_checked_by_identity() {
    let pack = open(&pack_bytes(10)).unwrap();
    assert_eq!(pack.check_encoder(EncoderKind::Image, &[0x1a; 32]), Ok(()));
    let error = pack.check_encoder(EncoderKind::Text, &[0x1a; 32]).unwrap_err();
    assert!(matches!(&error, EncoderMismatch::Different { kind: EncoderKind::Text, .. }));
    let message = error.to_string();
    assert!(message.contains(&"1a".repeat(32)) && message.contains(&"2b".repeat(32)), "{message}");
}

/// Thousands of random changes with right checksums: the pack is refused or works, whatever they hit.
#[test]
fn mutated_packs_never_panic() {
    let good = pack_bytes(100);
    let (table, len) = (table_offset(&good), good.len());
    let starts: Vec<usize> = open(&good).unwrap().sections().iter().map(|s| s.offset as usize).collect();
    let mut rng = Rng(0xfeed);
    let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..6000 {
        let mut bytes = good.clone();
        for _ in 0..1 + rng.below(3) {
            // Counts and offsets live in the header, the table and the first bytes of sections.
            let at = match rng.below(8) {
                0 => rng.below(64),
                1 => table + rng.below(len - table),
                2..6 => starts[rng.below(starts.len())] + rng.below(48),
                _ => rng.below(len),
            };
            let value = match rng.below(6) {
                0 => 0,
                1 => u32::MAX,
                2 => rng.next() as u32,
                3 => 1 << rng.below(32),
                4 => rng.below(300) as u32,
                _ => {
                    let at = at & !3;
                    let old = bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes(b.try_into().unwrap()));
                    old.wrapping_add(1).wrapping_sub(2 * (rng.next() as u32 & 1))
                }
            };
            match rng.below(4) {
                0 if at < len => bytes[at] = value as u8,
                _ => put_u32(&mut bytes, at & !3, value),
            }
        }
        if rng.below(20) == 0 {
            bytes.truncate(rng.below(len));
        }
        fix_checksums(&mut bytes);
        let outcome = match open(&bytes) {
            Ok(pack) => {
                pack.verify().expect("checksums are right");
                use_everything(&pack);
                "opened".to_owned()
            }
            Err(error) => format!("{error:?}").split([' ', '(', '{']).next().unwrap().to_owned(),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    // The changes must get past the first checks, or this test would prove little.
    for outcome in ["opened", "Records", "Table", "Section", "Meta", "Header"] {
        assert!(outcomes.get(outcome).copied().unwrap_or(0) >= 5, "{outcome} of {outcomes:?}");
    }
}
