//! How long training takes at the dimension of the encoders: `cargo bench --bench train --features build`.
//!
//! 335 rows are the demo's catalogue, fewer than components: every covariance is singular. 6,473 are a shop's.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use shelfsight::index::{IndexKind, IndexParams, build};
use std::hint::black_box;
use std::time::Duration;

const DIM: usize = 384;

/// Rows around a quarter as many centres, in a space of falling variances, as the rows of encoders are.
fn vectors(n: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let spread: Vec<f32> = (0..DIM).map(|i| 0.99f32.powi(i as i32)).collect();
    let centres: Vec<f32> = (0..n.div_ceil(4) * DIM).map(|i| spread[i % DIM] * next()).collect();
    (0..n * DIM)
        .map(|i| centres[i / DIM % n.div_ceil(4) * DIM + i % DIM] + 0.5 * spread[i % DIM] * next())
        .collect()
}

fn train(c: &mut Criterion) {
    let mut group = c.benchmark_group("train");
    group.sample_size(10).warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_secs(10));
    for rows in [335, 6473] {
        let vectors = vectors(rows);
        for kind in [IndexKind::Pq, IndexKind::Opq, IndexKind::Trq] {
            let params = IndexParams { kind, ..IndexParams::default() };
            group.bench_function(BenchmarkId::new(kind.name(), rows), |b| {
                b.iter(|| build(&params, black_box(&vectors), DIM, &mut |_| ()).expect("vectors are sound"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, train);
criterion_main!(benches);
