#!/usr/bin/env bash
# Fuzzes the reader and the executor of compiled models: libFuzzer, guided by coverage, under AddressSanitizer.
#   scripts/fuzz-plan.sh [SECONDS]     600 by default; CORPUS names a folder to go on from (target/fuzz/corpus)
# Needs a nightly compiler (rustup toolchain install nightly) and g++, which builds libFuzzer. What fails is kept in
# target/fuzz/found; give it as FILE to run it again:
#   scripts/fuzz-plan.sh FILE
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-600}
place=${CARGO_TARGET_DIR:-target}/fuzz
corpus=${CORPUS:-$place/corpus}
mkdir -p "$corpus" "$place/found"

if [ ! -e "$place/seeds" ]; then
    cargo run --release --locked --features onnx --example fuzz_seeds -- "$place/seeds"
fi
cp -n "$place"/seeds/*.plan "$corpus"/

# What cargo-fuzz sets, without cargo-fuzz.
export CARGO_TARGET_DIR=$place/build
export RUSTFLAGS="--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
 -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
triple=$(rustc +nightly -vV | sed -n 's/^host: //p')
cargo +nightly build --release --manifest-path fuzz/Cargo.toml --target "$triple"
run=$CARGO_TARGET_DIR/$triple/release/plan

export ASAN_OPTIONS=detect_odr_violation=0:allocator_may_return_null=1
if [ -f "$what" ]; then
    exec "$run" "$what"
fi
exec "$run" -max_total_time="$what" -max_len=65536 -len_control=0 -timeout=30 -rss_limit_mb=2048 \
    -artifact_prefix="$place/found/" -print_final_stats=1 "$corpus"
