//! Rows added on the phone outlive a crash: the journal is cut at any byte, and what was acknowledged is found again.

#![allow(clippy::unwrap_used)] // clippy's exception for tests does not reach helpers

use shelfsight::index::{IndexView, Keep, Live, Metric, Probe, lists, lists_index};
use shelfsight::pack::{
    Journal, JournalError, OpenOptions, Pack, PackBuffer, PackMeta, Record, RecordsWriter, SectionKind,
};
use shelfsight::quant::{Trq, TrqParams};

const D: usize = 8;

fn vectors(n: usize) -> Vec<f32> {
    (0..n * D)
        .map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 12) as f32 / (1 << 20) as f32 - 0.5)
        .collect()
}

fn pack(title: &str) -> Pack {
    let mut records = RecordsWriter::new();
    records.push(&Record { id: "1".into(), title: title.into(), ..Record::default() }).unwrap();
    let mut pack = PackBuffer::new().unwrap();
    pack.meta(&PackMeta { product_count: 1, ..PackMeta::default() }).unwrap();
    pack.section(SectionKind::Records, &records.finish()).unwrap();
    Pack::from_bytes(pack.finish().unwrap(), &OpenOptions::default()).unwrap()
}

#[test]
fn what_was_acknowledged_is_found_after_a_crash() {
    let v = vectors(340);
    let built = 300;
    let params = TrqParams { lists: 16, cells: 2, m: 4, ..TrqParams::default() };
    let trq = Trq::train(&v[..built * D], D, &params, &mut |_| ()).unwrap().trq;
    let codes = lists::build(&trq, &v[..built * D], &mut |_| ());
    let section = lists_index(&trq, Metric::L2, 0.0, built as u32, &codes);
    let view = IndexView::open(&section, &codes).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.shelf.journal");
    let pack_of = pack("Oat milk");

    let mut live = Live::new(&view);
    let (mut journal, _) = Journal::open(&path, &pack_of).unwrap();
    let mut ends = vec![journal.len()];
    for x in v.chunks(D).skip(built) {
        let encoded = live.encode(x).unwrap();
        journal.append(&encoded).unwrap();
        live.insert(&encoded).unwrap();
        ends.push(journal.len());
    }
    drop(journal);
    let whole = std::fs::read(&path).unwrap();
    for cut in (ends[0] as usize..=whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let (_, found) = Journal::open(&path, &pack_of).unwrap();
        let acknowledged = ends.iter().filter(|&&end| end <= cut as u64).count() - 1;
        assert_eq!(found.records.len(), acknowledged);
        let mut again = Live::new(&view);
        found.records.iter().for_each(|record| assert!(again.insert(record).is_ok()));
        let probe = Probe { lists: 16, refine: 400, ..Probe::default() };
        for q in v.chunks(D).skip(built) {
            let mut want = live.search(q, 340, &probe, Keep::All).unwrap();
            want.retain(|hit| (hit.row as usize) < built + acknowledged);
            want.truncate(10);
            assert_eq!(again.search(q, 10, &probe, Keep::All).unwrap(), want);
        }
    }
    // A new pack in the old one's place: its journal is not replayed onto other rows.
    assert!(matches!(Journal::open(&path, &pack("Oat drink")), Err(JournalError::OtherPack { .. })));
}
