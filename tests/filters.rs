//! A query can be cancelled while its filters are worked out.

#![allow(clippy::unwrap_used)] // clippy's exception for tests does not reach helpers

use std::thread;
use std::time::Duration;

use shelfsight::Cancel;
use shelfsight::engine::{EncodedQuery, Engine, EngineOptions, FindError};
use shelfsight::options::{Filter, FindOptions};
use shelfsight::pack::{PackBuffer, PackMeta, Record, RecordsWriter, SectionKind};

#[test]
fn filters_stop_when_cancelled() {
    const PRODUCTS: u32 = 300_000;
    let mut records = RecordsWriter::new();
    for product in 0..PRODUCTS {
        records.push(&Record { id: format!("Märke {product}"), ..Record::default() }).unwrap();
    }
    // Neither models nor indexes: the query is its filters.
    let mut pack = PackBuffer::new().unwrap();
    pack.meta(&PackMeta { product_count: PRODUCTS, ..PackMeta::default() }).unwrap();
    pack.section(SectionKind::Records, &records.finish()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("filters.shelf");
    std::fs::write(&path, pack.finish().unwrap()).unwrap();
    let engine = Engine::open(&path, EngineOptions::default()).unwrap();
    let ids: Vec<String> = (0..PRODUCTS / 2).map(|product| format!("MÄRKE {product}")).collect();
    let filter = Filter::any_of("id", &ids).unwrap();
    let mut stopped = 0;
    for turn in 0..40u64 {
        let cancel = Cancel::new();
        let options = FindOptions {
            filters: vec![filter.clone()],
            cancel: Some(cancel.clone()),
            ..FindOptions::default()
        };
        let answer = thread::scope(|scope| {
            let query = scope.spawn(|| engine.find_encoded(&EncodedQuery::default(), &options));
            thread::sleep(Duration::from_micros(500 * turn));
            cancel.cancel();
            query.join().unwrap()
        });
        match answer {
            Err(FindError::Cancelled) => stopped += 1,
            Ok(found) => assert!(found.matches.is_empty()),
            Err(error) => panic!("{error}"),
        }
    }
    // The earliest may be cancelled before they begin, the latest have ended.
    assert!(stopped > 4, "{stopped} of 40 stopped");
    // The time is told apart from that of searching.
    let options = FindOptions { filters: vec![filter], ..FindOptions::default() };
    let found = engine.find_encoded(&EncodedQuery::default(), &options).unwrap();
    assert!(found.ms.stages().iter().any(|(stage, ms)| *stage == "filter" && *ms > 0.0));
}
