//! Search time of each kind of index: `cargo bench --bench search`.
//!
//! Indexes of 10,000 rows of 256 components are built; those of 100,000 repeat their rows ten times, which the
//! scan cannot tell from other rows.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shelfsight::index::{IndexKind, IndexParams, IndexView, build};
use std::hint::black_box;

const DIM: usize = 256;
const ROWS: usize = 10_000;

/// Rows around 2,500 centres.
fn vectors(n: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let centres: Vec<f32> = (0..n.div_ceil(4) * DIM).map(|_| next()).collect();
    (0..n * DIM).map(|i| centres[(i / DIM % (n.div_ceil(4))) * DIM + i % DIM] + 0.5 * next()).collect()
}

fn search(c: &mut Criterion) {
    let vectors = vectors(ROWS);
    let kinds = [
        ("flat", IndexKind::Flat, 0),
        ("pq-32", IndexKind::Pq, 32),
        ("pq-64", IndexKind::Pq, 64),
        ("rq-16", IndexKind::Rq, 16),
    ];
    let mut group = c.benchmark_group("search");
    for (name, kind, bytes) in kinds {
        let params = IndexParams { kind, bytes, ..IndexParams::default() };
        let built = build(&params, &vectors, DIM, &mut |_| ()).expect("vectors are sound");
        assert_eq!(built.kind, kind, "{:?}", built.note);
        for times in [1, 10] {
            let rows = ROWS * times;
            let mut quantizer = built.quantizer.clone();
            quantizer[8..12].copy_from_slice(&(rows as u32).to_le_bytes());
            let codes = built.codes.repeat(times);
            let view = IndexView::open(&quantizer, &codes).expect("the header was patched to fit");
            let queries: Vec<&[f32]> = vectors.chunks(DIM).step_by(97).collect();
            group.throughput(Throughput::Elements(rows as u64));
            let mut turn = 0;
            group.bench_function(BenchmarkId::new(name, rows), |b| {
                b.iter(|| {
                    turn = (turn + 1) % queries.len();
                    view.search(black_box(queries[turn]), 10, &|_| true)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, search);
criterion_main!(benches);
