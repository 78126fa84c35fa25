//! The 8-bit kernels on every path of this CPU: `cargo bench --bench kernels`.
//!
//! First the paths against each other: in turns, so that a change of the machine's clock meets all of them, and by
//! the fastest turn of each, which other programs disturb least. Then criterion's times of each. Shapes are those of
//! an EfficientNet-Lite0 at 224 × 224.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shelfsight::kernels::Isa;
use shelfsight::kernels::int8::{
    Add, CHANNELS, COLUMNS, Depthwise, Int8, Matrix, Quant, Rows, SLACK, pack_depthwise, pack_matrix,
};

const QUANT: Quant = Quant { zero: 120, low: 0, high: 255 };
/// Turns of the comparison, and how long one path runs in each.
const TURNS: usize = 100;
const TURN: Duration = Duration::from_millis(1);

fn paths() -> Vec<&'static Int8> {
    Isa::available().iter().filter_map(|&isa| Int8::of(isa)).collect()
}

fn bytes(n: usize) -> Vec<u8> {
    (0..n as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn weights(n: usize) -> Vec<i8> {
    bytes(n).into_iter().map(|b| b as i8).collect()
}

/// Runs `work` on every path: compared in turns, then each by criterion. `count` is what it does, in products or sums.
fn measure(c: &mut Criterion, name: &str, count: usize, mut work: impl FnMut(&Int8)) {
    let paths = paths();
    let mut run = |path: &Int8, for_: Duration| {
        let start = Instant::now();
        let mut times = 0u32;
        while times == 0 || start.elapsed() < for_ {
            work(path);
            times += 1;
        }
        start.elapsed().as_secs_f64() / f64::from(times)
    };
    let mut fastest = vec![f64::INFINITY; paths.len()];
    for _ in 0..TURNS {
        for (fastest, path) in fastest.iter_mut().zip(&paths) {
            *fastest = fastest.min(run(path, TURN));
        }
    }
    let ratios: Vec<String> = paths
        .iter()
        .zip(&fastest)
        .map(|(path, time)| {
            format!("{:?} {:.2} ({:.1} G/s)", path.isa, time / fastest[0], count as f64 / time / 1e9)
        })
        .collect();
    println!("{name}: time as a multiple of the first path's: {}", ratios.join(", "));

    let mut group = c.benchmark_group(name);
    group.sample_size(20).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    group.throughput(Throughput::Elements(count as u64));
    for path in paths {
        group.bench_function(BenchmarkId::from_parameter(format!("{:?}", path.isa)), |b| {
            b.iter(|| work(path));
        });
    }
    group.finish();
}

fn matrices(c: &mut Criterion) {
    for (rows, k, n) in [(256, 112, 672), (64, 1152, 320), (16_384, 16, 96), (1, 1280, 256)] {
        let (data, packed) = (bytes(rows * k + SLACK), pack_matrix(&weights(k * n), k, n));
        let padded = n.next_multiple_of(COLUMNS);
        let (bias, scale) = (vec![100; padded], vec![1e-4; padded]);
        let matrix = Matrix { k, n, weights: &packed, bias: &bias, sums: &bias, scale: &scale };
        let input = Rows { data: &data, stride: k, count: rows };
        let mut out = vec![0; rows * n];
        measure(c, &format!("matrix_u8/{rows}x{k}x{n}"), rows * k * n, |path| {
            path.matrix_u8(black_box(&input), &matrix, QUANT, &mut out);
        });
    }
}

fn depthwise(c: &mut Criterion) {
    for (kernel, side, channels, stride) in
        [(3, 56, 144, 1), (3, 112, 96, 2), (5, 14, 672, 1), (5, 28, 240, 2)]
    {
        let data = bytes(side * side * channels + SLACK);
        let packed = pack_depthwise(&weights(kernel * kernel * channels), kernel * kernel, channels);
        let padded = channels.next_multiple_of(CHANNELS);
        let (bias, scale) = (vec![100; padded], vec![1e-3; padded]);
        let outside = vec![120; channels + SLACK];
        let out_side = side / stride;
        let layer = Depthwise {
            x: &data,
            height: side,
            width: side,
            channels,
            kernel: [kernel; 2],
            stride: [stride; 2],
            pad: [kernel / 2; 2],
            out_width: out_side,
            outside: &outside,
            weights: &packed,
            bias: &bias,
            sums: &bias,
            scale: &scale,
            quant: QUANT,
        };
        let mut out = vec![0; out_side * out_side * channels];
        let count = out.len() * kernel * kernel;
        measure(
            c,
            &format!("depthwise/{kernel}x{kernel}_{side}x{side}x{channels}_by_{stride}"),
            count,
            |path| {
                path.depthwise(black_box(&layer), 0, &mut out);
            },
        );
    }
}

fn add(c: &mut Criterion) {
    let (a, b) = (bytes(14 * 14 * 112), bytes(14 * 14 * 112));
    let how = Add { ma: 0.61, mb: 0.37, c: -20.3, quant: QUANT };
    let mut out = vec![0; a.len()];
    measure(c, "add/14x14x112", a.len(), |path| path.add(black_box(&a), &b, &how, &mut out));
}

criterion_group!(benches, matrices, depthwise, add);
criterion_main!(benches);
