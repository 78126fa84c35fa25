//! A fixed piece of arithmetic, by which the device's own speed is told.

use std::hint::black_box;
use std::time::Instant;

/// Multiplications of one timing: some milliseconds on a phone.
const STEPS: u32 = 2_000_000;

/// Milliseconds for a chain of multiplications, each of which needs the one before: it runs at the clock of the core,
/// whatever its width and its caches.
pub(super) fn milliseconds() -> f64 {
    let start = Instant::now();
    let mut x = black_box(0x9E37_79B9u32);
    for i in 0..STEPS {
        x = x.wrapping_mul(x | 5) ^ i;
    }
    black_box(x);
    start.elapsed().as_secs_f64() * 1e3
}
