//! What filters cost a query, whatever else it does: a catalogue of 100,000 products, filters of 1 to 100,000 ids and of a
//! brand: `cargo bench --bench filter`.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use shelfsight::engine::{EncodedQuery, Engine, EngineOptions};
use shelfsight::options::{Filter, FindOptions};
use shelfsight::pack::{PackBuffer, PackMeta, Record, RecordsWriter, SectionKind};

const PRODUCTS: u32 = 100_000;

/// Records alone: neither models nor indexes, so that a query is its filters.
fn pack(folder: &Path) -> PathBuf {
    let mut records = RecordsWriter::new();
    for product in 0..PRODUCTS {
        let record = Record {
            id: format!("SKU-{product:07}"),
            title: format!("Product number {product}"),
            brand: format!("Brand {}", product * 7919 % 500),
            attrs: vec![("size".into(), "1 l".into()), ("colour".into(), "Red".into())],
            ..Record::default()
        };
        records.push(&record).expect("a good record");
    }
    let mut pack = PackBuffer::new().expect("a buffer");
    pack.meta(&PackMeta { product_count: PRODUCTS, ..PackMeta::default() }).expect("meta");
    pack.section(SectionKind::Records, &records.finish()).expect("records");
    let path = folder.join("filter.shelf");
    std::fs::write(&path, pack.finish().expect("a pack")).expect("written");
    path
}

fn filters(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let engine = Engine::open(&pack(folder.path()), EngineOptions::default()).expect("it opens");
    let mut group = c.benchmark_group("filter of 100,000 products");
    group.sample_size(10);
    let ids = |count: u32| -> Vec<String> {
        (0..count).map(|i| format!("sku-{:07}", u64::from(i) * 7919 % u64::from(PRODUCTS))).collect()
    };
    let longest = std::env::var("SHELFSIGHT_BENCH_IDS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let mut sets: Vec<(String, Filter)> = [1, 100, 1000, 10_000, 100_000]
        .into_iter()
        .filter(|&count| count <= longest)
        .map(|count| (format!("{count} ids"), Filter::any_of("id", &ids(count)).expect("a filter")))
        .collect();
    sets.push(("one brand".into(), "brand=brand 7".parse().expect("a filter")));
    sets.push(("one attribute".into(), "attr.colour=red".parse().expect("a filter")));
    for (name, filter) in sets {
        let options = FindOptions { filters: vec![filter], ..FindOptions::default() };
        group.bench_function(name, |b| {
            b.iter(|| black_box(engine.find_encoded(&EncodedQuery::default(), &options).expect("it answers")))
        });
    }
    group.bench_function("100,000 ids made a filter", |b| {
        let ids = ids(100_000);
        b.iter(|| black_box(Filter::any_of("id", &ids).expect("a filter")))
    });
    group.finish();
}

criterion_group!(benches, filters);
criterion_main!(benches);
